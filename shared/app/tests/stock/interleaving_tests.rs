//! Optimistic versions, in every order of at most three interruptions in which the database calls of requests can follow
//! one another: of all orders there are thousands, and each takes a world of its own.

use std::sync::Arc;

use tillstream_app::database::Table;
use tillstream_app::stock::counters::{Counters, Delta, stock_update};
use tillstream_app::stock::reserve::reserve;
use tillstream_app::stock::{split, update};
use tillstream_app::{Ports, Refusal, Result};
use tillstream_contracts::inventory::{StockUpdateKind, StockUpdateRequest};
use tillstream_domain::quantity::{Quantity, QuantityInput};
use tillstream_testkit::interleavings::{Interleavings, Request};

use crate::fixture::{Fixture, SKUS, refusal, request};

const SHOP: &str = "s-leeds";
const A: &str = SKUS[0];

/// What a request of these tests answered: the version and pieces it left, or the version it was refused for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Left(i64, i64),
    Refused(i64),
    /// It was no update.
    Other,
}

fn set(pieces: i64, expected_version: Option<i64>) -> StockUpdateRequest {
    StockUpdateRequest {
        location_id: SHOP.into(),
        sku: A.into(),
        kind: StockUpdateKind::Set,
        quantity: QuantityInput::Whole(pieces),
        reason: "counted".into(),
        expected_version,
        lot: None,
        expires_on: None,
    }
}

fn told(answer: Result<update::Answer>) -> Told {
    match answer {
        Ok(answer) => {
            let QuantityInput::Whole(pieces) = answer.updated.stock.on_hand else { panic!("{answer:?}") };
            Told::Left(answer.updated.stock.version, pieces)
        }
        Err(error) => {
            let refused = refusal(error);
            assert_eq!(refused.code, "version_conflict");
            Told::Refused(refused.extra["current_version"].as_i64().unwrap())
        }
    }
}

fn count(ports: &Ports, fixture: &Fixture, key: &'static str, wanted: StockUpdateRequest) -> Request<Told> {
    let (ports, who) = (ports.clone(), fixture.caller.clone());
    Box::pin(async move { told(update::update(&ports, &who, key, &wanted, |_| Ok(())).await) })
}

/// What the versions and the pieces on hand were, one after the other.
fn history(fixture: &Fixture) -> Vec<(i64, i64)> {
    let key = fixture.scope().stock(SHOP, A);
    let changes = fixture.memory.changes(Table::Stock, 0).into_iter();
    let of_it = changes.filter_map(|change| change.new).filter(|item| item.opt_text("pk") == Some(key.pk()));
    of_it
        .map(|item| Counters::of(&item).unwrap())
        .map(|stock| (stock.version(), stock.on_hand / 1_000))
        .collect()
}

/// Two that decided on the same version: one wins, and the other is told the version that the one left.
#[tokio::test]
async fn of_two_updates_of_one_version_one_wins() {
    for first in [set(10, Some(1)), StockUpdateRequest { kind: StockUpdateKind::Delta, ..set(7, Some(1)) }] {
        let orders = Interleavings::interrupted(3);
        let mut winners = [0, 0];
        while orders.again() {
            let fixture = Fixture::new(1).await;
            fixture.count(SHOP, A, 5).await;
            let ports = orders.ports(fixture.memory.clone(), 1);
            let left = if first.kind == StockUpdateKind::Set { 10 } else { 12 };
            let answers = orders.run(vec![
                count(&ports, &fixture, "a", first.clone()),
                count(&ports, &fixture, "b", set(20, Some(1))),
            ]);
            let stock = fixture.stock(SHOP, A).await;
            let expected = match answers.as_slice() {
                [Told::Left(2, pieces), Told::Refused(2)] if *pieces == left => (0, left),
                [Told::Refused(2), Told::Left(2, 20)] => (1, 20),
                other => panic!("{other:?}"),
            };
            winners[expected.0] += 1;
            assert_eq!((stock.on_hand, stock.version()), (expected.1 * 1_000, 2));
        }
        assert!(orders.runs() >= 70 && winners.iter().all(|wins| *wins > 10), "{winners:?}");
    }
}

/// A sale comes between them: then it may be that none wins, but never both, and whoever is refused is told a
/// version that stood after the one that was named. What was written was written over exactly that version.
#[tokio::test]
async fn an_update_never_overwrites_what_it_did_not_know() {
    let orders = Interleavings::interrupted(3);
    let (mut none, mut one) = (0, 0);
    while orders.again() {
        let fixture = Fixture::new(2).await;
        fixture.count(SHOP, A, 5).await;
        let ports = orders.ports(fixture.memory.clone(), 2);
        let sale = {
            let (ports, scope, movement) = (ports.clone(), fixture.scope().clone(), fixture.movement());
            let sale = Delta::sale(Quantity::from_pieces(1).unwrap());
            let sold = async move {
                let write = stock_update(&scope, SHOP, A, sale, &movement, Vec::new(), Vec::new());
                ports.database.write(write).await.unwrap();
                Told::Other
            };
            Box::pin(sold) as Request<Told>
        };
        let answers = orders.run(vec![
            count(&ports, &fixture, "a", set(10, Some(1))),
            count(&ports, &fixture, "b", set(20, Some(1))),
            sale,
        ]);
        let history = history(&fixture);
        let mut wins = 0;
        for told in &answers {
            match told {
                Told::Left(version, pieces) => {
                    wins += 1;
                    assert_eq!(*version, 2, "it named version 1");
                    assert!(history.contains(&(*version, *pieces)), "{told:?} {history:?}");
                }
                Told::Refused(version) => assert!([2, 3].contains(version), "{answers:?} {history:?}"),
                Told::Other => {}
            }
        }
        match wins {
            0 => none += 1,
            1 => one += 1,
            _ => panic!("{answers:?}"),
        }
        // The sale is never lost: on hand is what was counted last, less the sale if it came after.
        let pieces = history.last().unwrap().1;
        assert!([4, 9, 10, 19, 20].contains(&pieces), "{history:?}");
        assert_eq!(history.len(), 2 + wins, "{history:?}");
    }
    assert!(none > 10 && one > 10, "{none} without a winner, {one} with one");
}

/// Splitting and merging are no changes that anybody sees: the one who named the version wins beside them.
#[tokio::test]
async fn splits_and_merges_between_change_no_version() {
    for merged in [false, true] {
        let orders = Interleavings::interrupted(3);
        while orders.again() {
            let fixture = Fixture::new(3).await;
            fixture.count(SHOP, A, 40).await;
            if merged {
                split::split(&fixture.ports, fixture.scope(), SHOP, A, 2).await.unwrap();
            }
            let ports = orders.ports(fixture.memory.clone(), 3);
            let laid_out = {
                let (ports, scope) = (ports.clone(), fixture.scope().clone());
                let laid_out = async move {
                    if merged {
                        split::merge(&ports, &scope, SHOP, A).await.unwrap();
                    } else {
                        split::split(&ports, &scope, SHOP, A, 2).await.unwrap();
                    }
                    Told::Other
                };
                Box::pin(laid_out) as Request<Told>
            };
            let answers = orders.run(vec![count(&ports, &fixture, "a", set(10, Some(1))), laid_out]);
            assert_eq!(answers, [Told::Left(2, 10), Told::Other]);
            split::make_whole(&fixture.ports, fixture.scope(), SHOP, A).await.unwrap();
            let stock = fixture.stock(SHOP, A).await;
            assert_eq!((stock.on_hand, stock.version()), (10_000, 2));
        }
        assert!(orders.runs() >= 10, "{}", orders.runs());
    }
}

/// A reservation comes between: the update that named the version before it is refused, and what is held stays.
#[tokio::test]
async fn a_reservation_between_is_a_change_of_the_version() {
    let orders = Interleavings::interrupted(3);
    let (mut before, mut after) = (0, 0);
    while orders.again() {
        let fixture = Fixture::new(4).await;
        fixture.count(SHOP, A, 5).await;
        let ports = orders.ports(fixture.memory.clone(), 4);
        let hold = {
            let (ports, who) = (ports.clone(), fixture.caller.clone());
            let held = async move {
                reserve(&ports, &who, "r", &request(&[(SHOP, A, 3)], 60)).await.unwrap();
                Told::Other
            };
            Box::pin(held) as Request<Told>
        };
        let answers = orders.run(vec![count(&ports, &fixture, "a", set(9, Some(1))), hold]);
        let stock = fixture.stock(SHOP, A).await;
        match answers[0] {
            Told::Left(2, 9) => {
                before += 1;
                assert_eq!((stock.on_hand, stock.reserved, stock.version()), (9_000, 3_000, 3));
            }
            Told::Refused(2) => {
                after += 1;
                assert_eq!((stock.on_hand, stock.reserved, stock.version()), (5_000, 3_000, 2));
            }
            other => panic!("{other:?}"),
        }
        fixture.check_invariants();
    }
    assert!(before > 5 && after > 5, "{before} before it, {after} after it");
}

/// The precondition of a header (`If-Match`) is asked of the version that is written over.
#[tokio::test]
async fn of_two_preconditions_one_holds() {
    let orders = Interleavings::interrupted(3);
    while orders.again() {
        let fixture = Arc::new(Fixture::new(5).await);
        fixture.count(SHOP, A, 5).await;
        let ports = orders.ports(fixture.memory.clone(), 5);
        let matching = |key: &'static str, pieces: i64| -> Request<bool> {
            let (ports, who) = (ports.clone(), fixture.caller.clone());
            Box::pin(async move {
                let holds = |version: Option<u64>| match version {
                    Some(1) => Ok(()),
                    _ => Err(Refusal::conflict("version_mismatch", "")),
                };
                update::update(&ports, &who, key, &set(pieces, None), holds).await.is_ok()
            })
        };
        let answers = orders.run(vec![matching("a", 10), matching("b", 20)]);
        assert_ne!(answers[0], answers[1]);
        let expected = if answers[0] { 10_000 } else { 20_000 };
        assert_eq!(fixture.stock(SHOP, A).await.on_hand, expected);
    }
    assert!(orders.runs() >= 70, "{}", orders.runs());
}
