//! What a register sold while it was cut off, and was not there: the sale stands, on hand stays at or above
//! zero, the ledger adds up, and an exception says how many. Uploaded any number of times, from any number
//! of places, it is one sale and one exception.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tillstream_app::capacity::Operation;
use tillstream_app::database::{Item, Table};
use tillstream_app::environment::Environment;
use tillstream_app::pos::{batch, plan};
use tillstream_app::stock::counters::Counters;
use tillstream_app::stock::ledger::{self, LedgerRow};
use tillstream_app::stock::reserve::reserve;
use tillstream_app::stock::split::{self, LaidOut};
use tillstream_app::stock::{conservation, exceptions, movements};
use tillstream_app::tenancy::{Role, Stores};
use tillstream_app::{Error, Ports};
use tillstream_contracts::inventory::{
    ExceptionKind, ExceptionQuery, ExceptionStatus, MovementQuery, ReserveLine, ReserveRequest,
    ResolveExceptionRequest, StockException,
};
use tillstream_domain::quantity::QuantityInput;
use tillstream_testkit::faults::{Fault, FaultyDatabase};
use tillstream_testkit::memory_database::{MemoryDatabase, StreamChange};
use tillstream_testkit::shop::{STORE, Shop, caller};
use tillstream_testkit::test_environment::TestEnvironment;

use crate::uploaded_sale::sale;

const A: &str = "SKU-A";

async fn shop(seed: u64, pieces: i64) -> (Shop, Arc<MemoryDatabase>, Arc<TestEnvironment>) {
    let environment = Arc::new(TestEnvironment::new(seed));
    let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    let shop = Shop::open(database.clone(), environment.clone()).await.unwrap();
    shop.product(STORE, A, "1.00", pieces).await.unwrap();
    (shop, database, environment)
}

fn on(database: Arc<dyn tillstream_app::database::Database>, shop: &Shop) -> Ports {
    Ports { database, environment: shop.ports.environment.clone() }
}

/// Uploads until it has come to its end. Nothing may be refused.
async fn upload(ports: &Ports, commands: &[Value]) -> Vec<Value> {
    for _ in 0..100 {
        let who = caller("demo", &[Role::Cashier, Role::StoreManager]);
        let (outcomes, go_on) = batch::run(ports, &who, commands.to_vec(), Timestamp::MAX).await;
        if go_on.is_none() {
            let told = |(_, outcome): (Value, batch::Outcome)| {
                serde_json::to_value(outcome.unwrap_or_else(|e| panic!("{e}")).reply.result).unwrap()
            };
            return outcomes.into_iter().map(told).collect();
        }
    }
    panic!("the upload comes to no end");
}

fn manager() -> tillstream_app::tenancy::Caller {
    caller("demo", &[Role::StoreManager])
}

async fn listed(shop: &Shop, status: ExceptionStatus) -> Vec<StockException> {
    let query =
        ExceptionQuery { location_id: STORE.into(), status: Some(status), limit: Some(200), cursor: None };
    exceptions::list(&shop.ports, &manager(), &query).await.unwrap().items
}

/// Of each open exception: order, SKU, pieces.
async fn tasks(shop: &Shop) -> Vec<(String, String, i64)> {
    let mut tasks: Vec<_> = listed(shop, ExceptionStatus::Open)
        .await
        .into_iter()
        .map(|task| {
            let QuantityInput::Whole(pieces) = task.quantity else { panic!("{task:?}") };
            (task.order_id.unwrap(), task.sku.unwrap(), pieces)
        })
        .collect();
    tasks.sort();
    tasks
}

/// The ledger of all that ever moved is complete, adds up to the counters, and its discrepancies are the
/// exceptions; no counter was ever below zero. Answers on hand and reserved by SKU.
async fn proved(shop: &Shop, database: &MemoryDatabase, skus: &[&str]) -> Vec<(i64, i64)> {
    let changes = database.changes(Table::Stock, 0);
    let row = |c: &StreamChange| ledger::ledger_rows(c.old.as_ref(), c.new.as_ref()).unwrap();
    let rows: Vec<Item> = changes.iter().filter_map(row).collect();
    let entered: i64 = rows
        .iter()
        .map(|row| LedgerRow::of(row).unwrap())
        .inspect(|row| {
            assert!(row.after.on_hand >= 0 && row.after.available >= 0 && row.after.reserved >= 0, "{row:?}");
        })
        .filter(|row| row.kind == "discrepancy")
        .map(|row| row.delta.on_hand)
        .sum();
    ledger::record(&shop.ports, rows).await.unwrap();
    let told: i64 = tasks(shop).await.iter().map(|(_, _, pieces)| pieces * 1_000).sum();
    assert_eq!(entered, told, "what was entered is what the exceptions tell");
    let mut found = Vec::new();
    for sku in skus {
        let proof = conservation::prove(&shop.ports, &manager(), STORE, sku).await.unwrap();
        assert!(proof.holds && proof.seq_reached == proof.seq_current, "{proof:?}");
        let whole = |quantity: &QuantityInput| match quantity {
            QuantityInput::Whole(whole) => *whole,
            QuantityInput::Decimal(text) => panic!("{text}"),
        };
        found.push((whole(&proof.counters.on_hand), whole(&proof.counters.reserved)));
    }
    found
}

fn orders(database: &MemoryDatabase) -> usize {
    let is_order = |item: &&Item| item.opt_number("lane_number").is_some();
    database.items(Table::Orders).iter().filter(is_order).count()
}

#[tokio::test]
async fn what_was_sold_offline_is_sold() {
    let (shop, database, _) = shop(1, 2).await;
    let commands = sale("r-1", "c-1", &[(A, 5)]);
    let results = upload(&shop.ports, &commands).await;
    assert_eq!(results.last().unwrap()["receipt_number"], 1);
    assert_eq!(tasks(&shop).await, [("c-1".into(), A.into(), 3)]);
    assert_eq!(proved(&shop, &database, &[A]).await, [(0, 0)]);
    let task = listed(&shop, ExceptionStatus::Open).await.remove(0);
    assert_eq!(task.kind, ExceptionKind::OversoldOffline);
    assert_eq!((task.register_id.as_deref(), task.employee_id.as_deref()), (Some("r-1"), Some("e-7")));
    assert_eq!(task.occurred_at, "2010-12-01T08:26:00Z".parse().unwrap());
    let query = MovementQuery { sku: A.into(), location_id: STORE.into(), limit: None, cursor: None };
    let moved = movements::list(&shop.ports, &manager(), &query).await.unwrap().items;
    let kinds: Vec<_> = moved.iter().map(|row| (row.kind.as_str(), row.reference.as_str())).collect();
    assert_eq!(kinds, [("sale", "c-1"), ("discrepancy", &task.exception_id), ("sync", "opening")]);

    // Sent again, nothing is done again; what is there is sold as ever, without an exception.
    upload(&shop.ports, &commands).await;
    shop.product(STORE, A, "1.00", 4).await.unwrap();
    upload(&shop.ports, &sale("r-1", "c-2", &[(A, 4)])).await;
    assert_eq!(tasks(&shop).await.len(), 1);
    assert_eq!((proved(&shop, &database, &[A]).await, orders(&database)), (vec![(0, 0)], 2));
}

#[tokio::test]
async fn an_online_sale_of_too_much_is_refused_and_changes_nothing() {
    let (shop, database, _) = shop(2, 2).await;
    shop.ready("r-1", "c", &[(A, 3)]).await.unwrap();
    let before = database.items(Table::Stock);
    let Err(Error::Rejected(refusal)) = shop.finalize("r-1", "c").await else { panic!("sold") };
    assert_eq!(refusal.code, "insufficient_stock");
    assert_eq!(database.items(Table::Stock), before);
    // The same cart, uploaded by its register, was sold.
    let last = sale("r-1", "c", &[]).pop().unwrap();
    upload(&shop.ports, &[last]).await;
    assert_eq!(tasks(&shop).await, [("c".into(), A.into(), 1)]);
}

#[tokio::test]
async fn the_day_of_the_sale_is_the_registers() {
    let (shop, _, environment) = shop(3, 0).await;
    environment.set("2010-12-04T12:00:00Z".parse().unwrap());
    upload(&shop.ports, &sale("r-1", "c", &[(A, 1)])).await;
    let key = shop.scope.cart("c");
    let get = tillstream_app::database::Get {
        table: Table::Orders,
        key,
        consistency: tillstream_app::database::Consistency::Strong,
    };
    let item = shop.ports.database.get(get).await.unwrap().unwrap();
    let cart = tillstream_app::pos::cart_item::cart_of(&item).unwrap();
    assert_eq!(cart.finalized.unwrap().business_day, "2010-12-01".parse().unwrap());
    let task = listed(&shop, ExceptionStatus::Open).await.remove(0);
    assert!(task.opened_at > task.occurred_at);
}

#[tokio::test]
async fn stock_that_never_was_there_is_covered() {
    let (shop, database, _) = shop(4, 0).await;
    shop.product("s-other", "NEW", "1.00", 9).await.unwrap();
    upload(&shop.ports, &sale("r-1", "c", &[("NEW", 2), (A, 1)])).await;
    assert_eq!(tasks(&shop).await, [("c".into(), "NEW".into(), 2), ("c".into(), A.into(), 1)]);
    assert_eq!(proved(&shop, &database, &["NEW", A]).await, [(0, 0), (0, 0)]);
}

#[tokio::test]
async fn what_others_hold_stays_theirs() {
    let (shop, database, environment) = shop(5, 5).await;
    let lines = vec![ReserveLine {
        location_id: Some(STORE.into()),
        sku: A.into(),
        quantity: QuantityInput::Whole(4),
    }];
    let hold = |ttl| ReserveRequest {
        reservation_id: None,
        lines: lines.clone(),
        sourcing: None,
        ttl_seconds: ttl,
        order_id: None,
    };
    reserve(&shop.ports, &manager(), "held", &hold(600)).await.unwrap();
    upload(&shop.ports, &sale("r-1", "c-1", &[(A, 3)])).await;
    assert_eq!(tasks(&shop).await, [("c-1".into(), A.into(), 2)]);
    assert_eq!(proved(&shop, &database, &[A]).await, [(4, 4)]);
    // A hold that has expired holds nothing: no exception.
    environment.advance(std::time::Duration::from_secs(601));
    upload(&shop.ports, &sale("r-1", "c-2", &[(A, 4)])).await;
    assert_eq!(tasks(&shop).await.len(), 1);
    assert_eq!(proved(&shop, &database, &[A]).await, [(0, 0)]);
}

#[tokio::test]
async fn split_stock_is_covered_too() {
    let (shop, database, _) = shop(6, 40).await;
    let laid_out = split::split(&shop.ports, &shop.scope, STORE, A, 8).await.unwrap();
    assert!(matches!(laid_out, LaidOut::Now(_)));
    upload(&shop.ports, &sale("r-1", "c", &[(A, 43)])).await;
    assert_eq!(tasks(&shop).await, [("c".into(), A.into(), 3)]);
    assert_eq!(proved(&shop, &database, &[A]).await, [(0, 0)]);
}

/// Of more SKUs than a transaction takes, and more short ones than one cover takes.
const LONG: usize = 210;

async fn long_shop(seed: u64) -> (Shop, Arc<MemoryDatabase>, Vec<String>) {
    let (shop, database, _) = shop(seed, 0).await;
    let skus: Vec<String> = (0..LONG).map(|n| format!("L-{n:03}")).collect();
    for (n, sku) in skus.iter().enumerate() {
        // Two of three are short by one.
        let pieces = i64::from(n % 3 == 0) + 1;
        shop.product(STORE, sku, "1.00", pieces).await.unwrap();
    }
    (shop, database, skus)
}

fn lines_of(skus: &[String]) -> Vec<(&str, i64)> {
    skus.iter().map(|sku| (sku.as_str(), 2)).collect()
}

async fn all_sold(shop: &Shop, database: &MemoryDatabase, skus: &[String]) {
    let names: Vec<&str> = skus.iter().map(String::as_str).collect();
    let found = proved(shop, database, &names).await;
    assert!(found.iter().all(|counters| *counters == (0, 0)), "{found:?}");
    let tasks = tasks(shop).await;
    assert_eq!((tasks.len(), orders(database)), (140, 1));
    assert!(tasks.iter().all(|(order, _, pieces)| (order.as_str(), *pieces) == ("long", 1)));
}

#[tokio::test]
async fn a_long_order_is_covered_too() {
    let (shop, database, skus) = long_shop(7).await;
    let commands = sale("r-1", "long", &lines_of(&skus));
    upload(&shop.ports, &commands).await;
    all_sold(&shop, &database, &skus).await;
    upload(&shop.ports, &commands).await;
    all_sold(&shop, &database, &skus).await;
}

/// A plan that was begun online gives up its stock; the upload that meets it begins another, and the keeper
/// ends what a dying process left.
#[tokio::test]
async fn a_long_order_is_ended_by_whoever_meets_it() {
    let (shop, database, skus) = long_shop(8).await;
    let mut commands = sale("r-1", "long", &lines_of(&skus));
    let last = commands.pop().unwrap();
    upload(&shop.ports, &commands).await;
    let refused = shop.finalize("r-1", "long").await.unwrap_err();
    assert_eq!(refused.code(), Some("insufficient_stock"));
    assert!(tasks(&shop).await.is_empty());
    let faulty = Arc::new(FaultyDatabase::new(database.clone()));
    // The plan stands, its first chunk is refused, covered in two; then nothing is answered any more.
    let left = std::iter::repeat_n(None, 4).chain(std::iter::repeat_n(Some(Fault::Refused), 1));
    faulty.script(Operation::Transact, left);
    let who = manager();
    let (outcomes, _) = batch::run(&on(faulty, &shop), &who, vec![last.clone()], Timestamp::MAX).await;
    assert!(outcomes.iter().all(|(_, outcome)| outcome.is_err()));
    assert_eq!(orders(&database), 0);
    let later = shop.ports.environment.now() + SignedDuration::from_mins(5);
    plan::recover(&shop.ports, later, 10, Timestamp::MAX).await.unwrap();
    all_sold(&shop, &database, &skus).await;
    upload(&shop.ports, &[last]).await;
    all_sold(&shop, &database, &skus).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_registers_sell_the_last_five() {
    for seed in 0..6 {
        let (shop, database, _) = shop(100 + seed, 5).await;
        let uploads: Vec<_> = (0..20)
            .map(|n| {
                let ports = shop.ports.clone();
                let commands = sale(&format!("r-{}", n % 4 + 1), &format!("c-{n}"), &[(A, 1)]);
                tokio::spawn(async move { upload(&ports, &commands).await })
            })
            .collect();
        for upload in uploads {
            upload.await.unwrap();
        }
        assert_eq!((proved(&shop, &database, &[A]).await, orders(&database)), (vec![(0, 0)], 20));
        assert_eq!(tasks(&shop).await.iter().map(|(_, _, pieces)| pieces).sum::<i64>(), 15, "{seed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_upload_fifty_times_from_two_places_is_one() {
    for seed in 0..3 {
        let (shop, database, _) = shop(200 + seed, 4).await;
        shop.product(STORE, "B", "1.00", 1).await.unwrap();
        let mut commands = sale("r-1", "c-1", &[(A, 3), ("B", 2)]);
        commands.extend(sale("r-1", "c-2", &[(A, 3)]));
        let places: Vec<_> = (0..2)
            .map(|_| {
                let (ports, commands) = (shop.ports.clone(), commands.clone());
                tokio::spawn(async move {
                    let mut seen = Vec::new();
                    for _ in 0..50 {
                        seen.push(upload(&ports, &commands).await);
                    }
                    seen
                })
            })
            .collect();
        let mut seen = Vec::new();
        for place in places {
            seen.extend(place.await.unwrap());
        }
        assert!(seen.iter().all(|results| *results == seen[0]), "every upload tells the same");
        assert_eq!(proved(&shop, &database, &[A, "B"]).await, [(0, 0), (0, 0)]);
        assert_eq!(orders(&database), 2);
        let tasks = tasks(&shop).await;
        assert_eq!(tasks.iter().map(|(_, _, pieces)| pieces).sum::<i64>(), 3, "{tasks:?}");
    }
}

/// Twins that meet at the same moments, over and over.
#[tokio::test]
async fn twins_enter_what_is_missing_once() {
    for seed in 0..40 {
        let (shop, database, _) = shop(300 + seed, 1).await;
        let mut commands = sale("r-1", "c", &[(A, 3)]);
        let last = commands.pop().unwrap();
        upload(&shop.ports, &commands).await;
        let last = [last];
        let twins = (0..4).map(|_| upload(&shop.ports, &last));
        futures::future::join_all(twins).await;
        assert_eq!(tasks(&shop).await, [("c".into(), A.into(), 2)], "{seed}");
        assert_eq!(proved(&shop, &database, &[A]).await, [(0, 0)]);
    }
}

/// One call fails, whichever, however; the register sends again: one sale, and exactly what was missing.
#[tokio::test]
async fn a_fault_at_any_call_enters_nothing_twice() {
    let faults =
        [Fault::Throttled, Fault::Conflict, Fault::TimedOutBefore, Fault::AnswerLost, Fault::Refused];
    let mut count = 0;
    for operation in Operation::ALL {
        for fault in faults {
            for call in 0.. {
                let (shop, database, _) = shop(9, 1).await;
                let mut commands = sale("r-1", "c", &[(A, 3)]);
                let last = commands.pop().unwrap();
                upload(&shop.ports, &commands).await;
                let faulty = Arc::new(FaultyDatabase::new(database.clone()));
                faulty.script(operation, std::iter::repeat_n(None, call).chain([Some(fault)]));
                let ports = on(faulty.clone(), &shop);
                let (first, _) = batch::run(&ports, &manager(), vec![last.clone()], Timestamp::MAX).await;
                if faulty.injected().is_empty() {
                    break;
                }
                count += 1;
                let label = format!("{fault:?} at {operation:?} {call}: {first:?}");
                let refused = first.iter().any(|(_, outcome)| matches!(outcome, Err(Error::Rejected(_))));
                assert!(!refused, "{label}");
                upload(&shop.ports, &[last]).await;
                assert_eq!(tasks(&shop).await, [("c".into(), A.into(), 2)], "{label}");
                assert_eq!((proved(&shop, &database, &[A]).await, orders(&database)), (vec![(0, 0)], 1));
            }
        }
    }
    assert!(count >= 20, "{count}");
}

/// The register's process dies after it covered; another till sells what was covered; the register comes
/// back. Three were there, nothing is sold twice in the books.
#[tokio::test]
async fn what_was_covered_and_taken_by_another_till_is_covered_again() {
    let (shop, database, _) = shop(10, 0).await;
    let mut commands = sale("r-1", "c", &[(A, 3)]);
    let last = commands.pop().unwrap();
    upload(&shop.ports, &commands).await;
    let faulty = Arc::new(FaultyDatabase::new(database.clone()));
    // The first transaction finds it short, the second covers, the third never comes.
    faulty.script(Operation::Transact, [None, None, Some(Fault::Refused)]);
    let (died, _) = batch::run(&on(faulty, &shop), &manager(), vec![last.clone()], Timestamp::MAX).await;
    assert!(matches!(died[0].1, Err(Error::Bug(_))), "{died:?}");
    assert_eq!(tasks(&shop).await, [("c".into(), A.into(), 3)]);
    shop.ready("r-2", "other", &[(A, 2)]).await.unwrap();
    shop.finalize("r-2", "other").await.unwrap();
    upload(&shop.ports, &[last]).await;
    assert_eq!(tasks(&shop).await, [("c".into(), A.into(), 5)], "five were sold of none");
    assert_eq!((proved(&shop, &database, &[A]).await, orders(&database)), (vec![(0, 0)], 2));
}

fn settle(reason: &str) -> ResolveExceptionRequest {
    ResolveExceptionRequest { reason: reason.to_owned(), note: None }
}

#[tokio::test]
async fn an_exception_is_resolved_once() {
    let (shop, database, environment) = shop(11, 0).await;
    upload(&shop.ports, &sale("r-1", "c", &[(A, 1)])).await;
    let id = listed(&shop, ExceptionStatus::Open).await.remove(0).exception_id;
    let code = |error: Error| error.code().unwrap_or("none").to_owned();
    let resolve = async |key: &str, id: &str, request: &ResolveExceptionRequest| {
        exceptions::resolve(&shop.ports, &manager(), key, id, request).await
    };
    let before = database.items(Table::Stock);
    for (reason, expected) in [
        ("", "reason_invalid"),
        ("  ", "reason_invalid"),
        (&"x".repeat(201), "reason_invalid"),
        ("a\u{7}", "text_malformed"),
        ("4111111111111111", "card_number_refused"),
    ] {
        assert_eq!(code(resolve("k", &id, &settle(reason)).await.unwrap_err()), expected);
    }
    let noted = ResolveExceptionRequest { reason: "found".into(), note: Some("n".repeat(501)) };
    assert_eq!(code(resolve("k", &id, &noted).await.unwrap_err()), "text_too_long");
    assert_eq!(code(resolve("k", "x-none", &settle("found")).await.unwrap_err()), "exception_not_found");
    let mut far = manager();
    far.stores = Stores::Named(["s-2".to_owned()].into());
    let refused = exceptions::resolve(&shop.ports, &far, "k", &id, &settle("found")).await.unwrap_err();
    assert_eq!(code(refused), "store_out_of_reach");
    let query = ExceptionQuery { location_id: STORE.into(), status: None, limit: None, cursor: None };
    assert_eq!(code(exceptions::list(&shop.ports, &far, &query).await.unwrap_err()), "store_out_of_reach");
    let other = caller("other", &[Role::StoreManager]);
    let refused = exceptions::resolve(&shop.ports, &other, "k", &id, &settle("found")).await.unwrap_err();
    assert_eq!(code(refused), "exception_not_found");
    assert!(exceptions::list(&shop.ports, &other, &query).await.unwrap().items.is_empty());
    assert_eq!(database.items(Table::Stock), before, "what is refused changes nothing");

    let request = ResolveExceptionRequest { reason: "found".into(), note: Some("back room".into()) };
    let resolved = resolve("k", &id, &request).await.unwrap();
    assert!(!resolved.replayed);
    let resolution = resolved.exception.resolution.clone().unwrap();
    assert_eq!((resolution.reason.as_str(), resolution.note.as_deref()), ("found", Some("back room")));
    assert_eq!((resolution.resolved_by.as_str(), resolution.resolved_at), ("e-1", environment.now()));
    let again = resolve("k", &id, &request).await.unwrap();
    assert!(again.replayed && again.exception == resolved.exception);
    assert_eq!(code(resolve("k", &id, &settle("lost")).await.unwrap_err()), "idempotency_key_reused");
    assert_eq!(code(resolve("l", &id, &request).await.unwrap_err()), "exception_resolved");
    assert!(listed(&shop, ExceptionStatus::Open).await.is_empty());
    assert_eq!(listed(&shop, ExceptionStatus::Resolved).await, [resolved.exception]);
    assert_eq!(shop.counters(STORE, A).await.unwrap(), counters_of(&before), "it moves no stock");
}

fn counters_of(items: &[Item]) -> Counters {
    let stock = items.iter().find(|item| item.opt_number("seq").is_some()).unwrap();
    Counters::of(stock).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_resolve_one_does() {
    let (shop, _, _) = shop(12, 0).await;
    upload(&shop.ports, &sale("r-1", "c", &[(A, 1)])).await;
    let id = listed(&shop, ExceptionStatus::Open).await.remove(0).exception_id;
    let tries: Vec<_> = (0..20)
        .map(|n| {
            let (ports, id) = (shop.ports.clone(), id.clone());
            tokio::spawn(async move {
                exceptions::resolve(&ports, &manager(), &format!("k-{n}"), &id, &settle("found")).await
            })
        })
        .collect();
    let mut done = 0;
    for one in tries {
        match one.await.unwrap() {
            Ok(resolved) => done += usize::from(!resolved.replayed),
            Err(error) => assert_eq!(error.code(), Some("exception_resolved"), "{error}"),
        }
    }
    assert_eq!(done, 1);
}

/// A fault at any call of resolving, and the request again: resolved once, by this key.
#[tokio::test]
async fn resolving_rides_out_a_lost_answer() {
    for operation in [Operation::Get, Operation::Write] {
        for fault in [Fault::Throttled, Fault::TimedOutBefore, Fault::AnswerLost] {
            for call in 0..3 {
                let (shop, database, _) = shop(13, 0).await;
                upload(&shop.ports, &sale("r-1", "c", &[(A, 1)])).await;
                let id = listed(&shop, ExceptionStatus::Open).await.remove(0).exception_id;
                let faulty = Arc::new(FaultyDatabase::new(database));
                faulty.script(operation, std::iter::repeat_n(None, call).chain([Some(fault)]));
                let ports = on(faulty, &shop);
                let first = exceptions::resolve(&ports, &manager(), "k", &id, &settle("found")).await;
                let label = format!("{fault:?} at {operation:?} {call}: {first:?}");
                match &first {
                    Ok(resolved) => assert!(!resolved.replayed, "{label}"),
                    Err(error) => assert!(matches!(error, Error::Retryable { .. }), "{label}"),
                }
                let again = exceptions::resolve(&shop.ports, &manager(), "k", &id, &settle("found")).await;
                let again = again.unwrap();
                assert!(again.replayed || first.is_err(), "{label}");
                assert_eq!(again.exception.resolution.unwrap().reason, "found");
            }
        }
    }
}
