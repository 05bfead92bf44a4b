//! How fast the machine is at the moment: what a benchmark's times are to be read beside. The same virtual
//! machine may have half its speed an hour later, when others on its host are busy.

use std::time::{Duration, Instant};

/// Numbers that each core sorts at a time: enough to leave its caches.
const NUMBERS: u32 = 1_000_000;
/// Rounds; the fastest counts, so that what else begins by chance does not.
const ROUNDS: usize = 3;

/// Thousand numbers that all cores together sort in a second; each core sorts its own.
pub fn thousands_sorted_per_second() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let fastest = (0..ROUNDS).map(|_| slowest_core(cores)).min().unwrap_or_default();
    let numbers = u128::try_from(cores).unwrap_or(1) * u128::from(NUMBERS);
    u32::try_from(numbers * 1_000 / fastest.as_micros().max(1)).unwrap_or(u32::MAX)
}

fn slowest_core(cores: usize) -> Duration {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(sort)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_default()).max().unwrap_or_default()
    })
}

fn sort() -> Duration {
    // Numbers without order, the same each time: Knuth's MMIX generator.
    let next = |state: &u64| {
        Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
    };
    let mut numbers: Vec<u64> = std::iter::successors(Some(1), next).take(NUMBERS as usize).collect();
    let begin = Instant::now();
    numbers.sort_unstable();
    let took = begin.elapsed();
    assert!(std::hint::black_box(numbers).is_sorted());
    took
}
