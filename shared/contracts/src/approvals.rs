//! Approvals: asked for at a register, granted or denied by a supervisor, used once by a command.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_domain::money::{Money, UnitPrice};
use tillstream_domain::quantity::QuantityInput;
use utoipa::{IntoParams, ToSchema};

use crate::pos::{DiscountKind, DiscountValue, DiscountValueSchema};
use crate::schema::{MoneySchema, QuantitySchema};

/// What can be approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ApprovalAction)]
pub enum ApprovalActionInput {
    /// `add_line_item` with `unit_price_override`: `cart_id`, `sku`, `unit_price_override`, `quantity`.
    PriceOverride,
    /// `apply_manual_discount`, and a discount of `POST /v1/orders`: `cart_id`, `kind`, `value`, and `line_id` for a
    /// line's. A share is approved of what is left to pay of the goods in the cart that it falls on when it is asked for:
    /// those that may be discounted, that no exclusive promotion keeps, and of which something is left. Where there are
    /// none, as of an order, it is approved of what `maximum_goods` says.
    ManualDiscount,
    /// `start_return` without a sale: `maximum_refund`.
    BlindReturn,
    /// `void_order`: `order_id`.
    VoidOrder,
    /// `paid_in`: `shift_id`, `amount`.
    PaidIn,
    /// `paid_out`: `shift_id`, `amount`.
    PaidOut,
    /// `no_sale`: `shift_id`.
    NoSale,
    /// `POST /v1/inventory/counts/{id}/close`: `count_id`. It is bound to the sheet as it stands, and to what that is
    /// off by: a line that is counted anew needs another approval.
    CloseCount,
    /// `POST /v1/inventory/exceptions/{id}/correct`: `exception_id`. It is bound to the difference as it was compared
    /// last.
    CorrectDifference,
}

/// Body of `POST /v1/approvals`. What the action is bound to is said with it, as the command will say it:
/// what the action does not take is refused.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AskForApproval {
    /// The approval's id; made from the idempotency key where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._~:-]{0,63}$")]
    pub approval_id: Option<String>,
    /// Store; for what is done to stock, any location.
    pub store_id: String,
    /// Register of that store, at which the command will be sent; not for what is done to stock. An order is placed at
    /// none: for one of its discounts it is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub register_id: Option<String>,
    /// Who asks; the token's `sub` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._~:-]{0,63}$")]
    pub employee_id: Option<String>,
    /// What is to be approved.
    pub action: ApprovalActionInput,
    /// Why: 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    pub reason: String,
    /// The cart; for a discount of `POST /v1/orders` its `order_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cart_id: Option<String>,
    /// What is sold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// Price per unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "2.55")]
    pub unit_price_override: Option<UnitPrice>,
    /// How many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<QuantitySchema>)]
    pub quantity: Option<QuantityInput>,
    /// What the discount is taken off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<DiscountKind>,
    /// How much it takes off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DiscountValueSchema>)]
    pub value: Option<DiscountValue>,
    /// The line it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^l-[0-9]{1,9}$", example = "l-1")]
    pub line_id: Option<String>,
    /// For a share (`percent_cart`, `percent_line`): most that may be left to pay of the goods that it falls on, after
    /// promotions and the discounts before it. Where absent, what is left of them in the cart now; required where it would
    /// be taken off nothing there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneySchema>)]
    pub maximum_goods: Option<Money>,
    /// Most that the return may refund.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneySchema>)]
    pub maximum_refund: Option<Money>,
    /// The order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// The shift.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._~:-]{0,63}$", example = "sh-1")]
    pub shift_id: Option<String>,
    /// How much cash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneySchema>)]
    pub amount: Option<Money>,
    /// The count sheet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count_id: Option<String>,
    /// The stock exception.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception_id: Option<String>,
}

/// Body of `POST /v1/approvals/{id}/grant` and `/deny`; may be left out.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecideApproval {
    /// Why: at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub reason: Option<String>,
}

/// Where an approval stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ApprovalStatus)]
pub enum ApprovalStatusView {
    /// Nobody decided yet.
    Pending,
    /// Good for one use.
    Granted,
    /// Refused.
    Denied,
    /// It was used.
    Used,
    /// Nobody decided, or nobody used it, in time.
    Expired,
}

/// What a supervisor said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ApprovalDecisionView {
    /// Granted, or denied.
    pub granted: bool,
    /// `sub` of who decided.
    pub by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Why.
    pub reason: Option<String>,
}

/// The command that used it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ApprovalUseView {
    /// Employee.
    pub employee_id: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// First ten bytes of a hash of the command's idempotency key, in hexadecimal: the same for the same key.
    pub command: String,
    /// Cart, return, order or shift that it changed.
    pub resource_id: String,
    /// The line or discount that it made.
    pub part_id: Option<String>,
}

/// An approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Approval)]
pub struct ApprovalView {
    /// Its id.
    pub approval_id: String,
    /// Counts its changes.
    pub version: u64,
    /// Where it stands now.
    pub status: ApprovalStatusView,
    /// Store.
    pub store_id: String,
    /// Register; absent of what is done at none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub register_id: Option<String>,
    /// What is to be approved.
    pub action: ApprovalActionInput,
    /// Why it is asked for.
    pub reason: String,
    /// `sub` of who asks.
    pub asked_by: String,
    /// Employee who asks.
    pub employee_id: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub asked_at: Timestamp,
    /// First instant at which it is good for nothing more: of a grant, of its use; else, of its decision.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// The cart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cart_id: Option<String>,
    /// What is sold; of a share off a line, where the line was there when it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// Price per unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "2.55")]
    pub unit_price_override: Option<UnitPrice>,
    /// How many.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<QuantitySchema>)]
    pub quantity: Option<QuantityInput>,
    /// What the discount is taken off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<DiscountKind>,
    /// How much it takes off.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DiscountValueSchema>)]
    pub value: Option<DiscountValue>,
    /// The line it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line_id: Option<String>,
    /// Of a share, most that may be left to pay of the goods that it falls on, after promotions and the discounts before
    /// it: of more it is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneySchema>)]
    pub maximum_goods: Option<Money>,
    /// Most that the return may refund.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneySchema>)]
    pub maximum_refund: Option<Money>,
    /// The order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// The shift.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shift_id: Option<String>,
    /// How much cash.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneySchema>)]
    pub amount: Option<Money>,
    /// The count sheet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count_id: Option<String>,
    /// The sheet's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count_version: Option<u64>,
    /// What the sheet is off by.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneySchema>)]
    pub variance: Option<Money>,
    /// The stock exception.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception_id: Option<String>,
    /// The stock item's version that was compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared_version: Option<i64>,
    /// What was decided.
    pub decision: Option<ApprovalDecisionView>,
    /// What it was used for.
    pub used: Option<ApprovalUseView>,
}

/// Query of `GET /v1/approvals`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ApprovalFilter {
    /// The store.
    #[param(required = true)]
    pub store_id: Option<String>,
    /// Only those that stand so: `pending`, `granted`, `denied`, `used` or `expired`.
    #[param(value_type = Option<ApprovalStatusView>)]
    pub status: Option<String>,
    /// Most items of the page; 50 where absent.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

/// A page of approvals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ApprovalList {
    /// Newest first. A page may be short, or empty, although there are more: `next_cursor` says so.
    pub items: Vec<ApprovalView>,
    /// Where the next page begins; null at the end.
    pub next_cursor: Option<String>,
}
