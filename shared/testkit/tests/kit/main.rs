//! The parts of the kit, each by itself. Here and not beside them, so that the package is not compiled a second time,
//! with optimisation, for a few tests.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod changed_by_hand;
mod faults;
mod interleavings;
mod item_sizes;
mod memory_messaging;
mod partition_limits;
mod scheduler;
mod simulated_books;
mod simulated_lots;
mod simulated_tenancy;
mod simulated_trouble;
