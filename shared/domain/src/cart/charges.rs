//! What was taken off the lines of a cart: what pricing found out, kept so that an order says for ever what
//! it was sold for, and a return what of it comes back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Cart, CartError, CartKind, Line, OriginalLine};
use crate::money::divide_rounding;
use crate::pricing::{
    Basket, BasketLine, CustomerFacts, MANUAL_DISCOUNTS_MAX, ManualDiscount, ManualDiscountKind, Outcome,
    PriceRules, Priced, PricingSettings, Source, TaxMode, TaxRounding, price,
};
use crate::quantity::Quantity;

/// A discount as a receipt names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscountHead {
    /// What gives it.
    pub source: Source,
    /// What it is called.
    pub name: String,
}

/// What one line was charged. Minor units.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LineCharges {
    /// Before discounts.
    pub gross: i64,
    /// Position among [`Charges::discounts`], and how much it takes off; above zero.
    pub discounts: Vec<(u16, i64)>,
}

impl DiscountHead {
    /// The number of the manual discount, if it is one.
    pub fn manual_number(&self) -> Option<u32> {
        match self.source {
            Source::ManualDiscount { number } => Some(number),
            _ => None,
        }
    }

    /// What kind it is, and which one: their names on the wire.
    pub fn kind_and_id(&self) -> (&'static str, String) {
        match &self.source {
            Source::Promotion { id, .. } => ("promotion", id.clone()),
            Source::ManualDiscount { number } => ("manual_discount", format!("d-{number}")),
            Source::Coupon { code } => ("coupon", code.clone()),
        }
    }
}

impl LineCharges {
    /// What is taken off.
    pub fn discount(&self) -> i64 {
        self.discounts.iter().fold(0, |sum, (_, amount)| sum.saturating_add(*amount))
    }

    /// What `quantity` of a line of `sold` is worth that comes back after `before` of it. What is left to
    /// pay and each discount are shared out by themselves, each by the rounded part of all so far less
    /// that of `before`: so parts, however cut, add up to the line, and none of them is below zero.
    fn of_part(&self, before: Quantity, quantity: Quantity, sold: Quantity) -> Self {
        let until = |amount: i64, quantity: Quantity| {
            let exact = i128::from(amount) * i128::from(quantity.thousandths());
            let part = divide_rounding(exact, i128::from(sold.thousandths().max(1)));
            // A part of an amount is no larger than the amount.
            i64::try_from(part).unwrap_or(amount)
        };
        let share = |amount: i64| until(amount, before.plus(quantity)).saturating_sub(until(amount, before));
        let discounts: Vec<(u16, i64)> = self
            .discounts
            .iter()
            .map(|(head, amount)| (*head, share(*amount)))
            .filter(|(_, amount)| *amount > 0)
            .collect();
        let off = discounts.iter().fold(0_i64, |sum, (_, amount)| sum.saturating_add(*amount));
        let net = share(self.gross.saturating_sub(self.discount()));
        LineCharges { gross: net.saturating_add(off), discounts }
    }
}

/// What was given by hand, and what the lines were charged for it. Lines that are not in it were charged
/// their price and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Charges {
    /// Discounts that an employee gave.
    pub manual: Vec<ManualDiscount>,
    /// How many numbers were handed out to those.
    pub manual_used: u32,
    /// All that takes something off.
    pub discounts: Vec<DiscountHead>,
    /// By number of the line.
    pub lines: BTreeMap<u32, LineCharges>,
    /// Of a return of a known sale: what the sale's lines were charged, by their number there.
    pub sold: BTreeMap<u32, LineCharges>,
}

/// Amounts of a line, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LineAmounts {
    /// Before discounts, without tax.
    pub gross: i64,
    /// What is taken off it, discounts of the cart apportioned.
    pub discount: i64,
    /// What is to be paid for it.
    pub total: i64,
}

impl Charges {
    /// Whether nothing was given, so that there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        *self == Charges::default()
    }

    /// What takes something off a line, and how much.
    pub fn of_line(&self, number: u32) -> impl Iterator<Item = (&DiscountHead, i64)> {
        let given = self.lines.get(&number).map(|line| line.discounts.as_slice()).unwrap_or_default();
        given.iter().filter_map(|(head, amount)| Some((self.discounts.get(usize::from(*head))?, *amount)))
    }

    /// What takes something off the cart, and how much over all lines.
    pub fn of_cart(&self) -> impl Iterator<Item = (&DiscountHead, i64)> {
        let sum = |at: usize| {
            let given = self.lines.values().flat_map(|line| &line.discounts);
            let amounts = given.filter(|(of, _)| usize::from(*of) == at).map(|(_, amount)| *amount);
            amounts.fold(0_i64, i64::saturating_add)
        };
        let heads = self.discounts.iter().enumerate().map(move |(at, head)| (head, sum(at)));
        // A return has the names of all discounts of its sale.
        heads.filter(|(head, amount)| *amount > 0 || self.is_given_here(&head.source))
    }

    fn is_given_here(&self, source: &Source) -> bool {
        let is_it = |given: &ManualDiscount| *source == Source::ManualDiscount { number: given.number };
        self.manual.iter().any(is_it)
    }

    fn set_lines(&mut self, priced: &Priced) {
        // In the order in which they were decided, whatever lines they fell on. What was given by hand stays
        // there while it takes nothing off: an employee is to see it, and may take it back.
        let told = priced.explanations.iter().filter(|found| {
            matches!(found.outcome, Outcome::Applied { .. })
                || matches!(found.source, Source::ManualDiscount { .. })
        });
        let heads: Vec<DiscountHead> = told
            .map(|given| DiscountHead { source: given.source.clone(), name: given.name.clone() })
            .collect();
        let position = |source: &Source| {
            let at = heads.iter().position(|head| head.source == *source);
            // Promotions, manual discounts and coupons together are a few hundred at most.
            at.and_then(|at| u16::try_from(at).ok()).unwrap_or(u16::MAX)
        };
        self.lines = priced
            .lines
            .iter()
            .filter(|line| !line.adjustments.is_empty())
            .map(|line| {
                let given = line.adjustments.iter();
                let discounts = given.map(|given| (position(&given.source), given.amount)).collect();
                (line.number, LineCharges { gross: line.amounts.gross, discounts })
            })
            .collect();
        self.discounts = heads;
    }
}

impl Cart {
    /// What a line comes to.
    ///
    /// # Errors
    /// [`CartError::Money`] where its price × quantity leaves the accepted range.
    pub fn line_amounts(&self, line: &Line) -> Result<LineAmounts, CartError> {
        let (gross, discount) = match self.charges.lines.get(&line.number) {
            Some(charged) => (charged.gross, charged.discount()),
            None => (line.gross(self.currency)?, 0),
        };
        Ok(LineAmounts { gross, discount, total: gross.saturating_sub(discount) })
    }

    /// Prices the lines anew: what is given depends on all of them.
    ///
    /// # Errors
    /// [`CartError::Pricing`].
    pub(super) fn reprice(&mut self) -> Result<(), CartError> {
        if self.charges.manual.is_empty() {
            self.charges.lines.clear();
            self.charges.discounts.clear();
            return Ok(());
        }
        let priced = self.priced()?;
        self.charges.set_lines(&priced);
        Ok(())
    }

    fn priced(&self) -> Result<Priced, CartError> {
        let lines = self.lines.iter().map(|line| BasketLine {
            number: line.number,
            sku: line.sku.clone(),
            categories: line.category.iter().cloned().collect(),
            tax_category: None,
            tax_exempt: false,
            quantity: line.quantity,
            unit: line.unit,
            unit_price: line.unit_price,
            modifiers: Vec::new(),
            price_overridden: line.price_overridden,
            discountable: true,
        });
        let basket = Basket {
            currency: self.currency,
            lines: lines.collect(),
            customer: CustomerFacts::default(),
            store_id: self.store_id.clone(),
            region: self.region.clone(),
            channel: self.channel.clone(),
            at: self.opened_at,
            local: jiff::tz::Offset::UTC.to_datetime(self.opened_at),
            requested_promotions: std::collections::BTreeSet::new(),
            uses_left: BTreeMap::new(),
            manual_discounts: self.charges.manual.clone(),
            coupons: Vec::new(),
        };
        let settings = PricingSettings {
            tax_mode: TaxMode::Exclusive,
            tax_rounding: TaxRounding::PerLine,
            cash_increment: 0,
        };
        let rules = PriceRules { promotions: Vec::new(), tax_rules: Vec::new(), settings };
        Ok(price(&basket, &rules)?)
    }

    /// Takes something off, by an employee's decision; answers the discount's number.
    ///
    /// # Errors
    /// [`CartError::WrongState`]; [`CartError::UnknownLine`]; [`CartError::TooManyDiscounts`];
    /// [`CartError::DiscountAboveTotal`] for an amount above what is left to pay, [`CartError::NothingOff`]
    /// for what takes nothing off; [`CartError::Pricing`] for a value or reason out of bounds.
    pub fn give_discount(&mut self, kind: ManualDiscountKind, reason: String) -> Result<u32, CartError> {
        self.require(CartKind::Sale)?;
        self.require_open()?;
        if self.charges.manual.len() >= MANUAL_DISCOUNTS_MAX {
            return Err(CartError::TooManyDiscounts);
        }
        let before = self.charges.clone();
        let number = self.charges.manual_used + 1;
        self.charges.manual_used = number;
        self.charges.manual.push(ManualDiscount { number, kind, reason });
        let checked = self.priced_with(number, kind);
        match checked {
            Ok(priced) => {
                self.charges.set_lines(&priced);
                Ok(number)
            }
            Err(error) => {
                self.charges = before;
                Err(error)
            }
        }
    }

    /// Prices the cart, and checks that the new discount takes off what it says.
    fn priced_with(&self, number: u32, kind: ManualDiscountKind) -> Result<Priced, CartError> {
        let priced = self.priced()?;
        let source = Source::ManualDiscount { number };
        let outcome = priced.explanations.iter().find(|found| found.source == source).map(|f| &f.outcome);
        let off = match outcome {
            Some(Outcome::Applied { amount, .. }) => *amount,
            _ => return Err(CartError::NothingOff),
        };
        match kind {
            ManualDiscountKind::FixedLine { amount, .. } | ManualDiscountKind::FixedCart { amount }
                if off < amount =>
            {
                Err(CartError::DiscountAboveTotal { left: off })
            }
            _ => Ok(priced),
        }
    }

    /// Takes a discount back; answers its number.
    ///
    /// # Errors
    /// [`CartError::WrongState`], [`CartError::UnknownDiscount`].
    pub fn take_discount_back(&mut self, discount_id: &str) -> Result<u32, CartError> {
        self.require(CartKind::Sale)?;
        self.require_open()?;
        let at = discount_id
            .strip_prefix("d-")
            .and_then(|n| n.parse::<u32>().ok())
            .and_then(|number| self.charges.manual.iter().position(|given| given.number == number))
            .ok_or_else(|| CartError::UnknownDiscount(discount_id.to_owned()))?;
        let number = self.charges.manual.remove(at).number;
        self.reprice()?;
        Ok(number)
    }

    /// For a new line of a return: what of the sold line's charges comes back, if there were any.
    pub(super) fn charge_returned(
        &self,
        sold: &OriginalLine,
        before: Quantity,
        quantity: Quantity,
    ) -> Option<LineCharges> {
        self.charges.sold.get(&sold.number).map(|charged| charged.of_part(before, quantity, sold.sold))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces(n: i64) -> Quantity {
        Quantity::from_pieces(n).unwrap()
    }

    #[test]
    fn parts_of_a_discounted_line_are_worked_by_hand() {
        // 5.00 for three, 4.00 off: a third of 1.00 is 0.33, two thirds are 0.67.
        let sold = LineCharges { gross: 500, discounts: vec![(0, 400)] };
        let part = |before: i64, quantity: i64| sold.of_part(pieces(before), pieces(quantity), pieces(3));
        assert_eq!(part(0, 1), LineCharges { gross: 33 + 133, discounts: vec![(0, 133)] });
        assert_eq!(part(1, 1), LineCharges { gross: 34 + 134, discounts: vec![(0, 134)] });
        assert_eq!(part(2, 1), LineCharges { gross: 33 + 133, discounts: vec![(0, 133)] });
        assert_eq!(part(0, 3), sold);
        let free = LineCharges { gross: 1, discounts: vec![(0, 1)] };
        assert_eq!(free.of_part(pieces(0), pieces(1), pieces(3)), LineCharges::default());
    }

    proptest! {
        #[test]
        fn parts_however_cut_add_up(
            net in 0_i64..2_000, off in prop::collection::vec(1_i64..2_000, 0..4),
            cuts in prop::collection::vec(1_i64..5, 1..8),
        ) {
            let sold = pieces(cuts.iter().sum());
            let discounts: Vec<(u16, i64)> = (0_u16..).zip(off.iter().copied()).collect();
            let whole = LineCharges { gross: net + off.iter().sum::<i64>(), discounts };
            let (mut before, mut gross, mut taken) = (Quantity::ZERO, 0, vec![0; off.len()]);
            for cut in cuts {
                let part = whole.of_part(before, pieces(cut), sold);
                prop_assert!(part.discounts.iter().all(|(_, amount)| *amount > 0));
                prop_assert!(part.gross >= part.discount());
                gross += part.gross;
                for (head, amount) in &part.discounts {
                    taken[usize::from(*head)] += amount;
                }
                before = before.plus(pieces(cut));
            }
            prop_assert_eq!(gross, whole.gross);
            prop_assert_eq!(taken, off);
        }
    }
}
