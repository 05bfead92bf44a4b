//! The one source of chance of a run.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::test_environment::{SPLIT_MIX_STEP, split_mix};

/// Numbers from a seed. Everything that happens by chance draws from it, so that a seed is a run.
#[derive(Debug)]
pub struct Chance(AtomicU64);

impl Chance {
    /// The numbers of a seed.
    pub fn new(seed: u64) -> Self {
        // Neighbouring seeds are to begin far apart.
        Chance(AtomicU64::new(split_mix(seed.wrapping_mul(SPLIT_MIX_STEP))))
    }

    /// The numbers of a seed for one matter: they are of their own, so that what is drawn for it changes nothing of what
    /// is drawn for anything else.
    pub fn apart(seed: u64, matter: &str) -> Self {
        Chance::new(matter.bytes().fold(seed, |mixed, byte| split_mix(mixed ^ u64::from(byte))))
    }

    /// The next number.
    pub fn next(&self) -> u64 {
        let before = self.0.fetch_add(SPLIT_MIX_STEP, Ordering::Relaxed);
        split_mix(before.wrapping_add(SPLIT_MIX_STEP))
    }

    /// A number below `end`; 0 where that is 0.
    pub fn below(&self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// An index below `end`; 0 where that is 0.
    pub fn index(&self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX);
        usize::try_from(self.below(end)).unwrap_or(0)
    }

    /// A number from `first` to `last`.
    pub fn between(&self, first: i64, last: i64) -> i64 {
        let span = u64::try_from(last.saturating_sub(first)).unwrap_or(0).saturating_add(1);
        first.saturating_add(i64::try_from(self.below(span)).unwrap_or(0))
    }

    /// Whether what happens to so many in a hundred happens.
    pub fn percent(&self, hundredths: u64) -> bool {
        self.below(100) < hundredths
    }

    /// Whether what happens to so many in a thousand happens.
    pub fn per_mille(&self, thousandths: u64) -> bool {
        self.below(1_000) < thousandths
    }

    /// One of them; the first where it does not matter, `None` where there is none.
    pub fn one_of<'a, T>(&self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.index(of.len()))
    }

    /// A time up to `most`.
    pub fn up_to(&self, most: Duration) -> Duration {
        Duration::from_micros(self.below(u64::try_from(most.as_micros()).unwrap_or(u64::MAX)))
    }
}
