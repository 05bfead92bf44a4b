//! The figures themselves.

use serde::{Deserialize, Serialize};

use crate::money::{divide_rounding, format_decimal};
use crate::quantity::QuantityInput;

/// Sums over facts. Amounts in minor units of one currency, units in thousandths.
///
/// Accepted amounts end at 10¹² minor units, so a sum would need millions of the largest orders to
/// leave `i64`; it would then stay at the limit rather than wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Metrics {
    /// Sales before discounts, without tax.
    pub gross: i64,
    /// Discounts on sales.
    pub discounts: i64,
    /// What came back, positive.
    pub returns: i64,
    /// Tax of sales less that of returns.
    pub tax: i64,
    /// Tips.
    pub tips: i64,
    /// Sales.
    pub orders: u64,
    /// Returns.
    pub return_orders: u64,
    /// Thousandths sold.
    pub units: i64,
}

impl Metrics {
    /// Adds `other`.
    pub fn add(&mut self, other: &Metrics) {
        self.gross = self.gross.saturating_add(other.gross);
        self.discounts = self.discounts.saturating_add(other.discounts);
        self.returns = self.returns.saturating_add(other.returns);
        self.tax = self.tax.saturating_add(other.tax);
        self.tips = self.tips.saturating_add(other.tips);
        self.orders = self.orders.saturating_add(other.orders);
        self.return_orders = self.return_orders.saturating_add(other.return_orders);
        self.units = self.units.saturating_add(other.units);
    }

    /// Gross − discounts − returns.
    pub fn net(&self) -> i64 {
        self.gross.saturating_sub(self.discounts).saturating_sub(self.returns)
    }

    /// (Gross − discounts) ÷ orders, rounded half away from zero; `None` without orders.
    pub fn average_order_value(&self) -> Option<i64> {
        per_order(self.gross.saturating_sub(self.discounts), self.orders)
    }

    /// Units ÷ orders as a decimal of up to 3 places, rounded half away from zero; `None` without orders.
    pub fn units_per_order(&self) -> Option<String> {
        per_order(self.units, self.orders).map(|thousandths| format_decimal(thousandths, 3, 0))
    }

    /// Units as a client reads them: an integer where they are whole, else a decimal string. A sum of
    /// pieces and of kilograms is what it is.
    pub fn units_shown(&self) -> QuantityInput {
        if self.units % 1_000 == 0 {
            QuantityInput::Whole(self.units / 1_000)
        } else {
            QuantityInput::Decimal(format_decimal(self.units, 3, 0))
        }
    }
}

fn per_order(sum: i64, orders: u64) -> Option<i64> {
    if orders == 0 {
        return None;
    }
    i64::try_from(divide_rounding(i128::from(sum), i128::from(orders))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_figures() {
        let metrics = Metrics { gross: 1_000, discounts: 95, returns: 300, orders: 2, ..Metrics::default() };
        assert_eq!(metrics.net(), 605);
        assert_eq!(metrics.average_order_value(), Some(453), "452.5 rounds away from zero");
        assert_eq!(Metrics { return_orders: 1, ..Metrics::default() }.average_order_value(), None);
    }
}
