//! The promotions of a basket: in which order, which of them together, and how often.

use std::collections::{BTreeMap, BTreeSet};

use super::basket::Basket;
use super::bundle::{Fitting, bundle};
use super::conditions::Measures;
use super::explanation::{Explanation, Outcome, Reason, Source};
use super::multibuy::{Given, amount_per_unit, buy_get, price_override};
use super::promotion::{Benefit, FixedAmountPer, Promotion, Reward, Stacking};
use super::remaining::{
    Candidate, Discount, Part, Remaining, RemainingLine, spread, spread_percentage, total_left, total_off,
};
use super::selection::{LineIndex, Selector};
use super::two_pools::buy_get_other;
use crate::quantity::Quantity;

/// The step of promotions.
pub(super) struct PromotionStep<'s> {
    /// What is priced.
    pub basket: &'s Basket,
    /// Where its lines stand.
    pub index: &'s LineIndex<'s>,
    /// What it amounts to before this step.
    pub measures: Measures,
    /// Promotions applied by hand or unlocked by a coupon.
    pub requested: BTreeSet<&'s str>,
}

impl PromotionStep<'_> {
    /// Applies what applies of `promotions`, by priority and then id; answers what came of each, in the
    /// order in which they were decided.
    pub fn apply(&self, promotions: &[Promotion], remaining: &mut Remaining) -> Vec<Explanation> {
        let mut in_order: Vec<&Promotion> = promotions.iter().collect();
        in_order.sort_by(|a, b| (a.priority, &a.id).cmp(&(b.priority, &b.id)));
        let mut groups: BTreeMap<&str, Vec<&Promotion>> = BTreeMap::new();
        for promotion in &in_order {
            if let Some(group) = &promotion.group {
                groups.entry(group).or_default().push(promotion);
            }
        }
        let mut explanations = Vec::with_capacity(in_order.len());
        for promotion in &in_order {
            match &promotion.group {
                None => explanations.extend(self.apply_best(&[promotion], remaining)),
                // At the turn of its first member a whole group is decided.
                Some(group) => {
                    if let Some(members) = groups.remove(group.as_str()) {
                        explanations.extend(self.apply_best(&members, remaining));
                    }
                }
            }
        }
        let known: BTreeSet<&str> = promotions.iter().map(|promotion| promotion.id.as_str()).collect();
        let unknown = self.requested.iter().filter(|id| !known.contains(**id)).map(|id| Explanation {
            source: Source::Promotion { id: (*id).to_owned(), version: 0 },
            name: (*id).to_owned(),
            outcome: Outcome::NotApplied { reason: Reason::Unknown },
        });
        explanations.extend(unknown);
        explanations
    }

    /// Tries all of `members` on what is left, and applies the one that takes most off.
    fn apply_best(&self, members: &[&Promotion], remaining: &mut Remaining) -> Vec<Explanation> {
        let attempts: Vec<Result<Given, Reason>> =
            members.iter().map(|promotion| self.attempt(promotion, remaining)).collect();
        let amount =
            |attempt: &Result<Given, Reason>| attempt.as_ref().map_or(0, |(parts, _)| total_off(parts));
        let most = attempts.iter().map(amount).max().unwrap_or(0);
        let best =
            members.iter().zip(&attempts).find(|(_, attempt)| attempt.is_ok() && amount(attempt) == most);
        let best_id = best.map(|(promotion, _)| promotion.id.clone()).unwrap_or_default();
        members
            .iter()
            .zip(attempts)
            .map(|(promotion, attempt)| {
                let source = source_of(promotion);
                let outcome = match attempt {
                    Err(reason) => Outcome::NotApplied { reason },
                    Ok(_) if promotion.id != best_id => {
                        Outcome::NotApplied { reason: Reason::NotBestOfGroup { best: best_id.clone() } }
                    }
                    Ok((parts, uses)) => {
                        let keeps_lines = promotion.stacking == Stacking::Exclusive;
                        let discount =
                            Discount { source: source.clone(), name: &promotion.name, uses, keeps_lines };
                        Outcome::Applied { uses, amount: remaining.take(&parts, &discount) }
                    }
                };
                Explanation { source, name: promotion.name.clone(), outcome }
            })
            .collect()
    }

    /// What a promotion would take off now, always something.
    fn attempt(&self, promotion: &Promotion, remaining: &Remaining) -> Result<Given, Reason> {
        if !promotion.automatic && !self.requested.contains(promotion.id.as_str()) {
            return Err(Reason::NotRequested);
        }
        if promotion.currency.is_some_and(|currency| currency != self.basket.currency) {
            return Err(Reason::WrongCurrency);
        }
        let quantity_of = |selector: &Selector| {
            let lines = remaining.lines().iter().zip(self.index.chosen(selector));
            let of = lines.filter(|(line, chosen)| *chosen && line.line.discountable);
            Quantity::of_counter(of.map(|(line, _)| line.line.quantity.thousandths()).sum())
        };
        if let Some(reason) = promotion.conditions.unmet(self.basket, &self.measures, quantity_of) {
            return Err(reason);
        }
        let uses_left = self.basket.uses_left.get(&promotion.id).copied().unwrap_or(u32::MAX);
        let uses_max = uses_left.min(promotion.limits.per_order.unwrap_or(u32::MAX));
        if uses_max == 0 {
            return Err(Reason::LimitReached);
        }
        let (chosen, fits) = self.chosen_by(promotion);
        let mut meant = remaining
            .lines()
            .iter()
            .zip(&chosen)
            .filter(|(line, chosen)| **chosen && line.line.discountable && !line.line.price_overridden)
            .peekable();
        if meant.peek().is_none() {
            return Err(Reason::NoMatchingLine);
        }
        let exclusive = promotion.stacking == Stacking::Exclusive;
        let is_open = |line: &RemainingLine| !(line.kept || exclusive && line.touched);
        if !meant.any(|(line, _)| is_open(line)) {
            return Err(Reason::Exclusive);
        }
        let candidates = remaining.candidates(&chosen, |line| is_open(line) && !line.line.price_overridden);
        let (parts, uses) = self.give(&promotion.benefit, &candidates, &fits, uses_max)?;
        if total_off(&parts) > 0 { Ok((parts, uses)) } else { Err(Reason::NothingToTakeOff) }
    }

    /// Which lines a promotion is for; of a bundle also which components each line fits, of a buy-get of two
    /// pools which of these.
    fn chosen_by(&self, promotion: &Promotion) -> (Vec<bool>, Vec<usize>) {
        let mut chosen = self.index.chosen(&promotion.target);
        let mut fits = Vec::new();
        let selectors = promotion.benefit.selectors();
        if !selectors.is_empty() {
            fits = vec![0; chosen.len()];
            for (bit, selector) in selectors.into_iter().enumerate() {
                for (fit, is_chosen) in fits.iter_mut().zip(self.index.chosen(selector)) {
                    *fit |= usize::from(is_chosen) << bit;
                }
            }
            chosen.iter_mut().zip(&fits).for_each(|(chosen, fit)| *chosen &= *fit != 0);
        }
        (chosen, fits)
    }

    fn give(
        &self,
        benefit: &Benefit,
        candidates: &[Candidate],
        fits: &[usize],
        uses_max: u32,
    ) -> Result<Given, Reason> {
        let once = |parts: Vec<Part>| Ok((parts, 1));
        let fitting = || -> Vec<Fitting> {
            let fits = |c: &Candidate| fits.get(c.at).copied().unwrap_or(0);
            candidates.iter().map(|c| Fitting { candidate: c, fits: fits(c) }).collect()
        };
        match benefit {
            Benefit::Percentage { bps } => once(spread_percentage(candidates, *bps)),
            Benefit::FixedAmount { amount, per: FixedAmountPer::Order } => once(spread(candidates, *amount)),
            Benefit::FixedAmount { amount, per: FixedAmountPer::Unit } => {
                Ok(amount_per_unit(candidates, *amount, uses_max))
            }
            Benefit::BuyGet { buy, get, bps } => {
                buy_get(candidates, *buy, *get, *bps, uses_max).ok_or(Reason::TooFewUnits)
            }
            Benefit::PriceOverride { unit_price } => {
                Ok(price_override(candidates, *unit_price, self.basket.currency, uses_max))
            }
            Benefit::Bundle { components, price } => {
                bundle(&fitting(), components, *price, uses_max).ok_or(Reason::TooFewUnits)
            }
            Benefit::BuyGetOther { buy, get, bps } => {
                let quantities = (buy.quantity, get.quantity);
                buy_get_other(&fitting(), quantities, *bps, uses_max).ok_or(Reason::TooFewUnits)
            }
            Benefit::SpendThreshold { minimum, reward } => {
                let is = total_left(candidates);
                if is < *minimum {
                    return Err(Reason::BelowMinimum { needed: *minimum, is });
                }
                match reward {
                    Reward::Percentage { bps } => once(spread_percentage(candidates, *bps)),
                    Reward::FixedAmount { amount } => once(spread(candidates, *amount)),
                }
            }
        }
    }
}

fn source_of(promotion: &Promotion) -> Source {
    Source::Promotion { id: promotion.id.clone(), version: promotion.version }
}
