//! Documents as a client of the API meets them.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Request};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Context, LambdaEvent, service_fn};
use orders::{Services, router};
use serde_json::{Value, json};
use tillstream_app::database::Database;
use tillstream_app::environment::Environment;
use tillstream_runtime::auth::Authenticator;
use tillstream_runtime::http::request_of;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop};
use tillstream_testkit::test_environment::TestEnvironment;
use tillstream_testkit::tokens::{AUDIENCE, Claims, ISSUER, TokenIssuer};
use tower::{Service, ServiceExt};

const RECEIPT: &str = "/v1/documents/o-1.receipt";

struct Api {
    router: Router,
    shop: Shop,
    environment: Arc<TestEnvironment>,
    issuer: TokenIssuer,
}

struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn says(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.body).contains(text)
    }

    #[track_caller]
    fn refused(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!((self.status, &problem["code"]), (status, &json!(code)), "{problem}");
        problem
    }
}

impl Api {
    /// A sale `o-1`, its return `back`, a closed shift `sh-1` and an open one, `sh-2`, in the shop of tenant
    /// `demo`.
    async fn new() -> Self {
        let environment = Arc::new(TestEnvironment::new(1));
        let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
        let issuer = TokenIssuer::new("k").unwrap();
        database.write(TokenIssuer::publish(&[&issuer])).await.unwrap();
        let authenticator = Authenticator::new(database.clone(), environment.clone(), ISSUER, AUDIENCE);
        let shop = Shop::open(database, environment.clone()).await.unwrap();
        shop.named_product(STORE, "TEA", "Thé vert", "2.55", 100).await.unwrap();
        shop.ready("r-1", "o-1", &[("TEA", 2)]).await.unwrap();
        shop.finalize("r-1", "o-1").await.unwrap();
        let refund = json!({"amount": 255, "currency": "GBP"});
        shop.command("o1", "open_till", json!({"shift_id": "sh-1"})).await.unwrap();
        let counted = json!({"shift_id": "sh-1", "counted": {"amount": 0, "currency": "GBP"}});
        shop.command("z1", "close_till", counted).await.unwrap();
        shop.command("o2", "open_till", json!({"shift_id": "sh-2"})).await.unwrap();
        for (action, payload) in [
            ("start_return", json!({"return_id": "back", "original_order_id": "o-1", "reason": "cold"})),
            (
                "return_line_item",
                json!({"return_id": "back", "line_id": "l-1", "quantity": 1, "disposition": "none"}),
            ),
            ("refund_tender", json!({"return_id": "back", "tender": "card", "amount": refund})),
            ("finalize_return", json!({"return_id": "back"})),
        ] {
            shop.command(action, action, payload).await.unwrap();
        }
        let router = router(Services { ports: shop.ports.clone() }, Arc::new(authenticator));
        Api { router, shop, environment, issuer }
    }

    fn token(&self, claims: &Claims) -> String {
        format!("Bearer {}", self.issuer.token(claims).unwrap())
    }

    fn cashier(&self) -> Claims {
        Claims::new("demo", &["cashier"], self.environment.now())
    }

    async fn send(&self, claims: &Claims, path: &str, headers: &[(&str, &str)]) -> Reply {
        let mut request = Request::get(path).header(AUTHORIZATION, self.token(claims));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Reply { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn get(&self, path: &str, accept: &str) -> Reply {
        self.send(&self.cashier(), path, &[("accept", accept)]).await
    }

    /// What Lambda is answered to an event of the gateway.
    async fn lambda(&self, path: &str, accept: &str) -> Value {
        let mut event: Value =
            serde_json::from_str(include_str!("../../../events/orders/document.json")).unwrap();
        event["rawPath"] = path.into();
        event["rawQueryString"] = "".into();
        event["requestContext"]["http"]["path"] = path.into();
        event["headers"]["accept"] = accept.into();
        event["headers"]["authorization"] = self.token(&self.cashier()).into();
        let event: LambdaRequest = serde_json::from_value(event).unwrap();
        let router = self.router.clone();
        let mut adapter = Adapter::from(service_fn(move |request: lambda_http::Request| {
            let router = router.clone();
            async move { router.oneshot(request_of(request)).await }
        }));
        let answer = adapter.call(LambdaEvent::new(event, Context::default())).await.unwrap();
        serde_json::to_value(answer).unwrap()
    }
}

#[tokio::test]
async fn every_document_comes_in_every_format() {
    let api = Api::new().await;
    let documents = [
        "o-1.receipt",
        "o-1.gift_receipt",
        "o-1.merchant_copy",
        "o-1.kitchen_chit",
        "back.return_receipt",
        "back.merchant_copy",
    ];
    let mut listed = Vec::new();
    for order in ["o-1", "back"] {
        let reply = api.get(&format!("/v1/orders/{order}/documents"), "application/json").await;
        assert_eq!((reply.status, &reply.json()["next_cursor"]), (200, &Value::Null));
        for entry in reply.json()["items"].as_array().unwrap() {
            let id = entry["document_id"].as_str().unwrap();
            assert!(id.ends_with(entry["kind"].as_str().unwrap()), "{entry}");
            assert_eq!(entry["formats"], json!(["text/html", "text/plain", "application/vnd.escpos"]));
            listed.push(id.to_owned());
        }
    }
    assert_eq!(listed, documents);
    for id in documents {
        let path = format!("/v1/documents/{id}");
        let utf8 = "Thé vert".as_bytes();
        for (accept, media_type, begin, name) in [
            ("text/html", "text/html; charset=utf-8", b"<!DOCTYPE html>".as_slice(), utf8),
            ("text/plain", "text/plain; charset=utf-8", b"".as_slice(), utf8),
            (
                "application/vnd.escpos",
                "application/vnd.escpos",
                b"\x1b@".as_slice(),
                b"Th\xe9 vert".as_slice(),
            ),
        ] {
            let reply = api.get(&path, accept).await;
            assert_eq!((reply.status, reply.header("content-type")), (200, media_type), "{id}");
            assert!(reply.body.starts_with(begin), "{id}: {:?}", reply.body);
            // What the shop keeps tells of payments, not of goods.
            let has_name = reply.body.windows(name.len()).any(|part| part == name);
            assert_eq!(has_name, !id.ends_with("merchant_copy"), "{id} as {accept}");
            assert_eq!(reply.header("cache-control"), "private, no-cache");
            assert_eq!(reply.header("vary"), "Authorization, Accept");
            assert_eq!(reply.header("x-content-type-options"), "nosniff");
            assert!(reply.header("content-security-policy").starts_with("default-src 'none'"));
            let again = api.get(&path, accept).await;
            assert_eq!((again.body, again.headers), (reply.body, reply.headers), "{id} as {accept}");
        }
    }
}

#[tokio::test]
async fn reports_on_shifts_come_in_every_format() {
    let api = Api::new().await;
    for (id, title) in [("sh-2.x_report", "X REPORT"), ("sh-1.z_report", "Z REPORT 1")] {
        let path = format!("/v1/documents/{id}");
        for (accept, media_type) in [
            ("text/html", "text/html; charset=utf-8"),
            ("text/plain", "text/plain; charset=utf-8"),
            ("application/vnd.escpos", "application/vnd.escpos"),
        ] {
            let reply = api.get(&path, accept).await;
            assert_eq!((reply.status, reply.header("content-type")), (200, media_type), "{id}");
            assert!(reply.says(title) && !reply.says("REPRINT"), "{id} as {accept}");
            assert_eq!(reply.header("cache-control"), "private, no-cache");
            let known = [("accept", accept), ("if-none-match", reply.header("etag"))];
            assert_eq!(api.send(&api.cashier(), &path, &known).await.status, 304, "{id} as {accept}");
        }
        let again = api.get(&format!("{path}?reprint=true"), "text/plain").await;
        assert!(again.says("REPRINT"), "{id}");
        api.get(&path, "application/pdf").await.refused(406, "not_acceptable");
        api.get(&format!("{path}?reprint=maybe"), "text/plain").await.refused(422, "query_invalid");
    }
    for (id, there) in [("sh-1.x_report", "sh-1.z_report"), ("sh-2.z_report", "sh-2.x_report")] {
        let problem = api.get(&format!("/v1/documents/{id}"), "*/*").await.refused(404, "document_not_found");
        assert!(problem["detail"].as_str().unwrap().contains(there), "{problem}");
    }
    // A quarter of an hour after the closing it is a reprint.
    api.environment.advance(std::time::Duration::from_secs(15 * 60));
    assert!(api.get("/v1/documents/sh-1.z_report", "text/plain").await.says("REPRINT"));
    assert!(!api.get("/v1/documents/sh-2.x_report", "text/plain").await.says("REPRINT"));
}

#[tokio::test]
async fn the_client_says_what_it_wants() {
    let api = Api::new().await;
    for (accept, media_type) in [
        ("*/*", "text/html"),
        ("text/plain, */*;q=0.1", "text/plain"),
        ("text/html;q=0.3, application/vnd.escpos;q=0.9", "application/vnd.escpos"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
    ] {
        let reply = api.get(RECEIPT, accept).await;
        assert!(reply.header("content-type").starts_with(media_type), "{accept}");
    }
    let reply = api.send(&api.cashier(), RECEIPT, &[]).await;
    assert!(reply.header("content-type").starts_with("text/html"));
    for accept in ["application/json", "application/pdf, image/*", "text/html;q=0", "", "?"] {
        let problem = api.get(RECEIPT, accept).await.refused(406, "not_acceptable");
        for media_type in ["text/html", "text/plain", "application/vnd.escpos"] {
            assert!(problem["detail"].as_str().unwrap().contains(media_type), "{problem}");
        }
    }
}

#[tokio::test]
async fn bytes_survive_the_way_through_lambda_and_the_gateway() {
    let api = Api::new().await;
    let printed = api.get(RECEIPT, "application/vnd.escpos").await.body;
    assert!(printed.iter().any(|byte| *byte >= 0x80) && printed.contains(&0x1b));
    let answer = api.lambda(RECEIPT, "application/vnd.escpos").await;
    assert_eq!((&answer["statusCode"], &answer["isBase64Encoded"]), (&json!(200), &json!(true)));
    assert_eq!(answer["headers"]["content-type"], "application/vnd.escpos");
    assert_eq!(STANDARD.decode(answer["body"].as_str().unwrap()).unwrap(), printed);
    for accept in ["text/html", "text/plain"] {
        let answer = api.lambda(RECEIPT, accept).await;
        assert_eq!(answer["isBase64Encoded"], false);
        assert_eq!(answer["body"].as_str().unwrap().as_bytes(), api.get(RECEIPT, accept).await.body);
    }
}

#[tokio::test]
async fn what_the_client_has_is_not_sent_again() {
    let api = Api::new().await;
    let mut tags = Vec::new();
    for accept in ["text/html", "text/plain", "application/vnd.escpos"] {
        let tag = api.get(RECEIPT, accept).await.header("etag").to_owned();
        let known = [("accept", accept), ("if-none-match", tag.as_str())];
        let again = api.send(&api.cashier(), RECEIPT, &known).await;
        assert_eq!((again.status, again.header("etag"), again.body.len()), (304, tag.as_str(), 0));
        assert_eq!(again.header("cache-control"), "private, no-cache");
        assert!(!tags.contains(&tag), "two formats are not the same");
        tags.push(tag);
    }
    // A quarter of an hour later it is a reprint: another document.
    api.environment.advance(std::time::Duration::from_secs(15 * 60));
    let known = [("accept", "text/plain"), ("if-none-match", tags[1].as_str())];
    let late = api.send(&api.cashier(), RECEIPT, &known).await;
    assert!(late.status == 200 && late.says("REPRINT"));
}

#[tokio::test]
async fn a_reprint_is_asked_for_by_name() {
    let api = Api::new().await;
    let path = |query: &str| format!("{RECEIPT}{query}");
    let plain = api.get(RECEIPT, "text/plain").await;
    assert!(!plain.says("REPRINT"));
    assert_eq!(api.get(&path("?reprint=false"), "text/plain").await.body, plain.body);
    assert!(api.get(&path("?reprint=true"), "text/plain").await.says("REPRINT"));
    for query in ["?reprint=maybe", "?reprint=", "?reprint", "?copy=true", "?reprint=true&reprint=true"] {
        api.get(&path(query), "text/plain").await.refused(422, "query_invalid");
    }
}

#[tokio::test]
async fn what_is_no_document_is_not_found() {
    let api = Api::new().await;
    for id in [
        "o-1",
        "o-1.",
        ".receipt",
        "o-1.invoice",
        "o-1.Receipt",
        "o-1.receipt.",
        "o-1.return_receipt",
        "back.receipt",
        "o-1.z_report",
        "sh-1.receipt",
        "sh-3.z_report",
        "sh-1.Z_report",
        "sh-1%23.z_report",
        "o-2.receipt",
        "o-1%23.receipt",
        "..%2Fo-1.receipt",
        "o-1.receipt%00",
        "%20o-1.receipt",
        &format!("{}.receipt", "x".repeat(5_000)),
    ] {
        api.get(&format!("/v1/documents/{id}"), "text/plain").await.refused(404, "document_not_found");
    }
    api.get("/v1/orders/o-2/documents", "*/*").await.refused(404, "order_not_found");
    api.get("/v1/orders/a%23b/documents", "*/*").await.refused(422, "id_malformed");
}

#[tokio::test]
async fn a_document_is_for_those_who_may_see_its_order_or_shift() {
    let api = Api::new().await;
    let now = api.environment.now();
    api.shop.store("s-2").await.unwrap();
    for (path, code) in [
        (RECEIPT, "document_not_found"),
        ("/v1/documents/sh-1.z_report", "document_not_found"),
        ("/v1/documents/sh-2.x_report", "document_not_found"),
        ("/v1/orders/o-1/documents", "order_not_found"),
    ] {
        for claims in [
            Claims::new("another", &["operator"], now),
            Claims::new("demo", &["store_manager"], now).with("stores", json!(["s-2"])),
        ] {
            api.send(&claims, path, &[]).await.refused(404, code);
        }
        let nobody = Claims::new("demo", &["warehouse_staff"], now);
        api.send(&nobody, path, &[]).await.refused(403, "role_required");
        let mine = Claims::new("demo", &["store_manager"], now).with("stores", json!([STORE]));
        assert_eq!(api.send(&mine, path, &[]).await.status, 200);
        for (request, status) in [(Request::get(path), 401), (Request::post(path), 405)] {
            let request = request.body(Body::empty()).unwrap();
            assert_eq!(api.router.clone().oneshot(request).await.unwrap().status(), status);
        }
    }
}
