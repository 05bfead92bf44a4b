//! What is to change hands because a sale, a return or a payment is undone: told with the command's result, so that
//! whoever undid it knows, from an upload too, which shows no cart.

use tillstream_contracts::pos::PaymentRefund;
use tillstream_domain::cart::{Cart, Payment};
use tillstream_domain::money::Money;

use crate::stored_value::shown_reference;

/// Of payments of a cart, each with what was kept of it. `None` where nothing was.
pub(super) fn of<'c>(
    cart: &'c Cart,
    payments: impl Iterator<Item = &'c Payment>,
) -> Option<Vec<PaymentRefund>> {
    let money = |amount| Money { amount, currency: cart.currency };
    let refunds: Vec<PaymentRefund> = payments
        .map(|paid| PaymentRefund {
            payment_id: paid.id(),
            tender: paid.tender.clone(),
            amount: money(paid.amount.saturating_sub(paid.change)),
            tip: money(paid.tip),
            external_reference: shown_reference(cart, paid),
        })
        .filter(|refund| refund.amount.amount > 0 || refund.tip.amount > 0)
        .collect();
    (!refunds.is_empty()).then_some(refunds)
}
