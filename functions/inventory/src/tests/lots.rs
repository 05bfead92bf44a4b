//! Lots as a client meets them.

use super::*;

#[tokio::test]
async fn a_lot_comes_in_and_is_recalled() {
    let api = Api::new().await;
    let delivery = json!({"location_id": "s-uk-1", "sku": "BANK CHARGES", "quantity": 5, "lot": "L-1",
        "expires_on": "2099-12-31"});
    let came = api.post("/v1/inventory/restock", "d", &delivery).await.expect(200);
    assert_eq!((&came.body["on_hand"], came.body.get("quarantined")), (&json!(5), None));
    let listed = api.get("/v1/inventory/lots?sku=BANK%20CHARGES").await.expect(200);
    let there = json!({"location_id": "s-uk-1", "sku": "BANK CHARGES", "lot_id": "L-1", "expires_on": "2099-12-31",
        "status": "sellable", "received_at": listed.body["items"][0]["received_at"], "on_hand": 5, "quarantined": 0});
    assert_eq!(listed.body, json!({"items": [there], "next_cursor": null}));
    api.get("/v1/inventory/lots").await.refused(422, "query_invalid");
    let write_off = json!({"location_id": "s-uk-1", "sku": "BANK CHARGES", "kind": "delta", "quantity": -1,
        "reason": "broken", "lot": "L-1"});
    assert_eq!(api.post("/v1/inventory/update", "w", &write_off).await.expect(200).body["change"], -1);
    let other = json!({"location_id": "s-uk-1", "sku": "85123A", "quantity": 1, "lot": "L-1"});
    api.post("/v1/inventory/restock", "o", &other).await.refused(422, "sku_without_lots");
    let why = json!({"reason": "recalled by the maker"});
    let recall = "/v1/inventory/lots/L-1/quarantine";
    api.post(recall, "", &why).await.refused(400, "idempotency_key_missing");
    api.post(recall, "q", &json!({})).await.refused(422, "field_invalid");
    api.post("/v1/inventory/lots/L-9/quarantine", "q", &why).await.refused(404, "lot_not_found");
    let cashier = api.token("demo", "cashier", &["*"]);
    api.send(&cashier, "POST", recall, "q", Some(&why)).await.refused(403, "role_required");
    let manager = api.token("demo", "store_manager", &["s-uk-1"]);
    api.send(&manager, "POST", recall, "q", Some(&why)).await.refused(403, "all_stores_required");
    let recalled = api.post(recall, "q", &why).await.expect(200);
    assert_eq!((&recalled.body["status"], &recalled.body["version"]), (&json!("quarantined"), &json!(2)));
    let again = api.post(recall, "q", &why).await.expect(200);
    assert!(again.replayed() && !recalled.replayed() && again.body == recalled.body);
    let level = api.get("/v1/inventory/s-uk-1/BANK%20CHARGES").await.expect(200);
    assert_eq!((&level.body["available"], &level.body["quarantined"]), (&json!(0), &json!(4)));
    let one = api.get("/v1/inventory/lots/L-1").await.expect(200);
    assert_eq!(
        (&one.body["status"], &one.body["locations"][0]["quarantined"]),
        (&json!("quarantined"), &json!(4))
    );
    assert_eq!(one.headers["etag"], recalled.headers["etag"]);
    let sold = api.get("/v1/inventory/lots/L-1/orders").await.expect(200);
    assert_eq!(sold.body, json!({"items": [], "next_cursor": null}));
    api.get("/v1/inventory/lots/L-9/orders").await.refused(404, "lot_not_found");
    let release = "/v1/inventory/lots/L-1/release";
    assert_eq!(api.post(release, "f", &why).await.expect(200).body["status"], "sellable");
    api.post(release, "f-2", &why).await.refused(409, "lot_status_same");
}
