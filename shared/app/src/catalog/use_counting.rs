//! How the uses of a coupon or promotion are counted, as its item says it beside what was fed.

use tillstream_domain::use_counting::Counting;

use crate::database::Item;

/// As much may have been used of the first part when it was the only one.
const FIRST: &str = "uses_first";
/// The highest limit under which there were several parts.
const SPLIT: &str = "uses_split";
/// Says that the limit was lowered after that.
const LOWERED: &str = "uses_lowered";

/// What an item says, also the mark of one that was deleted: its counters stay, and count again when it is fed again.
pub(crate) fn counting_of(item: Option<&Item>) -> Counting {
    let number = |name: &str| {
        let stored = item.and_then(|item| item.opt_number(name));
        stored.map_or(0, |number| u32::try_from(number).unwrap_or(u32::MAX))
    };
    Counting { first: number(FIRST), split: number(SPLIT), lowered: number(LOWERED) > 0 }
}

/// An item that says it, where it is not as ever.
pub(crate) fn with_counting(item: Item, counting: Counting) -> Item {
    let some = |number: u32| (number > 0).then_some(i64::from(number));
    item.with_some(FIRST, some(counting.first))
        .with_some(SPLIT, some(counting.split))
        .with_some(LOWERED, some(u32::from(counting.lowered)))
}
