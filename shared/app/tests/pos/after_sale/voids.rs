//! Sales that are undone on the day they were made.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tillstream_app::Ports;
use tillstream_app::capacity::Operation;
use tillstream_app::facts::sale_event;
use tillstream_app::pos::cart_item::cart_of;
use tillstream_app::pos::plan;
use tillstream_app::pos::undo::undoing_id;
use tillstream_app::tenancy::Role;
use tillstream_domain::cart::Cart;
use tillstream_testkit::faults::{Fault, FaultyDatabase};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop};
use tillstream_testkit::test_environment::TestEnvironment;

use super::fixture::{
    busy_shop, cart_item, code, gbp, numbers, order, placed, result, sent, shop, snapshot, stocked, told,
};

const TODAY: &str = "2010-12-01T08:26:00Z";

/// 3 × 2.55 and 1 × 1.00, ten per cent off: 7.78, a part of it by card with a tip, the rest in cash.
async fn sold(shop: &Shop, id: &str) {
    for (n, (action, payload)) in [
        ("create_cart", json!({"cart_id": id, "customer_id": "17850"})),
        ("add_line_item", json!({"cart_id": id, "sku": "A", "quantity": 3})),
        ("add_line_item", json!({"cart_id": id, "sku": "B", "quantity": 1})),
        ("apply_manual_discount", json!({"cart_id": id, "kind": "percent_cart", "value": 1_000, "reason": "x"})),
        ("set_tendering", json!({"cart_id": id})),
        ("add_payment", json!({"cart_id": id, "tender": "card", "amount": gbp(300), "tip": gbp(50), "external_reference": "t-1"})),
        ("add_payment", json!({"cart_id": id, "tender": "cash", "amount": gbp(1_000)})),
        ("finalize_order", json!({"cart_id": id})),
    ]
    .into_iter()
    .enumerate()
    {
        shop.at("r-1", &format!("{id}-{n}"), action, payload).await.unwrap();
    }
}

fn void(id: &str) -> Value {
    json!({"order_id": id, "reason": "rung up twice"})
}

/// What undoes an order has an id that anybody can work out. No cart stands there before it.
#[tokio::test]
async fn nobody_puts_a_cart_where_an_order_is_undone() {
    let (shop, _) = stocked(Arc::new(TestEnvironment::new(7))).await;
    sold(&shop, "c").await;
    let place = undoing_id(&shop.scope, "c");
    for (action, payload) in [
        ("create_cart", json!({"cart_id": place})),
        ("start_return", json!({"return_id": place, "original_order_id": "c", "reason": "x"})),
    ] {
        assert_eq!(code(shop.at("r-1", action, action, payload).await), "id_malformed", "{action}");
    }
    let near = &place[..place.len() - 1];
    shop.at("r-1", "near", "create_cart", json!({"cart_id": near})).await.unwrap();
    shop.at("r-1", "undo", "void_order", void("c")).await.unwrap();
}

#[tokio::test]
async fn a_void_brings_all_of_a_sale_back() {
    let environment = Arc::new(TestEnvironment::new(7));
    let (shop, database) = stocked(environment.clone()).await;
    sold(&shop, "c").await;
    let before = cart_item(&database, "c");
    environment.advance(Duration::from_secs(1));
    // At another register: the number is of the lane that voids.
    let answered = shop.at("r-2", "undo", "void_order", void("c")).await.unwrap();
    let undone_by = answered.reply.result.order_id.clone().unwrap();
    let documents = [format!("{undone_by}.return_receipt"), format!("{undone_by}.merchant_copy")];
    assert_eq!(
        result(&answered),
        json!({"order_id": undone_by, "receipt_number": 1, "document_ids": documents, "refunds": [
            {"payment_id": "p-1", "tender": "card", "amount": gbp(300), "tip": gbp(50), "external_reference": "t-1"},
            {"payment_id": "p-2", "tender": "cash", "amount": gbp(478), "tip": gbp(0)},
        ]}),
        "also where no cart is shown, the till is told what to give back"
    );
    assert_eq!(answered.reply.consistency_token.as_deref(), Some("s-1/r-2:1"));
    let a = shop.counters(STORE, "A").await.unwrap();
    assert_eq!((a.on_hand, a.available, a.reserved), (100_000, 100_000, 0));

    let back = cart_of(&cart_item(&database, &undone_by)).unwrap();
    let sale = cart_of(&before).unwrap();
    let recorded_at = |cart: &Cart| cart.finalized.as_ref().unwrap().recorded_at;
    let after = cart_of(&cart_item(&database, "c")).unwrap();
    assert!(after.written_at > sale.written_at);
    assert_eq!(recorded_at(&after), recorded_at(&sale), "its documents are those of its sale for ever");
    let (were, are) = (sale_event(&shop.scope, &sale).unwrap(), sale_event(&shop.scope, &back).unwrap());
    let (were, are) = (were.detail.unwrap(), are.detail.unwrap());
    assert_eq!(are.lines, were.lines, "figures take back what they counted, discounts too");
    assert_eq!(are.payments, were.payments, "tips too");
    let lane = database.items(tillstream_app::database::Table::Orders);
    let lane = lane
        .iter()
        .find(|item| item.opt_text("sk") == Some("lane") && item.opt_text("register_id") == Some("r-2"));
    let totals = ["last", "returns", "returns_total", "cash_total"];
    assert_eq!(totals.map(|name| lane.unwrap().number(name).unwrap()), [1, 1, 778, -478]);

    // The order keeps its number, lines and payments; its new version is told once, and counted never.
    let after = cart_item(&database, "c");
    assert_eq!(told(&before, &after), (false, Some(2)));
    let undone = cart_of(&after).unwrap();
    assert_eq!(
        (&undone.lines, &undone.payments, &undone.charges),
        (&sale.lines, &sale.payments, &sale.charges)
    );
    assert_eq!(undone.finalized.as_ref().unwrap().number, sale.finalized.as_ref().unwrap().number);
    let read = order(&shop, "c").await;
    assert_eq!((&read["status"], &read["order_version"]), (&json!("voided"), &json!(2)));
    assert_eq!((&read["cancelled_by"], &read["undone_by"]), (&json!("e-7"), &json!(undone_by)));
    assert_eq!(
        read["refunds"],
        json!([{"tender": "card", "amount": gbp(300), "tip": gbp(50), "external_reference": "t-1"},
            {"tender": "cash", "amount": gbp(478), "tip": gbp(0)}])
    );
    let history: Vec<_> =
        read["history"].as_array().unwrap().iter().map(|h| (&h["status"], &h["reason"])).collect();
    assert_eq!(history, [(&json!("completed"), &Value::Null), (&json!("voided"), &json!("rung up twice"))]);
    let read = order(&shop, &undone_by).await;
    assert_eq!(
        (&read["kind"], &read["undoes"], &read["original_order_id"]),
        (&json!("return"), &json!("voided"), &json!("c"))
    );

    let again = shop.at("r-2", "undo", "void_order", void("c")).await.unwrap();
    assert!(again.replayed);
    assert_eq!(
        (result(&again), again.reply.consistency_token),
        (result(&answered), answered.reply.consistency_token)
    );
}

#[tokio::test]
async fn what_is_not_to_be_voided_stays() {
    let (shop, database) = shop().await;
    shop.store("s-2").await.unwrap();
    for id in ["c", "part", "gone"] {
        sold(&shop, id).await;
    }
    shop.ready("r-1", "open", &[("A", 1)]).await.unwrap();
    placed(&shop, "web", &[("A", 1)], json!([])).await.unwrap();
    let start = json!({"return_id": "back", "original_order_id": "part", "reason": "x"});
    shop.command("b1", "start_return", start).await.unwrap();
    let line = json!({"return_id": "back", "line_id": "l-2", "quantity": 1, "disposition": "restock"});
    shop.command("b2", "return_line_item", line).await.unwrap();
    let refund = json!({"return_id": "back", "tender": "cash", "amount": gbp(90)});
    shop.command("b3", "refund_tender", refund).await.unwrap();
    shop.command("b4", "finalize_return", json!({"return_id": "back"})).await.unwrap();
    shop.command("g", "void_order", void("gone")).await.unwrap();
    let begun = json!({"return_id": "late", "original_order_id": "c", "reason": "x"});
    shop.command("late", "start_return", begun).await.unwrap();
    let before = snapshot(&database);
    let manager = Role::StoreManager;
    let long = "x".repeat(201);
    for (role, payload, at, refused) in [
        (Role::Cashier, void("c"), TODAY, "approval_required"),
        (
            Role::Cashier,
            json!({"order_id": "c", "reason": "x", "approval_id": "a"}),
            TODAY,
            "approval_not_found",
        ),
        (Role::Analyst, void("c"), TODAY, "role_required"),
        (manager, json!({"order_id": "c", "reason": " "}), TODAY, "reason_required"),
        (manager, json!({"order_id": "c", "reason": long}), TODAY, "text_too_long"),
        (manager, json!({"order_id": "c"}), TODAY, "field_invalid"),
        (manager, void("a b"), TODAY, "id_malformed"),
        (manager, void("nothing"), TODAY, "order_not_found"),
        (manager, void("open"), TODAY, "order_not_final"),
        (manager, void("back"), TODAY, "order_not_final"),
        (manager, void("web"), "2026-03-02T09:00:00Z", "order_status_conflict"),
        (manager, void("part"), TODAY, "order_already_returned"),
        (manager, void("gone"), TODAY, "order_already_voided"),
        (manager, void("c"), "2010-12-02T00:00:00Z", "order_of_another_day"),
        (manager, void("c"), "2010-11-30T23:59:59Z", "order_of_another_day"),
    ] {
        let shown = format!("{role:?} {payload} {at}");
        let answer = sent(&shop, role, ("r-1", "bad"), ("void_order", payload), at).await;
        assert_eq!(code(answer), refused, "{shown}");
    }
    let mut elsewhere = tillstream_testkit::shop::envelope("s-2", "r-1", "bad", "void_order", void("c"));
    elsewhere["occurred_at"] = TODAY.into();
    let operator = tillstream_testkit::shop::caller("demo", &[Role::Operator]);
    let refused = tillstream_app::pos::execute::execute(&shop.ports, &operator, elsewhere).await;
    assert_eq!(code(refused), "order_of_another_store");
    let start = json!({"return_id": "none", "original_order_id": "gone", "reason": "x"});
    assert_eq!(code(shop.command("n", "start_return", start).await), "order_undone");
    let reused = json!({"order_id": "gone", "reason": "another"});
    assert_eq!(code(shop.command("g", "void_order", reused).await), "idempotency_key_reused");
    assert_eq!(snapshot(&database), before, "a refusal changed something");

    // The last moment of the day still is that day; and a return that was begun before comes too late.
    let answer = sent(&shop, manager, ("r-1", "k"), ("void_order", void("c")), "2010-12-01T23:59:59Z").await;
    answer.unwrap();
    let line = json!({"return_id": "late", "line_id": "l-1", "quantity": 1, "disposition": "restock"});
    shop.command("l2", "return_line_item", line).await.unwrap();
    let refund = json!({"return_id": "late", "tender": "cash", "amount": gbp(229)});
    let refund = shop.command("l3", "refund_tender", refund).await.unwrap();
    assert_eq!(refund.reply.cart.unwrap().totals.due.amount, 0);
    assert_eq!(
        code(shop.command("l4", "finalize_return", json!({"return_id": "late"})).await),
        "return_above_sold"
    );
}

/// Begins a return of `quantity` of the only line of `sale`, refunded by card; it is ready to finalise.
async fn begun(shop: &Shop, register: &str, id: &str, sale: &str, quantity: i64, refund: i64) {
    let start = json!({"return_id": id, "original_order_id": sale, "reason": "x"});
    shop.at(register, &format!("{id}-s"), "start_return", start).await.unwrap();
    let line = json!({"return_id": id, "line_id": "l-1", "quantity": quantity, "disposition": "restock"});
    shop.at(register, &format!("{id}-l"), "return_line_item", line).await.unwrap();
    let refund = json!({"return_id": id, "tender": "card", "amount": gbp(refund)});
    shop.at(register, &format!("{id}-r"), "refund_tender", refund).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_voids_and_returns_at_once_what_was_sold_comes_back_once() {
    let mut voided = 0;
    for round in 0..8 {
        let (shop, database) = busy_shop().await;
        shop.ready("r-1", "c", &[("A", 3)]).await.unwrap();
        shop.finalize("r-1", "c").await.unwrap();
        for n in 0..10 {
            begun(&shop, &format!("r-{}", n % 4 + 1), &format!("ret-{n}"), "c", 1, 255).await;
        }
        let tasks: Vec<_> = (0..20)
            .map(|n| {
                let shop = shop.clone();
                tokio::spawn(async move {
                    // Every other round all voids are on their way before the first return.
                    let (is_void, number) =
                        if round % 2 == 0 { (n < 10, n % 10) } else { (n % 2 == 1, n / 2) };
                    let register = format!("r-{}", number % 4 + 1);
                    let (action, payload) = match is_void {
                        true => ("void_order", void("c")),
                        false => ("finalize_return", json!({"return_id": format!("ret-{number}")})),
                    };
                    (action, code(shop.at(&register, &format!("end-{n}"), action, payload).await))
                })
            })
            .collect();
        let (mut voids, mut returns) = (0, 0);
        for task in tasks {
            match task.await.unwrap() {
                ("void_order", "done") => voids += 1,
                (_, "done") => returns += 1,
                ("void_order", refused) => {
                    assert!(
                        ["order_already_voided", "order_already_returned"].contains(&refused),
                        "{refused}"
                    );
                }
                (_, refused) => assert_eq!(refused, "return_above_sold"),
            }
        }
        assert!(matches!((voids, returns), (1, 0) | (0, 3)), "{voids} voids and {returns} returns");
        voided += voids;
        assert_eq!(shop.counters(STORE, "A").await.unwrap().on_hand, 100_000);
        let given: usize = (1..=4)
            .map(|n| {
                let given = numbers(&database, &format!("s-1/r-{n}"));
                assert_eq!(given, (1..).take(given.len()).collect::<Vec<i64>>(), "r-{n}");
                given.len()
            })
            .sum();
        assert_eq!(given, 1 + voids + returns);
    }
    assert!(voided > 0, "no void was ever first");
}

/// A hundred refunds of 0.60 each by the same card, of a payment of 1.00: one more would be too much.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_hundred_refunds_of_sixty_on_a_payment_of_a_hundred_one_succeeds() {
    let (shop, _) = busy_shop().await;
    shop.product(STORE, "HALF", "0.60", 500).await.unwrap();
    for (n, (action, payload)) in [
        ("create_cart", json!({"cart_id": "c"})),
        ("add_line_item", json!({"cart_id": "c", "sku": "HALF", "quantity": 200})),
        ("set_tendering", json!({"cart_id": "c"})),
        ("add_payment", json!({"cart_id": "c", "tender": "card", "amount": gbp(100)})),
        ("add_payment", json!({"cart_id": "c", "tender": "cash", "amount": gbp(12_000)})),
        ("finalize_order", json!({"cart_id": "c"})),
    ]
    .into_iter()
    .enumerate()
    {
        shop.command(&format!("k-{n}"), action, payload).await.unwrap();
    }
    for n in 0..100 {
        begun(&shop, &format!("r-{}", n % 4 + 1), &format!("ret-{n}"), "c", 1, 60).await;
    }
    let tasks: Vec<_> = (0..100)
        .map(|n| {
            let shop = shop.clone();
            tokio::spawn(async move {
                let register = format!("r-{}", n % 4 + 1);
                let payload = json!({"return_id": format!("ret-{n}")});
                loop {
                    match shop.at(&register, &format!("end-{n}"), "finalize_return", payload.clone()).await {
                        // A till sends again what could not be decided in time.
                        Err(tillstream_app::Error::Conflict(_)) => {}
                        answer => break code(answer),
                    }
                }
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        match task.await.unwrap() {
            "done" => done += 1,
            refused => assert!(["refund_above_paid", "return_outdated"].contains(&refused), "{refused}"),
        }
    }
    assert_eq!(done, 1);
    assert_eq!(code(shop.command("v", "void_order", void("c")).await), "order_already_returned");
    assert_eq!(
        order(&shop, "c").await["refunds"],
        json!([{"tender": "card", "amount": gbp(60), "tip": gbp(0)}])
    );
}

async fn long_sale(shop: &Shop, database: &Arc<MemoryDatabase>) {
    let skus: Vec<String> = (0..205).map(|n| format!("S-{n}")).collect();
    for sku in &skus {
        shop.product(STORE, sku, "1.00", 1).await.unwrap();
    }
    let lines: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 1)).collect();
    shop.ready("r-1", "c", &lines).await.unwrap();
    shop.finalize("r-1", "c").await.unwrap();
    assert!(database.items(tillstream_app::database::Table::Stock).len() >= 205);
}

async fn on_hand(shop: &Shop) -> i64 {
    let mut sum = 0;
    for n in 0..205 {
        sum += shop.counters(STORE, &format!("S-{n}")).await.unwrap().on_hand;
    }
    sum
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_long_sale_is_voided_once_by_twenty_at_once() {
    let (shop, database) = busy_shop().await;
    long_sale(&shop, &database).await;
    assert_eq!(on_hand(&shop).await, 0);
    begun(&shop, "r-4", "ret", "c", 1, 100).await;
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let shop = shop.clone();
            tokio::spawn(async move {
                // Pairs of the same command, and a return among them.
                let register = format!("r-{}", n / 2 % 3 + 1);
                let key = format!("end-{}", n / 2);
                if n == 19 {
                    return code(shop.at("r-4", "ret", "finalize_return", json!({"return_id": "ret"})).await);
                }
                loop {
                    match shop.at(&register, &key, "void_order", void("c")).await {
                        Err(tillstream_app::Error::Conflict(_)) => {}
                        answer => break code(answer),
                    }
                }
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        match task.await.unwrap() {
            "done" => done += 1,
            refused => assert!(
                ["order_already_voided", "order_already_returned", "return_above_sold"].contains(&refused),
                "{refused}"
            ),
        }
    }
    let back = on_hand(&shop).await;
    let status = order(&shop, "c").await["status"].clone();
    match status.as_str() {
        Some("voided") => assert!((1..=2).contains(&done) && back == 205_000, "{done} {back}"),
        _ => assert!(done == 1 && back == 1_000, "{done} {back}"),
    }
    for n in 1..=4 {
        let given = numbers(&database, &format!("s-1/r-{n}"));
        assert_eq!(given, (1..).take(given.len()).collect::<Vec<i64>>(), "r-{n}");
    }
}

/// Whoever voids a long sale may die at any step: recovery ends it, or the same command does.
#[tokio::test]
async fn a_long_void_is_ended_by_recovery() {
    for step in 1..=4 {
        let (shop, database) = shop().await;
        long_sale(&shop, &database).await;
        let dying = Arc::new(FaultyDatabase::new(database.clone()));
        dying.script(Operation::Transact, (0..step).map(|_| None).chain([Some(Fault::Freezes)]));
        let ports = Ports { database: dying.clone(), environment: shop.ports.environment.clone() };
        let dead = Shop { ports, scope: shop.scope.clone() };
        let task = tokio::spawn(async move { dead.at("r-2", "undo", "void_order", void("c")).await });
        while dying.injected().is_empty() {
            tokio::task::yield_now().await;
        }
        task.abort();
        let later = shop.ports.environment.now() + jiff::SignedDuration::from_secs(60);
        plan::recover(&shop.ports, later, 10, later + jiff::SignedDuration::from_secs(60)).await.unwrap();
        assert_eq!(on_hand(&shop).await, 205_000, "step {step}");
        assert_eq!(order(&shop, "c").await["status"], "voided");
        let answered = shop.at("r-2", "undo", "void_order", void("c")).await.unwrap();
        assert!(answered.replayed && answered.reply.result.receipt_number == Some(1));
        let undone_by = answered.reply.result.order_id.unwrap();
        assert_eq!(numbers(&database, "s-1/r-2"), [1]);
        assert_eq!(
            code(shop.at("r-2", "x", "void_return", json!({"return_id": undone_by})).await),
            "wrong_cart_state"
        );
    }
}

/// Between two steps of a long void no command of a till changes what is being done.
#[tokio::test]
async fn what_undoes_an_order_is_nobodys_to_change() {
    let (shop, database) = shop().await;
    long_sale(&shop, &database).await;
    let dying = Arc::new(FaultyDatabase::new(database.clone()));
    // The return is put, its plan is not.
    dying.fail_next(Operation::Transact, Fault::Freezes);
    let ports = Ports { database: dying.clone(), environment: shop.ports.environment.clone() };
    let dead = Shop { ports, scope: shop.scope.clone() };
    let task = tokio::spawn(async move { dead.at("r-2", "undo", "void_order", void("c")).await });
    while dying.injected().is_empty() {
        tokio::task::yield_now().await;
    }
    task.abort();
    let begun = database.items(tillstream_app::database::Table::Orders).into_iter();
    let begun = begun.filter(|item| item.opt_text("undoes").is_some()).collect::<Vec<_>>();
    let id = begun[0].text("cart_id").unwrap();
    let before = snapshot(&database);
    let line = json!({"return_id": id, "line_id": "l-1", "quantity": 1, "disposition": "none"});
    for (action, payload, refused) in [
        // It names no line that could come back.
        ("return_line_item", line, "line_not_found"),
        ("refund_tender", json!({"return_id": id, "tender": "card", "amount": gbp(1)}), "wrong_cart_state"),
        ("void_return", json!({"return_id": id}), "wrong_cart_state"),
        ("finalize_return", json!({"return_id": id}), "wrong_cart_state"),
    ] {
        assert_eq!(code(shop.at("r-2", "bad", action, payload).await), refused, "{action}");
    }
    assert_eq!(snapshot(&database), before);
    // Another void takes its place.
    let answered = shop.at("r-3", "other", "void_order", void("c")).await.unwrap();
    assert!(!answered.replayed);
    assert_eq!(on_hand(&shop).await, 205_000);
    assert_eq!(code(shop.at("r-2", "undo", "void_order", void("c")).await), "order_already_voided");
}
