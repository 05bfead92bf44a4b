//! Dashboard, sales, products, categories.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tillstream_app::analytics::{Answer, consistency_token, dashboard, products, sales};
use tillstream_app::{Error, Ports};
use tillstream_contracts::analytics::{CategoriesQuery, DashboardQuery, ProductsQuery, SalesQuery};
use tillstream_domain::lane::LaneNumber;
use tillstream_runtime::Problem;
use tillstream_runtime::auth::Authenticator;
use tillstream_runtime::config::{self, Variable};
use tillstream_runtime::http::etag::EntityTag;
use tillstream_runtime::http::{self, Authenticated, QueryParams};

/// Name in logs and metrics.
pub const FUNCTION: &str = "analytics-api";

/// What it reads from its environment, beside what every function reads.
pub const VARIABLES: &[Variable] = &[
    config::ANALYTICS_TABLE,
    config::ORDERS_TABLE,
    config::CATALOG_TABLE,
    config::IDENTITY_TABLE,
    config::TOKEN_ISSUER,
    config::TOKEN_AUDIENCE,
];

/// Asks for read-your-writes.
const CONSISTENCY_TOKEN: HeaderName = HeaderName::from_static("x-consistency-token");
/// What came of it.
const CONSISTENCY: HeaderName = HeaderName::from_static("x-consistency");

/// What its handlers need.
#[derive(Clone)]
pub struct Services {
    /// Tables, time and chance.
    pub ports: Ports,
}

/// Its routes.
pub fn router(services: Services, authenticator: Arc<Authenticator>) -> Router {
    let routes = Router::new()
        .route("/v1/analytics/dashboard", get(dashboard))
        .route("/v1/analytics/sales", get(sales))
        .route("/v1/analytics/products", get(products))
        .route("/v1/analytics/categories", get(categories));
    http::router(FUNCTION, routes, services, authenticator)
}

async fn dashboard(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    QueryParams(query): QueryParams<DashboardQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let token = token(&headers)?;
    Ok(respond(&headers, dashboard::dashboard(&services.ports, &caller, &query, token.as_ref()).await?)?)
}

async fn sales(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    QueryParams(query): QueryParams<SalesQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let token = token(&headers)?;
    Ok(respond(&headers, sales::sales(&services.ports, &caller, &query, token.as_ref()).await?)?)
}

async fn products(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    QueryParams(query): QueryParams<ProductsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let token = token(&headers)?;
    Ok(respond(&headers, products::products(&services.ports, &caller, &query, token.as_ref()).await?)?)
}

async fn categories(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    QueryParams(query): QueryParams<CategoriesQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let token = token(&headers)?;
    Ok(respond(&headers, sales::categories(&services.ports, &caller, &query, token.as_ref()).await?)?)
}

fn token(headers: &HeaderMap) -> tillstream_app::Result<Option<LaneNumber>> {
    let Some(value) = headers.get(CONSISTENCY_TOKEN) else { return Ok(None) };
    // What is not text is no token either.
    consistency_token(value.to_str().unwrap_or_default()).map(Some)
}

/// The answer with its headers, or 304 where the client has it already.
fn respond<T: Serialize>(headers: &HeaderMap, answer: Answer<T>) -> tillstream_app::Result<Response> {
    let body = serde_json::to_value(&answer.reply).map_err(Error::bug)?;
    let tag = entity_tag(&body)?;
    let is_known = tag.is_known_to(headers);
    let mut response = if is_known {
        (StatusCode::NOT_MODIFIED, tag, ()).into_response()
    } else {
        (tag, axum::Json(body)).into_response()
    };
    let sent = response.headers_mut();
    // Kept by the client alone, and asked for again each time: figures change by the second.
    sent.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    sent.insert(VARY, HeaderValue::from_static("Authorization, X-Consistency-Token"));
    if let Some(satisfied) = answer.satisfied {
        let value = if satisfied { "satisfied" } else { "pending" };
        sent.insert(CONSISTENCY, HeaderValue::from_static(value));
    }
    Ok(response)
}

/// Tag of the content: everything but the time at which it was read.
fn entity_tag(body: &serde_json::Value) -> tillstream_app::Result<EntityTag> {
    let mut content = body.clone();
    if let Some(watermark) = content.get_mut("watermark").and_then(serde_json::Value::as_object_mut) {
        watermark.remove("as_of");
    }
    let digest = Sha256::digest(content.to_string());
    let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    EntityTag::of_digest(&hex).ok_or_else(|| Error::bug("a digest is no entity tag"))
}
