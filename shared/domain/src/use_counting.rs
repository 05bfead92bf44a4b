//! How uses are counted of what all together may use so often only: in one part, or in several, each with a share of
//! the limit.
//!
//! Whoever claims uses of a part knows its share, and nothing of what the other parts have used. Shares sum to the limit,
//! so no more than that is used of all parts together. When a limit is raised no part's share gets less: what was
//! claimed by an older limit, also by who still holds it, is within the newer share. A limit that was lowered where
//! there were parts already has no such shares, as a part may have used more than it would have: from then on all that
//! is claimed is of the first part, by whoever looked at the others, which nobody claims of any more.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::pricing::Source;

/// From this limit on there are several parts.
pub const SPLIT_FROM: u32 = 200;
/// So many.
pub const PARTS: u32 = 16;

/// What is to be known of the limits that a coupon or promotion had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counting {
    /// As much may have been used of the first part by limits under which it was the only one, or was seen to be.
    pub first: u32,
    /// The highest limit under which there were several; 0 where there never were.
    pub split: u32,
    /// Whether the limit was ever lower than that one afterwards.
    pub lowered: bool,
}

impl Counting {
    /// What is to be known when `limit` takes the place of the limit `before`.
    #[must_use]
    pub fn after(mut self, before: Option<u32>, limit: Option<u32>) -> Self {
        if let Some(before) = before {
            let highest = if before >= SPLIT_FROM { &mut self.split } else { &mut self.first };
            *highest = before.max(*highest);
        }
        self.lowered |= limit.is_some_and(|limit| limit < self.split);
        self
    }

    /// How many parts have a use of `limit`, or may have one of a limit before it.
    pub fn parts(self, limit: u32) -> u32 {
        if limit >= SPLIT_FROM || self.lowered { PARTS } else { 1 }
    }

    /// The share of `limit` that a part has, where it was not lowered: the first has what may have been used of it when
    /// it was the only one, or a sixteenth if that is more; the others share the rest.
    pub fn share(self, limit: u32, part: u32) -> u32 {
        let first = match self.parts(limit) {
            1 => limit,
            parts => limit.div_ceil(parts).max(self.first).min(limit),
        };
        let (rest, others) = (limit - first, PARTS - 1);
        match part.checked_sub(1) {
            None => first,
            Some(other) => rest / others + u32::from(other < rest % others),
        }
    }
}

/// How uses of those coupons and promotions are counted whose limits were changed, by their codes and ids.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Countings {
    /// Of coupons.
    pub coupons: BTreeMap<String, Counting>,
    /// Of promotions.
    pub promotions: BTreeMap<String, Counting>,
}

impl Countings {
    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.coupons.is_empty() && self.promotions.is_empty()
    }

    /// That of a coupon or promotion.
    pub fn of(&self, source: &Source) -> Counting {
        let known = match source {
            Source::Coupon { code } => self.coupons.get(code),
            Source::Promotion { id, .. } => self.promotions.get(id),
            Source::ManualDiscount { .. } => None,
        };
        known.copied().unwrap_or_default()
    }

    /// Keeps that of a coupon.
    pub fn set_coupon(&mut self, code: &str, counting: Counting) {
        if counting == Counting::default() {
            self.coupons.remove(code);
        } else {
            self.coupons.insert(code.to_owned(), counting);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shares(counting: Counting, limit: u32) -> Vec<u32> {
        (0..PARTS).map(|part| counting.share(limit, part)).collect()
    }

    /// One that never changed is shared evenly, from 200 on, to the last use.
    #[test]
    fn a_limit_that_never_changed_is_shared_evenly() {
        let new = Counting::default();
        assert_eq!((new.parts(199), new.parts(200)), (1, 16));
        assert_eq!((new.share(199, 0), new.share(199, 1)), (199, 0));
        for limit in [200, 201, 215, 216, 1_000, 123_457, u32::MAX] {
            let even: Vec<u32> =
                (0..PARTS).map(|part| limit / PARTS + u32::from(part < limit % PARTS)).collect();
            assert_eq!(shares(new, limit), even, "{limit}");
        }
    }

    #[test]
    fn what_may_have_been_used_of_the_first_part_is_its_share_when_there_are_more() {
        let raised = Counting::default().after(Some(150), Some(300));
        assert_eq!(raised, Counting { first: 150, split: 0, lowered: false });
        let of = |limit: u32| (raised.share(limit, 0), raised.share(limit, 1), raised.share(limit, 15));
        assert_eq!(of(200), (150, 4, 3));
        assert_eq!(of(300), (150, 10, 10));
        assert_eq!(of(2_399), (150, 150, 149));
        assert_eq!(of(2_401), (151, 150, 150));
        let by_one = Counting::default().after(Some(199), Some(200));
        assert_eq!((by_one.share(200, 0), by_one.share(200, 1), by_one.share(200, 2)), (199, 1, 0));
        // What it was before it was lowered to less, and what it was before it had none, is remembered.
        let known =
            Counting::default().after(Some(150), Some(40)).after(Some(40), None).after(None, Some(300));
        assert_eq!(known, Counting { first: 150, split: 0, lowered: false });
        // More than the limit the first part may not have, whatever it was seen to have used.
        let beyond = Counting { first: 500, ..Counting::default() };
        assert_eq!((shares(beyond, 300)[0], shares(beyond, 300)[1..].iter().sum::<u32>()), (300, 0));
    }

    #[test]
    fn once_lowered_where_there_were_parts_is_lowered_for_good() {
        let split = Counting::default().after(None, Some(400)).after(Some(400), Some(400));
        assert_eq!((split.lowered, split.split), (false, 400));
        for (lowered, parts) in [(399, 16), (200, 16), (199, 16), (1, 16)] {
            let once = split.after(Some(400), Some(lowered));
            assert!(once.lowered, "{lowered}");
            assert_eq!(once.parts(lowered), parts);
            assert!(once.after(Some(lowered), Some(1_000)).after(Some(1_000), None).lowered);
        }
        // Also where it had no limit in between.
        let without = split.after(Some(400), None);
        assert!(!without.lowered && without.after(None, Some(399)).lowered);
        assert!(!without.after(None, Some(400)).lowered);
    }

    #[test]
    fn only_what_is_not_as_ever_is_kept_of_a_coupon() {
        let mut countings = Countings::default();
        countings.set_coupon("A", Counting::default());
        assert!(countings.is_empty());
        let raised = Counting { first: 150, ..Counting::default() };
        countings.set_coupon("A", raised);
        let coupon = |code: &str| Source::Coupon { code: code.to_owned() };
        let promotion = |id: &str| Source::Promotion { id: id.to_owned(), version: 1 };
        assert_eq!((countings.of(&coupon("A")), countings.of(&coupon("B"))), (raised, Counting::default()));
        assert_eq!(countings.of(&promotion("A")), Counting::default());
        countings.promotions.insert("P".to_owned(), raised);
        assert_eq!(countings.of(&promotion("P")), raised);
        countings.set_coupon("A", Counting::default());
        assert!(countings.coupons.is_empty() && !countings.is_empty());
    }

    fn limit() -> impl Strategy<Value = u32> {
        prop_oneof![1_u32..260, 1_u32..4_000, any::<u32>().prop_map(|limit| limit.max(1))]
    }

    proptest! {
        /// Whatever limits follow one another: shares sum to the limit, and none is less than any that its part had,
        /// as long as there are parts and the limit is not lowered.
        #[test]
        fn shares_sum_to_the_limit_and_none_shrinks(
            limits in proptest::collection::vec(proptest::option::weighted(0.9, limit()), 1..12),
        ) {
            let (mut counting, mut before) = (Counting::default(), None);
            let mut had = [0; PARTS as usize];
            for limit in limits {
                counting = counting.after(before, limit);
                before = limit;
                let Some(limit) = limit else { continue };
                if counting.lowered {
                    prop_assert_eq!(counting.parts(limit), PARTS);
                    continue;
                }
                let shares = shares(counting, limit);
                prop_assert_eq!(shares.iter().copied().map(u64::from).sum::<u64>(), u64::from(limit));
                for (had, share) in had.iter_mut().zip(shares) {
                    // A single part says itself what was used, and may be lowered as it likes.
                    prop_assert!(share >= *had || counting.parts(limit) == 1, "{:?} of {}", counting, limit);
                    *had = share.max(*had);
                }
            }
        }

        /// Lowered is what was lower than a limit that had parts, and nothing else.
        #[test]
        fn lowered_is_what_was_lower_than_a_limit_with_parts(
            limits in proptest::collection::vec(limit(), 1..12),
        ) {
            let (mut counting, mut before, mut highest, mut lowered) = (Counting::default(), None, 0, false);
            for limit in limits {
                counting = counting.after(before, Some(limit));
                lowered |= highest >= SPLIT_FROM && limit < highest;
                prop_assert_eq!(counting.lowered, lowered);
                (before, highest) = (Some(limit), highest.max(limit));
            }
        }
    }
}
