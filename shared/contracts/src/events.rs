//! Events on the sales stream (Kinesis). One record is one counted fact.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tillstream_domain::lane::{Lane, LaneNumber};
use tillstream_domain::money::Currency;
use tillstream_domain::quantity::Quantity;

/// Version of [`SaleEvent`] that this build writes.
pub const SALE_EVENT_VERSION: u16 = 1;

/// Largest event that carries its lines; above, `detail` is absent and consumers read the order.
pub const EVENT_BYTES_MAX: usize = 200 * 1024;

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactKind {
    /// Goods out.
    Sale,
    /// Goods in.
    Return,
}

/// A sale or a return, final, with every dimension as of the sale. Its identity is its number on its
/// lane: an event with a number that was folded before is the same event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaleEvent {
    /// [`SALE_EVENT_VERSION`].
    pub version: u16,
    /// What was counted.
    pub kind: FactKind,
    /// Whose it is.
    pub tenant_id: String,
    /// The order.
    pub order_id: String,
    /// Version of the order that made this fact.
    pub order_version: u32,
    /// Lane that counted it.
    pub lane: Lane,
    /// Its number there.
    pub number: u64,
    /// Time of the sale as the register told it.
    pub occurred_at: Timestamp,
    /// The store's business day of that time.
    pub business_day: Date,
    /// Start of the store's local hour of that time.
    pub hour_start: Timestamp,
    /// The store's offset from UTC at that hour, in seconds.
    pub offset_seconds: i32,
    /// Store.
    pub store_id: String,
    /// Register, or virtual lane.
    pub register_id: String,
    /// Who sold.
    pub employee_id: String,
    /// `pos`, `web`, ….
    pub channel: String,
    /// Customer segment as of the sale, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<String>,
    /// The store's region as of the sale, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Currency of all amounts.
    pub currency: Currency,
    /// Lines and payments; absent where the event would be too large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<SaleDetail>,
}

/// The lines and payments of a fact. Amounts are minor units and positive for sales and returns alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaleDetail {
    /// Lines in order.
    pub lines: Vec<SaleLine>,
    /// Payments, or refunds.
    pub payments: Vec<SalePayment>,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaleLine {
    /// SKU.
    pub sku: String,
    /// Category as of the sale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// How many.
    pub quantity: Quantity,
    /// Before discounts, without tax.
    pub gross: i64,
    /// Discounts on this line, those of the cart apportioned.
    pub discount: i64,
    /// Tax of this line.
    pub tax: i64,
}

/// One payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SalePayment {
    /// Tender.
    pub tender: String,
    /// Amount kept: change is taken off.
    pub amount: i64,
    /// On top; never counted as sales.
    pub tip: i64,
}

impl SaleEvent {
    /// Its identity.
    pub fn lane_number(&self) -> LaneNumber {
        LaneNumber { lane: self.lane.clone(), number: self.number }
    }

    /// The stream's partition key: one store's facts stay in order and meet in one batch.
    pub fn partition_key(&self) -> String {
        format!("{}/{}", self.tenant_id, self.store_id)
    }
}
