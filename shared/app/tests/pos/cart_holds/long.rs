//! Carts that hold more than one transaction takes: sold by a plan, given back step by step.

use tillstream_app::pos::plan;
use tillstream_testkit::faults::{Fault, FaultyDatabase};

use super::*;

/// Of so many SKUs a sale alone fits one transaction, and with as many hold lines does not.
const SKUS: usize = 60;

fn sku(n: usize) -> String {
    format!("L-{n:03}")
}

/// A store with so many of each, and a cart that holds one of each.
async fn world(seed: u64, pieces: i64) -> World {
    let world = World::that_holds(seed, 1).await;
    for n in 0..SKUS {
        world.shop.product(STORE, &sku(n), "1.00", pieces).await.unwrap();
    }
    world.open("c").await;
    for n in 0..SKUS {
        world.add(&format!("add-{n}"), "c", &sku(n), 1).await.unwrap();
    }
    world
}

impl World {
    /// All are like the first.
    async fn all(&self) -> (i64, i64, i64) {
        let first = self.pieces(&sku(0)).await;
        for n in 1..SKUS {
            assert_eq!(self.pieces(&sku(n)).await, first, "{}", sku(n));
        }
        first
    }

    /// The same world on a database that fails as told.
    fn failing(&self, operation: Operation, step: usize, fault: Fault) -> (World, Arc<FaultyDatabase>) {
        let faulty = Arc::new(FaultyDatabase::new(self.database.clone()));
        faulty.script(operation, std::iter::repeat_n(None, step).chain([Some(fault)]));
        let ports = tillstream_app::Ports { database: faulty.clone(), environment: self.environment.clone() };
        let shop = Shop { ports, scope: self.shop.scope.clone() };
        (World { shop, ..self.clone() }, faulty)
    }
}

/// Runs what may never return.
pub(super) async fn until_it_dies<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) {
    let task = tokio::spawn(task);
    for _ in 0..50_000 {
        if task.is_finished() {
            return;
        }
        tokio::task::yield_now().await;
    }
    task.abort();
    let _ = task.await;
}

#[tokio::test]
async fn a_long_cart_is_sold_what_it_holds() {
    let world = world(20, 1).await;
    assert_eq!(world.all().await, (1, 1, 0));
    let sold = world.sell("c").await.unwrap();
    assert!(!sold.replayed);
    assert_eq!((world.all().await, world.lines().len()), ((0, 0, 0), 0));
    assert!(world.shop.finalize("r-1", "c").await.unwrap().replayed);
    let left = plan::recover(&world.shop.ports, world.environment.now(), 10, Timestamp::MAX).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_long_cart_of_which_some_is_gone_gives_all_back() {
    let world = world(21, 1).await;
    world.wait();
    world.open("other").await;
    world.add("k-1", "other", &sku(SKUS - 1), 1).await.unwrap();
    // What is over of the last is another's by now. Of the others the cart has anew what it held.
    for n in 0..SKUS / 2 {
        let (more, less) = (format!("more-{n}"), format!("less-{n}"));
        assert!(world.change(&more, "c", &format!("l-{}", n + 1), 2).await.is_err());
        world.remove(&less, "c", &format!("l-{}", n + 1)).await.unwrap();
        world.add(&format!("again-{n}"), "c", &sku(n), 1).await.unwrap();
    }
    assert_eq!(world.pieces(&sku(0)).await, (1, 1, 0));
    let refusal = refused(world.sell("c").await);
    assert_eq!(
        (refusal.code, refusal.extra["lines"][0]["sku"].clone()),
        ("insufficient_stock", json!(sku(SKUS - 1)))
    );
    for n in 0..SKUS - 1 {
        assert_eq!(world.pieces(&sku(n)).await, (1, 0, 1), "{}", sku(n));
    }
    // Once it is there, the cart is sold after all.
    world.void("other").await.unwrap();
    world.shop.finalize("r-1", "c").await.unwrap();
    assert_eq!((world.all().await, world.lines().len()), ((0, 0, 0), 0));
}

/// Every transaction and read of a long sale is a place to die. Whoever repeats, or the schedule, sells it once.
#[tokio::test]
async fn a_death_in_a_long_sale_is_recovered_from() {
    let mut deaths = 0;
    for operation in [Operation::Transact, Operation::Get, Operation::GetMany] {
        for fault in [Fault::DiesBefore, Fault::DiesAfter] {
            for step in 0..30 {
                let world = world(22, 1).await;
                let of = json!({"cart_id": "c"});
                world.shop.command("t", "set_tendering", of).await.unwrap();
                let amount = json!({"amount": 6_000, "currency": "GBP"});
                let paid = json!({"cart_id": "c", "tender": "card", "amount": amount});
                world.shop.command("p", "add_payment", paid).await.unwrap();
                let (failing, faulty) = world.failing(operation, step, fault);
                until_it_dies(async move { failing.shop.finalize("r-1", "c").await }).await;
                if faulty.injected().is_empty() {
                    break;
                }
                deaths += 1;
                let label = format!("{operation:?} {fault:?} at {step}");
                if step % 2 == 0 {
                    world.environment.advance(Duration::from_secs(60));
                    let now = world.environment.now();
                    plan::recover(&world.shop.ports, now, 10, Timestamp::MAX).await.unwrap();
                }
                let answered = world.shop.finalize("r-1", "c").await;
                let answered = answered.unwrap_or_else(|error| panic!("{label}: {error}"));
                assert_eq!(answered.reply.result.receipt_number, Some(1), "{label}");
                assert_eq!((world.all().await, world.lines().len()), ((0, 0, 0), 0), "{label}");
            }
        }
    }
    assert!(deaths >= 12, "only {deaths} deaths");
}

/// The cart is voided first, and what it held goes back after it: who repeats it goes on with that, and where nobody
/// does it is over with its time.
#[tokio::test]
async fn a_long_cart_that_is_given_up_holds_nothing() {
    let whole = world(23, 2).await;
    assert_eq!(whole.all().await, (2, 1, 1));
    whole.void("c").await.unwrap();
    assert_eq!((whole.all().await, whole.lines().len()), ((2, 0, 2), 0));
    assert!(whole.void("c").await.unwrap().replayed);
    let mut deaths = 0;
    for (operation, fault) in [
        (Operation::Write, Fault::DiesAfter),
        (Operation::Transact, Fault::DiesBefore),
        (Operation::Transact, Fault::DiesAfter),
        (Operation::Transact, Fault::AnswerLost),
        (Operation::Transact, Fault::Conflict),
    ] {
        for (step, repeats) in [(0, true), (0, false), (1, true), (1, false)] {
            let world = world(24, 2).await;
            let (failing, faulty) = world.failing(operation, step, fault);
            until_it_dies(async move { failing.void("c").await }).await;
            if faulty.injected().is_empty() {
                continue;
            }
            deaths += 1;
            let label = format!("{operation:?} {fault:?} {step} {repeats}");
            if repeats {
                let voided = world.void("c").await.unwrap_or_else(|error| panic!("{label}: {error}"));
                assert!(voided.replayed && voided.reply.cart.unwrap().holds.is_empty(), "{label}");
            } else {
                world.wait();
                world.sweep().await;
            }
            assert_eq!((world.all().await, world.lines().len()), ((2, 0, 2), 0), "{label}");
        }
    }
    assert!(deaths >= 15, "only {deaths} deaths");
}
