//! Count sheets: somebody counts what lies on the shelf, line by line, and closing the sheet brings the books there.
//!
//! Each line remembers what the books said at the moment it was recorded; its variance is what was counted less
//! that, so what is sold between the counting and the closing is no variance. Closing changes on hand by the
//! variance, in a movement of kind `count` that names the sheet.
//!
//! Of a SKU that is kept by lots it may be counted lot by lot; then each lot has its variance, and closing corrects
//! each. Counted as a whole, what is missing is of the lots that go first, and what is too much of no known lot.
//!
//! To close is first to write so into the sheet (`closing`), with the approval used where one is needed. From then
//! on whoever meets the sheet goes on with it, and the keeper with one that nobody meets: chunk by chunk, each a
//! transaction that counts itself in the sheet, so that no line is corrected twice.

mod close;
mod drive;
mod item;
pub mod list;
mod lots;
mod open;
mod record;

pub(crate) use close::bound_of;
pub use close::{cancel, close};
pub use drive::recover;
pub use item::{Body, Ending, StoredCount};
pub use open::open;
pub use record::record;

use tillstream_contracts::counts::CountSheet;
use tillstream_domain::identifier::check_id;

use crate::database::{Consistency, Get, Table};
use crate::error::{Refusal, Result};
use crate::ports::Ports;
use crate::tenancy::{Caller, TenantScope};

/// What a request on a count sheet answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The sheet as the request left it.
    pub sheet: CountSheet,
    /// Whether the request took effect before, and this is its answer again.
    pub replayed: bool,
}

fn sheet_get(scope: &TenantScope, id: &str) -> Get {
    Get { table: Table::Stock, key: scope.count_sheet(id), consistency: Consistency::Strong }
}

/// 404: no such sheet.
pub(crate) fn not_found(id: &str) -> Refusal {
    Refusal::not_found("count_not_found", format!("there is no count sheet {id}"))
}

/// A sheet, strongly consistent.
///
/// # Errors
/// As the database.
pub(crate) async fn find(ports: &Ports, scope: &TenantScope, id: &str) -> Result<Option<StoredCount>> {
    ports.database.get(sheet_get(scope, id)).await?.as_ref().map(StoredCount::of).transpose()
}

async fn find_in_reach(ports: &Ports, caller: &Caller, id: &str) -> Result<StoredCount> {
    check_id(id).map_err(|_| not_found(id))?;
    let stored = find(ports, &caller.scope, id).await?.ok_or_else(|| not_found(id))?;
    caller.require_store(&stored.location_id)?;
    Ok(stored)
}

/// `GET /v1/inventory/counts/{id}`.
///
/// # Errors
/// 403 `store_out_of_reach`; 404 `count_not_found`.
pub async fn get(ports: &Ports, caller: &Caller, id: &str) -> Result<CountSheet> {
    let stored = find_in_reach(ports, caller, id).await?;
    Ok(stored.shown(&caller.scope))
}
