//! Reading and writing one product.

use tillstream_contracts::catalog::ProductBody;
use tillstream_domain::identifier::check_sku;
use tillstream_domain::product::{PriceEntry, Product};

use crate::database::{Consistency, Get, Item, Table, Write};
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::tenancy::{Caller, Role, TenantScope};

use super::attempt::{ATTEMPTS_MAX, Attempt, attempt, pause};
use super::barcodes::{barcode_taken, barcode_writes};
use super::items::{prices_of, product_if_any, product_item, product_of, sku_not_found};
use super::kits::check_in_catalogue;
use super::product_rules::product_from;
use super::put_record::{PutIdentity, Puts};
use super::standing::Standing;

/// Who may change the catalogue.
pub const CATALOG_WRITERS: &[Role] = &[Role::StoreManager, Role::Integration, Role::Operator];

/// A request to write a product.
#[derive(Debug, Clone)]
pub struct PutProduct {
    /// Which.
    pub sku: String,
    /// The whole of it.
    pub body: ProductBody,
    /// Key of the request.
    pub idempotency_key: String,
}

/// How a write by API went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutOutcome<T> {
    /// The thing as it is now.
    pub now: T,
    /// Whether it was not there before.
    pub created: bool,
    /// Whether the request had taken effect before, and did nothing this time.
    pub replayed: bool,
}

fn strong(scope: &TenantScope, sku: &str) -> Get {
    Get { table: Table::Catalog, key: scope.product(sku), consistency: Consistency::Strong }
}

/// A product and its price book entries.
///
/// # Errors
/// 404 `sku_not_found`.
pub async fn get(ports: &Ports, scope: &TenantScope, sku: &str) -> Result<(Product, Vec<PriceEntry>)> {
    // What can be no SKU has no product; nor may it build an over-long key.
    check_sku(sku).map_err(|_| sku_not_found())?;
    let prices = Get { key: scope.prices(sku), ..strong(scope, sku) };
    let read = ports.database.get_many(vec![strong(scope, sku), prices]).await?;
    let mut read = read.into_iter();
    let (product, prices) = (read.next().flatten(), read.next().flatten());
    let product = product_if_any(product.as_ref())?.ok_or_else(sku_not_found)?;
    Ok((product, prices_of(prices.as_ref())?))
}

/// Writes a whole product, with its barcodes in the same transaction. A repeated request answers the
/// same without writing. `precondition` hears the version that is there (none where there is nothing)
/// and may refuse; where it takes any, the last writer wins.
///
/// # Errors
/// 403 `role_required`; 422 `field_invalid`, also where a component or parent that is known does not fit,
/// `idempotency_key_reused`; what `precondition` refuses; 409
/// `barcode_taken`; [`Error::Conflict`] after too many lost races.
pub async fn put(
    ports: &Ports,
    caller: &Caller,
    request: PutProduct,
    precondition: impl Fn(Option<u64>) -> Result<(), Refusal> + Send + Sync,
) -> Result<PutOutcome<Product>> {
    caller.require_role(CATALOG_WRITERS)?;
    let scope = &caller.scope;
    let identity = PutIdentity::new(&request.idempotency_key, &request.body)?;
    let mut product = product_from(request.body, &request.sku)?;
    let now = ports.environment.now();
    let mut unknown = false;
    for number in 1..=ATTEMPTS_MAX {
        let old = ports.database.get(strong(scope, &product.sku)).await?;
        let puts = Puts::of(old.as_ref())?;
        let standing = Standing::of(old.as_ref());
        if let Some(created) = puts.seen(identity)? {
            let now = product_if_any(old.as_ref())?.ok_or_else(sku_not_found)?;
            return Ok(PutOutcome { now, created, replayed: !unknown });
        }
        let version = u64::try_from(standing.version()).map_err(Error::bug)?;
        precondition(standing.is_there().then_some(version))?;
        check_in_catalogue(ports, scope, &product).await?;
        let created = !standing.is_there();
        product.version = u64::try_from(standing.next_version(None)).map_err(Error::bug)?;
        let item = product_item(scope, &product)?.with_some("feed_version", standing.feed_version());
        let item = puts.with(identity, created, now).into_item(item)?;
        match write_product(ports, scope, old.as_ref(), item, &product.sku, &product.barcodes).await? {
            ProductWrite::Done => return Ok(PutOutcome { now: product, created, replayed: false }),
            ProductWrite::BarcodeTaken(refusal) => return Err(refusal),
            ProductWrite::Unknown => unknown = true,
            ProductWrite::Again => {}
        }
        pause(ports, number).await;
    }
    Err(Error::Conflict(format!("product {} is being changed by others", product.sku)))
}

/// How one attempt to write a product went.
pub(crate) enum ProductWrite {
    /// Written.
    Done,
    /// Another was faster, or the item is busy: read again.
    Again,
    /// It may be written: read and look.
    Unknown,
    /// A barcode stands for another product: the refusal that says so.
    BarcodeTaken(Error),
}

/// Writes a product's item (or tombstone) over `old`, which must be unchanged, and moves its barcodes
/// to `barcodes`.
///
/// # Errors
/// A bug if `old` is no product.
pub(crate) async fn write_product(
    ports: &Ports,
    scope: &TenantScope,
    old: Option<&Item>,
    item: Item,
    sku: &str,
    barcodes: &[String],
) -> Result<ProductWrite> {
    let old_barcodes = match old {
        Some(item) if Standing::of(old).is_there() => product_of(item)?.barcodes,
        _ => Vec::new(),
    };
    let moved = barcode_writes(scope, sku, &old_barcodes, barcodes);
    let condition = Some(Standing::of(old).unchanged());
    let mut writes = vec![Write::Put { table: Table::Catalog, item, condition }];
    writes.extend(moved.iter().map(|(_, write)| write.clone()));
    Ok(match attempt(ports, writes).await? {
        Attempt::Done => ProductWrite::Done,
        Attempt::Unknown => ProductWrite::Unknown,
        Attempt::Busy => ProductWrite::Again,
        // Position 0 is the product: a lost race. The others are barcodes.
        Attempt::Failed { position, item } => match position.checked_sub(1).and_then(|n| moved.get(n)) {
            Some((gtin, _)) => ProductWrite::BarcodeTaken(barcode_taken(gtin, item.as_ref()).into()),
            None => ProductWrite::Again,
        },
    })
}
