//! Purchase orders of a location, or of a supplier.

use tillstream_contracts::purchase_orders::{PurchaseOrderPage, PurchaseOrderQuery, PurchaseState};

use crate::catalog::suppliers::SUPPLIER_READERS;
use crate::cursor::{PagedQuery, limit};
use crate::database::Index;
use crate::error::{Refusal, Result};
use crate::ports::Ports;
use crate::stock::index_page::IndexList;
use crate::stock::purchases::item::StoredPurchase;
use crate::stock::references::check_location_id;
use crate::tenancy::Caller;

/// `GET /v1/purchase-orders`: the oldest first. A moment behind; what is shown is as of now.
///
/// # Errors
/// 400 `cursor_malformed`; 403 `role_required`, `store_out_of_reach`; 422 for a malformed location or supplier, or
/// none (`location_or_supplier_missing`), or a limit out of range.
pub async fn list(ports: &Ports, caller: &Caller, query: &PurchaseOrderQuery) -> Result<PurchaseOrderPage> {
    caller.require_role(SUPPLIER_READERS)?;
    let (location_id, supplier_id) = (query.location_id.as_deref(), query.supplier_id.as_deref());
    if let Some(location_id) = location_id {
        check_location_id("location_id", location_id)?;
        caller.require_store(location_id)?;
    }
    if let Some(supplier_id) = supplier_id {
        crate::fields::id("supplier_id", supplier_id)?;
    }
    let scope = &caller.scope;
    let limit = limit(query.limit)?;
    let state = match query.state.unwrap_or_default() {
        PurchaseState::Open => "open",
        PurchaseState::Closed => "closed",
    };
    let (way, of, index, names) = match (location_id, supplier_id) {
        (Some(location_id), _) => ("to", location_id, Index::ByLocation, ("location_pk", "location_sk")),
        (None, Some(supplier_id)) => ("from", supplier_id, Index::BySku, ("sku_pk", "sku_sk")),
        (None, None) => {
            let message = "name a location, a supplier or both";
            return Err(Refusal::field("location_id", "location_or_supplier_missing", message).into());
        }
    };
    let filters = [location_id.unwrap_or_default(), supplier_id.unwrap_or_default(), state];
    let list = IndexList {
        paged: PagedQuery::new(scope, "purchase-orders", filters),
        index,
        names,
        partition: scope.purchase_orders(way, of, state),
        key_of: &|id| scope.purchase_order(id),
    };
    let page = list.page(ports, limit, query.cursor.as_deref()).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for item in &page.items {
        let order = StoredPurchase::of(item)?;
        // Of a supplier there are orders for locations that are out of reach.
        if caller.reaches(&order.location_id) && supplier_id.is_none_or(|id| id == order.supplier_id) {
            items.push(order.summary());
        }
    }
    Ok(PurchaseOrderPage { items, next_cursor: page.next_cursor })
}
