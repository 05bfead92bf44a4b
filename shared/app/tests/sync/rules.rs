//! The feeds that a till prices by: what is taken, what is refused and why, and when it is in force.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::feeds;
use crate::feeds::{World, caller, counts, delete, ndjson, product, rule, rule_key, shuffled, world};
use futures::future::join_all;
use serde_json::{Value, json};
use tillstream_app::capacity::Operation;
use tillstream_app::catalog::items::{coupon_of, customer_of, prices_of, product_if_any};
use tillstream_app::database::{Item, Table, Write};
use tillstream_app::environment::Environment;
use tillstream_app::sync::entities::Entity;
use tillstream_app::sync::status::status;
use tillstream_app::tenancy::Role;
use tillstream_app::tenant_rules::stored_rules::{category_item, promotion_item, tax_rule_item};
use tillstream_app::tenant_rules::{RULES_AGE_MAX, TenantRules, tenant_rules};
use tillstream_app::{Error, Result};
use tillstream_contracts::sync::UploadReply;
use tillstream_domain::category::{Category, CategoryTree};
use tillstream_domain::pricing::{
    Benefit, CouponBenefit, DayOfWeek, FixedAmountPer, PROMOTIONS_MAX, Promotion, Reward, Stacking,
    TAX_RULES_MAX, TaxRule,
};
use tillstream_testkit::faults::Fault;

fn line(id: &str, version: u64, data: Value) -> Value {
    json!({"id": id, "version": version, "op": "upsert", "data": data})
}

fn pounds(amount: i64) -> Value {
    json!({"amount": amount, "currency": "GBP"})
}

/// Puts the fields of one value over those of another, inside them too.
fn merge(onto: &mut Value, more: Value) {
    match (onto, more) {
        (Value::Object(onto), Value::Object(more)) => {
            for (name, value) in more {
                merge(onto.entry(name).or_insert(Value::Null), value);
            }
        }
        (onto, more) => *onto = more,
    }
}

fn codes(reply: UploadReply) -> Vec<(u64, String)> {
    reply.errors.into_iter().map(|error| (error.line, error.code)).collect()
}

/// The rules as a process reads them that remembers nothing.
async fn fresh_rules(world: &World) -> Arc<TenantRules> {
    world.environment.advance(Duration::from_secs(16));
    tenant_rules(&world.ports, world.scope(), world.environment.now()).await.unwrap()
}

async fn put(world: &World, item: Item) {
    world.memory_write(Write::Put { table: Table::Catalog, item, condition: None }).await;
}

#[tokio::test]
async fn every_kind_of_promotion_is_taken_as_it_is_meant() {
    let world = world(1);
    let target = json!({"categories": ["mugs"], "excluded_skus": ["M-9"]});
    let lines = [
        line("a", 1, json!({"name": "A", "benefit": {"percentage": {"bps": 1_500}}, "target": target})),
        line(
            "b",
            1,
            json!({"name": "B", "benefit": {"fixed_amount": {"amount": pounds(250), "per": "unit"}},
            "automatic": false, "priority": 7, "stacking": "exclusive", "group": "g"}),
        ),
        line(
            "c",
            1,
            json!({"name": "C", "benefit": {"buy_get": {"buy": 2, "get": 1}},
            "limits": {"per_order": 1, "per_customer": 2, "total": 3}}),
        ),
        line(
            "d",
            1,
            json!({"name": "D", "benefit": {"price_override": {"unit_price": "1.255", "currency": "GBP"}}}),
        ),
        line(
            "e",
            1,
            json!({"name": "E", "benefit": {"bundle": {"price": pounds(900),
            "components": [{"target": {"skus": ["A"]}, "quantity": 1}, {"target": {"skus": ["B"]}, "quantity": 2}]}}}),
        ),
        line(
            "f",
            1,
            json!({"name": "F", "benefit": {"spend_threshold": {"minimum": pounds(5_000),
            "reward": {"fixed_amount": {"amount": pounds(500)}}}}}),
        ),
        line(
            "g",
            1,
            json!({"name": "G", "benefit": {"percentage": {"bps": 1}}, "conditions": {
            "valid_from": "2010-12-01T00:00:00Z", "valid_to": "2999-01-01T00:00:00+01:00", "days": ["friday"],
            "time_of_day": {"from": "22:00", "to": "02:00"}, "segments": ["gold"], "stores": ["s-1"],
            "channels": ["web"], "minimum_subtotal": pounds(100), "minimum_quantity": "2.5",
            "contains": {"target": {"categories": ["kettles"]}}}}),
        ),
        line(
            "h",
            1,
            json!({"name": "H", "benefit": {"buy_get_other": {
            "buy": {"target": {"categories": ["razors"], "excluded_skus": ["R-9"]}, "quantity": 2},
            "get": {"target": {"skus": ["B-1"]}, "quantity": 1}, "bps": 5_000}}}),
        ),
        line(
            "i",
            1,
            json!({"name": "I", "benefit": {"buy_get_other": {"buy": {"target": {"skus": ["A"]}, "quantity": 1},
            "get": {"target": {"skus": ["B"]}, "quantity": 1}}}}),
        ),
    ];
    assert_eq!(counts(&world.send(Entity::Promotions, &lines).await), (9, 0, 0));
    let rules = fresh_rules(&world).await;
    let of = |id: &str| rules.prices.promotions.iter().find(|promotion| promotion.id == id).unwrap();
    let skus = |list: &[&str]| list.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    let (a, b, c, d) = (of("a"), of("b"), of("c"), of("d"));
    assert_eq!((&a.benefit, a.priority, a.automatic), (&Benefit::Percentage { bps: 1_500 }, 100, true));
    assert_eq!((&a.target.categories, &a.target.excluded_skus), (&skus(&["mugs"]), &skus(&["M-9"])));
    assert_eq!((a.currency, a.version, a.stacking), (None, 1, Stacking::Stackable));
    let amount = Benefit::FixedAmount { amount: 250, per: FixedAmountPer::Unit };
    assert_eq!((&b.benefit, b.priority, b.automatic), (&amount, 7, false));
    assert_eq!((b.stacking, b.group.as_deref()), (Stacking::Exclusive, Some("g")));
    assert_eq!(b.currency.unwrap().code(), "GBP");
    assert_eq!(c.benefit, Benefit::BuyGet { buy: 2, get: 1, bps: 10_000 });
    assert_eq!((c.limits.per_order, c.limits.per_customer, c.limits.total), (Some(1), Some(2), Some(3)));
    assert_eq!(d.benefit, Benefit::PriceOverride { unit_price: "1.255".parse().unwrap() });
    assert_eq!(d.currency.unwrap().code(), "GBP");
    let Benefit::Bundle { components, price: 900 } = &of("e").benefit else { panic!("{:?}", of("e")) };
    assert_eq!((components[1].quantity, &components[1].selector.skus), (2, &skus(&["B"])));
    let reward = Reward::FixedAmount { amount: 500 };
    assert_eq!(of("f").benefit, Benefit::SpendThreshold { minimum: 5_000, reward });
    let Benefit::BuyGetOther { buy, get, bps: 5_000 } = &of("h").benefit else { panic!("{:?}", of("h")) };
    assert_eq!((buy.quantity, &buy.selector.categories), (2, &skus(&["razors"])));
    assert_eq!((&buy.selector.excluded_skus, &get.selector.skus), (&skus(&["R-9"]), &skus(&["B-1"])));
    assert_eq!((get.quantity, of("h").currency), (1, None));
    assert!(
        matches!(of("i").benefit, Benefit::BuyGetOther { bps: 10_000, .. }),
        "all of it where it says none"
    );
    let when = &of("g").conditions;
    assert_eq!(when.valid_to, Some("2998-12-31T23:00:00Z".parse().unwrap()));
    assert_eq!(when.days, BTreeSet::from([DayOfWeek::Friday]));
    assert_eq!(when.time_of_day.unwrap().from.to_string(), "22:00:00");
    assert_eq!((when.minimum_subtotal, when.minimum_quantity.unwrap().thousandths()), (Some(100), 2_500));
    let contains = when.contains.as_ref().unwrap();
    assert_eq!((&contains.of.categories, contains.quantity.thousandths()), (&skus(&["kettles"]), 1_000));
    assert_eq!(
        (&when.segments, &when.stores, &when.channels),
        (&skus(&["gold"]), &skus(&["s-1"]), &skus(&["web"]))
    );
}

#[tokio::test]
async fn coupons_customers_and_taxes_are_taken_as_they_are_meant() {
    let world = world(2);
    let coupon = line(
        "TEN-OFF",
        4,
        json!({"benefit": {"fixed_amount": {"amount": pounds(1_000)}},
        "minimum_spend": pounds(4_000), "valid_to": "2011-01-01T00:00:00Z", "total_limit": 100,
        "per_customer_limit": 1, "target": {"categories": ["mugs"]}}),
    );
    assert_eq!(counts(&world.send(Entity::Coupons, &[coupon]).await), (1, 0, 0));
    let item = world.item(Table::Catalog, world.scope().coupon("TEN-OFF")).await;
    let definition = coupon_of(item.as_ref()).unwrap().unwrap();
    assert_eq!(
        (definition.total_limit, definition.per_customer_limit, definition.version),
        (Some(100), Some(1), 4)
    );
    assert_eq!(definition.coupon.code, "TEN-OFF");
    assert_eq!(definition.coupon.benefit, CouponBenefit::FixedAmount { amount: 1_000 });
    assert_eq!(
        (definition.coupon.minimum_spend, definition.coupon.currency.unwrap().code()),
        (Some(4_000), "GBP")
    );
    world.send(Entity::Coupons, &[delete("TEN-OFF", 5)]).await;
    let item = world.item(Table::Catalog, world.scope().coupon("TEN-OFF")).await;
    assert_eq!(coupon_of(item.as_ref()).unwrap(), None);

    let customer = line("cu-1", 1, json!({"name": "Ada", "segments": ["gold", "staff"], "tax_exempt": true}));
    world.send(Entity::Customers, &[customer, line("cu-2", 1, json!({}))]).await;
    let item = world.item(Table::Catalog, world.scope().customer("cu-1")).await;
    let ada = customer_of(item.as_ref()).unwrap().unwrap();
    assert_eq!((ada.name.as_deref(), ada.tax_exempt), (Some("Ada"), true));
    assert_eq!(ada.segments, ["gold", "staff"], "the first stays the first");
    world.send(Entity::Customers, &[delete("cu-1", 2)]).await;
    let item = world.item(Table::Catalog, world.scope().customer("cu-1")).await;
    assert_eq!(customer_of(item.as_ref()).unwrap(), None);
    assert!(item.unwrap().get("data").is_none(), "nothing of a deleted customer is kept");

    let vat = line(
        "vat",
        1,
        json!({"name": "VAT 20%", "rate_bps": 2_000, "tax_categories": ["standard"],
        "regions": ["uk"], "stores": ["s-1"], "channels": ["pos"], "target": {"skus": ["A"]}}),
    );
    world.send(Entity::TaxRules, &[vat]).await;
    let rules = fresh_rules(&world).await;
    let [vat] = rules.prices.tax_rules.as_slice() else { panic!("{rules:?}") };
    assert_eq!((vat.name.as_str(), vat.rate_bps), ("VAT 20%", 2_000));
    assert!(vat.tax_categories.contains("standard") && vat.regions.contains("uk"));
}

#[tokio::test]
async fn every_kind_of_bad_rule_has_its_code_and_the_rest_is_applied() {
    let world = world(3);
    let promotion = |more: Value| {
        let mut data = json!({"name": "P", "benefit": {"percentage": {"bps": 1}}});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line("p", 1, data)
    };
    let long: Vec<String> = (0..1_001).map(|n| format!("s{n}")).collect();
    let zero = json!({"benefit": {"fixed_amount": {"amount": pounds(0), "per": "order"}}});
    let mixed = json!({"benefit": {"fixed_amount": {"amount": pounds(1), "per": "order"}},
        "conditions": {"minimum_subtotal": {"amount": 1, "currency": "EUR"}}});
    let pools = |bought: Value, buy: i64, given: Value, get: i64| {
        json!({"benefit": {"buy_get_other": {"buy": {"target": bought, "quantity": buy},
            "get": {"target": given, "quantity": get}}}})
    };
    // Two pools that are right but for what is said otherwise.
    let with = |more: Value| {
        let mut data = pools(json!({"skus": ["A"]}), 1, json!({"skus": ["B"]}), 1);
        merge(&mut data, more);
        data
    };
    let clock = |from: &str, to: &str| json!({"conditions": {"time_of_day": {"from": from, "to": to}}});
    let promotions = [
        (line("a b", 1, json!({"name": "P", "benefit": {"percentage": {"bps": 1}}})), "id_malformed"),
        (json!({"id": "p", "version": 1, "op": "upsert"}), "line_invalid"),
        (line("p", 1, json!({"name": "P"})), "line_invalid"),
        (promotion(json!({"id": "q"})), "id_mismatch"),
        (promotion(json!({"name": ""})), "text_malformed"),
        (promotion(json!({"name": "n".repeat(201)})), "text_malformed"),
        (promotion(json!({"priority": -1})), "line_invalid"),
        (promotion(json!({"benefit": {}})), "line_invalid"),
        (promotion(json!({"benefit": {"gift": {}}})), "line_invalid"),
        (promotion(json!({"benefit": "percentage"})), "line_invalid"),
        (promotion(json!({"benefit": {"percentage": {"bps": 1}, "bundle": {}}})), "line_invalid"),
        (promotion(json!({"benefit": {"percentage": {"bps": 0}}})), "percentage_out_of_range"),
        (promotion(json!({"benefit": {"percentage": {"bps": 10_001}}})), "percentage_out_of_range"),
        (promotion(json!({"benefit": {"percentage": {"bps": 5_000_000_000_u64}}})), "line_invalid"),
        (promotion(zero), "amount_out_of_range"),
        (promotion(json!({"benefit": {"fixed_amount": {"amount": 5, "per": "order"}}})), "line_invalid"),
        (promotion(json!({"benefit": {"buy_get": {"buy": 0, "get": 1}}})), "pieces_out_of_range"),
        (promotion(pools(json!({"skus": ["A"]}), 0, json!({"skus": ["B"]}), 1)), "pieces_out_of_range"),
        (promotion(pools(json!({"skus": ["A"]}), 1, json!({"skus": ["B"]}), 0)), "pieces_out_of_range"),
        (promotion(pools(json!({"skus": ["A"]}), 1, json!({"skus": ["B"]}), 1_001)), "pieces_out_of_range"),
        (promotion(pools(json!({"skus": ["A"]}), -1, json!({"skus": ["B"]}), 1)), "line_invalid"),
        (promotion(pools(json!({}), 1, json!({"skus": ["B"]}), 1)), "pool_empty"),
        (promotion(pools(json!({"skus": ["A"]}), 1, json!({"excluded_skus": ["B"]}), 1)), "pool_empty"),
        (
            promotion(pools(json!({"skus": ["A"], "excluded_skus": ["A"]}), 1, json!({"skus": ["B"]}), 1)),
            "chosen_and_excluded",
        ),
        (promotion(pools(json!({"skus": ["A"]}), 1, json!({"skus": long}), 1)), "list_too_long"),
        (promotion(pools(json!({"skus": ["A"]}), 1, json!({"products": ["B"]}), 1)), "pool_empty"),
        (promotion(with(json!({"benefit": {"buy_get_other": {"bps": 0}}}))), "percentage_out_of_range"),
        (promotion(with(json!({"benefit": {"buy_get_other": {"bps": 10_001}}}))), "percentage_out_of_range"),
        (promotion(with(json!({"benefit": {"buy_get_other": {"buy": null}}}))), "line_invalid"),
        (promotion(with(json!({"target": {"skus": ["C"]}}))), "pools_with_target"),
        (promotion(with(json!({"target": {"excluded_skus": ["C"]}}))), "pools_with_target"),
        (
            promotion(json!({"benefit": {"bundle": {"components": [], "price": pounds(1)}}})),
            "components_out_of_range",
        ),
        (promotion(mixed), "currency_mixed"),
        (promotion(json!({"target": {"skus": long}})), "list_too_long"),
        (promotion(json!({"target": {"skus": ["A"], "excluded_skus": ["A"]}})), "chosen_and_excluded"),
        (promotion(json!({"limits": {"total": 0}})), "limit_zero"),
        (promotion(json!({"limits": {"per_order": 2, "total": 1}})), "limits_reversed"),
        (promotion(json!({"conditions": {"days": ["someday"]}})), "line_invalid"),
        (promotion(json!({"conditions": {"valid_from": "2010-12-01"}})), "line_invalid"),
        (
            promotion(
                json!({"conditions": {"valid_from": "2010-12-02T00:00:00Z", "valid_to": "2010-12-01T00:00:00Z"}}),
            ),
            "validity_reversed",
        ),
        (promotion(json!({"conditions": {"minimum_quantity": 0}})), "minimum_quantity_out_of_range"),
        (promotion(json!({"conditions": {"minimum_quantity": "x"}})), "quantity_invalid"),
        (
            promotion(json!({"conditions": {"contains": {"target": {}, "quantity": 0}}})),
            "minimum_quantity_out_of_range",
        ),
        (promotion(json!({"conditions": {"contains": {"target": {}, "quantity": "x"}}})), "quantity_invalid"),
        (promotion(json!({"conditions": {"contains": {"quantity": 1}}})), "line_invalid"),
        (
            promotion(
                json!({"conditions": {"contains": {"target": {"skus": ["A"], "excluded_skus": ["A"]}}}}),
            ),
            "chosen_and_excluded",
        ),
        (promotion(clock("24:00", "02:00")), "time_of_day_malformed"),
        (promotion(clock("9:00", "10:00")), "time_of_day_malformed"),
        (promotion(clock("09:00", "+1:00")), "time_of_day_malformed"),
        (promotion(clock("09:00", "09:00")), "time_of_day_empty"),
    ];
    let tax = |more: Value| {
        let mut data = json!({"name": "T", "rate_bps": 2_000});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line("t", 1, data)
    };
    let taxes = [
        (line("t", 1, json!({"name": "T"})), "line_invalid"),
        (tax(json!({"rate_bps": 100_001})), "rate_out_of_range"),
        (tax(json!({"rate_bps": -1})), "line_invalid"),
        (tax(json!({"rate_bps": 17.5})), "line_invalid"),
        (tax(json!({"stores": ["s 1"]})), "id_malformed"),
        (tax(json!({"regions": [""]})), "text_malformed"),
        (tax(json!({"id": "u"})), "id_mismatch"),
        (delete("t t", 1), "id_malformed"),
    ];
    let coupon = |more: Value| {
        let mut data = json!({"benefit": {"percentage": {"bps": 1}}});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line("C", 1, data)
    };
    let coupons = [
        (line("TEN %", 1, json!({"benefit": {"percentage": {"bps": 1}}})), "id_malformed"),
        (coupon(json!({"code": "D"})), "id_mismatch"),
        (coupon(json!({"benefit": {"percentage": {"bps": 0}}})), "percentage_out_of_range"),
        (coupon(json!({"benefit": {"promotion": {"promotion_id": "a b"}}})), "id_malformed"),
        (coupon(json!({"minimum_spend": pounds(-1)})), "amount_out_of_range"),
        (coupon(json!({"total_limit": 0})), "limit_zero"),
        (coupon(json!({"total_limit": 1, "per_customer_limit": 2})), "limits_reversed"),
    ];
    let customers = [
        (line("c/1", 1, json!({})), "id_malformed"),
        (line("c", 1, json!({"id": "d"})), "id_mismatch"),
        (line("c", 1, json!({"name": "a\u{7}"})), "text_malformed"),
        (line("c", 1, json!({"segments": ["a", "a"]})), "segment_repeated"),
        (
            line("c", 1, json!({"segments": (0..101).map(|n| n.to_string()).collect::<Vec<_>>()})),
            "too_many_segments",
        ),
        (line("c", 1, json!({"segments": "gold"})), "line_invalid"),
        (line("c", 1, json!({"tax_exempt": "yes"})), "line_invalid"),
    ];
    let categories = [
        (line(" c", 1, json!({})), "category_malformed"),
        (line(&"c".repeat(65), 1, json!({})), "category_malformed"),
        (line("c", 1, json!({"parent": ""})), "category_malformed"),
        (line("c", 1, json!({"name": " n"})), "category_malformed"),
        (line("c", 1, json!({"id": "d"})), "id_mismatch"),
        (line("c", 1, json!({"parent": "c"})), "category_cycle"),
    ];
    for (entity, bad) in [
        (Entity::Promotions, promotions.as_slice()),
        (Entity::TaxRules, &taxes),
        (Entity::Coupons, &coupons),
        (Entity::Customers, &customers),
        (Entity::Categories, &categories),
    ] {
        let mut lines: Vec<_> = bad.iter().map(|(line, _)| line.clone()).collect();
        lines.push(rule(entity, "good", 1));
        let reply = world.send(entity, &lines).await;
        let count = u64::try_from(bad.len()).unwrap();
        assert_eq!(counts(&reply), (1, 0, count), "{entity:?}: {:?}", reply.errors);
        assert!(reply.errors.iter().all(|error| !error.message.is_empty()));
        let expected: Vec<_> = (1..).zip(bad.iter().map(|(_, code)| code.to_string())).collect();
        assert_eq!(codes(reply), expected, "{entity:?}");
        assert!(world.item(Table::Catalog, rule_key(world.scope(), entity, "good")).await.is_some());
        let status = status(&world.ports, &world.caller).await.unwrap();
        let feed = status.items.iter().find(|feed| feed.entity == entity.name()).unwrap();
        assert_eq!((feed.failed, feed.applied), (count, 1));
    }
}

#[tokio::test]
async fn unknown_fields_are_counted_at_any_depth_and_do_no_harm() {
    let world = world(4);
    let promotion = line(
        "p",
        1,
        json!({"name": "P", "erp": 1, "target": {"skus": ["A"], "brands": ["b"]},
        "benefit": {"bundle": {"price": {"amount": 5, "currency": "GBP", "exact": true},
            "components": [{"target": {"x": 1}, "quantity": 1, "y": 2}], "z": 3}}, "conditions": {"moon": "full"}}),
    );
    let reply = world.send(Entity::Promotions, &[promotion]).await;
    // A target does not go with a bundle: the known fields are still looked at.
    assert_eq!((codes(reply.clone()), reply.unknown_fields), (vec![(1, "bundle_with_target".into())], 7));
    let product = product(
        "A",
        1,
        &json!({"modifiers": [{"id": "m", "name": "M", "unit_price": "0", "plu": 5}],
        "attributes": {"any": "thing"}}),
    );
    let reply = world.send(Entity::Catalog, &[product]).await;
    assert_eq!((counts(&reply), reply.unknown_fields), ((1, 0, 0), 1));
}

#[tokio::test]
async fn a_rule_is_in_force_when_what_is_remembered_is_too_old_and_not_before() {
    let world = world(5);
    let rules = async || tenant_rules(&world.ports, world.scope(), world.environment.now()).await.unwrap();
    assert_eq!(*rules().await, TenantRules::default());
    for (entity, id) in [(Entity::Promotions, "p"), (Entity::TaxRules, "t"), (Entity::Categories, "mugs")] {
        assert_eq!(counts(&world.send(entity, &[rule(entity, id, 1)]).await), (1, 0, 0));
    }
    world.environment.advance(RULES_AGE_MAX.try_into().unwrap());
    assert_eq!(*rules().await, TenantRules::default(), "still what was remembered");
    world.environment.advance(Duration::from_millis(1));
    let now = rules().await;
    assert_eq!((now.prices.promotions.len(), now.prices.tax_rules.len()), (1, 1));
    assert_eq!(now.categories.path("mugs"), ["mugs", "all"]);
    assert_eq!(now.prices.settings, now.settings.pricing);
    for (entity, id) in [(Entity::Promotions, "p"), (Entity::TaxRules, "t"), (Entity::Categories, "mugs")] {
        assert_eq!(counts(&world.send(entity, &[delete(id, 2)]).await), (1, 0, 0));
    }
    assert_eq!(*fresh_rules(&world).await, TenantRules::default(), "what is deleted is no rule");
}

#[tokio::test]
async fn one_tenants_rules_are_never_anothers() {
    let world = world(6);
    let mut other = world.clone();
    other.caller = caller("u", &[Role::Integration]);
    let all = [Entity::Promotions, Entity::TaxRules, Entity::Categories, Entity::Coupons, Entity::Customers];
    for entity in all {
        world.send(entity, &[rule(entity, "x", 1)]).await;
    }
    assert_eq!(*fresh_rules(&other).await, TenantRules::default());
    for entity in all {
        assert!(other.item(Table::Catalog, rule_key(other.scope(), entity, "x")).await.is_none());
        other.send(entity, &[rule(entity, "x", 9)]).await;
        other.send(entity, &[delete("x", 10)]).await;
        let mine = world.item(Table::Catalog, rule_key(world.scope(), entity, "x")).await.unwrap();
        assert_eq!(mine.number("feed_version").unwrap(), 1, "{entity:?}");
    }
    // Both in one process, one after the other, within the time that rules are remembered.
    let now = world.environment.now();
    let mine = tenant_rules(&world.ports, world.scope(), now).await.unwrap();
    let theirs = tenant_rules(&other.ports, other.scope(), now).await.unwrap();
    let mine_again = tenant_rules(&world.ports, world.scope(), now).await.unwrap();
    assert_eq!((mine.prices.promotions.len(), theirs.prices.promotions.len()), (1, 0));
    assert_eq!(mine, mine_again);
}

#[tokio::test]
async fn only_so_many_promotions_and_taxes_count_and_room_is_made_in_order() {
    for (entity, most, code) in [
        (Entity::Promotions, PROMOTIONS_MAX, "too_many_promotions"),
        (Entity::TaxRules, TAX_RULES_MAX, "too_many_tax_rules"),
    ] {
        let world = world(7);
        let mut lines: Vec<_> = (0..=most).map(|n| rule(entity, &format!("r{n}"), 1)).collect();
        let last = u64::try_from(most).unwrap() + 1;
        let reply = world.send(entity, &lines).await;
        assert_eq!(counts(&reply), (last - 1, 0, 1));
        assert_eq!(codes(reply), [(last, code.to_owned())]);
        // One of those that are there may change; another needs a place.
        assert_eq!(counts(&world.send(entity, &[rule(entity, "r0", 2)]).await), (1, 0, 0));
        let stale = [delete("r1", 0), rule(entity, "new", 1)];
        assert_eq!(counts(&world.send(entity, &stale).await), (0, 1, 1), "an old delete makes no room");
        let swap = [delete("r1", 2), rule(entity, "new", 1), rule(entity, "newer", 1)];
        let reply = world.send(entity, &swap).await;
        assert_eq!((counts(&reply), codes(reply)), ((2, 0, 1), vec![(3, code.to_owned())]));
        let long = if entity == Entity::Promotions { 7 * 24 + 1 } else { 731 * 24 + 1 };
        // What ended long before does not count, what ended just now does.
        let ending = |id: &str, version: u64, hours: i64| {
            let mut line = rule(entity, id, version);
            let end = world.environment.now() - jiff::SignedDuration::from_hours(hours);
            let place = if entity == Entity::Promotions {
                &mut line["data"]["conditions"]
            } else {
                &mut line["data"]
            };
            place["valid_to"] = end.to_string().into();
            line
        };
        let reply = world.send(entity, &[ending("r2", 2, 23), rule(entity, "newer", 1)]).await;
        assert_eq!(counts(&reply), (1, 0, 1));
        lines = vec![ending("r2", 3, long), ending("past", 1, long), rule(entity, "newer", 1)];
        assert_eq!(counts(&world.send(entity, &lines).await), (3, 0, 0));
        let rules = fresh_rules(&world).await;
        let (promotions, taxes) = (rules.prices.promotions.len(), rules.prices.tax_rules.len());
        assert_eq!(promotions + taxes, most);
    }
}

#[tokio::test]
async fn what_should_not_be_there_keeps_no_till_from_selling() {
    let world = world(8);
    let text = |entity, id: &str| rule(entity, id, 1)["data"].clone();
    let promotion = |id: &str, from: Option<i64>| {
        let mut promotion: Promotion = serde_json::from_value(json!({"id": id, "version": 1, "name": "P",
            "priority": 1, "automatic": true, "benefit": {"percentage": {"bps": 1}}}))
        .unwrap();
        promotion.conditions.valid_from = from.map(|s| jiff::Timestamp::from_second(s).unwrap());
        promotion
    };
    for n in 0..PROMOTIONS_MAX + 20 {
        let from = (n % 2 == 0).then(|| i64::try_from(n).unwrap());
        put(&world, promotion_item(world.scope(), &promotion(&format!("p{n:03}"), from)).unwrap()).await;
    }
    for n in 0..TAX_RULES_MAX + 1 {
        let tax: TaxRule = serde_json::from_value(
            json!({"id": format!("t{n:03}"), "version": 1, "name": "T", "rate_bps": 1}),
        )
        .unwrap();
        put(&world, tax_rule_item(world.scope(), &tax).unwrap()).await;
    }
    // Unreadable, not what intake lets in, of a kind that nobody knows.
    let broken = |id: &str, data: Value| {
        Item::new(&world.scope().promotion(id)).with("kind", "promotion").with("data", data.to_string())
    };
    put(&world, broken("z1", json!({"id": "z1"}))).await;
    put(
        &world,
        broken(
            "z2",
            json!({"id": "z2", "version": 1, "name": "", "priority": 1, "automatic": true,
        "benefit": {"percentage": {"bps": 0}}}),
        ),
    )
    .await;
    put(&world, broken("z3", text(Entity::Promotions, "z3")).with("kind", "happy_hour")).await;
    put(&world, Item::new(&world.scope().promotion("z4"))).await;
    for (id, parent) in [("a", "b"), ("b", "c"), ("c", "a")] {
        let category = Category { id: id.into(), parent: Some(parent.into()), name: None, version: 1 };
        put(&world, category_item(world.scope(), &category).unwrap()).await;
    }
    let rules = fresh_rules(&world).await;
    assert_eq!(
        (rules.prices.promotions.len(), rules.prices.tax_rules.len()),
        (PROMOTIONS_MAX, TAX_RULES_MAX)
    );
    assert!(rules.prices.promotions.iter().all(|promotion| promotion.id.starts_with('p')));
    // Left out are those that begin last.
    let latest = rules.prices.promotions.iter().filter_map(|promotion| promotion.conditions.valid_from).max();
    assert_eq!(latest.map(|at| at.as_second()), Some(478), "of 0, 2 … 518 the last twenty are out");
    assert_eq!(rules.categories.path("a"), ["a", "b", "c"]);
}

async fn stored_tree(world: &World) -> (CategoryTree, Vec<String>) {
    let items = world.memory.items(Table::Catalog);
    let categories = items.iter().filter(|item| item.opt_text("kind") == Some("category"));
    let categories: Vec<Category> = categories.map(|item| item.json("data").unwrap()).collect();
    let ids = categories.iter().map(|category| category.id.clone()).collect();
    (categories.into_iter().map(|category| (category.id, category.parent)).collect(), ids)
}

fn has_circle(tree: &CategoryTree, ids: &[String], parents: impl Fn(&str) -> Option<String>) -> bool {
    ids.iter().any(|id| {
        let path = tree.path(id);
        path.last().and_then(|last| parents(last)).is_some_and(|above| path.contains(&above))
    })
}

#[tokio::test]
async fn a_category_is_never_its_own_ancestor_in_one_feed() {
    let world = world(9);
    let below = |id: &str, version: u64, parent: Option<&str>| line(id, version, json!({"parent": parent}));
    // Children before their parents; in the order of lines a turn-over is possible, a circle is not.
    let lines =
        [below("c", 1, Some("b")), below("b", 1, Some("a")), below("a", 1, Some("c")), below("a", 2, None)];
    let reply = world.send(Entity::Categories, &lines).await;
    assert_eq!((counts(&reply), codes(reply)), ((3, 0, 1), vec![(3, "category_cycle".into())]));
    let turned = [below("b", 2, None), below("a", 3, Some("c"))];
    assert_eq!(counts(&world.send(Entity::Categories, &turned).await), (2, 0, 0));
    assert_eq!(fresh_rules(&world).await.categories.path("a"), ["a", "c", "b"]);
    let reply = world.send(Entity::Categories, &[below("b", 3, Some("a"))]).await;
    assert_eq!(codes(reply), [(1, "category_cycle".into())]);
    // A refused line is not remembered as the newest: HQ mends it under the same version.
    assert_eq!(counts(&world.send(Entity::Categories, &[below("b", 3, Some("top"))]).await), (1, 0, 0));
    let deep: Vec<_> = (0..16).map(|n| below(&format!("d{n}"), 1, Some(&format!("d{}", n + 1)))).collect();
    let reply = world.send(Entity::Categories, &deep).await;
    assert_eq!((counts(&reply), codes(reply)), ((15, 0, 1), vec![(16, "category_too_deep".into())]));
}

#[tokio::test]
async fn a_category_is_never_its_own_ancestor_whoever_uploads_at_once() {
    let mut refused = 0;
    for seed in 0..40 {
        let world = world(seed);
        world.shaky.lost_answers.store(if seed % 2 == 0 { 0 } else { 9 }, Ordering::SeqCst);
        // Each upload is innocent by itself: 0 below 1, 1 below 2, …, the last below 0.
        let uploads = (0..6).map(|n| {
            let world = world.clone();
            let link = line(&format!("c{n}"), 1, json!({"parent": format!("c{}", (n + 1) % 6)}));
            async move { world.send_from(Entity::Categories, ndjson(&[link]).as_bytes(), 1).await }
        });
        let uploads = shuffled(uploads.collect(), &world.environment);
        for reply in join_all(uploads).await {
            match reply {
                Ok(reply) => {
                    refused += codes(reply).iter().filter(|(_, code)| code == "category_cycle").count()
                }
                Err(Error::Retryable { .. }) => {}
                Err(error) => panic!("seed {seed}: {error}"),
            }
        }
        let (tree, ids) = stored_tree(&world).await;
        let parent = |id: &str| {
            let n: u32 = id[1..].parse().unwrap();
            ids.contains(&id.to_owned()).then(|| format!("c{}", (n + 1) % 6))
        };
        assert!(!has_circle(&tree, &ids, parent), "seed {seed}: {ids:?}");
        assert!(ids.len() >= 4, "seed {seed}: {ids:?}");
    }
    assert!(refused > 20, "the last of a circle is refused: {refused}");
}

#[tokio::test]
async fn every_feed_of_rules_outlives_one_fault() {
    const FAULTS: [Fault; 4] = [Fault::Throttled, Fault::Conflict, Fault::TimedOutBefore, Fault::AnswerLost];
    for entity in
        [Entity::Promotions, Entity::TaxRules, Entity::Categories, Entity::Coupons, Entity::Customers]
    {
        let lines = [rule(entity, "a", 2), rule(entity, "a", 1), rule(entity, "b", 1), delete("c", 2)];
        let mut faults = 0;
        for operation in Operation::ALL {
            for fault in FAULTS {
                for call in 0.. {
                    let world = world(call);
                    world.send(entity, &[rule(entity, "c", 1)]).await;
                    let (troubled, faulty) = world.troubled();
                    let count = usize::try_from(call).unwrap();
                    faulty.script(operation, std::iter::repeat_n(None, count).chain([Some(fault)]));
                    let first: Result<UploadReply> =
                        troubled.send_from(entity, ndjson(&lines).as_bytes(), 1).await;
                    if faulty.injected().is_empty() {
                        break;
                    }
                    faults += 1;
                    let label = format!("{entity:?}: {fault:?} at {operation:?} {call}");
                    match first {
                        Ok(reply) => assert_eq!(counts(&reply), (3, 1, 0), "{label}"),
                        Err(Error::Retryable { .. }) => {}
                        Err(error) => panic!("{label}: {error}"),
                    }
                    assert_eq!(world.send(entity, &lines).await.failed, 0, "{label}");
                    for (id, version) in [("a", 2), ("b", 1), ("c", 2)] {
                        let key = rule_key(world.scope(), entity, id);
                        let item = world.item(Table::Catalog, key).await.unwrap();
                        assert_eq!(item.number("feed_version").unwrap(), version, "{label}: {id}");
                        assert_eq!(item.get("data").is_some(), id != "c", "{label}: {id}");
                    }
                }
            }
        }
        assert!(faults > 20, "{entity:?}: {faults}");
    }
}

#[tokio::test]
async fn products_and_prices_say_what_pricing_asks() {
    let world = world(10);
    let modifiers = json!([{"id": "large", "name": "Large", "unit_price": "0.80"},
        {"id": "own-cup", "name": "Own cup", "unit_price": "-0.25"}]);
    let line = product(
        "A",
        1,
        &json!({"tax_category": "food", "tax_exempt": true, "discountable": false,
        "modifiers": modifiers}),
    );
    assert_eq!(counts(&world.send(Entity::Catalog, &[line]).await), (1, 0, 0));
    let item = world.item(Table::Catalog, world.scope().product("A")).await;
    let found = product_if_any(item.as_ref()).unwrap().unwrap();
    assert_eq!(
        (found.tax_category.as_deref(), found.tax_exempt, found.discountable),
        (Some("food"), true, false)
    );
    assert_eq!(found.modifiers[1].unit_price.ten_thousandths(), -2_500);
    let many: Vec<_> =
        (0..51).map(|n| json!({"id": format!("m{n}"), "name": "M", "unit_price": "0"})).collect();
    let one = |id: &str, name: &str, price: &str| json!([{"id": id, "name": name, "unit_price": price}]);
    let bad = [
        (json!({"modifiers": many}), "too_many_modifiers"),
        (json!({"modifiers": [modifiers[0], modifiers[0]]}), "modifier_repeated"),
        (json!({"modifiers": one("a b", "M", "0")}), "id_malformed"),
        (json!({"modifiers": one("m", " ", "0")}), "name_malformed"),
        (json!({"modifiers": one("m", "M", "-2.5501")}), "modifier_price_out_of_range"),
        (json!({"modifiers": one("m", "M", "1.00001")}), "line_invalid"),
        (json!({"modifiers": one("m", "M", "999999")}), "modifier_price_out_of_range"),
        (json!({"tax_category": ""}), "tax_category_malformed"),
        (json!({"discountable": "no"}), "line_invalid"),
    ];
    let lines: Vec<_> = bad.iter().map(|(more, _)| product("B", 1, more)).collect();
    let expected: Vec<_> = (1..).zip(bad.iter().map(|(_, code)| code.to_string())).collect();
    assert_eq!(codes(world.send(Entity::Catalog, &lines).await), expected);
    assert_eq!(
        counts(
            &world
                .send(Entity::Catalog, &[product("B", 1, &json!({"modifiers": one("m", "M", "-2.55")}))])
                .await
        ),
        (1, 0, 0)
    );

    let mut gold = feeds::price("p", 1, "A", "1.5");
    gold["data"]["segment"] = "gold".into();
    let mut bad = feeds::price("q", 1, "A", "1.5");
    bad["data"]["segment"] = "".into();
    let reply = world.send(Entity::PriceBook, &[gold, bad]).await;
    assert_eq!(codes(reply), [(2, "text_malformed".into())]);
    let item = world.item(Table::Catalog, world.scope().prices("A")).await;
    let entries = prices_of(item.as_ref()).unwrap();
    assert_eq!(entries[0].segment.as_deref(), Some("gold"));
}

#[tokio::test]
async fn all_promotions_together_are_bounded_in_bytes() {
    let world = world(11);
    let skus: Vec<String> = (0..1_000).map(|n| format!("{n:0>40}")).collect();
    let large = |id: &str, version: u64| {
        let mut line = rule(Entity::Promotions, id, version);
        line["data"]["target"]["skus"] = json!(skus);
        line
    };
    // 43 KB each: 48 of them are 2 MB.
    let lines: Vec<_> = (0..60).map(|n| large(&format!("p{n}"), 1)).collect();
    let reply = world.send(Entity::Promotions, &lines).await;
    assert_eq!(counts(&reply), (48, 0, 12));
    assert!(codes(reply).iter().all(|(_, code)| code == "rules_too_large"));
    let after = [large("p0", 2), rule(Entity::Promotions, "small", 1), delete("p1", 2), large("p60", 1)];
    assert_eq!(counts(&world.send(Entity::Promotions, &after).await), (4, 0, 0));
}
