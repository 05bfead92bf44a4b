//! What a partition and an item take, on virtual time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use futures::future::BoxFuture;
use tillstream_app::database::{Change, Consistency, Database, DatabaseError, Get, Key, Table, Write};
use tillstream_app::environment::Environment;
use tillstream_app::tenancy::TenantScope;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::partition_limits::{Chance, Clock, PartitionLimits, Refused, Terms, run_on};

const TERMS: Terms =
    Terms { write_units: 1_000, read_units: 3_000, way_micros: (1_000, 1_000), held_micros: 2_000 };

fn store() -> (Arc<Clock>, PartitionLimits) {
    let chance = Arc::new(Chance::new(1));
    let clock = Arc::new(Clock::new("2026-03-02T09:00:00Z".parse().unwrap(), chance));
    let memory = Arc::new(MemoryDatabase::with_environment(clock.clone()));
    (clock.clone(), PartitionLimits::new(memory, clock, TERMS))
}

fn add(key: &Key) -> Write {
    // Each another request: the same would be known by its token.
    static NUMBER: AtomicI64 = AtomicI64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let changes = vec![Change::Add("n", 1), Change::Set("number", number.into())];
    Write::Update { table: Table::Stock, key: key.clone(), changes, condition: None }
}

/// How many of the transactions that clients repeat for a second took effect.
fn in_a_second(clients: usize, key_of: impl Fn(usize) -> Key) -> (u64, Refused) {
    let (clock, store) = store();
    let end = clock.now() + jiff::SignedDuration::from_secs(1);
    let tasks = (0..clients)
        .map(|n| {
            let (store, clock, key) = (&store, &clock, key_of(n));
            let task = async move {
                let mut done = 0;
                while clock.now() < end {
                    done += u64::from(store.transact(vec![add(&key)]).await.is_ok());
                }
                done
            };
            Box::pin(task) as BoxFuture<'_, u64>
        })
        .collect();
    let mut sum = 0;
    assert!(run_on(&clock, tasks, |done| sum += done));
    (sum, store.refused())
}

#[test]
fn one_client_waits_for_each_answer() {
    let scope = TenantScope::from_own_record("t");
    // There, two in the transaction, and back: four milliseconds each.
    assert_eq!(in_a_second(1, |_| scope.stock("l", "s")).0, 250);
    let (apart, refused) = in_a_second(20, |n| scope.stock("l", &n.to_string()));
    assert_eq!((apart, refused), (5_000, Refused { committed: 5_000, ..Refused::default() }));
}

#[test]
fn two_on_one_item_conflict_and_a_partition_is_throttled() {
    let scope = TenantScope::from_own_record("t");
    let (one_item, refused) = in_a_second(20, |_| scope.stock("l", "s"));
    assert!((200..=500).contains(&one_item) && refused.conflicts > 0, "{one_item} {refused:?}");
    // Items of one partition do not conflict, but share its 1,000 units: 500 transactions a second.
    let (one_partition, refused) = in_a_second(20, |n| scope.hold("l", "s", &n.to_string()));
    assert!((500..=560).contains(&one_partition), "{one_partition}");
    assert!(refused.conflicts == 0 && refused.throttled > 0, "{refused:?}");
}

#[test]
fn a_read_of_one_moment_meets_a_transaction() {
    let (clock, store) = store();
    let key = TenantScope::from_own_record("t").stock("l", "s");
    let get = Get { table: Table::Stock, key: key.clone(), consistency: Consistency::Strong };
    let both = async {
        futures::join!(
            store.transact(vec![add(&key)]),
            store.get_together(vec![get.clone()]),
            store.get(get.clone())
        )
    };
    let mut outcomes = Vec::new();
    assert!(run_on(&clock, vec![Box::pin(both)], |outcome| outcomes.push(outcome)));
    let (written, together, alone) = outcomes.remove(0);
    assert!(written.is_ok() && alone.is_ok());
    assert!(matches!(together, Err(DatabaseError::Conflict(_))));
}
