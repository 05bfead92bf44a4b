//! An order as its documents tell it. Amounts are the order's own.

use tillstream_documents::{
    ALL_ENTRIES_MAX, Customer, Discount, DocumentLine, DocumentPayment, ENTRIES_MAX, OrderDocument,
    OrderTotals, OriginalOrder, Store, TEXT_CHARS_MAX,
};
use tillstream_domain::cart::{Cart, CartKind, DiscountHead, Line, Payment};
use tillstream_domain::location::Location;
use tillstream_domain::money::{Currency, Money};

use super::taxes;
use crate::error::{Error, Result};

/// Most entries that discounts and taxes of the lines may have together; the rest of what a document takes
/// is for the lines themselves and for the lists at the foot.
const LINE_ENTRIES_MAX: usize = ALL_ENTRIES_MAX - tillstream_domain::cart::LINES_MAX - 5 * ENTRIES_MAX;

/// What stands for discounts that there is no room to name.
const OTHER_DISCOUNTS: &str = "Other discounts";

/// A final cart for its documents. `original`: the sale of a return, if that is known.
///
/// # Errors
/// A bug if the cart is not final or its sums leave the accepted range.
pub(super) fn order_document(
    cart: &Cart,
    original: Option<&Cart>,
    store: Store,
    reprint: bool,
) -> Result<OrderDocument> {
    let done = cart.finalized.as_ref().ok_or_else(|| Error::bug("an order is final"))?;
    let totals = cart.totals().map_err(Error::bug)?;
    let money = |amount| Money { amount, currency: cart.currency };
    let payments = cart.payments.iter().map(|payment| payment_of(payment, cart.currency)).collect();
    let (payments, refunds) = match cart.kind {
        CartKind::Sale => (payments, Vec::new()),
        CartKind::Return => (Vec::new(), payments),
    };
    Ok(OrderDocument {
        reprint,
        store,
        register: done.number.lane.register_id.clone(),
        employee: clipped(&cart.employee_id),
        receipt_number: done.number.number.to_string(),
        order_id: cart.id.clone(),
        at: done.at,
        currency: cart.currency,
        customer: cart.customer_id.as_ref().map(|id| Customer { id: id.clone(), name: None }),
        lines: lines_of(cart)?,
        discounts: discounts_of(cart.charges.of_cart(), ENTRIES_MAX, cart.currency),
        taxes: taxes::of_order(cart),
        totals: OrderTotals {
            subtotal: money(totals.subtotal),
            discount: money(totals.discount),
            tax: money(totals.tax),
            tips: money(totals.tips),
            // What is due is not rounded to coins yet.
            cash_rounding: money(0),
            total: money(totals.total),
            paid: money(totals.paid),
            change: money(totals.change),
        },
        payments,
        refunds,
        original: original.and_then(|sale| {
            let number = sale.finalized.as_ref()?.number.number;
            Some(OriginalOrder { order_id: sale.id.clone(), receipt_number: number.to_string() })
        }),
        return_reason: cart.return_of.as_ref().map(|head| clipped(&head.reason)),
    })
}

/// A location as documents name it.
pub(super) fn store_of(location: &Location) -> Store {
    let address = location.address.as_deref().unwrap_or_default();
    let lines = address.lines().map(str::trim).filter(|line| !line.is_empty());
    Store {
        id: location.id.clone(),
        name: clipped(&location.name),
        address_lines: lines.take(ENTRIES_MAX).map(clipped).collect(),
        tax_id: None,
        time_zone: location.time_zone.clone(),
    }
}

fn lines_of(cart: &Cart) -> Result<Vec<DocumentLine>> {
    let of_line = |line: &Line| cart.charges.of_line(line.number).count() + taxes::of_line(cart, line).len();
    let entries: usize = cart.lines.iter().map(of_line).sum();
    // Only where thousands of lines bear many discounts each: then a line names their sum.
    let named_max = if entries > LINE_ENTRIES_MAX { 1 } else { ENTRIES_MAX };
    let line_of = |line: &Line| {
        let amounts = cart.line_amounts(line).map_err(Error::bug)?;
        let money = |amount| Money { amount, currency: cart.currency };
        Ok(DocumentLine {
            name: clipped(&line.name),
            sku: line.sku.clone(),
            quantity: line.quantity,
            unit: line.unit,
            unit_price: line.unit_price,
            modifiers: Vec::new(),
            notes: line.notes.as_deref().map(clipped),
            discounts: discounts_of(cart.charges.of_line(line.number), named_max, cart.currency),
            taxes: taxes::of_line(cart, line),
            gross: money(amounts.gross),
            total: money(amounts.total),
        })
    };
    cart.lines.iter().map(line_of).collect()
}

/// Discounts by name, at most so many: those that are too many are one. What takes nothing off is none.
fn discounts_of<'a>(
    given: impl Iterator<Item = (&'a DiscountHead, i64)>,
    named_max: usize,
    currency: Currency,
) -> Vec<Discount> {
    let named = |name: &str, amount| Discount { name: clipped(name), amount: Money { amount, currency } };
    let mut all: Vec<Discount> =
        given.filter(|(_, amount)| *amount > 0).map(|(head, amount)| named(&head.name, amount)).collect();
    if all.len() > named_max {
        let rest = all.split_off(named_max.saturating_sub(1));
        let sum = rest.iter().fold(0_i64, |sum, discount| sum.saturating_add(discount.amount.amount));
        all.push(named(OTHER_DISCOUNTS, sum));
    }
    all
}

fn payment_of(payment: &Payment, currency: Currency) -> DocumentPayment {
    let money = |amount| Money { amount, currency };
    DocumentPayment {
        tender: payment.tender.clone(),
        amount: money(payment.amount),
        tip: money(payment.tip),
        change: money(payment.change),
        // Card numbers are refused wherever they come in: there are no digits to show.
        last_four: None,
        reference: payment.external_reference.as_deref().map(clipped),
        entry_method: payment.entry_method.clone(),
    }
}

/// A text within what documents take. Whatever is stored is shorter; a longer one would cost the customer
/// the receipt.
fn clipped(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use tillstream_domain::pricing::Source;

    use super::*;

    #[test]
    fn discounts_that_are_too_many_are_summed() {
        let heads: Vec<DiscountHead> = (0..5)
            .map(|n| DiscountHead { source: Source::ManualDiscount { number: n }, name: format!("d{n}") })
            .collect();
        let shown = |named_max| {
            let all = discounts_of(heads.iter().zip([1, 0, 2, 4, 8]), named_max, Currency::GBP);
            all.into_iter().map(|one| (one.name, one.amount.amount)).collect::<Vec<_>>()
        };
        let owned = |all: &[(&str, i64)]| -> Vec<(String, i64)> {
            all.iter().map(|(name, amount)| ((*name).to_owned(), *amount)).collect()
        };
        assert_eq!(shown(4), owned(&[("d0", 1), ("d2", 2), ("d3", 4), ("d4", 8)]));
        assert_eq!(shown(3), owned(&[("d0", 1), ("d2", 2), (OTHER_DISCOUNTS, 12)]));
        assert_eq!(shown(1), owned(&[(OTHER_DISCOUNTS, 15)]));
    }
}
