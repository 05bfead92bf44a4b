//! Which actions need an approval where a cashier takes them, and how long an approval lasts.
//!
//! What a tenant leaves unsaid is as it is without settings: price overrides, manual discounts, blind
//! returns and voids need an approval, movements of cash do not.

use serde::{Deserialize, Serialize};

use super::ApprovalAction;
use crate::money::divide_rounding;

/// Shortest life of a request or a grant, in seconds: enough to walk to the register.
pub const LIFETIME_SECONDS_MIN: u32 = 30;
/// Longest, in seconds: a working day. What waits longer is asked for anew.
pub const LIFETIME_SECONDS_MAX: u32 = 24 * 3_600;
/// Life of a request that nobody decided on, where the tenant says nothing.
pub const PENDING_SECONDS_DEFAULT: u32 = 15 * 60;
/// Life of a grant that nobody used, where the tenant says nothing.
pub const GRANTED_SECONDS_DEFAULT: u32 = 5 * 60;

/// When a manual discount needs an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DiscountRule {
    /// Whether it ever does.
    pub required: bool,
    /// Only where all that a cashier takes off is more than this share of what was left to pay of the lines that it falls
    /// on, or what is taken off a line by itself more than of that line, in basis points.
    pub above_bps: Option<u32>,
    /// Only where all that a cashier takes off the cart is more than this, in minor units of the store's
    /// currency.
    pub above_amount: Option<i64>,
}

/// When a movement of cash, or another amount, needs an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CashRule {
    /// Whether it ever does.
    pub required: bool,
    /// Only where it is more than this, in minor units of the store's currency.
    pub above_amount: Option<i64>,
}

/// What a tenant says about approvals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApprovalSettings {
    /// Whether a price override needs one.
    pub price_override: bool,
    /// When a manual discount does.
    pub manual_discount: DiscountRule,
    /// Whether a blind return does.
    pub blind_return: bool,
    /// Whether a void after the fact does.
    pub void_order: bool,
    /// When cash into the drawer does.
    pub paid_in: CashRule,
    /// When cash out of the drawer does.
    pub paid_out: CashRule,
    /// Whether opening the drawer without a sale does.
    pub no_sale: bool,
    /// When closing a count sheet does, by what it is off by.
    pub count_variance: CashRule,
    /// How long a request waits for its decision, in seconds.
    pub pending_seconds: u32,
    /// How long a grant waits for its use, in seconds.
    pub granted_seconds: u32,
}

impl Default for DiscountRule {
    fn default() -> Self {
        DiscountRule { required: true, above_bps: None, above_amount: None }
    }
}

impl Default for ApprovalSettings {
    fn default() -> Self {
        ApprovalSettings {
            price_override: true,
            manual_discount: DiscountRule::default(),
            blind_return: true,
            void_order: true,
            paid_in: CashRule::default(),
            paid_out: CashRule::default(),
            no_sale: false,
            count_variance: CashRule::default(),
            pending_seconds: PENDING_SECONDS_DEFAULT,
            granted_seconds: GRANTED_SECONDS_DEFAULT,
        }
    }
}

impl DiscountRule {
    /// Whether a cashier needs an approval whatever the discount is.
    pub fn is_always(&self) -> bool {
        self.required && self.above_bps.is_none() && self.above_amount.is_none()
    }

    /// Whether an approval is needed where `off` of `gross` is taken off altogether (minor units).
    pub fn needs(&self, off: i64, gross: i64) -> bool {
        // Rounded as the discount is: a tenth of 9.65 is 0.97, and that is no more than a tenth.
        let share = |bps: u32| divide_rounding(i128::from(gross) * i128::from(bps), 10_000);
        let above_share = |bps: u32| i128::from(off) > share(bps);
        self.is_always()
            || (self.required
                && (self.above_bps.is_some_and(above_share)
                    || self.above_amount.is_some_and(|most| off > most)))
    }
}

impl CashRule {
    /// Whether an approval is needed to move `amount` (minor units).
    pub fn needs(&self, amount: i64) -> bool {
        self.required && self.above_amount.is_none_or(|most| amount > most)
    }
}

impl ApprovalSettings {
    /// Whether an approval is needed for `action` that moves `amount` (minor units; of no meaning but for movements
    /// of cash and count sheets) by whoever has no role that needs none. A manual discount depends on its cart: [`DiscountRule::needs`]; here it
    /// counts as needing one where any could.
    pub fn needs(&self, action: ApprovalAction, amount: i64) -> bool {
        match action {
            ApprovalAction::PriceOverride => self.price_override,
            ApprovalAction::ManualDiscount => self.manual_discount.required,
            ApprovalAction::BlindReturn => self.blind_return,
            ApprovalAction::VoidOrder => self.void_order,
            ApprovalAction::PaidIn => self.paid_in.needs(amount),
            ApprovalAction::PaidOut => self.paid_out.needs(amount),
            ApprovalAction::NoSale => self.no_sale,
            ApprovalAction::CloseCount => self.count_variance.needs(amount),
            // Whatever a tenant says: it means that something is broken.
            ApprovalAction::CorrectDifference => true,
        }
    }
}
