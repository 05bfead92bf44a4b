//! Fine pages once more from the orders themselves: to prove that they are right, and to mend them.
//!
//! Equal facts make equal bytes, so a rebuilt page either is the stored one or shows a difference.

use std::collections::{BTreeMap, BTreeSet};

use jiff::ToSpan;
use jiff::civil::Date;
use tillstream_domain::aggregates::{Folded, HourPage, ProductPage, SaleFact, page_of};
use tillstream_domain::location::Location;

use super::completeness::{self, Completeness};
use super::pages::Page;
use super::stored::{self, Stored, StoredContent, analytics_get, versioned_put};
use super::{day_descriptor, event, reading};
use crate::database::{Consistency, DatabaseError, Get, Index, Item, Key, Query, Range, Table};
use crate::error::{Error, Result};
use crate::facts::sale_event;
use crate::ports::Ports;
use crate::pos::cart_item::{cart_of, store_sort_key};
use crate::tenancy::TenantScope;

/// Orders are indexed by time, days are those of the store's calendar then: reads go this far beyond
/// the days, should the calendar have been changed since.
const MARGIN_HOURS: i64 = 36;

/// Whether to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Only compare.
    Verify,
    /// Write pages that differ.
    Repair,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Orders that the pages were made from.
    pub orders: u64,
    /// Pages compared.
    pub pages: u64,
    /// Sort keys of pages that differed.
    pub different: Vec<String>,
    /// Of these, pages that hold facts which no order in the index accounts for. They are never
    /// written: the index is a moment behind, or somebody has to look.
    pub unaccounted: Vec<String>,
}

/// A page's content, with its set of facts.
trait Content: StoredContent + PartialEq {
    fn folded(&self) -> &Folded;
}

impl Content for HourPage {
    fn folded(&self) -> &Folded {
        &self.folded
    }
}

impl Content for ProductPage {
    fn folded(&self) -> &Folded {
        &self.folded
    }
}

/// Compares the fine pages of a store's business days (`first` and `last` included) with its orders.
///
/// # Errors
/// [`Error::Retryable`]; [`Error::Conflict`] where a page changed meanwhile: run it again.
pub async fn rebuild(
    ports: &Ports,
    scope: &TenantScope,
    store: &Location,
    first: Date,
    last: Date,
    mode: Mode,
) -> Result<Report> {
    // Versions before sources, so that a fact folded meanwhile makes the write fail.
    let mut stored = BTreeMap::<(String, String), Item>::new();
    for item in reading::fine_items(ports, scope, &store.id, first, last).await? {
        let key = Key::of(&item)?;
        stored.insert((key.pk().to_owned(), key.sk().to_owned()), item);
    }
    let facts = facts(ports, scope, store, first, last).await?;
    let mut report = Report { orders: u64::try_from(facts.len()).unwrap_or(u64::MAX), ..Report::default() };

    let mut hours = BTreeMap::<Page, HourPage>::new();
    let mut products = BTreeMap::<Page, ProductPage>::new();
    let mut product_pages = BTreeMap::<Date, u32>::new();
    for fact in &facts {
        let day = fact.business_day;
        let pages = match product_pages.get(&day) {
            Some(pages) => *pages,
            None => {
                let read = ports.database.get(analytics_get(scope.day_descriptor(&store.id, day))).await?;
                let descriptor = match (read, mode) {
                    (None, Mode::Verify) => day_descriptor::DayDescriptor::default(),
                    (read, _) => day_descriptor::fix(ports, scope, &store.id, day, read).await?,
                };
                product_pages.insert(day, descriptor.product_pages);
                descriptor.product_pages
            }
        };
        hours.entry(Page::hour_of(fact)).or_default().fold(fact);
        for line in &fact.lines {
            let page = page_of(&line.sku, pages);
            // Of several lines on one page the first folds them all.
            products.entry(Page::Products { day, page, pages }).or_default().fold(fact, page, pages);
        }
    }

    let days: BTreeSet<Date> = hours.keys().chain(products.keys()).map(Page::day).collect();
    let compared: Result<()> = async {
        for (page, content) in &hours {
            let item = take(&mut stored, scope, &store.id, page);
            compare(ports, page.head(scope, &store.id), item, content, mode, &mut report).await?;
        }
        for (page, content) in &products {
            let item = take(&mut stored, scope, &store.id, page);
            compare(ports, page.head(scope, &store.id), item, content, mode, &mut report).await?;
        }
        Ok(())
    }
    .await;
    if mode == Mode::Repair {
        mark(ports, scope, &store.id, &days).await?;
    }
    compared?;
    for (_, sk) in stored.into_keys() {
        report.pages += 1;
        report.different.push(sk.clone());
        report.unaccounted.push(sk);
    }
    Ok(report)
}

/// Marks the closed ones of these days as changed: all that were looked at, since a run that was cut off, or
/// whose write took effect without an answer, has left no list of what it wrote.
async fn mark(ports: &Ports, scope: &TenantScope, store_id: &str, days: &BTreeSet<Date>) -> Result<()> {
    stored::change(ports, &completeness::head(scope, store_id), None, |record: &mut Completeness| {
        let closed: Vec<Date> = days.iter().copied().filter(|day| record.is_closed(*day)).collect();
        closed.iter().for_each(|day| record.mark(*day));
        !closed.is_empty()
    })
    .await?;
    Ok(())
}

fn take(
    stored: &mut BTreeMap<(String, String), Item>,
    scope: &TenantScope,
    store_id: &str,
    page: &Page,
) -> Option<Item> {
    let key = page.key(scope, store_id);
    stored.remove(&(key.pk().to_owned(), key.sk().to_owned()))
}

/// Compares one page, and writes it where it is to be mended.
async fn compare<T: Content>(
    ports: &Ports,
    head: Item,
    item: Option<Item>,
    content: &T,
    mode: Mode,
    report: &mut Report,
) -> Result<()> {
    report.pages += 1;
    let stored = Stored::<T>::of(item.as_ref())?;
    if item.is_some() && stored.content == *content {
        return Ok(());
    }
    let sk = head.text("sk")?.to_owned();
    report.different.push(sk.clone());
    if !content.folded().contains_all(stored.content.folded()) {
        report.unaccounted.push(sk);
        return Ok(());
    }
    if mode == Mode::Verify {
        return Ok(());
    }
    match ports.database.write(versioned_put(head, stored.version, content)?).await {
        Ok(()) => Ok(()),
        Err(DatabaseError::ConditionFailed(_)) => Err(Error::Conflict(format!("{sk} was written meanwhile"))),
        Err(error) => Err(error.into()),
    }
}

/// The facts of business days, from the orders.
async fn facts(
    ports: &Ports,
    scope: &TenantScope,
    store: &Location,
    first: Date,
    last: Date,
) -> Result<Vec<SaleFact>> {
    let calendar = store.calendar().map_err(Error::bug)?;
    let begin = calendar.day_begin(first).and_then(|begin| {
        begin
            .checked_sub(MARGIN_HOURS.hours())
            .map_err(|_| tillstream_domain::business_day::CalendarError::OutOfRange)
    });
    let end = calendar.day_begin(last).and_then(|end| {
        end.checked_add((24 + MARGIN_HOURS).hours())
            .map_err(|_| tillstream_domain::business_day::CalendarError::OutOfRange)
    });
    let range = Range::Between(
        store_sort_key(begin.map_err(Error::bug)?, ""),
        store_sort_key(end.map_err(Error::bug)?, "~"),
    );
    let mut query =
        Query { range, ..Query::index(Table::Orders, Index::ByStore, scope.store_orders(&store.id)) };
    let mut facts = Vec::new();
    loop {
        let page = ports.database.query(query.clone()).await?;
        for keys in page.items.chunks(100) {
            let mut gets = Vec::with_capacity(keys.len());
            for item in keys {
                let key = Key::of(item)?;
                gets.push(Get { table: Table::Orders, key, consistency: Consistency::Strong });
            }
            for order in ports.database.get_many(gets).await?.into_iter().flatten() {
                let fact = event::fact_of(sale_event(scope, &cart_of(&order)?)?)?;
                if (first..=last).contains(&fact.business_day) {
                    facts.push(fact);
                }
            }
        }
        match page.next {
            Some(next) => query.start = Some(next),
            None => return Ok(facts),
        }
    }
}
