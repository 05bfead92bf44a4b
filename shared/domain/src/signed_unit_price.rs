//! What a modifier adds to a price per unit, or takes off it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::money::{UNIT_PRICE_MAX, UnitPrice, format_decimal, parse_decimal};

/// Not a signed unit price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is a decimal string from \"-999999.9999\" to \"999999.9999\" with at most 4 decimals")]
pub struct SignedUnitPriceError;

/// A difference of unit prices, in ten-thousandths of a major unit; negative takes off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SignedUnitPrice(i64);

impl SignedUnitPrice {
    /// From ten-thousandths of a major unit.
    ///
    /// # Errors
    /// [`SignedUnitPriceError`] beyond ±[`UNIT_PRICE_MAX`].
    pub fn from_ten_thousandths(value: i64) -> Result<Self, SignedUnitPriceError> {
        if value.unsigned_abs() <= UNIT_PRICE_MAX.unsigned_abs() {
            Ok(SignedUnitPrice(value))
        } else {
            Err(SignedUnitPriceError)
        }
    }

    /// Ten-thousandths of a major unit.
    pub fn ten_thousandths(self) -> i64 {
        self.0
    }

    /// `price` with this; nothing where that is below zero or above what a unit price may be.
    pub fn on(self, price: UnitPrice) -> Option<UnitPrice> {
        UnitPrice::from_ten_thousandths(price.ten_thousandths() + self.0).ok()
    }
}

impl FromStr for SignedUnitPrice {
    type Err = SignedUnitPriceError;
    fn from_str(text: &str) -> Result<Self, SignedUnitPriceError> {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, text),
        };
        let value = parse_decimal(digits, 4).ok_or(SignedUnitPriceError)?;
        SignedUnitPrice::from_ten_thousandths(sign * value)
    }
}

impl fmt::Display for SignedUnitPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_decimal(self.0, 4, 2))
    }
}

impl Serialize for SignedUnitPrice {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SignedUnitPrice {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_and_a_plain_decimal() {
        for (text, expected) in [
            ("0.50", Some(5_000)),
            ("-0.5", Some(-5_000)),
            ("-0.0001", Some(-1)),
            ("999999.9999", Some(UNIT_PRICE_MAX)),
            ("-999999.9999", Some(-UNIT_PRICE_MAX)),
            ("0", Some(0)),
            ("-0", Some(0)),
            ("1000000", None),
            ("-1000000", None),
            ("--1", None),
            ("+1", None),
            ("- 1", None),
            ("-", None),
            ("", None),
            ("1.00001", None),
            ("1e1", None),
        ] {
            let read = text.parse::<SignedUnitPrice>().ok().map(SignedUnitPrice::ten_thousandths);
            assert_eq!(read, expected, "{text:?}");
        }
        let written = serde_json::to_string(&"-0.5".parse::<SignedUnitPrice>().unwrap()).unwrap();
        assert_eq!(written, r#""-0.50""#);
        assert_eq!(serde_json::from_str::<SignedUnitPrice>(&written).unwrap().ten_thousandths(), -5_000);
    }

    #[test]
    fn a_price_stays_within_its_bounds() {
        let price: UnitPrice = "2.00".parse().unwrap();
        let with = |text: &str| text.parse::<SignedUnitPrice>().unwrap().on(price).map(|p| p.to_string());
        assert_eq!(with("-2.00").as_deref(), Some("0.00"));
        assert_eq!(with("0.75").as_deref(), Some("2.75"));
        assert_eq!(with("-2.0001"), None);
        assert_eq!(with("999999.9999"), None);
    }
}
