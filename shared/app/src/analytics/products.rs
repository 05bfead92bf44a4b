//! Products by what they sold.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tillstream_contracts::analytics::{Direction, Granularity, ProductOrder, ProductsQuery, ProductsReply};
use tillstream_domain::aggregates::Metrics;
use tillstream_domain::lane::LaneNumber;
use tillstream_domain::location::Location;
use tillstream_domain::money::Currency;

use super::Answer;
use super::buckets::Bucket;
use super::rows::row;
use super::sales::Reader;
use super::span::Span;
use super::stores::{Store, stores};
use super::watermark::see;
use crate::cursor::{PagedQuery, limit};
use crate::database::{Index, Query, Table};
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::tenancy::Caller;

/// Most products of a category that a query filters by.
const CATEGORY_SKUS_MAX: usize = 50_000;

/// Where a page ended: it goes on after this place of the ranking, whatever has been sold since.
#[derive(Debug, Serialize, Deserialize)]
struct Position {
    value: i64,
    sku: String,
    bucket: String,
    currency: Currency,
}

/// A product on its place of the ranking.
struct Ranked {
    value: i64,
    sku: String,
    bucket: Bucket,
    currency: Currency,
    metrics: Metrics,
}

/// One page of products.
///
/// # Errors
/// Refusals of role, reach, span, limit and cursor; [`Error::Retryable`].
pub async fn products(
    ports: &Ports,
    caller: &Caller,
    query: &ProductsQuery,
    token: Option<&LaneNumber>,
) -> Result<Answer<ProductsReply>> {
    let span = Span::of(query.from.as_deref(), query.to.as_deref())?;
    if matches!(span, Span::Instants(..)) {
        let message = "products are counted by business day: give days such as 2010-12-01";
        return Err(Refusal::field("from", "range_not_days", message).into());
    }
    let limit = usize::try_from(limit(query.limit)?).map_err(Error::bug)?;
    let paged = paged_query(caller, query)?;
    let after = match &query.cursor {
        None => None,
        Some(cursor) => Some(paged.typed_position::<Position>(cursor)?),
    };
    let stores = stores(ports, caller, query.store_id.as_deref()).await?;
    span.check(Granularity::Day, stores.len())?;
    let only = match &query.category {
        None => None,
        Some(category) => Some(skus_of_category(ports, caller, category).await?),
    };
    let seen = see(ports, caller, &stores, token).await?;
    let reader = Reader::new(ports, caller, query.store_id.as_deref(), &stores, &seen);
    let mut ranked = rank(sums(&reader, span, only.as_ref()).await?, query.order_by);
    let ascending = query.direction == Direction::Asc;
    ranked.sort_by(|a, b| {
        let by_value = if ascending { a.value.cmp(&b.value) } else { b.value.cmp(&a.value) };
        by_value.then_with(|| place(a).cmp(&place(b)))
    });
    if let Some(after) = after {
        ranked.retain(|product| {
            let (value, than) = (product.value, after.value);
            let is_further = if ascending { value > than } else { value < than };
            let same_place = (after.sku.as_str(), after.bucket.as_str(), after.currency);
            is_further || (value == than && place(product) > same_place)
        });
    }
    let is_more = ranked.len() > limit;
    ranked.truncate(limit);
    let next_cursor = match ranked.last().filter(|_| is_more) {
        None => None,
        Some(last) => {
            let position = Position {
                value: last.value,
                sku: last.sku.clone(),
                bucket: last.bucket.text.clone(),
                currency: last.currency,
            };
            Some(paged.cursor(&serde_json::to_string(&position).map_err(Error::bug)?))
        }
    };
    let rows = ranked
        .into_iter()
        .map(|p| row(&p.bucket, vec![("sku", Some(p.sku))], p.currency, &p.metrics))
        .collect();
    let satisfied = seen.satisfied;
    Ok(Answer { reply: ProductsReply { rows, next_cursor, watermark: seen.watermark }, satisfied })
}

/// What each product sold at one store in some business days, in thousandths of its unit, whatever the currency. For
/// whoever orders goods, on whatever role that is.
///
/// # Errors
/// [`Error::Retryable`].
pub(crate) async fn units_sold(
    ports: &Ports,
    caller: &Caller,
    location: &Location,
    (first, last): (Date, Date),
) -> Result<HashMap<String, i64>> {
    let calendar = location.calendar().map_err(Error::bug)?;
    let stores = [Store { location: location.clone(), calendar }];
    let seen = see(ports, caller, &stores, None).await?;
    let reader = Reader::new(ports, caller, Some(&location.id), &stores, &seen);
    let mut sold = HashMap::new();
    for (_, products) in reader.figures().products(&reader.ranges(Span::Days(first, last))?).await? {
        for (sku, metrics) in products.0.into_values().flatten() {
            let sum: &mut i64 = sold.entry(sku).or_default();
            *sum = sum.saturating_add(metrics.units);
        }
    }
    Ok(sold)
}

/// Orders products of the same value.
fn place(product: &Ranked) -> (&str, &str, Currency) {
    (&product.sku, &product.bucket.text, product.currency)
}

fn paged_query(caller: &Caller, query: &ProductsQuery) -> Result<PagedQuery> {
    let order = serde_json::to_string(&(query.order_by, query.direction)).map_err(Error::bug)?;
    // An absent filter is not an empty one.
    let filters = [&query.store_id, &query.from, &query.to, &query.category];
    let filters = serde_json::to_string(&filters).map_err(Error::bug)?;
    Ok(PagedQuery::new(&caller.scope, "analytics/products", [order.as_str(), filters.as_str()]))
}

fn rank(sums: BTreeMap<(Bucket, Currency), BTreeMap<String, Metrics>>, by: ProductOrder) -> Vec<Ranked> {
    let value = |metrics: &Metrics| match by {
        ProductOrder::NetSales => metrics.net(),
        ProductOrder::GrossSales => metrics.gross,
        ProductOrder::Discounts => metrics.discounts,
        ProductOrder::Returns => metrics.returns,
        ProductOrder::Units => metrics.units,
        ProductOrder::Orders => i64::try_from(metrics.orders).unwrap_or(i64::MAX),
    };
    sums.into_iter()
        .flat_map(|((bucket, currency), skus)| {
            skus.into_iter().map(move |(sku, metrics)| Ranked {
                value: value(&metrics),
                sku,
                bucket: bucket.clone(),
                currency,
                metrics,
            })
        })
        .collect()
}

async fn sums(
    reader: &Reader<'_>,
    span: Span,
    only: Option<&BTreeSet<String>>,
) -> Result<BTreeMap<(Bucket, Currency), BTreeMap<String, Metrics>>> {
    let mut sums = BTreeMap::<(Bucket, Currency), BTreeMap<String, Metrics>>::new();
    for (store, products) in reader.figures().products(&reader.ranges(span)?).await? {
        let bucket = reader.begin(store, span)?;
        for (currency, skus) in products.0 {
            let into = sums.entry((bucket.clone(), currency)).or_default();
            for (sku, metrics) in skus {
                if only.is_none_or(|only| only.contains(&sku)) {
                    into.entry(sku).or_default().add(&metrics);
                }
            }
        }
    }
    Ok(sums)
}

async fn skus_of_category(ports: &Ports, caller: &Caller, category: &str) -> Result<BTreeSet<String>> {
    if category.is_empty() || category.len() > 256 {
        return Err(Refusal::field("category", "category_malformed", "1 to 256 bytes of text").into());
    }
    let mut query = Query::index(Table::Catalog, Index::ByCategory, caller.scope.category(category));
    let mut skus = BTreeSet::new();
    loop {
        let page = ports.database.query(query.clone()).await?;
        for item in &page.items {
            skus.insert(item.text("category_sk")?.to_owned());
        }
        if skus.len() > CATEGORY_SKUS_MAX {
            let message = format!("a category to filter by has at most {CATEGORY_SKUS_MAX} products");
            return Err(Refusal::field("category", "category_too_large", message).into());
        }
        match page.next {
            Some(next) => query.start = Some(next),
            None => return Ok(skus),
        }
    }
}
