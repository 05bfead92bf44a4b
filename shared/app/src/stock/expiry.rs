//! Expired holds: freed by the next read or reservation, or by the schedule, never by table TTL (which
//! may come days late).

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::database::{
    Cancellation, Change, Condition, Consistency, Database, DatabaseError, Get, Index, Key, Query, Range,
    Table, Write,
};
use crate::error::Result;
use crate::keys::{self, DUE_HOLD_SHARDS};
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::counters::{Counters, Movement};
use crate::stock::holds::{Hold, holds_on};
use crate::tenancy::TenantScope;

/// Frees the expired holds on one stock item, one transaction each, then raises its `earliest_expiry`.
/// Answers whether any had expired, so that trying again is worth it. Harmless at any time, by anybody,
/// in parallel.
///
/// # Errors
/// As the database; what was freed stays freed.
pub async fn free_expired(
    ports: &Ports,
    scope: &TenantScope,
    location_id: &str,
    sku: &str,
    now: Timestamp,
) -> Result<bool> {
    let database = ports.database.as_ref();
    let get =
        Get { table: Table::Stock, key: scope.stock(location_id, sku), consistency: Consistency::Strong };
    let Some(item) = database.get(get).await? else {
        return Ok(false);
    };
    // Read before the holds: whoever adds a hold raises `seq`, so an unchanged `seq` proves that the
    // holds read after it are all there are.
    let mut seq = Counters::of(&item)?.seq;
    let mut expired = false;
    let mut certain = true;
    let mut earliest: Option<i64> = None;
    for hold in holds_on(database, scope, location_id, sku).await? {
        if !hold.has_expired(now) {
            earliest = Some(earliest.map_or(hold.expires_at, |e| e.min(hold.expires_at)));
            continue;
        }
        expired = true;
        match free(ports, scope, &hold, now).await? {
            Freed::ByUs => seq += 1,
            // Extended, committed or freed by somebody else, or we cannot tell: leave the expiry early.
            Freed::NotByUs => certain = false,
        }
    }
    if certain {
        raise_earliest(database, scope, location_id, sku, seq, earliest).await?;
    }
    Ok(expired)
}

enum Freed {
    ByUs,
    NotByUs,
}

/// Frees one hold if it is still there and still expired.
async fn free(ports: &Ports, scope: &TenantScope, hold: &Hold, now: Timestamp) -> Result<Freed> {
    let movement = Movement {
        kind: "expire",
        reference: hold.reservation_id.clone(),
        actor: "expiry".to_owned(),
        at: now,
        reason: None,
    };
    let still_expired = Condition::Le("expires_at", now.as_millisecond().into());
    let writes = hold.give_back(scope, still_expired, &movement).to_vec();
    let mut attempts = Attempts::new(ports.environment.as_ref());
    loop {
        match ports.database.transact(writes.clone()).await {
            Ok(()) => return Ok(Freed::ByUs),
            // The line is gone or extended. After a lost answer it may have been our own doing.
            Err(DatabaseError::Cancelled(reasons))
                if matches!(reasons.first(), Some(Cancellation::ConditionFailed(_))) =>
            {
                return Ok(Freed::NotByUs);
            }
            Err(DatabaseError::Cancelled(reasons))
                if matches!(reasons.get(1), Some(Cancellation::ConditionFailed(_))) =>
            {
                // The counters say less is reserved than the lines do. Conservation will tell; the item
                // must stay usable meanwhile.
                tracing::error!(
                    location_id = hold.location_id,
                    sku = hold.sku,
                    reservation_id = hold.reservation_id,
                    "an expired hold is more than the stock item has reserved"
                );
                return Ok(Freed::NotByUs);
            }
            Err(error) if error.is_transient() => attempts.after_a_wait("freeing an expired hold").await?,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Sets `earliest_expiry` to the truth if nothing moved since `seq`.
async fn raise_earliest(
    database: &dyn Database,
    scope: &TenantScope,
    location_id: &str,
    sku: &str,
    seq: i64,
    earliest: Option<i64>,
) -> Result<()> {
    let write = Write::Update {
        table: Table::Stock,
        key: scope.stock(location_id, sku),
        changes: vec![match earliest {
            Some(earliest) => Change::Set("earliest_expiry", earliest.into()),
            None => Change::Remove("earliest_expiry"),
        }],
        condition: Some(Condition::Eq("seq", seq.into())),
    };
    match database.write(write).await {
        // An expiry that is too early costs the next reader a query; it is never wrong.
        Ok(()) | Err(DatabaseError::ConditionFailed(_)) => Ok(()),
        Err(error) if error.is_transient() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Frees expired holds of all tenants through the due index, at most about `limit` lines. Answers how
/// many stock items it looked at.
///
/// # Errors
/// As the database; what was freed stays freed.
pub async fn sweep_expired(ports: &Ports, now: Timestamp, limit: u32) -> Result<usize> {
    let per_shard = limit.div_ceil(u32::try_from(DUE_HOLD_SHARDS).unwrap_or(1)).max(1);
    let mut items = BTreeSet::new();
    for shard in 0..DUE_HOLD_SHARDS {
        let page = ports
            .database
            .query(Query {
                range: Range::Numbers(0, now.as_millisecond()),
                limit: per_shard,
                ..Query::index(Table::Stock, Index::Due, keys::due_holds(shard))
            })
            .await?;
        let gets = page
            .items
            .iter()
            .map(|item| {
                Ok(Get { table: Table::Stock, key: Key::of(item)?, consistency: Consistency::Eventual })
            })
            .collect::<Result<Vec<_>>>()?;
        for item in ports.database.get_many(gets).await?.into_iter().flatten() {
            let hold = Hold::of(&item)?;
            items.insert((item.text("tenant_id")?.to_owned(), hold.location_id, hold.sku));
        }
    }
    for (tenant_id, location_id, sku) in &items {
        let scope = TenantScope::from_own_record(tenant_id);
        free_expired(ports, &scope, location_id, sku, now).await?;
    }
    Ok(items.len())
}
