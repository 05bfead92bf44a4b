//! Which facts a page or a record contains.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::interval_set::IntervalSet;
use crate::lane::Lane;

/// Per lane of one store the exact set of numbers contained. The store is not part of it: a page
/// belongs to one store.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Folded(BTreeMap<String, BTreeMap<u32, IntervalSet>>);

impl Folded {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The set of a lane, if it has one.
    pub fn of(&self, register_id: &str, epoch: u32) -> Option<&IntervalSet> {
        self.0.get(register_id)?.get(&epoch)
    }

    /// Whether the lane's number is in it.
    pub fn contains(&self, lane: &Lane, number: u64) -> bool {
        self.of(&lane.register_id, lane.epoch).is_some_and(|set| set.contains(number))
    }

    /// Adds the lane's number; says whether it was new.
    pub fn insert(&mut self, lane: &Lane, number: u64) -> bool {
        if let Some(set) = self.0.get_mut(&lane.register_id).and_then(|epochs| epochs.get_mut(&lane.epoch)) {
            return set.insert(number);
        }
        self.0.entry(lane.register_id.clone()).or_default().entry(lane.epoch).or_default().insert(number)
    }

    /// All lanes in it: register, epoch, numbers.
    pub fn lanes(&self) -> impl Iterator<Item = (&str, u32, &IntervalSet)> {
        self.0.iter().flat_map(|(register, epochs)| {
            epochs.iter().map(move |(epoch, set)| (register.as_str(), *epoch, set))
        })
    }

    /// Whether all of `other` is in it.
    pub fn contains_all(&self, other: &Folded) -> bool {
        other.lanes().all(|(register, epoch, theirs)| {
            // Intervals are maximal, so one of theirs lies within one of ours or is not in it.
            let ours = self.of(register, epoch).map(IntervalSet::intervals).unwrap_or_default();
            theirs
                .intervals()
                .iter()
                .all(|(start, end)| ours.iter().any(|(from, to)| from <= start && end <= to))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(numbers: &[(&str, u32, u64)]) -> Folded {
        let mut folded = Folded::default();
        for (register, epoch, number) in numbers {
            let lane = Lane { epoch: *epoch, ..Lane::new("s-1", *register) };
            assert!(folded.insert(&lane, *number));
            assert!(!folded.insert(&lane, *number) && folded.contains(&lane, *number));
        }
        folded
    }

    #[test]
    fn one_set_contains_another_lane_by_lane() {
        let all = folded(&[("r-1", 0, 1), ("r-1", 0, 2), ("r-1", 0, 3), ("r-1", 0, 7), ("r-2", 1, 4)]);
        for part in [
            folded(&[]),
            folded(&[("r-1", 0, 2)]),
            folded(&[("r-1", 0, 1), ("r-1", 0, 2), ("r-1", 0, 3)]),
            folded(&[("r-1", 0, 3), ("r-1", 0, 7), ("r-2", 1, 4)]),
            all.clone(),
        ] {
            assert!(all.contains_all(&part), "{part:?}");
        }
        for other in [
            folded(&[("r-1", 0, 4)]),
            folded(&[("r-1", 0, 3), ("r-1", 0, 4)]),
            folded(&[("r-1", 0, 6), ("r-1", 0, 7)]),
            folded(&[("r-1", 1, 1)]),
            folded(&[("r-2", 0, 4)]),
            folded(&[("r-3", 0, 1)]),
        ] {
            assert!(!all.contains_all(&other), "{other:?}");
        }
        assert!(!folded(&[]).contains_all(&all));
        let lanes: Vec<_> = all.lanes().map(|(register, epoch, set)| (register, epoch, set.len())).collect();
        assert_eq!(lanes, [("r-1", 0, 4), ("r-2", 1, 1)]);
        assert!(folded(&[]).is_empty() && !all.is_empty());
    }
}
