//! How products, prices and locations stand in the catalogue table: the whole as JSON in `data`,
//! beside it what the indexes need.

use std::collections::BTreeSet;

use tillstream_domain::coupon::CouponDefinition;
use tillstream_domain::customer::Customer;
use tillstream_domain::location::Location;
use tillstream_domain::product::{PriceEntry, Product};

use crate::database::{Consistency, Get, Item, Table};
use crate::error::{Refusal, Result};
use crate::tenancy::TenantScope;

use super::standing::is_deleted;

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
    let item = match &product.variant_of {
        Some(parent) => item
            .with("variant_pk", scope.variants_of(parent).value())
            .with("variant_sk", product.sku.as_str()),
        None => item,
    };
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
/// 404 `sku_not_found` for one that was deleted; a bug if it is not a product.
pub fn product_of(item: &Item) -> Result<Product> {
    if is_deleted(item) { Err(sku_not_found().into()) } else { item.json("data") }
}

/// Reads what may be a product: nothing where there is no item, or only the mark of a deleted one.
///
/// # Errors
/// A bug if the item is not a product.
pub fn product_if_any(item: Option<&Item>) -> Result<Option<Product>> {
    item.filter(|item| !is_deleted(item)).map(product_of).transpose()
}

/// The refusal of a SKU that is not in the catalogue.
pub fn sku_not_found() -> Refusal {
    Refusal::not_found("sku_not_found", "no product has this SKU")
}

/// Reads a SKU's price book entries; none where there is no item.
///
/// # Errors
/// A bug if the item is not one.
pub fn prices_of(item: Option<&Item>) -> Result<Vec<PriceEntry>> {
    item.map_or_else(|| Ok(Vec::new()), |item| item.json("data"))
}

/// Item of a coupon.
///
/// # Errors
/// A bug if it cannot be JSON.
pub fn coupon_item(scope: &TenantScope, coupon: &CouponDefinition) -> Result<Item> {
    Item::new(&scope.coupon(&coupon.coupon.code))
        .with("kind", "coupon")
        .with("version", i64::try_from(coupon.version).unwrap_or(i64::MAX))
        .with_json("data", coupon)
}

/// Reads what may be a coupon: nothing where there is no item, or only the mark of a deleted one.
///
/// # Errors
/// A bug if the item is not a coupon.
pub fn coupon_of(item: Option<&Item>) -> Result<Option<CouponDefinition>> {
    item.filter(|item| !is_deleted(item)).map(|item| item.json("data")).transpose()
}

/// Item of a customer.
///
/// # Errors
/// A bug if it cannot be JSON.
pub fn customer_item(scope: &TenantScope, customer: &Customer) -> Result<Item> {
    Item::new(&scope.customer(&customer.id))
        .with("kind", "customer")
        .with("version", i64::try_from(customer.version).unwrap_or(i64::MAX))
        .with_json("data", customer)
}

/// Reads what may be a customer: nothing where there is no item, or only the mark of a deleted one.
///
/// # Errors
/// A bug if the item is not a customer.
pub fn customer_of(item: Option<&Item>) -> Result<Option<Customer>> {
    item.filter(|item| !is_deleted(item)).map(|item| item.json("data")).transpose()
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

/// Reads a location's item, also a deleted one's: what was begun there must come to its end. What
/// begins must ask [`location_if_any`].
///
/// # Errors
/// 404 `location_not_found` for one that was deleted before it was known; a bug if it is not a location.
pub fn location_of(item: &Item) -> Result<Location> {
    if is_deleted(item) && item.get("data").is_none() {
        return Err(location_not_found().into());
    }
    item.json("data")
}

/// List of deleted locations.
pub const CLOSED_LOCATIONS: &str = "closed_locations";

/// Attribute with all registers that a location ever had.
pub const REGISTERS_EVER: &str = "registers_ever";

/// All registers that a location has or had.
///
/// # Errors
/// A bug if the item is not a location.
pub fn registers_ever(item: &Item) -> Result<BTreeSet<String>> {
    let mut ever: BTreeSet<String> = match item.opt_text(REGISTERS_EVER) {
        Some(_) => item.json(REGISTERS_EVER)?,
        None => BTreeSet::new(),
    };
    if item.get("data").is_some() {
        ever.extend(location_of(item)?.registers);
    }
    Ok(ever)
}

/// What to say where a location is to become one of another kind than it is, or was before it was deleted:
/// what a store sold would be no store's any more.
///
/// # Errors
/// A bug if the item is not a location.
pub fn kind_changed(new: &Location, old: Option<&Item>) -> Result<Option<String>> {
    let known = old.filter(|old| old.get("data").is_some()).map(location_of).transpose()?;
    let other = known.filter(|known| known.kind != new.kind);
    Ok(other.map(|known| {
        format!("{} is a {}, and stays one; another kind needs another id", new.id, known.kind.name())
    }))
}

/// Reads what may be a location: nothing where there is no item, or only the mark of a deleted one.
///
/// # Errors
/// A bug if the item is not a location.
pub fn location_if_any(item: Option<&Item>) -> Result<Option<Location>> {
    item.filter(|item| !is_deleted(item)).map(location_of).transpose()
}

/// The refusal of an id that no location has.
pub fn location_not_found() -> Refusal {
    Refusal::not_found("location_not_found", "no location has this id")
}

/// Reads of catalogue items: eventual, since a price a moment old was right a moment ago.
pub fn catalog_get(key: crate::database::Key) -> Get {
    Get { table: Table::Catalog, key, consistency: Consistency::Eventual }
}
