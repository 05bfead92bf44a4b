//! A tenant's templates as they stand in the catalogue table, and which of them a document is made by.
//!
//! Every version there was is an item of its own and is kept. Its sort key is the time since which it
//! stands, so that one read finds the version of any time, however many there were. That no template stands
//! any more is a version too.
//!
//! A document is made by the version that stood when its order became final here
//! ([`tillstream_domain::cart::Finalized::recorded_at`]): by our clock, as the versions are told. The
//! register's own time of the sale would not do: one whose clock begins in 1970 would never see a template.
//! So for what a register sold while it was cut off, the version counts that stood when it told us. What was
//! sold before the first template is made by the built-in one.
//!
//! A version's time is read right before it is written, and a sale writes nothing to name its version: what
//! becomes final within the milliseconds of that write, and is rendered within them too, may look otherwise
//! from then on. The price of more would be a read for every sale.

use jiff::Timestamp;
use tillstream_documents::{Format, Kind, Template, TemplateFormat, TemplateSource};

use crate::database::{Item, Query, Range, Table};
use crate::error::{Error, Result};
use crate::keys::print_template_since;
use crate::ports::Ports;
use crate::tenancy::TenantScope;

/// A tenant's templates.
#[derive(Clone, Copy)]
pub struct Templates<'a> {
    /// Database and clock.
    pub ports: &'a Ports,
    /// Whose.
    pub scope: &'a TenantScope,
}

impl Templates<'_> {
    /// The template of a kind of document that stood at a time; `None` for the built-in one. One that this
    /// build cannot read any more is as none, and logged.
    ///
    /// # Errors
    /// [`Error::Retryable`]; a bug if an item is none.
    pub async fn at(&self, kind: Kind, format: Format, at: Timestamp) -> Result<Option<Template>> {
        let format = format.template_format();
        let versions = self.scope.print_template_versions(kind.name(), format.name());
        let last = print_template_since(at.as_millisecond());
        let query = Query {
            range: Range::Between(print_template_since(0), last),
            ascending: false,
            limit: 1,
            ..Query::partition(Table::Catalog, versions)
        };
        let page = self.ports.database.query(query).await?;
        match page.items.first() {
            None => Ok(None),
            Some(item) => template_of(item, kind, format),
        }
    }
}

/// The item of a version; of none where `template` is, that is of the built-in one.
pub(crate) fn version_item(
    scope: &TenantScope,
    (kind, format): (Kind, TemplateFormat),
    since_millis: i64,
    template: Option<&Template>,
) -> Result<Item> {
    let since = Timestamp::from_millisecond(since_millis).map_err(Error::bug)?;
    let item = Item::new(&scope.print_template_version(kind.name(), format.name(), since_millis))
        .with("kind", "print_template_version")
        .with("since", since.to_string());
    let Some(template) = template else { return Ok(item) };
    Ok(item
        .with("template_id", template.id())
        .with("template_version", i64::try_from(template.version()).map_err(Error::bug)?)
        .with("source", template.source()))
}

fn template_of(item: &Item, kind: Kind, format: TemplateFormat) -> Result<Option<Template>> {
    let Some(source) = item.opt_text("source") else { return Ok(None) };
    let source = TemplateSource {
        id: item.text("template_id")?.to_owned(),
        version: u64::try_from(item.number("template_version")?).map_err(Error::bug)?,
        kind,
        format,
        source: source.to_owned(),
    };
    match Template::load(source) {
        Ok(template) => Ok(Some(template)),
        Err(error) => {
            tracing::warn!(%kind, %format, code = error.code(), %error, "template not readable");
            Ok(None)
        }
    }
}
