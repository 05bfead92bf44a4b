//! What a command answers: its result, and the cart as it is.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_domain::cart::Disposition;
use tillstream_domain::money::{Currency, Money, UnitPrice};
use tillstream_domain::quantity::QuantityInput;
use utoipa::ToSchema;

use super::{DispositionInput, ParkedCartView};
use crate::schema::{MoneySchema, QuantitySchema};
use crate::till::ShiftView;

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
    /// `add_payment` told, as the return paid it; all of it, where a register that was cut off stated its `total`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneySchema>)]
    pub change: Option<Money>,
    /// `void_cart`, `remove_payment`, `void_order`: what is to be given back, payment by payment. Left out where nothing
    /// is. What is taken from a balance that is kept here is not among it: it is taken when a sale becomes final, and
    /// put back when that is undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refunds: Option<Vec<PaymentRefund>>,
    /// `void_return`: refunds that were given and are to be taken back. Left out where none were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_take_back: Option<Vec<PaymentRefund>>,
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
    /// that can be fetched (`GET /v1/documents/{id}`). `get_x_report`: the X report, until the shift is closed;
    /// `close_till`: the Z report.
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

/// What is to change hands of a payment that is undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PaymentRefund {
    /// Which payment, or refund of a return.
    pub payment_id: String,
    /// By what.
    pub tender: String,
    /// What was paid for the goods: without the change that was given.
    #[schema(value_type = MoneySchema)]
    pub amount: Money,
    /// What was given on top.
    #[schema(value_type = MoneySchema)]
    pub tip: Money,
    /// The terminal's reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_reference: Option<String>,
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
    /// What it holds of its store's stock until it is final, where the store's policy says so; left out in a summary, and
    /// where it holds nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<CartHoldView>,
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

/// What a cart holds of one product.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = CartHold)]
pub struct CartHoldView {
    /// SKU; of kits those of their components.
    pub sku: String,
    /// How many.
    #[schema(value_type = QuantitySchema)]
    pub quantity: QuantityInput,
    /// When that is over: from then on others may have it, and the cart takes stock anew.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
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
    /// What customers of no segment pay, where this one's segment has a price of its own in the price book.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub list_price: Option<UnitPrice>,
    /// What was chosen with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub modifiers: Vec<ModifierView>,
    /// For a kit: what it takes from stock, for all kits of the line, as of when it was added. Left out for all
    /// others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<ComponentView>,
    /// Free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// The lot that it was taken from, where that was named; of a return the lot that it goes back to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lot: Option<String>,
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

/// What a kit takes from stock of one component.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = LineComponent)]
pub struct ComponentView {
    /// SKU of the component.
    pub sku: String,
    /// How much of it, for all kits of the line.
    #[schema(value_type = QuantitySchema)]
    pub quantity: QuantityInput,
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
    /// What was added to what was due so that it could be paid in coins; and of a sale that another system
    /// made, or a register that was cut off, what that asked for it beyond the total. May be below zero. Final,
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
