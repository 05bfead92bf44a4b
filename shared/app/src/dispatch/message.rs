//! The message to HQ, made from the order or the closed shift; or as it was when it happened, where the delivery has it.

use tillstream_contracts::hq::{
    HQ_MESSAGE_VERSION, HqChange, HqComponent, HqDiscount, HqEvent, HqLine, HqMessage, HqOrderMessage,
    HqPayment, HqRecorded, HqReturn, HqShiftEvent, HqShiftMessage, HqTax, HqTotals,
};
use tillstream_domain::cart::{Cart, CartKind, Line, Payment};
use tillstream_domain::money::Money;
use tillstream_domain::quantity::{Quantity, Unit};

use crate::database::{Consistency, Get, Item, Table};
use crate::dispatch::delivery::Delivery;
use crate::dispatch::subject::shift_in;
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::pos::cart_item::cart_of;
use crate::pos::till::shift_item::{shift_get, shift_of};
use crate::pos::till::view::closed_shift;
use crate::stored_value::shown_reference;

/// Why a message could not be made: a fault of the delivery's own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// There is no such order.
    #[error("order_missing: there is no order {0}")]
    Missing(String),
    /// The order has not reached this version: nothing uncommitted is sent.
    #[error("order_not_final: the order is at version {is}, the delivery is of version {wanted}")]
    NotFinal {
        /// Version of the order; 0 while it is not final.
        is: u32,
        /// Version of the delivery.
        wanted: u32,
    },
    /// The order cannot be read.
    #[error("order_unreadable: {0}")]
    Unreadable(String),
}

/// Reads the order or shift and makes the message.
///
/// # Errors
/// The outer result fails where the database is away, the inner where the message cannot be made.
pub async fn read_message(ports: &Ports, delivery: &Delivery) -> Result<Result<HqMessage, Unsendable>> {
    if let Some(payload) = &delivery.payload {
        let unreadable = |error: serde_json::Error| Unsendable::Unreadable(error.to_string());
        return Ok(serde_json::from_str(payload).map_err(unreadable));
    }
    if let Some(shift_id) = shift_in(&delivery.order_id) {
        let item = ports.database.get(shift_get(&delivery.scope, shift_id)).await?;
        return Ok(shift_message(delivery, item.as_ref()).map(|message| HqMessage::Shift(Box::new(message))));
    }
    let key = delivery.scope.cart(&delivery.order_id);
    let item =
        ports.database.get(Get { table: Table::Orders, key, consistency: Consistency::Strong }).await?;
    let Some(item) = item else {
        return Ok(Err(Unsendable::Missing(delivery.order_id.clone())));
    };
    Ok(match cart_of(&item) {
        Ok(cart) => order_message(delivery, &cart).map(|message| HqMessage::Order(Box::new(message))),
        Err(error) => Err(Unsendable::Unreadable(error.to_string())),
    })
}

/// The message of a closed shift: what was answered when it was closed, for ever the same.
fn shift_message(delivery: &Delivery, item: Option<&Item>) -> Result<HqShiftMessage, Unsendable> {
    let item = item.ok_or_else(|| Unsendable::Missing(delivery.order_id.clone()))?;
    let shift = shift_of(item).map_err(|error| Unsendable::Unreadable(error.to_string()))?;
    Ok(HqShiftMessage {
        version: HQ_MESSAGE_VERSION,
        event: HqShiftEvent::ShiftClosed,
        tenant_id: delivery.scope.tenant_id().to_owned(),
        lane: delivery.lane_number.lane.to_string(),
        shift: closed_shift(&shift).ok_or(Unsendable::NotFinal { is: 0, wanted: delivery.order_version })?,
    })
}

fn discounts_of(cart: &Cart, line: u32) -> Vec<HqDiscount> {
    cart.charges
        .of_line(line)
        .map(|(head, amount)| {
            let (kind, id) = head.kind_and_id();
            let amount = Money { amount, currency: cart.currency };
            HqDiscount { kind: kind.to_owned(), id, name: head.name.clone(), amount }
        })
        .collect()
}

fn taxes_of(cart: &Cart, line: u32) -> Vec<HqTax> {
    cart.charges
        .taxes_of_line(line)
        .map(|tax| HqTax {
            id: tax.head.id.clone(),
            version: tax.head.version,
            name: tax.head.name.clone(),
            rate_bps: tax.head.rate_bps,
            included: tax.head.included,
            amount: Money { amount: tax.amount, currency: cart.currency },
        })
        .collect()
}

fn modifiers_of(cart: &Cart, line: u32) -> Vec<String> {
    let modifiers = cart.terms.lines.get(&line).map(|terms| terms.modifiers.iter());
    modifiers.into_iter().flatten().map(|modifier| modifier.name.clone()).collect()
}

fn components_of(cart: &Cart, line: &Line) -> Vec<HqComponent> {
    let component = |(sku, quantity, unit): (&str, Quantity, Unit)| HqComponent {
        sku: sku.to_owned(),
        quantity: quantity.display(unit),
        unit,
    };
    cart.components_of(line).map(component).collect()
}

/// Makes the message of a delivery. It holds nothing that may change after the sale but the status,
/// and that is the one of the delivery's version: sent again, it is the same to the byte.
///
/// # Errors
/// [`Unsendable`].
pub fn order_message(delivery: &Delivery, cart: &Cart) -> Result<HqOrderMessage, Unsendable> {
    let wanted = delivery.order_version;
    let done = match &cart.finalized {
        Some(done) if done.order_version >= wanted => done,
        other => {
            return Err(Unsendable::NotFinal { is: other.as_ref().map_or(0, |d| d.order_version), wanted });
        }
    };
    let unreadable = |error: Error| Unsendable::Unreadable(error.to_string());
    let money = |amount| Money { amount, currency: cart.currency };
    let totals = cart.totals().map_err(Error::bug).map_err(unreadable)?;
    let lines = cart
        .lines
        .iter()
        .map(|line| {
            Ok(HqLine {
                line_id: line.id(),
                sku: line.sku.clone(),
                name: line.name.clone(),
                category: line.category.clone(),
                quantity: line.quantity.display(line.unit),
                unit: line.unit,
                unit_price: line.unit_price,
                price_overridden: line.price_overridden,
                gross: money(cart.line_amounts(line).map_err(Error::bug)?.gross),
                discounts: discounts_of(cart, line.number),
                taxes: taxes_of(cart, line.number),
                modifiers: modifiers_of(cart, line.number),
                components: components_of(cart, line),
                notes: line.notes.clone(),
                disposition: line.returned.as_ref().map(|returned| returned.disposition),
                original_line_id: line
                    .returned
                    .as_ref()
                    .and_then(|returned| returned.original_line)
                    .map(|number| format!("l-{number}")),
            })
        })
        .collect::<Result<Vec<_>>>()
        .map_err(unreadable)?;
    let payment = |payment: &Payment| HqPayment {
        payment_id: payment.id(),
        tender: payment.tender.clone(),
        amount: money(payment.amount),
        change: money(payment.change),
        tip: money(payment.tip),
        external_reference: shown_reference(cart, payment),
        entry_method: payment.entry_method.clone(),
    };
    let payments = cart.payments.iter().map(payment).collect();
    // Entries of the history are only added, so that of a version stays as it is.
    let change = cart.course.history.iter().find(|change| change.order_version == wanted);
    Ok(HqOrderMessage {
        version: HQ_MESSAGE_VERSION,
        event: match (cart.kind, wanted) {
            (CartKind::Sale, 1) => HqEvent::OrderCompleted,
            (CartKind::Sale, _) => HqEvent::OrderChanged,
            (CartKind::Return, 1) => HqEvent::ReturnCompleted,
            (CartKind::Return, _) => HqEvent::ReturnChanged,
        },
        tenant_id: delivery.scope.tenant_id().to_owned(),
        order_id: cart.id.clone(),
        recorded: cart.course.recorded.as_ref().map(|recorded| HqRecorded {
            register_id: recorded.register_id.clone(),
            receipt_reference: recorded.receipt_reference.clone(),
        }),
        exchange_with: cart.course.exchange.as_ref().map(|exchange| exchange.with.clone()),
        order_version: wanted,
        status: delivery.order_status.clone(),
        receipt_number: done.number.number,
        receipt_epoch: done.number.raised_epoch(),
        lane: done.number.lane.to_string(),
        store_id: cart.store_id.clone(),
        register_id: done.number.lane.register_id.clone(),
        channel: cart.channel.clone(),
        region: cart.region.clone(),
        employee_id: cart.employee_id.clone(),
        customer_id: cart.customer_id.clone(),
        opened_at: cart.opened_at,
        completed_at: done.at,
        business_day: done.business_day,
        offset_seconds: done.offset_seconds,
        lines,
        payments,
        totals: HqTotals {
            subtotal: money(totals.subtotal),
            discount: money(totals.discount),
            tax: money(totals.tax),
            tips: money(totals.tips),
            total: money(totals.total),
            paid: money(totals.paid),
            change: money(totals.change),
            cash_rounding: (totals.cash_rounding != 0).then(|| money(totals.cash_rounding)),
        },
        return_of: cart.return_of.as_ref().map(|head| HqReturn {
            reason: head.reason.clone(),
            original_order_id: head.original.as_ref().map(|sale| sale.order_id.clone()),
            undoes: cart.course.undoes.map(|undoing| undoing.status().name().to_owned()),
        }),
        change: change.map(|change| HqChange {
            from: change.from.name().to_owned(),
            at: change.at,
            by: change.by.clone(),
            reason: change.reason.clone(),
            carrier: change.tracking.as_ref().and_then(|tracking| tracking.carrier.clone()),
            tracking_number: change.tracking.as_ref().map(|tracking| tracking.number.clone()),
            payments: change.settled.iter().map(payment).collect(),
            undone_by: change.undone_by.clone(),
        }),
    })
}
