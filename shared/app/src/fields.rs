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

/// Checks an id that somebody may have typed, so that it is no card number either. What was made here and is sent back is
/// not looked into: one in some thousand digests has digits in it that a card number might have.
///
/// # Errors
/// 422 `id_malformed`, `card_number_refused`.
pub fn typed_id(field: &str, value: &str) -> Result<()> {
    id(field, value)?;
    if is_made_here(value) { Ok(()) } else { no_card_number(field, value) }
}

/// Whether an id has the form of those that are made here: a word, a dash, and 24 hexadecimal digits, of which one at
/// least is a letter.
fn is_made_here(id: &str) -> bool {
    let Some((word, digest)) = id.rsplit_once('-') else { return false };
    let is_word = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let has_letter = digest.bytes().any(|byte| byte.is_ascii_lowercase());
    is_word && digest.len() == 24 && digest.bytes().all(is_hex) && has_letter
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

    #[test]
    fn what_was_made_here_may_be_sent_back() {
        let code = |id: &str| typed_id("id", id).err().and_then(|error| error.code());
        // An approval's id that was made so, with 4825898439720 in it.
        for made in ["ap-78f2ba7c482589843972063b", "restock-4111111111111111abcdef01"] {
            assert_eq!(code(made), None, "{made}");
        }
        for other in [
            "ap-411111111111111100000000",
            "ap-4111111111111111abcdef0",
            "ap-4111111111111111abcdef012",
            "ap-4111111111111111abcdefg1",
            "ap-4111111111111111ABCDEF01",
            "4111111111111111-78f2ba7cf82589843972063b",
            "4111-1111-1111-1111",
        ] {
            assert_eq!(code(other), Some("card_number_refused"), "{other}");
        }
    }
}
