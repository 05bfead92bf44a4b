//! Transfers of stock between locations: shipped in one step, all lines or none, and then received, refused
//! or cancelled, line by line.
//!
//! A step of few lines is one transaction: the transfer's item and the stock of both locations. A longer one
//! is written into the item first (`pending`) and then taken in chunks, each a transaction that counts itself
//! in the item, so that no chunk takes effect twice; whoever meets a pending step goes on with it, and the
//! keeper with one that nobody meets. In every transaction source + on the way + destination stays what it was, and so
//! does each lot of goods that are kept by lots (`lots.rs`).

mod drive;
mod item;
pub mod list;
mod lots;
pub mod settle;
pub mod ship;

pub use drive::recover;
pub use item::{Body, Pending, Step, StoredTransfer};

use tillstream_contracts::transfers as wire;

use crate::database::{Consistency, Get, Table};
use crate::error::{Refusal, Result};
use crate::ports::Ports;
use crate::tenancy::{Caller, TenantScope};
use tillstream_domain::identifier::check_id;

/// What a request on a transfer answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The transfer as the request left it.
    pub transfer: wire::Transfer,
    /// Whether the request took effect before, and this is its answer again.
    pub replayed: bool,
}

async fn find(ports: &Ports, scope: &TenantScope, id: &str) -> Result<Option<StoredTransfer>> {
    let get = Get { table: Table::Stock, key: scope.transfer(id), consistency: Consistency::Strong };
    ports.database.get(get).await?.as_ref().map(StoredTransfer::of).transpose()
}

async fn find_existing(ports: &Ports, caller: &Caller, id: &str) -> Result<StoredTransfer> {
    let not_found = || Refusal::not_found("transfer_not_found", format!("there is no transfer {id}"));
    check_id(id).map_err(|_| not_found())?;
    Ok(find(ports, &caller.scope, id).await?.ok_or_else(not_found)?)
}

/// Shows a transfer to whoever reaches one of its ends.
///
/// # Errors
/// 403 `store_out_of_reach`; 404 `transfer_not_found`.
pub async fn get(ports: &Ports, caller: &Caller, id: &str) -> Result<wire::Transfer> {
    let stored = find_existing(ports, caller, id).await?;
    if !caller.reaches(&stored.from) {
        caller.require_store(&stored.to)?;
    }
    Ok(stored.shown())
}
