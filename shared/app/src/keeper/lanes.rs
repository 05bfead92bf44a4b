//! Completeness of lanes: every number that a lane gave out must be in the figures and have a delivery
//! to HQ, and every closed shift a delivery. What is missing is sent again from the orders themselves, so the loss of a stream costs
//! delay, never facts.
//!
//! After a restore from backup the epochs before the current one are looked after just as it is, up to the
//! last numbers that the restored table has of them. That figures know more of an epoch than its lane ever gave
//! out tells of a restore after which epochs were not raised: then every sale repeats a number, and the run fails.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_domain::aggregates::Folded;
use tillstream_domain::interval_set::IntervalSet;
use tillstream_domain::lane::{EpochEnd, Lane};
use tillstream_domain::location::{Location, LocationKind};

use crate::aggregation::completeness;
use crate::database::{
    Condition, Consistency, DatabaseError, Get, Index, Item, Key, Partition, Query, Range, Table, Write,
};
use crate::error::{Error, Result};
use crate::ports::{EventStream, Ports, WakeUpQueue};
use crate::pos::lane_write::{LaneState, lane_get};
use crate::relay::{Relayed, facts_of, of_stored, send};
use crate::tenancy::TenantScope;

/// A number is sent again when it was missing at two checks at least this far apart: what is only on
/// its way is left alone.
const PATIENCE_MILLIS: i64 = 20_000;

/// Most numbers of one lane sent again in one run.
const SENT_AGAIN_MAX: u64 = 1_000;

/// Per lane the numbers that are missing, as closed intervals.
type Gaps = BTreeMap<String, Vec<(u64, u64)>>;

/// Numbers that were missing at an earlier check, per lane, as closed intervals.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Missing {
    /// Epoch milliseconds of that check.
    at: i64,
    /// Not in the figures.
    figures: Gaps,
    /// Without a delivery.
    deliveries: Gaps,
    /// Z numbers of closed shifts without a delivery.
    #[serde(default)]
    shifts: Gaps,
}

impl Missing {
    fn is_empty(&self) -> bool {
        self.figures.is_empty() && self.deliveries.is_empty() && self.shifts.is_empty()
    }
}

/// Checks the lanes of a store; answers how many facts were sent again.
///
/// # Errors
/// [`Error::Retryable`]; what was sent again is harmless.
pub async fn check(
    ports: &Ports,
    stream: &dyn EventStream,
    queue: &dyn WakeUpQueue,
    scope: &TenantScope,
    store: &Location,
    now: Timestamp,
) -> Result<usize> {
    if store.kind != LocationKind::Store {
        return Ok(0);
    }
    // The figures before the lanes: so they know no number that the lanes do not, unless the lanes were set back.
    let complete = completeness::read(ports, scope, &store.id).await?;
    let lanes = lanes_of(ports, scope, store, &complete.content.folded).await?;
    let set_back = set_back(store, &lanes, &complete.content.folded);
    if lanes.is_empty() && set_back.is_none() {
        return Ok(0);
    }
    let mut missing = Missing { at: now.as_millisecond(), ..Missing::default() };
    for (lane, last, z_number) in &lanes {
        if *last > 0 {
            let folded = complete.content.folded.of(&lane.register_id, lane.epoch);
            let gaps = folded.map_or_else(|| vec![(1, *last)], |folded| folded.gaps_up_to(*last));
            if !gaps.is_empty() {
                missing.figures.insert(lane.to_string(), gaps);
            }
        }
        let gaps = missing_deliveries(ports, Numbered::receipts(scope, lane), *last).await?;
        if !gaps.is_empty() {
            missing.deliveries.insert(lane.to_string(), gaps);
        }
        let gaps = missing_deliveries(ports, Numbered::shifts(scope, lane), *z_number).await?;
        if !gaps.is_empty() {
            missing.shifts.insert(lane.to_string(), gaps);
        }
    }
    let before = remember(ports, scope, &store.id, &missing).await?;
    let sent = match before {
        Some(before) => send_again(ports, stream, queue, scope, &lanes, &missing, &before).await?,
        None => 0,
    };
    // Last, so that what is missing elsewhere is sent all the same.
    set_back.map_or(Ok(sent), |what| Err(Error::Bug(what)))
}

/// A lane that stands below what the figures know it gave out, in its epoch or by a later one.
fn set_back(store: &Location, lanes: &[(Lane, u64, u64)], folded: &Folded) -> Option<String> {
    let set_back = folded.lanes().find(|(register, epoch, numbers)| {
        let mut known = lanes.iter().filter(|(lane, _, _)| lane.register_id == *register);
        let current = known.clone().map(|(lane, _, _)| lane.epoch).max().unwrap_or(0);
        let last = known.find(|(lane, _, _)| lane.epoch == *epoch).map_or(0, |(_, last, _)| *last);
        // What an epoch before has lost is told by `restore::compare`.
        *epoch > current || (*epoch == current && numbers.last() > last)
    });
    set_back.map(|(register, epoch, numbers)| {
        let lane = Lane { epoch, ..Lane::new(store.id.as_str(), register) };
        format!(
            "lane {lane} stands below number {}, which the figures hold: the orders were restored from a backup \
             and the epochs of lanes not raised",
            numbers.last()
        )
    })
}

/// Sends again what is missing now and was before; answers how many facts.
async fn send_again(
    ports: &Ports,
    stream: &dyn EventStream,
    queue: &dyn WakeUpQueue,
    scope: &TenantScope,
    lanes: &[(Lane, u64, u64)],
    missing: &Missing,
    before: &Missing,
) -> Result<usize> {
    let mut sent = 0;
    for (lane, _, _) in lanes {
        let name = lane.to_string();
        let shifts = both(missing.shifts.get(&name), before.shifts.get(&name));
        for chunk in shifts.chunks(100) {
            let closed = items_of(ports, Numbered::shifts(scope, lane).facts, chunk).await?;
            let changes = closed.iter().map(of_stored).collect::<Result<Vec<_>>>()?;
            sent += changes.len();
            tracing::warn!(lane = %lane, shifts = changes.len(), "closed shifts are sent again");
            sent -= send(ports, stream, queue, changes).await?.len();
        }
        let figures = both(missing.figures.get(&name), before.figures.get(&name));
        let deliveries = both(missing.deliveries.get(&name), before.deliveries.get(&name));
        let mut numbers: Vec<u64> = figures.iter().chain(&deliveries).copied().collect();
        numbers.sort_unstable();
        numbers.dedup();
        for chunk in numbers.chunks(100) {
            let orders = items_of(ports, Numbered::receipts(scope, lane).facts, chunk).await?;
            let mut changes = Vec::new();
            for order in &orders {
                let number =
                    order.number("lane_number").ok().and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
                let stored = of_stored(order)?;
                if deliveries.binary_search(&number).is_ok() {
                    let facts = facts_of(order)?;
                    let earlier = facts.into_iter().filter(|fact| Some(fact) != stored.fact.as_ref());
                    changes.extend(earlier.map(|fact| Relayed { event: None, fact: Some(fact) }));
                }
                changes.push(Relayed {
                    event: stored.event.filter(|_| figures.binary_search(&number).is_ok()),
                    fact: stored.fact.filter(|_| deliveries.binary_search(&number).is_ok()),
                });
            }
            sent += changes.len();
            tracing::warn!(lane = %lane, facts = changes.len(), "facts are sent again");
            let failed = send(ports, stream, queue, changes).await?;
            sent -= failed.len();
        }
    }
    Ok(sent)
}

/// What a lane numbers, and where that is looked for.
struct Numbered {
    /// Index partition of what has a number.
    facts: Partition,
    /// Index partition of its deliveries.
    deliveries: Partition,
    /// Up to which number those are known to be whole.
    verified: Key,
    epoch: u32,
}

impl Numbered {
    /// Sales and returns.
    fn receipts(scope: &TenantScope, lane: &Lane) -> Self {
        let (store, register, epoch) = (lane.store_id.as_str(), lane.register_id.as_str(), lane.epoch);
        Numbered {
            facts: scope.lane_orders(store, register, epoch),
            deliveries: scope.lane_deliveries(store, register, epoch),
            verified: scope.verified_deliveries(store, register, epoch),
            epoch,
        }
    }

    /// Closed shifts.
    fn shifts(scope: &TenantScope, lane: &Lane) -> Self {
        let (store, register, epoch) = (lane.store_id.as_str(), lane.register_id.as_str(), lane.epoch);
        Numbered {
            facts: scope.lane_shifts(store, register, epoch),
            deliveries: scope.lane_shift_deliveries(store, register, epoch),
            verified: scope.verified_shift_deliveries(store, register, epoch),
            epoch,
        }
    }
}

/// All registers of a store that may have a lane: those it has or had, as far as `store` names them, virtual
/// ones, and whatever else the figures know.
pub fn registers_of(store: &Location, folded: &Folded) -> BTreeSet<String> {
    let counted = folded.lanes().map(|(register, _, _)| register.to_owned());
    store.registers.iter().cloned().chain(Lane::virtual_registers()).chain(counted).collect()
}

/// Lanes that gave out numbers, each epoch by itself, with their last and that of the last Z report.
async fn lanes_of(
    ports: &Ports,
    scope: &TenantScope,
    store: &Location,
    folded: &Folded,
) -> Result<Vec<(Lane, u64, u64)>> {
    let registers = registers_of(store, folded);
    let gets = registers.iter().map(|register| lane_get(scope, &store.id, register)).collect();
    let items = ports.database.get_many(gets).await?;
    let mut lanes = Vec::new();
    for (register, item) in registers.iter().zip(&items) {
        let state = LaneState::of(item.as_ref())?;
        let epochs = state.epochs().filter(|epoch| {
            // The current one is named also where it gave out nothing, once there were others.
            epoch.last > 0 || epoch.z_number > 0 || (epoch.epoch > 0 && epoch.epoch == state.epoch)
        });
        lanes.extend(epochs.map(|EpochEnd { epoch, last, z_number }| {
            (Lane { epoch, ..Lane::new(store.id.as_str(), register.as_str()) }, last, z_number)
        }));
    }
    Ok(lanes)
}

/// Numbers up to `last` without a delivery. How far it is known to be whole is kept, so that each number
/// is looked at about once.
async fn missing_deliveries(ports: &Ports, of: Numbered, last: u64) -> Result<Vec<(u64, u64)>> {
    let Numbered { deliveries, verified: key, epoch, .. } = of;
    if last == 0 {
        return Ok(Vec::new());
    }
    let get = Get { table: Table::Dispatch, key: key.clone(), consistency: Consistency::Strong };
    let known = ports.database.get(get).await?;
    let same_epoch = |item: &&Item| item.opt_number("epoch") == Some(i64::from(epoch));
    let verified = known.as_ref().filter(same_epoch).and_then(|item| item.opt_number("through")).unwrap_or(0);
    let verified = u64::try_from(verified).map_err(Error::bug)?;
    if verified >= last {
        return Ok(Vec::new());
    }
    let last = last.min(verified + SENT_AGAIN_MAX);
    let mut query = Query {
        range: numbers(verified + 1, last)?,
        ..Query::index(Table::Dispatch, Index::ByLane, deliveries)
    };
    let mut found = IntervalSet::new();
    loop {
        let page = ports.database.query(query.clone()).await?;
        for item in &page.items {
            found.insert(u64::try_from(item.number("lane_number")?).map_err(Error::bug)? - verified);
        }
        match page.next {
            Some(next) => query.start = Some(next),
            None => break,
        }
    }
    if found.through() > 0 {
        let item = Item::new(&key)
            .with("epoch", i64::from(epoch))
            .with("through", i64::try_from(verified + found.through()).map_err(Error::bug)?);
        ports.database.write(Write::Put { table: Table::Dispatch, item, condition: None }).await?;
    }
    let gaps = found.gaps_up_to(last - verified);
    Ok(gaps.into_iter().map(|(from, to)| (from + verified, to + verified)).collect())
}

fn numbers(from: u64, to: u64) -> Result<Range> {
    Ok(Range::Numbers(i64::try_from(from).map_err(Error::bug)?, i64::try_from(to).map_err(Error::bug)?))
}

/// Keeps what is missing now; answers what was missing before, if that was long enough ago. A check that
/// follows another too closely changes nothing, or patience would never end.
async fn remember(
    ports: &Ports,
    scope: &TenantScope,
    store_id: &str,
    missing: &Missing,
) -> Result<Option<Missing>> {
    let key = scope.walk(&format!("missing#{store_id}"));
    let get = Get { table: Table::Catalog, key: key.clone(), consistency: Consistency::Strong };
    let before: Option<Missing> = match ports.database.get(get).await? {
        Some(item) => Some(item.json("missing")?),
        None => None,
    };
    match before {
        None if missing.is_empty() => return Ok(None),
        Some(before) if before.is_empty() && missing.is_empty() => return Ok(None),
        Some(before)
            if !before.is_empty() && missing.at - before.at < PATIENCE_MILLIS && !missing.is_empty() =>
        {
            return Ok(None);
        }
        _ => {}
    }
    let item = Item::new(&key).with("at", missing.at).with_json("missing", missing)?;
    let condition = match &before {
        Some(before) => Condition::Eq("at", before.at.into()),
        None => Condition::NotExists,
    };
    let put = Write::Put { table: Table::Catalog, item, condition: Some(condition) };
    match ports.database.write(put).await {
        Ok(()) => Ok(before.filter(|before| missing.at - before.at >= PATIENCE_MILLIS)),
        // Another run is at it.
        Err(DatabaseError::ConditionFailed(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Numbers that are in both lists of intervals, ascending, at most [`SENT_AGAIN_MAX`].
fn both(now: Option<&Vec<(u64, u64)>>, then: Option<&Vec<(u64, u64)>>) -> Vec<u64> {
    let (Some(now), Some(then)) = (now, then) else { return Vec::new() };
    let was = |number: u64| then.iter().any(|(from, to)| (*from..=*to).contains(&number));
    let numbers = now.iter().flat_map(|(from, to)| *from..=*to).filter(|number| was(*number));
    numbers.take(usize::try_from(SENT_AGAIN_MAX).unwrap_or(usize::MAX)).collect()
}

/// What has these numbers of a lane.
async fn items_of(ports: &Ports, partition: Partition, wanted: &[u64]) -> Result<Vec<Item>> {
    let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else { return Ok(Vec::new()) };
    let mut query =
        Query { range: numbers(*first, *last)?, ..Query::index(Table::Orders, Index::ByLane, partition) };
    let mut gets = Vec::new();
    loop {
        let page = ports.database.query(query.clone()).await?;
        for item in &page.items {
            let number = u64::try_from(item.number("lane_number")?).map_err(Error::bug)?;
            if wanted.binary_search(&number).is_ok() {
                let key = Key::of(item)?;
                gets.push(Get { table: Table::Orders, key, consistency: Consistency::Strong });
            }
        }
        match page.next {
            Some(next) => query.start = Some(next),
            None => break,
        }
    }
    Ok(ports.database.get_many(gets).await?.into_iter().flatten().collect())
}
