//! The keeper: whose numbers it looks after, what it sends again and when, and that a run which has no
//! time for all ends in time.

mod fixture;
mod lane_tests;
mod run_tests;
mod share_tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tillstream_app::aggregation::event::parse_event;
use tillstream_app::aggregation::fold::fold_batch;
use tillstream_app::analytics::sales::sales;
use tillstream_app::environment::Environment;
use tillstream_app::keeper;
use tillstream_app::orders::read::list;
use tillstream_app::ports::{EventStream, StreamRecord};
use tillstream_app::pos::execute::execute;
use tillstream_app::sync::entities::Entity;
use tillstream_app::sync::upload::{Upload, upload};
use tillstream_app::tenancy::{Caller, Role, Stores, TenantScope};
use tillstream_contracts::analytics::SalesQuery;
use tillstream_contracts::orders::OrderFilter;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::memory_messaging::{MemoryQueue, MemoryStream};
use tillstream_testkit::shop::{Shop, caller, envelope};
use tillstream_testkit::test_environment::TestEnvironment;

fn hq() -> Caller {
    Caller {
        scope: TenantScope::from_own_record("demo"),
        subject: "hq".to_owned(),
        roles: BTreeSet::from([Role::Integration]),
        stores: Stores::All,
        register_id: None,
    }
}

async fn feed(shop: &Shop, line: Value) {
    let body = format!("{line}\n");
    let deadline = shop.ports.environment.now() + Duration::from_secs(60);
    let sent = Upload { entity: Entity::Locations, body: body.as_bytes(), from: 1, deadline };
    let reply = upload(&shop.ports, &hq(), sent).await.unwrap();
    assert_eq!(reply.failed, 0, "{:?}", reply.errors);
}

fn store(id: &str, version: u64, registers: &[&str]) -> Value {
    json!({"id": id, "version": version, "op": "upsert", "data": {"id": id, "kind": "store",
        "name": id, "time_zone": "Europe/London", "currency": "GBP", "registers": registers}})
}

/// Orders listed, and orders in the figures.
async fn found(shop: &Shop, store_id: Option<&str>) -> (usize, u64) {
    let (who, store_id) = (caller("demo", &[Role::Analyst]), store_id.map(str::to_owned));
    let filter = OrderFilter { store_id: store_id.clone(), ..OrderFilter::default() };
    let listed = list(&shop.ports, &who, filter).await.unwrap().items.len();
    let day = Some("2010-12-01".to_owned());
    let query = SalesQuery { store_id, from: day.clone(), to: day, ..SalesQuery::default() };
    let rows = sales(&shop.ports, &who, &query, None).await.unwrap().reply.rows;
    (listed, rows.iter().map(|row| row.metrics.orders).sum())
}

#[tokio::test]
async fn what_a_retired_register_or_a_closed_store_sold_is_sent_again() {
    for closed in [false, true] {
        let environment = Arc::new(TestEnvironment::new(4));
        let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
        let shop = Shop::open(database, environment.clone()).await.unwrap();
        shop.product("s-1", "A", "1.00", 10).await.unwrap();
        feed(&shop, store("s-1", 2, &["r-1", "r-2"])).await;
        for (register, cart) in [("r-1", "a"), ("r-2", "b"), ("r-2", "c")] {
            shop.ready(register, cart, &[("A", 1)]).await.unwrap();
            shop.finalize(register, cart).await.unwrap();
        }
        // Nothing of it was relayed, and r-2 is taken down, then given up altogether.
        feed(&shop, store("s-1", 3, &["r-1"])).await;
        feed(&shop, store("s-1", 4, &["r-1", "r-3"])).await;
        if closed {
            feed(&shop, json!({"id": "s-1", "version": 5, "op": "delete"})).await;
        }
        let stream = MemoryStream::new(1, environment.clone());
        let queue = MemoryQueue::new(environment.clone());
        for _ in 0..2 {
            let deadline = environment.now() + Duration::from_secs(60);
            keeper::run(&shop.ports, &stream, &queue, deadline).await.unwrap();
            environment.advance(Duration::from_secs(61));
        }
        assert_eq!((stream.all().len(), queue.len()), (3, 3), "closed: {closed}");
        let events = stream.all().iter().map(|record| parse_event(&record.data).unwrap()).collect();
        assert!(fold_batch(&shop.ports, events).await.is_empty());
        for store_id in [None, Some("s-1")] {
            assert_eq!(found(&shop, store_id).await, (3, 3), "closed: {closed}, {store_id:?}");
        }
    }
}

/// What a store takes, sent again in one call.
const STORE: Duration = Duration::from_secs(10);

/// A stream that takes its time.
struct SlowStream {
    inner: MemoryStream,
    environment: Arc<TestEnvironment>,
}

#[async_trait]
impl EventStream for SlowStream {
    async fn publish(&self, records: &[StreamRecord]) -> tillstream_app::Result<Vec<usize>> {
        self.environment.advance(STORE);
        self.inner.publish(records).await
    }
}

const STORES: [&str; 4] = ["s-1", "s-2", "s-3", "s-4"];

async fn sell(shop: &Shop, store: &str) {
    let cart = format!("c-{store}");
    let pay = json!({"cart_id": cart, "tender": "card", "amount": {"amount": 100, "currency": "GBP"}});
    for (action, payload) in [
        ("create_cart", json!({"cart_id": cart})),
        ("add_line_item", json!({"cart_id": cart, "sku": "A", "quantity": 1})),
        ("set_tendering", json!({"cart_id": cart})),
        ("add_payment", pay),
        ("finalize_order", json!({"cart_id": cart})),
    ] {
        let command = envelope(store, "r-1", &format!("{cart}-{action}"), action, payload);
        execute(&shop.ports, &caller("demo", &[Role::Operator]), command).await.unwrap();
    }
}

#[tokio::test]
async fn a_run_ends_in_time_and_another_begins_with_other_stores() {
    let environment = Arc::new(TestEnvironment::new(4));
    let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    let shop = Shop::open(database, environment.clone()).await.unwrap();
    for id in STORES {
        feed(&shop, store(id, 2, &["r-1"])).await;
        shop.product(id, "A", "1.00", 10).await.unwrap();
        sell(&shop, id).await;
    }
    // Nothing was relayed, nothing is ever folded: each store is sent again whenever its turn comes.
    let stream =
        SlowStream { inner: MemoryStream::new(1, environment.clone()), environment: environment.clone() };
    let queue = MemoryQueue::new(environment.clone());
    let time = STORE + STORE / 2;
    for _ in 0..3 * STORES.len() {
        let begun = environment.now();
        keeper::run(&shop.ports, &stream, &queue, begun + time).await.unwrap();
        let took = Duration::try_from(environment.now() - begun).unwrap();
        assert!(took <= time + STORE, "{took:?}: no store is begun when the time is over");
        environment.advance(Duration::from_secs(60) - took);
    }
    let sent: BTreeSet<String> = stream.inner.all().into_iter().map(|record| record.partition_key).collect();
    assert_eq!(sent.len(), STORES.len(), "none is left out for good: {sent:?}");
}
