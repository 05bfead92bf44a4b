//! Why a template was refused, or a document could not be made.

use tillstream_domain::identifier::IdentifierError;

use crate::kind::{Kind, TemplateFormat};
use crate::{DOCUMENT_BYTES_MAX, TEMPLATE_BYTES_MAX, TEXT_CHARS_MAX};

/// What can be wrong with a template, with a document's data, or with the two together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// A template's id is none.
    #[error("the template's id: {0}")]
    TemplateId(#[from] IdentifierError),
    /// Above [`TEMPLATE_BYTES_MAX`].
    #[error("the template has {bytes} bytes; it may have at most {TEMPLATE_BYTES_MAX}")]
    TemplateTooLarge {
        /// What it has.
        bytes: usize,
    },
    /// Not a template at all.
    #[error("line {line}: {reason}")]
    TemplateSyntax {
        /// Line of the template, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// Something that the template language has and documents do not offer.
    #[error("line {line}: {what}")]
    TemplateNotAllowed {
        /// Line of the template, from 1.
        line: usize,
        /// What is not offered, and what is.
        what: String,
    },
    /// A field, filter or test that documents of this kind do not have.
    #[error("line {line}: there is no {name}; there are: {known}")]
    TemplateUnknownName {
        /// Line of the template, from 1.
        line: usize,
        /// The name as the template has it.
        name: String,
        /// The names that would be right there.
        known: String,
    },
    /// A reprint would look like the first print.
    #[error("a reprint must say that it is one: show something if {root}.reprint")]
    TemplateHidesReprint {
        /// `order` or `shift`.
        root: &'static str,
    },
    /// More steps than a document may take.
    #[error("the template takes too many steps on this data; loops within loops are the usual reason")]
    TemplateTooCostly,
    /// It stopped while rendering.
    #[error("line {line}: {reason}")]
    TemplateFailed {
        /// Line of the template, from 1.
        line: usize,
        /// What the engine says.
        reason: String,
    },
    /// A template of another kind or format than the document asked for.
    #[error("the template is for {is_kind} as {is_format}, the document is {kind} as {format}")]
    WrongTemplate {
        /// Kind it is for.
        is_kind: Kind,
        /// Format it is for.
        is_format: TemplateFormat,
        /// Kind asked for.
        kind: Kind,
        /// Format asked for.
        format: TemplateFormat,
    },
    /// An order where a shift is due, or the other way round.
    #[error("{kind} is made from {needs}")]
    WrongData {
        /// Kind asked for.
        kind: Kind,
        /// `an order` or `a shift`.
        needs: &'static str,
    },
    /// Above [`DOCUMENT_BYTES_MAX`].
    #[error("the document would have more than {DOCUMENT_BYTES_MAX} bytes")]
    DocumentTooLarge,
    /// A text of the data above [`TEXT_CHARS_MAX`].
    #[error("{field} has {chars} characters; it may have at most {TEXT_CHARS_MAX}")]
    TextTooLong {
        /// Path of the field.
        field: String,
        /// What it has.
        chars: usize,
    },
    /// A list of the data above its bound.
    #[error("{field} has {count} entries; it may have at most {most}")]
    TooManyEntries {
        /// Path of the field.
        field: String,
        /// What it has.
        count: usize,
        /// What it may have.
        most: usize,
    },
    /// An amount in another currency than the document's.
    #[error("{field} is in {currency}; every amount of a document is in its currency, {expected}")]
    CurrencyMismatch {
        /// Path of the field.
        field: String,
        /// What it is in.
        currency: String,
        /// The document's.
        expected: String,
    },
    /// Not in the IANA time zone database.
    #[error("{0:?} is no time zone; one is an IANA name such as \"Europe/London\"")]
    UnknownTimeZone(String),
    /// Neither of the known names.
    #[error("{is:?} is no {what}; there are: {known}")]
    UnknownName {
        /// `kind`, `format` or `template format`.
        what: &'static str,
        /// The name given.
        is: String,
        /// Those there are.
        known: String,
    },
}

impl DocumentError {
    /// The stable code on the wire.
    pub fn code(&self) -> &'static str {
        match self {
            DocumentError::TemplateId(_) => "template_id_malformed",
            DocumentError::TemplateTooLarge { .. } => "template_too_large",
            DocumentError::TemplateSyntax { .. } => "template_syntax",
            DocumentError::TemplateNotAllowed { .. } => "template_not_allowed",
            DocumentError::TemplateUnknownName { .. } => "template_unknown_name",
            DocumentError::TemplateHidesReprint { .. } => "template_hides_reprint",
            DocumentError::TemplateTooCostly => "template_too_costly",
            DocumentError::TemplateFailed { .. } => "template_failed",
            DocumentError::WrongTemplate { .. } => "wrong_template",
            DocumentError::WrongData { .. } => "wrong_document_data",
            DocumentError::DocumentTooLarge => "document_too_large",
            DocumentError::TextTooLong { .. } => "document_text_too_long",
            DocumentError::TooManyEntries { .. } => "document_too_many_entries",
            DocumentError::CurrencyMismatch { .. } => "currency_mismatch",
            DocumentError::UnknownTimeZone(_) => "unknown_time_zone",
            DocumentError::UnknownName { .. } => "unknown_document_name",
        }
    }
}
