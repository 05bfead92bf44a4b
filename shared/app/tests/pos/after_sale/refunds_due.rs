//! What is to be given back, or taken back, because a cart, a payment or a return is given up: the answer tells it,
//! again as often as it is asked, in an upload too, which shows no cart. Figures and headquarters never hear of it, as
//! they never heard of the payment.

use jiff::Timestamp;
use serde_json::{Value, json};
use tillstream_app::pos::batch;
use tillstream_app::pos::cart_item::cart_of;
use tillstream_app::tenancy::Role;
use tillstream_domain::cart::TAKEN_BACK_MAX;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop, caller, envelope};

use super::fixture::{cart_item, code, gbp, result, shop, snapshot, told};

/// A cart of 3 × 2.55 and 1 × 1.00: 3.00 of it by card with a tip, and 10.00 in cash, of which 4.35 is change.
async fn paid(shop: &Shop, id: &str) {
    for (n, (action, payload)) in [
        ("create_cart", json!({"cart_id": id})),
        ("add_line_item", json!({"cart_id": id, "sku": "A", "quantity": 3})),
        ("add_line_item", json!({"cart_id": id, "sku": "B", "quantity": 1})),
        ("set_tendering", json!({"cart_id": id})),
        ("add_payment", json!({"cart_id": id, "tender": "card", "amount": gbp(300), "tip": gbp(50), "external_reference": "t-1"})),
        ("add_payment", json!({"cart_id": id, "tender": "cash", "amount": gbp(1_000)})),
    ]
    .into_iter()
    .enumerate()
    {
        shop.command(&format!("{id}-{n}"), action, payload).await.unwrap();
    }
}

fn by_card() -> Value {
    json!({"payment_id": "p-1", "tender": "card", "amount": gbp(300), "tip": gbp(50), "external_reference": "t-1"})
}

fn in_cash(payment: &str, amount: i64) -> Value {
    json!({"payment_id": payment, "tender": "cash", "amount": gbp(amount), "tip": gbp(0)})
}

fn finals(database: &MemoryDatabase) -> usize {
    let orders = database.items(tillstream_app::database::Table::Orders);
    orders.iter().filter(|item| item.opt_number("lane_number").is_some()).count()
}

#[tokio::test]
async fn a_voided_cart_tells_what_to_give_back() {
    let (shop, database) = shop().await;
    shop.command("o", "open_till", json!({"shift_id": "sh", "amount": gbp(5_000)})).await.unwrap();
    let report = async |key: &str| {
        let asked = shop.command(key, "get_x_report", json!({"shift_id": "sh"})).await.unwrap();
        serde_json::to_value(asked.reply.result.shift.unwrap().report.unwrap()).unwrap()
    };
    let before = report("x-0").await;
    paid(&shop, "c").await;
    let open = cart_item(&database, "c");
    let void = json!({"cart_id": "c", "reason": "changed their mind"});
    let voided = shop.command("v", "void_cart", void.clone()).await.unwrap();
    assert_eq!(result(&voided), json!({"refunds": [by_card(), in_cash("p-2", 565)]}));
    let again = shop.command("v", "void_cart", void).await.unwrap();
    assert!(again.replayed);
    assert_eq!(result(&again), result(&voided));
    // Nobody was told of these payments, and nobody is told that they went back; the drawer has what it had.
    let after = cart_item(&database, "c");
    assert_eq!((told(&open, &after), finals(&database)), ((false, None), 0));
    let figures = |report: &Value| {
        let mut report = report.clone();
        report.as_object_mut().unwrap().retain(|name, _| !name.ends_with("_at") && name != "as_of");
        report
    };
    assert_eq!(figures(&report("x-1").await), figures(&before));
    let close = json!({"shift_id": "sh", "counted": gbp(5_000)});
    let closed = shop.command("z", "close_till", close).await.unwrap().reply.result.shift.unwrap();
    let report = serde_json::to_value(closed.report.unwrap()).unwrap();
    assert_eq!((&report["cash_difference"], &report["sales_count"]), (&gbp(0), &json!(0)));
    // Of a cart that nobody paid nothing is told.
    shop.command("n-1", "create_cart", json!({"cart_id": "n"})).await.unwrap();
    let nothing = shop.command("n-2", "void_cart", json!({"cart_id": "n"})).await.unwrap();
    assert_eq!(result(&nothing), json!({}));
}

#[tokio::test]
async fn a_payment_that_is_taken_back_tells_what_to_give_back() {
    let (shop, database) = shop().await;
    paid(&shop, "c").await;
    let remove = |payment: &str| json!({"cart_id": "c", "payment_id": payment});
    let removed = shop.command("k-2", "remove_payment", remove("p-2")).await.unwrap();
    assert_eq!(result(&removed), json!({"payment_id": "p-2", "refunds": [in_cash("p-2", 565)]}));
    let card = shop.command("k-1", "remove_payment", remove("p-1")).await.unwrap();
    assert_eq!(result(&card), json!({"payment_id": "p-1", "refunds": [by_card()]}));
    // Asked again, also when the sale is over, it is what it was.
    let pay = json!({"cart_id": "c", "tender": "cash", "amount": gbp(865)});
    shop.command("p-3", "add_payment", pay).await.unwrap();
    for _ in 0..2 {
        let again = shop.command("k-2", "remove_payment", remove("p-2")).await.unwrap();
        assert!(again.replayed);
        assert_eq!(result(&again), result(&removed));
        shop.finalize("r-1", "c").await.unwrap();
    }
    let order = cart_of(&cart_item(&database, "c")).unwrap();
    let kept = |paid: &[tillstream_domain::cart::Payment]| paid.iter().map(|p| p.number).collect::<Vec<_>>();
    assert_eq!((kept(&order.payments), kept(&order.course.taken_back)), (vec![3], vec![2, 1]));
}

/// It is kept what was taken back, so it is bounded; what is refused for that changes nothing, and the cart is voided.
#[tokio::test]
async fn a_cart_has_so_many_payments_taken_back() {
    let (shop, database) = shop().await;
    shop.command("o", "create_cart", json!({"cart_id": "c"})).await.unwrap();
    shop.command("l", "add_line_item", json!({"cart_id": "c", "sku": "B", "quantity": 1})).await.unwrap();
    shop.command("t", "set_tendering", json!({"cart_id": "c"})).await.unwrap();
    let pay = json!({"cart_id": "c", "tender": "cash", "amount": gbp(100)});
    for n in 1..=TAKEN_BACK_MAX {
        shop.command(&format!("p-{n}"), "add_payment", pay.clone()).await.unwrap();
        let remove = json!({"cart_id": "c", "payment_id": format!("p-{n}")});
        shop.command(&format!("r-{n}"), "remove_payment", remove).await.unwrap();
    }
    shop.command("last", "add_payment", pay).await.unwrap();
    let last = format!("p-{}", TAKEN_BACK_MAX + 1);
    let before = snapshot(&database);
    let refused = shop.command("x", "remove_payment", json!({"cart_id": "c", "payment_id": last})).await;
    assert_eq!((code(refused), snapshot(&database) == before), ("too_many_payments", true));
    let voided = shop.command("v", "void_cart", json!({"cart_id": "c"})).await.unwrap();
    assert_eq!(
        result(&voided),
        json!({"refunds": [in_cash(&last, 100)]}),
        "only what was not given back before"
    );
}

#[tokio::test]
async fn an_upload_tells_it_though_it_shows_no_cart() {
    let (shop, _) = shop().await;
    let script = [
        ("create_cart", json!({"cart_id": "c"})),
        ("add_line_item", json!({"cart_id": "c", "sku": "B", "quantity": 2})),
        ("set_tendering", json!({"cart_id": "c"})),
        ("add_payment", json!({"cart_id": "c", "tender": "cash", "amount": gbp(150)})),
        ("void_cart", json!({"cart_id": "c"})),
    ];
    let commands: Vec<Value> = (0..)
        .zip(script)
        .map(|(n, (action, payload))| envelope(STORE, "r-1", &format!("k-{n}"), action, payload))
        .collect();
    let who = caller("demo", &[Role::Operator]);
    let (outcomes, _) = batch::run(&shop.ports, &who, commands, Timestamp::MAX).await;
    let (_, last) = outcomes.into_iter().next_back().unwrap();
    assert_eq!(result(&last.unwrap()), json!({"refunds": [in_cash("p-1", 150)]}));
}

#[tokio::test]
async fn a_return_that_is_given_up_tells_what_to_take_back() {
    let (shop, _) = shop().await;
    shop.ready("r-1", "c", &[("A", 2)]).await.unwrap();
    shop.finalize("r-1", "c").await.unwrap();
    let start = json!({"return_id": "b", "original_order_id": "c", "reason": "x"});
    shop.command("b-1", "start_return", start).await.unwrap();
    let line = json!({"return_id": "b", "line_id": "l-1", "quantity": 1, "disposition": "restock"});
    shop.command("b-2", "return_line_item", line).await.unwrap();
    let refund = json!({"return_id": "b", "tender": "card", "amount": gbp(255), "external_reference": "t-9"});
    shop.command("b-3", "refund_tender", refund).await.unwrap();
    let voided = shop.command("b-4", "void_return", json!({"return_id": "b"})).await.unwrap();
    let back = json!({"payment_id": "p-1", "tender": "card", "amount": gbp(255), "tip": gbp(0), "external_reference": "t-9"});
    assert_eq!(result(&voided), json!({"to_take_back": [back]}));
}
