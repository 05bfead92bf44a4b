//! Fakes that behave as the real thing, faults to inject, and pollers with AWS's semantics.

pub mod database_contract;
pub mod due_lots;
#[cfg(feature = "emulator")]
pub mod emulator;
#[cfg(feature = "emulator")]
mod emulator_streams;
pub mod event_payloads;
pub mod faults;
pub mod heard_database;
pub mod hq_stand_in;
pub mod interleavings;
pub mod item_name;
pub mod made_up_sales;
pub mod memory_database;
pub mod memory_messaging;
pub mod partition_limits;
pub mod poller;
pub mod shop;
pub mod simulator;
pub mod test_environment;
pub mod tokens;
