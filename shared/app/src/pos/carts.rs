//! Opening, naming and giving up carts.

use tillstream_contracts::pos::{CartReference, CreateCart, SetCustomer};
use tillstream_domain::cart::{
    Applied, Approvals, Cart, CartHolds, CartKind, CartState, Charges, Course, CustomerTerms, Kits, Lots,
    NumbersUsed, Outcome, SaleTerms,
};
use tillstream_domain::location::Location;

use super::cart_holding::CartHolding;
use super::cart_holds::give_back_rest;
use super::cart_item::cart_of;
use super::cart_write::{Executed, Reach, cart_get, change_cart, change_cart_in_reach, create_cart, replay};
use super::claims::Changed;
use super::context::CommandContext;
use super::identity::derived_id;
use super::limited_uses::LimitedPromotions;
use super::returns::REASON_CHARS_MAX;
use super::undo::new_order_id;
use crate::catalog::items::{catalog_get, customer_of};
use crate::database::{Get, Item};
use crate::error::{Refusal, Result};
use crate::fields::{text, typed_id};
use crate::ports::Ports;
use crate::tenant_rules::tenant_rules;

/// What a new cart says of itself.
pub struct NewCart {
    /// Its id.
    pub id: String,
    /// Sale or return.
    pub kind: CartKind,
    /// Channel.
    pub channel: String,
    /// Customer, if known.
    pub customer_id: Option<String>,
}

impl Default for NewCart {
    fn default() -> Self {
        NewCart { id: String::new(), kind: CartKind::Sale, channel: "pos".to_owned(), customer_id: None }
    }
}

/// A cart as it begins.
pub fn new_cart(context: &CommandContext, location: &Location, new: NewCart) -> Cart {
    Cart {
        id: new.id,
        kind: new.kind,
        version: 1,
        state: CartState::Open,
        store_id: context.store_id.clone(),
        register_id: context.register_id.clone(),
        channel: new.channel,
        customer_id: new.customer_id,
        region: location.region.clone(),
        employee_id: context.employee_id.clone(),
        currency: location.currency,
        opened_at: context.occurred_at,
        written_at: context.now,
        lines: Vec::new(),
        payments: Vec::new(),
        charges: Charges::default(),
        terms: SaleTerms { time_zone: Some(location.time_zone.clone()), ..SaleTerms::default() },
        kits: Kits::default(),
        holds: CartHolds::default(),
        lots: Lots::default(),
        approvals: Approvals::default(),
        numbers_used: NumbersUsed::default(),
        applied: Applied::default(),
        plan_attempt: None,
        return_of: None,
        void_reason: None,
        course: Course::default(),
        finalized: None,
    }
}

/// The read of what is known of a customer, if one is named.
pub fn customer_get(context: &CommandContext, customer_id: Option<&str>) -> Option<Get> {
    customer_id.map(|customer_id| catalog_get(context.caller.scope.customer(customer_id)))
}

/// What pricing knows of a customer: nothing of one that nobody told of.
///
/// # Errors
/// A bug if the item is not a customer.
pub fn customer_terms(item: Option<&Item>) -> Result<CustomerTerms> {
    let customer = customer_of(item)?;
    Ok(customer.map_or_else(CustomerTerms::default, |customer| CustomerTerms {
        segments: customer.segments,
        tax_exempt: customer.tax_exempt,
    }))
}

/// The id of the cart that `create_cart` makes: the client's, or one that follows from the command's key.
pub fn new_cart_id(context: &CommandContext, named: Option<&str>, key: &str) -> String {
    let parts =
        [context.caller.scope.tenant_id(), &context.store_id, &context.register_id, "create_cart", key];
    named.map_or_else(|| derived_id("c", &parts), str::to_owned)
}

/// `create_cart`.
///
/// # Errors
/// 404 `store_not_found`, `register_not_found`; 409 `cart_exists`; 422 for fields.
pub async fn create(
    ports: &Ports,
    context: &CommandContext,
    payload: CreateCart,
    key: &str,
) -> Result<Executed> {
    let channel = payload.channel.unwrap_or_else(|| "pos".to_owned());
    typed_id("payload.channel", &channel)?;
    if let Some(customer_id) = &payload.customer_id {
        typed_id("payload.customer_id", customer_id)?;
    }
    if let Some(cart_id) = &payload.cart_id {
        new_order_id("payload.cart_id", cart_id)?;
    }
    let cart_id = new_cart_id(context, payload.cart_id.as_deref(), key);
    let mut gets =
        vec![catalog_get(context.caller.scope.location(&context.store_id)), cart_get(context, &cart_id)];
    gets.extend(customer_get(context, payload.customer_id.as_deref()));
    let rules = tenant_rules(ports, &context.caller.scope, context.now).await?;
    let by = rules.priced_by(context.occurred_at);
    let limited = LimitedPromotions::by_customer(&by);
    if payload.customer_id.is_some() {
        gets.extend(limited.gets(&context.caller.scope, payload.customer_id.as_deref()));
    }
    let read = ports.database.get_many(gets).await?;
    if let Some(existing) = read.get(1).and_then(Option::as_ref) {
        let existing = cart_of(existing)?;
        return match replay(context, &existing)? {
            Some(executed) => Ok(executed),
            None => {
                Err(Refusal::conflict("cart_exists", format!("there is a cart {cart_id} already")).into())
            }
        };
    }
    let location = context.till(read.first().and_then(Option::as_ref))?;
    let new = NewCart { id: cart_id, kind: CartKind::Sale, channel, customer_id: payload.customer_id };
    let mut cart = new_cart(context, &location, new);
    cart.terms.customer = customer_terms(read.get(2).and_then(Option::as_ref))?;
    cart.terms.uses_left_by_customer =
        limited.uses_left(read.get(3..).unwrap_or_default(), context.uses_above_limit);
    create_cart(ports, context, cart, &[]).await
}

/// `set_customer`.
///
/// # Errors
/// 403 `approval_required`, `approval_does_not_match` where discounts of a cart that is being paid come to more than may
/// be given; 422 for the id; the cart's own refusals.
pub async fn set_customer(ports: &Ports, context: &CommandContext, payload: SetCustomer) -> Result<Executed> {
    if let Some(customer_id) = &payload.customer_id {
        typed_id("payload.customer_id", customer_id)?;
    }
    let rules = tenant_rules(ports, &context.caller.scope, context.now).await?;
    let by = rules.priced_by(context.occurred_at);
    let limited = LimitedPromotions::by_customer(&by);
    let mut more: Vec<Get> = customer_get(context, payload.customer_id.as_deref()).into_iter().collect();
    if payload.customer_id.is_some() {
        more.extend(limited.gets(&context.caller.scope, payload.customer_id.as_deref()));
    }
    change_cart(ports, context, &payload.cart_id, more, |cart, more| {
        let customer = customer_terms(more.first().and_then(Option::as_ref))?;
        let uses_left = limited.uses_left(more.get(1..).unwrap_or_default(), context.uses_above_limit);
        let (by, fixed) = (by.for_cart(cart), cart.charges.clone());
        cart.set_customer(payload.customer_id.clone(), (customer, uses_left), &by)?;
        // What was fixed and stays as it was is not priced anew: promotions may have ended since.
        if cart.charges != fixed {
            context.check_discounts(cart, &by)?;
        }
        Ok(Outcome::Done)
    })
    .await
}

/// `set_tendering`.
///
/// # Errors
/// 403 `approval_required` where lines were changed so that discounts given without an approval come to more
/// than the tenant allows, `approval_does_not_match` where a share is taken of more than it was approved of; 409
/// `cart_empty`; the cart's own refusals.
pub async fn set_tendering(
    ports: &Ports,
    context: &CommandContext,
    payload: CartReference,
) -> Result<Executed> {
    let rules = tenant_rules(ports, &context.caller.scope, context.now).await?;
    let by = rules.priced_by(context.occurred_at);
    let limited = LimitedPromotions::by_all(&by);
    let more = limited.gets(&context.caller.scope, None);
    change_cart(ports, context, &payload.cart_id, more, |cart, more| {
        cart.terms.uses_left = limited.uses_left(more, context.uses_above_limit);
        let by = by.for_cart(cart);
        cart.set_tendering(&by)?;
        context.check_discounts(cart, &by)?;
        Ok(Outcome::Done)
    })
    .await
}

/// `resume_editing`.
///
/// # Errors
/// 409 `payments_present`; the cart's own refusals.
pub async fn resume_editing(
    ports: &Ports,
    context: &CommandContext,
    payload: CartReference,
) -> Result<Executed> {
    change_cart(ports, context, &payload.cart_id, Vec::new(), |cart, _| {
        cart.resume_editing()?;
        Ok(Outcome::Done)
    })
    .await
}

/// `void_cart` and `void_return`.
///
/// # Errors
/// 422 for the reason; the cart's own refusals.
pub async fn void(
    ports: &Ports,
    context: &CommandContext,
    kind: CartKind,
    cart_id: &str,
    reason: Option<String>,
) -> Result<Executed> {
    if let Some(reason) = &reason {
        text("payload.reason", reason, REASON_CHARS_MAX)?;
    }
    // Whoever clears up what was put aside may stand at any register.
    let reach = Reach::StoreWhileParked;
    let mut holding = CartHolding::giving_back(ports, context, cart_id);
    loop {
        let voided = change_cart_in_reach(ports, context, cart_id, reach, Vec::new(), |cart, _| {
            cart.void(kind, reason.clone())?;
            let claims = holding.end(cart)?;
            Ok(Changed { outcome: Outcome::Done, claims })
        })
        .await;
        // It may be that what the cart holds must be looked at first.
        if holding.again(&voided).await? {
            continue;
        }
        let voided = voided?;
        give_back_rest(ports, context, &voided.cart).await?;
        return Ok(voided);
    }
}
