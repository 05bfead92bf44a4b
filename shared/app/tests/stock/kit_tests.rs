//! Kits: what there is of them, and what reserving them holds of their components, all or none.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::json;
use tillstream_app::Error;
use tillstream_app::catalog::items::product_item;
use tillstream_app::database::{Database, Table, Write};
use tillstream_app::stock::counters::StockTarget;
use tillstream_app::stock::reserve::{Answer, LINES_MAX};
use tillstream_app::stock::split::{self, LaidOut};
use tillstream_app::stock::standing::standing;
use tillstream_app::stock::{expiry, read, reservations, transfers, update};
use tillstream_contracts::inventory::{
    CommitRequest, ExtendRequest, ReservationStatus, StockLevel, StockListQuery, StockUpdateKind,
    StockUpdateRequest,
};
use tillstream_contracts::transfers::{TransferLineRequest, TransferRequest};
use tillstream_domain::kit::KitComponent;
use tillstream_domain::product::Product;
use tillstream_domain::quantity::QuantityInput;

use crate::fixture::{BY_WEIGHT, Fault, Fixture, SKUS, product, put, refusal, request};
use crate::lot_concurrency_tests::SEEDS;

const SHOP: &str = "s-leeds";
const A: &str = SKUS[0];
const B: &str = SKUS[1];
const KIT: &str = "KIT";

fn whole(pieces: i64) -> QuantityInput {
    QuantityInput::Whole(pieces)
}

fn measured(text: &str) -> QuantityInput {
    QuantityInput::Decimal(text.to_owned())
}

fn kit_of(sku: &str, components: &[(&str, QuantityInput)]) -> Product {
    let component = |(sku, quantity): &(&str, QuantityInput)| KitComponent {
        sku: (*sku).into(),
        quantity: quantity.clone(),
    };
    Product { components: components.iter().map(component).collect(), ..product(sku) }
}

impl Fixture {
    pub(crate) async fn catalogued(&self, product: &Product) {
        put(&self.memory, Table::Catalog, product_item(self.scope(), product).unwrap()).await;
    }

    pub(crate) async fn kit(&self, sku: &str, components: &[(&str, i64)]) {
        let components: Vec<_> = components.iter().map(|(sku, pieces)| (*sku, whole(*pieces))).collect();
        self.catalogued(&kit_of(sku, &components)).await;
    }

    async fn of_kit(&self, location_id: &str, sku: &str) -> StockLevel {
        read::one(&self.ports, &self.caller, location_id, sku).await.unwrap()
    }

    /// On hand and reserved over all parts, in pieces; no part may be out of order.
    async fn over_all_parts(&self, sku: &str) -> (i64, i64) {
        let found = standing(self.memory.as_ref(), self.scope(), SHOP, sku, 0).await.unwrap().unwrap();
        for part in found.parts() {
            assert!(part.available >= 0 && part.on_hand >= 0 && part.reserved >= 0, "{found:?}");
            assert_eq!(part.available, part.on_hand - part.reserved, "{found:?}");
        }
        let total = found.total();
        (total.on_hand / 1_000, total.reserved / 1_000)
    }

    async fn commit_lines(&self, key: &str, id: &str, lines: &[(&str, i64)]) -> Result<Answer, Error> {
        let lines: Vec<_> = lines.iter().map(|(sku, pieces)| (SHOP, *sku, *pieces)).collect();
        let part = CommitRequest::from(request(&lines, 1).lines);
        reservations::commit(&self.ports, &self.caller, key, id, &part).await
    }
}

fn figures(level: &StockLevel) -> (bool, &QuantityInput, &QuantityInput, &QuantityInput) {
    (level.kit, &level.on_hand, &level.reserved, &level.available)
}

#[tokio::test]
async fn there_are_as_many_kits_as_the_components_make() {
    let fixture = Fixture::new(301).await;
    let tea = [(A, whole(2)), (B, whole(1)), (BY_WEIGHT, measured("0.125")), ("SERVICE", whole(1))];
    fixture.catalogued(&kit_of(KIT, &tea)).await;
    let none = read::one(&fixture.ports, &fixture.caller, SHOP, KIT).await.unwrap_err();
    assert_eq!(none.code(), Some("stock_not_found"), "none of it has stock anywhere");
    fixture.count(SHOP, A, 9).await;
    assert_eq!(figures(&fixture.of_kit(SHOP, KIT).await), (true, &whole(0), &whole(0), &whole(0)));
    fixture.count(SHOP, B, 7).await;
    let grams =
        StockTarget { on_hand: Some(375), unit: Some(product(BY_WEIGHT).unit), ..StockTarget::default() };
    fixture.stocked(SHOP, BY_WEIGHT, grams).await;
    // 9 of A make 4, 7 of B 7, 0.375 kg make 3.
    let level = fixture.of_kit(SHOP, KIT).await;
    assert_eq!(figures(&level), (true, &whole(3), &whole(0), &whole(3)));
    assert_eq!((&level.incoming, &level.damaged, &level.reorder_point), (&whole(0), &whole(0), &whole(0)));
    // What is held of a component is missing for kits, until the hold has ended.
    let held = request(&[(SHOP, A, 5)], 60);
    fixture.reserve("k", &held).await.unwrap();
    let now = fixture.of_kit(SHOP, KIT).await;
    assert_eq!(figures(&now), (true, &whole(3), &whole(1), &whole(2)));
    assert!(now.version > level.version, "a change of a component is one of the kit");
    fixture.pass(60);
    assert_eq!(figures(&fixture.of_kit(SHOP, KIT).await), (true, &whole(3), &whole(0), &whole(3)));
    // What is no kit is as ever.
    assert!(!fixture.of_kit(SHOP, A).await.kit);
}

#[tokio::test]
async fn kits_are_listed_where_they_can_be() {
    let fixture = Fixture::new(302).await;
    fixture.kit(KIT, &[(A, 1), (B, 2)]).await;
    for (location, of_a, of_b) in [(SHOP, 3, 4), ("s-york", 5, 5), ("w-hull", 1, 100)] {
        fixture.count(location, A, of_a).await;
        fixture.count(location, B, of_b).await;
    }
    let told = |items: &[StockLevel]| -> Vec<(String, QuantityInput)> {
        items.iter().map(|level| (level.location_id.clone(), level.available.clone())).collect()
    };
    let all = [(SHOP, 2), ("s-york", 2), ("w-hull", 1)].map(|(id, kits)| (id.to_owned(), whole(kits)));
    let page = read::of_sku(&fixture.ports, &fixture.caller, KIT, None, None).await.unwrap();
    assert_eq!(told(&page.items), all);
    assert!(page.items.iter().all(|level| level.kit && level.sku == KIT) && page.next_cursor.is_none());
    // Page by page it is the same.
    let (mut items, mut cursor) = (Vec::new(), None);
    loop {
        let query =
            StockListQuery { sku: Some(KIT.into()), limit: Some(1), cursor, ..StockListQuery::default() };
        let page = read::list(&fixture.ports, &fixture.caller, &query).await.unwrap();
        assert!(page.items.len() <= 1);
        items.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(told(&items), all);
    // Nobody orders a kit, so it is never below the point where to; nor is it among what lies at a location.
    for (below, count) in [(true, 0), (false, 1)] {
        let query = StockListQuery {
            sku: Some(KIT.into()),
            location_id: Some(SHOP.into()),
            below_reorder_point: Some(below),
            ..StockListQuery::default()
        };
        assert_eq!(read::list(&fixture.ports, &fixture.caller, &query).await.unwrap().items.len(), count);
        let query = StockListQuery { location_id: None, ..query };
        let found = read::list(&fixture.ports, &fixture.caller, &query).await.unwrap();
        assert_eq!(found.items.len(), count * 3);
    }
    let there = read::of_location(&fixture.ports, &fixture.caller, SHOP, None, None).await.unwrap();
    assert_eq!(there.items.iter().map(|level| level.sku.as_str()).collect::<Vec<_>>(), [B, A]);
    // A list is no moment behind holds that have ended.
    fixture.reserve("k", &request(&[(SHOP, A, 3)], 10)).await.unwrap();
    let page = read::of_sku(&fixture.ports, &fixture.caller, KIT, None, None).await.unwrap();
    assert_eq!(page.items[0].available, whole(0));
    fixture.pass(10);
    let page = read::of_sku(&fixture.ports, &fixture.caller, KIT, None, None).await.unwrap();
    assert_eq!(page.items[0].available, whole(2));
}

#[tokio::test]
async fn a_kit_has_no_stock_of_its_own() {
    let fixture = Fixture::new(303).await;
    fixture.kit(KIT, &[(A, 1)]).await;
    fixture.count(SHOP, A, 5).await;
    let before = fixture.memory.items(Table::Stock);
    for (kind, quantity) in
        [(StockUpdateKind::Set, 5), (StockUpdateKind::Delta, 1), (StockUpdateKind::Delta, -1)]
    {
        let request = StockUpdateRequest {
            location_id: SHOP.into(),
            sku: KIT.into(),
            kind,
            quantity: whole(quantity),
            reason: "count".into(),
            expected_version: None,
            lot: None,
            expires_on: None,
        };
        let refused = update::update(&fixture.ports, &fixture.caller, "u", &request, |_| Ok(())).await;
        let refused = refusal(refused.unwrap_err());
        assert_eq!((refused.code, refused.errors[0].field.as_str()), ("sku_is_a_kit", "sku"));
    }
    let transfer = TransferRequest {
        transfer_id: None,
        from_location_id: SHOP.into(),
        to_location_id: "w-hull".into(),
        lines: [A, KIT].map(|sku| TransferLineRequest { sku: sku.into(), quantity: whole(1) }).into(),
        note: None,
    };
    let refused = transfers::ship::ship(&fixture.ports, &fixture.caller, "t", &transfer).await;
    let refused = refusal(refused.unwrap_err());
    assert_eq!((refused.code, refused.errors[0].field.as_str()), ("sku_is_a_kit", "lines[1].sku"));
    assert_eq!(fixture.memory.items(Table::Stock), before, "nothing changed");
}

#[tokio::test]
async fn a_kit_that_cannot_be_made_is_refused_and_there_is_none_of_it() {
    let fixture = Fixture::new(304).await;
    fixture.count(SHOP, A, 5).await;
    fixture.count(SHOP, B, 5).await;
    fixture.kit("OTHER", &[(B, 1)]).await;
    fixture.kit("RING", &[("RING", 1)]).await;
    fixture.kit("RING A", &[("RING B", 1), (A, 1)]).await;
    fixture.kit("RING B", &[("RING A", 1), (A, 1)]).await;
    fixture.kit("GONE", &[(A, 1), ("NOBODY KNOWS", 1)]).await;
    fixture.kit("NESTED", &[(A, 1), ("OTHER", 1)]).await;
    fixture.catalogued(&kit_of("UNFIT", &[(A, measured("0.5"))])).await;
    fixture.catalogued(&kit_of("UNSTOCKED", &[("SERVICE", whole(1))])).await;
    fixture.catalogued(&Product { sellable: false, ..product("SHIRT") }).await;
    let before = fixture.memory.items(Table::Stock);
    for (sku, code) in [
        ("RING", "kit_component_is_a_kit"),
        ("RING A", "kit_component_is_a_kit"),
        ("NESTED", "kit_component_is_a_kit"),
        ("GONE", "kit_component_unknown"),
        ("UNFIT", "kit_component_quantity"),
        ("UNSTOCKED", "sku_not_stocked"),
        ("SHIRT", "variant_required"),
        ("NOBODY KNOWS", "sku_unknown"),
    ] {
        let refused = fixture.reserve(sku, &request(&[(SHOP, A, 1), (SHOP, sku, 1)], 60)).await.unwrap_err();
        let refused = refusal(refused);
        assert_eq!((refused.code, refused.errors[0].field.as_str()), (code, "lines[1].sku"), "{sku}");
    }
    assert_eq!(fixture.memory.items(Table::Stock), before, "nothing changed");
    for sku in ["RING A", "NESTED", "GONE", "UNFIT"] {
        assert_eq!(fixture.of_kit(SHOP, sku).await.available, whole(0), "{sku}");
    }
    for sku in ["RING", "UNSTOCKED"] {
        let none = read::one(&fixture.ports, &fixture.caller, SHOP, sku).await.unwrap_err();
        assert_eq!(none.code(), Some("stock_not_found"), "{sku}");
        let page = read::of_sku(&fixture.ports, &fixture.caller, sku, None, None).await.unwrap();
        assert!(page.items.is_empty(), "{sku}");
    }
    // The component arrives, and the kit is what it says.
    fixture.catalogued(&product("NOBODY KNOWS")).await;
    fixture.count(SHOP, "NOBODY KNOWS", 2).await;
    assert_eq!(fixture.of_kit(SHOP, "GONE").await.available, whole(2));
    fixture.reserve("k", &request(&[(SHOP, "GONE", 2)], 60)).await.unwrap();
}

#[tokio::test]
async fn what_is_held_of_components_is_added_up() {
    let fixture = Fixture::new(305).await;
    fixture.kit(KIT, &[(A, 2), (B, 1)]).await;
    fixture.kit("OTHER", &[(A, 1)]).await;
    fixture.count(SHOP, A, 20).await;
    fixture.count(SHOP, B, 20).await;
    let wanted = request(&[(SHOP, KIT, 2), (SHOP, A, 3), (SHOP, "OTHER", 1), (SHOP, KIT, 1)], 60);
    let made = fixture.reserve("k", &wanted).await.unwrap();
    let lines: Vec<_> = made.reservation.lines.iter().map(|l| (l.sku.as_str(), l.quantity.clone())).collect();
    assert_eq!(lines, [(B, whole(3)), (A, whole(10))]);
    let shown = serde_json::to_value(&made.reservation.kits).unwrap();
    assert_eq!(
        shown,
        json!([
            {"location_id": SHOP, "sku": KIT, "quantity": 3, "committed": 0,
             "components": [{"sku": A, "quantity": 2}, {"sku": B, "quantity": 1}]},
            {"location_id": SHOP, "sku": "OTHER", "quantity": 1, "committed": 0,
             "components": [{"sku": A, "quantity": 1}]},
        ])
    );
    fixture.check_invariants();
    // Whatever becomes of the kit, a repetition answers the same.
    fixture.kit(KIT, &[(B, 9)]).await;
    let again = fixture.reserve("k", &wanted).await.unwrap();
    assert!(again.replayed && again.reservation == made.reservation);
    let id = &made.reservation.reservation_id;
    assert_eq!(reservations::get(&fixture.ports, &fixture.caller, id).await.unwrap(), made.reservation);
    // What was reserved without kits is told as it was.
    let plain = fixture.reserve("p", &request(&[(SHOP, A, 1)], 60)).await.unwrap();
    assert!(!serde_json::to_string(&plain.reservation).unwrap().contains("kits"));
    let items = fixture.memory.items(Table::Stock);
    let header =
        items.iter().find(|item| item.opt_text("reservation_id") == Some(&plain.reservation.reservation_id));
    assert!(header.unwrap().get("kits").is_none());
}

#[tokio::test]
async fn all_kits_or_none_and_the_refusal_names_kit_and_component() {
    let fixture = Fixture::new(306).await;
    fixture.kit(KIT, &[(A, 2), (B, 1)]).await;
    fixture.kit("OTHER", &[(A, 1)]).await;
    fixture.count(SHOP, A, 6).await;
    fixture.count(SHOP, B, 9).await;
    fixture.count("w-hull", A, 40).await;
    let short = request(&[(SHOP, B, 1), (SHOP, KIT, 3), (SHOP, "OTHER", 1)], 60);
    let refused = refusal(fixture.reserve("k", &short).await.unwrap_err());
    assert_eq!(refused.code, "insufficient_stock");
    assert_eq!(refused.errors[0].field, "lines[1].quantity");
    assert_eq!(
        refused.extra["lines"],
        json!([{"location_id": SHOP, "sku": A, "requested": 7, "available": 6, "incoming": 0, "expected": [],
            "elsewhere": [{"location_id": "w-hull", "available": 40}], "kits": [KIT, "OTHER"]}])
    );
    assert_eq!((fixture.stock(SHOP, A).await.reserved, fixture.stock(SHOP, B).await.reserved), (0, 0));
    // The same key may succeed later.
    fixture.count(SHOP, A, 7).await;
    fixture.reserve("k", &short).await.unwrap();
    assert_eq!((fixture.stock(SHOP, A).await.available, fixture.stock(SHOP, B).await.available), (0, 5_000));
    fixture.check_invariants();
}

/// Of kits it is their components that count: few kits may be of many, and many of few.
#[tokio::test]
async fn what_one_transaction_takes_counts_components() {
    let fixture = Fixture::new(307).await;
    let names: Vec<String> = (0..LINES_MAX).map(|n| format!("C-{n:02}")).collect();
    for sku in &names {
        fixture.catalogued(&product(sku)).await;
        fixture.count(SHOP, sku, 100).await;
    }
    let kit = |from: usize, count: usize| -> Vec<(&str, i64)> {
        names[from..from + count].iter().map(|sku| (sku.as_str(), 1)).collect()
    };
    for (n, from) in [0, 20].into_iter().enumerate() {
        fixture.kit(&format!("BIG-{n}"), &kit(from, 20)).await;
    }
    fixture.kit("REST", &kit(40, LINES_MAX - 40)).await;
    let all = [(SHOP, "BIG-0", 1), (SHOP, "BIG-1", 1), (SHOP, "REST", 1)];
    let made = fixture.reserve("k", &request(&all, 60)).await.unwrap();
    assert_eq!(made.reservation.lines.len(), LINES_MAX);
    // Sixty different kits of the same two products are two pairs.
    let kits: Vec<String> = (0..60).map(|n| format!("SMALL-{n:02}")).collect();
    for (n, sku) in kits.iter().enumerate() {
        fixture.kit(sku, &kit(n % 2, 1)).await;
    }
    let many: Vec<_> = kits.iter().map(|sku| (SHOP, sku.as_str(), 1)).collect();
    let made = fixture.reserve("m", &request(&many, 60)).await.unwrap();
    assert_eq!((made.reservation.lines.len(), made.reservation.kits.len()), (2, 60));
    let chunks = fixture.memory.items(Table::Stock);
    assert!(!chunks.iter().any(|item| item.opt_text("sk").is_some_and(|sk| sk.starts_with("chunk#"))));
    fixture.check_invariants();
}

#[tokio::test]
async fn kits_are_committed_in_part_and_what_is_held_for_them_stays_theirs() {
    use ReservationStatus::{Active, Committed};
    let fixture = Fixture::new(308).await;
    fixture.kit(KIT, &[(A, 2), (B, 1)]).await;
    fixture.count(SHOP, A, 20).await;
    fixture.count(SHOP, B, 20).await;
    let made = fixture.reserve("k", &request(&[(SHOP, KIT, 3), (SHOP, A, 4)], 600)).await.unwrap();
    let id = made.reservation.reservation_id;
    // Whatever the kit is by now, what was reserved is committed.
    fixture.kit(KIT, &[(B, 7)]).await;
    let told = |answer: &Answer| {
        let lines = answer.reservation.lines.iter().map(|line| line.committed.clone()).collect::<Vec<_>>();
        (answer.reservation.status, lines, answer.reservation.kits[0].committed.clone())
    };
    // The 4 of A that were asked for by themselves, and not the 6 for kits.
    let above = refusal(fixture.commit_lines("c", &id, &[(A, 5)]).await.unwrap_err());
    assert_eq!(above.code, "commit_above_held");
    assert_eq!(above.extra["lines"][0]["held"], 4);
    let above = refusal(fixture.commit_lines("c", &id, &[(B, 1)]).await.unwrap_err());
    assert_eq!((above.code, &above.extra["lines"][0]["held"]), ("commit_above_held", &json!(0)));
    let above = refusal(fixture.commit_lines("c", &id, &[(KIT, 2), (KIT, 2)]).await.unwrap_err());
    assert_eq!(above.code, "commit_above_held");
    let line =
        json!([{"field": "lines[1].quantity", "location_id": SHOP, "sku": KIT, "requested": 4, "held": 3}]);
    assert_eq!(above.extra["lines"], line);
    assert_eq!(
        (fixture.stock(SHOP, A).await.on_hand, fixture.stock(SHOP, A).await.reserved),
        (20_000, 10_000)
    );

    let first = fixture.commit_lines("c1", &id, &[(KIT, 1), (A, 1)]).await.unwrap();
    assert_eq!(told(&first), (Active, vec![whole(1), whole(3)], whole(1)));
    let (a, b) = (fixture.stock(SHOP, A).await, fixture.stock(SHOP, B).await);
    assert_eq!((a.on_hand, a.reserved, b.on_hand, b.reserved), (17_000, 7_000, 19_000, 2_000));
    fixture.check_invariants();
    let longer = ExtendRequest { ttl_seconds: 900 };
    let extended = reservations::extend(&fixture.ports, &fixture.caller, "x", &id, &longer).await.unwrap();
    assert_eq!(told(&extended), told(&first));
    let second = fixture.commit_lines("c2", &id, &[(A, 3)]).await.unwrap();
    assert_eq!(told(&second), (Active, vec![whole(1), whole(6)], whole(1)));
    let last = fixture.commit_lines("c3", &id, &[(KIT, 2)]).await.unwrap();
    assert_eq!(told(&last), (Committed, vec![whole(3), whole(10)], whole(3)));
    let (a, b) = (fixture.stock(SHOP, A).await, fixture.stock(SHOP, B).await);
    assert_eq!((a.on_hand, a.reserved, b.on_hand, b.reserved), (10_000, 0, 17_000, 0));
    // Each answers again what it answered, whatever came after it.
    for (key, lines, answer) in
        [("c1", vec![(KIT, 1), (A, 1)], &first), ("c2", vec![(A, 3)], &second), ("c3", vec![(KIT, 2)], &last)]
    {
        let again = fixture.commit_lines(key, &id, &lines).await.unwrap();
        assert!(again.replayed);
        assert_eq!(again.reservation, answer.reservation, "{key}");
    }
    fixture.check_invariants();
}

#[tokio::test]
async fn kits_are_released_and_expire_as_their_components() {
    let fixture = Fixture::new(309).await;
    fixture.kit(KIT, &[(A, 2), (B, 1)]).await;
    fixture.count(SHOP, A, 10).await;
    fixture.count(SHOP, B, 10).await;
    let kits = request(&[(SHOP, KIT, 5)], 60);
    let id = fixture.reserve("k", &kits).await.unwrap().reservation.reservation_id;
    let released = reservations::release(&fixture.ports, &fixture.caller, "r", &id).await.unwrap();
    assert_eq!(released.reservation.status, ReservationStatus::Released);
    assert_eq!((fixture.stock(SHOP, A).await.reserved, fixture.stock(SHOP, B).await.reserved), (0, 0));
    let id = fixture.reserve("l", &kits).await.unwrap().reservation.reservation_id;
    assert!(fixture.reserve("m", &request(&[(SHOP, KIT, 1)], 60)).await.is_err());
    fixture.pass(60);
    // Who needs it frees it; who commits it is told.
    fixture.reserve("m", &request(&[(SHOP, KIT, 1)], 60)).await.unwrap();
    let late =
        reservations::commit(&fixture.ports, &fixture.caller, "c", &id, &CommitRequest::default()).await;
    assert_eq!(late.unwrap_err().code(), Some("reservation_expired"));
    fixture.pass(60);
    let now = fixture.ports.environment.now();
    expiry::sweep_expired(&fixture.ports, now, Timestamp::MAX).await.unwrap();
    assert_eq!((fixture.stock(SHOP, A).await.reserved, fixture.stock(SHOP, B).await.reserved), (0, 0));
    fixture.check_invariants();
}

#[tokio::test]
async fn the_same_kits_at_once_and_again_are_held_once() {
    let fixture = Arc::new(Fixture::new(310).await);
    fixture.kit(KIT, &[(A, 2), (B, 1)]).await;
    fixture.count(SHOP, A, 20).await;
    fixture.count(SHOP, B, 10).await;
    fixture.inject(|n| match n % 7 {
        1 => Fault::LostAfter,
        4 => Fault::Conflict,
        _ => Fault::None,
    });
    let wanted = request(&[(SHOP, KIT, 10)], 60);
    let answers = join_all((0..20).map(|_| fixture.reserve("k", &wanted))).await;
    let first = answers[0].as_ref().unwrap().reservation.clone();
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().reservation == first));
    assert_eq!(answers.iter().filter(|answer| !answer.as_ref().unwrap().replayed).count(), 1);
    assert_eq!(
        (fixture.stock(SHOP, A).await.reserved, fixture.stock(SHOP, B).await.reserved),
        (20_000, 10_000)
    );
    fixture.check_invariants();
}

/// How a component that many kits share lies while a thousand want it.
#[derive(Clone, Copy, PartialEq)]
enum Lies {
    Whole,
    /// Split over parts from the beginning; others merge and split it all the time.
    Split,
}

/// Kits of one to three of a component of which there are ten, each with something of its own, beside those who
/// want the component itself: a thousand at once. What is held is exactly what those got who were told so, and
/// who was refused could not have had it.
async fn a_thousand_at_once(seed: u64, lies: Lies) {
    const SHARED: &str = "SHARED";
    let fixture = Arc::new(Fixture::new(seed).await);
    fixture.catalogued(&product(SHARED)).await;
    fixture.count(SHOP, SHARED, 10).await;
    fixture.count(SHOP, A, 5_000).await;
    fixture.count(SHOP, B, 5_000).await;
    // What each request takes of the shared one, of A and of B.
    let kinds: [(&str, [i64; 3]); 5] = [
        ("K-1", [1, 2, 0]),
        ("K-2", [2, 0, 1]),
        ("K-3", [3, 1, 1]),
        ("K-1B", [1, 0, 3]),
        (SHARED, [1, 0, 0]),
    ];
    for (sku, takes) in kinds.iter().filter(|(sku, _)| *sku != SHARED) {
        let components: Vec<(&str, i64)> =
            [SHARED, A, B].into_iter().zip(*takes).filter(|(_, pieces)| *pieces > 0).collect();
        fixture.kit(sku, &components).await;
    }
    if lies == Lies::Split {
        let laid_out = split::split(&fixture.ports, fixture.scope(), SHOP, SHARED, 4).await.unwrap();
        assert!(matches!(laid_out, LaidOut::Now(_)), "{laid_out:?}");
    }
    fixture.inject(move |n| match (n + seed) % 23 {
        3 => Fault::Conflict,
        11 => Fault::LostAfter,
        17 => Fault::LostBefore,
        _ => Fault::None,
    });
    let layouts = (lies == Lies::Split).then(|| {
        let fixture = fixture.clone();
        tokio::spawn(async move {
            for n in 0..40 {
                tokio::task::yield_now().await;
                // Lost races are among it: all that matters is that nothing is lost with them.
                let _ = match n % 2 {
                    0 => split::merge(&fixture.ports, fixture.scope(), SHOP, SHARED).await,
                    _ => split::split(&fixture.ports, fixture.scope(), SHOP, SHARED, 2 + n % 7).await,
                };
            }
        })
    });
    let tasks: Vec<_> = (0..1_000_usize)
        .map(|n| {
            let fixture = fixture.clone();
            let (sku, takes) = kinds[(n * 7 + usize::try_from(seed).unwrap()) % kinds.len()];
            tokio::spawn(async move {
                loop {
                    // As a client does: what is safe to repeat is repeated.
                    match fixture.reserve(&format!("key-{n}"), &request(&[(SHOP, sku, 1)], 900)).await {
                        Err(Error::Retryable { .. } | Error::Conflict(_)) => {}
                        answer => return (takes, answer),
                    }
                }
            })
        })
        .collect();
    let mut held = [0_i64; 3];
    let mut refused = BTreeMap::<i64, u32>::new();
    for task in tasks {
        let (takes, answer) = task.await.unwrap();
        match answer {
            Ok(_) => held.iter_mut().zip(takes).for_each(|(sum, taken)| *sum += taken),
            Err(error) => {
                let refusal = refusal(error);
                assert_eq!(
                    (refusal.code, &refusal.extra["lines"][0]["sku"]),
                    ("insufficient_stock", &json!(SHARED))
                );
                *refused.entry(takes[0]).or_default() += 1;
            }
        }
    }
    if let Some(layouts) = layouts {
        layouts.await.unwrap();
    }
    fixture.heal();
    let left = 10 - held[0];
    assert!(left >= 0, "seed {seed}: {held:?}");
    // Nothing is given back here, so who was refused met less than was wanted, and less is there now.
    assert!(refused.keys().all(|wanted| *wanted > left), "seed {seed}: {left} left, refused {refused:?}");
    assert_eq!(left, 0, "seed {seed}: hundreds wanted one");
    assert_eq!(fixture.over_all_parts(SHARED).await, (10, held[0]), "seed {seed}");
    assert_eq!(fixture.over_all_parts(A).await, (5_000, held[1]), "seed {seed}");
    assert_eq!(fixture.over_all_parts(B).await, (5_000, held[2]), "seed {seed}");
}

#[tokio::test]
async fn a_thousand_kits_at_once_get_exactly_what_their_shared_component_makes() {
    for seed in 0..SEEDS {
        a_thousand_at_once(seed, Lies::Whole).await;
    }
}

#[tokio::test]
async fn a_thousand_kits_at_once_get_exactly_what_is_there_while_it_is_split_and_merged() {
    for seed in SEEDS..2 * SEEDS {
        a_thousand_at_once(seed, Lies::Split).await;
    }
}

/// Of ten units there are ten, five, three, two, one or no kits, however many want one, while conflicts, timeouts and
/// lost answers come in between; in parts it is as many.
#[tokio::test]
async fn a_thousand_of_a_kit_are_as_many_as_ten_units_make() {
    for (n, takes) in [1, 2, 3, 4, 5, 6, 10, 11].into_iter().enumerate() {
        for parts in [None, Some(3)] {
            let fixture = Arc::new(Fixture::new(400 + n as u64).await);
            fixture.kit(KIT, &[(A, takes), (B, 1)]).await;
            fixture.count(SHOP, A, 10).await;
            fixture.count(SHOP, B, 2_000).await;
            if let Some(parts) = parts {
                split::split(&fixture.ports, fixture.scope(), SHOP, A, parts).await.unwrap();
            }
            fixture.inject(|n| match n % 29 {
                5 => Fault::Conflict,
                12 => Fault::LostAfter,
                19 => Fault::LostBefore,
                26 => Fault::Throttled,
                _ => Fault::None,
            });
            let one = async |fixture: Arc<Fixture>, n: usize| {
                loop {
                    match fixture.reserve(&format!("key-{n}"), &request(&[(SHOP, KIT, 1)], 900)).await {
                        Err(Error::Retryable { .. } | Error::Conflict(_)) => {}
                        answer => return answer,
                    }
                }
            };
            let tasks = (0..1_000).map(|n| one(fixture.clone(), n));
            let mut held = 0;
            for answer in join_all(tasks).await {
                match answer {
                    Ok(_) => held += 1,
                    Err(error) => assert_eq!(refusal(error).code, "insufficient_stock"),
                }
            }
            fixture.heal();
            assert_eq!(held, 10 / takes, "{takes} of ten, {parts:?}");
            assert_eq!(fixture.over_all_parts(A).await, (10, held * takes));
            assert_eq!(fixture.over_all_parts(B).await, (2_000, held));
        }
    }
}

/// What a kit is made of goes, and comes back as something else: what is held stays held, and the kit is told to be
/// impossible until it is right.
#[tokio::test]
async fn a_component_that_is_gone_later_stops_the_kit_and_not_what_is_held() {
    let fixture = Fixture::new(311).await;
    fixture.kit(KIT, &[(A, 2), (B, 1)]).await;
    fixture.count(SHOP, A, 10).await;
    fixture.count(SHOP, B, 10).await;
    let one_kit = request(&[(SHOP, KIT, 1)], 600);
    let id = fixture.reserve("k", &one_kit).await.unwrap().reservation.reservation_id;
    assert_eq!(fixture.of_kit(SHOP, KIT).await.available, whole(4));
    let delete = Write::Delete { table: Table::Catalog, key: fixture.scope().product(B), condition: None };
    fixture.memory.write(delete).await.unwrap();
    assert_eq!(fixture.of_kit(SHOP, KIT).await.available, whole(0));
    let page = read::of_sku(&fixture.ports, &fixture.caller, KIT, None, None).await.unwrap();
    assert_eq!(figures(&page.items[0]), (true, &whole(0), &whole(0), &whole(0)));
    let before = fixture.memory.items(Table::Stock);
    let refused = refusal(fixture.reserve("l", &one_kit).await.unwrap_err());
    assert_eq!((refused.code, refused.errors[0].field.as_str()), ("kit_component_unknown", "lines[0].sku"));
    assert!(refused.errors[0].message.contains(B), "{refused:?}");
    assert_eq!(fixture.memory.items(Table::Stock), before);
    // What is held is sold as it was held.
    fixture.commit_lines("c", &id, &[(KIT, 1)]).await.unwrap();
    assert_eq!((fixture.stock(SHOP, A).await.on_hand, fixture.stock(SHOP, B).await.on_hand), (8_000, 9_000));
    // It is sold by weight now, and so no piece of it makes a kit; then it is what it was.
    fixture.catalogued(&Product { unit: product(BY_WEIGHT).unit, ..product(B) }).await;
    let refused = refusal(fixture.reserve("l", &one_kit).await.unwrap_err());
    assert_eq!(refused.code, "kit_component_quantity");
    fixture.catalogued(&product(B)).await;
    assert_eq!(fixture.of_kit(SHOP, KIT).await.available, whole(4));
    fixture.reserve("l", &one_kit).await.unwrap();
    fixture.check_invariants();
}
