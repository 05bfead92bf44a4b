//! Stock over HTTP: levels, updates, deliveries; reservations, movements and exceptions in modules of their own.

mod exceptions;
mod movements;
mod reservations;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tillstream_domain::quantity::QuantityInput;
use utoipa::{IntoParams, ToSchema};

pub use exceptions::*;
pub use movements::*;
pub use reservations::*;

use crate::schema::QuantitySchema;

/// Stock of one SKU at one location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StockLevel {
    /// Where.
    #[schema(example = "s-uk-1")]
    pub location_id: String,
    /// What.
    #[schema(example = "85123A")]
    pub sku: String,
    /// Physically there and fit for sale.
    #[schema(value_type = QuantitySchema)]
    pub on_hand: QuantityInput,
    /// Held by reservations.
    #[schema(value_type = QuantitySchema)]
    pub reserved: QuantityInput,
    /// on hand − reserved − safety stock. Negative only after a count or a raised safety stock.
    #[schema(value_type = QuantitySchema)]
    pub available: QuantityInput,
    /// Ordered from suppliers and not here yet: by purchase orders, and elsewhere as HQ tells it.
    #[schema(value_type = QuantitySchema)]
    pub incoming: QuantityInput,
    /// On its way here from another location.
    #[schema(value_type = QuantitySchema)]
    pub in_transit: QuantityInput,
    /// There, but not fit for sale; not part of on hand.
    #[schema(value_type = QuantitySchema)]
    pub damaged: QuantityInput,
    /// There, but of lots that are recalled or past their day; not part of on hand. Left out where there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<QuantitySchema>)]
    pub quarantined: Option<QuantityInput>,
    /// Kept back from sale.
    #[schema(value_type = QuantitySchema)]
    pub safety_stock: QuantityInput,
    /// Where to order again; 0 where none is set.
    #[schema(value_type = QuantitySchema)]
    pub reorder_point: QuantityInput,
    /// What customers wait for (`/v1/inventory/backorders`). Left out where nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<QuantitySchema>)]
    pub backordered: Option<QuantityInput>,
    /// Count of changes. `expected_version` of an update refers to it.
    pub version: i64,
    /// Whether it is a kit. Then `on_hand` and `available` are the whole kits that its components make here,
    /// `reserved` is the difference, and the rest is 0: a kit has no stock of its own. Left out for all others.
    #[serde(default, skip_serializing_if = "is_no")]
    pub kit: bool,
}

fn is_no(flag: &bool) -> bool {
    !*flag
}

/// A page of stock levels. A page may hold fewer items than asked for although more follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StockLevelPage {
    /// One item per location and SKU.
    pub items: Vec<StockLevel>,
    /// Where the next page begins; null at the end.
    pub next_cursor: Option<String>,
}

/// How an update changes what is on hand, or damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StockUpdateKind {
    /// By a signed quantity; never below what is available.
    Delta,
    /// To a counted quantity (a physical count); may find less than is promised.
    Set,
    /// Not at all: so much of what is of no known lot is found to be of `lot`. Where that is recalled, quarantined
    /// there or past its day it is kept aside from then on, and then on hand is less by it.
    Assign,
    /// So much of it is found to be damaged: on hand is less by it, `damaged` is more; never below what is available.
    Damage,
    /// So much of what is damaged was mended: `damaged` is less by it, on hand is more.
    Repair,
    /// So much of what is damaged is gone, thrown away or sent back: `damaged` is less by it, on hand stays.
    WriteOff,
}

/// `POST /v1/inventory/update`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StockUpdateRequest {
    /// Where.
    #[schema(example = "s-uk-1", max_length = 64)]
    pub location_id: String,
    /// What.
    #[schema(example = "85123A", max_length = 64)]
    pub sku: String,
    /// By, to, of which lot, or in which state.
    pub kind: StockUpdateKind,
    /// Signed for `delta` (not zero), zero or more for `set`, above zero for all others.
    #[schema(value_type = QuantitySchema)]
    pub quantity: QuantityInput,
    /// Why, for the ledger.
    #[schema(example = "cycle count", min_length = 1, max_length = 200)]
    pub reason: String,
    /// The `version` this update was decided on; 0 where there was no stock item. Without it the
    /// update applies to whatever stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    pub expected_version: Option<i64>,
    /// The lot it is of, for a product whose stock is kept by lots. Then `quantity` is of this lot: by how much it
    /// changes, or how much was counted of it. Of a lot that is recalled or past its day it is what is kept aside
    /// that changes. Without it what leaves is of the lots that expire first, and what comes in is of no known lot. What
    /// is damaged is of no lot any more: `write_off` names none, and `repair` has to say of which it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "L-2031", max_length = 64)]
    pub lot: Option<String>,
    /// With `lot`: its last day of sale. A lot that is known has one already, or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date, example = "2026-03-31")]
    pub expires_on: Option<Date>,
}

/// What an update did. A replay answers the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StockUpdated {
    /// The stock as this update left it.
    #[serde(flatten)]
    pub stock: StockLevel,
    /// By how much on hand changed.
    #[schema(value_type = QuantitySchema)]
    pub change: QuantityInput,
    /// Whether this update left less than is promised (`available` below zero): somebody must look.
    pub exception_opened: bool,
}

/// `POST /v1/inventory/restock`: a delivery that no purchase order is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestockRequest {
    /// Where.
    #[schema(example = "s-uk-1", max_length = 64)]
    pub location_id: String,
    /// What.
    #[schema(example = "85123A", max_length = 64)]
    pub sku: String,
    /// How many fit for sale, above zero.
    #[schema(value_type = QuantitySchema)]
    pub quantity: QuantityInput,
    /// From whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "sup-1", max_length = 64)]
    pub supplier_id: Option<String>,
    /// What the delivery is called on paper, for the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "DN-20117", min_length = 1, max_length = 64)]
    pub reference: Option<String>,
    /// Why, for the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200)]
    pub reason: Option<String>,
    /// The lot it is of, for a product whose stock is kept by lots. What is of a lot that is recalled or past its day
    /// is kept aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "L-2031", max_length = 64)]
    pub lot: Option<String>,
    /// With `lot`: its last day of sale. A lot that is known has one already, or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date, example = "2026-03-31")]
    pub expires_on: Option<Date>,
}

/// What a restock did. A replay answers the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Restocked {
    /// The stock as this restock left it; of stock that is split over parts for the sake of speed, as it was read
    /// for it.
    #[serde(flatten)]
    pub stock: StockLevel,
    /// By how much on hand grew.
    #[schema(value_type = QuantitySchema)]
    pub change: QuantityInput,
    /// The `reference` of its movement in the ledger.
    pub restock_id: String,
    /// From whom.
    pub supplier_id: Option<String>,
    /// What the delivery is called on paper.
    pub reference: Option<String>,
}

/// Query of `GET /v1/inventory`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StockListQuery {
    /// Only this SKU.
    pub sku: Option<String>,
    /// Only this location.
    pub location_id: Option<String>,
    /// `true`: only where available is below the reorder point; `false`: only where it is not.
    pub below_reorder_point: Option<bool>,
    /// At most so many, 1 to 200; 50 where absent.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Query of the lists below one SKU or one location.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// At most so many, 1 to 200; 50 where absent.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Query of `GET /v1/inventory/updates`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StockChangesQuery {
    /// `next_since` of the answer before. Without it only where to begin is told, a minute before the end.
    pub since: Option<String>,
    /// At most so many, 1 to 200; 50 where absent.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<u32>,
    /// How long to wait for a change where there is none, 0 to 20 seconds; 0 where absent.
    #[param(minimum = 0, maximum = 20, default = 0)]
    pub wait_seconds: Option<u32>,
}

/// Stock items that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StockChanges {
    /// Each once, as it stands now.
    pub items: Vec<StockLevel>,
    /// Where to go on, also where nothing changed. Good for 30 days.
    pub next_since: String,
    /// Whether more was noted than was looked at: go on at once. `items` may be empty all the same, where what
    /// changed is out of the token's reach.
    pub has_more: bool,
}
