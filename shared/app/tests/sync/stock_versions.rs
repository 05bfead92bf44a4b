//! Lines of the inventory feed: the newest stands, whatever order they arrive in and whatever goes on meanwhile.

use tillstream_app::Ports;
use tillstream_app::database::{Database, Table};
use tillstream_app::stock::counters::{Counters, Delta, Movement, stock_update};
use tillstream_app::stock::{reserve, split};
use tillstream_app::sync::entities::Entity;
use tillstream_app::tenancy::Role;
use tillstream_contracts::inventory::ReserveRequest;
use tillstream_domain::quantity::Quantity;
use tillstream_testkit::interleavings::{Interleavings, Request};

use crate::feeds::{World, caller, counts, location, product, stock, world};
use serde_json::json;

async fn shop(seed: u64) -> World {
    let world = world(seed);
    world.send(Entity::Locations, &[location("s-1", 1)]).await;
    world.send(Entity::Catalog, &[product("A", 1, &json!({}))]).await;
    world
}

/// Ten pieces of each version, so that it can be told which stands.
fn line(version: u64) -> serde_json::Value {
    stock("s-1", "A", version, 10 * version)
}

async fn counters(world: &World) -> Counters {
    Counters::of(&world.item(Table::Stock, world.scope().stock("s-1", "A")).await.unwrap()).unwrap()
}

/// All orders of some numbers, each different one once.
fn permutations(numbers: &[u64]) -> Vec<Vec<u64>> {
    if numbers.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    let mut tried = std::collections::BTreeSet::new();
    for (at, first) in numbers.iter().enumerate() {
        if !tried.insert(*first) {
            continue;
        }
        let rest: Vec<u64> = numbers[..at].iter().chain(&numbers[at + 1..]).copied().collect();
        all.extend(permutations(&rest).into_iter().map(|mut order| {
            order.insert(0, *first);
            order
        }));
    }
    all
}

#[tokio::test]
async fn the_newest_line_stands_in_every_order_of_arrival() {
    // Four versions, each twice: every order of them that differs.
    let orders = permutations(&[1, 1, 2, 2, 3, 3, 4, 4]);
    assert_eq!(orders.len(), 2_520);
    let empty = shop(1).await;
    let tables: Vec<_> =
        [Table::Catalog, Table::Stock].map(|table| (table, empty.memory.items(table))).into_iter().collect();
    for order in orders {
        let world = world(1);
        for (table, items) in &tables {
            world.memory.put_many(*table, items.clone()).await.unwrap();
        }
        let mut newest = 0;
        for version in &order {
            // A line that is not newer than what stands counts as skipped, and changes nothing.
            let before = world.memory.items(Table::Stock);
            let expected = if *version > newest { (1, 0, 0) } else { (0, 1, 0) };
            assert_eq!(
                counts(&world.send(Entity::Inventory, &[line(*version)]).await),
                expected,
                "{order:?}"
            );
            if *version <= newest {
                assert_eq!(world.memory.items(Table::Stock), before, "{order:?}");
            }
            newest = newest.max(*version);
        }
        let stands = counters(&world).await;
        assert_eq!((stands.sync_version, stands.on_hand), (Some(4), 40_000), "{order:?}");
        // As many movements as there were versions newer than all before them.
        let is_newer = |at: &usize| order[..*at].iter().all(|before| before < &order[*at]);
        let applied = (0..order.len()).filter(is_newer).count();
        assert_eq!(stands.seq, i64::try_from(applied).unwrap(), "{order:?}");
    }
}

/// In one batch, too: lines of one stock item are applied one after the other.
#[tokio::test]
async fn the_newest_line_of_a_batch_stands() {
    for order in permutations(&[1, 2, 3, 4]) {
        let world = shop(2).await;
        let lines: Vec<_> = order.iter().map(|version| line(*version)).collect();
        assert_eq!(world.send(Entity::Inventory, &lines).await.failed, 0);
        let stands = counters(&world).await;
        assert_eq!((stands.sync_version, stands.on_hand), (Some(4), 40_000), "{order:?}");
    }
}

fn send(world: &World, ports: &Ports, version: u64) -> Request<()> {
    let world = World { ports: ports.clone(), ..world.clone() };
    Box::pin(async move {
        assert_eq!(world.send(Entity::Inventory, &[line(version)]).await.failed, 0);
    })
}

fn sale(world: &World, ports: &Ports) -> Request<()> {
    let (ports, scope) = (ports.clone(), world.scope().clone());
    Box::pin(async move {
        let movement = Movement {
            kind: "sale",
            reference: "o-1".into(),
            actor: "till".into(),
            at: ports.environment.now(),
            reason: None,
        };
        let sold = Delta::sale(Quantity::from_pieces(1).unwrap());
        let write = stock_update(&scope, "s-1", "A", sold, &movement, vec![], vec![]);
        ports.database.write(write).await.unwrap();
    })
}

/// Checks that each movement follows from the one before it, and that no older line came after a newer one.
fn check_history(world: &World) -> Vec<String> {
    let key = world.scope().stock("s-1", "A");
    let mut before = Counters::default();
    let mut kinds = Vec::new();
    for change in world.memory.changes(Table::Stock, 0) {
        let item = change.new.unwrap();
        if item.opt_text("pk") != Some(key.pk()) {
            continue;
        }
        let after = Counters::of(&item).unwrap();
        assert_eq!(after.available, after.on_hand - after.reserved - after.safety_stock);
        if after.seq == before.seq {
            continue;
        }
        assert_eq!(after.seq, before.seq + 1);
        assert_eq!(after.on_hand, before.on_hand + item.number("last_on_hand").unwrap());
        assert_eq!(after.reserved, before.reserved + item.number("last_reserved").unwrap());
        let kind = item.text("last_kind").unwrap();
        if kind == "sync" {
            assert!(before.sync_version < after.sync_version, "an older count over a newer one");
            let counted = i64::try_from(10_000 * after.sync_version.unwrap()).unwrap();
            assert_eq!(after.on_hand, counted, "it sets what it says, whatever was sold meanwhile");
        }
        kinds.push(kind.to_owned());
        before = after;
    }
    kinds
}

/// Two lines and a sale, in every order of their database calls.
#[tokio::test]
async fn two_lines_and_a_sale_in_every_order() {
    let template = shop(3).await;
    template.send(Entity::Inventory, &[line(1)]).await;
    let tables: Vec<_> = Table::ALL.into_iter().map(|table| (table, template.memory.items(table))).collect();
    let orders = Interleavings::interrupted(3);
    let mut different = std::collections::BTreeSet::new();
    while orders.again() {
        let world = world(3);
        for (table, items) in &tables {
            world.memory.put_many(*table, items.clone()).await.unwrap();
        }
        let ports = orders.ports(world.memory.clone(), 3);
        orders.run(vec![send(&world, &ports, 3), send(&world, &ports, 2), sale(&world, &ports)]);
        let stands = counters(&world).await;
        assert_eq!(stands.sync_version, Some(3), "the newest stands");
        let kinds = check_history(&world);
        assert!([2, 3].contains(&kinds.iter().skip(1).filter(|kind| *kind != "other").count()), "{kinds:?}");
        let sold_after = kinds.last().is_some_and(|kind| kind == "sale");
        assert_eq!(stands.on_hand, if sold_after { 29_000 } else { 30_000 }, "{kinds:?}");
        different.insert(kinds);
    }
    assert!(different.len() >= 4, "{different:?}");
}

/// A line beside a reservation, and beside a split and a merge, in every order of their database calls: the line
/// stands, what is held stays held, and the ledger has no gap.
#[tokio::test]
async fn a_line_beside_a_reservation_a_split_and_a_merge() {
    for beside in ["reserve", "split", "merge"] {
        let template = shop(4).await;
        template.send(Entity::Inventory, &[line(4)]).await;
        if beside == "merge" {
            split::split(&template.ports, template.scope(), "s-1", "A", 2).await.unwrap();
        }
        let tables: Vec<_> =
            Table::ALL.into_iter().map(|table| (table, template.memory.items(table))).collect();
        let orders = Interleavings::interrupted(3);
        while orders.again() {
            let world = world(4);
            for (table, items) in &tables {
                world.memory.put_many(*table, items.clone()).await.unwrap();
            }
            let ports = orders.ports(world.memory.clone(), 4);
            let other: Request<()> = {
                let (ports, scope) = (ports.clone(), world.scope().clone());
                let who = caller("t", &[Role::Operator]);
                Box::pin(async move {
                    match beside {
                        "reserve" => {
                            let wanted = json!({"ttl_seconds": 60,
                                "lines": [{"location_id": "s-1", "sku": "A", "quantity": 3}]});
                            let wanted: ReserveRequest = serde_json::from_value(wanted).unwrap();
                            reserve::reserve(&ports, &who, "r", &wanted).await.unwrap();
                        }
                        "split" => drop(split::split(&ports, &scope, "s-1", "A", 2).await.unwrap()),
                        _ => drop(split::merge(&ports, &scope, "s-1", "A").await.unwrap()),
                    }
                })
            };
            orders.run(vec![send(&world, &ports, 5), other]);
            split::make_whole(&world.ports, world.scope(), "s-1", "A").await.unwrap();
            let stands = counters(&world).await;
            let held = if beside == "reserve" { 3_000 } else { 0 };
            assert_eq!(
                (stands.sync_version, stands.on_hand, stands.reserved),
                (Some(5), 50_000, held),
                "{beside}"
            );
            assert_eq!(stands.available, 50_000 - held);
            // A hundredfold send changes nothing more.
            assert_eq!(counts(&world.send(Entity::Inventory, &[line(5)]).await), (0, 1, 0));
        }
        assert!(orders.runs() >= 8, "{beside}: {}", orders.runs());
    }
}
