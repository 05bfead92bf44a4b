//! Versions as entity tags (RFC 9110 section 8.8.3): `ETag: "7"`, `If-Match: "7"`.

use axum::extract::FromRequestParts;
use axum::http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponseParts, ResponseParts};
use tillstream_app::{Refusal, RefusalKind};

use super::Problem;

/// Part of an answer: the entity tag of what it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityTag(HeaderValue);

impl EntityTag {
    /// Of a version.
    pub fn of_version(version: u64) -> Self {
        // Digits in quotes are always a header value; an empty one would only leave the tag out.
        EntityTag(HeaderValue::from_str(&format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("")))
    }

    /// Of content, by a hash in hexadecimal or the like: printable ASCII without quotes.
    pub fn of_digest(digest: &str) -> Option<Self> {
        if digest.is_empty() || digest.contains('"') {
            return None;
        }
        HeaderValue::from_str(&format!("\"{digest}\"")).ok().map(EntityTag)
    }

    /// Whether `If-None-Match` names it: then 304 is the answer (RFC 9110 section 13.1.2, weak
    /// comparison).
    pub fn is_known_to(&self, headers: &HeaderMap) -> bool {
        headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|value| {
            value.split(',').map(str::trim).any(|tag| {
                tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == self.0.as_bytes()
            })
        })
    }
}

impl IntoResponseParts for EntityTag {
    type Error = std::convert::Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Self::Error> {
        parts.headers_mut().insert(ETAG, self.0);
        Ok(parts)
    }
}

/// The version that `If-Match` asks for; none where the header is absent. 400 `if_match_malformed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMatch {
    /// No header: any state will do.
    Absent,
    /// `*`: it must exist.
    Any,
    /// It must be of this version.
    Version(u64),
}

impl IfMatch {
    /// Holds the header against the current version, `None` where there is no such thing.
    ///
    /// # Errors
    /// 412 `version_mismatch`.
    pub fn check(self, current: Option<u64>) -> Result<(), Refusal> {
        let holds = match self {
            IfMatch::Absent => true,
            IfMatch::Any => current.is_some(),
            IfMatch::Version(wanted) => current == Some(wanted),
        };
        if holds {
            return Ok(());
        }
        let detail = match current {
            Some(version) => format!("it is at version {version} now; read it again"),
            None => "it does not exist".to_owned(),
        };
        Err(Refusal::new(RefusalKind::PreconditionFailed, "version_mismatch", detail))
    }

    /// The version asked for, if one is.
    pub fn version(self) -> Option<u64> {
        match self {
            IfMatch::Version(version) => Some(version),
            IfMatch::Absent | IfMatch::Any => None,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(IF_MATCH).iter();
        let Some(value) = values.next() else { return Ok(IfMatch::Absent) };
        let parsed = value.to_str().ok().filter(|_| values.next().is_none()).and_then(|text| {
            if text.trim() == "*" {
                return Some(IfMatch::Any);
            }
            let digits = text.trim().strip_prefix('"')?.strip_suffix('"')?;
            digits.parse().ok().map(IfMatch::Version)
        });
        parsed.ok_or_else(|| {
            Refusal::new(
                RefusalKind::Malformed,
                "if_match_malformed",
                "If-Match must be * or the one ETag of the version you read, quotes included",
            )
            .into()
        })
    }
}
