//! Reading stock: one item, or lists by location, by SKU, or of everything in reach.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::{try_join, try_join_all};
use jiff::Timestamp;
use tillstream_contracts::inventory::{StockLevel, StockLevelPage, StockListQuery};

use crate::catalog::items::{location_if_any, product_if_any};
use crate::cursor::{PagedQuery, limit};
use crate::database::{Consistency, Database, Get, Query, Table};
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::stock::counters::Counters;
use crate::stock::expiry::{HOLD_PAGES_PER_REQUEST, HoldReads, free_enough};
use crate::stock::holds::Hold;
use crate::stock::kit_levels::{self, kit_of};
use crate::stock::layout::LAYOUT_WHOLE;
use crate::stock::listing::{Among, Position, StockName, stock_names};
use crate::stock::long_reservations::fate::{Fate, fates};
use crate::stock::lots::due::{due_quantity, keep_aside_if_due};
use crate::stock::references::{check_location_id, check_sku_form, location_not_found};
use crate::stock::standing::{Standing, standing, standings};
use crate::tenancy::{Caller, TenantScope};

/// Stock items that one filtered page looks at before it answers with what it has.
const LOOKED_AT_MAX: usize = 1_000;
/// Hold lines that one call reads over all its stock items, beside those of the items that are read at once.
const HOLD_LINES_PER_READ: usize = 20_000;
/// Stock items whose hold lines are read at once.
const ITEMS_AT_ONCE: usize = 16;

/// A stock item as a client reads it.
pub fn level(location_id: &str, sku: &str, counters: &Counters) -> StockLevel {
    StockLevel {
        location_id: location_id.to_owned(),
        sku: sku.to_owned(),
        on_hand: counters.shown(counters.on_hand),
        reserved: counters.shown(counters.reserved),
        available: counters.shown(counters.available),
        incoming: counters.shown(counters.coming()),
        in_transit: counters.shown(counters.in_transit),
        damaged: counters.shown(counters.damaged),
        quarantined: (counters.quarantined != 0).then(|| counters.shown(counters.quarantined)),
        safety_stock: counters.shown(counters.safety_stock),
        reorder_point: counters.shown(counters.reorder_point),
        backordered: (counters.backordered != 0).then(|| counters.shown(counters.backordered)),
        version: counters.version(),
        kit: false,
    }
}

/// One stock item, strongly consistent, its expired holds freed first.
///
/// # Errors
/// 403 `store_out_of_reach`; 404 `stock_not_found`; 422 for malformed names.
pub async fn one(ports: &Ports, caller: &Caller, location_id: &str, sku: &str) -> Result<StockLevel> {
    match level_of_one(ports, caller, location_id, sku).await? {
        Some((level, _)) => Ok(level),
        None => Err(Refusal::not_found(
            "stock_not_found",
            format!("there is no stock item of {sku} at {location_id}"),
        )
        .into()),
    }
}

/// A stock item, or what a kit's components make, with whether it is time to order again.
async fn level_of_one(
    ports: &Ports,
    caller: &Caller,
    location_id: &str,
    sku: &str,
) -> Result<Option<(StockLevel, bool)>> {
    check_location_id("location_id", location_id)?;
    check_sku_form("sku", sku)?;
    caller.require_store(location_id)?;
    let own = fresh_counters(ports, caller, location_id, sku);
    let (own, kit) = try_join(own, kit_of(ports, &caller.scope, sku)).await?;
    match kit {
        // Nobody orders a kit: its components are ordered.
        Some(kit) => Ok(kit_levels::one(ports, caller, &kit, location_id).await?.map(|level| (level, false))),
        None => Ok(own.map(|counters| (level(location_id, sku, &counters), is_below(&counters)))),
    }
}

/// The counters of a stock item, strongly consistent, its expired holds freed first.
///
/// # Errors
/// As the database.
pub(super) async fn fresh_counters(
    ports: &Ports,
    caller: &Caller,
    location_id: &str,
    sku: &str,
) -> Result<Option<Counters>> {
    let now = ports.environment.now();
    let read = || async {
        let database = ports.database.as_ref();
        let found = standing(database, &caller.scope, location_id, sku, LAYOUT_WHOLE).await?;
        Ok::<_, Error>(found.map(|found| found.total()))
    };
    let mut counters = read().await?;
    if keep_aside_if_due(ports, &caller.scope, (location_id, sku), counters.as_ref(), now).await? {
        counters = read().await?;
    }
    if counters.is_some_and(|counters| counters.may_have_expired_holds(now)) {
        let mut reads = HoldReads::default();
        let freed = free_enough(ports, &caller.scope, (location_id, sku), 1, &mut reads, now).await?;
        if !freed.left {
            return read().await;
        }
        // A reader waits for one transaction: what is left is shown as free, as lists do.
        let name = StockName { location_id: location_id.to_owned(), sku: sku.to_owned() };
        let mut found = read_many(ports, &caller.scope, vec![name], Consistency::Strong, now).await?;
        return Ok(found.pop().map(|(_, counters)| counters));
    }
    Ok(counters)
}

/// `GET /v1/inventory`.
///
/// # Errors
/// 400 `cursor_malformed`; 403 `store_out_of_reach`; 422 for malformed names or a limit out of range.
pub async fn list(ports: &Ports, caller: &Caller, query: &StockListQuery) -> Result<StockLevelPage> {
    let among = match (&query.sku, &query.location_id) {
        (Some(sku), Some(location_id)) => return just_one(ports, caller, location_id, sku, query).await,
        (Some(sku), None) => {
            check_sku_form("sku", sku)?;
            if let Some(kit) = kit_of(ports, &caller.scope, sku).await? {
                let page = (limit(query.limit)?, query.cursor.as_deref());
                let found = kit_levels::page(ports, caller, &kit, page, ports.environment.now()).await?;
                // Nobody orders a kit: it is never time to.
                let none = query.below_reorder_point == Some(true);
                return Ok(if none { StockLevelPage { items: Vec::new(), ..found } } else { found });
            }
            Among::Sku(sku.clone())
        }
        (None, Some(location_id)) => {
            check_location_id("location_id", location_id)?;
            caller.require_store(location_id)?;
            Among::Location(location_id.clone())
        }
        (None, None) => Among::Everything(caller.stores.clone()),
    };
    page(ports, caller, among, query.below_reorder_point, query.limit, query.cursor.as_deref()).await
}

/// The list of at most one item.
async fn just_one(
    ports: &Ports,
    caller: &Caller,
    location_id: &str,
    sku: &str,
    query: &StockListQuery,
) -> Result<StockLevelPage> {
    limit(query.limit)?;
    if let Some(cursor) = &query.cursor {
        // This list has one page, so it never answered a cursor.
        PagedQuery::new(&caller.scope, "inventory-one", [location_id, sku]).position(cursor)?;
    }
    let found = level_of_one(ports, caller, location_id, sku).await?;
    let items = found
        .filter(|(_, is_below)| query.below_reorder_point.is_none_or(|wanted| wanted == *is_below))
        .map(|(level, _)| level);
    Ok(StockLevelPage { items: items.into_iter().collect(), next_cursor: None })
}

/// Whether it is time to order again.
fn is_below(counters: &Counters) -> bool {
    counters.available < counters.reorder_point
}

/// `GET /v1/inventory/{sku}`: one item per location in reach.
///
/// # Errors
/// As [`list`]; 404 `sku_not_found` where there is neither stock nor a product.
pub async fn of_sku(
    ports: &Ports,
    caller: &Caller,
    sku: &str,
    limit: Option<u32>,
    cursor: Option<&str>,
) -> Result<StockLevelPage> {
    let query = StockListQuery {
        sku: Some(sku.to_owned()),
        limit,
        cursor: cursor.map(str::to_owned),
        ..StockListQuery::default()
    };
    let found = list(ports, caller, &query).await?;
    if found.items.is_empty() && cursor.is_none() && found.next_cursor.is_none() {
        let key = caller.scope.product(sku);
        let get = Get { table: Table::Catalog, key, consistency: Consistency::Strong };
        if product_if_any(ports.database.get(get).await?.as_ref())?.is_none() {
            return Err(Refusal::not_found("sku_not_found", format!("there is no product {sku}")).into());
        }
    }
    Ok(found)
}

/// `GET /v1/locations/{id}/inventory`.
///
/// # Errors
/// As [`list`]; 404 `location_not_found`.
pub async fn of_location(
    ports: &Ports,
    caller: &Caller,
    location_id: &str,
    limit: Option<u32>,
    cursor: Option<&str>,
) -> Result<StockLevelPage> {
    check_location_id("location_id", location_id)?;
    caller.require_store(location_id)?;
    let found = page(ports, caller, Among::Location(location_id.to_owned()), None, limit, cursor).await?;
    if found.items.is_empty() && cursor.is_none() {
        let key = caller.scope.location(location_id);
        let get = Get { table: Table::Catalog, key, consistency: Consistency::Strong };
        if location_if_any(ports.database.get(get).await?.as_ref())?.is_none() {
            return Err(location_not_found(location_id).into());
        }
    }
    Ok(found)
}

async fn page(
    ports: &Ports,
    caller: &Caller,
    among: Among,
    below_reorder_point: Option<bool>,
    asked: Option<u32>,
    cursor: Option<&str>,
) -> Result<StockLevelPage> {
    let limit = limit(asked)?;
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let (kind, of) = match &among {
        Among::Location(location_id) => ("location", location_id.as_str()),
        Among::Sku(sku) => ("sku", sku.as_str()),
        Among::Everything(_) => ("everything", ""),
    };
    let filter = below_reorder_point.map_or("any", |below| if below { "below" } else { "not-below" });
    let paged = PagedQuery::new(&caller.scope, "inventory", [kind, of, filter]);
    let mut position: Option<Position> = match cursor {
        None => None,
        Some(cursor) => Some(paged.typed_position(cursor)?),
    };
    let now = ports.environment.now();
    let mut items = Vec::new();
    let mut looked_at = 0;
    loop {
        let left = u32::try_from(wanted - items.len()).unwrap_or(limit);
        let found = stock_names(ports.database.as_ref(), &caller.scope, &among, position, left).await?;
        looked_at += found.names.len().max(1);
        let in_reach =
            found.names.into_iter().filter(|name| caller.reaches(&name.location_id)).collect::<Vec<_>>();
        for (name, counters) in read_many(ports, &caller.scope, in_reach, Consistency::Eventual, now).await? {
            if below_reorder_point.is_none_or(|wanted| wanted == is_below(&counters)) {
                items.push(level(&name.location_id, &name.sku, &counters));
            }
        }
        position = found.next;
        let Some(next) = &position else {
            return Ok(StockLevelPage { items, next_cursor: None });
        };
        // An unfiltered page is one step; a filter may leave little of each.
        if items.len() >= wanted || looked_at >= LOOKED_AT_MAX {
            let next = serde_json::to_string(next).map_err(Error::bug)?;
            return Ok(StockLevelPage { items, next_cursor: Some(paged.cursor(&next)) });
        }
    }
}

/// Counters of many items, expired holds counted as free and lots past their day as kept aside without writing. Of hold
/// lines so many are read and no more: what lies behind them shows as held, until a reservation or the schedule frees
/// it. So less may be shown than there is, and never more.
pub(crate) async fn read_many(
    ports: &Ports,
    scope: &TenantScope,
    names: Vec<StockName>,
    consistency: Consistency,
    now: Timestamp,
) -> Result<Vec<(StockName, Counters)>> {
    let database = ports.database.as_ref();
    let found = standings(database, scope, &names, consistency).await?;
    let mut found = names.into_iter().zip(found).filter_map(|(name, found)| Some((name, found?)));
    let lines_left = AtomicUsize::new(HOLD_LINES_PER_READ);
    let mut read = Vec::new();
    loop {
        let some: Vec<(StockName, Standing)> = found.by_ref().take(ITEMS_AT_ONCE).collect();
        if some.is_empty() {
            return Ok(read);
        }
        let shown = |(name, found)| as_shown(database, scope, name, found, now, &lines_left);
        read.extend(try_join_all(some.into_iter().map(shown)).await?);
    }
}

/// The counters of one item as [`read_many`] shows them.
async fn as_shown(
    database: &dyn Database,
    scope: &TenantScope,
    name: StockName,
    found: Standing,
    now: Timestamp,
    lines_left: &AtomicUsize,
) -> Result<(StockName, Counters)> {
    let mut counters = found.total();
    if counters.has_lots_due(now) {
        let due = due_quantity(database, scope, (&name.location_id, &name.sku), now).await?;
        counters.on_hand -= due;
        counters.available -= due;
        counters.quarantined += due;
    }
    if counters.may_have_expired_holds(now) {
        let expired = expired_on(database, scope, &name, found.hold_partitions(), now, lines_left).await?;
        // The counters and the holds are of two moments: never show less than nothing reserved.
        let expired = expired.min(counters.reserved);
        counters.reserved -= expired;
        counters.available += expired;
    }
    Ok((name, counters))
}

/// How much is held no longer, in thousandths, of the hold lines that are read.
async fn expired_on(
    database: &dyn Database,
    scope: &TenantScope,
    name: &StockName,
    partitions: u32,
    now: Timestamp,
    lines_left: &AtomicUsize,
) -> Result<i64> {
    let (mut sum, mut pages) = (0, 0);
    for partition in 0..partitions {
        let lines = scope.holds_on_part(&name.location_id, &name.sku, partition);
        let mut query = Query::partition(Table::Stock, lines);
        loop {
            let left = lines_left.load(Ordering::Relaxed);
            if left == 0 || pages >= partitions.max(HOLD_PAGES_PER_REQUEST) {
                return Ok(sum);
            }
            pages += 1;
            let page = database.query(query.clone()).await?;
            let holds = page.items.iter().map(Hold::of).collect::<Result<Vec<_>>>()?;
            // Others read beside: what they took since is taken too.
            let left = lines_left.load(Ordering::Relaxed);
            lines_left.store(left.saturating_sub(holds.len()), Ordering::Relaxed);
            let fates = fates(database, scope, &holds, now).await?;
            let is_over = |hold: &Hold| match fates.get(&hold.reservation_id) {
                Some(fate) => matches!(fate, Fate::Over | Fate::Ends(_)),
                None => hold.attempt.is_none(),
            };
            let expired = holds.iter().filter(|hold| hold.has_expired(now) && is_over(hold));
            sum += expired.map(|hold| hold.quantity.thousandths()).sum::<i64>();
            match page.next {
                Some(next) => query.start = Some(next),
                None => break,
            }
        }
    }
    Ok(sum)
}
