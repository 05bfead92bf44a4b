//! Manual discounts of whole orders: what a till's commands would have taken off, or their refusal at the field that it
//! is about.

use tillstream_app::documents::{Format, read as documents};
use tillstream_app::orders::record::record;
use tillstream_app::orders::status::change;
use tillstream_domain::cart::Cart;

use super::orders_from_elsewhere::{charged, long_lines, named, one_of, order, send, snapshot};
use super::*;

fn off(value: Value, reason: &str) -> Value {
    json!({"value": value, "reason": reason})
}

async fn hq_message(world: &World, order: &Cart) -> Value {
    let key = world.shop.scope.cart(&order.id);
    let items = world.database.items(Table::Orders);
    let item = items.iter().find(|item| item.opt_text("pk") == Some(key.pk()));
    let (stream, queue) =
        (MemoryStream::new(1, world.environment.clone()), MemoryQueue::new(world.environment.clone()));
    assert!(handle(&world.shop.ports, &stream, &queue, &[(None, item)]).await.is_empty());
    let deliveries = world.database.items(Table::Dispatch);
    let delivery = deliveries.iter().find_map(|item| Delivery::of(item).ok()).unwrap();
    serde_json::to_value(order_message(&delivery, order).unwrap()).unwrap()
}

#[tokio::test]
async fn discounts_of_an_order_are_those_of_a_till() {
    let world = World::open().await;
    world.settings(TaxMode::Exclusive, TaxRounding::PerLine, 0).await;
    world.tax("VAT", 2_000, &["food"]).await;
    let half = json!({"percentage": {"bps": 5_000}});
    world.promotion("half-b", json!({"benefit": half, "target": {"skus": ["B"]}})).await;
    world.coupon("TEN", json!({"percentage": {"bps": 1_000}}), json!({}), (Some(5), None)).await;
    world.cart("till", &[("FOOD", 3), ("A", 2), ("B", 4)]).await;
    world.send("till", "apply_coupon", json!({"coupon_code": "TEN"})).await;
    for (kind, line, value, reason) in [
        ("percent_line", Some("l-1"), json!(1_000), "dented"),
        ("fixed_line", Some("l-2"), gbp(55), "scratched"),
        ("percent_cart", None, json!(500), "a regular"),
        ("fixed_cart", None, gbp(100), "late"),
    ] {
        let mut give = json!({"kind": kind, "value": value, "reason": reason});
        if let Some(line) = line {
            give["line_id"] = line.into();
        }
        let key = format!("give-{kind}");
        give["cart_id"] = "till".into();
        let manager = caller("demo", &[Role::StoreManager]);
        let sent = envelope(STORE, "r-1", &key, "apply_manual_discount", give);
        tillstream_app::pos::execute::execute(&world.shop.ports, &manager, sent).await.unwrap();
    }
    let due = world.send("till", "set_tendering", json!({})).await["totals"]["due"].clone();
    world.send("till", "add_payment", json!({"tender": "card", "amount": due})).await;
    world.send("till", "finalize_order", json!({})).await;
    let till = world.order("till").await;

    let wanted = order(
        "web",
        json!([
            {"sku": "FOOD", "quantity": 3, "discounts": [off(json!(1_000), "dented")]},
            {"sku": "A", "quantity": 2, "discounts": [off(gbp(55), "scratched")]},
            {"sku": "B", "quantity": 4},
        ]),
        json!({"coupons": ["TEN"], "discounts": [off(json!(500), "a regular"), off(gbp(100), "late")],
            "payments": [{"tender": "card", "amount": due}]}),
    );
    for replayed in [false, true] {
        let placed = send(&world.shop.ports, "k", wanted.clone()).await.unwrap();
        assert_eq!(placed.replayed, replayed);
        assert_eq!(charged(&placed.cart), charged(&till));
    }
    // By hand, before the coupon: 12.00, 5.10 and, as half of B is given, 2.00; less 1.20, 5 % (0.90 of 17.90), 0.55
    // and 1.00; a tenth of the 15.45 that are left is 1.55.
    let placed = world.order("web").await;
    assert_eq!(placed.totals().unwrap().discount, 200 + 120 + 90 + 55 + 100 + 155);
    assert_eq!(world.used("TEN"), 2);
    let mut other = wanted.clone();
    other["lines"][1]["discounts"][0]["value"]["amount"] = 54.into();
    assert_eq!(named(send(&world.shop.ports, "k", other).await).0, "idempotency_key_reused");

    // HQ, the receipt and whoever reads the order are told of all of it.
    let message = hq_message(&world, &placed).await.to_string();
    let who = caller("demo", &[Role::Operator]);
    let receipt = documents::get(&world.shop.ports, &who, "web.receipt", Format::Text, false).await.unwrap();
    let receipt = String::from_utf8(receipt.document.bytes).unwrap();
    let read = tillstream_app::orders::read::get(&world.shop.ports, &who, "web").await.unwrap();
    let read = serde_json::to_value(read).unwrap();
    for (reason, taken) in [("dented", 120), ("scratched", 55), ("a regular", 90), ("late", 100)] {
        assert!(message.contains(reason) && receipt.contains(reason), "{reason}: {message} {receipt}");
        let shown = read["discounts"].as_array().unwrap().iter().find(|shown| shown["name"] == reason);
        assert_eq!(
            shown.map(|shown| (&shown["kind"], &shown["amount"])),
            Some((&json!("manual_discount"), &gbp(taken)))
        );
    }

    let cancel = || serde_json::from_value(json!({"status": "cancelled"})).unwrap();
    let who = caller("demo", &[Role::Integration]);
    let cancelled = change(&world.shop.ports, &who, "c", "web", cancel(), |_| Ok(())).await.unwrap();
    let back = cancelled.counted.unwrap().totals().unwrap();
    assert_eq!((back.total, back.discount), (amount(&due), placed.totals().unwrap().discount));
    assert_eq!(world.used("TEN"), 1);
}

#[tokio::test]
async fn every_refusal_of_a_discount_names_its_field() {
    let world = World::open().await;
    world
        .promotion("free-b", json!({"benefit": {"percentage": {"bps": 10_000}}, "target": {"skus": ["B"]}}))
        .await;
    let before = snapshot(&world);
    let lines = |discounts: Value| {
        let lines = json!([{"sku": "A", "quantity": 2}, {"sku": "B", "quantity": 1, "discounts": discounts}]);
        order("o", lines, json!({}))
    };
    let first = |discounts: Value| {
        let mut wanted =
            order("o", json!([{"sku": "A", "quantity": 2}, {"sku": "FOOD", "quantity": 1}]), json!({}));
        wanted["lines"][0]["discounts"] = discounts;
        wanted
    };
    let all = |discounts: Value| order("o", one_of("A"), json!({"discounts": discounts}));
    let good = off(gbp(1), "x");
    let reason = |reason: String| json!([good, {"value": 100, "reason": reason}]);
    let approved = |id: &str| json!([{"value": 100, "reason": "x", "approval_id": id}]);
    let many = |count: usize| Value::from(vec![good.clone(); count]);
    for (wanted, code, field) in [
        (all(json!([off(json!(0), "x")])), "discount_value_invalid", "discounts[0].value"),
        (all(json!([good, off(json!(10_001), "x")])), "discount_value_invalid", "discounts[1].value"),
        (first(json!([off(gbp(0), "x")])), "discount_value_invalid", "lines[0].discounts[0].value"),
        (first(json!([off(gbp(-1), "x")])), "discount_value_invalid", "lines[0].discounts[0].value"),
        (
            all(json!([off(json!({"amount": 1, "currency": "CHF"}), "x")])),
            "currency_mismatch",
            "discounts[0].value",
        ),
        (all(json!([off(gbp(1_000_000_000_001), "x")])), "discount_out_of_range", "discounts[0].value"),
        // Of 2.55 in all, of 5.10 on the line, and of what the others leave.
        (all(json!([off(gbp(256), "x")])), "discount_above_total", "discounts[0].value"),
        (all(json!([off(gbp(200), "x"), off(gbp(56), "y")])), "discount_above_total", "discounts[0].value"),
        (first(json!([off(gbp(511), "x")])), "discount_above_total", "lines[0].discounts[0].value"),
        (
            all(json!([off(json!(10_000), "x"), off(gbp(1), "y")])),
            "discount_takes_nothing_off",
            "discounts[1].value",
        ),
        (lines(json!([off(json!(100), "x")])), "discount_takes_nothing_off", "lines[1].discounts[0].value"),
        (all(reason(String::new())), "reason_required", "discounts[1].reason"),
        (first(reason(" ".to_owned())), "reason_required", "lines[0].discounts[1].reason"),
        (all(reason("x".repeat(201))), "text_too_long", "discounts[1].reason"),
        (all(reason("4111 1111 1111 1111".to_owned())), "card_number_refused", "discounts[1].reason"),
        (first(approved("a b")), "id_malformed", "lines[0].discounts[0].approval_id"),
        (all(approved("4111111111111111")), "card_number_refused", "discounts[0].approval_id"),
        (all(approved("made-up")), "approval_not_found", "discounts[0].approval_id"),
        (all(many(21)), "too_many_discounts", "discounts[20]"),
    ] {
        let found = named(send(&world.shop.ports, "k", wanted.clone()).await);
        assert_eq!(found, (code.to_owned(), field.to_owned()), "{wanted}");
    }
    let mut spread = first(many(11));
    spread["discounts"] = many(10);
    assert_eq!(named(send(&world.shop.ports, "k", spread.clone()).await).1, "discounts[9]");
    for unread in [
        json!([{"value": 1.5, "reason": "x"}]),
        json!([{"value": 100}]),
        json!([{"value": "1", "reason": "x"}]),
    ] {
        let unread: std::result::Result<tillstream_contracts::orders::PlaceOrder, _> =
            tillstream_contracts::strict_json::typed(all(unread));
        assert!(unread.is_err());
    }
    assert_eq!(snapshot(&world), before, "a refusal changed something");
    // Twenty are as many as may be, and all of the total is as much.
    spread["discounts"] = many(8);
    spread["discounts"].as_array_mut().unwrap().push(off(gbp(510 + 400 - 19), "the rest"));
    let placed = send(&world.shop.ports, "k", spread).await.unwrap();
    assert_eq!((placed.cart.totals().unwrap().total, placed.cart.charges.manual.len()), (0, 20));
}

/// Of a sale that another system made, too: it tells what it gave.
#[tokio::test]
async fn a_recorded_sale_tells_its_discounts() {
    let world = World::open().await;
    let sale = json!({"store_id": STORE, "channel": "market", "occurred_at": "2010-11-30T10:00:00Z",
        "lines": [{"sku": "A", "quantity": 2, "discounts": [off(json!(1_000), "end of season")]}],
        "discounts": [off(gbp(9), "rounded down")], "payments": [{"tender": "card", "amount": gbp(450)}]});
    let who = caller("demo", &[Role::Integration]);
    for replayed in [false, true] {
        let sent = serde_json::from_value(sale.clone()).unwrap();
        let recorded = record(&world.shop.ports, &who, "k", sent).await.unwrap();
        let totals = recorded.cart.totals().unwrap();
        assert_eq!(
            (recorded.replayed, totals.discount, totals.total, totals.cash_rounding),
            (replayed, 60, 450, 0)
        );
    }
}

/// By its plan, as its coupons are.
#[tokio::test]
async fn a_long_order_has_its_discounts() {
    let world = World::open().await;
    let mut lines = long_lines(&world).await;
    lines[119]["discounts"] = json!([off(json!(5_000), "dented")]);
    let wanted = order("long", lines, json!({"discounts": [off(gbp(950), "many")]}));
    for replayed in [false, true] {
        let placed = send(&world.shop.ports, "k", wanted.clone()).await.unwrap();
        assert_eq!((placed.replayed, placed.cart.totals().unwrap().total), (replayed, 11_000));
    }
    assert_eq!(world.shop.counters(STORE, "P119").await.unwrap().on_hand, 9_000);
}
