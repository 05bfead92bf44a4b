//! The same of the feeds that a till prices by.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tillstream_contracts::price_rules::{CategoryData, CouponData, CustomerData, PromotionData, TaxRuleData};

/// Paths of all fields of samples that have every field once, as the types write them.
fn paths<T: Serialize + DeserializeOwned>(samples: Vec<Value>) -> Vec<String> {
    fn walk(value: &Value, path: &str, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    walk(value, &path, found);
                    found.insert(path);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, path, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    for sample in samples {
        let read: T = serde_json::from_value(sample).unwrap();
        walk(&serde_json::to_value(read).unwrap(), "", &mut found);
    }
    found.into_iter().collect()
}

fn same(fields: &[&str], paths: &[String]) {
    let fields: BTreeSet<&str> = fields.iter().copied().collect();
    assert_eq!(fields, paths.iter().map(String::as_str).collect());
}

#[test]
fn the_known_fields_are_those_of_the_types() {
    let pounds = json!({"amount": 100, "currency": "GBP"});
    let promotion = |benefit: Value| {
        json!({"id": "p", "name": "P", "benefit": benefit, "group": "g",
            "conditions": {"time_of_day": {"from": "17:00", "to": "19:00"}, "minimum_subtotal": pounds,
                "minimum_quantity": 3, "days": ["friday"], "contains": {"target": {}, "quantity": 1}}})
    };
    same(
        PromotionData::FIELDS,
        &paths::<PromotionData>(vec![
            promotion(json!({"percentage": {"bps": 1}})),
            promotion(json!({"fixed_amount": {"amount": pounds, "per": "unit"}})),
            promotion(json!({"buy_get": {"buy": 2, "get": 1}})),
            promotion(json!({"price_override": {"unit_price": "1", "currency": "GBP"}})),
            promotion(json!({"bundle": {"price": pounds, "components": [{"target": {}, "quantity": 1}]}})),
            promotion(json!({"spend_threshold": {"minimum": pounds, "reward": {"percentage": {"bps": 1}}}})),
            promotion(json!({"spend_threshold": {"minimum": pounds,
                "reward": {"fixed_amount": {"amount": pounds}}}})),
            promotion(json!({"buy_get_other": {"buy": {"target": {}, "quantity": 2},
                "get": {"target": {}, "quantity": 1}}})),
        ]),
    );
    same(TaxRuleData::FIELDS, &paths::<TaxRuleData>(vec![json!({"name": "T", "rate_bps": 1})]));
    let coupon = |benefit: Value| json!({"benefit": benefit, "minimum_spend": pounds});
    same(
        CouponData::FIELDS,
        &paths::<CouponData>(vec![
            coupon(json!({"percentage": {"bps": 1}})),
            coupon(json!({"fixed_amount": {"amount": pounds}})),
            coupon(json!({"promotion": {"promotion_id": "p"}})),
        ]),
    );
    same(CustomerData::FIELDS, &paths::<CustomerData>(vec![json!({})]));
    same(CategoryData::FIELDS, &paths::<CategoryData>(vec![json!({})]));
}
