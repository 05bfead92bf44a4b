//! POS commands: one envelope, one payload per action.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tillstream_domain::cart::Disposition;
use tillstream_domain::money::{Currency, Money, UnitPrice};
use tillstream_domain::quantity::QuantityInput;
use utoipa::ToSchema;
use utoipa::openapi::Ref;
use utoipa::openapi::schema::{AnyOfBuilder, Array, ArrayBuilder, ObjectBuilder, SchemaType};

use crate::schema::{MoneySchema, QuantitySchema};
use crate::till::{CashMovement, CountTill, NoSale, OpenTill, ShiftReference, ShiftView};

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
    FinalizeOrder(CartReference),
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
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ModifierInput {
    /// A modifier of the product.
    #[serde(default)]
    pub modifier_id: Option<String>,
    /// A wish, at most 100 characters.
    #[serde(default)]
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

/// Payload of `add_payment`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddPayment {
    /// The cart.
    pub cart_id: String,
    /// `cash`, `card`, `gift_card`, `voucher` or `account`. Only cash gives change.
    pub tender: String,
    /// What is handed over.
    #[schema(value_type = MoneySchema)]
    pub amount: Money,
    /// On top of the amount.
    #[serde(default)]
    #[schema(value_type = Option<MoneySchema>)]
    pub tip: Option<Money>,
    /// The terminal's reference. Of a `gift_card` or `account` whose balance is kept here (`PUT /v1/settings`):
    /// the card's number, or the account's id; the cart's customer's account where absent.
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
    /// The order: a till's sale of this store and business day, of which nothing came back.
    pub order_id: String,
    /// Why, at most 200 characters.
    pub reason: String,
    /// Approval by a supervisor.
    #[serde(default)]
    pub approval_id: Option<String>,
}

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
    /// Approval by a supervisor.
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
    /// How much.
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

/// What a command answers.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CommandReply {
    /// Always true; a refusal is a problem document.
    pub success: bool,
    /// The command's key.
    pub idempotency_key: String,
    /// The command's action.
    pub action: String,
    /// The action's result.
    pub result: CommandResult,
    /// The cart as it is now; null where the action is about none.
    pub cart: Option<CartView>,
    /// For a command that is counted: the token for reading its effect in analytics.
    pub consistency_token: Option<String>,
}

/// Results of actions; each action fills its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommandResult {
    /// `create_cart`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cart_id: Option<String>,
    /// `start_return`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_id: Option<String>,
    /// `add_line_item`, `update_line_item`, `remove_line_item`, `return_line_item`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line_id: Option<String>,
    /// `apply_manual_discount`, `remove_manual_discount`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discount_id: Option<String>,
    /// `add_payment`, `remove_payment`, `refund_tender`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_id: Option<String>,
    /// `add_payment`: what to give back. `finalize_exchange`: what to give back of the cash beyond what
    /// `add_payment` told, as the return paid it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneySchema>)]
    pub change: Option<Money>,
    /// `finalize_order`, `finalize_return`; `void_order`: the return that undoes the order;
    /// `finalize_exchange`: the sale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// `finalize_order`, `finalize_return`, `finalize_exchange`, `void_order`: the gapless number of the
    /// register.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_number: Option<u64>,
    /// The epoch of that number, once a restore from backup made numbers begin anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_epoch: Option<u32>,
    /// `finalize_exchange`: the return.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_order_id: Option<String>,
    /// `finalize_exchange`: the number of the return, right before that of the sale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_receipt_number: Option<u64>,
    /// `finalize_order`, `finalize_return`, `finalize_exchange` (of the sale, then of the return): documents
    /// that can be fetched (`GET /v1/documents/{id}`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document_ids: Option<Vec<String>>,
    /// `list_parked_carts`: the last parked first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked_carts: Option<Vec<ParkedCartView>>,
    /// `list_parked_carts`: where the next page begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// `open_till`, `paid_in`, `paid_out`, `no_sale`, `cash_count`, `close_till`: the shift as it was right
    /// after it; `get_x_report`: as it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shift: Option<Box<ShiftView>>,
}

/// A cart as a client sees it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Cart)]
pub struct CartView {
    /// Its id.
    pub id: String,
    /// `sale` or `return`.
    pub kind: &'static str,
    /// Counts its changes.
    pub version: u64,
    /// `open`, `tendering`, `paid`, `finalized`, `voided` or `parked`.
    pub state: &'static str,
    /// Channel.
    pub channel: String,
    /// Store.
    pub store_id: String,
    /// Register it was opened at.
    pub register_id: String,
    /// Customer, if known.
    pub customer_id: Option<String>,
    /// Lines; left out in a summary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines: Option<Vec<LineView>>,
    /// How many lines there are.
    pub line_count: usize,
    /// What takes something off, and how much over all lines; also what was asked for and takes nothing off.
    pub discounts: Vec<AdjustmentView>,
    /// Taxes over all lines, by rule.
    pub taxes: Vec<TaxView>,
    /// Payments, or refunds of a return.
    pub payments: Vec<PaymentView>,
    /// The numbers at its foot.
    pub totals: TotalsView,
    /// Once final: its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_number: Option<u64>,
    /// The epoch of that number, once a restore from backup made numbers begin anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_epoch: Option<u32>,
    /// For a return: the sale it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_order_id: Option<String>,
    /// The approval of a blind return, where one was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalReference>,
}

/// A line as a client sees it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = CartLine)]
pub struct LineView {
    /// Its id within the cart.
    pub line_id: String,
    /// SKU.
    pub sku: String,
    /// Name as of the sale.
    pub name: String,
    /// How many.
    #[schema(value_type = QuantitySchema)]
    pub quantity: QuantityInput,
    /// Price per unit.
    #[schema(value_type = String)]
    pub unit_price: UnitPrice,
    /// Whether that price was set by hand.
    pub price_overridden: bool,
    /// What was chosen with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub modifiers: Vec<ModifierView>,
    /// Free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// What takes something off this line, discounts of the cart apportioned.
    pub discounts: Vec<AdjustmentView>,
    /// Tax of this line, by rule.
    pub tax: Vec<TaxView>,
    /// Quantity × price with modifiers, before discounts, without tax.
    #[schema(value_type = MoneySchema)]
    pub subtotal: Money,
    /// Subtotal less discounts, plus tax.
    #[schema(value_type = MoneySchema)]
    pub total: Money,
    /// For a return: what happens to the goods.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DispositionInput>)]
    pub disposition: Option<Disposition>,
    /// The approval of its price, where one was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalReference>,
    /// For a return of a known sale: its line there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_line_id: Option<String>,
}

/// Something chosen with a line.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Modifier)]
pub struct ModifierView {
    /// What it is called.
    pub name: String,
    /// What it adds to the price per unit, in major units; may be below zero.
    #[schema(example = "0.40")]
    pub unit_price: String,
}

/// A tax, on a line or on all.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Tax)]
pub struct TaxView {
    /// The rule.
    pub id: String,
    /// What stands on the receipt.
    pub name: String,
    /// Its rate in basis points (2000 is 20 %).
    pub rate_bps: u32,
    /// Whether prices contain it; else it comes on top.
    pub included: bool,
    /// What it is on, without tax.
    #[schema(value_type = MoneySchema)]
    pub base: Money,
    /// How much it is.
    #[schema(value_type = MoneySchema)]
    pub amount: Money,
}

/// A discount.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Adjustment)]
pub struct AdjustmentView {
    /// `manual_discount`, `promotion` or `coupon`.
    pub kind: &'static str,
    /// Which one it is (`d-1`, a promotion's id, a coupon's code).
    pub id: String,
    /// What stands on the receipt.
    pub name: String,
    /// By how much, as the customer sees it: with the tax that prices contain.
    #[schema(value_type = MoneySchema)]
    pub amount: Money,
    /// For what was asked for and takes nothing off: why (`not_valid_now`, `below_minimum`,
    /// `no_matching_line`, …).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_applied: Option<&'static str>,
    /// The approval of a manual discount, where one was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalReference>,
}

/// An approval that was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ApprovalReference {
    /// Which.
    pub approval_id: String,
    /// `sub` of who granted it.
    pub approved_by: String,
}

/// A payment as a client sees it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Payment)]
pub struct PaymentView {
    /// Its id within the cart.
    pub payment_id: String,
    /// Tender.
    pub tender: String,
    /// Handed over.
    #[schema(value_type = MoneySchema)]
    pub amount: Money,
    /// Given back.
    #[schema(value_type = MoneySchema)]
    pub change: Money,
    /// On top.
    #[schema(value_type = MoneySchema)]
    pub tip: Money,
    /// The terminal's reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_reference: Option<String>,
    /// How the card was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry_method: Option<String>,
}

/// The numbers at the foot of a cart.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Totals)]
pub struct TotalsView {
    /// Lines before discounts, without tax.
    #[schema(value_type = MoneySchema)]
    pub subtotal: Money,
    /// Discounts.
    #[schema(value_type = MoneySchema)]
    pub discount: Money,
    /// Tax.
    #[schema(value_type = MoneySchema)]
    pub tax: Money,
    /// Tips.
    #[schema(value_type = MoneySchema)]
    pub tips: Money,
    /// What is to be paid.
    #[schema(value_type = MoneySchema)]
    pub total: Money,
    /// Handed over.
    #[schema(value_type = MoneySchema)]
    pub paid: Money,
    /// Given back.
    #[schema(value_type = MoneySchema)]
    pub change: Money,
    /// What was added to what was due so that it could be paid in coins; may be below zero. Final,
    /// payments less change are the total and this.
    #[schema(value_type = MoneySchema)]
    pub cash_rounding: Money,
    /// Still to be paid.
    #[schema(value_type = MoneySchema)]
    pub due: Money,
}

impl TotalsView {
    /// From the domain's totals.
    pub fn of(totals: &tillstream_domain::cart::Totals, currency: Currency) -> Self {
        let money = |amount| Money { amount, currency };
        TotalsView {
            subtotal: money(totals.subtotal),
            discount: money(totals.discount),
            tax: money(totals.tax),
            tips: money(totals.tips),
            total: money(totals.total),
            paid: money(totals.paid),
            change: money(totals.change),
            cash_rounding: money(totals.cash_rounding),
            due: money(totals.due),
        }
    }
}

/// An array of anything, in which envelopes are meant.
fn envelopes_or_not() -> Array {
    let one = AnyOfBuilder::new()
        .item(Ref::from_schema_name("CommandEnvelope"))
        .item(ObjectBuilder::new().schema_type(SchemaType::AnyValue));
    ArrayBuilder::new()
        .description(Some(
            "Envelopes, applied in order per cart; at most 1,000. What is none is refused by itself, in its \
             outcome, and holds up no other.",
        ))
        .items(one)
        .min_items(Some(1))
        .max_items(Some(BATCH_COMMANDS_MAX))
        .build()
}

/// An offline batch.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandBatch {
    /// Envelopes, applied in order per cart; at most 1,000.
    #[schema(schema_with = envelopes_or_not)]
    pub commands: Vec<Value>,
}

/// What became of one command of a batch.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CommandOutcome {
    /// The command's key, if it had one.
    pub idempotency_key: Option<String>,
    /// HTTP status it would have had alone.
    pub status: u16,
    /// The reply without its cart, or the problem document.
    #[schema(value_type = Object)]
    pub body: Value,
}

/// What a batch answers.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BatchReply {
    /// One per command that was come to, in order.
    pub outcomes: Vec<CommandOutcome>,
    /// Where to go on, if time ran out: index of the first command that was not come to.
    pub resume_from: Option<usize>,
}
