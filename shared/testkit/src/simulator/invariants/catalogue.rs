//! What must hold of products, prices and locations when everything has arrived.

use std::collections::BTreeMap;

use tillstream_app::Ports;
use tillstream_app::catalog::{locations, products};
use tillstream_app::tenancy::TenantScope;

use super::super::books::Books;
use super::super::price_book::PriceSet;
use super::super::world::Tenant;
use super::at_rest::{Checked, broken};

/// An older version never overwrites a newer one, and nobody's change is lost.
const NEWEST: &str = "an older version never overwrites a newer one";

/// All of it.
pub async fn check(ports: &Ports, books: &Books, tenant: &Tenant) -> Checked {
    let scope = TenantScope::from_own_record(&tenant.id);
    let mut entries = BTreeMap::new();
    for ((_, sku), (version, price)) in books.products.iter().filter(|((of, _), _)| *of == tenant.id) {
        let (product, prices) = products::get(ports, &scope, sku).await.map_err(broken)?;
        // Changes by hand are made one over the other; no feed touches what they touch.
        let key = (tenant.id.clone(), sku.clone());
        let last = books.product_changes.get(&key).and_then(|changes| changes.last_key_value());
        let price = last.map_or(*price, |(_, price)| *price);
        let seen = product.unit_price.ten_thousandths();
        if seen != price {
            return Err((NEWEST, format!("{sku} costs {seen}; {price} by version {version}, {last:?}")));
        }
        if let Some((base, _)) = last
            && product.version != base + 1
        {
            return Err(("a change is made over what was read", format!("{product:?}, last over {base}")));
        }
        for entry in prices {
            let set = PriceSet {
                price: entry.unit_price.ten_thousandths(),
                location: entry.location_id.clone(),
                segment: entry.segment.clone(),
                from: entry.valid_from,
                to: entry.valid_to,
            };
            let found = (entry.version, Some((sku.clone(), set)));
            if let Some(other) = entries.insert(entry.id.clone(), found) {
                return Err(("a price entry is of one product", format!("{entry:?} and {other:?}")));
            }
        }
    }
    let expected: BTreeMap<_, _> = books
        .price_entries
        .iter()
        .filter(|((of, _), (_, entry))| *of == tenant.id && entry.is_some())
        .map(|((_, id), known)| (id.clone(), known.clone()))
        .collect();
    if entries != expected {
        return Err((NEWEST, format!("price book: {entries:?}, accepted {expected:?}")));
    }
    let renamed = books.store_names.iter().map(|((of, id), version)| (of, id, format!("{id} of {version}")));
    let opened = books.warehouses.iter().map(|((of, id), name)| (of, id, name.clone()));
    for (of, id, name) in renamed.chain(opened) {
        if *of == tenant.id {
            let location = locations::get(ports, &scope, id).await.map_err(broken)?;
            if location.name != name {
                return Err((NEWEST, format!("{id} is called {}, not {name}", location.name)));
            }
        }
    }
    Ok(())
}
