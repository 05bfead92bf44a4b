//! The circuit breaker of a destination: a pure state machine. Times are epoch milliseconds.
//!
//! Closed lets everything through. When the destination fails several *different* deliveries in a row it
//! opens, and nothing is sent. After a cool-down one delivery, holding a lease, is let through as a
//! probe; its success closes the breaker, its failure opens it again for longer.
//!
//! Failures are counted by delivery, since one order that the destination cannot digest fails as often
//! as it is tried: alone it must not stop the others.

use serde::{Deserialize, Serialize};

/// When it opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerRules {
    /// Opens after so many different deliveries failed with no success between them.
    pub failures_to_open: usize,
    /// First cool-down, in milliseconds; doubles with each opening that follows.
    pub cool_down: i64,
    /// Longest cool-down, in milliseconds.
    pub cool_down_max: i64,
    /// How long a probe may take, in milliseconds, before another may be sent. Longer than a request's
    /// timeout.
    pub probe_lease: i64,
}

impl Default for BreakerRules {
    fn default() -> Self {
        BreakerRules { failures_to_open: 5, cool_down: 5_000, cool_down_max: 60_000, probe_lease: 30_000 }
    }
}

/// Where a breaker stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Phase {
    /// Everything passes.
    Closed {
        /// Deliveries that failed since the last answer that proved the destination alive, each once.
        failing: Vec<String>,
        /// When it closed after having been open, until [`Breaker::settle`].
        since: Option<i64>,
    },
    /// Nothing passes.
    Open {
        /// Until then; afterwards one probe may.
        until: i64,
        /// Openings without a success between them.
        openings: u32,
    },
    /// One probe is on its way.
    HalfOpen {
        /// The delivery that is the probe.
        probe: String,
        /// When its lease ends.
        lease_until: i64,
        /// Openings without a success between them.
        openings: u32,
    },
}

/// A breaker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    /// Where it stands.
    pub phase: Phase,
    /// When a delivery was last accepted; may be up to [`SUCCESS_GRAIN`] behind.
    pub last_success_at: Option<i64>,
}

/// How exactly successes are noted, in milliseconds: each is a write to an item that all share.
pub const SUCCESS_GRAIN: i64 = 1_000;

/// Whether a delivery may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Yes.
    Send,
    /// Yes, as the probe; the changed breaker must be stored first, and storing it be won.
    Probe,
    /// No, not before this time.
    Wait {
        /// When to ask again.
        until: i64,
    },
}

impl Default for Breaker {
    fn default() -> Self {
        Breaker { phase: Phase::Closed { failing: Vec::new(), since: None }, last_success_at: None }
    }
}

impl Breaker {
    /// Whether `delivery` may be sent now. Takes the lease where it is the probe.
    pub fn admit(&mut self, rules: &BreakerRules, now: i64, delivery: &str) -> Admission {
        let (until, openings) = match &self.phase {
            Phase::Closed { .. } => return Admission::Send,
            Phase::Open { until, openings } => (*until, *openings),
            Phase::HalfOpen { lease_until, openings, .. } => (*lease_until, *openings),
        };
        if now < until {
            return Admission::Wait { until };
        }
        self.phase = Phase::HalfOpen {
            probe: delivery.to_owned(),
            lease_until: now.saturating_add(rules.probe_lease),
            openings,
        };
        Admission::Probe
    }

    /// When a probe may be sent; `None` where everything passes.
    pub fn blocked_until(&self) -> Option<i64> {
        match &self.phase {
            Phase::Closed { .. } => None,
            Phase::Open { until, .. } => Some(*until),
            Phase::HalfOpen { lease_until, .. } => Some(*lease_until),
        }
    }

    /// Whether the destination is known to be well: closed, and its last answer to any other delivery was
    /// not a failure.
    pub fn is_well_but_for(&self, delivery: &str) -> bool {
        match &self.phase {
            Phase::Closed { failing, .. } => failing.iter().all(|other| other == delivery),
            _ => false,
        }
    }

    /// The destination answered: it is alive, whatever it thinks of the message. Answers whether that
    /// changed anything worth storing.
    pub fn answered(&mut self, now: i64) -> bool {
        match &mut self.phase {
            Phase::Closed { failing, .. } => {
                let changed = !failing.is_empty();
                failing.clear();
                changed
            }
            _ => {
                self.phase = Phase::Closed { failing: Vec::new(), since: Some(now) };
                true
            }
        }
    }

    /// The destination accepted a delivery. Answers whether that changed anything worth storing.
    pub fn succeeded(&mut self, now: i64) -> bool {
        let stale = self.last_success_at.is_none_or(|last| now.saturating_sub(last) >= SUCCESS_GRAIN);
        let changed = self.answered(now);
        if stale || changed {
            self.last_success_at = Some(self.last_success_at.map_or(now, |last| last.max(now)));
        }
        stale || changed
    }

    /// The destination failed `delivery`. Answers whether that changed anything worth storing.
    pub fn failed(&mut self, rules: &BreakerRules, now: i64, delivery: &str) -> bool {
        match &mut self.phase {
            Phase::Closed { failing, .. } => {
                if failing.iter().any(|other| other == delivery) {
                    return false;
                }
                failing.push(delivery.to_owned());
                if failing.len() >= rules.failures_to_open {
                    self.open(rules, now, 0);
                }
                true
            }
            // Someone else's failure, sent before it opened, says nothing new.
            Phase::Open { .. } => false,
            Phase::HalfOpen { probe, openings, .. } => {
                if probe != delivery {
                    return false;
                }
                let openings = *openings;
                self.open(rules, now, openings);
                true
            }
        }
    }

    /// Forgets that it was open once that is `after` milliseconds ago. Answers whether it did.
    pub fn settle(&mut self, now: i64, after: i64) -> bool {
        match &mut self.phase {
            Phase::Closed { since, .. } if since.is_some_and(|at| now.saturating_sub(at) >= after) => {
                *since = None;
                true
            }
            _ => false,
        }
    }

    fn open(&mut self, rules: &BreakerRules, now: i64, openings: u32) {
        let factor = 1_i64.checked_shl(openings.min(32)).unwrap_or(i64::MAX);
        let cool_down = rules.cool_down.saturating_mul(factor).min(rules.cool_down_max);
        self.phase =
            Phase::Open { until: now.saturating_add(cool_down), openings: openings.saturating_add(1) };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: BreakerRules =
        BreakerRules { failures_to_open: 3, cool_down: 1_000, cool_down_max: 4_000, probe_lease: 500 };

    fn opened_at(now: i64) -> Breaker {
        let mut breaker = Breaker::default();
        for delivery in ["a", "b", "c"] {
            assert_eq!(breaker.admit(&RULES, now, delivery), Admission::Send);
            assert!(breaker.failed(&RULES, now, delivery));
        }
        breaker
    }

    #[test]
    fn opens_after_different_deliveries_failed_in_a_row() {
        let mut breaker = opened_at(0);
        assert_eq!(breaker.admit(&RULES, 999, "d"), Admission::Wait { until: 1_000 });
    }

    #[test]
    fn one_delivery_alone_never_opens_it() {
        let mut breaker = Breaker::default();
        for now in 0..50 {
            breaker.failed(&RULES, now, "poison");
            assert_eq!(breaker.admit(&RULES, now, "healthy"), Admission::Send);
        }
    }

    #[test]
    fn an_answer_between_failures_starts_the_count_again() {
        let mut breaker = Breaker::default();
        breaker.failed(&RULES, 0, "a");
        breaker.failed(&RULES, 0, "b");
        assert!(breaker.answered(1));
        breaker.failed(&RULES, 2, "c");
        assert_eq!(breaker.admit(&RULES, 2, "d"), Admission::Send);
    }

    #[test]
    fn one_probe_at_a_time_and_another_when_its_lease_is_over() {
        let mut breaker = opened_at(0);
        assert_eq!(breaker.admit(&RULES, 1_000, "a"), Admission::Probe);
        assert_eq!(breaker.admit(&RULES, 1_000, "b"), Admission::Wait { until: 1_500 });
        assert_eq!(breaker.admit(&RULES, 1_500, "b"), Admission::Probe);
        // The first probe's late failure is not the second's.
        assert!(!breaker.failed(&RULES, 1_600, "a"));
        assert!(breaker.succeeded(1_700));
        assert_eq!(breaker.admit(&RULES, 1_700, "c"), Admission::Send);
    }

    #[test]
    fn cool_downs_double_up_to_the_cap_and_begin_anew_after_a_success() {
        let mut breaker = opened_at(0);
        let mut now = 0;
        for cool_down in [1_000, 2_000, 4_000, 4_000] {
            assert_eq!(breaker.blocked_until(), Some(now + cool_down));
            now += cool_down;
            assert_eq!(breaker.admit(&RULES, now, "a"), Admission::Probe);
            assert!(breaker.failed(&RULES, now, "a"));
        }
        assert!(breaker.succeeded(now));
        for delivery in ["a", "b", "c"] {
            breaker.failed(&RULES, now, delivery);
        }
        assert_eq!(breaker.blocked_until(), Some(now + 1_000));
    }

    #[test]
    fn a_refusal_proves_it_alive_but_is_no_success() {
        let mut breaker = opened_at(0);
        breaker.admit(&RULES, 1_000, "a");
        assert!(breaker.answered(1_001));
        assert_eq!((breaker.blocked_until(), breaker.last_success_at), (None, None));
    }

    #[test]
    fn it_forgets_that_it_was_open_only_when_closed_long_enough() {
        let mut breaker = opened_at(0);
        assert!(!breaker.settle(1_000_000, 10));
        breaker.succeeded(1_000_000);
        assert!(!breaker.settle(1_000_009, 10));
        assert!(breaker.settle(1_000_010, 10));
        assert_eq!(breaker.phase, Phase::Closed { failing: Vec::new(), since: None });
    }

    #[test]
    fn successes_are_noted_by_the_second() {
        let mut breaker = Breaker::default();
        assert!(breaker.succeeded(10));
        assert!(!breaker.succeeded(900));
        assert!(breaker.succeeded(1_010));
        assert_eq!(breaker.last_success_at, Some(1_010));
    }

    proptest! {
        /// However it is used: never two leases at once, and never blocked longer than the longest
        /// cool-down or lease.
        #[test]
        fn never_two_probes_and_never_stuck(steps in prop::collection::vec((0_u8..3, 0_u8..6, 0_i64..800), 1..200)) {
            let mut breaker = Breaker::default();
            let mut now = 0;
            let mut lease_until = i64::MIN;
            for (what, who, pause) in steps {
                now += pause;
                let who = format!("d{who}");
                match what {
                    0 => if breaker.admit(&RULES, now, &who) == Admission::Probe {
                        prop_assert!(now >= lease_until);
                        lease_until = now + RULES.probe_lease;
                    },
                    1 => { if breaker.failed(&RULES, now, &who) { lease_until = i64::MIN; } }
                    _ => { if breaker.succeeded(now) { lease_until = i64::MIN; } }
                }
                if let Some(until) = breaker.blocked_until() {
                    prop_assert!(until <= now + RULES.cool_down_max.max(RULES.probe_lease));
                }
            }
        }
    }

    #[test]
    fn a_destination_is_well_while_only_the_one_that_asks_fails() {
        let mut breaker = Breaker::default();
        assert!(breaker.is_well_but_for("a"));
        breaker.failed(&RULES, 0, "a");
        assert!(breaker.is_well_but_for("a"));
        assert!(!breaker.is_well_but_for("b"));
        breaker.failed(&RULES, 0, "b");
        assert!(!breaker.is_well_but_for("a"));
        assert!(!opened_at(0).is_well_but_for("a"));
    }
}
