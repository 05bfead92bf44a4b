//! The till: shifts of a register, and their X and Z reports.
//!
//! A shift is one item, written on its version; opening and closing write it in one transaction with its
//! lane, on the lane as it was read. What a shift took is the lane's running totals at its end less those
//! at its beginning, so that closing reads no order. [`proof`] sums the orders beside it.

mod commands;
pub mod proof;
pub mod read;
mod refusals;
pub mod shift_item;
pub mod view;

pub use commands::run;

use tillstream_contracts::till::ShiftView;

/// What a command of a shift answers.
#[derive(Debug)]
pub struct Done {
    /// The shift as it was right after the command, whenever that was.
    pub shift: ShiftView,
    /// Whether it took effect before.
    pub replayed: bool,
}
