//! Feeds of things that stand in one item each: the newest version of a line wins, a delete leaves a mark.

use async_trait::async_trait;
use tillstream_contracts::sync::LineOperation;

use super::batch::{BatchRead, Feed, LineOutcome, apply_grouped, not_newer, read_again};
use super::line::{BadLine, Line, check_line_id};
use crate::catalog::attempt::{ATTEMPTS_MAX, Attempt, attempt, pause};
use crate::catalog::put_record::Puts;
use crate::catalog::standing::Standing;
use crate::database::{Item, Key, Table, Write};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::tenancy::TenantScope;

/// Writes that go with a line's own, or why it cannot be applied.
pub(super) type Admission = Result<Vec<Write>, BadLine>;

/// What is particular to a feed.
#[async_trait]
pub(super) trait RecordFeed: Send + Sync {
    /// What a line tells of.
    type Record: Send + Sync;
    /// What people call it.
    const WHAT: &'static str;
    /// Whether lines depend on those before them, so that they are applied one after another.
    const IN_ORDER: bool = false;

    /// Checks a line's id, of a delete too.
    fn check_id(&self, _feed: Feed<'_>, id: &str) -> Result<(), BadLine> {
        check_line_id(id)
    }

    /// Reads and checks what a line that is no delete says.
    fn record_of(&self, line: &Line) -> Result<Self::Record, BadLine>;

    /// Where it stands.
    fn key(&self, scope: &TenantScope, id: &str) -> Key;

    /// Its item, of `version`.
    ///
    /// # Errors
    /// A bug if it cannot be JSON.
    fn item(&self, scope: &TenantScope, record: &Self::Record, version: u64) -> Result<Item>;

    /// What is left when it is deleted, made of the mark that is always left and of what stood there.
    fn mark(&self, _scope: &TenantScope, _id: &str, mark: Item, _old: Option<&Item>) -> Item {
        mark
    }

    /// Carries over to what is written, also to a mark, which has no record, what is to be remembered of what stood
    /// there.
    ///
    /// # Errors
    /// As the database.
    async fn remembering(
        &self,
        _feed: Feed<'_>,
        _id: &str,
        _record: Option<&Self::Record>,
        item: Item,
        _old: Option<&Item>,
    ) -> Result<Item> {
        Ok(item)
    }

    /// Whether a line that is new enough may take the place of `old`, before each attempt to write it. It
    /// has no record where it is a delete.
    ///
    /// # Errors
    /// As the database.
    async fn admit(
        &self,
        _feed: Feed<'_>,
        _id: &str,
        _record: Option<&Self::Record>,
        _old: Option<&Item>,
    ) -> Result<Admission> {
        Ok(Ok(Vec::new()))
    }

    /// Hears how an attempt went.
    fn tried(&self, _attempt: &Attempt) {}

    /// Writes an item over `old`, which must be unchanged, with what goes with it.
    ///
    /// # Errors
    /// A bug if the database refuses the request itself.
    async fn write(
        &self,
        ports: &Ports,
        old: Option<&Item>,
        item: Item,
        with: Vec<Write>,
    ) -> Result<Attempt> {
        let condition = Some(Standing::of(old).unchanged());
        let mut writes = vec![Write::Put { table: Table::Catalog, item, condition }];
        writes.extend(with);
        attempt(ports, writes).await
    }
}

/// A line, checked: what it tells of, or nothing where that is deleted.
struct Change<'a, R> {
    id: &'a str,
    version: i64,
    record: Option<R>,
}

fn change_of<'a, F: RecordFeed>(
    feed: Feed<'_>,
    records: &F,
    line: &'a Line,
) -> Result<Change<'a, F::Record>, BadLine> {
    records.check_id(feed, &line.id)?;
    let record = match line.operation {
        LineOperation::Upsert => Some(records.record_of(line)?),
        LineOperation::Delete => None,
    };
    Ok(Change { id: &line.id, version: line.version, record })
}

/// Applies a batch.
///
/// # Errors
/// [`Error::Retryable`] where the database does not keep up.
pub(super) async fn apply<F: RecordFeed>(
    feed: Feed<'_>,
    records: &F,
    lines: &[Line],
) -> Result<Vec<LineOutcome>> {
    let changes: Vec<_> = lines.iter().map(|line| change_of(feed, records, line)).collect();
    let scope = &feed.caller.scope;
    let keys = changes.iter().flatten().map(|change| (Table::Catalog, records.key(scope, change.id)));
    let read = BatchRead::of(feed.ports, keys).await?;
    let (changes, read) = (&changes, &read);
    // What the batch read is stale after a line of the same id.
    let seen_before = |place: usize| {
        let before = lines.get(..place).unwrap_or_default();
        lines.get(place).is_none_or(|line| before.iter().any(|other| other.id == line.id))
    };
    let group_of = |place: usize| match lines.get(place) {
        Some(line) if !F::IN_ORDER => line.id.clone(),
        _ => String::new(),
    };
    apply_grouped(lines.len(), group_of, |place, _| async move {
        let fresh = (!seen_before(place)).then_some(read);
        match changes.get(place) {
            Some(Ok(change)) => apply_one(feed, records, change, fresh).await,
            Some(Err(bad)) => Ok(LineOutcome::Failed(bad.clone())),
            None => Err(Error::bug("a place outside the batch")),
        }
    })
    .await
}

async fn apply_one<F: RecordFeed>(
    feed: Feed<'_>,
    records: &F,
    change: &Change<'_, F::Record>,
    mut fresh: Option<&BatchRead>,
) -> Result<LineOutcome> {
    let scope = &feed.caller.scope;
    let key = records.key(scope, change.id);
    let mut unknown = false;
    for number in 1..=ATTEMPTS_MAX {
        let old = read_again(feed.ports, fresh.take(), Table::Catalog, &key).await?;
        let standing = Standing::of(old.as_ref());
        if !standing.is_older_than(change.version) {
            return Ok(not_newer(standing.feed_version(), change.version, unknown));
        }
        let with = match records.admit(feed, change.id, change.record.as_ref(), old.as_ref()).await? {
            Ok(with) => with,
            Err(bad) => return Ok(LineOutcome::Failed(bad)),
        };
        let item = match &change.record {
            None => records.mark(scope, change.id, standing.tombstone(&key, change.version), old.as_ref()),
            Some(record) => {
                let version = standing.next_version(Some(change.version));
                let version = u64::try_from(version).map_err(Error::bug)?;
                records.item(scope, record, version)?.with("feed_version", change.version)
            }
        };
        let record = change.record.as_ref();
        let item = records.remembering(feed, change.id, record, item, old.as_ref()).await?;
        let item = Puts::of(old.as_ref())?.into_item(item)?;
        let attempt = records.write(feed.ports, old.as_ref(), item, with).await?;
        records.tried(&attempt);
        match attempt {
            Attempt::Done => return Ok(LineOutcome::Applied),
            Attempt::Unknown => unknown = true,
            Attempt::Failed { .. } | Attempt::Busy => {}
        }
        pause(feed.ports, number).await;
    }
    Err(Error::retryable(format!("{} {} is being changed by others", F::WHAT, change.id)))
}
