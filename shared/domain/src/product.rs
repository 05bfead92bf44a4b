//! Products and the prices they are sold at.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::money::{Currency, UnitPrice};
use crate::quantity::Unit;

/// A product of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Stock keeping unit, unique in the tenant; case matters.
    pub sku: String,
    /// What people call it.
    pub name: String,
    /// Price per unit where no price book entry is valid.
    pub unit_price: UnitPrice,
    /// Currency of that price.
    pub currency: Currency,
    /// Whether stock of it is kept.
    pub stocked: bool,
    /// How it is sold.
    pub unit: Unit,
    /// Category, for reports and filters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// GTINs that stand for it.
    #[serde(default)]
    pub barcodes: Vec<String>,
    /// Free attributes (size, colour, heat).
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Version of the feed line that wrote it last, or the count of its changes by API.
    #[serde(default)]
    pub version: u64,
}

/// One entry of the price book: a price for a SKU, for one location or all, for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceEntry {
    /// Id of the entry in the feed.
    pub id: String,
    /// Version of the feed line that wrote it.
    pub version: u64,
    /// Price per unit.
    pub unit_price: UnitPrice,
    /// Currency of the price.
    pub currency: Currency,
    /// The location it is for; all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location_id: Option<String>,
    /// First instant it is valid; always where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Timestamp>,
    /// First instant it is no longer valid; never where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_to: Option<Timestamp>,
}

impl PriceEntry {
    fn applies(&self, location_id: &str, currency: Currency, at: Timestamp) -> bool {
        self.currency == currency
            && self.location_id.as_deref().is_none_or(|l| l == location_id)
            && self.valid_from.is_none_or(|from| from <= at)
            && self.valid_to.is_none_or(|to| at < to)
    }
}

/// The price of a product at a location and a time: a location's own entry before a general one, among
/// those the one that began last, among those the last id; else the product's own price. `None` when
/// no price is in `currency`: an unpriced product is refused, never sold at 0.
pub fn price_at(
    product: &Product,
    entries: &[PriceEntry],
    location_id: &str,
    currency: Currency,
    at: Timestamp,
) -> Option<UnitPrice> {
    entries
        .iter()
        .filter(|entry| entry.applies(location_id, currency, at))
        .max_by(|a, b| {
            (a.location_id.is_some(), a.valid_from, &a.id).cmp(&(
                b.location_id.is_some(),
                b.valid_from,
                &b.id,
            ))
        })
        .map(|entry| entry.unit_price)
        .or_else(|| (product.currency == currency).then_some(product.unit_price))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_particular_valid_price_wins() {
        let price = |text: &str| text.parse::<UnitPrice>().unwrap();
        let product = Product {
            sku: "A".into(),
            name: "A".into(),
            unit_price: price("10"),
            currency: Currency::GBP,
            stocked: true,
            unit: Unit::Piece,
            category: None,
            barcodes: vec![],
            attributes: BTreeMap::new(),
            version: 1,
        };
        let entry =
            |id: &str, p: &str, location: Option<&str>, from: Option<&str>, to: Option<&str>| PriceEntry {
                id: id.into(),
                version: 1,
                unit_price: price(p),
                currency: Currency::GBP,
                location_id: location.map(Into::into),
                valid_from: from.map(|t| t.parse().unwrap()),
                valid_to: to.map(|t| t.parse().unwrap()),
            };
        let book = [
            entry("summer", "8", None, Some("2011-06-01T00:00:00Z"), Some("2011-09-01T00:00:00Z")),
            entry("general", "9", None, None, None),
            entry("leeds", "7", Some("s-leeds"), None, None),
        ];
        let at = |t: &str| t.parse::<Timestamp>().unwrap();
        let of = |store: &str, t: &str| price_at(&product, &book, store, Currency::GBP, at(t)).unwrap();
        assert_eq!(of("s-uk", "2011-06-01T00:00:00Z"), price("8"));
        assert_eq!(of("s-uk", "2011-09-01T00:00:00Z"), price("9"));
        assert_eq!(of("s-leeds", "2011-07-01T00:00:00Z"), price("7"));
        assert_eq!(
            price_at(&product, &[], "s-uk", Currency::GBP, at("2011-01-01T00:00:00Z")),
            Some(price("10"))
        );
        assert_eq!(price_at(&product, &[], "s-uk", "EUR".parse().unwrap(), at("2011-01-01T00:00:00Z")), None);
    }
}
