//! The movements of one stock item, newest first; of one that was ever split those of part 0, then those of
//! each other part. Numbers are counted by part, and no order of all is known: parts do not wait for each
//! other.

use serde::{Deserialize, Serialize};
use tillstream_contracts::inventory::{
    LotMovement, MovementCounters, MovementDelta, MovementQuery, StockMovement, StockMovementPage,
};
use tillstream_domain::lot_book::LotChange;
use tillstream_domain::quantity::Unit;

use crate::cursor::{PagedQuery, limit};
use crate::database::{Consistency, Get, Key, Query, StartKey, Table, Value};
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::stock::counters::{Counters, Delta, shown};
use crate::stock::ledger::{LedgerRow, rows};
use crate::stock::lots::trace::lot_changes_of;
use crate::stock::references::{check_location_id, check_sku_form};
use crate::tenancy::{Caller, TenantScope};

/// Changes as a client reads them.
pub(super) fn shown_delta(delta: &Delta, unit: Option<Unit>) -> MovementDelta {
    MovementDelta {
        on_hand: shown(delta.on_hand, unit),
        reserved: shown(delta.reserved, unit),
        damaged: shown(delta.damaged, unit),
        in_transit: shown(delta.in_transit, unit),
        on_order: shown(delta.on_order, unit),
        quarantined: (delta.quarantined != 0).then(|| shown(delta.quarantined, unit)),
    }
}

/// Counters as a client reads them.
pub(super) fn shown_counters(counters: &Counters, unit: Option<Unit>) -> MovementCounters {
    MovementCounters {
        on_hand: shown(counters.on_hand, unit),
        reserved: shown(counters.reserved, unit),
        available: shown(counters.available, unit),
        damaged: shown(counters.damaged, unit),
        in_transit: shown(counters.in_transit, unit),
        on_order: shown(counters.on_order, unit),
        quarantined: (counters.quarantined != 0).then(|| shown(counters.quarantined, unit)),
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
    let (location_id, sku) = (query.location_id.as_str(), query.sku.as_str());
    let (mut part, mut after) = match &query.cursor {
        None => (0, None),
        Some(cursor) => {
            let position: Position = paged.typed_position(cursor)?;
            (position.part, position.after)
        }
    };
    let mut items = Vec::new();
    let mut parts = None;
    loop {
        let wanted = limit.saturating_sub(u32::try_from(items.len()).unwrap_or(limit));
        let partition = scope.ledger_of_part(location_id, sku, part);
        let start = after.map(|after: String| {
            let key = [("pk", partition.value().to_owned()), ("sk", after)];
            StartKey(key.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect())
        });
        let page = ports
            .database
            .query(Query {
                range: rows(),
                ascending: false,
                limit: wanted,
                start,
                ..Query::partition(Table::Ledger, partition)
            })
            .await?;
        for item in &page.items {
            items.push(shown_row(LedgerRow::of(item)?, &lot_changes_of(item)?));
        }
        after = match (page.next, page.items.last()) {
            (Some(_), Some(last)) => Some(Key::of(last)?.sk().to_owned()),
            _ => None,
        };
        if after.is_none() {
            // Whether there are more parts; and, of one that has not moved yet, whether there is any.
            let known = match parts {
                Some(known) => known,
                None => *parts.insert(parts_of(ports, scope, location_id, sku).await?),
            };
            part += 1;
            if part >= known {
                return Ok(StockMovementPage { items, next_cursor: None });
            }
        }
        if items.len() >= usize::try_from(limit).unwrap_or(usize::MAX) || after.is_some() {
            let position = serde_json::to_string(&Position { part, after }).map_err(Error::bug)?;
            return Ok(StockMovementPage { items, next_cursor: Some(paged.cursor(&position)) });
        }
    }
}

/// How many parts a stock item ever had, 1 where it was never split.
///
/// # Errors
/// 404 `stock_not_found`.
async fn parts_of(ports: &Ports, scope: &TenantScope, location_id: &str, sku: &str) -> Result<u32> {
    let key = scope.stock(location_id, sku);
    let get = Get { table: Table::Stock, key, consistency: Consistency::Strong };
    let missing = || {
        let detail = format!("there is no stock item of {sku} at {location_id}");
        Refusal::not_found("stock_not_found", detail)
    };
    let stock = Counters::of(&ports.database.get(get).await?.ok_or_else(missing)?)?;
    Ok(stock.past.parts.max(1))
}

/// Where the next page begins.
#[derive(Serialize, Deserialize)]
struct Position {
    /// Part.
    #[serde(rename = "p")]
    part: u32,
    /// Sort key of the last row shown of it.
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
}

/// What lots changed by, as a client reads it.
pub(super) fn shown_lots(changes: &[LotChange], unit: Option<Unit>) -> Vec<LotMovement> {
    let one = |change: &LotChange| LotMovement {
        lot_id: change.lot_id.clone(),
        on_hand: shown(change.on_hand, unit),
        quarantined: (change.quarantined != 0).then(|| shown(change.quarantined, unit)),
    };
    changes.iter().map(one).collect()
}

fn shown_row(row: LedgerRow, lots: &[LotChange]) -> StockMovement {
    let unit = row.after.unit;
    StockMovement {
        part: (row.part > 0).then_some(row.part),
        seq: row.seq,
        from_seq: row.from_seq,
        delta: shown_delta(&row.delta, unit),
        after: shown_counters(&row.after, unit),
        kind: row.kind,
        reference: row.reference,
        actor: row.actor,
        at: row.at,
        reason: row.reason,
        lots: shown_lots(lots, unit),
    }
}
