//! Whether a hold line of a long reservation still holds although its own time is over: its header tells.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::database::{Consistency, Database, DatabaseError, Get, Table};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::holds::Hold;
use crate::stock::reservation_item::{Reservation, State};
use crate::tenancy::TenantScope;

/// What became of the reservation of a hold line that is past its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::stock) enum Fate {
    /// It holds no longer, and never will again.
    Over,
    /// Its time is over too, but nobody has noted it yet: so it might still be told otherwise.
    Ends(Box<Reservation>),
    /// It was extended to this time, in epoch milliseconds.
    Until(i64),
    /// It is sold; its stock is about to follow.
    Sold,
}

/// The fates of the reservations of those hold lines that are of long ones and past their time, by reservation.
/// Reads nothing where there are none.
///
/// # Errors
/// As the database.
pub(in crate::stock) async fn fates(
    database: &dyn Database,
    scope: &TenantScope,
    holds: &[Hold],
    now: Timestamp,
) -> Result<BTreeMap<String, Fate>> {
    let past: BTreeMap<&str, i64> = holds
        .iter()
        .filter(|hold| hold.has_expired(now))
        .filter_map(|hold| Some((hold.reservation_id.as_str(), hold.attempt?)))
        .collect();
    if past.is_empty() {
        return Ok(BTreeMap::new());
    }
    let get =
        |id: &&str| Get { table: Table::Stock, key: scope.reservation(id), consistency: Consistency::Strong };
    let headers = database.get_many(past.keys().map(get).collect()).await?;
    let mut fates = BTreeMap::new();
    for ((id, attempt), header) in past.into_iter().zip(headers) {
        let header = header.as_ref().map(Reservation::of).transpose()?;
        fates.insert(id.to_owned(), fate(header, attempt, now));
    }
    Ok(fates)
}

fn fate(header: Option<Reservation>, attempt: i64, now: Timestamp) -> Fate {
    let is_of = |header: &Reservation| header.long.as_ref().is_some_and(|long| long.attempt == attempt);
    // What an attempt held that is gone is nobody's.
    let Some(header) = header.filter(is_of) else { return Fate::Over };
    match header.state {
        State::Expired | State::Releasing | State::Released | State::GivingUp => Fate::Over,
        State::Committing | State::Committed => Fate::Sold,
        State::Active | State::Reserving if header.expires_at <= now => Fate::Ends(Box::new(header)),
        State::Active | State::Reserving => Fate::Until(header.expires_at.as_millisecond()),
    }
}

/// Notes in a header whose time is over that it is, before anything of it is freed. Answers whether it is so now;
/// `false`: others changed it first.
///
/// # Errors
/// As the database.
pub(in crate::stock) async fn end(
    ports: &Ports,
    scope: &TenantScope,
    header: &Reservation,
    now: Timestamp,
) -> Result<bool> {
    // What was never there whole is taken away; what was stays to be shown.
    let to = if header.state == State::Reserving { State::GivingUp } else { State::Expired };
    let next = header.moved_to(to, None, now);
    let mut attempts = Attempts::new(ports.environment.as_ref());
    loop {
        match ports.database.write(header.replace(scope, &next)?).await {
            Ok(()) => return Ok(true),
            // After a lost answer it may be our own doing: whoever looks next finds it over.
            Err(DatabaseError::ConditionFailed(_)) => return Ok(false),
            Err(error) if error.is_transient() => attempts.after_a_wait("noting an end").await?,
            Err(error) => return Err(Error::from(error)),
        }
    }
}
