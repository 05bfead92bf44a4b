//! Buy some of one choice of products, get some of another for less: razors and the blades that fit them.

use serde::{Deserialize, Serialize};

use super::bundle::Fitting;
use super::multibuy::{Given, given_part};
use super::selection::Selector;

/// So many pieces of a choice of products. It names some: an empty choice would be the whole shop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Which products.
    pub selector: Selector,
    /// How many pieces of them, in each group.
    pub quantity: u32,
}

/// What a line fits that may be bought.
const BOUGHT: usize = 0b01;
/// What a line fits that may be given.
const GIVEN: usize = 0b10;

/// Whole groups of `buy` pieces of the first pool and `get` of the second, `bps` off the latter. `None` where
/// there is no whole group.
///
/// First come as many groups as there are pieces for, then the cheapest pieces of the second pool are given.
/// A piece of both pools is bought or given, never both: it is given as long as enough are left to be bought,
/// and there may be cheaper pieces that are not. That is the cheapest choice there is, as what may be given is
/// a matroid: any pieces of the second pool, but of those of both no more than are not needed. The cheapest of
/// the others are the ones bought, which leaves the dearest to whatever comes later. With two equal pools it
/// is the buy-get of one.
pub(super) fn buy_get_other(
    fitting: &[Fitting],
    (buy, get): (u32, u32),
    bps: u32,
    uses_max: u32,
) -> Option<Given> {
    let mut cheapest_first: Vec<&Fitting> =
        fitting.iter().filter(|line| line.fits != 0 && line.candidate.line.free_pieces > 0).collect();
    // Stable, so that lines of equal worth stay in their canonical order.
    cheapest_first.sort_by(|a, b| a.candidate.line.compare_free_piece(b.candidate.line));
    let pieces_of = |pools: usize| -> i64 {
        let lines = cheapest_first.iter().filter(|line| line.fits & pools != 0);
        lines.map(|line| line.candidate.line.free_pieces).sum()
    };
    let (buy, get) = (i64::from(buy), i64::from(get));
    let bought = pieces_of(BOUGHT) / buy.max(1);
    let given = pieces_of(GIVEN) / get.max(1);
    let both = pieces_of(BOUGHT | GIVEN) / (buy + get).max(1);
    let uses = u32::try_from(bought.min(given).min(both)).unwrap_or(u32::MAX).min(uses_max);
    if uses == 0 {
        return None;
    }
    let groups = i64::from(uses);
    let mut to_give = groups * get;
    let mut to_spare = pieces_of(BOUGHT) - groups * buy;
    let mut split = Vec::with_capacity(cheapest_first.len());
    for line in &cheapest_first {
        let free = line.candidate.line.free_pieces;
        let is_bought = line.fits & BOUGHT != 0;
        let most = if is_bought { to_spare } else { free };
        let given = if line.fits & GIVEN != 0 { free.min(to_give).min(most) } else { 0 };
        to_give -= given;
        to_spare -= if is_bought { given } else { 0 };
        split.push((line.candidate, given, if is_bought { free - given } else { 0 }));
    }
    let mut to_buy = groups * buy;
    let mut parts = Vec::new();
    for (candidate, given, left) in split {
        let bought = left.min(to_buy);
        to_buy -= bought;
        if given + bought > 0 {
            parts.push(given_part(candidate, given, given + bought, bps));
        }
    }
    Some((parts, uses))
}
