//! Gift cards and accounts: issued, read, credited, debited, blocked. Their paths hold numbers that are as good as
//! money: a line of the log names the route, never the path.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use tillstream_app::Refusal;
use tillstream_app::stored_value::administer::{self, Answer};
use tillstream_app::stored_value::read;
use tillstream_contracts::stored_value::{
    BlockStoredValue, IssueStoredValue, MoveStoredValue, StoredValueMovementFilter,
};
use tillstream_runtime::Problem;
use tillstream_runtime::http::etag::{EntityTag, IfMatch};
use tillstream_runtime::http::{Authenticated, IdempotencyKey, JsonBody, PathParams, QueryParams, Replayed};

use super::Services;

fn told(answer: Answer) -> impl IntoResponse {
    let tag = EntityTag::of_version(answer.stored_value.version);
    (tag, Replayed(answer.replayed), axum::Json(answer.stored_value))
}

/// What a change is held to: the version that its sender read, where it names one.
fn held(if_match: IfMatch) -> impl Fn(u64) -> Result<(), Refusal> + Send + Sync {
    move |version| if_match.check(Some(version))
}

pub(crate) async fn issue(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(sent): JsonBody<IssueStoredValue>,
) -> Result<impl IntoResponse, Problem> {
    let answer = administer::issue(&services.ports, &caller, &key, sent).await?;
    Ok((StatusCode::CREATED, told(answer)))
}

pub(crate) async fn stored_value(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(id): PathParams<String>,
) -> Result<impl IntoResponse, Problem> {
    let stored = read::get(&services.ports, &caller, &id).await?;
    Ok((EntityTag::of_version(stored.version), axum::Json(stored)))
}

pub(crate) async fn movements(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(id): PathParams<String>,
    QueryParams(filter): QueryParams<StoredValueMovementFilter>,
) -> Result<impl IntoResponse, Problem> {
    Ok(axum::Json(read::movements(&services.ports, &caller, &id, filter).await?))
}

pub(crate) async fn credit(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(id): PathParams<String>,
    IdempotencyKey(key): IdempotencyKey,
    if_match: IfMatch,
    JsonBody(sent): JsonBody<MoveStoredValue>,
) -> Result<impl IntoResponse, Problem> {
    Ok(told(administer::credit(&services.ports, &caller, &key, &id, sent, held(if_match)).await?))
}

pub(crate) async fn debit(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(id): PathParams<String>,
    IdempotencyKey(key): IdempotencyKey,
    if_match: IfMatch,
    JsonBody(sent): JsonBody<MoveStoredValue>,
) -> Result<impl IntoResponse, Problem> {
    Ok(told(administer::debit(&services.ports, &caller, &key, &id, sent, held(if_match)).await?))
}

pub(crate) async fn block(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(id): PathParams<String>,
    IdempotencyKey(key): IdempotencyKey,
    if_match: IfMatch,
    JsonBody(sent): JsonBody<BlockStoredValue>,
) -> Result<impl IntoResponse, Problem> {
    Ok(told(administer::block(&services.ports, &caller, &key, &id, sent, held(if_match)).await?))
}

pub(crate) async fn unblock(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(id): PathParams<String>,
    IdempotencyKey(key): IdempotencyKey,
    if_match: IfMatch,
    JsonBody(sent): JsonBody<BlockStoredValue>,
) -> Result<impl IntoResponse, Problem> {
    Ok(told(administer::unblock(&services.ports, &caller, &key, &id, sent, held(if_match)).await?))
}
