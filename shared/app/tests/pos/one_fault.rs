//! One call of the database fails, whichever it is: what passes by itself is ridden out or told as safe to
//! repeat, what repeating does not change is told at once; repeated, every request has its one effect.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::{Value, json};
use tillstream_app::capacity::Operation;
use tillstream_app::catalog::items::coupon_item;
use tillstream_app::database::{Database, Item, Table};
use tillstream_app::environment::Environment;
use tillstream_app::orders::place::place;
use tillstream_app::stock::reserve::reserve;
use tillstream_app::stock::split::split;
use tillstream_app::tenancy::Role;
use tillstream_app::{Error, Ports, Result};
use tillstream_domain::coupon::CouponDefinition;
use tillstream_testkit::faults::{Fault, FaultyDatabase};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop, caller};
use tillstream_testkit::test_environment::TestEnvironment;

const FAULTS: [Fault; 5] =
    [Fault::Throttled, Fault::Conflict, Fault::TimedOutBefore, Fault::AnswerLost, Fault::Refused];

/// Reads beside that of the cart itself.
const OTHER_READS: &[Operation] = &[Operation::Get, Operation::Query];
/// Reads, also of several items: where nothing was written yet, a plan is continued, or holds are looked at.
pub(crate) const READS: &[Operation] = &[Operation::Get, Operation::Query, Operation::GetMany];

/// All reads, also of parts that are read together.
pub(crate) const READS_TOGETHER: &[Operation] =
    &[Operation::Get, Operation::Query, Operation::GetMany, Operation::GetTogether];

/// Of more SKUs than a transaction takes.
const LONG: usize = 105;

fn sku(n: usize) -> String {
    format!("SKU-{n:03}")
}

/// All that the tables hold at a moment of the test's clock.
pub(crate) struct Moment {
    tables: Vec<(Table, Vec<Item>)>,
    now: Timestamp,
}

impl Moment {
    pub(crate) fn of(database: &MemoryDatabase, environment: &TestEnvironment) -> Moment {
        let tables = Table::ALL.into_iter().map(|table| (table, database.items(table))).collect();
        Moment { tables, now: environment.now() }
    }

    /// A world that goes on from here.
    pub(crate) async fn copied(&self) -> (Arc<MemoryDatabase>, Arc<TestEnvironment>) {
        let environment = Arc::new(TestEnvironment::new(3));
        environment.set(self.now);
        let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
        for (table, items) in &self.tables {
            database.put_many(*table, items.clone()).await.unwrap();
        }
        (database, environment)
    }
}

pub(crate) fn shop_on(database: Arc<dyn Database>, environment: Arc<TestEnvironment>) -> Shop {
    let scope = caller("demo", &[]).scope;
    Shop { ports: Ports { database, environment }, scope }
}

/// What a request tells its client: a result, or the code of a refusal.
pub(crate) type Told = std::result::Result<Value, &'static str>;
pub(crate) type Request = Box<dyn Fn(Shop) -> BoxFuture<'static, Result<Value>>>;

/// A refusal is an answer; whatever else is no success is not.
pub(crate) fn told(answer: Result<Value>) -> Result<Told> {
    match answer {
        Ok(value) => Ok(Ok(value)),
        Err(Error::Rejected(refusal)) => Ok(Err(refusal.code)),
        Err(error) => Err(error),
    }
}

/// Sends `request` at `moment` again and again, each time with another call that fails. `client_repeats`:
/// operations where a fault that passes may be told as such, for the client to repeat; the others are
/// repeated for it. Answers how many faults there were at each operation.
pub(crate) async fn fail_each_call(
    label: &str,
    moment: &Moment,
    client_repeats: &[Operation],
    request: &Request,
) -> BTreeMap<Operation, usize> {
    let (database, environment) = moment.copied().await;
    let answer = request(shop_on(database, environment.clone())).await;
    let expected = told(answer).unwrap_or_else(|e| panic!("{label}: {e}"));
    let ended = environment.now();
    let mut faults = BTreeMap::new();
    for operation in Operation::ALL {
        for fault in FAULTS {
            for call in 0.. {
                let (database, environment) = moment.copied().await;
                let faulty = Arc::new(FaultyDatabase::new(database.clone()));
                faulty.script(operation, std::iter::repeat_n(None, call).chain([Some(fault)]));
                let answer = request(shop_on(faulty.clone(), environment.clone())).await;
                if faulty.injected().is_empty() {
                    break;
                }
                *faults.entry(operation).or_default() += 1;
                let label = format!("{label}: {fault:?} at {operation:?} {call}");
                match told(answer) {
                    Err(Error::Bug(_)) if fault == Fault::Refused => {
                        assert!(environment.now() <= ended, "{label}: nobody waits for what stays refused");
                    }
                    answer if fault == Fault::Refused => panic!("{label}: {answer:?}"),
                    Ok(answer) => assert_eq!(answer, expected, "{label}"),
                    Err(Error::Retryable { .. }) if client_repeats.contains(&operation) => {}
                    Err(error) => panic!("{label}: {error}"),
                }
                let again = told(request(shop_on(database, environment)).await);
                assert_eq!(again.unwrap_or_else(|e| panic!("{label}, repeated: {e}")), expected, "{label}");
            }
        }
    }
    faults
}

pub(crate) fn sum(faults: &BTreeMap<Operation, usize>) -> usize {
    faults.values().sum()
}

pub(crate) fn command(register: &'static str, key: &str, action: &'static str, payload: Value) -> Request {
    let key = key.to_owned();
    Box::new(move |shop| {
        let (key, payload) = (key.clone(), payload.clone());
        async move {
            let answered = shop.at(register, &key, action, payload).await?;
            let reply = answered.reply;
            let cart = reply.cart.map(|cart| (cart.state, cart.line_count, cart.totals.total.amount));
            Ok(json!([reply.result, reply.consistency_token, cart]))
        }
        .boxed()
    })
}

async fn stocked() -> (Shop, Arc<MemoryDatabase>, Arc<TestEnvironment>) {
    let environment = Arc::new(TestEnvironment::new(3));
    let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    let shop = Shop::open(database.clone(), environment.clone()).await.unwrap();
    shop.product(STORE, "A", "2.55", 10).await.unwrap();
    shop.product(STORE, "LAST", "1.00", 1).await.unwrap();
    let coupon = json!({"code": "PENNY", "benefit": {"fixed_amount": {"amount": 1}}, "currency": "GBP"});
    let coupon = CouponDefinition {
        coupon: serde_json::from_value(coupon).unwrap(),
        total_limit: Some(1),
        per_customer_limit: Some(1),
        version: 1,
    };
    let item = coupon_item(&shop.scope, &coupon).unwrap();
    database.put_many(Table::Catalog, vec![item]).await.unwrap();
    (shop, database, environment)
}

#[tokio::test]
async fn every_command_of_a_till_outlives_one_fault() {
    let (shop, database, environment) = stocked().await;
    let gbp = |amount: i64| json!({"amount": amount, "currency": "GBP"});
    let known = json!({"return_id": "r", "line_id": "l-1", "quantity": 1, "disposition": "restock"});
    let exchanged = json!({"return_id": "rx", "line_id": "l-1", "quantity": 1, "disposition": "restock"});
    let blind =
        json!({"return_id": "b", "sku": "A", "quantity": 1, "unit_price": "1.00", "disposition": "damaged"});
    let of = |cart: &str| json!({"cart_id": cart});
    let cash = || json!({"cart_id": "c", "tender": "cash", "amount": gbp(800)});
    // Each with what it is refused for, where it is.
    let script = [
        ("get_x_report", json!({"shift_id": "sh"}), Some("shift_not_found")),
        ("open_till", json!({"shift_id": "sh", "amount": gbp(500)}), None),
        ("open_till", json!({"shift_id": "sh-2"}), Some("shift_open")),
        ("create_cart", of("c"), None),
        ("create_cart", json!({}), None),
        ("set_customer", json!({"cart_id": "c", "customer_id": "17850"}), None),
        ("add_line_item", json!({"cart_id": "c", "sku": "A", "quantity": 2}), None),
        ("add_line_item", json!({"cart_id": "c", "sku": "LAST", "quantity": 1}), None),
        ("update_line_item", json!({"cart_id": "c", "line_id": "l-1", "quantity": 3}), None),
        ("remove_line_item", json!({"cart_id": "c", "line_id": "l-2"}), None),
        (
            "apply_manual_discount",
            json!({"cart_id": "c", "kind": "percent_cart", "value": 1_000, "reason": "dented"}),
            None,
        ),
        ("remove_manual_discount", json!({"cart_id": "c", "discount_id": "d-1"}), None),
        ("apply_coupon", json!({"cart_id": "c", "coupon_code": "PENNY"}), None),
        ("remove_coupon", json!({"cart_id": "c", "coupon_code": "PENNY"}), None),
        ("apply_coupon", json!({"cart_id": "c", "coupon_code": "PENNY"}), None),
        ("apply_promo", json!({"cart_id": "c", "promo_id": "none"}), Some("promotion_not_found")),
        ("set_tendering", of("c"), None),
        ("resume_editing", of("c"), None),
        ("set_tendering", of("c"), None),
        ("add_payment", cash(), None),
        ("remove_payment", json!({"cart_id": "c", "payment_id": "p-1"}), None),
        ("finalize_order", of("c"), Some("underpaid")),
        ("add_payment", cash(), None),
        ("finalize_order", of("c"), None),
        ("void_cart", of("c"), Some("wrong_cart_state")),
        ("create_cart", of("c"), Some("cart_exists")),
        ("create_cart", of("v"), None),
        ("void_cart", json!({"cart_id": "v", "reason": "changed mind"}), None),
        ("create_cart", of("p"), None),
        ("add_line_item", json!({"cart_id": "p", "sku": "A", "quantity": 1}), None),
        ("park_cart", json!({"cart_id": "p", "note": "fetches her purse"}), None),
        ("list_parked_carts", json!({}), None),
        ("recall_cart", of("p"), None),
        ("recall_cart", of("p"), Some("wrong_cart_state")),
        ("set_tendering", of("p"), None),
        ("add_payment", json!({"cart_id": "p", "tender": "card", "amount": gbp(255)}), None),
        ("finalize_order", of("p"), None),
        ("void_order", json!({"order_id": "p", "reason": "rung up twice"}), None),
        ("void_order", json!({"order_id": "p", "reason": "again"}), Some("order_already_voided")),
        ("start_return", json!({"return_id": "r", "original_order_id": "c", "reason": "broken"}), None),
        ("return_line_item", known, None),
        ("refund_tender", json!({"return_id": "r", "tender": "cash", "amount": gbp(255)}), None),
        ("finalize_return", json!({"return_id": "r"}), None),
        ("create_cart", of("x"), None),
        ("add_line_item", json!({"cart_id": "x", "sku": "A", "quantity": 2}), None),
        ("set_tendering", of("x"), None),
        ("start_return", json!({"return_id": "rx", "original_order_id": "c", "reason": "too small"}), None),
        ("return_line_item", exchanged, None),
        ("finalize_exchange", json!({"return_id": "rx", "cart_id": "x"}), Some("underpaid")),
        ("add_payment", json!({"cart_id": "x", "tender": "cash", "amount": gbp(500)}), None),
        ("finalize_exchange", json!({"return_id": "rx", "cart_id": "x"}), None),
        ("finalize_exchange", json!({"return_id": "rx", "cart_id": "x"}), Some("wrong_cart_state")),
        ("void_order", json!({"order_id": "x", "reason": "rung up twice"}), Some("order_of_exchange")),
        ("start_return", json!({"return_id": "b", "reason": "no receipt"}), None),
        ("return_line_item", blind, None),
        ("void_return", json!({"return_id": "b"}), None),
        ("paid_in", json!({"shift_id": "sh", "amount": gbp(70), "reason": "coins"}), None),
        ("paid_out", json!({"shift_id": "sh", "amount": gbp(9_999), "reason": "safe"}), Some("drawer_short")),
        ("paid_out", json!({"shift_id": "sh", "amount": gbp(40), "reason": "stamps"}), None),
        ("no_sale", json!({"shift_id": "sh"}), None),
        ("cash_count", json!({"shift_id": "sh", "counted": gbp(1_000)}), None),
        ("get_x_report", json!({"shift_id": "sh"}), None),
        ("close_till", json!({"shift_id": "sh", "counted": gbp(1_000)}), None),
        ("close_till", json!({"shift_id": "sh", "counted": gbp(1_000)}), Some("shift_closed")),
    ];
    let mut faults = 0;
    for (n, (action, payload, refused)) in script.into_iter().enumerate() {
        let request = command("r-1", &format!("key-{n}"), action, payload);
        let label = format!("{n} {action}");
        let client_repeats = match action {
            "create_cart" | "start_return" | "list_parked_carts" => READS,
            "get_x_report" => READS_TOGETHER,
            _ => OTHER_READS,
        };
        let moment = Moment::of(&database, &environment);
        faults += sum(&fail_each_call(&label, &moment, client_repeats, &request).await);
        assert_eq!(told(request(shop.clone()).await).unwrap().err(), refused, "{label}");
    }
    assert!(faults >= 200, "{faults} faults");
    assert_eq!(shop.counters(STORE, "A").await.unwrap().on_hand, 7_000);
}

/// Another register's command, and stock that is short until an expired hold on it is freed.
#[tokio::test]
async fn a_refusal_and_a_hold_in_the_way_outlive_one_fault() {
    let (shop, database, environment) = stocked().await;
    shop.ready("r-1", "c", &[("LAST", 1), ("A", 1)]).await.unwrap();
    hold(&shop, "h", "LAST", 1, 60).await.unwrap();
    let finalize = |register| command(register, "end", "finalize_order", json!({"cart_id": "c"}));
    for (register, passed, client_repeats, expected) in [
        ("r-2", 0, OTHER_READS, Err("cart_of_another_register")),
        ("r-9", 0, OTHER_READS, Err("register_not_found")),
        ("r-1", 0, OTHER_READS, Err("insufficient_stock")),
        ("r-1", 61, READS, Ok(())),
    ] {
        environment.advance(Duration::from_secs(passed));
        let moment = Moment::of(&database, &environment);
        let label = format!("{register} after {passed} s");
        assert!(
            sum(&fail_each_call(&label, &moment, client_repeats, &finalize(register)).await) >= 10,
            "{label}"
        );
        let answer = told(finalize(register)(shop.clone()).await).unwrap();
        assert_eq!(answer.map(|_| ()), expected, "{label}");
    }
}

async fn hold(shop: &Shop, id: &str, sku: &str, pieces: i64, seconds: i64) -> Result<()> {
    let request = json!({"reservation_id": id, "ttl_seconds": seconds,
        "lines": [{"location_id": STORE, "sku": sku, "quantity": pieces}]});
    let request = serde_json::from_value(request).unwrap();
    reserve(&shop.ports, &caller("demo", &[Role::Operator]), id, &request).await.map(|_| ())
}

pub(crate) fn placed(order: Value) -> Request {
    Box::new(move |shop| {
        let order = serde_json::from_value(order.clone()).unwrap();
        async move {
            let who = caller("demo", &[Role::Integration]);
            let executed = place(&shop.ports, &who, "key", order).await?;
            let number = executed.cart.finalized.map(|done| done.number.to_string());
            Ok(json!([executed.cart.id, number, executed.cart.lines.len()]))
        }
        .boxed()
    })
}

#[tokio::test]
async fn an_order_placed_by_rest_outlives_one_fault() {
    let (shop, database, environment) = stocked().await;
    hold(&shop, "h", "A", 2, 600).await.unwrap();
    let order = |id: &str, pieces: i64| json!({"order_id": id, "store_id": STORE, "channel": "web", "lines": [{"sku": "A", "quantity": pieces}]});
    let mut reserved = order("reserved", 2);
    reserved["reservation_id"] = "h".into();
    for (label, client_repeats, order) in [
        ("free", OTHER_READS, order("free", 1)),
        ("reserved", READS, reserved),
        ("short", OTHER_READS, order("short", 11)),
    ] {
        let moment = Moment::of(&database, &environment);
        assert!(sum(&fail_each_call(label, &moment, client_repeats, &placed(order)).await) >= 10, "{label}");
    }
}

/// A sale and an order from the parts of stock that is split, and one for which it is short.
#[tokio::test]
async fn what_is_taken_from_parts_outlives_one_fault() {
    let (shop, database, environment) = stocked().await;
    shop.product(STORE, "S", "1.00", 40).await.unwrap();
    split(&shop.ports, &shop.scope, STORE, "S", 8).await.unwrap();
    shop.ready("r-1", "c", &[("S", 9), ("A", 1)]).await.unwrap();
    let order = |id: &str, pieces: i64| {
        placed(
            json!({"order_id": id, "store_id": STORE, "channel": "web", "lines": [{"sku": "S", "quantity": pieces}]}),
        )
    };
    let requests = [
        ("sale", command("r-1", "end", "finalize_order", json!({"cart_id": "c"})), None),
        ("order", order("o", 9), None),
        ("short", order("p", 41), Some("insufficient_stock")),
    ];
    let mut of_parts = 0;
    for (label, request, refused) in requests {
        let moment = Moment::of(&database, &environment);
        let faults = fail_each_call(label, &moment, READS_TOGETHER, &request).await;
        assert!(sum(&faults) >= 15, "{label}: {faults:?}");
        of_parts += faults.get(&Operation::GetTogether).copied().unwrap_or(0);
        let (database, environment) = moment.copied().await;
        assert_eq!(told(request(shop_on(database, environment)).await).unwrap().err(), refused, "{label}");
    }
    assert!(of_parts > 0, "no parts were read together");
}

/// What does not pass is told as safe to repeat, in the time that a till waits; and repeated, it is done.
#[tokio::test]
async fn what_does_not_pass_is_told_in_time() {
    let (shop, database, environment) = stocked().await;
    shop.ready("r-1", "c", &[("A", 1)]).await.unwrap();
    let lines: Vec<Value> = (0..LONG).map(|n| json!({"sku": sku(n), "quantity": 1})).collect();
    for n in 0..LONG {
        shop.product(STORE, &sku(n), "1.00", 1).await.unwrap();
    }
    let order = |lines: Vec<Value>| {
        placed(
            json!({"order_id": format!("o-{}", lines.len()), "store_id": STORE, "channel": "web", "lines": lines}),
        )
    };
    let line = json!({"cart_id": "d", "sku": "A", "quantity": 1});
    shop.command("open", "create_cart", json!({"cart_id": "d"})).await.unwrap();
    let requests = [
        ("open", command("r-1", "open-2", "create_cart", json!({"cart_id": "e"}))),
        ("line", command("r-1", "line", "add_line_item", line)),
        ("sale", command("r-1", "end", "finalize_order", json!({"cart_id": "c"}))),
        ("order", order(lines[..1].to_vec())),
        ("long order", order(lines)),
    ];
    let moment = Moment::of(&database, &environment);
    for (label, request) in requests {
        for operation in [Operation::GetMany, Operation::Write, Operation::Transact] {
            let (database, environment) = moment.copied().await;
            let busy = Arc::new(FaultyDatabase::new(database.clone()));
            busy.script(operation, std::iter::repeat_n(Some(Fault::Throttled), 100_000));
            let began = environment.now();
            let answer = request(shop_on(busy.clone(), environment.clone())).await;
            if busy.injected().is_empty() {
                continue;
            }
            let label = format!("{label}: {operation:?}");
            assert!(
                matches!(answer, Err(Error::Conflict(_) | Error::Retryable { .. })),
                "{label}: {answer:?}"
            );
            let waited = environment.now().duration_since(began).as_secs();
            assert!(waited <= 11, "{label}: {waited} s");
            request(shop_on(database, environment))
                .await
                .unwrap_or_else(|e| panic!("{label}, repeated: {e}"));
        }
    }
}

#[tokio::test]
async fn a_long_order_outlives_one_fault() {
    let environment = Arc::new(TestEnvironment::new(3));
    let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    let shop = Shop::open(database.clone(), environment.clone()).await.unwrap();
    for n in 0..LONG {
        shop.product(STORE, &sku(n), "1.00", 1).await.unwrap();
    }
    let lines: Vec<Value> = (0..LONG).map(|n| json!({"sku": sku(n), "quantity": 1})).collect();
    let order = json!({"order_id": "o", "store_id": STORE, "channel": "web", "lines": lines});
    for label in ["long", "short"] {
        if label == "short" {
            hold(&shop, "h", &sku(LONG - 1), 1, 600).await.unwrap();
        }
        let moment = Moment::of(&database, &environment);
        assert!(sum(&fail_each_call(label, &moment, READS, &placed(order.clone())).await) >= 30, "{label}");
    }
}
