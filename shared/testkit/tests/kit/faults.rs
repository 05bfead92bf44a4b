//! Faults of the database, as scripted and by chance.

use std::sync::Arc;
use std::time::Duration;

use tillstream_app::capacity::Operation;
use tillstream_app::database::{
    Cancellation, Change, Consistency, Database, DatabaseError, Get, Key, Table, Write,
};
use tillstream_app::tenancy::TenantScope;
use tillstream_testkit::faults::{Fault, FaultyDatabase, Rates};
use tillstream_testkit::memory_database::MemoryDatabase;

fn add(key: &Key, n: i64) -> Write {
    let changes = vec![Change::Add("n", n)];
    Write::Update { table: Table::Orders, key: key.clone(), changes, condition: None }
}

#[tokio::test]
async fn faults_happen_as_scripted() {
    let memory = Arc::new(MemoryDatabase::new());
    let faulty = FaultyDatabase::new(memory.clone());
    let key = TenantScope::from_own_record("t").cart("1");
    let n = async || {
        let get = Get { table: Table::Orders, key: key.clone(), consistency: Consistency::Strong };
        memory.get(get).await.unwrap().map_or(0, |item| item.number("n").unwrap())
    };
    faulty.script(
        Operation::Write,
        [None, Some(Fault::Throttled), Some(Fault::Conflict), Some(Fault::TimedOutBefore)],
    );
    faulty.fail_next(Operation::Write, Fault::AnswerLost);
    faulty.write(add(&key, 1)).await.unwrap();
    assert!(matches!(faulty.write(add(&key, 1)).await, Err(DatabaseError::Throttled(_))));
    assert!(matches!(faulty.write(add(&key, 1)).await, Err(DatabaseError::Conflict(_))));
    assert!(matches!(faulty.write(add(&key, 1)).await, Err(DatabaseError::Unavailable(_))));
    assert_eq!(n().await, 1);
    assert!(matches!(faulty.write(add(&key, 1)).await, Err(DatabaseError::Unavailable(_))));
    assert_eq!(n().await, 2, "a lost answer took effect");
    faulty.fail_next(Operation::Transact, Fault::Conflict);
    let conflict = faulty.transact(vec![add(&key, 5)]).await;
    assert_eq!(conflict, Err(DatabaseError::Cancelled(vec![Cancellation::Conflict])));
    assert_eq!((n().await, faulty.injected().len()), (2, 5));
    faulty.fail_next(Operation::Write, Fault::DiesAfter);
    let write = faulty.write(add(&key, 1));
    assert!(tokio::time::timeout(Duration::from_millis(20), write).await.is_err());
    assert_eq!(n().await, 3);
}

#[tokio::test]
async fn chance_is_seeded() {
    let outcomes = async |seed| {
        let faulty = FaultyDatabase::random(Arc::new(MemoryDatabase::new()), seed, Rates::each(100));
        let key = TenantScope::from_own_record("t").cart("1");
        let mut outcomes = Vec::new();
        for n in 0..200 {
            outcomes.push(faulty.transact(vec![add(&key, n)]).await);
        }
        assert_eq!(faulty.injected().len(), 4, "{:?}", faulty.injected());
        outcomes
    };
    assert_eq!(outcomes(7).await, outcomes(7).await);
    assert_ne!(outcomes(7).await, outcomes(8).await);
}
