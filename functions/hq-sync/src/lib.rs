//! NDJSON feeds from HQ.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::{SignedDuration, Timestamp};
use tillstream_app::Ports;
use tillstream_app::sync::entities::Entity;
use tillstream_app::sync::status;
use tillstream_app::sync::upload::{Upload, upload};
use tillstream_contracts::sync::UploadQuery;
use tillstream_runtime::auth::Authenticator;
use tillstream_runtime::config::{self, Variable};
use tillstream_runtime::http::{self, Authenticated, Deadline, PathParams, QueryParams, RawBody};
use tillstream_runtime::{Problem, wide_event};

/// Name in logs and metrics.
pub const FUNCTION: &str = "hq-sync";

/// What it reads from its environment, beside what every function reads.
pub const VARIABLES: &[Variable] = &[
    config::CATALOG_TABLE,
    config::STOCK_TABLE,
    config::IDENTITY_TABLE,
    config::TOKEN_ISSUER,
    config::TOKEN_AUDIENCE,
];

/// Left of the function's time when an upload begins no further batch: one batch with its retries.
const BATCH_RESERVE: SignedDuration = SignedDuration::from_secs(8);
/// An upload's time where the runtime tells no deadline.
const UPLOAD_TIME: SignedDuration = SignedDuration::from_secs(20);

/// What its handlers need.
#[derive(Clone)]
pub struct Services {
    /// Tables, time and chance.
    pub ports: Ports,
}

/// Its routes.
pub fn router(services: Services, authenticator: Arc<Authenticator>) -> Router {
    let routes = Router::new()
        .route("/v1/sync/status", get(feed_status))
        .route("/v1/sync/{entity}", post(upload_feed));
    http::router(FUNCTION, routes, services, authenticator)
}

async fn upload_feed(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(entity): PathParams<String>,
    QueryParams(query): QueryParams<UploadQuery>,
    Deadline(deadline): Deadline,
    RawBody(body): RawBody,
) -> Result<impl IntoResponse, Problem> {
    let entity = Entity::parse(&entity)?;
    let now = services.ports.environment.now();
    let deadline = match deadline {
        Some(deadline) => deadline.checked_sub(BATCH_RESERVE),
        None => now.checked_add(UPLOAD_TIME),
    };
    let deadline = deadline.unwrap_or(Timestamp::MAX);
    let call = Upload { entity, body: &body, from: query.from.unwrap_or(1), deadline };
    let reply = upload(&services.ports, &caller, call).await?;
    wide_event::note("feed", entity.name());
    wide_event::note("lines_applied", reply.applied);
    wide_event::note("lines_skipped", reply.skipped);
    wide_event::note("lines_failed", reply.failed);
    Ok(Json(reply))
}

async fn feed_status(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
) -> Result<impl IntoResponse, Problem> {
    Ok(Json(status::status(&services.ports, &caller).await?))
}
