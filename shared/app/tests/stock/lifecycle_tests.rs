//! Random lives of reservations, under faults and in parallel: at the end nothing is reserved, and what
//! is on hand is what was not committed.

use std::sync::Arc;

use jiff::Timestamp;
use tillstream_app::capacity::Operation;
use tillstream_app::environment::Environment;
use tillstream_app::stock::{conservation, expiry, long_reservations, reservations, reserve};
use tillstream_app::{Error, Ports, Result};
use tillstream_contracts::inventory::{CommitRequest, ExtendRequest, ReservationStatus, ReserveRequest};
use tillstream_domain::quantity::QuantityInput;
use tillstream_testkit::faults;

use crate::fixture::{Fault, Fixture, LOCATIONS, SKUS, dies_after, request};
use crate::long_reservation_tests::{SHOP, of_each, sku};

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
                let one = CommitRequest::from(request(&[(location_id, sku, 1)], 1).lines);
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
        fixture.relay_in_batches().await;
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

/// Products of the shop of long lives, and pieces of each.
const SHELF: usize = 110;
const PIECES: i64 = 60;

/// Pieces of a product that are kept as safety stock: of some none.
fn safety(n: usize) -> i64 {
    i64::try_from(n % 4).unwrap()
}

/// A step of a life, as one request.
#[derive(Clone)]
enum Step {
    Reserve(ReserveRequest),
    Extend(ExtendRequest),
    Commit(CommitRequest),
    Release,
}

async fn ask(
    fixture: &Fixture,
    ports: &Ports,
    (key, id): (&str, &str),
    step: &Step,
) -> Result<reserve::Answer> {
    let who = &fixture.caller;
    match step {
        Step::Reserve(wanted) => reserve::reserve(ports, who, key, wanted).await,
        Step::Extend(longer) => reservations::extend(ports, who, key, id, longer).await,
        Step::Commit(sold) => reservations::commit(ports, who, key, id, sold).await,
        Step::Release => reservations::release(ports, who, key, id).await,
    }
}

/// The first to ask dies before or after some call of the database. Answers whether it did: it may have made fewer.
async fn dies_in_a_call(fixture: &Arc<Fixture>, chance: u64, names: &(String, String), step: &Step) -> bool {
    let after = usize::try_from(chance % 7).unwrap();
    let fault =
        if (chance / 7).is_multiple_of(2) { faults::Fault::DiesBefore } else { faults::Fault::DiesAfter };
    // There are fewer single reads and writes than others.
    let (operation, after) = match chance / 14 % 8 {
        0 => (Operation::Get, after % 3),
        1 => (Operation::Write, after % 2),
        2 => (Operation::GetMany, after),
        _ => (Operation::Transact, after),
    };
    let mortal = Arc::new(faults::FaultyDatabase::new(fixture.faulty.clone()));
    mortal.script(operation, std::iter::repeat_n(None, after).chain([Some(fault)]));
    let (theirs, names, step) = (fixture.clone(), names.clone(), step.clone());
    fixture
        .dying(mortal, |ports| async move {
            let _ = ask(&theirs, &ports, (&names.0, &names.1), &step).await;
        })
        .await
}

/// Asks until there is an answer; now and then the first to ask dies on the way, in some call or between two, and now
/// and then nobody asks again: `None`.
async fn ask_or_die(
    fixture: &Arc<Fixture>,
    chance: u64,
    names: (String, String),
    step: Step,
) -> Option<Result<reserve::Answer>> {
    if chance.is_multiple_of(5) {
        let (in_a_call, chance) = ((chance / 5).is_multiple_of(2), chance / 10);
        let died = if in_a_call {
            dies_in_a_call(fixture, chance, &names, &step).await
        } else {
            let first = ask(fixture, &fixture.ports, (&names.0, &names.1), &step);
            dies_after(chance % 48, first).await.is_none()
        };
        if died && (chance / 560).is_multiple_of(3) {
            return None;
        }
    }
    Some(until_answered(|| ask(fixture, &fixture.ports, (&names.0, &names.1), &step)).await)
}

/// One life, of which one in sixteen is long. Answers what its client knows: whether all of it was sold.
async fn live_or_die(fixture: &Arc<Fixture>, seed: u64, life: u64) -> Option<bool> {
    let roll = |n: u64| dice(seed ^ life.wrapping_mul(0x5851_f42d_4c95_7f2d), n);
    let pick = |n: u64, of: usize| usize::try_from(roll(n)).unwrap_or(usize::MAX) % of;
    let many = if roll(0).is_multiple_of(16) { 50 + pick(1, 55) } else { 1 + pick(1, 4) };
    let first = pick(2, SHELF);
    let skus: Vec<usize> = (0..many).map(|n| (first + n) % SHELF).collect();
    let ttl = 1 + i64::try_from(roll(3) % 1_500).unwrap();
    let id = format!("v-{seed}-{life}");
    let wanted = ReserveRequest {
        reservation_id: Some(id.clone()),
        ..of_each(skus.iter().copied(), 1 + i64::try_from(roll(4) % 3).unwrap(), ttl)
    };
    let names = |key: &str| (key.to_owned(), id.clone());
    match ask_or_die(fixture, roll(5), names("reserve"), Step::Reserve(wanted.clone())).await? {
        Ok(_) => {}
        Err(error) => {
            assert_eq!(error.code(), Some("insufficient_stock"), "{error}");
            return Some(false);
        }
    }
    for n in 0..roll(6) % 5 {
        fixture.pass(roll(30 + n) % 4);
        let (key, step) = match roll(40 + n) % 6 {
            0 => (
                format!("extend-{n}"),
                Step::Extend(ExtendRequest { ttl_seconds: 1 + i64::try_from(roll(50 + n) % 900).unwrap() }),
            ),
            1 => ("commit".to_owned(), Step::Commit(CommitRequest::default())),
            2 => ("release".to_owned(), Step::Release),
            3 | 4 => {
                let some = skus.iter().copied().step_by(1 + pick(60 + n, 3));
                (format!("part-{n}"), Step::Commit(CommitRequest::from(of_each(some, 1, 1).lines)))
            }
            _ => ("reserve".to_owned(), Step::Reserve(wanted.clone())),
        };
        let is_whole = key == "commit";
        match ask_or_die(fixture, roll(70 + n), names(&key), step).await? {
            Ok(answer) if answer.reservation.status == ReservationStatus::Committed => return Some(true),
            Ok(_) => assert!(!is_whole),
            Err(error) => {
                let known = ["reservation_expired", "reservation_not_active", "commit_above_held"];
                assert!(error.code().is_some_and(|code| known.contains(&code)), "{error}");
            }
        }
    }
    Some(false)
}

#[tokio::test]
async fn ten_thousand_lives_with_deaths_leave_nothing_reserved() {
    let (mut long_ones, mut sold_in_all, mut left) = (0, 0, 0);
    // Sold, given back, and over.
    let mut ends = [0; 3];
    for seed in 0..40 {
        let fixture = Arc::new(Fixture::with_safe_shelf(500 + seed, SHELF, PIECES, safety).await);
        fixture.inject(move |n| match dice(seed, n) % 40 {
            0 => Fault::Conflict,
            1 => Fault::Throttled,
            2 => Fault::LostBefore,
            3 | 4 => Fault::LostAfter,
            _ => Fault::None,
        });
        let mut lives = Vec::new();
        for life in 0..250 {
            let fixture = fixture.clone();
            lives.push(tokio::spawn(async move { live_or_die(&fixture, seed, life).await }));
        }
        let mut known = Vec::new();
        for life in lives {
            known.push(life.await.unwrap());
        }
        fixture.check_invariants();
        // All time passes, and the keeper comes by.
        fixture.heal();
        for _ in 0..2 {
            fixture.pass(100_000);
            let now = fixture.environment.now();
            long_reservations::recover(&fixture.ports, now, 1_000, Timestamp::MAX).await.unwrap();
            expiry::sweep_expired(&fixture.ports, now, Timestamp::MAX).await.unwrap();
        }
        fixture.check_invariants();
        fixture.relay_in_batches().await;
        // What each reservation says that it sold is what is gone.
        let mut sold = vec![0; SHELF];
        left += known.iter().filter(|known| known.is_none()).count();
        for (life, known) in known.into_iter().enumerate() {
            let id = format!("v-{seed}-{life}");
            let Ok(made) = reservations::get(&fixture.ports, &fixture.caller, &id).await else {
                assert_ne!(known, Some(true), "{id}");
                continue;
            };
            match made.status {
                ReservationStatus::Committed => ends[0] += 1,
                ReservationStatus::Released => ends[1] += 1,
                ReservationStatus::Expired => ends[2] += 1,
                ReservationStatus::Active => panic!("{id} is active still"),
            }
            if let Some(all) = known {
                assert_eq!(made.status == ReservationStatus::Committed, all, "{id}");
            }
            long_ones += usize::from(made.lines.len() > reserve::LINES_MAX);
            for line in &made.lines {
                let QuantityInput::Whole(pieces) = line.committed else { panic!("{line:?}") };
                let n: usize = line.sku.trim_start_matches("P-").parse().unwrap();
                sold[n] += pieces;
            }
        }
        for (n, sold) in sold.iter().enumerate() {
            let stock = fixture.stock(SHOP, &sku(n)).await;
            let left = (PIECES - sold) * 1_000;
            let expected = (left, 0, left - safety(n) * 1_000);
            assert_eq!((stock.on_hand, stock.reserved, stock.available), expected, "seed {seed} {n}");
            let proof = conservation::prove(&fixture.ports, &fixture.caller, SHOP, &sku(n)).await.unwrap();
            assert!(proof.holds && proof.seq_reached == stock.seq, "seed {seed} {proof:?}");
            sold_in_all += sold;
        }
    }
    assert!(long_ones >= 300 && sold_in_all > 10_000, "{long_ones} long ones, {sold_in_all} sold: no test");
    assert!(
        ends.iter().all(|many| *many > 500) && left > 300,
        "{ends:?}, {left} left where they died: no test"
    );
}
