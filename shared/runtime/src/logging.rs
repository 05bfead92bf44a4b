//! Logs as JSON lines on standard output, where Lambda collects them.
//!
//! Nothing personal and no secret is logged: ids of tenants, orders and requests are, names and
//! addresses of customers are not.

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Config, LOG_LEVEL};

/// Sets up logging at the configured level. A second call changes nothing.
pub fn init(config: &Config) {
    init_at(config.opt(&LOG_LEVEL).unwrap_or("info"));
}

/// Sets up logging at a level by name, before there is a configuration.
pub fn init_at(level: &str) {
    let level = level.parse::<LevelFilter>().unwrap_or(LevelFilter::INFO);
    let lines = fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false);
    // Already set up: keep what is there.
    drop(tracing_subscriber::registry().with(level).with(lines).try_init());
}
