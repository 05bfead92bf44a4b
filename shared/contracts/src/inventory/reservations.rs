//! Reservations over HTTP: what is asked for, what is held, what is short.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_domain::quantity::QuantityInput;
use utoipa::ToSchema;

use crate::lots::CommitLine;
use crate::schema::QuantitySchema;

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
    /// token reaches and that have stock; where these are more than 2,000 pairs of location and SKU, they are to be
    /// named (`locations_required`).
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
    /// Where else it is: at most 20, the most first among those that were looked at, up to 1,000 of the locations that
    /// the token reaches, by id; looked for of the first 50 lines that are short.
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
