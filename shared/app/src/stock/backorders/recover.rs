//! What the keeper does for backorders: what the stream lost is found, and what no change tells of: that a time is over.

use jiff::Timestamp;

use super::{follow, queue, serve};
use crate::database::{Item, Table};
use crate::error::Result;
use crate::keeper::due::{DueWork, postpone, walk_due};
use crate::ports::Ports;
use crate::tenancy::TenantScope;

/// For how long one is left alone that could not be looked at.
const POSTPONED_MILLIS: i64 = 300_000;

/// Brings backorders whose reservation's time is over, or that are of no use any more, to their end, over all tenants, at
/// most so many and none begun after `deadline`; answers how many were looked at.
///
/// # Errors
/// [`crate::Error::Retryable`] where the index cannot be read.
pub async fn recover(ports: &Ports, now: Timestamp, most: usize, deadline: Timestamp) -> Result<usize> {
    let work = DueWork { table: Table::Stock, kind: "backorder", now, most, deadline };
    walk_due(ports, work, async |item| {
        let scope = TenantScope::from_own_record(item.text("tenant_id")?);
        let backorder_id = item.text("backorder_id")?;
        if let Err(error) = follow(ports, &scope, backorder_id, now).await {
            tracing::warn!(backorder_id, %error, "a backorder was not looked after");
            postpone(ports, Table::Stock, &item, now.as_millisecond().saturating_add(POSTPONED_MILLIS)).await;
        }
        Ok(())
    })
    .await
}

/// Looks at queues in which somebody waits, over all tenants, at most so many and none begun after `deadline`; answers
/// how many.
///
/// # Errors
/// [`crate::Error::Retryable`] where the index cannot be read.
pub async fn recover_queues(
    ports: &Ports,
    now: Timestamp,
    most: usize,
    deadline: Timestamp,
) -> Result<usize> {
    let work = DueWork { table: Table::Stock, kind: "backorder-queue", now, most, deadline };
    walk_due(ports, work, async |item| {
        if let Err(error) = look_at(ports, &item, now).await {
            let (location_id, sku) = (item.opt_text("location_id"), item.opt_text("sku"));
            tracing::warn!(location_id, sku, %error, "a queue of backorders was not looked at");
            postpone(ports, Table::Stock, &item, now.as_millisecond().saturating_add(POSTPONED_MILLIS)).await;
        }
        Ok(())
    })
    .await
}

async fn look_at(ports: &Ports, seen: &Item, now: Timestamp) -> Result<()> {
    let scope = TenantScope::from_own_record(seen.text("tenant_id")?);
    let what = (seen.text("location_id")?, seen.text("sku")?);
    serve(ports, &scope, what, now).await?;
    let somebody_waits = queue::first(ports, &scope, what).await?.is_some();
    queue::looked_at(ports, seen, somebody_waits, now).await
}
