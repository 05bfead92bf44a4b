//! Bundles: one price for a set of products.

use serde::{Deserialize, Serialize};

use super::multibuy::Given;
use super::remaining::{Candidate, Part};
use super::selection::Selector;
use crate::apportion::apportion;

/// Most components of a bundle. What fits where is decided over all sets of components, of which there
/// are 2⁶.
pub const COMPONENTS_MAX: usize = 6;

/// A part of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleComponent {
    /// What it may be.
    pub selector: Selector,
    /// How many pieces of it.
    pub quantity: u32,
}

/// A line, and the components (or pools) that its pieces fit, one bit each.
pub(super) struct Fitting<'c, 'r, 'a> {
    /// The line.
    pub candidate: &'c Candidate<'r, 'a>,
    /// Bit n is set where it fits component n.
    pub fits: usize,
}

/// As many bundles as save something, `uses_max` at most, of the dearest pieces that fit. `None` where
/// there is no whole bundle.
///
/// Products may fit several components. By Hall's theorem pieces can be dealt out to components exactly
/// if, for every set of components, those that fit nothing outside it are no more than it needs; and
/// taking the dearest piece that can still be dealt out, again and again, then gives the dearest set
/// there is, as what can be dealt out is a matroid.
pub(super) fn bundle(
    fitting: &[Fitting],
    components: &[BundleComponent],
    price: i64,
    uses_max: u32,
) -> Option<Given> {
    let needs: Vec<i64> = (0..1_usize << components.len())
        .map(|set| {
            let within = components.iter().enumerate().filter(|(bit, _)| set >> bit & 1 == 1);
            within.map(|(_, component)| i64::from(component.quantity)).sum()
        })
        .collect();
    let mut dearest_first: Vec<&Fitting> =
        fitting.iter().filter(|f| f.fits != 0 && f.candidate.line.free_pieces > 0).collect();
    // Stable, so that lines of equal worth stay in their canonical order.
    dearest_first.sort_by(|a, b| b.candidate.line.compare_free_piece(a.candidate.line));
    let most = bundles_that_fit(&dearest_first, &needs).min(i64::from(uses_max));
    if most == 0 {
        return None;
    }
    let saved = |parts: &[Part], bundles: i64| worth(parts) - bundles.saturating_mul(price);
    let saving = |bundles: i64| saved(&taken(&dearest_first, &needs, bundles), bundles);
    let one_more_pays = |bundles: i64| saving(bundles) > saving(bundles - 1);
    let bundles = if one_more_pays(most) {
        most
    } else {
        // Each bundle is of cheaper pieces than the one before, so savings rise and then fall.
        let (mut pays, mut does_not) = (0, most);
        while does_not - pays > 1 {
            let middle = pays + (does_not - pays) / 2;
            if one_more_pays(middle) { pays = middle } else { does_not = middle }
        }
        pays
    };
    let mut parts = taken(&dearest_first, &needs, bundles);
    let off = saved(&parts, bundles).max(0);
    let weights: Vec<i64> = parts.iter().map(|part| part.value).collect();
    for (part, share) in parts.iter_mut().zip(apportion(off, &weights)) {
        part.off = share;
    }
    Some((parts, u32::try_from(bundles).unwrap_or(u32::MAX)))
}

/// How many whole bundles there are pieces for: for every set of components, enough pieces that fit one
/// of it.
fn bundles_that_fit(fitting: &[&Fitting], needs: &[i64]) -> i64 {
    let mut pieces_by_fit = vec![0_i64; needs.len()];
    for line in fitting {
        if let Some(pieces) = pieces_by_fit.get_mut(line.fits) {
            *pieces += line.candidate.line.free_pieces;
        }
    }
    let enough = needs.iter().enumerate().skip(1).map(|(set, need)| {
        let fit = pieces_by_fit.iter().enumerate().filter(|(fits, _)| fits & set != 0);
        fit.map(|(_, pieces)| pieces).sum::<i64>() / need
    });
    enough.min().unwrap_or(0)
}

/// The dearest pieces that make `bundles` bundles, nothing off them yet.
fn taken(dearest_first: &[&Fitting], needs: &[i64], bundles: i64) -> Vec<Part> {
    let mut room: Vec<i64> = needs.iter().map(|need| need * bundles).collect();
    let mut still_needed = room.last().copied().unwrap_or(0);
    let mut parts = Vec::new();
    for line in dearest_first {
        if still_needed == 0 {
            break;
        }
        let around = |set: usize| set & line.fits == line.fits;
        let most = room.iter().enumerate().filter(|(set, _)| around(*set)).map(|(_, room)| *room).min();
        let pieces = most.unwrap_or(0).min(line.candidate.line.free_pieces);
        if pieces == 0 {
            continue;
        }
        room.iter_mut().enumerate().filter(|(set, _)| around(*set)).for_each(|(_, room)| *room -= pieces);
        still_needed -= pieces;
        let value = line.candidate.line.worth_of_free(pieces);
        parts.push(Part { at: line.candidate.at, off: 0, pieces, value });
    }
    parts
}

fn worth(parts: &[Part]) -> i64 {
    parts.iter().map(|part| part.value).sum()
}
