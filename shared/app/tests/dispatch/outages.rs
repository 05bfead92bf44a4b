//! HQ in trouble: nobody pays for it, and everything arrives once after.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tillstream_app::database::{Consistency, Database, Get, Table};
use tillstream_app::dispatch::signature::SigningSecret;
use tillstream_app::dispatch::sweeper::{Budget, sweep};
use tillstream_app::environment::Environment;
use tillstream_app::tenancy::TenantScope;
use tillstream_contracts::dispatch::DeliveryStatus;
use tillstream_testkit::hq_stand_in::{Control, HqStandIn, Mode};

use crate::world::{MINUTE, World};

fn fail_percent(world: &World, percent: u8) {
    world.hq.control(Control { fail_percent: Some(percent), ..Control::default() });
}

async fn trade(world: &World, orders: &mut Vec<String>, prefix: &str, count: usize, pause: Duration) {
    for n in 0..count {
        let order = format!("{prefix}-{n}");
        world.sell(&order).await;
        orders.push(order);
        world.run(pause).await;
    }
}

#[tokio::test]
async fn hq_fails_for_a_third_then_is_down_then_back() {
    for seed in 0..4 {
        let world = World::new(seed).await;
        // The indexes are behind, as they are on AWS.
        world.memory.set_lag(3);
        let mut orders = Vec::new();
        fail_percent(&world, 30);
        trade(&world, &mut orders, "shaky", 60, Duration::from_secs(2)).await;
        world.hq.set_mode(Mode::Down);
        trade(&world, &mut orders, "down", 60, MINUTE).await;
        assert_eq!(world.count(DeliveryStatus::Dead), 0);
        assert!(world.count(DeliveryStatus::Waiting) > 30, "nothing waits for HQ");
        let asked = world.hq.requests();
        world.run(10 * MINUTE).await;
        assert!(world.hq.requests() - asked <= 25, "HQ is asked too often while it is down");
        world.hq.set_mode(Mode::Accept);
        fail_percent(&world, 0);
        world.memory.set_lag(0);
        let spent = world.run_until_settled(30 * MINUTE).await;
        assert!(spent < 12 * MINUTE, "it took {spent:?} to drain");
        world.assert_all_accepted_once(&orders);
        assert!(!world.queue.gave_up(), "the queue would have moved a message aside");
        let attempts: u32 = world.deliveries().iter().map(|delivery| delivery.attempts).sum();
        assert_eq!(u64::from(attempts), world.hq.requests());
        assert_eq!(world.attempts_written(), usize::try_from(attempts).unwrap());
    }
}

#[tokio::test]
async fn a_day_of_hanging_or_failing_makes_no_dead_letter() {
    for mode in [Mode::Hang, Mode::Fail] {
        let world = World::new(7).await;
        let mut orders = Vec::new();
        trade(&world, &mut orders, "before", 5, Duration::from_secs(5)).await;
        world.hq.set_mode(mode);
        trade(&world, &mut orders, "during", 24, 60 * MINUTE).await;
        assert_eq!(world.count(DeliveryStatus::Dead), 0);
        world.hq.set_mode(Mode::Accept);
        world.run_until_settled(30 * MINUTE).await;
        world.assert_all_accepted_once(&orders);
    }
}

/// Nine of ten requests fail for hours: no order's own fault.
#[tokio::test]
async fn a_brownout_makes_no_dead_letter() {
    let world = World::new(11).await;
    let mut orders = Vec::new();
    fail_percent(&world, 90);
    trade(&world, &mut orders, "brown", 150, Duration::from_secs(90)).await;
    fail_percent(&world, 0);
    world.run_until_settled(60 * MINUTE).await;
    world.assert_all_accepted_once(&orders);
}

#[tokio::test]
async fn a_wrong_secret_makes_no_dead_letter() {
    let mut world = World::new(3).await;
    let right = world.dispatcher.secret.clone();
    world.dispatcher.secret = SigningSecret::parse("a secret that hq does not have").unwrap();
    let mut orders = Vec::new();
    trade(&world, &mut orders, "o", 20, MINUTE).await;
    assert_eq!((world.count(DeliveryStatus::Dead), world.hq.accepted().len()), (0, 0));
    world.dispatcher.secret = right;
    world.run_until_settled(30 * MINUTE).await;
    world.assert_all_accepted_once(&orders);
}

/// Many dispatchers ask an open breaker at once: one of them sends.
#[tokio::test]
async fn one_probe_at_a_time() {
    for seed in 0..20 {
        let world = World::new(seed).await;
        world.hq.set_mode(Mode::Down);
        for n in 0..30 {
            world.sell(&format!("o-{n}")).await;
        }
        // Until the breaker is open; the rest waits.
        while world.count(DeliveryStatus::Waiting) < 15 {
            assert!(world.batch().await);
        }
        // The cool-down passes, and all come at once.
        world.environment.advance(MINUTE);
        let scope = TenantScope::from_own_record("demo");
        let mut batches = Vec::new();
        for delivery in world.deliveries() {
            let body = format!(
                r#"{{"version":1,"tenant_id":"demo","order_id":"{}","order_version":1}}"#,
                delivery.order_id
            );
            let mut pending = delivery.deferred(world.environment.now(), world.environment.now(), MINUTE);
            world.memory.write(pending.write().unwrap()).await.unwrap();
            batches.push(vec![tillstream_app::dispatch::dispatcher::Received {
                group: delivery.order_id.clone(),
                receipt: format!("extra-{}", delivery.order_id),
                body,
            }]);
        }
        world.database.interleaves.store(true, std::sync::atomic::Ordering::SeqCst);
        let before = world.hq.requests();
        // It answers slowly, so that the others meet the lease.
        let dispatcher = tillstream_app::dispatch::dispatcher::Dispatcher {
            transport: Arc::new(Slow(world.hq.clone())),
            ..world.dispatcher.clone()
        };
        join_all(batches.iter().map(|batch| dispatcher.handle_batch(batch))).await;
        assert_eq!(world.hq.requests() - before, 1, "seed {seed}");
        let get = Get { table: Table::Dispatch, key: scope.breaker("hq"), consistency: Consistency::Strong };
        let breaker = world.memory.get(get).await.unwrap().unwrap();
        assert!(breaker.text("state").unwrap().contains("open"));
    }
}

struct Slow(Arc<HqStandIn>);

#[async_trait::async_trait]
impl tillstream_app::dispatch::transport::HqTransport for Slow {
    async fn post(
        &self,
        request: tillstream_app::dispatch::transport::HqRequest,
    ) -> Result<
        tillstream_app::dispatch::transport::HqAnswer,
        tillstream_app::dispatch::transport::HqTransportError,
    > {
        for _ in 0..500 {
            tokio::task::yield_now().await;
        }
        self.0.post(request).await
    }
}

/// An index that is far behind hides what waits while the breaker closes; it is found later.
#[tokio::test]
async fn what_the_index_hid_is_found_after() {
    let world = World::new(9).await;
    world.hq.set_mode(Mode::Down);
    for n in 0..5 {
        world.sell(&format!("o-{n}")).await;
    }
    world.batch().await;
    world.memory.set_lag(10_000);
    for n in 5..12 {
        world.sell(&format!("o-{n}")).await;
    }
    world.batch().await;
    assert!(world.count(DeliveryStatus::Waiting) >= 7);
    world.hq.set_mode(Mode::Accept);
    world.environment.advance(MINUTE);
    world.sell("o-12").await;
    world.batch().await;
    assert!(!world.hq.accepted().is_empty(), "the probe");
    world.sweep().await;
    assert!(world.count(DeliveryStatus::Waiting) >= 7);
    world.memory.set_lag(0);
    world.run_until_settled(20 * MINUTE).await;
    world.assert_all_accepted_once(&(0..13).map(|n| format!("o-{n}")).collect::<Vec<_>>());
}

/// Of two tenants that waited, neither stands behind the other's backlog.
#[tokio::test]
async fn tenants_take_turns() {
    let world = World::new(5).await;
    world.hq.set_mode(Mode::Down);
    let mut facts = Vec::new();
    for n in 0..80 {
        facts.push(world.sale_of("big", &format!("b-{n}")).await);
    }
    for n in 0..12 {
        facts.push(world.sale_of("small", &format!("s-{n}")).await);
    }
    world.announce(facts).await;
    world.run(3 * MINUTE).await;
    let of = |tenant: &str, status| {
        let all = world.deliveries().into_iter();
        all.filter(|d| d.scope.tenant_id() == tenant && d.status == status).count()
    };
    assert!(of("big", DeliveryStatus::Waiting) > 50 && of("small", DeliveryStatus::Waiting) >= 4);
    world.hq.set_mode(Mode::Accept);
    // Both breakers close; then a small budget is shared.
    let mut policy = world.dispatcher.policy;
    policy.woken_by_probe = 0;
    let dispatcher = tillstream_app::dispatch::dispatcher::Dispatcher { policy, ..world.dispatcher.clone() };
    let deadline = world.environment.now() + 20 * MINUTE;
    while [("big", "breaker"), ("small", "breaker")].iter().any(|(tenant, _)| {
        let key = TenantScope::from_own_record(tenant).breaker("hq");
        let items = world.memory.items(Table::Dispatch);
        let item = items.iter().find(|i| i.text("pk").unwrap() == key.pk()).unwrap();
        !item.text("state").unwrap().contains("closed")
    }) {
        assert!(world.environment.now() < deadline, "the breakers stay open");
        let now = world.environment.now();
        let budget = Budget { wake_ups: 2, time: MINUTE };
        sweep(&world.ports, world.queue.as_ref(), now, budget).await.unwrap();
        let batch = world.queue.receive(10);
        let fates = dispatcher.handle_batch(&batch).await;
        for (message, fate) in batch.iter().zip(fates) {
            if fate == tillstream_app::dispatch::dispatcher::Fate::Done {
                world.queue.delete(&message.receipt);
            }
        }
        world.environment.advance(Duration::from_secs(20));
    }
    let small = of("small", DeliveryStatus::Waiting);
    let big = of("big", DeliveryStatus::Waiting);
    assert!(small >= 2 && big > 40, "{small} {big}");
    let now = world.environment.now();
    let budget = Budget { wake_ups: 4, time: MINUTE };
    let swept = sweep(&world.ports, world.queue.as_ref(), now, budget).await.unwrap();
    assert!(swept.woken == 4 && swept.more);
    assert_eq!(of("small", DeliveryStatus::Waiting), small - 2);
    assert_eq!(of("big", DeliveryStatus::Waiting), big - 2);
}

/// Who waited is woken by the probe that got through, some of them at once; the rest is the sweeper's.
#[tokio::test]
async fn a_probe_wakes_others_when_it_gets_through() {
    let world = World::new(13).await;
    world.hq.set_mode(Mode::Down);
    for n in 0..31 {
        world.sell(&format!("o-{n}")).await;
    }
    let batches = async || {
        while world.batch().await {}
        (world.count(DeliveryStatus::Waiting), world.queue.sent().len())
    };
    let (_, sent) = batches().await;
    assert_eq!(sent, 31, "nobody is woken by an outage");
    world.environment.advance(MINUTE);
    assert_eq!(batches().await, (30, 31), "nor by a probe that fails");
    world.hq.set_mode(Mode::Accept);
    world.environment.advance(2 * MINUTE);
    assert_eq!(batches().await, (10, 31 + 20), "by one that succeeds, and by no success after it");
    assert_eq!(world.count(DeliveryStatus::Delivered), 21);
}
