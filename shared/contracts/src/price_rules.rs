//! Data of the feeds that a till prices by: promotions, tax rules, coupons, customers, categories.
//!
//! Money is money here as everywhere (`{"amount", "currency"}`); all money of one promotion or coupon is of
//! one currency. Percentages are basis points: 1 to 10,000, which is all of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_domain::money::{Currency, Money, UnitPrice};
use tillstream_domain::pricing::{DayOfWeek, FixedAmountPer, Stacking};
use tillstream_domain::quantity::QuantityInput;
use utoipa::ToSchema;

use crate::schema::{MoneySchema, QuantitySchema};

fn yes() -> bool {
    true
}

fn whole() -> u32 {
    10_000
}

fn middle() -> u32 {
    100
}

/// A day of the week.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = DayOfWeek)]
pub enum DayOfWeekSchema {
    /// Monday.
    Monday,
    /// Tuesday.
    Tuesday,
    /// Wednesday.
    Wednesday,
    /// Thursday.
    Thursday,
    /// Friday.
    Friday,
    /// Saturday.
    Saturday,
    /// Sunday.
    Sunday,
}

/// What a fixed amount is taken off.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = FixedAmountPer)]
pub enum FixedAmountPerSchema {
    /// The chosen lines together.
    Order,
    /// Each piece, or each unit of measure.
    Unit,
}

/// How a promotion goes with others.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Stacking)]
pub enum StackingSchema {
    /// Works on what earlier ones left, and leaves the rest to later ones.
    Stackable,
    /// Takes only lines that no promotion touched before, and keeps them for itself: no later promotion, no
    /// manual discount and no coupon takes anything off them.
    Exclusive,
}

/// A choice of products: those of `skus` and those of `categories` together, all where both are empty, but
/// never those of `excluded_skus`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetData {
    /// SKUs.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub skus: Vec<String>,
    /// Categories; one chooses the products of all categories below it too.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub categories: Vec<String>,
    /// SKUs that are not chosen, whatever the others say.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub excluded_skus: Vec<String>,
}

/// A part of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BundleComponentData {
    /// What it may be.
    pub target: TargetData,
    /// How many pieces of it.
    #[schema(minimum = 1)]
    pub quantity: u32,
}

/// So many pieces of a choice of products.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolData {
    /// Which products. It names SKUs or categories: an empty one would be the whole shop.
    pub target: TargetData,
    /// How many pieces of them.
    #[schema(minimum = 1, maximum = 1_000)]
    pub quantity: u32,
}

/// The reward for spending enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RewardData {
    /// A part of the chosen lines.
    Percentage {
        /// Basis points off.
        #[schema(minimum = 1, maximum = 10_000)]
        bps: u32,
    },
    /// An amount off the chosen lines together.
    FixedAmount {
        /// How much, at most what is left.
        #[schema(value_type = MoneySchema)]
        amount: Money,
    },
}

/// What a promotion gives: exactly one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BenefitData {
    /// A part of what the chosen lines come to.
    Percentage {
        /// Basis points off.
        #[schema(minimum = 1, maximum = 10_000)]
        bps: u32,
    },
    /// An amount off.
    FixedAmount {
        /// How much, at most what is left.
        #[schema(value_type = MoneySchema)]
        amount: Money,
        /// Off what.
        #[schema(value_type = FixedAmountPerSchema)]
        per: FixedAmountPer,
    },
    /// Of `buy` + `get` pieces, the `get` cheapest cost less; as often as it fits.
    BuyGet {
        /// Pieces to pay in full.
        #[schema(minimum = 1, maximum = 1_000)]
        buy: u32,
        /// Pieces that cost less for it.
        #[schema(minimum = 1, maximum = 1_000)]
        get: u32,
        /// Basis points off each of those: all of it where absent.
        #[serde(default = "whole")]
        #[schema(minimum = 1, maximum = 10_000, default = 10_000)]
        bps: u32,
    },
    /// Another price per unit. It never raises a price.
    PriceOverride {
        /// The price in major units, up to four decimals.
        #[schema(value_type = String, example = "2.10")]
        unit_price: UnitPrice,
        /// Its currency.
        #[schema(value_type = String, example = "GBP")]
        currency: Currency,
    },
    /// One price for a set of products.
    Bundle {
        /// What is in it.
        #[schema(min_items = 1, max_items = 6)]
        components: Vec<BundleComponentData>,
        /// The price of all of it.
        #[schema(value_type = MoneySchema)]
        price: Money,
    },
    /// A reward for spending enough on the chosen lines.
    SpendThreshold {
        /// What to spend, at least.
        #[schema(value_type = MoneySchema)]
        minimum: Money,
        /// What for.
        reward: RewardData,
    },
    /// For every so many pieces of one choice of products, pieces of another cost less: with two razors a pack
    /// of blades. As often as there are pieces of both, the cheapest of the second first. A piece that both
    /// choose is bought or given, and what earned one gift earns no other. `target` stays empty.
    BuyGetOther {
        /// What is paid in full.
        buy: PoolData,
        /// What costs less for it.
        get: PoolData,
        /// Basis points off each piece of those: all of it where absent.
        #[serde(default = "whole")]
        #[schema(minimum = 1, maximum = 10_000, default = 10_000)]
        bps: u32,
    },
}

/// A part of the day on the store's clock. Where `to` is not after `from` it goes over midnight, and its
/// small hours belong to the day on which it began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeOfDayData {
    /// First minute in it.
    #[schema(example = "17:00", pattern = "^[0-2][0-9]:[0-5][0-9]$")]
    pub from: String,
    /// First minute no longer in it; `00:00` is the end of the day.
    #[schema(example = "19:00", pattern = "^[0-2][0-9]:[0-5][0-9]$")]
    pub to: String,
}

/// What must be so for a promotion to apply. An empty list, and what is absent, asks for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConditionsData {
    /// First instant it is valid.
    #[serde(default, deserialize_with = "crate::date_time::optional")]
    #[schema(value_type = Option<String>)]
    pub valid_from: Option<Timestamp>,
    /// First instant it is no longer valid.
    #[serde(default, deserialize_with = "crate::date_time::optional")]
    #[schema(value_type = Option<String>)]
    pub valid_to: Option<Timestamp>,
    /// Days of the week, on the store's clock.
    #[serde(default)]
    #[schema(value_type = Vec<DayOfWeekSchema>)]
    pub days: Vec<DayOfWeek>,
    /// Part of the day, on the store's clock.
    #[serde(default)]
    pub time_of_day: Option<TimeOfDayData>,
    /// The customer is in one of these segments.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub segments: Vec<String>,
    /// It is sold at one of these stores.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub stores: Vec<String>,
    /// It is sold on one of these channels.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub channels: Vec<String>,
    /// What may be discounted in the whole basket is worth at least this before any discount.
    #[serde(default)]
    #[schema(value_type = Option<MoneySchema>)]
    pub minimum_subtotal: Option<Money>,
    /// At least so much of what may be discounted is in the basket, pieces and measures added as they are.
    #[serde(default)]
    #[schema(value_type = Option<QuantitySchema>)]
    pub minimum_quantity: Option<QuantityInput>,
    /// The basket holds this, whatever the promotion is for: with a kettle, a tenth off mugs.
    #[serde(default)]
    pub contains: Option<ContainsData>,
}

/// What has to be in a basket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContainsData {
    /// Which products.
    pub target: TargetData,
    /// At least so much of them together that may be discounted, pieces and measures added as they are; one where
    /// absent.
    #[serde(default)]
    #[schema(value_type = Option<QuantitySchema>)]
    pub quantity: Option<QuantityInput>,
}

/// How often a promotion may be given; without limit where absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsData {
    /// In one order.
    #[serde(default)]
    #[schema(minimum = 1)]
    pub per_order: Option<u32>,
    /// By one customer.
    #[serde(default)]
    #[schema(minimum = 1)]
    pub per_customer: Option<u32>,
    /// By all together. What was used counts under each limit that takes the place of another.
    #[serde(default)]
    #[schema(minimum = 1)]
    pub total: Option<u32>,
}

/// Data of a line of `promotions`. At most 500 promotions that have not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PromotionData {
    /// Where given, the line's id.
    #[serde(default)]
    pub id: Option<String>,
    /// What it is called on a receipt.
    #[schema(min_length = 1, max_length = 200, example = "Mugs: 3 for 2")]
    pub name: String,
    /// Lower comes first; of the same the lower id.
    #[serde(default = "middle")]
    #[schema(default = 100)]
    pub priority: u32,
    /// Whether it applies by itself, or only where it is applied by hand or unlocked by a coupon.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub automatic: bool,
    /// What it gives.
    pub benefit: BenefitData,
    /// On what. A bundle chooses by its components, and takes only the excluded SKUs from here; `buy_get_other`
    /// chooses by its own two targets alone.
    #[serde(default)]
    pub target: TargetData,
    /// When it holds.
    #[serde(default)]
    pub conditions: ConditionsData,
    /// How often.
    #[serde(default)]
    pub limits: LimitsData,
    /// How it goes with others.
    #[serde(default)]
    #[schema(value_type = StackingSchema)]
    pub stacking: Stacking,
    /// Of all promotions of one group only the one applies that takes most off.
    #[serde(default)]
    #[schema(max_length = 200)]
    pub group: Option<String>,
}

impl PromotionData {
    /// Its fields by path.
    pub const FIELDS: &'static [&'static str] = &[
        "id",
        "name",
        "priority",
        "automatic",
        "benefit",
        "benefit.percentage",
        "benefit.percentage.bps",
        "benefit.fixed_amount",
        "benefit.fixed_amount.amount",
        "benefit.fixed_amount.amount.amount",
        "benefit.fixed_amount.amount.currency",
        "benefit.fixed_amount.per",
        "benefit.buy_get",
        "benefit.buy_get.buy",
        "benefit.buy_get.get",
        "benefit.buy_get.bps",
        "benefit.price_override",
        "benefit.price_override.unit_price",
        "benefit.price_override.currency",
        "benefit.bundle",
        "benefit.bundle.components",
        "benefit.bundle.components.target",
        "benefit.bundle.components.target.skus",
        "benefit.bundle.components.target.categories",
        "benefit.bundle.components.target.excluded_skus",
        "benefit.bundle.components.quantity",
        "benefit.bundle.price",
        "benefit.bundle.price.amount",
        "benefit.bundle.price.currency",
        "benefit.spend_threshold",
        "benefit.spend_threshold.minimum",
        "benefit.spend_threshold.minimum.amount",
        "benefit.spend_threshold.minimum.currency",
        "benefit.spend_threshold.reward",
        "benefit.spend_threshold.reward.percentage",
        "benefit.spend_threshold.reward.percentage.bps",
        "benefit.spend_threshold.reward.fixed_amount",
        "benefit.spend_threshold.reward.fixed_amount.amount",
        "benefit.spend_threshold.reward.fixed_amount.amount.amount",
        "benefit.spend_threshold.reward.fixed_amount.amount.currency",
        "benefit.buy_get_other",
        "benefit.buy_get_other.buy",
        "benefit.buy_get_other.buy.target",
        "benefit.buy_get_other.buy.target.skus",
        "benefit.buy_get_other.buy.target.categories",
        "benefit.buy_get_other.buy.target.excluded_skus",
        "benefit.buy_get_other.buy.quantity",
        "benefit.buy_get_other.get",
        "benefit.buy_get_other.get.target",
        "benefit.buy_get_other.get.target.skus",
        "benefit.buy_get_other.get.target.categories",
        "benefit.buy_get_other.get.target.excluded_skus",
        "benefit.buy_get_other.get.quantity",
        "benefit.buy_get_other.bps",
        "target",
        "target.skus",
        "target.categories",
        "target.excluded_skus",
        "conditions",
        "conditions.valid_from",
        "conditions.valid_to",
        "conditions.days",
        "conditions.time_of_day",
        "conditions.time_of_day.from",
        "conditions.time_of_day.to",
        "conditions.segments",
        "conditions.stores",
        "conditions.channels",
        "conditions.minimum_subtotal",
        "conditions.minimum_subtotal.amount",
        "conditions.minimum_subtotal.currency",
        "conditions.minimum_quantity",
        "conditions.contains",
        "conditions.contains.target",
        "conditions.contains.target.skus",
        "conditions.contains.target.categories",
        "conditions.contains.target.excluded_skus",
        "conditions.contains.quantity",
        "limits",
        "limits.per_order",
        "limits.per_customer",
        "limits.total",
        "stacking",
        "group",
    ];
}

/// Data of a line of `tax_rules`. At most 200 that have not ended. A rate that changes on a day is two
/// rules, one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TaxRuleData {
    /// Where given, the line's id.
    #[serde(default)]
    pub id: Option<String>,
    /// What it is called on a receipt.
    #[schema(min_length = 1, max_length = 200, example = "VAT 20%")]
    pub name: String,
    /// Rate in basis points. Zero-rated is told on the receipt; what is exempt bears no rule at all.
    #[schema(minimum = 0, maximum = 100_000, example = 2_000)]
    pub rate_bps: u32,
    /// First instant it is valid; always where absent.
    #[serde(default, deserialize_with = "crate::date_time::optional")]
    #[schema(value_type = Option<String>)]
    pub valid_from: Option<Timestamp>,
    /// First instant it is no longer valid; never where absent.
    #[serde(default, deserialize_with = "crate::date_time::optional")]
    #[schema(value_type = Option<String>)]
    pub valid_to: Option<Timestamp>,
    /// Tax categories that bear it, together with what `target` chooses; everything where neither says
    /// anything.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub tax_categories: Vec<String>,
    /// Products that bear it.
    #[serde(default)]
    pub target: TargetData,
    /// Stores at which it is due; all where empty.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub stores: Vec<String>,
    /// Regions in which it is due; all where empty.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub regions: Vec<String>,
    /// Channels on which it is due; all where empty.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub channels: Vec<String>,
}

impl TaxRuleData {
    /// Its fields by path.
    pub const FIELDS: &'static [&'static str] = &[
        "id",
        "name",
        "rate_bps",
        "valid_from",
        "valid_to",
        "tax_categories",
        "target",
        "target.skus",
        "target.categories",
        "target.excluded_skus",
        "stores",
        "regions",
        "channels",
    ];
}

/// What a coupon gives: exactly one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CouponBenefitData {
    /// A part of the lines it is for.
    Percentage {
        /// Basis points off.
        #[schema(minimum = 1, maximum = 10_000)]
        bps: u32,
    },
    /// An amount off the lines it is for.
    FixedAmount {
        /// How much, at most what is left.
        #[schema(value_type = MoneySchema)]
        amount: Money,
    },
    /// A promotion that is not automatic, as if it were applied by hand.
    Promotion {
        /// Its id.
        promotion_id: String,
    },
}

/// Data of a line of `coupons`; the line's id is the code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CouponData {
    /// Where given, the line's id. Case matters.
    #[serde(default)]
    pub code: Option<String>,
    /// What it gives.
    pub benefit: CouponBenefitData,
    /// What must be spent on the lines it is for.
    #[serde(default)]
    #[schema(value_type = Option<MoneySchema>)]
    pub minimum_spend: Option<Money>,
    /// First instant it is valid; always where absent.
    #[serde(default, deserialize_with = "crate::date_time::optional")]
    #[schema(value_type = Option<String>)]
    pub valid_from: Option<Timestamp>,
    /// First instant it is no longer valid; never where absent.
    #[serde(default, deserialize_with = "crate::date_time::optional")]
    #[schema(value_type = Option<String>)]
    pub valid_to: Option<Timestamp>,
    /// What it is for.
    #[serde(default)]
    pub target: TargetData,
    /// Times it may be redeemed by all together; any number where absent. What was redeemed counts under each limit
    /// that takes the place of another.
    #[serde(default)]
    #[schema(minimum = 1)]
    pub total_limit: Option<u32>,
    /// Times one customer may redeem it; any number where absent.
    #[serde(default)]
    #[schema(minimum = 1)]
    pub per_customer_limit: Option<u32>,
}

impl CouponData {
    /// Its fields by path.
    pub const FIELDS: &'static [&'static str] = &[
        "code",
        "benefit",
        "benefit.percentage",
        "benefit.percentage.bps",
        "benefit.fixed_amount",
        "benefit.fixed_amount.amount",
        "benefit.fixed_amount.amount.amount",
        "benefit.fixed_amount.amount.currency",
        "benefit.promotion",
        "benefit.promotion.promotion_id",
        "minimum_spend",
        "minimum_spend.amount",
        "minimum_spend.currency",
        "valid_from",
        "valid_to",
        "target",
        "target.skus",
        "target.categories",
        "target.excluded_skus",
        "total_limit",
        "per_customer_limit",
    ];
}

/// Data of a line of `customers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomerData {
    /// Where given, the line's id.
    #[serde(default)]
    pub id: Option<String>,
    /// What to call the customer.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200)]
    pub name: Option<String>,
    /// Segments the customer is in; the first is the one that reports count the customer's sales under.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub segments: Vec<String>,
    /// Whether the customer bears no tax.
    #[serde(default)]
    pub tax_exempt: bool,
}

impl CustomerData {
    /// Its fields by path.
    pub const FIELDS: &'static [&'static str] = &["id", "name", "segments", "tax_exempt"];
}

/// Data of a line of `categories`; the line's id is what products name the category by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CategoryData {
    /// Where given, the line's id.
    #[serde(default)]
    pub id: Option<String>,
    /// The category it stands below; none where absent.
    #[serde(default)]
    #[schema(max_length = 64)]
    pub parent: Option<String>,
    /// What to show people, where that is another than its id.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 64)]
    pub name: Option<String>,
}

impl CategoryData {
    /// Its fields by path.
    pub const FIELDS: &'static [&'static str] = &["id", "parent", "name"];
}
