//! How the stock of one SKU at one location is laid out: whole, or split over parts.
//!
//! Whole, it is one item, and one item takes as many transactions one after another as its time in a
//! transaction allows, a few hundred a second. Split, each part has a partition key, a `seq`, a ledger and
//! hold lines of its own. Part 0 is the item that the whole is.
//!
//! A layout has a number, generation × 100 + number of parts; 0 is whole. Each part carries it while it
//! stands, and no number ever returns: whoever finds another number than it knows has proof that the layout
//! is past. Splitting and merging ([`crate::stock::split`]) move all parts in one transaction.

use crate::database::{Item, Key};
use crate::tenancy::TenantScope;

/// Layout of a stock item that is not split.
pub const LAYOUT_WHOLE: i64 = 0;
/// Most parts.
pub const PARTS_MAX: u32 = 32;
/// Numbers per generation.
const GENERATION: i64 = 100;

/// Number of parts of a layout.
pub fn parts_in(layout: i64) -> u32 {
    u32::try_from(layout.rem_euclid(GENERATION)).unwrap_or(0).max(1)
}

/// The number of the layout after `last` (0: there was none), of `parts` parts.
pub(super) fn next_layout(last: i64, parts: u32) -> i64 {
    (last.div_euclid(GENERATION) + 1) * GENERATION + i64::from(parts)
}

/// Layout of a stock item, or a part of one, as it was read.
pub fn layout_of(item: Option<&Item>) -> i64 {
    item.and_then(|item| item.opt_number("layout")).unwrap_or(LAYOUT_WHOLE)
}

/// Where a change of stock goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The whole; refused while it is split.
    Whole,
    /// Part 0 whatever the layout: what is given back or comes in, and what has been held there, or was
    /// held in a layout that is past.
    First,
    /// A part, while this layout stands.
    Part {
        /// Which.
        part: u32,
        /// Layout that must stand.
        layout: i64,
    },
}

impl Place {
    /// Number of the part.
    pub fn part(self) -> u32 {
        match self {
            Place::Whole | Place::First => 0,
            Place::Part { part, .. } => part,
        }
    }

    /// Its item.
    pub fn key(self, scope: &TenantScope, location_id: &str, sku: &str) -> Key {
        scope.stock_part(location_id, sku, self.part())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_number_never_returns_and_tells_its_parts() {
        let first = next_layout(LAYOUT_WHOLE, 16);
        let second = next_layout(first, 2);
        let third = next_layout(second, 16);
        assert_eq!([first, second, third].map(parts_in), [16, 2, 16]);
        assert!(LAYOUT_WHOLE < first && first < second && second < third);
        assert_eq!(parts_in(LAYOUT_WHOLE), 1);
        assert_eq!(parts_in(next_layout(0, PARTS_MAX)), PARTS_MAX);
    }
}
