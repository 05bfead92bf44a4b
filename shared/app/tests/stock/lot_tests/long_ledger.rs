//! Lots of stock that moved often: what the keeper proved of them is taken from its checkpoint.

use tillstream_app::database::{Change as Alter, Write};
use tillstream_app::stock::reconciliation::{self, Budget};

use super::*;

/// Nine hundred pieces of two lots, of which so many are sold one by one.
async fn sold(seed: u64, many: usize) -> Fixture {
    let fixture = Fixture::new(seed).await;
    fixture.keep_by_lots(A).await;
    fixture.lot_in("k-1", Some("L-1"), Some(fixture.local_day(2)), 300).await.unwrap();
    fixture.lot_in("k-2", Some("L-2"), Some(fixture.local_day(4)), 600).await.unwrap();
    for n in 0..many {
        fixture.sell_at_till(A, &format!("o-{n}"), 1).await.unwrap();
    }
    fixture.relay(|_| true).await;
    fixture
}

async fn keeper_visits(fixture: &Fixture) {
    let scope = fixture.scope();
    reconciliation::walk(&fixture.ports, scope, &[], Budget::default(), Timestamp::MAX).await.unwrap();
}

/// Makes a row say that no lot changed.
async fn alter_row(fixture: &Fixture, seq: u64) {
    let key = fixture.scope().ledger_row(HERE, A, seq);
    let changes = vec![Alter::Set("lots", "[]".into())];
    let write = Write::Update { table: Table::Ledger, key, changes, condition: None };
    fixture.memory.write(write).await.unwrap();
}

/// What is proved: up to where before, whether lots hold, and the pieces of each.
async fn proved(fixture: &Fixture) -> (Option<i64>, bool, Vec<(Option<String>, i64)>) {
    let proof = conservation::prove(&fixture.ports, &fixture.caller, HERE, A).await.unwrap();
    assert!(proof.holds && proof.seq_reached == proof.seq_current, "{proof:?}");
    let lots = proof.lots.unwrap();
    let lines = lots.lots.into_iter().map(|lot| (lot.lot_id, pieces(&lot.on_hand))).collect();
    (proof.proved_before, lots.holds, lines)
}

fn left(many: i64) -> Vec<(Option<String>, i64)> {
    vec![(Some("L-2".to_owned()), many)]
}

#[tokio::test]
async fn lots_go_on_from_where_they_were_proved() {
    let fixture = sold(31, 520).await;
    assert_eq!(proved(&fixture).await, (None, true, left(380)));
    keeper_visits(&fixture).await;
    assert_eq!(proved(&fixture).await, (Some(522), true, left(380)));
    for n in 0..30 {
        fixture.sell_at_till(A, &format!("p-{n}"), 1).await.unwrap();
    }
    fixture.relay(|_| true).await;
    alter_row(&fixture, 100).await;
    assert_eq!(proved(&fixture).await, (Some(522), true, left(350)), "that row was proved before");
    alter_row(&fixture, 540).await;
    assert!(!proved(&fixture).await.1);
}

/// Lots that did not add up once are never said to.
#[tokio::test]
async fn lots_that_did_not_add_up_are_told_ever_after() {
    let fixture = sold(32, 520).await;
    alter_row(&fixture, 100).await;
    keeper_visits(&fixture).await;
    let (before, holds, _) = proved(&fixture).await;
    assert_eq!((before, holds), (Some(522), false));
}

/// What told of no lots until the checkpoint is kept by lots afterwards.
#[tokio::test]
async fn stock_may_be_kept_by_lots_later() {
    let fixture = Fixture::new(33).await;
    fixture.count(HERE, A, 600).await;
    for n in 0..520 {
        fixture.sell_at_till(A, &format!("o-{n}"), 1).await.unwrap();
    }
    fixture.relay(|_| true).await;
    keeper_visits(&fixture).await;
    fixture.keep_by_lots(A).await;
    fixture.lot_in("k-1", Some("L-1"), None, 5).await.unwrap();
    fixture.sell_at_till(A, "p", 2).await.unwrap();
    fixture.relay(|_| true).await;
    let (before, holds, lots) = proved(&fixture).await;
    assert_eq!((before, holds), (Some(521), true));
    assert_eq!(lots.iter().map(|lot| lot.1).sum::<i64>(), 83);
}
