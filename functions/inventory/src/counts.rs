//! Routes of count sheets.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use tillstream_app::stock::counts;
use tillstream_contracts::counts::{
    CancelCountRequest, CloseCountRequest, CountQuery, OpenCountRequest, RecordCountRequest,
};
use tillstream_runtime::Problem;
use tillstream_runtime::http::etag::IfMatch;
use tillstream_runtime::http::{Authenticated, IdempotencyKey, JsonBody, PathParams, QueryParams, RawBody};

use crate::answers::{answered, found};
use crate::{COUNT_KEEPERS, COUNTERS, READERS, Services};

pub(crate) async fn open(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(request): JsonBody<OpenCountRequest>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&COUNT_KEEPERS)?;
    let answer = counts::open(&services.ports, &caller, &key, &request).await?;
    Ok((StatusCode::CREATED, answered(answer.sheet.version, answer.replayed, answer.sheet)))
}

pub(crate) async fn all(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    QueryParams(query): QueryParams<CountQuery>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&READERS)?;
    Ok(Json(counts::list::list(&services.ports, &caller, &query).await?))
}

pub(crate) async fn one(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(id): PathParams<String>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&READERS)?;
    let sheet = counts::get(&services.ports, &caller, &id).await?;
    Ok(found(sheet.version, sheet))
}

pub(crate) async fn record(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    if_match: IfMatch,
    PathParams(id): PathParams<String>,
    JsonBody(request): JsonBody<RecordCountRequest>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&COUNTERS)?;
    let precondition = |current| if_match.check(current);
    let answer = counts::record(&services.ports, &caller, &key, &id, &request, precondition).await?;
    Ok(answered(answer.recorded.version, answer.replayed, answer.recorded))
}

pub(crate) async fn close(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    if_match: IfMatch,
    PathParams(id): PathParams<String>,
    body: RawBody,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&COUNT_KEEPERS)?;
    let request: CloseCountRequest = body.json_or_default()?;
    let precondition = |current| if_match.check(current);
    let answer = counts::close(&services.ports, &caller, &key, &id, &request, precondition).await?;
    Ok(answered(answer.sheet.version, answer.replayed, answer.sheet))
}

pub(crate) async fn cancel(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    if_match: IfMatch,
    PathParams(id): PathParams<String>,
    JsonBody(request): JsonBody<CancelCountRequest>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&COUNT_KEEPERS)?;
    let precondition = |current| if_match.check(current);
    let answer = counts::cancel(&services.ports, &caller, &key, &id, &request, precondition).await?;
    Ok(answered(answer.sheet.version, answer.replayed, answer.sheet))
}
