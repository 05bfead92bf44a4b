//! The feed of print templates.
//!
//! A kind of document has one template for each format. A record per template remembers its version and
//! what it is for, also after it is deleted; an item per kind and format says which template is current and
//! since when; each version is an item of its own ([`crate::documents::template_store`]). All three are one
//! transaction.

use async_trait::async_trait;
use tillstream_contracts::sync::TemplateData;
use tillstream_documents::{DocumentError, Kind, Template, TemplateFormat, TemplateSource};

use super::batch::{Feed, read_again};
use super::entities::Entity;
use super::line::{BadLine, Line};
use super::record_feed::{Admission, RecordFeed};
use crate::catalog::standing::Standing;
use crate::database::{Condition, Item, Key, Table, Write};
use crate::documents::template_store::version_item;
use crate::error::{Error, Result};
use crate::tenancy::TenantScope;

/// What a template is for.
type Place = (Kind, TemplateFormat);

fn place(template: &Template) -> Place {
    (template.kind(), template.format())
}

fn bad(field: &str, error: &DocumentError) -> BadLine {
    BadLine::new(error.code(), format!("{field}: {error}"))
}

/// Print templates, by their ids.
pub(super) struct Templates;

#[async_trait]
impl RecordFeed for Templates {
    type Record = Template;
    const WHAT: &'static str = "template";
    /// One line may take the place that the line before it left.
    const IN_ORDER: bool = true;

    fn record_of(&self, line: &Line) -> Result<Template, BadLine> {
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
        Template::check(template).map_err(|error| bad("data.source", &error))
    }

    fn key(&self, scope: &TenantScope, id: &str) -> Key {
        scope.sync_entity(Entity::PrintTemplates.name(), id)
    }

    fn item(&self, scope: &TenantScope, record: &Template, version: u64) -> Result<Item> {
        let (kind, format) = place(record);
        Ok(Item::new(&self.key(scope, record.id()))
            .with("kind", "print_template")
            .with("version", i64::try_from(version).map_err(Error::bug)?)
            .with("document_kind", kind.name())
            .with("template_format", format.name()))
    }

    async fn admit(
        &self,
        feed: Feed<'_>,
        id: &str,
        record: Option<&Template>,
        old: Option<&Item>,
    ) -> Result<Admission> {
        let (old_place, new_place) = (place_of(old)?, record.map(place));
        if let (Some((kind, format)), Some(new)) = (old_place, new_place)
            && (kind, format) != new
        {
            let message = format!("data.kind: {id} is for {kind} as {format}, and stays so; use another id");
            return Ok(Err(BadLine::new("template_place_fixed", message)));
        }
        // A template that was never there, or is gone, leaves no place behind.
        match new_place.or(old_place) {
            None => Ok(Ok(Vec::new())),
            Some(place) => place_writes(feed, id, record, place).await,
        }
    }
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

/// The writes that make a change the current version of its place.
async fn place_writes(
    feed: Feed<'_>,
    id: &str,
    template: Option<&Template>,
    place: Place,
) -> Result<Admission> {
    let scope = &feed.caller.scope;
    let (kind, format) = place;
    let key = scope.print_template(kind.name(), format.name());
    let old = read_again(feed.ports, None, Table::Catalog, &key).await?;
    let standing = Standing::of(old.as_ref());
    let current = old.as_ref().and_then(|item| item.opt_text("template_id"));
    if let Some(other) = current.filter(|current| *current != id) {
        let message = format!("data.kind: {kind} as {format} has the template {other}; delete that first");
        return Ok(Err(BadLine::new("template_place_taken", message)));
    }
    // Read right before the write, so that next to nothing becomes final between the two. Clocks differ:
    // what comes later stands later in any case.
    let now = feed.ports.environment.now().as_millisecond();
    let last = old.as_ref().and_then(|item| item.opt_number("since_millis"));
    let since = last.map_or(now, |last| now.max(last.saturating_add(1)));
    let template_version =
        template.map(|template| i64::try_from(template.version())).transpose().map_err(Error::bug)?;
    let item = Item::new(&key)
        .with("kind", "current_print_template")
        .with("version", standing.next_version(None))
        .with("since_millis", since)
        .with_some("template_id", template.map(Template::id))
        .with_some("template_version", template_version);
    let version = version_item(scope, place, since, template)?;
    Ok(Ok(vec![
        Write::Put { table: Table::Catalog, item, condition: Some(standing.unchanged()) },
        Write::Put { table: Table::Catalog, item: version, condition: Some(Condition::NotExists) },
    ]))
}
