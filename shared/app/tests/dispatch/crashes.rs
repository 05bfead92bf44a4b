//! Killed between any two steps, and a database that fails: nothing is lost, nothing is doubled.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use tillstream_app::Result;
use tillstream_app::dispatch::announce::announce;
use tillstream_app::dispatch::dispatcher::{Dispatcher, Fate};
use tillstream_app::dispatch::sweeper::{Budget, sweep};
use tillstream_app::dispatch::transport::{HqAnswer, HqRequest, HqTransport, HqTransportError};
use tillstream_app::environment::Environment;
use tillstream_app::ports::{WakeUp, WakeUpQueue};
use tillstream_contracts::dispatch::DeliveryStatus;
use tillstream_testkit::hq_stand_in::Mode;

use crate::troubled_database::TroubledDatabase;
use crate::world::{MINUTE, World};

/// Calls to the queue and to HQ are steps too.
struct Stepping<T: ?Sized>(Arc<TroubledDatabase>, Arc<T>);

#[async_trait]
impl<T: HqTransport + ?Sized> HqTransport for Stepping<T> {
    async fn post(&self, request: HqRequest) -> Result<HqAnswer, HqTransportError> {
        self.0.step().await;
        let answer = self.1.post(request).await;
        self.0.step().await;
        answer
    }
}

#[async_trait]
impl<T: WakeUpQueue + ?Sized> WakeUpQueue for Stepping<T> {
    async fn send(&self, wake_ups: &[WakeUp]) -> Result<Vec<usize>> {
        self.0.step().await;
        let answer = self.1.send(wake_ups).await;
        self.0.step().await;
        answer
    }
    async fn postpone(&self, receipt: &str, delay: Duration) -> Result<()> {
        self.0.step().await;
        let answer = self.1.postpone(receipt, delay).await;
        self.0.step().await;
        answer
    }
}

fn stepping(world: &World) -> Dispatcher {
    Dispatcher {
        queue: Arc::new(Stepping(world.database.clone(), world.queue.clone())),
        transport: Arc::new(Stepping(world.database.clone(), world.hq.clone())),
        ..world.dispatcher.clone()
    }
}

/// Everything arrives, once; also what is sold after.
async fn recovers(world: &World, mut orders: Vec<String>, what: &str) {
    world.hq.set_mode(Mode::Accept);
    world.sell("after").await;
    orders.push("after".to_owned());
    let spent = world.run_until_settled(30 * MINUTE).await;
    assert!(spent < 15 * MINUTE, "{what}: {spent:?}");
    world.assert_all_accepted_once(&orders);
}

async fn sold(seed: u64) -> (World, Vec<String>) {
    let world = World::new(seed).await;
    let orders: Vec<String> = (0..3).map(|n| format!("o-{n}")).collect();
    (world, orders)
}

#[tokio::test]
async fn the_relay_killed_at_any_step() {
    for step in 0.. {
        let (world, orders) = sold(1).await;
        let mut facts = Vec::new();
        for order in &orders {
            facts.push(world.sale(order).await);
        }
        let queue = Stepping(world.database.clone(), world.queue.clone());
        let work = announce(&world.ports, &queue, facts.clone());
        let done = world.database.run_killed_at(step, work).await.is_some();
        // The stream's records come again.
        world.announce(facts).await;
        recovers(&world, orders, &format!("step {step}")).await;
        if done {
            assert!(step > 6);
            return;
        }
    }
}

#[tokio::test]
async fn the_dispatcher_killed_at_any_step() {
    for mode in [Mode::Accept, Mode::Refuse, Mode::Fail] {
        for step in 0.. {
            let (world, orders) = sold(2).await;
            for order in &orders {
                world.sell(order).await;
            }
            world.hq.set_mode(mode);
            let dispatcher = stepping(&world);
            let batch = world.queue.receive(10);
            let work = dispatcher.handle_batch(&batch);
            let fates = world.database.run_killed_at(step, work).await;
            for (message, fate) in batch.iter().zip(fates.iter().flatten()) {
                if *fate == Fate::Done {
                    world.queue.delete(&message.receipt);
                }
            }
            recovers(&world, orders, &format!("{mode:?} step {step}")).await;
            if fates.is_some() {
                assert!(step > 20);
                break;
            }
        }
    }
}

/// Killed as the probe, while the breaker is half open, or while it wakes those that waited.
#[tokio::test]
async fn the_probe_killed_at_any_step() {
    for (mode, least) in [(Mode::Accept, 15), (Mode::Fail, 10)] {
        for step in 0.. {
            let world = World::new(3).await;
            world.hq.set_mode(Mode::Down);
            let orders: Vec<String> = (0..12).map(|n| format!("o-{n}")).collect();
            for order in &orders {
                world.sell(order).await;
            }
            world.run(Duration::from_secs(30)).await;
            assert!(world.count(DeliveryStatus::Waiting) >= 7);
            world.environment.advance(2 * MINUTE);
            world.sweep().await;
            world.hq.set_mode(mode);
            let dispatcher = stepping(&world);
            let batch = world.queue.receive(1);
            assert_eq!(batch.len(), 1);
            let work = dispatcher.handle_batch(&batch);
            let fates = world.database.run_killed_at(step, work).await;
            if fates.iter().flatten().any(|fate| *fate == Fate::Done) {
                world.queue.delete(&batch[0].receipt);
            }
            recovers(&world, orders, &format!("{mode:?} step {step}")).await;
            if fates.is_some() {
                assert!(step > least, "{step}");
                break;
            }
        }
    }
}

#[tokio::test]
async fn the_sweeper_killed_at_any_step() {
    for step in 0.. {
        let world = World::new(4).await;
        world.hq.set_mode(Mode::Down);
        let mut orders: Vec<String> = (0..9).map(|n| format!("o-{n}")).collect();
        for order in &orders {
            world.sell(order).await;
        }
        world.run(Duration::from_secs(30)).await;
        world.queue.loses.store(true, Ordering::SeqCst);
        world.sell("lost").await;
        orders.push("lost".to_owned());
        world.queue.loses.store(false, Ordering::SeqCst);
        world.environment.advance(5 * MINUTE);
        let queue = Stepping(world.database.clone(), world.queue.clone());
        let work = sweep(&world.ports, &queue, world.environment.now(), Budget::default());
        let done = world.database.run_killed_at(step, work).await.is_some();
        recovers(&world, orders, &format!("step {step}")).await;
        if done {
            assert!(step > 25, "{step}");
            return;
        }
    }
}

/// Every tenth call to the database fails, half of them after they took effect, while HQ fails too.
#[tokio::test]
async fn a_failing_database_loses_and_doubles_nothing() {
    for seed in 0..6 {
        let world = World::new(seed).await;
        world.hq.control(tillstream_testkit::hq_stand_in::Control {
            fail_percent: Some(20),
            ..Default::default()
        });
        world.fail_database(10);
        let mut orders = Vec::new();
        for n in 0..60 {
            let order = format!("o-{n}");
            world.sell(&order).await;
            orders.push(order);
            world.run(Duration::from_secs(5)).await;
        }
        world.fail_database(0);
        world.run_until_settled(30 * MINUTE).await;
        world.assert_all_accepted_once(&orders);
        // Each attempt that is counted is written, and none twice.
        let attempts: u32 = world.deliveries().iter().map(|delivery| delivery.attempts).sum();
        assert_eq!(world.attempts_written(), usize::try_from(attempts).unwrap());
        assert!(u64::from(attempts) <= world.hq.requests());
    }
}

/// Dispatchers with doubled wake-ups, the sweeper and the relay, all at once: no write undoes another.
#[tokio::test]
async fn no_attempt_is_lost_between_those_who_write_at_once() {
    for seed in 0..5 {
        let world = World::new(seed).await;
        world.hq.control(tillstream_testkit::hq_stand_in::Control {
            fail_percent: Some(40),
            ..Default::default()
        });
        let orders: Vec<String> = (0..12).map(|n| format!("o-{n}")).collect();
        let mut facts = Vec::new();
        for order in &orders {
            facts.push(world.sale(order).await);
        }
        world.announce(facts.clone()).await;
        world.database.interleaves.store(true, Ordering::SeqCst);
        for _ in 0..20 {
            // Every wake-up is overdue, and comes from several sides.
            world.environment.advance(3 * MINUTE);
            let batch = world.queue.receive(10);
            let again: Vec<_> = batch.iter().rev().cloned().collect();
            let now = world.environment.now();
            let (fates, ..) = tokio::join!(
                world.dispatcher.handle_batch(&batch),
                world.dispatcher.handle_batch(&again),
                sweep(&world.ports, world.queue.as_ref(), now, Budget::default()),
                announce(&world.ports, world.queue.as_ref(), facts.clone()),
            );
            for (message, fate) in batch.iter().zip(fates) {
                if fate == Fate::Done {
                    world.queue.delete(&message.receipt);
                }
            }
        }
        world.database.interleaves.store(false, Ordering::SeqCst);
        world.run_until_settled(30 * MINUTE).await;
        world.assert_all_accepted_once(&orders);
        let counted: u32 = world.deliveries().iter().map(|delivery| delivery.attempts).sum();
        assert_eq!(u64::from(counted), world.hq.requests(), "seed {seed}");
        assert_eq!(world.attempts_written(), usize::try_from(counted).unwrap(), "seed {seed}");
    }
}
