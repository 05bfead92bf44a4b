//! Identifiers: what a client may call a cart, a location, a register, a SKU.

use std::fmt;

/// Longest identifier, in bytes.
pub const IDENTIFIER_BYTES_MAX: usize = 64;

/// Why an identifier was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    /// Not of the accepted form.
    #[error("an id is 1 to 64 of A-Z a-z 0-9 . _ ~ : - and begins with a letter or digit")]
    Malformed,
    /// Not a SKU.
    #[error("a SKU is 1 to 64 bytes of printable text without leading or trailing spaces")]
    MalformedSku,
    /// Not a GTIN.
    #[error("a barcode is a GTIN of 8, 12, 13 or 14 digits with a correct check digit")]
    MalformedBarcode,
}

/// Checks an id chosen by a client: a cart, location, register, customer, employee, reservation.
///
/// # Errors
/// [`IdentifierError::Malformed`].
pub fn check_id(text: &str) -> Result<(), IdentifierError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._~:-".contains(&b);
    let first = text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    if first && text.len() <= IDENTIFIER_BYTES_MAX && text.bytes().all(allowed) {
        Ok(())
    } else {
        Err(IdentifierError::Malformed)
    }
}

/// Checks a SKU. Case matters and inner spaces occur in real catalogues (`BANK CHARGES`).
///
/// # Errors
/// [`IdentifierError::MalformedSku`].
pub fn check_sku(text: &str) -> Result<(), IdentifierError> {
    let fits = !text.is_empty() && text.len() <= IDENTIFIER_BYTES_MAX && text.trim() == text;
    if fits && !text.chars().any(char::is_control) { Ok(()) } else { Err(IdentifierError::MalformedSku) }
}

/// Checks a GTIN by its length and check digit (GS1 General Specifications, section 7.9).
///
/// # Errors
/// [`IdentifierError::MalformedBarcode`].
pub fn check_gtin(text: &str) -> Result<(), IdentifierError> {
    let right_length = matches!(text.len(), 8 | 12 | 13 | 14);
    if !right_length || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(IdentifierError::MalformedBarcode);
    }
    let sum: u32 = text
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, b)| u32::from(b - b'0') * if place % 2 == 1 { 3 } else { 1 })
        .sum();
    if sum.is_multiple_of(10) { Ok(()) } else { Err(IdentifierError::MalformedBarcode) }
}

/// Writes one part of a composite key so that no two different lists of parts give the same key.
pub struct KeyPart<'a>(pub &'a str);

impl fmt::Display for KeyPart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '#' => f.write_str("%23")?,
                '%' => f.write_str("%25")?,
                other => write!(f, "{other}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_skus_and_barcodes() {
        assert!(check_id("c-1").is_ok() && check_id("s-uk-1").is_ok());
        for bad in ["", "-x", "a b", "a#b", "a/b", &"x".repeat(65), "é"] {
            assert!(check_id(bad).is_err(), "{bad} was accepted");
        }
        assert!(check_sku("BANK CHARGES").is_ok() && check_sku("gift_0001_20").is_ok());
        assert!(check_sku(" x").is_err() && check_sku("a\nb").is_err() && check_sku("").is_err());
        assert!(check_gtin("4006381333931").is_ok() && check_gtin("96385074").is_ok());
        assert!(check_gtin("4006381333932").is_err() && check_gtin("123").is_err());
    }

    #[test]
    fn parts_cannot_run_into_each_other() {
        assert_eq!(format!("{}#{}", KeyPart("a#b"), KeyPart("c")), "a%23b#c");
        assert_ne!(KeyPart("a%23").to_string(), KeyPart("a#").to_string());
    }
}
