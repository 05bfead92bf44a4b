//! The movements of one stock item, newest first.

use tillstream_contracts::inventory::{
    MovementCounters, MovementDelta, MovementQuery, StockMovement, StockMovementPage,
};
use tillstream_domain::quantity::Unit;

use crate::cursor::{PagedQuery, limit};
use crate::database::{Key, Query, StartKey, Table, Value};
use crate::error::Result;
use crate::ports::Ports;
use crate::stock::conservation::stock_of;
use crate::stock::counters::{Counters, Delta, shown};
use crate::stock::ledger::{LedgerRow, rows};
use crate::stock::references::{check_location_id, check_sku_form};
use crate::tenancy::Caller;

/// Changes as a client reads them.
pub(super) fn shown_delta(delta: &Delta, unit: Option<Unit>) -> MovementDelta {
    MovementDelta {
        on_hand: shown(delta.on_hand, unit),
        reserved: shown(delta.reserved, unit),
        damaged: shown(delta.damaged, unit),
    }
}

/// Counters as a client reads them.
pub(super) fn shown_counters(counters: &Counters, unit: Option<Unit>) -> MovementCounters {
    MovementCounters {
        on_hand: shown(counters.on_hand, unit),
        reserved: shown(counters.reserved, unit),
        available: shown(counters.available, unit),
        damaged: shown(counters.damaged, unit),
        safety_stock: shown(counters.safety_stock, unit),
    }
}

/// `GET /v1/inventory/movements`. The ledger follows the stock item within moments.
///
/// # Errors
/// 400 `cursor_malformed`; 403 `store_out_of_reach`; 404 `stock_not_found`; 422 for malformed names or a
/// limit out of range.
pub async fn list(ports: &Ports, caller: &Caller, query: &MovementQuery) -> Result<StockMovementPage> {
    check_location_id("location_id", &query.location_id)?;
    check_sku_form("sku", &query.sku)?;
    caller.require_store(&query.location_id)?;
    let scope = &caller.scope;
    let limit = limit(query.limit)?;
    let paged = PagedQuery::new(scope, "movements", [query.location_id.as_str(), query.sku.as_str()]);
    let partition = scope.ledger(&query.location_id, &query.sku);
    let start = match &query.cursor {
        None => None,
        Some(cursor) => Some(StartKey(
            [("pk", partition.value().to_owned()), ("sk", paged.position(cursor)?)]
                .into_iter()
                .map(|(name, value)| (name.to_owned(), Value::from(value)))
                .collect(),
        )),
    };
    let page = ports
        .database
        .query(Query {
            range: rows(),
            ascending: false,
            limit,
            start,
            ..Query::partition(Table::Ledger, partition)
        })
        .await?;
    let items = page
        .items
        .iter()
        .map(|item| LedgerRow::of(item).map(shown_row))
        .collect::<Result<Vec<StockMovement>>>()?;
    if items.is_empty() && query.cursor.is_none() {
        // Nothing has moved yet, or there is no such item: not the same to whoever asks.
        stock_of(ports, scope, &query.location_id, &query.sku).await?;
    }
    let next_cursor = match (page.next, page.items.last()) {
        (Some(_), Some(last)) => Some(paged.cursor(Key::of(last)?.sk())),
        _ => None,
    };
    Ok(StockMovementPage { items, next_cursor })
}

fn shown_row(row: LedgerRow) -> StockMovement {
    let unit = row.after.unit;
    StockMovement {
        seq: row.seq,
        from_seq: row.from_seq,
        delta: shown_delta(&row.delta, unit),
        after: shown_counters(&row.after, unit),
        kind: row.kind,
        reference: row.reference,
        actor: row.actor,
        at: row.at,
        reason: row.reason,
    }
}
