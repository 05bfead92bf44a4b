//! The database in memory keeps the contract of the port.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use tillstream_testkit::database_contract::check_all;
use tillstream_testkit::memory_database::MemoryDatabase;

#[tokio::test]
async fn memory_keeps_the_contract() {
    check_all(&MemoryDatabase::new(), "memory").await;
}
