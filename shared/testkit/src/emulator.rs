//! The AWS adapter on an emulator: dynoxide in this process, over HTTP on a port of its own.
//!
//! Its tables have no streams (writes become slow with one). It answers transactions as AWS does but
//! for conflicts, throttling and eventual consistency, which it never shows: [`crate::faults`] does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tillstream_app::Ports;
use tillstream_app::capacity::CapacityObserver;
use tillstream_app::database::Database;
use tillstream_aws::clients::{TableNames, emulator};
use tillstream_aws::dynamodb::DynamoDb;
use tillstream_aws::table_creation::create_tables;

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
}

impl DynamoFixture {
    /// Starts dynoxide in this process.
    ///
    /// # Errors
    /// What went wrong, in words.
    pub async fn dynoxide() -> Result<Self, String> {
        let database = dynoxide::Database::memory().map_err(|error| error.to_string())?;
        let listener =
            tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        tokio::spawn(dynoxide::server::serve_on(listener, database));
        DynamoFixture::at(&format!("http://{address}"), None).await
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

    /// On another emulator that listens at `endpoint`, with tables of its own.
    ///
    /// # Errors
    /// What went wrong, in words.
    pub async fn at(endpoint: &str, observer: Option<Arc<dyn CapacityObserver>>) -> Result<Self, String> {
        let number = FIXTURES.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("t{}-{number}-", std::process::id());
        let tables = TableNames::with_prefix(&prefix);
        create_tables(&emulator(endpoint), &tables).await.map_err(|error| error.to_string())?;
        let environment = Arc::new(TestEnvironment::real(number));
        let adapter = DynamoDb::new(&emulator(endpoint), tables.clone(), environment.clone());
        let adapter = match observer {
            Some(observer) => adapter.observed_by(observer),
            None => adapter,
        };
        Ok(DynamoFixture { database: Arc::new(adapter), endpoint: endpoint.to_owned(), tables, environment })
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
