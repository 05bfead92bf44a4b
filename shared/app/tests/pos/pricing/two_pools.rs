//! Buy some of one choice of products, get some of another for less: at the till, limited, and brought back.

use super::*;

/// For every two of A one of B for less.
fn gift(bps: u32) -> Value {
    let pool = |sku: &str, quantity: u32| json!({"selector": {"skus": [sku]}, "quantity": quantity});
    json!({"benefit": {"buy_get_other": {"buy": pool("A", 2), "get": pool("B", 1), "bps": bps}}})
}

fn with(mut promotion: Value, more: Value) -> Value {
    promotion.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    promotion
}

/// What lines say is taken off them, in their order.
fn off(cart: &Value) -> Vec<i64> {
    let discounts = |line: &Value| {
        line["discounts"].as_array().unwrap().iter().map(|one| amount(&one["amount"])).sum::<i64>()
    };
    cart["lines"].as_array().unwrap().iter().map(discounts).collect()
}

#[tokio::test]
async fn a_gift_comes_with_every_two() {
    let world = World::open().await;
    world.promotion("gift", gift(10_000)).await;
    let cart = world.cart("c", &[("A", 3), ("B", 1)]).await;
    assert_eq!(off(&cart), [0, 100]);
    assert_eq!(
        cart["lines"][1]["discounts"],
        json!([{"kind": "promotion", "id": "gift", "name": "gift", "amount": gbp(100)}])
    );
    // A fourth earns another, as soon as it is there.
    let four = world.send("c", "update_line_item", json!({"line_id": "l-1", "quantity": 4})).await;
    assert_eq!(off(&four), [0, 100], "there is one to be given");
    let more = world.send("c", "add_line_item", json!({"sku": "B", "quantity": 2, "notes": "x"})).await;
    assert_eq!(off(&more).iter().sum::<i64>(), 200);
    assert_eq!(totals(&more), [4 * 255 + 300, 200, 0, 4 * 255 + 100]);
    let fewer = world.send("c", "update_line_item", json!({"line_id": "l-1", "quantity": 1})).await;
    assert_eq!(totals(&fewer), [255 + 300, 0, 0, 255 + 300], "one earns none");
    world.send("c", "update_line_item", json!({"line_id": "l-1", "quantity": 5})).await;
    let sold = world.sell("c", "card").await;
    assert_eq!(totals(&sold), [5 * 255 + 300, 200, 0, 5 * 255 + 100]);
    // What is sold at a price that was agreed on by hand earns none.
    let agreed = json!({"sku": "A", "quantity": 2, "unit_price_override": "2.00"});
    world.cart("d", &[("B", 1)]).await;
    let by_hand = world.send("d", "add_line_item", agreed).await;
    assert_eq!(off(&by_hand), [0, 0]);
}

#[tokio::test]
async fn a_gift_at_half_its_price_bears_its_tax() {
    for (tax_mode, total, tax) in [(TaxMode::Inclusive, 560, 93), (TaxMode::Exclusive, 672, 112)] {
        let world = World::open().await;
        world.settings(tax_mode, TaxRounding::PerOrder, 0).await;
        world.tax("VAT", 2_000, &[]).await;
        world.promotion("gift", gift(5_000)).await;
        let cart = world.cart("c", &[("A", 2), ("B", 1)]).await;
        // 5.10 and 0.50: a sixth of it, or a fifth on top.
        let [_, _, found_tax, found_total] = totals(&cart);
        assert_eq!((found_total, found_tax), (total, tax), "{tax_mode:?}: {cart}");
    }
}

/// Where fewer uses are left than the basket is good for, so many are given; what is voided gives them back.
#[tokio::test]
async fn gifts_are_given_as_long_as_there_are_some() {
    let world = World::open().await;
    world.promotion("gift", with(gift(10_000), json!({"limits": {"per_order": 2, "total": 3}}))).await;
    for (cart, given) in [("one", 2), ("two", 1), ("three", 0)] {
        world.cart(cart, &[("A", 6), ("B", 3)]).await;
        assert_eq!(totals(&world.sell(cart, "cash").await)[1], given * 100, "{cart}");
    }
    let void = json!({"order_id": "one", "reason": "x"});
    world.shop.command("v", "void_order", void).await.unwrap();
    world.cart("four", &[("A", 6), ("B", 3)]).await;
    assert_eq!(totals(&world.sell("four", "cash").await)[1], 200);
}

/// Prices are as sold: who brings back what earned the gift gets what it cost, and keeps the gift; the gift
/// comes back for what was paid for it.
#[tokio::test]
async fn what_comes_back_is_worth_what_it_was_sold_for() {
    let world = World::open().await;
    world.promotion("gift", gift(5_000)).await;
    world.cart("c", &[("A", 2), ("B", 1)]).await;
    assert_eq!(totals(&world.sell("c", "card").await)[3], 560);
    for (n, (line, worth)) in [("l-1", 255), ("l-2", 50), ("l-1", 255)].into_iter().enumerate() {
        let id = format!("back-{n}");
        let shop = &world.shop;
        let start = json!({"return_id": id, "original_order_id": "c", "reason": "x"});
        shop.command(&format!("s{n}"), "start_return", start).await.unwrap();
        let payload = json!({"return_id": id, "line_id": line, "quantity": 1, "disposition": "restock"});
        let cart = view(&shop.command(&format!("l{n}"), "return_line_item", payload).await.unwrap());
        assert_eq!(totals(&cart)[3], worth, "{line}");
        let refund = json!({"return_id": id, "tender": "card", "amount": gbp(worth)});
        shop.command(&format!("r{n}"), "refund_tender", refund).await.unwrap();
        shop.command(&format!("f{n}"), "finalize_return", json!({"return_id": id})).await.unwrap();
    }
}

/// Independent commands in another order come to the same total, with lines cut otherwise too.
#[tokio::test]
async fn the_order_of_commands_changes_no_gift() {
    let world = World::open().await;
    world.promotion("gift", gift(5_000)).await;
    let of_a = json!({"benefit": {"percentage": {"bps": 1_000}}, "target": {"skus": ["A"]}, "priority": 2});
    world.promotion("tenth", of_a).await;
    let carts: [&[(&str, u32)]; 3] =
        [&[("A", 4), ("B", 3)], &[("B", 3), ("A", 4)], &[("A", 1), ("B", 1), ("A", 3), ("B", 2)]];
    for (n, lines) in carts.into_iter().enumerate() {
        let cart = world.cart(&format!("c{n}"), lines).await;
        assert_eq!(totals(&cart), [1_320, 100 + 102, 0, 1_118], "{lines:?}");
    }
}
