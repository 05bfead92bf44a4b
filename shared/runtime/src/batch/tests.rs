use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tillstream_app::database::{
    Database, DatabaseError, Get, Item, Query, QueryPage, Table, Value as Attribute, Write,
};
use tillstream_app::keys;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::test_environment::TestEnvironment;

use super::dynamodb::{Change, ChangeKind, Changes};
use super::kinesis::{Kinesis, KinesisRecord};
use super::sqs::{Sqs, SqsRecord};
use super::*;

/// Whatever its body says: `ok`, `busy`, `poison`, `panic`. Keeps what it was given.
#[derive(Default)]
struct Obedient(Mutex<Vec<String>>);

impl Obedient {
    fn obey(&self, body: &str) -> Result<(), Failure> {
        self.0.lock().unwrap().push(body.to_owned());
        match body.split('-').next().unwrap() {
            "ok" => Ok(()),
            "busy" => Err(Failure::Transient("busy".to_owned())),
            "poison" => Err(Failure::Poison("no event".to_owned())),
            other => panic!("told to {other}"),
        }
    }

    fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[async_trait]
impl RecordHandler<SqsRecord> for Obedient {
    async fn handle(&self, record: &SqsRecord) -> Result<(), Failure> {
        self.obey(&record.body)
    }
}

#[async_trait]
impl RecordHandler<KinesisRecord> for Obedient {
    async fn handle(&self, record: &KinesisRecord) -> Result<(), Failure> {
        self.obey(&String::from_utf8_lossy(&record.data))
    }
}

#[async_trait]
impl BatchHandler<KinesisRecord> for Obedient {
    async fn handle(&self, records: &[KinesisRecord]) -> BTreeMap<usize, Failure> {
        let results = records.iter().map(|record| self.obey(&String::from_utf8_lossy(&record.data)));
        results.enumerate().filter_map(|(index, result)| Some((index, result.err()?))).collect()
    }
}

#[async_trait]
impl BatchHandler<SqsRecord> for Obedient {
    async fn handle(&self, records: &[SqsRecord]) -> BTreeMap<usize, Failure> {
        let results = records.iter().map(|record| self.obey(&record.body));
        results.enumerate().filter_map(|(index, result)| Some((index, result.err()?))).collect()
    }
}

/// A database that is away.
struct Away;

#[async_trait]
impl Database for Away {
    async fn get(&self, _: Get) -> Result<Option<Item>, DatabaseError> {
        Err(DatabaseError::Unavailable("away".to_owned()))
    }
    async fn get_many(&self, _: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        Err(DatabaseError::Unavailable("away".to_owned()))
    }
    async fn get_together(&self, _: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        Err(DatabaseError::Unavailable("away".to_owned()))
    }
    async fn query(&self, _: Query) -> Result<QueryPage, DatabaseError> {
        Err(DatabaseError::Unavailable("away".to_owned()))
    }
    async fn write(&self, _: Write) -> Result<(), DatabaseError> {
        Err(DatabaseError::Unavailable("away".to_owned()))
    }
    async fn transact(&self, _: Vec<Write>) -> Result<(), DatabaseError> {
        Err(DatabaseError::Unavailable("away".to_owned()))
    }
    async fn put_many(&self, _: Table, _: Vec<Item>) -> Result<(), DatabaseError> {
        Err(DatabaseError::Unavailable("away".to_owned()))
    }
}

fn batches_on(database: Arc<dyn Database>, failures: Failures) -> Batches {
    let ports = Ports { database, environment: Arc::new(TestEnvironment::new(7)) };
    Batches::telling("test", &ports, failures)
}

fn scene() -> (Arc<MemoryDatabase>, Batches, Obedient) {
    let database = Arc::new(MemoryDatabase::new());
    let batches = batches_on(database.clone(), Failures::Report);
    (database, batches, Obedient::default())
}

/// As AWS sends it (developer guide, "Using Lambda with Kinesis").
fn kinesis(number: usize, body: &str) -> Value {
    json!({
        "kinesis": {
            "kinesisSchemaVersion": "1.0", "partitionKey": "demo/s-1", "sequenceNumber": number.to_string(),
            "data": STANDARD.encode(body), "approximateArrivalTimestamp": 1_545_084_650.987,
        },
        "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventID": format!("shardId-000000000006:{number}"),
        "eventName": "aws:kinesis:record", "invokeIdentityArn": "arn:aws:iam::123456789012:role/lambda-role",
        "awsRegion": "us-east-2", "eventSourceARN": "arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream",
    })
}

/// As AWS sends it (developer guide, "Using Lambda with Amazon SQS").
fn sqs(number: usize, group: Option<&str>, body: &str) -> Value {
    let mut attributes = json!({
        "ApproximateReceiveCount": "3", "SentTimestamp": "1545082649183", "SenderId": "AIDAIENQZJOLO23YVJ4VO",
        "ApproximateFirstReceiveTimestamp": "1545082649185",
    });
    if let Some(group) = group {
        attributes["MessageGroupId"] = json!(group);
    }
    json!({
        "messageId": format!("m-{number}"), "receiptHandle": format!("AQEB{number}"), "body": body,
        "attributes": attributes, "messageAttributes": {}, "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:us-east-2:123456789012:hq.fifo",
        "awsRegion": "us-east-2",
    })
}

fn event(records: &[Value]) -> String {
    json!({ "Records": records }).to_string()
}

fn stream(bodies: &[&str]) -> String {
    event(&bodies.iter().enumerate().map(|(number, body)| kinesis(number, body)).collect::<Vec<_>>())
}

fn identifiers(response: Result<BatchResponse, BatchFailed>) -> Vec<String> {
    response.unwrap().batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect()
}

/// Reasons and records of what is parked, each checked to be whole.
fn parked(database: &MemoryDatabase) -> Vec<(String, Value)> {
    let items = database.items(Table::Dispatch);
    items
        .iter()
        .map(|item| {
            assert_eq!(item.text("pk").unwrap(), keys::parked_records().value());
            assert_eq!((item.number("piece").unwrap(), item.number("pieces").unwrap()), (0, 1));
            (item.text("reason").unwrap().to_owned(), item.json("record").unwrap())
        })
        .collect()
}

#[tokio::test]
async fn a_stream_goes_on_from_its_first_transient_failure() {
    let (database, batches, handler) = scene();
    let run = run_each::<Kinesis, _>(&batches, &handler, &stream(&["ok", "busy", "ok", "busy"])).await;
    assert_eq!(identifiers(run), ["1"]);
    assert_eq!(handler.seen(), ["ok", "busy"], "nothing after the failure is handled");
    let run = run_each::<Kinesis, _>(&batches, &handler, &stream(&["ok", "ok"])).await;
    assert_eq!(serde_json::to_value(run.unwrap()).unwrap(), json!({"batchItemFailures": []}));
    assert!(parked(&database).is_empty());
}

#[tokio::test]
async fn poison_is_parked_whole_and_the_stream_goes_on() {
    let (database, batches, handler) = scene();
    let mut foreign = kinesis(2, "x");
    foreign["kinesis"]["data"] = json!("*** no base64 ***");
    let rubbish = json!({"hello": ["world"]});
    let records = [
        kinesis(0, "ok"),
        kinesis(1, "poison"),
        foreign.clone(),
        rubbish.clone(),
        json!(7),
        kinesis(5, "ok-2"),
    ];
    let run = run_each::<Kinesis, _>(&batches, &handler, &event(&records)).await;
    assert!(identifiers(run).is_empty());
    assert_eq!(handler.seen(), ["ok", "poison", "ok-2"]);
    let parked: Vec<Value> = parked(&database).into_iter().map(|(_, record)| record).collect();
    for whole in [&records[1], &foreign, &rubbish, &json!(7)] {
        assert!(parked.contains(whole), "{whole} is not parked");
    }
    assert_eq!(parked.len(), 4);
}

#[tokio::test]
async fn what_comes_again_is_parked_once() {
    let (database, batches, handler) = scene();
    let batch = stream(&["poison", "busy"]);
    for _ in 0..3 {
        assert_eq!(identifiers(run_each::<Kinesis, _>(&batches, &handler, &batch).await), ["1"]);
    }
    assert_eq!(parked(&database).len(), 1);
    let mut message = sqs(1, None, "poison");
    for receives in ["1", "2"] {
        message["attributes"]["ApproximateReceiveCount"] = json!(receives);
        run_each::<Sqs, _>(&batches, &handler, &event(&[message.clone()])).await.unwrap();
    }
    assert_eq!(parked(&database).len(), 2);
    for (seconds, millis) in [
        (json!(1_479_499_740), Some(1_479_499_740_000)),
        (json!(1_545_084_650.987), Some(1_545_084_650_000)),
        (json!("soon"), None),
    ] {
        assert_eq!(seconds_to_millis(&seconds), millis);
    }
}

#[tokio::test]
async fn a_panic_is_that_records_alone() {
    let (database, batches, handler) = scene();
    let run = run_each::<Kinesis, _>(&batches, &handler, &stream(&["ok", "panic", "ok-2"])).await;
    assert!(identifiers(run).is_empty());
    assert_eq!(parked(&database)[0].0, "panic: told to panic");
    let run = run_whole::<Kinesis, _>(&batches, &handler, &stream(&["ok", "ok", "panic", "busy"])).await;
    assert_eq!(identifiers(run), ["3"]);
    assert_eq!(parked(&database).len(), 2);
}

#[tokio::test]
async fn what_cannot_be_parked_comes_again() {
    let handler = Obedient::default();
    let batches = batches_on(Arc::new(Away), Failures::Report);
    let run = run_each::<Kinesis, _>(&batches, &handler, &stream(&["ok", "poison", "ok"])).await;
    assert_eq!(identifiers(run), ["1"]);
    let nameless = event(&[kinesis(0, "ok"), json!({})]);
    assert!(run_each::<Kinesis, _>(&batches, &handler, &nameless).await.is_err(), "it was taken for done");
    assert!(run_whole::<Kinesis, _>(&batches, &handler, &nameless).await.is_err(), "it was taken for done");
}

#[tokio::test]
async fn a_whole_batch_answers_which_failed_first() {
    let (database, batches, handler) = scene();
    let run =
        run_whole::<Kinesis, _>(&batches, &handler, &stream(&["ok", "poison", "busy", "poison", "busy"]))
            .await;
    assert_eq!(identifiers(run), ["2"]);
    assert_eq!(handler.seen().len(), 5);
    assert_eq!(parked(&database).len(), 1, "what comes again is not parked yet");
    let bad = event(&[json!({}), kinesis(1, "ok"), kinesis(2, "busy")]);
    assert_eq!(identifiers(run_whole::<Kinesis, _>(&batches, &handler, &bad).await), ["2"]);
    assert!(identifiers(run_whole::<Kinesis, _>(&batches, &handler, &event(&[])).await).is_empty());
}

#[tokio::test]
async fn messages_are_answered_for_one_by_one_and_a_group_keeps_its_order() {
    let (database, batches, handler) = scene();
    let records = [
        sqs(0, Some("a"), "ok-a0"),
        sqs(1, Some("b"), "busy-b1"),
        sqs(2, Some("a"), "poison-a2"),
        sqs(3, Some("b"), "ok-b3"),
        sqs(4, Some("a"), "ok-a4"),
        sqs(5, None, "busy-5"),
        sqs(6, None, "ok-6"),
    ];
    let run = run_each::<Sqs, _>(&batches, &handler, &event(&records)).await;
    assert_eq!(identifiers(run), ["m-1", "m-3", "m-5"]);
    assert_eq!(handler.seen(), ["ok-a0", "busy-b1", "poison-a2", "ok-a4", "busy-5", "ok-6"]);
    assert_eq!(parked(&database)[0].1, records[2]);
    let run = run_whole::<Sqs, _>(&batches, &handler, &event(&records)).await;
    assert_eq!(identifiers(run), ["m-1", "m-3", "m-5"]);
}

#[tokio::test]
async fn a_message_is_read_with_what_it_takes_to_postpone_it() {
    let record = Sqs::read(&sqs(1, Some("g"), "hello").to_string()).unwrap();
    let expected = SqsRecord {
        message_id: "m-1".to_owned(),
        receipt_handle: "AQEB1".to_owned(),
        group: Some("g".to_owned()),
        receive_count: 3,
        body: "hello".to_owned(),
    };
    assert_eq!(record, expected);
}

#[tokio::test]
async fn raising_fails_the_whole_invocation_for_any_failure_and_for_none_else() {
    let database = Arc::new(MemoryDatabase::new());
    let (batches, handler) = (batches_on(database.clone(), Failures::Raise), Obedient::default());
    let run = |bodies: &'static [&'static str]| {
        let (batches, handler) = (batches.clone(), &handler);
        async move { run_each::<Kinesis, _>(&batches, handler, &stream(bodies)).await }
    };
    assert_eq!(run(&["ok", "busy"]).await, Err(BatchFailed("busy".to_owned())));
    assert!(run(&["ok", "poison", "ok"]).await.is_ok(), "what is parked has not failed");
    assert!(run_whole::<Kinesis, _>(&batches, &handler, &stream(&["busy"])).await.is_err());
    let message = event(&[sqs(0, None, "busy"), sqs(1, None, "ok")]);
    assert!(run_each::<Sqs, _>(&batches, &handler, &message).await.is_err());

    for (value, failures) in [("raise", Failures::Raise), ("report", Failures::Report)] {
        let config = Config::from_lookup(&[], |name| match name {
            "STAGE" => Some("local".to_owned()),
            "BATCH_FAILURES" => Some(value.to_owned()),
            _ => None,
        });
        let ports = Ports { database: database.clone(), environment: Arc::new(TestEnvironment::new(1)) };
        assert_eq!(Batches::new("test", &ports, &config.unwrap()).failures, failures);
    }
}

#[tokio::test]
async fn what_is_no_batch_fails() {
    let (_, batches, handler) = scene();
    for event in ["{}", "[]", "7", r#"{"Records":{}}"#, ""] {
        assert!(run_each::<Kinesis, _>(&batches, &handler, event).await.is_err(), "{event}");
    }
}

#[tokio::test]
async fn a_change_carries_the_item_before_and_after() {
    // As AWS sends it (developer guide, "Using Lambda with DynamoDB").
    let record = json!({
        "eventID": "c4ca4238a0b923820dcc509a6f75849b", "eventName": "MODIFY", "eventVersion": "1.1",
        "eventSource": "aws:dynamodb", "awsRegion": "eu-west-1",
        "dynamodb": {
            "Keys": {"pk": {"S": "demo#cart#c-1"}, "sk": {"S": "cart"}},
            "OldImage": {"pk": {"S": "demo#cart#c-1"}, "sk": {"S": "cart"}, "version": {"N": "3"}},
            "NewImage": {
                "pk": {"S": "demo#cart#c-1"}, "sk": {"S": "cart"}, "version": {"N": "4"},
                "lane_number": {"N": "17"}, "lines": {"B": "AQID"}, "open": {"BOOL": false},
                "parts": {"L": [{"N": "-1"}, {"M": {"a": {"S": "b"}}}]},
            },
            "ApproximateCreationDateTime": 1_479_499_740, "SequenceNumber": "13021600000000001596893679",
            "SizeBytes": 112, "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN": "arn:aws:dynamodb:eu-west-1:123456789012:table/dev-OrdersTable-1A/stream/2016-11-16T20:42:48.104",
    });
    let change: Change = Changes::read(&record.to_string()).unwrap();
    assert_eq!(change.kind, ChangeKind::Modify);
    assert_eq!(change.table_name.as_deref(), Some("dev-OrdersTable-1A"));
    assert_eq!(change.old.unwrap().number("version").unwrap(), 3);
    let new = change.new.unwrap();
    assert_eq!(new.number("lane_number").unwrap(), 17);
    assert_eq!(new.bytes("lines").unwrap(), [1, 2, 3]);
    assert_eq!(new.get("open"), Some(&Attribute::Bool(false)));
    let inner = Attribute::M([("a".to_owned(), Attribute::from("b"))].into());
    assert_eq!(new.get("parts"), Some(&Attribute::L(vec![Attribute::N(-1), inner])));
    assert_eq!(Changes::identifier(&record).as_deref(), Some("13021600000000001596893679"));

    let mut removed = record.clone();
    removed["eventName"] = json!("REMOVE");
    removed["dynamodb"].as_object_mut().unwrap().remove("NewImage");
    assert_eq!(Changes::read(&removed.to_string()).unwrap().new, None);
    for foreign in
        [json!({"N": "1.5"}), json!({"NULL": true}), json!({"SS": ["a"]}), json!({"B": "*"}), json!(1)]
    {
        let mut record = record.clone();
        record["dynamodb"]["NewImage"]["version"] = foreign.clone();
        assert!(Changes::read(&record.to_string()).is_err(), "{foreign}");
    }
}
