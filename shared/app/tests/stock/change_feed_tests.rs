//! The change feed: who reads it misses nothing, whatever fails, and whoever writes meanwhile.

mod threads;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::future::join_all;
use tillstream_app::Error;
use tillstream_app::capacity::Operation;
use tillstream_app::database::{Database, Table, Write};
use tillstream_app::environment::Environment;
use tillstream_app::stock::change_feed::{changes, note};
use tillstream_app::stock::{ledger, read, update};
use tillstream_app::tenancy::{Caller, Role, Stores};
use tillstream_contracts::inventory::{
    StockChanges, StockChangesQuery, StockLevel, StockListQuery, StockUpdateKind, StockUpdateRequest,
};
use tillstream_domain::quantity::QuantityInput;
use tillstream_testkit::faults;

use crate::fixture::{Fault, Fixture, LOCATIONS, SKUS, caller, named};

async fn since(
    fixture: &Fixture,
    who: &Caller,
    since: Option<&str>,
    limit: u32,
) -> Result<StockChanges, Error> {
    let query = StockChangesQuery { since: since.map(str::to_owned), limit: Some(limit), wait_seconds: None };
    changes(&fixture.ports, who, &query).await
}

fn by_name(items: Vec<StockLevel>) -> BTreeMap<(String, String), StockLevel> {
    items.into_iter().map(|item| ((item.location_id.clone(), item.sku.clone()), item)).collect()
}

async fn table(fixture: &Fixture) -> BTreeMap<(String, String), StockLevel> {
    let query = StockListQuery { limit: Some(200), ..StockListQuery::default() };
    by_name(read::list(&fixture.ports, &fixture.caller, &query).await.unwrap().items)
}

async fn found(
    fixture: &Fixture,
    key: &str,
    location_id: &str,
    sku: &str,
    pieces: i64,
) -> Result<update::Answer, Error> {
    let request = StockUpdateRequest {
        location_id: location_id.into(),
        sku: sku.into(),
        kind: StockUpdateKind::Delta,
        quantity: QuantityInput::Whole(pieces),
        reason: "found".into(),
        expected_version: None,
        lot: None,
        expires_on: None,
    };
    update::update(&fixture.ports, &fixture.caller, key, &request, |_| Ok(())).await
}

async fn moved(fixture: &Fixture, key: &str, location_id: &str, sku: &str, pieces: i64) {
    found(fixture, key, location_id, sku, pieces).await.unwrap();
}

fn code<T>(refused: Result<T, Error>) -> &'static str {
    refused.err().and_then(|error| error.code()).unwrap_or("none")
}

#[tokio::test]
async fn a_reader_is_told_what_changed_and_goes_on() {
    let fixture = Fixture::new(1).await;
    let start = since(&fixture, &fixture.caller, None, 50).await.unwrap();
    assert_eq!(start.items, []);
    let nothing = since(&fixture, &fixture.caller, Some(&start.next_since), 50).await.unwrap();
    assert_eq!(nothing.items, []);
    for location in LOCATIONS {
        for sku in &SKUS[..2] {
            fixture.count(location, sku, 5).await;
        }
    }
    fixture.relay(|_| true).await;
    let (mut found, mut at, mut pages) = (Vec::new(), nothing.next_since, 0);
    loop {
        let page = since(&fixture, &fixture.caller, Some(&at), 2).await.unwrap();
        at = page.next_since;
        if page.items.is_empty() {
            break;
        }
        pages += 1;
        found.extend(page.items);
    }
    assert_eq!((pages, by_name(found)), (3, table(&fixture).await));
    // What a token does not reach is left out, and does not stand in the way.
    let york = caller("demo", Role::StoreManager, named(&["s-york"]));
    let of_york = since(&fixture, &york, Some(&start.next_since), 2).await.unwrap();
    assert!(of_york.items.len() == 2 && of_york.items.iter().all(|item| item.location_id == "s-york"));
    // Twice changed is told once, as it stands.
    moved(&fixture, "k-1", "s-york", SKUS[0], 1).await;
    moved(&fixture, "k-2", "s-york", SKUS[0], 1).await;
    fixture.relay(|_| true).await;
    let last = since(&fixture, &fixture.caller, Some(&at), 50).await.unwrap();
    assert_eq!((last.items.len(), &last.items[0].on_hand), (1, &QuantityInput::Whole(7)));
}

#[tokio::test]
async fn where_a_reader_cannot_go_on_it_is_told_to_begin_anew() {
    let fixture = Fixture::new(2).await;
    let empty = since(&fixture, &fixture.caller, None, 50).await.unwrap().next_since;
    for n in 0..3 {
        fixture.count("s-york", SKUS[0], n).await;
        fixture.relay(|_| true).await;
    }
    let told = since(&fixture, &fixture.caller, Some(&empty), 50).await.unwrap().next_since;
    let who = &fixture.caller;
    let stranger = caller("other", Role::Operator, Stores::All);
    assert_eq!(code(since(&fixture, &stranger, Some(&told), 50).await), "cursor_malformed");
    for malformed in ["", "x", "2026-11-22T10:00:00Z", &told[1..]] {
        assert_eq!(code(since(&fixture, who, Some(malformed), 50).await), "cursor_malformed");
    }
    assert_eq!(code(since(&fixture, who, Some(&told), 0).await), "limit_out_of_range");
    assert_eq!(code(since(&fixture, who, Some(&told), 201).await), "limit_out_of_range");
    let waits = StockChangesQuery { since: Some(told.clone()), limit: None, wait_seconds: Some(21) };
    assert_eq!(code(changes(&fixture.ports, who, &waits).await), "wait_out_of_range");

    let pages: Vec<_> = fixture
        .memory
        .items(Table::Ledger)
        .into_iter()
        .filter(|item| item.opt_number("page").is_some())
        .map(|item| tillstream_app::database::Key::of(&item).unwrap())
        .collect();
    assert_eq!(pages.len(), 3);
    let remove = async |at: usize| {
        let write = Write::Delete { table: Table::Ledger, key: pages[at].clone(), condition: None };
        fixture.memory.write(write).await.unwrap();
    };
    // Restored to a moment before the reader's.
    remove(2).await;
    assert_eq!(code(since(&fixture, who, Some(&told), 50).await), "since_ahead");
    // The first pages have expired.
    remove(0).await;
    assert_eq!(code(since(&fixture, who, Some(&empty), 50).await), "since_too_old");
    // All have; and then there are new ones, which are not taken for those that the reader missed.
    remove(1).await;
    assert_eq!(code(since(&fixture, who, Some(&told), 50).await), "since_too_old");
    fixture.pass(31 * 86_400);
    fixture.count("s-york", SKUS[0], 9).await;
    fixture.relay(|_| true).await;
    assert_eq!(code(since(&fixture, who, Some(&empty), 50).await), "since_too_old");
    // What changed within a minute is told once more.
    for (seconds, told) in [(0, 1), (59, 1), (1, 0)] {
        fixture.pass(seconds);
        let again = since(&fixture, who, None, 50).await.unwrap().next_since;
        assert_eq!(since(&fixture, who, Some(&again), 50).await.unwrap().items.len(), told, "{seconds}");
    }
}

/// The list that a reader begins with is read from an index, which is behind: what it did not show yet is told by the
/// feed, though it was noted before the reader began.
#[tokio::test]
async fn a_reader_whose_first_list_lags_ends_with_the_same_table() {
    for changes_behind in [1, 4, 9] {
        let fixture = Fixture::new(11).await;
        for (n, location) in (0..).zip(LOCATIONS) {
            fixture.count(location, SKUS[0], 5 + n).await;
        }
        fixture.relay(|_| true).await;
        fixture.pass(3_600);
        fixture.memory.settle();
        fixture.memory.set_lag(200);
        for n in 0..changes_behind {
            let (location, sku) = (LOCATIONS[n % 3], SKUS[n / 3]);
            moved(&fixture, &format!("k-{n}"), location, sku, 1).await;
        }
        fixture.relay(|_| true).await;
        let start = since(&fixture, &fixture.caller, None, 50).await.unwrap().next_since;
        let mut mirror = table(&fixture).await;
        fixture.memory.set_lag(0);
        assert_ne!(mirror, table(&fixture).await, "the list lagged");
        let mut at = start;
        loop {
            let page = since(&fixture, &fixture.caller, Some(&at), 2).await.unwrap();
            at = page.next_since;
            if page.items.is_empty() {
                break;
            }
            mirror.extend(by_name(page.items));
        }
        assert_eq!(mirror, table(&fixture).await, "{changes_behind} behind");
    }
}

/// Where a reader begins is found in few reads, however many pages a minute has, and is the last that is old enough.
#[tokio::test]
async fn a_reader_begins_a_minute_back_and_no_more() {
    for pages_of_the_minute in [0, 1, 2, 3, 7, 50, 300] {
        let fixture = Fixture::new(12).await;
        let environment = fixture.environment.clone();
        for n in 0..20 {
            note(&fixture.ports, fixture.scope(), &one(&format!("old-{n}"))).await.unwrap();
            environment.advance(std::time::Duration::from_secs(7));
        }
        environment.advance(std::time::Duration::from_secs(60));
        for n in 0..pages_of_the_minute {
            note(&fixture.ports, fixture.scope(), &one(&format!("new-{n}"))).await.unwrap();
            environment.advance(std::time::Duration::from_millis(100));
        }
        let (ports, database) = fixture.troubled();
        // More queries than these fail.
        let script = std::iter::repeat_n(None, 24);
        let refused = std::iter::repeat_n(Some(tillstream_testkit::faults::Fault::Refused), 100);
        database.script(tillstream_app::capacity::Operation::Query, script.chain(refused));
        let none = StockChangesQuery::default();
        let start = changes(&ports, &fixture.caller, &none).await.unwrap().next_since;
        let pages = feed(&fixture).len();
        assert_eq!(pages, 20 + pages_of_the_minute);
        // What is told from there on is what was noted within the minute.
        let mut told = BTreeSet::new();
        let all = fixture.memory.items(Table::Ledger);
        let first_told: i64 = {
            // The cursor is opaque: what it leads to is told by the names, which have no stock and so are not shown.
            let position = tillstream_app::cursor::PagedQuery::new(fixture.scope(), "stock-changes", []);
            let position: serde_json::Value = position.typed_position(&start).unwrap();
            position["p"].as_i64().unwrap()
        };
        for item in all.iter().filter(|item| item.opt_number("page").is_some_and(|page| page > first_told)) {
            told.insert(item.number("page").unwrap());
        }
        assert_eq!(told.len(), pages_of_the_minute);
    }
}

#[tokio::test]
async fn a_reader_may_wait_for_a_change() {
    let fixture = Arc::new(Fixture::new(3).await);
    let start = since(&fixture, &fixture.caller, None, 50).await.unwrap().next_since;
    let began = fixture.environment.now();
    let ports =
        tillstream_app::Ports { database: fixture.memory.clone(), environment: fixture.environment.clone() };
    let waits = StockChangesQuery { since: Some(start), limit: None, wait_seconds: Some(10) };
    let none = changes(&ports, &fixture.caller, &waits).await.unwrap();
    let waited = fixture.environment.now().duration_since(began).as_secs();
    assert!(none.items.is_empty() && (10..12).contains(&waited), "{waited}");
    fixture.count("s-york", SKUS[0], 1).await;
    fixture.relay(|_| true).await;
    let began = fixture.environment.now();
    assert_eq!(changes(&ports, &fixture.caller, &waits).await.unwrap().items.len(), 1);
    assert_eq!(fixture.environment.now(), began);
}

#[tokio::test]
async fn a_reader_beside_sixteen_writers_ends_with_the_same_table() {
    for seed in 0..10_u64 {
        let fixture = Arc::new(Fixture::new(50 + seed).await);
        fixture.count(LOCATIONS[0], SKUS[0], 3).await;
        fixture.relay(|_| true).await;
        let start = since(&fixture, &fixture.caller, None, 50).await.unwrap().next_since;
        let mut mirror = table(&fixture).await;
        fixture.inject_by_chance(30, [Fault::LostAfter, Fault::LostBefore, Fault::Throttled]);
        let (writing, relayed) = (AtomicUsize::new(16), AtomicBool::new(false));
        let writers = (0..16).map(|writer| {
            let (fixture, writing) = (fixture.clone(), &writing);
            async move {
                for n in 0..20 {
                    let location = LOCATIONS[usize::try_from(fixture.environment.random() % 3).unwrap()];
                    let sku = SKUS[usize::try_from(fixture.environment.random() % 3).unwrap()];
                    moved(&fixture, &format!("{writer}-{n}"), location, sku, 1).await;
                }
                writing.fetch_sub(1, Ordering::SeqCst);
            }
        });
        // Two shards: each relays half of the items, in batches, and a batch that fails again.
        let shards = AtomicUsize::new(2);
        let relay = async |shard: usize| {
            let mut done = 0;
            loop {
                let last = writing.load(Ordering::SeqCst) == 0;
                let batch = fixture.memory.changes(Table::Stock, done);
                let size = 1 + fixture.environment.random() % 9;
                let batch: Vec<_> = batch.into_iter().take(usize::try_from(size).unwrap()).collect();
                let rows: Vec<_> = batch
                    .iter()
                    .filter_map(|c| ledger::ledger_rows(c.old.as_ref(), c.new.as_ref()).unwrap())
                    .filter(|row| {
                        let name = [row.text("location_id").unwrap(), row.text("sku").unwrap()].concat();
                        name.bytes().map(usize::from).sum::<usize>() % 2 == shard
                    })
                    .collect();
                while ledger::record(&fixture.ports, rows.clone()).await.is_err() {}
                done = batch.last().map_or(done, |change| change.sequence);
                if last && batch.is_empty() {
                    relayed.store(shards.fetch_sub(1, Ordering::SeqCst) == 1, Ordering::SeqCst);
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        let mut told = 0;
        let reader = async {
            let mut at = start;
            loop {
                let last = relayed.load(Ordering::SeqCst);
                let page = since(&fixture, &fixture.caller, Some(&at), 3).await.unwrap();
                at = page.next_since;
                told += page.items.len();
                let nothing = page.items.is_empty();
                mirror.extend(by_name(page.items));
                if last && nothing {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        futures::join!(join_all(writers), relay(0), relay(1), reader);
        fixture.heal();
        assert_eq!(mirror, table(&fixture).await, "seed {seed}");
        assert!(told <= 3 * 321, "{told} items told of 320 changes");
    }
}

#[tokio::test]
async fn what_the_ledger_lost_is_told_when_its_gap_is_closed() {
    let fixture = Fixture::new(4).await;
    fixture.count("s-york", SKUS[0], 1).await;
    fixture.relay(|_| true).await;
    let at = since(&fixture, &fixture.caller, None, 50).await.unwrap().next_since;
    fixture.count("s-york", SKUS[0], 2).await;
    fixture.relay(|_| false).await;
    let deadline = fixture.environment.now() + std::time::Duration::from_secs(10_000_000);
    for _ in 0..3 {
        fixture.pass(86_400);
        let scope = fixture.scope();
        tillstream_app::stock::ledger_gaps::walk_ledger_gaps(&fixture.ports, scope, 100, deadline)
            .await
            .unwrap();
    }
    let told = since(&fixture, &fixture.caller, Some(&at), 50).await.unwrap();
    assert_eq!((told.items.len(), &told.items[0].on_hand), (1, &QuantityInput::Whole(2)));
}

#[tokio::test]
async fn pages_noted_at_once_are_all_there() {
    let fixture = Fixture::new(5).await;
    let noted = (0..20).map(|n| {
        let (ports, scope) = (fixture.ports.clone(), fixture.scope().clone());
        async move {
            note(&ports, &scope, &BTreeSet::from([("s-york".to_owned(), format!("N{n}"))])).await.unwrap();
        }
    });
    join_all(noted).await;
    assert_eq!(feed(&fixture).len(), 20);
}

/// Numbers of the pages, which must follow each other; only the first says that it is.
fn feed(fixture: &Fixture) -> Vec<i64> {
    let mut pages = fixture.memory.items(Table::Ledger);
    pages.retain(|item| item.opt_number("page").is_some());
    pages.sort_by_key(|item| item.number("page").unwrap());
    let numbers: Vec<i64> = pages.iter().map(|item| item.number("page").unwrap()).collect();
    let first = numbers[0];
    assert_eq!(numbers, (first..).take(numbers.len()).collect::<Vec<_>>());
    let firsts: Vec<bool> = pages.iter().map(|item| item.opt_number("is_first").is_some()).collect();
    assert!(firsts[0] && !firsts[1..].contains(&true), "{firsts:?}");
    numbers
}

fn one(sku: &str) -> BTreeSet<(String, String)> {
    BTreeSet::from([("s-york".to_owned(), sku.to_owned())])
}

/// Two who find no page begin with the same number, though their clocks are seconds apart.
#[tokio::test]
async fn a_feed_begins_once() {
    for seconds in [0, 1, 5] {
        let fixture = Fixture::new(6).await;
        let environment = fixture.environment.clone();
        fixture.meanwhile(move |ports, caller| async move {
            note(&ports, &caller.scope, &one("first")).await.unwrap();
            environment.advance(std::time::Duration::from_secs(seconds));
        });
        note(&fixture.ports, fixture.scope(), &one("second")).await.unwrap();
        assert_eq!(feed(&fixture).len(), 2, "{seconds}");
    }
    // One who found no page, and then stands still for hours while others begin it.
    let queries = (0..5).map(|nth| (Operation::Query, nth));
    for (operation, nth) in queries.chain([(Operation::Write, 0), (Operation::Transact, 0)]) {
        let fixture = Fixture::new(13).await;
        let (ports, database) = fixture.troubled();
        let script = std::iter::repeat_n(None, nth).chain([Some(faults::Fault::Freezes)]);
        database.script(operation, script);
        let scope = fixture.scope().clone();
        let slow = tokio::spawn(async move { note(&ports, &scope, &one("slow")).await });
        while database.injected().is_empty() {
            tokio::task::yield_now().await;
        }
        for sku in ["first", "second"] {
            note(&fixture.ports, fixture.scope(), &one(sku)).await.unwrap();
            fixture.pass(7_200);
        }
        database.thaw();
        if slow.await.unwrap().is_err() {
            // It stood still for longer than it may repeat; whoever called repeats it all.
            note(&fixture.ports, fixture.scope(), &one("slow")).await.unwrap();
        }
        assert_eq!(feed(&fixture).len(), 3, "{operation:?} {nth}");
    }
    // And one whose every answer may be lost, while time passes.
    for lost in 0..6 {
        let fixture = Fixture::new(7).await;
        fixture.inject(move |n| if n == lost { Fault::LostAfter } else { Fault::None });
        for sku in ["one", "two"] {
            note(&fixture.ports, fixture.scope(), &one(sku)).await.unwrap();
            fixture.pass(1);
        }
        assert!((2..4).contains(&feed(&fixture).len()), "{lost}");
    }
}

/// After a quiet month a feed begins anew above all that it had, whichever of its pages the database deleted.
#[tokio::test]
async fn no_number_returns() {
    let fixture = Fixture::new(8).await;
    let note_one = async |sku: &str| note(&fixture.ports, fixture.scope(), &one(sku)).await.unwrap();
    for sku in ["a", "b", "c"] {
        note_one(sku).await;
    }
    let before = feed(&fixture);
    let told = since(&fixture, &fixture.caller, None, 50).await.unwrap().next_since;
    fixture.pass(31 * 86_400);
    // The newest is deleted before the others are.
    let key = fixture.scope().stock_change_page(u64::try_from(before[2]).unwrap());
    fixture.memory.write(Write::Delete { table: Table::Ledger, key, condition: None }).await.unwrap();
    let fresh = since(&fixture, &fixture.caller, None, 50).await.unwrap().next_since;
    note_one("d").await;
    let last =
        fixture.memory.items(Table::Ledger).iter().filter_map(|item| item.opt_number("page")).max().unwrap();
    assert!(last > before[2], "{last} after {before:?}");
    assert_eq!(code(since(&fixture, &fixture.caller, Some(&told), 50).await), "since_too_old");
    let next = since(&fixture, &fixture.caller, Some(&fresh), 50).await.unwrap();
    assert!(!next.has_more, "whoever began anew goes on, past pages that are over");
}

/// Whoever asks regularly is told everything, also where nothing changed for longer than pages are kept: whether its
/// page is deleted or not, and whether the feed goes on after it or begins anew.
#[tokio::test]
async fn a_reader_goes_on_after_a_quiet_month() {
    for (is_deleted, quiet_days) in [(false, 29), (true, 29), (false, 31), (true, 31)] {
        let fixture = Fixture::new(14).await;
        let who = &fixture.caller;
        let told = async |at: &str| since(&fixture, who, Some(at), 50).await.unwrap();
        fixture.count("s-york", SKUS[0], 1).await;
        fixture.relay(|_| true).await;
        fixture.pass(120);
        let first = since(&fixture, who, None, 50).await.unwrap().next_since;
        let mut at = told(&first).await.next_since;
        for _ in 0..quiet_days {
            fixture.pass(86_400);
            at = told(&at).await.next_since;
        }
        let last = u64::try_from(*feed(&fixture).last().unwrap()).unwrap();
        fixture.count("s-york", SKUS[1], 2).await;
        fixture.relay(|_| true).await;
        fixture.pass(2 * 86_400);
        if is_deleted {
            let key = fixture.scope().stock_change_page(last);
            fixture.memory.write(Write::Delete { table: Table::Ledger, key, condition: None }).await.unwrap();
        }
        let items = told(&at).await.items;
        assert_eq!(items.len(), 1, "{is_deleted} {quiet_days}");
        assert_eq!(items[0].sku, SKUS[1]);
        // Who was away all that time lacks something, perhaps.
        assert_eq!(code(since(&fixture, who, Some(&first), 50).await), "since_too_old");
    }
}

/// While the last page runs out, some find it and some do not, and stand still in the middle: one feed goes on.
#[tokio::test]
async fn nothing_follows_a_page_after_which_the_feed_began_anew() {
    for operation in [Operation::Query, Operation::Write, Operation::Transact] {
        for nth in 0..3 {
            let fixture = Fixture::new(15).await;
            note(&fixture.ports, fixture.scope(), &one("old")).await.unwrap();
            // It runs out in 10 seconds.
            fixture.pass(30 * 86_400 - 10);
            let (ports, database) = fixture.troubled();
            let script = std::iter::repeat_n(None, nth).chain([Some(faults::Fault::Freezes)]);
            database.script(operation, script);
            let scope = fixture.scope().clone();
            let slow = tokio::spawn(async move { note(&ports, &scope, &one("slow")).await });
            while database.injected().is_empty() && !slow.is_finished() {
                tokio::task::yield_now().await;
            }
            fixture.pass(11);
            note(&fixture.ports, fixture.scope(), &one("new")).await.unwrap();
            database.thaw();
            if slow.await.unwrap().is_err() {
                note(&fixture.ports, fixture.scope(), &one("slow")).await.unwrap();
            }
            let now = fixture.environment.now().as_second();
            let mut pages = fixture.memory.items(Table::Ledger);
            pages
                .retain(|item| item.opt_number("page").is_some() && item.number("expires_at").unwrap() > now);
            pages.sort_by_key(|item| item.number("page").unwrap());
            let numbers: Vec<_> = pages.iter().map(|item| item.number("page").unwrap()).collect();
            assert_eq!(numbers, [numbers[0], numbers[0] + 1], "{operation:?} {nth}");
        }
    }
}

/// Restored to a moment before a reader's, and gone on otherwise since: it is told, however far the feed has come.
#[tokio::test]
async fn a_feed_that_was_restored_is_another_one() {
    for (limit, pages_lost) in [(50, 1), (2, 1)] {
        let fixture = Fixture::new(9).await;
        for sku in SKUS {
            fixture.count("s-york", sku, 5).await;
        }
        let start = since(&fixture, &fixture.caller, None, 50).await.unwrap().next_since;
        let names: BTreeSet<_> = SKUS.iter().map(|sku| ("s-york".to_owned(), (*sku).to_owned())).collect();
        note(&fixture.ports, fixture.scope(), &names).await.unwrap();
        let told = since(&fixture, &fixture.caller, Some(&start), limit).await.unwrap();
        assert_eq!(told.items.len(), usize::try_from(limit.min(3)).unwrap());
        let lost = feed(&fixture);
        for number in lost.iter().rev().take(pages_lost) {
            let key = fixture.scope().stock_change_page(u64::try_from(*number).unwrap());
            fixture.memory.write(Write::Delete { table: Table::Ledger, key, condition: None }).await.unwrap();
        }
        // Its beginning is lost with its first page.
        let key = fixture.scope().stock_change_feed_start();
        fixture.memory.write(Write::Delete { table: Table::Ledger, key, condition: None }).await.unwrap();
        for sku in SKUS {
            note(&fixture.ports, fixture.scope(), &one(sku)).await.unwrap();
        }
        assert_eq!(feed(&fixture)[0], lost[0], "the same numbers again");
        let refused = since(&fixture, &fixture.caller, Some(&told.next_since), 50).await;
        assert_eq!(code(refused), "since_ahead", "{limit}");
    }
}

/// What a reader may not see is passed over some of it at a time, and never from the beginning again.
#[tokio::test]
async fn a_reader_gets_on_through_what_it_does_not_reach() {
    let fixture = Fixture::new(10).await;
    let york = caller("demo", Role::StoreManager, named(&["s-york"]));
    let mut at = since(&fixture, &york, None, 50).await.unwrap().next_since;
    fixture.count("s-york", SKUS[0], 5).await;
    for n in 0..450 {
        let name = BTreeSet::from([("s-leeds".to_owned(), format!("N{n}"))]);
        note(&fixture.ports, fixture.scope(), &name).await.unwrap();
    }
    note(&fixture.ports, fixture.scope(), &one(SKUS[0])).await.unwrap();
    let mut answers = 0;
    let last = loop {
        answers += 1;
        assert!(answers < 5);
        let page = since(&fixture, &york, Some(&at), 50).await.unwrap();
        if !page.has_more {
            break page;
        }
        assert!(page.items.is_empty() && page.next_since != at);
        at = page.next_since;
    };
    assert_eq!((answers, last.items.len()), (3, 1));
    // Who waits is answered as soon as there is something, all in one.
    let start = since(&fixture, &york, None, 50).await.unwrap();
    assert!(!start.has_more);
}
