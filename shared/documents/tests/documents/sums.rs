//! Whoever adds up what is printed comes to what is printed below it.

use tillstream_documents::{DocumentData, Format, Kind, ShiftReport, sample};
use tillstream_domain::money::{Currency, Money};

use crate::fixtures::{made, order, read_by_people};

/// What a document shows, a row a line, without the tags of a page.
fn shown(kind: Kind, format: Format, data: &DocumentData) -> String {
    let text = read_by_people(&made(kind, format, data)).replace("</td><td>", "  ");
    let without_tag = |(n, part): (usize, &str)| match part.split_once('>') {
        Some((_, text)) if n > 0 => text.to_owned(),
        _ => part.to_owned(),
    };
    text.split('<').enumerate().map(without_tag).collect()
}

/// The amount at the end of the first row that begins with `label`, in minor units. In large letters it may have a
/// row of its own.
#[track_caller]
fn row(text: &str, label: &str) -> i64 {
    let mut rows = text.lines().map(str::trim).skip_while(|row| !row.starts_with(label));
    let mut row = rows.next().unwrap_or_else(|| panic!("no {label:?} in\n{text}"));
    if row == label {
        row = rows.next().unwrap();
    }
    row.rsplit(' ').next().unwrap().replace('.', "").parse().unwrap()
}

fn pounds(pence: i64) -> Money {
    Money { amount: pence, currency: Currency::GBP }
}

fn shift(change: impl FnOnce(&mut ShiftReport)) -> DocumentData {
    let DocumentData::Shift(mut shift) = sample::full(Kind::ZReport) else { panic!("no shift") };
    change(&mut shift);
    DocumentData::Shift(shift)
}

#[test]
fn a_tip_is_on_top_of_what_was_paid() {
    for (kind, card, charged) in [
        (Kind::Receipt, "Card", "Charged to card"),
        (Kind::MerchantCopy, "Card", "Charged to card"),
        (Kind::ReturnReceipt, "Card", "Refunded to card"),
        (Kind::MerchantCopy, "Refund, Card", "Refunded to card"),
    ] {
        for format in Format::ALL {
            let text = shown(kind, format, &sample::full(kind));
            let rows = [card, "Tip ", charged].map(|label| row(&text, label));
            assert_eq!(rows, [1_020, 135, 1_155], "{kind} as {format}:\n{text}");
            assert_eq!(rows[0] + rows[1], rows[2]);
            assert!(!text.contains("of it tip"), "{text}");
        }
    }
    // In cash the tip lies beside what was handed over, and change is not of it.
    let cash = order(|order| {
        order.payments.remove(0);
        (order.payments[0].tip, order.payments[0].charged) = (pounds(50), pounds(1_550));
    });
    for kind in [Kind::Receipt, Kind::MerchantCopy] {
        let text = shown(kind, Format::Text, &cash);
        assert_eq!((row(&text, "Tip "), row(&text, "Cash handed over")), (50, 1_550), "{text}");
    }
}

#[test]
fn cash_rounding_stands_between_the_total_and_what_is_to_be_paid() {
    for (kind, total, to_pay) in [
        (Kind::Receipt, "TOTAL", "To pay"),
        (Kind::ReturnReceipt, "REFUND", "To refund"),
        // The sample tells why it came back.
        (Kind::MerchantCopy, "TOTAL", "To refund"),
    ] {
        for format in Format::ALL {
            for (rounding, payable) in [(2, 1_820), (-2, 1_816)] {
                let data = order(|order| {
                    let totals = &mut order.totals;
                    (totals.cash_rounding, totals.payable) = (pounds(rounding), pounds(payable));
                });
                let text = shown(kind, format, &data);
                let rows = [total, "Rounding", to_pay].map(|label| row(&text, label));
                assert_eq!(rows, [1_818, rounding, payable], "{kind} as {format}:\n{text}");
                let places = [total, "Rounding", to_pay].map(|label| text.find(label));
                assert!(places.is_sorted(), "{kind} as {format}:\n{text}");
            }
            let even = order(|order| {
                (order.totals.cash_rounding, order.totals.payable) = (pounds(0), order.totals.total);
            });
            let text = shown(kind, format, &even);
            assert!(!text.contains("Rounding") && !text.contains(to_pay), "{kind} as {format}:\n{text}");
        }
    }
    let sold = order(|order| order.return_reason = None);
    assert_eq!(row(&shown(Kind::MerchantCopy, Format::Text, &sold), "To pay"), 1_820);
}

#[test]
fn the_sample_of_an_order_adds_up() {
    let DocumentData::Order(order) = sample::full(Kind::Receipt) else { panic!("no order") };
    let totals = &order.totals;
    assert_eq!(totals.subtotal.amount - totals.discount.amount, totals.total.amount);
    assert_eq!(totals.total.amount + totals.cash_rounding.amount, totals.payable.amount);
    assert_eq!(totals.paid.amount - totals.change.amount, totals.payable.amount);
    for payments in [&order.payments, &order.refunds] {
        let net = payments.iter().map(|payment| payment.amount.amount - payment.change.amount);
        assert_eq!(net.sum::<i64>(), totals.payable.amount);
        assert_eq!(payments.iter().map(|payment| payment.tip.amount).sum::<i64>(), totals.tips.amount);
        assert!(payments.iter().all(|paid| paid.amount.amount + paid.tip.amount == paid.charged.amount));
    }
}

#[test]
fn a_report_shows_what_makes_up_the_cash_that_is_expected() {
    for kind in [Kind::XReport, Kind::ZReport] {
        for format in Format::ALL {
            let text = shown(kind, format, &sample::full(kind));
            let parts = [
                "Opening float",
                "Cash taken, less change",
                "Cash tips",
                "Cash refunds",
                "Paid in",
                "Paid out",
            ]
            .map(|label| row(&text, label));
            assert_eq!(parts, [10_000, 38_235, 485, -1_200, 2_500, -1_740], "{kind} as {format}:\n{text}");
            assert_eq!(parts.iter().sum::<i64>(), row(&text, "Cash expected"), "{kind} as {format}:\n{text}");
            if kind == Kind::ZReport {
                let difference = row(&text, "Cash counted") - row(&text, "Cash expected");
                assert_eq!(difference, row(&text, "DIFFERENCE"), "{text}");
            }
        }
    }
    let nothing = shift(|shift| (shift.cash_refunds, shift.paid_out) = (pounds(0), pounds(0)));
    assert!(!shown(Kind::ZReport, Format::Text, &nothing).contains("-0.00"));
}

#[test]
fn a_report_shows_what_came_in_and_went_out_by_tender() {
    for kind in [Kind::XReport, Kind::ZReport] {
        for format in Format::ALL {
            let text = shown(kind, format, &sample::full(kind));
            let at = |label| row(&text, label);
            let sales = ["Card (61)", "Cash (24)", "Gift card (2)", "Voucher (0)"].map(at);
            let refunds = ["refunds (2)", "refunds (1)"].map(at);
            assert_eq!(sales, [101_980, 38_235, 3_000, 0], "{kind} as {format}:\n{text}");
            assert_eq!(refunds, [-1_200, -2_920], "{kind} as {format}:\n{text}");
            assert_eq!(text.matches("refunds (").count(), 2, "{text}");
            let net = sales.iter().chain(&refunds).sum::<i64>();
            let sold = row(&text, "Sales (87)") - row(&text, "Returns (3)") + row(&text, "Rounding");
            assert_eq!(sold, net, "{kind} as {format}:\n{text}");
        }
    }
}

#[test]
fn a_report_tells_the_tax_of_sales_and_of_returns_without_a_rate() {
    for kind in [Kind::XReport, Kind::ZReport] {
        for format in Format::ALL {
            let text = shown(kind, format, &sample::full(kind));
            assert_eq!((row(&text, "Tax  "), row(&text, "Tax on returns")), (23_870, 687), "{text}");
            assert!(!text.contains('%') && !text.contains("VAT"), "{kind} as {format}:\n{text}");
        }
    }
}

#[test]
fn a_store_that_has_a_tax_number_shows_it() {
    let number = || Some("GB 999 9999 73".to_owned());
    let of_order = order(|order| order.store.tax_id = number());
    let of_shift = shift(|shift| shift.store.tax_id = number());
    for (kind, data) in [
        (Kind::Receipt, &of_order),
        (Kind::ReturnReceipt, &of_order),
        (Kind::MerchantCopy, &of_order),
        (Kind::XReport, &of_shift),
        (Kind::ZReport, &of_shift),
    ] {
        for format in Format::ALL {
            assert!(shown(kind, format, data).contains("Tax no. GB 999 9999 73"), "{kind} as {format}");
            assert!(!shown(kind, format, &sample::full(kind)).contains("Tax no."), "{kind} as {format}");
        }
    }
}
