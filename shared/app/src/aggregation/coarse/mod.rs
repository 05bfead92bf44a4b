//! Coarse pages: closed days, dense, without the sets that fine pages need.
//!
//! Of a **store**, and of **all stores of a calendar** (a time zone and a begin of the business day, so that
//! their days are the same time), there are
//! - pages of **days**, one a month and facet (the whole, by register, by category …), and pages of
//!   **hours**, one a week and facet: a question about one facet reads that facet;
//! - **blocks of products**: sums over 1, 2, 4 … 256 days, each over [`PARTS`] items. Any 400 days are a
//!   score of blocks, wherever they begin and end.
//!
//! A store's pages are computed from its fine pages ([`settle`]), those of a calendar from its stores'
//! coarse ones ([`merge`]), and overwrite what was there, on condition of their own version, read before
//! the sources. Two marks in a store's completeness record say what they lack: `changed` days are not (all)
//! in the store's pages, `unmerged` ones not in the calendar's. A fact of a closed day sets both in the
//! write that makes its number count as complete. A mark is removed after the pages are written, and only
//! if it was not set anew since before the sources were read. So whoever finds a number in the record, and
//! no mark on its day, finds the fact in the coarse pages.

pub mod blocks;
pub mod merge;
pub mod settle;

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::ToSpan;
use jiff::civil::{Date, Weekday};
use tillstream_domain::aggregates::coarse_page::{Facet, ProductBlock, SalesPage, facet_name};
use tillstream_domain::aggregates::product_page::add_products;
use tillstream_domain::aggregates::{Products, page_of};
use tillstream_domain::location::Location;

use self::blocks::Block;
use super::stored::{Stored, StoredContent, analytics_get, versioned_put};
use crate::database::{DatabaseError, Item, Key, Write};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::tenancy::TenantScope;

pub use self::merge::merge;
pub use self::settle::refresh;

/// Items over which a block of products is spread, by the hash of the SKU: 4,000 products take about 10 KB
/// each, and a hundred thousand still fit.
pub const PARTS: u32 = 8;

/// Most pages written at once.
const WRITES_AT_ONCE: usize = 16;

/// Whose pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner<'a> {
    /// A store's, by its id.
    Store(&'a str),
    /// Those of all stores of a calendar, by [`calendar_name`].
    Calendar(&'a str),
}

/// How finely a page of sales is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resolution {
    /// Business days; a page is a month.
    Days,
    /// Local hours; a page is a week.
    Hours,
}

impl Resolution {
    /// Both.
    pub const BOTH: [Resolution; 2] = [Resolution::Days, Resolution::Hours];

    /// First day of the page that `day` is on.
    pub fn page_begin(self, day: Date) -> Date {
        match self {
            Resolution::Days => day.first_of_month(),
            Resolution::Hours => {
                let since_monday = i64::from(day.weekday().since(Weekday::Monday));
                // Before the calendar begins there are no sales.
                day.checked_sub(since_monday.days()).unwrap_or(day)
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Resolution::Days => "days",
            Resolution::Hours => "hours",
        }
    }
}

/// Names a calendar. Part of the stored format.
pub fn calendar_name(store: &Location) -> String {
    format!("{} {}", store.time_zone, store.business_day_start)
}

/// Key of the page of sales that holds `begin`'s month or week.
pub fn sales_key(
    scope: &TenantScope,
    owner: Owner<'_>,
    resolution: Resolution,
    facet: Facet,
    begin: Date,
) -> Key {
    scope.coarse_page(owner, &format!("coarse-{}#{}#{begin}", resolution.name(), facet_name(facet)))
}

/// Keys of the parts of a block of products.
pub fn block_keys(scope: &TenantScope, owner: Owner<'_>, block: Block) -> Vec<Key> {
    let Block { level, .. } = block;
    let begin = block.first();
    (0..PARTS)
        .map(|part| scope.coarse_page(owner, &format!("coarse-products#{level}#{begin}#{part:02}")))
        .collect()
}

/// The last day before the store's business day `today`.
///
/// # Errors
/// A bug at the ends of the calendar.
pub fn last_closed(today: Date) -> Result<Date> {
    today.checked_sub(1.day()).map_err(Error::bug)
}

/// Pages that are to be written over, read before their sources.
#[derive(Debug, Default)]
struct Targets {
    sales: BTreeMap<(Resolution, Facet, Date), Stored<SalesPage>>,
    /// Versions of the parts.
    blocks: BTreeMap<Block, Vec<i64>>,
}

impl Targets {
    async fn read(
        ports: &Ports,
        scope: &TenantScope,
        owner: Owner<'_>,
        facets: &[Facet],
        days: &[Date],
        blocks: impl IntoIterator<Item = Block>,
    ) -> Result<Targets> {
        let mut names = Vec::new();
        for resolution in Resolution::BOTH {
            for facet in facets {
                names.extend(days.iter().map(|day| (resolution, *facet, resolution.page_begin(*day))));
            }
        }
        names.sort_unstable();
        names.dedup();
        let blocks: Vec<Block> = blocks.into_iter().collect();
        let sales_keys = names
            .iter()
            .map(|(resolution, facet, begin)| sales_key(scope, owner, *resolution, *facet, *begin));
        let block_keys = blocks.iter().flat_map(|block| block_keys(scope, owner, *block));
        let gets = sales_keys.chain(block_keys).map(analytics_get).collect();
        let mut read = ports.database.get_many(gets).await?.into_iter();
        let mut targets = Targets::default();
        for name in names {
            targets.sales.insert(name, Stored::of(read.next().flatten().as_ref())?);
        }
        for block in blocks {
            let mut versions = Vec::new();
            for _ in 0..PARTS {
                let item = read.next().flatten();
                versions.push(item.map_or(Ok(0), |item| item.number("version"))?);
            }
            targets.blocks.insert(block, versions);
        }
        Ok(targets)
    }

    /// Takes days out of the pages of sales, to be put in anew.
    fn clear(&mut self, days: &[Date]) {
        for ((resolution, _, begin), page) in &mut self.sales {
            for day in days.iter().filter(|day| resolution.page_begin(**day) == *begin) {
                page.content.clear_day(*day);
            }
        }
    }

    /// Sums up blocks above the days' own, smaller ones first: each of its halves, which are in `sums` or
    /// are read now.
    async fn sum_up(
        &self,
        ports: &Ports,
        scope: &TenantScope,
        owner: Owner<'_>,
        sums: &mut BTreeMap<Block, ProductBlock>,
    ) -> Result<()> {
        for level in 1..=blocks::LEVEL_MAX {
            let of_level: Vec<Block> =
                self.blocks.keys().copied().filter(|block| block.level == level).collect();
            let halves: Vec<Block> = of_level.iter().flat_map(|block| block.halves()).collect();
            let unknown: Vec<Block> = halves.into_iter().filter(|half| !sums.contains_key(half)).collect();
            let read = read_blocks(ports, scope, owner, &unknown).await?;
            sums.extend(unknown.into_iter().zip(read));
            for block in of_level {
                let mut sum = ProductBlock::default();
                for half in block.halves() {
                    if let Some(half) = sums.get(&half) {
                        sum.members.extend(half.members.iter().cloned());
                        add_products(&mut sum.products, &half.products);
                    }
                }
                sums.insert(block, sum);
            }
        }
        Ok(())
    }

    /// Writes everything.
    async fn write(
        self,
        ports: &Ports,
        scope: &TenantScope,
        owner: Owner<'_>,
        sums: &BTreeMap<Block, ProductBlock>,
    ) -> Result<()> {
        let mut levels = BTreeMap::<u32, Vec<Write>>::new();
        for ((resolution, facet, begin), page) in self.sales {
            // What is and stays empty needs no item.
            if page.version > 0 || page.content != SalesPage::default() {
                let key = sales_key(scope, owner, resolution, facet, begin);
                levels.entry(0).or_default().push(versioned_put(
                    Item::new(&key),
                    page.version,
                    &page.content,
                )?);
            }
        }
        let none = ProductBlock::default();
        for (block, versions) in self.blocks {
            let parts = split(sums.get(&block).unwrap_or(&none))?;
            for ((key, version), part) in block_keys(scope, owner, block).iter().zip(versions).zip(&parts) {
                if version > 0 || !part.products.is_empty() {
                    levels.entry(block.level).or_default().push(versioned_put(
                        Item::new(key),
                        version,
                        part,
                    )?);
                }
            }
        }
        // Halves before their sum: another run that reads the sum's version and then a half must not find
        // the sum written and the half not yet.
        for writes in levels.into_values() {
            write_all(ports, writes).await?;
        }
        Ok(())
    }
}

async fn write_all(ports: &Ports, writes: Vec<Write>) -> Result<()> {
    stream::iter(writes)
        .map(|write| async move {
            match ports.database.write(write).await {
                Ok(()) => Ok(()),
                // The days stay marked, so nobody reads what may be old, and the next run does it again.
                Err(DatabaseError::ConditionFailed(_)) => {
                    Err(Error::Conflict("another run makes the same coarse pages".to_owned()))
                }
                Err(error) => Err(error.into()),
            }
        })
        .buffer_unordered(WRITES_AT_ONCE)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

/// A block by its parts. All of them name its members.
fn split(block: &ProductBlock) -> Result<Vec<ProductBlock>> {
    let empty = ProductBlock { members: block.members.clone(), products: Products::new() };
    let mut parts = vec![empty; usize::try_from(PARTS).map_err(Error::bug)?];
    for (currency, skus) in &block.products {
        for (sku, metrics) in skus {
            let at = usize::try_from(page_of(sku, PARTS)).map_err(Error::bug)?;
            if let Some(part) = parts.get_mut(at) {
                part.products.entry(*currency).or_default().insert(sku.clone(), *metrics);
            }
        }
    }
    Ok(parts)
}

/// Reads blocks of products whole, in the order asked for; what is not there is empty.
async fn read_blocks(
    ports: &Ports,
    scope: &TenantScope,
    owner: Owner<'_>,
    blocks: &[Block],
) -> Result<Vec<ProductBlock>> {
    let gets = blocks.iter().flat_map(|block| block_keys(scope, owner, *block)).map(analytics_get).collect();
    let items = ports.database.get_many(gets).await?;
    let mut whole = Vec::with_capacity(blocks.len());
    for parts in items.chunks(usize::try_from(PARTS).map_err(Error::bug)?) {
        let mut sum = ProductBlock::default();
        for item in parts.iter().flatten() {
            let part = ProductBlock::of_bytes(item.bytes("body")?).map_err(Error::bug)?;
            sum.members.extend(part.members);
            // No SKU is in two parts.
            for (currency, skus) in part.products {
                sum.products.entry(currency).or_default().extend(skus);
            }
        }
        whole.push(sum);
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use serde_json::json;
    use tillstream_domain::aggregates::Dimension;

    use super::*;

    #[test]
    fn keys_and_names_are_part_of_the_format() {
        let scope = TenantScope::from_own_record("demo");
        let owner = Owner::Store("s-1");
        let sales_sk =
            |resolution, facet, begin| sales_key(&scope, owner, resolution, facet, begin).sk().to_owned();
        assert_eq!(sales_sk(Resolution::Days, None, date(2010, 12, 1)), "coarse-days#total#2010-12-01");
        assert_eq!(
            sales_sk(Resolution::Hours, Some(Dimension::Category), date(2010, 11, 29)),
            "coarse-hours#category#2010-11-29"
        );
        let keys = block_keys(&scope, owner, Block::of(8, date(2011, 12, 9)));
        let parts: Vec<&str> = keys.iter().map(Key::sk).collect();
        assert_eq!((parts.len(), parts[7]), (8, "coarse-products#8#2011-05-10#07"));
        let store: Location = serde_json::from_value(json!({
            "id": "s-1", "kind": "store", "name": "Leeds", "time_zone": "Europe/London", "currency": "GBP",
            "business_day_start": "04:00", "registers": [], "version": 1,
        }))
        .unwrap();
        assert_eq!(calendar_name(&store), "Europe/London 04:00");
    }

    #[test]
    fn a_page_is_a_month_or_a_week_from_its_monday() {
        for (resolution, day, begin) in [
            (Resolution::Days, date(2010, 12, 1), date(2010, 12, 1)),
            (Resolution::Days, date(2010, 12, 31), date(2010, 12, 1)),
            (Resolution::Hours, date(2010, 12, 5), date(2010, 11, 29)),
            (Resolution::Hours, date(2010, 12, 6), date(2010, 12, 6)),
        ] {
            assert_eq!(resolution.page_begin(day), begin, "{resolution:?} {day}");
        }
    }

    #[test]
    fn the_day_before_today_is_the_last_that_is_closed() {
        assert_eq!(last_closed(date(2011, 1, 1)).unwrap(), date(2010, 12, 31));
    }
}
