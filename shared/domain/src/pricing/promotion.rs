//! Promotions: what a shop gives, on what, when and how often.

use serde::{Deserialize, Serialize};

use super::bundle::{BundleComponent, COMPONENTS_MAX};
use super::conditions::{Conditions, check_currency};
use super::error::RuleError;
use super::multibuy::MULTIBUY_QUANTITY_MAX;
use super::selection::Selector;
use super::two_pools::Pool;
use crate::identifier::check_id;
use crate::money::{AMOUNT_MAX, Currency, UnitPrice};
use crate::use_counting::Counting;

/// Most promotions that one basket is priced with.
pub const PROMOTIONS_MAX: usize = 500;
/// Longest name of a promotion, a category, a segment, a channel, a region or a group, in bytes.
pub const NAME_BYTES_MAX: usize = 200;
/// All of it, in basis points.
pub const WHOLE: u32 = 10_000;

/// What a promotion gives. Percentages are basis points: 1 to 10,000, which is all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Benefit {
    /// A part of what the chosen lines come to: rounded once for all of them, then apportioned, so that it
    /// does not matter over how many lines the same goods are spread. One use.
    Percentage {
        /// Basis points off.
        bps: u32,
    },
    /// An amount off.
    FixedAmount {
        /// Minor units off, at most what is left.
        amount: i64,
        /// Off what.
        per: FixedAmountPer,
    },
    /// Whole groups of `buy` + `get` pieces across lines; in each, `get` pieces cost less. The cheapest of
    /// all chosen pieces are the ones given, the next cheapest the ones bought, which leaves the dearest
    /// to whatever comes later. One use per group.
    BuyGet {
        /// Pieces to pay in full.
        buy: u32,
        /// Pieces that cost less for it.
        get: u32,
        /// Basis points off each of those.
        bps: u32,
    },
    /// Another price per unit. It never raises a price: a line that costs less already stays as it is. One
    /// use per piece, or per line of what is sold by measure.
    PriceOverride {
        /// The price.
        unit_price: UnitPrice,
    },
    /// One price for a set of products. Whole bundles only, made of the dearest pieces that fit and as
    /// often as that saves something; what they cost less goes off their lines in proportion. One use per
    /// bundle.
    Bundle {
        /// What is in it.
        components: Vec<BundleComponent>,
        /// Minor units for all of it.
        price: i64,
    },
    /// A reward for spending enough on the chosen lines, measured by what is left of them when its turn
    /// comes, and taken off the same lines. One use, however often the minimum fits.
    SpendThreshold {
        /// Minor units to spend, at least.
        minimum: i64,
        /// What for.
        reward: Reward,
    },
    /// Whole groups of pieces of one choice of products and pieces of another, which cost less for it: with
    /// two razors a pack of blades. As many groups as there are pieces for; the cheapest pieces that can be
    /// given are, and the cheapest of the others count as bought. A piece of both choices is one or the
    /// other, and none counts in two groups. One use per group.
    BuyGetOther {
        /// What is paid in full.
        buy: Pool,
        /// What costs less for it.
        get: Pool,
        /// Basis points off each of those.
        bps: u32,
    },
}

/// What a fixed amount is taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FixedAmountPer {
    /// The chosen lines together, apportioned. One use.
    Order,
    /// Each piece, or each unit of measure (a fraction of it: a fraction of the amount). One use per piece,
    /// or per line of what is sold by measure.
    Unit,
}

/// The reward of a [`Benefit::SpendThreshold`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Reward {
    /// A part of the chosen lines.
    Percentage {
        /// Basis points off.
        bps: u32,
    },
    /// An amount off the chosen lines together.
    FixedAmount {
        /// Minor units off, at most what is left.
        amount: i64,
    },
}

/// How a promotion goes with others. It is a matter of lines: a promotion **touches** each line that it
/// takes something off or takes pieces of (of a buy-get the bought ones too).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stacking {
    /// Works on what earlier ones left, and leaves the rest to later ones. But a piece takes part in one
    /// buy-get or bundle only.
    #[default]
    Stackable,
    /// Leaves out every line that a promotion touched before, and keeps every line it touches for itself:
    /// no later promotion, no manual discount and no coupon takes anything off it.
    Exclusive,
}

/// How often the benefit may be given. [`Benefit`] says what counts as one use. Uses by a customer and in
/// total are counted outside, which tells pricing what is left of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// In one order.
    #[serde(default)]
    pub per_order: Option<u32>,
    /// By one customer.
    #[serde(default)]
    pub per_customer: Option<u32>,
    /// By all together.
    #[serde(default)]
    pub total: Option<u32>,
    /// How those are counted. It stands in the promotion's item by itself.
    #[serde(skip)]
    pub counting: Counting,
}

/// A promotion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promotion {
    /// Its id, unique in the tenant.
    pub id: String,
    /// Counts its changes, so that an order can say which one it was priced with.
    pub version: u64,
    /// What it is called on a receipt.
    pub name: String,
    /// Lower comes first; of the same the lower id.
    pub priority: u32,
    /// Whether it applies by itself, or only where it is applied by hand or unlocked by a coupon.
    pub automatic: bool,
    /// Currency of its amounts, where it has any: it applies to baskets in that currency only. A percentage
    /// has none.
    #[serde(default)]
    pub currency: Option<Currency>,
    /// What it gives.
    pub benefit: Benefit,
    /// On what. A bundle chooses by its components, and takes only the excluded SKUs from here; a buy-get of
    /// two pools chooses by these alone.
    #[serde(default)]
    pub target: Selector,
    /// When it holds.
    #[serde(default)]
    pub conditions: Conditions,
    /// How often.
    #[serde(default)]
    pub limits: Limits,
    /// How it goes with others.
    #[serde(default)]
    pub stacking: Stacking,
    /// Of all promotions of one group only one applies. It is chosen at the turn of the first of them that
    /// comes: each is tried on what is left then, and the one that takes most off is applied there and
    /// then (of equal ones the earlier).
    #[serde(default)]
    pub group: Option<String>,
}

impl Promotion {
    /// Checks every bound and contradiction, as it is taken in.
    ///
    /// # Errors
    /// [`RuleError`] naming the first that is wrong.
    pub fn check(&self) -> Result<(), RuleError> {
        check_id(&self.id)?;
        check_text("a name", &self.name)?;
        if let Some(group) = &self.group {
            check_text("a group", group)?;
        }
        self.benefit.check()?;
        self.target.check()?;
        self.conditions.check()?;
        self.limits.check()?;
        if let Benefit::Bundle { components, .. } = &self.benefit {
            if !self.target.is_all() {
                return Err(RuleError::BundleWithTarget);
            }
            components.iter().try_for_each(|component| component.selector.check())?;
        }
        if let Benefit::BuyGetOther { buy, get, .. } = &self.benefit {
            if self.target != Selector::default() {
                return Err(RuleError::PoolsWithTarget);
            }
            for (what, pool) in [("buy", buy), ("get", get)] {
                if pool.selector.is_all() {
                    return Err(RuleError::EmptyPool(what));
                }
                pool.selector.check()?;
            }
        }
        check_currency(
            self.currency,
            self.benefit.has_amounts() || self.conditions.minimum_subtotal.is_some(),
        )
    }
}

impl Benefit {
    /// Checks its numbers; what else there is to check does not endanger pricing.
    pub(super) fn check(&self) -> Result<(), RuleError> {
        match self {
            Benefit::Percentage { bps } => check_percentage(*bps),
            Benefit::FixedAmount { amount, .. } => check_amount("amount", *amount),
            Benefit::BuyGet { buy, get, bps } => {
                check_pieces("buy", *buy)?;
                check_pieces("get", *get)?;
                check_percentage(*bps)
            }
            Benefit::BuyGetOther { buy, get, bps } => {
                check_pieces("the quantity to buy", buy.quantity)?;
                check_pieces("the quantity to get", get.quantity)?;
                check_percentage(*bps)
            }
            Benefit::PriceOverride { .. } => Ok(()),
            Benefit::Bundle { components, price } => {
                if components.is_empty() || components.len() > COMPONENTS_MAX {
                    return Err(RuleError::Components);
                }
                for component in components {
                    check_pieces("quantity of a component", component.quantity)?;
                }
                if (0..=AMOUNT_MAX).contains(price) { Ok(()) } else { Err(RuleError::BundlePrice) }
            }
            Benefit::SpendThreshold { minimum, reward } => {
                check_amount("minimum", *minimum)?;
                match reward {
                    Reward::Percentage { bps } => check_percentage(*bps),
                    Reward::FixedAmount { amount } => check_amount("amount", *amount),
                }
            }
        }
    }

    fn has_amounts(&self) -> bool {
        !matches!(self, Benefit::Percentage { .. } | Benefit::BuyGet { .. } | Benefit::BuyGetOther { .. })
    }

    /// The choices that it is made of, where it chooses by several of its own.
    pub(super) fn selectors(&self) -> Vec<&Selector> {
        match self {
            Benefit::Bundle { components, .. } => components.iter().map(|part| &part.selector).collect(),
            Benefit::BuyGetOther { buy, get, .. } => vec![&buy.selector, &get.selector],
            _ => Vec::new(),
        }
    }
}

impl Limits {
    fn check(&self) -> Result<(), RuleError> {
        let limits = [self.per_order, self.per_customer, self.total];
        if limits.contains(&Some(0)) {
            return Err(RuleError::LimitZero);
        }
        if limits.iter().flatten().is_sorted() { Ok(()) } else { Err(RuleError::LimitsReversed) }
    }
}

/// Checks basis points of a discount.
pub(super) fn check_percentage(bps: u32) -> Result<(), RuleError> {
    if (1..=WHOLE).contains(&bps) { Ok(()) } else { Err(RuleError::Percentage) }
}

/// Checks an amount that is above zero.
pub(super) fn check_amount(what: &'static str, amount: i64) -> Result<(), RuleError> {
    if (1..=AMOUNT_MAX).contains(&amount) { Ok(()) } else { Err(RuleError::Amount(what)) }
}

fn check_pieces(what: &'static str, pieces: u32) -> Result<(), RuleError> {
    if (1..=MULTIBUY_QUANTITY_MAX).contains(&pieces) { Ok(()) } else { Err(RuleError::Pieces(what)) }
}

/// Checks a text that people read or that must match another.
pub(crate) fn check_text(what: &'static str, text: &str) -> Result<(), RuleError> {
    let fits = !text.trim().is_empty() && text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(RuleError::Text(what)) }
}
