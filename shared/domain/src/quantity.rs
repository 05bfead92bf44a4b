//! Quantities: thousandths inside, whole pieces or decimal strings outside.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::money::{format_decimal, parse_decimal};

/// Largest accepted quantity: 1,000,000 units, held in thousandths.
pub const QUANTITY_MAX_THOUSANDTHS: i64 = 1_000_000_000;

/// What can be wrong with a quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Beyond ±1,000,000.
    #[error("quantities go up to 1000000")]
    OutOfRange,
    /// Zero or below where only more makes sense.
    #[error("the quantity must be above zero")]
    NotPositive,
    /// A product sold by the piece was given a fraction or a string.
    #[error("a product sold by the piece takes a whole number, such as 2")]
    NotWhole,
    /// A product sold by measure was given something else than a decimal string.
    #[error("a product sold by kg, m or l takes a decimal string with at most 3 decimals, such as \"0.482\"")]
    NotMeasured,
}

/// How a product is sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// By the piece: quantities are whole.
    #[default]
    Piece,
    /// By weight, in kilograms.
    Kg,
    /// By length, in metres.
    M,
    /// By volume, in litres.
    L,
}

impl Unit {
    /// Its name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Piece => "piece",
            Unit::Kg => "kg",
            Unit::M => "m",
            Unit::L => "l",
        }
    }

    /// From its name.
    pub fn parse(name: &str) -> Option<Unit> {
        [Unit::Piece, Unit::Kg, Unit::M, Unit::L].into_iter().find(|unit| unit.name() == name)
    }
}

/// A quantity in thousandths of the product's unit; may be negative in a movement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quantity(i64);

impl Quantity {
    /// None at all.
    pub const ZERO: Quantity = Quantity(0);

    /// From thousandths.
    ///
    /// # Errors
    /// [`QuantityError::OutOfRange`] beyond ±1,000,000 units.
    pub fn from_thousandths(value: i64) -> Result<Self, QuantityError> {
        if value.unsigned_abs() > QUANTITY_MAX_THOUSANDTHS.unsigned_abs() {
            return Err(QuantityError::OutOfRange);
        }
        Ok(Quantity(value))
    }

    /// From whole pieces.
    ///
    /// # Errors
    /// [`QuantityError::OutOfRange`] beyond ±1,000,000 pieces.
    pub fn from_pieces(pieces: i64) -> Result<Self, QuantityError> {
        pieces.checked_mul(1_000).ok_or(QuantityError::OutOfRange).and_then(Quantity::from_thousandths)
    }

    /// A counter or a sum of quantities, in thousandths; unlike one quantity it is not bounded.
    pub fn of_counter(thousandths: i64) -> Self {
        Quantity(thousandths)
    }

    /// Thousandths of the unit.
    pub fn thousandths(self) -> i64 {
        self.0
    }

    /// This quantity if it is above zero.
    ///
    /// # Errors
    /// [`QuantityError::NotPositive`] otherwise.
    pub fn positive(self) -> Result<Self, QuantityError> {
        if self.0 > 0 { Ok(self) } else { Err(QuantityError::NotPositive) }
    }

    /// The sum, unbounded as counters are.
    pub fn plus(self, other: Quantity) -> Quantity {
        Quantity(self.0.saturating_add(other.0))
    }

    /// The difference, unbounded as counters are.
    pub fn minus(self, other: Quantity) -> Quantity {
        Quantity(self.0.saturating_sub(other.0))
    }

    /// As a client reads it: `6` by the piece, `"0.482"` by measure.
    pub fn display(self, unit: Unit) -> QuantityInput {
        match unit {
            Unit::Piece if self.0 % 1_000 == 0 => QuantityInput::Whole(self.0 / 1_000),
            _ => QuantityInput::Decimal(format_decimal(self.0, 3, 0)),
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_decimal(self.0, 3, 0))
    }
}

/// A quantity as it stands in JSON: a whole number by the piece, a decimal string by measure.
/// What it means depends on the product's unit, so it is kept as sent until the product is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum QuantityInput {
    /// A JSON integer.
    Whole(i64),
    /// A JSON string.
    Decimal(String),
}

/// By hand, since what serde says of an untagged enum ("did not match any variant") helps nobody.
impl<'de> Deserialize<'de> for QuantityInput {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = QuantityInput;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a whole number (by the piece) or a decimal string such as \"0.482\" (by measure)",
                )
            }

            fn visit_i64<E>(self, value: i64) -> Result<QuantityInput, E> {
                Ok(QuantityInput::Whole(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<QuantityInput, E> {
                // What does not fit is far above the limit, and is refused as such once resolved.
                Ok(QuantityInput::Whole(i64::try_from(value).unwrap_or(i64::MAX)))
            }

            fn visit_str<E>(self, value: &str) -> Result<QuantityInput, E> {
                Ok(QuantityInput::Decimal(value.to_owned()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl QuantityInput {
    /// The quantity for a product sold by `unit`, of either sign.
    ///
    /// # Errors
    /// [`QuantityError`] saying what form this unit takes, or that it is out of range.
    pub fn resolve(&self, unit: Unit) -> Result<Quantity, QuantityError> {
        match (unit, self) {
            (Unit::Piece, QuantityInput::Whole(pieces)) => Quantity::from_pieces(*pieces),
            (Unit::Piece, QuantityInput::Decimal(_)) => Err(QuantityError::NotWhole),
            (_, QuantityInput::Whole(_)) => Err(QuantityError::NotMeasured),
            (_, QuantityInput::Decimal(text)) => {
                let (negative, digits) = match text.strip_prefix('-') {
                    Some(rest) => (true, rest),
                    None => (false, text.as_str()),
                };
                let value = parse_decimal(digits, 3).ok_or(QuantityError::NotMeasured)?;
                Quantity::from_thousandths(if negative { -value } else { value })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_follows_the_unit() {
        assert_eq!(QuantityInput::Whole(6).resolve(Unit::Piece).unwrap().thousandths(), 6_000);
        assert_eq!(QuantityInput::Decimal("0.482".into()).resolve(Unit::Kg).unwrap().thousandths(), 482);
        assert_eq!(QuantityInput::Decimal("2".into()).resolve(Unit::Piece), Err(QuantityError::NotWhole));
        assert_eq!(QuantityInput::Whole(2).resolve(Unit::Kg), Err(QuantityError::NotMeasured));
        assert_eq!(
            QuantityInput::Whole(1_000_000_000_000).resolve(Unit::Piece),
            Err(QuantityError::OutOfRange)
        );
        assert!(QuantityInput::Decimal("0.4821".into()).resolve(Unit::L).is_err());
        assert!(QuantityInput::Decimal("1e2".into()).resolve(Unit::L).is_err());
    }

    #[test]
    fn quantities_and_units_are_told_as_they_are() {
        for unit in [Unit::Piece, Unit::Kg, Unit::M, Unit::L] {
            assert_eq!(Unit::parse(unit.name()), Some(unit));
        }
        assert_eq!(Unit::parse("stone"), None);
        let of = |thousandths| Quantity::from_thousandths(thousandths).unwrap();
        assert_eq!(
            [of(6_000).to_string(), of(482).to_string(), of(-1_500).to_string()],
            ["6", "0.482", "-1.5"]
        );
        assert_eq!(of(6_000).display(Unit::Piece), QuantityInput::Whole(6));
        // A counter of pieces that was damaged is shown as it is, not cut.
        assert_eq!(of(6_500).display(Unit::Piece), QuantityInput::Decimal("6.5".to_owned()));
        assert_eq!(of(6_000).display(Unit::Kg), QuantityInput::Decimal("6".to_owned()));
        let refused = serde_json::from_str::<QuantityInput>("true").unwrap_err().to_string();
        assert!(refused.contains("a decimal string such as"), "{refused}");
    }
}
