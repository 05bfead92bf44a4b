//! What a final cart tells the world: the event on the sales stream.

use tillstream_contracts::events::{
    EVENT_BYTES_MAX, FactKind, SALE_EVENT_VERSION, SaleDetail, SaleEvent, SaleLine, SalePayment,
};
use tillstream_domain::cart::{Cart, CartKind};

use crate::error::{Error, Result};
use crate::ports::StreamRecord;
use crate::tenancy::TenantScope;

/// The event of a final cart, with its detail.
///
/// # Errors
/// A bug if the cart is not final or its sums leave the accepted range.
pub fn sale_event(scope: &TenantScope, cart: &Cart) -> Result<SaleEvent> {
    let done = cart.finalized.as_ref().ok_or_else(|| Error::Bug(format!("cart {} is not final", cart.id)))?;
    let mut lines = Vec::with_capacity(cart.lines.len());
    for line in &cart.lines {
        let amounts = cart.line_amounts(line).map_err(Error::bug)?;
        lines.push(SaleLine {
            sku: line.sku.clone(),
            category: line.category.clone(),
            quantity: line.quantity,
            gross: amounts.gross,
            discount: amounts.discount,
            tax: amounts.tax,
        });
    }
    let payments = cart
        .payments
        .iter()
        .map(|p| SalePayment { tender: p.tender.clone(), amount: p.amount - p.change, tip: p.tip })
        .collect();
    Ok(SaleEvent {
        version: SALE_EVENT_VERSION,
        kind: match cart.kind {
            CartKind::Sale => FactKind::Sale,
            CartKind::Return => FactKind::Return,
        },
        tenant_id: scope.tenant_id().to_owned(),
        order_id: cart.id.clone(),
        order_version: done.order_version,
        lane: done.number.lane.clone(),
        number: done.number.number,
        occurred_at: done.at,
        business_day: done.business_day,
        hour_start: done.hour_start,
        offset_seconds: done.offset_seconds,
        store_id: cart.store_id.clone(),
        register_id: done.number.lane.register_id.clone(),
        employee_id: cart.employee_id.clone(),
        channel: cart.channel.clone(),
        segment: cart.terms.customer.segments.first().cloned(),
        region: cart.region.clone(),
        currency: cart.currency,
        detail: Some(SaleDetail { lines, payments }),
    })
}

/// The event as a record of the stream; without its detail where it would be too large.
///
/// # Errors
/// A bug if it cannot be JSON.
pub fn stream_record(mut event: SaleEvent) -> Result<StreamRecord> {
    let mut data = serde_json::to_vec(&event).map_err(Error::bug)?;
    if data.len() > EVENT_BYTES_MAX {
        event.detail = None;
        data = serde_json::to_vec(&event).map_err(Error::bug)?;
    }
    Ok(StreamRecord { partition_key: event.partition_key(), data })
}
