//! Problem documents (RFC 9457): how every refusal and failure looks to a client.

use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use tillstream_app::{Error, FieldError, Refusal, RefusalKind};

use crate::wide_event;

/// Media type of a problem document.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A problem document with its status and headers.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    code: String,
    detail: String,
    errors: Vec<FieldError>,
    extra: Map<String, Value>,
    retry_after: Option<Duration>,
    /// What only the log may know.
    internal: Option<String>,
}

/// What the wide event and the log get to know of a problem; travels with the response.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) code: String,
    pub(crate) internal: Option<String>,
}

impl Problem {
    /// A problem of a status and a stable code.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Problem {
            status,
            code: code.to_owned(),
            detail: detail.into(),
            errors: Vec::new(),
            extra: Map::new(),
            retry_after: None,
            internal: None,
        }
    }

    /// A 500 whose cause only the log gets to know.
    pub fn internal(cause: impl Into<String>) -> Self {
        let mut problem = Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "something went wrong on our side; it is logged under the id in `instance`",
        );
        problem.internal = Some(cause.into());
        problem
    }

    /// With a further member.
    #[must_use]
    pub fn with_extra(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(name.to_owned(), value.into());
        self
    }

    /// With a `Retry-After`.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Its HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Its stable code.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// What only the log may know, if there is such.
    pub fn internal_cause(&self) -> Option<&str> {
        self.internal.as_deref()
    }

    /// Logs what only the log may know. For a problem that is told within an answer; one that is an
    /// answer is logged by the router.
    pub fn log(&self) {
        if let Some(cause) = &self.internal {
            let request_id = wide_event::request_id().unwrap_or_default();
            if self.status.is_server_error() && self.status != StatusCode::SERVICE_UNAVAILABLE {
                tracing::error!(request_id, code = self.code, cause, "request failed");
            } else {
                tracing::warn!(request_id, code = self.code, cause, "request can be repeated");
            }
        }
    }

    /// The document.
    pub fn document(&self) -> Value {
        let mut document = self.extra.clone();
        document.insert("type".to_owned(), json!(format!("urn:tillstream:problem:{}", self.code)));
        document.insert("title".to_owned(), json!(title(&self.code)));
        document.insert("status".to_owned(), json!(self.status.as_u16()));
        document.insert("code".to_owned(), json!(self.code));
        document.insert("detail".to_owned(), json!(self.detail));
        document.insert("errors".to_owned(), json!(self.errors));
        if let Some(id) = wide_event::request_id() {
            document.insert("instance".to_owned(), json!(format!("urn:tillstream:request:{id}")));
        }
        Value::Object(document)
    }

    /// `WWW-Authenticate` of a 401 (RFC 6750 section 3: without an error where no token came).
    fn challenge(&self) -> Option<HeaderValue> {
        if self.status != StatusCode::UNAUTHORIZED {
            return None;
        }
        let challenge = if self.code == "token_missing" {
            "Bearer".to_owned()
        } else {
            // The code stands for the reason: it is free of quotes, the detail need not be.
            format!("Bearer error=\"invalid_token\", error_description=\"{}\"", self.code)
        };
        HeaderValue::from_str(&challenge).ok()
    }
}

/// A title that depends on the code alone, as RFC 9457 section 3.1.3 wants it.
fn title(code: &str) -> String {
    let words = code.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.kind {
            RefusalKind::Malformed => StatusCode::BAD_REQUEST,
            RefusalKind::Unauthenticated => StatusCode::UNAUTHORIZED,
            RefusalKind::Forbidden => StatusCode::FORBIDDEN,
            RefusalKind::NotFound => StatusCode::NOT_FOUND,
            RefusalKind::Conflict => StatusCode::CONFLICT,
            RefusalKind::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            RefusalKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            RefusalKind::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            RefusalKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            RefusalKind::TooMany => StatusCode::TOO_MANY_REQUESTS,
        };
        Problem {
            errors: refusal.errors,
            extra: refusal.extra,
            ..Problem::new(status, refusal.code, refusal.detail)
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let busy = |code: &str, cause: String, after| Problem {
            internal: Some(cause),
            retry_after: Some(after),
            ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, "busy; it is safe to repeat the request")
        };
        match error {
            Error::Rejected(refusal) => (*refusal).into(),
            // Not 409: nothing about the state of things forbids it, it only has to be tried again.
            Error::Conflict(cause) => busy("contended", cause, Duration::from_secs(1)),
            Error::Retryable { reason, after } => busy("unavailable", reason, after),
            Error::Bug(cause) => Problem::internal(cause),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.document().to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(challenge) = self.challenge() {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        let wants_retry =
            matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        if wants_retry || self.retry_after.is_some() {
            // Whole seconds (RFC 9110 section 10.2.3), rounded up, at least one.
            let after = self.retry_after.unwrap_or(Duration::from_secs(1));
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        response.extensions_mut().insert(Report { code: self.code, internal: self.internal });
        response
    }
}
