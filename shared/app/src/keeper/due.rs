//! Work that is due and that nobody has done: walked through an index over all tenants.

use jiff::Timestamp;

use super::in_turn;
use crate::database::{Change, Condition, Consistency, Get, Index, Item, Key, Query, Range, Table, Write};
use crate::error::Result;
use crate::keys;
use crate::ports::Ports;

/// How far a walk through due work goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DueWork {
    /// Where the work stands.
    pub(crate) table: Table,
    /// Its kind, as the index names it.
    pub(crate) kind: &'static str,
    /// Due until then.
    pub(crate) now: Timestamp,
    /// Most items that are looked at.
    pub(crate) most: usize,
    /// None is begun after this.
    pub(crate) deadline: Timestamp,
}

/// Hands over every item that is due, as it is now; answers how many were looked at. Of two walks each begins
/// elsewhere.
///
/// # Errors
/// Where the index cannot be read; what `go_on` fails with.
pub(crate) async fn walk_due<F>(ports: &Ports, work: DueWork, go_on: impl Fn(Item) -> F) -> Result<usize>
where
    F: Future<Output = Result<()>>,
{
    let DueWork { table, kind, now, most, deadline } = work;
    let mut seen = 0;
    for shard in in_turn((0..keys::DUE_SHARDS).collect(), now) {
        let query = Query {
            range: Range::Numbers(0, now.as_millisecond()),
            limit: u32::try_from(most).unwrap_or(u32::MAX),
            ..Query::index(table, Index::Due, keys::due(kind, shard))
        };
        for key_only in ports.database.query(query).await?.items {
            if seen >= most || ports.environment.now() >= deadline {
                return Ok(seen);
            }
            seen += 1;
            let get = Get { table, key: Key::of(&key_only)?, consistency: Consistency::Strong };
            if let Some(item) = ports.database.get(get).await? {
                go_on(item).await?;
            }
        }
    }
    Ok(seen)
}

/// Lets the next walks meet an item later, behind the others. Where that fails, they meet it sooner.
pub(crate) async fn postpone(ports: &Ports, table: Table, seen: &Item, until_millis: i64) {
    let (Some(due), Ok(key)) = (seen.opt_number("due_at"), Key::of(seen)) else { return };
    let write = Write::Update {
        table,
        key,
        changes: vec![Change::Set("due_at", until_millis.into())],
        condition: Some(Condition::Eq("due_at", due.into())),
    };
    if let Err(error) = ports.database.write(write).await {
        tracing::info!(pk = seen.opt_text("pk"), %error, "due work was not postponed");
    }
}
