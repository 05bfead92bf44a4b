//! Whole requests to every route of every function that answers them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Request, Uri};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};
use tillstream_app::Ports;
use tillstream_app::database::Database;
use tillstream_app::environment::Environment;
use tillstream_contracts::openapi;
use tillstream_runtime::auth::Authenticator;
use tillstream_runtime::http::request_of;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::memory_messaging::MemoryQueue;
use tillstream_testkit::test_environment::TestEnvironment;
use tillstream_testkit::tokens::{AUDIENCE, Claims, ISSUER, TokenIssuer};
use tower::ServiceExt;

use crate::alterations::{altered_json, altered_text, any_bytes, any_text, json_input};
use crate::{guarded_async, runtime, samples};

/// Which function answers what begins so; all else is for the last.
const ROUTES: &[(&str, &str)] = &[
    ("/v1/pos/", "pos-commands"),
    ("/v1/approvals", "pos-commands"),
    ("/v1/stored-value", "pos-commands"),
    ("/v1/orders", "orders"),
    ("/v1/documents", "orders"),
    ("/v1/sales", "orders"),
    ("/v1/shifts", "orders"),
    ("/v1/inventory", "inventory"),
    ("/v1/stock-movements", "inventory"),
    ("/v1/suppliers", "inventory"),
    ("/v1/purchase-orders", "inventory"),
    ("/v1/locations", "inventory"),
    ("/v1/warehouses", "inventory"),
    ("/v1/retail-locations", "inventory"),
    ("/v1/products", "catalog"),
    ("/v1/settings", "catalog"),
    ("/v1/analytics/", "analytics-api"),
    ("/v1/sync/", "hq-sync"),
    ("/v1/dispatch/", "dispatch-admin"),
];

struct Api {
    routers: BTreeMap<&'static str, Router>,
    token: String,
}

impl Api {
    /// All functions on tables with the stores, products, stock and a sale of the sample events.
    async fn new() -> Self {
        let environment = Arc::new(TestEnvironment::new(1));
        environment.set("2026-11-21T10:00:00Z".parse().unwrap());
        let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
        let issuer = TokenIssuer::new("k").unwrap();
        database.write(TokenIssuer::publish(&[&issuer])).await.unwrap();
        let token =
            issuer.token(&Claims::new("demo", &["operator", "integration"], environment.now())).unwrap();
        let ports = Ports { database: database.clone(), environment: environment.clone() };
        let auth = Arc::new(Authenticator::new(database, environment.clone(), ISSUER, AUDIENCE));
        let auth = || auth.clone();
        let queue = Arc::new(MemoryQueue::new(environment));
        let ports = || ports.clone();
        let routers = BTreeMap::from([
            ("pos-commands", pos_commands::router(pos_commands::Services { ports: ports() }, auth())),
            ("orders", orders::router(orders::Services { ports: ports() }, auth())),
            ("inventory", inventory::router(inventory::Services { ports: ports() }, auth())),
            ("catalog", catalog::router(catalog::Services { ports: ports() }, auth())),
            ("analytics-api", analytics_api::router(analytics_api::Services { ports: ports() }, auth())),
            ("hq-sync", hq_sync::router(hq_sync::Services { ports: ports() }, auth())),
            (
                "dispatch-admin",
                dispatch_admin::router(dispatch_admin::Services { ports: ports(), queue }, auth()),
            ),
            ("identity", identity::router(ports(), "test")),
        ]);
        let api = Api { routers, token };
        // Identity's too: the OpenAPI document is written when it is first asked for, once.
        for function in ["identity", "hq-sync", "inventory", "pos-commands"] {
            for event in samples::events(function) {
                let request = lambda_http::request::from_str(&event.to_string()).unwrap();
                api.answer(function, request_of(request)).await;
            }
        }
        api
    }

    /// Sends a request; fails where the answer is not one that a client can expect. Answers the status, and the
    /// problem of a refusal; what is answered else is not parsed: the OpenAPI document would take megabytes that no
    /// function uses.
    async fn answer(&self, function: &str, mut request: Request<Body>) -> (u16, Value) {
        let bearer = HeaderValue::from_str(&format!("Bearer {}", self.token)).unwrap();
        request.headers_mut().insert("authorization", bearer);
        let what = format!("{} {}", request.method(), request.uri());
        let (parts, body) = self.routers[function].clone().oneshot(request).await.unwrap().into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let status = parts.status.as_u16();
        if status < 400 {
            return (status, Value::Null);
        }
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        assert!(status < 500, "{what}: {status} {body}");
        assert_eq!(parts.headers[CONTENT_TYPE], "application/problem+json", "{what}");
        assert_eq!(body["status"], status, "{what}");
        assert!(body["code"].as_str().is_some_and(|code| !code.is_empty()), "{what}: {body}");
        (status, body)
    }
}

fn function_of(path: &str) -> &'static str {
    ROUTES.iter().find(|(start, _)| path.starts_with(start)).map_or("identity", |(_, function)| function)
}

/// Names of the query parameters of all routes.
fn parameters() -> Vec<String> {
    let document = serde_json::to_value(openapi::document()).unwrap();
    let operations = document["paths"].as_object().unwrap().values();
    let mut names: Vec<String> = operations
        .flat_map(|item| item.as_object().unwrap().values())
        .filter_map(|operation| operation["parameters"].as_array())
        .flatten()
        .filter(|parameter| parameter["in"] == "query")
        .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names.dedup();
    assert!(names.len() > 10, "{names:?}");
    names
}

fn value() -> impl Strategy<Value = String> {
    let valid = [
        "s-united-kingdom",
        "s-uk-1",
        "w-uk-1",
        "85123A",
        "2010-12-01",
        "2010-12-01T08:26:00Z",
        "hour",
        "week",
        "month",
        "store",
        "register",
        "product",
        "category",
        "net_sales",
        "previous_period",
        "1",
        "50",
        "200",
        "true",
        "completed",
        "dead",
        "pending",
        "hq",
        "warehouse",
    ];
    prop_oneof![
        4 => select(valid.to_vec()).prop_map(str::to_owned),
        2 => altered_text(valid.map(str::to_owned).to_vec()),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => any_text(),
    ]
}

fn query() -> impl Strategy<Value = String> {
    let name = prop_oneof![12 => select(parameters()), 1 => any_text()];
    prop_oneof![
        4 => vec((name, value()), 0..6).prop_map(|pairs| {
            form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
        }),
        // Anything that can stand in a query, well formed or not.
        1 => "[!$&-;=?-Z_a-z~%]{0,60}",
    ]
}

fn segment() -> impl Strategy<Value = String> {
    let known = [
        "s-united-kingdom",
        "85123A",
        "catalog",
        "inventory",
        "my-first",
        "my-first.receipt",
        "sh-1.x_report",
        "sh-1.z_report",
        "o-1.1",
    ];
    prop_oneof![
        3 => select(known.to_vec()).prop_map(str::to_owned),
        1 => any_text(),
        1 => any_bytes().prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
    ]
}

fn encoded(segment: &str) -> String {
    form_urlencoded::byte_serialize(segment.as_bytes()).collect::<String>().replace('+', "%20")
}

fn filled(template: &str, segments: &[String]) -> String {
    let mut segments = segments.iter();
    let parts: Vec<String> = template
        .split('/')
        .map(|part| if part.starts_with('{') { encoded(segments.next().unwrap()) } else { part.to_owned() })
        .collect();
    parts.join("/")
}

/// Bodies of every route that takes one.
fn bodies() -> Vec<Value> {
    let functions = ["pos-commands", "orders", "inventory", "catalog", "hq-sync", "dispatch-admin"];
    let mut bodies: Vec<Value> = functions.into_iter().flat_map(samples::json_bodies).collect();
    bodies.push(
        json!({"id": "s-9", "kind": "store", "name": "x", "time_zone": "Asia/Kolkata", "currency": "INR",
        "business_day_start": "04:30", "registers": ["r-1"], "capacity": 7}),
    );
    bodies.push(json!({"ttl_seconds": 60, "reason": "x", "status": "dead"}));
    bodies
}

/// Whether a gateway could have written it, as far as `lambda_http` relies on that and panics where it is
/// not so: paths begin with a slash, queries are of characters that a URI takes, and what is said to be
/// base64 is.
fn of_a_gateway(event: &Value) -> bool {
    let text = |name: &str| event[name].as_str();
    text("rawPath").is_none_or(|path| path.starts_with('/'))
        && text("rawQueryString").is_none_or(|query| format!("/?{query}").parse::<Uri>().is_ok())
        && (event["isBase64Encoded"] != true || text("body").is_none_or(|body| STANDARD.decode(body).is_ok()))
}

proptest! {
    #[test]
    fn every_request_is_answered_or_refused(
        route in any::<Index>(),
        segments in vec(segment(), 4),
        query in query(),
        key in of(prop_oneof![3 => "[a-z0-9]{1,20}", 1 => any_text()]),
        matching in of(prop_oneof![1 => Just("\"1\"".to_owned()), 1 => any_text()]),
        accept in of(prop_oneof![
            2 => altered_text(vec!["text/html;q=0.5, application/vnd.escpos;q=0.123, */*;q=0".to_owned()]),
            1 => any_text(),
        ]),
        body in json_input(bodies()),
    ) {
        let routes = openapi::routes();
        let (method, template) = route.get(&routes);
        let mut request = Request::builder().method(*method).uri(format!("{}?{query}", filled(template, &segments)));
        for (name, text) in [("idempotency-key", key), ("if-match", matching), ("accept", accept)] {
            if let Some(value) = text.and_then(|text| HeaderValue::from_bytes(text.as_bytes()).ok()) {
                request = request.header(name, value);
            }
        }
        let Ok(request) = request.body(Body::from(body.clone())) else { return Ok(()) };
        let api = runtime().block_on(Api::new());
        guarded_async(body.len() + query.len(), 400, api.answer(function_of(template), request));
    }

    /// As Lambda hands it over: an event of the gateway.
    #[test]
    fn every_event_of_the_gateway_is_answered_or_refused(
        function in select(vec!["pos-commands", "orders", "inventory", "catalog", "analytics-api", "hq-sync", "dispatch-admin", "identity"]),
        at in any::<Index>(),
        changes in altered_json(vec![json!({"rawPath": "/v1/x", "rawQueryString": "a=b", "body": "e30=", "isBase64Encoded": true,
            "headers": {"idempotency-key": "k"}, "pathParameters": {"id": "x"}, "queryStringParameters": {"a": "b"}})]),
    ) {
        let events = samples::events(function);
        let mut event = at.get(&events).clone();
        if let Ok(Value::Object(changes)) = serde_json::from_str(&changes) {
            event.as_object_mut().unwrap().extend(changes);
        }
        if !of_a_gateway(&event) {
            return Ok(());
        }
        let text = event.to_string();
        // What the runtime refuses never reaches a function.
        let Ok(request) = lambda_http::request::from_str(&text) else { return Ok(()) };
        let api = runtime().block_on(Api::new());
        guarded_async(text.len(), 400, api.answer(function, request_of(request)));
    }
}

#[test]
fn every_route_is_reached() {
    runtime().block_on(async {
        let api = Api::new().await;
        for (method, template) in openapi::routes() {
            let path = filled(&template, &["x".to_owned(), "x".to_owned()]);
            let request = Request::builder().method(method).uri(path).body(Body::from("{}")).unwrap();
            let (_, body) = api.answer(function_of(&template), request).await;
            assert!(
                !["route_unknown", "method_not_allowed"].contains(&body["code"].as_str().unwrap_or("")),
                "{method} {template}"
            );
        }
    });
}
