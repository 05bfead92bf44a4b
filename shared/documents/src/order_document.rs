//! What a receipt, a copy, a chit or the receipt of a return is made from.
//!
//! Everything is as of the order: amounts are given, never worked out here, so that a document cannot
//! differ from the order it tells of.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_domain::money::{Currency, Money, UnitPrice};
use tillstream_domain::quantity::{Quantity, Unit};

/// An order, or a return, as its documents tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderDocument {
    /// Whether it was printed before.
    pub reprint: bool,
    /// Where the whole of a sale was undone: `voided` or `cancelled`.
    pub undone: Option<String>,
    /// Where it was sold.
    pub store: Store,
    /// The register's name.
    pub register: String,
    /// Who sold it, by name or id.
    pub employee: String,
    /// Its number on its lane.
    pub receipt_number: String,
    /// Its id.
    pub order_id: String,
    /// The time of the sale; documents show it in the store's zone.
    pub at: Timestamp,
    /// The currency of every amount.
    pub currency: Currency,
    /// Who bought it, if known.
    pub customer: Option<Customer>,
    /// What was sold or came back, in the order's order.
    pub lines: Vec<DocumentLine>,
    /// Discounts on the whole of it.
    pub discounts: Vec<Discount>,
    /// Tax by rate.
    pub taxes: Vec<TaxTotal>,
    /// The figures at its foot.
    pub totals: OrderTotals,
    /// What was paid.
    pub payments: Vec<DocumentPayment>,
    /// What was paid back.
    pub refunds: Vec<DocumentPayment>,
    /// The sale that a return belongs to, if known.
    pub original: Option<OriginalOrder>,
    /// Why it came back.
    pub return_reason: Option<String>,
}

/// A store as documents name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its address, one entry a line.
    pub address_lines: Vec<String>,
    /// Its tax registration, as the law wants it shown, if it is known.
    pub tax_id: Option<String>,
    /// IANA name of its time zone.
    pub time_zone: String,
}

/// A customer as documents name them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// Their id.
    pub id: String,
    /// Their name, if it is known and may be printed.
    pub name: Option<String>,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentLine {
    /// Name as of the sale.
    pub name: String,
    /// SKU.
    pub sku: String,
    /// How many.
    pub quantity: Quantity,
    /// How it is sold.
    pub unit: Unit,
    /// Price per unit.
    pub unit_price: UnitPrice,
    /// What was chosen with it.
    pub modifiers: Vec<Modifier>,
    /// Free text.
    pub notes: Option<String>,
    /// Discounts on this line.
    pub discounts: Vec<Discount>,
    /// Taxes on this line.
    pub taxes: Vec<LineTax>,
    /// Before discounts.
    pub gross: Money,
    /// After discounts.
    pub total: Money,
}

/// What was chosen with a line: oat milk, a longer lead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modifier {
    /// Its name.
    pub name: String,
    /// What it adds to the price of one; it is within the line's amounts.
    pub price: Money,
}

/// A discount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discount {
    /// Its name.
    pub name: String,
    /// What it takes off, as an amount above zero.
    pub amount: Money,
}

/// A tax on one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineTax {
    /// Its name or letter.
    pub name: String,
    /// Its rate in hundredths of a percent (2000 is 20 %).
    pub rate_bps: u32,
    /// The tax.
    pub amount: Money,
}

/// The tax of one rate on the whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxTotal {
    /// Its name or letter.
    pub name: String,
    /// Its rate in hundredths of a percent (2000 is 20 %).
    pub rate_bps: u32,
    /// What it is levied on.
    pub base: Money,
    /// The tax.
    pub amount: Money,
    /// Whether the prices contain it.
    pub included: bool,
}

/// The figures at the foot of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderTotals {
    /// Lines before discounts.
    pub subtotal: Money,
    /// Discounts, as an amount above zero.
    pub discount: Money,
    /// Tax.
    pub tax: Money,
    /// Tips.
    pub tips: Money,
    /// What the goods came to: discounts off, tax in, without tips and before rounding to coins.
    pub total: Money,
    /// What rounding to coins added to the total; below zero where it took something off.
    pub cash_rounding: Money,
    /// The total with that rounding: what was to be paid, or paid back, before tips.
    pub payable: Money,
    /// What was handed over for the goods, without tips.
    pub paid: Money,
    /// What was given back.
    pub change: Money,
}

/// A payment, or for a return a refund.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentPayment {
    /// `cash`, `card`, ….
    pub tender: String,
    /// What was handed over for the goods, without the tip.
    pub amount: Money,
    /// The tip, on top of the amount.
    pub tip: Money,
    /// Both together: what a card is charged.
    pub charged: Money,
    /// What was given back.
    pub change: Money,
    /// Last four digits of a card.
    pub last_four: Option<String>,
    /// The payment provider's reference.
    pub reference: Option<String>,
    /// `chip`, `contactless`, `keyed`, ….
    pub entry_method: Option<String>,
}

/// The sale that a return belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginalOrder {
    /// Its id.
    pub order_id: String,
    /// Its number.
    pub receipt_number: String,
}
