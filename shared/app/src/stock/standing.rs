//! Stock as it stands, over all parts.

use crate::database::{Consistency, Database, DatabaseError, Get, Item, Table};
use crate::error::{Error, Result};
use crate::stock::counters::Counters;
use crate::stock::layout::parts_in;
use crate::stock::listing::StockName;
use crate::tenancy::TenantScope;

/// How often parts are read again that were split or merged while they were read. Each time somebody else
/// got on, and layouts change minutes apart.
const READS_MAX: u32 = 8;

/// A stock item: its parts in order, one where it is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    parts: Vec<Counters>,
}

impl Standing {
    /// The first part, which remembers past layouts.
    pub fn first(&self) -> Counters {
        self.parts.first().copied().unwrap_or_default()
    }

    /// The parts.
    pub fn parts(&self) -> &[Counters] {
        &self.parts
    }

    /// The parts with their numbers.
    pub fn numbered(&self) -> impl Iterator<Item = (u32, &Counters)> {
        (0..).zip(&self.parts)
    }

    /// Number of its layout.
    pub fn layout(&self) -> i64 {
        self.first().layout
    }

    /// Counters of all parts together.
    pub fn total(&self) -> Counters {
        let rest = self.parts.get(1..).unwrap_or_default();
        rest.iter().fold(self.first(), Counters::with_part)
    }

    /// Partitions of hold lines that may have any.
    pub fn hold_partitions(&self) -> u32 {
        parts_in(self.layout()).max(self.first().past.hold_parts)
    }

    /// From the parts as they were read; `None` where they are not all of one layout.
    fn of(items: &[Option<Item>]) -> Result<Option<Self>> {
        let mut parts = Vec::with_capacity(items.len());
        for item in items {
            let Some(item) = item else { return Ok(None) };
            parts.push(Counters::of(item)?);
        }
        let standing = Standing { parts };
        let layout = standing.layout();
        // Not read at one moment, but while this one layout stood: its number was never used before, and
        // will not be again.
        let is_one = standing.parts.iter().all(|part| part.layout == layout);
        let is_all = u32::try_from(standing.parts.len()).is_ok_and(|parts| parts == parts_in(layout));
        Ok((is_one && is_all).then_some(standing))
    }
}

fn gets_of(
    scope: &TenantScope,
    (location_id, sku): (&str, &str),
    layout: i64,
    consistency: Consistency,
) -> Vec<Get> {
    let get = |part| Get { table: Table::Stock, key: scope.stock_part(location_id, sku, part), consistency };
    (0..parts_in(layout)).map(get).collect()
}

fn restless(location_id: &str, sku: &str) -> Error {
    Error::retryable(format!("the layout of {sku} at {location_id} changes too often to read it"))
}

/// A stock item with all its parts, strongly consistent. `layout` is a guess at its layout.
///
/// # Errors
/// As the database.
pub async fn standing(
    database: &dyn Database,
    scope: &TenantScope,
    location_id: &str,
    sku: &str,
    mut layout: i64,
) -> Result<Option<Standing>> {
    for _ in 0..READS_MAX {
        let items =
            database.get_many(gets_of(scope, (location_id, sku), layout, Consistency::Strong)).await?;
        if let Some(standing) = Standing::of(&items)? {
            return Ok(Some(standing));
        }
        let Some(first) = items.into_iter().next().flatten() else { return Ok(None) };
        layout = Counters::of(&first)?.layout;
    }
    Err(restless(location_id, sku))
}

/// A split stock item as of one moment: what a refusal must rest on. `None` where another layout stands.
///
/// # Errors
/// As the database, which answers a conflict while any part is in a transaction.
pub(crate) async fn standing_together(
    database: &dyn Database,
    scope: &TenantScope,
    location_id: &str,
    sku: &str,
    layout: i64,
) -> std::result::Result<Result<Option<Standing>>, DatabaseError> {
    let gets = gets_of(scope, (location_id, sku), layout, Consistency::Strong);
    let items = database.get_together(gets).await?;
    Ok(Standing::of(&items))
}

/// Many stock items, by position.
///
/// # Errors
/// As the database.
pub async fn standings(
    database: &dyn Database,
    scope: &TenantScope,
    names: &[StockName],
    consistency: Consistency,
) -> Result<Vec<Option<Standing>>> {
    let get = |name: &StockName| Get {
        table: Table::Stock,
        key: scope.stock(&name.location_id, &name.sku),
        consistency,
    };
    let items = database.get_many(names.iter().map(get).collect()).await?;
    let mut found = Vec::with_capacity(names.len());
    for (name, item) in names.iter().zip(items) {
        let counters = item.as_ref().map(Counters::of).transpose()?;
        found.push(match counters {
            // Few are split at any time: one read more for each.
            Some(first) if parts_in(first.layout) > 1 => {
                standing(database, scope, &name.location_id, &name.sku, first.layout).await?
            }
            whole => whole.map(|first| Standing { parts: vec![first] }),
        });
    }
    Ok(found)
}
