//! What can be checked of an order by itself, before anything is read.

use tillstream_contracts::orders::PlaceOrder;
use tillstream_domain::cart::LINES_MAX;
use tillstream_domain::pricing::{COUPONS_MAX, REQUESTED_PROMOTIONS_MAX};

use super::discounts;
use crate::error::{Refusal, Result};
use crate::fields::{TEXT_CHARS_MAX, id, sku as check_sku, text, typed_id};
use crate::pos::undo::new_order_id;

/// Longest reference of a provider, in characters.
const REFERENCE_CHARS_MAX: usize = 128;

/// Checks what can be checked of an order by itself.
///
/// # Errors
/// 422 for fields; 409 `coupon_already_applied`, `approval_used`.
pub(super) fn check(order: &PlaceOrder) -> Result<()> {
    if let Some(order_id) = &order.order_id {
        new_order_id("order_id", order_id)?;
    }
    id("store_id", &order.store_id)?;
    typed_id("channel", &order.channel)?;
    if let Some(customer_id) = &order.customer_id {
        typed_id("customer_id", customer_id)?;
    }
    if let Some(reservation_id) = &order.reservation_id {
        id("reservation_id", reservation_id)?;
    }
    if order.lines.is_empty() {
        return Err(Refusal::field("lines", "lines_required", "an order has at least one line").into());
    }
    bounded("lines", "too_many_lines", order.lines.len(), LINES_MAX)?;
    for (position, line) in order.lines.iter().enumerate() {
        check_sku(&format!("lines[{position}].sku"), &line.sku)?;
        if let Some(notes) = &line.notes {
            text(&format!("lines[{position}].notes"), notes, TEXT_CHARS_MAX)?;
        }
        if let Some(lot) = &line.lot {
            typed_id(&format!("lines[{position}].lot"), lot)?;
        }
    }
    bounded("coupons", "too_many_coupons", order.coupons.len(), COUPONS_MAX)?;
    for (position, code) in order.coupons.iter().enumerate() {
        let field = format!("coupons[{position}]");
        id(&field, code)?;
        if order.coupons.iter().take(position).any(|before| before == code) {
            let detail = format!("coupon {code} is named before");
            let refusal = Refusal::conflict("coupon_already_applied", detail.clone());
            return Err(refusal.with_error(field, "coupon_already_applied", detail).into());
        }
    }
    bounded("promotions", "too_many_promotions", order.promotions.len(), REQUESTED_PROMOTIONS_MAX)?;
    for (position, promotion) in order.promotions.iter().enumerate() {
        id(&format!("promotions[{position}]"), promotion)?;
    }
    discounts::check(order)?;
    for (position, payment) in order.payments.iter().enumerate() {
        let Some(tip) = payment.tip else { continue };
        let field = format!("payments[{position}].tip");
        if tip.amount < 0 {
            return Err(Refusal::field(field, "amount_not_positive", "a tip is not below zero").into());
        }
        if tip.currency != payment.amount.currency {
            let message = format!("the payment is in {}", payment.amount.currency);
            return Err(Refusal::field(field, "currency_mismatch", message).into());
        }
    }
    check_references(order.payments.iter().map(|payment| payment.external_reference.as_deref()))
}

fn bounded(field: &str, code: &'static str, count: usize, most: usize) -> Result<()> {
    if count <= most {
        return Ok(());
    }
    Err(Refusal::field(field, code, format!("an order has at most {most} {field}")).into())
}

/// Checks the references of payments.
///
/// # Errors
/// 422 `text_too_long`, `text_malformed`, `card_number_refused`.
pub(super) fn check_references<'a>(references: impl Iterator<Item = Option<&'a str>>) -> Result<()> {
    for (position, reference) in references.enumerate() {
        if let Some(reference) = reference {
            text(&format!("payments[{position}].external_reference"), reference, REFERENCE_CHARS_MAX)?;
        }
    }
    Ok(())
}
