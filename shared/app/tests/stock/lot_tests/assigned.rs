//! Goods of no known lot that somebody finds to be of one.

use futures::future::join_all;

use super::*;

fn assignment(lot: Option<&str>, many: i64) -> StockUpdateRequest {
    adjustment(StockUpdateKind::Assign, lot, many)
}

#[tokio::test]
async fn what_was_of_no_known_lot_is_of_the_lot_that_is_named() {
    for step in 0..3 {
        for fault in [Fault::None, Fault::LostBefore, Fault::LostAfter] {
            let fixture = Fixture::new(41).await;
            fixture.keep_by_lots(A).await;
            fixture.lot_in("k-0", None, None, 10).await.unwrap();
            fixture.lot_in("k-1", Some("L-1"), Some(fixture.local_day(3)), 4).await.unwrap();
            let first = fixture.faulty.writes.load(std::sync::atomic::Ordering::SeqCst);
            fixture.inject(move |number| if number == first + step { fault } else { Fault::None });
            // The lot is new, and says its day.
            let day = Some(fixture.local_day(5));
            let request = StockUpdateRequest { expires_on: day, ..assignment(Some("L-2"), 6) };
            let updated = fixture.adjust_lot("a-1", &request).await.unwrap().updated;
            assert_eq!((pieces(&updated.change), pieces(&updated.stock.on_hand)), (0, 14));
            assert!(fixture.adjust_lot("a-1", &request).await.unwrap().replayed);
            assert_eq!(fixture.lots().await, [line("L-1", 4, 0), line("L-2", 6, 0), unknown(4)]);
            // What is recalled is kept aside with it, and a recall finds what was named here.
            fixture.change_lot("q-1", "L-1", Change::Quarantine).await.unwrap();
            let updated = fixture.adjust_lot("a-2", &assignment(Some("L-1"), 2)).await.unwrap().updated;
            assert_eq!((pieces(&updated.change), updated.exception_opened), (-2, false));
            assert_eq!(fixture.lots().await, [line("L-1", 0, 6), line("L-2", 6, 0), unknown(2)]);
            fixture.reserve("r-1", &fixture::request(&[(HERE, A, 8)], 60)).await.unwrap();
            let updated = fixture.adjust_lot("a-3", &assignment(Some("L-1"), 2)).await.unwrap().updated;
            assert_eq!((pieces(&updated.stock.available), updated.exception_opened), (-2, true));
            fixture.change_lot("q-2", "L-2", Change::Quarantine).await.unwrap();
            assert_eq!(fixture.lots().await, [line("L-1", 0, 8), line("L-2", 0, 6)]);
            fixture.heal();
            fixture.check_lots().await;
            fixture.relay(|_| true).await;
            let rows = fixture.rows_of_ledger(A);
            let of_kind = rows.iter().filter(|row| row.opt_text("kind") == Some("lot_assign")).count();
            assert_eq!(of_kind, 3);
            let proof = conservation::prove(&fixture.ports, &fixture.caller, HERE, A).await.unwrap();
            assert!(proof.holds && proof.lots.is_some_and(|lots| lots.holds));
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_an_assignment_is_told_and_changes_nothing() {
    let fixture = Fixture::new(42).await;
    fixture.keep_by_lots(A).await;
    fixture.keep_by_lots(B).await;
    fixture.lot_in("k-0", None, None, 4).await.unwrap();
    fixture.lot_in("k-1", Some("L-1"), Some(fixture.local_day(3)), 5).await.unwrap();
    fixture.count(HERE, B, 5).await;
    fixture.count(HERE, SKUS[2], 5).await;
    let untouched = fixture.memory.items(Table::Stock);
    let of = |sku: &str, lot: &str| StockUpdateRequest { sku: sku.into(), ..assignment(Some(lot), 1) };
    let day = Some(fixture.local_day(4));
    for (request, expected) in [
        (assignment(None, 1), "lot_required"),
        (assignment(Some("L-1"), 5), "insufficient_stock"),
        (assignment(Some("L-1"), 0), "quantity_invalid"),
        (assignment(Some("L-1"), -1), "quantity_invalid"),
        (assignment(Some("a/b"), 1), "id_malformed"),
        (of(B, "L-1"), "lot_of_another_sku"),
        (of(SKUS[2], "L-9"), "sku_without_lots"),
        (of("unknown", "L-9"), "sku_unknown"),
        (
            StockUpdateRequest { location_id: "s-york".into(), ..assignment(Some("L-1"), 1) },
            "insufficient_stock",
        ),
        (StockUpdateRequest { expires_on: day, ..assignment(Some("L-1"), 1) }, "lot_expires_otherwise"),
        (StockUpdateRequest { expected_version: Some(1), ..assignment(Some("L-1"), 1) }, "version_conflict"),
    ] {
        let refused = fixture.adjust_lot("a", &request).await;
        assert_eq!(code(&refused), expected, "{request:?}");
    }
    let short = refusal(fixture.adjust_lot("a", &assignment(Some("L-1"), 5)).await);
    assert_eq!((short.extra["unknown"].as_i64(), short.errors[0].field.as_str()), (Some(4), "quantity"));
    assert_eq!(fixture.memory.items(Table::Stock), untouched);
}

/// Twenty say at once of a piece each that it is of the lot, where ten are of no known lot.
#[tokio::test]
async fn of_what_is_of_no_known_lot_each_piece_is_named_once() {
    for seed in 0..10 {
        let fixture = Arc::new(Fixture::new(50 + seed).await);
        fixture.keep_by_lots(A).await;
        fixture.lot_in("k-0", None, None, 10).await.unwrap();
        let tasks = (0..20).map(|n| {
            let fixture = fixture.clone();
            tokio::spawn(async move {
                loop {
                    match fixture.adjust_lot(&format!("a-{n}"), &assignment(Some("L-1"), 1)).await {
                        Err(Error::Retryable { .. } | Error::Conflict(_)) => {}
                        Err(refused) => {
                            assert_eq!(refused.code(), Some("insufficient_stock"));
                            return 0;
                        }
                        Ok(_) => return 1,
                    }
                }
            })
        });
        let named: i32 = join_all(tasks).await.into_iter().map(Result::unwrap).sum();
        assert_eq!(named, 10, "seed {seed}");
        assert_eq!(fixture.lots().await, [line("L-1", 10, 0)]);
        fixture.check_lots().await;
    }
}
