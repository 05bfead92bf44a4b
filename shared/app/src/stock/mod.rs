//! Stock: counters, reservations, ledger.

mod attempts;
pub mod change_feed;
pub mod conservation;
pub mod counters;
pub mod exceptions;
pub mod expiry;
pub mod holds;
pub mod hot_stock;
mod index_page;
pub mod layout;
pub mod ledger;
pub mod ledger_gaps;
pub mod listing;
pub mod movements;
pub mod read;
mod references;
mod request_identity;
pub mod reservation_item;
pub mod reservations;
pub mod reserve;
mod shortage;
pub mod split;
pub mod standing;
pub mod take;
pub mod transfers;
pub mod update;
