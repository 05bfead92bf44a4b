//! Dispatching, from the finalised order to HQ, in virtual time.

mod administration;
mod crashes;
mod outages;
mod poison;
mod troubled_database;
mod troubled_queue;
mod wake_ups;
mod world;
