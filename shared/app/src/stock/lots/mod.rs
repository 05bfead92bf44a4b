//! Lots: batches of goods with a last day of sale, of which the one that expires first goes first, and which can be
//! recalled.
//!
//! A stock item that is kept by lots carries its book of lots ([`tillstream_domain::lot_book`]). The counters stay
//! what they are for all other stock: available is on hand less reserved less safety stock, and no hold knows of lots.
//! Whoever names a lot (a delivery, a sale that took it from the shelf, an adjustment, a recall, the end of its day)
//! writes the counters and the book in one update. What a movement that named none took follows from the book and the
//! counters before and after it, and is noted where its ledger row is made ([`trace`]).
//!
//! What is recalled, or past its day, is not on hand: it is counted apart, as `quarantined`.

pub(crate) mod back;
pub mod due;
mod header;
pub mod here;
pub(crate) mod leaving;
pub mod list;
mod named;
mod proof;
pub mod recall;
pub mod sold;
mod stock;
pub mod trace;

pub(super) use named::{LotIs, Named, Naming, Said, known_all, lots_are, named};
pub(super) use proof::{LotSums, ProvedLots, prove};
pub(super) use stock::{LotStock, Taking};
