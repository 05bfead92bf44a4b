//! How reservations end where they are not as they were: freed, counted away, extended to the last.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::json;
use tillstream_app::environment::Environment;
use tillstream_app::stock::{expiry, reservations};
use tillstream_contracts::inventory::{CommitRequest, ExtendRequest};

use crate::fixture::{Fixture, SKUS, refusal, request};

const SHOP: &str = "s-leeds";
const A: &str = SKUS[0];
const B: &str = SKUS[1];

#[tokio::test]
async fn what_an_order_could_not_commit_is_refused_before_it_is_placed() {
    let fixture = Fixture::new(1).await;
    let (ports, who) = (&fixture.ports, &fixture.caller);
    for (sku, place) in [(A, "s-leeds"), (A, "s-york"), (B, "s-york")] {
        fixture.count(place, sku, 10).await;
    }
    let lines = [("s-leeds", A, 4), ("s-york", A, 5), ("s-york", B, 6)];
    let made = fixture.reserve("k", &request(&lines, 600)).await.unwrap().reservation;
    let reservation =
        reservations::find(ports, fixture.scope(), &made.reservation_id).await.unwrap().unwrap();
    let now = fixture.environment.now();
    let committable = || reservations::require_committable(ports, who, &reservation, now);
    assert_eq!(committable().await.unwrap().len(), 3);
    // A count finds exactly what is held of the one, and less of the others.
    fixture.count("s-leeds", A, 4).await;
    assert_eq!(committable().await.unwrap().len(), 3);
    fixture.count("s-york", A, 3).await;
    fixture.count("s-york", B, 2).await;
    let refused = refusal(committable().await.unwrap_err());
    assert_eq!(refused.code, "insufficient_stock");
    let fields: Vec<_> = refused.errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["lines[1].quantity", "lines[2].quantity"]);
    let told = |n: usize, name: &str| refused.extra["lines"][n][name].clone();
    let line = |n| ["location_id", "sku", "available", "requested"].map(|name| told(n, name));
    assert_eq!(json!(line(0)), json!(["s-york", B, 2, 6]));
    assert_eq!(json!(line(1)), json!(["s-york", A, 3, 5]));
    // The same is said by a commit.
    let by_commit = reservations::commit(ports, who, "c", &made.reservation_id, &CommitRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refusal(by_commit).errors, refused.errors);
    assert_eq!(
        reservations::require_committable(ports, who, &reservation, made.expires_at)
            .await
            .unwrap_err()
            .code(),
        Some("reservation_expired"),
        "to the millisecond"
    );
    // A clock ahead of ours freed one of the holds.
    expiry::free_expired(ports, fixture.scope(), "s-leeds", A, made.expires_at).await.unwrap();
    assert_eq!(committable().await.unwrap_err().code(), Some("reservation_expired"));
}

#[tokio::test]
async fn a_hold_freed_by_a_clock_ahead_of_ours_is_over_after_an_extension_too() {
    let fixture = Fixture::new(2).await;
    let (ports, who) = (&fixture.ports, &fixture.caller);
    fixture.count(SHOP, A, 10).await;
    let id = fixture.hold("k", 2, 60).await;
    let longer = ExtendRequest { ttl_seconds: 600 };
    let extended = reservations::extend(ports, who, "x", &id, &longer).await.unwrap().reservation;
    let ahead = extended.expires_at;
    assert!(expiry::free_expired(ports, fixture.scope(), SHOP, A, ahead).await.unwrap());
    for refused in [
        reservations::commit(ports, who, "c", &id, &CommitRequest::default()).await.unwrap_err(),
        reservations::extend(ports, who, "y", &id, &longer).await.unwrap_err(),
    ] {
        assert_eq!(refused.code(), Some("reservation_expired"));
    }
    assert_eq!(fixture.pieces().await, (10, 0, 10));
}

#[tokio::test]
async fn a_reservation_is_extended_a_hundred_times() {
    let fixture = Fixture::new(3).await;
    let (ports, who) = (&fixture.ports, &fixture.caller);
    fixture.count(SHOP, A, 10).await;
    let id = fixture.hold("k", 2, 60).await;
    let longer = ExtendRequest { ttl_seconds: 600 };
    for n in 0..100 {
        reservations::extend(ports, who, &format!("x-{n}"), &id, &longer).await.unwrap();
    }
    let refused = reservations::extend(ports, who, "one more", &id, &longer).await.unwrap_err();
    assert_eq!(refused.code(), Some("too_many_extensions"));
    assert!(reservations::extend(ports, who, "x-0", &id, &longer).await.unwrap().replayed);
}

#[tokio::test]
async fn a_reservation_says_how_it_ended() {
    let fixture = Fixture::new(3).await;
    let (ports, who) = (&fixture.ports, &fixture.caller);
    fixture.count(SHOP, A, 10).await;
    let id = fixture.hold("k", 2, 60).await;
    reservations::commit(ports, who, "c", &id, &CommitRequest::default()).await.unwrap();
    let other = fixture.hold("k2", 2, 60).await;
    reservations::release(ports, who, "r", &other).await.unwrap();
    for (id, state) in [(id, "committed"), (other, "released")] {
        let refused = refusal(reservations::release(ports, who, "again", &id).await.unwrap_err());
        assert_eq!((refused.code, refused.extra["state"].as_str()), ("reservation_not_active", Some(state)));
        let ended = reservations::find(ports, fixture.scope(), &id).await.unwrap().unwrap();
        let now = fixture.environment.now();
        let refused = reservations::require_committable(ports, who, &ended, now).await.unwrap_err();
        assert_eq!(refused.code(), Some("reservation_not_active"));
    }
}

#[tokio::test]
async fn a_reservation_has_up_to_a_thousand_lines_and_names_the_one_that_is_wrong() {
    let fixture = Fixture::new(4).await;
    fixture.count(SHOP, A, 2_000).await;
    let lines = |count: usize| request(&vec![(SHOP, A, 1); count], 60);
    let made = fixture.reserve("most", &lines(1_000)).await.unwrap().reservation;
    assert_eq!(made.lines.len(), 1);
    assert_eq!(fixture.pieces().await, (2_000, 1_000, 1_000));
    let refused = refusal(fixture.reserve("more", &lines(1_001)).await.unwrap_err());
    assert_eq!(refused.errors[0].code, "lines_out_of_range");
    for (sku, code) in [("NOSUCH", "sku_unknown"), ("SERVICE", "sku_not_stocked")] {
        let wanted = request(&[(SHOP, A, 1), (SHOP, A, 1), (SHOP, sku, 1)], 60);
        let refused = refusal(fixture.reserve("wrong", &wanted).await.unwrap_err());
        assert_eq!(
            (refused.errors[0].field.as_str(), refused.errors[0].code.as_str()),
            ("lines[2].sku", code)
        );
    }
}

/// Chance that always says the same.
struct Fixed(u64);

#[async_trait]
impl Environment for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
    fn random(&self) -> u64 {
        self.0
    }
    async fn sleep(&self, _: Duration) {}
}

#[test]
fn requests_whose_chance_differs_have_different_numbers() {
    // The highest bits count: a number that the database keeps has one bit less.
    let numbers: std::collections::BTreeSet<i64> =
        (0..8_u64).map(|n| reservations::request_number(&Fixed(n << 61))).collect();
    assert_eq!(numbers.len(), 8);
    assert!(numbers.iter().all(|number| *number >= 0));
}
