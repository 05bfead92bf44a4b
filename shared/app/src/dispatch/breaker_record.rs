//! The breaker's state, shared by all dispatchers: one item per tenant and destination.
//!
//! While it is not closed, and for a while after, the item stands in the due index: there the sweeper
//! finds which tenants have deliveries waiting.

use std::time::Duration;

use jiff::Timestamp;
use tillstream_domain::breaker::{Admission, Breaker, BreakerRules, Phase};

use crate::database::{Condition, Consistency, DatabaseError, Get, Item, Table, Write};
use crate::dispatch::HQ;
use crate::dispatch::delivery::spread;
use crate::environment::backoff;
use crate::error::{Error, Result};
use crate::keys;
use crate::ports::Ports;
use crate::tenancy::TenantScope;

/// How often a lost race for the item is run again.
const TRIES: u32 = 8;

/// The breaker as it stands, and the count of its writes (0: never written).
pub(super) async fn load(ports: &Ports, scope: &TenantScope) -> Result<(Breaker, i64)> {
    let get = Get { table: Table::Dispatch, key: scope.breaker(HQ), consistency: Consistency::Strong };
    match ports.database.get(get).await? {
        None => Ok((Breaker::default(), 0)),
        Some(item) => Ok((item.json("state")?, item.number("rev")?)),
    }
}

fn write(scope: &TenantScope, breaker: &Breaker, rev: i64) -> Result<Write> {
    let key = scope.breaker(HQ);
    let due_at = match &breaker.phase {
        Phase::Closed { since, .. } => *since,
        Phase::Open { until, .. } => Some(*until),
        Phase::HalfOpen { lease_until, .. } => Some(*lease_until),
    };
    let item = Item::new(&key)
        .with("tenant_id", scope.tenant_id())
        .with_json("state", breaker)?
        .with("rev", rev + 1);
    let item = match due_at {
        Some(at) => item.with("due_pk", keys::due("breaker", spread(&key)).value()).with("due_at", at),
        None => item,
    };
    let condition = if rev == 0 { Condition::NotExists } else { Condition::Eq("rev", rev.into()) };
    Ok(Write::Put { table: Table::Dispatch, item, condition: Some(condition) })
}

/// Changes the breaker; `change` answers whether there is anything to store. Answers the breaker as it
/// was before the change, and as it is.
///
/// A write whose outcome is unknown is looked at again: the change is such that to apply it to its own
/// result changes nothing, or nothing that matters.
pub(super) async fn change(
    ports: &Ports,
    scope: &TenantScope,
    mut change: impl FnMut(&mut Breaker) -> bool,
) -> Result<(Breaker, Breaker)> {
    for attempt in 1..=TRIES {
        let (before, rev) = load(ports, scope).await?;
        let mut after = before.clone();
        if !change(&mut after) {
            return Ok((before, after));
        }
        match ports.database.write(write(scope, &after, rev)?).await {
            Ok(()) => return Ok((before, after)),
            Err(DatabaseError::ConditionFailed(_)) => {}
            Err(error) if error.is_transient() => {}
            Err(error) => return Err(error.into()),
        }
        pause(ports, attempt).await;
    }
    Err(Error::Conflict("the breaker changed too often".to_owned()))
}

/// Asks whether `delivery` may be sent; also answers the breaker as it was asked.
///
/// A probe's lease is taken by a conditional write, so that of many who ask at once one gets it. Where
/// that write's outcome is unknown nobody is let through: the lease, if taken, runs out.
pub(super) async fn admit(
    ports: &Ports,
    scope: &TenantScope,
    rules: &BreakerRules,
    now: Timestamp,
    delivery_id: &str,
) -> Result<(Admission, Breaker)> {
    for attempt in 1..=TRIES {
        let (before, rev) = load(ports, scope).await?;
        let mut after = before.clone();
        let admission = after.admit(rules, now.as_millisecond(), delivery_id);
        if admission != Admission::Probe {
            return Ok((admission, before));
        }
        match ports.database.write(write(scope, &after, rev)?).await {
            Ok(()) => return Ok((admission, before)),
            Err(DatabaseError::ConditionFailed(_) | DatabaseError::Conflict(_)) => {}
            Err(error) => return Err(error.into()),
        }
        pause(ports, attempt).await;
    }
    Err(Error::Conflict("the breaker changed too often".to_owned()))
}

async fn pause(ports: &Ports, attempt: u32) {
    let wait =
        backoff(ports.environment.as_ref(), attempt, Duration::from_millis(10), Duration::from_millis(500));
    ports.environment.sleep(wait).await;
}
