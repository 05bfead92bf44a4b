//! Dispatching finalised orders and closed shifts to HQ.
//!
//! The delivery record is the durable thing, the queue's message only a wake-up: what is lost, doubled
//! or late in the queue costs time, never a delivery. Each version of an order has one record, which is
//! `pending`, `waiting` (HQ is known to be down), `delivered`, `dead` or `discarded`.
//!
//! - [`announce`]: the relay makes the record and sends the wake-up;
//! - [`dispatcher`]: acts on a wake-up;
//! - [`sweeper`]: on a schedule, wakes what waited or was forgotten;
//! - [`listing`] and [`dead_letters`]: what people see and do.

pub mod announce;
mod breaker_record;
pub mod dead_letters;
pub mod delivery;
pub mod dispatcher;
pub mod listing;
pub mod message;
pub mod signature;
pub mod subject;
pub mod sweeper;
pub mod transport;
mod wake_up;

/// The only destination there is.
pub const HQ: &str = "hq";
