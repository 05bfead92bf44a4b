//! Routes of transfers.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use tillstream_app::stock::transfers::settle::Asked;
use tillstream_app::stock::transfers::{self, list, settle, ship};
use tillstream_app::tenancy::Caller;
use tillstream_contracts::transfers::{
    CancelTransferRequest, ReceiveTransferRequest, RejectTransferRequest, Transfer, TransferQuery,
    TransferRequest,
};
use tillstream_runtime::Problem;
use tillstream_runtime::http::etag::IfMatch;
use tillstream_runtime::http::{Authenticated, IdempotencyKey, JsonBody, PathParams, QueryParams, RawBody};

use crate::answers::{Answered, answered, found};
use crate::{READERS, Services, UPDATERS};

/// Asks it of the one that is named, where that stands as `If-Match` says.
async fn changed(
    services: &Services,
    caller: &Caller,
    key: &str,
    id: &str,
    if_match: IfMatch,
    asked: Asked<'_>,
) -> Result<Answered<Transfer>, Problem> {
    let precondition = |current| if_match.check(current);
    let answer = settle::change(&services.ports, caller, key, id, &asked, precondition).await?;
    Ok(answered(answer.transfer.version, answer.replayed, answer.transfer))
}

pub(crate) async fn create(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(request): JsonBody<TransferRequest>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&UPDATERS)?;
    let answer = ship::ship(&services.ports, &caller, &key, &request).await?;
    Ok((StatusCode::CREATED, answered(answer.transfer.version, answer.replayed, answer.transfer)))
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
    Ok(found(transfer.version, transfer))
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
    let request: ReceiveTransferRequest = body.json_or_default()?;
    changed(&services, &caller, &key, &id, if_match, Asked::Receive(&request)).await
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
    changed(&services, &caller, &key, &id, if_match, Asked::Reject(&request)).await
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
    changed(&services, &caller, &key, &id, if_match, Asked::Cancel(&request)).await
}
