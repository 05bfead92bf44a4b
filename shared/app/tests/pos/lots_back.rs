//! What comes back is of the lot that it was sold of, however many SKUs and lots there are of it, and wherever whoever
//! brings it back dies in between: so nothing that is recalled is for sale again.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use jiff::{Span, Timestamp};
use serde_json::{Value, json};
use tillstream_app::Ports;
use tillstream_app::capacity::{CapacityKind, CapacityMeter, Operation};
use tillstream_app::database::{Database, Item, Table};
use tillstream_app::environment::Environment;
use tillstream_app::pos::plan;
use tillstream_app::stock::conservation;
use tillstream_app::stock::lots::recall::{self, Change};
use tillstream_app::stock::lots::{here, list, sold};
use tillstream_app::stock::restock::restock;
use tillstream_app::tenancy::{Caller, Role};
use tillstream_contracts::lots::{ChangeLotRequest, LotQuery};
use tillstream_contracts::strict_json;
use tillstream_domain::product::Product;
use tillstream_domain::quantity::QuantityInput;
use tillstream_testkit::faults::{Fault, FaultyDatabase};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop, caller};
use tillstream_testkit::test_environment::TestEnvironment;

use super::lots::{Dairy, MILK, lot, relay_stock};

/// A lot by its id, and how much of it is for sale and kept aside.
type Level = (Option<String>, QuantityInput, QuantityInput);

type Tables = Vec<(Table, Vec<Item>)>;

struct World {
    shop: Shop,
    database: Arc<MemoryDatabase>,
    environment: Arc<TestEnvironment>,
    meter: Arc<CapacityMeter>,
    /// Up to which change of the stock it was made of what had happened before.
    made_of: u64,
}

fn sku(n: usize) -> String {
    format!("SKU-{n:03}")
}

fn lot_id(n: usize) -> String {
    format!("LOT-{n:03}")
}

/// Pieces of each SKU: of half of them all are sold, so that nothing of their lots is left.
fn pieces(n: usize) -> i64 {
    if n.is_multiple_of(2) { 1 } else { 2 }
}

/// Of so many SKUs those whose lots are recalled once they are sold.
fn recalled(count: usize) -> [usize; 3] {
    [0, count / 2, count - 2]
}

/// The one whose lot is quarantined at the shop.
fn quarantined(count: usize) -> usize {
    count - 1
}

fn is_aside(n: usize, count: usize) -> bool {
    recalled(count).contains(&n) || n == quarantined(count)
}

fn operator() -> Caller {
    caller("demo", &[Role::Operator])
}

impl World {
    async fn empty() -> World {
        let meter = Arc::new(CapacityMeter::default());
        let environment = Arc::new(TestEnvironment::new(11));
        let database = MemoryDatabase::with_environment(environment.clone()).observed_by(meter.clone());
        let database = Arc::new(database);
        let shop = Shop::open(database.clone(), environment.clone()).await.unwrap();
        World { shop, database, environment, meter, made_of: 0 }
    }

    /// A shop that sold one piece of each of so many SKUs, each of a lot of its own, in the order `long`. Some of
    /// these lots were recalled since, and one was quarantined at the shop. All of it is about to come back by the
    /// return `back`. Made once of each length, and copied.
    async fn of(count: usize) -> World {
        static MADE: tokio::sync::Mutex<BTreeMap<usize, Tables>> =
            tokio::sync::Mutex::const_new(BTreeMap::new());
        let mut made = MADE.lock().await;
        if let Entry::Vacant(entry) = made.entry(count) {
            let world = World::empty().await;
            world.sell_lots(count).await;
            world.begin_return("long", count).await;
            entry.insert(Table::ALL.into_iter().map(|table| (table, world.database.items(table))).collect());
        }
        let mut world = World::empty().await;
        for (table, items) in &made[&count] {
            world.database.put_many(*table, items.clone()).await.unwrap();
        }
        world.made_of = world.database.changes(Table::Stock, 0).last().unwrap().sequence;
        world
    }

    async fn sell_lots(&self, count: usize) {
        let today = self.environment.now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let day = today.checked_add(Span::new().days(5)).unwrap();
        for n in 0..count {
            let product = Product { lots: true, ..Shop::plain(&sku(n), "1.00").unwrap() };
            self.shop.put_product(&product).await.unwrap();
            let delivery = json!({"location_id": STORE, "sku": sku(n), "quantity": pieces(n), "lot": lot_id(n),
                "expires_on": day.to_string()});
            let delivery = strict_json::typed(delivery).unwrap();
            restock(&self.shop.ports, &operator(), &format!("in-{n}"), &delivery).await.unwrap();
        }
        self.sell("long", count).await;
        self.relay().await;
        for n in recalled(count) {
            let request = ChangeLotRequest { reason: "glass".into() };
            let key = format!("recall-{n}");
            let who = operator();
            recall::change(&self.shop.ports, &who, &key, &lot_id(n), Change::Quarantine, &request)
                .await
                .unwrap();
        }
        let request = ChangeLotRequest { reason: "a leak".into() };
        let leaky = lot_id(quarantined(count));
        let (who, what) = (operator(), (leaky.as_str(), STORE));
        here::change(&self.shop.ports, &who, "here", what, Change::Quarantine, &request).await.unwrap();
        self.relay().await;
    }

    /// Sells one of each of so many SKUs.
    async fn sell(&self, cart: &str, count: usize) {
        let skus: Vec<String> = (0..count).map(sku).collect();
        let lines: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 1)).collect();
        self.shop.ready("r-1", cart, &lines).await.unwrap();
        self.shop.finalize("r-1", cart).await.unwrap();
    }

    /// The return `back` of so many lines of an order, one piece of each, up to its refund.
    async fn begin_return(&self, order: &str, count: usize) {
        self.begin_return_of(order, count, 1).await;
    }

    /// The same of so many pieces of each.
    async fn begin_return_of(&self, order: &str, count: usize, pieces: usize) {
        let send = async |key: &str, action: &str, payload: Value| {
            self.shop.command(key, action, payload).await.unwrap();
        };
        let start = json!({"return_id": "back", "original_order_id": order, "reason": "unwanted"});
        send("back-start", "start_return", start).await;
        for n in 1..=count {
            let line_id = format!("l-{n}");
            let line = json!({"return_id": "back", "line_id": line_id, "quantity": pieces, "disposition": "restock"});
            send(&format!("back-{n}"), "return_line_item", line).await;
        }
        let amount = json!({"amount": count * pieces * 100, "currency": "GBP"});
        let refund = json!({"return_id": "back", "tender": "card", "amount": amount});
        send("back-refund", "refund_tender", refund).await;
    }

    /// Sends the last command of the return; answers its receipt number.
    async fn bring_back(&self) -> tillstream_app::Result<Option<u64>> {
        let answered = self.shop.command("last", "finalize_return", json!({"return_id": "back"})).await?;
        Ok(answered.reply.result.receipt_number)
    }

    /// Gives the relay what changed of the stock here.
    async fn relay(&self) {
        relay_stock(&self.shop, &self.database, self.environment.clone(), self.made_of).await;
    }

    /// The lots of all SKUs.
    async fn lots(&self) -> BTreeMap<String, Vec<Level>> {
        let mut lots: BTreeMap<String, Vec<Level>> = BTreeMap::new();
        let mut cursor = None;
        loop {
            let query =
                LotQuery { location_id: Some(STORE.into()), limit: Some(200), cursor, ..LotQuery::default() };
            let page = list::list(&self.shop.ports, &operator(), &query).await.unwrap();
            for level in page.items {
                let of_sku = lots.entry(level.sku).or_default();
                of_sku.push((level.lot_id, level.on_hand, level.quarantined));
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                return lots;
            }
        }
    }

    /// All that was sold is back, once, each piece as its lot: for sale, or kept aside where the lot is.
    async fn all_is_back(&self, count: usize, label: &str) {
        let lots = self.lots().await;
        for n in 0..count {
            let there = if is_aside(n, count) { (0, pieces(n)) } else { (pieces(n), 0) };
            let expected = [lot(&lot_id(n), there.0, there.1)];
            assert_eq!(
                lots.get(&sku(n)).map(Vec::as_slice),
                Some(expected.as_slice()),
                "{label}: {}",
                sku(n)
            );
            let stock = self.shop.counters(STORE, &sku(n)).await.unwrap();
            let there = (there.0 * 1_000, there.0 * 1_000, there.1 * 1_000, 0);
            let counted = (stock.on_hand, stock.available, stock.quarantined, stock.reserved);
            assert_eq!(counted, there, "{label}: {}", sku(n));
        }
    }

    /// The ledgers add up to the counters, and the lots to both, at every movement.
    async fn adds_up(&self, count: usize) {
        self.relay().await;
        for n in 0..count {
            let proof = conservation::prove(&self.shop.ports, &operator(), STORE, &sku(n)).await.unwrap();
            assert!(proof.holds && proof.lots.as_ref().is_some_and(|lots| lots.holds), "{proof:?}");
            assert_eq!(proof.seq_reached, proof.seq_current, "{}", sku(n));
        }
    }

    /// What a recall finds of a lot: kinds of movements, orders, pieces.
    async fn who_got(&self, lot_id: &str) -> Vec<(String, Option<String>, QuantityInput)> {
        let page = sold::orders(&self.shop.ports, &operator(), lot_id, None, None).await.unwrap();
        page.items.into_iter().map(|one| (one.kind, one.order_id, one.quantity)).collect()
    }

    /// Nothing that is kept aside can be sold, and a recall finds who had it.
    async fn is_not_for_sale(&self, count: usize, back: &str) {
        for n in recalled(count).into_iter().chain([quarantined(count)]) {
            let cart = format!("again-{n}");
            self.shop.ready("r-2", &cart, &[(&sku(n), 1)]).await.unwrap();
            let refused = self.shop.finalize("r-2", &cart).await.unwrap_err();
            assert_eq!(refused.code(), Some("insufficient_stock"), "{}", sku(n));
            let told = [
                ("sale".to_owned(), Some("long".to_owned()), QuantityInput::Whole(1)),
                ("return".to_owned(), Some(back.to_owned()), QuantityInput::Whole(-1)),
            ];
            assert_eq!(self.who_got(&lot_id(n)).await, told, "{}", lot_id(n));
        }
    }

    /// What the keeper does when the time of a plan is over; answers how many it met.
    async fn recover(&self) -> usize {
        self.environment.advance(Duration::from_secs(60));
        plan::recover(&self.shop.ports, self.environment.now(), 10, Timestamp::MAX).await.unwrap()
    }
}

/// Runs a command on a database until that kills it, or it ends.
async fn die(shop: &Shop, faulty: &Arc<FaultyDatabase>, action: &'static str, payload: Value) {
    let (environment, scope) = (shop.ports.environment.clone(), shop.scope.clone());
    let database: Arc<dyn Database> = faulty.clone();
    let shop = Shop { ports: Ports { database, environment }, scope };
    let task = tokio::spawn(async move { shop.command("last", action, payload).await.map(drop) });
    while faulty.injected().is_empty() && !task.is_finished() {
        tokio::task::yield_now().await;
    }
    // What still takes effect takes a few turns of the scheduler.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    task.abort();
    let _ = task.await;
}

/// A database on `inner` that meets a fault in the call that comes after `step` others of its kind.
fn failing(
    inner: &Arc<MemoryDatabase>,
    operation: Operation,
    fault: Fault,
    step: usize,
) -> Arc<FaultyDatabase> {
    let faulty = FaultyDatabase::new(inner.clone());
    faulty.script(operation, std::iter::repeat_n(None, step).chain([Some(fault)]));
    Arc::new(faulty)
}

async fn a_return_of(count: usize) {
    let world = World::of(count).await;
    assert_eq!(world.bring_back().await.unwrap(), Some(2));
    world.all_is_back(count, "back").await;
    assert_eq!(world.bring_back().await.unwrap(), Some(2), "once");
    world.all_is_back(count, "again").await;
    world.adds_up(count).await;
    world.is_not_for_sale(count, "back").await;
    assert_eq!(world.recover().await, 0, "nothing is left over");
}

#[tokio::test]
async fn a_return_of_40_skus_is_of_their_lots() {
    a_return_of(40).await;
}

#[tokio::test]
async fn a_return_of_97_skus_is_of_their_lots() {
    a_return_of(97).await;
}

#[tokio::test]
async fn a_return_of_120_skus_is_of_their_lots() {
    a_return_of(120).await;
}

async fn a_void_of(count: usize) {
    let world = World::of(count).await;
    let void = json!({"order_id": "long", "reason": "wrong till"});
    let answered = world.shop.command("void", "void_order", void.clone()).await.unwrap();
    world.all_is_back(count, "voided").await;
    let again = world.shop.command("void", "void_order", void).await.unwrap();
    assert!(again.replayed);
    world.all_is_back(count, "again").await;
    world.adds_up(count).await;
    world.is_not_for_sale(count, &answered.reply.result.order_id.unwrap()).await;
    assert_eq!(world.recover().await, 0, "nothing is left over");
}

#[tokio::test]
async fn a_void_of_40_skus_is_of_their_lots() {
    a_void_of(40).await;
}

#[tokio::test]
async fn a_void_of_120_skus_is_of_their_lots() {
    a_void_of(120).await;
}

/// Each transaction of a long return is a place to die, before and after it takes effect: who dies at a read leaves what
/// the transaction before left. The keeper goes on with it, or the till's repetition does.
#[tokio::test]
async fn a_death_in_a_long_return_leaves_each_lot_right() {
    const COUNT: usize = 120;
    let mut deaths = 0;
    for fault in [Fault::DiesBefore, Fault::DiesAfter] {
        for step in 0..40 {
            let world = World::of(COUNT).await;
            let faulty = failing(&world.database, Operation::Transact, fault, step);
            die(&world.shop, &faulty, "finalize_return", json!({"return_id": "back"})).await;
            if faulty.injected().is_empty() {
                break;
            }
            deaths += 1;
            let label = format!("{fault:?} at transaction {step}");
            if step % 2 == 0 {
                world.recover().await;
            }
            let number = world.bring_back().await.unwrap_or_else(|error| panic!("{label}: {error}"));
            assert_eq!(number, Some(2), "{label}");
            world.all_is_back(COUNT, &label).await;
            assert_eq!(world.recover().await, 0, "{label}");
        }
    }
    // The plan, two chunks that are held, the return itself, three parts and the plan's end.
    assert!(deaths >= 2 * 8, "only {deaths} deaths: the test no longer reaches the steps");
}

/// Two drivers settle the same chunk: one dies between two parts, and the other, which was frozen before the first, goes
/// on when the database no longer knows its writes from new ones.
#[tokio::test]
async fn a_driver_that_wakes_much_later_brings_nothing_back_twice() {
    const COUNT: usize = 120;
    let finalize = || json!({"return_id": "back"});
    // The plan, two chunks and the return itself come before the first part.
    for frozen_at in 4..=6 {
        for other in 0..=3 {
            let world = World::of(COUNT).await;
            let late = failing(&world.database, Operation::Transact, Fault::Freezes, frozen_at);
            let (environment, scope) = (world.shop.ports.environment.clone(), world.shop.scope.clone());
            let database: Arc<dyn Database> = late.clone();
            let shop = Shop { ports: Ports { database, environment }, scope };
            let payload = finalize();
            let task =
                tokio::spawn(async move { shop.command("last", "finalize_return", payload).await.map(drop) });
            while late.injected().is_empty() && !task.is_finished() {
                tokio::task::yield_now().await;
            }
            let dying = failing(&world.database, Operation::Transact, Fault::DiesBefore, other);
            die(&world.shop, &dying, "finalize_return", finalize()).await;
            world.environment.advance(Duration::from_secs(11 * 60));
            late.thaw();
            let label = format!("frozen at {frozen_at}, the other died at {other}");
            if let Err(tillstream_app::Error::Bug(what)) = task.await.unwrap() {
                panic!("{label}: {what}");
            }
            assert_eq!(world.bring_back().await.unwrap(), Some(2), "{label}");
            world.all_is_back(COUNT, &label).await;
        }
    }
}

/// What fits one transaction stays one, and all that it asks is asked at once.
#[tokio::test]
async fn what_fits_is_one_transaction_after_a_few_reads() {
    for count in [33, 40] {
        let world = World::of(count).await;
        world.meter.take();
        world.bring_back().await.unwrap();
        let calls = world.meter.take().calls;
        assert_eq!(calls.get(&Operation::Transact), Some(&1), "{calls:?}");
        assert!(calls.values().sum::<u64>() < 20, "{calls:?}");
        world.all_is_back(count, "back").await;
    }
}

/// A return whose SKUs are of many lots each settles in many parts. Its lots are read to see that no one transaction takes
/// it, and once more for all of these parts: not again for each.
#[tokio::test]
async fn a_long_return_of_many_lots_does_not_read_them_for_each_part() {
    const COUNT: usize = 48;
    const LOTS: usize = 12;
    let world = World::empty().await;
    for n in 0..COUNT {
        let product = Product { lots: true, ..Shop::plain(&sku(n), "1.00").unwrap() };
        world.shop.put_product(&product).await.unwrap();
        for lot in 0..LOTS {
            let lot = format!("{}-{lot:02}", lot_id(n));
            let delivery = json!({"location_id": STORE, "sku": sku(n), "quantity": 1, "lot": lot});
            let delivery = strict_json::typed(delivery).unwrap();
            restock(&world.shop.ports, &operator(), &format!("in-{lot}"), &delivery).await.unwrap();
        }
    }
    let skus: Vec<String> = (0..COUNT).map(sku).collect();
    let lines: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 12)).collect();
    world.shop.ready("r-1", "many", &lines).await.unwrap();
    world.shop.finalize("r-1", "many").await.unwrap();
    world.relay().await;
    world.begin_return_of("many", COUNT, LOTS).await;
    world.meter.take();
    world.bring_back().await.unwrap();
    let sums = world.meter.take();
    // The plan, its chunk, the return itself, the plan's end, and of seven SKUs at most a part.
    assert!(sums.calls.get(&Operation::Transact).is_some_and(|calls| *calls >= 4 + 7), "{:?}", sums.calls);
    // Each lot and each stock item twice, and what says which lots the sale took.
    let once = u64::try_from(COUNT * (LOTS + 1)).unwrap() * 1_000;
    let read = sums.at(Table::Stock, None, CapacityKind::Read);
    assert!(read < 3 * once, "{read} of {once}");
    let lots = world.lots().await;
    for n in 0..COUNT {
        let expected: Vec<Level> = (0..LOTS).map(|of| lot(&format!("{}-{of:02}", lot_id(n)), 1, 0)).collect();
        assert_eq!(lots[&sku(n)], expected, "{}", sku(n));
    }
    assert_eq!(world.recover().await, 0, "nothing is left over");
}

/// What was never kept by lots comes back for what it always cost, but for one question.
#[tokio::test]
async fn a_long_return_of_what_has_no_lots_asks_once() {
    const COUNT: usize = 99;
    let world = World::empty().await;
    for n in 0..COUNT {
        world.shop.product(STORE, &sku(n), "1.00", 1).await.unwrap();
    }
    world.sell("plain", COUNT).await;
    world.relay().await;
    world.begin_return("plain", COUNT).await;
    world.meter.take();
    world.bring_back().await.unwrap();
    let calls = world.meter.take().calls;
    // The plan, two chunks that are held and settled, the return itself, and the plan's end.
    assert_eq!(calls.get(&Operation::Transact), Some(&7), "{calls:?}");
    assert_eq!((calls.get(&Operation::Query), calls.get(&Operation::Write)), (Some(&1), None), "{calls:?}");
    for n in 0..COUNT {
        assert_eq!(world.shop.counters(STORE, &sku(n)).await.unwrap().on_hand, 1_000, "{}", sku(n));
    }
    assert_eq!(world.lots().await, BTreeMap::new());
}

/// Most lots that a stock item has with anything left.
const MANY: usize = 50;

fn of_many(n: usize) -> String {
    format!("L-{n:02}")
}

/// One line sold of fifty lots, of which the books of the stock know nothing any more; one was recalled since. It is
/// about to come back by the return `back`.
async fn line_of_many_lots() -> Dairy {
    let dairy = Dairy::new().await;
    for n in 0..MANY {
        dairy.receive(&of_many(n), 2, 1).await;
    }
    let all = i64::try_from(MANY).unwrap();
    dairy.shop.ready("r-1", "all", &[(MILK, all)]).await.unwrap();
    dairy.shop.finalize("r-1", "all").await.unwrap();
    // Who names a lot writes the book, without those of which nothing is left.
    dairy.receive("NEW", 9, 1).await;
    dairy.shop.ready("r-1", "new", &[(MILK, 1)]).await.unwrap();
    dairy.shop.finalize("r-1", "new").await.unwrap();
    dairy.relay().await;
    dairy.recall(&of_many(7)).await;
    let send = async |action: &'static str, payload: Value| {
        dairy.shop.command(&format!("back-{action}"), action, payload).await.unwrap();
    };
    send("start_return", json!({"return_id": "back", "original_order_id": "all", "reason": "sour"})).await;
    let line = json!({"return_id": "back", "line_id": "l-1", "quantity": all, "disposition": "restock"});
    send("return_line_item", line).await;
    let amount = json!({"amount": all * 100, "currency": "GBP"});
    send("refund_tender", json!({"return_id": "back", "tender": "card", "amount": amount})).await;
    dairy
}

async fn all_lots_are_back(dairy: &Dairy, label: &str) {
    let there = |n: usize| if n == 7 { lot(&of_many(n), 0, 1) } else { lot(&of_many(n), 1, 0) };
    let expected: Vec<Level> = (0..MANY).map(there).collect();
    assert_eq!(dairy.lots().await, expected, "{label}");
    let stock = dairy.shop.counters(STORE, MILK).await.unwrap();
    assert_eq!((stock.on_hand, stock.available, stock.quarantined), (49_000, 49_000, 1_000), "{label}");
}

#[tokio::test]
async fn a_line_of_fifty_lots_comes_back_as_fifty_lots() {
    let dairy = line_of_many_lots().await;
    let finalize = json!({"return_id": "back"});
    let answered = dairy.shop.command("last", "finalize_return", finalize).await.unwrap();
    assert!(!answered.replayed);
    all_lots_are_back(&dairy, "back").await;
    dairy.relay().await;
    let proof = conservation::prove(&dairy.shop.ports, &operator(), STORE, MILK).await.unwrap();
    assert!(proof.holds && proof.lots.as_ref().is_some_and(|lots| lots.holds), "{proof:?}");
    // What came back is found by a recall that comes later, too.
    dairy.recall(&of_many(9)).await;
    assert!(dairy.lots().await.contains(&lot(&of_many(9), 0, 1)));
}

/// A return of one SKU may be a plan too, where it is of many lots: the till's repetition ends it wherever it stands.
#[tokio::test]
async fn a_death_among_fifty_lots_is_ended_by_the_till() {
    let mut deaths = 0;
    let cases = [
        (Operation::Transact, Fault::DiesBefore),
        (Operation::Transact, Fault::DiesAfter),
        (Operation::Write, Fault::DiesAfter),
    ];
    for (operation, fault) in cases {
        for step in 0..6 {
            let dairy = line_of_many_lots().await;
            let faulty = failing(&dairy.database, operation, fault, step);
            die(&dairy.shop, &faulty, "finalize_return", json!({"return_id": "back"})).await;
            if faulty.injected().is_empty() {
                break;
            }
            deaths += 1;
            let label = format!("{operation:?} {fault:?} at call {step}");
            let finalize = json!({"return_id": "back"});
            let answered = dairy.shop.command("last", "finalize_return", finalize).await;
            answered.unwrap_or_else(|error| panic!("{label}: {error}"));
            all_lots_are_back(&dairy, &label).await;
        }
    }
    // The plan, its chunk, the return itself, the chunk's one part and the plan's end; and where the lots are.
    assert!(deaths >= 2 * 5 + 6, "only {deaths} deaths: the test no longer reaches the steps");
}
