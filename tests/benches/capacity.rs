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
use std::time::Duration;

use serde_json::{Value, json};
use tillstream_app::capacity::{CapacityKind, CapacityMeter, CapacitySums, Operation};
use tillstream_app::catalog::items::coupon_item;
use tillstream_app::database::{Consistency, Database, Get, Item, Table, Write};
use tillstream_app::pos::limited_uses::coupon_use_get;
use tillstream_app::tenant_rules::settings_item;
use tillstream_app::tenant_rules::stored_rules::promotion_item;
use tillstream_contracts::events::SaleEvent;
use tillstream_contracts::pos::ACTIONS;
use tillstream_domain::coupon::CouponDefinition;
use tillstream_domain::pricing::Promotion;
use tillstream_domain::stock_policies::{CartStock, StockPolicies};
use tillstream_domain::tenant_settings::TenantSettings;
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
/// A coupon without limit, a promotion that is applied by hand, and a barcode.
const COUPON: &str = "TENTH";
const PROMOTION: &str = "BY-HAND";
const BARCODE: &str = "4006381333931";
/// Coupons with a limit, of which a sale redeems the first or both; its distinct SKUs; and how often each may be used.
/// A limit of 200 or more would be counted in parts: as many writes, but not all at one item.
const LIMITED: [&str; 2] = ["FIRST-HUNDRED", "SECOND-HUNDRED"];
const LIMITED_SIZE: usize = 3;
const LIMIT: u32 = 100;
/// Longer than a process remembers what a tenant decides.
const RULES_AGE: Duration = Duration::from_secs(16);
/// Actions that no open cart of a sale takes: they make it, only look, or are about orders, returns and shifts.
const OF_NO_OPEN_CART: [&str; 16] = [
    "create_cart",
    "list_parked_carts",
    "void_order",
    "start_return",
    "return_line_item",
    "refund_tender",
    "finalize_return",
    "finalize_exchange",
    "void_return",
    "open_till",
    "paid_in",
    "paid_out",
    "no_sale",
    "cash_count",
    "get_x_report",
    "close_till",
];
/// Commands of a cart that write its item and nothing else.
const PLAIN: &str = "cart_";
/// The same, but with a read that must come before: of the SKU that a barcode stands for.
const SCANNED: &str = "scanned_";
/// Commands of a cart that write another item too: the marker that a parked cart is listed by.
const MARKED: &str = "marked_";
/// The same: what the cart holds of the stock.
const HELD: &str = "held_";

/// The step that makes a sale with so many limited coupons final.
fn finalize_with(coupons: usize) -> String {
    format!("finalize_with_{coupons}")
}

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

    /// Round trips that read.
    fn read_trips(&self) -> f64 {
        self.round_trips(false)
    }

    /// Round trips that write.
    fn write_trips(&self) -> f64 {
        self.round_trips(true)
    }

    #[allow(clippy::cast_precision_loss, reason = "a command makes few calls")]
    fn round_trips(&self, of_writes: bool) -> f64 {
        let is_write =
            |call: &Operation| matches!(call, Operation::Write | Operation::Transact | Operation::PutMany);
        let calls = self.sums.calls.iter().filter(|(call, _)| is_write(call) == of_writes);
        calls.map(|(_, calls)| *calls).sum::<u64>() as f64
    }
}

/// A till whose commands are priced one by one.
struct Till<'a> {
    tills: &'a Tills,
    meter: &'a CapacityMeter,
    skus: Vec<String>,
    sales: u64,
    steps: Vec<Step>,
    /// What was priced.
    actions: BTreeSet<String>,
}

impl<'a> Till<'a> {
    /// A cart with so many lines.
    async fn cart(&mut self, lines: usize) -> Sale<'a> {
        self.sales += 1;
        let mut sale = Sale::open(self.tills, "s-1", "r-1", self.sales).await;
        for sku in &self.skus[..lines] {
            sale.add(sku).await;
        }
        sale
    }

    /// Sends a command and prices it.
    async fn priced(&mut self, step: String, sale: &mut Sale<'_>, action: &str, payload: Value) {
        self.meter.take();
        sale.command(action, payload).await;
        let sums = self.meter.take();
        let key = self.tills.shop.scope.cart(&sale.cart);
        let get = Get { table: Table::Orders, key, consistency: Consistency::Strong };
        let item = self.tills.shop.ports.database.get(get).await.unwrap();
        let order_bytes = item.map_or(0, |item| item_size(&item));
        self.steps.push(Step { name: step, sums, order_bytes });
        self.actions.insert(action.to_owned());
    }

    /// Commands of one cart, priced one after the other.
    async fn commands(&mut self, kind: &str, lines: usize, commands: Vec<(&str, Value)>) {
        let mut sale = self.cart(lines).await;
        for (action, payload) in commands {
            let step = format!("{kind}{}_{action}", self.steps.len());
            self.priced(step, &mut sale, action, payload).await;
        }
    }

    /// Orders of so many distinct SKUs become final.
    async fn finals(&mut self) {
        // A register's first sale makes its lane: not what the others cost.
        let mut first = self.cart(1).await;
        first.pay().await;
        first.command("finalize_order", json!({})).await;
        for size in SIZES {
            self.sell(format!("finalize_{size}"), size, &[]).await;
        }
        for count in 1..=LIMITED.len() {
            let coupons = &LIMITED[..count];
            let before = self.used(coupons).await;
            self.sell(finalize_with(count), LIMITED_SIZE, coupons).await;
            // Each coupon took something off, and its use was counted.
            assert_eq!(self.used(coupons).await, before + i64::try_from(count).unwrap());
        }
    }

    /// A sale of so many distinct SKUs that redeems these coupons; the step that makes it final is priced.
    async fn sell(&mut self, step: String, size: usize, coupons: &[&str]) {
        let mut sale = self.cart(0).await;
        sale.command("set_customer", json!({"customer_id": "17850"})).await;
        for sku in &self.skus[..size] {
            sale.add(sku).await;
        }
        for code in coupons {
            sale.command("apply_coupon", json!({"coupon_code": code})).await;
        }
        sale.pay().await;
        self.priced(step, &mut sale, "finalize_order", json!({})).await;
    }

    /// How often these coupons were used, together.
    async fn used(&self, coupons: &[&str]) -> i64 {
        let shop = &self.tills.shop;
        let mut used = 0;
        for code in coupons {
            let get = Get { consistency: Consistency::Strong, ..coupon_use_get(&shop.scope, code) };
            let counter = shop.ports.database.get(get).await.unwrap();
            used += counter.and_then(|counter| counter.opt_number("used")).unwrap_or(0);
        }
        used
    }

    /// Everything that a cart of 20 lines takes until it is final or given up; each subject on a cart of its own, so
    /// that no command is priced with what another left.
    async fn cart_commands(&mut self) {
        let lines = vec![
            ("add_line_item", json!({"sku": self.skus[19], "quantity": 2})),
            ("update_line_item", json!({"line_id": "l-7", "quantity": 3})),
            ("set_customer", json!({"customer_id": "17850"})),
            ("remove_line_item", json!({"line_id": "l-3"})),
            ("add_line_item", json!({"sku": self.skus[20], "quantity": 1})),
            ("set_tendering", json!({})),
            ("resume_editing", json!({})),
        ];
        self.commands(PLAIN, 19, lines).await;
        let coupon = || json!({"coupon_code": COUPON});
        let with_coupon = vec![
            ("apply_coupon", coupon()),
            ("set_tendering", json!({})),
            ("resume_editing", json!({})),
            ("remove_coupon", coupon()),
        ];
        self.commands(PLAIN, 20, with_coupon).await;
        let promotion = || json!({"promo_id": PROMOTION});
        let with_promotion = vec![("apply_promo", promotion()), ("remove_promo", promotion())];
        self.commands(PLAIN, 20, with_promotion).await;
        let tenth = json!({"kind": "percent_cart", "value": 1_000, "reason": "dented"});
        let with_discount =
            vec![("apply_manual_discount", tenth), ("remove_manual_discount", json!({"discount_id": "d-1"}))];
        self.commands(PLAIN, 20, with_discount).await;
        let part = json!({"tender": "cash", "amount": {"amount": 100, "currency": "GBP"}});
        let with_payment = vec![
            ("set_tendering", json!({})),
            ("add_payment", part),
            ("remove_payment", json!({"payment_id": "p-1"})),
            ("resume_editing", json!({})),
        ];
        self.commands(PLAIN, 20, with_payment).await;
        self.commands(PLAIN, 20, vec![("void_cart", json!({"reason": "no money with them"}))]).await;
        let scanned = vec![("add_line_item", json!({"barcode": BARCODE, "quantity": 1}))];
        self.commands(SCANNED, 19, scanned).await;
        let parked =
            vec![("park_cart", json!({"note": "the lady with the hat"})), ("recall_cart", json!({}))];
        self.commands(MARKED, 20, parked).await;
    }

    /// The longest invoice, line by line; its last line is priced.
    async fn longest_cart(&mut self, of: &Day) {
        let invoice = of.invoices.iter().find(|invoice| invoice.lines.len() == LONGEST).unwrap();
        assert!(invoice.lines.iter().any(|line| is_stocked(&line.sku)));
        let mut sale = self.cart(0).await;
        let (last, before) = invoice.lines.split_last().unwrap();
        let payload = |line: &day::Line| {
            let (sku, quantity, price) = (&line.sku, line.quantity, &line.unit_price);
            json!({"sku": sku, "quantity": quantity, "unit_price_override": price})
        };
        for line in before {
            sale.command("add_line_item", payload(line)).await;
        }
        self.priced("add_1114".to_owned(), &mut sale, "add_line_item", payload(last)).await;
    }
}

async fn put(tills: &Tills, item: Item) {
    let write = Write::Put { table: Table::Catalog, item, condition: None };
    tills.shop.ports.database.write(write).await.unwrap();
}

/// What a tenant sells by, beside its products.
async fn rules(tills: &Tills, scanned: &str) {
    let scope = &tills.shop.scope;
    let promotion: Promotion = serde_json::from_value(json!({
        "id": PROMOTION, "version": 1, "name": "A twentieth off", "priority": 1, "automatic": false,
        "benefit": {"percentage": {"bps": 500}},
    }))
    .unwrap();
    put(tills, promotion_item(scope, &promotion).unwrap()).await;
    coupon(tills, COUPON, None).await;
    for code in LIMITED {
        coupon(tills, code, Some(LIMIT)).await;
    }
    let barcode = Item::new(&scope.barcode(BARCODE)).with("kind", "barcode").with("sku", scanned);
    put(tills, barcode).await;
}

/// A tenth off, as often as `total_limit` says.
async fn coupon(tills: &Tills, code: &str, total_limit: Option<u32>) {
    let coupon =
        serde_json::from_value(json!({"code": code, "benefit": {"percentage": {"bps": 1_000}}})).unwrap();
    let coupon = CouponDefinition { coupon, total_limit, per_customer_limit: None, version: 1 };
    put(tills, coupon_item(&tills.shop.scope, &coupon).unwrap()).await;
}

/// Everything that is measured, on one database.
async fn workload(database: Arc<dyn Database>, meter: &CapacityMeter) -> Vec<Step> {
    // A clock with nanoseconds, as the real one: the times in an item are as long as they are live.
    let environment = Arc::new(TestEnvironment::new(1));
    environment.set("2026-03-02T09:00:00.123456789Z".parse().unwrap());
    let products = products();
    // The longest invoice has SKUs of its own day.
    let longest = Day::read("2011-10-31");
    let mut all = products.clone();
    let known: BTreeSet<_> = products.iter().map(|(sku, ..)| sku.clone()).collect();
    all.extend(longest.products.iter().filter(|(sku, ..)| !known.contains(sku)).cloned());
    let tills = Tills::open(database.clone(), environment.clone(), 1, &all).await;
    let skus: Vec<String> = products.into_iter().map(|(sku, ..)| sku).collect();
    rules(&tills, &skus[21]).await;
    let mut till = Till { tills: &tills, meter, skus, sales: 0, steps: Vec::new(), actions: BTreeSet::new() };
    till.finals().await;
    till.cart_commands().await;
    till.longest_cart(&longest).await;

    // From now on carts hold what is added to them.
    let stock = StockPolicies { at_cart: CartStock::Hold, ..StockPolicies::default() };
    let settings = TenantSettings { stock, ..TenantSettings::default() };
    put(&tills, settings_item(&tills.shop.scope, &settings).unwrap()).await;
    environment.advance(RULES_AGE);
    // The first command of all reads what the tenant decides.
    till.cart(0).await;
    let held = vec![("add_line_item", json!({"sku": till.skus[19], "quantity": 2}))];
    till.commands(HELD, 19, held).await;

    let is_left = |action: &&str| !OF_NO_OPEN_CART.contains(action) && !till.actions.contains(*action);
    let left: Vec<&str> = ACTIONS.iter().copied().filter(is_left).collect();
    assert!(left.is_empty(), "nobody knows what these cost: {left:?}");
    let mut steps = till.steps;
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

fn named<'s>(steps: &'s [Step], name: &str) -> &'s Step {
    steps.iter().find(|step| step.name == name).unwrap()
}

/// The most of any step whose name begins with one of these.
fn most(steps: &[Step], kinds: &[&str], of: fn(&Step) -> f64) -> f64 {
    let is_of = |step: &&Step| kinds.iter().any(|kind| step.name.starts_with(*kind));
    steps.iter().filter(is_of).map(of).fold(0.0, f64::max)
}

/// What DynamoDB may charge the tables for an order of so many distinct SKUs, kilobytes and limited coupons.
fn finals_target(size: usize, kilobytes: usize, coupons: usize) -> Target {
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    let most = (2 * size + 2 * kilobytes + 2 + 2 * coupons) as f64;
    Target::AtMost(most)
}

fn tell_finals(report: &mut Report, steps: &[Step]) {
    for size in SIZES {
        let step = named(steps, &format!("finalize_{size}"));
        let kilobytes = step.order_bytes.div_ceil(1024);
        let at = |what: &str| format!("finalize_{size}_skus_{what}");
        let written = step.units(CapacityKind::Write, false);
        report.figure(&at("table_write_units"), written, "units", finals_target(size, kilobytes, 0));
        let indexes = step.units(CapacityKind::Write, true);
        report.figure(&at("index_write_units"), indexes, "units", Target::AtMost(3.0));
        let of_order = if size <= 20 { Target::AtMost(2.0) } else { Target::None };
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        report.figure(&at("order_kilobytes"), kilobytes as f64, "KB", of_order);
        report.figure(&at("read_units"), step.read(), "units", Target::None);
    }
    for coupons in 1..=LIMITED.len() {
        let step = named(steps, &finalize_with(coupons));
        let target = finals_target(LIMITED_SIZE, step.order_bytes.div_ceil(1024), coupons);
        let at = |what: &str| format!("finalize_{LIMITED_SIZE}_skus_{coupons}_limited_coupons_{what}");
        let written = step.units(CapacityKind::Write, false);
        report.figure(&at("table_write_units"), written, "units", target);
        let indexes = step.units(CapacityKind::Write, true);
        report.figure(&at("index_write_units"), indexes, "units", Target::AtMost(3.0));
    }
}

/// What is asked of a cart command is asked of those that write their cart only. Others are told by name, and count
/// with the rest in what they have in common with it.
fn tell_carts(report: &mut Report, steps: &[Step]) {
    let written = most(steps, &[PLAIN, SCANNED], Step::written);
    report.figure("cart_20_lines_write_units", written, "units", Target::AtMost(2.0));
    let read = most(steps, &[PLAIN, MARKED], Step::read);
    report.figure("cart_20_lines_read_units", read, "units", Target::AtMost(2.0));
    let reads = most(steps, &[PLAIN, MARKED], Step::read_trips);
    report.figure("cart_20_lines_read_round_trips", reads, "calls", Target::AtMost(1.0));
    let writes = most(steps, &[PLAIN, SCANNED, MARKED, HELD], Step::write_trips);
    report.figure("cart_20_lines_write_round_trips", writes, "calls", Target::AtMost(1.0));
    for action in ["park_cart", "recall_cart"] {
        let step = steps.iter().find(|step| step.name.ends_with(action)).unwrap();
        let name = format!("{action}_20_lines_write_units");
        report.figure(&name, step.written(), "units", Target::None);
    }
    for (kind, name) in [(SCANNED, "add_by_barcode"), (HELD, "add_held")] {
        let at = |what: &str| format!("{name}_20_lines_{what}");
        if kind == HELD {
            report.figure(&at("write_units"), most(steps, &[kind], Step::written), "units", Target::None);
        }
        report.figure(&at("read_units"), most(steps, &[kind], Step::read), "units", Target::None);
        let reads = most(steps, &[kind], Step::read_trips);
        report.figure(&at("read_round_trips"), reads, "calls", Target::None);
    }
    let long = named(steps, "add_1114");
    report.figure("add_line_to_1114_lines_write_units", long.written(), "units", Target::AtMost(64.0));
}

fn tell_aggregation(report: &mut Report, steps: &[Step]) {
    // The first batch makes the day's pages, the last finds them fullest: whichever is the dearest.
    let batch = most(steps, &["aggregate_500_"], Step::written) / 500.0;
    report.figure("aggregate_batch_of_500_write_units_per_order", batch, "units", Target::AtMost(1.0));
    let fresh = named(steps, "aggregate_alone_fresh").written();
    report.figure("aggregate_alone_fresh_day_write_units", fresh, "units", Target::AtMost(6.0));
    let late = named(steps, "aggregate_alone_late").written();
    report.figure("aggregate_alone_full_day_write_units", late, "units", Target::AtMost(12.0));
}

/// Steps that the database in memory prices otherwise than the emulator.
fn tell_memory(report: &mut Report, steps: &[Step], memory: &[Step]) {
    let differ: Vec<(&Step, &Step)> =
        steps.iter().zip(memory).filter(|(emulated, memory)| emulated.sums != memory.sums).collect();
    for (emulated, memory) in &differ {
        println!("# {}: emulator {:?}, memory {:?}", emulated.name, emulated.sums, memory.sums);
    }
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    report.figure("steps_priced_otherwise_in_memory", differ.len() as f64, "steps", Target::AtMost(0.0));
}

async fn measure() {
    let meter = Arc::new(CapacityMeter::default());
    let fixture = DynamoFixture::dynoxide_observed(meter.clone()).await.unwrap();
    let steps = workload(fixture.database.clone(), &meter).await;
    let memory = workload(Arc::new(MemoryDatabase::new().observed_by(meter.clone())), &meter).await;
    for step in steps.iter().filter(|step| !step.name.starts_with("aggregate_")) {
        println!("# {}: {} bytes, {:?}", step.name, step.order_bytes, step.sums);
    }
    let mut report = Report::of_counts("capacity");
    tell_finals(&mut report, &steps);
    tell_carts(&mut report, &steps);
    tell_aggregation(&mut report, &steps);
    tell_memory(&mut report, &steps, &memory);
    report.write().unwrap();
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    worker::run(|| runtime.block_on(measure()), worker::told_only);
}
