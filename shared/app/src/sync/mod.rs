//! NDJSON feeds from HQ: products, prices and what else a till sells by, locations, stock, suppliers,
//! templates, line by line.
//!
//! Every line carries the version of what it says. A line that is not newer than what is there is
//! skipped, under any concurrency, so lines may be sent again, late, or in any order. A bad line is
//! parked and reported, the rest goes on. The checkpoint moves only after a batch is applied.

pub(crate) mod batch;
mod catalog_feed;
mod category_feed;
pub mod checkpoint;
mod coupon_feed;
mod customer_feed;
pub mod entities;
pub(crate) mod line;
mod location_feed;
mod parking;
mod price_feed;
mod record_feed;
mod rule_feeds;
mod rule_lines;
pub mod status;
mod stock_feed;
mod supplier_feed;
mod template_feed;
pub mod upload;
mod use_limits;
