//! Backorders over HTTP: what customers wait for, served in the order in which they asked.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_domain::quantity::QuantityInput;
use utoipa::{IntoParams, ToSchema};

use crate::schema::QuantitySchema;

/// `POST /v1/inventory/backorders`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackorderRequest {
    /// The backorder's id; derived from the idempotency key where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub backorder_id: Option<String>,
    /// Where it is to be had.
    #[schema(example = "s-uk-1", max_length = 64)]
    pub location_id: String,
    /// What.
    #[schema(example = "85123A", max_length = 64)]
    pub sku: String,
    /// How many, above zero: all of them at once, or none.
    #[schema(value_type = QuantitySchema)]
    pub quantity: QuantityInput,
    /// For whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub customer_id: Option<String>,
    /// For which order; the reservation names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub order_id: Option<String>,
    /// Until when it is of any use: not served by then it expires. From now to ten years ahead.
    #[serde(
        default,
        deserialize_with = "crate::date_time::optional",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub needed_by: Option<Timestamp>,
    /// For whoever hands it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub note: Option<String>,
}

/// `POST /v1/inventory/backorders/{id}/cancel`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelBackorderRequest {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200)]
    pub reason: Option<String>,
}

/// Where a backorder stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BackorderStatus {
    /// In its queue.
    Waiting,
    /// A reservation holds it until `expires_at`.
    Reserved,
    /// All of it was sold.
    Fulfilled,
    /// Its reservation's time ran out, or it was needed before it could be served.
    Expired,
    /// Called off, or its reservation was released.
    Cancelled,
}

/// A backorder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Backorder {
    /// Its id.
    #[schema(example = "backorder-0f3a9c2b7d1e")]
    pub backorder_id: String,
    /// Where it stands.
    pub status: BackorderStatus,
    /// Where it is to be had.
    pub location_id: String,
    /// What.
    pub sku: String,
    /// How many.
    #[schema(value_type = QuantitySchema)]
    pub quantity: QuantityInput,
    /// Its number in the queue of its location and SKU: those with lower ones are served first.
    pub number: u64,
    /// For whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// For which order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// Until when it is of any use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub needed_by: Option<Timestamp>,
    /// For whoever hands it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Who asked for it.
    pub created_by: String,
    /// The reservation that holds it, or held it: it is committed, extended and released as any other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation_id: Option<String>,
    /// When it was reserved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub reserved_at: Option<Timestamp>,
    /// Until when it is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// How many were sold.
    #[schema(value_type = QuantitySchema)]
    pub fulfilled: QuantityInput,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
    /// Who cancelled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<String>,
    /// Why it ended, where somebody or something said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Count of its changes; its ETag.
    pub version: i64,
}

/// A page of backorders. It may hold fewer than asked for, or none, although more follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackorderPage {
    /// Of a SKU by their numbers, the first in the queue first; of all of a location the oldest first.
    pub items: Vec<Backorder>,
    /// Where the next page begins; null at the end.
    pub next_cursor: Option<String>,
}

/// Which backorders a list has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BackorderListState {
    /// Waiting or reserved.
    #[default]
    Open,
    /// Of which nothing becomes any more.
    Closed,
}

/// Query of `GET /v1/inventory/backorders`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BackorderQuery {
    /// Where.
    pub location_id: String,
    /// Only of this SKU.
    #[param(max_length = 64)]
    pub sku: Option<String>,
    /// `open` (where absent) or `closed`.
    pub state: Option<BackorderListState>,
    /// At most so many, 1 to 200; 50 where absent.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}
