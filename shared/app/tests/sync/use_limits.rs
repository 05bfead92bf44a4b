//! Limits of uses that are changed by the feeds of promotions and coupons: what is remembered of those before.

use serde_json::{Value, json};
use tillstream_app::database::{Item, Table, Write};
use tillstream_app::sync::entities::Entity;

use crate::feeds::{World, counts, delete, rule_key, world};

fn line(id: &str, version: u64, data: Value) -> Value {
    json!({"id": id, "version": version, "op": "upsert", "data": data})
}

/// What an item says of the limits before its own: what the first part may have used, the highest limit in parts, and
/// whether it was lowered after that.
fn known_of_limits(item: Option<Item>) -> [i64; 3] {
    let item = item.unwrap();
    ["uses_first", "uses_split", "uses_lowered"].map(|name| item.opt_number(name).unwrap_or(0))
}

/// A promotion or a coupon of so many uses.
fn data(entity: Entity, limit: Option<u32>) -> Value {
    let benefit = json!({"percentage": {"bps": 1}});
    match entity {
        Entity::Promotions => json!({"name": "P", "benefit": benefit, "limits": {"total": limit}}),
        _ => json!({"benefit": benefit, "total_limit": limit}),
    }
}

/// What is known of the limits where one of them was used so often, and then made another.
async fn known_after(world: &World, entity: Entity, id: &str, used: i64, limits: [u32; 2]) -> [i64; 3] {
    let [before, after] = limits.map(|limit| data(entity, Some(limit)));
    assert_eq!(counts(&world.send(entity, &[line(id, 1, before)]).await), (1, 0, 0), "{entity:?}: {id}");
    let kind = if entity == Entity::Promotions { "promotion" } else { "coupon" };
    let item = Item::new(&world.scope().uses(kind, id, 0)).with("used", used);
    world.memory_write(Write::Put { table: Table::Orders, item, condition: None }).await;
    assert_eq!(counts(&world.send(entity, &[line(id, 2, after)]).await), (1, 0, 0), "{entity:?}: {id}");
    known_of_limits(world.item(Table::Catalog, rule_key(world.scope(), entity, id)).await)
}

/// From 200 on uses are counted in parts. What limits there were is remembered, whatever is fed in between, as the
/// counters stay: who sells by the new one needs to know where uses may have been counted.
#[tokio::test]
async fn limits_of_uses_that_stood_before_are_remembered() {
    for entity in [Entity::Promotions, Entity::Coupons] {
        let data = |limit: Option<u32>| data(entity, limit);
        let world = world(4);
        let known = async |id: &str| {
            known_of_limits(world.item(Table::Catalog, rule_key(world.scope(), entity, id)).await)
        };
        for (version, (limit, expected)) in (1..).zip([
            (Some(Some(199)), [0, 0, 0]),
            (Some(Some(50)), [199, 0, 0]),
            (Some(Some(300)), [199, 0, 0]),
            (Some(None), [199, 300, 0]),
            (Some(Some(300)), [199, 300, 0]),
            (Some(Some(1_000)), [199, 300, 0]),
            (None, [199, 1_000, 0]),
            (Some(Some(1_000)), [199, 1_000, 0]),
            (Some(Some(999)), [199, 1_000, 1]),
            (Some(Some(5)), [199, 1_000, 1]),
            (Some(None), [199, 1_000, 1]),
            (Some(Some(2_000)), [199, 1_000, 1]),
        ]) {
            let sent = limit.map_or_else(|| delete("x", version), |limit| line("x", version, data(limit)));
            assert_eq!(counts(&world.send(entity, &[sent]).await), (1, 0, 0), "{entity:?}: {version}");
            assert_eq!(known("x").await, expected, "{entity:?}: {version}");
        }
        // In one upload, and deleted with its limit.
        let lines = [
            line("z", 1, data(Some(200))),
            line("z", 2, data(Some(199))),
            delete("z", 3),
            line("z", 4, data(Some(250))),
        ];
        assert_eq!(counts(&world.send(entity, &lines).await), (4, 0, 0), "{entity:?}");
        assert_eq!(known("z").await, [199, 200, 1], "{entity:?}");
    }
}

/// What was counted above a limit stands in the first part of the counter. It is looked at where the limit is raised:
/// the first part has no less than that.
#[tokio::test]
async fn what_was_used_above_the_limit_is_remembered_where_it_is_raised() {
    for entity in [Entity::Promotions, Entity::Coupons] {
        let world = world(4);
        for (id, used, before, after, first) in [
            ("a", 150_i64, 150, 300, 150),
            ("b", 180, 150, 300, 180),
            ("c", 180, 150, 190, 150),
            ("d", 43, 200, 300, 43),
            ("e", 13, 200, 300, 0),
            ("f", 43, 200, 200, 0),
        ] {
            let [known, _, lowered] = known_after(&world, entity, id, used, [before, after]).await;
            assert_eq!((known, lowered), (first, 0), "{entity:?}: {id}");
        }
    }
}

/// A first part that has used so much more than its share that the others are left less than they had, which they may have
/// used already: that limit is raised, and counts as lowered.
#[tokio::test]
async fn a_limit_whose_first_part_is_overdrawn_counts_as_lowered() {
    for entity in [Entity::Promotions, Entity::Coupons] {
        let world = world(4);
        for (id, used, before, after, lowered) in [
            // The others had 375, which is 25 each, and are left 325, 375, 374.
            ("a", 125_i64, 400, 450, 1),
            ("b", 125, 400, 500, 0),
            ("c", 126, 400, 500, 1),
            // Of 187 some had 13 and some 12: of 180 all have 12, as the last of them had.
            ("d", 30, 200, 210, 1),
            ("e", 23, 200, 210, 0),
            // All of it, and more, is used.
            ("f", 400, 200, 300, 1),
            // In one part they had nothing.
            ("g", 400, 150, 300, 0),
        ] {
            let known = known_after(&world, entity, id, used, [before, after]).await;
            assert_eq!([known[0], known[2]], [used, lowered], "{entity:?}: {id}");
        }
    }
}
