//! What can be wrong with a basket, and with rules as they are taken in.

use super::bundle::COMPONENTS_MAX;
use super::cash_rounding::INCREMENT_MAX;
use super::multibuy::MULTIBUY_QUANTITY_MAX;
use super::promotion::NAME_BYTES_MAX;
use super::selection::SELECTED_MAX;
use super::tax::RATE_MAX;
use crate::identifier::IdentifierError;
use crate::money::{AMOUNT_MAX, Currency, MoneyError};

/// Why a basket could not be priced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PricingError {
    /// More of something than a bound allows.
    #[error("at most {1} {0} are priced together")]
    TooMany(&'static str, usize),
    /// A number, code or id that must be there once.
    #[error("{0} {1} is there twice; each may be there once")]
    Twice(&'static str, String),
    /// The quantity of a line is not above zero, or too large.
    #[error("line {0}: a quantity is above 0 and at most 1000000")]
    Quantity(u32),
    /// A fraction of a piece.
    #[error("line {0}: a product sold by the piece takes a whole quantity")]
    NotWhole(u32),
    /// Modifiers make the price of a line negative or too large.
    #[error("line {0}: a unit price with its modifiers is from 0 to 999999.9999")]
    UnitPrice(u32),
    /// A manual discount is for a line that is not there.
    #[error("manual discount {discount} is for line {line}, and the basket has no such line")]
    UnknownLine {
        /// Number of the discount.
        discount: u32,
        /// Number of the line.
        line: u32,
    },
    /// The value of a manual discount is out of its range.
    #[error(
        "manual discount {0}: a percentage is 1 to 10000 basis points, an amount 1 to {AMOUNT_MAX} minor units"
    )]
    ManualDiscount(u32),
    /// A rule is not what its check would let in.
    #[error("{0}: {1}")]
    Rule(String, RuleError),
    /// An amount left the accepted range.
    #[error("amounts go up to {AMOUNT_MAX} minor units, also those of an order")]
    OutOfRange,
}

impl PricingError {
    /// The stable code on the wire.
    pub fn code(&self) -> &'static str {
        match self {
            PricingError::TooMany(..) => "too_many_to_price",
            PricingError::Twice(..) => "listed_twice",
            PricingError::Quantity(_) => "quantity_out_of_range",
            PricingError::NotWhole(_) => "quantity_not_whole",
            PricingError::UnitPrice(_) => "unit_price_out_of_range",
            PricingError::UnknownLine { .. } => "line_not_found",
            PricingError::ManualDiscount(_) => "discount_out_of_range",
            PricingError::Rule(_, error) => error.code(),
            PricingError::OutOfRange => "amount_out_of_range",
        }
    }
}

impl From<MoneyError> for PricingError {
    /// Pricing meets one error of money only: a line's total above the limit.
    fn from(_: MoneyError) -> Self {
        PricingError::OutOfRange
    }
}

/// Why a promotion, a coupon, a tax rule or the settings were not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The id, or an id in one of the lists.
    #[error(transparent)]
    Id(#[from] IdentifierError),
    /// The name, a category, a segment, a channel, a region or a group.
    #[error("{0} is 1 to {NAME_BYTES_MAX} bytes of printable text")]
    Text(&'static str),
    /// A list is too long.
    #[error("a list holds at most {SELECTED_MAX} entries; use a category for more")]
    ListTooLong,
    /// A SKU is both chosen and excluded.
    #[error("SKU {0} is both in skus and in excluded_skus; leave it out of one of them")]
    ChosenAndExcluded(String),
    /// A percentage.
    #[error("a percentage is 1 to 10000 basis points (10000 is all of it)")]
    Percentage,
    /// An amount or a minimum.
    #[error("{0} is 1 to {AMOUNT_MAX} minor units")]
    Amount(&'static str),
    /// The price of a bundle.
    #[error("the price of a bundle is 0 to {AMOUNT_MAX} minor units")]
    BundlePrice,
    /// A quantity of pieces.
    #[error("{0} is 1 to {MULTIBUY_QUANTITY_MAX} pieces")]
    Pieces(&'static str),
    /// A minimum quantity.
    #[error("minimum_quantity is above 0 and at most 1000000000")]
    MinimumQuantity,
    /// Too few or too many parts of a bundle.
    #[error("a bundle has 1 to {COMPONENTS_MAX} components")]
    Components,
    /// A bundle says what it is made of in its components.
    #[error("a bundle chooses products by its components; leave target empty but for excluded_skus")]
    BundleWithTarget,
    /// A buy-get of two pools says what it is of in its pools.
    #[error("buy and get choose products; leave target out, and exclude SKUs there")]
    PoolsWithTarget,
    /// A pool that names nothing would be the whole shop.
    #[error("the target of {0} names SKUs or categories; an empty one would be every product")]
    EmptyPool(&'static str),
    /// It would begin after its end.
    #[error("valid_from must be before valid_to")]
    ValidityReversed,
    /// Both ends are the same.
    #[error("from and to of a time of day differ; leave it out for the whole day")]
    EmptyTimeOfDay,
    /// A limit of nothing.
    #[error("a limit is at least 1; leave it out for no limit")]
    LimitZero,
    /// One customer could use it more often than all together.
    #[error("one order may not use it more often than one customer, nor one customer more often than all")]
    LimitsReversed,
    /// Minor units without saying of which currency.
    #[error("an amount is of a currency; set currency")]
    CurrencyMissing,
    /// A currency that nothing is given or measured in.
    #[error("nothing in it is an amount of {0}; leave currency out")]
    CurrencyUnused(Currency),
    /// A rate of tax.
    #[error("a rate is 0 to {RATE_MAX} basis points")]
    Rate,
    /// The increment of cash.
    #[error("a cash increment is 0 to {INCREMENT_MAX} minor units (0 or 1: no rounding)")]
    CashIncrement,
}

impl RuleError {
    /// The stable code on the wire.
    pub fn code(&self) -> &'static str {
        match self {
            RuleError::Id(_) => "id_malformed",
            RuleError::Text(_) => "text_malformed",
            RuleError::ListTooLong => "list_too_long",
            RuleError::ChosenAndExcluded(_) => "chosen_and_excluded",
            RuleError::Percentage => "percentage_out_of_range",
            RuleError::Amount(_) => "amount_out_of_range",
            RuleError::BundlePrice => "bundle_price_out_of_range",
            RuleError::Pieces(_) => "pieces_out_of_range",
            RuleError::MinimumQuantity => "minimum_quantity_out_of_range",
            RuleError::Components => "components_out_of_range",
            RuleError::BundleWithTarget => "bundle_with_target",
            RuleError::PoolsWithTarget => "pools_with_target",
            RuleError::EmptyPool(_) => "pool_empty",
            RuleError::ValidityReversed => "validity_reversed",
            RuleError::EmptyTimeOfDay => "time_of_day_empty",
            RuleError::LimitZero => "limit_zero",
            RuleError::LimitsReversed => "limits_reversed",
            RuleError::CurrencyMissing => "currency_missing",
            RuleError::CurrencyUnused(_) => "currency_unused",
            RuleError::Rate => "rate_out_of_range",
            RuleError::CashIncrement => "cash_increment_out_of_range",
        }
    }
}
