//! The catalogue feed: products with their barcodes.

use std::collections::BTreeMap;

use tillstream_contracts::catalog::ProductBody;
use tillstream_contracts::sync::LineOperation;
use tillstream_domain::identifier::check_sku;
use tillstream_domain::product::Product;

use super::batch::{BatchRead, Feed, LineOutcome, apply_grouped, not_newer, read_again};
use super::line::{BadLine, Line};
use crate::catalog::attempt::{ATTEMPTS_MAX, pause};
use crate::catalog::items::{product_if_any, product_item};
use crate::catalog::kits::{check_relations, related_skus};
use crate::catalog::product_rules::product_from;
use crate::catalog::products::{ProductWrite, write_product};
use crate::catalog::put_record::Puts;
use crate::catalog::standing::Standing;
use crate::database::Table;
use crate::error::{Error, Result};
use crate::tenancy::TenantScope;

/// A line, checked: the product, or nothing where it is deleted.
struct Change<'a> {
    sku: &'a str,
    version: i64,
    product: Option<Product>,
}

fn change_of(line: &Line) -> Result<Change<'_>, BadLine> {
    check_sku(&line.id).map_err(|error| BadLine::new("sku_malformed", format!("id: {error}")))?;
    let product = match line.operation {
        LineOperation::Upsert => Some(product_from(line.data::<ProductBody>(None)?, &line.id)?),
        LineOperation::Delete => None,
    };
    Ok(Change { sku: &line.id, version: line.version, product })
}

/// A batch: what was there before it, and the newest line of each product in it.
struct Batch<'a> {
    before: &'a BatchRead,
    newest: BTreeMap<&'a str, &'a Change<'a>>,
}

impl<'a> Batch<'a> {
    fn of(before: &'a BatchRead, changes: &'a [Result<Change<'a>, BadLine>]) -> Self {
        let mut newest = BTreeMap::<&str, &Change<'_>>::new();
        for change in changes.iter().flatten() {
            let known = newest.entry(change.sku).or_insert(change);
            if known.version < change.version {
                *known = change;
            }
        }
        Batch { before, newest }
    }

    /// A product as the batch is to leave it, whatever the order of its lines.
    fn product(&self, scope: &TenantScope, sku: &str) -> Result<Option<Product>> {
        let old = self.before.get(Table::Catalog, &scope.product(sku));
        match self.newest.get(sku) {
            Some(change) if Standing::of(old).is_older_than(change.version) => Ok(change.product.clone()),
            _ => product_if_any(old),
        }
    }

    /// What of a change does not fit the products that it names.
    fn misfit(&self, scope: &TenantScope, change: &Change<'_>) -> Result<Option<BadLine>> {
        let Some(product) = &change.product else { return Ok(None) };
        match check_relations(product, |sku| self.product(scope, sku)) {
            Ok(()) => Ok(None),
            Err(Error::Rejected(refusal)) => Ok(Some((*refusal).into())),
            Err(error) => Err(error),
        }
    }
}

/// Applies a batch.
///
/// A barcode may move from one product to another within the batch, whichever line comes first: lines
/// that met a taken barcode are tried again once the others are through.
///
/// # Errors
/// [`Error::Retryable`] where the database does not keep up.
pub(super) async fn apply(feed: Feed<'_>, lines: &[Line]) -> Result<Vec<LineOutcome>> {
    let changes: Vec<_> = lines.iter().map(change_of).collect();
    let scope = &feed.caller.scope;
    let written = changes.iter().flatten();
    let named = written.clone().filter_map(|change| change.product.as_ref()).flat_map(related_skus);
    let skus = written.map(|change| change.sku).chain(named);
    let read = BatchRead::of(feed.ports, skus.map(|sku| (Table::Catalog, scope.product(sku)))).await?;
    let (changes, batch) = (&changes, &Batch::of(&read, &changes));
    let mut outcomes = apply_grouped(
        lines.len(),
        |place| lines.get(place).map(|line| line.id.clone()).unwrap_or_default(),
        |place, first| async move {
            match changes.get(place) {
                Some(Ok(change)) => apply_one(feed, change, (batch, first)).await,
                Some(Err(bad)) => Ok(LineOutcome::Failed(bad.clone())),
                None => Err(Error::bug("a place outside the batch")),
            }
        },
    )
    .await?;
    loop {
        let mut progress = false;
        for (outcome, change) in outcomes.iter_mut().zip(changes) {
            let (LineOutcome::Failed(bad), Ok(change)) = (&*outcome, change) else { continue };
            if bad.code == "barcode_taken" {
                let again = apply_one(feed, change, (batch, false)).await?;
                progress |= again == LineOutcome::Applied;
                *outcome = again;
            }
        }
        if !progress {
            return Ok(outcomes);
        }
    }
}

async fn apply_one(
    feed: Feed<'_>,
    change: &Change<'_>,
    (batch, is_fresh): (&Batch<'_>, bool),
) -> Result<LineOutcome> {
    let scope = &feed.caller.scope;
    let mut fresh = is_fresh.then_some(batch.before);
    let key = scope.product(change.sku);
    let mut unknown = false;
    for number in 1..=ATTEMPTS_MAX {
        let old = read_again(feed.ports, fresh.take(), Table::Catalog, &key).await?;
        let standing = Standing::of(old.as_ref());
        if !standing.is_older_than(change.version) {
            return Ok(not_newer(standing.feed_version(), change.version, unknown));
        }
        if let Some(bad) = batch.misfit(scope, change)? {
            return Ok(LineOutcome::Failed(bad));
        }
        let (item, barcodes) = match &change.product {
            None => (standing.tombstone(&key, change.version), &[][..]),
            Some(product) => {
                let version = standing.next_version(Some(change.version));
                let product =
                    Product { version: u64::try_from(version).map_err(Error::bug)?, ..product.clone() };
                let item = product_item(scope, &product)?.with("feed_version", change.version);
                (item, product_barcodes(change))
            }
        };
        let item = Puts::of(old.as_ref())?.into_item(item)?;
        match write_product(feed.ports, scope, old.as_ref(), item, change.sku, barcodes).await? {
            ProductWrite::Done => return Ok(LineOutcome::Applied),
            ProductWrite::BarcodeTaken(Error::Rejected(refusal)) => {
                return Ok(LineOutcome::Failed((*refusal).into()));
            }
            ProductWrite::BarcodeTaken(error) => return Err(error),
            ProductWrite::Unknown => unknown = true,
            ProductWrite::Again => {}
        }
        pause(feed.ports, number).await;
    }
    Err(Error::retryable(format!("product {} is being changed by others", change.sku)))
}

fn product_barcodes<'a>(change: &'a Change<'_>) -> &'a [String] {
    change.product.as_ref().map_or(&[], |product| &product.barcodes)
}
