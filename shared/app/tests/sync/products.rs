//! Products by API: written once per request, listed by what fits, barcodes never shared.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use crate::feeds;
use crate::feeds::{World, caller, product, world};
use futures::future::join_all;
use serde_json::{Value, json};
use tillstream_app::catalog::product_list::{ProductFilter, list};
use tillstream_app::catalog::products::{PutOutcome, PutProduct, get, put};
use tillstream_app::database::Table;
use tillstream_app::sync::entities::Entity;
use tillstream_app::tenancy::Role;
use tillstream_app::{Refusal, RefusalKind, Result};
use tillstream_domain::product::Product;

const GTIN: &str = "4006381333931";
const OTHER_GTIN: &str = "96385074";

fn request(sku: &str, key: &str, more: Value) -> PutProduct {
    let mut body = json!({"name": sku, "unit_price": "2.55", "currency": "GBP"});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    PutProduct { sku: sku.into(), body: serde_json::from_value(body).unwrap(), idempotency_key: key.into() }
}

async fn put_any(world: &World, sku: &str, key: &str, more: Value) -> Result<PutOutcome<Product>> {
    put(&world.ports, &world.caller, request(sku, key, more), |_| Ok(())).await
}

fn at(version: u64) -> impl Fn(Option<u64>) -> Result<(), Refusal> {
    move |current| {
        let refusal = || Refusal::new(RefusalKind::PreconditionFailed, "version_mismatch", "other");
        (current == Some(version)).then_some(()).ok_or_else(refusal)
    }
}

#[tokio::test]
async fn a_repeated_request_answers_the_same_and_writes_once() {
    let world = world(1);
    let first = put_any(&world, "A", "k1", json!({})).await.unwrap();
    assert_eq!((first.created, first.replayed, first.now.version), (true, false, 1));
    let second = put_any(&world, "A", "k2", json!({"name": "new"})).await.unwrap();
    assert_eq!((second.created, second.replayed, second.now.version), (false, false, 2));
    // The first comes again, late: it took effect once, and does not undo the second.
    let again = put_any(&world, "A", "k1", json!({})).await.unwrap();
    assert_eq!((again.created, again.replayed, again.now.name.as_str()), (true, true, "new"));
    assert_eq!(get(&world.ports, world.scope(), "A").await.unwrap().0.version, 2);
    let reused = put_any(&world, "A", "k1", json!({"name": "other"})).await.unwrap_err();
    assert_eq!(reused.code(), Some("idempotency_key_reused"));
    // A feed line in between does not make it forget.
    world.send(Entity::Catalog, &[product("A", 9, &json!({}))]).await;
    assert!(put_any(&world, "A", "k2", json!({"name": "new"})).await.unwrap().replayed);
    assert_eq!(get(&world.ports, world.scope(), "A").await.unwrap().0.name, "A v9");
}

#[tokio::test]
async fn one_request_sent_many_times_at_once_has_one_effect() {
    for seed in 0..30 {
        let world = world(seed);
        world.shaky.lost_answers.store(4, Ordering::SeqCst);
        let outcomes =
            join_all((0..20).map(|_| put_any(&world, "A", "k", json!({"barcodes": [GTIN]})))).await;
        for outcome in outcomes {
            let outcome = outcome.unwrap();
            assert_eq!((outcome.created, outcome.now.version), (true, 1), "seed {seed}");
        }
    }
}

#[tokio::test]
async fn different_requests_at_once_are_all_applied_one_after_another() {
    for seed in 0..10 {
        let world = world(seed);
        world.shaky.lost_answers.store(10, Ordering::SeqCst);
        let puts = (0..8).map(|n| {
            let world = &world;
            async move { put_any(world, "A", &n.to_string(), json!({"name": format!("n{n}")})).await.unwrap() }
        });
        let outcomes = join_all(puts).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.created).count(), 1, "seed {seed}");
        assert_eq!(get(&world.ports, world.scope(), "A").await.unwrap().0.version, 8, "seed {seed}");
    }
}

#[tokio::test]
async fn a_precondition_holds_against_what_is_written() {
    let world = world(2);
    put_any(&world, "A", "k1", json!({})).await.unwrap();
    let send = |key: &'static str, version| {
        let world = &world;
        async move { put(&world.ports, &world.caller, request("A", key, json!({"name": key})), at(version)).await }
    };
    assert_eq!(send("k2", 1).await.unwrap().now.version, 2);
    assert_eq!(send("k3", 1).await.unwrap_err().code(), Some("version_mismatch"));
    assert!(send("k2", 1).await.unwrap().replayed, "what took effect is not held against its own change");
    let rivals = join_all(["x", "y", "z"].map(|key| send(key, 2))).await;
    assert_eq!(rivals.iter().filter(|outcome| outcome.is_ok()).count(), 1);
}

#[tokio::test]
async fn a_barcode_stands_for_one_product() {
    let world = world(3);
    put_any(&world, "A", "1", json!({"barcodes": [GTIN]})).await.unwrap();
    let taken = put_any(&world, "B", "2", json!({"barcodes": [OTHER_GTIN, GTIN]})).await.unwrap_err();
    assert_eq!(taken.code(), Some("barcode_taken"));
    let tillstream_app::Error::Rejected(refusal) = taken else { panic!("not a refusal") };
    assert_eq!((&refusal.extra["barcode"], &refusal.extra["sku"]), (&json!(GTIN), &json!("A")));
    assert!(world.item(Table::Catalog, world.scope().product("B")).await.is_none(), "all or nothing");
    assert!(world.item(Table::Catalog, world.scope().barcode(OTHER_GTIN)).await.is_none());
    put_any(&world, "A", "3", json!({"barcodes": [OTHER_GTIN]})).await.unwrap();
    assert!(
        put_any(&world, "B", "2", json!({"barcodes": [GTIN]})).await.is_ok(),
        "a refusal is not remembered"
    );
    let of = async |gtin: &str| {
        let filter = ProductFilter { barcode: Some(gtin.into()), ..ProductFilter::default() };
        let (found, next) = list(&world.ports, world.scope(), &filter, None, None).await.unwrap();
        assert_eq!(next, None);
        found.into_iter().map(|product| product.sku).collect::<Vec<_>>()
    };
    assert_eq!((of(GTIN).await, of(OTHER_GTIN).await), (vec!["B".to_owned()], vec!["A".to_owned()]));
    for seed in 0..20 {
        let world = feeds::world(seed);
        let rivals = ["A", "B", "C"].map(|sku| put_any(&world, sku, sku, json!({"barcodes": [GTIN]})));
        let outcomes = join_all(rivals).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "seed {seed}");
    }
}

#[tokio::test]
async fn every_wrong_field_is_named_at_once() {
    let world = world(4);
    let wrong = json!({"sku": "B", "name": " x", "category": "", "barcodes": ["1", GTIN, GTIN],
        "attributes": {"size": ""}});
    let error = put_any(&world, "A", "k", wrong).await.unwrap_err();
    let tillstream_app::Error::Rejected(refusal) = error else { panic!("not a refusal") };
    assert_eq!((refusal.kind, refusal.code), (RefusalKind::Invalid, "field_invalid"));
    let fields: Vec<_> = refusal.errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["sku", "name", "category", "barcodes[0]", "barcodes[2]", "attributes.size"]);
    let cashier = caller("t", &[Role::Cashier, Role::Analyst]);
    let refused = put(&world.ports, &cashier, request("A", "k", json!({})), |_| Ok(())).await.unwrap_err();
    assert_eq!(refused.code(), Some("role_required"));
    for sku in ["A", "", " ", "a\u{0}"] {
        assert_eq!(get(&world.ports, world.scope(), sku).await.unwrap_err().code(), Some("sku_not_found"));
    }
}

async fn all_pages(world: &World, filter: &ProductFilter, limit: u32) -> (Vec<String>, usize) {
    let (mut skus, mut cursor, mut pages) = (Vec::new(), None::<String>, 0);
    loop {
        let (found, next) =
            list(&world.ports, world.scope(), filter, Some(limit), cursor.as_deref()).await.unwrap();
        assert!(found.len() <= usize::try_from(limit).unwrap());
        skus.extend(found.into_iter().map(|product| product.sku));
        pages += 1;
        match next {
            Some(next) => cursor = Some(next),
            None => return (skus, pages),
        }
    }
}

#[tokio::test]
async fn lists_are_complete_whatever_the_page_and_the_filter() {
    let world = world(5);
    let lines: Vec<_> = (0..1_300)
        .map(|n| {
            product(
                &format!("P{n:04}#%"),
                1,
                &json!({
                    "name": if n % 3 == 0 { format!("RED Lamp {n}") } else { format!("blue vase {n}") },
                    "category": if n % 2 == 0 { "home" } else { "home#2" },
                    "attributes": {"size": if n == 1_299 { "XL" } else { "M" }, "n": (n % 10).to_string()},
                }),
            )
        })
        .collect();
    world.send(Entity::Catalog, &lines).await;
    world.send(Entity::Catalog, &[feeds::delete("P0000#%", 2)]).await;
    let other = world.clone();
    let other = World { caller: caller("u", &[Role::Operator]), ..other };
    other.send(Entity::Catalog, &[product("FOREIGN", 1, &json!({"category": "home"}))]).await;

    let filter = |text: &str| {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        });
        ProductFilter::from_query(pairs.collect()).unwrap().0
    };
    let expected = |keep: &dyn Fn(u32) -> bool| {
        (1..1_300).filter(|n| keep(*n)).map(|n| format!("P{n:04}#%")).collect::<BTreeSet<_>>()
    };
    let cases: [(&str, &dyn Fn(u32) -> bool); 7] = [
        ("", &|_| true),
        ("category=home", &|n| n % 2 == 0),
        ("q=red l", &|n| n % 3 == 0),
        ("q=BLUE&category=home#2", &|n| n % 3 != 0 && n % 2 == 1),
        ("attr.size=XL", &|n| n == 1_299),
        ("attr.size=M&attr.n=7&category=home#2", &|n| n % 10 == 7),
        ("q=Green", &|_| false),
    ];
    for (text, keep) in cases {
        for limit in [1, 7, 200] {
            if limit == 1 && text != "attr.size=XL" && text != "q=Green" {
                continue;
            }
            let (found, pages) = all_pages(&world, &filter(text), limit).await;
            let distinct: BTreeSet<_> = found.iter().cloned().collect();
            assert_eq!(distinct.len(), found.len(), "{text} limit {limit}: something came twice");
            assert_eq!(distinct, expected(keep), "{text} limit {limit}");
            if text == "attr.size=XL" {
                assert_eq!(pages, 2, "one page looks at 1,000 items at most");
            }
            if text == "q=Green" {
                assert_eq!(pages, 1, "of names only those are looked at that begin so");
            }
        }
    }
    let (all, _) = all_pages(&world, &filter(""), 200).await;
    assert!(all.is_sorted());
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_list_only() {
    let world = world(6);
    let lines: Vec<_> = (0..5).map(|n| product(&format!("P{n}"), 1, &json!({"category": "c"}))).collect();
    world.send(Entity::Catalog, &lines).await;
    let category = ProductFilter { category: Some("c".into()), ..ProductFilter::default() };
    let (_, next) = list(&world.ports, world.scope(), &category, Some(2), None).await.unwrap();
    let cursor = next.unwrap();
    let other_tenant = caller("u", &[Role::Operator]).scope;
    let mut cases = vec![
        list(&world.ports, world.scope(), &ProductFilter::default(), Some(2), Some(&cursor)).await,
        list(&world.ports, &other_tenant, &category, Some(2), Some(&cursor)).await,
        list(&world.ports, world.scope(), &category, Some(2), Some("x")).await,
    ];
    let barcode = ProductFilter { barcode: Some(GTIN.into()), ..ProductFilter::default() };
    cases.push(list(&world.ports, world.scope(), &barcode, None, Some(&cursor)).await);
    for case in cases {
        assert_eq!(case.unwrap_err().code(), Some("cursor_malformed"));
    }
    // Another limit is the same list.
    let (rest, next) = list(&world.ports, world.scope(), &category, Some(200), Some(&cursor)).await.unwrap();
    assert_eq!((rest.len(), next), (3, None));
}

#[test]
fn query_parameters_are_known_or_refused() {
    let read = |pairs: &[(&str, &str)]| {
        ProductFilter::from_query(pairs.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect())
    };
    let (filter, limit, cursor) =
        read(&[("q", "a"), ("attr.size", "M"), ("limit", "7"), ("cursor", "c")]).unwrap();
    assert_eq!((filter.attributes["size"].as_str(), limit, cursor.as_deref()), ("M", Some(7), Some("c")));
    for bad in [
        &[("colour", "red")][..],
        &[("q", "a"), ("q", "b")],
        &[("q", "")],
        &[("limit", "many")],
        &[("barcode", "123")],
        &[("attr.", "x")],
        &[("category", &"x".repeat(65))],
    ] {
        assert_eq!(read(bad).unwrap_err().code(), Some("query_invalid"), "{bad:?}");
    }
}

#[tokio::test]
async fn a_page_that_holds_the_last_product_is_the_last() {
    let world = world(7);
    let lines: Vec<_> = (0..105).map(|n| product(&format!("P{n:03}"), 1, &json!({}))).collect();
    world.send(Entity::Catalog, &lines).await;
    let filter = ProductFilter::default();
    for (limit, pages) in [(35, 3), (104, 2), (105, 1), (200, 1)] {
        let (found, seen) = all_pages(&world, &filter, limit).await;
        assert_eq!((found.len(), seen), (105, pages), "{limit} a page");
    }
}

#[test]
fn a_list_is_filtered_by_ten_attributes_of_some_length() {
    let read = |pairs: Vec<(String, String)>| ProductFilter::from_query(pairs).map(|(filter, ..)| filter);
    let attributes = |count: usize| (0..count).map(|n| (format!("attr.a{n}"), "x".into())).collect();
    assert_eq!(read(attributes(10)).unwrap().attributes.len(), 10);
    let one = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    for fits in [
        one(&format!("attr.{}", "ä".repeat(64)), &"ä".repeat(256)),
        one("category", &"ä".repeat(64)),
        one("q", &"ä".repeat(200)),
        one("barcode", GTIN),
    ] {
        read(fits).unwrap();
    }
    for bad in [
        attributes(11),
        one("attr.size", ""),
        one("attr.size", &"x".repeat(257)),
        one(&format!("attr.{}", "x".repeat(65)), "M"),
        one("q", &"x".repeat(201)),
        one("category", ""),
    ] {
        assert_eq!(read(bad.clone()).unwrap_err().code(), Some("query_invalid"), "{bad:?}");
    }
}

#[tokio::test]
async fn a_product_may_have_as_much_as_said_and_no_more() {
    let world = world(8);
    // GTIN-8: seven digits and the one that makes them right.
    let gtin = |n: u32| {
        let digits = format!("{n:07}");
        let sum: u32 = digits
            .chars()
            .zip([3, 1].into_iter().cycle())
            .map(|(c, weight)| c.to_digit(10).unwrap() * weight)
            .sum();
        format!("{digits}{}", (10 - sum % 10) % 10)
    };
    let barcodes = |count: u32| (1..=count).map(gtin).collect::<Vec<_>>();
    let attributes =
        |count: u32| (0..count).map(|n| (format!("a{n}"), json!("x"))).collect::<serde_json::Map<_, _>>();
    for (n, (more, wrong)) in [
        (json!({"barcodes": barcodes(20), "attributes": attributes(50)}), None),
        (json!({"barcodes": barcodes(21)}), Some("too_many_barcodes")),
        (json!({"attributes": attributes(51)}), Some("too_many_attributes")),
        (json!({"name": "ä".repeat(200), "category": "ä".repeat(64)}), None),
        (json!({"name": "x".repeat(201)}), Some("name_malformed")),
        (json!({"name": "a\nb"}), Some("name_malformed")),
        (json!({"category": "x".repeat(65)}), Some("category_malformed")),
        (json!({"attributes": {"x".repeat(64): "y".repeat(256)}}), None),
        (json!({"attributes": {"x".repeat(65): "y"}}), Some("attribute_name_malformed")),
        (json!({"attributes": {"x": "y".repeat(257)}}), Some("attribute_value_malformed")),
    ]
    .into_iter()
    .enumerate()
    {
        let code = match put_any(&world, &format!("P{n}"), &n.to_string(), more.clone()).await {
            Ok(_) => None,
            Err(tillstream_app::Error::Rejected(refusal)) => Some(refusal.errors[0].code.clone()),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(code.as_deref(), wrong, "{more}");
    }
}
