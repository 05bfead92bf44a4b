//! Orders from elsewhere, and reading orders.

pub mod place;
pub mod read;
mod reserved;
