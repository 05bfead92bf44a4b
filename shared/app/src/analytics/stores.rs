//! The stores a query is about.

use tillstream_domain::business_day::StoreCalendar;
use tillstream_domain::location::{Location, LocationKind};

use super::READERS;
use crate::catalog::items::{catalog_get, location_of};
use crate::database::{Index, Query, Table};
use crate::error::{Error, Refusal, RefusalKind, Result};
use crate::ports::Ports;
use crate::tenancy::{Caller, Stores};

/// Most stores of one query.
const STORES_MAX: usize = 1_000;

/// A store and how it tells days.
#[derive(Debug, Clone)]
pub struct Store {
    /// The store.
    pub location: Location,
    /// How it tells days.
    pub calendar: StoreCalendar,
}

/// The store named, or all in the caller's reach.
///
/// # Errors
/// 403 `role_required`, `store_out_of_reach`; 404 `store_not_found`; 422 `too_many_stores`.
pub async fn stores(ports: &Ports, caller: &Caller, store_id: Option<&str>) -> Result<Vec<Store>> {
    caller.require_role(READERS)?;
    let ids: Vec<String> = match (store_id, &caller.stores) {
        (Some(id), _) => {
            caller.require_store(id)?;
            vec![id.to_owned()]
        }
        (None, Stores::Named(ids)) => ids.iter().cloned().collect(),
        (None, Stores::All) => all(ports, caller).await?,
    };
    if ids.len() > STORES_MAX {
        let detail =
            format!("{} stores are in reach, one query covers {STORES_MAX}: give store_id", ids.len());
        return Err(Refusal::new(RefusalKind::Invalid, "too_many_stores", detail).into());
    }
    let gets = ids.iter().map(|id| catalog_get(caller.scope.location(id))).collect();
    let mut stores = Vec::with_capacity(ids.len());
    for item in ports.database.get_many(gets).await?.into_iter().flatten() {
        let location = location_of(&item)?;
        if location.kind == LocationKind::Store {
            let calendar = location.calendar().map_err(Error::bug)?;
            stores.push(Store { location, calendar });
        }
    }
    match store_id {
        Some(id) if stores.is_empty() => {
            Err(Refusal::not_found("store_not_found", format!("there is no store {id}")).into())
        }
        _ => Ok(stores),
    }
}

async fn all(ports: &Ports, caller: &Caller) -> Result<Vec<String>> {
    let mut query = Query::index(Table::Catalog, Index::ByList, caller.scope.list_of("locations"));
    let mut ids = Vec::new();
    loop {
        let page = ports.database.query(query.clone()).await?;
        for item in &page.items {
            ids.push(item.text("list_sk")?.to_owned());
        }
        match page.next {
            // Warehouses are among them, so a little more than the stores that are allowed.
            Some(next) if ids.len() <= STORES_MAX * 2 => query.start = Some(next),
            _ => return Ok(ids),
        }
    }
}
