//! The feed of print templates.
//!
//! A kind of document has one template for each format. A record per template remembers its version and
//! what it is for, also after it is deleted; an item per kind and format says which template is current and
//! since when; each version is an item of its own ([`crate::documents::template_store`]). All three are one
//! transaction.

use tillstream_contracts::sync::{LineOperation, TemplateData};
use tillstream_documents::{DocumentError, Kind, Template, TemplateFormat, TemplateSource};

use super::batch::{Feed, LineOutcome, apply_grouped, not_newer, read_again};
use super::entities::Entity;
use super::line::{BadLine, Line, check_line_id};
use crate::catalog::attempt::{ATTEMPTS_MAX, Attempt, attempt, pause};
use crate::catalog::standing::Standing;
use crate::database::{Condition, Item, Table, Write};
use crate::documents::template_store::version_item;
use crate::error::{Error, Result};

/// What a template is for.
type Place = (Kind, TemplateFormat);

/// A line, checked: the template, or nothing where it is deleted.
struct Change<'a> {
    id: &'a str,
    version: i64,
    template: Option<Template>,
}

fn bad(field: &str, error: &DocumentError) -> BadLine {
    BadLine::new(error.code(), format!("{field}: {error}"))
}

fn change_of(line: &Line) -> Result<Change<'_>, BadLine> {
    check_line_id(&line.id)?;
    let template = match line.operation {
        LineOperation::Delete => None,
        LineOperation::Upsert => {
            let data: TemplateData = line.data(None)?;
            let version = u64::try_from(line.version)
                .map_err(|_| BadLine::new("version_out_of_range", "version: versions go from 0"))?;
            let template = TemplateSource {
                id: line.id.clone(),
                version,
                kind: data.kind.parse().map_err(|error| bad("data.kind", &error))?,
                format: data.format.parse().map_err(|error| bad("data.format", &error))?,
                source: data.source,
            };
            Some(Template::check(template).map_err(|error| bad("data.source", &error))?)
        }
    };
    Ok(Change { id: &line.id, version: line.version, template })
}

/// Applies a batch.
///
/// # Errors
/// [`Error::Retryable`] where the database does not keep up.
pub(super) async fn apply(feed: Feed<'_>, lines: &[Line]) -> Result<Vec<LineOutcome>> {
    let changes: Vec<_> = lines.iter().map(change_of).collect();
    let changes = &changes;
    // One after another: one line may take the place that the line before it left.
    let all = |_| String::new();
    apply_grouped(lines.len(), all, |place, _| async move {
        match changes.get(place) {
            Some(Ok(change)) => apply_one(feed, change).await,
            Some(Err(bad)) => Ok(LineOutcome::Failed(bad.clone())),
            None => Err(Error::bug("a place outside the batch")),
        }
    })
    .await
}

/// What a record says its template is for; nothing of one that is deleted.
fn place_of(record: Option<&Item>) -> Result<Option<Place>> {
    let Some(record) = record else { return Ok(None) };
    match (record.opt_text("document_kind"), record.opt_text("template_format")) {
        (Some(kind), Some(format)) => {
            Ok(Some((kind.parse().map_err(Error::bug)?, format.parse().map_err(Error::bug)?)))
        }
        _ => Ok(None),
    }
}

async fn apply_one(feed: Feed<'_>, change: &Change<'_>) -> Result<LineOutcome> {
    let scope = &feed.caller.scope;
    let key = scope.sync_entity(Entity::PrintTemplates.name(), change.id);
    let mut unknown = false;
    for number in 1..=ATTEMPTS_MAX {
        let old = read_again(feed.ports, None, Table::Catalog, &key).await?;
        let standing = Standing::of(old.as_ref());
        if !standing.is_older_than(change.version) {
            return Ok(not_newer(standing.feed_version(), change.version, unknown));
        }
        let old_place = place_of(old.as_ref())?;
        let new_place = change.template.as_ref().map(|template| (template.kind(), template.format()));
        if let (Some((kind, format)), Some(new)) = (old_place, new_place)
            && (kind, format) != new
        {
            let message =
                format!("data.kind: {} is for {kind} as {format}, and stays so; use another id", change.id);
            return Ok(LineOutcome::Failed(BadLine::new("template_place_fixed", message)));
        }
        let record = match new_place {
            None => standing.tombstone(&key, change.version),
            Some((kind, format)) => Item::new(&key)
                .with("kind", "print_template")
                .with("version", standing.next_version(Some(change.version)))
                .with("feed_version", change.version)
                .with("document_kind", kind.name())
                .with("template_format", format.name()),
        };
        let mut writes =
            vec![Write::Put { table: Table::Catalog, item: record, condition: Some(standing.unchanged()) }];
        // A template that was never there, or is gone, leaves no place behind.
        if let Some(place) = new_place.or(old_place) {
            match place_writes(feed, change, place).await? {
                Ok(more) => writes.extend(more),
                Err(bad) => return Ok(LineOutcome::Failed(bad)),
            }
        }
        match attempt(feed.ports, writes).await? {
            Attempt::Done => return Ok(LineOutcome::Applied),
            Attempt::Unknown => unknown = true,
            Attempt::Failed { .. } | Attempt::Busy => {}
        }
        pause(feed.ports, number).await;
    }
    Err(Error::retryable(format!("template {} is being changed by others", change.id)))
}

/// The writes that make a change the current version of its place.
async fn place_writes(
    feed: Feed<'_>,
    change: &Change<'_>,
    place: Place,
) -> Result<Result<[Write; 2], BadLine>> {
    let scope = &feed.caller.scope;
    let (kind, format) = place;
    let key = scope.print_template(kind.name(), format.name());
    let old = read_again(feed.ports, None, Table::Catalog, &key).await?;
    let standing = Standing::of(old.as_ref());
    let current = old.as_ref().and_then(|item| item.opt_text("template_id"));
    if let Some(other) = current.filter(|current| *current != change.id) {
        let message = format!("data.kind: {kind} as {format} has the template {other}; delete that first");
        return Ok(Err(BadLine::new("template_place_taken", message)));
    }
    // Read right before the write, so that next to nothing becomes final between the two. Clocks differ:
    // what comes later stands later in any case.
    let now = feed.ports.environment.now().as_millisecond();
    let last = old.as_ref().and_then(|item| item.opt_number("since_millis"));
    let since = last.map_or(now, |last| now.max(last.saturating_add(1)));
    let template = change.template.as_ref();
    let item = Item::new(&key)
        .with("kind", "current_print_template")
        .with("version", standing.next_version(None))
        .with("since_millis", since)
        .with_some("template_id", template.map(Template::id))
        .with_some("template_version", template.map(|_| change.version));
    let version = version_item(scope, place, since, template)?;
    Ok(Ok([
        Write::Put { table: Table::Catalog, item, condition: Some(standing.unchanged()) },
        Write::Put { table: Table::Catalog, item: version, condition: Some(Condition::NotExists) },
    ]))
}
