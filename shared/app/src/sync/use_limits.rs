//! The total limit of a coupon or promotion that changes while it is in use. From [`SPLIT_FROM`] on its uses are
//! counted in parts. Below there is one counter, the first part, which knows little of what the others gave: so a limit
//! that was that high once is not lowered below it. What was given would be given again.

use super::line::BadLine;
use crate::database::Item;
use crate::pos::limited_uses::{SPLIT_FROM, is_split};

/// Says that uses were counted in parts once, where the limit beside it does not: it was taken off, or all was deleted.
/// The counters stay, and count again when there is a limit again.
const ATTRIBUTE: &str = "uses_split";

/// Whether uses were counted in parts under `old`, whose limit is `limit`, or under what stood there before it.
pub(super) fn was_split(old: Option<&Item>, limit: Option<u32>) -> bool {
    limit.is_some_and(is_split) || old.is_some_and(|item| item.opt_number(ATTRIBUTE).is_some())
}

/// Notes on an item, or on the mark of a deletion, that uses were counted in parts before it.
pub(super) fn remembering(item: Item, was_split: bool) -> Item {
    item.with_some(ATTRIBUTE, was_split.then_some(1_i64))
}

/// Refuses a limit that would forget most of what was given before.
pub(super) fn check_limit(field: &str, limit: Option<u32>, was_split: bool) -> Result<(), BadLine> {
    match limit {
        Some(limit) if was_split && !is_split(limit) => {
            let message = format!(
                "{field}: it was {SPLIT_FROM} or more, and what was given then is counted in parts that a lower limit \
                 does not look at; say at least {SPLIT_FROM}, let it end, or feed a new one"
            );
            Err(BadLine::new("limit_lowered_too_far", message))
        }
        _ => Ok(()),
    }
}
