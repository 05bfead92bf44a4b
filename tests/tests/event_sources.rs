//! From a write to the function that hears of it: the test bed's event sources and the batch adapters
//! understand one another, and nothing is lost between them.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tillstream_app::Ports;
use tillstream_app::database::{Change, Database, Item, Query, Table, Value, Write};
use tillstream_app::keys;
use tillstream_app::ports::{EventStream, StreamRecord, WakeUp, WakeUpQueue};
use tillstream_app::tenancy::TenantScope;
use tillstream_runtime::batch::dynamodb::{Change as Changed, ChangeKind, Changes};
use tillstream_runtime::batch::kinesis::{Kinesis, KinesisRecord};
use tillstream_runtime::batch::sqs::{Sqs, SqsRecord};
use tillstream_runtime::batch::{Batches, Failure, Failures, RecordHandler, run_each};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::memory_messaging::{MemoryQueue, MemoryStream};
use tillstream_testkit::poller::{QueuePoller, StreamPoller, StreamSettings, TableChanges};
use tillstream_testkit::test_environment::TestEnvironment;

/// Old and new image of each change, by partition key.
type Images = BTreeMap<String, Vec<(Option<Item>, Option<Item>)>>;

/// Keeps what it hears; fails on its square-numbered calls (often at first, ever more rarely, so that a
/// batch repeated whole gets through), and for ever on what it takes for poison.
struct Hearing<R> {
    heard: Mutex<Vec<R>>,
    calls: Mutex<u32>,
    poison: fn(&R) -> bool,
}

impl<R> Hearing<R> {
    fn new(poison: fn(&R) -> bool) -> Self {
        Hearing { heard: Mutex::default(), calls: Mutex::default(), poison }
    }
}

#[async_trait::async_trait]
impl<R: Clone + Send + Sync> RecordHandler<R> for Hearing<R> {
    async fn handle(&self, record: &R) -> Result<(), Failure> {
        if (self.poison)(record) {
            return Err(Failure::Poison("cannot be understood".into()));
        }
        let call = {
            let mut calls = self.calls.lock().unwrap();
            *calls += 1;
            *calls
        };
        if call.isqrt().pow(2) == call {
            return Err(Failure::Transient("busy".into()));
        }
        self.heard.lock().unwrap().push(record.clone());
        Ok(())
    }
}

struct Bed {
    environment: Arc<TestEnvironment>,
    database: Arc<MemoryDatabase>,
}

impl Bed {
    fn new() -> Self {
        let environment = Arc::new(TestEnvironment::new(1));
        Bed { database: Arc::new(MemoryDatabase::with_environment(environment.clone())), environment }
    }

    fn batches(&self, failures: Failures) -> Batches {
        let ports = Ports { database: self.database.clone(), environment: self.environment.clone() };
        Batches::telling("test", &ports, failures)
    }

    async fn parked(&self) -> usize {
        let query = Query::partition(Table::Dispatch, keys::parked_records());
        self.database.query(query).await.unwrap().items.len()
    }
}

#[tokio::test]
async fn every_change_is_heard_of_with_its_images() {
    let bed = Bed::new();
    let scope = TenantScope::from_own_record("t");
    let mut expected = Images::new();
    for n in 0..20_i64 {
        let key = scope.cart(&n.to_string());
        let inner = [("deep".to_owned(), Value::L(vec![Value::B(vec![0, 255]), Value::Bool(false)]))];
        let made = Item::new(&key).with("n", n).with("text", "ü").with("map", Value::M(inner.into()));
        let changed = made.clone().with("lane_number", n);
        let put = Write::Put { table: Table::Orders, item: made.clone(), condition: None };
        bed.database.write(put).await.unwrap();
        let changes = vec![Change::Set("lane_number", n.into())];
        let update = Write::Update { table: Table::Orders, key: key.clone(), changes, condition: None };
        bed.database.write(update).await.unwrap();
        let images = vec![(None, Some(made.clone())), (Some(made), Some(changed))];
        expected.insert(key.pk().to_owned(), images);
    }
    for (failures, goes_back) in [(Failures::Report, 0), (Failures::Raise, 0), (Failures::Report, 200)] {
        let source =
            TableChanges { database: bed.database.clone(), table: Table::Orders, new_image_has: None };
        let settings = StreamSettings { batch_size: 4, goes_back, ..StreamSettings::default() };
        let mut poller = StreamPoller::new(Arc::new(source), settings);
        let batches = bed.batches(failures);
        let hearing = Hearing::<Changed>::new(|_| false);
        let handler = async |event: String| {
            let response = run_each::<Changes, _>(&batches, &hearing, &event).await;
            response
                .map_err(|e| e.to_string())
                .and_then(|r| serde_json::to_value(r).map_err(|e| e.to_string()))
        };
        poller.run(500, &handler).await.unwrap();
        let heard = hearing.heard.into_inner().unwrap();
        let mut images = Images::new();
        for change in &heard {
            assert_eq!(change.kind == ChangeKind::Insert, change.old.is_none());
            assert_eq!(change.table_name.as_deref(), Some("tillstream-orders"));
            let item = change.new.as_ref().unwrap();
            let images = images.entry(item.text("pk").unwrap().to_owned()).or_default();
            let pair = (change.old.clone(), change.new.clone());
            if !images.contains(&pair) {
                images.push(pair);
            }
        }
        assert_eq!(images, expected, "{failures:?}, going back {goes_back}");
    }
    assert_eq!(bed.parked().await, 0);
}

#[tokio::test]
async fn every_event_is_heard_once_more_or_parked() {
    let bed = Bed::new();
    let stream = Arc::new(MemoryStream::new(2, bed.environment.clone()));
    let record = |n: u8| StreamRecord { partition_key: format!("k{}", n % 5), data: vec![n, 0, 255] };
    stream.publish(&(0..50).map(record).collect::<Vec<_>>()).await.unwrap();
    let settings = StreamSettings { batch_size: 8, parallelization_factor: 2, ..StreamSettings::default() };
    let mut poller = StreamPoller::new(stream, settings);
    let batches = bed.batches(Failures::Report);
    let hearing = Hearing::<KinesisRecord>::new(|record| record.data[0] == 13);
    let handler = async |event: String| {
        let response = run_each::<Kinesis, _>(&batches, &hearing, &event).await;
        response.map_err(|e| e.to_string()).and_then(|r| serde_json::to_value(r).map_err(|e| e.to_string()))
    };
    poller.run(200, &handler).await.unwrap();
    let mut heard: Vec<u8> = hearing.heard.into_inner().unwrap().iter().map(|r| r.data[0]).collect();
    heard.sort_unstable();
    assert_eq!(heard, (0..50).filter(|n| *n != 13).collect::<Vec<u8>>());
    assert_eq!(bed.parked().await, 1);
}

#[tokio::test]
async fn every_wake_up_is_heard_in_the_order_of_its_group() {
    let bed = Bed::new();
    let queue = Arc::new(MemoryQueue::new(bed.environment.clone()));
    let wake_up =
        |n: u32| WakeUp { group: format!("g{}", n % 3), deduplication: format!("d{n}"), body: n.to_string() };
    queue.send(&(0..30).map(wake_up).collect::<Vec<_>>()).await.unwrap();
    let mut poller = QueuePoller::new(queue.clone(), 10);
    let batches = bed.batches(Failures::Report);
    let hearing = Hearing::<SqsRecord>::new(|_| false);
    let handler = async |event: String| {
        let response = run_each::<Sqs, _>(&batches, &hearing, &event).await;
        response.map_err(|e| e.to_string()).and_then(|r| serde_json::to_value(r).map_err(|e| e.to_string()))
    };
    for _ in 0..200 {
        if !poller.poll(&handler).await {
            bed.environment.advance(Duration::from_secs(150));
        }
    }
    assert!(queue.is_empty());
    let mut by_group: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for record in hearing.heard.into_inner().unwrap() {
        by_group.entry(record.group.unwrap()).or_default().push(record.body.parse().unwrap());
    }
    assert_eq!(by_group.values().map(Vec::len).sum::<usize>(), 30);
    assert!(by_group.values().all(|numbers| numbers.is_sorted()), "{by_group:?}");
}
