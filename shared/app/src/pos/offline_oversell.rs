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

use jiff::Timestamp;
use tillstream_domain::cart::Cart;
use tillstream_domain::quantity::Unit;

use super::cart_write::lost_race;
use super::shortage::Shortage;
use crate::database::{Condition, Write};
use crate::error::Result;
use crate::ports::Ports;
use crate::stock::counters::{Delta, Movement, stock_update_at, unit_change};
use crate::stock::exceptions::{Oversold, oversold_id, oversold_write};
use crate::stock::layout::{LAYOUT_WHOLE, Place};
use crate::stock::split::make_whole;
use crate::tenancy::TenantScope;

/// Kind of the movement that enters what was missing.
pub const DISCREPANCY: &str = "discrepancy";

/// Most SKUs covered in one transaction: two actions each, beside what the cover stands on.
const COVERED_AT_ONCE: usize = 45;

/// A sale that was made while its register was cut off.
#[derive(Debug, Clone, Copy)]
pub struct OfflineSale<'a> {
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
    let (order_id, location_id) = (sale.cart.id.as_str(), sale.cart.store_id.as_str());
    let sku = short.sku.as_str();
    let unit = sale.cart.lines_taking(sku).next().map_or_else(Unit::default, |(.., unit)| unit);
    let missing = short.requested.thousandths() - short.found.map_or(0, |found| found.available);
    let movement = Movement {
        kind: DISCREPANCY,
        reference: oversold_id(order_id, sku),
        actor: sale.employee_id.to_owned(),
        at: sale.at,
        reason: Some(format!("sold offline by {order_id}")),
    };
    let as_found = match short.found {
        None => vec![Condition::NotExists],
        Some(found) => vec![
            Condition::Eq("available", found.available.into()),
            Condition::Eq("layout", LAYOUT_WHOLE.into()),
        ],
    };
    let delta = Delta { on_hand: missing, ..Delta::default() };
    let what = (location_id, sku, Place::First);
    let stock = stock_update_at(scope, what, delta, &movement, as_found, vec![unit_change(unit)]);
    let oversold = Oversold {
        order_id,
        register_id: sale.register_id,
        employee_id: sale.employee_id,
        location_id,
        sku,
        unit,
        quantity: missing,
        at: sale.at,
        now: sale.now,
        number,
    };
    [stock, oversold_write(scope, &oversold)]
}
