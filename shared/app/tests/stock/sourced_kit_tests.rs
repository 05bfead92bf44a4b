//! Kits whose locations are chosen: each kit wholly from one location, split by whole kits only, and never two lines of
//! the same goods.

use std::sync::Arc;

use futures::future::join_all;
use serde_json::{Value, json};
use tillstream_app::catalog::items::location_item;
use tillstream_app::database::Table;
use tillstream_app::stock::counters::StockTarget;
use tillstream_app::stock::reserve::Answer;
use tillstream_app::stock::{reservations, reserve};
use tillstream_contracts::inventory::CommitRequest;
use tillstream_domain::product::Product;
use tillstream_domain::quantity::{QuantityInput, Unit};

use crate::fixture::{Fault, Fixture, LOCATIONS, SKUS, product, put, refusal, request};
use crate::long_reservation_tests::sku;
use crate::sourcing_tests::{held, priority, sourced, with};

const A: &str = SKUS[0];
/// Comes before `A` in the order of SKUs.
const B: &str = SKUS[1];
const LEEDS: &str = LOCATIONS[0];
const YORK: &str = LOCATIONS[1];
const HULL: &str = LOCATIONS[2];
const KIT: &str = "KIT";

/// Location, SKU and number of each kit of a reservation.
fn kits(answer: &Answer) -> Vec<(&str, &str, i64)> {
    let kits = answer.reservation.kits.iter();
    kits.map(|kit| match &kit.quantity {
        QuantityInput::Whole(pieces) => (kit.location_id.as_str(), kit.sku.as_str(), *pieces),
        QuantityInput::Decimal(text) => panic!("{text}"),
    })
    .collect()
}

fn split(sourcing: Value) -> Value {
    with(sourcing, "split_lines", json!(true))
}

fn commit(lines: Value) -> CommitRequest {
    CommitRequest { lines: serde_json::from_value(lines).unwrap() }
}

/// So much of each of two components at Leeds, York and Hull.
async fn stocked(fixture: &Fixture, stock: [(i64, i64); 3]) {
    for (location_id, (of_a, of_b)) in LOCATIONS.into_iter().zip(stock) {
        fixture.count(location_id, A, of_a).await;
        fixture.count(location_id, B, of_b).await;
    }
}

#[tokio::test]
async fn all_components_of_a_kit_come_from_one_location() {
    let fixture = Fixture::new(501).await;
    fixture.kit(KIT, &[(A, 2), (B, 1)]).await;
    stocked(&fixture, [(9, 0), (0, 9), (4, 3)]).await;
    let before = fixture.memory.items(Table::Stock);
    // Mugs here and tins there make no kit, also where lines may be split.
    for sourcing in [priority(&[LEEDS, YORK]), split(priority(&[LEEDS, YORK]))] {
        let refused = refusal(fixture.reserve("k", &sourced(&[(KIT, 1)], sourcing)).await.unwrap_err());
        assert_eq!(
            (refused.code, refused.errors[0].field.as_str()),
            ("insufficient_stock", "lines[0].quantity")
        );
        let none = |location_id: &str| json!({"location_id": location_id, "available": 0, "incoming": 0, "expected": []});
        assert_eq!(
            refused.extra["lines"],
            json!([{"sku": KIT, "requested": 1, "available": 0, "locations": [none(LEEDS), none(YORK)]}])
        );
    }
    assert_eq!(fixture.memory.items(Table::Stock), before, "a refusal changes nothing");
    let wanted = sourced(&[(KIT, 1), (KIT, 1)], priority(&LOCATIONS));
    let made = fixture.reserve("k", &wanted).await.unwrap();
    assert_eq!((held(&made), kits(&made)), (vec![(HULL, B, 2), (HULL, A, 4)], vec![(HULL, KIT, 2)]));
    let again = fixture.reserve("k", &wanted).await.unwrap();
    assert!(again.replayed && again.reservation == made.reservation);
    let id = made.reservation.reservation_id;
    let shown = reservations::get(&fixture.ports, &fixture.caller, &id).await.unwrap();
    assert_eq!(shown, again.reservation);
    // From there it goes on as any other.
    let one = commit(json!([{"location_id": HULL, "sku": KIT, "quantity": 1}]));
    reservations::commit(&fixture.ports, &fixture.caller, "c", &id, &one).await.unwrap();
    assert_eq!((fixture.reserved(A).await, fixture.reserved(B).await), ([0, 0, 2], [0, 0, 1]));
    reservations::release(&fixture.ports, &fixture.caller, "r", &id).await.unwrap();
    assert_eq!(
        (fixture.stock(HULL, A).await.available, fixture.stock(HULL, B).await.available),
        (2_000, 2_000)
    );
    fixture.check_invariants();
}

#[tokio::test]
async fn kits_are_split_by_whole_kits() {
    for (seed, sourcing, pieces, from) in [
        // Two and a half kits' worth of one component are two kits.
        (502, priority(&LOCATIONS), 7, vec![(LEEDS, KIT, 2), (YORK, KIT, 1), (HULL, KIT, 4)]),
        (
            503,
            json!({"policy": "fewest_shipments", "locations": LOCATIONS}),
            6,
            vec![(LEEDS, KIT, 2), (HULL, KIT, 4)],
        ),
        (
            504,
            json!({"policy": "nearest", "near": {"location_id": HULL}}),
            5,
            vec![(YORK, KIT, 1), (HULL, KIT, 4)],
        ),
    ] {
        let fixture = Fixture::on_the_map(seed).await;
        fixture.kit(KIT, &[(A, 2), (B, 1)]).await;
        stocked(&fixture, [(5, 3), (9, 1), (8, 9)]).await;
        let of = |pieces: i64| sourced(&[(KIT, pieces)], split(sourcing.clone()));
        let short = refusal(fixture.reserve("k", &of(8)).await.unwrap_err());
        assert_eq!(short.extra["lines"][0]["available"], json!(7), "{sourcing}");
        let whole = sourced(&[(KIT, pieces)], sourcing.clone());
        assert_eq!(fixture.reserve("k", &whole).await.unwrap_err().code(), Some("insufficient_stock"));
        let made = fixture.reserve("k", &of(pieces)).await.unwrap();
        assert_eq!(kits(&made), from, "{sourcing}");
        let lines: Vec<_> =
            from.iter().flat_map(|(at, _, kits)| [(*at, B, *kits), (*at, A, kits * 2)]).collect();
        assert_eq!(held(&made), lines, "{sourcing}");
        fixture.check_invariants();
    }
}

/// A kit, and by itself what it is made of: what one line takes is not there for another.
#[tokio::test]
async fn goods_that_two_lines_want_are_counted_once() {
    let both = |sourcing: Value| sourced(&[(A, 1), (KIT, 1)], sourcing);
    for sourcing in [priority(&LOCATIONS), json!({"policy": "fewest_shipments", "locations": LOCATIONS})] {
        let fixture = Fixture::new(505).await;
        fixture.kit(KIT, &[(A, 1), (B, 1)]).await;
        stocked(&fixture, [(1, 1), (0, 5), (1, 0)]).await;
        // The kit is made in Leeds only: what stands there by itself comes from Hull.
        let made = fixture.reserve("k", &both(sourcing.clone())).await.unwrap();
        assert_eq!(held(&made), [(LEEDS, B, 1), (LEEDS, A, 1), (HULL, A, 1)]);
        assert_eq!(kits(&made), [(LEEDS, KIT, 1)]);
        fixture.check_invariants();

        // Each could be had, and not both: both are told, and nothing is held.
        let fixture = Fixture::new(506).await;
        fixture.kit(KIT, &[(A, 1), (B, 1)]).await;
        stocked(&fixture, [(1, 1), (0, 5), (0, 0)]).await;
        let refused = refusal(fixture.reserve("k", &both(sourcing.clone())).await.unwrap_err());
        let told: Vec<_> = refused.errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(
            (refused.code, told),
            ("insufficient_stock", vec!["lines[0].quantity", "lines[1].quantity"])
        );
        assert!(refused.errors[1].message.contains("beside what other lines take"), "{refused:?}");
        assert_eq!(fixture.reserved(A).await, [0, 0, 0]);

        // Enough of it in one place: the lines of one stock item are one.
        fixture.count(LEEDS, A, 2).await;
        let made = fixture.reserve("k", &both(sourcing)).await.unwrap();
        assert_eq!(held(&made), [(LEEDS, B, 1), (LEEDS, A, 2)]);
        fixture.check_invariants();
    }
}

#[tokio::test]
async fn kits_of_more_components_than_one_transaction_takes_are_sourced_too() {
    const PER_KIT: usize = 20;
    let names = ["BIG-0", "BIG-1", "BIG-2"];
    let shop = async |seed: u64| {
        let fixture = Fixture::with_shelf(seed, names.len() * PER_KIT, 10).await;
        for (n, name) in names.into_iter().enumerate() {
            let parts: Vec<String> = (n * PER_KIT..(n + 1) * PER_KIT).map(sku).collect();
            let parts: Vec<(&str, i64)> = parts.iter().map(|sku| (sku.as_str(), 2)).collect();
            fixture.kit(name, &parts).await;
        }
        for n in 0..PER_KIT {
            fixture.count(YORK, &sku(n), 10).await;
        }
        fixture
    };
    let wanted = sourced(&names.map(|name| (name, 3)), priority(&[YORK, LEEDS]));
    let fixture = shop(507).await;
    let made = fixture.reserve("k", &wanted).await.unwrap();
    assert_eq!(made.reservation.lines.len(), names.len() * PER_KIT);
    assert_eq!(kits(&made), [(LEEDS, names[1], 3), (LEEDS, names[2], 3), (YORK, names[0], 3)]);
    let again = fixture.reserve("k", &wanted).await.unwrap();
    assert!(again.replayed && again.reservation == made.reservation);
    let id = made.reservation.reservation_id;
    let some = commit(json!([{"location_id": LEEDS, "sku": names[1], "quantity": 2}]));
    reservations::commit(&fixture.ports, &fixture.caller, "c", &id, &some).await.unwrap();
    reservations::release(&fixture.ports, &fixture.caller, "r", &id).await.unwrap();
    for (location_id, n, left) in [(LEEDS, PER_KIT, 6_000), (LEEDS, 2 * PER_KIT, 10_000), (YORK, 0, 10_000)] {
        let stock = fixture.stock(location_id, &sku(n)).await;
        assert_eq!((stock.on_hand, stock.reserved), (left, 0), "{location_id} {n}");
    }
    fixture.check_invariants();

    // One component goes while it is held, and there is no other location: nothing of it stays held.
    let fixture = shop(508).await;
    fixture.meanwhile(|ports, caller| async move {
        let theirs = request(&[(LEEDS, &sku(PER_KIT), 9)], 600);
        reserve::reserve(&ports, &caller, "theirs", &theirs).await.unwrap();
    });
    let refused = refusal(fixture.reserve("k", &wanted).await.unwrap_err());
    let fields: Vec<_> = refused.errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!((refused.code, fields), ("insufficient_stock", vec!["lines[1].quantity"]));
    for (location_id, n) in [(LEEDS, PER_KIT + 1), (LEEDS, 2 * PER_KIT), (YORK, 0)] {
        assert_eq!(fixture.stock(location_id, &sku(n)).await.reserved, 0, "{location_id} {n}");
    }
    assert_eq!(fixture.reservations().len(), 1, "theirs");
    fixture.check_invariants();
}

/// As many as there are, wherever they can be made, and never one more: with conflicts and lost answers, and sent twice.
#[tokio::test]
async fn many_kits_at_once_get_exactly_what_can_be_made() {
    for (seed, policy) in [(509, "priority"), (510, "fewest_shipments")] {
        let fixture = Arc::new(Fixture::new(seed).await);
        fixture.kit(KIT, &[(A, 2), (B, 1)]).await;
        // Three, none, and four.
        stocked(&fixture, [(7, 9), (9, 0), (20, 4)]).await;
        fixture.inject(|n| match n % 19 {
            3 => Fault::Conflict,
            11 => Fault::LostAfter,
            16 => Fault::LostBefore,
            _ => Fault::None,
        });
        let wanted = sourced(&[(KIT, 1)], json!({"policy": policy, "locations": LOCATIONS}));
        let tasks: Vec<_> = (0..300)
            .map(|n| {
                let (fixture, wanted) = (fixture.clone(), wanted.clone());
                tokio::spawn(async move { fixture.reserve(&format!("key-{}", n % 150), &wanted).await })
            })
            .collect();
        let mut made = Vec::new();
        for task in join_all(tasks).await {
            match task.unwrap() {
                Ok(answer) => made.push(answer.reservation.reservation_id),
                Err(error) => assert_eq!(error.code(), Some("insufficient_stock"), "{error}"),
            }
        }
        made.sort();
        made.dedup();
        assert_eq!(made.len(), 7, "{policy}");
        assert_eq!(
            (fixture.reserved(A).await, fixture.reserved(B).await),
            ([6, 0, 8], [3, 0, 4]),
            "{policy}"
        );
        fixture.check_invariants();
    }
}

#[tokio::test]
async fn what_is_not_valid_of_kits_is_refused_and_changes_nothing() {
    let fixture = Fixture::with_shelf(511, 40, 1).await;
    stocked(&fixture, [(9, 9), (9, 9), (9, 9)]).await;
    let shelf: Vec<String> = (0..40).map(sku).collect();
    let parts = |from: usize, count: usize| -> Vec<(&str, i64)> {
        shelf[from..from + count].iter().map(|sku| (sku.as_str(), 1)).collect()
    };
    fixture.kit(KIT, &[(A, 1), (B, 1)]).await;
    fixture.kit("OF UNKNOWN", &[(A, 1), ("NOSUCH", 1)]).await;
    fixture.kit("OF A KIT", &[(KIT, 1)]).await;
    fixture.kit("OF NOTHING", &[("SERVICE", 1)]).await;
    fixture.kit("OF MANY", &[(A, 10_000)]).await;
    fixture.kit("OF ELEVEN", &parts(0, 11)).await;
    fixture.kit("FIRST TWENTY", &parts(0, 20)).await;
    fixture.kit("NEXT TWENTY", &parts(20, 20)).await;
    fixture.catalogued(&Product { sellable: false, ..product("SHIRT") }).await;
    // Each of one component, of which there is one in each of three locations: three of each are 105 pairs.
    let single: Vec<String> = (0..35).map(|n| format!("ONE-{n:02}")).collect();
    for (name, part) in single.iter().zip(&shelf) {
        fixture.kit(name, &[(part.as_str(), 1)]).await;
        for location_id in [YORK, HULL] {
            let target =
                StockTarget { on_hand: Some(1_000), unit: Some(Unit::Piece), ..StockTarget::default() };
            fixture.stocked(location_id, part, target).await;
        }
    }
    let three_of_each: Vec<(&str, i64)> = single.iter().map(|name| (name.as_str(), 3)).collect();
    let names: Vec<String> = (0..101).map(|n| format!("N-{n:03}")).collect();
    for name in &names {
        fixture.kit(name, &[(A, 1)]).await;
    }
    let of_names: Vec<(&str, i64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let fifty = &names[..50];
    for name in fifty {
        let place = json!({"id": name, "kind": "store", "name": name, "time_zone": "Europe/London",
            "currency": "GBP", "business_day_start": "00:00"});
        let place = location_item(fixture.scope(), &serde_json::from_value(place).unwrap()).unwrap();
        put(&fixture.memory, Table::Catalog, place).await;
    }
    let here = |lines: &[(&str, i64)]| sourced(lines, priority(&[LEEDS]));
    let before = fixture.memory.items(Table::Stock);
    for (wanted, code, field) in [
        (here(&[(B, 1), ("OF UNKNOWN", 1)]), "kit_component_unknown", "lines[1].sku"),
        (here(&[("OF A KIT", 1)]), "kit_component_is_a_kit", "lines[0].sku"),
        (here(&[("OF NOTHING", 1)]), "sku_not_stocked", "lines[0].sku"),
        (here(&[("SHIRT", 1)]), "variant_required", "lines[0].sku"),
        (here(&[(KIT, 0)]), "quantity_invalid", "lines[0].quantity"),
        // A hundred are made of a million pieces; of more there is no such quantity, in one line or two.
        (here(&[("OF MANY", 101)]), "quantity_invalid", "lines[0].quantity"),
        (here(&[(A, 1), ("OF MANY", 100)]), "quantity_invalid", "lines[1].quantity"),
        // Components count as what is looked for, and looked at.
        (
            sourced(&[("OF ELEVEN", 1)], json!({"policy": "fewest_shipments"})),
            "locations_required",
            "sourcing.locations",
        ),
        (
            sourced(
                &[("FIRST TWENTY", 1), ("NEXT TWENTY", 1), (KIT, 1)],
                json!({"policy": "fewest_shipments", "locations": fifty}),
            ),
            "sourcing_too_large",
            "sourcing.locations",
        ),
        (here(&of_names), "too_many_kits", "lines"),
        (sourced(&three_of_each, split(priority(&LOCATIONS))), "too_many_kits", "lines"),
    ] {
        let refused = refusal(fixture.reserve("k", &wanted).await.unwrap_err());
        let told = (refused.errors[0].code.as_str(), refused.errors[0].field.as_str());
        assert_eq!(told, (code, field), "{wanted:?}");
    }
    assert_eq!(fixture.memory.items(Table::Stock), before);
    // Without locations its components are looked for, and it is made where they are.
    let anywhere = sourced(&[(KIT, 1)], json!({"policy": "fewest_shipments"}));
    assert_eq!(kits(&fixture.reserve("k", &anywhere).await.unwrap()), [(LEEDS, KIT, 1)]);
}
