//! Payments and refunds by tenders that are stored value: which gift card or account is meant, and whether it
//! will do. What is looked at here is taken when the cart becomes final ([`super::claims`]).

use jiff::Timestamp;
use tillstream_contracts::orders::PlaceOrder;
use tillstream_domain::cart::{Cart, CartKind, Outcome, PaymentInput};
use tillstream_domain::stored_value::{StoredValueError, StoredValueKind};
use tillstream_domain::tenant_settings::StoredValueSettings;

use super::item::{Stored, stored_value_get};
use super::{not_found, refused};
use crate::database::{Get, Item};
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::pos::cart_item::cart_of;
use crate::pos::cart_write::{Executed, cart_get, change_cart, replay};
use crate::pos::context::CommandContext;
use crate::pos::tenders::taken;
use crate::tenancy::TenantScope;
use crate::tenant_rules::tenant_rules;

/// The field of a till's payload that names a gift card or account.
const FIELD: &str = "payload.external_reference";

fn required(message: &str, field: &str) -> Refusal {
    Refusal::field(field, "stored_value_required", message)
}

/// The refusal of a payment that names nothing, of a sale that says nothing either.
fn payment_from_nothing(kind: StoredValueKind, field: &str) -> Refusal {
    let message = match kind {
        StoredValueKind::GiftCard => "name the gift card",
        StoredValueKind::Account => "name the customer of the sale: it is paid from that customer's account",
    };
    required(message, field)
}

/// What the payment of a till is taken from; nothing where its tender is recorded only.
///
/// # Errors
/// Those of reading the tenant's settings.
pub async fn kind_of(
    ports: &Ports,
    context: &CommandContext,
    tender: &str,
) -> Result<Option<StoredValueKind>> {
    if StoredValueKind::of_tender(tender).is_none() {
        return Ok(None);
    }
    let rules = tenant_rules(ports, &context.caller.scope, context.now).await?;
    Ok(rules.settings.stored_value.kind_of(tender))
}

/// The gift card or account of an item, as the one that is meant.
fn meant(item: Option<&Item>) -> Result<Stored> {
    item.map_or_else(|| Err(not_found().into()), Stored::of)
}

/// The cart as it is, if it is there: what a payment names may follow from it.
async fn cart_as_it_is(ports: &Ports, context: &CommandContext, cart_id: &str) -> Result<Option<Cart>> {
    ports.database.get(cart_get(context, cart_id)).await?.as_ref().map(cart_of).transpose()
}

/// Takes a payment by stored value.
///
/// # Errors
/// 422 `stored_value_required`, `currency_mismatch`, `too_many_payments`; 404 `stored_value_not_found`; 409
/// `account_of_another_customer`, `stored_value_blocked`, `stored_value_expired`, `insufficient_balance` with what is
/// `left`; those of any payment.
pub async fn pay(
    ports: &Ports,
    context: &CommandContext,
    cart_id: &str,
    kind: StoredValueKind,
    input: PaymentInput,
) -> Result<Executed> {
    let scope = &context.caller.scope;
    let mut account = input.external_reference.clone();
    let by_customer = kind == StoredValueKind::Account && account.is_none();
    if by_customer {
        account = cart_as_it_is(ports, context, cart_id).await?.and_then(|cart| cart.customer_id);
    }
    let more: Vec<Get> = account.iter().map(|id| stored_value_get(scope, id)).collect();
    let done = change_cart(ports, context, cart_id, more, |cart, more| {
        if by_customer && cart.customer_id != account {
            return Err(Error::Conflict("the cart's customer changed meanwhile".to_owned()));
        }
        let (number, change) = taken(context, cart, input.clone())?;
        let id = account.as_deref().ok_or_else(|| payment_from_nothing(kind, FIELD))?;
        let found = meant(more.first().and_then(Option::as_ref));
        spend(cart, number, (kind, id, found), context.now, FIELD)?;
        Ok(Outcome::Payment { number, change })
    })
    .await;
    unless_done(ports, context, cart_id, done).await
}

/// Marks payment `number` as taken from stored value that will do, with all that the cart takes from it. An account
/// will do for its own customer.
fn spend(
    cart: &mut Cart,
    number: u32,
    (kind, id, found): (StoredValueKind, &str, Result<Stored>),
    now: Timestamp,
    field: &str,
) -> Result<()> {
    let stored = found.map_err(|error| at_field(error, field))?;
    if kind == StoredValueKind::Account {
        stored.check_owner(cart.customer_id.as_deref()).map_err(|error| refused(error, Some(field)))?;
    }
    let before = cart.stored_value_of(id);
    cart.mark_stored_value(number, id, now)?;
    let wanted = cart.stored_value_of(id);
    stored.value.check_spend(kind, cart.currency, wanted, now).map_err(|error| match error {
        // What other payments of this cart take is not left for this one.
        StoredValueError::Insufficient { left } => {
            refused(StoredValueError::Insufficient { left: left.saturating_sub(before).max(0) }, Some(field))
        }
        error => refused(error, Some(field)),
    })?;
    Ok(())
}

fn at_field(error: Error, field: &str) -> Error {
    match error {
        Error::Rejected(refusal) => {
            let (code, detail) = (refusal.code, refusal.detail.clone());
            refusal.with_error(field, code, detail).into()
        }
        other => other,
    }
}

/// A refusal of a payment by stored value, unless the payment is there by now: the balance was read after the
/// cart, and may be what this very request's twin left of it.
async fn unless_done(
    ports: &Ports,
    context: &CommandContext,
    cart_id: &str,
    done: Result<Executed>,
) -> Result<Executed> {
    match done {
        Err(Error::Rejected(refusal)) => {
            let cart = cart_as_it_is(ports, context, cart_id).await?;
            let executed = cart.map(|cart| replay(context, &cart)).transpose();
            match executed {
                Ok(Some(Some(executed))) => Ok(executed),
                _ => Err(Error::Rejected(refusal)),
            }
        }
        done => done,
    }
}

/// Where a refund goes.
#[derive(Debug, PartialEq, Eq)]
enum RefundTo {
    /// It is recorded only.
    Recorded,
    /// To this gift card or account.
    Account(String),
    /// It has to be named.
    Named,
}

/// Where a refund of `cart` by `tender` goes. What the sale took from stored value goes back to it, whatever the
/// settings say by now; what was owed on account is owed no more, and nobody gets money for it. A refund to an
/// account of what something else paid is money, and has to find its place.
fn refund_to(cart: &Cart, tender: &str, named: Option<&str>, is_on: bool) -> RefundTo {
    let paid_from = cart.paid_from(tender);
    let was_owed = tender == StoredValueKind::Account.name() && cart.owed_by_original() > 0;
    match (paid_from.as_slice(), named) {
        ([], _) if !is_on || was_owed => RefundTo::Recorded,
        (_, Some(named)) => RefundTo::Account(named.to_owned()),
        ([only], None) => RefundTo::Account((*only).to_owned()),
        _ => RefundTo::Named,
    }
}

/// Records a refund by a tender that may be stored value.
///
/// # Errors
/// As [`pay`], but for the balance; those of any refund.
pub async fn refund(
    ports: &Ports,
    context: &CommandContext,
    return_id: &str,
    kind: StoredValueKind,
    input: PaymentInput,
) -> Result<Executed> {
    let scope = &context.caller.scope;
    let is_on = kind_of(ports, context, kind.name()).await?.is_some();
    let cart = cart_as_it_is(ports, context, return_id).await?.filter(|cart| cart.kind == CartKind::Return);
    // Of which sale a return is does not change.
    let to = match &cart {
        Some(cart) => refund_to(cart, kind.name(), input.external_reference.as_deref(), is_on),
        None => RefundTo::Recorded,
    };
    let more: Vec<Get> = match &to {
        RefundTo::Account(id) => vec![stored_value_get(scope, id)],
        RefundTo::Recorded | RefundTo::Named => Vec::new(),
    };
    let done = change_cart(ports, context, return_id, more, |cart, more| {
        let number = cart.refund(input.clone())?;
        match &to {
            RefundTo::Recorded => {}
            RefundTo::Named => {
                return Err(required("name the gift card or account that it goes to", FIELD).into());
            }
            RefundTo::Account(id) => {
                let stored = meant(more.first().and_then(Option::as_ref));
                let stored = stored.map_err(|error| at_field(error, FIELD))?;
                let checked = stored.value.check_use(kind, cart.currency, context.now);
                checked.map_err(|error| refused(error, Some(FIELD)))?;
                cart.mark_stored_value(number, id, context.now)?;
            }
        }
        Ok(Outcome::Payment { number, change: 0 })
    })
    .await;
    unless_done(ports, context, return_id, done).await
}

/// The payments of an order that are taken from stored value.
#[derive(Debug, Default)]
pub struct OrderTenders {
    /// Position of the payment, what it is taken from, and which.
    parts: Vec<(usize, StoredValueKind, Option<String>)>,
}

impl OrderTenders {
    /// Those of `order`. Of a sale that another system made, only those that name what they are taken from: the
    /// others were taken there.
    pub fn of(settings: StoredValueSettings, order: &PlaceOrder, is_recorded: bool) -> Self {
        let parts = order.payments.iter().enumerate().filter_map(|(position, payment)| {
            let kind = settings.kind_of(&payment.tender)?;
            let named = payment.external_reference.clone();
            if is_recorded && named.is_none() {
                return None;
            }
            let of_customer = || order.customer_id.clone().filter(|_| kind == StoredValueKind::Account);
            Some((position, kind, named.or_else(of_customer)))
        });
        OrderTenders { parts: parts.collect() }
    }

    fn ids(&self) -> Vec<&str> {
        let mut ids: Vec<&str> = self.parts.iter().filter_map(|(_, _, id)| id.as_deref()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The reads of the gift cards and accounts, each once.
    pub fn gets(&self, scope: &TenantScope) -> Vec<Get> {
        self.ids().into_iter().map(|id| stored_value_get(scope, id)).collect()
    }

    /// Marks the order's payments, from what [`Self::gets`] found.
    ///
    /// # Errors
    /// As [`pay`], at the order's fields.
    pub fn mark(&self, cart: &mut Cart, found: &[Option<Item>], now: Timestamp) -> Result<()> {
        let ids = self.ids();
        for (position, kind, id) in &self.parts {
            let field = format!("payments[{position}].external_reference");
            let id = id.as_deref().ok_or_else(|| payment_from_nothing(*kind, &field))?;
            let item = ids.binary_search(&id).ok().and_then(|at| found.get(at)).and_then(Option::as_ref);
            let number = cart.payments.get(*position).map_or(0, |payment| payment.number);
            spend(cart, number, (*kind, id, meant(item)), now, &field)?;
        }
        Ok(cart.check_stored_value()?)
    }
}
