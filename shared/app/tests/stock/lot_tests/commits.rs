//! What is held is committed of goods that are good, and lots at locations that are new.

use super::*;

/// What is held is committed of goods that are good at that moment, also where nobody has looked since the day of a lot
/// was over: else that one would go first.
#[tokio::test]
async fn what_is_held_is_committed_of_goods_that_are_good() {
    for (good, wanted) in [(2, 2), (2, 1), (1, 2), (0, 1)] {
        let fixture = Fixture::new(14).await;
        fixture.keep_by_lots(A).await;
        fixture.lot_in("k-1", Some("OLD"), Some(fixture.local_day(1)), 3).await.unwrap();
        if good > 0 {
            fixture.lot_in("k-2", Some("NEW"), Some(fixture.local_day(5)), good).await.unwrap();
        }
        let midnight =
            fixture.local_day(2).to_zoned(TimeZone::get("Europe/London").unwrap()).unwrap().timestamp();
        fixture.environment.set(midnight.checked_sub(Span::new().milliseconds(1)).unwrap());
        let held = fixture.reserve("r", &fixture::request(&[(HERE, A, 2)], 60)).await.unwrap().reservation;
        fixture.environment.set(midnight);
        let lines = (wanted < 2).then(|| fixture::request(&[(HERE, A, wanted)], 60).lines);
        let request = lines.map(CommitRequest::from).unwrap_or_default();
        let id = held.reservation_id.as_str();
        let done = reservations::commit(&fixture.ports, &fixture.caller, "c", id, &request).await;
        let is_enough = good >= wanted;
        assert_eq!(code(&done), if is_enough { "none" } else { "insufficient_stock" }, "{good} {wanted}");
        let left = if is_enough { good - wanted } else { good };
        let mut expected = vec![line("OLD", 0, 3)];
        expected.extend((left > 0).then(|| line("NEW", left, 0)));
        assert_eq!(fixture.lots().await, expected, "{good} {wanted}");
        fixture.check_lots().await;
        fixture.relay(|_| true).await;
        assert_eq!(fixture.who_got("OLD").await, [], "{good} {wanted}");
    }
}

/// The same of a reservation whose stock follows after it is decided.
#[tokio::test]
async fn a_long_reservation_is_committed_of_goods_that_are_good() {
    for wanted in [2, 3] {
        let fixture = Fixture::with_shelf(15, 60, 3).await;
        let first = sku(0);
        fixture.keep_by_lots(&first).await;
        let old =
            RestockRequest { sku: first.clone(), ..delivery(Some("OLD"), Some(fixture.local_day(1)), 2) };
        restock(&fixture.ports, &fixture.caller, "k", &old).await.unwrap();
        let midnight =
            fixture.local_day(2).to_zoned(TimeZone::get("Europe/London").unwrap()).unwrap().timestamp();
        fixture.environment.set(midnight.checked_sub(Span::new().milliseconds(1)).unwrap());
        let held = fixture.reserve("r", &of_each(0..60, wanted, 60)).await.unwrap().reservation;
        fixture.environment.set(midnight);
        let all = CommitRequest::default();
        let id = held.reservation_id.as_str();
        reservations::commit(&fixture.ports, &fixture.caller, "c", id, &all).await.unwrap();
        let stock = fixture.stock(HERE, &first).await;
        let left = (3 - wanted) * 1_000;
        assert_eq!((stock.on_hand, stock.reserved, stock.quarantined), (left, 0, 2_000), "{wanted}");
        fixture.relay(|_| true).await;
        assert_eq!(fixture.who_got("OLD").await, [], "{wanted}");
        // What is kept aside is among the counters that the ledger proves.
        let proof = conservation::prove(&fixture.ports, &fixture.caller, HERE, &first).await.unwrap();
        assert!(proof.holds && proof.lots.is_some_and(|lots| lots.holds), "{wanted}");
        assert_eq!(proof.counters.quarantined, Some(whole(2)), "{wanted}");
    }
}

/// A location that was made a moment ago has its business days, also where a read is behind.
#[tokio::test]
async fn a_lot_comes_to_a_location_that_was_made_a_moment_ago() {
    let fixture = Fixture::new(16).await;
    fixture.keep_by_lots(A).await;
    let key = fixture.scope().location(HERE);
    let get = Get { table: Table::Catalog, key, consistency: Consistency::Strong };
    let here = location_of(&fixture.memory.get(get).await.unwrap().unwrap()).unwrap();
    let made = tillstream_domain::location::Location { id: "w-new".into(), ..here };
    fixture.memory.set_lag(50);
    put(&fixture.memory, Table::Catalog, location_item(fixture.scope(), &made).unwrap()).await;
    let coming = delivery(Some("L-1"), Some(fixture.local_day(3)), 4);
    let request = RestockRequest { location_id: "w-new".into(), ..coming };
    restock(&fixture.ports, &fixture.caller, "k", &request).await.unwrap();
    assert_eq!(fixture.lots_at("w-new").await, [line("L-1", 4, 0)]);
}
