//! After a restore of the orders from a backup: no number is given out twice.
//!
//! The restored table has lanes as they stood at the backup. Numbers given out since were printed, told to HQ and
//! counted, and would be given out again. So every lane begins a new epoch, in which numbers start at 1. The lane
//! keeps where its earlier epochs ended, so that what the restored orders have of them is looked after as before.
//!
//! The epoch is the tenant's, not the lane's: it is written down in the catalogue under the restore's id before
//! the first lane is raised, and is above whatever lanes, figures and deliveries know. A run that was cut off
//! goes on from there; one that is repeated finds nothing to do. A lane without an item is raised too: that it
//! has none may be the backup's doing.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_contracts::restore::{ComparedLanes, LaneDifference, RaisedEpochs, RestoreRequest};
use tillstream_domain::identifier::check_id;
use tillstream_domain::interval_set::IntervalSet;
use tillstream_domain::lane::{EpochEnd, Lane};

use crate::aggregation::completeness;
use crate::database::{
    Condition, Consistency, DatabaseError, Get, Index, Item, Partition, Query, Range, Table, Write,
};
use crate::environment::Retries;
use crate::error::{Error, Refusal, Result};
use crate::keeper::lanes::registers_of;
use crate::keeper::locations;
use crate::ports::Ports;
use crate::pos::lane_write::{LaneState, lane_get};
use crate::tenancy::TenantScope;

/// Most restores of one tenant: each stays in every lane for good, and nobody restores a table a thousand times.
const RESTORES_MAX: usize = 1_000;

/// Lanes read, raised or compared at once.
const AT_ONCE: usize = 16;

/// Lanes read in one round trip.
const READ_AT_ONCE: usize = 100;

/// Lanes named in an answer, which ends at six megabytes.
const NAMED_MAX: usize = 100;

/// Most differences in one answer.
const DIFFERENCES_MAX: usize = 1_000;

/// Numbers beyond a lane's last that are looked for; of more, the first.
const BEYOND_MAX: usize = 5_000;

/// A tenant's restores, the first first.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Restores {
    restores: Vec<Restored>,
}

impl Restores {
    /// The highest epoch that any raised to.
    fn highest(&self) -> u32 {
        self.restores.iter().map(|restored| restored.epoch).max().unwrap_or(0)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Restored {
    id: String,
    /// What lanes are raised to.
    epoch: u32,
    begun_at: Timestamp,
    /// When all of them were.
    finished_at: Option<Timestamp>,
}

/// A lane whatever its epoch: store and register.
type LaneName = (String, String);

/// What figures hold of a lane, by epoch.
type Counted = BTreeMap<u32, IntervalSet>;

/// The lanes of a tenant, with what figures hold of them.
async fn lanes_of(ports: &Ports, scope: &TenantScope) -> Result<(Vec<LaneName>, Vec<Counted>)> {
    let (mut lanes, mut counted) = (Vec::new(), Vec::new());
    for location in locations(ports, scope).await? {
        let folded = completeness::read(ports, scope, &location.id).await?.content.folded;
        for register in registers_of(&location, &folded) {
            let own = folded.lanes().filter(|(name, _, _)| **name == *register);
            counted.push(own.map(|(_, epoch, numbers)| (epoch, numbers.clone())).collect());
            lanes.push((location.id.clone(), register));
        }
    }
    Ok((lanes, counted))
}

/// The lanes as they stand, by position.
async fn states(ports: &Ports, scope: &TenantScope, lanes: &[LaneName]) -> Result<Vec<LaneState>> {
    let mut states = Vec::with_capacity(lanes.len());
    for chunk in lanes.chunks(READ_AT_ONCE) {
        let gets = chunk.iter().map(|(store, register)| lane_get(scope, store, register)).collect();
        for item in ports.database.get_many(gets).await? {
            states.push(LaneState::of(item.as_ref())?);
        }
    }
    Ok(states)
}

/// Begins a new epoch on every lane of a tenant, once per restore. Safe beside running tills: a sale has the
/// number of before or one of after. What was not done by `deadline` is done by asking again.
///
/// # Errors
/// 422 `restore_id_malformed`; 409 `too_many_restores`; [`Error::Conflict`] where a lane did not come to rest;
/// [`Error::Retryable`]. Whatever was raised stays raised; ask again with the same id.
pub async fn raise_epochs(
    ports: &Ports,
    scope: &TenantScope,
    request: &RestoreRequest,
    deadline: Timestamp,
) -> Result<RaisedEpochs> {
    check_id(&request.id).map_err(|_| {
        Refusal::field("restore.id", "restore_id_malformed", "1 to 64 letters, digits and . _ ~ : -")
    })?;
    let (lanes, counted) = lanes_of(ports, scope).await?;
    let before = states(ports, scope, &lanes).await?;
    let counted = counted.iter().filter_map(|epochs| epochs.keys().next_back());
    let standing = before.iter().map(|state| &state.epoch).chain(counted).fold(0, |a, b| a.max(*b));
    let restored = begin(ports, scope, request, &lanes, standing).await?;
    let epoch = restored.epoch;
    let standing_below = lanes.iter().zip(&before).filter(|(_, state)| state.epoch < epoch);
    let below: Vec<LaneName> = standing_below.map(|(name, _)| name.clone()).collect();
    let mut reply = RaisedEpochs {
        tenant_id: scope.tenant_id().to_owned(),
        epoch,
        lanes: lanes.len(),
        raised: 0,
        finished: true,
        below: Vec::new(),
    };
    if restored.finished_at.is_some() {
        // Numbers of this epoch may have been given out: to raise a lane to it now might repeat them.
        reply.below =
            below.iter().take(NAMED_MAX).map(|(store, register)| format!("{store}/{register}")).collect();
        return Ok(reply);
    }
    for chunk in below.chunks(READ_AT_ONCE) {
        if ports.environment.now() >= deadline {
            return Ok(RaisedEpochs { finished: false, ..reply });
        }
        let raised: Vec<bool> = futures::stream::iter(chunk.to_vec())
            .map(|name| raise_lane(ports, scope, name, epoch, &restored.id))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        reply.raised += raised.into_iter().filter(|raised| *raised).count();
    }
    finish(ports, scope, &restored.id).await?;
    Ok(reply)
}

/// Raises one lane; says whether this call did.
async fn raise_lane(
    ports: &Ports,
    scope: &TenantScope,
    (store_id, register_id): LaneName,
    epoch: u32,
    restore_id: &str,
) -> Result<bool> {
    let mut retries = Retries::new(ports.environment.as_ref(), ports.environment.now());
    loop {
        let attempt = async {
            let item = ports.database.get(lane_get(scope, &store_id, &register_id)).await?;
            let state = LaneState::of(item.as_ref()).map_err(|e| DatabaseError::Invalid(e.to_string()))?;
            if state.epoch >= epoch {
                return Ok(false);
            }
            let write = state.raise(scope, (&store_id, &register_id), epoch, restore_id);
            ports
                .database
                .write(write.map_err(|e| DatabaseError::Invalid(e.to_string()))?)
                .await
                .map(|()| true)
        };
        match attempt.await {
            Ok(raised) => return Ok(raised),
            // A sale took a number, or this write took effect without an answer: look again.
            Err(DatabaseError::ConditionFailed(_)) => retries.again("the lane moved meanwhile").await?,
            Err(error) if error.is_transient() => retries.again(&error.to_string()).await?,
            Err(error) => return Err(error.into()),
        }
    }
}

fn restores_get(scope: &TenantScope) -> Get {
    Get { table: Table::Catalog, key: scope.restores(), consistency: Consistency::Strong }
}

/// Reads the tenant's restores, lets `change` add to them, and writes them; where it answers `Err`, nothing.
///
/// # Errors
/// Those of `change`; [`Error::Conflict`]; [`Error::Retryable`].
async fn change_restores<T>(
    ports: &Ports,
    scope: &TenantScope,
    change: impl Fn(&mut Restores) -> Result<(T, bool)>,
) -> Result<T> {
    let mut retries = Retries::new(ports.environment.as_ref(), ports.environment.now());
    loop {
        let read = ports.database.get(restores_get(scope)).await;
        let Some(item) = retries.answered(read).await? else { continue };
        let version = item.as_ref().map_or(Ok(0), |item| item.number("version"))?;
        let mut restores: Restores =
            item.as_ref().map_or_else(|| Ok(Restores::default()), |i| i.json("data"))?;
        let (answer, changed) = change(&mut restores)?;
        if !changed {
            return Ok(answer);
        }
        let epoch = restores.highest();
        let put = Item::new(&scope.restores())
            .with("version", version + 1)
            .with("epoch", i64::from(epoch))
            .with_json("data", &restores)?;
        let condition = match version {
            0 => Condition::NotExists,
            version => Condition::Eq("version", version.into()),
        };
        let put = Write::Put { table: Table::Catalog, item: put, condition: Some(condition) };
        match ports.database.write(put).await {
            Ok(()) => return Ok(answer),
            Err(DatabaseError::ConditionFailed(_)) => retries.again("another run wrote it").await?,
            Err(error) if error.is_transient() => retries.again(&error.to_string()).await?,
            Err(error) => return Err(error.into()),
        }
    }
}

/// The restore of that id, with the epoch that it raises lanes to: written down before the first is raised.
async fn begin(
    ports: &Ports,
    scope: &TenantScope,
    request: &RestoreRequest,
    lanes: &[LaneName],
    standing: u32,
) -> Result<Restored> {
    let read = change_restores(ports, scope, |restores| {
        let known = restores.restores.iter().find(|restored| restored.id == request.id).cloned();
        Ok(((known, restores.highest()), false))
    });
    let (known, written) = read.await?;
    if let Some(known) = known {
        return Ok(known);
    }
    let above = written.max(standing).checked_add(1).ok_or_else(|| Error::bug("no epoch is left"))?;
    let unused = unused_epoch(ports, scope, lanes, above.max(request.least_epoch.unwrap_or(0))).await?;
    let now = ports.environment.now();
    change_restores(ports, scope, |restores| {
        // By now a twin of this run may have written it, or another restore have taken the epoch.
        if let Some(known) = restores.restores.iter().find(|restored| restored.id == request.id) {
            return Ok((known.clone(), false));
        }
        if restores.restores.len() >= RESTORES_MAX {
            let detail = format!("a tenant may be restored {RESTORES_MAX} times");
            return Err(Refusal::conflict("too_many_restores", detail).into());
        }
        let epoch = unused.max(restores.highest().saturating_add(1));
        let restored = Restored { id: request.id.clone(), epoch, begun_at: now, finished_at: None };
        restores.restores.push(restored.clone());
        Ok((restored, true))
    })
    .await
}

/// The first epoch from `epoch` on that no delivery of these lanes is of: where the catalogue and the figures
/// were restored too, HQ may still have been told of a later one.
async fn unused_epoch(ports: &Ports, scope: &TenantScope, lanes: &[LaneName], mut epoch: u32) -> Result<u32> {
    loop {
        let told: Vec<bool> = futures::stream::iter(lanes.to_vec())
            .map(|(store, register)| was_told(ports, scope, store, register, epoch))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        if !told.contains(&true) {
            return Ok(epoch);
        }
        epoch = epoch.checked_add(1).ok_or_else(|| Error::bug("no epoch is left"))?;
    }
}

/// Whether HQ was told, or is to be told, of anything of this epoch of a lane.
async fn was_told(
    ports: &Ports,
    scope: &TenantScope,
    store: String,
    register: String,
    epoch: u32,
) -> Result<bool> {
    let receipts = scope.lane_deliveries(&store, &register, epoch);
    for partition in [receipts, scope.lane_shift_deliveries(&store, &register, epoch)] {
        let query = Query { limit: 1, ..Query::index(Table::Dispatch, Index::ByLane, partition) };
        if !ports.database.query(query).await?.items.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn finish(ports: &Ports, scope: &TenantScope, restore_id: &str) -> Result<()> {
    let now = ports.environment.now();
    change_restores(ports, scope, |restores| {
        let open = restores.restores.iter_mut().find(|one| one.id == restore_id && one.finished_at.is_none());
        let changed = open.is_some();
        if let Some(restored) = open {
            restored.finished_at = Some(now);
        }
        Ok(((), changed))
    })
    .await
}

/// What orders, figures and HQ know of a tenant's lanes, where that is not the same: of every epoch, numbers
/// beyond the last that an order has, and numbers that figures lack. It changes nothing.
///
/// # Errors
/// [`Error::Retryable`].
pub async fn compare(ports: &Ports, scope: &TenantScope) -> Result<ComparedLanes> {
    let (lanes, counted) = lanes_of(ports, scope).await?;
    let states = states(ports, scope, &lanes).await?;
    // Whatever was restored, an epoch that anybody knows is looked at in every lane: of one that neither orders nor
    // figures know, deliveries may.
    let written = change_restores(ports, scope, |restores| Ok((restores.highest(), false))).await?;
    let standing = states.iter().map(|state| state.epoch);
    let figures = counted.iter().filter_map(|epochs| epochs.keys().next_back().copied());
    let highest = standing.chain(figures).fold(written, u32::max);
    let highest = unused_epoch(ports, scope, &lanes, highest.saturating_add(1)).await?.saturating_sub(1);
    let mut looked_at = Vec::new();
    for (((store, register), counted), state) in lanes.iter().zip(&counted).zip(&states) {
        let ended: Vec<EpochEnd> = state.epochs().collect();
        let known: BTreeSet<u32> = ended.iter().map(|epoch| epoch.epoch).collect();
        let others = (0..=highest).filter(|epoch| !known.contains(epoch));
        let others = others.map(|epoch| EpochEnd { epoch, last: 0, z_number: 0 });
        for end in ended.iter().copied().chain(others) {
            let lane = Lane { epoch: end.epoch, ..Lane::new(store.as_str(), register.as_str()) };
            looked_at.push((lane, end, counted.get(&end.epoch).cloned()));
        }
    }
    let lanes = looked_at.len();
    let mut differences: Vec<LaneDifference> = futures::stream::iter(looked_at)
        .map(|(lane, end, folded)| difference(ports, scope, lane, end, folded))
        .buffered(AT_ONCE)
        .try_filter_map(async |difference| Ok(difference))
        .try_collect()
        .await?;
    let left_out = differences.len().saturating_sub(DIFFERENCES_MAX);
    differences.truncate(DIFFERENCES_MAX);
    Ok(ComparedLanes { tenant_id: scope.tenant_id().to_owned(), lanes, differences, left_out })
}

async fn difference(
    ports: &Ports,
    scope: &TenantScope,
    lane: Lane,
    end: EpochEnd,
    folded: Option<IntervalSet>,
) -> Result<Option<LaneDifference>> {
    let (store, register, epoch) = (lane.store_id.as_str(), lane.register_id.as_str(), lane.epoch);
    let beyond = folded.as_ref().map(IntervalSet::intervals).unwrap_or_default().iter();
    let difference = LaneDifference {
        lane: lane.to_string(),
        last: end.last,
        figures_beyond: beyond
            .filter(|(_, to)| *to > end.last)
            .map(|(from, to)| ((*from).max(end.last + 1), *to))
            .collect(),
        told_beyond: told_beyond(ports, scope.lane_deliveries(store, register, epoch), end.last).await?,
        figures_lack: match &folded {
            Some(folded) => folded.gaps_up_to(end.last),
            None if end.last == 0 => Vec::new(),
            None => vec![(1, end.last)],
        },
        shifts_told_beyond: told_beyond(
            ports,
            scope.lane_shift_deliveries(store, register, epoch),
            end.z_number,
        )
        .await?,
    };
    let none = LaneDifference { lane: difference.lane.clone(), last: end.last, ..LaneDifference::default() };
    Ok((difference != none).then_some(difference))
}

/// Numbers after `last` that have a delivery.
async fn told_beyond(ports: &Ports, deliveries: Partition, last: u64) -> Result<Vec<(u64, u64)>> {
    let from = i64::try_from(last.saturating_add(1)).map_err(Error::bug)?;
    let mut query = Query {
        range: Range::Numbers(from, i64::MAX),
        ..Query::index(Table::Dispatch, Index::ByLane, deliveries)
    };
    let mut numbers = IntervalSet::new();
    let mut found = 0;
    loop {
        let page = ports.database.query(query.clone()).await?;
        for item in &page.items {
            numbers.insert(u64::try_from(item.number("lane_number")?).map_err(Error::bug)?);
        }
        found += page.items.len();
        match page.next {
            Some(next) if found < BEYOND_MAX => query.start = Some(next),
            _ => return Ok(numbers.intervals().to_vec()),
        }
    }
}
