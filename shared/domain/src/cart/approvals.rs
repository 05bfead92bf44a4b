//! What of a cart was approved by a supervisor, or allowed to a cashier without one.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Cart, CartError, Line, Totals};
use crate::approval::DiscountRule;
use crate::money::UnitPrice;
use crate::pricing::FallsOn;
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
        /// What the goods that it fell on came to before anything was taken off, in minor units, when it was asked for:
        /// of more it is not.
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
    /// Shares that were given by whoever needs no approval, by their numbers, each with what the goods came to that it
    /// fell on then, in minor units: of more it is nobody's word. It stands in the cart's item by itself.
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

impl Cart {
    /// Lets the manual discount `number` pass without an approval, where all that a cashier gave so stays
    /// within `rule`.
    ///
    /// # Errors
    /// [`CartError::DiscountsAboveAllowed`]; [`CartError::Money`].
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
    /// allowed, of each line and of all lines that they fall on: lines may have changed since. A cart full of other
    /// lines, or of goods that they cannot be taken off, is no leave to give one away.
    ///
    /// # Errors
    /// [`CartError::DiscountsAboveAllowed`]; [`CartError::Money`].
    pub fn check_allowed_discounts(&self, falls_on: &FallsOn) -> Result<(), CartError> {
        let Some(rule) = &self.approvals.allowed_by else { return Ok(()) };
        let counts = |number: u32| self.approvals.allowed_discounts.contains(&number);
        // Of each line, how many of them are shared out over it and others.
        let mut shared_out: BTreeMap<u32, i64> = BTreeMap::new();
        for given in self.charges.manual.iter().filter(|given| counts(given.number)) {
            let is_shared_out = i64::from(given.kind.line().is_none());
            for line in falls_on.get(&given.number).into_iter().flatten() {
                let parts = shared_out.entry(*line).or_default();
                *parts = parts.saturating_add(is_shared_out);
            }
        }
        let (mut off, mut gross) = (0_i64, 0_i64);
        for line in &self.lines {
            let Some(parts) = shared_out.get(&line.number) else { continue };
            let of_line = self.charges.of_line(line.number);
            let of_allowed = of_line.filter(|(head, _)| head.manual_number().is_some_and(counts));
            let line_off = of_allowed.fold(0_i64, |sum, (_, amount)| sum.saturating_add(amount));
            let line_gross = self.shown_gross(line)?;
            // Each part of what is shared out may be a unit more than its share.
            if line_off > 0 && rule.needs(line_off.saturating_sub(*parts), line_gross) {
                return Err(CartError::DiscountsAboveAllowed);
            }
            off = off.saturating_add(line_off);
            gross = gross.saturating_add(line_gross);
        }
        if off > 0 && rule.needs(off, gross) { Err(CartError::DiscountsAboveAllowed) } else { Ok(()) }
    }

    /// A price set by hand less what the line's modifiers take off it.
    ///
    /// # Errors
    /// [`CartError::Money`] where they take off more than it.
    pub fn price_with_reductions(&self, number: u32, price: UnitPrice) -> Result<UnitPrice, CartError> {
        self.price_with(number, price, |modifier| modifier.min(0))
    }

    /// A price of a line with its modifiers, of each what `part` says of it, in ten-thousandths.
    fn price_with(
        &self,
        number: u32,
        price: UnitPrice,
        part: impl Fn(i64) -> i64,
    ) -> Result<UnitPrice, CartError> {
        let modifiers = self.terms.lines.get(&number).map_or(&[][..], |terms| &terms.modifiers);
        let more = modifiers.iter().fold(0_i64, |sum, one| sum.saturating_add(part(one.ten_thousandths)));
        Ok(UnitPrice::from_ten_thousandths(price.ten_thousandths().saturating_add(more))?)
    }

    /// What the goods of lines come to with what is chosen with them, before anything is taken off, in minor units. No
    /// promotion and no tax changes it.
    ///
    /// # Errors
    /// [`CartError::Money`].
    pub fn goods_of(&self, lines: &[u32]) -> Result<i64, CartError> {
        let numbers: BTreeSet<u32> = lines.iter().copied().collect();
        let mut meant = self.lines.iter().filter(|one| numbers.contains(&one.number));
        meant.try_fold(0_i64, |sum, one| {
            let price = self.price_with(one.number, one.unit_price, |modifier| modifier)?;
            Ok(sum.saturating_add(price.times(one.quantity, self.currency)?))
        })
    }

    /// What the goods come to that the manual discount `number` falls on. Goods that it cannot be taken off are none of
    /// them: who looks at it sees nothing of what it would take off others in their place.
    ///
    /// # Errors
    /// [`CartError::Money`].
    pub fn goods_under(&self, number: u32, falls_on: &FallsOn) -> Result<i64, CartError> {
        self.goods_of(falls_on.get(&number).map(Vec::as_slice).unwrap_or_default())
    }

    /// Keeps of how much goods the manual discount `number` is that was given by whoever needs no approval, where it is
    /// a share.
    ///
    /// # Errors
    /// [`CartError::Money`].
    pub fn bind_share(&mut self, number: u32, falls_on: &FallsOn) -> Result<(), CartError> {
        let manual = &self.charges.manual;
        if !manual.iter().any(|given| given.number == number && given.kind.is_share()) {
            return Ok(());
        }
        let goods = self.goods_under(number, falls_on)?;
        // Those that were taken back are no matter any more.
        self.approvals.own_shares.retain(|n, _| manual.iter().any(|given| given.number == *n));
        self.approvals.own_shares.insert(number, goods);
        Ok(())
    }

    /// Checks that shares fall on no more goods than they were approved of, or given of by whoever needs no approval.
    ///
    /// # Errors
    /// [`CartError::ShareOfMore`]; [`CartError::Money`].
    pub fn check_approved_discounts(&self, falls_on: &FallsOn) -> Result<(), CartError> {
        let approved = self.approvals.used.iter().filter_map(|used| match used.part {
            ApprovedPart::ShareOf { number, goods } => Some((number, goods)),
            _ => None,
        });
        let own = self.approvals.own_shares.iter().map(|(number, goods)| (*number, *goods));
        for (number, goods) in approved.chain(own) {
            if self.goods_under(number, falls_on)? > goods {
                return Err(CartError::ShareOfMore { discount: format!("d-{number}"), goods });
            }
        }
        Ok(())
    }

    /// What a line comes to before discounts as the customer sees it: with the tax that prices contain, as
    /// discounts are told, so that a share of it is a share of the price.
    fn shown_gross(&self, line: &Line) -> Result<i64, CartError> {
        let on_top = self.charges.taxes_of_line(line.number).filter(|tax| !tax.head.included);
        let on_top = on_top.fold(0_i64, |sum, tax| sum.saturating_add(tax.amount));
        let off =
            self.charges.of_line(line.number).fold(0_i64, |sum, (_, amount)| sum.saturating_add(amount));
        Ok(self.line_amounts(line)?.total.saturating_sub(on_top).saturating_add(off))
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
