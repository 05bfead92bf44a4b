//! Which locations in reach keep a SKU.

use crate::database::{Index, Query, Table};
use crate::error::Result;
use crate::ports::Ports;
use crate::tenancy::{Caller, Stores};

/// Entries of the index by SKU that are looked through.
const ENTRIES_MAX: usize = 5_000;

/// Locations in reach that may have a stock item of a SKU.
pub(super) struct Keepers {
    /// By id. Where the token names its stores these, whether or not they have one.
    pub(super) locations: Vec<String>,
    /// Whether these are all there are.
    pub(super) is_all: bool,
}

/// The locations in reach that may have a stock item of a SKU, at most so many. A moment behind.
///
/// # Errors
/// As the database.
pub(super) async fn keepers_of(ports: &Ports, caller: &Caller, sku: &str, most: usize) -> Result<Keepers> {
    if let Stores::Named(named) = &caller.stores
        && named.len() <= most
    {
        // The index would lead past all that are out of reach.
        return Ok(Keepers { locations: named.iter().cloned().collect(), is_all: true });
    }
    let mut query = Query::index(Table::Stock, Index::BySku, caller.scope.sku_stock(sku));
    let mut locations = Vec::new();
    let mut entries = 0;
    loop {
        let page = ports.database.query(query.clone()).await?;
        for item in &page.items {
            let location_id = item.text("sku_sk")?;
            if !caller.reaches(location_id) {
                continue;
            }
            if locations.len() >= most {
                return Ok(Keepers { locations, is_all: false });
            }
            locations.push(location_id.to_owned());
        }
        entries += page.items.len();
        match page.next {
            None => return Ok(Keepers { locations, is_all: true }),
            Some(_) if entries >= ENTRIES_MAX => return Ok(Keepers { locations, is_all: false }),
            Some(next) => query.start = Some(next),
        }
    }
}
