//! What one sweep wakes, leaves, and says of it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use tillstream_app::capacity::Operation;
use tillstream_app::database::{Change, Database, Table, Write};
use tillstream_app::dispatch::sweeper::{Budget, Swept, sweep};
use tillstream_app::environment::Environment;
use tillstream_app::tenancy::TenantScope;
use tillstream_contracts::dispatch::DeliveryStatus;
use tillstream_testkit::faults::Fault;
use tillstream_testkit::hq_stand_in::Mode;

use crate::world::{MINUTE, World};

/// `count` orders whose wake-ups were lost, long enough ago.
async fn overdue(seed: u64, count: usize) -> World {
    let world = World::new(seed).await;
    world.queue.loses.store(true, Ordering::SeqCst);
    for n in 0..count {
        world.sell(&format!("o-{n}")).await;
    }
    world.queue.loses.store(false, Ordering::SeqCst);
    world.environment.advance(3 * MINUTE);
    world
}

#[tokio::test]
async fn a_sweep_says_whether_there_was_more_than_its_budget() {
    let world = overdue(1, 6).await;
    for n in 0..12 {
        world.sell(&format!("on-its-way-{n}")).await;
    }
    for (wake_ups, swept) in [
        (2, Swept { woken: 2, failed: 0, more: true }),
        (4, Swept { woken: 4, failed: 0, more: false }),
        (4, Swept::default()),
    ] {
        let budget = Budget { wake_ups, ..Budget::default() };
        let now = world.environment.now();
        assert_eq!(sweep(&world.ports, world.queue.as_ref(), now, budget).await.unwrap(), swept);
    }
    assert_eq!(world.queue.len(), 12 + 6);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_fails_alone() {
    let world = overdue(2, 3).await;
    let key = TenantScope::from_own_record("demo").delivery("o-1.1");
    let changes = vec![Change::Set("status", "lost its way".into())];
    world
        .memory
        .write(Write::Update { table: Table::Dispatch, key, changes, condition: None })
        .await
        .unwrap();
    assert_eq!(world.sweep().await, Swept { woken: 2, failed: 1, more: false });
}

/// What passes by itself is left to the next sweep; what does not is told.
#[tokio::test]
async fn a_record_that_cannot_be_written_is_woken_by_a_later_sweep() {
    for (fault, failed) in [
        (Fault::Throttled, 0),
        (Fault::Conflict, 0),
        (Fault::TimedOutBefore, 0),
        (Fault::AnswerLost, 0),
        (Fault::Refused, 1),
    ] {
        let world = overdue(3, 1).await;
        let (ports, faulty) = world.troubled();
        faulty.fail_next(Operation::Write, fault);
        let now = world.environment.now();
        let swept = sweep(&ports, world.queue.as_ref(), now, Budget::default()).await.unwrap();
        assert_eq!(swept, Swept { woken: 0, failed, more: false }, "{fault:?}");
        world.environment.advance(5 * MINUTE);
        assert_eq!(world.sweep().await.woken, 1, "{fault:?}");
    }
}

/// Long after an outage the breaker is no longer looked at. That it was noted late harms nothing; that
/// it cannot be noted is told.
#[tokio::test]
async fn a_breaker_that_cannot_be_settled_is_settled_by_another_try() {
    for (fault, failed) in [(Fault::Throttled, 0), (Fault::AnswerLost, 0), (Fault::Refused, 1)] {
        let world = World::new(4).await;
        world.hq.set_mode(Mode::Down);
        for n in 0..6 {
            world.sell(&format!("o-{n}")).await;
        }
        world.run(MINUTE).await;
        assert!(world.count(DeliveryStatus::Waiting) > 0);
        world.hq.set_mode(Mode::Accept);
        world.run_until_settled(10 * MINUTE).await;
        world.environment.advance(20 * MINUTE);
        let is_looked_at = || {
            let key = TenantScope::from_own_record("demo").breaker("hq");
            let items = world.memory.items(Table::Dispatch);
            items.iter().any(|item| item.text("pk").unwrap() == key.pk() && item.get("due_at").is_some())
        };
        let (ports, faulty) = world.troubled();
        faulty.fail_next(Operation::Write, fault);
        let begun = world.environment.now();
        let swept = sweep(&ports, world.queue.as_ref(), begun, Budget::default()).await.unwrap();
        assert_eq!((swept.failed, is_looked_at()), (failed, failed > 0), "{fault:?}");
        assert_eq!(world.environment.now() > begun, failed == 0, "{fault:?}: another try comes after a wait");
        assert_eq!((world.sweep().await, is_looked_at()), (Swept::default(), false));
    }
}

/// A breaker that opened a moment ago, with deliveries that wait; and when a probe may be sent.
async fn open_breaker() -> (World, Timestamp) {
    let world = World::new(5).await;
    world.hq.set_mode(Mode::Down);
    for n in 0..20 {
        world.sell(&format!("o-{n}")).await;
    }
    while world.batch().await {}
    assert!(world.count(DeliveryStatus::Waiting) > 0);
    let key = TenantScope::from_own_record("demo").breaker("hq");
    let items = world.memory.items(Table::Dispatch);
    let breaker = items.iter().find(|item| item.text("pk").unwrap() == key.pk()).unwrap();
    let until = Timestamp::from_millisecond(breaker.number("due_at").unwrap()).unwrap();
    (world, until)
}

/// While the breaker is open a wake-up would be for nothing; from its end on one is sent, the probe.
#[tokio::test]
async fn a_probe_is_woken_when_it_may_be_sent_and_not_before() {
    let (world, until) = open_breaker().await;
    for (at, woken) in [(until - Duration::from_millis(1), 0), (until, 1)] {
        world.environment.set(at);
        assert_eq!(world.sweep().await.woken, woken, "{at}");
    }
    // The index says that a probe is due, the breaker knows that one has failed.
    let (world, until) = open_breaker().await;
    world.memory.set_lag(10_000);
    world.environment.set(until);
    assert!(world.batch().await);
    assert_eq!(world.sweep().await, Swept::default());
}
