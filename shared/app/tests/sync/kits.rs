//! Kits and variants in the catalogue: by API and by feed, whatever arrives first.

use serde_json::{Value, json};
use tillstream_app::Result;
use tillstream_app::catalog::product_list::{ProductFilter, list, variants};
use tillstream_app::catalog::products::{PutOutcome, PutProduct, get, put};
use tillstream_app::database::Table;
use tillstream_app::stock::read::one;
use tillstream_app::stock::reserve::reserve;
use tillstream_app::sync::entities::Entity;
use tillstream_app::tenancy::Role;
use tillstream_contracts::sync::UploadReply;
use tillstream_domain::product::Product;
use tillstream_domain::quantity::QuantityInput;

use crate::feeds;
use crate::feeds::{World, counts, location, product, stock, world};

async fn put_any(world: &World, sku: &str, key: &str, more: &Value) -> Result<PutOutcome<Product>> {
    let mut body = json!({"name": sku, "unit_price": "2.55", "currency": "GBP"});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    let body = serde_json::from_value(body).unwrap();
    let request = PutProduct { sku: sku.into(), body, idempotency_key: key.into() };
    put(&world.ports, &world.caller, request, |_| Ok(())).await
}

/// Code of the first field, or nothing where it is taken.
async fn put_code(world: &World, sku: &str, key: &str, more: &Value) -> Option<(String, String)> {
    match put_any(world, sku, key, more).await {
        Ok(_) => None,
        Err(tillstream_app::Error::Rejected(refusal)) => {
            assert_eq!(refusal.code, "field_invalid");
            Some((refusal.errors[0].field.clone(), refusal.errors[0].code.clone()))
        }
        Err(other) => panic!("{other}"),
    }
}

fn components(all: &[(&str, Value)]) -> Value {
    let one = |(sku, quantity): &(&str, Value)| json!({"sku": sku, "quantity": quantity});
    json!({"components": all.iter().map(one).collect::<Vec<_>>()})
}

fn with(mut data: Value, name: &str, value: Value) -> Value {
    data[name] = value;
    data
}

fn codes(reply: &UploadReply) -> Vec<(u64, String)> {
    reply.errors.iter().map(|error| (error.line, error.code.clone())).collect()
}

/// What is wrong with a kit by itself is refused by API and parked in a feed, with the same code.
#[tokio::test]
async fn a_bad_kit_has_its_code_and_changes_nothing() {
    let world = world(31);
    world
        .send(Entity::Catalog, &[product("A", 1, &json!({})), product("KG", 1, &json!({"unit": "kg"}))])
        .await;
    world.send(Entity::Catalog, &[product("OTHER", 1, &components(&[("A", json!(1))]))]).await;
    world.send(Entity::Catalog, &[product("RED", 1, &json!({"variant_of": "SHIRT"}))]).await;
    let many: Vec<String> = (0..21).map(|n| format!("C-{n}")).collect();
    let twenty: Vec<(&str, Value)> = many[..20].iter().map(|sku| (sku.as_str(), json!(1))).collect();
    let more: Vec<(&str, Value)> = many.iter().map(|sku| (sku.as_str(), json!(1))).collect();
    let one = |quantity: Value| components(&[("A", quantity)]);
    let bad = [
        (components(&more), "components", "too_many_components"),
        (components(&[("K", json!(1))]), "components[0].sku", "kit_contains_itself"),
        (components(&[(" A", json!(1))]), "components[0].sku", "sku_malformed"),
        (components(&[("A", json!(1)), ("A", json!(2))]), "components[1].sku", "component_repeated"),
        (one(json!(0)), "components[0].quantity", "component_quantity_invalid"),
        (one(json!(-1)), "components[0].quantity", "component_quantity_invalid"),
        (one(json!(10_001)), "components[0].quantity", "component_quantity_invalid"),
        (one(json!(i64::MAX)), "components[0].quantity", "component_quantity_invalid"),
        (one(json!(i64::MIN)), "components[0].quantity", "component_quantity_invalid"),
        (one(json!("999999999999999999999")), "components[0].quantity", "component_quantity_invalid"),
        (one(json!("-1")), "components[0].quantity", "component_quantity_invalid"),
        (one(json!("1e3")), "components[0].quantity", "component_quantity_invalid"),
        (one(json!("0.0001")), "components[0].quantity", "component_quantity_invalid"),
        (one(json!("0.5")), "components[0].quantity", "component_quantity_invalid"),
        (components(&[("KG", json!(1))]), "components[0].quantity", "component_quantity_invalid"),
        (components(&[("A", json!(1)), ("OTHER", json!(1))]), "components[1].sku", "component_is_a_kit"),
        (with(one(json!(1)), "unit", json!("kg")), "unit", "kit_not_by_piece"),
        (with(one(json!(1)), "stocked", json!(false)), "stocked", "kit_not_stocked"),
        (json!({"variant_of": "K"}), "variant_of", "variant_of_itself"),
        (json!({"variant_of": " P"}), "variant_of", "sku_malformed"),
        (json!({"variant_of": "RED"}), "variant_of", "parent_is_a_variant"),
    ];
    let before = world.memory.items(Table::Catalog);
    for (more, field, code) in &bad {
        let found = put_code(&world, "K", "k", more).await;
        assert_eq!(found, Some(((*field).to_owned(), (*code).to_owned())), "{more}");
    }
    assert_eq!(world.memory.items(Table::Catalog), before);
    let lines: Vec<Value> = bad.iter().map(|(more, ..)| product("K", 1, more)).collect();
    let reply = world.send(Entity::Catalog, &lines).await;
    assert_eq!(counts(&reply), (0, 0, bad.len() as u64));
    let expected: Vec<_> = (1..).zip(bad.iter().map(|(_, _, code)| (*code).to_owned())).collect();
    assert_eq!(codes(&reply), expected);
    let parked = world.memory.items(Table::Catalog);
    let parked = parked.iter().filter(|item| item.opt_text("kind") == Some("parked_line")).count();
    assert_eq!(parked, bad.len());
    assert!(get(&world.ports, world.scope(), "K").await.is_err(), "there is no such product");
    // As much as is said, and what is said is kept.
    assert_eq!(put_code(&world, "K", "k", &components(&twenty)).await, None);
    let most = components(&[("A", json!(10_000)), ("KG", json!("9999.999"))]);
    assert_eq!(put_code(&world, "K", "l", &most).await, None);
    let (kit, _) = get(&world.ports, world.scope(), "K").await.unwrap();
    let kept: Vec<Value> = kit.components.iter().map(|one| json!([one.sku, one.quantity])).collect();
    assert_eq!(json!(kept), json!([["A", 10_000], ["KG", "9999.999"]]));
}

/// A kit before its components, a component that becomes a kit, both in one batch: taken, and told when the kit
/// is made. A line that is older says nothing any more, whatever became of what it names.
#[tokio::test]
async fn feeds_come_in_any_order() {
    let world = world(32);
    let kit = product("K", 1, &components(&[("A", json!(1)), ("B", json!("0.5"))]));
    assert_eq!(counts(&world.send(Entity::Catalog, &[kit.clone()]).await), (1, 0, 0));
    let of_b = product("B", 1, &json!({"unit": "kg"}));
    assert_eq!(counts(&world.send(Entity::Catalog, &[of_b, product("A", 1, &json!({}))]).await), (2, 0, 0));
    // A becomes a kit itself: nobody knows who is made of it.
    let of_a = product("A", 2, &components(&[("B", json!("1"))]));
    assert_eq!(counts(&world.send(Entity::Catalog, &[of_a]).await), (1, 0, 0));
    assert_eq!(counts(&world.send(Entity::Catalog, &[kit]).await), (0, 1, 0), "old news");
    let newer = product("K", 2, &components(&[("A", json!(1))]));
    assert_eq!(codes(&world.send(Entity::Catalog, &[newer]).await), [(1, "component_is_a_kit".to_owned())]);
    // Of one batch each is held against what the batch is to leave, whichever line comes first.
    let is_a_kit = |line: u64| (line, "component_is_a_kit".to_owned());
    for (n, lines) in [("X", "Y"), ("Y", "X")].into_iter().enumerate() {
        let ring =
            [lines, (lines.1, lines.0)].map(|(sku, of)| product(sku, 1, &components(&[(of, json!(1))])));
        let reply = world.send(Entity::Catalog, &ring).await;
        assert_eq!(codes(&reply), [is_a_kit(1), is_a_kit(2)], "{n}");
    }
    for (old, parts) in [("P", "Q"), ("R", "S")] {
        world.send(Entity::Catalog, &[product(old, 1, &components(&[("B", json!("1"))]))]).await;
        // What was a kit is none any more, and part of one in the same batch; and the other way about.
        let plain = product(old, 3, &json!({}));
        let stale = product(old, 2, &components(&[("B", json!("2"))]));
        let kit = product(parts, 1, &components(&[(old, json!(1))]));
        let lines = if old == "P" { [plain, stale, kit] } else { [kit, stale, plain] };
        assert_eq!(world.send(Entity::Catalog, &lines).await.failed, 0, "{old}");
        let back = product(old, 4, &components(&[("B", json!("1"))]));
        let newer = product(parts, 2, &components(&[(old, json!(2))]));
        let reply = world.send(Entity::Catalog, &[back, newer.clone()]).await;
        assert_eq!(codes(&reply), [is_a_kit(2)], "{old}");
        // A line that is old news says nothing.
        let old_news = product(old, 3, &json!({}));
        assert_eq!(codes(&world.send(Entity::Catalog, &[newer, old_news]).await), [is_a_kit(1)], "{old}");
    }
}

#[tokio::test]
async fn headquarters_count_no_kits() {
    let world = world(33);
    world.send(Entity::Locations, &[location("s-1", 1)]).await;
    world.send(Entity::Catalog, &[product("K", 1, &components(&[("A", json!(1))]))]).await;
    let reply = world.send(Entity::Inventory, &[stock("s-1", "K", 1, 5)]).await;
    assert_eq!(codes(&reply), [(1, "sku_is_a_kit".to_owned())]);
    assert!(world.memory.items(Table::Stock).is_empty());
}

#[tokio::test]
async fn variants_are_listed_by_what_they_are_variants_of() {
    let world = world(34);
    let variant = |n: usize, parent: &str| {
        let size = ["S", "M", "L"][n % 3];
        product(&format!("V-{n:03}"), 1, &json!({"variant_of": parent, "attributes": {"size": size}}))
    };
    let mut lines: Vec<Value> =
        (0..120).map(|n| variant(n, if n < 90 { "SHIRT" } else { "SHIRT#2" })).collect();
    lines.push(product("SHIRT", 1, &json!({"sellable": false})));
    world.send(Entity::Catalog, &lines).await;
    let of = |parent: &str| ProductFilter { variant_of: Some(parent.into()), ..ProductFilter::default() };
    let pages = async |filter: &ProductFilter| {
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let page = list(&world.ports, world.scope(), filter, Some(40), cursor.as_deref()).await.unwrap();
            assert!(page.0.len() <= 40);
            found.extend(page.0.into_iter().map(|product| product.sku));
            cursor = page.1;
            if cursor.is_none() {
                return found;
            }
        }
    };
    let name = |n: usize| format!("V-{n:03}");
    assert_eq!(pages(&of("SHIRT")).await, (0..90).map(name).collect::<Vec<_>>());
    assert_eq!(pages(&of("SHIRT#2")).await, (90..120).map(name).collect::<Vec<_>>());
    assert!(pages(&of("NONE")).await.is_empty());
    let mut medium = of("SHIRT");
    medium.attributes.insert("size".into(), "M".into());
    assert_eq!(pages(&medium).await, (0..90).filter(|n| n % 3 == 1).map(name).collect::<Vec<_>>());
    let by_name = ProductFilter { name_prefix: Some("v-01".into()), ..of("SHIRT") };
    assert_eq!(pages(&by_name).await, (10..20).map(name).collect::<Vec<_>>());
    // A cursor of one parent is none of another.
    let (_, next) = list(&world.ports, world.scope(), &of("SHIRT"), Some(40), None).await.unwrap();
    let other = list(&world.ports, world.scope(), &of("SHIRT#2"), Some(40), next.as_deref()).await;
    assert_eq!(other.unwrap_err().code(), Some("cursor_malformed"));
    // Beside the parent the first stand, and that there are more.
    let (beside, more) = variants(&world.ports, world.scope(), "SHIRT").await.unwrap();
    assert_eq!((beside.len(), beside[49].sku.as_str(), more), (50, "V-049", true));
    let (beside, more) = variants(&world.ports, world.scope(), "SHIRT#2").await.unwrap();
    assert_eq!((beside.len(), more), (30, false));
    // One that is a variant no longer, or gone, is listed no longer.
    let plain = product("V-000", 2, &json!({}));
    world.send(Entity::Catalog, &[plain, feeds::delete("V-001", 2)]).await;
    assert_eq!(pages(&of("SHIRT")).await, (2..90).map(name).collect::<Vec<_>>());
    let read = |pairs: &[(&str, &str)]| {
        ProductFilter::from_query(pairs.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect())
    };
    assert_eq!(read(&[("variant_of", "SHIRT")]).unwrap().0, of("SHIRT"));
    for bad in
        [&[("variant_of", "")][..], &[("variant_of", "A"), ("variant_of", "B")], &[("variant_of", " A")]]
    {
        assert_eq!(read(bad).unwrap_err().code(), Some("query_invalid"), "{bad:?}");
    }
}

/// A kit of itself, by way of another or of several: whoever would close the ring is refused, by API and by feed; and
/// of what is left of the ring nothing is reserved, nor is there any of it.
#[tokio::test]
async fn a_kit_that_contains_itself_by_way_of_others_is_refused() {
    let world = world(35);
    world.send(Entity::Locations, &[location("s-1", 1)]).await;
    world.send(Entity::Catalog, &[product("PLAIN", 1, &json!({}))]).await;
    world.send(Entity::Inventory, &[stock("s-1", "PLAIN", 1, 5)]).await;
    // B and C are not there yet, so A and B are taken; C is the last of the ring, B the last of a shorter one.
    let of = |sku: &str| components(&[("PLAIN", json!(1)), (sku, json!(1))]);
    assert_eq!(put_code(&world, "A", "a", &of("B")).await, None);
    assert_eq!(put_code(&world, "B", "b", &of("C")).await, None);
    let refused = Some(("components[1].sku".to_owned(), "component_is_a_kit".to_owned()));
    assert_eq!(put_code(&world, "C", "c", &of("A")).await, refused);
    assert_eq!(put_code(&world, "B", "b2", &of("A")).await, refused);
    assert_eq!(put_code(&world, "A", "a2", &of("A")).await.unwrap().1, "kit_contains_itself");
    let lines = [("X", "Y"), ("Y", "Z"), ("Z", "X")].map(|(sku, other)| product(sku, 1, &of(other)));
    assert_eq!(counts(&world.send(Entity::Catalog, &lines).await), (0, 0, 3));
    for (line, refused) in lines.into_iter().zip([false, false, true]) {
        assert_eq!(world.send(Entity::Catalog, &[line]).await.failed, u64::from(refused));
    }
    let hold = |sku: &str| {
        serde_json::from_value(json!({"reservation_id": "v", "ttl_seconds": 60,
            "lines": [{"location_id": "s-1", "sku": sku, "quantity": 1}]}))
        .unwrap()
    };
    let who = feeds::caller("t", &[Role::Operator]);
    let before = world.memory.items(Table::Stock);
    for sku in ["A", "X"] {
        let answer = reserve(&world.ports, &who, sku, &hold(sku)).await;
        assert_eq!(answer.unwrap_err().code(), Some("kit_component_is_a_kit"), "{sku}");
        let level = one(&world.ports, &who, "s-1", sku).await.unwrap();
        assert_eq!((level.kit, level.available), (true, QuantityInput::Whole(0)), "{sku}");
    }
    assert_eq!(world.memory.items(Table::Stock), before);
    // Made a plain product, the last of the ring sets the others free one by one.
    assert_eq!(put_code(&world, "C", "c3", &json!({})).await, None);
    world.send(Entity::Inventory, &[stock("s-1", "C", 1, 3)]).await;
    let level = one(&world.ports, &who, "s-1", "B").await.unwrap();
    assert_eq!((level.kit, level.available), (true, QuantityInput::Whole(3)));
    reserve(&world.ports, &who, "B", &hold("B")).await.unwrap();
}

/// Headquarters delete a component: the kit stays in the catalogue, and is not to be had until one of both is mended.
#[tokio::test]
async fn a_component_that_is_deleted_is_told_of_by_who_wants_the_kit() {
    let world = world(36);
    world.send(Entity::Locations, &[location("s-1", 1)]).await;
    let kit = product("K", 1, &components(&[("A", json!(1)), ("B", json!(2))]));
    world.send(Entity::Catalog, &[kit, product("A", 1, &json!({})), product("B", 1, &json!({}))]).await;
    world.send(Entity::Inventory, &[stock("s-1", "A", 1, 5), stock("s-1", "B", 1, 5)]).await;
    let hold = json!({"ttl_seconds": 60, "lines": [{"location_id": "s-1", "sku": "K", "quantity": 1}]});
    let hold = serde_json::from_value(hold).unwrap();
    let who = feeds::caller("t", &[Role::Operator]);
    let there = async || one(&world.ports, &who, "s-1", "K").await.unwrap().available;
    assert_eq!(there().await, QuantityInput::Whole(2));
    world.send(Entity::Catalog, &[feeds::delete("B", 2)]).await;
    assert_eq!(there().await, QuantityInput::Whole(0));
    let refused = reserve(&world.ports, &who, "k", &hold).await.unwrap_err();
    assert_eq!(refused.code(), Some("kit_component_unknown"));
    let (read, _) = get(&world.ports, world.scope(), "K").await.unwrap();
    assert_eq!(read.components.len(), 2, "the kit says what it was said to be");
    // Without it, the kit is to be had again; and with it, once it is back.
    world.send(Entity::Catalog, &[product("K", 2, &components(&[("A", json!(1))]))]).await;
    assert_eq!(there().await, QuantityInput::Whole(5));
    world.send(Entity::Catalog, &[product("K", 3, &components(&[("B", json!(2))]))]).await;
    assert_eq!(there().await, QuantityInput::Whole(0));
    world.send(Entity::Catalog, &[product("B", 3, &json!({}))]).await;
    assert_eq!(there().await, QuantityInput::Whole(2));
    reserve(&world.ports, &who, "k", &hold).await.unwrap();
}

/// A variant is a product with attributes of its own, within the bounds of all products; what is asked for of a list
/// is bounded too.
#[tokio::test]
async fn variants_are_bounded_as_products_are() {
    let world = world(37);
    let attributes = |count: usize| -> Value {
        (0..count).map(|n| (format!("a{n}"), json!("x"))).collect::<serde_json::Map<_, _>>().into()
    };
    let variant = |attributes: Value| json!({"variant_of": "SHIRT", "attributes": attributes});
    for (attributes, code) in [
        (attributes(51), "too_many_attributes"),
        (json!({"x".repeat(65): "y"}), "attribute_name_malformed"),
        (json!({"size": "y".repeat(257)}), "attribute_value_malformed"),
        (json!({"size": ""}), "attribute_value_malformed"),
    ] {
        assert_eq!(put_code(&world, "V", "v", &variant(attributes)).await.unwrap().1, code);
    }
    assert!(world.memory.items(Table::Catalog).is_empty());
    assert_eq!(put_code(&world, "V", "v", &variant(attributes(50))).await, None);
    assert_eq!(put_code(&world, "W", "w", &variant(json!({"size": "M"}))).await, None);
    let list = async |pairs: Vec<(String, String)>| {
        let (filter, limit, cursor) = ProductFilter::from_query(pairs)?;
        let page = list(&world.ports, world.scope(), &filter, limit, cursor.as_deref()).await?;
        Ok::<_, tillstream_app::Error>(page.0.into_iter().map(|product| product.sku).collect::<Vec<_>>())
    };
    let of = |more: &[(&str, &str)]| {
        let all = [("variant_of", "SHIRT")].into_iter().chain(more.iter().copied());
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(list(of(&[])).await.unwrap(), ["V", "W"]);
    assert_eq!(list(of(&[("attr.size", "M")])).await.unwrap(), ["W"]);
    assert_eq!(list(of(&[("limit", "1")])).await.unwrap(), ["V"]);
    for bad in [&[("limit", "0")][..], &[("limit", "201")]] {
        assert_eq!(list(of(bad)).await.unwrap_err().code(), Some("limit_out_of_range"));
    }
    let eleven: Vec<(String, String)> = (0..11).map(|n| (format!("attr.a{n}"), "x".to_owned())).collect();
    assert_eq!(
        list(of(&[]).into_iter().chain(eleven).collect()).await.unwrap_err().code(),
        Some("query_invalid")
    );
}
