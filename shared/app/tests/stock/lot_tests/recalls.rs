//! Lots that are recalled, and released again.

use super::*;

#[tokio::test]
async fn a_recalled_lot_is_sold_nowhere_until_it_is_released() {
    let fixture = Fixture::new(3).await;
    fixture.keep_by_lots(A).await;
    for (n, location_id) in LOCATIONS.into_iter().enumerate() {
        let there = |lot: &str, many| RestockRequest {
            location_id: location_id.into(),
            ..delivery(Some(lot), None, many)
        };
        let (bad, good) = (format!("bad-{n}"), format!("good-{n}"));
        restock(&fixture.ports, &fixture.caller, &bad, &there("BAD", 5)).await.unwrap();
        restock(&fixture.ports, &fixture.caller, &good, &there("GOOD", 2)).await.unwrap();
    }
    let held = fixture.reserve("r-1", &fixture::request(&[(HERE, A, 4)], 60)).await.unwrap().reservation;
    fixture.sell_at_till(A, "o-1", 1).await.unwrap();
    let recalled = fixture.change_lot("q", "BAD", Change::Quarantine).await.unwrap();
    assert_eq!(
        (recalled.lot.status, recalled.lot.version, recalled.replayed),
        (LotStatus::Quarantined, 2, false)
    );
    assert_eq!(fixture.lots().await, [line("BAD", 0, 4), line("GOOD", 2, 0)]);
    assert_eq!(fixture.lots_at("w-hull").await, [line("BAD", 0, 5), line("GOOD", 2, 0)]);
    let stock = fixture.stock(HERE, A).await;
    assert_eq!(
        (stock.on_hand, stock.reserved, stock.available, stock.quarantined),
        (2_000, 4_000, -2_000, 4_000)
    );
    let level = read::one(&fixture.ports, &fixture.caller, HERE, A).await.unwrap();
    assert_eq!(level.quarantined, Some(whole(4)));
    let query = tillstream_contracts::inventory::ExceptionQuery {
        location_id: HERE.into(),
        status: None,
        limit: None,
        cursor: None,
    };
    let opened =
        tillstream_app::stock::exceptions::list(&fixture.ports, &fixture.caller, &query).await.unwrap();
    assert_eq!(opened.items.iter().map(|one| pieces(&one.quantity)).collect::<Vec<_>>(), [2]);
    // What is promised beyond what is left is not handed out.
    let all = CommitRequest::default();
    let refused =
        reservations::commit(&fixture.ports, &fixture.caller, "c-1", &held.reservation_id, &all).await;
    assert_eq!(code(&refused), "insufficient_stock");
    assert!(fixture.sell_at_till(A, "o-2", 1).await.is_err());
    // A replay answers the same, and what comes in of it is kept aside.
    let again = fixture.change_lot("q", "BAD", Change::Quarantine).await.unwrap();
    assert_eq!((&again.lot, again.replayed), (&recalled.lot, true));
    assert_eq!(code(&fixture.change_lot("q-2", "BAD", Change::Quarantine).await), "lot_status_same");
    let other = ChangeLotRequest { reason: "another".into() };
    let reused =
        recall::change(&fixture.ports, &fixture.caller, "q", "BAD", Change::Quarantine, &other).await;
    assert_eq!(code(&reused), "idempotency_key_reused");
    let came = fixture.lot_in("k-7", Some("BAD"), None, 3).await.unwrap().restocked;
    assert_eq!((pieces(&came.stock.on_hand), came.stock.quarantined), (2, Some(whole(7))));
    fixture.adjust_lot("a-1", &adjustment(StockUpdateKind::Delta, Some("BAD"), -2)).await.unwrap();
    assert_eq!(fixture.lots().await, [line("BAD", 0, 5), line("GOOD", 2, 0)]);
    let short = fixture.adjust_lot("a-2", &adjustment(StockUpdateKind::Delta, Some("BAD"), -6)).await;
    assert_eq!(code(&short), "insufficient_stock");
    fixture.check_lots().await;
    let released = fixture.change_lot("f", "BAD", Change::Release).await.unwrap();
    assert_eq!((released.lot.status, released.lot.version), (LotStatus::Sellable, 3));
    assert_eq!(fixture.lots().await, [line("BAD", 5, 0), line("GOOD", 2, 0)]);
    let opened =
        tillstream_app::stock::exceptions::list(&fixture.ports, &fixture.caller, &query).await.unwrap();
    assert!(opened.items.is_empty(), "as much is there as is promised: {opened:?}");
    // The key of the recall does not recall it again.
    let old = fixture.change_lot("q", "BAD", Change::Quarantine).await.unwrap();
    assert_eq!((&old.lot, old.replayed), (&recalled.lot, true));
    assert_eq!(fixture.stock(HERE, A).await.quarantined, 0);
    let one = list::one(&fixture.ports, &fixture.caller, "BAD", Some(2), None).await.unwrap();
    assert_eq!((one.lot.status, one.locations.len()), (LotStatus::Sellable, 2));
    let rest = list::one(&fixture.ports, &fixture.caller, "BAD", Some(2), one.next_cursor.as_deref()).await;
    assert_eq!(rest.unwrap().locations.len(), 1);
    reservations::commit(&fixture.ports, &fixture.caller, "c-2", &held.reservation_id, &all).await.unwrap();
    fixture.check_lots().await;
    fixture.relay(|_| true).await;
    let proof = conservation::prove(&fixture.ports, &fixture.caller, HERE, A).await.unwrap();
    assert!(proof.holds && proof.lots.is_some_and(|lots| lots.holds));
}

/// Wherever a recall is cut off, it is done by whoever repeats it, or by the keeper, once.
#[tokio::test]
async fn a_recall_that_was_cut_off_is_finished() {
    let mut cut_off = 0;
    for repeats in [true, false] {
        for step in 0..8 {
            for fault in [Fault::LostBefore, Fault::LostAfter] {
                let fixture = Fixture::new(7).await;
                fixture.keep_by_lots(A).await;
                for (n, location_id) in LOCATIONS.into_iter().enumerate() {
                    let request =
                        RestockRequest { location_id: location_id.into(), ..delivery(Some("BAD"), None, 5) };
                    let key = format!("k-{n}");
                    restock(&fixture.ports, &fixture.caller, &key, &request).await.unwrap();
                }
                let first = fixture.faulty.writes.load(std::sync::atomic::Ordering::SeqCst) + step;
                // From there on nothing gets through: the process is gone, but for what it wrote last.
                fixture.inject(move |number| match number {
                    number if number == first => fault,
                    number if number > first => Fault::LostBefore,
                    _ => Fault::None,
                });
                let answer = fixture.change_lot("q", "BAD", Change::Quarantine).await;
                fixture.heal();
                cut_off += i32::from(answer.is_err());
                fixture.check_lots().await;
                fixture.pass(60);
                let now = fixture.environment.now();
                if repeats {
                    let again = fixture.change_lot("q", "BAD", Change::Quarantine).await.unwrap();
                    assert_eq!(again.lot.version, 2);
                } else {
                    recall::recover(&fixture.ports, now, 10, Timestamp::MAX).await.unwrap();
                    let one = list::one(&fixture.ports, &fixture.caller, "BAD", None, None).await.unwrap();
                    if one.lot.status == LotStatus::Sellable {
                        assert!(step == 0 && fault == Fault::LostBefore, "step {step}");
                        continue;
                    }
                }
                for location_id in LOCATIONS {
                    assert_eq!(fixture.lots_at(location_id).await, [line("BAD", 0, 5)], "step {step}");
                    let stock = fixture.stock(location_id, A).await;
                    assert_eq!((stock.on_hand, stock.quarantined, stock.seq), (0, 5_000, 2), "step {step}");
                }
                let left = recall::recover(&fixture.ports, now, 10, Timestamp::MAX).await.unwrap();
                assert_eq!(left, 0, "nothing is left to do");
            }
        }
    }
    assert!(cut_off >= 14, "{cut_off}");
}

/// Goods of a lot come in while it is recalled: whichever comes first, none of it is for sale afterwards.
#[tokio::test]
async fn nothing_of_a_lot_slips_in_while_it_is_recalled() {
    for seed in 0..40 {
        let fixture = Arc::new(Fixture::new(seed).await);
        fixture.keep_by_lots(A).await;
        fixture.lot_in("k-0", Some("BAD"), None, 1).await.unwrap();
        let deliveries = (0..12).map(|n| {
            let fixture = fixture.clone();
            let location_id = LOCATIONS[n % LOCATIONS.len()];
            tokio::spawn(async move {
                let request =
                    RestockRequest { location_id: location_id.into(), ..delivery(Some("BAD"), None, 1) };
                restock(&fixture.ports, &fixture.caller, &format!("d-{n}"), &request).await.map(drop)
            })
        });
        let mut tasks: Vec<_> = deliveries.collect();
        let recalling = fixture.clone();
        let at = usize::try_from(fixture.environment.random() % 12).unwrap();
        tasks.insert(
            at,
            tokio::spawn(async move { recalling.change_lot("q", "BAD", Change::Quarantine).await.map(drop) }),
        );
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        let mut all = 0;
        for location_id in LOCATIONS {
            for (lot, on_hand, quarantined) in fixture.lots_at(location_id).await {
                assert_eq!((lot.as_deref(), on_hand), (Some("BAD"), 0), "seed {seed}");
                all += quarantined;
            }
        }
        assert_eq!(all, 13, "seed {seed}");
        fixture.check_lots().await;
    }
}

/// A recall is cut off before it came here, and somebody counts the lot: it is kept aside first, and counted once.
#[tokio::test]
async fn a_lot_is_counted_as_the_recall_says_also_before_it_came_there() {
    for (change, on_hand, aside) in [(Change::Quarantine, 0, 4), (Change::Release, 4, 0)] {
        let fixture = Fixture::new(13).await;
        fixture.keep_by_lots(A).await;
        fixture.lot_in("k-1", Some("L-1"), None, 5).await.unwrap();
        if change == Change::Release {
            fixture.change_lot("q", "L-1", Change::Quarantine).await.unwrap();
        }
        let first = fixture.faulty.writes.load(std::sync::atomic::Ordering::SeqCst);
        fixture.inject(move |number| if number > first { Fault::LostBefore } else { Fault::None });
        assert!(fixture.change_lot("c", "L-1", change).await.is_err());
        fixture.heal();
        let counted = adjustment(StockUpdateKind::Set, Some("L-1"), 4);
        let updated = fixture.adjust_lot("a", &counted).await.unwrap().updated;
        assert_eq!(fixture.lots().await, [line("L-1", on_hand, aside)]);
        assert_eq!(pieces(&updated.stock.on_hand), on_hand);
        fixture.check_lots().await;
    }
}
