//! Money: integer minor units with an ISO 4217 currency, and unit prices with four decimals.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::quantity::Quantity;

/// Largest accepted amount, in minor units (10¹²), either sign.
pub const AMOUNT_MAX: i64 = 1_000_000_000_000;

/// Largest accepted unit price: 999,999.9999 major units, held in ten-thousandths.
pub const UNIT_PRICE_MAX: i64 = 9_999_999_999;

/// Ten-thousandths of a major unit in one major unit.
const UNIT_PRICE_SCALE: i64 = 10_000;

/// What can be wrong with a piece of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not three capital letters of a currency this build knows.
    #[error("a currency is an ISO 4217 code such as \"GBP\"")]
    UnknownCurrency,
    /// Two amounts of different currencies met.
    #[error("the currencies differ")]
    CurrencyMismatch,
    /// The result does not fit the accepted range.
    #[error("amounts go up to 1000000000000 minor units")]
    OutOfRange,
    /// Not a decimal string of the accepted form.
    #[error("a unit price is a decimal string from \"0\" to \"999999.9999\" with at most 4 decimals")]
    MalformedUnitPrice,
}

/// An ISO 4217 alphabetic currency code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// Currencies whose minor unit is not a hundredth (ISO 4217 list one, column "minor unit").
const MINOR_DIGITS: &[(&[u8; 3], u32)] = &[
    (b"BIF", 0),
    (b"CLP", 0),
    (b"DJF", 0),
    (b"GNF", 0),
    (b"ISK", 0),
    (b"JPY", 0),
    (b"KMF", 0),
    (b"KRW", 0),
    (b"PYG", 0),
    (b"RWF", 0),
    (b"UGX", 0),
    (b"VND", 0),
    (b"VUV", 0),
    (b"XAF", 0),
    (b"XOF", 0),
    (b"XPF", 0),
    (b"BHD", 3),
    (b"IQD", 3),
    (b"JOD", 3),
    (b"KWD", 3),
    (b"LYD", 3),
    (b"OMR", 3),
    (b"TND", 3),
];

impl Currency {
    /// Pound sterling.
    pub const GBP: Currency = Currency(*b"GBP");

    /// The code as text.
    pub fn code(&self) -> &str {
        // Construction admits only ASCII capitals, so this cannot be invalid UTF-8.
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }

    /// Digits after the decimal point of the minor unit: 2 for most, 0 for yen, 3 for dinars.
    pub fn minor_digits(&self) -> u32 {
        MINOR_DIGITS.iter().find(|(code, _)| **code == self.0).map_or(2, |(_, digits)| *digits)
    }
}

impl FromStr for Currency {
    type Err = MoneyError;
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        match text.as_bytes() {
            [a, b, c] if [a, b, c].iter().all(|l| l.is_ascii_uppercase()) => Ok(Currency([*a, *b, *c])),
            _ => Err(MoneyError::UnknownCurrency),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// An amount in minor units of one currency; may be negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Minor units (pence, cents).
    pub amount: i64,
    /// ISO 4217 code.
    pub currency: Currency,
}

impl Money {
    /// An amount within the accepted range.
    ///
    /// # Errors
    /// [`MoneyError::OutOfRange`] beyond ±10¹² minor units.
    pub fn new(amount: i64, currency: Currency) -> Result<Self, MoneyError> {
        if amount.unsigned_abs() > AMOUNT_MAX.unsigned_abs() {
            return Err(MoneyError::OutOfRange);
        }
        Ok(Money { amount, currency })
    }

    /// Nothing, in `currency`.
    pub fn zero(currency: Currency) -> Self {
        Money { amount: 0, currency }
    }
}

/// A price per piece or per unit of measure, in ten-thousandths of a major unit; never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnitPrice(i64);

impl UnitPrice {
    /// From ten-thousandths of a major unit.
    ///
    /// # Errors
    /// [`MoneyError::MalformedUnitPrice`] if negative or above [`UNIT_PRICE_MAX`].
    pub fn from_ten_thousandths(value: i64) -> Result<Self, MoneyError> {
        if (0..=UNIT_PRICE_MAX).contains(&value) {
            Ok(UnitPrice(value))
        } else {
            Err(MoneyError::MalformedUnitPrice)
        }
    }

    /// Ten-thousandths of a major unit.
    pub fn ten_thousandths(self) -> i64 {
        self.0
    }

    /// `quantity` × this price, rounded once, half away from zero, to the minor unit of `currency`.
    ///
    /// # Errors
    /// [`MoneyError::OutOfRange`] if the total is above 10¹² minor units.
    pub fn times(self, quantity: Quantity, currency: Currency) -> Result<i64, MoneyError> {
        let exact = i128::from(self.0) * i128::from(quantity.thousandths());
        // Thousandths × ten-thousandths = 10⁻⁷ of a major unit.
        let divisor = 10_i128.pow(7 - currency.minor_digits());
        let total = divide_rounding(exact, divisor);
        i64::try_from(total).ok().filter(|t| t.abs() <= AMOUNT_MAX).ok_or(MoneyError::OutOfRange)
    }

    /// What `quantity` more is worth after `before`: the rounded total of both less that of `before`, so
    /// that parts, however cut, add up to the rounded whole.
    ///
    /// # Errors
    /// [`MoneyError::OutOfRange`] as [`UnitPrice::times`], of both together.
    pub fn of_next(
        self,
        before: Quantity,
        quantity: Quantity,
        currency: Currency,
    ) -> Result<i64, MoneyError> {
        Ok(self.times(before.plus(quantity), currency)? - self.times(before, currency)?)
    }
}

/// The one rounding function: half away from zero. `divisor` is positive.
pub fn divide_rounding(value: i128, divisor: i128) -> i128 {
    let half = divisor / 2;
    if value >= 0 { (value + half) / divisor } else { (value - half) / divisor }
}

impl FromStr for UnitPrice {
    type Err = MoneyError;
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        parse_decimal(text, 4).ok_or(MoneyError::MalformedUnitPrice).and_then(UnitPrice::from_ten_thousandths)
    }
}

impl fmt::Display for UnitPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_decimal(self.0, 4, 2))
    }
}

impl Serialize for UnitPrice {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for UnitPrice {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
            text.parse().map_err(serde::de::Error::custom)
        } else {
            let value = i64::deserialize(deserializer)?;
            UnitPrice::from_ten_thousandths(value).map_err(serde::de::Error::custom)
        }
    }
}

/// Parses a plain non-negative decimal (`12`, `0.5`, `3.0075`) to an integer of `digits` decimals.
/// No sign, exponent, leading or trailing dot; `None` for anything else.
pub(crate) fn parse_decimal(text: &str, digits: u32) -> Option<i64> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return None,
        None => (text, ""),
    };
    let digits = usize::try_from(digits).ok()?;
    let plain = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 12 || fraction.len() > digits || !plain(whole) || !plain(fraction) {
        return None;
    }
    let mut value: i64 = whole.parse().ok()?;
    for position in 0..digits {
        let digit = fraction.as_bytes().get(position).map_or(0, |b| i64::from(b - b'0'));
        value = value.checked_mul(10)?.checked_add(digit)?;
    }
    Some(value)
}

/// Formats an integer of `digits` decimals, dropping trailing zeros down to `keep` decimals.
pub fn format_decimal(value: i64, digits: u32, keep: usize) -> String {
    let scale = 10_i64.pow(digits);
    let sign = if value < 0 { "-" } else { "" };
    let (whole, fraction) =
        (value.unsigned_abs() / scale.unsigned_abs(), value.unsigned_abs() % scale.unsigned_abs());
    let width = usize::try_from(digits).unwrap_or(0);
    let mut text = format!("{fraction:0width$}");
    while text.len() > keep && text.ends_with('0') {
        text.pop();
    }
    if text.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{text}") }
}

/// Scale of [`UnitPrice`], for those who convert from other decimals.
pub const fn unit_price_scale() -> i64 {
    UNIT_PRICE_SCALE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(price: &str, thousandths: i64) -> i64 {
        let quantity = Quantity::from_thousandths(thousandths).unwrap();
        price.parse::<UnitPrice>().unwrap().times(quantity, Currency::GBP).unwrap()
    }

    #[test]
    fn a_line_rounds_once_half_away_from_zero() {
        assert_eq!(line("2.55", 6_000), 1_530);
        assert_eq!(line("0.0075", 1_000), 1);
        assert_eq!(line("0.005", 1_000), 1);
        assert_eq!(line("0.0049", 1_000), 0);
        assert_eq!(line("3.99", 482), 192);
        assert_eq!(divide_rounding(-25, 10), -3);
        assert_eq!(divide_rounding(25, 10), 3);
        assert_eq!(divide_rounding(-24, 10), -2);
    }

    #[test]
    fn minor_units_differ_by_currency() {
        let price: UnitPrice = "12.5".parse().unwrap();
        let two = Quantity::from_thousandths(2_000).unwrap();
        assert_eq!(price.times(two, "JPY".parse().unwrap()).unwrap(), 25);
        assert_eq!(price.times(two, "KWD".parse().unwrap()).unwrap(), 25_000);
    }

    #[test]
    fn unit_prices_outside_the_form_are_refused() {
        for bad in ["", "-1", "1.23456", "1.", ".5", "1e3", "1000000", " 1", "1 ", "1,5", "٣", "+1"] {
            assert!(bad.parse::<UnitPrice>().is_err(), "{bad} was accepted");
        }
        assert_eq!("999999.9999".parse::<UnitPrice>().unwrap().ten_thousandths(), UNIT_PRICE_MAX);
        assert_eq!("1.5".parse::<UnitPrice>().unwrap().to_string(), "1.50");
        assert_eq!("0.0075".parse::<UnitPrice>().unwrap().to_string(), "0.0075");
    }

    #[test]
    fn a_total_above_the_limit_is_refused() {
        let price = UnitPrice::from_ten_thousandths(UNIT_PRICE_MAX).unwrap();
        let most = Quantity::from_thousandths(crate::quantity::QUANTITY_MAX_THOUSANDTHS).unwrap();
        assert_eq!(price.times(most, Currency::GBP), Err(MoneyError::OutOfRange));
    }

    #[test]
    fn currencies_are_three_capitals() {
        let pound: Currency = "GBP".parse().unwrap();
        assert_eq!((pound.to_string(), format!("{pound:?}")), ("GBP".to_owned(), "GBP".to_owned()));
        for text in ["gbp", "GB", "GBPX", "G1P", "\u{a3}", ""] {
            assert_eq!(text.parse::<Currency>(), Err(MoneyError::UnknownCurrency), "{text}");
        }
    }

    #[test]
    fn decimals_are_plain_and_bounded() {
        for (text, expected) in [
            ("0", Some(0)),
            ("12", Some(120_000)),
            ("0.5", Some(5_000)),
            ("3.0075", Some(30_075)),
            ("999999999999", Some(9_999_999_999_990_000)),
            ("1000000000000", None),
            ("3.00751", None),
            ("", None),
            (".5", None),
            ("5.", None),
            ("+5", None),
            ("-5", None),
            ("5e2", None),
            ("1.2.3", None),
        ] {
            assert_eq!(parse_decimal(text, 4), expected, "{text:?}");
        }
    }
}
