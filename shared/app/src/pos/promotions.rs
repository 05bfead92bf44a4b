//! Coupons and promotions that are applied by hand.

use tillstream_contracts::pos::{CouponReference, PromoReference};
use tillstream_domain::cart::{AppliedCoupon, Cart, CartKind, Outcome, PricedBy};
use tillstream_domain::coupon::CouponDefinition;
use tillstream_domain::use_counting::Counting;

use super::cart_write::{Executed, change_cart};
use super::context::CommandContext;
use super::limited_uses::{coupon_use_get, coupon_uses_left};
use crate::catalog::items::{catalog_get, coupon_of};
use crate::catalog::use_counting::counting_of;
use crate::database::Item;
use crate::error::{Refusal, Result};
use crate::fields::id;
use crate::ports::Ports;
use crate::tenant_rules::tenant_rules;

/// `apply_coupon`.
///
/// # Errors
/// 404 `coupon_not_found`; 409 `coupon_not_valid`, `coupon_needs_customer`, `coupon_limit_reached`,
/// `coupon_already_applied`; the cart's own refusals.
pub async fn apply_coupon(
    ports: &Ports,
    context: &CommandContext,
    payload: CouponReference,
) -> Result<Executed> {
    let code = payload.coupon_code.as_str();
    id("payload.coupon_code", code)?;
    let scope = &context.caller.scope;
    let rules = tenant_rules(ports, scope, context.now).await?;
    let by = rules.priced_by(context.occurred_at);
    // Only what the first part of its counter says: whether it is used up is decided when the sale is final.
    let more = vec![catalog_get(scope.coupon(code)), coupon_use_get(scope, code)];
    change_cart(ports, context, &payload.cart_id, more, |cart, more| {
        cart.require(CartKind::Sale)?;
        let by = by.for_cart(cart);
        let at = |position: usize| more.get(position).and_then(Option::as_ref);
        redeem(cart, code, (at(0), at(1)), context)?;
        cart.reprice(&by)?;
        Ok(Outcome::Done)
    })
    .await
}

/// Puts a coupon on a sale, from its item and the first part of its counter. The lines are to be priced anew.
///
/// # Errors
/// Those of [`apply_coupon`].
pub fn redeem(
    cart: &mut Cart,
    code: &str,
    (coupon, counter): (Option<&Item>, Option<&Item>),
    context: &CommandContext,
) -> Result<()> {
    let definition = coupon_of(coupon)?.ok_or_else(|| {
        let detail = format!("there is no coupon {code}");
        Refusal::not_found("coupon_not_found", detail.clone()).with_error(
            "payload.coupon_code",
            "coupon_not_found",
            detail,
        )
    })?;
    let counting = counting_of(coupon);
    check_coupon(cart, (&definition, counting), counter, context)?;
    cart.apply_coupon(AppliedCoupon {
        total_limit: definition.total_limit,
        per_customer_limit: definition.per_customer_limit,
        coupon: definition.coupon,
    })?;
    cart.terms.countings.set_coupon(code, counting);
    Ok(())
}

/// Refuses a coupon that cannot be redeemed now. One for which the cart is not right yet is taken: it says in
/// the cart why it takes nothing off, and what is added may change that.
fn check_coupon(
    cart: &Cart,
    (definition, counting): (&CouponDefinition, Counting),
    counter: Option<&Item>,
    context: &CommandContext,
) -> Result<()> {
    let coupon = &definition.coupon;
    // Nothing of a cart happened before it was opened.
    let at = context.occurred_at.max(cart.opened_at);
    if coupon.valid_from.is_some_and(|from| at < from) {
        return Err(Refusal::conflict("coupon_not_valid", "the coupon is not valid yet").into());
    }
    if coupon.valid_to.is_some_and(|to| at >= to) {
        return Err(Refusal::conflict("coupon_expired", "the coupon has expired").into());
    }
    if coupon.currency.is_some_and(|currency| currency != cart.currency) {
        let detail = format!("the coupon is not in {}", cart.currency);
        return Err(Refusal::conflict("coupon_not_valid", detail).into());
    }
    if definition.per_customer_limit.is_some() && cart.customer_id.is_none() {
        let detail = "so many a customer: set the customer first";
        return Err(Refusal::conflict("coupon_needs_customer", detail).into());
    }
    match definition.total_limit {
        Some(limit) if !context.uses_above_limit && coupon_uses_left(limit, counting, counter) == 0 => {
            Err(Refusal::conflict("coupon_limit_reached", "the coupon is used up").into())
        }
        _ => Ok(()),
    }
}

/// `remove_coupon`.
///
/// # Errors
/// 404 `coupon_not_applied`; 409 `payments_present`; of a cart that is being paid 403 `approval_required`,
/// `approval_does_not_match` where discounts come to more without it than may be given; the cart's own refusals.
pub async fn remove_coupon(
    ports: &Ports,
    context: &CommandContext,
    payload: CouponReference,
) -> Result<Executed> {
    id("payload.coupon_code", &payload.coupon_code)?;
    let rules = tenant_rules(ports, &context.caller.scope, context.now).await?;
    let by = rules.priced_by(context.occurred_at);
    change_cart(ports, context, &payload.cart_id, Vec::new(), |cart, _| {
        let by = by.for_cart(cart);
        cart.remove_coupon(&payload.coupon_code, &by)?;
        context.check_discounts(cart, &by)?;
        Ok(Outcome::Done)
    })
    .await
}

/// `apply_promo`.
///
/// # Errors
/// 404 `promotion_not_found`; 409 `promotion_expired`, `promotion_not_valid`; the cart's own refusals.
pub async fn apply_promo(
    ports: &Ports,
    context: &CommandContext,
    payload: PromoReference,
) -> Result<Executed> {
    let wanted = payload.promo_id.as_str();
    id("payload.promo_id", wanted)?;
    let rules = tenant_rules(ports, &context.caller.scope, context.now).await?;
    let by = rules.priced_by(context.occurred_at);
    change_cart(ports, context, &payload.cart_id, Vec::new(), |cart, _| {
        cart.require(CartKind::Sale)?;
        let by = by.for_cart(cart);
        request(cart, wanted, &by)?;
        cart.reprice(&by)?;
        Ok(Outcome::Done)
    })
    .await
}

/// Applies a promotion to a sale by hand. The lines are to be priced anew.
///
/// # Errors
/// Those of [`apply_promo`].
pub fn request(cart: &mut Cart, wanted: &str, by: &PricedBy<'_>) -> Result<()> {
    let promotion = by.rules.promotions.iter().find(|promotion| promotion.id == wanted).ok_or_else(|| {
        let detail = format!("there is no promotion {wanted}");
        Refusal::not_found("promotion_not_found", detail.clone()).with_error(
            "payload.promo_id",
            "promotion_not_found",
            detail,
        )
    })?;
    let conditions = &promotion.conditions;
    if conditions.valid_to.is_some_and(|to| by.at >= to) {
        return Err(Refusal::conflict("promotion_expired", "the promotion has ended").into());
    }
    if conditions.valid_from.is_some_and(|from| by.at < from) {
        return Err(Refusal::conflict("promotion_not_valid", "the promotion has not begun").into());
    }
    Ok(cart.apply_promotion(wanted, promotion.automatic)?)
}

/// `remove_promo`: also takes off one that applied by itself.
///
/// # Errors
/// 404 `promotion_not_applied`; 409 `payments_present`; of a cart that is being paid 403 `approval_required`,
/// `approval_does_not_match` where discounts come to more without it than may be given; the cart's own refusals.
pub async fn remove_promo(
    ports: &Ports,
    context: &CommandContext,
    payload: PromoReference,
) -> Result<Executed> {
    id("payload.promo_id", &payload.promo_id)?;
    let rules = tenant_rules(ports, &context.caller.scope, context.now).await?;
    let by = rules.priced_by(context.occurred_at);
    change_cart(ports, context, &payload.cart_id, Vec::new(), |cart, _| {
        let by = by.for_cart(cart);
        cart.remove_promotion(&payload.promo_id, &by)?;
        context.check_discounts(cart, &by)?;
        Ok(Outcome::Done)
    })
    .await
}
