//! The products and locations that a stock request names.

use std::collections::BTreeMap;

use tillstream_domain::identifier::{check_id, check_sku};
use tillstream_domain::location::Location;
use tillstream_domain::product::Product;

use crate::catalog::items::{catalog_get, location_if_any, product_if_any};
use crate::catalog::kits::sku_is_a_kit;
use crate::database::{Consistency, Get};
use crate::error::{Refusal, Result};
use crate::ports::Ports;
use crate::tenancy::TenantScope;

/// Checks the form of a location id.
pub(super) fn check_location_id(field: &str, location_id: &str) -> Result<()> {
    check_id(location_id).map_err(|e| Refusal::field(field, "location_id_malformed", e.to_string()).into())
}

/// Checks the form of a SKU.
pub(super) fn check_sku_form(field: &str, sku: &str) -> Result<()> {
    check_sku(sku).map_err(|e| Refusal::field(field, "sku_malformed", e.to_string()).into())
}

/// 404: no such location.
pub(super) fn location_not_found(location_id: &str) -> Refusal {
    Refusal::not_found("location_not_found", format!("there is no location {location_id}"))
}

/// 422: a line that must say where does not.
pub(super) fn location_required(position: usize) -> Refusal {
    let message = "say where; only a reservation may leave it out, of all lines, and send sourcing";
    Refusal::field(format!("lines[{position}].location_id"), "location_required", message)
}

/// The products of `skus`, after checking that every one is there and has stock of its own, and every location
/// of `locations` is there. `field` names a SKU's field in a refusal.
///
/// # Errors
/// 404 `location_not_found`; 422 `sku_unknown`, `sku_not_stocked` or `sku_is_a_kit`.
pub(super) async fn resolve(
    ports: &Ports,
    scope: &TenantScope,
    locations: &[&str],
    skus: &[&str],
    field: impl Fn(&str) -> String,
) -> Result<BTreeMap<String, Product>> {
    let products = resolve_kits_too(ports, scope, locations, skus, &field).await?;
    match products.values().find(|product| product.is_kit()) {
        Some(kit) => Err(sku_is_a_kit(field(&kit.sku), &kit.sku).into()),
        None => Ok(products),
    }
}

/// As [`resolve`], where a kit stands for its components.
///
/// # Errors
/// As [`resolve`], without `sku_is_a_kit`.
pub(super) async fn resolve_kits_too(
    ports: &Ports,
    scope: &TenantScope,
    locations: &[&str],
    skus: &[&str],
    field: impl Fn(&str) -> String,
) -> Result<BTreeMap<String, Product>> {
    resolve_both(ports, scope, locations, skus, field).await.map(|(_, products)| products)
}

/// As [`resolve_kits_too`], with the locations by position.
///
/// # Errors
/// Those of [`resolve_kits_too`].
pub(super) async fn resolve_both(
    ports: &Ports,
    scope: &TenantScope,
    locations: &[&str],
    skus: &[&str],
    field: impl Fn(&str) -> String,
) -> Result<(Vec<Location>, BTreeMap<String, Product>)> {
    let gets: Vec<Get> = locations
        .iter()
        .map(|id| scope.location(id))
        .chain(skus.iter().map(|sku| scope.product(sku)))
        .map(catalog_get)
        .collect();
    let mut found = ports.database.get_many(gets.clone()).await?;
    if found.iter().any(Option::is_none) {
        // What was made a moment ago may not be there yet in an eventual read: only a strong read says no.
        let strong = gets.into_iter().map(|get| Get { consistency: Consistency::Strong, ..get }).collect();
        found = ports.database.get_many(strong).await?;
    }
    let mut found = found.into_iter();
    let mut places = Vec::with_capacity(locations.len());
    for id in locations {
        let place = location_if_any(found.next().flatten().as_ref())?;
        places.push(place.ok_or_else(|| location_not_found(id))?);
    }
    let mut products = BTreeMap::new();
    for (sku, item) in skus.iter().zip(found) {
        let Some(product) = product_if_any(item.as_ref())? else {
            let message = format!("there is no product {sku}; add it to the catalogue first");
            return Err(Refusal::field(field(sku), "sku_unknown", message).into());
        };
        if !product.stocked {
            let message = format!("no stock is kept of {sku}");
            return Err(Refusal::field(field(sku), "sku_not_stocked", message).into());
        }
        products.insert((*sku).to_owned(), product);
    }
    Ok((places, products))
}
