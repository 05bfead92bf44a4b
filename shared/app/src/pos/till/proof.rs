//! Proving a report: the orders of a shift's receipt numbers, summed, against the shift's figures.
//!
//! Closing reads no order; it takes the difference of two states of the lane. Here the same figures are
//! worked out from the orders as they are stored, one by one.

use tillstream_contracts::till::{FigureDifference, ShiftProof};
use tillstream_domain::till::{LaneMark, LaneTotals, ReceiptRange, Shift};

use super::read::find;
use super::view::receipt_ranges;
use crate::database::{Consistency, Get, Index, Key, Query, Range, Table};
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::pos::cart_item::cart_of;
use crate::tenancy::{Caller, TenantScope};

/// Most receipts that one answer proves: orders of a few kilobytes, read within a request's time.
pub const RECEIPTS_MAX: u64 = 5_000;

/// Orders read at once.
const READ_AT_ONCE: usize = 100;

/// Proves the report of a shift in the caller's reach; of an open one as of now.
///
/// # Errors
/// 404 `shift_not_found`; 409 `too_many_receipts`; 403; 422.
pub async fn of_shift(ports: &Ports, caller: &Caller, shift_id: &str) -> Result<ShiftProof> {
    let (shift, lane) = find(ports, caller, shift_id).await?;
    prove(ports, &caller.scope, &shift, &lane.mark()).await
}

/// Proves a shift's figures, its lane being at `lane` where it goes on.
///
/// # Errors
/// 409 `too_many_receipts`; [`Error::Retryable`]; a bug if an order cannot be read.
pub async fn prove(ports: &Ports, scope: &TenantScope, shift: &Shift, lane: &LaneMark) -> Result<ShiftProof> {
    let lane = shift.closing.as_ref().map_or(lane, |closing| &closing.lane);
    let figures = shift.figures(lane);
    let mut missing = Vec::new();
    let (mut totals, mut orders) = (LaneTotals::default(), 0);
    let receipts =
        figures.ranges.iter().map(|range| range.last - range.first + 1).fold(0, u64::saturating_add);
    if receipts > RECEIPTS_MAX {
        let detail = format!("the shift has {receipts} receipts; {RECEIPTS_MAX} can be proved");
        return Err(Refusal::conflict("too_many_receipts", detail).into());
    }
    // Of a shift that a restore from backup fell into, the numbers of both epochs.
    for ReceiptRange { epoch, first, last } in figures.ranges.iter().copied() {
        let found = numbers(ports, scope, shift, epoch, (first, last)).await?;
        for chunk in found.chunks(READ_AT_ONCE) {
            let gets = chunk.iter().map(|(_, key)| Get {
                table: Table::Orders,
                key: key.clone(),
                consistency: Consistency::Strong,
            });
            for item in ports.database.get_many(gets.collect()).await?.iter().flatten() {
                totals = totals.plus(&LaneTotals::of_cart(&cart_of(item)?).map_err(Error::bug)?);
                orders += 1;
            }
        }
        let mut numbers = found.iter().map(|(number, _)| *number).peekable();
        for number in first..=last {
            if numbers.next_if_eq(&number).is_none() {
                missing.push(number);
            }
        }
    }
    let differences = differences(&figures.totals, &totals);
    Ok(ShiftProof {
        shift_id: shift.id.clone(),
        first_receipt: figures.receipts.map(|(first, _)| first),
        last_receipt: figures.receipts.map(|(_, last)| last),
        receipts: receipt_ranges(&figures.ranges),
        orders,
        proved: missing.is_empty() && differences.is_empty(),
        missing,
        differences,
    })
}

/// The orders of a lane's numbers, ascending.
async fn numbers(
    ports: &Ports,
    scope: &TenantScope,
    shift: &Shift,
    epoch: u32,
    (first, last): (u64, u64),
) -> Result<Vec<(u64, Key)>> {
    let number = |number: u64| i64::try_from(number).map_err(Error::bug);
    let partition = scope.lane_orders(&shift.store_id, &shift.register_id, epoch);
    let mut query = Query {
        range: Range::Numbers(number(first)?, number(last)?),
        ..Query::index(Table::Orders, Index::ByLane, partition)
    };
    let mut found = Vec::new();
    loop {
        let page = ports.database.query(query.clone()).await?;
        for item in &page.items {
            let number = u64::try_from(item.number("lane_number")?).map_err(Error::bug)?;
            found.push((number, Key::of(item)?));
        }
        match page.next {
            Some(next) => query.start = Some(next),
            None => return Ok(found),
        }
    }
}

/// Figures that differ, by name.
fn differences(shift: &LaneTotals, orders: &LaneTotals) -> Vec<FigureDifference> {
    let mut pairs = vec![
        ("sales_count".to_owned(), shift.sales, orders.sales),
        ("sales_total".to_owned(), shift.sales_total, orders.sales_total),
        ("returns_count".to_owned(), shift.returns, orders.returns),
        ("returns_total".to_owned(), shift.returns_total, orders.returns_total),
        ("discounts".to_owned(), shift.discounts, orders.discounts),
        ("tax".to_owned(), shift.tax, orders.tax),
        ("returns_tax".to_owned(), shift.returns_tax, orders.returns_tax),
        ("tips".to_owned(), shift.tips, orders.tips),
        ("cash_tips".to_owned(), shift.cash_tips, orders.cash_tips),
        ("cash_rounding".to_owned(), shift.cash_rounding, orders.cash_rounding),
    ];
    let both = shift.plus(orders);
    for tender in both.tenders.keys() {
        let (a, b) = (shift.tender(tender), orders.tender(tender));
        pairs.extend([
            (format!("tenders.{tender}.payments_count"), a.payments, b.payments),
            (format!("tenders.{tender}.payments"), a.paid, b.paid),
            (format!("tenders.{tender}.refunds_count"), a.refunds, b.refunds),
            (format!("tenders.{tender}.refunds"), a.refunded, b.refunded),
        ]);
    }
    let differ = pairs.into_iter().filter(|(_, shift, orders)| shift != orders);
    differ.map(|(figure, shift, orders)| FigureDifference { figure, shift, orders }).collect()
}
