//! What the reports on a shift are made from.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_domain::money::{Currency, Money};

use crate::order_document::Store;

/// A shift as its reports tell it. Figures are given, never worked out here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShiftReport {
    /// Whether it was printed before.
    pub reprint: bool,
    /// Where it was.
    pub store: Store,
    /// The register's name.
    pub register: String,
    /// Its id.
    pub shift_id: String,
    /// The number of its closing; none while it goes on.
    pub z_number: Option<u64>,
    /// The epoch of that number: 0 before the first restore from backup.
    pub z_epoch: u32,
    /// As of when the figures are.
    pub at: Timestamp,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// By whom.
    pub opened_by: String,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// By whom.
    pub closed_by: Option<String>,
    /// The currency of every amount.
    pub currency: Currency,
    /// Cash in the drawer at the opening.
    pub opening_float: Money,
    /// How many sales.
    pub sales_count: u64,
    /// What they came to.
    pub sales_total: Money,
    /// By tender, also one that only refunds were made by.
    pub tenders: Vec<TenderTotal>,
    /// How many returns.
    pub returns_count: u64,
    /// What they came to.
    pub returns_total: Money,
    /// Tips of all tenders, on top of the sales.
    pub tips: Money,
    /// What was added to sales, less that of returns, so that cash could be paid in coins.
    pub cash_rounding: Money,
    /// Cash put into the drawer beside sales.
    pub paid_in: Money,
    /// Cash taken out of it.
    pub paid_out: Money,
    /// How often the drawer was opened without a sale.
    pub no_sales_count: u64,
    /// Discounts, as an amount above zero.
    pub discounts: Money,
    /// Tax of the sales, of all rates: a register's totals know none.
    pub tax: Money,
    /// Tax of the returns, as an amount above zero; not taken off that of the sales.
    pub returns_tax: Money,
    /// Cash that sales brought, less change and without tips.
    pub cash_taken: Money,
    /// Tips that came with cash, less those that were given back.
    pub cash_tips: Money,
    /// Cash that returns gave back, as an amount above zero.
    pub cash_refunds: Money,
    /// Cash that should be in the drawer: the float, cash taken, cash tips and paid in, less cash refunds and
    /// paid out.
    pub cash_expected: Money,
    /// Cash that is.
    pub cash_counted: Option<Money>,
    /// Counted less expected.
    pub cash_difference: Option<Money>,
    /// How it was counted.
    pub denominations: Vec<Denomination>,
    /// Number of the first receipt.
    pub first_receipt: Option<String>,
    /// Number of the last.
    pub last_receipt: Option<String>,
}

/// What came in and went out by one tender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenderTotal {
    /// `cash`, `card`, ….
    pub tender: String,
    /// How many payments.
    pub payments_count: u64,
    /// What they came to, less change and without tips.
    pub payments: Money,
    /// How many refunds.
    pub refunds_count: u64,
    /// What they came to, as an amount above zero.
    pub refunds: Money,
}

/// Coins or notes of one value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denomination {
    /// The value of one.
    pub value: Money,
    /// How many.
    pub count: u64,
    /// What they come to.
    pub amount: Money,
}
