//! From the tables' streams: final orders to the sales stream and HQ's deliveries, changes of stock to
//! the ledger, and what they ask for done: queues of backorders served, alerts raised.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tillstream_app::Ports;
use tillstream_app::ports::{EventStream, WakeUpQueue};
use tillstream_app::relay::{self, Images};
use tillstream_runtime::batch::dynamodb::Change;
use tillstream_runtime::batch::{BatchHandler, Failure};
use tillstream_runtime::config::{self, Variable};

/// Name in logs and metrics.
pub const FUNCTION: &str = "event-relay";

/// What it reads from its environment, beside what every function reads.
pub const VARIABLES: &[Variable] = &[
    config::STOCK_TABLE,
    config::LEDGER_TABLE,
    config::DISPATCH_TABLE,
    config::EVENT_STREAM,
    config::HQ_QUEUE_URL,
];

/// The relay.
#[derive(Clone)]
pub struct Relay {
    /// Tables, time and chance.
    pub ports: Ports,
    /// The sales stream.
    pub stream: Arc<dyn EventStream>,
    /// HQ's queue.
    pub queue: Arc<dyn WakeUpQueue>,
}

#[async_trait]
impl BatchHandler<Change> for Relay {
    async fn handle(&self, changes: &[Change]) -> BTreeMap<usize, Failure> {
        let changes: Vec<Images> =
            changes.iter().map(|change| (change.old.as_ref(), change.new.as_ref())).collect();
        relay::handle(&self.ports, self.stream.as_ref(), self.queue.as_ref(), &changes).await
    }
}
