//! Stock: counters, reservations, ledger.

pub mod counters;
pub mod expiry;
pub mod reservations;
