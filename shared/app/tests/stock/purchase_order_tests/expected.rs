//! What somebody is told who wants goods that are on order.

use super::*;

/// Orders of one SKU at one location, by when they are expected.
async fn expecting(fixture: &Fixture, days: &[u64]) {
    for day in days {
        let mut order = request(&[(A, 10 + i64::try_from(*day).unwrap())]);
        order.purchase_order_id = Some(format!("po-{day}"));
        order.expected_at = Some(fixture.environment.now() + Duration::from_secs(day * 86_400));
        fixture.order(&format!("k-{day}"), &order).await.unwrap();
    }
}

fn days_told(fixture: &Fixture, line: &Value) -> Vec<(i64, i64)> {
    let expected = line["expected"].as_array().unwrap();
    let day = |at: &Value| {
        let at: Timestamp = at.as_str().unwrap().parse().unwrap();
        (at.as_millisecond() - fixture.environment.now().as_millisecond()) / 86_400_000
    };
    expected.iter().map(|told| (told["quantity"].as_i64().unwrap(), day(&told["at"]))).collect()
}

#[tokio::test]
async fn a_refusal_says_when_more_comes_the_soonest_first() {
    let fixture = fixture(22).await;
    fixture.count(HERE, A, 3).await;
    let refused = async |sku: &str| {
        let wanted = fixture::request(&[(HERE, sku, 4)], 60);
        let refused = refusal(fixture.reserve("v", &wanted).await.unwrap_err());
        assert_eq!(refused.code, "insufficient_stock");
        refused.extra["lines"][0].clone()
    };
    assert_eq!((&refused(A).await["incoming"], &refused(A).await["expected"]), (&json!(0), &json!([])));
    // No stock item at all.
    assert_eq!((&refused(B).await["incoming"], &refused(B).await["expected"]), (&json!(0), &json!([])));
    expecting(&fixture, &[9, 2, 30, 4]).await;
    let line = refused(A).await;
    assert_eq!(line["incoming"], json!(85));
    assert_eq!(days_told(&fixture, &line), [(12, 2), (14, 4), (19, 9), (40, 30)]);
    // What arrives, or does not come, is expected no more.
    fixture.ask_of("r", "po-4", Asked::Receive(&arrived(&[(A, 0, 14)]))).await.unwrap();
    fixture.ask_of("r", "po-2", Asked::Receive(&arrived(&[(A, 0, 5)]))).await.unwrap();
    fixture.ask_of("c", "po-9", Asked::Cancel(&ended())).await.unwrap();
    let line = refused(A).await;
    assert_eq!((&line["incoming"], days_told(&fixture, &line)), (&json!(47), vec![(7, 2), (40, 30)]));
    // At most five; while the stock is split too.
    expecting(&fixture, &[5, 6, 7, 8]).await;
    let line = refused(A).await;
    assert_eq!(days_told(&fixture, &line), [(7, 2), (15, 5), (16, 6), (17, 7), (18, 8)]);
    split(&fixture.ports, fixture.scope(), HERE, A, 3).await.unwrap();
    let line = refused(A).await;
    assert_eq!((&line["available"], &line["incoming"]), (&json!(3), &json!(113)));
    assert_eq!(days_told(&fixture, &line).len(), 5);
    // Elsewhere nothing is expected, and what HQ told of is not by an order.
    let there = fixture::request(&[("s-york", A, 1)], 60);
    let there = refusal(fixture.reserve("w", &there).await.unwrap_err());
    assert_eq!(there.extra["lines"][0]["expected"], json!([]));
}
