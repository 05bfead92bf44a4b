//! Tells wide events how often a request tried to write, and how often it lost the race.

use std::sync::Arc;

use async_trait::async_trait;
use tillstream_app::database::{
    Cancellation, Database, DatabaseError, Get, Item, Query, QueryPage, Table, Write,
};

use crate::wide_event;

/// A database whose attempts to write are counted.
pub struct CountedDatabase(pub Arc<dyn Database>);

/// Whether another was faster, or may have been.
fn is_lost(result: &Result<(), DatabaseError>) -> bool {
    match result {
        Ok(()) | Err(DatabaseError::Invalid(_)) => false,
        Err(DatabaseError::Cancelled(reasons)) => {
            !reasons.iter().any(|reason| matches!(reason, Cancellation::Invalid(_)))
        }
        Err(_) => true,
    }
}

#[async_trait]
impl Database for CountedDatabase {
    async fn get(&self, get: Get) -> Result<Option<Item>, DatabaseError> {
        self.0.get(get).await
    }

    async fn get_many(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        self.0.get_many(gets).await
    }

    async fn get_together(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        self.0.get_together(gets).await
    }

    async fn query(&self, query: Query) -> Result<QueryPage, DatabaseError> {
        self.0.query(query).await
    }

    async fn write(&self, write: Write) -> Result<(), DatabaseError> {
        let result = self.0.write(write).await;
        wide_event::write_attempt(is_lost(&result));
        result
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), DatabaseError> {
        let result = self.0.transact(writes).await;
        wide_event::write_attempt(is_lost(&result));
        result
    }

    async fn put_many(&self, table: Table, items: Vec<Item>) -> Result<(), DatabaseError> {
        self.0.put_many(table, items).await
    }
}
