//! What must hold: some of it after every step, all of it at rest.

pub mod always;
mod approvals;
mod at_hq;
pub mod at_rest;
mod catalogue;
mod coins;
mod differences;
mod figures;
mod followed;
mod gift_cards;
pub mod log_lines;
mod parked;
mod priced;
pub mod questions;
mod restored;
mod shifts;
mod transfers;
