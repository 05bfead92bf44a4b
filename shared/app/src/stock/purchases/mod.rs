//! Purchase orders: placed with a supplier, and then received in parts, closed or cancelled, line by line.
//!
//! What is open of an order is on order at its location ([`crate::stock::on_order`]), changed in the same transactions
//! as the order's own item. A step of few lines is one transaction; a longer one is written into that item first
//! (`pending`) and then taken in chunks, each a transaction that counts itself in the item, so that no chunk takes
//! effect twice. Nothing can be short of what is ordered or arrives, so a step that has begun always ends: whoever
//! meets it goes on with it, and the keeper with one that nobody meets.

mod drive;
mod item;
pub mod list;
mod lots;
pub mod place;
pub mod settle;

pub use drive::recover;
pub use item::{Body, Pending, Step, StoredPurchase};

use tillstream_contracts::purchase_orders as wire;
use tillstream_domain::identifier::check_id;

use crate::catalog::suppliers::SUPPLIER_READERS;
use crate::database::{Consistency, Get, Table};
use crate::error::{Refusal, Result};
use crate::ports::Ports;
use crate::tenancy::{Caller, Role, TenantScope};

/// Who orders and receives goods; an operator may everything.
pub const BUYERS: &[Role] = &[Role::StoreManager, Role::WarehouseStaff];

/// What a request on a purchase order answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The order as the request left it.
    pub order: wire::PurchaseOrder,
    /// Whether the request took effect before, and this is its answer again.
    pub replayed: bool,
}

async fn find(ports: &Ports, scope: &TenantScope, id: &str) -> Result<Option<StoredPurchase>> {
    let get = Get { table: Table::Stock, key: scope.purchase_order(id), consistency: Consistency::Strong };
    ports.database.get(get).await?.as_ref().map(StoredPurchase::of).transpose()
}

async fn find_existing(ports: &Ports, caller: &Caller, id: &str) -> Result<StoredPurchase> {
    let not_found =
        || Refusal::not_found("purchase_order_not_found", format!("there is no purchase order {id}"));
    check_id(id).map_err(|_| not_found())?;
    Ok(find(ports, &caller.scope, id).await?.ok_or_else(not_found)?)
}

/// Shows a purchase order to whoever reaches its location.
///
/// # Errors
/// 403 `role_required`, `store_out_of_reach`; 404 `purchase_order_not_found`.
pub async fn get(ports: &Ports, caller: &Caller, id: &str) -> Result<wire::PurchaseOrder> {
    caller.require_role(SUPPLIER_READERS)?;
    let stored = find_existing(ports, caller, id).await?;
    caller.require_store(&stored.location_id)?;
    Ok(stored.shown())
}
