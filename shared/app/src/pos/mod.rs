//! The till: commands on carts, from the first line to the number.

pub mod batch;
pub mod cart_item;
pub mod cart_write;
pub mod carts;
pub mod claims;
pub mod context;
mod discounts;
pub mod envelope;
pub mod execute;
pub mod finalize;
pub mod identity;
pub mod lane_write;
pub mod limited_uses;
pub mod lines;
pub mod offline_oversell;
pub mod plan;
mod promotions;
mod refusals;
pub mod returns;
pub mod shortage;
mod tenders;
pub mod view;
