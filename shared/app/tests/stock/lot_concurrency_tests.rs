//! Races for goods that are kept by lots: exactly what is there is held, and every piece that is then sold is of one lot.

use std::sync::Arc;

use futures::future::join_all;
use jiff::civil::Date;
use serde_json::json;
use tillstream_app::Error;
use tillstream_app::stock::reserve::Answer;
use tillstream_app::stock::restock::restock;
use tillstream_app::stock::{conservation, reservations};
use tillstream_contracts::inventory::{CommitRequest, ReserveRequest, RestockRequest};
use tillstream_domain::quantity::QuantityInput;

use crate::fixture::{Fault, Fixture, LOCATIONS, SKUS, request};
use crate::sourcing_tests::{held, sourced};

const A: &str = SKUS[0];
const LEEDS: &str = LOCATIONS[0];
const HULL: &str = LOCATIONS[2];

/// So many orders of events are tried.
pub(crate) const SEEDS: u64 = 100;

/// Goods of a lot, or of none, come to a location.
async fn deliver(fixture: &Fixture, location_id: &str, (lot, day): (Option<&str>, Option<Date>), many: i64) {
    let delivery = RestockRequest {
        location_id: location_id.into(),
        sku: A.into(),
        quantity: QuantityInput::Whole(many),
        supplier_id: None,
        reference: None,
        reason: None,
        lot: lot.map(Into::into),
        expires_on: day,
    };
    let key = format!("in-{location_id}-{}", lot.unwrap_or("none"));
    restock(&fixture.ports, &fixture.caller, &key, &delivery).await.unwrap();
}

/// Conflicts, requests that never arrive and answers that never come back, elsewhere for each seed.
pub(crate) fn trouble(fixture: &Fixture, seed: u64) {
    fixture.inject(move |n| match (n + seed) % 23 {
        3 => Fault::Conflict,
        11 => Fault::LostAfter,
        17 => Fault::LostBefore,
        _ => Fault::None,
    });
}

/// What a thousand got who asked at once, each of whom asks again where that is safe.
pub(crate) async fn a_thousand(fixture: &Arc<Fixture>, wanted: &ReserveRequest) -> Vec<Answer> {
    let tasks: Vec<_> = (0..1_000)
        .map(|n| {
            let (fixture, wanted) = (fixture.clone(), wanted.clone());
            tokio::spawn(async move {
                loop {
                    match fixture.reserve(&format!("r-{n}"), &wanted).await {
                        Err(Error::Retryable { .. } | Error::Conflict(_)) => {}
                        Ok(answer) => return Some(answer),
                        Err(refused) => {
                            assert_eq!(refused.code(), Some("insufficient_stock"));
                            return None;
                        }
                    }
                }
            })
        })
        .collect();
    let mut made = Vec::new();
    for task in tasks {
        made.extend(task.await.unwrap());
    }
    made
}

/// All of it is sold, at once and in trouble, too.
pub(crate) async fn commit_all(fixture: &Fixture, made: &[Answer]) {
    let all = CommitRequest::default();
    let commits = made.iter().map(|one| {
        let (id, all) = (one.reservation.reservation_id.as_str(), &all);
        async move {
            loop {
                let key = format!("c-{id}");
                match reservations::commit(&fixture.ports, &fixture.caller, &key, id, all).await {
                    Err(Error::Retryable { .. } | Error::Conflict(_)) => {}
                    done => return done,
                }
            }
        }
    });
    for done in join_all(commits).await {
        done.unwrap();
    }
}

/// So much of each lot went to customers, and the ledger proves it.
async fn check_sold(fixture: &Fixture, lots: &[(&str, i64)], label: &str) {
    fixture.relay(|_| true).await;
    for (lot, many) in lots {
        let sold = fixture.who_got(lot).await;
        assert!(sold.iter().all(|(kind, _, pieces)| kind == "commit" && *pieces == 1), "{label}: {sold:?}");
        assert_eq!(i64::try_from(sold.len()).unwrap(), *many, "{label}: {lot} {sold:?}");
    }
    for location_id in [LEEDS, HULL] {
        let Ok(proof) = conservation::prove(&fixture.ports, &fixture.caller, location_id, A).await else {
            assert_eq!(location_id, HULL, "{label}");
            continue;
        };
        let lots = proof.lots.unwrap();
        assert!(proof.holds && lots.holds && lots.lots.is_empty(), "{label}: {lots:?}");
        assert_eq!((&proof.counters.on_hand, &proof.counters.reserved), (&whole(0), &whole(0)), "{label}");
    }
}

fn whole(pieces: i64) -> QuantityInput {
    QuantityInput::Whole(pieces)
}

/// A thousand want one of ten pieces, of three lots and of none: ten get one, every time.
#[tokio::test]
async fn of_a_thousand_who_want_one_of_ten_pieces_in_lots_ten_get_one_in_any_trouble() {
    for seed in 0..SEEDS {
        let label = format!("seed {seed}");
        let fixture = Arc::new(Fixture::new(seed).await);
        fixture.keep_by_lots(A).await;
        let day = |days: i64| Some(fixture.local_day(days));
        for (lot, many) in [
            ((None, None), 1),
            ((Some("C"), day(30)), 2),
            ((Some("A"), day(10)), 3),
            ((Some("B"), day(20)), 4),
        ] {
            deliver(&fixture, LEEDS, lot, many).await;
        }
        trouble(&fixture, seed);
        let made = a_thousand(&fixture, &request(&[(LEEDS, A, 1)], 900)).await;
        assert_eq!(made.len(), 10, "{label}");
        let stock = fixture.stock(LEEDS, A).await;
        assert_eq!((stock.on_hand, stock.reserved, stock.available), (10_000, 10_000, 0), "{label}");
        let lots = fixture.lots_at(LEEDS).await;
        let pieces: Vec<_> = lots.iter().map(|(lot, on_hand, _)| (lot.as_deref(), *on_hand)).collect();
        // No reservation is of a lot.
        assert_eq!(pieces, [(Some("A"), 3), (Some("B"), 4), (Some("C"), 2), (None, 1)], "{label}");
        commit_all(&fixture, &made).await;
        fixture.heal();
        assert_eq!(fixture.lots_at(LEEDS).await, [], "{label}");
        fixture.check_lots().await;
        check_sold(&fixture, &[("A", 3), ("B", 4), ("C", 2)], &label).await;
    }
}

/// The same where the ten lie at two locations, which share a lot, and the policy chooses from where they come.
#[tokio::test]
async fn of_a_thousand_who_want_one_from_anywhere_ten_get_one_and_each_location_gives_what_it_has() {
    for seed in 0..SEEDS {
        let policy = if seed % 2 == 0 { "priority" } else { "fewest_shipments" };
        let label = format!("seed {seed}, {policy}");
        let fixture = Arc::new(Fixture::new(seed).await);
        fixture.keep_by_lots(A).await;
        let (soon, late) = (Some(fixture.local_day(3)), Some(fixture.local_day(9)));
        deliver(&fixture, LEEDS, (Some("LATE"), late), 4).await;
        deliver(&fixture, LEEDS, (Some("SOON"), soon), 2).await;
        deliver(&fixture, HULL, (Some("SOON"), soon), 3).await;
        deliver(&fixture, HULL, (Some("NEVER"), None), 1).await;
        trouble(&fixture, seed);
        let sourcing = json!({"policy": policy, "locations": [LEEDS, HULL]});
        let made = a_thousand(&fixture, &sourced(&[(A, 1)], sourcing)).await;
        let from = |location_id: &str| made.iter().filter(|one| held(one) == [(location_id, A, 1)]).count();
        assert_eq!((from(LEEDS), from(HULL), made.len()), (6, 4, 10), "{label}");
        assert_eq!(fixture.reserved(A).await, [6, 0, 4], "{label}");
        fixture.check_lots().await;
        commit_all(&fixture, &made).await;
        fixture.heal();
        for location_id in [LEEDS, HULL] {
            assert_eq!(fixture.lots_at(location_id).await, [], "{label}");
        }
        fixture.check_lots().await;
        check_sold(&fixture, &[("SOON", 5), ("LATE", 4), ("NEVER", 1)], &label).await;
    }
}
