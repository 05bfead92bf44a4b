//! Backorders as a client meets them.

use super::*;

#[tokio::test]
async fn customers_wait_and_are_served() {
    let api = Api::new().await;
    let path = "/v1/inventory/backorders";
    let wanted = json!({"backorder_id": "b-1", "location_id": "s-uk-1", "sku": "85123A", "quantity": 3,
        "customer_id": "cu-1"});
    api.post(path, "k", &wanted).await.refused(409, "backorders_not_allowed");
    let scope = TenantScope::from_own_record("demo");
    let backorders = BackorderSettings { allowed: true, ..BackorderSettings::default() };
    let settings = TenantSettings { backorders, ..TenantSettings::default() };
    let item = settings_item(&scope, &settings).unwrap();
    api.database.write(Write::Put { table: Table::Catalog, item, condition: None }).await.unwrap();
    // What a process remembers of settings is in force for a while.
    api.environment.advance(std::time::Duration::from_secs(16));

    let as_role = |role| api.token("demo", role, &["s-uk-1"]);
    for role in ["analyst", "franchise_owner"] {
        api.send(&as_role(role), "POST", path, "k", Some(&wanted)).await.refused(403, "role_required");
    }
    let far = api.token("demo", "cashier", &["s-uk-2"]);
    api.send(&far, "POST", path, "k", Some(&wanted)).await.refused(403, "store_out_of_reach");
    api.post(path, "", &wanted).await.refused(400, "idempotency_key_missing");
    let mut wrong = wanted.clone();
    wrong["needed_by"] = json!("2027-01-01");
    let refused = api.post(path, "k", &wrong).await.refused(422, "field_invalid");
    assert_eq!(refused["errors"][0]["field"], "needed_by");
    let mut more = wanted.clone();
    more["priority"] = json!(1);
    api.post(path, "k", &more).await.refused(422, "field_invalid");
    let cashier = as_role("cashier");
    let placed = api.send(&cashier, "POST", path, "k", Some(&wanted)).await.expect(201);
    assert_eq!((&placed.body["status"], &placed.body["number"]), (&json!("waiting"), &json!(1)));
    assert_eq!((&placed.headers["etag"], placed.replayed()), (&"\"1\"".parse().unwrap(), false));
    let again = api.send(&cashier, "POST", path, "k", Some(&wanted)).await.expect(201);
    assert!(again.replayed());
    assert_eq!(again.body, placed.body);
    let level = api.get("/v1/inventory/s-uk-1/85123A").await.expect(200).body;
    assert_eq!((&level["backordered"], &level["available"]), (&json!(3), &json!(0)));
    let list = api.get(&format!("{path}?location_id=s-uk-1&sku=85123A")).await.expect(200).body;
    assert_eq!(list["items"][0]["backorder_id"], "b-1");
    api.get(path).await.refused(422, "query_invalid");
    api.get(&format!("{path}?location_id=s-uk-1&state=lost")).await.refused(422, "query_invalid");
    api.send(&far, "GET", &format!("{path}/b-1"), "", None).await.refused(403, "store_out_of_reach");
    let stranger = api.token("other", "operator", &["*"]);
    api.send(&stranger, "GET", &format!("{path}/b-1"), "", None).await.refused(404, "backorder_not_found");

    // What the relay does.
    api.count("s-uk-1", 4).await;
    let ports = Ports { database: api.database.clone(), environment: api.environment.clone() };
    let what = ("s-uk-1", "85123A");
    let now = api.environment.now();
    assert_eq!(tillstream_app::stock::backorders::serve(&ports, &scope, what, now).await.unwrap(), 1);
    let one = api.get(&format!("{path}/b-1")).await.expect(200);
    assert_eq!((&one.body["status"], &one.headers["etag"]), (&json!("reserved"), &"\"2\"".parse().unwrap()));
    let held = one.body["reservation_id"].as_str().unwrap();
    let held = api.get(&format!("/v1/inventory/reservations/{held}")).await.expect(200).body;
    assert_eq!((&held["lines"][0]["quantity"], &held["expires_at"]), (&json!(3), &one.body["expires_at"]));
    assert_eq!(api.get("/v1/inventory/s-uk-1/85123A").await.expect(200).body.get("backordered"), None);

    let cancel = format!("{path}/b-1/cancel");
    let if_match = async |tag: &str| {
        let request = Request::builder().method("POST").uri(&cancel).header("if-match", tag);
        let request = request.header("authorization", format!("Bearer {cashier}"));
        api.answer(request.header("idempotency-key", "c").body(Body::empty()).unwrap()).await
    };
    if_match("\"1\"").await.refused(412, "version_mismatch");
    let cancelled = if_match("\"2\"").await.expect(200);
    assert_eq!((&cancelled.body["status"], &cancelled.body["version"]), (&json!("cancelled"), &json!(3)));
    assert!(if_match("\"2\"").await.expect(200).replayed());
    let over = api.post(&cancel, "c2", &json!({"reason": "x"})).await.refused(409, "backorder_over");
    assert_eq!(over["backorder_status"], "cancelled");
    api.post(&cancel, "c3", &json!({"why": "x"})).await.refused(422, "field_invalid");
    api.post(&format!("{path}/none/cancel"), "c", &json!({})).await.refused(404, "backorder_not_found");
    let closed = api.get(&format!("{path}?location_id=s-uk-1&state=closed")).await.expect(200).body;
    assert_eq!(closed["items"][0]["status"], "cancelled");
}
