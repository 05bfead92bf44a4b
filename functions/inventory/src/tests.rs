//! The routes as a client meets them.

mod backorders;
mod lots;
mod purchasing;
mod reservations;
mod stock;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};
use tillstream_app::Ports;
use tillstream_app::catalog::items::product_item;
use tillstream_app::database::{Database, Table, Write};
use tillstream_app::environment::Environment;
use tillstream_app::stock::ledger;
use tillstream_app::tenancy::TenantScope;
use tillstream_app::tenant_rules::settings_item;
use tillstream_contracts::openapi;
use tillstream_domain::money::Currency;
use tillstream_domain::product::Product;
use tillstream_domain::quantity::Unit;
use tillstream_domain::tenant_settings::{BackorderSettings, TenantSettings};
use tillstream_runtime::auth::Authenticator;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::test_environment::TestEnvironment;
use tillstream_testkit::tokens::{AUDIENCE, Claims, ISSUER, TokenIssuer};
use tower::ServiceExt;

use super::*;

struct Api {
    router: Router,
    database: Arc<MemoryDatabase>,
    environment: Arc<TestEnvironment>,
    issuer: TokenIssuer,
}

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Reply {
    #[track_caller]
    fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    #[track_caller]
    fn refused(self, status: u16, code: &str) -> Value {
        assert_eq!((self.status.as_u16(), &self.body["code"]), (status, &json!(code)), "{}", self.body);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        self.body
    }

    fn replayed(&self) -> bool {
        self.headers.get("idempotent-replayed").is_some_and(|value| value == "true")
    }
}

impl Api {
    /// An API of a tenant `demo` with two stores, a warehouse, and a product.
    async fn new() -> Self {
        let environment = Arc::new(TestEnvironment::new(1));
        let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
        let issuer = TokenIssuer::new("k").unwrap();
        database.write(TokenIssuer::publish(&[&issuer])).await.unwrap();
        for sku in ["85123A", "BANK CHARGES"] {
            let product = Product {
                sku: sku.into(),
                name: "WHITE HANGING HEART".into(),
                unit_price: "2.55".parse().unwrap(),
                currency: Currency::GBP,
                stocked: true,
                unit: Unit::Piece,
                category: None,
                barcodes: vec![],
                attributes: Default::default(),
                tax_category: None,
                tax_exempt: false,
                discountable: true,
                modifiers: vec![],
                components: vec![],
                variant_of: None,
                sellable: true,
                lots: sku == "BANK CHARGES",
                version: 1,
            };
            let item = product_item(&TenantScope::from_own_record("demo"), &product).unwrap();
            database.write(Write::Put { table: Table::Catalog, item, condition: None }).await.unwrap();
        }
        let ports = Ports { database: database.clone(), environment: environment.clone() };
        let authenticator = Authenticator::new(database.clone(), environment.clone(), ISSUER, AUDIENCE);
        let router = router(Services { ports }, Arc::new(authenticator));
        let api = Api { router, database, environment, issuer };
        for (id, kind) in [("s-uk-1", "store"), ("s-uk-2", "store"), ("w-uk-1", "warehouse")] {
            api.post("/v1/locations", id, &location(id, kind)).await.expect(201);
        }
        api
    }

    fn token(&self, tenant: &str, role: &str, stores: &[&str]) -> String {
        let claims = Claims::new(tenant, &[role], self.environment.now()).with("stores", json!(stores));
        self.issuer.token(&claims).unwrap()
    }

    async fn send(&self, token: &str, method: &str, path: &str, key: &str, body: Option<&Value>) -> Reply {
        let mut request =
            Request::builder().method(method).uri(path).header("authorization", format!("Bearer {token}"));
        if !key.is_empty() {
            request = request.header("idempotency-key", key);
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.answer(request.body(body).unwrap()).await
    }

    async fn answer(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Reply { status: parts.status, headers: parts.headers, body }
    }

    fn operator(&self) -> String {
        self.token("demo", "operator", &["*"])
    }

    async fn get(&self, path: &str) -> Reply {
        self.send(&self.operator(), "GET", path, "", None).await
    }

    async fn post(&self, path: &str, key: &str, body: &Value) -> Reply {
        self.send(&self.operator(), "POST", path, key, Some(body)).await
    }

    async fn count(&self, location_id: &str, pieces: i64) -> Reply {
        self.post(
            "/v1/inventory/update",
            &format!("count-{location_id}-{pieces}"),
            &count(location_id, pieces),
        )
        .await
        .expect(200)
    }
}

fn location(id: &str, kind: &str) -> Value {
    json!({"id": id, "kind": kind, "name": id, "time_zone": "Europe/London", "currency": "GBP"})
}

fn count(location_id: &str, pieces: i64) -> Value {
    json!({"location_id": location_id, "sku": "85123A", "kind": "set", "quantity": pieces, "reason": "count"})
}

fn hold(location_id: &str, pieces: i64) -> Value {
    json!({"lines": [{"location_id": location_id, "sku": "85123A", "quantity": pieces}], "ttl_seconds": 900})
}

#[tokio::test]
async fn lists_and_locations() {
    let api = Api::new().await;
    api.count("s-uk-1", 10).await;
    api.count("w-uk-1", 4).await;
    let items = |reply: Reply| reply.body["items"].as_array().unwrap().len();
    assert_eq!(items(api.get("/v1/inventory").await.expect(200)), 2);
    assert_eq!(items(api.get("/v1/inventory?location_id=w-uk-1").await.expect(200)), 1);
    assert_eq!(items(api.get("/v1/inventory/85123A").await.expect(200)), 2);
    assert_eq!(items(api.get("/v1/inventory/BANK%20CHARGES").await.expect(200)), 0);
    assert_eq!(items(api.get("/v1/locations/w-uk-1/inventory").await.expect(200)), 1);
    assert_eq!(items(api.get("/v1/locations").await.expect(200)), 3);
    assert_eq!(items(api.get("/v1/warehouses").await.expect(200)), 1);
    assert_eq!(items(api.get("/v1/retail-locations").await.expect(200)), 2);
    assert_eq!(api.get("/v1/locations/s-uk-1").await.expect(200).headers["etag"], "\"1\"");
    api.get("/v1/locations/nowhere").await.refused(404, "location_not_found");
    api.get("/v1/inventory?colour=red").await.refused(422, "query_invalid");
    api.get("/v1/inventory?cursor=abc").await.refused(400, "cursor_malformed");
    api.get("/v1/inventory/movements?sku=85123A").await.refused(422, "query_invalid");
    let page = api.get("/v1/inventory?limit=1").await.expect(200).body;
    let cursor = page["next_cursor"].as_str().unwrap();
    let next = api.get(&format!("/v1/inventory?limit=1&cursor={cursor}")).await.expect(200).body;
    assert_eq!(next["items"][0]["location_id"], "w-uk-1");
    assert_eq!(next["next_cursor"], Value::Null);
    let again = api.post("/v1/locations", "s-uk-1", &location("s-uk-1", "store")).await.expect(201);
    assert!(again.replayed());
    api.post("/v1/locations", "other", &location("s-uk-1", "store")).await.refused(409, "location_exists");
}

#[tokio::test]
async fn roles_reach_and_tenants() {
    let api = Api::new().await;
    api.count("s-uk-1", 10).await;
    let (update, reserve) = ("/v1/inventory/update", "/v1/inventory/reserve");
    let as_role = |role| api.token("demo", role, &["*"]);
    for role in ["cashier", "franchise_owner", "analyst"] {
        let reply = api.send(&as_role(role), "POST", update, "k", Some(&count("s-uk-1", 1))).await;
        reply.refused(403, "role_required");
    }
    for role in ["franchise_owner", "analyst"] {
        let reply = api.send(&as_role(role), "POST", reserve, "k", Some(&hold("s-uk-1", 1))).await;
        reply.refused(403, "role_required");
        api.send(&as_role(role), "GET", "/v1/inventory", "", None).await.expect(200);
    }
    api.send(&as_role("cashier"), "POST", reserve, "k", Some(&hold("s-uk-1", 1))).await.expect(201);
    api.send(&as_role("warehouse_staff"), "POST", update, "k", Some(&count("s-uk-2", 1))).await.expect(200);
    api.send(&as_role("stranger"), "GET", "/v1/inventory", "", None).await.refused(403, "role_required");

    let second = api.token("demo", "store_manager", &["s-uk-2"]);
    for path in ["/v1/locations/s-uk-1", "/v1/locations/s-uk-1/inventory", "/v1/inventory/s-uk-1/85123A"] {
        api.send(&second, "GET", path, "", None).await.refused(403, "store_out_of_reach");
    }
    let list = api.send(&second, "GET", "/v1/locations", "", None).await.expect(200);
    assert_eq!(list.body["items"].as_array().unwrap().len(), 1);
    let all = api.send(&second, "GET", "/v1/inventory", "", None).await.expect(200);
    assert_eq!(all.body["items"][0]["location_id"], "s-uk-2");
    api.send(&second, "POST", update, "k2", Some(&count("s-uk-1", 1)))
        .await
        .refused(403, "store_out_of_reach");

    // Another tenant sees nothing of it, by any route.
    let other = api.token("other", "operator", &["*"]);
    for (path, status) in [
        ("/v1/locations/s-uk-1", 404),
        ("/v1/locations/s-uk-1/inventory", 404),
        ("/v1/inventory/85123A", 404),
        ("/v1/inventory/s-uk-1/85123A", 404),
        ("/v1/inventory/conservation?sku=85123A&location_id=s-uk-1", 404),
        ("/v1/inventory/movements?sku=85123A&location_id=s-uk-1", 404),
    ] {
        api.send(&other, "GET", path, "", None).await.expect(status);
    }
    for path in ["/v1/locations", "/v1/inventory"] {
        let reply = api.send(&other, "GET", path, "", None).await.expect(200);
        assert_eq!(reply.body["items"], json!([]), "{path}");
    }
    api.send(&other, "POST", reserve, "k", Some(&hold("s-uk-1", 1))).await.refused(404, "location_not_found");
}

#[tokio::test]
async fn what_is_malformed_is_named() {
    let api = Api::new().await;
    let path = "/v1/inventory/reserve";
    let operator = api.operator();
    api.send(&operator, "POST", path, "", Some(&hold("s-uk-1", 1)))
        .await
        .refused(400, "idempotency_key_missing");
    api.send(&operator, "POST", path, "k", None).await.refused(400, "json_malformed");
    let mut batch = count("s-uk-1", 1);
    batch["batch"] = "L-7".into();
    let refused = api.post("/v1/inventory/update", "k", &batch).await.refused(422, "field_invalid");
    assert_eq!(refused["errors"][0]["field"], "batch", "a field must not be accepted and ignored");
    let mut fraction = hold("s-uk-1", 1);
    fraction["lines"][0]["quantity"] = json!(1.5);
    let refused = api.post(path, "k", &fraction).await.refused(422, "field_invalid");
    assert_eq!(refused["errors"][0]["field"], "lines[0].quantity");
    api.send("rubbish", "GET", "/v1/inventory", "", None).await.expect(401);
}

/// The routes of this function in the document are those that the router has.
#[tokio::test]
async fn the_document_and_the_router_agree() {
    let api = Api::new().await;
    let mut found = 0;
    for (method, path) in openapi::routes() {
        let own = [
            "/v1/locations",
            "/v1/warehouses",
            "/v1/retail-locations",
            "/v1/inventory",
            "/v1/stock-movements",
            "/v1/suppliers",
            "/v1/purchase-orders",
        ];
        if !own.iter().any(|start| path.starts_with(start)) {
            continue;
        }
        found += 1;
        let path = path
            .replace("{id}", "x")
            .replace("{location_id}", "x")
            .replace("{sku}", "x")
            .replace("{lot}", "x");
        let reply = api.send(&api.operator(), method, &path, "k", None).await;
        let code = reply.body["code"].as_str().unwrap_or_default();
        assert!(!["route_unknown", "method_not_allowed"].contains(&code), "{method} {path}");
    }
    assert_eq!(found, 58);
}

/// The sample events are what the gateway sends: they reach their routes, and with a token do their work.
#[tokio::test]
async fn sample_events_work() {
    let api = Api::new().await;
    for (event, status) in [
        (include_str!("../../../events/inventory/update.json"), 200),
        (include_str!("../../../events/inventory/reserve.json"), 201),
        (include_str!("../../../events/inventory/get.json"), 200),
        (include_str!("../../../events/inventory/count-open.json"), 201),
        (include_str!("../../../events/inventory/count-record.json"), 200),
        (include_str!("../../../events/inventory/create-supplier.json"), 201),
        (include_str!("../../../events/inventory/order-goods.json"), 201),
        (include_str!("../../../events/inventory/receive-goods.json"), 200),
        (include_str!("../../../events/inventory/restock.json"), 200),
        (include_str!("../../../events/inventory/alerts.json"), 200),
        (include_str!("../../../events/inventory/lots.json"), 200),
        (include_str!("../../../events/inventory/suggestions.json"), 200),
        (include_str!("../../../events/inventory/turnover.json"), 200),
        // Nobody allowed it.
        (include_str!("../../../events/inventory/place-backorder.json"), 409),
        (include_str!("../../../events/inventory/list-backorders.json"), 200),
        (include_str!("../../../events/inventory/cancel-backorder.json"), 404),
    ] {
        let request = lambda_http::request::from_str(event).unwrap();
        let mut request = tillstream_runtime::http::request_of(request);
        let token = format!("Bearer {}", api.operator());
        request.headers_mut().insert("authorization", token.parse().unwrap());
        api.answer(request).await.expect(status);
    }
}
