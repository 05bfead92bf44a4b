//! Sales by time and group; categories.

use std::collections::HashMap;

use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tillstream_contracts::analytics::{
    CategoriesQuery, Compare, Granularity, GroupBy, PreviousPeriod, SalesQuery, SalesReply,
};
use tillstream_domain::lane::LaneNumber;

use super::Answer;
use super::buckets::Bucket;
use super::figures::{SlotSeen, StoresFigures};
use super::rows::{RowPlace, Rows, facet_of, is_by_store};
use super::span::{Span, StoreSpan};
use super::stores::{Store, stores};
use super::watermark::{Seen, see};
use crate::aggregation::pages::Hour;
use crate::aggregation::reading;
use crate::cursor::PagedQuery;
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::tenancy::{Caller, Stores, TenantScope};

/// Most stores read at once.
const STORES_AT_ONCE: usize = 8;

/// Most rows of a page: a reply of a function has at most 6 MB, and a row about 600 bytes.
const ROWS_MAX: usize = 5_000;

/// Where a page of rows ended.
#[derive(Debug, Serialize, Deserialize)]
struct Position {
    /// Whether in the rows that are compared with.
    in_previous: bool,
    /// After which row; at their begin without.
    after: Option<RowPlace>,
}

/// Sales by time and group.
///
/// # Errors
/// Refusals of role, reach, span, limit and cursor; [`Error::Retryable`].
pub async fn sales(
    ports: &Ports,
    caller: &Caller,
    query: &SalesQuery,
    token: Option<&LaneNumber>,
) -> Result<Answer<SalesReply>> {
    let span = Span::of(query.from.as_deref(), query.to.as_deref())?;
    let mut left = rows_of_page(query.limit)?;
    let paged = paged_query(caller, query)?;
    let begin = Position { in_previous: false, after: None };
    let after = query.cursor.as_ref().map_or(Ok(begin), |cursor| paged.typed_position::<Position>(cursor))?;
    let stores = stores(ports, caller, query.store_id.as_deref()).await?;
    span.check(query.granularity, stores.len())?;
    let seen = see(ports, caller, &stores, token).await?;
    let reader = Reader::new(ports, caller, query.store_id.as_deref(), &stores, &seen);
    let (mut rows, mut next) = (Vec::new(), None);
    if !after.in_previous {
        let all = reader.rows(span, query.granularity, query.group_by).await?;
        let last;
        (rows, last) = all.page(after.after.as_ref(), left);
        left -= rows.len();
        next = last.map(|after| Position { in_previous: false, after: Some(after) });
    }
    // The rows that are compared with come after the others, on the same pages.
    let mut previous = None;
    if query.compare == Some(Compare::PreviousPeriod) {
        let span = span.previous()?;
        let (from, to) = reader.bounds(span)?;
        let mut period = PreviousPeriod { from, to, rows: Vec::new() };
        if next.is_none() && left == 0 {
            next = Some(Position { in_previous: true, after: None });
        } else if next.is_none() {
            let all = reader.rows(span, query.granularity, query.group_by).await?;
            let after = after.after.filter(|_| after.in_previous);
            let last;
            (period.rows, last) = all.page(after.as_ref(), left);
            next = last.map(|after| Position { in_previous: true, after: Some(after) });
        }
        previous = Some(period);
    }
    let next_cursor = match next {
        None => None,
        Some(position) => Some(paged.cursor(&serde_json::to_string(&position).map_err(Error::bug)?)),
    };
    let satisfied = seen.satisfied;
    Ok(Answer { reply: SalesReply { rows, previous, next_cursor, watermark: seen.watermark }, satisfied })
}

fn rows_of_page(asked: Option<u32>) -> Result<usize> {
    match asked {
        None => Ok(ROWS_MAX),
        Some(limit) => usize::try_from(limit)
            .ok()
            .filter(|limit| (1..=ROWS_MAX).contains(limit))
            .ok_or_else(|| Refusal::field("limit", "limit_out_of_range", "limit goes from 1 to 5000").into()),
    }
}

fn paged_query(caller: &Caller, query: &SalesQuery) -> Result<PagedQuery> {
    let shape = (query.granularity, query.group_by, query.compare);
    let shape = serde_json::to_string(&shape).map_err(Error::bug)?;
    // An absent filter is not an empty one.
    let filters = [&query.store_id, &query.from, &query.to];
    let filters = serde_json::to_string(&filters).map_err(Error::bug)?;
    Ok(PagedQuery::new(&caller.scope, "analytics/sales", [shape.as_str(), filters.as_str()]))
}

/// Sales by category over one span, as one bucket.
///
/// # Errors
/// Refusals of role, reach and span; [`Error::Retryable`].
pub async fn categories(
    ports: &Ports,
    caller: &Caller,
    query: &CategoriesQuery,
    token: Option<&LaneNumber>,
) -> Result<Answer<SalesReply>> {
    let span = Span::of(query.from.as_deref(), query.to.as_deref())?;
    let stores = stores(ports, caller, query.store_id.as_deref()).await?;
    span.check(Granularity::Day, stores.len())?;
    let seen = see(ports, caller, &stores, token).await?;
    let reader = Reader::new(ports, caller, query.store_id.as_deref(), &stores, &seen);
    let rows = reader.whole(span, GroupBy::Category).await?.into_rows_by_net();
    let satisfied = seen.satisfied;
    let reply = SalesReply { rows, previous: None, next_cursor: None, watermark: seen.watermark };
    Ok(Answer { reply, satisfied })
}

/// Reads figures of stores whose records were seen.
pub(super) struct Reader<'a> {
    pub(super) ports: &'a Ports,
    pub(super) scope: &'a TenantScope,
    pub(super) stores: &'a [Store],
    pub(super) seen: &'a Seen,
    /// Whether these are all stores that there are.
    is_every_store: bool,
}

/// An hour and whose it is.
pub(super) struct StoreHourRead<'a> {
    pub(super) store: &'a Store,
    pub(super) hour: Hour,
}

impl<'a> Reader<'a> {
    /// Of the store named, or all in reach.
    pub(super) fn new(
        ports: &'a Ports,
        caller: &'a Caller,
        named: Option<&str>,
        stores: &'a [Store],
        seen: &'a Seen,
    ) -> Self {
        let is_every_store = named.is_none() && caller.stores == Stores::All;
        Reader { ports, scope: &caller.scope, stores, seen, is_every_store }
    }

    fn now(&self) -> Timestamp {
        self.seen.watermark.as_of
    }

    /// What to read figures with.
    pub(super) fn figures(&self) -> StoresFigures<'a> {
        StoresFigures {
            ports: self.ports,
            scope: self.scope,
            stores: self.stores,
            records: &self.seen.records,
            is_every_store: self.is_every_store,
        }
    }

    /// The span in each store's books.
    pub(super) fn ranges(&self, span: Span) -> Result<Vec<StoreSpan>> {
        self.stores.iter().map(|store| span.of_store(&store.calendar, self.now())).collect()
    }

    /// The hours of all stores.
    pub(super) async fn hours(&self, span: Span) -> Result<Vec<StoreHourRead<'_>>> {
        // Collected first: the closure's type would make the whole no future of an HTTP handler.
        let reads: Vec<_> = self
            .stores
            .iter()
            .map(|store| async move {
                let range = span.of_store(&store.calendar, self.now())?;
                let id = store.location.id.as_str();
                let hours = reading::hours(self.ports, self.scope, id, range.first, range.last).await?;
                Ok::<_, Error>((store, hours))
            })
            .collect();
        let mut reads = stream::iter(reads).buffer_unordered(STORES_AT_ONCE);
        let mut all = Vec::new();
        while let Some(read) = reads.next().await {
            let (store, hours) = read?;
            all.extend(hours.into_iter().map(|hour| StoreHourRead { store, hour }));
        }
        Ok(all)
    }

    /// Sums by bucket and group.
    async fn rows(&self, span: Span, granularity: Granularity, group_by: Option<GroupBy>) -> Result<Rows> {
        let mut rows = Rows::new(group_by);
        // A bucket of days is found once for each begin that a calendar gives it.
        let mut buckets = HashMap::<(Date, Timestamp), usize>::new();
        let mut of_day = |rows: &mut Rows, store: &Store, day: Date| {
            let begin = store.calendar.day_begin(day).map_err(Error::bug)?;
            if let Some(bucket) = buckets.get(&(day, begin)) {
                return Ok::<_, Error>(*bucket);
            }
            let bucket = rows.bucket(&Bucket::of_day(day, granularity, &store.calendar)?);
            buckets.insert((day, begin), bucket);
            Ok(bucket)
        };
        self.each(span, group_by, granularity == Granularity::Hour, &mut |slot| {
            let bucket = match granularity {
                Granularity::Hour => rows.bucket(&Bucket::of_hour(slot.start, slot.offset_seconds)),
                _ => of_day(&mut rows, slot.store, slot.day)?,
            };
            add(&mut rows, bucket, &slot);
            Ok(())
        })
        .await?;
        Ok(rows)
    }

    /// Sums by group over the whole span: one bucket a store calendar, at the span's begin.
    async fn whole(&self, span: Span, group_by: GroupBy) -> Result<Rows> {
        let mut rows = Rows::new(Some(group_by));
        self.each(span, Some(group_by), false, &mut |slot| {
            let bucket = rows.bucket(&self.begin(slot.store, span)?);
            add(&mut rows, bucket, &slot);
            Ok(())
        })
        .await?;
        Ok(rows)
    }

    async fn each(
        &self,
        span: Span,
        group_by: Option<GroupBy>,
        by_hour: bool,
        sink: &mut (dyn FnMut(SlotSeen<'_>) -> Result<()> + Send),
    ) -> Result<()> {
        let ranges = self.ranges(span)?;
        let is_summed = !is_by_store(group_by);
        self.figures().each_slot(&ranges, facet_of(group_by), is_summed, by_hour, sink).await
    }

    /// The bucket of a whole span.
    pub(super) fn begin(&self, store: &Store, span: Span) -> Result<Bucket> {
        let range = span.of_store(&store.calendar, self.now())?;
        match range.between {
            Some((from, _)) => {
                let hour = store.calendar.locate(from).map_err(Error::bug)?;
                Ok(Bucket::of_hour(hour.hour_start, hour.offset_seconds))
            }
            None => Bucket::of_day(range.first, Granularity::Day, &store.calendar),
        }
    }

    /// First and last day or instant of a span, as they are told.
    fn bounds(&self, span: Span) -> Result<(String, String)> {
        if let Span::Instants(from, to) = span {
            return Ok((from.to_string(), to.to_string()));
        }
        let ranges = self.ranges(span)?;
        let text = |day: Option<Date>| day.map_or_else(String::new, |day| day.to_string());
        let first = ranges.iter().map(|range| range.first).min();
        let last = ranges.iter().map(|range| range.last).max();
        Ok((text(first), text(last)))
    }
}

fn add(rows: &mut Rows, bucket: usize, slot: &SlotSeen<'_>) {
    for (currency, groups) in slot.figures {
        let groups = groups.iter().map(|(name, metrics)| (*name, metrics));
        rows.add(bucket, &slot.store.location.id, *currency, groups);
    }
}
