//! Chains of hundreds of locations: what is in reach is found wherever it stands in the order of ids, and where there
//! is more than can be looked at nothing is chosen.

use serde_json::{Value, json};
use tillstream_app::catalog::items::location_item;
use tillstream_app::database::Table;
use tillstream_app::stock::counters::StockTarget;
use tillstream_app::stock::reserve;
use tillstream_app::tenancy::Role;
use tillstream_domain::coordinates::Coordinates;
use tillstream_domain::location::Location;

use crate::fixture::{Fixture, SKUS, caller, named, put, refusal, request};
use crate::sourcing_tests::{held, sourced};

const A: &str = SKUS[0];
const B: &str = SKUS[1];

fn id(n: i64) -> String {
    format!("s-{n:03}")
}

impl Fixture {
    async fn lies(&self, location_id: &str, sku: &str, pieces: i64) {
        let target = StockTarget { on_hand: Some(pieces * 1_000), ..StockTarget::default() };
        self.stocked(location_id, sku, target).await;
    }

    /// Five hundred locations, one north of the other, each with a stock item of A: of these s-010 has nine pieces,
    /// s-450 has five, and all others nothing.
    async fn chain(seed: u64) -> Self {
        let fixture = Fixture::new(seed).await;
        for n in 1..=500 {
            let location = json!({"id": id(n), "kind": "store", "name": "x", "time_zone": "Europe/London",
                "currency": "GBP", "business_day_start": "00:00"});
            let mut location: Location = serde_json::from_value(location).unwrap();
            location.coordinates = Some(Coordinates::new(50_000_000 + n * 1_000, 0).unwrap());
            put(&fixture.memory, Table::Catalog, location_item(fixture.scope(), &location).unwrap()).await;
            let pieces = match n {
                10 => 9,
                450 => 5,
                _ => 0,
            };
            fixture.lies(&id(n), A, pieces).await;
        }
        fixture
    }
}

/// From the place of a location of the chain.
fn near(n: i64) -> Value {
    json!({"policy": "nearest", "near": {"latitude": 50_000_000 + n * 1_000, "longitude": 0}})
}

#[tokio::test]
async fn a_token_gets_from_what_it_reaches_wherever_that_stands() {
    let fixture = Fixture::chain(1).await;
    let who = caller("demo", Role::Integration, named(&["s-450"]));
    let made = reserve::reserve(&fixture.ports, &who, "k", &sourced(&[(A, 2)], near(1))).await.unwrap();
    assert_eq!(held(&made), [("s-450", A, 2)]);
    // And it is told what is there, and of no other.
    let refused = reserve::reserve(&fixture.ports, &who, "k2", &sourced(&[(A, 4)], near(1))).await;
    let refused = refusal(refused.unwrap_err());
    let line = &refused.extra["lines"][0];
    assert_eq!(line["available"], 3);
    assert_eq!(line["locations"].as_array().unwrap().len(), 1);
    fixture.check_invariants();
}

#[tokio::test]
async fn the_nearest_of_five_hundred_is_the_nearest() {
    let fixture = Fixture::chain(2).await;
    let made = fixture.reserve("k", &sourced(&[(A, 2)], near(449))).await.unwrap();
    assert_eq!(held(&made), [("s-450", A, 2)]);
    // Of six only one has as many.
    let made = fixture.reserve("k2", &sourced(&[(A, 6)], near(449))).await.unwrap();
    assert_eq!(held(&made), [("s-010", A, 6)]);
    fixture.check_invariants();
}

#[tokio::test]
async fn a_refusal_tells_of_what_is_elsewhere_wherever_that_stands() {
    let fixture = Fixture::chain(3).await;
    let wanted = request(&[("s-001", A, 1)], 60);
    let elsewhere = |error| refusal(error).extra["lines"][0]["elsewhere"].clone();
    let all = fixture.reserve("k", &wanted).await.unwrap_err();
    assert_eq!(
        elsewhere(all),
        json!([{"location_id": "s-010", "available": 9}, {"location_id": "s-450", "available": 5}])
    );
    let who = caller("demo", Role::Integration, named(&["s-001", "s-450"]));
    let some = reserve::reserve(&fixture.ports, &who, "k", &wanted).await.unwrap_err();
    assert_eq!(elsewhere(some), json!([{"location_id": "s-450", "available": 5}]));
}

/// Thousands that have nothing are in nobody's way; of thousands that have some nobody says which is the nearest.
#[tokio::test]
async fn where_more_have_stock_than_are_looked_at_locations_are_to_be_named() {
    let fixture = Fixture::chain(4).await;
    for n in 0..1_600 {
        fixture.lies(&format!("x-{n:04}"), A, 0).await;
        fixture.lies(&format!("x-{n:04}"), B, 1).await;
    }
    // 2,100 have an item of A, of which two have any.
    let made = fixture.reserve("k", &sourced(&[(A, 1)], near(449))).await.unwrap();
    assert_eq!(held(&made), [("s-450", A, 1)]);
    // 1,602 have some of either: times two more than is planned with.
    let before = fixture.memory.last_change(Table::Stock);
    let refused = fixture.reserve("k2", &sourced(&[(A, 1), (B, 1)], near(449))).await;
    let refused = refusal(refused.unwrap_err());
    let told = (refused.errors[0].code.as_str(), refused.errors[0].field.as_str());
    assert_eq!(told, ("locations_required", "sourcing.locations"));
    assert_eq!(fixture.memory.last_change(Table::Stock), before, "nothing was written");
    // With those that may be chosen there is a plan.
    let mut sourcing = near(449);
    sourcing["locations"] = json!(["s-450"]);
    let made = fixture.reserve("k2", &sourced(&[(A, 1)], sourcing)).await.unwrap();
    assert_eq!(held(&made), [("s-450", A, 1)]);
}
