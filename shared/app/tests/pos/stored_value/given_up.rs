//! What is given back by hand of a sale that is given up is not what was to be taken from a balance: it never was.

use serde_json::{Value, json};
use tillstream_app::pos::execute::Answered;

use super::fixture::{CARD, gbp, pay, payment, sell, tendering, world};

fn result(answered: &Answered) -> Value {
    serde_json::to_value(&answered.reply.result).unwrap()
}

#[tokio::test]
async fn a_gift_card_that_was_not_taken_from_is_not_given_back() {
    let world = world().await;
    let shop = &world.shop;
    world.issue(CARD, 300).await;
    tendering(shop, "r-1", "c", 10).await;
    pay(shop, "r-1", "c", 40, CARD).await.unwrap();
    shop.command("card", "add_payment", payment("c", "card", 60, None)).await.unwrap();
    let by_card = |id: &str| json!({"payment_id": id, "tender": "card", "amount": gbp(60), "tip": gbp(0)});
    let voided = shop.command("v", "void_cart", json!({"cart_id": "c"})).await.unwrap();
    assert_eq!(result(&voided), json!({"refunds": [by_card("p-2")]}));
    assert_eq!(world.balance(CARD), 300);

    tendering(shop, "r-1", "d", 10).await;
    pay(shop, "r-1", "d", 40, CARD).await.unwrap();
    let removed =
        shop.command("off", "remove_payment", json!({"cart_id": "d", "payment_id": "p-1"})).await.unwrap();
    assert_eq!(result(&removed), json!({"payment_id": "p-1"}));

    // What was taken is put back by itself when the sale is undone.
    sell(shop, "r-1", "e", 10, CARD).await.unwrap();
    assert_eq!(world.balance(CARD), 200);
    let void = json!({"order_id": "e", "reason": "x"});
    let undone = shop.command("u", "void_order", void).await.unwrap();
    assert_eq!((undone.reply.result.refunds, world.balance(CARD)), (None, 300));
}
