//! What another system asked for a sale: a minor unit a line is rounding, and stands wherever the sale is told;
//! more is another total, and refused.

use serde_json::{Value, json};
use tillstream_app::documents::read::get;
use tillstream_app::facts::sale_event;
use tillstream_app::orders::record::record;
use tillstream_app::pos::cart_item::cart_of;
use tillstream_app::pos::cart_write::Executed;
use tillstream_app::tenancy::Role;
use tillstream_app::{Error, Result};
use tillstream_documents::Format;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop, caller};

use super::fixture::{cart_item, gbp, order, sent, shop, snapshot};

/// Three lines, of 6.00 together.
fn sale(id: &str, changed: &Value) -> Value {
    let line = json!({"sku": "A", "quantity": 1, "unit_price": "2.00"});
    let mut sale = json!({"order_id": id, "store_id": STORE, "channel": "market",
        "occurred_at": "2026-03-02T08:30:00Z", "lines": [line, line, line]});
    for (name, value) in changed.as_object().unwrap() {
        sale[name] = value.clone();
    }
    sale
}

fn paid(tender: &str, amount: i64) -> Value {
    json!([{"tender": tender, "amount": gbp(amount), "tip": gbp(11)}])
}

async fn recorded(shop: &Shop, key: &str, sale: Value) -> Result<Executed> {
    let sale = tillstream_contracts::strict_json::typed(sale).unwrap();
    record(&shop.ports, &caller("demo", &[Role::Integration]), key, sale).await
}

/// Net sales + tax + tips + rounding is what was paid, as figures are told it; lines sum exactly. Answers the rounding.
fn exact(shop: &Shop, database: &MemoryDatabase, id: &str) -> i64 {
    let cart = cart_of(&cart_item(database, id)).unwrap();
    let totals = cart.totals().unwrap();
    let detail = sale_event(&shop.scope, &cart).unwrap().detail.unwrap();
    let net: i64 = detail.lines.iter().map(|line| line.gross - line.discount).sum();
    let tax: i64 = detail.lines.iter().map(|line| line.tax).sum();
    let kept: i64 = detail.payments.iter().map(|payment| payment.amount + payment.tip).sum();
    assert_eq!(net + tax, totals.total);
    assert_eq!(net + tax + totals.tips + totals.cash_rounding, kept);
    totals.cash_rounding
}

async fn receipt(shop: &Shop, id: &str) -> String {
    let who = caller("demo", &[Role::StoreManager]);
    let made = get(&shop.ports, &who, id, Format::Text, false).await.unwrap();
    String::from_utf8(made.document.bytes).unwrap()
}

#[tokio::test]
async fn a_unit_a_line_is_rounding_wherever_the_sale_is_told() {
    for (payments, total, rounding, change) in [
        (paid("card", 600), None, 0, 0),
        (paid("card", 603), None, 3, 0),
        (paid("card", 597), None, -3, 0),
        (paid("card", 601), Some(601), 1, 0),
        (paid("cash", 1_000), Some(599), -1, 401),
        (paid("cash", 601), None, 0, 1),
        (json!([]), Some(602), 2, 0),
    ] {
        let (shop, database) = shop().await;
        let mut changed = json!({"payments": payments});
        if let Some(total) = total {
            changed["total"] = gbp(total);
        }
        for replayed in [false, true] {
            let executed = recorded(&shop, "k", sale("s", &changed)).await.unwrap();
            assert_eq!(executed.replayed, replayed);
        }
        assert_eq!(exact(&shop, &database, "s"), rounding, "{changed}");
        let read = order(&shop, "s").await;
        let totals = &read["totals"];
        assert_eq!((&totals["total"], &totals["cash_rounding"]), (&gbp(600), &gbp(rounding)), "{changed}");
        assert_eq!((&totals["change"], &totals["due"]), (&gbp(change), &gbp(0)));
        let text = receipt(&shop, "s.receipt").await;
        assert_eq!(text.contains("Rounding"), rounding != 0, "{text}");

        // A void gives back what was paid, and not what the lines come to.
        let void = json!({"order_id": "s", "reason": "x"});
        let at = "2026-03-02T09:00:00Z";
        sent(&shop, Role::StoreManager, ("r-1", "v"), ("void_order", void), at).await.unwrap();
        let undone = order(&shop, "s").await;
        let given: i64 = undone["refunds"]
            .as_array()
            .unwrap()
            .iter()
            .map(|refund| refund["amount"]["amount"].as_i64().unwrap())
            .sum();
        assert_eq!(given, 600 + rounding, "{undone}");
        let back = undone["undone_by"].as_str().unwrap();
        assert_eq!(exact(&shop, &database, back), rounding);
    }
}

#[tokio::test]
async fn another_total_is_refused_with_both() {
    let (shop, database) = shop().await;
    let before = snapshot(&database);
    for (payments, total, asked, field) in [
        (paid("card", 604), None, 604, "payments"),
        (paid("card", 596), None, 596, "payments"),
        (paid("cash", 596), None, 596, "payments"),
        (paid("card", 604), Some(604), 604, "total"),
        (paid("card", 600), Some(596), 596, "total"),
        (json!([]), Some(0), 0, "total"),
    ] {
        let mut changed = json!({"payments": payments});
        if let Some(total) = total {
            changed["total"] = gbp(total);
        }
        let Err(Error::Rejected(refusal)) = recorded(&shop, "k", sale("s", &changed)).await else {
            panic!("{changed}")
        };
        assert_eq!((refusal.code, refusal.errors[0].field.as_str()), ("recorded_total_differs", field));
        let told = ["total", "asked", "most"].map(|name| refusal.extra[name].as_i64().unwrap());
        assert_eq!(told, [600, asked, 3]);
        assert!(refusal.detail.contains("600") && refusal.detail.contains(&asked.to_string()));
    }
    for (changed, code, field) in [
        (json!({"total": {"amount": 600, "currency": "CHF"}}), "currency_mismatch", "total"),
        (json!({"total": gbp(-1)}), "amount_out_of_range", "total"),
        (json!({"total": gbp(601), "payments": paid("card", 600)}), "underpaid", ""),
        (json!({"total": gbp(601), "payments": paid("card", 602)}), "overpaid", ""),
        (json!({"payments": paid("shells", 600)}), "unknown_tender", "payments[0].tender"),
    ] {
        let Err(Error::Rejected(refusal)) = recorded(&shop, "k", sale("s", &changed)).await else {
            panic!("{changed}")
        };
        let named = refusal.errors.first().map_or("", |error| error.field.as_str());
        assert_eq!((refusal.code, named), (code, field), "{changed}");
    }
    assert_eq!(snapshot(&database), before, "a refusal changed something");
    // An order that is placed here has no other total: it is priced here.
    let placed = super::fixture::placed(&shop, "o", &[("A", 1)], paid("card", 254)).await;
    assert_eq!(placed.unwrap_err().code(), Some("underpaid"));
}

/// What comes back line by line is worth the lines; the last of it gets what is left.
#[tokio::test]
async fn what_comes_back_of_it_is_refunded_up_to_what_was_paid() {
    for (asked, refunds) in [(598, [200, 200, 198]), (602, [200, 200, 200])] {
        let (shop, database) = shop().await;
        recorded(&shop, "k", sale("s", &json!({"payments": paid("card", asked)}))).await.unwrap();
        let at = "2026-03-02T09:00:00Z";
        let till = async |key: &str, action: &str, payload: Value| {
            sent(&shop, Role::StoreManager, ("r-1", key), (action, payload), at).await
        };
        for (n, refund) in refunds.into_iter().enumerate() {
            let id = format!("back-{n}");
            let start = json!({"return_id": id, "original_order_id": "s", "reason": "x"});
            till(&format!("{id}-1"), "start_return", start).await.unwrap();
            let line = json!({"return_id": id, "line_id": format!("l-{}", n + 1), "quantity": 1, "disposition": "restock"});
            till(&format!("{id}-2"), "return_line_item", line).await.unwrap();
            let pay = |amount: i64| json!({"return_id": id, "tender": "card", "amount": gbp(amount)});
            if refund < 200 {
                let refused = till(&format!("{id}-x"), "refund_tender", pay(200)).await.unwrap_err();
                assert_eq!(refused.code(), Some("refund_above_paid"));
            }
            till(&format!("{id}-3"), "refund_tender", pay(refund)).await.unwrap();
            till(&format!("{id}-4"), "finalize_return", json!({"return_id": id})).await.unwrap();
            assert_eq!(exact(&shop, &database, &id), refund - 200);
        }
    }
}

/// Of more SKUs than a transaction takes: by a plan, to the unit.
#[tokio::test]
async fn a_long_sale_keeps_what_was_asked() {
    let (shop, database) = shop().await;
    let mut lines = Vec::new();
    for n in 0..120 {
        let sku = format!("P{n}");
        shop.product(STORE, &sku, "1.00", 5).await.unwrap();
        lines.push(json!({"sku": sku, "quantity": 1, "unit_price": "1.00"}));
    }
    let asked = json!({"lines": lines, "total": gbp(11_880), "payments": paid("card", 11_880)});
    for _ in 0..2 {
        recorded(&shop, "k", sale("long", &asked)).await.unwrap();
    }
    assert_eq!(exact(&shop, &database, "long"), -120);
}
