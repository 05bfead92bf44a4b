//! Instants as RFC 3339 writes them, and nothing else that a library may understand: what reads like
//! another instant than it is must not be taken for one.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de};

/// What to send, for a refusal.
pub const EXPECTED: &str = "an instant with seconds and an offset, such as 2010-12-01T08:26:00Z (RFC 3339)";

/// Reads an instant; nothing where it is none.
///
/// RFC 3339 section 5.6: full date, `T`, hours, minutes and seconds, an optional fraction, and `Z` or an
/// offset of hours and minutes.
pub fn parse(text: &str) -> Option<Timestamp> {
    let (whole, rest) = text.split_at_checked("2010-12-01T08:26:00".len())?;
    let whole = whole.bytes().zip("dddd-dd-ddTdd:dd:dd".bytes());
    let offset_at = rest.find(['Z', 'z', '+', '-'])?;
    let (fraction, offset) = rest.split_at(offset_at);
    let offset_fits = match offset.as_bytes() {
        [b'Z' | b'z'] => true,
        [_, h1, h2, b':', m1, m2] => {
            let digits = [h1, h2, m1, m2].into_iter().all(u8::is_ascii_digit);
            digits && [*h1, *h2] <= *b"23" && [*m1, *m2] <= *b"59"
        }
        _ => false,
    };
    let fraction_fits = match fraction.strip_prefix('.') {
        Some(digits) => !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()),
        None => fraction.is_empty(),
    };
    let fits = fraction_fits && offset_fits && whole.into_iter().all(|(byte, form)| form_holds(byte, form));
    text.parse().ok().filter(|_| fits)
}

fn form_holds(byte: u8, form: u8) -> bool {
    match form {
        b'd' => byte.is_ascii_digit(),
        form => byte.eq_ignore_ascii_case(&form),
    }
}

/// For `#[serde(deserialize_with)]`: an instant, or null.
///
/// # Errors
/// Of the deserializer, naming what is expected.
pub fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    parse(&text).map(Some).ok_or_else(|| de::Error::custom(format_args!("expected {EXPECTED}")))
}

/// For `#[serde(deserialize_with)]`: an instant.
///
/// # Errors
/// Of the deserializer, naming what is expected.
pub fn required<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| de::Error::custom(format_args!("expected {EXPECTED}")))
}
