//! The feeds by name.

use tillstream_contracts::catalog::{LocationBody, ProductBody};
use tillstream_contracts::price_rules::{CategoryData, CouponData, CustomerData, PromotionData, TaxRuleData};
use tillstream_contracts::suppliers::SupplierBody;
use tillstream_contracts::sync::{PriceData, StockData, TemplateData};

use super::line::LINE_BYTES_MAX;
use crate::error::{Refusal, Result};

/// Lines that are applied between two checkpoints: what one batch read takes.
const BATCH_LINES: usize = 100;

/// A feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    /// Products.
    Catalog,
    /// Stores and warehouses.
    Locations,
    /// Stock on hand.
    Inventory,
    /// Prices by location and time.
    PriceBook,
    /// Templates of receipts and other documents.
    PrintTemplates,
    /// Which category stands below which.
    Categories,
    /// Taxes.
    TaxRules,
    /// Promotions.
    Promotions,
    /// Coupons.
    Coupons,
    /// Customers.
    Customers,
    /// Suppliers.
    Suppliers,
}

impl Entity {
    /// All of them.
    pub const ALL: [Entity; 11] = [
        Entity::Catalog,
        Entity::Locations,
        Entity::Inventory,
        Entity::PriceBook,
        Entity::Categories,
        Entity::TaxRules,
        Entity::Promotions,
        Entity::Coupons,
        Entity::Customers,
        Entity::Suppliers,
        Entity::PrintTemplates,
    ];

    /// Its name in the path.
    pub fn name(self) -> &'static str {
        match self {
            Entity::Catalog => "catalog",
            Entity::Locations => "locations",
            Entity::Inventory => "inventory",
            Entity::PriceBook => "price_book",
            Entity::PrintTemplates => "print_templates",
            Entity::Categories => "categories",
            Entity::TaxRules => "tax_rules",
            Entity::Promotions => "promotions",
            Entity::Coupons => "coupons",
            Entity::Customers => "customers",
            Entity::Suppliers => "suppliers",
        }
    }

    /// From its name.
    ///
    /// # Errors
    /// 404 `unknown_entity`.
    pub fn parse(name: &str) -> Result<Self> {
        let supported = Entity::ALL.map(Entity::name).join(", ");
        let found = Entity::ALL.into_iter().find(|entity| entity.name() == name);
        let unknown =
            || Refusal::not_found("unknown_entity", format!("no such feed; there are: {supported}"));
        Ok(found.ok_or_else(unknown)?)
    }

    /// Fields of its lines' data, by path.
    pub(crate) fn fields(self) -> &'static [&'static str] {
        match self {
            Entity::Catalog => ProductBody::FIELDS,
            Entity::Locations => LocationBody::FIELDS,
            Entity::Inventory => StockData::FIELDS,
            Entity::PriceBook => PriceData::FIELDS,
            Entity::PrintTemplates => TemplateData::FIELDS,
            Entity::Categories => CategoryData::FIELDS,
            Entity::TaxRules => TaxRuleData::FIELDS,
            Entity::Promotions => PromotionData::FIELDS,
            Entity::Coupons => CouponData::FIELDS,
            Entity::Customers => CustomerData::FIELDS,
            Entity::Suppliers => SupplierBody::FIELDS,
        }
    }

    /// Longest line, in bytes. A template has up to 64 KB, of which JSON makes more: two bytes of each
    /// quotation mark and line break, at the worst six of a character. A supplier has up to 1,000 SKUs.
    pub(crate) fn line_bytes_max(self) -> usize {
        match self {
            Entity::PrintTemplates | Entity::Suppliers => 256 * 1024,
            _ => LINE_BYTES_MAX,
        }
    }

    /// Lines that are applied between two checkpoints. The time left of a call is looked at before each
    /// batch: a template is rendered on trial, for up to a second on the processor share of this function.
    pub(crate) fn batch_lines(self) -> usize {
        match self {
            Entity::PrintTemplates => 4,
            _ => BATCH_LINES,
        }
    }
}
