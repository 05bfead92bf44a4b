//! The routes as a client meets them.

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
async fn stock_goes_from_count_to_reservation_to_sale() {
    let api = Api::new().await;
    let counted = api.count("s-uk-1", 10).await;
    assert!(!counted.replayed());
    assert_eq!(
        counted.body,
        json!({"location_id": "s-uk-1", "sku": "85123A", "on_hand": 10, "reserved": 0, "available": 10,
            "incoming": 0, "in_transit": 0, "damaged": 0, "safety_stock": 0, "reorder_point": 0, "version": 1,
            "change": 10, "exception_opened": false})
    );
    let again = api.count("s-uk-1", 10).await;
    assert!(again.replayed());
    assert_eq!(again.body, counted.body);
    api.count("w-uk-1", 4).await;

    let held = api.post("/v1/inventory/reserve", "r", &hold("s-uk-1", 7)).await.expect(201);
    let replay = api.post("/v1/inventory/reserve", "r", &hold("s-uk-1", 7)).await.expect(201);
    assert!(replay.replayed() && !held.replayed());
    assert_eq!(replay.body, held.body);
    api.post("/v1/inventory/reserve", "r", &hold("s-uk-1", 6)).await.refused(422, "idempotency_key_reused");
    let refused =
        api.post("/v1/inventory/reserve", "r2", &hold("s-uk-1", 4)).await.refused(409, "insufficient_stock");
    assert_eq!(
        refused["lines"],
        json!([{"location_id": "s-uk-1", "sku": "85123A", "requested": 4, "available": 3, "incoming": 0,
            "expected": [], "elsewhere": [{"location_id": "w-uk-1", "available": 4}]}])
    );

    let path = format!("/v1/inventory/reservations/{}", held.body["reservation_id"].as_str().unwrap());
    assert_eq!(api.get(&path).await.expect(200).body["status"], "active");
    let extend = json!({"ttl_seconds": 1_800});
    api.post(&format!("{path}/extend"), "x", &extend).await.expect(200);
    assert!(api.post(&format!("{path}/extend"), "x", &extend).await.expect(200).replayed());
    let refused =
        api.post(&format!("{path}/commit"), "c", &json!({"quantity": 3})).await.refused(422, "field_invalid");
    assert_eq!(refused["errors"][0]["field"], "quantity");
    let part = json!({"lines": [{"location_id": "s-uk-1", "sku": "85123A", "quantity": 3}]});
    let sold = api.post(&format!("{path}/commit"), "p", &part).await.expect(200);
    assert_eq!((&sold.body["status"], &sold.body["lines"][0]["committed"]), (&json!("active"), &json!(3)));
    assert!(api.post(&format!("{path}/commit"), "p", &part).await.expect(200).replayed());
    let five = json!({"lines": [{"location_id": "s-uk-1", "sku": "85123A", "quantity": 5}]});
    let above = api.post(&format!("{path}/commit"), "c", &five).await.refused(409, "commit_above_held");
    assert_eq!((&above["lines"][0]["requested"], &above["lines"][0]["held"]), (&json!(5), &json!(4)));
    let operator = api.operator();
    let committed = api.send(&operator, "POST", &format!("{path}/commit"), "c", None).await.expect(200);
    assert_eq!(
        (&committed.body["status"], &committed.body["lines"][0]["committed"]),
        (&json!("committed"), &json!(7))
    );
    api.post(&format!("{path}/release"), "rel", &json!({})).await.refused(409, "reservation_not_active");

    let one = api.get("/v1/inventory/s-uk-1/85123A").await.expect(200);
    assert_eq!((&one.body["on_hand"], &one.body["version"]), (&json!(3), &json!(4)));
    assert_eq!(one.headers["etag"], "\"4\"");

    // What the relay does.
    for change in api.database.changes(Table::Stock, 0) {
        if let Some(row) = ledger::ledger_rows(change.old.as_ref(), change.new.as_ref()).unwrap() {
            let write = Write::Put { table: Table::Ledger, item: row, condition: None };
            api.database.write(write).await.unwrap();
        }
    }
    let names = "sku=85123A&location_id=s-uk-1";
    let movements = api.get(&format!("/v1/inventory/movements?{names}&limit=2")).await.expect(200).body;
    assert_eq!(movements["items"][0]["kind"], "commit");
    assert_eq!(
        movements["items"][0]["delta"],
        json!({"on_hand": -4, "reserved": -4, "damaged": 0, "in_transit": 0, "on_order": 0})
    );
    assert!(movements["next_cursor"].is_string());
    let proof = api.get(&format!("/v1/inventory/conservation?{names}")).await.expect(200).body;
    assert_eq!((&proof["holds"], &proof["seq_reached"]), (&json!(true), &json!(4)));
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
async fn an_exception_is_listed_and_resolved() {
    let api = Api::new().await;
    api.count("s-uk-1", 10).await;
    api.post("/v1/inventory/reserve", "r", &hold("s-uk-1", 8)).await.expect(201);
    api.count("s-uk-1", 5).await;
    let list = "/v1/inventory/exceptions?location_id=s-uk-1";
    let task = api.get(list).await.expect(200).body["items"][0].clone();
    let seen = [&task["kind"], &task["status"], &task["quantity"]];
    assert_eq!(seen, [&json!("below_promised"), &json!("open"), &json!(3)]);
    assert!(task.get("resolution").is_none() && task.get("order_id").is_none());
    let path = format!("/v1/inventory/exceptions/{}/resolve", task["exception_id"].as_str().unwrap());
    let body = json!({"reason": "found in the back room"});
    for role in ["cashier", "integration", "analyst"] {
        let token = api.token("demo", role, &["*"]);
        api.send(&token, "POST", &path, "k", Some(&body)).await.refused(403, "role_required");
    }
    let far = api.token("demo", "store_manager", &["s-uk-2"]);
    api.send(&far, "POST", &path, "k", Some(&body)).await.refused(403, "store_out_of_reach");
    api.send(&far, "GET", list, "", None).await.refused(403, "store_out_of_reach");
    api.post(&path, "", &body).await.refused(400, "idempotency_key_missing");
    api.post("/v1/inventory/exceptions/x-1/resolve", "k", &body).await.refused(404, "exception_not_found");
    api.get(&format!("{list}&status=lost")).await.refused(422, "query_invalid");
    let staff = api.token("demo", "warehouse_staff", &["*"]);
    let resolved = api.send(&staff, "POST", &path, "k", Some(&body)).await.expect(200);
    assert_eq!(resolved.body["resolution"]["reason"], "found in the back room");
    assert!(!resolved.replayed());
    assert!(api.send(&staff, "POST", &path, "k", Some(&body)).await.expect(200).replayed());
    api.post(&path, "l", &body).await.refused(409, "exception_resolved");
    assert_eq!(api.get(list).await.expect(200).body["items"], json!([]));
    let resolved = api.get(&format!("{list}&status=resolved")).await.expect(200).body;
    assert_eq!(resolved["items"][0]["exception_id"], task["exception_id"]);
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

/// A reservation that leaves open from where, over HTTP: chosen, repeated, refused with what is where.
#[tokio::test]
async fn a_reservation_chooses_its_locations() {
    let api = Api::new().await;
    let mut near = location("s-near", "store");
    near["latitude"] = json!(53_800_755);
    near["longitude"] = json!(-1_549_077);
    let made = api.post("/v1/locations", "s-near", &near).await.expect(201).body;
    assert_eq!((&made["latitude"], &made["longitude"]), (&json!(53_800_755), &json!(-1_549_077)));
    assert_eq!(made["stock"], Value::Null);
    api.count("s-near", 2).await;
    api.count("w-uk-1", 5).await;
    let path = "/v1/inventory/reserve";
    let wanted = |pieces: i64, sourcing: Value| json!({"lines": [{"sku": "85123A", "quantity": pieces}], "ttl_seconds": 900, "sourcing": sourcing});
    let priority = json!({"policy": "priority", "locations": ["s-near", "w-uk-1"]});
    let held = api.post(path, "k", &wanted(3, priority.clone())).await.expect(201);
    assert_eq!(
        held.body["lines"],
        json!([{"location_id": "w-uk-1", "sku": "85123A", "quantity": 3, "committed": 0}])
    );
    let again = api.post(path, "k", &wanted(3, priority.clone())).await.expect(201);
    assert!(again.replayed() && again.body == held.body);
    let nearest = json!({"policy": "nearest", "near": {"latitude": 53_000_000, "longitude": 0}});
    let held = api.post(path, "k2", &wanted(1, nearest)).await.expect(201).body;
    assert_eq!(held["lines"][0]["location_id"], "s-near");
    let refused = api.post(path, "k3", &wanted(3, priority.clone())).await.refused(409, "insufficient_stock");
    let at = |location_id: &str, available: i64| json!({"location_id": location_id, "available": available, "incoming": 0, "expected": []});
    assert_eq!(
        refused["lines"],
        json!([{"sku": "85123A", "requested": 3, "available": 3,
            "locations": [at("w-uk-1", 2), at("s-near", 1)]}])
    );
    assert_eq!(refused["errors"][0]["field"], "lines[0].quantity");
    for (sourcing, code, field) in [
        (json!({"policy": "priority", "locations": []}), "locations_out_of_range", "sourcing.locations"),
        (json!({"policy": "nearest"}), "near_required", "sourcing.near"),
        (json!({"policy": "cheapest"}), "field_invalid", "sourcing.policy"),
        (
            json!({"policy": "priority", "locations": ["s-near"], "split": true}),
            "field_invalid",
            "sourcing.split",
        ),
    ] {
        let refused = api.post(path, "k4", &wanted(1, sourcing)).await.refused(422, code);
        assert_eq!(refused["errors"][0]["field"], field);
    }
    let mut both = hold("s-near", 1);
    both["sourcing"] = priority.clone();
    api.post(path, "k4", &both).await.refused(422, "location_not_allowed");
    let mut neither = wanted(1, priority.clone());
    neither.as_object_mut().unwrap().remove("sourcing");
    api.post(path, "k4", &neither).await.refused(422, "location_required");
    let unknown = json!({"policy": "priority", "locations": ["s-none"]});
    api.post(path, "k4", &wanted(1, unknown)).await.refused(404, "location_not_found");
    let cashier = api.token("demo", "cashier", &["s-near"]);
    let out = api.send(&cashier, "POST", path, "k4", Some(&wanted(1, priority.clone()))).await;
    out.refused(403, "store_out_of_reach");
    let analyst = api.token("demo", "analyst", &["*"]);
    let out = api.send(&analyst, "POST", path, "k4", Some(&wanted(1, priority))).await;
    out.refused(403, "role_required");
}

/// What a location decides about its stock is shown with it, and in force where stock is reserved.
#[tokio::test]
async fn a_location_decides_about_stock_that_nobody_has_told() {
    let api = Api::new().await;
    let mut open = location("s-new", "store");
    open["stock"] = json!({"unsynced": "allow"});
    api.post("/v1/locations", "s-new", &open).await.expect(201);
    let shown = api.get("/v1/locations/s-new").await.expect(200).body;
    assert_eq!(shown["stock"], json!({"unsynced": "allow"}));
    api.post("/v1/inventory/reserve", "k", &hold("s-uk-1", 1)).await.refused(409, "insufficient_stock");
    api.post("/v1/inventory/reserve", "k", &hold("s-new", 1)).await.expect(201);
    let tasks = api.get("/v1/inventory/exceptions?location_id=s-new").await.expect(200).body;
    assert_eq!(
        (&tasks["items"][0]["kind"], &tasks["items"][0]["quantity"]),
        (&json!("unsynced_stock"), &json!(1))
    );
    let mut wrong = location("s-wrong", "store");
    wrong["stock"] = json!({"unsynced": "perhaps"});
    api.post("/v1/locations", "s-wrong", &wrong).await.refused(422, "field_invalid");
    // What is not built is not taken.
    wrong["stock"] = json!({"at_cart": "hold"});
    let refused = api.post("/v1/locations", "s-wrong", &wrong).await.refused(422, "field_invalid");
    let message = refused["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("hold") && message.contains("check"), "{refused}");
    wrong["stock"] = json!({"backorder": true});
    api.post("/v1/locations", "s-wrong", &wrong).await.refused(422, "field_invalid");
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
    assert_eq!(found, 57);
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

#[tokio::test]
async fn an_update_applies_to_the_version_it_was_decided_on() {
    let api = Api::new().await;
    let send = async |key: &str, tag: &str, pieces: i64| {
        let request = Request::builder()
            .method("POST")
            .uri("/v1/inventory/update")
            .header("authorization", format!("Bearer {}", api.operator()))
            .header("idempotency-key", key)
            .header("if-match", tag)
            .body(Body::from(count("s-uk-1", pieces).to_string()));
        api.answer(request.unwrap()).await
    };
    send("k-1", "*", 5).await.refused(412, "version_mismatch");
    send("k-1", "5", 5).await.refused(400, "if_match_malformed");
    api.count("s-uk-1", 5).await;
    let read = api.get("/v1/inventory/s-uk-1/85123A").await.expect(200);
    let tag = read.headers["etag"].to_str().unwrap().to_owned();
    let done = send("k-1", &tag, 7).await.expect(200);
    let new_tag = done.headers["etag"].to_str().unwrap().to_owned();
    assert_ne!(new_tag, tag);
    // The version it was decided on is gone by its own doing.
    assert!(send("k-1", &tag, 7).await.expect(200).replayed());
    send("k-2", &tag, 9).await.refused(412, "version_mismatch");
    assert_eq!(api.get("/v1/inventory/s-uk-1/85123A").await.body["on_hand"], 7);
    assert_eq!(api.get("/v1/inventory/s-uk-1/85123A").await.headers["etag"], new_tag.as_str());
    send("k-2", &new_tag, 9).await.expect(200);
}

/// Roles, preconditions, an empty receipt and replays of transfers, and a reader of the feed beside them.
#[tokio::test]
async fn transfers_and_what_changed() {
    let api = Api::new().await;
    api.count("w-uk-1", 10).await;
    let since = async |cursor: Option<&Value>| {
        let query = cursor.map_or_else(String::new, |at| format!("?since={}", at.as_str().unwrap()));
        api.get(&format!("/v1/inventory/updates{query}")).await.expect(200).body
    };
    let begin = since(None).await;
    assert_eq!((&begin["items"], &begin["has_more"]), (&json!([]), &json!(false)));
    let path = "/v1/stock-movements/transfer";
    let wanted = json!({"transfer_id": "t-1", "from_location_id": "w-uk-1", "to_location_id": "s-uk-1",
        "lines": [{"sku": "85123A", "quantity": 6}]});
    for role in ["analyst", "cashier"] {
        let token = api.token("demo", role, &["*"]);
        api.send(&token, "POST", path, "k", Some(&wanted)).await.refused(403, "role_required");
    }
    let elsewhere = api.token("demo", "store_manager", &["s-uk-1"]);
    api.send(&elsewhere, "POST", path, "k", Some(&wanted)).await.refused(403, "store_out_of_reach");
    api.post(path, "", &wanted).await.refused(400, "idempotency_key_missing");
    let shipped = api.post(path, "k", &wanted).await.expect(201);
    assert_eq!(
        (&shipped.headers["etag"], &shipped.body["status"]),
        (&"\"1\"".parse().unwrap(), &json!("in_transit"))
    );
    let again = api.post(path, "k", &wanted).await.expect(201);
    assert!(again.replayed() && !shipped.replayed());
    assert_eq!(again.body, shipped.body);

    let receive = format!("{path}/t-1/receive");
    let two = json!({"lines": [{"sku": "85123A", "quantity": 2}]});
    let if_match = async |version: &str, key: &str| {
        let request = Request::builder().method("POST").uri(&receive).header("if-match", version);
        let request = request.header("authorization", format!("Bearer {}", api.operator()));
        api.answer(request.header("idempotency-key", key).body(Body::from(two.to_string())).unwrap()).await
    };
    if_match("\"7\"", "r-1").await.refused(412, "version_mismatch");
    if_match("1", "r-1").await.refused(400, "if_match_malformed");
    if_match("\"1\"", "r-1").await.expect(200);
    // What took effect is answered again, though the version has moved on.
    assert!(if_match("\"1\"", "r-1").await.expect(200).replayed());
    // Who receives says nothing of what: all of it.
    let all = api.send(&elsewhere, "POST", &receive, "r-2", None).await.expect(200);
    assert_eq!((&all.body["status"], &all.body["version"]), (&json!("received"), &json!(3)));
    let cancel = json!({"reason": "late"});
    let closed = api.post(&format!("{path}/t-1/cancel"), "c", &cancel).await.refused(409, "transfer_closed");
    assert_eq!((&closed["status"], &closed["transfer_status"]), (&json!(409), &json!("received")));
    api.get(&format!("{path}/none")).await.refused(404, "transfer_not_found");

    // What the relay does: both ends changed.
    let changes = api.database.changes(Table::Stock, 0);
    let rows = changes.iter().filter_map(|c| ledger::ledger_rows(c.old.as_ref(), c.new.as_ref()).unwrap());
    let ports = Ports { database: api.database.clone(), environment: api.environment.clone() };
    ledger::record(&ports, rows.collect()).await.unwrap();
    let told = since(Some(&begin["next_since"])).await;
    let at = |n: usize| (told["items"][n]["location_id"].clone(), told["items"][n]["on_hand"].clone());
    assert_eq!([at(0), at(1)], [(json!("s-uk-1"), json!(6)), (json!("w-uk-1"), json!(4))]);
    let stranger = api.token("other", "operator", &["*"]);
    let foreign = format!("/v1/inventory/updates?since={}", told["next_since"].as_str().unwrap());
    api.send(&stranger, "GET", &foreign, "", None).await.refused(400, "cursor_malformed");
    api.get("/v1/inventory/updates?wait_seconds=21").await.refused(422, "wait_out_of_range");
}

/// Roles, preconditions, an empty close and replays of count sheets.
#[tokio::test]
async fn a_count_sheet_is_opened_counted_and_closed() {
    let api = Api::new().await;
    api.count("s-uk-1", 10).await;
    let path = "/v1/inventory/counts";
    let sheet = json!({"count_id": "n-1", "location_id": "s-uk-1", "skus": ["85123A"], "blind": true});
    let as_role = |role| api.token("demo", role, &["*"]);
    for role in ["cashier", "integration", "franchise_owner", "analyst"] {
        api.send(&as_role(role), "POST", path, "o", Some(&sheet)).await.refused(403, "role_required");
    }
    let far = api.token("demo", "warehouse_staff", &["s-uk-2"]);
    api.send(&far, "POST", path, "o", Some(&sheet)).await.refused(403, "store_out_of_reach");
    api.post(path, "", &sheet).await.refused(400, "idempotency_key_missing");
    let staff = as_role("warehouse_staff");
    let opened = api.send(&staff, "POST", path, "o", Some(&sheet)).await.expect(201);
    assert_eq!(opened.headers["etag"], "\"1\"");
    assert!(opened.body["lines"][0].get("book").is_none() && opened.body.get("variance").is_none());
    assert!(api.send(&staff, "POST", path, "o", Some(&sheet)).await.expect(201).replayed());

    let lines = format!("{path}/n-1/lines");
    let counted = json!({"lines": [{"sku": "85123A", "counted": 8}]});
    for role in ["integration", "franchise_owner", "analyst"] {
        api.send(&as_role(role), "POST", &lines, "r", Some(&counted)).await.refused(403, "role_required");
    }
    let cashier = as_role("cashier");
    let recorded = api.send(&cashier, "POST", &lines, "r", Some(&counted)).await.expect(200);
    assert_eq!(
        (&recorded.headers["etag"], &recorded.body["counted_lines"]),
        (&"\"2\"".parse().unwrap(), &json!(1))
    );
    let again = api.send(&cashier, "POST", &lines, "r", Some(&counted)).await.expect(200);
    assert!(again.replayed() && again.body == recorded.body);

    let close = format!("{path}/n-1/close");
    let cancel = format!("{path}/n-1/cancel");
    let why = json!({"reason": "late"});
    for role in ["cashier", "integration", "analyst"] {
        api.send(&as_role(role), "POST", &close, "c", None).await.refused(403, "role_required");
        api.send(&as_role(role), "POST", &cancel, "c", Some(&why)).await.refused(403, "role_required");
    }
    api.post(&close, "c", &json!({"reasons": "x"})).await.refused(422, "field_invalid");
    let if_match = async |version: &str| {
        let request = Request::builder().method("POST").uri(&close).header("if-match", version);
        let request = request.header("authorization", format!("Bearer {staff}"));
        api.answer(request.header("idempotency-key", "c").body(Body::empty()).unwrap()).await
    };
    if_match("\"1\"").await.refused(412, "version_mismatch");
    let closed = if_match("\"2\"").await.expect(200);
    assert_eq!(
        (&closed.body["status"], &closed.body["lines"][0]["corrected"]),
        (&json!("closed"), &json!(-2))
    );
    assert!(if_match("\"2\"").await.expect(200).replayed());
    api.post(&close, "d", &json!({})).await.refused(409, "count_closed");
    api.post(&cancel, "d", &why).await.refused(409, "count_closed");
    assert_eq!(api.get("/v1/inventory/s-uk-1/85123A").await.body["on_hand"], 8);
    assert_eq!(api.get(&format!("{path}/n-1")).await.expect(200).body["lines"][0]["book"], 10);
    api.get(&format!("{path}/n-2")).await.refused(404, "count_not_found");
    let list = format!("{path}?location_id=s-uk-1");
    assert_eq!(api.get(&list).await.expect(200).body["items"], json!([]));
    assert_eq!(
        api.get(&format!("{list}&state=closed")).await.expect(200).body["items"][0]["count_id"],
        "n-1"
    );
    api.get(&format!("{list}&state=lost")).await.refused(422, "query_invalid");
    let other = api.token("other", "operator", &["*"]);
    api.send(&other, "GET", &format!("{path}/n-1"), "", None).await.refused(404, "count_not_found");

    // A correction is of a difference; who may resolve may ask for one.
    let correct = "/v1/inventory/exceptions/x-1/correct";
    for role in ["cashier", "integration", "analyst"] {
        api.send(&as_role(role), "POST", correct, "k", Some(&why)).await.refused(403, "role_required");
    }
    api.send(&staff, "POST", correct, "k", Some(&why)).await.refused(404, "exception_not_found");
}

/// Roles, preconditions, replays and lists of suppliers and of orders from them, and what a refusal tells of them.
#[tokio::test]
async fn goods_are_ordered_received_and_expected() {
    let api = Api::new().await;
    let supplier = json!({"id": "sup-1", "name": "Candles Ltd", "lead_time_days": 7, "currency": "GBP",
        "over_delivery_percent": 10, "supplies": [{"sku": "85123A", "unit_cost": "1.10", "pack_size": 12}]});
    let staff = api.token("demo", "warehouse_staff", &["w-uk-1"]);
    let cashier = api.token("demo", "cashier", &["w-uk-1"]);
    api.send(&staff, "POST", "/v1/suppliers", "s", Some(&supplier)).await.refused(403, "role_required");
    let made = api.post("/v1/suppliers", "s", &supplier).await.expect(201);
    assert_eq!((&made.headers["etag"], &made.body["version"]), (&"\"1\"".parse().unwrap(), &json!(1)));
    assert!(api.post("/v1/suppliers", "s", &supplier).await.expect(201).replayed());
    api.post("/v1/suppliers", "s2", &supplier).await.refused(409, "supplier_exists");
    let one = "/v1/suppliers/sup-1";
    let put = async |tag: &str, key: &str, days: u64| {
        let mut body = supplier.clone();
        body["lead_time_days"] = days.into();
        let request = Request::builder().method("PUT").uri(one).header("if-match", tag);
        let request = request.header("authorization", format!("Bearer {}", api.operator()));
        api.answer(request.header("idempotency-key", key).body(Body::from(body.to_string())).unwrap()).await
    };
    put("\"7\"", "p", 9).await.refused(412, "version_mismatch");
    put("1", "p", 9).await.refused(400, "if_match_malformed");
    let changed = put("\"1\"", "p", 9).await.expect(200);
    assert_eq!((&changed.headers["etag"], changed.replayed()), (&"\"2\"".parse().unwrap(), false));
    assert!(put("\"1\"", "p", 9).await.expect(200).replayed());
    assert_eq!(api.send(&staff, "GET", one, "", None).await.expect(200).body, changed.body);
    api.send(&cashier, "GET", one, "", None).await.refused(403, "role_required");
    api.get("/v1/suppliers/none").await.refused(404, "supplier_not_found");
    let list = api.get("/v1/suppliers?limit=1").await.expect(200).body;
    assert_eq!((&list["items"][0]["supplies_count"], &list["next_cursor"]), (&json!(1), &Value::Null));
    let mut wrong = supplier.clone();
    wrong["rating"] = json!(5);
    assert_eq!(
        api.post("/v1/suppliers", "w", &wrong).await.refused(422, "field_invalid")["errors"][0]["field"],
        "rating"
    );

    let path = "/v1/purchase-orders";
    let mut order = json!({"purchase_order_id": "po-1", "supplier_id": "sup-1", "location_id": "w-uk-1",
        "expected_at": "2026-01-01T08:00", "lines": [{"sku": "85123A", "quantity": 10}]});
    let refused = api.post(path, "k", &order).await.refused(422, "field_invalid");
    assert_eq!(refused["errors"][0]["field"], "expected_at");
    order.as_object_mut().unwrap().remove("expected_at");
    api.send(&cashier, "POST", path, "k", Some(&order)).await.refused(403, "role_required");
    let far = api.token("demo", "store_manager", &["s-uk-1"]);
    api.send(&far, "POST", path, "k", Some(&order)).await.refused(403, "store_out_of_reach");
    api.post(path, "", &order).await.refused(400, "idempotency_key_missing");
    let placed = api.send(&staff, "POST", path, "k", Some(&order)).await.expect(201);
    assert_eq!(
        (&placed.headers["etag"], &placed.body["status"]),
        (&"\"1\"".parse().unwrap(), &json!("ordered"))
    );
    assert_eq!(placed.body["lines"][0]["unit_cost"], "1.10");
    let again = api.send(&staff, "POST", path, "k", Some(&order)).await.expect(201);
    assert!(again.replayed() && !placed.replayed());
    assert_eq!(again.body, placed.body);

    let level = api.get("/v1/inventory/w-uk-1/85123A").await.expect(200).body;
    assert_eq!((&level["incoming"], &level["available"]), (&json!(10), &json!(0)));
    let short =
        api.post("/v1/inventory/reserve", "v", &hold("w-uk-1", 1)).await.refused(409, "insufficient_stock");
    let line = &short["lines"][0];
    assert_eq!(line["incoming"], 10);
    assert_eq!(line["expected"], json!([{"quantity": 10, "at": placed.body["expected_at"]}]));

    let receive = format!("{path}/po-1/receive");
    let some = |pieces: i64| json!({"lines": [{"sku": "85123A", "quantity": pieces, "damaged": 1}]});
    let above = api.post(&receive, "r", &some(11)).await.refused(409, "over_delivery");
    assert_eq!((&above["bound"], &above["sku"]), (&json!(11), &json!("85123A")));
    let if_match = async |tag: &str| {
        let request = Request::builder().method("POST").uri(&receive).header("if-match", tag);
        let request = request.header("authorization", format!("Bearer {staff}"));
        api.answer(request.header("idempotency-key", "r").body(Body::from(some(2).to_string())).unwrap())
            .await
    };
    if_match("\"7\"").await.refused(412, "version_mismatch");
    if_match("\"1\"").await.expect(200);
    assert!(if_match("\"1\"").await.expect(200).replayed());
    let reason = json!({"reason": "gone bankrupt"});
    api.post(&format!("{path}/po-1/cancel"), "c", &reason)
        .await
        .refused(409, "purchase_order_not_cancellable");
    api.post(&format!("{path}/po-1/close"), "c", &json!({})).await.refused(422, "field_invalid");
    let open = format!("{path}?location_id=w-uk-1");
    assert_eq!(api.get(&open).await.expect(200).body["items"][0]["status"], "partly_received");
    // Who receives says nothing of what: all of it.
    let all = api.send(&staff, "POST", &receive, "r-2", None).await.expect(200);
    assert_eq!((&all.body["status"], &all.body["version"]), (&json!("received"), &json!(3)));
    let late =
        api.post(&format!("{path}/po-1/close"), "c", &reason).await.refused(409, "purchase_order_closed");
    assert_eq!((&late["status"], &late["purchase_order_status"]), (&json!(409), &json!("received")));
    assert_eq!(api.get(&open).await.expect(200).body["items"], json!([]));
    let closed = format!("{path}?supplier_id=sup-1&state=closed");
    assert_eq!(api.get(&closed).await.expect(200).body["items"][0]["purchase_order_id"], "po-1");
    api.get(path).await.refused(422, "location_or_supplier_missing");
    api.get(&format!("{open}&state=lost")).await.refused(422, "query_invalid");
    let read = api.get(&format!("{path}/po-1")).await.expect(200);
    assert_eq!(
        (&read.headers["etag"], &read.body["steps"][1]["lines"][0]["damaged"]),
        (&"\"3\"".parse().unwrap(), &json!(1))
    );
    api.get(&format!("{path}/none")).await.refused(404, "purchase_order_not_found");
    let stranger = api.token("other", "operator", &["*"]);
    api.send(&stranger, "GET", &format!("{path}/po-1"), "", None)
        .await
        .refused(404, "purchase_order_not_found");

    let delivery = json!({"location_id": "s-uk-1", "sku": "85123A", "quantity": 5, "supplier_id": "sup-1"});
    api.send(&cashier, "POST", "/v1/inventory/restock", "d", Some(&delivery))
        .await
        .refused(403, "role_required");
    let restocked = api.post("/v1/inventory/restock", "d", &delivery).await.expect(200);
    assert_eq!((&restocked.body["on_hand"], &restocked.body["change"]), (&json!(5), &json!(5)));
    assert_eq!(restocked.headers["etag"], "\"1\"");
    assert!(api.post("/v1/inventory/restock", "d", &delivery).await.expect(200).replayed());
}

#[tokio::test]
async fn customers_wait_and_are_served() {
    let api = Api::new().await;
    let path = "/v1/inventory/backorders";
    let wanted = json!({"backorder_id": "b-1", "location_id": "s-uk-1", "sku": "85123A", "quantity": 3,
        "customer_id": "cu-1"});
    api.post(path, "k", &wanted).await.refused(409, "backorders_not_allowed");
    let scope = TenantScope::from_own_record("demo");
    let backorders = BackorderSettings { allowed: true, ..BackorderSettings::default() };
    let settings = TenantSettings { backorders, ..TenantSettings::default() };
    let item = settings_item(&scope, &settings).unwrap();
    api.database.write(Write::Put { table: Table::Catalog, item, condition: None }).await.unwrap();
    // What a process remembers of settings is in force for a while.
    api.environment.advance(std::time::Duration::from_secs(16));

    let as_role = |role| api.token("demo", role, &["s-uk-1"]);
    for role in ["analyst", "franchise_owner"] {
        api.send(&as_role(role), "POST", path, "k", Some(&wanted)).await.refused(403, "role_required");
    }
    let far = api.token("demo", "cashier", &["s-uk-2"]);
    api.send(&far, "POST", path, "k", Some(&wanted)).await.refused(403, "store_out_of_reach");
    api.post(path, "", &wanted).await.refused(400, "idempotency_key_missing");
    let mut wrong = wanted.clone();
    wrong["needed_by"] = json!("2027-01-01");
    let refused = api.post(path, "k", &wrong).await.refused(422, "field_invalid");
    assert_eq!(refused["errors"][0]["field"], "needed_by");
    let mut more = wanted.clone();
    more["priority"] = json!(1);
    api.post(path, "k", &more).await.refused(422, "field_invalid");
    let cashier = as_role("cashier");
    let placed = api.send(&cashier, "POST", path, "k", Some(&wanted)).await.expect(201);
    assert_eq!((&placed.body["status"], &placed.body["number"]), (&json!("waiting"), &json!(1)));
    assert_eq!((&placed.headers["etag"], placed.replayed()), (&"\"1\"".parse().unwrap(), false));
    let again = api.send(&cashier, "POST", path, "k", Some(&wanted)).await.expect(201);
    assert!(again.replayed());
    assert_eq!(again.body, placed.body);
    let level = api.get("/v1/inventory/s-uk-1/85123A").await.expect(200).body;
    assert_eq!((&level["backordered"], &level["available"]), (&json!(3), &json!(0)));
    let list = api.get(&format!("{path}?location_id=s-uk-1&sku=85123A")).await.expect(200).body;
    assert_eq!(list["items"][0]["backorder_id"], "b-1");
    api.get(path).await.refused(422, "query_invalid");
    api.get(&format!("{path}?location_id=s-uk-1&state=lost")).await.refused(422, "query_invalid");
    api.send(&far, "GET", &format!("{path}/b-1"), "", None).await.refused(403, "store_out_of_reach");
    let stranger = api.token("other", "operator", &["*"]);
    api.send(&stranger, "GET", &format!("{path}/b-1"), "", None).await.refused(404, "backorder_not_found");

    // What the relay does.
    api.count("s-uk-1", 4).await;
    let ports = Ports { database: api.database.clone(), environment: api.environment.clone() };
    let what = ("s-uk-1", "85123A");
    let now = api.environment.now();
    assert_eq!(tillstream_app::stock::backorders::serve(&ports, &scope, what, now).await.unwrap(), 1);
    let one = api.get(&format!("{path}/b-1")).await.expect(200);
    assert_eq!((&one.body["status"], &one.headers["etag"]), (&json!("reserved"), &"\"2\"".parse().unwrap()));
    let held = one.body["reservation_id"].as_str().unwrap();
    let held = api.get(&format!("/v1/inventory/reservations/{held}")).await.expect(200).body;
    assert_eq!((&held["lines"][0]["quantity"], &held["expires_at"]), (&json!(3), &one.body["expires_at"]));
    assert_eq!(api.get("/v1/inventory/s-uk-1/85123A").await.expect(200).body.get("backordered"), None);

    let cancel = format!("{path}/b-1/cancel");
    let if_match = async |tag: &str| {
        let request = Request::builder().method("POST").uri(&cancel).header("if-match", tag);
        let request = request.header("authorization", format!("Bearer {cashier}"));
        api.answer(request.header("idempotency-key", "c").body(Body::empty()).unwrap()).await
    };
    if_match("\"1\"").await.refused(412, "version_mismatch");
    let cancelled = if_match("\"2\"").await.expect(200);
    assert_eq!((&cancelled.body["status"], &cancelled.body["version"]), (&json!("cancelled"), &json!(3)));
    assert!(if_match("\"2\"").await.expect(200).replayed());
    let over = api.post(&cancel, "c2", &json!({"reason": "x"})).await.refused(409, "backorder_over");
    assert_eq!(over["backorder_status"], "cancelled");
    api.post(&cancel, "c3", &json!({"why": "x"})).await.refused(422, "field_invalid");
    api.post(&format!("{path}/none/cancel"), "c", &json!({})).await.refused(404, "backorder_not_found");
    let closed = api.get(&format!("{path}?location_id=s-uk-1&state=closed")).await.expect(200).body;
    assert_eq!(closed["items"][0]["status"], "cancelled");
}

#[tokio::test]
async fn what_is_low_is_listed_and_what_to_order_is_suggested() {
    let api = Api::new().await;
    api.count("w-uk-1", 4).await;
    let scope = TenantScope::from_own_record("demo");
    let changes = vec![tillstream_app::database::Change::Set("reorder_point", 10_000.into())];
    let key = scope.stock("w-uk-1", "85123A");
    api.database.write(Write::Update { table: Table::Stock, key, changes, condition: None }).await.unwrap();
    let ports = Ports { database: api.database.clone(), environment: api.environment.clone() };
    let (what, hint) = (("w-uk-1", "85123A"), tillstream_app::stock::alerts::Hint::Crossed);
    let now = api.environment.now();
    assert!(tillstream_app::stock::alerts::settle(&ports, &scope, what, hint, now).await.unwrap());
    let alerts = "/v1/inventory/alerts?location_id=w-uk-1";
    let list = api.get(alerts).await.expect(200).body;
    let low = &list["items"][0];
    assert_eq!(
        (&low["level"], &low["available"], &low["reorder_point"]),
        (&json!("low"), &json!(4), &json!(10))
    );
    assert_eq!(api.get(&format!("{alerts}&state=closed")).await.expect(200).body["items"], json!([]));
    api.get(&format!("{alerts}&state=lost")).await.refused(422, "query_invalid");
    api.get("/v1/inventory/alerts").await.refused(422, "query_invalid");
    let far = api.token("demo", "store_manager", &["s-uk-1"]);
    api.send(&far, "GET", alerts, "", None).await.refused(403, "store_out_of_reach");

    let suggestions = "/v1/inventory/suggestions?location_id=w-uk-1";
    let page = api.get(&format!("{suggestions}&days=14")).await.expect(200).body;
    assert_eq!((&page["days"], &page["review_days"]), (&json!(14), &json!(7)));
    let one = &page["items"][0];
    assert_eq!((&one["quantity"], &one["target"], &one["position"]), (&json!(6), &json!(10), &json!(4)));
    assert!(one.get("supplier_id").is_none());
    let cashier = api.token("demo", "cashier", &["*"]);
    api.send(&cashier, "GET", suggestions, "", None).await.refused(403, "role_required");
    api.send(&far, "GET", suggestions, "", None).await.refused(403, "store_out_of_reach");
    api.get(&format!("{suggestions}&days=0")).await.refused(422, "days_out_of_range");
    api.get(&format!("{suggestions}&days=x")).await.refused(422, "query_invalid");
}

#[tokio::test]
async fn a_lot_comes_in_and_is_recalled() {
    let api = Api::new().await;
    let delivery = json!({"location_id": "s-uk-1", "sku": "BANK CHARGES", "quantity": 5, "lot": "L-1",
        "expires_on": "2099-12-31"});
    let came = api.post("/v1/inventory/restock", "d", &delivery).await.expect(200);
    assert_eq!((&came.body["on_hand"], came.body.get("quarantined")), (&json!(5), None));
    let listed = api.get("/v1/inventory/lots?sku=BANK%20CHARGES").await.expect(200);
    let there = json!({"location_id": "s-uk-1", "sku": "BANK CHARGES", "lot_id": "L-1", "expires_on": "2099-12-31",
        "status": "sellable", "received_at": listed.body["items"][0]["received_at"], "on_hand": 5, "quarantined": 0});
    assert_eq!(listed.body, json!({"items": [there], "next_cursor": null}));
    api.get("/v1/inventory/lots").await.refused(422, "query_invalid");
    let write_off = json!({"location_id": "s-uk-1", "sku": "BANK CHARGES", "kind": "delta", "quantity": -1,
        "reason": "broken", "lot": "L-1"});
    assert_eq!(api.post("/v1/inventory/update", "w", &write_off).await.expect(200).body["change"], -1);
    let other = json!({"location_id": "s-uk-1", "sku": "85123A", "quantity": 1, "lot": "L-1"});
    api.post("/v1/inventory/restock", "o", &other).await.refused(422, "sku_without_lots");
    let why = json!({"reason": "recalled by the maker"});
    let recall = "/v1/inventory/lots/L-1/quarantine";
    api.post(recall, "", &why).await.refused(400, "idempotency_key_missing");
    api.post(recall, "q", &json!({})).await.refused(422, "field_invalid");
    api.post("/v1/inventory/lots/L-9/quarantine", "q", &why).await.refused(404, "lot_not_found");
    let cashier = api.token("demo", "cashier", &["*"]);
    api.send(&cashier, "POST", recall, "q", Some(&why)).await.refused(403, "role_required");
    let manager = api.token("demo", "store_manager", &["s-uk-1"]);
    api.send(&manager, "POST", recall, "q", Some(&why)).await.refused(403, "all_stores_required");
    let recalled = api.post(recall, "q", &why).await.expect(200);
    assert_eq!((&recalled.body["status"], &recalled.body["version"]), (&json!("quarantined"), &json!(2)));
    let again = api.post(recall, "q", &why).await.expect(200);
    assert!(again.replayed() && !recalled.replayed() && again.body == recalled.body);
    let level = api.get("/v1/inventory/s-uk-1/BANK%20CHARGES").await.expect(200);
    assert_eq!((&level.body["available"], &level.body["quarantined"]), (&json!(0), &json!(4)));
    let one = api.get("/v1/inventory/lots/L-1").await.expect(200);
    assert_eq!(
        (&one.body["status"], &one.body["locations"][0]["quarantined"]),
        (&json!("quarantined"), &json!(4))
    );
    assert_eq!(one.headers["etag"], recalled.headers["etag"]);
    let sold = api.get("/v1/inventory/lots/L-1/orders").await.expect(200);
    assert_eq!(sold.body, json!({"items": [], "next_cursor": null}));
    api.get("/v1/inventory/lots/L-9/orders").await.refused(404, "lot_not_found");
    let release = "/v1/inventory/lots/L-1/release";
    assert_eq!(api.post(release, "f", &why).await.expect(200).body["status"], "sellable");
    api.post(release, "f-2", &why).await.refused(409, "lot_status_same");
}
