//! Public keys, health, the OpenAPI document, unknown routes.

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use tillstream_app::database::{Consistency, Get, Table};
use tillstream_app::{Error, Ports, keys};
use tillstream_contracts::identity::{Health, JsonWebKeySet};
use tillstream_contracts::openapi;
use tillstream_runtime::config::{IDENTITY_TABLE, Variable};
use tillstream_runtime::http::{self, Problem, etag::EntityTag};

/// Name in logs and metrics.
pub const FUNCTION: &str = "identity";

/// What it reads from its environment, beside what every function reads.
pub const VARIABLES: &[Variable] = &[IDENTITY_TABLE];

/// How long a client may keep the keys, in seconds: less than a key is published before it signs.
const KEYS_CACHE: &str = "public, max-age=300";

/// What the handlers need.
#[derive(Clone)]
struct Services {
    ports: Ports,
    stage: String,
    /// The OpenAPI document, written once, and its tag.
    document: bytes::Bytes,
    document_tag: EntityTag,
}

/// The routes; all others, of whatever function, end here too and are answered with a 404 problem.
///
/// # Errors
/// [`Error::Bug`] if the OpenAPI document cannot be written.
pub fn router(ports: Ports, stage: &str) -> Result<Router, Error> {
    let document = openapi::document().to_json().map_err(Error::bug)?;
    let document_tag = EntityTag::of_digest(env!("CARGO_PKG_VERSION")).ok_or_else(|| Error::bug("no tag"))?;
    let services =
        Services { ports, stage: stage.to_owned(), document: document.into(), document_tag };
    let routes = Router::new()
        .route("/.well-known/jwks.json", get(jwks))
        .route("/v1/health", get(health))
        .route("/v1/openapi.json", get(openapi_document));
    Ok(http::open_router(FUNCTION, routes, services))
}
