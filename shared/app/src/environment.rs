//! Time and chance, as ports: the simulator turns both.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

/// Time and chance.
#[async_trait]
pub trait Environment: Send + Sync {
    /// Now. Read once per request, so that one request has one time.
    fn now(&self) -> Timestamp;

    /// Any number, for jitter, spread and new ids.
    fn random(&self) -> u64;

    /// Waits.
    async fn sleep(&self, time: Duration);
}

/// Waits before attempt `attempt` (from 1): up to `base` × 2ⁿ⁻¹, at most `cap`, with full jitter
/// ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
pub fn backoff(environment: &dyn Environment, attempt: u32, base: Duration, cap: Duration) -> Duration {
    let ceiling =
        base.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX)).min(cap);
    let micros = u64::try_from(ceiling.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(environment.random() % micros.max(1))
}
