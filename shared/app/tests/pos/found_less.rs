//! Long orders whose stock is found less while they hold it: by a count, or since a lot's day is over. Before such an
//! order is final that is told; afterwards the sale stands. On hand is never below zero, and the ledger adds up.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use tillstream_app::capacity::Operation;
use tillstream_app::database::{Item, Table};
use tillstream_app::environment::Environment;
use tillstream_app::pos::execute::execute;
use tillstream_app::pos::{batch, plan};
use tillstream_app::stock::ledger::{self, LedgerRow};
use tillstream_app::stock::restock::restock;
use tillstream_app::stock::{conservation, exceptions, update};
use tillstream_app::tenancy::Role;
use tillstream_app::{Error, Ports, Refusal};
use tillstream_contracts::inventory::{
    ExceptionKind, ExceptionQuery, RestockRequest, StockUpdateKind, StockUpdateRequest,
};
use tillstream_domain::product::Product;
use tillstream_domain::quantity::QuantityInput;
use tillstream_testkit::faults::{Fault, FaultyDatabase};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop, caller, envelope};
use tillstream_testkit::test_environment::TestEnvironment;

/// Two chunks.
const SKUS: usize = 105;
const MILK: &str = "MILK";
/// Transactions of a plan: it is begun, two chunks are held, it is committed, two chunks are settled, it is ended.
const BEFORE_COMMIT: usize = 3;
const BEFORE_SETTLING: usize = 4;

struct World {
    shop: Shop,
    database: Arc<MemoryDatabase>,
    environment: Arc<TestEnvironment>,
}

fn sku(n: usize) -> String {
    format!("SKU-{n:04}")
}

/// SKUs of both chunks.
fn two() -> [String; 2] {
    [sku(0), sku(100)]
}

fn refusal(error: Error) -> Refusal {
    match error {
        Error::Rejected(refusal) => *refusal,
        other => panic!("not a refusal: {other}"),
    }
}

impl World {
    /// A shop with five pieces of each of [`SKUS`] products.
    async fn new() -> Self {
        let environment = Arc::new(TestEnvironment::new(17));
        let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
        let shop = Shop::open(database.clone(), environment.clone()).await.unwrap();
        for n in 0..SKUS {
            shop.product(STORE, &sku(n), "1.00", 5).await.unwrap();
        }
        World { shop, database, environment }
    }

    /// The first moment of tomorrow in the store.
    fn midnight(&self) -> Timestamp {
        let zone = TimeZone::get("Europe/London").unwrap();
        let tomorrow = self.environment.now().to_zoned(zone.clone()).date().tomorrow().unwrap();
        tomorrow.to_zoned(zone).unwrap().timestamp()
    }

    /// So many pieces of milk of a lot whose last day is today.
    async fn milk(&self, pieces: i64) {
        self.shop.put_product(&Product { lots: true, ..Shop::plain(MILK, "1.00").unwrap() }).await.unwrap();
        let today = self.environment.now().to_zoned(TimeZone::get("Europe/London").unwrap()).date();
        let request = RestockRequest {
            location_id: STORE.into(),
            sku: MILK.into(),
            quantity: QuantityInput::Whole(pieces),
            supplier_id: None,
            reference: None,
            reason: None,
            lot: Some("OLD".into()),
            expires_on: Some(today),
        };
        restock(&self.shop.ports, &caller("demo", &[Role::Operator]), "milk", &request).await.unwrap();
    }

    /// A cart `long` of five of each product, and of milk if there is any, ready.
    async fn ready(&self, with_milk: bool) {
        let skus: Vec<String> = (0..SKUS).map(sku).collect();
        let mut lines: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 5)).collect();
        if with_milk {
            lines.push((MILK, 5));
        }
        self.shop.ready("r-1", "long", &lines).await.unwrap();
    }

    /// Begins to make the cart final, and dies before the transaction at this position.
    async fn dies_before(&self, transaction: usize) {
        let database = Arc::new(FaultyDatabase::new(self.database.clone()));
        let script = std::iter::repeat_n(None, transaction).chain([Some(Fault::DiesBefore)]);
        database.script(Operation::Transact, script);
        let ports = Ports { database: database.clone(), environment: self.environment.clone() };
        let shop = Shop { ports, scope: self.shop.scope.clone() };
        let task = tokio::spawn(async move { shop.finalize("r-1", "long").await });
        while database.injected().is_empty() && !task.is_finished() {
            tokio::task::yield_now().await;
        }
        assert!(!task.is_finished());
        task.abort();
        let _ = task.await;
    }

    async fn count(&self, key: &str, sku: &str, pieces: i64) {
        let request = StockUpdateRequest {
            location_id: STORE.into(),
            sku: sku.into(),
            kind: StockUpdateKind::Set,
            quantity: QuantityInput::Whole(pieces),
            reason: "counted".into(),
            expected_version: None,
            lot: None,
            expires_on: None,
        };
        let who = caller("demo", &[Role::Operator]);
        update::update(&self.shop.ports, &who, key, &request, |_| Ok(())).await.unwrap();
    }

    async fn recover(&self, ports: &Ports) {
        self.environment.advance(Duration::from_secs(200));
        plan::recover(ports, self.environment.now(), 10, Timestamp::MAX).await.unwrap();
    }

    /// On hand, reserved, quarantined, in pieces.
    async fn pieces(&self, sku: &str) -> (i64, i64, i64) {
        let stock = self.shop.counters(STORE, sku).await.unwrap();
        assert_eq!(stock.available, stock.on_hand - stock.reserved);
        (stock.on_hand / 1_000, stock.reserved / 1_000, stock.quarantined / 1_000)
    }

    /// Kinds and pieces of all movements of a SKU that moved on hand. None left less than nothing, and they add up.
    async fn moved(&self, sku: &str) -> Vec<(String, i64)> {
        let changes = self.database.changes(Table::Stock, 0);
        let rows: Vec<Item> = changes
            .iter()
            .filter_map(|change| ledger::ledger_rows(change.old.as_ref(), change.new.as_ref()).unwrap())
            .filter(|row| row.opt_text("sku") == Some(sku))
            .collect();
        let read: Vec<LedgerRow> = rows.iter().map(|row| LedgerRow::of(row).unwrap()).collect();
        assert!(read.iter().all(|row| row.after.on_hand >= 0), "{read:?}");
        ledger::record(&self.shop.ports, rows).await.unwrap();
        let who = caller("demo", &[Role::Operator]);
        let proof = conservation::prove(&self.shop.ports, &who, STORE, sku).await.unwrap();
        assert!(proof.holds && proof.seq_reached == proof.seq_current, "{proof:?}");
        let told = read.iter().filter(|row| row.delta.on_hand != 0);
        told.map(|row| (row.kind.clone(), row.delta.on_hand / 1_000)).collect()
    }

    async fn open_exceptions(&self) -> Vec<(ExceptionKind, Option<String>)> {
        let query =
            ExceptionQuery { location_id: STORE.into(), status: None, limit: Some(200), cursor: None };
        let who = caller("demo", &[Role::Operator]);
        let page = exceptions::list(&self.shop.ports, &who, &query).await.unwrap();
        let mut told: Vec<_> = page.items.into_iter().map(|one| (one.kind, one.sku)).collect();
        told.sort_by(|a, b| a.1.cmp(&b.1));
        told
    }
}

fn row(kind: &str, pieces: i64) -> (String, i64) {
    (kind.to_owned(), pieces)
}

#[tokio::test]
async fn a_count_after_a_long_order_is_final_never_leaves_less_than_nothing() {
    for fault in [None, Some(Fault::AnswerLost), Some(Fault::Conflict)] {
        let steps = if fault.is_none() { 1 } else { 6 };
        for step in 0..steps {
            let world = World::new().await;
            world.ready(false).await;
            world.dies_before(BEFORE_SETTLING).await;
            for (n, sku) in two().iter().enumerate() {
                world.count(&format!("k-{n}"), sku, [0, 2][n]).await;
            }
            let faulty = Arc::new(FaultyDatabase::new(world.database.clone()));
            faulty.script(Operation::Transact, std::iter::repeat_n(None, step).chain([fault]));
            let ports = Ports { database: faulty, environment: world.environment.clone() };
            world.recover(&ports).await;
            world.recover(&world.shop.ports).await;
            let label = format!("{fault:?} at {step}");
            for n in 0..SKUS {
                assert_eq!(world.pieces(&sku(n)).await, (0, 0, 0), "{label}: {}", sku(n));
            }
            let [first, second] = two();
            let expected = [row("sync", 5), row("count", -5), row("discrepancy", 5), row("sale", -5)];
            assert_eq!(world.moved(&first).await, expected, "{label}");
            let expected = [row("sync", 5), row("count", -3), row("discrepancy", 3), row("sale", -5)];
            assert_eq!(world.moved(&second).await, expected, "{label}");
            assert_eq!(world.moved(&sku(1)).await, [row("sync", 5), row("sale", -5)], "{label}");
            let below = |sku| (ExceptionKind::BelowPromised, Some(sku));
            assert_eq!(world.open_exceptions().await, two().map(below), "{label}");
            let again = world.shop.finalize("r-1", "long").await.unwrap();
            assert!(again.replayed && again.reply.result.receipt_number == Some(1), "{label}");
        }
    }
}

/// Also where a lot was named: what is missing is entered, and then it is of that lot.
#[tokio::test]
async fn a_count_after_a_long_order_of_a_lot_is_final_never_leaves_less_than_nothing() {
    let world = World::new().await;
    world.milk(5).await;
    let send = async |key: String, action: &str, payload: Value| {
        world.shop.command(&key, action, payload).await.unwrap();
    };
    send("open".into(), "create_cart", json!({"cart_id": "long"})).await;
    for n in 0..=SKUS {
        let line = match n {
            SKUS => json!({"cart_id": "long", "sku": MILK, "quantity": 5, "lot": "OLD"}),
            _ => json!({"cart_id": "long", "sku": sku(n), "quantity": 5}),
        };
        send(format!("line-{n}"), "add_line_item", line).await;
    }
    let amount = json!({"amount": (SKUS + 1) * 500, "currency": "GBP"});
    send("tend".into(), "set_tendering", json!({"cart_id": "long"})).await;
    send("pay".into(), "add_payment", json!({"cart_id": "long", "tender": "card", "amount": amount})).await;
    // Its chunks are shorter: five are held.
    world.dies_before(BEFORE_SETTLING + 3).await;
    assert_eq!(world.pieces(MILK).await, (5, 5, 0));
    world.count("k", MILK, 2).await;
    world.recover(&world.shop.ports).await;
    assert_eq!(world.pieces(MILK).await, (0, 0, 0));
    let expected = [row("restock", 5), row("count", -3), row("discrepancy", 3), row("sale", -5)];
    assert_eq!(world.moved(MILK).await, expected);
    for n in 0..SKUS {
        assert_eq!(world.pieces(&sku(n)).await, (0, 0, 0), "{}", sku(n));
    }
    let told = world.open_exceptions().await;
    for kind in [ExceptionKind::BelowPromised, ExceptionKind::LotMismatch] {
        assert!(told.contains(&(kind, Some(MILK.to_owned()))), "{kind:?} of {told:?}");
    }
    assert_eq!(told.len(), 2, "{told:?}");
}

#[tokio::test]
async fn a_count_before_a_long_order_is_final_is_told() {
    let world = World::new().await;
    world.ready(false).await;
    world.dies_before(BEFORE_COMMIT).await;
    for (n, sku) in two().iter().enumerate() {
        world.count(&format!("k-{n}"), sku, 2).await;
    }
    let told = refusal(world.shop.finalize("r-1", "long").await.unwrap_err());
    assert_eq!(told.code, "insufficient_stock");
    let lines: Vec<_> =
        (0..2).map(|n| json!([told.extra["lines"][n]["sku"], told.extra["lines"][n]["available"]])).collect();
    assert_eq!(lines, two().map(|sku| json!([sku, 2])));
    assert_eq!((world.pieces(&sku(0)).await, world.pieces(&sku(1)).await), ((2, 0, 0), (5, 0, 0)));
    assert_eq!(world.moved(&sku(0)).await, [row("sync", 5), row("count", -3)]);
    // The cart is free again, and goes through once there is enough.
    for (n, sku) in two().iter().enumerate() {
        world.count(&format!("l-{n}"), sku, 7).await;
    }
    let sold = world.shop.finalize("r-1", "long").await.unwrap();
    assert_eq!(sold.reply.result.receipt_number, Some(1));
    assert_eq!((world.pieces(&sku(0)).await, world.pieces(&sku(1)).await), ((2, 0, 0), (0, 0, 0)));
}

/// The register's clock says 2010, when all of it was good.
#[tokio::test]
async fn a_long_order_takes_nothing_that_is_past_its_day_by_our_clock() {
    let world = World::new().await;
    world.milk(5).await;
    world.ready(true).await;
    world.environment.set(world.midnight());
    let told = refusal(world.shop.finalize("r-1", "long").await.unwrap_err());
    assert_eq!((told.code, &told.extra["lines"][0]["sku"]), ("insufficient_stock", &json!(MILK)));
    assert_eq!(told.extra["lines"][0]["available"], 0);
    assert_eq!((world.pieces(MILK).await, world.pieces(&sku(0)).await), ((0, 0, 5), (5, 0, 0)));
    assert_eq!(world.moved(MILK).await, [row("restock", 5), row("lot_expire", -5)]);
}

/// What it holds goes past its day before it is final, or after.
#[tokio::test]
async fn the_day_of_a_lot_ends_while_a_long_order_is_made_final() {
    for (step, swept) in [(BEFORE_COMMIT, false), (BEFORE_SETTLING, false), (BEFORE_SETTLING, true)] {
        let world = World::new().await;
        world.milk(5).await;
        world.ready(true).await;
        world.dies_before(step).await;
        let midnight = world.midnight();
        world.environment.set(midnight);
        if swept {
            let swept =
                tillstream_app::stock::lots::due::sweep(&world.shop.ports, midnight, 9, Timestamp::MAX);
            assert_eq!(swept.await.unwrap(), 1);
        }
        let done = world.shop.finalize("r-1", "long").await;
        let milk = world.pieces(MILK).await;
        let moved = world.moved(MILK).await;
        let label = format!("{step} {swept}");
        if step == BEFORE_COMMIT {
            assert_eq!(refusal(done.unwrap_err()).code, "insufficient_stock", "{label}");
            assert_eq!(milk, (0, 0, 5), "{label}");
            assert_eq!(moved, [row("restock", 5), row("lot_expire", -5)], "{label}");
        } else if swept {
            // It was sold before midnight: what was kept aside since is missing.
            assert_eq!(done.unwrap().reply.result.receipt_number, Some(1), "{label}");
            assert_eq!(milk, (0, 0, 5), "{label}");
            let expected = [row("restock", 5), row("lot_expire", -5), row("discrepancy", 5), row("sale", -5)];
            assert_eq!(moved, expected, "{label}");
        } else {
            assert_eq!(done.unwrap().reply.result.receipt_number, Some(1), "{label}");
            assert_eq!(milk, (0, 0, 0), "{label}");
            assert_eq!(moved, [row("restock", 5), row("sale", -5)], "{label}");
        }
        assert_eq!(world.pieces(&sku(0)).await.1, 0, "{label}");
    }
}

/// What left the shop was good then, whenever it is told.
#[tokio::test]
async fn what_a_register_sold_while_it_was_cut_off_was_good_by_its_clock() {
    let world = World::new().await;
    world.milk(5).await;
    let at = |key: String, action: &str, payload: Value| envelope(STORE, "r-1", &key, action, payload);
    let mut sold = vec![at("open".into(), "create_cart", json!({"cart_id": "c"}))];
    for n in 0..=SKUS {
        let sku = if n == SKUS { MILK.to_owned() } else { sku(n) };
        let line = json!({"cart_id": "c", "sku": sku, "quantity": 1});
        sold.push(at(format!("line-{n}"), "add_line_item", line));
    }
    let amount = json!({"amount": (SKUS + 1) * 100, "currency": "GBP"});
    sold.push(at("tend".into(), "set_tendering", json!({"cart_id": "c"})));
    sold.push(at("pay".into(), "add_payment", json!({"cart_id": "c", "tender": "card", "amount": amount})));
    sold.push(at("done".into(), "finalize_order", json!({"cart_id": "c"})));
    world.environment.set(world.midnight());
    let who = caller("demo", &[Role::Cashier, Role::StoreManager]);
    let (outcomes, go_on) = batch::run(&world.shop.ports, &who, sold, Timestamp::MAX).await;
    assert!(go_on.is_none() && outcomes.iter().all(|(_, outcome)| outcome.is_ok()), "{outcomes:?}");
    assert_eq!(world.moved(MILK).await, [row("restock", 5), row("sale", -1)]);
    assert_eq!((world.pieces(MILK).await, world.pieces(&sku(0)).await), ((4, 0, 0), (4, 0, 0)));
}

/// A register's clock that is ahead of ours ends no day.
#[tokio::test]
async fn a_till_whose_clock_is_ahead_sells_what_is_good_yet() {
    let world = World::new().await;
    world.milk(5).await;
    world.shop.ready("r-1", "c", &[(MILK, 2)]).await.unwrap();
    let midnight = world.midnight();
    let span = |minutes: i64| jiff::SignedDuration::from_mins(minutes);
    world.environment.set(midnight.checked_sub(span(1)).unwrap());
    let mut sent = envelope(STORE, "r-1", "done", "finalize_order", json!({"cart_id": "c"}));
    sent["occurred_at"] = midnight.checked_add(span(1)).unwrap().to_string().into();
    execute(&world.shop.ports, &caller("demo", &[Role::Operator]), sent).await.unwrap();
    assert_eq!(world.pieces(MILK).await, (3, 0, 0));
}
