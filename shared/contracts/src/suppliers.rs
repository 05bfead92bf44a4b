//! Suppliers over HTTP, and the data of their feed's lines.

use serde::{Deserialize, Serialize};
use tillstream_domain::money::{Currency, UnitPrice};
use tillstream_domain::quantity::QuantityInput;
use tillstream_domain::supplier::{SuppliedSku, Supplier};
use utoipa::ToSchema;

use crate::schema::QuantitySchema;

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What a supplier has of its own for one SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SuppliedSkuBody {
    /// What.
    #[schema(example = "85123A", max_length = 64)]
    pub sku: String,
    /// Days from an order to its delivery; the supplier's where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 730)]
    pub lead_time_days: Option<u32>,
    /// How many come in one pack, above zero: an order need not be of whole packs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<QuantitySchema>)]
    pub pack_size: Option<QuantityInput>,
    /// What one unit costs, in major units of the supplier's currency, up to four decimals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "1.10", pattern = "^[0-9]{1,6}([.][0-9]{1,4})?$")]
    pub unit_cost: Option<UnitPrice>,
}

/// A supplier as it is sent: the body of `POST /v1/suppliers` and `PUT /v1/suppliers/{id}`, and the data of a
/// supplier line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SupplierBody {
    /// Its id, unique in the tenant.
    #[schema(example = "sup-1", max_length = 64)]
    pub id: String,
    /// What people call it.
    #[schema(example = "Candles Ltd", min_length = 1, max_length = 200)]
    pub name: String,
    /// Days from an order to its delivery.
    #[schema(minimum = 0, maximum = 730, example = 7)]
    pub lead_time_days: u32,
    /// ISO 4217 code of the currency of its costs; needed where there is a cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "GBP")]
    pub currency: Option<Currency>,
    /// How much more than was ordered may be received, in per cent of it.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schema(minimum = 0, maximum = 100, default = 0)]
    pub over_delivery_percent: u32,
    /// Whom to ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200)]
    pub contact_name: Option<String>,
    /// Mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 3, max_length = 254, example = "orders@example.com")]
    pub email: Option<String>,
    /// Telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 3, max_length = 32, example = "+44 113 496 0000")]
    pub phone: Option<String>,
    /// Postal address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 500)]
    pub address: Option<String>,
    /// What it supplies, each SKU once; others may be ordered from it too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 1000)]
    pub supplies: Vec<SuppliedSkuBody>,
}

impl SupplierBody {
    /// Its fields by path.
    pub const FIELDS: &'static [&'static str] = &[
        "id",
        "name",
        "lead_time_days",
        "currency",
        "over_delivery_percent",
        "contact_name",
        "email",
        "phone",
        "address",
        "supplies",
        "supplies.sku",
        "supplies.lead_time_days",
        "supplies.pack_size",
        "supplies.unit_cost",
    ];
}

impl From<SuppliedSkuBody> for SuppliedSku {
    fn from(body: SuppliedSkuBody) -> Self {
        SuppliedSku {
            sku: body.sku,
            lead_time_days: body.lead_time_days,
            pack_size: body.pack_size,
            unit_cost: body.unit_cost,
        }
    }
}

impl From<SuppliedSku> for SuppliedSkuBody {
    fn from(supplied: SuppliedSku) -> Self {
        SuppliedSkuBody {
            sku: supplied.sku,
            lead_time_days: supplied.lead_time_days,
            pack_size: supplied.pack_size,
            unit_cost: supplied.unit_cost,
        }
    }
}

/// A supplier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SupplierReply {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Days from an order to its delivery.
    pub lead_time_days: u32,
    /// ISO 4217 code of the currency of its costs.
    #[schema(value_type = Option<String>)]
    pub currency: Option<Currency>,
    /// How much more than was ordered may be received, in per cent of it.
    pub over_delivery_percent: u32,
    /// Whom to ask for.
    pub contact_name: Option<String>,
    /// Mail address.
    pub email: Option<String>,
    /// Telephone number.
    pub phone: Option<String>,
    /// Postal address.
    pub address: Option<String>,
    /// What it supplies.
    pub supplies: Vec<SuppliedSkuBody>,
    /// Grows with every change; the `ETag` holds it.
    pub version: u64,
}

impl From<Supplier> for SupplierReply {
    fn from(supplier: Supplier) -> Self {
        SupplierReply {
            id: supplier.id,
            name: supplier.name,
            lead_time_days: supplier.lead_time_days,
            currency: supplier.currency,
            over_delivery_percent: supplier.over_delivery_percent,
            contact_name: supplier.contact_name,
            email: supplier.email,
            phone: supplier.phone,
            address: supplier.address,
            supplies: supplier.supplies.into_iter().map(SuppliedSkuBody::from).collect(),
            version: supplier.version,
        }
    }
}

/// A supplier in a list: without what it supplies, which may be much.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SupplierSummary {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Days from an order to its delivery.
    pub lead_time_days: u32,
    /// ISO 4217 code of the currency of its costs.
    #[schema(value_type = Option<String>)]
    pub currency: Option<Currency>,
    /// How many SKUs it is known to supply.
    pub supplies_count: usize,
    /// Grows with every change.
    pub version: u64,
}

impl From<Supplier> for SupplierSummary {
    fn from(supplier: Supplier) -> Self {
        SupplierSummary {
            id: supplier.id,
            name: supplier.name,
            lead_time_days: supplier.lead_time_days,
            currency: supplier.currency,
            supplies_count: supplier.supplies.len(),
            version: supplier.version,
        }
    }
}

/// A page of suppliers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SupplierList {
    /// By id. A page may be short, or empty, although there are more: `next_cursor` says so.
    pub items: Vec<SupplierSummary>,
    /// Where the next page begins; null at the end.
    pub next_cursor: Option<String>,
}
