//! Count sheets over HTTP: what lies on the shelf, line by line, against the books.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_domain::money::Money;
use tillstream_domain::quantity::QuantityInput;
use utoipa::{IntoParams, ToSchema};

use crate::schema::{MoneySchema, QuantitySchema};

/// `POST /v1/inventory/counts`: opens a sheet of some SKUs: exactly one of `skus`, `category` and `all`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenCountRequest {
    /// The sheet's id; derived from the idempotency key where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub count_id: Option<String>,
    /// Where.
    #[schema(example = "s-uk-1", max_length = 64)]
    pub location_id: String,
    /// These, whether the location has a stock item of them or not; one named twice is one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 1000)]
    pub skus: Option<Vec<String>>,
    /// The location's stock items of the products of this category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64)]
    pub category: Option<String>,
    /// `true`: all stock items of the location.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<bool>,
    /// With `category` or `all`: at most so many lines, 1 to 1,000; 1,000 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// With `category` or `all`: `next_cursor` of the sheet before, which did not hold all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Whether the sheet does not say what the books say, until it is closed; `false` where absent. It hides that on
    /// the sheet only: who may look at stock still may.
    #[serde(default)]
    pub blind: bool,
}

/// What was counted of one SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CountedLineRequest {
    /// What: a SKU of the sheet.
    #[schema(example = "85123A", max_length = 64)]
    pub sku: String,
    /// How many lie there fit for sale, what is held for somebody included: 0 or more.
    #[schema(value_type = QuantitySchema)]
    pub counted: QuantityInput,
    /// The same lot by lot, of a SKU that is kept by lots: each lot that has something for sale by the books, 0 where
    /// nothing of it is left, and any other that lies there. They add up to `counted`. Without them what is missing is
    /// of the lots that expire first, and what is too much of no known lot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 91)]
    pub lots: Vec<CountedLotRequest>,
    /// Why it is not what the books say; the ledger tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub reason: Option<String>,
}

/// What was counted of one lot of a SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CountedLotRequest {
    /// Which; null, or left out, for what is of no known lot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "L-2031", max_length = 64)]
    pub lot: Option<String>,
    /// How many lie there fit for sale: 0 or more.
    #[schema(value_type = QuantitySchema)]
    pub counted: QuantityInput,
}

/// `POST /v1/inventory/counts/{id}/lines`: records what was counted. A line that was counted before is counted
/// anew; each SKU once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordCountRequest {
    /// Lines.
    #[schema(min_items = 1, max_items = 1000)]
    pub lines: Vec<CountedLineRequest>,
}

/// `POST /v1/inventory/counts/{id}/close`; may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CloseCountRequest {
    /// For the ledger, where a line has no reason of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub reason: Option<String>,
    /// The approval of exactly this sheet as it stands, where its variance needs one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub approval_id: Option<String>,
}

/// `POST /v1/inventory/counts/{id}/cancel`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelCountRequest {
    /// Why.
    #[schema(min_length = 1, max_length = 200)]
    pub reason: String,
}

/// Where a sheet stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CountStatus {
    /// It is being counted.
    Open,
    /// Its corrections are being made; this always comes to an end.
    Closing,
    /// What was counted is in the books.
    Closed,
    /// Nothing of it is.
    Cancelled,
}

/// Where a line of a sheet stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CountLineStatus {
    /// Nobody has counted it: closing leaves its stock as it is.
    Uncounted,
    /// It was counted; nothing is corrected yet.
    Counted,
    /// It was counted, and the books say so.
    Corrected,
}

/// One SKU of a sheet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CountLineView {
    /// What.
    pub sku: String,
    /// Where it stands.
    pub status: CountLineStatus,
    /// On hand by the books: when it was counted; of a line that was not, when the sheet was opened. Absent on a
    /// blind sheet until it is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<QuantitySchema>)]
    pub book: Option<QuantityInput>,
    /// What was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<QuantitySchema>)]
    pub counted: Option<QuantityInput>,
    /// Counted less `book`: what is sold or received after the counting is no part of it. Absent where `book` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<QuantitySchema>)]
    pub variance: Option<QuantityInput>,
    /// By how much closing changed on hand: the variance, but never to below zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<QuantitySchema>)]
    pub corrected: Option<QuantityInput>,
    /// The same lot by lot, where it was counted so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lots: Vec<CountedLotView>,
    /// When it was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub counted_at: Option<Timestamp>,
    /// Who counted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_by: Option<String>,
    /// Why it is not what the books say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One lot of a line that was counted by lots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CountedLotView {
    /// Which; null for what is of no known lot.
    pub lot_id: Option<String>,
    /// For sale of it by the books when it was counted. Absent on a blind sheet until it is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<QuantitySchema>)]
    pub book: Option<QuantityInput>,
    /// What was counted.
    #[schema(value_type = QuantitySchema)]
    pub counted: QuantityInput,
    /// Counted less `book`. Absent where `book` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<QuantitySchema>)]
    pub variance: Option<QuantityInput>,
    /// By how much closing changed the lot: the variance, but never to below zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<QuantitySchema>)]
    pub corrected: Option<QuantityInput>,
}

/// How far what was counted is from the books, all lines together, whichever way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CountVariance {
    /// Lines that are not as the books say.
    pub lines: usize,
    /// What they are off by at the price of each when it was counted, surplus and shortage added up: the number that
    /// the tenant's limit is held against.
    #[schema(value_type = MoneySchema)]
    pub value: Money,
    /// Lines among them whose product has no price in the location's currency. Where there is a limit, such a line
    /// is above it.
    pub unpriced_lines: usize,
}

/// How a sheet ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CountEnding {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The approval that it used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_id: Option<String>,
    /// Who approved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
}

/// A count sheet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CountSheet {
    /// Its id.
    #[schema(example = "count-0f3a9c2b7d1e")]
    pub count_id: String,
    /// Where it stands.
    pub status: CountStatus,
    /// Where.
    pub location_id: String,
    /// Whether it does not say what the books say, until it is closed.
    pub blind: bool,
    /// What, by SKU.
    pub lines: Vec<CountLineView>,
    /// Lines that were counted.
    pub counted_lines: usize,
    /// Lines that were not: closing does not touch their stock, and never takes them for zero.
    pub uncounted_lines: usize,
    /// How far it is from the books. Absent on a blind sheet until it is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variance: Option<CountVariance>,
    /// When it was opened.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Who opened it.
    pub created_by: String,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<CountEnding>,
    /// Of a sheet by category or of all: where the next sheet begins; null where this one has the last.
    pub next_cursor: Option<String>,
    /// Count of its changes; its ETag.
    pub version: i64,
}

/// What recording answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CountRecorded {
    /// The sheet.
    pub count_id: String,
    /// The lines of this request, as it left them.
    pub lines: Vec<CountLineView>,
    /// Lines of the sheet that were counted by then.
    pub counted_lines: usize,
    /// Lines of the sheet that were not.
    pub uncounted_lines: usize,
    /// Version of the sheet that it left; its ETag.
    pub version: i64,
}

/// A count sheet in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CountSummary {
    /// Its id.
    pub count_id: String,
    /// Where it stands.
    pub status: CountStatus,
    /// Where.
    pub location_id: String,
    /// Whether it is blind.
    pub blind: bool,
    /// How many SKUs.
    pub line_count: usize,
    /// How many of them were counted.
    pub counted_lines: usize,
    /// When it was opened.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Who opened it.
    pub created_by: String,
}

/// A page of count sheets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CountPage {
    /// The oldest first.
    pub items: Vec<CountSummary>,
    /// Where the next page begins; null at the end.
    pub next_cursor: Option<String>,
}

/// Query of `GET /v1/inventory/counts`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CountQuery {
    /// Where.
    pub location_id: String,
    /// `open` where absent.
    #[param(inline)]
    pub state: Option<CountStatus>,
    /// At most so many, 1 to 200; 50 where absent.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}
