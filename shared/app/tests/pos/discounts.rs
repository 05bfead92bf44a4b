//! Manual discounts at the till: what they take off each line, in orders, returns, facts and messages.

use std::sync::Arc;

use serde_json::{Value, json};
use tillstream_app::database::{Consistency, Get, Item, Table};
use tillstream_app::dispatch::delivery::Delivery;
use tillstream_app::dispatch::message::order_message;
use tillstream_app::facts::sale_event;
use tillstream_app::pos::cart_item::cart_of;
use tillstream_app::pos::execute::{Answered, execute};
use tillstream_app::relay::handle;
use tillstream_app::tenancy::Role;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::memory_messaging::{MemoryQueue, MemoryStream};
use tillstream_testkit::shop::{STORE, Shop, caller, envelope};
use tillstream_testkit::test_environment::TestEnvironment;

fn gbp(amount: i64) -> Value {
    json!({"amount": amount, "currency": "GBP"})
}

async fn shop() -> (Shop, Arc<MemoryDatabase>) {
    let environment = Arc::new(TestEnvironment::new(7));
    let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    let shop = Shop::open(database.clone(), environment).await.unwrap();
    for (sku, price) in [("A", "2.55"), ("B", "1"), ("FREE", "0")] {
        shop.product(STORE, sku, price, 100).await.unwrap();
    }
    (shop, database)
}

/// A cart with 3 × 2.55 and 2 × 1.00: 9.65.
async fn cart(shop: &Shop, id: &str) {
    shop.command(&format!("{id}-open"), "create_cart", json!({"cart_id": id})).await.unwrap();
    for (sku, pieces) in [("A", 3), ("B", 2)] {
        let line = json!({"cart_id": id, "sku": sku, "quantity": pieces});
        shop.command(&format!("{id}-{sku}"), "add_line_item", line).await.unwrap();
    }
}

fn view(answered: &Answered) -> Value {
    serde_json::to_value(answered.reply.cart.as_ref().unwrap()).unwrap()
}

/// Of each line: before discounts, each discount, to be paid; of the cart: the same.
fn amounts(cart: &Value) -> Vec<(i64, Vec<i64>, i64)> {
    let amount = |of: &Value| of["amount"].as_i64().unwrap();
    let given =
        |of: &Value| of["discounts"].as_array().unwrap().iter().map(|d| amount(&d["amount"])).collect();
    let lines = cart["lines"].as_array().unwrap().iter();
    let mut all: Vec<_> =
        lines.map(|line| (amount(&line["subtotal"]), given(line), amount(&line["total"]))).collect();
    let totals = &cart["totals"];
    assert_eq!(
        all.iter().map(|(subtotal, _, total)| subtotal - total).sum::<i64>(),
        amount(&totals["discount"]),
        "{cart}"
    );
    all.push((amount(&totals["subtotal"]), given(cart), amount(&totals["total"])));
    all
}

#[tokio::test]
async fn a_discount_shows_on_every_line_that_bears_it() {
    let (shop, _) = shop().await;
    cart(&shop, "c").await;
    let tenth = json!({"cart_id": "c", "kind": "percent_cart", "value": 1_000, "reason": "regular"});
    let given = shop.command("d1", "apply_manual_discount", tenth.clone()).await.unwrap();
    assert_eq!(given.reply.result.discount_id.as_deref(), Some("d-1"));
    // A tenth of 9.65 is 0.97 (0.965 rounds up): 0.77 of it on 7.65, 0.20 on 2.00.
    assert_eq!(amounts(&view(&given)), [(765, vec![77], 688), (200, vec![20], 180), (965, vec![97], 868)]);
    assert_eq!(
        view(&given)["lines"][0]["discounts"][0],
        json!({"kind": "manual_discount", "id": "d-1", "name": "regular", "amount": gbp(77)})
    );
    // Amounts come after percentages, whenever they were given; a line's percentage before the cart's.
    let off =
        json!({"cart_id": "c", "kind": "fixed_line", "line_id": "l-2", "value": gbp(50), "reason": "dent"});
    shop.command("d2", "apply_manual_discount", off).await.unwrap();
    let half =
        json!({"cart_id": "c", "kind": "percent_line", "line_id": "l-2", "value": 5_000, "reason": "last"});
    let all = shop.command("d3", "apply_manual_discount", half).await.unwrap();
    // Line 2: half of 2.00, a tenth of all that is left (8.65: 0.87, of which 0.10), then 0.50.
    assert_eq!(
        amounts(&view(&all)),
        [(765, vec![77], 688), (200, vec![100, 10, 50], 40), (965, vec![100, 87, 50], 728)]
    );
    let again = shop.command("d1", "apply_manual_discount", tenth).await.unwrap();
    assert!(again.replayed);
    assert_eq!(view(&again), view(&all), "a repeated command gives nothing again");

    // What lines change, discounts follow; a line takes its own discounts with it.
    let more = json!({"cart_id": "c", "line_id": "l-1", "quantity": 1});
    let fewer = shop.command("u", "update_line_item", more).await.unwrap();
    assert_eq!(amounts(&view(&fewer))[0], (255, vec![26], 229));
    let gone =
        shop.command("r", "remove_line_item", json!({"cart_id": "c", "line_id": "l-2"})).await.unwrap();
    assert_eq!(amounts(&view(&gone)), [(255, vec![26], 229), (255, vec![26], 229)]);
    // What is more than all by now is all; what takes nothing off any more is still there to be taken back.
    let most = json!({"cart_id": "c", "kind": "fixed_cart", "value": gbp(229), "reason": "all"});
    shop.command("d4", "apply_manual_discount", most).await.unwrap();
    let less = json!({"cart_id": "c", "kind": "percent_cart", "value": 10_000, "reason": "gift"});
    let free = shop.command("d5", "apply_manual_discount", less).await.unwrap();
    assert_eq!(amounts(&view(&free)), [(255, vec![26, 229], 0), (255, vec![26, 229, 0], 0)]);
    for id in ["d-5", "d-4"] {
        let back = json!({"cart_id": "c", "discount_id": id});
        shop.command(id, "remove_manual_discount", back).await.unwrap();
    }
    let none = json!({"cart_id": "c", "discount_id": "d-1"});
    let none = shop.command("x", "remove_manual_discount", none).await.unwrap();
    assert_eq!(none.reply.result.discount_id.as_deref(), Some("d-1"));
    assert_eq!(amounts(&view(&none)), [(255, vec![], 255), (255, vec![], 255)]);
}

#[tokio::test]
async fn the_order_of_commands_changes_no_amount() {
    let (shop, _) = shop().await;
    let discounts = [
        ("percent_cart", json!(50), None),
        ("percent_cart", json!(500), None),
        ("fixed_cart", gbp(33), None),
        ("percent_line", json!(3_333), Some("l-1")),
    ];
    let mut seen = Vec::new();
    for turn in 0..discounts.len() {
        let id = format!("c-{turn}");
        cart(&shop, &id).await;
        let mut last = Value::Null;
        for at in 0..discounts.len() {
            let (kind, value, line) = &discounts[(turn + at * 3) % discounts.len()];
            let mut payload = json!({"cart_id": id, "kind": kind, "value": value, "reason": "x"});
            if let Some(line) = line {
                payload["line_id"] = json!(line);
            }
            let given = shop.command(&format!("{id}-{at}"), "apply_manual_discount", payload).await.unwrap();
            last = view(&given);
        }
        let totals = |(gross, _, total): &(i64, Vec<i64>, i64)| (*gross, *total);
        seen.push(amounts(&last).iter().map(totals).collect::<Vec<_>>());
    }
    assert!(seen.iter().all(|amounts| *amounts == seen[0]), "{seen:?}");
}

#[tokio::test]
async fn what_no_discount_may_be_is_refused_and_changes_nothing() {
    let (shop, database) = shop().await;
    cart(&shop, "c").await;
    let free = json!({"cart_id": "c", "sku": "FREE", "quantity": 1});
    shop.command("free", "add_line_item", free).await.unwrap();
    let before = database.items(Table::Orders);
    let long = "x".repeat(201);
    for (kind, value, line, reason, code) in [
        ("fixed_cart", gbp(966), None, "x", "discount_above_total"),
        ("fixed_line", gbp(201), Some("l-2"), "x", "discount_above_total"),
        ("fixed_line", gbp(1), Some("l-3"), "x", "discount_takes_nothing_off"),
        ("percent_line", json!(1), Some("l-2"), "x", "discount_takes_nothing_off"),
        ("percent_cart", json!(0), None, "x", "discount_value_invalid"),
        ("percent_cart", json!(10_001), None, "x", "discount_value_invalid"),
        ("percent_cart", gbp(10), None, "x", "discount_value_invalid"),
        ("fixed_cart", json!(10), None, "x", "discount_value_invalid"),
        ("fixed_cart", gbp(0), None, "x", "discount_value_invalid"),
        ("fixed_cart", gbp(-5), None, "x", "discount_value_invalid"),
        ("fixed_cart", json!({"amount": 5, "currency": "EUR"}), None, "x", "currency_mismatch"),
        ("percent_cart", json!(-1), None, "x", "field_invalid"),
        ("percent_cart", json!("10"), None, "x", "field_invalid"),
        ("half", json!(10), None, "x", "field_invalid"),
        ("percent_line", json!(10), None, "x", "line_required"),
        ("percent_line", json!(10), Some("l-9"), "x", "line_not_found"),
        ("percent_cart", json!(10), Some("l-1"), "x", "line_not_expected"),
        ("percent_cart", json!(10), None, " ", "reason_required"),
        ("percent_cart", json!(10), None, &long, "text_too_long"),
        ("percent_cart", json!(10), None, "4111111111111111", "card_number_refused"),
    ] {
        let mut payload = json!({"cart_id": "c", "kind": kind, "value": value, "reason": reason});
        if let Some(line) = line {
            payload["line_id"] = json!(line);
        }
        let error = shop.command("k", "apply_manual_discount", payload.clone()).await.unwrap_err();
        assert_eq!(error.code(), Some(code), "{payload}");
    }
    let gone = json!({"cart_id": "c", "discount_id": "d-1"});
    let error = shop.command("k", "remove_manual_discount", gone).await.unwrap_err();
    assert_eq!(error.code(), Some("discount_not_found"));
    let payload = json!({"cart_id": "c", "kind": "percent_cart", "value": 1_000, "reason": "x"});
    for (approval, code) in [(None, "approval_required"), (Some("a-1"), "approval_not_found")] {
        let mut payload = payload.clone();
        payload["approval_id"] = json!(approval);
        let sent = envelope(STORE, "r-1", "k", "apply_manual_discount", payload);
        let error = execute(&shop.ports, &caller("demo", &[Role::Cashier]), sent).await.unwrap_err();
        assert_eq!(error.code(), Some(code));
    }
    assert_eq!(database.items(Table::Orders), before);

    for number in 0..20 {
        let one = json!({"cart_id": "c", "kind": "percent_cart", "value": 100, "reason": "x"});
        shop.command(&format!("n-{number}"), "apply_manual_discount", one).await.unwrap();
    }
    let error = shop.command("k", "apply_manual_discount", payload.clone()).await.unwrap_err();
    assert_eq!(error.code(), Some("too_many_discounts"));
    shop.command("t", "set_tendering", json!({"cart_id": "c"})).await.unwrap();
    for (action, payload) in [
        ("apply_manual_discount", payload),
        ("remove_manual_discount", json!({"cart_id": "c", "discount_id": "d-1"})),
    ] {
        let error = shop.command("k", action, payload).await.unwrap_err();
        assert_eq!(error.code(), Some("wrong_cart_state"));
    }
}

/// Sells the cart of [`cart`] with a discount of 1.11 and 5 %, paid in cash.
async fn sold(shop: &Shop) {
    cart(shop, "c").await;
    for (key, kind, value) in [("d1", "fixed_cart", gbp(111)), ("d2", "percent_cart", json!(500))] {
        let payload = json!({"cart_id": "c", "kind": kind, "value": value, "reason": "regular"});
        shop.command(key, "apply_manual_discount", payload).await.unwrap();
    }
    shop.command("t", "set_tendering", json!({"cart_id": "c"})).await.unwrap();
    // 9.65 less 0.48 less 1.11.
    let pay = json!({"cart_id": "c", "tender": "cash", "amount": gbp(1_000)});
    let paid = shop.command("p", "add_payment", pay).await.unwrap();
    assert_eq!(paid.reply.result.change.unwrap().amount, 1_000 - 806);
    shop.finalize("r-1", "c").await.unwrap();
}

#[tokio::test]
async fn a_discount_is_counted_and_told_to_headquarters() {
    let (shop, database) = shop().await;
    sold(&shop).await;
    let key = shop.scope.cart("c");
    let get = Get { table: Table::Orders, key, consistency: Consistency::Strong };
    let item: Item = shop.ports.database.get(get).await.unwrap().unwrap();
    assert_eq!(item.number("total").unwrap(), 806);
    let order = cart_of(&item).unwrap();
    let detail = sale_event(&shop.scope, &order).unwrap().detail.unwrap();
    let gross: Vec<i64> = detail.lines.iter().map(|line| line.gross).collect();
    let discount: Vec<i64> = detail.lines.iter().map(|line| line.discount).collect();
    // 0.48 of 7.65 and 2.00: 0.38 and 0.10; then 1.11 of 7.27 and 1.90: 0.88 and 0.23.
    assert_eq!((gross, discount), (vec![765, 200], vec![126, 33]));

    let environment = shop.ports.environment.clone();
    let (stream, queue) = (MemoryStream::new(1, environment.clone()), MemoryQueue::new(environment));
    assert!(handle(&shop.ports, &stream, &queue, &[(None, Some(&item))]).await.is_empty());
    let mut delivery =
        database.items(Table::Dispatch).into_iter().filter_map(|item| Delivery::of(&item).ok());
    let delivery = delivery.next().unwrap();
    let message = serde_json::to_value(order_message(&delivery, &order).unwrap()).unwrap();
    let given = |id: &str, amount: i64| json!({"kind": "manual_discount", "id": id, "name": "regular", "amount": gbp(amount)});
    assert_eq!(message["lines"][0]["discounts"], json!([given("d-2", 38), given("d-1", 88)]));
    assert_eq!(message["lines"][1]["discounts"], json!([given("d-2", 10), given("d-1", 23)]));
    assert_eq!((&message["totals"]["discount"], &message["totals"]["total"]), (&gbp(159), &gbp(806)));
}

/// Piece by piece, a discounted sale is worth what was paid for it, and no more is refunded.
#[tokio::test]
async fn what_comes_back_is_worth_what_was_paid_for_it() {
    let (shop, _) = shop().await;
    sold(&shop).await;
    let (mut refunded, mut given) = (0, Vec::new());
    for (n, line) in ["l-1", "l-2", "l-1", "l-2", "l-1"].into_iter().enumerate() {
        let id = format!("back-{n}");
        let start = json!({"return_id": id, "original_order_id": "c", "reason": "x"});
        shop.command(&format!("s{n}"), "start_return", start).await.unwrap();
        let back = json!({"return_id": id, "line_id": line, "quantity": 1, "disposition": "restock"});
        let cart = view(&shop.command(&format!("l{n}"), "return_line_item", back).await.unwrap());
        let worth = cart["totals"]["total"]["amount"].as_i64().unwrap();
        let refund = |amount: i64| json!({"return_id": id, "tender": "cash", "amount": gbp(amount)});
        let error = shop.command(&format!("x{n}"), "refund_tender", refund(worth + 1)).await.unwrap_err();
        assert_eq!(error.code(), Some("overpaid"));
        shop.command(&format!("r{n}"), "refund_tender", refund(worth)).await.unwrap();
        shop.command(&format!("f{n}"), "finalize_return", json!({"return_id": id})).await.unwrap();
        refunded += worth;
        given.push(amounts(&cart));
    }
    // Of line 1 there is 6.39 left of 7.65 (0.38 and 0.88 off), of line 2 there is 1.67 of 2.00.
    assert_eq!(refunded, 806, "{given:?}");
    assert_eq!(given[0][0], (213 + 13 + 29, vec![13, 29], 213));
    assert_eq!(given[1][0], (84 + 5 + 12, vec![5, 12], 84));
}
