//! Virtual time: it stands still while anything can be done, and then goes on to when something can.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tillstream_app::environment::Environment;
use tillstream_app::stock::hot_stock::HotStock;
use tillstream_app::tenant_rules::RulesMemory;

use super::chance::Chance;

struct Timer {
    due: i64,
    number: u64,
    waker: Waker,
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl Eq for Timer {}
impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Timer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

/// The clock of a run; chance comes with it.
pub struct Clock {
    nanos: AtomicI64,
    numbers: AtomicU64,
    timers: Mutex<BinaryHeap<Reverse<Timer>>>,
    chance: Arc<Chance>,
}

fn nanos_of(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

impl Clock {
    /// A clock that stands at `start`.
    pub fn new(start: Timestamp, chance: Arc<Chance>) -> Self {
        let nanos = i64::try_from(start.as_nanosecond()).unwrap_or(0);
        Clock { nanos: AtomicI64::new(nanos), numbers: AtomicU64::new(0), timers: Mutex::default(), chance }
    }

    fn timers(&self) -> MutexGuard<'_, BinaryHeap<Reverse<Timer>>> {
        self.timers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn nanos(&self) -> i64 {
        self.nanos.load(Ordering::Relaxed)
    }

    /// Lets time pass, and wakes whoever waited for less.
    pub fn advance(&self, time: Duration) {
        let now = self.nanos().saturating_add(nanos_of(time));
        self.nanos.store(now, Ordering::Relaxed);
        self.wake_due(now);
    }

    /// Goes on to the first time that anybody waits for; `false` where nobody waits.
    pub fn go_on(&self) -> bool {
        let Some(due) = self.timers().peek().map(|Reverse(timer)| timer.due) else { return false };
        let now = self.nanos().max(due);
        self.nanos.store(now, Ordering::Relaxed);
        self.wake_due(now);
        true
    }

    fn wake_due(&self, now: i64) {
        loop {
            let mut timers = self.timers();
            if timers.peek().is_none_or(|Reverse(timer)| timer.due > now) {
                return;
            }
            let timer = timers.pop();
            drop(timers);
            if let Some(Reverse(timer)) = timer {
                timer.waker.wake();
            }
        }
    }
}

#[async_trait]
impl Environment for Clock {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanosecond(self.nanos().into()).unwrap_or(Timestamp::MAX)
    }

    fn random(&self) -> u64 {
        self.chance.next()
    }

    async fn sleep(&self, time: Duration) {
        let due = self.nanos().saturating_add(nanos_of(time));
        poll_fn(|context| {
            if self.nanos() >= due {
                return Poll::Ready(());
            }
            let number = self.numbers.fetch_add(1, Ordering::Relaxed);
            self.timers().push(Reverse(Timer { due, number, waker: context.waker().clone() }));
            Poll::Pending
        })
        .await;
    }
}

/// The clock as one machine shows it, a little before or behind, and what its process remembers.
pub struct MachineClock {
    /// The run's clock.
    pub clock: Arc<Clock>,
    /// How far this one is ahead, in milliseconds.
    pub ahead_millis: i64,
    /// What requests before this one left; nothing where the process is new.
    pub memory: Arc<ProcessMemory>,
}

/// What one process remembers.
#[derive(Debug, Default)]
pub struct ProcessMemory {
    hot_stock: HotStock,
    rules: RulesMemory,
}

#[async_trait]
impl Environment for MachineClock {
    fn now(&self) -> Timestamp {
        let now = self.clock.now();
        now.checked_add(jiff::SignedDuration::from_millis(self.ahead_millis)).unwrap_or(now)
    }

    fn random(&self) -> u64 {
        self.clock.random()
    }

    async fn sleep(&self, time: Duration) {
        self.clock.sleep(time).await;
    }

    fn hot_stock(&self) -> Option<&HotStock> {
        Some(&self.memory.hot_stock)
    }

    fn rules_memory(&self) -> Option<&RulesMemory> {
        Some(&self.memory.rules)
    }
}
