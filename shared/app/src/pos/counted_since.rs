//! What left the shop before it was counted, and is told of after: a sale of a register that was cut off, or of another
//! system. The count did not find it any more, and the books followed the count; the sale takes it off once more.
//!
//! The sale stands, and its movement with it, so that orders and ledger agree. That on hand is too low now is told by an
//! exception that names sale, count and quantity, since only who looks can say what lies there.
//!
//! A stock item remembers when it was counted last. What left the shop takes its stock on the condition that no count
//! since is unknown: so nothing is read for it, and none is missed. Whoever meets one tells it, and goes on.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tillstream_domain::quantity::Unit;

use super::cart_write::lost_race;
use super::offline_oversell::{Covered, OfflineSale};
use super::shortage::Shortage;
use crate::database::Write;
use crate::error::Result;
use crate::ports::Ports;
use crate::stock::exceptions::{SoldBeforeCount, sold_before_count_write};
use crate::tenancy::TenantScope;

/// Most SKUs told in one transaction, beside what it stands on.
const TOLD_AT_ONCE: usize = 90;

/// A count of a stock item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockCount {
    /// When it was, in epoch milliseconds.
    pub at: i64,
    /// The sheet, or the update.
    pub reference: String,
}

/// Counts that one request was told of: by SKU when the last was, in epoch milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownCounts(BTreeMap<String, i64>);

impl KnownCounts {
    /// Until when no count of a SKU is unknown to whom took it at `left_at`, in epoch milliseconds.
    pub fn until(&self, sku: &str, left_at: Timestamp) -> i64 {
        left_at.as_millisecond().max(self.0.get(sku).copied().unwrap_or(i64::MIN))
    }

    /// Those of the stock updates that failed whose stock was counted since.
    pub fn unknown(&self, failed: &[Shortage], left_at: Timestamp) -> Vec<Shortage> {
        let is_unknown = |one: &&Shortage| {
            one.counted.as_ref().is_some_and(|count| count.at > self.until(&one.sku, left_at))
        };
        failed.iter().filter(is_unknown).cloned().collect()
    }

    /// Notes that these counts are told.
    pub fn learn(&mut self, told: &[Shortage]) {
        let counts = told.iter().filter_map(|one| Some((one.sku.clone(), one.counted.as_ref()?.at)));
        self.0.extend(counts);
    }
}

/// Tells of each that it was sold before it was counted. `stands_on`: what must hold for it not to be sold yet. Told
/// again it is the same.
///
/// # Errors
/// A bug if the database refuses the request itself.
pub async fn tell(
    ports: &Ports,
    scope: &TenantScope,
    sale: &OfflineSale<'_>,
    stands_on: &[Write],
    counted: &[Shortage],
) -> Result<Covered> {
    for some in counted.chunks(TOLD_AT_ONCE) {
        let mut writes = stands_on.to_vec();
        writes.extend(some.iter().filter_map(|one| told_write(scope, sale, one)));
        if let Err(error) = ports.database.transact(writes).await {
            return Ok(Covered::Again(lost_race(error)?));
        }
    }
    Ok(Covered::Done)
}

fn told_write(scope: &TenantScope, sale: &OfflineSale<'_>, one: &Shortage) -> Option<Write> {
    let count = one.counted.as_ref()?;
    // Of a kit it is a component that was counted.
    let unit = sale.cart.lines_taking(&one.sku).next().map_or_else(Unit::default, |(.., unit)| unit);
    let sold = SoldBeforeCount {
        order_id: &sale.cart.id,
        register_id: sale.register_id,
        employee_id: sale.employee_id,
        location_id: &sale.cart.store_id,
        sku: &one.sku,
        unit,
        quantity: one.requested.thousandths(),
        counted_at: count.at,
        counted_in: &count.reference,
        at: sale.at,
        now: sale.now,
    };
    Some(sold_before_count_write(scope, &sold))
}
