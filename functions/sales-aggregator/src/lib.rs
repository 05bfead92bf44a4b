//! The sales stream into analytics pages.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tillstream_app::Ports;
use tillstream_app::aggregation::fold::fold_records;
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
        let records: Vec<&[u8]> = records.iter().map(|record| record.data.as_slice()).collect();
        fold_records(&self.ports, &records).await
    }
}
