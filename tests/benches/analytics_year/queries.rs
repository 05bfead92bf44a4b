//! What an analyst asks, through the function's router, and how long it takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use analytics_api::{Services, router};
use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use serde_json::Value as Json;
use tillstream_app::Ports;
use tillstream_app::capacity::CapacityMeter;
use tillstream_app::database::{Database, DatabaseError, Get, Item, Query, QueryPage, Table, Value, Write};
use tillstream_app::environment::Environment;
use tillstream_runtime::auth::Authenticator;
use tillstream_testkit::emulator::DynamoFixture;
use tillstream_testkit::test_environment::TestEnvironment;
use tillstream_testkit::tokens::{AUDIENCE, Claims, ISSUER, TokenIssuer};
use tower::ServiceExt;

use crate::dataset::TENANT;
use crate::orders::TODAY;

/// Counts the bytes of what is read.
struct BytesRead {
    database: Arc<dyn Database>,
    bytes: Arc<AtomicU64>,
}

fn bytes_of(value: &Value) -> usize {
    match value {
        Value::S(text) => text.len(),
        Value::B(bytes) => bytes.len(),
        Value::N(_) => 8,
        Value::Bool(_) => 1,
        Value::L(values) => values.iter().map(bytes_of).sum(),
        Value::M(values) => values.iter().map(|(name, value)| name.len() + bytes_of(value)).sum(),
    }
}

impl BytesRead {
    fn count<'a>(&self, items: impl IntoIterator<Item = &'a Item>) {
        let bytes: usize = items
            .into_iter()
            .flat_map(|item| item.0.iter().map(|(name, value)| name.len() + bytes_of(value)))
            .sum();
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

#[async_trait]
impl Database for BytesRead {
    async fn get(&self, get: Get) -> Result<Option<Item>, DatabaseError> {
        let item = self.database.get(get).await?;
        self.count(&item);
        Ok(item)
    }
    async fn get_many(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        let items = self.database.get_many(gets).await?;
        self.count(items.iter().flatten());
        Ok(items)
    }
    async fn get_together(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        let items = self.database.get_together(gets).await?;
        self.count(items.iter().flatten());
        Ok(items)
    }
    async fn query(&self, query: Query) -> Result<QueryPage, DatabaseError> {
        let page = self.database.query(query).await?;
        self.count(&page.items);
        Ok(page)
    }
    async fn write(&self, write: Write) -> Result<(), DatabaseError> {
        self.database.write(write).await
    }
    async fn transact(&self, writes: Vec<Write>) -> Result<(), DatabaseError> {
        self.database.transact(writes).await
    }
    async fn put_many(&self, table: Table, items: Vec<Item>) -> Result<(), DatabaseError> {
        self.database.put_many(table, items).await
    }
}

/// An answer.
pub struct Answer {
    pub status: u16,
    pub bytes: usize,
    pub body: Vec<u8>,
    pub time: Duration,
}

impl Answer {
    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What one query cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    pub round_trips: u64,
    pub bytes_read: u64,
    pub read_units: u64,
}

/// The function on a database.
pub struct Analyst {
    timed: Router,
    counted: Router,
    meter: Arc<CapacityMeter>,
    bytes: Arc<AtomicU64>,
    authorization: String,
}

impl Analyst {
    /// Late in the evening of the open day.
    pub async fn new(fixture: &DynamoFixture) -> Self {
        let environment = Arc::new(TestEnvironment::new(3));
        environment.set(format!("{TODAY}T21:30:00Z").parse().unwrap());
        let issuer = TokenIssuer::new("key-1").unwrap();
        fixture.database.write(TokenIssuer::publish(&[&issuer])).await.unwrap();
        let token = issuer.token(&Claims::new(TENANT, &["analyst"], environment.now())).unwrap();
        let meter = Arc::new(CapacityMeter::default());
        let bytes = Arc::new(AtomicU64::new(0));
        let observed: Arc<dyn Database> = Arc::new(fixture.adapter().observed_by(meter.clone()));
        let counted: Arc<dyn Database> = Arc::new(BytesRead { database: observed, bytes: bytes.clone() });
        let function = |database: Arc<dyn Database>| {
            let environment: Arc<dyn Environment> = environment.clone();
            let ports = Ports { database: database.clone(), environment: environment.clone() };
            let authenticator = Authenticator::new(database, environment, ISSUER, AUDIENCE);
            router(Services { ports }, Arc::new(authenticator))
        };
        Analyst {
            timed: function(fixture.database.clone()),
            counted: function(counted),
            meter,
            bytes,
            authorization: format!("Bearer {token}"),
        }
    }

    async fn send(&self, router: &Router, uri: &str) -> Answer {
        let request = Request::get(uri).header("authorization", &self.authorization);
        let request = request.body(Body::empty()).unwrap();
        let begin = Instant::now();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let time = begin.elapsed();
        Answer { status, bytes: body.len(), body: body.to_vec(), time }
    }

    /// Asks.
    pub async fn ask(&self, uri: &str) -> Answer {
        self.send(&self.timed, uri).await
    }

    /// Asks, and tells what it cost.
    pub async fn cost(&self, uri: &str) -> (Answer, Cost) {
        self.meter.take();
        self.bytes.store(0, Ordering::Relaxed);
        let answer = self.send(&self.counted, uri).await;
        let sums = self.meter.take();
        let cost = Cost {
            round_trips: sums.calls.values().sum(),
            bytes_read: self.bytes.load(Ordering::Relaxed),
            read_units: sums.read() / 1_000,
        };
        (answer, cost)
    }
}
