//! Tens of thousands of holds on one stock item: no request reads them all, and the earliest expiry is raised to the
//! truth beside whoever makes holds, never past one of them.

use tillstream_app::Error;
use tillstream_app::environment::Environment;
use tillstream_app::stock::expiry::{self, HoldReads};
use tillstream_app::stock::reserve::reserve;
use tillstream_app::stock::transfers::ship;
use tillstream_app::stock::{read, reservations, split, update};
use tillstream_contracts::inventory::{ReserveRequest, StockListQuery, StockUpdateKind, StockUpdateRequest};
use tillstream_contracts::transfers::{TransferLineRequest, TransferRequest};
use tillstream_domain::quantity::QuantityInput;
use tillstream_testkit::interleavings::{Interleavings, Request};

use crate::counted_calls::CountedCalls;
use crate::fixture::{Fixture, SKUS, refusal, request};

const SHOP: &str = "s-leeds";
const A: &str = SKUS[0];
/// Pages of hold lines that a request reads, and a page.
const PAGES: usize = 5;
const PAGE: i64 = 1_000;

impl Fixture {
    /// So many holds of one piece each that end in ten minutes, on an item that says that the first ends in one: as
    /// it stands where that one was committed.
    async fn crowd(&self, count: i64) {
        self.many_holds((SHOP, A), count, 600, 60).await;
    }

    /// A stock item whose first hold ended early: it says that one has expired, and none has. Answers when the one
    /// that goes on ends.
    async fn stale(&self) -> i64 {
        self.count(SHOP, A, 40).await;
        let first = self.hold("first", 1, 60).await;
        self.hold("long", 1, 3_000).await;
        let ends = self.environment.now().as_millisecond() + 3_000_000;
        reservations::release(&self.ports, &self.caller, "release", &first).await.unwrap();
        self.pass(61);
        assert!(self.stock(SHOP, A).await.may_have_expired_holds(self.environment.now()));
        ends
    }

    /// Looks for expired holds, while somebody makes another between the look and what is made of it.
    async fn look_beside_a_hold(&self, key: &'static str, ttl_seconds: i64) {
        self.meanwhile(move |ports, caller| async move {
            reserve(&ports, &caller, key, &request(&[(SHOP, A, 1)], ttl_seconds)).await.unwrap();
        });
        let now = self.environment.now();
        assert!(!expiry::free_expired(&self.ports, self.scope(), SHOP, A, now).await.unwrap());
        self.check_invariants();
    }
}

#[tokio::test]
async fn no_request_reads_all_holds_of_an_item() {
    let fixture = Fixture::new(1).await;
    fixture.count(SHOP, A, 20_000).await;
    fixture.crowd(20_000).await;
    fixture.pass(61);
    let (ports, calls) = CountedCalls::ports_over(&fixture);
    let who = &fixture.caller;
    let list = StockListQuery { location_id: Some(SHOP.into()), ..StockListQuery::default() };

    // Nothing has expired, which nobody can know without reading all.
    calls.queries();
    assert_eq!(read::one(&ports, who, SHOP, A).await.unwrap().available, QuantityInput::Whole(0));
    assert_eq!(calls.queries(), PAGES);
    assert_eq!(read::list(&ports, who, &list).await.unwrap().items[0].available, QuantityInput::Whole(0));
    assert_eq!(calls.queries(), 1 + PAGES);
    let refused = refusal(reserve(&ports, who, "k", &request(&[(SHOP, A, 1)], 60)).await.unwrap_err());
    assert_eq!(refused.code, "insufficient_stock");
    // The index by SKU besides, for where else there is some.
    assert_eq!(calls.queries(), PAGES + 1);

    // All have expired: less is shown than there is, never more, and who wants some has it.
    fixture.pass(600);
    let shown = read::list(&ports, who, &list).await.unwrap().items.remove(0);
    let seen = i64::try_from(PAGES).unwrap() * PAGE;
    assert_eq!(shown.available, QuantityInput::Whole(seen));
    assert_eq!(shown.reserved, QuantityInput::Whole(20_000 - seen));
    assert_eq!(calls.queries(), 1 + PAGES);
    reserve(&ports, who, "some", &request(&[(SHOP, A, 500)], 60)).await.unwrap();
    assert_eq!(calls.queries(), 1);
    fixture.check_invariants();
}

/// More holds have expired than one request may read, and all of them are wanted: it frees what it reads, and is told
/// to ask again. Who does gets on, and gets what they want.
#[tokio::test]
async fn however_much_a_request_frees_it_reads_no_more_than_one_may() {
    let pieces = 11_000;
    for (seed, what) in [(7, "reserve"), (8, "adjust"), (9, "ship")] {
        let fixture = Fixture::new(seed).await;
        fixture.count(SHOP, A, 12_000).await;
        fixture.many_holds((SHOP, A), 12_000, 60, 60).await;
        fixture.pass(61);
        let (ports, calls) = CountedCalls::ports_over(&fixture);
        let asks = async || {
            let who = &fixture.caller;
            match what {
                "reserve" => {
                    let wanted = request(&[(SHOP, A, pieces)], 900);
                    reserve(&ports, who, "k", &wanted).await.map(|_| ())
                }
                "adjust" => {
                    let less = StockUpdateRequest {
                        location_id: SHOP.into(),
                        sku: A.into(),
                        kind: StockUpdateKind::Delta,
                        quantity: QuantityInput::Whole(-pieces),
                        reason: "burnt".into(),
                        expected_version: None,
                        lot: None,
                        expires_on: None,
                    };
                    update::update(&ports, who, "k", &less, |_| Ok(())).await.map(|_| ())
                }
                _ => {
                    let line = TransferLineRequest { sku: A.into(), quantity: QuantityInput::Whole(pieces) };
                    let transfer = TransferRequest {
                        transfer_id: Some("t-1".into()),
                        from_location_id: SHOP.into(),
                        to_location_id: "s-york".into(),
                        lines: vec![line],
                        note: None,
                    };
                    ship::ship(&ports, who, "k", &transfer).await.map(|_| ())
                }
            }
        };
        for reserved in [7_000_000, 2_000_000] {
            calls.queries();
            let told = asks().await;
            assert!(matches!(told, Err(Error::Retryable { .. })), "{what}: {told:?}");
            assert_eq!((calls.queries(), fixture.stock(SHOP, A).await.reserved), (PAGES, reserved), "{what}");
        }
        asks().await.unwrap();
        assert!(calls.queries() <= PAGES, "{what}");
        fixture.check_invariants();
    }
}

/// What one request freed others take, again and again: it looks again, and all its looks together read so much.
#[tokio::test]
async fn all_looks_of_one_request_read_no_more_than_one_look_may() {
    let fixture = Fixture::new(10).await;
    fixture.count(SHOP, A, 12_000).await;
    fixture.many_holds((SHOP, A), 12_000, 60, 60).await;
    fixture.pass(61);
    let (ports, calls) = CountedCalls::ports_over(&fixture);
    let mut reads = HoldReads::default();
    let mut freed = Vec::new();
    for _ in 0..20 {
        let now = fixture.environment.now();
        let looked = expiry::free_enough(&ports, fixture.scope(), (SHOP, A), 1, &mut reads, now).await;
        freed.push(looked.is_ok_and(|freed| freed.any));
    }
    assert_eq!(freed, [vec![true; PAGES], vec![false; 20 - PAGES]].concat());
    assert_eq!(calls.queries(), PAGES);
    // Of another item it has read nothing.
    fixture.count(SHOP, SKUS[1], 1).await;
    fixture.many_holds((SHOP, SKUS[1]), 1, 60, 60).await;
    fixture.pass(61);
    let now = fixture.environment.now();
    let what = (SHOP, SKUS[1]);
    let looked = expiry::free_enough(&ports, fixture.scope(), what, 1, &mut reads, now).await.unwrap();
    assert!(looked.any && calls.queries() > 0);
    fixture.check_invariants();
}

/// What expired behind the pages that a request reads is free once the schedule was there.
#[tokio::test]
async fn the_schedule_frees_what_lies_behind_the_pages_of_a_request() {
    let fixture = Fixture::new(2).await;
    fixture.count(SHOP, A, 6_001).await;
    fixture.crowd(6_000).await;
    // Behind all the others by its name.
    let last = ReserveRequest { reservation_id: Some("z-last".into()), ..request(&[(SHOP, A, 1)], 120) };
    fixture.reserve("last", &last).await.unwrap();
    fixture.pass(121);
    let now = fixture.environment.now();
    let refused = refusal(fixture.reserve("k", &request(&[(SHOP, A, 1)], 60)).await.unwrap_err());
    assert_eq!(refused.code, "insufficient_stock");
    expiry::sweep_expired(&fixture.ports, now, jiff::Timestamp::MAX).await.unwrap();
    let stock = fixture.stock(SHOP, A).await;
    assert_eq!((stock.reserved, stock.may_have_expired_holds(now)), (6_000_000, false));
    fixture.reserve("k", &request(&[(SHOP, A, 1)], 60)).await.unwrap();
    fixture.check_invariants();
}

/// An item of which holds are made all the time: nobody ever finds its `seq` unchanged.
#[tokio::test]
async fn the_earliest_expiry_of_a_busy_item_is_raised() {
    for (ttl_seconds, sooner) in [(900, true), (9_000, false)] {
        let fixture = Fixture::new(3).await;
        let ends = fixture.stale().await;
        let now = fixture.environment.now();
        fixture.look_beside_a_hold("one", 8_000).await;
        let stock = fixture.stock(SHOP, A).await;
        assert!(stock.may_have_expired_holds(now) && stock.look.is_some(), "{stock:?}");
        // What is made from now on is noted, so that the next who looks need not find it.
        fixture.look_beside_a_hold("two", ttl_seconds).await;
        let stock = fixture.stock(SHOP, A).await;
        let made = now.as_millisecond() + ttl_seconds * 1_000;
        let truth = if sooner { made } else { ends };
        assert_eq!((stock.earliest_expiry, stock.look, stock.placed_earliest), (Some(truth), None, None));
    }
}

/// A look that nobody ended for so long that what was made since has expired tells nothing: another is opened.
#[tokio::test]
async fn a_look_of_long_ago_is_opened_anew() {
    let fixture = Fixture::new(4).await;
    let ends = fixture.stale().await;
    fixture.look_beside_a_hold("one", 8_000).await;
    let two = fixture.hold("two", 1, 30).await;
    reservations::release(&fixture.ports, &fixture.caller, "r", &two).await.unwrap();
    fixture.pass(31);
    let before = fixture.stock(SHOP, A).await;
    fixture.look_beside_a_hold("three", 8_000).await;
    let after = fixture.stock(SHOP, A).await;
    assert!(after.look.is_some() && after.look != before.look, "{before:?} {after:?}");
    fixture.look_beside_a_hold("four", 8_000).await;
    assert_eq!(fixture.stock(SHOP, A).await.earliest_expiry, Some(ends));
}

/// What lies at the parts counts at the first from then on.
#[tokio::test]
async fn merging_ends_a_look() {
    let fixture = Fixture::new(5).await;
    fixture.stale().await;
    fixture.look_beside_a_hold("one", 8_000).await;
    assert!(fixture.stock(SHOP, A).await.look.is_some());
    split::split(&fixture.ports, fixture.scope(), SHOP, A, 2).await.unwrap();
    assert!(fixture.stock(SHOP, A).await.look.is_some());
    split::make_whole(&fixture.ports, fixture.scope(), SHOP, A).await.unwrap();
    let stock = fixture.stock(SHOP, A).await;
    assert_eq!((stock.look, stock.placed_earliest), (None, None));
}

/// In every order of at most three interruptions of one who looks, with a look open, and two who make holds that end
/// sooner than all others: none of them is ever hidden.
#[tokio::test]
async fn no_hold_is_lost_by_raising() {
    let orders = Interleavings::interrupted(3);
    let mut raised = 0;
    while orders.again() {
        let fixture = Fixture::new(6).await;
        fixture.stale().await;
        fixture.look_beside_a_hold("one", 8_000).await;
        assert!(fixture.stock(SHOP, A).await.look.is_some());
        let ports = orders.ports(fixture.memory.clone(), 6);
        let now = fixture.environment.now();
        // The clock of these ports stands where the fixture's began, a minute ago.
        let hold = |key: &'static str, ttl_seconds: i64| {
            let (ports, who) = (ports.clone(), fixture.caller.clone());
            let held = async move {
                reserve(&ports, &who, key, &request(&[(SHOP, A, 1)], ttl_seconds)).await.unwrap();
            };
            Box::pin(held) as Request<()>
        };
        let look = {
            let (ports, scope) = (ports.clone(), fixture.scope().clone());
            let looked = async move {
                expiry::free_expired(&ports, &scope, SHOP, A, now).await.unwrap();
            };
            Box::pin(looked) as Request<()>
        };
        orders.run(vec![look, hold("a", 400), hold("b", 200)]);
        fixture.check_invariants();
        raised += i32::from(!fixture.stock(SHOP, A).await.may_have_expired_holds(now));
    }
    assert!(orders.runs() >= 70 && raised > 10, "{raised} of {}", orders.runs());
}
