//! What a database in memory takes, told apart: it is not what a function takes.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tillstream_app::database::{Database, DatabaseError, Get, Item, Query, QueryPage, Table, Write};

/// A database whose time is told apart from that of who calls it.
pub struct Timed {
    database: Arc<dyn Database>,
    nanos: AtomicU64,
}

impl Timed {
    pub fn new(database: Arc<dyn Database>) -> Self {
        Timed { database, nanos: AtomicU64::default() }
    }

    /// Counts what the call itself takes, and nothing that runs while it waits: calls may be under way at
    /// once.
    async fn timed<T>(&self, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        poll_fn(|context| {
            let begin = Instant::now();
            let polled = call.as_mut().poll(context);
            self.nanos.fetch_add(u64::try_from(begin.elapsed().as_nanos()).unwrap(), Ordering::Relaxed);
            polled
        })
        .await
    }

    /// The time of its calls since this was last asked.
    pub fn take(&self) -> Duration {
        Duration::from_nanos(self.nanos.swap(0, Ordering::Relaxed))
    }
}

#[async_trait]
impl Database for Timed {
    async fn get(&self, get: Get) -> Result<Option<Item>, DatabaseError> {
        self.timed(self.database.get(get)).await
    }
    async fn get_many(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        self.timed(self.database.get_many(gets)).await
    }
    async fn get_together(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        self.timed(self.database.get_together(gets)).await
    }
    async fn query(&self, query: Query) -> Result<QueryPage, DatabaseError> {
        self.timed(self.database.query(query)).await
    }
    async fn write(&self, write: Write) -> Result<(), DatabaseError> {
        self.timed(self.database.write(write)).await
    }
    async fn transact(&self, writes: Vec<Write>) -> Result<(), DatabaseError> {
        self.timed(self.database.transact(writes)).await
    }
    async fn put_many(&self, table: Table, items: Vec<Item>) -> Result<(), DatabaseError> {
        self.timed(self.database.put_many(table, items)).await
    }
}
