//! What the code expects of its deployment is what the templates deploy.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test that cannot go on fails")]
#![allow(dead_code, reason = "this test needs a part of the template reader")]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tillstream_app::database::{Index, Table};
use tillstream_app::dispatch::dispatcher::Policy;
use tillstream_app::dispatch::transport;
use tillstream_runtime::config;

mod template_file;

use template_file::{Function, Template, root};

fn functions() -> Vec<Function> {
    let functions = Template::read("template.yaml").functions();
    assert!(functions.len() >= 12, "only {} functions were read", functions.len());
    functions
}

fn texts(value: &Value) -> BTreeSet<String> {
    match value {
        Value::String(text) => BTreeSet::from([text.clone()]),
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        other => panic!("neither text nor texts: {other}"),
    }
}

/// What a function declares to read, from its source: its crate need not be linked here.
fn declared_variables(function: &str) -> Option<BTreeSet<String>> {
    let path = root().join("functions").join(function).join("src/lib.rs");
    let source = std::fs::read_to_string(&path).unwrap();
    let (_, after) = source.split_once("pub const VARIABLES: &[Variable] =")?;
    let (declaration, _) = after.split_once(';')?;
    let names = declaration.trim().trim_start_matches("&[").trim_end_matches(']').split(',');
    let names = names.map(|name| name.trim().trim_start_matches("config::").to_owned());
    Some(names.filter(|name| !name.is_empty()).collect())
}

#[test]
fn a_function_is_told_what_it_reads_and_nothing_else() {
    let template = Template::read("template.yaml");
    let told = |value: &Value| -> BTreeSet<String> {
        value.pointer("/Environment/Variables").unwrap().as_object().unwrap().keys().cloned().collect()
    };
    let common: BTreeSet<String> = config::COMMON.iter().map(|variable| variable.name.to_owned()).collect();
    assert_eq!(told(template.at("/Globals/Function")), common);
    let mut complaints = Vec::new();
    for function in functions() {
        let (name, told) = (&function.name, told(&function.properties));
        match declared_variables(name) {
            None => complaints.push(format!("{name} declares no VARIABLES in its lib.rs")),
            Some(declared) => {
                let more = |what: &str, set: Vec<&String>| {
                    (!set.is_empty()).then(|| format!("{name} {what}: {set:?}"))
                };
                complaints
                    .extend(more("is told what it does not read", told.difference(&declared).collect()));
                complaints.extend(more("reads what it is not told", declared.difference(&told).collect()));
            }
        }
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn a_declared_constant_is_called_what_its_variable_is() {
    let source = std::fs::read_to_string(root().join("shared/runtime/src/config.rs")).unwrap();
    let mut found = 0;
    for declaration in source.split("\npub const ").skip(1) {
        let Some((name, rest)) = declaration.split_once(": Variable =") else { continue };
        let quoted = rest.split('"').nth(1).unwrap();
        assert_eq!(name, quoted);
        found += 1;
    }
    assert!(found >= 15, "only {found} were found");
}

/// What may be done to a table, stream or queue.
const GET: &[&str] = &["GetItem"];
const READ: &[&str] = &["GetItem", "BatchGetItem", "Query"];
/// What is put under a condition, whole.
const PUT: &[&str] = &["GetItem", "BatchGetItem", "Query", "PutItem"];
/// Carts are put, lanes and plans updated, and a plan's state is checked beside its chunks.
const ORDERS: &[&str] = &["GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem", "ConditionCheckItem"];
/// At a till markers of parked carts come and go beside them.
const CARTS: &[&str] =
    &["GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem", "DeleteItem", "ConditionCheckItem"];
/// Counters are updated; holds and exceptions are put and deleted.
const STOCK: &[&str] = &["GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem", "DeleteItem"];
/// The headers of long reservations are checked beside what is held for them, and lots beside goods that come, or are
/// entered: a return at a till brings some, too.
const CHECKED_STOCK: &[&str] =
    &["GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem", "DeleteItem", "ConditionCheckItem"];
/// Products are put, and the barcodes they lose deleted.
const PRODUCTS: &[&str] = &["GetItem", "BatchGetItem", "Query", "PutItem", "DeleteItem"];
/// Beside them bad lines are parked in batches, and checkpoints moved.
const FEEDS: &[&str] =
    &["GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem"];
/// A replay of many keeps its progress.
const DEAD_LETTERS: &[&str] = &["GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem"];

type Needs = &'static [(&'static str, &'static [&'static str])];

/// What each function's ports need, and so what its role may do at most.
const NEEDS: &[(&str, Needs)] = &[
    (
        "pos-commands",
        &[
            ("OrdersTable", CARTS),
            ("StockTable", CHECKED_STOCK),
            ("CatalogTable", READ),
            ("IdentityTable", GET),
        ],
    ),
    (
        "orders",
        &[
            ("OrdersTable", ORDERS),
            ("StockTable", CHECKED_STOCK),
            ("CatalogTable", READ),
            ("IdentityTable", GET),
        ],
    ),
    (
        "inventory",
        &[
            // Approvals are put as used; orders and plans are what a correction is compared with.
            ("OrdersTable", PUT),
            ("StockTable", CHECKED_STOCK),
            // A correction closes over rows that are broken.
            ("LedgerTable", PUT),
            ("CatalogTable", PUT),
            // Suggestions of orders go by what was sold.
            ("AnalyticsTable", READ),
            ("IdentityTable", GET),
        ],
    ),
    ("catalog", &[("CatalogTable", PRODUCTS), ("IdentityTable", GET)]),
    ("hq-sync", &[("CatalogTable", FEEDS), ("StockTable", STOCK), ("IdentityTable", GET)]),
    ("identity", &[("IdentityTable", GET)]),
    (
        "event-relay",
        &[
            ("OrdersStream", &["GetRecords", "GetShardIterator", "DescribeStream"]),
            ("StockStream", &["GetRecords", "GetShardIterator", "DescribeStream"]),
            ("*", &["ListStreams"]),
            ("DispatchTable", &["GetItem", "PutItem"]),
            // Queues of backorders are served, and alerts written.
            ("StockTable", STOCK),
            ("LedgerTable", &["BatchWriteItem", "PutItem", "Query"]),
            ("SalesStream", &["PutRecords"]),
            ("HqQueue", &["SendMessage"]),
            ("ParkedRecordsQueue", &["SendMessage"]),
        ],
    ),
    (
        "sales-aggregator",
        &[
            (
                "SalesStream",
                &["GetRecords", "GetShardIterator", "DescribeStream", "DescribeStreamSummary", "ListShards"],
            ),
            ("AnalyticsTable", PUT),
            ("OrdersTable", &["GetItem", "BatchGetItem"]),
            ("DispatchTable", &["PutItem"]),
            ("ParkedRecordsQueue", &["SendMessage"]),
        ],
    ),
    (
        "stock-keeper",
        &[
            ("OrdersTable", ORDERS),
            ("StockTable", CHECKED_STOCK),
            ("LedgerTable", PUT),
            ("CatalogTable", PUT),
            ("AnalyticsTable", PUT),
            ("DispatchTable", PUT),
            ("SalesStream", &["PutRecords"]),
            ("HqQueue", &["SendMessage"]),
        ],
    ),
    (
        "analytics-api",
        &[("AnalyticsTable", READ), ("OrdersTable", READ), ("CatalogTable", READ), ("IdentityTable", GET)],
    ),
    (
        "hq-dispatcher",
        &[
            (
                "HqQueue",
                &[
                    "ReceiveMessage",
                    "DeleteMessage",
                    "GetQueueAttributes",
                    "ChangeMessageVisibility",
                    "SendMessage",
                ],
            ),
            ("DispatchTable", PUT),
            ("OrdersTable", GET),
        ],
    ),
    (
        "dispatch-admin",
        &[
            ("DispatchTable", DEAD_LETTERS),
            ("OrdersTable", GET),
            ("HqQueue", &["SendMessage"]),
            ("IdentityTable", GET),
        ],
    ),
];

/// `!GetAtt Data.Outputs.OrdersTableArn` → `OrdersTable`; `…OrdersIndexes` → `OrdersIndexes`.
fn resource_name(reference: &str) -> String {
    reference.rsplit('.').next().unwrap().trim_end_matches("Arn").to_owned()
}

/// Statements of a function's own policies, or of its role.
fn statements(template: &Template, function: &Function) -> Vec<Value> {
    let of = |policies: &Value, pointer: &str| -> Vec<Value> {
        let policies = policies.as_array().cloned().unwrap_or_default();
        policies
            .iter()
            .flat_map(|policy| policy.pointer(pointer).unwrap().as_array().unwrap().clone())
            .collect()
    };
    match function.properties["Role"].as_str() {
        Some(role) => {
            let id = role.trim_start_matches("!GetAtt ").trim_end_matches(".Arn");
            let role = template.at(&format!("/Resources/{id}/Properties"));
            for managed in texts(&role["ManagedPolicyArns"]) {
                let known = ["AWSLambdaBasicExecutionRole", "AWSXRayDaemonWriteAccess"];
                assert!(known.iter().any(|name| managed.ends_with(name)), "{id} has {managed}");
            }
            of(&role["Policies"], "/PolicyDocument/Statement")
        }
        None => of(&function.properties["Policies"], "/Statement"),
    }
}

#[test]
fn a_function_may_do_what_its_ports_need_and_no_more() {
    let template = Template::read("template.yaml");
    let needs: BTreeMap<&str, Needs> = NEEDS.iter().copied().collect();
    for function in template.functions() {
        let name = function.name.as_str();
        let needed = needs.get(name).unwrap_or_else(|| panic!("{name} is not among NEEDS"));
        let mut granted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for statement in statements(&template, &function) {
            assert_eq!(statement["Effect"], "Allow");
            for resource in texts(&statement["Resource"]) {
                let actions = texts(&statement["Action"]);
                let bare = actions.iter().map(|action| action.split_once(':').unwrap().1.to_owned());
                granted.entry(resource_name(&resource)).or_default().extend(bare);
            }
        }
        // An index may be queried by whoever may query its table, and nothing else.
        let indexes: Vec<String> =
            granted.keys().filter(|resource| resource.ends_with("Indexes")).cloned().collect();
        for index in indexes {
            assert_eq!(
                granted.remove(&index).unwrap(),
                BTreeSet::from(["Query".to_owned()]),
                "{name} {index}"
            );
            let table = format!("{}Table", index.trim_end_matches("Indexes"));
            assert!(granted[&table].contains("Query"), "{name} may query {index} but not {table}");
        }
        let needed: BTreeMap<String, BTreeSet<String>> = needed
            .iter()
            .map(|(resource, actions)| {
                ((*resource).to_owned(), actions.iter().map(|action| (*action).to_owned()).collect())
            })
            .collect();
        assert_eq!(granted, needed, "{name}: granted against needed");
    }
}

#[test]
fn a_function_may_use_the_tables_streams_and_queues_that_it_reads_the_names_of() {
    let needs: BTreeMap<&str, Needs> = NEEDS.iter().copied().collect();
    for function in functions() {
        let needed = needs[function.name.as_str()];
        for variable in declared_variables(&function.name).unwrap_or_default() {
            let resource = match variable.as_str() {
                "EVENT_STREAM" => "SalesStream".to_owned(),
                "HQ_QUEUE_URL" => "HqQueue".to_owned(),
                table => match table.strip_suffix("_TABLE") {
                    Some(name) => format!("{}{}Table", &name[..1], name[1..].to_lowercase()),
                    None => continue,
                },
            };
            assert!(
                needed.iter().any(|(name, _)| *name == resource),
                "{} reads {variable} but may not use {resource}",
                function.name
            );
        }
    }
}

/// `HqQueue` of a reference to it, through the nested stack's outputs.
fn queue<'a>(messaging: &'a Template, reference: &str) -> &'a Value {
    let output = reference.rsplit('.').next().unwrap();
    let target = messaging.at(&format!("/Outputs/{output}/Value")).as_str().unwrap();
    let id = target.trim_start_matches("!GetAtt ").trim_start_matches("!Ref ").split('.').next().unwrap();
    messaging.at(&format!("/Resources/{id}/Properties"))
}

#[test]
fn batches_fail_in_part_and_what_is_given_up_is_kept() {
    let messaging = Template::read("infra/messaging.yaml");
    let (mut streams, mut queues, mut schedules) = (0, 0, 0);
    for function in functions() {
        let name = &function.name;
        let timeout = function.properties["Timeout"].as_i64().unwrap();
        for source in ["DynamoDB", "Kinesis"].iter().flat_map(|kind| function.events(kind)) {
            streams += 1;
            assert_eq!(source["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]), "{name}");
            let kept = source.pointer("/DestinationConfig/OnFailure/Destination").unwrap();
            assert!(queue(&messaging, kept.as_str().unwrap()).is_object(), "{name} gives up to nowhere");
            assert!(source["MaximumRecordAgeInSeconds"].as_i64().unwrap() > 0, "{name} never gives up");
            assert_eq!(source["StartingPosition"], "TRIM_HORIZON", "{name} misses what was there before it");
        }
        for source in function.events("SQS") {
            queues += 1;
            assert_eq!(source["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]), "{name}");
            let queue = queue(&messaging, source["Queue"].as_str().unwrap());
            assert!(queue["VisibilityTimeout"].as_i64().unwrap() >= 6 * timeout, "{name}");
            assert!(queue.pointer("/RedrivePolicy/deadLetterTargetArn").is_some(), "{name}");
        }
        for schedule in function.events("Schedule") {
            schedules += 1;
            let undelivered = schedule.pointer("/DeadLetterConfig/Arn").unwrap().as_str().unwrap();
            assert!(queue(&messaging, undelivered).is_object(), "{name}");
            let failed =
                function.properties.pointer("/EventInvokeConfig/DestinationConfig/OnFailure/Destination");
            assert!(queue(&messaging, failed.unwrap().as_str().unwrap()).is_object(), "{name}");
        }
    }
    assert!(streams >= 3 && queues >= 1 && schedules >= 1, "{streams} {queues} {schedules}");
}

/// What is left of the timeout after the longest attempt is for writing down what came of it.
#[test]
fn a_batch_of_wake_ups_is_over_before_its_dispatchers_time_is() {
    let dispatcher = functions().into_iter().find(|function| function.name == "hq-dispatcher").unwrap();
    let timeout = dispatcher.properties["Timeout"].as_u64().unwrap();
    let longest = Policy::default().batch_time + transport::TIMEOUT;
    assert!(longest.as_secs() + 3 <= timeout, "{longest:?} of {timeout} s");
}

#[test]
fn tables_have_the_indexes_that_the_code_asks_for() {
    let data = Template::read("infra/data.yaml");
    let tables = data.resources("AWS::DynamoDB::Table");
    assert_eq!(tables.len(), Table::ALL.len());
    for table in Table::ALL {
        let properties = tables[format!("{table:?}Table").as_str()];
        assert_eq!(key_schema(properties), ("pk".to_owned(), "sk".to_owned()));
        let deployed: BTreeMap<String, &Value> = properties["GlobalSecondaryIndexes"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|index| (index["IndexName"].as_str().unwrap().to_owned(), index))
            .collect();
        let expected = Index::of(table);
        assert_eq!(deployed.len(), expected.len(), "{table:?}");
        for index in expected {
            let (name, hash, range, is_number) = index.shape();
            let index_properties = deployed[name];
            assert_eq!(key_schema(index_properties), (hash.to_owned(), range.to_owned()), "{table:?} {name}");
            let kind = if is_number { "N" } else { "S" };
            let definition = json!({"AttributeName": range, "AttributeType": kind});
            assert!(
                properties["AttributeDefinitions"].as_array().unwrap().contains(&definition),
                "{table:?} {name}"
            );
            let carried = index_properties.pointer("/Projection/NonKeyAttributes");
            let carried = carried.map(texts).unwrap_or_default();
            let expected: BTreeSet<String> = index.carries().iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(carried, expected, "{table:?} {name}");
        }
    }
}

fn key_schema(properties: &Value) -> (String, String) {
    let part = |kind: &str| {
        let keys = properties["KeySchema"].as_array().unwrap();
        let key = keys.iter().find(|key| key["KeyType"] == kind).unwrap();
        key["AttributeName"].as_str().unwrap().to_owned()
    };
    (part("HASH"), part("RANGE"))
}
