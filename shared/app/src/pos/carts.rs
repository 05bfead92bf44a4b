//! Opening, naming and giving up carts.

use tillstream_contracts::pos::{CartReference, CreateCart, SetCustomer};
use tillstream_domain::cart::{Applied, Cart, CartKind, CartState, Charges, NumbersUsed, Outcome};
use tillstream_domain::location::Location;

use super::cart_item::cart_of;
use super::cart_write::{Executed, cart_get, change_cart, create_cart, replay};
use super::context::CommandContext;
use super::identity::derived_id;
use super::returns::REASON_CHARS_MAX;
use crate::catalog::items::catalog_get;
use crate::error::{Refusal, Result};
use crate::fields::{text, typed_id};
use crate::ports::Ports;

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
        numbers_used: NumbersUsed::default(),
        applied: Applied::default(),
        plan_attempt: None,
        return_of: None,
        void_reason: None,
        finalized: None,
    }
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
    let cart_id = match payload.cart_id {
        Some(cart_id) => {
            typed_id("payload.cart_id", &cart_id)?;
            cart_id
        }
        None => {
            let tenant = context.caller.scope.tenant_id();
            derived_id("c", &[tenant, &context.store_id, &context.register_id, "create_cart", key])
        }
    };
    let gets =
        vec![catalog_get(context.caller.scope.location(&context.store_id)), cart_get(context, &cart_id)];
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
    create_cart(ports, context, new_cart(context, &location, new), &[]).await
}

/// `set_customer`.
///
/// # Errors
/// 422 for the id; the cart's own refusals.
pub async fn set_customer(ports: &Ports, context: &CommandContext, payload: SetCustomer) -> Result<Executed> {
    if let Some(customer_id) = &payload.customer_id {
        typed_id("payload.customer_id", customer_id)?;
    }
    change_cart(ports, context, &payload.cart_id, Vec::new(), |cart, _| {
        cart.set_customer(payload.customer_id.clone())?;
        Ok(Outcome::Done)
    })
    .await
}

/// `set_tendering`.
///
/// # Errors
/// 409 `cart_empty`; the cart's own refusals.
pub async fn set_tendering(
    ports: &Ports,
    context: &CommandContext,
    payload: CartReference,
) -> Result<Executed> {
    change_cart(ports, context, &payload.cart_id, Vec::new(), |cart, _| {
        cart.set_tendering()?;
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
    change_cart(ports, context, cart_id, Vec::new(), |cart, _| {
        cart.void(kind, reason.clone())?;
        Ok(Outcome::Done)
    })
    .await
}
