//! Deliveries and dead letters over HTTP.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::hq::HqMessage;

/// Longest reason for a discard, in characters.
pub const REASON_CHARS_MAX: usize = 500;

/// Most dead letters that one replay of many takes.
pub const REPLAY_MAX: u32 = 200;

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// To be sent, or sent again after a failure.
    Pending,
    /// Kept back while the destination is known to be down.
    Waiting,
    /// Accepted by the destination.
    Delivered,
    /// A dead letter: failed by its own fault too often.
    Dead,
    /// A dead letter that somebody gave up, with a reason.
    Discarded,
}

impl DeliveryStatus {
    /// All, in the order in which a list without a status filter shows them.
    pub const ALL: [DeliveryStatus; 5] = [
        DeliveryStatus::Dead,
        DeliveryStatus::Waiting,
        DeliveryStatus::Pending,
        DeliveryStatus::Discarded,
        DeliveryStatus::Delivered,
    ];

    /// The name on the wire and in the database.
    pub fn name(self) -> &'static str {
        match self {
            DeliveryStatus::Pending => "pending",
            DeliveryStatus::Waiting => "waiting",
            DeliveryStatus::Delivered => "delivered",
            DeliveryStatus::Dead => "dead",
            DeliveryStatus::Discarded => "discarded",
        }
    }

    /// By its name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// Accepted.
    Delivered,
    /// The message is at fault: it was refused, or could not be built.
    Refused,
    /// The destination failed on this message while it was well to others.
    Suspected,
    /// The destination failed.
    Failed,
}

impl AttemptOutcome {
    /// The name on the wire and in the database.
    pub fn name(self) -> &'static str {
        match self {
            AttemptOutcome::Delivered => "delivered",
            AttemptOutcome::Refused => "refused",
            AttemptOutcome::Suspected => "suspected",
            AttemptOutcome::Failed => "failed",
        }
    }

    /// By its name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Delivered, Self::Refused, Self::Suspected, Self::Failed]
            .into_iter()
            .find(|outcome| outcome.name() == name)
    }
}

/// A delivery of one version of an order to one destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeliveryView {
    /// `<order id>.<order version>`.
    pub id: String,
    /// `hq`.
    pub destination: String,
    /// The order; of a closed shift `~` and the shift's id, of a backorder or an alert `_backorder:` or `_alert:` and
    /// its id.
    #[schema(pattern = "^(~|_backorder:|_alert:)?[A-Za-z0-9][A-Za-z0-9._~:-]{0,63}$")]
    pub order_id: String,
    /// Its version; a shift has one.
    pub order_version: u32,
    /// Receipt number of the order, unique on its lane; of a shift its Z number, of a backorder or an alert the number
    /// of the message about it.
    pub receipt_number: u64,
    /// Lane that gave the number (`s-uk-1/r-1`); of a backorder or an alert its location (`s-uk-1/stock`).
    pub lane: String,
    /// The order's store, or the location.
    pub store_id: String,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// How often it was tried.
    pub attempts: u32,
    /// How often the message was refused since it was made or replayed.
    pub refusals: u32,
    /// How often the destination failed on it while it was well to others, since then.
    pub suspected_failures: u32,
    /// HTTP status of the last attempt, if there was an answer.
    pub last_status: Option<u16>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// When it is tried next, if it is pending.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_attempt_at: Option<Timestamp>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it changed last.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// Why it was discarded, and by whom.
    pub discarded: Option<DiscardView>,
}

/// Why a dead letter was discarded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiscardView {
    /// Why.
    pub reason: String,
    /// The token's subject.
    pub by: String,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttemptView {
    /// From 1.
    pub attempt: u32,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// How long it took.
    pub duration_ms: i64,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// What went wrong.
    pub error: Option<String>,
}

/// A delivery with everything about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeliveryDetail {
    /// The delivery.
    #[serde(flatten)]
    pub delivery: DeliveryView,
    /// Its attempts, oldest first; at most the last 500.
    pub attempt_log: Vec<AttemptView>,
    /// What is sent, made from the order or shift as it stands; null where that is not possible.
    pub payload: Option<HqMessage>,
    /// Why it is not possible.
    pub payload_error: Option<String>,
}

/// A page of deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeliveryPage {
    /// Deliveries: by status, within it the latest change first; of one order by version.
    pub items: Vec<DeliveryView>,
    /// Where the next page begins.
    pub next_cursor: Option<String>,
}

/// Which deliveries to list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeliveryFilter {
    /// Only of this status.
    pub status: Option<DeliveryStatus>,
    /// Only to this destination (`hq`).
    pub destination: Option<String>,
    /// Only of this order, closed shift (`~` and its id), backorder (`_backorder:` and its id) or alert (`_alert:`).
    #[param(pattern = "^(~|_backorder:|_alert:)?[A-Za-z0-9][A-Za-z0-9._~:-]{0,63}$")]
    pub order_id: Option<String>,
    /// Most items of a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Which dead letters to list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeadLetterFilter {
    /// Only to this destination (`hq`).
    pub destination: Option<String>,
    /// Only of this order.
    pub order_id: Option<String>,
    /// Most items of a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Which dead letters to replay: all that match, oldest first, a bounded number a call.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayManyRequest {
    /// Only to this destination (`hq`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// Only of this order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// Only of this store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_id: Option<String>,
    /// Most to replay in this call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 200, default = 100)]
    pub limit: Option<u32>,
    /// `next_cursor` of the call before; that call is another request, with another key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// What a replay of many did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayManyReply {
    /// How many were replayed.
    pub replayed: u32,
    /// How many stopped being dead letters meanwhile.
    pub skipped: u32,
    /// Send it as `cursor` of the next call; null when all were seen.
    pub next_cursor: Option<String>,
}

/// Gives a dead letter up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiscardRequest {
    /// Why: 1 to 500 characters, no card numbers.
    #[schema(min_length = 1, max_length = 500)]
    pub reason: String,
}
