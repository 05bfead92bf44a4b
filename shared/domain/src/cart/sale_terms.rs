//! What a sale is priced by, beside its lines and what was given by hand.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::money::UnitPrice;
use crate::pricing::{Coupon, Modifier};
use crate::use_counting::Countings;

/// A coupon as it stood when it was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedCoupon {
    /// What it gives, and when.
    pub coupon: Coupon,
    /// How often it may be used by all together.
    pub total_limit: Option<u32>,
    /// How often it may be used by one customer.
    pub per_customer_limit: Option<u32>,
}

/// What pricing knows of the customer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CustomerTerms {
    /// Segments, the primary one first.
    pub segments: Vec<String>,
    /// Whether the customer bears no tax.
    pub tax_exempt: bool,
}

/// What the catalogue said of a line's product, where it said anything out of the ordinary.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LineTerms {
    /// What tax rules know it as.
    pub tax_category: Option<String>,
    /// Whether it bears no tax.
    pub tax_exempt: bool,
    /// Whether nothing may be taken off it.
    pub undiscountable: bool,
    /// What was chosen with it.
    pub modifiers: Vec<Modifier>,
    /// Its price for customers of no segment, where segments have prices of their own.
    pub list_price: Option<UnitPrice>,
    /// Prices for customers of a segment.
    pub segment_prices: Vec<(String, UnitPrice)>,
}

/// What a sale is priced by, beside its lines and what was given by hand.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SaleTerms {
    /// The store's time zone as of the opening: promotions may hold at a time of day.
    pub time_zone: Option<String>,
    /// The customer.
    pub customer: CustomerTerms,
    /// Promotions applied by hand.
    pub requested: BTreeSet<String>,
    /// Promotions taken off by hand.
    pub excluded: BTreeSet<String>,
    /// Of promotions that were used: how many uses are left for all together, as it was found when the sale was
    /// tendering.
    pub uses_left: BTreeMap<String, u32>,
    /// And how many for the customer, as it was found when the customer was set.
    pub uses_left_by_customer: BTreeMap<String, u32>,
    /// Coupons.
    pub coupons: Vec<AppliedCoupon>,
    /// By number of the line.
    pub lines: BTreeMap<u32, LineTerms>,
    /// Smallest coin in minor units, as of tendering; 0 or 1 for no rounding of cash.
    pub cash_increment: u32,
    /// By number of the payment: what was added to what was due, so that it could be paid in coins. Under 0, which is
    /// no payment's: what another system asked for the sale beyond what its lines come to.
    pub cash_rounding: BTreeMap<u32, i64>,
    /// How uses of its coupons and limited promotions are counted, as of the limits that it knows of them. It stands in
    /// the cart's item by itself.
    #[serde(skip)]
    pub countings: Countings,
}

impl SaleTerms {
    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        *self == SaleTerms::default()
    }
}

impl CustomerTerms {
    /// The lowest of the prices for the customer's segments.
    pub(super) fn price_among(&self, prices: &[(String, UnitPrice)]) -> Option<UnitPrice> {
        let own = prices.iter().filter(|(segment, _)| self.segments.contains(segment));
        own.map(|(_, price)| *price).min_by_key(|price| price.ten_thousandths())
    }
}
