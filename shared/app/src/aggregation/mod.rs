//! Counting: from facts to analytics pages.
//!
//! [`fold::fold_batch`] is what the aggregator runs. Its writes have one order: pages first, then the
//! store's [`completeness`] record; so what the record claims is in the pages, whenever one looks.

pub mod coarse;
pub mod completeness;
pub mod day_descriptor;
pub mod event;
pub mod fold;
pub mod pages;
pub mod reading;
pub mod rebuild;
pub mod stored;
