//! Gaps of the ledger: closed exactly, not before their time, and however many there are.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use tillstream_app::capacity::Operation;
use tillstream_app::database::{Database, Table};
use tillstream_app::environment::Environment;
use tillstream_app::stock::counters::{Counters, Delta, StockTarget, stock_update};
use tillstream_app::stock::ledger::{LedgerRow, record};
use tillstream_app::stock::ledger_gaps::{Ledger, Walked, close_gaps, walk_ledger_gaps};
use tillstream_app::stock::listing::StockName;
use tillstream_app::stock::{change_feed, conservation, movements};
use tillstream_contracts::inventory::{LedgerRange, MovementQuery};
use tillstream_domain::quantity::{QuantityInput, Unit};
use tillstream_testkit::faults;

use crate::fixture::{BY_WEIGHT, Fixture, SKUS};

const SHOP: &str = "s-leeds";
const A: &str = SKUS[0];

async fn walk(fixture: &Fixture) -> Walked {
    walk_ledger_gaps(&fixture.ports, fixture.scope(), 100, Timestamp::MAX).await.unwrap()
}

fn decimal(text: &str) -> QuantityInput {
    QuantityInput::Decimal(text.into())
}

#[tokio::test]
async fn a_closed_gap_tells_every_counter_exactly_and_in_the_products_unit() {
    let fixture = Fixture::new(1).await;
    let target = StockTarget {
        on_hand: Some(10_000),
        safety_stock: Some(2_000),
        unit: Some(Unit::Kg),
        ..StockTarget::default()
    };
    fixture.stocked(SHOP, BY_WEIGHT, target).await;
    for (on_hand, reserved, damaged) in
        [(-1_500, 0, 1_500), (-1_000, 0, 0), (-500, 0, 500), (0, 250, 0), (0, 500, 0), (-1_000, 0, 0)]
    {
        let delta = Delta { on_hand, reserved, damaged, ..Delta::default() };
        let movement = fixture.movement();
        let write = stock_update(fixture.scope(), SHOP, BY_WEIGHT, delta, &movement, vec![], vec![]);
        fixture.memory.write(write).await.unwrap();
    }
    // Lost are two, then one before a hold, then the last.
    fixture.relay(|seq| ![2, 3, 5, 7].contains(&seq)).await;
    assert_eq!(walk(&fixture).await.gaps_closed, 0);
    fixture.pass(121);
    assert_eq!(walk(&fixture).await.gaps_closed, 3);

    let proof = conservation::prove(&fixture.ports, &fixture.caller, SHOP, BY_WEIGHT).await.unwrap();
    assert!(proof.holds, "{proof:?}");
    let range = |from_seq, to_seq| LedgerRange { part: None, from_seq, to_seq };
    assert_eq!((proof.seq_reached, proof.ranges), (7, vec![range(2, 3), range(5, 5), range(7, 7)]));
    let (sums, counters) = (proof.sums, proof.counters);
    assert_eq!([sums.on_hand, sums.reserved, sums.damaged], ["6", "0.75", "2"].map(decimal));
    assert_eq!([counters.safety_stock, counters.available], ["2", "3.25"].map(decimal));

    let query = MovementQuery { sku: BY_WEIGHT.into(), location_id: SHOP.into(), limit: None, cursor: None };
    let rows = movements::list(&fixture.ports, &fixture.caller, &query).await.unwrap().items;
    let seqs: Vec<_> = rows.iter().map(|row| (row.from_seq, row.seq)).collect();
    assert_eq!(seqs, [(Some(7), 7), (None, 6), (Some(5), 5), (None, 4), (Some(2), 3), (None, 1)]);
    let row = &rows[4];
    let delta = [&row.delta.on_hand, &row.delta.reserved, &row.delta.damaged];
    assert_eq!(delta.map(Clone::clone), ["-2.5", "0", "1.5"].map(decimal));
    let after = [&row.after.on_hand, &row.after.damaged, &row.after.safety_stock, &row.after.available];
    assert_eq!(after.map(Clone::clone), ["7.5", "1.5", "2", "5.5"].map(decimal));
    assert_eq!(rows[2].after.reserved, decimal("0.25"));
    assert_eq!((row.kind.as_str(), row.reference.as_str()), ("gap_closed", "2..3"));
}

/// A ledger made by hand: each movement brings one piece.
struct MadeUp {
    fixture: Fixture,
    name: StockName,
}

impl MadeUp {
    async fn new(seed: u64) -> Self {
        let name = StockName { location_id: SHOP.into(), sku: A.into() };
        MadeUp { fixture: Fixture::new(seed).await, name }
    }

    fn counters(seq: i64) -> Counters {
        Counters { seq, on_hand: seq * 1_000, available: seq * 1_000, ..Counters::default() }
    }

    async fn rows(&self, seqs: impl Iterator<Item = i64>) {
        let row = |seq| LedgerRow {
            location_id: self.name.location_id.clone(),
            sku: self.name.sku.clone(),
            part: 0,
            seq,
            from_seq: None,
            kind: "adjustment".into(),
            reference: format!("u-{seq}"),
            actor: "e-7".into(),
            at: Timestamp::UNIX_EPOCH,
            reason: None,
            delta: Delta { on_hand: 1_000, ..Delta::default() },
            after: Self::counters(seq),
        };
        let rows = seqs.map(|seq| row(seq).item(self.fixture.scope()).unwrap()).collect();
        record(&self.fixture.ports, rows).await.unwrap();
    }

    /// One visit, with the stock at this movement. Answers gaps closed.
    async fn visit(&self, seq: i64) -> usize {
        let ledger = Ledger { name: &self.name, part: 0 };
        let (ports, now) = (&self.fixture.ports, self.fixture.environment.now());
        close_gaps(ports, self.fixture.scope(), &ledger, &Self::counters(seq), now).await.unwrap()
    }

    /// Up to which movement the ledger is known to be whole.
    fn verified(&self) -> i64 {
        let items = self.fixture.memory.items(Table::Ledger);
        items.iter().find_map(|item| item.opt_number("verified_seq")).unwrap()
    }
}

#[tokio::test]
async fn a_ledger_longer_than_one_visit_reads_is_not_taken_for_one_that_ends_there() {
    let made_up = MadeUp::new(2).await;
    made_up.rows(1..=2_500).await;
    let mut verified = 0;
    for _ in 0..3 {
        assert_eq!(made_up.visit(2_500).await, 0);
        assert!(made_up.verified() > verified, "it gets on with each visit");
        verified = made_up.verified();
        made_up.fixture.pass(121);
    }
    assert_eq!(verified, 2_500);
}

#[tokio::test]
async fn more_gaps_than_one_transaction_takes_are_closed_by_the_visits_that_follow() {
    let made_up = MadeUp::new(3).await;
    // Every second movement was lost, also the last.
    made_up.rows((1..400).step_by(2)).await;
    assert_eq!(made_up.visit(400).await, 0);
    made_up.fixture.pass(121);
    let closed = [made_up.visit(400).await, made_up.visit(400).await, made_up.visit(400).await];
    assert_eq!(closed, [90, 90, 20], "the rest has waited too");
    let (fixture, name) = (&made_up.fixture, (SHOP, A, 0));
    let counters = MadeUp::counters(400);
    let summed = conservation::sum_ledger(&fixture.ports, fixture.scope(), name, &counters).await.unwrap();
    assert_eq!((summed.holds, summed.seq_reached, summed.ranges.len()), (true, 400, 200));
    assert_eq!(made_up.visit(400).await, 0);
}

#[tokio::test]
async fn what_is_missing_waits_from_when_it_was_first_missed() {
    let made_up = MadeUp::new(4).await;
    let pass = |millis| made_up.fixture.environment.advance(Duration::from_millis(millis));
    made_up.rows(1..=4).await;
    assert_eq!(made_up.visit(7).await, 0);
    pass(60_000);
    // All that was missing came; another is missing now.
    made_up.rows([5, 6, 7, 9].into_iter()).await;
    assert_eq!(made_up.visit(9).await, 0);
    pass(60_000);
    assert_eq!(made_up.visit(9).await, 0, "it has been missed for a minute");
    pass(59_999);
    assert_eq!(made_up.visit(9).await, 0);
    pass(1);
    assert_eq!((made_up.visit(9).await, made_up.verified()), (1, 9));
}

#[tokio::test]
async fn rows_of_movements_after_the_counters_are_left_for_the_next_visit() {
    let made_up = MadeUp::new(5).await;
    made_up.rows([1, 2, 3, 5].into_iter()).await;
    assert_eq!((made_up.visit(3).await, made_up.verified()), (0, 3));
    made_up.fixture.pass(121);
    assert_eq!((made_up.visit(3).await, made_up.verified()), (0, 3), "nothing is missing up to there");
}

#[tokio::test]
async fn a_walk_keeps_to_its_budget_and_its_deadline() {
    let fixture = Fixture::new(6).await;
    for n in 0..30 {
        fixture.stocked(SHOP, &format!("S-{n:02}"), StockTarget::default()).await;
    }
    fixture.relay(|_| true).await;
    let walk = |budget, deadline| walk_ledger_gaps(&fixture.ports, fixture.scope(), budget, deadline);
    let late = walk(100, fixture.environment.now()).await.unwrap();
    assert_eq!(late, Walked::default(), "nothing is begun after the deadline");
    let first = walk(27, Timestamp::MAX).await.unwrap();
    assert_eq!((first.items, first.wrapped), (27, false));
    let rest = walk(27, Timestamp::MAX).await.unwrap();
    assert_eq!((rest.items, rest.wrapped), (3, true));
    // Of what has not moved since, nothing but the stock item and the head is read.
    let (ports, database) = fixture.troubled();
    database.script(Operation::Get, [None, Some(faults::Fault::Refused)]);
    let walked = walk_ledger_gaps(&ports, fixture.scope(), 100, Timestamp::MAX).await.unwrap();
    assert_eq!((walked.items, walked.failed), (30, 0));
}

#[tokio::test]
async fn two_walks_that_meet_close_a_gap_once() {
    let fixture = Fixture::new(7).await;
    fixture.count(SHOP, A, 3).await;
    walk(&fixture).await;
    fixture.pass(121);
    fixture.meanwhile(|ports, caller| async move {
        // At another time: the very same transaction would be taken for a repetition of ours.
        ports.environment.sleep(Duration::from_secs(1)).await;
        let theirs = walk_ledger_gaps(&ports, &caller.scope, 100, Timestamp::MAX).await.unwrap();
        assert_eq!(theirs.gaps_closed, 1);
    });
    let ours = walk(&fixture).await;
    assert_eq!((ours.gaps_closed, ours.failed), (0, 0));
}

/// A fault that passes by itself is left to the next walk; any other is told.
#[tokio::test]
async fn a_gap_that_could_not_be_closed_is_closed_by_the_next_walk() {
    let fixture = Fixture::new(7).await;
    fixture.count(SHOP, A, 3).await;
    walk(&fixture).await;
    fixture.pass(121);
    // So that no feed begins with it, in a transaction of its own.
    let noted = BTreeSet::from([(SHOP.to_owned(), A.to_owned())]);
    change_feed::note(&fixture.ports, fixture.scope(), &noted).await.unwrap();
    let (ports, database) = fixture.troubled();
    for (fault, failed) in [(faults::Fault::Conflict, 0), (faults::Fault::Refused, 1)] {
        database.fail_next(Operation::Transact, fault);
        let walked = walk_ledger_gaps(&ports, fixture.scope(), 100, Timestamp::MAX).await.unwrap();
        assert_eq!((walked.gaps_closed, walked.failed), (0, failed), "{fault:?}");
    }
    assert_eq!(walk(&fixture).await.gaps_closed, 1);
}
