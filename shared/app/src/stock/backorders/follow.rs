//! A backorder follows its reservation: sold, given back, over, or held on.

use jiff::Timestamp;
use tillstream_domain::backorder::BackorderState;
use tillstream_domain::quantity::Quantity;

use super::find;
use super::item::{End, StoredBackorder, sold_of};
use super::serve::end_too_late;
use crate::database::{Cancellation, DatabaseError, Write};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::expiry::free_these;
use crate::stock::holds::standing_lines;
use crate::stock::reservation_item::{Reservation, State};
use crate::stock::reservations::standing_holds;
use crate::stock::reserve::header_of;
use crate::tenancy::TenantScope;

/// What has become of a reservation.
enum Fate {
    /// It holds.
    Holds,
    /// It ended so, with a reason where one is known.
    Ended(BackorderState, Option<&'static str>),
    /// Its time is over by our clock, and whether anybody may still sell it is to be seen.
    MayBeOver,
}

fn fate_of(reservation: &Reservation, now: Timestamp) -> Result<Fate> {
    Ok(match reservation.state {
        State::Active if !reservation.has_expired(now) => Fate::Holds,
        State::Active => Fate::MayBeOver,
        State::Committed => Fate::Ended(BackorderState::Fulfilled, None),
        State::Released => Fate::Ended(BackorderState::Cancelled, Some("its reservation was released")),
        state => {
            let (id, state) = (&reservation.id, state.name());
            return Err(Error::Bug(format!("reservation {id} of a backorder is {state}")));
        }
    })
}

/// Ends what a reservation holds whose time is over, and nothing that others hold; answers whether nobody can sell it any
/// more. Its hold lines are looked for first and its header after them: one that is active then was not sold before they
/// were gone.
async fn is_over(
    ports: &Ports,
    scope: &TenantScope,
    stored: &StoredBackorder,
    reservation: &Reservation,
    now: Timestamp,
) -> Result<bool> {
    let standing = standing_holds(ports, scope, reservation).await?;
    if !standing.is_empty() {
        free_these(ports, scope, (&stored.location_id, &stored.sku), standing, now).await?;
        let lines = standing_lines(ports.database.as_ref(), scope, &reservation.holds()).await?;
        if !lines.is_empty() {
            return Ok(false);
        }
    }
    let header = header_of(ports, scope, &reservation.id).await?;
    Ok(header.is_some_and(|header| header.version == reservation.version))
}

/// The writes that bring a backorder to where its reservation stands; `None` where it is there already.
async fn writes(
    ports: &Ports,
    scope: &TenantScope,
    stored: &StoredBackorder,
    reservation: Option<&Reservation>,
    now: Timestamp,
) -> Result<Option<Vec<Write>>> {
    let end = |state, reason: Option<&str>, fulfilled: Quantity| {
        let next =
            stored.ended(End { state, at: now, fulfilled, by: None, reason: reason.map(str::to_owned) });
        Ok(Some(vec![stored.replace(scope, &next)?, next.fact(scope, now)?]))
    };
    let Some(reservation) = reservation else {
        // A restore from backup may lose it: then nothing holds it.
        return end(BackorderState::Expired, Some("its reservation is gone"), stored.fulfilled);
    };
    match fate_of(reservation, now)? {
        Fate::Ended(state, reason) => end(state, reason, sold_of(reservation)),
        Fate::MayBeOver => {
            if is_over(ports, scope, stored, reservation, now).await? {
                let reason = Some("what was reserved for it was not fetched in time");
                return end(BackorderState::Expired, reason, sold_of(reservation));
            }
            Err(Error::retryable("a reservation of a backorder changed while it ended"))
        }
        Fate::Holds => {
            let next = stored.held_as(reservation);
            let is_known = next.expires_at == stored.expires_at && next.fulfilled == stored.fulfilled;
            if is_known {
                return Ok(None);
            }
            Ok(Some(vec![stored.replace(scope, &next)?]))
        }
    }
}

/// Brings a backorder to where its reservation stands, or ends it where it was needed before now and waits still.
/// Answers it as it stands then; `None` where there is none. Harmless at any time, by anybody, in parallel.
///
/// # Errors
/// As the database.
pub async fn follow(
    ports: &Ports,
    scope: &TenantScope,
    id: &str,
    now: Timestamp,
) -> Result<Option<StoredBackorder>> {
    let now = Timestamp::from_millisecond(now.as_millisecond()).map_err(Error::bug)?;
    let mut attempts = Attempts::new(ports.environment.as_ref());
    loop {
        let Some(stored) = find(ports, scope, id).await? else { return Ok(None) };
        let written = match (stored.state, &stored.reservation_id) {
            (BackorderState::Waiting, _) if stored.is_too_late(now) => end_too_late(scope, &stored, now)?,
            (BackorderState::Reserved, Some(reservation_id)) => {
                let reservation = header_of(ports, scope, reservation_id).await?;
                match writes(ports, scope, &stored, reservation.as_ref(), now).await {
                    Ok(Some(writes)) => writes,
                    Ok(None) => return Ok(Some(stored)),
                    Err(Error::Retryable { reason, .. }) => {
                        attempts.after_a_wait(&reason).await?;
                        continue;
                    }
                    Err(error) => return Err(error),
                }
            }
            _ => return Ok(Some(stored)),
        };
        match ports.database.transact(written).await {
            Ok(()) => attempts.at_once("a backorder followed its reservation")?,
            Err(DatabaseError::Cancelled(reasons))
                if reasons.iter().any(|r| matches!(r, Cancellation::ConditionFailed(_))) =>
            {
                attempts.at_once("the backorder changed meanwhile")?;
            }
            Err(error) if error.is_transient() => attempts.after_a_wait("following a reservation").await?,
            Err(error) => return Err(error.into()),
        }
    }
}
