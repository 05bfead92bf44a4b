//! Extractors: what a handler takes from a request. Each refuses with a problem document that says
//! which field was wrong and what would be right.

use std::sync::Arc;

use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_ENCODING;
use axum::http::request::Parts;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tillstream_app::tenancy::Caller;
use tillstream_app::{Refusal, RefusalKind};
use tillstream_contracts::strict_json::{self, Fault, FieldFault};

use super::{BODY_BYTES_MAX, Problem};
use crate::auth::Authenticator;
use crate::wide_event;

/// Longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;

/// Who asks. 401 without a valid token.
#[derive(Debug, Clone)]
pub struct Authenticated(pub Caller);

impl<S: Send + Sync> FromRequestParts<S> for Authenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let authenticator =
            parts.extensions.get::<Arc<Authenticator>>().map(Arc::clone).ok_or_else(|| {
                Problem::internal("a route asks who calls in a router without authenticator")
            })?;
        let caller = authenticator.authenticate(&parts.headers).await?;
        wide_event::tenant(caller.scope.tenant_id());
        Ok(Authenticated(caller))
    }
}

/// The `Idempotency-Key` header: 1 to 128 printable ASCII characters. 400 `idempotency_key_missing`,
/// 422 `idempotency_key_malformed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(pub String);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all("idempotency-key").iter();
        let value = values.next().ok_or_else(|| {
            Refusal::new(
                RefusalKind::Malformed,
                "idempotency_key_missing",
                "send a header `Idempotency-Key`: a new one for each change, the same one when repeating it",
            )
        })?;
        let printable = value.as_bytes().iter().all(|b| (b' '..=b'~').contains(b));
        match value.to_str() {
            Ok(text)
                if printable
                    && (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&text.len())
                    && values.next().is_none() =>
            {
                Ok(IdempotencyKey(text.to_owned()))
            }
            _ => Err(Refusal::field(
                "Idempotency-Key",
                "idempotency_key_malformed",
                "must be one header of 1 to 128 printable ASCII characters",
            )
            .into()),
        }
    }
}

/// The body's bytes, whatever its media type says: gateways mark bodies as they like. 413
/// `body_too_large`, 415 `content_encoding_unsupported`.
#[derive(Debug, Clone)]
pub struct RawBody(pub Bytes);

impl RawBody {
    /// What a body that may be left out says, read as [`JsonBody`] reads one. Left out it says what the default does.
    ///
    /// # Errors
    /// As [`JsonBody`].
    pub fn json_or_default<T: DeserializeOwned + Default>(&self) -> Result<T, Refusal> {
        if self.0.is_empty() { Ok(T::default()) } else { parse_json(&self.0) }
    }
}

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let encoded = |value: &HeaderValue| !value.as_bytes().eq_ignore_ascii_case(b"identity");
        if request.headers().get_all(CONTENT_ENCODING).iter().any(encoded) {
            let message = "send the body as it is, without Content-Encoding";
            return Err(Refusal::new(
                RefusalKind::UnsupportedMediaType,
                "content_encoding_unsupported",
                message,
            )
            .into());
        }
        let too_large = || {
            Problem::from(Refusal::new(
                RefusalKind::TooLarge,
                "body_too_large",
                format!("a body has at most {BODY_BYTES_MAX} bytes; send it in parts"),
            ))
        };
        // Bodies are in memory already, so the limit is the only way this can fail.
        to_bytes(request.into_body(), BODY_BYTES_MAX).await.map(RawBody).map_err(|_| too_large())
    }
}

/// A JSON body. 400 `json_malformed` where it is no JSON, 422 `field_invalid` with the field's path
/// where it is not of the expected form, 413 `body_too_large`.
#[derive(Debug, Clone)]
pub struct JsonBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let RawBody(bytes) = RawBody::from_request(request, state).await?;
        Ok(JsonBody(parse_json(&bytes)?))
    }
}

fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let value = strict_json::parse(bytes).map_err(|fault| match fault {
        Fault::Malformed(why) => Refusal::new(
            RefusalKind::Malformed,
            "json_malformed",
            format!("the body must be one JSON document: {why}"),
        ),
        Fault::Field(fault) => field_invalid("field_invalid", fault),
    })?;
    strict_json::typed(value).map_err(|fault| field_invalid("field_invalid", fault))
}

fn field_invalid(code: &'static str, fault: FieldFault) -> Refusal {
    let field = if fault.field.is_empty() { "body".to_owned() } else { fault.field };
    Refusal::field(field, code, fault.message)
}

/// The query string. 422 `query_invalid` with the parameter's name.
#[derive(Debug, Clone)]
pub struct QueryParams<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for QueryParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
        serde_path_to_error::deserialize(pairs).map(QueryParams).map_err(|error| {
            let path = error.path().to_string();
            field_invalid("query_invalid", FieldFault::at(&path, error.inner())).into()
        })
    }
}

/// The path's parameters, decoded. 400 `path_malformed`.
#[derive(Debug, Clone)]
pub struct PathParams<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for PathParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Path::<T>::from_request_parts(parts, state).await.map(|Path(value)| PathParams(value)).map_err(
            |rejection| Refusal::new(RefusalKind::Malformed, "path_malformed", rejection.body_text()).into(),
        )
    }
}

/// When the function's time for this request ends; none outside of Lambda.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(pub Option<Timestamp>);

impl<S: Send + Sync> FromRequestParts<S> for Deadline {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get::<Deadline>().copied().unwrap_or(Deadline(None)))
    }
}
