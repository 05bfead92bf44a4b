//! Reading fine pages: a store's hours and products by business day, strongly consistent.

use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::ToSpan;
use jiff::civil::Date;
use tillstream_domain::aggregates::Products;
use tillstream_domain::aggregates::product_page::add_products;

use super::pages::{Hour, hour_of, products_of};
use crate::database::{Item, Query, Range, Table};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::tenancy::TenantScope;

/// Longest stretch read by one query; longer ones are read by several at once.
const STRETCH_DAYS: i64 = 16;
/// Most queries at once.
const QUERIES_AT_ONCE: usize = 16;

async fn items(ports: &Ports, query: Query) -> Result<Vec<Item>> {
    let mut query = query;
    let mut items = Vec::new();
    loop {
        let page = ports.database.query(query.clone()).await?;
        items.extend(page.items);
        match page.next {
            Some(next) => query.start = Some(next),
            None => return Ok(items),
        }
    }
}

/// Items whose sort key is `<kind>#<day>#…`, over a stretch of days.
async fn items_of_days(
    ports: &Ports,
    scope: &TenantScope,
    store_id: &str,
    kind: &str,
    first: Date,
    last: Date,
) -> Result<Vec<Item>> {
    let mut stretches = Vec::new();
    let mut begin = first;
    while begin <= last {
        let end = begin.saturating_add((STRETCH_DAYS - 1).days()).min(last);
        stretches.push(Query {
            // `~` sorts after every digit and sign.
            range: Range::Between(format!("{kind}#{begin}#"), format!("{kind}#{end}#~")),
            ..Query::partition(Table::Analytics, scope.store_pages(store_id))
        });
        match end.tomorrow() {
            Ok(next) => begin = next,
            Err(_) => break,
        }
    }
    let pages: Vec<Vec<Item>> = stream::iter(stretches)
        .map(|query| items(ports, query))
        .buffered(QUERIES_AT_ONCE)
        .try_collect()
        .await?;
    Ok(pages.into_iter().flatten().collect())
}

/// The hours of business days, both included, in order.
///
/// # Errors
/// [`Error::Retryable`], [`Error::Bug`].
pub async fn hours(
    ports: &Ports,
    scope: &TenantScope,
    store_id: &str,
    first: Date,
    last: Date,
) -> Result<Vec<Hour>> {
    items_of_days(ports, scope, store_id, "hour", first, last).await?.iter().map(hour_of).collect()
}

/// The items of all fine pages of business days, both included.
///
/// # Errors
/// [`Error::Retryable`], [`Error::Bug`].
pub async fn fine_items(
    ports: &Ports,
    scope: &TenantScope,
    store_id: &str,
    first: Date,
    last: Date,
) -> Result<Vec<Item>> {
    let mut items = items_of_days(ports, scope, store_id, "hour", first, last).await?;
    items.extend(items_of_days(ports, scope, store_id, "products", first, last).await?);
    Ok(items)
}

/// The products of business days, both included.
///
/// # Errors
/// [`Error::Retryable`], [`Error::Bug`].
pub async fn fine_products(
    ports: &Ports,
    scope: &TenantScope,
    store_id: &str,
    first: Date,
    last: Date,
) -> Result<Products> {
    let mut sum = Products::new();
    for item in items_of_days(ports, scope, store_id, "products", first, last).await? {
        add_products(&mut sum, &products_of(&item)?.products);
    }
    Ok(sum)
}

/// The days from `first` (all if absent) to `last` that have pages.
///
/// # Errors
/// [`Error::Retryable`], [`Error::Bug`].
pub async fn days_with_pages(
    ports: &Ports,
    scope: &TenantScope,
    store_id: &str,
    first: Option<Date>,
    last: Date,
) -> Result<Vec<Date>> {
    let first = first.unwrap_or(Date::ZERO);
    let query = Query {
        range: Range::Between(format!("day#{first}"), format!("day#{last}")),
        ..Query::partition(Table::Analytics, scope.store_pages(store_id))
    };
    items(ports, query)
        .await?
        .iter()
        .map(|item| {
            let (_, day) = item.text("sk")?.split_once('#').ok_or_else(|| Error::bug("not a day"))?;
            day.parse().map_err(Error::bug)
        })
        .collect()
}
