//! What a use case can answer besides success.

use std::time::Duration;

use serde::Serialize;

/// One field that was wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Path of the field in the request (`payload.quantity`, `lines[3].sku`).
    pub field: String,
    /// Stable code.
    pub code: String,
    /// What was wrong and what would be right.
    pub message: String,
}

/// Which kind of refusal; each is one HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// 400: not readable at all.
    Malformed,
    /// 401: no valid token.
    Unauthenticated,
    /// 403: the token does not allow it.
    Forbidden,
    /// 404: no such thing (or not one of the caller's).
    NotFound,
    /// 409: the state of things does not allow it.
    Conflict,
    /// 412: `If-Match` did not match.
    PreconditionFailed,
    /// 413: too large.
    TooLarge,
    /// 415: not a media type that is taken here.
    UnsupportedMediaType,
    /// 422: readable, but not valid.
    Invalid,
    /// 429: too many requests.
    TooMany,
}

/// A refusal: the caller's to mend. Nothing was changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// Which kind.
    pub kind: RefusalKind,
    /// Stable code.
    pub code: &'static str,
    /// What was wrong and what would be right, for a person.
    pub detail: String,
    /// Fields that were wrong.
    pub errors: Vec<FieldError>,
    /// Further members of the problem document, by name.
    pub extra: serde_json::Map<String, serde_json::Value>,
}

impl Refusal {
    /// A refusal without fields.
    pub fn new(kind: RefusalKind, code: &'static str, detail: impl Into<String>) -> Self {
        Refusal { kind, code, detail: detail.into(), errors: Vec::new(), extra: serde_json::Map::new() }
    }

    /// A 422 about one field.
    pub fn field(field: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        let (field, message) = (field.into(), message.into());
        let detail = format!("{field}: {message}");
        Refusal::new(RefusalKind::Invalid, code, detail).with_error(field, code, message)
    }

    /// A 404.
    pub fn not_found(code: &'static str, detail: impl Into<String>) -> Self {
        Refusal::new(RefusalKind::NotFound, code, detail)
    }

    /// A 409.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Refusal::new(RefusalKind::Conflict, code, detail)
    }

    /// A 403.
    pub fn forbidden(code: &'static str, detail: impl Into<String>) -> Self {
        Refusal::new(RefusalKind::Forbidden, code, detail)
    }

    /// Adds a field.
    #[must_use]
    pub fn with_error(
        mut self,
        field: impl Into<String>,
        code: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        self.errors.push(FieldError { field: field.into(), code: code.into(), message: message.into() });
        self
    }

    /// Adds a member to the problem document, of a name that the document itself has no use for (RFC 9457: `type`,
    /// `title`, `status`, `detail`, `instance`; ours: `code`, `errors`).
    #[must_use]
    pub fn with_extra(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.extra.insert(name.to_owned(), value.into());
        self
    }
}

/// Why a use case did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The caller's to mend; nothing was changed. Boxed: it is large and rare.
    #[error("refused: {}: {}", .0.code, .0.detail)]
    Rejected(Box<Refusal>),
    /// Lost too many races in the time given; safe to repeat.
    #[error("conflict: {0}")]
    Conflict(String),
    /// Something we depend on is busy or away; safe to repeat.
    #[error("retryable: {reason}")]
    Retryable {
        /// For the log.
        reason: String,
        /// When to ask again.
        after: Duration,
    },
    /// Ours to mend.
    #[error("bug: {0}")]
    Bug(String),
}

impl Error {
    /// A bug, with what was seen.
    pub fn bug(what: impl std::fmt::Display) -> Self {
        Error::Bug(what.to_string())
    }

    /// Retryable after a second.
    pub fn retryable(reason: impl Into<String>) -> Self {
        Error::Retryable { reason: reason.into(), after: Duration::from_secs(1) }
    }

    /// The refusal's code, if it is one.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Error::Rejected(refusal) => Some(refusal.code),
            _ => None,
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Error::Rejected(Box::new(refusal))
    }
}

/// The result of a use case.
pub type Result<T, E = Error> = std::result::Result<T, E>;
