//! Count sheets of a location.

use tillstream_contracts::counts::{CountPage, CountQuery, CountStatus};

use super::item::{StoredCount, status_name};
use crate::cursor::{PagedQuery, limit};
use crate::database::{Index, Item};
use crate::error::Result;
use crate::ports::Ports;
use crate::stock::index_page::IndexList;
use crate::stock::references::check_location_id;
use crate::tenancy::Caller;

/// `GET /v1/inventory/counts`: the oldest first. A moment behind; what is shown is as of now.
///
/// # Errors
/// 400 `cursor_malformed`; 403 `store_out_of_reach`; 422 for a malformed location or a limit out of range.
pub async fn list(ports: &Ports, caller: &Caller, query: &CountQuery) -> Result<CountPage> {
    check_location_id("location_id", &query.location_id)?;
    caller.require_store(&query.location_id)?;
    let scope = &caller.scope;
    let limit = limit(query.limit)?;
    let state = status_name(query.state.unwrap_or(CountStatus::Open));
    let list = IndexList {
        paged: PagedQuery::new(scope, "counts", [query.location_id.as_str(), state]),
        index: Index::ByLocation,
        names: ("location_pk", "location_sk"),
        partition: scope.count_sheets(&query.location_id, state),
        key_of: &|id| scope.count_sheet(id),
    };
    let page = list.page(ports, limit, query.cursor.as_deref()).await?;
    let summary = |item: &Item| Ok(StoredCount::of(item)?.summary());
    let items = page.items.iter().map(summary).collect::<Result<_>>()?;
    Ok(CountPage { items, next_cursor: page.next_cursor })
}
