//! Random lives of reservations, under faults and in parallel: at the end nothing is reserved, and what
//! is on hand is what was not committed.

use std::sync::Arc;

use jiff::Timestamp;
use tillstream_app::environment::Environment;
use tillstream_app::stock::{conservation, expiry, reservations, reserve};
use tillstream_app::{Error, Result};
use tillstream_contracts::inventory::{CommitRequest, ExtendRequest};

use crate::fixture::{Fault, Fixture, LOCATIONS, SKUS, request};

/// A number from a seed, the same each time it is asked.
fn dice(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(n.wrapping_mul(0xd1b5_4a32_d192_ed03));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Repeats until there is an answer that says what happened: as a client does with the same key.
async fn until_answered<T, F: Future<Output = Result<T>>>(step: impl Fn() -> F) -> Result<T> {
    loop {
        match step().await {
            Err(Error::Retryable { .. } | Error::Conflict(_)) => {}
            Err(Error::Bug(what)) => panic!("bug: {what}"),
            other => return other,
        }
    }
}

/// One life. Answers the pieces committed by place in [`LOCATIONS`] × [`SKUS`].
async fn live(fixture: &Fixture, seed: u64, life: u64) -> [i64; 9] {
    let roll = |n: u64| dice(seed ^ life.wrapping_mul(0x5851_f42d_4c95_7f2d), n);
    let mut committed = [0; 9];
    let lines: Vec<(usize, i64)> = (0..=roll(0) % 3)
        .map(|n| (usize::try_from(roll(10 + n) % 9).unwrap(), 1 + i64::try_from(roll(20 + n) % 4).unwrap()))
        .collect();
    let named: Vec<(&str, &str, i64)> =
        lines.iter().map(|(at, pieces)| (LOCATIONS[at / 3], SKUS[at % 3], *pieces)).collect();
    let wanted = request(&named, 1 + i64::try_from(roll(1) % 600).unwrap());
    let key = |what: &str| format!("{what}-{seed}-{life}");
    let (ports, who) = (&fixture.ports, &fixture.caller);
    let (reserve_key, commit_key, release_key) = (key("reserve"), key("commit"), key("release"));
    let made = until_answered(|| reserve::reserve(ports, who, &reserve_key, &wanted)).await;
    let Ok(made) = made else { return committed };
    let id = made.reservation.reservation_id;
    let all = CommitRequest::default();
    for step in 0..roll(2) % 4 {
        fixture.pass(roll(30 + step) % 12);
        match roll(40 + step) % 5 {
            0 => {
                let longer = ExtendRequest { ttl_seconds: 1 + i64::try_from(roll(50 + step) % 60).unwrap() };
                let key = format!("extend-{step}");
                let _ = until_answered(|| reservations::extend(ports, who, &key, &id, &longer)).await;
            }
            1 => {
                let done = until_answered(|| reservations::commit(ports, who, &commit_key, &id, &all)).await;
                if done.is_ok_and(|answer| !answer.replayed) || committed_now(fixture, &id).await {
                    // With what was committed of it in part.
                    committed = [0; 9];
                    for (at, pieces) in &lines {
                        committed[*at] += pieces;
                    }
                    return committed;
                }
            }
            4 => {
                let (location_id, sku, _) = named[0];
                let one = CommitRequest { lines: Some(request(&[(location_id, sku, 1)], 1).lines) };
                let key = format!("part-{step}");
                let done = until_answered(|| reservations::commit(ports, who, &key, &id, &one)).await;
                if done.is_ok() {
                    committed[lines[0].0] += 1;
                }
                if committed_now(fixture, &id).await {
                    return committed;
                }
            }
            2 => {
                let _ = until_answered(|| reservations::release(ports, who, &release_key, &id)).await;
            }
            _ => {
                let again = until_answered(|| reserve::reserve(ports, who, &reserve_key, &wanted)).await;
                assert!(again.unwrap().replayed);
            }
        }
    }
    committed
}

async fn committed_now(fixture: &Fixture, id: &str) -> bool {
    let reservation = reservations::get(&fixture.ports, &fixture.caller, id).await.unwrap();
    reservation.status == tillstream_contracts::inventory::ReservationStatus::Committed
}

#[tokio::test]
async fn two_thousand_lives_leave_nothing_reserved() {
    for seed in 0..20 {
        let fixture = Arc::new(Fixture::new(seed).await);
        for location_id in LOCATIONS {
            for sku in SKUS {
                fixture.count(location_id, sku, 40).await;
            }
        }
        fixture.inject(move |n| match dice(seed, n) % 20 {
            0 => Fault::Conflict,
            1 => Fault::Throttled,
            2 => Fault::LostBefore,
            3 | 4 => Fault::LostAfter,
            _ => Fault::None,
        });
        let mut tasks = Vec::new();
        for life in 0..100 {
            let fixture = fixture.clone();
            tasks.push(tokio::spawn(async move { live(&fixture, seed, life).await }));
        }
        let mut committed = [0; 9];
        for task in tasks {
            for (sum, part) in committed.iter_mut().zip(task.await.unwrap()) {
                *sum += part;
            }
            fixture.check_invariants();
        }
        assert!(committed.iter().sum::<i64>() > 0, "seed {seed} committed nothing: no test");

        // All time passes; whoever looks next frees what is left.
        fixture.heal();
        fixture.pass(200_000);
        expiry::sweep_expired(&fixture.ports, fixture.environment.now(), Timestamp::MAX).await.unwrap();
        fixture.check_invariants();
        fixture.relay(|_| true).await;
        for (at, pieces) in committed.iter().enumerate() {
            let (location_id, sku) = (LOCATIONS[at / 3], SKUS[at % 3]);
            let stock = fixture.stock(location_id, sku).await;
            assert_eq!(stock.reserved, 0, "seed {seed} {location_id} {sku}");
            assert_eq!(stock.on_hand, 40_000 - pieces * 1_000, "seed {seed} {location_id} {sku}");
            assert_eq!(stock.available, stock.on_hand);
            let proof = conservation::prove(&fixture.ports, &fixture.caller, location_id, sku).await.unwrap();
            assert!(proof.holds, "seed {seed} {proof:?}");
            assert_eq!(proof.seq_reached, stock.seq);
            assert!(proof.ranges.is_empty());
        }
    }
}
