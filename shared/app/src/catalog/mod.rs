//! Products, prices and locations.

pub mod items;
