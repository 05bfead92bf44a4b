//! What must hold: some of it after every step, all of it at rest.

pub mod alerts;
pub mod always;
mod approvals;
mod asked_totals;
mod at_hq;
pub mod at_rest;
mod catalogue;
mod coins;
pub mod corrected;
mod counted;
mod drawers;
mod figures;
mod followed;
mod gift_cards;
pub mod log_lines;
pub mod lots;
pub mod lots_at_rest;
mod parked;
mod priced;
pub mod questions;
pub mod reconciled;
mod restored;
mod shifts;
pub mod stock_watch;
mod supplied;
mod transfers;
mod waited;
