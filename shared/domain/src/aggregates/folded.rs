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
