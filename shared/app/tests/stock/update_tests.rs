//! Adjustments and counts.

use std::sync::Arc;

use tillstream_app::stock::{exceptions, read, reservations, update};
use tillstream_app::tenancy::{Role, Stores};
use tillstream_app::{Error, Result};
use tillstream_contracts::inventory::{
    ExceptionKind, ExceptionQuery, StockException, StockUpdateKind, StockUpdateRequest,
};
use tillstream_domain::quantity::QuantityInput;

use crate::fixture::{BY_WEIGHT, Fault, Fixture, SKUS, caller, named, refusal, request};

const A: &str = SKUS[0];

fn change(kind: StockUpdateKind, pieces: i64) -> StockUpdateRequest {
    StockUpdateRequest {
        location_id: "s-leeds".into(),
        sku: A.into(),
        kind,
        quantity: QuantityInput::Whole(pieces),
        reason: "breakage".into(),
        expected_version: None,
        lot: None,
        expires_on: None,
    }
}

fn delta(pieces: i64) -> StockUpdateRequest {
    change(StockUpdateKind::Delta, pieces)
}

async fn send(fixture: &Fixture, key: &str, request: &StockUpdateRequest) -> Result<update::Answer> {
    update::update(&fixture.ports, &fixture.caller, key, request, |_| Ok(())).await
}

#[tokio::test]
async fn the_same_update_at_once_and_again_has_one_effect_and_one_answer() {
    let fixture = Arc::new(Fixture::new(1).await);
    fixture.inject(|n| if n % 5 == 1 { Fault::LostAfter } else { Fault::None });
    let mut tasks = Vec::new();
    for n in 0..60 {
        let fixture = fixture.clone();
        // Twenty keys, each three times at once.
        tasks.push(tokio::spawn(async move {
            (n % 20, send(&fixture, &format!("k{}", n % 20), &delta(2)).await)
        }));
    }
    let mut versions = std::collections::BTreeMap::<i64, std::collections::BTreeSet<i64>>::new();
    for task in tasks {
        let (key, answer) = task.await.unwrap();
        versions.entry(key).or_default().insert(answer.unwrap().updated.stock.version);
    }
    assert!(versions.values().all(|seen| seen.len() == 1), "{versions:?}");
    let different: std::collections::BTreeSet<i64> = versions.into_values().flatten().collect();
    assert_eq!(different, (1..=20).collect(), "each answer says what its own update left");
    let stock = fixture.stock("s-leeds", A).await;
    assert_eq!((stock.on_hand, stock.seq), (40_000, 20));

    let again = send(&fixture, "k0", &delta(2)).await.unwrap();
    assert!(again.replayed);
    assert_eq!(send(&fixture, "k0", &delta(3)).await.unwrap_err().code(), Some("idempotency_key_reused"));
    // Another sender's key is another key.
    let mut other = fixture.caller.clone();
    other.subject = "e-8".into();
    assert!(!update::update(&fixture.ports, &other, "k0", &delta(2), |_| Ok(())).await.unwrap().replayed);
}

/// A repetition, frozen in the middle of a read, finds the stock gone and the version moved by the update
/// that it repeats.
#[tokio::test]
async fn the_same_update_of_all_there_is_is_not_refused_for_what_it_did_itself() {
    let mut frozen = 0;
    for expected_version in [None, Some(1)] {
        for step in 0..4 {
            let fixture = Fixture::new(3).await;
            fixture.count("s-leeds", A, 3).await;
            let update = StockUpdateRequest { expected_version, ..delta(-3) };
            let (late, caller) = (update.clone(), fixture.caller.clone());
            let task = fixture.frozen_in_read(step, |ports| async move {
                update::update(&ports, &caller, "k", &late, |_| Ok(())).await
            });
            let Some((task, database)) = task.await else { break };
            frozen += 1;
            assert!(!send(&fixture, "k", &update).await.unwrap().replayed);
            database.thaw();
            assert!(task.await.unwrap().unwrap().replayed, "frozen in read {step}");
            assert_eq!(fixture.stock("s-leeds", A).await.on_hand, 0);
        }
    }
    assert!(frozen >= 4, "{frozen} reads");
}

#[tokio::test]
async fn a_delta_never_takes_what_is_not_available() {
    let fixture = Fixture::new(2).await;
    send(&fixture, "a", &delta(5)).await.unwrap();
    fixture.reserve("r", &request(&[("s-leeds", A, 3)], 60)).await.unwrap();
    let refused = refusal(send(&fixture, "b", &delta(-3)).await.unwrap_err());
    assert_eq!(refused.code, "insufficient_stock");
    assert_eq!(refused.extra["lines"][0]["available"], 2);
    assert_eq!(send(&fixture, "b", &delta(-2)).await.unwrap().updated.stock.on_hand, QuantityInput::Whole(3));
    // An expired hold is free for an adjustment too.
    fixture.pass(60);
    send(&fixture, "c", &delta(-3)).await.unwrap();
    assert_eq!(fixture.stock("s-leeds", A).await.on_hand, 0);
    assert!(send(&fixture, "d", &delta(-1)).await.is_err());
    fixture.check_invariants();
}

async fn open_exceptions(fixture: &Fixture) -> Vec<StockException> {
    let query = ExceptionQuery { location_id: "s-leeds".into(), status: None, limit: None, cursor: None };
    exceptions::list(&fixture.ports, &fixture.caller, &query).await.unwrap().items
}

#[tokio::test]
async fn a_count_may_find_less_than_is_promised_and_opens_an_exception() {
    let fixture = Fixture::new(3).await;
    send(&fixture, "a", &change(StockUpdateKind::Set, 10)).await.unwrap();
    let reserved = fixture.reserve("r", &request(&[("s-leeds", A, 8)], 600)).await.unwrap();
    let counted = send(&fixture, "b", &change(StockUpdateKind::Set, 5)).await.unwrap().updated;
    assert!(counted.exception_opened);
    assert_eq!(counted.change, QuantityInput::Whole(-5));
    assert_eq!(counted.stock.available, QuantityInput::Whole(-3));
    let open = open_exceptions(&fixture).await;
    assert_eq!((open.len(), &open[0].quantity), (1, &QuantityInput::Whole(3)));
    assert_eq!(open[0].kind, ExceptionKind::BelowPromised);
    let id = reserved.reservation.reservation_id;
    reservations::release(&fixture.ports, &fixture.caller, "x", &id).await.unwrap();
    let counted = send(&fixture, "c", &change(StockUpdateKind::Set, 6)).await.unwrap().updated;
    assert!(!counted.exception_opened);
    assert_eq!(fixture.stock("s-leeds", A).await.available, 6_000);
    assert!(open_exceptions(&fixture).await.is_empty());
}

#[tokio::test]
async fn an_older_version_never_overwrites_a_newer_one() {
    let fixture = Fixture::new(4).await;
    let mut first = change(StockUpdateKind::Set, 10);
    first.expected_version = Some(0);
    assert_eq!(send(&fixture, "a", &first).await.unwrap().updated.stock.version, 1);
    let refused = refusal(send(&fixture, "b", &first).await.unwrap_err());
    assert_eq!(refused.code, "version_conflict");
    assert_eq!(refused.extra["current_version"], 1);
    let mut second = delta(1);
    second.expected_version = Some(1);
    send(&fixture, "c", &second).await.unwrap();
    // The replay comes first: it took effect on the version it named.
    assert!(send(&fixture, "c", &second).await.unwrap().replayed);
    assert_eq!(fixture.stock("s-leeds", A).await.on_hand, 11_000);
}

#[tokio::test]
async fn an_exception_stays_open_until_enough_is_found() {
    let fixture = Fixture::new(5).await;
    send(&fixture, "a", &change(StockUpdateKind::Set, 10)).await.unwrap();
    fixture.reserve("r", &request(&[("s-leeds", A, 8)], 600)).await.unwrap();
    send(&fixture, "b", &change(StockUpdateKind::Set, 5)).await.unwrap();
    send(&fixture, "c", &delta(1)).await.unwrap();
    assert_eq!(open_exceptions(&fixture).await.len(), 1);
    send(&fixture, "d", &delta(2)).await.unwrap();
    assert_eq!(open_exceptions(&fixture).await.len(), 0);
}

#[tokio::test]
async fn requests_are_validated() {
    let fixture = Fixture::new(6).await;
    let code = |error: Error| refusal(error).code;
    let with = |edit: fn(&mut StockUpdateRequest)| {
        let mut request = delta(1);
        edit(&mut request);
        request
    };
    for (bad, expected) in [
        (with(|r| r.quantity = QuantityInput::Whole(0)), "quantity_invalid"),
        (with(|r| r.quantity = QuantityInput::Whole(1_000_001)), "quantity_invalid"),
        (with(|r| r.quantity = QuantityInput::Decimal("1.5".into())), "quantity_invalid"),
        (change(StockUpdateKind::Set, -1), "quantity_invalid"),
        (with(|r| r.reason = " ".into()), "reason_invalid"),
        (with(|r| r.reason = "x".repeat(201)), "reason_invalid"),
        (with(|r| r.reason = "paid by 4242 4242 4242 4242".into()), "card_number_refused"),
        (with(|r| r.location_id = "s-nowhere".into()), "location_not_found"),
        (with(|r| r.sku = "NOSUCH".into()), "sku_unknown"),
        (with(|r| r.sku = "SERVICE".into()), "sku_not_stocked"),
        (with(|r| r.expected_version = Some(-1)), "expected_version_invalid"),
        (with(|r| r.expected_version = Some(7)), "version_conflict"),
    ] {
        assert_eq!(code(send(&fixture, "k", &bad).await.unwrap_err()), expected);
    }
    let york_only = caller("demo", Role::StoreManager, named(&["s-york"]));
    let out = update::update(&fixture.ports, &york_only, "k", &delta(1), |_| Ok(())).await.unwrap_err();
    assert_eq!(code(out), "store_out_of_reach");
    // Another tenant has neither the location nor the product.
    let other = caller("other", Role::Operator, Stores::All);
    let out = update::update(&fixture.ports, &other, "k", &delta(1), |_| Ok(())).await.unwrap_err();
    assert_eq!(code(out), "location_not_found");
}

#[tokio::test]
async fn goods_by_weight_are_shown_by_weight() {
    let fixture = Fixture::new(7).await;
    let mut by_weight = change(StockUpdateKind::Set, 0);
    by_weight.sku = BY_WEIGHT.into();
    by_weight.quantity = QuantityInput::Decimal("2.5".into());
    let counted = send(&fixture, "a", &by_weight).await.unwrap().updated;
    assert_eq!(counted.stock.on_hand, QuantityInput::Decimal("2.5".into()));
    by_weight.kind = StockUpdateKind::Delta;
    by_weight.quantity = QuantityInput::Decimal("-0.5".into());
    let adjusted = send(&fixture, "b", &by_weight).await.unwrap().updated;
    assert_eq!(adjusted.stock.on_hand, QuantityInput::Decimal("2".into()));
    assert_eq!(adjusted.change, QuantityInput::Decimal("-0.5".into()));
}

#[tokio::test]
async fn an_exception_opens_where_an_update_leaves_less_than_is_promised() {
    let fixture = Fixture::new(8).await;
    send(&fixture, "a", &change(StockUpdateKind::Set, 20)).await.unwrap();
    fixture.reserve("r", &request(&[("s-leeds", A, 10)], 600)).await.unwrap();
    for (n, (update, available, opened)) in [
        (change(StockUpdateKind::Set, 12), 2, false),
        (change(StockUpdateKind::Set, 10), 0, false),
        (change(StockUpdateKind::Set, 2), -8, true),
        // The same again, and more than before, leave no less than there was.
        (change(StockUpdateKind::Set, 2), -8, false),
        (delta(5), -3, false),
        (change(StockUpdateKind::Set, 0), -10, true),
    ]
    .into_iter()
    .enumerate()
    {
        let updated = send(&fixture, &format!("k{n}"), &update).await.unwrap().updated;
        assert_eq!(updated.stock.available, QuantityInput::Whole(available), "{n}");
        assert_eq!(updated.exception_opened, opened, "{n}");
    }
}

#[tokio::test]
async fn a_reason_has_up_to_two_hundred_characters() {
    let fixture = Fixture::new(9).await;
    let mut counted = change(StockUpdateKind::Set, 1);
    counted.reason = "ä".repeat(200);
    send(&fixture, "a", &counted).await.unwrap();
    counted.reason.push('ä');
    assert_eq!(send(&fixture, "b", &counted).await.unwrap_err().code(), Some("reason_invalid"));
}

#[tokio::test]
async fn stock_is_counted_in_its_unit_down_to_none() {
    let fixture = Fixture::new(9).await;
    let mut counted = change(StockUpdateKind::Set, 0);
    counted.sku = BY_WEIGHT.into();
    counted.quantity = QuantityInput::Decimal("2".into());
    let answer = send(&fixture, "a", &counted).await.unwrap().updated;
    let level = read::one(&fixture.ports, &fixture.caller, "s-leeds", BY_WEIGHT).await.unwrap();
    assert_eq!(level.on_hand, QuantityInput::Decimal("2".into()));
    assert_eq!(answer.stock, level);
    counted.quantity = QuantityInput::Decimal("0".into());
    assert_eq!(send(&fixture, "b", &counted).await.unwrap().updated.stock.version, 2, "none is a count too");
}
