//! Suppliers: who goods are ordered from, and on what terms.

use serde::{Deserialize, Serialize};

use crate::money::{Currency, UnitPrice};
use crate::quantity::QuantityInput;

/// Most SKUs that one supplier is known to supply: its item stays well below DynamoDB's 400 KB.
pub const SUPPLIED_SKUS_MAX: usize = 1_000;
/// Longest lead time, in days.
pub const LEAD_TIME_DAYS_MAX: u32 = 730;
/// Most that may be delivered beyond an order, in per cent of it.
pub const OVER_DELIVERY_PERCENT_MAX: u32 = 100;

/// Somebody who delivers goods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supplier {
    /// Its id, unique in the tenant.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Days from an order to its delivery, where a SKU has no other.
    pub lead_time_days: u32,
    /// The currency of its costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// How much more than was ordered may be received, in per cent of it.
    #[serde(default)]
    pub over_delivery_percent: u32,
    /// Whom to ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_name: Option<String>,
    /// Mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Postal address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What it supplies, each SKU once.
    #[serde(default)]
    pub supplies: Vec<SuppliedSku>,
    /// Grows with every change.
    #[serde(default)]
    pub version: u64,
}

/// What a supplier has of its own for one SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuppliedSku {
    /// What.
    pub sku: String,
    /// Days from an order to its delivery, where they are not the supplier's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead_time_days: Option<u32>,
    /// How many come in one pack, in the form that the product's unit has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pack_size: Option<QuantityInput>,
    /// What one unit costs, in the supplier's currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_cost: Option<UnitPrice>,
}

impl Supplier {
    /// What it has of its own for a SKU.
    pub fn supplied(&self, sku: &str) -> Option<&SuppliedSku> {
        self.supplies.iter().find(|supplied| supplied.sku == sku)
    }

    /// Days from an order of a SKU to its delivery.
    pub fn lead_time_days_of(&self, sku: &str) -> u32 {
        self.supplied(sku).and_then(|supplied| supplied.lead_time_days).unwrap_or(self.lead_time_days)
    }

    /// Days until an order of all of these is here: the longest of them.
    pub fn lead_time_days_of_all<'a>(&self, skus: impl IntoIterator<Item = &'a str>) -> u32 {
        let longest = skus.into_iter().map(|sku| self.lead_time_days_of(sku)).max();
        longest.unwrap_or(self.lead_time_days)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sku_has_the_suppliers_lead_time_unless_it_has_its_own() {
        let supplied = |sku: &str, lead_time_days| SuppliedSku {
            sku: sku.into(),
            lead_time_days,
            pack_size: None,
            unit_cost: None,
        };
        let supplier = Supplier {
            id: "sup-1".into(),
            name: "Candles Ltd".into(),
            lead_time_days: 7,
            currency: None,
            over_delivery_percent: 0,
            contact_name: None,
            email: None,
            phone: None,
            address: None,
            supplies: vec![supplied("A", Some(2)), supplied("B", None), supplied("C", Some(30))],
            version: 1,
        };
        let days = ["A", "B", "C", "D"].map(|sku| supplier.lead_time_days_of(sku));
        assert_eq!(days, [2, 7, 30, 7]);
        assert_eq!(supplier.lead_time_days_of_all(["A"]), 2);
        assert_eq!(supplier.lead_time_days_of_all(["A", "D"]), 7);
        assert_eq!(supplier.lead_time_days_of_all(["A", "C", "B"]), 30);
        assert_eq!(supplier.lead_time_days_of_all([]), 7);
    }
}
