//! Orders: placed, listed, told as sales and printed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test that cannot go on fails"
)]

mod documents;
mod lists;
mod long_reserved;
mod placed;
mod sale_facts;
