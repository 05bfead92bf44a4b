//! Suppliers by API and by feed.

use std::sync::atomic::Ordering;

use crate::feeds::{World, caller, counts, delete, world};
use futures::future::join_all;
use serde_json::{Value, json};
use tillstream_app::catalog::products::PutOutcome;
use tillstream_app::catalog::suppliers::{create, get, list, put};
use tillstream_app::database::Table;
use tillstream_app::sync::entities::Entity;
use tillstream_app::tenancy::Role;
use tillstream_app::{Error, Refusal, Result};
use tillstream_contracts::suppliers::SupplierBody;
use tillstream_domain::quantity::QuantityInput;
use tillstream_domain::supplier::Supplier;

fn body(id: &str, more: &Value) -> SupplierBody {
    let mut body = json!({"id": id, "name": "Candles Ltd", "lead_time_days": 7});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    serde_json::from_value(body).unwrap()
}

async fn make(world: &World, id: &str, key: &str, more: Value) -> Result<PutOutcome<Supplier>> {
    create(&world.ports, &world.caller, body(id, &more), key).await
}

async fn change(world: &World, key: &str, more: Value, version: Option<u64>) -> Result<PutOutcome<Supplier>> {
    let precondition = |current| match version {
        Some(version) if current != Some(version) => {
            Err(Refusal::conflict("version_mismatch", "another version stands"))
        }
        _ => Ok(()),
    };
    put(&world.ports, &world.caller, "sup-1", body("sup-1", &more), key, precondition).await
}

fn code<T>(result: Result<T>) -> Option<&'static str> {
    result.err().and_then(|error| error.code())
}

#[tokio::test]
async fn a_supplier_is_made_once_and_changed_at_the_version_that_was_seen() {
    let world = world(1);
    let everything = json!({"currency": "GBP", "over_delivery_percent": 5, "contact_name": "Jo",
        "email": "jo@example.com", "phone": "+44 113 496 0000", "address": "1 High Street\nLeeds",
        "supplies": [{"sku": "A", "lead_time_days": 3, "pack_size": 12, "unit_cost": "1.10"},
            {"sku": "CHEESE", "pack_size": "2.5"}, {"sku": "B"}]});
    let made = make(&world, "sup-1", "k", everything.clone()).await.unwrap();
    assert_eq!((made.created, made.replayed, made.now.version), (true, false, 1));
    let packs: Vec<_> = made.now.supplies.iter().map(|supplied| supplied.pack_size.clone()).collect();
    let pack = QuantityInput::Decimal("2.5".into());
    assert_eq!(packs, [Some(QuantityInput::Whole(12)), Some(pack), None]);
    let again = make(&world, "sup-1", "k", everything.clone()).await.unwrap();
    assert_eq!((again.created, again.replayed, &again.now), (true, true, &made.now));
    assert_eq!(code(make(&world, "sup-1", "k", json!({})).await), Some("idempotency_key_reused"));
    assert_eq!(code(make(&world, "sup-1", "k2", everything).await), Some("supplier_exists"));
    assert_eq!(get(&world.ports, &world.caller, "sup-1").await.unwrap(), made.now);

    assert_eq!(code(change(&world, "p", json!({}), Some(2)).await), Some("version_mismatch"));
    let changed = change(&world, "p", json!({"lead_time_days": 9}), Some(1)).await.unwrap();
    assert_eq!((changed.created, changed.now.version, changed.now.lead_time_days), (false, 2, 9));
    assert_eq!(changed.now.email, None, "the whole of it was written");
    // What took effect is answered again, though the version moved on by it.
    assert!(change(&world, "p", json!({"lead_time_days": 9}), Some(1)).await.unwrap().replayed);
    let other = put(&world.ports, &world.caller, "sup-2", body("sup-1", &json!({})), "q", |_| Ok(())).await;
    assert_eq!(code(other), Some("id_mismatch"));

    // HQ has the last word, and an older word of it none.
    let line = |version: u64, days: u64| {
        json!({"id": "sup-1", "version": version, "op": "upsert",
            "data": {"name": "Candles", "lead_time_days": days}})
    };
    assert_eq!(counts(&world.send(Entity::Suppliers, &[line(1, 4)]).await), (1, 0, 0));
    let standing = get(&world.ports, &world.caller, "sup-1").await.unwrap();
    assert_eq!((standing.version, standing.lead_time_days), (3, 4));
    assert_eq!(counts(&world.send(Entity::Suppliers, &[line(1, 5), delete("sup-1", 2)]).await), (1, 1, 0));
    assert_eq!(code(get(&world.ports, &world.caller, "sup-1").await), Some("supplier_not_found"));
    assert_eq!(code(make(&world, "sup-1", "k", json!({})).await), Some("idempotency_key_reused"));
    let anew = make(&world, "sup-1", "k3", json!({})).await.unwrap();
    assert_eq!((anew.created, anew.now.version), (true, 5), "versions never begin again");
}

#[tokio::test]
async fn one_request_sent_many_times_at_once_makes_one_supplier() {
    for seed in 0..30 {
        let world = world(seed);
        world.shaky.lost_answers.store(4, Ordering::SeqCst);
        for outcome in join_all((0..20).map(|_| make(&world, "sup-1", "k", json!({})))).await {
            assert_eq!(outcome.unwrap().now.version, 1, "seed {seed}");
        }
        let rivals = ["a", "b", "c"].map(|key| make(&world, "sup-2", key, json!({})));
        let outcomes = join_all(rivals).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "seed {seed}");
    }
}

#[tokio::test]
async fn wrong_fields_are_named_by_api_and_by_feed() {
    let world = world(2);
    let many: Vec<_> = (0..1_001).map(|n| json!({"sku": format!("S{n}")})).collect();
    for (more, field, code) in [
        (json!({"name": " x"}), "name", "name_malformed"),
        (json!({"name": "4111 1111 1111 1111"}), "name", "card_number_refused"),
        (json!({"lead_time_days": 731}), "lead_time_days", "lead_time_out_of_range"),
        (json!({"over_delivery_percent": 101}), "over_delivery_percent", "over_delivery_out_of_range"),
        (json!({"contact_name": ""}), "contact_name", "name_malformed"),
        (json!({"email": "nobody"}), "email", "email_malformed"),
        (json!({"phone": "call me"}), "phone", "phone_malformed"),
        (json!({"phone": "4111 1111 1111 1111"}), "phone", "card_number_refused"),
        (json!({"address": " "}), "address", "address_malformed"),
        (json!({"address": "4111111111111111"}), "address", "card_number_refused"),
        (json!({"supplies": many}), "supplies", "too_many_supplies"),
        (json!({"supplies": [{"sku": "A"}, {"sku": ""}]}), "supplies[1].sku", "sku_malformed"),
        (json!({"supplies": [{"sku": "A"}, {"sku": "A"}]}), "supplies[1].sku", "sku_repeated"),
        (
            json!({"supplies": [{"sku": "A", "lead_time_days": 731}]}),
            "supplies[0].lead_time_days",
            "lead_time_out_of_range",
        ),
        (json!({"supplies": [{"sku": "A", "pack_size": 0}]}), "supplies[0].pack_size", "quantity_invalid"),
        (json!({"supplies": [{"sku": "A", "unit_cost": "1"}]}), "currency", "currency_missing"),
    ] {
        let refused = make(&world, "sup-1", "k", more.clone()).await.unwrap_err();
        let Error::Rejected(refusal) = refused else { panic!("not a refusal") };
        let told = (refusal.errors[0].field.as_str(), refusal.errors[0].code.as_str());
        assert_eq!((refusal.code, told), ("field_invalid", (field, code)), "{more}");
        let mut line = serde_json::to_value(body("sup-1", &more)).unwrap();
        line.as_object_mut().unwrap().remove("id");
        let line = json!({"id": "sup-1", "version": 1, "op": "upsert", "data": line});
        let reply = world.send(Entity::Suppliers, &[line]).await;
        assert_eq!((reply.failed, reply.errors[0].code.as_str()), (1, code), "{more}");
    }
    assert_eq!(code(make(&world, "a/b", "k", json!({})).await), Some("field_invalid"));
    for (line, code) in [
        (json!({"id": "a/b", "version": 1, "op": "delete"}), "id_malformed"),
        (
            json!({"id": "sup-1", "version": 1, "op": "upsert",
                "data": {"id": "sup-2", "name": "x", "lead_time_days": 1}}),
            "id_mismatch",
        ),
        (json!({"id": "sup-1", "version": 1, "op": "upsert", "data": {"name": "x"}}), "line_invalid"),
        (
            json!({"id": "sup-1", "version": 1, "op": "upsert", "data": {"name": "x", "lead_time_days": -1}}),
            "line_invalid",
        ),
    ] {
        let reply = world.send(Entity::Suppliers, std::slice::from_ref(&line)).await;
        assert_eq!((reply.failed, reply.errors[0].code.as_str()), (1, code), "{line}");
    }
    assert!(world.memory.items(Table::Catalog).iter().all(|item| item.opt_text("kind") != Some("supplier")));
}

#[tokio::test]
async fn a_supplier_of_a_thousand_skus_is_one_line_and_lists_go_on_where_they_stopped() {
    let world = world(3);
    let supplies: Vec<_> = (0..1_000)
        .map(|n| {
            let sku = format!("{n:04}{}", "\"".repeat(60));
            json!({"sku": sku, "lead_time_days": 730, "pack_size": "1000.123", "unit_cost": "999999.9999"})
        })
        .collect();
    let line = json!({"id": "sup-3", "version": 1, "op": "upsert",
        "data": {"name": "x", "lead_time_days": 1, "currency": "GBP", "supplies": supplies}});
    assert_eq!(counts(&world.send(Entity::Suppliers, &[line]).await), (1, 0, 0));
    assert_eq!(get(&world.ports, &world.caller, "sup-3").await.unwrap().supplies.len(), 1_000);
    for id in ["sup-1", "sup-4", "sup-2", "sup-5"] {
        make(&world, id, id, json!({})).await.unwrap();
    }
    world.send(Entity::Suppliers, &[delete("sup-4", 1)]).await;
    let (mut ids, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = list(&world.ports, &world.caller, Some(2), cursor.as_deref()).await.unwrap();
        ids.extend(page.0.into_iter().map(|supplier| supplier.id));
        cursor = page.1;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(ids.join(" "), "sup-1 sup-2 sup-3 sup-5");
    assert_eq!(code(list(&world.ports, &world.caller, Some(2), Some("x")).await), Some("cursor_malformed"));
    for (role, may_read, may_write) in [
        (Role::Cashier, false, false),
        (Role::Analyst, true, false),
        (Role::WarehouseStaff, true, false),
        (Role::FranchiseOwner, true, false),
        (Role::StoreManager, true, true),
        (Role::Integration, true, true),
        (Role::Operator, true, true),
    ] {
        let mut who = world.clone();
        who.caller = caller("t", &[role]);
        assert_eq!(get(&who.ports, &who.caller, "sup-1").await.is_ok(), may_read, "{role:?}");
        assert_eq!(list(&who.ports, &who.caller, None, None).await.is_ok(), may_read, "{role:?}");
        let made = make(&who, &format!("sup-{role:?}"), "k", json!({})).await;
        assert_eq!(code(made), (!may_write).then_some("role_required"), "{role:?}");
    }
    let mut stranger = world.clone();
    stranger.caller = caller("other", &[Role::Operator]);
    assert_eq!(code(get(&stranger.ports, &stranger.caller, "sup-1").await), Some("supplier_not_found"));
    assert_eq!(list(&stranger.ports, &stranger.caller, None, None).await.unwrap().0, []);
}
