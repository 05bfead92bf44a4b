//! The port to HQ, and what an answer of HQ means.

use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use tillstream_contracts::hq::ALREADY_ACCEPTED;
use tillstream_domain::card_number::contains_card_number;

/// How long HQ may take to answer.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// Most bytes that are read of an answer.
pub const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// Most characters of an answer that are kept with an attempt.
const EXCERPT_CHARS_MAX: usize = 300;

/// A request to HQ: a JSON body and headers beside its content type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HqRequest {
    /// Names in lower case, and values.
    pub headers: Vec<(&'static str, String)>,
    /// JSON.
    pub body: Vec<u8>,
    /// How long everything may take, the answer's body included.
    pub timeout: Duration,
}

/// HQ's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HqAnswer {
    /// HTTP status.
    pub status: u16,
    /// The first [`ANSWER_BYTES_MAX`] bytes of the body.
    pub body: Vec<u8>,
    /// `Retry-After`, if it was given in seconds.
    pub retry_after: Option<Duration>,
}

/// There was no answer. HQ may have taken the message nevertheless.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HqTransportError {
    /// Not in time.
    #[error("timeout: no answer in time")]
    Timeout,
    /// No connection, or it broke.
    #[error("connection: {0}")]
    Connection(String),
}

/// Sends to HQ. Redirects are not followed: a signed message goes where it was addressed.
#[async_trait]
pub trait HqTransport: Send + Sync {
    /// Sends one request.
    ///
    /// # Errors
    /// [`HqTransportError`] where there was no answer.
    async fn post(&self, request: HqRequest) -> Result<HqAnswer, HqTransportError>;
}

/// Whose an answer's failure is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// HQ has it.
    Accepted,
    /// HQ understood and will not have it.
    MessageAtFault(String),
    /// HQ could not take it, whatever it is.
    HqAtFault {
        /// What went wrong.
        error: String,
        /// When HQ wants to be asked again.
        retry_after: Option<Duration>,
    },
}

/// Statuses below 500 that say something of the address, the credentials or the moment, and nothing
/// of the message: a mistyped URL or a rotated secret must not turn every order into a dead letter.
const NOT_ABOUT_THE_MESSAGE: [u16; 9] = [401, 403, 404, 405, 407, 408, 421, 425, 429];

#[derive(Deserialize)]
struct Problem {
    code: Option<String>,
}

/// What came of a request.
pub fn judge(answer: &Result<HqAnswer, HqTransportError>) -> Verdict {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Verdict::HqAtFault { error: error.to_string(), retry_after: None },
    };
    let code = serde_json::from_slice::<Problem>(&answer.body).ok().and_then(|problem| problem.code);
    match answer.status {
        200..=299 => Verdict::Accepted,
        409 if code.as_deref() == Some(ALREADY_ACCEPTED) => Verdict::Accepted,
        status @ 400..=499 if !NOT_ABOUT_THE_MESSAGE.contains(&status) => {
            Verdict::MessageAtFault(describe(answer))
        }
        _ => Verdict::HqAtFault { error: describe(answer), retry_after: answer.retry_after },
    }
}

/// Status and the beginning of the body, on one line.
fn describe(answer: &HqAnswer) -> String {
    let text: String = String::from_utf8_lossy(&answer.body)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(EXCERPT_CHARS_MAX)
        .collect();
    if contains_card_number(&text) {
        return format!("HTTP {}: (withheld: looks like a card number)", answer.status);
    }
    match text.trim() {
        "" => format!("HTTP {}", answer.status),
        text => format!("HTTP {}: {text}", answer.status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str) -> Verdict {
        judge(&Ok(HqAnswer { status, body: body.as_bytes().to_vec(), retry_after: None }))
    }

    #[test]
    fn every_answer_has_one_to_blame() {
        assert_eq!(answered(200, ""), Verdict::Accepted);
        assert_eq!(answered(204, ""), Verdict::Accepted);
        assert_eq!(answered(409, r#"{"code":"already_accepted"}"#), Verdict::Accepted);
        for status in [400, 402, 406, 409, 410, 413, 415, 422, 451] {
            assert!(matches!(answered(status, "{}"), Verdict::MessageAtFault(_)), "{status}");
        }
        for status in [301, 302, 401, 403, 404, 405, 407, 408, 421, 425, 429, 500, 502, 503, 504, 599] {
            assert!(matches!(answered(status, ""), Verdict::HqAtFault { .. }), "{status}");
        }
        assert!(matches!(judge(&Err(HqTransportError::Timeout)), Verdict::HqAtFault { .. }));
    }

    #[test]
    fn what_is_kept_of_an_answer_is_short_and_holds_no_card_number() {
        let Verdict::MessageAtFault(error) = answered(422, &"x\n".repeat(9_999)) else { panic!() };
        assert!(error.chars().count() < 330 && !error.contains('\n'));
        let Verdict::MessageAtFault(error) = answered(422, "bad 4111 1111 1111 1111") else { panic!() };
        assert!(!error.contains("4111"));
    }
}
