//! Which promotions go together, and how often.

use super::super::*;
use super::fixtures::*;

fn first(promotion: Promotion) -> Promotion {
    Promotion { priority: 1, ..promotion }
}

fn exclusive(promotion: Promotion) -> Promotion {
    Promotion { stacking: Stacking::Exclusive, ..promotion }
}

fn on(skus: &[&str], promotion: Promotion) -> Promotion {
    Promotion { target: only(skus), ..promotion }
}

fn grouped(promotion: Promotion) -> Promotion {
    Promotion { group: Some("season".into()), ..promotion }
}

fn limited(per_order: u32, promotion: Promotion) -> Promotion {
    Promotion { limits: Limits { per_order: Some(per_order), ..Limits::default() }, ..promotion }
}

fn two_lines() -> [BasketLine; 2] {
    [line(1, "a", "100", 1), line(2, "b", "100", 1)]
}

#[test]
fn stackable_promotions_work_on_what_is_left() {
    let one = || line(1, "a", "100", 1);
    let priced = price_with([one()], [amount_off("x", 1_000), first(percentage("y", 1_000))]);
    assert_eq!(off(&priced), [2_000], "10 % of 100, then 10");
    let priced = price_with([one()], [first(amount_off("x", 1_000)), percentage("y", 1_000)]);
    assert_eq!(off(&priced), [1_900], "10, then 10 % of 90");
    // Of the same priority the id decides.
    let priced = price_with([one()], [percentage("y", 1_000), amount_off("x", 1_000)]);
    assert_eq!(off(&priced), [1_900]);
    let sources: Vec<_> = priced.explanations.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(sources, ["promotion x", "promotion y"]);
}

#[test]
fn an_exclusive_promotion_keeps_its_lines() {
    let tenth = exclusive(first(on(&["a"], percentage("x", 1_000))));
    let priced = price_with(two_lines(), [tenth, percentage("y", 2_000)]);
    assert_eq!(off(&priced), [1_000, 2_000]);
    assert_eq!(outcome(&priced, "y"), &Outcome::Applied { uses: 1, amount: 2_000 });
}

#[test]
fn an_exclusive_promotion_leaves_touched_lines_alone() {
    let fifth = first(on(&["b"], percentage("x", 2_000)));
    let priced = price_with(two_lines(), [fifth, exclusive(percentage("y", 1_000))]);
    assert_eq!(off(&priced), [1_000, 2_000]);
    let all = first(percentage("x", 2_000));
    let priced = price_with(two_lines(), [all, exclusive(percentage("y", 9_000))]);
    assert_eq!(off(&priced), [2_000, 2_000]);
    assert_eq!(reason(&priced, "y"), Reason::Exclusive);
}

#[test]
fn what_is_kept_is_kept_from_employees_and_coupons_too() {
    let rules = rules([exclusive(on(&["a"], percentage("x", 1_000)))]);
    let basket = Basket {
        manual_discounts: vec![
            manual(1, ManualDiscountKind::PercentCart { bps: 1_000 }),
            manual(2, ManualDiscountKind::FixedLine { line: 1, amount: 500 }),
        ],
        coupons: vec![coupon("TEN", CouponBenefit::FixedAmount { amount: 1_000 })],
        ..basket(two_lines())
    };
    let priced = price(&basket, &rules).unwrap();
    assert_eq!(off(&priced), [1_000, 2_000]);
    let outcomes: Vec<_> = priced.explanations.iter().map(|e| e.outcome.clone()).collect();
    assert_eq!(outcomes.get(2), Some(&Outcome::NotApplied { reason: Reason::Exclusive }));
}

/// What a discount by hand falls on, and what was left of it then: nothing that is kept from it, or that others left
/// nothing of; but also what it is too little of to be a penny.
#[test]
fn a_discount_by_hand_falls_on_what_is_left_to_it() {
    let falls_on = |promotions: Vec<Promotion>| {
        let lines = [
            line(1, "a", "100", 1),
            line(2, "b", "100", 1),
            line(3, "c", "100", 1),
            line(4, "d", "0.01", 1),
            gift_card(5, "100"),
            line(6, "e", "10", 1),
        ];
        let kinds = [
            ManualDiscountKind::PercentCart { bps: 1_000 },
            ManualDiscountKind::PercentLine { line: 6, bps: 10_000 },
            ManualDiscountKind::FixedLine { line: 2, amount: 500 },
            ManualDiscountKind::PercentLine { line: 1, bps: 1_000 },
            ManualDiscountKind::FixedLine { line: 5, amount: 500 },
        ];
        let manual_discounts = (1..).zip(kinds).map(|(number, kind)| manual(number, kind)).collect();
        price(&Basket { manual_discounts, ..basket(lines) }, &rules(promotions)).unwrap().falls_on
    };
    let kept = exclusive(first(on(&["a"], percentage("x", 1_000))));
    let given = first(on(&["c"], percentage("y", 10_000)));
    let on = |lines: &[(u32, i64)]| -> Vec<TouchedLine> {
        lines.iter().map(|(number, left)| TouchedLine { number: *number, left: *left }).collect()
    };
    let with =
        FallsOn::from([(1, on(&[(2, 10_000), (4, 1)])), (2, on(&[(6, 1_000)])), (3, on(&[(2, 9_000)]))]);
    assert_eq!([1, 2, 3, 4].map(|number| taken_of(&with, number)), [10_001, 1_000, 9_000, 0]);
    assert_eq!(falls_on(vec![kept, given]), with);
    let without = FallsOn::from([
        (1, on(&[(1, 9_000), (2, 10_000), (3, 10_000), (4, 1)])),
        (2, on(&[(6, 1_000)])),
        (3, on(&[(2, 9_000)])),
        (4, on(&[(1, 10_000)])),
    ]);
    assert_eq!(falls_on(vec![]), without);
}

#[test]
fn bought_pieces_are_touched_and_rounding_to_nothing_is_not() {
    let lines = || [line(1, "a", "5", 2), line(2, "b", "3", 1)];
    let priced = price_with(lines(), [exclusive(first(buy_get("x", 2, 1))), percentage("y", 1_000)]);
    assert_eq!(off(&priced), [0, 300]);
    assert_eq!(reason(&priced, "y"), Reason::Exclusive);
    // 10 % of 0.04 rounds to nothing, so it stays free for others.
    let lines = [line(1, "a", "5", 1), line(2, "b", "0.04", 1)];
    let priced = price_with(lines, [exclusive(first(percentage("x", 1_000))), percentage("y", 5_000)]);
    assert_eq!(off(&priced), [50, 2]);
}

#[test]
fn a_piece_takes_part_in_one_multibuy_only() {
    let twice = || [first(limited(1, buy_get("x", 1, 1))), buy_get("y", 1, 1)];
    let priced = price_with([line(1, "a", "1", 4)], twice());
    assert_eq!(off(&priced), [200]);
    let priced = price_with([line(1, "a", "1", 3)], twice());
    assert_eq!(off(&priced), [100]);
    assert_eq!(reason(&priced, "y"), Reason::TooFewUnits);
    let pair = bundle("y", &[(&["a"], 2)], 100);
    let priced = price_with([line(1, "a", "1", 2)], [first(buy_get("x", 1, 1)), pair]);
    assert_eq!(reason(&priced, "y"), Reason::TooFewUnits);
    // A percentage in between falls on used and unused pieces alike: 3 left of 4 × 1.00, less a third
    // (1.00), of which the two unused bear 0.67: 1.33 for two.
    let third = Promotion { priority: 5, ..percentage("m", 3_333) };
    let [x, y] = twice();
    let priced = price_with([line(1, "a", "1", 4)], [x, third, y]);
    assert_eq!(outcome(&priced, "m"), &Outcome::Applied { uses: 1, amount: 100 });
    assert_eq!(outcome(&priced, "y"), &Outcome::Applied { uses: 1, amount: 67 });
}

#[test]
fn of_a_group_the_best_applies() {
    let both = || [first(grouped(amount_off("x", 500))), grouped(percentage("y", 1_000))];
    let priced = price_with([line(1, "a", "100", 1)], both());
    assert_eq!(off(&priced), [1_000]);
    assert_eq!(reason(&priced, "x"), Reason::NotBestOfGroup { best: "y".into() });
    let priced = price_with([line(1, "a", "40", 1)], both());
    assert_eq!(off(&priced), [500]);
    assert_eq!(reason(&priced, "y"), Reason::NotBestOfGroup { best: "x".into() });
    let priced = price_with([line(1, "a", "50", 1)], both());
    assert_eq!(outcome(&priced, "x"), &Outcome::Applied { uses: 1, amount: 500 }, "the earlier of equals");
    // It is decided at the turn of the first of them, before what comes between.
    let between = Promotion { priority: 5, ..amount_off("z", 9_000) };
    let [x, y] = both();
    let priced = price_with([line(1, "a", "100", 1)], [x, between, y]);
    assert_eq!(outcome(&priced, "y"), &Outcome::Applied { uses: 1, amount: 1_000 });
    assert_eq!(off(&priced), [10_000]);
}

#[test]
fn a_group_of_which_one_does_not_hold_is_the_other() {
    let elsewhere = Promotion {
        conditions: Conditions { stores: names(&["s-york"]), ..Conditions::default() },
        ..first(grouped(percentage("x", 5_000)))
    };
    let priced = price_with(two_lines(), [elsewhere, grouped(percentage("y", 1_000))]);
    assert_eq!(off(&priced), [1_000, 1_000]);
    assert_eq!(reason(&priced, "x"), Reason::WrongStore);
}

#[test]
fn limits_count_how_often_the_benefit_is_given() {
    let nine = || [line(1, "a", "1", 9)];
    let priced = price_with(nine(), [limited(2, buy_get("x", 2, 1))]);
    assert_eq!(off(&priced), [200]);
    assert_eq!(priced.promotion_uses, [("x".to_owned(), 2)].into());
    let left = |uses: u32, promotion: Promotion| {
        let basket = Basket { uses_left: [("x".to_owned(), uses)].into(), ..basket(nine()) };
        price(&basket, &rules([promotion])).unwrap()
    };
    let priced = left(1, limited(2, buy_get("x", 2, 1)));
    assert_eq!(off(&priced), [100], "the lower of both");
    let priced = left(0, buy_get("x", 2, 1));
    assert_eq!(reason(&priced, "x"), Reason::LimitReached);
    assert!(priced.promotion_uses.is_empty());
    let trio = || bundle("x", &[(&["a"], 3)], 250);
    assert_eq!(off(&price_with(nine(), [trio()])), [150]);
    assert_eq!(off(&left(2, trio())), [100]);
    assert_eq!(off(&left(1, percentage("x", 1_000))), [90], "one use is the whole of it");
}
