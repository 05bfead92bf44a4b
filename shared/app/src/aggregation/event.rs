//! From the event on the stream to the fact that is folded.

use tillstream_contracts::events::{FactKind as EventKind, SALE_EVENT_VERSION, SaleDetail, SaleEvent};
use tillstream_domain::aggregates::{FactKind, FactLine, FactPayment, SaleFact};
use tillstream_domain::money::AMOUNT_MAX;
use tillstream_domain::quantity::Quantity;

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
    if !event.detail.as_ref().is_none_or(in_range) {
        return Err(Error::bug("an amount or a quantity is beyond what is accepted"));
    }
    Ok(())
}

/// Whether every number is one that a sale can have: the sums of the fold are bounded by these.
fn in_range(detail: &SaleDetail) -> bool {
    let lines = detail.lines.iter().flat_map(|line| [line.gross, line.discount, line.tax]);
    let payments = detail.payments.iter().flat_map(|payment| [payment.amount, payment.tip]);
    let amount = |amount: i64| amount.unsigned_abs() <= AMOUNT_MAX.unsigned_abs();
    lines.chain(payments).all(amount)
        && detail.lines.iter().all(|line| Quantity::from_thousandths(line.quantity.thousandths()).is_ok())
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event(line: &Value, payment: &Value) -> Vec<u8> {
        let event = json!({
            "version": 1, "kind": "sale", "tenant_id": "demo", "order_id": "o-1", "order_version": 1,
            "lane": "s-1/r-1", "number": 1, "occurred_at": "2010-12-01T08:26:00Z",
            "business_day": "2010-12-01", "hour_start": "2010-12-01T08:00:00Z", "offset_seconds": 0,
            "store_id": "s-1", "register_id": "r-1", "employee_id": "e-1", "channel": "pos",
            "currency": "GBP", "detail": {"lines": [line], "payments": [payment]},
        });
        event.to_string().into_bytes()
    }

    #[test]
    fn numbers_that_no_sale_can_have_are_refused() {
        let line = json!({"sku": "X", "quantity": 1_000, "gross": 255, "discount": 0, "tax": 0});
        let payment = json!({"tender": "cash", "amount": 255, "tip": 0});
        assert!(parse_event(&event(&line, &payment)).is_ok());
        for (field, most) in [
            ("quantity", 1_000_000_000_i64),
            ("gross", AMOUNT_MAX),
            ("discount", AMOUNT_MAX),
            ("tax", AMOUNT_MAX),
        ] {
            for (number, good) in [(most, true), (-most, true), (most + 1, false), (i64::MIN, false)] {
                let mut line = line.clone();
                line[field] = number.into();
                assert_eq!(parse_event(&event(&line, &payment)).is_ok(), good, "{field} {number}");
            }
        }
        for field in ["amount", "tip"] {
            for (number, good) in [(AMOUNT_MAX, true), (AMOUNT_MAX + 1, false), (i64::MIN, false)] {
                let mut payment = payment.clone();
                payment[field] = number.into();
                assert_eq!(parse_event(&event(&line, &payment)).is_ok(), good, "{field} {number}");
            }
        }
    }
}
