//! Products.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use tillstream_app::Ports;
use tillstream_app::catalog::product_list::{self, ProductFilter};
use tillstream_app::catalog::products::{self, PutProduct};
use tillstream_contracts::catalog::{ProductBody, ProductDetailReply, ProductList, ProductReply};
use tillstream_runtime::Problem;
use tillstream_runtime::auth::Authenticator;
use tillstream_runtime::config::{self, Variable};
use tillstream_runtime::http::etag::{EntityTag, IfMatch};
use tillstream_runtime::http::{
    self, Authenticated, IdempotencyKey, JsonBody, PathParams, QueryParams, Replayed,
};

/// Name in logs and metrics.
pub const FUNCTION: &str = "catalog";

/// What it reads from its environment, beside what every function reads.
pub const VARIABLES: &[Variable] =
    &[config::CATALOG_TABLE, config::IDENTITY_TABLE, config::TOKEN_ISSUER, config::TOKEN_AUDIENCE];

/// What its handlers need.
#[derive(Clone)]
pub struct Services {
    /// Tables, time and chance.
    pub ports: Ports,
}

/// Its routes.
pub fn router(services: Services, authenticator: Arc<Authenticator>) -> Router {
    let routes = Router::new()
        .route("/v1/products", get(list))
        .route("/v1/products/{sku}", get(product).put(put_product));
    http::router(FUNCTION, routes, services, authenticator)
}

async fn list(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    // Pairs, since attributes are filtered by names of the tenant's choice.
    QueryParams(parameters): QueryParams<Vec<(String, String)>>,
) -> Result<impl IntoResponse, Problem> {
    let (filter, limit, cursor) = ProductFilter::from_query(parameters)?;
    let (items, next_cursor) =
        product_list::list(&services.ports, &caller.scope, &filter, limit, cursor.as_deref()).await?;
    Ok(Json(ProductList { items: items.into_iter().map(ProductReply::from).collect(), next_cursor }))
}

async fn product(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(sku): PathParams<String>,
) -> Result<impl IntoResponse, Problem> {
    let (product, prices) = products::get(&services.ports, &caller.scope, &sku).await?;
    let prices = prices.into_iter().map(Into::into).collect();
    let tag = EntityTag::of_version(product.version);
    Ok((tag, Json(ProductDetailReply { product: product.into(), prices })))
}

async fn put_product(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(sku): PathParams<String>,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    if_match: IfMatch,
    JsonBody(body): JsonBody<ProductBody>,
) -> Result<impl IntoResponse, Problem> {
    let request = PutProduct { sku, body, idempotency_key };
    let outcome = products::put(&services.ports, &caller, request, |current| if_match.check(current)).await?;
    let status = if outcome.created { StatusCode::CREATED } else { StatusCode::OK };
    let tag = EntityTag::of_version(outcome.now.version);
    Ok((status, tag, Replayed(outcome.replayed), Json(ProductReply::from(outcome.now))))
}
