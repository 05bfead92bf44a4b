//! Discounts that an employee gives.

use serde::{Deserialize, Serialize};

use super::error::PricingError;
use super::explanation::{Explanation, Outcome, Reason, Source};
use super::priced::{FallsOn, TouchedLine};
use super::promotion::{check_amount, check_percentage, check_text};
use super::remaining::{Discount, Part, Remaining, RemainingLine, spread, spread_percentage, total_off};

/// Most manual discounts on one basket.
pub const MANUAL_DISCOUNTS_MAX: usize = 20;

/// What an employee takes off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ManualDiscountKind {
    /// A part of one line.
    PercentLine {
        /// Number of the line.
        line: u32,
        /// Basis points off.
        bps: u32,
    },
    /// A part of all lines: rounded once, then apportioned.
    PercentCart {
        /// Basis points off.
        bps: u32,
    },
    /// An amount off one line.
    FixedLine {
        /// Number of the line.
        line: u32,
        /// Minor units off, at most what is left.
        amount: i64,
    },
    /// An amount off all lines together, apportioned.
    FixedCart {
        /// Minor units off, at most what is left.
        amount: i64,
    },
}

/// A discount given by an employee.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManualDiscount {
    /// Number within the cart. It only names the discount: no amount depends on it.
    pub number: u32,
    /// What it takes off.
    pub kind: ManualDiscountKind,
    /// Why it was given; stands on the receipt.
    pub reason: String,
}

impl ManualDiscountKind {
    /// The line it is for, if it is for one.
    pub fn line(&self) -> Option<u32> {
        match self {
            ManualDiscountKind::PercentLine { line, .. } | ManualDiscountKind::FixedLine { line, .. } => {
                Some(*line)
            }
            ManualDiscountKind::PercentCart { .. } | ManualDiscountKind::FixedCart { .. } => None,
        }
    }

    /// Whether it is a part of what goods come to, and grows with them.
    pub fn is_share(&self) -> bool {
        matches!(self, ManualDiscountKind::PercentLine { .. } | ManualDiscountKind::PercentCart { .. })
    }

    /// When its turn comes: percentages of lines, then of the cart, then amounts off lines, then off the
    /// cart, the smaller value first within each. The order of classes is that of Square's Orders API
    /// (<https://developer.squareup.com/docs/orders-api/discounts>); it does not depend on the order in
    /// which discounts were given.
    pub(super) fn rank_and_value(&self) -> (u8, i64) {
        match self {
            ManualDiscountKind::PercentLine { bps, .. } => (0, i64::from(*bps)),
            ManualDiscountKind::PercentCart { bps } => (1, i64::from(*bps)),
            ManualDiscountKind::FixedLine { amount, .. } => (2, *amount),
            ManualDiscountKind::FixedCart { amount } => (3, *amount),
        }
    }
}

impl ManualDiscount {
    /// Checks its value and its reason.
    ///
    /// # Errors
    /// [`PricingError::ManualDiscount`], [`PricingError::Rule`].
    pub fn check(&self) -> Result<(), PricingError> {
        let value = match self.kind {
            ManualDiscountKind::PercentLine { bps, .. } | ManualDiscountKind::PercentCart { bps } => {
                check_percentage(bps)
            }
            ManualDiscountKind::FixedLine { amount, .. } | ManualDiscountKind::FixedCart { amount } => {
                check_amount("amount", amount)
            }
        };
        value.map_err(|_| PricingError::ManualDiscount(self.number))?;
        check_text("a reason", &self.reason)
            .map_err(|error| PricingError::Rule(format!("manual discount {}", self.number), error))
    }

    fn attempt(&self, remaining: &Remaining) -> Result<Vec<Part>, Reason> {
        let line = self.kind.line();
        let lines = remaining.lines();
        let chosen: Vec<bool> = lines.iter().map(|l| line.is_none_or(|n| l.line.number == n)).collect();
        let mut meant =
            lines.iter().zip(&chosen).filter(|(l, chosen)| **chosen && l.line.discountable).peekable();
        if meant.peek().is_none() {
            return Err(Reason::NoMatchingLine);
        }
        if meant.all(|(l, _)| l.kept) {
            return Err(Reason::Exclusive);
        }
        let candidates = remaining.candidates(&chosen, |l| !l.kept);
        let parts = match self.kind {
            ManualDiscountKind::PercentLine { bps, .. } | ManualDiscountKind::PercentCart { bps } => {
                spread_percentage(&candidates, bps)
            }
            ManualDiscountKind::FixedLine { amount, .. } | ManualDiscountKind::FixedCart { amount } => {
                spread(&candidates, amount)
            }
        };
        if total_off(&parts) > 0 { Ok(parts) } else { Err(Reason::NothingToTakeOff) }
    }
}

/// Applies manual discounts in their canonical order; answers what came of each, and on which lines it fell.
pub(super) fn apply_manual_discounts(
    discounts: &[ManualDiscount],
    remaining: &mut Remaining,
) -> (Vec<Explanation>, FallsOn) {
    // Of the same value, the target's content decides, which its canonical position stands for.
    let position = |discount: &ManualDiscount| {
        let line = discount.kind.line();
        remaining.lines().iter().position(|l| Some(l.line.number) == line)
    };
    let mut in_order: Vec<_> =
        discounts.iter().map(|d| ((d.kind.rank_and_value(), position(d), d.number), d)).collect();
    in_order.sort_by_key(|(key, _)| *key);
    let mut falls_on = FallsOn::new();
    let apply = |(_, discount): (_, &ManualDiscount)| {
        let source = Source::ManualDiscount { number: discount.number };
        let outcome = match discount.attempt(remaining) {
            Err(reason) => Outcome::NotApplied { reason },
            Ok(parts) => {
                let lines = parts.iter().filter_map(|part| remaining.lines().get(part.at));
                let touched =
                    |line: &RemainingLine| TouchedLine { number: line.line.number, left: line.left };
                falls_on.insert(discount.number, lines.map(touched).collect());
                let taking =
                    Discount { source: source.clone(), name: &discount.reason, uses: 1, keeps_lines: false };
                Outcome::Applied { uses: 1, amount: remaining.take(&parts, &taking) }
            }
        };
        Explanation { source, name: discount.reason.clone(), outcome }
    };
    let explanations = in_order.into_iter().map(apply).collect();
    (explanations, falls_on)
}
