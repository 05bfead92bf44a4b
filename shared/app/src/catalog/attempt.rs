//! One attempt to write, and how it went: what every write of catalogue and feeds does alike.

use std::time::Duration;

use crate::database::{Cancellation, DatabaseError, Item, Write};
use crate::environment::backoff;
use crate::error::{Error, Result};
use crate::ports::Ports;

/// Attempts before a caller is told to come back.
pub(crate) const ATTEMPTS_MAX: u32 = 10;

/// How an attempt went.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// Written.
    Done,
    /// The condition of the write at `position` failed: nothing was written.
    Failed {
        /// Which write, from 0.
        position: usize,
        /// What stood there.
        item: Option<Item>,
    },
    /// Busy: nothing was written, the same may succeed.
    Busy,
    /// It may be written: read and look.
    Unknown,
}

/// Writes all or nothing; a single write without the price of a transaction.
///
/// # Errors
/// A bug if the database refuses the request itself.
pub(crate) async fn attempt(ports: &Ports, mut writes: Vec<Write>) -> Result<Attempt> {
    let written = if writes.len() > 1 {
        ports.database.transact(writes).await
    } else if let Some(write) = writes.pop() {
        ports.database.write(write).await
    } else {
        Ok(())
    };
    match written {
        Ok(()) => Ok(Attempt::Done),
        Err(DatabaseError::ConditionFailed(item)) => Ok(Attempt::Failed { position: 0, item }),
        Err(DatabaseError::Conflict(_) | DatabaseError::Throttled(_)) => Ok(Attempt::Busy),
        Err(DatabaseError::Unavailable(_)) => Ok(Attempt::Unknown),
        Err(DatabaseError::Invalid(what)) => Err(Error::Bug(what)),
        Err(DatabaseError::Cancelled(reasons)) => {
            for (position, reason) in reasons.into_iter().enumerate() {
                match reason {
                    Cancellation::ConditionFailed(item) => return Ok(Attempt::Failed { position, item }),
                    Cancellation::Invalid(what) => return Err(Error::Bug(what)),
                    Cancellation::None | Cancellation::Conflict | Cancellation::Throttled => {}
                }
            }
            Ok(Attempt::Busy)
        }
    }
}

/// Makes a write that may be made any number of times: without a condition, or with one that holds
/// against its own repetition.
///
/// # Errors
/// [`Error::Retryable`] where the database does not keep up.
pub(crate) async fn insist(ports: &Ports, write: Write) -> Result<()> {
    for number in 1..=ATTEMPTS_MAX {
        match attempt(ports, vec![write.clone()]).await? {
            Attempt::Done | Attempt::Failed { .. } => return Ok(()),
            Attempt::Busy | Attempt::Unknown => pause(ports, number).await,
        }
    }
    Err(Error::retryable("the catalogue table does not keep up"))
}

/// Waits before the next attempt.
pub(crate) async fn pause(ports: &Ports, attempt: u32) {
    let environment = ports.environment.as_ref();
    let time = backoff(environment, attempt, Duration::from_millis(20), Duration::from_secs(1));
    environment.sleep(time).await;
}
