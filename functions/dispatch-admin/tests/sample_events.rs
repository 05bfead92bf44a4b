//! The sample events, as API Gateway hands them over.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use axum::Router;
use axum::body::to_bytes;
use axum::http::header::AUTHORIZATION;
use dispatch_admin::{Services, router};
use serde_json::Value;
use tillstream_app::Ports;
use tillstream_app::database::{Database, Write};
use tillstream_app::dispatch::announce::{Fact, announce};
use tillstream_app::dispatch::delivery::load;
use tillstream_app::environment::Environment;
use tillstream_app::tenancy::TenantScope;
use tillstream_contracts::dispatch::DeliveryStatus;
use tillstream_domain::lane::{Lane, LaneNumber};
use tillstream_runtime::auth::Authenticator;
use tillstream_runtime::http::request_of;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::memory_messaging::MemoryQueue;
use tillstream_testkit::test_environment::TestEnvironment;
use tillstream_testkit::tokens::{AUDIENCE, Claims, ISSUER, TokenIssuer};
use tower::ServiceExt;

struct World {
    router: Router,
    queue: Arc<MemoryQueue>,
    token: String,
}

/// A dead letter `c-1.1`.
async fn world() -> World {
    let environment = Arc::new(TestEnvironment::new(1));
    let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    let ports = Ports { database: database.clone(), environment: environment.clone() };
    let queue = Arc::new(MemoryQueue::new(environment.clone()));
    let issuer = TokenIssuer::new("k-1").unwrap();
    database.write(TokenIssuer::publish(&[&issuer])).await.unwrap();
    let token = issuer.token(&Claims::new("demo", &["operator"], environment.now())).unwrap();
    let fact = Fact {
        scope: TenantScope::from_own_record("demo"),
        order_id: "c-1".to_owned(),
        order_version: 1,
        status: "completed".to_owned(),
        lane_number: LaneNumber { lane: Lane::new("s-1", "r-1"), number: 1 },
        at: environment.now(),
        payload: None,
    };
    let key = fact.scope.delivery("c-1.1");
    announce(&ports, &MemoryQueue::new(environment.clone()), vec![fact]).await.unwrap();
    let mut delivery = load(&ports, key).await.unwrap().unwrap();
    delivery.status = DeliveryStatus::Dead;
    let write: Write = delivery.write().unwrap();
    database.write(write).await.unwrap();
    let authenticator = Authenticator::new(database, environment, ISSUER, AUDIENCE);
    let services = Services { ports, queue: queue.clone() };
    World { router: router(services, Arc::new(authenticator)), queue, token }
}

impl World {
    async fn send(&self, name: &str, authorized: bool) -> (u16, bool, Value) {
        let path = format!("{}/../../events/dispatch-admin/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let event = std::fs::read_to_string(path).unwrap();
        let mut request = request_of(lambda_http::request::from_str(&event).unwrap());
        if authorized {
            request.headers_mut().insert(AUTHORIZATION, format!("Bearer {}", self.token).parse().unwrap());
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let replayed = response.headers().contains_key("idempotent-replayed");
        let body = to_bytes(response.into_body(), 1_000_000).await.unwrap();
        (status, replayed, serde_json::from_slice(&body).unwrap())
    }
}

const ALL: [&str; 7] = [
    "list-deliveries",
    "get-delivery",
    "list-dead-letters",
    "get-dead-letter",
    "replay",
    "replay-many",
    "discard",
];

#[tokio::test]
async fn every_route_wants_a_token_and_answers_with_one() {
    for name in ALL {
        let world = world().await;
        let (status, _, problem) = world.send(name, false).await;
        assert_eq!(status, 401, "{name} {problem}");
        let (status, replayed, body) = world.send(name, true).await;
        assert_eq!((status, replayed), (200, false), "{name} {body}");
    }
}

#[tokio::test]
async fn reading_shows_the_letter() {
    let world = world().await;
    for name in ["list-deliveries", "list-dead-letters"] {
        let (_, _, page) = world.send(name, true).await;
        assert_eq!(page["items"][0]["id"], "c-1.1");
        assert_eq!(page["items"][0]["status"], "dead");
        assert_eq!(page["next_cursor"], Value::Null);
    }
    for name in ["get-delivery", "get-dead-letter"] {
        let (_, _, detail) = world.send(name, true).await;
        assert_eq!(detail["id"], "c-1.1");
        assert!(detail["payload_error"].as_str().unwrap().starts_with("order_missing"));
    }
}

#[tokio::test]
async fn acting_has_one_effect_and_says_when_it_is_repeated() {
    for (name, field, value) in [
        ("replay", "status", Value::from("pending")),
        ("replay-many", "replayed", Value::from(1)),
        ("discard", "status", Value::from("discarded")),
    ] {
        let world = world().await;
        let first = world.send(name, true).await;
        let (status, replayed, again) = world.send(name, true).await;
        assert_eq!((first.0, first.1, status, replayed), (200, false, 200, true), "{name}");
        assert_eq!((&first.2[field], &again[field]), (&value, &value), "{name}");
        assert_eq!(world.queue.len(), usize::from(name != "discard"), "{name}");
        // The same key for something else.
        if name == "replay" {
            let (status, _, problem) = world.send("discard", true).await;
            assert_eq!((status, &problem["code"]), (422, &Value::from("idempotency_key_reused")));
        }
    }
}
