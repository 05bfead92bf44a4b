//! Orders that HQ will not or cannot take: dead letters alone, in nobody's way.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tillstream_app::database::{Change, Database, Table, Write};
use tillstream_app::dispatch::delivery::Delivery;
use tillstream_app::dispatch::transport::{HqAnswer, HqRequest, HqTransport, HqTransportError};
use tillstream_app::dispatch::{dead_letters, listing};
use tillstream_app::environment::Environment;
use tillstream_app::tenancy::{Role, TenantScope};
use tillstream_contracts::dispatch::{AttemptOutcome, DeliveryStatus};
use tillstream_contracts::hq::HqMessage;
use tillstream_testkit::hq_stand_in::Mode;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::caller;
use tillstream_testkit::test_environment::TestEnvironment;

use crate::world::{MINUTE, World};

/// Sells `count` orders; each must be delivered within `patience`.
async fn trade_without_delay(world: &World, prefix: &str, count: usize, patience: Duration) {
    for n in 0..count {
        let order = format!("{prefix}-{n}");
        world.sell(&order).await;
        let sold = world.environment.now();
        while world.accepted(&order).is_none() {
            assert!(world.environment.now() < sold + patience, "{order} was held up");
            world.run(Duration::from_millis(500)).await;
        }
        world.run(Duration::from_secs(20)).await;
    }
}

#[tokio::test]
async fn a_refused_order_dies_alone_and_goes_through_after_a_replay() {
    let world = World::new(1).await;
    world.refuse(&["bad"]);
    world.sell("bad").await;
    trade_without_delay(&world, "good", 12, Duration::from_secs(3)).await;
    world.run(10 * MINUTE).await;
    let dead = world.delivery("bad.1").await;
    assert_eq!((dead.status, dead.refusals, dead.attempts), (DeliveryStatus::Dead, 5, 5));
    assert_eq!(world.count(DeliveryStatus::Dead), 1);

    let operator = caller("demo", &[Role::Operator]);
    let detail = listing::get_dead_letter(&world.ports, &operator, "bad.1").await.unwrap();
    assert_eq!(detail.attempt_log.len(), 5);
    assert!(detail.attempt_log.iter().enumerate().all(|(n, attempt)| {
        attempt.attempt as usize == n + 1
            && attempt.status == Some(422)
            && attempt.outcome == AttemptOutcome::Refused
            && attempt.error.as_deref().unwrap().contains("order_refused")
    }));
    let Some(HqMessage::Order(payload)) = detail.payload else { panic!("no order") };
    assert_eq!(payload.totals.total.amount, 510);

    // Replayed too early it dies again, after as many attempts.
    let replay =
        |key: &'static str| dead_letters::replay(&world.ports, world.queue.as_ref(), &operator, "bad.1", key);
    replay("one").await.unwrap();
    world.run(10 * MINUTE).await;
    let dead = world.delivery("bad.1").await;
    assert_eq!((dead.status, dead.refusals, dead.attempts), (DeliveryStatus::Dead, 5, 10));
    world.refuse(&[]);
    let done = replay("two").await.unwrap();
    assert_eq!((done.reply.status, done.replayed), (DeliveryStatus::Pending, false));
    world.run_until_settled(MINUTE).await;
    assert_eq!(world.accepted("bad").unwrap().accepted, 1);
    assert_eq!(world.count(DeliveryStatus::Dead), 0);
}

#[tokio::test]
async fn an_order_that_hq_fails_on_dies_alone_while_others_pass() {
    for seed in 0..3 {
        let world = World::new(seed).await;
        world.fail(&["bad", "worse"]);
        world.sell("bad").await;
        world.sell("worse").await;
        trade_without_delay(&world, "good", 150, Duration::from_secs(3)).await;
        world.run(5 * MINUTE).await;
        for id in ["bad.1", "worse.1"] {
            let dead = world.delivery(id).await;
            assert_eq!((dead.status, dead.suspected), (DeliveryStatus::Dead, 12), "{id}");
        }
        assert_eq!(world.count(DeliveryStatus::Dead), 2);
        assert_eq!(world.count(DeliveryStatus::Delivered), 150);
        world.fail(&[]);
        let operator = caller("demo", &[Role::Operator]);
        let request = Default::default();
        let done = dead_letters::replay_many(&world.ports, world.queue.as_ref(), &operator, "k", &request);
        assert_eq!(done.await.unwrap().reply.replayed, 2);
        world.run_until_settled(MINUTE).await;
        assert_eq!(world.count(DeliveryStatus::Delivered), 152);
    }
}

/// Without any other order there is no telling whose fault it is: it is kept, and stops nobody later.
#[tokio::test]
async fn an_order_that_fails_alone_is_kept_and_opens_no_breaker() {
    let world = World::new(2).await;
    world.fail(&["bad"]);
    // That HQ was well before says nothing.
    trade_without_delay(&world, "before", 2, Duration::from_secs(3)).await;
    world.sell("bad").await;
    world.run(300 * MINUTE).await;
    let bad = world.delivery("bad.1").await;
    assert_eq!(bad.status, DeliveryStatus::Pending);
    assert!(bad.attempts > 20 && !world.queue.gave_up());
    trade_without_delay(&world, "good", 3, Duration::from_secs(3)).await;
}

/// After an outage the oldest delivery is one that HQ cannot digest: it is not the probe for ever.
#[tokio::test]
async fn a_poison_order_does_not_keep_the_breaker_open() {
    let world = World::new(4).await;
    world.hq.set_mode(Mode::Down);
    let poison: Vec<String> = (0..4).map(|n| format!("bad-{n}")).collect();
    for order in &poison {
        world.sell(order).await;
    }
    for n in 0..20 {
        world.sell(&format!("good-{n}")).await;
    }
    world.run(20 * MINUTE).await;
    assert_eq!(world.count(DeliveryStatus::Delivered), 0);
    world.fail(&poison.iter().map(String::as_str).collect::<Vec<_>>());
    world.hq.set_mode(Mode::Accept);
    let begun = world.environment.now();
    while world.count(DeliveryStatus::Delivered) < 20 {
        assert!(world.environment.now() < begun + 20 * MINUTE, "poison keeps the breaker open");
        world.run(Duration::from_secs(10)).await;
    }
    assert_eq!(world.hq.accepted().len(), 20);
}

#[tokio::test]
async fn nothing_uncommitted_is_sent() {
    let world = World::new(6).await;
    let mut fact = world.sale("ahead").await;
    fact.order_version = 2;
    let mut gone = world.sale("gone").await;
    gone.order_id = "never-was".to_owned();
    let torn = world.sale("torn").await;
    let key = TenantScope::from_own_record("demo").cart("torn");
    let changes = vec![Change::Set("body", vec![255_u8, 1].into())];
    let write = Write::Update { table: Table::Orders, key, changes, condition: None };
    world.memory.write(write).await.unwrap();
    world.announce(vec![fact, gone, torn]).await;
    trade_without_delay(&world, "good", 3, Duration::from_secs(3)).await;
    world.run(10 * MINUTE).await;
    for (id, error) in
        [("ahead.2", "order_not_final"), ("never-was.1", "order_missing"), ("torn.1", "order_unreadable")]
    {
        let dead = world.delivery(id).await;
        assert_eq!(dead.status, DeliveryStatus::Dead);
        assert!(dead.last_error.unwrap().starts_with(error));
    }
    assert_eq!((world.hq.requests(), world.hq.accepted().len()), (3, 3));
}

/// An HQ that takes three seconds and fails; meanwhile somebody keeps the delivery back.
struct FailsLate(Arc<MemoryDatabase>, Arc<TestEnvironment>);

#[async_trait]
impl HqTransport for FailsLate {
    async fn post(&self, _: HqRequest) -> Result<HqAnswer, HqTransportError> {
        self.1.advance(Duration::from_secs(3));
        let items = self.0.items(Table::Dispatch);
        let record = items.iter().find(|item| item.text("sk").unwrap() == "delivery").unwrap();
        let mut kept_back = Delivery::of(record).unwrap().waiting(self.1.now());
        self.0.write(kept_back.write().unwrap()).await.unwrap();
        Ok(HqAnswer { status: 422, body: Vec::new(), retry_after: None })
    }
}

#[tokio::test]
async fn an_attempt_that_fails_after_the_delivery_was_kept_back_is_only_noted() {
    let mut world = World::new(7).await;
    world.sell("o").await;
    world.dispatcher.transport = Arc::new(FailsLate(world.memory.clone(), world.environment.clone()));
    world.batch().await;
    let delivery = world.delivery("o.1").await;
    assert_eq!((delivery.status, delivery.attempts), (DeliveryStatus::Waiting, 1));
    assert_eq!((delivery.refusals, delivery.last_status), (0, Some(422)));
}
