//! The till: commands on carts.

pub mod cart_item;
