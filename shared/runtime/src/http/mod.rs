//! What every HTTP function shares: one router shape, extractors that refuse with problem documents,
//! and the way under Lambda.

pub mod accept;
pub mod etag;
pub mod extract;
mod observe;
mod serve;

use std::sync::Arc;

use axum::http::{HeaderName, Method, StatusCode, Uri};
use axum::response::{IntoResponseParts, ResponseParts};
use axum::{Extension, Router, middleware};

pub use self::extract::{
    Authenticated, Deadline, IdempotencyKey, JsonBody, PathParams, QueryParams, RawBody,
};
pub use self::serve::{request_of, serve};
use crate::auth::Authenticator;
pub use crate::problem::Problem;
use crate::wide_event;

/// Largest request body, in bytes.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Says that an answer repeats what took effect before.
pub const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Part of an answer: sets [`IDEMPOTENT_REPLAYED`] where it is true, and notes it in the wide event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed(pub bool);

impl IntoResponseParts for Replayed {
    type Error = std::convert::Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Self::Error> {
        if self.0 {
            wide_event::replayed();
            parts.headers_mut().insert(IDEMPOTENT_REPLAYED, axum::http::HeaderValue::from_static("true"));
        }
        Ok(parts)
    }
}

/// The router of a function whose routes ask who calls: `function` is its name in logs and metrics.
/// A handler that takes [`Authenticated`] is reached with a valid token only; without it there is no
/// tenant to build a key of.
pub fn router<S: Clone + Send + Sync + 'static>(
    function: &'static str,
    routes: Router<S>,
    services: S,
    authenticator: Arc<Authenticator>,
) -> Router {
    open_router(function, routes.layer(Extension(authenticator)), services)
}

/// The router of a function none of whose routes asks who calls.
pub fn open_router<S: Clone + Send + Sync + 'static>(
    function: &'static str,
    routes: Router<S>,
    services: S,
) -> Router {
    routes
        .route_layer(middleware::from_fn(observe::name_action))
        .fallback(unknown_route)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(services)
        .layer(middleware::from_fn(move |request, next| observe::observe(function, request, next)))
}

async fn unknown_route(method: Method, uri: Uri) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "route_unknown",
        format!("there is no {method} {}; /v1/openapi.json lists what there is", uri.path()),
    )
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        format!("{} does not take {method}; /v1/openapi.json lists what it takes", uri.path()),
    )
}

#[cfg(test)]
mod tests;
