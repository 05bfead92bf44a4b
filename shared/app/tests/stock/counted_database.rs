//! The database, counting what is asked of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tillstream_app::Ports;
use tillstream_app::database::{Database, DatabaseError, Get, Item, Query, QueryPage, Table, Write};
use tillstream_testkit::memory_database::MemoryDatabase;

use crate::fixture::Fixture;

/// Counts queries, and transactions that are under way at once.
pub struct CountedDatabase {
    memory: Arc<MemoryDatabase>,
    queries: AtomicUsize,
    under_way: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl CountedDatabase {
    /// Ports on it over the fixture's database.
    pub fn ports_over(fixture: &Fixture) -> (Ports, Arc<CountedDatabase>) {
        let database = Arc::new(CountedDatabase {
            memory: fixture.memory.clone(),
            queries: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
        });
        (Ports { database: database.clone(), environment: fixture.environment.clone() }, database)
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
impl Database for CountedDatabase {
    async fn get(&self, get: Get) -> Result<Option<Item>, DatabaseError> {
        self.memory.get(get).await
    }
    async fn get_many(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        self.memory.get_many(gets).await
    }
    async fn get_together(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        self.memory.get_together(gets).await
    }
    async fn query(&self, query: Query) -> Result<QueryPage, DatabaseError> {
        self.queries.fetch_add(1, Ordering::SeqCst);
        self.memory.query(query).await
    }
    async fn write(&self, write: Write) -> Result<(), DatabaseError> {
        self.memory.write(write).await
    }
    async fn transact(&self, writes: Vec<Write>) -> Result<(), DatabaseError> {
        let now = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
        let done = self.memory.transact(writes).await;
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        done
    }
    async fn put_many(&self, table: Table, items: Vec<Item>) -> Result<(), DatabaseError> {
        self.memory.put_many(table, items).await
    }
}
