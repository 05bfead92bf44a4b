//! Shifts of a register: what a drawer must hold, what is refused, and that no sale falls between two.

mod at_once;
mod bounds;
mod long_sales;
mod printed;

use std::sync::Arc;

use serde_json::{Value, json};
use tillstream_app::database::{Change, Consistency, Database, Get, Item, Table, Write};
use tillstream_app::environment::Environment;
use tillstream_app::orders::place::place;
use tillstream_app::pos::batch;
use tillstream_app::pos::execute::{Answered, execute};
use tillstream_app::pos::till::shift_item::{shift_item, shift_of};
use tillstream_app::pos::till::{proof, read};
use tillstream_app::tenancy::{Caller, Role, Stores};
use tillstream_app::tenant_rules::settings_item;
use tillstream_app::{Error, RefusalKind};
use tillstream_contracts::till::{ShiftFilter, ShiftState, ShiftView};
use tillstream_domain::tenant_settings::TenantSettings;
use tillstream_domain::till::{MOVEMENTS_MAX, Shift};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop, caller, envelope};
use tillstream_testkit::test_environment::TestEnvironment;

fn gbp(amount: i64) -> Value {
    json!({"amount": amount, "currency": "GBP"})
}

/// A payload with more members.
fn with_members(mut payload: Value, members: &Value) -> Value {
    payload.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    payload
}

async fn shop_in(environment: Arc<dyn Environment>) -> (Shop, Arc<MemoryDatabase>) {
    let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    let shop = Shop::open(database.clone(), environment).await.unwrap();
    for (sku, price) in [("A", "2.55"), ("B", "1")] {
        shop.product(STORE, sku, price, 100_000).await.unwrap();
    }
    (shop, database)
}

/// Its clock moves by sleeping.
async fn shop() -> (Shop, Arc<MemoryDatabase>) {
    shop_in(Arc::new(TestEnvironment::new(7))).await
}

/// With real concurrency.
async fn busy_shop(seed: u64) -> (Shop, Arc<MemoryDatabase>) {
    shop_in(Arc::new(TestEnvironment::real(seed))).await
}

async fn needs_open_shift(shop: &Shop) {
    let settings = TenantSettings { sale_needs_open_shift: true, ..TenantSettings::default() };
    let item = settings_item(&shop.scope, &settings).unwrap();
    let put = Write::Put { table: Table::Catalog, item, condition: None };
    shop.ports.database.write(put).await.unwrap();
}

fn operator() -> Caller {
    caller("demo", &[Role::Operator])
}

fn shift(answered: &Answered) -> ShiftView {
    assert!(answered.reply.cart.is_none() && answered.reply.consistency_token.is_none());
    *answered.reply.result.shift.clone().unwrap()
}

fn result(answered: &Answered) -> Value {
    serde_json::to_value(&answered.reply.result).unwrap()
}

async fn send(shop: &Shop, key: &str, action: &str, payload: Value) -> ShiftView {
    shift(&shop.command(key, action, payload).await.unwrap_or_else(|e| panic!("{key} {action}: {e}")))
}

/// Sells `pieces` of A for payments (tender, amount, tip).
async fn sell(shop: &Shop, id: &str, pieces: i64, payments: &[(&str, i64, i64)]) {
    let key = |name: &str| format!("{id}-{name}");
    shop.command(&key("open"), "create_cart", json!({"cart_id": id})).await.unwrap();
    let line = json!({"cart_id": id, "sku": "A", "quantity": pieces});
    shop.command(&key("line"), "add_line_item", line).await.unwrap();
    shop.command(&key("tender"), "set_tendering", json!({"cart_id": id})).await.unwrap();
    for (n, (tender, amount, tip)) in payments.iter().enumerate() {
        let payment = json!({"cart_id": id, "tender": tender, "amount": gbp(*amount), "tip": gbp(*tip)});
        shop.command(&key(&format!("pay-{n}")), "add_payment", payment).await.unwrap();
    }
    shop.finalize("r-1", id).await.unwrap();
}

/// Brings `pieces` of a sale back, refunded in cash.
async fn bring_back(shop: &Shop, id: &str, sale: &str, pieces: i64) {
    let key = |name: &str| format!("{id}-{name}");
    let start = json!({"return_id": id, "original_order_id": sale, "reason": "broken"});
    shop.command(&key("start"), "start_return", start).await.unwrap();
    let line = json!({"return_id": id, "line_id": "l-1", "quantity": pieces, "disposition": "restock"});
    shop.command(&key("line"), "return_line_item", line).await.unwrap();
    let refund = json!({"return_id": id, "tender": "cash", "amount": gbp(255 * pieces)});
    shop.command(&key("refund"), "refund_tender", refund).await.unwrap();
    shop.command(&key("end"), "finalize_return", json!({"return_id": id})).await.unwrap();
}

async fn lane(shop: &Shop, register: &str) -> Item {
    let key = shop.scope.lane(STORE, register);
    let get = Get { table: Table::Orders, key, consistency: Consistency::Strong };
    shop.ports.database.get(get).await.unwrap().unwrap()
}

async fn stored(shop: &Shop, id: &str) -> Shift {
    let get = Get { table: Table::Orders, key: shop.scope.shift(id), consistency: Consistency::Strong };
    shift_of(&shop.ports.database.get(get).await.unwrap().unwrap()).unwrap()
}

/// A day at the till, worked by hand.
async fn a_day(shop: &Shop) -> ShiftView {
    sell(shop, "before", 1, &[("cash", 255, 0)]).await;
    let opened = send(shop, "o", "open_till", json!({"shift_id": "sh-1", "amount": gbp(10_000)})).await;
    assert_eq!((opened.state, opened.cash_expected.unwrap().amount), (ShiftState::Open, 10_000));
    // 7.65 of 10.00, with a tip of 0.50 in cash; 5.10 by card with 1.00; 10.20 by voucher and cash.
    sell(shop, "c-1", 3, &[("cash", 1_000, 50)]).await;
    sell(shop, "c-2", 2, &[("card", 510, 100)]).await;
    sell(shop, "c-3", 4, &[("voucher", 500, 0), ("cash", 520, 0)]).await;
    bring_back(shop, "back", "c-1", 1).await;
    let paid_in = json!({"shift_id": "sh-1", "amount": gbp(2_000), "reason": "change from the bank"});
    send(shop, "i", "paid_in", paid_in).await;
    let paid_out = json!({"shift_id": "sh-1", "amount": gbp(750), "reason": "window cleaner"});
    send(shop, "p", "paid_out", paid_out).await;
    send(shop, "n", "no_sale", json!({"shift_id": "sh-1"})).await;
    let kinds = json!([{"value": gbp(2_000), "count": 6}, {"value": gbp(10), "count": 8}]);
    let count = json!({"shift_id": "sh-1", "counted": gbp(12_080), "denominations": kinds});
    let counted = send(shop, "c", "cash_count", count).await.movements.unwrap().pop().unwrap();
    // 100.00 + 7.65 + 0.50 + 5.20 − 2.55 + 20.00 − 7.50.
    assert_eq!((counted.cash_expected.amount, counted.difference.unwrap().amount), (12_330, -250));
    send(shop, "z", "close_till", json!({"shift_id": "sh-1", "counted": gbp(12_325), "reason": "5p short"}))
        .await
}

#[tokio::test]
async fn a_shift_from_its_float_to_its_z_report() {
    let (shop, _) = shop().await;
    let closed = a_day(&shop).await;
    assert_eq!((closed.state, closed.z_number), (ShiftState::Closed, Some(1)));
    assert_eq!((closed.opened_by.as_str(), closed.closed_by.as_deref()), ("e-7", Some("e-7")));
    assert_eq!(closed.business_day.to_string(), "2010-12-01");
    let report = serde_json::to_value(closed.report.as_ref().unwrap()).unwrap();
    let by = |tender: &str, payments: (u64, i64), refunds: (u64, i64)| {
        json!({"tender": tender, "payments_count": payments.0, "payments": gbp(payments.1),
            "refunds_count": refunds.0, "refunds": gbp(refunds.1)})
    };
    let expected = json!({
        "as_of": "2010-12-01T08:26:00Z",
        "first_receipt": 2, "last_receipt": 5,
        "sales_count": 3, "sales_total": gbp(765 + 510 + 1_020),
        "returns_count": 1, "returns_total": gbp(255),
        "tenders": [by("card", (1, 510), (0, 0)), by("cash", (2, 1_285), (1, 255)), by("voucher", (1, 500), (0, 0))],
        "discounts": gbp(0), "tax": gbp(0), "returns_tax": gbp(0),
        "tips": gbp(150), "cash_tips": gbp(50),
        "paid_in_count": 1, "paid_in": gbp(2_000), "paid_out_count": 1, "paid_out": gbp(750),
        "no_sale_count": 1,
        "cash_expected": gbp(12_330), "cash_counted": gbp(12_325), "cash_difference": gbp(-5),
    });
    assert_eq!(report, expected);
    let (read_again, _) = read::get(&shop.ports, &operator(), "sh-1").await.unwrap();
    assert_eq!(read_again, closed);
    let proved = proof::of_shift(&shop.ports, &operator(), "sh-1").await.unwrap();
    assert!(proved.proved && proved.orders == 4, "{proved:?}");

    // The next one begins where this ended, and has the next number.
    sell(&shop, "between", 1, &[("cash", 255, 0)]).await;
    send(&shop, "o2", "open_till", json!({"shift_id": "sh-2"})).await;
    sell(&shop, "c-9", 1, &[("cash", 300, 0)]).await;
    let x = send(&shop, "x", "get_x_report", json!({"shift_id": "sh-2"})).await;
    let figures = x.report.unwrap();
    assert_eq!((figures.first_receipt, figures.last_receipt), (Some(7), Some(7)));
    assert_eq!((figures.cash_expected.amount, figures.cash_counted), (255, None));
    let z = send(&shop, "z2", "close_till", json!({"shift_id": "sh-2", "counted": gbp(300)})).await;
    assert_eq!((z.z_number, z.report.unwrap().cash_difference.unwrap().amount), (Some(2), 45));
    let other = json!({"shift_id": "sh-3", "amount": gbp(1)});
    shop.at("r-2", "o", "open_till", other).await.unwrap();
    let end = json!({"shift_id": "sh-3", "counted": gbp(1)});
    let z = shift(&shop.at("r-2", "z", "close_till", end).await.unwrap());
    assert_eq!(
        (z.z_number, z.report.unwrap().first_receipt),
        (Some(1), None),
        "another register counts anew"
    );
}

/// Repeated at any later time, a command answers what it answered.
#[tokio::test]
async fn every_command_answers_again_what_it_answered() {
    let (shop, database) = shop().await;
    let of = |members: Value| with_members(json!({"shift_id": "sh"}), &members);
    let script = [
        ("open_till", of(json!({"amount": gbp(500)}))),
        ("paid_in", of(json!({"amount": gbp(70), "reason": "x"}))),
        ("no_sale", of(json!({"reason": "rolls of coins"}))),
        ("cash_count", of(json!({"counted": gbp(560)}))),
        ("paid_out", of(json!({"amount": gbp(40), "reason": "y"}))),
        ("close_till", of(json!({"denominations": [{"value": gbp(10), "count": 53}]}))),
    ];
    let mut answers = Vec::new();
    for (n, (action, payload)) in script.iter().enumerate() {
        sell(&shop, &format!("c-{n}"), 1, &[("cash", 255, 0)]).await;
        let answered = shop.command(&format!("k{n}"), action, payload.clone()).await.unwrap();
        assert!(!answered.replayed);
        answers.push(result(&answered));
        for (m, (action, payload)) in script.iter().enumerate().take(n + 1) {
            let again = shop.command(&format!("k{m}"), action, payload.clone()).await.unwrap();
            assert!(again.replayed, "{action}");
            assert_eq!(result(&again), answers[m], "{action} after {n}");
        }
    }
    let before = database.items(Table::Orders);
    for (n, (action, payload)) in script.iter().enumerate() {
        let mut other = payload.clone();
        other["shift_id"] = json!("sh");
        match *action {
            "open_till" | "paid_in" | "paid_out" => other["amount"] = gbp(41),
            _ => other["reason"] = json!("another"),
        }
        let error = shop.command(&format!("k{n}"), action, other).await.unwrap_err();
        assert_eq!(error.code(), Some("idempotency_key_reused"), "{action}");
        let error = shop.command(&format!("k{n}"), "no_sale", of(json!({"reason": "z"}))).await.unwrap_err();
        assert_eq!(error.code(), Some("idempotency_key_reused"), "{action}");
    }
    assert_eq!(database.items(Table::Orders), before);

    // An id that nobody named is made from the key.
    let float = json!({"amount": gbp(5)});
    let made = shop.command("derived", "open_till", float.clone()).await.unwrap();
    let again = shop.command("derived", "open_till", float).await.unwrap();
    assert!(shift(&made).id.starts_with("sh-") && again.replayed);
    assert_eq!(result(&made), result(&again));
}

#[tokio::test]
async fn without_a_shift_a_register_does_not_sell_where_it_must_not() {
    let (shop, database) = shop().await;
    sell(&shop, "c-0", 2, &[("cash", 600, 0)]).await;
    needs_open_shift(&shop).await;
    // What the process remembers of the settings grows old.
    shop.ports.environment.sleep(std::time::Duration::from_secs(16)).await;
    shop.ready("r-1", "c-1", &[("A", 1)]).await.unwrap();
    shop.ready("r-2", "c-2", &[("A", 1)]).await.unwrap();
    shop.command("s", "start_return", json!({"return_id": "b", "reason": "x"})).await.unwrap();
    let line = json!({"return_id": "b", "sku": "B", "quantity": 1, "unit_price": "1", "disposition": "none"});
    shop.command("l", "return_line_item", line).await.unwrap();
    shop.command("r", "refund_tender", json!({"return_id": "b", "tender": "cash", "amount": gbp(100)}))
        .await
        .unwrap();
    let before = database.items(Table::Orders);
    let refused = shop.finalize("r-1", "c-1").await.unwrap_err();
    assert_eq!(refused.code(), Some("no_open_shift"));
    let refused = shop.command("f", "finalize_return", json!({"return_id": "b"})).await.unwrap_err();
    assert_eq!(refused.code(), Some("no_open_shift"));
    assert_eq!(database.items(Table::Orders), before);
    assert!(shop.finalize("r-1", "c-0").await.unwrap().replayed, "what was sold before stays sold");
    // The web has no drawer.
    let order =
        json!({"order_id": "o", "store_id": STORE, "channel": "web", "lines": [{"sku": "A", "quantity": 1}]});
    let who = caller("demo", &[Role::Integration]);
    place(&shop.ports, &who, "key", serde_json::from_value(order).unwrap()).await.unwrap();

    send(&shop, "o", "open_till", json!({"shift_id": "sh"})).await;
    assert_eq!(shop.finalize("r-2", "c-2").await.unwrap_err().code(), Some("no_open_shift"));
    shop.finalize("r-1", "c-1").await.unwrap();
    shop.command("f", "finalize_return", json!({"return_id": "b"})).await.unwrap();
    let z = send(&shop, "z", "close_till", json!({"shift_id": "sh", "counted": gbp(0)})).await;
    let report = z.report.unwrap();
    assert_eq!((report.sales_count, report.returns_count, report.cash_expected.amount), (1, 1, -100));
}

#[tokio::test]
async fn what_no_shift_takes_is_refused_and_changes_nothing() {
    let (shop, database) = shop().await;
    shop.store("s-2").await.unwrap();
    send(&shop, "o", "open_till", json!({"shift_id": "sh", "amount": gbp(1_000)})).await;
    send(&shop, "o0", "close_till", json!({"shift_id": "sh", "counted": gbp(1_000)})).await;
    send(&shop, "o1", "open_till", json!({"shift_id": "open", "amount": gbp(1_000)})).await;
    let before = database.items(Table::Orders);
    let (invalid, conflict, missing) = (RefusalKind::Invalid, RefusalKind::Conflict, RefusalKind::NotFound);
    let long = "x".repeat(201);
    let of = |shift: &str, members: Value| with_members(json!({"shift_id": shift}), &members);
    let cash = |amount: Value, reason: &str| of("open", json!({"amount": amount, "reason": reason}));
    let kinds = |kinds: Value| of("open", json!({"counted": gbp(100), "denominations": kinds}));
    let euro = json!({"amount": 5, "currency": "EUR"});
    let one = |value: Value, count: Value| json!([{"value": value, "count": count}]);
    let forty_one: Vec<Value> = (1..=41).map(|n| json!({"value": gbp(n), "count": 1})).collect();
    let mut cases: Vec<(&str, Value, RefusalKind, &str)> = vec![
        ("open_till", json!({"shift_id": "new"}), conflict, "shift_open"),
        ("open_till", json!({}), conflict, "shift_open"),
        ("open_till", json!({"shift_id": "sh"}), conflict, "shift_exists"),
        ("open_till", json!({"shift_id": "new", "amount": gbp(-1)}), invalid, "amount_negative"),
        (
            "open_till",
            json!({"shift_id": "new", "amount": gbp(1_000_000_000_001)}),
            invalid,
            "amount_out_of_range",
        ),
        ("open_till", json!({"shift_id": "new", "amount": euro}), invalid, "currency_mismatch"),
        ("open_till", json!({"shift_id": "new", "amount": 5}), invalid, "field_invalid"),
        ("open_till", json!({"shift_id": "new", "counted": gbp(5)}), invalid, "field_invalid"),
        ("open_till", json!({"shift_id": "a/b"}), invalid, "id_malformed"),
        ("open_till", json!({"shift_id": "4111111111111111"}), invalid, "card_number_refused"),
        ("paid_in", cash(gbp(0), "x"), invalid, "amount_not_positive"),
        ("paid_in", cash(gbp(-5), "x"), invalid, "amount_not_positive"),
        ("paid_in", cash(gbp(1_000_000_000_001), "x"), invalid, "amount_out_of_range"),
        ("paid_in", cash(euro.clone(), "x"), invalid, "currency_mismatch"),
        ("paid_in", cash(json!({"amount": 1.5, "currency": "GBP"}), "x"), invalid, "field_invalid"),
        ("paid_in", of("open", json!({"amount": gbp(5)})), invalid, "field_invalid"),
        ("paid_in", of("open", json!({"reason": "x"})), invalid, "field_invalid"),
        ("paid_in", cash(gbp(5), " "), invalid, "reason_required"),
        ("paid_in", cash(gbp(5), &long), invalid, "text_too_long"),
        ("paid_in", cash(gbp(5), "card 4111 1111 1111 1111"), invalid, "card_number_refused"),
        ("paid_in", cash(gbp(5), "a\u{7}b"), invalid, "text_malformed"),
        ("paid_out", cash(gbp(1_001), "x"), conflict, "drawer_short"),
        ("paid_out", cash(gbp(0), "x"), invalid, "amount_not_positive"),
        ("paid_out", cash(gbp(5), ""), invalid, "reason_required"),
        ("no_sale", of("open", json!({"amount": gbp(5)})), invalid, "field_invalid"),
        ("no_sale", of("open", json!({"reason": long})), invalid, "text_too_long"),
        ("no_sale", of("open", json!({"approval_id": "a/b"})), invalid, "id_malformed"),
        ("no_sale", json!({}), invalid, "field_invalid"),
        ("cash_count", of("open", json!({})), invalid, "count_required"),
        ("cash_count", of("open", json!({"counted": gbp(-1)})), invalid, "amount_negative"),
        ("cash_count", of("open", json!({"counted": euro})), invalid, "currency_mismatch"),
        ("cash_count", kinds(one(gbp(10), json!(9))), invalid, "denominations_do_not_sum"),
        ("cash_count", kinds(json!([])), invalid, "denominations_do_not_sum"),
        ("cash_count", kinds(one(gbp(0), json!(9))), invalid, "denomination_invalid"),
        ("cash_count", kinds(one(gbp(1), json!(1_000_001))), invalid, "denomination_invalid"),
        ("cash_count", kinds(one(gbp(1), json!(-1))), invalid, "field_invalid"),
        ("cash_count", kinds(one(gbp(1), json!("9"))), invalid, "field_invalid"),
        ("cash_count", kinds(json!([{"value": gbp(10)}])), invalid, "field_invalid"),
        ("cash_count", kinds(json!(forty_one)), invalid, "too_many_denominations"),
        ("close_till", of("open", json!({})), invalid, "count_required"),
        ("close_till", kinds(one(gbp(10), json!(9))), invalid, "denominations_do_not_sum"),
        ("get_x_report", of("open", json!({"reason": "x"})), invalid, "field_invalid"),
        ("get_x_report", of("sh", json!({})), conflict, "shift_closed"),
    ];
    let valid = |shift: &str| {
        let cash = of(shift, json!({"amount": gbp(5), "reason": "x"}));
        let count = of(shift, json!({"counted": gbp(5)}));
        let only = of(shift, json!({}));
        [
            ("paid_in", cash.clone()),
            ("paid_out", cash),
            ("no_sale", only.clone()),
            ("cash_count", count.clone()),
            ("close_till", count),
            ("get_x_report", only),
        ]
    };
    for (shift, kind, code) in [
        ("sh", conflict, "shift_closed"),
        ("nope", missing, "shift_not_found"),
        ("a/b", invalid, "id_malformed"),
        ("4111111111111111", invalid, "card_number_refused"),
    ] {
        cases.extend(valid(shift).map(|(action, payload)| (action, payload, kind, code)));
    }
    for (n, (action, payload, kind, code)) in cases.into_iter().enumerate() {
        match shop.command(&format!("bad-{n}"), action, payload.clone()).await {
            Err(Error::Rejected(refusal)) => {
                assert_eq!((refusal.code, refusal.kind), (code, kind), "{action} {payload}");
            }
            other => panic!("{action} {payload}: {other:?}"),
        }
        assert_eq!(database.items(Table::Orders), before, "{action} {payload}");
    }
    for (store, register, code) in [
        (STORE, "r-2", "shift_of_another_register"),
        ("s-2", "r-1", "shift_of_another_store"),
        ("s-2", "r-9", "register_not_found"),
        ("nope", "r-1", "store_not_found"),
    ] {
        for (action, payload) in valid("open") {
            let sent = envelope(store, register, "k", action, payload);
            let error = execute(&shop.ports, &operator(), sent).await.unwrap_err();
            assert_eq!(error.code(), Some(code), "{action} at {store} {register}");
        }
    }
    for (action, payload) in valid("open") {
        let sent = envelope(STORE, "r-1", "k", action, payload.clone());
        let stock = caller("demo", &[Role::WarehouseStaff]);
        assert_eq!(
            execute(&shop.ports, &stock, sent.clone()).await.unwrap_err().code(),
            Some("role_required")
        );
        let stranger = caller("other", &[Role::Operator]);
        let error = execute(&shop.ports, &stranger, sent.clone()).await.unwrap_err();
        assert_eq!(error.code(), Some("shift_not_found"), "another tenant's shift is none");
        let elsewhere =
            Caller { stores: Stores::Named(["s-2".to_owned()].into()), ..caller("demo", &[Role::Cashier]) };
        assert_eq!(
            execute(&shop.ports, &elsewhere, sent).await.unwrap_err().code(),
            Some("store_out_of_reach")
        );
    }
    assert_eq!(database.items(Table::Orders), before);
}

/// A batch of a register that was offline: what was sold before a closing is part of it, what after it not.
#[tokio::test]
async fn a_batch_keeps_sales_on_their_side_of_a_shift() {
    let (shop, _) = shop().await;
    needs_open_shift(&shop).await;
    let mut script = vec![("open_till".to_owned(), json!({"shift_id": "sh-1", "amount": gbp(100)}))];
    let sale = |id: String, script: &mut Vec<(String, Value)>| {
        script.extend([
            ("create_cart".to_owned(), json!({"cart_id": id})),
            ("add_line_item".to_owned(), json!({"cart_id": id, "sku": "B", "quantity": 1})),
            ("set_tendering".to_owned(), json!({"cart_id": id})),
            ("add_payment".to_owned(), json!({"cart_id": id, "tender": "cash", "amount": gbp(500)})),
            ("finalize_order".to_owned(), json!({"cart_id": id})),
        ]);
    };
    for n in 0..9 {
        sale(format!("a-{n}"), &mut script);
    }
    script.push(("paid_out".to_owned(), json!({"shift_id": "sh-1", "amount": gbp(1_000), "reason": "safe"})));
    script.push(("close_till".to_owned(), json!({"shift_id": "sh-1", "counted": gbp(0)})));
    script.push(("open_till".to_owned(), json!({"shift_id": "sh-2"})));
    for n in 0..3 {
        sale(format!("b-{n}"), &mut script);
    }
    let count = script.len();
    let commands: Vec<Value> = script
        .into_iter()
        .enumerate()
        .map(|(n, (action, payload))| envelope(STORE, "r-1", &format!("k{n}"), &action, payload))
        .collect();
    let (outcomes, resume_from) = batch::run(&shop.ports, &operator(), commands, jiff::Timestamp::MAX).await;
    assert_eq!((outcomes.len(), resume_from), (count, None));
    for (command, outcome) in &outcomes {
        assert!(outcome.is_ok(), "{command}: {outcome:?}");
    }
    let (first, _) = read::get(&shop.ports, &operator(), "sh-1").await.unwrap();
    let (second, _) = read::get(&shop.ports, &operator(), "sh-2").await.unwrap();
    let (first, second) = (first.report.unwrap(), second.report.unwrap());
    assert_eq!((first.sales_count, first.cash_expected.amount), (9, 0));
    assert_eq!((second.sales_count, second.first_receipt), (3, Some(10)));
}

#[tokio::test]
async fn shifts_are_listed_newest_first() {
    let (shop, _) = shop().await;
    shop.store("s-2").await.unwrap();
    for n in 0..7 {
        let register = if n % 2 == 0 { "r-1" } else { "r-2" };
        let store = if n == 6 { "s-2" } else { STORE };
        let at = |action: &str, payload: Value| {
            let mut sent = envelope(store, register, &format!("{action}{n}"), action, payload);
            sent["occurred_at"] = json!(format!("2010-12-01T{:02}:00:00Z", 8 + n));
            sent
        };
        let open = at("open_till", json!({"shift_id": format!("sh-{n}")}));
        execute(&shop.ports, &operator(), open).await.unwrap();
        if n < 4 {
            let close = at("close_till", json!({"shift_id": format!("sh-{n}"), "counted": gbp(0)}));
            execute(&shop.ports, &operator(), close).await.unwrap();
        }
    }
    let list = async |who: &Caller, filter: ShiftFilter| {
        let (mut ids, mut cursor) = (Vec::new(), filter.cursor.clone());
        loop {
            let page = read::list(&shop.ports, who, ShiftFilter { cursor, ..filter.clone() }).await?;
            assert!(page.items.iter().all(|view| view.movements.is_none()));
            let with_report = page.items.iter().filter(|view| view.report.is_some());
            assert!(with_report.clone().all(|view| view.state == ShiftState::Closed));
            ids.extend(page.items.into_iter().map(|view| view.id));
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok::<_, Error>(ids.join(" "));
            }
        }
    };
    let all = ShiftFilter::default();
    let of = |store: &str, register: Option<&str>| ShiftFilter {
        store_id: Some(store.to_owned()),
        register_id: register.map(str::to_owned),
        ..ShiftFilter::default()
    };
    let cashier = caller("demo", &[Role::Cashier]);
    for limit in [None, Some(1), Some(2), Some(3)] {
        let told = async |filter: ShiftFilter| list(&cashier, ShiftFilter { limit, ..filter }).await.unwrap();
        assert_eq!(told(all.clone()).await, "sh-6 sh-5 sh-4 sh-3 sh-2 sh-1 sh-0", "{limit:?}");
        assert_eq!(told(of(STORE, None)).await, "sh-5 sh-4 sh-3 sh-2 sh-1 sh-0");
        assert_eq!(told(of(STORE, Some("r-1"))).await, "sh-4 sh-2 sh-0");
        assert_eq!(told(of("s-2", Some("r-1"))).await, "sh-6");
        let closed = ShiftFilter { state: Some(ShiftState::Closed), ..of(STORE, Some("r-2")) };
        assert_eq!(told(closed).await, "sh-3 sh-1");
        let open = ShiftFilter { state: Some(ShiftState::Open), ..all.clone() };
        assert_eq!(told(open).await, "sh-6 sh-5 sh-4");
    }
    let elsewhere = Caller { stores: Stores::Named(["s-2".to_owned()].into()), ..cashier.clone() };
    assert_eq!(list(&elsewhere, all.clone()).await.unwrap(), "sh-6");
    let (bad_limit, bad_cursor) = (Some(201), Some("x".to_owned()));
    for (who, filter, code) in [
        (&elsewhere, of(STORE, None), "store_out_of_reach"),
        (&cashier, of("nope", None), "store_not_found"),
        (&cashier, of("a/b", None), "id_malformed"),
        (&cashier, ShiftFilter { register_id: Some("r-1".to_owned()), ..all.clone() }, "store_required"),
        (&cashier, ShiftFilter { limit: bad_limit, ..all.clone() }, "limit_out_of_range"),
        (&cashier, ShiftFilter { cursor: bad_cursor, ..all.clone() }, "cursor_malformed"),
        (&caller("demo", &[Role::WarehouseStaff]), all.clone(), "role_required"),
    ] {
        assert_eq!(list(who, filter).await.unwrap_err().code(), Some(code));
    }
    for (who, id, code) in [
        (&elsewhere, "sh-0", "shift_not_found"),
        (&cashier, "nope", "shift_not_found"),
        (&cashier, "a/b", "id_malformed"),
        (&caller("other", &[Role::Operator]), "sh-0", "shift_not_found"),
        (&caller("demo", &[Role::WarehouseStaff]), "sh-0", "role_required"),
    ] {
        assert_eq!(read::get(&shop.ports, who, id).await.unwrap_err().code(), Some(code));
        assert_eq!(proof::of_shift(&shop.ports, who, id).await.unwrap_err().code(), Some(code));
    }
}
