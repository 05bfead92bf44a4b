//! What the lines of a cart were charged: what pricing found out, kept so that an order says for ever what it
//! was sold for, and a return what of it comes back.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Cart, CartError, Line, OriginalLine};
use crate::apportion::apportion;
use crate::money::divide_rounding;
use crate::pricing::{ManualDiscount, Outcome, Priced, PricedLine, Reason, Source};
use crate::quantity::Quantity;

/// A discount as a receipt names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscountHead {
    /// What gives it.
    pub source: Source,
    /// What it is called.
    pub name: String,
}

/// A tax as a receipt names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxHead {
    /// Id of the rule.
    pub id: String,
    /// Version of the rule.
    pub version: u64,
    /// What it is called.
    pub name: String,
    /// Its rate, in basis points.
    pub rate_bps: u32,
    /// Whether prices contained it; else it came on top.
    pub included: bool,
}

/// What a discount takes off a line. Minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineDiscount {
    /// Position among [`Charges::discounts`].
    pub head: u16,
    /// Without tax.
    pub amount: i64,
    /// The tax that would have been contained in it; none where tax comes on top.
    pub tax: i64,
}

impl LineDiscount {
    /// As the customer sees it: with the tax that prices contain.
    pub fn shown(&self) -> i64 {
        self.amount.saturating_add(self.tax)
    }
}

/// What one line was charged, in parts none of which is below zero. Minor units.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LineCharges {
    /// What is left after discounts, without tax.
    pub net: i64,
    /// What was taken off.
    pub discounts: Vec<LineDiscount>,
    /// Position among [`Charges::taxes`], and how much.
    pub taxes: Vec<(u16, i64)>,
}

/// Something asked for that takes nothing off, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unapplied {
    /// Position among [`Charges::discounts`].
    pub head: u16,
    /// Why.
    pub reason: Reason,
}

/// Uses of something that may be used so often only, counted when the sale becomes final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitedUse {
    /// Promotion or coupon.
    pub source: Source,
    /// How many times its benefit is given here.
    pub uses: u32,
    /// By all together.
    pub total: Option<u32>,
    /// By one customer.
    pub per_customer: Option<u32>,
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

/// The sum of amounts that each fit.
fn sum(amounts: impl Iterator<Item = i64>) -> i64 {
    amounts.fold(0, i64::saturating_add)
}

/// What of `amount` belongs to `quantity` of a line of `sold` that comes back after `before` of it: the
/// rounded part of all so far less that of `before`. So parts, however cut, add up to the amount, and none
/// of them is below zero.
fn part_of(amount: i64, before: Quantity, quantity: Quantity, sold: Quantity) -> i64 {
    let until = |quantity: Quantity| {
        let exact = i128::from(amount) * i128::from(quantity.thousandths());
        let part = divide_rounding(exact, i128::from(sold.thousandths().max(1)));
        // A part of an amount is no larger than the amount.
        i64::try_from(part).unwrap_or(amount)
    };
    until(before.plus(quantity)).saturating_sub(until(before))
}

impl LineCharges {
    /// Before discounts, without tax.
    pub fn gross(&self) -> i64 {
        self.net.saturating_add(self.discount())
    }

    /// What is taken off, without tax.
    pub fn discount(&self) -> i64 {
        sum(self.discounts.iter().map(|discount| discount.amount))
    }

    /// Tax.
    pub fn tax(&self) -> i64 {
        sum(self.taxes.iter().map(|(_, amount)| *amount))
    }

    /// What `quantity` of a line of `sold` is worth that comes back after `before` of it. Each part of the
    /// charge is shared out by itself.
    fn of_part(&self, before: Quantity, quantity: Quantity, sold: Quantity) -> Self {
        let share = |amount: i64| part_of(amount, before, quantity, sold);
        let discounts = self.discounts.iter().map(|discount| LineDiscount {
            amount: share(discount.amount),
            tax: share(discount.tax),
            ..*discount
        });
        LineCharges {
            net: share(self.net),
            discounts: discounts.filter(|discount| discount.shown() > 0).collect(),
            // Also one of nothing: what is taxed at zero is told as that.
            taxes: self.taxes.iter().map(|(head, amount)| (*head, share(*amount))).collect(),
        }
    }

    /// What pricing found of a line; the heads by the positions that `discount` and `tax` tell.
    fn of(line: &PricedLine, discount: impl Fn(&Source) -> u16, tax: impl Fn(&str) -> u16) -> Self {
        let amounts = &line.amounts;
        let shown: Vec<i64> = line.adjustments.iter().map(|given| given.amount).collect();
        // By largest remainder, so that none has more tax in it than there is of it.
        let in_discounts = apportion(amounts.discount_shown - amounts.discount, &shown);
        let discounts = line.adjustments.iter().zip(in_discounts).map(|(given, tax)| LineDiscount {
            head: discount(&given.source),
            amount: given.amount - tax,
            tax,
        });
        LineCharges {
            net: amounts.total - amounts.tax,
            discounts: discounts.collect(),
            taxes: line.taxes.iter().map(|one| (tax(&one.id), one.amount)).collect(),
        }
    }
}

/// What was given by hand, and what the lines were charged. Lines that are not in it were charged their
/// price and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Charges {
    /// Discounts that an employee gave.
    pub manual: Vec<ManualDiscount>,
    /// How many numbers were handed out to those.
    pub manual_used: u32,
    /// All that takes something off, and what was asked for and does not.
    pub discounts: Vec<DiscountHead>,
    /// All taxes.
    pub taxes: Vec<TaxHead>,
    /// By number of the line.
    pub lines: BTreeMap<u32, LineCharges>,
    /// Of a return of a known sale: what the sale's lines were charged, by their number there.
    pub sold: BTreeMap<u32, LineCharges>,
    /// What was asked for and takes nothing off.
    pub unapplied: Vec<Unapplied>,
    /// What is counted when the sale becomes final.
    pub uses: Vec<LimitedUse>,
}

/// Amounts of a line, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LineAmounts {
    /// Before discounts, without tax.
    pub gross: i64,
    /// What is taken off it, discounts of the cart apportioned, without tax.
    pub discount: i64,
    /// Tax.
    pub tax: i64,
    /// What is to be paid for it.
    pub total: i64,
}

/// A tax on a line, or on all lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaxCharge<'a> {
    /// Which one.
    pub head: &'a TaxHead,
    /// What it is on: without tax, in minor units.
    pub base: i64,
    /// How much it is.
    pub amount: i64,
}

impl Charges {
    /// Whether nothing was given, so that there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        *self == Charges::default()
    }

    /// What takes something off a line, and how much, as the customer sees it.
    pub fn of_line(&self, number: u32) -> impl Iterator<Item = (&DiscountHead, i64)> {
        let given = self.lines.get(&number).map(|line| line.discounts.as_slice()).unwrap_or_default();
        given.iter().filter_map(|given| Some((self.discounts.get(usize::from(given.head))?, given.shown())))
    }

    /// What takes something off the cart, and how much over all lines, as the customer sees it.
    pub fn of_cart(&self) -> impl Iterator<Item = (&DiscountHead, i64, Option<&Reason>)> {
        let total = |at: usize| {
            let given = self.lines.values().flat_map(|line| &line.discounts);
            sum(given.filter(|given| usize::from(given.head) == at).map(LineDiscount::shown))
        };
        let heads = self.discounts.iter().enumerate().map(move |(at, head)| {
            let unapplied = self.unapplied.iter().find(|one| usize::from(one.head) == at);
            (head, total(at), unapplied.map(|one| &one.reason))
        });
        // A return has the names of all discounts of its sale.
        heads.filter(|(_, amount, reason)| *amount > 0 || reason.is_some())
    }

    fn taxes_of<'a>(&'a self, line: &'a LineCharges) -> impl Iterator<Item = TaxCharge<'a>> {
        line.taxes.iter().filter_map(|(head, amount)| {
            let head = self.taxes.get(usize::from(*head))?;
            Some(TaxCharge { head, base: line.net, amount: *amount })
        })
    }

    /// The taxes on a line.
    pub fn taxes_of_line(&self, number: u32) -> impl Iterator<Item = TaxCharge<'_>> {
        self.lines.get(&number).into_iter().flat_map(|line| self.taxes_of(line))
    }

    /// The taxes on all lines, summed by rule.
    pub fn taxes_of_cart(&self) -> Vec<TaxCharge<'_>> {
        let mut sums: BTreeMap<&str, TaxCharge<'_>> = BTreeMap::new();
        for tax in self.lines.values().flat_map(|line| self.taxes_of(line)) {
            let sum = sums.entry(&tax.head.id).or_insert(TaxCharge { base: 0, amount: 0, ..tax });
            sum.base = sum.base.saturating_add(tax.base);
            sum.amount = sum.amount.saturating_add(tax.amount);
        }
        sums.into_values().collect()
    }

    /// Keeps what pricing found out, of lines that were charged more or less than their price × quantity or
    /// are `modified`: what parts of the others are worth follows from their price. `requested` are the
    /// promotions applied by hand; `uses` says which of what applied is counted.
    pub(super) fn set_lines(
        &mut self,
        priced: &Priced,
        (requested, modified): (&BTreeSet<String>, impl Fn(u32) -> bool),
        uses: Vec<LimitedUse>,
    ) {
        // In the order in which they were decided, whatever lines they fell on. What was asked for stays
        // there while it takes nothing off: an employee is to see it, and may take it back.
        let mut told = Vec::new();
        self.unapplied.clear();
        for found in &priced.explanations {
            let asked_for = match (&found.source, &found.outcome) {
                (_, Outcome::Applied { .. }) | (Source::Coupon { .. }, Outcome::Unlocked { .. }) => None,
                (Source::ManualDiscount { .. } | Source::Coupon { .. }, Outcome::NotApplied { reason }) => {
                    Some(reason)
                }
                (Source::Promotion { id, .. }, Outcome::NotApplied { reason }) if requested.contains(id) => {
                    Some(reason)
                }
                _ => continue,
            };
            // A few hundred at most.
            let head = u16::try_from(told.len()).unwrap_or(u16::MAX);
            told.push(DiscountHead { source: found.source.clone(), name: found.name.clone() });
            self.unapplied.extend(asked_for.map(|reason| Unapplied { head, reason: reason.clone() }));
        }
        self.discounts = told;
        self.taxes = priced
            .taxes
            .iter()
            .map(|tax| TaxHead {
                id: tax.id.clone(),
                version: tax.version,
                name: tax.name.clone(),
                rate_bps: tax.rate_bps,
                included: tax.included,
            })
            .collect();
        let position = |at: Option<usize>| at.and_then(|at| u16::try_from(at).ok()).unwrap_or(u16::MAX);
        let discount = |source: &Source| position(self.discounts.iter().position(|h| h.source == *source));
        let tax = |id: &str| position(self.taxes.iter().position(|head| head.id == id));
        let charged = |line: &&PricedLine| {
            !line.adjustments.is_empty() || !line.taxes.is_empty() || modified(line.number)
        };
        let lines = priced.lines.iter().filter(charged);
        self.lines = lines.map(|line| (line.number, LineCharges::of(line, discount, tax))).collect();
        self.uses = uses;
    }

    /// Forgets all that pricing found out.
    pub(super) fn clear_lines(&mut self) {
        *self = Charges {
            manual: std::mem::take(&mut self.manual),
            manual_used: self.manual_used,
            sold: std::mem::take(&mut self.sold),
            ..Charges::default()
        };
    }
}

impl Cart {
    /// What a line comes to.
    ///
    /// # Errors
    /// [`CartError::Money`] where its price × quantity leaves the accepted range.
    pub fn line_amounts(&self, line: &Line) -> Result<LineAmounts, CartError> {
        Ok(match self.charges.lines.get(&line.number) {
            Some(charged) => LineAmounts {
                gross: charged.gross(),
                discount: charged.discount(),
                tax: charged.tax(),
                total: charged.net.saturating_add(charged.tax()),
            },
            None => {
                let gross = line.gross(self.currency)?;
                LineAmounts { gross, discount: 0, tax: 0, total: gross }
            }
        })
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

    fn off(amount: i64, tax: i64) -> LineDiscount {
        LineDiscount { head: 0, amount, tax }
    }

    #[test]
    fn parts_of_a_discounted_line_are_worked_by_hand() {
        // 5.00 for three, 4.00 off: a third of 1.00 is 0.33, two thirds are 0.67. Tax on it 0.20.
        let sold = LineCharges { net: 100, discounts: vec![off(400, 0)], taxes: vec![(0, 20)] };
        let part = |before: i64, quantity: i64| sold.of_part(pieces(before), pieces(quantity), pieces(3));
        let is =
            |net, amount, tax| LineCharges { net, discounts: vec![off(amount, 0)], taxes: vec![(0, tax)] };
        assert_eq!(part(0, 1), is(33, 133, 7));
        assert_eq!(part(1, 1), is(34, 134, 6));
        assert_eq!(part(2, 1), is(33, 133, 7));
        assert_eq!(part(0, 3), sold);
        let free = LineCharges { net: 0, discounts: vec![off(1, 0)], taxes: vec![] };
        assert_eq!(free.of_part(pieces(0), pieces(1), pieces(3)), LineCharges::default());
    }

    proptest! {
        #[test]
        fn parts_however_cut_add_up(
            net in 0_i64..2_000, given in prop::collection::vec((1_i64..2_000, 0_i64..300), 0..4),
            taxed in prop::collection::vec(0_i64..500, 0..3),
            cuts in prop::collection::vec(1_i64..5, 1..8),
        ) {
            let sold = pieces(cuts.iter().sum());
            let discounts = (0_u16..).zip(&given).map(|(head, (amount, tax))| LineDiscount { head, ..off(*amount, *tax) });
            let taxes: Vec<(u16, i64)> = (0_u16..).zip(taxed).collect();
            let whole = LineCharges { net, discounts: discounts.collect(), taxes };
            let mut before = Quantity::ZERO;
            let mut all = LineCharges { net: 0, discounts: Vec::new(), taxes: Vec::new() };
            let (mut taken, mut taxed) = (vec![(0, 0); given.len()], vec![0; whole.taxes.len()]);
            for cut in cuts {
                let part = whole.of_part(before, pieces(cut), sold);
                prop_assert!(part.net >= 0 && part.tax() >= 0);
                all.net += part.net;
                for one in &part.discounts {
                    prop_assert!(one.amount >= 0 && one.tax >= 0);
                    taken[usize::from(one.head)].0 += one.amount;
                    taken[usize::from(one.head)].1 += one.tax;
                }
                for (head, amount) in &part.taxes {
                    taxed[usize::from(*head)] += amount;
                }
                before = before.plus(pieces(cut));
            }
            prop_assert_eq!(all.net, whole.net);
            prop_assert_eq!(taken, given);
            prop_assert_eq!(taxed, whole.taxes.iter().map(|(_, amount)| *amount).collect::<Vec<_>>());
        }
    }
}
