//! What is refused where rules are taken in.

use super::super::*;
use super::fixtures::*;
use crate::money::Currency;

fn refused(promotion: Promotion) -> &'static str {
    let error = promotion.check().unwrap_err();
    assert!(!error.to_string().is_empty());
    error.code()
}

#[test]
fn what_is_right_passes() {
    for promotion in [
        percentage("p", 10_000),
        amount_off("p", 1),
        buy_get("p", 1_000, 1),
        buy_get_other("p", (&["a"], 1_000), (&["a", "b"], 1), 1),
        bundle("p", &[(&["a"], 1)], 0),
        promotion("p", Benefit::PriceOverride { unit_price: "0".parse().unwrap() }),
    ] {
        assert_eq!(promotion.check(), Ok(()), "{promotion:?}");
    }
    let limits = Limits { per_order: Some(1), per_customer: Some(1), total: Some(5), ..Limits::default() };
    assert_eq!(Promotion { limits, ..percentage("p", 1) }.check(), Ok(()));
    assert_eq!(tax("t", 0).check(), Ok(()));
    assert_eq!(tax("t", 100_000).check(), Ok(()));
}

#[test]
fn benefits_have_bounds() {
    let reward = |reward| promotion("p", Benefit::SpendThreshold { minimum: 1, reward });
    for bps in [0, 10_001] {
        assert_eq!(refused(percentage("p", bps)), "percentage_out_of_range");
        assert_eq!(
            refused(promotion("p", Benefit::BuyGet { buy: 1, get: 1, bps })),
            "percentage_out_of_range"
        );
        assert_eq!(refused(reward(Reward::Percentage { bps })), "percentage_out_of_range");
    }
    for amount in [0, -1, 1_000_000_000_001] {
        assert_eq!(refused(amount_off("p", amount)), "amount_out_of_range");
        assert_eq!(refused(reward(Reward::FixedAmount { amount })), "amount_out_of_range");
        let minimum = Benefit::SpendThreshold { minimum: amount, reward: Reward::Percentage { bps: 1 } };
        assert_eq!(refused(promotion("p", minimum)), "amount_out_of_range");
    }
    for (buy, get) in [(0, 1), (1, 0), (1_001, 1), (1, 1_001)] {
        assert_eq!(refused(buy_get("p", buy, get)), "pieces_out_of_range");
    }
    assert_eq!(refused(bundle("p", &[], 1)), "components_out_of_range");
    let a: (&[&str], u32) = (&["a"], 1);
    assert_eq!(refused(bundle("p", &[a; 7], 1)), "components_out_of_range");
    assert_eq!(bundle("p", &[a; 6], 1).check(), Ok(()));
    assert_eq!(refused(bundle("p", &[(&["a"], 0)], 1)), "pieces_out_of_range");
    assert_eq!(refused(bundle("p", &[a], -1)), "bundle_price_out_of_range");
    assert_eq!(refused(bundle("p", &[(&["\n"], 1)], 1)), "id_malformed");
    let targeted = Promotion { target: only(&["a"]), ..bundle("p", &[a], 1) };
    assert_eq!(refused(targeted), "bundle_with_target");
}

#[test]
fn pools_name_products_and_how_many() {
    let (a, b): (&[&str], &[&str]) = (&["a"], &["b"]);
    for bps in [0, 10_001] {
        assert_eq!(refused(buy_get_other("p", (a, 1), (b, 1), bps)), "percentage_out_of_range");
        let basket = basket([line(1, "a", "1", 1)]);
        let priced = price(&basket, &rules([buy_get_other("p", (a, 1), (b, 1), bps)]));
        assert_eq!(priced.unwrap_err().code(), "percentage_out_of_range");
    }
    for (buy, get) in [(0, 1), (1, 0), (1_001, 1), (1, 1_001)] {
        assert_eq!(refused(buy_get_other("p", (a, buy), (b, get), 1)), "pieces_out_of_range");
        let basket = basket([line(1, "a", "1", 1)]);
        let priced = price(&basket, &rules([buy_get_other("p", (a, buy), (b, get), 1)]));
        assert_eq!(priced.unwrap_err().code(), "pieces_out_of_range");
    }
    assert_eq!(refused(buy_get_other("p", (&[], 1), (b, 1), 1)), "pool_empty");
    assert_eq!(refused(buy_get_other("p", (a, 1), (&[], 1), 1)), "pool_empty");
    let all_but = |selector: Selector| Promotion {
        benefit: Benefit::BuyGetOther {
            buy: Pool { selector: only(a), quantity: 1 },
            get: Pool { selector, quantity: 1 },
            bps: 1,
        },
        ..buy_get_other("p", (a, 1), (b, 1), 1)
    };
    assert_eq!(refused(all_but(Selector { excluded_skus: names(&["c"]), ..only(&[]) })), "pool_empty");
    assert_eq!(refused(all_but(Selector { excluded_skus: names(b), ..only(b) })), "chosen_and_excluded");
    assert_eq!(refused(all_but(only(&["\n"]))), "id_malformed");
    let many: Vec<String> = (0..1_001).map(|n| format!("s{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(refused(all_but(only(&many))), "list_too_long");
    for target in [only(a), Selector { excluded_skus: names(a), ..only(&[]) }] {
        let targeted = Promotion { target, ..buy_get_other("p", (a, 1), (b, 1), 1) };
        assert_eq!(refused(targeted), "pools_with_target");
    }
    let currency = Some(Currency::GBP);
    assert_eq!(refused(Promotion { currency, ..buy_get_other("p", (a, 1), (b, 1), 1) }), "currency_unused");
}

#[test]
fn texts_and_lists_have_bounds() {
    let p = || percentage("p", 1_000);
    assert_eq!(refused(Promotion { id: "a b".into(), ..p() }), "id_malformed");
    for name in ["", " ", "a\nb", &"x".repeat(201)] {
        assert_eq!(refused(Promotion { name: name.into(), ..p() }), "text_malformed", "{name}");
        assert_eq!(refused(Promotion { group: Some(name.into()), ..p() }), "text_malformed", "{name}");
    }
    let many: BTreeSet<String> = (0..1_001).map(|n| format!("s{n}")).collect();
    let target = |skus: &BTreeSet<String>| Selector { skus: skus.clone(), ..Selector::default() };
    assert_eq!(refused(Promotion { target: target(&many), ..p() }), "list_too_long");
    assert_eq!(refused(Promotion { target: target(&names(&[" a"])), ..p() }), "id_malformed");
    let categories = Selector { categories: names(&[""]), ..Selector::default() };
    assert_eq!(refused(Promotion { target: categories, ..p() }), "text_malformed");
    let both = Selector { excluded_skus: names(&["a"]), ..only(&["a", "b"]) };
    assert_eq!(refused(Promotion { target: both, ..p() }), "chosen_and_excluded");
    let with = |conditions| refused(Promotion { conditions, ..p() });
    assert_eq!(with(Conditions { stores: many.clone(), ..Conditions::default() }), "list_too_long");
    assert_eq!(with(Conditions { channels: many.clone(), ..Conditions::default() }), "list_too_long");
    assert_eq!(with(Conditions { segments: many, ..Conditions::default() }), "list_too_long");
    assert_eq!(with(Conditions { stores: names(&["#"]), ..Conditions::default() }), "id_malformed");
    assert_eq!(with(Conditions { channels: names(&[""]), ..Conditions::default() }), "text_malformed");
    assert_eq!(with(Conditions { segments: names(&[""]), ..Conditions::default() }), "text_malformed");
}

#[test]
fn conditions_and_limits_contradict_nothing() {
    let with = |conditions: Conditions| {
        let currency = conditions.minimum_subtotal.is_some().then_some(Currency::GBP);
        refused(Promotion { conditions, currency, ..percentage("p", 1) })
    };
    let now = || Some("2026-06-10T11:00:00Z".parse().unwrap());
    let never = Conditions { valid_from: now(), valid_to: now(), ..Conditions::default() };
    assert_eq!(with(never), "validity_reversed");
    let noon = "12:00:00".parse().unwrap();
    let no_time = TimeOfDay { from: noon, to: noon };
    assert_eq!(with(Conditions { time_of_day: Some(no_time), ..Conditions::default() }), "time_of_day_empty");
    let least = Conditions { minimum_subtotal: Some(0), ..Conditions::default() };
    assert_eq!(with(least), "amount_out_of_range");
    let least = Conditions { minimum_quantity: Some(Quantity::ZERO), ..Conditions::default() };
    assert_eq!(with(least), "minimum_quantity_out_of_range");
    let limited = |per_order, per_customer, total| {
        let limits = Limits { per_order, per_customer, total, ..Limits::default() };
        refused(Promotion { limits, ..percentage("p", 1) })
    };
    assert_eq!(limited(Some(0), None, None), "limit_zero");
    assert_eq!(limited(None, Some(0), None), "limit_zero");
    assert_eq!(limited(None, None, Some(0)), "limit_zero");
    assert_eq!(limited(None, Some(5), Some(4)), "limits_reversed");
    assert_eq!(limited(Some(5), None, Some(4)), "limits_reversed");
    assert_eq!(refused(Promotion { currency: None, ..amount_off("p", 1) }), "currency_missing");
    let unused = Promotion { currency: Some(Currency::GBP), ..percentage("p", 1) };
    assert_eq!(refused(unused), "currency_unused");
}

#[test]
fn coupons_taxes_and_settings_have_bounds() {
    let percent = |bps| coupon("C", CouponBenefit::Percentage { bps });
    let refused = |coupon: Coupon| coupon.check().unwrap_err().code();
    assert_eq!(refused(percent(0)), "percentage_out_of_range");
    assert_eq!(refused(coupon("C", CouponBenefit::FixedAmount { amount: 0 })), "amount_out_of_range");
    assert_eq!(refused(coupon("C", CouponBenefit::Promotion { promotion_id: "".into() })), "id_malformed");
    assert_eq!(refused(coupon("ten off", CouponBenefit::Percentage { bps: 1 })), "id_malformed");
    assert_eq!(refused(Coupon { minimum_spend: Some(1), ..percent(1) }), "currency_missing");
    let gbp = Some(Currency::GBP);
    assert_eq!(refused(Coupon { currency: gbp, ..percent(1) }), "currency_unused");
    assert_eq!(
        refused(Coupon { minimum_spend: Some(0), currency: gbp, ..percent(1) }),
        "amount_out_of_range"
    );
    let presented = Basket { coupons: vec![percent(0)], ..basket([]) };
    assert_eq!(price(&presented, &rules([])).unwrap_err().code(), "percentage_out_of_range");

    let refused = |rule: TaxRule| rule.check().unwrap_err().code();
    assert_eq!(refused(tax("t", 100_001)), "rate_out_of_range");
    assert_eq!(refused(tax("", 1)), "id_malformed");
    assert_eq!(refused(TaxRule { name: "".into(), ..tax("t", 1) }), "text_malformed");
    assert_eq!(refused(TaxRule { tax_categories: names(&[""]), ..tax("t", 1) }), "text_malformed");
    assert_eq!(refused(TaxRule { regions: names(&[""]), ..tax("t", 1) }), "text_malformed");
    assert_eq!(refused(TaxRule { stores: names(&["#"]), ..tax("t", 1) }), "id_malformed");
    let now = || Some("2026-06-10T11:00:00Z".parse().unwrap());
    let never = TaxRule { valid_from: now(), valid_to: now(), ..tax("t", 1) };
    assert_eq!(refused(never), "validity_reversed");

    let settings = |cash_increment| PricingSettings { cash_increment, ..rules([]).settings };
    assert_eq!(settings(10_000).check(), Ok(()));
    assert_eq!(settings(10_001).check().unwrap_err().code(), "cash_increment_out_of_range");
    let by_currency = |coin: u32| {
        let cash_increments = [("CHF".parse().unwrap(), coin)].into();
        PricingSettings { cash_increments, ..settings(5) }
    };
    assert_eq!(by_currency(10_000).check(), Ok(()));
    assert_eq!(by_currency(10_001).check().unwrap_err().code(), "cash_increment_out_of_range");
    let coins = by_currency(10);
    let of = |code: &str| coins.cash_increment_of(code.parse().unwrap());
    assert_eq!((of("CHF"), of("EUR")), (10, 5));
}
