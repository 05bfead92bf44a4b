//! Stock over HTTP: levels, updates, reservations, movements, conservation.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tillstream_domain::quantity::QuantityInput;
use utoipa::{IntoParams, ToSchema};

use crate::lots::{CommitLine, LotProblem};
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

/// How an update changes on hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StockUpdateKind {
    /// By a signed quantity; never below what is available.
    Delta,
    /// To a counted quantity (a physical count); may find less than is promised.
    Set,
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
    /// By or to.
    pub kind: StockUpdateKind,
    /// Signed for `delta` (not zero), zero or more for `set`.
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
    /// that changes. Without it what leaves is of the lots that expire first, and what comes in is of no known lot.
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

/// One line of a reservation request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReserveLine {
    /// Where. Left out of all lines of a reservation whose locations are chosen (`sourcing`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "s-uk-1", max_length = 64)]
    pub location_id: Option<String>,
    /// What.
    #[schema(example = "85123A", max_length = 64)]
    pub sku: String,
    /// How many, above zero.
    #[schema(value_type = QuantitySchema)]
    pub quantity: QuantityInput,
}

/// How locations are chosen for a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourcingPolicy {
    /// Each line from the first of `locations` that has all of it.
    Priority,
    /// Each line from the location nearest to `near` that has all of it.
    Nearest,
    /// All lines from as few locations as can be; of sets of the same size the one whose locations come first: by
    /// distance from `near` where that is given, else in the order of `locations`, else by id.
    FewestShipments,
}

/// A point on the earth: a location's, or coordinates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SourcingNear {
    /// The location whose coordinates are meant; then without the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "s-uk-1", max_length = 64)]
    pub location_id: Option<String>,
    /// How far north, in micro-degrees (53.800755° is 53800755).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = -90_000_000, maximum = 90_000_000)]
    pub latitude: Option<i64>,
    /// How far east, in micro-degrees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = -180_000_000, maximum = 180_000_000)]
    pub longitude: Option<i64>,
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

/// From where a reservation is to be held whose lines do not say it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Sourcing {
    /// How locations are chosen.
    pub policy: SourcingPolicy,
    /// The locations that may be chosen, stores and warehouses, the preferred first; each once. Times the number of
    /// different SKUs at most 2,000. Without them (not for `priority`, and for at most 10 different SKUs) all that the
    /// token reaches and that have stock, of which at most 200 for each SKU are looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 50)]
    pub locations: Option<Vec<String>>,
    /// From where distances are reckoned. For `nearest`, and for `fewest_shipments` if wanted; each of `locations` then
    /// needs coordinates, and those that are found without come last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub near: Option<SourcingNear>,
    /// Whether a line of which no one location has all may come from several: then from each in turn what it has.
    #[serde(default, skip_serializing_if = "is_false")]
    #[schema(default = false)]
    pub split_lines: bool,
}

/// `POST /v1/inventory/reserve`: all lines or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReserveRequest {
    /// The reservation's id; derived from the idempotency key where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub reservation_id: Option<String>,
    /// What to hold; lines of the same location and SKU are added up. Of a kit its components are held, added up with
    /// what else is to be held of them. At most 1,000 different pairs of location and SKU, those of components counted,
    /// and at most 100 different kits.
    #[schema(min_items = 1, max_items = 1000)]
    pub lines: Vec<ReserveLine>,
    /// How locations are chosen, where the lines name none. The answer names those that were chosen, and a repeated
    /// request answers the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sourcing: Option<Sourcing>,
    /// For how long, in seconds.
    #[schema(minimum = 1, maximum = 86400, example = 900)]
    pub ttl_seconds: i64,
    /// The order it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub order_id: Option<String>,
}

/// `POST /v1/inventory/reservations/{id}/extend`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtendRequest {
    /// For how long from now, in seconds. Never shortens.
    #[schema(minimum = 1, maximum = 86400, example = 900)]
    pub ttl_seconds: i64,
}

/// `POST /v1/inventory/reservations/{id}/commit`; no body, or no `lines`, commits all that is held.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CommitRequest {
    /// What is sold of it; the rest goes on being held. Lines of the same location and SKU are added up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 1000)]
    pub lines: Option<Vec<CommitLine>>,
}

/// The body of a release: none, or an empty object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoFields {}

/// Where a reservation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReservationStatus {
    /// Stock is held.
    Active,
    /// The held stock was sold.
    Committed,
    /// The held stock was given back.
    Released,
    /// Its time is over; the stock is free again.
    Expired,
}

/// One held line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReservationLine {
    /// Where.
    pub location_id: String,
    /// What.
    pub sku: String,
    /// How many were reserved.
    #[schema(value_type = QuantitySchema)]
    pub quantity: QuantityInput,
    /// How many of them were committed.
    #[schema(value_type = QuantitySchema)]
    pub committed: QuantityInput,
}

/// What kits hold of one component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReservedComponent {
    /// SKU of the component.
    pub sku: String,
    /// How much of it one kit takes.
    #[schema(value_type = QuantitySchema)]
    pub quantity: QuantityInput,
}

/// A kit that was reserved. What is held for it is among the reservation's `lines`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReservedKit {
    /// Where.
    pub location_id: String,
    /// SKU of the kit.
    pub sku: String,
    /// How many kits were reserved.
    #[schema(value_type = QuantitySchema)]
    pub quantity: QuantityInput,
    /// How many of them were committed.
    #[schema(value_type = QuantitySchema)]
    pub committed: QuantityInput,
    /// What one kit is made of, as of the reservation. Components of which no stock is kept are left out.
    pub components: Vec<ReservedComponent>,
}

/// A reservation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reservation {
    /// Its id.
    pub reservation_id: String,
    /// Where it stands.
    pub status: ReservationStatus,
    /// What it holds, by location and SKU.
    pub lines: Vec<ReservationLine>,
    /// The kits among what was asked for. Left out where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kits: Vec<ReservedKit>,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// The order it is for, if one was named.
    pub order_id: Option<String>,
}

/// Other locations that have a SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Elsewhere {
    /// Where.
    pub location_id: String,
    /// How many are available there.
    #[schema(value_type = QuantitySchema)]
    pub available: QuantityInput,
}

/// What is to come of a SKU by one purchase order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExpectedDelivery {
    /// How many.
    #[schema(value_type = QuantitySchema)]
    pub quantity: QuantityInput,
    /// When they are expected.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// A line that could not be held: member `lines` of the `insufficient_stock` problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShortLine {
    /// Where.
    pub location_id: String,
    /// What.
    pub sku: String,
    /// How many were asked for, the request's lines added up.
    #[schema(value_type = QuantitySchema)]
    pub requested: QuantityInput,
    /// How many are left.
    #[schema(value_type = QuantitySchema)]
    pub available: QuantityInput,
    /// How many are ordered.
    #[schema(value_type = QuantitySchema)]
    pub incoming: QuantityInput,
    /// When some of them are expected, by purchase orders for this location: the soonest first, at most 5; looked
    /// for of the first 50 lines that are short. A time that is over is a delivery that is late.
    #[schema(max_items = 5)]
    pub expected: Vec<ExpectedDelivery>,
    /// Where else it is, the most first, among the locations that the token reaches; looked for of the first 50
    /// lines that are short.
    pub elsewhere: Vec<Elsewhere>,
    /// SKUs of the kits, of those that were asked for, that take it. Left out where none does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kits: Vec<String>,
}

/// What one location has of a line that could not be sourced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SourceStock {
    /// Where.
    pub location_id: String,
    /// How many are available there.
    #[schema(value_type = QuantitySchema)]
    pub available: QuantityInput,
    /// How many are ordered for there.
    #[schema(value_type = QuantitySchema)]
    pub incoming: QuantityInput,
    /// When some of them are expected, by purchase orders: the soonest first, at most 5; looked for of the first 50
    /// locations and lines.
    #[schema(max_items = 5)]
    pub expected: Vec<ExpectedDelivery>,
}

/// A line that no location, or no locations together, could deliver: member `lines` of the `insufficient_stock`
/// problem where locations were to be chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnsourcedLine {
    /// What.
    pub sku: String,
    /// How many were asked for, the request's lines added up.
    #[schema(value_type = QuantitySchema)]
    pub requested: QuantityInput,
    /// How many all locations have together that were looked at; of a kit, how many its components make in each.
    #[schema(value_type = QuantitySchema)]
    pub available: QuantityInput,
    /// Where, the most first: at most 20, of the first 50 lines.
    #[schema(max_items = 20)]
    pub locations: Vec<SourceStock>,
}

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
    /// `lot_quarantine`, `lot_release`, `lot_expire`, `discrepancy` (sold offline beyond what there was; the reference is its exception), `reconciliation` (a
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
    /// where the stock was ever split.
    pub seq_reached: i64,
    /// The stock item's own count of movements, its version; the ledger follows it within moments.
    pub seq_current: i64,
    /// Sums of the movements up to `seq_reached`.
    pub sums: MovementDelta,
    /// Counters at `seq_reached`; all zero at 0.
    pub counters: MovementCounters,
    /// Where single rows were lost and one row stands for several movements.
    pub ranges: Vec<LedgerRange>,
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

/// Why somebody must look into something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExceptionKind {
    /// A register that was cut off sold more than there was. A movement of kind `discrepancy` entered as much.
    OversoldOffline,
    /// A count or a raised safety stock left less than is promised.
    BelowPromised,
    /// Goods were sold or held at a location before anybody told its stock of them, as its policy allows. A movement of
    /// kind `discrepancy` entered as many as were missing.
    UnsyncedStock,
    /// A register that was cut off, or another system, gave a coupon or promotion more often than its limit allows.
    UsesAboveLimit,
    /// Goods that have left the shop were said to be of a lot that they cannot be of, or that was not for sale
    /// (`lot_id`, `lot_problem`).
    LotMismatch,
    /// What stock says of itself differs: counters, ledger, holds, orders. It is corrected by
    /// `POST /v1/inventory/exceptions/{id}/correct`.
    Difference,
}

/// Why stock differs, as far as that can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceCause {
    /// A counter changed without a movement.
    CounterWithoutMovement,
    /// Rows of the ledger are gone.
    LedgerGap,
    /// The ledger lacks a movement that the counters and the holds both have.
    MovementMissing,
    /// `available` is not on hand − reserved − safety stock.
    AvailableMiscalculated,
    /// Somebody holds what is not counted as reserved.
    HoldWithoutReserved,
    /// What is counted as reserved is held by nobody.
    ReservedWithoutHold,
    /// The ledger tells of an order that is not there.
    MovementWithoutOrder,
    /// An order is final, and its stock did not move, or not by as much.
    OrderWithoutMovement,
}

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StockDifference {
    /// `on_hand`, `reserved`, `available`, `damaged`, `in_transit` or `on_order`; `ledger` where that alone is wrong; `movements`
    /// where rows of it are gone, which are counted.
    pub what: String,
    /// In which part, where the stock was split over several for the sake of speed; absent for the first, which is
    /// also the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<u32>,
    /// Why, likely.
    pub cause: DifferenceCause,
    /// What it would be by the rest: a correction brings it there.
    #[schema(value_type = QuantitySchema)]
    pub expected: QuantityInput,
    /// What it is.
    #[schema(value_type = QuantitySchema)]
    pub found: QuantityInput,
    /// Found less expected.
    #[schema(value_type = QuantitySchema)]
    pub difference: QuantityInput,
    /// It differs since this movement at the latest.
    pub since_seq: i64,
    /// The holds or orders that it is about, where they are known; at most ten.
    pub references: Vec<String>,
}

/// Whether somebody has settled it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExceptionStatus {
    /// Nobody has.
    Open,
    /// Somebody has.
    Resolved,
}

/// A task: the books and the shop disagree, about goods or about uses of a coupon or promotion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StockException {
    /// Its id.
    #[schema(example = "x-0f3a9c2b7d1e4f5a6b7c8d9e")]
    pub exception_id: String,
    /// Why.
    pub kind: ExceptionKind,
    /// Whether it is settled.
    pub status: ExceptionStatus,
    /// Where.
    #[schema(example = "s-uk-1")]
    pub location_id: String,
    /// Which goods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "85123A")]
    pub sku: Option<String>,
    /// Which lot was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "L-2031")]
    pub lot_id: Option<String>,
    /// Why they cannot be of it, or should not have been sold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lot_problem: Option<LotProblem>,
    /// Which coupon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon_code: Option<String>,
    /// Which promotion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion_id: Option<String>,
    /// How many too many: sold beyond what there was, promised beyond what is there, or uses beyond `limit`. Of a
    /// difference the most that anything differs by.
    #[schema(value_type = QuantitySchema)]
    pub quantity: QuantityInput,
    /// Of uses: the limit as of the sale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Of uses: the customer whose own limit it is; absent for that of all together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// The order, count or feed line that opened it. Of a difference the first hold or order that it is about, or the
    /// version that was compared.
    pub reference: String,
    /// What differs, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<StockDifference>,
    /// Of a difference: the stock item's version that was compared. A correction is of exactly that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared_version: Option<i64>,
    /// The order that was sold offline or elsewhere, or that differs from its movements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// The register that sold it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub register_id: Option<String>,
    /// Who sold it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub employee_id: Option<String>,
    /// When it happened, as its cause told it.
    #[schema(value_type = String, format = DateTime)]
    pub occurred_at: Timestamp,
    /// When it was opened here.
    #[schema(value_type = String, format = DateTime)]
    pub opened_at: Timestamp,
    /// How it was settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<ExceptionResolution>,
}

/// How an exception was settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExceptionResolution {
    /// In a few words.
    #[schema(example = "found in the back room")]
    pub reason: String,
    /// More of it.
    pub note: Option<String>,
    /// Who settled it.
    pub resolved_by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub resolved_at: Timestamp,
}

/// A page of exceptions, the oldest first. It may hold fewer than asked for although more follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StockExceptionPage {
    /// Exceptions.
    pub items: Vec<StockException>,
    /// Where the next page begins; null at the end.
    pub next_cursor: Option<String>,
}

/// `POST /v1/inventory/exceptions/{id}/resolve`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolveExceptionRequest {
    /// How it was settled, in a few words.
    #[schema(example = "found in the back room", min_length = 1, max_length = 200)]
    pub reason: String,
    /// More of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub note: Option<String>,
}

/// `POST /v1/inventory/exceptions/{id}/correct`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CorrectDifferenceRequest {
    /// Why it is as it is, for the ledger.
    #[schema(example = "counter changed by hand", min_length = 1, max_length = 200)]
    pub reason: String,
    /// The approval of exactly this difference, which warehouse staff need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub approval_id: Option<String>,
}

/// Query of `GET /v1/inventory/exceptions`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExceptionQuery {
    /// Where.
    pub location_id: String,
    /// `open` where absent.
    #[param(inline)]
    pub status: Option<ExceptionStatus>,
    /// At most so many, 1 to 200; 50 where absent.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}
