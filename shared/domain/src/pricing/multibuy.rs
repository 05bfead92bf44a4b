//! Benefits that are given unit by unit: buy some and get some, another price, an amount off each.
//!
//! Nothing here looks at single units: a line of 80,995 pieces takes as long as a line of one.

use std::cmp::Reverse;

use super::remaining::{Candidate, Part, share_of};
use crate::money::{Currency, UnitPrice, divide_rounding};
use crate::quantity::Unit;

/// Most pieces to buy or to get in one group, or of one component of a bundle.
pub const MULTIBUY_QUANTITY_MAX: u32 = 1_000;

/// Parts of a benefit, and how many times it is given.
pub(super) type Given = (Vec<Part>, u32);

/// Whole groups of `buy` + `get` pieces, `bps` off the `get`, which are the cheapest of all. `None` where
/// there is no whole group.
pub(super) fn buy_get(
    candidates: &[Candidate],
    buy: u32,
    get: u32,
    bps: u32,
    uses_max: u32,
) -> Option<Given> {
    let mut with_pieces: Vec<&Candidate> = candidates.iter().filter(|c| c.line.free_pieces > 0).collect();
    let pieces: i64 = with_pieces.iter().map(|c| c.line.free_pieces).sum();
    let group = i64::from(buy) + i64::from(get);
    let uses = u32::try_from(pieces / group.max(1)).unwrap_or(u32::MAX).min(uses_max);
    if uses == 0 {
        return None;
    }
    // Stable, so that lines of equal worth stay in their canonical order.
    with_pieces.sort_by(|a, b| a.line.compare_free_piece(b.line));
    let (mut to_give, mut to_take) = (i64::from(uses) * i64::from(get), i64::from(uses) * group);
    let mut parts = Vec::new();
    for candidate in with_pieces {
        let taken = candidate.line.free_pieces.min(to_take);
        if taken == 0 {
            break;
        }
        let given = taken.min(to_give);
        parts.push(given_part(candidate, given, taken, bps));
        to_give -= given;
        to_take -= taken;
    }
    Some((parts, uses))
}

/// A part of a buy-get: of `taken` free pieces of a line, `given` cost `bps` less.
pub(super) fn given_part(candidate: &Candidate, given: i64, taken: i64, bps: u32) -> Part {
    let off = i128::from(candidate.line.free_left) * i128::from(given) * i128::from(bps);
    let off = divide_rounding(off, i128::from(candidate.line.free_pieces) * 10_000);
    Part {
        at: candidate.at,
        // At most what is left of the line.
        off: i64::try_from(off).unwrap_or(0),
        pieces: taken,
        value: candidate.line.worth_of_free(taken),
    }
}

/// No more than `unit_price` for each unit.
pub(super) fn price_override(
    candidates: &[Candidate],
    unit_price: UnitPrice,
    currency: Currency,
    uses_max: u32,
) -> Given {
    per_unit(candidates, uses_max, |candidate, units, of_units| {
        // Beyond the limit of money it is certainly no saving.
        let price = unit_price.times(candidate.line.line.quantity, currency).unwrap_or(i64::MAX);
        share_of(candidate.line.left, units, of_units).saturating_sub(share_of(price, units, of_units))
    })
}

/// `amount` off each unit, at most what is left of it.
pub(super) fn amount_per_unit(candidates: &[Candidate], amount: i64, uses_max: u32) -> Given {
    per_unit(candidates, uses_max, |candidate, units, of_units| {
        let off = i128::from(amount) * i128::from(candidate.line.line.quantity.thousandths());
        let off = divide_rounding(off * i128::from(units), i128::from(of_units) * 1_000);
        let left = share_of(candidate.line.left, units, of_units);
        i64::try_from(off).unwrap_or(i64::MAX).min(left)
    })
}

/// A benefit on each unit, where that is more than nothing. What is sold by measure is one unit as a line.
/// Where uses are limited, they go to the units that save most.
fn per_unit(candidates: &[Candidate], uses_max: u32, off: impl Fn(&Candidate, i64, i64) -> i64) -> Given {
    let units_of = |c: &Candidate| if c.line.line.unit == Unit::Piece { c.line.pieces } else { 1 };
    let mut saving: Vec<(&Candidate, i64, i64)> =
        candidates.iter().map(|c| (c, units_of(c), off(c, units_of(c), units_of(c)))).collect();
    // By millionths of a minor unit. Stable, so that equal savings stay in their canonical order.
    let per_unit = |off: i64, units: i64| i128::from(off) * 1_000_000 / i128::from(units.max(1));
    saving.sort_by_cached_key(|(_, units, off)| Reverse(per_unit(*off, *units)));
    let mut uses_left = i64::from(uses_max);
    let mut parts = Vec::new();
    for (candidate, units, whole) in saving {
        let used = units.min(uses_left);
        let off = if used == units { whole } else { off(candidate, used, units) };
        // No use is spent on what costs no less for it.
        if used > 0 && off > 0 {
            parts.push(Part { at: candidate.at, off, pieces: 0, value: 0 });
            uses_left -= used;
        }
    }
    let uses = u32::try_from(i64::from(uses_max) - uses_left).unwrap_or(u32::MAX);
    (parts, uses)
}
