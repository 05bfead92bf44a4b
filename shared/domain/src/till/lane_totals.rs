//! Running totals of a lane: what all carts that took a number of it come to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cart::{Cart, CartError, CartKind, EXCHANGE, TENDERS};

/// Where the totals count a tender that is neither among [`TENDERS`] nor [`EXCHANGE`].
pub const OTHER_TENDER: &str = "other";

/// What came in and went out by one tender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TenderTotals {
    /// How many payments.
    pub payments: i64,
    /// What they came to: less change, without tips. Minor units.
    pub paid: i64,
    /// How many refunds.
    pub refunds: i64,
    /// What they came to, above zero.
    pub refunded: i64,
}

/// Totals of a lane, or of some of its numbers. Amounts in minor units. New ones are added at will: what
/// an older record lacks reads as nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LaneTotals {
    /// How many sales, those of nothing included.
    pub sales: i64,
    /// What they came to: discounts off, tax in, without tips.
    pub sales_total: i64,
    /// How many returns.
    pub returns: i64,
    /// What they came to, above zero.
    pub returns_total: i64,
    /// Discounts of the sales.
    pub discounts: i64,
    /// Tax of the sales.
    pub tax: i64,
    /// Tax of the returns, above zero.
    pub returns_tax: i64,
    /// Tips, on top of the sales.
    pub tips: i64,
    /// Those of them that came with cash.
    pub cash_tips: i64,
    /// What was added to what sales came to, less what was added to returns, so that cash could be paid in
    /// coins: `sales_total - returns_total + cash_rounding` is what tenders took in less what they gave back.
    pub cash_rounding: i64,
    /// By tender; one that nothing was paid by may be missing.
    pub tenders: BTreeMap<String, TenderTotals>,
}

impl LaneTotals {
    /// What one final cart comes to.
    ///
    /// # Errors
    /// [`CartError::Money`] where its sums leave the accepted range.
    pub fn of_cart(cart: &Cart) -> Result<Self, CartError> {
        let of = cart.totals()?;
        let mut totals = match cart.kind {
            CartKind::Sale => LaneTotals {
                sales: 1,
                sales_total: of.total,
                discounts: of.discount,
                tax: of.tax,
                tips: of.tips,
                cash_rounding: of.cash_rounding,
                ..LaneTotals::default()
            },
            CartKind::Return => LaneTotals {
                returns: 1,
                returns_total: of.total,
                returns_tax: of.tax,
                // What undoes a sale gives its tips back.
                tips: of.tips.saturating_neg(),
                cash_rounding: of.cash_rounding.saturating_neg(),
                ..LaneTotals::default()
            },
        };
        for payment in &cart.payments {
            let tender = payment.tender.as_str();
            let known = tender == EXCHANGE || TENDERS.contains(&tender);
            let tender = if known { tender } else { OTHER_TENDER };
            let by = totals.tenders.entry(tender.to_owned()).or_default();
            match cart.kind {
                CartKind::Sale => {
                    by.payments += 1;
                    by.paid = by.paid.saturating_add(payment.amount.saturating_sub(payment.change));
                    if tender == "cash" {
                        totals.cash_tips = totals.cash_tips.saturating_add(payment.tip);
                    }
                }
                CartKind::Return => {
                    by.refunds += 1;
                    by.refunded = by.refunded.saturating_add(payment.amount);
                    if tender == "cash" {
                        totals.cash_tips = totals.cash_tips.saturating_sub(payment.tip);
                    }
                }
            }
        }
        Ok(totals)
    }

    fn zip(&self, other: &LaneTotals, with: fn(i64, i64) -> i64) -> LaneTotals {
        let mut tenders = BTreeMap::new();
        for name in self.tenders.keys().chain(other.tenders.keys()) {
            let (a, b) = (self.tender(name), other.tender(name));
            let both = TenderTotals {
                payments: with(a.payments, b.payments),
                paid: with(a.paid, b.paid),
                refunds: with(a.refunds, b.refunds),
                refunded: with(a.refunded, b.refunded),
            };
            if both != TenderTotals::default() {
                tenders.insert(name.clone(), both);
            }
        }
        LaneTotals {
            sales: with(self.sales, other.sales),
            sales_total: with(self.sales_total, other.sales_total),
            returns: with(self.returns, other.returns),
            returns_total: with(self.returns_total, other.returns_total),
            discounts: with(self.discounts, other.discounts),
            tax: with(self.tax, other.tax),
            returns_tax: with(self.returns_tax, other.returns_tax),
            tips: with(self.tips, other.tips),
            cash_tips: with(self.cash_tips, other.cash_tips),
            cash_rounding: with(self.cash_rounding, other.cash_rounding),
            tenders,
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &LaneTotals) -> LaneTotals {
        self.zip(other, i64::saturating_add)
    }

    /// What was added since they were `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &LaneTotals) -> LaneTotals {
        self.zip(earlier, i64::saturating_sub)
    }

    /// What came in and went out by a tender.
    pub fn tender(&self, name: &str) -> TenderTotals {
        self.tenders.get(name).copied().unwrap_or_default()
    }

    /// What all this put into the drawer: cash that stayed, with the tips that came with it, less cash
    /// handed back. A tip in cash lies in the drawer with the payment until somebody takes it out, by
    /// `paid_out` with that reason.
    pub fn drawer(&self) -> i64 {
        let cash = self.tender("cash");
        cash.paid.saturating_sub(cash.refunded).saturating_add(self.cash_tips)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn totals(numbers: &[i64; 14]) -> LaneTotals {
        let [
            sales,
            sales_total,
            returns,
            returns_total,
            discounts,
            tax,
            returns_tax,
            tips,
            cash_tips,
            cash_rounding,
            a,
            b,
            c,
            d,
        ] = *numbers;
        let by = TenderTotals { payments: a, paid: b, refunds: c, refunded: d };
        let tenders = BTreeMap::from([("cash".to_owned(), by)]);
        let tenders = if by == TenderTotals::default() { BTreeMap::new() } else { tenders };
        LaneTotals {
            sales,
            sales_total,
            returns,
            returns_total,
            discounts,
            tax,
            returns_tax,
            tips,
            cash_tips,
            cash_rounding,
            tenders,
        }
    }

    proptest! {
        #[test]
        fn what_was_added_is_what_was_added(
            before in prop::array::uniform14(0_i64..1_000), added in prop::array::uniform14(0_i64..1_000),
        ) {
            let (before, added) = (totals(&before), totals(&added));
            prop_assert_eq!(before.plus(&added).since(&before), added.clone());
            prop_assert_eq!(before.plus(&added).drawer(), before.drawer() + added.drawer());
            // Totals of a build that knows fewer of them are read, and what they lack is nothing.
            prop_assert_eq!(LaneTotals::default().plus(&added), added.clone());
            let written = serde_json::to_string(&added).unwrap();
            prop_assert_eq!(serde_json::from_str::<LaneTotals>(&written).unwrap(), added);
        }
    }

    #[test]
    fn what_an_older_record_lacks_is_nothing() {
        let old: LaneTotals =
            serde_json::from_str(r#"{"sales":2,"tenders":{"card":{"paid":5}},"newer":1}"#).unwrap();
        let card = TenderTotals { paid: 5, ..TenderTotals::default() };
        let tenders = BTreeMap::from([("card".to_owned(), card)]);
        assert_eq!(old, LaneTotals { sales: 2, tenders, ..LaneTotals::default() });
    }
}
