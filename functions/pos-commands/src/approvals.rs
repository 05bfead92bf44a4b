//! Approvals: asked for, listed, granted, denied.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use tillstream_app::approvals::{ask as asking, decide, read};
use tillstream_contracts::approvals::{ApprovalFilter, AskForApproval, DecideApproval};
use tillstream_runtime::Problem;
use tillstream_runtime::http::etag::EntityTag;
use tillstream_runtime::http::{
    Authenticated, IdempotencyKey, JsonBody, PathParams, QueryParams, RawBody, Replayed,
};

use super::Services;

pub(crate) async fn ask(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(sent): JsonBody<AskForApproval>,
) -> Result<impl IntoResponse, Problem> {
    let answer = asking::ask(&services.ports, &caller, &key, sent).await?;
    let tag = EntityTag::of_version(answer.approval.version);
    Ok((StatusCode::CREATED, tag, Replayed(answer.replayed), axum::Json(answer.approval)))
}

pub(crate) async fn list(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    QueryParams(filter): QueryParams<ApprovalFilter>,
) -> Result<impl IntoResponse, Problem> {
    Ok(axum::Json(read::list(&services.ports, &caller, filter).await?))
}

pub(crate) async fn approval(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(id): PathParams<String>,
) -> Result<impl IntoResponse, Problem> {
    let approval = read::get(&services.ports, &caller, &id).await?;
    Ok((EntityTag::of_version(approval.version), axum::Json(approval)))
}

pub(crate) async fn grant(
    services: State<Services>,
    caller: Authenticated,
    id: PathParams<String>,
    key: IdempotencyKey,
    body: RawBody,
) -> Result<impl IntoResponse, Problem> {
    decided(services, caller, id, key, (true, body)).await
}

pub(crate) async fn deny(
    services: State<Services>,
    caller: Authenticated,
    id: PathParams<String>,
    key: IdempotencyKey,
    body: RawBody,
) -> Result<impl IntoResponse, Problem> {
    decided(services, caller, id, key, (false, body)).await
}

async fn decided(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(id): PathParams<String>,
    IdempotencyKey(key): IdempotencyKey,
    (granted, body): (bool, RawBody),
) -> Result<impl IntoResponse, Problem> {
    let sent: DecideApproval = body.json_or_default()?;
    let answer = decide::decide(&services.ports, &caller, &key, &id, granted, sent).await?;
    let tag = EntityTag::of_version(answer.approval.version);
    Ok((tag, Replayed(answer.replayed), axum::Json(answer.approval)))
}
