//! Which stock items there are: of a location, of a SKU, of a tenant. Indexes are keys-only; counters
//! are read by key.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::database::{Database, Index, Partition, Query, StartKey, Table, Value};
use crate::error::Result;
use crate::tenancy::{Stores, TenantScope};

/// Locations that one call looks at before it answers with what it has: a tenant may have thousands of
/// empty ones.
const LOCATIONS_PER_CALL: usize = 50;

/// Where stock items are looked for.
#[derive(Debug, Clone)]
pub enum Among {
    /// All of a location.
    Location(String),
    /// All of a SKU.
    Sku(String),
    /// All of the locations in reach, location by location.
    Everything(Stores),
}

/// How far a listing has come: the location, and the last SKU taken there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Location.
    #[serde(rename = "l")]
    pub location_id: String,
    /// Last SKU taken; `None`: none yet.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
}

/// A stock item by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StockName {
    /// Location.
    pub location_id: String,
    /// SKU.
    pub sku: String,
}

/// Some stock items and where to go on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    /// In order of location and SKU.
    pub names: Vec<StockName>,
    /// Where to go on; `None` at the end.
    pub next: Option<Position>,
}

/// The next stock items after `position`, at most `limit`; may be fewer although more follow.
///
/// # Errors
/// As the database.
pub async fn stock_names(
    database: &dyn Database,
    scope: &TenantScope,
    among: &Among,
    position: Option<Position>,
    limit: u32,
) -> Result<Names> {
    match among {
        Among::Location(location_id) => {
            let after = position.and_then(|position| position.sku);
            one_page(database, scope, Index::ByLocation, location_id, after, limit).await
        }
        Among::Sku(sku) => {
            let after = position.map(|position| position.location_id);
            one_page(database, scope, Index::BySku, sku, after, limit).await
        }
        Among::Everything(stores) => everything(database, scope, stores, position, limit).await,
    }
}

/// A page of one index partition, `of` a location or SKU, `after` a SKU or location.
async fn one_page(
    database: &dyn Database,
    scope: &TenantScope,
    index: Index,
    of: &str,
    after: Option<String>,
    limit: u32,
) -> Result<Names> {
    let partition = match index {
        Index::BySku => scope.sku_stock(of),
        _ => scope.location_stock(of),
    };
    let name = |other: &str| match index {
        Index::BySku => StockName { location_id: other.to_owned(), sku: of.to_owned() },
        _ => StockName { location_id: of.to_owned(), sku: other.to_owned() },
    };
    let (_, partition_name, sort_name, _) = index.shape();
    let start = after.map(|after| {
        let StockName { location_id, sku } = name(&after);
        let key = scope.stock(&location_id, &sku);
        start_key(&[
            ("pk", key.pk()),
            ("sk", key.sk()),
            (partition_name, partition.value()),
            (sort_name, &after),
        ])
    });
    // One more than wanted, so that a full page knows whether it is the last.
    let query = Query {
        limit: limit.saturating_add(1),
        start,
        ..Query::index(Table::Stock, index, partition.clone())
    };
    let page = database.query(query).await?;
    let mut names =
        page.items.iter().map(|item| Ok(name(item.text(sort_name)?))).collect::<Result<Vec<StockName>>>()?;
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = names.len() > wanted || page.next.is_some();
    names.truncate(wanted);
    let next = names.last().filter(|_| more);
    let next =
        next.map(|last| Position { location_id: last.location_id.clone(), sku: Some(last.sku.clone()) });
    Ok(Names { names, next })
}

async fn everything(
    database: &dyn Database,
    scope: &TenantScope,
    stores: &Stores,
    position: Option<Position>,
    limit: u32,
) -> Result<Names> {
    let mut all = Names::default();
    let (mut location, mut after) = match position {
        Some(position) => (Some(position.location_id), position.sku),
        None => (next_location(database, scope, stores, None).await?, None),
    };
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut looked_at = 0;
    while let Some(location_id) = location {
        if all.names.len() >= wanted || looked_at >= LOCATIONS_PER_CALL {
            all.next = Some(Position { location_id, sku: after });
            return Ok(all);
        }
        looked_at += 1;
        let left = u32::try_from(wanted - all.names.len()).unwrap_or(limit);
        let page = one_page(database, scope, Index::ByLocation, &location_id, after, left).await?;
        all.names.extend(page.names);
        (location, after) = match page.next {
            Some(next) => (Some(next.location_id), next.sku),
            None => (next_location(database, scope, stores, Some(&location_id)).await?, None),
        };
    }
    Ok(all)
}

/// The location after `after`, in order of ids.
async fn next_location(
    database: &dyn Database,
    scope: &TenantScope,
    stores: &Stores,
    after: Option<&str>,
) -> Result<Option<String>> {
    let partition: Partition = match stores {
        Stores::Named(named) => return Ok(next_named(named, after)),
        Stores::All => scope.list_of("locations"),
    };
    let start = after.map(|after| {
        let key = scope.location(after);
        start_key(&[("pk", key.pk()), ("sk", key.sk()), ("list_pk", partition.value()), ("list_sk", after)])
    });
    let page = database
        .query(Query { limit: 1, start, ..Query::index(Table::Catalog, Index::ByList, partition.clone()) })
        .await?;
    page.items.first().map(|item| item.text("list_sk").map(str::to_owned)).transpose()
}

fn next_named(named: &BTreeSet<String>, after: Option<&str>) -> Option<String> {
    named.iter().find(|id| after.is_none_or(|after| id.as_str() > after)).cloned()
}

fn start_key(attributes: &[(&str, &str)]) -> StartKey {
    StartKey(attributes.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect())
}
