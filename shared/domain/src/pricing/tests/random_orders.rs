//! Orders made up from a seed: small prices and few names, so that ties and collisions are frequent.

use super::super::*;
use super::fixtures::*;

/// SplitMix64 (Steele, Lea and Flood, 2014): a generator in a few lines is enough to make up orders.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From `least` to `most`, both included.
    pub fn roll(&mut self, least: i64, most: i64) -> i64 {
        least + i64::try_from(self.next() % u64::try_from(most - least + 1).unwrap()).unwrap()
    }

    fn size(&mut self, least: u32, most: u32) -> u32 {
        u32::try_from(self.roll(least.into(), most.into())).unwrap()
    }

    /// One time of `times`.
    fn once_in(&mut self, times: i64) -> bool {
        self.roll(1, times) == 1
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        let at = usize::try_from(self.roll(0, i64::try_from(of.len()).unwrap() - 1)).unwrap();
        of.get(at).unwrap().clone()
    }

    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            let at = usize::try_from(self.roll(0, i64::try_from(last).unwrap())).unwrap();
            list.swap(at, last);
        }
    }
}

const SKUS: [&str; 5] = ["a", "b", "c", "d", "e"];
const CATEGORIES: [&str; 3] = ["x", "y", "z"];
const RATES: [u32; 6] = [0, 500, 600, 875, 2_000, 2_500];
const PERCENTAGES: [u32; 6] = [1, 50, 500, 1_000, 3_333, 10_000];

/// An order of at most `lines` lines, which prices without an error.
pub fn random_order(seed: u64, lines: i64) -> (Basket, PriceRules) {
    let dice = &mut Dice::new(seed);
    let count = dice.roll(0, lines);
    let lines: Vec<BasketLine> =
        (1..).take(usize::try_from(count).unwrap()).map(|n| random_line(dice, n)).collect();
    let numbers: Vec<u32> = lines.iter().map(|line| line.number).collect();
    let promotions: Vec<Promotion> = (0..dice.roll(0, 5)).map(|n| random_promotion(dice, n)).collect();
    let mut basket = basket(lines);
    basket.customer.tax_exempt = dice.once_in(20);
    for promotion in &promotions {
        if dice.once_in(3) {
            basket.requested_promotions.insert(promotion.id.clone());
        }
        if dice.once_in(6) {
            basket.uses_left.insert(promotion.id.clone(), dice.size(0, 3));
        }
    }
    if !numbers.is_empty() {
        basket.manual_discounts =
            (0..dice.size(0, 3)).map(|n| manual(n, random_manual(dice, &numbers))).collect();
    }
    basket.coupons = (0..dice.roll(0, 2)).map(|n| random_coupon(dice, n)).collect();
    let tax_rules = (0..dice.roll(0, 3)).map(|n| random_tax(dice, n)).collect();
    let settings = PricingSettings {
        tax_mode: dice.pick(&[TaxMode::Inclusive, TaxMode::Exclusive]),
        tax_rounding: dice.pick(&[TaxRounding::PerLine, TaxRounding::PerOrder]),
        cash_increment: 5,
        cash_increments: BTreeMap::new(),
    };
    (basket, PriceRules { promotions, tax_rules, settings })
}

fn random_line(dice: &mut Dice, number: u32) -> BasketLine {
    let sku = dice.pick(&SKUS);
    let price = dice.pick(&["0.01", "0.05", "0.33", "1", "1", "1.01", "2.5050", "9.99", "100", "0"]);
    let mut line = match dice.roll(1, 5) {
        1 => weighed(number, sku, price, dice.roll(1, 3_000)),
        2 => line(number, sku, price, dice.roll(1, 500)),
        _ => line(number, sku, price, dice.roll(1, 4)),
    };
    line.categories = (0..dice.roll(0, 2)).map(|_| dice.pick(&CATEGORIES).to_owned()).collect();
    line.tax_category = dice.pick(&[None, Some("standard"), Some("food")]).map(str::to_owned);
    line.tax_exempt = dice.once_in(12);
    line.price_overridden = dice.once_in(12);
    line.discountable = !dice.once_in(10);
    if dice.once_in(4) {
        line.modifiers = random_modifiers(dice, line.unit_price.ten_thousandths());
        // What they take off is off a price that was set by hand, too.
        line.price_overridden |= dice.once_in(4);
    }
    line
}

/// Some add to the price of so many ten-thousandths, some take off it, down to nothing.
fn random_modifiers(dice: &mut Dice, price: i64) -> Vec<Modifier> {
    let mut left = price;
    let mut one = |dice: &mut Dice| {
        let ten_thousandths = match dice.roll(1, 5) {
            1 => -left,
            2 | 3 => -dice.roll(0, left.min(5_000)),
            _ => dice.roll(0, 5_000),
        };
        left += ten_thousandths;
        Modifier { name: dice.pick(&["m", "n"]).to_owned(), ten_thousandths }
    };
    (0..dice.roll(1, 3)).map(|_| one(dice)).collect()
}

fn random_selector(dice: &mut Dice) -> Selector {
    let mut selector = Selector::default();
    if dice.once_in(3) {
        selector.skus.extend((0..dice.roll(1, 2)).map(|_| dice.pick(&SKUS).to_owned()));
    }
    if dice.once_in(3) {
        selector.categories.insert(dice.pick(&CATEGORIES).to_owned());
    }
    if dice.once_in(5) {
        selector.excluded_skus.insert(dice.pick(&SKUS).to_owned());
        selector.skus = selector.skus.difference(&selector.excluded_skus).cloned().collect();
    }
    selector
}

fn random_benefit(dice: &mut Dice) -> Benefit {
    let bps = dice.pick(&PERCENTAGES);
    let amount = dice.roll(1, 700);
    match dice.roll(1, 7) {
        1 => Benefit::Percentage { bps },
        2 => {
            let per = dice.pick(&[FixedAmountPer::Order, FixedAmountPer::Unit]);
            Benefit::FixedAmount { amount, per }
        }
        3 => Benefit::BuyGet { buy: dice.size(1, 3), get: dice.size(1, 2), bps },
        4 => Benefit::PriceOverride { unit_price: dice.pick(&["0.02", "0.9999", "2"]).parse().unwrap() },
        5 => {
            let component = |dice: &mut Dice| BundleComponent {
                selector: random_selector(dice),
                quantity: dice.size(1, 2),
            };
            let components = (0..dice.roll(1, 3)).map(|_| component(dice)).collect();
            Benefit::Bundle { components, price: dice.roll(0, 400) }
        }
        6 => {
            let buy = random_pool(dice, 3);
            Benefit::BuyGetOther { buy, get: random_pool(dice, 2), bps }
        }
        _ => {
            let reward = dice.pick(&[Reward::Percentage { bps }, Reward::FixedAmount { amount }]);
            Benefit::SpendThreshold { minimum: dice.roll(1, 1_000), reward }
        }
    }
}

/// Some SKUs or a category: two pools often overlap.
fn random_pool(dice: &mut Dice, most: u32) -> Pool {
    let mut selector = Selector::default();
    if dice.once_in(2) {
        selector.categories.insert(dice.pick(&CATEGORIES).to_owned());
    } else {
        selector.skus.extend((0..dice.roll(1, 3)).map(|_| dice.pick(&SKUS).to_owned()));
    }
    if dice.once_in(5) {
        selector.excluded_skus.insert(dice.pick(&SKUS).to_owned());
        // At least one stays chosen.
        selector.excluded_skus = selector.excluded_skus.difference(&selector.skus).cloned().collect();
    }
    Pool { selector, quantity: dice.size(1, most) }
}

fn random_promotion(dice: &mut Dice, number: i64) -> Promotion {
    let mut promotion = promotion(&format!("p{number}"), random_benefit(dice));
    if !matches!(promotion.benefit, Benefit::Bundle { .. } | Benefit::BuyGetOther { .. }) {
        promotion.target = random_selector(dice);
    }
    promotion.priority = dice.size(1, 3);
    promotion.automatic = !dice.once_in(4);
    if dice.once_in(4) {
        promotion.stacking = Stacking::Exclusive;
    }
    promotion.group = dice.pick(&[None, None, Some("g"), Some("h")]).map(str::to_owned);
    if dice.once_in(4) {
        promotion.limits.per_order = Some(dice.size(1, 3));
    }
    if dice.once_in(8) {
        let currency = promotion.currency.or(Some(crate::money::Currency::GBP));
        promotion.currency = currency;
        promotion.conditions.minimum_subtotal = Some(dice.roll(1, 2_000));
    }
    if dice.once_in(6) {
        let quantity = crate::quantity::Quantity::from_thousandths(dice.roll(1, 3_000)).unwrap();
        promotion.conditions.contains = Some(Contains { of: random_selector(dice), quantity });
    }
    promotion.check().unwrap();
    promotion
}

fn random_manual(dice: &mut Dice, numbers: &[u32]) -> ManualDiscountKind {
    let (line, bps, amount) = (dice.pick(numbers), dice.pick(&PERCENTAGES), dice.roll(1, 200));
    match dice.roll(1, 4) {
        1 => ManualDiscountKind::PercentLine { line, bps },
        2 => ManualDiscountKind::PercentCart { bps },
        3 => ManualDiscountKind::FixedLine { line, amount },
        _ => ManualDiscountKind::FixedCart { amount },
    }
}

fn random_coupon(dice: &mut Dice, number: i64) -> Coupon {
    let benefit = match dice.roll(1, 3) {
        1 => CouponBenefit::Percentage { bps: dice.pick(&PERCENTAGES) },
        2 => CouponBenefit::FixedAmount { amount: dice.roll(1, 500) },
        _ => CouponBenefit::Promotion { promotion_id: format!("p{}", dice.roll(0, 3)) },
    };
    Coupon { target: random_selector(dice), ..coupon(&format!("C{number}"), benefit) }
}

fn random_tax(dice: &mut Dice, number: i64) -> TaxRule {
    let mut rule = tax(&format!("t{number}"), dice.pick(&RATES));
    if dice.once_in(2) {
        rule.tax_categories.insert(dice.pick(&["standard", "food"]).to_owned());
    }
    if dice.once_in(4) {
        rule.target = random_selector(dice);
    }
    rule.check().unwrap();
    rule
}
