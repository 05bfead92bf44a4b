//! Each kind of promotion.

use super::super::*;
use super::fixtures::*;
use crate::quantity::Unit;

fn applied(uses: u32, amount: i64) -> Outcome {
    Outcome::Applied { uses, amount }
}

#[test]
fn a_percentage_is_rounded_once_and_apportioned() {
    let priced = price_with([line(1, "a", "3.33", 3), line(2, "b", "0.05", 1)], [percentage("p", 1_000)]);
    // A tenth of 10.04 is 1.004; of it 0.995 and 0.005 fall on the lines.
    assert_eq!(off(&priced), [100, 0]);
    assert_eq!(outcome(&priced, "p"), &applied(1, 100));
    // Spread over more lines, the same goods cost the same.
    let cut: Vec<_> = (1..=3).map(|n| line(n, "a", "3.33", 1)).chain([line(4, "b", "0.05", 1)]).collect();
    assert_eq!(price_with(cut, [percentage("p", 1_000)]).amounts.discount_shown, 100);
}

#[test]
fn a_promotion_says_who_it_is_on_the_line() {
    let priced = price_with([line(1, "a", "10", 1)], [percentage("p", 1_000)]);
    let source = Source::Promotion { id: "p".into(), version: 7 };
    let expected = Adjustment { source, name: "promotion p".into(), amount: 100, uses: 1 };
    assert_eq!(priced.lines.first().unwrap().adjustments, [expected]);
}

#[test]
fn an_amount_off_the_order_is_apportioned_and_capped() {
    let lines = || [line(1, "a", "1", 1), line(2, "b", "1", 1), line(3, "c", "1", 1)];
    assert_eq!(off(&price_with(lines(), [amount_off("p", 100)])), [34, 33, 33]);
    let priced = price_with(lines(), [amount_off("p", 5_000)]);
    assert_eq!(off(&priced), [100, 100, 100], "no more than there is");
    assert_eq!(priced.amounts.total, 0);
    let uneven = [line(1, "a", "30", 1), line(2, "b", "10", 1)];
    assert_eq!(off(&price_with(uneven, [amount_off("p", 200)])), [150, 50]);
}

#[test]
fn an_amount_off_each_unit() {
    let each = |amount| promotion("p", Benefit::FixedAmount { amount, per: FixedAmountPer::Unit });
    let lines = || [line(1, "a", "2", 3), line(2, "b", "0.30", 2), weighed(3, "c", "3.99", 482)];
    let priced = price_with(lines(), [each(50)]);
    // 3 × 0.50; 2 × 0.30, which is all there is; 0.482 × 0.50 = 0.241.
    assert_eq!(off(&priced), [150, 60, 24]);
    assert_eq!(outcome(&priced, "p"), &applied(6, 234), "the weighed line is one use");
    let limited = Promotion { limits: Limits { per_order: Some(2), ..Limits::default() }, ..each(50) };
    let priced = price_with(lines(), [limited]);
    assert_eq!(off(&priced), [100, 0, 0], "to the units that save most");
    assert_eq!(outcome(&priced, "p"), &applied(2, 100));
}

#[test]
fn of_a_buy_get_the_cheapest_is_given() {
    let two_and_one = || [buy_get("p", 2, 1)];
    let priced = price_with([line(1, "a", "5", 2), line(2, "b", "3", 1)], two_and_one());
    assert_eq!(off(&priced), [0, 300]);
    assert_eq!(outcome(&priced, "p"), &applied(1, 300));
    // Whole groups only.
    assert_eq!(off(&price_with([line(1, "a", "5", 4), line(2, "b", "3", 1)], two_and_one())), [0, 300]);
    assert_eq!(off(&price_with([line(1, "a", "5", 4), line(2, "b", "3", 2)], two_and_one())), [0, 600]);
    assert_eq!(off(&price_with([line(1, "a", "5", 5), line(2, "b", "3", 1)], two_and_one())), [500, 300]);
    let few = price_with([line(1, "a", "5", 2)], two_and_one());
    assert_eq!(reason(&few, "p"), Reason::TooFewUnits);
}

#[test]
fn a_buy_get_may_give_a_part() {
    let half = promotion("p", Benefit::BuyGet { buy: 1, get: 1, bps: 5_000 });
    let priced = price_with([line(1, "a", "4", 1), line(2, "b", "3.33", 1)], [half]);
    assert_eq!(off(&priced), [0, 167], "1.665, half away from zero");
}

#[test]
fn a_buy_get_counts_pieces_only() {
    let kg = weighed(1, "a", "1", 3_000);
    assert_eq!(reason(&price_with([kg], [buy_get("p", 2, 1)]), "p"), Reason::TooFewUnits);
    let kg = weighed(1, "a", "1", 1_000);
    let priced = price_with([kg, line(2, "b", "3", 3)], [buy_get("p", 2, 1)]);
    assert_eq!(off(&priced), [0, 300]);
}

#[test]
fn a_buy_get_does_not_look_at_single_pieces() {
    let most = line(1, "a", "0.55", 80_995);
    let priced = price_with([most], [buy_get("p", 2, 1)]);
    assert_eq!(off(&priced), [26_998 * 55]);
    assert_eq!(outcome(&priced, "p"), &applied(26_998, 1_484_890));
}

#[test]
fn a_price_override_never_raises_a_price() {
    let two = promotion("p", Benefit::PriceOverride { unit_price: "2".parse().unwrap() });
    let lines = || [line(1, "a", "2.50", 3), line(2, "b", "1.80", 1), weighed(3, "c", "4", 500)];
    let priced = price_with(lines(), [two.clone()]);
    assert_eq!(off(&priced), [150, 0, 100]);
    assert_eq!(outcome(&priced, "p"), &applied(4, 250));
    let cheap = price_with([line(1, "b", "1.80", 1)], [two.clone()]);
    assert_eq!(reason(&cheap, "p"), Reason::NothingToTakeOff);
    // What an earlier promotion left is what is compared: 3 × 2.50 less 50 % is below 3 × 2.00.
    let half = Promotion { priority: 1, ..percentage("half", 5_000) };
    let priced = price_with([line(1, "a", "2.50", 3)], [two.clone(), half]);
    assert_eq!(off(&priced), [375]);
    let limited = Promotion { limits: Limits { per_order: Some(2), ..Limits::default() }, ..two };
    let priced = price_with([line(1, "a", "2.50", 3), line(2, "d", "4", 1)], [limited]);
    assert_eq!(off(&priced), [50, 200], "to the units that save most");
}

#[test]
fn a_bundle_costs_its_price() {
    let meal = || [bundle("p", &[(&["burger"], 1), (&["cola", "juice"], 1), (&["fries"], 1)], 800)];
    let lines = [line(1, "burger", "5", 2), line(2, "cola", "2", 3), line(3, "fries", "2.50", 1)];
    let priced = price_with(lines, meal());
    // 9.50 for 8.00; 1.50 by 5.00 : 2.00 : 2.50 is 0.789, 0.316, 0.395.
    assert_eq!(off(&priced), [79, 32, 39]);
    assert_eq!(outcome(&priced, "p"), &applied(1, 150));
    let lines = [
        line(1, "burger", "5", 1),
        line(2, "cola", "2", 1),
        line(3, "juice", "3", 1),
        line(4, "fries", "2.50", 1),
    ];
    let priced = price_with(lines, meal());
    assert_eq!(priced.amounts.discount_shown, 250, "of the dearest that fit");
    assert_eq!(off(&priced).get(1), Some(&0));
    let lines = [line(1, "burger", "5", 1), line(2, "cola", "2", 1)];
    assert_eq!(reason(&price_with(lines, meal()), "p"), Reason::TooFewUnits);
}

#[test]
fn a_bundle_never_costs_more_than_its_parts() {
    let pair = || [bundle("p", &[(&["a", "b", "c"], 2)], 500)];
    let priced = price_with([line(1, "a", "4", 2), line(2, "b", "1", 2)], pair());
    assert_eq!(outcome(&priced, "p"), &applied(1, 300), "the two cheap ones are not made a bundle");
    assert_eq!(off(&priced), [300, 0]);
    let priced = price_with([line(1, "b", "1", 2)], pair());
    assert_eq!(reason(&priced, "p"), Reason::NothingToTakeOff);
    // Many: 30,000 of 4.00 and 30,000 of 1.00 make 15,000 bundles that save 3.00 each.
    let priced = price_with([line(1, "a", "4", 30_000), line(2, "b", "1", 30_000)], pair());
    assert_eq!(outcome(&priced, "p"), &applied(15_000, 4_500_000));
}

#[test]
fn what_fits_several_components_is_dealt_out_well() {
    // The one that fits both must be left to the second.
    let both = || [bundle("p", &[(&["a", "b"], 1), (&["a"], 1)], 600)];
    let priced = price_with([line(1, "a", "4", 1), line(2, "b", "4", 1)], both());
    assert_eq!(outcome(&priced, "p"), &applied(1, 200));
    let priced = price_with([line(1, "a", "5", 2), line(2, "b", "1", 1)], both());
    assert_eq!(off(&priced), [400, 0], "two of the dearer fit as well");
    let three = [bundle("p", &[(&["a", "b"], 1), (&["b", "c"], 1), (&["c", "a"], 1)], 100)];
    let priced = price_with([line(1, "a", "2", 3), line(2, "b", "1", 3)], three);
    // There is no c, so the second is b and the third a; the first is what is left, one of each.
    assert_eq!(outcome(&priced, "p"), &applied(2, 300 + 300 + 100));
}

#[test]
fn spending_enough_is_rewarded() {
    let spend = |reward| promotion("p", Benefit::SpendThreshold { minimum: 2_000, reward });
    let tenth = spend(Reward::Percentage { bps: 1_000 });
    let five = spend(Reward::FixedAmount { amount: 500 });
    let lines = || [line(1, "a", "15", 1), line(2, "b", "10", 1)];
    assert_eq!(off(&price_with(lines(), [tenth.clone()])), [150, 100]);
    assert_eq!(off(&price_with(lines(), [five.clone()])), [300, 200]);
    let exactly = [line(1, "a", "20", 1)];
    assert_eq!(off(&price_with(exactly, [five])), [500]);
    let less = price_with([line(1, "a", "19.99", 1)], [tenth.clone()]);
    assert_eq!(reason(&less, "p"), Reason::BelowMinimum { needed: 2_000, is: 1_999 });
    // What counts is what it is for, and what is left of that.
    let only_a = Promotion { target: only(&["a"]), ..tenth.clone() };
    assert_eq!(
        reason(&price_with(lines(), [only_a]), "p"),
        Reason::BelowMinimum { needed: 2_000, is: 1_500 }
    );
    let first = Promotion { priority: 1, ..amount_off("first", 600) };
    let priced = price_with(lines(), [tenth.clone(), first]);
    assert_eq!(reason(&priced, "p"), Reason::BelowMinimum { needed: 2_000, is: 1_900 });
    let priced = price_with([line(1, "a", "15", 1), gift_card(2, "20")], [tenth]);
    assert_eq!(reason(&priced, "p"), Reason::BelowMinimum { needed: 2_000, is: 1_500 });
}

#[test]
fn what_may_not_be_discounted_is_not() {
    let lines = || [gift_card(1, "20"), line(2, "a", "10", 1)];
    assert_eq!(off(&price_with(lines(), [amount_off("p", 5_000)])), [0, 1_000]);
    assert_eq!(off(&price_with(lines(), [buy_get("p", 1, 1)])), [0, 0]);
    let by_hand = BasketLine { price_overridden: true, ..line(1, "a", "10", 1) };
    let priced = price_with([by_hand, line(2, "b", "10", 1)], [percentage("p", 1_000)]);
    assert_eq!(off(&priced), [0, 100], "a price set by hand is final");
}

#[test]
fn a_target_is_skus_and_categories_less_exclusions() {
    let of = |number, sku: &str, categories: &[&str]| BasketLine {
        categories: categories.iter().map(|c| (*c).to_owned()).collect(),
        ..line(number, sku, "10", 1)
    };
    let lines = || {
        [
            of(1, "mug", &["mugs", "kitchen"]),
            of(2, "pan", &["pans", "kitchen"]),
            of(3, "pen", &["office"]),
            of(4, "old", &["mugs", "kitchen"]),
        ]
    };
    let with = |skus: &[&str], categories: &[&str], excluded: &[&str]| {
        let target =
            Selector { skus: names(skus), categories: names(categories), excluded_skus: names(excluded) };
        off(&price_with(lines(), [Promotion { target, ..percentage("p", 1_000) }]))
    };
    assert_eq!(with(&["pen"], &[], &[]), [0, 0, 100, 0]);
    assert_eq!(with(&[], &["mugs"], &[]), [100, 0, 0, 100]);
    assert_eq!(with(&[], &["kitchen"], &[]), [100, 100, 0, 100], "an ancestor");
    assert_eq!(with(&["pen"], &["mugs"], &["old"]), [100, 0, 100, 0]);
    assert_eq!(with(&[], &[], &["old"]), [100, 100, 100, 0]);
    assert_eq!(with(&["none"], &[], &[]), [0, 0, 0, 0]);
}

#[test]
fn modifiers_belong_to_the_price() {
    let modifier = |ten_thousandths| Modifier { name: "size".into(), ten_thousandths };
    let with = |modifiers: &[i64]| BasketLine {
        modifiers: modifiers.iter().map(|m| modifier(*m)).collect(),
        ..line(1, "a", "2.50", 2)
    };
    assert_eq!(price_with([with(&[5_000, 2_550])], []).amounts.gross, 651, "2 × 3.255, rounded once");
    assert_eq!(price_with([with(&[-25_000])], []).amounts.gross, 0);
    let refused = price(&basket([with(&[-25_001])]), &rules([])).unwrap_err();
    assert_eq!(refused, PricingError::UnitPrice(1));
    let refused = price(&basket([with(&[i64::MAX, i64::MAX])]), &rules([])).unwrap_err();
    assert_eq!(refused.code(), "unit_price_out_of_range");
    let weighed = BasketLine { unit: Unit::Kg, ..with(&[]) };
    assert_eq!(price_with([weighed], []).amounts.gross, 500);
}
