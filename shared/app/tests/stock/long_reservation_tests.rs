//! Reservations of more lines than one transaction takes: all or none, sold and given back whole, and whole again
//! after a death at every step.

mod at_once;
mod crashes;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tillstream_app::capacity::Operation;
use tillstream_app::catalog::items::product_item;
use tillstream_app::database::{Item, Table};
use tillstream_app::environment::Environment;
use tillstream_app::stock::counters::StockTarget;
use tillstream_app::stock::reserve::{Answer, reserve};
use tillstream_app::stock::{conservation, expiry, long_reservations, read, reservations, split};
use tillstream_app::{Error, Ports, Result};
use tillstream_contracts::inventory::{
    CommitRequest, ExtendRequest, ReservationStatus, ReserveRequest, StockListQuery,
};
use tillstream_domain::quantity::{QuantityInput, Unit};
use tillstream_testkit::faults::{Fault, FaultyDatabase, Rates};
use tillstream_testkit::memory_database::item_size;

use crate::fixture::{Fixture, product, put, refusal, request};

pub(crate) const SHOP: &str = "s-leeds";
/// Three chunks.
const MANY: usize = 100;
/// Most that a reservation takes.
const MOST: usize = 1_000;

pub(crate) fn sku(n: usize) -> String {
    format!("P-{n:04}")
}

/// So many pieces of each of some products.
pub(crate) fn of_each(
    skus: impl IntoIterator<Item = usize>,
    pieces: i64,
    ttl_seconds: i64,
) -> ReserveRequest {
    let named: Vec<String> = skus.into_iter().map(sku).collect();
    let lines: Vec<_> = named.iter().map(|sku| (SHOP, sku.as_str(), pieces)).collect();
    request(&lines, ttl_seconds)
}

fn named(id: &str, wanted: ReserveRequest) -> ReserveRequest {
    ReserveRequest { reservation_id: Some(id.to_owned()), ..wanted }
}

fn part(skus: impl IntoIterator<Item = usize>, pieces: i64) -> CommitRequest {
    CommitRequest::from(of_each(skus, pieces, 1).lines)
}

/// How a request on a reservation goes that may have died once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Reserve,
    Part,
    Commit,
    Release,
    Extend,
}

impl Asked {
    async fn ask(self, ports: &Ports, fixture_caller: &tillstream_app::tenancy::Caller) -> Result<Answer> {
        let (who, id) = (fixture_caller, "v");
        match self {
            Asked::Reserve => reserve(ports, who, "k", &named(id, of_each(0..MANY, 3, 900))).await,
            Asked::Part => reservations::commit(ports, who, "p", id, &part(0..MANY, 1)).await,
            Asked::Commit => reservations::commit(ports, who, "c", id, &CommitRequest::default()).await,
            Asked::Release => reservations::release(ports, who, "r", id).await,
            Asked::Extend => {
                reservations::extend(ports, who, "x", id, &ExtendRequest { ttl_seconds: 5_000 }).await
            }
        }
    }

    /// On hand and reserved, in pieces, before and after, of five pieces.
    fn states(self) -> [(i64, i64); 2] {
        match self {
            Asked::Reserve => [(5, 0), (5, 3)],
            Asked::Part => [(5, 3), (4, 2)],
            Asked::Commit => [(5, 3), (2, 0)],
            Asked::Release => [(5, 3), (5, 0)],
            Asked::Extend => [(5, 3), (5, 3)],
        }
    }
}

impl Fixture {
    /// A shop with `pieces` of each of `many` products.
    pub(crate) async fn with_shelf(seed: u64, many: usize, pieces: i64) -> Self {
        Self::with_safe_shelf(seed, many, pieces, |_| 0).await
    }

    /// The same, with so many pieces of each kept as safety stock.
    pub(crate) async fn with_safe_shelf(
        seed: u64,
        many: usize,
        pieces: i64,
        safety: impl Fn(usize) -> i64,
    ) -> Self {
        let fixture = Fixture::new(seed).await;
        for n in 0..many {
            let item = product_item(fixture.scope(), &product(&sku(n))).unwrap();
            put(&fixture.memory, Table::Catalog, item).await;
            let (on_hand, safety_stock) = (Some(pieces * 1_000), Some(safety(n) * 1_000));
            let unit = Some(Unit::Piece);
            let target = StockTarget { on_hand, safety_stock, unit, ..StockTarget::default() };
            fixture.stocked(SHOP, &sku(n), target).await;
        }
        fixture
    }

    /// On hand and reserved of each product, in pieces; the same of all, or the test fails.
    pub(crate) async fn shelf(&self, many: usize, label: &str) -> (i64, i64) {
        let first = self.stock(SHOP, &sku(0)).await;
        for n in 0..many {
            let stock = self.stock(SHOP, &sku(n)).await;
            assert_eq!(
                (stock.on_hand, stock.reserved),
                (first.on_hand, first.reserved),
                "{label}: {}",
                sku(n)
            );
        }
        (first.on_hand / 1_000, first.reserved / 1_000)
    }

    /// What the keeper does each minute.
    async fn keep(&self) -> usize {
        let now = self.environment.now();
        let looked_at = long_reservations::recover(&self.ports, now, 100, Timestamp::MAX).await.unwrap();
        expiry::sweep_expired(&self.ports, now, Timestamp::MAX).await.unwrap();
        looked_at
    }

    fn items_of_reservations(&self) -> Vec<Item> {
        let is_of = |item: &Item| item.opt_text("pk").is_some_and(|pk| pk.contains("#reservation#"));
        self.memory.items(Table::Stock).into_iter().filter(is_of).collect()
    }

    /// Nothing is under way, and counters, hold lines and ledger agree.
    pub(crate) async fn at_rest(&self, label: &str) {
        self.pass(300);
        assert_eq!(self.keep().await, 0, "{label}: something is under way");
        self.check_invariants();
    }

    /// Begins `work`, and lets it run until it ends or its database kills it. Answers whether it died.
    pub(crate) async fn dying<T, F>(&self, faults: Arc<FaultyDatabase>, work: impl FnOnce(Ports) -> F) -> bool
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let ports = Ports { database: faults.clone(), environment: self.environment.clone() };
        let task = tokio::spawn(work(ports));
        while faults.injected().is_empty() && !task.is_finished() {
            tokio::task::yield_now().await;
        }
        // The call that never returns takes effect in the turns that follow, where it does.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        if task.is_finished() {
            task.await.unwrap();
            return false;
        }
        task.abort();
        let _ = task.await;
        true
    }

    fn killed_at(&self, operation: Operation, step: usize, fault: Fault) -> Arc<FaultyDatabase> {
        let database = Arc::new(FaultyDatabase::new(self.memory.clone()));
        database.script(operation, std::iter::repeat_n(None, step).chain([Some(fault)]));
        database
    }
}

#[tokio::test]
async fn a_thousand_lines_are_one_reservation() {
    let fixture = Fixture::with_shelf(1, MOST, 5).await;
    let (ports, who) = (&fixture.ports, &fixture.caller);
    let wanted = of_each(0..MOST, 2, 600);
    let made = fixture.reserve("k", &wanted).await.unwrap();
    assert!(!made.replayed);
    let id = made.reservation.reservation_id.clone();
    assert_eq!((made.reservation.status, made.reservation.lines.len()), (ReservationStatus::Active, MOST));
    assert_eq!(fixture.shelf(MOST, "held").await, (5, 2));
    fixture.check_invariants();
    let stored: Vec<usize> = fixture.items_of_reservations().iter().map(item_size).collect();
    assert!(stored.iter().sum::<usize>() < 300_000 && stored.len() == 24, "{stored:?}");
    assert_eq!(reservations::get(ports, who, &id).await.unwrap(), made.reservation);
    let again = fixture.reserve("k", &wanted).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.reservation, made.reservation);
    let taken = fixture.reserve("other", &named(&id, of_each(0..2, 1, 60))).await.unwrap_err();
    assert_eq!(taken.code(), Some("reservation_exists"));
    let reused = fixture.reserve("k", &of_each(0..MOST, 1, 600)).await.unwrap_err();
    assert_eq!(reused.code(), Some("idempotency_key_reused"));

    // A part, then the rest.
    let sold = reservations::commit(ports, who, "c1", &id, &part(0..MOST, 1)).await.unwrap();
    assert_eq!(sold.reservation.status, ReservationStatus::Active);
    assert!(sold.reservation.lines.iter().all(|line| line.committed == QuantityInput::Whole(1)));
    assert_eq!(fixture.shelf(MOST, "sold in part").await, (4, 1));
    fixture.check_invariants();
    let last = reservations::commit(ports, who, "c2", &id, &CommitRequest::default()).await.unwrap();
    assert_eq!(last.reservation.status, ReservationStatus::Committed);
    assert_eq!(fixture.shelf(MOST, "sold").await, (3, 0));
    for (key, request, answer) in [("c1", part(0..MOST, 1), sold), ("c2", CommitRequest::default(), last)] {
        let again = reservations::commit(ports, who, key, &id, &request).await.unwrap();
        assert!(again.replayed);
        assert_eq!(again.reservation, answer.reservation, "{key}");
    }
    assert_eq!(fixture.reserve("k", &wanted).await.unwrap().reservation, made.reservation);
    let refused = reservations::release(ports, who, "r", &id).await.unwrap_err();
    assert_eq!(refused.code(), Some("reservation_not_active"));
    fixture.at_rest("a thousand lines").await;
    fixture.relay(|_| true).await;
    for n in [0, 44, 45, 999] {
        assert!(conservation::prove(ports, who, SHOP, &sku(n)).await.unwrap().holds, "{n}");
    }
}

#[tokio::test]
async fn what_one_transaction_takes_is_held_in_one() {
    let fixture = Fixture::with_shelf(2, 49, 5).await;
    let writes = || fixture.faulty.writes.load(std::sync::atomic::Ordering::SeqCst);
    let before = writes();
    fixture.reserve("short", &of_each(0..48, 1, 60)).await.unwrap();
    assert_eq!(writes() - before, 1);
    let holds = fixture.memory.items(Table::Stock);
    assert!(holds.iter().all(|item| item.opt_number("attempt").is_none()), "a short one needs no header");
    // The plan, two chunks, and that it is active.
    fixture.reserve("long", &of_each(0..49, 1, 60)).await.unwrap();
    assert_eq!(writes() - before, 1 + 4);
    let above = of_each(0..1_001, 1, 60);
    assert_eq!(fixture.reserve("above", &above).await.unwrap_err().code(), Some("lines_out_of_range"));
}

#[tokio::test]
async fn all_that_is_short_is_named_and_nothing_is_left_of_it() {
    let fixture = Fixture::with_shelf(3, MANY, 2).await;
    // Of the first, second and last chunk.
    let gone = [3, 50, 99];
    fixture.reserve("other", &of_each(gone, 1, 60)).await.unwrap();
    let before = fixture.memory.items(Table::Stock);
    let refused = refusal(fixture.reserve("k", &of_each(0..MANY, 2, 600)).await.unwrap_err());
    assert_eq!(refused.code, "insufficient_stock");
    let named: Vec<&str> = refused.errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(named, ["lines[3].quantity", "lines[50].quantity", "lines[99].quantity"]);
    assert_eq!(refused.extra["lines"][1]["sku"], sku(50));
    assert_eq!(refused.extra["lines"][1]["available"], 1);
    assert_eq!(fixture.memory.items(Table::Stock), before, "what is short at once costs no write");
    // The same key may succeed later: the other's time passes.
    fixture.pass(60);
    assert!(!fixture.reserve("k", &of_each(0..MANY, 2, 600)).await.unwrap().replayed);
    assert_eq!(fixture.shelf(MANY, "held").await, (2, 2));
    fixture.check_invariants();
}

/// Two lines go to others when the first chunk is held: all is given back, and both are named.
#[tokio::test]
async fn what_becomes_short_on_the_way_is_given_back() {
    for frozen_at in 1..4 {
        let fixture = Fixture::with_shelf(4, MANY, 1).await;
        let database = fixture.killed_at(Operation::Transact, frozen_at, Fault::Freezes);
        let ports = Ports { database: database.clone(), environment: fixture.environment.clone() };
        let who = fixture.caller.clone();
        let task = tokio::spawn(async move { reserve(&ports, &who, "k", &of_each(0..MANY, 1, 600)).await });
        while database.injected().is_empty() {
            tokio::task::yield_now().await;
        }
        // Nothing is there yet for anybody to see.
        let id = fixture.items_of_reservations()[0].opt_text("reservation_id").unwrap().to_owned();
        let seen = reservations::get(&fixture.ports, &fixture.caller, &id).await.unwrap_err();
        assert_eq!(seen.code(), Some("reservation_not_found"));
        fixture.reserve("other", &of_each([95, 98], 1, 600)).await.unwrap();
        database.thaw();
        let refused = refusal(task.await.unwrap().unwrap_err());
        let named: BTreeSet<&str> = refused.errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(named, BTreeSet::from(["lines[95].quantity", "lines[98].quantity"]), "{frozen_at}");
        for n in 0..MANY {
            let reserved = if [95, 98].contains(&n) { 1_000 } else { 0 };
            assert_eq!(fixture.stock(SHOP, &sku(n)).await.reserved, reserved, "{frozen_at} {n}");
        }
        assert_eq!(fixture.items_of_reservations().len(), 1, "only the other's header");
        fixture.check_invariants();
    }
}

/// Its time is over for one whose clock is ahead, who frees one line: then all of it is over, for everybody.
#[tokio::test]
async fn what_is_over_for_one_is_over_for_all() {
    let fixture = Fixture::with_shelf(7, MANY, 5).await;
    let (ports, who) = (&fixture.ports, &fixture.caller);
    let made = fixture.reserve("k", &of_each(0..MANY, 3, 60)).await.unwrap().reservation;
    let id = made.reservation_id.as_str();
    let ahead = made.expires_at;
    assert!(
        !expiry::free_expired(ports, fixture.scope(), SHOP, &sku(70), ahead - Duration::from_millis(1))
            .await
            .unwrap()
    );
    assert!(expiry::free_expired(ports, fixture.scope(), SHOP, &sku(70), ahead).await.unwrap());
    for error in [
        reservations::commit(ports, who, "c", id, &CommitRequest::default()).await.unwrap_err(),
        reservations::commit(ports, who, "p", id, &part(0..2, 1)).await.unwrap_err(),
        reservations::extend(ports, who, "x", id, &ExtendRequest { ttl_seconds: 600 }).await.unwrap_err(),
    ] {
        assert_eq!(error.code(), Some("reservation_expired"));
    }
    assert_eq!(reservations::get(ports, who, id).await.unwrap().status, ReservationStatus::Expired);
    for n in 0..MANY {
        let stock = fixture.stock(SHOP, &sku(n)).await;
        assert_eq!((stock.on_hand, stock.reserved), (5_000, if n == 70 { 0 } else { 3_000 }));
    }
    // It may still be released, and what is left of it ends by itself otherwise.
    let released = reservations::release(ports, who, "r", id).await.unwrap();
    assert_eq!(released.reservation.status, ReservationStatus::Released);
    assert_eq!(fixture.shelf(MANY, "released").await, (5, 0));
    fixture.check_invariants();
    let made = fixture.reserve("l", &of_each(0..MANY, 3, 60)).await.unwrap().reservation;
    fixture.pass(59);
    assert_eq!(fixture.keep().await, 0);
    assert_eq!(fixture.shelf(MANY, "held").await, (5, 3));
    fixture.pass(1);
    // Exactly at its end it is over.
    let late = reservations::commit(ports, who, "c", &made.reservation_id, &CommitRequest::default()).await;
    assert_eq!(late.unwrap_err().code(), Some("reservation_expired"));
    fixture.keep().await;
    assert_eq!(fixture.shelf(MANY, "over").await, (5, 0));
    fixture.at_rest("over").await;
}

/// A commit that was decided in time is not undone by time, whoever looks at its stock before it has followed.
#[tokio::test]
async fn what_is_sold_is_not_freed_when_its_time_is_over() {
    for whole in [true, false] {
        for step in 1..4 {
            let fixture = Fixture::with_shelf(8, MANY, 5).await;
            let (ports, who) = (&fixture.ports, &fixture.caller);
            fixture.reserve("k", &named("v", of_each(0..MANY, 3, 60))).await.unwrap();
            let database = fixture.killed_at(Operation::Transact, step, Fault::DiesBefore);
            let caller = who.clone();
            let request = if whole { CommitRequest::default() } else { part(0..MANY, 2) };
            let again = request.clone();
            let died = fixture
                .dying(database, |ports| async move {
                    reservations::commit(&ports, &caller, "c", "v", &request).await.unwrap()
                })
                .await;
            assert!(died, "{step}");
            fixture.pass(61);
            // Everybody looks, in every way that frees what is over.
            for n in 0..MANY {
                let level = read::one(ports, who, SHOP, &sku(n)).await.unwrap();
                assert_eq!(level.available, QuantityInput::Whole(2), "{step} {n}");
            }
            let list =
                StockListQuery { location_id: Some(SHOP.into()), limit: Some(200), ..Default::default() };
            let list = read::list(ports, who, &list).await.unwrap();
            assert!(list.items.iter().all(|level| level.available == QuantityInput::Whole(2)));
            let wants = fixture.reserve("more", &of_each([99], 3, 60)).await.unwrap_err();
            assert_eq!(wants.code(), Some("insufficient_stock"));
            let shown = reservations::get(ports, who, "v").await.unwrap();
            let (status, sold) =
                if whole { (ReservationStatus::Committed, 3) } else { (ReservationStatus::Active, 2) };
            // What was decided is told, though its stock has not followed.
            assert_eq!(shown.lines[99].committed, QuantityInput::Whole(sold));
            assert!(shown.status == status || (!whole && shown.status == ReservationStatus::Expired));
            if step % 2 == 0 {
                fixture.keep().await;
            }
            assert!(reservations::commit(ports, who, "c", "v", &again).await.unwrap().replayed);
            fixture.keep().await;
            assert_eq!(fixture.shelf(MANY, "sold").await, (5 - sold, 0), "{whole} {step}");
            fixture.check_invariants();
        }
    }
}

/// To extend is one write. The hold lines follow when somebody looks at them, and until then nobody takes them
/// for free.
#[tokio::test]
async fn an_extension_is_one_write_and_holds_all_lines() {
    let fixture = Fixture::with_shelf(9, MANY, 5).await;
    let (ports, who) = (&fixture.ports, &fixture.caller);
    let made = fixture.reserve("k", &of_each(0..MANY, 3, 60)).await.unwrap().reservation;
    let id = made.reservation_id.as_str();
    let before = fixture.faulty.writes.load(std::sync::atomic::Ordering::SeqCst);
    let longer = ExtendRequest { ttl_seconds: 600 };
    let extended = reservations::extend(ports, who, "x", id, &longer).await.unwrap().reservation;
    assert_eq!(fixture.faulty.writes.load(std::sync::atomic::Ordering::SeqCst) - before, 1);
    assert_eq!(extended.expires_at.duration_since(made.expires_at).as_secs(), 540);
    fixture.pass(120);
    let list = StockListQuery { location_id: Some(SHOP.into()), limit: Some(200), ..Default::default() };
    for _ in 0..2 {
        let levels = read::list(ports, who, &list).await.unwrap().items;
        assert!(levels.iter().all(|level| level.available == QuantityInput::Whole(2)), "{:?}", levels[0]);
    }
    let refused = fixture.reserve("more", &of_each([0, 99], 3, 60)).await.unwrap_err();
    assert_eq!(refused.code(), Some("insufficient_stock"));
    // Those two know better now; the sweep teaches the others, and then has nothing to do.
    fixture.check_invariants();
    for looked_at in [MANY - 2, 0] {
        let swept = expiry::sweep_expired(ports, fixture.environment.now(), Timestamp::MAX).await.unwrap();
        assert_eq!(swept, expiry::Swept { items: looked_at, failed: 0 });
    }
    let stock = fixture.stock(SHOP, &sku(5)).await;
    assert_eq!(stock.earliest_expiry, Some(extended.expires_at.as_millisecond()));
    assert_eq!(fixture.shelf(MANY, "held").await, (5, 3));
    let again = reservations::extend(ports, who, "x", id, &longer).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.reservation, extended);
    fixture.pass(480);
    fixture.keep().await;
    assert_eq!(fixture.shelf(MANY, "over").await, (5, 0));
    fixture.at_rest("over").await;
}

#[tokio::test]
async fn a_count_that_finds_less_is_told_before_and_entered_after_it_was_sold() {
    let fixture = Fixture::with_shelf(10, MANY, 5).await;
    let (ports, who) = (&fixture.ports, &fixture.caller);
    fixture.reserve("k", &named("v", of_each(0..MANY, 4, 600))).await.unwrap();
    fixture.count(SHOP, &sku(99), 3).await;
    let before = fixture.memory.items(Table::Stock);
    for request in [CommitRequest::default(), part([1, 99], 4)] {
        let refused = refusal(reservations::commit(ports, who, "c", "v", &request).await.unwrap_err());
        assert_eq!(refused.code, "insufficient_stock");
        assert_eq!(refused.extra["lines"][0]["sku"], sku(99));
        assert_eq!(refused.extra["lines"][0]["available"], 3);
    }
    assert_eq!(fixture.memory.items(Table::Stock), before, "nothing of it happened");
    // What the count left may be sold.
    reservations::commit(ports, who, "p", "v", &part([1, 99], 3)).await.unwrap();
    assert_eq!(fixture.stock(SHOP, &sku(99)).await.on_hand, 0);
    fixture.count(SHOP, &sku(99), 1).await;

    // Here the count comes when all is decided and nothing has followed.
    let database = fixture.killed_at(Operation::Transact, 1, Fault::DiesBefore);
    let caller = who.clone();
    let died = fixture
        .dying(database, |ports| async move {
            reservations::commit(&ports, &caller, "c", "v", &CommitRequest::default()).await.unwrap()
        })
        .await;
    assert!(died);
    fixture.count(SHOP, &sku(50), 1).await;
    fixture.count(SHOP, &sku(51), 0).await;
    let done = reservations::commit(ports, who, "c", "v", &CommitRequest::default()).await.unwrap();
    assert_eq!(done.reservation.status, ReservationStatus::Committed);
    for (n, on_hand) in [(0, 1), (1, 1), (50, 0), (51, 0), (99, 0)] {
        let stock = fixture.stock(SHOP, &sku(n)).await;
        assert_eq!(
            (stock.on_hand, stock.reserved, stock.available),
            (on_hand * 1_000, 0, on_hand * 1_000),
            "{n}"
        );
    }
    fixture.at_rest("counted").await;
    fixture.relay(|_| true).await;
    let proof = conservation::prove(ports, who, SHOP, &sku(50)).await.unwrap();
    assert!(proof.holds, "{proof:?}");
    let entered = fixture.memory.items(Table::Ledger);
    let entered = entered.iter().filter(|row| row.opt_text("kind") == Some("discrepancy")).count();
    assert_eq!(entered, 2);
}

/// Some of its lines are split, over few parts or many, and merged or split again while it stands.
#[tokio::test]
async fn over_the_parts_of_split_stock() {
    for merged in [false, true] {
        let fixture = Fixture::with_shelf(14, MANY, 40).await;
        let (ports, who, scope) = (&fixture.ports, &fixture.caller, fixture.scope());
        for n in [0, 1, 2, 50, 51, 99] {
            split::split(ports, scope, SHOP, &sku(n), 8).await.unwrap();
        }
        // Of eight parts of five, seventeen are in four.
        fixture.reserve("k", &named("v", of_each(0..MANY, 17, 600))).await.unwrap();
        let lay_out = async |n: usize| {
            if merged {
                split::merge(ports, scope, SHOP, &sku(n)).await.unwrap();
            }
        };
        lay_out(0).await;
        reservations::commit(ports, who, "p", "v", &part(0..MANY, 7)).await.unwrap();
        lay_out(50).await;
        for n in 0..MANY {
            let level = read::one(ports, who, SHOP, &sku(n)).await.unwrap();
            let seen = (level.on_hand, level.reserved, level.available);
            let expected = [33, 10, 23].map(QuantityInput::Whole);
            assert_eq!([seen.0, seen.1, seen.2], expected, "{merged} {n}");
        }
        if merged {
            reservations::commit(ports, who, "c", "v", &CommitRequest::default()).await.unwrap();
        } else {
            reservations::release(ports, who, "r", "v").await.unwrap();
        }
        lay_out(99).await;
        let left = if merged { 23 } else { 33 };
        for n in 0..MANY {
            let level = read::one(ports, who, SHOP, &sku(n)).await.unwrap();
            let expected = [left, 0, left].map(QuantityInput::Whole);
            assert_eq!([level.on_hand, level.reserved, level.available], expected, "{merged} {n}");
        }
        fixture.pass(300);
        assert_eq!(fixture.keep().await, 0);
    }
}

/// A chunk of whose lines too many are taken from several parts is held all the same.
#[tokio::test]
async fn stock_that_is_split_over_too_many_parts_is_merged() {
    let fixture = Fixture::with_shelf(15, 60, 40).await;
    for n in 0..4 {
        split::split(&fixture.ports, fixture.scope(), SHOP, &sku(n), 8).await.unwrap();
    }
    fixture.reserve("k", &named("v", of_each(0..60, 17, 600))).await.unwrap();
    reservations::commit(&fixture.ports, &fixture.caller, "c", "v", &CommitRequest::default()).await.unwrap();
    for n in 0..60 {
        let level = read::one(&fixture.ports, &fixture.caller, SHOP, &sku(n)).await.unwrap();
        assert_eq!(
            (level.on_hand, level.reserved),
            (QuantityInput::Whole(23), QuantityInput::Whole(0)),
            "{n}"
        );
    }
}

/// What can be changed often stays small, and is changed no oftener.
#[tokio::test]
async fn a_long_reservation_is_changed_a_hundred_times_and_stays_small() {
    let fixture = Fixture::with_shelf(16, MANY, 200).await;
    let (ports, who) = (&fixture.ports, &fixture.caller);
    fixture.reserve("k", &named("v", of_each(0..MANY, 150, 900))).await.unwrap();
    for n in 0..100 {
        reservations::commit(ports, who, &format!("c{n}"), "v", &part(0..MANY, 1)).await.unwrap();
    }
    let refused = reservations::commit(ports, who, "n", "v", &part([0], 1)).await.unwrap_err();
    assert_eq!(refused.code(), Some("too_many_commits"));
    let largest = fixture.items_of_reservations().iter().map(item_size).max().unwrap();
    assert!(largest < 40_000, "{largest}");
    let early = reservations::commit(ports, who, "c10", "v", &part(0..MANY, 1)).await.unwrap();
    assert!(early.replayed && early.reservation.lines[7].committed == QuantityInput::Whole(11));
    reservations::commit(ports, who, "all", "v", &CommitRequest::default()).await.unwrap();
    assert_eq!(fixture.shelf(MANY, "sold").await, (50, 0));
    fixture.at_rest("sold").await;
}

/// What the database refuses for good is told as ours to mend, and what passes by itself is waited for.
#[tokio::test]
async fn a_database_in_trouble_is_waited_for_or_told() {
    for asked in [Asked::Reserve, Asked::Part, Asked::Commit, Asked::Release, Asked::Extend] {
        for fault in
            [Fault::Throttled, Fault::Conflict, Fault::TimedOutBefore, Fault::AnswerLost, Fault::Refused]
        {
            for step in 0..7 {
                let fixture = Fixture::with_shelf(17, MANY, 5).await;
                if asked != Asked::Reserve {
                    Asked::Reserve.ask(&fixture.ports, &fixture.caller).await.unwrap();
                }
                let database = fixture.killed_at(Operation::Transact, step, fault);
                let ports = Ports { database: database.clone(), environment: fixture.environment.clone() };
                let answer = asked.ask(&ports, &fixture.caller).await;
                if database.injected().is_empty() {
                    break;
                }
                let label = format!("{asked:?} {fault:?} at {step}");
                if fault == Fault::Refused {
                    assert!(matches!(answer, Err(Error::Bug(_))), "{label}: {answer:?}");
                    continue;
                }
                let answer = answer.unwrap_or_else(|error| panic!("{label}: {error}"));
                assert!(!answer.replayed, "{label}: our own write is no replay");
                assert_eq!(fixture.shelf(MANY, &label).await, asked.states()[1], "{label}");
                fixture.check_invariants();
            }
        }
    }
}

/// Whoever may not reach all of its locations learns nothing of it, and moves nothing.
#[tokio::test]
async fn a_long_reservation_out_of_reach_is_left_alone() {
    let fixture = Fixture::with_shelf(18, MANY, 5).await;
    fixture.reserve("k", &named("v", of_each(0..MANY, 3, 900))).await.unwrap();
    let database = fixture.killed_at(Operation::Transact, 1, Fault::DiesBefore);
    let who = fixture.caller.clone();
    let died = fixture
        .dying(database, |ports| async move { reservations::release(&ports, &who, "r", "v").await.unwrap() })
        .await;
    assert!(died);
    let before = fixture.memory.items(Table::Stock);
    let york = crate::fixture::caller(
        "demo",
        tillstream_app::tenancy::Role::StoreManager,
        crate::fixture::named(&["s-york"]),
    );
    for error in [
        reservations::get(&fixture.ports, &york, "v").await.unwrap_err(),
        reservations::release(&fixture.ports, &york, "r", "v").await.unwrap_err(),
        reservations::commit(&fixture.ports, &york, "c", "v", &CommitRequest::default()).await.unwrap_err(),
    ] {
        assert_eq!(error.code(), Some("store_out_of_reach"));
    }
    assert_eq!(fixture.memory.items(Table::Stock), before);
}
