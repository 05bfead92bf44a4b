//! A cart as a client sees it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tillstream_contracts::pos::{
    AdjustmentView, ApprovalReference, CartHoldView, CartView, ComponentView, LineView, ModifierView,
    PaymentView, TaxView, TotalsView,
};
use tillstream_domain::cart::{Cart, CartKind, CartState, DiscountHead, TaxCharge, UsedApproval};
use tillstream_domain::money::Money;
use tillstream_domain::pricing::{Modifier, Reason};
use tillstream_domain::quantity::Unit;
use tillstream_domain::signed_unit_price::SignedUnitPrice;

use crate::error::{Error, Result};
use crate::stored_value::shown_reference;

/// The cart as a client sees it, with or without its lines.
///
/// # Errors
/// A bug if a stored cart's sums leave the accepted range.
pub fn cart_view(cart: &Cart, with_lines: bool) -> Result<CartView> {
    let currency = cart.currency;
    let money = |amount| Money { amount, currency };
    let lines = if with_lines { Some(line_views(cart)?) } else { None };
    let payments = cart
        .payments
        .iter()
        .map(|payment| PaymentView {
            payment_id: payment.id(),
            tender: payment.tender.clone(),
            amount: money(payment.amount),
            change: money(payment.change),
            tip: money(payment.tip),
            external_reference: shown_reference(cart, payment),
            entry_method: payment.entry_method.clone(),
        })
        .collect();
    Ok(CartView {
        id: cart.id.clone(),
        kind: match cart.kind {
            CartKind::Sale => "sale",
            CartKind::Return => "return",
        },
        version: cart.version,
        state: cart.state.name(),
        channel: cart.channel.clone(),
        store_id: cart.store_id.clone(),
        register_id: cart.register_id.clone(),
        customer_id: cart.customer_id.clone(),
        lines,
        line_count: cart.lines.len(),
        holds: if with_lines { hold_views(cart)? } else { Vec::new() },
        discounts: discount_views(cart, cart.charges.of_cart()),
        taxes: tax_views(cart, cart.charges.taxes_of_cart()),
        payments,
        totals: TotalsView::of(&cart.totals().map_err(Error::bug)?, currency),
        receipt_number: cart.finalized.as_ref().map(|f| f.number.number),
        receipt_epoch: cart.finalized.as_ref().and_then(|f| f.number.raised_epoch()),
        original_order_id: cart
            .return_of
            .as_ref()
            .and_then(|r| r.original.as_ref())
            .map(|o| o.order_id.clone()),
        approval: cart.approvals.of_whole().map(approval_reference),
    })
}

/// What it holds, as long as it may become final.
fn hold_views(cart: &Cart) -> Result<Vec<CartHoldView>> {
    if cart.holds.is_empty() || cart.state == CartState::Voided {
        return Ok(Vec::new());
    }
    let taken = cart.lines.iter().flat_map(|line| cart.stock_of(line));
    let units: BTreeMap<&str, Unit> = taken.map(|(sku, _, unit)| (sku, unit)).collect();
    let view = |sku: &str| {
        let first_over = cart.holds.of(sku).iter().map(|hold| hold.expires_at).min().unwrap_or_default();
        Ok(CartHoldView {
            sku: sku.to_owned(),
            quantity: cart.holds.named(sku).display(units.get(sku).copied().unwrap_or_default()),
            expires_at: Timestamp::from_millisecond(first_over).map_err(Error::bug)?,
        })
    };
    cart.holds.skus().map(view).collect()
}

fn approval_reference(used: &UsedApproval) -> ApprovalReference {
    ApprovalReference { approval_id: used.approval_id.clone(), approved_by: used.approved_by.clone() }
}

fn discount_views<'a>(
    cart: &Cart,
    given: impl Iterator<Item = (&'a DiscountHead, i64, Option<&'a Reason>)>,
) -> Vec<AdjustmentView> {
    given
        .map(|(head, amount, reason)| {
            let (kind, id) = head.kind_and_id();
            let amount = Money { amount, currency: cart.currency };
            // A return has its sale's discounts, and numbers of its own for none.
            let given_here = head.manual_number().filter(|_| cart.kind == CartKind::Sale);
            let approval = given_here.and_then(|number| cart.approvals.of_discount(number));
            let approval = approval.map(approval_reference);
            AdjustmentView {
                kind,
                id,
                name: head.name.clone(),
                amount,
                not_applied: reason.map(Reason::code),
                approval,
            }
        })
        .collect()
}

fn tax_views<'a>(cart: &Cart, taxes: impl IntoIterator<Item = TaxCharge<'a>>) -> Vec<TaxView> {
    let money = |amount| Money { amount, currency: cart.currency };
    taxes
        .into_iter()
        .map(|tax| TaxView {
            id: tax.head.id.clone(),
            name: tax.head.name.clone(),
            rate_bps: tax.head.rate_bps,
            included: tax.head.included,
            base: money(tax.base),
            amount: money(tax.amount),
        })
        .collect()
}

fn modifier_view(modifier: &Modifier) -> Result<ModifierView> {
    let unit_price = SignedUnitPrice::from_ten_thousandths(modifier.ten_thousandths).map_err(Error::bug)?;
    Ok(ModifierView { name: modifier.name.clone(), unit_price: unit_price.to_string() })
}

/// The lines as a client sees them.
///
/// # Errors
/// A bug if a stored line's total leaves the accepted range.
pub fn line_views(cart: &Cart) -> Result<Vec<LineView>> {
    cart.lines
        .iter()
        .map(|line| {
            let amounts = cart.line_amounts(line).map_err(Error::bug)?;
            let money = |amount| Money { amount, currency: cart.currency };
            Ok(LineView {
                line_id: line.id(),
                sku: line.sku.clone(),
                name: line.name.clone(),
                quantity: line.quantity.display(line.unit),
                unit_price: line.unit_price,
                price_overridden: line.price_overridden,
                list_price: cart
                    .terms
                    .lines
                    .get(&line.number)
                    .and_then(|terms| terms.list_price)
                    .filter(|list| *list != line.unit_price && !line.price_overridden),
                notes: line.notes.clone(),
                lot: cart.lots.of_line(line.number).map(str::to_owned),
                modifiers: cart
                    .terms
                    .lines
                    .get(&line.number)
                    .map(|terms| terms.modifiers.iter().map(modifier_view).collect::<Result<_>>())
                    .transpose()?
                    .unwrap_or_default(),
                components: cart
                    .components_of(line)
                    .map(|(sku, quantity, unit)| ComponentView {
                        sku: sku.to_owned(),
                        quantity: quantity.display(unit),
                    })
                    .collect(),
                discounts: discount_views(
                    cart,
                    cart.charges.of_line(line.number).map(|(head, amount)| (head, amount, None)),
                ),
                tax: tax_views(cart, cart.charges.taxes_of_line(line.number)),
                subtotal: money(amounts.gross),
                total: money(amounts.total),
                disposition: line.returned.as_ref().map(|r| r.disposition),
                approval: cart.approvals.of_line(line.number).map(approval_reference),
                original_line_id: line
                    .returned
                    .as_ref()
                    .and_then(|r| r.original_line)
                    .map(|n| format!("l-{n}")),
            })
        })
        .collect()
}
