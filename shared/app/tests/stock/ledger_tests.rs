//! The ledger: complete, provable, and mended where the stream lost rows.

use jiff::Timestamp;
use tillstream_app::database::{Change, Database, Table, Write};
use tillstream_app::stock::ledger_gaps::walk_ledger_gaps;
use tillstream_app::stock::{conservation, ledger, movements, reservations};
use tillstream_contracts::inventory::{CommitRequest, Conservation, LedgerRange, MovementQuery};
use tillstream_domain::quantity::QuantityInput;

use crate::fixture::{Fixture, SKUS, request};

const A: &str = SKUS[0];

async fn prove(fixture: &Fixture) -> Conservation {
    conservation::prove(&fixture.ports, &fixture.caller, "s-leeds", A).await.unwrap()
}

/// Seven movements: count 20, hold 5, commit, hold 2, release, count 9, hold 1.
async fn lived() -> Fixture {
    let fixture = Fixture::new(1).await;
    fixture.count("s-leeds", A, 20).await;
    let hold = |key: &'static str, pieces| {
        let fixture = &fixture;
        async move {
            let request = request(&[("s-leeds", A, pieces)], 600);
            fixture.reserve(key, &request).await.unwrap().reservation.reservation_id
        }
    };
    let first = hold("k1", 5).await;
    reservations::commit(&fixture.ports, &fixture.caller, "c", &first, &CommitRequest::default())
        .await
        .unwrap();
    let second = hold("k2", 2).await;
    reservations::release(&fixture.ports, &fixture.caller, "r", &second).await.unwrap();
    fixture.count("s-leeds", A, 9).await;
    hold("k3", 1).await;
    fixture
}

#[tokio::test]
async fn movements_add_up_to_the_counters_at_every_moment() {
    let fixture = lived().await;
    assert_eq!(prove(&fixture).await.seq_reached, 0);
    fixture.relay(|_| true).await;
    let proof = prove(&fixture).await;
    assert!(proof.holds);
    assert_eq!((proof.seq_reached, proof.seq_current), (7, 7));
    assert_eq!(
        (&proof.sums.on_hand, &proof.sums.reserved),
        (&QuantityInput::Whole(9), &QuantityInput::Whole(1))
    );
    assert_eq!(proof.counters.available, QuantityInput::Whole(8));

    let mut query =
        MovementQuery { sku: A.into(), location_id: "s-leeds".into(), limit: Some(3), cursor: None };
    let mut kinds = Vec::new();
    loop {
        let page = movements::list(&fixture.ports, &fixture.caller, &query).await.unwrap();
        kinds.extend(page.items.into_iter().map(|row| (row.seq, row.kind)));
        match page.next_cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => break,
        }
    }
    let kinds: Vec<(i64, &str)> = kinds.iter().map(|(seq, kind)| (*seq, kind.as_str())).collect();
    assert_eq!(
        kinds,
        [(7, "hold"), (6, "count"), (5, "release"), (4, "hold"), (3, "commit"), (2, "hold"), (1, "count")]
    );
}

#[tokio::test]
async fn a_counter_or_row_that_was_tampered_with_is_found() {
    let fixture = lived().await;
    fixture.relay(|_| true).await;
    let tamper = |table, key, attribute| Write::Update {
        table,
        key,
        changes: vec![Change::Add(attribute, 1_000)],
        condition: None,
    };
    let stock = fixture.scope().stock("s-leeds", A);
    for attribute in ["on_hand", "reserved", "available", "damaged"] {
        fixture.memory.write(tamper(Table::Stock, stock.clone(), attribute)).await.unwrap();
        assert!(!prove(&fixture).await.holds, "{attribute} of the stock item");
        let mend = Write::Update {
            table: Table::Stock,
            key: stock.clone(),
            changes: vec![Change::Add(attribute, -1_000)],
            condition: None,
        };
        fixture.memory.write(mend).await.unwrap();
        assert!(prove(&fixture).await.holds);
    }
    // The end may be right and a moment before it wrong.
    let row = || fixture.scope().ledger_row("s-leeds", A, 4);
    fixture.memory.write(tamper(Table::Ledger, row(), "on_hand")).await.unwrap();
    assert!(!prove(&fixture).await.holds);
    let mend = Write::Update {
        table: Table::Ledger,
        key: row(),
        changes: vec![Change::Add("on_hand", -1_000)],
        condition: None,
    };
    fixture.memory.write(mend).await.unwrap();
    assert!(prove(&fixture).await.holds);
    fixture.memory.write(tamper(Table::Ledger, row(), "delta_reserved")).await.unwrap();
    assert!(!prove(&fixture).await.holds);
}

#[tokio::test]
async fn only_movements_make_rows() {
    let fixture = lived().await;
    fixture.pass(600);
    let seq = fixture.stock("s-leeds", A).await.seq;
    tillstream_app::stock::read::one(&fixture.ports, &fixture.caller, "s-leeds", A).await.unwrap();
    // The read freed one hold, and raised the earliest expiry: two changes, one movement.
    let rows = fixture
        .memory
        .changes(Table::Stock, 0)
        .iter()
        .filter_map(|change| ledger::ledger_rows(change.old.as_ref(), change.new.as_ref()).unwrap())
        .map(|row| row.number("seq").unwrap())
        .collect::<Vec<_>>();
    assert_eq!(rows, (1..=seq + 1).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_missing_row_is_waited_for_then_closed_with_the_exact_sum() {
    let fixture = lived().await;
    let scope = fixture.scope();
    fixture.relay(|seq| ![3, 4, 7].contains(&seq)).await;
    assert_eq!(prove(&fixture).await.seq_reached, 2);
    let walk = || walk_ledger_gaps(&fixture.ports, scope, 100, Timestamp::MAX);
    assert_eq!(walk().await.unwrap().gaps_closed, 0, "it may only be late");
    fixture.pass(60);
    assert_eq!(walk().await.unwrap().gaps_closed, 0, "it may only be late");
    fixture.pass(61);
    let walked = walk().await.unwrap();
    assert_eq!((walked.gaps_closed, walked.wrapped), (2, true));
    let proof = prove(&fixture).await;
    assert!(proof.holds, "{proof:?}");
    assert_eq!((proof.seq_reached, proof.seq_current), (7, 7));
    assert_eq!(
        proof.ranges,
        [
            LedgerRange { part: None, from_seq: 3, to_seq: 4 },
            LedgerRange { part: None, from_seq: 7, to_seq: 7 }
        ]
    );
    let query = MovementQuery { sku: A.into(), location_id: "s-leeds".into(), limit: None, cursor: None };
    let page = movements::list(&fixture.ports, &fixture.caller, &query).await.unwrap();
    let closed = page.items.iter().find(|row| row.from_seq == Some(3)).unwrap();
    assert_eq!(closed.kind, "gap_closed");
    assert_eq!(closed.delta.on_hand, QuantityInput::Whole(-5));
    assert_eq!(closed.delta.reserved, QuantityInput::Whole(-3));
    assert_eq!(walk().await.unwrap().gaps_closed, 0);
}

#[tokio::test]
async fn rows_that_come_late_after_all_are_not_counted_twice() {
    let fixture = lived().await;
    fixture.relay(|seq| seq < 3).await;
    let scope = fixture.scope();
    walk_ledger_gaps(&fixture.ports, scope, 100, Timestamp::MAX).await.unwrap();
    fixture.pass(121);
    assert_eq!(walk_ledger_gaps(&fixture.ports, scope, 100, Timestamp::MAX).await.unwrap().gaps_closed, 1);
    // The stream delivers everything once more, with what was lost.
    for change in fixture.memory.changes(Table::Stock, 0) {
        let row = ledger::ledger_rows(change.old.as_ref(), change.new.as_ref()).unwrap();
        ledger::record(&fixture.ports, row.into_iter().collect()).await.unwrap();
    }
    fixture.count("s-leeds", A, 30).await;
    fixture.relay(|seq| seq == 8).await;
    let proof = prove(&fixture).await;
    assert!(proof.holds, "{proof:?}");
    assert_eq!((proof.seq_reached, proof.sums.on_hand), (8, QuantityInput::Whole(30)));
    assert_eq!(proof.ranges, [LedgerRange { part: None, from_seq: 3, to_seq: 7 }]);
}

#[tokio::test]
async fn a_late_row_that_arrives_in_time_closes_nothing() {
    let fixture = lived().await;
    let scope = fixture.scope();
    fixture.relay(|seq| seq < 5).await;
    walk_ledger_gaps(&fixture.ports, scope, 100, Timestamp::MAX).await.unwrap();
    for change in fixture.memory.changes(Table::Stock, 0) {
        let row = ledger::ledger_rows(change.old.as_ref(), change.new.as_ref()).unwrap();
        ledger::record(&fixture.ports, row.into_iter().collect()).await.unwrap();
    }
    fixture.pass(121);
    assert_eq!(walk_ledger_gaps(&fixture.ports, scope, 100, Timestamp::MAX).await.unwrap().gaps_closed, 0);
    assert!(prove(&fixture).await.ranges.is_empty());
}

#[tokio::test]
async fn a_walk_within_a_budget_comes_to_every_item() {
    let fixture = Fixture::new(2).await;
    for location_id in crate::fixture::LOCATIONS {
        for sku in SKUS {
            fixture.count(location_id, sku, 3).await;
        }
    }
    let scope = fixture.scope();
    let through = || async {
        let mut closed = 0;
        for _ in 0..20 {
            let walked = walk_ledger_gaps(&fixture.ports, scope, 2, Timestamp::MAX).await.unwrap();
            closed += walked.gaps_closed;
            if walked.wrapped {
                break;
            }
        }
        closed
    };
    assert_eq!(through().await, 0);
    fixture.pass(121);
    assert_eq!(through().await, 9);
    assert_eq!(through().await, 0);
}

#[tokio::test]
async fn an_item_that_cannot_be_read_hides_no_other() {
    let fixture = Fixture::new(3).await;
    for location_id in crate::fixture::LOCATIONS {
        for sku in SKUS {
            fixture.count(location_id, sku, 3).await;
        }
    }
    let scope = fixture.scope();
    let broken = scope.ledger_row(crate::fixture::LOCATIONS[0], SKUS[0], 1);
    let item = tillstream_app::database::Item::new(&broken).with("nonsense", 1);
    fixture.memory.put_many(Table::Ledger, vec![item]).await.unwrap();
    let walked = walk_ledger_gaps(&fixture.ports, scope, 100, Timestamp::MAX).await.unwrap();
    assert_eq!((walked.failed, walked.gaps_closed), (1, 0));
    fixture.pass(121);
    let walked = walk_ledger_gaps(&fixture.ports, scope, 100, Timestamp::MAX).await.unwrap();
    assert_eq!((walked.failed, walked.gaps_closed, walked.wrapped), (1, 8, true));
}
