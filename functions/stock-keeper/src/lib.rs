//! Scheduled recovery: expired holds, unfinished plans, lane numbers that are missing downstream, waiting
//! deliveries, gaps of the ledger.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tillstream_app::ports::{EventStream, WakeUpQueue};
use tillstream_app::{Error, Ports, keeper};
use tillstream_runtime::config::{self, Variable};
use tillstream_runtime::schedule::Job;
use tillstream_runtime::wide_event;

/// Name in logs and metrics.
pub const FUNCTION: &str = "stock-keeper";

/// What it reads from its environment, beside what every function reads.
pub const VARIABLES: &[Variable] = &[
    config::ORDERS_TABLE,
    config::STOCK_TABLE,
    config::LEDGER_TABLE,
    config::CATALOG_TABLE,
    config::ANALYTICS_TABLE,
    config::DISPATCH_TABLE,
    config::EVENT_STREAM,
    config::HQ_QUEUE_URL,
];

/// Left of the function's time when it begins with no further tenant.
const RESERVE: SignedDuration = SignedDuration::from_secs(15);

/// The keeper.
#[derive(Clone)]
pub struct Keeper {
    /// Tables, time and chance.
    pub ports: Ports,
    /// The sales stream.
    pub stream: Arc<dyn EventStream>,
    /// HQ's queue.
    pub queue: Arc<dyn WakeUpQueue>,
}

#[async_trait]
impl Job for Keeper {
    async fn run(&self, deadline: Timestamp) -> Result<(), Error> {
        let stop_at = deadline.checked_sub(RESERVE).unwrap_or(deadline);
        let report = keeper::run(&self.ports, self.stream.as_ref(), self.queue.as_ref(), stop_at).await?;
        for (name, count) in [
            ("plans", report.plans),
            ("holds", report.holds),
            ("sent_again", report.sent_again),
            ("woken", report.woken),
            ("ledger_gaps", report.ledger_gaps),
        ] {
            wide_event::note(name, count);
        }
        Ok(())
    }
}
