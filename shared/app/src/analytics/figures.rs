//! Figures of stores: pages over all of them where their days are merged, coarse pages of each where days
//! are settled, fine ones where not.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::future::try_join;
use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;
use jiff::civil::Date;
use tillstream_domain::aggregates::coarse_page::{
    Facet, Pairs, ProductBlockRead, SHARED_FACETS, SalesPageRead,
};
use tillstream_domain::aggregates::{Metrics, Products};
use tillstream_domain::compact;
use tillstream_domain::money::Currency;

use super::span::StoreSpan;
use super::stores::Store;
use crate::aggregation::coarse::blocks::{Block, cover};
use crate::aggregation::coarse::{Owner, Resolution, block_keys, calendar_name, sales_key};
use crate::aggregation::completeness::Completeness;
use crate::aggregation::pages::Hour;
use crate::aggregation::reading;
use crate::aggregation::stored::analytics_get;
use crate::database::{Item, Key};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::tenancy::TenantScope;

/// Most stores whose fine pages are read at once.
const STORES_AT_ONCE: usize = 8;

/// Stores whose completeness records were read before.
#[derive(Clone, Copy)]
pub struct StoresFigures<'a> {
    /// Tables.
    pub ports: &'a Ports,
    /// Whose.
    pub scope: &'a TenantScope,
    /// The stores asked for.
    pub stores: &'a [Store],
    /// What their records said.
    pub records: &'a BTreeMap<String, Completeness>,
    /// Whether these may be all stores of a calendar, so that its pages are worth a look. What is found
    /// there is used only if no other store is in it.
    pub is_every_store: bool,
}

/// A day's or an hour's figures of a store, or of several that are summed up.
pub struct SlotSeen<'a> {
    /// The store; of several, one of them.
    pub store: &'a Store,
    /// Business day.
    pub day: Date,
    /// Start of its (first) hour.
    pub start: Timestamp,
    /// Offset from UTC of an hour.
    pub offset_seconds: i32,
    /// By currency, then by group.
    pub figures: &'a [(Currency, Pairs<&'a str, Metrics>)],
}

/// Stores of one calendar, by their places.
struct Group {
    name: String,
    stores: Vec<usize>,
    /// Those that have counted anything.
    counting: Vec<usize>,
}

/// Whose pages are read, by places of groups and of stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Unit {
    Group(usize),
    Store(usize),
}

/// A page of sales.
type PageName = (Unit, Resolution, Date);

/// What is to be read.
#[derive(Debug, Default)]
struct Plan {
    /// Coarse pages, with the days wanted of them.
    pages: BTreeMap<PageName, BTreeSet<Date>>,
    /// Days of a store to be read from fine pages.
    fine: BTreeMap<usize, BTreeSet<Date>>,
}

impl Plan {
    fn is_empty(&self) -> bool {
        self.pages.is_empty() && self.fine.is_empty()
    }

    fn page(&mut self, unit: Unit, resolution: Resolution, day: Date) {
        self.pages.entry((unit, resolution, resolution.page_begin(day))).or_default().insert(day);
    }
}

fn plain_body(item: &Item) -> Result<std::borrow::Cow<'_, [u8]>> {
    compact::plain(item.bytes("body")?).map_err(Error::bug)
}

impl<'a> StoresFigures<'a> {
    fn record(&self, store: usize) -> Option<&'a Completeness> {
        self.records.get(&self.stores.get(store)?.location.id)
    }

    fn id(&self, store: usize) -> &'a str {
        self.stores.get(store).map_or("", |store| store.location.id.as_str())
    }

    fn groups(&self) -> Vec<Group> {
        let mut groups = BTreeMap::<String, Vec<usize>>::new();
        for (at, store) in self.stores.iter().enumerate() {
            groups.entry(calendar_name(&store.location)).or_default().push(at);
        }
        let has_counted = |at: &usize| self.record(*at).is_some_and(|record| !record.folded.is_empty());
        groups
            .into_iter()
            .map(|(name, stores)| {
                let counting = stores.iter().copied().filter(has_counted).collect();
                Group { name, stores, counting }
            })
            .collect()
    }

    /// Whether the pages of a group stand for a day of all its stores.
    fn is_merged(&self, group: &Group, day: Date) -> bool {
        let is_merged =
            |at: &usize| self.record(*at).is_some_and(|record| record.is_merged(&group.name, day));
        self.is_every_store && group.counting.len() > 1 && group.counting.iter().all(is_merged)
    }

    fn is_settled(&self, store: usize, day: Date) -> bool {
        self.record(store).is_some_and(|record| record.is_settled(day))
    }

    fn owner<'b>(&self, groups: &'b [Group], unit: Unit) -> Owner<'b>
    where
        'a: 'b,
    {
        match unit {
            Unit::Group(at) => Owner::Calendar(groups.get(at).map_or("", |group| group.name.as_str())),
            Unit::Store(at) => Owner::Store(self.id(at)),
        }
    }

    /// Shows `sink` what the stores sold in their ranges, one range a store and the same for all of a
    /// calendar: each day of theirs, or where `by_hour` each hour. `is_summed` where it need not know of
    /// which store a group is.
    ///
    /// # Errors
    /// [`Error::Retryable`], [`Error::Bug`], and those of `sink`.
    pub async fn each_slot(
        &self,
        ranges: &[StoreSpan],
        facet: Facet,
        is_summed: bool,
        by_hour: bool,
        sink: &mut (dyn FnMut(SlotSeen<'_>) -> Result<()> + Send),
    ) -> Result<()> {
        let groups = self.groups();
        let mut plan = Plan::default();
        for (at, group) in groups.iter().enumerate() {
            let Some(range) = group.stores.first().and_then(|store| ranges.get(*store)) else { continue };
            let is_shared = is_summed && SHARED_FACETS.contains(&facet);
            let mut next = Some(range.first).filter(|first| first <= &range.last);
            while let Some(day) = next {
                let resolution = resolution_of(range, day, by_hour);
                if is_shared && self.is_merged(group, day) {
                    plan.page(Unit::Group(at), resolution, day);
                } else {
                    self.plan_stores(&mut plan, &group.stores, resolution, day);
                }
                next = day.tomorrow().ok().filter(|day| day <= &range.last);
            }
        }
        // What pages turn out not to answer is read otherwise: once more for stores that are in pages and
        // not asked for, once more for days that turn out to be cut.
        while !plan.is_empty() {
            plan = self.show(&groups, ranges, facet, by_hour, plan, sink).await?;
        }
        Ok(())
    }

    fn plan_stores(&self, plan: &mut Plan, stores: &[usize], resolution: Resolution, day: Date) {
        for store in stores {
            if self.is_settled(*store, day) {
                plan.page(Unit::Store(*store), resolution, day);
            } else {
                plan.fine.entry(*store).or_default().insert(day);
            }
        }
    }

    /// Reads and shows what is planned; answers what is to be read instead of what could not be shown.
    async fn show(
        &self,
        groups: &[Group],
        ranges: &[StoreSpan],
        facet: Facet,
        by_hour: bool,
        plan: Plan,
        sink: &mut (dyn FnMut(SlotSeen<'_>) -> Result<()> + Send),
    ) -> Result<Plan> {
        let keys: Vec<Key> = plan
            .pages
            .keys()
            .map(|(unit, resolution, begin)| {
                sales_key(self.scope, self.owner(groups, *unit), *resolution, facet, *begin)
            })
            .collect();
        let gets = keys.into_iter().map(analytics_get).collect();
        let pages = async { self.ports.database.get_many(gets).await.map_err(Error::from) };
        let (items, hours) = try_join(pages, self.fine_hours(&plan.fine)).await?;
        let mut again = Plan::default();
        for ((name, days), item) in plan.pages.iter().zip(items) {
            let Some(item) = item else { continue };
            let plain = plain_body(&item)?;
            let page: SalesPageRead<'_> = compact::of_plain(&plain).map_err(Error::bug)?;
            self.show_page(groups, ranges, name, days, &page, &mut again, sink)?;
        }
        for (at, hours) in hours {
            let (Some(store), Some(range)) = (self.stores.get(at), ranges.get(at)) else { continue };
            for hour in hours.iter().filter(|hour| range.has_hour(hour.start)) {
                sink(SlotSeen {
                    store,
                    day: hour.day,
                    start: hour.start,
                    offset_seconds: hour.page.offset_seconds,
                    figures: &figures_of(hour, facet),
                })?;
            }
        }
        debug_assert!(!by_hour || again.pages.keys().all(|(_, of, _)| *of == Resolution::Hours));
        Ok(again)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one loop's body")]
    fn show_page(
        &self,
        groups: &[Group],
        ranges: &[StoreSpan],
        (unit, resolution, _): &PageName,
        days: &BTreeSet<Date>,
        page: &SalesPageRead<'_>,
        again: &mut Plan,
        sink: &mut (dyn FnMut(SlotSeen<'_>) -> Result<()> + Send),
    ) -> Result<()> {
        let (group, at) = match unit {
            Unit::Group(at) => (groups.get(*at), groups.get(*at).and_then(|group| group.stores.first())),
            Unit::Store(at) => (None, Some(at)),
        };
        let Some((store, range)) = at.and_then(|at| self.stores.get(*at).zip(ranges.get(*at))) else {
            return Ok(());
        };
        let mut refused = BTreeSet::new();
        if let Some(group) = group {
            let asked: BTreeSet<&str> = group.stores.iter().map(|store| self.id(*store)).collect();
            for (day, members) in &page.members {
                if days.contains(day) && !members.iter().all(|member| asked.contains(member)) {
                    refused.insert(*day);
                    self.plan_stores(again, &group.stores, *resolution, *day);
                }
            }
        }
        // A day of several stores has a slot for each hour at which one of them begins: where one slot is
        // cut, the whole day is read by hour, and none of its slots is shown here.
        let time = |second: i64| Timestamp::from_second(second).map_err(Error::bug);
        let mut cut = BTreeSet::new();
        for ((day, start), slot) in &page.slots {
            if days.contains(day)
                && !(range.has_hour(time(*start)?) && range.has_hour(time(slot.last_start)?))
            {
                cut.insert(*day);
            }
        }
        if *resolution == Resolution::Days {
            for day in cut.difference(&refused) {
                again.page(*unit, Resolution::Hours, *day);
            }
            refused.append(&mut cut);
        }
        for ((day, start), slot) in &page.slots {
            if !days.contains(day) || refused.contains(day) {
                continue;
            }
            let start = time(*start)?;
            if !(range.has_hour(start) && range.has_hour(time(slot.last_start)?)) {
                continue;
            }
            let offset_seconds = slot.offset_seconds;
            sink(SlotSeen { store, day: *day, start, offset_seconds, figures: &slot.figures })?;
        }
        Ok(())
    }

    async fn fine_hours(&self, fine: &BTreeMap<usize, BTreeSet<Date>>) -> Result<Vec<(usize, Vec<Hour>)>> {
        let reads: Vec<_> = fine
            .iter()
            .flat_map(|(store, days)| stretches(days).into_iter().map(move |stretch| (*store, stretch)))
            .map(|(store, (first, last))| async move {
                let hours = reading::hours(self.ports, self.scope, self.id(store), first, last).await?;
                Ok::<_, Error>((store, hours))
            })
            .collect();
        stream::iter(reads).buffered(STORES_AT_ONCE).try_collect().await
    }

    /// Sums by product over the stores' ranges, one range a store and the same for all of a calendar:
    /// for each calendar one of its stores, and the sums.
    ///
    /// # Errors
    /// [`Error::Retryable`], [`Error::Bug`].
    pub async fn products(&self, ranges: &[StoreSpan]) -> Result<Vec<(&'a Store, ProductSums)>> {
        let mut all = Vec::new();
        for group in self.groups() {
            let Some((store, range)) =
                group.stores.first().and_then(|at| self.stores.get(*at).zip(ranges.get(*at)))
            else {
                continue;
            };
            let mut sums = ProductSums::default();
            let (blocks, others) = cover(range.first, range.last, |day| self.is_merged(&group, day));
            let merged = self.blocks(Owner::Calendar(&group.name), &blocks);
            let by_store = self.store_products(&group.stores, &others);
            let (items, of_stores) = try_join(merged, by_store).await?;
            sums.add_all(of_stores);
            let asked: BTreeSet<&str> = group.stores.iter().map(|store| self.id(*store)).collect();
            let mut refused = BTreeSet::new();
            for (block, items) in &items {
                let plains = items.iter().map(plain_body).collect::<Result<Vec<_>>>()?;
                let parts = plains
                    .iter()
                    .map(|plain| compact::of_plain::<ProductBlockRead<'_>>(plain).map_err(Error::bug))
                    .collect::<Result<Vec<_>>>()?;
                let is_theirs =
                    |part: &ProductBlockRead<'_>| part.members.iter().all(|id| asked.contains(id));
                if parts.iter().all(is_theirs) {
                    parts.iter().for_each(|part| sums.add(&part.products));
                } else {
                    refused.extend(days_of(*block));
                }
            }
            let refused: Vec<Date> = refused.into_iter().collect();
            sums.add_all(self.store_products(&group.stores, &refused).await?);
            all.push((store, sums));
        }
        Ok(all)
    }

    /// Sums by product of each of some stores over some days.
    async fn store_products(&self, stores: &[usize], days: &[Date]) -> Result<Vec<ProductSums>> {
        let (Some(first), Some(last)) = (days.first().copied(), days.last().copied()) else {
            return Ok(Vec::new());
        };
        let wanted: BTreeSet<Date> = days.iter().copied().collect();
        let wanted = &wanted;
        let reads: Vec<_> = stores
            .iter()
            .map(|store| async move {
                let is_usable = |day: Date| wanted.contains(&day) && self.is_settled(*store, day);
                let (blocks, others) = cover(first, last, is_usable);
                let others: BTreeSet<Date> = others.into_iter().filter(|day| wanted.contains(day)).collect();
                let mut sums = ProductSums::default();
                for (_, items) in self.blocks(Owner::Store(self.id(*store)), &blocks).await? {
                    for item in &items {
                        let plain = plain_body(item)?;
                        let part: ProductBlockRead<'_> = compact::of_plain(&plain).map_err(Error::bug)?;
                        sums.add(&part.products);
                    }
                }
                for (first, last) in stretches(&others) {
                    let id = self.id(*store);
                    let fine = reading::fine_products(self.ports, self.scope, id, first, last).await?;
                    sums.add_products(&fine);
                }
                Ok::<_, Error>(sums)
            })
            .collect();
        stream::iter(reads).buffer_unordered(STORES_AT_ONCE).try_collect().await
    }

    /// The parts of blocks that are there.
    async fn blocks(&self, owner: Owner<'_>, blocks: &[Block]) -> Result<Vec<(Block, Vec<Item>)>> {
        let keys = blocks.iter().map(|block| block_keys(self.scope, owner, *block));
        let keys: Vec<Vec<Key>> = keys.collect();
        let gets = keys.iter().flatten().cloned().map(analytics_get).collect();
        let mut items = self.ports.database.get_many(gets).await?.into_iter();
        Ok(blocks
            .iter()
            .zip(keys)
            .map(|(block, keys)| (*block, items.by_ref().take(keys.len()).flatten().collect()))
            .collect())
    }
}

/// A day that a span between instants may cut is looked at by hour.
fn resolution_of(range: &StoreSpan, day: Date, by_hour: bool) -> Resolution {
    let may_be_cut = range.between.is_some() && (day == range.first || day == range.last);
    if by_hour || may_be_cut { Resolution::Hours } else { Resolution::Days }
}

fn figures_of(hour: &Hour, facet: Facet) -> Pairs<Currency, Pairs<&str, Metrics>> {
    let groups = hour.page.figures.iter().map(|(currency, figures)| {
        let groups = match facet {
            None => vec![("", figures.total)],
            Some(dimension) => figures.groups(dimension).iter().map(|(n, m)| (n.as_str(), *m)).collect(),
        };
        (*currency, groups)
    });
    groups.collect()
}

fn days_of(block: Block) -> Vec<Date> {
    let mut days = Vec::new();
    let mut next = Some(block.first());
    while let Some(day) = next.filter(|day| *day <= block.last()) {
        days.push(day);
        next = day.tomorrow().ok();
    }
    days
}

/// Days as stretches, first and last of each.
fn stretches(days: &BTreeSet<Date>) -> Vec<(Date, Date)> {
    let mut stretches = Vec::<(Date, Date)>::new();
    for day in days {
        match stretches.last_mut() {
            Some((_, end)) if end.tomorrow().is_ok_and(|after| after == *day) => *end = *day,
            _ => stretches.push((*day, *day)),
        }
    }
    stretches
}

/// Sums by currency and SKU.
#[derive(Debug, Default)]
pub struct ProductSums(pub BTreeMap<Currency, HashMap<String, Metrics>>);

impl ProductSums {
    fn one(&mut self, currency: Currency, sku: &str, metrics: &Metrics) {
        let sums = self.0.entry(currency).or_default();
        match sums.get_mut(sku) {
            Some(sum) => sum.add(metrics),
            None => {
                sums.insert(sku.to_owned(), *metrics);
            }
        }
    }

    fn add(&mut self, products: &[(Currency, Pairs<&str, Metrics>)]) {
        for (currency, skus) in products {
            skus.iter().for_each(|(sku, metrics)| self.one(*currency, sku, metrics));
        }
    }

    fn add_products(&mut self, products: &Products) {
        for (currency, skus) in products {
            skus.iter().for_each(|(sku, metrics)| self.one(*currency, sku, metrics));
        }
    }

    fn add_all(&mut self, all: Vec<ProductSums>) {
        for (currency, skus) in all.into_iter().flat_map(|sums| sums.0) {
            skus.iter().for_each(|(sku, metrics)| self.one(currency, sku, metrics));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_have_no_holes() {
        let date = |text: &str| text.parse::<Date>().unwrap();
        let days = ["2011-02-10", "2011-02-28", "2011-03-01", "2011-03-03"].map(date);
        assert_eq!(
            stretches(&BTreeSet::from(days)),
            [(days[0], days[0]), (days[1], days[2]), (days[3], days[3])]
        );
    }
}
