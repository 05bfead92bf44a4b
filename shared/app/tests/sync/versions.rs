//! Versions: an older line never overwrites a newer one, whatever the order, however many upload at
//! once, and also when answers get lost.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use crate::feeds::{
    World, counts, delete, location, price, product, rule, rule_key, shuffled, stock, template, world,
};
use futures::future::join_all;
use serde_json::{Value, json};
use tillstream_app::catalog::items::prices_of;
use tillstream_app::catalog::products::{PutProduct, put};
use tillstream_app::catalog::{locations, products};
use tillstream_app::database::Table;
use tillstream_app::environment::Environment;
use tillstream_app::sync::entities::Entity;

const UPLOADS: u64 = 20;
const THINGS: u64 = 12;

/// Twenty uploads at once, each with every thing at a version of its own, in an order of its own; the
/// replies' counts added up.
async fn twenty_at_once(world: &World, entity: Entity, line: impl Fn(u64, u64) -> Value) -> (u64, u64) {
    let uploads = (0..UPLOADS).map(|upload| {
        // Versions 1..=20 of a thing are spread over the uploads, differently for each thing.
        let lines = (0..THINGS).map(|thing| line(thing, (upload * 7 + thing * 3) % UPLOADS + 1)).collect();
        let lines = shuffled(lines, &world.environment);
        async move {
            let reply = world.send(entity, &lines).await;
            assert_eq!(reply.failed, 0, "{:?}", reply.errors);
            (reply.applied, reply.skipped)
        }
    });
    join_all(uploads).await.into_iter().fold((0, 0), |(a, s), (applied, skipped)| (a + applied, s + skipped))
}

#[tokio::test]
async fn the_newest_stands_after_twenty_uploads_at_once() {
    for seed in 0..20 {
        let world = world(seed);
        let setup: Vec<_> = (0..THINGS).map(|n| product(&format!("S{n}"), 1, &json!({}))).collect();
        world.send(Entity::Catalog, &setup).await;
        world.send(Entity::Locations, &[location("s-1", 1)]).await;
        world.shaky.lost_answers.store(if seed % 2 == 0 { 0 } else { 25 }, Ordering::SeqCst);
        // A SKU has at most 200 entries; all of these are of one, so that they meet in one item.
        let total = UPLOADS * THINGS;
        for entity in Entity::ALL {
            let (applied, skipped) = twenty_at_once(&world, entity, |thing, version| match entity {
                Entity::Catalog => product(&format!("P{thing}"), version, &json!({})),
                Entity::Locations => location(&format!("l-{thing}"), version),
                Entity::Inventory => stock("s-1", &format!("S{thing}"), version, version * 10),
                Entity::PriceBook => price(&format!("p{thing}"), version, "S0", &format!("{version}.5")),
                Entity::PrintTemplates => template(thing, version),
                other => rule(other, &format!("r{thing}"), version),
            })
            .await;
            assert_eq!(applied + skipped, total);
            assert!(applied >= THINGS && skipped > 0, "seed {seed}: {applied} applied, {skipped} skipped");
        }
        for thing in 0..THINGS {
            let (found, _) = products::get(&world.ports, world.scope(), &format!("P{thing}")).await.unwrap();
            assert_eq!(found.name, format!("P{thing} v20"), "seed {seed}");
            let found = locations::get(&world.ports, world.scope(), &format!("l-{thing}")).await.unwrap();
            assert_eq!(found.name, format!("l-{thing} v20"), "seed {seed}");
            let found =
                world.item(Table::Stock, world.scope().stock("s-1", &format!("S{thing}"))).await.unwrap();
            assert_eq!(found.number("on_hand").unwrap(), 200_000, "seed {seed}");
            assert_eq!(found.number("sync_version").unwrap(), 20);
            let made = template(thing, 20);
            let place = |name: &str| made["data"][name].as_str().unwrap().to_owned();
            let key = world.scope().print_template(&place("kind"), &place("format"));
            let found = world.item(Table::Catalog, key.clone()).await.unwrap();
            assert_eq!(found.number("template_version").unwrap(), 20, "seed {seed}");
            // Each version that was taken in is there, in the order of the versions, the last since then.
            let items = world.memory.items(Table::Catalog).into_iter();
            let versions: Vec<_> = items
                .filter(|item| item.opt_text("pk") == Some(key.pk()) && item.get("source").is_some())
                .map(|item| (item.text("sk").unwrap().to_owned(), item.number("template_version").unwrap()))
                .collect();
            let last = format!("since#{:015}", found.number("since_millis").unwrap());
            assert_eq!(versions.last(), Some(&(last, 20)), "seed {seed}");
            assert!(versions.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1), "seed {seed}: {versions:?}");
        }
        let rules = [
            Entity::Categories,
            Entity::TaxRules,
            Entity::Promotions,
            Entity::Coupons,
            Entity::Customers,
            Entity::Suppliers,
        ];
        for (entity, thing) in rules.into_iter().flat_map(|entity| (0..THINGS).map(move |n| (entity, n))) {
            let key = rule_key(world.scope(), entity, &format!("r{thing}"));
            let found = world.item(Table::Catalog, key).await.unwrap();
            assert_eq!(found.number("feed_version").unwrap(), 20, "seed {seed}: {entity:?} {thing}");
            assert!(found.text("data").unwrap().contains("v20"), "seed {seed}: {entity:?} {thing}");
        }
        let book = world.item(Table::Catalog, world.scope().prices("S0")).await;
        let entries: BTreeMap<_, _> = prices_of(book.as_ref())
            .unwrap()
            .into_iter()
            .map(|entry| (entry.id, (entry.version, entry.unit_price.to_string())))
            .collect();
        assert_eq!(entries.len(), usize::try_from(THINGS).unwrap());
        assert!(entries.values().all(|entry| *entry == (20, "20.50".to_owned())), "seed {seed}: {entries:?}");
    }
}

#[tokio::test]
async fn the_same_upload_again_changes_nothing() {
    let world = world(1);
    world.send(Entity::Catalog, &[product("A", 1, &json!({}))]).await;
    world.send(Entity::Locations, &[location("s-1", 1)]).await;
    let rules =
        |entity| vec![rule(entity, "a", 1), rule(entity, "a", 2), rule(entity, "b", 1), delete("c", 1)];
    for (entity, lines) in [
        (Entity::Catalog, vec![product("B", 1, &json!({})), product("B", 2, &json!({})), delete("C", 4)]),
        (Entity::Locations, vec![location("s-2", 0), location("s-3", 9)]),
        (Entity::PriceBook, vec![price("p", 1, "A", "1"), price("q", 1, "A", "1"), delete("q", 2)]),
        (Entity::Inventory, vec![stock("s-1", "A", 1, 5), stock("s-1", "A", 2, 6)]),
        (Entity::Promotions, rules(Entity::Promotions)),
        (Entity::TaxRules, rules(Entity::TaxRules)),
        (Entity::Categories, rules(Entity::Categories)),
        (Entity::Coupons, rules(Entity::Coupons)),
        (Entity::Customers, rules(Entity::Customers)),
        (Entity::Suppliers, rules(Entity::Suppliers)),
        (Entity::PrintTemplates, vec![template(0, 1), template(0, 2), template(1, 1), delete("x", 4)]),
    ] {
        let count = u64::try_from(lines.len()).unwrap();
        assert_eq!(counts(&world.send(entity, &lines).await), (count, 0, 0), "{entity:?}");
        let before = (world.memory.items(Table::Stock), products_and_prices(&world));
        assert_eq!(counts(&world.send(entity, &lines).await), (0, count, 0), "{entity:?}");
        assert_eq!(before, (world.memory.items(Table::Stock), products_and_prices(&world)));
    }
}

fn products_and_prices(world: &World) -> Vec<tillstream_app::database::Item> {
    let mut items = world.memory.items(Table::Catalog);
    items.retain(|item| item.opt_text("kind") != Some("feed_state"));
    items
}

#[tokio::test]
async fn what_was_deleted_stays_out_until_a_newer_line() {
    let world = world(2);
    world.send(Entity::Catalog, &[product("S", 1, &json!({}))]).await;
    world.send(Entity::Locations, &[location("s-1", 1)]).await;
    let no_stock = |version| json!({"id": "x", "version": version, "op": "delete", "data": {"location_id": "s-1", "sku": "S"}});
    type Line = fn(u64) -> Value;
    let deletes = [delete("r", 5), delete("r", 7)];
    let cases: [(Entity, [Value; 2], Line); 11] = [
        (Entity::Catalog, [delete("A", 5), delete("A", 7)], |v| product("A", v, &json!({}))),
        (Entity::Locations, [delete("l-1", 5), delete("l-1", 7)], |v| location("l-1", v)),
        (Entity::PriceBook, [delete("p", 5), delete("p", 7)], |v| price("p", v, "S", "1")),
        (Entity::Inventory, [no_stock(5), no_stock(7)], |v| stock("s-1", "S", v, 9)),
        (Entity::Promotions, deletes.clone(), |v| rule(Entity::Promotions, "r", v)),
        (Entity::TaxRules, deletes.clone(), |v| rule(Entity::TaxRules, "r", v)),
        (Entity::Categories, deletes.clone(), |v| rule(Entity::Categories, "r", v)),
        (Entity::Coupons, deletes.clone(), |v| rule(Entity::Coupons, "r", v)),
        (Entity::Customers, deletes.clone(), |v| rule(Entity::Customers, "r", v)),
        (Entity::Suppliers, deletes, |v| rule(Entity::Suppliers, "r", v)),
        (Entity::PrintTemplates, [delete("receipt-html", 5), delete("receipt-html", 7)], |v| template(0, v)),
    ];
    for (entity, [first, second], upsert) in cases {
        let is_there = async || match entity {
            Entity::Catalog => products::get(&world.ports, world.scope(), "A").await.is_ok(),
            Entity::Locations => locations::get(&world.ports, world.scope(), "l-1").await.is_ok(),
            Entity::PriceBook => {
                let (_, prices) = products::get(&world.ports, world.scope(), "S").await.unwrap();
                !prices.is_empty()
            }
            Entity::Inventory => {
                let item = world.item(Table::Stock, world.scope().stock("s-1", "S")).await;
                item.is_some_and(|item| item.number("on_hand").unwrap() > 0)
            }
            Entity::PrintTemplates => {
                let item = world.item(Table::Catalog, world.scope().print_template("receipt", "html")).await;
                item.is_some_and(|item| item.get("template_id").is_some())
            }
            other => {
                let item = world.item(Table::Catalog, rule_key(world.scope(), other, "r")).await;
                item.is_some_and(|item| item.get("data").is_some())
            }
        };
        let send = async |line: Value| counts(&world.send(entity, &[line]).await);
        assert_eq!(send(first).await, (1, 0, 0), "{entity:?}: a delete is remembered before it is known");
        assert_eq!(send(upsert(4)).await, (0, 1, 0), "{entity:?}");
        assert!(!is_there().await, "{entity:?}");
        assert_eq!(send(upsert(6)).await, (1, 0, 0), "{entity:?}");
        assert!(is_there().await, "{entity:?}");
        assert_eq!(send(second.clone()).await, (1, 0, 0), "{entity:?}");
        assert_eq!(send(second).await, (0, 1, 0), "{entity:?}");
        assert_eq!(send(upsert(6)).await, (0, 1, 0), "{entity:?}");
        assert!(!is_there().await, "{entity:?}");
    }
}

#[tokio::test]
async fn a_change_by_api_neither_hides_hqs_next_line_nor_lets_an_old_one_back() {
    let world = world(3);
    let by_api = async |key: &str, name: &str| {
        let body =
            serde_json::from_value(json!({"name": name, "unit_price": "1", "currency": "GBP"})).unwrap();
        let request = PutProduct { sku: "A".into(), body, idempotency_key: key.into() };
        put(&world.ports, &world.caller, request, |_| Ok(())).await.unwrap()
    };
    world.send(Entity::Catalog, &[product("A", 3, &json!({}))]).await;
    for n in 0..5 {
        by_api(&n.to_string(), "local").await;
    }
    assert_eq!(counts(&world.send(Entity::Catalog, &[product("A", 3, &json!({}))]).await), (0, 1, 0));
    assert_eq!(counts(&world.send(Entity::Catalog, &[product("A", 4, &json!({}))]).await), (1, 0, 0));
    let (found, _) = products::get(&world.ports, world.scope(), "A").await.unwrap();
    assert_eq!((found.name.as_str(), found.version), ("A v4", 9), "3, five changes, one more");
    world.send(Entity::Catalog, &[delete("A", 6)]).await;
    assert!(by_api("again", "made anew").await.created);
    assert_eq!(counts(&world.send(Entity::Catalog, &[product("A", 5, &json!({}))]).await), (0, 1, 0));
    let (found, _) = products::get(&world.ports, world.scope(), "A").await.unwrap();
    assert_eq!(found.name, "made anew");
}

#[tokio::test]
async fn prices_move_between_skus_and_are_bounded() {
    let world = world(4);
    world.send(Entity::Catalog, &[product("A", 1, &json!({})), product("B", 1, &json!({}))]).await;
    let ids = async |sku: &str| {
        let (_, prices) = products::get(&world.ports, world.scope(), sku).await.unwrap();
        prices.into_iter().map(|entry| entry.id).collect::<Vec<_>>()
    };
    world.send(Entity::PriceBook, &[price("p", 1, "A", "1"), price("p", 2, "B", "2")]).await;
    assert_eq!((ids("A").await, ids("B").await), (vec![], vec!["p".to_owned()]));
    let many: Vec<_> = (0..201).map(|n| price(&format!("a{n}"), 1, "A", "1")).collect();
    let reply = world.send(Entity::PriceBook, &many).await;
    assert_eq!((counts(&reply), reply.errors[0].code.as_str()), ((200, 0, 1), "too_many_prices"));
    world.send(Entity::PriceBook, &[delete("a0", 2), price("a200", 1, "A", "1")]).await;
    assert_eq!(ids("A").await.len(), 200);
}

#[tokio::test]
async fn a_barcode_moves_within_an_upload_in_either_order_and_is_never_shared() {
    let code = "4006381333931";
    // The one that gives it up comes before or after the other, by line and by name, and calls interleave.
    for (seed, order, giver) in
        (0..40).map(|n| (n, if n % 2 == 0 { [0, 1] } else { [1, 0] }, if n % 4 < 2 { "A" } else { "Z" }))
    {
        let world = world(seed);
        world.send(Entity::Catalog, &[product(giver, 1, &json!({"barcodes": [code]}))]).await;
        let refused = world.send(Entity::Catalog, &[product("C", 1, &json!({"barcodes": [code]}))]).await;
        assert_eq!((counts(&refused), refused.errors[0].code.as_str()), ((0, 0, 1), "barcode_taken"));
        let lines = [product(giver, 2, &json!({})), product("B", 1, &json!({"barcodes": [code]}))];
        let reply = world.send(Entity::Catalog, &order.map(|n: usize| lines[n].clone())).await;
        assert_eq!(counts(&reply), (2, 0, 0), "seed {seed}: {:?}", reply.errors);
        let item = world.item(Table::Catalog, world.scope().barcode(code)).await.unwrap();
        assert_eq!(item.text("sku").unwrap(), "B");
        world.send(Entity::Catalog, &[delete("B", 2)]).await;
        assert!(world.item(Table::Catalog, world.scope().barcode(code)).await.is_none());
    }
}

#[tokio::test]
async fn a_price_that_moves_takes_no_other_with_it() {
    let world = world(5);
    world.send(Entity::Catalog, &[product("A", 1, &json!({})), product("B", 1, &json!({}))]).await;
    world.send(Entity::PriceBook, &[price("p", 1, "A", "1"), price("q", 1, "A", "2")]).await;
    world.send(Entity::PriceBook, &[price("p", 2, "B", "3")]).await;
    for (sku, id) in [("A", "q"), ("B", "p")] {
        let (_, prices) = products::get(&world.ports, world.scope(), sku).await.unwrap();
        assert_eq!(prices.iter().map(|entry| entry.id.as_str()).collect::<Vec<_>>(), [id], "{sku}");
    }
}

/// Barcodes that move on through many products: each can have its own only once the next gave it up.
#[tokio::test]
async fn a_chain_of_barcodes_moves_within_an_upload() {
    let codes = ["4006381333931", "96385074", "73513537", "5901234123457"];
    let skus = ["A", "B", "C", "Z"];
    for seed in 0..20 {
        let world = world(seed);
        let before = skus.iter().zip(codes).map(|(sku, code)| product(sku, 1, &json!({"barcodes": [code]})));
        world.send(Entity::Catalog, &before.collect::<Vec<_>>()).await;
        // The last gives up its own; what is between lets it begin late.
        let mut lines: Vec<_> =
            (0..3).map(|n| product(skus[n], 2, &json!({"barcodes": [codes[n + 1]]}))).collect();
        lines.extend((0..40).map(|n| product(&format!("M{n}"), 1, &json!({}))));
        lines.push(product("Z", 2, &json!({})));
        let reply = world.send(Entity::Catalog, &lines).await;
        assert_eq!(counts(&reply), (44, 0, 0), "seed {seed}: {:?}", reply.errors);
        for (n, sku) in skus.iter().enumerate().take(3) {
            let item = world.item(Table::Catalog, world.scope().barcode(codes[n + 1])).await.unwrap();
            assert_eq!(item.text("sku").unwrap(), *sku, "seed {seed}");
        }
    }
}

#[tokio::test]
async fn lines_of_one_thing_in_one_upload_do_not_wait_for_each_other() {
    let world = world(6);
    world.send(Entity::Catalog, &[product("S", 1, &json!({}))]).await;
    world.send(Entity::Locations, &[location("s-1", 1)]).await;
    let begun = world.environment.now();
    for entity in Entity::ALL {
        let lines: Vec<_> = [3, 1, 4, 2]
            .into_iter()
            .map(|version| match entity {
                Entity::Catalog => product("A", version, &json!({})),
                Entity::Locations => location("l-1", version),
                Entity::Inventory => stock("s-1", "S", version, version),
                Entity::PriceBook => price("p", version, "S", "1"),
                Entity::PrintTemplates => template(0, version),
                other => rule(other, "r", version),
            })
            .collect();
        assert_eq!(counts(&world.send(entity, &lines).await), (2, 2, 0), "{entity:?}");
    }
    let now = world.environment.now();
    assert_eq!(now, begun, "nobody else was at them: nothing was tried twice");
    let found = locations::get(&world.ports, world.scope(), "l-1").await.unwrap();
    let (product, _) = products::get(&world.ports, world.scope(), "A").await.unwrap();
    assert_eq!((found.version, product.version), (4, 4), "what a client reads tells the line's version");
}
