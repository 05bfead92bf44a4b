//! How much a document's data may hold.
//!
//! Looked at in the form that templates see, so that no field can be forgotten.

use std::fmt;

use minijinja::Value;
use minijinja::value::ValueKind;
use tillstream_domain::cart::LINES_MAX;

use crate::error::DocumentError;

/// Longest text of the data, in characters: what the POS takes as a line's notes.
pub const TEXT_CHARS_MAX: usize = 500;

/// Most entries of a list within the data other than the lines, of which there are as many as a cart
/// holds. A tray of coffees with everything on it has some dozens.
pub const ENTRIES_MAX: usize = 200;

/// Most entries of all lists together: it bounds the memory of a rendering.
pub const ALL_ENTRIES_MAX: usize = 40_000;

/// Checks all that a template would see.
///
/// # Errors
/// [`DocumentError::TextTooLong`], [`DocumentError::TooManyEntries`], [`DocumentError::CurrencyMismatch`].
pub(crate) fn check(root: &str, view: &Value) -> Result<(), DocumentError> {
    let data = attribute(view, root);
    let currency = attribute(&data, "currency");
    let mut bounds = Bounds { entries: 0, currency: currency.as_str() };
    bounds.check(Path { within: None, name: root }, &data)
}

fn attribute(value: &Value, name: &str) -> Value {
    value.get_attr(name).unwrap_or_default()
}

/// Where a value stands; written out only for an error, since most documents have none.
#[derive(Clone, Copy)]
struct Path<'a> {
    within: Option<&'a Path<'a>>,
    name: &'a str,
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(within) = self.within {
            write!(f, "{within}.")?;
        }
        f.write_str(self.name)
    }
}

struct Bounds<'a> {
    entries: usize,
    currency: Option<&'a str>,
}

impl Bounds<'_> {
    fn check(&mut self, path: Path<'_>, value: &Value) -> Result<(), DocumentError> {
        match value.kind() {
            ValueKind::String => self.text(path, value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => self.list(path, value),
            ValueKind::Map => self.fields(path, value),
            _ => Ok(()),
        }
    }

    fn text(&self, path: Path<'_>, text: &str) -> Result<(), DocumentError> {
        // Bytes first: counting characters of every text would cost more than the rest together.
        if text.len() <= TEXT_CHARS_MAX {
            return Ok(());
        }
        match text.chars().count() {
            chars if chars > TEXT_CHARS_MAX => {
                Err(DocumentError::TextTooLong { field: path.to_string(), chars })
            }
            _ => Ok(()),
        }
    }

    fn list(&mut self, path: Path<'_>, list: &Value) -> Result<(), DocumentError> {
        let count = list.len().unwrap_or_default();
        let is_lines = path.name == "lines" && path.within.is_some_and(|within| within.within.is_none());
        let most = if is_lines { LINES_MAX } else { ENTRIES_MAX };
        if count > most {
            return Err(DocumentError::TooManyEntries { field: path.to_string(), count, most });
        }
        self.entries += count;
        if self.entries > ALL_ENTRIES_MAX {
            let (field, count) = ("all lists together".to_owned(), self.entries);
            return Err(DocumentError::TooManyEntries { field, count, most: ALL_ENTRIES_MAX });
        }
        let Ok(entries) = list.try_iter() else { return Ok(()) };
        for entry in entries {
            self.check(path, &entry)?;
        }
        Ok(())
    }

    fn fields(&mut self, path: Path<'_>, map: &Value) -> Result<(), DocumentError> {
        let Ok(names) = map.try_iter() else { return Ok(()) };
        for name in names {
            let name = name.as_str().unwrap_or_default();
            let value = attribute(map, name);
            // Of `order.currency` itself and of `order.totals.tax.currency` alike.
            if name == "currency"
                && let (Some(expected), Some(currency)) = (self.currency, value.as_str())
                && expected != currency
            {
                return Err(DocumentError::CurrencyMismatch {
                    field: path.to_string(),
                    currency: currency.to_owned(),
                    expected: expected.to_owned(),
                });
            }
            self.check(Path { within: Some(&path), name }, &value)?;
        }
        Ok(())
    }
}
