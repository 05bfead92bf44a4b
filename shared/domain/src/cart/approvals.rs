//! What of a cart was approved by a supervisor, or allowed to a cashier without one.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Cart, CartError, Totals};
use crate::approval::DiscountRule;
use crate::money::UnitPrice;
use crate::pricing::{FallsOn, TouchedLine, taken_of};
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
    /// A manual discount that is a share, and of how much.
    ShareOf {
        /// Its number.
        number: u32,
        /// What was left to pay of the goods that it fell on when its turn came, in minor units, as it was asked for: of
        /// more it is not.
        goods: i64,
    },
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
    /// What the tenant allowed when the last of those was given.
    pub allowed_by: Option<DiscountRule>,
    /// Shares that were given by whoever needs no approval, by their numbers, each with what was left to pay then of the
    /// goods that it fell on, in minor units: of more it is nobody's word. It stands in the cart's item by itself.
    #[serde(skip)]
    pub own_shares: BTreeMap<u32, i64>,
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
        self.find(|part| match part {
            ApprovedPart::Discount(of) | ApprovedPart::ShareOf { number: of, .. } => *of == number,
            _ => false,
        })
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

/// A discount that was given without an approval, as a line bears it. Minor units.
#[derive(Debug, Clone, Copy)]
struct Part {
    /// What was left to pay of the line when its turn came.
    left: i64,
    /// What it takes off the line.
    off: i64,
    /// Whether it is of this line alone.
    is_by_itself: bool,
}

/// What a line bears of the discounts that were given without an approval, in minor units.
#[derive(Debug, Clone, Copy)]
struct Borne {
    /// What would have been left to pay of it without them, where that was least when one of them fell on it.
    left: i64,
    /// What they take off it.
    off: i64,
    /// What those take off it that are of it alone.
    off_by_itself: i64,
}

impl Borne {
    fn of(mut parts: Vec<Part>) -> Self {
        // In the order of their turns: none leaves more than there was.
        parts.sort_by_key(|part| Reverse(part.left));
        let mut borne = Borne { left: i64::MAX, off: 0, off_by_itself: 0 };
        for part in parts {
            borne.left = borne.left.min(part.left.saturating_add(borne.off));
            borne.off = borne.off.saturating_add(part.off);
            if part.is_by_itself {
                borne.off_by_itself = borne.off_by_itself.saturating_add(part.off);
            }
        }
        borne
    }
}

/// What is taken off lines, and what would have been left of them.
fn together<'b>(lines: impl Iterator<Item = &'b Borne>) -> (i64, i64) {
    lines.fold((0, 0), |(off, left), line| (line.off.saturating_add(off), line.left.saturating_add(left)))
}

impl Cart {
    /// Lets the manual discount `number` pass without an approval, where all that a cashier gave so stays
    /// within `rule`.
    ///
    /// # Errors
    /// [`CartError::DiscountsAboveAllowed`].
    pub fn allow_discount(
        &mut self,
        number: u32,
        rule: DiscountRule,
        falls_on: &FallsOn,
    ) -> Result<(), CartError> {
        // Those that were taken back are no matter any more.
        let manual = &self.charges.manual;
        self.approvals.allowed_discounts.retain(|n| manual.iter().any(|given| given.number == *n));
        self.approvals.allowed_discounts.push(number);
        self.approvals.allowed_by = Some(rule);
        self.check_allowed_discounts(falls_on)
    }

    /// Checks that the manual discounts that were given without an approval are still within what was
    /// allowed: lines may have changed since. What is taken off lines by themselves is measured by each of them; what is
    /// taken off the cart by all that it falls on; and all of it by all lines that any of it falls on. What counts of a line
    /// is what would be left to pay of it without these discounts: a cart full of other lines, of goods that they cannot be
    /// taken off, or of dear ones that are all but free already, is no leave to give one away.
    ///
    /// # Errors
    /// [`CartError::DiscountsAboveAllowed`].
    pub fn check_allowed_discounts(&self, falls_on: &FallsOn) -> Result<(), CartError> {
        let Some(rule) = &self.approvals.allowed_by else { return Ok(()) };
        let mut parts: BTreeMap<u32, Vec<Part>> = BTreeMap::new();
        let mut of_cart: Vec<&[TouchedLine]> = Vec::new();
        for given in &self.charges.manual {
            let Some(lines) = falls_on.get(&given.number) else { continue };
            if !self.approvals.allowed_discounts.contains(&given.number) {
                continue;
            }
            let is_by_itself = given.kind.line().is_some();
            if !is_by_itself {
                of_cart.push(lines);
            }
            for line in lines {
                let of_line = self.charges.of_line(line.number);
                let own = of_line.filter(|(head, _)| head.manual_number() == Some(given.number));
                let off = own.fold(0_i64, |sum, (_, amount)| sum.saturating_add(amount));
                parts.entry(line.number).or_default().push(Part { left: line.left, off, is_by_itself });
            }
        }
        let borne: BTreeMap<u32, Borne> =
            parts.into_iter().map(|(number, parts)| (number, Borne::of(parts))).collect();
        let is_above = |(off, left): (i64, i64)| off > 0 && rule.needs(off, left);
        let borne_by =
            |lines: &[TouchedLine]| together(lines.iter().filter_map(|line| borne.get(&line.number)));
        let is_too_much = borne.values().any(|line| is_above((line.off_by_itself, line.left)))
            || of_cart.into_iter().any(|lines| is_above(borne_by(lines)))
            || is_above(together(borne.values()));
        if is_too_much { Err(CartError::DiscountsAboveAllowed) } else { Ok(()) }
    }

    /// A price set by hand less what the line's modifiers take off it.
    ///
    /// # Errors
    /// [`CartError::Money`] where they take off more than it.
    pub fn price_with_reductions(&self, number: u32, price: UnitPrice) -> Result<UnitPrice, CartError> {
        let modifiers = self.terms.lines.get(&number).map_or(&[][..], |terms| &terms.modifiers);
        let less = modifiers.iter().fold(0_i64, |sum, one| sum.saturating_add(one.ten_thousandths.min(0)));
        Ok(UnitPrice::from_ten_thousandths(price.ten_thousandths().saturating_add(less))?)
    }

    /// Keeps of what the manual discount `number` was taken that was given by whoever needs no approval, where it is a
    /// share.
    pub fn bind_share(&mut self, number: u32, falls_on: &FallsOn) {
        let manual = &self.charges.manual;
        if !manual.iter().any(|given| given.number == number && given.kind.is_share()) {
            return;
        }
        // Those that were taken back are no matter any more.
        self.approvals.own_shares.retain(|n, _| manual.iter().any(|given| given.number == *n));
        self.approvals.own_shares.insert(number, taken_of(falls_on, number));
    }

    /// Checks that shares are taken of no more than they were approved of, or given of by whoever needs no approval: so
    /// none takes off more than whoever gave it saw.
    ///
    /// # Errors
    /// [`CartError::ShareOfMore`].
    pub fn check_approved_discounts(&self, falls_on: &FallsOn) -> Result<(), CartError> {
        let approved = self.approvals.used.iter().filter_map(|used| match used.part {
            ApprovedPart::ShareOf { number, goods } => Some((number, goods)),
            _ => None,
        });
        let own = self.approvals.own_shares.iter().map(|(number, goods)| (*number, *goods));
        for (number, goods) in approved.chain(own) {
            if taken_of(falls_on, number) > goods {
                return Err(CartError::ShareOfMore { discount: format!("d-{number}"), goods });
            }
        }
        Ok(())
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
    ///
    /// # Errors
    /// [`CartError::UnknownLine`].
    pub fn approved_quantity(&self, line_id: &str) -> Result<Quantity, CartError> {
        let line = self.line(line_id)?;
        Ok(match self.approvals.of_line(line.number).map(|used| &used.part) {
            Some(ApprovedPart::Line { most, .. }) => (*most).max(line.quantity),
            _ => line.quantity,
        })
    }
}
