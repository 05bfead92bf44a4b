//! Suppliers, orders from them, and what to order, as a client meets them.

use super::*;

/// Roles, preconditions, replays and lists of suppliers and of orders from them, and what a refusal tells of them.
#[tokio::test]
async fn goods_are_ordered_received_and_expected() {
    let api = Api::new().await;
    let supplier = json!({"id": "sup-1", "name": "Candles Ltd", "lead_time_days": 7, "currency": "GBP",
        "over_delivery_percent": 10, "supplies": [{"sku": "85123A", "unit_cost": "1.10", "pack_size": 12}]});
    let staff = api.token("demo", "warehouse_staff", &["w-uk-1"]);
    let cashier = api.token("demo", "cashier", &["w-uk-1"]);
    api.send(&staff, "POST", "/v1/suppliers", "s", Some(&supplier)).await.refused(403, "role_required");
    let made = api.post("/v1/suppliers", "s", &supplier).await.expect(201);
    assert_eq!((&made.headers["etag"], &made.body["version"]), (&"\"1\"".parse().unwrap(), &json!(1)));
    assert!(api.post("/v1/suppliers", "s", &supplier).await.expect(201).replayed());
    api.post("/v1/suppliers", "s2", &supplier).await.refused(409, "supplier_exists");
    let one = "/v1/suppliers/sup-1";
    let put = async |tag: &str, key: &str, days: u64| {
        let mut body = supplier.clone();
        body["lead_time_days"] = days.into();
        let request = Request::builder().method("PUT").uri(one).header("if-match", tag);
        let request = request.header("authorization", format!("Bearer {}", api.operator()));
        api.answer(request.header("idempotency-key", key).body(Body::from(body.to_string())).unwrap()).await
    };
    put("\"7\"", "p", 9).await.refused(412, "version_mismatch");
    put("1", "p", 9).await.refused(400, "if_match_malformed");
    let changed = put("\"1\"", "p", 9).await.expect(200);
    assert_eq!((&changed.headers["etag"], changed.replayed()), (&"\"2\"".parse().unwrap(), false));
    assert!(put("\"1\"", "p", 9).await.expect(200).replayed());
    assert_eq!(api.send(&staff, "GET", one, "", None).await.expect(200).body, changed.body);
    api.send(&cashier, "GET", one, "", None).await.refused(403, "role_required");
    api.get("/v1/suppliers/none").await.refused(404, "supplier_not_found");
    let list = api.get("/v1/suppliers?limit=1").await.expect(200).body;
    assert_eq!((&list["items"][0]["supplies_count"], &list["next_cursor"]), (&json!(1), &Value::Null));
    let mut wrong = supplier.clone();
    wrong["rating"] = json!(5);
    assert_eq!(
        api.post("/v1/suppliers", "w", &wrong).await.refused(422, "field_invalid")["errors"][0]["field"],
        "rating"
    );

    let path = "/v1/purchase-orders";
    let mut order = json!({"purchase_order_id": "po-1", "supplier_id": "sup-1", "location_id": "w-uk-1",
        "expected_at": "2026-01-01T08:00", "lines": [{"sku": "85123A", "quantity": 10}]});
    let refused = api.post(path, "k", &order).await.refused(422, "field_invalid");
    assert_eq!(refused["errors"][0]["field"], "expected_at");
    order.as_object_mut().unwrap().remove("expected_at");
    api.send(&cashier, "POST", path, "k", Some(&order)).await.refused(403, "role_required");
    let far = api.token("demo", "store_manager", &["s-uk-1"]);
    api.send(&far, "POST", path, "k", Some(&order)).await.refused(403, "store_out_of_reach");
    api.post(path, "", &order).await.refused(400, "idempotency_key_missing");
    let placed = api.send(&staff, "POST", path, "k", Some(&order)).await.expect(201);
    assert_eq!(
        (&placed.headers["etag"], &placed.body["status"]),
        (&"\"1\"".parse().unwrap(), &json!("ordered"))
    );
    assert_eq!(placed.body["lines"][0]["unit_cost"], "1.10");
    let again = api.send(&staff, "POST", path, "k", Some(&order)).await.expect(201);
    assert!(again.replayed() && !placed.replayed());
    assert_eq!(again.body, placed.body);

    let level = api.get("/v1/inventory/w-uk-1/85123A").await.expect(200).body;
    assert_eq!((&level["incoming"], &level["available"]), (&json!(10), &json!(0)));
    let short =
        api.post("/v1/inventory/reserve", "v", &hold("w-uk-1", 1)).await.refused(409, "insufficient_stock");
    let line = &short["lines"][0];
    assert_eq!(line["incoming"], 10);
    assert_eq!(line["expected"], json!([{"quantity": 10, "at": placed.body["expected_at"]}]));

    let receive = format!("{path}/po-1/receive");
    let some = |pieces: i64| json!({"lines": [{"sku": "85123A", "quantity": pieces, "damaged": 1}]});
    let above = api.post(&receive, "r", &some(11)).await.refused(409, "over_delivery");
    assert_eq!((&above["bound"], &above["sku"]), (&json!(11), &json!("85123A")));
    let if_match = async |tag: &str| {
        let request = Request::builder().method("POST").uri(&receive).header("if-match", tag);
        let request = request.header("authorization", format!("Bearer {staff}"));
        api.answer(request.header("idempotency-key", "r").body(Body::from(some(2).to_string())).unwrap())
            .await
    };
    if_match("\"7\"").await.refused(412, "version_mismatch");
    if_match("\"1\"").await.expect(200);
    assert!(if_match("\"1\"").await.expect(200).replayed());
    let reason = json!({"reason": "gone bankrupt"});
    api.post(&format!("{path}/po-1/cancel"), "c", &reason)
        .await
        .refused(409, "purchase_order_not_cancellable");
    api.post(&format!("{path}/po-1/close"), "c", &json!({})).await.refused(422, "field_invalid");
    let open = format!("{path}?location_id=w-uk-1");
    assert_eq!(api.get(&open).await.expect(200).body["items"][0]["status"], "partly_received");
    // Who receives says nothing of what: all of it.
    let all = api.send(&staff, "POST", &receive, "r-2", None).await.expect(200);
    assert_eq!((&all.body["status"], &all.body["version"]), (&json!("received"), &json!(3)));
    let late =
        api.post(&format!("{path}/po-1/close"), "c", &reason).await.refused(409, "purchase_order_closed");
    assert_eq!((&late["status"], &late["purchase_order_status"]), (&json!(409), &json!("received")));
    assert_eq!(api.get(&open).await.expect(200).body["items"], json!([]));
    let closed = format!("{path}?supplier_id=sup-1&state=closed");
    assert_eq!(api.get(&closed).await.expect(200).body["items"][0]["purchase_order_id"], "po-1");
    api.get(path).await.refused(422, "location_or_supplier_missing");
    api.get(&format!("{open}&state=lost")).await.refused(422, "query_invalid");
    let read = api.get(&format!("{path}/po-1")).await.expect(200);
    assert_eq!(
        (&read.headers["etag"], &read.body["steps"][1]["lines"][0]["damaged"]),
        (&"\"3\"".parse().unwrap(), &json!(1))
    );
    api.get(&format!("{path}/none")).await.refused(404, "purchase_order_not_found");
    let stranger = api.token("other", "operator", &["*"]);
    api.send(&stranger, "GET", &format!("{path}/po-1"), "", None)
        .await
        .refused(404, "purchase_order_not_found");

    let delivery = json!({"location_id": "s-uk-1", "sku": "85123A", "quantity": 5, "supplier_id": "sup-1"});
    api.send(&cashier, "POST", "/v1/inventory/restock", "d", Some(&delivery))
        .await
        .refused(403, "role_required");
    let restocked = api.post("/v1/inventory/restock", "d", &delivery).await.expect(200);
    assert_eq!((&restocked.body["on_hand"], &restocked.body["change"]), (&json!(5), &json!(5)));
    assert_eq!(restocked.headers["etag"], "\"1\"");
    assert!(api.post("/v1/inventory/restock", "d", &delivery).await.expect(200).replayed());
}

#[tokio::test]
async fn what_is_low_is_listed_and_what_to_order_is_suggested() {
    let api = Api::new().await;
    api.count("w-uk-1", 4).await;
    let scope = TenantScope::from_own_record("demo");
    let changes = vec![tillstream_app::database::Change::Set("reorder_point", 10_000.into())];
    let key = scope.stock("w-uk-1", "85123A");
    api.database.write(Write::Update { table: Table::Stock, key, changes, condition: None }).await.unwrap();
    let ports = Ports { database: api.database.clone(), environment: api.environment.clone() };
    let (what, hint) = (("w-uk-1", "85123A"), tillstream_app::stock::alerts::Hint::Crossed);
    let now = api.environment.now();
    assert!(tillstream_app::stock::alerts::settle(&ports, &scope, what, hint, now).await.unwrap());
    let alerts = "/v1/inventory/alerts?location_id=w-uk-1";
    let list = api.get(alerts).await.expect(200).body;
    let low = &list["items"][0];
    assert_eq!(
        (&low["level"], &low["available"], &low["reorder_point"]),
        (&json!("low"), &json!(4), &json!(10))
    );
    assert_eq!(api.get(&format!("{alerts}&state=closed")).await.expect(200).body["items"], json!([]));
    api.get(&format!("{alerts}&state=lost")).await.refused(422, "query_invalid");
    api.get("/v1/inventory/alerts").await.refused(422, "query_invalid");
    let far = api.token("demo", "store_manager", &["s-uk-1"]);
    api.send(&far, "GET", alerts, "", None).await.refused(403, "store_out_of_reach");

    let suggestions = "/v1/inventory/suggestions?location_id=w-uk-1";
    let page = api.get(&format!("{suggestions}&days=14")).await.expect(200).body;
    assert_eq!((&page["days"], &page["review_days"]), (&json!(14), &json!(7)));
    let one = &page["items"][0];
    assert_eq!((&one["quantity"], &one["target"], &one["position"]), (&json!(6), &json!(10), &json!(4)));
    assert!(one.get("supplier_id").is_none());
    let cashier = api.token("demo", "cashier", &["*"]);
    api.send(&cashier, "GET", suggestions, "", None).await.refused(403, "role_required");
    api.send(&far, "GET", suggestions, "", None).await.refused(403, "store_out_of_reach");
    api.get(&format!("{suggestions}&days=0")).await.refused(422, "days_out_of_range");
    api.get(&format!("{suggestions}&days=x")).await.refused(422, "query_invalid");
}

/// Counted 40 at nine in the morning, of which 7 were sold at once: on hand 33 for the 15 hours that were left of the day,
/// 20.625 on average over all of it.
#[tokio::test]
async fn how_fast_stock_moves_is_told_of_closed_days() {
    let api = Api::new().await;
    api.count("w-uk-1", 40).await;
    let held = api.post("/v1/inventory/reserve", "v", &hold("w-uk-1", 7)).await.expect(201).body;
    let commit = format!("/v1/inventory/reservations/{}/commit", held["reservation_id"].as_str().unwrap());
    api.post(&commit, "c", &json!({})).await.expect(200);
    // What the relay does.
    let changes = api.database.changes(Table::Stock, 0);
    let rows = changes.iter().filter_map(|c| ledger::ledger_rows(c.old.as_ref(), c.new.as_ref()).unwrap());
    let ports = Ports { database: api.database.clone(), environment: api.environment.clone() };
    ledger::record(&ports, rows.collect()).await.unwrap();

    let turnover = "/v1/inventory/turnover?location_id=w-uk-1";
    let today = api.get(&format!("{turnover}&days=1")).await.expect(200).body;
    assert_eq!((&today["to"], &today["items"][0]["sold"]), (&json!("2026-03-01"), &json!(0)));
    api.environment.advance(std::time::Duration::from_secs(86_400));
    let page = api.get(&format!("{turnover}&days=1")).await.expect(200).body;
    let expected = json!({"location_id": "w-uk-1", "from": "2026-03-02", "to": "2026-03-02", "items": [{
        "sku": "85123A", "sold": 7, "received": 0, "other": 40, "opening": 0, "closing": 33,
        "average_on_hand": "20.625", "sold_per_day": 7, "on_hand": 33, "available": 33, "coming": 0,
        "cover_days": "4.7", "sell_through": null, "turns": "0.34",
    }], "next_cursor": null});
    assert_eq!(page, expected);
    assert_eq!(api.get(&format!("{turnover}&days=1&sku=85123A")).await.expect(200).body, expected);
    assert_eq!(api.get(turnover).await.expect(200).body["from"], "2026-02-03", "28 days");

    let (cashier, far) =
        (api.token("demo", "cashier", &["*"]), api.token("demo", "store_manager", &["s-uk-1"]));
    api.send(&cashier, "GET", turnover, "", None).await.refused(403, "role_required");
    api.send(&far, "GET", turnover, "", None).await.refused(403, "store_out_of_reach");
    api.get("/v1/inventory/turnover?location_id=nowhere").await.refused(404, "location_not_found");
    api.get("/v1/inventory/turnover").await.refused(422, "query_invalid");
    api.get(&format!("{turnover}&cursor=abc")).await.refused(400, "cursor_malformed");
    for (wrong, code) in [
        ("days=91", "days_out_of_range"),
        ("days=x", "query_invalid"),
        ("limit=51", "limit_out_of_range"),
        ("sku=%20", "sku_malformed"),
        ("sku=NONE", "sku_unknown"),
        ("colour=red", "query_invalid"),
    ] {
        api.get(&format!("{turnover}&{wrong}")).await.refused(422, code);
    }
}
