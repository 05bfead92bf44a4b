//! What analysts are answered, whichever pages it is read from.

#![allow(clippy::unwrap_used, clippy::panic, reason = "in a test the panic is the report")]

mod aggregation_cost;
mod aggregation_exactness;
mod coarse_tests;
mod fixture;
mod mark_tests;
mod merged_tests;
mod query_tests;
mod rebuild_tests;
mod suggestion_tests;
mod turnover_tests;
