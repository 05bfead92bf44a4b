//! The sales stream into analytics pages.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tillstream_app::Ports;
use tillstream_app::aggregation::event::parse_event;
use tillstream_app::aggregation::fold::fold_batch;
use tillstream_runtime::batch::kinesis::KinesisRecord;
use tillstream_runtime::batch::{BatchHandler, Failure};
use tillstream_runtime::config::{self, Variable};

/// Name in logs and metrics.
pub const FUNCTION: &str = "sales-aggregator";

/// What it reads from its environment, beside what every function reads.
pub const VARIABLES: &[Variable] = &[config::ANALYTICS_TABLE, config::ORDERS_TABLE, config::DISPATCH_TABLE];

/// Folds batches of events.
#[derive(Clone)]
pub struct Aggregator {
    /// Tables, time and chance.
    pub ports: Ports,
}

#[async_trait]
impl BatchHandler<KinesisRecord> for Aggregator {
    async fn handle(&self, records: &[KinesisRecord]) -> BTreeMap<usize, Failure> {
        let (mut positions, mut events, mut failures) = (Vec::new(), Vec::new(), BTreeMap::new());
        for (position, record) in records.iter().enumerate() {
            match parse_event(&record.data) {
                Ok(event) => {
                    positions.push(position);
                    events.push(event);
                }
                Err(error) => {
                    failures.insert(position, Failure::from(error));
                }
            }
        }
        for failed in fold_batch(&self.ports, events).await {
            // A fact that could be read is not at fault for what its store's pages meet: missing permissions,
            // say, must not park every sale of the day.
            if let Some(position) = positions.get(failed.position) {
                failures.insert(*position, Failure::Transient(failed.error.to_string()));
            }
        }
        failures
    }
}
