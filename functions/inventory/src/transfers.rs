//! Routes of transfers.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use tillstream_app::stock::transfers::settle::Asked;
use tillstream_app::stock::transfers::{self, Answer, list, settle, ship};
use tillstream_contracts::transfers::{
    CancelTransferRequest, ReceiveTransferRequest, RejectTransferRequest, Transfer, TransferQuery,
    TransferRequest,
};
use tillstream_runtime::Problem;
use tillstream_runtime::http::etag::{EntityTag, IfMatch};
use tillstream_runtime::http::extract::parse_json;
use tillstream_runtime::http::{
    Authenticated, IdempotencyKey, JsonBody, PathParams, QueryParams, RawBody, Replayed,
};

use crate::{READERS, Services, UPDATERS};

fn answered(answer: Answer) -> (EntityTag, Replayed, Json<Transfer>) {
    let tag = EntityTag::of_version(answer.transfer.version.unsigned_abs());
    (tag, Replayed(answer.replayed), Json(answer.transfer))
}

pub(crate) async fn create(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(request): JsonBody<TransferRequest>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&UPDATERS)?;
    let answer = ship::ship(&services.ports, &caller, &key, &request).await?;
    Ok((StatusCode::CREATED, answered(answer)))
}

pub(crate) async fn all(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    QueryParams(query): QueryParams<TransferQuery>,
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
    let transfer = transfers::get(&services.ports, &caller, &id).await?;
    Ok((EntityTag::of_version(transfer.version.unsigned_abs()), Json(transfer)))
}

pub(crate) async fn receive(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    if_match: IfMatch,
    PathParams(id): PathParams<String>,
    body: RawBody,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&UPDATERS)?;
    // Nothing said: all of it arrived.
    let request: ReceiveTransferRequest =
        if body.0.is_empty() { ReceiveTransferRequest::default() } else { parse_json(&body.0)? };
    let precondition = |current| if_match.check(current);
    let asked = Asked::Receive(&request);
    Ok(answered(settle::change(&services.ports, &caller, &key, &id, &asked, precondition).await?))
}

pub(crate) async fn reject(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    if_match: IfMatch,
    PathParams(id): PathParams<String>,
    JsonBody(request): JsonBody<RejectTransferRequest>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&UPDATERS)?;
    let precondition = |current| if_match.check(current);
    let asked = Asked::Reject(&request);
    Ok(answered(settle::change(&services.ports, &caller, &key, &id, &asked, precondition).await?))
}

pub(crate) async fn cancel(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    if_match: IfMatch,
    PathParams(id): PathParams<String>,
    JsonBody(request): JsonBody<CancelTransferRequest>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&UPDATERS)?;
    let precondition = |current| if_match.check(current);
    let asked = Asked::Cancel(&request);
    Ok(answered(settle::change(&services.ports, &caller, &key, &id, &asked, precondition).await?))
}
