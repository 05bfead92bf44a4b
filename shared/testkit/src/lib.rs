//! Fakes that behave as the real thing, faults to inject, and pollers with AWS's semantics.

pub mod database_contract;
#[cfg(feature = "emulator")]
pub mod emulator;
pub mod memory_database;
pub mod shop;
pub mod test_environment;
pub mod tokens;
