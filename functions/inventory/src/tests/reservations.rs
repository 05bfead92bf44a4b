//! Reservations as a client meets them.

use super::*;

#[tokio::test]
async fn stock_goes_from_count_to_reservation_to_sale() {
    let api = Api::new().await;
    let counted = api.count("s-uk-1", 10).await;
    assert!(!counted.replayed());
    assert_eq!(
        counted.body,
        json!({"location_id": "s-uk-1", "sku": "85123A", "on_hand": 10, "reserved": 0, "available": 10,
            "incoming": 0, "in_transit": 0, "damaged": 0, "safety_stock": 0, "reorder_point": 0, "version": 1,
            "change": 10, "exception_opened": false})
    );
    let again = api.count("s-uk-1", 10).await;
    assert!(again.replayed());
    assert_eq!(again.body, counted.body);
    api.count("w-uk-1", 4).await;

    let held = api.post("/v1/inventory/reserve", "r", &hold("s-uk-1", 7)).await.expect(201);
    let replay = api.post("/v1/inventory/reserve", "r", &hold("s-uk-1", 7)).await.expect(201);
    assert!(replay.replayed() && !held.replayed());
    assert_eq!(replay.body, held.body);
    api.post("/v1/inventory/reserve", "r", &hold("s-uk-1", 6)).await.refused(422, "idempotency_key_reused");
    let refused =
        api.post("/v1/inventory/reserve", "r2", &hold("s-uk-1", 4)).await.refused(409, "insufficient_stock");
    assert_eq!(
        refused["lines"],
        json!([{"location_id": "s-uk-1", "sku": "85123A", "requested": 4, "available": 3, "incoming": 0,
            "expected": [], "elsewhere": [{"location_id": "w-uk-1", "available": 4}]}])
    );

    let path = format!("/v1/inventory/reservations/{}", held.body["reservation_id"].as_str().unwrap());
    assert_eq!(api.get(&path).await.expect(200).body["status"], "active");
    let extend = json!({"ttl_seconds": 1_800});
    api.post(&format!("{path}/extend"), "x", &extend).await.expect(200);
    assert!(api.post(&format!("{path}/extend"), "x", &extend).await.expect(200).replayed());
    let refused =
        api.post(&format!("{path}/commit"), "c", &json!({"quantity": 3})).await.refused(422, "field_invalid");
    assert_eq!(refused["errors"][0]["field"], "quantity");
    let part = json!({"lines": [{"location_id": "s-uk-1", "sku": "85123A", "quantity": 3}]});
    let sold = api.post(&format!("{path}/commit"), "p", &part).await.expect(200);
    assert_eq!((&sold.body["status"], &sold.body["lines"][0]["committed"]), (&json!("active"), &json!(3)));
    assert!(api.post(&format!("{path}/commit"), "p", &part).await.expect(200).replayed());
    let five = json!({"lines": [{"location_id": "s-uk-1", "sku": "85123A", "quantity": 5}]});
    let above = api.post(&format!("{path}/commit"), "c", &five).await.refused(409, "commit_above_held");
    assert_eq!((&above["lines"][0]["requested"], &above["lines"][0]["held"]), (&json!(5), &json!(4)));
    let operator = api.operator();
    let committed = api.send(&operator, "POST", &format!("{path}/commit"), "c", None).await.expect(200);
    assert_eq!(
        (&committed.body["status"], &committed.body["lines"][0]["committed"]),
        (&json!("committed"), &json!(7))
    );
    api.post(&format!("{path}/release"), "rel", &json!({})).await.refused(409, "reservation_not_active");

    let one = api.get("/v1/inventory/s-uk-1/85123A").await.expect(200);
    assert_eq!((&one.body["on_hand"], &one.body["version"]), (&json!(3), &json!(4)));
    assert_eq!(one.headers["etag"], "\"4\"");

    // What the relay does.
    for change in api.database.changes(Table::Stock, 0) {
        if let Some(row) = ledger::ledger_rows(change.old.as_ref(), change.new.as_ref()).unwrap() {
            let write = Write::Put { table: Table::Ledger, item: row, condition: None };
            api.database.write(write).await.unwrap();
        }
    }
    let names = "sku=85123A&location_id=s-uk-1";
    let movements = api.get(&format!("/v1/inventory/movements?{names}&limit=2")).await.expect(200).body;
    assert_eq!(movements["items"][0]["kind"], "commit");
    assert_eq!(
        movements["items"][0]["delta"],
        json!({"on_hand": -4, "reserved": -4, "damaged": 0, "in_transit": 0, "on_order": 0})
    );
    assert!(movements["next_cursor"].is_string());
    let proof = api.get(&format!("/v1/inventory/conservation?{names}")).await.expect(200).body;
    assert_eq!((&proof["holds"], &proof["seq_reached"]), (&json!(true), &json!(4)));
}

/// A reservation that leaves open from where, over HTTP: chosen, repeated, refused with what is where.
#[tokio::test]
async fn a_reservation_chooses_its_locations() {
    let api = Api::new().await;
    let mut near = location("s-near", "store");
    near["latitude"] = json!(53_800_755);
    near["longitude"] = json!(-1_549_077);
    let made = api.post("/v1/locations", "s-near", &near).await.expect(201).body;
    assert_eq!((&made["latitude"], &made["longitude"]), (&json!(53_800_755), &json!(-1_549_077)));
    assert_eq!(made["stock"], Value::Null);
    api.count("s-near", 2).await;
    api.count("w-uk-1", 5).await;
    let path = "/v1/inventory/reserve";
    let wanted = |pieces: i64, sourcing: Value| json!({"lines": [{"sku": "85123A", "quantity": pieces}], "ttl_seconds": 900, "sourcing": sourcing});
    let priority = json!({"policy": "priority", "locations": ["s-near", "w-uk-1"]});
    let held = api.post(path, "k", &wanted(3, priority.clone())).await.expect(201);
    assert_eq!(
        held.body["lines"],
        json!([{"location_id": "w-uk-1", "sku": "85123A", "quantity": 3, "committed": 0}])
    );
    let again = api.post(path, "k", &wanted(3, priority.clone())).await.expect(201);
    assert!(again.replayed() && again.body == held.body);
    let nearest = json!({"policy": "nearest", "near": {"latitude": 53_000_000, "longitude": 0}});
    let held = api.post(path, "k2", &wanted(1, nearest)).await.expect(201).body;
    assert_eq!(held["lines"][0]["location_id"], "s-near");
    let refused = api.post(path, "k3", &wanted(3, priority.clone())).await.refused(409, "insufficient_stock");
    let at = |location_id: &str, available: i64| json!({"location_id": location_id, "available": available, "incoming": 0, "expected": []});
    assert_eq!(
        refused["lines"],
        json!([{"sku": "85123A", "requested": 3, "available": 3,
            "locations": [at("w-uk-1", 2), at("s-near", 1)]}])
    );
    assert_eq!(refused["errors"][0]["field"], "lines[0].quantity");
    for (sourcing, code, field) in [
        (json!({"policy": "priority", "locations": []}), "locations_out_of_range", "sourcing.locations"),
        (json!({"policy": "nearest"}), "near_required", "sourcing.near"),
        (json!({"policy": "cheapest"}), "field_invalid", "sourcing.policy"),
        (
            json!({"policy": "priority", "locations": ["s-near"], "split": true}),
            "field_invalid",
            "sourcing.split",
        ),
    ] {
        let refused = api.post(path, "k4", &wanted(1, sourcing)).await.refused(422, code);
        assert_eq!(refused["errors"][0]["field"], field);
    }
    let mut both = hold("s-near", 1);
    both["sourcing"] = priority.clone();
    api.post(path, "k4", &both).await.refused(422, "location_not_allowed");
    let mut neither = wanted(1, priority.clone());
    neither.as_object_mut().unwrap().remove("sourcing");
    api.post(path, "k4", &neither).await.refused(422, "location_required");
    let unknown = json!({"policy": "priority", "locations": ["s-none"]});
    api.post(path, "k4", &wanted(1, unknown)).await.refused(404, "location_not_found");
    let cashier = api.token("demo", "cashier", &["s-near"]);
    let out = api.send(&cashier, "POST", path, "k4", Some(&wanted(1, priority.clone()))).await;
    out.refused(403, "store_out_of_reach");
    let analyst = api.token("demo", "analyst", &["*"]);
    let out = api.send(&analyst, "POST", path, "k4", Some(&wanted(1, priority))).await;
    out.refused(403, "role_required");
}

/// What a location decides about its stock is shown with it, and in force where stock is reserved.
#[tokio::test]
async fn a_location_decides_about_stock_that_nobody_has_told() {
    let api = Api::new().await;
    let mut open = location("s-new", "store");
    open["stock"] = json!({"unsynced": "allow"});
    api.post("/v1/locations", "s-new", &open).await.expect(201);
    let shown = api.get("/v1/locations/s-new").await.expect(200).body;
    assert_eq!(shown["stock"], json!({"unsynced": "allow"}));
    api.post("/v1/inventory/reserve", "k", &hold("s-uk-1", 1)).await.refused(409, "insufficient_stock");
    api.post("/v1/inventory/reserve", "k", &hold("s-new", 1)).await.expect(201);
    let tasks = api.get("/v1/inventory/exceptions?location_id=s-new").await.expect(200).body;
    assert_eq!(
        (&tasks["items"][0]["kind"], &tasks["items"][0]["quantity"]),
        (&json!("unsynced_stock"), &json!(1))
    );
    let mut wrong = location("s-wrong", "store");
    wrong["stock"] = json!({"unsynced": "perhaps"});
    api.post("/v1/locations", "s-wrong", &wrong).await.refused(422, "field_invalid");
    wrong["stock"] = json!({"at_cart": "keep"});
    let refused = api.post("/v1/locations", "s-wrong", &wrong).await.refused(422, "field_invalid");
    let message = refused["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("hold") && message.contains("check"), "{refused}");
    wrong["stock"] = json!({"at_cart": "hold", "hold_minutes": 1_441});
    let refused = api.post("/v1/locations", "s-wrong", &wrong).await.refused(422, "field_invalid");
    assert_eq!(refused["errors"][0]["field"], json!("stock.hold_minutes"));
    wrong["stock"] = json!({"backorder": true});
    api.post("/v1/locations", "s-wrong", &wrong).await.refused(422, "field_invalid");
}
