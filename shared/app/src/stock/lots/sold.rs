//! Who got goods of a lot: what a recall asks.

use jiff::Timestamp;
use tillstream_contracts::lots::{LotSale, LotSalePage};
use tillstream_domain::identifier::check_id;
use tillstream_domain::quantity::Unit;

use super::header;
use super::recall::not_found;
use super::trace::OF_CUSTOMERS;
use crate::cursor::{PagedQuery, limit};
use crate::database::{Consistency, Get, Item, Query, StartKey, Table, Value};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::stock::counters::shown;
use crate::stock::ledger::GAP_CLOSED;
use crate::tenancy::Caller;

/// Movements that one page looks at before it answers with what it has.
const LOOKED_AT_MAX: usize = 1_000;

fn sale(item: &Item) -> Result<LotSale> {
    let kind = item.text("kind")?;
    let reference = || item.text("reference").map(str::to_owned);
    let unit = item.opt_text("unit").and_then(Unit::parse);
    // What came back of a recalled lot is kept aside.
    let taken = -(item.number("on_hand")? + item.number("quarantined")?);
    let is_of_reservation = kind == "commit";
    Ok(LotSale {
        location_id: item.text("location_id")?.to_owned(),
        sku: item.text("sku")?.to_owned(),
        kind: kind.to_owned(),
        order_id: (!is_of_reservation && kind != GAP_CLOSED).then(reference).transpose()?,
        reservation_id: is_of_reservation.then(reference).transpose()?,
        quantity: shown(taken, unit),
        at: Timestamp::from_millisecond(item.number("at")?).map_err(Error::bug)?,
        seq: item.number("seq")?,
    })
}

/// `GET /v1/inventory/lots/{lot}/orders`: the movements by which somebody got goods of a lot or brought some back,
/// and rows over such as were lost. It follows the stock within moments, as the ledger does.
///
/// # Errors
/// 400 `cursor_malformed`; 404 `lot_not_found`; 422 for a limit out of range.
pub async fn orders(
    ports: &Ports,
    caller: &Caller,
    lot_id: &str,
    asked: Option<u32>,
    cursor: Option<&str>,
) -> Result<LotSalePage> {
    let limit = limit(asked)?;
    check_id(lot_id).map_err(|_| not_found(lot_id))?;
    let scope = &caller.scope;
    header::find(ports, scope, lot_id).await?.ok_or_else(|| not_found(lot_id))?;
    let paged = PagedQuery::new(scope, "lot-orders", [lot_id]);
    let partition = scope.lot_parts(lot_id);
    let mut after = cursor.map(|cursor| paged.position(cursor)).transpose()?;
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let (mut items, mut looked_at) = (Vec::new(), 0);
    loop {
        let start = after.take().map(|after| {
            let key = [("pk", partition.value().to_owned()), ("sk", after)];
            StartKey(key.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect())
        });
        let left = u32::try_from(wanted - items.len()).unwrap_or(limit);
        let query = Query { limit: left, start, ..Query::partition(Table::Ledger, partition.clone()) };
        let page = ports.database.query(query).await?;
        looked_at += page.items.len().max(1);
        for item in &page.items {
            let is_asked = OF_CUSTOMERS.contains(&item.text("kind")?);
            if is_asked && caller.reaches(item.text("location_id")?) {
                items.push(sale(item)?);
            }
        }
        let last = page.items.last().filter(|_| page.next.is_some());
        after = last.map(|last| last.text("sk").map(str::to_owned)).transpose()?;
        if after.is_none() || items.len() >= wanted || looked_at >= LOOKED_AT_MAX {
            break;
        }
    }
    name_orders(ports, caller, &mut items).await?;
    Ok(LotSalePage { items, next_cursor: after.map(|after| paged.cursor(&after)) })
}

/// Names the orders of reservations that were for one.
async fn name_orders(ports: &Ports, caller: &Caller, items: &mut [LotSale]) -> Result<()> {
    let ids: std::collections::BTreeSet<String> =
        items.iter().filter_map(|item| item.reservation_id.clone()).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let get = |id: &String| Get {
        table: Table::Stock,
        key: caller.scope.reservation(id),
        consistency: Consistency::Eventual,
    };
    let headers = ports.database.get_many(ids.iter().map(get).collect()).await?;
    for (id, header) in ids.iter().zip(headers) {
        let order = header.as_ref().and_then(|header| header.opt_text("order_id"));
        for item in items.iter_mut().filter(|item| item.reservation_id.as_ref() == Some(id)) {
            item.order_id = order.map(str::to_owned);
        }
    }
    Ok(())
}
