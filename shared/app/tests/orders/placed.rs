//! Orders placed in one request: once, of any length, on a reservation; a refusal leaves nothing behind.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tillstream_app::capacity::{CapacityMeter, Operation};
use tillstream_app::database::Table;
use tillstream_app::environment::Environment;
use tillstream_app::orders::{place, read};
use tillstream_app::pos::cart_write::Executed;
use tillstream_app::pos::plan;
use tillstream_app::stock::reserve;
use tillstream_app::tenancy::Role;
use tillstream_app::{Error, Ports, Result};
use tillstream_contracts::orders::OrderFilter;
use tillstream_testkit::faults::{Fault, FaultyDatabase};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop, caller};
use tillstream_testkit::test_environment::TestEnvironment;

/// More than one transaction takes.
const SKUS: usize = 110;

fn sku(n: usize) -> String {
    format!("SKU-{n:04}")
}

async fn shop(pieces: i64) -> (Shop, Arc<MemoryDatabase>) {
    let environment: Arc<dyn Environment> = Arc::new(TestEnvironment::new(5));
    let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    let shop = Shop::open(database.clone(), environment).await.unwrap();
    for n in 0..SKUS {
        shop.product(STORE, &sku(n), "1.00", pieces).await.unwrap();
    }
    (shop, database)
}

fn order(id: &str, lines: usize, pieces: i64) -> Value {
    let lines: Vec<Value> = (0..lines).map(|n| json!({"sku": sku(n), "quantity": pieces})).collect();
    json!({"order_id": id, "store_id": STORE, "channel": "web", "lines": lines})
}

async fn send(ports: &Ports, key: &str, order: Value) -> Result<Executed> {
    let who = caller("demo", &[Role::Integration]);
    place::place(ports, &who, key, serde_json::from_value(order).unwrap()).await
}

/// On hand and reserved of the first SKU.
async fn stock(shop: &Shop) -> (i64, i64) {
    let counters = shop.counters(STORE, &sku(0)).await.unwrap();
    (counters.on_hand, counters.reserved)
}

fn number(executed: &Executed) -> u64 {
    executed.cart.finalized.as_ref().unwrap().number.number
}

#[tokio::test]
async fn an_order_of_any_length_is_placed_once() {
    for lines in [1, SKUS] {
        let (shop, _) = shop(5).await;
        let first = send(&shop.ports, "k", order("o", lines, 2)).await.unwrap();
        assert_eq!((number(&first), first.replayed), (1, false), "{lines} lines");
        let again = send(&shop.ports, "k", order("o", lines, 2)).await.unwrap();
        assert_eq!((number(&again), again.replayed), (1, true), "{lines} lines");
        assert_eq!(stock(&shop).await, (3_000, 0));
        let code = |error: Error| error.code().map(str::to_owned);
        let other = send(&shop.ports, "l", order("o", lines, 2)).await.unwrap_err();
        assert_eq!(code(other).as_deref(), Some("order_exists"));
        let reused = send(&shop.ports, "k", order("o", lines, 1)).await.unwrap_err();
        assert_eq!(code(reused).as_deref(), Some("idempotency_key_reused"));
    }
}

/// Whatever its length: what was refused may be sent again, corrected or not, under the same key or not.
#[tokio::test]
async fn a_refused_order_leaves_its_key_and_its_id_free() {
    for lines in [1, SKUS] {
        for (key, pieces) in [("k", 1), ("k", 2), ("l", 1), ("l", 2)] {
            let (shop, _) = shop(1).await;
            let refused = send(&shop.ports, "k", order("o", lines, 2)).await.unwrap_err();
            let Error::Rejected(refused) = refused else { panic!("{refused}") };
            let named = (refused.code, refused.errors[0].field.as_str());
            assert_eq!(named, ("insufficient_stock", "lines[0].quantity"), "{lines} lines");
            assert_eq!(stock(&shop).await, (1_000, 0));
            for n in 0..lines {
                shop.product(STORE, &sku(n), "1.00", 1).await.unwrap();
            }
            let placed = send(&shop.ports, key, order("o", lines, pieces)).await;
            let placed = placed.unwrap_or_else(|e| panic!("{lines} lines of {pieces} under {key}: {e}"));
            assert_eq!((number(&placed), placed.replayed), (1, false));
            assert_eq!(placed.cart.lines.len(), lines);
            assert_eq!(stock(&shop).await, ((2 - pieces) * 1_000, 0));
        }
    }
}

/// Its cart is put before its plan: a death between, or anywhere later, holds up neither its repetition
/// nor another request for the same id.
#[tokio::test]
async fn a_request_that_died_blocks_nobody() {
    for (operation, steps) in [(Operation::Write, 0..1), (Operation::Transact, 0..6)] {
        for step in steps {
            for fault in [Fault::DiesBefore, Fault::DiesAfter] {
                for key in ["k", "l"] {
                    let (shop, database) = shop(5).await;
                    let dying = Arc::new(FaultyDatabase::new(database));
                    dying.script(operation, std::iter::repeat_n(None, step).chain([Some(fault)]));
                    let environment = shop.ports.environment.clone();
                    let ports = Ports { database: dying.clone(), environment };
                    let task = tokio::spawn(async move { send(&ports, "k", order("o", SKUS, 1)).await });
                    for _ in 0..20_000 {
                        if task.is_finished() {
                            break;
                        }
                        tokio::task::yield_now().await;
                    }
                    task.abort();
                    let label = format!("{operation:?} {step} {fault:?} {key}");
                    match send(&shop.ports, key, order("o", SKUS, 1)).await {
                        Ok(placed) => assert_eq!(number(&placed), 1, "{label}"),
                        // The first had become an order before it died, or its plan made it one now.
                        Err(error) => {
                            assert_eq!((error.code(), key), (Some("order_exists"), "l"), "{label}");
                        }
                    }
                    // An order that is final is answered; what its plan left is the schedule's.
                    let later = shop.ports.environment.now() + SignedDuration::from_mins(1);
                    plan::recover(&shop.ports, later, 10, Timestamp::MAX).await.unwrap();
                    assert_eq!(stock(&shop).await, (4_000, 0), "{label}");
                }
            }
        }
    }
}

/// Sends an order of all SKUs and lets it die at the fault.
async fn die(shop: &Shop, database: &Arc<MemoryDatabase>, operation: Operation, script: &[Option<Fault>]) {
    let dying = Arc::new(FaultyDatabase::new(database.clone()));
    dying.script(operation, script.to_vec());
    let ports = Ports { database: dying.clone(), environment: shop.ports.environment.clone() };
    let task = tokio::spawn(async move { send(&ports, "k", order("o", SKUS, 3)).await });
    while dying.injected().is_empty() {
        assert!(!task.is_finished(), "it had more to write");
        tokio::task::yield_now().await;
    }
    // Time for what takes effect before it dies.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    task.abort();
}

/// A request died with its plan half done, and what it wanted is gone meanwhile: that is no answer to another
/// request for the same id, which wants less.
#[tokio::test]
async fn what_another_request_could_not_have_is_no_answer() {
    let (shop, database) = shop(3).await;
    // The plan is put, and the first chunk is held, and no more.
    die(&shop, &database, Operation::Transact, &[None, None, Some(Fault::DiesBefore)]).await;
    let sold = json!({"order_id": "other", "store_id": STORE, "channel": "web",
        "lines": [{"sku": sku(SKUS - 1), "quantity": 1}]});
    send(&shop.ports, "other", sold).await.unwrap();
    let placed = send(&shop.ports, "l", order("o", SKUS, 1)).await.unwrap();
    assert_eq!((number(&placed), placed.cart.lines.len()), (1, SKUS));
    assert_eq!(stock(&shop).await, (2_000, 0));
}

/// Whoever was frozen before a cart was written anew must not take it for the one it knew.
#[tokio::test]
async fn a_cart_that_is_put_anew_has_a_higher_version() {
    let (shop, database) = shop(3).await;
    let mut versions = Vec::new();
    for _ in 0..3 {
        die(&shop, &database, Operation::Write, &[Some(Fault::DiesAfter)]).await;
        let cart = database.items(Table::Orders).into_iter().find(|item| item.opt_text("sk") == Some("cart"));
        versions.push(cart.unwrap().number("version").unwrap());
    }
    assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
}

/// The repetition reads the reservation after its twin took it.
#[tokio::test]
async fn an_order_on_a_reservation_is_not_refused_for_what_it_took_itself() {
    let mut frozen_at = 0;
    for step in 0..3 {
        let (shop, database) = shop(5).await;
        let hold = json!({"reservation_id": "hold", "ttl_seconds": 600,
            "lines": [{"location_id": STORE, "sku": sku(0), "quantity": 2}]});
        let who = caller("demo", &[Role::Operator]);
        let hold = serde_json::from_value(hold).unwrap();
        reserve::reserve(&shop.ports, &who, "hold", &hold).await.unwrap();
        let mut wanted = order("o", 1, 2);
        wanted["reservation_id"] = "hold".into();

        let frozen = Arc::new(FaultyDatabase::new(database));
        frozen.script(Operation::Get, std::iter::repeat_n(None, step).chain([Some(Fault::Freezes)]));
        let ports = Ports { database: frozen.clone(), environment: shop.ports.environment.clone() };
        let late = wanted.clone();
        let task = tokio::spawn(async move { send(&ports, "k", late).await });
        while frozen.injected().is_empty() && !task.is_finished() {
            tokio::task::yield_now().await;
        }
        if frozen.injected().is_empty() {
            break;
        }
        frozen_at += 1;
        let first = send(&shop.ports, "k", wanted).await.unwrap();
        frozen.thaw();
        let second = task.await.unwrap().unwrap_or_else(|e| panic!("frozen at {step}: {e}"));
        assert_eq!((number(&first), number(&second)), (1, 1));
        assert_eq!((first.replayed, second.replayed), (false, true));
        assert_eq!(stock(&shop).await, (3_000, 0));
    }
    assert!(frozen_at >= 1, "no read to freeze in");
}

/// A till cannot name a lane of web orders, so it reaches none that is on its way.
#[tokio::test]
async fn no_till_is_a_virtual_register() {
    let (shop, _) = shop(1).await;
    for register in ["virtual-1", "virtual-4", "virtual-x"] {
        let error = shop.at(register, "k", "void_cart", json!({"cart_id": "o"})).await.unwrap_err();
        assert_eq!(error.code(), Some("register_virtual"), "{register}");
    }
}

#[tokio::test]
async fn a_wrong_field_is_named_where_it_stands() {
    let (shop, _) = shop(5).await;
    let mut wanted = order("o", 2, 1);
    wanted["payments"] = json!([{"tender": "shells", "amount": {"amount": 200, "currency": "GBP"}}]);
    let Error::Rejected(refusal) = send(&shop.ports, "k", wanted).await.unwrap_err() else { panic!() };
    assert_eq!((refusal.code, refusal.errors[0].field.as_str()), ("unknown_tender", "payments[0].tender"));
    for (from, to, field) in [(None, Some("9999-12-31"), "to"), (Some("9999-12-31"), None, "from")] {
        let (from, to) = (from.map(str::to_owned), to.map(str::to_owned));
        let filter = OrderFilter { from, to, ..OrderFilter::default() };
        let who = caller("demo", &[Role::Operator]);
        let Error::Rejected(refusal) = read::list(&shop.ports, &who, filter).await.unwrap_err() else {
            panic!()
        };
        assert_eq!((refusal.code, refusal.errors[0].field.as_str()), ("time_out_of_range", field));
    }
}

fn code_of<T: std::fmt::Debug>(answer: Result<T>) -> Option<&'static str> {
    answer.err().map(|error| error.code().unwrap_or_else(|| panic!("{error}")))
}

#[tokio::test]
async fn every_bad_order_has_its_own_answer() {
    let (shop, database) = shop(5).await;
    shop.ready("r-1", "tendering", &[("SKU-0000", 1)]).await.unwrap();
    let before: Vec<_> = Table::ALL.into_iter().flat_map(|table| database.items(table)).collect();
    let with = |name: &str, value: Value| {
        let mut wanted = order("o", 1, 1);
        wanted[name] = value;
        wanted
    };
    let line = |name: &str, value: Value| {
        let mut wanted = order("o", 2, 1);
        wanted["lines"][1][name] = value;
        wanted
    };
    let paid = |amount: i64, reference: &str| {
        with(
            "payments",
            json!([{"tender": "card", "amount": {"amount": amount, "currency": "GBP"}, "external_reference": reference}]),
        )
    };
    let many = |count: usize, store: &str| {
        let mut wanted = with("lines", vec![json!({"sku": sku(0), "quantity": 1}); count].into());
        wanted["store_id"] = store.into();
        wanted
    };
    let cases = [
        (with("order_id", json!("a/b")), "id_malformed"),
        (with("order_id", json!("4111111111111111")), "card_number_refused"),
        (with("store_id", json!("")), "id_malformed"),
        (with("store_id", json!("s-9")), "store_not_found"),
        (with("channel", json!("a b")), "id_malformed"),
        (with("channel", json!("4111111111111111")), "card_number_refused"),
        (with("customer_id", json!("")), "id_malformed"),
        (with("reservation_id", json!("a b")), "id_malformed"),
        (with("reservation_id", json!("none")), "reservation_not_found"),
        (with("lines", json!([])), "lines_required"),
        (many(5_001, STORE), "too_many_lines"),
        // As many as may be: what is refused is the store.
        (many(5_000, "s-9"), "store_not_found"),
        (line("sku", json!("")), "sku_malformed"),
        (line("sku", json!("NOPE")), "sku_not_found"),
        (line("quantity", json!(0)), "quantity_invalid"),
        (paid(100, &"x".repeat(129)), "text_too_long"),
        (paid(100, "4111 1111 1111 1111"), "card_number_refused"),
        (paid(99, "x"), "underpaid"),
        (paid(101, "x"), "overpaid"),
        // A till's cart is no order of the web.
        (with("order_id", json!("tendering")), "order_exists"),
    ];
    for (wanted, code) in cases {
        let shown: String = wanted.to_string().chars().take(300).collect();
        assert_eq!(code_of(send(&shop.ports, "k", wanted).await), Some(code), "{shown}");
    }
    let after: Vec<_> = Table::ALL.into_iter().flat_map(|table| database.items(table)).collect();
    assert_eq!(before, after, "a refusal changed something");
    send(&shop.ports, "k", paid(100, &"x".repeat(128))).await.unwrap();
}

/// What an order is paid with is told by its status; what is given away needs no payment.
#[tokio::test]
async fn an_order_is_paid_or_on_account() {
    let (shop, _) = shop(5).await;
    let payment = json!([{"tender": "card", "amount": {"amount": 100, "currency": "GBP"}}]);
    for (id, price, payments, status, tenders) in [
        ("paid", None, payment, "paid", vec!["card"]),
        ("account", None, json!([]), "placed", vec!["account"]),
        ("gift", Some("0"), json!([]), "paid", vec![]),
    ] {
        let mut wanted = order(id, 1, 1);
        wanted["payments"] = payments;
        if let Some(price) = price {
            wanted["lines"][0]["unit_price"] = price.into();
        }
        let placed = send(&shop.ports, id, wanted).await.unwrap();
        assert_eq!(placed.cart.finalized.unwrap().status, status);
        let paid: Vec<_> = placed.cart.payments.iter().map(|payment| payment.tender.as_str()).collect();
        assert_eq!(paid, tenders);
    }
}

#[tokio::test]
async fn who_may_place_which_order() {
    let (shop, _) = shop(5).await;
    let ask = async |role: Role, id: &str, price: Option<&str>| {
        let mut wanted = order(id, 1, 1);
        if let Some(price) = price {
            wanted["lines"][0]["unit_price"] = price.into();
        }
        let wanted = serde_json::from_value(wanted).unwrap();
        code_of(place::place(&shop.ports, &caller("demo", &[role]), id, wanted).await)
    };
    assert_eq!(ask(Role::Cashier, "1", None).await, None);
    assert_eq!(ask(Role::Cashier, "2", Some("0.50")).await, Some("approval_required"));
    assert_eq!(ask(Role::StoreManager, "3", Some("0.50")).await, None);
    assert_eq!(ask(Role::Integration, "4", Some("0.50")).await, None);
    assert_eq!(ask(Role::Analyst, "5", None).await, Some("role_required"));
}

/// An order takes all that its reservation holds, and nothing else; one that is for another order, or over,
/// it does not take.
#[tokio::test]
async fn an_order_takes_the_reservation_that_is_its_own() {
    let (shop, _) = shop(5).await;
    let who = caller("demo", &[Role::Operator]);
    for (id, order_id, seconds) in
        [("free", None, 600), ("own", Some("mine"), 600), ("other", Some("theirs"), 600), ("short", None, 1)]
    {
        let hold = json!({"reservation_id": id, "ttl_seconds": seconds, "order_id": order_id,
            "lines": [{"location_id": STORE, "sku": sku(0), "quantity": 1}]});
        reserve::reserve(&shop.ports, &who, id, &serde_json::from_value(hold).unwrap()).await.unwrap();
    }
    shop.ports.environment.sleep(std::time::Duration::from_secs(2)).await;
    let ask = async |id: &str, reservation: &str, lines: usize, pieces: i64| {
        let mut wanted = order(id, lines, pieces);
        wanted["reservation_id"] = reservation.into();
        code_of(send(&shop.ports, id, wanted).await)
    };
    assert_eq!(ask("a", "free", 1, 2).await, Some("reservation_mismatch"));
    assert_eq!(ask("b", "free", 2, 1).await, Some("reservation_mismatch"));
    assert_eq!(ask("c", "other", 1, 1).await, Some("reservation_of_another_order"));
    assert_eq!(ask("d", "short", 1, 1).await, Some("reservation_expired"));
    assert_eq!(ask("mine", "own", 1, 1).await, None);
    assert_eq!(ask("e", "free", 1, 1).await, None);
    assert_eq!(ask("f", "free", 1, 1).await, Some("reservation_not_active"));
    // Still held: for the other order, and what is over until somebody frees it.
    assert_eq!(stock(&shop).await, (3_000, 2_000));
}

/// A transaction takes a hundred actions: an order of as many SKUs as fit beside itself and its number is
/// one, with one more it is a plan.
#[tokio::test]
async fn a_placed_order_of_98_skus_is_one_transaction() {
    let meter = Arc::new(CapacityMeter::default());
    let environment: Arc<dyn Environment> = Arc::new(TestEnvironment::new(5));
    let database = MemoryDatabase::with_environment(environment.clone()).observed_by(meter.clone());
    let shop = Shop::open(Arc::new(database), environment).await.unwrap();
    for n in 0..SKUS {
        shop.product(STORE, &sku(n), "1.00", 5).await.unwrap();
    }
    for (lines, is_one) in [(1, true), (98, true), (99, false)] {
        meter.take();
        send(&shop.ports, &format!("k-{lines}"), order(&format!("o-{lines}"), lines, 1)).await.unwrap();
        let transactions = meter.take().calls.get(&Operation::Transact).copied();
        assert_eq!(transactions == Some(1), is_one, "{lines} lines: {transactions:?}");
    }
}
