//! Purchase orders over HTTP: placed with a supplier, received in parts, closed or cancelled.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tillstream_domain::money::{Currency, UnitPrice};
use tillstream_domain::quantity::QuantityInput;
use utoipa::{IntoParams, ToSchema};

use crate::schema::QuantitySchema;

/// One SKU to order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PurchaseLineRequest {
    /// What.
    #[schema(example = "85123A", max_length = 64)]
    pub sku: String,
    /// How many, above zero.
    #[schema(value_type = QuantitySchema)]
    pub quantity: QuantityInput,
    /// What one unit costs, in major units of the supplier's currency; what the supplier has for the SKU where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "1.10", pattern = "^[0-9]{1,6}([.][0-9]{1,4})?$")]
    pub unit_cost: Option<UnitPrice>,
}

/// `POST /v1/purchase-orders`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PurchaseOrderRequest {
    /// The order's id; derived from the idempotency key where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub purchase_order_id: Option<String>,
    /// From whom.
    #[schema(example = "sup-1", max_length = 64)]
    pub supplier_id: String,
    /// To where it is to be delivered.
    #[schema(example = "w-midlands", max_length = 64)]
    pub location_id: String,
    /// What; lines of the same SKU are added up, and must not name different costs.
    #[schema(min_items = 1, max_items = 1000)]
    pub lines: Vec<PurchaseLineRequest>,
    /// When it is expected, from a year ago to ten years ahead; now and the longest lead time of its lines where
    /// absent.
    #[serde(
        default,
        deserialize_with = "crate::date_time::optional",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expected_at: Option<Timestamp>,
    /// For whoever receives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub note: Option<String>,
}

/// `POST /v1/purchase-orders/{id}/receive`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceivePurchaseRequest {
    /// What arrived; all that is open, fit for sale, where absent. Lines of the same SKU are added up. Where any names
    /// a lot, as many as one transaction takes: at least 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 1000)]
    pub lines: Option<Vec<PurchaseReceivedLine>>,
}

/// What arrived of one SKU, or of one lot of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PurchaseReceivedLine {
    /// What.
    #[schema(example = "85123A", max_length = 64)]
    pub sku: String,
    /// How many fit for sale, 0 or more.
    #[schema(value_type = QuantitySchema)]
    pub quantity: QuantityInput,
    /// How many damaged besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<QuantitySchema>)]
    pub damaged: Option<QuantityInput>,
    /// The lot that `quantity` is of, for a product whose stock is kept by lots. What is of a lot that is recalled or
    /// past its day is kept aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "L-2031", max_length = 64)]
    pub lot: Option<String>,
    /// With `lot`: its last day of sale. A lot that is known has one already, or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date, example = "2026-03-31")]
    pub expires_on: Option<Date>,
}

/// `POST /v1/purchase-orders/{id}/close` and `POST /v1/purchase-orders/{id}/cancel`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndPurchaseRequest {
    /// Why.
    #[schema(min_length = 1, max_length = 200)]
    pub reason: String,
}

/// Where a purchase order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PurchaseStatusView {
    /// A long one that is being placed, in several steps.
    Placing,
    /// Nothing of it arrived yet.
    Ordered,
    /// Some of it arrived, and some is open.
    PartlyReceived,
    /// All of it arrived.
    Received,
    /// What was open of it was written off.
    Closed,
    /// It was called off before any of it arrived.
    Cancelled,
}

/// What became of one SKU. What is outstanding is what was ordered less received, damaged and written off, and
/// nothing where more arrived than was ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PurchaseLineView {
    /// What.
    pub sku: String,
    /// What one unit costs, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "1.10")]
    pub unit_cost: Option<UnitPrice>,
    /// What was ordered.
    #[schema(value_type = QuantitySchema)]
    pub ordered: QuantityInput,
    /// What arrived fit for sale.
    #[schema(value_type = QuantitySchema)]
    pub received: QuantityInput,
    /// What arrived damaged.
    #[schema(value_type = QuantitySchema)]
    pub damaged: QuantityInput,
    /// What does not come any more.
    #[schema(value_type = QuantitySchema)]
    pub written_off: QuantityInput,
    /// What is to come.
    #[schema(value_type = QuantitySchema)]
    pub outstanding: QuantityInput,
}

/// What one step did to one SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PurchaseStepLine {
    /// What.
    pub sku: String,
    /// What arrived fit for sale.
    #[schema(value_type = QuantitySchema)]
    pub received: QuantityInput,
    /// What arrived damaged.
    #[schema(value_type = QuantitySchema)]
    pub damaged: QuantityInput,
    /// What was written off.
    #[schema(value_type = QuantitySchema)]
    pub written_off: QuantityInput,
}

/// What was done to a purchase order, by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PurchaseStep {
    /// `place`, `receive`, `close` or `cancel`.
    pub action: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why, where it was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it did; none where it placed the order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<PurchaseStepLine>,
}

/// A purchase order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PurchaseOrder {
    /// Its id.
    #[schema(example = "purchase-0f3a9c2b7d1e")]
    pub purchase_order_id: String,
    /// Where it stands.
    pub status: PurchaseStatusView,
    /// From whom.
    pub supplier_id: String,
    /// To where.
    pub location_id: String,
    /// ISO 4217 code of the currency of its costs, where the supplier had one when it was placed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub currency: Option<Currency>,
    /// How much more of a line than was ordered may be received, in per cent of it, as of when it was placed.
    pub over_delivery_percent: u32,
    /// What.
    pub lines: Vec<PurchaseLineView>,
    /// When it is expected.
    #[schema(value_type = String, format = DateTime)]
    pub expected_at: Timestamp,
    /// For whoever receives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// What was done to it, in order.
    pub steps: Vec<PurchaseStep>,
    /// Count of its changes; its ETag.
    pub version: i64,
}

/// A purchase order in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PurchaseOrderSummary {
    /// Its id.
    pub purchase_order_id: String,
    /// Where it stands.
    pub status: PurchaseStatusView,
    /// From whom.
    pub supplier_id: String,
    /// To where.
    pub location_id: String,
    /// How many SKUs.
    pub line_count: usize,
    /// When it is expected.
    #[schema(value_type = String, format = DateTime)]
    pub expected_at: Timestamp,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// A page of purchase orders. It may hold fewer than asked for, or none, although more follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PurchaseOrderPage {
    /// The oldest first.
    pub items: Vec<PurchaseOrderSummary>,
    /// Where the next page begins; null at the end.
    pub next_cursor: Option<String>,
}

/// Which purchase orders a list has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PurchaseState {
    /// Of which something is to come.
    #[default]
    Open,
    /// Of which nothing is to come any more.
    Closed,
}

/// Query of `GET /v1/purchase-orders`: of a location, of a supplier, or of both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PurchaseOrderQuery {
    /// To where; needed where no supplier is named.
    pub location_id: Option<String>,
    /// From whom; needed where no location is named. Those to locations in reach.
    #[param(max_length = 64)]
    pub supplier_id: Option<String>,
    /// `open` (where absent) or `closed`.
    pub state: Option<PurchaseState>,
    /// At most so many, 1 to 200; 50 where absent.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}
