//! What HQ gets: one message per version of an order, one per closed shift, one for each step of a backorder, and one
//! each time stock gets low, as JSON.
//!
//! `POST <HQ>/orders`, signed after the Standard Webhooks specification 1.0.0 (`webhook-id`,
//! `webhook-timestamp`, `webhook-signature: v1,<base64 HMAC-SHA256 of id.timestamp.body>`), with
//! `Idempotency-Key: <tenant>/<order id>.<order version>`: HQ serves all tenants at one address, and
//! order ids are unique only within a tenant. A shift goes the same way and says by its `event` what it is;
//! its key is `<tenant>/~<shift id>.1`, which no order's can be. Backorders and alerts go the same way under
//! `<tenant>/_backorder:<backorder id>.<n>` and `<tenant>/_alert:<alert id>.<n>`, numbered from 1 each.
//!
//! Answers: any 2xx is acceptance; 409 with the code [`ALREADY_ACCEPTED`] too. The message is at fault
//! for 4xx, except where the status is about the door and not the letter (401, 403, 404, 405, 407, 408,
//! 421, 425, 429); these, 3xx, 5xx, timeouts and broken connections are HQ's own failures.
//!
//! The body of a version never changes, however often it is sent.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tillstream_domain::cart::Disposition;
use tillstream_domain::money::{Money, UnitPrice};
use tillstream_domain::quantity::{QuantityInput, Unit};
use utoipa::ToSchema;

use crate::backorders::Backorder;
use crate::replenishment::StockAlert;
use crate::schema::{MoneySchema, QuantitySchema};
use crate::till::ShiftView;

/// Version of [`HqOrderMessage`] that this build writes.
pub const HQ_MESSAGE_VERSION: u16 = 1;

/// Code in the body of a 409 by which HQ says that it has this version of the order already.
pub const ALREADY_ACCEPTED: &str = "already_accepted";

/// A message: about an order, a shift, a backorder or low stock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum HqMessage {
    /// A version of an order.
    Order(Box<HqOrderMessage>),
    /// A closed shift.
    Shift(Box<HqShiftMessage>),
    /// A step of a backorder.
    Backorder(Box<HqBackorderMessage>),
    /// Stock that is low.
    Stock(Box<HqStockMessage>),
}

/// What became of a backorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum HqBackorderEvent {
    /// Stock arrived, and a reservation holds it: whoever waits for it may be told.
    #[serde(rename = "backorder.reserved")]
    BackorderReserved,
    /// All of it was sold.
    #[serde(rename = "backorder.fulfilled")]
    BackorderFulfilled,
    /// Its reservation's time ran out, or it was needed before it could be served.
    #[serde(rename = "backorder.expired")]
    BackorderExpired,
    /// It was called off, or its reservation released.
    #[serde(rename = "backorder.cancelled")]
    BackorderCancelled,
}

/// A step of a backorder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HqBackorderMessage {
    /// [`HQ_MESSAGE_VERSION`].
    pub version: u16,
    /// What happened.
    pub event: HqBackorderEvent,
    /// Whose.
    pub tenant_id: String,
    /// Counts the messages about this backorder, from 1.
    pub event_version: u32,
    /// The backorder as this step left it.
    pub backorder: Backorder,
}

/// What happened to stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum HqStockEvent {
    /// It fell to its reorder point, or below.
    #[serde(rename = "stock.low")]
    StockLow,
    /// Nothing is available any more.
    #[serde(rename = "stock.out")]
    StockOut,
}

/// Stock that got low: told once each time it does, and again only after it was above.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HqStockMessage {
    /// [`HQ_MESSAGE_VERSION`].
    pub version: u16,
    /// What happened.
    pub event: HqStockEvent,
    /// Whose.
    pub tenant_id: String,
    /// Counts the messages about this stock item, from 1.
    pub event_version: u32,
    /// The alert as it was raised.
    pub alert: StockAlert,
}

/// What happened to a shift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum HqShiftEvent {
    /// It was closed.
    #[serde(rename = "shift.closed")]
    ShiftClosed,
}

/// A closed shift with its movements and its Z report. Nothing of it changes any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HqShiftMessage {
    /// [`HQ_MESSAGE_VERSION`].
    pub version: u16,
    /// What happened.
    pub event: HqShiftEvent,
    /// Whose shift.
    pub tenant_id: String,
    /// Lane whose receipts it is about (`s-uk-1/r-1`).
    pub lane: String,
    /// The shift.
    pub shift: ShiftView,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum HqEvent {
    /// A sale became final.
    #[serde(rename = "order.completed")]
    OrderCompleted,
    /// A final sale changed its status.
    #[serde(rename = "order.changed")]
    OrderChanged,
    /// A return became final.
    #[serde(rename = "return.completed")]
    ReturnCompleted,
    /// A final return changed its status.
    #[serde(rename = "return.changed")]
    ReturnChanged,
}

/// One version of an order. Amounts are positive for sales and returns alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HqOrderMessage {
    /// Of an exchange, its other half: for a sale the return, for a return the sale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange_with: Option<String>,
    /// [`HQ_MESSAGE_VERSION`].
    pub version: u16,
    /// What happened.
    pub event: HqEvent,
    /// Whose order.
    pub tenant_id: String,
    /// The order.
    pub order_id: String,
    /// Counts the versions of the order, from 1. One that is below what HQ has is old news.
    pub order_version: u32,
    /// Where the order stood at this version (`completed`, `placed`, `paid`, `returned`, …).
    pub status: String,
    /// Receipt number, unique on its lane.
    pub receipt_number: u64,
    /// The epoch of that number, which its lane names too. Left out before the first restore from backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt_epoch: Option<u32>,
    /// Lane that gave the number (`s-uk-1/r-1`).
    pub lane: String,
    /// Store.
    pub store_id: String,
    /// Register, or virtual lane.
    pub register_id: String,
    /// `pos`, `web`, ….
    pub channel: String,
    /// The store's region as of the sale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Who sold.
    pub employee_id: String,
    /// Customer, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// When the cart was opened, as the register told it.
    #[schema(value_type = String, format = DateTime)]
    pub opened_at: Timestamp,
    /// The time of the sale, as the register told it.
    #[schema(value_type = String, format = DateTime)]
    pub completed_at: Timestamp,
    /// The store's business day of that time.
    #[schema(value_type = String, format = Date)]
    pub business_day: Date,
    /// The store's offset from UTC at that time, in seconds.
    pub offset_seconds: i32,
    /// Lines in order.
    pub lines: Vec<HqLine>,
    /// Payments, or refunds.
    pub payments: Vec<HqPayment>,
    /// The numbers at its foot.
    pub totals: HqTotals,
    /// For a return.
    #[serde(rename = "return", skip_serializing_if = "Option::is_none")]
    pub return_of: Option<HqReturn>,
    /// What made this version of the order; none for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<HqChange>,
    /// Of a sale that another system made: what that calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<HqRecorded>,
}

/// What another system calls a sale that it made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HqRecorded {
    /// Its register there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub register_id: Option<String>,
    /// Its receipt there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt_reference: Option<String>,
}

/// A change of an order's status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HqChange {
    /// Where it stood before.
    pub from: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Who changed it.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who carries the goods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
    /// The carrier's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking_number: Option<String>,
    /// What settled the amount owed on account.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub payments: Vec<HqPayment>,
    /// The return that brought all of the order back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone_by: Option<String>,
}

/// What a kit took from stock of one component, or brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HqComponent {
    /// SKU of the component.
    pub sku: String,
    /// How much of it, for all kits of the line.
    #[schema(value_type = QuantitySchema)]
    pub quantity: QuantityInput,
    /// How it is sold (`piece`, `kg`, `m`, `l`).
    #[schema(value_type = String)]
    pub unit: Unit,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HqLine {
    /// Id within the order.
    pub line_id: String,
    /// SKU.
    pub sku: String,
    /// Name as of the sale.
    pub name: String,
    /// Category as of the sale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// How many.
    #[schema(value_type = QuantitySchema)]
    pub quantity: QuantityInput,
    /// How it is sold (`piece`, `kg`, `m`, `l`).
    #[schema(value_type = String)]
    pub unit: Unit,
    /// Price per unit, major units.
    #[schema(value_type = String, example = "2.55")]
    pub unit_price: UnitPrice,
    /// Whether that price was set by hand.
    pub price_overridden: bool,
    /// Quantity × price with modifiers, before discounts, without tax.
    #[schema(value_type = MoneySchema)]
    pub gross: Money,
    /// What was taken off, discounts of the cart apportioned. Left out where nothing was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discounts: Vec<HqDiscount>,
    /// Tax, by rule. Left out where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taxes: Vec<HqTax>,
    /// What was chosen with it. Left out where nothing was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modifiers: Vec<String>,
    /// For a kit: what it took from stock, or what came back, as of when it was sold. The kit itself has no stock.
    /// Left out for all others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<HqComponent>,
    /// Free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// For a return: what happens to the goods (`restock`, `damaged`, `none`).
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disposition: Option<Disposition>,
    /// For a return of a known sale: the line of the sale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_line_id: Option<String>,
}

/// A tax on a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HqTax {
    /// The rule.
    pub id: String,
    /// Version of the rule.
    pub version: u64,
    /// What stands on the receipt.
    pub name: String,
    /// Its rate in basis points.
    pub rate_bps: u32,
    /// Whether prices contain it; else it comes on top.
    pub included: bool,
    /// How much it is on this line; what it is on is the line's gross less discounts, without tax.
    #[schema(value_type = MoneySchema)]
    pub amount: Money,
}

/// What takes something off a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HqDiscount {
    /// `manual_discount`, `promotion` or `coupon`.
    pub kind: String,
    /// Which one it is (`d-1`, a promotion's id, a coupon's code).
    pub id: String,
    /// What stands on the receipt.
    pub name: String,
    /// How much it takes off this line, with the tax that prices contain.
    #[schema(value_type = MoneySchema)]
    pub amount: Money,
}

/// One payment, or refund.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HqPayment {
    /// Id within the order.
    pub payment_id: String,
    /// `cash`, `card`, ….
    pub tender: String,
    /// Handed over.
    #[schema(value_type = MoneySchema)]
    pub amount: Money,
    /// Given back out of `amount`.
    #[schema(value_type = MoneySchema)]
    pub change: Money,
    /// On top of `amount`.
    #[schema(value_type = MoneySchema)]
    pub tip: Money,
    /// The terminal's or provider's reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_reference: Option<String>,
    /// `chip`, `contactless`, ….
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry_method: Option<String>,
}

/// The numbers at the foot of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HqTotals {
    /// Lines before discounts, without tax.
    #[schema(value_type = MoneySchema)]
    pub subtotal: Money,
    /// Discounts.
    #[schema(value_type = MoneySchema)]
    pub discount: Money,
    /// Tax.
    #[schema(value_type = MoneySchema)]
    pub tax: Money,
    /// Tips, on top of the total.
    #[schema(value_type = MoneySchema)]
    pub tips: Money,
    /// subtotal − discount + tax.
    #[schema(value_type = MoneySchema)]
    pub total: Money,
    /// Handed over, change included.
    #[schema(value_type = MoneySchema)]
    pub paid: Money,
    /// Given back.
    #[schema(value_type = MoneySchema)]
    pub change: Money,
    /// What was added to what was due so that it could be paid in coins; and of a sale that another system made, or a
    /// register that was cut off, what that asked for it beyond the total. Either sign. Left out where nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneySchema>)]
    pub cash_rounding: Option<Money>,
}

/// What a return is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HqReturn {
    /// Why.
    pub reason: String,
    /// The sale, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_order_id: Option<String>,
    /// Where it undoes the whole sale: where the sale stands, `voided` or `cancelled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
}
