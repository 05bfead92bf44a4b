//! Expired holds behind more live ones than one request reads: who asks again looks on where the last one stopped.

use futures::future::join_all;
use tillstream_app::Error;
use tillstream_app::database::Table;
use tillstream_app::environment::Environment;
use tillstream_app::stock::read;
use tillstream_contracts::inventory::ReserveRequest;
use tillstream_domain::quantity::QuantityInput;

use crate::counted_calls::CountedCalls;
use crate::fixture::{Fault, Fixture, SKUS, refusal, request};

const SHOP: &str = "s-leeds";
const A: &str = SKUS[0];
/// Pages of hold lines that one request reads.
const PAGES: usize = 5;

impl Fixture {
    /// So many live holds, and besides so much stock, of which a hold with this id takes all and has expired.
    async fn expired_among(&self, live: i64, id: &str, pieces: i64) {
        self.count(SHOP, A, live + pieces).await;
        self.many_holds((SHOP, A), live, 600, 60).await;
        self.hold_for_a_moment(id, pieces).await;
    }

    async fn hold_for_a_moment(&self, id: &str, pieces: i64) {
        let wanted = request(&[(SHOP, A, pieces)], 60);
        let wanted = ReserveRequest { reservation_id: Some(id.into()), ..wanted };
        self.reserve(&format!("k-{id}"), &wanted).await.unwrap();
        self.pass(61);
    }

    /// Whether somebody who asks for one piece gets it.
    async fn gets_one(&self, key: &str) -> bool {
        match self.reserve(key, &request(&[(SHOP, A, 1)], 900)).await {
            Ok(_) => true,
            Err(Error::Retryable { .. } | Error::Conflict(_)) => false,
            Err(error) => {
                assert_eq!(refusal(error).code, "insufficient_stock");
                false
            }
        }
    }

    /// Whether the stock item says that something is remembered, and whether it is.
    async fn remembers(&self) -> (bool, bool) {
        let key = self.scope().read_holds(SHOP, A);
        let items = self.memory.items(Table::Stock);
        let is_there = items.iter().any(|item| item.opt_text("pk") == Some(key.pk()));
        (self.stock(SHOP, A).await.holds_read, is_there)
    }
}

#[tokio::test]
async fn who_asks_again_comes_to_every_expired_hold() {
    let fixture = Fixture::new(1).await;
    fixture.expired_among(12_000, "z-last", 5).await;
    let (ports, calls) = CountedCalls::ports_over(&fixture);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let level = read::one(&ports, &fixture.caller, SHOP, A).await.unwrap();
        seen.push((level.available, calls.queries()));
    }
    let none = (QuantityInput::Whole(0), PAGES);
    // The third reads what is left: two pages of live holds, and the last one; and then what lists show.
    assert_eq!(seen, [none.clone(), none, (QuantityInput::Whole(5), 3 + PAGES)]);
    fixture.check_invariants();
}

/// The same where it is reserved, and where others sell and hold meanwhile.
#[tokio::test]
async fn who_wants_stock_gets_what_expired_behind_live_holds() {
    let fixture = Fixture::new(2).await;
    fixture.expired_among(12_000, "z-last", 5).await;
    assert!(!fixture.gets_one("k-1").await);
    assert_eq!(fixture.remembers().await, (true, true));
    assert!(!fixture.gets_one("k-2").await);
    assert!(fixture.gets_one("k-3").await);
    fixture.check_invariants();
    // What expires before where the look stopped is come to as well: the run goes round.
    for (n, id) in ["a-first", "h-07000-x", "z-again"].into_iter().enumerate() {
        let left = if n == 0 { 4 } else { 1 };
        fixture.hold_for_a_moment(id, left).await;
        let mut tries = 0;
        while !fixture.gets_one(&format!("{id}-{tries}")).await {
            tries += 1;
            assert!(tries < 4, "{id}");
        }
        let more = request(&[(SHOP, A, 3)], 900);
        if n == 0 {
            fixture.reserve("rest", &more).await.unwrap();
        }
        fixture.count(SHOP, A, 12_006 + i64::try_from(n).unwrap()).await;
        fixture.check_invariants();
    }
}

/// Once one look has read all lines, the earliest expiry is the truth, and nothing is remembered.
#[tokio::test]
async fn what_is_read_whole_is_forgotten() {
    let fixture = Fixture::new(3).await;
    fixture.count(SHOP, A, 5_500).await;
    fixture.many_holds((SHOP, A), 5_500, 600, 60).await;
    let ends = fixture.environment.now().as_millisecond() + 600_000;
    fixture.pass(61);
    let (ports, calls) = CountedCalls::ports_over(&fixture);
    read::one(&ports, &fixture.caller, SHOP, A).await.unwrap();
    assert_eq!((calls.queries(), fixture.remembers().await), (PAGES, (true, true)));
    // From the line where that one stopped to the end, and from the first line to there.
    read::one(&ports, &fixture.caller, SHOP, A).await.unwrap();
    assert_eq!((calls.queries(), fixture.remembers().await), (1 + PAGES, (false, false)));
    assert_eq!(fixture.stock(SHOP, A).await.earliest_expiry, Some(ends));
    read::one(&ports, &fixture.caller, SHOP, A).await.unwrap();
    assert_eq!(calls.queries(), 0);
}

/// What no longer has more lines than one request reads is looked through by each, wherever the last one stopped.
#[tokio::test]
async fn what_expired_before_the_beginning_is_found_by_the_same_look() {
    let fixture = Fixture::new(4).await;
    fixture.count(SHOP, A, 5_501).await;
    fixture.many_holds((SHOP, A), 5_500, 600, 60).await;
    fixture.pass(61);
    read::one(&fixture.ports, &fixture.caller, SHOP, A).await.unwrap();
    assert_eq!(fixture.remembers().await, (true, true));
    fixture.hold_for_a_moment("a-first", 1).await;
    assert!(fixture.gets_one("k").await);
    fixture.check_invariants();
}

/// Many at once, of whom some lose their answers: what one remembers no other takes back.
#[tokio::test]
async fn many_who_ask_at_once_get_on() {
    for seed in 5..8 {
        let fixture = Fixture::new(seed).await;
        fixture.expired_among(12_000, "z-last", 40).await;
        let mut rounds = 0;
        loop {
            let keys: Vec<String> = (0..6).map(|n| format!("k-{rounds}-{n}")).collect();
            let got = join_all(keys.iter().map(|key| fixture.gets_one(key))).await;
            rounds += 1;
            assert!(rounds <= 3, "seed {seed}");
            if got.contains(&true) {
                break;
            }
        }
        assert!(rounds > 1, "seed {seed}: nobody reads all");
        fixture.check_invariants();

        let fixture = Fixture::new(seed).await;
        fixture.expired_among(12_000, "z-last", 40).await;
        fixture.inject_by_chance(6, [Fault::LostBefore, Fault::LostAfter, Fault::Conflict]);
        let mut tries = 0;
        while !fixture.gets_one(&format!("k-{tries}")).await {
            tries += 1;
            assert!(tries < 40, "seed {seed}");
        }
        fixture.heal();
        fixture.check_invariants();
    }
}

/// A look that stops in one part of split stock goes on there, and comes to the parts behind it.
#[tokio::test]
async fn the_parts_of_split_stock_are_one_run() {
    let fixture = Fixture::new(9).await;
    fixture.count(SHOP, A, 7_000).await;
    fixture.many_holds((SHOP, A), 6_000, 600, 60).await;
    fixture.split(4).await;
    fixture.hold_for_a_moment("z-last", 1_000).await;
    let all = request(&[(SHOP, A, 1_000)], 900);
    let refused = refusal(fixture.reserve("k-1", &all).await.unwrap_err());
    assert_eq!(refused.code, "insufficient_stock");
    fixture.reserve("k-2", &all).await.unwrap();
    fixture.check().await;
}

/// A crash left what the stock item does not tell of, or the other way round: nobody minds.
#[tokio::test]
async fn what_is_remembered_in_part_keeps_nobody_from_anything() {
    for lost in [1, 2] {
        let fixture = Fixture::new(10).await;
        fixture.expired_among(12_000, "z-last", 5).await;
        // The first write of a look that stops says where, the second that it does.
        let first = fixture.faulty.writes.load(std::sync::atomic::Ordering::SeqCst);
        fixture.inject(move |n| if n == first + lost - 1 { Fault::LostBefore } else { Fault::None });
        assert!(!fixture.gets_one("k-1").await);
        fixture.heal();
        assert_eq!(fixture.remembers().await, (false, lost == 2));
        assert!(!fixture.gets_one("k-2").await);
        assert_eq!(fixture.remembers().await, (true, true));
        assert!(!fixture.gets_one("k-3").await);
        assert!(fixture.gets_one("k-4").await);
    }
}

/// Where there are no more holds than one request reads, a look costs its pages and no call besides.
#[tokio::test]
async fn few_holds_cost_nothing_more() {
    let mut calls_of = Vec::new();
    for live in [1, 4_999] {
        let fixture = Fixture::new(11).await;
        fixture.count(SHOP, A, live).await;
        fixture.many_holds((SHOP, A), live, 600, 60).await;
        fixture.pass(61);
        let (ports, calls) = CountedCalls::ports_over(&fixture);
        read::one(&ports, &fixture.caller, SHOP, A).await.unwrap();
        calls_of.push((calls.calls(), calls.queries()));
        assert_eq!(fixture.remembers().await, (false, false));
    }
    let (few, many) = (calls_of[0], calls_of[1]);
    assert_eq!((few.1, many.1), (1, PAGES));
    assert_eq!(many.0 - few.0, PAGES - 1, "{calls_of:?}");
}
