//! Whole orders by REST, reading orders and shifts, and their documents.
//!
//! Shifts are read here and not beside the commands that change them: whoever looks at a back office takes no
//! part of what is reserved for tills.

mod documents;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tillstream_app::orders::{place, read, record, status};
use tillstream_app::pos::cart_write::Executed;
use tillstream_app::pos::till;
use tillstream_app::{Error, Ports};
use tillstream_contracts::orders::{
    ChangedOrder, OrderFilter, PlaceOrder, PlacedOrder, RecordSale, UpdateOrder,
};
use tillstream_contracts::till::ShiftFilter;
use tillstream_runtime::Problem;
use tillstream_runtime::auth::Authenticator;
use tillstream_runtime::config::{self, Variable};
use tillstream_runtime::http::etag::{EntityTag, IfMatch};
use tillstream_runtime::http::{
    self, Authenticated, IdempotencyKey, JsonBody, PathParams, QueryParams, Replayed,
};

/// Name in logs and metrics.
pub const FUNCTION: &str = "orders";

/// What it reads from its environment, beside what every function reads.
pub const VARIABLES: &[Variable] = &[
    config::ORDERS_TABLE,
    config::STOCK_TABLE,
    config::CATALOG_TABLE,
    config::IDENTITY_TABLE,
    config::TOKEN_ISSUER,
    config::TOKEN_AUDIENCE,
];

/// What its handlers need.
#[derive(Clone)]
pub struct Services {
    /// Tables, time and chance.
    pub ports: Ports,
}

/// Its routes.
pub fn router(services: Services, authenticator: Arc<Authenticator>) -> Router {
    let routes = Router::new()
        .route("/v1/orders", get(list).post(place_order))
        .route("/v1/orders/{id}", get(order).put(change_order))
        .route("/v1/sales", get(sales))
        .route("/v1/sales/record", post(record_sale))
        .route("/v1/orders/{id}/documents", get(documents::list))
        .route("/v1/documents/{id}", get(documents::document))
        .route("/v1/shifts", get(shifts))
        .route("/v1/shifts/{id}", get(shift))
        .route("/v1/shifts/{id}/proof", get(shift_proof));
    http::router(FUNCTION, routes, services, authenticator)
}

async fn place_order(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(sent): JsonBody<PlaceOrder>,
) -> Result<impl IntoResponse, Problem> {
    Ok(placed(place::place(&services.ports, &caller, &key, sent).await?)?)
}

async fn record_sale(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(sent): JsonBody<RecordSale>,
) -> Result<impl IntoResponse, Problem> {
    Ok(placed(record::record(&services.ports, &caller, &key, sent).await?)?)
}

fn placed(executed: Executed) -> Result<impl IntoResponse, Error> {
    let done = executed.cart.finalized.as_ref().ok_or_else(|| Error::bug("a placed order is final"))?;
    let placed = PlacedOrder {
        consistency_token: done.number.to_string(),
        order: read::order_view(&executed.cart, true)?,
    };
    let tag = EntityTag::of_version(placed.order.order_version.into());
    Ok((StatusCode::CREATED, tag, Replayed(executed.replayed), axum::Json(placed)))
}

async fn change_order(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(id): PathParams<String>,
    if_match: IfMatch,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(sent): JsonBody<UpdateOrder>,
) -> Result<impl IntoResponse, Problem> {
    let precondition = |current| if_match.check(current);
    let changed = status::change(&services.ports, &caller, &key, &id, sent, precondition).await?;
    let counted = changed.counted.as_ref().and_then(|cart| cart.finalized.as_ref());
    let answer = ChangedOrder {
        consistency_token: counted.map(|done| done.number.to_string()),
        order: read::order_view(&changed.order, true)?,
    };
    let tag = EntityTag::of_version(answer.order.order_version.into());
    Ok((tag, Replayed(changed.replayed), axum::Json(answer)))
}

async fn sales(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    QueryParams(filter): QueryParams<OrderFilter>,
) -> Result<impl IntoResponse, Problem> {
    Ok(axum::Json(read::list_sales(&services.ports, &caller, filter).await?))
}

async fn list(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    QueryParams(filter): QueryParams<OrderFilter>,
) -> Result<impl IntoResponse, Problem> {
    Ok(axum::Json(read::list(&services.ports, &caller, filter).await?))
}

async fn order(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(id): PathParams<String>,
) -> Result<impl IntoResponse, Problem> {
    let order = read::get(&services.ports, &caller, &id).await?;
    Ok((EntityTag::of_version(order.order_version.into()), axum::Json(order)))
}

async fn shifts(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    QueryParams(filter): QueryParams<ShiftFilter>,
) -> Result<impl IntoResponse, Problem> {
    Ok(axum::Json(till::read::list(&services.ports, &caller, filter).await?))
}

async fn shift(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(id): PathParams<String>,
) -> Result<impl IntoResponse, Problem> {
    // Without a tag: figures of an open shift change with sales, which do not write it.
    let (shift, _) = till::read::get(&services.ports, &caller, &id).await?;
    Ok(axum::Json(shift))
}

async fn shift_proof(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(id): PathParams<String>,
) -> Result<impl IntoResponse, Problem> {
    Ok(axum::Json(till::proof::of_shift(&services.ports, &caller, &id).await?))
}
