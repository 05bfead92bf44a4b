//! What of a cart was approved by a supervisor, or allowed to a cashier without one.

use serde::{Deserialize, Serialize};

use super::{Cart, CartError, Totals};
use crate::quantity::Quantity;

/// Most approvals used on one cart. Each takes some 150 bytes of its item.
pub const APPROVALS_MAX: usize = 100;

/// What an approval was used for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ApprovedPart {
    /// A line's price.
    Line {
        /// Number of the line.
        number: u32,
        /// How many may be sold at it.
        most: Quantity,
    },
    /// A manual discount, by its number.
    Discount(u32),
    /// A blind return.
    Return {
        /// Most that may be refunded, in minor units.
        most: i64,
    },
    /// The whole of it.
    Whole,
}

/// An approval that was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedApproval {
    /// Which.
    pub approval_id: String,
    /// Who granted it.
    pub approved_by: String,
    /// What for.
    pub part: ApprovedPart,
}

/// What of a cart was approved, or needed no approval because it was small.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Approvals {
    /// Approvals that were used, in order.
    pub used: Vec<UsedApproval>,
    /// Numbers of the manual discounts that a cashier gave within what the tenant allows: together they
    /// must stay within it.
    pub allowed_discounts: Vec<u32>,
}

impl Approvals {
    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        *self == Approvals::default()
    }

    fn find(&self, is_it: impl Fn(&ApprovedPart) -> bool) -> Option<&UsedApproval> {
        self.used.iter().find(|used| is_it(&used.part))
    }

    /// The approval of a line's price.
    pub fn of_line(&self, number: u32) -> Option<&UsedApproval> {
        self.find(|part| matches!(part, ApprovedPart::Line { number: n, .. } if *n == number))
    }

    /// The approval of a manual discount.
    pub fn of_discount(&self, number: u32) -> Option<&UsedApproval> {
        self.find(|part| *part == ApprovedPart::Discount(number))
    }

    /// The approval of a blind return, or of the whole.
    pub fn of_whole(&self) -> Option<&UsedApproval> {
        self.find(|part| matches!(part, ApprovedPart::Return { .. } | ApprovedPart::Whole))
    }

    /// Most that may be refunded, in minor units, where that is limited.
    pub fn refund_limit(&self) -> Option<i64> {
        self.used.iter().find_map(|used| match used.part {
            ApprovedPart::Return { most } => Some(most),
            _ => None,
        })
    }

    /// Keeps that an approval was used.
    ///
    /// # Errors
    /// [`CartError::TooManyApprovals`].
    pub fn record(&mut self, used: UsedApproval) -> Result<(), CartError> {
        if self.used.len() >= APPROVALS_MAX {
            return Err(CartError::TooManyApprovals);
        }
        self.used.push(used);
        Ok(())
    }
}

/// What manual discounts take off, and of how much. Minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiscountShare {
    /// Taken off.
    pub off: i64,
    /// Before any discount.
    pub gross: i64,
}

impl Cart {
    /// What the manual discounts that a cashier gave without an approval take off the cart, with the one
    /// numbered `given` as one of them; and, where that one is for a line, what they take off that line.
    ///
    /// # Errors
    /// [`CartError::Money`].
    pub fn allowed_discounts_with(&self, given: Option<u32>) -> Result<Vec<DiscountShare>, CartError> {
        let counts =
            |number: u32| self.approvals.allowed_discounts.contains(&number) || given == Some(number);
        let off_line = |line: u32| {
            let of_line = self.charges.of_line(line);
            of_line
                .filter(|(head, _)| head.manual_number().is_some_and(counts))
                .map(|(_, off)| off)
                .sum::<i64>()
        };
        let mut whole = DiscountShare::default();
        let mut shares = Vec::new();
        let alone: Vec<u32> = self
            .charges
            .manual
            .iter()
            .filter(|discount| counts(discount.number))
            .filter_map(|discount| discount.kind.line())
            .collect();
        for line in &self.lines {
            let share = DiscountShare { off: off_line(line.number), gross: self.line_amounts(line)?.gross };
            whole.off = whole.off.saturating_add(share.off);
            whole.gross = whole.gross.saturating_add(share.gross);
            if alone.contains(&line.number) {
                shares.push(share);
            }
        }
        shares.push(whole);
        Ok(shares)
    }

    /// Checks that a blind return stays within what was approved.
    ///
    /// # Errors
    /// [`CartError::AboveApproved`].
    pub fn check_refund_limit(&self, totals: &Totals) -> Result<(), CartError> {
        match self.approvals.refund_limit() {
            Some(most) if totals.total > most => Err(CartError::AboveApproved { most }),
            _ => Ok(()),
        }
    }

    /// How many of a line may be sold at its price without a further approval: what was approved, or what
    /// it has.
    pub fn approved_quantity(&self, line_id: &str) -> Result<Quantity, CartError> {
        let line = self.line(line_id)?;
        Ok(match self.approvals.of_line(line.number).map(|used| &used.part) {
            Some(ApprovedPart::Line { most, .. }) => (*most).max(line.quantity),
            _ => line.quantity,
        })
    }
}
