//! Bad lines: reported with their number, parked whole, and never in the way of the rest.

use std::sync::atomic::Ordering;

use crate::feeds;
use crate::feeds::{counts, location, ndjson, price, product, stock, world};
use serde_json::json;
use tillstream_app::database::{Item, Table, Value};
use tillstream_app::sync::entities::Entity;
use tillstream_app::sync::status::status;

fn parked(items: &[Item]) -> Vec<&Item> {
    items.iter().filter(|item| item.opt_text("kind") == Some("parked_line")).collect()
}

#[tokio::test]
async fn a_bad_line_in_the_middle_of_ten_thousand_stops_nobody() {
    let world = world(1);
    let mut lines: Vec<String> =
        (0..10_000).map(|n| product(&format!("P{n:05}"), 1, &json!({})).to_string()).collect();
    lines[5_000] = r#"{"id":"P05000","version":1,"op":"upsert","data":{"name":"cut off"#.into();
    let body = lines.join("\n");
    let reply = world.send_from(Entity::Catalog, body.as_bytes(), 1).await.unwrap();
    assert_eq!(counts(&reply), (9_999, 0, 1));
    assert_eq!((reply.errors[0].line, reply.errors[0].code.as_str()), (5_001, "line_not_json"));
    assert_eq!((reply.errors.len(), reply.next_from), (1, None));
    let items = world.memory.items(Table::Catalog);
    let products = items.iter().filter(|item| item.opt_text("kind") == Some("product")).count();
    assert_eq!(products, 9_999);
    let parked = parked(&items);
    assert_eq!(parked.len(), 1);
    assert_eq!(parked[0].text("content").unwrap(), lines[5_000]);
    assert_eq!(parked[0].number("line_number").unwrap(), 5_001);
    let now = tillstream_app::environment::Environment::now(world.environment.as_ref()).as_second();
    assert_eq!(parked[0].number("expires_at").unwrap(), now + 30 * 86_400);
}

#[tokio::test]
async fn every_kind_of_bad_line_has_its_code_and_the_rest_is_applied() {
    let world = world(2);
    world.send(Entity::Locations, &[location("s-1", 1)]).await;
    let all = [product("KG", 1, &json!({"unit": "kg"})), product("PC", 1, &json!({}))];
    assert_eq!(counts(&world.send(Entity::Catalog, &all).await), (2, 0, 0));
    world.send(Entity::Catalog, &[product("FEE", 1, &json!({"stocked": false}))]).await;
    let codes = |reply: tillstream_contracts::sync::UploadReply| {
        reply.errors.into_iter().map(|error| (error.line, error.code)).collect::<Vec<_>>()
    };
    let bad_products = [
        (product("A", 1, &json!({"unit_price": "-1"})), "line_invalid"),
        (product("A", 1, &json!({"unit_price": 1})), "line_invalid"),
        (product("A", 1, &json!({"barcodes": ["123"]})), "barcode_malformed"),
        (product("A", 1, &json!({"sku": "B"})), "sku_mismatch"),
        (product(" A", 1, &json!({})), "sku_malformed"),
        (product("A", 1, &json!({"name": ""})), "name_malformed"),
        (json!({"id": "A", "version": 1, "op": "upsert"}), "line_invalid"),
        (json!([1]), "line_invalid"),
    ];
    let mut lines: Vec<_> = bad_products.iter().map(|(line, _)| line.clone()).collect();
    lines.push(product("GOOD", 1, &json!({})));
    let reply = world.send(Entity::Catalog, &lines).await;
    assert_eq!(counts(&reply), (1, 0, 8));
    let expected: Vec<_> = (1..).zip(bad_products.iter().map(|(_, code)| code.to_string())).collect();
    assert_eq!(codes(reply), expected);

    let mut other_id = location("s-2", 1);
    other_id["data"]["id"] = "s-3".into();
    let mut zone = location("s-2", 1);
    zone["data"]["time_zone"] = "Mars/Base".into();
    let reply = world.send(Entity::Locations, &[other_id, zone]).await;
    assert_eq!(codes(reply), [(1, "id_mismatch".to_owned()), (2, "time_zone_unknown".to_owned())]);

    let mut measured = stock("s-1", "KG", 1, 0);
    measured["data"]["on_hand"] = "1.5".into();
    let mut negative = measured.clone();
    negative["data"]["on_hand"] = "-1".into();
    let lines = [
        measured,
        negative,
        stock("s-1", "KG", 2, 1),
        stock("s-9", "PC", 1, 1),
        stock("s-1", "NO", 1, 1),
        stock("s-1", "FEE", 1, 1),
        stock("s-1", "PC", 1, 7),
    ];
    let reply = world.send(Entity::Inventory, &lines).await;
    assert_eq!(counts(&reply), (2, 0, 5));
    let expected = [
        "quantity_negative",
        "quantity_invalid",
        "location_unknown",
        "product_unknown",
        "product_not_stocked",
    ];
    assert_eq!(codes(reply), (2..).zip(expected.map(str::to_owned)).collect::<Vec<_>>());

    let mut never = price("p", 1, "PC", "1");
    never["data"]["valid_from"] = "2011-01-02T00:00:00Z".into();
    never["data"]["valid_to"] = "2011-01-02T00:00:00Z".into();
    assert_eq!(codes(world.send(Entity::PriceBook, &[never]).await), [(1, "validity_empty".to_owned())]);
}

#[tokio::test]
async fn an_overlong_line_is_parked_whole_and_once() {
    let world = world(3);
    let long = format!("\"{}\"", "x".repeat(700 * 1024));
    let body = [long.as_bytes(), b"\n\xff\xfe\n", long.as_bytes(), b"\n"].concat();
    for _ in 0..2 {
        let reply = world.send_from(Entity::Catalog, &body, 1).await.unwrap();
        assert_eq!(counts(&reply), (0, 0, 3));
        let codes: Vec<_> = reply.errors.iter().map(|error| error.code.as_str()).collect();
        assert_eq!(codes, ["line_too_long", "line_not_json", "line_too_long"]);
    }
    let items = world.memory.items(Table::Catalog);
    let parts = parked(&items);
    assert_eq!(parts.len(), 4, "three parts of the long line, one of the other");
    let whole: String = parts.iter().filter_map(|part| part.opt_text("content")).collect();
    assert!(whole == long, "the long line is not there whole");
    assert!(parts.iter().any(|part| part.get("content") == Some(&Value::B(vec![0xff, 0xfe]))));
    let status = status(&world.ports, &world.caller).await.unwrap();
    assert_eq!((status.items[0].failed, status.items[0].parked), (6, 2));
}

#[tokio::test]
async fn only_the_first_hundred_bad_lines_are_named_and_all_are_counted() {
    let world = world(4);
    let body: String = (0..250).map(|n| format!("bad {n}\n")).collect();
    let reply = world.send_from(Entity::PriceBook, body.as_bytes(), 1).await.unwrap();
    assert_eq!((counts(&reply), reply.errors.len()), ((0, 0, 250), 100));
    let all = status(&world.ports, &world.caller).await.unwrap();
    let prices = all.items.iter().find(|item| item.entity == "price_book").unwrap();
    assert_eq!((prices.failed, prices.parked, prices.checkpoint), (250, 250, Some(250)));
    assert_eq!(prices.last_error.as_ref().unwrap().line, 250);
    world.environment.advance(std::time::Duration::from_secs(31 * 86_400));
    let later = status(&world.ports, &world.caller).await.unwrap();
    assert_eq!(later.items[3].parked, 0, "parked lines count for 30 days");
    assert_eq!(later.items[3].lag_seconds, Some(31 * 86_400));
}

#[tokio::test]
async fn unknown_fields_are_tolerated_and_counted() {
    let world = world(5);
    let mut line = product("A", 1, &json!({"colour_code": 7, "weight": {"g": 1}}));
    line["source"] = "erp".into();
    let reply = world.send(Entity::Catalog, &[line, product("B", 1, &json!({}))]).await;
    assert_eq!((counts(&reply), reply.unknown_fields), ((2, 0, 0), 3));
    let status = status(&world.ports, &world.caller).await.unwrap();
    assert_eq!((status.items[0].unknown_fields, status.items[0].applied), (3, 2));
}

#[tokio::test]
async fn a_line_beyond_the_tokens_reach_changes_nothing() {
    let mut world = world(6);
    world.send(Entity::Locations, &[location("s-1", 1), location("s-2", 1)]).await;
    world.send(Entity::Catalog, &[product("A", 1, &json!({}))]).await;
    world.caller = feeds::reaching(&world.caller, &["s-1"]);
    let reply = world.send(Entity::Inventory, &[stock("s-1", "A", 1, 5), stock("s-2", "A", 1, 5)]).await;
    assert_eq!((counts(&reply), reply.errors[0].code.as_str()), ((1, 0, 1), "store_out_of_reach"));
    assert!(world.item(Table::Stock, world.scope().stock("s-2", "A")).await.is_none());
    let reply = world.send(Entity::Locations, &[location("s-2", 2)]).await;
    assert_eq!(counts(&reply), (0, 0, 1));
}

#[tokio::test]
async fn the_call_itself_is_bounded() {
    let world = world(7);
    let large = vec![b' '; 4 * 1024 * 1024 + 1];
    let code = |result: tillstream_app::Result<_>| {
        result.map(|_: tillstream_contracts::sync::UploadReply| ()).unwrap_err().code()
    };
    assert_eq!(code(world.send_from(Entity::Catalog, &large, 1).await), Some("body_too_large"));
    assert_eq!(code(world.send_from(Entity::Catalog, b"", 0).await), Some("from_out_of_range"));
    let mut cashier = world.clone();
    cashier.caller = feeds::caller("t", &[tillstream_app::tenancy::Role::Cashier]);
    let body = ndjson(&[product("A", 1, &json!({}))]);
    assert_eq!(code(cashier.send_from(Entity::Catalog, body.as_bytes(), 1).await), Some("role_required"));
    assert_eq!(Entity::parse("weather").unwrap_err().code(), Some("unknown_entity"));
}

#[tokio::test]
async fn an_upload_of_exactly_four_megabytes_is_taken() {
    let world = world(8);
    let mut body = product("A", 1, &json!({})).to_string().into_bytes();
    body.resize(4 * 1024 * 1024, b'\n');
    assert_eq!(counts(&world.send_from(Entity::Catalog, &body, 1).await.unwrap()), (1, 0, 0));
}

#[tokio::test]
async fn lines_are_parked_in_batches_of_three_megabytes() {
    // Twelve long lines are three megabytes; then come short ones.
    for (short, batches) in [(0, 1), (1, 1), (2, 2), (3, 2)] {
        let world = world(9);
        let mut lines: Vec<String> = (0..12).map(|n| format!("{n:02}{}", "x".repeat(262_142))).collect();
        lines.extend((0..short).map(|n| format!("bad {n}")));
        let reply = world.send_from(Entity::Catalog, lines.join("\n").as_bytes(), 1).await.unwrap();
        assert_eq!(counts(&reply), (0, 0, 12 + short));
        let written = u64::MAX - world.shaky.writes_left.load(Ordering::SeqCst);
        assert_eq!(written, batches + 1, "the batches of {short} short lines, and the checkpoint");
        assert_eq!(parked(&world.memory.items(Table::Catalog)).len(), lines.len());
    }
}

#[tokio::test]
async fn parked_lines_are_counted_page_by_page() {
    let world = world(10);
    let body: String = (0..1_100).map(|n| format!("bad {n}\n")).collect();
    world.send_from(Entity::Locations, body.as_bytes(), 1).await.unwrap();
    let status = status(&world.ports, &world.caller).await.unwrap();
    let parked: Vec<_> = status.items.iter().map(|item| item.parked).collect();
    assert_eq!(parked[..4], [0, 1_100, 0, 0]);
    assert_eq!(parked.len(), Entity::ALL.len());
}

#[tokio::test]
async fn a_price_is_for_a_location_within_reach_and_a_time_that_is_not_empty() {
    let mut world = world(11);
    world.send(Entity::Catalog, &[product("A", 1, &json!({}))]).await;
    world.caller = feeds::reaching(&world.caller, &["s-1"]);
    let line = |id: &str, location: &str| {
        let mut line = price(id, 1, "A", "1");
        line["data"]["location_id"] = location.into();
        line["data"]["valid_from"] = "2011-01-02T00:00:00Z".into();
        line["data"]["valid_to"] = "2011-01-02T00:00:00.001Z".into();
        line
    };
    let lines = [line("p", "s-1"), line("q", "s-2"), line("r", "s 1")];
    let reply = world.send(Entity::PriceBook, &lines).await;
    assert_eq!(counts(&reply), (1, 0, 2));
    let codes: Vec<_> = reply.errors.iter().map(|error| error.code.as_str()).collect();
    assert_eq!(codes, ["store_out_of_reach", "id_malformed"]);
}
