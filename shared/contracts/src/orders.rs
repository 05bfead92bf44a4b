//! Whole orders by REST, and orders as they are read.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_domain::money::{Money, UnitPrice};
use tillstream_domain::quantity::QuantityInput;
use utoipa::{IntoParams, ToSchema};

use crate::pos::{
    AdjustmentView, ApprovalReference, DiscountValue, DiscountValueSchema, LineView, ModifierInput,
    PaymentView, TotalsView,
};
use crate::schema::{MoneySchema, QuantitySchema};

/// Body of `POST /v1/orders`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaceOrder {
    /// The order's id; made from the idempotency key where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// Store whose stock and figures are meant.
    pub store_id: String,
    /// `web`, `mobile`, `wholesale`, ….
    pub channel: String,
    /// Customer, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// What is ordered: 1 to 5,000 lines.
    #[schema(min_items = 1, max_items = 5000)]
    pub lines: Vec<OrderLineInput>,
    /// Codes of coupons, each once: at most 10. One that takes nothing off is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 10)]
    pub coupons: Vec<String>,
    /// Ids of promotions that are applied by hand: at most 100. One that takes nothing off is refused. Those that
    /// apply by themselves need not be named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub promotions: Vec<String>,
    /// Manual discounts off all lines together: at most 20, those of lines with them. Each takes off what it says
    /// beside all others, or the order is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 20)]
    pub discounts: Vec<OrderDiscountInput>,
    /// Payments that were taken; they cover the total. Where there are none, the order is on account:
    /// a payment of the total by the tender `account`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub payments: Vec<OrderPaymentInput>,
    /// Reservation whose held stock this order takes; its lines must cover exactly what it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation_id: Option<String>,
}

/// One line of an order.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderLineInput {
    /// SKU.
    pub sku: String,
    /// How many.
    #[schema(value_type = QuantitySchema)]
    pub quantity: QuantityInput,
    /// Price per unit instead of the price book's; for roles that need no approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "2.55")]
    pub unit_price: Option<UnitPrice>,
    /// What is chosen with it: at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 50)]
    pub modifiers: Vec<ModifierInput>,
    /// Manual discounts off this line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 20)]
    pub discounts: Vec<OrderDiscountInput>,
    /// Free text, at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// The lot it is taken from, of a product that is kept by lots. Without one it is of the lot that expires first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "L-2031", max_length = 64)]
    pub lot: Option<String>,
}

/// A manual discount of an order, or of one of its lines. An integration and a store manager give it by themselves;
/// a cashier needs the approval that a till would.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OrderDiscount)]
pub struct OrderDiscountInput {
    /// How much: a percentage or an amount.
    #[schema(value_type = DiscountValueSchema)]
    pub value: DiscountValue,
    /// Why: 1 to 200 characters. It stands on the receipt.
    #[schema(min_length = 1, max_length = 200)]
    pub reason: String,
    /// Approval by a supervisor. It was asked for at any register of the store, with the order's `order_id` as
    /// `cart_id`; the first line's discount has the `line_id` `l-1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_id: Option<String>,
}

/// One payment of an order.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderPaymentInput {
    /// `card`, `gift_card`, `voucher`, `account` or `cash`.
    pub tender: String,
    /// How much.
    #[schema(value_type = MoneySchema)]
    pub amount: Money,
    /// On top of the amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneySchema>)]
    pub tip: Option<Money>,
    /// The provider's reference. Of a `gift_card` or `account` whose balance is kept here (`PUT /v1/settings`):
    /// the card's number, or the account's id; the order's customer's account where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_reference: Option<String>,
}

/// One payment of what was owed on account.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettlementPayment {
    /// `card`, `gift_card`, `voucher` or `cash`.
    pub tender: String,
    /// How much.
    #[schema(value_type = MoneySchema)]
    pub amount: Money,
    /// The provider's reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_reference: Option<String>,
}

/// Body of `PUT /v1/orders/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateOrder {
    /// Where the order goes: `paid`, `allocated`, `shipped`, `delivered` or `cancelled`.
    #[schema(example = "paid")]
    pub status: String,
    /// Why, at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where the goods are found; with `shipped`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking: Option<TrackingInput>,
    /// With `paid`: what settles the amount owed on account, to the minor unit. Where there are none, it
    /// was settled elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 50)]
    pub payments: Vec<SettlementPayment>,
}

/// Where goods on their way are found.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Tracking)]
pub struct TrackingInput {
    /// Who carries them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
    /// The carrier's number, at most 64 characters.
    pub number: String,
}

/// Body of `POST /v1/sales/record`: a sale that another system made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordSale {
    /// The order's id; made from the idempotency key where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// Store whose stock and figures are meant.
    pub store_id: String,
    /// `pos`, `web`, `wholesale`, ….
    pub channel: String,
    /// When it happened: at most 731 days ago. Its business day counts it.
    #[serde(deserialize_with = "crate::date_time::required")]
    #[schema(value_type = String, format = DateTime)]
    pub occurred_at: Timestamp,
    /// The register, as the other system calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub register_id: Option<String>,
    /// The receipt, as the other system calls it; at most 128 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt_reference: Option<String>,
    /// Customer, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// What was sold: 1 to 5,000 lines. A line without a price has the price book's of that time.
    #[schema(min_items = 1, max_items = 5000)]
    pub lines: Vec<OrderLineInput>,
    /// Codes of coupons that were redeemed, each once: at most 10. They are counted above their limits too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 10)]
    pub coupons: Vec<String>,
    /// Ids of promotions that were applied by hand: at most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub promotions: Vec<String>,
    /// Manual discounts off all lines together that were given: at most 20, those of lines with them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 20)]
    pub discounts: Vec<OrderDiscountInput>,
    /// What the other system asked for it, without tips. It may differ from what the lines come to here by one minor
    /// unit for each line, either way: that is booked as rounding. Where absent, it is what was paid; cash above
    /// what the lines come to is change then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneySchema>)]
    pub total: Option<Money>,
    /// Payments that were taken; they cover the total. Where there are none, it was on account.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub payments: Vec<OrderPaymentInput>,
    /// Whether its goods have left the stock here already.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stock_already_moved: bool,
}

/// Filters of `GET /v1/orders`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OrderFilter {
    /// Only this store.
    pub store_id: Option<String>,
    /// Only this status.
    pub status: Option<String>,
    /// From this instant, or business day (`YYYY-MM-DD`, of the store), inclusive.
    pub from: Option<String>,
    /// To this instant, or business day, inclusive.
    pub to: Option<String>,
    /// Only this channel.
    pub channel: Option<String>,
    /// Only this customer.
    pub customer_id: Option<String>,
    /// How many a page: 1 to 200, 50 where absent.
    pub limit: Option<u32>,
    /// Where to go on.
    pub cursor: Option<String>,
}

/// An order or return as it is read.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Order)]
pub struct OrderView {
    /// Its id; the cart's id too.
    pub id: String,
    /// `sale` or `return`.
    pub kind: &'static str,
    /// `completed`, `placed`, `paid`, `allocated`, `shipped`, `delivered`, `cancelled`, `voided` or `returned`.
    pub status: String,
    /// Counts the facts of this order.
    pub order_version: u32,
    /// Store.
    pub store_id: String,
    /// Register, or virtual lane.
    pub register_id: String,
    /// Who sold.
    pub employee_id: String,
    /// Channel.
    pub channel: String,
    /// Customer, if known.
    pub customer_id: Option<String>,
    /// The gapless number of its lane.
    pub receipt_number: u64,
    /// The epoch of that number. Left out before the first restore from backup: since each restore numbers
    /// begin anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_epoch: Option<u32>,
    /// Its lane: `store/register`, with `~epoch` behind it after a restore.
    pub lane: String,
    /// When it became final, as the register told it.
    #[schema(value_type = String, format = DateTime)]
    pub finalized_at: Timestamp,
    /// The store's business day of that time.
    #[schema(value_type = String, format = Date)]
    pub business_day: jiff::civil::Date,
    /// Lines; left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines: Option<Vec<LineView>>,
    /// How many lines there are.
    pub line_count: usize,
    /// What takes something off, and how much over all lines.
    pub discounts: Vec<AdjustmentView>,
    /// Payments, or refunds of a return.
    pub payments: Vec<PaymentView>,
    /// The numbers at its foot.
    pub totals: TotalsView,
    /// For a return: the sale it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_order_id: Option<String>,
    /// For a return that undoes a whole order: where that order stands, `voided` or `cancelled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undoes: Option<&'static str>,
    /// For a sale and a return that were made final together by `finalize_exchange`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchange: Option<ExchangeView>,
    /// Where a sale stood and since when, the first first. Left out of lists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<StatusView>,
    /// What tenders got back. Left out of lists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refunds: Vec<RefundView>,
    /// Who voided or cancelled it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancelled_by: Option<String>,
    /// The return that brought all of it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undone_by: Option<String>,
    /// For a sale that another system made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded: Option<RecordedView>,
    /// The approval of a blind return, or of the whole order's void, where one was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalReference>,
}

/// The other half of an exchange.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Exchange)]
pub struct ExchangeView {
    /// Of a sale: the return that paid for it, or for a part of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_order_id: Option<String>,
    /// Of a return: the sale that it paid for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sale_order_id: Option<String>,
}

/// Where an order stood from some time on.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[schema(as = OrderStatusChange)]
pub struct StatusView {
    /// Where.
    pub status: &'static str,
    /// The version of the order that this made.
    pub order_version: u32,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Who changed it.
    pub by: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where the goods are found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracking: Option<TrackingInput>,
    /// What settled the amount owed on account.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub payments: Vec<SettlementPayment>,
}

/// What a tender got back.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Refund)]
pub struct RefundView {
    /// Tender.
    pub tender: String,
    /// For the goods.
    #[schema(value_type = MoneySchema)]
    pub amount: Money,
    /// What was given on top.
    #[schema(value_type = MoneySchema)]
    pub tip: Money,
    /// The reference of the payment that is given back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_reference: Option<String>,
}

/// What the system that made a sale calls it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Recorded)]
pub struct RecordedView {
    /// Its register there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub register_id: Option<String>,
    /// Its receipt there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_reference: Option<String>,
}

/// What `PUT /v1/orders/{id}` answers.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ChangedOrder {
    /// The order as it is now.
    pub order: OrderView,
    /// For a cancellation, which is counted as a return: the token for reading its effect in analytics.
    pub consistency_token: Option<String>,
}

/// What `POST /v1/orders` answers.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PlacedOrder {
    /// The order.
    pub order: OrderView,
    /// The token for reading its effect in analytics.
    pub consistency_token: String,
}

/// One page of orders.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OrderPage {
    /// Newest first.
    pub items: Vec<OrderView>,
    /// Where the next page begins.
    pub next_cursor: Option<String>,
}
