//! `POST /v1/approvals/{id}/grant` and `/deny`: a supervisor decides, once.

use serde_json::Value;
use tillstream_contracts::approvals::DecideApproval;
use tillstream_domain::approval::Person;

use super::Answer;
use super::item::{StoredApproval, approval_get};
use super::refusals::approval_not_found;
use super::view::approval_view;
use crate::database::DatabaseError;
use crate::environment::Retries;
use crate::error::{Error, Result};
use crate::fields::{id, text};
use crate::ports::Ports;
use crate::pos::identity::{command_identity, reused_key};
use crate::pos::returns::REASON_CHARS_MAX;
use crate::stock::reservations::request_number;
use crate::tenancy::{Caller, Role};
use crate::tenant_rules::tenant_rules;

/// Roles that may decide; they need no approval themselves.
pub const DECIDERS: [Role; 1] = [Role::StoreManager];

/// Grants or denies the approval `approval_id`.
///
/// # Errors
/// 403 `role_required`, `approval_of_own_request`; 404 `approval_not_found`; 409 `approval_decided`,
/// `approval_expired`; 422 for fields and `idempotency_key_reused`; [`Error::Conflict`] after too many lost
/// races.
pub async fn decide(
    ports: &Ports,
    caller: &Caller,
    key: &str,
    approval_id: &str,
    granted: bool,
    sent: DecideApproval,
) -> Result<Answer> {
    caller.require_role(&DECIDERS)?;
    id("id", approval_id)?;
    if let Some(reason) = &sent.reason {
        text("reason", reason, REASON_CHARS_MAX)?;
    }
    let scope = &caller.scope;
    let now = ports.environment.now();
    let action = if granted { "grant_approval" } else { "deny_approval" };
    let payload: Value = serde_json::to_value(&sent).map_err(Error::bug)?;
    let identity =
        command_identity(key, &[scope.tenant_id(), approval_id, action, &caller.subject], &payload);
    let request = request_number(ports.environment.as_ref());
    let rules = tenant_rules(ports, scope, now).await?;
    let by = Person { subject: caller.subject.clone(), employee_id: caller.subject.clone() };
    let mut retries = Retries::new(ports.environment.as_ref(), now);
    loop {
        let read = ports.database.get(approval_get(scope, approval_id)).await;
        let Some(read) = retries.answered(read).await? else { continue };
        let mut stored = StoredApproval::of(&read.ok_or_else(approval_not_found)?)?;
        if !caller.reaches(&stored.approval.bound.store_id) {
            return Err(approval_not_found().into());
        }
        if let Some(before) = stored.decided.filter(|before| before.key == identity.key) {
            if before != identity {
                return Err(reused_key().into());
            }
            let replayed = stored.request != request;
            return Ok(Answer { approval: approval_view(&stored, now), replayed });
        }
        let seconds = rules.settings.approvals.granted_seconds;
        stored.approval.decide(granted, by.clone(), now, sent.reason.clone(), seconds)?;
        stored.decided = Some(identity);
        stored.request = request;
        let write = stored.clone().next(scope)?;
        stored.approval.version += 1;
        match ports.database.write(write).await {
            Ok(()) => return Ok(Answer { approval: approval_view(&stored, now), replayed: false }),
            Err(DatabaseError::Invalid(what)) => return Err(Error::Bug(what)),
            Err(error) => retries.again(&error.to_string()).await?,
        }
    }
}
