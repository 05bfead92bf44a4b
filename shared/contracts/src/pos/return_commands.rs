//! Payloads of the actions on returns and exchanges.

use serde::{Deserialize, Serialize};
use tillstream_domain::cart::Disposition;
use tillstream_domain::money::{Money, UnitPrice};
use tillstream_domain::quantity::QuantityInput;
use utoipa::ToSchema;

use crate::schema::{MoneySchema, QuantitySchema};

/// Payload of `start_return`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartReturn {
    /// The return's id; made from the idempotency key where absent.
    #[serde(default)]
    pub return_id: Option<String>,
    /// The sale; a blind return where absent, which needs an approval.
    #[serde(default)]
    pub original_order_id: Option<String>,
    /// Why.
    pub reason: String,
    /// Approval by a supervisor, of a return without its sale. What a register uploads that was cut off is recorded without,
    /// too: an exception `cash_not_approved` asks somebody to look into it.
    #[serde(default)]
    pub approval_id: Option<String>,
}

/// What happens to goods that come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Disposition)]
pub enum DispositionInput {
    /// Back on the shelf.
    Restock,
    /// Kept aside as damaged.
    Damaged,
    /// Nothing came back into stock.
    None,
}

impl From<DispositionInput> for Disposition {
    fn from(input: DispositionInput) -> Self {
        match input {
            DispositionInput::Restock => Disposition::Restock,
            DispositionInput::Damaged => Disposition::Damaged,
            DispositionInput::None => Disposition::None,
        }
    }
}

/// Payload of `return_line_item`: `line_id` of the known sale, or `sku` and `unit_price` in a blind return.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReturnLineItem {
    /// The return.
    pub return_id: String,
    /// Line of the sale.
    #[serde(default)]
    pub line_id: Option<String>,
    /// SKU, in a blind return.
    #[serde(default)]
    pub sku: Option<String>,
    /// How many came back.
    #[schema(value_type = QuantitySchema)]
    pub quantity: QuantityInput,
    /// What happens to them.
    pub disposition: DispositionInput,
    /// Price given back per unit, in a blind return.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "2.55")]
    pub unit_price: Option<UnitPrice>,
}

/// Payload of `refund_tender`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefundTender {
    /// The return.
    pub return_id: String,
    /// Tender that is refunded.
    pub tender: String,
    /// How much. Cash in coins, where the tenant has a smallest one: the nearest to what is due, or a part of it;
    /// 0 where what is due comes to no coin.
    #[schema(value_type = MoneySchema)]
    pub amount: Money,
    /// The terminal's reference. Of a `gift_card` or `account` whose balance is kept here: where it goes; back to
    /// where the sale took it from, where absent.
    #[serde(default)]
    pub external_reference: Option<String>,
}

/// A return.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReturnReference {
    /// The return.
    pub return_id: String,
}

/// Payload of `finalize_exchange`. What the return is worth pays for the sale, as far as both go; the rest of
/// the sale is paid by `add_payment`, the rest of the return refunded by `refund_tender`, before.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FinalizeExchange {
    /// The return: open, of the same register as the sale.
    pub return_id: String,
    /// The sale: tendering.
    pub cart_id: String,
    /// What the register asked for the exchange, before cash was rounded to coins: the total of the sale less that of
    /// the return; below zero where so much is given back. Where the two carts come to another total, nothing is made
    /// final (`total_differs`); but of a register that was cut off the sale is kept at this and what the return is worth,
    /// and where that is no rounding, somebody is asked to look into it, or less is refused, as of `finalize_order`. More
    /// given back than the return is worth is refused always. Such a register should state it: else change that no
    /// `add_payment` told of is a task for somebody.
    #[serde(default)]
    #[schema(value_type = Option<MoneySchema>)]
    pub total: Option<Money>,
}

/// Payload of `void_return`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VoidReturn {
    /// The return.
    pub return_id: String,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}
