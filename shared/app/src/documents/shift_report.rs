//! The reports on a shift.

use jiff::Timestamp;
use tillstream_documents::{Document, DocumentData, Format, Kind, ShiftReport};

use super::read::render_by;
use super::template_store::Templates;
use crate::error::Result;

/// Makes the X or Z report of a shift, by the template that stood `as_of`: of a closed shift the time of its
/// closing by our clock, so that it looks the same for ever.
///
/// # Errors
/// [`crate::Error::Retryable`]; a bug if the report cannot be rendered by the built-in template either.
pub async fn render_shift(
    report: &ShiftReport,
    kind: Kind,
    format: Format,
    templates: Templates<'_>,
    as_of: Timestamp,
) -> Result<Document> {
    let template = templates.at(kind, format, as_of).await?;
    render_by(kind, format, &DocumentData::Shift(Box::new(report.clone())), template.as_ref())
}
