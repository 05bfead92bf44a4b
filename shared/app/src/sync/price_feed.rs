//! The price book feed. The entries of one SKU stand in one item, so that a sale reads all of them at
//! once; a record per entry remembers its version and SKU, also after it is deleted or moved to
//! another SKU. Both are one transaction.

use std::collections::HashMap;

use tillstream_contracts::sync::{LineOperation, PriceData};
use tillstream_domain::customer::is_segment;
use tillstream_domain::identifier::{check_id, check_sku};
use tillstream_domain::product::PriceEntry;

use super::batch::{BatchRead, Feed, LineOutcome, apply_grouped, not_newer, read_again};
use super::entities::Entity;
use super::line::{BadLine, Line};
use crate::catalog::attempt::{ATTEMPTS_MAX, Attempt, attempt, pause};
use crate::catalog::items::prices_of;
use crate::catalog::standing::Standing;
use crate::database::{Item, Key, Table, Write};
use crate::error::{Error, Result};
use crate::tenancy::TenantScope;

/// Most entries of one SKU: with them its item stays small enough to be read with every sale.
pub const ENTRIES_MAX: usize = 200;

/// A line, checked: SKU and entry, or nothing where the entry is deleted.
struct Change<'a> {
    id: &'a str,
    version: i64,
    entry: Option<(String, PriceEntry)>,
}

fn change_of<'a>(feed: Feed<'_>, line: &'a Line) -> Result<Change<'a>, BadLine> {
    let entry = match line.operation {
        LineOperation::Delete => None,
        LineOperation::Upsert => {
            let data: PriceData = line.data(None)?;
            check_sku(&data.sku)
                .map_err(|error| BadLine::new("sku_malformed", format!("data.sku: {error}")))?;
            if let Some(location) = &data.location_id {
                check_id(location)
                    .map_err(|error| BadLine::new("id_malformed", format!("data.location_id: {error}")))?;
                if !feed.caller.reaches(location) {
                    let message = "data.location_id: the token does not reach this location";
                    return Err(BadLine::new("store_out_of_reach", message));
                }
            }
            if !data.segment.as_deref().is_none_or(is_segment) {
                let message = "data.segment: a segment is 1 to 200 bytes of printable text";
                return Err(BadLine::new("text_malformed", message));
            }
            if let (Some(from), Some(to)) = (data.valid_from, data.valid_to)
                && from >= to
            {
                return Err(BadLine::new("validity_empty", "data.valid_to: it must be after valid_from"));
            }
            let version = u64::try_from(line.version)
                .map_err(|_| BadLine::new("version_out_of_range", "version: versions go from 0"))?;
            let entry = PriceEntry {
                id: line.id.clone(),
                version,
                unit_price: data.unit_price,
                currency: data.currency,
                location_id: data.location_id,
                segment: data.segment,
                valid_from: data.valid_from,
                valid_to: data.valid_to,
            };
            Some((data.sku, entry))
        }
    };
    Ok(Change { id: &line.id, version: line.version, entry })
}

fn record_key(scope: &TenantScope, id: &str) -> Key {
    scope.sync_entity(Entity::PriceBook.name(), id)
}

/// Applies a batch.
///
/// # Errors
/// [`Error::Retryable`] where the database does not keep up.
pub(super) async fn apply(feed: Feed<'_>, lines: &[Line]) -> Result<Vec<LineOutcome>> {
    let changes: Vec<_> = lines.iter().map(|line| change_of(feed, line)).collect();
    let scope = &feed.caller.scope;
    let records = changes.iter().flatten().map(|change| (Table::Catalog, record_key(scope, change.id)));
    let records = BatchRead::of(feed.ports, records).await?;
    let changes = &changes;
    // What changes one SKU's item goes one after another: beside each other they would only race. Lines
    // of one entry stay together, wherever it moves.
    let mut groups: HashMap<&str, String> = HashMap::new();
    for change in changes.iter().flatten() {
        let sku = change.entry.as_ref().map(|(sku, _)| sku.clone());
        if let Some(sku) = sku {
            groups.entry(change.id).or_insert(sku);
        }
    }
    let group = |place: usize| match changes.get(place) {
        Some(Ok(change)) => groups.get(change.id).cloned().unwrap_or_else(|| {
            records
                .get(Table::Catalog, &record_key(scope, change.id))
                .and_then(|record| record.opt_text("sku"))
                .unwrap_or(change.id)
                .to_owned()
        }),
        _ => String::new(),
    };
    apply_grouped(lines.len(), group, |place, _| async move {
        match changes.get(place) {
            Some(Ok(change)) => apply_one(feed, change).await,
            Some(Err(bad)) => Ok(LineOutcome::Failed(bad.clone())),
            None => Err(Error::bug("a place outside the batch")),
        }
    })
    .await
}

/// The write of one SKU's entries after `edit`.
fn entries_write(
    scope: &TenantScope,
    sku: &str,
    old: Option<&Item>,
    edit: impl FnOnce(&mut Vec<PriceEntry>),
) -> Result<(usize, Write)> {
    let mut entries = prices_of(old)?;
    edit(&mut entries);
    let standing = Standing::of(old);
    let item = Item::new(&scope.prices(sku))
        .with("kind", "prices")
        .with("version", standing.next_version(None))
        .with_json("data", &entries)?;
    let write = Write::Put { table: Table::Catalog, item, condition: Some(standing.unchanged()) };
    Ok((entries.len(), write))
}

async fn apply_one(feed: Feed<'_>, change: &Change<'_>) -> Result<LineOutcome> {
    let scope = &feed.caller.scope;
    let key = record_key(scope, change.id);
    let mut unknown = false;
    for number in 1..=ATTEMPTS_MAX {
        let old = read_again(feed.ports, None, Table::Catalog, &key).await?;
        let standing = Standing::of(old.as_ref());
        if !standing.is_older_than(change.version) {
            return Ok(not_newer(standing.feed_version(), change.version, unknown));
        }
        let old_sku = old.as_ref().and_then(|record| record.opt_text("sku"));
        let new_sku = change.entry.as_ref().map(|(sku, _)| sku.as_str());
        let record = match new_sku {
            None => standing.tombstone(&key, change.version),
            Some(sku) => Item::new(&key)
                .with("kind", "price")
                .with("version", standing.next_version(Some(change.version)))
                .with("feed_version", change.version)
                .with("sku", sku),
        };
        let condition = Some(standing.unchanged());
        let mut writes = vec![Write::Put { table: Table::Catalog, item: record, condition }];
        if let Some(sku) = old_sku.filter(|sku| Some(*sku) != new_sku) {
            let item = read_again(feed.ports, None, Table::Catalog, &scope.prices(sku)).await?;
            let left = |entries: &mut Vec<PriceEntry>| entries.retain(|entry| entry.id != change.id);
            writes.push(entries_write(scope, sku, item.as_ref(), left)?.1);
        }
        if let Some((sku, entry)) = &change.entry {
            let item = read_again(feed.ports, None, Table::Catalog, &scope.prices(sku)).await?;
            let (count, write) = entries_write(scope, sku, item.as_ref(), |entries| {
                entries.retain(|other| other.id != entry.id);
                entries.push(entry.clone());
            })?;
            if count > ENTRIES_MAX {
                let message = format!("{sku} has 200 price entries already; delete those that are past");
                return Ok(LineOutcome::Failed(BadLine::new("too_many_prices", message)));
            }
            writes.push(write);
        }
        match attempt(feed.ports, writes).await? {
            Attempt::Done => return Ok(LineOutcome::Applied),
            Attempt::Unknown => unknown = true,
            Attempt::Failed { .. } | Attempt::Busy => {}
        }
        pause(feed.ports, number).await;
    }
    Err(Error::retryable(format!("price {} is being changed by others", change.id)))
}
