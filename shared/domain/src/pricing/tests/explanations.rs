//! Each reason why something takes nothing off, where no other test has it as its subject.

use super::super::*;
use super::fixtures::*;

#[test]
fn each_promotion_is_explained_once() {
    let euros = Promotion { currency: Some("EUR".parse().unwrap()), ..amount_off("euros", 100) };
    let hidden = Promotion { automatic: false, ..percentage("hidden", 100) };
    let elsewhere = Promotion { target: only(&["z"]), ..percentage("elsewhere", 100) };
    let all = Promotion { priority: 1, ..percentage("all", 10_000) };
    let promotions = [euros, hidden, elsewhere, all, percentage("late", 1_000)];
    let priced = price_with([line(1, "a", "10", 1)], promotions);
    assert_eq!(priced.explanations.len(), 5);
    assert_eq!(reason(&priced, "euros"), Reason::WrongCurrency);
    assert_eq!(reason(&priced, "hidden"), Reason::NotRequested);
    assert_eq!(reason(&priced, "elsewhere"), Reason::NoMatchingLine);
    assert_eq!(reason(&priced, "late"), Reason::NothingToTakeOff, "all is free already");
    assert_eq!(outcome(&priced, "all"), &Outcome::Applied { uses: 1, amount: 1_000 });
}

#[test]
fn only_what_may_be_discounted_matches() {
    let by_hand = BasketLine { price_overridden: true, ..line(1, "a", "10", 1) };
    let priced = price_with([by_hand, gift_card(2, "10")], [percentage("p", 1_000)]);
    assert_eq!(reason(&priced, "p"), Reason::NoMatchingLine);
    assert_eq!(reason(&price_with([], [percentage("p", 1_000)]), "p"), Reason::NoMatchingLine);
}

#[test]
fn what_rounds_to_nothing_is_not_applied() {
    let priced = price_with([line(1, "a", "0.04", 1)], [percentage("p", 1_000)]);
    assert_eq!(reason(&priced, "p"), Reason::NothingToTakeOff);
    assert!(priced.lines.first().unwrap().adjustments.is_empty());
}

#[test]
fn an_empty_basket_comes_to_nothing() {
    let priced = price(&basket([]), &rules([])).unwrap();
    assert_eq!((priced.amounts, priced.lines.len()), (Amounts::default(), 0));
}

#[test]
fn what_leaves_the_bounds_is_refused() {
    let refused = |basket: Basket| price(&basket, &rules([])).unwrap_err();
    let million = |number| line(number, "a", "9999.99", 1_000_000);
    assert!(price(&basket([million(1)]), &rules([])).is_ok());
    assert_eq!(refused(basket([million(1), million(2)])), PricingError::OutOfRange);
    let mostly_off = vec![manual(1, ManualDiscountKind::PercentCart { bps: 9_000 })];
    let discounted = Basket { manual_discounts: mostly_off, ..basket([million(1), million(2)]) };
    assert_eq!(refused(discounted), PricingError::OutOfRange, "gross is an amount of the order too");
    let taxed = taxes(TaxMode::Exclusive, TaxRounding::PerLine, [tax("t", 100)]);
    assert_eq!(price(&basket([million(1)]), &taxed).unwrap_err().code(), "amount_out_of_range");
    let taxed = taxes(TaxMode::Exclusive, TaxRounding::PerOrder, [tax("t", 100_000)]);
    assert_eq!(price(&basket([million(1)]), &taxed).unwrap_err().code(), "amount_out_of_range");
    let too_dear = line(1, "a", "999999", 1_000_000);
    assert_eq!(refused(basket([too_dear])), PricingError::OutOfRange);
    assert_eq!(refused(basket([line(1, "a", "1", 0)])), PricingError::Quantity(1));
    assert_eq!(refused(basket([line(1, "a", "1", -1)])), PricingError::Quantity(1));
    let half = BasketLine { quantity: Quantity::from_thousandths(500).unwrap(), ..line(1, "a", "1", 1) };
    assert_eq!(refused(basket([half])).code(), "quantity_not_whole");
    assert_eq!(refused(basket([line(1, "a", "1", 1), line(1, "b", "1", 1)])).code(), "listed_twice");
    let many = (0..5_001).map(|n| line(n, "a", "1", 1));
    assert_eq!(refused(basket(many)), PricingError::TooMany("lines", 5_000));
    let coupons = (0..11).map(|n| coupon(&format!("C{n}"), CouponBenefit::Percentage { bps: 1 })).collect();
    assert_eq!(refused(Basket { coupons, ..basket([]) }), PricingError::TooMany("coupons", 10));
    let twice = vec![coupon("C", CouponBenefit::Percentage { bps: 1 }); 2];
    assert_eq!(refused(Basket { coupons: twice, ..basket([]) }).code(), "listed_twice");
    let requested =
        |ids: Vec<String>| Basket { requested_promotions: ids.into_iter().collect(), ..basket([]) };
    assert_eq!(refused(requested(vec!["p q".into()])).code(), "id_malformed");
    let many = (0..101).map(|n| format!("p{n}")).collect();
    assert_eq!(refused(requested(many)).code(), "too_many_to_price");
    let uses_left = (0..501).map(|n| (format!("p{n}"), 1)).collect();
    assert_eq!(refused(Basket { uses_left, ..basket([]) }).code(), "too_many_to_price");
    let segments = (0..101).map(|n| format!("s{n}")).collect();
    let customer = CustomerFacts { segments, tax_exempt: false };
    assert_eq!(refused(Basket { customer, ..basket([]) }).code(), "too_many_to_price");
    let categories = vec!["x".to_owned(); 17];
    assert_eq!(
        refused(basket([BasketLine { categories, ..line(1, "a", "1", 1) }])).code(),
        "too_many_to_price"
    );
    let modifiers = vec![Modifier { name: "x".into(), ten_thousandths: 0 }; 51];
    assert_eq!(
        refused(basket([BasketLine { modifiers, ..line(1, "a", "1", 1) }])).code(),
        "too_many_to_price"
    );
}

#[test]
fn rules_beyond_the_bounds_are_refused() {
    let refused = |rules: PriceRules| price(&basket([]), &rules).unwrap_err();
    let many = (0..501).map(|n| percentage(&format!("p{n}"), 1));
    assert_eq!(refused(rules(many)), PricingError::TooMany("promotions", 500));
    let twice = [percentage("p", 1), percentage("p", 2)];
    assert_eq!(refused(rules(twice)), PricingError::Twice("promotion", "p".into()));
    assert_eq!(refused(rules([percentage("p", 10_001)])).code(), "percentage_out_of_range");
    let exclusive = |list: Vec<TaxRule>| taxes(TaxMode::Exclusive, TaxRounding::PerLine, list);
    let many = (0..201).map(|n| tax(&format!("t{n}"), 1)).collect();
    assert_eq!(refused(exclusive(many)), PricingError::TooMany("tax rules", 200));
    assert_eq!(refused(exclusive(vec![tax("t", 1), tax("t", 2)])).code(), "listed_twice");
    assert_eq!(refused(exclusive(vec![tax("t", 100_001)])).code(), "rate_out_of_range");
}

/// Rules that are each well formed may meet on one line: it is sold with those of the highest rates.
#[test]
fn a_line_with_too_many_taxes_bears_the_highest_of_them() {
    for mode in [TaxMode::Exclusive, TaxMode::Inclusive] {
        for rounding in [TaxRounding::PerLine, TaxRounding::PerOrder] {
            // t00 has 1 %, t01 2 % and so on; the last two are of one rate.
            let rate = |n: u32| 100 * (n.min(11) + 1);
            let rules: Vec<TaxRule> = (0..13).map(|n| tax(&format!("t{n:02}"), rate(n))).collect();
            let priced = price(&basket([line(1, "a", "100.00", 1)]), &taxes(mode, rounding, rules)).unwrap();
            let borne: Vec<&str> = priced.lines[0].taxes.iter().map(|tax| tax.id.as_str()).collect();
            let expected = ["t03", "t04", "t05", "t06", "t07", "t08", "t09", "t10", "t11", "t12"];
            assert_eq!(borne, expected, "{mode:?} {rounding:?}");
        }
    }
}
