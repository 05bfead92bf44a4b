//! The till: its commands, what they cost, and what becomes of carts, shifts and approvals.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test that cannot go on fails"
)]

mod after_sale;
mod approvals;
mod cart_holds;
mod chance;
mod coins_and_counters;
mod coins_offline;
mod commands;
mod discounts;
mod every_action;
mod exchanges;
mod found_less;
mod kits;
mod large_carts;
mod long_orders;
mod lots;
mod lots_back;
mod named_lots;
mod offline_oversell;
mod one_fault;
mod past_times;
mod policy_world;
mod pricing;
mod random_shifts;
mod returns;
mod sold_before_count;
mod split_stock_sales;
mod stock_policies;
mod stored_value;
mod tenant_settings;
mod till;
mod uploaded_sale;
mod uploads_in_parts;
