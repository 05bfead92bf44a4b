//! NDJSON feeds from HQ.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::{SignedDuration, Timestamp};
use tillstream_app::Ports;
use tillstream_app::sync::entities::Entity;
use tillstream_app::sync::status;
use tillstream_app::sync::upload::{Upload, upload};
use tillstream_contracts::sync::UploadQuery;
use tillstream_runtime::auth::Authenticator;
use tillstream_runtime::config::{self, Variable};
use tillstream_runtime::http::{self, Authenticated, Deadline, PathParams, QueryParams, RawBody};
use tillstream_runtime::{Problem, wide_event};

/// Name in logs and metrics.
pub const FUNCTION: &str = "hq-sync";

/// What it reads from its environment, beside what every function reads.
pub const VARIABLES: &[Variable] = &[
    config::CATALOG_TABLE,
    config::STOCK_TABLE,
    config::IDENTITY_TABLE,
    config::TOKEN_ISSUER,
    config::TOKEN_AUDIENCE,
];

/// Left of the function's time when an upload begins no further batch: one batch with its retries.
const BATCH_RESERVE: SignedDuration = SignedDuration::from_secs(8);
/// An upload's time where the runtime tells no deadline.
const UPLOAD_TIME: SignedDuration = SignedDuration::from_secs(20);

/// What its handlers need.
#[derive(Clone)]
pub struct Services {
    /// Tables, time and chance.
    pub ports: Ports,
}

/// Its routes.
pub fn router(services: Services, authenticator: Arc<Authenticator>) -> Router {
    let routes = Router::new()
        .route("/v1/sync/status", get(feed_status))
        .route("/v1/sync/{entity}", post(upload_feed));
    http::router(FUNCTION, routes, services, authenticator)
}

async fn upload_feed(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    PathParams(entity): PathParams<String>,
    QueryParams(query): QueryParams<UploadQuery>,
    Deadline(deadline): Deadline,
    RawBody(body): RawBody,
) -> Result<impl IntoResponse, Problem> {
    let entity = Entity::parse(&entity)?;
    let now = services.ports.environment.now();
    let deadline = match deadline {
        Some(deadline) => deadline.checked_sub(BATCH_RESERVE),
        None => now.checked_add(UPLOAD_TIME),
    };
    let deadline = deadline.unwrap_or(Timestamp::MAX);
    let call = Upload { entity, body: &body, from: query.from.unwrap_or(1), deadline };
    let reply = upload(&services.ports, &caller, call).await?;
    wide_event::note("feed", entity.name());
    wide_event::note("lines_applied", reply.applied);
    wide_event::note("lines_skipped", reply.skipped);
    wide_event::note("lines_failed", reply.failed);
    Ok(Json(reply))
}

async fn feed_status(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
) -> Result<impl IntoResponse, Problem> {
    Ok(Json(status::status(&services.ports, &caller).await?))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use axum::http::header::AUTHORIZATION;
    use axum::http::response::Parts;
    use serde_json::{Value, json};
    use tillstream_app::database::Database;
    use tillstream_app::environment::Environment;
    use tillstream_testkit::memory_database::MemoryDatabase;
    use tillstream_testkit::test_environment::TestEnvironment;
    use tillstream_testkit::tokens::{AUDIENCE, Claims, ISSUER, TokenIssuer};
    use tower::ServiceExt;

    use super::*;

    struct Service {
        app: Router,
        issuer: TokenIssuer,
        environment: Arc<TestEnvironment>,
    }

    async fn service() -> Service {
        let environment = Arc::new(TestEnvironment::new(1));
        let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
        let issuer = TokenIssuer::new("k").unwrap();
        database.write(TokenIssuer::publish(&[&issuer])).await.unwrap();
        let authenticator = Authenticator::new(database.clone(), environment.clone(), ISSUER, AUDIENCE);
        let ports = Ports { database, environment: environment.clone() };
        Service { app: router(Services { ports }, Arc::new(authenticator)), issuer, environment }
    }

    impl Service {
        async fn send(&self, role: &str, mut request: Request<Body>) -> (Parts, Value) {
            let claims = Claims::new("demo", &[role], self.environment.now());
            let token = format!("Bearer {}", self.issuer.token(&claims).unwrap());
            request.headers_mut().insert(AUTHORIZATION, token.parse().unwrap());
            let (parts, body) = self.app.clone().oneshot(request).await.unwrap().into_parts();
            let bytes = to_bytes(body, usize::MAX).await.unwrap();
            (parts, serde_json::from_slice(&bytes).unwrap())
        }

        /// A sample event as API Gateway sends it.
        async fn event(&self, role: &str, event: &str) -> (Parts, Value) {
            let request = lambda_http::request::from_str(event).unwrap();
            self.send(role, tillstream_runtime::http::request_of(request)).await
        }
    }

    #[tokio::test]
    async fn the_sample_events_are_answered() {
        let service = service().await;
        let event = |name: &'static str| match name {
            "catalog" => include_str!("../../../events/hq-sync/upload.json"),
            "bad" => include_str!("../../../events/hq-sync/upload-with-a-bad-line.json"),
            "locations" => include_str!("../../../events/hq-sync/upload-locations.json"),
            "inventory" => include_str!("../../../events/hq-sync/upload-inventory.json"),
            "prices" => include_str!("../../../events/hq-sync/upload-prices.json"),
            "templates" => include_str!("../../../events/hq-sync/upload-templates.json"),
            "categories" => include_str!("../../../events/hq-sync/upload-categories.json"),
            "tax rules" => include_str!("../../../events/hq-sync/upload-tax-rules.json"),
            "promotions" => include_str!("../../../events/hq-sync/upload-promotions.json"),
            "coupons" => include_str!("../../../events/hq-sync/upload-coupons.json"),
            "customers" => include_str!("../../../events/hq-sync/upload-customers.json"),
            "suppliers" => include_str!("../../../events/hq-sync/upload-suppliers.json"),
            _ => include_str!("../../../events/hq-sync/status.json"),
        };
        // Beside it: applied, skipped, failed.
        for (name, counts) in [
            ("bad", [2, 0, 1]),
            ("catalog", [0, 2, 0]),
            ("inventory", [0, 0, 1]),
            ("locations", [1, 0, 0]),
            ("inventory", [1, 0, 0]),
            ("prices", [1, 0, 0]),
            ("prices", [0, 1, 0]),
            ("templates", [1, 0, 0]),
            ("templates", [0, 1, 0]),
            ("categories", [2, 0, 0]),
            ("tax rules", [3, 0, 0]),
            ("promotions", [3, 0, 0]),
            ("coupons", [2, 0, 0]),
            ("coupons", [0, 2, 0]),
            ("customers", [2, 0, 0]),
            ("suppliers", [1, 0, 0]),
            ("suppliers", [0, 1, 0]),
        ] {
            let (parts, reply) = service.event("integration", event(name)).await;
            assert_eq!(parts.status, 200, "{reply}");
            let told = ["applied", "skipped", "failed"].map(|count| reply[count].as_u64().unwrap());
            assert_eq!(told, counts, "{name}: {reply}");
            assert_eq!(reply["next_from"], Value::Null);
            if name == "bad" {
                assert_eq!((&reply["errors"][0]["line"], &reply["unknown_fields"]), (&json!(2), &json!(1)));
            }
        }
        let (parts, status) = service.event("operator", event("status")).await;
        assert_eq!(parts.status, 200);
        let catalog = &status["items"][0];
        assert_eq!((&catalog["entity"], &catalog["parked"]), (&json!("catalog"), &json!(1)));
        assert_eq!((&catalog["checkpoint"], &catalog["lag_seconds"]), (&json!(2), &json!(0)));
        assert_eq!(catalog["last_error"]["code"], "line_not_json");
    }

    #[tokio::test]
    async fn refusals_are_problem_documents_with_their_status() {
        let service = service().await;
        let post = |path: &str| Request::post(path).body(Body::from("{}")).unwrap();
        let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
        let large =
            Request::post("/v1/sync/catalog").body(Body::from(vec![b' '; 4 * 1024 * 1024 + 1])).unwrap();
        for (role, request, status, code) in [
            ("store_manager", post("/v1/sync/catalog"), 403, "role_required"),
            ("integration", post("/v1/sync/weather"), 404, "unknown_entity"),
            ("integration", post("/v1/sync/catalog?from=0"), 422, "from_out_of_range"),
            ("integration", post("/v1/sync/catalog?from=x"), 422, "query_invalid"),
            ("integration", post("/v1/sync/catalog?form=1"), 422, "query_invalid"),
            ("integration", large, 413, "body_too_large"),
            ("cashier", get("/v1/sync/status"), 403, "role_required"),
        ] {
            let shown = format!("{} {}", request.method(), request.uri());
            let (parts, problem) = service.send(role, request).await;
            assert_eq!(
                (parts.status.as_u16(), &problem["code"]),
                (status, &json!(code)),
                "{shown}: {problem}"
            );
        }
        let anonymous = service.app.clone().oneshot(get("/v1/sync/status")).await.unwrap();
        assert_eq!(anonymous.status(), 401);
    }

    #[tokio::test]
    async fn an_upload_ends_before_the_function_does() {
        let service = service().await;
        let lines: String = (0..250)
            .map(|n| {
                let data = json!({"name": "A", "unit_price": "1", "currency": "GBP"});
                format!("{}\n", json!({"id": format!("A{n}"), "version": 1, "op": "upsert", "data": data}))
            })
            .collect();
        let mut request = Request::post("/v1/sync/catalog").body(Body::from(lines)).unwrap();
        let end = service.environment.now().checked_add(BATCH_RESERVE).unwrap();
        request.extensions_mut().insert(Deadline(Some(end)));
        let (_, reply) = service.send("integration", request).await;
        assert_eq!((&reply["applied"], &reply["next_from"]), (&json!(100), &json!(101)));
    }
}
