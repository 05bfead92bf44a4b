//! What every use case gets, and the ports of those that send.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::database::Database;
use crate::environment::Environment;
use crate::error::Result;

/// What every use case gets. Cheap to clone.
#[derive(Clone)]
pub struct Ports {
    /// Tables.
    pub database: Arc<dyn Database>,
    /// Time and chance.
    pub environment: Arc<dyn Environment>,
}

/// A record for the sales stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRecord {
    /// Decides the shard.
    pub partition_key: String,
    /// The event as JSON.
    pub data: Vec<u8>,
}

/// The sales stream (Kinesis).
#[async_trait]
pub trait EventStream: Send + Sync {
    /// Publishes records; answers the positions of those that were not taken, so that only they are
    /// repeated.
    ///
    /// # Errors
    /// [`crate::Error::Retryable`] where the whole call failed.
    async fn publish(&self, records: &[StreamRecord]) -> Result<Vec<usize>>;
}

/// A wake-up for the dispatcher: the delivery record is the durable thing, this only says "look".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WakeUp {
    /// Message group: the order, so that its versions stay in order.
    pub group: String,
    /// Deduplication id: delivery and enqueue count.
    pub deduplication: String,
    /// JSON body.
    pub body: String,
}

/// The dispatcher's queue (SQS FIFO).
#[async_trait]
pub trait WakeUpQueue: Send + Sync {
    /// Sends wake-ups; answers the positions of those that were not taken.
    ///
    /// # Errors
    /// [`crate::Error::Retryable`] where the whole call failed.
    async fn send(&self, wake_ups: &[WakeUp]) -> Result<Vec<usize>>;

    /// Hides a received message for `delay`, so that it comes back then.
    ///
    /// # Errors
    /// [`crate::Error::Retryable`].
    async fn postpone(&self, receipt: &str, delay: Duration) -> Result<()>;
}
