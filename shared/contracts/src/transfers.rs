//! Transfers of stock between locations, over HTTP.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_domain::quantity::QuantityInput;
use utoipa::{IntoParams, ToSchema};

use crate::schema::QuantitySchema;

/// One SKU to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferLineRequest {
    /// What.
    #[schema(example = "85123A", max_length = 64)]
    pub sku: String,
    /// How many, above zero.
    #[schema(value_type = QuantitySchema)]
    pub quantity: QuantityInput,
}

/// `POST /v1/stock-movements/transfer`: ships all lines or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferRequest {
    /// The transfer's id; derived from the idempotency key where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub transfer_id: Option<String>,
    /// From where.
    #[schema(example = "w-midlands", max_length = 64)]
    pub from_location_id: String,
    /// To where: another location.
    #[schema(example = "s-uk-1", max_length = 64)]
    pub to_location_id: String,
    /// What; lines of the same SKU are added up.
    #[schema(min_items = 1, max_items = 1000)]
    pub lines: Vec<TransferLineRequest>,
    /// For whoever receives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub note: Option<String>,
}

/// What arrived of one SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceivedLine {
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
    /// Of which lot they are, of those that left with this line: at most what of it is on its way. Without it they are
    /// taken to be of the lots on their way in the order in which they expire, of a recalled one first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "L-2031", max_length = 64)]
    pub lot: Option<String>,
}

/// `POST /v1/stock-movements/transfer/{id}/receive`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiveTransferRequest {
    /// What arrived; all that is on its way, fit for sale, where absent. Lines of the same SKU are added up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 1000)]
    pub lines: Option<Vec<ReceivedLine>>,
}

/// What is refused of one SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RejectedLine {
    /// What.
    #[schema(example = "85123A", max_length = 64)]
    pub sku: String,
    /// How many, 0 or more.
    #[schema(value_type = QuantitySchema)]
    pub quantity: QuantityInput,
    /// Of which lot they are, as of what is received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "L-2031", max_length = 64)]
    pub lot: Option<String>,
}

/// Where refused goods go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RejectedTo {
    /// Back to the shelf of the source.
    Source,
    /// They stay at the destination, kept aside as damaged.
    Damaged,
}

/// `POST /v1/stock-movements/transfer/{id}/reject`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RejectTransferRequest {
    /// What is refused; all that is on its way where absent. Lines of the same SKU are added up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 1000)]
    pub lines: Option<Vec<RejectedLine>>,
    /// Where it goes.
    pub to: RejectedTo,
    /// Why.
    #[schema(min_length = 1, max_length = 200)]
    pub reason: String,
}

/// `POST /v1/stock-movements/transfer/{id}/cancel`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelTransferRequest {
    /// Why.
    #[schema(min_length = 1, max_length = 200)]
    pub reason: String,
}

/// Where a transfer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransferStatusView {
    /// A long one that is being shipped, in several steps.
    Shipping,
    /// All of it is on its way.
    InTransit,
    /// Some of it was received or refused, and some is on its way.
    PartlyReceived,
    /// Nothing of it is on its way, and some was received.
    Received,
    /// All of it was refused.
    Rejected,
    /// All of it went back before any was received or refused.
    Cancelled,
}

/// What became of one SKU. Shipped is received, damaged, returned and outstanding together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransferLineView {
    /// What.
    pub sku: String,
    /// What left the source.
    #[schema(value_type = QuantitySchema)]
    pub shipped: QuantityInput,
    /// What arrived fit for sale.
    #[schema(value_type = QuantitySchema)]
    pub received: QuantityInput,
    /// What arrived damaged, or was refused as such.
    #[schema(value_type = QuantitySchema)]
    pub damaged: QuantityInput,
    /// What went back to the source.
    #[schema(value_type = QuantitySchema)]
    pub returned: QuantityInput,
    /// What is on its way.
    #[schema(value_type = QuantitySchema)]
    pub outstanding: QuantityInput,
}

/// What was done to a transfer, by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransferStep {
    /// `ship`, `receive`, `return`, `damage` or `cancel`.
    pub action: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why, where it was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Transfer {
    /// Its id.
    #[schema(example = "transfer-0f3a9c2b7d1e")]
    pub transfer_id: String,
    /// Where it stands.
    pub status: TransferStatusView,
    /// From where.
    pub from_location_id: String,
    /// To where.
    pub to_location_id: String,
    /// What.
    pub lines: Vec<TransferLineView>,
    /// For whoever receives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// What was done to it, in order.
    pub steps: Vec<TransferStep>,
    /// Count of its changes; its ETag.
    pub version: i64,
}

/// A transfer in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransferSummary {
    /// Its id.
    pub transfer_id: String,
    /// Where it stands.
    pub status: TransferStatusView,
    /// From where.
    pub from_location_id: String,
    /// To where.
    pub to_location_id: String,
    /// How many SKUs.
    pub line_count: usize,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// A page of transfers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransferPage {
    /// The oldest first.
    pub items: Vec<TransferSummary>,
    /// Where the next page begins; null at the end.
    pub next_cursor: Option<String>,
}

/// Which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransferDirection {
    /// To the location.
    #[default]
    In,
    /// From the location.
    Out,
}

/// Query of `GET /v1/stock-movements/transfer`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TransferQuery {
    /// Where.
    pub location_id: String,
    /// Those to it (`in`, where absent) or from it (`out`).
    pub direction: Option<TransferDirection>,
    /// `true` (where absent): those of which something is on its way; `false`: the others.
    pub open: Option<bool>,
    /// At most so many, 1 to 200; 50 where absent.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}
