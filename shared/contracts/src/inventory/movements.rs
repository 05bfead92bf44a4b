//! Movements of stock over HTTP, and the proof that they add up.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_domain::quantity::QuantityInput;
use utoipa::{IntoParams, ToSchema};

use crate::schema::QuantitySchema;

/// Changes of counters by one movement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MovementDelta {
    /// On hand.
    #[schema(value_type = QuantitySchema)]
    pub on_hand: QuantityInput,
    /// Reserved.
    #[schema(value_type = QuantitySchema)]
    pub reserved: QuantityInput,
    /// Damaged.
    #[schema(value_type = QuantitySchema)]
    pub damaged: QuantityInput,
    /// On the way here from another location.
    #[schema(value_type = QuantitySchema)]
    pub in_transit: QuantityInput,
    /// Ordered from suppliers by purchase orders, and not here yet.
    #[schema(value_type = QuantitySchema)]
    pub on_order: QuantityInput,
    /// Kept aside with its lot. Left out where it is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<QuantitySchema>)]
    pub quarantined: Option<QuantityInput>,
}

/// Counters after a movement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MovementCounters {
    /// On hand.
    #[schema(value_type = QuantitySchema)]
    pub on_hand: QuantityInput,
    /// Reserved.
    #[schema(value_type = QuantitySchema)]
    pub reserved: QuantityInput,
    /// Available.
    #[schema(value_type = QuantitySchema)]
    pub available: QuantityInput,
    /// Damaged.
    #[schema(value_type = QuantitySchema)]
    pub damaged: QuantityInput,
    /// On the way here from another location.
    #[schema(value_type = QuantitySchema)]
    pub in_transit: QuantityInput,
    /// Ordered from suppliers by purchase orders, and not here yet.
    #[schema(value_type = QuantitySchema)]
    pub on_order: QuantityInput,
    /// Kept aside with its lot. Left out where it is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<QuantitySchema>)]
    pub quarantined: Option<QuantityInput>,
    /// Safety stock.
    #[schema(value_type = QuantitySchema)]
    pub safety_stock: QuantityInput,
}

/// One ledger row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StockMovement {
    /// Which part, where the stock was split over several for the sake of speed; absent for the first, which
    /// is also the whole. Quantities are those of the part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<u32>,
    /// Its number on this stock item or part, 1, 2, 3 ….
    pub seq: i64,
    /// For a row of kind `gap_closed`: the first of the movements it stands for; `seq` is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_seq: Option<i64>,
    /// `sale`, `return`, `adjustment`, `count`, `restock`, `hold`, `release`, `expire`, `commit`, `sync`, `split`,
    /// `merge`, `transfer_ship` …, `purchase_place`, `purchase_receive`, `purchase_close`, `purchase_cancel`,
    /// `lot_quarantine`, `lot_release`, `lot_expire`, `lot_assign`, `damage`, `repair`, `write_off`, `discrepancy` (sold offline beyond what there was; the reference is its exception), `reconciliation` (a
    /// difference corrected), `gap_closed` ….
    pub kind: String,
    /// Order, reservation or update that caused it.
    pub reference: String,
    /// Who.
    pub actor: String,
    /// When, as its cause told it.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Why, if a reason was given.
    pub reason: Option<String>,
    /// By how much.
    pub delta: MovementDelta,
    /// To what.
    pub after: MovementCounters,
    /// By how much each lot changed, for stock that is kept by lots. Left out for all other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lots: Vec<LotMovement>,
}

/// By how much a movement changed one lot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LotMovement {
    /// Which; null for what is of no known lot.
    pub lot_id: Option<String>,
    /// What is fit for sale.
    #[schema(value_type = QuantitySchema)]
    pub on_hand: QuantityInput,
    /// What is kept aside. Left out where that did not change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<QuantitySchema>)]
    pub quarantined: Option<QuantityInput>,
}

/// A page of movements, newest first; where the stock was ever split, part by part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StockMovementPage {
    /// Rows.
    pub items: Vec<StockMovement>,
    /// Where the next page begins; null at the end.
    pub next_cursor: Option<String>,
}

/// Movements that one closed gap stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LedgerRange {
    /// In the ledger of which part; absent for the first, which is also the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<u32>,
    /// First.
    pub from_seq: i64,
    /// Last.
    pub to_seq: i64,
}

/// The proof that counters are the sum of movements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Conservation {
    /// Where.
    pub location_id: String,
    /// What.
    pub sku: String,
    /// Whether, up to `seq_reached`, every counter is the sum of its movements, and available is on
    /// hand − reserved − safety stock.
    pub holds: bool,
    /// The last movement up to which the ledger has every one; `seq_current` less those that are missing,
    /// where the stock was ever split. One answer reads at most 10,000 movements behind those that were proved before:
    /// where there are more, it is what it came to, and more by the time somebody asks again.
    pub seq_reached: i64,
    /// The stock item's own count of movements, its version; the ledger follows it within moments.
    pub seq_current: i64,
    /// Sums of the movements up to `seq_reached`.
    pub sums: MovementDelta,
    /// Counters at `seq_reached`; all zero at 0.
    pub counters: MovementCounters,
    /// Where single rows were lost and one row stands for several movements.
    pub ranges: Vec<LedgerRange>,
    /// How many more there are, older than the 500 newest. Left out where these are all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranges_left_out: Option<u32>,
    /// Up to which movement it was proved before, by the schedule, which reads every movement once: the sums go on from
    /// there. Left out where all movements were read for this answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proved_before: Option<i64>,
    /// The same of its lots, for stock that is kept by lots. Left out for all other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lots: Option<LotConservation>,
}

/// The proof that lots are what is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LotConservation {
    /// Whether, in every movement up to `seq_reached`, what the lots changed by adds up to what the counters changed
    /// by, every lot is the sum of its changes, and all lots together are on hand and quarantined.
    pub holds: bool,
    /// Each lot that there is, by the sums of its changes; the one without an id is what is of no known lot.
    pub lots: Vec<LotMovement>,
}

/// Query of `GET /v1/inventory/movements`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MovementQuery {
    /// What.
    pub sku: String,
    /// Where.
    pub location_id: String,
    /// At most so many, 1 to 200; 50 where absent.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Query of `GET /v1/inventory/conservation`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ConservationQuery {
    /// What.
    pub sku: String,
    /// Where.
    pub location_id: String,
}
