//! A set of lane numbers kept as intervals: nearly contiguous numbers cost a few bytes.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A set of `u64`, held as sorted, disjoint, non-adjacent closed intervals.
///
/// Serialised as differences (`gap`, `length`), so a dense set is a few bytes whatever its numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IntervalSet {
    intervals: Vec<(u64, u64)>,
}

impl IntervalSet {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether `number` is in the set.
    pub fn contains(&self, number: u64) -> bool {
        let after = self.intervals.partition_point(|(start, _)| *start <= number);
        after.checked_sub(1).is_some_and(|i| self.intervals[i].1 >= number)
    }

    /// Adds `number`; says whether it was new.
    pub fn insert(&mut self, number: u64) -> bool {
        let after = self.intervals.partition_point(|(start, _)| *start <= number);
        let joins_left = after.checked_sub(1).filter(|i| self.intervals[*i].1.saturating_add(1) >= number);
        if joins_left.is_some_and(|i| self.intervals[i].1 >= number) {
            return false;
        }
        let joins_right =
            self.intervals.get(after).is_some_and(|(start, _)| number.checked_add(1) == Some(*start));
        match (joins_left, joins_right) {
            (Some(left), true) => {
                self.intervals[left].1 = self.intervals[after].1;
                self.intervals.remove(after);
            }
            (Some(left), false) => self.intervals[left].1 = number,
            (None, true) => self.intervals[after].0 = number,
            (None, false) => self.intervals.insert(after, (number, number)),
        }
        true
    }

    /// The highest number below which, from 1, nothing is missing; 0 if 1 is missing.
    pub fn through(&self) -> u64 {
        match self.intervals.first() {
            Some((start, end)) if *start <= 1 => *end,
            _ => 0,
        }
    }

    /// The numbers missing between [`Self::through`] and `last`, as closed intervals.
    pub fn gaps_up_to(&self, last: u64) -> Vec<(u64, u64)> {
        let mut gaps = Vec::new();
        let mut next = 1;
        for (start, end) in &self.intervals {
            if *start > last {
                break;
            }
            if *start > next {
                gaps.push((next, start - 1));
            }
            match end.checked_add(1) {
                Some(after) => next = after,
                None => return gaps,
            }
        }
        if next <= last {
            gaps.push((next, last));
        }
        gaps
    }

    /// The highest number in the set; 0 if it is empty.
    pub fn last(&self) -> u64 {
        self.intervals.last().map_or(0, |(_, end)| *end)
    }

    /// How many numbers the set holds. That of all numbers there are is one too large to say; it is
    /// given as `u64::MAX`.
    pub fn len(&self) -> u64 {
        let lengths = self.intervals.iter().map(|(start, end)| (end - start).saturating_add(1));
        lengths.fold(0, u64::saturating_add)
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.intervals.is_empty()
    }

    /// The intervals, ascending.
    pub fn intervals(&self) -> &[(u64, u64)] {
        &self.intervals
    }
}

impl FromIterator<u64> for IntervalSet {
    fn from_iter<I: IntoIterator<Item = u64>>(numbers: I) -> Self {
        let mut set = IntervalSet::new();
        for number in numbers {
            set.insert(number);
        }
        set
    }
}

impl Serialize for IntervalSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut previous = 0;
        serializer.collect_seq(self.intervals.iter().map(|(start, end)| {
            let pair = (start - previous, end - start);
            previous = *end;
            pair
        }))
    }
}

impl<'de> Deserialize<'de> for IntervalSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut intervals = Vec::<(u64, u64)>::deserialize(deserializer)?;
        let mut previous: u64 = 0;
        for (at, interval) in intervals.iter_mut().enumerate() {
            let (gap, length) = *interval;
            let overflow = || serde::de::Error::custom("interval set overflows");
            let start = previous.checked_add(gap).ok_or_else(overflow)?;
            let end = start.checked_add(length).ok_or_else(overflow)?;
            if at > 0 && gap < 2 {
                return Err(serde::de::Error::custom("interval set is not canonical"));
            }
            *interval = (start, end);
            previous = end;
        }
        Ok(IntervalSet { intervals })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_as_a_set(numbers in prop::collection::vec(1_u64..60, 0..80)) {
            let mut set = IntervalSet::new();
            let mut model = BTreeSet::new();
            for n in numbers {
                prop_assert_eq!(set.insert(n), model.insert(n));
            }
            prop_assert_eq!((set.len(), set.is_empty()), (model.len() as u64, model.is_empty()));
            for n in 0..62 {
                prop_assert_eq!(set.contains(n), model.contains(&n));
            }
            let through = (1..).take_while(|n| model.contains(n)).last().unwrap_or(0);
            prop_assert_eq!(set.through(), through);
            let missing: Vec<u64> = set.gaps_up_to(61).iter().flat_map(|(a, b)| *a..=*b).collect();
            let expected: Vec<u64> = (1..=61).filter(|n| !model.contains(n)).collect();
            prop_assert_eq!(missing, expected);
            let bytes = postcard::to_stdvec(&set).unwrap();
            prop_assert_eq!(postcard::from_bytes::<IntervalSet>(&bytes).unwrap(), set);
        }
    }

    #[test]
    fn numbers_may_reach_the_end_of_their_type() {
        for (start, len) in [(0, u64::MAX), (1, u64::MAX), (2, u64::MAX - 1), (u64::MAX, 1)] {
            let set = IntervalSet { intervals: vec![(start, u64::MAX)] };
            assert_eq!((set.len(), set.last()), (len, u64::MAX));
            let missing = if start > 1 { vec![(1, start - 1)] } else { vec![] };
            assert_eq!(set.gaps_up_to(u64::MAX), missing);
            let bytes = postcard::to_stdvec(&set).unwrap();
            assert_eq!(postcard::from_bytes::<IntervalSet>(&bytes).unwrap(), set);
        }
    }

    #[test]
    fn a_dense_set_is_a_few_bytes() {
        let set: IntervalSet = (1..=100_000).collect();
        assert!(postcard::to_stdvec(&set).unwrap().len() <= 6);
    }

    #[test]
    fn only_intervals_apart_and_in_order_are_read() {
        let read = |text: &str| serde_json::from_str::<IntervalSet>(text);
        assert_eq!(read("[[1,2],[2,0]]").unwrap().intervals(), [(1, 3), (5, 5)]);
        assert_eq!(read("[[0,0]]").unwrap().intervals(), [(0, 0)]);
        for text in ["[[1,2],[1,0]]", "[[1,2],[0,0]]", "[[1,18446744073709551615]]"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
