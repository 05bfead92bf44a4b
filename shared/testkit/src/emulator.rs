//! The AWS adapter on an emulator: dynoxide in this process, over HTTP on a port of its own.
//!
//! Its tables have streams only where a test asks for them (writes become slow with one). It answers
//! transactions as AWS does but for conflicts, throttling and eventual consistency, which it never shows:
//! [`crate::faults`] does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tillstream_app::Ports;
use tillstream_app::capacity::CapacityObserver;
use tillstream_app::database::{Database, Item, Table, Value};
use tillstream_aws::clients::{TableNames, emulator};
use tillstream_aws::dynamodb::DynamoDb;
use tillstream_aws::table_creation::{Streams, create_tables};

use crate::test_environment::TestEnvironment;

static FIXTURES: AtomicU64 = AtomicU64::new(0);

/// A DynamoDB of one's own with all tables. Lives as long as the runtime it was started on.
pub struct DynamoFixture {
    /// The adapter.
    pub database: Arc<dyn Database>,
    /// Where the emulator listens (`http://127.0.0.1:…`).
    pub endpoint: String,
    /// What the tables are called.
    pub tables: TableNames,
    environment: Arc<TestEnvironment>,
    /// The emulator itself, where it runs in this process.
    inside: Option<dynoxide::Database>,
}

impl DynamoFixture {
    /// Starts dynoxide in this process.
    ///
    /// # Errors
    /// What went wrong, in words.
    pub async fn dynoxide() -> Result<Self, String> {
        DynamoFixture::dynoxide_with(Streams::None).await
    }

    /// As [`Self::dynoxide`], with the streams of the template.
    ///
    /// # Errors
    /// What went wrong, in words.
    pub async fn dynoxide_with_streams() -> Result<Self, String> {
        DynamoFixture::dynoxide_with(Streams::OfTemplate).await
    }

    async fn dynoxide_with(streams: Streams) -> Result<Self, String> {
        let database = dynoxide::Database::memory().map_err(|error| error.to_string())?;
        let listener =
            tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        tokio::spawn(dynoxide::server::serve_on(listener, database.clone()));
        let fixture = DynamoFixture::made(&format!("http://{address}"), None, streams).await?;
        Ok(DynamoFixture { inside: Some(database), ..fixture })
    }

    /// As [`Self::dynoxide`], and tells `observer` what each call costs.
    ///
    /// # Errors
    /// What went wrong, in words.
    pub async fn dynoxide_observed(observer: Arc<dyn CapacityObserver>) -> Result<Self, String> {
        let mut fixture = DynamoFixture::dynoxide().await?;
        fixture.database = Arc::new(fixture.adapter().observed_by(observer));
        Ok(fixture)
    }

    /// On another emulator that listens at `endpoint`, with tables of its own and the streams of the template.
    ///
    /// # Errors
    /// What went wrong, in words.
    pub async fn with_streams_at(
        endpoint: &str,
        observer: Option<Arc<dyn CapacityObserver>>,
    ) -> Result<Self, String> {
        DynamoFixture::made(endpoint, observer, Streams::OfTemplate).await
    }

    async fn made(
        endpoint: &str,
        observer: Option<Arc<dyn CapacityObserver>>,
        streams: Streams,
    ) -> Result<Self, String> {
        let number = FIXTURES.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("t{}-{number}-", std::process::id());
        let tables = TableNames::with_prefix(&prefix);
        create_tables(&emulator(endpoint), &tables, streams).await.map_err(|error| error.to_string())?;
        let environment = Arc::new(TestEnvironment::real(number));
        let adapter = DynamoDb::new(&emulator(endpoint), tables.clone(), environment.clone());
        let adapter = match observer {
            Some(observer) => adapter.observed_by(observer),
            None => adapter,
        };
        Ok(DynamoFixture {
            database: Arc::new(adapter),
            endpoint: endpoint.to_owned(),
            tables,
            environment,
            inside: None,
        })
    }

    /// Puts many items past the wire, where the emulator runs in this process: many times as fast.
    ///
    /// # Errors
    /// What went wrong, in words.
    pub fn load(&self, table: Table, items: Vec<Item>) -> Result<(), String> {
        let database = self.inside.as_ref().ok_or("the emulator runs elsewhere")?;
        let name = self.tables.of(table).map_err(|error| error.to_string())?;
        let items = items.into_iter().map(|item| attributes(item.0.into())).collect();
        database
            .import_items(name, items, dynoxide::ImportOptions::default())
            .map(drop)
            .map_err(|e| e.to_string())
    }

    /// The adapter, to be set up otherwise.
    pub fn adapter(&self) -> DynamoDb {
        DynamoDb::new(&emulator(&self.endpoint), self.tables.clone(), self.environment.clone())
    }

    /// What use cases get: this database, the machine's clock, seeded chance.
    pub fn ports(&self) -> Ports {
        Ports { database: self.database.clone(), environment: self.environment.clone() }
    }
}

fn attributes(values: BTreeMap<String, Value>) -> dynoxide::Item {
    values.into_iter().map(|(name, value)| (name, attribute(value))).collect()
}

fn attribute(value: Value) -> dynoxide::AttributeValue {
    match value {
        Value::S(text) => dynoxide::AttributeValue::S(text),
        Value::N(number) => dynoxide::AttributeValue::N(number.to_string()),
        Value::B(bytes) => dynoxide::AttributeValue::B(bytes),
        Value::Bool(truth) => dynoxide::AttributeValue::BOOL(truth),
        Value::L(values) => dynoxide::AttributeValue::L(values.into_iter().map(attribute).collect()),
        Value::M(values) => dynoxide::AttributeValue::M(attributes(values)),
    }
}
