//! Dashboard, sales, products, categories.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, VARY};
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
    let body = serde_json::to_vec(&answer.reply).map_err(Error::bug)?;
    let tag = entity_tag(&body)?;
    let is_known = tag.is_known_to(headers);
    let mut response = if is_known {
        (StatusCode::NOT_MODIFIED, tag, ()).into_response()
    } else {
        (tag, [(CONTENT_TYPE, "application/json")], body).into_response()
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
fn entity_tag(body: &[u8]) -> tillstream_app::Result<EntityTag> {
    let (before, after) = around_as_of(body);
    let digest = Sha256::new().chain_update(before).chain_update(after).finalize();
    let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    EntityTag::of_digest(&hex).ok_or_else(|| Error::bug("a digest is no entity tag"))
}

/// What stands before and after the time in a reply. No text within it can look like the name: a quotation
/// mark in a text has a backslash before it.
fn around_as_of(body: &[u8]) -> (&[u8], &[u8]) {
    const NAME: &[u8] = b"\"as_of\":\"";
    let Some(at) = body.windows(NAME.len()).rposition(|window| window == NAME) else { return (body, &[]) };
    let (before, rest) = body.split_at(at + NAME.len());
    let end = rest.iter().position(|byte| *byte == b'"').unwrap_or(rest.len());
    (before, rest.get(end..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_covers_everything_but_the_time() {
        let body = |text: &str, time: &str, end: &str| {
            let reply = serde_json::json!({"a": text, "watermark": {"as_of": time}, "z": end});
            entity_tag(&serde_json::to_vec(&reply).unwrap()).unwrap()
        };
        let tag = body("x", "2010-12-01T08:00:00Z", "");
        assert_eq!(tag, body("x", "2010-12-01T08:00:01.5Z", ""));
        assert_ne!(tag, body("y", "2010-12-01T08:00:00Z", ""));
        assert_ne!(tag, body("x", "2010-12-01T08:00:00Z", "y"));
        let tricky = |time: &str| body(r#"","as_of":"1"#, time, r#""as_of":"2"#);
        assert_eq!(tricky("1"), tricky("2"));
        assert_ne!(tricky("1"), tag);
    }
}
