//! POS commands: one envelope, one payload per action.

mod batch;
mod cart_commands;
mod reply;
mod return_commands;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

pub use batch::*;
pub use cart_commands::*;
pub use reply::*;
pub use return_commands::*;

use crate::till::{CashMovement, CountTill, NoSale, OpenTill, ShiftReference};

/// The envelope version that this build speaks.
pub const ENVELOPE_VERSION: &str = "1";

/// Most commands in one offline batch.
pub const BATCH_COMMANDS_MAX: usize = 1_000;

/// How much of the cart a reply shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplyKind {
    /// All of it.
    #[default]
    Full,
    /// Without its lines.
    Summary,
}

/// The envelope of a command. `action` and `payload` belong together: see `Command`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CommandEnvelope)]
pub struct Envelope {
    /// Always `"1"`.
    #[schema(example = "1", pattern = "^1$")]
    pub version: String,
    /// Makes the command take effect once, however often it is sent: 1 to 128 printable ASCII characters.
    #[schema(min_length = 1, max_length = 128, pattern = "^[ -~]*$")]
    pub idempotency_key: String,
    /// Store whose stock and lanes are meant.
    pub store_id: String,
    /// Register of that store.
    pub register_id: String,
    /// Who sells; the token's `sub` where absent.
    #[serde(default)]
    pub employee_id: Option<String>,
    /// When it happened, by the register's clock; the server's time where absent.
    #[serde(default, deserialize_with = "crate::date_time::optional")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub occurred_at: Option<Timestamp>,
    /// How much of the cart the reply shows.
    #[serde(default)]
    pub reply: ReplyKind,
    /// Name of the action.
    pub action: String,
    /// The action's payload.
    #[schema(value_type = Object)]
    pub payload: Value,
}

/// An action and its payload.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(tag = "action", content = "payload", rename_all = "snake_case")]
pub enum Command {
    /// Opens a cart.
    CreateCart(CreateCart),
    /// Sets or clears the customer.
    SetCustomer(SetCustomer),
    /// Adds a line.
    AddLineItem(AddLineItem),
    /// Changes a line.
    UpdateLineItem(UpdateLineItem),
    /// Takes a line off.
    RemoveLineItem(LineReference),
    /// Takes something off a line or the cart.
    ApplyManualDiscount(ApplyManualDiscount),
    /// Takes a manual discount back.
    RemoveManualDiscount(DiscountReference),
    /// Redeems a coupon.
    ApplyCoupon(CouponReference),
    /// Takes a coupon off.
    RemoveCoupon(CouponReference),
    /// Applies a promotion by hand.
    ApplyPromo(PromoReference),
    /// Takes a promotion off.
    RemovePromo(PromoReference),
    /// Fixes the lines, so that payments can be taken.
    SetTendering(CartReference),
    /// Goes back to the lines.
    ResumeEditing(CartReference),
    /// Takes a payment.
    AddPayment(AddPayment),
    /// Takes a payment back.
    RemovePayment(PaymentReference),
    /// Makes the sale final: number, stock, receipt.
    FinalizeOrder(FinalizeOrder),
    /// Gives a cart up.
    VoidCart(VoidCart),
    /// Puts an open cart aside.
    ParkCart(ParkCart),
    /// Brings a parked cart back, at any register of the store.
    RecallCart(CartReference),
    /// Tells the parked carts of the store.
    ListParkedCarts(ListParkedCarts),
    /// Undoes a final sale, on the business day it was made.
    VoidOrder(VoidOrder),
    /// Opens a return.
    StartReturn(StartReturn),
    /// Adds a line to a return.
    ReturnLineItem(ReturnLineItem),
    /// Refunds by a tender.
    RefundTender(RefundTender),
    /// Makes the return final.
    FinalizeReturn(ReturnReference),
    /// Makes a return and a sale final together: what comes back pays for what goes out.
    FinalizeExchange(FinalizeExchange),
    /// Gives a return up.
    VoidReturn(VoidReturn),
    /// Opens a shift.
    OpenTill(OpenTill),
    /// Puts cash into the drawer.
    PaidIn(CashMovement),
    /// Takes cash out of the drawer.
    PaidOut(CashMovement),
    /// Opens the drawer for nothing.
    NoSale(NoSale),
    /// Counts the drawer.
    CashCount(CountTill),
    /// Reads the figures of an open shift.
    GetXReport(ShiftReference),
    /// Closes a shift.
    CloseTill(CountTill),
}

/// Names of all actions, for the message that refuses an unknown one.
pub const ACTIONS: &[&str] = &[
    "create_cart",
    "set_customer",
    "add_line_item",
    "update_line_item",
    "remove_line_item",
    "apply_manual_discount",
    "remove_manual_discount",
    "apply_coupon",
    "remove_coupon",
    "apply_promo",
    "remove_promo",
    "set_tendering",
    "resume_editing",
    "add_payment",
    "remove_payment",
    "finalize_order",
    "void_cart",
    "park_cart",
    "recall_cart",
    "list_parked_carts",
    "void_order",
    "start_return",
    "return_line_item",
    "refund_tender",
    "finalize_return",
    "finalize_exchange",
    "void_return",
    "open_till",
    "paid_in",
    "paid_out",
    "no_sale",
    "cash_count",
    "get_x_report",
    "close_till",
];
