//! Routes of suppliers.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use tillstream_app::catalog::products::PutOutcome;
use tillstream_app::catalog::suppliers;
use tillstream_contracts::inventory::PageQuery;
use tillstream_contracts::suppliers::{SupplierBody, SupplierList, SupplierReply, SupplierSummary};
use tillstream_domain::supplier::Supplier;
use tillstream_runtime::Problem;
use tillstream_runtime::http::etag::{EntityTag, IfMatch};
use tillstream_runtime::http::{Authenticated, IdempotencyKey, JsonBody, PathParams, QueryParams, Replayed};

use crate::Services;

fn answered(outcome: PutOutcome<Supplier>) -> impl IntoResponse {
    let status = if outcome.created { StatusCode::CREATED } else { StatusCode::OK };
    let tag = EntityTag::of_version(outcome.now.version);
    (status, Replayed(outcome.replayed), tag, Json(SupplierReply::from(outcome.now)))
}

pub(crate) async fn list(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<impl IntoResponse, Problem> {
    let (found, next_cursor) =
        suppliers::list(&services.ports, &caller, query.limit, query.cursor.as_deref()).await?;
    Ok(Json(SupplierList { items: found.into_iter().map(SupplierSummary::from).collect(), next_cursor }))
}

pub(crate) async fn one(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(id): PathParams<String>,
) -> Result<impl IntoResponse, Problem> {
    let supplier = suppliers::get(&services.ports, &caller, &id).await?;
    Ok((EntityTag::of_version(supplier.version), Json(SupplierReply::from(supplier))))
}

pub(crate) async fn create(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(body): JsonBody<SupplierBody>,
) -> Result<impl IntoResponse, Problem> {
    Ok(answered(suppliers::create(&services.ports, &caller, body, &key).await?))
}

pub(crate) async fn put(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(id): PathParams<String>,
    IdempotencyKey(key): IdempotencyKey,
    if_match: IfMatch,
    JsonBody(body): JsonBody<SupplierBody>,
) -> Result<impl IntoResponse, Problem> {
    let precondition = |current| if_match.check(current);
    Ok(answered(suppliers::put(&services.ports, &caller, &id, body, &key, precondition).await?))
}
