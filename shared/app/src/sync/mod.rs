//! NDJSON feeds from HQ: products, prices, locations, stock and templates, line by line.
//!
//! Every line carries the version of what it says. A line that is not newer than what is there is
//! skipped, under any concurrency, so lines may be sent again, late, or in any order. A bad line is
//! parked and reported, the rest goes on. The checkpoint moves only after a batch is applied.

pub(crate) mod batch;
mod catalog_feed;
pub mod checkpoint;
pub mod entities;
pub(crate) mod line;
mod location_feed;
mod parking;
mod price_feed;
pub mod status;
mod stock_feed;
mod template_feed;
pub mod upload;
