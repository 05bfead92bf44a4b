//! The largest orders there are.

use std::time::{Duration, Instant};

use super::super::*;
use super::fixtures::*;

/// Promotions of every kind, the first on everything and the others on a part of it.
fn promotions(count: usize) -> Vec<Promotion> {
    let reward = Reward::Percentage { bps: 100 };
    let kinds = [
        percentage("p", 500).benefit,
        amount_off("p", 1_000).benefit,
        Benefit::FixedAmount { amount: 5, per: FixedAmountPer::Unit },
        buy_get("p", 2, 1).benefit,
        Benefit::PriceOverride { unit_price: "0.50".parse().unwrap() },
        bundle("p", &[(&["sku-1", "sku-2"], 2), (&["sku-3"], 1)], 300).benefit,
        Benefit::SpendThreshold { minimum: 2_000, reward },
    ];
    let of = |(number, benefit): (usize, &Benefit)| {
        let mut promotion = promotion(&format!("p{number}"), benefit.clone());
        if number > 0 && !matches!(benefit, Benefit::Bundle { .. }) {
            let category = format!("category-{}", number % 20);
            promotion.target.categories.insert(category);
        }
        promotion
    };
    kinds.iter().cycle().take(count).enumerate().map(of).collect()
}

fn large(lines: u32) -> Basket {
    basket((1..=lines).map(|number| BasketLine {
        categories: vec![format!("category-{}", number % 20), "all".into()],
        tax_category: Some(if number % 3 == 0 { "food" } else { "standard" }.into()),
        ..line(number, &format!("sku-{}", number % 700), "2.95", i64::from(number % 12 + 1))
    }))
}

fn vat(rounding: TaxRounding) -> PriceRules {
    let rate = |category: &str, bps| TaxRule { tax_categories: names(&[category]), ..tax(category, bps) };
    taxes(TaxMode::Inclusive, rounding, [rate("standard", 2_000), rate("food", 500)])
}

/// The least of some, so that another process on the machine does not count.
fn least_time(times: usize, basket: &Basket, rules: &PriceRules) -> Duration {
    let one = || {
        let began = Instant::now();
        price(basket, rules).unwrap();
        began.elapsed()
    };
    (0..times).map(|_| one()).min().unwrap()
}

/// What it takes in a release build is milliseconds; the bounds are for what grows with pieces or with
/// lines × lines.
#[test]
fn large_orders_do_not_take_long() {
    let rules = PriceRules { promotions: promotions(50), ..vat(TaxRounding::PerOrder) };
    let usual = least_time(5, &large(1_114), &rules);
    eprintln!("1,114 lines, 50 promotions: {usual:?}");
    assert!(usual < Duration::from_millis(500), "{usual:?}");
    let rules = PriceRules { promotions: promotions(500), ..vat(TaxRounding::PerLine) };
    let largest = least_time(1, &large(5_000), &rules);
    eprintln!("5,000 lines, 500 promotions: {largest:?}");
    assert!(largest < Duration::from_secs(10), "{largest:?}");
    let one_line = basket([line(1, "sku-1", "0.55", 80_995), line(2, "sku-3", "2", 70_000)]);
    let many_pieces =
        least_time(5, &one_line, &PriceRules { promotions: promotions(50), ..vat(TaxRounding::PerLine) });
    eprintln!("150,995 pieces on 2 lines: {many_pieces:?}");
    assert!(many_pieces < Duration::from_millis(100), "{many_pieces:?}");
}
