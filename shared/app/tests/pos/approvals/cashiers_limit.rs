//! What a tenant lets a cashier take off without an approval is measured by what it is taken off.

use tillstream_app::orders::place::place;
use tillstream_app::sync::entities::Entity;

use super::allowed::by_manager;
use super::bound_shares::{dear_world, feed, promotion, tender};
use super::*;

/// Shoes at 50.00 beside what is dear, and a tenth off for a cashier.
async fn tenth_world() -> World {
    let world = dear_world().await;
    for (sku, price) in [("SHOES", "50"), ("PENNY", "0.03")] {
        world.shop.product(STORE, sku, price, 100).await.unwrap();
    }
    let tenth = json!({"approvals": {"manual_discount": {"required": true, "above_bps": 1_000}}});
    world.settings("tenth", tenth).await;
    world
}

async fn cart_of(world: &World, cart: &str, skus: &[&str]) {
    world.cart(cart).await;
    for (n, sku) in skus.iter().enumerate() {
        let line = json!({"cart_id": cart, "sku": sku, "quantity": 1});
        world.till(&format!("{cart}-{n}"), "add_line_item", line).await.unwrap();
    }
}

async fn give(world: &World, key: &str, cart: &str, value: Value) -> Result<Answered> {
    let kind = if value.is_number() { "percent_cart" } else { "fixed_cart" };
    let payload = json!({"cart_id": cart, "kind": kind, "value": value, "reason": "x"});
    world.till(key, "apply_manual_discount", payload).await
}

/// Goods that a discount cannot be taken off are no leave to give others away.
#[tokio::test]
async fn a_tenth_is_of_what_it_is_taken_off() {
    for (what, dear, rule) in [
        ("what may not be discounted", "GIFT", None),
        ("what a promotion keeps", "TV", promotion(json!({}))),
        // All but 5.00 of it is off already, so it bears a tenth of what shoes bear.
        (
            "what is all but free",
            "TV",
            promotion(json!({"stacking": "stackable", "benefit": {"percentage": {"bps": 9_900}}})),
        ),
    ] {
        let world = tenth_world().await;
        if rule.is_some() {
            feed(&world, Entity::Promotions, "p", 1, rule).await;
        }
        cart_of(&world, "c", &[dear, "SHOES"]).await;
        let is_borne = what == "what is all but free";
        let items = world.items();
        let most = if is_borne { 550 } else { 500 };
        for value in [json!(10_000), json!(1_100), gbp(most + 10), gbp(5_000)] {
            let refused = give(&world, "d", "c", value.clone()).await;
            assert_eq!(code(refused), Some("approval_required"), "{what}: {value}");
        }
        assert_eq!(world.items(), items, "{what}: a refusal changed something");
        give(&world, "d", "c", gbp(most)).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        let tendered = tender(&world, "t", "c").await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(view(&tendered)["lines"][1]["total"], gbp(4_500), "{what}");
    }
}

/// What a promotion left of a dear line is what a tenth of it is of, also where it is taken off that line alone: else what
/// is all but free would be given away.
#[tokio::test]
async fn a_tenth_is_of_what_a_promotion_left() {
    let world = tenth_world().await;
    let cheap = promotion(json!({"stacking": "stackable", "benefit": {"percentage": {"bps": 9_900}}}));
    feed(&world, Entity::Promotions, "p", 1, cheap).await;
    cart_of(&world, "c", &["TV", "LAPTOP"]).await;
    let line = |value: Value, kind: &str| json!({"cart_id": "c", "kind": kind, "line_id": "l-1", "value": value, "reason": "x"});
    let items = world.items();
    for (value, kind) in [(gbp(500), "fixed_line"), (gbp(51), "fixed_line"), (json!(1_100), "percent_line")] {
        let refused = world.till("d", "apply_manual_discount", line(value.clone(), kind)).await;
        assert_eq!(code(refused), Some("approval_required"), "{value}");
    }
    assert_eq!(world.items(), items, "a refusal changed something");
    world.till("d", "apply_manual_discount", line(gbp(50), "fixed_line")).await.unwrap();
    tender(&world, "t", "c").await.unwrap();
}

/// A discount of the whole cart is measured by all that it falls on: that one of its lines has a tenth off already is no
/// matter, as long as all of it is within a tenth.
#[tokio::test]
async fn what_is_off_the_cart_is_measured_by_the_cart() {
    let world = tenth_world().await;
    cart_of(&world, "c", &["LAPTOP", "SHOES"]).await;
    let tenth = |value: i64| json!({"cart_id": "c", "kind": "fixed_line", "line_id": "l-2", "value": gbp(value), "reason": "x"});
    world.till("line", "apply_manual_discount", tenth(500)).await.unwrap();
    let items = world.items();
    assert_eq!(code(give(&world, "d", "c", gbp(5_001)).await), Some("approval_required"), "of all together");
    assert_eq!(code(world.till("d", "apply_manual_discount", tenth(1)).await), Some("approval_required"));
    assert_eq!(world.items(), items, "a refusal changed something");
    give(&world, "d", "c", gbp(5_000)).await.unwrap();
    let tendered = tender(&world, "t", "c").await.unwrap();
    assert_eq!(view(&tendered)["totals"]["total"], gbp(49_500));
}

/// What a manager gave away is no leave to give others away, though a discount of the whole cart fell on it before.
#[tokio::test]
async fn what_a_manager_gave_away_is_no_leave_to_give_others_away() {
    // All of it, or all but a penny.
    for (left, most) in [(0, 495), (1, 450)] {
        let world = tenth_world().await;
        cart_of(&world, "c", &["TV", "SHOES"]).await;
        // 0.50 off the television and 0.05 off the shoes, before what the manager gives.
        give(&world, "a", "c", json!(10)).await.unwrap();
        let away = json!({"cart_id": "c", "kind": "fixed_line", "line_id": "l-1", "value": gbp(49_950 - left),
            "reason": "x"});
        by_manager(&world, "m", "apply_manual_discount", away).await.unwrap();
        let items = world.items();
        for value in [4_900, most + 1] {
            let refused = give(&world, "d", "c", gbp(value)).await;
            assert_eq!(code(refused), Some("approval_required"), "{left} left: {value}");
        }
        assert_eq!(world.items(), items, "a refusal changed something");
        // A tenth of the shoes, and of the penny and what is off the television, less what is off already.
        give(&world, "d", "c", gbp(most)).await.unwrap();
        tender(&world, "t", "c").await.unwrap();
    }
}

/// A gift card is sold for what is on it, whatever is taken off beside it, and comes back for as much.
#[tokio::test]
async fn what_may_not_be_discounted_is_sold_and_comes_back_for_its_price() {
    let world = tenth_world().await;
    cart_of(&world, "c", &["GIFT", "SHOES"]).await;
    give(&world, "d", "c", json!(1_000)).await.unwrap();
    let tendered = tender(&world, "t", "c").await.unwrap();
    let totals = [0, 1].map(|n: usize| view(&tendered)["lines"][n]["total"].clone());
    assert_eq!(totals, [gbp(50_000), gbp(4_500)]);
    let card = |amount: i64| json!({"cart_id": "c", "tender": "card", "amount": gbp(amount)});
    world.till("p", "add_payment", card(54_500)).await.unwrap();
    world.till("f", "finalize_order", json!({"cart_id": "c"})).await.unwrap();
    let start = json!({"return_id": "r", "original_order_id": "c", "reason": "unwanted"});
    world.till("s", "start_return", start).await.unwrap();
    let line = json!({"return_id": "r", "line_id": "l-1", "quantity": 1, "disposition": "restock"});
    let back = world.till("l", "return_line_item", line).await.unwrap();
    assert_eq!(view(&back)["totals"]["total"], gbp(50_000));
    let refund = json!({"return_id": "r", "tender": "card", "amount": gbp(50_000)});
    world.till("rt", "refund_tender", refund).await.unwrap();
    world.till("fr", "finalize_return", json!({"return_id": "r"})).await.unwrap();
}

/// What is shared out falls in whole pennies: a line may bear one more than its tenth, all lines together may not.
#[tokio::test]
async fn a_tenth_of_many_small_lines_is_a_tenth() {
    let world = tenth_world().await;
    cart_of(&world, "c", &["PENNY"; 10]).await;
    let items = world.items();
    for (key, payload) in [
        ("all", json!({"kind": "fixed_cart", "value": gbp(4)})),
        // Of one line alone nothing is shared out.
        ("one", json!({"kind": "fixed_line", "line_id": "l-1", "value": gbp(1)})),
    ] {
        let mut give = json!({"cart_id": "c", "reason": "x"});
        give.as_object_mut().unwrap().extend(payload.as_object().unwrap().clone());
        let refused = world.till(key, "apply_manual_discount", give).await;
        assert_eq!(code(refused), Some("approval_required"), "{key}");
    }
    assert_eq!(world.items(), items, "a refusal changed something");
    give(&world, "d", "c", json!(1_000)).await.unwrap();
    let tendered = tender(&world, "t", "c").await.unwrap();
    assert_eq!(view(&tendered)["totals"]["total"], gbp(27));
}

/// What comes to be kept by a promotion is measured no more, when the cart is paid.
#[tokio::test]
async fn a_tenth_is_of_what_it_is_taken_off_when_it_is_paid() {
    let world = tenth_world().await;
    cart_of(&world, "c", &["TV", "SHOES"]).await;
    give(&world, "d", "c", gbp(5_500)).await.unwrap();
    feed(&world, Entity::Promotions, "p", 1, promotion(json!({}))).await;
    let items = world.items();
    assert_eq!(code(tender(&world, "t", "c").await), Some("approval_required"));
    assert_eq!(world.items(), items, "a refusal changed something");
    let back = json!({"cart_id": "c", "discount_id": "d-1"});
    world.till("back", "remove_manual_discount", back).await.unwrap();
    let tendered = tender(&world, "t", "c").await.unwrap();
    assert_eq!(view(&tendered)["totals"]["total"], gbp(47_500 + 5_000));
}

/// An order from elsewhere, too.
#[tokio::test]
async fn a_tenth_of_an_order_is_of_what_it_is_taken_off() {
    let world = tenth_world().await;
    let send = async |bps: u32| {
        let order = json!({"order_id": "o", "store_id": STORE, "channel": "phone",
            "lines": [{"sku": "GIFT", "quantity": 1}, {"sku": "SHOES", "quantity": 1}],
            "discounts": [{"value": bps, "reason": "regular"}]});
        place(&world.shop.ports, &cashier(), "k", serde_json::from_value(order).unwrap()).await
    };
    let before = world.items();
    for bps in [10_000, 1_100] {
        let refused = refusal(send(bps).await);
        let field = refused.errors[0].field.as_str();
        assert_eq!((refused.code, field), ("approval_required", "discounts[0].approval_id"), "{bps}");
    }
    assert_eq!(world.items(), before, "a refusal changed something");
    assert_eq!(send(1_000).await.unwrap().cart.totals().unwrap().total, 54_500);
}
