//! Reservations: all or none, no oversell, replays, ends.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;
use tillstream_app::database::Table;
use tillstream_app::environment::Environment;
use tillstream_app::stock::counters::{Delta, Movement, stock_update};
use tillstream_app::stock::{expiry, read, reservations, reserve};
use tillstream_app::tenancy::Role;
use tillstream_app::{Error, Ports};
use tillstream_contracts::inventory::{CommitRequest, ExtendRequest, ReservationStatus};
use tillstream_domain::quantity::{Quantity, QuantityInput};
use tillstream_testkit::faults;

use crate::fixture::{BY_WEIGHT, Fault, Fixture, SKUS, caller, named, refusal, request};

const A: &str = SKUS[0];
const B: &str = SKUS[1];

#[tokio::test]
async fn a_thousand_at_once_get_exactly_what_is_there() {
    let fixture = Arc::new(Fixture::new(1).await);
    fixture.count("s-leeds", A, 10).await;
    fixture.count("w-hull", A, 7).await;
    // Conflicts and lost answers, so that retries happen too.
    fixture.inject(|n| match n % 23 {
        3 => Fault::Conflict,
        11 => Fault::LostAfter,
        17 => Fault::LostBefore,
        _ => Fault::None,
    });
    let mut tasks = Vec::new();
    for n in 0..1_000 {
        let fixture = fixture.clone();
        tasks.push(tokio::spawn(async move {
            fixture.reserve(&format!("key-{n}"), &request(&[("s-leeds", A, 1)], 900)).await
        }));
    }
    let (mut made, mut refused) = (0, 0);
    for task in tasks {
        match task.await.unwrap() {
            Ok(answer) => {
                assert_eq!(answer.reservation.status, ReservationStatus::Active);
                made += 1;
            }
            Err(error) => {
                let refusal = refusal(error);
                assert_eq!(refusal.code, "insufficient_stock");
                assert_eq!(
                    refusal.extra["lines"],
                    json!([{ "location_id": "s-leeds", "sku": A, "requested": 1, "available": 0, "incoming": 0,
                        "expected": [], "elsewhere": [{ "location_id": "w-hull", "available": 7 }] }])
                );
                refused += 1;
            }
        }
    }
    assert_eq!((made, refused), (10, 990));
    let stock = fixture.stock("s-leeds", A).await;
    assert_eq!((stock.on_hand, stock.reserved, stock.available), (10_000, 10_000, 0));
    fixture.check_invariants();
}

#[tokio::test]
async fn the_same_request_at_once_and_again_has_one_effect_and_one_answer() {
    let fixture = Arc::new(Fixture::new(2).await);
    fixture.count("s-leeds", A, 100).await;
    let mut tasks = Vec::new();
    for _ in 0..20 {
        let fixture = fixture.clone();
        tasks.push(tokio::spawn(
            async move { fixture.reserve("k", &request(&[("s-leeds", A, 3)], 60)).await },
        ));
    }
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap().unwrap());
    }
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
    let first = answers[0].reservation.clone();
    assert!(answers.iter().all(|answer| answer.reservation == first));
    assert_eq!(fixture.stock("s-leeds", A).await.reserved, 3_000);

    // Later, and after it was committed, the answer is still the one given.
    reservations::commit(
        &fixture.ports,
        &fixture.caller,
        "c",
        &first.reservation_id,
        &CommitRequest::default(),
    )
    .await
    .unwrap();
    fixture.pass(3_600);
    let again = fixture.reserve("k", &request(&[("s-leeds", A, 3)], 60)).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.reservation, first);

    let other = fixture.reserve("k", &request(&[("s-leeds", A, 4)], 60)).await.unwrap_err();
    assert_eq!(other.code(), Some("idempotency_key_reused"));
    let stock = fixture.stock("s-leeds", A).await;
    assert_eq!((stock.on_hand, stock.reserved), (97_000, 0));
}

/// A repetition, frozen in the middle of a read, finds the stock gone to the request that it repeats.
#[tokio::test]
async fn the_same_request_for_all_there_is_is_not_refused_for_what_it_took_itself() {
    let mut frozen = 0;
    for step in 0..4 {
        let fixture = Fixture::new(3).await;
        fixture.count("s-leeds", A, 3).await;
        let all = request(&[("s-leeds", A, 3)], 60);
        let late = all.clone();
        let caller = fixture.caller.clone();
        let task = fixture
            .frozen_in_read(step, |ports| async move { reserve::reserve(&ports, &caller, "k", &late).await });
        let Some((task, database)) = task.await else { break };
        frozen += 1;
        assert!(!fixture.reserve("k", &all).await.unwrap().replayed);
        database.thaw();
        assert!(task.await.unwrap().unwrap().replayed, "frozen in read {step}");
        assert_eq!(fixture.stock("s-leeds", A).await.reserved, 3_000);
    }
    assert!(frozen >= 2, "{frozen} reads");
}

#[tokio::test]
async fn all_lines_or_none_and_lines_are_added_up() {
    let fixture = Fixture::new(3).await;
    fixture.count("s-leeds", A, 5).await;
    fixture.count("s-leeds", B, 1).await;
    let short = request(&[("s-leeds", A, 2), ("s-leeds", B, 1), ("s-leeds", B, 1), ("s-york", A, 1)], 60);
    let refused = refusal(fixture.reserve("k", &short).await.unwrap_err());
    let fields: Vec<&str> = refused.errors.iter().map(|e| e.field.as_str()).collect();
    assert_eq!(fields, ["lines[1].quantity", "lines[3].quantity"]);
    assert_eq!(refused.extra["lines"][0]["requested"], 2);
    assert_eq!(refused.extra["lines"][0]["available"], 1);
    assert_eq!(refused.extra["lines"][1]["elsewhere"], json!([{ "location_id": "s-leeds", "available": 5 }]));
    assert_eq!(fixture.stock("s-leeds", A).await.reserved, 0);

    // A refusal is not remembered: the same key may succeed later.
    fixture.count("s-leeds", B, 2).await;
    fixture.count("s-york", A, 1).await;
    let made = fixture.reserve("k", &short).await.unwrap();
    assert!(!made.replayed);
    assert_eq!(made.reservation.lines.len(), 3);
    assert_eq!(fixture.stock("s-leeds", B).await.reserved, 2_000);
    fixture.check_invariants();
}

#[tokio::test]
async fn expired_holds_are_free_at_the_next_reservation_or_read() {
    let fixture = Fixture::new(4).await;
    fixture.count("s-leeds", A, 10).await;
    fixture.reserve("short", &request(&[("s-leeds", A, 6)], 10)).await.unwrap();
    fixture.reserve("long", &request(&[("s-leeds", A, 4)], 1_000)).await.unwrap();
    let refused = fixture.reserve("more", &request(&[("s-leeds", A, 5)], 60)).await.unwrap_err();
    assert_eq!(refused.code(), Some("insufficient_stock"));
    fixture.pass(9);
    assert!(fixture.reserve("more", &request(&[("s-leeds", A, 5)], 60)).await.is_err());
    fixture.pass(1);
    fixture.reserve("more", &request(&[("s-leeds", A, 5)], 60)).await.unwrap();
    fixture.check_invariants();
    fixture.pass(60);
    let level = read::one(&fixture.ports, &fixture.caller, "s-leeds", A).await.unwrap();
    assert_eq!((level.reserved, level.available), (QuantityInput::Whole(4), QuantityInput::Whole(6)));
    assert_eq!(fixture.stock("s-leeds", A).await.reserved, 4_000);
    // And the earliest expiry is the truth again, so the next read need not look.
    let stock = fixture.stock("s-leeds", A).await;
    assert!(!stock.may_have_expired_holds(fixture.ports.environment.now()));
    assert!(stock.earliest_expiry.is_some());
    fixture.check_invariants();
}

#[tokio::test]
async fn a_list_counts_expired_holds_as_free_without_writing() {
    let fixture = Fixture::new(5).await;
    fixture.count("s-leeds", A, 10).await;
    fixture.reserve("k", &request(&[("s-leeds", A, 6)], 10)).await.unwrap();
    fixture.pass(10);
    let before = fixture.memory.items(Table::Stock);
    let page = read::of_location(&fixture.ports, &fixture.caller, "s-leeds", None, None).await.unwrap();
    assert_eq!(page.items[0].available, QuantityInput::Whole(10));
    assert_eq!(page.items[0].reserved, QuantityInput::Whole(0));
    assert_eq!(fixture.memory.items(Table::Stock), before);
}

#[tokio::test]
async fn the_schedule_frees_expired_holds_of_all_tenants() {
    let fixture = Fixture::new(6).await;
    fixture.count("s-leeds", A, 10).await;
    for n in 0..9 {
        fixture.reserve(&format!("k{n}"), &request(&[("s-leeds", A, 1)], 10 + n)).await.unwrap();
    }
    fixture.pass(14);
    let sweep = async || {
        let now = fixture.ports.environment.now();
        expiry::sweep_expired(&fixture.ports, now, Timestamp::MAX).await.unwrap()
    };
    assert_eq!(sweep().await, expiry::Swept { items: 1, failed: 0 });
    assert_eq!(fixture.stock("s-leeds", A).await.reserved, 4_000);
    fixture.check_invariants();
    assert_eq!(sweep().await.items, 0);
}

#[tokio::test]
async fn a_busy_stock_item_does_not_keep_the_expired_holds_of_others() {
    let fixture = Fixture::new(26).await;
    for sku in [A, B] {
        fixture.count("s-leeds", sku, 300).await;
        // More than are read at once, in every shard of the index.
        for n in 0..150 {
            let (key, seconds) = (format!("{sku}-{n}"), if sku == A { 10 } else { 20 });
            fixture.reserve(&key, &request(&[("s-leeds", sku, 1)], seconds)).await.unwrap();
        }
    }
    fixture.pass(30);
    let database = Arc::new(faults::FaultyDatabase::new(fixture.memory.clone()));
    database.keep_busy(A);
    let ports = Ports { database, environment: fixture.environment.clone() };
    let begun = fixture.environment.now();
    let swept = expiry::sweep_expired(&ports, begun, Timestamp::MAX).await.unwrap();
    assert_eq!(swept, expiry::Swept { items: 2, failed: 1 });
    assert_eq!(fixture.stock("s-leeds", B).await.reserved, 0);
    assert_eq!(fixture.stock("s-leeds", A).await.reserved, 150_000);
    let took = fixture.environment.now().duration_since(begun).as_secs();
    assert!((8..10).contains(&took), "one look at the busy one: {took} s");
    // After the deadline nothing is begun.
    let late = expiry::sweep_expired(&fixture.ports, begun, begun).await.unwrap();
    assert_eq!(late, expiry::Swept::default());
    fixture.check_invariants();
}

#[tokio::test]
async fn commit_release_and_extend_take_effect_once() {
    let fixture = Fixture::new(7).await;
    let (ports, who) = (&fixture.ports, &fixture.caller);
    fixture.count("s-leeds", A, 10).await;
    fixture.count("s-leeds", B, 10).await;
    let both = request(&[("s-leeds", A, 2), ("s-leeds", B, 3)], 60);
    let id = fixture.reserve("k", &both).await.unwrap().reservation.reservation_id;

    let longer = ExtendRequest { ttl_seconds: 600 };
    let extended = reservations::extend(ports, who, "x", &id, &longer).await.unwrap();
    fixture.pass(61);
    let again = reservations::extend(ports, who, "x", &id, &longer).await.unwrap();
    assert!(again.replayed && !extended.replayed);
    assert_eq!(again.reservation, extended.reservation);
    let reused = reservations::extend(ports, who, "x", &id, &ExtendRequest { ttl_seconds: 5 }).await;
    assert_eq!(reused.unwrap_err().code(), Some("idempotency_key_reused"));
    let shorter =
        reservations::extend(ports, who, "y", &id, &ExtendRequest { ttl_seconds: 1 }).await.unwrap();
    assert_eq!(shorter.reservation.expires_at, extended.reservation.expires_at, "never shortens");
    // A read past the first end finds the holds extended.
    read::one(ports, who, "s-leeds", A).await.unwrap();
    assert_eq!(fixture.stock("s-leeds", A).await.reserved, 2_000);
    fixture.check_invariants();

    let committed = reservations::commit(ports, who, "c", &id, &CommitRequest::default()).await.unwrap();
    assert_eq!(committed.reservation.status, ReservationStatus::Committed);
    assert!(reservations::commit(ports, who, "c", &id, &CommitRequest::default()).await.unwrap().replayed);
    let twice = reservations::commit(ports, who, "c2", &id, &CommitRequest::default()).await.unwrap_err();
    assert_eq!(twice.code(), Some("reservation_not_active"));
    assert_eq!(
        reservations::release(ports, who, "r", &id).await.unwrap_err().code(),
        Some("reservation_not_active")
    );
    let (a, b) = (fixture.stock("s-leeds", A).await, fixture.stock("s-leeds", B).await);
    assert_eq!((a.on_hand, a.reserved, a.available), (8_000, 0, 8_000));
    assert_eq!((b.on_hand, b.reserved, b.available), (7_000, 0, 7_000));

    let id = fixture.reserve("k2", &both).await.unwrap().reservation.reservation_id;
    assert_eq!(
        reservations::release(ports, who, "r", &id).await.unwrap().reservation.status,
        ReservationStatus::Released
    );
    assert!(reservations::release(ports, who, "r", &id).await.unwrap().replayed);
    assert_eq!(fixture.stock("s-leeds", A).await.available, 8_000);
    fixture.check_invariants();
}

#[tokio::test]
async fn what_is_over_is_neither_committed_nor_extended_but_may_be_released() {
    let fixture = Fixture::new(8).await;
    let (ports, who) = (&fixture.ports, &fixture.caller);
    fixture.count("s-leeds", A, 10).await;
    fixture.count("s-leeds", B, 10).await;
    let both = request(&[("s-leeds", A, 2), ("s-leeds", B, 3)], 60);
    let id = fixture.reserve("k", &both).await.unwrap().reservation.reservation_id;
    fixture.pass(60);
    assert_eq!(reservations::get(ports, who, &id).await.unwrap().status, ReservationStatus::Expired);
    // One of its lines is freed by a reader, the other still stands.
    read::one(ports, who, "s-leeds", A).await.unwrap();
    for error in [
        reservations::commit(ports, who, "c", &id, &CommitRequest::default()).await.unwrap_err(),
        reservations::extend(ports, who, "x", &id, &ExtendRequest { ttl_seconds: 9 }).await.unwrap_err(),
    ] {
        assert_eq!(error.code(), Some("reservation_expired"));
    }
    reservations::release(ports, who, "r", &id).await.unwrap();
    for sku in [A, B] {
        let stock = fixture.stock("s-leeds", sku).await;
        assert_eq!((stock.on_hand, stock.reserved, stock.available), (10_000, 0, 10_000));
    }
}

#[tokio::test]
async fn a_hold_freed_by_a_clock_ahead_of_ours_is_over() {
    let fixture = Fixture::new(9).await;
    fixture.count("s-leeds", A, 10).await;
    let made = fixture.reserve("k", &request(&[("s-leeds", A, 2)], 60)).await.unwrap().reservation;
    let ahead = made.expires_at;
    assert!(expiry::free_expired(&fixture.ports, fixture.scope(), "s-leeds", A, ahead).await.unwrap());
    let id = made.reservation_id;
    let refused = reservations::commit(&fixture.ports, &fixture.caller, "c", &id, &CommitRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Some("reservation_expired"));
    assert_eq!(fixture.stock("s-leeds", A).await.on_hand, 10_000);
}

#[tokio::test]
async fn a_commit_of_more_than_a_count_found_is_refused() {
    let fixture = Fixture::new(10).await;
    fixture.count("s-leeds", A, 10).await;
    let id =
        fixture.reserve("k", &request(&[("s-leeds", A, 8)], 60)).await.unwrap().reservation.reservation_id;
    fixture.count("s-leeds", A, 3).await;
    assert_eq!(fixture.stock("s-leeds", A).await.available, -5_000);
    let refused = refusal(
        reservations::commit(&fixture.ports, &fixture.caller, "c", &id, &CommitRequest::default())
            .await
            .unwrap_err(),
    );
    assert_eq!(refused.code, "insufficient_stock");
    assert_eq!(refused.extra["lines"][0]["available"], 3);
    fixture.check_invariants();
}

#[tokio::test]
async fn requests_are_validated() {
    let fixture = Fixture::new(11).await;
    fixture.count("s-leeds", A, 10).await;
    let ok = || request(&[("s-leeds", A, 1)], 60);
    let code = |error: Error| refusal(error).code;
    for (bad, expected) in [
        (request(&[], 60), "lines_out_of_range"),
        (request(&[("s-leeds", A, 1)], 0), "ttl_out_of_range"),
        (request(&[("s-leeds", A, 1)], 86_401), "ttl_out_of_range"),
        (request(&[("s-leeds", A, 0)], 60), "quantity_invalid"),
        (request(&[("s-leeds", A, 600_000), ("s-leeds", A, 600_000)], 60), "quantity_invalid"),
        (request(&[("s-nowhere", A, 1)], 60), "location_not_found"),
        (request(&[("s-leeds", "NOSUCH", 1)], 60), "sku_unknown"),
        (request(&[("s-leeds", "SERVICE", 1)], 60), "sku_not_stocked"),
        (request(&[("s leeds", A, 1)], 60), "location_id_malformed"),
        (request(&[("s-leeds", " ", 1)], 60), "sku_malformed"),
        (request(&[("s-leeds", BY_WEIGHT, 1)], 60), "quantity_invalid"),
        (
            tillstream_contracts::inventory::ReserveRequest { reservation_id: Some("#".into()), ..ok() },
            "id_malformed",
        ),
    ] {
        assert_eq!(code(fixture.reserve("k", &bad).await.unwrap_err()), expected);
    }
    let taken =
        || tillstream_contracts::inventory::ReserveRequest { reservation_id: Some("r-1".into()), ..ok() };
    fixture.reserve("k1", &taken()).await.unwrap();
    assert_eq!(code(fixture.reserve("k2", &taken()).await.unwrap_err()), "reservation_exists");

    let york_only = caller("demo", Role::Cashier, named(&["s-york"]));
    let out = tillstream_app::stock::reserve::reserve(&fixture.ports, &york_only, "k", &ok()).await;
    assert_eq!(code(out.unwrap_err()), "store_out_of_reach");
    let out = reservations::get(&fixture.ports, &york_only, "r-1").await;
    assert_eq!(code(out.unwrap_err()), "store_out_of_reach");
    let other_tenant = caller("other", Role::Operator, tillstream_app::tenancy::Stores::All);
    let out =
        reservations::commit(&fixture.ports, &other_tenant, "c", "r-1", &CommitRequest::default()).await;
    assert_eq!(code(out.unwrap_err()), "reservation_not_found");
}

#[tokio::test]
async fn a_reservation_as_large_as_allowed_lives_its_whole_life() {
    let fixture = Fixture::new(12).await;
    let skus: Vec<String> = (0..48).map(|n| format!("SKU-{n:02}")).collect();
    for sku in &skus {
        let mut product = fixture
            .memory
            .items(Table::Catalog)
            .into_iter()
            .filter_map(|item| tillstream_app::catalog::items::product_of(&item).ok())
            .find(|product| product.sku == A)
            .unwrap();
        product.sku.clone_from(sku);
        let item = tillstream_app::catalog::items::product_item(fixture.scope(), &product).unwrap();
        crate::fixture::put(&fixture.memory, Table::Catalog, item).await;
        fixture.count("s-leeds", sku, 1).await;
    }
    let lines: Vec<(&str, &str, i64)> = skus.iter().map(|sku| ("s-leeds", sku.as_str(), 1)).collect();
    let id = fixture.reserve("k", &request(&lines, 60)).await.unwrap().reservation.reservation_id;
    let longer = ExtendRequest { ttl_seconds: 600 };
    reservations::extend(&fixture.ports, &fixture.caller, "x", &id, &longer).await.unwrap();
    reservations::commit(&fixture.ports, &fixture.caller, "c", &id, &CommitRequest::default()).await.unwrap();
    for sku in &skus {
        assert_eq!(fixture.stock("s-leeds", sku).await.on_hand, 0);
    }
    fixture.check_invariants();
}

#[tokio::test]
async fn a_hold_that_is_extended_while_it_is_freed_stays() {
    let fixture = Fixture::new(13).await;
    fixture.count("s-leeds", A, 10).await;
    let made = fixture.reserve("k", &request(&[("s-leeds", A, 2)], 60)).await.unwrap().reservation;
    let (id, ahead) = (made.reservation_id, made.expires_at);
    fixture.meanwhile(|ports, caller| async move {
        let longer = ExtendRequest { ttl_seconds: 600 };
        reservations::extend(&ports, &caller, "x", &id, &longer).await.unwrap();
    });
    // Somebody whose clock is ahead finds it expired, and loses to the extension.
    expiry::free_expired(&fixture.ports, fixture.scope(), "s-leeds", A, ahead).await.unwrap();
    assert_eq!(fixture.stock("s-leeds", A).await.reserved, 2_000);
    fixture.check_invariants();
}

#[tokio::test]
async fn two_extensions_at_once_are_both_remembered() {
    let fixture = Fixture::new(14).await;
    let (ports, who) = (&fixture.ports, &fixture.caller);
    fixture.count("s-leeds", A, 10).await;
    let id =
        fixture.reserve("k", &request(&[("s-leeds", A, 2)], 60)).await.unwrap().reservation.reservation_id;
    let (short, long) = (ExtendRequest { ttl_seconds: 300 }, ExtendRequest { ttl_seconds: 600 });
    let (their_id, theirs) = (id.clone(), long.clone());
    fixture.meanwhile(|ports, caller| async move {
        reservations::extend(&ports, &caller, "theirs", &their_id, &theirs).await.unwrap();
    });
    let ours = reservations::extend(ports, who, "ours", &id, &short).await.unwrap().reservation;
    for (key, request) in [("ours", &short), ("theirs", &long)] {
        let again = reservations::extend(ports, who, key, &id, request).await.unwrap();
        assert!(again.replayed, "{key} was forgotten");
        assert_eq!(again.reservation.expires_at, ours.expires_at);
    }
}

#[tokio::test]
async fn the_writes_alone_refuse_what_is_over_or_not_held() {
    let fixture = Fixture::new(15).await;
    let database = &fixture.ports.database;
    fixture.count("s-leeds", A, 10).await;
    let id =
        fixture.reserve("k", &request(&[("s-leeds", A, 2)], 60)).await.unwrap().reservation.reservation_id;
    let reservation = reservations::find(&fixture.ports, fixture.scope(), &id).await.unwrap().unwrap();
    let movement = Movement {
        kind: "sale",
        reference: "o-1".into(),
        actor: "e-7".into(),
        at: reservation.created_at,
        reason: None,
    };
    let located = reservations::located(&fixture.ports, fixture.scope(), &reservation).await.unwrap();
    let commit = |now| {
        let keyed = reservations::KeyedRequest { key: "order:o-1", fingerprint: "o-1", number: 1 };
        let commit = reservations::Commit { now, request: keyed, order_id: Some("o-1"), movement: &movement };
        let no_lots = reservations::LotWrites::default();
        reservations::commit_actions(fixture.scope(), &reservation, &located, &commit, &no_lots).unwrap()
    };
    assert!(database.transact(commit(reservation.expires_at)).await.is_err(), "its time was over");
    let not_held = Delta::release(Quantity::from_pieces(3).unwrap());
    let write = stock_update(fixture.scope(), "s-leeds", A, not_held, &movement, Vec::new(), Vec::new());
    assert!(database.write(write).await.is_err(), "more was given back than was held");
    database.transact(commit(reservation.created_at)).await.unwrap();
    let shown = reservations::get(&fixture.ports, &fixture.caller, &id).await.unwrap();
    assert_eq!((shown.status, shown.order_id.as_deref()), (ReservationStatus::Committed, Some("o-1")));
    assert_eq!(fixture.stock("s-leeds", A).await.on_hand, 8_000);
    fixture.check_invariants();
}

#[tokio::test]
async fn elsewhere_names_only_what_is_in_reach() {
    let fixture = Fixture::new(16).await;
    fixture.count("w-hull", A, 7).await;
    fixture.count("s-york", A, 3).await;
    let who = caller("demo", Role::Cashier, named(&["s-leeds", "s-york"]));
    let wanted = request(&[("s-leeds", A, 1)], 60);
    let refused = tillstream_app::stock::reserve::reserve(&fixture.ports, &who, "k", &wanted).await;
    let lines = refusal(refused.unwrap_err()).extra["lines"].clone();
    assert_eq!(lines[0]["elsewhere"], json!([{ "location_id": "s-york", "available": 3 }]));
}
