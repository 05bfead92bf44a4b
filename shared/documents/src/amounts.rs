//! The fixed forms of amounts and rates. No locale changes them, so that they can be searched for.

use tillstream_domain::money::{Currency, format_decimal};

/// An amount with the decimals of its currency: `10.99`, in yen `1099`, in dinars `1.099`.
pub(crate) fn amount(minor_units: i64, currency: Currency) -> String {
    let digits = currency.minor_digits();
    format_decimal(minor_units, digits, usize::try_from(digits).unwrap_or(2))
}

/// The same with its currency: `GBP 10.99`.
pub(crate) fn money(minor_units: i64, currency: Currency) -> String {
    format!("{currency} {}", amount(minor_units, currency))
}

/// A rate given in hundredths of a percent: `20%`, `8.25%`.
pub(crate) fn rate(hundredths_of_percent: i64) -> String {
    format!("{}%", format_decimal(hundredths_of_percent, 2, 0))
}

/// A name on the wire as people write it: `gift_card` is `Gift card`.
pub(crate) fn label(name: &str) -> String {
    let spaced = name.replace('_', " ");
    let mut letters = spaced.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_decimals_of_their_currency() {
        let of = |minor_units, code: &str| money(minor_units, code.parse().unwrap());
        assert_eq!(of(1_099, "GBP"), "GBP 10.99");
        assert_eq!(of(-5, "GBP"), "GBP -0.05");
        assert_eq!(of(0, "EUR"), "EUR 0.00");
        assert_eq!(of(1_099, "JPY"), "JPY 1099");
        assert_eq!(of(1_099, "KWD"), "KWD 1.099");
        assert_eq!(of(i64::MIN, "GBP"), "GBP -92233720368547758.08");
    }

    #[test]
    fn rates_and_labels_read_as_people_write_them() {
        assert_eq!([rate(2_000), rate(825), rate(0), rate(5)], ["20%", "8.25%", "0%", "0.05%"]);
        assert_eq!([label("gift_card"), label("cash"), label("")], ["Gift card", "Cash", ""]);
    }
}
