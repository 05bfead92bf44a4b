//! What must hold: some of it after every step, all of it at rest.

pub mod always;
pub mod at_rest;
mod catalogue;
pub mod log_lines;
pub mod questions;
