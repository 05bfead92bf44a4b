//! The aggregator: a batch of events into pages, then into the stores' completeness records.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt};
use jiff::civil::Date;
use tillstream_contracts::events::SaleEvent;
use tillstream_domain::aggregates::{HourPage, ProductPage, SaleFact, page_of};

use super::pages::Page;
use super::stored::{self, Stored, analytics_get};
use super::{completeness, day_descriptor, event};
use crate::database::{Consistency, Get, Item, Table};
use crate::error::{Error, Result};
use crate::facts::sale_event;
use crate::ports::Ports;
use crate::pos::cart_item::cart_of;
use crate::record_failure::Failure;
use crate::tenancy::TenantScope;

/// Most page writes on their way at once.
const WRITES_AT_ONCE: usize = 16;
/// Most stores folded at once.
const STORES_AT_ONCE: usize = 4;

/// An event of the batch that is not (known to be) counted.
#[derive(Debug, Clone)]
pub struct FoldFailure {
    /// Its position in the batch.
    pub position: usize,
    /// [`Error::Bug`]: poison, to be parked. Others: to be repeated.
    pub error: Error,
}

/// A fact and where in the batch it came from.
struct Counted {
    position: usize,
    fact: SaleFact,
}

/// Folds records of the sales stream; answers which were not counted, by position.
pub async fn fold_records(ports: &Ports, records: &[&[u8]]) -> BTreeMap<usize, Failure> {
    let (mut positions, mut events, mut failures) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (position, data) in records.iter().enumerate() {
        match event::parse_event(data) {
            Ok(event) => {
                positions.push(position);
                events.push(event);
            }
            Err(error) => {
                failures.insert(position, Failure::from(error));
            }
        }
    }
    for failed in fold_batch(ports, events).await {
        if let Some(position) = positions.get(failed.position) {
            failures.insert(*position, Failure::from(failed.error));
        }
    }
    failures
}

/// Folds a batch into the pages. Any event may come any number of times, in any order, in any batch,
/// at several aggregators at once; what fails can be repeated as a whole. Answers the events that
/// failed, by position.
pub async fn fold_batch(ports: &Ports, events: Vec<SaleEvent>) -> Vec<FoldFailure> {
    let mut failures = Vec::new();
    let mut stores = BTreeMap::<(TenantScope, String), Vec<Counted>>::new();
    for (position, read) in whole_events(ports, events).await.into_iter().enumerate() {
        let sorted = read.and_then(|event| {
            event::check(&event)?;
            let store = (TenantScope::from_own_record(&event.tenant_id), event.store_id.clone());
            Ok((store, event::fact_of(event)?))
        });
        match sorted {
            Ok((store, fact)) => stores.entry(store).or_default().push(Counted { position, fact }),
            Err(error) => failures.push(FoldFailure { position, error }),
        }
    }
    let mut folds = stream::iter(stores)
        .map(|((scope, store_id), facts)| fold_store(ports.clone(), scope, store_id, facts))
        .buffer_unordered(STORES_AT_ONCE);
    while let Some(failed) = folds.next().await {
        failures.extend(failed);
    }
    failures.sort_by_key(|failure| failure.position);
    failures
}

/// The events with their lines: those too large to carry them are read from their orders.
async fn whole_events(ports: &Ports, events: Vec<SaleEvent>) -> Vec<Result<SaleEvent>> {
    let bare: Vec<usize> =
        events.iter().enumerate().filter(|(_, event)| event.detail.is_none()).map(|(at, _)| at).collect();
    let mut whole: Vec<Result<SaleEvent>> = events.into_iter().map(Ok).collect();
    if bare.is_empty() {
        return whole;
    }
    let gets: Vec<Get> = bare
        .iter()
        .filter_map(|at| whole.get(*at)?.as_ref().ok())
        .map(|event| Get {
            table: Table::Orders,
            key: TenantScope::from_own_record(&event.tenant_id).cart(&event.order_id),
            consistency: Consistency::Strong,
        })
        .collect();
    let orders = ports.database.get_many(gets).await;
    for (place, at) in bare.into_iter().enumerate() {
        let Some(event) = whole.get_mut(at) else { continue };
        let read = match &orders {
            Ok(items) => items.get(place).and_then(Option::as_ref).map_or_else(
                // An order is never deleted, but its replica may be behind the stream.
                || Err(Error::retryable("the order of an event is not there")),
                |item| with_lines(event.as_ref().ok(), item),
            ),
            Err(error) => Err(not_the_events_fault(error.clone().into())),
        };
        *event = read;
    }
    whole
}

/// The event with the lines of its order; identity and dimensions stay the event's own.
fn with_lines(event: Option<&SaleEvent>, order: &Item) -> Result<SaleEvent> {
    let event = event.ok_or_else(|| Error::bug("an event was lost"))?;
    let scope = TenantScope::from_own_record(&event.tenant_id);
    let read = sale_event(&scope, &cart_of(order)?)?;
    if read.lane_number() != event.lane_number() {
        return Err(Error::bug("the order has another lane number than its event"));
    }
    Ok(SaleEvent { detail: read.detail, ..event.clone() })
}

/// Folds the facts of one store; answers those that failed.
async fn fold_store(
    ports: Ports,
    scope: TenantScope,
    store_id: String,
    facts: Vec<Counted>,
) -> Vec<FoldFailure> {
    match fold_pages(&ports, &scope, &store_id, &facts).await {
        Ok(failures) => failures,
        Err(error) => facts
            .iter()
            .map(|counted| FoldFailure {
                position: counted.position,
                error: not_the_events_fault(error.clone()),
            })
            .collect(),
    }
}

/// A fact that could be read is not at fault for what its store's pages meet: missing permissions, say, must
/// not park every sale of the day.
fn not_the_events_fault(error: Error) -> Error {
    match error {
        Error::Bug(why) => Error::retryable(why),
        other => other,
    }
}

async fn fold_pages(
    ports: &Ports,
    scope: &TenantScope,
    store_id: &str,
    facts: &[Counted],
) -> Result<Vec<FoldFailure>> {
    let days: BTreeSet<Date> = facts.iter().map(|counted| counted.fact.business_day).collect();
    let mut gets = vec![analytics_get(scope.completeness(store_id))];
    gets.extend(days.iter().map(|day| analytics_get(scope.day_descriptor(store_id, *day))));
    let mut read = ports.database.get_many(gets).await?.into_iter();
    let record = Stored::of(read.next().flatten().as_ref())?;
    let mut product_pages = BTreeMap::new();
    for (day, descriptor) in days.into_iter().zip(read) {
        let descriptor = day_descriptor::fix(ports, scope, store_id, day, descriptor).await?;
        product_pages.insert(day, descriptor.product_pages);
    }

    let touched = touched_pages(facts, &product_pages);
    let gets = touched.keys().map(|page| analytics_get(page.key(scope, store_id))).collect();
    let items = ports.database.get_many(gets).await?;
    let mut folds = stream::iter(touched.into_iter().zip(items))
        .map(|((page, at), item)| async move {
            let facts: Vec<&SaleFact> = at.iter().filter_map(|at| Some(&facts.get(*at)?.fact)).collect();
            (at, fold_page(ports, page.head(scope, store_id), page, item, &facts).await)
        })
        .buffer_unordered(WRITES_AT_ONCE);
    let mut failed = BTreeMap::<usize, Error>::new();
    while let Some((at, folded)) = folds.next().await {
        if let Err(error) = folded {
            failed.extend(at.into_iter().map(|at| (at, error.clone())));
        }
    }

    // Only now, and only what is in every page of its own.
    let counted: Vec<&SaleFact> = facts
        .iter()
        .enumerate()
        .filter(|(at, _)| !failed.contains_key(at))
        .map(|(_, counted)| &counted.fact)
        .collect();
    if let Err(error) = completeness::enter(ports, scope, store_id, Some(record), &counted).await {
        for at in 0..facts.len() {
            failed.entry(at).or_insert_with(|| error.clone());
        }
    }
    Ok(failed
        .into_iter()
        .filter_map(|(at, error)| {
            Some(FoldFailure { position: facts.get(at)?.position, error: not_the_events_fault(error) })
        })
        .collect())
}

/// The pages that facts belong to, each with the facts' places.
fn touched_pages(facts: &[Counted], product_pages: &BTreeMap<Date, u32>) -> BTreeMap<Page, Vec<usize>> {
    let mut touched = BTreeMap::<Page, Vec<usize>>::new();
    for (at, Counted { fact, .. }) in facts.iter().enumerate() {
        touched.entry(Page::hour_of(fact)).or_default().push(at);
        let day = fact.business_day;
        let pages = product_pages.get(&day).copied().unwrap_or(1);
        let of_lines: BTreeSet<u32> = fact.lines.iter().map(|line| page_of(&line.sku, pages)).collect();
        for page in of_lines {
            touched.entry(Page::Products { day, page, pages }).or_default().push(at);
        }
    }
    touched
}

async fn fold_page(
    ports: &Ports,
    head: Item,
    page: Page,
    item: Option<Item>,
    facts: &[&SaleFact],
) -> Result<()> {
    match page {
        Page::Hour { .. } => {
            let read = Stored::of(item.as_ref())?;
            stored::change(ports, &head, Some(read), |hour: &mut HourPage| {
                facts.iter().fold(false, |new, fact| hour.fold(fact) | new)
            })
            .await?;
        }
        Page::Products { page, pages, .. } => {
            let read = Stored::of(item.as_ref())?;
            stored::change(ports, &head, Some(read), |products: &mut ProductPage| {
                facts.iter().fold(false, |new, fact| products.fold(fact, page, pages) | new)
            })
            .await?;
        }
    }
    Ok(())
}
