//! Looking at a backorder ends what is held for it when that is over, and nothing that others hold.

use std::sync::atomic::Ordering;

use super::*;
use crate::counted_calls::CountedCalls;

/// Holds of others on the same stock item: more than any request reads.
const OTHERS: i64 = 6_000;

/// What is held of an item, over all its parts, in thousandths.
fn held(world: &World) -> i64 {
    let items = world.memory.items(Table::Stock);
    items
        .iter()
        .filter(|item| item.opt_number("seq").is_some())
        .filter_map(|i| i.opt_number("reserved"))
        .sum()
}

#[tokio::test]
async fn looking_frees_what_was_held_for_it_and_nothing_else() {
    let world = World::new(60).await;
    world.wait_for("b-0", 2).await;
    world.deliver(HERE, A, OTHERS + 2).await.unwrap();
    world.relay_all().await;
    assert_eq!(world.status("b-0").await, BackorderState::Reserved);
    world.many_holds((HERE, A), OTHERS, 60, 60).await;
    world.pass(HOLD.into());
    let before = world.faulty.writes.load(Ordering::SeqCst);
    let (ports, calls) = CountedCalls::ports_over(&world);
    let seen = backorders::get(&ports, &world.caller, "b-0").await.unwrap();
    assert_eq!(seen.status, BackorderStatus::Expired);
    assert_eq!((calls.queries(), held(&world)), (0, OTHERS * 1_000), "the others' lines are not even read");
    world.check();
    // Nothing is done again.
    assert_eq!(world.get("b-0").await, seen);
    assert_eq!(world.faulty.writes.load(Ordering::SeqCst), before);
    // Who needs what is over gets it.
    world.reserve("k", &request(&[(HERE, A, 50)], 60)).await.unwrap();
    assert!(held(&world) < OTHERS * 1_000);
    world.check();
}

/// The same where it is held at several parts, and where these were merged while it was held.
#[tokio::test]
async fn looking_frees_what_was_held_at_parts() {
    for merged in [false, true] {
        let world = World::new(61).await;
        world.count(HERE, A, 8).await;
        split(&world.ports, world.scope(), HERE, A, 4).await.unwrap();
        world.wait_for("b-0", 7).await;
        let now = world.environment.now();
        assert_eq!(backorders::serve(&world.ports, world.scope(), (HERE, A), now).await.unwrap(), 1);
        assert_eq!(held(&world), 7_000);
        if merged {
            make_whole(&world.ports, world.scope(), HERE, A).await.unwrap();
        }
        world.pass(HOLD.into());
        assert_eq!(world.get("b-0").await.status, BackorderStatus::Expired, "merged: {merged}");
        assert_eq!(held(&world), 0, "merged: {merged}");
        world.check();
    }
}
