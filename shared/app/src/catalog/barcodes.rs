//! Barcodes: one item per GTIN names the one product it stands for.

use std::collections::BTreeSet;

use crate::database::{Condition, Item, Table, Write};
use crate::error::{Refusal, Result};
use crate::ports::Ports;
use crate::tenancy::TenantScope;

use super::items::catalog_get;

/// What changes with a product's barcodes, to be written in the product's own transaction: a new one
/// must be free or its own already, so that no barcode ever stands for two products.
pub(crate) fn barcode_writes(
    scope: &TenantScope,
    sku: &str,
    old: &[String],
    new: &[String],
) -> Vec<(String, Write)> {
    let (old, new): (BTreeSet<_>, BTreeSet<_>) = (old.iter().collect(), new.iter().collect());
    let free_or_own = || Some(Condition::Any(vec![Condition::NotExists, Condition::Eq("sku", sku.into())]));
    let gained = new.difference(&old).map(|gtin| {
        let item = Item::new(&scope.barcode(gtin)).with("kind", "barcode").with("sku", sku);
        (gtin.to_string(), Write::Put { table: Table::Catalog, item, condition: free_or_own() })
    });
    let lost = old.difference(&new).map(|gtin| {
        let (table, key) = (Table::Catalog, scope.barcode(gtin));
        (gtin.to_string(), Write::Delete { table, key, condition: free_or_own() })
    });
    gained.chain(lost).collect()
}

/// The SKU a barcode stands for.
///
/// # Errors
/// [`crate::Error::Retryable`].
pub async fn sku_of_barcode(ports: &Ports, scope: &TenantScope, gtin: &str) -> Result<Option<String>> {
    let item = ports.database.get(catalog_get(scope.barcode(gtin))).await?;
    item.map(|item| item.text("sku").map(str::to_owned)).transpose()
}

/// The refusal of a barcode that stands for another product.
pub(crate) fn barcode_taken(gtin: &str, holder: Option<&Item>) -> Refusal {
    let sku = holder.and_then(|item| item.opt_text("sku")).unwrap_or("another product");
    Refusal::conflict(
        "barcode_taken",
        format!("barcode {gtin} stands for {sku}; take it from there first, then give it to this product"),
    )
    .with_extra("barcode", gtin)
    .with_extra("sku", sku)
}
