//! The wire types, by what is public of them. Here and not beside them, so that the package is not compiled a second
//! time, with optimisation, for a few tests.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod date_time;
mod feed_fields;
mod openapi;
mod price_rule_fields;
mod strict_json;
