//! Where a feed stands: one item per feed, moved after each batch.

use jiff::Timestamp;
use tillstream_contracts::sync::LastError;

use super::entities::Entity;
use crate::catalog::attempt::insist;
use crate::database::{Change, Condition, Table, Write};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::tenancy::TenantScope;

/// What one batch did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BatchCounts {
    /// Lines read.
    pub lines: u64,
    /// Lines applied.
    pub applied: u64,
    /// Lines skipped.
    pub skipped: u64,
    /// Bad lines.
    pub failed: u64,
    /// Unknown fields.
    pub unknown_fields: u64,
}

/// A batch that is applied.
pub(super) struct AppliedBatch<'a> {
    /// SHA-256 of the body it came in.
    pub upload: &'a str,
    /// Its last line.
    pub line: u64,
    /// What it did.
    pub counts: &'a BatchCounts,
    /// Version of the last line it applied.
    pub last_applied_version: Option<i64>,
    /// Its last bad line.
    pub last_error: Option<LastError>,
}

/// Moves the checkpoint behind a batch that is applied, and adds up its counts.
///
/// # Errors
/// [`Error::Retryable`] where the database does not keep up.
pub(super) async fn advance(
    ports: &Ports,
    scope: &TenantScope,
    entity: Entity,
    batch: AppliedBatch<'_>,
    now: Timestamp,
) -> Result<()> {
    // Recognises this very move: after an answer that got lost, it is not added up twice. (Only if
    // another upload of the same feed moved it in between, it would be: these counts inform, the
    // versions are what keeps data right.)
    let token = format!("{}#{}#{:016x}", batch.upload, batch.line, ports.environment.random());
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let mut changes = vec![
        Change::Set("kind", "feed_state".into()),
        Change::Set("upload", batch.upload.into()),
        Change::Set("line", number(batch.line).into()),
        Change::Set("updated_at", now.as_millisecond().into()),
        Change::Set("last_batch", token.as_str().into()),
        Change::Add("lines", number(batch.counts.lines)),
        Change::Add("applied", number(batch.counts.applied)),
        Change::Add("skipped", number(batch.counts.skipped)),
        Change::Add("failed", number(batch.counts.failed)),
        Change::Add("unknown_fields", number(batch.counts.unknown_fields)),
    ];
    if let Some(version) = batch.last_applied_version {
        changes.push(Change::Set("last_version", version.into()));
    }
    if let Some(error) = &batch.last_error {
        let text = serde_json::to_string(error).map_err(Error::bug)?;
        changes.push(Change::Set("last_error", text.into()));
    }
    let write = Write::Update {
        table: Table::Catalog,
        key: scope.sync_state(entity.name()),
        changes,
        condition: Some(Condition::Ne("last_batch", token.into())),
    };
    insist(ports, write).await
}
