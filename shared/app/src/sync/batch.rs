//! How the lines of one batch are applied: what concerns one thing in order, the rest at once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;

use super::line::BadLine;
use crate::database::{Consistency, Get, Item, Key, Table};
use crate::error::Result;
use crate::ports::Ports;
use crate::tenancy::Caller;

/// Most lines that are written at once.
const CONCURRENT_WRITES: usize = 16;

/// Who uploads, and with what.
#[derive(Clone, Copy)]
pub(crate) struct Feed<'a> {
    /// Database and clock.
    pub ports: &'a Ports,
    /// Who sent it.
    pub caller: &'a Caller,
    /// The time of the call.
    pub now: Timestamp,
}

/// What became of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LineOutcome {
    /// It changed something.
    Applied,
    /// It was not newer than what is there.
    Skipped,
    /// Something is wrong with it.
    Failed(BadLine),
}

/// Applies `count` lines: those of one group one after another, so that the outcome of each is as if
/// the lines came one by one; groups beside each other. `apply` hears the line's place and whether it
/// is the first of its group, for which what the batch read is still fresh.
///
/// # Errors
/// The first error; the batch counts as not applied then.
pub(crate) async fn apply_grouped<F, Fut>(
    count: usize,
    group_of: impl Fn(usize) -> String,
    apply: F,
) -> Result<Vec<LineOutcome>>
where
    F: Fn(usize, bool) -> Fut,
    Fut: Future<Output = Result<LineOutcome>>,
{
    let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for place in 0..count {
        groups.entry(group_of(place)).or_default().push(place);
    }
    let apply = &apply;
    let mut outcomes: Vec<(usize, LineOutcome)> = stream::iter(groups.into_values())
        .map(|group| async move {
            let mut outcomes = Vec::with_capacity(group.len());
            for (position, place) in group.into_iter().enumerate() {
                outcomes.push((place, apply(place, position == 0).await?));
            }
            Ok::<_, crate::Error>(outcomes)
        })
        .buffer_unordered(CONCURRENT_WRITES)
        .try_concat()
        .await?;
    outcomes.sort_by_key(|(place, _)| *place);
    Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
}

/// Items that a batch read at its beginning.
#[derive(Debug, Default)]
pub(crate) struct BatchRead(HashMap<(Table, Key), Item>);

impl BatchRead {
    /// Reads items, each once, as they are now.
    ///
    /// # Errors
    /// [`crate::Error::Retryable`].
    pub(crate) async fn of(ports: &Ports, keys: impl IntoIterator<Item = (Table, Key)>) -> Result<Self> {
        let keys: BTreeSet<(Table, Key)> = keys.into_iter().collect();
        let gets = keys
            .iter()
            .map(|(table, key)| Get { table: *table, key: key.clone(), consistency: Consistency::Strong })
            .collect();
        let items = ports.database.get_many(gets).await?;
        Ok(BatchRead(keys.into_iter().zip(items).filter_map(|(key, item)| Some((key, item?))).collect()))
    }

    /// What was read.
    pub(crate) fn get(&self, table: Table, key: &Key) -> Option<&Item> {
        self.0.get(&(table, key.clone()))
    }
}

/// Reads one item as it is now, or takes what the batch read where that is fresh enough.
///
/// # Errors
/// [`crate::Error::Retryable`].
pub(crate) async fn read_again(
    ports: &Ports,
    fresh: Option<&BatchRead>,
    table: Table,
    key: &Key,
) -> Result<Option<Item>> {
    match fresh {
        Some(read) => Ok(read.get(table, key).cloned()),
        None => {
            Ok(ports.database.get(Get { table, key: key.clone(), consistency: Consistency::Strong }).await?)
        }
    }
}

/// What a line that is not newer than what stands there means: skipped, unless its own write of unknown
/// outcome is what stands there.
pub(crate) fn not_newer(standing: Option<i64>, version: i64, unknown: bool) -> LineOutcome {
    if unknown && standing == Some(version) { LineOutcome::Applied } else { LineOutcome::Skipped }
}
