//! Use cases, and the ports they need. No AWS here: adapters are elsewhere.

pub mod aggregation;
pub mod analytics;
pub mod approvals;
pub mod capacity;
pub mod catalog;
pub mod cursor;
pub mod database;
pub mod dispatch;
pub mod documents;
pub mod environment;
pub mod error;
pub mod facts;
pub mod fields;
pub mod keeper;
pub mod keys;
pub mod orders;
pub mod ports;
pub mod pos;
pub mod record_failure;
pub mod relay;
pub mod request_token;
pub mod restore;
pub mod stock;
pub mod stored_value;
pub mod sync;
pub mod tenancy;
pub mod tenant_rules;
pub mod time_bound;

pub use error::{Error, FieldError, Refusal, RefusalKind, Result};
pub use ports::Ports;
