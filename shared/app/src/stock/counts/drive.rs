//! Closing goes on: the corrections of a sheet, chunk by chunk.

use jiff::Timestamp;
use tillstream_contracts::counts::CountStatus;
use tillstream_domain::count_sheet::{CountLine, correction};

use super::find;
use super::item::{Ending, StoredCount};
use super::lots;
use crate::database::{
    Condition, Consistency, DatabaseError, Get, Item, TRANSACTION_ACTIONS_MAX, Table, Write,
};
use crate::error::{Error, Result};
use crate::keeper::due::{DueWork, postpone, walk_due};
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::counters::{
    Counters, Delta, counted_changes, stock_correction, synced_change, unit_change,
};
use crate::stock::exceptions::{below_promised_get, exception_write, is_standing_open};
use crate::stock::layout::LAYOUT_WHOLE;
use crate::stock::split::make_whole;
use crate::tenancy::TenantScope;

/// Lines corrected in one transaction: two actions each at most, beside the sheet.
const CHUNK_LINES_MAX: usize = (TRANSACTION_ACTIONS_MAX - 1) / 2;
/// For how long the keeper leaves a sheet alone that it could not go on with.
const POSTPONED_MILLIS: i64 = 300_000;

/// How many lines are taken at once: fewer where others keep changing their stock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace(usize);

impl Default for Pace {
    fn default() -> Self {
        Pace(CHUNK_LINES_MAX)
    }
}

/// How far a chunk brought a sheet.
pub(super) enum Driven {
    /// Look again: it went on, or somebody else was at it.
    On,
    /// Not now, for this reason.
    Later(String),
}

/// The writes that correct one line, over stock that was `seen` and its exception; and by how much on hand changes.
fn correct(
    scope: &TenantScope,
    sheet: &StoredCount,
    ending: &Ending,
    line: &CountLine,
    (seen, exception): (Option<&Counters>, Option<&Item>),
) -> Result<(Vec<Write>, i64)> {
    let what = (sheet.location_id.as_str(), line.sku.as_str());
    let before = seen.copied().unwrap_or_default();
    let variance = line.variance().unwrap_or(0);
    let by = correction(variance, before.on_hand);
    if by == 0 {
        return Ok((Vec::new(), 0));
    }
    let after = before.available + by;
    let is_open = is_standing_open(exception);
    let least = if is_open { -by } else { (-by).max(0) };
    let condition = match seen {
        None => Condition::NotExists,
        Some(_) => Condition::All(vec![
            Condition::Eq("layout", LAYOUT_WHOLE.into()),
            // What is sold meanwhile is no hindrance, as long as the correction stays what it is.
            if by == variance {
                Condition::Ge("on_hand", (-by).into())
            } else {
                Condition::Eq("on_hand", before.on_hand.into())
            },
            // Nor for what is available, unless less is left than is promised: then somebody is told exactly. Where
            // nobody was told that less is there, none may have been meanwhile.
            if after < 0 || (before.available < 0 && !is_open) {
                Condition::Eq("available", before.available.into())
            } else {
                Condition::Ge("available", least.into())
            },
        ]),
    };
    let movement = sheet.movement(ending, line)?;
    let delta = Delta { on_hand: by, ..Delta::default() };
    // What was sold before that and arrives after this was not on the shelf any more.
    let counted = line.counted.iter().flat_map(|counted| counted_changes(counted.at, &sheet.id));
    let changes = std::iter::once(unit_change(line.unit)).chain(synced_change(seen)).chain(counted).collect();
    let stock = stock_correction(scope, what, (delta, by), (&movement, delta), condition, changes);
    let at = movement.at;
    let exception = exception_write(scope, what, Some(line.unit), after, &sheet.id, at, exception)?;
    Ok((std::iter::once(stock).chain(exception).collect(), by))
}

/// Takes one chunk of a sheet that is being closed.
///
/// # Errors
/// As the database; a bug where the item contradicts itself.
pub(super) async fn drive(
    ports: &Ports,
    scope: &TenantScope,
    stored: &StoredCount,
    pace: &mut Pace,
) -> Result<Driven> {
    let Some(ending) = stored.body.ending.as_ref().filter(|_| stored.status == CountStatus::Closing) else {
        return Ok(Driven::On);
    };
    let mut next = stored.clone();
    let lines = stored.body.lines.as_slice();
    let mut done = usize::try_from(ending.done).map_err(Error::bug)?;
    let mut chunk = Vec::new();
    // One that was counted lot by lot: it is corrected by itself.
    let mut by_lots = None;
    // Lines that nobody counted are passed over, and so are those that are as the books say.
    while let Some(line) = lines.get(done)
        && chunk.len() < pace.0
    {
        if stored.lots_at(done).iter().any(|lot| lot.variance() != 0) {
            if chunk.is_empty() {
                by_lots = Some((done, line));
                done += 1;
            }
            break;
        }
        match line.variance() {
            Some(0) => {
                if let Some(line) = next.body.lines.get_mut(done) {
                    line.corrected = Some(0);
                }
                let at = u32::try_from(done).map_err(Error::bug)?;
                for lot in next.lots.get_mut(&at).into_iter().flatten() {
                    lot.corrected = Some(0);
                }
            }
            Some(_) => chunk.push((done, line)),
            None => {}
        }
        done += 1;
    }
    let gets = |(_, line): &(usize, &CountLine)| {
        let what = (stored.location_id.as_str(), line.sku.as_str());
        let key = scope.stock(what.0, what.1);
        [Get { table: Table::Stock, key, consistency: Consistency::Strong }, below_promised_get(scope, what)]
    };
    let items = match chunk.is_empty() {
        true => Vec::new(),
        false => ports.database.get_many(chunk.iter().flat_map(gets).collect()).await?,
    };
    let mut writes = Vec::new();
    let mut merged = false;
    for ((at, line), read) in chunk.iter().zip(items.chunks(2)) {
        let read = |place: usize| read.get(place).and_then(Option::as_ref);
        let (seen, exception) = (read(0).map(Counters::of).transpose()?, read(1));
        if seen.is_some_and(|seen| seen.layout != LAYOUT_WHOLE) {
            // The first part alone may have less than is taken off.
            make_whole(ports, scope, &stored.location_id, &line.sku).await?;
            merged = true;
            continue;
        }
        let (of_line, by) = correct(scope, stored, ending, line, (seen.as_ref(), exception))?;
        writes.extend(of_line);
        if let Some(line) = next.body.lines.get_mut(*at) {
            line.corrected = Some(by);
        }
    }
    if let Some((at, line)) = by_lots {
        let what = (line, stored.lots_at(at));
        let now = ports.environment.now();
        match lots::correct(ports, scope, (stored, ending), what, now).await? {
            None => merged = true,
            Some(corrected) => {
                writes.extend(corrected.writes);
                if let Some(line) = next.body.lines.get_mut(at) {
                    line.corrected = Some(corrected.on_hand);
                }
                next.lots.insert(u32::try_from(at).map_err(Error::bug)?, corrected.lots);
            }
        }
    }
    if merged {
        return Ok(Driven::On);
    }
    if let Some(ending) = &mut next.body.ending {
        ending.done = u32::try_from(done).map_err(Error::bug)?;
    }
    if done >= lines.len() {
        next.status = CountStatus::Closed;
    }
    writes.insert(0, stored.replace(scope, &next)?);
    match ports.database.transact(writes).await {
        Ok(()) => {
            pace.0 = (pace.0 * 2).min(CHUNK_LINES_MAX);
            Ok(Driven::On)
        }
        // Somebody else took this chunk, or the stock changed: what is read next tells which.
        Err(error @ (DatabaseError::Cancelled(_) | DatabaseError::ConditionFailed(_))) => {
            pace.0 = (pace.0 / 2).max(1);
            crate::pos::cart_write::lost_race(error).map(Driven::Later)
        }
        Err(error) if error.is_transient() => Ok(Driven::Later(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// Goes on with sheets that nobody went on with, over all tenants, at most so many and none begun after `deadline`;
/// answers how many were looked at. What cannot be gone on with stands behind the others for a while.
///
/// # Errors
/// [`Error::Retryable`] where the index cannot be read.
pub async fn recover(ports: &Ports, now: Timestamp, most: usize, deadline: Timestamp) -> Result<usize> {
    let work = DueWork { table: Table::Stock, kind: "count", now, most, deadline };
    walk_due(ports, work, async |item| {
        let scope = TenantScope::from_own_record(item.text("tenant_id")?);
        let count_id = item.text("count_id")?;
        if let Err(error) = finish(ports, &scope, count_id).await {
            tracing::warn!(count_id, %error, "the closing of a count sheet could not be continued");
            postpone(ports, Table::Stock, &item, now.as_millisecond().saturating_add(POSTPONED_MILLIS)).await;
        }
        Ok(())
    })
    .await
}

async fn finish(ports: &Ports, scope: &TenantScope, id: &str) -> Result<()> {
    let mut attempts = Attempts::new(ports.environment.as_ref());
    let mut pace = Pace::default();
    loop {
        let Some(stored) = find(ports, scope, id).await? else { return Ok(()) };
        if stored.status != CountStatus::Closing {
            return Ok(());
        }
        match drive(ports, scope, &stored, &mut pace).await? {
            Driven::On => attempts.at_once("a count sheet goes on")?,
            Driven::Later(why) => attempts.after_a_wait(&why).await?,
        }
    }
}
