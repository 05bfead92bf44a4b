//! Versions of orders that the relay may have lost. The numbers of a lane tell of an order that was never
//! announced, but not of its later versions: each change of status is therefore due to be looked after
//! once, and has its deliveries made where they are missing.

use jiff::{Timestamp, ToSpan};

use super::in_turn;
use crate::database::{
    Change, Condition, Consistency, DatabaseError, Get, Index, Key, Query, Range, Table, Write,
};
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
    let mut seen = 0;
    for shard in in_turn((0..keys::DUE_SHARDS).collect(), now) {
        let query = Query {
            range: Range::Numbers(0, now.as_millisecond()),
            limit: u32::try_from(most).unwrap_or(u32::MAX),
            ..Query::index(Table::Orders, Index::Due, keys::due("version", shard))
        };
        for key_only in ports.database.query(query).await?.items {
            if seen >= most || ports.environment.now() >= deadline {
                return Ok(seen);
            }
            seen += 1;
            let key = Key::of(&key_only)?;
            let get = Get { table: Table::Orders, key: key.clone(), consistency: Consistency::Strong };
            let Some(item) = ports.database.get(get).await? else { continue };
            let Some(due) = item.opt_number("due_at") else { continue };
            if !announce(ports, queue, facts_of(&item)?).await?.is_empty() {
                continue;
            }
            let done = Write::Update {
                table: Table::Orders,
                key,
                changes: vec![Change::Remove("due_pk"), Change::Remove("due_at")],
                condition: Some(Condition::Eq("due_at", due.into())),
            };
            match ports.database.write(done).await {
                // Another version came meanwhile: it is due by itself.
                Ok(()) | Err(DatabaseError::ConditionFailed(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(seen)
}
