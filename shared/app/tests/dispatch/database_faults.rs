//! A database that refuses or throttles one call, or loses its answer: what is done is done once, and
//! said as it is.

use std::time::Duration;

use tillstream_app::Error;
use tillstream_app::capacity::Operation;
use tillstream_app::dispatch::announce::announce;
use tillstream_app::dispatch::dead_letters::{discard, replay, replay_many};
use tillstream_app::dispatch::dispatcher::{Dispatcher, Fate};
use tillstream_app::environment::Environment;
use tillstream_app::tenancy::Role;
use tillstream_contracts::dispatch::{DeliveryStatus, DiscardRequest, ReplayManyRequest};
use tillstream_testkit::faults::Fault;
use tillstream_testkit::shop::{STORE, caller};

use crate::world::World;

/// Those that pass by themselves.
const PASSING: [Fault; 4] = [Fault::Throttled, Fault::Conflict, Fault::TimedOutBefore, Fault::AnswerLost];

#[tokio::test]
async fn an_attempt_is_written_down_once_and_hq_is_not_asked_again() {
    for fault in PASSING {
        let world = World::new(1).await;
        world.sell("o").await;
        let (ports, faulty) = world.troubled();
        faulty.fail_next(Operation::Transact, fault);
        let dispatcher = Dispatcher { ports, ..world.dispatcher.clone() };
        let begun = world.environment.now();
        let fates = dispatcher.handle_batch(&world.queue.receive(10)).await;
        assert_eq!(fates, [Fate::Done], "{fault:?}");
        assert!(world.environment.now() > begun, "{fault:?}: another try comes after a wait");
        assert_eq!((world.hq.requests(), world.attempts_written()), (1, 1), "{fault:?}");
        assert_eq!(world.delivery("o.1").await.status, DeliveryStatus::Delivered, "{fault:?}");
    }
}

/// What does not pass by itself is left to the queue; HQ knows the message again.
#[tokio::test]
async fn an_attempt_that_cannot_be_written_down_comes_back() {
    let world = World::new(1).await;
    world.sell("o").await;
    let (ports, faulty) = world.troubled();
    faulty.fail_next(Operation::Transact, Fault::Refused);
    let dispatcher = Dispatcher { ports, ..world.dispatcher.clone() };
    let fates = dispatcher.handle_batch(&world.queue.receive(10)).await;
    assert!(matches!(fates[..], [Fate::Again(_)]), "{fates:?}");
    assert_eq!(world.delivery("o.1").await.status, DeliveryStatus::Pending);
    world.run_until_settled(Duration::from_secs(60)).await;
    assert_eq!((world.hq.requests(), world.accepted("o").unwrap().accepted), (2, 1));
}

#[tokio::test]
async fn an_announcement_is_tried_four_times() {
    let world = World::new(3).await;
    let facts = vec![world.sale("o").await];
    for (faults, failed) in [(4, vec![0]), (3, vec![])] {
        let (ports, faulty) = world.troubled();
        faulty.script(Operation::Write, vec![Some(Fault::Throttled); faults]);
        assert_eq!(announce(&ports, world.queue.as_ref(), facts.clone()).await.unwrap(), failed);
    }
    assert_eq!(world.queue.len(), 1);
}

#[tokio::test]
async fn a_replay_is_done_though_its_write_met_another() {
    for fault in PASSING {
        let world = World::with_dead_letters(1, |_| STORE).await;
        let (ports, faulty) = world.troubled();
        faulty.fail_next(Operation::Write, fault);
        let begun = world.environment.now();
        let by = caller("demo", &[Role::Operator]);
        let done = replay(&ports, world.queue.as_ref(), &by, "bad-0.1", "k").await.unwrap();
        assert_eq!((done.reply.status, done.replayed), (DeliveryStatus::Pending, false), "{fault:?}");
        assert!(world.environment.now() > begun, "{fault:?}: another try comes after a wait");
        assert_eq!(world.delivery("bad-0.1").await.enqueue_count, 2, "{fault:?}: once");
    }
    let world = World::with_dead_letters(1, |_| STORE).await;
    let (ports, faulty) = world.troubled();
    faulty.fail_next(Operation::Write, Fault::Refused);
    let by = caller("demo", &[Role::Operator]);
    let refused = replay(&ports, world.queue.as_ref(), &by, "bad-0.1", "k").await;
    assert!(matches!(refused, Err(Error::Bug(_))), "to repeat would not help: {refused:?}");
}

/// A replay of many that is repeated goes on with the same letters; one that is none any more is passed
/// over.
#[tokio::test]
async fn a_letter_given_up_before_its_turn_is_skipped() {
    let world = World::with_dead_letters(5, |_| STORE).await;
    let (ports, faulty) = world.troubled();
    // What it takes on is written, and the first letter is not.
    faulty.script(Operation::Write, [None, Some(Fault::Refused)]);
    let (by, request) = (caller("demo", &[Role::Operator]), ReplayManyRequest::default());
    let cut = replay_many(&ports, world.queue.as_ref(), &by, "k", &request).await;
    assert!(matches!(cut, Err(Error::Bug(_))), "{cut:?}");
    let left: Vec<String> = world
        .deliveries()
        .into_iter()
        .filter(|delivery| delivery.status == DeliveryStatus::Dead)
        .map(|delivery| delivery.id())
        .collect();
    let [left] = &left[..] else { panic!("{left:?}") };
    let why = DiscardRequest { reason: "rung up twice".into() };
    discard(&world.ports, &by, left, "d", &why).await.unwrap();
    let done = replay_many(&world.ports, world.queue.as_ref(), &by, "k", &request).await.unwrap();
    assert_eq!((done.reply.replayed, done.reply.skipped), (4, 1));
    assert_eq!(world.delivery(left).await.status, DeliveryStatus::Discarded);
}
