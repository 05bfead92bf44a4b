//! What is left of each line, from its gross down, in an order that depends on content alone.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::basket::{Basket, BasketLine};
use super::error::PricingError;
use super::explanation::Source;
use super::priced::Adjustment;
use crate::apportion::apportion;
use crate::money::{AMOUNT_MAX, UnitPrice, divide_rounding};
use crate::quantity::Unit;

/// A line on its way from gross to net.
pub(super) struct RemainingLine<'a> {
    /// The line.
    pub line: &'a BasketLine,
    /// Where it stands in the basket.
    pub position: usize,
    /// Price per unit with modifiers.
    pub unit_price: UnitPrice,
    /// Price × quantity.
    pub gross: i64,
    /// What is left to pay of it, never below zero.
    pub left: i64,
    /// Pieces; none of what is sold by measure.
    pub pieces: i64,
    /// Pieces that took part in no buy-get or bundle yet.
    pub free_pieces: i64,
    /// What is left to pay of those.
    pub free_left: i64,
    /// Whether a promotion touched it.
    pub touched: bool,
    /// Whether an exclusive promotion keeps it for itself.
    pub kept: bool,
    /// What was taken off so far.
    pub adjustments: Vec<Adjustment>,
}

/// What one discount does to one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// Position in the canonical order.
    pub at: usize,
    /// Minor units off.
    pub off: i64,
    /// Free pieces it uses up; where there are some, the discount is on these alone.
    pub pieces: i64,
    /// What was left to pay of those pieces before.
    pub value: i64,
}

/// A line that a discount may touch, with its position in the canonical order.
#[derive(Clone, Copy)]
pub(super) struct Candidate<'r, 'a> {
    /// Position in the canonical order.
    pub at: usize,
    /// The line.
    pub line: &'r RemainingLine<'a>,
}

impl<'a> RemainingLine<'a> {
    fn new(position: usize, line: &'a BasketLine, basket: &Basket) -> Result<Self, PricingError> {
        let unit_price = line.unit_price_with_modifiers()?;
        let gross = unit_price.times(line.quantity, basket.currency)?;
        let pieces = if line.unit == Unit::Piece { line.quantity.thousandths() / 1_000 } else { 0 };
        Ok(RemainingLine {
            line,
            position,
            unit_price,
            gross,
            left: gross,
            pieces,
            free_pieces: pieces,
            free_left: if pieces > 0 { gross } else { 0 },
            touched: false,
            kept: false,
            adjustments: Vec::new(),
        })
    }

    /// What is left to pay of `pieces` of its free pieces.
    pub fn worth_of_free(&self, pieces: i64) -> i64 {
        share_of(self.free_left, pieces, self.free_pieces)
    }

    /// Compares what one free piece costs here and there.
    pub fn compare_free_piece(&self, other: &RemainingLine) -> Ordering {
        let here = i128::from(self.free_left) * i128::from(other.free_pieces);
        let there = i128::from(other.free_left) * i128::from(self.free_pieces);
        here.cmp(&there)
    }

    fn take(&mut self, part: &Part) {
        if part.pieces > 0 {
            self.free_pieces -= part.pieces;
            self.free_left -= part.value;
        } else {
            // It falls on all units alike, on those that took part in something before too.
            self.free_left -= share_of(part.off, self.free_left, self.left);
        }
        self.left -= part.off;
    }

    /// Everything about it that an amount may depend on. Only lines that are the same in all of it are
    /// told apart by their number.
    fn compare(&self, other: &Self) -> Ordering {
        let key = |l: &Self| (l.line.tax_exempt, l.unit_price, l.line.quantity, l.line.unit.name());
        let flags = |l: &Self| (l.line.discountable, l.line.price_overridden);
        self.line
            .tax_category
            .cmp(&other.line.tax_category)
            .then_with(|| self.line.sku.cmp(&other.line.sku))
            .then_with(|| key(self).cmp(&key(other)))
            .then_with(|| flags(self).cmp(&flags(other)))
            .then_with(|| self.line.categories.cmp(&other.line.categories))
    }
}

/// `part` of `whole` of an amount, rounded; none of nothing.
pub(super) fn share_of(amount: i64, part: i64, whole: i64) -> i64 {
    if whole <= 0 {
        return 0;
    }
    let exact = i128::from(amount) * i128::from(part);
    // A part of an amount is no larger than the amount.
    i64::try_from(divide_rounding(exact, i128::from(whole))).unwrap_or(0)
}

/// The lines of a basket in their canonical order: by content, and only lines that are the same in all of
/// it by number. Whatever has to prefer one line to another goes by it, so that a cart whose commands
/// came in another order, and whose lines are numbered otherwise, comes to the same amounts.
pub(super) struct Remaining<'a> {
    lines: Vec<RemainingLine<'a>>,
}

impl<'a> Remaining<'a> {
    /// All of it is left.
    ///
    /// # Errors
    /// [`PricingError::UnitPrice`]; [`PricingError::OutOfRange`] of a line or of the sum of all.
    pub fn new(basket: &'a Basket) -> Result<Self, PricingError> {
        let lines = basket.lines.iter().enumerate();
        let mut lines: Vec<RemainingLine> =
            lines.map(|(at, line)| RemainingLine::new(at, line, basket)).collect::<Result<_, _>>()?;
        if lines.iter().map(|line| line.gross).sum::<i64>() > AMOUNT_MAX {
            return Err(PricingError::OutOfRange);
        }
        // What an employee takes off one line belongs to its content.
        let mut by_hand: BTreeMap<u32, Vec<_>> = BTreeMap::new();
        for discount in &basket.manual_discounts {
            if let Some(line) = discount.kind.line() {
                by_hand.entry(line).or_default().push(discount.kind.rank_and_value());
            }
        }
        by_hand.values_mut().for_each(|discounts| discounts.sort_unstable());
        lines.sort_by(|a, b| {
            a.compare(b)
                .then_with(|| by_hand.get(&a.line.number).cmp(&by_hand.get(&b.line.number)))
                .then_with(|| a.line.number.cmp(&b.line.number))
        });
        Ok(Remaining { lines })
    }

    /// All lines, in their canonical order.
    pub fn lines(&self) -> &[RemainingLine<'a>] {
        &self.lines
    }

    /// The lines themselves, once nothing more is taken off.
    pub fn into_lines(self) -> Vec<RemainingLine<'a>> {
        self.lines
    }

    /// Those lines of `chosen` that are discountable and that `admits` too. A line on which nothing is
    /// left to pay takes no part in anything.
    pub fn candidates(
        &self,
        chosen: &[bool],
        admits: impl Fn(&RemainingLine) -> bool,
    ) -> Vec<Candidate<'_, 'a>> {
        self.lines
            .iter()
            .zip(chosen)
            .enumerate()
            .filter(|(_, (line, chosen))| **chosen && line.line.discountable && line.left > 0 && admits(line))
            .map(|(at, (line, _))| Candidate { at, line })
            .collect()
    }

    /// Takes the parts of one discount off their lines; answers what that comes to. A promotion also
    /// touches the lines, and keeps them if it is exclusive.
    pub fn take(&mut self, parts: &[Part], discount: &Discount) -> i64 {
        for part in parts {
            let Some(line) = self.lines.get_mut(part.at) else { continue };
            line.take(part);
            let touched = part.off > 0 || part.pieces > 0;
            line.touched |= touched;
            line.kept |= touched && discount.keeps_lines;
            if part.off > 0 {
                line.adjustments.push(Adjustment {
                    source: discount.source.clone(),
                    name: discount.name.to_owned(),
                    amount: part.off,
                    uses: discount.uses,
                });
            }
        }
        total_off(parts)
    }
}

/// Who takes something off.
pub(super) struct Discount<'n> {
    /// What it is.
    pub source: Source,
    /// What it is called.
    pub name: &'n str,
    /// How many times its benefit is given.
    pub uses: u32,
    /// Whether nothing else may touch the lines afterwards.
    pub keeps_lines: bool,
}

/// What parts come to.
pub(super) fn total_off(parts: &[Part]) -> i64 {
    parts.iter().map(|part| part.off).sum()
}

/// What is left of all candidates.
pub(super) fn total_left(candidates: &[Candidate]) -> i64 {
    candidates.iter().map(|candidate| candidate.line.left).sum()
}

/// Takes `amount`, or all that is left if that is less, off the candidates in proportion to what is left
/// of each.
pub(super) fn spread(candidates: &[Candidate], amount: i64) -> Vec<Part> {
    let weights: Vec<i64> = candidates.iter().map(|candidate| candidate.line.left).collect();
    let shares = apportion(amount.min(total_left(candidates)), &weights);
    let parts = candidates.iter().zip(shares);
    parts.map(|(candidate, off)| Part { at: candidate.at, off, pieces: 0, value: 0 }).collect()
}

/// Takes a part of the candidates, in basis points: rounded once for all of them.
pub(super) fn spread_percentage(candidates: &[Candidate], bps: u32) -> Vec<Part> {
    spread(candidates, share_of(total_left(candidates), i64::from(bps), 10_000))
}
