//! A counted fact, as the fold sees it.

use jiff::Timestamp;
use jiff::civil::Date;

use super::metrics::Metrics;
use crate::lane::{Lane, LaneNumber};
use crate::money::Currency;
use crate::quantity::Quantity;

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactKind {
    /// Goods out.
    Sale,
    /// Goods in.
    Return,
}

/// A sale or a return with every dimension as of the sale. Its identity is its number on its lane.
/// Amounts are minor units of `currency`, positive for sales and returns alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaleFact {
    /// What was counted.
    pub kind: FactKind,
    /// Lane that counted it.
    pub lane: Lane,
    /// Its number there.
    pub number: u64,
    /// The store's business day.
    pub business_day: Date,
    /// Start of the store's local hour.
    pub hour_start: Timestamp,
    /// The store's offset from UTC at that hour, in seconds.
    pub offset_seconds: i32,
    /// Register, or virtual lane.
    pub register_id: String,
    /// Who sold.
    pub employee_id: String,
    /// `pos`, `web`, ….
    pub channel: String,
    /// Customer segment, if known.
    pub segment: Option<String>,
    /// Currency of all amounts.
    pub currency: Currency,
    /// Lines.
    pub lines: Vec<FactLine>,
    /// Payments, or refunds.
    pub payments: Vec<FactPayment>,
}

/// One line of a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactLine {
    /// SKU.
    pub sku: String,
    /// Category, if it has one.
    pub category: Option<String>,
    /// How many.
    pub quantity: Quantity,
    /// Before discounts, without tax.
    pub gross: i64,
    /// Discounts on it, those of the cart apportioned.
    pub discount: i64,
    /// Tax.
    pub tax: i64,
}

/// One payment of a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactPayment {
    /// Tender.
    pub tender: String,
    /// Kept: change is taken off.
    pub amount: i64,
    /// On top.
    pub tip: i64,
}

impl SaleFact {
    /// Its identity.
    pub fn lane_number(&self) -> LaneNumber {
        LaneNumber { lane: self.lane.clone(), number: self.number }
    }

    /// What one line adds; the order itself is not counted here.
    pub fn line_metrics(&self, line: &FactLine) -> Metrics {
        match self.kind {
            FactKind::Sale => Metrics {
                gross: line.gross,
                discounts: line.discount,
                tax: line.tax,
                units: line.quantity.thousandths(),
                ..Metrics::default()
            },
            FactKind::Return => Metrics {
                returns: line.gross.saturating_sub(line.discount),
                tax: line.tax.saturating_neg(),
                ..Metrics::default()
            },
        }
    }

    /// What one payment's tip adds.
    pub fn tip(&self, payment: &FactPayment) -> i64 {
        match self.kind {
            FactKind::Sale => payment.tip,
            FactKind::Return => payment.tip.saturating_neg(),
        }
    }

    /// The order itself, counted once, and nothing else.
    pub fn count(&self) -> Metrics {
        match self.kind {
            FactKind::Sale => Metrics { orders: 1, ..Metrics::default() },
            FactKind::Return => Metrics { return_orders: 1, ..Metrics::default() },
        }
    }
}
