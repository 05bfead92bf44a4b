//! Transfers to or from a location.

use tillstream_contracts::transfers::{TransferDirection, TransferPage, TransferQuery};

use crate::cursor::{PagedQuery, limit};
use crate::database::{Index, Item};
use crate::error::Result;
use crate::ports::Ports;
use crate::stock::index_page::IndexList;
use crate::stock::references::check_location_id;
use crate::stock::transfers::item::StoredTransfer;
use crate::tenancy::Caller;

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
    let list = IndexList {
        paged,
        index,
        names,
        partition: scope.transfers(&query.location_id, way, state),
        key_of: &|id| scope.transfer(id),
    };
    let page = list.page(ports, limit, query.cursor.as_deref()).await?;
    let summary = |item: &Item| Ok(StoredTransfer::of(item)?.summary());
    let items = page.items.iter().map(summary).collect::<Result<_>>()?;
    Ok(TransferPage { items, next_cursor: page.next_cursor })
}
