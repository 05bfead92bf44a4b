//! A basket, its lines and its rules, as plain as they come.

use super::super::*;
use crate::money::Currency;
use crate::quantity::Unit;

/// A line of pieces.
pub fn line(number: u32, sku: &str, price: &str, pieces: i64) -> BasketLine {
    BasketLine {
        number,
        sku: sku.into(),
        categories: vec![],
        tax_category: None,
        tax_exempt: false,
        quantity: Quantity::from_pieces(pieces).unwrap(),
        unit: Unit::Piece,
        unit_price: price.parse().unwrap(),
        modifiers: vec![],
        price_overridden: false,
        discountable: true,
    }
}

/// A line sold by weight.
pub fn weighed(number: u32, sku: &str, price: &str, grams: i64) -> BasketLine {
    BasketLine {
        quantity: Quantity::from_thousandths(grams).unwrap(),
        unit: Unit::Kg,
        ..line(number, sku, price, 1)
    }
}

/// A line that may not be discounted.
pub fn gift_card(number: u32, price: &str) -> BasketLine {
    BasketLine { discountable: false, ..line(number, "gift", price, 1) }
}

/// On a Wednesday at noon in Leeds.
pub fn basket(lines: impl IntoIterator<Item = BasketLine>) -> Basket {
    Basket {
        currency: Currency::GBP,
        lines: lines.into_iter().collect(),
        customer: CustomerFacts::default(),
        store_id: "s-leeds".into(),
        region: Some("north".into()),
        channel: "pos".into(),
        at: "2026-06-10T11:00:00Z".parse().unwrap(),
        local: "2026-06-10T12:00:00".parse().unwrap(),
        requested_promotions: BTreeSet::new(),
        uses_left: Default::default(),
        manual_discounts: vec![],
        coupons: vec![],
    }
}

/// No tax.
pub fn rules(promotions: impl IntoIterator<Item = Promotion>) -> PriceRules {
    PriceRules {
        promotions: promotions.into_iter().collect(),
        tax_rules: vec![],
        settings: PricingSettings {
            tax_mode: TaxMode::Exclusive,
            tax_rounding: TaxRounding::PerLine,
            cash_increment: 0,
            cash_increments: BTreeMap::new(),
        },
    }
}

/// Taxes without promotions.
pub fn taxes(
    tax_mode: TaxMode,
    tax_rounding: TaxRounding,
    tax_rules: impl IntoIterator<Item = TaxRule>,
) -> PriceRules {
    PriceRules {
        promotions: vec![],
        tax_rules: tax_rules.into_iter().collect(),
        settings: PricingSettings {
            tax_mode,
            tax_rounding,
            cash_increment: 0,
            cash_increments: BTreeMap::new(),
        },
    }
}

/// A tax on everything.
pub fn tax(id: &str, rate_bps: u32) -> TaxRule {
    TaxRule {
        id: id.into(),
        version: 1,
        name: id.to_uppercase(),
        rate_bps,
        valid_from: None,
        valid_to: None,
        tax_categories: BTreeSet::new(),
        target: Selector::default(),
        stores: BTreeSet::new(),
        regions: BTreeSet::new(),
        channels: BTreeSet::new(),
    }
}

/// An automatic, stackable promotion on everything.
pub fn promotion(id: &str, benefit: Benefit) -> Promotion {
    let has_none =
        matches!(benefit, Benefit::Percentage { .. } | Benefit::BuyGet { .. } | Benefit::BuyGetOther { .. });
    Promotion {
        id: id.into(),
        version: 7,
        name: format!("promotion {id}"),
        priority: 10,
        automatic: true,
        currency: (!has_none).then_some(Currency::GBP),
        benefit,
        target: Selector::default(),
        conditions: Conditions::default(),
        limits: Limits::default(),
        stacking: Stacking::Stackable,
        group: None,
    }
}

pub fn percentage(id: &str, bps: u32) -> Promotion {
    promotion(id, Benefit::Percentage { bps })
}

pub fn amount_off(id: &str, amount: i64) -> Promotion {
    promotion(id, Benefit::FixedAmount { amount, per: FixedAmountPer::Order })
}

pub fn buy_get(id: &str, buy: u32, get: u32) -> Promotion {
    promotion(id, Benefit::BuyGet { buy, get, bps: 10_000 })
}

/// Of two pools, by SKU and how many.
pub fn buy_get_other(id: &str, buy: (&[&str], u32), get: (&[&str], u32), bps: u32) -> Promotion {
    let pool = |(skus, quantity)| Pool { selector: only(skus), quantity };
    promotion(id, Benefit::BuyGetOther { buy: pool(buy), get: pool(get), bps })
}

pub fn bundle(id: &str, components: &[(&[&str], u32)], price: i64) -> Promotion {
    let components = components
        .iter()
        .map(|(skus, quantity)| BundleComponent { selector: only(skus), quantity: *quantity })
        .collect();
    promotion(id, Benefit::Bundle { components, price })
}

pub fn only(skus: &[&str]) -> Selector {
    Selector { skus: names(skus), ..Selector::default() }
}

pub fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

pub fn manual(number: u32, kind: ManualDiscountKind) -> ManualDiscount {
    ManualDiscount { number, kind, reason: format!("reason {number}") }
}

pub fn coupon(code: &str, benefit: CouponBenefit) -> Coupon {
    let currency = matches!(benefit, CouponBenefit::FixedAmount { .. }).then_some(Currency::GBP);
    Coupon {
        code: code.into(),
        benefit,
        currency,
        minimum_spend: None,
        valid_from: None,
        valid_to: None,
        target: Selector::default(),
    }
}

/// What is shown as taken off each line, in the order of the basket.
pub fn off(priced: &Priced) -> Vec<i64> {
    priced.lines.iter().map(|line| line.amounts.discount_shown).collect()
}

/// Prices a basket without tax.
pub fn price_with(
    lines: impl IntoIterator<Item = BasketLine>,
    promotions: impl IntoIterator<Item = Promotion>,
) -> Priced {
    price(&basket(lines), &rules(promotions)).unwrap()
}

/// What came of a promotion.
pub fn outcome<'p>(priced: &'p Priced, promotion: &str) -> &'p Outcome {
    let is_it = |source: &Source| matches!(source, Source::Promotion { id, .. } if id == promotion);
    &priced.explanations.iter().find(|e| is_it(&e.source)).unwrap().outcome
}

/// Why a promotion did not apply.
pub fn reason(priced: &Priced, promotion: &str) -> Reason {
    match outcome(priced, promotion) {
        Outcome::NotApplied { reason } => reason.clone(),
        other => panic!("{promotion} applied: {other:?}"),
    }
}
