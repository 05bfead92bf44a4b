//! Products and the prices they are sold at.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::kit::KitComponent;
use crate::money::{Currency, UnitPrice};
use crate::pricing::MODIFIERS_PER_LINE_MAX;
use crate::quantity::Unit;
use crate::signed_unit_price::SignedUnitPrice;

/// Most modifiers of a product: what a line may have of them.
pub const MODIFIERS_MAX: usize = MODIFIERS_PER_LINE_MAX;

fn yes() -> bool {
    true
}

fn is_yes(flag: &bool) -> bool {
    *flag
}

fn is_no(flag: &bool) -> bool {
    !*flag
}

/// Something to choose with a product that changes its price (a larger size, oat milk).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductModifier {
    /// Its id, unique in the product.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it adds to the price per unit, in the product's currency; negative takes off, at most the
    /// product's own price.
    pub unit_price: SignedUnitPrice,
}

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
    /// What tax rules know it as (`standard`, `food`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_category: Option<String>,
    /// Whether it bears no tax at all.
    #[serde(default, skip_serializing_if = "is_no")]
    pub tax_exempt: bool,
    /// Whether it may be discounted. What may not (gift cards, deposits) is money in another form.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub discountable: bool,
    /// What may be chosen with it; at most [`MODIFIERS_MAX`], each id once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modifiers: Vec<ProductModifier>,
    /// What it is made of, if it is a kit; at most [`crate::kit::COMPONENTS_MAX`], each SKU once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<KitComponent>,
    /// SKU of the product that this is a variant of (the shirt, of which this is the red one in M).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant_of: Option<String>,
    /// Whether it is sold by itself; what is not has variants to choose from.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub sellable: bool,
    /// Whether its stock is kept by lots: then whoever receives it may name one.
    #[serde(default, skip_serializing_if = "is_no")]
    pub lots: bool,
    /// Version of the feed line that wrote it last, or the count of its changes by API.
    #[serde(default)]
    pub version: u64,
}

impl Product {
    /// Whether it is a kit: then it has no stock of its own.
    pub fn is_kit(&self) -> bool {
        !self.components.is_empty()
    }
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
    /// The customer segment it is for; all customers where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<String>,
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

/// The most particular of `entries`: a location's own before a general one, among those the one that began
/// last, among those the last id.
fn most_particular<'a>(entries: impl Iterator<Item = &'a PriceEntry>) -> Option<&'a PriceEntry> {
    entries.max_by_key(|entry| (entry.location_id.is_some(), entry.valid_from, entry.id.as_str()))
}

/// The price of a product at a location and a time, for a customer of whom nothing is known: a location's
/// own entry before a general one, among those the one that began last, among those the last id; else the
/// product's own price. `None` when no price is in `currency`: an unpriced product is refused, never sold
/// at 0. Prices for segments are [`segment_prices_at`].
pub fn price_at(
    product: &Product,
    entries: &[PriceEntry],
    location_id: &str,
    currency: Currency,
    at: Timestamp,
) -> Option<UnitPrice> {
    let for_all = entries.iter().filter(|entry| entry.segment.is_none());
    most_particular(for_all.filter(|entry| entry.applies(location_id, currency, at)))
        .map(|entry| entry.unit_price)
        .or_else(|| (product.currency == currency).then_some(product.unit_price))
}

/// For each segment that has prices of its own at a location and a time the one that holds, chosen in the
/// order of [`price_at`]; by segment.
pub fn segment_prices_at(
    entries: &[PriceEntry],
    location_id: &str,
    currency: Currency,
    at: Timestamp,
) -> Vec<(String, UnitPrice)> {
    let mut by_segment: BTreeMap<&str, Vec<&PriceEntry>> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.applies(location_id, currency, at)) {
        if let Some(segment) = &entry.segment {
            by_segment.entry(segment).or_default().push(entry);
        }
    }
    let price = |entries: Vec<&PriceEntry>| Some(most_particular(entries.into_iter())?.unit_price);
    by_segment
        .into_iter()
        .filter_map(|(segment, entries)| Some((segment.to_owned(), price(entries)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantity::QuantityInput;

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
            tax_category: None,
            tax_exempt: false,
            discountable: true,
            modifiers: vec![],
            components: vec![],
            variant_of: None,
            sellable: true,
            lots: false,
            version: 1,
        };
        let entry =
            |id: &str, p: &str, location: Option<&str>, from: Option<&str>, to: Option<&str>| PriceEntry {
                id: id.into(),
                version: 1,
                unit_price: price(p),
                currency: Currency::GBP,
                location_id: location.map(Into::into),
                segment: None,
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

    #[test]
    fn a_segment_has_prices_of_its_own() {
        let price = |text: &str| text.parse::<UnitPrice>().unwrap();
        let entry = |id: &str, p: &str, location: Option<&str>, segment: Option<&str>, from: Option<&str>| {
            PriceEntry {
                id: id.into(),
                version: 1,
                unit_price: price(p),
                currency: Currency::GBP,
                location_id: location.map(Into::into),
                segment: segment.map(Into::into),
                valid_from: from.map(|t| t.parse().unwrap()),
                valid_to: None,
            }
        };
        let book = [
            entry("general", "9", None, None, None),
            entry("gold", "5", None, Some("gold"), None),
            entry("gold-leeds", "6", Some("s-leeds"), Some("gold"), None),
            entry("staff-old", "4", None, Some("staff"), Some("2011-01-01T00:00:00Z")),
            entry("staff-new", "4.5", None, Some("staff"), Some("2011-06-01T00:00:00Z")),
            entry("staff-newer", "4.6", None, Some("staff"), Some("2011-06-01T00:00:00Z")),
        ];
        let product: Product = serde_json::from_str(
            r#"{"sku":"A","name":"A","unit_price":"10","currency":"GBP","stocked":true,"unit":"piece"}"#,
        )
        .unwrap();
        let at = |t: &str| t.parse::<Timestamp>().unwrap();
        let of = |store: &str, t: &str| segment_prices_at(&book, store, Currency::GBP, at(t));
        let pair = |segment: &str, p: &str| (segment.to_owned(), price(p));
        assert_eq!(of("s-uk", "2011-02-01T00:00:00Z"), [pair("gold", "5"), pair("staff", "4")]);
        assert_eq!(of("s-leeds", "2011-07-01T00:00:00Z"), [pair("gold", "6"), pair("staff", "4.6")]);
        assert_eq!(of("s-uk", "2010-12-01T00:00:00Z"), [pair("gold", "5")]);
        let euro = "EUR".parse().unwrap();
        assert_eq!(segment_prices_at(&book, "s-uk", euro, at("2011-02-01T00:00:00Z")), []);
        // What is for a segment is no price for all.
        let everyone = price_at(&product, &book, "s-leeds", Currency::GBP, at("2011-07-01T00:00:00Z"));
        assert_eq!(everyone, Some(price("9")));
    }

    #[test]
    fn products_stored_before_are_read_and_written_as_they_were() {
        let stored = r#"{"sku":"A","name":"A","unit_price":"10.00","currency":"GBP","stocked":true,"unit":"piece","barcodes":[],"attributes":{},"version":3}"#;
        let product: Product = serde_json::from_str(stored).unwrap();
        assert!(product.discountable && !product.tax_exempt && product.modifiers.is_empty());
        assert_eq!(serde_json::to_string(&product).unwrap(), stored);
        assert!(!product.is_kit() && product.variant_of.is_none() && product.sellable);
        let components = vec![KitComponent { sku: "B".into(), quantity: QuantityInput::Whole(2) }];
        let kit = Product { components, variant_of: Some("C".into()), sellable: false, ..product.clone() };
        assert_eq!(serde_json::from_str::<Product>(&serde_json::to_string(&kit).unwrap()).unwrap(), kit);
        let special = Product { discountable: false, tax_exempt: true, ..product };
        let again: Product = serde_json::from_str(&serde_json::to_string(&special).unwrap()).unwrap();
        assert_eq!(again, special);
    }
}
