//! Split stock: nothing is sold twice, nothing is lost, whatever is split and merged meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use tillstream_app::database::{Database, Item, Table};
use tillstream_app::environment::Environment;
use tillstream_app::stock::conservation::prove;
use tillstream_app::stock::holds::{Hold, locate};
use tillstream_app::stock::ledger_gaps::walk_ledger_gaps;
use tillstream_app::stock::reserve::reserve;
use tillstream_app::stock::split::{self, LaidOut};
use tillstream_app::stock::{expiry, movements, read, reservations, update};
use tillstream_app::{Error, Ports};
use tillstream_contracts::inventory::{
    CommitRequest, ExtendRequest, MovementQuery, StockLevel, StockListQuery, StockUpdateKind,
    StockUpdateRequest,
};
use tillstream_domain::quantity::QuantityInput;
use tillstream_testkit::faults::{self, Rates};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::test_environment::TestEnvironment;

use crate::fixture::{Fault, Fixture, SKUS, refusal, request};

const SHOP: &str = "s-leeds";
const A: &str = SKUS[0];

impl Fixture {
    /// Ports of somebody else: without the faults.
    fn others(&self) -> Ports {
        Ports { database: self.memory.clone(), environment: self.environment.clone() }
    }

    pub async fn split(&self, parts: u32) {
        let laid_out = split::split(&self.others(), self.scope(), SHOP, A, parts).await.unwrap();
        assert!(matches!(laid_out, LaidOut::Now(_)), "{laid_out:?}");
    }

    pub async fn merge(&self) {
        let laid_out = split::merge(&self.others(), self.scope(), SHOP, A).await.unwrap();
        assert!(matches!(laid_out, LaidOut::Now(_)), "{laid_out:?}");
    }

    async fn level(&self) -> StockLevel {
        read::one(&self.ports, &self.caller, SHOP, A).await.unwrap()
    }

    /// On hand, reserved, available.
    pub async fn pieces(&self) -> (i64, i64, i64) {
        let level = self.level().await;
        let of = |quantity| if let QuantityInput::Whole(pieces) = quantity { pieces } else { -1 };
        (of(level.on_hand), of(level.reserved), of(level.available))
    }

    pub async fn hold(&self, key: &str, pieces: i64, ttl_seconds: i64) -> String {
        let wanted = request(&[(SHOP, A, pieces)], ttl_seconds);
        self.reserve(key, &wanted).await.unwrap().reservation.reservation_id
    }

    /// A hold of one piece on a part that is not the first.
    async fn hold_off_first(&self, key: &str, ttl_seconds: i64) -> String {
        for n in 0..1_000 {
            let id = self.hold(&format!("{key}-{n}"), 1, ttl_seconds).await;
            let made = reservations::find(&self.ports, self.scope(), &id).await.unwrap().unwrap();
            if made.holds().iter().all(|hold| hold.part > 0) {
                return id;
            }
            reservations::release(&self.ports, &self.caller, "again", &id).await.unwrap();
        }
        panic!("always the first part");
    }

    async fn commit(&self, id: &str) -> Result<(), Error> {
        reservations::commit(&self.ports, &self.caller, "commit", id, &CommitRequest::default())
            .await
            .map(|_| ())
    }

    /// What must hold of all parts: counters follow from each other, nothing split is oversold, what is
    /// reserved in each place is what the hold lines say that count there, no expiry is later than the
    /// truth, and the ledger proves it all.
    pub async fn check(&self) {
        let items = self.memory.items(Table::Stock);
        let lines: Vec<Hold> = items
            .iter()
            .filter(|item| item.opt_text("pk").unwrap().contains("#holds"))
            .map(|item| Hold::of(item).unwrap())
            .collect();
        let mut held: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for located in locate(self.memory.as_ref(), self.scope(), lines).await.unwrap() {
            let hold = &located.hold;
            let key = located.place.key(self.scope(), &hold.location_id, &hold.sku);
            let entry = held.entry(key.pk().to_owned()).or_insert((0, i64::MAX));
            *entry = (entry.0 + hold.quantity.thousandths(), entry.1.min(hold.expires_at));
        }
        for item in items.iter().filter(|item| item.opt_number("seq").is_some()) {
            let number = |name| item.opt_number(name).unwrap_or(0);
            let (sum, earliest) = held.remove(item.opt_text("pk").unwrap()).unwrap_or((0, i64::MAX));
            assert_eq!(
                number("available"),
                number("on_hand") - number("reserved") - number("safety_stock"),
                "{item:?}"
            );
            assert!(number("available") >= 0 && number("on_hand") >= 0, "{item:?}");
            assert_eq!(number("reserved"), sum, "{item:?}");
            if sum > 0 {
                assert!(item.opt_number("earliest_expiry").is_some_and(|at| at <= earliest), "{item:?}");
            }
        }
        assert!(held.is_empty(), "held where there is no stock: {held:?}");
        // Reads free some of what has expired, and that is a movement: none may come after the proof.
        let now = self.environment.now();
        expiry::free_expired(&self.others(), self.scope(), SHOP, A, now).await.unwrap();
        self.relay(|_| true).await;
        let proof = prove(&self.others(), &self.caller, SHOP, A).await.unwrap();
        assert!(proof.holds && proof.seq_reached == proof.seq_current, "{proof:?}");
        let level = read::one(&self.others(), &self.caller, SHOP, A).await.unwrap();
        assert_eq!(proof.seq_current, level.version);
        assert_eq!(
            (proof.counters.on_hand, proof.counters.available),
            (level.on_hand, level.available),
            "a count of the ledger is what a client reads"
        );
    }
}

#[tokio::test]
async fn a_client_reads_the_same_before_and_after() {
    let fixture = Fixture::new(1).await;
    fixture.count(SHOP, A, 103).await;
    fixture.hold("k", 5, 900).await;
    let before = fixture.level().await;
    for parts in [2, 16, 32, 7] {
        fixture.split(parts).await;
        fixture.check().await;
        assert_eq!(fixture.level().await, before);
        let list = read::list(&fixture.ports, &fixture.caller, &StockListQuery::default()).await.unwrap();
        assert_eq!(list.items, std::slice::from_ref(&before));
        fixture.merge().await;
        fixture.check().await;
        assert_eq!(fixture.level().await, before);
    }
    let nothing = split::merge(&fixture.ports, fixture.scope(), SHOP, A).await.unwrap();
    assert_eq!(nothing, LaidOut::Not);
    // Movements of all parts that there ever were, page by page.
    let mut query = MovementQuery { sku: A.into(), location_id: SHOP.into(), limit: Some(7), cursor: None };
    let mut seen = Vec::new();
    loop {
        let page = movements::list(&fixture.ports, &fixture.caller, &query).await.unwrap();
        seen.extend(page.items.into_iter().map(|row| (row.part, row.seq)));
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            break;
        }
    }
    // A count, a hold and four times there and back; and the parts' own.
    assert_eq!(seen.iter().filter(|(part, _)| part.is_none()).count(), 10);
    assert_eq!(seen.len(), 10 + 2 * (1 + 15 + 31 + 6));
    let distinct: std::collections::BTreeSet<_> = seen.iter().collect();
    assert_eq!(distinct.len(), seen.len());
}

#[tokio::test]
async fn too_little_or_not_whole_is_not_split() {
    let fixture = Fixture::new(2).await;
    let ports = fixture.others();
    let split = |parts| split::split(&ports, fixture.scope(), SHOP, A, parts);
    assert_eq!(split(2).await.unwrap(), LaidOut::Not, "there is none");
    fixture.count(SHOP, A, 15).await;
    assert_eq!(split(16).await.unwrap(), LaidOut::Not, "not one for each");
    assert!(split(1).await.is_err() && split(33).await.is_err());
    assert!(matches!(split(15).await.unwrap(), LaidOut::Now(_)));
    assert_eq!(split(2).await.unwrap(), LaidOut::Not, "it is split");
    assert_eq!([0, 15_999, 16_000, 8_000 * 31, i64::MAX].map(split::parts_for), [0, 1, 2, 31, 32]);
    fixture.check().await;
}

/// Every reservation of one piece, by many tasks at once, repeated as a client does.
async fn sell_out(fixture: &Fixture, ports: &Ports, tasks: usize) -> (usize, usize) {
    let mut running = Vec::new();
    for n in 0..tasks {
        let (ports, caller) = (ports.clone(), fixture.caller.clone());
        running.push(tokio::spawn(async move {
            loop {
                match reserve(&ports, &caller, &format!("key-{n}"), &request(&[(SHOP, A, 1)], 900)).await {
                    Err(Error::Retryable { .. } | Error::Conflict(_)) => {}
                    answer => return answer,
                }
            }
        }));
    }
    let (mut made, mut refused) = (0, 0);
    for task in running {
        match task.await.unwrap() {
            Ok(_) => made += 1,
            Err(error) => {
                let refusal = refusal(error);
                assert_eq!(refusal.code, "insufficient_stock");
                assert_eq!(refusal.extra["lines"][0]["available"], 0);
                refused += 1;
            }
        }
    }
    (made, refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_last_unit_is_sold_and_none_twice() {
    for (seed, parts) in [(3, 4), (4, 16), (5, 32)] {
        let fixture = Fixture::new(seed).await;
        fixture.count(SHOP, A, 75).await;
        fixture.split(parts).await;
        assert_eq!(sell_out(&fixture, &fixture.others(), 100).await, (75, 25));
        assert_eq!(fixture.pieces().await, (75, 75, 0));
        fixture.check().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_last_unit_is_sold_whatever_the_database_does() {
    for seed in 0..6 {
        let fixture = Fixture::new(seed).await;
        fixture.count(SHOP, A, 40).await;
        fixture.split(8).await;
        let database =
            Arc::new(faults::FaultyDatabase::random(fixture.memory.clone(), seed, Rates::each(20)));
        let ports = Ports { database, environment: fixture.environment.clone() };
        assert_eq!(sell_out(&fixture, &ports, 60).await, (40, 20));
        assert_eq!(fixture.pieces().await, (40, 40, 0));
        fixture.check().await;
    }
}

#[tokio::test]
async fn what_no_part_has_is_taken_from_the_fewest_that_have_it() {
    let fixture = Fixture::new(6).await;
    fixture.count(SHOP, A, 40).await;
    fixture.split(8).await;
    let large = fixture.hold("large", 17, 900).await;
    let made = reservations::find(&fixture.ports, fixture.scope(), &large).await.unwrap().unwrap();
    assert_eq!(made.holds().len(), 4, "{made:?}");
    fixture.check().await;
    let short = refusal(fixture.reserve("more", &request(&[(SHOP, A, 24)], 900)).await.unwrap_err());
    assert_eq!(short.extra["lines"][0]["available"], 23);
    let rest = fixture.hold("rest", 23, 900).await;
    assert_eq!(fixture.pieces().await, (40, 40, 0));
    fixture.check().await;
    fixture.commit(&large).await.unwrap();
    reservations::release(&fixture.ports, &fixture.caller, "r", &rest).await.unwrap();
    assert_eq!(fixture.pieces().await, (23, 0, 23));
    fixture.check().await;
    // Held over many parts and merged: all of it is in one item then, and a transaction takes one action
    // on an item.
    let large = fixture.hold("again", 20, 900).await;
    fixture.merge().await;
    fixture.check().await;
    fixture.commit(&large).await.unwrap();
    assert_eq!(fixture.pieces().await, (3, 0, 3));
    fixture.check().await;
}

#[tokio::test]
async fn more_parts_than_a_transaction_takes_are_merged_first() {
    let fixture = Fixture::new(7).await;
    for sku in [A, SKUS[1]] {
        fixture.count(SHOP, sku, 64).await;
        split::split(&fixture.ports, fixture.scope(), SHOP, sku, 32).await.unwrap();
    }
    // 60 holds of two pieces each and 28 holds: no transaction takes 88.
    let wanted = request(&[(SHOP, A, 60), (SHOP, SKUS[1], 56)], 900);
    let id = fixture.reserve("k", &wanted).await.unwrap().reservation.reservation_id;
    assert_eq!(fixture.pieces().await, (64, 60, 4));
    fixture.check().await;
    fixture.commit(&id).await.unwrap();
    fixture.check().await;
}

#[tokio::test]
async fn a_hold_outlives_every_layout() {
    // Made before a split, committed after it; and after a merge.
    let fixture = Fixture::new(8).await;
    fixture.count(SHOP, A, 40).await;
    let (one, two) = (fixture.hold("one", 3, 900).await, fixture.hold("two", 4, 900).await);
    fixture.split(4).await;
    fixture.commit(&one).await.unwrap();
    fixture.check().await;
    // Made while split: committed while split, after a merge, and after another split.
    let [a, b, c, d] = [
        fixture.hold_off_first("a", 900).await,
        fixture.hold_off_first("b", 900).await,
        fixture.hold_off_first("c", 900).await,
        fixture.hold_off_first("d", 900).await,
    ];
    fixture.commit(&a).await.unwrap();
    fixture.check().await;
    fixture.merge().await;
    fixture.check().await;
    fixture.commit(&two).await.unwrap();
    fixture.commit(&b).await.unwrap();
    fixture.check().await;
    fixture.split(4).await;
    let longer = ExtendRequest { ttl_seconds: 1_800 };
    reservations::extend(&fixture.ports, &fixture.caller, "x", &c, &longer).await.unwrap();
    fixture.commit(&c).await.unwrap();
    reservations::release(&fixture.ports, &fixture.caller, "r", &d).await.unwrap();
    fixture.check().await;
    assert_eq!(fixture.pieces().await, (40 - 3 - 4 - 3, 0, 30));
}

#[tokio::test]
async fn what_is_merged_or_split_between_our_read_and_our_write_changes_nothing() {
    for ending in ["commit", "release", "expire"] {
        let fixture = Fixture::new(9).await;
        fixture.count(SHOP, A, 40).await;
        fixture.split(4).await;
        let id = fixture.hold_off_first("k", 60).await;
        fixture.meanwhile(|ports, caller| async move {
            split::merge(&ports, &caller.scope, SHOP, A).await.unwrap();
        });
        match ending {
            "commit" => fixture.commit(&id).await.unwrap(),
            "release" => {
                reservations::release(&fixture.ports, &fixture.caller, "r", &id).await.unwrap();
            }
            _ => {
                fixture.pass(61);
                // Whose write met the merge looks again, and frees it where it is now.
                assert_eq!(fixture.pieces().await, (40, 0, 40));
            }
        }
        let left = if ending == "commit" { 39 } else { 40 };
        assert_eq!(fixture.pieces().await, (left, 0, left), "{ending}");
        fixture.check().await;
    }
    // A reservation that read the whole, and one that read a part.
    let fixture = Fixture::new(10).await;
    fixture.count(SHOP, A, 40).await;
    fixture.meanwhile(|ports, caller| async move {
        split::split(&ports, &caller.scope, SHOP, A, 8).await.unwrap();
    });
    fixture.hold("whole", 30, 900).await;
    fixture.check().await;
    fixture.meanwhile(|ports, caller| async move {
        split::merge(&ports, &caller.scope, SHOP, A).await.unwrap();
    });
    fixture.hold("part", 2, 900).await;
    assert_eq!(fixture.pieces().await, (40, 32, 8));
    fixture.check().await;
}

#[tokio::test]
async fn holds_expire_in_the_layout_they_are_met_in() {
    for merged in [false, true] {
        let fixture = Fixture::new(11).await;
        fixture.count(SHOP, A, 40).await;
        fixture.hold("before", 2, 60).await;
        fixture.split(4).await;
        for n in 0..8 {
            fixture.hold(&format!("short-{n}"), 2, 60).await;
        }
        fixture.hold("long", 3, 9_000).await;
        if merged {
            fixture.merge().await;
            fixture.check().await;
        }
        fixture.pass(61);
        // A list counts them as free without writing.
        let list = read::list(&fixture.ports, &fixture.caller, &StockListQuery::default()).await.unwrap();
        assert_eq!(list.items[0].available, QuantityInput::Whole(37));
        assert_eq!(fixture.pieces().await, (40, 3, 37));
        fixture.check().await;
    }
    // Freed by the schedule: lines of a layout that is past, beside lines of one that stands, in the same
    // partitions.
    let fixture = Fixture::new(12).await;
    fixture.count(SHOP, A, 40).await;
    for layout in 0..3 {
        fixture.split(4).await;
        for n in 0..5 {
            fixture.hold(&format!("{layout}-{n}"), 1, if n == 0 { 9_000 } else { 60 }).await;
        }
        fixture.merge().await;
    }
    fixture.split(4).await;
    fixture.hold("here", 2, 60).await;
    fixture.hold("here for long", 2, 9_000).await;
    fixture.check().await;
    fixture.pass(61);
    let now = fixture.environment.now();
    expiry::sweep_expired(&fixture.ports, now, Timestamp::MAX).await.unwrap();
    assert_eq!(fixture.pieces().await, (40, 5, 35));
    fixture.check().await;
    // When the last of the past are gone, their partitions are forgotten.
    fixture.merge().await;
    fixture.pass(9_000);
    let now = fixture.environment.now();
    for _ in 0..2 {
        expiry::free_expired(&fixture.ports, fixture.scope(), SHOP, A, now).await.unwrap();
    }
    assert_eq!(fixture.stock(SHOP, A).await.past.hold_parts, 0);
    assert_eq!(fixture.pieces().await, (40, 0, 40));
    fixture.check().await;
}

#[tokio::test]
async fn expired_holds_of_other_parts_are_sold() {
    let fixture = Fixture::new(13).await;
    fixture.count(SHOP, A, 16).await;
    fixture.split(4).await;
    for n in 0..16 {
        fixture.hold(&format!("k-{n}"), 1, 60).await;
    }
    fixture.pass(61);
    fixture.hold("all", 16, 900).await;
    assert_eq!(fixture.pieces().await, (16, 16, 0));
    fixture.check().await;
}

#[tokio::test]
async fn one_request_takes_once_however_often_it_is_sent_and_whatever_is_laid_out_anew() {
    for seed in 20..40 {
        let fixture = Fixture::new(seed).await;
        fixture.count(SHOP, A, 64).await;
        fixture.split(8).await;
        let faults = [Fault::LostAfter, Fault::None, Fault::Conflict, Fault::None, Fault::LostBefore];
        fixture.inject(move |n| faults[usize::try_from(n).unwrap() % faults.len()]);
        let mut twins = Vec::new();
        for _ in 0..20 {
            let (ports, caller) = (fixture.ports.clone(), fixture.caller.clone());
            twins.push(tokio::spawn(async move {
                reserve(&ports, &caller, "one", &request(&[(SHOP, A, 11)], 900)).await
            }));
        }
        let (ports, caller) = (fixture.others(), fixture.caller.clone());
        let layouts = tokio::spawn(async move {
            for parts in [4, 16, 2] {
                let _ = split::merge(&ports, &caller.scope, SHOP, A).await.unwrap();
                let _ = split::split(&ports, &caller.scope, SHOP, A, parts).await.unwrap();
            }
        });
        let mut answers = Vec::new();
        for twin in twins {
            // One that gave up is safe to repeat.
            answers.extend(twin.await.unwrap().ok());
        }
        layouts.await.unwrap();
        fixture.heal();
        let again = fixture.reserve("one", &request(&[(SHOP, A, 11)], 900)).await.unwrap();
        assert!(answers.iter().all(|answer| answer.reservation == again.reservation));
        assert_eq!(fixture.pieces().await, (64, 11, 53));
        fixture.check().await;
    }
}

#[tokio::test]
async fn counts_and_versioned_updates_see_the_whole() {
    let fixture = Fixture::new(14).await;
    fixture.count(SHOP, A, 40).await;
    fixture.split(4).await;
    fixture.hold("k", 12, 900).await;
    let update = |key: &'static str, kind, pieces, expected_version| {
        let request = StockUpdateRequest {
            location_id: SHOP.into(),
            sku: A.into(),
            kind,
            quantity: QuantityInput::Whole(pieces),
            reason: "counted".into(),
            expected_version,
            lot: None,
            expires_on: None,
        };
        let (ports, caller) = (fixture.ports.clone(), fixture.caller.clone());
        async move { update::update(&ports, &caller, key, &request, |_| Ok(())).await }
    };
    let version = fixture.level().await.version;
    let stale = update("stale", StockUpdateKind::Delta, 5, Some(version - 1)).await;
    assert_eq!(refusal(stale.unwrap_err()).extra["current_version"], version);
    fixture.split(4).await;
    // What a client read while it was split is what it may name.
    let answer = update("delta", StockUpdateKind::Delta, 5, Some(version)).await.unwrap();
    assert_eq!(answer.updated.stock, fixture.level().await);
    assert_eq!((answer.updated.stock.version, fixture.pieces().await), (version + 1, (45, 12, 33)));
    fixture.split(8).await;
    let short = update("short", StockUpdateKind::Delta, -34, None).await;
    assert_eq!(refusal(short.unwrap_err()).extra["lines"][0]["available"], 33);
    fixture.split(8).await;
    let answer = update("count", StockUpdateKind::Set, 20, None).await.unwrap();
    assert_eq!((answer.updated.stock, fixture.pieces().await), (fixture.level().await, (20, 12, 8)));
    // Nor is what is damaged anywhere else than what is not.
    for (key, kind, pieces, left) in [
        ("more", StockUpdateKind::Set, 40, (40, 12, 28)),
        ("damage", StockUpdateKind::Damage, 5, (35, 12, 23)),
        ("repair", StockUpdateKind::Repair, 2, (37, 12, 25)),
        ("gone", StockUpdateKind::WriteOff, 3, (37, 12, 25)),
    ] {
        let answer = update(key, kind, pieces, None).await.unwrap();
        assert_eq!((answer.updated.stock, fixture.pieces().await), (fixture.level().await, left), "{key}");
        fixture.split(4).await;
    }
    assert_eq!(fixture.level().await.damaged, QuantityInput::Whole(0));
    fixture.check().await;
}

#[tokio::test]
async fn a_request_that_loses_again_and_again_splits_the_stock() {
    let fixture = Fixture::new(16).await;
    fixture.count(SHOP, A, 400).await;
    // All but every eighth transaction loses; some of them on the stock item.
    let database = Arc::new(faults::FaultyDatabase::new(fixture.memory.clone()));
    let script = (0..400).map(|n| (n % 8 != 7).then_some(faults::Fault::Conflict));
    database.script(tillstream_app::capacity::Operation::Transact, script);
    let ports = Ports { database, environment: fixture.environment.clone() };
    for n in 0..20 {
        let _ = reserve(&ports, &fixture.caller, &format!("k-{n}"), &request(&[(SHOP, A, 1)], 900)).await;
    }
    assert_eq!(fixture.stock(SHOP, A).await.layout, 132);
    fixture.check().await;
    // Two losses may be chance, and there is nothing to gain from a split of little.
    let quiet = Fixture::new(17).await;
    quiet.count(SHOP, A, 15).await;
    let database = Arc::new(faults::FaultyDatabase::new(quiet.memory.clone()));
    database.script(
        tillstream_app::capacity::Operation::Transact,
        (0..40).map(|n| (n % 8 != 7).then_some(faults::Fault::Conflict)),
    );
    let ports = Ports { database, environment: quiet.environment.clone() };
    reserve(&ports, &quiet.caller, "k", &request(&[(SHOP, A, 1)], 900)).await.unwrap();
    assert_eq!(quiet.stock(SHOP, A).await.layout, 0);
}

#[tokio::test]
async fn lost_ledger_rows_of_parts_are_closed() {
    let fixture = Fixture::new(18).await;
    fixture.count(SHOP, A, 40).await;
    fixture.split(4).await;
    for n in 0..10 {
        fixture.hold(&format!("k-{n}"), 1, 900).await;
    }
    // The stream lost every second movement, of each part.
    fixture.relay(|seq| seq % 2 == 1).await;
    let walk = || walk_ledger_gaps(&fixture.ports, fixture.scope(), 100, Timestamp::MAX);
    walk().await.unwrap();
    fixture.pass(180);
    assert!(walk().await.unwrap().gaps_closed > 3);
    let proof = prove(&fixture.ports, &fixture.caller, SHOP, A).await.unwrap();
    assert!(proof.holds && proof.seq_reached == proof.seq_current, "{proof:?}");
    assert!(proof.ranges.iter().any(|range| range.part.is_some()), "{:?}", proof.ranges);
}

/// A client that holds, and ends what it held in every way.
async fn client(ports: Ports, caller: tillstream_app::tenancy::Caller, number: u64, rounds: u64) -> i64 {
    let mut sold = 0;
    for round in 0..rounds {
        let pieces = 1 + i64::try_from(ports.environment.random() % 7).unwrap();
        let key = format!("{number}-{round}");
        let ttl_seconds = if ports.environment.random().is_multiple_of(4) { 1 } else { 900 };
        let wanted = request(&[(SHOP, A, pieces)], ttl_seconds);
        let id = loop {
            match reserve(&ports, &caller, &key, &wanted).await {
                Ok(answer) => break Some(answer.reservation.reservation_id),
                Err(Error::Rejected(_)) => break None,
                Err(Error::Bug(bug)) => panic!("{bug}"),
                Err(_) => {}
            }
        };
        let Some(id) = id else { continue };
        let what = ports.environment.random() % 3;
        loop {
            let done = match what {
                0 => reservations::commit(&ports, &caller, "end", &id, &CommitRequest::default()).await,
                1 => reservations::release(&ports, &caller, "end", &id).await,
                // Left to expire.
                _ => break,
            };
            match done {
                Ok(_) => {
                    sold += if what == 0 { pieces } else { 0 };
                    break;
                }
                Err(Error::Rejected(refusal)) => {
                    assert_eq!(refusal.code, "reservation_expired");
                    break;
                }
                Err(Error::Bug(bug)) => panic!("{bug}"),
                Err(_) => {}
            }
        }
    }
    sold
}

#[tokio::test]
async fn whatever_happens_at_once_stock_is_what_was_not_sold() {
    for seed in 100..130_u64 {
        let environment = Arc::new(TestEnvironment::new(seed));
        let fixture = Fixture::new(seed).await;
        fixture.count(SHOP, A, 90).await;
        // No refusals of a role, which nobody repeats; everything else.
        let rates = Rates { refused: 0, ..Rates::each(15) };
        let database = Arc::new(faults::FaultyDatabase::random(fixture.memory.clone(), seed, rates));
        let ports =
            Ports { database: database as Arc<dyn Database>, environment: fixture.ports.environment.clone() };
        let clients: Vec<_> = (0..8)
            .map(|number| tokio::spawn(client(ports.clone(), fixture.caller.clone(), number, 6)))
            .collect();
        let (others, caller, clock) = (fixture.others(), fixture.caller.clone(), fixture.environment.clone());
        let layouts = tokio::spawn(async move {
            for _ in 0..12 {
                let parts = 2 + u32::try_from(environment.random() % 12).unwrap();
                let _ = split::split(&others, &caller.scope, SHOP, A, parts).await.unwrap();
                for _ in 0..environment.random() % 40 {
                    tokio::task::yield_now().await;
                }
                clock.advance(std::time::Duration::from_millis(environment.random() % 900));
                let _ = split::merge(&others, &caller.scope, SHOP, A).await.unwrap();
                let now = clock.now();
                let _ = expiry::sweep_expired(&others, now, Timestamp::MAX).await;
            }
        });
        let mut sold = 0;
        for client in clients {
            sold += client.await.unwrap();
        }
        layouts.await.unwrap();
        fixture.check().await;
        fixture.pass(1_000);
        // What a crash or a race left is freed by whoever looks next.
        for _ in 0..3 {
            let now = fixture.environment.now();
            expiry::sweep_expired(&fixture.others(), now, Timestamp::MAX).await.unwrap();
        }
        fixture.check().await;
        assert_eq!(fixture.pieces().await, (90 - sold, 0, 90 - sold), "seed {seed}");
    }
}

#[tokio::test]
async fn whole_stock_is_written_as_if_there_were_no_parts() {
    let fixture = Fixture::new(19).await;
    fixture.count(SHOP, A, 9).await;
    fixture.hold("k", 2, 900).await;
    let attributes = |memory: &MemoryDatabase| -> Vec<String> {
        let items: Vec<Item> = memory.items(Table::Stock);
        items.iter().flat_map(|item| item.0.keys().cloned()).collect()
    };
    for name in ["part", "parts", "last_layout", "hold_parts", "version_offset"] {
        assert!(!attributes(&fixture.memory).contains(&name.to_owned()), "{name} costs whom it is no use to");
    }
}

#[tokio::test]
async fn a_merge_takes_only_what_it_saw() {
    let fixture = Fixture::new(60).await;
    fixture.count(SHOP, A, 40).await;
    fixture.split(4).await;
    fixture.meanwhile(|ports, caller| async move {
        reserve(&ports, &caller, "k", &request(&[(SHOP, A, 25)], 900)).await.unwrap();
    });
    let laid_out = split::merge(&fixture.ports, fixture.scope(), SHOP, A).await.unwrap();
    assert!(matches!(laid_out, LaidOut::Again(_)), "{laid_out:?}");
    assert_eq!(fixture.pieces().await, (40, 25, 15));
    fixture.check().await;
    split::make_whole(&fixture.ports, fixture.scope(), SHOP, A).await.unwrap();
    assert_eq!(fixture.pieces().await, (40, 25, 15));
    fixture.check().await;
}

#[tokio::test]
async fn what_was_chosen_in_one_layout_is_not_taken_in_another() {
    let fixture = Fixture::new(61).await;
    fixture.count(SHOP, A, 400).await;
    fixture.split(8).await;
    for n in 0..20 {
        // The same parts, with as much in them, under another number.
        fixture.meanwhile(|ports, caller| async move {
            split::merge(&ports, &caller.scope, SHOP, A).await.unwrap();
            split::split(&ports, &caller.scope, SHOP, A, 8).await.unwrap();
        });
        fixture.hold(&format!("k-{n}"), 1, 900).await;
        fixture.check().await;
    }
}

#[tokio::test]
async fn expiry_follows_what_was_made_in_a_layout_it_did_not_know() {
    let fixture = Fixture::new(62).await;
    fixture.count(SHOP, A, 80).await;
    fixture.split(4).await;
    // Lines of the past in every partition, so that all are looked at.
    for n in 0..12 {
        fixture.hold(&format!("past-{n}"), 1, 9_000).await;
    }
    fixture.merge().await;
    fixture.hold("over", 2, 60).await;
    fixture.check().await;
    // Before the first is freed, the stock is split and held; by a clock ahead of ours these are over too.
    fixture.meanwhile(|ports, caller| async move {
        split::split(&ports, &caller.scope, SHOP, A, 4).await.unwrap();
        for n in 0..12 {
            let wanted = request(&[(SHOP, A, 1)], 900);
            reserve(&ports, &caller, &format!("young-{n}"), &wanted).await.unwrap();
        }
    });
    let ahead = fixture.environment.now() + jiff::SignedDuration::from_secs(1_000);
    // It leaves them alone until it knows the layout, and then frees them where they are.
    assert!(expiry::free_expired(&fixture.ports, fixture.scope(), SHOP, A, ahead).await.unwrap());
    assert!(!expiry::free_expired(&fixture.ports, fixture.scope(), SHOP, A, ahead).await.unwrap());
    assert_eq!(fixture.pieces().await, (80, 12, 68));
    fixture.check().await;
}

#[tokio::test]
async fn what_moves_behind_the_readers_back_is_not_refused() {
    let mut exercised = 0;
    for seed in 70..90 {
        let fixture = Fixture::new(seed).await;
        fixture.count(SHOP, A, 16).await;
        fixture.split(2).await;
        let (caller, others) = (fixture.caller.clone(), fixture.others());
        let release = |id: String| {
            let (others, caller) = (&others, &caller);
            async move { reservations::release(others, caller, "r", &id).await.unwrap() }
        };
        // All of the first part is held, and nothing of the other.
        let part_of = |id: String| {
            let (others, caller) = (&others, &caller);
            async move {
                let made = reservations::find(others, &caller.scope, &id).await.unwrap().unwrap();
                made.holds()[0].part
            }
        };
        let (one, two) = (fixture.hold("one", 8, 900).await, fixture.hold("two", 8, 900).await);
        let (first, other) = if part_of(one.clone()).await == 0 { (one, two) } else { (two, one) };
        release(other).await;
        // The catalogue; the header and the first part; the header and a part; then all parts, of which only
        // the first, empty, is read before everything moves.
        let work = {
            let caller = caller.clone();
            |ports: Ports| async move { reserve(&ports, &caller, "reader", &request(&[(SHOP, A, 8)], 900)).await }
        };
        let Some((task, database)) = fixture.frozen_in_read(3, work).await else { continue };
        exercised += 1;
        let rest = reserve(&others, &caller, "rest", &request(&[(SHOP, A, 8)], 900)).await.unwrap();
        assert_eq!(part_of(rest.reservation.reservation_id).await, 1);
        release(first).await;
        database.thaw();
        task.await.unwrap().unwrap();
        assert_eq!(fixture.pieces().await, (16, 16, 0));
        fixture.check().await;
    }
    assert!(exercised > 3, "{exercised}");
}

#[tokio::test]
async fn what_is_sold_out_is_merged_by_those_who_are_refused() {
    let fixture = Fixture::new(91).await;
    fixture.count(SHOP, A, 32).await;
    fixture.split(4).await;
    fixture.hold("all", 32, 900).await;
    for n in 0..100 {
        let refused = fixture.reserve(&format!("k-{n}"), &request(&[(SHOP, A, 1)], 900)).await.unwrap_err();
        assert_eq!(refusal(refused).code, "insufficient_stock");
    }
    assert_eq!(fixture.stock(SHOP, A).await.layout, 0);
    assert_eq!(fixture.pieces().await, (32, 32, 0));
    fixture.check().await;
    // What is short but not sold out is left split.
    fixture.pass(901);
    assert_eq!(fixture.pieces().await, (32, 0, 32));
    fixture.split(4).await;
    for n in 0..100 {
        fixture.reserve(&format!("m-{n}"), &request(&[(SHOP, A, 33)], 900)).await.unwrap_err();
    }
    assert_ne!(fixture.stock(SHOP, A).await.layout, 0);
}
