//! Batches of records from DynamoDB Streams, Kinesis and SQS, with the functions that read them.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use tillstream_app::Ports;
use tillstream_app::aggregation::event::parse_event;
use tillstream_app::database::Table;
use tillstream_app::dispatch::dispatcher::{Dispatcher, Policy};
use tillstream_app::dispatch::signature::SigningSecret;
use tillstream_runtime::batch::dynamodb::Changes;
use tillstream_runtime::batch::kinesis::Kinesis;
use tillstream_runtime::batch::sqs::Sqs;
use tillstream_runtime::batch::{
    BatchFailed, BatchHandler, BatchResponse, Batches, Failures, Source, run_whole,
};
use tillstream_testkit::hq_stand_in::HqStandIn;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::memory_messaging::{MemoryQueue, MemoryStream};
use tillstream_testkit::test_environment::TestEnvironment;

use crate::alterations::{altered_json, any_text, json_input};
use crate::{guarded_async, samples};

struct World {
    database: Arc<MemoryDatabase>,
    environment: Arc<TestEnvironment>,
    ports: Ports,
}

impl World {
    fn new() -> Self {
        let (database, environment) = (Arc::new(MemoryDatabase::new()), Arc::new(TestEnvironment::new(1)));
        let ports = Ports { database: database.clone(), environment: environment.clone() };
        World { database, environment, ports }
    }

    fn queue(&self) -> Arc<MemoryQueue> {
        Arc::new(MemoryQueue::new(self.environment.clone()))
    }

    /// Runs a batch; answers how many of its records were parked.
    async fn run<S: Source>(
        &self,
        handler: &impl BatchHandler<S::Record>,
        event: &str,
    ) -> (Result<BatchResponse, BatchFailed>, usize) {
        let batches = Batches::telling("fuzzed", &self.ports, Failures::Report);
        let answer = run_whole::<S, _>(&batches, handler, event).await;
        let items = self.database.items(Table::Dispatch);
        (answer, items.iter().filter(|item| item.opt_text("kind") == Some("parked_record")).count())
    }
}

/// An event of records in JSON text of any quality. What is no JSON at all fails the whole event.
fn event(records: &[Vec<u8>]) -> String {
    let records: Vec<_> = records.iter().map(|record| String::from_utf8_lossy(record)).collect();
    format!("{{\"Records\":[{}]}}", records.join(","))
}

fn is_json(event: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(event).is_ok()
}

/// Whether the times that AWS writes beside a record are such: `aws_lambda_events` overflows on others.
fn plain_times(record: &[u8]) -> bool {
    String::from_utf8_lossy(record).to_lowercase().split("\"approximate").skip(1).all(|rest| {
        let value = rest.split([':', ',', '}']).nth(1).unwrap_or_default();
        value.len() <= 14 && value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    })
}

/// Records of a Kinesis stream with events of any quality in them.
fn sale_records() -> impl Strategy<Value = Vec<u8>> {
    let outer = samples::records("sales-aggregator");
    let frame = outer[0].clone();
    prop_oneof![
        1 => json_input(outer).prop_filter("times of AWS", |record| plain_times(record)),
        2 => (json_input(samples::sale_events()), any::<u32>()).prop_map(move |(data, number)| {
            let mut record = frame.clone();
            record["kinesis"]["data"] = STANDARD.encode(data).into();
            record["kinesis"]["sequenceNumber"] = number.to_string().into();
            record.to_string().into_bytes()
        }),
    ]
}

/// Messages with wake-ups of any quality in them.
fn messages() -> impl Strategy<Value = Vec<u8>> {
    let outer = samples::records("hq-dispatcher");
    let frame = outer[0].clone();
    let wake_up = json!({"version": 1, "tenant_id": "demo", "order_id": "o-1", "order_version": 1});
    let body = prop_oneof![4 => altered_json(vec![wake_up]), 1 => any_text()];
    prop_oneof![
        1 => json_input(outer),
        2 => (body, any::<u32>()).prop_map(move |(body, number)| {
            let mut record = frame.clone();
            record["body"] = body.into();
            record["messageId"] = number.to_string().into();
            record.to_string().into_bytes()
        }),
    ]
}

/// Attributes of types that this system does not write.
fn odd_changes() -> Vec<Value> {
    let mut records = samples::records("event-relay");
    let mut odd = records[0].clone();
    odd["dynamodb"]["NewImage"]["odd"] =
        json!({"L": [{"NULL": true}, {"SS": ["a"]}, {"N": "1e5"}, {"B": "%"}]});
    records.push(odd);
    records
}

/// No record is taken for done that was neither handled nor parked: garbage is parked, or comes again.
fn accounted(
    event: &str,
    ran: &(Result<BatchResponse, BatchFailed>, usize),
    readable: impl Fn(&str) -> bool,
) {
    let (answer, parked) = ran;
    match answer {
        Err(_) => {}
        Ok(answer) => {
            assert!(is_json(event), "{event}");
            #[derive(serde::Deserialize)]
            struct Event<'a> {
                #[serde(rename = "Records", borrow)]
                records: Vec<&'a serde_json::value::RawValue>,
            }
            let event: Event<'_> = serde_json::from_str(event).unwrap();
            let unreadable = event.records.iter().any(|record| !readable(record.get()));
            assert!(!unreadable || *parked > 0 || !answer.batch_item_failures.is_empty());
        }
    }
}

proptest! {
    #[test]
    fn changes_of_tables_are_relayed_parked_or_come_again(
        records in vec(json_input(odd_changes()).prop_filter("times of AWS", |record| plain_times(record)), 0..4),
    ) {
        let event = event(&records);
        guarded_async(event.len(), 400, async {
            let world = World::new();
            let stream = Arc::new(MemoryStream::new(2, world.environment.clone()));
            let relay = event_relay::Relay { ports: world.ports.clone(), stream, queue: world.queue() };
            let ran = world.run::<Changes>(&relay, &event).await;
            accounted(&event, &ran, |record| Changes::read(record).is_ok());
        });
    }

    #[test]
    fn sales_are_folded_parked_or_come_again(records in vec(sale_records(), 0..4)) {
        let event = event(&records);
        guarded_async(event.len(), 400, async {
            let world = World::new();
            let aggregator = sales_aggregator::Aggregator { ports: world.ports.clone() };
            let ran = world.run::<Kinesis>(&aggregator, &event).await;
            accounted(&event, &ran, |record| {
                Kinesis::read(record).is_ok_and(|record| parse_event(&record.data).is_ok())
            });
        });
    }

    #[test]
    fn wake_ups_are_acted_on_parked_or_come_again(records in vec(messages(), 0..4)) {
        let event = event(&records);
        guarded_async(event.len(), 400, async {
            let world = World::new();
            let secret = SigningSecret::parse("a secret between tillstream and hq").unwrap();
            let dispatcher = Dispatcher {
                ports: world.ports.clone(),
                queue: world.queue(),
                transport: Arc::new(HqStandIn::new(secret.clone(), world.environment.clone())),
                secret,
                policy: Policy::default(),
            };
            let ran = world.run::<Sqs>(&hq_dispatcher::WakeUps(dispatcher), &event).await;
            accounted(&event, &ran, |record| Sqs::read(record).is_ok());
        });
    }

    /// What goes on the stream reads back as it was; what is altered is read or refused.
    #[test]
    fn sale_events_round_trip(data in json_input(samples::sale_events())) {
        let read = crate::guarded(data.len(), 100, || parse_event(&data));
        if let Ok(event) = read {
            let again = serde_json::to_vec(&event).unwrap();
            prop_assert_eq!(parse_event(&again).unwrap(), event);
        }
    }
}
