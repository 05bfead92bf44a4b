//! Pricing: what a basket comes to, and why.
//!
//! [`price`] is a function of its arguments alone, and works in this order:
//!
//! 1. **Price**: unit price and modifiers; × quantity, rounded once, that is the gross of a line.
//! 2. **Promotions** ([`Promotion`]) by priority, lower first, then id.
//! 3. **Manual discounts** ([`ManualDiscount`]): percentages of lines, of the cart, amounts off lines, off
//!    the cart, whatever the order they were given in.
//! 4. **Coupons** ([`Coupon`]): percentages, then amounts. One that unlocks a promotion does so before 2.
//! 5. **Tax** ([`TaxRule`]) on what is left.
//!
//! Cash rounding ([`cash_rounding`]) is a matter of the payment and stands apart.
//!
//! Each step works on what earlier ones left of each line, and nothing goes below zero: an amount above
//! what is left is what is left. What is taken off several lines is apportioned by what is left of each
//! ([`crate::apportion`]), so that parts sum exactly. Where one minor unit has to go to one of several
//! lines with an equal claim, or one of several equal pieces has to be chosen, the content of lines
//! decides (tax category, SKU, price, quantity, …) and never their order or number; only lines that are
//! the same in all of it are told apart by number. So a cart comes to the same amounts whatever the order
//! of the commands that made it.
//!
//! A line that may not be discounted counts toward no minimum or threshold; nor does, for a promotion or
//! coupon, a line that it may not touch because of an exclusive promotion.

mod basket;
mod bundle;
mod cash_rounding;
mod conditions;
mod coupon;
mod error;
mod explanation;
mod manual_discount;
mod multibuy;
mod priced;
mod promotion;
mod remaining;
mod selection;
mod stacking;
mod tax;
#[cfg(test)]
mod tests;
mod two_pools;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use basket::{
    Basket, BasketLine, CATEGORIES_PER_LINE_MAX, CustomerFacts, MODIFIERS_PER_LINE_MAX, Modifier,
    REQUESTED_PROMOTIONS_MAX, SEGMENTS_MAX,
};
pub use bundle::{BundleComponent, COMPONENTS_MAX};
pub use cash_rounding::{INCREMENT_MAX, cash_rounding};
pub use conditions::{Conditions, Contains, DayOfWeek, TimeOfDay};
pub use coupon::{COUPONS_MAX, Coupon, CouponBenefit};
pub use error::{PricingError, RuleError};
pub use explanation::{Explanation, Outcome, Reason, Source};
pub use manual_discount::{MANUAL_DISCOUNTS_MAX, ManualDiscount, ManualDiscountKind};
pub use multibuy::MULTIBUY_QUANTITY_MAX;
pub use priced::{
    Adjustment, Amounts, Exemption, FallsOn, LineTax, Priced, PricedLine, TouchedLine, taken_of,
};
pub use promotion::{
    Benefit, FixedAmountPer, Limits, NAME_BYTES_MAX, PROMOTIONS_MAX, Promotion, Reward, Stacking,
};
pub use selection::{SELECTED_MAX, Selector};
pub use tax::{RATE_MAX, TAX_RULES_MAX, TAXES_PER_LINE_MAX, TaxMode, TaxRounding, TaxRule};
pub use two_pools::Pool;

pub(crate) use promotion::check_text;

use conditions::Measures;
use remaining::Remaining;
use selection::LineIndex;

use crate::money::Currency;
use crate::quantity::Quantity;

/// How a tenant prices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PricingSettings {
    /// Whether prices contain tax.
    pub tax_mode: TaxMode,
    /// What tax is rounded of.
    pub tax_rounding: TaxRounding,
    /// Smallest coin, in minor units, of every currency that has none of its own; 0 or 1 for no rounding of
    /// cash.
    pub cash_increment: u32,
    /// Smallest coins of currencies by themselves: a tenant may sell where five cents are the smallest coin, and
    /// where one penny is.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cash_increments: BTreeMap<Currency, u32>,
}

/// Most currencies with a smallest coin of their own.
pub const CASH_INCREMENTS_MAX: usize = 50;

impl PricingSettings {
    /// Checks its bounds, as it is taken in.
    ///
    /// # Errors
    /// [`RuleError::CashIncrement`].
    pub fn check(&self) -> Result<(), RuleError> {
        let mut all = self.cash_increments.values().chain([&self.cash_increment]);
        let fit = all.all(|increment| *increment <= INCREMENT_MAX);
        if fit && self.cash_increments.len() <= CASH_INCREMENTS_MAX {
            Ok(())
        } else {
            Err(RuleError::CashIncrement)
        }
    }

    /// The smallest coin of a currency, in its minor units.
    pub fn cash_increment_of(&self, currency: Currency) -> u32 {
        self.cash_increments.get(&currency).copied().unwrap_or(self.cash_increment)
    }
}

/// What a tenant prices by. Rules are checked where they are taken in ([`Promotion::check`],
/// [`TaxRule::check`]); pricing itself checks again what its arithmetic rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceRules {
    /// Promotions, in any order.
    pub promotions: Vec<Promotion>,
    /// Taxes, in any order.
    pub tax_rules: Vec<TaxRule>,
    /// Settings.
    pub settings: PricingSettings,
}

impl PriceRules {
    fn check(&self) -> Result<(), PricingError> {
        if self.promotions.len() > PROMOTIONS_MAX {
            return Err(PricingError::TooMany("promotions", PROMOTIONS_MAX));
        }
        if self.tax_rules.len() > TAX_RULES_MAX {
            return Err(PricingError::TooMany("tax rules", TAX_RULES_MAX));
        }
        let mut ids = BTreeSet::new();
        for promotion in &self.promotions {
            if !ids.insert(promotion.id.as_str()) {
                return Err(PricingError::Twice("promotion", promotion.id.clone()));
            }
            let checked = promotion.benefit.check();
            checked.map_err(|error| PricingError::Rule(promotion.id.clone(), error))?;
        }
        let mut ids = BTreeSet::new();
        for rule in &self.tax_rules {
            if !ids.insert(rule.id.as_str()) {
                return Err(PricingError::Twice("tax rule", rule.id.clone()));
            }
            rule.check_rate().map_err(|error| PricingError::Rule(rule.id.clone(), error))?;
        }
        Ok(())
    }
}

/// Prices a basket.
///
/// # Errors
/// [`PricingError`] where a bound is exceeded, something is named twice or not there, or an amount leaves
/// the accepted range. What merely does not apply is no error, but explained in the result.
pub fn price(basket: &Basket, rules: &PriceRules) -> Result<Priced, PricingError> {
    basket.check()?;
    rules.check()?;
    let mut remaining = Remaining::new(basket)?;
    let canonical: Vec<&BasketLine> = remaining.lines().iter().map(|line| line.line).collect();
    let index = LineIndex::new(canonical.iter().copied());

    let (unlocked, mut explanations) = coupon::unlock(basket, &index, &remaining);
    let discountable = || remaining.lines().iter().filter(|line| line.line.discountable);
    let measures = Measures {
        subtotal: discountable().map(|line| line.gross).sum(),
        quantity: Quantity::of_counter(discountable().map(|line| line.line.quantity.thousandths()).sum()),
    };
    let requested = basket.requested_promotions.iter().map(String::as_str).chain(unlocked).collect();
    let step = stacking::PromotionStep { basket, index: &index, measures, requested };
    explanations.extend(step.apply(&rules.promotions, &mut remaining));
    let (by_hand, falls_on) =
        manual_discount::apply_manual_discounts(&basket.manual_discounts, &mut remaining);
    explanations.extend(by_hand);
    explanations.extend(coupon::apply_coupons(basket, &index, &mut remaining));

    let lines = remaining.into_lines();
    let settings = &rules.settings;
    let tax = (settings.tax_mode, settings.tax_rounding);
    let taxes = tax::tax_lines(basket, &rules.tax_rules, tax, &index, &lines)?;
    Priced::put_together(basket.currency, settings.tax_mode, lines, taxes, (explanations, falls_on))
}
