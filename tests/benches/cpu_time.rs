//! What the functions compute, by themselves: a token verified, a command answered, orders folded.
#![allow(
    clippy::unwrap_used,
    clippy::float_arithmetic,
    missing_docs,
    reason = "a benchmark that cannot go on stops"
)]

#[path = "../tests/real_days/day.rs"]
#[allow(dead_code, reason = "of a day only its products are sold here")]
mod day;
#[allow(dead_code, reason = "these sales are not finalised")]
mod till;
mod timed;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{Span, Timestamp};
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Context, LambdaEvent, service_fn};
use sales_aggregator::Aggregator;
use serde_json::{Value, json};
use tillstream_allocator as _;
use tillstream_app::Ports;
use tillstream_app::aggregation::event::{fact_of, parse_event};
use tillstream_app::database::Database;
use tillstream_app::environment::Environment;
use tillstream_contracts::events::SaleEvent;
use tillstream_domain::aggregates::{
    FactKind, FactLine, FactPayment, HourPage, PAGES_DEFAULT, ProductPage, SaleFact, page_of,
};
use tillstream_domain::compact;
use tillstream_domain::lane::Lane;
use tillstream_domain::money::Currency;
use tillstream_domain::quantity::Quantity;
use tillstream_runtime::auth::Authenticator;
use tillstream_runtime::batch::kinesis::Kinesis;
use tillstream_runtime::batch::{Batches, Failures, Source, run_whole};
use tillstream_runtime::counted_database::CountedDatabase;
use tillstream_runtime::http::request_of;
use tillstream_runtime::wide_event::{Metered, Outcome, Work};
use tillstream_testkit::emulator::DynamoFixture;
use tillstream_testkit::event_payloads::{event, kinesis_record};
use tillstream_testkit::made_up_sales::{Dice, busy_sale};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::memory_messaging::ShardRecord;
use tillstream_testkit::test_environment::TestEnvironment;
use tillstream_testkit::tokens::{AUDIENCE, Claims, ISSUER, TokenIssuer};
use tillstream_tests::bench_report::{Report, Target};
use tillstream_tests::cpu_clock::of_this_thread;
use tokio::runtime::{Builder, Runtime};
use tower::{Service, ServiceExt};

use crate::till::{Sale, TENANT, Tills, products};
use crate::timed::Timed;

/// Tokens verified, and commands answered.
const TIMES: usize = 2_000;
/// Commands answered by the whole function: each cart is made through the emulator before.
const WHOLE_TIMES: usize = 500;
/// Orders folded.
const ORDERS: usize = 200_000;
/// Orders of a store's day, as the benchmark `capacity` fills one.
const ORDERS_OF_A_DAY: usize = 2_000;
/// Days of which all orders begin as bytes.
const DAYS: usize = 50;
/// Orders of a batch, between pages as they are stored and pages to store.
const BATCH: usize = 500;
/// A request's id, as Lambda makes them.
const REQUEST: &str = "5a1e4b1d-9c3f-4b1d-8c3f-0123456789ab";

/// The value below which so many hundredths of `times` lie, in microseconds.
fn percentile(times: &mut [Duration], hundredths: usize) -> f64 {
    times.sort_unstable();
    times[(times.len() - 1) * hundredths / 100].as_secs_f64() * 1e6
}

async fn token_verification(report: &mut Report) {
    let database = Arc::new(MemoryDatabase::new());
    let environment = Arc::new(TestEnvironment::new(1));
    let issuer = TokenIssuer::new("key-1").unwrap();
    database.write(TokenIssuer::publish(&[&issuer])).await.unwrap();
    // Each one for the first time: what a token said is kept.
    let token = |number: usize| {
        let claims =
            Claims::new(TENANT, &["operator"], environment.now()).with("sub", format!("user-{number}"));
        issuer.token(&claims).unwrap()
    };
    let tokens: Vec<String> = (0..TIMES).map(token).collect();
    let authenticator = Authenticator::new(database, environment, ISSUER, AUDIENCE);
    authenticator.warm().await.unwrap();
    let mut times = Vec::with_capacity(TIMES);
    for token in &tokens {
        let begin = Instant::now();
        authenticator.verify(token).await.unwrap();
        times.push(begin.elapsed());
    }
    report.figure("token_verification", percentile(&mut times, 50), "µs", Target::AtMost(100.0));
    report.figure("token_verification_p99", percentile(&mut times, 99), "µs", Target::None);
}

/// The twentieth line of a cart, through the router: a token that was verified before, rules, encoding,
/// wide event. What the database in memory takes is not counted.
async fn warm_command(report: &mut Report) {
    let database = Arc::new(Timed::new(Arc::new(MemoryDatabase::new())));
    let products = products();
    let tills = Tills::open(database.clone(), Arc::new(TestEnvironment::new(1)), 1, &products[..40]).await;
    let mut times = Vec::with_capacity(TIMES);
    // The first tenth warms caches up.
    for number in 0..TIMES + TIMES / 10 {
        let mut sale = Sale::open(&tills, "s-1", "r-1", number as u64).await;
        for (sku, ..) in &products[..20] {
            sale.add(sku).await;
        }
        let payload = json!({"sku": products[20].0, "quantity": 2});
        let request = tills.request(&sale.envelope("add_line_item", payload));
        let router = tills.router();
        database.take();
        let begin = Instant::now();
        let answer = router.oneshot(request).await.unwrap();
        let took = begin.elapsed().saturating_sub(database.take());
        assert!(answer.status().is_success());
        if number >= TIMES / 10 {
            times.push(took);
        }
    }
    report.figure("warm_add_line_item", percentile(&mut times, 50), "µs", Target::AtMost(300.0));
    report.figure("warm_add_line_item_p99", percentile(&mut times, 99), "µs", Target::None);
}

/// The same command from the bytes of API Gateway's event to those of the answer, by the database client that
/// functions have. The database is on another thread: counted is what this one, the function's, was on a processor.
fn warm_whole_command(report: &mut Report) {
    let emulator = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let fixture = emulator.block_on(DynamoFixture::dynoxide()).unwrap();
    let products = products();
    let environment = Arc::new(TestEnvironment::new(1));
    let open = Tills::open(fixture.database.clone(), environment.clone(), 1, &products[..40]);
    let tills = emulator.block_on(open);
    let function = function_runtime();
    // Put together as functions do it.
    let client = fixture.adapter().observed_by(Arc::new(Metered));
    let database = Arc::new(CountedDatabase(Arc::new(client)));
    let router = function.block_on(tills.at_another_process(database, environment)).router();
    let mut handler = Adapter::from(service_fn(move |request: lambda_http::Request| {
        let router = router.clone();
        async move { router.oneshot(request_of(request)).await }
    }));
    let mut times = Vec::with_capacity(WHOLE_TIMES);
    // The first tenth warms caches up.
    for number in 0..WHOLE_TIMES + WHOLE_TIMES / 10 {
        let event = emulator.block_on(async {
            let mut sale = Sale::open(&tills, "s-1", "r-1", number as u64).await;
            for (sku, ..) in &products[..20] {
                sale.add(sku).await;
            }
            let payload = json!({"sku": products[20].0, "quantity": 2});
            tills.gateway_event(&sale.envelope("add_line_item", payload))
        });
        let (took, answer) = function.block_on(async {
            let begin = of_this_thread().unwrap();
            let event: LambdaRequest = serde_json::from_slice(&event).unwrap();
            let answer = handler.call(LambdaEvent::new(event, Context::default())).await.unwrap();
            let answer = serde_json::to_vec(&answer).unwrap();
            (of_this_thread().unwrap() - begin, answer)
        });
        let told: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(told["statusCode"], 200, "{told}");
        assert!(!took.is_zero(), "this system does not tell how long a thread was on a processor");
        if number >= WHOLE_TIMES / 10 {
            times.push(took);
        }
    }
    let name = "warm_add_line_item_with_gateway_and_adapter";
    report.figure(name, percentile(&mut times, 50), "µs", Target::AtMost(300.0));
    report.figure(&format!("{name}_p99"), percentile(&mut times, 99), "µs", Target::None);
}

fn fact(n: u64) -> SaleFact {
    let line = |at: u64| {
        let product = (n * 7 + at * 1_301) % 4_000;
        FactLine {
            sku: (20_000 + product).to_string(),
            category: Some(format!("category-{}", product % 10)),
            quantity: Quantity::from_pieces(2).unwrap(),
            gross: 510,
            discount: 10,
            tax: 100,
        }
    };
    let register = format!("r-{}", n % 4);
    SaleFact {
        kind: FactKind::Sale,
        lane: Lane::new("s-1", register.as_str()),
        number: n / 4 + 1,
        business_day: "2010-12-01".parse().unwrap(),
        hour_start: Timestamp::from_second(1_291_190_400).unwrap(),
        offset_seconds: 0,
        register_id: register,
        employee_id: format!("e-{}", n % 6),
        channel: "pos".to_owned(),
        segment: None,
        currency: Currency::GBP,
        lines: vec![line(0), line(1), line(2)],
        payments: vec![
            FactPayment { tender: "card".to_owned(), amount: 1_000, tip: 0 },
            FactPayment { tender: "cash".to_owned(), amount: 800, tip: 0 },
        ],
    }
}

/// The same order at its hour, of 12 that a store is open: a day's orders come one after the other.
fn fact_of_12_hours(n: u64) -> SaleFact {
    let of_day = ORDERS_OF_A_DAY as u64;
    let hour = i64::try_from(n % of_day * 12 / of_day).unwrap();
    let fact = fact(n);
    let hour_start = fact.hour_start.checked_add(Span::new().hours(hour)).unwrap();
    SaleFact { hour_start, ..fact }
}

/// A day's orders of three lines as the relay writes them onto the stream, over 12 hours.
fn records() -> Vec<ShardRecord> {
    let mut dice = Dice(77);
    let record = |n: usize| {
        let hour = i64::try_from(n * 12 / ORDERS_OF_A_DAY).unwrap();
        let n = n as u64;
        let sale = SaleEvent {
            // As long as the ids that tills make.
            order_id: till::uuid(1, n),
            ..busy_sale(&mut dice, n % 4, n / 4 + 1, 3, hour)
        };
        ShardRecord {
            sequence: n + 1,
            partition_key: sale.partition_key(),
            data: serde_json::to_vec(&sale).unwrap(),
            at: sale.occurred_at,
        }
    };
    (0..ORDERS_OF_A_DAY).map(record).collect()
}

/// Pages of a store's day, as they are stored.
struct StoredDay {
    hours: BTreeMap<Timestamp, Vec<u8>>,
    products: Vec<Vec<u8>>,
}

impl StoredDay {
    fn new() -> Self {
        let pages = usize::try_from(PAGES_DEFAULT).unwrap();
        let products = vec![compact::encode(&ProductPage::default()).unwrap(); pages];
        StoredDay { hours: BTreeMap::new(), products }
    }

    /// Folds a batch as the aggregator does it: each page that it touches is decoded, folded and encoded.
    fn fold(&mut self, batch: &[SaleFact]) {
        let mut of_hours = BTreeMap::<Timestamp, Vec<&SaleFact>>::new();
        let mut of_products = BTreeMap::<u32, Vec<&SaleFact>>::new();
        for fact in batch {
            of_hours.entry(fact.hour_start).or_default().push(fact);
            let of_lines: BTreeSet<u32> =
                fact.lines.iter().map(|line| page_of(&line.sku, PAGES_DEFAULT)).collect();
            for page in of_lines {
                of_products.entry(page).or_default().push(fact);
            }
        }
        for (start, facts) in of_hours {
            let stored = self.hours.get(&start);
            let mut hour: HourPage =
                stored.map(|stored| compact::decode(stored).unwrap()).unwrap_or_default();
            for fact in facts {
                assert!(hour.fold(fact), "an order was taken for counted");
            }
            self.hours.insert(start, compact::encode(&hour).unwrap());
        }
        for (page, facts) in of_products {
            let stored = &mut self.products[usize::try_from(page).unwrap()];
            let mut products: ProductPage = compact::decode(stored).unwrap();
            for fact in facts {
                assert!(products.fold(fact, page, PAGES_DEFAULT), "an order was taken for counted");
            }
            *stored = compact::encode(&products).unwrap();
        }
    }

    fn tell(&self, of: &str) {
        let count = self.hours.len();
        let hours: usize = self.hours.values().map(Vec::len).sum();
        let products: usize = self.products.iter().map(Vec::len).sum();
        println!("# {of}; stored of one: {count} hours {hours} bytes, products {products} bytes");
    }
}

fn rate(orders: usize, took: Duration) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a count of orders")]
    let rate = orders as f64 / took.as_secs_f64();
    rate.round()
}

/// Three-line orders into hours' pages and days' product pages, on one core, batch by batch.
fn fold(report: &mut Report) {
    let asked = Target::AtLeast(100_000.0);
    let facts: Vec<SaleFact> = (0..ORDERS as u64).map(fact).collect();
    report.figure("fold_3_line_orders", fold_days(&facts, ORDERS_OF_A_DAY), "orders/s", asked);
    // A day that no store has: what a page knows of its orders grows with them.
    report.figure("fold_3_line_orders_all_of_one_day", fold_days(&facts, ORDERS), "orders/s", Target::None);
    let facts: Vec<SaleFact> = (0..ORDERS as u64).map(fact_of_12_hours).collect();
    report.figure("fold_3_line_orders_over_12_hours", fold_days(&facts, ORDERS_OF_A_DAY), "orders/s", asked);
    let records = records();
    report.figure("fold_3_line_orders_from_record_bytes", fold_bytes(&records), "orders/s", asked);
    let by_function = function_runtime().block_on(fold_by_function(&records));
    report.figure("fold_3_line_orders_by_the_whole_function", by_function, "orders/s", Target::None);
}

/// Orders a second, into days of so many.
fn fold_days(facts: &[SaleFact], orders_of_a_day: usize) -> f64 {
    let mut stored = StoredDay::new();
    let begin = Instant::now();
    for day in facts.chunks(orders_of_a_day) {
        stored = StoredDay::new();
        for batch in day.chunks(BATCH) {
            stored.fold(batch);
        }
    }
    let took = begin.elapsed();
    stored.tell(&format!("days of {orders_of_a_day} orders"));
    rate(facts.len(), took)
}

/// The same from the bytes of the stream's records: each is read, checked and made a fact. One day, again and again.
fn fold_bytes(records: &[ShardRecord]) -> f64 {
    let mut stored = StoredDay::new();
    let begin = Instant::now();
    for _ in 0..DAYS {
        stored = StoredDay::new();
        for batch in records.chunks(BATCH) {
            let read = |record: &ShardRecord| fact_of(parse_event(&record.data).unwrap()).unwrap();
            let facts: Vec<SaleFact> = batch.iter().map(read).collect();
            stored.fold(&facts);
        }
    }
    let took = begin.elapsed();
    let bytes: usize = records.iter().map(|record| record.data.len()).sum();
    stored.tell(&format!("records of {} bytes", bytes / records.len()));
    rate(DAYS * records.len(), took)
}

/// The whole aggregator: from Lambda's event to its answer. What the database in memory takes is not counted.
async fn fold_by_function(records: &[ShardRecord]) -> f64 {
    let records: Vec<Value> = records.iter().map(|record| kinesis_record(0, record)).collect();
    let events: Vec<String> = records.chunks(BATCH).map(|batch| event(batch).to_string()).collect();
    let mut took = Duration::ZERO;
    for _ in 0..DAYS {
        let database = Arc::new(Timed::new(Arc::new(MemoryDatabase::new())));
        let ports = Ports { database: database.clone(), environment: Arc::new(TestEnvironment::new(1)) };
        let batches = Batches::telling(sales_aggregator::FUNCTION, &ports, Failures::Report);
        let aggregator = Aggregator { ports };
        for event in &events {
            let begin = Instant::now();
            let work = Work::begin(sales_aggregator::FUNCTION, REQUEST);
            let answer = work.scope(run_whole::<Kinesis, _>(&batches, &aggregator, event)).await.unwrap();
            work.name(Kinesis::NAME);
            work.end(Outcome::Ok, None, None);
            took += begin.elapsed().saturating_sub(database.take());
            assert!(answer.batch_item_failures.is_empty(), "{answer:?}");
        }
    }
    rate(DAYS * records.len(), took)
}

/// One thread, as a function has it.
fn function_runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn measure() {
    let mut report = Report::of_times("cpu_time");
    function_runtime().block_on(token_verification(&mut report));
    function_runtime().block_on(warm_command(&mut report));
    warm_whole_command(&mut report);
    fold(&mut report);
    report.write().unwrap();
}

fn main() {
    worker::run(measure, worker::told_only);
}
