//! The feeds by name.

use tillstream_contracts::catalog::{LocationBody, ProductBody};
use tillstream_contracts::price_rules::{CategoryData, CouponData, CustomerData, PromotionData, TaxRuleData};
use tillstream_contracts::sync::{PriceData, StockData};

use crate::error::{Refusal, RefusalKind, Result};

/// Feeds that the contract names and this build does not take yet.
const NOT_SUPPORTED: &[&str] = &["print_templates", "suppliers"];

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
}

impl Entity {
    /// All of them.
    pub const ALL: [Entity; 9] = [
        Entity::Catalog,
        Entity::Locations,
        Entity::Inventory,
        Entity::PriceBook,
        Entity::Categories,
        Entity::TaxRules,
        Entity::Promotions,
        Entity::Coupons,
        Entity::Customers,
    ];

    /// Its name in the path.
    pub fn name(self) -> &'static str {
        match self {
            Entity::Catalog => "catalog",
            Entity::Locations => "locations",
            Entity::Inventory => "inventory",
            Entity::PriceBook => "price_book",
            Entity::Categories => "categories",
            Entity::TaxRules => "tax_rules",
            Entity::Promotions => "promotions",
            Entity::Coupons => "coupons",
            Entity::Customers => "customers",
        }
    }

    /// From its name.
    ///
    /// # Errors
    /// 422 `entity_not_supported` for one that is planned; 404 `unknown_entity` for anything else.
    pub fn parse(name: &str) -> Result<Self> {
        let supported = Entity::ALL.map(Entity::name).join(", ");
        match Entity::ALL.into_iter().find(|entity| entity.name() == name) {
            Some(entity) => Ok(entity),
            None if NOT_SUPPORTED.contains(&name) => Err(Refusal::new(
                RefusalKind::Invalid,
                "entity_not_supported",
                format!("the feed {name} is not taken yet; these are: {supported}"),
            )
            .into()),
            None => {
                Err(Refusal::not_found("unknown_entity", format!("no such feed; there are: {supported}"))
                    .into())
            }
        }
    }

    /// Fields of its lines' data, by path.
    pub(crate) fn fields(self) -> &'static [&'static str] {
        match self {
            Entity::Catalog => ProductBody::FIELDS,
            Entity::Locations => LocationBody::FIELDS,
            Entity::Inventory => StockData::FIELDS,
            Entity::PriceBook => PriceData::FIELDS,
            Entity::Categories => CategoryData::FIELDS,
            Entity::TaxRules => TaxRuleData::FIELDS,
            Entity::Promotions => PromotionData::FIELDS,
            Entity::Coupons => CouponData::FIELDS,
            Entity::Customers => CustomerData::FIELDS,
        }
    }
}
