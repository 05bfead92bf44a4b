//! One line of a feed: found in the body, read, and what may be wrong with it.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tillstream_contracts::strict_json::{self, Fault, FieldFault};
use tillstream_contracts::sync::{FeedLine, LineOperation};
use tillstream_domain::identifier::check_id;

use crate::catalog::standing::FEED_VERSION_MAX;
use crate::error::Refusal;

/// Longest line of most feeds, in bytes.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// Longest id, in bytes.
const ID_BYTES_MAX: usize = 200;
/// Longest message kept of what was wrong, in characters.
const MESSAGE_CHARACTERS_MAX: usize = 300;

/// Why a line was not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadLine {
    /// Stable code.
    pub code: String,
    /// What was wrong and what would be right.
    pub message: String,
}

impl BadLine {
    pub(crate) fn new(code: &str, message: impl AsRef<str>) -> Self {
        let message = message.as_ref().chars().take(MESSAGE_CHARACTERS_MAX).collect();
        BadLine { code: code.to_owned(), message }
    }
}

impl From<Refusal> for BadLine {
    fn from(refusal: Refusal) -> Self {
        // The first field says more than "field_invalid".
        let code = refusal.errors.first().map_or(refusal.code, |error| error.code.as_str());
        BadLine::new(code, &refusal.detail)
    }
}

/// A line that could be read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    /// Id as the feed names it.
    pub id: String,
    /// Its version.
    pub version: i64,
    /// What to do.
    pub operation: LineOperation,
    /// Known fields of its data.
    pub data: Option<Map<String, Value>>,
    /// How many fields it had that nobody knows.
    pub unknown_fields: u64,
}

/// The lines of a body with their numbers from 1, blank ones left out. A line ends with LF or CRLF; a
/// byte order mark in front of the first is dropped.
pub(crate) struct Lines<'a> {
    rest: Option<&'a [u8]>,
    number: u64,
}

impl<'a> Lines<'a> {
    /// Of a body.
    pub(crate) fn of(body: &'a [u8]) -> Self {
        Lines { rest: Some(body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body)), number: 0 }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = (u64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.rest?;
            let mut parts = rest.splitn(2, |byte| *byte == b'\n');
            let line = parts.next().unwrap_or_default().trim_ascii();
            self.rest = parts.next();
            self.number += 1;
            if !line.is_empty() {
                return Some((self.number, line));
            }
        }
    }
}

fn drop_unknown(fields: &mut Map<String, Value>, known: &[&str]) -> u64 {
    let before = fields.len();
    fields.retain(|name, _| known.contains(&name.as_str()));
    u64::try_from(before - fields.len()).unwrap_or(u64::MAX)
}

/// Drops what is unknown within known fields too: `known` has their paths. A field of which no path goes on
/// holds what it likes.
fn drop_unknown_within(value: &mut Value, path: &str, known: &[&str]) -> u64 {
    match value {
        Value::Array(items) => items.iter_mut().map(|item| drop_unknown_within(item, path, known)).sum(),
        Value::Object(fields) => {
            let inner = |known: &&str| known.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
            if !path.is_empty() && !known.iter().any(inner) {
                return 0;
            }
            let at = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            let before = fields.len();
            fields.retain(|name, _| known.contains(&at(name).as_str()));
            let dropped = u64::try_from(before - fields.len()).unwrap_or(u64::MAX);
            let within: u64 =
                fields.iter_mut().map(|(name, value)| drop_unknown_within(value, &at(name), known)).sum();
            dropped + within
        }
        _ => 0,
    }
}

/// Reads a shape out of JSON fields, saying which field was wrong.
fn shape<T: DeserializeOwned>(fields: Map<String, Value>, within: &str) -> Result<T, BadLine> {
    strict_json::typed(Value::Object(fields)).map_err(|fault| wrong(within, &fault))
}

fn wrong(within: &str, fault: &FieldFault) -> BadLine {
    let places: Vec<&str> =
        [within, fault.field.as_str()].into_iter().filter(|place| !place.is_empty()).collect();
    BadLine::new("line_invalid", format!("{}: {}", places.join("."), fault.message))
}

/// Whether a line's id is an identifier.
pub(super) fn check_line_id(id: &str) -> Result<(), BadLine> {
    check_id(id).map_err(|error| BadLine::new("id_malformed", format!("id: {error}")))
}

/// Whether an id that a line's data tells in `field`, if it does, is the line's own.
pub(super) fn check_same_id(field: &str, told: Option<&str>, line: &Line) -> Result<(), BadLine> {
    if told.is_none_or(|id| id == line.id) {
        Ok(())
    } else {
        Err(BadLine::new("id_mismatch", format!("data.{field}: it is not the line's id")))
    }
}

impl Line {
    /// Reads a line; fields beside those of a line and `data_fields` (paths) are counted and dropped.
    pub(crate) fn read(bytes: &[u8], data_fields: &[&str], bytes_max: usize) -> Result<Line, BadLine> {
        if bytes.len() > bytes_max {
            let message = format!("a line has at most {} KB", bytes_max / 1024);
            return Err(BadLine::new("line_too_long", message));
        }
        let mut fields = match strict_json::parse(bytes) {
            Ok(Value::Object(fields)) => fields,
            Ok(_) => return Err(BadLine::new("line_invalid", "a line is a JSON object")),
            Err(Fault::Malformed(why)) => {
                return Err(BadLine::new("line_not_json", format!("not JSON: {why}")));
            }
            Err(Fault::Field(fault)) => return Err(wrong("", &fault)),
        };
        let mut unknown_fields = drop_unknown(&mut fields, FeedLine::FIELDS);
        let mut line: FeedLine = shape(fields, "")?;
        if line.id.is_empty() || line.id.len() > ID_BYTES_MAX || line.id.chars().any(char::is_control) {
            return Err(BadLine::new("id_malformed", "id: an id is 1 to 200 bytes of printable text"));
        }
        let version = i64::try_from(line.version).ok().filter(|_| line.version <= FEED_VERSION_MAX);
        let Some(version) = version else {
            return Err(BadLine::new("version_out_of_range", "version: versions go from 0 to 2^53 - 1"));
        };
        if let Some(data) = line.data.take() {
            let mut data = Value::Object(data);
            unknown_fields += drop_unknown_within(&mut data, "", data_fields);
            line.data = match data {
                Value::Object(data) => Some(data),
                _ => None,
            };
        }
        Ok(Line { id: line.id, version, operation: line.op, data: line.data, unknown_fields })
    }

    /// Its data in shape; with `id_field` set to the line's id where the data does not say it.
    pub(crate) fn data<T: DeserializeOwned>(&self, id_field: Option<&str>) -> Result<T, BadLine> {
        let Some(mut data) = self.data.clone() else {
            let message = match self.operation {
                LineOperation::Upsert => "data: an upsert needs data",
                LineOperation::Delete => "data: in this feed a delete says in data what it deletes",
            };
            return Err(BadLine::new("line_invalid", message));
        };
        if let Some(field) = id_field {
            data.entry(field).or_insert_with(|| self.id.as_str().into());
        }
        shape(data, "data")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_numbers() {
        let body = b"\xEF\xBB\xBF{1}\r\n\n  \n{2}\n";
        let lines: Vec<_> = Lines::of(body).collect();
        assert_eq!(lines, [(1, b"{1}".as_slice()), (4, b"{2}".as_slice())]);
    }

    #[test]
    fn unknown_fields_are_counted_and_wrong_ones_named() {
        let read = |text: &str| Line::read(text.as_bytes(), &["sku"], LINE_BYTES_MAX);
        let line =
            read(r#"{"id":"A","version":1,"op":"upsert","x":1,"data":{"sku":"A","y":2,"z":3}}"#).unwrap();
        assert_eq!(line.unknown_fields, 3);
        assert_eq!(line.data.unwrap().len(), 1);
        let nested = br#"{"id":"A","version":1,"op":"upsert","data":{"free":{"a":1},"list":[{"x":1,"y":2},{"y":3},4],"z":1}}"#;
        let line = Line::read(nested, &["free", "list", "list.x"], LINE_BYTES_MAX).unwrap();
        assert_eq!(line.unknown_fields, 3);
        let left = serde_json::json!({"free": {"a": 1}, "list": [{"x": 1}, {}, 4]});
        assert_eq!(Value::Object(line.data.unwrap()), left);
        for (text, code) in [
            ("{", "line_not_json"),
            ("[]", "line_invalid"),
            ("\u{7f}", "line_not_json"),
            (r#"{"version":1,"op":"upsert"}"#, "line_invalid"),
            (r#"{"id":"A","version":"1","op":"upsert"}"#, "line_invalid"),
            (r#"{"id":"A","version":-1,"op":"upsert"}"#, "line_invalid"),
            (r#"{"id":"A","version":1,"op":"merge"}"#, "line_invalid"),
            (r#"{"id":"A","version":1,"version":2,"op":"upsert"}"#, "line_invalid"),
            (r#"{"id":"","version":1,"op":"upsert"}"#, "id_malformed"),
            (r#"{"id":"A","version":9007199254740992,"op":"upsert"}"#, "version_out_of_range"),
        ] {
            assert_eq!(read(text).unwrap_err().code, code, "{text}");
        }
        assert!(
            read(r#"{"id":"A","version":"1","op":"upsert"}"#).unwrap_err().message.starts_with("version: ")
        );
        let long = format!("\"{}\"", "x".repeat(LINE_BYTES_MAX));
        assert_eq!(read(&long).unwrap_err().code, "line_too_long");
    }

    #[test]
    fn a_line_and_its_id_may_be_as_long_as_said_and_no_longer() {
        let line = |id: &str| serde_json::json!({"id": id, "version": 1, "op": "delete"}).to_string();
        let code = |text: &str| Line::read(text.as_bytes(), &[], LINE_BYTES_MAX).map_err(|bad| bad.code);
        for id in ["x".repeat(200), "ä".repeat(100)] {
            assert_eq!(code(&line(&id)).unwrap().id, id);
        }
        for id in ["x".repeat(201), "ä".repeat(101), "a\u{7}b".into()] {
            assert_eq!(code(&line(&id)).unwrap_err(), "id_malformed", "{id:?}");
        }
        let padded = |bytes: usize| line("A") + &" ".repeat(bytes - line("A").len());
        assert!(code(&padded(LINE_BYTES_MAX)).is_ok());
        assert_eq!(code(&padded(LINE_BYTES_MAX + 1)).unwrap_err(), "line_too_long");
    }
}
