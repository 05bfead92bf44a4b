//! Worked examples that others published.

use super::super::*;
use super::fixtures::*;
use ManualDiscountKind::{FixedCart, FixedLine, PercentCart, PercentLine};

fn discounted(lines: impl IntoIterator<Item = BasketLine>, kinds: &[ManualDiscountKind]) -> Priced {
    let numbered = (1..).zip(kinds).map(|(number, kind)| manual(number, *kind));
    let basket = Basket { manual_discounts: numbered.collect(), ..basket(lines) };
    price(&basket, &rules([])).unwrap()
}

fn taken(priced: &Priced) -> Vec<i64> {
    let adjustments = priced.lines.iter().flat_map(|line| &line.adjustments);
    adjustments.map(|adjustment| adjustment.amount).collect()
}

/// <https://developer.squareup.com/docs/orders-api/discounts>: item percentages, order percentages, item
/// amounts, order amounts, whatever the order in which they were given. The percentages are those of the
/// page, the amounts made up.
#[test]
fn square_orders_discounts_by_class() {
    let given = [
        FixedCart { amount: 100 },
        FixedLine { line: 1, amount: 200 },
        PercentCart { bps: 1_200 },
        PercentLine { line: 1, bps: 700 },
    ];
    let priced = discounted([line(1, "a", "50", 1)], &given);
    // 7 % of 50.00; 12 % of 46.50; 2.00; 1.00.
    assert_eq!(taken(&priced), [350, 558, 200, 100]);
}

/// Within one of those classes the lower value comes first: 0.5 % of 60.99 is 0.30, then 5 % of 60.69 is
/// 3.03. The other way round it would be 3.05 and 0.29, a penny more.
#[test]
fn of_one_class_the_lower_percentage_comes_first() {
    let one = || [line(1, "a", "60.99", 1)];
    let priced = discounted(one(), &[PercentCart { bps: 500 }, PercentCart { bps: 50 }]);
    assert_eq!(taken(&priced), [30, 303]);
    assert_eq!(priced.amounts.total, 5_766);
}

/// <https://community.squareup.com/t5/Orders-Menu-Items-Catalog/Simple-Rounding-Errors-Persist/m-p/808404>:
/// 15 % off three of 3.25 is off 9.75, which leaves 8.29, and not three times off 3.25, which leaves 8.28.
#[test]
fn square_discounts_the_quantity_and_not_each_piece() {
    let priced = discounted([line(1, "a", "3.25", 3)], &[PercentLine { line: 1, bps: 1_500 }]);
    assert_eq!(priced.amounts.net, 829);
}

/// <https://developer.squareup.com/forums/t/order-calculation-with-discount-and-service-charges/16894>: of
/// 915 yen Square took 10 % and then 4, which it made 91 and 4. Half of a yen goes away from zero here, and
/// to even it would be 92 as well; so this differs from Square by one.
#[test]
fn square_took_a_yen_less_off() {
    let discounts = vec![manual(1, PercentCart { bps: 1_000 }), manual(2, FixedCart { amount: 4 })];
    let basket = Basket {
        currency: "JPY".parse().unwrap(),
        manual_discounts: discounts,
        ..basket([line(1, "a", "915", 1)])
    };
    assert_eq!(taken(&price(&basket, &rules([])).unwrap()), [92, 4]);
}

/// <https://developer.squareup.com/docs/orders-api/price-adjustments>: Square rounds half to even, so that
/// 0.505 is 0.50 there. Here half goes away from zero, as on most receipts: 0.51.
#[test]
fn square_rounds_half_to_even_and_this_does_not() {
    assert_eq!(taken(&discounted([line(1, "a", "1.01", 1)], &[PercentCart { bps: 5_000 }])), [51]);
}

/// Square, OrderLineItemDiscount: an amount off the order is distributed over all line items that are not
/// zero, relative to what each contributes to the subtotal.
#[test]
fn square_distributes_by_contribution() {
    let lines = [line(1, "a", "10", 1), line(2, "b", "30", 1), line(3, "c", "0", 1)];
    assert_eq!(off(&discounted(lines, &[FixedCart { amount: 100 }])), [25, 75, 0]);
}

/// Square, OrderLineItemTaxType: 1.00 with 10 % on top is 1.10; with 10 % contained it is 0.91 and 0.09.
#[test]
fn square_adds_or_contains_tax() {
    let one = basket([line(1, "a", "1", 1)]);
    let with = |mode| price(&one, &taxes(mode, TaxRounding::PerOrder, [tax("t", 1_000)])).unwrap().amounts;
    assert_eq!((with(TaxMode::Exclusive).tax, with(TaxMode::Exclusive).total), (10, 110));
    let contained = with(TaxMode::Inclusive);
    assert_eq!((contained.subtotal, contained.tax, contained.total), (91, 9, 100));
}

/// <https://docs.clover.com/docs/calculating-order-totals>, steps 1 and 2: salads of 12.00 and 10.00 with
/// two modifiers of 1.00 each; 1.00 off the first and 25 % off the second leave 22.00.
#[test]
fn clover_adds_modifiers_before_discounts() {
    let modifiers = || vec![Modifier { name: "extra".into(), ten_thousandths: 10_000 }; 2];
    let caesar = BasketLine { modifiers: modifiers(), ..line(1, "caesar", "12", 1) };
    let greek = BasketLine { modifiers: modifiers(), ..line(2, "greek", "10", 1) };
    let given = [FixedLine { line: 1, amount: 100 }, PercentLine { line: 2, bps: 2_500 }];
    let priced = discounted([caesar, greek], &given);
    let nets: Vec<i64> = priced.lines.iter().map(|line| line.amounts.net).collect();
    assert_eq!((nets, priced.amounts.net), (vec![1_300, 900], 2_200));
}

/// `ubl/examples/ubl-tc434-example1.xml` of <https://github.com/ConnectingEurope/eInvoicing-EN16931>: an
/// invoice over 20 lines at 6 % and 21 %. Its last line is goods that came back, −109.98 at 6 %; a basket
/// has no negative lines, so that stands here as an amount off what bears 6 %.
#[test]
fn en_16931_sums_an_invoice() {
    let at = |rate: &str, lines: &[(&str, i64)]| -> Vec<BasketLine> {
        let of = |(price, pieces): &(&str, i64)| BasketLine {
            tax_category: Some(rate.into()),
            categories: vec![rate.into()],
            ..line(0, price, price, *pieces)
        };
        lines.iter().map(of).collect()
    };
    let reduced: [(&str, i64); 15] = [
        ("9.95", 2),
        ("9.85", 1),
        ("8.29", 1),
        ("7.23", 2),
        ("35.00", 1),
        ("35.00", 1),
        ("10.65", 1),
        ("1.55", 1),
        ("4.79", 3),
        ("8.29", 1),
        ("8.29", 2),
        ("9.95", 1),
        ("1.65", 2),
        ("3.90", 1),
        ("17.02", 6),
    ];
    let standard = [("10.80", 1), ("3.80", 2), ("4.67", 2), ("18.63", 1)];
    let lines = at("6", &reduced).into_iter().chain(at("21", &standard));
    let lines = (1..).zip(lines).map(|(number, line)| BasketLine { number, ..line });
    let came_back = Promotion {
        target: Selector { categories: names(&["6"]), ..Selector::default() },
        ..amount_off("came-back", 10_998)
    };
    let rate = |category: &str, rate_bps| TaxRule {
        tax_categories: names(&[category]),
        ..tax(&format!("vat-{category}"), rate_bps)
    };
    let rules = PriceRules {
        promotions: vec![came_back],
        ..taxes(TaxMode::Exclusive, TaxRounding::PerOrder, [rate("6", 600), rate("21", 2_100)])
    };
    let priced = price(&basket(lines), &rules).unwrap();
    // BR-CO-10: the sum of lines is the sum of line net amounts.
    assert_eq!(priced.amounts.net, 22_960);
    assert_eq!(priced.lines.iter().map(|line| line.amounts.net).sum::<i64>(), 22_960);
    // BR-CO-17: the tax of a category is its base × rate, rounded once.
    let breakdown: Vec<_> = priced.taxes.iter().map(|t| (t.base, t.rate_bps, t.amount)).collect();
    assert_eq!(breakdown, [(4_637, 2_100, 974), (18_323, 600, 1_099)]);
    // BR-CO-15: the total with tax is the total without it and the tax.
    assert_eq!((priced.amounts.tax, priced.amounts.total), (2_073, 25_033));
}

/// `ubl/examples/ubl-tc434-example2.xml` of the same: 25 % of 1460.50 is 365.125, told as 365.13. So half
/// goes away from zero; to even it would be 365.12.
#[test]
fn en_16931_rounds_half_away_from_zero() {
    let rules = taxes(TaxMode::Exclusive, TaxRounding::PerOrder, [tax("vat", 2_500)]);
    let priced = price(&basket([line(1, "a", "1273", 1), line(2, "b", "187.50", 1)]), &rules).unwrap();
    assert_eq!((priced.amounts.net, priced.amounts.tax), (146_050, 36_513));
}
