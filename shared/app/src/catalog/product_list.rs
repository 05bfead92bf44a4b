//! Lists of products: by category, by the beginning of the name, by barcode, by attribute, by what they are
//! variants of.

use std::collections::BTreeMap;

use tillstream_domain::identifier::{check_gtin, check_sku};
use tillstream_domain::product::Product;

use crate::cursor::{PagedQuery, limit};
use crate::database::{Index, Range};
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::tenancy::TenantScope;

use super::barcodes::sku_of_barcode;
use super::index_walk::{IndexWalk, Page};
use super::items::{catalog_get, product_if_any};
use super::product_rules::{
    ATTRIBUTE_NAME_CHARACTERS_MAX, ATTRIBUTE_VALUE_CHARACTERS_MAX, CATEGORY_CHARACTERS_MAX,
    NAME_CHARACTERS_MAX,
};

/// Most attributes one list filters by.
pub const ATTRIBUTE_FILTERS_MAX: usize = 10;

/// Which products; all conditions hold together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProductFilter {
    /// Of this category.
    pub category: Option<String>,
    /// Whose name begins so, whatever the case.
    pub name_prefix: Option<String>,
    /// For which this GTIN stands.
    pub barcode: Option<String>,
    /// Variants of the product with this SKU.
    pub variant_of: Option<String>,
    /// With these attributes.
    pub attributes: BTreeMap<String, String>,
}

impl ProductFilter {
    /// Reads query parameters: `category`, `q`, `barcode`, `variant_of`, `attr.<name>`; answers the rest too: `limit`
    /// and `cursor`.
    ///
    /// # Errors
    /// 422 `query_invalid` for a parameter that is unknown, repeated or out of bounds.
    pub fn from_query(parameters: Vec<(String, String)>) -> Result<(Self, Option<u32>, Option<String>)> {
        let invalid = |field: &str, message: &str| Refusal::field(field, "query_invalid", message);
        let mut filter = ProductFilter::default();
        let mut rest = BTreeMap::new();
        for (name, value) in parameters {
            let before = match name.as_str() {
                "category" => filter.category.replace(value),
                "q" => filter.name_prefix.replace(value),
                "barcode" => filter.barcode.replace(value),
                "variant_of" => filter.variant_of.replace(value),
                "limit" | "cursor" => rest.insert(name.clone(), value),
                other => match other.strip_prefix("attr.") {
                    Some(attribute) => filter.attributes.insert(attribute.to_owned(), value),
                    None => {
                        let message = "there is no such parameter; there are category, q, barcode, \
                                       variant_of, attr.<name>, limit and cursor";
                        return Err(invalid(other, message).into());
                    }
                },
            };
            if before.is_some() {
                return Err(invalid(&name, "the parameter stands there twice").into());
            }
        }
        filter.check()?;
        let limit = match rest.get("limit") {
            Some(text) => {
                Some(text.parse().map_err(|_| invalid("limit", "limit is a whole number from 1 to 200"))?)
            }
            None => None,
        };
        Ok((filter, limit, rest.remove("cursor")))
    }

    fn check(&self) -> Result<()> {
        let bounded = |text: &str, max: usize| !text.is_empty() && text.chars().count() <= max;
        let refuse = |field: &str, message: &str| Err(Refusal::field(field, "query_invalid", message).into());
        if self.category.as_deref().is_some_and(|text| !bounded(text, CATEGORY_CHARACTERS_MAX)) {
            return refuse("category", "a category is 1 to 64 characters");
        }
        if self.name_prefix.as_deref().is_some_and(|text| !bounded(text, NAME_CHARACTERS_MAX)) {
            return refuse("q", "q is the beginning of a name, 1 to 200 characters");
        }
        if self.barcode.as_deref().is_some_and(|text| check_gtin(text).is_err()) {
            return refuse(
                "barcode",
                "a barcode is a GTIN of 8, 12, 13 or 14 digits with a correct check digit",
            );
        }
        if self.variant_of.as_deref().is_some_and(|text| check_sku(text).is_err()) {
            return refuse("variant_of", "variant_of is a SKU: 1 to 64 bytes of printable text");
        }
        if self.attributes.len() > ATTRIBUTE_FILTERS_MAX {
            return refuse("attr", "at most 10 attributes filter a list");
        }
        let fits = |(name, value): (&String, &String)| {
            bounded(name, ATTRIBUTE_NAME_CHARACTERS_MAX) && bounded(value, ATTRIBUTE_VALUE_CHARACTERS_MAX)
        };
        if !self.attributes.iter().all(fits) {
            return refuse("attr", "attr.<name>=<value>: a name of 1 to 64, a value of 1 to 256 characters");
        }
        Ok(())
    }

    fn admits(&self, product: &Product) -> bool {
        self.category.as_ref().is_none_or(|wanted| product.category.as_ref() == Some(wanted))
            && self
                .name_prefix
                .as_ref()
                .is_none_or(|prefix| product.name.to_lowercase().starts_with(&prefix.to_lowercase()))
            && self.variant_of.as_ref().is_none_or(|wanted| product.variant_of.as_ref() == Some(wanted))
            && self.barcode.as_ref().is_none_or(|wanted| product.barcodes.contains(wanted))
            && self.attributes.iter().all(|(name, value)| product.attributes.get(name) == Some(value))
    }

    fn identity(&self) -> Vec<&str> {
        // A mark in front of each, so that no filter reads as another.
        let mut parts = Vec::new();
        let marked =
            [("c", &self.category), ("q", &self.name_prefix), ("b", &self.barcode), ("v", &self.variant_of)];
        for (mark, part) in marked {
            parts.extend(part.as_deref().map(|part| [mark, part]).into_iter().flatten());
        }
        for (name, value) in &self.attributes {
            parts.extend(["a", name, value]);
        }
        parts
    }
}

/// A page of products, in the order of the index that fits the filter best: by name where the list
/// asks for a beginning and not for variants, else by SKU.
///
/// # Errors
/// 422 `limit_out_of_range`; 400 `cursor_malformed`; [`Error::Retryable`].
pub async fn list(
    ports: &Ports,
    scope: &TenantScope,
    filter: &ProductFilter,
    asked: Option<u32>,
    cursor: Option<&str>,
) -> Result<Page<Product>> {
    let limit = limit(asked)?;
    let paged = PagedQuery::new(scope, "products", filter.identity());
    if let Some(gtin) = &filter.barcode {
        // One product at most, so no cursor was ever given for it.
        cursor.map(|cursor| paged.position(cursor)).transpose()?;
        return by_barcode(ports, scope, filter, gtin).await;
    }
    let (index, partition, range) = match (&filter.variant_of, &filter.name_prefix, &filter.category) {
        (Some(parent), _, _) => (Index::ByVariant, scope.variants_of(parent), Range::All),
        (None, Some(prefix), _) => {
            (Index::ByName, scope.product_names(), Range::BeginsWith(prefix.to_lowercase()))
        }
        (None, None, Some(category)) => (Index::ByCategory, scope.category(category), Range::All),
        (None, None, None) => (Index::ByList, scope.list_of("products"), Range::All),
    };
    let walk = IndexWalk {
        scope,
        kind: "product",
        key_of: TenantScope::product,
        index,
        partition,
        range,
        paged,
        limit,
    };
    walk.page(ports, cursor, |item| Ok(product_if_any(Some(item))?.filter(|product| filter.admits(product))))
        .await
}

/// Most variants that are listed beside the product that they are variants of.
const VARIANTS_BESIDE: u32 = 50;

/// The first variants of a product by SKU, and whether there are more.
///
/// # Errors
/// [`Error::Retryable`].
pub async fn variants(ports: &Ports, scope: &TenantScope, sku: &str) -> Result<(Vec<Product>, bool)> {
    let filter = ProductFilter { variant_of: Some(sku.to_owned()), ..ProductFilter::default() };
    let (variants, next) = list(ports, scope, &filter, Some(VARIANTS_BESIDE), None).await?;
    Ok((variants, next.is_some()))
}

async fn by_barcode(
    ports: &Ports,
    scope: &TenantScope,
    filter: &ProductFilter,
    gtin: &str,
) -> Result<Page<Product>> {
    let Some(sku) = sku_of_barcode(ports, scope, gtin).await? else {
        return Ok((Vec::new(), None));
    };
    let item = ports.database.get(catalog_get(scope.product(&sku))).await.map_err(Error::from)?;
    let product = product_if_any(item.as_ref())?.filter(|product| filter.admits(product));
    Ok((product.into_iter().collect(), None))
}
