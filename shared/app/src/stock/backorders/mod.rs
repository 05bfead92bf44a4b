//! Backorders: what customers wait for, per location and SKU in the order in which they asked.
//!
//! One that is made takes the next number of its queue. It is served by one transaction that makes a reservation for it,
//! takes it out of the queue, and writes down what is to be told; so each gets one reservation, whoever serves, and
//! however often. Only the first in a queue is ever served, and all of it at once: nobody behind overtakes. Whatever raises
//! what is available, the table's stream tells the relay, which serves the queue of a stock item that says that somebody
//! waits; the keeper looks at each queue besides. From then on its reservation decides: sold, given back or over, the
//! backorder follows it.

mod cancel;
mod follow;
mod item;
pub mod list;
mod place;
mod queue;
mod recover;
mod serve;

pub use cancel::cancel;
pub use follow::follow;
pub use item::{Applied, StoredBackorder};
pub use place::place;
pub use recover::{recover, recover_queues};
pub use serve::serve;

use tillstream_contracts::backorders as wire;
use tillstream_domain::identifier::check_id;

use crate::database::{Consistency, Get, Table};
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::tenancy::{Caller, TenantScope};

/// What a request on a backorder answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The backorder as the request left it.
    pub backorder: wire::Backorder,
    /// Whether the request took effect before, and this is its answer again.
    pub replayed: bool,
}

async fn find(ports: &Ports, scope: &TenantScope, id: &str) -> Result<Option<StoredBackorder>> {
    let get = Get { table: Table::Stock, key: scope.backorder(id), consistency: Consistency::Strong };
    ports.database.get(get).await?.as_ref().map(StoredBackorder::of).transpose()
}

async fn find_in_reach(ports: &Ports, caller: &Caller, id: &str) -> Result<StoredBackorder> {
    let not_found = || Refusal::not_found("backorder_not_found", format!("there is no backorder {id}"));
    check_id(id).map_err(|_| not_found())?;
    let stored = find(ports, &caller.scope, id).await?.ok_or_else(not_found)?;
    caller.require_store(&stored.location_id)?;
    Ok(stored)
}

/// Shows a backorder as it is now: where its reservation was sold or is over, it follows first.
///
/// # Errors
/// 403 `store_out_of_reach`; 404 `backorder_not_found`.
pub async fn get(ports: &Ports, caller: &Caller, id: &str) -> Result<wire::Backorder> {
    let stored = find_in_reach(ports, caller, id).await?;
    match follow(ports, &caller.scope, id, ports.environment.now()).await {
        Ok(Some(followed)) => Ok(followed.shown()),
        Ok(None) => Ok(stored.shown()),
        // What could not be brought up to date is shown as it is known: the keeper will.
        Err(Error::Retryable { reason, .. }) => {
            tracing::info!(backorder_id = id, reason, "a backorder could not follow its reservation");
            Ok(stored.shown())
        }
        Err(error) => Err(error),
    }
}
