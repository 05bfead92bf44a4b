//! What becomes of carts and orders beside being sold: put aside, voided, moved on, cancelled, recorded.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test that cannot go on fails")]

#[path = "after_sale/fixture.rs"]
mod fixture;
#[path = "after_sale/parked_carts.rs"]
mod parked_carts;
#[path = "after_sale/recorded_sales.rs"]
mod recorded_sales;
#[path = "after_sale/statuses.rs"]
mod statuses;
#[path = "after_sale/voids.rs"]
mod voids;
