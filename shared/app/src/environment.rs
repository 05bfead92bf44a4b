//! Time and chance, as ports: the simulator turns both. And what a process remembers from one request to
//! the next.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::database::DatabaseError;
use crate::stock::hot_stock::HotStock;
use crate::tenant_rules::RulesMemory;

/// Time and chance.
#[async_trait]
pub trait Environment: Send + Sync {
    /// Now. Read once per request, so that one request has one time.
    fn now(&self) -> Timestamp;

    /// Any number, for jitter, spread and new ids.
    fn random(&self) -> u64;

    /// Waits.
    async fn sleep(&self, time: Duration);

    /// What this process remembers of stock that is split; a process that remembers nothing reads more.
    fn hot_stock(&self) -> Option<&HotStock> {
        None
    }

    /// What this process remembers of tenants' rules; one that remembers nothing reads them each time.
    fn rules_memory(&self) -> Option<&RulesMemory> {
        None
    }
}

/// Waits before attempt `attempt` (from 1): up to `base` × 2ⁿ⁻¹, at most `cap`, with full jitter
/// ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
pub fn backoff(environment: &dyn Environment, attempt: u32, base: Duration, cap: Duration) -> Duration {
    let ceiling =
        base.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX)).min(cap);
    let micros = u64::try_from(ceiling.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(environment.random() % micros.max(1))
}

/// Repeats of one request: waits with jitter between attempts, and ends when the time is up.
pub struct Retries<'a> {
    environment: &'a dyn Environment,
    deadline: Timestamp,
    attempt: u32,
}

/// First wait between attempts.
const RETRY_BASE: Duration = Duration::from_millis(8);
/// Longest wait between attempts.
const RETRY_CAP: Duration = Duration::from_millis(250);
/// How long one request goes on trying. Below the 29 s of API Gateway and the timeout of any till.
pub const RETRY_TIME: Duration = Duration::from_secs(10);

impl<'a> Retries<'a> {
    /// For a request that began at `start`.
    pub fn new(environment: &'a dyn Environment, start: Timestamp) -> Self {
        let deadline = start.checked_add(RETRY_TIME).unwrap_or(Timestamp::MAX);
        Retries { environment, deadline, attempt: 0 }
    }

    /// Waits before the next attempt.
    ///
    /// # Errors
    /// [`crate::Error::Conflict`] once the time is up: safe to repeat.
    pub async fn again(&mut self, why: &str) -> crate::Result<()> {
        self.attempt += 1;
        if self.environment.now() >= self.deadline {
            return Err(crate::Error::Conflict(format!("gave up after {} attempts: {why}", self.attempt)));
        }
        let wait = backoff(self.environment, self.attempt, RETRY_BASE, RETRY_CAP);
        self.environment.sleep(wait).await;
        Ok(())
    }

    /// What the database answered; `None`, after a wait, where it is worth another round.
    ///
    /// # Errors
    /// Those of the database that repeating would not change; [`crate::Error::Conflict`] once the time is up.
    pub async fn answered<T>(&mut self, answer: Result<T, DatabaseError>) -> crate::Result<Option<T>> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.is_transient() => {
                self.again(&error.to_string()).await?;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}
