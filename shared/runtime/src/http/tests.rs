use axum::body::{Body, to_bytes};
use axum::http::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use tillstream_app::database::Database;
use tillstream_app::environment::Environment;
use tillstream_app::{Error, Refusal};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::test_environment::TestEnvironment;
use tillstream_testkit::tokens::{AUDIENCE, Claims, ISSUER, TokenIssuer};
use tower::ServiceExt;

use super::etag::{EntityTag, IfMatch};
use super::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    sku: String,
    quantity: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    lines: Vec<Line>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    limit: Option<u32>,
}

async fn order(JsonBody(order): JsonBody<Order>) -> axum::Json<Value> {
    axum::Json(json!(order.lines.iter().map(|line| (&line.sku, line.quantity)).collect::<Vec<_>>()))
}

async fn failing(PathParams(kind): PathParams<String>) -> Result<(), Problem> {
    Err(match kind.as_str() {
        "refused" => Refusal::conflict("insufficient_stock", "2 left").with_extra("available", 2).into(),
        "contended" => Error::Conflict("eight times".to_owned()),
        "away" => Error::Retryable { reason: "throttled".to_owned(), after: Duration::from_millis(1_500) },
        "limited" => Refusal::new(tillstream_app::RefusalKind::TooMany, "too_many", "slow down").into(),
        "panic" => panic!("secret innards"),
        _ => Error::bug("secret innards"),
    }
    .into())
}

async fn app() -> (Router, TokenIssuer, TestEnvironment) {
    let issuer = TokenIssuer::new("key-1").unwrap();
    let database = Arc::new(MemoryDatabase::new());
    database.write(TokenIssuer::publish(&[&issuer])).await.unwrap();
    let authenticator =
        Arc::new(Authenticator::new(database, Arc::new(TestEnvironment::new(1)), ISSUER, AUDIENCE));
    let routes = Router::new()
        .route("/v1/order", post(order))
        .route(
            "/v1/page",
            get(|QueryParams(page): QueryParams<Page>| async move { format!("{:?}", page.limit) }),
        )
        .route("/v1/key", post(|IdempotencyKey(key): IdempotencyKey| async { (Replayed(true), key) }))
        .route("/v1/me", get(|Authenticated(caller): Authenticated| async { caller.subject }))
        .route("/v1/fail/{kind}", get(failing))
        .route(
            "/v1/versioned",
            get(|| async { (EntityTag::of_version(7), "seven") })
                .put(|version: IfMatch| async move { version.check(Some(7)).map_err(Problem::from) }),
        );
    (router("test", routes, (), authenticator), issuer, TestEnvironment::new(1))
}

async fn send(request: Request<Body>) -> Response {
    app().await.0.oneshot(request).await.unwrap()
}

async fn text(response: Response) -> String {
    String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap()
}

async fn problem(response: Response, status: u16, code: &str) -> Value {
    assert_eq!(response.status().as_u16(), status);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let document: Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!((document["status"].as_u64(), document["code"].as_str()), (Some(status.into()), Some(code)));
    for member in ["type", "title", "detail", "instance"] {
        assert!(document[member].is_string(), "{member}");
    }
    document
}

fn posted(path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path).body(body.into()).unwrap()
}

fn got(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_body_is_read_whatever_its_media_type() {
    for media in [None, Some("text/plain"), Some("application/json; charset=utf-8")] {
        let mut request = posted("/v1/order", r#"{"lines":[{"sku":"a","quantity":1}]}"#);
        if let Some(media) = media {
            request.headers_mut().insert("content-type", media.parse().unwrap());
        }
        assert_eq!(text(send(request).await).await, r#"[["a",1]]"#);
    }
}

#[tokio::test]
async fn a_wrong_body_is_refused_by_field() {
    for bad in ["", "{", "[1]]", r#"{"lines":7}}"#, "nonsense", "\u{0}", r#"{"lines":[]} x"#] {
        problem(send(posted("/v1/order", bad)).await, 400, "json_malformed").await;
    }
    problem(send(posted("/v1/order", vec![0xff, 0xfe])).await, 400, "json_malformed").await;
    let deep = "[".repeat(100_000);
    problem(send(posted("/v1/order", deep)).await, 400, "json_malformed").await;
    for (body, field) in [
        (r#"{"lines":[{"sku":"a","quantity":1},{"sku":"b","quantity":-1}]}"#, "lines[1].quantity"),
        (r#"{"lines":[{"sku":"a"}]}"#, "lines[0].quantity"),
        (r#"{"lines":[{"sku":"a","quantity":1,"colour":"red"}]}"#, "lines[0].colour"),
        (r#"{"lines":7}"#, "lines"),
        (r#"{}"#, "lines"),
        (r#"{"lines":[],"x":1}"#, "x"),
        (r#"{"lines":[],"lines":[]}"#, "lines"),
        (r#"7"#, "body"),
    ] {
        let document = problem(send(posted("/v1/order", body)).await, 422, "field_invalid").await;
        assert_eq!(document["errors"][0]["field"], field, "{body}: {document}");
        assert!(!document["errors"][0]["message"].as_str().unwrap().contains("at line"));
    }
}

#[tokio::test]
async fn four_megabytes_are_the_limit() {
    let padded = |length: usize| {
        let body = r#"{"lines":[]}"#;
        format!("{body}{}", " ".repeat(length - body.len()))
    };
    assert_eq!(send(posted("/v1/order", padded(BODY_BYTES_MAX))).await.status(), 200);
    problem(send(posted("/v1/order", padded(BODY_BYTES_MAX + 1))).await, 413, "body_too_large").await;
}

#[tokio::test]
async fn a_compressed_body_is_refused_as_such() {
    for (encoding, status) in [("gzip", 415), ("br", 415), ("identity", 200)] {
        let mut request = posted("/v1/order", r#"{"lines":[]}"#);
        request.headers_mut().insert("content-encoding", encoding.parse().unwrap());
        let response = send(request).await;
        assert_eq!(response.status(), status, "{encoding}");
        if status == 415 {
            problem(response, 415, "content_encoding_unsupported").await;
        }
    }
}

#[tokio::test]
async fn query_parameters_are_checked() {
    assert_eq!(text(send(got("/v1/page?limit=5")).await).await, "Some(5)");
    assert_eq!(text(send(got("/v1/page")).await).await, "None");
    for (query, field) in [("limit=x", "limit"), ("limit=1&limit=2", "limit"), ("size=1", "size")] {
        let document = problem(send(got(&format!("/v1/page?{query}"))).await, 422, "query_invalid").await;
        assert_eq!(document["errors"][0]["field"], field, "{document}");
    }
}

#[tokio::test]
async fn an_idempotency_key_is_needed_and_checked() {
    let with = |values: &[&[u8]]| {
        let mut request = posted("/v1/key", "");
        for value in values {
            let value = axum::http::HeaderValue::from_bytes(value).unwrap();
            request.headers_mut().append("Idempotency-Key", value);
        }
        request
    };
    let response = send(with(&[b"k 1"])).await;
    assert_eq!(response.headers()["idempotent-replayed"], "true");
    assert_eq!(text(response).await, "k 1");
    problem(send(with(&[])).await, 400, "idempotency_key_missing").await;
    for bad in [&[b"" as &[u8]] as &[&[u8]], &[&[b'x'; 129]], &["é".as_bytes()], &[b"a\tb"], &[b"a", b"b"]] {
        problem(send(with(bad)).await, 422, "idempotency_key_malformed").await;
    }
    assert_eq!(send(with(&[&[b'x'; 128]])).await.status(), 200);
}

#[tokio::test]
async fn who_asks_must_be_known() {
    let (app, issuer, environment) = app().await;
    let ask = |token: Option<String>| {
        let mut request = got("/v1/me");
        if let Some(token) = token {
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        app.clone().oneshot(request)
    };
    let claims = Claims::new("demo", &["cashier"], environment.now());
    let response = ask(Some(issuer.token(&claims).unwrap())).await.unwrap();
    assert_eq!(text(response).await, "user-1");

    let response = ask(None).await.unwrap();
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    problem(response, 401, "token_missing").await;
    let response = ask(Some(issuer.forged(&claims).unwrap())).await.unwrap();
    assert_eq!(
        response.headers()["www-authenticate"],
        r#"Bearer error="invalid_token", error_description="token_signature_invalid""#
    );
    problem(response, 401, "token_signature_invalid").await;
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    problem(send(got("/v1/nowhere")).await, 404, "route_unknown").await;
    problem(send(got("/")).await, 404, "route_unknown").await;
    let response = send(got("/v1/order")).await;
    assert_eq!(response.headers()["allow"], "POST");
    problem(response, 405, "method_not_allowed").await;
    problem(send(got("/v1/fail/%FF")).await, 400, "path_malformed").await;
}

#[tokio::test]
async fn failures_say_what_helps_and_nothing_of_our_innards() {
    let refused = problem(send(got("/v1/fail/refused")).await, 409, "insufficient_stock").await;
    assert_eq!((&refused["available"], &refused["title"]), (&json!(2), &json!("Insufficient stock")));
    for (kind, status, code, after) in [
        ("contended", 503, "contended", Some("1")),
        ("away", 503, "unavailable", Some("2")),
        ("limited", 429, "too_many", Some("1")),
        ("bug", 500, "internal", None),
        ("panic", 500, "internal", None),
    ] {
        let response = send(got(&format!("/v1/fail/{kind}"))).await;
        let retry = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(retry.as_deref(), after, "{kind}");
        let document = problem(response, status, code).await.to_string();
        for innards in ["secret", "eight times", "throttled"] {
            assert!(!document.contains(innards), "{document}");
        }
    }
}

#[tokio::test]
async fn versions_travel_as_entity_tags() {
    let response = send(got("/v1/versioned")).await;
    assert_eq!(response.headers()["etag"], "\"7\"");
    let put = |value: Option<&str>| {
        let mut request = Request::put("/v1/versioned").body(Body::empty()).unwrap();
        if let Some(value) = value {
            request.headers_mut().insert("if-match", value.parse().unwrap());
        }
        send(request)
    };
    for good in [None, Some("\"7\""), Some("*")] {
        assert_eq!(put(good).await.status(), 200, "{good:?}");
    }
    problem(put(Some("\"6\"")).await, 412, "version_mismatch").await;
    for bad in ["7", "W/\"7\"", "\"x\"", "\"6\", \"7\"", ""] {
        problem(put(Some(bad)).await, 400, "if_match_malformed").await;
    }
    assert!(IfMatch::Any.check(None).is_err() && IfMatch::Absent.check(None).is_ok());
    let mut headers = axum::http::HeaderMap::new();
    headers.insert("if-none-match", "\"1\", W/\"7\"".parse().unwrap());
    assert!(
        EntityTag::of_version(7).is_known_to(&headers) && !EntityTag::of_version(8).is_known_to(&headers)
    );
}

/// An event as API Gateway sends it, with a body in base64.
fn gateway_event(path: &str, body: &[u8]) -> lambda_http::Request {
    use base64::Engine;
    let event = json!({
        "version": "2.0", "routeKey": "POST /v1/order", "rawPath": path, "rawQueryString": "limit=3",
        "headers": {"host": "api.example.com", "x-forwarded-proto": "https"},
        "requestContext": {
            "accountId": "1", "apiId": "a", "domainName": "api.example.com", "requestId": "q", "stage": "dev",
            "routeKey": "POST /v1/order", "time": "01/Dec/2010:08:26:00 +0000", "timeEpoch": 1,
            "http": {"method": "POST", "path": path, "protocol": "HTTP/1.1", "sourceIp": "::1", "userAgent": "t"},
        },
        "body": base64::engine::general_purpose::STANDARD.encode(body), "isBase64Encoded": true,
    });
    lambda_http::request::from_str(&event.to_string()).unwrap()
}

#[tokio::test]
async fn a_gateway_event_becomes_the_request_that_was_sent() {
    let event = gateway_event("/dev/v1/order", br#"{"lines":[{"sku":"a","quantity":1}]}"#);
    let request = request_of(event);
    assert_eq!(request.uri().to_string(), "/v1/order?limit=3");
    let response = send(request).await;
    assert_eq!(text(response.into_response()).await, r#"[["a",1]]"#);
}
