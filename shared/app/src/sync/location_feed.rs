//! The feed of locations.

use async_trait::async_trait;
use tillstream_contracts::catalog::LocationBody;
use tillstream_contracts::sync::LineOperation;
use tillstream_domain::location::Location;

use super::batch::{Feed, LineOutcome};
use super::line::{BadLine, Line, check_line_id, check_same_id};
use super::record_feed::{self, Admission, RecordFeed};
use crate::catalog::attempt::Attempt;
use crate::catalog::items::{CLOSED_LOCATIONS, kind_changed, location_item};
use crate::catalog::location_rules::location_from;
use crate::catalog::location_stock::location_stock_writes;
use crate::catalog::locations::{register_tenant, write_location};
use crate::database::{Item, Key, Write};
use crate::error::Result;
use crate::ports::Ports;
use crate::tenancy::TenantScope;

struct Locations;

#[async_trait]
impl RecordFeed for Locations {
    type Record = Location;
    const WHAT: &'static str = "location";

    fn check_id(&self, feed: Feed<'_>, id: &str) -> Result<(), BadLine> {
        check_line_id(id)?;
        if feed.caller.reaches(id) {
            Ok(())
        } else {
            Err(BadLine::new("store_out_of_reach", "id: the token does not reach this location"))
        }
    }

    fn record_of(&self, line: &Line) -> Result<Location, BadLine> {
        let location = location_from(line.data::<LocationBody>(Some("id"))?)?;
        check_same_id("id", Some(&location.id), line)?;
        Ok(location)
    }

    fn key(&self, scope: &TenantScope, id: &str) -> Key {
        scope.location(id)
    }

    fn item(&self, scope: &TenantScope, record: &Location, version: u64) -> Result<Item> {
        location_item(scope, &Location { version, ..record.clone() })
    }

    /// Keeps what it was, for sales that are on their way there, in a list of its own: what it gave numbers
    /// to is looked after still.
    fn mark(&self, scope: &TenantScope, id: &str, mark: Item, old: Option<&Item>) -> Item {
        mark.with_some("data", old.and_then(|item| item.opt_text("data")))
            .with("list_pk", scope.list_of(CLOSED_LOCATIONS).value())
            .with("list_sk", id)
    }

    async fn admit(
        &self,
        feed: Feed<'_>,
        id: &str,
        record: Option<&Location>,
        old: Option<&Item>,
    ) -> Result<Admission> {
        let kind_changed = record.map_or(Ok(None), |new| kind_changed(new, old))?;
        Ok(match kind_changed {
            Some(message) => Err(BadLine::new("kind_fixed", format!("data.kind: {message}"))),
            None => Ok(location_stock_writes(&feed.caller.scope, id, record, old)?),
        })
    }

    async fn write(
        &self,
        ports: &Ports,
        old: Option<&Item>,
        item: Item,
        with: Vec<Write>,
    ) -> Result<Attempt> {
        write_location(ports, old, item, with).await
    }
}

/// Applies a batch.
///
/// # Errors
/// [`crate::Error::Retryable`] where the database does not keep up.
pub(super) async fn apply(feed: Feed<'_>, lines: &[Line]) -> Result<Vec<LineOutcome>> {
    if lines.iter().any(|line| line.operation == LineOperation::Upsert) {
        register_tenant(feed.ports, &feed.caller.scope).await?;
    }
    record_feed::apply(feed, &Locations, lines).await
}
