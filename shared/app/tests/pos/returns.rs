//! Returns at the till: no more comes back than was sold, no more is refunded than was paid.

use std::sync::Arc;

use serde_json::{Value, json};
use tillstream_app::Ports;
use tillstream_app::capacity::{CapacityMeter, Operation};
use tillstream_app::database::Table;
use tillstream_app::environment::Environment;
use tillstream_app::pos::execute::Answered;
use tillstream_testkit::faults::{Fault, FaultyDatabase};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop};
use tillstream_testkit::test_environment::TestEnvironment;

async fn shop() -> (Shop, Arc<MemoryDatabase>) {
    let environment: Arc<dyn Environment> = Arc::new(TestEnvironment::real(7));
    let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    let shop = Shop::open(database.clone(), environment).await.unwrap();
    shop.product(STORE, "A", "2.55", 100).await.unwrap();
    (shop, database)
}

fn result(answered: &Answered) -> Value {
    serde_json::to_value(&answered.reply.result).unwrap()
}

/// What each kind of command tells of itself, and what the register's running totals say afterwards.
#[tokio::test]
async fn a_return_from_start_to_refund() {
    let (shop, database) = shop().await;
    let gbp = |amount: i64| json!({"amount": amount, "currency": "GBP"});
    let line = json!({"return_id": "back", "line_id": "l-1", "quantity": 1, "disposition": "damaged"});
    let script = [
        ("create_cart", json!({"cart_id": "c"}), json!({"cart_id": "c"})),
        ("add_line_item", json!({"cart_id": "c", "sku": "A", "quantity": 3}), json!({"line_id": "l-1"})),
        ("set_tendering", json!({"cart_id": "c"}), json!({})),
        (
            "add_payment",
            json!({"cart_id": "c", "tender": "card", "amount": gbp(65)}),
            json!({"payment_id": "p-1", "change": gbp(0)}),
        ),
        (
            "add_payment",
            json!({"cart_id": "c", "tender": "cash", "amount": gbp(1_000)}),
            json!({"payment_id": "p-2", "change": gbp(300)}),
        ),
        (
            "finalize_order",
            json!({"cart_id": "c"}),
            json!({"order_id": "c", "receipt_number": 1,
                "document_ids": ["c.receipt", "c.gift_receipt", "c.merchant_copy", "c.kitchen_chit"]}),
        ),
        (
            "start_return",
            json!({"return_id": "back", "original_order_id": "c", "reason": "broken"}),
            json!({"return_id": "back"}),
        ),
        ("return_line_item", line, json!({"line_id": "l-1"})),
        (
            "refund_tender",
            json!({"return_id": "back", "tender": "cash", "amount": gbp(255)}),
            json!({"payment_id": "p-1"}),
        ),
        (
            "finalize_return",
            json!({"return_id": "back"}),
            json!({"order_id": "back", "receipt_number": 2,
                "document_ids": ["back.return_receipt", "back.merchant_copy"]}),
        ),
    ];
    for (n, (action, payload, expected)) in script.into_iter().enumerate() {
        let answered = shop.command(&format!("key-{n}"), action, payload).await.unwrap();
        assert_eq!(result(&answered), expected, "{action}");
        let token =
            (action.starts_with("finalize")).then(|| format!("s-1/r-1:{}", expected["receipt_number"]));
        assert_eq!(answered.reply.consistency_token, token, "{action}");
        assert_eq!(answered.reply.action, action);
    }
    let lane =
        database.items(Table::Orders).into_iter().find(|item| item.opt_text("sk") == Some("lane")).unwrap();
    let totals = ["last", "sales", "sales_total", "returns", "returns_total", "cash_total"];
    assert_eq!(totals.map(|name| lane.number(name).unwrap()), [2, 1, 765, 1, 255, 700 - 255]);
    let a = shop.counters(STORE, "A").await.unwrap();
    assert_eq!(
        (a.on_hand, a.available, a.damaged),
        (97_000, 97_000, 1_000),
        "what is broken is not sold again"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_returns_of_one_line_at_once_bring_back_what_was_sold() {
    let (shop, _) = shop().await;
    shop.ready("r-1", "c-1", &[("A", 3)]).await.unwrap();
    shop.finalize("r-1", "c-1").await.unwrap();
    // At different registers, so that no lane keeps them apart.
    let register = |n: usize| format!("r-{}", n % 4 + 1);
    for n in 0..20 {
        let id = format!("ret-{n}");
        let start = json!({"return_id": id, "original_order_id": "c-1", "reason": "x"});
        shop.at(&register(n), &format!("s{n}"), "start_return", start).await.unwrap();
        let line = json!({"return_id": id, "line_id": "l-1", "quantity": 1, "disposition": "restock"});
        shop.at(&register(n), &format!("l{n}"), "return_line_item", line).await.unwrap();
        let refund = json!({"return_id": id, "tender": "card", "amount": {"amount": 255, "currency": "GBP"}});
        shop.at(&register(n), &format!("f{n}"), "refund_tender", refund).await.unwrap();
    }
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let shop = shop.clone();
            tokio::spawn(async move {
                let payload = json!({"return_id": format!("ret-{n}")});
                shop.at(&register(n), &format!("done{n}"), "finalize_return", payload).await
            })
        })
        .collect();
    let mut returned = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => returned += 1,
            Err(error) => assert_eq!(error.code(), Some("return_above_sold")),
        }
    }
    assert_eq!(returned, 3);
    assert_eq!(shop.counters(STORE, "A").await.unwrap().on_hand, 100_000);
}

/// The repetition read the cart before its twin made it final, and what came back after: it must not
/// hold its own return against itself.
#[tokio::test]
async fn a_return_is_not_held_against_its_own_repetition() {
    let (shop, database) = shop().await;
    shop.ready("r-1", "c-1", &[("A", 1)]).await.unwrap();
    shop.finalize("r-1", "c-1").await.unwrap();
    let start = json!({"return_id": "back", "original_order_id": "c-1", "reason": "x"});
    shop.command("s", "start_return", start).await.unwrap();
    let line = json!({"return_id": "back", "line_id": "l-1", "quantity": 1, "disposition": "restock"});
    shop.command("l", "return_line_item", line).await.unwrap();
    let refund = json!({"return_id": "back", "tender": "card", "amount": {"amount": 255, "currency": "GBP"}});
    shop.command("f", "refund_tender", refund).await.unwrap();
    let frozen = Arc::new(FaultyDatabase::new(database));
    frozen.fail_next(Operation::Get, Fault::Freezes);
    let ports = Ports { database: frozen.clone(), environment: shop.ports.environment.clone() };
    let late = Shop { ports, scope: shop.scope.clone() };
    let finalize = json!({"return_id": "back"});
    let payload = finalize.clone();
    let task = tokio::spawn(async move { late.command("done", "finalize_return", payload).await });
    while frozen.injected().is_empty() {
        tokio::task::yield_now().await;
    }
    let first = shop.command("done", "finalize_return", finalize).await.unwrap();
    frozen.thaw();
    let second = task.await.unwrap().unwrap();
    assert_eq!((first.replayed, second.replayed), (false, true));
    assert_eq!(result(&first), result(&second));
}

/// Two returns of the last unit at two registers, the second decided on what it read before the first.
#[tokio::test]
async fn what_came_back_meanwhile_is_not_taken_back_again() {
    let (shop, database) = shop().await;
    shop.ready("r-1", "c-1", &[("A", 2)]).await.unwrap();
    shop.finalize("r-1", "c-1").await.unwrap();
    for (register, id) in [("r-1", "first"), ("r-2", "late"), ("r-3", "quick")] {
        let start = json!({"return_id": id, "original_order_id": "c-1", "reason": "x"});
        shop.at(register, &format!("s-{id}"), "start_return", start).await.unwrap();
        let line = json!({"return_id": id, "line_id": "l-1", "quantity": 1, "disposition": "restock"});
        shop.at(register, &format!("l-{id}"), "return_line_item", line).await.unwrap();
        let refund = json!({"return_id": id, "tender": "card", "amount": {"amount": 255, "currency": "GBP"}});
        shop.at(register, &format!("f-{id}"), "refund_tender", refund).await.unwrap();
    }
    shop.at("r-1", "done-first", "finalize_return", json!({"return_id": "first"})).await.unwrap();
    let frozen = Arc::new(FaultyDatabase::new(database));
    frozen.fail_next(Operation::Transact, Fault::Freezes);
    let ports = Ports { database: frozen.clone(), environment: shop.ports.environment.clone() };
    let late = Shop { ports, scope: shop.scope.clone() };
    let task = tokio::spawn(async move {
        late.at("r-2", "done-late", "finalize_return", json!({"return_id": "late"})).await
    });
    while frozen.injected().is_empty() {
        tokio::task::yield_now().await;
    }
    shop.at("r-3", "done-quick", "finalize_return", json!({"return_id": "quick"})).await.unwrap();
    frozen.thaw();
    assert_eq!(task.await.unwrap().unwrap_err().code(), Some("return_above_sold"));
    assert_eq!(shop.counters(STORE, "A").await.unwrap().on_hand, 100_000);
}

/// What earlier returns refunded is taken off what a tender of the sale was paid.
#[tokio::test]
async fn no_more_is_refunded_to_a_tender_than_it_paid() {
    let (shop, _) = shop().await;
    let gbp = |amount: i64| json!({"amount": amount, "currency": "GBP"});
    shop.command("1", "create_cart", json!({"cart_id": "c"})).await.unwrap();
    shop.command("2", "add_line_item", json!({"cart_id": "c", "sku": "A", "quantity": 3})).await.unwrap();
    shop.command("3", "set_tendering", json!({"cart_id": "c"})).await.unwrap();
    for (key, tender, amount) in [("4", "card", 300), ("5", "cash", 500)] {
        let payment = json!({"cart_id": "c", "tender": tender, "amount": gbp(amount)});
        shop.command(key, "add_payment", payment).await.unwrap();
    }
    // Of 500 in cash 35 were change: 465 were paid so.
    shop.finalize("r-1", "c").await.unwrap();
    for (id, refused) in [("first", None), ("second", Some("refund_above_paid"))] {
        let send = |action: &'static str, payload: Value| {
            let (shop, key) = (shop.clone(), format!("{id}-{action}"));
            async move { shop.command(&key, action, payload).await }
        };
        let start = json!({"return_id": id, "original_order_id": "c", "reason": "x"});
        send("start_return", start).await.unwrap();
        let line = json!({"return_id": id, "line_id": "l-1", "quantity": 1, "disposition": "restock"});
        send("return_line_item", line).await.unwrap();
        let refund = json!({"return_id": id, "tender": "cash", "amount": gbp(255)});
        let refund = send("refund_tender", refund).await;
        assert_eq!(refund.err().and_then(|error| error.code()), refused, "{id}");
        if refused.is_none() {
            send("finalize_return", json!({"return_id": id})).await.unwrap();
        }
    }
}

/// A transaction takes a hundred actions: an order of as many SKUs as fit beside itself and its number is
/// one, with one more it is a plan.
#[tokio::test]
async fn a_sale_of_98_skus_is_one_transaction_and_a_return_of_97() {
    let meter = Arc::new(CapacityMeter::default());
    let environment = Arc::new(TestEnvironment::new(7));
    let database = MemoryDatabase::with_environment(environment.clone()).observed_by(meter.clone());
    let shop = Shop::open(Arc::new(database), environment).await.unwrap();
    let skus: Vec<String> = (0..99).map(|n| format!("S-{n}")).collect();
    for sku in &skus {
        shop.product(STORE, sku, "1.00", 2).await.unwrap();
    }
    for (cart, count, is_one) in [("fits", 98, true), ("long", 99, false)] {
        let lines: Vec<(&str, i64)> = skus.iter().take(count).map(|sku| (sku.as_str(), 1)).collect();
        shop.ready("r-1", cart, &lines).await.unwrap();
        meter.take();
        shop.finalize("r-1", cart).await.unwrap();
        let transactions = meter.take().calls.get(&Operation::Transact).copied();
        assert_eq!(transactions == Some(1), is_one, "{cart}: {transactions:?}");
        // What came back of the sale is an action more.
        let (id, mut keys) = (format!("{cart}-back"), 0..);
        let mut send = async |action: &'static str, payload: Value| {
            let key = format!("{id}-{}", keys.next().unwrap());
            shop.command(&key, action, payload).await.unwrap()
        };
        let start = json!({"return_id": id, "original_order_id": cart, "reason": "x"});
        send("start_return", start).await;
        let back = count - usize::from(is_one);
        for n in 1..=back {
            let line_id = format!("l-{n}");
            let line = json!({"return_id": id, "line_id": line_id, "quantity": 1, "disposition": "restock"});
            send("return_line_item", line).await;
        }
        let refund = json!({"amount": back * 100, "currency": "GBP"});
        send("refund_tender", json!({"return_id": id, "tender": "card", "amount": refund})).await;
        meter.take();
        send("finalize_return", json!({"return_id": id})).await;
        let transactions = meter.take().calls.get(&Operation::Transact).copied();
        assert_eq!(transactions == Some(1), is_one, "{cart} back: {transactions:?}");
    }
}

/// A return of more lines than a transaction takes holds what comes back by a plan: what came back another way
/// meanwhile ends the plan, and is the reason that is told.
#[tokio::test]
async fn a_long_return_is_refused_for_what_came_back_meanwhile() {
    let (shop, database) = shop().await;
    let skus: Vec<String> = (0..99).map(|n| format!("S-{n}")).collect();
    for sku in &skus {
        shop.product(STORE, sku, "1.00", 1).await.unwrap();
    }
    let lines: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 1)).collect();
    shop.ready("r-1", "c", &lines).await.unwrap();
    shop.finalize("r-1", "c").await.unwrap();
    for (register, id, count) in [("r-1", "long", 99), ("r-2", "quick", 1)] {
        let start = json!({"return_id": id, "original_order_id": "c", "reason": "x"});
        shop.at(register, &format!("{id}-s"), "start_return", start).await.unwrap();
        for n in 1..=count {
            let line_id = format!("l-{n}");
            let line = json!({"return_id": id, "line_id": line_id, "quantity": 1, "disposition": "restock"});
            shop.at(register, &format!("{id}-{n}"), "return_line_item", line).await.unwrap();
        }
        let amount = json!({"amount": count * 100, "currency": "GBP"});
        let refund = json!({"return_id": id, "tender": "card", "amount": amount});
        shop.at(register, &format!("{id}-f"), "refund_tender", refund).await.unwrap();
    }
    let frozen = Arc::new(FaultyDatabase::new(database));
    // The plan is put; its first chunk waits.
    frozen.script(Operation::Transact, [None, Some(Fault::Freezes)]);
    let ports = Ports { database: frozen.clone(), environment: shop.ports.environment.clone() };
    let late = Shop { ports, scope: shop.scope.clone() };
    let task =
        tokio::spawn(
            async move { late.at("r-1", "end", "finalize_return", json!({"return_id": "long"})).await },
        );
    while frozen.injected().is_empty() {
        tokio::task::yield_now().await;
    }
    shop.at("r-2", "end", "finalize_return", json!({"return_id": "quick"})).await.unwrap();
    frozen.thaw();
    assert_eq!(task.await.unwrap().unwrap_err().code(), Some("return_above_sold"));
    assert_eq!(shop.counters(STORE, "S-0").await.unwrap().on_hand, 1_000);
    assert_eq!(shop.counters(STORE, "S-1").await.unwrap().on_hand, 0);
}

/// Two tenders paid the sale, so that what was sold would bear three of these returns, and the card only one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_hundred_refunds_of_60_at_once_a_payment_of_100_bears_one() {
    let (shop, _) = shop().await;
    shop.product(STORE, "POUND", "1.00", 500).await.unwrap();
    let gbp = |amount: i64| json!({"amount": amount, "currency": "GBP"});
    let register = |n: usize| format!("r-{}", n % 4 + 1);
    shop.command("o", "create_cart", json!({"cart_id": "c-2"})).await.unwrap();
    let line = json!({"cart_id": "c-2", "sku": "POUND", "quantity": 200});
    shop.command("l", "add_line_item", line).await.unwrap();
    shop.command("t", "set_tendering", json!({"cart_id": "c-2"})).await.unwrap();
    for (key, tender) in [("p1", "card"), ("p2", "cash")] {
        let pay = json!({"cart_id": "c-2", "tender": tender, "amount": gbp(10_000)});
        shop.command(key, "add_payment", pay).await.unwrap();
    }
    shop.command("f", "finalize_order", json!({"cart_id": "c-2"})).await.unwrap();
    for n in 0..100 {
        let id = format!("ret-{n}");
        let start = json!({"return_id": id, "original_order_id": "c-2", "reason": "x"});
        shop.at(&register(n), &format!("s{n}"), "start_return", start).await.unwrap();
        let line = json!({"return_id": id, "line_id": "l-1", "quantity": 60, "disposition": "none"});
        shop.at(&register(n), &format!("l{n}"), "return_line_item", line).await.unwrap();
        let refund = json!({"return_id": id, "tender": "card", "amount": gbp(6_000)});
        shop.at(&register(n), &format!("f{n}"), "refund_tender", refund).await.unwrap();
    }
    let tasks: Vec<_> = (0..100)
        .map(|n| {
            let (shop, register) = (shop.clone(), register(n));
            tokio::spawn(async move {
                let payload = json!({"return_id": format!("ret-{n}")});
                shop.at(&register, &format!("done{n}"), "finalize_return", payload).await
            })
        })
        .collect();
    let mut refunded = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => refunded += 1,
            Err(error) => assert_eq!(error.code(), Some("refund_above_paid")),
        }
    }
    assert_eq!(refunded, 1);
}
