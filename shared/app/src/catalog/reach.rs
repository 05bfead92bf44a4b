//! Stores that a question about the past is about. Closed ones are among them: what they sold stays in
//! every list and every figure.

use std::collections::BTreeSet;

use tillstream_domain::location::{Location, LocationKind};

use super::items::{CLOSED_LOCATIONS, catalog_get, location_of};
use crate::database::{Index, Query, Table};
use crate::error::{Refusal, Result};
use crate::ports::Ports;
use crate::tenancy::{Caller, Stores, TenantScope};

/// The store named, or all in the caller's reach; nothing where those may be more than `most`.
///
/// # Errors
/// 403 `store_out_of_reach`; 404 `store_not_found` for a named one that never was, or is no store.
pub async fn stores_in_reach(
    ports: &Ports,
    caller: &Caller,
    named: Option<&str>,
    most: usize,
) -> Result<Option<Vec<Location>>> {
    let ids: Vec<String> = match (named, &caller.stores) {
        (Some(id), _) => {
            caller.require_store(id)?;
            vec![id.to_owned()]
        }
        (None, Stores::Named(ids)) => ids.iter().cloned().collect(),
        (None, Stores::All) => every_location_id(ports, &caller.scope, most).await?,
    };
    if ids.len() > most {
        return Ok(None);
    }
    let gets = ids.iter().map(|id| catalog_get(caller.scope.location(id))).collect();
    let found = ports.database.get_many(gets).await?;
    // One that was deleted before it was known never sold anything.
    let known = found.iter().flatten().filter(|item| item.get("data").is_some());
    let locations: Vec<Location> = known.map(location_of).collect::<Result<_>>()?;
    let stores: Vec<_> =
        locations.into_iter().filter(|location| location.kind == LocationKind::Store).collect();
    match named {
        Some(id) if stores.is_empty() => {
            Err(Refusal::not_found("store_not_found", format!("there is no store {id}")).into())
        }
        _ => Ok(Some(stores)),
    }
}

/// Ids of all locations, deleted ones too; of more than `most`, only some, but more than that.
///
/// # Errors
/// As the database.
pub async fn every_location_id(ports: &Ports, scope: &TenantScope, most: usize) -> Result<Vec<String>> {
    // A set: a location that is closed between the two reads is met in both lists.
    let mut ids = BTreeSet::new();
    for list in ["locations", CLOSED_LOCATIONS] {
        let mut query = Query::index(Table::Catalog, Index::ByList, scope.list_of(list));
        loop {
            let page = ports.database.query(query.clone()).await?;
            for item in &page.items {
                ids.insert(item.text("list_sk")?.to_owned());
            }
            match page.next {
                Some(next) if ids.len() <= most => query.start = Some(next),
                _ => break,
            }
        }
    }
    Ok(ids.into_iter().collect())
}
