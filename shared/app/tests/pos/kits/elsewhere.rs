//! Kits in orders and sales from elsewhere: priced as one, with all that an order may carry; what leaves the stock
//! and what comes back are the components.

use tillstream_app::orders::record::record;
use tillstream_app::orders::status::change;
use tillstream_domain::cart::Cart;
use tillstream_domain::pricing::{TaxMode, TaxRounding};

use super::*;
use crate::pricing::World;

/// One A and two Bs, for less than they are by themselves; two may be chosen to go with it.
const HAMPER: &str = "HAMPER";

async fn world() -> World {
    let world = World::open().await;
    world.settings(TaxMode::Exclusive, TaxRounding::PerLine, 0).await;
    world.tax("VAT", 2_000, &["gifts"]).await;
    let hamper: Product = serde_json::from_value(json!({
        "sku": HAMPER, "name": "Hamper", "unit_price": "4", "currency": "GBP", "stocked": true, "unit": "piece",
        "category": "presents", "tax_category": "gifts",
        "modifiers": [{"id": "ribbon", "name": "Ribbon", "unit_price": "0.50"}],
        "components": [{"sku": "A", "quantity": 1}, {"sku": "B", "quantity": 2}],
    }))
    .unwrap();
    world.shop.put_product(&hamper).await.unwrap();
    let half = json!({"percentage": {"bps": 5_000}});
    // Of what a component costs, nothing is taken off for the kit; of the kit, half.
    world.promotion("of-a", json!({"benefit": half, "target": {"skus": ["A"]}})).await;
    world
        .promotion("of-kit", json!({"automatic": false, "benefit": half, "target": {"skus": [HAMPER]}}))
        .await;
    world.coupon("TEN", json!({"percentage": {"bps": 1_000}}), json!({}), (Some(9), None)).await;
    world
}

async fn on_hand(world: &World) -> (i64, i64) {
    let of = async |sku: &str| {
        let counters = world.shop.counters(STORE, sku).await.unwrap();
        assert_eq!((counters.reserved, counters.available), (0, counters.on_hand), "{sku}");
        counters.on_hand / 1_000
    };
    (of("A").await, of("B").await)
}

async fn sent(shop: &Shop, key: &str, order: &Value) -> Result<Executed> {
    let order = tillstream_contracts::strict_json::typed(order.clone()).unwrap();
    place(&shop.ports, &caller("demo", &[Role::Integration]), key, order).await
}

/// What a cart was charged, beside what differs between a till and elsewhere.
fn charged(cart: &Cart) -> impl PartialEq + std::fmt::Debug {
    let lines: Vec<_> =
        cart.lines.iter().map(|line| (line.sku.clone(), line.quantity, line.unit_price)).collect();
    (lines, cart.kits.clone(), cart.charges.clone(), cart.terms.lines.clone(), cart.totals().unwrap())
}

#[tokio::test]
async fn an_order_of_kits_is_what_a_till_would_have_made_of_it() {
    let world = world().await;
    let line = json!({"sku": HAMPER, "quantity": 3, "modifiers": [{"modifier_id": "ribbon"}]});
    world.cart("till", &[]).await;
    world.send("till", "add_line_item", line.clone()).await;
    world.send("till", "add_line_item", json!({"sku": "A", "quantity": 2})).await;
    world.send("till", "apply_coupon", json!({"coupon_code": "TEN"})).await;
    world.send("till", "apply_promo", json!({"promo_id": "of-kit"})).await;
    let sold = world.sell("till", "card").await;
    // Three at 4.50 and two at 2.55 are 18.60. Half off each, which the promotions are for, is 6.75 and 2.55; a
    // tenth of the rest is 0.93, 0.67 of it for the kits. Of the 6.08 that are left of these a fifth is 1.22.
    let totals = ["subtotal", "discount", "tax", "total"].map(|name| sold["totals"][name]["amount"].clone());
    assert_eq!(totals, [1_860, 1_023, 122, 959].map(Value::from));
    assert_eq!(on_hand(&world).await, (995, 994));
    let till = world.order("till").await;

    let order = json!({"order_id": "web", "store_id": STORE, "channel": "web", "coupons": ["TEN"],
        "promotions": ["of-kit"], "lines": [line, {"sku": "A", "quantity": 2}],
        "payments": [{"tender": "card", "amount": gbp(959)}]});
    for replayed in [false, true] {
        let placed = sent(&world.shop, "k", &order).await.unwrap();
        assert_eq!(placed.replayed, replayed);
        assert_eq!(charged(&placed.cart), charged(&till));
        assert_eq!(on_hand(&world).await, (990, 988));
    }
    // The kit is another one by now: what went comes back, and once.
    world.shop.kit(HAMPER, "4", &[("FOOD", 7)]).await.unwrap();
    for _ in 0..2 {
        let cancel = serde_json::from_value(json!({"status": "cancelled"})).unwrap();
        let who = caller("demo", &[Role::Integration]);
        change(&world.shop.ports, &who, "c", "web", cancel, |_| Ok(())).await.unwrap();
    }
    assert_eq!(on_hand(&world).await, (995, 994));
    assert_eq!(world.shop.counters(STORE, "FOOD").await.unwrap().on_hand, 1_000_000);
}

/// A sale of kits that another system made has happened, at its price and with what was not there by the books.
#[tokio::test]
async fn a_recorded_sale_of_kits_takes_their_components() {
    let world = world().await;
    let recorded = async |id: &str, more: Value| {
        let mut sale = json!({"order_id": id, "store_id": STORE, "channel": "web", "lines": [],
            "occurred_at": "2010-12-01T08:00:00Z"});
        sale.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let sale = tillstream_contracts::strict_json::typed(sale).unwrap();
        record(&world.shop.ports, &caller("demo", &[Role::Integration]), id, sale).await
    };
    // Two at 4.00 with a fifth are 9.60; the other system makes it 9.61.
    let lines = json!([{"sku": HAMPER, "quantity": 2}]);
    let executed = recorded("s", json!({"lines": lines, "total": gbp(961)})).await.unwrap();
    let totals = executed.cart.totals().unwrap();
    assert_eq!((totals.total, totals.cash_rounding, totals.paid), (960, 1, 961));
    assert_eq!(on_hand(&world).await, (998, 996));
    let moved = json!({"lines": lines, "stock_already_moved": true});
    recorded("moved", moved).await.unwrap();
    assert_eq!(on_hand(&world).await, (998, 996), "its goods left before");
    assert_eq!(
        read_order(&world.shop, "moved").await["lines"][0]["components"][1],
        json!({"sku": "B", "quantity": 4})
    );

    // 600 want 600 of A, which is there, and 1,200 of B, of which there are 996.
    let many = json!({"lines": [{"sku": HAMPER, "quantity": 600}]});
    for replayed in [false, true] {
        assert_eq!(recorded("many", many.clone()).await.unwrap().replayed, replayed);
    }
    assert_eq!(on_hand(&world).await, (398, 0));
    let exceptions: Vec<_> = world
        .database
        .items(Table::Stock)
        .iter()
        .filter(|item| item.opt_text("kind") == Some("oversold_offline"))
        .map(|item| (item.text("sku").unwrap().to_owned(), item.number("quantity").unwrap()))
        .collect();
    assert_eq!(exceptions, [("B".to_owned(), 204_000)], "of the component, not of the kit");
    // What cannot be made is refused until the catalogue is right; then the same request goes through.
    world.shop.kit("LATER", "1", &[("A", 1), ("COMES LATER", 1)]).await.unwrap();
    let later = json!({"lines": [{"sku": "A", "quantity": 1}, {"sku": "LATER", "quantity": 1}]});
    let refusal = refused(recorded("later", later.clone()).await);
    assert_eq!((refusal.code, refusal.errors[0].field.as_str()), ("kit_component_unknown", "lines[1].sku"));
    assert_eq!(on_hand(&world).await, (398, 0));
    world.shop.product(STORE, "COMES LATER", "1", 5).await.unwrap();
    recorded("later", later).await.unwrap();
    assert_eq!(on_hand(&world).await, (396, 0));
}

/// Of an order with several kits one is short of one component: nothing of it happens, not even to the coupon.
#[tokio::test]
async fn an_order_of_kits_is_all_or_nothing() {
    let world = world().await;
    world.shop.product(STORE, "RARE", "1", 1).await.unwrap();
    world.shop.kit("RARE SET", "3", &[("A", 1), ("RARE", 2)]).await.unwrap();
    let before = Table::ALL.map(|table| world.database.items(table));
    let order = json!({"order_id": "o", "store_id": STORE, "channel": "web", "coupons": ["TEN"],
        "lines": [{"sku": HAMPER, "quantity": 1}, {"sku": "RARE SET", "quantity": 1}]});
    let refusal = refused(sent(&world.shop, "k", &order).await);
    assert_eq!((refusal.code, refusal.errors[0].field.as_str()), ("insufficient_stock", "lines[1].quantity"));
    assert_eq!(refusal.extra["lines"][0]["kits"], json!(["RARE SET"]));
    assert_eq!(Table::ALL.map(|table| world.database.items(table)), before);
    world.shop.product(STORE, "RARE", "1", 1).await.unwrap();
    sent(&world.shop, "k", &order).await.unwrap();
    assert_eq!(on_hand(&world).await, (998, 998));
    assert_eq!(world.shop.counters(STORE, "RARE").await.unwrap().on_hand, 0);
}
