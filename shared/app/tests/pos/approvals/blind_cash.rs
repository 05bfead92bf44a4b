//! What goes out in cash without a sale is what was approved at most: in coins, too.

use super::*;

#[tokio::test]
async fn no_coin_above_what_was_approved_goes_out() {
    let world = World::new().await;
    let pricing = json!({"tax_mode": "inclusive", "tax_rounding": "per_line", "cash_increment": 5});
    world.settings("coins", json!({"pricing": pricing})).await;
    // Of what is worth 10.03 the nearest coin is 10.05.
    for (n, (most, refused, payable, settled)) in [
        (1_003, 1_005, 1_000, 1_000),
        (1_004, 1_005, 1_000, 1_000),
        (1_005, 1_010, 1_005, 1_005),
        (2_000, 1_010, 1_005, 1_005),
    ]
    .into_iter()
    .enumerate()
    {
        let (approval, id) = (format!("ap-{n}"), format!("b-{n}"));
        world.granted(&approval, blind(most)).await;
        let start = json!({"return_id": id, "reason": "no receipt", "approval_id": approval});
        world.till(&format!("s-{n}"), "start_return", start).await.unwrap();
        let line = json!({"return_id": id, "sku": "A", "quantity": 1, "unit_price": "10.03", "disposition": "restock"});
        world.till(&format!("l-{n}"), "return_line_item", line).await.unwrap();
        let refund = |amount: i64| json!({"return_id": id, "tender": "cash", "amount": gbp(amount)});
        let before = world.items();
        let above = refusal(world.till(&format!("x-{n}"), "refund_tender", refund(refused)).await);
        if most < refused && refused == 1_005 {
            assert_eq!(above.code, "approval_does_not_match");
            assert_eq!(above.extra["maximum_refund"], json!(most));
        } else {
            assert_eq!(above.code, "overpaid");
        }
        let odd = refusal(world.till(&format!("y-{n}"), "refund_tender", refund(1_003)).await);
        assert_eq!((odd.code, &odd.extra["payable"]), ("cash_not_in_coins", &json!(payable)), "{most}");
        assert_eq!(world.items(), before, "what is refused changes nothing");
        world.till(&format!("r-{n}"), "refund_tender", refund(settled)).await.unwrap();
        let done = world.till(&format!("f-{n}"), "finalize_return", json!({"return_id": id})).await.unwrap();
        let totals = view(&done)["totals"].clone();
        assert_eq!((&totals["paid"], &totals["due"]), (&gbp(settled), &gbp(0)), "{most}");
        assert_eq!(totals["cash_rounding"], gbp(settled - 1_003), "{most}");
    }
}

/// In parts, and by other tenders, it is no more either; and nothing gets stuck.
#[tokio::test]
async fn parts_of_it_are_no_more_together() {
    let world = World::new().await;
    let pricing = json!({"tax_mode": "inclusive", "tax_rounding": "per_line", "cash_increment": 5});
    world.settings("coins", json!({"pricing": pricing})).await;
    for (n, parts) in [
        [("cash", 995, None), ("cash", 10, Some("approval_does_not_match")), ("cash", 5, None)],
        [("card", 3, None), ("cash", 1_005, Some("overpaid")), ("cash", 1_000, None)],
        [("cash", 1_000, None), ("card", 3, Some("overpaid")), ("cash", 0, Some("amount_not_positive"))],
    ]
    .into_iter()
    .enumerate()
    {
        let (approval, id) = (format!("ap-{n}"), format!("b-{n}"));
        world.granted(&approval, blind(1_003)).await;
        let start = json!({"return_id": id, "reason": "no receipt", "approval_id": approval});
        world.till(&format!("s-{n}"), "start_return", start).await.unwrap();
        let line = json!({"return_id": id, "sku": "A", "quantity": 1, "unit_price": "10.03", "disposition": "restock"});
        world.till(&format!("l-{n}"), "return_line_item", line).await.unwrap();
        for (m, (tender, amount, refused)) in parts.into_iter().enumerate() {
            let refund = json!({"return_id": id, "tender": tender, "amount": gbp(amount)});
            let answer = world.till(&format!("r-{n}-{m}"), "refund_tender", refund).await;
            assert_eq!(code(answer), refused, "{tender} {amount}");
        }
        world.till(&format!("f-{n}"), "finalize_return", json!({"return_id": id})).await.unwrap();
    }
}
