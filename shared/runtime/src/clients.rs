//! From the configuration to what use cases need: clients built and warmed before the first event.

use std::collections::BTreeMap;
use std::sync::Arc;

use tillstream_app::database::{Consistency, Database, Get, Table};
use tillstream_app::environment::Environment;
use tillstream_app::ports::{EventStream, WakeUpQueue};
use tillstream_app::{Ports, keys};
use tillstream_aws::clients::{SdkConfig, TableNames};
use tillstream_aws::dynamodb::DynamoDb;
use tillstream_aws::environment::SystemEnvironment;
use tillstream_aws::kinesis::KinesisStream;
use tillstream_aws::sqs::SqsQueue;

use crate::auth::Authenticator;
use crate::config::{self, Config, ConfigError, Variable};
use crate::counted_database::CountedDatabase;
use crate::logging;
use crate::wide_event::Metered;

/// The tables and the variables that name them.
const TABLES: [(Table, Variable); 7] = [
    (Table::Orders, config::ORDERS_TABLE),
    (Table::Stock, config::STOCK_TABLE),
    (Table::Ledger, config::LEDGER_TABLE),
    (Table::Catalog, config::CATALOG_TABLE),
    (Table::Analytics, config::ANALYTICS_TABLE),
    (Table::Dispatch, config::DISPATCH_TABLE),
    (Table::Identity, config::IDENTITY_TABLE),
];

/// What a function was started with.
#[derive(Clone)]
pub struct Clients {
    /// The configuration.
    pub config: Config,
    /// The database, of the declared tables, and the environment.
    pub ports: Ports,
    authenticator: Option<Arc<Authenticator>>,
    sdk: SdkConfig,
}

/// Starts a function that reads `variables` (and those every function reads): configuration, logging,
/// clients, warmed.
///
/// # Errors
/// [`ConfigError`]; it is logged.
pub async fn start(variables: &[Variable]) -> Result<Clients, ConfigError> {
    let config = Config::load(variables).inspect_err(|error| {
        logging::init_at("info");
        tracing::error!(%error, "the function cannot start");
    })?;
    logging::init(&config);
    let clients = connect(config);
    clients.warm().await;
    Ok(clients)
}

fn connect(config: Config) -> Clients {
    let sdk = tillstream_aws::clients::load();
    let named = |(table, variable): &(Table, Variable)| Some((*table, config.opt(variable)?.to_owned()));
    let tables = TableNames(TABLES.iter().filter_map(named).collect::<BTreeMap<_, _>>());
    let environment: Arc<dyn Environment> = Arc::new(SystemEnvironment::default());
    let dynamodb = DynamoDb::new(&sdk, tables, Arc::clone(&environment)).observed_by(Arc::new(Metered));
    let database: Arc<dyn Database> = Arc::new(CountedDatabase(Arc::new(dynamodb)));
    let token = (config.opt(&config::TOKEN_ISSUER), config.opt(&config::TOKEN_AUDIENCE));
    let authenticator = match token {
        (Some(issuer), Some(audience)) => Some(Arc::new(Authenticator::new(
            Arc::clone(&database),
            Arc::clone(&environment),
            issuer,
            audience,
        ))),
        _ => None,
    };
    Clients { ports: Ports { database, environment }, authenticator, sdk, config }
}

impl Clients {
    /// Verifies tokens. Needs `TOKEN_ISSUER`, `TOKEN_AUDIENCE` and `IDENTITY_TABLE` among the variables.
    ///
    /// # Errors
    /// [`ConfigError`] if they are not declared.
    pub fn authenticator(&self) -> Result<Arc<Authenticator>, ConfigError> {
        for variable in [config::TOKEN_ISSUER, config::TOKEN_AUDIENCE, config::IDENTITY_TABLE] {
            self.config.get(&variable)?;
        }
        self.authenticator.clone().ok_or_else(|| undeclared(&config::TOKEN_ISSUER))
    }

    /// The sales stream. Needs `EVENT_STREAM` among the variables. Made here, so that only a function that
    /// asks for it carries a client for it.
    ///
    /// # Errors
    /// [`ConfigError`] if it is not declared.
    pub fn event_stream(&self) -> Result<Arc<dyn EventStream>, ConfigError> {
        Ok(Arc::new(KinesisStream::new(&self.sdk, self.config.get(&config::EVENT_STREAM)?)))
    }

    /// The dispatcher's queue. Needs `HQ_QUEUE_URL` among the variables.
    ///
    /// # Errors
    /// [`ConfigError`] if it is not declared.
    pub fn wake_ups(&self) -> Result<Arc<dyn WakeUpQueue>, ConfigError> {
        Ok(Arc::new(SqsQueue::new(&self.sdk, self.config.get(&config::HQ_QUEUE_URL)?)))
    }

    /// Opens the connection to the database before the first event pays for it, and reads the public
    /// keys. What fails here fails again, and is answered for, in the first event.
    async fn warm(&self) {
        let warmed = match &self.authenticator {
            Some(authenticator) => authenticator.warm().await,
            None => self.open().await,
        };
        if let Err(error) = warmed {
            tracing::warn!(%error, "the database could not be reached before the first event");
        }
    }

    /// Reads an item that need not exist.
    async fn open(&self) -> tillstream_app::Result<()> {
        // Of the tables of functions without callers, every such function may read one of these.
        let readable = [Table::Identity, Table::Analytics, Table::Dispatch];
        let declared = |table: &Table| {
            TABLES.iter().any(|(known, variable)| known == table && self.config.opt(variable).is_some())
        };
        if let Some(table) = readable.into_iter().find(declared) {
            let get = Get { table, key: keys::jwks(), consistency: Consistency::Eventual };
            self.ports.database.get(get).await?;
        }
        Ok(())
    }
}

fn undeclared(variable: &Variable) -> ConfigError {
    ConfigError(vec![format!("{} is needed but not among the function's VARIABLES", variable.name)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_its_variable() {
        for table in Table::ALL {
            let (_, variable) = TABLES.iter().find(|(known, _)| *known == table).unwrap();
            assert_eq!(variable.name, TableNames::variable(table));
        }
    }
}
