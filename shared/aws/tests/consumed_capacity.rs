//! The database in memory charges what the adapter reports, so that a benchmark in memory tells the
//! price of a request.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use tillstream_app::capacity::{CapacityKind, CapacityMeter, CapacitySums};
use tillstream_app::database::{
    Change, Condition, Consistency, Database, Get, Index, Item, Query, Table, Write,
};
use tillstream_app::tenancy::TenantScope;
use tillstream_testkit::emulator::DynamoFixture;
use tillstream_testkit::memory_database::MemoryDatabase;

/// Does a bit of everything; answers what each step cost.
async fn workload(database: &dyn Database, meter: &CapacityMeter) -> Vec<(&'static str, CapacitySums)> {
    let scope = TenantScope::from_own_record("capacity");
    let mut steps = Vec::new();
    let mut step = |name| steps.push((name, meter.take()));
    let put = |item| Write::Put { table: Table::Orders, item, condition: None };
    let key = |n: &str| scope.cart(n);
    let plain = |n: &str, bytes: usize| Item::new(&key(n)).with("data", vec![7_u8; bytes]).with("n", 1_200);
    let indexed = |n: &str, number: i64, status: &str| {
        plain(n, 1500)
            .with("lane_pk", "lane")
            .with("lane_number", number)
            .with("store_pk", "store")
            .with("store_sk", n)
            .with("status", status)
    };
    let update =
        |n: &str, changes| Write::Update { table: Table::Orders, key: key(n), changes, condition: None };
    let delete = |n: &str| Write::Delete { table: Table::Orders, key: key(n), condition: None };
    let get = |n: &str, consistency| Get { table: Table::Orders, key: key(n), consistency };

    database.write(put(plain("small", 10))).await.unwrap();
    step("small put");
    database.write(put(plain("small", 5_000))).await.unwrap();
    step("put over a smaller item");
    database.write(put(plain("small", 100))).await.unwrap();
    step("put over a larger item");
    database.write(put(indexed("order", 5, "open"))).await.unwrap();
    step("put into two indexes");
    database.write(update("order", vec![Change::Add("n", 1)])).await.unwrap();
    step("update of what no index holds");
    database.write(update("order", vec![Change::Set("status", "final".into())])).await.unwrap();
    step("update of what an index carries");
    database.write(update("order", vec![Change::Set("lane_number", 6.into())])).await.unwrap();
    step("move within an index");
    let both = vec![put(indexed("other", 7, "final")), update("small", vec![Change::Add("n", 1)])];
    database.transact(both).await.unwrap();
    step("transaction");
    let check = Write::Check { table: Table::Orders, key: key("order"), condition: Condition::Exists };
    database.transact(vec![check, update("small", vec![Change::Add("n", 2)])]).await.unwrap();
    step("transaction with a check");
    for consistency in [Consistency::Strong, Consistency::Eventual] {
        database.write(put(plain("large", 9_000))).await.unwrap();
        meter.take();
        database.get(get("large", consistency)).await.unwrap();
        step("get");
        database.get(get("none", consistency)).await.unwrap();
        step("get of nothing");
        let gets = vec![get("large", consistency), get("none", consistency), get("large", consistency)];
        database.get_many(gets).await.unwrap();
        step("several gets");
    }
    let together = vec![get("large", Consistency::Strong), get("none", Consistency::Strong)];
    database.get_together(together).await.unwrap();
    step("gets together");
    for n in 0..7 {
        let hold = Item::new(&scope.hold("l", "s", &n.to_string())).with("data", vec![1_u8; 1000]);
        database.write(Write::Put { table: Table::Stock, item: hold, condition: None }).await.unwrap();
    }
    meter.take();
    let holds = || Query::partition(Table::Stock, scope.holds("l", "s"));
    database.query(holds()).await.unwrap();
    step("query");
    database.query(Query { consistency: Consistency::Eventual, limit: 3, ..holds() }).await.unwrap();
    step("short eventual query");
    database.query(Query::index(Table::Orders, Index::ByLane, scope.store_orders("none"))).await.unwrap();
    step("index query of nothing");
    let rows = (0..30).map(|n| Item::new(&scope.ledger_row("l", "s", n)).with("n", 1)).collect();
    database.put_many(Table::Ledger, rows).await.unwrap();
    step("batch of puts");
    database.write(delete("order")).await.unwrap();
    step("delete from indexes");
    database.write(delete("order")).await.unwrap();
    step("delete of nothing");
    steps
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_charges_what_the_adapter_reports() {
    let meter = Arc::new(CapacityMeter::default());
    let memory = workload(&MemoryDatabase::new().observed_by(meter.clone()), &meter).await;
    let fixture = DynamoFixture::dynoxide_observed(meter.clone()).await.unwrap();
    meter.take();
    let emulated = workload(&*fixture.database, &meter).await;
    for ((name, memory), (_, emulated)) in memory.iter().zip(&emulated) {
        assert_eq!(memory, emulated, "{name}");
    }
    let small = &memory[0].1;
    assert_eq!((small.write(), small.read()), (1_000, 0));
    assert_eq!(memory[3].1.at(Table::Orders, Some(Index::ByStore), CapacityKind::Write), 1_000);
}
