//! The SDK's configuration, once: region, endpoint and credentials from the environment; time limits
//! and retries from here.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::Credentials;
use tillstream_app::database::{DatabaseError, Table};

/// Configuration from the environment (`AWS_REGION`, `AWS_ENDPOINT_URL`, credentials as the SDK finds
/// them).
pub async fn load() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .timeout_config(timeouts())
        .retry_config(retries())
        .load()
        .await
}

/// Configuration for a local emulator at `endpoint`: it takes any credentials.
pub fn emulator(endpoint: &str) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(aws_sdk_dynamodb::config::SharedCredentialsProvider::new(Credentials::new(
            "test", "test", None, None, "emulator",
        )))
        .timeout_config(timeouts())
        .retry_config(retries())
        .build()
}

/// Well above what DynamoDB takes (a transaction of 100 actions: a fraction of a second), well below
/// what a caller waits.
fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(Duration::from_secs(4))
        .operation_timeout(Duration::from_secs(9))
        .build()
}

/// Few and short: use cases retry too, and know how much time is left.
fn retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(3)
        .with_initial_backoff(Duration::from_millis(50))
        .with_max_backoff(Duration::from_secs(1))
}

/// No retries: for a conditional write, whose outcome only its use case can recognise.
pub(crate) fn no_retries() -> RetryConfig {
    RetryConfig::disabled()
}

/// What the tables are called in this deployment. A function is given only those it may reach.
#[derive(Debug, Clone, Default)]
pub struct TableNames(pub BTreeMap<Table, String>);

impl TableNames {
    /// The environment variable that names a table.
    pub fn variable(table: Table) -> &'static str {
        match table {
            Table::Orders => "ORDERS_TABLE",
            Table::Stock => "STOCK_TABLE",
            Table::Ledger => "LEDGER_TABLE",
            Table::Catalog => "CATALOG_TABLE",
            Table::Analytics => "ANALYTICS_TABLE",
            Table::Dispatch => "DISPATCH_TABLE",
            Table::Identity => "IDENTITY_TABLE",
        }
    }

    /// All tables under a common prefix, as tests make them.
    pub fn with_prefix(prefix: &str) -> Self {
        TableNames(
            Table::ALL
                .into_iter()
                .map(|table| (table, format!("{prefix}{table:?}").to_lowercase()))
                .collect(),
        )
    }

    /// The name of a table.
    ///
    /// # Errors
    /// [`DatabaseError::Invalid`], naming the variable, where this function was not given it.
    pub fn of(&self, table: Table) -> Result<&str, DatabaseError> {
        self.0.get(&table).map(String::as_str).ok_or_else(|| {
            DatabaseError::Invalid(format!(
                "this function was not given the {table:?} table: {} is not set",
                TableNames::variable(table)
            ))
        })
    }

    /// The table of a name.
    pub(crate) fn table(&self, name: &str) -> Option<Table> {
        self.0.iter().find(|(_, known)| *known == name).map(|(table, _)| *table)
    }
}
