//! Public keys, health, the OpenAPI document, unknown routes.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use tillstream_app::database::{Consistency, Get, Table};
use tillstream_app::{Error, Ports, keys};
use tillstream_contracts::identity::{Health, JsonWebKeySet};
use tillstream_contracts::openapi;
use tillstream_runtime::config::{IDENTITY_TABLE, Variable};
use tillstream_runtime::http::{self, Problem, etag::EntityTag};

/// Name in logs and metrics.
pub const FUNCTION: &str = "identity";

/// What it reads from its environment, beside what every function reads.
pub const VARIABLES: &[Variable] = &[IDENTITY_TABLE];

/// How long a client may keep the keys, in seconds: less than a key is published before it signs.
const KEYS_CACHE: &str = "public, max-age=300";

/// What the handlers need.
#[derive(Clone)]
struct Services {
    ports: Ports,
    stage: String,
}

/// The OpenAPI document and its tag, written when it is first asked for: it takes as long as all else that
/// this function does before its first event.
static DOCUMENT: LazyLock<Result<(Bytes, EntityTag), String>> = LazyLock::new(|| {
    let document = openapi::document().to_json().map_err(|error| error.to_string())?;
    let mut hasher = DefaultHasher::new();
    document.hash(&mut hasher);
    Ok((document.into(), EntityTag::of_version(hasher.finish())))
});

/// The routes; all others, of whatever function, end here too and are answered with a 404 problem.
pub fn router(ports: Ports, stage: &str) -> Router {
    let services = Services { ports, stage: stage.to_owned() };
    let routes = Router::new()
        .route("/.well-known/jwks.json", get(jwks))
        .route("/v1/health", get(health))
        .route("/v1/openapi.json", get(openapi_document));
    http::open_router(FUNCTION, routes, services)
}

async fn jwks(State(services): State<Services>) -> Result<Response, Problem> {
    let get = Get { table: Table::Identity, key: keys::jwks(), consistency: Consistency::Eventual };
    let item = services.ports.database.get(get).await.map_err(Error::from)?;
    let item = item.ok_or_else(|| Error::bug("the identity table holds no public keys"))?;
    // Parsed, so that nothing but public keys can leave by this route.
    let keys: JsonWebKeySet = item.json("document")?;
    Ok(([(CACHE_CONTROL, KEYS_CACHE)], Json(keys)).into_response())
}

async fn health(State(services): State<Services>) -> Json<Health> {
    Json(Health {
        status: "ok".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        stage: services.stage,
    })
}

async fn openapi_document(headers: HeaderMap) -> Result<Response, Problem> {
    let (document, tag) = DOCUMENT.as_ref().map_err(Error::bug)?.clone();
    if tag.is_known_to(&headers) {
        return Ok((StatusCode::NOT_MODIFIED, tag, ()).into_response());
    }
    Ok((tag, [(CONTENT_TYPE, "application/json")], document).into_response())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use axum::http::header::IF_NONE_MATCH;
    use serde_json::Value;
    use tillstream_app::database::Database;
    use tillstream_testkit::memory_database::MemoryDatabase;
    use tillstream_testkit::test_environment::TestEnvironment;
    use tillstream_testkit::tokens::TokenIssuer;
    use tower::ServiceExt;

    use super::*;

    async fn app(issuers: &[&TokenIssuer]) -> Router {
        let database = Arc::new(MemoryDatabase::new());
        if !issuers.is_empty() {
            database.write(TokenIssuer::publish(issuers)).await.unwrap();
        }
        router(Ports { database, environment: Arc::new(TestEnvironment::new(1)) }, "test")
    }

    async fn get_json(app: Router, path: &str) -> (Response<()>, Value) {
        let response = app.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        (Response::from_parts(parts, ()), serde_json::from_slice(&bytes).unwrap())
    }

    #[tokio::test]
    async fn keys_are_public_and_nothing_else_is() {
        let (a, b) = (TokenIssuer::new("a").unwrap(), TokenIssuer::new("b").unwrap());
        let (response, keys) = get_json(app(&[&a, &b]).await, "/.well-known/jwks.json").await;
        assert_eq!(response.headers()["cache-control"], KEYS_CACHE);
        assert_eq!(keys["keys"], serde_json::json!([a.jwk(), b.jwk()]));

        let mut private = a.jwk();
        private["d"] = "private".into();
        let database = Arc::new(MemoryDatabase::new());
        let document = serde_json::json!({"keys": [private]}).to_string();
        let item = tillstream_app::database::Item::new(&keys::jwks()).with("document", document);
        database.put_many(Table::Identity, vec![item]).await.unwrap();
        let ports = Ports { database, environment: Arc::new(TestEnvironment::new(1)) };
        let (_, keys) = get_json(router(ports, "test"), "/.well-known/jwks.json").await;
        assert_eq!(keys["keys"][0]["kid"], "a");
        assert!(!keys.to_string().contains("private"));
    }

    #[tokio::test]
    async fn without_keys_it_says_so_to_us_alone() {
        let (response, problem) = get_json(app(&[]).await, "/.well-known/jwks.json").await;
        assert_eq!((response.status().as_u16(), &problem["code"]), (500, &"internal".into()));
    }

    #[tokio::test]
    async fn health_and_unknown_routes() {
        let (response, health) = get_json(app(&[]).await, "/v1/health").await;
        assert_eq!((response.status().as_u16(), &health["stage"]), (200, &"test".into()));
        let (response, problem) = get_json(app(&[]).await, "/v2/anything").await;
        assert_eq!((response.status().as_u16(), &problem["code"]), (404, &"route_unknown".into()));
    }

    #[tokio::test]
    async fn the_document_is_served_once() {
        let app = app(&[]).await;
        let (response, document) = get_json(app.clone(), "/v1/openapi.json").await;
        assert!(document["paths"]["/v1/health"]["get"].is_object());
        let tag = response.headers()["etag"].clone();
        let request =
            Request::get("/v1/openapi.json").header(IF_NONE_MATCH, tag).body(Body::empty()).unwrap();
        assert_eq!(app.oneshot(request).await.unwrap().status(), 304);
    }
}
