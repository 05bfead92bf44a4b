//! Tax, in both modes and both roundings.

use super::super::*;
use super::fixtures::*;
use TaxMode::{Exclusive, Inclusive};
use TaxRounding::{PerLine, PerOrder};

fn taxed(lines: impl IntoIterator<Item = BasketLine>, rules: &PriceRules) -> Priced {
    rules.tax_rules.iter().for_each(|rule| rule.check().unwrap());
    price(&basket(lines), rules).unwrap()
}

fn by_line(priced: &Priced) -> Vec<i64> {
    priced.lines.iter().map(|line| line.amounts.tax).collect()
}

fn by_rule(priced: &Priced) -> Vec<(&str, i64, i64)> {
    priced.taxes.iter().map(|tax| (tax.id.as_str(), tax.base, tax.amount)).collect()
}

fn three(price: &str) -> [BasketLine; 3] {
    [line(1, "a", price, 1), line(2, "b", price, 1), line(3, "c", price, 1)]
}

#[test]
fn exclusive_tax_comes_on_top() {
    // 5 % of 0.10 is half a penny.
    let per_line = taxed(three("0.10"), &taxes(Exclusive, PerLine, [tax("t", 500)]));
    assert_eq!((by_line(&per_line), per_line.amounts.total), (vec![1, 1, 1], 33));
    let per_order = taxed(three("0.10"), &taxes(Exclusive, PerOrder, [tax("t", 500)]));
    assert_eq!((by_line(&per_order), per_order.amounts.total), (vec![1, 1, 0], 32));
    assert_eq!(by_rule(&per_order), [("t", 30, 2)]);
    let amounts =
        Amounts { gross: 30, discount_shown: 0, net: 30, subtotal: 30, discount: 0, tax: 2, total: 32 };
    assert_eq!(per_order.amounts, amounts);
}

#[test]
fn inclusive_tax_is_contained() {
    // A sixth of 0.99 is 0.165, of 2.97 it is 0.495.
    let per_line = taxed(three("0.99"), &taxes(Inclusive, PerLine, [tax("t", 2_000)]));
    assert_eq!((by_line(&per_line), per_line.amounts.total), (vec![17, 17, 17], 297));
    let per_order = taxed(three("0.99"), &taxes(Inclusive, PerOrder, [tax("t", 2_000)]));
    assert_eq!((by_line(&per_order), per_order.amounts.total), (vec![17, 17, 16], 297));
    assert_eq!(by_rule(&per_order), [("t", 247, 50)]);
    assert_eq!((per_order.amounts.subtotal, per_order.amounts.discount), (247, 0));
}

#[test]
fn a_line_may_bear_several_rates() {
    let state_and_city = || [tax("state", 625), tax("city", 200)];
    let priced = taxed([line(1, "a", "19.99", 1)], &taxes(Exclusive, PerLine, state_and_city()));
    // 1.249375 and 0.3998, each rounded for itself.
    assert_eq!(by_rule(&priced), [("city", 1_999, 40), ("state", 1_999, 125)]);
    assert_eq!(priced.amounts.total, 2_164);
    let ten_and_five = || [tax("ten", 1_000), tax("five", 500)];
    let priced = taxed([line(1, "a", "11.50", 1)], &taxes(Inclusive, PerLine, ten_and_five()));
    assert_eq!(by_rule(&priced), [("five", 1_000, 50), ("ten", 1_000, 100)]);
    // 0.20 at 15 %: contained are 2.6, so 3 pennies, two of the one and one of the other.
    let priced = taxed([line(1, "a", "0.20", 1)], &taxes(Inclusive, PerLine, ten_and_five()));
    assert_eq!(by_rule(&priced), [("five", 17, 1), ("ten", 17, 2)]);
}

#[test]
fn inclusive_lines_with_the_same_rates_are_rounded_together() {
    let city = TaxRule { target: only(&["b", "c"]), ..tax("city", 1_000) };
    let rules = taxes(Inclusive, PerOrder, [tax("vat", 2_000), city]);
    let lines = [line(1, "a", "12", 1), line(2, "b", "6.50", 1), line(3, "c", "6.50", 1)];
    let priced = taxed(lines, &rules);
    // a: 20 of 120. b and c: 30 of 130, 2 : 1.
    assert_eq!(by_line(&priced), [200, 150, 150]);
    assert_eq!(by_rule(&priced), [("city", 1_000, 100), ("vat", 2_000, 400)]);
    // Pennies: of b and c together 3 × 30 ÷ 130 = 0.69, one penny, of vat; it falls on the larger.
    let lines = [line(2, "b", "0.02", 1), line(3, "c", "0.01", 1)];
    let priced = taxed(lines, &rules);
    assert_eq!((by_line(&priced), by_rule(&priced)), (vec![1, 0], vec![("city", 2, 0), ("vat", 2, 1)]));
}

#[test]
fn tiny_lines_with_large_rates_contain_no_more_than_they_are() {
    let rates = || (0..3).map(|n| tax(&format!("t{n}"), 90_000));
    let lines = (1..=9).map(|n| line(n, "a", "0.01", 1));
    let priced = taxed(lines, &taxes(Inclusive, PerOrder, rates()));
    // 9 × 27 ÷ 28 is 8.68: each line bears at most its penny, each tax its third.
    assert_eq!(by_rule(&priced).iter().map(|(_, _, amount)| *amount).collect::<Vec<_>>(), [3, 3, 3]);
    assert!(priced.lines.iter().all(|line| line.amounts.subtotal >= 0 && line.amounts.tax <= 1));
}

#[test]
fn tax_is_on_what_is_left_after_discounts() {
    let with = |mode, rounding| {
        let rules = PriceRules {
            promotions: vec![percentage("p", 1_000)],
            ..taxes(mode, rounding, [tax("t", 2_000)])
        };
        taxed([line(1, "a", "12", 1)], &rules).amounts
    };
    for rounding in [PerLine, PerOrder] {
        let exclusive = with(Exclusive, rounding);
        assert_eq!((exclusive.subtotal, exclusive.discount), (1_200, 120));
        assert_eq!((exclusive.tax, exclusive.total), (216, 1_296));
        let inclusive = with(Inclusive, rounding);
        assert_eq!((inclusive.gross, inclusive.discount_shown, inclusive.net), (1_200, 120, 1_080));
        // Without tax 10.00, less 1.00; the tax in 10.80 is 1.80.
        assert_eq!((inclusive.subtotal, inclusive.discount), (1_000, 100));
        assert_eq!((inclusive.tax, inclusive.total), (180, 1_080));
    }
}

#[test]
fn a_line_without_a_discount_has_none_without_tax() {
    let discount = manual(1, ManualDiscountKind::FixedLine { line: 1, amount: 7 });
    let lines = [line(1, "a", "0.50", 1), line(2, "b", "0.51", 1), line(3, "c", "0.52", 1)];
    let basket = Basket { manual_discounts: vec![discount], ..basket(lines) };
    let priced = price(&basket, &taxes(Inclusive, PerOrder, [tax("t", 2_000)])).unwrap();
    // 1.53 contains 0.255, so 0.26; 1.46 contains 0.243, so 0.24.
    assert_eq!(priced.lines.iter().map(|l| l.amounts.discount).collect::<Vec<_>>(), [5, 0, 0]);
    assert_eq!((priced.amounts.subtotal, priced.amounts.discount, priced.amounts.tax), (127, 5, 24));
}

#[test]
fn what_is_exempt_bears_none_and_says_why() {
    let book = || BasketLine { tax_exempt: true, ..line(1, "book", "12", 1) };
    for mode in [Exclusive, Inclusive] {
        let rules = taxes(mode, PerOrder, [tax("t", 2_000)]);
        let priced = taxed([book(), line(2, "a", "12", 1)], &rules);
        let exempt = priced.lines.first().unwrap();
        assert_eq!((exempt.amounts.tax, exempt.amounts.total, exempt.taxes.len()), (0, 1_200, 0));
        let exemptions: Vec<_> = priced.lines.iter().map(|line| line.exemption).collect();
        assert_eq!(exemptions, [Some(Exemption::Product), None]);
        assert!(priced.amounts.tax > 0);
        let diplomat = CustomerFacts { tax_exempt: true, ..CustomerFacts::default() };
        let basket = Basket { customer: diplomat, ..basket([book(), line(2, "a", "12", 1)]) };
        let priced = price(&basket, &rules).unwrap();
        let exemptions: Vec<_> = priced.lines.iter().map(|line| line.exemption).collect();
        assert_eq!(exemptions, [Some(Exemption::Product), Some(Exemption::Customer)]);
        assert_eq!((priced.amounts.tax, priced.amounts.total), (0, 2_400));
    }
}

#[test]
fn zero_rated_is_not_exempt() {
    for (mode, rounding) in
        [(Exclusive, PerLine), (Exclusive, PerOrder), (Inclusive, PerLine), (Inclusive, PerOrder)]
    {
        let priced = taxed([line(1, "a", "10", 1)], &taxes(mode, rounding, [tax("zero", 0)]));
        assert_eq!(by_rule(&priced), [("zero", 1_000, 0)]);
        assert_eq!(priced.lines.first().unwrap().exemption, None);
    }
}

#[test]
fn a_tax_is_due_on_something_somewhere_at_some_time() {
    let bears = |rule: TaxRule| {
        let food = BasketLine {
            tax_category: Some("food".into()),
            categories: vec!["bread".into(), "bakery".into()],
            ..line(1, "a", "10", 1)
        };
        let priced = taxed([food, line(2, "b", "10", 1)], &taxes(Exclusive, PerLine, [rule]));
        by_line(&priced).iter().map(|tax| *tax > 0).collect::<Vec<_>>()
    };
    let t = || tax("t", 1_000);
    assert_eq!(bears(t()), [true, true]);
    assert_eq!(bears(TaxRule { tax_categories: names(&["food", "books"]), ..t() }), [true, false]);
    let bakery = Selector { categories: names(&["bakery"]), ..Selector::default() };
    assert_eq!(bears(TaxRule { target: bakery, ..t() }), [true, false]);
    assert_eq!(bears(TaxRule { target: only(&["b"]), ..t() }), [false, true]);
    let either = TaxRule { target: only(&["b"]), tax_categories: names(&["food"]), ..t() };
    assert_eq!(bears(either), [true, true]);
    let but_a = Selector { excluded_skus: names(&["a"]), ..Selector::default() };
    assert_eq!(bears(TaxRule { target: but_a, ..t() }), [false, true]);
    for (here, list) in [(true, ["s-leeds"]), (false, ["s-york"])] {
        assert_eq!(bears(TaxRule { stores: names(&list), ..t() }), [here, here]);
    }
    for (here, list) in [(true, ["north"]), (false, ["south"])] {
        assert_eq!(bears(TaxRule { regions: names(&list), ..t() }), [here, here]);
    }
    for (here, list) in [(true, ["pos"]), (false, ["web"])] {
        assert_eq!(bears(TaxRule { channels: names(&list), ..t() }), [here, here]);
    }
    let from = |text: &str| TaxRule { valid_from: Some(text.parse().unwrap()), ..t() };
    assert_eq!(bears(from("2026-06-10T11:00:00Z")), [true, true]);
    assert_eq!(bears(from("2026-06-10T11:00:01Z")), [false, false]);
    let to = TaxRule { valid_to: Some("2026-06-10T11:00:00Z".parse().unwrap()), ..t() };
    assert_eq!(bears(to), [false, false]);
    let nowhere = Basket { region: None, ..basket([line(1, "a", "10", 1)]) };
    let north = TaxRule { regions: names(&["north"]), ..t() };
    let priced = price(&nowhere, &taxes(Exclusive, PerLine, [north])).unwrap();
    assert_eq!(priced.amounts.tax, 0);
}

#[test]
fn a_penny_goes_by_content_and_not_by_number() {
    // One penny off two lines of equal worth, of which one bears tax: 20 % of 0.03 is 1 penny, of 0.02
    // none. It must be the same line whichever was scanned first.
    let total = |first: &str, second: &str| {
        let vat = TaxRule { tax_categories: names(&["standard"]), ..tax("vat", 2_000) };
        let of = |number, category: &str| BasketLine {
            tax_category: Some(category.into()),
            ..line(number, category, "0.03", 1)
        };
        let rules = PriceRules { promotions: vec![amount_off("p", 1)], ..taxes(Exclusive, PerLine, [vat]) };
        taxed([of(1, first), of(2, second)], &rules).amounts.total
    };
    assert_eq!(total("standard", "zero"), total("zero", "standard"));
}
