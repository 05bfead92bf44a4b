//! Orders of more SKUs than a transaction takes: exact, and whole again after a death at every step.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tillstream_app::capacity::Operation;
use tillstream_app::database::{Database, Item, Table};
use tillstream_app::environment::Environment;
use tillstream_app::pos::execute::Answered;
use tillstream_app::pos::plan;
use tillstream_app::{Ports, RefusalKind, Result};
use tillstream_testkit::faults::{Fault, FaultyDatabase, Rates};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop};
use tillstream_testkit::test_environment::TestEnvironment;
use tokio::task::JoinHandle;

/// Two chunks.
const SKUS: usize = 130;

struct World {
    shop: Shop,
    database: Arc<MemoryDatabase>,
    environment: Arc<TestEnvironment>,
}

fn sku(n: usize) -> String {
    format!("SKU-{n:04}")
}

type Tables = Vec<(Table, Vec<Item>)>;

/// A shop with `pieces` of each of [`SKUS`] products, and a cart `long` of one of each, ready. Made once
/// and copied, since a hundred tests begin with it.
async fn world(pieces: i64) -> World {
    static MADE: tokio::sync::Mutex<BTreeMap<i64, Tables>> = tokio::sync::Mutex::const_new(BTreeMap::new());
    let mut made = MADE.lock().await;
    if let Entry::Vacant(entry) = made.entry(pieces) {
        let (database, _, shop) = empty().await;
        for n in 0..SKUS {
            shop.product(STORE, &sku(n), "1.00", pieces).await.unwrap();
        }
        ready(&shop, "long").await;
        entry.insert(Table::ALL.into_iter().map(|table| (table, database.items(table))).collect());
    }
    let (database, environment, shop) = empty().await;
    for (table, items) in &made[&pieces] {
        database.put_many(*table, items.clone()).await.unwrap();
    }
    World { shop, database, environment }
}

async fn empty() -> (Arc<MemoryDatabase>, Arc<TestEnvironment>, Shop) {
    let environment = Arc::new(TestEnvironment::new(11));
    let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    let shop = Shop::open(database.clone(), environment.clone()).await.unwrap();
    (database, environment, shop)
}

async fn ready(shop: &Shop, cart: &str) {
    ready_for(shop, "r-1", cart).await;
}

/// A cart with one of everything.
async fn ready_for(shop: &Shop, register: &str, cart: &str) {
    let skus: Vec<String> = (0..SKUS).map(sku).collect();
    let lines: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 1)).collect();
    shop.ready(register, cart, &lines).await.unwrap();
}

/// On hand and reserved of every SKU, which must be the same for all.
async fn stock(shop: &Shop) -> (i64, i64) {
    let first = shop.counters(STORE, &sku(0)).await.unwrap();
    for n in 0..SKUS {
        let c = shop.counters(STORE, &sku(n)).await.unwrap();
        assert_eq!(c.available, c.on_hand - c.reserved, "{}", sku(n));
        assert_eq!((c.on_hand, c.reserved), (first.on_hand, first.reserved), "{} differs", sku(n));
    }
    (first.on_hand, first.reserved)
}

fn numbers(database: &MemoryDatabase) -> Vec<i64> {
    let mut numbers: Vec<i64> = database
        .items(Table::Orders)
        .iter()
        .filter(|item| item.opt_text("sk") == Some("cart"))
        .filter_map(|item| item.opt_number("lane_number"))
        .collect();
    numbers.sort_unstable();
    numbers
}

#[tokio::test]
async fn a_long_order_is_one_order_with_one_number() {
    let w = world(5).await;
    let answered = w.shop.finalize("r-1", "long").await.unwrap();
    assert_eq!(answered.reply.result.receipt_number, Some(1));
    assert!(!answered.replayed, "its own plan made it final");
    assert_eq!(stock(&w.shop).await, (4_000, 0));
    let again = w.shop.finalize("r-1", "long").await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.reply.result, answered.reply.result);
    assert_eq!(
        plan::recover(&w.shop.ports, w.environment.now(), 10, Timestamp::MAX).await.unwrap(),
        0,
        "nothing left over"
    );
}

#[tokio::test]
async fn what_is_short_is_named_and_all_is_given_back() {
    let w = world(1).await;
    // Somebody else takes one product of the last chunk.
    let taken = sku(SKUS - 1);
    w.shop.ready("r-2", "other", &[(&taken, 1)]).await.unwrap();
    w.shop.finalize("r-2", "other").await.unwrap();
    let error = w.shop.finalize("r-1", "long").await.unwrap_err();
    let tillstream_app::Error::Rejected(refusal) = error else { panic!("{error}") };
    assert_eq!((refusal.kind, refusal.code), (RefusalKind::Conflict, "insufficient_stock"));
    assert_eq!(refusal.extra["lines"][0]["sku"], json!(taken));
    for n in 0..SKUS - 1 {
        let c = w.shop.counters(STORE, &sku(n)).await.unwrap();
        assert_eq!((c.on_hand, c.reserved, c.available), (1_000, 0, 1_000));
    }
    // The cart is free again, however often it is refused, and goes through once there is stock.
    for _ in 0..2 {
        let again = w.shop.finalize("r-1", "long").await.unwrap_err();
        assert_eq!(again.code(), Some("insufficient_stock"));
    }
    w.shop.product(STORE, &taken, "1.00", 1).await.unwrap();
    assert_eq!(w.shop.finalize("r-1", "long").await.unwrap().reply.result.receipt_number, Some(1));
    assert_eq!(stock(&w.shop).await, (0, 0));
}

#[tokio::test]
async fn while_a_plan_runs_other_changes_of_the_cart_are_refused() {
    let w = world(5).await;
    let faulty = Arc::new(FaultyDatabase::new(w.database.clone()));
    faulty.script(Operation::Transact, [None, Some(Fault::DiesBefore)]);
    die(&w, faulty).await;
    let error = w.shop.command("k", "remove_payment", json!({"cart_id": "long", "payment_id": "p-1"})).await;
    assert_eq!(error.unwrap_err().code(), Some("finalize_in_progress"));
    assert_eq!(w.shop.finalize("r-1", "long").await.unwrap().reply.result.receipt_number, Some(1));
}

/// Runs the finalise until the fault kills it.
async fn die(w: &World, database: Arc<dyn Database>) {
    die_at(w, database, "r-1", "long").await;
}

async fn die_at(w: &World, database: Arc<dyn Database>, register: &'static str, cart: &'static str) {
    let environment: Arc<dyn Environment> = w.environment.clone();
    let shop = Shop { ports: Ports { database, environment }, scope: w.shop.scope.clone() };
    let task = tokio::spawn(async move { shop.finalize(register, cart).await });
    // A call that never returns leaves the task idle: a few turns of the scheduler are enough.
    for _ in 0..50_000 {
        if task.is_finished() {
            return;
        }
        tokio::task::yield_now().await;
    }
    task.abort();
    let _ = task.await;
}

/// Every database call of a long finalise is a place to die, before and after it takes effect. What is
/// left is finished by the schedule alone, or by the till's repeat alone; either way exactly once.
#[tokio::test]
async fn a_death_at_every_step_is_recovered_from() {
    let mut deaths = 0;
    for operation in [Operation::Transact, Operation::GetMany, Operation::Get, Operation::Write] {
        for fault in [Fault::DiesBefore, Fault::DiesAfter] {
            for step in 0..40 {
                let w = world(5).await;
                let faulty = Arc::new(FaultyDatabase::new(w.database.clone()));
                faulty.script(operation, std::iter::repeat_n(None, step).chain([Some(fault)]));
                die(&w, faulty.clone()).await;
                if faulty.injected().is_empty() {
                    break;
                }
                deaths += 1;
                let label = format!("{operation:?} {fault:?} at call {step}");
                if step % 2 == 0 {
                    w.environment.advance(Duration::from_secs(60));
                    plan::recover(&w.shop.ports, w.environment.now(), 10, Timestamp::MAX).await.unwrap();
                }
                let answered =
                    w.shop.finalize("r-1", "long").await.unwrap_or_else(|e| panic!("{label}: {e}"));
                assert_eq!(answered.reply.result.receipt_number, Some(1), "{label}");
                // Whoever is answered finds the stock settled, also where the one before died in between.
                assert_eq!(stock(&w.shop).await, (4_000, 0), "{label}");
                assert_eq!(numbers(&w.database), [1], "{label}");
                w.environment.advance(Duration::from_secs(60));
                assert_eq!(
                    plan::recover(&w.shop.ports, w.environment.now(), 10, Timestamp::MAX).await.unwrap(),
                    0,
                    "{label}"
                );
            }
        }
    }
    assert!(deaths >= 20, "only {deaths} deaths: the test no longer reaches the steps");
}

/// The same for a plan that has to give everything back.
#[tokio::test]
async fn a_death_while_giving_back_is_recovered_from() {
    for fault in [Fault::DiesBefore, Fault::DiesAfter] {
        for step in 0..12 {
            let w = world(1).await;
            let taken = sku(SKUS - 1);
            w.shop.ready("r-2", "other", &[(&taken, 1)]).await.unwrap();
            w.shop.finalize("r-2", "other").await.unwrap();
            let faulty = Arc::new(FaultyDatabase::new(w.database.clone()));
            faulty.script(Operation::Transact, std::iter::repeat_n(None, step).chain([Some(fault)]));
            die(&w, faulty).await;
            w.environment.advance(Duration::from_secs(60));
            plan::recover(&w.shop.ports, w.environment.now(), 10, Timestamp::MAX).await.unwrap();
            for n in 0..SKUS - 1 {
                let c = w.shop.counters(STORE, &sku(n)).await.unwrap();
                assert_eq!(
                    (c.on_hand, c.reserved, c.available),
                    (1_000, 0, 1_000),
                    "{fault:?} {step} {}",
                    sku(n)
                );
            }
            assert_eq!(numbers(&w.database), [1], "{fault:?} {step}: only the other order has a number");
            let error = w.shop.finalize("r-1", "long").await.unwrap_err();
            assert_eq!(error.code(), Some("insufficient_stock"), "{fault:?} {step}");
        }
    }
}

/// Several tills' repeats and the schedule at once, with everything that AWS does now and then.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_drive_one_plan_at_once_under_faults() {
    for seed in 0..12 {
        let w = world(5).await;
        let faulty: Arc<dyn Database> =
            Arc::new(FaultyDatabase::random(w.database.clone(), seed, Rates::each(40)));
        let environment: Arc<dyn Environment> = w.environment.clone();
        let shop = Shop { ports: Ports { database: faulty, environment }, scope: w.shop.scope.clone() };
        let mut tasks = Vec::new();
        for _ in 0..6 {
            let shop = shop.clone();
            tasks.push(tokio::spawn(async move { shop.finalize("r-1", "long").await }));
        }
        for task in tasks {
            if let Ok(answered) = task.await.unwrap() {
                assert_eq!(answered.reply.result.receipt_number, Some(1), "seed {seed}");
            }
        }
        assert_eq!(w.shop.finalize("r-1", "long").await.unwrap().reply.result.receipt_number, Some(1));
        w.environment.advance(Duration::from_secs(60));
        plan::recover(&w.shop.ports, w.environment.now(), 10, Timestamp::MAX).await.unwrap();
        assert_eq!(stock(&w.shop).await, (4_000, 0), "seed {seed}");
        assert_eq!(numbers(&w.database), [1], "seed {seed}");
    }
}

/// A database that freezes the `step`th call of `operation`, and a shop on it.
fn freezing(w: &World, operation: Operation, step: usize) -> (Arc<FaultyDatabase>, Shop) {
    let frozen = Arc::new(FaultyDatabase::new(w.database.clone()));
    frozen.script(operation, std::iter::repeat_n(None, step).chain([Some(Fault::Freezes)]));
    let environment: Arc<dyn Environment> = w.environment.clone();
    let ports = Ports { database: frozen.clone(), environment };
    (frozen, Shop { ports, scope: w.shop.scope.clone() })
}

/// Begins the finalise and lets it run until it is frozen; `None` if it ends before.
async fn frozen(shop: Shop, database: &FaultyDatabase) -> Option<JoinHandle<Result<Answered>>> {
    let task = tokio::spawn(async move { shop.finalize("r-1", "long").await });
    while database.injected().is_empty() && !task.is_finished() {
        tokio::task::yield_now().await;
    }
    (!database.injected().is_empty()).then_some(task)
}

/// Who wakes late may have run out of time, or find stock short; what it must not find is a rule broken.
fn is_no_bug(label: &str, late: Result<Answered>) {
    if let Err(tillstream_app::Error::Bug(what)) = late {
        panic!("{label}: {what}");
    }
}

/// A driver is frozen before a write, another goes on and dies, and the first goes on when the database
/// no longer knows its writes from new ones: a transaction's token is forgotten after ten minutes.
/// Another plan holds a piece of everything, so that what is taken twice is there to be taken.
#[tokio::test]
async fn a_driver_that_wakes_much_later_does_nothing_twice() {
    let (mut frozen_at, mut both) = (0, 0);
    for step in 0..12 {
        for other in 0..12 {
            let w = world(5).await;
            ready_for(&w.shop, "r-2", "beside").await;
            let dying = Arc::new(FaultyDatabase::new(w.database.clone()));
            dying.script(Operation::Transact, [None, None, None, Some(Fault::DiesBefore)]);
            die_at(&w, dying.clone(), "r-2", "beside").await;
            assert_eq!(stock(&w.shop).await, (5_000, 1_000));

            let (database, shop) = freezing(&w, Operation::Transact, step);
            let Some(task) = frozen(shop, &database).await else { break };
            frozen_at = step;
            let dying = Arc::new(FaultyDatabase::new(w.database.clone()));
            dying.script(
                Operation::Transact,
                std::iter::repeat_n(None, other).chain([Some(Fault::DiesBefore)]),
            );
            die(&w, dying.clone()).await;
            w.environment.advance(Duration::from_secs(11 * 60));
            database.thaw();
            let label = format!("frozen at {step}, the other died at {other}");
            is_no_bug(&label, task.await.unwrap());
            let answered = w.shop.finalize("r-1", "long").await.unwrap_or_else(|e| panic!("{label}: {e}"));
            assert_eq!(answered.reply.result.receipt_number, Some(1), "{label}");
            w.environment.advance(Duration::from_secs(60));
            plan::recover(&w.shop.ports, w.environment.now(), 10, Timestamp::MAX).await.unwrap();
            assert_eq!(stock(&w.shop).await, (3_000, 0), "{label}");
            assert_eq!(numbers(&w.database), [1, 1], "{label}");
            if dying.injected().is_empty() {
                break;
            }
            both += 1;
        }
    }
    assert!(frozen_at >= 5 && both >= 15, "frozen at {frozen_at}, {both} others died");
}

/// The cart changes between the read of who wants to plan it and the plan's first write.
#[tokio::test]
async fn a_plan_is_of_the_cart_as_it_is() {
    let w = world(5).await;
    let (database, shop) = freezing(&w, Operation::Transact, 0);
    let task = frozen(shop, &database).await.unwrap();
    let cheaper =
        json!({"cart_id": "long", "tender": "cash", "amount": {"amount": 12_900, "currency": "GBP"}});
    for (key, action, payload) in [
        ("a", "remove_payment", json!({"cart_id": "long", "payment_id": "p-1"})),
        ("b", "resume_editing", json!({"cart_id": "long"})),
        ("c", "remove_line_item", json!({"cart_id": "long", "line_id": "l-1"})),
        ("d", "set_tendering", json!({"cart_id": "long"})),
        ("e", "add_payment", cheaper),
    ] {
        w.shop.command(key, action, payload).await.unwrap_or_else(|e| panic!("{action}: {e}"));
    }
    database.thaw();
    let answered = task.await.unwrap().unwrap();
    assert_eq!(answered.reply.result.receipt_number, Some(1));
    let kept = w.shop.counters(STORE, &sku(0)).await.unwrap();
    assert_eq!((kept.on_hand, kept.reserved), (5_000, 0), "what was taken out of the cart was not sold");
    let sold = w.shop.counters(STORE, &sku(1)).await.unwrap();
    assert_eq!((sold.on_hand, sold.reserved), (4_000, 0));
}

/// A driver that found stock short, or was about to look, is frozen; the plan ends without it, one way
/// or the other, and what was short arrives.
#[tokio::test]
async fn a_driver_that_wakes_after_the_plan_ended_changes_nothing() {
    let mut seen = 0;
    for arrives_first in [true, false] {
        for (operation, steps) in [(Operation::Transact, 0..8), (Operation::Write, 0..2)] {
            for step in steps {
                let w = world(1).await;
                let taken = sku(SKUS - 1);
                w.shop.ready("r-2", "other", &[(&taken, 1)]).await.unwrap();
                w.shop.finalize("r-2", "other").await.unwrap();
                let (database, shop) = freezing(&w, operation, step);
                let Some(task) = frozen(shop, &database).await else { break };
                seen += 1;
                let label = format!("{operation:?} {step}, arrives first: {arrives_first}");
                if arrives_first {
                    w.shop.product(STORE, &taken, "1.00", 1).await.unwrap();
                }
                let ended = w.shop.finalize("r-1", "long").await;
                if !arrives_first {
                    assert_eq!(ended.unwrap_err().code(), Some("insufficient_stock"), "{label}");
                    w.shop.product(STORE, &taken, "1.00", 1).await.unwrap();
                }
                w.environment.advance(Duration::from_secs(11 * 60));
                database.thaw();
                is_no_bug(&label, task.await.unwrap());
                let answered =
                    w.shop.finalize("r-1", "long").await.unwrap_or_else(|e| panic!("{label}: {e}"));
                assert_eq!(answered.reply.result.receipt_number, Some(1), "{label}");
                w.environment.advance(Duration::from_secs(60));
                plan::recover(&w.shop.ports, w.environment.now(), 10, Timestamp::MAX).await.unwrap();
                assert_eq!(stock(&w.shop).await, (0, 0), "{label}");
                assert_eq!(numbers(&w.database), [1, 1], "{label}");
            }
        }
    }
    assert!(seen >= 8, "only {seen} places");
}

/// A plan that cannot be continued makes way for those behind it.
#[tokio::test]
async fn what_cannot_be_continued_is_met_later() {
    let w = world(5).await;
    let died = Arc::new(FaultyDatabase::new(w.database.clone()));
    // The plan is made, and its first chunk never held.
    died.script(Operation::Transact, [None, Some(Fault::DiesBefore)]);
    die(&w, died).await;
    w.environment.advance(Duration::from_secs(60));
    let stuck = Arc::new(FaultyDatabase::new(w.database.clone()));
    stuck.keep_busy(&sku(3));
    let ports = Ports { database: stuck, environment: w.environment.clone() };
    let recover = async |ports: &Ports, deadline: Timestamp| {
        plan::recover(ports, w.environment.now(), 10, deadline).await.unwrap()
    };
    assert_eq!(recover(&ports, w.environment.now()).await, 0, "nothing is begun after the deadline");
    assert_eq!(recover(&ports, Timestamp::MAX).await, 1);
    assert_eq!(recover(&w.shop.ports, Timestamp::MAX).await, 0, "it is let be");
    w.environment.advance(Duration::from_secs(121));
    assert_eq!(recover(&w.shop.ports, Timestamp::MAX).await, 1);
    assert_eq!(recover(&w.shop.ports, Timestamp::MAX).await, 0, "it is at its end");
}

/// A plan that is met late in a run has as much time to lose races as the first.
#[tokio::test]
async fn what_is_met_late_in_a_run_has_its_time() {
    let w = world(5).await;
    let died = Arc::new(FaultyDatabase::new(w.database.clone()));
    died.script(Operation::Transact, [None, Some(Fault::DiesBefore)]);
    die(&w, died).await;
    w.environment.advance(Duration::from_secs(60));
    let run_began = w.environment.now();
    w.environment.advance(Duration::from_secs(20));
    let busy = Arc::new(FaultyDatabase::new(w.database.clone()));
    busy.fail_next(Operation::Transact, Fault::Conflict);
    let ports = Ports { database: busy, environment: w.environment.clone() };
    assert_eq!(plan::recover(&ports, run_began, 10, Timestamp::MAX).await.unwrap(), 1);
    assert_eq!(stock(&w.shop).await, (4_000, 0));
}
