//! The change feed: who lists the stock once and follows the feed knows every item as it stands.

use std::collections::BTreeMap;

use tillstream_app::stock::read::list;
use tillstream_app::tenancy::Caller;
use tillstream_contracts::inventory::StockListQuery;

use super::super::world::{Tenant, World};
use super::at_rest::{Checked, broken, ports};
use super::figures::differences;

/// All of it, once who follows has read the feed to its end.
pub async fn check(world: &World, tenant: &Tenant, caller: &Caller) -> Checked {
    let Some(follower) = world.followers.borrow().get(&tenant.id).cloned() else { return Ok(()) };
    let (mut stands, mut cursor) = (BTreeMap::new(), None);
    loop {
        let query = StockListQuery { limit: Some(200), cursor, ..StockListQuery::default() };
        let page = list(&ports(world), caller, &query).await.map_err(broken)?;
        stands
            .extend(page.items.into_iter().map(|item| ((item.location_id.clone(), item.sku.clone()), item)));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    if follower.table == stands {
        return Ok(());
    }
    let seen = differences(&follower.table, &stands);
    Err(("who follows the change feed knows the stock as it stands", format!("{}: {seen}", tenant.id)))
}
