//! The SDK's configuration, once: region, endpoint and credentials from the environment; time limits
//! and retries from here.
//!
//! Made without the SDK's own loader (`aws-config`). That one also looks where a Lambda function has
//! nothing: profiles, instance metadata, other programs, web identities. Looking takes time at every
//! cold start, and the code for it is in every function.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::sdk_config::{Builder, StalledStreamProtectionConfig};
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use tillstream_app::database::{DatabaseError, Table};

use crate::https;

pub use aws_types::SdkConfig;

/// Configuration from the environment that Lambda gives a function: `AWS_REGION`, and the credentials
/// of its role, which are good for as long as the process may live. `AWS_ENDPOINT_URL` leads to an
/// emulator instead of AWS. What is missing is told by the first call.
pub fn load() -> SdkConfig {
    from_lookup(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> SdkConfig {
    let credentials = match (lookup("AWS_ACCESS_KEY_ID"), lookup("AWS_SECRET_ACCESS_KEY")) {
        (Some(id), Some(secret)) => {
            Some(Credentials::new(id, secret, lookup("AWS_SESSION_TOKEN"), None, "environment"))
        }
        _ => None,
    };
    let mut builder = with_our_limits();
    builder.set_credentials_provider(credentials.map(SharedCredentialsProvider::new));
    builder.set_endpoint_url(lookup("AWS_ENDPOINT_URL"));
    let of_services = OF_SERVICES.into_iter().filter_map(|name| Some((name, lookup(name)?)));
    builder.set_service_config(Some(ServiceEndpoints(of_services.collect())));
    builder.set_region(lookup("AWS_REGION").or_else(|| lookup("AWS_DEFAULT_REGION")).map(Region::new));
    builder.build()
}

/// Endpoints of single services, which go before `AWS_ENDPOINT_URL` (AWS SDKs and Tools Reference Guide,
/// "Service-specific endpoints").
const OF_SERVICES: [&str; 3] =
    ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_KINESIS", "AWS_ENDPOINT_URL_SQS"];

#[derive(Debug)]
struct ServiceEndpoints(BTreeMap<&'static str, String>);

impl LoadServiceConfig for ServiceEndpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let name = format!("{}_{}", key.env(), key.service_id().to_uppercase().replace(' ', "_"));
        self.0.get(name.as_str()).cloned()
    }
}

/// Configuration for a local emulator at `endpoint`: it takes any credentials.
pub fn emulator(endpoint: &str) -> SdkConfig {
    with_our_limits()
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            "test", "test", None, None, "emulator",
        )))
        .build()
}

/// What is the same everywhere. The HTTP client is one for all services: one pool of connections, and
/// the trusted certificates are read once.
fn with_our_limits() -> Builder {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(https::client())
        .timeout_config(timeouts())
        .retry_config(retries())
        // An answer that comes too slowly ends with its attempt: none of them is streamed to us.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
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

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::config::ProvideCredentials;

    use super::*;

    fn load(pairs: &[(&str, &str)]) -> SdkConfig {
        from_lookup(|name| {
            pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[tokio::test]
    async fn reads_what_lambda_gives_a_function() {
        let config = load(&[
            ("AWS_REGION", "eu-west-1"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_SESSION_TOKEN", "session"),
        ]);
        assert_eq!(config.region().unwrap().as_ref(), "eu-west-1");
        assert_eq!(config.endpoint_url(), None);
        let credentials = config.credentials_provider().unwrap().provide_credentials().await.unwrap();
        assert_eq!(credentials.access_key_id(), "id");
        assert_eq!(credentials.secret_access_key(), "secret");
        assert_eq!(credentials.session_token(), Some("session"));
    }

    #[test]
    fn an_emulator_needs_no_session_and_half_of_a_credential_is_none() {
        let config = load(&[
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566"),
        ]);
        assert_eq!(config.region().unwrap().as_ref(), "us-east-1");
        assert_eq!(config.endpoint_url(), Some("http://127.0.0.1:4566"));
        assert!(config.credentials_provider().is_none());
    }
}
