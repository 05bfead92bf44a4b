//! Versions of orders that the relay may have lost. The numbers of a lane tell of an order that was never
//! announced, but not of its later versions: each change of status is therefore due to be looked after
//! once, and has its deliveries made where they are missing.

use jiff::{Timestamp, ToSpan};

use super::announcements::{self, DUE_AFTER_SECONDS};
use super::due::DueWork;
use crate::database::{Change, Table};
use crate::error::{Error, Result};
use crate::keys;
use crate::ports::{Ports, WakeUpQueue};
use crate::pos::identity::spread;
use crate::relay::facts_of;

/// What makes an order of which a version was written at `at` due.
///
/// # Errors
/// A bug for a time at the end of time.
pub fn due_changes(order_id: &str, at: Timestamp) -> Result<[Change; 2]> {
    let due = at.checked_add(DUE_AFTER_SECONDS.seconds()).map_err(Error::bug)?;
    Ok([
        Change::Set("due_pk", keys::due("version", spread(order_id)).value().into()),
        Change::Set("due_at", due.as_millisecond().into()),
    ])
}

/// Sees to it that all versions of orders that are due have a delivery, over all tenants; answers how many
/// orders were looked at. Begins with none after `deadline`. An order that cannot be read holds up no other.
///
/// # Errors
/// [`Error::Retryable`] where the index cannot be read, or wake-ups cannot be sent.
pub async fn announce_due(
    ports: &Ports,
    queue: &dyn WakeUpQueue,
    now: Timestamp,
    most: usize,
    deadline: Timestamp,
) -> Result<usize> {
    let work = DueWork { table: Table::Orders, kind: "version", now, most, deadline };
    announcements::announce_due(ports, queue, work, facts_of).await
}
