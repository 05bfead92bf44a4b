//! What a register sold while it was cut off although it was not there: the goods have left the shop, so the
//! sale stands, and the books give way.
//!
//! Before such a sale takes its stock, what is missing is entered: a movement of kind `discrepancy` brings
//! what is available to what is sold, and in the same transaction an exception grows by as much. On hand
//! stays at or above zero, the ledger adds up, and somebody is asked where the goods came from.
//!
//! No record says that a cover was made, and none is needed: what the stock says decides. A cover stands on
//! the sale not being final (or its chunk not held), and on exactly so much being available as was seen; it
//! enters exactly what is missing to that. So
//! - a twin that saw the same finds more available, or the sale final, and enters nothing;
//! - after a lost answer or a crash the next attempt finds enough, and enters nothing;
//! - where another till takes what was covered, its sale is in the books, and what is missing again is
//!   missing indeed.
//!
//! At rest, what was entered is therefore what was sold beyond what there was.
//!
//! What is sold online before anybody told its stock is covered alike, where the store's policy allows it.

use jiff::Timestamp;
use tillstream_domain::cart::Cart;
use tillstream_domain::quantity::Unit;

use super::cart_write::lost_race;
use super::shortage::Shortage;
use crate::database::Write;
use crate::error::Result;
use crate::ports::Ports;
use crate::stock::layout::LAYOUT_WHOLE;
use crate::stock::split::make_whole;
use crate::stock::taken_beyond::{Beyond, MissingStock, Taker, entry_writes};
use crate::tenancy::TenantScope;

/// Most SKUs covered in one transaction: two actions each, beside what the cover stands on.
const COVERED_AT_ONCE: usize = 45;

/// A sale that stands although what it took was not there: mostly one that was made while its register was cut off.
#[derive(Debug, Clone, Copy)]
pub struct OfflineSale<'a> {
    /// Why it stands.
    pub beyond: Beyond,
    /// Its cart.
    pub cart: &'a Cart,
    /// Where.
    pub register_id: &'a str,
    /// Who sold.
    pub employee_id: &'a str,
    /// When, as the register tells it.
    pub at: Timestamp,
    /// Our time.
    pub now: Timestamp,
}

/// How a cover ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Covered {
    /// All that was short is there now.
    Done,
    /// Others were first, or an answer was lost: look again.
    Again(String),
}

/// Covers `shortages` of a sale, some at once. `stands_on`: what must hold for it to be wanted still, at most
/// two checks.
///
/// # Errors
/// [`crate::Error::Retryable`] where split stock cannot be merged; a bug if the database refuses the request itself.
pub async fn cover(
    ports: &Ports,
    scope: &TenantScope,
    sale: &OfflineSale<'_>,
    stands_on: &[Write],
    shortages: &[Shortage],
) -> Result<Covered> {
    let location_id = sale.cart.store_id.as_str();
    let mut merged = false;
    for short in shortages {
        if short.found.is_some_and(|found| found.layout != LAYOUT_WHOLE) {
            // Parts change each by itself: only of the whole can be said in one condition what is missing.
            make_whole(ports, scope, location_id, &short.sku).await?;
            merged = true;
        }
    }
    if merged {
        return Ok(Covered::Again("split stock was merged".to_owned()));
    }
    for shortages in shortages.chunks(COVERED_AT_ONCE) {
        // The same may be missing twice within one request: the second is not to pass for the first, of which
        // the database remembers the parameters.
        let number = i64::try_from(ports.environment.random() >> 1).unwrap_or(i64::MAX);
        let mut writes = stands_on.to_vec();
        writes.extend(shortages.iter().flat_map(|short| cover_writes(scope, sale, short, number)));
        if let Err(error) = ports.database.transact(writes).await {
            return Ok(Covered::Again(lost_race(error)?));
        }
    }
    Ok(Covered::Done)
}

/// The movement that enters what is missing, and the exception that says so.
fn cover_writes(scope: &TenantScope, sale: &OfflineSale<'_>, short: &Shortage, number: i64) -> [Write; 2] {
    let (order_id, sku) = (sale.cart.id.as_str(), short.sku.as_str());
    // Of a kit it is a component that is missing.
    let unit = sale.cart.lines_taking(sku).next().map_or_else(Unit::default, |(.., unit)| unit);
    let taker = Taker {
        beyond: sale.beyond,
        reference: order_id,
        order_id: Some(order_id),
        register_id: Some(sale.register_id),
        employee_id: sale.employee_id,
        at: sale.at,
        now: sale.now,
    };
    let missing = MissingStock {
        location_id: &sale.cart.store_id,
        sku,
        unit,
        requested: short.needed().thousandths(),
        available: short.found.map(|found| found.available),
        unsynced: short.is_unsynced(),
    };
    entry_writes(scope, &taker, &missing, number)
}
