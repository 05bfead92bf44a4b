//! What DynamoDB charges: through the function's router and the real adapter, as the emulator reports it;
//! and whether the database in memory, on which other benchmarks count, says the same.
#![allow(
    clippy::unwrap_used,
    clippy::float_arithmetic,
    missing_docs,
    reason = "a benchmark that cannot go on stops"
)]

#[path = "../tests/real_days/day.rs"]
#[allow(dead_code, reason = "of a day only its products and invoices are sold here")]
mod day;
mod till;
mod worker;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;
use tillstream_app::capacity::{CapacityKind, CapacityMeter, CapacitySums, Operation};
use tillstream_app::database::{Consistency, Database, Get, Table};
use tillstream_contracts::events::SaleEvent;
use tillstream_testkit::emulator::DynamoFixture;
use tillstream_testkit::made_up_sales::{Dice, busy_sale, fold_all, ports};
use tillstream_testkit::memory_database::{MemoryDatabase, item_size};
use tillstream_testkit::test_environment::TestEnvironment;
use tillstream_tests::bench_report::{Report, Target};

use crate::day::{Day, is_stocked};
use crate::till::{Sale, Tills, products};

/// Numbers of distinct SKUs in an order.
const SIZES: [usize; 4] = [1, 3, 20, 90];
/// The longest invoice of the sample data.
const LONGEST: usize = 1_114;

/// What a step cost, and the bytes of the order that it left.
struct Step {
    name: String,
    sums: CapacitySums,
    order_bytes: usize,
}

impl Step {
    fn units(&self, kind: CapacityKind, of_index: bool) -> f64 {
        let costs = self.sums.thousandths.iter();
        let wanted = costs.filter(|((_, index, k), _)| *k == kind && index.is_some() == of_index);
        #[allow(clippy::cast_precision_loss, reason = "a sum of thousandths is small")]
        let thousandths = wanted.map(|(_, thousandths)| *thousandths).sum::<u64>() as f64;
        thousandths / 1_000.0
    }

    fn written(&self) -> f64 {
        self.units(CapacityKind::Write, false) + self.units(CapacityKind::Write, true)
    }

    fn read(&self) -> f64 {
        self.units(CapacityKind::Read, false) + self.units(CapacityKind::Read, true)
    }

    /// Round trips that read, and those that write.
    fn round_trips(&self) -> (u64, u64) {
        let is_write =
            |call: &Operation| matches!(call, Operation::Write | Operation::Transact | Operation::PutMany);
        let count = |writes| {
            self.sums.calls.iter().filter(|(call, _)| is_write(call) == writes).map(|(_, calls)| calls).sum()
        };
        (count(false), count(true))
    }
}

/// Everything that is measured, on one database.
async fn workload(database: Arc<dyn Database>, meter: &CapacityMeter) -> Vec<Step> {
    // A clock with nanoseconds, as the real one: the times in an item are as long as they are live.
    let environment = Arc::new(TestEnvironment::new(1));
    environment.set("2026-03-02T09:00:00.123456789Z".parse().unwrap());
    let products = products();
    // The longest invoice has SKUs of its own day.
    let invoice = Day::read("2011-10-31").invoices.into_iter().find(|i| i.lines.len() == LONGEST).unwrap();
    let mut all = products.clone();
    let known: BTreeSet<_> = products.iter().map(|(sku, ..)| sku.clone()).collect();
    let others = Day::read("2011-10-31").products.into_iter();
    all.extend(others.filter(|(sku, ..)| !known.contains(sku)));
    let tills = Tills::open(database.clone(), environment, 1, &all).await;
    let mut steps = Vec::new();
    let order_bytes = async |sale: &Sale<'_>| {
        let key = tills.shop.scope.cart(&sale.cart);
        let get = Get { table: Table::Orders, key, consistency: Consistency::Strong };
        database.get(get).await.unwrap().map_or(0, |item| item_size(&item))
    };
    // A register's first sale makes its lane: not what the others cost.
    let mut first = Sale::open(&tills, "s-1", "r-1", 999).await;
    first.add(&products[0].0).await;
    first.pay().await;
    first.command("finalize_order", json!({})).await;

    for (number, size) in SIZES.into_iter().enumerate() {
        let mut sale = Sale::open(&tills, "s-1", "r-1", number as u64).await;
        sale.command("set_customer", json!({"customer_id": "17850"})).await;
        for (sku, ..) in &products[..size] {
            sale.add(sku).await;
        }
        sale.pay().await;
        meter.take();
        sale.command("finalize_order", json!({})).await;
        let sums = meter.take();
        steps.push(Step { name: format!("finalize_{size}"), sums, order_bytes: order_bytes(&sale).await });
    }

    let mut sale = Sale::open(&tills, "s-1", "r-2", 100).await;
    for (sku, ..) in &products[..19] {
        sale.add(sku).await;
    }
    let commands = [
        ("add_line_item", json!({"sku": products[19].0, "quantity": 2})),
        ("update_line_item", json!({"line_id": "l-7", "quantity": 3})),
        ("set_customer", json!({"customer_id": "17850"})),
        ("remove_line_item", json!({"line_id": "l-3"})),
        ("add_line_item", json!({"sku": products[20].0, "quantity": 1})),
        ("set_tendering", json!({})),
        ("resume_editing", json!({})),
    ];
    for (place, (command, payload)) in commands.into_iter().enumerate() {
        meter.take();
        sale.command(command, payload).await;
        let sums = meter.take();
        steps.push(Step {
            name: format!("cart_{place}_{command}"),
            sums,
            order_bytes: order_bytes(&sale).await,
        });
    }

    let mut sale = Sale::open(&tills, "s-1", "r-3", 101).await;
    for line in &invoice.lines {
        let payload =
            json!({"sku": line.sku, "quantity": line.quantity, "unit_price_override": line.unit_price});
        meter.take();
        sale.command("add_line_item", payload).await;
    }
    steps.push(Step { name: "add_1114".into(), sums: meter.take(), order_bytes: order_bytes(&sale).await });
    assert!(invoice.lines.iter().any(|line| is_stocked(&line.sku)));

    aggregation(database, meter, &mut steps).await;
    steps
}

/// A fresh day with one order; then a full one of 2,000 orders in batches of 500; then one more.
async fn aggregation(database: Arc<dyn Database>, meter: &CapacityMeter, steps: &mut Vec<Step>) {
    let ports = ports(database);
    let mut dice = Dice(77);
    let mut step = |name: &str| {
        steps.push(Step { name: name.to_owned(), sums: meter.take(), order_bytes: 0 });
    };
    meter.take();
    fold_all(&ports, &[busy_sale(&mut dice, 0, 1, 3, 0)]).await;
    step("aggregate_alone_fresh");
    let mut numbers = [1, 0, 0, 0];
    for batch in 0..4_i64 {
        let events: Vec<SaleEvent> = (0..500)
            .map(|n: i64| {
                let register = dice.below(4);
                let number = &mut numbers[usize::try_from(register).unwrap()];
                *number += 1;
                busy_sale(&mut dice, register, *number, 20, (batch * 500 + n) / 200)
            })
            .collect();
        fold_all(&ports, &events).await;
        step(&format!("aggregate_500_{batch}"));
    }
    fold_all(&ports, &[busy_sale(&mut dice, 0, numbers[0] + 1, 3, 9)]).await;
    step("aggregate_alone_late");
}

async fn measure() {
    let meter = Arc::new(CapacityMeter::default());
    let fixture = DynamoFixture::dynoxide_observed(meter.clone()).await.unwrap();
    let steps = workload(fixture.database.clone(), &meter).await;
    let memory = workload(Arc::new(MemoryDatabase::new().observed_by(meter.clone())), &meter).await;

    let mut report = Report::of_counts("capacity");
    let named = |name: &str| steps.iter().find(|step| step.name == name).unwrap();
    for size in SIZES {
        let step = named(&format!("finalize_{size}"));
        let kilobytes = step.order_bytes.div_ceil(1024);
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        let most = (2 * size + 2 * kilobytes + 2) as f64;
        let at = |what: &str| format!("finalize_{size}_skus_{what}");
        let written = step.units(CapacityKind::Write, false);
        report.figure(&at("table_write_units"), written, "units", Target::AtMost(most));
        let indexes = step.units(CapacityKind::Write, true);
        report.figure(&at("index_write_units"), indexes, "units", Target::AtMost(3.0));
        let of_order = if size <= 20 { Target::AtMost(2.0) } else { Target::None };
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        report.figure(&at("order_kilobytes"), kilobytes as f64, "KB", of_order);
        report.figure(&at("read_units"), step.read(), "units", Target::None);
        println!("# {}: {} bytes, {:?}", step.name, step.order_bytes, step.sums);
    }
    let cart: Vec<&Step> = steps.iter().filter(|step| step.name.starts_with("cart_")).collect();
    for step in &cart {
        println!("# {}: {} bytes, {:?}", step.name, step.order_bytes, step.sums);
    }
    let most = |of: fn(&Step) -> f64| cart.iter().map(|step| of(step)).fold(0.0, f64::max);
    report.figure("cart_20_lines_write_units", most(Step::written), "units", Target::AtMost(2.0));
    report.figure("cart_20_lines_read_units", most(Step::read), "units", Target::AtMost(2.0));
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    let trips = |of: fn(&Step) -> u64| cart.iter().map(|step| of(step)).max().unwrap() as f64;
    let reads = trips(|step| step.round_trips().0);
    report.figure("cart_20_lines_read_round_trips", reads, "calls", Target::AtMost(1.0));
    let writes = trips(|step| step.round_trips().1);
    report.figure("cart_20_lines_write_round_trips", writes, "calls", Target::AtMost(1.0));
    let long = named("add_1114");
    println!("# {}: {} bytes, {:?}", long.name, long.order_bytes, long.sums);
    report.figure("add_line_to_1114_lines_write_units", long.written(), "units", Target::AtMost(64.0));
    let batch = named("aggregate_500_3").written() / 500.0;
    report.figure("aggregate_batch_of_500_write_units_per_order", batch, "units", Target::AtMost(1.0));
    let fresh = named("aggregate_alone_fresh").written();
    report.figure("aggregate_alone_fresh_day_write_units", fresh, "units", Target::AtMost(6.0));
    let late = named("aggregate_alone_late").written();
    report.figure("aggregate_alone_full_day_write_units", late, "units", Target::AtMost(12.0));

    let differ: Vec<&str> = steps
        .iter()
        .zip(&memory)
        .filter(|(emulated, memory)| emulated.sums != memory.sums)
        .map(|(step, _)| step.name.as_str())
        .collect();
    for name in &differ {
        let in_memory = memory.iter().find(|step| step.name == *name).unwrap();
        println!("# {name}: emulator {:?}, memory {:?}", named(name).sums, in_memory.sums);
    }
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    report.figure("steps_priced_otherwise_in_memory", differ.len() as f64, "steps", Target::AtMost(0.0));
    report.write().unwrap();
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    worker::run(|| runtime.block_on(measure()), worker::told_only);
}
