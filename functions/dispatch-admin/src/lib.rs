//! Deliveries and dead letters: list, inspect, replay, discard.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tillstream_app::Ports;
use tillstream_app::dispatch::{dead_letters, listing};
use tillstream_app::ports::WakeUpQueue;
use tillstream_contracts::dispatch::{
    DeadLetterFilter, DeliveryFilter, DeliveryStatus, DiscardRequest, ReplayManyRequest,
};
use tillstream_runtime::Problem;
use tillstream_runtime::auth::Authenticator;
use tillstream_runtime::config::{self, Variable};
use tillstream_runtime::http::{
    self, Authenticated, IdempotencyKey, JsonBody, PathParams, QueryParams, Replayed,
};

/// Name in logs and metrics.
pub const FUNCTION: &str = "dispatch-admin";

/// What it reads from its environment, beside what every function reads.
pub const VARIABLES: &[Variable] = &[
    config::DISPATCH_TABLE,
    config::ORDERS_TABLE,
    config::IDENTITY_TABLE,
    config::HQ_QUEUE_URL,
    config::TOKEN_ISSUER,
    config::TOKEN_AUDIENCE,
];

/// What its handlers need.
#[derive(Clone)]
pub struct Services {
    /// Tables, time and chance.
    pub ports: Ports,
    /// Wakes what is replayed.
    pub queue: Arc<dyn WakeUpQueue>,
}

/// Its routes.
pub fn router(services: Services, authenticator: Arc<Authenticator>) -> Router {
    let routes = Router::new()
        .route("/v1/dispatch/deliveries", get(list_deliveries))
        .route("/v1/dispatch/deliveries/{id}", get(get_delivery))
        .route("/v1/dispatch/dead-letters", get(list_dead_letters))
        .route("/v1/dispatch/dead-letters/replay", post(replay_dead_letters))
        .route("/v1/dispatch/dead-letters/{id}", get(get_dead_letter))
        .route("/v1/dispatch/dead-letters/{id}/replay", post(replay_dead_letter))
        .route("/v1/dispatch/dead-letters/{id}/discard", post(discard_dead_letter));
    http::router(FUNCTION, routes, services, authenticator)
}

async fn list_deliveries(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    QueryParams(filter): QueryParams<DeliveryFilter>,
) -> Result<impl IntoResponse, Problem> {
    Ok(axum::Json(listing::list(&services.ports, &caller, filter).await?))
}

async fn get_delivery(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(id): PathParams<String>,
) -> Result<impl IntoResponse, Problem> {
    Ok(axum::Json(listing::get(&services.ports, &caller, &id).await?))
}

async fn list_dead_letters(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    QueryParams(filter): QueryParams<DeadLetterFilter>,
) -> Result<impl IntoResponse, Problem> {
    let filter = DeliveryFilter {
        status: Some(DeliveryStatus::Dead),
        destination: filter.destination,
        order_id: filter.order_id,
        limit: filter.limit,
        cursor: filter.cursor,
    };
    Ok(axum::Json(listing::list(&services.ports, &caller, filter).await?))
}

async fn get_dead_letter(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(id): PathParams<String>,
) -> Result<impl IntoResponse, Problem> {
    Ok(axum::Json(listing::get_dead_letter(&services.ports, &caller, &id).await?))
}

async fn replay_dead_letter(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    PathParams(id): PathParams<String>,
) -> Result<impl IntoResponse, Problem> {
    let queue = services.queue.as_ref();
    let done = dead_letters::replay(&services.ports, queue, &caller, &id, &key).await?;
    Ok((Replayed(done.replayed), axum::Json(done.reply)))
}

async fn replay_dead_letters(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(request): JsonBody<ReplayManyRequest>,
) -> Result<impl IntoResponse, Problem> {
    let queue = services.queue.as_ref();
    let done = dead_letters::replay_many(&services.ports, queue, &caller, &key, &request).await?;
    Ok((Replayed(done.replayed), axum::Json(done.reply)))
}

async fn discard_dead_letter(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    PathParams(id): PathParams<String>,
    JsonBody(request): JsonBody<DiscardRequest>,
) -> Result<impl IntoResponse, Problem> {
    let done = dead_letters::discard(&services.ports, &caller, &id, &key, &request).await?;
    Ok((Replayed(done.replayed), axum::Json(done.reply)))
}
