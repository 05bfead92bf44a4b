//! Why a record of an event source was not handled.

use crate::error::Error;

/// Why a record was not handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It comes again.
    Transient(String),
    /// It never will be handled as it is: it is parked whole.
    Poison(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Conflict(_) | Error::Retryable { .. } => Failure::Transient(error.to_string()),
            Error::Rejected(_) | Error::Bug(_) => Failure::Poison(error.to_string()),
        }
    }
}
