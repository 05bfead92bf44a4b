//! The taxes of an order as its documents tell them: the one place that reads them from a cart.

use tillstream_documents::{ENTRIES_MAX, LineTax, TaxTotal};
use tillstream_domain::cart::{Cart, Line, TaxCharge};
use tillstream_domain::money::Money;

use super::order_document::clipped;

/// Tax by rule, over the whole order.
pub(super) fn of_order(cart: &Cart) -> Vec<TaxTotal> {
    let money = |amount| Money { amount, currency: cart.currency };
    let total = |tax: TaxCharge<'_>| TaxTotal {
        name: clipped(&tax.head.name),
        rate_bps: tax.head.rate_bps,
        base: money(tax.base),
        amount: money(tax.amount),
        included: tax.head.included,
    };
    cart.charges.taxes_of_cart().into_iter().take(ENTRIES_MAX).map(total).collect()
}

/// What stands for the taxes of a line that there is no room to name.
const ALL_TAXES: &str = "Taxes";

/// Taxes of one line by name; where they are more than so many, one of all rates together.
pub(super) fn of_line(cart: &Cart, line: &Line, named_max: usize) -> Vec<LineTax> {
    let money = |amount| Money { amount, currency: cart.currency };
    let taxes = || cart.charges.taxes_of_line(line.number);
    if taxes().count() > named_max {
        return vec![LineTax {
            name: ALL_TAXES.to_owned(),
            rate_bps: taxes().fold(0_u32, |sum, tax| sum.saturating_add(tax.head.rate_bps)),
            amount: money(taxes().fold(0_i64, |sum, tax| sum.saturating_add(tax.amount))),
        }];
    }
    taxes()
        .map(|tax| LineTax {
            name: clipped(&tax.head.name),
            rate_bps: tax.head.rate_bps,
            amount: money(tax.amount),
        })
        .collect()
}

/// What a line comes to as the customer sees it, before and after discounts: with the tax that prices
/// contain, without the tax that comes on top.
pub(super) fn shown(cart: &Cart, line: &Line, total: i64) -> (i64, i64) {
    let on_top = cart.charges.taxes_of_line(line.number).filter(|tax| !tax.head.included);
    let after = total.saturating_sub(on_top.fold(0, |sum, tax| sum.saturating_add(tax.amount)));
    let off = cart.charges.of_line(line.number).fold(0_i64, |sum, (_, amount)| sum.saturating_add(amount));
    (after.saturating_add(off), after)
}
