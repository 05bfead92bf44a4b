//! A lot that is quarantined at one location: it is sold elsewhere, and there nothing of it until it is released.

use tillstream_app::database::Table;
use tillstream_app::stock::lots::here::change;
use tillstream_app::stock::lots::list;
use tillstream_app::stock::lots::recall::Change;
use tillstream_app::stock::transfers::settle::{Asked, change as settle};
use tillstream_app::stock::transfers::ship;
use tillstream_app::stock::{exceptions, reservations, update};
use tillstream_app::tenancy::{Role, Stores};
use tillstream_contracts::inventory::{
    CommitRequest, ExceptionKind, ExceptionQuery, StockUpdateKind, StockUpdateRequest,
};
use tillstream_contracts::lots::{ChangeLotRequest, LotStatus};
use tillstream_contracts::transfers::{
    ReceiveTransferRequest, ReceivedLine, TransferLineRequest, TransferRequest,
};
use tillstream_domain::quantity::QuantityInput;

use crate::fixture::{Fault, Fixture, caller, named, request};
use crate::lot_help::{
    A, HERE, THERE, change_here, check, comes, everywhere, fixture, line, lots, moves, refused, told,
    unknown, whole, why,
};

/// Ships so many from there to here.
async fn send_here(fixture: &Fixture, pieces: i64) {
    let sent = TransferRequest {
        transfer_id: Some("t-1".into()),
        from_location_id: THERE.into(),
        to_location_id: HERE.into(),
        lines: vec![TransferLineRequest { sku: A.into(), quantity: QuantityInput::Whole(pieces) }],
        note: None,
    };
    ship::ship(&fixture.ports, &fixture.caller, "s", &sent).await.unwrap();
}

#[tokio::test]
async fn a_lot_is_kept_from_sale_at_one_location_and_sold_elsewhere() {
    let fixture = fixture(1).await;
    for location_id in [HERE, THERE] {
        comes(&fixture, location_id, Some("BAD"), Some(5), 4).await;
        comes(&fixture, location_id, Some("GOOD"), Some(9), 2).await;
    }
    let answer = change_here(&fixture, "q", "BAD", Change::Quarantine).await.unwrap();
    let level = &answer.changed.here;
    assert_eq!((level.status, level.quarantined_here), (LotStatus::Quarantined, true));
    assert_eq!((whole(&level.on_hand), whole(&level.quarantined)), (0, 4));
    assert_eq!((answer.changed.lot.status, answer.changed.lot.version), (LotStatus::Sellable, 1));
    assert_eq!(lots(&fixture, HERE).await, [line("BAD", 0, 4), line("GOOD", 2, 0)]);
    assert_eq!(lots(&fixture, THERE).await, [line("BAD", 4, 0), line("GOOD", 2, 0)]);
    // Elsewhere it is held and sold as before; here only what is left is.
    let refused_here = fixture.reserve("r-1", &request(&[(HERE, A, 3)], 60)).await;
    assert_eq!(told(&refused(refused_here)).0, "insufficient_stock");
    let held = fixture.reserve("r-2", &request(&[(THERE, A, 3)], 60)).await.unwrap().reservation;
    let all = CommitRequest::default();
    reservations::commit(&fixture.ports, &fixture.caller, "c", &held.reservation_id, &all).await.unwrap();
    assert_eq!(lots(&fixture, THERE).await, [line("BAD", 1, 0), line("GOOD", 2, 0)]);
    // What comes in of it here is kept aside, elsewhere not; what is written off is taken off what is kept aside.
    comes(&fixture, HERE, Some("BAD"), Some(5), 3).await;
    comes(&fixture, THERE, Some("BAD"), Some(5), 3).await;
    moves(&fixture, "w", Some("BAD"), -1).await;
    assert_eq!(lots(&fixture, HERE).await, [line("BAD", 0, 6), line("GOOD", 2, 0)]);
    assert_eq!(lots(&fixture, THERE).await[0], line("BAD", 4, 0));
    let again = change_here(&fixture, "q", "BAD", Change::Quarantine).await.unwrap();
    assert_eq!((again.replayed, &again.changed), (true, &answer.changed));
    let released = change_here(&fixture, "f", "BAD", Change::Release).await.unwrap();
    assert_eq!((whole(&released.changed.here.on_hand), released.changed.here.quarantined_here), (6, false));
    assert_eq!(lots(&fixture, HERE).await, [line("BAD", 6, 0), line("GOOD", 2, 0)]);
    // The key of the quarantine does not quarantine it again.
    assert!(change_here(&fixture, "q", "BAD", Change::Quarantine).await.unwrap().replayed);
    assert_eq!(lots(&fixture, HERE).await[0], line("BAD", 6, 0));
    check(&fixture).await;
}

/// Also before any of it came, and after all of it has gone: a transfer brings it to where it is kept aside.
#[tokio::test]
async fn what_arrives_where_a_lot_is_quarantined_is_kept_aside() {
    let fixture = fixture(2).await;
    comes(&fixture, THERE, Some("BAD"), Some(5), 4).await;
    let answer = change_here(&fixture, "q", "BAD", Change::Quarantine).await.unwrap();
    assert_eq!(whole(&answer.changed.here.quarantined), 0);
    send_here(&fixture, 3).await;
    fixture.relay(|_| true).await;
    let all = ReceiveTransferRequest::default();
    settle(&fixture.ports, &fixture.caller, "r", "t-1", &Asked::Receive(&all), |_| Ok(())).await.unwrap();
    assert_eq!(lots(&fixture, HERE).await, [line("BAD", 0, 3)]);
    let stock = fixture.stock(HERE, A).await;
    assert_eq!((stock.on_hand, stock.available, stock.quarantined, stock.in_transit), (0, 0, 3_000, 0));
    moves(&fixture, "w", Some("BAD"), -3).await;
    assert_eq!(lots(&fixture, HERE).await, [line("BAD", 0, 0)], "that it is quarantined is not forgotten");
    comes(&fixture, HERE, Some("BAD"), Some(5), 1).await;
    assert_eq!(lots(&fixture, HERE).await, [line("BAD", 0, 1)]);
    check(&fixture).await;
}

/// Nobody says which lot arrived, and one on its way is quarantined where it goes to: it is taken for that one. So is
/// what was of no known lot there kept aside once it is said to be of it.
#[tokio::test]
async fn what_may_be_of_a_lot_that_is_quarantined_here_is_kept_aside_first() {
    let fixture = fixture(7).await;
    comes(&fixture, THERE, Some("GOOD"), Some(5), 2).await;
    comes(&fixture, THERE, Some("BAD"), Some(9), 4).await;
    change_here(&fixture, "q", "BAD", Change::Quarantine).await.unwrap();
    send_here(&fixture, 6).await;
    let three = ReceivedLine { sku: A.into(), quantity: QuantityInput::Whole(3), damaged: None, lot: None };
    let some = ReceiveTransferRequest { lines: Some(vec![three]) };
    settle(&fixture.ports, &fixture.caller, "r-1", "t-1", &Asked::Receive(&some), |_| Ok(())).await.unwrap();
    assert_eq!(lots(&fixture, HERE).await, [line("BAD", 0, 3)]);
    let rest = ReceiveTransferRequest::default();
    settle(&fixture.ports, &fixture.caller, "r-2", "t-1", &Asked::Receive(&rest), |_| Ok(())).await.unwrap();
    assert_eq!(lots(&fixture, HERE).await, [line("GOOD", 2, 0), line("BAD", 0, 4)]);
    comes(&fixture, HERE, None, None, 3).await;
    let assigned = StockUpdateRequest {
        location_id: HERE.into(),
        sku: A.into(),
        kind: StockUpdateKind::Assign,
        quantity: QuantityInput::Whole(2),
        reason: "read its label".into(),
        expected_version: None,
        lot: Some("BAD".into()),
        expires_on: None,
    };
    let answer = update::update(&fixture.ports, &fixture.caller, "a", &assigned, |_| Ok(())).await.unwrap();
    assert_eq!(whole(&answer.updated.change), -2);
    assert_eq!(lots(&fixture, HERE).await, [line("GOOD", 2, 0), line("BAD", 0, 6), unknown(1)]);
    check(&fixture).await;
}

/// A recall and a quarantine here are two things: the lot is for sale once neither is.
#[tokio::test]
async fn a_recall_everywhere_and_a_quarantine_here_end_each_by_itself() {
    let fixture = fixture(3).await;
    comes(&fixture, HERE, Some("BAD"), Some(5), 4).await;
    comes(&fixture, THERE, Some("BAD"), Some(5), 4).await;
    change_here(&fixture, "q-1", "BAD", Change::Quarantine).await.unwrap();
    everywhere(&fixture, "q-2", "BAD", Change::Quarantine).await;
    everywhere(&fixture, "f-2", "BAD", Change::Release).await;
    assert_eq!(lots(&fixture, HERE).await, [line("BAD", 0, 4)], "still quarantined here");
    assert_eq!(lots(&fixture, THERE).await, [line("BAD", 4, 0)]);
    everywhere(&fixture, "q-3", "BAD", Change::Quarantine).await;
    change_here(&fixture, "f-1", "BAD", Change::Release).await.unwrap();
    assert_eq!(lots(&fixture, HERE).await, [line("BAD", 0, 4)], "still recalled");
    let recalled = refused(change_here(&fixture, "f-3", "BAD", Change::Release).await);
    assert_eq!(recalled.code, "lot_recalled");
    everywhere(&fixture, "f-4", "BAD", Change::Release).await;
    assert_eq!(lots(&fixture, HERE).await, [line("BAD", 4, 0)]);
    // Nor does it bring back what is past its day.
    change_here(&fixture, "q-5", "BAD", Change::Quarantine).await.unwrap();
    fixture.pass(6 * 24 * 3_600);
    change_here(&fixture, "f-5", "BAD", Change::Release).await.unwrap();
    assert_eq!(lots(&fixture, HERE).await, [line("BAD", 0, 4)]);
    check(&fixture).await;
}

#[tokio::test]
async fn what_is_promised_beyond_what_is_left_is_told() {
    let fixture = fixture(4).await;
    comes(&fixture, HERE, Some("BAD"), Some(5), 4).await;
    comes(&fixture, HERE, Some("GOOD"), Some(9), 2).await;
    fixture.reserve("r", &request(&[(HERE, A, 5)], 600)).await.unwrap();
    let open = async || {
        let query = ExceptionQuery { location_id: HERE.into(), status: None, limit: None, cursor: None };
        let found = exceptions::list(&fixture.ports, &fixture.caller, &query).await.unwrap();
        found.items.iter().map(|one| (one.kind, whole(&one.quantity))).collect::<Vec<_>>()
    };
    change_here(&fixture, "q", "BAD", Change::Quarantine).await.unwrap();
    assert_eq!(open().await, [(ExceptionKind::BelowPromised, 3)]);
    change_here(&fixture, "f", "BAD", Change::Release).await.unwrap();
    assert_eq!(open().await, []);
}

#[tokio::test]
async fn a_wrong_quarantine_is_refused_and_changes_nothing() {
    let fixture = fixture(5).await;
    comes(&fixture, HERE, Some("BAD"), Some(5), 4).await;
    let before = fixture.memory.items(Table::Stock);
    let (ports, operator) = (&fixture.ports, &fixture.caller);
    let manager = caller("demo", Role::StoreManager, named(&[THERE]));
    let stranger = caller("other", Role::Operator, Stores::All);
    let unsaid = ChangeLotRequest { reason: " ".into() };
    let quarantine = Change::Quarantine;
    for (who, what, change_to, request, code) in [
        (operator, ("NONE", HERE), quarantine, &why(), "lot_not_found"),
        (operator, ("a/b", HERE), quarantine, &why(), "lot_not_found"),
        (&stranger, ("BAD", HERE), quarantine, &why(), "lot_not_found"),
        (operator, ("BAD", "s-nowhere"), quarantine, &why(), "location_not_found"),
        (operator, ("BAD", "a/b"), quarantine, &why(), "location_id_malformed"),
        (&manager, ("BAD", HERE), quarantine, &why(), "store_out_of_reach"),
        (operator, ("BAD", HERE), quarantine, &unsaid, "reason_invalid"),
        (operator, ("BAD", HERE), Change::Release, &why(), "lot_status_same"),
    ] {
        let answer = change(ports, who, "k", what, change_to, request).await;
        assert_eq!(refused(answer).code, code, "{what:?}");
    }
    assert_eq!(fixture.memory.items(Table::Stock), before);
    change_here(&fixture, "q", "BAD", quarantine).await.unwrap();
    let same = refused(change_here(&fixture, "q-2", "BAD", quarantine).await);
    assert_eq!((same.code, &same.extra["lot_status"]), ("lot_status_same", &"quarantined".into()));
    let other = ChangeLotRequest { reason: "another".into() };
    let reused = change(ports, operator, "q", ("BAD", HERE), quarantine, &other).await;
    assert_eq!(refused(reused).code, "idempotency_key_reused");
    let elsewhere = change(ports, operator, "q", ("BAD", THERE), quarantine, &why()).await;
    assert_eq!(refused(elsewhere).code, "idempotency_key_reused");
}

/// However its answer is lost, it is done once, and told as done by this request.
#[tokio::test]
async fn a_quarantine_whose_answer_is_lost_is_one() {
    for fault in [Fault::LostBefore, Fault::LostAfter, Fault::Conflict, Fault::ConflictAt(1)] {
        let fixture = fixture(6).await;
        comes(&fixture, HERE, Some("BAD"), Some(5), 4).await;
        let first = fixture.faulty.writes.load(std::sync::atomic::Ordering::SeqCst);
        fixture.inject(move |number| if number == first { fault } else { Fault::None });
        let answer = change_here(&fixture, "q", "BAD", Change::Quarantine).await.unwrap();
        assert!(!answer.replayed);
        assert_eq!(lots(&fixture, HERE).await, [line("BAD", 0, 4)]);
        let one = list::one(&fixture.ports, &fixture.caller, "BAD", None, None).await.unwrap();
        assert!(one.locations.iter().all(|level| level.quarantined_here));
        check(&fixture).await;
    }
}

/// A sale takes the last of it, or the quarantine does: never both.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_sale_and_a_quarantine_each_piece_goes_one_way() {
    for seed in 0..10 {
        let fixture = std::sync::Arc::new(fixture(seed).await);
        comes(&fixture, HERE, Some("BAD"), Some(5), 3).await;
        let sells = (0..3).map(|n| {
            let fixture = fixture.clone();
            tokio::spawn(async move {
                let key = format!("r-{n}");
                let Ok(held) = fixture.reserve(&key, &request(&[(HERE, A, 1)], 600)).await else { return 0 };
                let (id, all) = (held.reservation.reservation_id, CommitRequest::default());
                let done = reservations::commit(&fixture.ports, &fixture.caller, &key, &id, &all).await;
                i64::from(done.is_ok())
            })
        });
        let sells: Vec<_> = sells.collect();
        change_here(&fixture, "q", "BAD", Change::Quarantine).await.unwrap();
        let mut sold = 0;
        for sell in sells {
            sold += sell.await.unwrap();
        }
        assert_eq!(lots(&fixture, HERE).await, [line("BAD", 0, 3 - sold)], "seed {seed}");
        check(&fixture).await;
    }
}
