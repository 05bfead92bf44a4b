//! Stock: counters, reservations, ledger.

pub mod counters;
