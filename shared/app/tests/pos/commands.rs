//! Commands of the till: each effect once, every refusal its own code, nothing changed by one.

use std::sync::Arc;

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};
use tillstream_app::capacity::{CapacityMeter, Operation};
use tillstream_app::database::{Item, Table, Write};
use tillstream_app::environment::Environment;
use tillstream_app::pos::batch;
use tillstream_app::pos::execute::{Answered, execute};
use tillstream_app::tenancy::{Role, Stores};
use tillstream_app::tenant_rules::tenant_rules;
use tillstream_app::{Error, Ports, RefusalKind};
use tillstream_contracts::pos::ACTIONS;
use tillstream_testkit::faults::{Fault, FaultyDatabase};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop, caller, envelope};
use tillstream_testkit::test_environment::TestEnvironment;

async fn shop() -> (Shop, Arc<MemoryDatabase>) {
    seeded_shop(7).await
}

/// Its clock moves by sleeping.
async fn virtual_shop() -> (Shop, Arc<MemoryDatabase>) {
    stocked(Arc::new(TestEnvironment::new(7))).await
}

/// The seed decides in which order tasks on one thread get their turns.
async fn seeded_shop(seed: u64) -> (Shop, Arc<MemoryDatabase>) {
    stocked(Arc::new(TestEnvironment::real(seed))).await
}

async fn stocked(environment: Arc<dyn Environment>) -> (Shop, Arc<MemoryDatabase>) {
    let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    let shop = Shop::open(database.clone(), environment).await.unwrap();
    for (sku, price, pieces) in [("A", "2.55", 100), ("B", "1", 100), ("LAST", "5", 1)] {
        shop.product(STORE, sku, price, pieces).await.unwrap();
    }
    (shop, database)
}

fn result(answered: &Answered) -> Value {
    serde_json::to_value(&answered.reply.result).unwrap()
}

#[tokio::test]
async fn finalising_is_one_transaction_after_one_read() {
    let meter = Arc::new(CapacityMeter::default());
    let environment = Arc::new(TestEnvironment::new(7));
    let database = MemoryDatabase::with_environment(environment.clone()).observed_by(meter.clone());
    let shop = Shop::open(Arc::new(database), environment).await.unwrap();
    for (sku, price) in [("A", "2.55"), ("B", "1")] {
        shop.product(STORE, sku, price, 100).await.unwrap();
    }
    // The tenant's settings are remembered by the process.
    tenant_rules(&shop.ports, &shop.scope, shop.ports.environment.now()).await.unwrap();
    // The first sale of a register has no lane yet, the second has.
    for cart in ["c-1", "c-2"] {
        shop.ready("r-1", cart, &[("A", 6), ("B", 2), ("A", 1)]).await.unwrap();
        meter.take();
        shop.finalize("r-1", cart).await.unwrap();
        let calls = meter.take().calls;
        assert_eq!(calls, [(Operation::GetMany, 1), (Operation::Transact, 1)].into(), "{cart}");
    }
}

#[tokio::test]
async fn a_sale_from_open_to_receipt() {
    let (shop, _) = shop().await;
    shop.ready("r-1", "c-1", &[("A", 6), ("B", 2), ("A", 1)]).await.unwrap();
    let answered = shop.finalize("r-1", "c-1").await.unwrap();
    let documents = ["c-1.receipt", "c-1.gift_receipt", "c-1.merchant_copy", "c-1.kitchen_chit"];
    assert_eq!(result(&answered), json!({"order_id": "c-1", "receipt_number": 1, "document_ids": documents}));
    assert_eq!(answered.reply.consistency_token.as_deref(), Some("s-1/r-1:1"));
    let cart = answered.reply.cart.unwrap();
    assert_eq!((cart.state, cart.totals.total.amount, cart.line_count), ("finalized", 1_985, 3));
    let a = shop.counters(STORE, "A").await.unwrap();
    assert_eq!((a.on_hand, a.reserved, a.available), (93_000, 0, 93_000));
    assert_eq!(a.seq, 2, "two lines of one SKU are one change of stock");
}

/// Every action, sent twenty times at once and once more later: one effect, equal answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_identical_commands_at_once_have_one_effect() {
    let (shop, database) = shop().await;
    let money = |amount: i64| json!({"amount": amount, "currency": "GBP"});
    // All that was sold, so that nothing is left for a repetition to take.
    let returned = json!({"return_id": "r-1", "line_id": "l-1", "quantity": 2, "disposition": "restock"});
    let all_of_c4 = json!({"return_id": "r-3", "line_id": "l-1", "quantity": 2, "disposition": "restock"});
    let script = [
        ("create_cart", json!({"cart_id": "c-1"})),
        ("set_customer", json!({"cart_id": "c-1", "customer_id": "17850"})),
        ("add_line_item", json!({"cart_id": "c-1", "sku": "A", "quantity": 4})),
        ("add_line_item", json!({"cart_id": "c-1", "sku": "B", "quantity": 1})),
        ("update_line_item", json!({"cart_id": "c-1", "line_id": "l-1", "quantity": 2})),
        ("remove_line_item", json!({"cart_id": "c-1", "line_id": "l-2"})),
        (
            "apply_manual_discount",
            json!({"cart_id": "c-1", "kind": "fixed_cart", "value": money(10), "reason": "dented"}),
        ),
        (
            "apply_manual_discount",
            json!({"cart_id": "c-1", "kind": "percent_line", "line_id": "l-1", "value": 1_000, "reason": "last"}),
        ),
        ("remove_manual_discount", json!({"cart_id": "c-1", "discount_id": "d-1"})),
        ("set_tendering", json!({"cart_id": "c-1"})),
        ("resume_editing", json!({"cart_id": "c-1"})),
        ("set_tendering", json!({"cart_id": "c-1"})),
        ("add_payment", json!({"cart_id": "c-1", "tender": "cash", "amount": money(1_000)})),
        ("remove_payment", json!({"cart_id": "c-1", "payment_id": "p-1"})),
        ("add_payment", json!({"cart_id": "c-1", "tender": "cash", "amount": money(1_000)})),
        ("finalize_order", json!({"cart_id": "c-1"})),
        ("create_cart", json!({})),
        ("create_cart", json!({"cart_id": "c-2"})),
        ("void_cart", json!({"cart_id": "c-2", "reason": "changed mind"})),
        ("start_return", json!({"return_id": "r-1", "original_order_id": "c-1", "reason": "broken"})),
        ("return_line_item", returned),
        ("refund_tender", json!({"return_id": "r-1", "tender": "cash", "amount": money(459)})),
        ("finalize_return", json!({"return_id": "r-1"})),
        ("create_cart", json!({"cart_id": "c-3"})),
        ("park_cart", json!({"cart_id": "c-3", "note": "back in a minute"})),
        ("recall_cart", json!({"cart_id": "c-3"})),
        ("add_line_item", json!({"cart_id": "c-3", "sku": "B", "quantity": 2})),
        ("set_tendering", json!({"cart_id": "c-3"})),
        ("add_payment", json!({"cart_id": "c-3", "tender": "card", "amount": money(200)})),
        ("finalize_order", json!({"cart_id": "c-3"})),
        ("void_order", json!({"order_id": "c-3", "reason": "rung up twice"})),
        ("start_return", json!({"return_id": "r-2", "reason": "blind"})),
        ("void_return", json!({"return_id": "r-2"})),
        ("create_cart", json!({"cart_id": "c-4"})),
        ("add_line_item", json!({"cart_id": "c-4", "sku": "B", "quantity": 2})),
        ("set_tendering", json!({"cart_id": "c-4"})),
        ("add_payment", json!({"cart_id": "c-4", "tender": "card", "amount": money(200)})),
        ("finalize_order", json!({"cart_id": "c-4"})),
        ("start_return", json!({"return_id": "r-3", "original_order_id": "c-4", "reason": "too small"})),
        ("return_line_item", all_of_c4),
        ("create_cart", json!({"cart_id": "c-5"})),
        ("add_line_item", json!({"cart_id": "c-5", "sku": "B", "quantity": 3})),
        ("set_tendering", json!({"cart_id": "c-5"})),
        ("add_payment", json!({"cart_id": "c-5", "tender": "cash", "amount": money(500)})),
        ("finalize_exchange", json!({"return_id": "r-3", "cart_id": "c-5"})),
        ("open_till", json!({"shift_id": "sh-1", "amount": money(5_000)})),
        ("paid_in", json!({"shift_id": "sh-1", "amount": money(100), "reason": "coins"})),
        ("paid_out", json!({"shift_id": "sh-1", "amount": money(300), "reason": "stamps"})),
        ("no_sale", json!({"shift_id": "sh-1"})),
        ("cash_count", json!({"shift_id": "sh-1", "counted": money(4_800)})),
        ("close_till", json!({"shift_id": "sh-1", "counted": money(4_800)})),
    ];
    for (n, (action, payload)) in script.into_iter().enumerate() {
        let key = format!("key-{n}");
        let mut tasks = Vec::new();
        for _ in 0..20 {
            let (shop, key, payload) = (shop.clone(), key.clone(), payload.clone());
            tasks.push(tokio::spawn(async move { shop.command(&key, action, payload).await }));
        }
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.unwrap().unwrap_or_else(|e| panic!("{action}: {e}")));
        }
        let effects = answers.iter().filter(|a| !a.replayed).count();
        assert_eq!(effects, 1, "{action} took effect {effects} times");
        let again = shop.command(&key, action, payload).await.unwrap();
        assert!(again.replayed, "{action}");
        for answer in &answers {
            assert_eq!(result(answer), result(&again), "{action}");
            assert_eq!(answer.reply.consistency_token, again.reply.consistency_token, "{action}");
        }
    }
    let a = shop.counters(STORE, "A").await.unwrap();
    assert_eq!((a.on_hand, a.seq), (100_000, 3), "opening, one sale of 2, one return of 2");
    let lanes = database.items(Table::Orders).into_iter().filter(|i| i.opt_text("sk") == Some("lane"));
    let last: Vec<_> = lanes.map(|lane| lane.number("last").unwrap()).collect();
    assert_eq!(last, [7], "three sales, one return, one void, and an exchange of two numbers");
    assert_eq!(shop.counters(STORE, "B").await.unwrap().on_hand, 97_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_different_lines_at_once_are_all_kept() {
    let (shop, _) = shop().await;
    shop.command("open", "create_cart", json!({"cart_id": "c-1"})).await.unwrap();
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let shop = shop.clone();
            tokio::spawn(async move {
                let payload = json!({"cart_id": "c-1", "sku": "A", "quantity": 1});
                shop.command(&format!("line-{n}"), "add_line_item", payload).await.unwrap()
            })
        })
        .collect();
    let mut ids = std::collections::BTreeSet::new();
    for task in tasks {
        ids.insert(task.await.unwrap().reply.result.line_id.unwrap());
    }
    assert_eq!(ids.len(), 20);
    let cart =
        shop.command("t", "set_tendering", json!({"cart_id": "c-1"})).await.unwrap().reply.cart.unwrap();
    assert_eq!((cart.line_count, cart.totals.total.amount), (20, 5_100));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_carts_at_once_on_one_register_get_numbers_without_gap() {
    let (shop, _) = shop().await;
    for n in 0..20 {
        shop.ready("r-1", &format!("c-{n}"), &[("A", 1)]).await.unwrap();
    }
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let shop = shop.clone();
            tokio::spawn(async move { shop.finalize("r-1", &format!("c-{n}")).await.unwrap() })
        })
        .collect();
    let mut numbers = Vec::new();
    for task in tasks {
        numbers.push(task.await.unwrap().reply.result.receipt_number.unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=20).collect::<Vec<u64>>());
    assert_eq!(shop.counters(STORE, "A").await.unwrap().on_hand, 80_000);
}

/// A register without a number yet has no record to be conditional on.
#[tokio::test]
async fn the_first_numbers_of_a_register_are_given_once() {
    for seed in 0..20 {
        let (shop, _) = seeded_shop(seed).await;
        for cart in ["a", "b", "c"] {
            shop.ready("r-1", cart, &[("A", 1)]).await.unwrap();
        }
        let finalized = join_all(["a", "b", "c"].map(|cart| shop.finalize("r-1", cart))).await;
        let mut numbers: Vec<u64> =
            finalized.into_iter().map(|done| done.unwrap().reply.result.receipt_number.unwrap()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3], "seed {seed}");
    }
}

/// What is made final is the cart as it was checked: a payment taken back meanwhile is missed.
#[tokio::test]
async fn a_cart_that_changed_meanwhile_is_checked_again() {
    let (shop, database) = shop().await;
    shop.ready("r-1", "c-1", &[("A", 1)]).await.unwrap();
    let frozen = Arc::new(FaultyDatabase::new(database));
    frozen.fail_next(Operation::Transact, Fault::Freezes);
    let ports = Ports { database: frozen.clone(), environment: shop.ports.environment.clone() };
    let late = Shop { ports, scope: shop.scope.clone() };
    let task = tokio::spawn(async move { late.finalize("r-1", "c-1").await });
    while frozen.injected().is_empty() {
        tokio::task::yield_now().await;
    }
    let payment = json!({"cart_id": "c-1", "payment_id": "p-1"});
    shop.command("back", "remove_payment", payment).await.unwrap();
    frozen.thaw();
    assert_eq!(task.await.unwrap().unwrap_err().code(), Some("underpaid"));
    assert_eq!(shop.counters(STORE, "A").await.unwrap().on_hand, 100_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_last_piece_is_sold_once() {
    let (shop, _) = shop().await;
    for n in 0..20 {
        shop.ready(&format!("r-{}", n % 4 + 1), &format!("c-{n}"), &[("LAST", 1)]).await.unwrap();
    }
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let shop = shop.clone();
            tokio::spawn(async move { shop.finalize(&format!("r-{}", n % 4 + 1), &format!("c-{n}")).await })
        })
        .collect();
    let mut sold = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => sold += 1,
            Err(Error::Rejected(refusal)) => {
                assert_eq!((refusal.kind, refusal.code), (RefusalKind::Conflict, "insufficient_stock"));
                assert_eq!(refusal.extra["lines"][0]["available"], json!(0));
                assert_eq!(refusal.errors[0].field, "lines.l-1");
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(sold, 1);
    let last = shop.counters(STORE, "LAST").await.unwrap();
    assert_eq!((last.on_hand, last.available), (0, 0));
}

/// What is refused, and with which code. After each the whole database is as it was.
#[tokio::test]
async fn every_bad_command_has_its_own_answer_and_changes_nothing() {
    let (shop, database) = shop().await;
    shop.command("o1", "create_cart", json!({"cart_id": "open"})).await.unwrap();
    shop.command("o2", "create_cart", json!({"cart_id": "empty"})).await.unwrap();
    shop.command("o3", "add_line_item", json!({"cart_id": "open", "sku": "A", "quantity": 1})).await.unwrap();
    shop.ready("r-1", "tendering", &[("A", 1)]).await.unwrap();
    shop.ready("r-1", "done", &[("A", 1)]).await.unwrap();
    shop.finalize("r-1", "done").await.unwrap();
    shop.ready("r-1", "unpaid", &[("A", 1)]).await.unwrap();
    shop.command("o4", "remove_payment", json!({"cart_id": "unpaid", "payment_id": "p-1"})).await.unwrap();
    let before = snapshot(&database);

    let gbp = |amount: i64| json!({"amount": amount, "currency": "GBP"});
    let add = |members: Value| {
        let mut payload = json!({"cart_id": "open", "sku": "A", "quantity": 1});
        for (name, value) in members.as_object().unwrap() {
            payload[name] = value.clone();
        }
        payload
    };
    let pay = |amount: Value| json!({"cart_id": "unpaid", "tender": "card", "amount": amount});
    let of = |cart: &str| json!({"cart_id": cart});
    let (invalid, conflict, missing) = (RefusalKind::Invalid, RefusalKind::Conflict, RefusalKind::NotFound);
    let dear = json!({"unit_price_override": "999999.9999", "quantity": 1_000_000});
    let shells = json!({"cart_id": "unpaid", "tender": "shells", "amount": gbp(1)});
    let early = json!({"cart_id": "open", "tender": "card", "amount": gbp(1)});
    let wrong_kind =
        json!({"return_id": "open", "sku": "A", "quantity": 1, "disposition": "restock", "unit_price": "1"});
    let pan = json!({"cart_id": "open", "customer_id": "4111111111111111"});
    let cases: Vec<(&str, Value, RefusalKind, &str)> = vec![
        ("dance", json!({}), invalid, "unknown_action"),
        ("add_line_item", json!({"cart_id": "open", "sku": "A"}), invalid, "field_invalid"),
        ("add_line_item", add(json!({"colour": "red"})), invalid, "field_invalid"),
        ("add_line_item", add(json!({"quantity": 0})), invalid, "quantity_invalid"),
        ("add_line_item", add(json!({"quantity": -1})), invalid, "quantity_invalid"),
        ("add_line_item", add(json!({"quantity": 1.5})), invalid, "field_invalid"),
        ("add_line_item", add(json!({"quantity": "1.5"})), invalid, "quantity_invalid"),
        ("add_line_item", add(json!({"quantity": 1_000_000_000_000_i64})), invalid, "quantity_invalid"),
        ("add_line_item", add(json!({"unit_price_override": "1.23456"})), invalid, "field_invalid"),
        ("add_line_item", add(json!({"unit_price_override": "-1"})), invalid, "field_invalid"),
        ("add_line_item", add(json!({"unit_price_override": "1000000"})), invalid, "field_invalid"),
        ("add_line_item", add(dear), invalid, "amount_out_of_range"),
        ("add_line_item", add(json!({"sku": "NOPE"})), missing, "sku_not_found"),
        ("add_line_item", add(json!({"barcode": "4006381333931"})), invalid, "sku_or_barcode_required"),
        ("add_line_item", add(json!({"cart_id": "nope"})), missing, "cart_not_found"),
        ("add_line_item", add(json!({"cart_id": "a/b"})), invalid, "id_malformed"),
        ("add_line_item", add(json!({"cart_id": "tendering"})), conflict, "wrong_cart_state"),
        ("add_line_item", add(json!({"cart_id": "done"})), conflict, "wrong_cart_state"),
        ("add_line_item", add(json!({"notes": "card 4111 1111 1111 1111"})), invalid, "card_number_refused"),
        ("add_line_item", add(json!({"notes": "x".repeat(501)})), invalid, "text_too_long"),
        ("set_customer", of("open"), invalid, "field_invalid"),
        ("set_customer", pan, invalid, "card_number_refused"),
        ("add_payment", pay(gbp(1_000)), conflict, "overpaid"),
        ("add_payment", pay(gbp(0)), invalid, "amount_not_positive"),
        ("add_payment", pay(gbp(-5)), invalid, "amount_not_positive"),
        ("add_payment", pay(gbp(1_000_000_000_001)), invalid, "amount_out_of_range"),
        ("add_payment", pay(json!({"amount": 1.5, "currency": "GBP"})), invalid, "field_invalid"),
        ("add_payment", pay(json!({"amount": 1, "currency": "EUR"})), invalid, "currency_mismatch"),
        ("add_payment", shells, invalid, "unknown_tender"),
        ("add_payment", early, conflict, "wrong_cart_state"),
        ("finalize_order", of("unpaid"), conflict, "underpaid"),
        ("finalize_order", of("open"), conflict, "wrong_cart_state"),
        ("finalize_order", of("done"), conflict, "wrong_cart_state"),
        ("set_tendering", of("empty"), conflict, "cart_empty"),
        ("resume_editing", of("tendering"), conflict, "payments_present"),
        ("void_cart", of("done"), conflict, "wrong_cart_state"),
        ("create_cart", of("open"), conflict, "cart_exists"),
        ("return_line_item", wrong_kind, conflict, "wrong_cart_kind"),
        ("start_return", json!({"original_order_id": "nope", "reason": "x"}), missing, "order_not_found"),
        ("start_return", json!({"original_order_id": "open", "reason": "x"}), conflict, "order_not_final"),
    ];
    for (n, (action, payload, kind, code)) in cases.into_iter().enumerate() {
        let shown = payload.to_string();
        let error = shop.command(&format!("bad-{n}"), action, payload).await.expect_err(&shown);
        let Error::Rejected(refusal) = error else { panic!("{action} {shown}: {error}") };
        assert_eq!((refusal.kind, refusal.code), (kind, code), "{action} {shown}: {}", refusal.detail);
        // What is no action is not repeated: it may be anything.
        let action = Some(action).filter(|action| ACTIONS.contains(action));
        assert_eq!(refusal.extra["action"], json!(action), "{shown}");
        assert_eq!(refusal.extra["idempotency_key"], json!(format!("bad-{n}")));
        assert!(!refusal.detail.contains("4111"), "a card number was repeated");
        let field = match code {
            "amount_not_positive" | "currency_mismatch" => Some("payload.amount"),
            "unknown_tender" => Some("payload.tender"),
            "quantity_invalid" => Some("payload.quantity"),
            "sku_not_found" | "sku_or_barcode_required" => Some("payload.sku"),
            _ => None,
        };
        if let Some(field) = field {
            assert_eq!(refusal.errors[0].field, field, "{shown}");
        }
        if let "underpaid" | "overpaid" = code {
            assert_eq!(refusal.extra["due"], json!(255), "{shown}");
        }
    }
    assert_eq!(snapshot(&database), before, "a refusal changed something");
}

fn snapshot(database: &MemoryDatabase) -> Vec<tillstream_app::database::Item> {
    Table::ALL.into_iter().flat_map(|table| database.items(table)).collect()
}

#[tokio::test]
async fn bad_envelopes_have_their_own_answers() {
    let (shop, _) = shop().await;
    let good = envelope(STORE, "r-1", "k", "create_cart", json!({}));
    let with = |name: &str, value: Value| {
        let mut sent = good.clone();
        sent[name] = value;
        sent
    };
    let mut keyless = good.clone();
    keyless.as_object_mut().unwrap().remove("idempotency_key");
    let cases = [
        (json!([]), "json_malformed"),
        (json!("x"), "json_malformed"),
        (keyless, "idempotency_key_missing"),
        (with("idempotency_key", json!("")), "idempotency_key_missing"),
        (with("idempotency_key", json!("x".repeat(129))), "idempotency_key_malformed"),
        (with("version", json!("2")), "unsupported_version"),
        (with("version", json!(1)), "field_invalid"),
        (with("store_id", json!("s-9")), "store_not_found"),
        (with("register_id", json!("r-9")), "register_not_found"),
        (with("store_id", json!(7)), "field_invalid"),
        (with("occurred_at", json!("yesterday")), "field_invalid"),
        (with("occurred_at", json!("2999-01-01T00:00:00Z")), "occurred_at_in_future"),
        (with("extra", json!(1)), "field_invalid"),
        (with("payload", json!(null)), "field_invalid"),
        (with("reply", json!("short")), "field_invalid"),
        (with("occurred_at", json!("1969-12-31T23:59:59.999Z")), "occurred_at_too_old"),
        (with("employee_id", json!("4111111111111111")), "card_number_refused"),
        (with("register_id", json!("virtual-1")), "register_virtual"),
        (with("version", json!(null)), "field_invalid"),
        (with("idempotency_key", json!(null)), "idempotency_key_missing"),
        (with("idempotency_key", json!("a\u{1f}")), "idempotency_key_malformed"),
    ];
    for (sent, code) in cases {
        let shown = sent.to_string();
        let error = execute(&shop.ports, &caller("demo", &[Role::Operator]), sent).await.expect_err(&shown);
        assert_eq!(error.code(), Some(code), "{shown}: {error}");
    }
}

/// A clock may be five minutes ahead, and is told to the millisecond; a key may be as long as it may.
#[tokio::test]
async fn envelopes_are_taken_up_to_their_bounds() {
    let (shop, _) = virtual_shop().await;
    let latest = shop.ports.environment.now() + std::time::Duration::from_secs(300);
    let too_late = latest + std::time::Duration::from_millis(1);
    let cases = [
        ("occurred_at", json!(latest), None),
        ("occurred_at", json!(too_late), Some("occurred_at_in_future")),
        ("occurred_at", json!("1970-01-01T00:00:00Z"), None),
        ("occurred_at", json!(null), None),
        ("idempotency_key", json!("x".repeat(128)), None),
        ("idempotency_key", json!(" ~"), None),
    ];
    for (n, (name, value, expected)) in cases.into_iter().enumerate() {
        let cart = json!({"cart_id": format!("c-{n}")});
        let mut sent = envelope(STORE, "r-1", &format!("k-{n}"), "create_cart", cart);
        sent[name] = value;
        let shown = sent.to_string();
        let answer = execute(&shop.ports, &caller("demo", &[Role::Operator]), sent).await;
        assert_eq!(answer.err().and_then(|error| error.code()), expected, "{shown}");
    }
}

#[tokio::test]
async fn another_store_or_register_does_not_reach_a_cart() {
    let (shop, _) = shop().await;
    shop.store("s-2").await.unwrap();
    shop.command("open", "create_cart", json!({"cart_id": "c-1"})).await.unwrap();
    let cases = [
        ("s-2", "r-1", "cart_of_another_store"),
        (STORE, "r-2", "cart_of_another_register"),
        (STORE, "r-9", "register_not_found"),
        ("s-9", "r-1", "store_not_found"),
    ];
    for (store, register, code) in cases {
        let payload = json!({"cart_id": "c-1", "sku": "A", "quantity": 1});
        let sent = envelope(store, register, "k", "add_line_item", payload);
        let error = execute(&shop.ports, &caller("demo", &[Role::Operator]), sent).await.unwrap_err();
        assert_eq!(error.code(), Some(code));
    }
}

#[tokio::test]
async fn a_token_reaches_its_own_stores_register_and_tenant_only() {
    let (shop, _) = shop().await;
    let sent = |key: &str| envelope(STORE, "r-1", key, "create_cart", json!({"cart_id": "mine"}));
    let mut cashier = caller("demo", &[Role::Cashier]);
    cashier.stores = Stores::Named(["s-2".to_owned()].into());
    let code = |error: Error| error.code().unwrap();
    assert_eq!(code(execute(&shop.ports, &cashier, sent("1")).await.unwrap_err()), "store_out_of_reach");
    cashier.stores = Stores::All;
    cashier.register_id = Some("r-2".to_owned());
    assert_eq!(code(execute(&shop.ports, &cashier, sent("2")).await.unwrap_err()), "register_out_of_reach");
    let mut operator = caller("demo", &[Role::Operator]);
    operator.register_id = Some("r-2".to_owned());
    let other = envelope(STORE, "r-1", "any", "create_cart", json!({"cart_id": "any"}));
    execute(&shop.ports, &operator, other).await.unwrap();
    cashier.register_id = Some("r-1".to_owned());
    let own = envelope(STORE, "r-1", "own", "create_cart", json!({"cart_id": "own"}));
    execute(&shop.ports, &cashier, own).await.unwrap();
    let analyst = caller("demo", &[Role::Analyst]);
    assert_eq!(code(execute(&shop.ports, &analyst, sent("3")).await.unwrap_err()), "role_required");
    execute(&shop.ports, &caller("demo", &[Role::Cashier]), sent("4")).await.unwrap();
    let stranger = caller("other", &[Role::Operator]);
    let line = json!({"cart_id": "mine", "sku": "A", "quantity": 1});
    let line = envelope(STORE, "r-1", "5", "add_line_item", line);
    assert_eq!(code(execute(&shop.ports, &stranger, line).await.unwrap_err()), "cart_not_found");
}

#[tokio::test]
async fn what_needs_an_approval_is_refused_to_a_cashier() {
    let (shop, _) = shop().await;
    shop.command("open", "create_cart", json!({"cart_id": "c-1"})).await.unwrap();
    let cashier = caller("demo", &[Role::Cashier]);
    let manager = caller("demo", &[Role::StoreManager]);
    let cheap = |key: &str| {
        let payload = json!({"cart_id": "c-1", "sku": "A", "quantity": 1, "unit_price_override": "0"});
        envelope(STORE, "r-1", key, "add_line_item", payload)
    };
    let blind = |key: &str| envelope(STORE, "r-1", key, "start_return", json!({"reason": "no receipt"}));
    for sent in [cheap("1"), blind("2")] {
        let error = execute(&shop.ports, &cashier, sent).await.unwrap_err();
        assert_eq!(error.code(), Some("approval_required"));
    }
    execute(&shop.ports, &manager, cheap("3")).await.unwrap();
    execute(&shop.ports, &manager, blind("4")).await.unwrap();
}

#[tokio::test]
async fn a_key_used_for_another_payload_is_refused() {
    let (shop, _) = shop().await;
    shop.command("open", "create_cart", json!({"cart_id": "c-1"})).await.unwrap();
    let line = |quantity: i64| json!({"cart_id": "c-1", "sku": "A", "quantity": quantity});
    shop.command("k", "add_line_item", line(1)).await.unwrap();
    let error = shop.command("k", "add_line_item", line(2)).await.unwrap_err();
    assert_eq!(error.code(), Some("idempotency_key_reused"));
    assert!(shop.command("k", "add_line_item", line(1)).await.unwrap().replayed);
    // Another cart is another scope.
    shop.command("open-2", "create_cart", json!({"cart_id": "c-2"})).await.unwrap();
    let other = json!({"cart_id": "c-2", "sku": "A", "quantity": 1});
    assert!(!shop.command("k", "add_line_item", other).await.unwrap().replayed);
}

#[tokio::test]
async fn a_refused_key_may_succeed_later() {
    let (shop, _) = shop().await;
    shop.ready("r-1", "c-1", &[("LAST", 2)]).await.unwrap();
    assert_eq!(shop.finalize("r-1", "c-1").await.unwrap_err().code(), Some("insufficient_stock"));
    shop.product(STORE, "LAST", "5", 1).await.unwrap();
    assert!(!shop.finalize("r-1", "c-1").await.unwrap().replayed);
}

/// What could not be decided is where the client goes on, and nothing after it on its cart was done.
#[tokio::test]
async fn a_batch_goes_on_at_the_first_command_that_could_not_be_decided() {
    let (shop, database) = virtual_shop().await;
    let line = |sku: &str| json!({"cart_id": "c-1", "sku": sku, "quantity": 1});
    let script = [
        ("create_cart", json!({"cart_id": "c-1"})),
        ("add_line_item", line("A")),
        ("add_line_item", line("B")),
        ("set_tendering", json!({"cart_id": "c-1"})),
    ];
    let commands: Vec<Value> = (0..)
        .zip(script)
        .map(|(n, (action, payload))| envelope(STORE, "r-1", &format!("k-{n}"), action, payload))
        .collect();
    let faulty = Arc::new(FaultyDatabase::new(database));
    faulty.script(
        Operation::Write,
        [None, None].into_iter().chain(std::iter::repeat_n(Some(Fault::Throttled), 99)),
    );
    let ports = Ports { database: faulty.clone(), environment: shop.ports.environment.clone() };
    let who = caller("demo", &[Role::Operator]);
    let (outcomes, resume_from) = batch::run(&ports, &who, commands.clone(), Timestamp::MAX).await;
    assert_eq!((outcomes.len(), resume_from), (2, Some(2)));
    assert!(outcomes.iter().all(|(_, outcome)| outcome.is_ok()));

    let rest = commands[2..].to_vec();
    let (outcomes, resume_from) = batch::run(&shop.ports, &who, rest, Timestamp::MAX).await;
    assert_eq!((outcomes.len(), resume_from), (2, None));
    let (_, last) = outcomes.into_iter().next_back().unwrap();
    assert_eq!(last.unwrap().reply.cart.unwrap().line_count, 2);
}

/// What met an error of ours is not overtaken on its cart, and holds up no other cart.
#[tokio::test]
async fn a_batch_leaves_a_cart_that_met_an_error_of_ours() {
    let (shop, database) = virtual_shop().await;
    let line = |cart: &str| json!({"cart_id": cart, "sku": "A", "quantity": 1});
    let script = [
        ("create_cart", json!({"cart_id": "c-1"})),
        ("add_line_item", line("c-1")),
        ("set_tendering", json!({"cart_id": "c-1"})),
    ];
    let mut commands: Vec<Value> = (0..)
        .zip(script)
        .map(|(n, (action, payload))| envelope(STORE, "r-1", &format!("k-{n}"), action, payload))
        .collect();
    let faulty = Arc::new(FaultyDatabase::new(database));
    faulty.script(Operation::Write, [None, Some(Fault::Refused)]);
    let ports = Ports { database: faulty, environment: shop.ports.environment.clone() };
    let who = caller("demo", &[Role::Operator]);
    let (outcomes, resume_from) = batch::run(&ports, &who, commands.clone(), Timestamp::MAX).await;
    assert_eq!((outcomes.len(), resume_from), (3, None));
    assert!(matches!(outcomes[1].1, Err(Error::Bug(_))), "{:?}", outcomes[1]);
    let refused = outcomes[2].1.as_ref().unwrap_err();
    assert_eq!(refused.code(), Some("earlier_command_failed"), "{refused}");

    commands.push(envelope(STORE, "r-1", "other", "create_cart", json!({"cart_id": "c-2"})));
    let (outcomes, resume_from) = batch::run(&shop.ports, &who, commands, Timestamp::MAX).await;
    assert_eq!((outcomes.len(), resume_from), (4, None));
    assert!(outcomes.iter().all(|(_, outcome)| outcome.is_ok()), "sent again, all of it is taken");
}

/// Of a sale of which something was refused in an upload, nothing is made final behind that: it would be another sale than
/// the one that was made.
#[tokio::test]
async fn a_batch_makes_no_sale_final_of_which_something_was_refused() {
    let (shop, database) = shop().await;
    let cart = |id: &str| json!({"cart_id": id});
    let line = |id: &str, sku: &str| json!({"cart_id": id, "sku": sku, "quantity": 1});
    let cash = |id: &str, amount: i64| json!({"cart_id": id, "tender": "cash", "amount": {"amount": amount, "currency": "GBP"}});
    let script = [
        ("create_cart", cart("c-1")),
        ("add_line_item", line("c-1", "A")),
        ("add_line_item", line("c-1", "NEW")),
        ("set_tendering", cart("c-1")),
        ("add_payment", cash("c-1", 1_000)),
        ("finalize_order", cart("c-1")),
        ("create_cart", cart("c-2")),
        ("add_line_item", line("c-2", "A")),
        ("set_tendering", cart("c-2")),
        // Not to be final yet is no part of a sale.
        ("finalize_order", cart("c-2")),
        ("add_payment", cash("c-2", 255)),
        ("finalize_order", cart("c-2")),
    ];
    let commands: Vec<Value> = (0..)
        .zip(script)
        .map(|(n, (action, payload))| envelope(STORE, "r-1", &format!("k-{n}"), action, payload))
        .collect();
    let who = caller("demo", &[Role::Operator]);
    let codes = async |commands: &[Value]| {
        let (outcomes, resume_from) = batch::run(&shop.ports, &who, commands.to_vec(), Timestamp::MAX).await;
        assert_eq!(resume_from, None);
        let code = |outcome: &batch::Outcome| outcome.as_ref().map_or_else(|e| e.code().unwrap(), |_| "done");
        outcomes.iter().map(|(_, outcome)| code(outcome)).collect::<Vec<_>>()
    };
    let refused = codes(&commands).await;
    let expected = [
        "done",
        "done",
        "sku_not_found",
        "done",
        "done",
        "earlier_command_failed",
        "done",
        "done",
        "done",
        "underpaid",
        "done",
        "done",
    ];
    assert_eq!(refused, expected);
    let finals = |database: &MemoryDatabase| {
        let orders = database.items(tillstream_app::database::Table::Orders);
        orders.iter().filter(|item| item.opt_number("lane_number").is_some()).count()
    };
    assert_eq!(finals(&database), 1);
    // Sent alone it is final as it is, and a whole upload that comes again is told so.
    assert_eq!(codes(&commands[5..6]).await, ["done"]);
    assert_eq!(finals(&database), 2);
    assert_eq!(codes(&commands).await[5], "done");
    assert_eq!(finals(&database), 2);
}

/// A line by its barcode is a line of the product; notes come, change and go; a full reply holds them.
#[tokio::test]
async fn a_line_by_barcode_with_notes() {
    let (shop, _) = shop().await;
    let gtin = "4006381333931";
    let barcode = Item::new(&shop.scope.barcode(gtin)).with("kind", "barcode").with("sku", "B");
    let put = Write::Put { table: Table::Catalog, item: barcode, condition: None };
    shop.ports.database.write(put).await.unwrap();
    shop.command("o", "create_cart", json!({"cart_id": "c"})).await.unwrap();
    let send = async |key: &str, action: &str, payload: Value| {
        let mut sent = envelope(STORE, "r-1", key, action, payload);
        sent["reply"] = json!("full");
        execute(&shop.ports, &caller("demo", &[Role::Operator]), sent).await
    };
    let add = |barcode: &str| json!({"cart_id": "c", "barcode": barcode, "quantity": 2, "notes": "gift"});
    let lines = async |answered: Result<Answered, Error>| {
        let lines = answered.unwrap().reply.cart.unwrap().lines.unwrap();
        lines.into_iter().map(|line| (line.sku, line.total.amount, line.notes)).collect::<Vec<_>>()
    };
    let gift = || Some("gift".to_owned());
    assert_eq!(lines(send("1", "add_line_item", add(gtin)).await).await, [("B".to_owned(), 200, gift())]);
    for (barcode, code) in [("96385074", "barcode_not_found"), ("4006381333932", "barcode_malformed")] {
        let Err(Error::Rejected(refusal)) = send("2", "add_line_item", add(barcode)).await else {
            panic!("{barcode} was taken")
        };
        assert_eq!((refusal.code, refusal.errors[0].field.as_str()), (code, "payload.barcode"));
    }
    for (n, (change, notes)) in [
        (json!({"quantity": 3}), gift()),
        (json!({"notes": "wrap it"}), Some("wrap it".to_owned())),
        (json!({"notes": ""}), None),
    ]
    .into_iter()
    .enumerate()
    {
        let mut payload = json!({"cart_id": "c", "line_id": "l-1"});
        payload.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let changed = lines(send(&format!("u{n}"), "update_line_item", payload).await).await;
        assert_eq!(changed, [("B".to_owned(), 300, notes)]);
    }
    let none = json!({"cart_id": "c", "sku": "A", "quantity": 1, "notes": ""});
    assert_eq!(lines(send("3", "add_line_item", none).await).await[1], ("A".to_owned(), 255, None));
    let nothing = json!({"cart_id": "c", "line_id": "l-1"});
    let refused = send("4", "update_line_item", nothing).await.unwrap_err();
    assert_eq!(refused.code(), Some("nothing_to_update"));
}

/// An id that is made from the key is the same for its repetition, and another for every other.
#[tokio::test]
async fn ids_that_nobody_named_are_made_from_keys() {
    let (shop, _) = shop().await;
    let id = async |register: &str, key: &str, action: &str, payload: Value| {
        let result = shop.at(register, key, action, payload).await.unwrap().reply.result;
        result.cart_id.or(result.return_id).unwrap()
    };
    let mut ids = std::collections::BTreeSet::new();
    for (register, key) in [("r-1", "a"), ("r-1", "b"), ("r-2", "a")] {
        let made = id(register, key, "create_cart", json!({})).await;
        assert_eq!(id(register, key, "create_cart", json!({})).await, made);
        let back = id(register, key, "start_return", json!({"reason": "x"})).await;
        assert!(made.starts_with("c-") && back.starts_with("r-"), "{made} {back}");
        ids.extend([made, back]);
    }
    assert_eq!(ids.len(), 6);
}
