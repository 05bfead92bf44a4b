//! Rules are stored as JSON, baskets and results in compact bytes too.

use super::super::*;
use super::fixtures::*;
use super::random_orders::random_order;
use crate::compact;

#[test]
fn what_is_stored_is_read_again() {
    for seed in 0..200 {
        let (basket, rules) = random_order(seed, 6);
        let priced = price(&basket, &rules).unwrap();
        let basket_json = serde_json::to_string(&basket).unwrap();
        assert_eq!(serde_json::from_str::<Basket>(&basket_json).unwrap(), basket);
        let rules_json = serde_json::to_string(&rules).unwrap();
        assert_eq!(serde_json::from_str::<PriceRules>(&rules_json).unwrap(), rules);
        let priced_json = serde_json::to_string(&priced).unwrap();
        assert_eq!(serde_json::from_str::<Priced>(&priced_json).unwrap(), priced);
        assert_eq!(compact::decode::<Basket>(&compact::encode(&basket).unwrap()).unwrap(), basket);
        assert_eq!(compact::decode::<Priced>(&compact::encode(&priced).unwrap()).unwrap(), priced);
    }
}

#[test]
fn a_promotion_reads_as_it_is_meant() {
    let text = r#"{"id": "happy-hour", "version": 3, "name": "Happy hour", "priority": 5, "automatic": true,
        "benefit": {"buy_get": {"buy": 2, "get": 1, "bps": 10000}},
        "target": {"categories": ["drinks"]},
        "conditions": {"days": ["friday"], "time_of_day": {"from": "17:00:00", "to": "19:00:00"},
            "valid_from": "2026-06-01T00:00:00Z", "segments": ["club"], "minimum_quantity": 2500},
        "limits": {"per_order": 2}, "stacking": "exclusive"}"#;
    let promotion: Promotion = serde_json::from_str(text).unwrap();
    assert_eq!(promotion.check(), Ok(()));
    assert_eq!(promotion.benefit, buy_get("x", 2, 1).benefit);
    assert_eq!(promotion.conditions.days, [DayOfWeek::Friday].into());
    let bytes = compact::encode(&promotion).unwrap();
    assert_eq!(compact::decode::<Promotion>(&bytes).unwrap(), promotion);
    let unknown = text.replace("\"automatic\"", "\"automatik\": true, \"automatic\"");
    let refused = serde_json::from_str::<Promotion>(&unknown).unwrap_err().to_string();
    assert!(refused.contains("automatik"), "{refused}");
    let pools = r#"{"buy_get_other": {"buy": {"selector": {"skus": ["razor"]}, "quantity": 2},
        "get": {"selector": {"categories": ["blades"]}, "quantity": 1}, "bps": 5000}}"#;
    let of_pools: Benefit = serde_json::from_str(pools).unwrap();
    let Benefit::BuyGetOther { buy, get, bps: 5_000 } = &of_pools else { panic!("{of_pools:?}") };
    assert_eq!((buy.quantity, &buy.selector), (2, &only(&["razor"])));
    assert_eq!((get.quantity, &get.selector.categories), (1, &names(&["blades"])));
    let unknown = text.replace("\"bps\"", "\"percent\": 1, \"bps\"");
    assert!(serde_json::from_str::<Promotion>(&unknown).is_err());
}
