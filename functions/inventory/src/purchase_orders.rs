//! Routes of purchase orders.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use tillstream_app::stock::purchases::settle::Asked;
use tillstream_app::stock::purchases::{self, list, place, settle};
use tillstream_app::tenancy::Caller;
use tillstream_contracts::purchase_orders::{
    EndPurchaseRequest, PurchaseOrder, PurchaseOrderQuery, PurchaseOrderRequest, ReceivePurchaseRequest,
};
use tillstream_runtime::Problem;
use tillstream_runtime::http::etag::IfMatch;
use tillstream_runtime::http::{Authenticated, IdempotencyKey, JsonBody, PathParams, QueryParams, RawBody};

use crate::Services;
use crate::answers::{Answered, answered, found};

/// Asks it of the one that is named, where that stands as `If-Match` says.
async fn changed(
    services: &Services,
    caller: &Caller,
    key: &str,
    id: &str,
    if_match: IfMatch,
    asked: Asked<'_>,
) -> Result<Answered<PurchaseOrder>, Problem> {
    let precondition = |current| if_match.check(current);
    let answer = settle::change(&services.ports, caller, key, id, &asked, precondition).await?;
    Ok(answered(answer.order.version, answer.replayed, answer.order))
}

pub(crate) async fn create(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(request): JsonBody<PurchaseOrderRequest>,
) -> Result<impl IntoResponse, Problem> {
    let answer = place::place(&services.ports, &caller, &key, &request).await?;
    Ok((StatusCode::CREATED, answered(answer.order.version, answer.replayed, answer.order)))
}

pub(crate) async fn all(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    QueryParams(query): QueryParams<PurchaseOrderQuery>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Json(list::list(&services.ports, &caller, &query).await?))
}

pub(crate) async fn one(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(id): PathParams<String>,
) -> Result<impl IntoResponse, Problem> {
    let order = purchases::get(&services.ports, &caller, &id).await?;
    Ok(found(order.version, order))
}

pub(crate) async fn receive(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    if_match: IfMatch,
    PathParams(id): PathParams<String>,
    body: RawBody,
) -> Result<impl IntoResponse, Problem> {
    // Nothing said: all that is open arrived.
    let request: ReceivePurchaseRequest = body.json_or_default()?;
    changed(&services, &caller, &key, &id, if_match, Asked::Receive(&request)).await
}

pub(crate) async fn close(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    if_match: IfMatch,
    PathParams(id): PathParams<String>,
    JsonBody(request): JsonBody<EndPurchaseRequest>,
) -> Result<impl IntoResponse, Problem> {
    changed(&services, &caller, &key, &id, if_match, Asked::Close(&request)).await
}

pub(crate) async fn cancel(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    if_match: IfMatch,
    PathParams(id): PathParams<String>,
    JsonBody(request): JsonBody<EndPurchaseRequest>,
) -> Result<impl IntoResponse, Problem> {
    changed(&services, &caller, &key, &id, if_match, Asked::Cancel(&request)).await
}
