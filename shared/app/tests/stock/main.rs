//! Stock: reservations, updates, expiry, ledger, on the database in memory.

#![allow(clippy::unwrap_used, clippy::panic, reason = "in a test the panic is the report")]

mod alert_tests;
mod backorder_tests;
mod change_feed_tests;
mod conservation_tests;
mod count_sheet_tests;
mod counted_calls;
mod counter_tests;
mod ending_tests;
mod exception_tests;
mod fixture;
mod gap_tests;
mod hot_stock_tests;
mod interleaving_tests;
mod kit_tests;
mod layout_tests;
mod ledger_tests;
mod lifecycle_tests;
mod long_kit_tests;
mod long_reservation_tests;
mod lot_commit_tests;
mod lot_concurrency_tests;
mod lot_count_tests;
mod lot_help;
mod lot_here_tests;
mod lot_tests;
mod many_holds_tests;
mod many_locations_tests;
mod many_lots_tests;
mod mass_expiry_tests;
mod part_commit_tests;
mod purchase_order_tests;
mod quiet_stock_tests;
mod read_tests;
mod reconciliation_tests;
mod reservation_tests;
mod restock_tests;
mod sourced_kit_tests;
mod sourcing_tests;
mod split_tests;
mod streamed;
mod transfer_tests;
mod trouble_tests;
mod unsynced_tests;
mod update_tests;
