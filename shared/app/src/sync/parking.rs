//! Bad lines, parked whole for 30 days, so that HQ can mend and an operator can look.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tillstream_contracts::sync::LineError;

use super::entities::Entity;
use crate::database::{Index, Item, Key, Query, Range, StartKey, Table, Value};
use crate::error::Result;
use crate::ports::Ports;
use crate::tenancy::TenantScope;

/// How long they are kept.
const KEPT_SECONDS: i64 = 30 * 24 * 3_600;
/// Bytes of a line in one item; a longer line takes several (DynamoDB items have at most 400 KB).
const PART_BYTES: usize = 300 * 1024;
/// Bytes of one batch of parts: a batch write takes 16 MB.
const BATCH_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Most lines the status counts.
pub(super) const COUNTED_MAX: u64 = 10_000;

/// SHA-256 in hexadecimal.
pub(super) fn hex_digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Parks lines. A line that was parked before is parked once, with the latest time and error.
///
/// # Errors
/// [`crate::Error::Retryable`].
pub(super) async fn park(
    ports: &Ports,
    scope: &TenantScope,
    entity: Entity,
    bad: &[(&[u8], &LineError)],
    now: Timestamp,
) -> Result<()> {
    // By key, since one batch write refuses two of the same.
    let mut items: BTreeMap<Key, Item> = BTreeMap::new();
    let mut bytes = 0;
    for (line, error) in bad {
        let hash = hex_digest(line);
        for (part, chunk) in (0..).zip(line.chunks(PART_BYTES)) {
            let key = scope.sync_parked(entity.name(), &hash, part);
            let item = Item::new(&key)
                .with("kind", "parked_line")
                .with("expires_at", now.as_second().saturating_add(KEPT_SECONDS))
                .with("line_number", i64::try_from(error.line).unwrap_or(i64::MAX))
                .with(
                    "content",
                    match std::str::from_utf8(chunk) {
                        Ok(text) => Value::from(text),
                        Err(_) => Value::from(chunk.to_vec()),
                    },
                );
            let item = if part == 0 {
                item.with("code", error.code.as_str())
                    .with("message", error.message.as_str())
                    .with("list_pk", scope.sync_parked_lines(entity.name()).value())
                    .with("list_sk", format!("{:015}#{hash}", now.as_millisecond().max(0)))
            } else {
                item
            };
            items.insert(key, item);
            bytes += chunk.len();
            if bytes > BATCH_BYTES_MAX {
                ports
                    .database
                    .put_many(Table::Catalog, std::mem::take(&mut items).into_values().collect())
                    .await?;
                bytes = 0;
            }
        }
    }
    if !items.is_empty() {
        ports.database.put_many(Table::Catalog, items.into_values().collect()).await?;
    }
    Ok(())
}

/// How many lines are parked, up to [`COUNTED_MAX`]; expired ones that the table has not removed yet
/// do not count.
///
/// # Errors
/// [`crate::Error::Retryable`].
pub(super) async fn parked_count(
    ports: &Ports,
    scope: &TenantScope,
    entity: Entity,
    now: Timestamp,
) -> Result<u64> {
    let oldest = now.as_millisecond().saturating_sub(KEPT_SECONDS.saturating_mul(1_000)).max(0);
    let partition = scope.sync_parked_lines(entity.name());
    let mut start: Option<StartKey> = None;
    let mut count = 0;
    loop {
        let page = ports
            .database
            .query(Query {
                range: Range::Between(format!("{oldest:015}"), "~".to_owned()),
                start: start.take(),
                ..Query::index(Table::Catalog, Index::ByList, partition.clone())
            })
            .await?;
        count += u64::try_from(page.items.len()).unwrap_or(u64::MAX);
        match page.next {
            Some(next) if count < COUNTED_MAX => start = Some(next),
            _ => return Ok(count.min(COUNTED_MAX)),
        }
    }
}
