//! A year of 4,000 products in 20 stores, as an analyst asks for it: how long each route takes, and that
//! it takes as long with ten times the orders. The AWS adapter, HTTP, an emulator; answers are held
//! against sums over the orders.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a benchmark that cannot go on fails; times are told as floats"
)]

mod answers;
mod dataset;
mod orders;
mod queries;
#[path = "../worker/mod.rs"]
mod worker;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use orders::{Truth, Whose};
use queries::{Analyst, Cost};
use tillstream_allocator as _;
use tillstream_testkit::emulator::DynamoFixture;
use tillstream_tests::bench_report::{Report, Target};

/// Ranges by name: a calendar year; one from the middle of a month to the middle of another; the same
/// up to the open day; two weeks.
pub const RANGES: &[(&str, &str, &str)] = &[
    ("calendar_year", "2025-01-01", "2025-12-31"),
    ("mid_month", "2025-01-18", "2026-01-15"),
    ("to_today", "2025-01-18", "2026-01-16"),
    ("two_weeks", "2025-09-10", "2025-09-23"),
];

/// What each route must take at most, at the 99th percentile.
const MILLISECONDS_MAX: f64 = 200.0;

/// A question that takes long is asked less often: the benchmark comes to its end, and tells.
const TIME_OF_A_QUESTION_MAX: Duration = Duration::from_secs(2);

/// Orders of a store and day, and how the figures are named.
const SIZES: [(&str, u64); 2] = [("x1", 50), ("x10", 500)];

/// A query, by what its figures are named.
pub struct Asked {
    /// Route, range and whose.
    pub name: String,
    /// Path and query.
    pub uri: String,
    /// How often it is asked.
    pub times: usize,
}

fn asked(times: usize, name: &str, whose: Whose, route: &str, query: &str) -> Asked {
    let uri = format!("/v1/analytics/{route}?{}{query}", whose.parameter());
    Asked { name: format!("{route}.{name}.{}", whose.name()), uri, times }
}

/// Everything that is asked.
fn questions() -> Vec<Asked> {
    let groups = ["", "store", "register", "employee", "category", "payment_method", "channel", "segment"];
    let mut all = Vec::new();
    for whose in Whose::BOTH {
        all.push(asked(40, "today", whose, "dashboard", ""));
        all.push(asked(40, "past_day", whose, "dashboard", "date=2025-11-12"));
        let instants = ("instants", "2025-01-18T10:30:00Z", "2026-01-15T15:10:00Z");
        for (name, from, to) in RANGES.iter().copied().chain([instants]) {
            let range = format!("from={from}&to={to}");
            for granularity in ["day", "week", "month"] {
                for group in groups {
                    let by = if group.is_empty() { String::new() } else { format!("&group_by={group}") };
                    let query = format!("{range}&granularity={granularity}{by}");
                    all.push(asked(5, name, whose, "sales", &query));
                }
            }
            all.push(asked(25, name, whose, "categories", &range));
            if name == "instants" {
                continue;
            }
            for query in
                ["direction=desc", "direction=asc&limit=200", "order_by=units", "category=category-03"]
            {
                all.push(asked(8, name, whose, "products", &format!("{range}&{query}")));
            }
        }
        for group in groups {
            let by = if group.is_empty() { String::new() } else { format!("&group_by={group}") };
            for (name, from, to) in [
                ("hours_of_31_days", "2025-08-10", "2025-09-09"),
                ("hours_of_a_week", "2026-01-10", "2026-01-16"),
            ] {
                let query = format!("from={from}&to={to}&granularity=hour{by}");
                all.push(asked(5, name, whose, "sales", &query));
            }
        }
    }
    all
}

#[derive(Default)]
struct Measured {
    times: Vec<Duration>,
    most: Cost,
    largest_answer: usize,
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 100_000.0).round() / 100.0
}

/// The smallest time that `percent` of all times do not exceed.
fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    let rank = (times.len() * percent).div_ceil(100).max(1);
    times.get(rank - 1).copied().map_or(0.0, milliseconds)
}

/// Asks everything; figures by name.
async fn ask_all(analyst: &Analyst) -> BTreeMap<String, Measured> {
    let mut measured = BTreeMap::<String, Measured>::new();
    let mut slowest = Vec::new();
    let questions = questions();
    let (begin, count) = (Instant::now(), questions.len());
    for (at, asked) in questions.into_iter().enumerate() {
        if at % 40 == 0 {
            eprintln!("  {at} of {count} questions, {} s", begin.elapsed().as_secs());
        }
        let (answer, cost) = analyst.cost(&asked.uri).await;
        let into = measured.entry(asked.name.clone()).or_default();
        assert_eq!(answer.status, 200, "{}: {}", asked.uri, String::from_utf8_lossy(&answer.body));
        into.most.round_trips = into.most.round_trips.max(cost.round_trips);
        into.most.bytes_read = into.most.bytes_read.max(cost.bytes_read);
        into.most.read_units = into.most.read_units.max(cost.read_units);
        into.largest_answer = into.largest_answer.max(answer.bytes);
        let mut times = Vec::new();
        let begin = Instant::now();
        while times.len() < asked.times && (times.is_empty() || begin.elapsed() < TIME_OF_A_QUESTION_MAX) {
            times.push(analyst.ask(&asked.uri).await.time);
        }
        into.times.extend(&times);
        slowest.push((percentile(&mut times, 50), asked.uri));
    }
    slowest.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (median, uri) in slowest.iter().take(12) {
        eprintln!("  slowest: {median} ms {uri}");
    }
    measured
}

/// Follows the pages of an answer of products to their end.
async fn page_through(analyst: &Analyst) -> Vec<Duration> {
    let (_, from, to) = RANGES[1];
    let mut times = Vec::new();
    let mut cursor = String::new();
    loop {
        let uri = format!("/v1/analytics/products?from={from}&to={to}&limit=200{cursor}");
        let answer = analyst.ask(&uri).await;
        assert_eq!(answer.status, 200);
        times.push(answer.time);
        match answer.json()["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return times,
        }
    }
}

/// Figures of one question; answers the 99th percentile.
fn tell(report: &mut Report, size: &str, name: &str, measured: &mut Measured) -> f64 {
    let times = &mut measured.times;
    let (half, most) = (percentile(times, 50), percentile(times, 99));
    report.figure(&format!("{name}.{size}.p50"), half, "ms", Target::None);
    report.figure(&format!("{name}.{size}.p99"), most, "ms", Target::AtMost(MILLISECONDS_MAX));
    report.figure(
        &format!("{name}.{size}.round_trips"),
        measured.most.round_trips as f64,
        "calls",
        Target::None,
    );
    report.figure(
        &format!("{name}.{size}.read"),
        (measured.most.bytes_read / 1_000) as f64,
        "kB",
        Target::None,
    );
    report.figure(
        &format!("{name}.{size}.read_units"),
        measured.most.read_units as f64,
        "units",
        Target::None,
    );
    report.figure(
        &format!("{name}.{size}.answer"),
        (measured.largest_answer / 1_000) as f64,
        "kB",
        Target::None,
    );
    most
}

async fn measure(report: &mut Report, size: &str, orders_a_day: u64) {
    let compared = dataset::they_are_the_aggregators(orders_a_day).await;
    eprintln!("  {compared} pages of a sample are those that the aggregator writes");
    let fixture = DynamoFixture::dynoxide().await.unwrap();
    let built = dataset::build(&fixture.database, orders_a_day, RANGES).await;
    eprintln!(
        "  {} orders, {} lines, {} items in {:?}",
        built.truth.orders, built.truth.lines, built.items, built.time
    );
    report.figure(&format!("orders.{size}"), built.truth.orders as f64, "orders", Target::None);
    let analyst = Analyst::new(&fixture).await;
    let rows = answers::are_right(&analyst, &built.truth).await;
    eprintln!("  {rows} rows of answers equal the sums over the orders");
    let mut measured = ask_all(&analyst).await;
    let paging = page_through(&analyst).await;
    measured.insert(
        "products.every_page.all_stores".to_owned(),
        Measured { times: paging, ..Measured::default() },
    );
    let mut worst = BTreeMap::<String, f64>::new();
    for (name, measured) in &mut measured {
        let most = tell(report, size, name, measured);
        let route = name.split('.').next().unwrap_or_default().to_owned();
        let known = worst.entry(route).or_default();
        *known = known.max(most);
    }
    for (route, most) in worst {
        let name = format!("analytics_{route}_{size}_p99_of_the_worst_range");
        report.figure(&name, most, "ms", Target::AtMost(MILLISECONDS_MAX));
    }
}

fn main() {
    worker::run(measure_all, worker::told_only);
}

fn measure_all() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut report = Report::of_times("analytics_year");
    let only = std::env::var("ORDERS").ok();
    for (size, orders_a_day) in SIZES {
        if only.as_ref().is_some_and(|only| only != size) {
            continue;
        }
        eprintln!("{size}: {orders_a_day} orders a store and day");
        runtime.block_on(measure(&mut report, size, orders_a_day));
    }
    match only {
        None => report.write().unwrap(),
        // Figures are kept together: these alone would take the place of all.
        Some(only) => println!("# not kept: only {only}"),
    }
}
