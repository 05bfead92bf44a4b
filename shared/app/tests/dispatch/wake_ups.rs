//! Wake-ups lost, doubled, late, out of order, or not ours.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use tillstream_app::Ports;
use tillstream_app::capacity::Operation;
use tillstream_app::database::Database;
use tillstream_app::dispatch::announce::announce;
use tillstream_app::dispatch::delivery::Delivery;
use tillstream_app::dispatch::dispatcher::{Fate, Received};
use tillstream_app::dispatch::transport::{HqAnswer, HqRequest, HqTransport, HqTransportError};
use tillstream_app::environment::Environment;
use tillstream_contracts::dispatch::DeliveryStatus;
use tillstream_testkit::faults::{Fault, FaultyDatabase};
use tillstream_testkit::hq_stand_in::{HqStandIn, Mode};
use tillstream_testkit::test_environment::TestEnvironment;

use crate::world::{MINUTE, World};

#[tokio::test]
async fn doubled_and_reordered_wake_ups_deliver_once() {
    let world = World::new(1).await;
    let mut orders = Vec::new();
    let mut facts = Vec::new();
    for n in 0..20 {
        orders.push(format!("o-{n}"));
        facts.push(world.sale(&format!("o-{n}")).await);
    }
    world.announce(facts.clone()).await;
    let sent = world.queue.sent();
    for wake_up in sent.iter().rev().chain(&sent) {
        world.queue.inject(&wake_up.group, &wake_up.body).await;
        // Another group too: as if order did not hold.
        world.queue.inject(&format!("{}-elsewhere", wake_up.group), &wake_up.body).await;
    }
    facts.reverse();
    world.announce(facts).await;
    world.run_until_settled(5 * MINUTE).await;
    world.run(20 * MINUTE).await;
    world.assert_all_accepted_once(&orders);
    assert_eq!((world.hq.requests(), world.attempts_written()), (20, 20));
    assert_eq!(world.queue.len(), 0);
}

#[tokio::test]
async fn a_lost_wake_up_is_swept_and_its_count_makes_it_new() {
    let world = World::new(2).await;
    world.queue.loses.store(true, Ordering::SeqCst);
    world.sell("o").await;
    world.run(Duration::from_secs(110)).await;
    world.queue.loses.store(false, Ordering::SeqCst);
    assert_eq!((world.hq.requests(), world.delivery("o.1").await.enqueue_count), (0, 1));
    let spent = world.run_until_settled(5 * MINUTE).await;
    assert!(spent < 2 * MINUTE);
    assert_eq!(world.delivery("o.1").await.enqueue_count, 2);
    world.assert_all_accepted_once(&["o".to_owned()]);
}

/// A wake-up that stays away is not sent again ever faster.
#[tokio::test]
async fn wake_ups_that_stay_lost_are_repeated_ever_more_seldom() {
    let world = World::new(3).await;
    world.queue.loses.store(true, Ordering::SeqCst);
    world.sell("o").await;
    world.run(600 * MINUTE).await;
    let count = world.delivery("o.1").await.enqueue_count;
    assert!((10..=16).contains(&count), "{count} wake-ups in ten hours");
    world.queue.loses.store(false, Ordering::SeqCst);
    world.run_until_settled(70 * MINUTE).await;
}

#[tokio::test]
async fn an_announcement_that_is_repeated_makes_one_record_and_says_what_failed() {
    let world = World::new(4).await;
    let facts = vec![world.sale("a").await, world.sale("b").await];
    world.queue.is_away.store(true, Ordering::SeqCst);
    assert!(announce(&world.ports, world.queue.as_ref(), facts.clone()).await.is_err());
    assert_eq!((world.deliveries().len(), world.queue.len()), (2, 0));
    world.queue.is_away.store(false, Ordering::SeqCst);
    for _ in 0..3 {
        assert!(announce(&world.ports, world.queue.as_ref(), facts.clone()).await.unwrap().is_empty());
    }
    assert_eq!((world.deliveries().len(), world.queue.len()), (2, 2));
    world.fail_database(200);
    let new = vec![world.sale("c").await, world.next_version("c", "changed").await];
    let failed = announce(&world.ports, world.queue.as_ref(), new).await.unwrap();
    assert_eq!(failed, [0, 1]);
    world.fail_database(0);
    world.run_until_settled(MINUTE).await;
    // What is delivered is not woken again.
    announce(&world.ports, world.queue.as_ref(), facts).await.unwrap();
    assert_eq!(world.queue.len(), 0);
}

/// Where the record of a version could not be made, the next version is not announced: it would arrive
/// first.
#[tokio::test]
async fn a_version_is_not_announced_before_the_one_it_follows() {
    let world = World::new(10).await;
    let facts = vec![world.sale("o").await, world.next_version("o", "returned").await];
    let faulty = FaultyDatabase::new(world.memory.clone());
    faulty.script(Operation::Write, [Some(Fault::TimedOutBefore); 4]);
    let ports = Ports { database: Arc::new(faulty), environment: world.environment.clone() };
    let failed = announce(&ports, world.queue.as_ref(), facts.clone()).await.unwrap();
    assert_eq!((failed, world.deliveries().len(), world.queue.len()), (vec![0, 1], 0, 0));
    world.announce(facts).await;
    world.run_until_settled(MINUTE).await;
    assert_eq!(world.accepted("o").unwrap().versions, [1, 2]);
}

#[tokio::test]
async fn what_is_not_ours_is_not_tried_for_ever() {
    let world = World::new(5).await;
    world.sell("o").await;
    let mut batch = world.queue.receive(10);
    for (n, body) in
        ["", "{\"hello\":1}", r#"{"version":1,"tenant_id":"demo","order_id":"x","order_version":1}"#]
            .into_iter()
            .enumerate()
    {
        batch.push(Received { group: format!("g-{n}"), receipt: format!("r-{n}"), body: body.to_owned() });
    }
    let fates = world.handle(&batch).await;
    assert_eq!(fates[0], Fate::Done);
    assert!(fates[1..].iter().all(|fate| matches!(fate, Fate::Stray(_))));
    world.assert_all_accepted_once(&["o".to_owned()]);
}

#[tokio::test]
async fn versions_of_an_order_arrive_in_order() {
    let world = World::new(6).await;
    world.hq.set_mode(Mode::Fail);
    let first = world.sale("o").await;
    world.announce(vec![first]).await;
    world.run(Duration::from_secs(5)).await;
    let second = world.next_version("o", "returned").await;
    world.announce(vec![second]).await;
    // The later version's wake-up comes by itself, and again and again.
    let body = world.queue.sent().pop().unwrap().body;
    for n in 0..50 {
        world.queue.inject(&format!("elsewhere-{n}"), &body).await;
        world.run(Duration::from_secs(2)).await;
    }
    assert_eq!(world.delivery("o.2").await.attempts, 0, "a later version overtook");
    world.hq.set_mode(Mode::Accept);
    world.run_until_settled(30 * MINUTE).await;
    let accepted = world.accepted("o").unwrap();
    assert_eq!((accepted.accepted, accepted.versions), (2, vec![1, 2]));
}

/// A repetition is the same to the byte, even if the order has moved on; HQ would refuse another.
#[tokio::test]
async fn a_version_sent_again_after_the_order_moved_on_is_the_same_message() {
    for seed in 0..6 {
        let world = World::new(seed).await;
        world.hq.control(tillstream_testkit::hq_stand_in::Control {
            fail_percent: Some(100),
            ..Default::default()
        });
        world.sell("o").await;
        world.run(Duration::from_secs(20)).await;
        let moved = world.next_version("o", "returned").await;
        world.announce(vec![moved]).await;
        world.hq.control(tillstream_testkit::hq_stand_in::Control {
            fail_percent: Some(0),
            ..Default::default()
        });
        world.run_until_settled(30 * MINUTE).await;
        assert_eq!(world.accepted("o").unwrap().versions, [1, 2], "seed {seed}");
        assert_eq!(world.count(DeliveryStatus::Dead), 0);
    }
}

#[tokio::test]
async fn a_batch_stops_by_group() {
    let world = World::new(7).await;
    world.refuse(&["a"]);
    let facts = vec![world.sale("a").await, world.sale("b").await, world.sale("c").await];
    world.announce(facts).await;
    let batch: Vec<Received> = [("one", "a"), ("one", "b"), ("two", "c")]
        .into_iter()
        .map(|(group, order)| Received {
            group: group.to_owned(),
            receipt: order.to_owned(),
            body: format!(r#"{{"version":1,"tenant_id":"demo","order_id":"{order}","order_version":1}}"#),
        })
        .collect();
    let fates = world.dispatcher.handle_batch(&batch).await;
    assert!(matches!(fates[..], [Fate::Again(_), Fate::Again(_), Fate::Done]), "{fates:?}");
    assert_eq!(world.delivery("b.1").await.attempts, 0, "begun after one of its group came back");
}

struct Busy;

#[async_trait::async_trait]
impl HqTransport for Busy {
    async fn post(&self, _: HqRequest) -> Result<HqAnswer, HqTransportError> {
        Ok(HqAnswer { status: 429, body: Vec::new(), retry_after: Some(Duration::from_secs(200)) })
    }
}

#[tokio::test]
async fn hq_says_when_it_wants_to_be_asked_again() {
    let mut world = World::new(9).await;
    world.dispatcher.transport = Arc::new(Busy);
    world.sell("o").await;
    world.run(Duration::from_secs(5)).await;
    let delivery = world.delivery("o.1").await;
    assert_eq!((delivery.attempts, delivery.last_status), (1, Some(429)));
    let wait = delivery.next_attempt_at.duration_since(delivery.updated_at);
    assert_eq!(wait.as_secs(), 200);
    // Another wake-up does not make it sooner.
    let body = world.queue.sent().pop().unwrap().body;
    for n in 0..9 {
        world.queue.inject(&format!("elsewhere-{n}"), &body).await;
        world.run(Duration::from_secs(20)).await;
    }
    assert_eq!(world.delivery("o.1").await.attempts, 1);
}

/// An HQ that accepts, after six seconds.
struct Slow(Arc<HqStandIn>, Arc<TestEnvironment>);

#[async_trait]
impl HqTransport for Slow {
    async fn post(&self, request: HqRequest) -> Result<HqAnswer, HqTransportError> {
        self.1.sleep(Duration::from_secs(6)).await;
        self.0.post(request).await
    }
}

/// Groups hang side by side; within a group, what would be begun too late comes back.
#[tokio::test]
async fn a_batch_begins_nothing_after_its_time() {
    let mut world = World::new(8).await;
    world.hq.set_mode(Mode::Hang);
    for n in 0..10 {
        world.sell(&format!("o-{n}")).await;
    }
    let batch = world.queue.receive(10);
    let begun = world.environment.now();
    world.handle(&batch).await;
    let spent = world.environment.now().duration_since(begun).as_secs();
    assert!((10..15).contains(&spent), "ten hanging requests took {spent} s");

    world.hq.set_mode(Mode::Accept);
    world.dispatcher.transport = Arc::new(Slow(world.hq.clone(), world.environment.clone()));
    world.run_until_settled(Duration::from_secs(900)).await;
    world.sell("o").await;
    for status in ["picked", "packed", "shipped"] {
        let fact = world.next_version("o", status).await;
        world.announce(vec![fact]).await;
    }
    let batch = world.queue.receive(10);
    assert_eq!(batch.len(), 4);
    let fates = world.handle(&batch).await;
    let (done, again) = fates.split_at(2);
    assert_eq!(done, [Fate::Done, Fate::Done]);
    assert!(again.iter().all(|fate| matches!(fate, Fate::Again(why) if why.contains("time"))), "{fates:?}");
}

/// The index says that it is overdue, the record knows better.
#[tokio::test]
async fn the_sweeper_believes_the_record_and_not_the_index() {
    let world = World::new(11).await;
    world.sell("o").await;
    world.environment.advance(5 * MINUTE);
    world.memory.set_lag(10_000);
    let now = world.environment.now();
    let mut deferred = world.delivery("o.1").await.deferred(now, now, 2 * MINUTE);
    world.memory.write(deferred.write().unwrap()).await.unwrap();
    assert_eq!(world.sweep().await.woken, 0);
    world.environment.advance(3 * MINUTE);
    assert_eq!(world.sweep().await.woken, 1);
}

/// The sweeper remembers it, and not the queue: what comes back keeps shut the group that the earlier one is in.
#[tokio::test]
async fn a_version_is_put_off_for_as_long_as_the_one_before_it() {
    let second = Duration::from_secs;
    for (earlier, wait) in [(Some(0), 1), (Some(30), 30), (Some(90), 90), (None, 300)] {
        let world = World::new(12).await;
        world.sell("o").await;
        let next = world.next_version("o", "returned").await;
        world.announce(vec![next]).await;
        let now = world.environment.now();
        let first = world.delivery("o.1").await;
        let mut first = match earlier {
            Some(seconds) => first.deferred(now, now + second(seconds), 2 * MINUTE),
            None => first.waiting(now),
        };
        world.memory.write(first.write().unwrap()).await.unwrap();
        let batch = world.queue.receive(10);
        let fates = world.dispatcher.handle_batch(&batch[1..]).await;
        assert_eq!(fates, [Fate::Done], "{earlier:?}");
        let delivery = world.delivery("o.2").await;
        assert_eq!((delivery.status, delivery.attempts), (DeliveryStatus::Pending, 0));
        assert_eq!(delivery.next_attempt_at, now + second(wait), "{earlier:?}");
        assert_eq!(delivery.due_at, delivery.next_attempt_at, "{earlier:?}");
    }
}

/// After an outage the sweeper may wake a later version first: it lets the earlier one pass.
#[tokio::test]
async fn a_later_version_in_front_keeps_nothing_out() {
    let world = World::new(13).await;
    world.sell("o").await;
    let next = world.next_version("o", "returned").await;
    world.announce(vec![next]).await;
    for message in world.queue.receive(10) {
        world.queue.delete(&message.receipt);
    }
    world.environment.advance(5 * MINUTE);
    let now = world.environment.now();
    for (id, due) in [("o.2", now - 2 * MINUTE), ("o.1", now - MINUTE)] {
        let mut delivery = Delivery { due_at: due, ..world.delivery(id).await };
        world.memory.write(delivery.write().unwrap()).await.unwrap();
    }
    assert_eq!(world.sweep().await.woken, 2);
    let first = world.queue.receive(1);
    assert!(first[0].body.contains(r#""order_version":2"#), "{first:?}");
    assert_eq!(world.handle(&first).await, [Fate::Done]);
    let second = world.queue.receive(10);
    assert_eq!(world.handle(&second).await, [Fate::Done]);
    assert_eq!(world.delivery("o.1").await.status, DeliveryStatus::Delivered);
    assert_eq!(world.delivery("o.2").await.status, DeliveryStatus::Pending);
    world.environment.advance(MINUTE);
    assert_eq!(world.sweep().await.woken, 1);
    assert_eq!(world.handle(&world.queue.receive(10)).await, [Fate::Done]);
    assert_eq!(world.delivery("o.2").await.status, DeliveryStatus::Delivered);
}
