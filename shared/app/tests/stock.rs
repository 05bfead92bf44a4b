//! Stock: reservations, updates, expiry, ledger, on the database in memory.

#![allow(clippy::unwrap_used, clippy::panic, reason = "in a test the panic is the report")]

#[path = "stock/counter_tests.rs"]
mod counter_tests;
#[path = "stock/ending_tests.rs"]
mod ending_tests;
#[path = "stock/fixture.rs"]
mod fixture;
#[path = "stock/gap_tests.rs"]
mod gap_tests;
#[path = "stock/hot_stock_tests.rs"]
mod hot_stock_tests;
#[path = "stock/layout_tests.rs"]
mod layout_tests;
#[path = "stock/ledger_tests.rs"]
mod ledger_tests;
#[path = "stock/lifecycle_tests.rs"]
mod lifecycle_tests;
#[path = "stock/quiet_stock_tests.rs"]
mod quiet_stock_tests;
#[path = "stock/read_tests.rs"]
mod read_tests;
#[path = "stock/reservation_tests.rs"]
mod reservation_tests;
#[path = "stock/split_tests.rs"]
mod split_tests;
#[path = "stock/trouble_tests.rs"]
mod trouble_tests;
#[path = "stock/update_tests.rs"]
mod update_tests;
