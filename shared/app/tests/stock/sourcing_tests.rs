//! Reservations that leave open from where: the policy chooses, nothing is oversold, a repetition answers the same plan,
//! and what is refused says what is where.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::future::join_all;
use serde_json::{Value, json};
use tillstream_app::Error;
use tillstream_app::catalog::items::{location_item, location_of};
use tillstream_app::database::{Consistency, Database, Get, Item, Table};
use tillstream_app::environment::Environment;
use tillstream_app::stock::counters::StockTarget;
use tillstream_app::stock::purchases::place;
use tillstream_app::stock::reserve::Answer;
use tillstream_app::stock::split::split;
use tillstream_app::stock::{reservations, reserve};
use tillstream_app::tenancy::{Role, Stores};
use tillstream_contracts::inventory::{CommitRequest, ReservationStatus, ReserveRequest};
use tillstream_domain::coordinates::Coordinates;
use tillstream_domain::quantity::{QuantityInput, Unit};

use crate::fixture::{BY_WEIGHT, Fault, Fixture, LOCATIONS, SKUS, caller, named, put, refusal, request};
use crate::long_reservation_tests::sku;

const A: &str = SKUS[0];
const B: &str = SKUS[1];
const LEEDS: &str = LOCATIONS[0];
const YORK: &str = LOCATIONS[1];
const HULL: &str = LOCATIONS[2];

/// Lines without a location, and how it is chosen.
pub(crate) fn sourced(lines: &[(&str, i64)], sourcing: Value) -> ReserveRequest {
    let lines: Vec<Value> =
        lines.iter().map(|(sku, pieces)| json!({"sku": sku, "quantity": pieces})).collect();
    serde_json::from_value(json!({"lines": lines, "ttl_seconds": 600, "sourcing": sourcing})).unwrap()
}

pub(crate) fn priority(locations: &[&str]) -> Value {
    json!({"policy": "priority", "locations": locations})
}

pub(crate) fn with(mut sourcing: Value, name: &str, value: Value) -> Value {
    sourcing[name] = value;
    sourcing
}

/// Location, SKU and pieces of each line.
pub(crate) fn held(answer: &Answer) -> Vec<(&str, &str, i64)> {
    let pieces = |quantity: &QuantityInput| match quantity {
        QuantityInput::Whole(pieces) => *pieces,
        QuantityInput::Decimal(text) => panic!("{text}"),
    };
    let lines = answer.reservation.lines.iter();
    lines.map(|line| (line.location_id.as_str(), line.sku.as_str(), pieces(&line.quantity))).collect()
}

impl Fixture {
    /// Three cities: Leeds is 35 km from York, Hull 54.
    pub(crate) async fn on_the_map(seed: u64) -> Self {
        let fixture = Fixture::new(seed).await;
        fixture.locate(LEEDS, 53_800_755, -1_549_077).await;
        fixture.locate(YORK, 53_959_965, -1_087_298).await;
        fixture.locate(HULL, 53_745_670, -336_740).await;
        fixture
    }

    async fn locate(&self, id: &str, latitude: i64, longitude: i64) {
        let key = self.scope().location(id);
        let get = Get { table: Table::Catalog, key, consistency: Consistency::Strong };
        let item = self.ports.database.get(get).await.unwrap().unwrap();
        let mut location = location_of(&item).unwrap();
        location.coordinates = Some(Coordinates::new(latitude, longitude).unwrap());
        put(&self.memory, Table::Catalog, location_item(self.scope(), &location).unwrap()).await;
    }

    /// Reserved of a SKU, in pieces, at Leeds, York and Hull.
    pub(crate) async fn reserved(&self, sku: &str) -> [i64; 3] {
        let mut reserved = [0; 3];
        for (at, location_id) in LOCATIONS.into_iter().enumerate() {
            let key = self.scope().stock(location_id, sku);
            let get = Get { table: Table::Stock, key, consistency: Consistency::Strong };
            let item = self.memory.get(get).await.unwrap();
            reserved[at] = item.as_ref().and_then(|item| item.opt_number("reserved")).unwrap_or(0) / 1_000;
        }
        reserved
    }

    pub(crate) fn reservations(&self) -> Vec<Item> {
        let is_of = |item: &Item| item.opt_text("pk").is_some_and(|pk| pk.contains("#reservation#"));
        self.memory.items(Table::Stock).into_iter().filter(is_of).collect()
    }
}

#[tokio::test]
async fn a_priority_list_is_kept_and_the_answer_names_what_was_chosen() {
    let fixture = Fixture::new(1).await;
    fixture.count(LEEDS, A, 2).await;
    fixture.count(YORK, A, 5).await;
    fixture.count(HULL, A, 9).await;
    fixture.count(LEEDS, B, 1).await;
    let all = priority(&[LEEDS, YORK, HULL]);
    // Lines of the same SKU are added up: no one location but York and Hull has five.
    let wanted = sourced(&[(A, 3), (B, 1), (A, 2)], all.clone());
    let made = fixture.reserve("k", &wanted).await.unwrap();
    assert_eq!(held(&made), [(LEEDS, B, 1), (YORK, A, 5)]);
    assert_eq!((fixture.reserved(A).await, fixture.reserved(B).await), ([0, 5, 0], [1, 0, 0]));
    let shown = reservations::get(&fixture.ports, &fixture.caller, &made.reservation.reservation_id).await;
    assert_eq!(shown.unwrap(), made.reservation);

    // The order is the list's, not that of names.
    let made = fixture.reserve("k2", &sourced(&[(A, 2)], priority(&[HULL, LEEDS]))).await.unwrap();
    assert_eq!(held(&made), [(HULL, A, 2)]);
    // Two in Leeds, none in York, seven in Hull: of nine no one has all.
    let refused = fixture.reserve("k3", &sourced(&[(A, 9)], all.clone())).await.unwrap_err();
    assert_eq!(refused.code(), Some("insufficient_stock"));
    let split_lines = with(all, "split_lines", json!(true));
    let made = fixture.reserve("k3", &sourced(&[(A, 9)], split_lines)).await.unwrap();
    assert_eq!(held(&made), [(LEEDS, A, 2), (HULL, A, 7)]);
    assert_eq!(fixture.reserved(A).await, [2, 5, 9]);
    fixture.check_invariants();

    // It is sold and given back as any other; a commit says from where.
    let id = made.reservation.reservation_id;
    let commit = |line: Value| CommitRequest { lines: serde_json::from_value(json!([line])).unwrap() };
    let nowhere = commit(json!({"sku": A, "quantity": 1}));
    let refused =
        reservations::commit(&fixture.ports, &fixture.caller, "c", &id, &nowhere).await.unwrap_err();
    let refused = refusal(refused);
    let told = (refused.errors[0].code.as_str(), refused.errors[0].field.as_str());
    assert_eq!(told, ("location_required", "lines[0].location_id"));
    let some = commit(json!({"location_id": HULL, "sku": A, "quantity": 7}));
    reservations::commit(&fixture.ports, &fixture.caller, "c", &id, &some).await.unwrap();
    reservations::release(&fixture.ports, &fixture.caller, "r", &id).await.unwrap();
    assert_eq!((fixture.reserved(A).await, fixture.stock(HULL, A).await.on_hand), ([0, 5, 2], 2_000));
    fixture.check_invariants();
}

#[tokio::test]
async fn the_nearest_that_has_all_of_it_delivers() {
    let fixture = Fixture::on_the_map(2).await;
    for (location_id, pieces) in [(LEEDS, 3), (YORK, 1), (HULL, 9)] {
        fixture.count(location_id, A, pieces).await;
    }
    let nearest = |near: Value| json!({"policy": "nearest", "locations": LOCATIONS, "near": near});
    // A street in York.
    let at_york = json!({"latitude": 53_961_000, "longitude": -1_080_000});
    for (key, near, pieces, from) in [
        ("k1", at_york.clone(), 1, YORK),
        ("k2", at_york.clone(), 1, LEEDS),
        ("k3", json!({"location_id": YORK}), 2, LEEDS),
        ("k4", at_york, 1, HULL),
    ] {
        let made = fixture.reserve(key, &sourced(&[(A, pieces)], nearest(near))).await.unwrap();
        assert_eq!(held(&made), [(from, A, pieces)], "{key}");
    }
    // Of two as near the first by name, in whatever order they are named.
    fixture.locate(HULL, 53_800_755, -1_549_077).await;
    for location_id in [HULL, LEEDS] {
        fixture.count(location_id, B, 5).await;
    }
    let mut both = nearest(json!({"location_id": HULL}));
    both["locations"] = json!([HULL, LEEDS]);
    assert_eq!(held(&fixture.reserve("k5", &sourced(&[(B, 1)], both)).await.unwrap()), [(LEEDS, B, 1)]);
}

#[tokio::test]
async fn as_few_locations_as_can_be_deliver() {
    let fixture = Fixture::on_the_map(3).await;
    for (location_id, sku) in [(LEEDS, A), (YORK, B), (HULL, A), (HULL, B)] {
        fixture.count(location_id, sku, 5).await;
    }
    let fewest = json!({"policy": "fewest_shipments", "locations": LOCATIONS});
    let made = fixture.reserve("k1", &sourced(&[(A, 2), (B, 2)], fewest.clone())).await.unwrap();
    assert_eq!(held(&made), [(HULL, B, 2), (HULL, A, 2)]);
    // Now Hull has three of each: two locations, the first two.
    let made = fixture.reserve("k2", &sourced(&[(A, 4), (B, 4)], fewest.clone())).await.unwrap();
    assert_eq!(held(&made), [(LEEDS, A, 4), (YORK, B, 4)]);
    // Of sets of one: in the order of the list, or by distance.
    fixture.count(LEEDS, A, 9).await;
    let one = sourced(&[(A, 1)], fewest.clone());
    assert_eq!(held(&fixture.reserve("k3", &one).await.unwrap()), [(LEEDS, A, 1)]);
    let near = with(fewest, "near", json!({"location_id": HULL}));
    let one = sourced(&[(A, 1)], near);
    assert_eq!(held(&fixture.reserve("k4", &one).await.unwrap()), [(HULL, A, 1)]);
}

#[tokio::test]
async fn without_locations_all_in_reach_that_have_stock_are_looked_at() {
    let fixture = Fixture::on_the_map(4).await;
    fixture.count(LEEDS, A, 5).await;
    fixture.count(HULL, A, 5).await;
    // Nobody knows where it is, and it is in no catalogue any more: neither counts.
    fixture.stocked("w-gone", A, StockTarget { on_hand: Some(9_000), ..StockTarget::default() }).await;
    let near_york = json!({"policy": "nearest", "near": {"location_id": YORK}});
    let made = fixture.reserve("k1", &sourced(&[(A, 2)], near_york.clone())).await.unwrap();
    assert_eq!(held(&made), [(LEEDS, A, 2)]);
    // Who reaches only some gets only from there.
    let who = caller("demo", Role::Integration, named(&[YORK, HULL]));
    let request = sourced(&[(A, 2)], near_york.clone());
    let made = reserve::reserve(&fixture.ports, &who, "k2", &request).await.unwrap();
    assert_eq!(held(&made), [(HULL, A, 2)]);
    // One without coordinates comes last.
    fixture.count("s-york", B, 5).await;
    let nowhere = json!({"id": "s-leeds-2", "kind": "store", "name": "x", "time_zone": "Europe/London",
        "currency": "GBP", "business_day_start": "00:00"});
    let nowhere = location_item(fixture.scope(), &serde_json::from_value(nowhere).unwrap()).unwrap();
    put(&fixture.memory, Table::Catalog, nowhere).await;
    fixture.count("s-leeds-2", B, 9).await;
    let made = fixture.reserve("k3", &sourced(&[(B, 5)], near_york.clone())).await.unwrap();
    assert_eq!(held(&made), [(YORK, B, 5)]);
    let made = fixture.reserve("k4", &sourced(&[(B, 5)], near_york.clone())).await.unwrap();
    assert_eq!(held(&made), [("s-leeds-2", B, 5)]);
    // Without distances by name; and nothing anywhere is a plain answer.
    let fewest = json!({"policy": "fewest_shipments"});
    let made = fixture.reserve("k5", &sourced(&[(A, 1)], fewest.clone())).await.unwrap();
    assert_eq!(held(&made), [(LEEDS, A, 1)]);
    let refused = refusal(fixture.reserve("k6", &sourced(&[(SKUS[2], 1)], fewest)).await.unwrap_err());
    assert_eq!(refused.code, "insufficient_stock");
    assert_eq!(
        refused.extra["lines"],
        json!([{"sku": SKUS[2], "requested": 1, "available": 0, "locations": []}])
    );
}

#[tokio::test]
async fn a_thousand_at_once_over_two_locations_get_exactly_what_is_there() {
    for (seed, policy) in [(5, "priority"), (6, "fewest_shipments")] {
        let fixture = Arc::new(Fixture::new(seed).await);
        fixture.count(LEEDS, A, 6).await;
        fixture.count(HULL, A, 4).await;
        // Conflicts and lost answers, so that retries happen too.
        fixture.inject(|n| match n % 23 {
            3 => Fault::Conflict,
            11 => Fault::LostAfter,
            17 => Fault::LostBefore,
            _ => Fault::None,
        });
        let sourcing = json!({"policy": policy, "locations": [LEEDS, HULL]});
        let mut tasks = Vec::new();
        for n in 0..1_000 {
            let (fixture, request) = (fixture.clone(), sourced(&[(A, 1)], sourcing.clone()));
            tasks.push(tokio::spawn(async move { fixture.reserve(&format!("key-{n}"), &request).await }));
        }
        let (mut from_leeds, mut from_hull, mut refused) = (0, 0, 0);
        for task in tasks {
            match task.await.unwrap() {
                Ok(answer) => match held(&answer)[..] {
                    [(LEEDS, A, 1)] => from_leeds += 1,
                    [(HULL, A, 1)] => from_hull += 1,
                    _ => panic!("{answer:?}"),
                },
                Err(error) => {
                    let refusal = refusal(error);
                    assert_eq!(refusal.code, "insufficient_stock");
                    let at = |location_id| json!({"location_id": location_id, "available": 0, "incoming": 0, "expected": []});
                    assert_eq!(
                        refusal.extra["lines"],
                        json!([{"sku": A, "requested": 1, "available": 0, "locations": [at(LEEDS), at(HULL)]}])
                    );
                    refused += 1;
                }
            }
        }
        assert_eq!((from_leeds, from_hull, refused), (6, 4, 990), "{policy}");
        assert_eq!(fixture.reserved(A).await, [6, 0, 4]);
        assert_eq!(fixture.reservations().len(), 10);
        fixture.check_invariants();
    }
}

/// Each wants more than one location has: whoever loses a race takes what is left, or nothing of it.
#[tokio::test]
async fn lines_split_over_locations_are_all_or_none_at_once() {
    for seed in 20..40 {
        let fixture = Arc::new(Fixture::new(seed).await);
        for location_id in LOCATIONS {
            fixture.count(location_id, A, 10).await;
        }
        fixture.inject(move |n| match (n + seed) % 11 {
            3 => Fault::Conflict,
            5 => Fault::LostAfter,
            8 => Fault::LostBefore,
            _ => Fault::None,
        });
        let sourcing = with(priority(&LOCATIONS), "split_lines", json!(true));
        let tasks: Vec<_> = (0..30)
            .map(|n| {
                let (fixture, request) = (fixture.clone(), sourced(&[(A, 7)], sourcing.clone()));
                tokio::spawn(async move { fixture.reserve(&format!("key-{n}"), &request).await })
            })
            .collect();
        let made: Vec<_> = join_all(tasks).await.into_iter().filter_map(|task| task.unwrap().ok()).collect();
        // Thirty pieces in all: four times seven.
        assert_eq!(made.len(), 4, "{seed}");
        assert!(made.iter().all(|made| held(made).iter().map(|(.., pieces)| pieces).sum::<i64>() == 7));
        assert_eq!(fixture.reserved(A).await.iter().sum::<i64>(), 28, "{seed}");
        fixture.check_invariants();
    }
}

#[tokio::test]
async fn the_same_request_at_once_and_again_answers_one_plan() {
    for seed in 40..60 {
        let fixture = Arc::new(Fixture::new(seed).await);
        // Leeds has enough for one: whoever looks after it would plan another location.
        fixture.count(LEEDS, A, 3).await;
        fixture.count(YORK, A, 100).await;
        let request = sourced(&[(A, 3)], priority(&[LEEDS, YORK]));
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let (fixture, request) = (fixture.clone(), request.clone());
                tokio::spawn(async move { fixture.reserve("k", &request).await })
            })
            .collect();
        let answers: Vec<_> = join_all(tasks).await.into_iter().map(|task| task.unwrap().unwrap()).collect();
        let first = answers[0].reservation.clone();
        assert!(answers.iter().all(|answer| answer.reservation == first), "{seed}");
        assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1, "{seed}");
        assert_eq!(fixture.reserved(A).await, [3, 0, 0], "{seed}");

        // Later, when another plan would be made, and after it was given back.
        fixture.count(LEEDS, A, 50).await;
        let id = first.reservation_id.clone();
        reservations::release(&fixture.ports, &fixture.caller, "r", &id).await.unwrap();
        fixture.pass(3_600);
        let again = fixture.reserve("k", &request).await.unwrap();
        assert!(again.replayed && again.reservation == first);
        assert_eq!(again.reservation.status, ReservationStatus::Active, "as it was answered");
        // Another policy is another request.
        for other in [
            sourced(&[(A, 3)], priority(&[YORK, LEEDS])),
            sourced(&[(A, 3)], with(priority(&[LEEDS, YORK]), "split_lines", json!(true))),
            sourced(&[(A, 4)], priority(&[LEEDS, YORK])),
            ReserveRequest { sourcing: None, ..request_at(LEEDS, 3) },
        ] {
            let reused = fixture.reserve("k", &other).await.unwrap_err();
            assert_eq!(reused.code(), Some("idempotency_key_reused"), "{other:?}");
        }
        assert_eq!(fixture.reserved(A).await, [0, 0, 0]);
    }
}

fn request_at(location_id: &str, pieces: i64) -> ReserveRequest {
    request(&[(location_id, A, pieces)], 600)
}

/// One fault at each write, before it or after it: one effect, and the request that had it says so.
#[tokio::test]
async fn one_fault_at_each_write_is_outlived() {
    for fault in
        [Fault::Conflict, Fault::Throttled, Fault::LostBefore, Fault::LostAfter, Fault::ConflictAt(1)]
    {
        let mut met = 0;
        for step in 0..6 {
            let fixture = Fixture::new(70 + step).await;
            fixture.count(LEEDS, A, 2).await;
            fixture.count(YORK, A, 3).await;
            fixture.faulty.writes.store(0, Ordering::SeqCst);
            fixture.inject(move |n| if n == step { fault } else { Fault::None });
            let request = sourced(&[(A, 4)], with(priority(&LOCATIONS), "split_lines", json!(true)));
            let made = fixture.reserve("k", &request).await.unwrap();
            met += u64::from(fixture.faulty.writes.load(Ordering::SeqCst) > step);
            assert!(!made.replayed, "its own write is no replay, step {step}");
            assert_eq!(held(&made), [(LEEDS, A, 2), (YORK, A, 2)]);
            fixture.heal();
            let again = fixture.reserve("k", &request).await.unwrap();
            assert!(again.replayed && again.reservation == made.reservation);
            assert_eq!(fixture.reserved(A).await, [2, 2, 0], "step {step}");
            fixture.check_invariants();
        }
        assert!(met >= 1, "no write met the fault");
    }
}

#[tokio::test]
async fn what_goes_while_it_is_planned_is_planned_anew() {
    let fixture = Fixture::new(7).await;
    fixture.count(LEEDS, A, 3).await;
    fixture.count(YORK, A, 3).await;
    let request = sourced(&[(A, 3)], priority(&[LEEDS, YORK]));
    // Between our look and our write somebody takes one of Leeds.
    fixture.meanwhile(|ports, caller| async move {
        reserve::reserve(&ports, &caller, "theirs", &request_at(LEEDS, 1)).await.unwrap();
    });
    let made = fixture.reserve("k", &request).await.unwrap();
    assert_eq!(held(&made), [(YORK, A, 3)]);
    // And the last of York: now nothing is left, and what is told is as of then.
    let fixture = Fixture::new(8).await;
    fixture.count(YORK, A, 3).await;
    fixture.meanwhile(|ports, caller| async move {
        reserve::reserve(&ports, &caller, "theirs", &request_at(YORK, 2)).await.unwrap();
    });
    let refused = refusal(fixture.reserve("k", &request).await.unwrap_err());
    assert_eq!((refused.code, &refused.extra["lines"][0]["available"]), ("insufficient_stock", &json!(1)));
    // A refusal is not remembered.
    fixture.count(LEEDS, A, 3).await;
    assert_eq!(held(&fixture.reserve("k", &request).await.unwrap()), [(LEEDS, A, 3)]);
}

#[tokio::test]
async fn holds_that_have_expired_are_planned_with_and_freed() {
    let fixture = Fixture::new(9).await;
    fixture.count(LEEDS, A, 3).await;
    fixture.count(YORK, A, 3).await;
    fixture.reserve("theirs", &request(&[(LEEDS, A, 3)], 10)).await.unwrap();
    let wanted = sourced(&[(A, 2)], priority(&[LEEDS, YORK]));
    assert_eq!(held(&fixture.reserve("k1", &wanted).await.unwrap()), [(YORK, A, 2)]);
    fixture.pass(10);
    assert_eq!(held(&fixture.reserve("k2", &wanted).await.unwrap()), [(LEEDS, A, 2)]);
    assert_eq!(fixture.reserved(A).await, [2, 2, 0]);
    fixture.check_invariants();
}

#[tokio::test]
async fn stock_that_is_split_over_parts_is_planned_with_as_one() {
    let fixture = Fixture::new(10).await;
    fixture.count(LEEDS, A, 64).await;
    split(&fixture.ports, fixture.scope(), LEEDS, A, 8).await.unwrap();
    fixture.count(YORK, A, 64).await;
    // More than one part has, and not more than all have.
    let made = fixture.reserve("k", &sourced(&[(A, 60)], priority(&[LEEDS, YORK]))).await.unwrap();
    assert_eq!(held(&made), [(LEEDS, A, 60)]);
    let made = fixture.reserve("k2", &sourced(&[(A, 5)], priority(&[LEEDS, YORK]))).await.unwrap();
    assert_eq!(held(&made), [(YORK, A, 5)]);
}

#[tokio::test]
async fn the_refusal_tells_what_is_where_and_what_is_coming() {
    let fixture = Fixture::new(11).await;
    fixture.count(LEEDS, A, 2).await;
    fixture.count(YORK, A, 3).await;
    fixture.count(LEEDS, B, 9).await;
    let target = StockTarget { on_hand: Some(0), unit: Some(Unit::Piece), ..StockTarget::default() };
    fixture.stocked(HULL, A, target).await;
    let supplier = crate::purchase_order_tests::supplier("sup-1", 0);
    let item = tillstream_app::catalog::suppliers::supplier_item(fixture.scope(), &supplier).unwrap();
    put(&fixture.memory, Table::Catalog, item).await;
    let at = "2027-01-05T08:00:00Z";
    fixture.environment.set("2027-01-01T08:00:00Z".parse().unwrap());
    let order = json!({"supplier_id": "sup-1", "location_id": HULL, "expected_at": at,
        "lines": [{"sku": A, "quantity": 7}]});
    let order = serde_json::from_value(order).unwrap();
    place::place(&fixture.ports, &fixture.caller, "po", &order).await.unwrap();
    let before = fixture.memory.items(Table::Stock);
    let all = priority(&[HULL, LEEDS, YORK]);
    for split_lines in [false, true] {
        let sourcing = with(all.clone(), "split_lines", json!(split_lines));
        let wanted = sourced(&[(B, 1), (A, 4), (A, 2)], sourcing);
        let refused = refusal(fixture.reserve("k", &wanted).await.unwrap_err());
        assert_eq!(refused.code, "insufficient_stock");
        let fields: Vec<_> = refused.errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["lines[1].quantity"], "only what is short is told");
        assert_eq!(
            refused.extra["lines"],
            json!([{"sku": A, "requested": 6, "available": 5, "locations": [
                {"location_id": YORK, "available": 3, "incoming": 0, "expected": []},
                {"location_id": LEEDS, "available": 2, "incoming": 0, "expected": []},
                {"location_id": HULL, "available": 0, "incoming": 7,
                    "expected": [{"quantity": 7, "at": at}]},
            ]}])
        );
    }
    assert_eq!(fixture.memory.items(Table::Stock), before, "a refusal changes nothing");
}

#[tokio::test]
async fn more_than_one_transaction_takes_is_sourced_too() {
    // A hundred products in Leeds, ten of them in York too.
    let fixture = Fixture::with_shelf(12, 100, 5).await;
    for n in 0..10 {
        fixture.count(YORK, &sku(n), 5).await;
    }
    let skus: Vec<String> = (0..60).map(sku).collect();
    let lines: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 2)).collect();
    let request = sourced(&lines, priority(&[YORK, LEEDS]));
    let made = fixture.reserve("k", &request).await.unwrap();
    let from = |location_id: &str| held(&made).iter().filter(|(at, ..)| *at == location_id).count();
    assert_eq!((from(YORK), from(LEEDS)), (10, 50));
    let again = fixture.reserve("k", &request).await.unwrap();
    assert!(again.replayed && again.reservation == made.reservation);
    fixture.check_invariants();
    // One of them short everywhere: nothing is held.
    let all: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 4)).collect();
    let before = fixture.reservations().len();
    let refused = refusal(fixture.reserve("k2", &sourced(&all, priority(&[LEEDS]))).await.unwrap_err());
    // Of the first ten Leeds has all five left, of the others three.
    assert_eq!((refused.code, refused.errors.len()), ("insufficient_stock", 50));
    assert_eq!(fixture.reservations().len(), before);
    let id = made.reservation.reservation_id;
    reservations::release(&fixture.ports, &fixture.caller, "r", &id).await.unwrap();
    assert_eq!(fixture.stock(LEEDS, &sku(30)).await.reserved, 0);
    fixture.check_invariants();
}

/// A long one that loses a race is planned anew as a whole.
#[tokio::test]
async fn a_long_one_whose_stock_goes_is_planned_anew() {
    let fixture = Fixture::with_shelf(13, 60, 5).await;
    for n in 0..60 {
        fixture.count(YORK, &sku(n), 5).await;
    }
    let skus: Vec<String> = (0..60).map(sku).collect();
    let lines: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 3)).collect();
    let last = skus[59].clone();
    fixture.meanwhile(move |ports, caller| async move {
        let theirs = request(&[(LEEDS, last.as_str(), 4)], 600);
        reserve::reserve(&ports, &caller, "theirs", &theirs).await.unwrap();
    });
    let made = fixture.reserve("k", &sourced(&lines, priority(&[LEEDS, YORK]))).await.unwrap();
    let from_york: Vec<_> = held(&made).into_iter().filter(|(at, ..)| *at == YORK).collect();
    assert_eq!(from_york, [(YORK, skus[59].as_str(), 3)]);
    assert_eq!(fixture.stock(LEEDS, &skus[0]).await.reserved, 3_000);
    fixture.check_invariants();
}

#[tokio::test]
async fn what_is_not_valid_is_refused_with_its_code_and_changes_nothing() {
    let fixture = Fixture::on_the_map(14).await;
    fixture.count(LEEDS, A, 10).await;
    let nowhere = json!({"id": "s-nowhere", "kind": "store", "name": "x", "time_zone": "Europe/London",
        "currency": "GBP", "business_day_start": "00:00"});
    let nowhere = location_item(fixture.scope(), &serde_json::from_value(nowhere).unwrap()).unwrap();
    put(&fixture.memory, Table::Catalog, nowhere).await;
    let before = fixture.memory.items(Table::Stock);
    let one = |sourcing: Value| sourced(&[(A, 1)], sourcing);
    let near = |near: Value| one(json!({"policy": "nearest", "locations": [LEEDS], "near": near}));
    let named = |count: usize| -> Vec<String> { (0..count).map(|n| format!("l-{n}")).collect() };
    let many: Vec<String> = (0..41).map(sku).collect();
    let many: Vec<(&str, i64)> = many.iter().map(|sku| (sku.as_str(), 1)).collect();
    let with_location = ReserveRequest { sourcing: one(priority(&[LEEDS])).sourcing, ..request_at(LEEDS, 1) };
    let neither = ReserveRequest { sourcing: None, ..one(priority(&[LEEDS])) };
    for (bad, code, field) in [
        (neither, "location_required", "lines[0].location_id"),
        (with_location, "location_not_allowed", "lines[0].location_id"),
        (one(json!({"policy": "priority"})), "locations_required", "sourcing.locations"),
        (
            sourced(&many[..11], json!({"policy": "fewest_shipments"})),
            "locations_required",
            "sourcing.locations",
        ),
        (one(priority(&[])), "locations_out_of_range", "sourcing.locations"),
        (
            one(json!({"policy": "priority", "locations": named(51)})),
            "locations_out_of_range",
            "sourcing.locations",
        ),
        (one(priority(&[LEEDS, YORK, LEEDS])), "location_repeated", "sourcing.locations[2]"),
        (one(priority(&[LEEDS, "s leeds"])), "location_id_malformed", "sourcing.locations[1]"),
        (
            sourced(&many, json!({"policy": "priority", "locations": named(50)})),
            "sourcing_too_large",
            "sourcing.locations",
        ),
        (
            one(with(priority(&[LEEDS]), "near", json!({"location_id": LEEDS}))),
            "near_not_allowed",
            "sourcing.near",
        ),
        (one(json!({"policy": "nearest", "locations": [LEEDS]})), "near_required", "sourcing.near"),
        (near(json!({})), "near_malformed", "sourcing.near"),
        (near(json!({"latitude": 0})), "near_malformed", "sourcing.near"),
        (near(json!({"longitude": 0})), "near_malformed", "sourcing.near"),
        (
            near(json!({"location_id": LEEDS, "latitude": 0, "longitude": 0})),
            "near_malformed",
            "sourcing.near",
        ),
        (near(json!({"location_id": "a b"})), "location_id_malformed", "sourcing.near.location_id"),
        (
            near(json!({"latitude": 90_000_001, "longitude": 0})),
            "latitude_out_of_range",
            "sourcing.near.latitude",
        ),
        (
            near(json!({"latitude": 0, "longitude": -180_000_001})),
            "longitude_out_of_range",
            "sourcing.near.longitude",
        ),
        (
            near(json!({"location_id": "s-nowhere"})),
            "location_without_coordinates",
            "sourcing.near.location_id",
        ),
        (
            one(
                json!({"policy": "nearest", "locations": [LEEDS, "s-nowhere"], "near": {"location_id": YORK}}),
            ),
            "location_without_coordinates",
            "sourcing.locations[1]",
        ),
        (sourced(&[("NOSUCH", 1)], priority(&[LEEDS])), "sku_unknown", "lines[0].sku"),
        (sourced(&[(A, 1), ("SERVICE", 1)], priority(&[LEEDS])), "sku_not_stocked", "lines[1].sku"),
        (sourced(&[(A, 0)], priority(&[LEEDS])), "quantity_invalid", "lines[0].quantity"),
        (sourced(&[(A, 600_000), (A, 600_000)], priority(&[LEEDS])), "quantity_invalid", "lines[1].quantity"),
        (sourced(&[(BY_WEIGHT, 1)], priority(&[LEEDS])), "quantity_invalid", "lines[0].quantity"),
        (sourced(&[], priority(&[LEEDS])), "lines_out_of_range", "lines"),
    ] {
        let refused = refusal(fixture.reserve("k", &bad).await.unwrap_err());
        let told = (refused.errors[0].code.as_str(), refused.errors[0].field.as_str());
        assert_eq!(told, (code, field), "{bad:?}");
    }
    let code = |error: Error| refusal(error).code;
    // A location that is named and is not there.
    for missing in [one(priority(&[LEEDS, "s-none"])), near(json!({"location_id": "s-none"}))] {
        assert_eq!(code(fixture.reserve("k", &missing).await.unwrap_err()), "location_not_found");
    }
    // Out of reach, as a candidate or as where distances begin.
    let who = caller("demo", Role::Cashier, named_stores(&[LEEDS]));
    for beyond in [one(priority(&[LEEDS, YORK])), near(json!({"location_id": YORK}))] {
        let refused = reserve::reserve(&fixture.ports, &who, "k", &beyond).await.unwrap_err();
        assert_eq!(code(refused), "store_out_of_reach", "{beyond:?}");
    }
    // What is no sourcing at all is refused where it is read.
    for malformed in [
        json!({"policy": "cheapest", "locations": [LEEDS]}),
        json!({"locations": [LEEDS]}),
        json!({"policy": "priority", "locations": LEEDS}),
        json!({"policy": "priority", "locations": [LEEDS], "spilt_lines": true}),
        json!({"policy": "nearest", "near": {"latitude": 53.8, "longitude": 0}}),
    ] {
        let body = json!({"lines": [{"sku": A, "quantity": 1}], "ttl_seconds": 60, "sourcing": malformed});
        assert!(serde_json::from_value::<ReserveRequest>(body.clone()).is_err(), "{body}");
    }
    assert_eq!(fixture.memory.items(Table::Stock), before);
    // What is just within bounds is taken.
    let at_bounds = near(json!({"latitude": -90_000_000, "longitude": 180_000_000}));
    assert_eq!(held(&fixture.reserve("k", &at_bounds).await.unwrap()), [(LEEDS, A, 1)]);
    let other_tenant = caller("other", Role::Operator, Stores::All);
    let theirs = reserve::reserve(&fixture.ports, &other_tenant, "k", &one(priority(&[LEEDS]))).await;
    assert_eq!(code(theirs.unwrap_err()), "location_not_found", "another tenant's locations are its own");
}

fn named_stores(stores: &[&str]) -> Stores {
    named(stores)
}

/// A day of many who source, name locations, let their holds end and give them back: never more is held than there is.
#[tokio::test]
async fn random_histories_never_hold_more_than_there_is() {
    for seed in 100..130 {
        let fixture = Arc::new(Fixture::on_the_map(seed).await);
        for location_id in LOCATIONS {
            for sku in [A, B] {
                let pieces = i64::try_from(1 + fixture.environment.random() % 8).unwrap();
                fixture.count(location_id, sku, pieces).await;
            }
        }
        fixture.inject(move |n| match (n + seed) % 13 {
            2 => Fault::Conflict,
            6 => Fault::LostAfter,
            9 => Fault::LostBefore,
            _ => Fault::None,
        });
        for round in 0..4 {
            let tasks: Vec<_> = (0..12)
                .map(|n| {
                    let fixture = fixture.clone();
                    tokio::spawn(async move {
                        let roll = |most: u64| fixture.environment.random() % most;
                        let pieces = i64::try_from(1 + roll(4)).unwrap();
                        let sourcing = match roll(3) {
                            0 => priority(&LOCATIONS),
                            1 => json!({"policy": "nearest", "near": {"location_id": YORK}}),
                            _ => json!({"policy": "fewest_shipments", "locations": LOCATIONS}),
                        };
                        let sourcing = with(sourcing, "split_lines", json!(roll(2) == 0));
                        let mut wanted = sourced(&[(A, pieces), (B, 1)], sourcing);
                        wanted.ttl_seconds = i64::try_from(1 + roll(40)).unwrap();
                        let key = format!("{round}-{n}");
                        let first = fixture.reserve(&key, &wanted).await;
                        match first {
                            Ok(made) => {
                                let again = fixture.reserve(&key, &wanted).await.unwrap();
                                assert_eq!(again.reservation, made.reservation);
                                if roll(3) == 0 {
                                    let id = &made.reservation.reservation_id;
                                    let _ =
                                        reservations::release(&fixture.ports, &fixture.caller, "r", id).await;
                                }
                            }
                            Err(error) => assert_eq!(error.code(), Some("insufficient_stock"), "{error}"),
                        }
                    })
                })
                .collect();
            for task in join_all(tasks).await {
                task.unwrap();
            }
            fixture.check_invariants();
            for location_id in LOCATIONS {
                for sku in [A, B] {
                    let stock = fixture.stock(location_id, sku).await;
                    assert!(stock.available >= 0, "{seed}: {stock:?}");
                }
            }
            fixture.pass(15);
        }
    }
}
