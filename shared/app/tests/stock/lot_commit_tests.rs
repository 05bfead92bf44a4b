//! Lots that the commit of a reservation names.

use std::sync::Arc;

use serde_json::{Value, json};
use tillstream_app::Result;
use tillstream_app::catalog::items::product_item;
use tillstream_app::database::Table;
use tillstream_app::stock::lots::recall::Change;
use tillstream_app::stock::{reservations, reserve};
use tillstream_contracts::inventory::{CommitRequest, ReservationStatus};

use crate::fixture::{Fault, Fixture, product, put, request};
use crate::lot_help::{
    A, B, HERE, by_lots, change_here, check, comes, everywhere, fixture, line, lots, moves, refused, told,
    who_got,
};

/// A commit of so many of lots of A.
fn named(lines: &[(i64, Option<&str>)]) -> CommitRequest {
    let line = |(pieces, lot): &(i64, Option<&str>)| {
        let mut line = json!({"location_id": HERE, "sku": A, "quantity": pieces});
        if let Some(lot) = lot {
            line["lot"] = json!(lot);
        }
        line
    };
    let lines: Vec<Value> = lines.iter().map(line).collect();
    serde_json::from_value(json!({"lines": lines})).unwrap()
}

async fn commit(
    fixture: &Fixture,
    key: &str,
    id: &str,
    lines: &[(i64, Option<&str>)],
) -> Result<reserve::Answer> {
    reservations::commit(&fixture.ports, &fixture.caller, key, id, &named(lines)).await
}

async fn held(fixture: &Fixture, key: &str, many: i64) -> String {
    fixture.reserve(key, &request(&[(HERE, A, many)], 600)).await.unwrap().reservation.reservation_id
}

#[tokio::test]
async fn a_commit_takes_the_lots_that_it_names() {
    let fixture = fixture(1).await;
    comes(&fixture, HERE, Some("SOON"), Some(2), 4).await;
    comes(&fixture, HERE, Some("LATE"), Some(9), 4).await;
    let id = held(&fixture, "r-1", 5).await;
    let part = commit(&fixture, "c-1", &id, &[(2, Some("LATE"))]).await.unwrap();
    assert_eq!(part.reservation.status, ReservationStatus::Active);
    assert_eq!(lots(&fixture, HERE).await, [line("SOON", 4, 0), line("LATE", 2, 0)]);
    let again = commit(&fixture, "c-1", &id, &[(2, Some("LATE"))]).await.unwrap();
    assert!(again.replayed);
    // Of two lots and of none at once: what names none is of what expires first.
    let rest =
        commit(&fixture, "c-2", &id, &[(1, Some("LATE")), (1, None), (1, Some("SOON"))]).await.unwrap();
    assert_eq!(rest.reservation.status, ReservationStatus::Committed);
    assert_eq!(lots(&fixture, HERE).await, [line("SOON", 2, 0), line("LATE", 1, 0)]);
    let stock = fixture.stock(HERE, A).await;
    assert_eq!((stock.on_hand, stock.reserved, stock.available), (3_000, 0, 3_000));
    check(&fixture).await;
    let commits = |many: &[i64]| many.iter().map(|n| ("commit".to_owned(), *n)).collect::<Vec<_>>();
    assert_eq!(who_got(&fixture, "LATE").await, commits(&[2, 1]));
    assert_eq!(who_got(&fixture, "SOON").await, commits(&[2]));
}

#[tokio::test]
async fn a_lot_that_does_not_fit_is_refused_and_the_reservation_goes_on() {
    let fixture = fixture(2).await;
    by_lots(&fixture, B).await;
    for (lot, days, many) in [("OLD", 1, 3), ("FEW", 9, 1), ("BAD", 9, 2), ("LEAKY", 9, 2), ("GOOD", 9, 9)] {
        comes(&fixture, HERE, Some(lot), Some(days), many).await;
    }
    everywhere(&fixture, "q-1", "BAD", Change::Quarantine).await;
    change_here(&fixture, "q-2", "LEAKY", Change::Quarantine).await.unwrap();
    fixture.pass(3 * 24 * 3_600);
    // Whoever looks next keeps aside what is past its day.
    let id = held(&fixture, "r-0", 4).await;
    let before = fixture.memory.items(Table::Stock);
    for (lot, many, code) in [
        ("NONE", 1, "lot_unknown"),
        ("OLD", 1, "lot_expired"),
        ("FEW", 2, "lot_short"),
        ("BAD", 1, "lot_recalled"),
        ("LEAKY", 1, "lot_quarantined"),
    ] {
        let refusal = refused(commit(&fixture, "c", &id, &[(1, Some("GOOD")), (many, Some(lot))]).await);
        assert_eq!(told(&refusal), (code, "lines[1].lot"), "{refusal:?}");
        assert_eq!(refusal.extra["lots"][0]["lot"], lot);
    }
    let refusal = refused(commit(&fixture, "c", &id, &[(1, Some("a/b"))]).await);
    assert_eq!(told(&refusal), ("id_malformed", "lines[0].lot"));
    let above = refused(commit(&fixture, "c", &id, &[(5, Some("GOOD"))]).await);
    assert_eq!(above.code, "commit_above_held");
    assert_eq!(fixture.memory.items(Table::Stock), before);
    commit(&fixture, "c", &id, &[(4, Some("GOOD"))]).await.unwrap();
    check(&fixture).await;
}

/// Of what is not kept by lots nobody names one; nor of goods that are another SKU's, nor of a long reservation.
#[tokio::test]
async fn what_has_no_lots_is_not_committed_by_one() {
    let fixture = fixture(3).await;
    comes(&fixture, HERE, Some("L-1"), None, 3).await;
    fixture.count(HERE, B, 5).await;
    let id = fixture.reserve("r", &request(&[(HERE, B, 2)], 600)).await.unwrap().reservation.reservation_id;
    let of_b = |lot: &str| -> CommitRequest {
        let line = json!({"location_id": HERE, "sku": B, "quantity": 1, "lot": lot});
        serde_json::from_value(json!({"lines": [line]})).unwrap()
    };
    for (lot, code) in [("NONE", "sku_without_lots"), ("L-1", "lot_of_another_sku")] {
        let answer = reservations::commit(&fixture.ports, &fixture.caller, "c", &id, &of_b(lot)).await;
        assert_eq!(told(&refused(answer)), (code, "lines[0].lot"));
    }
    assert_eq!(fixture.stock(HERE, B).await.reserved, 2_000);
}

/// What somebody else takes just before is not taken twice, and a commit whose answer is lost is one.
#[tokio::test]
async fn a_commit_that_loses_a_race_looks_again() {
    let fixture = fixture(4).await;
    comes(&fixture, HERE, Some("SOON"), Some(2), 5).await;
    comes(&fixture, HERE, Some("LATE"), Some(9), 2).await;
    let id = held(&fixture, "r-1", 2).await;
    fixture.meanwhile(|ports, caller| async move {
        let request = json!({"location_id": HERE, "sku": A, "kind": "delta", "quantity": -1, "reason": "broken",
            "lot": "LATE"});
        let request = serde_json::from_value(request).unwrap();
        tillstream_app::stock::update::update(&ports, &caller, "u", &request, |_| Ok(())).await.unwrap();
    });
    let short = refused(commit(&fixture, "c", &id, &[(2, Some("LATE"))]).await);
    assert_eq!((short.code, &short.extra["lots"][0]["available"]), ("lot_short", &json!(1)));
    fixture.meanwhile(|ports, caller| async move {
        let request =
            json!({"location_id": HERE, "sku": A, "kind": "delta", "quantity": -1, "reason": "broken"});
        let request = serde_json::from_value(request).unwrap();
        tillstream_app::stock::update::update(&ports, &caller, "v", &request, |_| Ok(())).await.unwrap();
    });
    commit(&fixture, "d", &id, &[(1, Some("LATE"))]).await.unwrap();
    assert_eq!(lots(&fixture, HERE).await, [line("SOON", 4, 0)]);
    for (n, fault) in [Fault::LostBefore, Fault::LostAfter, Fault::Conflict].into_iter().enumerate() {
        let id = held(&fixture, &format!("r-{}", n + 10), 1).await;
        let first = fixture.faulty.writes.load(std::sync::atomic::Ordering::SeqCst);
        fixture.inject(move |number| if number == first { fault } else { Fault::None });
        let key = format!("f-{n}");
        assert!(!commit(&fixture, &key, &id, &[(1, Some("SOON"))]).await.unwrap().replayed);
        assert!(commit(&fixture, &key, &id, &[(1, Some("SOON"))]).await.unwrap().replayed);
    }
    assert_eq!(lots(&fixture, HERE).await, [line("SOON", 1, 0)]);
    check(&fixture).await;
}

/// Of three commits that name the last of a lot one gets it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_last_of_a_lot_is_committed_once() {
    for seed in 0..10 {
        let fixture = Arc::new(fixture(seed).await);
        comes(&fixture, HERE, Some("LAST"), Some(9), 1).await;
        comes(&fixture, HERE, Some("PLENTY"), Some(2), 9).await;
        let mut commits = Vec::new();
        for n in 0..3 {
            let (key, id) = (format!("c-{n}"), held(&fixture, &format!("r-{n}"), 1).await);
            let fixture = fixture.clone();
            commits.push(tokio::spawn(async move {
                commit(&fixture, &key, &id, &[(1, Some("LAST"))]).await.map(drop)
            }));
        }
        let mut codes = Vec::new();
        for commit in commits {
            codes.extend(commit.await.unwrap().err().and_then(|error| error.code()));
        }
        assert_eq!(codes, ["lot_short", "lot_short"], "seed {seed}");
        assert_eq!(lots(&fixture, HERE).await, [line("PLENTY", 9, 0)]);
        check(&fixture).await;
    }
}

/// A reservation of more lines than one transaction takes: its stock follows what is decided, so no lot is promised.
#[tokio::test]
async fn a_long_reservation_takes_no_lot_by_name() {
    let fixture = fixture(5).await;
    comes(&fixture, HERE, Some("L-1"), None, 3).await;
    let others: Vec<String> = (0..60).map(|n| format!("MANY-{n:02}")).collect();
    for sku in &others {
        let item = product_item(fixture.scope(), &product(sku)).unwrap();
        put(&fixture.memory, Table::Catalog, item).await;
        fixture.count(HERE, sku, 5).await;
    }
    let mut lines: Vec<(&str, &str, i64)> = others.iter().map(|sku| (HERE, sku.as_str(), 1)).collect();
    lines.push((HERE, A, 2));
    let id = fixture.reserve("r", &request(&lines, 600)).await.unwrap().reservation.reservation_id;
    let refusal = refused(commit(&fixture, "c", &id, &[(1, Some("L-1"))]).await);
    assert_eq!(refusal.code, "lots_of_long_reservation");
    let part = commit(&fixture, "c", &id, &[(1, None)]).await.unwrap();
    assert_eq!(part.reservation.lines.iter().filter(|line| line.sku == A).count(), 1);
    assert_eq!(lots(&fixture, HERE).await, [line("L-1", 2, 0)]);
    moves(&fixture, "m", Some("L-1"), -1).await;
    assert_eq!(lots(&fixture, HERE).await, [line("L-1", 1, 0)]);
}
