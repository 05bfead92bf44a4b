//! What is asked of the database, counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tillstream_app::Ports;
use tillstream_app::capacity::Operation;
use tillstream_testkit::heard_database::{HeardDatabase, Listener};

use crate::fixture::Fixture;

/// Counts calls, queries among them, and transactions that are under way at once.
#[derive(Default)]
pub struct CountedCalls {
    calls: AtomicUsize,
    queries: AtomicUsize,
    under_way: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl CountedCalls {
    /// Ports over the fixture's database, and what is counted there.
    pub fn ports_over(fixture: &Fixture) -> (Ports, Arc<CountedCalls>) {
        let calls = Arc::new(CountedCalls::default());
        let ports =
            HeardDatabase::ports_over(fixture.memory.clone(), fixture.environment.clone(), calls.clone());
        (ports, calls)
    }

    /// All calls since this was asked last.
    pub fn calls(&self) -> usize {
        self.calls.swap(0, Ordering::SeqCst)
    }

    /// Pages that were read since this was asked last.
    pub fn queries(&self) -> usize {
        self.queries.swap(0, Ordering::SeqCst)
    }

    /// Most transactions that were under way at once.
    pub fn most_at_once(&self) -> usize {
        self.most_at_once.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Listener for CountedCalls {
    async fn called(&self, operation: Operation) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        match operation {
            Operation::Query => {
                self.queries.fetch_add(1, Ordering::SeqCst);
            }
            Operation::Transact => {
                let now = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
                self.most_at_once.fetch_max(now, Ordering::SeqCst);
                for _ in 0..4 {
                    tokio::task::yield_now().await;
                }
            }
            _ => {}
        }
    }

    fn answered(&self, operation: Operation) {
        if operation == Operation::Transact {
            self.under_way.fetch_sub(1, Ordering::SeqCst);
        }
    }
}
