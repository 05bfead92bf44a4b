//! Reservations of more lines than one transaction takes.
//!
//! The lines of a long reservation stand in chunks beside its header, and each chunk is held, sold or given back
//! in one transaction. What is true of the whole is said by the header alone, and changed by one conditional
//! write of it: so clients see all of it or nothing, and one of two requests that contradict each other wins.
//!
//! `reserving → active → committing → committed`, or back to `active` where a part was committed;
//! `active → releasing → released`; `active → expired` by whoever first wants what it held when its time was
//! over; `reserving → giving_up`, after which header and chunks are gone as if it had never been asked for.
//!
//! - While the header says `reserving`, a chunk is held by a transaction that checks it. Chunks are held in
//!   order of location and SKU: of reservations that want the same, the one that comes first to what both
//!   want goes on, so never all of them give up for one another.
//! - `committing` and `releasing` are decisions: what is left to do follows from the header and the chunks, can
//!   always be done, and is done by whoever meets it, any number at once.
//! - Its hold lines name the attempt that made them, and do not end by themselves: who finds one past its time
//!   asks the header, and where it is over by that too, marks it `expired` before anything is freed. So an
//!   extension is one write, and nothing of what is being committed can be freed meanwhile.

mod change;
pub mod chunk;
mod drive;
pub(in crate::stock) mod fate;
mod give_back;
pub mod header;
mod hold;
mod reserve;
mod settle;

pub(in crate::stock) use change::{commit_part, commit_whole, extend, places_of, release};
pub use drive::{finish, recover};
pub(in crate::stock) use header::find;
pub use reserve::find_at_rest;
pub(in crate::stock) use reserve::{at_rest, reserve};
