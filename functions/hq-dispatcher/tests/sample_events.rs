//! The sample events, as the event source hands them over.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use hq_dispatcher::{FUNCTION, WakeUps};
use tillstream_app::database::Table;
use tillstream_app::dispatch::announce::{Fact, announce};
use tillstream_app::dispatch::dispatcher::{Dispatcher, Policy};
use tillstream_app::dispatch::signature::SigningSecret;
use tillstream_app::pos::cart_item::cart_of;
use tillstream_runtime::batch::{Batches, Failures, run_whole, sqs::Sqs};
use tillstream_testkit::hq_stand_in::{HqStandIn, Mode};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::memory_messaging::MemoryQueue;
use tillstream_testkit::shop::{STORE, Shop};
use tillstream_testkit::test_environment::TestEnvironment;

struct World {
    database: Arc<MemoryDatabase>,
    hq: Arc<HqStandIn>,
    batches: Batches,
    handler: WakeUps,
}

async fn world() -> World {
    let environment = Arc::new(TestEnvironment::new(1));
    let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    let shop = Shop::open(database.clone(), environment.clone()).await.unwrap();
    shop.product(STORE, "A", "2.55", 100).await.unwrap();
    let queue = Arc::new(MemoryQueue::new(environment.clone()));
    for order in ["c-1", "c-2"] {
        shop.ready("r-1", order, &[("A", 1)]).await.unwrap();
        shop.finalize("r-1", order).await.unwrap();
    }
    for item in database.items(Table::Orders).iter().filter(|item| item.get("lane_number").is_some()) {
        let Ok(cart) = cart_of(item) else { continue };
        let done = cart.finalized.unwrap();
        let fact = Fact {
            scope: shop.scope.clone(),
            order_id: cart.id,
            order_version: done.order_version,
            status: done.status,
            lane_number: done.number,
            at: done.at,
            payload: None,
        };
        announce(&shop.ports, queue.as_ref(), vec![fact]).await.unwrap();
    }
    let secret = SigningSecret::parse("a secret between tillstream and hq").unwrap();
    let hq = Arc::new(HqStandIn::new(secret.clone(), environment));
    let batches = Batches::telling(FUNCTION, &shop.ports, Failures::Report);
    let dispatcher =
        Dispatcher { ports: shop.ports, queue, transport: hq.clone(), secret, policy: Policy::default() };
    World { database, hq, batches, handler: WakeUps(dispatcher) }
}

impl World {
    /// Runs a sample event; answers the message ids that come back.
    async fn run(&self, name: &str) -> Vec<String> {
        let path = format!("{}/../../events/hq-dispatcher/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let event = std::fs::read_to_string(path).unwrap();
        let response = run_whole::<Sqs, _>(&self.batches, &self.handler, &event).await.unwrap();
        response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect()
    }

    fn accepted(&self) -> Vec<(String, u32, u32)> {
        let accepted = self.hq.accepted().into_iter();
        accepted.map(|order| (order.order_id, order.accepted, order.repeated)).collect()
    }

    fn parked(&self) -> Vec<String> {
        let items = self.database.items(Table::Dispatch);
        let parked = items.iter().filter(|item| item.text("pk").unwrap() == "parked");
        parked.map(|item| item.text("record").unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn normal() {
    let world = world().await;
    assert!(world.run("normal").await.is_empty());
    assert_eq!(world.accepted(), [("c-1".to_owned(), 1, 0), ("c-2".to_owned(), 1, 0)]);
    assert!(world.parked().is_empty());
}

#[tokio::test]
async fn duplicate() {
    let world = world().await;
    assert!(world.run("duplicate").await.is_empty());
    assert!(world.run("duplicate").await.is_empty());
    assert_eq!(world.accepted(), [("c-1".to_owned(), 1, 0)]);
    assert_eq!(world.hq.requests(), 1);
}

#[tokio::test]
async fn poison_is_parked_whole_and_stops_nobody() {
    let world = world().await;
    assert!(world.run("poison").await.is_empty());
    assert_eq!(world.accepted(), [("c-1".to_owned(), 1, 0)]);
    let parked = world.parked();
    assert_eq!(parked.len(), 2);
    assert!(parked.iter().any(|record| record.contains("hello")));
    assert!(parked.iter().any(|record| record.contains("never-was")));
}

#[tokio::test]
async fn what_is_not_delivered_comes_back() {
    let world = world().await;
    world.hq.set_mode(Mode::Fail);
    assert_eq!(world.run("normal").await.len(), 2);
    assert!(world.parked().is_empty() && world.accepted().is_empty());
}
