//! Fakes that behave as the real thing, faults to inject, and pollers with AWS's semantics.

#[cfg(feature = "emulator")]
pub mod database_contract;
pub mod emulator;
pub mod hq_stand_in;
pub mod memory_database;
pub mod shop;
pub mod test_environment;
pub mod tokens;
