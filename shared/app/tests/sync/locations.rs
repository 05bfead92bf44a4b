//! Locations by API.

use std::sync::atomic::Ordering;

use crate::feeds;
use crate::feeds::{World, caller, delete, reaching, world};
use futures::future::join_all;
use serde_json::{Value, json};
use tillstream_app::capacity::Operation;
use tillstream_app::catalog::items::{location_item, location_of, registers_ever};
use tillstream_app::catalog::locations::{create, get, list};
use tillstream_app::catalog::products::PutOutcome;
use tillstream_app::catalog::reach::{every_location_id, stores_in_reach};
use tillstream_app::database::{Database, Table};
use tillstream_app::environment::Environment;
use tillstream_app::sync::entities::Entity;
use tillstream_app::tenancy::{Caller, Role};
use tillstream_app::tenant_rules::tenant_rules;
use tillstream_app::{Error, Result};
use tillstream_contracts::catalog::LocationReply;
use tillstream_domain::location::{Location, LocationKind};
use tillstream_domain::stock_policies::{CartStock, UnsyncedStock};
use tillstream_testkit::faults::Fault;

async fn make(world: &World, id: &str, key: &str, more: Value) -> Result<PutOutcome<Location>> {
    let mut body = json!({"id": id, "kind": "store", "name": "Leeds", "time_zone": "Europe/London",
        "currency": "GBP", "registers": ["r-1", "r-2"]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    create(&world.ports, &world.caller, serde_json::from_value(body).unwrap(), key).await
}

#[tokio::test]
async fn a_location_is_made_once_and_its_tenant_is_registered() {
    let world = world(1);
    let made = make(&world, "s-1", "k", json!({})).await.unwrap();
    assert_eq!((made.replayed, made.now.version, made.now.business_day_start.as_str()), (false, 1, "00:00"));
    let again = make(&world, "s-1", "k", json!({})).await.unwrap();
    assert_eq!((again.created, again.replayed), (true, true));
    let code = |result: Result<_>| result.map(|_: PutOutcome<Location>| ()).unwrap_err().code();
    assert_eq!(code(make(&world, "s-1", "k", json!({"name": "x"})).await), Some("idempotency_key_reused"));
    assert_eq!(code(make(&world, "s-1", "k2", json!({})).await), Some("location_exists"));
    assert_eq!(get(&world.ports, world.scope(), "s-1").await.unwrap(), made.now);
    let entry = world.item(Table::Catalog, world.scope().registry_entry()).await.unwrap();
    assert_eq!(entry.text("tenant_id").unwrap(), "t");
    world.send(Entity::Locations, &[delete("s-1", 3)]).await;
    assert_eq!(get(&world.ports, world.scope(), "s-1").await.unwrap_err().code(), Some("location_not_found"));
    let anew = make(&world, "s-1", "k3", json!({})).await.unwrap();
    assert_eq!((anew.created, anew.now.version), (true, 4), "versions never begin again");
}

#[tokio::test]
async fn a_store_stays_a_store() {
    let world = world(3);
    make(&world, "s-1", "k", json!({})).await.unwrap();
    let warehouse = |version: u64| {
        json!({"id": "s-1", "version": version, "op": "upsert", "data": {"kind": "warehouse", "name": "x",
            "time_zone": "Europe/London", "currency": "GBP"}})
    };
    for version in [5, 7] {
        // As it stands, and after it was deleted.
        let reply = world.send(Entity::Locations, &[warehouse(version)]).await;
        assert_eq!((reply.failed, reply.errors[0].code.as_str()), (1, "kind_fixed"));
        world.send(Entity::Locations, &[delete("s-1", version + 1)]).await;
    }
    let refused = make(&world, "s-1", "k2", json!({"kind": "warehouse", "registers": []})).await;
    assert_eq!(refused.unwrap_err().code(), Some("kind_fixed"));
}

#[tokio::test]
async fn one_request_sent_many_times_at_once_makes_one_location() {
    for seed in 0..30 {
        let world = world(seed);
        world.shaky.lost_answers.store(4, Ordering::SeqCst);
        for outcome in join_all((0..20).map(|_| make(&world, "s-1", "k", json!({})))).await {
            assert_eq!(outcome.unwrap().now.version, 1, "seed {seed}");
        }
        let rivals = ["a", "b", "c"].map(|key| make(&world, "s-2", key, json!({})));
        let outcomes = join_all(rivals).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "seed {seed}");
    }
}

#[tokio::test]
async fn wrong_fields_are_named() {
    let world = world(2);
    let many: Vec<_> = (0..201).map(|n| format!("r-{n}")).collect();
    for (more, field) in [
        (json!({"time_zone": "Europe/Leeds"}), "time_zone"),
        (json!({"business_day_start": "24:00"}), "business_day_start"),
        (json!({"business_day_start": "4:30"}), "business_day_start"),
        (json!({"name": ""}), "name"),
        (json!({"capacity": -1}), "capacity"),
        (json!({"registers": many}), "registers"),
        (json!({"registers": ["r-1", "r-1"]}), "registers[1]"),
        (json!({"registers": ["a b"]}), "registers[0]"),
        (json!({"kind": "warehouse"}), "registers"),
        (json!({"id": "a/b"}), "id"),
    ] {
        let error = make(&world, "s-1", "k", more.clone()).await.unwrap_err();
        let Error::Rejected(refusal) = error else { panic!("not a refusal") };
        assert_eq!((refusal.code, refusal.errors[0].field.as_str()), ("field_invalid", field), "{more}");
    }
    let currency = serde_json::from_value::<tillstream_contracts::catalog::LocationBody>(
        json!({"id": "a", "kind": "store", "name": "A", "time_zone": "UTC", "currency": "pounds"}),
    );
    assert!(currency.is_err());
    let mut cashier = world.clone();
    cashier.caller = caller("t", &[Role::Cashier]);
    assert_eq!(make(&cashier, "s-1", "k", json!({})).await.unwrap_err().code(), Some("role_required"));
    let mut elsewhere = world.clone();
    elsewhere.caller = reaching(&world.caller, &["s-2"]);
    assert_eq!(make(&elsewhere, "s-1", "k", json!({})).await.unwrap_err().code(), Some("store_out_of_reach"));
}

#[tokio::test]
async fn lists_tell_kinds_apart_and_go_on_where_they_stopped() {
    let world = world(3);
    for n in 0..7 {
        let kind = if n % 2 == 0 { json!({}) } else { json!({"kind": "warehouse", "registers": []}) };
        make(&world, &format!("l-{n}"), &n.to_string(), kind).await.unwrap();
    }
    world.send(Entity::Locations, &[delete("l-2", 1)]).await;
    let ids = async |kind: Option<LocationKind>| {
        let (mut ids, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let (found, next) =
                list(&world.ports, world.scope(), kind, Some(2), cursor.as_deref()).await.unwrap();
            ids.extend(found.into_iter().map(|location| location.id));
            match next {
                Some(next) => cursor = Some(next),
                None => return ids.join(" "),
            }
        }
    };
    assert_eq!(ids(None).await, "l-0 l-1 l-3 l-4 l-5 l-6");
    assert_eq!(ids(Some(LocationKind::Store)).await, "l-0 l-4 l-6");
    assert_eq!(ids(Some(LocationKind::Warehouse)).await, "l-1 l-3 l-5");
    let (_, next) = list(&world.ports, world.scope(), None, Some(2), None).await.unwrap();
    let other = list(&world.ports, world.scope(), Some(LocationKind::Store), Some(2), next.as_deref()).await;
    assert_eq!(other.unwrap_err().code(), Some("cursor_malformed"));
}

#[tokio::test]
async fn fields_may_be_as_large_as_said_and_no_larger() {
    let world = world(4);
    let registers = |count: usize| (0..count).map(|n| format!("r-{n}")).collect::<Vec<_>>();
    for (n, (more, wrong)) in [
        (json!({"registers": registers(200)}), None),
        (json!({"registers": registers(201)}), Some("too_many_registers")),
        (json!({"capacity": 0}), None),
        (json!({"region": "x".repeat(64), "address": "1 High Street\nLeeds", "hours": "9 to 5"}), None),
        (json!({"region": "x".repeat(65)}), Some("region_malformed")),
        (json!({"address": " "}), Some("address_malformed")),
        (json!({"hours": "x".repeat(501)}), Some("hours_malformed")),
        (json!({"tax_number": "ä".repeat(64)}), None),
        (json!({"tax_number": "ä".repeat(65)}), Some("tax_number_malformed")),
        (json!({"tax_number": ""}), Some("tax_number_malformed")),
        (json!({"tax_number": " GB 1"}), Some("tax_number_malformed")),
        (json!({"tax_number": "GB\n1"}), Some("tax_number_malformed")),
        (json!({"latitude": 90_000_000, "longitude": -180_000_000}), None),
        (json!({"latitude": 0, "longitude": 0}), None),
        (json!({"latitude": 90_000_001, "longitude": 0}), Some("latitude_out_of_range")),
        (json!({"latitude": 0, "longitude": 180_000_001}), Some("longitude_out_of_range")),
        (json!({"latitude": i64::MIN, "longitude": i64::MAX}), Some("latitude_out_of_range")),
        (json!({"latitude": 53_800_755}), Some("coordinates_incomplete")),
        (json!({"longitude": -1_549_077}), Some("coordinates_incomplete")),
        (json!({"stock": {}}), None),
        (json!({"stock": {"unsynced": "allow", "at_cart": "check"}}), None),
        (json!({"registers": ["r~1"]}), Some("register_reserved")),
        (json!({"registers": ["virtual-1"]}), Some("register_reserved")),
        (json!({"registers": ["r-virtual-1"]}), None),
    ]
    .into_iter()
    .enumerate()
    {
        let made = make(&world, &format!("s-{n}"), &n.to_string(), more.clone()).await;
        let code = match made {
            Ok(_) => None,
            Err(Error::Rejected(refusal)) => refusal.errors.first().map(|error| error.code.clone()),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(code.as_deref(), wrong, "{more}");
    }
}

#[tokio::test]
async fn what_a_location_gave_numbers_to_is_remembered_when_it_is_gone() {
    let world = world(5);
    make(&world, "s-1", "k", json!({})).await.unwrap();
    let mut fewer = feeds::location("s-1", 5);
    fewer["data"]["registers"] = json!(["r-3"]);
    world.send(Entity::Locations, &[fewer]).await;
    let item = async || world.item(Table::Catalog, world.scope().location("s-1")).await.unwrap();
    let ever = ["r-1", "r-2", "r-3"].map(str::to_owned).into_iter().collect();
    assert_eq!(registers_ever(&item().await).unwrap(), ever);
    world.send(Entity::Locations, &[delete("s-1", 6)]).await;
    assert_eq!(registers_ever(&item().await).unwrap(), ever);
    // What was begun there must come to its end; what was never known had no beginning.
    assert_eq!(location_of(&item().await).unwrap().registers, ["r-3"]);
    world.send(Entity::Locations, &[delete("s-2", 1)]).await;
    let unknown = world.item(Table::Catalog, world.scope().location("s-2")).await.unwrap();
    assert_eq!(location_of(&unknown).unwrap_err().code(), Some("location_not_found"));
}

#[tokio::test]
async fn stores_in_reach_are_told_closed_ones_too_where_they_are_not_too_many() {
    let world = world(6);
    for (id, kind) in [("s-1", "store"), ("s-2", "store"), ("w-1", "warehouse")] {
        let registers = if kind == "store" { json!(["r-1"]) } else { json!([]) };
        make(&world, id, id, json!({"kind": kind, "registers": registers})).await.unwrap();
    }
    world.send(Entity::Locations, &[delete("s-2", 5), delete("s-9", 5)]).await;
    let reach = async |caller: &Caller, named: Option<&str>, most| {
        let found = stores_in_reach(&world.ports, caller, named, most).await?;
        Ok::<_, Error>(
            found.map(|stores| stores.into_iter().map(|store| store.id).collect::<Vec<_>>().join(" ")),
        )
    };
    let all = &world.caller;
    // There are four locations, one of which was never known.
    assert_eq!(reach(all, None, 4).await.unwrap().as_deref(), Some("s-1 s-2"));
    assert_eq!(reach(all, None, 3).await.unwrap(), None);
    assert_eq!(reach(all, Some("s-2"), 1).await.unwrap().as_deref(), Some("s-2"));
    let few = reaching(all, &["s-2", "w-1"]);
    assert_eq!(reach(&few, None, 2).await.unwrap().as_deref(), Some("s-2"));
    assert_eq!(reach(&few, None, 1).await.unwrap(), None);
    for (caller, store, code) in [
        (all, "w-1", "store_not_found"),
        (all, "s-9", "store_not_found"),
        (&few, "s-1", "store_out_of_reach"),
    ] {
        assert_eq!(reach(caller, Some(store), 9).await.unwrap_err().code(), Some(code), "{store}");
    }
    assert_eq!(reach(&reaching(all, &["w-1"]), None, 9).await.unwrap().as_deref(), Some(""));
}

#[tokio::test]
async fn location_ids_are_read_to_the_end_unless_they_are_too_many() {
    let world = world(7);
    let location = make(&world, "s-1", "k", json!({})).await.unwrap().now;
    let items = (0..1_100).map(|n| {
        let other = Location { id: format!("l-{n:04}"), ..location.clone() };
        location_item(world.scope(), &other).unwrap()
    });
    world.memory.put_many(Table::Catalog, items.collect()).await.unwrap();
    let ids = async |most| every_location_id(&world.ports, world.scope(), most).await.unwrap().len();
    assert_eq!((ids(5_000).await, ids(1_101).await), (1_101, 1_101));
    assert_eq!(ids(900).await, 1_000, "enough to know that they are too many");
}

#[tokio::test]
async fn a_write_is_tried_ten_times_with_waits_between() {
    for (busy, is_made) in [(9, true), (10, false)] {
        let world = world(8);
        let (troubled, database) = world.troubled();
        // The tenant is registered first.
        let script = std::iter::once(None).chain(std::iter::repeat_n(Some(Fault::Throttled), busy));
        database.script(Operation::Write, script);
        let begun = world.environment.now();
        let made = make(&troubled, "s-1", "k", json!({})).await;
        assert_eq!(made.is_ok(), is_made, "{busy}");
        assert!(is_made || matches!(made, Err(Error::Conflict(_))));
        assert!(world.environment.now() > begun, "each after a wait");
    }
}

/// Coordinates come by API and by feed, are told as they were sent, and go with a line that leaves them out.
#[tokio::test]
async fn coordinates_are_kept_as_they_are_sent() {
    let world = world(9);
    let leeds = json!({"latitude": 53_800_755, "longitude": -1_549_077});
    let made = make(&world, "s-1", "k", leeds).await.unwrap().now;
    let told = async || LocationReply::from(get(&world.ports, world.scope(), "s-1").await.unwrap());
    assert_eq!(told().await, LocationReply::from(made));
    assert_eq!((told().await.latitude, told().await.longitude), (Some(53_800_755), Some(-1_549_077)));
    let mut south = feeds::location("s-1", 5);
    south["data"]["latitude"] = json!(-33_868_800);
    south["data"]["longitude"] = json!(151_209_300);
    assert_eq!(world.send(Entity::Locations, &[south.clone()]).await.failed, 0);
    assert_eq!((told().await.latitude, told().await.longitude), (Some(-33_868_800), Some(151_209_300)));
    for (latitude, longitude, wrong) in [
        (json!(90_000_001), json!(0), "data.latitude"),
        (json!(0), json!(-180_000_001), "data.longitude"),
        (json!(0), Value::Null, "data.longitude"),
        (json!(53.8), json!(0), "data.latitude"),
        (json!("53.8"), json!(0), "data.latitude"),
    ] {
        let mut line = feeds::location("s-1", 6);
        line["data"]["latitude"] = latitude.clone();
        line["data"]["longitude"] = longitude.clone();
        let reply = world.send(Entity::Locations, &[line]).await;
        assert_eq!(reply.failed, 1, "{latitude} {longitude}");
        assert!(reply.errors[0].message.contains(wrong.trim_start_matches("data.")), "{:?}", reply.errors[0]);
    }
    assert_eq!(told().await.latitude, Some(-33_868_800), "a line that was refused changes nothing");
    world.send(Entity::Locations, &[feeds::location("s-1", 7)]).await;
    assert_eq!((told().await.latitude, told().await.longitude), (None, None));
}

/// What a location decides about its stock is in force where its tenant's rules are read, as long as it decides it.
#[tokio::test]
async fn what_a_location_decides_about_its_stock_is_among_the_rules() {
    let world = world(10);
    let in_force = async |id: &str| {
        // Longer than anything is remembered.
        world.environment.advance(std::time::Duration::from_secs(16));
        let now = world.environment.now();
        let policies = tenant_rules(&world.ports, world.scope(), now).await.unwrap().stock_policies(id);
        (policies.unsynced, policies.at_cart)
    };
    let as_tenant = (UnsyncedStock::Refuse, CartStock::None);
    let own = json!({"stock": {"unsynced": "allow"}});
    let made = make(&world, "s-1", "k", own).await.unwrap();
    let shown = serde_json::to_value(LocationReply::from(made.now)).unwrap();
    assert_eq!(shown["stock"], json!({"unsynced": "allow"}));
    assert!(make(&world, "s-1", "k", json!({"stock": {"unsynced": "allow"}})).await.unwrap().replayed);
    make(&world, "s-2", "k2", json!({})).await.unwrap();
    assert_eq!(in_force("s-1").await, (UnsyncedStock::Allow, CartStock::None));
    assert_eq!(in_force("s-2").await, as_tenant, "each for itself");
    let line = |version: u64, stock: Value| {
        let mut line = feeds::location("s-1", version);
        line["data"]["stock"] = stock;
        line
    };
    world.send(Entity::Locations, &[line(5, json!({"at_cart": "check"}))]).await;
    assert_eq!(in_force("s-1").await, (UnsyncedStock::Refuse, CartStock::Check));
    // An older line, and one that is refused, change neither.
    world.send(Entity::Locations, &[line(4, json!({"unsynced": "allow"}))]).await;
    let wrong = world.send(Entity::Locations, &[line(6, json!({"unsynced": "perhaps"}))]).await;
    assert_eq!((wrong.failed, in_force("s-1").await), (1, (UnsyncedStock::Refuse, CartStock::Check)));
    world.send(Entity::Locations, &[feeds::location("s-1", 7)]).await;
    assert_eq!(in_force("s-1").await, as_tenant, "left out");
    world.send(Entity::Locations, &[line(8, json!({"unsynced": "allow"}))]).await;
    world.send(Entity::Locations, &[delete("s-1", 9)]).await;
    assert_eq!(in_force("s-1").await, as_tenant, "deleted");
    make(&world, "s-1", "k3", json!({})).await.unwrap();
    assert_eq!(in_force("s-1").await, as_tenant, "made anew");
}

/// One write or none: where the answer is lost, location and rules agree all the same.
#[tokio::test]
async fn a_location_and_what_it_decides_are_written_together() {
    for fault in [Fault::Throttled, Fault::Conflict, Fault::TimedOutBefore, Fault::AnswerLost] {
        let world = world(11);
        let (troubled, database) = world.troubled();
        database.script(Operation::Transact, [Some(fault)]);
        let made = make(&troubled, "s-1", "k", json!({"stock": {"at_cart": "check"}})).await.unwrap();
        assert!(!made.replayed && made.now.version == 1, "{fault:?}");
        assert!(!database.injected().is_empty(), "{fault:?}");
        let now = world.environment.now();
        let rules = tenant_rules(&world.ports, world.scope(), now).await.unwrap();
        assert_eq!(rules.stock_policies("s-1").at_cart, CartStock::Check, "{fault:?}");
        let stands = get(&world.ports, world.scope(), "s-1").await.unwrap();
        assert_eq!(stands.stock.at_cart, Some(CartStock::Check), "{fault:?}");
    }
}

/// Which costs twice as much.
#[tokio::test]
async fn a_location_alone_is_no_transaction() {
    let world = world(8);
    let (troubled, database) = world.troubled();
    database.fail_next(Operation::Transact, Fault::Refused);
    make(&troubled, "s-1", "k", json!({})).await.unwrap();
    assert!(!database.injected().contains_key(&(Operation::Transact, Fault::Refused)));
}
