//! What receipts tell of payments: who adds it up comes to what was charged, handed over and given back.

use tillstream_app::tenant_rules::settings_item;
use tillstream_domain::pricing::{PricingSettings, TaxMode, TaxRounding};
use tillstream_domain::tenant_settings::TenantSettings;

use super::*;

/// Rows of a document, with one space where there are more.
fn rows(text: &str) -> Vec<String> {
    text.lines().map(|row| row.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Asserts that these rows stand in a document, in this order.
#[track_caller]
fn assert_rows(text: &str, expected: &[&str]) {
    let rows = rows(text);
    let mut from = 0;
    for row in expected {
        let at = rows[from..].iter().position(|told| told == row);
        from += at.unwrap_or_else(|| panic!("{row:?} is not in its place in\n{text}")) + 1;
    }
}

#[tokio::test]
async fn a_tip_is_told_on_top_of_what_was_paid() {
    let world = world().await;
    world.sale("o-1").await;
    // 12.93 and a tip of 0.50: 5.50 by card, and 7.93 of 20.00 in cash.
    let paid = ["Card 5.00", "Tip 0.50", "Charged to card 5.50", "Cash 20.00", "Change 12.07"];
    for kind in ["receipt", "merchant_copy"] {
        let text = world.text(&format!("o-1.{kind}")).await;
        assert_rows(&text, &["TOTAL GBP 12.93"]);
        assert_rows(&text, &paid);
        assert_eq!(text.matches("Charged to").count(), 1, "of cash there was no tip: {text}");
        assert!(!text.contains("To pay"), "nothing was rounded: {text}");
    }
    // What undoes a sale gives its tips back.
    let void = json!({"order_id": "o-1", "reason": "Mistake"});
    let back = world.sent("void", "void_order", void).await.reply.result.order_id.unwrap();
    let text = world.text(&format!("{back}.return_receipt")).await;
    assert_rows(&text, &["REFUND GBP 12.93", "Card 5.00", "Tip 0.50", "Refunded to card 5.50", "Cash 7.93"]);
    let copy = world.text(&format!("{back}.merchant_copy")).await;
    assert_rows(&copy, &["Refund, Card 5.00", "Tip 0.50", "Refunded to card 5.50", "Refund, Cash 7.93"]);
}

#[tokio::test]
async fn what_is_rounded_to_coins_stands_below_the_total() {
    let world = world().await;
    let pricing = PricingSettings {
        tax_mode: TaxMode::Exclusive,
        tax_rounding: TaxRounding::PerLine,
        cash_increment: 5,
        cash_increments: Default::default(),
    };
    let settings = TenantSettings { pricing, ..TenantSettings::default() };
    let item = settings_item(&world.shop.scope, &settings).unwrap();
    world.database.write(Write::Put { table: Table::Catalog, item, condition: None }).await.unwrap();
    world.shop.product(STORE, "ODD", "10.02", 10).await.unwrap();
    for (action, payload) in [
        ("create_cart", json!({"cart_id": "o"})),
        ("add_line_item", json!({"cart_id": "o", "sku": "ODD", "quantity": 1})),
        ("set_tendering", json!({"cart_id": "o"})),
        ("add_payment", json!({"cart_id": "o", "tender": "cash", "amount": gbp(2_000)})),
        ("finalize_order", json!({"cart_id": "o"})),
        ("start_return", json!({"return_id": "back", "original_order_id": "o", "reason": "Broken"})),
        (
            "return_line_item",
            json!({"return_id": "back", "line_id": "l-1", "quantity": 1, "disposition": "none"}),
        ),
        ("refund_tender", json!({"return_id": "back", "tender": "cash", "amount": gbp(1_000)})),
        ("finalize_return", json!({"return_id": "back"})),
    ] {
        world.sent(action, action, payload).await;
    }
    let of_sale = ["TOTAL GBP 10.02", "Rounding -0.02", "To pay GBP 10.00", "Cash 20.00", "Change 10.00"];
    for kind in ["receipt", "merchant_copy"] {
        assert_rows(&world.text(&format!("o.{kind}")).await, &of_sale);
    }
    let text = world.text("back.return_receipt").await;
    assert_rows(&text, &["REFUND GBP 10.02", "Rounding -0.02", "To refund GBP 10.00", "Cash 10.00"]);
    let copy = world.text("back.merchant_copy").await;
    let of_return = ["TOTAL GBP 10.02", "Rounding -0.02", "To refund GBP 10.00", "Refund, Cash 10.00"];
    assert_rows(&copy, &of_return);
}
