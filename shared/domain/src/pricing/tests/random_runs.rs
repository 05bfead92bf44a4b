//! Whatever the order: it adds up, nothing is negative, and only content counts.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::*;
use super::fixtures::*;
use super::random_orders::{Dice, random_order};
use crate::money::divide_rounding;
use crate::quantity::Unit;

fn rounded(amount: i64, part: i64, whole: i64) -> i64 {
    let exact = i128::from(amount) * i128::from(part);
    i64::try_from(divide_rounding(exact, i128::from(whole))).unwrap()
}

fn is_chosen(selector: &Selector, line: &BasketLine) -> bool {
    let named = selector.skus.contains(&line.sku)
        || line.categories.iter().any(|category| selector.categories.contains(category))
        || (selector.skus.is_empty() && selector.categories.is_empty());
    named && !selector.excluded_skus.contains(&line.sku)
}

fn bears(rule: &TaxRule, line: &BasketLine) -> bool {
    let (selector, categories) = (&rule.target, &rule.tax_categories);
    let by_category = line.tax_category.as_ref().is_some_and(|category| categories.contains(category));
    let by_product = is_chosen(selector, line)
        && (categories.is_empty() || !selector.skus.is_empty() || !selector.categories.is_empty());
    (by_category && !selector.excluded_skus.contains(&line.sku)) || by_product
}

/// Checks all that must hold of any order.
fn check(basket: &Basket, rules: &PriceRules, priced: &Priced) {
    let mut sum = Amounts::default();
    for (line, told) in basket.lines.iter().zip(&priced.lines) {
        let a = &told.amounts;
        assert_eq!(line.number, told.number);
        let modifiers: i64 = line.modifiers.iter().map(|modifier| modifier.ten_thousandths).sum();
        assert_eq!(told.unit_price.ten_thousandths(), line.unit_price.ten_thousandths() + modifiers);
        assert_eq!(a.gross, told.unit_price.times(line.quantity, basket.currency).unwrap());
        assert_eq!(a.discount_shown, told.adjustments.iter().map(|x| x.amount).sum::<i64>());
        assert!(told.adjustments.iter().all(|x| x.amount > 0));
        assert_eq!(a.net, a.gross - a.discount_shown);
        assert_eq!(a.subtotal - a.discount + a.tax, a.total);
        let on_top = if rules.settings.tax_mode == TaxMode::Exclusive { a.tax } else { 0 };
        assert_eq!(a.total, a.net + on_top);
        for amount in [a.gross, a.discount_shown, a.net, a.subtotal, a.discount, a.tax, a.total] {
            assert!(amount >= 0, "{told:?}");
        }
        assert!(line.discountable || told.adjustments.is_empty());
        assert!(!line.price_overridden || told.adjustments.iter().all(|x| !is_promotion(&x.source)));
        sum.gross += a.gross;
        sum.discount_shown += a.discount_shown;
        sum.net += a.net;
        sum.subtotal += a.subtotal;
        sum.discount += a.discount;
        sum.tax += a.tax;
        sum.total += a.total;
    }
    assert_eq!(basket.lines.len(), priced.lines.len());
    assert_eq!(sum, priced.amounts);
    check_taxes(basket, rules, priced);
    check_discounts(basket, rules, priced);
}

fn is_promotion(source: &Source) -> bool {
    matches!(source, Source::Promotion { .. })
}

fn check_taxes(basket: &Basket, rules: &PriceRules, priced: &Priced) {
    let mut by_rule: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    let mut by_set: BTreeMap<Vec<&str>, Vec<&PricedLine>> = BTreeMap::new();
    for (line, told) in basket.lines.iter().zip(&priced.lines) {
        let exempt = line.tax_exempt || basket.customer.tax_exempt;
        assert_eq!(told.exemption.is_some(), exempt);
        let mut borne: Vec<&str> = told.taxes.iter().map(|tax| tax.id.as_str()).collect();
        let due = rules.tax_rules.iter().filter(|rule| !exempt && bears(rule, line));
        let mut expected: Vec<&str> = due.map(|rule| rule.id.as_str()).collect();
        borne.sort_unstable();
        expected.sort_unstable();
        assert_eq!(borne, expected);
        for tax in &told.taxes {
            assert!(tax.amount >= 0);
            assert_eq!(tax.base, told.amounts.total - told.amounts.tax);
            let sums = by_rule.entry(&tax.id).or_default();
            *sums = (sums.0 + tax.base, sums.1 + tax.amount);
        }
        assert_eq!(told.amounts.tax, told.taxes.iter().map(|tax| tax.amount).sum::<i64>());
        by_set.entry(borne).or_default().push(told);
    }
    let told: Vec<_> = priced.taxes.iter().map(|tax| (tax.id.as_str(), (tax.base, tax.amount))).collect();
    assert_eq!(told, by_rule.into_iter().collect::<Vec<_>>());
    match (rules.settings.tax_mode, rules.settings.tax_rounding) {
        (TaxMode::Exclusive, TaxRounding::PerLine) => {
            for tax in priced.lines.iter().flat_map(|line| &line.taxes) {
                assert_eq!(tax.amount, rounded(tax.base, tax.rate_bps.into(), 10_000));
            }
        }
        (TaxMode::Exclusive, TaxRounding::PerOrder) => {
            for tax in &priced.taxes {
                assert_eq!(tax.amount, rounded(tax.base, tax.rate_bps.into(), 10_000));
            }
        }
        (TaxMode::Inclusive, TaxRounding::PerLine) => {
            priced.lines.iter().for_each(|line| check_contained(&[line]));
        }
        (TaxMode::Inclusive, TaxRounding::PerOrder) => {
            by_set.values().for_each(|lines| check_contained(lines));
        }
    }
}

/// Lines of one set of rates contain what their sum contains, each rate in proportion.
fn check_contained(lines: &[&PricedLine]) {
    let Some(first) = lines.first() else { return };
    let rate: i64 = first.taxes.iter().map(|tax| i64::from(tax.rate_bps)).sum();
    let sum = |of: fn(&Amounts) -> i64| lines.iter().map(|line| of(&line.amounts)).sum::<i64>();
    let contained = rounded(sum(|a| a.net), rate, 10_000 + rate);
    assert_eq!(sum(|a| a.tax), contained);
    let in_gross = rounded(sum(|a| a.gross), rate, 10_000 + rate);
    assert_eq!(sum(|a| a.subtotal), sum(|a| a.gross) - in_gross);
    for (at, tax) in first.taxes.iter().enumerate() {
        let amount: i64 = lines.iter().filter_map(|line| line.taxes.get(at)).map(|tax| tax.amount).sum();
        let off = amount * rate - contained * i64::from(tax.rate_bps);
        assert!(rate == 0 || off.abs() < rate, "a rate is within one unit of its share");
    }
    assert!(lines.iter().all(|line| line.amounts.discount_shown > 0 || line.amounts.discount == 0));
}

/// Follows the explanations step by step: what each took off is what its lines say, and where one
/// percentage or amount was spread, it is what a second calculation makes of it.
fn check_discounts(basket: &Basket, rules: &PriceRules, priced: &Priced) {
    let mut left: Vec<i64> = priced.lines.iter().map(|line| line.amounts.gross).collect();
    let mut touched = vec![false; left.len()];
    let mut kept = vec![false; left.len()];
    // Lines of which a multibuy took pieces and no money are not told, so what follows it is not followed.
    let (mut secretly_touched, mut secretly_kept) = (false, false);
    let mut explained = 0;
    for explanation in &priced.explanations {
        let parts: Vec<i64> = priced.lines.iter().map(|line| part_of(line, &explanation.source)).collect();
        let Outcome::Applied { uses, amount } = explanation.outcome else {
            assert!(parts.iter().all(|part| *part == 0));
            continue;
        };
        assert_eq!(parts.iter().sum::<i64>(), amount);
        assert!(amount > 0 && uses > 0);
        explained += amount;
        let promotion = rules.promotions.iter().find(|p| is_of(&explanation.source, &p.id));
        let exclusive = promotion.is_some_and(|p| p.stacking == Stacking::Exclusive);
        for (((part, left), touched), kept) in parts.iter().zip(&left).zip(&touched).zip(&kept) {
            assert!(*part <= *left);
            assert!(*part == 0 || !(*kept || exclusive && *touched), "{explanation:?}");
        }
        let is_known = !(secretly_kept || exclusive && secretly_touched);
        if let Some(spread) = spread_of(basket, rules, &explanation.source).filter(|_| is_known) {
            let open: Vec<i64> = basket
                .lines
                .iter()
                .enumerate()
                .map(|(at, line)| {
                    let blocked = kept[at] || exclusive && touched[at];
                    let meant = line.discountable && (spread.meant)(line) && !blocked;
                    if meant { left[at] } else { 0 }
                })
                .collect();
            let sum: i64 = open.iter().sum();
            let expected =
                if spread.is_bps { rounded(sum, spread.value, 10_000) } else { spread.value.min(sum) };
            assert_eq!(amount, expected, "{explanation:?}");
            if let Source::ManualDiscount { number } = &explanation.source {
                let meant = basket.lines.iter().zip(&open).filter(|(_, open)| **open > 0);
                let meant: BTreeSet<(u32, i64)> = meant.map(|(line, open)| (line.number, *open)).collect();
                let told = priced.falls_on[number].iter().map(|line| (line.number, line.left));
                assert_eq!(taken_of(&priced.falls_on, *number), sum, "{explanation:?}");
                let told: BTreeSet<(u32, i64)> = told.collect();
                assert_eq!(told, meant, "{explanation:?}");
            }
            for (part, open) in parts.iter().zip(&open) {
                assert!((part * sum - amount * open).abs() < sum, "within one unit of its share");
            }
        }
        if let Some(promotion) = promotion {
            let multibuy = matches!(
                promotion.benefit,
                Benefit::BuyGet { .. } | Benefit::Bundle { .. } | Benefit::BuyGetOther { .. }
            );
            let untouched = !secretly_touched && touched.iter().all(|touched| !touched);
            if let Benefit::BuyGetOther { buy, get, bps } = &promotion.benefit {
                let given = (uses, parts.as_slice());
                check_pools(basket, promotion, (buy, get, *bps), given, untouched.then_some(&left));
            }
            secretly_touched |= multibuy;
            secretly_kept |= multibuy && exclusive;
            let most = promotion.limits.per_order.unwrap_or(u32::MAX);
            assert!(uses <= most.min(*basket.uses_left.get(&promotion.id).unwrap_or(&u32::MAX)));
            assert_eq!(priced.promotion_uses.get(&promotion.id), Some(&uses));
        }
        for (at, part) in parts.iter().enumerate() {
            left[at] -= part;
            touched[at] |= *part > 0;
            kept[at] |= *part > 0 && exclusive;
        }
    }
    assert_eq!(explained, priced.amounts.discount_shown);
    check_pieces_used(basket, rules, priced);
    let promotions = priced.explanations.iter().filter(|e| is_promotion(&e.source)).count();
    let unknown = priced
        .explanations
        .iter()
        .filter(|e| matches!(&e.outcome, Outcome::NotApplied { reason: Reason::Unknown }));
    assert_eq!(promotions - unknown.count(), rules.promotions.len());
    for group in ["g", "h"] {
        let of_group = |p: &&Promotion| p.group.as_deref() == Some(group);
        let used = |p: &Promotion| priced.promotion_uses.contains_key(&p.id);
        assert!(rules.promotions.iter().filter(of_group).filter(|p| used(p)).count() <= 1);
    }
}

fn pieces_of<'a>(lines: impl Iterator<Item = &'a BasketLine>) -> i64 {
    let in_pieces =
        lines.filter(|line| line.unit == Unit::Piece && line.discountable && !line.price_overridden);
    in_pieces.map(|line| line.quantity.thousandths() / 1_000).sum()
}

/// No piece takes part in two buy-gets or bundles, nor in two groups of one: each promotion has pieces enough
/// for all its groups, and so have all of them together.
fn check_pieces_used(basket: &Basket, rules: &PriceRules, priced: &Priced) {
    let mut used = 0;
    for promotion in &rules.promotions {
        let uses = priced.promotion_uses.get(&promotion.id).map_or(0, |uses| i64::from(*uses));
        let pieces = match &promotion.benefit {
            Benefit::BuyGet { buy, get, .. } => i64::from(buy + get),
            Benefit::Bundle { components, .. } => components.iter().map(|c| i64::from(c.quantity)).sum(),
            Benefit::BuyGetOther { buy, get, .. } => i64::from(buy.quantity + get.quantity),
            _ => 0,
        };
        used += uses * pieces;
    }
    assert!(used <= pieces_of(basket.lines.iter()), "{used} pieces of {:?}", basket.lines);
}

/// Pieces that may be bought only, given only, and both.
#[derive(Default)]
struct Pieces {
    bought: i64,
    given: i64,
    both: i64,
}

impl Pieces {
    fn add(&mut self, bought: bool, given: bool, pieces: i64) {
        match (bought, given) {
            (true, true) => self.both += pieces,
            (true, false) => self.bought += pieces,
            (false, true) => self.given += pieces,
            (false, false) => {}
        }
    }

    /// Whether so many can be bought and so many others given.
    fn suffice(&self, to_buy: i64, to_give: i64) -> bool {
        let from_both = (to_buy - self.bought).max(0) + (to_give - self.given).max(0);
        from_both <= self.both
    }
}

/// What a buy-get of two pools took off: nothing off what is bought only, no more groups than there are
/// pieces for. And where nothing was touched before it, what pieces say that are laid in a row and taken one
/// by one.
fn check_pools(
    basket: &Basket,
    promotion: &Promotion,
    (buy, get, bps): (&Pool, &Pool, u32),
    (uses, parts): (u32, &[i64]),
    untouched: Option<&Vec<i64>>,
) {
    let bought = |line: &BasketLine| is_chosen(&buy.selector, line);
    let given = |line: &BasketLine| is_chosen(&get.selector, line);
    let uses = i64::from(uses);
    for (line, part) in basket.lines.iter().zip(parts) {
        assert!(*part == 0 || given(line), "{line:?}");
    }
    let (to_buy, to_get) = (i64::from(buy.quantity), i64::from(get.quantity));
    let mut all = Pieces::default();
    for line in &basket.lines {
        all.add(bought(line), given(line), pieces_of([line].into_iter()));
    }
    assert!(all.suffice(uses * to_buy, uses * to_get), "{uses} groups of {:?}", basket.lines);
    let Some(left) = untouched else { return };
    // A line that costs nothing takes no part. Pieces lie in a row from the cheapest, with their lines.
    let mut row: Vec<(&BasketLine, usize, i64)> = Vec::new();
    for (at, (line, left)) in basket.lines.iter().zip(left).enumerate().filter(|(_, (_, left))| **left > 0) {
        let pieces = usize::try_from(pieces_of([line].into_iter())).unwrap();
        row.extend((0..pieces).map(|_| (line, at, *left)));
    }
    row.sort_by_key(|(line, _, left)| left * 1_000_000_000 / line.quantity.thousandths());
    let mut pieces = Pieces::default();
    row.iter().for_each(|(line, ..)| pieces.add(bought(line), given(line), 1));
    let limit = i64::from(promotion.limits.per_order.unwrap_or(u32::MAX))
        .min(i64::from(*basket.uses_left.get(&promotion.id).unwrap_or(&u32::MAX)));
    let mut groups = 0;
    while groups < limit && pieces.suffice((groups + 1) * to_buy, (groups + 1) * to_get) {
        groups += 1;
    }
    assert_eq!(uses, groups, "as many groups as there are pieces and uses for");
    // Each is given if the rest can still make up all groups.
    let mut to_give = groups * to_get;
    let mut given_of = vec![0_i64; basket.lines.len()];
    for (line, at, _) in row.iter().filter(|(line, ..)| given(line)) {
        pieces.add(bought(line), true, -1);
        if to_give > 0 && pieces.suffice(groups * to_buy, to_give - 1) {
            given_of[*at] += 1;
            to_give -= 1;
        } else {
            pieces.add(bought(line), true, 1);
        }
    }
    assert_eq!(to_give, 0);
    let lines = basket.lines.iter().zip(left).zip(&given_of).filter(|(_, given)| **given > 0);
    let each = lines.map(|((line, left), given)| {
        rounded(*left, given * i64::from(bps), line.quantity.thousandths() / 1_000 * 10_000)
    });
    let expected: i64 = each.sum();
    // Of equal pieces others may have been given, each line rounded by itself.
    let slack = i64::try_from(given_of.len()).unwrap();
    let amount: i64 = parts.iter().sum();
    assert!((amount - expected).abs() <= slack, "{amount} and not {expected}");
}

fn is_of(source: &Source, promotion: &str) -> bool {
    matches!(source, Source::Promotion { id, .. } if id == promotion)
}

fn part_of(line: &PricedLine, source: &Source) -> i64 {
    let of_source = line.adjustments.iter().filter(|adjustment| adjustment.source == *source);
    of_source.map(|adjustment| adjustment.amount).sum()
}

/// A discount that is one value spread over the lines it is meant for.
struct Spread<'r> {
    value: i64,
    is_bps: bool,
    meant: Box<dyn Fn(&BasketLine) -> bool + 'r>,
}

fn spread_of<'r>(basket: &'r Basket, rules: &'r PriceRules, source: &Source) -> Option<Spread<'r>> {
    let spread = |value: i64, is_bps, meant: Box<dyn Fn(&BasketLine) -> bool + 'r>| {
        Some(Spread { value, is_bps, meant })
    };
    match source {
        Source::Promotion { id, .. } => {
            let promotion = rules.promotions.iter().find(|p| p.id == *id)?;
            let meant = Box::new(|l: &BasketLine| is_chosen(&promotion.target, l) && !l.price_overridden);
            match &promotion.benefit {
                Benefit::Percentage { bps }
                | Benefit::SpendThreshold { reward: Reward::Percentage { bps }, .. } => {
                    spread((*bps).into(), true, meant)
                }
                Benefit::FixedAmount { amount, per: FixedAmountPer::Order }
                | Benefit::SpendThreshold { reward: Reward::FixedAmount { amount }, .. } => {
                    spread(*amount, false, meant)
                }
                _ => None,
            }
        }
        Source::ManualDiscount { number } => {
            let discount = basket.manual_discounts.iter().find(|d| d.number == *number)?;
            let line = discount.kind.line();
            let meant = Box::new(move |l: &BasketLine| line.is_none_or(|number| l.number == number));
            match discount.kind {
                ManualDiscountKind::PercentLine { bps, .. } | ManualDiscountKind::PercentCart { bps } => {
                    spread(bps.into(), true, meant)
                }
                ManualDiscountKind::FixedLine { amount, .. } | ManualDiscountKind::FixedCart { amount } => {
                    spread(amount, false, meant)
                }
            }
        }
        Source::Coupon { code } => {
            let coupon = basket.coupons.iter().find(|c| c.code == *code)?;
            let meant = Box::new(|l: &BasketLine| is_chosen(&coupon.target, l));
            match coupon.benefit {
                CouponBenefit::Percentage { bps } => spread(bps.into(), true, meant),
                CouponBenefit::FixedAmount { amount } => spread(amount, false, meant),
                CouponBenefit::Promotion { .. } => None,
            }
        }
    }
}

/// The same order, put together otherwise: every list in another order, lines and discounts numbered anew.
fn rearranged(seed: u64, basket: &Basket, rules: &PriceRules) -> (Basket, PriceRules) {
    let dice = &mut Dice::new(seed);
    let (mut basket, mut rules) = (basket.clone(), rules.clone());
    dice.shuffle(&mut basket.lines);
    let first = u32::try_from(dice.roll(1, 50)).unwrap();
    let mut renumbered = BTreeMap::new();
    for (number, line) in (first..).zip(&mut basket.lines) {
        renumbered.insert(line.number, number);
        line.number = number;
    }
    dice.shuffle(&mut basket.manual_discounts);
    for (number, discount) in (0..).zip(&mut basket.manual_discounts) {
        discount.number = number;
        match &mut discount.kind {
            ManualDiscountKind::PercentLine { line, .. } | ManualDiscountKind::FixedLine { line, .. } => {
                *line = *renumbered.get(line).unwrap();
            }
            ManualDiscountKind::PercentCart { .. } | ManualDiscountKind::FixedCart { .. } => {}
        }
    }
    dice.shuffle(&mut basket.coupons);
    dice.shuffle(&mut rules.promotions);
    dice.shuffle(&mut rules.tax_rules);
    (basket, rules)
}

/// What may not differ between two arrangements of an order.
type Essence<'p> = (Amounts, &'p [LineTax], Vec<&'p Outcome>, Vec<(String, [i64; 7])>);

fn essence<'p>(basket: &Basket, priced: &'p Priced) -> Essence<'p> {
    let of_line = |(line, told): (&BasketLine, &PricedLine)| {
        let a = told.amounts;
        let content = format!("{:?}", BasketLine { number: 0, ..line.clone() });
        (content, [a.gross, a.discount_shown, a.net, a.subtotal, a.discount, a.tax, a.total])
    };
    let mut lines: Vec<_> = basket.lines.iter().zip(&priced.lines).map(of_line).collect();
    lines.sort_unstable();
    (priced.amounts, &priced.taxes, priced.explanations.iter().map(|e| &e.outcome).collect(), lines)
}

fn check_order(seed: u64, lines: i64) -> (Basket, PriceRules, Priced) {
    let (basket, rules) = random_order(seed, lines);
    let priced = price(&basket, &rules).unwrap();
    check(&basket, &rules, &priced);
    let (other_basket, other_rules) = rearranged(seed, &basket, &rules);
    let other = price(&other_basket, &other_rules).unwrap();
    let (one, rearranged) = (essence(&basket, &priced), essence(&other_basket, &other));
    assert_eq!(one, rearranged, "seed {seed}, at most {lines} lines");
    (basket, rules, priced)
}

#[test]
fn a_hundred_thousand_orders_add_up() {
    // How often each kind took something off, so that the run is known to be about something.
    let mut applied: BTreeMap<&str, u32> = BTreeMap::new();
    // And of what kind the lines are from which modifiers took something.
    let (mut reduced, mut by_hand, mut for_nothing, mut discounted) = (0, 0, 0, 0);
    for seed in 0..100_000 {
        let (basket, rules, priced) = check_order(seed, 7);
        for (line, told) in basket.lines.iter().zip(&priced.lines) {
            if line.modifiers.iter().any(|modifier| modifier.ten_thousandths < 0) {
                reduced += 1;
                by_hand += u32::from(line.price_overridden);
                for_nothing += u32::from(told.amounts.gross == 0);
                discounted += u32::from(told.amounts.discount > 0);
            }
        }
        for explanation in &priced.explanations {
            if let Outcome::Applied { .. } = explanation.outcome {
                *applied.entry(kind_of(&basket, &rules, &explanation.source)).or_default() += 1;
            }
        }
    }
    assert_eq!(applied.len(), 13, "{applied:?}");
    assert!(applied.values().all(|times| *times > 1_000), "{applied:?}");
    let lines = [reduced, by_hand, for_nothing, discounted];
    assert!(lines.iter().all(|times| *times > 1_000), "{lines:?}");
}

fn kind_of(basket: &Basket, rules: &PriceRules, source: &Source) -> &'static str {
    match source {
        Source::Promotion { id, .. } => {
            match rules.promotions.iter().find(|p| p.id == *id).map(|p| &p.benefit).unwrap() {
                Benefit::Percentage { .. } => "percentage",
                Benefit::FixedAmount { per: FixedAmountPer::Order, .. } => "amount per order",
                Benefit::FixedAmount { per: FixedAmountPer::Unit, .. } => "amount per unit",
                Benefit::BuyGet { .. } => "buy and get",
                Benefit::PriceOverride { .. } => "price override",
                Benefit::Bundle { .. } => "bundle",
                Benefit::SpendThreshold { .. } => "spend threshold",
                Benefit::BuyGetOther { .. } => "buy and get of another",
            }
        }
        Source::ManualDiscount { number } => {
            match basket.manual_discounts.iter().find(|d| d.number == *number).map(|d| d.kind).unwrap() {
                ManualDiscountKind::PercentLine { .. } => "percent of a line",
                ManualDiscountKind::PercentCart { .. } => "percent of the cart",
                ManualDiscountKind::FixedLine { .. } => "amount off a line",
                ManualDiscountKind::FixedCart { .. } => "amount off the cart",
            }
        }
        Source::Coupon { .. } => "coupon",
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn orders_of_any_size_add_up(seed in any::<u64>(), lines in 0_i64..60) {
        check_order(seed, lines);
    }

    /// However a quantity is cut into lines, what is spread over all of it stays the same.
    #[test]
    fn a_percentage_does_not_mind_how_lines_are_cut(pieces in 2_i64..200, cut in 1_i64..199, bps in 1_u32..=10_000) {
        let cut = cut.min(pieces - 1);
        let whole = price_with([line(1, "a", "0.37", pieces)], [percentage("p", bps)]);
        let parts = price_with([line(1, "a", "0.37", cut), line(2, "a", "0.37", pieces - cut)], [percentage("p", bps)]);
        prop_assert_eq!(whole.amounts, parts.amounts);
    }
}
