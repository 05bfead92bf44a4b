//! The shape every function shares: configuration, logging, wide events, authentication, problem
//! documents, batch adapters.
//!
//! A function's `main` is three lines: [`clients::start`] reads the configuration, sets up logging,
//! builds and warms the clients; then [`http::serve`] or one of [`batch`]'s `serve` functions runs it.

pub mod auth;
pub mod batch;
mod caught;
pub mod clients;
pub mod config;
pub mod counted_database;
pub mod http;
pub mod logging;
pub mod problem;
pub mod schedule;
pub mod wide_event;

pub use problem::Problem;
