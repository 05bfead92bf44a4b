//! What each kind of call costs.
//!
//! Source: DynamoDB Developer Guide, "DynamoDB on-demand and provisioned capacity", "Consumed capacity".

use tillstream_app::capacity::{CapacityMeter, CapacitySums};
use tillstream_app::database::{
    Change, Condition, Consistency, Database, Get, Index, Item, Query, Table, Write,
};
use tillstream_app::tenancy::TenantScope;

use super::deviations::Deviations;

/// A step of the workload, and what it costs: thousandths of read and of write units, over the table and its
/// indexes, and round trips.
const COSTS: [(&str, u64, u64, u64); 22] = [
    ("small put", 0, 1_000, 1),
    ("put over a smaller item", 0, 5_000, 1),
    ("put over a larger item", 0, 5_000, 1),
    // Two kilobytes on the table, and an entry of less than one in each index.
    ("put into two indexes", 0, 4_000, 1),
    ("update of what no index holds", 0, 2_000, 1),
    ("update of what an index carries", 0, 3_000, 1),
    // An entry deleted and another one put.
    ("move within an index", 0, 4_000, 1),
    // Double on the tables: two kilobytes and one. Single on the indexes.
    ("transaction", 0, 8_000, 1),
    ("transaction with a check", 0, 6_000, 1),
    // Nine kilobytes are three times four; what is not there costs as four do, and who asks twice pays once.
    ("strong get", 3_000, 0, 1),
    ("strong get of nothing", 1_000, 0, 1),
    ("several strong gets", 4_000, 0, 1),
    ("eventual get", 1_500, 0, 1),
    ("eventual get of nothing", 500, 0, 1),
    ("several eventual gets", 2_000, 0, 1),
    ("gets together", 8_000, 0, 1),
    // Of the sum of what was read, not of each item.
    ("query", 2_000, 0, 1),
    ("short eventual query", 500, 0, 1),
    ("index query of nothing", 500, 0, 1),
    ("batch of puts", 0, 30_000, 2),
    ("delete from indexes", 0, 4_000, 1),
    ("delete of nothing", 0, 1_000, 1),
];

/// Does a bit of everything; answers what each step cost. `meter` is what the database tells.
pub async fn workload(
    database: &dyn Database,
    meter: &CapacityMeter,
    run: &str,
) -> Vec<(&'static str, CapacitySums)> {
    let scope = TenantScope::from_own_record(&format!("{run}-capacity"));
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

    meter.take();
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
    let strong = ["strong get", "strong get of nothing", "several strong gets"];
    let eventual = ["eventual get", "eventual get of nothing", "several eventual gets"];
    for (consistency, names) in [(Consistency::Strong, strong), (Consistency::Eventual, eventual)] {
        database.write(put(plain("large", 9_000))).await.unwrap();
        meter.take();
        database.get(get("large", consistency)).await.unwrap();
        step(names[0]);
        database.get(get("none", consistency)).await.unwrap();
        step(names[1]);
        let gets = vec![get("large", consistency), get("none", consistency), get("large", consistency)];
        database.get_many(gets).await.unwrap();
        step(names[2]);
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

/// Judges what the steps of [`workload`] cost.
pub fn check_costs(steps: &[(&'static str, CapacitySums)], deviations: &mut Deviations) {
    let names: Vec<&str> = steps.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, COSTS.map(|(name, _, _, _)| name), "every step has its cost");
    for ((name, sums), (_, read, write, calls)) in steps.iter().zip(COSTS) {
        let seen = (sums.read(), sums.write(), sums.calls.values().sum::<u64>());
        deviations.judge(name, seen == (read, write, calls), &seen);
    }
}
