//! Backorders of a location, or of one SKU there.

use tillstream_contracts::backorders::{BackorderListState, BackorderPage, BackorderQuery};

use super::item::StoredBackorder;
use crate::cursor::{PagedQuery, limit};
use crate::database::Index;
use crate::error::Result;
use crate::ports::Ports;
use crate::stock::index_page::IndexList;
use crate::stock::references::{check_location_id, check_sku_form};
use crate::tenancy::Caller;

/// `GET /v1/inventory/backorders`: of a SKU by their numbers, of a location the oldest first. A moment behind; what is
/// shown is as of now.
///
/// # Errors
/// 400 `cursor_malformed`; 403 `store_out_of_reach`; 422 for a malformed location or SKU, or a limit out of range.
pub async fn list(ports: &Ports, caller: &Caller, query: &BackorderQuery) -> Result<BackorderPage> {
    let location_id = query.location_id.as_str();
    check_location_id("location_id", location_id)?;
    if let Some(sku) = &query.sku {
        check_sku_form("sku", sku)?;
    }
    caller.require_store(location_id)?;
    let scope = &caller.scope;
    let limit = limit(query.limit)?;
    let state = match query.state.unwrap_or_default() {
        BackorderListState::Open => "open",
        BackorderListState::Closed => "closed",
    };
    let (index, names, partition) = match &query.sku {
        Some(sku) => (Index::BySku, ("sku_pk", "sku_sk"), scope.sku_backorders(location_id, sku, state)),
        None => {
            (Index::ByLocation, ("location_pk", "location_sk"), scope.location_backorders(location_id, state))
        }
    };
    let filters = [location_id, query.sku.as_deref().unwrap_or_default(), state];
    let list = IndexList {
        paged: PagedQuery::new(scope, "backorders", filters),
        index,
        names,
        partition,
        key_of: &|id| scope.backorder(id),
    };
    let page = list.page(ports, limit, query.cursor.as_deref()).await?;
    let items = page.items.iter().map(|item| StoredBackorder::of(item).map(|stored| stored.shown()));
    Ok(BackorderPage { items: items.collect::<Result<_>>()?, next_cursor: page.next_cursor })
}
