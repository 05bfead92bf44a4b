//! Fakes that behave as the real thing, faults to inject, and pollers with AWS's semantics.

pub mod memory_database;
pub mod test_environment;
