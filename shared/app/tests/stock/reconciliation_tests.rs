//! Reconciliation: every kind of damage, done on purpose, is found, named and corrected; stock that is right never
//! differs, however busy it is.

mod orders;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::json;
use tillstream_app::approvals::ask::ask;
use tillstream_app::approvals::decide::decide;
use tillstream_app::capacity::Operation;
use tillstream_app::database::{Change, Consistency, Database, Get, Item, Key, Table, Write};
use tillstream_app::environment::Environment;
use tillstream_app::keeper;
use tillstream_app::stock::counters::Counters;
use tillstream_app::stock::holds::Hold;
use tillstream_app::stock::ledger_gaps::walk_ledger_gaps;
use tillstream_app::stock::reconciliation::{self, Budget, CONFIRMED_AFTER_MILLIS, Walked};
use tillstream_app::stock::{conservation, exceptions, ledger, reservations, reserve, update};
use tillstream_app::tenancy::{Caller, Role, Stores, TenantScope};
use tillstream_app::{Error, Ports, Result};
use tillstream_contracts::approvals::DecideApproval;
use tillstream_contracts::inventory::{
    CommitRequest, CorrectDifferenceRequest, DifferenceCause, ExceptionKind, ExceptionQuery, ExceptionStatus,
    ResolveExceptionRequest, StockException, StockUpdateKind, StockUpdateRequest,
};
use tillstream_domain::quantity::{Quantity, QuantityInput};
use tillstream_testkit::faults;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop, caller as any_caller};
use tillstream_testkit::test_environment::TestEnvironment;

use crate::fixture::{Fault, Fixture, LOCATIONS, SKUS, caller, request};

const SHOP: &str = "s-leeds";
const A: &str = SKUS[0];
const CONFIRMED: Duration = Duration::from_millis(CONFIRMED_AFTER_MILLIS.unsigned_abs());

/// What the keeper does of it in one run.
async fn run(ports: &Ports, scope: &TenantScope) -> (Walked, usize) {
    let stores = keeper::locations(ports, scope).await.unwrap();
    let walked =
        reconciliation::walk(ports, scope, &stores, Budget::default(), Timestamp::MAX).await.unwrap();
    let now = ports.environment.now();
    let again = reconciliation::look_again(ports, now, 1_000, Timestamp::MAX).await.unwrap();
    assert_eq!(walked.failed, 0);
    (walked, again)
}

/// Differences of a location that stand so.
async fn listed(
    ports: &Ports,
    who: &Caller,
    location_id: &str,
    status: ExceptionStatus,
) -> Vec<StockException> {
    let query = ExceptionQuery {
        location_id: location_id.into(),
        status: Some(status),
        limit: Some(200),
        cursor: None,
    };
    let mut items = exceptions::list(ports, who, &query).await.unwrap().items;
    items.retain(|item| item.kind == ExceptionKind::Difference);
    items
}

fn because(reason: &str) -> CorrectDifferenceRequest {
    CorrectDifferenceRequest { reason: reason.into(), approval_id: None }
}

fn code<T>(refused: &Result<T>) -> &str {
    refused.as_ref().err().and_then(Error::code).unwrap_or("none")
}

impl Fixture {
    fn quietly(&self) -> Ports {
        Ports { database: self.memory.clone(), environment: self.environment.clone() }
    }

    /// Changes an item as nobody may.
    async fn tamper(&self, table: Table, key: Key, changes: Vec<Change>) {
        self.memory.write(Write::Update { table, key, changes, condition: None }).await.unwrap();
    }

    async fn tamper_stock(&self, changes: Vec<Change>) {
        self.tamper(Table::Stock, self.scope().stock(SHOP, A), changes).await;
    }

    async fn delete(&self, table: Table, key: Key) {
        self.memory.write(Write::Delete { table, key, condition: None }).await.unwrap();
    }

    async fn moves(&self, pieces: i64) -> Result<()> {
        let request = StockUpdateRequest {
            location_id: SHOP.into(),
            sku: A.into(),
            kind: StockUpdateKind::Delta,
            quantity: QuantityInput::Whole(pieces),
            reason: "found".into(),
            expected_version: None,
            lot: None,
            expires_on: None,
        };
        let key = format!("m-{}", self.environment.random());
        update::update(&self.quietly(), &self.caller, &key, &request, |_| Ok(())).await.map(drop)
    }

    async fn differences(&self, status: ExceptionStatus) -> Vec<StockException> {
        listed(&self.quietly(), &self.caller, SHOP, status).await
    }

    /// Two runs, as far apart as it takes.
    async fn is_compared(&self) {
        run(&self.quietly(), self.scope()).await;
        self.environment.advance(CONFIRMED);
        run(&self.quietly(), self.scope()).await;
    }

    async fn correct(&self, who: &Caller, key: &str, id: &str) -> Result<reconciliation::Corrected> {
        reconciliation::correct(&self.quietly(), who, key, id, &because("looked into it")).await
    }
}

/// Ways in which stock is damaged, with what is told of each: what, cause, expected, found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    Counter,
    CounterThenMovement,
    Damaged,
    Reserved,
    ReservedMissing,
    HoldGone,
    HoldMadeUp,
    Available,
    AvailableThenMovement,
    RowGone,
    LastRowGone,
    RowOfHoldAltered,
}

const DAMAGES: [(Damage, &str, DifferenceCause, i64, i64); 12] = [
    (Damage::Counter, "on_hand", DifferenceCause::CounterWithoutMovement, 13, 15),
    (Damage::CounterThenMovement, "on_hand", DifferenceCause::CounterWithoutMovement, 14, 16),
    (Damage::Damaged, "damaged", DifferenceCause::CounterWithoutMovement, 0, 1),
    (Damage::Reserved, "reserved", DifferenceCause::ReservedWithoutHold, 4, 7),
    (Damage::ReservedMissing, "reserved", DifferenceCause::HoldWithoutReserved, 4, 3),
    (Damage::HoldGone, "reserved", DifferenceCause::ReservedWithoutHold, 2, 4),
    (Damage::HoldMadeUp, "reserved", DifferenceCause::HoldWithoutReserved, 9, 4),
    (Damage::Available, "available", DifferenceCause::AvailableMiscalculated, 9, 10),
    (Damage::AvailableThenMovement, "available", DifferenceCause::AvailableMiscalculated, 10, 11),
    (Damage::RowGone, "movements", DifferenceCause::LedgerGap, 1, 0),
    (Damage::LastRowGone, "movements", DifferenceCause::LedgerGap, 1, 0),
    (Damage::RowOfHoldAltered, "ledger", DifferenceCause::MovementMissing, 4, 5),
];

/// Thirteen pieces, four of them held by two: five movements, all in the ledger and verified.
async fn sound(seed: u64) -> (Fixture, [String; 2]) {
    let fixture = Fixture::new(seed).await;
    fixture.count(SHOP, A, 10).await;
    fixture.moves(2).await.unwrap();
    let one = fixture.hold("one", 2, 80_000).await;
    let other = fixture.hold("other", 2, 80_000).await;
    fixture.moves(1).await.unwrap();
    fixture.relay(|_| true).await;
    walk_ledger_gaps(&fixture.quietly(), fixture.scope(), 100, Timestamp::MAX).await.unwrap();
    (fixture, [one, other])
}

async fn damage(fixture: &Fixture, damage: Damage, holds: &[String; 2]) {
    let row = |seq| fixture.scope().ledger_row(SHOP, A, seq);
    let add = |name, by| Change::Add(name, by);
    match damage {
        Damage::Counter => fixture.tamper_stock(vec![add("on_hand", 2_000), add("available", 2_000)]).await,
        Damage::CounterThenMovement => {
            fixture.tamper_stock(vec![add("on_hand", 2_000), add("available", 2_000)]).await;
            fixture.moves(1).await.unwrap();
            fixture.relay(|_| true).await;
        }
        Damage::Damaged => fixture.tamper_stock(vec![add("damaged", 1_000)]).await,
        Damage::Reserved => {
            fixture.tamper_stock(vec![add("reserved", 3_000), add("available", -3_000)]).await
        }
        Damage::ReservedMissing => {
            fixture.tamper_stock(vec![add("reserved", -1_000), add("available", 1_000)]).await;
        }
        Damage::HoldGone => fixture.delete(Table::Stock, fixture.scope().hold(SHOP, A, &holds[0])).await,
        Damage::HoldMadeUp => {
            let made_up = Hold {
                location_id: SHOP.into(),
                sku: A.into(),
                reservation_id: "made-up".into(),
                part: 0,
                layout: 0,
                quantity: Quantity::from_pieces(5).unwrap(),
                attempt: None,
                expires_at: fixture.environment.now().as_millisecond() + 80_000_000,
            };
            crate::fixture::put(&fixture.memory, Table::Stock, made_up.item(fixture.scope())).await;
        }
        Damage::Available => fixture.tamper_stock(vec![add("available", 1_000)]).await,
        Damage::AvailableThenMovement => {
            fixture.tamper_stock(vec![add("available", 1_000)]).await;
            fixture.moves(1).await.unwrap();
            fixture.relay(|_| true).await;
        }
        Damage::RowGone => fixture.delete(Table::Ledger, row(2)).await,
        Damage::LastRowGone => fixture.delete(Table::Ledger, row(5)).await,
        Damage::RowOfHoldAltered => {
            fixture.tamper(Table::Ledger, row(3), vec![add("delta_reserved", 1_000)]).await;
        }
    }
}

#[tokio::test]
async fn every_kind_of_damage_is_found_named_and_corrected() {
    for (n, (kind, what, cause, expected, found)) in (0..).zip(DAMAGES) {
        let (fixture, holds) = sound(n).await;
        fixture.is_compared().await;
        assert!(fixture.differences(ExceptionStatus::Open).await.is_empty(), "{kind:?}: it was sound");
        damage(&fixture, kind, &holds).await;
        // What is met for the first time may only be behind.
        run(&fixture.quietly(), fixture.scope()).await;
        run(&fixture.quietly(), fixture.scope()).await;
        assert!(fixture.differences(ExceptionStatus::Open).await.is_empty(), "{kind:?}");
        fixture.environment.advance(CONFIRMED);
        let (walked, again) = run(&fixture.quietly(), fixture.scope()).await;
        assert_eq!(walked.differences + again, 1, "{kind:?}: it is counted");
        let open = fixture.differences(ExceptionStatus::Open).await;
        assert_eq!(open.len(), 1, "{kind:?}");
        let [one] = open[0].differences.as_slice() else { panic!("{kind:?}: {open:?}") };
        let whole = QuantityInput::Whole;
        assert_eq!(
            (one.what.as_str(), one.cause, &one.expected, &one.found, &one.difference),
            (what, cause, &whole(expected), &whole(found), &whole(found - expected)),
            "{kind:?}"
        );
        assert!((1..=6).contains(&one.since_seq), "{kind:?}: {one:?}");
        if kind == Damage::RowOfHoldAltered {
            assert_eq!(one.since_seq, 3);
        }
        if kind == Damage::ReservedMissing {
            assert_eq!(BTreeSet::from_iter(one.references.clone()), BTreeSet::from_iter(holds.clone()));
        }
        // It is updated, not doubled.
        fixture.pass(3_600);
        run(&fixture.quietly(), fixture.scope()).await;
        let still = fixture.differences(ExceptionStatus::Open).await;
        assert_eq!((still.len(), &still[0].exception_id), (1, &open[0].exception_id), "{kind:?}");
        assert_eq!(still[0].opened_at, open[0].opened_at, "{kind:?}");

        let id = &open[0].exception_id;
        let corrected = fixture.correct(&fixture.caller, "c", id).await.unwrap();
        assert!(!corrected.replayed && corrected.exception.status == ExceptionStatus::Resolved, "{kind:?}");
        assert_eq!(corrected.exception.resolution.as_ref().unwrap().reason, "looked into it");
        assert!(fixture.correct(&fixture.caller, "c", id).await.unwrap().replayed, "{kind:?}");
        assert_eq!(code(&fixture.correct(&fixture.caller, "d", id).await), "exception_resolved", "{kind:?}");
        let moved = [Damage::CounterThenMovement, Damage::AvailableThenMovement].contains(&kind);
        let on_hand = if moved { 14_000 } else { 13_000 };
        let reserved = match kind {
            Damage::HoldGone => 2_000,
            Damage::HoldMadeUp => 9_000,
            _ => 4_000,
        };
        let stock = fixture.stock(SHOP, A).await;
        assert_eq!(
            (stock.on_hand, stock.reserved, stock.available, stock.damaged),
            (on_hand, reserved, on_hand - reserved, 0),
            "{kind:?}"
        );
        fixture.relay(|_| true).await;
        let proof = conservation::prove(&fixture.quietly(), &fixture.caller, SHOP, A).await.unwrap();
        assert!(proof.holds && proof.seq_reached == proof.seq_current, "{kind:?}: {proof:?}");
        let rows = fixture.memory.items(Table::Ledger);
        let told = rows.iter().find(|row| row.opt_text("kind") == Some("reconciliation")).unwrap();
        assert_eq!(told.text("reference").unwrap(), id, "{kind:?}");
        assert_eq!(told.text("reason").unwrap(), "looked into it", "{kind:?}");
        fixture.is_compared().await;
        assert!(fixture.differences(ExceptionStatus::Open).await.is_empty(), "{kind:?}: nothing is left");
        assert_eq!(fixture.differences(ExceptionStatus::Resolved).await.len(), 1, "{kind:?}");
    }
}

/// What differs again is another difference: the key that corrected the first, sent once more, corrects nothing of it.
#[tokio::test]
async fn a_late_repetition_corrects_nothing_that_came_after() {
    let (fixture, holds) = sound(300).await;
    let mut ids = BTreeSet::new();
    for (n, key) in (0..3).map(|n| (n, format!("c-{n}"))) {
        damage(&fixture, Damage::Counter, &holds).await;
        fixture.is_compared().await;
        let open = fixture.differences(ExceptionStatus::Open).await;
        let [one] = open.as_slice() else { panic!("{open:?}") };
        let id = one.exception_id.as_str();
        ids.insert(id.to_owned());
        let before = fixture.stock(SHOP, A).await;
        for earlier in 0..n {
            let again = fixture.correct(&fixture.caller, &format!("c-{earlier}"), id).await;
            assert_eq!(code(&again), "exception_reopened", "{earlier} at {n}");
            let (ports, other) = (fixture.quietly(), because("something else"));
            let key = format!("c-{earlier}");
            let other = reconciliation::correct(&ports, &fixture.caller, &key, id, &other).await;
            assert_eq!(code(&other), "idempotency_key_reused", "{earlier} at {n}");
        }
        let after = fixture.stock(SHOP, A).await;
        assert_eq!((after.on_hand, after.seq), (before.on_hand, before.seq), "{n}: a refusal moved it");
        assert!(!fixture.correct(&fixture.caller, &key, id).await.unwrap().replayed);
        assert!(fixture.correct(&fixture.caller, &key, id).await.unwrap().replayed);
        fixture.relay(|_| true).await;
        assert_eq!(fixture.stock(SHOP, A).await.on_hand, 13_000);
    }
    assert_eq!(ids.len(), 1, "it is the same exception");
}

#[tokio::test]
async fn damage_of_split_stock_is_found_and_corrected_at_the_whole() {
    for (n, (name, by, what)) in (100..).zip([
        ("on_hand", 3_000, "on_hand"),
        ("reserved", 2_000, "reserved"),
        ("available", -1_000, "available"),
    ]) {
        for merged_before in [false, true] {
            let fixture = Fixture::new(n).await;
            fixture.count(SHOP, A, 64).await;
            fixture.split(4).await;
            for k in 0..6 {
                fixture.hold(&format!("k-{k}"), 2, 80_000).await;
            }
            let mut changes = vec![Change::Add(name, by)];
            changes.extend((name == "on_hand").then_some(Change::Add("available", by)));
            changes.extend((name == "reserved").then_some(Change::Add("available", -by)));
            fixture.tamper(Table::Stock, fixture.scope().stock_part(SHOP, A, 2), changes).await;
            if merged_before {
                fixture.merge().await;
            }
            fixture.relay(|_| true).await;
            fixture.is_compared().await;
            let case = format!("{name}, merged before: {merged_before}");
            let open = fixture.differences(ExceptionStatus::Open).await;
            assert_eq!(open.len(), 1, "{case}");
            assert!(open[0].differences.iter().any(|one| one.what == what), "{case}: {open:?}");
            let id = &open[0].exception_id;
            // Where it was split it is merged first, and then it stands elsewhere: it is compared anew.
            let mut attempts = 0;
            while let Err(error) = fixture.correct(&fixture.caller, &format!("c-{attempts}"), id).await {
                assert!(
                    matches!(&error, Error::Retryable { .. }) || error.code() == Some("difference_outdated"),
                    "{case}: {error}"
                );
                fixture.relay(|_| true).await;
                attempts += 1;
                assert!(attempts < 4, "{case}: {error}");
            }
            fixture.relay(|_| true).await;
            let stock = fixture.stock(SHOP, A).await;
            assert_eq!((stock.on_hand, stock.reserved, stock.available), (64_000, 12_000, 52_000), "{case}");
            fixture.check().await;
            let proof = conservation::prove(&fixture.quietly(), &fixture.caller, SHOP, A).await.unwrap();
            assert!(proof.holds && proof.seq_reached == proof.seq_current, "{case}: {proof:?}");
            fixture.is_compared().await;
            assert!(fixture.differences(ExceptionStatus::Open).await.is_empty(), "{case}");
        }
    }
}

/// A correction is of what was compared: where the stock moved since, nothing is corrected, and it is compared anew.
#[tokio::test]
async fn a_correction_applies_to_what_was_compared() {
    let (fixture, holds) = sound(200).await;
    damage(&fixture, Damage::Reserved, &holds).await;
    fixture.is_compared().await;
    let open = fixture.differences(ExceptionStatus::Open).await.remove(0);
    fixture.moves(1).await.unwrap();
    fixture.relay(|_| true).await;
    let before = fixture.stock(SHOP, A).await;
    let refused = fixture.correct(&fixture.caller, "c", &open.exception_id).await;
    assert_eq!(code(&refused), "difference_outdated");
    assert_eq!(fixture.stock(SHOP, A).await, before);
    let anew = fixture.differences(ExceptionStatus::Open).await.remove(0);
    assert_eq!(anew.compared_version, Some(open.compared_version.unwrap() + 1));
    // Between the comparison and the write somebody sells: nothing is corrected on top of that.
    let meanwhile = fixture.quietly();
    let who = fixture.caller.clone();
    fixture.meanwhile(move |_, _| async move {
        reserve::reserve(&meanwhile, &who, "late", &request(&[(SHOP, A, 1)], 80_000)).await.unwrap();
    });
    let busy = Ports { database: fixture.faulty.clone(), environment: fixture.environment.clone() };
    let refused =
        reconciliation::correct(&busy, &fixture.caller, "c", &open.exception_id, &because("x")).await;
    assert_eq!(code(&refused), "difference_outdated");
    fixture.relay(|_| true).await;
    // While the ledger is behind it is not said what is right.
    fixture.moves(1).await.unwrap();
    fixture.correct(&fixture.caller, "c", &open.exception_id).await.unwrap_err();
    let behind = fixture.correct(&fixture.caller, "c", &open.exception_id).await.unwrap_err();
    assert!(matches!(behind, Error::Retryable { .. }), "{behind}");
    fixture.relay(|_| true).await;
    fixture.correct(&fixture.caller, "c", &open.exception_id).await.unwrap();
    let stock = fixture.stock(SHOP, A).await;
    assert_eq!((stock.on_hand, stock.reserved, stock.available), (15_000, 5_000, 10_000));
}

#[tokio::test]
async fn who_may_correct_and_what_cannot_be() {
    let (fixture, holds) = sound(201).await;
    damage(&fixture, Damage::Counter, &holds).await;
    run(&fixture.quietly(), fixture.scope()).await;
    // What is only suspected is nobody's task.
    let suspected = fixture.memory.items(Table::Stock);
    let suspected = suspected.iter().find(|item| item.opt_text("kind") == Some("difference")).unwrap();
    let id = suspected.text("exception_id").unwrap();
    assert_eq!(code(&fixture.correct(&fixture.caller, "c", id).await), "exception_not_found");
    let resolve = ResolveExceptionRequest { reason: "never mind".into(), note: None };
    let refused = exceptions::resolve(&fixture.quietly(), &fixture.caller, "r", id, &resolve).await;
    assert_eq!(code(&refused), "exception_not_found");
    fixture.environment.advance(CONFIRMED);
    run(&fixture.quietly(), fixture.scope()).await;

    let staff = Caller { subject: "staff".into(), ..caller("demo", Role::WarehouseStaff, Stores::All) };
    let boss = Caller { subject: "boss".into(), ..caller("demo", Role::StoreManager, Stores::All) };
    let far = caller("demo", Role::StoreManager, crate::fixture::named(&["s-york"]));
    assert_eq!(code(&fixture.correct(&far, "c", id).await), "store_out_of_reach");
    assert_eq!(code(&fixture.correct(&staff, "c", id).await), "approval_required");
    let stranger = caller("other", Role::Operator, Stores::All);
    assert_eq!(code(&fixture.correct(&stranger, "c", id).await), "exception_not_found");
    for (reason, expected) in [(" ", "reason_invalid"), ("4111 1111 1111 1111", "card_number_refused")] {
        let refused = reconciliation::correct(&fixture.quietly(), &boss, "c", id, &because(reason)).await;
        assert_eq!(code(&refused), expected);
    }
    let approval = async |name: &str| {
        let sent = json!({"store_id": SHOP, "action": "correct_difference", "reason": "x", "approval_id": name,
            "exception_id": id});
        let sent = serde_json::from_value(sent).unwrap();
        ask(&fixture.quietly(), &staff, &format!("ask-{name}"), sent).await?;
        let none = DecideApproval::default();
        decide(&fixture.quietly(), &boss, &format!("grant-{name}"), name, true, none).await
    };
    approval("a-1").await.unwrap();
    let with = |approval: &str| CorrectDifferenceRequest {
        approval_id: Some(approval.to_owned()),
        ..because("allowed")
    };
    // It is of another difference than was approved, once the stock has moved.
    fixture.moves(1).await.unwrap();
    fixture.relay(|_| true).await;
    run(&fixture.quietly(), fixture.scope()).await;
    let refused = reconciliation::correct(&fixture.quietly(), &staff, "c", id, &with("a-1")).await;
    assert_eq!(code(&refused), "approval_does_not_match");
    approval("a-2").await.unwrap();
    reconciliation::correct(&fixture.quietly(), &staff, "c", id, &with("a-2")).await.unwrap();
    assert_eq!(fixture.stock(SHOP, A).await.on_hand, 14_000);
    let refused = reconciliation::correct(&fixture.quietly(), &staff, "d", id, &with("a-2")).await;
    assert_eq!(code(&refused), "exception_resolved");
    assert_eq!(code(&approval("a-3").await), "exception_resolved");

    // Another kind is settled otherwise; and nothing is brought below zero.
    fixture.count(SHOP, A, 1).await;
    let query = ExceptionQuery { location_id: SHOP.into(), status: None, limit: None, cursor: None };
    let below = exceptions::list(&fixture.quietly(), &fixture.caller, &query).await.unwrap().items.remove(0);
    assert_eq!(below.kind, ExceptionKind::BelowPromised);
    let refused = fixture.correct(&boss, "e", &below.exception_id).await;
    assert_eq!(code(&refused), "exception_not_correctable");
}

/// What differs no more closes by itself, what comes back opens anew, and what somebody resolved without correcting it
/// comes back too.
#[tokio::test]
async fn a_difference_goes_and_comes_by_itself() {
    let (fixture, _) = sound(202).await;
    let off = |by| vec![Change::Add("on_hand", by), Change::Add("available", by)];
    fixture.tamper_stock(off(2_000)).await;
    run(&fixture.quietly(), fixture.scope()).await;
    // It was only suspected.
    fixture.tamper_stock(off(-2_000)).await;
    fixture.environment.advance(CONFIRMED);
    run(&fixture.quietly(), fixture.scope()).await;
    let kept = |fixture: &Fixture| {
        fixture.memory.items(Table::Stock).iter().filter(|i| i.opt_text("kind") == Some("difference")).count()
    };
    assert_eq!(kept(&fixture), 0);
    fixture.tamper_stock(off(2_000)).await;
    fixture.is_compared().await;
    let first = fixture.differences(ExceptionStatus::Open).await.remove(0);
    fixture.tamper_stock(off(-2_000)).await;
    fixture.pass(600);
    run(&fixture.quietly(), fixture.scope()).await;
    let gone = fixture.differences(ExceptionStatus::Resolved).await.remove(0);
    assert_eq!(gone.resolution.unwrap().resolved_by, "stock-keeper");
    fixture.tamper_stock(off(3_000)).await;
    fixture.is_compared().await;
    let second = fixture.differences(ExceptionStatus::Open).await.remove(0);
    assert_eq!(second.exception_id, first.exception_id);
    assert!(second.opened_at > first.opened_at && second.resolution.is_none());
    let resolve = ResolveExceptionRequest { reason: "never mind".into(), note: None };
    exceptions::resolve(&fixture.quietly(), &fixture.caller, "r", &second.exception_id, &resolve)
        .await
        .unwrap();
    run(&fixture.quietly(), fixture.scope()).await;
    assert_eq!(fixture.differences(ExceptionStatus::Resolved).await.len(), 1, "it is left for a while");
    fixture.environment.advance(CONFIRMED);
    run(&fixture.quietly(), fixture.scope()).await;
    assert_eq!(fixture.differences(ExceptionStatus::Open).await.len(), 1);
    assert_eq!(kept(&fixture), 1);
}

#[tokio::test]
async fn all_stock_is_gone_through_some_a_run() {
    let fixture = Fixture::new(203).await;
    let products: Vec<String> = (0..30).map(|n| format!("S-{n:02}")).collect();
    for sku in &products {
        fixture.stocked(SHOP, sku, Default::default()).await;
    }
    fixture.relay(|_| true).await;
    // The last of all is damaged.
    let key = fixture.scope().stock(SHOP, &products[29]);
    fixture.tamper(Table::Stock, key, vec![Change::Add("damaged", 1_000)]).await;
    let (ports, scope) = (fixture.quietly(), fixture.scope());
    let budget = Budget { items: 12, ..Budget::default() };
    let walk = || reconciliation::walk(&ports, scope, &[], budget, Timestamp::MAX);
    let suspected = || {
        fixture.memory.items(Table::Stock).iter().filter(|i| i.opt_text("kind") == Some("difference")).count()
    };
    let mut seen = Vec::new();
    for _ in 0..3 {
        let walked = walk().await.unwrap();
        seen.push((walked.items, walked.wrapped, suspected()));
    }
    assert_eq!(seen, [(12, false, 0), (12, false, 0), (6, true, 1)]);
    let now = fixture.environment.now();
    let late = reconciliation::walk(&ports, scope, &[], budget, now).await.unwrap();
    assert_eq!(late, Walked::default(), "nothing is begun after the deadline");
    let few = Budget { rows: 5, ..Budget::default() };
    let walked = reconciliation::walk(&ports, scope, &[], few, Timestamp::MAX).await.unwrap();
    assert_eq!(walked.items, 5, "one row each");
}

/// A ledger longer than is read at once is taken up where it was left, and damage in front of that stays known.
#[tokio::test]
async fn a_long_ledger_is_compared_from_where_it_was() {
    let fixture = Fixture::new(204).await;
    fixture.count(SHOP, A, 10).await;
    for n in 0..1_300 {
        fixture.moves(1).await.unwrap();
        if n % 100 == 0 {
            fixture.relay(|_| true).await;
        }
    }
    fixture.relay(|_| true).await;
    fixture.is_compared().await;
    let checkpoints = || {
        let items = fixture.memory.items(Table::Ledger);
        items.iter().filter_map(|item| item.opt_number("compared_seq")).collect::<Vec<_>>()
    };
    assert_eq!(checkpoints(), [1_301]);
    fixture.tamper_stock(vec![Change::Add("on_hand", 2_000), Change::Add("available", 2_000)]).await;
    for _ in 0..600 {
        fixture.moves(1).await.unwrap();
    }
    fixture.relay(|_| true).await;
    for _ in 0..3 {
        fixture.is_compared().await;
        assert_eq!(checkpoints(), [1_301], "what is broken is not passed over");
    }
    let open = fixture.differences(ExceptionStatus::Open).await.remove(0);
    assert_eq!((open.differences[0].what.as_str(), open.differences[0].since_seq), ("on_hand", 1_302));
    fixture.correct(&fixture.caller, "c", &open.exception_id).await.unwrap();
    assert_eq!(fixture.stock(SHOP, A).await.on_hand, 1_910_000);
    fixture.relay(|_| true).await;
    let proof = conservation::prove(&fixture.quietly(), &fixture.caller, SHOP, A).await.unwrap();
    assert!(proof.holds && proof.seq_reached == proof.seq_current, "{proof:?}");
    fixture.is_compared().await;
    assert!(fixture.differences(ExceptionStatus::Open).await.is_empty());
    assert_eq!(checkpoints(), [1_902]);
}

/// Sixteen reserve, commit, release, count, split and merge without end, indexes lag and the ledger follows late, while
/// the keeper compares all of it again and again, minutes apart: nothing is ever opened.
#[tokio::test]
async fn busy_stock_that_is_right_never_differs() {
    for seed in 0..4_u64 {
        let fixture = Arc::new(Fixture::new(300 + seed).await);
        for location in LOCATIONS {
            for sku in SKUS {
                fixture.count(location, sku, 400).await;
            }
        }
        fixture.memory.set_lag(5);
        fixture.inject_by_chance(40, [Fault::LostAfter, Fault::LostBefore, Fault::Throttled]);
        let writing = AtomicUsize::new(16);
        let compared = AtomicUsize::new(0);
        let done = AtomicBool::new(false);
        let writers = (0..16).map(|writer| {
            let (fixture, writing, compared) = (fixture.clone(), &writing, &compared);
            async move {
                let (ports, who) = (&fixture.ports, &fixture.caller);
                // As long as all of it has not been compared some times; a walk over what moves takes its time.
                for n in 0..2_000 {
                    if n >= 30 && compared.load(Ordering::SeqCst) > 2 {
                        break;
                    }
                    let roll = fixture.environment.random();
                    let at = |k: u64| usize::try_from((roll >> k) % 3).unwrap();
                    let (location, sku) = (LOCATIONS[at(8)], SKUS[at(16)]);
                    let pieces = 1 + i64::try_from((roll >> 24) % 3).unwrap();
                    let key = format!("{writer}-{n}");
                    match roll % 8 {
                        0 => {
                            let parts = 2 + u32::try_from((roll >> 32) % 6).unwrap();
                            let scope = fixture.scope();
                            let _ =
                                tillstream_app::stock::split::split(ports, scope, location, sku, parts).await;
                        }
                        1 => {
                            let scope = fixture.scope();
                            let _ = tillstream_app::stock::split::merge(ports, scope, location, sku).await;
                        }
                        2 => {
                            let request = StockUpdateRequest {
                                location_id: location.into(),
                                sku: sku.into(),
                                kind: StockUpdateKind::Delta,
                                quantity: QuantityInput::Whole(pieces),
                                reason: "found".into(),
                                expected_version: None,
                                lot: None,
                                expires_on: None,
                            };
                            let _ = update::update(ports, who, &key, &request, |_| Ok(())).await;
                        }
                        _ => {
                            // Some expire.
                            let seconds = if roll % 2 == 0 { 80_000 } else { 100 };
                            let wanted = request(&[(location, sku, pieces)], seconds);
                            let Ok(made) = reserve::reserve(ports, who, &key, &wanted).await else {
                                continue;
                            };
                            let id = made.reservation.reservation_id;
                            let all = CommitRequest::default();
                            match (roll >> 40) % 3 {
                                0 => drop(reservations::commit(ports, who, "c", &id, &all).await),
                                1 => drop(reservations::release(ports, who, "r", &id).await),
                                _ => {}
                            }
                        }
                    }
                }
                writing.fetch_sub(1, Ordering::SeqCst);
            }
        });
        let relay = async {
            while !done.load(Ordering::SeqCst) {
                fixture.relay(|_| true).await;
                for _ in 0..50 {
                    tokio::task::yield_now().await;
                }
            }
        };
        let keep = async {
            loop {
                let last = writing.load(Ordering::SeqCst) == 0;
                // On a database whose reads let others in between, as the writers' do.
                let ports = Ports {
                    database: fixture.ports.database.clone(),
                    environment: fixture.environment.clone(),
                };
                let stores = Vec::new();
                let scope = fixture.scope();
                let _ = reconciliation::walk(&ports, scope, &stores, Budget::default(), Timestamp::MAX).await;
                let now = fixture.environment.now();
                let _ = reconciliation::look_again(&ports, now, 1_000, Timestamp::MAX).await;
                compared.fetch_add(1, Ordering::SeqCst);
                fixture.environment.advance(CONFIRMED);
                if last {
                    done.store(true, Ordering::SeqCst);
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        futures::join!(join_all(writers), relay, keep);
        assert!(compared.load(Ordering::SeqCst) > 3, "it was compared meanwhile");
        let states: Vec<String> = fixture
            .memory
            .items(Table::Stock)
            .iter()
            .filter(|item| item.opt_text("kind") == Some("difference"))
            .map(|item| format!("{:?} {:?}", item.opt_text("state"), item.opt_text("findings")))
            .collect();
        assert!(
            states.iter().all(|state| state.starts_with("Some(\"suspected\")")),
            "seed {seed}: {states:?}"
        );
        // At rest nothing is even suspected.
        fixture.heal();
        fixture.memory.set_lag(0);
        fixture.relay(|_| true).await;
        fixture.is_compared().await;
        let items = fixture.memory.items(Table::Stock);
        assert!(items.iter().all(|item| item.opt_text("kind") != Some("difference")), "seed {seed}");
        fixture.check().await;
    }
}
