//! Transfers to or from a location.

use serde::{Deserialize, Serialize};
use tillstream_contracts::transfers::{TransferDirection, TransferPage, TransferQuery};

use crate::cursor::{PagedQuery, limit};
use crate::database::{Consistency, Get, Index, Item, Key, Query, StartKey, Table, Value};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::stock::references::check_location_id;
use crate::stock::transfers::item::StoredTransfer;
use crate::tenancy::Caller;

/// Where the next page begins.
#[derive(Serialize, Deserialize)]
struct Position {
    /// Id of the last transfer taken.
    #[serde(rename = "i")]
    id: String,
    /// Its sort key in the index.
    #[serde(rename = "s")]
    sort: String,
}

/// `GET /v1/stock-movements/transfer`: the oldest first. A moment behind; what is shown is as of now.
///
/// # Errors
/// 400 `cursor_malformed`; 403 `store_out_of_reach`; 422 for a malformed location or a limit out of range.
pub async fn list(ports: &Ports, caller: &Caller, query: &TransferQuery) -> Result<TransferPage> {
    check_location_id("location_id", &query.location_id)?;
    caller.require_store(&query.location_id)?;
    let scope = &caller.scope;
    let limit = limit(query.limit)?;
    let is_open = query.open.unwrap_or(true);
    let state = if is_open { "open" } else { "closed" };
    let (way, index, names) = match query.direction.unwrap_or_default() {
        TransferDirection::In => ("in", Index::ByLocation, ("location_pk", "location_sk")),
        TransferDirection::Out => ("out", Index::BySku, ("sku_pk", "sku_sk")),
    };
    let paged = PagedQuery::new(scope, "transfers", [query.location_id.as_str(), way, state]);
    let partition = scope.transfers(&query.location_id, way, state);
    let position = query.cursor.as_deref().map(|cursor| paged.typed_position(cursor)).transpose()?;
    let start = position.map(|position: Position| {
        let key = scope.transfer(&position.id);
        let key = [
            ("pk", key.pk().to_owned()),
            ("sk", key.sk().to_owned()),
            (names.0, partition.value().to_owned()),
            (names.1, position.sort),
        ];
        StartKey(key.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect())
    });
    // One more than wanted, so that a full page knows whether it is the last.
    let page = ports
        .database
        .query(Query {
            limit: limit.saturating_add(1),
            start,
            ..Query::index(Table::Stock, index, partition.clone())
        })
        .await?;
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = page.items.len() > wanted || page.next.is_some();
    let listed: Vec<&Item> = page.items.iter().take(wanted).collect();
    let get =
        |item: &&Item| Ok(Get { table: Table::Stock, key: Key::of(item)?, consistency: Consistency::Strong });
    let found = ports.database.get_many(listed.iter().map(get).collect::<Result<_>>()?).await?;
    let mut items = Vec::with_capacity(found.len());
    // The index may be behind: what was settled a moment ago is open no longer.
    for item in found.iter().flatten().filter(|item| item.opt_text(names.0) == Some(partition.value())) {
        items.push(StoredTransfer::of(item)?.summary());
    }
    let last = listed.last().filter(|_| more).map(|last| {
        let sort = last.text(names.1)?.to_owned();
        let id = sort.split_once('#').map(|(_, id)| id).unwrap_or_default().to_owned();
        serde_json::to_string(&Position { id, sort }).map_err(Error::bug)
    });
    let next_cursor = last.transpose()?.map(|position| paged.cursor(&position));
    Ok(TransferPage { items, next_cursor })
}
