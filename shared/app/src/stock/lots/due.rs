//! Lots past their last day of sale: kept aside by whoever looks at their stock next, or by the schedule.

use jiff::Timestamp;

use super::stock::{DUE, LotStock, Taking};
use crate::database::{Consistency, Database, DatabaseError, Get, Table};
use crate::error::{Error, Result};
use crate::keeper::due::{DueWork, postpone, walk_due_in_turns};
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::counters::{Counters, Delta, Movement};
use crate::stock::exceptions::{below_promised, exception_write};
use crate::stock::listing::StockName;
use crate::tenancy::TenantScope;

/// For how long the keeper leaves a stock item alone whose lots it could not keep aside.
const POSTPONED_MILLIS: i64 = 300_000;
/// Most lots that the ledger's reason names.
const NAMED_MAX: usize = 5;

/// Keeps aside what is past its day at `now` of a stock item that was `seen`; answers whether anything was, so that
/// what was seen is to be read again. What is not kept by lots costs nothing.
///
/// # Errors
/// As the database.
pub(crate) async fn keep_aside_if_due(
    ports: &Ports,
    scope: &TenantScope,
    (location_id, sku): (&str, &str),
    seen: Option<&Counters>,
    now: Timestamp,
) -> Result<bool> {
    if !seen.is_some_and(|seen| seen.has_lots_due(now)) {
        return Ok(false);
    }
    let name = StockName { location_id: location_id.to_owned(), sku: sku.to_owned() };
    keep_aside(ports, scope, &name, now).await?;
    Ok(true)
}

/// How much of a stock item is past its day at `now` and counted as available nevertheless.
///
/// # Errors
/// As the database.
pub(in crate::stock) async fn due_quantity(
    database: &dyn Database,
    scope: &TenantScope,
    (location_id, sku): (&str, &str),
    now: Timestamp,
) -> Result<i64> {
    let key = scope.stock(location_id, sku);
    let get = Get { table: Table::Stock, key, consistency: Consistency::Strong };
    let stock = LotStock::of(database.get(get).await?.as_ref())?;
    Ok(stock.book.clone().expire(now.as_millisecond()))
}

/// Keeps aside what is past its day at `now` of a stock item. Harmless at any time, by anybody, in parallel.
///
/// # Errors
/// As the database.
pub async fn keep_aside(ports: &Ports, scope: &TenantScope, name: &StockName, now: Timestamp) -> Result<()> {
    let mut attempts = Attempts::new(ports.environment.as_ref());
    loop {
        let key = scope.stock(&name.location_id, &name.sku);
        let get = Get { table: Table::Stock, key, consistency: Consistency::Strong };
        let Some(item) = ports.database.get(get).await? else { return Ok(()) };
        let stock = LotStock::of(Some(&item))?;
        let counters = stock.counters.unwrap_or_default();
        if !counters.has_lots_due(now) {
            return Ok(());
        }
        let mut book = stock.book.clone();
        let moved = book.expire(now.as_millisecond());
        let writes = if moved == 0 {
            // What was past its day was sold before.
            vec![stock.write_due(scope, name)]
        } else {
            let expired = book.lots().iter().filter(|lot| {
                lot.quarantined > stock.book.lot(&lot.id).map_or(0, |before| before.quarantined)
            });
            let ids: Vec<&str> = expired.map(|lot| lot.id.as_str()).collect();
            let movement = Movement {
                kind: "lot_expire",
                reference: ids.first().copied().unwrap_or_default().to_owned(),
                actor: "lot keeper".to_owned(),
                at: now,
                reason: Some(told(&ids)),
            };
            let what = (&book, Delta::default());
            let how = (&movement, Taking::Whatever);
            let write = stock.write(scope, name, what, how, None, Vec::new())?;
            let mut writes = vec![write];
            let after = counters.available - moved;
            if after < 0 {
                let what = (name.location_id.as_str(), name.sku.as_str());
                let standing = below_promised(ports.database.as_ref(), scope, what).await?;
                writes.extend(exception_write(
                    scope,
                    what,
                    counters.unit,
                    after,
                    &movement.reference,
                    movement.at,
                    standing.as_ref(),
                )?);
            }
            writes
        };
        match ports.database.transact(writes).await {
            // What is read next tells that it is done.
            Ok(()) => attempts.at_once("lots were kept aside")?,
            Err(DatabaseError::Cancelled(_) | DatabaseError::ConditionFailed(_)) => {
                attempts.after_a_wait("the stock changed while its lots were kept aside").await?;
            }
            Err(error) if error.is_transient() => attempts.after_a_wait("keeping lots aside").await?,
            Err(error) => return Err(error.into()),
        }
    }
}

fn told(ids: &[&str]) -> String {
    let named = ids.get(..NAMED_MAX).unwrap_or(ids).join(", ");
    match ids.len().saturating_sub(NAMED_MAX) {
        0 => format!("past its last day of sale: {named}"),
        more => format!("past its last day of sale: {named} and {more} more"),
    }
}

/// Keeps aside what is past its day, over all tenants in turn, at most so many stock items and none begun after
/// `deadline`; answers how many were looked at. Days of a chain end at the same midnight: several are seen to at once.
///
/// # Errors
/// [`Error::Retryable`] where the index cannot be read.
pub async fn sweep(ports: &Ports, now: Timestamp, most: usize, deadline: Timestamp) -> Result<usize> {
    let work = DueWork { table: Table::Stock, kind: DUE, now, most, deadline };
    walk_due_in_turns(ports, work, async |item| {
        let scope = TenantScope::from_own_record(item.text("tenant_id")?);
        let name = StockName {
            location_id: item.text("location_id")?.to_owned(),
            sku: item.text("sku")?.to_owned(),
        };
        if let Err(error) = keep_aside(ports, &scope, &name, now).await {
            let StockName { location_id, sku } = &name;
            tracing::warn!(location_id, sku, %error, "lots past their day were not kept aside");
            postpone(ports, Table::Stock, &item, now.as_millisecond().saturating_add(POSTPONED_MILLIS)).await;
        }
        Ok::<_, Error>(())
    })
    .await
}
