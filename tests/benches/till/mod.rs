//! A till in front of the function's router, as a register is: with a token, real products and keys as
//! long as real ones.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use serde_json::{Value, json};
use tillstream_app::Ports;
use tillstream_app::database::Database;
use tillstream_app::environment::Environment;
use tillstream_runtime::auth::Authenticator;
use tillstream_testkit::shop::Shop;
use tillstream_testkit::test_environment::TestEnvironment;
use tillstream_testkit::tokens::{AUDIENCE, Claims, ISSUER, TokenIssuer};
use tower::ServiceExt;

use crate::day::{Day, is_stocked};

pub const TENANT: &str = "demo";

/// The products of a real day that are things in stock: SKU, name, price.
pub fn products() -> Vec<(String, String, String)> {
    let mut products = Day::read("2010-12-01").products;
    products.retain(|(sku, _, price)| is_stocked(sku) && price != "0");
    products
}

/// A text as long as the ids and keys that clients make: a UUID.
pub fn uuid(kind: u32, number: u64) -> String {
    format!("{kind:08x}-5a1e-4b1d-9c3f-{number:012x}")
}

/// A tenant's tills.
#[derive(Clone)]
pub struct Tills {
    pub shop: Shop,
    router: Router,
    token: String,
}

impl Tills {
    /// Tills of as many stores (`s-1`, `s-2`, …) with four registers each, where all of `products` are on sale.
    pub async fn open(
        database: Arc<dyn Database>,
        environment: Arc<TestEnvironment>,
        stores: usize,
        products: &[(String, String, String)],
    ) -> Tills {
        let shop = Shop::open(database.clone(), environment.clone()).await.unwrap();
        for n in 2..=stores {
            shop.store(&format!("s-{n}")).await.unwrap();
        }
        for (sku, name, price) in products {
            for n in 1..=stores {
                shop.named_product(&format!("s-{n}"), sku, name, price, 1_000_000).await.unwrap();
            }
        }
        let issuer = TokenIssuer::new("key-1").unwrap();
        database.write(TokenIssuer::publish(&[&issuer])).await.unwrap();
        let claims = Claims::new(TENANT, &["operator"], environment.now());
        let token = issuer.token(&claims).unwrap();
        Tills { shop, router: router(database, environment).await, token }
    }

    /// The same tills in front of another process of the function, which has a database client of its own.
    #[allow(dead_code, reason = "most benchmarks run one process")]
    pub async fn at_another_process(
        &self,
        database: Arc<dyn Database>,
        environment: Arc<TestEnvironment>,
    ) -> Tills {
        let (shop, token) = (self.shop.clone(), self.token.clone());
        Tills { shop, router: router(database, environment).await, token }
    }

    /// The function's router.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// A request with a command.
    pub fn request(&self, envelope: &Value) -> Request<Body> {
        Request::post("/v1/pos/command")
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .body(Body::from(envelope.to_string()))
            .unwrap()
    }

    /// The event that API Gateway makes of that request.
    #[allow(dead_code, reason = "most benchmarks begin with the request")]
    pub fn gateway_event(&self, envelope: &Value) -> Vec<u8> {
        let sample = include_str!("../../../events/pos-commands/add-line-item.json");
        let mut event: Value = serde_json::from_str(sample).unwrap();
        event["headers"]["authorization"] = json!(format!("Bearer {}", self.token));
        event["body"] = json!(envelope.to_string());
        event.to_string().into_bytes()
    }

    /// Sends a command and demands that it takes effect.
    pub async fn send(&self, envelope: &Value) -> Value {
        let answer = self.router().oneshot(self.request(envelope)).await.unwrap();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert!(status.is_success(), "{envelope}: {status} {body}");
        body
    }
}

async fn router(database: Arc<dyn Database>, environment: Arc<TestEnvironment>) -> Router {
    let authenticator = Arc::new(Authenticator::new(database.clone(), environment.clone(), ISSUER, AUDIENCE));
    authenticator.warm().await.unwrap();
    pos_commands::router(pos_commands::Services { ports: Ports { database, environment } }, authenticator)
}

/// What a till sells, one cart at a time.
pub struct Sale<'a> {
    pub tills: &'a Tills,
    pub store: String,
    pub register: String,
    pub cart: String,
    pub commands: u64,
    pub number: u64,
}

impl<'a> Sale<'a> {
    /// Sale `number`, which no other sale of the run has, at a register. Opens its cart.
    pub async fn open(tills: &'a Tills, store: &str, register: &str, number: u64) -> Sale<'a> {
        let (store, register) = (store.to_owned(), register.to_owned());
        let cart = uuid(1, number);
        let mut sale = Sale { tills, store, register, cart, commands: 0, number };
        sale.command("create_cart", json!({})).await;
        sale
    }

    /// The envelope of the sale's next command.
    pub fn envelope(&mut self, action: &str, mut payload: Value) -> Value {
        self.commands += 1;
        payload["cart_id"] = json!(self.cart);
        json!({
            "version": "1",
            "idempotency_key": uuid(u32::try_from(self.commands).unwrap() + 1, self.number),
            "store_id": self.store,
            "register_id": self.register,
            "employee_id": "e-1",
            "occurred_at": "2026-03-02T09:00:00Z",
            "reply": "summary",
            "action": action,
            "payload": payload,
        })
    }

    pub async fn command(&mut self, action: &str, payload: Value) -> Value {
        let envelope = self.envelope(action, payload);
        self.tills.send(&envelope).await
    }

    pub async fn add(&mut self, sku: &str) {
        self.command("add_line_item", json!({"sku": sku, "quantity": 2})).await;
    }

    /// Tenders and pays what is due by card.
    pub async fn pay(&mut self) {
        let tendered = self.command("set_tendering", json!({})).await;
        let due = tendered["cart"]["totals"]["due"].clone();
        self.command("add_payment", json!({"tender": "card", "amount": due})).await;
    }
}
