//! A database as one process of a function sees it: between any two of its calls others run, and at one
//! of them it may die.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use tillstream_app::database::{Database, DatabaseError, Get, Item, Query, QueryPage, Table, Write};
use tokio::sync::Notify;

/// When a process dies.
#[derive(Clone, Copy)]
pub struct Death {
    /// At which of its calls, counted from 1.
    pub at: u64,
    /// Whether that call took effect.
    pub after: bool,
}

/// The database of one process.
pub struct Process {
    inner: Arc<dyn Database>,
    death: Option<Death>,
    calls: AtomicU64,
    died: Notify,
}

impl Process {
    pub fn new(inner: Arc<dyn Database>, death: Option<Death>) -> Self {
        Process { inner, death, calls: AtomicU64::new(0), died: Notify::new() }
    }

    /// Ends when the process has died. What it was doing is to be dropped then.
    pub async fn died(&self) {
        self.died.notified().await;
    }

    async fn call<T: Send>(&self, call: impl Future<Output = T> + Send) -> T {
        // A call to a table takes its time, and others get theirs.
        tokio::task::yield_now().await;
        let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        match self.death.filter(|death| death.at == number) {
            None => call.await,
            Some(death) => {
                if death.after {
                    call.await;
                }
                self.died.notify_one();
                std::future::pending().await
            }
        }
    }
}

#[async_trait]
impl Database for Process {
    async fn get(&self, get: Get) -> Result<Option<Item>, DatabaseError> {
        self.call(self.inner.get(get)).await
    }

    async fn get_many(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        self.call(self.inner.get_many(gets)).await
    }

    async fn get_together(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        self.call(self.inner.get_together(gets)).await
    }

    async fn query(&self, query: Query) -> Result<QueryPage, DatabaseError> {
        self.call(self.inner.query(query)).await
    }

    async fn write(&self, write: Write) -> Result<(), DatabaseError> {
        self.call(self.inner.write(write)).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), DatabaseError> {
        self.call(self.inner.transact(writes)).await
    }

    async fn put_many(&self, table: Table, items: Vec<Item>) -> Result<(), DatabaseError> {
        self.call(self.inner.put_many(table, items)).await
    }
}
