//! Dispatching, from the finalised order to HQ, in virtual time.

mod administration;
mod crashes;
mod fifo_queue;
mod outages;
mod poison;
mod troubled_database;
mod wake_ups;
mod world;
