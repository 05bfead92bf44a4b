//! Numbers given out by a register that is gone, or in a store that is, are looked after as all others.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tillstream_app::environment::Environment;
use tillstream_app::keeper;
use tillstream_app::sync::entities::Entity;
use tillstream_app::sync::upload::{Upload, upload};
use tillstream_app::tenancy::{Caller, Role, Stores, TenantScope};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::memory_messaging::{MemoryQueue, MemoryStream};
use tillstream_testkit::shop::Shop;
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

fn store(version: u64, registers: &[&str]) -> Value {
    json!({"id": "s-1", "version": version, "op": "upsert", "data": {"id": "s-1", "kind": "store",
        "name": "s-1", "time_zone": "Europe/London", "currency": "GBP", "registers": registers}})
}

#[tokio::test]
async fn what_a_retired_register_or_a_closed_store_sold_is_sent_again() {
    for closed in [false, true] {
        let environment = Arc::new(TestEnvironment::new(4));
        let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
        let shop = Shop::open(database, environment.clone()).await.unwrap();
        shop.product("s-1", "A", "1.00", 10).await.unwrap();
        feed(&shop, store(2, &["r-1", "r-2"])).await;
        for (register, cart) in [("r-1", "a"), ("r-2", "b"), ("r-2", "c")] {
            shop.ready(register, cart, &[("A", 1)]).await.unwrap();
            shop.finalize(register, cart).await.unwrap();
        }
        // Nothing of it was relayed, and r-2 is taken down, then given up altogether.
        feed(&shop, store(3, &["r-1"])).await;
        feed(&shop, store(4, &["r-1", "r-3"])).await;
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
    }
}
