//! How far an approval reaches, and what a tenant lets a cashier do without one.

use super::*;

/// More of a line whose price was approved is more than was approved.
#[tokio::test]
async fn no_more_is_sold_at_an_approved_price_than_was_approved() {
    let world = World::new().await;
    world.cart("c").await;
    world.granted("ap", override_of("c")).await;
    world.till("l", "add_line_item", line("c", "ap")).await.unwrap();
    let change = |quantity: i64| json!({"cart_id": "c", "line_id": "l-1", "quantity": quantity});
    world.till("u1", "update_line_item", change(1)).await.unwrap();
    world.till("u2", "update_line_item", change(2)).await.unwrap();
    let items = world.items();
    assert_eq!(code(world.till("u3", "update_line_item", change(3)).await), Some("approval_required"));
    assert_eq!(world.items(), items);
    let by_manager = envelope(STORE, "r-1", "u4", "update_line_item", change(3));
    execute(&world.shop.ports, &manager(), by_manager).await.unwrap();
    let notes = json!({"cart_id": "c", "line_id": "l-1", "notes": "gift"});
    world.till("u5", "update_line_item", notes).await.unwrap();
    world.settings("s", json!({"approvals": {"price_override": false}})).await;
    world.till("u6", "update_line_item", change(9)).await.unwrap();
    let free = json!({"cart_id": "c", "sku": "B", "quantity": 1, "unit_price_override": "0"});
    world.till("l2", "add_line_item", free).await.unwrap();
}

/// A share of more goods is more money off than was approved.
#[tokio::test]
async fn no_more_is_taken_off_than_was_approved() {
    let world = World::new().await;
    world.cart("c").await;
    world.till("a", "add_line_item", json!({"cart_id": "c", "sku": "A", "quantity": 1})).await.unwrap();
    let all_of =
        json!({"cart_id": "c", "line_id": "l-1", "kind": "percent_line", "value": 10_000, "reason": "x"});
    let asked = discount_of("c", json!({"line_id": "l-1", "kind": "percent_line", "value": 10_000}));
    world.granted("ap", asked).await;
    let mut give = all_of.clone();
    give["approval_id"] = "ap".into();
    world.till("d", "apply_manual_discount", give).await.unwrap();
    let many = json!({"cart_id": "c", "line_id": "l-1", "quantity": 50});
    world.till("u", "update_line_item", many).await.unwrap();
    let items = world.items();
    let tender = || json!({"cart_id": "c"});
    assert_eq!(code(world.till("t", "set_tendering", tender()).await), Some("approval_does_not_match"));
    assert_eq!(world.items(), items);
    let one = json!({"cart_id": "c", "line_id": "l-1", "quantity": 1});
    world.till("u2", "update_line_item", one).await.unwrap();
    world.till("t2", "set_tendering", tender()).await.unwrap();
}

/// What comes into the cart between the grant and its use is no part of what the supervisor saw.
#[tokio::test]
async fn a_share_is_of_the_goods_that_were_there_when_it_was_asked_for() {
    let world = World::new().await;
    world.cart("c").await;
    let add = |sku: &str, quantity: i64| json!({"cart_id": "c", "sku": sku, "quantity": quantity});
    world.till("b", "add_line_item", add("B", 2)).await.unwrap();
    let of_cart = json!({"kind": "percent_cart", "value": 5_000});
    let of_line = json!({"kind": "percent_line", "value": 5_000, "line_id": "l-1"});
    for (id, share, sku) in [("cart", &of_cart, Value::Null), ("line", &of_line, json!("B"))] {
        world.granted(id, discount_of("c", share.clone())).await;
        let shown = read::get(&world.shop.ports, &manager(), id).await.unwrap();
        let shown = serde_json::to_value(shown).unwrap();
        assert_eq!((&shown["maximum_goods"], &shown["sku"]), (&gbp(200), &sku));
    }
    world.till("a", "add_line_item", add("A", 50)).await.unwrap();
    let change = |quantity: i64| json!({"cart_id": "c", "line_id": "l-1", "quantity": quantity});
    world.till("u3", "update_line_item", change(3)).await.unwrap();
    let give = |id: &str, share: &Value| {
        let mut payload = json!({"cart_id": "c", "reason": "x", "approval_id": id});
        payload.as_object_mut().unwrap().extend(share.as_object().unwrap().clone());
        payload
    };
    let items = world.items();
    for (id, share, worth) in [("cart", &of_cart, "13050 GBP"), ("line", &of_line, "300 GBP")] {
        let refused = refusal(world.till(id, "apply_manual_discount", give(id, share)).await);
        assert_eq!(differing(&refused), ["maximum_goods"], "{id}");
        let told = json!([{"field": "maximum_goods", "approved": "200 GBP", "asked": worth}]);
        assert_eq!(refused.extra["differences"], told);
    }
    assert_eq!(world.items(), items, "a refusal changed something");
    // As it was seen, each is what was approved.
    world.till("u2", "update_line_item", change(2)).await.unwrap();
    world.till("line", "apply_manual_discount", give("line", &of_line)).await.unwrap();
    let other = json!({"cart_id": "c", "line_id": "l-2"});
    world.till("x", "remove_line_item", other).await.unwrap();
    world.till("cart", "apply_manual_discount", give("cart", &of_cart)).await.unwrap();
    let tendered = world.till("t", "set_tendering", json!({"cart_id": "c"})).await.unwrap();
    assert_eq!(view(&tendered)["totals"]["total"], gbp(50), "half of half of 2.00");
}

pub(super) async fn by_manager(world: &World, key: &str, action: &str, payload: Value) -> Result<Answered> {
    let sent = envelope(STORE, "r-1", key, action, payload);
    execute(&world.shop.ports, &manager(), sent).await
}

/// A share that a manager gives is of the goods that the manager saw, too.
#[tokio::test]
async fn a_share_by_a_manager_is_of_the_goods_that_were_there() {
    let world = World::new().await;
    for (cart, refused) in [("c", Some("approval_does_not_match")), ("free", None)] {
        world.cart(cart).await;
        let key = |name: &str| format!("{cart}-{name}");
        let add = |sku: &str, quantity: i64| json!({"cart_id": cart, "sku": sku, "quantity": quantity});
        world.till(&key("b"), "add_line_item", add("B", 2)).await.unwrap();
        let half = json!({"cart_id": cart, "kind": "percent_cart", "value": 5_000, "reason": "x"});
        let given = by_manager(&world, &key("d"), "apply_manual_discount", half).await.unwrap();
        assert_eq!(view(&given)["discounts"][0]["approval"], Value::Null, "nobody was asked");
        world.till(&key("a"), "add_line_item", add("A", 50)).await.unwrap();
        let items = world.items();
        let tender = json!({"cart_id": cart});
        let tendered = world.till(&key("t"), "set_tendering", tender.clone()).await;
        assert_eq!(code(tendered), refused);
        if refused.is_some() {
            assert_eq!(world.items(), items, "a refusal changed something");
            // The manager sees all of it.
            by_manager(&world, &key("m"), "set_tendering", tender).await.unwrap();
        }
        // Where nobody needs an approval, nobody's word is bound.
        world.settings("s", json!({"approvals": {"manual_discount": {"required": false}}})).await;
    }
}

#[tokio::test]
async fn a_tenant_may_let_cashiers_give_a_little() {
    let world = World::new().await;
    let give = |cart: &str, kind: &str, value: Value, line: Option<&str>| {
        let mut payload = json!({"cart_id": cart, "kind": kind, "value": value, "reason": "x"});
        if let Some(line) = line {
            payload["line_id"] = line.into();
        }
        payload
    };
    world.cart("c").await;
    world.till("a", "add_line_item", json!({"cart_id": "c", "sku": "A", "quantity": 10})).await.unwrap();
    world.till("b", "add_line_item", json!({"cart_id": "c", "sku": "B", "quantity": 10})).await.unwrap();
    let tenth = give("c", "percent_cart", json!(1_000), None);
    assert_eq!(
        code(world.till("d0", "apply_manual_discount", tenth.clone()).await),
        Some("approval_required")
    );
    let share = json!({"approvals": {"manual_discount": {"required": true, "above_bps": 1_000}}});
    world.settings("s1", share).await;
    // 35.50 in all: 2.00 is within a tenth, 1.01 of the 10.00 of a line is not, 2.00 + 1.60 is not.
    world.till("d1", "apply_manual_discount", give("c", "fixed_cart", gbp(200), None)).await.unwrap();
    let items = world.items();
    for (value, kind, line) in [
        (gbp(160), "fixed_cart", None),
        (json!(2_000), "percent_cart", None),
        (gbp(101), "fixed_line", Some("l-2")),
    ] {
        let refused = world.till("d2", "apply_manual_discount", give("c", kind, value, line)).await;
        assert_eq!(code(refused), Some("approval_required"), "{kind}");
    }
    assert_eq!(world.items(), items);
    world.till("d3", "apply_manual_discount", give("c", "fixed_cart", gbp(155), None)).await.unwrap();
    // What was approved counts by itself.
    world
        .granted("ap", discount_of("c", json!({"kind": "percent_line", "value": 5_000, "line_id": "l-1"})))
        .await;
    let mut half = give("c", "percent_line", json!(5_000), Some("l-1"));
    half["approval_id"] = "ap".into();
    let given = world.till("d4", "apply_manual_discount", half).await.unwrap();
    let discounts = view(&given)["discounts"].clone();
    let approved: Vec<&Value> =
        discounts.as_array().unwrap().iter().filter(|one| one["approval"] != Value::Null).collect();
    assert_eq!((approved.len(), &approved[0]["id"]), (1, &json!("d-3")));
    // Lines that go leave the rest with more than its share.
    world.till("rm", "remove_line_item", json!({"cart_id": "c", "line_id": "l-1"})).await.unwrap();
    let tender = world.till("t", "set_tendering", json!({"cart_id": "c"})).await;
    assert_eq!(code(tender), Some("approval_required"));
    world.till("x", "remove_manual_discount", json!({"cart_id": "c", "discount_id": "d-1"})).await.unwrap();
    let tender = world.till("t", "set_tendering", json!({"cart_id": "c"})).await;
    assert_eq!(code(tender), Some("approval_required"), "1.55 of 10.00");
    world.till("x2", "remove_manual_discount", json!({"cart_id": "c", "discount_id": "d-2"})).await.unwrap();
    world.till("t", "set_tendering", json!({"cart_id": "c"})).await.unwrap();

    // By an amount, and freely.
    let amount = json!({"approvals": {"manual_discount": {"required": true, "above_amount": 50}}});
    world.settings("s2", amount).await;
    world.cart("e").await;
    world.till("e-l", "add_line_item", json!({"cart_id": "e", "sku": "B", "quantity": 1})).await.unwrap();
    world.till("e1", "apply_manual_discount", give("e", "fixed_cart", gbp(50), None)).await.unwrap();
    let more = give("e", "fixed_cart", gbp(1), None);
    assert_eq!(
        code(world.till("e2", "apply_manual_discount", more.clone()).await),
        Some("approval_required")
    );
    world
        .settings("s3", json!({"approvals": {"manual_discount": {"required": false}, "blind_return": false}}))
        .await;
    world.till("e2", "apply_manual_discount", more).await.unwrap();
    world.till("e3", "start_return", json!({"reason": "x"})).await.unwrap();
    world.settings("s4", json!({})).await;
    assert_eq!(
        code(world.till("e4", "start_return", json!({"reason": "x"})).await),
        Some("approval_required")
    );
}

#[tokio::test]
async fn a_tenth_is_a_tenth_also_where_it_is_rounded_up() {
    let world = World::new().await;
    world
        .settings("s", json!({"approvals": {"manual_discount": {"required": true, "above_bps": 1_000}}}))
        .await;
    world.cart("c").await;
    world.till("a", "add_line_item", json!({"cart_id": "c", "sku": "A", "quantity": 3})).await.unwrap();
    world.till("b", "add_line_item", json!({"cart_id": "c", "sku": "B", "quantity": 2})).await.unwrap();
    let tenth = json!({"cart_id": "c", "kind": "percent_cart", "value": 1_000, "reason": "x"});
    world.till("d", "apply_manual_discount", tenth).await.unwrap();
    world.till("t", "set_tendering", json!({"cart_id": "c"})).await.unwrap();
}

/// Where prices contain tax, discounts are told with it: a share is one of the price, not of what is left of it
/// without tax.
#[tokio::test]
async fn a_share_of_a_price_that_contains_tax_is_of_the_price() {
    let world = World::new().await;
    let rule: TaxRule =
        serde_json::from_value(json!({"id": "vat", "version": 1, "name": "VAT", "rate_bps": 10_000}))
            .unwrap();
    let item = tax_rule_item(&world.shop.scope, &rule).unwrap();
    world.database.write(Write::Put { table: Table::Catalog, item, condition: None }).await.unwrap();
    world
        .settings(
            "s",
            json!({"pricing": {"tax_mode": "inclusive", "tax_rounding": "per_line"},
                "approvals": {"manual_discount": {"required": true, "above_bps": 1_000}}}),
        )
        .await;
    world.cart("c").await;
    // 10.00, half of which is tax: a tenth is 1.00.
    world.till("b", "add_line_item", json!({"cart_id": "c", "sku": "B", "quantity": 10})).await.unwrap();
    let off = |pence: i64| json!({"cart_id": "c", "kind": "fixed_cart", "value": gbp(pence), "reason": "x"});
    assert_eq!(code(world.till("d0", "apply_manual_discount", off(101)).await), Some("approval_required"));
    world.till("d1", "apply_manual_discount", off(100)).await.unwrap();
    world.till("t", "set_tendering", json!({"cart_id": "c"})).await.unwrap();
}
