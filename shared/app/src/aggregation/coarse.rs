//! Coarse pages: closed days, dense, without the sets that fine pages need.
//!
//! - A **month** of a store holds the figures of each of its days: what a long range by day, week or
//!   month reads.
//! - A **day of products** and a **month of products** of a store, each over [`PARTS`] items.
//!
//! They are computed from fine pages and overwrite what was there, on condition of their own version,
//! read before the sources. Readers use them for settled days only
//! ([`Completeness::is_settled`]): closed, and not changed since. A day is settled after its coarse
//! pages are written, and only if nothing marked it as changed since before its sources were read; a
//! fact is marked in the write that makes its number count as complete. So whoever finds a number in
//! the record and its day settled, finds the fact in the coarse pages.

use std::collections::{BTreeMap, BTreeSet};

use jiff::ToSpan;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tillstream_domain::aggregates::product_page::add_products;
use tillstream_domain::aggregates::{Figures, Products, page_of};
use tillstream_domain::money::Currency;

use super::completeness::{self, Completeness};
use super::reading;
use super::stored::{self, Stored, analytics_get, versioned_put};
use crate::database::{DatabaseError, Item, Key};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::tenancy::TenantScope;

/// Items over which a day or month of products is spread, by the hash of the SKU: 4,000 products take
/// about 10 KB each, and a hundred thousand still fit.
pub const PARTS: u32 = 8;

/// Figures of a day or an hour by currency.
pub type DayFigures = BTreeMap<Currency, Figures>;

/// A month of a store: its settled days.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MonthPage {
    /// Figures by day; a day without sales is absent.
    pub days: BTreeMap<Date, DayFigures>,
}

/// Keys of a day's or a month's products.
pub fn day_parts(scope: &TenantScope, store_id: &str, day: Date) -> Vec<Key> {
    (0..PARTS).map(|part| scope.products_of_day(store_id, day, part)).collect()
}

/// Keys of a month's products.
pub fn month_parts(scope: &TenantScope, store_id: &str, month: Date) -> Vec<Key> {
    (0..PARTS).map(|part| scope.products_of_month(store_id, month, part)).collect()
}

/// Whether the products of `month` (its first day) can be read from its coarse pages.
pub fn is_month_settled(record: &Completeness, month: Date) -> bool {
    let last = month.last_of_month();
    record.closed_through.is_some_and(|closed| last <= closed)
        && record.changed.range(month..=last).next().is_none()
}

/// Closes the store's days up to `through` (its last business day that is over), and settles up to
/// `days_max` days that are not, oldest first. Answers how many remain. Runs may overlap and may be cut
/// off anywhere: what is not settled is read from fine pages.
///
/// # Errors
/// [`Error::Retryable`], [`Error::Conflict`] where another run is at the same month, [`Error::Bug`].
pub async fn refresh(
    ports: &Ports,
    scope: &TenantScope,
    store_id: &str,
    through: Date,
    days_max: usize,
) -> Result<usize> {
    let record = close(ports, scope, store_id, through).await?;
    let mut months = BTreeMap::<Date, Vec<(Date, u64)>>::new();
    for (day, stamp) in record.changed.iter().take(days_max) {
        months.entry(day.first_of_month()).or_default().push((*day, *stamp));
    }
    let mut left = record.changed.len();
    for (month, days) in months {
        left -= settle(ports, scope, store_id, &record, month, &days).await?;
    }
    Ok(left)
}

/// Closes days: those that have pages are marked as changed until they are settled.
async fn close(ports: &Ports, scope: &TenantScope, store_id: &str, through: Date) -> Result<Completeness> {
    let mut last = Error::Conflict("no attempt was made".to_owned());
    for _ in 0..8 {
        let read = completeness::read(ports, scope, store_id).await?;
        let mut record = read.content;
        if record.closed_through.is_some_and(|closed| through <= closed) {
            return Ok(record);
        }
        // Listed after the record was read: a day whose first fact is counted later than that changes
        // the record, and this put fails; or it comes after this put, and marks itself.
        let from = record.closed_through.map(Date::first_of_month);
        for day in reading::days_with_pages(ports, scope, store_id, from, through).await? {
            if record.closed_through.is_none_or(|closed| day > closed) {
                record.mark(day);
            }
            // The products of a month are made when its last day is settled, sales or not.
            let month_end = day.last_of_month();
            if month_end <= through && record.closed_through.is_none_or(|closed| month_end > closed) {
                record.mark(month_end);
            }
        }
        record.closed_through = Some(through);
        let put = versioned_put(completeness::head(scope, store_id), read.version, &record)?;
        match ports.database.write(put).await {
            Ok(()) => return Ok(record),
            Err(DatabaseError::ConditionFailed(_)) => last = Error::Conflict("days were counted".to_owned()),
            Err(error) => return Err(error.into()),
        }
    }
    Err(last)
}

/// Settles days of one month, each with the stamp of its mark; answers how many.
async fn settle(
    ports: &Ports,
    scope: &TenantScope,
    store_id: &str,
    record: &Completeness,
    month: Date,
    days: &[(Date, u64)],
) -> Result<usize> {
    let is_closed = record.closed_through.is_some_and(|closed| month.last_of_month() <= closed);
    // All versions before all sources.
    let month_key = scope.sales_of_month(store_id, month);
    let mut gets = vec![analytics_get(month_key.clone())];
    gets.extend(month_parts(scope, store_id, month).into_iter().map(analytics_get));
    for (day, _) in days {
        gets.extend(day_parts(scope, store_id, *day).into_iter().map(analytics_get));
    }
    let mut old = ports.database.get_many(gets).await?.into_iter();
    let mut month_page = Stored::<MonthPage>::of(old.next().flatten().as_ref())?;
    let mut versions = Vec::with_capacity(old.len());
    for item in old {
        versions.push(Stored::<Products>::of(item.as_ref())?.version);
    }
    let (month_versions, day_versions) =
        versions.split_at_checked(PARTS as usize).ok_or_else(|| Error::bug("coarse pages were not read"))?;

    for ((day, _), versions) in days.iter().zip(day_versions.chunks(PARTS as usize)) {
        let mut figures = DayFigures::new();
        for hour in reading::hours(ports, scope, store_id, *day, *day).await? {
            for (currency, hour) in &hour.page.figures {
                figures.entry(*currency).or_default().add(hour);
            }
        }
        if figures.is_empty() {
            month_page.content.days.remove(day);
        } else {
            month_page.content.days.insert(*day, figures);
        }
        let products = reading::fine_products(ports, scope, store_id, *day, *day).await?;
        put_parts(ports, &day_parts(scope, store_id, *day), versions, &products).await?;
    }
    put(ports, &month_key, month_page.version, &month_page.content).await?;

    if is_closed {
        let mut products = Products::new();
        let sold: Vec<Date> = month_page.content.days.keys().copied().collect();
        let gets = sold.iter().flat_map(|day| day_parts(scope, store_id, *day)).map(analytics_get).collect();
        for item in ports.database.get_many(gets).await?.into_iter().flatten() {
            add_products(&mut products, &Stored::<Products>::of(Some(&item))?.content);
        }
        put_parts(ports, &month_parts(scope, store_id, month), month_versions, &products).await?;
    }

    let settled: BTreeSet<(Date, u64)> = days.iter().copied().collect();
    stored::change(ports, &completeness::head(scope, store_id), None, |record: &mut Completeness| {
        let before = record.changed.len();
        record.changed.retain(|day, stamp| !settled.contains(&(*day, *stamp)));
        record.changed.len() < before
    })
    .await?;
    Ok(days.len())
}

async fn put_parts(ports: &Ports, keys: &[Key], versions: &[i64], products: &Products) -> Result<()> {
    let mut parts = vec![Products::new(); keys.len()];
    for (currency, skus) in products {
        for (sku, metrics) in skus {
            let at = usize::try_from(page_of(sku, PARTS)).map_err(Error::bug)?;
            if let Some(part) = parts.get_mut(at) {
                part.entry(*currency).or_default().insert(sku.clone(), *metrics);
            }
        }
    }
    for ((key, version), part) in keys.iter().zip(versions).zip(&parts) {
        // A part that is and stays empty needs no item.
        if *version > 0 || !part.is_empty() {
            put(ports, key, *version, part).await?;
        }
    }
    Ok(())
}

async fn put<T: Serialize>(ports: &Ports, key: &Key, version: i64, content: &T) -> Result<()> {
    match ports.database.write(versioned_put(Item::new(key), version, content)?).await {
        Ok(()) => Ok(()),
        // The day stays marked, so nobody reads what may be old, and the next run does it again.
        Err(DatabaseError::ConditionFailed(_)) => {
            Err(Error::Conflict(format!("another run refreshes {}", key.sk())))
        }
        Err(error) => Err(error.into()),
    }
}

/// The last day before the store's business day `today`.
///
/// # Errors
/// A bug at the ends of the calendar.
pub fn last_closed(today: Date) -> Result<Date> {
    today.checked_sub(1.day()).map_err(Error::bug)
}
