//! Every exchange that is refused, and that nothing changed.

use tillstream_app::catalog::items::coupon_item;
use tillstream_domain::coupon::CouponDefinition;

use super::*;

#[tokio::test]
async fn every_bad_exchange_has_its_own_answer_and_changes_nothing() {
    let (shop, database) = shop().await;
    shop.product(STORE, "GONE", "10", 0).await.unwrap();
    sold(&shop, "first", &[("A", 2)]).await;
    returning(&shop, "r-1", "back", "first", &[("l-1", 1, "restock")]).await;
    tendering(&shop, "r-1", "same", &[("D", 1)]).await;
    tendering(&shop, "r-1", "dear", &[("B", 1)]).await;
    tendering(&shop, "r-1", "paid", &[("B", 1)]).await;
    pay(&shop, "r-1", "paid", "card", 1_500).await.unwrap();
    tendering(&shop, "r-1", "cheap", &[("C", 1)]).await;
    tendering(&shop, "r-1", "gone", &[("GONE", 1)]).await;
    tendering(&shop, "r-2", "beside", &[("D", 1)]).await;
    returning(&shop, "r-2", "back-beside", "first", &[("l-1", 1, "restock")]).await;
    shop.command("o", "create_cart", json!({"cart_id": "open"})).await.unwrap();
    shop.command("s", "start_return", json!({"return_id": "empty", "reason": "x"})).await.unwrap();
    returning_blind(&shop, "r-1", "refunded", &[("A", 1)]).await;
    refund(&shop, "r-1", "refunded", "cash", 100).await.unwrap();
    returning_blind(&shop, "r-1", "given-up", &[("A", 1)]).await;
    shop.command("v", "void_return", json!({"return_id": "given-up"})).await.unwrap();
    returning_blind(&shop, "r-1", "too-much", &[("A", 1)]).await;
    refund(&shop, "r-1", "too-much", "cash", 601).await.unwrap();
    let before = snapshot(&database);

    let of = |back: &str, sale: &str| json!({"return_id": back, "cart_id": sale});
    let cases = [
        ("r-1", of("back", "back"), "field_invalid", None),
        ("r-1", json!({"return_id": "back"}), "field_invalid", None),
        ("r-1", json!({"return_id": "back", "cart_id": "same", "tender": "x"}), "field_invalid", None),
        ("r-1", of("a/b", "same"), "id_malformed", None),
        ("r-1", of("back", "a/b"), "id_malformed", None),
        ("r-1", of("nothing", "same"), "cart_not_found", None),
        ("r-1", of("back", "nothing"), "cart_not_found", None),
        ("r-1", of("same", "back"), "wrong_cart_kind", None),
        ("r-1", of("back", "refunded"), "wrong_cart_kind", None),
        ("r-1", of("back", "open"), "wrong_cart_state", None),
        ("r-1", of("back", "first"), "wrong_cart_state", None),
        ("r-1", of("given-up", "same"), "wrong_cart_state", None),
        ("r-1", of("empty", "same"), "cart_empty", None),
        ("r-1", of("back", "dear"), "underpaid", Some(("due", 500))),
        ("r-1", of("back", "paid"), "overpaid", Some(("due", 500))),
        ("r-1", of("back", "cheap"), "exchange_not_settled", Some(("to_refund", 600))),
        ("r-1", of("refunded", "cheap"), "exchange_not_settled", Some(("to_refund", 500))),
        ("r-1", of("refunded", "same"), "exchange_not_settled", Some(("to_refund", 0))),
        ("r-1", of("too-much", "cheap"), "exchange_not_settled", Some(("to_refund", 600))),
        ("r-1", of("back", "gone"), "insufficient_stock", None),
        ("r-1", of("back", "beside"), "cart_of_another_register", None),
        ("r-1", of("back-beside", "same"), "cart_of_another_register", None),
        ("r-2", of("back", "same"), "cart_of_another_register", None),
    ];
    for (n, (register, payload, code, extra)) in cases.into_iter().enumerate() {
        let answer = shop.at(register, &format!("bad-{n}"), "finalize_exchange", payload.clone()).await;
        let refusal = refusal(answer);
        assert_eq!(refusal.code, code, "{payload}: {}", refusal.detail);
        if let Some((name, amount)) = extra {
            assert_eq!(refusal.extra[name], json!(amount), "{payload}");
        }
        if code == "insufficient_stock" {
            assert_eq!(refusal.extra["lines"][0]["available"], json!(0));
        }
    }
    // A key that took effect with another payload, on either of the two.
    for key in ["back-line-0", "same-tender"] {
        let answer = shop.command(key, "finalize_exchange", of("back", "same")).await;
        assert_eq!(refusal(answer).code, "idempotency_key_reused", "{key}");
    }
    for (action, payload) in [
        ("add_payment", json!({"cart_id": "dear", "tender": "exchange", "amount": gbp(1)})),
        ("refund_tender", json!({"return_id": "back", "tender": "exchange", "amount": gbp(1)})),
    ] {
        assert_eq!(refusal(shop.command("tender", action, payload).await).code, "unknown_tender", "{action}");
    }
    assert_eq!(snapshot(&database), before, "a refusal changed something");
    // What was refused goes on as if nothing had been.
    exchange(&shop, "r-1", "back", "same").await.unwrap();
}

/// Neither half is undone by itself, and nothing is undone by the attempt.
#[tokio::test]
async fn an_order_of_an_exchange_is_not_voided() {
    let (shop, database) = shop().await;
    sold(&shop, "first", &[("A", 1)]).await;
    returning(&shop, "r-1", "back", "first", &[("l-1", 1, "restock")]).await;
    tendering(&shop, "r-1", "new", &[("D", 1)]).await;
    exchange(&shop, "r-1", "back", "new").await.unwrap();
    let before = snapshot(&database);
    for (id, code) in
        [("new", "order_of_exchange"), ("back", "order_of_exchange"), ("first", "order_already_returned")]
    {
        let void = json!({"order_id": id, "reason": "rung up twice"});
        assert_eq!(refusal(shop.command(&format!("void-{id}"), "void_order", void).await).code, code);
    }
    for (id, action, name) in [("new", "finalize_order", "cart_id"), ("back", "finalize_return", "return_id")]
    {
        let payload = json!({name: id});
        assert_eq!(refusal(shop.command("again", action, payload).await).code, "wrong_cart_state");
    }
    assert_eq!(snapshot(&database), before);
}

/// A transaction takes a hundred actions: both carts, the lane, what came back of the first sale, and 96
/// products; with one more it is refused, and a return and a sale do the same.
#[tokio::test]
async fn an_exchange_of_too_many_products_is_refused() {
    let (shop, database) = shop().await;
    let skus: Vec<String> = (0..97).map(|n| format!("S-{n}")).collect();
    for sku in &skus {
        shop.product(STORE, sku, "1.00", 4).await.unwrap();
    }
    // The first goes out and comes back, so it counts once.
    let lines = |from: usize, to: usize| -> Vec<(&str, i64)> {
        skus.get(from..to).unwrap().iter().map(|sku| (sku.as_str(), 1)).collect()
    };
    sold(&shop, "first", &lines(0, 48)).await;
    let ids: Vec<String> = (1..=48).map(|n| format!("l-{n}")).collect();
    let back: Vec<(&str, i64, &str)> = ids.iter().map(|id| (id.as_str(), 1, "restock")).collect();
    returning(&shop, "r-1", "back", "first", &back).await;
    let of_both = [("S-0", 1)];
    let fits: Vec<(&str, i64)> = of_both.into_iter().chain(lines(48, 96)).collect();
    let too_many: Vec<(&str, i64)> = of_both.into_iter().chain(lines(48, 97)).collect();
    for (id, lines) in [("too-many", &too_many), ("fits", &fits)] {
        tendering(&shop, "r-1", id, lines).await;
        pay(&shop, "r-1", id, "card", i64::try_from(lines.len()).unwrap() * 100 - 4_800).await.unwrap();
    }
    let before = snapshot(&database);
    let refused = refusal(exchange(&shop, "r-1", "back", "too-many").await);
    assert_eq!(refused.code, "exchange_too_long");
    assert!(refused.detail.contains("finalize_return"), "{}", refused.detail);
    assert_eq!(snapshot(&database), before);
    exchange(&shop, "r-1", "back", "fits").await.unwrap();
    assert_eq!(on_hand(&shop, ["S-0", "S-1", "S-47", "S-48", "S-95"]).await, [3, 4, 4, 3, 3]);
}

#[tokio::test]
async fn an_exchange_needs_an_open_shift_where_sales_do() {
    let (shop, database) = shop().await;
    set(&shop, TenantSettings { sale_needs_open_shift: true, ..TenantSettings::default() }).await;
    returning_blind(&shop, "r-1", "back", &[("A", 1)]).await;
    tendering(&shop, "r-1", "new", &[("D", 1)]).await;
    let before = snapshot(&database);
    assert_eq!(refusal(exchange(&shop, "r-1", "back", "new").await).code, "no_open_shift");
    assert_eq!(snapshot(&database), before);
    shop.command("open", "open_till", json!({"shift_id": "sh"})).await.unwrap();
    exchange(&shop, "r-1", "back", "new").await.unwrap();
}

/// A coupon's last use may go to another sale while the exchange is at the counter.
#[tokio::test]
async fn a_coupon_of_the_new_sale_is_used_with_it() {
    let (shop, database) = shop().await;
    let coupon = json!({"code": "ONCE", "benefit": {"fixed_amount": {"amount": 100}}, "currency": "GBP"});
    let coupon = CouponDefinition {
        coupon: serde_json::from_value(coupon).unwrap(),
        total_limit: Some(1),
        per_customer_limit: None,
        version: 1,
    };
    let put = Write::Put {
        table: Table::Catalog,
        item: coupon_item(&shop.scope, &coupon).unwrap(),
        condition: None,
    };
    shop.ports.database.write(put).await.unwrap();
    for (back, new) in [("back-1", "new-1"), ("back-2", "new-2")] {
        returning_blind(&shop, "r-1", back, &[("A", 1)]).await;
        let key = |name: &str| format!("{new}-{name}");
        shop.command(&key("o"), "create_cart", json!({"cart_id": new})).await.unwrap();
        let line = json!({"cart_id": new, "sku": "B", "quantity": 1});
        shop.command(&key("l"), "add_line_item", line).await.unwrap();
        let redeemed = json!({"cart_id": new, "coupon_code": "ONCE"});
        shop.command(&key("c"), "apply_coupon", redeemed).await.unwrap();
        shop.command(&key("t"), "set_tendering", json!({"cart_id": new})).await.unwrap();
        pay(&shop, "r-1", new, "card", 400).await.unwrap();
    }
    exchange(&shop, "r-1", "back-1", "new-1").await.unwrap();
    let before = snapshot(&database);
    assert_eq!(refusal(exchange(&shop, "r-1", "back-2", "new-2").await).code, "coupon_limit_reached");
    assert_eq!(snapshot(&database), before);
}

/// What came back another way since the return was begun is not taken back again.
#[tokio::test]
async fn what_came_back_meanwhile_is_not_exchanged() {
    let (shop, database) = shop().await;
    sold(&shop, "first", &[("A", 1)]).await;
    returning(&shop, "r-1", "back", "first", &[("l-1", 1, "restock")]).await;
    returning(&shop, "r-2", "quick", "first", &[("l-1", 1, "restock")]).await;
    tendering(&shop, "r-1", "new", &[("D", 1)]).await;
    tendering(&shop, "r-2", "quick-new", &[("D", 1)]).await;
    exchange(&shop, "r-2", "quick", "quick-new").await.unwrap();
    let before = snapshot(&database);
    assert_eq!(refusal(exchange(&shop, "r-1", "back", "new").await).code, "return_above_sold");
    assert_eq!(snapshot(&database), before);
}
