//! Goods of lots that are on their way to or from a location that was closed meanwhile.

use tillstream_contracts::transfers::TransferStatusView;

use super::*;

/// What of each lot of a shipment is on its way still, in thousandths.
fn on_their_way(fixture: &Fixture) -> i64 {
    let items = fixture.memory.items(Table::Stock).into_iter();
    let notes = items.filter(|item| item.text("pk").unwrap().contains("#transfer-lots#"));
    notes.flat_map(|note| note.json::<Vec<ShippedLot>>("of_line").unwrap()).map(|lot| lot.outstanding()).sum()
}

#[tokio::test]
async fn what_is_under_way_ends_where_a_location_was_closed_meanwhile() {
    let closings: [&[&str]; 3] = [&[HERE], &[THERE], &[HERE, THERE]];
    for closed in closings {
        for how in ["receive", "refuse", "damage", "cancel"] {
            let label = format!("{how}, closed {closed:?}");
            let fixture = two_lots(41).await;
            send(&fixture, "s", &[(A, 7)]).await.unwrap();
            for location_id in closed {
                fixture.close_location(location_id).await;
            }
            let why = CancelTransferRequest { reason: "closed".into() };
            let done = match how {
                "receive" => {
                    receive(&fixture, "r-1", Some(&[(2, None)])).await.unwrap();
                    receive(&fixture, "r-2", None).await
                }
                "refuse" => reject(&fixture, "b", RejectedTo::Source, None).await,
                "damage" => reject(&fixture, "d", RejectedTo::Damaged, None).await,
                _ => ask(&fixture, "c", Asked::Cancel(&why)).await,
            };
            assert_eq!(code(&done), "none", "{label}: {done:?}");
            let left = vec![line("L-2", 5, 0)];
            let (here, there) = match how {
                "receive" => (left, vec![line("L-1", 3, 0), line("L-2", 4, 0)]),
                "damage" => (left, vec![]),
                _ => (vec![line("L-1", 3, 0), line("L-2", 9, 0)], vec![]),
            };
            assert_eq!((fixture.lots().await, fixture.lots_at(THERE).await), (here, there), "{label}");
            let stock = fixture.stock(THERE, A).await;
            let damaged = if how == "damage" { 7_000 } else { 0 };
            assert_eq!((stock.in_transit, stock.damaged), (0, damaged), "{label}");
            assert_eq!(on_their_way(&fixture), 0, "{label}");
            fixture.check_lots().await;
            fixture.relay(|_| true).await;
            prove(&fixture, HERE, A).await;

            // Nothing begins there.
            for (n, ways) in [(HERE, THERE), (THERE, HERE)].into_iter().enumerate() {
                let another = shipment(&format!("n-{n}"), ways, &[(A, 1)]);
                let key = format!("s-{n}");
                let sent = ship::ship(&fixture.ports, &fixture.caller, &key, &another).await;
                assert_eq!(code(&sent), "location_not_found", "{label}");
            }
            if closed.contains(&HERE) {
                let day = Some(fixture.local_day(2));
                assert_eq!(code(&fixture.lot_in("k-3", Some("L-1"), day, 1).await), "location_not_found");
            }
        }
    }
}

/// What arrived there is past its day when it is, by the clock that the location had.
#[tokio::test]
async fn a_lot_that_arrived_at_a_closed_location_has_its_day() {
    let fixture = two_lots(42).await;
    send(&fixture, "s", &[(A, 7)]).await.unwrap();
    fixture.close_location(THERE).await;
    receive(&fixture, "r", None).await.unwrap();
    fixture.pass(3 * DAY_SECONDS);
    assert!(due::sweep(&fixture.ports, fixture.environment.now(), 100, Timestamp::MAX).await.unwrap() > 0);
    let stock = fixture.stock(THERE, A).await;
    assert_eq!((stock.on_hand, stock.quarantined), (4_000, 3_000));
    assert_eq!(fixture.lots_at(THERE).await, [line("L-1", 0, 3), line("L-2", 4, 0)]);
    fixture.check_lots().await;
}

/// A cancellation of many lines is cut off before the source is closed: the keeper brings all of it back.
#[tokio::test]
async fn a_long_cancellation_ends_at_a_closed_source() {
    let fixture = Fixture::new(43).await;
    let skus = many(&fixture, 60).await;
    let lines: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 5)).collect();
    send(&fixture, "s", &lines).await.unwrap();
    let cut_off = fixture.faulty.writes.load(Ordering::SeqCst) + 2;
    fixture.inject(move |number| if number >= cut_off { Fault::LostBefore } else { Fault::None });
    let why = CancelTransferRequest { reason: "late".into() };
    assert!(ask(&fixture, "c", Asked::Cancel(&why)).await.is_err());
    fixture.heal();
    assert!(on_their_way(&fixture) > 0);
    fixture.close_location(HERE).await;
    fixture.pass(60);
    let now = fixture.environment.now();
    assert_eq!(transfers::recover(&fixture.ports, now, 10, Timestamp::MAX).await.unwrap(), 1);
    assert_eq!(on_their_way(&fixture), 0);
    for sku in &skus {
        let both = [line(&format!("{sku}-1"), 3, 0), line(&format!("{sku}-2"), 9, 0)];
        assert_eq!(lots_of(&fixture, HERE, sku).await, both);
    }
    fixture.check_invariants();
}

/// Of a line of which nothing arrives fit for sale no lot comes to any end, and none is on its way any more.
#[tokio::test]
async fn what_arrives_damaged_altogether_is_settled_lot_by_lot() {
    let fixture = two_lots(44).await;
    send(&fixture, "s", &[(A, 7)]).await.unwrap();
    fixture.change_lot("q", "L-2", Change::Quarantine).await.unwrap();
    let all = ReceivedLine { sku: A.into(), quantity: whole(0), damaged: Some(whole(7)), lot: None };
    let said = ReceiveTransferRequest { lines: Some(vec![all]) };
    let answer = ask(&fixture, "r", Asked::Receive(&said)).await.unwrap();
    assert_eq!(answer.transfer.status, TransferStatusView::Received);
    assert_eq!(on_their_way(&fixture), 0);
    let stock = fixture.stock(THERE, A).await;
    assert_eq!((stock.on_hand, stock.damaged, stock.in_transit), (0, 7_000, 0));
    assert_eq!(code(&receive(&fixture, "r-2", None).await), "transfer_closed");
    fixture.check_lots().await;
}
