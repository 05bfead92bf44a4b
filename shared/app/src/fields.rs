//! What ids and texts in a request must be, whatever the request.

use tillstream_domain::card_number::contains_card_number;
use tillstream_domain::identifier::{check_id, check_sku};

use crate::error::{Refusal, Result};

/// Longest free text of a line or a reason, in characters.
pub const TEXT_CHARS_MAX: usize = 500;

/// Checks an id in a request.
///
/// # Errors
/// 422 `id_malformed`.
pub fn id(field: &str, value: &str) -> Result<()> {
    check_id(value).map_err(|e| Refusal::field(field, "id_malformed", e.to_string()).into())
}

/// Checks a SKU in a request.
///
/// # Errors
/// 422 `sku_malformed`.
pub fn sku(field: &str, value: &str) -> Result<()> {
    check_sku(value).map_err(|e| Refusal::field(field, "sku_malformed", e.to_string()).into())
}

/// Checks free text: bounded, without control characters and card numbers.
///
/// # Errors
/// 422 `text_too_long`, `text_malformed`, `card_number_refused`. The text itself is never repeated.
pub fn text(field: &str, value: &str, chars_max: usize) -> Result<()> {
    if value.chars().count() > chars_max {
        return Err(Refusal::field(field, "text_too_long", format!("at most {chars_max} characters")).into());
    }
    if value.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err(Refusal::field(field, "text_malformed", "no control characters").into());
    }
    no_card_number(field, value)
}

/// Refuses payment card numbers.
///
/// # Errors
/// 422 `card_number_refused`.
pub fn no_card_number(field: &str, value: &str) -> Result<()> {
    if contains_card_number(value) {
        let message = "card numbers are not stored; send the terminal's reference";
        return Err(Refusal::field(field, "card_number_refused", message).into());
    }
    Ok(())
}

/// Checks an id that somebody may have typed, so that it is no card number either.
///
/// # Errors
/// 422 `id_malformed`, `card_number_refused`.
pub fn typed_id(field: &str, value: &str) -> Result<()> {
    id(field, value)?;
    no_card_number(field, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_names_have_a_form() {
        let code = |checked: Result<()>| checked.err().and_then(|error| error.code());
        assert_eq!(code(text("notes", &"é".repeat(5), 5)), None);
        assert_eq!(code(text("notes", &"é".repeat(6), 5)), Some("text_too_long"));
        assert_eq!(code(text("notes", "a\n\tb", 5)), None);
        assert_eq!(code(text("notes", "a\u{7}b", 5)), Some("text_malformed"));
        assert_eq!(code(text("notes", "4111111111111111", 50)), Some("card_number_refused"));
        assert_eq!((code(sku("sku", "85123A")), code(sku("sku", ""))), (None, Some("sku_malformed")));
        assert_eq!((code(id("id", "c-1")), code(id("id", "a/b"))), (None, Some("id_malformed")));
        assert_eq!(code(typed_id("id", "4111111111111111")), Some("card_number_refused"));
    }
}
