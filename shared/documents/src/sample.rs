//! Made-up orders and shifts: what templates are tried on, and what a preview shows.

use jiff::Timestamp;
use tillstream_domain::money::{Currency, Money, UnitPrice};
use tillstream_domain::quantity::{Quantity, Unit};

use crate::DocumentData;
use crate::kind::Kind;
use crate::order_document::{
    Customer, Discount, DocumentLine, DocumentPayment, LineTax, Modifier, OrderDocument, OrderTotals,
    OriginalOrder, Store, TaxTotal,
};
use crate::shift_report::{Denomination, ShiftReport, TenderTotal};

/// Data for `kind` with every list filled and everything optional there, but for the tax number of the store,
/// which templates are given in any case.
pub fn full(kind: Kind) -> DocumentData {
    match kind {
        Kind::XReport | Kind::ZReport => DocumentData::Shift(Box::new(shift())),
        _ => DocumentData::Order(Box::new(order())),
    }
}

/// The same as a reprint.
pub fn reprint(kind: Kind) -> DocumentData {
    let mut data = full(kind);
    match &mut data {
        DocumentData::Order(order) => order.reprint = true,
        DocumentData::Shift(shift) => shift.reprint = true,
    }
    data
}

/// Data for `kind` with nothing in it that may be missing.
pub fn least(kind: Kind) -> DocumentData {
    let mut data = full(kind);
    match &mut data {
        DocumentData::Order(order) => {
            order.store.address_lines.clear();
            order.customer = None;
            order.lines.clear();
            order.discounts.clear();
            order.taxes.clear();
            order.payments.clear();
            order.refunds.clear();
            order.original = None;
            order.return_reason = None;
        }
        DocumentData::Shift(shift) => {
            shift.store.address_lines.clear();
            shift.z_number = None;
            shift.closed_at = None;
            shift.closed_by = None;
            shift.tenders.clear();
            shift.cash_counted = None;
            shift.cash_difference = None;
            shift.denominations.clear();
            shift.first_receipt = None;
            shift.last_receipt = None;
        }
    }
    data
}

fn pounds(pence: i64) -> Money {
    Money { amount: pence, currency: Currency::GBP }
}

/// 2026-03-28, a Saturday before the clocks go forward.
fn at(time_of_day_seconds: i64) -> Timestamp {
    Timestamp::from_second(1_774_656_000 + time_of_day_seconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn store() -> Store {
    Store {
        id: "s-high-street".to_owned(),
        name: "The Corner Shop".to_owned(),
        address_lines: vec!["12 High Street".to_owned(), "Oxford OX1 4DB".to_owned()],
        // No location has one yet.
        tax_id: None,
        time_zone: "Europe/London".to_owned(),
    }
}

fn discount(name: &str, pence: i64) -> Discount {
    Discount { name: name.to_owned(), amount: pounds(pence) }
}

fn vat(base: i64, amount: i64) -> TaxTotal {
    let (base, amount) = (pounds(base), pounds(amount));
    TaxTotal { name: "VAT A".to_owned(), rate_bps: 2_000, base, amount, included: true }
}

struct Sold<'a> {
    name: &'a str,
    sku: &'a str,
    thousandths: i64,
    unit: Unit,
    unit_price: i64,
    gross: i64,
    total: i64,
    tax: i64,
}

fn line(sold: Sold<'_>) -> DocumentLine {
    let tax = LineTax { name: "VAT A".to_owned(), rate_bps: 2_000, amount: pounds(sold.tax) };
    DocumentLine {
        name: sold.name.to_owned(),
        sku: sold.sku.to_owned(),
        quantity: Quantity::of_counter(sold.thousandths),
        unit: sold.unit,
        unit_price: UnitPrice::from_ten_thousandths(sold.unit_price).unwrap_or_default(),
        modifiers: Vec::new(),
        notes: None,
        discounts: Vec::new(),
        taxes: vec![tax],
        gross: pounds(sold.gross),
        total: pounds(sold.total),
    }
}

fn order() -> OrderDocument {
    let coffee = Sold {
        name: "Flat white",
        sku: "COF-02",
        thousandths: 2_000,
        unit: Unit::Piece,
        unit_price: 34_300,
        gross: 746,
        total: 646,
        tax: 108,
    };
    let cheese = Sold {
        name: "Mature Lincolnshire Poacher, cut from the wheel",
        sku: "CHE-17",
        thousandths: 482,
        unit: Unit::Kg,
        unit_price: 285_000,
        gross: 1_374,
        total: 1_374,
        tax: 229,
    };
    let coffee = DocumentLine {
        modifiers: vec![
            Modifier { name: "Oat milk".to_owned(), price: pounds(30) },
            Modifier { name: "Extra hot".to_owned(), price: pounds(0) },
        ],
        notes: Some("One without a lid".to_owned()),
        discounts: vec![discount("Staff", 100)],
        ..line(coffee)
    };
    let card = DocumentPayment {
        tender: "card".to_owned(),
        amount: pounds(1_020),
        tip: pounds(135),
        charged: pounds(1_155),
        change: pounds(0),
        last_four: Some("4242".to_owned()),
        reference: Some("pi-7Q2M-88".to_owned()),
        entry_method: Some("contactless".to_owned()),
    };
    let cash = DocumentPayment {
        tender: "cash".to_owned(),
        amount: pounds(1_500),
        tip: pounds(0),
        charged: pounds(1_500),
        change: pounds(700),
        last_four: None,
        reference: None,
        entry_method: None,
    };
    let cash_back =
        DocumentPayment { amount: pounds(800), charged: pounds(800), change: pounds(0), ..cash.clone() };
    OrderDocument {
        reprint: false,
        undone: None,
        store: store(),
        register: "Till 2".to_owned(),
        employee: "Priya".to_owned(),
        receipt_number: "10482".to_owned(),
        order_id: "o-01HV7Z3K8Q".to_owned(),
        at: at(51_780),
        currency: Currency::GBP,
        customer: Some(Customer { id: "c-118".to_owned(), name: Some("Zoë Müller".to_owned()) }),
        lines: vec![coffee, line(cheese)],
        discounts: vec![discount("Loyalty", 202)],
        taxes: vec![vat(1_515, 303)],
        totals: OrderTotals {
            subtotal: pounds(2_120),
            discount: pounds(302),
            tax: pounds(303),
            tips: pounds(135),
            total: pounds(1_818),
            cash_rounding: pounds(2),
            payable: pounds(1_820),
            paid: pounds(2_520),
            change: pounds(700),
        },
        refunds: vec![card.clone(), cash_back],
        payments: vec![card, cash],
        original: Some(OriginalOrder {
            order_id: "o-01HV6A1B2C".to_owned(),
            receipt_number: "10377".to_owned(),
        }),
        return_reason: Some("Unwanted".to_owned()),
    }
}

fn shift() -> ShiftReport {
    let tender = |tender: &str, payments: (u64, i64), refunds: (u64, i64)| TenderTotal {
        tender: tender.to_owned(),
        payments_count: payments.0,
        payments: pounds(payments.1),
        refunds_count: refunds.0,
        refunds: pounds(refunds.1),
    };
    let counted = |value, count, pence| Denomination { value: pounds(value), count, amount: pounds(pence) };
    ShiftReport {
        reprint: false,
        store: store(),
        register: "Till 2".to_owned(),
        shift_id: "sh-0328-2".to_owned(),
        z_number: Some(214),
        z_epoch: 0,
        at: at(64_980),
        opened_at: at(31_500),
        opened_by: "Priya".to_owned(),
        closed_at: Some(at(64_920)),
        closed_by: Some("Tom".to_owned()),
        currency: Currency::GBP,
        opening_float: pounds(10_000),
        sales_count: 87,
        sales_total: pounds(143_218),
        tenders: vec![
            tender("card", (61, 101_980), (0, 0)),
            tender("cash", (24, 38_235), (2, 1_200)),
            tender("gift_card", (2, 3_000), (0, 0)),
            tender("voucher", (0, 0), (1, 2_920)),
        ],
        returns_count: 3,
        returns_total: pounds(4_120),
        tips: pounds(2_185),
        cash_rounding: pounds(-3),
        paid_in: pounds(2_500),
        paid_out: pounds(1_740),
        no_sales_count: 2,
        discounts: pounds(6_302),
        tax: pounds(23_870),
        returns_tax: pounds(687),
        cash_taken: pounds(38_235),
        cash_tips: pounds(485),
        cash_refunds: pounds(1_200),
        cash_expected: pounds(48_280),
        cash_counted: Some(pounds(48_230)),
        cash_difference: Some(pounds(-50)),
        denominations: vec![counted(2_000, 20, 40_000), counted(500, 16, 8_000), counted(5, 46, 230)],
        first_receipt: Some("10399".to_owned()),
        last_receipt: Some("10488".to_owned()),
    }
}
