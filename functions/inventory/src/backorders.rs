//! Routes of backorders.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use tillstream_app::stock::backorders::{self, Answer, list};
use tillstream_contracts::backorders::{Backorder, BackorderQuery, BackorderRequest, CancelBackorderRequest};
use tillstream_runtime::Problem;
use tillstream_runtime::http::etag::{EntityTag, IfMatch};
use tillstream_runtime::http::extract::parse_json;
use tillstream_runtime::http::{
    Authenticated, IdempotencyKey, JsonBody, PathParams, QueryParams, RawBody, Replayed,
};

use crate::{READERS, RESERVERS, Services};

fn answered(answer: Answer) -> (EntityTag, Replayed, Json<Backorder>) {
    let tag = EntityTag::of_version(answer.backorder.version.unsigned_abs());
    (tag, Replayed(answer.replayed), Json(answer.backorder))
}

pub(crate) async fn create(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(request): JsonBody<BackorderRequest>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&RESERVERS)?;
    let answer = backorders::place(&services.ports, &caller, &key, &request).await?;
    Ok((StatusCode::CREATED, answered(answer)))
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
    Ok((EntityTag::of_version(backorder.version.unsigned_abs()), Json(backorder)))
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
    let request: CancelBackorderRequest =
        if body.0.is_empty() { CancelBackorderRequest::default() } else { parse_json(&body.0)? };
    let precondition = |current| if_match.check(current);
    Ok(answered(backorders::cancel(&services.ports, &caller, &key, &id, &request, precondition).await?))
}
