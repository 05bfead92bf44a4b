//! How goods of lots come in: by a delivery, a transfer, a purchase order.

use super::*;

/// The answer of a delivery that was lost is the answer of its repetition, and its goods came in once.
#[tokio::test]
async fn a_delivery_of_a_lot_comes_in_once_whatever_is_lost() {
    for step in 0..4 {
        for fault in [Fault::LostBefore, Fault::LostAfter, Fault::Conflict] {
            let fixture = Fixture::new(9).await;
            fixture.keep_by_lots(A).await;
            fixture.inject(move |number| if number == step { fault } else { Fault::None });
            let day = Some(fixture.local_day(3));
            fixture.lot_in("k-1", Some("L-1"), day, 4).await.unwrap();
            fixture.lot_in("k-1", Some("L-1"), day, 4).await.unwrap();
            fixture.lot_in("k-2", Some("L-1"), day, 1).await.unwrap();
            fixture.heal();
            assert_eq!(fixture.lots().await, [line("L-1", 5, 0)]);
            fixture.check_lots().await;
        }
    }
}

/// So many lots a stock item has room for; one more is refused, and none is lost.
#[tokio::test]
async fn a_stock_item_has_room_for_so_many_lots() {
    let fixture = Fixture::new(10).await;
    fixture.keep_by_lots(A).await;
    for n in 0..tillstream_domain::lot_book::LOTS_MAX {
        fixture.lot_in(&format!("k-{n}"), Some(&format!("L-{n}")), None, 1).await.unwrap();
    }
    let untouched = fixture.memory.items(Table::Stock);
    assert_eq!(code(&fixture.lot_in("k", Some("MORE"), None, 1).await), "too_many_lots");
    assert_eq!(fixture.memory.items(Table::Stock), untouched);
    fixture.sell_at_till(A, "o-1", 1).await.unwrap();
    fixture.lot_in("k", Some("MORE"), None, 1).await.unwrap();
    fixture.check_lots().await;
}

/// Goods that are sent elsewhere arrive as the lots that left; what was recalled on the way is kept aside there.
#[tokio::test]
async fn a_transfer_brings_the_lots_that_left() {
    for (recalls, relays) in [(false, true), (true, true), (false, false)] {
        let fixture = Fixture::new(11).await;
        fixture.keep_by_lots(A).await;
        fixture.lot_in("k-1", Some("L-1"), Some(fixture.local_day(2)), 3).await.unwrap();
        fixture.lot_in("k-2", Some("L-2"), Some(fixture.local_day(4)), 9).await.unwrap();
        let request = TransferRequest {
            transfer_id: Some("t-1".into()),
            from_location_id: HERE.into(),
            to_location_id: "w-hull".into(),
            lines: vec![TransferLineRequest { sku: A.into(), quantity: whole(7) }],
            note: None,
        };
        ship::ship(&fixture.ports, &fixture.caller, "s", &request).await.unwrap();
        assert_eq!(fixture.lots().await, [line("L-2", 5, 0)]);
        if relays {
            fixture.relay(|_| true).await;
        }
        if recalls {
            fixture.change_lot("q", "L-1", Change::Quarantine).await.unwrap();
        }
        let asked = ReceiveTransferRequest { lines: None };
        let received = Asked::Receive(&asked);
        change(&fixture.ports, &fixture.caller, "r", "t-1", &received, |_| Ok(())).await.unwrap();
        let there = fixture.lots_at("w-hull").await;
        let expected = match (recalls, relays) {
            (true, _) => vec![line("L-1", 0, 3), line("L-2", 4, 0)],
            // Also where the ledger does not know yet which left.
            (false, _) => vec![line("L-1", 3, 0), line("L-2", 4, 0)],
        };
        assert_eq!(there, expected);
        let stock = fixture.stock("w-hull", A).await;
        assert_eq!((stock.on_hand + stock.quarantined, stock.in_transit), (7_000, 0));
        fixture.check_lots().await;
        fixture.relay(|_| true).await;
        let proof = conservation::prove(&fixture.ports, &fixture.caller, "w-hull", A).await.unwrap();
        assert!(proof.holds && proof.lots.is_some_and(|lots| lots.holds));
        // It was found where it went to: a recall reaches it there.
        if !recalls {
            fixture.change_lot("q-2", "L-2", Change::Quarantine).await.unwrap();
            assert_eq!(fixture.lots_at("w-hull").await, [line("L-1", 3, 0), line("L-2", 0, 4)]);
        }
    }
}

/// A receipt of a purchase order may name lots: each line of it one, and what is left is of no known lot.
#[tokio::test]
async fn a_purchase_order_is_received_lot_by_lot() {
    let fixture = Fixture::new(12).await;
    fixture.keep_by_lots(A).await;
    let supplier = supplier_item(fixture.scope(), &supplier("sup-1", 0)).unwrap();
    put(&fixture.memory, Table::Catalog, supplier).await;
    let line_of =
        |sku: &str, many| PurchaseLineRequest { sku: sku.into(), quantity: whole(many), unit_cost: None };
    let order = PurchaseOrderRequest {
        purchase_order_id: Some("po-1".into()),
        supplier_id: "sup-1".into(),
        location_id: HERE.into(),
        lines: vec![line_of(A, 20), line_of(B, 5)],
        expected_at: None,
        note: None,
    };
    place::place(&fixture.ports, &fixture.caller, "p", &order).await.unwrap();
    let day = fixture.local_day(3);
    let got = |sku: &str, many, lot: Option<&str>, expires_on| PurchaseReceivedLine {
        sku: sku.into(),
        quantity: whole(many),
        damaged: None,
        lot: lot.map(Into::into),
        expires_on,
    };
    let receive = async |key: &str, lines: Vec<PurchaseReceivedLine>| {
        let request = ReceivePurchaseRequest { lines: Some(lines) };
        let asked = purchases::settle::Asked::Receive(&request);
        purchases::settle::change(&fixture.ports, &fixture.caller, key, "po-1", &asked, |_| Ok(())).await
    };
    let untouched = fixture.memory.items(Table::Stock);
    for (lines, expected) in [
        (vec![got(B, 1, Some("L-1"), None)], "sku_without_lots"),
        (vec![got(A, 1, None, Some(day))], "expires_on_without_lot"),
        (vec![got(A, 1, Some("L-1"), None), got(A, 1, Some("L-1"), None)], "lot_twice"),
        (vec![got(A, 21, Some("L-1"), None)], "over_delivery"),
    ] {
        assert_eq!(code(&receive("r-0", lines).await), expected);
    }
    assert_eq!(fixture.memory.items(Table::Stock), untouched);
    let lines = vec![
        got(A, 4, Some("L-2"), None),
        got(A, 3, Some("L-1"), Some(day)),
        got(A, 2, None, None),
        got(B, 5, None, None),
    ];
    // Whatever of the answer is lost, it came in once.
    fixture.inject(|number| if number % 3 == 0 { Fault::LostAfter } else { Fault::None });
    receive("r-1", lines.clone()).await.unwrap();
    fixture.heal();
    assert!(receive("r-1", lines).await.unwrap().replayed);
    assert_eq!(fixture.lots().await, [line("L-1", 3, 0), line("L-2", 4, 0), unknown(2)]);
    let (a, b) = (fixture.stock(HERE, A).await, fixture.stock(HERE, B).await);
    assert_eq!((a.on_hand, a.on_order, b.on_hand, b.on_order), (9_000, 11_000, 5_000, 0));
    // What is recalled before it comes is kept aside.
    fixture.change_lot("q", "L-1", Change::Quarantine).await.unwrap();
    receive("r-2", vec![got(A, 11, Some("L-1"), None)]).await.unwrap();
    assert_eq!(fixture.lots().await, [line("L-1", 0, 14), line("L-2", 4, 0), unknown(2)]);
    assert_eq!(fixture.stock(HERE, A).await.on_order, 0);
    fixture.check_lots().await;
    fixture.relay(|_| true).await;
    let proof = conservation::prove(&fixture.ports, &fixture.caller, HERE, A).await.unwrap();
    assert!(proof.holds && proof.lots.is_some_and(|lots| lots.holds));
}

/// Goods that were ordered arrive where the location was closed meanwhile: with the lots that are written on them as
/// without, and each of these has its day by the clock that the location had. Nothing else comes in there.
#[tokio::test]
async fn what_was_ordered_arrives_at_a_closed_location_lot_by_lot() {
    let fixture = Fixture::new(13).await;
    fixture.keep_by_lots(A).await;
    let supplier = supplier_item(fixture.scope(), &supplier("sup-1", 0)).unwrap();
    put(&fixture.memory, Table::Catalog, supplier).await;
    let order = PurchaseOrderRequest {
        purchase_order_id: Some("po-1".into()),
        supplier_id: "sup-1".into(),
        location_id: HERE.into(),
        lines: vec![PurchaseLineRequest { sku: A.into(), quantity: whole(20), unit_cost: None }],
        expected_at: None,
        note: None,
    };
    place::place(&fixture.ports, &fixture.caller, "p", &order).await.unwrap();
    fixture.lot_in("k-1", Some("KNOWN"), Some(fixture.local_day(2)), 1).await.unwrap();
    fixture.close_location(HERE).await;
    let receive = async |key: &str, many: i64, lot: Option<&str>, expires_on: Option<Date>| {
        let line = PurchaseReceivedLine {
            sku: A.into(),
            quantity: whole(many),
            damaged: None,
            lot: lot.map(Into::into),
            expires_on,
        };
        let request = ReceivePurchaseRequest { lines: Some(vec![line]) };
        let asked = purchases::settle::Asked::Receive(&request);
        purchases::settle::change(&fixture.ports, &fixture.caller, key, "po-1", &asked, |_| Ok(())).await
    };
    let day = Some(fixture.local_day(1));
    for (key, many, lot, expires_on) in [
        ("r-1", 2, None, None),
        ("r-2", 3, Some("NEW"), day),
        ("r-3", 4, Some("KNOWN"), None),
        ("r-4", 5, Some("NEVER"), None),
    ] {
        assert_eq!(code(&receive(key, many, lot, expires_on).await), "none", "{key}");
    }
    assert!(receive("r-2", 3, Some("NEW"), day).await.unwrap().replayed);
    let all = [line("NEW", 3, 0), line("KNOWN", 5, 0), line("NEVER", 5, 0), unknown(2)];
    assert_eq!(fixture.lots().await, all);
    assert_eq!(fixture.stock(HERE, A).await.on_order, 6_000);
    let untouched = fixture.memory.items(Table::Stock);
    // What is wrong with a lot is wrong here too, and what was not ordered does not come in.
    assert_eq!(code(&receive("r-5", 1, Some("KNOWN"), day).await), "lot_expires_otherwise");
    assert_eq!(code(&receive("r-5", 7, Some("NEW"), day).await), "over_delivery");
    assert_eq!(code(&fixture.lot_in("k-2", Some("NEW"), day, 1).await), "location_not_found");
    assert_eq!(fixture.memory.items(Table::Stock), untouched);
    fixture.check_lots().await;
    fixture.relay(|_| true).await;
    let proof = conservation::prove(&fixture.ports, &fixture.caller, HERE, A).await.unwrap();
    assert!(proof.holds && proof.lots.is_some_and(|lots| lots.holds));

    // The rest comes when the day of one is over: that is kept aside, also what only now arrives of it.
    fixture.pass(2 * DAY_SECONDS);
    receive("r-6", 6, Some("NEW"), day).await.unwrap();
    due::sweep(&fixture.ports, fixture.environment.now(), 100, Timestamp::MAX).await.unwrap();
    let stock = fixture.stock(HERE, A).await;
    assert_eq!((stock.on_hand, stock.quarantined, stock.on_order), (12_000, 9_000, 0));
    fixture.check_lots().await;
}
