//! Whole sales of three lines, eight commands each, by many clients at once: through the function's
//! router, the real adapter and HTTP to dynoxide, all on this machine.
//!
//! `JOURNEYS=100 cargo bench …` times that many, to try a change; the figure is that of the full count.
#![allow(
    clippy::unwrap_used,
    clippy::float_arithmetic,
    missing_docs,
    reason = "a benchmark that cannot go on stops"
)]

#[path = "../tests/real_days/day.rs"]
#[allow(dead_code, reason = "of a day only its products are sold here")]
mod day;
#[allow(dead_code, reason = "a client has its tills only")]
mod till;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tillstream_testkit::emulator::DynamoFixture;
use tillstream_testkit::test_environment::TestEnvironment;
use tillstream_tests::bench_report::{Report, Target};

use crate::till::{Sale, Tills, products};

/// Clients at once, each at a register of its own.
const CLIENTS: u64 = 16;
const REGISTERS: u64 = 4;
/// Journeys before the clock starts, and those that are timed.
const WARM_UP: u64 = 200;
const JOURNEYS: u64 = 4_000;
/// How often a run tells how far it is.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// create, three lines, customer, tender, pay, finalise.
async fn journey(tills: &Tills, client: u64, number: u64, products: &[(String, String, String)]) {
    let (store, register) = (client / REGISTERS + 1, client % REGISTERS + 1);
    let mut sale = Sale::open(tills, &format!("s-{store}"), &format!("r-{register}"), number).await;
    let first = usize::try_from(number * 7).unwrap();
    for at in 0..3 {
        // Three different products: the distance has no factor in common with their number.
        sale.add(&products[(first + at * 101) % products.len()].0).await;
    }
    sale.command("set_customer", json!({"customer_id": "17850"})).await;
    sale.pay().await;
    let done = sale.command("finalize_order", json!({})).await;
    assert_eq!(done["result"]["order_id"], json!(sale.cart));
}

async fn run(
    tills: &Tills,
    numbers: std::ops::Range<u64>,
    products: &Arc<Vec<(String, String, String)>>,
) -> Vec<Duration> {
    let next = Arc::new(AtomicU64::new(numbers.start));
    let clients = (0..CLIENTS).map(|client| {
        let (tills, next, products, end) = (tills.clone(), next.clone(), products.clone(), numbers.end);
        tokio::spawn(async move {
            let mut times = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= end {
                    return times;
                }
                let begin = Instant::now();
                journey(&tills, client, number, &products).await;
                times.push(begin.elapsed());
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    let (begin, first, end) = (Instant::now(), numbers.start, numbers.end);
    let telling = tokio::spawn(async move {
        loop {
            tokio::time::sleep(TELL_EVERY).await;
            // Each client has taken one number too many when it ends.
            let begun = next.load(Ordering::Relaxed).min(end) - first;
            println!("# {begun} of {} journeys begun after {} s", end - first, begin.elapsed().as_secs());
        }
    });
    let mut times = Vec::new();
    for client in clients {
        times.extend(client.await.unwrap());
    }
    telling.abort();
    times
}

async fn measure() {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("# load before: {}", load.trim());
    let journeys = std::env::var("JOURNEYS").map_or(JOURNEYS, |count| count.parse().unwrap());
    let fixture = DynamoFixture::dynoxide().await.unwrap();
    let mut products = products();
    products.truncate(500);
    let stores = usize::try_from(CLIENTS / REGISTERS).unwrap();
    let environment = Arc::new(TestEnvironment::real(1));
    let begin = Instant::now();
    let tills = Tills::open(fixture.database.clone(), environment, stores, &products).await;
    println!("# {stores} stores with {} products each in {} s", products.len(), begin.elapsed().as_secs());
    let products = Arc::new(products);
    let warm_up = WARM_UP.min(journeys);
    run(&tills, 0..warm_up, &products).await;
    println!("# {warm_up} journeys to warm up; {journeys} timed");
    let begin = Instant::now();
    let mut times = run(&tills, warm_up..warm_up + journeys, &products).await;
    let took = begin.elapsed();
    times.sort_unstable();
    let percentile = |of: usize| times[(times.len() - 1) * of / 100].as_secs_f64() * 1e3;
    let mut report = Report::of_times("journeys");
    #[allow(clippy::cast_precision_loss, reason = "a count of journeys")]
    let rate = journeys as f64 / took.as_secs_f64();
    report.figure("journeys_of_3_lines", rate.round(), "journeys/s", Target::AtLeast(300.0));
    report.figure("journeys_of_3_lines_p50", (percentile(50) * 100.0).round() / 100.0, "ms", Target::None);
    report.figure("journeys_of_3_lines_p99", (percentile(99) * 100.0).round() / 100.0, "ms", Target::None);
    if journeys == JOURNEYS {
        report.write().unwrap();
    } else {
        println!("# not kept: only {journeys} of {JOURNEYS} journeys");
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    worker::run(|| runtime.block_on(measure()), worker::told_only);
}
