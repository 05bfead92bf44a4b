//! Payloads of the actions on carts, and what a list of parked ones shows.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_domain::money::{Money, UnitPrice};
use tillstream_domain::quantity::QuantityInput;
use utoipa::ToSchema;

use crate::schema::{MoneySchema, QuantitySchema};

/// Payload of `create_cart`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateCart {
    /// The cart's id; made from the idempotency key where absent.
    #[serde(default)]
    pub cart_id: Option<String>,
    /// Channel; `pos` where absent.
    #[serde(default)]
    pub channel: Option<String>,
    /// Customer, if known.
    #[serde(default)]
    pub customer_id: Option<String>,
}

/// Payload of `set_customer`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetCustomer {
    /// The cart.
    pub cart_id: String,
    /// The customer, or null for none. Not to be left out.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required = true)]
    pub customer_id: Option<String>,
}

/// Payload of `add_line_item`: by `sku` or by `barcode`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddLineItem {
    /// The cart.
    pub cart_id: String,
    /// SKU; or give `barcode`.
    #[serde(default)]
    pub sku: Option<String>,
    /// GTIN; or give `sku`.
    #[serde(default)]
    pub barcode: Option<String>,
    /// How many.
    #[schema(value_type = QuantitySchema)]
    pub quantity: QuantityInput,
    /// What is chosen with it: at most 50.
    #[serde(default)]
    #[schema(max_items = 50)]
    pub modifiers: Vec<ModifierInput>,
    /// Free text, at most 500 characters.
    #[serde(default)]
    pub notes: Option<String>,
    /// The lot it is taken from, of a product that is kept by lots. Without one it is of the lot that expires first.
    /// Whether there is enough of it is found out when the cart becomes final.
    #[serde(default)]
    #[schema(example = "L-2031", max_length = 64)]
    pub lot: Option<String>,
    /// The line's price instead of the price book's; needs an approval.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "2.55")]
    pub unit_price_override: Option<UnitPrice>,
    /// Approval by a supervisor.
    #[serde(default)]
    pub approval_id: Option<String>,
}

/// Something chosen with a product: one of the product's modifiers by `modifier_id`, which may have a price,
/// or a wish in words by `name`, which has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ModifierInput {
    /// A modifier of the product. One that takes off the price is chosen once for a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modifier_id: Option<String>,
    /// A wish, at most 100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Payload of `update_line_item`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateLineItem {
    /// The cart.
    pub cart_id: String,
    /// The line.
    pub line_id: String,
    /// New quantity.
    #[serde(default)]
    #[schema(value_type = Option<QuantitySchema>)]
    pub quantity: Option<QuantityInput>,
    /// New notes; an empty text clears them.
    #[serde(default)]
    pub notes: Option<String>,
}

/// A line of a cart.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LineReference {
    /// The cart.
    pub cart_id: String,
    /// The line.
    pub line_id: String,
}

/// What a manual discount is taken off, and how it is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiscountKind {
    /// A part of all lines together.
    PercentCart,
    /// A part of one line.
    PercentLine,
    /// An amount off all lines together, apportioned by what is left to pay of each.
    FixedCart,
    /// An amount off one line.
    FixedLine,
}

/// How much a manual discount takes off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "a percentage is a whole number of basis points (500 is 5 %), an amount is money such as \
                 {\"amount\": 100, \"currency\": \"GBP\"}"
)]
pub enum DiscountValue {
    /// Basis points, 1 to 10,000.
    BasisPoints(u32),
    /// An amount.
    Amount(Money),
}

/// Basis points (1 to 10,000, where 500 is 5 %) for a percentage, money for an amount.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = DiscountValue)]
pub enum DiscountValueSchema {
    /// A percentage.
    BasisPoints(u32),
    /// An amount.
    Amount(MoneySchema),
}

/// Payload of `apply_manual_discount`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyManualDiscount {
    /// The cart.
    pub cart_id: String,
    /// What it is taken off.
    pub kind: DiscountKind,
    /// How much.
    #[schema(value_type = DiscountValueSchema)]
    pub value: DiscountValue,
    /// The line, for `percent_line` and `fixed_line`.
    #[serde(default)]
    pub line_id: Option<String>,
    /// Why; stands on the receipt.
    pub reason: String,
    /// Approval by a supervisor.
    #[serde(default)]
    pub approval_id: Option<String>,
}

/// A manual discount of a cart.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiscountReference {
    /// The cart.
    pub cart_id: String,
    /// The discount.
    pub discount_id: String,
}

/// A coupon and a cart.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CouponReference {
    /// The cart.
    pub cart_id: String,
    /// What stands on the coupon; case matters.
    pub coupon_code: String,
}

/// A promotion and a cart.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PromoReference {
    /// The cart.
    pub cart_id: String,
    /// The promotion.
    pub promo_id: String,
}

/// A cart.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CartReference {
    /// The cart.
    pub cart_id: String,
}

/// Payload of `finalize_order`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FinalizeOrder {
    /// The cart.
    pub cart_id: String,
    /// What the register asked for it, before cash was rounded to coins. Where the cart comes to another total, nothing
    /// is made final (`total_differs`); but of a register that was cut off the sale is kept at its own total, and where
    /// that is no rounding, somebody is asked to look into it, or less is refused (the setting
    /// `offline_total_below_lines`).
    #[serde(default)]
    #[schema(value_type = Option<MoneySchema>)]
    pub total: Option<Money>,
}

/// Payload of `add_payment`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddPayment {
    /// The cart.
    pub cart_id: String,
    /// `cash`, `card`, `gift_card`, `voucher` or `account`. Only cash gives change.
    pub tender: String,
    /// What is handed over, above zero; in cash 0 where what is due comes to no coin.
    #[schema(value_type = MoneySchema)]
    pub amount: Money,
    /// On top of the amount.
    #[serde(default)]
    #[schema(value_type = Option<MoneySchema>)]
    pub tip: Option<Money>,
    /// The terminal's reference. Of a `gift_card` or `account` whose balance is kept here (`PUT /v1/settings`):
    /// the card's number, or the id of an account of the cart's customer; the one called after the customer where
    /// absent.
    #[serde(default)]
    pub external_reference: Option<String>,
    /// `chip`, `contactless`, `manual`, ….
    #[serde(default)]
    pub entry_method: Option<String>,
}

/// A payment of a cart.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PaymentReference {
    /// The cart.
    pub cart_id: String,
    /// The payment.
    pub payment_id: String,
}

/// Payload of `void_cart`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VoidCart {
    /// The cart.
    pub cart_id: String,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Payload of `park_cart`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ParkCart {
    /// The cart.
    pub cart_id: String,
    /// What it is found by, at most 200 characters.
    #[serde(default)]
    pub note: Option<String>,
}

/// Payload of `list_parked_carts`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListParkedCarts {
    /// How many a page: 1 to 200, 50 where absent.
    #[serde(default)]
    pub limit: Option<u32>,
    /// Where to go on.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// A parked cart, as it is found again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ParkedCart)]
pub struct ParkedCartView {
    /// The cart.
    pub cart_id: String,
    /// What it is found by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When it was parked, as the register told it.
    #[schema(value_type = String, format = DateTime)]
    pub parked_at: Timestamp,
    /// Register that parked it.
    pub register_id: String,
    /// Who parked it.
    pub employee_id: String,
    /// Customer, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// How many lines there are.
    pub line_count: usize,
    /// What is to be paid.
    #[schema(value_type = MoneySchema)]
    pub total: Money,
}

/// Payload of `void_order`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VoidOrder {
    /// The order: a till's sale of this store and business day, of which nothing came back. Of a register
    /// that is not cut off the day is ours too, whatever time it tells.
    pub order_id: String,
    /// Why, at most 200 characters.
    pub reason: String,
    /// Approval by a supervisor. What a register uploads that was cut off is recorded without, too: an exception
    /// `cash_not_approved` asks somebody to look into it.
    #[serde(default)]
    pub approval_id: Option<String>,
}
