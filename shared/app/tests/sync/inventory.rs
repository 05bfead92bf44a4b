//! The inventory feed beside sales: every movement is exact.

use std::sync::atomic::Ordering;

use crate::feeds;
use crate::feeds::{counts, location, product, shuffled, stock, world};
use futures::future::join_all;
use serde_json::json;
use tillstream_app::capacity::Operation;
use tillstream_app::database::{DatabaseError, Table};
use tillstream_app::environment::Environment;
use tillstream_app::stock::counters::{Counters, Delta, Movement, stock_update};
use tillstream_app::stock::{exceptions, suggestions};
use tillstream_app::sync::entities::Entity;
use tillstream_contracts::inventory::{ExceptionQuery, StockException};
use tillstream_contracts::replenishment::OrderSuggestionQuery;
use tillstream_domain::quantity::{Quantity, QuantityInput};
use tillstream_testkit::faults::Fault;

#[tokio::test]
async fn counts_from_hq_and_sales_at_once_lose_no_movement() {
    for seed in 0..20 {
        let world = world(seed);
        world.send(Entity::Locations, &[location("s-1", 1)]).await;
        world.send(Entity::Catalog, &[product("A", 1, &json!({}))]).await;
        world.send(Entity::Inventory, &[stock("s-1", "A", 1, 1_000)]).await;
        world.shaky.lost_answers.store(if seed % 2 == 0 { 0 } else { 20 }, Ordering::SeqCst);
        let sale = Delta::sale(Quantity::from_pieces(1).unwrap());
        let sales = (0..60).map(|n: u32| {
            let world = &world;
            async move {
                for _ in 0..world.environment.random() % 40 {
                    tokio::task::yield_now().await;
                }
                let movement = Movement {
                    kind: "sale",
                    reference: format!("o-{n}"),
                    actor: "till".into(),
                    at: world.environment.now(),
                    reason: None,
                };
                let write = stock_update(world.scope(), "s-1", "A", sale, &movement, vec![], vec![]);
                match world.ports.database.write(write).await {
                    Ok(()) | Err(DatabaseError::Unavailable(_)) => {}
                    Err(error) => panic!("a sale was refused: {error}"),
                }
            }
        });
        let versions = shuffled((2..20).collect(), &world.environment);
        let uploads = versions.into_iter().map(|version| {
            let world = &world;
            async move {
                for _ in 0..world.environment.random() % 40 {
                    tokio::task::yield_now().await;
                }
                let mut line = stock("s-1", "A", version, 1_000 + version);
                if version % 3 == 0 {
                    line["data"]["safety_stock"] = version.into();
                }
                assert_eq!(world.send(Entity::Inventory, &[line]).await.failed, 0);
            }
        });
        tokio::join!(join_all(sales), join_all(uploads));

        let mut before = Counters::default();
        let (mut sold, mut counted) = (0, 0);
        for change in world.memory.changes(Table::Stock, 0) {
            let item = change.new.unwrap();
            let after = Counters::of(&item).unwrap();
            assert_eq!(after.seq, before.seq + 1, "seed {seed}: the ledger has a gap");
            assert_eq!(after.on_hand, before.on_hand + item.number("last_on_hand").unwrap(), "seed {seed}");
            assert_eq!(after.available, after.on_hand - after.reserved - after.safety_stock, "seed {seed}");
            if item.text("last_kind").unwrap() == "sync" {
                let version = after.sync_version.unwrap();
                assert!(before.sync_version.is_none_or(|old| old < version), "seed {seed}: an older count");
                let counted_as = if version == 1 { 1_000 } else { 1_000 + version };
                assert_eq!(after.on_hand, counted_as * 1_000, "seed {seed}");
                counted += 1;
            } else {
                sold += 1;
            }
            before = after;
        }
        assert_eq!(sold, 60);
        assert!(counted >= 2);
        assert_eq!(before.sync_version, Some(19), "seed {seed}: the newest count was lost");
    }
}

#[tokio::test]
async fn a_count_keeps_holds_and_what_it_does_not_name() {
    let world = world(1);
    world.send(Entity::Locations, &[location("s-1", 1)]).await;
    world.send(Entity::Catalog, &[product("KG", 1, &json!({"unit": "kg"}))]).await;
    let line = |version: u64, more: serde_json::Value| {
        let mut line = stock("s-1", "KG", version, 0);
        for (name, value) in more.as_object().unwrap() {
            line["data"][name] = value.clone();
        }
        line
    };
    let first =
        line(1, json!({"on_hand": "10", "safety_stock": "1.5", "reorder_point": "3", "incoming": "7.5"}));
    assert_eq!(counts(&world.send(Entity::Inventory, &[first]).await), (1, 0, 0));
    let movement = Movement {
        kind: "hold",
        reference: "h".into(),
        actor: "web".into(),
        at: world.environment.now(),
        reason: None,
    };
    let hold = Delta::hold(Quantity::from_thousandths(2_000).unwrap());
    let write = stock_update(world.scope(), "s-1", "KG", hold, &movement, vec![], vec![]);
    world.ports.database.write(write).await.unwrap();
    world.send(Entity::Inventory, &[line(2, json!({"on_hand": "4.25"}))]).await;
    let item = world.item(Table::Stock, world.scope().stock("s-1", "KG")).await.unwrap();
    let found = Counters::of(&item).unwrap();
    assert_eq!((found.on_hand, found.reserved, found.safety_stock), (4_250, 2_000, 1_500));
    assert_eq!((found.available, found.reorder_point, found.incoming, found.seq), (750, 3_000, 7_500, 3));
    assert_eq!(item.text("sku_pk").unwrap(), world.scope().sku_stock("KG").value());
    assert_eq!((item.text("last_kind").unwrap(), item.text("last_actor").unwrap()), ("sync", "hq"));
    // A count below what is held may make it negative; that is an exception for people, not a refusal.
    world.send(Entity::Inventory, &[line(3, json!({"on_hand": "1"}))]).await;
    let item = world.item(Table::Stock, world.scope().stock("s-1", "KG")).await.unwrap();
    assert_eq!(Counters::of(&item).unwrap().available, -2_500);
}

async fn open_exceptions(world: &feeds::World) -> Vec<StockException> {
    let query = ExceptionQuery { location_id: "s-1".into(), status: None, limit: None, cursor: None };
    exceptions::list(&world.ports, &world.caller, &query).await.unwrap().items
}

#[tokio::test]
async fn a_line_that_leaves_less_than_is_promised_opens_an_exception() {
    let world = world(1);
    world.send(Entity::Locations, &[location("s-1", 1)]).await;
    world.send(Entity::Catalog, &[product("A", 1, &json!({}))]).await;
    world.send(Entity::Inventory, &[stock("s-1", "A", 1, 10)]).await;
    let open = || open_exceptions(&world);
    assert!(open().await.is_empty());
    let mut line = stock("s-1", "A", 2, 10);
    line["data"]["safety_stock"] = 12.into();
    world.send(Entity::Inventory, &[line.clone()]).await;
    assert_eq!(
        open().await.first().map(|exception| exception.quantity.clone()),
        Some(QuantityInput::Whole(2))
    );
    line["version"] = 3.into();
    line["data"]["on_hand"] = 12.into();
    assert_eq!(world.send(Entity::Inventory, &[line]).await.failed, 0);
    assert!(open().await.is_empty());
    let items = world.memory.items(Table::Stock);
    assert!(items.iter().any(|item| item.opt_text("unit") == Some("piece")), "lists show it by its unit");
}

/// What is deleted asks for nothing any more: no exception, and nothing to be ordered.
#[tokio::test]
async fn a_line_that_is_deleted_leaves_nothing_to_ask_for() {
    let world = world(4);
    world.send(Entity::Locations, &[location("s-1", 1)]).await;
    world.send(Entity::Catalog, &[product("A", 1, &json!({}))]).await;
    let mut line = stock("s-1", "A", 1, 10);
    for (name, pieces) in [("safety_stock", 2), ("reorder_point", 12), ("incoming", 3)] {
        line["data"][name] = pieces.into();
    }
    world.send(Entity::Inventory, &[line.clone()]).await;
    let suggested = async || {
        let query = OrderSuggestionQuery {
            location_id: "s-1".into(),
            supplier_id: None,
            days: None,
            review_days: None,
            lead_time_days: None,
            limit: None,
            cursor: None,
        };
        suggestions::list(&world.ports, &world.caller, &query).await.unwrap().items.len()
    };
    assert_eq!(suggested().await, 1);
    line["op"] = "delete".into();
    line["version"] = 2.into();
    assert_eq!(counts(&world.send(Entity::Inventory, &[line]).await), (1, 0, 0));
    let left = world.item(Table::Stock, world.scope().stock("s-1", "A")).await.unwrap();
    let left = Counters::of(&left).unwrap();
    assert_eq!((left.on_hand, left.safety_stock, left.reorder_point, left.incoming), (0, 0, 0, 0));
    assert!(open_exceptions(&world).await.is_empty());
    assert_eq!(suggested().await, 0);
}

#[tokio::test]
async fn a_count_of_less_than_is_held_opens_an_exception_of_what_is_missing() {
    let world = world(2);
    world.send(Entity::Locations, &[location("s-1", 1)]).await;
    world.send(Entity::Catalog, &[product("A", 1, &json!({}))]).await;
    let mut line = stock("s-1", "A", 1, 10);
    line["data"]["safety_stock"] = 1.into();
    world.send(Entity::Inventory, &[line]).await;
    let movement = Movement {
        kind: "hold",
        reference: "h".into(),
        actor: "web".into(),
        at: world.environment.now(),
        reason: None,
    };
    let hold = Delta::hold(Quantity::from_pieces(6).unwrap());
    let write = stock_update(world.scope(), "s-1", "A", hold, &movement, vec![], vec![]);
    world.ports.database.write(write).await.unwrap();
    for (version, on_hand, missing) in [(2, 7, None), (3, 6, Some(1)), (4, 4, Some(3)), (5, 7, None)] {
        world.send(Entity::Inventory, &[stock("s-1", "A", version, on_hand)]).await;
        let open = open_exceptions(&world).await;
        let missing = missing.map(QuantityInput::Whole);
        assert_eq!(open.first().map(|exception| exception.quantity.clone()), missing, "{on_hand} on hand");
    }
}

#[tokio::test]
async fn a_line_that_neither_opens_nor_closes_an_exception_pays_for_one_write() {
    let world = world(3);
    world.send(Entity::Locations, &[location("s-1", 1)]).await;
    world.send(Entity::Catalog, &[product("A", 1, &json!({}))]).await;
    let (troubled, database) = world.troubled();
    database.fail_next(Operation::Transact, Fault::Refused);
    // Nothing is there before, nothing after; then some, and nothing again.
    for (version, on_hand) in [(1, 0), (2, 5), (3, 0)] {
        let reply = troubled.send(Entity::Inventory, &[stock("s-1", "A", version, on_hand)]).await;
        assert_eq!(counts(&reply), (1, 0, 0), "{on_hand} on hand");
    }
}
