//! What was to be announced and that the relay may have lost: it is due until somebody has seen that all of it has
//! its deliveries.

use super::due::{DueWork, postpone, walk_due};
use crate::database::{Change, Condition, DatabaseError, Item, Key, Write};
use crate::dispatch::announce::{Fact, announce};
use crate::error::Result;
use crate::ports::{Ports, WakeUpQueue};

/// After this time it is looked after: what is only on its way is left alone.
pub(crate) const DUE_AFTER_SECONDS: i64 = 60;
/// For how long one is left alone that cannot be read.
const POSTPONED_MILLIS: i64 = 300_000;

/// Announces what every item that is due says, and takes the mark away that makes it due; answers how many were looked
/// at. One that cannot be read stands behind the others for a while: it keeps no other from being announced.
///
/// # Errors
/// [`crate::Error::Retryable`] where the index cannot be read, or wake-ups cannot be sent.
pub(crate) async fn announce_due(
    ports: &Ports,
    queue: &dyn WakeUpQueue,
    work: DueWork,
    facts_of: fn(&Item) -> Result<Vec<Fact>>,
) -> Result<usize> {
    let DueWork { table, kind, now, .. } = work;
    walk_due(ports, work, async |item| {
        let Some(due) = item.opt_number("due_at") else { return Ok(()) };
        let facts = match facts_of(&item) {
            Ok(facts) => facts,
            Err(error) => {
                tracing::error!(kind, pk = item.opt_text("pk"), %error, "what is to be announced cannot be read");
                postpone(ports, table, &item, now.as_millisecond().saturating_add(POSTPONED_MILLIS)).await;
                return Ok(());
            }
        };
        if !announce(ports, queue, facts).await?.is_empty() {
            return Ok(());
        }
        let done = Write::Update {
            table,
            key: Key::of(&item)?,
            changes: vec![Change::Remove("due_pk"), Change::Remove("due_at")],
            condition: Some(Condition::Eq("due_at", due.into())),
        };
        match ports.database.write(done).await {
            // There is more to announce of it meanwhile: it is due by itself.
            Ok(()) | Err(DatabaseError::ConditionFailed(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    })
    .await
}
