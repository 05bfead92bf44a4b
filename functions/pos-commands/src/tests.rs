//! The routes of approvals, and of gift cards and accounts, as API Gateway sends them.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use axum::http::header::AUTHORIZATION;
use axum::http::response::Parts;
use serde_json::{Value, json};
use tillstream_app::Ports;
use tillstream_app::database::Database;
use tillstream_app::environment::Environment;
use tillstream_runtime::auth::Authenticator;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::Shop;
use tillstream_testkit::test_environment::TestEnvironment;
use tillstream_testkit::tokens::{AUDIENCE, Claims, ISSUER, TokenIssuer};
use tower::ServiceExt;

use crate::{Services, router};

/// The store of the sample events.
const STORE: &str = "s-uk-1";

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
    let shop = Shop::open(database.clone(), environment.clone()).await.unwrap();
    shop.store(STORE).await.unwrap();
    shop.product(STORE, "85123A", "2.55", 10).await.unwrap();
    let authenticator = Authenticator::new(database.clone(), environment.clone(), ISSUER, AUDIENCE);
    let ports = Ports { database, environment: environment.clone() };
    Service { app: router(Services { ports }, Arc::new(authenticator)), issuer, environment }
}

impl Service {
    /// Sends it as somebody who is called what their role is.
    async fn send(&self, role: &str, mut request: Request<Body>) -> (Parts, Value) {
        let mut claims = Claims::new("demo", &[role], self.environment.now());
        claims = claims.with("sub", role);
        let token = format!("Bearer {}", self.issuer.token(&claims).unwrap());
        request.headers_mut().insert(AUTHORIZATION, token.parse().unwrap());
        let (parts, body) = self.app.clone().oneshot(request).await.unwrap().into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        (parts, serde_json::from_slice(&bytes).unwrap())
    }

    async fn event(&self, role: &str, event: &str) -> (Parts, Value) {
        let request = lambda_http::request::from_str(event).unwrap();
        self.send(role, tillstream_runtime::http::request_of(request)).await
    }
}

fn post(path: &str, key: &str, body: &str) -> Request<Body> {
    let request = Request::post(path).header("idempotency-key", key);
    request.body(Body::from(body.to_owned())).unwrap()
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

const ASK: &str = include_str!("../../../events/pos-commands/ask-for-approval.json");
const LIST: &str = include_str!("../../../events/pos-commands/list-approvals.json");
const GRANT: &str = include_str!("../../../events/pos-commands/grant-approval.json");

#[tokio::test]
async fn the_sample_events_are_answered() {
    let service = service().await;
    let (parts, asked) = service.event("cashier", ASK).await;
    assert_eq!((parts.status.as_u16(), &asked["status"]), (201, &json!("pending")), "{asked}");
    assert_eq!(parts.headers["etag"], "\"1\"");
    let (parts, again) = service.event("cashier", ASK).await;
    assert_eq!(
        (parts.status.as_u16(), &parts.headers["idempotent-replayed"]),
        (201, &"true".parse().unwrap())
    );
    assert_eq!(again, asked);
    let (parts, listed) = service.event("store_manager", LIST).await;
    assert_eq!((parts.status.as_u16(), listed), (200, json!({"items": [asked], "next_cursor": null})));
    let (parts, granted) = service.event("store_manager", GRANT).await;
    assert_eq!((parts.status.as_u16(), &granted["status"]), (200, &json!("granted")), "{granted}");
    assert_eq!(granted["decision"]["reason"], "seen it");
    let (parts, again) = service.event("store_manager", GRANT).await;
    assert_eq!(parts.headers["idempotent-replayed"], "true");
    assert_eq!(again, granted);
    let (parts, one) = service.send("cashier", get("/v1/approvals/ap-1")).await;
    assert_eq!((parts.status.as_u16(), &parts.headers["etag"]), (200, &"\"2\"".parse().unwrap()));
    assert_eq!(one, granted);
}

#[tokio::test]
async fn refusals_are_problem_documents_with_their_status() {
    let service = service().await;
    service.event("cashier", ASK).await;
    let deny = |key: &str, body: &str| post("/v1/approvals/ap-1/deny", key, body);
    let cases = [
        ("cashier", deny("k", ""), 403, "role_required"),
        ("store_manager", deny("k", "{\"reason\":7}"), 422, "field_invalid"),
        ("store_manager", deny("k", "{"), 400, "json_malformed"),
        ("store_manager", post("/v1/approvals/none/deny", "k", ""), 404, "approval_not_found"),
        ("store_manager", post("/v1/approvals/a%23b/grant", "k", ""), 422, "id_malformed"),
        ("cashier", post("/v1/approvals", "k", "{}"), 422, "field_invalid"),
        ("cashier", get("/v1/approvals/none"), 404, "approval_not_found"),
        ("cashier", get("/v1/approvals"), 422, "store_required"),
        ("analyst", get("/v1/approvals?store_id=s-uk-1"), 403, "role_required"),
        ("store_manager", get("/v1/approvals?store_id=s-uk-1&colour=red"), 422, "query_invalid"),
    ];
    for (role, request, status, code) in cases {
        let shown = format!("{} {}", request.method(), request.uri());
        let (parts, problem) = service.send(role, request).await;
        assert_eq!((parts.status.as_u16(), &problem["code"]), (status, &json!(code)), "{shown}: {problem}");
        assert_eq!(parts.headers["content-type"], "application/problem+json");
    }
    let keyless = Request::post("/v1/approvals/ap-1/deny").body(Body::empty()).unwrap();
    let (parts, problem) = service.send("store_manager", keyless).await;
    assert_eq!((parts.status.as_u16(), &problem["code"]), (400, &json!("idempotency_key_missing")));
    // A decision's body may be left out.
    let (parts, denied) = service.send("store_manager", deny("k", "")).await;
    assert_eq!((parts.status.as_u16(), &denied["status"]), (200, &json!("denied")));
    let (parts, problem) = service.event("store_manager", GRANT).await;
    assert_eq!((parts.status.as_u16(), &problem["code"]), (409, &json!("approval_decided")));
    assert_eq!(problem["status"], 409, "the problem's own members stand: {problem}");
}

const ISSUE: &str = include_str!("../../../events/pos-commands/issue-stored-value.json");
const TOP_UP: &str = include_str!("../../../events/pos-commands/top-up-stored-value.json");

#[tokio::test]
async fn gift_cards_are_issued_credited_debited_blocked_and_listed() {
    let service = service().await;
    let (parts, issued) = service.event("store_manager", ISSUE).await;
    assert_eq!((parts.status.as_u16(), &parts.headers["etag"]), (201, &"\"1\"".parse().unwrap()), "{issued}");
    assert_eq!(issued["balance"], json!({"amount": 5000, "currency": "GBP"}));
    let (parts, again) = service.event("store_manager", ISSUE).await;
    assert_eq!(
        (parts.status.as_u16(), &parts.headers["idempotent-replayed"]),
        (201, &"true".parse().unwrap())
    );
    assert_eq!(again, issued);
    let (parts, credited) = service.event("integration", TOP_UP).await;
    assert_eq!((parts.status.as_u16(), &credited["balance"]["amount"]), (200, &json!(6000)), "{credited}");
    let path = |what: &str| format!("/v1/stored-value/GC-7Q2M-PX41{what}");
    let debit = || post(&path("/debit"), "d", "{\"amount\":100,\"reason\":\"x\"}");
    let (parts, debited) = service.send("store_manager", debit()).await;
    assert_eq!((parts.status.as_u16(), &debited["balance"]["amount"]), (200, &json!(5900)));
    let (parts, _) = service.send("store_manager", debit()).await;
    assert_eq!(parts.headers["idempotent-replayed"], "true");
    let held_to = |what: &str, version: &str, body: &str| {
        let mut request = post(&path(what), "held", body);
        request.headers_mut().insert("if-match", version.parse().unwrap());
        request
    };
    for (what, body) in [
        ("/credit", "{\"amount\":1,\"reason\":\"x\"}"),
        ("/debit", "{\"amount\":1,\"reason\":\"x\"}"),
        ("/block", "{\"reason\":\"x\"}"),
        ("/unblock", "{\"reason\":\"x\"}"),
    ] {
        for (version, status, code) in [("\"2\"", 412, "version_mismatch"), ("3", 400, "if_match_malformed")]
        {
            let (parts, problem) = service.send("store_manager", held_to(what, version, body)).await;
            assert_eq!((parts.status.as_u16(), &problem["code"]), (status, &json!(code)), "{what}");
        }
    }
    for (what, status) in [("/block", "blocked"), ("/unblock", "active")] {
        let mut request = post(&path(what), what, "{\"reason\":\"x\"}");
        let (before, _) = service.send("store_manager", get(&path(""))).await;
        request.headers_mut().insert("if-match", before.headers["etag"].clone());
        let (parts, view) = service.send("store_manager", request).await;
        assert_eq!((parts.status.as_u16(), &view["status"]), (200, &json!(status)), "{view}");
        assert_ne!(parts.headers["etag"], before.headers["etag"]);
    }
    let (parts, view) = service.send("cashier", get(&path(""))).await;
    assert_eq!((parts.status.as_u16(), &parts.headers["etag"]), (200, &"\"5\"".parse().unwrap()), "{view}");
    let (_, page) = service.send("store_manager", get(&path("/movements?limit=4"))).await;
    let (_, rest) = {
        let cursor = page["next_cursor"].as_str().unwrap();
        service.send("store_manager", get(&path(&format!("/movements?cursor={cursor}")))).await
    };
    let amounts = |page: &Value| -> Vec<i64> {
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["amount"]["amount"].as_i64().unwrap())
            .collect()
    };
    let all = [amounts(&page), amounts(&rest)].concat();
    assert_eq!((all.len(), all.iter().sum::<i64>(), &rest["next_cursor"]), (5, 5900, &Value::Null));
    let (parts, problem) =
        service.send("store_manager", post(&path("/debit"), "e", "{\"amount\":5901,\"reason\":\"x\"}")).await;
    assert_eq!(
        (parts.status.as_u16(), &problem["code"], &problem["left"]),
        (409, &json!("insufficient_balance"), &json!(5900))
    );
    let (parts, problem) = service.send("cashier", get("/v1/stored-value/GC-NONE")).await;
    assert_eq!((parts.status.as_u16(), &problem["code"]), (404, &json!("stored_value_not_found")));
    let (parts, _) =
        service.send("cashier", post(&path("/credit"), "f", "{\"amount\":1,\"reason\":\"x\"}")).await;
    assert_eq!(parts.status.as_u16(), 403);
}
