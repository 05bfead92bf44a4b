//! How long a use case goes on after lost races and transient errors.

use std::time::Duration;

use jiff::Timestamp;

use crate::environment::{Environment, backoff};
use crate::error::{Error, Result};

/// A request has 25 s; a caller that is told after 8 s can still repeat it within a till's patience.
const TIME_MAX: Duration = Duration::from_secs(8);
/// Bound besides the time: a simulated clock may stand still.
const ATTEMPTS_MAX: u32 = 200;
const BACKOFF_BASE: Duration = Duration::from_millis(8);
const BACKOFF_CAP: Duration = Duration::from_millis(250);

/// Attempts of one use case.
pub(super) struct Attempts<'a> {
    environment: &'a dyn Environment,
    began: Timestamp,
    made: u32,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(environment: &'a dyn Environment) -> Self {
        Attempts { environment, began: environment.now(), made: 0 }
    }

    /// Goes on at once: what stood in the way is known to be gone.
    ///
    /// # Errors
    /// Retryable when time or attempts are used up.
    pub(super) fn at_once(&mut self, why: &str) -> Result<()> {
        self.made += 1;
        let spent = self.environment.now().duration_since(self.began);
        if self.made >= ATTEMPTS_MAX || spent.unsigned_abs() >= TIME_MAX {
            return Err(Error::retryable(format!("gave up after {} attempts: {why}", self.made)));
        }
        Ok(())
    }

    /// Goes on after a wait with jitter: somebody else is at it.
    ///
    /// # Errors
    /// Retryable when time or attempts are used up.
    pub(super) async fn after_a_wait(&mut self, why: &str) -> Result<()> {
        self.at_once(why)?;
        let wait = backoff(self.environment, self.made, BACKOFF_BASE, BACKOFF_CAP);
        self.environment.sleep(wait).await;
        Ok(())
    }
}
