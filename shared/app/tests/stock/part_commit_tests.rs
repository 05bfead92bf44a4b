//! Reservations that are committed in part: what is sold leaves the shelf, the rest goes on being held.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;
use tillstream_app::database::{Condition, Database, DatabaseError, Table};
use tillstream_app::environment::Environment;
use tillstream_app::stock::holds::{Ending, end_holds, locate};
use tillstream_app::stock::reserve::Answer;
use tillstream_app::stock::{expiry, reservations};
use tillstream_app::{Error, Result};
use tillstream_contracts::inventory::{CommitRequest, ExtendRequest, ReservationStatus};
use tillstream_domain::quantity::{Quantity, QuantityInput};

use crate::fixture::{BY_WEIGHT, Fixture, SKUS, refusal, request};

const SHOP: &str = "s-leeds";
const A: &str = SKUS[0];
const B: &str = SKUS[1];

fn part(lines: &[(&str, i64)]) -> CommitRequest {
    let lines: Vec<_> = lines.iter().map(|(sku, pieces)| (SHOP, *sku, *pieces)).collect();
    CommitRequest::from(request(&lines, 1).lines)
}

impl Fixture {
    async fn commit_part(&self, key: &str, id: &str, lines: &[(&str, i64)]) -> Result<Answer> {
        reservations::commit(&self.ports, &self.caller, key, id, &part(lines)).await
    }

    async fn held(&self, key: &str, lines: &[(&str, i64)], ttl_seconds: i64) -> String {
        let lines: Vec<_> = lines.iter().map(|(sku, pieces)| (SHOP, *sku, *pieces)).collect();
        self.reserve(key, &request(&lines, ttl_seconds)).await.unwrap().reservation.reservation_id
    }

    /// On hand, reserved, available, in pieces.
    async fn of(&self, sku: &str) -> (i64, i64, i64) {
        let stock = self.stock(SHOP, sku).await;
        (stock.on_hand / 1_000, stock.reserved / 1_000, stock.available / 1_000)
    }
}

/// Status, and of each line what was reserved and what of it committed.
fn told(answer: &Answer) -> (ReservationStatus, Vec<(i64, i64)>) {
    let pieces =
        |quantity: &QuantityInput| if let QuantityInput::Whole(pieces) = quantity { *pieces } else { -1 };
    let lines = answer.reservation.lines.iter();
    (answer.reservation.status, lines.map(|line| (pieces(&line.quantity), pieces(&line.committed))).collect())
}

#[tokio::test]
async fn what_is_not_committed_goes_on_being_held() {
    use ReservationStatus::{Active, Committed};
    let fixture = Fixture::new(61).await;
    fixture.count(SHOP, A, 10).await;
    fixture.count(SHOP, B, 10).await;
    let id = fixture.held("k", &[(A, 4), (B, 3)], 600).await;
    // Lines of the same SKU are added up.
    let first = fixture.commit_part("c1", &id, &[(A, 1), (B, 1), (A, 1)]).await.unwrap();
    assert_eq!(told(&first), (Active, vec![(3, 1), (4, 2)]));
    assert_eq!((fixture.of(A).await, fixture.of(B).await), ((8, 2, 6), (9, 2, 7)));
    fixture.check_invariants();
    let second = fixture.commit_part("c2", &id, &[(B, 2)]).await.unwrap();
    assert_eq!(told(&second), (Active, vec![(3, 3), (4, 2)]));
    assert_eq!(fixture.of(B).await, (7, 0, 7));
    fixture.check_invariants();
    // A line of which all is sold holds nothing, and the rest is extended as ever.
    let longer = ExtendRequest { ttl_seconds: 900 };
    let extended = reservations::extend(&fixture.ports, &fixture.caller, "x", &id, &longer).await.unwrap();
    assert_eq!(told(&extended), told(&second));
    // All that is left: it is committed, as by a commit that names nothing.
    let last = fixture.commit_part("c3", &id, &[(A, 2)]).await.unwrap();
    assert_eq!(told(&last), (Committed, vec![(3, 3), (4, 4)]));
    assert_eq!(fixture.of(A).await, (6, 0, 6));
    fixture.check_invariants();
    // Each answers again what it answered, whatever came after it.
    for (key, lines, answer) in [
        ("c1", vec![(A, 1), (B, 1), (A, 1)], &first),
        ("c2", vec![(B, 2)], &second),
        ("c3", vec![(A, 2)], &last),
    ] {
        let again = fixture.commit_part(key, &id, &lines).await.unwrap();
        assert!(again.replayed);
        // It was extended in between, which the first two did not know.
        assert_eq!(again.reservation, answer.reservation, "{key}");
    }
    let reused = fixture.commit_part("c1", &id, &[(A, 1)]).await.unwrap_err();
    assert_eq!(reused.code(), Some("idempotency_key_reused"));
}

#[tokio::test]
async fn the_rest_is_committed_released_or_ends_by_itself() {
    for ending in ["commit", "release", "sweep", "read"] {
        let fixture = Fixture::new(62).await;
        fixture.count(SHOP, A, 10).await;
        let id = fixture.held("k", &[(A, 6)], 60).await;
        fixture.commit_part("c", &id, &[(A, 2)]).await.unwrap();
        let (ports, who) = (&fixture.ports, &fixture.caller);
        let left = match ending {
            "commit" => {
                reservations::commit(ports, who, "all", &id, &CommitRequest::default()).await.unwrap();
                4
            }
            "release" => {
                let released = reservations::release(ports, who, "r", &id).await.unwrap();
                assert_eq!(told(&released), (ReservationStatus::Released, vec![(6, 2)]));
                8
            }
            _ => {
                fixture.pass(61);
                let refused = fixture.commit_part("late", &id, &[(A, 1)]).await.unwrap_err();
                assert_eq!(refused.code(), Some("reservation_expired"));
                if ending == "sweep" {
                    let now = fixture.environment.now();
                    expiry::sweep_expired(ports, now, Timestamp::MAX).await.unwrap();
                } else {
                    fixture.held("wants all that is free", &[(A, 8)], 1).await;
                    fixture.pass(2);
                    tillstream_app::stock::read::one(ports, who, SHOP, A).await.unwrap();
                }
                8
            }
        };
        assert_eq!(fixture.of(A).await, (left, 0, left), "{ending}");
        fixture.check_invariants();
    }
}

#[tokio::test]
async fn what_is_not_held_is_not_committed() {
    let fixture = Fixture::new(63).await;
    fixture.count(SHOP, A, 10).await;
    fixture.count(SHOP, B, 10).await;
    let id = fixture.held("k", &[(A, 4)], 600).await;
    fixture.commit_part("c", &id, &[(A, 1)]).await.unwrap();
    let before = fixture.memory.items(Table::Stock);
    let above = refusal(fixture.commit_part("n", &id, &[(A, 2), (A, 2)]).await.unwrap_err());
    assert_eq!(above.code, "commit_above_held");
    assert_eq!(
        above.extra["lines"],
        json!([{"field": "lines[1].quantity", "location_id": SHOP, "sku": A, "requested": 4, "held": 3}])
    );
    let many = vec![(A, 1); 1_001];
    for (lines, code) in [
        (vec![(B, 1)], "line_not_reserved"),
        (vec![("none", 1)], "line_not_reserved"),
        (vec![(A, 0)], "quantity_invalid"),
        (vec![(A, -1)], "quantity_invalid"),
        (vec![(A, 1_000_000_001)], "quantity_invalid"),
        (vec![(A, 1_000_000), (A, 1_000_000)], "commit_above_held"),
        (vec![], "lines_out_of_range"),
        (many, "lines_out_of_range"),
    ] {
        let refused = fixture.commit_part("n", &id, &lines).await.unwrap_err();
        assert_eq!(refused.code(), Some(code), "{:?}", lines.first());
    }
    let elsewhere = CommitRequest::from(request(&[("s-york", A, 1)], 1).lines);
    let refused =
        reservations::commit(&fixture.ports, &fixture.caller, "n", &id, &elsewhere).await.unwrap_err();
    assert_eq!(refused.code(), Some("line_not_reserved"));
    // What is megabytes long is not told again, twice, in an answer that no function may give.
    let long = "A".repeat(1_000_000);
    let endless = CommitRequest::from(request(&[(long.as_str(), long.as_str(), 1)], 1).lines);
    let refused =
        reservations::commit(&fixture.ports, &fixture.caller, "n", &id, &endless).await.unwrap_err();
    let refused = refusal(refused);
    assert_eq!((refused.code, refused.errors[0].field.as_str()), ("line_not_reserved", "lines[0].sku"));
    assert!(refused.detail.len() < 1_000 && refused.errors[0].message.len() < 1_000);
    assert_eq!(fixture.memory.items(Table::Stock), before);
}

#[tokio::test]
async fn by_weight_too() {
    let fixture = Fixture::new(64).await;
    fixture
        .stocked(
            SHOP,
            BY_WEIGHT,
            tillstream_app::stock::counters::StockTarget { on_hand: Some(5_000), ..Default::default() },
        )
        .await;
    let kilos = |text: &str| json!([{"location_id": SHOP, "sku": BY_WEIGHT, "quantity": text}]);
    let wanted = json!({"lines": kilos("1.5"), "ttl_seconds": 60});
    let made = fixture.reserve("k", &serde_json::from_value(wanted).unwrap()).await.unwrap().reservation;
    let sold: CommitRequest = serde_json::from_value(json!({"lines": kilos("0.482")})).unwrap();
    let (ports, who) = (&fixture.ports, &fixture.caller);
    let answer = reservations::commit(ports, who, "c", &made.reservation_id, &sold).await.unwrap();
    assert_eq!(answer.reservation.lines[0].committed, QuantityInput::Decimal("0.482".to_owned()));
    let stock = fixture.stock(SHOP, BY_WEIGHT).await;
    assert_eq!((stock.on_hand, stock.reserved), (4_518, 1_018));
    let whole: CommitRequest =
        serde_json::from_value(json!({"lines": [{"location_id": SHOP, "sku": BY_WEIGHT, "quantity": 1}]}))
            .unwrap();
    let refused = reservations::commit(ports, who, "n", &made.reservation_id, &whole).await.unwrap_err();
    assert_eq!(refused.code(), Some("quantity_invalid"));
}

/// Held in several parts of split stock: some parts end, one is lessened, and a merge in between changes nothing.
#[tokio::test]
async fn over_the_parts_of_split_stock() {
    for merged in [false, true] {
        let fixture = Fixture::new(65).await;
        fixture.count(SHOP, A, 40).await;
        tillstream_app::stock::split::split(&fixture.ports, fixture.scope(), SHOP, A, 8).await.unwrap();
        let id = fixture.held("k", &[(A, 17)], 900).await;
        let made = reservations::find(&fixture.ports, fixture.scope(), &id).await.unwrap().unwrap();
        assert_eq!(made.holds().len(), 4, "{made:?}");
        let mut sold = 0;
        for (turn, pieces) in [3, 4, 6, 1].into_iter().enumerate() {
            if merged && turn == 2 {
                tillstream_app::stock::split::merge(&fixture.ports, fixture.scope(), SHOP, A).await.unwrap();
            }
            fixture.commit_part(&format!("c{turn}"), &id, &[(A, pieces)]).await.unwrap();
            sold += pieces;
            let made = reservations::find(&fixture.ports, fixture.scope(), &id).await.unwrap().unwrap();
            let held: i64 = made.holds().iter().map(|hold| hold.quantity.thousandths()).sum();
            assert_eq!(held, (17 - sold) * 1_000);
            fixture.check().await;
        }
        assert_eq!(fixture.pieces().await, (40 - 14, 3, 23));
        let above = fixture.commit_part("n", &id, &[(A, 4)]).await.unwrap_err();
        assert_eq!(above.code(), Some("commit_above_held"));
        reservations::release(&fixture.ports, &fixture.caller, "r", &id).await.unwrap();
        assert_eq!(fixture.pieces().await, (26, 0, 26));
        fixture.check().await;
    }
}

/// Whoever read a hold line before a part of it was committed gives nothing of that part back, nor sells it again.
#[tokio::test]
async fn a_hold_that_was_read_before_is_not_ended() {
    let fixture = Fixture::new(66).await;
    fixture.count(SHOP, A, 10).await;
    let id = fixture.held("k", &[(A, 6)], 60).await;
    let made = reservations::find(&fixture.ports, fixture.scope(), &id).await.unwrap().unwrap();
    let read = locate(fixture.memory.as_ref(), fixture.scope(), made.holds()).await.unwrap();
    fixture.commit_part("c", &id, &[(A, 2)]).await.unwrap();
    let now = fixture.environment.now();
    for ending in [Ending::GiveBack(Condition::Exists), Ending::Commit(now)] {
        let writes = end_holds(fixture.scope(), &read, &ending, &fixture.movement());
        let ended = fixture.memory.transact(writes.into_iter().map(|(write, _)| write).collect()).await;
        assert!(matches!(ended, Err(DatabaseError::Cancelled(_))), "{ended:?}");
    }
    assert_eq!(fixture.of(A).await, (8, 4, 4));
    assert_eq!(read[0].hold.quantity, Quantity::from_pieces(6).unwrap());
}

/// Sixty-four commits of one piece each of forty that are held, beside commits of all: each piece is sold once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_sell_what_is_held_once() {
    for seed in 0..20 {
        let fixture = Arc::new(Fixture::new(670 + seed).await);
        fixture.count(SHOP, A, 100).await;
        let id = fixture.held("k", &[(A, 40)], 900).await;
        let tasks: Vec<_> = (0..64)
            .map(|n| {
                let (fixture, id) = (fixture.clone(), id.clone());
                tokio::spawn(async move {
                    loop {
                        match fixture.commit_part(&format!("c{n}"), &id, &[(A, 1)]).await {
                            Ok(answer) => return i64::from(!answer.replayed),
                            Err(Error::Conflict(_) | Error::Retryable { .. }) => {}
                            Err(error) => {
                                let known = ["commit_above_held", "reservation_not_active"];
                                assert!(known.contains(&error.code().unwrap()), "{error}");
                                return 0;
                            }
                        }
                    }
                })
            })
            .collect();
        let mut sold = 0;
        for task in tasks {
            sold += task.await.unwrap();
        }
        assert_eq!(sold, 40);
        assert_eq!(fixture.of(A).await, (60, 0, 60));
        fixture.check_invariants();
    }
}

#[tokio::test]
async fn a_reservation_is_not_committed_in_part_for_ever() {
    let fixture = Fixture::new(68).await;
    fixture.count(SHOP, A, 200).await;
    let id = fixture.held("k", &[(A, 150)], 900).await;
    for n in 0..100 {
        fixture.commit_part(&format!("c{n}"), &id, &[(A, 1)]).await.unwrap();
    }
    let refused = fixture.commit_part("n", &id, &[(A, 1)]).await.unwrap_err();
    assert_eq!(refused.code(), Some("too_many_commits"));
    fixture.commit_part("all", &id, &[(A, 50)]).await.unwrap();
    assert_eq!(fixture.of(A).await, (50, 0, 50));
}
