//! Sales by time and group; categories.

use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use jiff::civil::Date;
use tillstream_contracts::analytics::{
    CategoriesQuery, Compare, Granularity, GroupBy, PreviousPeriod, Row, SalesQuery, SalesReply,
};
use tillstream_domain::lane::LaneNumber;

use super::Answer;
use super::buckets::Bucket;
use super::figures::StoreFigures;
use super::rows::Rows;
use super::span::Span;
use super::stores::{Store, stores};
use super::watermark::{Seen, see};
use crate::aggregation::coarse::DayFigures;
use crate::aggregation::completeness::Completeness;
use crate::aggregation::pages::Hour;
use crate::aggregation::reading;
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::tenancy::{Caller, TenantScope};

/// Most stores read at once.
pub(super) const STORES_AT_ONCE: usize = 8;

/// Sales by time and group.
///
/// # Errors
/// Refusals of role, reach and span; [`Error::Retryable`].
pub async fn sales(
    ports: &Ports,
    caller: &Caller,
    query: &SalesQuery,
    token: Option<&LaneNumber>,
) -> Result<Answer<SalesReply>> {
    let span = Span::of(query.from.as_deref(), query.to.as_deref())?;
    let stores = stores(ports, caller, query.store_id.as_deref()).await?;
    span.check(query.granularity, stores.len())?;
    let seen = see(ports, caller, &stores, token).await?;
    let reader = Reader { ports, scope: &caller.scope, stores: &stores, seen: &seen };
    let rows = reader.rows(span, query.granularity, query.group_by).await?.into_rows();
    let previous = match query.compare {
        None => None,
        Some(Compare::PreviousPeriod) => Some(reader.previous(span, query).await?),
    };
    let satisfied = seen.satisfied;
    Ok(Answer { reply: SalesReply { rows, previous, watermark: seen.watermark }, satisfied })
}

/// Sales by category over one span, as one bucket.
///
/// # Errors
/// As [`sales`].
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
    let reader = Reader { ports, scope: &caller.scope, stores: &stores, seen: &seen };
    let rows = reader.whole(span, GroupBy::Category).await?.into_rows_by_net();
    let satisfied = seen.satisfied;
    Ok(Answer { reply: SalesReply { rows, previous: None, watermark: seen.watermark }, satisfied })
}

/// Reads figures of stores whose records were seen.
pub(super) struct Reader<'a> {
    pub(super) ports: &'a Ports,
    pub(super) scope: &'a TenantScope,
    pub(super) stores: &'a [Store],
    pub(super) seen: &'a Seen,
}

/// An hour and whose it is.
pub(super) struct StoreHourRead<'a> {
    pub(super) store: &'a Store,
    pub(super) hour: Hour,
}

/// One store's figures in a bucket.
struct Part {
    bucket: Bucket,
    figures: DayFigures,
}

impl Reader<'_> {
    fn now(&self) -> Timestamp {
        self.seen.watermark.as_of
    }

    /// Figures of one store, ready to be summed by bucket.
    async fn parts(&self, store: &Store, span: Span, granularity: Granularity) -> Result<Vec<Part>> {
        let range = span.of_store(&store.calendar, self.now())?;
        let none = Completeness::default();
        let id = store.location.id.as_str();
        if granularity == Granularity::Hour || range.between.is_some() {
            let hours = reading::hours(self.ports, self.scope, id, range.first, range.last).await?;
            return hours
                .into_iter()
                .filter(|hour| range.has_hour(hour.start))
                .map(|hour| {
                    let bucket = match granularity {
                        Granularity::Hour => Bucket::of_hour(hour.start, hour.page.offset_seconds),
                        _ => Bucket::of_day(hour.day, granularity, &store.calendar)?,
                    };
                    Ok(Part { bucket, figures: hour.page.figures })
                })
                .collect();
        }
        let record = self.seen.records.get(id).unwrap_or(&none);
        let figures = StoreFigures { ports: self.ports, scope: self.scope, store_id: id, record };
        let days = figures.by_day(range.first, range.last).await?;
        days.into_iter()
            .map(|(day, figures)| {
                Ok(Part { bucket: Bucket::of_day(day, granularity, &store.calendar)?, figures })
            })
            .collect()
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
    pub(super) async fn rows(
        &self,
        span: Span,
        granularity: Granularity,
        group_by: Option<GroupBy>,
    ) -> Result<Rows> {
        let mut rows = Rows::default();
        let reads: Vec<_> = self
            .stores
            .iter()
            .map(|store| async move { (store, self.parts(store, span, granularity).await) })
            .collect();
        let mut reads = stream::iter(reads).buffer_unordered(STORES_AT_ONCE);
        while let Some((store, parts)) = reads.next().await {
            for part in parts? {
                for (currency, figures) in &part.figures {
                    rows.add(&part.bucket, &store.location.id, group_by, *currency, figures);
                }
            }
        }
        Ok(rows)
    }

    /// Sums by group over the whole span: one bucket a store calendar, at the span's begin.
    pub(super) async fn whole(&self, span: Span, group_by: GroupBy) -> Result<Rows> {
        let mut rows = Rows::default();
        let reads: Vec<_> = self
            .stores
            .iter()
            .map(|store| async move { (store, self.parts(store, span, Granularity::Day).await) })
            .collect();
        let mut reads = stream::iter(reads).buffer_unordered(STORES_AT_ONCE);
        while let Some((store, parts)) = reads.next().await {
            let bucket = self.begin(store, span)?;
            for part in parts? {
                for (currency, figures) in &part.figures {
                    rows.add(&bucket, &store.location.id, Some(group_by), *currency, figures);
                }
            }
        }
        Ok(rows)
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

    async fn previous(&self, span: Span, query: &SalesQuery) -> Result<PreviousPeriod> {
        let span = span.previous()?;
        let rows: Vec<Row> = self.rows(span, query.granularity, query.group_by).await?.into_rows();
        let (from, to) = match span {
            Span::Instants(from, to) => (from.to_string(), to.to_string()),
            _ => {
                let (mut first, mut last) = (None, None);
                for store in self.stores {
                    let range = span.of_store(&store.calendar, self.now())?;
                    first = first.into_iter().chain([range.first]).min();
                    last = last.into_iter().chain([range.last]).max();
                }
                let text = |day: Option<Date>| day.map_or_else(String::new, |day| day.to_string());
                (text(first), text(last))
            }
        };
        Ok(PreviousPeriod { from, to, rows })
    }
}
