//! The proof of stock that moved more often than one answer reads: the keeper proves it bit by bit, and the answer goes
//! on from there.

use jiff::Timestamp;
use tillstream_app::database::{Change, Database, Item, Key, Table, Write};
use tillstream_app::environment::Environment;
use tillstream_app::stock::counters::Counters;
use tillstream_app::stock::ledger::LedgerRow;
use tillstream_app::stock::reconciliation::{self, Budget};
use tillstream_app::stock::{conservation, ledger_gaps};
use tillstream_contracts::inventory::{Conservation, LedgerRange};
use tillstream_domain::quantity::{QuantityInput, Unit};

use crate::fixture::{Fixture, SKUS};

const SHOP: &str = "s-leeds";
const A: &str = SKUS[0];
/// As many as one answer reads.
const ROWS: i64 = 10_000;
/// As the stock stands after its last movement.
const PIECES: i64 = 10;

/// A row of a ledger in which a piece comes and goes, or that stands for several.
fn row(fixture: &Fixture, seq: i64, from_seq: Option<i64>) -> LedgerRow {
    let on_hand = |seq: i64| PIECES * 1_000 + if seq % 2 == 0 { 1_000 } else { 0 };
    let before = from_seq.unwrap_or(seq) - 1;
    let after = Counters {
        on_hand: on_hand(seq),
        available: on_hand(seq),
        seq,
        unit: Some(Unit::Piece),
        ..Counters::default()
    };
    let sums = Counters { on_hand: on_hand(before), ..Counters::default() }.sums();
    let kind = if from_seq.is_some() { "gap_closed" } else { "adjustment" };
    LedgerRow {
        location_id: SHOP.into(),
        sku: A.into(),
        part: 0,
        seq,
        from_seq,
        kind: kind.into(),
        reference: "made up".into(),
        actor: "e-7".into(),
        at: fixture.environment.now(),
        reason: None,
        delta: after.sums() - sums,
        after,
    }
}

/// Stock that moved so often, an odd number of times; one row stands for the movements 101 to 110.
async fn moved(seed: u64, times: i64) -> Fixture {
    let fixture = Fixture::new(seed).await;
    fixture.count(SHOP, A, PIECES).await;
    fixture.relay(|_| true).await;
    let rows = (2..=times).filter(|seq| !(101..=110).contains(seq)).map(|seq| row(&fixture, seq, None));
    let rows = rows.chain([row(&fixture, 110, Some(101))]);
    let items: Vec<Item> = rows.map(|row| row.item(fixture.scope()).unwrap()).collect();
    fixture.memory.put_many(Table::Ledger, items).await.unwrap();
    let key = fixture.scope().stock(SHOP, A);
    alter(&fixture, Table::Stock, key, Change::Set("seq", times.into())).await;
    fixture
}

async fn alter(fixture: &Fixture, table: Table, key: Key, change: Change) {
    let write = Write::Update { table, key, changes: vec![change], condition: None };
    fixture.memory.write(write).await.unwrap();
}

async fn alter_row(fixture: &Fixture, seq: u64) {
    let key = fixture.scope().ledger_row(SHOP, A, seq);
    alter(fixture, Table::Ledger, key, Change::Add("delta_on_hand", 1_000)).await;
}

async fn keeper_visits(fixture: &Fixture, times: usize) {
    for _ in 0..times {
        let scope = fixture.scope();
        reconciliation::walk(&fixture.ports, scope, &[], Budget::default(), Timestamp::MAX).await.unwrap();
    }
}

async fn prove(fixture: &Fixture) -> Conservation {
    conservation::prove(&fixture.ports, &fixture.caller, SHOP, A).await.unwrap()
}

#[tokio::test]
async fn what_one_answer_does_not_read_is_proved_on_by_the_keeper() {
    let times = ROWS + 4_001;
    let fixture = moved(1, times).await;
    let first = prove(&fixture).await;
    // One row stands for ten movements.
    assert_eq!((first.holds, first.seq_reached, first.seq_current), (true, ROWS + 9, times));
    assert_eq!(first.proved_before, None);
    keeper_visits(&fixture, 1).await;
    let second = prove(&fixture).await;
    assert!(second.holds && second.seq_reached > first.seq_reached && second.seq_reached < times);
    keeper_visits(&fixture, 9).await;
    let proof = prove(&fixture).await;
    assert_eq!((proof.holds, proof.seq_reached, proof.seq_current), (true, times, times));
    let before = proof.proved_before.unwrap();
    assert!(before > ROWS && before <= times, "{before}");
    let shown = [proof.sums.on_hand, proof.counters.on_hand, proof.counters.available];
    assert_eq!(shown, [PIECES; 3].map(QuantityInput::Whole));
    // What no row behind the checkpoint tells is still told.
    assert_eq!(proof.ranges, [LedgerRange { part: None, from_seq: 101, to_seq: 110 }]);
    assert_eq!(proof.ranges_left_out, None);
}

/// The answer reads no more than it must, and all that nobody proved before.
#[tokio::test]
async fn what_is_proved_is_not_read_again_and_all_behind_it_is() {
    let fixture = moved(2, 1_601).await;
    keeper_visits(&fixture, 1).await;
    let before = prove(&fixture).await.proved_before.unwrap();
    assert_eq!(before, 1_601);
    alter_row(&fixture, 50).await;
    assert!(prove(&fixture).await.holds, "it was proved, and is not read any more");
    fixture.count(SHOP, A, 4).await;
    fixture.relay(|seq| seq > 1_601).await;
    let proof = prove(&fixture).await;
    assert_eq!((proof.holds, proof.seq_reached, proof.proved_before), (true, 1_602, Some(before)));
    assert_eq!([proof.sums.on_hand, proof.counters.on_hand], [4; 2].map(QuantityInput::Whole));
    alter_row(&fixture, 1_602).await;
    assert!(!prove(&fixture).await.holds);
}

/// Nothing is taken for proved that is not: a ledger that does not add up, one that lacks a row, a checkpoint of a later
/// state of the stock, or one that says less.
#[tokio::test]
async fn nothing_is_taken_for_proved_that_is_not() {
    let fixture = moved(3, 1_601).await;
    alter_row(&fixture, 1_200).await;
    keeper_visits(&fixture, 2).await;
    let proof = prove(&fixture).await;
    assert_eq!((proof.holds, proof.proved_before), (false, None));

    let fixture = moved(4, 1_601).await;
    let key = fixture.scope().ledger_row(SHOP, A, 1_200);
    fixture.memory.write(Write::Delete { table: Table::Ledger, key, condition: None }).await.unwrap();
    keeper_visits(&fixture, 1).await;
    let proof = prove(&fixture).await;
    assert_eq!((proof.holds, proof.seq_reached, proof.proved_before), (true, 1_199, Some(1_199)));

    let fixture = moved(5, 1_601).await;
    keeper_visits(&fixture, 1).await;
    let key = fixture.scope().stock(SHOP, A);
    alter(&fixture, Table::Stock, key, Change::Set("seq", 801.into())).await;
    let proof = prove(&fixture).await;
    assert_eq!((proof.holds, proof.seq_reached, proof.proved_before), (true, 801, None));

    let fixture = moved(6, 1_601).await;
    keeper_visits(&fixture, 1).await;
    let key = fixture.scope().ledger_checkpoint(SHOP, A, 0);
    alter(&fixture, Table::Ledger, key, Change::Remove("safety_stock")).await;
    let proof = prove(&fixture).await;
    assert_eq!((proof.holds, proof.seq_reached, proof.proved_before), (true, 1_601, None));
    keeper_visits(&fixture, 1).await;
    assert_eq!(prove(&fixture).await.proved_before, Some(1_601), "it is begun anew");
}

/// Gaps of a ledger that has checkpoints are closed as ever, and the proof passes over them.
#[tokio::test]
async fn a_gap_behind_a_checkpoint_is_closed_and_proved() {
    let fixture = moved(7, 1_601).await;
    keeper_visits(&fixture, 1).await;
    for pieces in [5, 6, 7] {
        fixture.count(SHOP, A, pieces).await;
    }
    fixture.relay(|seq| seq > 1_601 && seq != 1_603).await;
    assert_eq!(prove(&fixture).await.seq_reached, 1_602);
    for _ in 0..4 {
        ledger_gaps::walk_ledger_gaps(&fixture.ports, fixture.scope(), 100, Timestamp::MAX).await.unwrap();
        fixture.pass(121);
    }
    let proof = prove(&fixture).await;
    assert_eq!((proof.holds, proof.seq_reached, proof.proved_before), (true, 1_604, Some(1_601)));
    let ranges: Vec<_> = proof.ranges.iter().map(|range| (range.from_seq, range.to_seq)).collect();
    assert_eq!(ranges, [(101, 110), (1_603, 1_603)]);
}
