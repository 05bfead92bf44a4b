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
    let key = scope.location_stock_rule(id);
    if let Some(new) = new.filter(|new| !new.stock.is_empty()) {
        let item = Item::new(&key)
            .with("kind", LOCATION_STOCK)
            .with("location_id", id)
            .with_json("data", &new.stock)?;
        return Ok(vec![Write::Put { table: Table::Catalog, item, condition: None }]);
    }
    let before = old.filter(|old| old.get("data").is_some()).map(location_of).transpose()?;
    let decided = before.is_some_and(|before| !before.stock.is_empty());
    Ok(if decided { vec![Write::Delete { table: Table::Catalog, key, condition: None }] } else { Vec::new() })
}
