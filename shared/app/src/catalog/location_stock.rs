//! What a location decides about its stock stands in its own item, and once more among its tenant's rules, which every
//! process remembers: a command of a till needs not read the location for it. Both are written in one transaction.

use tillstream_domain::location::Location;

use super::items::location_of;
use crate::database::{Item, Table, Write};
use crate::error::Result;
use crate::tenancy::TenantScope;

/// Kind of such an item among the rules.
pub(crate) const LOCATION_STOCK: &str = "location_stock";

/// What goes with the write of a location over `old` (`None` for `new`: it is deleted): nothing where it decides
/// nothing, and never did.
///
/// # Errors
/// A bug if `old` is no location, or this cannot be JSON.
pub(crate) fn location_stock_writes(
    scope: &TenantScope,
    id: &str,
    new: Option<&Location>,
    old: Option<&Item>,
) -> Result<Vec<Write>> {
    let before = old.filter(|old| old.get("data").is_some()).map(location_of).transpose()?;
    let decided = before.is_some_and(|before| !before.stock.is_empty());
    let own = new.map(|new| new.stock).unwrap_or_default();
    if own.is_empty() && !decided {
        return Ok(Vec::new());
    }
    // One that decides nothing any more says so: whoever may put locations may delete nothing.
    let item = Item::new(&scope.location_stock_rule(id))
        .with("kind", LOCATION_STOCK)
        .with("location_id", id)
        .with_json("data", &own)?;
    Ok(vec![Write::Put { table: Table::Catalog, item, condition: None }])
}
