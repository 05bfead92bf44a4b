//! From the event on the stream to the fact that is folded.

use tillstream_contracts::events::{FactKind as EventKind, SALE_EVENT_VERSION, SaleEvent};
use tillstream_domain::aggregates::{FactKind, FactLine, FactPayment, SaleFact};

use crate::error::{Error, Result};

/// Reads an event.
///
/// # Errors
/// [`Error::Bug`] for bytes that are no event, or of a version that this build does not know: poison,
/// to be parked whole.
pub fn parse_event(data: &[u8]) -> Result<SaleEvent> {
    let event: SaleEvent = serde_json::from_slice(data).map_err(|error| {
        // Without serde's own words: they may quote personal data, and this goes to the log.
        let (kind, column) = (error.classify(), error.column());
        Error::Bug(format!("not a sale event: {kind:?} error at line {}, column {column}", error.line()))
    })?;
    check(&event)?;
    Ok(event)
}

/// Checks what the fold relies on.
///
/// # Errors
/// [`Error::Bug`] naming what is wrong.
pub fn check(event: &SaleEvent) -> Result<()> {
    if event.version != SALE_EVENT_VERSION {
        return Err(Error::Bug(format!(
            "sale event of version {}; this build reads {SALE_EVENT_VERSION}",
            event.version
        )));
    }
    if event.number == 0 {
        return Err(Error::bug("lane numbers begin at 1"));
    }
    if event.lane.store_id != event.store_id {
        return Err(Error::bug("the lane is of another store than the sale"));
    }
    Ok(())
}

/// The fact of an event that carries its lines.
///
/// # Errors
/// [`Error::Bug`] if it carries none.
pub fn fact_of(event: SaleEvent) -> Result<SaleFact> {
    let detail = event.detail.ok_or_else(|| Error::bug("a sale event without lines"))?;
    Ok(SaleFact {
        kind: match event.kind {
            EventKind::Sale => FactKind::Sale,
            EventKind::Return => FactKind::Return,
        },
        lane: event.lane,
        number: event.number,
        business_day: event.business_day,
        hour_start: event.hour_start,
        offset_seconds: event.offset_seconds,
        register_id: event.register_id,
        employee_id: event.employee_id,
        channel: event.channel,
        segment: event.segment,
        currency: event.currency,
        lines: detail
            .lines
            .into_iter()
            .map(|line| FactLine {
                sku: line.sku,
                category: line.category,
                quantity: line.quantity,
                gross: line.gross,
                discount: line.discount,
                tax: line.tax,
            })
            .collect(),
        payments: detail
            .payments
            .into_iter()
            .map(|p| FactPayment { tender: p.tender, amount: p.amount, tip: p.tip })
            .collect(),
    })
}
