//! From the tables' streams: final orders to the sales stream and HQ's deliveries, changes of stock to
//! the ledger.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tillstream_app::database::Item;
use tillstream_app::ports::{EventStream, WakeUpQueue};
use tillstream_app::relay::{self, Relayed};
use tillstream_app::stock::ledger::{ledger_rows, record};
use tillstream_app::{Error, Ports};
use tillstream_runtime::batch::dynamodb::Change;
use tillstream_runtime::batch::{BatchHandler, Failure};
use tillstream_runtime::config::{self, Variable};

/// Name in logs and metrics.
pub const FUNCTION: &str = "event-relay";

/// What it reads from its environment, beside what every function reads.
pub const VARIABLES: &[Variable] =
    &[config::LEDGER_TABLE, config::DISPATCH_TABLE, config::EVENT_STREAM, config::HQ_QUEUE_URL];

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

enum Said {
    Order(Relayed),
    Stock(Item),
    Nothing,
}

fn read(change: &Change) -> Result<Said, Error> {
    if let Some(row) = ledger_rows(change.old.as_ref(), change.new.as_ref())? {
        return Ok(Said::Stock(row));
    }
    let relayed = relay::relayed(change.old.as_ref(), change.new.as_ref())?;
    let says_nothing = relayed.event.is_none() && relayed.fact.is_none();
    Ok(if says_nothing { Said::Nothing } else { Said::Order(relayed) })
}

#[async_trait]
impl BatchHandler<Change> for Relay {
    async fn handle(&self, changes: &[Change]) -> BTreeMap<usize, Failure> {
        let mut failures = BTreeMap::new();
        let (mut orders, mut order_of) = (Vec::new(), Vec::new());
        let (mut rows, mut row_of) = (Vec::new(), Vec::new());
        for (position, change) in changes.iter().enumerate() {
            match read(change) {
                Ok(Said::Order(relayed)) => {
                    orders.push(relayed);
                    order_of.push(position);
                }
                Ok(Said::Stock(row)) => {
                    rows.push(row);
                    row_of.push(position);
                }
                Ok(Said::Nothing) => {}
                Err(error) => {
                    failures.insert(position, Failure::from(error));
                }
            }
        }
        if let Err(error) = record(&self.ports, rows).await {
            failures.extend(row_of.iter().map(|position| (*position, transient(&error))));
        }
        let sent = relay::send(&self.ports, self.stream.as_ref(), self.queue.as_ref(), orders).await;
        match sent {
            Ok(failed) => {
                let failed = failed.into_iter().filter_map(|at| order_of.get(at).copied());
                failures.extend(failed.map(|at| (at, Failure::Transient("not taken downstream".to_owned()))));
            }
            Err(error) => failures.extend(order_of.iter().map(|position| (*position, transient(&error)))),
        }
        failures
    }
}

/// What fails for a whole batch is no fault of any of its records, so none may be parked for it.
fn transient(error: &Error) -> Failure {
    Failure::Transient(error.to_string())
}
