//! Calling a backorder off, in its queue or held by its reservation.

use jiff::Timestamp;
use tillstream_contracts::backorders::CancelBackorderRequest;
use tillstream_domain::backorder::BackorderState;
use tillstream_domain::quantity::Quantity;

use super::item::{Applied, End, StoredBackorder, sold_of};
use super::serve::end_waiting;
use super::{Answer, find_in_reach, follow};
use crate::database::{Cancellation, Condition, DatabaseError, Write};
use crate::error::{Error, Refusal, Result};
use crate::fields::text;
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::counters::Movement;
use crate::stock::holds::{Ending, end_holds};
use crate::stock::request_identity::{fingerprint, key_reused, request_number};
use crate::stock::reservation_item::{KeyedRequest, State};
use crate::stock::reservations::standing_holds;
use crate::stock::reserve::{header_of, now_kept};
use crate::stock::update::REASON_CHARS_MAX;
use crate::tenancy::{Caller, TenantScope};

fn check(request: &CancelBackorderRequest) -> Result<()> {
    let Some(reason) = &request.reason else { return Ok(()) };
    if reason.trim().is_empty() || reason.chars().count() > REASON_CHARS_MAX {
        let message = format!("a reason is 1 to {REASON_CHARS_MAX} characters that say why; or leave it out");
        return Err(Refusal::field("reason", "reason_invalid", message).into());
    }
    text("reason", reason, REASON_CHARS_MAX)
}

fn over(stored: &StoredBackorder) -> Error {
    let name = stored.state.name();
    Refusal::conflict("backorder_over", format!("backorder {} is {name}", stored.id))
        .with_extra("backorder_status", name)
        .into()
}

/// The cancellation of one backorder.
struct Cancelling<'a> {
    scope: &'a TenantScope,
    caller: &'a Caller,
    request: &'a CancelBackorderRequest,
    keyed: KeyedRequest<'a>,
    now: Timestamp,
}

impl Cancelling<'_> {
    fn next(&self, stored: &StoredBackorder, fulfilled: Quantity) -> StoredBackorder {
        let end = End {
            state: BackorderState::Cancelled,
            at: self.now,
            fulfilled,
            by: Some(self.caller.subject.clone()),
            reason: self.request.reason.clone(),
        };
        StoredBackorder { cancelled: Some(Applied::of(&self.keyed)), ..stored.ended(end) }
    }

    /// What it writes of one in its queue.
    fn of_waiting(&self, stored: &StoredBackorder) -> Result<Vec<Write>> {
        let movement = stored.movement("backorder_cancel", &self.caller.subject, self.now);
        end_waiting(self.scope, stored, &self.next(stored, Quantity::ZERO), &movement)
    }

    /// What it writes of one that a reservation holds: the reservation is released in the same transaction. `None` where
    /// it is not held any more.
    async fn of_reserved(
        &self,
        ports: &Ports,
        stored: &StoredBackorder,
        reservation_id: &str,
    ) -> Result<Option<Vec<Write>>> {
        let scope = self.scope;
        let reservation = header_of(ports, scope, reservation_id).await?;
        let Some(reservation) = reservation.filter(|header| header.state == State::Active) else {
            return Ok(None);
        };
        let standing = standing_holds(ports, scope, &reservation).await?;
        let next = self.next(stored, sold_of(&reservation));
        let movement = Movement {
            kind: "release",
            reference: reservation.id.clone(),
            actor: self.caller.subject.clone(),
            at: self.now,
            reason: Some(format!("backorder {} was cancelled", stored.id)),
        };
        let released = reservation.next(State::Released, reservation.expires_at, None, &self.keyed);
        let mut writes =
            vec![stored.replace(scope, &next)?, next.fact(scope, self.now)?, released.overwrite(scope)?];
        let ended = end_holds(scope, &standing, &Ending::GiveBack(Condition::Exists), &movement);
        writes.extend(ended.into_iter().map(|(write, _)| write));
        Ok(Some(writes))
    }
}

/// Calls a backorder off. `precondition` is asked about the version that stands; a repetition of what took effect is not
/// asked.
///
/// # Errors
/// What `precondition` refuses; 403 `store_out_of_reach`; 404 `backorder_not_found`; 409 `backorder_over`; 422
/// `reason_invalid`, `text_malformed`, `card_number_refused`, `idempotency_key_reused`.
pub async fn cancel(
    ports: &Ports,
    caller: &Caller,
    idempotency_key: &str,
    id: &str,
    request: &CancelBackorderRequest,
    precondition: impl Fn(Option<u64>) -> std::result::Result<(), Refusal> + Send + Sync,
) -> Result<Answer> {
    let now = now_kept(ports)?;
    check(request)?;
    let scope = &caller.scope;
    let fingerprint = fingerprint("cancel-backorder", &(id, request))?;
    let keyed = KeyedRequest {
        key: idempotency_key,
        fingerprint: &fingerprint,
        number: request_number(ports.environment.as_ref()),
    };
    let cancelling = Cancelling { scope, caller, request, keyed, now };
    let mut attempts = Attempts::new(ports.environment.as_ref());
    loop {
        let stored = find_in_reach(ports, caller, id).await?;
        let seen = stored.cancelled.as_ref().map(|applied| applied.seen(&keyed)).transpose()?.flatten();
        if let Some(replayed) = seen {
            return Ok(Answer { backorder: stored.shown(), replayed });
        }
        if stored.placed.key == keyed.key {
            // The request that made it: it was another.
            return Err(key_reused());
        }
        precondition(Some(stored.version.unsigned_abs()))?;
        let writes = match (stored.state, &stored.reservation_id) {
            (BackorderState::Waiting, _) => Some(cancelling.of_waiting(&stored)?),
            (BackorderState::Reserved, Some(reservation_id)) => {
                cancelling.of_reserved(ports, &stored, reservation_id).await?
            }
            _ => return Err(over(&stored)),
        };
        let Some(writes) = writes else {
            // It was sold or released, and the backorder does not say so yet.
            follow(ports, scope, id, now).await?;
            attempts.at_once("the backorder followed its reservation")?;
            continue;
        };
        match ports.database.transact(writes).await {
            Ok(()) => {}
            Err(DatabaseError::Cancelled(reasons))
                if reasons.iter().any(|r| matches!(r, Cancellation::ConditionFailed(_))) => {}
            Err(error) if error.is_transient() => {
                attempts.after_a_wait("cancelling a backorder").await?;
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        // What is read next tells: our own write, or what came before it.
        attempts.at_once("the backorder was cancelled or changed")?;
    }
}
