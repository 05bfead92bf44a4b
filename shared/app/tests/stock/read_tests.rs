//! Lists: complete, each item once, filtered, within reach.

use std::collections::BTreeSet;

use tillstream_app::database::{Database, Table, Write};
use tillstream_app::stock::counters::{Movement, StockTarget, stock_set};
use tillstream_app::stock::listing::{Among, stock_names};
use tillstream_app::stock::read;
use tillstream_app::tenancy::{Caller, Role, Stores};
use tillstream_contracts::inventory::{StockLevelPage, StockListQuery};
use tillstream_domain::quantity::QuantityInput;

use crate::fixture::{Fixture, LOCATIONS, SKUS, caller, named};

async fn full() -> Fixture {
    let fixture = Fixture::new(1).await;
    let mut pieces = 0;
    for location_id in LOCATIONS {
        for sku in SKUS {
            pieces += 1;
            fixture.count(location_id, sku, pieces).await;
        }
    }
    fixture
}

/// Every page of a list, checking that each item comes once and pages are within the limit.
async fn all_pages(fixture: &Fixture, who: &Caller, query: &StockListQuery) -> BTreeSet<(String, String)> {
    let mut seen = BTreeSet::new();
    let mut query = query.clone();
    loop {
        let page = read::list(&fixture.ports, who, &query).await.unwrap();
        assert!(page.items.len() <= usize::try_from(query.limit.unwrap_or(50)).unwrap());
        for item in page.items {
            assert!(seen.insert((item.location_id, item.sku)), "an item came twice");
        }
        match page.next_cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => return seen,
        }
    }
}

#[tokio::test]
async fn every_route_lists_every_item_once() {
    let fixture = full().await;
    let who = &fixture.caller;
    for limit in [1, 2, 4, 200] {
        let query = |sku: Option<&str>, location_id: Option<&str>| StockListQuery {
            sku: sku.map(Into::into),
            location_id: location_id.map(Into::into),
            limit: Some(limit),
            ..StockListQuery::default()
        };
        assert_eq!(all_pages(&fixture, who, &query(None, None)).await.len(), 9);
        assert_eq!(all_pages(&fixture, who, &query(Some(SKUS[2]), None)).await.len(), 3);
        assert_eq!(all_pages(&fixture, who, &query(None, Some("s-york"))).await.len(), 3);
        assert_eq!(all_pages(&fixture, who, &query(Some(SKUS[0]), Some("s-york"))).await.len(), 1);
    }
    let found = read::of_sku(&fixture.ports, who, SKUS[0], Some(2), None).await.unwrap();
    assert_eq!(found.items.len(), 2);
    let cursor = found.next_cursor.unwrap();
    let rest = read::of_sku(&fixture.ports, who, SKUS[0], Some(2), Some(&cursor)).await.unwrap();
    assert_eq!((rest.items.len(), rest.next_cursor), (1, None));
    // A cursor is good for its own list only.
    let other = read::of_sku(&fixture.ports, who, SKUS[1], Some(2), Some(&cursor)).await.unwrap_err();
    assert_eq!(other.code(), Some("cursor_malformed"));
}

#[tokio::test]
async fn lists_stay_within_reach() {
    let fixture = full().await;
    let york = caller("demo", Role::Cashier, named(&["s-york", "s-unknown"]));
    let everything = all_pages(&fixture, &york, &StockListQuery::default()).await;
    assert!(everything.len() == 3 && everything.iter().all(|(location_id, _)| location_id == "s-york"));
    let of_sku = read::of_sku(&fixture.ports, &york, SKUS[0], None, None).await.unwrap();
    assert_eq!(of_sku.items.len(), 1);
    for error in [
        read::one(&fixture.ports, &york, "s-leeds", SKUS[0]).await.unwrap_err(),
        read::of_location(&fixture.ports, &york, "s-leeds", None, None).await.unwrap_err(),
    ] {
        assert_eq!(error.code(), Some("store_out_of_reach"));
    }
    let stranger = caller("other", Role::Operator, Stores::All);
    assert!(all_pages(&fixture, &stranger, &StockListQuery::default()).await.is_empty());
    let none = read::one(&fixture.ports, &stranger, "s-leeds", SKUS[0]).await.unwrap_err();
    assert_eq!(none.code(), Some("stock_not_found"));
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let fixture = full().await;
    let who = &fixture.caller;
    let code = |result: tillstream_app::Result<StockLevelPage>| result.unwrap_err().code();
    assert_eq!(code(read::of_sku(&fixture.ports, who, "NOSUCH", None, None).await), Some("sku_not_found"));
    assert_eq!(
        code(read::of_location(&fixture.ports, who, "s-nowhere", None, None).await),
        Some("location_not_found")
    );
    assert_eq!(
        code(read::of_sku(&fixture.ports, who, SKUS[0], Some(0), None).await),
        Some("limit_out_of_range")
    );
    assert!(read::of_sku(&fixture.ports, who, "CHEESE", None, None).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn low_stock_is_found_and_safety_stock_is_kept_back() {
    let fixture = full().await;
    let scope = fixture.scope();
    let movement = Movement {
        kind: "sync",
        reference: "feed".into(),
        actor: "hq".into(),
        at: "2026-03-02T09:00:00Z".parse().unwrap(),
        reason: None,
    };
    // 4 at s-york: 1 kept back, so 3 available, and to be ordered below 4.
    let seen = fixture.stock("s-york", SKUS[0]).await;
    let target = StockTarget {
        safety_stock: Some(1_000),
        reorder_point: Some(4_000),
        incoming: Some(12_000),
        ..StockTarget::default()
    };
    let (write, _) = stock_set(scope, "s-york", SKUS[0], Some(&seen), target, &movement, Vec::new());
    fixture.ports.database.write(write.clone()).await.unwrap();
    assert!(fixture.ports.database.write(write).await.is_err(), "an older word overwrote a newer one");
    let level = read::one(&fixture.ports, &fixture.caller, "s-york", SKUS[0]).await.unwrap();
    assert_eq!((level.on_hand, level.available), (QuantityInput::Whole(4), QuantityInput::Whole(3)));
    assert_eq!((level.safety_stock, level.incoming), (QuantityInput::Whole(1), QuantityInput::Whole(12)));
    let below = |below| StockListQuery {
        below_reorder_point: Some(below),
        limit: Some(2),
        ..StockListQuery::default()
    };
    let low = all_pages(&fixture, &fixture.caller, &below(true)).await;
    assert_eq!(low, BTreeSet::from([("s-york".to_owned(), SKUS[0].to_owned())]));
    assert_eq!(all_pages(&fixture, &fixture.caller, &below(false)).await.len(), 8);
    let one = StockListQuery { sku: Some(SKUS[1].into()), location_id: Some("s-york".into()), ..below(true) };
    assert!(all_pages(&fixture, &fixture.caller, &one).await.is_empty());
    assert_eq!(fixture.memory.items(Table::Ledger).len(), 0);
    fixture.check_invariants();
}

#[tokio::test]
async fn a_page_that_holds_the_last_item_is_the_last() {
    let fixture = full().await;
    let (ports, who) = (&fixture.ports, &fixture.caller);
    for (limit, goes_on) in [(2, true), (3, false), (4, false)] {
        let of_sku = read::of_sku(ports, who, SKUS[0], Some(limit), None).await.unwrap();
        let of_location = read::of_location(ports, who, "s-york", Some(limit), None).await.unwrap();
        assert_eq!((of_sku.next_cursor.is_some(), of_location.next_cursor.is_some()), (goes_on, goes_on));
    }
    for (limit, goes_on) in [(3, true), (8, true), (9, false)] {
        let query = StockListQuery { limit: Some(limit), ..StockListQuery::default() };
        let page = read::list(ports, who, &query).await.unwrap();
        let full = usize::try_from(limit).unwrap();
        assert_eq!((page.items.len(), page.next_cursor.is_some()), (full, goes_on), "{limit}");
    }
}

#[tokio::test]
async fn stock_is_listed_whatever_became_of_its_product_or_location() {
    let fixture = full().await;
    let scope = fixture.scope();
    for key in [scope.product(SKUS[0]), scope.location("s-york")] {
        let delete = Write::Delete { table: Table::Catalog, key, condition: None };
        fixture.memory.write(delete).await.unwrap();
    }
    let (ports, who) = (&fixture.ports, &fixture.caller);
    assert_eq!(read::of_sku(ports, who, SKUS[0], None, None).await.unwrap().items.len(), 3);
    assert_eq!(read::of_location(ports, who, "s-york", None, None).await.unwrap().items.len(), 3);
}

#[tokio::test]
async fn a_filtered_page_is_full_where_enough_pass_and_at_the_reorder_point_nothing_is_low() {
    let fixture = Fixture::new(2).await;
    for (n, reorder_point) in (0..9).zip([1_000, 1_000, 1_001].into_iter().cycle()) {
        let target = StockTarget {
            on_hand: Some(1_000),
            reorder_point: Some(reorder_point),
            ..StockTarget::default()
        };
        fixture.stocked("s-york", &format!("S-{n}"), target).await;
    }
    let page = async |below, limit| {
        let query = StockListQuery {
            location_id: Some("s-york".into()),
            below_reorder_point: Some(below),
            limit: Some(limit),
            ..StockListQuery::default()
        };
        let page = read::list(&fixture.ports, &fixture.caller, &query).await.unwrap();
        (page.items.len(), page.next_cursor.is_some())
    };
    assert_eq!((page(true, 200).await, page(false, 200).await), ((3, false), (6, false)));
    assert_eq!((page(true, 2).await, page(false, 5).await), ((2, true), (5, true)));
}

#[tokio::test]
async fn a_filtered_page_looks_at_a_thousand_items_at_most() {
    let fixture = Fixture::new(3).await;
    for n in 0..1_050 {
        fixture.stocked("s-york", &format!("S-{n:04}"), StockTarget::default()).await;
    }
    let mut query = StockListQuery {
        location_id: Some("s-york".into()),
        below_reorder_point: Some(true),
        limit: Some(200),
        ..StockListQuery::default()
    };
    for goes_on in [true, false] {
        let page = read::list(&fixture.ports, &fixture.caller, &query).await.unwrap();
        assert_eq!((page.items.len(), page.next_cursor.is_some()), (0, goes_on));
        query.cursor = page.next_cursor;
    }
}

#[tokio::test]
async fn empty_locations_are_passed_over_a_few_at_a_time() {
    let fixture = Fixture::new(4).await;
    let ids: Vec<String> = (0..120).map(|n| format!("e-{n:03}")).collect();
    let stores = named(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    fixture.stocked("e-119", SKUS[0], StockTarget::default()).await;
    let among = Among::Everything(stores.clone());
    let found = stock_names(fixture.memory.as_ref(), fixture.scope(), &among, None, 10).await.unwrap();
    assert!(found.names.is_empty());
    assert_eq!(found.next.unwrap().location_id, "e-050");
    let who = caller("demo", Role::Operator, stores);
    assert_eq!(all_pages(&fixture, &who, &StockListQuery::default()).await.len(), 1);
}
