//! Sizes of items, and what reading and writing them costs, as DynamoDB's guide has them.

use std::sync::Arc;

use tillstream_app::capacity::CapacityMeter;
use tillstream_app::database::{Consistency, Database, Get, Item, Key, Table, Write};
use tillstream_app::tenancy::TenantScope;
use tillstream_testkit::memory_database::{MemoryDatabase, item_size};

#[test]
fn sizes_are_those_of_the_guide() {
    // Its name is the one byte besides.
    let number = |number: i64| item_size(&Item::default().with("n", number)) - 1;
    assert_eq!([number(0), number(7), number(-7), number(1000), number(123_456)], [1, 2, 3, 2, 4]);
    let item = Item::default().with("pk", "a").with("ä", true);
    assert_eq!(item_size(&item), 2 + 1 + 2 + 1);
}

/// An item of so many bytes.
fn item_of(key: &Key, bytes: usize) -> Item {
    let item = Item::new(key).with("text", "");
    let missing = bytes - item_size(&item);
    item.with("text", "x".repeat(missing))
}

#[tokio::test]
async fn a_unit_is_a_kilobyte_written_and_four_read() {
    let meter = Arc::new(CapacityMeter::default());
    let database = MemoryDatabase::new().observed_by(meter.clone());
    let scope = TenantScope::from_own_record("t");
    // What is not there costs what the least costs.
    let missing = Write::Delete { table: Table::Orders, key: scope.cart("missing"), condition: None };
    database.write(missing).await.unwrap();
    let get = |key: Key| Get { table: Table::Orders, key, consistency: Consistency::Eventual };
    database.get(get(scope.cart("missing"))).await.unwrap();
    assert_eq!((meter.sums().write(), meter.take().read()), (1_000, 500));
    for (bytes, written, read) in
        [(1_024_usize, 1_000, 500), (1_025, 2_000, 500), (4_096, 4_000, 500), (4_097, 5_000, 1_000)]
    {
        let key = scope.cart(&bytes.to_string());
        let item = item_of(&key, bytes);
        database.write(Write::Put { table: Table::Orders, item, condition: None }).await.unwrap();
        database.get(get(key)).await.unwrap();
        assert_eq!((meter.sums().write(), meter.take().read()), (written, read), "{bytes}");
    }
}
