//! What has left the shop is sold, also where an order or a till would be refused for how it was rung up.

use jiff::Timestamp;
use tillstream_app::orders::record::record;

use super::*;

/// A modifier that takes off the price is chosen once online; who chose it twice while the register was cut off, or in
/// another system, has sold it so.
#[tokio::test]
async fn a_modifier_that_was_left_out_twice_was_sold_so() {
    let world = World::open().await;
    let twice = json!([{"modifier_id": "bare"}, {"modifier_id": "bare"}]);
    let line = json!({"cart_id": "c", "sku": "FOOD", "quantity": 1, "modifiers": twice});
    let send = |key: &str, action: &str, payload: Value| envelope(STORE, "r-1", key, action, payload);
    let commands = vec![
        send("1", "create_cart", json!({"cart_id": "c"})),
        send("2", "add_line_item", line),
        send("3", "set_tendering", json!({"cart_id": "c"})),
        send("4", "add_payment", json!({"cart_id": "c", "tender": "card", "amount": gbp(350)})),
        send("5", "finalize_order", json!({"cart_id": "c"})),
    ];
    let who = caller("demo", &[Role::Cashier]);
    let (outcomes, go_on) = batch::run(&world.shop.ports, &who, commands, Timestamp::MAX).await;
    assert_eq!(go_on, None);
    for (_, outcome) in &outcomes {
        assert!(outcome.is_ok(), "{outcome:?}");
    }
    let sold = world.order("c").await;
    assert!(sold.finalized.is_some());
    // 4.00 less twice 0.25.
    assert_eq!(sold.totals().unwrap().total, 350);

    let sale = json!({"order_id": "s", "store_id": STORE, "channel": "pos",
        "occurred_at": "2010-12-01T08:00:00Z",
        "lines": [{"sku": "FOOD", "quantity": 1, "modifiers": twice}],
        "payments": [{"tender": "card", "amount": gbp(350)}]});
    let sale = tillstream_contracts::strict_json::typed(sale).unwrap();
    let recorded = record(&world.shop.ports, &caller("demo", &[Role::Integration]), "k", sale).await.unwrap();
    assert_eq!(recorded.cart.totals().unwrap().total, 350);
    // Online neither is taken.
    world.cart("online", &[]).await;
    let line = json!({"sku": "FOOD", "quantity": 1, "modifiers": twice});
    assert_eq!(world.refused("online", "add_line_item", line).await, "modifier_repeated");
}
