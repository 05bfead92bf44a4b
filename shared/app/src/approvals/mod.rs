//! Approvals: asked for at a register, decided by a supervisor, used up by the command that needs it.

pub mod ask;
mod binding;
pub mod decide;
pub mod item;
pub mod permission;
pub mod read;
mod refusals;
pub mod stock_grant;
mod view;

use tillstream_contracts::approvals::ApprovalView;

/// What a request about one approval answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The approval as it stands now.
    pub approval: ApprovalView,
    /// Whether the request took effect before.
    pub replayed: bool,
}
