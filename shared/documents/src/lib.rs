//! Documents of Tillstream: receipts, chits and reports as HTML, text and ESC/POS.
//!
//! A document is made from data, a template and a format, and from nothing else: no I/O, no clock, no
//! locale. The same input gives the same bytes. [`Template::built_in`] has a template for every kind; a
//! tenant's own, taken in by [`Template::check`], replaces it. A template for paper serves text and
//! receipt printers alike ([`markup`]).

mod amounts;
mod bounds;
mod code_page;
mod engine;
mod error;
mod escpos;
mod kind;
mod language;
mod layout;
pub mod markup;
mod order_document;
mod plain_text;
pub mod sample;
mod shift_report;
mod template;
mod view;

use serde::{Deserialize, Serialize};

pub use bounds::{ALL_ENTRIES_MAX, ENTRIES_MAX, TEXT_CHARS_MAX};
pub use engine::STEPS_MAX;
pub use error::DocumentError;
pub use kind::{Format, Kind, TemplateFormat};
pub use language::TEMPLATE_BYTES_MAX;
pub use layout::COLUMNS;
pub use order_document::{
    Customer, Discount, DocumentLine, DocumentPayment, LineTax, Modifier, OrderDocument, OrderTotals,
    OriginalOrder, Store, TaxTotal,
};
pub use shift_report::{Denomination, ShiftReport, TenderTotal};
pub use template::{Template, TemplateSource};

/// Most bytes of a document, and of what its template writes: several times what an order of as many
/// lines as a cart holds takes, and within what one answer of a function may have.
pub const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;

/// What a document is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentData {
    /// An order: every kind but the reports.
    Order(Box<OrderDocument>),
    /// A shift: the reports.
    Shift(Box<ShiftReport>),
}

/// A document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its media type.
    pub media_type: &'static str,
    /// The document.
    pub bytes: Vec<u8>,
}

/// Makes a document of `kind` as `format` from `data`, by the tenant's `template` or the built-in one.
///
/// # Errors
/// [`DocumentError::WrongTemplate`] and [`DocumentError::WrongData`] for what does not fit the kind,
/// [`DocumentError::TextTooLong`], [`DocumentError::TooManyEntries`],
/// [`DocumentError::CurrencyMismatch`] and [`DocumentError::UnknownTimeZone`] for wrong data, and what
/// can happen on the way: [`DocumentError::TemplateTooCostly`], [`DocumentError::TemplateFailed`],
/// [`DocumentError::DocumentTooLarge`].
pub fn render(
    kind: Kind,
    format: Format,
    data: &DocumentData,
    template: Option<&Template>,
) -> Result<Document, DocumentError> {
    let needed = format.template_format();
    let built_in;
    let template = match template {
        Some(template) if (template.kind(), template.format()) == (kind, needed) => template,
        Some(other) => {
            let (is_kind, is_format) = (other.kind(), other.format());
            return Err(DocumentError::WrongTemplate { is_kind, is_format, kind, format: needed });
        }
        None => {
            built_in = Template::built_in(kind, needed);
            &built_in
        }
    };
    let view = view::of(kind, data)?;
    bounds::check(view::root(kind), &view)?;
    let written = template.write(view)?;
    Ok(Document { media_type: format.media_type(), bytes: finish(format, &written)? })
}

/// What a template wrote, as its format.
fn finish(format: Format, written: &str) -> Result<Vec<u8>, DocumentError> {
    match format {
        Format::Html => Ok(written.as_bytes().to_vec()),
        Format::Text => plain_text::render(written),
        Format::Escpos => escpos::render(written),
    }
}
