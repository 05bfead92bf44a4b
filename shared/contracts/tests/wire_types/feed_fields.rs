//! The fields that a line of a feed may have are those of its type.

use serde_json::json;
use tillstream_contracts::catalog::{LocationBody, ProductBody};
use tillstream_contracts::sync::{FeedLine, PriceData, StockData, TemplateData};

fn fields_of<T: serde::Serialize + serde::de::DeserializeOwned>(sample: serde_json::Value) -> Vec<String> {
    let value: T = serde_json::from_value(sample).unwrap();
    let serde_json::Value::Object(fields) = serde_json::to_value(value).unwrap() else {
        panic!("not an object")
    };
    let within = |(name, value): (&String, &serde_json::Value)| match value {
        serde_json::Value::Array(items) => items
            .iter()
            .filter_map(serde_json::Value::as_object)
            .flat_map(|item| item.keys().map(|inner| format!("{name}.{inner}")))
            .collect(),
        serde_json::Value::Object(item) => item.keys().map(|inner| format!("{name}.{inner}")).collect(),
        _ => Vec::new(),
    };
    fields.iter().flat_map(within).chain(fields.keys().cloned()).collect()
}

fn same(names: &[&str], mut fields: Vec<String>) {
    let mut names: Vec<_> = names.iter().map(ToString::to_string).collect();
    names.sort();
    fields.sort();
    assert_eq!(names, fields);
}

#[test]
fn the_known_fields_are_those_of_the_types() {
    same(
        ProductBody::FIELDS,
        fields_of::<ProductBody>(json!({"sku": "A", "name": "A", "unit_price": "1", "currency": "GBP",
            "category": "c", "tax_category": "food", "tax_exempt": true, "discountable": false,
            "modifiers": [{"id": "m", "name": "M", "unit_price": "-0.1"}],
            "components": [{"sku": "B", "quantity": 2}], "variant_of": "C", "sellable": false,
            "lots": true})),
    );
    same(
        LocationBody::FIELDS,
        fields_of::<LocationBody>(json!({"id": "a", "kind": "store", "name": "A", "time_zone": "UTC",
            "currency": "GBP", "region": "r", "address": "a", "tax_number": "t", "capacity": 1, "hours": "h",
            "latitude": 1, "longitude": -1, "stock": {"unsynced": "allow", "at_cart": "hold",
            "hold_minutes": 5}})),
    );
    same(
        PriceData::FIELDS,
        fields_of::<PriceData>(json!({"sku": "A", "unit_price": "1", "currency": "GBP",
            "location_id": "l", "segment": "gold", "valid_from": "2010-12-01T00:00:00Z", "valid_to": "2010-12-02T00:00:00Z"})),
    );
    same(
        StockData::FIELDS,
        fields_of::<StockData>(json!({"location_id": "l", "sku": "A", "on_hand": 1, "safety_stock": 1,
            "reorder_point": "0.5", "incoming": 3})),
    );
    same(
        TemplateData::FIELDS,
        fields_of::<TemplateData>(json!({"kind": "receipt", "format": "html", "source": "x"})),
    );
    same(
        FeedLine::FIELDS,
        fields_of::<FeedLine>(json!({"id": "A", "version": 1, "op": "upsert", "data": {}})),
    );
}
