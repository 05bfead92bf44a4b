//! Sixteen writers on threads of their own, two shards that relay what they wrote, and a reader that begins beside them:
//! what the reader was told is in the end what the stock table is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tillstream_app::database::Table;
use tillstream_app::environment::Environment;
use tillstream_app::stock::{ledger, reservations};
use tillstream_app::{Error, Result};
use tillstream_contracts::inventory::StockLevel;
use tillstream_domain::quantity::QuantityInput;

use super::{by_name, found, since, table};
use crate::fixture::{Fault, Fixture, LOCATIONS, SKUS, request};

const WRITERS: usize = 16;
const WRITES: usize = 25;
const SHARDS: usize = 2;
/// Of each product at each location, at first.
const PIECES: i64 = 30;

/// Who is still at it.
struct Going {
    writers: AtomicUsize,
    shards: AtomicUsize,
}

/// Repeats what is safe to repeat.
async fn until_told<T, F: Future<Output = Result<T>>>(ask: impl Fn() -> F) -> Result<T> {
    loop {
        match ask().await {
            Err(Error::Retryable { .. } | Error::Conflict(_)) => {}
            told => return told,
        }
    }
}

/// Finds pieces, holds some, and gives some back. Answers how many it found.
async fn write(fixture: Arc<Fixture>, going: Arc<Going>, writer: usize) -> i64 {
    let mut all = 0;
    for n in 0..WRITES {
        let dice = |sides: usize| usize::try_from(fixture.environment.random()).unwrap_or(n) % sides;
        let (location_id, sku) = (LOCATIONS[dice(LOCATIONS.len())], SKUS[dice(SKUS.len())]);
        let key = format!("{writer}-{n}");
        if dice(3) > 0 {
            until_told(|| found(&fixture, &key, location_id, sku, 1)).await.unwrap();
            all += 1;
            continue;
        }
        let wanted = request(&[(location_id, sku, 1)], 900);
        let held = match until_told(|| fixture.reserve(&key, &wanted)).await {
            Ok(held) => held.reservation.reservation_id,
            Err(error) => {
                assert_eq!(error.code(), Some("insufficient_stock"), "{error}");
                continue;
            }
        };
        if dice(2) == 0 {
            let (ports, who, id) = (&fixture.ports, &fixture.caller, held.as_str());
            until_told(|| reservations::release(ports, who, "back", id)).await.unwrap();
        }
    }
    going.writers.fetch_sub(1, Ordering::SeqCst);
    all
}

/// Relays the changes of one shard, in batches of any size, until there are no more; a batch that fails, again.
async fn relay(fixture: Arc<Fixture>, going: Arc<Going>, shard: usize) {
    let is_ours = |location_id: &str, sku: &str| {
        [location_id, sku].concat().bytes().map(usize::from).sum::<usize>() % SHARDS == shard
    };
    let mut done = 0;
    loop {
        let is_last = going.writers.load(Ordering::SeqCst) == 0;
        let mut batch = fixture.memory.changes(Table::Stock, done);
        batch.truncate(1 + usize::try_from(fixture.environment.random() % 40).unwrap());
        let rows: Vec<_> = batch
            .iter()
            .filter_map(|change| ledger::ledger_rows(change.old.as_ref(), change.new.as_ref()).unwrap())
            .filter(|row| is_ours(row.text("location_id").unwrap(), row.text("sku").unwrap()))
            .collect();
        while ledger::record(&fixture.ports, rows.clone()).await.is_err() {}
        done = batch.last().map_or(done, |change| change.sequence);
        if is_last && batch.is_empty() {
            going.shards.fetch_sub(1, Ordering::SeqCst);
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Lists the stock, and asks what changed since until nothing does any more. Answers the table that it has then, and
/// how much it was told while there were writers.
async fn read(fixture: Arc<Fixture>, going: Arc<Going>) -> (BTreeMap<(String, String), StockLevel>, usize) {
    let who = &fixture.caller;
    let mut at = since(&fixture, who, None, 50).await.unwrap().next_since;
    let mut mirror = table(&fixture).await;
    let mut told_beside = 0;
    loop {
        let is_last = going.shards.load(Ordering::SeqCst) == 0;
        let page = since(&fixture, who, Some(&at), 3).await.unwrap();
        at = page.next_since;
        let is_nothing = page.items.is_empty();
        if going.writers.load(Ordering::SeqCst) > 0 {
            told_beside += page.items.len();
        }
        mirror.extend(by_name(page.items));
        if is_last && is_nothing {
            return (mirror, told_beside);
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 16)]
async fn a_reader_beside_sixteen_writers_on_threads_ends_with_the_same_table() {
    let mut told_beside = 0;
    for seed in 0..5 {
        let fixture = Arc::new(Fixture::new(80 + seed).await);
        for location_id in LOCATIONS {
            for sku in SKUS {
                fixture.count(location_id, sku, PIECES).await;
            }
        }
        fixture.inject_by_chance(30, [Fault::LostAfter, Fault::LostBefore, Fault::Throttled]);
        let (writers, shards) = (AtomicUsize::new(WRITERS), AtomicUsize::new(SHARDS));
        let going = Arc::new(Going { writers, shards });
        let reader = tokio::spawn(read(fixture.clone(), going.clone()));
        let relays: Vec<_> =
            (0..SHARDS).map(|shard| tokio::spawn(relay(fixture.clone(), going.clone(), shard))).collect();
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| tokio::spawn(write(fixture.clone(), going.clone(), writer))).collect();
        let mut pieces = PIECES * i64::try_from(LOCATIONS.len() * SKUS.len()).unwrap();
        for writer in writers {
            pieces += writer.await.unwrap();
        }
        for shard in relays {
            shard.await.unwrap();
        }
        let (mirror, told) = reader.await.unwrap();
        told_beside += told;
        fixture.heal();
        assert_eq!(mirror, table(&fixture).await, "seed {seed}");
        // Each write has one effect, also here.
        let on_hand = |level: &StockLevel| match &level.on_hand {
            QuantityInput::Whole(pieces) => *pieces,
            QuantityInput::Decimal(text) => panic!("{text} pieces"),
        };
        assert_eq!(mirror.values().map(on_hand).sum::<i64>(), pieces, "seed {seed}");
        fixture.check_invariants();
    }
    assert!(told_beside > 0, "the reader read only when all was written: no test");
}
