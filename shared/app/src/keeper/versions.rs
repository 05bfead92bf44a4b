//! Versions of orders that the relay may have lost. The numbers of a lane tell of an order that was never
//! announced, but not of its later versions: each change of status is therefore due to be looked after
//! once, and has its deliveries made where they are missing.

use jiff::{Timestamp, ToSpan};

use super::due::{DueWork, walk_due};
use crate::database::{Change, Condition, DatabaseError, Key, Table, Write};
use crate::dispatch::announce::announce;
use crate::error::{Error, Result};
use crate::keys;
use crate::ports::{Ports, WakeUpQueue};
use crate::pos::identity::spread;
use crate::relay::facts_of;

/// After this time a change of status is looked after: what is only on its way is left alone.
const DUE_AFTER_SECONDS: i64 = 60;

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
/// orders were looked at. Begins with none after `deadline`.
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
    walk_due(ports, work, async |item| {
        let Some(due) = item.opt_number("due_at") else { return Ok(()) };
        if !announce(ports, queue, facts_of(&item)?).await?.is_empty() {
            return Ok(());
        }
        let done = Write::Update {
            table: Table::Orders,
            key: Key::of(&item)?,
            changes: vec![Change::Remove("due_pk"), Change::Remove("due_at")],
            condition: Some(Condition::Eq("due_at", due.into())),
        };
        match ports.database.write(done).await {
            // Another version came meanwhile: it is due by itself.
            Ok(()) | Err(DatabaseError::ConditionFailed(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    })
    .await
}
