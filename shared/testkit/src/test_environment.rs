//! Time and chance for tests: from a seed, so that a failure can be repeated.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tillstream_app::environment::Environment;
use tillstream_app::tenant_rules::RulesMemory;

/// 2026-03-02T09:00:00Z, a Monday, in nanoseconds of the epoch.
const START_NANOS: i64 = 1_772_442_000_000_000_000;

/// Turns of the scheduler in which what others do at once, a few database calls, is done.
const TURNS_BEFORE_TIME_PASSES: usize = 128;

enum Clock {
    /// Stands still but for [`TestEnvironment::advance`] and sleeps; nanoseconds of the epoch.
    Virtual(AtomicI64),
    /// The machine's.
    Real,
}

/// A seeded environment.
pub struct TestEnvironment {
    clock: Clock,
    state: AtomicU64,
    rules: RulesMemory,
}

impl TestEnvironment {
    /// A clock that starts on 2026-03-02T09:00:00Z and moves only when told: a sleep lets other tasks run,
    /// then moves it to its end.
    pub fn new(seed: u64) -> Self {
        TestEnvironment {
            clock: Clock::Virtual(AtomicI64::new(START_NANOS)),
            state: AtomicU64::new(seed),
            rules: RulesMemory::default(),
        }
    }

    /// The machine's clock, real sleeps, seeded chance: for tests of real concurrency.
    pub fn real(seed: u64) -> Self {
        TestEnvironment { clock: Clock::Real, state: AtomicU64::new(seed), rules: RulesMemory::default() }
    }

    /// Moves a virtual clock; a real one moves by itself.
    pub fn advance(&self, time: Duration) {
        if let Clock::Virtual(nanos) = &self.clock {
            nanos.fetch_add(i64::try_from(time.as_nanos()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }

    /// Sets a virtual clock.
    pub fn set(&self, now: Timestamp) {
        if let Clock::Virtual(nanos) = &self.clock {
            nanos.store(i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood, 2014): the number after `state` steps of its sequence.
pub(crate) fn split_mix(state: u64) -> u64 {
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The step of [`split_mix`].
pub(crate) const SPLIT_MIX_STEP: u64 = 0x9e37_79b9_7f4a_7c15;

#[async_trait]
impl Environment for TestEnvironment {
    fn now(&self) -> Timestamp {
        match &self.clock {
            Clock::Virtual(nanos) => {
                Timestamp::from_nanosecond(nanos.load(Ordering::SeqCst).into()).unwrap_or(Timestamp::MAX)
            }
            Clock::Real => Timestamp::now(),
        }
    }

    fn random(&self) -> u64 {
        let before = self.state.fetch_add(SPLIT_MIX_STEP, Ordering::SeqCst);
        split_mix(before.wrapping_add(SPLIT_MIX_STEP))
    }

    fn rules_memory(&self) -> Option<&RulesMemory> {
        Some(&self.rules)
    }

    async fn sleep(&self, time: Duration) {
        match &self.clock {
            Clock::Virtual(nanos) => {
                // Nothing but sleep takes time here: who sleeps lets others get to theirs, so that sleeps at
                // once overlap.
                let length = i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
                let end = nanos.load(Ordering::SeqCst).saturating_add(length);
                for _ in 0..TURNS_BEFORE_TIME_PASSES {
                    tokio::task::yield_now().await;
                }
                nanos.fetch_max(end, Ordering::SeqCst);
            }
            Clock::Real => tokio::time::sleep(time).await,
        }
    }
}
