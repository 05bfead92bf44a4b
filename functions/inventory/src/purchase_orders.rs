//! Routes of purchase orders.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use tillstream_app::stock::purchases::settle::Asked;
use tillstream_app::stock::purchases::{self, Answer, list, place, settle};
use tillstream_contracts::purchase_orders::{
    EndPurchaseRequest, PurchaseOrder, PurchaseOrderQuery, PurchaseOrderRequest, ReceivePurchaseRequest,
};
use tillstream_runtime::Problem;
use tillstream_runtime::http::etag::{EntityTag, IfMatch};
use tillstream_runtime::http::extract::parse_json;
use tillstream_runtime::http::{
    Authenticated, IdempotencyKey, JsonBody, PathParams, QueryParams, RawBody, Replayed,
};

use crate::Services;

fn answered(answer: Answer) -> (EntityTag, Replayed, Json<PurchaseOrder>) {
    let tag = EntityTag::of_version(answer.order.version.unsigned_abs());
    (tag, Replayed(answer.replayed), Json(answer.order))
}

pub(crate) async fn create(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(request): JsonBody<PurchaseOrderRequest>,
) -> Result<impl IntoResponse, Problem> {
    let answer = place::place(&services.ports, &caller, &key, &request).await?;
    Ok((StatusCode::CREATED, answered(answer)))
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
    Ok((EntityTag::of_version(order.version.unsigned_abs()), Json(order)))
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
    let request: ReceivePurchaseRequest =
        if body.0.is_empty() { ReceivePurchaseRequest::default() } else { parse_json(&body.0)? };
    let precondition = |current| if_match.check(current);
    let asked = Asked::Receive(&request);
    Ok(answered(settle::change(&services.ports, &caller, &key, &id, &asked, precondition).await?))
}

pub(crate) async fn close(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    if_match: IfMatch,
    PathParams(id): PathParams<String>,
    JsonBody(request): JsonBody<EndPurchaseRequest>,
) -> Result<impl IntoResponse, Problem> {
    let precondition = |current| if_match.check(current);
    let asked = Asked::Close(&request);
    Ok(answered(settle::change(&services.ports, &caller, &key, &id, &asked, precondition).await?))
}

pub(crate) async fn cancel(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    if_match: IfMatch,
    PathParams(id): PathParams<String>,
    JsonBody(request): JsonBody<EndPurchaseRequest>,
) -> Result<impl IntoResponse, Problem> {
    let precondition = |current| if_match.check(current);
    let asked = Asked::Cancel(&request);
    Ok(answered(settle::change(&services.ports, &caller, &key, &id, &asked, precondition).await?))
}
