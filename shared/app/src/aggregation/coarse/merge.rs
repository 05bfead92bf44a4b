//! Coarse pages over all stores of a calendar, from the coarse pages of each.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use tillstream_domain::aggregates::coarse_page::{ProductBlock, SHARED_FACETS, SalesPage};
use tillstream_domain::aggregates::product_page::add_products;
use tillstream_domain::location::{Location, LocationKind};

use super::blocks::{Block, around};
use super::{Owner, Targets, calendar_name, read_blocks, sales_key};
use crate::aggregation::completeness::{self, Completeness};
use crate::aggregation::reading;
use crate::aggregation::stored::{self, Stored, analytics_get, versioned_put};
use crate::database::DatabaseError;
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::tenancy::TenantScope;

/// Merges days that every store of a calendar has settled, up to `days_max` of each calendar, oldest first.
/// Answers how many days remain. Runs may overlap and may be cut off anywhere: days that are not merged are
/// read store by store.
///
/// # Errors
/// [`Error::Retryable`], [`Error::Conflict`] where another run is at the same pages, [`Error::Bug`].
pub async fn merge(
    ports: &Ports,
    scope: &TenantScope,
    stores: &[Location],
    days_max: usize,
) -> Result<usize> {
    let mut calendars = BTreeMap::<String, Vec<&str>>::new();
    for store in stores.iter().filter(|store| store.kind == LocationKind::Store) {
        calendars.entry(calendar_name(store)).or_default().push(&store.id);
    }
    let ids: Vec<&str> = calendars.values().flatten().copied().collect();
    let mut records = records(ports, scope, &ids).await?;
    let mut left = 0;
    for (calendar, ids) in &calendars {
        // A store that has counted nothing is in no page.
        let ids: Vec<&str> = ids.iter().copied().filter(|id| !is_empty(records.get(*id))).collect();
        for id in &ids {
            let is_listed = |name| records.get(*id).and_then(|r| r.calendar.as_deref()) == name;
            // The pages of one store are its sums.
            let name = Some(calendar.as_str()).filter(|_| ids.len() > 1);
            if !is_listed(name) {
                enlist(ports, scope, id, name, &records).await?;
            }
        }
        if ids.len() > 1 {
            records.extend(self::records(ports, scope, &ids).await?);
            left += merge_calendar(ports, scope, calendar, &ids, &records, days_max).await?;
        }
    }
    Ok(left)
}

fn is_empty(record: Option<&Completeness>) -> bool {
    record.is_none_or(|record| record.folded.is_empty())
}

async fn records<'a>(
    ports: &Ports,
    scope: &TenantScope,
    ids: &[&'a str],
) -> Result<BTreeMap<&'a str, Completeness>> {
    let gets = ids.iter().map(|id| analytics_get(scope.completeness(id))).collect();
    let items = ports.database.get_many(gets).await?;
    ids.iter().zip(items).map(|(id, item)| Ok((*id, Stored::of(item.as_ref())?.content))).collect()
}

/// Puts a store on the list of a calendar, or on none: all its closed days are to be merged there, and
/// where it was before they are to be merged without it.
async fn enlist(
    ports: &Ports,
    scope: &TenantScope,
    store_id: &str,
    calendar: Option<&str>,
    records: &BTreeMap<&str, Completeness>,
) -> Result<()> {
    let mut last = Error::Conflict("no attempt was made".to_owned());
    for _ in 0..8 {
        let read = completeness::read(ports, scope, store_id).await?;
        let mut record = read.content;
        // Listed after the record was read, as when days are closed.
        let mut days: BTreeSet<Date> = record.changed.keys().copied().collect();
        if let Some(closed) = record.closed_through {
            days.extend(reading::days_with_pages(ports, scope, store_id, None, closed).await?);
        }
        if let Some(old) = record.calendar.as_deref() {
            let stays =
                records.iter().find(|(id, other)| **id != store_id && other.calendar.as_deref() == Some(old));
            if let Some((id, _)) = stays {
                stored::change(ports, &completeness::head(scope, id), None, |other: &mut Completeness| {
                    let closed = days.iter().filter(|day| other.is_closed(**day));
                    let closed: Vec<Date> = closed.copied().collect();
                    closed.iter().for_each(|day| other.mark_unmerged(*day));
                    !closed.is_empty()
                })
                .await?;
            }
        }
        record.calendar = calendar.map(str::to_owned);
        record.unmerged.clear();
        days.iter().for_each(|day| record.mark_unmerged(*day));
        let put = versioned_put(completeness::head(scope, store_id), read.version, &record)?;
        match ports.database.write(put).await {
            Ok(()) => return Ok(()),
            Err(DatabaseError::ConditionFailed(_)) => last = Error::Conflict("days were counted".to_owned()),
            Err(error) => return Err(error.into()),
        }
    }
    Err(last)
}

/// Refuses to make days anew without a store that is in them and has not left the calendar: the list of
/// stores is read from an index, a while before, and may lack one. Who is in the days is read with the
/// versions that the writes depend on.
async fn require_all_members(
    ports: &Ports,
    scope: &TenantScope,
    calendar: &str,
    ids: &[&str],
    targets: &Targets,
    days: &[Date],
) -> Result<()> {
    let of_days = |page: &Stored<SalesPage>| -> Vec<String> {
        days.iter().filter_map(|day| page.content.members.get(day)).flatten().cloned().collect()
    };
    let unlisted: BTreeSet<String> =
        targets.sales.values().flat_map(of_days).filter(|id| !ids.contains(&id.as_str())).collect();
    let unlisted: Vec<&str> = unlisted.iter().map(String::as_str).collect();
    let records = records(ports, scope, &unlisted).await?;
    match records.iter().find(|(_, record)| record.calendar.as_deref() == Some(calendar)) {
        Some((id, _)) => Err(Error::Conflict(format!("the list of stores of {calendar} lacks {id}"))),
        None => Ok(()),
    }
}

/// Merges days of one calendar, whose stores' records were read before; answers how many remain.
async fn merge_calendar(
    ports: &Ports,
    scope: &TenantScope,
    calendar: &str,
    ids: &[&str],
    records: &BTreeMap<&str, Completeness>,
    days_max: usize,
) -> Result<usize> {
    let of_calendar: Vec<&Completeness> = ids.iter().filter_map(|id| records.get(id)).collect();
    let all: BTreeSet<Date> = of_calendar.iter().flat_map(|record| record.unmerged.keys().copied()).collect();
    // Before every store has settled a day nobody can read it merged, and it would be merged again.
    let is_ready = |day: &Date| of_calendar.iter().all(|record| record.is_settled(*day));
    let days: Vec<Date> = all.iter().copied().filter(is_ready).take(days_max).collect();
    let left = all.len() - days.len();
    if days.is_empty() {
        return Ok(left);
    }
    let owner = Owner::Calendar(calendar);
    // All versions before all sources. Blocks whose end is not closed are made, too: whether it is, each
    // store says for itself, and two runs that make the same block must meet at its version.
    let blocks = around(&days);
    let mut targets = Targets::read(ports, scope, owner, &SHARED_FACETS, &days, blocks).await?;
    require_all_members(ports, scope, calendar, ids, &targets, &days).await?;
    targets.clear(&days);
    let mut sums: BTreeMap<Block, ProductBlock> =
        days.iter().map(|day| (Block::of(0, *day), ProductBlock::default())).collect();
    for id in ids {
        let store = Owner::Store(id);
        let names: Vec<_> = targets.sales.keys().copied().collect();
        let keys = names
            .iter()
            .map(|(resolution, facet, begin)| sales_key(scope, store, *resolution, *facet, *begin));
        let items = ports.database.get_many(keys.map(analytics_get).collect()).await?;
        for (name, item) in names.iter().zip(items) {
            let page = Stored::<SalesPage>::of(item.as_ref())?.content;
            let Some(into) = targets.sales.get_mut(name) else { continue };
            let (resolution, _, begin) = name;
            for day in days.iter().filter(|day| resolution.page_begin(**day) == *begin) {
                into.content.add_day(*day, id, &page);
            }
        }
        let of_days: Vec<Block> = days.iter().map(|day| Block::of(0, *day)).collect();
        let read = read_blocks(ports, scope, store, &of_days).await?;
        for (block, of_store) in of_days.into_iter().zip(read) {
            if !of_store.products.is_empty() {
                let sum = sums.entry(block).or_default();
                sum.members.insert((*id).to_owned());
                add_products(&mut sum.products, &of_store.products);
            }
        }
    }
    targets.sum_up(ports, scope, owner, &mut sums).await?;
    targets.write(ports, scope, owner, &sums).await?;

    for id in ids {
        let Some(read) = records.get(id) else { continue };
        stored::change(ports, &completeness::head(scope, id), None, |record: &mut Completeness| {
            let before = record.unmerged.len();
            if record.calendar.as_deref() == Some(calendar) {
                record
                    .unmerged
                    .retain(|day, stamp| !(days.contains(day) && read.unmerged.get(day) == Some(stamp)));
            }
            record.unmerged.len() < before
        })
        .await?;
    }
    Ok(left)
}
