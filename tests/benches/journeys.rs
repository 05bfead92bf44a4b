//! Whole sales of three lines, eight commands each, by many clients at once: through the function's
//! router, the real adapter and HTTP to dynoxide, all on this machine.
//!
//! The functions are one thread each with a router, a database client and connections of its own, as
//! they are processes of one thread under Lambda; the emulator is another, as it is a server elsewhere.
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

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use serde_json::json;
use tillstream_allocator as _;
use tillstream_testkit::emulator::DynamoFixture;
use tillstream_testkit::test_environment::TestEnvironment;
use tillstream_tests::bench_report::{Report, Target};
use tillstream_tests::cpu_clock::{of_this_thread, of_threads_named};
use tillstream_tests::machine_speed::thousands_sorted_per_second;
use tokio::runtime::{Builder, Runtime};

use crate::till::{Sale, Tills, products};

/// Threads that run the function, each for the registers of one store.
const PROCESSES: u64 = 4;
/// Clients of a store, each at a register of its own: 16 in all.
const REGISTERS: u64 = 4;
/// What the emulator's threads are called: no more than the 15 letters that Linux keeps.
const EMULATOR: &str = "emulator";
/// Journeys before the clock starts, and those that are timed.
const WARM_UP: u64 = 200;
const JOURNEYS: u64 = 4_000;
/// How often a run tells how far it is.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked whether a run is at its end.
const TICK: Duration = Duration::from_millis(50);

/// SKU, name and price.
type Products = Vec<(String, String, String)>;

/// create, three lines, customer, tender, pay, finalise.
async fn journey(tills: &Tills, store: u64, register: u64, number: u64, products: &Products) {
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

/// What is left to do, for all clients.
struct Numbers {
    next: AtomicU64,
    end: u64,
}

impl Numbers {
    fn of(numbers: std::ops::Range<u64>) -> Arc<Self> {
        Arc::new(Numbers { next: numbers.start.into(), end: numbers.end })
    }

    fn take(&self) -> Option<u64> {
        Some(self.next.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < self.end)
    }
}

/// One thread's clients, until no number is left. Answers how long each journey took.
async fn clients(
    tills: &Tills,
    store: u64,
    numbers: &Arc<Numbers>,
    products: &Arc<Products>,
) -> Vec<Duration> {
    let clients = (1..=REGISTERS).map(|register| {
        let (tills, numbers, products) = (tills.clone(), numbers.clone(), products.clone());
        tokio::spawn(async move {
            let mut times = Vec::new();
            while let Some(number) = numbers.take() {
                let begin = Instant::now();
                journey(&tills, store, register, number, &products).await;
                times.push(begin.elapsed());
            }
            times
        })
    });
    let clients: Vec<_> = clients.collect();
    let mut times = Vec::new();
    for client in clients {
        times.extend(client.await.unwrap());
    }
    times
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn measure() {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("# load before: {}", load.trim());
    let journeys = std::env::var("JOURNEYS").map_or(JOURNEYS, |count| count.parse().unwrap());
    let emulator =
        Builder::new_multi_thread().worker_threads(1).thread_name(EMULATOR).enable_all().build().unwrap();
    let fixture = emulator.block_on(DynamoFixture::dynoxide()).unwrap();
    let mut products = products();
    products.truncate(500);
    let environment = Arc::new(TestEnvironment::real(1));
    let begin = Instant::now();
    let stores = usize::try_from(PROCESSES).unwrap();
    let open = Tills::open(fixture.database.clone(), environment, stores, &products);
    let tills = emulator.block_on(open);
    println!("# {stores} stores with {} products each in {} s", products.len(), begin.elapsed().as_secs());
    let products = Arc::new(products);
    let warm_up = WARM_UP.min(journeys);
    println!("# {warm_up} journeys to warm up; {journeys} timed");
    let (warming, timed) = (Numbers::of(0..warm_up), Numbers::of(warm_up..warm_up + journeys));
    let speed_before = thousands_sorted_per_second();
    // All begin to be timed when all are warm.
    let warm = Barrier::new(stores + 1);
    let (took, mut times, of_functions, of_emulator) = std::thread::scope(|scope| {
        let process = |store: u64| {
            let (fixture, tills, products) = (&fixture, &tills, &products);
            let (warming, timed, warm) = (&warming, &timed, &warm);
            move || {
                runtime().block_on(async {
                    let environment = Arc::new(TestEnvironment::real(store + 1));
                    let tills = tills.at_another_process(Arc::new(fixture.adapter()), environment).await;
                    clients(&tills, store, warming, products).await;
                    warm.wait();
                    let begin = of_this_thread().unwrap();
                    let times = clients(&tills, store, timed, products).await;
                    (times, of_this_thread().unwrap() - begin)
                })
            }
        };
        let processes: Vec<_> = (1..=PROCESSES).map(|store| scope.spawn(process(store))).collect();
        warm.wait();
        let emulator_before = of_threads_named(EMULATOR).unwrap();
        let begin = Instant::now();
        while timed.next.load(Ordering::Relaxed) < timed.end {
            std::thread::sleep(TICK);
            if begin.elapsed().as_millis() % TELL_EVERY.as_millis() < TICK.as_millis() {
                let begun = timed.next.load(Ordering::Relaxed).min(timed.end) - warm_up;
                println!("# {begun} of {journeys} journeys begun after {} s", begin.elapsed().as_secs());
            }
        }
        let (mut times, mut of_functions) = (Vec::new(), Duration::ZERO);
        for process in processes {
            let (of_one, on_processor) = process.join().unwrap();
            times.extend(of_one);
            of_functions += on_processor;
        }
        let took = begin.elapsed();
        (took, times, of_functions, of_threads_named(EMULATOR).unwrap() - emulator_before)
    });
    let speed = u32::midpoint(speed_before, thousands_sorted_per_second());
    times.sort_unstable();
    let percentile = |of: usize| times[(times.len() - 1) * of / 100].as_secs_f64() * 1e3;
    let mut report = Report::of_times("journeys");
    #[allow(clippy::cast_precision_loss, reason = "a count of journeys")]
    let rate = journeys as f64 / took.as_secs_f64();
    report.figure("journeys_of_3_lines", rate.round(), "journeys/s", Target::AtLeast(300.0));
    report.figure("journeys_of_3_lines_p50", (percentile(50) * 100.0).round() / 100.0, "ms", Target::None);
    report.figure("journeys_of_3_lines_p99", (percentile(99) * 100.0).round() / 100.0, "ms", Target::None);
    // Where the time goes: the emulator is no part of what is deployed, and here it shares the processors.
    for (of, on_processor) in [("functions", of_functions), ("emulator", of_emulator)] {
        let seconds = (on_processor.as_secs_f64() * 100.0).round() / 100.0;
        report.figure(&format!("journeys_of_3_lines_cpu_of_{of}"), seconds, "s", Target::None);
    }
    // Which part of a slow figure is the machine's.
    report.figure("machine_beside_journeys", f64::from(speed), "thousand_sorted/s", Target::None);
    if journeys == JOURNEYS {
        report.write().unwrap();
    } else {
        println!("# not kept: only {journeys} of {JOURNEYS} journeys");
    }
}

fn main() {
    worker::run(measure, worker::told_only);
}
