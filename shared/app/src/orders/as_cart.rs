//! An order from elsewhere as a cart: the same steps that a till's commands take one by one, and the same
//! refusals, each at the field of the order that it is about.

use std::collections::BTreeMap;

use tillstream_contracts::orders::{OrderPaymentInput, PlaceOrder};
use tillstream_domain::cart::{Cart, CartKind, CustomerTerms, NewLine, PaymentInput, PricedBy};
use tillstream_domain::location::Location;
use tillstream_domain::money::Money;
use tillstream_domain::pricing::Reason;

use super::discounts::Discounts;
use super::place::Placing;
use crate::catalog::items::product_if_any;
use crate::catalog::kits::{Components, require_sellable};
use crate::database::Item;
use crate::error::{Error, FieldError, Refusal, Result};
use crate::pos::cart_item::check_size;
use crate::pos::carts::{NewCart, new_cart};
use crate::pos::claims::Claim;
use crate::pos::context::CommandContext;
use crate::pos::lines::{line_terms, positive_quantity, price_of, require_lots, sku_not_found};
use crate::pos::promotions::{redeem, request};

/// What was read of who buys, and of what they redeem.
pub(super) struct Buyer<'r> {
    /// The customer.
    pub terms: CustomerTerms,
    /// Uses left of promotions that were used: by all together, and by this customer.
    pub uses_left: (BTreeMap<String, u32>, BTreeMap<String, u32>),
    /// Of each coupon of the order what is known of it, and the first part of its counter.
    pub coupons: Vec<(Option<&'r Item>, Option<&'r Item>)>,
    /// Its manual discounts.
    pub discounts: &'r Discounts<'r>,
    /// The approvals that those name.
    pub approvals: &'r [Option<Item>],
}

/// The order as a cart, lines, coupons, promotions, discounts and payments in it; and the uses of approvals.
///
/// # Errors
/// The refusals of the till's commands, at the order's fields; 422 `cart_too_large`; 409 `coupon_takes_nothing_off`,
/// `promotion_takes_nothing_off` with the `reason`: nobody looks at the cart before it is paid, so what was asked for
/// is given or refused. Of a sale that another system made nothing is refused for that: it was paid; but 409
/// `recorded_total_differs`.
pub(super) fn cart_of_order<'r>(
    context: &CommandContext,
    (location, buyer, by): (&Location, Buyer<'r>, &PricedBy<'_>),
    (order_id, placing): (&str, &Placing<'_>),
    (product, kits): (impl Fn(&str) -> (Option<&'r Item>, Option<&'r Item>), &Components),
) -> Result<(Cart, Vec<Claim>)> {
    let order = placing.order;
    let new = NewCart {
        id: order_id.to_owned(),
        kind: CartKind::Sale,
        channel: order.channel.clone(),
        customer_id: order.customer_id.clone(),
    };
    let mut cart = new_cart(context, location, new);
    cart.terms.customer = buyer.terms;
    (cart.terms.uses_left, cart.terms.uses_left_by_customer) = buyer.uses_left;
    for (position, line) in order.lines.iter().enumerate() {
        let place = format!("lines[{position}]");
        let field = |name: &str| format!("{place}.{name}");
        let (found, prices) = product(&line.sku);
        let found = product_if_any(found)?.ok_or_else(|| sku_not_found(&field("sku"), &line.sku))?;
        if !context.offline {
            // What was sold elsewhere is sold, whatever it is by now.
            require_sellable(&found, &field("sku"))?;
        }
        if line.lot.is_some() && !context.offline {
            require_lots(&found, &field("lot"))?;
        }
        let parts = kits.parts(&found, &field("sku"))?;
        let quantity = positive_quantity(&field("quantity"), &line.quantity, &found)?;
        let unit_price = match line.unit_price {
            Some(price) => price,
            None => price_of(&found, prices, &location.id, location.currency, context.occurred_at)?,
        };
        let sold = (location.id.as_str(), location.currency, context.occurred_at);
        let chosen = (line.modifiers.as_slice(), context.offline);
        let terms = within(&place, line_terms(&found, prices, sold, unit_price, chosen))?;
        let named_lot = line.lot.as_ref();
        let line = NewLine {
            sku: found.sku,
            name: found.name,
            category: found.category,
            quantity,
            unit: found.unit,
            stocked: found.stocked,
            unit_price,
            price_overridden: line.unit_price.is_some(),
            notes: line.notes.clone().filter(|notes| !notes.is_empty()),
            terms,
        };
        let number = within(&place, cart.add_line(line))?;
        if let Some(parts) = parts {
            cart.set_kit(number, parts);
        }
        if let Some(lot) = named_lot {
            cart.set_lot(number, lot.clone());
        }
    }
    for (position, (code, (coupon, counter))) in order.coupons.iter().zip(buyer.coupons).enumerate() {
        at_field(&coupon_field(position), redeem(&mut cart, code, (coupon, counter), context))?;
    }
    for (position, promotion) in order.promotions.iter().enumerate() {
        at_field(&promotion_field(position), request(&mut cart, promotion, by))?;
    }
    // Last, as what they may take off depends on all else.
    let approved = buyer.discounts.give(&mut cart, context, by, buyer.approvals)?;
    cart.set_tendering(by)?;
    // As a till's, with all that pricing adds to its lines: many notes, kits or lots may be more than one item takes,
    // and of an order nothing is written before it is tendering.
    check_size(&context.caller.scope, &cart)?;
    if placing.recorded.is_none() {
        check_effects(&cart, order)?;
    }
    pay(&mut cart, placing)?;
    cart.check_finalizable(CartKind::Sale)?;
    Ok((cart, approved))
}

fn coupon_field(position: usize) -> String {
    format!("coupons[{position}]")
}

fn promotion_field(position: usize) -> String {
    format!("promotions[{position}]")
}

/// Whether every coupon and promotion that is named takes something off.
fn check_effects(cart: &Cart, order: &PlaceOrder) -> Result<()> {
    let effects = cart.effects();
    for (position, code) in order.coupons.iter().enumerate() {
        if let Err(reason) = effects.coupon(code) {
            let refusal = match reason {
                Some(Reason::NotValidNow) => {
                    Refusal::conflict("coupon_not_valid", "the coupon is not valid now")
                }
                _ => takes_nothing_off("coupon_takes_nothing_off", "coupon", reason),
            };
            return at_field(&coupon_field(position), Err(refusal));
        }
    }
    for (position, promotion) in order.promotions.iter().enumerate() {
        if let Err(reason) = effects.promotion(promotion) {
            let refusal = match reason {
                Some(Reason::LimitReached) => {
                    Refusal::conflict("promotion_limit_reached", "all uses are gone of the promotion")
                }
                _ => takes_nothing_off("promotion_takes_nothing_off", "promotion", reason),
            };
            return at_field(&promotion_field(position), Err(refusal));
        }
    }
    Ok(())
}

fn takes_nothing_off(code: &'static str, what: &str, reason: Option<&Reason>) -> Refusal {
    let why = reason.map(Reason::code);
    let detail = match why {
        Some(why) => format!("the {what} takes nothing off this order: {why}"),
        None => format!("the {what} takes nothing off this order"),
    };
    let refusal = Refusal::conflict(code, detail);
    why.map_or(refusal.clone(), |why| refusal.with_extra("reason", why))
}

/// Takes the payments; where there are none, what is due is owed on account.
fn pay(cart: &mut Cart, placing: &Placing<'_>) -> Result<()> {
    let payments: Vec<PaymentInput> = placing.order.payments.iter().map(payment_input).collect();
    if placing.recorded.is_some() {
        let field = if placing.asked.is_some() { "total" } else { "payments" };
        at_field(field, cart.book_recorded_total(&payments, placing.asked))?;
    }
    let is_on_account = payments.is_empty();
    for (position, payment) in payments.into_iter().enumerate() {
        within(&format!("payments[{position}]"), cart.add_payment(payment))?;
    }
    let due = cart.totals()?.due;
    if is_on_account && due > 0 {
        // On account: what is owed is a tender like any other, so that payments always make the total.
        cart.add_payment(PaymentInput {
            tender: "account".to_owned(),
            amount: Money { amount: due, currency: cart.currency },
            tip: None,
            external_reference: None,
            entry_method: None,
        })?;
    }
    Ok(())
}

fn payment_input(input: &OrderPaymentInput) -> PaymentInput {
    PaymentInput {
        tender: input.tender.clone(),
        amount: input.amount,
        tip: input.tip,
        external_reference: input.external_reference.clone(),
        entry_method: None,
    }
}

/// A rule of carts names the field of a till's payload; here the field stands at `place`.
pub(super) fn within<T, E: Into<Error>>(place: &str, ruled: std::result::Result<T, E>) -> Result<T> {
    ruled.map_err(|error| match error.into() {
        Error::Rejected(mut refusal) => {
            for error in &mut refusal.errors {
                if let Some(field) = error.field.strip_prefix("payload.") {
                    error.field = format!("{place}.{field}");
                }
            }
            Error::Rejected(refusal)
        }
        other => other,
    })
}

/// A refusal of what stands at `field`, whatever a till's payload calls it.
pub(super) fn at_field<T, E: Into<Error>>(field: &str, ruled: std::result::Result<T, E>) -> Result<T> {
    ruled.map_err(|error| stands_at(field, error.into()))
}

pub(super) fn stands_at(field: &str, error: Error) -> Error {
    match error {
        Error::Rejected(mut refusal) => {
            let (code, message) = (refusal.code.to_owned(), refusal.detail.clone());
            refusal.errors = vec![FieldError { field: field.to_owned(), code, message }];
            Error::Rejected(refusal)
        }
        other => other,
    }
}

/// A refusal for the uses of a coupon or promotion, at the field that names it.
pub(super) fn located(order: &PlaceOrder, error: Error) -> Error {
    let Error::Rejected(refusal) = &error else { return error };
    let named = |name: &str, all: &[String]| {
        let id = refusal.extra.get(name)?.as_str()?;
        all.iter().position(|one| one == id)
    };
    let coupon = named("coupon", &order.coupons).map(coupon_field);
    let field = coupon.or_else(|| named("promotion", &order.promotions).map(promotion_field));
    match field.filter(|_| refusal.errors.is_empty()) {
        Some(field) => stands_at(&field, error),
        None => error,
    }
}
