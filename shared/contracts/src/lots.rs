//! Lots over HTTP: what there is of them, recall, and who got which.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tillstream_domain::quantity::QuantityInput;
use utoipa::{IntoParams, ToSchema};

use crate::inventory::{CommitRequest, ReserveLine};
use crate::schema::QuantitySchema;

/// Whether a lot is for sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LotStatus {
    /// It is.
    Sellable,
    /// It is recalled, or quarantined at the location.
    Quarantined,
    /// Its last day of sale is over at the location.
    Expired,
}

/// Why goods cannot be of the lot that was named for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LotProblem {
    /// There is no such lot.
    Unknown,
    /// It is a lot of another SKU.
    OfAnotherSku,
    /// The stock of the SKU is not kept by lots.
    SkuWithoutLots,
    /// There is less of it than that at the location.
    Short,
    /// Its last day of sale was over.
    Expired,
    /// It is quarantined at the location.
    Quarantined,
    /// It is recalled everywhere.
    Recalled,
}

/// One line of a commit of a reservation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CommitLine {
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "s-uk-1", max_length = 64)]
    pub location_id: Option<String>,
    /// What.
    #[schema(example = "85123A", max_length = 64)]
    pub sku: String,
    /// How many, above zero.
    #[schema(value_type = QuantitySchema)]
    pub quantity: QuantityInput,
    /// The lot that they are taken from, of a product that is kept by lots. Without one they are of the lot that
    /// expires first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "L-2031", max_length = 64)]
    pub lot: Option<String>,
}

impl From<ReserveLine> for CommitLine {
    fn from(line: ReserveLine) -> Self {
        CommitLine { location_id: line.location_id, sku: line.sku, quantity: line.quantity, lot: None }
    }
}

impl From<Vec<ReserveLine>> for CommitRequest {
    fn from(lines: Vec<ReserveLine>) -> Self {
        CommitRequest { lines: Some(lines.into_iter().map(Into::into).collect()) }
    }
}

/// A lot: goods of one SKU that were made together, wherever they lie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Lot {
    /// Its id, one of the tenant's.
    #[schema(example = "L-2031")]
    pub lot_id: String,
    /// Of what.
    #[schema(example = "85123A")]
    pub sku: String,
    /// Its last day of sale, by the business days of each location; null where it has none.
    #[schema(value_type = Option<String>, format = Date)]
    pub expires_on: Option<Date>,
    /// `sellable` or `quarantined`.
    pub status: LotStatus,
    /// When any of it came first.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Why it was recalled or released last.
    pub reason: Option<String>,
    /// When that was.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub changed_at: Option<Timestamp>,
    /// Who did it.
    pub changed_by: Option<String>,
    /// Count of its recalls and releases, from 1.
    pub version: i64,
}

/// What there is of a lot at a location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LotLevel {
    /// Where.
    #[schema(example = "s-uk-1")]
    pub location_id: String,
    /// What.
    #[schema(example = "85123A")]
    pub sku: String,
    /// Which; null for what is of no known lot.
    #[schema(example = "L-2031")]
    pub lot_id: Option<String>,
    /// Its last day of sale.
    #[schema(value_type = Option<String>, format = Date)]
    pub expires_on: Option<Date>,
    /// Whether it is for sale there.
    pub status: LotStatus,
    /// Whether it is quarantined at this location, whatever holds elsewhere: what comes in of it there is kept aside
    /// too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quarantined_here: bool,
    /// When any of it came first; null for what is of no known lot.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub received_at: Option<Timestamp>,
    /// Fit for sale, what is reserved included: no reservation is of a lot.
    #[schema(value_type = QuantitySchema)]
    pub on_hand: QuantityInput,
    /// Kept aside.
    #[schema(value_type = QuantitySchema)]
    pub quarantined: QuantityInput,
}

/// Lots of some stock items, of each in the order in which they go. A page may hold none although more follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LotLevelPage {
    /// Lots.
    pub items: Vec<LotLevel>,
    /// Where the next page begins; null at the end.
    pub next_cursor: Option<String>,
}

/// A lot, and where there is, or was, any of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LotDetail {
    /// The lot.
    #[serde(flatten)]
    pub lot: Lot,
    /// What there is of it at the locations in reach that ever had any.
    pub locations: Vec<LotLevel>,
    /// Where the next page of locations begins; null at the end.
    pub next_cursor: Option<String>,
}

/// What quarantining or releasing a lot at one location answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LotHere {
    /// The lot, as it is everywhere.
    #[serde(flatten)]
    pub lot: Lot,
    /// What there is of it at the location.
    pub here: LotLevel,
}

/// `POST /v1/inventory/lots/{lot}/quarantine` and `/release`, and the same at one location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeLotRequest {
    /// Why, for the ledger.
    #[schema(example = "recalled by the maker", min_length = 1, max_length = 200)]
    pub reason: String,
}

/// One movement by which somebody got goods of a lot, or brought some back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LotSale {
    /// Where.
    pub location_id: String,
    /// What.
    pub sku: String,
    /// `sale`, `commit`, `exchange`, `return`.
    pub kind: String,
    /// The order that got it; the return that brought it. Null for a reservation that was for no order.
    pub order_id: Option<String>,
    /// The reservation that was committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation_id: Option<String>,
    /// How many were taken; below zero: how many came back.
    #[schema(value_type = QuantitySchema)]
    pub quantity: QuantityInput,
    /// When, as its cause told it.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Number of the movement on its stock item.
    pub seq: i64,
}

/// Who got goods of a lot, location by location. A page may hold fewer items than asked for although more follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LotSalePage {
    /// Movements, of each location in their order.
    pub items: Vec<LotSale>,
    /// Where the next page begins; null at the end.
    pub next_cursor: Option<String>,
}

/// Query of `GET /v1/inventory/lots`: of one SKU, one location, or both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LotQuery {
    /// Only this SKU.
    pub sku: Option<String>,
    /// Only this location.
    pub location_id: Option<String>,
    /// The lots of at most so many stock items, 1 to 200; 50 where absent.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}
