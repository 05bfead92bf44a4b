//! An order as its documents tell it. Amounts are the order's own.

use tillstream_documents::{
    Customer, Discount, DocumentLine, DocumentPayment, ENTRIES_MAX, Modifier, OrderDocument, OrderTotals,
    OriginalOrder, Store, TEXT_CHARS_MAX,
};
use tillstream_domain::cart::{Cart, CartKind, DiscountHead, LINES_MAX, Line, Payment};
use tillstream_domain::location::Location;
use tillstream_domain::money::{Currency, Money, divide_rounding};
use tillstream_domain::pricing::Modifier as Chosen;

use super::taxes;
use crate::error::{Error, Result};
use crate::stored_value::last_four;

/// Most discounts that the lines tell by name, all together: as many again as there can be lines.
/// With more the longest order would have no document at all, for its size.
const LINE_DISCOUNTS_MAX: usize = LINES_MAX;

/// Most lines and modifiers, all together, of which modifiers are told by name: each is a row. With more the longest
/// order would have no document at all, for its size or for the number of its entries.
const LINES_AND_MODIFIERS_MAX: usize = 3 * LINES_MAX;

/// Most taxes that the lines tell by name, all together. With what else may be told it is within what documents take.
const LINE_TAXES_MAX: usize = 3 * LINES_MAX;

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
    let payments = cart.payments.iter().map(|payment| payment_of(cart, payment)).collect();
    let (payments, refunds) = match cart.kind {
        CartKind::Sale => (payments, Vec::new()),
        CartKind::Return => (Vec::new(), payments),
    };
    let lines = lines_of(cart)?;
    let gross = lines.iter().fold(0_i64, |sum, line| sum.saturating_add(line.gross.amount));
    let after = lines.iter().fold(0_i64, |sum, line| sum.saturating_add(line.total.amount));
    Ok(OrderDocument {
        reprint,
        undone: cart
            .course
            .history
            .iter()
            .find(|change| change.to.is_undone())
            .map(|c| c.to.name().to_owned()),
        store,
        register: done.number.lane.register_id.clone(),
        employee: clipped(&cart.employee_id),
        receipt_number: done.number.printed(),
        order_id: cart.id.clone(),
        at: done.at,
        currency: cart.currency,
        customer: cart.customer_id.as_ref().map(|id| Customer { id: id.clone(), name: None }),
        lines,
        discounts: discounts_of(
            cart.charges.of_cart().map(|(head, amount, _)| (head, amount)),
            ENTRIES_MAX,
            cart.currency,
        ),
        taxes: taxes::of_order(cart),
        totals: OrderTotals {
            subtotal: money(gross),
            discount: money(gross.saturating_sub(after)),
            tax: money(totals.tax),
            tips: money(totals.tips),
            total: money(totals.total),
            cash_rounding: money(totals.cash_rounding),
            payable: money(totals.total.saturating_add(totals.cash_rounding)),
            paid: money(totals.paid),
            change: money(totals.change),
        },
        payments,
        refunds,
        original: original.and_then(|sale| {
            let receipt_number = sale.finalized.as_ref()?.number.printed();
            Some(OriginalOrder { order_id: sale.id.clone(), receipt_number })
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
        tax_id: location.tax_number.as_deref().map(clipped),
        time_zone: location.time_zone.clone(),
    }
}

fn lines_of(cart: &Cart) -> Result<Vec<DocumentLine>> {
    let sum_of = |count: &dyn Fn(&Line) -> usize| cart.lines.iter().map(count).sum::<usize>();
    let discounts = sum_of(&|line: &Line| cart.charges.of_line(line.number).count());
    let modifiers = sum_of(&|line: &Line| chosen_with(cart, line).len());
    let line_taxes = sum_of(&|line: &Line| cart.charges.taxes_of_line(line.number).count());
    // Only where thousands of lines bear many each: then a line names their sum.
    let named_max = |count: usize, most: usize| if count > most { 1 } else { ENTRIES_MAX };
    let discounts_max = named_max(discounts, LINE_DISCOUNTS_MAX);
    let modifiers_max = named_max(cart.lines.len() + modifiers, LINES_AND_MODIFIERS_MAX);
    let taxes_max = named_max(line_taxes, LINE_TAXES_MAX);
    let line_of = |line: &Line| {
        let (gross, total) = taxes::shown(cart, line, cart.line_amounts(line).map_err(Error::bug)?.total);
        let money = |amount| Money { amount, currency: cart.currency };
        Ok(DocumentLine {
            name: clipped(&line.name),
            sku: line.sku.clone(),
            quantity: line.quantity,
            unit: line.unit,
            unit_price: line.unit_price,
            modifiers: modifiers_of(cart, line, modifiers_max),
            notes: line.notes.as_deref().map(clipped),
            discounts: discounts_of(cart.charges.of_line(line.number), discounts_max, cart.currency),
            taxes: taxes::of_line(cart, line, taxes_max),
            gross: money(gross),
            total: money(total),
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

/// What was chosen with a line, as it was sold.
fn chosen_with<'c>(cart: &'c Cart, line: &Line) -> &'c [Chosen] {
    cart.terms.lines.get(&line.number).map(|terms| terms.modifiers.as_slice()).unwrap_or_default()
}

/// Modifiers by name; where they are more than so many one stands for all, and says how many they are: who makes the
/// thing must know that there is something to ask for.
fn modifiers_of(cart: &Cart, line: &Line, named_max: usize) -> Vec<Modifier> {
    // A price is four decimals, an amount as many as the currency has.
    let divisor = 10_i128.pow(4 - cart.currency.minor_digits().min(4));
    let price = |ten_thousandths: i128| {
        let amount = divide_rounding(ten_thousandths, divisor);
        Money { amount: i64::try_from(amount).unwrap_or(0), currency: cart.currency }
    };
    let chosen = chosen_with(cart, line);
    if chosen.len() > named_max {
        let sum = chosen.iter().map(|one| i128::from(one.ten_thousandths)).sum::<i128>();
        return vec![Modifier { name: format!("{} choices", chosen.len()), price: price(sum) }];
    }
    chosen
        .iter()
        .map(|one| Modifier { name: clipped(&one.name), price: price(one.ten_thousandths.into()) })
        .collect()
}

fn payment_of(cart: &Cart, payment: &Payment) -> DocumentPayment {
    let money = |amount| Money { amount, currency: cart.currency };
    // A gift card's number on a receipt would be as good as the card; a customer's id is nobody's to read.
    let (last_four, reference) = match payment.external_reference.as_deref() {
        Some(account) if cart.is_stored_value(payment) => {
            (Some(last_four(account)).filter(|_| payment.tender == "gift_card"), None)
        }
        // Card numbers are refused wherever they come in: there are no digits to show.
        reference => (None, reference.map(clipped)),
    };
    DocumentPayment {
        tender: payment.tender.clone(),
        amount: money(payment.amount),
        tip: money(payment.tip),
        charged: money(payment.amount.saturating_add(payment.tip)),
        change: money(payment.change),
        last_four,
        reference,
        entry_method: payment.entry_method.clone(),
    }
}

/// A text within what documents take. Whatever is stored is shorter; a longer one would cost the customer
/// the receipt.
pub(super) fn clipped(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {

    use jiff::Timestamp;
    use tillstream_documents::{DocumentData, Format, Kind, render};
    use tillstream_domain::cart::{
        Applied, CartState, Charges, Course, Finalized, LineCharges, LineDiscount, LineTerms, NumbersUsed,
        SaleTerms, TaxHead,
    };
    use tillstream_domain::lane::{Lane, LaneNumber};
    use tillstream_domain::money::UnitPrice;
    use tillstream_domain::pricing::Source;
    use tillstream_domain::quantity::{Quantity, Unit};

    use super::*;
    use crate::documents::read::rendered;

    fn line(number: u32) -> Line {
        Line {
            number,
            sku: format!("SKU-{number}"),
            name: "A name as most have it".to_owned(),
            category: None,
            quantity: Quantity::from_pieces(1).unwrap(),
            unit: Unit::Piece,
            stocked: true,
            unit_price: UnitPrice::from_ten_thousandths(100_000).unwrap(),
            price_overridden: false,
            notes: None,
            returned: None,
        }
    }

    /// A final sale of so many lines, each of which bears so many discounts of a penny.
    fn sale(lines: usize, discounts: u16) -> Cart {
        let at = Timestamp::UNIX_EPOCH;
        let lines: Vec<Line> = (1..).take(lines).map(line).collect();
        let penny = |head| LineDiscount { head, amount: 1, tax: 0 };
        let off: Vec<_> = (0..discounts).map(penny).collect();
        let charged = LineCharges { net: 1_000 - i64::from(discounts), discounts: off, taxes: vec![] };
        let head = |n: u16| DiscountHead {
            source: Source::ManualDiscount { number: n.into() },
            name: format!("Discount {n}"),
        };
        Cart {
            id: "o-1".to_owned(),
            kind: CartKind::Sale,
            version: 2,
            state: CartState::Finalized,
            store_id: "s-1".to_owned(),
            register_id: "r-1".to_owned(),
            channel: "pos".to_owned(),
            customer_id: None,
            region: None,
            employee_id: "e-1".to_owned(),
            currency: Currency::GBP,
            opened_at: at,
            written_at: at,
            payments: Vec::new(),
            approvals: tillstream_domain::cart::Approvals::default(),
            kits: tillstream_domain::cart::Kits::default(),
            holds: tillstream_domain::cart::CartHolds::default(),
            lots: tillstream_domain::cart::Lots::default(),
            charges: Charges {
                discounts: (0..discounts).map(head).collect(),
                lines: lines.iter().map(|line| (line.number, charged.clone())).collect(),
                ..Charges::default()
            },
            terms: SaleTerms::default(),
            lines,
            numbers_used: NumbersUsed::default(),
            applied: Applied::default(),
            plan_attempt: None,
            return_of: None,
            course: Course::default(),
            void_reason: None,
            finalized: Some(Finalized {
                number: LaneNumber { lane: Lane::new("s-1", "r-1"), number: 1 },
                order_version: 1,
                status: "completed".to_owned(),
                at,
                recorded_at: at,
                business_day: "1970-01-01".parse().unwrap(),
                hour_start: at,
                offset_seconds: 0,
            }),
        }
    }

    fn store() -> Store {
        Store {
            id: "s-1".to_owned(),
            name: "Shop".to_owned(),
            address_lines: Vec::new(),
            tax_id: None,
            time_zone: "UTC".to_owned(),
        }
    }

    /// Whatever an order may hold, its data are within what documents take.
    #[test]
    fn the_longest_order_with_the_most_discounts_has_its_documents() {
        for (lines, discounts, shown) in
            [(LINES_MAX, 1, 1), (LINES_MAX, 2, 1), (LINES_MAX, 300, 1), (1_000, 5, 5), (1_000, 6, 1)]
        {
            let document = order_document(&sale(lines, discounts), None, store(), false).unwrap();
            let last = document.lines.last().unwrap();
            assert_eq!(last.discounts.len(), shown, "{lines} lines, {discounts} discounts");
            let off: i64 = last.discounts.iter().map(|discount| discount.amount.amount).sum();
            assert_eq!((off, last.gross.amount - last.total.amount), (discounts.into(), discounts.into()));
            let off: i64 = document.discounts.iter().map(|discount| discount.amount.amount).sum();
            assert_eq!(off, document.totals.discount.amount);
            let data = DocumentData::Order(Box::new(document));
            for format in Format::ALL {
                let made = render(Kind::Receipt, format, &data, None);
                assert!(made.is_ok(), "{lines} lines, {discounts} discounts as {format}: {made:?}");
            }
        }
    }

    /// With so many modifiers of one and a half pence, and so many taxes of a penny, on each line of a sale.
    fn with_modifiers_and_taxes(mut cart: Cart, modifiers: usize, taxes: u16) -> Cart {
        let chosen = |n: usize| Chosen { name: format!("Wish {n}"), ten_thousandths: 150 };
        let chosen: Vec<Chosen> = (0..modifiers).map(chosen).collect();
        for line in &cart.lines {
            let terms = LineTerms { modifiers: chosen.clone(), ..LineTerms::default() };
            cart.terms.lines.insert(line.number, terms);
        }
        let head = |n: u16| TaxHead {
            id: format!("t-{n}"),
            version: 1,
            name: format!("Tax {n}"),
            rate_bps: 100,
            included: true,
        };
        cart.charges.taxes = (0..taxes).map(head).collect();
        for charged in cart.charges.lines.values_mut() {
            charged.taxes = (0..taxes).map(|head| (head, 1)).collect();
        }
        cart
    }

    /// Whatever is chosen with an order's lines and levied on them: a receipt tells all of it, or its sum.
    #[test]
    fn the_longest_order_with_the_most_modifiers_and_taxes_has_its_documents() {
        for (lines, (modifiers, taxes), shown) in [
            (LINES_MAX, (50, 10), (1, 1)),
            (LINES_MAX, (8, 0), (1, 0)),
            (LINES_MAX, (0, 7), (0, 1)),
            (LINES_MAX, (2, 3), (2, 3)),
            (LINES_MAX, (4, 4), (1, 1)),
            (1_000, (14, 10), (14, 10)),
            (1_000, (16, 10), (1, 10)),
        ] {
            let label = format!("{lines} lines, {modifiers} modifiers, {taxes} taxes");
            let cart = with_modifiers_and_taxes(sale(lines, 0), modifiers, taxes);
            let document = order_document(&cart, None, store(), false).unwrap();
            let last = document.lines.last().unwrap();
            assert_eq!((last.modifiers.len(), last.taxes.len()), shown, "{label}");
            let tax: i64 = last.taxes.iter().map(|tax| tax.amount.amount).sum();
            let rate: u32 = last.taxes.iter().map(|tax| tax.rate_bps).sum();
            assert_eq!((tax, rate), (taxes.into(), 100 * u32::from(taxes)), "{label}");
            if shown.0 == 1 {
                let one = &last.modifiers[0];
                // Of all before it is rounded: as many times one and a half pence.
                let price = i64::try_from(modifiers * 3 / 2).unwrap();
                assert_eq!((one.name.clone(), one.price.amount), (format!("{modifiers} choices"), price));
            }
            let of_lines: i64 =
                document.lines.iter().flat_map(|line| &line.taxes).map(|tax| tax.amount.amount).sum();
            assert_eq!(of_lines, document.totals.tax.amount, "{label}");
            let data = DocumentData::Order(Box::new(document));
            for kind in [Kind::Receipt, Kind::KitchenChit] {
                for format in Format::ALL {
                    let made = render(kind, format, &data, None).map(|made| made.bytes.len());
                    assert!(made.is_ok(), "{label}: {kind} as {format}: {made:?}");
                }
            }
        }
    }

    /// All that there may be at once is told, in as many words as there is room for.
    #[test]
    fn the_longest_order_with_the_most_of_everything_has_its_documents() {
        let mut cart = with_modifiers_and_taxes(sale(LINES_MAX, 2), 50, 10);
        let made = |cart: &Cart, kind: Kind, format: Format| {
            let document = order_document(cart, None, store(), false).unwrap();
            let data = DocumentData::Order(Box::new(document));
            let made = rendered(kind, format, &data, None);
            let made = made.unwrap_or_else(|error| panic!("{kind} as {format}: {error}"));
            String::from_utf8_lossy(&made.document.bytes).into_owned()
        };
        let count = |page: &str, what: &str| page.matches(what).count();
        for paper in [Format::Text, Format::Escpos] {
            let paper = made(&cart, Kind::Receipt, paper);
            assert_eq!(
                (count(&paper, "50 choices"), count(&paper, "after discounts")),
                (LINES_MAX, LINES_MAX)
            );
        }
        // With all of it the page is larger than it may be: what single lines lost is told of the order alone.
        let page = made(&cart, Kind::Receipt, Format::Html);
        assert_eq!((count(&page, "50 choices"), count(&page, "after discounts")), (LINES_MAX, 0));
        assert_eq!((count(&page, "<td>Discounts</td>"), count(&page, "<td>-100.00</td>")), (1, 1));
        for line in &mut cart.lines {
            line.quantity = Quantity::from_pieces(2).unwrap();
            line.notes = Some(format!("note {:05}, forty characters as it stands", line.number));
        }
        let page = made(&cart, Kind::Receipt, Format::Html);
        assert_eq!(
            (count(&page, "2 A name"), count(&page, "choices"), count(&page, "note")),
            (LINES_MAX, 0, 0)
        );
        // Who makes it reads every word of it.
        let page = made(&cart, Kind::KitchenChit, Format::Html);
        assert_eq!((count(&page, "50 choices"), count(&page, "! note")), (LINES_MAX, LINES_MAX));
        for kind in [Kind::Receipt, Kind::KitchenChit, Kind::MerchantCopy] {
            for format in Format::ALL {
                assert!(!made(&cart, kind, format).is_empty());
            }
        }
    }

    /// What is no document is nobody's fault here: an answer, and none of a server that failed.
    #[test]
    fn what_no_document_holds_is_refused() {
        let mut document = order_document(&sale(1, 1), None, store(), false).unwrap();
        let one = Discount { name: "One".to_owned(), amount: document.totals.total };
        document.discounts = vec![one; ENTRIES_MAX + 1];
        let data = DocumentData::Order(Box::new(document));
        let refused = rendered(Kind::Receipt, Format::Text, &data, None).unwrap_err();
        assert_eq!(refused.code(), Some("document_too_many_entries"));
    }

    #[test]
    fn texts_are_cut_where_documents_would_refuse_them() {
        let mut cart = sale(1, 1);
        let long = "é".repeat(TEXT_CHARS_MAX + 1);
        cart.lines[0].name = long.clone();
        cart.lines[0].notes = Some(long.clone());
        cart.charges.discounts[0].name = long;
        let data = DocumentData::Order(Box::new(order_document(&cart, None, store(), false).unwrap()));
        render(Kind::Receipt, Format::Html, &data, None).unwrap();
    }

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
