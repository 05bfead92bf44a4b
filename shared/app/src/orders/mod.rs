//! Orders from elsewhere, and reading orders.

pub mod place;
pub mod read;
pub mod record;
mod reserved;
pub mod status;
