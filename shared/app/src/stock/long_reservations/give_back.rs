//! Giving back what a long reservation holds.

use crate::database::{Cancellation, Condition, DatabaseError};
use crate::error::Result;
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::holds::{Ending, Hold, end_holds, locate, standing_lines};
use crate::stock::long_reservations::chunk::{Chunk, ChunkState};
use crate::stock::long_reservations::header::last_ordinal;
use crate::stock::reservation_item::{HeldLine, Reservation};
use crate::tenancy::TenantScope;

/// Gives back every chunk that may still be held. Its lines say by themselves what is left: whoever wants the
/// stock of one that is over frees it too.
///
/// # Errors
/// As the database; [`crate::Error::Retryable`] when the time is up.
pub(super) async fn give_back_all(
    ports: &Ports,
    scope: &TenantScope,
    reservation: &Reservation,
) -> Result<()> {
    let chunks = reservation.long.as_ref().map(|long| long.chunks.as_slice()).unwrap_or_default();
    for chunk in chunks.iter().filter(|chunk| chunk.state == ChunkState::Held) {
        give_back(ports, scope, reservation, chunk).await?;
    }
    Ok(())
}

async fn give_back(
    ports: &Ports,
    scope: &TenantScope,
    reservation: &Reservation,
    chunk: &Chunk,
) -> Result<()> {
    let movement = reservation.movement()?;
    let all = last_ordinal(reservation).saturating_add(1);
    let lines: Vec<HeldLine> = chunk.lines.iter().map(|line| line.held_before(all)).collect();
    let nothing = tillstream_domain::quantity::Quantity::ZERO;
    let holds: Vec<Hold> = reservation
        .holds_of(lines.iter().map(|line| (line, nothing)))
        .map(|(hold, _)| hold)
        .filter(|hold| hold.quantity != nothing)
        .collect();
    let mut attempts = Attempts::new(ports.environment.as_ref());
    loop {
        let mut standing = standing_lines(ports.database.as_ref(), scope, &holds).await?;
        standing.retain(|hold| hold.attempt == holds.first().and_then(|first| first.attempt));
        if standing.is_empty() {
            return Ok(());
        }
        let located = locate(ports.database.as_ref(), scope, standing).await?;
        let ended = end_holds(scope, &located, &Ending::GiveBack(Condition::Exists), &movement);
        match ports.database.transact(ended.into_iter().map(|(write, _)| write).collect()).await {
            Ok(()) => return Ok(()),
            // Somebody else freed a line, or stock was merged: what is read next tells.
            Err(DatabaseError::Cancelled(reasons))
                if reasons.iter().any(|r| matches!(r, Cancellation::ConditionFailed(_))) =>
            {
                attempts.at_once("a hold ended while it was given back")?;
            }
            Err(error) if error.is_transient() => attempts.after_a_wait("giving back").await?,
            Err(error) => return Err(error.into()),
        }
    }
}
