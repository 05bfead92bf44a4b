//! What the engineer on call asks of `stock-keeper`: sample events are read as they are meant, and what is no
//! request is the schedule's.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use stock_keeper::Keeper;
use tillstream_app::database::{Database, Item, Table, Write};
use tillstream_runtime::schedule::Job;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::memory_messaging::{MemoryQueue, MemoryStream};
use tillstream_testkit::shop::Shop;
use tillstream_testkit::test_environment::TestEnvironment;

fn sample(name: &str) -> Value {
    let path = format!("{}/../events/stock-keeper/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

async fn keeper() -> Keeper {
    let environment = Arc::new(TestEnvironment::new(3));
    let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    let shop = Shop::open(database.clone(), environment.clone()).await.unwrap();
    let item = Item::new(&shop.scope.registry_entry());
    database.write(Write::Put { table: Table::Catalog, item, condition: None }).await.unwrap();
    let stream = Arc::new(MemoryStream::new(1, environment.clone()));
    Keeper { ports: shop.ports, stream, queue: Arc::new(MemoryQueue::new(environment)) }
}

#[tokio::test]
async fn a_request_is_answered_and_the_schedule_asks_for_nothing() {
    let keeper = keeper().await;
    let ask = async |event: Value| keeper.asked(&event, Timestamp::MAX).await.unwrap();
    assert_eq!(ask(sample("schedule")).await, None);
    assert_eq!(
        ask(sample("restore")).await,
        Some(json!({"tenants": [], "unfinished": [], "unknown": ["restored-tenant"]}))
    );
    let demo = |raised: usize| json!({"tenant_id": "demo", "epoch": 1, "lanes": 8, "raised": raised, "finished": true});
    for raised in [8, 0] {
        let answer = ask(json!({"restore": {"id": "now"}})).await.unwrap();
        assert_eq!(answer, json!({"tenants": [demo(raised)], "unfinished": [], "unknown": []}));
    }
    let compared = ask(sample("compare-lanes")).await.unwrap();
    let demo = json!({"tenant_id": "demo", "lanes": 16, "differences": [], "left_out": 0});
    assert_eq!(compared, json!({"tenants": [demo], "unfinished": [], "unknown": []}));
}

/// What is nearly a request is refused: nobody is to believe that epochs were raised.
#[tokio::test]
async fn what_is_nearly_a_request_is_refused() {
    let keeper = keeper().await;
    for event in [
        json!({"restore": {}}),
        json!({"restore": {"id": "x", "tenant": "demo"}}),
        json!({"restore": {"id": "x"}, "compare_lanes": {}}),
        json!({"restore": {"id": "x"}, "source": "aws.events"}),
        json!({"restore": "x"}),
    ] {
        let refused = keeper.asked(&event, Timestamp::MAX).await.unwrap_err();
        assert_eq!(refused.code(), Some("request_malformed"), "{event}");
    }
    let early = keeper.asked(&json!({"restore": {"id": "x"}}), Timestamp::UNIX_EPOCH).await.unwrap().unwrap();
    assert_eq!(early["unfinished"], json!(["demo"]));
}
