//! What is held is sold as anything else is: nothing of a lot after its day, whoever looks first.

use tillstream_app::capacity::Operation;
use tillstream_app::stock::long_reservations;
use tillstream_contracts::inventory::{ReserveLine, ReserveRequest};
use tillstream_testkit::faults;

use super::*;
use crate::fixture::request;
use crate::long_reservation_tests::of_each;

/// Holds outlive the day on which they are made.
const TTL: i64 = 86_400;
/// Besides the goods with lots: more than one transaction takes.
const MANY: usize = 60;

impl Fixture {
    /// `old` pieces of a lot whose day ends at midnight, and `new` of one that lasts. Answers midnight.
    async fn with_dated_lots(&self, old: i64, new: i64) -> Timestamp {
        self.keep_by_lots(A).await;
        self.lot_in("k-1", Some("OLD"), Some(self.local_day(0)), old).await.unwrap();
        self.lot_in("k-2", Some("NEW"), Some(self.local_day(5)), new).await.unwrap();
        self.local_day(1).to_zoned(TimeZone::get("Europe/London").unwrap()).unwrap().timestamp()
    }

    async fn commit_held(&self, key: &str, id: &str, request: &CommitRequest) -> Result<(), Error> {
        reservations::commit(&self.ports, &self.caller, key, id, request).await.map(drop)
    }

    /// On hand, reserved, quarantined, in pieces.
    async fn dated_pieces(&self) -> (i64, i64, i64) {
        let stock = self.stock(HERE, A).await;
        (stock.on_hand / 1_000, stock.reserved / 1_000, stock.quarantined / 1_000)
    }
}

fn of_a(many: i64) -> CommitRequest {
    let line = ReserveLine { location_id: Some(HERE.into()), sku: A.into(), quantity: whole(many) };
    CommitRequest::from(vec![line])
}

/// Three pieces of the goods with lots, and one of each of many others.
fn long() -> ReserveRequest {
    let mut wanted = of_each(0..MANY, 1, TTL);
    wanted.lines.extend(request(&[(HERE, A, 3)], TTL).lines);
    wanted
}

#[tokio::test]
async fn a_hold_is_not_committed_out_of_a_lot_past_its_day() {
    for asked in ["whole", "part", "order"] {
        let fixture = Fixture::new(1).await;
        let midnight = fixture.with_dated_lots(3, 1).await;
        let held = fixture.reserve("r", &request(&[(HERE, A, 3)], TTL)).await.unwrap().reservation;
        let id = held.reservation_id.as_str();
        fixture.environment.set(midnight);
        let refused = match asked {
            "whole" => fixture.commit_held("c-1", id, &CommitRequest::default()).await,
            "part" => fixture.commit_held("c-1", id, &of_a(2)).await,
            _ => {
                let found = reservations::find(&fixture.ports, fixture.scope(), id).await.unwrap().unwrap();
                reservations::require_committable(&fixture.ports, &fixture.caller, &found, midnight)
                    .await
                    .map(drop)
            }
        };
        let told = refusal(refused);
        assert_eq!(
            (told.code, told.extra["lines"][0]["available"].as_i64()),
            ("insufficient_stock", Some(1))
        );
        assert_eq!(fixture.dated_pieces().await, (1, 3, 3), "{asked}: it is kept aside, and held on");
        // What is left of it that is good may be sold.
        fixture.commit_held("c-2", id, &of_a(1)).await.unwrap();
        assert_eq!(fixture.lots().await, [line("OLD", 0, 3)], "{asked}");
        fixture.check_lots().await;
        fixture.relay(|_| true).await;
        assert_eq!(fixture.who_got("OLD").await, [], "{asked}");
        assert_eq!(fixture.who_got("NEW").await, [("commit".to_owned(), None, 1)], "{asked}");
        let proof = conservation::prove(&fixture.ports, &fixture.caller, HERE, A).await.unwrap();
        assert!(proof.holds && proof.lots.is_some_and(|lots| lots.holds), "{asked}");
    }
}

#[tokio::test]
async fn a_hold_is_committed_out_of_what_is_good() {
    let fixture = Fixture::new(2).await;
    let midnight = fixture.with_dated_lots(3, 3).await;
    let held = fixture.reserve("r", &request(&[(HERE, A, 3)], TTL)).await.unwrap().reservation;
    fixture.environment.set(midnight);
    fixture.commit_held("c", &held.reservation_id, &CommitRequest::default()).await.unwrap();
    assert_eq!(fixture.dated_pieces().await, (0, 0, 3));
    assert_eq!(fixture.lots().await, [line("OLD", 0, 3)]);
    fixture.check_lots().await;
}

/// An order has looked, and writes when the day is over: its writes themselves refuse.
#[tokio::test]
async fn the_writes_of_an_order_refuse_what_is_past_its_day() {
    let fixture = Fixture::new(3).await;
    let midnight = fixture.with_dated_lots(3, 3).await;
    let held = fixture.reserve("r", &request(&[(HERE, A, 3)], TTL)).await.unwrap().reservation;
    let id = held.reservation_id.as_str();
    let found = reservations::find(&fixture.ports, fixture.scope(), id).await.unwrap().unwrap();
    let located = reservations::located(&fixture.ports, fixture.scope(), &found).await.unwrap();
    let (movement, no_lots) = (fixture.movement(), reservations::LotWrites::default());
    let commit = |now| {
        let request = reservations::KeyedRequest { key: "order:o-1", fingerprint: "o-1", number: 1 };
        let commit = reservations::Commit { now, request, order_id: Some("o-1"), movement: &movement };
        reservations::commit_actions(fixture.scope(), &found, &located, &commit, &no_lots).unwrap()
    };
    assert!(fixture.memory.transact(commit(midnight)).await.is_err());
    assert_eq!(fixture.dated_pieces().await, (6, 3, 0));
    let before = midnight.checked_sub(Span::new().milliseconds(1)).unwrap();
    fixture.memory.transact(commit(before)).await.unwrap();
    assert_eq!(fixture.dated_pieces().await, (3, 0, 0));
}

#[tokio::test]
async fn a_long_reservation_is_not_committed_out_of_a_lot_past_its_day() {
    let fixture = Fixture::with_shelf(4, MANY, 1).await;
    let midnight = fixture.with_dated_lots(3, 1).await;
    let id = fixture.reserve("r", &long()).await.unwrap().reservation.reservation_id;
    fixture.environment.set(midnight);
    let told = refusal(fixture.commit_held("c-1", &id, &CommitRequest::default()).await);
    let short = &told.extra["lines"];
    assert_eq!((told.code, short.as_array().map(Vec::len)), ("insufficient_stock", Some(1)));
    assert_eq!((short[0]["sku"].as_str(), short[0]["available"].as_i64()), (Some(A), Some(1)));
    assert_eq!(fixture.dated_pieces().await, (1, 3, 3));
    assert_eq!(fixture.shelf(MANY, "nothing was sold").await, (1, 1));
    fixture.commit_held("c-2", &id, &of_a(1)).await.unwrap();
    assert_eq!(fixture.lots().await, [line("OLD", 0, 3)]);
    fixture.check_lots().await;
}

/// What was good when it was sold is the customer's, though its stock follows after midnight; where somebody kept it
/// aside between, what is missing is entered.
#[tokio::test]
async fn the_stock_of_a_long_sale_follows_as_it_was_decided() {
    for swept_before in [false, true] {
        let fixture = Fixture::with_shelf(5, MANY, 1).await;
        let midnight = fixture.with_dated_lots(3, 1).await;
        let id = fixture.reserve("r", &long()).await.unwrap().reservation.reservation_id;
        let database = Arc::new(faults::FaultyDatabase::new(fixture.memory.clone()));
        // The sale is decided, and dies before its first chunk.
        database.script(Operation::Transact, [None, Some(faults::Fault::DiesBefore)]);
        let (who, of) = (fixture.caller.clone(), id.clone());
        let died = fixture
            .dying(database, |ports| async move {
                reservations::commit(&ports, &who, "c", &of, &CommitRequest::default()).await.map(drop)
            })
            .await;
        assert!(died && fixture.dated_pieces().await == (4, 3, 0));
        fixture.environment.set(midnight);
        if swept_before {
            assert_eq!(due::sweep(&fixture.ports, midnight, 10, Timestamp::MAX).await.unwrap(), 1);
            assert_eq!(fixture.dated_pieces().await, (1, 3, 3));
        }
        let looked_at = long_reservations::recover(&fixture.ports, midnight, 10, Timestamp::MAX).await;
        assert_eq!(looked_at.unwrap(), 1);
        assert_eq!(fixture.shelf(MANY, "all is sold").await, (0, 0));
        let (there, lots) = (fixture.dated_pieces().await, fixture.lots().await);
        match swept_before {
            false => assert_eq!((there, lots), ((1, 0, 0), vec![line("NEW", 1, 0)])),
            true => assert_eq!((there, lots), ((0, 0, 3), vec![line("OLD", 0, 3)])),
        }
        fixture.check_lots().await;
        fixture.relay(|_| true).await;
        let proof = conservation::prove(&fixture.ports, &fixture.caller, HERE, A).await.unwrap();
        assert!(proof.holds && proof.lots.is_some_and(|lots| lots.holds), "swept before: {swept_before}");
    }
}

/// A count is of what is for sale: what is past its day is not in the books that it is compared with.
#[tokio::test]
async fn a_sheet_does_not_count_what_is_past_its_day() {
    use tillstream_app::stock::counts;
    use tillstream_contracts::counts::{
        CloseCountRequest, CountedLineRequest, OpenCountRequest, RecordCountRequest,
    };
    let fixture = Fixture::new(6).await;
    let midnight = fixture.with_dated_lots(3, 2).await;
    let (ports, who) = (&fixture.ports, &fixture.caller);
    let opened = OpenCountRequest {
        count_id: Some("n-1".into()),
        location_id: HERE.into(),
        skus: Some(vec![A.to_owned()]),
        category: None,
        all: None,
        limit: None,
        cursor: None,
        blind: false,
    };
    counts::open(ports, who, "o", &opened).await.unwrap();
    fixture.environment.set(midnight);
    let counted = CountedLineRequest { sku: A.into(), counted: whole(2), lots: Vec::new(), reason: None };
    let lines = RecordCountRequest { lines: vec![counted] };
    let recorded = counts::record(ports, who, "r", "n-1", &lines, |_| Ok(())).await.unwrap().recorded;
    assert_eq!(recorded.lines[0].variance, Some(whole(0)));
    counts::close(ports, who, "c", "n-1", &CloseCountRequest::default(), |_| Ok(())).await.unwrap();
    assert_eq!(fixture.dated_pieces().await, (2, 0, 3));
    fixture.check_lots().await;
}
