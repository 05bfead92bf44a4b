//! What templates see: the data in a form to be printed, and of kinds without prices nothing that has one.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use minijinja::Value;
use minijinja::value::Serde;
use serde::Serialize;
use tillstream_domain::money::{Currency, Money, UnitPrice, format_decimal};
use tillstream_domain::quantity::{Quantity, QuantityInput, Unit};

use crate::DocumentData;
use crate::error::DocumentError;
use crate::kind::Kind;
use crate::order_document::{
    Customer, Discount, DocumentLine, DocumentPayment, LineTax, Modifier, OrderDocument, OrderTotals,
    OriginalOrder, Store, TaxTotal,
};
use crate::shift_report::{Denomination, ShiftReport, TenderTotal};

/// Under which name a kind's templates find their data.
pub(crate) fn root(kind: Kind) -> &'static str {
    if kind.is_of_shift() { "shift" } else { "order" }
}

/// What a template of `kind` is given.
///
/// # Errors
/// [`DocumentError::WrongData`], [`DocumentError::UnknownTimeZone`].
pub(crate) fn of(kind: Kind, data: &DocumentData) -> Result<Value, DocumentError> {
    let view = match data {
        DocumentData::Order(order) if !kind.is_of_shift() && kind.has_prices() => {
            Value::from(Serde(PricedOrder::of(order)?))
        }
        DocumentData::Order(order) if !kind.is_of_shift() => Value::from(Serde(Goods::of(kind, order)?)),
        DocumentData::Shift(shift) if kind.is_of_shift() => Value::from(Serde(Shift::of(shift)?)),
        _ => {
            let needs = if kind.is_of_shift() { "a shift" } else { "an order" };
            return Err(DocumentError::WrongData { kind, needs });
        }
    };
    Ok(Value::from_pairs([(root(kind), view)]))
}

/// A time of day in a store.
#[derive(Serialize)]
struct LocalTime {
    date: String,
    time: String,
    utc_offset: String,
}

impl LocalTime {
    fn of(at: Timestamp, zone: &str) -> Result<Self, DocumentError> {
        let zone = TimeZone::get(zone)
            .map_err(|_| DocumentError::UnknownTimeZone(zone.chars().take(64).collect()))?;
        let local = at.to_zoned(zone);
        // Of the hour that autumn has twice only the offset tells which it is.
        let utc_offset = local.strftime("%:z").to_string();
        let (date, time) = (local.strftime("%Y-%m-%d").to_string(), local.strftime("%H:%M").to_string());
        Ok(LocalTime { date, time, utc_offset })
    }
}

#[derive(Serialize)]
struct PricedOrder<'a> {
    reprint: bool,
    /// Empty where nothing was undone: a template may ask for it in any case.
    undone: &'a str,
    store: StoreView<'a>,
    register: &'a str,
    employee: &'a str,
    receipt_number: &'a str,
    order_id: &'a str,
    #[serde(flatten)]
    at: LocalTime,
    currency: Currency,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<CustomerView<'a>>,
    lines: Vec<PricedLine<'a>>,
    discounts: &'a [Discount],
    taxes: &'a [TaxTotal],
    totals: &'a OrderTotals,
    payments: Vec<PaymentView<'a>>,
    refunds: Vec<PaymentView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    original: Option<&'a OriginalOrder>,
    #[serde(skip_serializing_if = "Option::is_none")]
    return_reason: Option<&'a str>,
}

impl<'a> PricedOrder<'a> {
    fn of(order: &'a OrderDocument) -> Result<Self, DocumentError> {
        Ok(PricedOrder {
            reprint: order.reprint,
            undone: order.undone.as_deref().unwrap_or_default(),
            store: StoreView::of(&order.store),
            register: &order.register,
            employee: &order.employee,
            receipt_number: &order.receipt_number,
            order_id: &order.order_id,
            at: LocalTime::of(order.at, &order.store.time_zone)?,
            currency: order.currency,
            customer: order.customer.as_ref().map(CustomerView::of),
            lines: order.lines.iter().map(|line| PricedLine::of(line, order.currency)).collect(),
            discounts: &order.discounts,
            taxes: &order.taxes,
            totals: &order.totals,
            payments: order.payments.iter().map(PaymentView::of).collect(),
            refunds: order.refunds.iter().map(PaymentView::of).collect(),
            original: order.original.as_ref(),
            return_reason: order.return_reason.as_deref(),
        })
    }
}

/// An order without anything that has a price, or that a price could be told by. A list of what may be
/// seen, not of what may not: a field that is added later is not on it.
#[derive(Serialize)]
struct Goods<'a> {
    reprint: bool,
    /// Empty where nothing was undone: a template may ask for it in any case.
    undone: &'a str,
    store: StoreView<'a>,
    register: &'a str,
    employee: &'a str,
    receipt_number: &'a str,
    order_id: &'a str,
    #[serde(flatten)]
    at: LocalTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<CustomerView<'a>>,
    lines: Vec<GoodsLine<'a>>,
}

impl<'a> Goods<'a> {
    fn of(kind: Kind, order: &'a OrderDocument) -> Result<Self, DocumentError> {
        // The kitchen needs to know for whom it is and what they said; who gets a present does not.
        let is_for_staff = kind == Kind::KitchenChit;
        let line = |line: &'a DocumentLine| GoodsLine {
            name: &line.name,
            sku: &line.sku,
            quantity: quantity_text(line.quantity, line.unit),
            unit: unit_text(line.unit),
            modifiers: line.modifiers.iter().map(|modifier| ModifierName { name: &modifier.name }).collect(),
            notes: line.notes.as_deref().filter(|_| is_for_staff),
        };
        Ok(Goods {
            reprint: order.reprint,
            undone: order.undone.as_deref().unwrap_or_default(),
            store: StoreView::of(&order.store),
            register: &order.register,
            employee: &order.employee,
            receipt_number: &order.receipt_number,
            order_id: &order.order_id,
            at: LocalTime::of(order.at, &order.store.time_zone)?,
            customer: order.customer.as_ref().filter(|_| is_for_staff).map(CustomerView::of),
            lines: order.lines.iter().map(line).collect(),
        })
    }
}

#[derive(Serialize)]
struct StoreView<'a> {
    id: &'a str,
    name: &'a str,
    address_lines: &'a [String],
    /// Empty where it is not known: a template may ask for it in any case.
    tax_id: &'a str,
}

impl<'a> StoreView<'a> {
    fn of(store: &'a Store) -> Self {
        StoreView {
            id: &store.id,
            name: &store.name,
            address_lines: &store.address_lines,
            tax_id: store.tax_id.as_deref().unwrap_or_default(),
        }
    }
}

#[derive(Serialize)]
struct CustomerView<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

impl<'a> CustomerView<'a> {
    fn of(customer: &'a Customer) -> Self {
        CustomerView { id: &customer.id, name: customer.name.as_deref() }
    }
}

#[derive(Serialize)]
struct PricedLine<'a> {
    name: &'a str,
    sku: &'a str,
    quantity: String,
    unit: &'static str,
    unit_price: String,
    modifiers: &'a [Modifier],
    #[serde(skip_serializing_if = "Option::is_none")]
    notes: Option<&'a str>,
    discounts: &'a [Discount],
    taxes: &'a [LineTax],
    gross: Money,
    total: Money,
}

impl<'a> PricedLine<'a> {
    fn of(line: &'a DocumentLine, currency: Currency) -> Self {
        PricedLine {
            name: &line.name,
            sku: &line.sku,
            quantity: quantity_text(line.quantity, line.unit),
            unit: unit_text(line.unit),
            unit_price: unit_price_text(line.unit_price, currency),
            modifiers: &line.modifiers,
            notes: line.notes.as_deref(),
            discounts: &line.discounts,
            taxes: &line.taxes,
            gross: line.gross,
            total: line.total,
        }
    }
}

#[derive(Serialize)]
struct GoodsLine<'a> {
    name: &'a str,
    sku: &'a str,
    quantity: String,
    unit: &'static str,
    modifiers: Vec<ModifierName<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notes: Option<&'a str>,
}

#[derive(Serialize)]
struct ModifierName<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct PaymentView<'a> {
    tender: &'a str,
    amount: Money,
    tip: Money,
    charged: Money,
    change: Money,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_four: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry_method: Option<&'a str>,
}

impl<'a> PaymentView<'a> {
    fn of(payment: &'a DocumentPayment) -> Self {
        PaymentView {
            tender: &payment.tender,
            amount: payment.amount,
            tip: payment.tip,
            charged: payment.charged,
            change: payment.change,
            last_four: payment.last_four.as_deref(),
            reference: payment.reference.as_deref(),
            entry_method: payment.entry_method.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct Shift<'a> {
    reprint: bool,
    store: StoreView<'a>,
    register: &'a str,
    shift_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    z_number: Option<String>,
    #[serde(flatten)]
    at: LocalTime,
    opened: LocalTime,
    opened_by: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed: Option<LocalTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_by: Option<&'a str>,
    currency: Currency,
    opening_float: Money,
    sales_count: u64,
    sales_total: Money,
    tenders: &'a [TenderTotal],
    returns_count: u64,
    returns_total: Money,
    tips: Money,
    cash_rounding: Money,
    paid_in: Money,
    paid_out: Money,
    no_sales_count: u64,
    discounts: Money,
    tax: Money,
    returns_tax: Money,
    cash_taken: Money,
    cash_tips: Money,
    cash_refunds: Money,
    cash_expected: Money,
    #[serde(skip_serializing_if = "Option::is_none")]
    cash_counted: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cash_difference: Option<Money>,
    denominations: &'a [Denomination],
    #[serde(skip_serializing_if = "Option::is_none")]
    first_receipt: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_receipt: Option<&'a str>,
}

impl<'a> Shift<'a> {
    fn of(shift: &'a ShiftReport) -> Result<Self, DocumentError> {
        let local = |at| LocalTime::of(at, &shift.store.time_zone);
        Ok(Shift {
            reprint: shift.reprint,
            store: StoreView::of(&shift.store),
            register: &shift.register,
            shift_id: &shift.shift_id,
            z_number: shift.z_number.map(|number| match shift.z_epoch {
                0 => number.to_string(),
                epoch => format!("{number}~{epoch}"),
            }),
            at: local(shift.at)?,
            opened: local(shift.opened_at)?,
            opened_by: &shift.opened_by,
            closed: shift.closed_at.map(local).transpose()?,
            closed_by: shift.closed_by.as_deref(),
            currency: shift.currency,
            opening_float: shift.opening_float,
            sales_count: shift.sales_count,
            sales_total: shift.sales_total,
            tenders: &shift.tenders,
            returns_count: shift.returns_count,
            returns_total: shift.returns_total,
            tips: shift.tips,
            cash_rounding: shift.cash_rounding,
            paid_in: shift.paid_in,
            paid_out: shift.paid_out,
            no_sales_count: shift.no_sales_count,
            discounts: shift.discounts,
            tax: shift.tax,
            returns_tax: shift.returns_tax,
            cash_taken: shift.cash_taken,
            cash_tips: shift.cash_tips,
            cash_refunds: shift.cash_refunds,
            cash_expected: shift.cash_expected,
            cash_counted: shift.cash_counted,
            cash_difference: shift.cash_difference,
            denominations: &shift.denominations,
            first_receipt: shift.first_receipt.as_deref(),
            last_receipt: shift.last_receipt.as_deref(),
        })
    }
}

/// A quantity as people read it: `2`, `0.482`.
fn quantity_text(quantity: Quantity, unit: Unit) -> String {
    match quantity.display(unit) {
        QuantityInput::Whole(pieces) => pieces.to_string(),
        QuantityInput::Decimal(text) => text,
    }
}

/// What stands behind a measured quantity; behind pieces nothing does.
fn unit_text(unit: Unit) -> &'static str {
    if unit == Unit::Piece { "" } else { unit.name() }
}

/// A price per unit with at least the decimals of its currency (`2.50`, `0.0075`, in yen `250`).
fn unit_price_text(price: UnitPrice, currency: Currency) -> String {
    let keep = usize::try_from(currency.minor_digits()).unwrap_or(2);
    format_decimal(price.ten_thousandths(), 4, keep)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_times_follow_the_zone_and_its_summer() {
        let local = |at: &str, zone| LocalTime::of(at.parse().unwrap(), zone).unwrap();
        let summer = local("2026-07-01T23:30:00Z", "Europe/London");
        assert_eq!((&*summer.date, &*summer.time, &*summer.utc_offset), ("2026-07-02", "00:30", "+01:00"));
        let first = local("2011-10-30T00:30:00Z", "Europe/London");
        let second = local("2011-10-30T01:30:00Z", "Europe/London");
        assert_eq!(first.time, second.time);
        assert_ne!(first.utc_offset, second.utc_offset);
        let refused = LocalTime::of(Timestamp::UNIX_EPOCH, "Europe/Londin").err().unwrap();
        assert_eq!(refused.code(), "unknown_time_zone");
    }

    #[test]
    fn unit_prices_have_the_decimals_of_their_currency() {
        let text =
            |price: &str, currency: &str| unit_price_text(price.parse().unwrap(), currency.parse().unwrap());
        assert_eq!(text("2.5", "GBP"), "2.50");
        assert_eq!(text("0.0075", "GBP"), "0.0075");
        assert_eq!(text("250", "JPY"), "250");
        assert_eq!(text("250.5", "JPY"), "250.5");
        assert_eq!(text("2.5", "KWD"), "2.500");
    }

    /// Paths of all fields, those of a list's entries behind its name.
    fn fields(value: &Value, path: &str, all: &mut Vec<String>) {
        use minijinja::value::ValueKind;
        match value.kind() {
            ValueKind::Map => {
                for name in value.try_iter().unwrap() {
                    let field = format!("{path}.{name}");
                    fields(&value.get_item(&name).unwrap(), &field, all);
                    all.push(field);
                }
            }
            ValueKind::Seq => value.try_iter().unwrap().for_each(|entry| fields(&entry, path, all)),
            _ => {}
        }
    }

    #[test]
    fn authors_are_told_every_field() {
        let told = include_str!("../templates/README.md");
        for kind in Kind::ALL {
            let mut all = Vec::new();
            fields(&of(kind, &crate::sample::full(kind)).unwrap(), "", &mut all);
            assert!(all.len() > 20, "{all:?}");
            for name in all.iter().filter_map(|path| path.rsplit('.').next()) {
                assert!(told.contains(&format!("`{name}`")) || told.contains(&format!(".{name}`")), "{name}");
            }
        }
    }
}
