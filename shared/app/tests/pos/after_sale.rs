//! What becomes of carts and orders beside being sold: put aside, voided, moved on, cancelled, recorded.

mod fixture;
mod parked_carts;
mod recorded_sales;
mod recorded_totals;
mod refunds_due;
mod settled_returns;
mod statuses;
mod voids;
