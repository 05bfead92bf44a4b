//! Ending a sheet: closing brings the books to what was counted, cancelling leaves them as they are.

use jiff::Timestamp;
use serde::Serialize;
use tillstream_contracts::counts::{CancelCountRequest, CloseCountRequest, CountStatus};
use tillstream_domain::approval::{Binding, Bound};
use tillstream_domain::money::Money;

use super::drive::{Driven, Pace, drive};
use super::item::{Ending, RequestMark, StoredCount};
use super::{Answer, find_in_reach};
use crate::approvals::stock_grant::{self, StockUse};
use crate::database::{Cancellation, DatabaseError};
use crate::error::{Refusal, Result};
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::request_identity::{fingerprint, request_number};
use crate::stock::reservation_item::KeyedRequest;
use crate::stock::reserve::now_kept;
use crate::stock::update::check_reason;
use crate::tenancy::Caller;
use crate::tenant_rules::tenant_rules;

/// What an approval of closing a sheet is bound to: the sheet as it stands, and how far it is from the books.
pub(crate) fn bound_of(stored: &StoredCount) -> Bound {
    let variance = Money { amount: stored.variance().value, currency: stored.currency };
    let version = stored.version.unsigned_abs();
    let binding = Binding::CloseCount { count_id: stored.id.clone(), version, variance };
    Bound { store_id: stored.location_id.clone(), register_id: None, binding }
}

/// How a sheet is to end.
struct Asked<'a> {
    status: CountStatus,
    reason: Option<&'a str>,
    approval_id: Option<&'a str>,
}

/// Closes a sheet: on hand of each line that was counted changes by its variance. Lines that nobody counted stay as
/// they are. `precondition` is asked about the version that stands; a repetition of what took effect is not asked.
///
/// # Errors
/// What `precondition` refuses; 403 `store_out_of_reach`, `approval_required`, and those of an approval; 404
/// `count_not_found`; 409 `count_closed`, `count_cancelled`, `nothing_counted`, and those of an approval; 422
/// `reason_invalid`, malformed texts and ids, `idempotency_key_reused`.
pub async fn close(
    ports: &Ports,
    caller: &Caller,
    idempotency_key: &str,
    id: &str,
    request: &CloseCountRequest,
    precondition: impl Fn(Option<u64>) -> std::result::Result<(), Refusal> + Send + Sync,
) -> Result<Answer> {
    request.reason.as_deref().map_or(Ok(()), check_reason)?;
    let asked = Asked {
        status: CountStatus::Closing,
        reason: request.reason.as_deref(),
        approval_id: request.approval_id.as_deref(),
    };
    end(ports, caller, (idempotency_key, "close-count", request), id, &asked, precondition).await
}

/// Cancels a sheet: nothing of it comes into the books.
///
/// # Errors
/// As [`close`], approvals apart.
pub async fn cancel(
    ports: &Ports,
    caller: &Caller,
    idempotency_key: &str,
    id: &str,
    request: &CancelCountRequest,
    precondition: impl Fn(Option<u64>) -> std::result::Result<(), Refusal> + Send + Sync,
) -> Result<Answer> {
    check_reason(&request.reason)?;
    let asked = Asked { status: CountStatus::Cancelled, reason: Some(&request.reason), approval_id: None };
    end(ports, caller, (idempotency_key, "cancel-count", request), id, &asked, precondition).await
}

/// Whether the tenant's limit lets the caller close the sheet alone.
async fn needs_approval(
    ports: &Ports,
    caller: &Caller,
    stored: &StoredCount,
    now: Timestamp,
) -> Result<bool> {
    let rule = tenant_rules(ports, &caller.scope, now).await?.settings.approvals.count_variance;
    let variance = stored.variance();
    Ok(rule.needs(variance.value) || (rule.required && variance.unpriced > 0))
}

async fn end<T: Serialize>(
    ports: &Ports,
    caller: &Caller,
    (key, action, request): (&str, &str, &T),
    id: &str,
    asked: &Asked<'_>,
    precondition: impl Fn(Option<u64>) -> std::result::Result<(), Refusal> + Send + Sync,
) -> Result<Answer> {
    let now = now_kept(ports)?;
    let scope = &caller.scope;
    let keyed = KeyedRequest {
        key,
        fingerprint: &fingerprint(action, &(id, request))?,
        number: request_number(ports.environment.as_ref()),
    };
    let mut attempts = Attempts::new(ports.environment.as_ref());
    let mut pace = Pace::default();
    loop {
        let stored = find_in_reach(ports, caller, id).await?;
        let ours =
            stored.body.ending.as_ref().map(|ending| ending.request.is_again(&keyed)).transpose()?.flatten();
        if stored.status == CountStatus::Closing {
            // Whoever began it: what is asked now comes after it.
            match drive(ports, scope, &stored, &mut pace).await? {
                Driven::On => attempts.at_once("the sheet is being closed")?,
                Driven::Later(why) => attempts.after_a_wait(&why).await?,
            }
            continue;
        }
        if let Some(replayed) = ours {
            return Ok(Answer { sheet: stored.shown(scope), replayed });
        }
        stored.require_open()?;
        precondition(Some(stored.version.unsigned_abs()))?;
        let mut writes = Vec::new();
        let mut approval = None;
        if asked.status == CountStatus::Closing {
            if stored.counted() == 0 {
                let detail = "nothing was counted on this sheet; cancel it";
                return Err(Refusal::conflict("nothing_counted", detail).into());
            }
            let needed = needs_approval(ports, caller, &stored, now).await?;
            let permitted =
                stock_grant::permit(ports, caller, asked.approval_id, needed, &bound_of(&stored), now).await;
            if permitted.is_err() && find_in_reach(ports, caller, id).await?.version != stored.version {
                // Not read at one moment: it may be this very request, sent twice, that used the approval.
                attempts.at_once("the sheet changed meanwhile")?;
                continue;
            }
            if let Some(grant) = permitted? {
                approval = Some((grant.approval_id().to_owned(), grant.approved_by().to_owned()));
                let used = StockUse { caller, at: now, key, resource_id: id };
                writes.push(grant.used_by(&used)?);
            }
        }
        let mut next = stored.clone();
        next.status = asked.status;
        next.body.ending = Some(Ending {
            request: RequestMark::of(&keyed),
            at: now.as_millisecond(),
            by: caller.subject.clone(),
            reason: asked.reason.map(str::to_owned),
            approval,
            done: 0,
        });
        writes.insert(0, stored.replace(scope, &next)?);
        match ports.database.transact(writes).await {
            // What it answers is read: closing goes on from there.
            Ok(()) => attempts.at_once("the sheet is being ended")?,
            Err(DatabaseError::Cancelled(reasons))
                if reasons.iter().any(|r| matches!(r, Cancellation::ConditionFailed(_))) =>
            {
                attempts.at_once("the sheet or its approval changed meanwhile")?;
            }
            Err(error) if error.is_transient() => attempts.after_a_wait("ending a count sheet").await?,
            Err(error) => return Err(error.into()),
        }
    }
}
