//! The sample requests of this function, through its router.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::sync::Arc;

use analytics_api::{Services, router};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};
use tillstream_app::Ports;
use tillstream_app::aggregation::event::parse_event;
use tillstream_app::aggregation::fold::fold_batch;
use tillstream_app::catalog::items::location_item;
use tillstream_app::database::{Database, Table, Write};
use tillstream_app::environment::Environment;
use tillstream_app::tenancy::TenantScope;
use tillstream_runtime::auth::Authenticator;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::test_environment::TestEnvironment;
use tillstream_testkit::tokens::{AUDIENCE, Claims, ISSUER, TokenIssuer};
use tower::ServiceExt;

struct Fixture {
    router: Router,
    issuer: TokenIssuer,
    environment: Arc<TestEnvironment>,
}

impl Fixture {
    /// A store in which one sale of two lines was counted.
    async fn new() -> Self {
        let database: Arc<dyn Database> = Arc::new(MemoryDatabase::new());
        let environment = Arc::new(TestEnvironment::new(1));
        let ports = Ports { database: database.clone(), environment: environment.clone() };
        let issuer = TokenIssuer::new("key-1").unwrap();
        database.write(TokenIssuer::publish(&[&issuer])).await.unwrap();
        let location = serde_json::from_value(json!({
            "id": "s-uk-1", "kind": "store", "name": "London", "time_zone": "Europe/London",
            "currency": "GBP", "business_day_start": "00:00", "registers": ["r-1"], "version": 1,
        }))
        .unwrap();
        let item = location_item(&TenantScope::from_own_record("demo"), &location).unwrap();
        database.write(Write::Put { table: Table::Catalog, item, condition: None }).await.unwrap();
        let event = json!({
            "version": 1, "kind": "sale", "tenant_id": "demo", "order_id": "c-1", "order_version": 1,
            "lane": "s-uk-1/r-1", "number": 1, "occurred_at": "2010-12-01T08:26:00Z",
            "business_day": "2010-12-01", "hour_start": "2010-12-01T08:00:00Z", "offset_seconds": 0,
            "store_id": "s-uk-1", "register_id": "r-1", "employee_id": "e-7", "channel": "pos",
            "currency": "GBP",
            "detail": {
                "lines": [
                    {"sku": "85123A", "category": "hearts", "quantity": 6000, "gross": 1530, "discount": 0, "tax": 0},
                    {"sku": "71053", "quantity": 6000, "gross": 2034, "discount": 0, "tax": 0},
                ],
                "payments": [
                    {"tender": "card", "amount": 2000, "tip": 0}, {"tender": "cash", "amount": 1564, "tip": 0},
                ],
            },
        });
        let event = parse_event(event.to_string().as_bytes()).unwrap();
        assert!(fold_batch(&ports, vec![event]).await.is_empty());
        let authenticator =
            Authenticator::new(database, environment.clone() as Arc<dyn Environment>, ISSUER, AUDIENCE);
        Fixture { router: router(Services { ports }, Arc::new(authenticator)), issuer, environment }
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, HeaderMap, Value) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        (parts.status, parts.headers, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    fn get(&self, uri: &str, role: &str, headers: &[(&str, &str)]) -> Request<Body> {
        let claims = Claims::new("demo", &[role], self.environment.now());
        let token = self.issuer.token(&claims).unwrap();
        let request = Request::get(uri).header("authorization", format!("Bearer {token}"));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.body(Body::empty()).unwrap()
    }

    /// The sample's request, with a token that holds.
    fn sample(&self, name: &str) -> Request<Body> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events/analytics-api").join(name);
        let event: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap();
        let uri = format!("{}?{}", text("/rawPath"), text("/rawQueryString"));
        self.get(&uri, "analyst", &[("x-consistency-token", text("/headers/x-consistency-token"))])
    }
}

#[tokio::test]
async fn every_sample_is_answered() {
    let fixture = Fixture::new().await;
    let money = |amount: i64| json!({"amount": amount, "currency": "GBP"});
    for (name, bucket, group, net) in [
        ("dashboard.json", "2010-12-01T00:00:00+00:00", json!({}), 3_564),
        ("sales.json", "2010-12-01T08:00:00+00:00", json!({"payment_method": "card"}), 2_000),
        ("products.json", "2010-12-01T00:00:00+00:00", json!({"sku": "71053"}), 2_034),
        ("categories.json", "2010-12-01T00:00:00+00:00", json!({"category": null}), 2_034),
    ] {
        let (status, headers, body) = fixture.send(fixture.sample(name)).await;
        assert_eq!(status, 200, "{name}: {body}");
        assert_eq!(headers["x-consistency"], "satisfied");
        assert_eq!(headers["cache-control"], "private, no-cache");
        let row = &body["rows"][0];
        assert_eq!((&row["bucket"], &row["group"]), (&json!(bucket), &group), "{name}");
        assert_eq!(row["metrics"]["net_sales"], money(net), "{name}");
        assert_eq!(body["watermark"]["lanes"]["s-uk-1/r-1"], json!({"through": 1, "gaps": []}));
    }
}

#[tokio::test]
async fn the_metrics_have_their_public_names() {
    let fixture = Fixture::new().await;
    let (_, _, body) = fixture.send(fixture.sample("dashboard.json")).await;
    let gbp = |amount: i64| json!({"amount": amount, "currency": "GBP"});
    assert_eq!(
        body["rows"][0]["metrics"],
        json!({
            "gross_sales": gbp(3564), "discounts": gbp(0), "returns": gbp(0), "net_sales": gbp(3564),
            "tax": gbp(0), "tips": gbp(0), "orders": 1, "return_orders": 0, "units": 12,
            "average_order_value": gbp(3564), "units_per_order": "12",
        })
    );
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    let fixture = Fixture::new().await;
    let uri = "/v1/analytics/sales?from=2010-12-01&to=2010-12-01";
    let (_, headers, _) = fixture.send(fixture.get(uri, "analyst", &[])).await;
    assert!(headers.get("x-consistency").is_none());
    let tag = headers["etag"].to_str().unwrap().to_owned();
    fixture.environment.advance(std::time::Duration::from_secs(5));
    let again = fixture.get(uri, "analyst", &[("if-none-match", &tag)]);
    let (status, headers, body) = fixture.send(again).await;
    assert_eq!(
        (status, headers["etag"].to_str().unwrap(), body),
        (StatusCode::NOT_MODIFIED, tag.as_str(), Value::Null)
    );
    let other = fixture.get(
        "/v1/analytics/sales?from=2010-11-30&to=2010-11-30",
        "analyst",
        &[("if-none-match", &tag)],
    );
    assert_eq!(fixture.send(other).await.0, 200);
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let fixture = Fixture::new().await;
    for (uri, role, token, status, code) in [
        ("/v1/analytics/sales", "cashier", None, 403, "role_required"),
        ("/v1/analytics/sales?store_id=s-9", "analyst", None, 404, "store_not_found"),
        ("/v1/analytics/sales?granularity=minute", "analyst", None, 422, "query_invalid"),
        ("/v1/analytics/sales?colour=red", "analyst", None, 422, "query_invalid"),
        ("/v1/analytics/sales?from=2010-12-01", "analyst", None, 422, "range_incomplete"),
        ("/v1/analytics/products?limit=0", "analyst", None, 422, "limit_out_of_range"),
        ("/v1/analytics/products?cursor=x", "analyst", None, 400, "cursor_malformed"),
        ("/v1/analytics/dashboard?date=today", "analyst", None, 422, "time_malformed"),
        ("/v1/analytics/dashboard", "analyst", Some("r-1"), 400, "consistency_token_malformed"),
        ("/v1/analytics/nothing", "analyst", None, 404, "route_unknown"),
    ] {
        let headers: Vec<_> = token.iter().map(|token| ("x-consistency-token", *token)).collect();
        let (seen, headers, body) = fixture.send(fixture.get(uri, role, &headers)).await;
        assert_eq!((seen.as_u16(), body["code"].as_str()), (status, Some(code)), "{uri}: {body}");
        assert_eq!(headers["content-type"], "application/problem+json");
    }
    let uncounted = [("x-consistency-token", "s-uk-1/r-1:2")];
    let (status, headers, _) =
        fixture.send(fixture.get("/v1/analytics/dashboard", "operator", &uncounted)).await;
    assert_eq!((status.as_u16(), headers["x-consistency"].to_str().unwrap()), (200, "pending"));
}
