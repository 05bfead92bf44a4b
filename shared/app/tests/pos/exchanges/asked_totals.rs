//! What a register asked for an exchange: it must be what both carts come to, the sale less the return, before coins.

use super::*;

async fn asked(shop: &Shop, key: &str, total: Value) -> Result<Answered> {
    let payload = json!({"return_id": "back", "cart_id": "new", "total": total});
    shop.at("r-1", key, "finalize_exchange", payload).await
}

/// What comes back, what goes out, the smallest coin, what is paid and refunded for it in cash, and what it comes to.
const CASES: [(&str, &str, u32, i64, i64, i64); 4] = [
    ("A", "B", 1, 2_000, 0, 500),
    ("B", "A", 1, 0, 500, -500),
    ("A", "D", 1, 0, 0, 0),
    // 6.67, of which coins pay 6.65.
    ("ODD", "A", 5, 1_000, 0, 667),
];

#[tokio::test]
async fn the_right_total_is_taken_and_any_other_refused() {
    for (returned, bought, coin, paid, refunded, total) in CASES {
        let (shop, database) = shop().await;
        let mut settings = TenantSettings::default();
        settings.pricing.cash_increment = coin;
        set(&shop, settings).await;
        returning_blind(&shop, "r-1", "back", &[(returned, 1)]).await;
        tendering(&shop, "r-1", "new", &[(bought, 1)]).await;
        if total != 0 {
            // Another total is told before what is paid is looked at.
            let unpaid = refusal(asked(&shop, "unpaid", gbp(total + 1)).await);
            assert_eq!(unpaid.code, "total_differs", "{total}");
            let unpaid = refusal(asked(&shop, "unpaid", gbp(total)).await);
            let missing = if total > 0 { "underpaid" } else { "exchange_not_settled" };
            assert_eq!(unpaid.code, missing, "{total}");
        }
        if paid > 0 {
            pay(&shop, "r-1", "new", "cash", paid).await.unwrap();
        }
        if refunded > 0 {
            refund(&shop, "r-1", "back", "cash", refunded).await.unwrap();
        }
        let before = snapshot(&database);
        let mut others = vec![total + 1, total - 1, price(bought)];
        others.extend((total != 0).then_some(-total));
        for (n, other) in others.into_iter().enumerate() {
            let refused = refusal(asked(&shop, &format!("other-{n}"), gbp(other)).await);
            assert_eq!(refused.code, "total_differs", "{total}: {other}");
            assert_eq!(refused.kind, tillstream_app::RefusalKind::Conflict);
            assert_eq!(refused.errors[0].field, "payload.total");
            assert_eq!((&refused.extra["total"], &refused.extra["asked"]), (&json!(total), &json!(other)));
            assert_eq!(snapshot(&database), before, "{total}: {other} changed something");
        }
        let done = asked(&shop, "right", gbp(total)).await.unwrap();
        assert!(!done.replayed);
        assert_eq!(order(&shop, "new").await.totals.due.amount, 0);
        let after = snapshot(&database);
        let again = asked(&shop, "right", gbp(total)).await.unwrap();
        assert!(again.replayed);
        assert_eq!(result(&again), result(&done));
        let other = refusal(asked(&shop, "right", gbp(total + 1)).await);
        assert_eq!(other.code, "idempotency_key_reused");
        assert_eq!(snapshot(&database), after, "{total}: it was made final once");
    }
}

#[tokio::test]
async fn a_total_that_is_none_is_refused() {
    let (shop, database) = shop().await;
    returning_blind(&shop, "r-1", "back", &[("A", 1)]).await;
    tendering(&shop, "r-1", "new", &[("D", 1)]).await;
    let before = snapshot(&database);
    for (n, (total, code)) in [
        (json!({"amount": 0, "currency": "EUR"}), "currency_mismatch"),
        (gbp(1_000_000_000_001), "amount_out_of_range"),
        (gbp(-1_000_000_000_001), "amount_out_of_range"),
        (json!(0), "field_invalid"),
        (json!("0.00"), "field_invalid"),
    ]
    .into_iter()
    .enumerate()
    {
        let refused = refusal(asked(&shop, &format!("bad-{n}"), total.clone()).await);
        assert_eq!(refused.code, code, "{total}: {}", refused.detail);
        assert_eq!(snapshot(&database), before, "{total}");
    }
    asked(&shop, "right", gbp(0)).await.unwrap();
}
