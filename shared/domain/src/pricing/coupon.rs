//! Coupons: what a code that a customer presents is good for.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::basket::Basket;
use super::conditions::{check_currency, check_validity, is_valid_at};
use super::error::RuleError;
use super::explanation::{Explanation, Outcome, Reason, Source};
use super::promotion::{check_amount, check_percentage};
use super::remaining::{
    Candidate, Discount, Part, Remaining, spread, spread_percentage, total_left, total_off,
};
use super::selection::{LineIndex, Selector};
use crate::identifier::check_id;
use crate::money::Currency;

/// Most coupons on one basket.
pub const COUPONS_MAX: usize = 10;

/// What a coupon gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CouponBenefit {
    /// A part of the lines it is for: rounded once, then apportioned.
    Percentage {
        /// Basis points off.
        bps: u32,
    },
    /// An amount off the lines it is for, apportioned.
    FixedAmount {
        /// Minor units off, at most what is left.
        amount: i64,
    },
    /// A promotion that is not automatic, as if it were applied by hand. It keeps its own place, target,
    /// conditions and limits.
    Promotion {
        /// Its id.
        promotion_id: String,
    },
}

/// A coupon that was presented. Whether it may still be redeemed is found out elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coupon {
    /// Its code, which is also what it is called on a receipt.
    pub code: String,
    /// What it gives.
    pub benefit: CouponBenefit,
    /// Currency of its amounts, where it has any.
    #[serde(default)]
    pub currency: Option<Currency>,
    /// What must be spent on the lines it is for, in minor units: on what is left of them when its turn
    /// comes, which for one that unlocks a promotion is before any discount.
    #[serde(default)]
    pub minimum_spend: Option<i64>,
    /// First instant it is valid.
    #[serde(default)]
    pub valid_from: Option<Timestamp>,
    /// First instant it is no longer valid.
    #[serde(default)]
    pub valid_to: Option<Timestamp>,
    /// What it is for.
    #[serde(default)]
    pub target: Selector,
}

impl Coupon {
    /// Checks every bound and contradiction, as it is taken in.
    ///
    /// # Errors
    /// [`RuleError`] naming the first that is wrong.
    pub fn check(&self) -> Result<(), RuleError> {
        check_id(&self.code)?;
        match &self.benefit {
            CouponBenefit::Percentage { bps } => check_percentage(*bps)?,
            CouponBenefit::FixedAmount { amount } => check_amount("amount", *amount)?,
            CouponBenefit::Promotion { promotion_id } => check_id(promotion_id)?,
        }
        if let Some(minimum) = self.minimum_spend {
            check_amount("minimum_spend", minimum)?;
        }
        check_validity(self.valid_from, self.valid_to)?;
        self.target.check()?;
        let has_amounts = matches!(self.benefit, CouponBenefit::FixedAmount { .. });
        check_currency(self.currency, has_amounts || self.minimum_spend.is_some())
    }

    /// Percentages first, as manual discounts; the smaller value first, then the lower code.
    fn order(&self) -> (u8, i64, &str) {
        match &self.benefit {
            CouponBenefit::Percentage { bps } => (0, i64::from(*bps), &self.code),
            CouponBenefit::FixedAmount { amount } => (1, *amount, &self.code),
            CouponBenefit::Promotion { .. } => (2, 0, &self.code),
        }
    }

    /// The lines it may take something off, if it holds at all.
    fn candidates<'r, 'a>(
        &self,
        basket: &Basket,
        index: &LineIndex,
        remaining: &'r Remaining<'a>,
    ) -> Result<Vec<Candidate<'r, 'a>>, Reason> {
        if self.currency.is_some_and(|currency| currency != basket.currency) {
            return Err(Reason::WrongCurrency);
        }
        if !is_valid_at(self.valid_from, self.valid_to, basket.at) {
            return Err(Reason::NotValidNow);
        }
        let chosen = index.chosen(&self.target);
        let lines = remaining.lines().iter().zip(&chosen);
        let mut meant = lines.filter(|(line, chosen)| **chosen && line.line.discountable).peekable();
        if meant.peek().is_none() {
            return Err(Reason::NoMatchingLine);
        }
        if meant.all(|(line, _)| line.kept) {
            return Err(Reason::Exclusive);
        }
        let candidates = remaining.candidates(&chosen, |line| !line.kept);
        let is = total_left(&candidates);
        match self.minimum_spend.filter(|needed| is < *needed) {
            Some(needed) => Err(Reason::BelowMinimum { needed, is }),
            None => Ok(candidates),
        }
    }

    fn explain(&self, outcome: Outcome) -> Explanation {
        let source = Source::Coupon { code: self.code.clone() };
        Explanation { source, name: self.code.clone(), outcome }
    }
}

/// Asks those coupons that unlock promotions, before anything is taken off; answers the ids of the
/// promotions and what came of each coupon.
pub(super) fn unlock<'b>(
    basket: &'b Basket,
    index: &LineIndex,
    remaining: &Remaining,
) -> (Vec<&'b str>, Vec<Explanation>) {
    let mut coupons: Vec<&Coupon> = basket.coupons.iter().collect();
    coupons.sort_by(|a, b| a.order().cmp(&b.order()));
    let (mut unlocked, mut explanations) = (Vec::new(), Vec::new());
    for coupon in coupons {
        let CouponBenefit::Promotion { promotion_id } = &coupon.benefit else { continue };
        explanations.push(coupon.explain(match coupon.candidates(basket, index, remaining) {
            Err(reason) => Outcome::NotApplied { reason },
            Ok(_) => {
                unlocked.push(promotion_id.as_str());
                Outcome::Unlocked { promotion_id: promotion_id.clone() }
            }
        }));
    }
    (unlocked, explanations)
}

/// Applies all other coupons in their canonical order; answers what came of each.
pub(super) fn apply_coupons(
    basket: &Basket,
    index: &LineIndex,
    remaining: &mut Remaining,
) -> Vec<Explanation> {
    let mut coupons: Vec<&Coupon> = basket.coupons.iter().collect();
    coupons.sort_by(|a, b| a.order().cmp(&b.order()));
    let mut explanations = Vec::new();
    for coupon in coupons {
        let candidates = coupon.candidates(basket, index, remaining);
        let parts: Result<Vec<Part>, Reason> = match (&coupon.benefit, candidates) {
            (CouponBenefit::Promotion { .. }, _) => continue,
            (_, Err(reason)) => Err(reason),
            (CouponBenefit::Percentage { bps }, Ok(candidates)) => Ok(spread_percentage(&candidates, *bps)),
            (CouponBenefit::FixedAmount { amount }, Ok(candidates)) => Ok(spread(&candidates, *amount)),
        };
        explanations.push(coupon.explain(match parts {
            Err(reason) => Outcome::NotApplied { reason },
            Ok(parts) if total_off(&parts) == 0 => Outcome::NotApplied { reason: Reason::NothingToTakeOff },
            Ok(parts) => {
                let source = Source::Coupon { code: coupon.code.clone() };
                let discount = Discount { source, name: &coupon.code, uses: 1, keeps_lines: false };
                Outcome::Applied { uses: 1, amount: remaining.take(&parts, &discount) }
            }
        }));
    }
    explanations
}
