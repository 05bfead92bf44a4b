//! The total limit of a coupon or promotion that changes while it is in use: what its item is to say of the limits
//! before, so that what was used counts under the new one.

use tillstream_domain::use_counting::{Counting, SPLIT_FROM};

use super::batch::Feed;
use crate::catalog::use_counting::{counting_of, with_counting};
use crate::database::Item;
use crate::error::Result;
use crate::pos::limited_uses::used_of_first;

/// A limit that takes the place of another, or of none.
pub(super) struct LimitChange<'a> {
    /// `coupon` or `promotion`.
    pub kind: &'static str,
    /// Its code or id.
    pub id: &'a str,
    /// The limit that stands.
    pub before: Option<u32>,
    /// The one that is fed.
    pub limit: Option<u32>,
}

/// What `old` says of the limits before, whose own is `before`.
fn known(old: Option<&Item>, before: Option<u32>) -> Counting {
    let known = counting_of(old);
    // Items of before say only that there were parts, and not under which limit.
    let unknown = (1..SPLIT_FROM).contains(&known.split);
    if unknown { Counting { split: before.unwrap_or(u32::MAX), ..known } } else { known }
}

/// Notes on an item, or on the mark of a deletion, how uses are counted from it on.
///
/// # Errors
/// As the database.
pub(super) async fn remembering(
    feed: Feed<'_>,
    change: LimitChange<'_>,
    item: Item,
    old: Option<&Item>,
) -> Result<Item> {
    let stood = known(old, change.before);
    let mut counting = stood.after(change.before, change.limit);
    if let Some(limit) = change.limit
        && old.is_some()
        && change.before != change.limit
        && counting.parts(limit) > 1
        && !counting.lowered
    {
        // Uses above the limit stand in the first part: they count under the new one too.
        let used = used_of_first(feed.ports, &feed.caller.scope, change.kind, change.id).await?;
        if used > i64::from(counting.share(limit, 0)) {
            counting.first = u32::try_from(used).unwrap_or(u32::MAX);
            // Where that leaves less to the others than they had, one of them may have used more already. They share
            // what the first leaves, each no less where that is no less.
            let others = |counting: Counting, limit: u32| limit.saturating_sub(counting.share(limit, 0));
            let had = change.before.map_or(0, |before| others(stood, before));
            counting.lowered = others(counting, limit) < had;
        }
    }
    Ok(with_counting(item, counting))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenancy::TenantScope;

    /// Items of before say that there were parts, and no more: what had a limit had that one, and what had none any
    /// more may have had any, so that each is lower.
    #[test]
    fn what_items_of_before_say_is_understood() {
        let key = TenantScope::from_own_record("t").coupon("A");
        let of_before = Item::new(&key).with("uses_split", 1_i64);
        let split = |counting: Counting| (counting.split, counting.lowered);
        let after =
            |before: Option<u32>, limit: u32| known(Some(&of_before), before).after(before, Some(limit));
        assert_eq!(split(after(Some(300), 400)), (300, false));
        assert_eq!(split(after(Some(300), 250)), (300, true));
        assert_eq!(split(after(None, 4_000)), (u32::MAX, true));
        assert_eq!(known(None, None), Counting::default());
        let counting = Counting { first: 150, split: 300, lowered: true };
        let now = with_counting(Item::new(&key), counting);
        assert_eq!(known(Some(&now), Some(250)), counting);
        assert_eq!(with_counting(Item::new(&key), Counting::default()), Item::new(&key));
    }
}
