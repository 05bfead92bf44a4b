//! The pure rules of Tillstream: no I/O, no clock, no AWS.
//!
//! Everything here is a function of its arguments. Time comes in as [`jiff::Timestamp`], randomness not
//! at all, so that the same inputs give the same outputs in a till, in a rebuild and in a test.

pub mod aggregates;
pub mod apportion;
pub mod approval;
pub mod backorder;
pub mod breaker;
pub mod business_day;
pub mod card_number;
pub mod cart;
pub mod category;
pub mod compact;
pub mod coordinates;
pub mod count_sheet;
pub mod coupon;
pub mod customer;
pub mod identifier;
pub mod interval_set;
pub mod kit;
pub mod lane;
pub mod location;
pub mod lot_book;
pub mod money;
pub mod pricing;
pub mod product;
pub mod purchase_order;
pub mod quantity;
pub mod replenishment;
pub mod signed_unit_price;
pub mod sourcing;
pub mod stock_alert;
pub mod stock_policies;
pub mod stored_value;
pub mod supplier;
pub mod tenant_settings;
pub mod till;
pub mod transfer;
pub mod transfer_lots;
pub mod turnover;
pub mod use_counting;
