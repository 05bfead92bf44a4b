//! Takes what is under way with a long reservation to its end, wherever it stands.

use jiff::Timestamp;

use crate::database::{Cancellation, Consistency, DatabaseError, Get, Table, Write};
use crate::error::Result;
use crate::keeper::due::{DueWork, postpone, walk_due};
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::expiry::HoldReads;
use crate::stock::long_reservations::fate;
use crate::stock::long_reservations::give_back::give_back_all;
use crate::stock::long_reservations::header::{DUE, find};
use crate::stock::long_reservations::hold::{Held, Seen, ShortLine, hold_all};
use crate::stock::long_reservations::settle::{is_whole, settle_all};
use crate::stock::reservation_item::{Reservation, State};
use crate::tenancy::TenantScope;

/// What could not be taken on is let be for this time.
const POSTPONED_MILLIS: i64 = 120_000;

/// How a reservation stands when nothing is left to be done.
pub(super) enum Driven {
    /// So.
    Rest(Box<Reservation>),
    /// There is none: it was given up, for these lines if by us.
    Gone(Vec<ShortLine>),
}

/// Does what is left to be done. `seen`: stock that was looked at before, by chunk; `hold_reads`: what the request has
/// read of hold lines.
///
/// # Errors
/// As the database; [`crate::Error::Retryable`] when the time is up.
pub(super) async fn drive(
    ports: &Ports,
    scope: &TenantScope,
    id: &str,
    mut seen: Seen,
    hold_reads: &mut HoldReads,
    now: Timestamp,
) -> Result<Driven> {
    let mut attempts = Attempts::new(ports.environment.as_ref());
    let mut short = Vec::new();
    loop {
        let Some(reservation) = find(ports.database.as_ref(), scope, id).await? else {
            return Ok(Driven::Gone(short));
        };
        let writes = match reservation.state {
            State::Reserving if reservation.expires_at <= now => vec![given_up(scope, &reservation, now)?],
            State::Reserving => {
                match hold_all(ports, scope, &reservation, (&mut seen, &mut *hold_reads), now).await? {
                    Held::All => vec![rests(scope, &reservation, State::Active, now)?],
                    Held::Short(lines) => {
                        short = lines;
                        vec![given_up(scope, &reservation, now)?]
                    }
                    Held::Moved => Vec::new(),
                }
            }
            State::GivingUp => {
                give_back_all(ports, scope, &reservation).await?;
                reservation.remove(scope)
            }
            State::Committing => {
                let to = if is_whole(&reservation) { State::Committed } else { State::Active };
                match settle_all(ports, scope, &reservation).await? {
                    true => vec![rests(scope, &reservation, to, now)?],
                    false => Vec::new(),
                }
            }
            State::Releasing => {
                give_back_all(ports, scope, &reservation).await?;
                vec![rests(scope, &reservation, State::Released, now)?]
            }
            State::Active | State::Committed | State::Released | State::Expired => {
                return Ok(Driven::Rest(Box::new(reservation)));
            }
        };
        if writes.is_empty() {
            attempts.after_a_wait("others go on with the reservation").await?;
            continue;
        }
        match ports.database.transact(writes).await {
            Ok(()) => {}
            // Others were first, or it was our own write whose answer was lost: what is read next tells.
            Err(DatabaseError::Cancelled(reasons))
                if reasons.iter().any(|r| matches!(r, Cancellation::ConditionFailed(_))) =>
            {
                attempts.after_a_wait("others go on with the reservation").await?;
            }
            Err(error) if error.is_transient() => attempts.after_a_wait("a reservation goes on").await?,
            Err(error) => return Err(error.into()),
        }
    }
}

/// The header where nothing is left to be done.
fn rests(scope: &TenantScope, reservation: &Reservation, state: State, now: Timestamp) -> Result<Write> {
    reservation.replace(scope, &reservation.moved_to(state, None, now))
}

fn given_up(scope: &TenantScope, reservation: &Reservation, now: Timestamp) -> Result<Write> {
    rests(scope, reservation, State::GivingUp, now)
}

/// Does what is left to be done with a reservation, if it is a long one and anything is.
///
/// # Errors
/// As the database; [`crate::Error::Retryable`] when the time is up.
pub async fn finish(ports: &Ports, scope: &TenantScope, id: &str, now: Timestamp) -> Result<()> {
    let get = Get { table: Table::Stock, key: scope.reservation(id), consistency: Consistency::Strong };
    let Some(item) = ports.database.get(get).await? else { return Ok(()) };
    if Reservation::of(&item)?.state.is_under_way() {
        drive(ports, scope, id, Vec::new(), &mut HoldReads::default(), now).await?;
    }
    Ok(())
}

/// Goes on with what nobody went on with, over all tenants, at most so many and none begun after `deadline`;
/// answers how many were looked at. What was being made is given up: nobody waits for it any more. What cannot be
/// taken on stands behind the others for a while.
///
/// # Errors
/// [`crate::Error::Retryable`] where the index cannot be read.
pub async fn recover(ports: &Ports, now: Timestamp, most: usize, deadline: Timestamp) -> Result<usize> {
    let work = DueWork { table: Table::Stock, kind: DUE, now, most, deadline };
    walk_due(ports, work, async |item| {
        // The index is a moment behind.
        if item.opt_number("due_at").is_none_or(|due_at| due_at > now.as_millisecond()) {
            return Ok(());
        }
        let scope = TenantScope::from_own_record(item.text("tenant_id")?);
        let header = Reservation::of(&item)?;
        if let Err(error) = go_on(ports, &scope, &header, now).await {
            tracing::warn!(reservation_id = header.id, %error, "a reservation could not be taken on");
            postpone(ports, Table::Stock, &item, now.as_millisecond().saturating_add(POSTPONED_MILLIS)).await;
        }
        Ok(())
    })
    .await
}

async fn go_on(ports: &Ports, scope: &TenantScope, header: &Reservation, now: Timestamp) -> Result<()> {
    if header.state == State::Reserving {
        fate::end(ports, scope, header, now).await?;
    }
    drive(ports, scope, &header.id, Vec::new(), &mut HoldReads::default(), now).await?;
    Ok(())
}
