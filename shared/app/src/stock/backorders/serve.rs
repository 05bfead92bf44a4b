//! Serving a queue: what is available goes to the first who waits, as long as it is enough for all of it.

use std::time::Duration;

use jiff::Timestamp;
use tillstream_domain::backorder::BackorderState;
use tillstream_domain::quantity::Quantity;

use super::item::{BACKORDERED, End, StoredBackorder};
use super::{find, queue};
use crate::database::{Cancellation, Change, DatabaseError, Write};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::pos::identity::derived_id;
use crate::stock::attempts::Attempts;
use crate::stock::counters::Movement;
use crate::stock::expiry::{HoldReads, free_enough};
use crate::stock::layout::LAYOUT_WHOLE;
use crate::stock::line_layouts::parts_of;
use crate::stock::lots::due::keep_aside_if_due;
use crate::stock::request_identity::request_number;
use crate::stock::reservation_item::{AppliedKey, HeldLine, Reservation, State};
use crate::stock::split::make_whole;
use crate::stock::take::{Share, Taken, take};
use crate::tenancy::TenantScope;

/// Who the ledger names where a queue is served.
const ACTOR: &str = "backorders";
/// Most that one call serves: each that it serves changes the stock item, which tells the next.
const SERVED_MAX: usize = 10;
/// Most parts of split stock that one is taken from: two actions for each, and some for the backorder.
const SHARES_MAX: usize = 32;

/// The writes of a reservation for a backorder: itself, its holds, and the backorder out of its queue.
fn writes(
    scope: &TenantScope,
    stored: &StoredBackorder,
    shares: &[Share],
    (number, now): (i64, Timestamp),
) -> Result<Vec<Write>> {
    let hold = Duration::from_secs(stored.hold_seconds.into());
    let expires_at = now.checked_add(hold).map_err(Error::bug)?;
    let id = derived_id("bo", &[scope.tenant_id(), &stored.id, &number.to_string()]);
    let key = AppliedKey {
        key: stored.id.clone(),
        fingerprint: ACTOR.to_owned(),
        request: number,
        state: State::Active,
        expires_at,
        order_id: stored.order_id.clone(),
        committed: Vec::new(),
    };
    let line = HeldLine {
        location_id: stored.location_id.clone(),
        sku: stored.sku.clone(),
        quantity: stored.quantity,
        unit: stored.unit,
        committed: Quantity::ZERO,
        parts: parts_of(shares),
    };
    let reservation = Reservation {
        id,
        state: State::Active,
        version: 1,
        lines: vec![line],
        kits: Vec::new(),
        expires_at,
        created_at: now,
        created_by: ACTOR.to_owned(),
        order_id: stored.order_id.clone(),
        keys: vec![key],
        long: None,
        backorder_id: Some(stored.id.clone()),
    };
    let movement = Movement {
        kind: "hold",
        reference: reservation.id.clone(),
        actor: ACTOR.to_owned(),
        at: now,
        reason: Some(format!("backorder {}", stored.id)),
    };
    let next = stored.reserved(&reservation);
    let mut writes = vec![
        stored.replace(scope, &next)?,
        stored.leave(scope),
        next.fact(scope, now)?,
        reservation.create(scope)?,
    ];
    let served = -stored.quantity.thousandths();
    let first = scope.stock(&stored.location_id, &stored.sku);
    let mut is_counted = false;
    for (hold, share) in reservation.holds().iter().zip(shares) {
        for mut write in hold.place(scope, &share.seen, &movement) {
            // A transaction takes one action per item: where the first part is taken from, that counts it too.
            if let Write::Update { key, changes, .. } = &mut write
                && *key == first
            {
                changes.push(Change::Add(BACKORDERED, served));
                is_counted = true;
            }
            writes.push(write);
        }
    }
    if !is_counted {
        writes.push(stored.count(scope, served, &stored.movement("backorder_served", ACTOR, now)));
    }
    Ok(writes)
}

/// The writes that end one that waits: it leaves its queue.
pub(super) fn end_waiting(
    scope: &TenantScope,
    stored: &StoredBackorder,
    next: &StoredBackorder,
    movement: &Movement,
) -> Result<Vec<Write>> {
    Ok(vec![
        stored.replace(scope, next)?,
        stored.leave(scope),
        stored.count(scope, -stored.quantity.thousandths(), movement),
        next.fact(scope, movement.at)?,
    ])
}

/// The writes that end one that is of no use any more.
pub(super) fn end_too_late(
    scope: &TenantScope,
    stored: &StoredBackorder,
    now: Timestamp,
) -> Result<Vec<Write>> {
    let next = stored.ended(End {
        state: BackorderState::Expired,
        at: now,
        fulfilled: Quantity::ZERO,
        by: None,
        reason: Some("it was needed before it could be served".to_owned()),
    });
    end_waiting(scope, stored, &next, &stored.movement("backorder_expire", ACTOR, now))
}

/// Serves the queue of a stock item as far as what is available goes; answers how many got a reservation. Harmless at any
/// time, by anybody, in parallel. Who comes late into the queue is not served before it is empty before them, however
/// little they want; and what is available goes to whoever takes it first, in a queue or not.
///
/// # Errors
/// As [`free_enough`]; who was served stays served.
pub async fn serve(
    ports: &Ports,
    scope: &TenantScope,
    (location_id, sku): (&str, &str),
    now: Timestamp,
) -> Result<usize> {
    let now = Timestamp::from_millisecond(now.as_millisecond()).map_err(Error::bug)?;
    let mut attempts = Attempts::new(ports.environment.as_ref());
    let mut served = 0;
    let (mut may_free, mut reads) = (true, HoldReads::default());
    while served < SERVED_MAX {
        let Some(id) = queue::first(ports, scope, (location_id, sku)).await? else { return Ok(served) };
        let stored = find(ports, scope, &id).await?;
        let stored = stored.ok_or_else(|| Error::Bug(format!("backorder {id} waits and is not there")))?;
        if stored.state != BackorderState::Waiting {
            attempts.at_once("somebody else served the queue")?;
            continue;
        }
        let mut serves = false;
        let writes = if stored.is_too_late(now) {
            end_too_late(scope, &stored, now)?
        } else {
            match take(ports, scope, (location_id, sku), stored.quantity, LAYOUT_WHOLE).await? {
                Taken::Again(why) => {
                    attempts.after_a_wait(&why).await?;
                    continue;
                }
                Taken::Short(stock) => {
                    let missing = stored.quantity.thousandths() - stock.map_or(0, |stock| stock.available);
                    if !may_free || !stock.is_some_and(|stock| stock.may_have_expired_holds(now)) {
                        return Ok(served);
                    }
                    let what = (location_id, sku);
                    let freed = free_enough(ports, scope, what, missing, &mut reads, now).await?;
                    may_free = freed.left;
                    attempts.at_once("expired holds were freed")?;
                    continue;
                }
                Taken::Shares(shares, _) if shares.iter().any(|share| share.seen.has_lots_due(now)) => {
                    let seen = shares.first().map(|share| &share.seen);
                    keep_aside_if_due(ports, scope, (location_id, sku), seen, now).await?;
                    attempts.at_once("lots past their day were kept aside")?;
                    continue;
                }
                Taken::Shares(shares, _) if shares.len() > SHARES_MAX => {
                    make_whole(ports, scope, location_id, sku).await?;
                    attempts.at_once("stock was split over too many parts")?;
                    continue;
                }
                Taken::Shares(shares, _) => {
                    serves = true;
                    writes(scope, &stored, &shares, (request_number(ports.environment.as_ref()), now))?
                }
            }
        };
        match ports.database.transact(writes).await {
            Ok(()) => served += usize::from(serves),
            // Somebody else served or cancelled it, or the stock went or was laid out anew: what is read next tells.
            Err(DatabaseError::Cancelled(reasons))
                if reasons.iter().any(|r| matches!(r, Cancellation::ConditionFailed(_))) =>
            {
                attempts.at_once("the queue or its stock changed")?;
            }
            Err(error) if error.is_transient() => attempts.after_a_wait("serving a queue").await?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(served)
}
