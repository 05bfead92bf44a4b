//! What the engineer on call asks of `stock-keeper` after a restore from backup, and what it answers. These are
//! events of the function itself, not routes: a restored table holds all tenants, and no token reaches them all.

use serde::{Deserialize, Serialize};

/// An event that asks for something. Any other event is the schedule's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum KeeperRequest {
    /// Raise the epochs of all lanes.
    Restore(RestoreRequest),
    /// Compare lanes with what figures and HQ know of them. Changes nothing.
    CompareLanes(CompareRequest),
}

impl KeeperRequest {
    /// The members by which an event is known to be a request.
    pub const MEMBERS: [&'static str; 2] = ["restore", "compare_lanes"];
}

/// Asks for the epochs of all lanes to be raised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreRequest {
    /// Names the restore: whatever is asked again under the same id is done once.
    pub id: String,
    /// Only these tenants; all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenants: Option<Vec<String>>,
    /// Raise to this epoch at least: for where every table was restored, and only paper knows the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_epoch: Option<u32>,
}

/// Asks for a comparison.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompareRequest {
    /// Only these tenants; all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenants: Option<Vec<String>>,
}

/// What a restore did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreReply {
    /// By tenant.
    pub tenants: Vec<RaisedEpochs>,
    /// Tenants that there was no time for, or whose lanes are not all raised yet: ask again with the same id.
    pub unfinished: Vec<String>,
    /// Tenants that could not be seen to: the others were. Mend what is wrong, and ask again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<FailedTenant>,
    /// Tenants that were asked for and are not known.
    pub unknown: Vec<String>,
}

/// A tenant that could not be seen to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedTenant {
    /// Whose.
    pub tenant_id: String,
    /// What was in the way.
    pub why: String,
}

/// What a restore did to a tenant's lanes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaisedEpochs {
    /// Whose.
    pub tenant_id: String,
    /// The epoch that its lanes have now, or a later restore's.
    pub epoch: u32,
    /// How many lanes there are.
    pub lanes: usize,
    /// How many were raised by this very run.
    pub raised: usize,
    /// Whether all are.
    pub finished: bool,
    /// Lanes below that epoch although the restore was finished before. They began after it, or the table was
    /// restored once more: then take a new id. The first hundred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub below: Vec<String>,
}

/// What lanes lack.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompareReply {
    /// By tenant.
    pub tenants: Vec<ComparedLanes>,
    /// Tenants that there was no time for: ask for them alone.
    pub unfinished: Vec<String>,
    /// Tenants that could not be seen to: the others were. Mend what is wrong, and ask again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<FailedTenant>,
    /// Tenants that were asked for and are not known.
    pub unknown: Vec<String>,
}

/// What a tenant's lanes lack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComparedLanes {
    /// Whose.
    pub tenant_id: String,
    /// How many lanes and epochs were looked at.
    pub lanes: usize,
    /// Lanes of which orders, figures and HQ do not know the same.
    pub differences: Vec<LaneDifference>,
    /// How many more there are.
    pub left_out: usize,
}

/// What is known of a lane in one epoch. Intervals are closed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneDifference {
    /// The lane (`store/register`, with `~epoch` after a restore).
    pub lane: String,
    /// Its last number, as far as orders go.
    pub last: u64,
    /// Numbers beyond it that figures hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub figures_beyond: Vec<(u64, u64)>,
    /// Numbers beyond it that HQ was told of, or is to be told of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told_beyond: Vec<(u64, u64)>,
    /// Numbers up to it that figures lack; the keeper sends them again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub figures_lack: Vec<(u64, u64)>,
    /// Z numbers beyond the last one that HQ was told of, or is to be told of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shifts_told_beyond: Vec<(u64, u64)>,
}
