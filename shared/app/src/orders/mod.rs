//! Orders from elsewhere, and reading orders.

mod as_cart;
mod checks;
mod discounts;
pub mod place;
pub mod read;
pub mod record;
mod reserved;
pub mod status;
