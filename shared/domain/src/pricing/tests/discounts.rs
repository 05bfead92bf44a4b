//! Discounts given by employees, and coupons.

use super::super::*;
use super::fixtures::*;
use ManualDiscountKind::{FixedCart, FixedLine, PercentCart, PercentLine};

fn discounted(lines: impl IntoIterator<Item = BasketLine>, kinds: &[ManualDiscountKind]) -> Priced {
    let numbered = (1..).zip(kinds).map(|(number, kind)| manual(number, *kind));
    let basket = Basket { manual_discounts: numbered.collect(), ..basket(lines) };
    price(&basket, &rules([])).unwrap()
}

fn with_coupons(lines: impl IntoIterator<Item = BasketLine>, coupons: Vec<Coupon>) -> Priced {
    coupons.iter().for_each(|coupon| coupon.check().unwrap());
    price(&Basket { coupons, ..basket(lines) }, &rules([])).unwrap()
}

#[test]
fn manual_discounts_have_their_own_order() {
    let lines = || [line(1, "a", "100", 1), line(2, "b", "100", 1)];
    let given = [
        FixedCart { amount: 1_000 },
        FixedLine { line: 1, amount: 500 },
        PercentCart { bps: 1_000 },
        PercentLine { line: 1, bps: 5_000 },
    ];
    let priced = discounted(lines(), &given);
    // a: 100 − 50 = 50; − 5 = 45; − 5 = 40. b: 100 − 10 = 90. Then 10 by 40 : 90 is 3.08 and 6.92.
    assert_eq!(off(&priced), [6_308, 1_692]);
    let amounts: Vec<i64> =
        priced.lines.first().unwrap().adjustments.iter().map(|adjustment| adjustment.amount).collect();
    assert_eq!(amounts, [5_000, 500, 500, 308]);
    let mut reversed = given;
    reversed.reverse();
    assert_eq!(off(&discounted(lines(), &reversed)), [6_308, 1_692]);
}

#[test]
fn a_manual_discount_is_capped_and_explained() {
    let lines = || [line(1, "a", "3", 1), gift_card(2, "20")];
    let priced = discounted(lines(), &[FixedLine { line: 1, amount: 500 }, FixedCart { amount: 9_999 }]);
    assert_eq!(off(&priced), [300, 0]);
    let outcomes: Vec<_> = priced.explanations.into_iter().map(|e| (e.name, e.outcome)).collect();
    assert_eq!(
        outcomes,
        [
            ("reason 1".to_owned(), Outcome::Applied { uses: 1, amount: 300 }),
            ("reason 2".to_owned(), Outcome::NotApplied { reason: Reason::NothingToTakeOff })
        ]
    );
    let priced = discounted(lines(), &[PercentLine { line: 2, bps: 1_000 }]);
    assert_eq!(off(&priced), [0, 0]);
    let outcome = &priced.explanations.first().unwrap().outcome;
    assert_eq!(outcome, &Outcome::NotApplied { reason: Reason::NoMatchingLine });
    let by_hand = BasketLine { price_overridden: true, ..line(1, "a", "3", 1) };
    assert_eq!(off(&discounted([by_hand], &[PercentCart { bps: 1_000 }])), [30]);
}

#[test]
fn which_line_is_which_does_not_matter() {
    // Two lines alike but for the discount on one of them. A penny off falls on either of them, and
    // whether half of 1.01 or of 1.00 is taken off then decides the total.
    let of = |discounted_line| {
        let half = manual(1, PercentLine { line: discounted_line, bps: 5_000 });
        let lines = [line(1, "a", "1.01", 1), line(2, "a", "1.01", 1)];
        let basket = Basket { manual_discounts: vec![half], ..basket(lines) };
        price(&basket, &rules([amount_off("penny", 1)])).unwrap().amounts.total
    };
    assert_eq!(of(1), of(2));
}

#[test]
fn a_penny_falls_on_the_same_kind_of_line_either_way() {
    // Alike but for how the price came about, which no total shows.
    let of_the_overridden = |first: bool| {
        let of = |number, price_overridden| BasketLine { price_overridden, ..line(number, "a", "1", 1) };
        let lines = [of(1, first), of(2, !first)];
        let priced = with_coupons(lines, vec![coupon("PENNY", CouponBenefit::FixedAmount { amount: 1 })]);
        off(&priced).get(usize::from(!first)).copied()
    };
    assert_eq!(of_the_overridden(true), of_the_overridden(false));
}

#[test]
fn manual_discounts_that_make_no_sense_are_refused() {
    let refused = |discounts: Vec<ManualDiscount>| {
        let basket = Basket { manual_discounts: discounts, ..basket([line(1, "a", "3", 1)]) };
        price(&basket, &rules([])).unwrap_err()
    };
    for kind in [
        PercentCart { bps: 0 },
        PercentCart { bps: 10_001 },
        PercentLine { line: 1, bps: 0 },
        FixedCart { amount: 0 },
        FixedCart { amount: -5 },
        FixedLine { line: 1, amount: 1_000_000_000_001 },
    ] {
        assert_eq!(refused(vec![manual(4, kind)]), PricingError::ManualDiscount(4), "{kind:?}");
    }
    let nowhere = refused(vec![manual(4, FixedLine { line: 2, amount: 1 })]);
    assert_eq!(nowhere, PricingError::UnknownLine { discount: 4, line: 2 });
    let twice = refused(vec![manual(4, FixedCart { amount: 1 }), manual(4, PercentCart { bps: 1 })]);
    assert_eq!(twice.code(), "listed_twice");
    let many = (0..21).map(|n| manual(n, FixedCart { amount: 1 })).collect();
    assert_eq!(refused(many), PricingError::TooMany("manual discounts", 20));
    let unreasoned = ManualDiscount { reason: " ".into(), ..manual(4, FixedCart { amount: 1 }) };
    assert_eq!(refused(vec![unreasoned]).code(), "text_malformed");
}

#[test]
fn coupons_come_after_manual_discounts() {
    let basket = Basket {
        manual_discounts: vec![manual(1, FixedCart { amount: 1_000 })],
        coupons: vec![
            coupon("FIVE", CouponBenefit::FixedAmount { amount: 500 }),
            coupon("TENTH", CouponBenefit::Percentage { bps: 1_000 }),
        ],
        ..basket([line(1, "a", "100", 1)])
    };
    let priced = price(&basket, &rules([])).unwrap();
    let amounts: Vec<i64> =
        priced.lines.first().unwrap().adjustments.iter().map(|adjustment| adjustment.amount).collect();
    assert_eq!(amounts, [1_000, 900, 500], "10, then a tenth of 90, then 5");
}

#[test]
fn a_coupon_has_conditions() {
    let lines = || [line(1, "a", "30", 1), line(2, "b", "20", 1), gift_card(3, "100")];
    let ten = || coupon("TEN", CouponBenefit::FixedAmount { amount: 1_000 });
    let reason = |coupon: Coupon| match with_coupons(lines(), vec![coupon]).explanations.pop().unwrap() {
        Explanation { outcome: Outcome::NotApplied { reason }, .. } => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(off(&with_coupons(lines(), vec![ten()])), [600, 400, 0]);
    let only_b = Coupon { target: only(&["b"]), ..ten() };
    assert_eq!(off(&with_coupons(lines(), vec![only_b.clone()])), [0, 1_000, 0]);
    let enough = Coupon { minimum_spend: Some(5_000), ..ten() };
    assert_eq!(off(&with_coupons(lines(), vec![enough.clone()])), [600, 400, 0]);
    let too_much = Coupon { minimum_spend: Some(5_001), ..enough };
    assert_eq!(reason(too_much), Reason::BelowMinimum { needed: 5_001, is: 5_000 });
    let on_b = Coupon { minimum_spend: Some(2_001), ..only_b };
    assert_eq!(reason(on_b), Reason::BelowMinimum { needed: 2_001, is: 2_000 });
    assert_eq!(reason(Coupon { target: only(&["gift"]), ..ten() }), Reason::NoMatchingLine);
    let at = |text: &str| Some(text.parse().unwrap());
    assert_eq!(reason(Coupon { valid_from: at("2026-06-11T00:00:00Z"), ..ten() }), Reason::NotValidNow);
    assert_eq!(reason(Coupon { valid_to: at("2026-06-10T11:00:00Z"), ..ten() }), Reason::NotValidNow);
    let euros = Coupon { currency: Some("EUR".parse().unwrap()), ..ten() };
    assert_eq!(reason(euros), Reason::WrongCurrency);
    let free = [line(1, "a", "0", 1)];
    let priced = with_coupons(free, vec![ten()]);
    let outcome = &priced.explanations.first().unwrap().outcome;
    assert_eq!(outcome, &Outcome::NotApplied { reason: Reason::NothingToTakeOff });
}

#[test]
fn a_coupon_may_unlock_a_promotion() {
    let hidden = || Promotion { automatic: false, ..percentage("p", 1_000) };
    let unlocking = || {
        let benefit = CouponBenefit::Promotion { promotion_id: "p".into() };
        Coupon {
            minimum_spend: Some(1_000),
            currency: Some(crate::money::Currency::GBP),
            ..coupon("OPEN", benefit)
        }
    };
    let with = |price_of_a: &str, coupons: Vec<Coupon>| {
        let basket = Basket { coupons, ..basket([line(1, "a", price_of_a, 1)]) };
        price(&basket, &rules([hidden()])).unwrap()
    };
    assert_eq!(reason(&with("10", vec![]), "p"), Reason::NotRequested);
    let priced = with("10", vec![unlocking()]);
    assert_eq!(off(&priced), [100]);
    let unlocked = Outcome::Unlocked { promotion_id: "p".into() };
    assert_eq!(priced.explanations.first().unwrap().outcome, unlocked);
    let priced = with("9.99", vec![unlocking()]);
    assert_eq!(reason(&priced, "p"), Reason::NotRequested);
    let reason = Reason::BelowMinimum { needed: 1_000, is: 999 };
    assert_eq!(priced.explanations.first().unwrap().outcome, Outcome::NotApplied { reason });
}

#[test]
fn a_promotion_may_be_applied_by_hand() {
    let hidden = Promotion { automatic: false, ..percentage("p", 1_000) };
    let basket = Basket { requested_promotions: names(&["p", "gone"]), ..basket([line(1, "a", "10", 1)]) };
    let priced = price(&basket, &rules([hidden])).unwrap();
    assert_eq!(off(&priced), [100]);
    assert_eq!(reason(&priced, "gone"), Reason::Unknown);
}
