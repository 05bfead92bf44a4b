//! Lists too long for one answer: each is bounded, and says where to go on.

use tillstream_app::database::Database;
use tillstream_app::dispatch::dead_letters::replay_many;
use tillstream_app::dispatch::delivery::Attempt;
use tillstream_app::dispatch::listing::{get, list};
use tillstream_app::environment::Environment;
use tillstream_app::tenancy::{Caller, Role, Stores};
use tillstream_contracts::dispatch::{AttemptOutcome, DeliveryFilter, DeliveryStatus, ReplayManyRequest};
use tillstream_testkit::shop::caller;

use crate::world::World;

fn of_store(store: &str) -> Caller {
    let caller = caller("demo", &[Role::Integration]);
    Caller { stores: Stores::Named([store.to_owned()].into()), ..caller }
}

fn dead(limit: u32, cursor: Option<String>) -> DeliveryFilter {
    DeliveryFilter {
        status: Some(DeliveryStatus::Dead),
        limit: Some(limit),
        cursor,
        ..DeliveryFilter::default()
    }
}

#[tokio::test]
async fn a_page_is_full_of_what_the_caller_may_see() {
    let world = World::with_dead_letters(12, |n| if n % 3 == 0 { "s-2" } else { "s-1" }).await;
    let mut seen = Vec::new();
    let mut cursor = None;
    for (count, more) in [(3, true), (1, false)] {
        let page = list(&world.ports, &of_store("s-2"), dead(3, cursor)).await.unwrap();
        assert_eq!((page.items.len(), page.next_cursor.is_some()), (count, more));
        seen.extend(page.items.into_iter().map(|delivery| delivery.order_id));
        cursor = page.next_cursor;
    }
    assert_eq!(seen, ["bad-9", "bad-6", "bad-3", "bad-0"]);
}

/// Where hardly any matches, one request looks at so many and leaves the rest to the next.
#[tokio::test]
async fn a_search_for_a_rare_letter_goes_on_at_its_cursor() {
    let world =
        World::with_dead_letters(2_300, |n| if [0, 2_299].contains(&n) { "s-2" } else { "s-1" }).await;
    let by = of_store("s-2");
    let newest = list(&world.ports, &by, dead(200, None)).await.unwrap();
    assert_eq!(newest.items.len(), 1);
    let oldest = list(&world.ports, &by, dead(200, Some(newest.next_cursor.unwrap()))).await.unwrap();
    assert_eq!((oldest.items[0].order_id.as_str(), oldest.next_cursor), ("bad-0", None));

    let queue = world.queue.as_ref();
    let mut request = ReplayManyRequest::default();
    let first = replay_many(&world.ports, queue, &by, "k-1", &request).await.unwrap().reply;
    request.cursor = Some(first.next_cursor.unwrap());
    let second = replay_many(&world.ports, queue, &by, "k-2", &request).await.unwrap().reply;
    assert_eq!((first.replayed, second.replayed, second.next_cursor), (1, 1, None));
}

#[tokio::test]
async fn no_replay_of_many_takes_more_than_its_limit() {
    let world = World::with_dead_letters(8, |n| if [1, 2].contains(&n) { "s-1" } else { "s-2" }).await;
    let mut request = ReplayManyRequest { limit: Some(3), ..ReplayManyRequest::default() };
    for (key, count) in [("k-1", 3), ("k-2", 3)] {
        let queue = world.queue.as_ref();
        let reply = replay_many(&world.ports, queue, &of_store("s-2"), key, &request).await.unwrap().reply;
        assert_eq!((reply.replayed, reply.skipped), (count, 0), "{key}");
        request.cursor = reply.next_cursor;
    }
}

#[tokio::test]
async fn a_replay_of_many_takes_the_store_that_is_named() {
    let world = World::with_dead_letters(6, |n| if n < 2 { "s-2" } else { "s-1" }).await;
    let request = ReplayManyRequest { store_id: Some("s-2".to_owned()), ..ReplayManyRequest::default() };
    let by = caller("demo", &[Role::Integration]);
    let reply = replay_many(&world.ports, world.queue.as_ref(), &by, "k", &request).await.unwrap().reply;
    assert_eq!((reply.replayed, reply.next_cursor), (2, None));
    let dead = world.deliveries().into_iter().filter(|delivery| delivery.status == DeliveryStatus::Dead);
    assert!(dead.map(|delivery| delivery.lane_number.lane.store_id).eq(["s-1"; 4]));
}

/// What HQ answered is kept with each attempt, so that so many are several pages of the table.
#[tokio::test]
async fn of_very_many_attempts_the_last_ones_are_shown_in_order() {
    let world = World::with_dead_letters(1, |_| "s-1").await;
    let delivery = world.delivery("bad-0.1").await;
    for number in 1..=510 {
        let attempt = Attempt {
            at: world.environment.now(),
            duration_ms: 7,
            outcome: AttemptOutcome::Failed,
            status: Some(500),
            error: Some("x".repeat(4_000)),
            nonce: i64::from(number),
        };
        let write = attempt.write(&delivery.scope, "bad-0.1", number);
        world.memory.write(write).await.unwrap();
    }
    let shown = get(&world.ports, &of_store("s-1"), "bad-0.1").await.unwrap().attempt_log;
    let numbers: Vec<u32> = shown.iter().map(|attempt| attempt.attempt).collect();
    assert_eq!(numbers, (11..=510).collect::<Vec<_>>());
}
