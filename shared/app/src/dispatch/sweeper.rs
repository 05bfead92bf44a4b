//! The sweeper: on a schedule it wakes deliveries that waited for HQ, and those whose wake-up was lost
//! or whose wait is over. It sends nothing to HQ itself.
//!
//! Of a tenant whose breaker is open it wakes one delivery when a probe is due: the one that waits the
//! longest, and a probe that failed goes to the end, so that an order which HQ cannot digest is not the
//! probe for ever. Tenants take turns, one delivery each.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use tillstream_contracts::dispatch::DeliveryStatus;

use crate::database::{DatabaseError, Index, Key, Query, Range, Table};
use crate::dispatch::delivery::{Delivery, load};
use crate::dispatch::wake_up::wake_up;
use crate::dispatch::{HQ, breaker_record};
use crate::error::Result;
use crate::keys;
use crate::ports::{Ports, WakeUpQueue};
use crate::tenancy::TenantScope;

/// Records looked at at once.
const AT_ONCE: usize = 16;

/// Wake-ups sent at once.
const CHUNK: usize = 100;

/// Pages read of one shard of the due index: a bound on what one tenant's backlog can hide of others'.
const PAGES_MAX: usize = 20;

/// So long after a breaker closed its tenant's waiting deliveries are still looked for: longer than any
/// dispatcher lives that saw it open, and than an index is behind.
const SETTLE_AFTER: Duration = Duration::from_secs(900);

/// What one sweep may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Most wake-ups, over all tenants: the rate at which HQ gets a backlog.
    pub wake_ups: usize,
    /// Nothing is begun after this time.
    pub time: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Budget { wake_ups: 3_000, time: Duration::from_secs(30) }
    }
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Wake-ups sent.
    pub woken: usize,
    /// Records and tenants that could not be looked at; the others were.
    pub failed: usize,
    /// Whether there was more than the budget allowed.
    pub more: bool,
}

/// Wakes what is due.
///
/// # Errors
/// Where the due index cannot be read or the queue is away; what was done stays done.
pub async fn sweep(ports: &Ports, queue: &dyn WakeUpQueue, now: Timestamp, budget: Budget) -> Result<Swept> {
    let begun = ports.environment.now();
    let mut swept = Swept::default();
    let mut tenants = BTreeMap::<String, VecDeque<Key>>::new();
    for shard in 0..keys::DUE_SHARDS {
        for key in due_keys(ports, "breaker", shard, now, budget.wake_ups).await? {
            let tenant = keys::tenant_in(&key).to_owned();
            let scope = TenantScope::from_own_record(&tenant);
            match waiting_to_wake(ports, &scope, now, budget.wake_ups).await {
                Ok(found) => tenants.entry(tenant).or_default().extend(found),
                Err(error) => {
                    tracing::warn!(tenant_id = tenant, %error, "waiting deliveries not swept");
                    swept.failed += 1;
                }
            }
        }
    }
    for shard in 0..keys::DUE_SHARDS {
        for key in due_keys(ports, "delivery", shard, now, budget.wake_ups).await? {
            tenants.entry(keys::tenant_in(&key).to_owned()).or_default().push_back(key);
        }
    }
    let mut turns = take_turns(tenants);
    swept.more = turns.len() > budget.wake_ups;
    turns.truncate(budget.wake_ups);
    for chunk in turns.chunks(CHUNK) {
        let spent = Duration::try_from(ports.environment.now().duration_since(begun)).unwrap_or_default();
        if spent >= budget.time {
            swept.more = true;
            break;
        }
        let (woken, failed) = wake(ports, queue, chunk.to_vec(), now).await?;
        swept.woken += woken;
        swept.failed += failed;
    }
    Ok(swept)
}

/// Wakes up to `most` waiting deliveries of a tenant, those that wait the longest first.
///
/// # Errors
/// Where the database or the queue is away.
pub(super) async fn wake_waiting(
    ports: &Ports,
    queue: &dyn WakeUpQueue,
    scope: &TenantScope,
    most: usize,
    now: Timestamp,
) -> Result<usize> {
    let waiting = waiting_keys(ports, scope, most).await?;
    wake(ports, queue, waiting, now).await.map(|(woken, _)| woken)
}

/// One of each tenant in turn.
fn take_turns(mut tenants: BTreeMap<String, VecDeque<Key>>) -> Vec<Key> {
    let mut turns = Vec::new();
    while !tenants.is_empty() {
        tenants.retain(|_, keys| {
            turns.extend(keys.pop_front());
            !keys.is_empty()
        });
    }
    turns
}

/// Keys of what is due of one kind; of each tenant at most `each`.
async fn due_keys(ports: &Ports, kind: &str, shard: u64, now: Timestamp, each: usize) -> Result<Vec<Key>> {
    let mut query = Query {
        range: Range::Numbers(0, now.as_millisecond()),
        ..Query::index(Table::Dispatch, Index::Due, keys::due(kind, shard))
    };
    let mut counts = BTreeMap::<String, usize>::new();
    let mut found = Vec::new();
    for _ in 0..PAGES_MAX {
        let page = ports.database.query(query.clone()).await?;
        for item in &page.items {
            let key = Key::of(item)?;
            let count = counts.entry(keys::tenant_in(&key).to_owned()).or_default();
            if *count < each {
                *count += 1;
                found.push(key);
            }
        }
        match page.next {
            Some(next) => query.start = Some(next),
            None => break,
        }
    }
    Ok(found)
}

async fn waiting_keys(ports: &Ports, scope: &TenantScope, most: usize) -> Result<Vec<Key>> {
    let mut found = Vec::new();
    let mut query = Query::index(Table::Dispatch, Index::Due, scope.waiting_deliveries(HQ));
    query.limit = u32::try_from(most.clamp(1, 1_000)).unwrap_or(1_000);
    while found.len() < most {
        let page = ports.database.query(query.clone()).await?;
        for item in &page.items {
            found.push(Key::of(item)?);
        }
        match page.next {
            Some(next) => query.start = Some(next),
            None => break,
        }
    }
    found.truncate(most);
    Ok(found)
}

/// Which waiting deliveries of a tenant may be woken, by the state of its breaker.
async fn waiting_to_wake(
    ports: &Ports,
    scope: &TenantScope,
    now: Timestamp,
    most: usize,
) -> Result<Vec<Key>> {
    let (breaker, _) = breaker_record::load(ports, scope).await?;
    let millis = now.as_millisecond();
    match breaker.blocked_until() {
        Some(until) if millis < until => Ok(Vec::new()),
        Some(_) => waiting_keys(ports, scope, 1).await,
        None => {
            let found = waiting_keys(ports, scope, most).await?;
            if found.is_empty() {
                let after = i64::try_from(SETTLE_AFTER.as_millis()).unwrap_or(i64::MAX);
                breaker_record::change(ports, scope, |breaker| breaker.settle(millis, after)).await?;
            }
            Ok(found)
        }
    }
}

/// Writes that the deliveries are woken, then sends the wake-ups. One that was written and not sent
/// becomes overdue. Answers how many were sent, and how many records could not be looked at.
async fn wake(
    ports: &Ports,
    queue: &dyn WakeUpQueue,
    keys: Vec<Key>,
    now: Timestamp,
) -> Result<(usize, usize)> {
    // In the order given, so that an order's versions keep theirs.
    let woken: Vec<Result<Option<Delivery>>> =
        futures::stream::iter(keys).map(|key| wake_one(ports, key, now)).buffered(AT_ONCE).collect().await;
    let (mut wake_ups, mut failed) = (Vec::new(), 0);
    for delivery in woken {
        match delivery.and_then(|delivery| delivery.as_ref().map(wake_up).transpose()) {
            Ok(wake_up) => wake_ups.extend(wake_up),
            Err(error) => {
                tracing::warn!(%error, "delivery not swept");
                failed += 1;
            }
        }
    }
    if wake_ups.is_empty() {
        return Ok((0, failed));
    }
    let not_sent = queue.send(&wake_ups).await?.len();
    Ok((wake_ups.len().saturating_sub(not_sent), failed))
}

async fn wake_one(ports: &Ports, key: Key, now: Timestamp) -> Result<Option<Delivery>> {
    let Some(delivery) = load(ports, key).await? else { return Ok(None) };
    let due = match delivery.status {
        DeliveryStatus::Pending => delivery.due_at <= now,
        DeliveryStatus::Waiting => true,
        _ => false,
    };
    if !due {
        return Ok(None);
    }
    let mut next = delivery.woken(now);
    match ports.database.write(next.write()?).await {
        Ok(()) => Ok(Some(next)),
        // Somebody else is at it, or it is written and becomes overdue.
        Err(DatabaseError::ConditionFailed(_)) => Ok(None),
        Err(error) if error.is_transient() => Ok(None),
        Err(error) => Err(error.into()),
    }
}
