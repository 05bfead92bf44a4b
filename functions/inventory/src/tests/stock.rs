//! Updates, transfers, counts and exceptions of stock as a client meets them.

use super::*;

#[tokio::test]
async fn an_exception_is_listed_and_resolved() {
    let api = Api::new().await;
    api.count("s-uk-1", 10).await;
    api.post("/v1/inventory/reserve", "r", &hold("s-uk-1", 8)).await.expect(201);
    api.count("s-uk-1", 5).await;
    let list = "/v1/inventory/exceptions?location_id=s-uk-1";
    let task = api.get(list).await.expect(200).body["items"][0].clone();
    let seen = [&task["kind"], &task["status"], &task["quantity"]];
    assert_eq!(seen, [&json!("below_promised"), &json!("open"), &json!(3)]);
    assert!(task.get("resolution").is_none() && task.get("order_id").is_none());
    let path = format!("/v1/inventory/exceptions/{}/resolve", task["exception_id"].as_str().unwrap());
    let body = json!({"reason": "found in the back room"});
    for role in ["cashier", "integration", "analyst"] {
        let token = api.token("demo", role, &["*"]);
        api.send(&token, "POST", &path, "k", Some(&body)).await.refused(403, "role_required");
    }
    let far = api.token("demo", "store_manager", &["s-uk-2"]);
    api.send(&far, "POST", &path, "k", Some(&body)).await.refused(403, "store_out_of_reach");
    api.send(&far, "GET", list, "", None).await.refused(403, "store_out_of_reach");
    api.post(&path, "", &body).await.refused(400, "idempotency_key_missing");
    api.post("/v1/inventory/exceptions/x-1/resolve", "k", &body).await.refused(404, "exception_not_found");
    api.get(&format!("{list}&status=lost")).await.refused(422, "query_invalid");
    let staff = api.token("demo", "warehouse_staff", &["*"]);
    let resolved = api.send(&staff, "POST", &path, "k", Some(&body)).await.expect(200);
    assert_eq!(resolved.body["resolution"]["reason"], "found in the back room");
    assert!(!resolved.replayed());
    assert!(api.send(&staff, "POST", &path, "k", Some(&body)).await.expect(200).replayed());
    api.post(&path, "l", &body).await.refused(409, "exception_resolved");
    assert_eq!(api.get(list).await.expect(200).body["items"], json!([]));
    let resolved = api.get(&format!("{list}&status=resolved")).await.expect(200).body;
    assert_eq!(resolved["items"][0]["exception_id"], task["exception_id"]);
}

#[tokio::test]
async fn an_update_applies_to_the_version_it_was_decided_on() {
    let api = Api::new().await;
    let send = async |key: &str, tag: &str, pieces: i64| {
        let request = Request::builder()
            .method("POST")
            .uri("/v1/inventory/update")
            .header("authorization", format!("Bearer {}", api.operator()))
            .header("idempotency-key", key)
            .header("if-match", tag)
            .body(Body::from(count("s-uk-1", pieces).to_string()));
        api.answer(request.unwrap()).await
    };
    send("k-1", "*", 5).await.refused(412, "version_mismatch");
    send("k-1", "5", 5).await.refused(400, "if_match_malformed");
    api.count("s-uk-1", 5).await;
    let read = api.get("/v1/inventory/s-uk-1/85123A").await.expect(200);
    let tag = read.headers["etag"].to_str().unwrap().to_owned();
    let done = send("k-1", &tag, 7).await.expect(200);
    let new_tag = done.headers["etag"].to_str().unwrap().to_owned();
    assert_ne!(new_tag, tag);
    // The version it was decided on is gone by its own doing.
    assert!(send("k-1", &tag, 7).await.expect(200).replayed());
    send("k-2", &tag, 9).await.refused(412, "version_mismatch");
    assert_eq!(api.get("/v1/inventory/s-uk-1/85123A").await.body["on_hand"], 7);
    assert_eq!(api.get("/v1/inventory/s-uk-1/85123A").await.headers["etag"], new_tag.as_str());
    send("k-2", &new_tag, 9).await.expect(200);
}

/// Roles, preconditions, an empty receipt and replays of transfers, and a reader of the feed beside them.
#[tokio::test]
async fn transfers_and_what_changed() {
    let api = Api::new().await;
    api.count("w-uk-1", 10).await;
    let since = async |cursor: Option<&Value>| {
        let query = cursor.map_or_else(String::new, |at| format!("?since={}", at.as_str().unwrap()));
        api.get(&format!("/v1/inventory/updates{query}")).await.expect(200).body
    };
    let begin = since(None).await;
    assert_eq!((&begin["items"], &begin["has_more"]), (&json!([]), &json!(false)));
    let path = "/v1/stock-movements/transfer";
    let wanted = json!({"transfer_id": "t-1", "from_location_id": "w-uk-1", "to_location_id": "s-uk-1",
        "lines": [{"sku": "85123A", "quantity": 6}]});
    for role in ["analyst", "cashier"] {
        let token = api.token("demo", role, &["*"]);
        api.send(&token, "POST", path, "k", Some(&wanted)).await.refused(403, "role_required");
    }
    let elsewhere = api.token("demo", "store_manager", &["s-uk-1"]);
    api.send(&elsewhere, "POST", path, "k", Some(&wanted)).await.refused(403, "store_out_of_reach");
    api.post(path, "", &wanted).await.refused(400, "idempotency_key_missing");
    let shipped = api.post(path, "k", &wanted).await.expect(201);
    assert_eq!(
        (&shipped.headers["etag"], &shipped.body["status"]),
        (&"\"1\"".parse().unwrap(), &json!("in_transit"))
    );
    let again = api.post(path, "k", &wanted).await.expect(201);
    assert!(again.replayed() && !shipped.replayed());
    assert_eq!(again.body, shipped.body);

    let receive = format!("{path}/t-1/receive");
    let two = json!({"lines": [{"sku": "85123A", "quantity": 2}]});
    let if_match = async |version: &str, key: &str| {
        let request = Request::builder().method("POST").uri(&receive).header("if-match", version);
        let request = request.header("authorization", format!("Bearer {}", api.operator()));
        api.answer(request.header("idempotency-key", key).body(Body::from(two.to_string())).unwrap()).await
    };
    if_match("\"7\"", "r-1").await.refused(412, "version_mismatch");
    if_match("1", "r-1").await.refused(400, "if_match_malformed");
    if_match("\"1\"", "r-1").await.expect(200);
    // What took effect is answered again, though the version has moved on.
    assert!(if_match("\"1\"", "r-1").await.expect(200).replayed());
    // Who receives says nothing of what: all of it.
    let all = api.send(&elsewhere, "POST", &receive, "r-2", None).await.expect(200);
    assert_eq!((&all.body["status"], &all.body["version"]), (&json!("received"), &json!(3)));
    let cancel = json!({"reason": "late"});
    let closed = api.post(&format!("{path}/t-1/cancel"), "c", &cancel).await.refused(409, "transfer_closed");
    assert_eq!((&closed["status"], &closed["transfer_status"]), (&json!(409), &json!("received")));
    api.get(&format!("{path}/none")).await.refused(404, "transfer_not_found");

    // What the relay does: both ends changed.
    let changes = api.database.changes(Table::Stock, 0);
    let rows = changes.iter().filter_map(|c| ledger::ledger_rows(c.old.as_ref(), c.new.as_ref()).unwrap());
    let ports = Ports { database: api.database.clone(), environment: api.environment.clone() };
    ledger::record(&ports, rows.collect()).await.unwrap();
    let told = since(Some(&begin["next_since"])).await;
    let at = |n: usize| (told["items"][n]["location_id"].clone(), told["items"][n]["on_hand"].clone());
    assert_eq!([at(0), at(1)], [(json!("s-uk-1"), json!(6)), (json!("w-uk-1"), json!(4))]);
    let stranger = api.token("other", "operator", &["*"]);
    let foreign = format!("/v1/inventory/updates?since={}", told["next_since"].as_str().unwrap());
    api.send(&stranger, "GET", &foreign, "", None).await.refused(400, "cursor_malformed");
    api.get("/v1/inventory/updates?wait_seconds=21").await.refused(422, "wait_out_of_range");
}

/// Roles, preconditions, an empty close and replays of count sheets.
#[tokio::test]
async fn a_count_sheet_is_opened_counted_and_closed() {
    let api = Api::new().await;
    api.count("s-uk-1", 10).await;
    let path = "/v1/inventory/counts";
    let sheet = json!({"count_id": "n-1", "location_id": "s-uk-1", "skus": ["85123A"], "blind": true});
    let as_role = |role| api.token("demo", role, &["*"]);
    for role in ["cashier", "integration", "franchise_owner", "analyst"] {
        api.send(&as_role(role), "POST", path, "o", Some(&sheet)).await.refused(403, "role_required");
    }
    let far = api.token("demo", "warehouse_staff", &["s-uk-2"]);
    api.send(&far, "POST", path, "o", Some(&sheet)).await.refused(403, "store_out_of_reach");
    api.post(path, "", &sheet).await.refused(400, "idempotency_key_missing");
    let staff = as_role("warehouse_staff");
    let opened = api.send(&staff, "POST", path, "o", Some(&sheet)).await.expect(201);
    assert_eq!(opened.headers["etag"], "\"1\"");
    assert!(opened.body["lines"][0].get("book").is_none() && opened.body.get("variance").is_none());
    assert!(api.send(&staff, "POST", path, "o", Some(&sheet)).await.expect(201).replayed());

    let lines = format!("{path}/n-1/lines");
    let counted = json!({"lines": [{"sku": "85123A", "counted": 8}]});
    for role in ["integration", "franchise_owner", "analyst"] {
        api.send(&as_role(role), "POST", &lines, "r", Some(&counted)).await.refused(403, "role_required");
    }
    let cashier = as_role("cashier");
    let recorded = api.send(&cashier, "POST", &lines, "r", Some(&counted)).await.expect(200);
    assert_eq!(
        (&recorded.headers["etag"], &recorded.body["counted_lines"]),
        (&"\"2\"".parse().unwrap(), &json!(1))
    );
    let again = api.send(&cashier, "POST", &lines, "r", Some(&counted)).await.expect(200);
    assert!(again.replayed() && again.body == recorded.body);

    let close = format!("{path}/n-1/close");
    let cancel = format!("{path}/n-1/cancel");
    let why = json!({"reason": "late"});
    for role in ["cashier", "integration", "analyst"] {
        api.send(&as_role(role), "POST", &close, "c", None).await.refused(403, "role_required");
        api.send(&as_role(role), "POST", &cancel, "c", Some(&why)).await.refused(403, "role_required");
    }
    api.post(&close, "c", &json!({"reasons": "x"})).await.refused(422, "field_invalid");
    let if_match = async |version: &str| {
        let request = Request::builder().method("POST").uri(&close).header("if-match", version);
        let request = request.header("authorization", format!("Bearer {staff}"));
        api.answer(request.header("idempotency-key", "c").body(Body::empty()).unwrap()).await
    };
    if_match("\"1\"").await.refused(412, "version_mismatch");
    let closed = if_match("\"2\"").await.expect(200);
    assert_eq!(
        (&closed.body["status"], &closed.body["lines"][0]["corrected"]),
        (&json!("closed"), &json!(-2))
    );
    assert!(if_match("\"2\"").await.expect(200).replayed());
    api.post(&close, "d", &json!({})).await.refused(409, "count_closed");
    api.post(&cancel, "d", &why).await.refused(409, "count_closed");
    assert_eq!(api.get("/v1/inventory/s-uk-1/85123A").await.body["on_hand"], 8);
    assert_eq!(api.get(&format!("{path}/n-1")).await.expect(200).body["lines"][0]["book"], 10);
    api.get(&format!("{path}/n-2")).await.refused(404, "count_not_found");
    let list = format!("{path}?location_id=s-uk-1");
    assert_eq!(api.get(&list).await.expect(200).body["items"], json!([]));
    assert_eq!(
        api.get(&format!("{list}&state=closed")).await.expect(200).body["items"][0]["count_id"],
        "n-1"
    );
    api.get(&format!("{list}&state=lost")).await.refused(422, "query_invalid");
    let other = api.token("other", "operator", &["*"]);
    api.send(&other, "GET", &format!("{path}/n-1"), "", None).await.refused(404, "count_not_found");

    // A correction is of a difference; who may resolve may ask for one.
    let correct = "/v1/inventory/exceptions/x-1/correct";
    for role in ["cashier", "integration", "analyst"] {
        api.send(&as_role(role), "POST", correct, "k", Some(&why)).await.refused(403, "role_required");
    }
    api.send(&staff, "POST", correct, "k", Some(&why)).await.refused(404, "exception_not_found");
}
