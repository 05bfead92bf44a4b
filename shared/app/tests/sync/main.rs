//! Feeds of HQ: what is taken, what is refused and why, and what is in force afterwards.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test that cannot go on fails"
)]

mod bad_lines;
mod feeds;
mod inventory;
mod kits;
mod locations;
mod products;
mod resume;
mod rules;
mod stock_versions;
mod suppliers;
mod templates;
mod use_limits;
mod versions;
