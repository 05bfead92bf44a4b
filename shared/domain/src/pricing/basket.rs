//! What is to be priced: lines, customer, place and time, and what was applied by hand.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use super::coupon::{COUPONS_MAX, Coupon};
use super::error::PricingError;
use super::manual_discount::{MANUAL_DISCOUNTS_MAX, ManualDiscount};
use super::promotion::PROMOTIONS_MAX;
use crate::cart::LINES_MAX;
use crate::identifier::check_id;
use crate::money::{Currency, UnitPrice};
use crate::quantity::{QUANTITY_MAX_THOUSANDTHS, Quantity, Unit};

/// Most categories of a line: its own and its ancestors. Trees of shops are a handful deep.
pub const CATEGORIES_PER_LINE_MAX: usize = 16;
/// Most modifiers of a line (size, milk, syrup …).
pub const MODIFIERS_PER_LINE_MAX: usize = 50;
/// Most segments of a customer.
pub const SEGMENTS_MAX: usize = 100;
/// Most promotions that one basket names as applied by hand.
pub const REQUESTED_PROMOTIONS_MAX: usize = 100;

/// Something chosen with a product that changes its price per unit (a larger size, oat milk).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Modifier {
    /// What people call it.
    pub name: String,
    /// What it adds to the price per unit, in ten-thousandths of a major unit; negative takes off.
    pub ten_thousandths: i64,
}

/// One line to be priced. Its texts are those of the catalogue, which bounds them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasketLine {
    /// Number within the cart. It only names the line: no amount depends on it.
    pub number: u32,
    /// SKU.
    pub sku: String,
    /// Its category first, then the ancestors of that; empty where it has none.
    #[serde(default)]
    pub categories: Vec<String>,
    /// What tax rules know it as (`standard`, `food`).
    #[serde(default)]
    pub tax_category: Option<String>,
    /// Whether the product bears no tax at all.
    #[serde(default)]
    pub tax_exempt: bool,
    /// How many, above zero.
    pub quantity: Quantity,
    /// How it is sold. Only pieces take part in what is counted by the piece.
    #[serde(default)]
    pub unit: Unit,
    /// Price per unit, without modifiers.
    pub unit_price: UnitPrice,
    /// What was chosen with it; with the unit price never below zero.
    #[serde(default)]
    pub modifiers: Vec<Modifier>,
    /// Whether the price was set by hand. Such a price was agreed on for this sale, so promotions leave
    /// the line alone; manual discounts and coupons do not.
    #[serde(default)]
    pub price_overridden: bool,
    /// Whether it may be discounted. What may not (gift cards, deposits) is never discounted by anything
    /// and counts toward no threshold: it is money in another form.
    pub discountable: bool,
}

impl BasketLine {
    /// The price per unit with its modifiers.
    ///
    /// # Errors
    /// [`PricingError::UnitPrice`] where they make it negative or too large.
    pub fn unit_price_with_modifiers(&self) -> Result<UnitPrice, PricingError> {
        let modifiers =
            self.modifiers.iter().try_fold(0_i64, |sum, modifier| sum.checked_add(modifier.ten_thousandths));
        modifiers
            .and_then(|sum| sum.checked_add(self.unit_price.ten_thousandths()))
            .and_then(|sum| UnitPrice::from_ten_thousandths(sum).ok())
            .ok_or(PricingError::UnitPrice(self.number))
    }

    fn check(&self) -> Result<(), PricingError> {
        if !(1..=QUANTITY_MAX_THOUSANDTHS).contains(&self.quantity.thousandths()) {
            return Err(PricingError::Quantity(self.number));
        }
        if self.unit == Unit::Piece && self.quantity.thousandths() % 1_000 != 0 {
            return Err(PricingError::NotWhole(self.number));
        }
        if self.categories.len() > CATEGORIES_PER_LINE_MAX {
            return Err(PricingError::TooMany("categories of a line", CATEGORIES_PER_LINE_MAX));
        }
        if self.modifiers.len() > MODIFIERS_PER_LINE_MAX {
            return Err(PricingError::TooMany("modifiers of a line", MODIFIERS_PER_LINE_MAX));
        }
        Ok(())
    }
}

/// What pricing needs to know of the customer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomerFacts {
    /// Segments the customer is in.
    #[serde(default)]
    pub segments: BTreeSet<String>,
    /// Whether the customer bears no tax (an exemption certificate, a diplomat).
    #[serde(default)]
    pub tax_exempt: bool,
}

/// A sale to be priced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Basket {
    /// Currency of every amount in it.
    pub currency: Currency,
    /// Lines, in any order.
    pub lines: Vec<BasketLine>,
    /// The customer; the default is one that nothing is known of.
    #[serde(default)]
    pub customer: CustomerFacts,
    /// The store.
    pub store_id: String,
    /// The store's region.
    #[serde(default)]
    pub region: Option<String>,
    /// `pos`, `web`, ….
    pub channel: String,
    /// The instant of the sale: decides what is valid.
    pub at: Timestamp,
    /// The same instant on the store's clock: decides days of week and times of day.
    pub local: DateTime,
    /// Promotions applied by hand, by id.
    #[serde(default)]
    pub requested_promotions: BTreeSet<String>,
    /// Uses that are left of a promotion for this customer and in total, whichever is less, by its id;
    /// what is absent is unlimited. Counted outside.
    #[serde(default)]
    pub uses_left: BTreeMap<String, u32>,
    /// Discounts given by an employee, in any order.
    #[serde(default)]
    pub manual_discounts: Vec<ManualDiscount>,
    /// Coupons that were presented, in any order.
    #[serde(default)]
    pub coupons: Vec<Coupon>,
}

impl Basket {
    /// Checks its bounds, and that every number and code is there once.
    ///
    /// # Errors
    /// [`PricingError`] naming the first thing that is wrong.
    pub(super) fn check(&self) -> Result<(), PricingError> {
        let bounds = [
            (self.lines.len(), "lines", LINES_MAX),
            (self.manual_discounts.len(), "manual discounts", MANUAL_DISCOUNTS_MAX),
            (self.coupons.len(), "coupons", COUPONS_MAX),
            (self.customer.segments.len(), "segments of a customer", SEGMENTS_MAX),
            (self.requested_promotions.len(), "promotions applied by hand", REQUESTED_PROMOTIONS_MAX),
            (self.uses_left.len(), "promotions with uses left", PROMOTIONS_MAX),
        ];
        for (count, what, most) in bounds {
            if count > most {
                return Err(PricingError::TooMany(what, most));
            }
        }
        for id in &self.requested_promotions {
            check_id(id).map_err(|error| PricingError::Rule(id.clone(), error.into()))?;
        }
        let mut numbers = BTreeSet::new();
        for line in &self.lines {
            line.check()?;
            if !numbers.insert(line.number) {
                return Err(PricingError::Twice("line", line.number.to_string()));
            }
        }
        let mut discounts = BTreeSet::new();
        for discount in &self.manual_discounts {
            discount.check()?;
            if !discounts.insert(discount.number) {
                return Err(PricingError::Twice("manual discount", discount.number.to_string()));
            }
            if let Some(line) = discount.kind.line().filter(|line| !numbers.contains(line)) {
                return Err(PricingError::UnknownLine { discount: discount.number, line });
            }
        }
        let mut codes = BTreeSet::new();
        for coupon in &self.coupons {
            coupon.check().map_err(|error| PricingError::Rule(coupon.code.clone(), error))?;
            if !codes.insert(coupon.code.as_str()) {
                return Err(PricingError::Twice("coupon", coupon.code.clone()));
            }
        }
        Ok(())
    }
}
