//! Payments of a sale and refunds of a return.

use tillstream_contracts::pos::{AddPayment, PaymentReference, RefundTender};
use tillstream_domain::cart::{Cart, Outcome, PaymentInput};
use tillstream_domain::stored_value::StoredValueKind;

use super::cart_write::{Executed, change_cart};
use super::context::CommandContext;
use crate::error::Result;
use crate::fields::{text, typed_id};
use crate::ports::Ports;
use crate::stored_value::tender;

/// Longest reference of a terminal or provider, in characters.
const REFERENCE_CHARS_MAX: usize = 128;

/// `add_payment`.
///
/// # Errors
/// 422 for fields; 409 `overpaid`; the cart's own refusals; those of stored value, where the tender is.
pub async fn pay(ports: &Ports, context: &CommandContext, payload: AddPayment) -> Result<Executed> {
    if let Some(reference) = &payload.external_reference {
        text("payload.external_reference", reference, REFERENCE_CHARS_MAX)?;
    }
    if let Some(method) = &payload.entry_method {
        typed_id("payload.entry_method", method)?;
    }
    let input = PaymentInput {
        tender: payload.tender,
        amount: payload.amount,
        tip: payload.tip,
        external_reference: payload.external_reference,
        entry_method: payload.entry_method,
    };
    if let Some(kind) = tender::kind_of(ports, context, &input.tender).await? {
        return tender::pay(ports, context, &payload.cart_id, kind, input).await;
    }
    change_cart(ports, context, &payload.cart_id, Vec::new(), |cart, _| {
        let (number, change) = taken(context, cart, input.clone())?;
        Ok(Outcome::Payment { number, change })
    })
    .await
}

/// Takes a payment; what a register took while it was cut off it has, whatever is due here.
///
/// # Errors
/// The cart's own refusals; of a register that is not cut off 409 `overpaid`.
pub fn taken(context: &CommandContext, cart: &mut Cart, input: PaymentInput) -> Result<(u32, i64)> {
    let taken = if context.offline { cart.add_payment_taken(input) } else { cart.add_payment(input) };
    Ok(taken?)
}

/// `remove_payment`.
///
/// # Errors
/// 404 `payment_not_found`; 422 `too_many_payments` taken back; the cart's own refusals.
pub async fn take_back(
    ports: &Ports,
    context: &CommandContext,
    payload: PaymentReference,
) -> Result<Executed> {
    change_cart(ports, context, &payload.cart_id, Vec::new(), |cart, _| {
        let number = cart.remove_payment(&payload.payment_id)?;
        Ok(Outcome::Payment { number, change: 0 })
    })
    .await
}

/// `refund_tender`.
///
/// # Errors
/// 409 `overpaid`, `refund_above_paid`, `cash_not_in_coins`, of cash of a register that was cut off the second only;
/// 422 for fields; the cart's own refusals; those of stored value.
pub async fn refund(ports: &Ports, context: &CommandContext, payload: RefundTender) -> Result<Executed> {
    if let Some(reference) = &payload.external_reference {
        text("payload.external_reference", reference, REFERENCE_CHARS_MAX)?;
    }
    let input = PaymentInput {
        tender: payload.tender,
        amount: payload.amount,
        tip: None,
        external_reference: payload.external_reference,
        entry_method: None,
    };
    if let Some(kind) = StoredValueKind::of_tender(&input.tender) {
        return tender::refund(ports, context, &payload.return_id, kind, input).await;
    }
    change_cart(ports, context, &payload.return_id, Vec::new(), |cart, _| {
        let input = input.clone();
        let number = if context.offline { cart.refund_given(input)? } else { cart.refund(input)? };
        Ok(Outcome::Payment { number, change: 0 })
    })
    .await
}
