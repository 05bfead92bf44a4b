//! How products, prices and locations stand in the catalogue table: the whole as JSON in `data`,
//! beside it what the indexes need.

use tillstream_domain::location::Location;
use tillstream_domain::product::{PriceEntry, Product};

use crate::database::{Consistency, Get, Item, Table};
use crate::error::Result;
use crate::tenancy::TenantScope;

/// Item of a product.
///
/// # Errors
/// A bug if it cannot be JSON.
pub fn product_item(scope: &TenantScope, product: &Product) -> Result<Item> {
    let item = Item::new(&scope.product(&product.sku))
        .with("kind", "product")
        .with("version", i64::try_from(product.version).unwrap_or(i64::MAX))
        .with("list_pk", scope.list_of("products").value())
        .with("list_sk", product.sku.as_str())
        .with("name_pk", scope.product_names().value())
        .with("name_sk", format!("{}#{}", product.name.to_lowercase(), product.sku))
        .with_json("data", product)?;
    Ok(match &product.category {
        Some(category) => item
            .with("category_pk", scope.category(category).value())
            .with("category_sk", product.sku.as_str()),
        None => item,
    })
}

/// Reads a product's item.
///
/// # Errors
/// A bug if it is not one.
pub fn product_of(item: &Item) -> Result<Product> {
    item.json("data")
}

/// Reads a SKU's price book entries; none where there is no item.
///
/// # Errors
/// A bug if the item is not one.
pub fn prices_of(item: Option<&Item>) -> Result<Vec<PriceEntry>> {
    item.map_or_else(|| Ok(Vec::new()), |item| item.json("data"))
}

/// Item of a location.
///
/// # Errors
/// A bug if it cannot be JSON.
pub fn location_item(scope: &TenantScope, location: &Location) -> Result<Item> {
    Item::new(&scope.location(&location.id))
        .with("kind", "location")
        .with("version", i64::try_from(location.version).unwrap_or(i64::MAX))
        .with("list_pk", scope.list_of("locations").value())
        .with("list_sk", location.id.as_str())
        .with_json("data", location)
}

/// Reads a location's item.
///
/// # Errors
/// A bug if it is not one.
pub fn location_of(item: &Item) -> Result<Location> {
    item.json("data")
}

/// Reads of catalogue items: eventual, since a price a moment old was right a moment ago.
pub fn catalog_get(key: crate::database::Key) -> Get {
    Get { table: Table::Catalog, key, consistency: Consistency::Eventual }
}
