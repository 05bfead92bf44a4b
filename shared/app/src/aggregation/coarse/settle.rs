//! A store's coarse pages from its fine ones.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use tillstream_domain::aggregates::coarse_page::{FACETS, ProductBlock};

use super::blocks::{Block, LEVEL_MAX, around};
use super::{Owner, Resolution, Targets};
use crate::aggregation::completeness::{self, Completeness};
use crate::aggregation::pages::Hour;
use crate::aggregation::reading;
use crate::aggregation::stored::{self, versioned_put};
use crate::database::DatabaseError;
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::tenancy::TenantScope;

/// Closes the store's days up to `through` (its last business day that is over), and settles up to
/// `days_max` days that are not, oldest first. Answers how many remain. Runs may overlap and may be cut
/// off anywhere: what is not settled is read from fine pages.
///
/// # Errors
/// [`Error::Retryable`], [`Error::Conflict`] where another run is at the same pages, [`Error::Bug`].
pub async fn refresh(
    ports: &Ports,
    scope: &TenantScope,
    store_id: &str,
    through: Date,
    days_max: usize,
) -> Result<usize> {
    let record = close(ports, scope, store_id, through).await?;
    let days: Vec<(Date, u64)> =
        record.changed.iter().take(days_max).map(|(day, stamp)| (*day, *stamp)).collect();
    if !days.is_empty() {
        settle(ports, scope, store_id, record.closed_through, &days).await?;
    }
    Ok(record.changed.len() - days.len())
}

/// Closes days: those that have pages are marked as changed until they are settled.
async fn close(ports: &Ports, scope: &TenantScope, store_id: &str, through: Date) -> Result<Completeness> {
    let mut last = Error::Conflict("no attempt was made".to_owned());
    for _ in 0..8 {
        let read = completeness::read(ports, scope, store_id).await?;
        let mut record = read.content;
        let closed = record.closed_through;
        if closed.is_some_and(|closed| through <= closed) {
            return Ok(record);
        }
        let is_new = |day: Date| day <= through && closed.is_none_or(|closed| day > closed);
        // Listed after the record was read: a day whose first fact is counted later than that changes
        // the record, and this put fails; or it comes after this put, and marks itself.
        let from = closed.map(|closed| Block::of(LEVEL_MAX, closed).first());
        let mut marks = BTreeSet::new();
        for day in reading::days_with_pages(ports, scope, store_id, from, through).await? {
            // A block is made when its last day is settled, sales on it or not.
            let ends = (0..=LEVEL_MAX).map(|level| Block::of(level, day).last());
            marks.extend(ends.filter(|end| is_new(*end)));
        }
        marks.into_iter().for_each(|day| record.mark(day));
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

/// Settles days, each with the stamp of its mark.
async fn settle(
    ports: &Ports,
    scope: &TenantScope,
    store_id: &str,
    closed_through: Option<Date>,
    marked: &[(Date, u64)],
) -> Result<()> {
    let owner = Owner::Store(store_id);
    let days: Vec<Date> = marked.iter().map(|(day, _)| *day).collect();
    let is_made = |block: &Block| closed_through.is_some_and(|closed| block.last() <= closed);
    // All versions before all sources.
    let blocks = around(&days).into_iter().filter(is_made);
    let mut targets = Targets::read(ports, scope, owner, &FACETS, &days, blocks).await?;
    targets.clear(&days);
    let mut sums = BTreeMap::new();
    for day in &days {
        let hours = reading::hours(ports, scope, store_id, *day, *day).await?;
        targets.add(&hours);
        let products = reading::fine_products(ports, scope, store_id, *day, *day).await?;
        sums.insert(Block::of(0, *day), ProductBlock { products, ..ProductBlock::default() });
    }
    targets.sum_up(ports, scope, owner, &mut sums).await?;
    targets.write(ports, scope, owner, &sums).await?;

    let settled: BTreeSet<(Date, u64)> = marked.iter().copied().collect();
    let mut was_closed_meanwhile = false;
    stored::change(ports, &completeness::head(scope, store_id), None, |record: &mut Completeness| {
        // A day that was closed meanwhile may have ended a block, and its run summed that up before these
        // days were written.
        was_closed_meanwhile = record.closed_through != closed_through;
        let before = record.changed.len();
        if !was_closed_meanwhile {
            record.changed.retain(|day, stamp| !settled.contains(&(*day, *stamp)));
        }
        record.changed.len() < before
    })
    .await?;
    if was_closed_meanwhile {
        return Err(Error::Conflict(format!("days of {store_id} were closed meanwhile")));
    }
    Ok(())
}

impl Targets {
    /// Adds hours, in order.
    fn add(&mut self, hours: &[Hour]) {
        let mut first_starts = BTreeMap::new();
        for hour in hours {
            let start = hour.start.as_second();
            let first = *first_starts.entry(hour.day).or_insert(start);
            for ((resolution, facet, begin), page) in &mut self.sales {
                if resolution.page_begin(hour.day) == *begin {
                    let slot_start = if *resolution == Resolution::Hours { start } else { first };
                    let (offset, figures) = (hour.page.offset_seconds, &hour.page.figures);
                    page.content.add_hour(hour.day, slot_start, start, offset, *facet, figures);
                }
            }
        }
    }
}
