//! SQS to HQ: acts on the wake-ups of delivery records.

pub mod http_transport;

use std::collections::BTreeMap;

use async_trait::async_trait;
use tillstream_app::dispatch::dispatcher::{Dispatcher, Fate, Received};
use tillstream_runtime::batch::sqs::SqsRecord;
use tillstream_runtime::batch::{BatchHandler, Failure};
use tillstream_runtime::config::{self, Variable};

/// Name in logs and metrics.
pub const FUNCTION: &str = "hq-dispatcher";

/// What it reads from its environment, beside what every function reads.
pub const VARIABLES: &[Variable] = &[
    config::DISPATCH_TABLE,
    config::ORDERS_TABLE,
    config::HQ_URL,
    config::HQ_SIGNING_SECRET,
    config::HQ_QUEUE_URL,
];

/// Handles batches of wake-ups. A message that is none of ours is parked, and not tried for ever.
pub struct WakeUps(pub Dispatcher);

#[async_trait]
impl BatchHandler<SqsRecord> for WakeUps {
    async fn handle(&self, records: &[SqsRecord]) -> BTreeMap<usize, Failure> {
        let received: Vec<Received> = records.iter().map(received).collect();
        let fates = self.0.handle_batch(&received).await;
        fates
            .into_iter()
            .enumerate()
            .filter_map(|(position, fate)| match fate {
                Fate::Done => None,
                Fate::Again(why) => Some((position, Failure::Transient(why))),
                Fate::Stray(why) => Some((position, Failure::Poison(why.to_owned()))),
            })
            .collect()
    }
}

fn received(record: &SqsRecord) -> Received {
    Received {
        // A message of a queue without groups stands by itself.
        group: record.group.clone().unwrap_or_else(|| record.message_id.clone()),
        receipt: record.receipt_handle.clone(),
        body: record.body.clone(),
    }
}
