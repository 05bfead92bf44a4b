//! Routes of reservations.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use tillstream_app::stock::{reservations, reserve as reserving};
use tillstream_contracts::inventory::{CommitRequest, ExtendRequest, NoFields, ReserveRequest};
use tillstream_runtime::Problem;
use tillstream_runtime::http::{Authenticated, IdempotencyKey, JsonBody, PathParams, RawBody, Replayed};

use crate::{READERS, RESERVERS, Services};

pub(crate) async fn reserve(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(request): JsonBody<ReserveRequest>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&RESERVERS)?;
    let answer = reserving::reserve(&services.ports, &caller, &key, &request).await?;
    Ok((StatusCode::CREATED, Replayed(answer.replayed), Json(answer.reservation)))
}

pub(crate) async fn one(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(id): PathParams<String>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&READERS)?;
    Ok(Json(reservations::get(&services.ports, &caller, &id).await?))
}

pub(crate) async fn commit(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    PathParams(id): PathParams<String>,
    body: RawBody,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&RESERVERS)?;
    let request: CommitRequest = body.json_or_default()?;
    let answer = reservations::commit(&services.ports, &caller, &key, &id, &request).await?;
    Ok((Replayed(answer.replayed), Json(answer.reservation)))
}

pub(crate) async fn release(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    PathParams(id): PathParams<String>,
    body: RawBody,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&RESERVERS)?;
    // A field in it is refused rather than ignored.
    let _: NoFields = body.json_or_default()?;
    let answer = reservations::release(&services.ports, &caller, &key, &id).await?;
    Ok((Replayed(answer.replayed), Json(answer.reservation)))
}

pub(crate) async fn extend(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    PathParams(id): PathParams<String>,
    JsonBody(request): JsonBody<ExtendRequest>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&RESERVERS)?;
    let answer = reservations::extend(&services.ports, &caller, &key, &id, &request).await?;
    Ok((Replayed(answer.replayed), Json(answer.reservation)))
}
