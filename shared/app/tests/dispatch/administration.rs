//! What people see of deliveries, and do to dead letters.

use std::collections::BTreeSet;

use tillstream_app::Error;
use tillstream_app::dispatch::dead_letters::{discard, replay, replay_many};
use tillstream_app::dispatch::listing::{get, get_dead_letter, list};
use tillstream_app::environment::Environment;
use tillstream_app::tenancy::{Caller, Role, Stores};
use tillstream_contracts::dispatch::{DeliveryFilter, DeliveryStatus, DiscardRequest, ReplayManyRequest};
use tillstream_testkit::shop::caller;

use crate::world::{MINUTE, World};

fn operator() -> Caller {
    caller("demo", &[Role::Operator])
}

fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> &'static str {
    result.unwrap_err().code().unwrap()
}

/// `good` orders delivered, `bad` ones dead.
async fn world_with(good: usize, bad: usize) -> World {
    let world = World::new(1).await;
    let names: Vec<String> = (0..bad).map(|n| format!("bad-{n}")).collect();
    world.refuse(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for n in 0..good {
        world.sell(&format!("good-{n}")).await;
    }
    for name in &names {
        world.sell(name).await;
    }
    world.run_until_settled(30 * MINUTE).await;
    assert_eq!(world.count(DeliveryStatus::Dead), bad);
    world.refuse(&[]);
    world
}

async fn ids(world: &World, caller: &Caller, filter: DeliveryFilter) -> Vec<String> {
    let mut ids = Vec::new();
    let mut cursor = None;
    loop {
        let filter = DeliveryFilter { cursor, ..filter.clone() };
        let page = list(&world.ports, caller, filter.clone()).await.unwrap();
        assert!(page.items.len() <= filter.limit.unwrap_or(50) as usize);
        ids.extend(page.items.into_iter().map(|delivery| delivery.id));
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => return ids,
        }
    }
}

#[tokio::test]
async fn lists_page_through_every_delivery_once() {
    let world = world_with(23, 7).await;
    for limit in [1, 4, 10, 200] {
        let filter = DeliveryFilter { limit: Some(limit), ..DeliveryFilter::default() };
        let all = ids(&world, &operator(), filter.clone()).await;
        assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (30, 30), "limit {limit}");
        let dead = DeliveryFilter { status: Some(DeliveryStatus::Dead), ..filter.clone() };
        let dead = ids(&world, &operator(), dead).await;
        assert!(dead.len() == 7 && dead.iter().all(|id| id.starts_with("bad-")));
        let none = DeliveryFilter { status: Some(DeliveryStatus::Waiting), ..filter };
        assert!(ids(&world, &operator(), none).await.is_empty());
    }
    world.next_version("good-3", "returned").await;
    let fact = world.fact_of("demo", "good-3").await;
    world.announce(vec![fact]).await;
    let of_order = DeliveryFilter { order_id: Some("good-3".into()), limit: Some(1), ..Default::default() };
    assert_eq!(ids(&world, &operator(), of_order.clone()).await, ["good-3.1", "good-3.2"]);
    let delivered = DeliveryFilter { status: Some(DeliveryStatus::Delivered), ..of_order };
    assert_eq!(ids(&world, &operator(), delivered).await, ["good-3.1"]);
}

#[tokio::test]
async fn nobody_sees_or_does_more_than_is_theirs() {
    let world = world_with(2, 1).await;
    let everything = DeliveryFilter::default;
    let ports = &world.ports;
    let queue = world.queue.as_ref();
    let other = caller("other", &[Role::Operator]);
    assert!(ids(&world, &other, everything()).await.is_empty());
    assert_eq!(code(get(ports, &other, "bad-0.1").await), "delivery_not_found");
    assert_eq!(code(replay(ports, queue, &other, "bad-0.1", "k").await), "dead_letter_not_found");
    let cashier = caller("demo", &[Role::Cashier]);
    assert_eq!(code(list(ports, &cashier, everything()).await), "role_required");
    let manager = caller("demo", &[Role::StoreManager]);
    assert_eq!(ids(&world, &manager, everything()).await.len(), 3);
    assert_eq!(code(replay(ports, queue, &manager, "bad-0.1", "k").await), "role_required");
    let request = DiscardRequest { reason: "why".into() };
    assert_eq!(code(discard(ports, &manager, "bad-0.1", "k", &request).await), "role_required");
    let elsewhere = Caller { stores: Stores::Named(["s-2".to_owned()].into()), ..manager };
    assert!(ids(&world, &elsewhere, everything()).await.is_empty());
    assert_eq!(code(get(ports, &elsewhere, "bad-0.1").await), "delivery_not_found");
    let elsewhere = Caller { roles: [Role::Integration].into(), ..elsewhere };
    let none = replay_many(ports, queue, &elsewhere, "k", &ReplayManyRequest::default()).await.unwrap();
    assert_eq!((none.reply.replayed, none.reply.skipped), (0, 0));
    // A cursor of one tenant is none of another's.
    let page = list(ports, &operator(), DeliveryFilter { limit: Some(1), ..everything() }).await.unwrap();
    let stolen = DeliveryFilter { limit: Some(1), cursor: page.next_cursor, ..everything() };
    assert_eq!(code(list(ports, &other, stolen).await), "cursor_malformed");
}

#[tokio::test]
async fn what_is_asked_is_checked() {
    let world = world_with(0, 1).await;
    let ports = &world.ports;
    let with = |change: fn(&mut DeliveryFilter)| {
        let mut filter = DeliveryFilter::default();
        change(&mut filter);
        filter
    };
    for (filter, expected) in [
        (with(|f| f.limit = Some(0)), "limit_out_of_range"),
        (with(|f| f.destination = Some("moon".into())), "destination_unknown"),
        (with(|f| f.order_id = Some("a b".into())), "id_malformed"),
        (with(|f| f.cursor = Some("x".into())), "cursor_malformed"),
    ] {
        assert_eq!(code(list(ports, &operator(), filter).await), expected);
    }
    for (reason, expected) in [
        (" ".to_owned(), "reason_missing"),
        ("x".repeat(501), "text_too_long"),
        ("a\u{0}b".to_owned(), "text_malformed"),
        ("paid with 4111 1111 1111 1111".to_owned(), "card_number_refused"),
    ] {
        let request = DiscardRequest { reason };
        assert_eq!(code(discard(ports, &operator(), "bad-0.1", "k", &request).await), expected);
    }
    for id in ["bad-0", "bad-0.2", "bad-0.01", "", "x"] {
        assert_eq!(code(get(ports, &operator(), id).await), "delivery_not_found", "{id}");
    }
    assert_eq!(world.count(DeliveryStatus::Dead), 1);
}

#[tokio::test]
async fn a_replay_has_one_effect_per_key() {
    let world = world_with(1, 1).await;
    let (ports, queue) = (&world.ports, world.queue.as_ref());
    let by = operator();
    assert_eq!(code(replay(ports, queue, &by, "good-0.1", "k").await), "dead_letter_not_found");
    let first = replay(ports, queue, &by, "bad-0.1", "k").await.unwrap();
    assert_eq!((first.replayed, first.reply.status), (false, DeliveryStatus::Pending));
    let again = replay(ports, queue, &by, "bad-0.1", "k").await.unwrap();
    assert!(again.replayed);
    assert_eq!(world.queue.len(), 1);
    let other = DiscardRequest { reason: "why".into() };
    assert_eq!(code(discard(ports, &by, "bad-0.1", "k", &other).await), "idempotency_key_reused");
    assert_eq!(code(get_dead_letter(ports, &by, "bad-0.1").await), "dead_letter_not_found");
    world.run_until_settled(MINUTE).await;
    // Long after, the key still says that it was done, and does nothing.
    let late = replay(ports, queue, &by, "bad-0.1", "k").await.unwrap();
    assert_eq!((late.replayed, late.reply.status), (true, DeliveryStatus::Delivered));
    assert_eq!((world.queue.len(), world.accepted("bad-0").unwrap().accepted), (0, 1));
}

/// Of many who act on one letter at once one does it.
#[tokio::test]
async fn of_many_at_once_one_acts() {
    let world = world_with(0, 10).await;
    world.database.interleaves.store(true, std::sync::atomic::Ordering::SeqCst);
    for n in 0..10 {
        let id = format!("bad-{n}.1");
        let (by, request) = (operator(), DiscardRequest { reason: "why".into() });
        let keys: Vec<String> = (0..6).map(|n| format!("k-{n}")).collect();
        let replays = keys.iter().map(|key| replay(&world.ports, world.queue.as_ref(), &by, &id, key));
        let (replays, discarded) =
            tokio::join!(futures::future::join_all(replays), discard(&world.ports, &by, &id, "d", &request),);
        let acted = replays.iter().filter(|result| result.is_ok()).count() + usize::from(discarded.is_ok());
        assert_eq!(acted, 1);
    }
}

/// The same under a database that loses answers: one effect, and at most one answer that it is new.
#[tokio::test]
async fn replays_hold_when_answers_are_lost() {
    let world = world_with(0, 30).await;
    for n in 0..30 {
        let id = format!("bad-{n}.1");
        world.fail_database(50);
        let mut fresh = 0;
        for _ in 0..5 {
            if let Ok(done) = replay(&world.ports, world.queue.as_ref(), &operator(), &id, "k").await {
                fresh += usize::from(!done.replayed);
            }
        }
        world.fail_database(0);
        assert!(fresh <= 1);
        replay(&world.ports, world.queue.as_ref(), &operator(), &id, "k").await.unwrap();
        let delivery = world.delivery(&id).await;
        // The first wake-up, and the replay's.
        assert_eq!((delivery.enqueue_count, delivery.status), (2, DeliveryStatus::Pending));
    }
}

#[tokio::test]
async fn many_are_replayed_in_bounded_steps_each_once_per_key() {
    let world = world_with(3, 25).await;
    let (ports, queue) = (&world.ports, world.queue.as_ref());
    let by = operator();
    let mut request = ReplayManyRequest { limit: Some(10), ..ReplayManyRequest::default() };
    let mut total = 0;
    for step in 0.. {
        let key = format!("k-{step}");
        let done = replay_many(ports, queue, &by, &key, &request).await.unwrap();
        let again = replay_many(ports, queue, &by, &key, &request).await.unwrap();
        assert!(!done.replayed && again.replayed && done.reply == again.reply);
        let other = ReplayManyRequest { store_id: Some("s-9".into()), ..request.clone() };
        let code = replay_many(ports, queue, &by, &key, &other).await.unwrap_err();
        assert!(["idempotency_key_reused", "cursor_malformed"].contains(&code.code().unwrap()));
        assert!(done.reply.replayed <= 10);
        total += done.reply.replayed;
        match done.reply.next_cursor {
            Some(next) => request.cursor = Some(next),
            None => break,
        }
    }
    assert_eq!((total, world.count(DeliveryStatus::Dead)), (25, 0));
    world.run_until_settled(5 * MINUTE).await;
    assert_eq!(world.count(DeliveryStatus::Delivered), 28);
}

/// Letters that die again while many are replayed are not taken again, or it would never end.
#[tokio::test]
async fn going_on_comes_to_an_end_though_they_die_again() {
    let world = world_with(0, 12).await;
    let names: Vec<String> = (0..12).map(|n| format!("bad-{n}")).collect();
    world.refuse(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let mut request = ReplayManyRequest { limit: Some(5), ..ReplayManyRequest::default() };
    let mut total = 0;
    for step in 0..10 {
        let queue = world.queue.as_ref();
        let done =
            replay_many(&world.ports, queue, &operator(), &format!("k-{step}"), &request).await.unwrap();
        total += done.reply.replayed;
        world.run_until_settled(30 * MINUTE).await;
        match done.reply.next_cursor {
            Some(next) => request.cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(total, 12);
}

/// Cut short, a replay of many goes on with the same letters and answers for all of them.
#[tokio::test]
async fn a_replay_of_many_that_was_cut_short_is_finished_by_its_repetition() {
    for step in 0.. {
        let world = world_with(0, 5).await;
        let request = ReplayManyRequest::default();
        let by = operator();
        let work = replay_many(&world.ports, world.queue.as_ref(), &by, "k", &request);
        let done = world.database.run_killed_at(step, work).await.is_some();
        let reply =
            replay_many(&world.ports, world.queue.as_ref(), &operator(), "k", &request).await.unwrap().reply;
        assert_eq!((reply.replayed, reply.skipped), (5, 0), "step {step}");
        world.run_until_settled(10 * MINUTE).await;
        assert_eq!(world.count(DeliveryStatus::Delivered), 5);
        if done {
            assert!(step > 20);
            return;
        }
    }
}

#[tokio::test]
async fn a_discarded_letter_is_kept_with_its_reason_and_never_sent() {
    let world = world_with(0, 1).await;
    let request = DiscardRequest { reason: " rung up twice ".into() };
    let done = discard(&world.ports, &operator(), "bad-0.1", "k", &request).await.unwrap();
    assert_eq!(done.reply.status, DeliveryStatus::Discarded);
    let again = discard(&world.ports, &operator(), "bad-0.1", "k", &request).await.unwrap();
    assert!(again.replayed);
    let asked = world.hq.requests();
    world.environment.advance(60 * MINUTE);
    world.run(10 * MINUTE).await;
    assert_eq!(world.hq.requests(), asked);
    let detail = get(&world.ports, &operator(), "bad-0.1").await.unwrap();
    let discarded = detail.delivery.discarded.unwrap();
    assert_eq!((discarded.reason.as_str(), discarded.by.as_str()), ("rung up twice", "e-1"));
    let code = code(replay(&world.ports, world.queue.as_ref(), &operator(), "bad-0.1", "k2").await);
    assert_eq!(code, "dead_letter_not_found");
}

/// Lists are by the last change.
#[tokio::test]
async fn a_delivery_says_when_it_was_accepted() {
    let world = World::new(8).await;
    world.sell("o").await;
    world.environment.advance(MINUTE);
    world.batch().await;
    let delivery = world.delivery("o.1").await;
    assert_eq!(delivery.status, DeliveryStatus::Delivered);
    let now = world.environment.now();
    assert_eq!((delivery.updated_at, delivery.last_attempt_at), (now, Some(now)));
}
