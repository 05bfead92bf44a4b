//! NDJSON feeds.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use tillstream_app::Ports;
use tillstream_app::sync::entities::Entity;
use tillstream_app::sync::upload::{Upload, upload};
use tillstream_app::tenancy::{Caller, Role, Stores, TenantScope};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::test_environment::TestEnvironment;

use crate::alterations::{altered_bytes, any_bytes, json_input};
use crate::{guarded_async, samples};

/// Lines of every feed, each with every field it takes.
fn lines() -> Vec<Value> {
    let uploads = samples::bodies("hq-sync").join("\n");
    let mut lines: Vec<Value> = uploads.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert!(lines.len() >= 5);
    lines.extend([
        json!({"id": "X", "version": 3, "op": "delete"}),
        json!({"id": "X", "version": 3, "op": "delete", "data": {"location_id": "s-1", "sku": "X"}}),
        json!({"id": "s-1", "version": 9, "op": "upsert", "data": {
            "kind": "store", "name": "x", "time_zone": "Europe/London", "currency": "GBP",
            "business_day_start": "04:30", "region": "north", "capacity": 5, "hours": "9-5", "tax_number": "GB 1",
            "latitude": 53_800_755, "longitude": -1_549_077, "stock": {"unsynced": "allow", "at_cart": "hold", "hold_minutes": 5},
            "registers": ["r-1", "r-2"]}}),
        json!({"id": "X", "version": 9, "op": "upsert", "data": {
            "name": "x", "unit_price": "2.55", "currency": "GBP", "stocked": true, "unit": "kg",
            "category": "c", "barcodes": ["4006381333931"], "attributes": {"colour": "red"},
            "tax_category": "food", "tax_exempt": false, "discountable": true,
            "modifiers": [{"id": "m", "name": "M", "unit_price": "-0.55"}]}}),
        json!({"id": "p", "version": 9, "op": "upsert", "data": {"name": "P", "priority": 3, "group": "g",
            "automatic": false, "stacking": "exclusive", "limits": {"per_order": 1, "total": 5},
            "benefit": {"spend_threshold": {"minimum": {"amount": 500, "currency": "GBP"},
                "reward": {"fixed_amount": {"amount": {"amount": 50, "currency": "GBP"}}}}},
            "conditions": {"valid_from": "2010-12-01T00:00:00Z", "days": ["friday"], "stores": ["s-1"],
                "time_of_day": {"from": "22:00", "to": "02:00"}, "minimum_quantity": "0.5"}}}),
        json!({"id": "q", "version": 9, "op": "upsert", "data": {"name": "Q", "benefit": {"bundle": {
            "components": [{"target": {"skus": ["X"]}, "quantity": 2}], "price": {"amount": 9, "currency": "GBP"}}}}}),
        json!({"id": "X", "version": 9, "op": "upsert", "data": {
            "sku": "X", "store_id": "s-1", "unit_price": "2.55", "currency": "GBP"}}),
        json!({"id": "s-1/X", "version": 9, "op": "upsert", "data": {
            "location_id": "s-1", "sku": "X", "quantity": "0.482", "on_hand": 5, "reorder_point": 1}}),
    ]);
    lines
}

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let end = select(vec!["\n", "\r\n", "\n\n", " \n"]);
    prop_oneof![
        6 => vec((json_input(lines()), end), 0..8).prop_map(|lines| {
            lines.into_iter().flat_map(|(line, end)| [line, end.as_bytes().to_vec()].concat()).collect()
        }),
        2 => altered_bytes(samples::bodies("hq-sync").into_iter().map(String::into_bytes).collect()),
        1 => any_bytes(),
    ]
}

/// Lines that say something, as anybody would count them.
fn spoken(body: &[u8]) -> u64 {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count() as u64
}

proptest! {
    /// Every line is applied, skipped, or named as bad; sent again, none is applied twice.
    #[test]
    fn every_line_is_accounted_for(entity in select(Entity::ALL.to_vec()), body in bodies()) {
        guarded_async(body.len(), 400, async {
            let ports = Ports {
                database: Arc::new(MemoryDatabase::new()),
                environment: Arc::new(TestEnvironment::new(1)),
            };
            let caller = Caller {
                scope: TenantScope::from_own_record("demo"),
                subject: "hq".to_owned(),
                roles: BTreeSet::from([Role::Integration]),
                stores: Stores::All,
                register_id: None,
            };
            let call = Upload { entity, body: &body, from: 1, deadline: Timestamp::MAX };
            let first = upload(&ports, &caller, call).await.unwrap();
            assert_eq!(first.lines, spoken(&body));
            assert_eq!(first.applied + first.skipped + first.failed, first.lines, "{first:?}");
            assert_eq!(first.errors.len() as u64, first.failed.min(100));
            let again = upload(&ports, &caller, call).await.unwrap();
            assert_eq!((again.lines, again.failed), (first.lines, first.failed));
            assert_eq!(again.applied, 0, "applied twice: {again:?}");
        });
    }
}
