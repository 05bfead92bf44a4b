//! What a product must be to be written.

use std::collections::BTreeSet;

use tillstream_contracts::catalog::ProductBody;
use tillstream_domain::category::is_category;
use tillstream_domain::identifier::{check_gtin, check_id, check_sku};
use tillstream_domain::kit::KitComponent;
use tillstream_domain::product::{MODIFIERS_MAX, Product, ProductModifier};

use super::kits::demand_relations;
use crate::error::{FieldError, Refusal, RefusalKind};

pub use tillstream_domain::category::CATEGORY_CHARACTERS_MAX;

/// Longest name, in characters.
pub const NAME_CHARACTERS_MAX: usize = 200;
/// Most barcodes of one product. Old and new ones with the product fit one transaction.
pub const BARCODES_MAX: usize = 20;
/// Most attributes of one product.
pub const ATTRIBUTES_MAX: usize = 50;
/// Longest attribute name, in characters.
pub const ATTRIBUTE_NAME_CHARACTERS_MAX: usize = 64;
/// Longest attribute value, in characters.
pub const ATTRIBUTE_VALUE_CHARACTERS_MAX: usize = 256;

/// Whether `text` is 1 to `max` characters, none of them a control character, without spaces around.
pub(crate) fn is_plain_text(text: &str, max: usize) -> bool {
    !text.is_empty()
        && text.trim() == text
        && text.chars().count() <= max
        && !text.chars().any(char::is_control)
}

/// Fields that were wrong, gathered so that a caller hears of all at once.
#[derive(Debug, Default)]
pub(crate) struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// Notes a wrong field unless `holds`.
    pub(crate) fn demand(&mut self, holds: bool, field: &str, code: &str, message: &str) {
        if !holds {
            self.0.push(FieldError { field: field.into(), code: code.into(), message: message.into() });
        }
    }

    /// Notes an id that is none.
    pub(crate) fn demand_id(&mut self, field: &str, id: &str) {
        self.demand(
            check_id(id).is_ok(),
            field,
            "id_malformed",
            "an id is 1 to 64 of A-Z a-z 0-9 . _ ~ : - and begins with a letter or digit",
        );
    }

    /// Notes a name that is none.
    pub(crate) fn demand_name(&mut self, field: &str, name: &str) {
        self.demand(
            is_plain_text(name, NAME_CHARACTERS_MAX),
            field,
            "name_malformed",
            "a name is 1 to 200 printable characters without leading or trailing spaces",
        );
    }

    /// A 422 `field_invalid` naming all of them, if there are any.
    pub(crate) fn refuse(self) -> Result<(), Refusal> {
        let Some(first) = self.0.first() else { return Ok(()) };
        let detail = format!("{}: {}", first.field, first.message);
        let mut refusal = Refusal::new(RefusalKind::Invalid, "field_invalid", detail);
        refusal.errors = self.0;
        Err(refusal)
    }
}

fn demand_modifiers(errors: &mut FieldErrors, body: &ProductBody) {
    errors.demand(
        body.modifiers.len() <= MODIFIERS_MAX,
        "modifiers",
        "too_many_modifiers",
        "a product has at most 50 modifiers",
    );
    let mut seen = BTreeSet::new();
    for (position, modifier) in body.modifiers.iter().enumerate().take(MODIFIERS_MAX) {
        let field = |name: &str| format!("modifiers[{position}].{name}");
        errors.demand_id(&field("id"), &modifier.id);
        errors.demand(
            seen.insert(&modifier.id),
            &field("id"),
            "modifier_repeated",
            "the modifier stands there twice",
        );
        errors.demand_name(&field("name"), &modifier.name);
        errors.demand(
            modifier.unit_price.on(body.unit_price).is_some(),
            &field("unit_price"),
            "modifier_price_out_of_range",
            "the product's unit price with that of the modifier is from 0 to 999999.9999",
        );
    }
}

/// The product that `body` describes for `sku`. Its version is set when it is written.
///
/// # Errors
/// 422 `field_invalid` with every field that is wrong.
pub fn product_from(body: ProductBody, sku: &str) -> Result<Product, Refusal> {
    let mut errors = FieldErrors::default();
    errors.demand(
        check_sku(sku).is_ok(),
        "sku",
        "sku_malformed",
        "a SKU is 1 to 64 bytes of printable text without leading or trailing spaces",
    );
    errors.demand(
        body.sku.as_deref().is_none_or(|own| own == sku),
        "sku",
        "sku_mismatch",
        "the sku in the body is not the one that is addressed",
    );
    errors.demand_name("name", &body.name);
    errors.demand(
        body.category.as_deref().is_none_or(is_category),
        "category",
        "category_malformed",
        "a category is 1 to 64 printable characters without leading or trailing spaces",
    );
    errors.demand(
        body.barcodes.len() <= BARCODES_MAX,
        "barcodes",
        "too_many_barcodes",
        "a product has at most 20 barcodes",
    );
    let mut seen = BTreeSet::new();
    for (position, barcode) in body.barcodes.iter().enumerate().take(BARCODES_MAX) {
        let field = format!("barcodes[{position}]");
        errors.demand(
            check_gtin(barcode).is_ok(),
            &field,
            "barcode_malformed",
            "a barcode is a GTIN of 8, 12, 13 or 14 digits with a correct check digit",
        );
        errors.demand(seen.insert(barcode), &field, "barcode_repeated", "the barcode stands there twice");
    }
    errors.demand(
        body.attributes.len() <= ATTRIBUTES_MAX,
        "attributes",
        "too_many_attributes",
        "a product has at most 50 attributes",
    );
    for (name, value) in body.attributes.iter().take(ATTRIBUTES_MAX) {
        let shown: String = name.chars().take(ATTRIBUTE_NAME_CHARACTERS_MAX).collect();
        let field = format!("attributes.{shown}");
        errors.demand(
            is_plain_text(name, ATTRIBUTE_NAME_CHARACTERS_MAX),
            &field,
            "attribute_name_malformed",
            "an attribute's name is 1 to 64 printable characters without leading or trailing spaces",
        );
        errors.demand(
            is_plain_text(value, ATTRIBUTE_VALUE_CHARACTERS_MAX),
            &field,
            "attribute_value_malformed",
            "an attribute's value is 1 to 256 printable characters without leading or trailing spaces",
        );
    }
    errors.demand(
        body.tax_category.as_deref().is_none_or(|c| is_plain_text(c, CATEGORY_CHARACTERS_MAX)),
        "tax_category",
        "tax_category_malformed",
        "a tax category is 1 to 64 printable characters without leading or trailing spaces",
    );
    demand_modifiers(&mut errors, &body);
    let product = described(body, sku);
    demand_relations(&mut errors, &product);
    errors.refuse()?;
    Ok(product)
}

/// The product that `body` describes, right or wrong.
fn described(body: ProductBody, sku: &str) -> Product {
    Product {
        sku: sku.to_owned(),
        name: body.name,
        unit_price: body.unit_price,
        currency: body.currency,
        stocked: body.stocked,
        unit: body.unit,
        category: body.category,
        barcodes: body.barcodes,
        attributes: body.attributes,
        tax_category: body.tax_category,
        tax_exempt: body.tax_exempt,
        discountable: body.discountable,
        modifiers: body
            .modifiers
            .into_iter()
            .map(|modifier| ProductModifier {
                id: modifier.id,
                name: modifier.name,
                unit_price: modifier.unit_price,
            })
            .collect(),
        components: body
            .components
            .into_iter()
            .map(|component| KitComponent { sku: component.sku, quantity: component.quantity })
            .collect(),
        variant_of: body.variant_of,
        sellable: body.sellable,
        lots: body.lots,
        // Set when it is written: it depends on what is there.
        version: 0,
    }
}
