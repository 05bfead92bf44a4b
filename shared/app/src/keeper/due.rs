//! Work that is due and that nobody has done: walked through an index over all tenants.

use std::collections::{BTreeMap, VecDeque};

use futures::future::try_join_all;
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

/// Index entries that a walk in turns looks over.
const LOOKED_OVER_MAX: usize = 20_000;
/// Of each shard so many at a time.
const ENTRIES_AT_ONCE: u32 = 1_000;
/// So many items are gone on with at once.
const AT_ONCE: usize = 16;

/// Hands over every item that is due, as it is now, several at once and the tenants in turn: so one tenant's backlog
/// takes no more of the time than another's, and what one has no need of is for the others. Of two walks each begins
/// with another tenant. Answers how many were looked at.
///
/// # Errors
/// Where the index cannot be read; what `go_on` fails with.
pub(crate) async fn walk_due_in_turns<F>(
    ports: &Ports,
    work: DueWork,
    go_on: impl Fn(Item) -> F,
) -> Result<usize>
where
    F: Future<Output = Result<()>>,
{
    let mut seen = 0;
    let keys = in_turns(due_of_tenants(ports, &work).await?, work.now, work.most);
    for some in keys.chunks(AT_ONCE) {
        if ports.environment.now() >= work.deadline {
            break;
        }
        seen += some.len();
        let get = |key: &Key| Get { table: work.table, key: key.clone(), consistency: Consistency::Strong };
        let items = ports.database.get_many(some.iter().map(get).collect()).await?;
        try_join_all(items.into_iter().flatten().map(&go_on)).await?;
    }
    Ok(seen)
}

/// Keys of what is due, by tenant, of each the longest due first as far as the index was looked over: all shards
/// alike.
async fn due_of_tenants(ports: &Ports, work: &DueWork) -> Result<BTreeMap<String, VecDeque<Key>>> {
    let mut tenants: BTreeMap<String, VecDeque<Key>> = BTreeMap::new();
    let mut looked_over = 0;
    let query = |shard| Query {
        range: Range::Numbers(0, work.now.as_millisecond()),
        limit: ENTRIES_AT_ONCE,
        ..Query::index(work.table, Index::Due, keys::due(work.kind, shard))
    };
    let mut queries: VecDeque<Query> =
        in_turn((0..keys::DUE_SHARDS).collect(), work.now).into_iter().map(query).collect();
    while let Some(mut query) = queries.pop_front() {
        if looked_over >= LOOKED_OVER_MAX || ports.environment.now() >= work.deadline {
            break;
        }
        let page = ports.database.query(query.clone()).await?;
        looked_over += page.items.len();
        for item in &page.items {
            let key = Key::of(item)?;
            tenants.entry(keys::tenant_in(&key).to_owned()).or_default().push_back(key);
        }
        if let Some(next) = page.next {
            query.start = Some(next);
            queries.push_back(query);
        }
    }
    Ok(tenants)
}

/// At most so many: of each tenant one, again and again while any has one.
fn in_turns(tenants: BTreeMap<String, VecDeque<Key>>, now: Timestamp, most: usize) -> Vec<Key> {
    let mut waiting: VecDeque<VecDeque<Key>> = in_turn(tenants.into_values().collect(), now).into();
    let mut keys = Vec::new();
    while keys.len() < most
        && let Some(mut of_tenant) = waiting.pop_front()
    {
        if let Some(key) = of_tenant.pop_front() {
            keys.push(key);
            waiting.push_back(of_tenant);
        }
    }
    keys
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
