//! Routes of backorders.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use tillstream_app::stock::backorders::{self, list};
use tillstream_contracts::backorders::{BackorderQuery, BackorderRequest, CancelBackorderRequest};
use tillstream_runtime::Problem;
use tillstream_runtime::http::etag::IfMatch;
use tillstream_runtime::http::{Authenticated, IdempotencyKey, JsonBody, PathParams, QueryParams, RawBody};

use crate::answers::{answered, found};
use crate::{READERS, RESERVERS, Services};

pub(crate) async fn create(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(request): JsonBody<BackorderRequest>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&RESERVERS)?;
    let answer = backorders::place(&services.ports, &caller, &key, &request).await?;
    Ok((StatusCode::CREATED, answered(answer.backorder.version, answer.replayed, answer.backorder)))
}

pub(crate) async fn all(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    QueryParams(query): QueryParams<BackorderQuery>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&READERS)?;
    Ok(Json(list::list(&services.ports, &caller, &query).await?))
}

pub(crate) async fn one(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(id): PathParams<String>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&READERS)?;
    let backorder = backorders::get(&services.ports, &caller, &id).await?;
    Ok(found(backorder.version, backorder))
}

pub(crate) async fn cancel(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    if_match: IfMatch,
    PathParams(id): PathParams<String>,
    body: RawBody,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&RESERVERS)?;
    let request: CancelBackorderRequest = body.json_or_default()?;
    let precondition = |current| if_match.check(current);
    let answer = backorders::cancel(&services.ports, &caller, &key, &id, &request, precondition).await?;
    Ok(answered(answer.backorder.version, answer.replayed, answer.backorder))
}
