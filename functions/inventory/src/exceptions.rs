//! Routes of stock exceptions.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use tillstream_app::stock::{exceptions, reconciliation};
use tillstream_contracts::inventory::{CorrectDifferenceRequest, ExceptionQuery, ResolveExceptionRequest};
use tillstream_runtime::Problem;
use tillstream_runtime::http::{Authenticated, IdempotencyKey, JsonBody, PathParams, QueryParams, Replayed};

use crate::{READERS, RESOLVERS, Services};

pub(crate) async fn list(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    QueryParams(query): QueryParams<ExceptionQuery>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&READERS)?;
    Ok(Json(exceptions::list(&services.ports, &caller, &query).await?))
}

pub(crate) async fn resolve(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    PathParams(id): PathParams<String>,
    JsonBody(request): JsonBody<ResolveExceptionRequest>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&RESOLVERS)?;
    let resolved = exceptions::resolve(&services.ports, &caller, &key, &id, &request).await?;
    Ok((Replayed(resolved.replayed), Json(resolved.exception)))
}

pub(crate) async fn correct(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    PathParams(id): PathParams<String>,
    JsonBody(request): JsonBody<CorrectDifferenceRequest>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&RESOLVERS)?;
    let corrected = reconciliation::correct(&services.ports, &caller, &key, &id, &request).await?;
    Ok((Replayed(corrected.replayed), Json(corrected.exception)))
}
