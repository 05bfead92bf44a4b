//! The template engine with everything shut off that a document does not need.
//!
//! [`crate::language`] has looked at a template before it comes here. What is bounded here holds for any:
//! steps, depth and output.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, HtmlEscape, UndefinedBehavior, Value};
use tillstream_domain::money::Currency;

use crate::amounts;
use crate::error::DocumentError;
use crate::kind::TemplateFormat;
use crate::markup;

/// Most steps of a rendering. The longest receipt by the built-in templates (5,000 lines, each with
/// modifiers and discounts) takes a quarter of it; a step is some dozens of nanoseconds.
pub const STEPS_MAX: u64 = 2_000_000;

/// Most bytes of text that values shown, filters and their arguments may have together. A step that changes
/// a text takes as long as the text is; the longest receipt takes a fiftieth.
const TEXT_WORK_MAX: usize = 16 * 1024 * 1024;

/// Deepest nesting of blocks at run time; the language has no recursion, so it is that of the source.
const DEPTH_MAX: usize = 100;

/// What a filter of texts does.
type Change = fn(&str) -> String;

/// Blocks on lines of their own leave no empty lines behind.
pub(crate) fn syntax() -> SyntaxConfig {
    SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().unwrap_or_default()
}

/// What `source` makes of `context`.
///
/// # Errors
/// [`DocumentError::TemplateSyntax`], [`DocumentError::TemplateTooCostly`],
/// [`DocumentError::DocumentTooLarge`], [`DocumentError::TemplateFailed`].
pub(crate) fn run(source: &str, format: TemplateFormat, context: Value) -> Result<String, DocumentError> {
    let mut environment = Environment::empty();
    environment.set_syntax(syntax());
    environment.set_fuel(Some(STEPS_MAX));
    environment.set_recursion_limit(DEPTH_MAX);
    // Names were checked at intake. What is empty now is a customer that is not known, or a field that
    // another build had.
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    let texts = Texts(Arc::new(AtomicUsize::new(0)));
    let shown = texts.clone();
    environment.set_formatter(move |out, _, value| {
        let text = shown.text(value)?;
        match format {
            // Escaped whatever it says it is.
            TemplateFormat::Html => write!(out, "{}", HtmlEscape(&text))?,
            TemplateFormat::Paper => markup::write_data(out, &text)?,
        }
        Ok(())
    });
    let changes =
        [("label", amounts::label as Change), ("upper", str::to_uppercase), ("lower", str::to_lowercase)];
    for (name, change) in changes {
        let texts = texts.clone();
        environment.add_filter(name, move |value: &Value| texts.text(value).map(|text| change(&text)));
    }
    environment.add_filter("money", |value: &Value| amount_by(value, amounts::money));
    environment.add_filter("amount", |value: &Value| amount_by(value, amounts::amount));
    environment.add_filter("rate", rate);
    environment.add_filter("length", |value: &Value| value.len().unwrap_or_default());
    environment.add_filter("default", default);
    environment.add_test("defined", |value: &Value| !value.is_undefined());
    environment.add_test("undefined", |value: &Value| value.is_undefined());

    let mut written = Bounded(Vec::new());
    environment
        .template_from_str(source)
        .and_then(|template| template.render_captured_to(context, &mut written).map(drop))
        .map_err(|error| told(&error))?;
    String::from_utf8(written.0)
        .map_err(|_| DocumentError::TemplateFailed { line: 1, reason: "the output is not UTF-8".to_owned() })
}

/// The engine's error in the documents' own words.
pub(crate) fn told(error: &Error) -> DocumentError {
    let line = error.line().unwrap_or(1);
    let reason = || match error.detail() {
        Some(detail) => detail.to_owned(),
        None => error.kind().to_string(),
    };
    match error.kind() {
        ErrorKind::OutOfFuel => DocumentError::TemplateTooCostly,
        // The only thing written to is `Bounded`, which fails only when it is full.
        ErrorKind::WriteFailure => DocumentError::DocumentTooLarge,
        ErrorKind::SyntaxError | ErrorKind::BadEscape => {
            DocumentError::TemplateSyntax { line, reason: reason() }
        }
        _ => DocumentError::TemplateFailed { line, reason: reason() },
    }
}

/// Holds what is written up to [`crate::DOCUMENT_BYTES_MAX`].
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > crate::DOCUMENT_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Values as texts, up to [`TEXT_WORK_MAX`] of them.
#[derive(Clone)]
struct Texts(Arc<AtomicUsize>);

impl Texts {
    /// A value as text, without the characters that nobody can see.
    fn text(&self, value: &Value) -> Result<String, Error> {
        let text = match value.kind() {
            ValueKind::Undefined | ValueKind::None => String::new(),
            ValueKind::String => {
                let text = value.as_str().unwrap_or_default().replace("\r\n", "\n");
                text.chars().filter_map(markup::printable).collect()
            }
            ValueKind::Number | ValueKind::Bool => value.to_string(),
            _ => return Err(refused("several fields cannot be shown as one; name one of them")),
        };
        let bytes = value.as_str().map_or(text.len(), str::len);
        if self.0.fetch_add(bytes, Ordering::Relaxed) > TEXT_WORK_MAX {
            return Err(ErrorKind::OutOfFuel.into());
        }
        Ok(text)
    }
}

fn refused(reason: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason)
}

fn is_nothing(value: &Value) -> bool {
    value.is_undefined() || value.is_none()
}

fn amount_by(value: &Value, form: fn(i64, Currency) -> String) -> Result<String, Error> {
    if is_nothing(value) {
        return Ok(String::new());
    }
    let part = |name| value.get_attr(name).unwrap_or_default();
    let currency = part("currency").as_str().and_then(|code| code.parse().ok());
    match (part("amount").as_i64(), currency) {
        (Some(amount), Some(currency)) => Ok(form(amount, currency)),
        _ => Err(refused("this is no amount of money")),
    }
}

fn rate(value: &Value) -> Result<String, Error> {
    if is_nothing(value) {
        return Ok(String::new());
    }
    value.as_i64().map(amounts::rate).ok_or_else(|| refused("this is no rate"))
}

fn default(value: &Value, otherwise: Value) -> Value {
    if is_nothing(value) { otherwise } else { value.clone() }
}
