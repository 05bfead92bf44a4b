//! A database of which somebody hears each call: to count them, or to let each take its time.

use std::sync::Arc;

use async_trait::async_trait;
use tillstream_app::capacity::Operation;
use tillstream_app::database::{Database, DatabaseError, Get, Item, Query, QueryPage, Table, Write};
use tillstream_app::environment::Environment;
use tillstream_app::ports::Ports;

/// Who hears the calls of a database.
#[async_trait]
pub trait Listener: Send + Sync {
    /// A call was made: it goes on to the database once this returns.
    async fn called(&self, operation: Operation);

    /// The database has answered it, well or not.
    fn answered(&self, _operation: Operation) {}
}

/// A database that tells a listener of each call and does nothing else.
pub struct HeardDatabase {
    inner: Arc<dyn Database>,
    listener: Arc<dyn Listener>,
}

impl HeardDatabase {
    /// One over `inner`.
    pub fn new(inner: Arc<dyn Database>, listener: Arc<dyn Listener>) -> Self {
        HeardDatabase { inner, listener }
    }

    /// Ports on one over `inner`.
    pub fn ports_over(
        inner: Arc<dyn Database>,
        environment: Arc<dyn Environment>,
        listener: Arc<dyn Listener>,
    ) -> Ports {
        Ports { database: Arc::new(HeardDatabase::new(inner, listener)), environment }
    }

    async fn heard<T>(
        &self,
        operation: Operation,
        call: impl Future<Output = Result<T, DatabaseError>>,
    ) -> Result<T, DatabaseError> {
        self.listener.called(operation).await;
        let answer = call.await;
        self.listener.answered(operation);
        answer
    }
}

#[async_trait]
impl Database for HeardDatabase {
    async fn get(&self, get: Get) -> Result<Option<Item>, DatabaseError> {
        self.heard(Operation::Get, self.inner.get(get)).await
    }

    async fn get_many(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        self.heard(Operation::GetMany, self.inner.get_many(gets)).await
    }

    async fn get_together(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        self.heard(Operation::GetTogether, self.inner.get_together(gets)).await
    }

    async fn query(&self, query: Query) -> Result<QueryPage, DatabaseError> {
        self.heard(Operation::Query, self.inner.query(query)).await
    }

    async fn write(&self, write: Write) -> Result<(), DatabaseError> {
        self.heard(Operation::Write, self.inner.write(write)).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), DatabaseError> {
        self.heard(Operation::Transact, self.inner.transact(writes)).await
    }

    async fn put_many(&self, table: Table, items: Vec<Item>) -> Result<(), DatabaseError> {
        self.heard(Operation::PutMany, self.inner.put_many(table, items)).await
    }
}
