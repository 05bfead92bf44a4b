//! The stock of a long reservation that was committed, in part or whole, follows chunk by chunk.

use crate::database::{Cancellation, Condition, DatabaseError, Item, Table, Write};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::counters::{Counters, Movement};
use crate::stock::holds::{Ending, EndingWrite, Hold, Located, end_holds, has_moved, keep_due_aside, locate};
use crate::stock::layout::Place;
use crate::stock::long_reservations::chunk::{Chunk, ChunkState};
use crate::stock::long_reservations::header::last_ordinal;
use crate::stock::reservation_item::{Reservation, State};
use crate::stock::taken_beyond::found_less_write;
use crate::tenancy::TenantScope;

/// Whether what is being committed is all that is held.
pub(super) fn is_whole(reservation: &Reservation) -> bool {
    reservation.keys.last().is_some_and(|last| last.state == State::Committed)
}

/// Settles every chunk of which something was committed and is still held. `false`: others are at it; look again.
///
/// # Errors
/// As the database; [`Error::Retryable`] when the time is up; a bug where something is not held that must be.
pub(super) async fn settle_all(
    ports: &Ports,
    scope: &TenantScope,
    reservation: &Reservation,
) -> Result<bool> {
    let whole = is_whole(reservation);
    let chunks = reservation.long.as_ref().map(|long| long.chunks.as_slice()).unwrap_or_default();
    for chunk in chunks {
        let is_due = if whole { chunk.state == ChunkState::Held } else { chunk.unsettled.is_some() };
        if is_due && !settle(ports, scope, reservation, chunk, whole).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Where the hold lines of a chunk count that the last request sold of.
///
/// # Errors
/// As the database.
pub(super) async fn sold_holds(
    ports: &Ports,
    scope: &TenantScope,
    reservation: &Reservation,
    chunk: &Chunk,
    (ordinal, whole): (u32, bool),
) -> Result<Vec<Located>> {
    let sold = chunk.sold_by(ordinal, whole);
    let lessened = reservation.holds_of(sold.iter().map(|(line, sold)| (line, *sold)));
    let (holds, left): (Vec<Hold>, Vec<_>) = lessened.filter(|(hold, left)| hold.quantity != *left).unzip();
    let located = locate(ports.database.as_ref(), scope, holds).await?;
    Ok(located.into_iter().zip(left).map(|(located, left)| Located { left, ..located }).collect())
}

/// Settles one chunk. `false`: somebody else did.
async fn settle(
    ports: &Ports,
    scope: &TenantScope,
    reservation: &Reservation,
    chunk: &Chunk,
    whole: bool,
) -> Result<bool> {
    let movement = reservation.movement()?;
    let ordinal = chunk.unsettled.unwrap_or_else(|| last_ordinal(reservation));
    let mut next = chunk.clone();
    next.version += 1;
    next.unsettled = None;
    if whole {
        next.state = ChunkState::Settled;
    }
    for (line, (mut held, sold)) in next.lines.iter_mut().zip(chunk.sold_by(ordinal, whole)) {
        held.commit(sold);
        line.parts = held.parts;
    }
    let mut attempts = Attempts::new(ports.environment.as_ref());
    loop {
        let located = sold_holds(ports, scope, reservation, chunk, (ordinal, whole)).await?;
        // What was good when it was sold is the customer's, whenever its stock follows.
        let ended = end_holds(scope, &located, &Ending::Settle(movement.at), &movement);
        let (stock, about): (Vec<Write>, Vec<EndingWrite>) = ended.into_iter().unzip();
        let own = chunk.replace(scope, reservation, &next)?;
        match ports.database.transact(std::iter::once(own).chain(stock).collect()).await {
            Ok(()) => return Ok(true),
            Err(DatabaseError::Cancelled(reasons))
                if matches!(reasons.first(), Some(Cancellation::ConditionFailed(_))) =>
            {
                return Ok(false);
            }
            Err(DatabaseError::Cancelled(reasons))
                if reasons.iter().any(|r| matches!(r, Cancellation::ConditionFailed(_))) =>
            {
                let failed = reasons.iter().skip(1).zip(&about).filter_map(|(reason, about)| match reason {
                    Cancellation::ConditionFailed(item) => Some((about, item.as_ref())),
                    _ => None,
                });
                let failed: Vec<(&EndingWrite, Option<&Item>)> = failed.collect();
                if !failed.iter().any(|(about, item)| has_moved(about, *item))
                    && !keep_due_aside(ports, scope, &failed, movement.at).await?
                {
                    cover(ports, scope, (reservation, chunk), &movement, &failed).await?;
                }
                attempts.at_once("stock changed while it was settled")?;
            }
            Err(error) if error.is_transient() => attempts.after_a_wait("settling").await?,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Less was found than was sold, after it was sold: by a count, a recall or the end of a lot's day. What is missing is
/// entered as a discrepancy, so that on hand stays at or above zero. Who found it has opened an exception for as much.
async fn cover(
    ports: &Ports,
    scope: &TenantScope,
    (reservation, chunk): (&Reservation, &Chunk),
    sale: &Movement,
    failed: &[(&EndingWrite, Option<&Item>)],
) -> Result<()> {
    let not_settled = Condition::All(vec![
        Condition::Eq("version", chunk.version.into()),
        Condition::Eq("attempt", chunk.attempt.into()),
    ]);
    let key = scope.reservation_chunk(&reservation.id, chunk.number);
    let mut writes = vec![Write::Check { table: Table::Stock, key, condition: not_settled }];
    for (about, item) in failed {
        // Parts are counted only when they are merged: what a part holds, it has.
        let EndingWrite::Stock { location_id, sku, quantity, place: Place::First } = about else {
            return Err(lost(reservation));
        };
        let stock = item.map(Counters::of).transpose()?.unwrap_or_default();
        let missing = quantity.thousandths() - stock.on_hand;
        if missing <= 0 || stock.reserved < quantity.thousandths() {
            return Err(lost(reservation));
        }
        writes.push(found_less_write(scope, (location_id, sku), &stock, missing, sale));
    }
    match ports.database.transact(writes).await {
        Ok(()) => Ok(()),
        // Others were first, or nothing is missing any more: the next try tells.
        Err(DatabaseError::Cancelled(reasons))
            if reasons.iter().any(|r| matches!(r, Cancellation::ConditionFailed(_))) =>
        {
            Ok(())
        }
        Err(error) if error.is_transient() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn lost(reservation: &Reservation) -> Error {
    Error::Bug(format!("reservation {} lost a hold that it had sold", reservation.id))
}
