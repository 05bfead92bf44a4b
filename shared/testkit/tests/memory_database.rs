//! The database in memory keeps the contract of the port, and can be behind as DynamoDB can.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::panic::catch_unwind;
use std::sync::Arc;
use std::time::Duration;

use tillstream_app::capacity::CapacityMeter;
use tillstream_app::database::{Change, Consistency, Database, Get, Index, Item, Query, Table, Write};
use tillstream_app::environment::Environment;
use tillstream_app::tenancy::TenantScope;
use tillstream_testkit::database_contract::capacity::{check_costs, workload};
use tillstream_testkit::database_contract::check_all;
use tillstream_testkit::database_contract::deviations::Deviations;
use tillstream_testkit::database_contract::streams::check_streams;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::test_environment::TestEnvironment;

#[tokio::test]
async fn memory_keeps_the_contract() {
    let meter = Arc::new(CapacityMeter::default());
    let database = MemoryDatabase::new().observed_by(meter.clone());
    let mut none = Deviations::none("memory");
    check_all(&database, "memory", &mut none).await;
    check_streams(&database, &database, "memory", &mut none).await;
    check_costs(&workload(&database, &meter, "memory").await, &mut none);
    none.finish();
}

/// What is listed is so: a check on the list that holds is noticed, and one that was not made.
#[test]
fn a_deviation_is_one_that_is_there() {
    fn known() -> Deviations {
        Deviations::of("it", &[("a", "does b")])
    }
    let mut met = known();
    met.judge("a", false, &"b");
    met.judge("c", true, &"c");
    met.finish();
    assert!(catch_unwind(|| known().judge("a", true, &"a")).is_err());
    assert!(catch_unwind(|| known().judge("c", false, &"d")).is_err());
    assert!(catch_unwind(|| known().finish()).is_err());
}

#[tokio::test]
async fn eventual_reads_and_indexes_can_be_behind() {
    let database = MemoryDatabase::new();
    database.set_lag(2);
    let scope = TenantScope::from_own_record("t");
    let item = |n: i64| {
        Item::new(&scope.stock("l", "s")).with("sku_pk", "sku").with("sku_sk", n.to_string()).with("seq", n)
    };
    for n in 1..=5 {
        database.write(Write::Put { table: Table::Stock, item: item(n), condition: None }).await.unwrap();
    }
    let seen = async |consistency| {
        let get = Get { table: Table::Stock, key: scope.stock("l", "s"), consistency };
        let one = database.get(get.clone()).await.unwrap();
        assert_eq!(database.get_many(vec![get.clone()]).await.unwrap(), std::slice::from_ref(&one));
        let partition = Query::partition(Table::Stock, scope.ledger("l", "s"));
        let page = database.query(Query { consistency, ..partition }).await.unwrap();
        assert_eq!(page.items.first(), one.as_ref());
        one.unwrap().number("seq").unwrap()
    };
    let indexed = async || {
        let page =
            database.query(Query::index(Table::Stock, Index::BySku, scope.sku_stock("s"))).await.unwrap();
        page.items.len()
    };
    assert_eq!((seen(Consistency::Strong).await, seen(Consistency::Eventual).await), (5, 3));
    assert_eq!(indexed().await, 0, "another partition");
    database.settle();
    assert_eq!(seen(Consistency::Eventual).await, 5);
}

#[tokio::test]
async fn an_index_catches_up() {
    let database = MemoryDatabase::new();
    database.set_lag(1);
    let scope = TenantScope::from_own_record("t");
    for (n, sku) in ["a", "b"].into_iter().enumerate() {
        let item = Item::new(&scope.stock("l", sku))
            .with("location_pk", scope.location_stock("l").value())
            .with("location_sk", sku)
            .with("seq", i64::try_from(n).unwrap());
        database.write(Write::Put { table: Table::Stock, item, condition: None }).await.unwrap();
    }
    let query = || Query::index(Table::Stock, Index::ByLocation, scope.location_stock("l"));
    assert_eq!(database.query(query()).await.unwrap().items.len(), 1);
    database.settle();
    assert_eq!(database.query(query()).await.unwrap().items.len(), 2);
}

#[tokio::test]
async fn tokens_and_items_live_as_long_as_they_should() {
    let environment = Arc::new(TestEnvironment::new(1));
    let database = MemoryDatabase::with_environment(environment.clone());
    let key = TenantScope::from_own_record("t").delivery("d");
    let in_an_hour = environment.now().as_second() + 3600;
    let add = || Write::Update {
        table: Table::Dispatch,
        key: key.clone(),
        changes: vec![Change::Add("n", 1), Change::Set("expires_at", in_an_hour.into())],
        condition: None,
    };
    let n = async || {
        let get = Get { table: Table::Dispatch, key: key.clone(), consistency: Consistency::Strong };
        database.get(get).await.unwrap().map(|item| item.number("n").unwrap())
    };
    database.transact(vec![add()]).await.unwrap();
    environment.advance(Duration::from_secs(599));
    database.transact(vec![add()]).await.unwrap();
    assert_eq!(n().await, Some(1), "the same request again");
    environment.advance(Duration::from_secs(1));
    database.transact(vec![add()]).await.unwrap();
    assert_eq!(n().await, Some(2), "its token is forgotten after ten minutes");
    database.expire();
    assert_eq!(n().await, Some(2));
    environment.advance(Duration::from_secs(3000));
    database.expire();
    assert_eq!(n().await, None);
}

/// A table that is set back has what it had, in its indexes too, and takes a transaction again that it took since.
#[tokio::test]
async fn a_restored_table_is_what_it_was() {
    let database = MemoryDatabase::new();
    let scope = TenantScope::from_own_record("t");
    let put = |sku: &str, seq: i64| {
        let item = Item::new(&scope.stock("l", sku))
            .with("location_pk", scope.location_stock("l").value())
            .with("location_sk", sku)
            .with("seq", seq);
        Write::Put { table: Table::Stock, item, condition: None }
    };
    let seen = async || {
        let index = Query::index(Table::Stock, Index::ByLocation, scope.location_stock("l"));
        let page = database.query(index).await.unwrap();
        let names = page.items.iter().map(|item| item.text("location_sk").unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    database.transact(vec![put("a", 1)]).await.unwrap();
    let before = (database.snapshot(Table::Stock), database.items(Table::Stock));
    let other = Item::new(&scope.product("a")).with("kind", "product");
    database.write(Write::Put { table: Table::Catalog, item: other, condition: None }).await.unwrap();
    database.set_lag(3);
    database.transact(vec![put("a", 2)]).await.unwrap();
    database.transact(vec![put("b", 1)]).await.unwrap();
    let changes = database.last_change(Table::Stock);
    database.restore(before.0);
    assert_eq!(database.items(Table::Stock), before.1);
    assert_eq!(seen().await, ["a"]);
    let get = Get { table: Table::Stock, key: scope.stock("l", "a"), consistency: Consistency::Eventual };
    assert_eq!(database.get(get).await.unwrap().unwrap().number("seq").unwrap(), 1, "no read is behind it");
    assert_eq!(database.last_change(Table::Stock), changes, "its stream tells nobody");
    assert_eq!(database.items(Table::Catalog).len(), 1, "other tables stay");
    database.transact(vec![put("b", 1)]).await.unwrap();
    assert_eq!(database.items(Table::Stock).len(), 2, "the same transaction within ten minutes is another");
}
