//! Orders on reservations of more lines than one transaction takes.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tillstream_app::capacity::Operation;
use tillstream_app::database::Table;
use tillstream_app::environment::Environment;
use tillstream_app::orders::place;
use tillstream_app::pos::cart_write::Executed;
use tillstream_app::stock::{expiry, long_reservations, reservations, reserve};
use tillstream_app::tenancy::{Caller, Role};
use tillstream_app::{Ports, Result};
use tillstream_contracts::inventory::ReservationStatus;
use tillstream_testkit::faults::{Fault, FaultyDatabase};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop, caller};
use tillstream_testkit::test_environment::TestEnvironment;

/// More than one transaction takes, and than a long order's chunk.
const SKUS: usize = 110;

fn sku(n: usize) -> String {
    format!("SKU-{n:04}")
}

struct World {
    shop: Shop,
    database: Arc<MemoryDatabase>,
    environment: Arc<TestEnvironment>,
    operator: Caller,
}

impl World {
    /// A shop with five of each, of which two of each are held.
    async fn new() -> Self {
        let environment = Arc::new(TestEnvironment::new(5));
        let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
        let shop = Shop::open(database.clone(), environment.clone()).await.unwrap();
        for n in 0..SKUS {
            shop.product(STORE, &sku(n), "1.00", 5).await.unwrap();
        }
        let world = World { shop, database, environment, operator: caller("demo", &[Role::Operator]) };
        let lines: Vec<Value> =
            (0..SKUS).map(|n| json!({"location_id": STORE, "sku": sku(n), "quantity": 2})).collect();
        let hold = json!({"reservation_id": "hold", "ttl_seconds": 120, "lines": lines});
        let hold = serde_json::from_value(hold).unwrap();
        reserve::reserve(&world.shop.ports, &world.operator, "hold", &hold).await.unwrap();
        world
    }

    /// On hand and reserved, the same of all, in pieces.
    async fn stock(&self, label: &str) -> (i64, i64) {
        let first = self.shop.counters(STORE, &sku(0)).await.unwrap();
        for n in 0..SKUS {
            let counters = self.shop.counters(STORE, &sku(n)).await.unwrap();
            assert_eq!((counters.on_hand, counters.reserved), (first.on_hand, first.reserved), "{label} {n}");
        }
        (first.on_hand / 1_000, first.reserved / 1_000)
    }

    fn final_orders(&self) -> usize {
        let items = self.database.items(Table::Orders);
        items.iter().filter(|item| item.opt_number("lane_number").is_some()).count()
    }

    async fn keep(&self) -> usize {
        let now = self.environment.now();
        let looked_at = long_reservations::recover(&self.shop.ports, now, 10, Timestamp::MAX).await.unwrap();
        expiry::sweep_expired(&self.shop.ports, now, Timestamp::MAX).await.unwrap();
        looked_at
    }
}

fn order(id: &str, pieces: i64) -> Value {
    let lines: Vec<Value> = (0..SKUS).map(|n| json!({"sku": sku(n), "quantity": pieces})).collect();
    json!({"order_id": id, "store_id": STORE, "channel": "web", "lines": lines, "reservation_id": "hold"})
}

async fn send(ports: &Ports, key: &str, order: Value) -> Result<Executed> {
    let who = caller("demo", &[Role::Integration]);
    place::place(ports, &who, key, serde_json::from_value(order).unwrap()).await
}

#[tokio::test]
async fn an_order_takes_a_long_reservation_whole_and_once() {
    let world = World::new().await;
    let refused = send(&world.shop.ports, "k", order("o", 1)).await.unwrap_err();
    assert_eq!(refused.code(), Some("reservation_mismatch"));
    let placed = send(&world.shop.ports, "k", order("o", 2)).await.unwrap();
    assert!(!placed.replayed);
    assert_eq!(world.stock("sold").await, (3, 0));
    let shown = reservations::get(&world.shop.ports, &world.operator, "hold").await.unwrap();
    assert_eq!((shown.status, shown.order_id.as_deref()), (ReservationStatus::Committed, Some("o")));
    assert!(send(&world.shop.ports, "k", order("o", 2)).await.unwrap().replayed);
    let other = send(&world.shop.ports, "l", order("other", 2)).await.unwrap_err();
    assert_eq!(other.code(), Some("reservation_not_active"));
    assert_eq!((world.stock("sold").await, world.final_orders()), ((3, 0), 1));
    world.environment.advance(Duration::from_secs(300));
    assert_eq!(world.keep().await, 0);
}

#[tokio::test]
async fn an_order_on_a_long_reservation_that_is_over_takes_nothing() {
    let world = World::new().await;
    world.environment.advance(Duration::from_secs(120));
    let refused = send(&world.shop.ports, "k", order("o", 2)).await.unwrap_err();
    assert_eq!(refused.code(), Some("reservation_expired"));
    world.keep().await;
    assert_eq!((world.stock("over").await, world.final_orders()), ((5, 0), 0));
}

/// Every write and every batch of reads is a place to die; the order and all of its stock go together, whoever
/// finishes it, also when the reservation's own time is over before.
#[tokio::test]
async fn a_death_at_every_step_leaves_an_order_with_its_stock_or_none() {
    let (mut deaths, mut finals) = (0, 0);
    for operation in [Operation::Transact, Operation::GetMany, Operation::Get] {
        for fault in [Fault::DiesBefore, Fault::DiesAfter] {
            for finished_by in ["repetition", "keeper", "time"] {
                for step in 0..40 {
                    let world = World::new().await;
                    let dying = Arc::new(FaultyDatabase::new(world.database.clone()));
                    dying.script(operation, std::iter::repeat_n(None, step).chain([Some(fault)]));
                    let environment: Arc<dyn Environment> = world.environment.clone();
                    let ports = Ports { database: dying.clone(), environment };
                    let task = tokio::spawn(async move { send(&ports, "k", order("o", 2)).await });
                    while dying.injected().is_empty() && !task.is_finished() {
                        tokio::task::yield_now().await;
                    }
                    for _ in 0..100 {
                        tokio::task::yield_now().await;
                    }
                    if task.is_finished() {
                        task.await.unwrap().unwrap();
                        break;
                    }
                    task.abort();
                    deaths += 1;
                    let label = format!("{operation:?} {fault:?} at {step}, {finished_by}");
                    match finished_by {
                        "repetition" => {
                            send(&world.shop.ports, "k", order("o", 2)).await.unwrap();
                            assert_eq!(world.final_orders(), 1, "{label}");
                        }
                        "keeper" => {
                            world.environment.advance(Duration::from_secs(60));
                            world.keep().await;
                        }
                        _ => {
                            world.environment.advance(Duration::from_secs(130));
                            world.keep().await;
                        }
                    }
                    let expected = match (world.final_orders(), finished_by) {
                        (1, _) => (3, 0),
                        (_, "time") => (5, 0),
                        _ => (5, 2),
                    };
                    finals += world.final_orders();
                    assert_eq!(world.stock(&label).await, expected, "{label}");
                    world.environment.advance(Duration::from_secs(60));
                    assert_eq!(world.keep().await, 0, "{label}");
                }
            }
        }
    }
    assert!(deaths >= 30 && finals >= 10 && finals < deaths, "{deaths} deaths, {finals} orders");
}

/// Of an order and a release of its reservation at once, one wins: the order with all of its stock, or none.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_an_order_and_a_release_one_wins() {
    let mut placed = 0;
    for round in 0..12 {
        let world = World::new().await;
        let ports = world.shop.ports.clone();
        let task = tokio::spawn(async move {
            if round % 3 > 0 {
                tokio::time::sleep(std::time::Duration::from_millis(round)).await;
            }
            send(&ports, "k", order("o", 2)).await
        });
        let (ports, who) = (world.shop.ports.clone(), world.operator.clone());
        let release = tokio::spawn(async move {
            if round % 3 < 2 {
                // The first order is let through, however busy the machine is.
                let wait = if round == 0 { 2_000 } else { 12 - round };
                tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
            }
            reservations::release(&ports, &who, "r", "hold").await
        });
        let (order, released) = (task.await.unwrap(), release.await.unwrap());
        assert_ne!(order.is_ok(), released.is_ok(), "{round}");
        let lost = order.as_ref().err().or(released.as_ref().err()).unwrap();
        assert_eq!(lost.code(), Some("reservation_not_active"), "{round}");
        let expected = if order.is_ok() { (3, 0) } else { (5, 0) };
        assert_eq!(world.stock("one of both").await, expected, "{round}");
        placed += usize::from(order.is_ok());
        let later = world.environment.now() + SignedDuration::from_mins(1);
        let ports = &world.shop.ports;
        assert_eq!(long_reservations::recover(ports, later, 10, Timestamp::MAX).await.unwrap(), 0);
    }
    assert!(placed > 0, "no order won: no test");
}
