//! Where the feeds stand, for people and alarms.

use jiff::Timestamp;
use tillstream_contracts::sync::{FeedStatus, SyncStatus};

use super::entities::Entity;
use super::parking::parked_count;
use super::upload::FEED_WRITERS;
use crate::database::{Consistency, Get, Item, Table};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::tenancy::{Caller, Role};

/// Every feed with its checkpoint, lag, counts, last error and parked lines.
///
/// # Errors
/// 403 `role_required`; [`Error::Retryable`].
pub async fn status(ports: &Ports, caller: &Caller) -> Result<SyncStatus> {
    caller.require_role(&[FEED_WRITERS, &[Role::StoreManager]].concat())?;
    let scope = &caller.scope;
    let now = ports.environment.now();
    let gets = Entity::ALL.map(|entity| Get {
        table: Table::Catalog,
        key: scope.sync_state(entity.name()),
        consistency: Consistency::Strong,
    });
    let states = ports.database.get_many(gets.into()).await?;
    let mut items = Vec::with_capacity(states.len());
    for (entity, state) in Entity::ALL.into_iter().zip(states) {
        let parked = parked_count(ports, scope, entity, now).await?;
        items.push(feed_status(entity, &state.unwrap_or_default(), parked, now)?);
    }
    Ok(SyncStatus { items })
}

fn feed_status(entity: Entity, state: &Item, parked: u64, now: Timestamp) -> Result<FeedStatus> {
    let count = |name: &str| u64::try_from(state.opt_number(name).unwrap_or(0)).map_err(Error::bug);
    let optional = |name: &str| state.opt_number(name).map(u64::try_from).transpose().map_err(Error::bug);
    let updated_at =
        state.opt_number("updated_at").map(Timestamp::from_millisecond).transpose().map_err(Error::bug)?;
    Ok(FeedStatus {
        entity: entity.name().to_owned(),
        upload: state.opt_text("upload").map(str::to_owned),
        checkpoint: optional("line")?,
        updated_at,
        lag_seconds: updated_at.map(|at| now.as_second().saturating_sub(at.as_second()).max(0)),
        last_applied_version: optional("last_version")?,
        lines: count("lines")?,
        applied: count("applied")?,
        skipped: count("skipped")?,
        failed: count("failed")?,
        unknown_fields: count("unknown_fields")?,
        parked,
        last_error: state.get("last_error").map(|_| state.json("last_error")).transpose()?,
    })
}
