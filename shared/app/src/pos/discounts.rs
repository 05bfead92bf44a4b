//! Discounts that an employee gives.

use tillstream_contracts::pos::{ApplyManualDiscount, DiscountKind, DiscountReference, DiscountValue};
use tillstream_domain::approval::{ApprovalAction, Binding, Goods, Off};
use tillstream_domain::cart::{ApprovedPart, Cart, CartError, CartKind, Outcome};
use tillstream_domain::money::{Currency, Money};
use tillstream_domain::pricing::{FallsOn, ManualDiscountKind, taken_of};

use super::cart_write::{Executed, change_cart};
use super::claims::Changed;
use super::context::CommandContext;
use super::returns::REASON_CHARS_MAX;
use crate::approvals::permission::Permission;
use crate::error::{Error, Refusal, Result};
use crate::fields::text;
use crate::ports::Ports;
use crate::tenant_rules::tenant_rules;

/// `apply_manual_discount`.
///
/// # Errors
/// 403 and 409 for its approval; 404 `line_not_found`; 409 `discount_above_total`,
/// `discount_takes_nothing_off`; 422 for fields; the cart's own refusals.
pub async fn give(ports: &Ports, context: &CommandContext, payload: ApplyManualDiscount) -> Result<Executed> {
    check_reason("payload.reason", &payload.reason)?;
    let approval_id = payload.approval_id.as_deref();
    let permission = Permission::of(ports, context, ApprovalAction::ManualDiscount, 0, approval_id).await?;
    let more = permission.get(context).into_iter().collect();
    let rules = tenant_rules(ports, &context.caller.scope, context.now).await?;
    let by = rules.priced_by(context.occurred_at);
    change_cart(ports, context, &payload.cart_id, more, |cart, more| {
        cart.require(CartKind::Sale)?;
        let kind = kind_of(cart, &payload)?;
        let by = by.for_cart(cart);
        let number = cart.give_discount(kind, payload.reason.clone(), &by)?;
        let falls_on = cart.falls_on(&by)?;
        let mut changed = Changed::from(Outcome::Discount(number));
        let approval = more.first().and_then(Option::as_ref);
        if let Some(grant) =
            permission.permit(context, approval, binding_of(cart, (number, kind), &falls_on))?
        {
            let part = match grant.maximum_goods() {
                Some(goods) => ApprovedPart::ShareOf { number, goods },
                None if kind.is_share() => {
                    ApprovedPart::ShareOf { number, goods: taken_of(&falls_on, number) }
                }
                None => ApprovedPart::Discount(number),
            };
            cart.approvals.record(grant.used_for(part))?;
            changed.claims.push(grant.claim(context, &cart.id, Some(format!("d-{number}")))?);
        } else if let Permission::Settings(settings) = &permission
            && settings.manual_discount.required
        {
            cart.allow_discount(number, settings.manual_discount, &falls_on)?;
        } else if permission == Permission::Role && rules.settings.approvals.manual_discount.required {
            cart.bind_share(number, &falls_on);
        }
        Ok(changed)
    })
    .await
}

/// Checks why a discount is given.
///
/// # Errors
/// 422 `reason_required`, `text_too_long`, `text_malformed`, `card_number_refused`.
pub fn check_reason(field: &str, reason: &str) -> Result<()> {
    text(field, reason, REASON_CHARS_MAX)?;
    if reason.trim().is_empty() {
        return Err(Refusal::field(field, "reason_required", "say why").into());
    }
    Ok(())
}

/// The discount of this number as an approval of it names it; of a share also what is left to pay of the goods that it
/// falls on.
pub fn binding_of(cart: &Cart, (number, kind): (u32, ManualDiscountKind), falls_on: &FallsOn) -> Binding {
    let off = match kind {
        ManualDiscountKind::PercentLine { bps, .. } | ManualDiscountKind::PercentCart { bps } => {
            Off::BasisPoints(bps)
        }
        ManualDiscountKind::FixedLine { amount, .. } | ManualDiscountKind::FixedCart { amount } => {
            Off::Amount(Money { amount, currency: cart.currency })
        }
    };
    let goods = kind.is_share().then(|| goods_in(cart, kind.line(), taken_of(falls_on, number)));
    Binding::ManualDiscount { cart_id: cart.id.clone(), line: kind.line(), off, goods }
}

/// Goods of a cart, or of one line of it, of which so much is left to pay, as a share of them is approved.
pub fn goods_in(cart: &Cart, line: Option<u32>, amount: i64) -> Goods {
    let of_line = cart.lines.iter().find(|one| Some(one.number) == line);
    let worth = Money { amount, currency: cart.currency };
    Goods { worth, sku: of_line.map(|one| one.sku.clone()) }
}

/// What is to be taken off.
///
/// # Errors
/// 422 `discount_value_invalid`, `line_required`, `line_not_expected`; the cart's own refusals.
fn kind_of(cart: &Cart, payload: &ApplyManualDiscount) -> Result<ManualDiscountKind> {
    let line = match (payload.kind, &payload.line_id) {
        (DiscountKind::PercentLine | DiscountKind::FixedLine, Some(line_id)) => {
            Some(cart.line(line_id)?.number)
        }
        (DiscountKind::PercentLine | DiscountKind::FixedLine, None) => {
            let message = "say which line it is taken off";
            return Err(Refusal::field("payload.line_id", "line_required", message).into());
        }
        (_, None) => None,
        (_, Some(_)) => {
            let message = "this kind is taken off the cart; for one line send percent_line or fixed_line";
            return Err(Refusal::field("payload.line_id", "line_not_expected", message).into());
        }
    };
    match (payload.kind, payload.value) {
        (DiscountKind::PercentCart | DiscountKind::PercentLine, DiscountValue::Amount(_)) => {
            Err(invalid_value("a percentage is a whole number of basis points (500 is 5 %)"))
        }
        (DiscountKind::FixedCart | DiscountKind::FixedLine, DiscountValue::BasisPoints(_)) => {
            Err(invalid_value("an amount off is money such as {\"amount\": 100, \"currency\": \"GBP\"}"))
        }
        (_, value) => taken_off(line, value, cart.currency),
    }
}

fn invalid_value(message: &str) -> Error {
    Refusal::field("payload.value", "discount_value_invalid", message).into()
}

/// What a value takes off: a share or an amount, off a line or all of them.
///
/// # Errors
/// 422 `discount_value_invalid`, `currency_mismatch`.
pub fn taken_off(line: Option<u32>, value: DiscountValue, currency: Currency) -> Result<ManualDiscountKind> {
    match value {
        DiscountValue::BasisPoints(bps) if !(1..=10_000).contains(&bps) => {
            Err(invalid_value("a percentage is 1 to 10000 basis points (10000 is all of it)"))
        }
        DiscountValue::BasisPoints(bps) => Ok(match line {
            Some(line) => ManualDiscountKind::PercentLine { line, bps },
            None => ManualDiscountKind::PercentCart { bps },
        }),
        DiscountValue::Amount(money) if money.currency != currency => {
            Err(CartError::CurrencyMismatch(currency).into())
        }
        DiscountValue::Amount(Money { amount: ..=0, .. }) => {
            Err(invalid_value("an amount off is above zero"))
        }
        DiscountValue::Amount(Money { amount, .. }) => Ok(match line {
            Some(line) => ManualDiscountKind::FixedLine { line, amount },
            None => ManualDiscountKind::FixedCart { amount },
        }),
    }
}

/// `remove_manual_discount`.
///
/// # Errors
/// 404 `discount_not_found`; the cart's own refusals.
pub async fn take_back(
    ports: &Ports,
    context: &CommandContext,
    payload: DiscountReference,
) -> Result<Executed> {
    let rules = tenant_rules(ports, &context.caller.scope, context.now).await?;
    let by = rules.priced_by(context.occurred_at);
    change_cart(ports, context, &payload.cart_id, Vec::new(), |cart, _| {
        let number = cart.take_discount_back(&payload.discount_id)?;
        cart.reprice(&by.for_cart(cart))?;
        Ok(Outcome::Discount(number))
    })
    .await
}
