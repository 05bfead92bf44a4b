//! An approval's own refusals, as clients get them.

use serde_json::{Value, json};
use tillstream_domain::approval::ApprovalError;

use crate::error::{Error, Refusal, RefusalKind};

impl From<ApprovalError> for Error {
    fn from(error: ApprovalError) -> Self {
        let kind = match &error {
            ApprovalError::OwnRequest | ApprovalError::Denied | ApprovalError::DoesNotMatch(_) => {
                RefusalKind::Forbidden
            }
            ApprovalError::Decided(_)
            | ApprovalError::Expired(_)
            | ApprovalError::Pending
            | ApprovalError::Used => RefusalKind::Conflict,
        };
        let refusal = Refusal::new(kind, error.code(), error.to_string());
        match &error {
            ApprovalError::Decided(status) => refusal.with_extra("approval_status", status.name()),
            ApprovalError::DoesNotMatch(differences) => {
                let differences: Vec<Value> = differences
                    .iter()
                    .map(|d| json!({"field": d.field, "approved": d.approved, "asked": d.asked}))
                    .collect();
                refusal.with_extra("differences", differences)
            }
            _ => refusal,
        }
        .into()
    }
}

/// The refusal of an approval that is not there, or not for this caller.
pub fn approval_not_found() -> Refusal {
    Refusal::not_found("approval_not_found", "there is no such approval")
}
