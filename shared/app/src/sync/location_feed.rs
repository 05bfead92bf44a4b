//! The feed of locations.

use tillstream_contracts::catalog::LocationBody;
use tillstream_contracts::sync::LineOperation;
use tillstream_domain::identifier::check_id;
use tillstream_domain::location::Location;

use super::batch::{BatchRead, Feed, LineOutcome, apply_grouped, not_newer, read_again};
use super::line::{BadLine, Line};
use crate::catalog::attempt::{ATTEMPTS_MAX, Attempt, pause};
use crate::catalog::items::{CLOSED_LOCATIONS, kind_changed, location_item};
use crate::catalog::location_rules::location_from;
use crate::catalog::locations::{register_tenant, write_location};
use crate::catalog::put_record::Puts;
use crate::catalog::standing::Standing;
use crate::database::Table;
use crate::error::{Error, Result};

/// A line, checked: the location, or nothing where it is deleted.
struct Change<'a> {
    id: &'a str,
    version: i64,
    location: Option<Location>,
}

fn change_of<'a>(feed: Feed<'_>, line: &'a Line) -> Result<Change<'a>, BadLine> {
    check_id(&line.id).map_err(|error| BadLine::new("id_malformed", format!("id: {error}")))?;
    if !feed.caller.reaches(&line.id) {
        return Err(BadLine::new("store_out_of_reach", "id: the token does not reach this location"));
    }
    let location = match line.operation {
        LineOperation::Delete => None,
        LineOperation::Upsert => {
            let location = location_from(line.data::<LocationBody>(Some("id"))?)?;
            if location.id != line.id {
                return Err(BadLine::new("id_mismatch", "data.id: it is not the line's id"));
            }
            Some(location)
        }
    };
    Ok(Change { id: &line.id, version: line.version, location })
}

/// Applies a batch.
///
/// # Errors
/// [`Error::Retryable`] where the database does not keep up.
pub(super) async fn apply(feed: Feed<'_>, lines: &[Line]) -> Result<Vec<LineOutcome>> {
    let changes: Vec<_> = lines.iter().map(|line| change_of(feed, line)).collect();
    let scope = &feed.caller.scope;
    if changes.iter().flatten().any(|change| change.location.is_some()) {
        register_tenant(feed.ports, scope).await?;
    }
    let keys = changes.iter().flatten().map(|change| (Table::Catalog, scope.location(change.id)));
    let read = BatchRead::of(feed.ports, keys).await?;
    let (changes, read) = (&changes, &read);
    apply_grouped(
        lines.len(),
        |place| lines.get(place).map(|line| line.id.clone()).unwrap_or_default(),
        |place, first| async move {
            match changes.get(place) {
                Some(Ok(change)) => apply_one(feed, change, first.then_some(read)).await,
                Some(Err(bad)) => Ok(LineOutcome::Failed(bad.clone())),
                None => Err(Error::bug("a place outside the batch")),
            }
        },
    )
    .await
}

async fn apply_one(
    feed: Feed<'_>,
    change: &Change<'_>,
    mut fresh: Option<&BatchRead>,
) -> Result<LineOutcome> {
    let scope = &feed.caller.scope;
    let key = scope.location(change.id);
    let mut unknown = false;
    for number in 1..=ATTEMPTS_MAX {
        let old = read_again(feed.ports, fresh.take(), Table::Catalog, &key).await?;
        let standing = Standing::of(old.as_ref());
        if !standing.is_older_than(change.version) {
            return Ok(not_newer(standing.feed_version(), change.version, unknown));
        }
        if let Some(new) = &change.location
            && let Some(message) = kind_changed(new, old.as_ref())?
        {
            return Ok(LineOutcome::Failed(BadLine::new("kind_fixed", format!("data.kind: {message}"))));
        }
        let item = match &change.location {
            // Keeps what it was, for sales that are on their way there.
            None => standing
                .tombstone(&key, change.version)
                .with_some("data", old.as_ref().and_then(|item| item.opt_text("data")))
                // A list of its own: what it gave numbers to is looked after still.
                .with("list_pk", scope.list_of(CLOSED_LOCATIONS).value())
                .with("list_sk", change.id),
            Some(location) => {
                let version = standing.next_version(Some(change.version));
                let version = u64::try_from(version).map_err(Error::bug)?;
                location_item(scope, &Location { version, ..location.clone() })?
                    .with("feed_version", change.version)
            }
        };
        let item = Puts::of(old.as_ref())?.into_item(item)?;
        match write_location(feed.ports, old.as_ref(), item).await? {
            Attempt::Done => return Ok(LineOutcome::Applied),
            Attempt::Unknown => unknown = true,
            Attempt::Failed { .. } | Attempt::Busy => {}
        }
        pause(feed.ports, number).await;
    }
    Err(Error::retryable(format!("location {} is being changed by others", change.id)))
}
