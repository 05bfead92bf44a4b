//! Which lots there are: of a SKU, of a location, or one with all its locations.

use jiff::Timestamp;
use tillstream_contracts::lots::{LotDetail, LotLevel, LotLevelPage, LotQuery, LotStatus};
use tillstream_domain::identifier::check_id;
use tillstream_domain::lot_book::{Lot, LotBook};

use super::header;
use super::recall::{not_found, nothing_named};
use super::stock::book_of;
use crate::cursor::{PagedQuery, limit};
use crate::database::{Consistency, Get, Item, Query, Range, StartKey, Table, Value};
use crate::error::{Error, Result};
use crate::keys::LOT_PLACES;
use crate::ports::Ports;
use crate::stock::counters::{Counters, shown};
use crate::stock::listing::{Among, Position, StockName, stock_names};
use crate::stock::references::{check_location_id, check_sku_form};
use crate::tenancy::Caller;

/// A lot of a stock item as a client reads it.
fn level(name: &StockName, counters: &Counters, lot: &Lot, now: Timestamp) -> Result<LotLevel> {
    let status = if lot.has_expired(now.as_millisecond()) {
        LotStatus::Expired
    } else if lot.quarantined > 0 || lot.is_held {
        LotStatus::Quarantined
    } else {
        LotStatus::Sellable
    };
    Ok(LotLevel {
        location_id: name.location_id.clone(),
        sku: name.sku.clone(),
        lot_id: Some(lot.id.clone()),
        expires_on: lot.expires_on,
        status,
        quarantined_here: lot.is_held,
        received_at: Some(Timestamp::from_millisecond(lot.received_at).map_err(Error::bug)?),
        on_hand: shown(lot.quantity, counters.unit),
        quarantined: shown(lot.quarantined, counters.unit),
    })
}

/// What there is of one lot in a book; a bug if the book does not know it.
pub(super) fn level_of(
    name: &StockName,
    counters: &Counters,
    book: &LotBook,
    lot_id: &str,
    now: Timestamp,
) -> Result<LotLevel> {
    let lot = book.lot(lot_id).ok_or_else(|| Error::bug("a lot that was changed is in the book"))?;
    level(name, counters, lot, now)
}

/// The lots of a stock item, as they are by now: what is past its day is shown as kept aside.
fn levels(name: &StockName, item: &Item, now: Timestamp) -> Result<Vec<LotLevel>> {
    let Some(mut book) = book_of(item)? else { return Ok(Vec::new()) };
    let counters = Counters::of(item)?;
    book.expire(now.as_millisecond());
    let there = book.lots().iter().filter(|lot| lot.quantity != 0 || lot.quarantined != 0 || lot.is_held);
    let mut levels = there.map(|lot| level(name, &counters, lot, now)).collect::<Result<Vec<_>>>()?;
    levels.extend(unknown(name, &counters, &book));
    Ok(levels)
}

fn unknown(name: &StockName, counters: &Counters, book: &LotBook) -> Option<LotLevel> {
    (book.unknown() != 0).then(|| LotLevel {
        location_id: name.location_id.clone(),
        sku: name.sku.clone(),
        lot_id: None,
        expires_on: None,
        status: LotStatus::Sellable,
        quarantined_here: false,
        received_at: None,
        on_hand: shown(book.unknown(), counters.unit),
        quarantined: shown(0, counters.unit),
    })
}

fn gets(caller: &Caller, names: &[StockName], consistency: Consistency) -> Vec<Get> {
    let key = |name: &StockName| caller.scope.stock(&name.location_id, &name.sku);
    names.iter().map(|name| Get { table: Table::Stock, key: key(name), consistency }).collect()
}

async fn levels_of(ports: &Ports, caller: &Caller, names: &[StockName]) -> Result<Vec<LotLevel>> {
    let now = ports.environment.now();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let items = ports.database.get_many(gets(caller, names, Consistency::Strong)).await?;
    let mut all = Vec::new();
    for (name, item) in names.iter().zip(items) {
        if let Some(item) = item {
            all.extend(levels(name, &item, now)?);
        }
    }
    Ok(all)
}

/// `GET /v1/inventory/lots`.
///
/// # Errors
/// 400 `cursor_malformed`; 403 `store_out_of_reach`; 422 for malformed names, a limit out of range, or neither a SKU
/// nor a location.
pub async fn list(ports: &Ports, caller: &Caller, query: &LotQuery) -> Result<LotLevelPage> {
    let limit = limit(query.limit)?;
    if let Some(sku) = &query.sku {
        check_sku_form("sku", sku)?;
    }
    if let Some(location_id) = &query.location_id {
        check_location_id("location_id", location_id)?;
        caller.require_store(location_id)?;
    }
    let filters =
        [query.sku.as_deref().unwrap_or_default(), query.location_id.as_deref().unwrap_or_default()];
    let paged = PagedQuery::new(&caller.scope, "lots", filters);
    let position: Option<Position> =
        query.cursor.as_deref().map(|cursor| paged.typed_position(cursor)).transpose()?;
    let among = match (&query.sku, &query.location_id) {
        (Some(sku), Some(location_id)) => {
            let name = StockName { location_id: location_id.clone(), sku: sku.clone() };
            let items = levels_of(ports, caller, &[name]).await?;
            return Ok(LotLevelPage { items, next_cursor: None });
        }
        (Some(sku), None) => Among::Sku(sku.clone()),
        (None, Some(location_id)) => Among::Location(location_id.clone()),
        (None, None) => return Err(nothing_named().into()),
    };
    let found = stock_names(ports.database.as_ref(), &caller.scope, &among, position, limit).await?;
    let in_reach: Vec<StockName> =
        found.names.into_iter().filter(|name| caller.reaches(&name.location_id)).collect();
    let items = levels_of(ports, caller, &in_reach).await?;
    let next = found.next.map(|next| serde_json::to_string(&next).map_err(Error::bug)).transpose()?;
    Ok(LotLevelPage { items, next_cursor: next.map(|next| paged.cursor(&next)) })
}

/// `GET /v1/inventory/lots/{lot}`: a lot, and what there is of it at each location in reach.
///
/// # Errors
/// 400 `cursor_malformed`; 404 `lot_not_found`; 422 for a limit out of range.
pub async fn one(
    ports: &Ports,
    caller: &Caller,
    lot_id: &str,
    asked: Option<u32>,
    cursor: Option<&str>,
) -> Result<LotDetail> {
    let limit = limit(asked)?;
    check_id(lot_id).map_err(|_| not_found(lot_id))?;
    let scope = &caller.scope;
    let header = header::find(ports, scope, lot_id).await?.ok_or_else(|| not_found(lot_id))?;
    let paged = PagedQuery::new(scope, "lot-places", [lot_id]);
    let partition = scope.lot_parts(lot_id);
    let start = cursor.map(|cursor| paged.position(cursor)).transpose()?.map(|after| {
        let key = [("pk", partition.value().to_owned()), ("sk", after)];
        StartKey(key.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect())
    });
    let range = Range::BeginsWith(LOT_PLACES.to_owned());
    let page =
        ports.database.query(Query { range, limit, start, ..Query::partition(Table::Stock, partition) });
    let page = page.await?;
    let mut names = Vec::new();
    for place in &page.items {
        let location_id = place.text("location_id")?;
        if caller.reaches(location_id) {
            names.push(StockName { location_id: location_id.to_owned(), sku: header.sku.clone() });
        }
    }
    let mut locations = levels_of(ports, caller, &names).await?;
    locations.retain(|level| level.lot_id.as_deref() == Some(lot_id));
    let last = page.items.last().filter(|_| page.next.is_some());
    let next_cursor = last.map(|last| Ok::<_, Error>(paged.cursor(last.text("sk")?))).transpose()?;
    Ok(LotDetail { lot: header.shown()?, locations, next_cursor })
}
