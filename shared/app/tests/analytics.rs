//! What analysts are answered, whichever pages it is read from.

#![allow(clippy::unwrap_used, clippy::panic, reason = "in a test the panic is the report")]

#[path = "analytics/coarse_tests.rs"]
mod coarse_tests;
#[path = "analytics/fixture.rs"]
mod fixture;
#[path = "analytics/mark_tests.rs"]
mod mark_tests;
#[path = "analytics/merged_tests.rs"]
mod merged_tests;
#[path = "analytics/query_tests.rs"]
mod query_tests;
#[path = "analytics/rebuild_tests.rs"]
mod rebuild_tests;
