//! What one order asks of each service, from a till's first command until HQ has it and it is counted:
//! requests, units of capacity, bytes, and time of the processor. `infra/bench/cost.py` makes prices of it.
//!
//! Everything runs through the functions' own handlers, on the database in memory, which prices each call
//! as DynamoDB does (the benchmark `capacity` compares). What is found goes to
//! `target/bench/parts/order_cost.json`: parts of a figure, and no figures themselves.
#![allow(
    clippy::unwrap_used,
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a benchmark that cannot go on stops; sums of an order are small"
)]

#[path = "../tests/real_days/day.rs"]
#[allow(dead_code, reason = "of a day only its products are sold here")]
mod day;
#[allow(dead_code, reason = "these sales are timed one by one")]
mod till;
mod timed;
mod worker;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::body::to_bytes;
use event_relay::Relay;
use hq_dispatcher::WakeUps;
use sales_aggregator::Aggregator;
use serde_json::{Value, json};
use stock_keeper::Keeper;
use tillstream_allocator as _;
use tillstream_app::Ports;
use tillstream_app::capacity::{CapacityKind, CapacityMeter, CapacityObserver, Consumed, Operation};
use tillstream_app::database::{Item, Table, Write};
use tillstream_app::dispatch::dispatcher::{Dispatcher, Policy};
use tillstream_app::dispatch::signature::SigningSecret;
use tillstream_app::dispatch::transport::{HqAnswer, HqRequest, HqTransport, HqTransportError};
use tillstream_app::environment::Environment;
use tillstream_app::ports::{EventStream, StreamRecord, WakeUp, WakeUpQueue};
use tillstream_runtime::batch::{
    BatchHandler, Batches, Failures, Source, dynamodb::Changes, kinesis::Kinesis, run_whole, sqs::Sqs,
};
use tillstream_runtime::schedule;
use tillstream_runtime::wide_event::{Metered, Outcome, Work};
use tillstream_testkit::event_payloads::{change_record, event, kinesis_record, queue_record};
use tillstream_testkit::hq_stand_in::HqStandIn;
use tillstream_testkit::memory_database::{MemoryDatabase, StreamChange, item_size};
use tillstream_testkit::memory_messaging::{MemoryQueue, MemoryStream};
use tillstream_testkit::test_environment::TestEnvironment;
use tower::ServiceExt;

use crate::till::{Sale, Tills, products};
use crate::timed::Timed;
use crate::worker::Printed;

/// Lines of an order.
const SIZES: [usize; 2] = [3, 20];
/// Orders of the day before any is measured: pages are as large as they are then.
const BEFORE: u64 = 1_000;
/// Orders measured one by one, and in full batches.
const ALONE: u64 = 100;
const TOGETHER: u64 = 500;
/// Registers of a store.
const REGISTERS: u64 = 4;
/// Stores of the two worlds that the keeper sweeps, and orders of each: what a further store costs is the
/// difference, shared out. Both have more stock items than one sweep's walk through the ledger takes, and
/// every one has moved since: the walk is as dear as it can be in both.
const STORES: [u64; 2] = [2, 6];
const ORDERS_OF_EACH: u64 = 20;
/// What DynamoDB adds to each item, and to each entry of an index, when it bills for storage (Developer
/// Guide, "DynamoDB item sizes and formats").
const ITEM_OVERHEAD: usize = 100;
/// A request's id, as Lambda makes them.
const REQUEST: &str = "5a1e4b1d-9c3f-4b1d-8c3f-0123456789ab";
/// The line that tells the parent what was found.
const FOUND: &str = "found ";
/// The line that tells the parent what the log's next lines belong to.
const STAGE: &str = "stage ";

/// Largest batches, as the template sets them.
const RELAY_BATCH: usize = 100;
const AGGREGATOR_BATCH: usize = 500;
const DISPATCHER_BATCH: usize = 10;

/// Tells the functions' wide events what calls cost, as their own adapter does, and the benchmark.
struct Both(Arc<CapacityMeter>);

impl CapacityObserver for Both {
    fn consumed(&self, operation: Operation, consumed: &[Consumed]) {
        Metered.consumed(operation, consumed);
        self.0.consumed(operation, consumed);
    }
}

/// Counts calls and bytes that leave for other services.
#[derive(Default)]
struct Sent {
    calls: AtomicU64,
    records: AtomicU64,
    bytes: AtomicU64,
}

impl Sent {
    fn add(&self, records: usize, bytes: usize) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.records.fetch_add(records as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn take(&self) -> [f64; 3] {
        [&self.calls, &self.records, &self.bytes].map(|count| count.swap(0, Ordering::Relaxed) as f64)
    }
}

struct CountedStream(Arc<MemoryStream>, Arc<Sent>);

#[async_trait]
impl EventStream for CountedStream {
    async fn publish(&self, records: &[StreamRecord]) -> tillstream_app::Result<Vec<usize>> {
        // Kinesis bills each record in whole kilobytes, its key included.
        let bytes =
            records.iter().map(|r| (r.data.len() + r.partition_key.len()).div_ceil(1024) * 1024).sum();
        self.1.add(records.len(), bytes);
        self.0.publish(records).await
    }
}

struct CountedQueue(Arc<MemoryQueue>, Arc<Sent>);

#[async_trait]
impl WakeUpQueue for CountedQueue {
    async fn send(&self, wake_ups: &[WakeUp]) -> tillstream_app::Result<Vec<usize>> {
        self.1.add(wake_ups.len(), wake_ups.iter().map(|one| one.body.len()).sum());
        self.0.send(wake_ups).await
    }

    async fn postpone(&self, receipt: &str, delay: Duration) -> tillstream_app::Result<()> {
        self.1.add(0, 0);
        self.0.postpone(receipt, delay).await
    }
}

struct CountedHq(Arc<HqStandIn>, Arc<Sent>);

#[async_trait]
impl HqTransport for CountedHq {
    async fn post(&self, request: HqRequest) -> Result<HqAnswer, HqTransportError> {
        let headers: usize = request.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        self.1.add(1, request.body.len() + headers);
        self.0.post(request).await
    }
}

/// One tenant, its stores, all functions.
struct World {
    memory: Arc<MemoryDatabase>,
    database: Arc<Timed>,
    meter: Arc<CapacityMeter>,
    ports: Ports,
    tills: Tills,
    stream: Arc<MemoryStream>,
    queue: Arc<MemoryQueue>,
    relay: Relay,
    aggregator: Aggregator,
    dispatcher: WakeUps,
    sent: [Arc<Sent>; 3],
    products: Vec<(String, String, String)>,
    stores: u64,
    orders: u64,
    seen: BTreeMap<Table, u64>,
    events: usize,
}

/// Sums of what a function did.
#[derive(Default)]
struct Done {
    invocations: u64,
    processor: Duration,
    sums: BTreeMap<String, f64>,
}

impl World {
    async fn new(stores: u64) -> World {
        let environment = Arc::new(TestEnvironment::new(1));
        environment.set("2026-03-02T09:00:00.123456789Z".parse().unwrap());
        let meter = Arc::new(CapacityMeter::default());
        let memory = Arc::new(
            MemoryDatabase::with_environment(environment.clone()).observed_by(Arc::new(Both(meter.clone()))),
        );
        let database = Arc::new(Timed::new(memory.clone()));
        let products = products();
        let tills =
            Tills::open(database.clone(), environment.clone(), usize::try_from(stores).unwrap(), &products)
                .await;
        let ports =
            Ports { database: database.clone(), environment: environment.clone() as Arc<dyn Environment> };
        let sent: [Arc<Sent>; 3] = Default::default();
        let stream = Arc::new(MemoryStream::new(1, environment.clone()));
        let queue = Arc::new(MemoryQueue::new(environment.clone()));
        let secret = SigningSecret::parse("whsec_bWVhc3VyZWQgYW5kIG5ldmVyIHNlbnQgdG8gYW55Ym9keQ==").unwrap();
        let hq = Arc::new(HqStandIn::new(secret.clone(), environment));
        let counted_queue = Arc::new(CountedQueue(queue.clone(), sent[1].clone()));
        let relay = Relay {
            ports: ports.clone(),
            stream: Arc::new(CountedStream(stream.clone(), sent[0].clone())),
            queue: counted_queue.clone(),
        };
        let dispatcher = WakeUps(Dispatcher {
            ports: ports.clone(),
            queue: counted_queue,
            transport: Arc::new(CountedHq(hq, sent[2].clone())),
            secret,
            policy: Policy::default(),
        });
        let aggregator = Aggregator { ports: ports.clone() };
        let mut world = World {
            memory,
            database,
            meter,
            ports,
            tills,
            stream,
            queue,
            relay,
            aggregator,
            dispatcher,
            sent,
            products,
            stores,
            orders: 0,
            seen: BTreeMap::new(),
            events: 0,
        };
        // As the catalogue feed enters it: the keeper looks after tenants that it knows.
        let scope = &world.tills.shop.scope;
        let entry =
            Item::new(&scope.registry_entry()).with("kind", "tenant").with("tenant_id", scope.tenant_id());
        let write = Write::Put { table: Table::Catalog, item: entry, condition: None };
        world.ports.database.write(write).await.unwrap();
        // What filled the shelves is no order's, but belongs into the ledger.
        println!("{STAGE}before");
        world.relay(RELAY_BATCH, &mut Done::default()).await;
        world
    }

    /// Changes of a table since this was last asked, of which the event source's filter lets through those
    /// whose new image has `member`.
    fn changes(&mut self, table: Table) -> Vec<StreamChange> {
        let member = if table == Table::Orders { "lane_number" } else { "seq" };
        let after = self.seen.entry(table).or_default();
        let mut changes = self.memory.changes(table, *after);
        *after = self.memory.last_change(table);
        changes.retain(|change| change.new.as_ref().is_some_and(|new| new.get(member).is_some()));
        changes
    }

    /// A sale from its cart to its number, as `journeys` has it: create, lines, customer, tender, pay,
    /// finalise.
    async fn sell(&mut self, lines: usize, done: &mut Done) {
        self.orders += 1;
        let number = self.orders;
        let store = format!("s-{}", number % self.stores + 1);
        let register = format!("r-{}", number / self.stores % REGISTERS + 1);
        let mut sale =
            Sale { tills: &self.tills, store, register, cart: till::uuid(1, number), commands: 0, number };
        let first = usize::try_from(number * 7).unwrap();
        let mut commands = vec![("create_cart", json!({}))];
        for at in 0..lines {
            let (sku, ..) = &self.products[(first + at * 101) % self.products.len()];
            commands.push(("add_line_item", json!({"sku": sku, "quantity": 2})));
        }
        commands.push(("set_customer", json!({"customer_id": "17850"})));
        commands.push(("set_tendering", json!({})));
        commands.push(("add_payment", Value::Null));
        commands.push(("finalize_order", json!({})));
        let mut due = Value::Null;
        for (action, payload) in commands {
            let payload = if payload.is_null() { json!({"tender": "card", "amount": due}) } else { payload };
            let envelope = sale.envelope(action, payload);
            let request = self.tills.request(&envelope);
            let router = self.tills.router();
            self.database.take();
            let begin = Instant::now();
            let answer = router.oneshot(request).await.unwrap();
            let (parts, body) = answer.into_parts();
            let body = to_bytes(body, usize::MAX).await.unwrap();
            done.processor += begin.elapsed().saturating_sub(self.database.take());
            done.invocations += 1;
            let headers: usize = parts.headers.iter().map(|(n, v)| n.as_str().len() + v.len() + 4).sum();
            *done.sums.entry("answer_bytes".to_owned()).or_default() += (body.len() + headers) as f64;
            let told: Value = serde_json::from_slice(&body).unwrap();
            assert!(parts.status.is_success(), "{action}: {told}");
            if action == "set_tendering" {
                due = told["cart"]["totals"]["due"].clone();
            }
        }
    }

    /// One invocation of a function behind a stream or a queue.
    async fn invoke<S: Source, H: BatchHandler<S::Record> + ?Sized>(
        &self,
        handler: &H,
        function: &'static str,
        records: &[Value],
        done: &mut Done,
    ) {
        let batches = Batches::telling(function, &self.ports, Failures::Report);
        let text = event(records).to_string();
        self.database.take();
        let begin = Instant::now();
        let work = Work::begin(function, REQUEST);
        let answer = work.scope(run_whole::<S, H>(&batches, handler, &text)).await.unwrap();
        work.name(S::NAME);
        work.end(Outcome::Ok, None, None);
        done.processor += begin.elapsed().saturating_sub(self.database.take());
        done.invocations += 1;
        assert!(answer.batch_item_failures.is_empty(), "{function}: {answer:?}");
    }

    /// Closes a stage: what it did, an order.
    fn found(&self, stage: &str, done: Done, orders: u64) {
        let sums = self.meter.take();
        let trips: u64 = sums.calls.values().sum();
        let mut found: BTreeMap<String, f64> = done.sums;
        found.insert("invocations".to_owned(), done.invocations as f64);
        found.insert("processor_us".to_owned(), done.processor.as_secs_f64() * 1e6);
        found.insert("database_round_trips".to_owned(), trips as f64);
        for ((table, index, kind), thousandths) in &sums.thousandths {
            let kind = if *kind == CapacityKind::Write { "write" } else { "read" };
            let of = if index.is_some() { "index" } else { "table" };
            let name = format!("{kind}_units_{of}_{table:?}").to_lowercase();
            *found.entry(name).or_default() += *thousandths as f64 / 1_000.0;
        }
        for (name, sent) in ["kinesis", "sqs", "hq"].into_iter().zip(&self.sent) {
            let [calls, records, bytes] = sent.take();
            for (what, count) in [("calls", calls), ("records", records), ("bytes", bytes)] {
                if count > 0.0 {
                    found.insert(format!("{name}_{what}"), count);
                }
            }
        }
        found.values_mut().for_each(|sum| *sum /= orders as f64);
        println!("{FOUND}{}", json!({"stage": stage, "orders": orders, "found": found}));
    }

    fn stage(&self, stage: &str) {
        println!("{STAGE}{stage}");
        self.meter.take();
        for sent in &self.sent {
            sent.take();
        }
    }

    /// Relays what has changed, in batches of at most `most`; each table's stream has its own.
    async fn relay(&mut self, most: usize, done: &mut Done) {
        for table in [Table::Orders, Table::Stock] {
            let changes = self.changes(table);
            let images = changes.iter().flat_map(|change| [&change.old, &change.new]).flatten();
            let bytes: usize = images.map(item_size).sum();
            *done.sums.entry("table_stream_bytes".to_owned()).or_default() += bytes as f64;
            for batch in changes.chunks(most) {
                let records: Vec<Value> = batch.iter().map(change_record).collect();
                self.invoke::<Changes, _>(&self.relay, event_relay::FUNCTION, &records, done).await;
            }
        }
    }

    /// Sells so many orders and takes them to their end, in batches of at most `most` records.
    async fn run(&mut self, name: &str, lines: usize, orders: u64, most: usize) {
        self.stage(&format!("{name} tills"));
        let mut done = Done::default();
        for _ in 0..orders {
            self.sell(lines, &mut done).await;
        }
        self.found(&format!("{name} tills"), done, orders);

        self.stage(&format!("{name} relay"));
        let mut done = Done::default();
        self.relay(most.min(RELAY_BATCH), &mut done).await;
        self.found(&format!("{name} relay"), done, orders);

        self.stage(&format!("{name} aggregator"));
        let mut done = Done::default();
        let events = self.stream.all().split_off(self.events);
        self.events += events.len();
        for batch in events.chunks(most.min(AGGREGATOR_BATCH)) {
            let records: Vec<Value> = batch.iter().map(|record| kinesis_record(0, record)).collect();
            self.invoke::<Kinesis, _>(&self.aggregator, sales_aggregator::FUNCTION, &records, &mut done)
                .await;
        }
        self.found(&format!("{name} aggregator"), done, orders);

        self.stage(&format!("{name} dispatcher"));
        let mut done = Done::default();
        loop {
            let received = self.queue.receive(most.min(DISPATCHER_BATCH));
            if received.is_empty() {
                break;
            }
            let records: Vec<Value> = received.iter().map(queue_record).collect();
            self.invoke::<Sqs, _>(&self.dispatcher, hq_dispatcher::FUNCTION, &records, &mut done).await;
            assert!(received.iter().all(|message| self.queue.delete(&message.receipt)));
        }
        assert!(self.queue.is_empty());
        self.found(&format!("{name} dispatcher"), done, orders);
    }

    /// Bytes that are billed for storage: items and entries of indexes, with what is added to each.
    fn stored(&self) -> usize {
        Table::ALL.into_iter().flat_map(|table| self.memory.items(table)).map(|item| billed(&item)).sum()
    }

    /// One sweep, when there is nothing to mend: each lane has given out numbers since the last.
    async fn sweep(&self, name: &str) {
        self.stage(name);
        let keeper = Keeper {
            ports: self.ports.clone(),
            stream: self.relay.stream.clone(),
            queue: self.relay.queue.clone(),
        };
        let work = Work::begin(stock_keeper::FUNCTION, REQUEST);
        self.database.take();
        let begin = Instant::now();
        let deadline = self.ports.environment.now().checked_add(jiff::SignedDuration::from_secs(60)).unwrap();
        schedule::run(&work, &keeper, deadline).await.unwrap();
        let processor = begin.elapsed().saturating_sub(self.database.take());
        self.found(name, Done { invocations: 1, processor, sums: BTreeMap::new() }, 1);
    }
}

/// What an item and its entries in indexes are billed for. An index has an entry where the item has the
/// index's key, `<name>_pk`; it repeats that key and the table's.
fn billed(item: &Item) -> usize {
    let of = |wanted: &dyn Fn(&str) -> bool| {
        let members = item.0.iter().filter(|(name, _)| wanted(name));
        item_size(&Item(members.map(|(name, value)| (name.clone(), value.clone())).collect()))
    };
    let indexes = item.0.keys().filter_map(|name| name.strip_suffix("_pk"));
    let entries: usize = indexes
        .map(|index| {
            let start = format!("{index}_");
            of(&|name| name == "pk" || name == "sk" || name.starts_with(&start)) + ITEM_OVERHEAD
        })
        .sum();
    item_size(item) + ITEM_OVERHEAD + entries
}

async fn measure() {
    for lines in SIZES {
        let mut world = World::new(1).await;
        println!("# orders of {lines} lines: {BEFORE} before any is measured");
        world.run("before", lines, BEFORE, AGGREGATOR_BATCH).await;
        let before = world.stored();
        world.run(&format!("{lines} alone"), lines, ALONE, 1).await;
        world.run(&format!("{lines} together"), lines, TOGETHER, AGGREGATOR_BATCH).await;
        let stored = (world.stored() - before) as f64 / (ALONE + TOGETHER) as f64;
        let found = json!({"stage": format!("{lines} stored"), "orders": ALONE + TOGETHER, "found": {"bytes": stored}});
        println!("{FOUND}{found}");
    }
    for stores in STORES {
        let mut world = World::new(stores).await;
        world.run("before", SIZES[0], stores * ORDERS_OF_EACH, AGGREGATOR_BATCH).await;
        world.sweep(&format!("keeper {stores}")).await;
    }
    println!("{STAGE}end");
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut stages, mut logged, mut stage) = (serde_json::Map::new(), BTreeMap::new(), String::new());
    worker::run(
        || runtime.block_on(measure()),
        |printed| match printed {
            Printed::Logged(bytes) => *logged.entry(stage.clone()).or_insert(0) += bytes,
            Printed::Told(text) => {
                if let Some(name) = text.strip_prefix(STAGE) {
                    name.clone_into(&mut stage);
                } else if let Some(found) = text.strip_prefix(FOUND) {
                    let found: Value = serde_json::from_str(found).unwrap();
                    let name = found["stage"].as_str().unwrap().to_owned();
                    if !name.starts_with("before") {
                        stages.insert(name, found);
                    }
                } else {
                    println!("{text}");
                }
            }
        },
    );
    for (name, stage) in &mut stages {
        if let Some(bytes) = logged.get(name) {
            let orders = stage["orders"].as_f64().unwrap();
            stage["found"]["log_bytes"] = json!(f64::from(u32::try_from(*bytes).unwrap()) / orders);
        }
        println!("# {name}: {}", stage["found"]);
    }
    let build = if cfg!(debug_assertions) { "dev" } else { "release" };
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench/parts"));
    std::fs::create_dir_all(&folder).unwrap();
    let text = serde_json::to_string_pretty(&json!({"build": build, "stages": stages})).unwrap() + "\n";
    std::fs::write(folder.join("order_cost.json"), text).unwrap();
}
