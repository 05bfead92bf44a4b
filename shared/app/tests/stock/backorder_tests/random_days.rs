//! Backorders on days on which anything happens in any order, and at once.

use super::*;

/// A sale and an end at once: one of both happened, and the backorder says which.
#[tokio::test]
async fn a_backorder_says_of_a_sale_and_an_end_at_once_what_happened() {
    let (mut sold, mut over) = (0, 0);
    for seed in 0..24 {
        let world = World::new(300 + seed).await;
        world.wait_for("b-1", 2).await;
        world.deliver(HERE, A, 2).await.unwrap();
        world.relay_all().await;
        // The till's clock is a moment behind the keeper's.
        world.pass(u64::from(HOLD) - 1);
        let id = world.stored("b-1").await.reservation_id.unwrap();
        let (till, keeper) = (world.fixture.clone(), world.fixture.clone());
        let all = CommitRequest::default();
        let yields = seed % 12;
        let selling = tokio::spawn(async move {
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
            reservations::commit(&till.ports, &till.caller, "z", &id, &all).await.is_ok()
        });
        let following = tokio::spawn(async move {
            let late = keeper.environment.now().checked_add(2.seconds()).unwrap();
            backorders::follow(&keeper.ports, keeper.scope(), "b-1", late).await
        });
        let is_sold = selling.await.unwrap();
        following.await.unwrap().unwrap();
        world.relay_all().await;
        world.pass(5);
        world.keep().await;
        let expected = if is_sold { BackorderState::Fulfilled } else { BackorderState::Expired };
        assert_eq!(world.status("b-1").await, expected, "seed {seed}");
        assert_eq!(world.stock(HERE, A).await.on_hand, if is_sold { 0 } else { 2_000 });
        world.check();
        if is_sold { sold += 1 } else { over += 1 }
    }
    assert!(sold > 0 && over > 0, "{sold} sold, {over} over: no test");
}

fn dice(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(n.wrapping_mul(0xd1b5_4a32_d192_ed03));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Arrivals, sales, cancellations and ends in any order, over a database in trouble and a stream that repeats and
/// reorders: the order is kept, nobody is served twice, what is reserved is what is held.
#[tokio::test]
async fn random_days_keep_the_order_and_serve_nobody_twice() {
    let (mut served, mut cancelled, mut fulfilled, mut expired) = (0, 0, 0, 0);
    for seed in 0..60 {
        let world = World::new(1_000 + seed).await;
        world.inject(move |n| match dice(seed, 5_000 + n) % 30 {
            0 => Fault::Conflict,
            1 => Fault::Throttled,
            2 => Fault::LostBefore,
            3 | 4 => Fault::LostAfter,
            _ => Fault::None,
        });
        let mut placed = Vec::new();
        let mut late: Vec<crate::streamed::Change> = Vec::new();
        for n in 0..60 {
            let roll = |k: u64| dice(seed, n * 16 + k);
            let pick = |k: u64| {
                let any = usize::try_from(roll(k)).unwrap_or(usize::MAX).checked_rem(placed.len());
                any.and_then(|at: usize| placed.get(at).cloned())
            };
            let some = 1 + i64::try_from(roll(1) % 4).unwrap();
            match roll(0) % 12 {
                0..=3 => {
                    let id = format!("b-{n}");
                    let asked = wants(&id, some);
                    until_answered(|| world.place(&id, &asked), "place").await;
                    placed.push(id);
                }
                4 | 5 => {
                    let _ = world.deliver(HERE, A, some).await;
                }
                6 => {
                    let _ = world.deliver(HERE, A, -some).await;
                }
                7 => {
                    if let Some(id) = pick(2) {
                        let key = format!("c-{id}");
                        until_answered(|| world.cancel(&key, &id), "cancel").await;
                    }
                }
                8 => {
                    if let Some(id) = pick(2)
                        && world.stored(&id).await.reservation_id.is_some()
                    {
                        let _ = world.commit(&id).await;
                    }
                }
                9 => {
                    if let Some(id) = pick(2)
                        && let Some(reservation) = world.stored(&id).await.reservation_id
                    {
                        let _ = reservations::release(&world.ports, &world.caller, "rel", &reservation).await;
                    }
                }
                10 => world.pass(roll(3) % 5_000),
                _ => {
                    let _ = world.reserve(&format!("v-{n}"), &request(&[(HERE, A, some)], 300)).await;
                }
            }
            world.check();
            // The stream: some of what is due, in any order, and now and then once more.
            late.extend(world.changes());
            if roll(4) % 3 != 0 {
                let mut batch = std::mem::take(&mut late);
                if roll(5) % 2 == 0 {
                    batch.reverse();
                }
                let cut = usize::try_from(roll(6)).unwrap_or(0) % (batch.len() + 1);
                late = batch.split_off(cut);
                if roll(7) % 3 == 0 {
                    late.extend(batch.iter().take(2).cloned());
                }
                // What fails comes again.
                let images: Vec<_> = batch.iter().map(|(old, new)| (old.as_ref(), new.as_ref())).collect();
                let handed =
                    tillstream_app::relay::handle(&world.ports, &world.stream, &world.queue, &images).await;
                assert!(handed.values().all(|why| matches!(why, Failure::Transient(_))), "{handed:?}");
                late.extend(handed.keys().map(|at| batch[*at].clone()));
                world.check();
            }
        }
        world.heal();
        world.hand_over(&late).await;
        for _ in 0..2 {
            world.relay_all().await;
            world.pass(121);
            world.keep().await;
        }
        world.relay_all().await;
        let all = world.check();
        // At rest the first who waits wants more than there is.
        let first =
            all.iter().filter(|one| one.state == BackorderState::Waiting).min_by_key(|one| one.number);
        if let Some(first) = first {
            assert!(
                world.stock(HERE, A).await.available < first.quantity.thousandths(),
                "seed {seed} {first:?}"
            );
        }
        let told: usize = all.iter().map(|one| one.told as usize).sum();
        assert_eq!(world.told("_backorder:").len(), told, "seed {seed}: each step once");
        for one in &all {
            served += usize::from(one.reservation_id.is_some());
            cancelled += usize::from(one.state == BackorderState::Cancelled);
            fulfilled += usize::from(one.state == BackorderState::Fulfilled);
            expired += usize::from(one.state == BackorderState::Expired);
        }
    }
    let counts = [served, cancelled, fulfilled, expired];
    assert!(counts.iter().all(|count| *count >= 40), "{counts:?}: no test");
}

/// Repeats until there is an answer that says what happened, as a client does with the same key.
async fn until_answered<F: Future<Output = Result<Answer, Error>>>(step: impl Fn() -> F, what: &str) {
    for _ in 0..50 {
        match step().await {
            Ok(_) => return,
            Err(Error::Rejected(refusal)) => {
                assert!(["backorder_over"].contains(&refusal.code), "{what}: {refusal:?}");
                return;
            }
            Err(Error::Bug(bug)) => panic!("{what}: {bug}"),
            Err(_) => {}
        }
    }
    panic!("{what} was never answered");
}
