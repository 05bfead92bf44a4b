//! A database in trouble: its calls interleave, fail, lose their answers, or are where the caller is
//! killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::task::Poll;

use async_trait::async_trait;
use tillstream_app::database::{Database, DatabaseError, Get, Item, Query, QueryPage, Table, Write};
use tillstream_app::environment::Environment;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::test_environment::TestEnvironment;

pub struct TroubledDatabase {
    pub inner: Arc<MemoryDatabase>,
    chance: TestEnvironment,
    /// Of a hundred calls so many fail, half of them after they took effect; 200: every one does.
    pub fail_percent: AtomicU64,
    /// Whether other tasks run between calls.
    pub interleaves: AtomicBool,
    /// Steps until the caller is killed; below zero: never. Each call is two: before and after its
    /// effect.
    steps: AtomicI64,
    killed: AtomicBool,
}

impl TroubledDatabase {
    pub fn new(inner: Arc<MemoryDatabase>, seed: u64) -> Self {
        TroubledDatabase {
            inner,
            chance: TestEnvironment::new(seed),
            fail_percent: 0.into(),
            interleaves: false.into(),
            steps: AtomicI64::new(-1),
            killed: false.into(),
        }
    }

    /// Runs `work` and kills it at step `step`; answers whether it was killed, or else its output.
    pub async fn run_killed_at<F: Future>(&self, step: i64, work: F) -> Option<F::Output> {
        self.killed.store(false, Ordering::SeqCst);
        self.steps.store(step, Ordering::SeqCst);
        let mut work = Box::pin(work);
        let output = std::future::poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.killed.load(Ordering::SeqCst) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await;
        self.steps.store(-1, Ordering::SeqCst);
        output
    }

    /// A point at which the caller may be killed.
    pub async fn step(&self) {
        if self.killed.load(Ordering::SeqCst) && self.steps.load(Ordering::SeqCst) == 0 {
            std::future::pending::<()>().await;
        }
        let left = self.steps.load(Ordering::SeqCst);
        if left > 0 {
            self.steps.store(left - 1, Ordering::SeqCst);
        }
        if left == 0 {
            self.killed.store(true, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
        if self.interleaves.load(Ordering::SeqCst) {
            for _ in 0..self.chance.random() % 4 {
                tokio::task::yield_now().await;
            }
        }
    }

    fn fails(&self) -> bool {
        self.chance.random() % 200 < self.fail_percent.load(Ordering::SeqCst)
    }

    async fn around<T>(
        &self,
        call: impl Future<Output = Result<T, DatabaseError>>,
    ) -> Result<T, DatabaseError> {
        self.step().await;
        if self.fails() {
            return Err(DatabaseError::Unavailable("before it took effect".to_owned()));
        }
        let result = call.await;
        self.step().await;
        if self.fails() {
            return Err(DatabaseError::Unavailable("after it took effect".to_owned()));
        }
        result
    }
}

#[async_trait]
impl Database for TroubledDatabase {
    async fn get(&self, get: Get) -> Result<Option<Item>, DatabaseError> {
        self.around(self.inner.get(get)).await
    }
    async fn get_many(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        self.around(self.inner.get_many(gets)).await
    }
    async fn get_together(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        self.around(self.inner.get_together(gets)).await
    }
    async fn query(&self, query: Query) -> Result<QueryPage, DatabaseError> {
        self.around(self.inner.query(query)).await
    }
    async fn write(&self, write: Write) -> Result<(), DatabaseError> {
        self.around(self.inner.write(write)).await
    }
    async fn transact(&self, writes: Vec<Write>) -> Result<(), DatabaseError> {
        self.around(self.inner.transact(writes)).await
    }
    async fn put_many(&self, table: Table, items: Vec<Item>) -> Result<(), DatabaseError> {
        self.around(self.inner.put_many(table, items)).await
    }
}
