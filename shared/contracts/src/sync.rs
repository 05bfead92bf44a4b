//! Bodies of the NDJSON feeds from HQ.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_domain::money::{Currency, UnitPrice};
use tillstream_domain::quantity::QuantityInput;
use utoipa::{IntoParams, ToSchema};

use crate::schema::QuantitySchema;

/// What a line does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LineOperation {
    /// Makes it, or replaces the whole of it.
    Upsert,
    /// Takes it away; an older line that arrives later does not bring it back.
    Delete,
}

/// One line of a feed. Fields beside these, and beside those of `data`, are tolerated and counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FeedLine {
    /// What the line is about: a product's SKU, a coupon's code, a category as products name it, else the
    /// id. Inventory: any.
    #[schema(min_length = 1, max_length = 200)]
    pub id: String,
    /// Grows with every change of this id; a line that is not newer is skipped.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub version: u64,
    /// What to do.
    pub op: LineOperation,
    /// The thing itself; a `delete` needs none, but for inventory.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub data: Option<serde_json::Map<String, serde_json::Value>>,
}

impl FeedLine {
    /// Its fields by name.
    pub const FIELDS: &'static [&'static str] = &["id", "version", "op", "data"];
}

/// Data of a price book line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceData {
    /// The product.
    pub sku: String,
    /// Price per unit in major units, up to four decimals.
    #[schema(value_type = String, example = "2.10")]
    pub unit_price: UnitPrice,
    /// ISO 4217 code.
    #[schema(value_type = String, example = "GBP")]
    pub currency: Currency,
    /// The location it is for; all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location_id: Option<String>,
    /// The customer segment it is for; all customers where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200)]
    pub segment: Option<String>,
    /// First instant it is valid; always where absent.
    #[serde(
        default,
        deserialize_with = "crate::date_time::optional",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<String>)]
    pub valid_from: Option<Timestamp>,
    /// First instant it is no longer valid; never where absent.
    #[serde(
        default,
        deserialize_with = "crate::date_time::optional",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<String>)]
    pub valid_to: Option<Timestamp>,
}

impl PriceData {
    /// Its fields by name.
    pub const FIELDS: &'static [&'static str] =
        &["sku", "unit_price", "currency", "location_id", "segment", "valid_from", "valid_to"];
}

/// Data of an inventory line: what was on hand as of the line's version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StockData {
    /// Where.
    pub location_id: String,
    /// What.
    pub sku: String,
    /// How much is on hand; zero or more. A `delete` needs none: nothing is on hand any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<QuantitySchema>)]
    pub on_hand: Option<QuantityInput>,
    /// Not to be sold online; unchanged where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<QuantitySchema>)]
    pub safety_stock: Option<QuantityInput>,
    /// Where to order again; unchanged where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<QuantitySchema>)]
    pub reorder_point: Option<QuantityInput>,
    /// Ordered from suppliers elsewhere than by purchase orders here; unchanged where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<QuantitySchema>)]
    pub incoming: Option<QuantityInput>,
}

impl StockData {
    /// Its fields by name.
    pub const FIELDS: &'static [&'static str] =
        &["location_id", "sku", "on_hand", "safety_stock", "reorder_point", "incoming"];
}

/// Data of a line of the templates' feed. The line's id is the template's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateData {
    /// Documents it is for: `receipt`, `gift_receipt`, `merchant_copy`, `kitchen_chit`, `return_receipt`,
    /// `x_report` or `z_report`.
    #[schema(example = "receipt")]
    pub kind: String,
    /// What it is written for: `html`, or `paper` for text and receipt printers alike.
    #[schema(example = "paper")]
    pub format: String,
    /// The template, up to 64 KB; `shared/documents/templates/README.md` tells how to write one.
    #[schema(max_length = 65536)]
    pub source: String,
}

impl TemplateData {
    /// Its fields by name.
    pub const FIELDS: &'static [&'static str] = &["kind", "format", "source"];
}

/// Query of an upload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UploadQuery {
    /// The line to begin with, from 1 (the default): to go on where an upload of this body stopped.
    #[param(minimum = 1)]
    pub from: Option<u64>,
}

/// A line that was not applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LineError {
    /// Its number in the body, from 1.
    pub line: u64,
    /// Stable code.
    pub code: String,
    /// What was wrong and what would be right.
    pub message: String,
}

/// What became of an upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UploadReply {
    /// Which feed.
    pub entity: String,
    /// Lines read by this call, blank ones not counted; the sum of the next three.
    pub lines: u64,
    /// Lines that changed something.
    pub applied: u64,
    /// Lines that were not newer than what is there.
    pub skipped: u64,
    /// Lines that were parked because something is wrong with them.
    pub failed: u64,
    /// Fields that this build does not know, over all lines.
    pub unknown_fields: u64,
    /// The first 100 bad lines.
    pub errors: Vec<LineError>,
    /// Null when the body is done; else the line to go on with: send it again with `?from=` this.
    pub next_from: Option<u64>,
}

/// The last line of a feed that was wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastError {
    /// Its number in its upload.
    pub line: u64,
    /// Stable code.
    pub code: String,
    /// What was wrong.
    pub message: String,
    /// When.
    #[schema(value_type = String)]
    pub at: Timestamp,
}

/// Where a feed stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FeedStatus {
    /// Which feed.
    pub entity: String,
    /// The upload that last moved the checkpoint: SHA-256 of its body, in hexadecimal.
    pub upload: Option<String>,
    /// Last line of that upload that is applied; every line before it is too. Resume with the next.
    pub checkpoint: Option<u64>,
    /// When the checkpoint moved last.
    #[schema(value_type = Option<String>)]
    pub updated_at: Option<Timestamp>,
    /// Seconds since then; null where nothing ever came.
    pub lag_seconds: Option<i64>,
    /// Version of the line that was applied last.
    pub last_applied_version: Option<u64>,
    /// Lines read, ever.
    pub lines: u64,
    /// Lines applied, ever.
    pub applied: u64,
    /// Lines skipped, ever.
    pub skipped: u64,
    /// Bad lines, ever.
    pub failed: u64,
    /// Unknown fields, ever.
    pub unknown_fields: u64,
    /// Different bad lines parked now; they are kept for 30 days. Counted up to 10,000.
    pub parked: u64,
    /// The last bad line.
    pub last_error: Option<LastError>,
}

/// Where the feeds stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SyncStatus {
    /// One entry per feed.
    pub items: Vec<FeedStatus>,
}
