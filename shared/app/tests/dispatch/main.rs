//! Dispatching, from the finalised order to HQ, in virtual time.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test that cannot go on fails")]

mod administration;
mod closed_shifts;
mod crashes;
mod database_faults;
mod keeper;
mod long_lists;
mod outages;
mod poison;
mod restore;
mod stock_facts;
mod sweeps;
mod troubled_database;
mod troubled_queue;
mod wake_ups;
mod world;
