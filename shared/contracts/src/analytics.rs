//! Analytics: figures by time and group, products, the dashboard.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_domain::money::Money;
use tillstream_domain::quantity::QuantityInput;
use utoipa::{IntoParams, ToSchema};

use crate::schema::{MoneySchema, QuantitySchema};

/// Length of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Granularity {
    /// The store's local hour.
    Hour,
    /// The store's business day.
    #[default]
    Day,
    /// Business days from Monday to Sunday (ISO 8601).
    Week,
    /// Business days of a calendar month.
    Month,
}

/// What rows are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupBy {
    /// Store.
    Store,
    /// Register, or virtual lane of a web channel; registers of several stores are told by `store`.
    Register,
    /// Employee.
    Employee,
    /// Product category as of the sale; null where a product had none. An order counts once in each
    /// category it has lines of; tips are not shared out.
    Category,
    /// Tender. An order's amounts and units are shared out by what each tender paid and sum to the
    /// order exactly; the order counts once under each tender it used. `none`: nothing was to be paid;
    /// `exchange`: goods that came back paid it.
    PaymentMethod,
    /// Channel (`pos`, `web`, …).
    Channel,
    /// Customer segment as of the sale; null where none was known.
    Segment,
}

/// What to compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compare {
    /// The period of the same length just before.
    PreviousPeriod,
}

/// By what products are ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProductOrder {
    /// Net sales.
    #[default]
    NetSales,
    /// Gross sales.
    GrossSales,
    /// Discounts.
    Discounts,
    /// Returns.
    Returns,
    /// Units sold.
    Units,
    /// Orders it was in.
    Orders,
}

/// Top or bottom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Most first.
    #[default]
    Desc,
    /// Least first.
    Asc,
}

/// Query of `GET /v1/analytics/dashboard`.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DashboardQuery {
    /// One store; all in the token's reach where absent.
    pub store_id: Option<String>,
    /// Business day (`YYYY-MM-DD`); each store's current one where absent.
    pub date: Option<String>,
}

/// Query of `GET /v1/analytics/sales`.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SalesQuery {
    /// One store; all in the token's reach where absent.
    pub store_id: Option<String>,
    /// First business day (`YYYY-MM-DD`), or an instant (RFC 3339). With `to`, or neither: the current
    /// business day.
    pub from: Option<String>,
    /// Last business day, included, or an instant. Figures are kept by the store's local hour: between
    /// instants all hours are counted that lie in the span or overlap it.
    pub to: Option<String>,
    /// Length of a bucket. By hour a span has at most 31 days, else at most 400.
    #[serde(default)]
    pub granularity: Granularity,
    /// What rows are grouped by.
    pub group_by: Option<GroupBy>,
    /// What to compare with.
    pub compare: Option<Compare>,
    /// Rows of a page, 1 to 5000; 5000 where absent. Rows that are compared with come after the others.
    #[param(minimum = 1, maximum = 5000, default = 5000)]
    pub limit: Option<u32>,
    /// Where to go on: `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Query of `GET /v1/analytics/products`.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ProductsQuery {
    /// One store; all in the token's reach where absent.
    pub store_id: Option<String>,
    /// First business day (`YYYY-MM-DD`). With `to`, or neither: the current business day.
    pub from: Option<String>,
    /// Last business day, included.
    pub to: Option<String>,
    /// By what products are ranked; equal ones by SKU.
    #[serde(default)]
    pub order_by: ProductOrder,
    /// Top or bottom. Products that did not sell have no row.
    #[serde(default)]
    pub direction: Direction,
    /// Only products that are in this category now.
    pub category: Option<String>,
    /// Rows of a page, 1 to 200; 50 where absent.
    pub limit: Option<u32>,
    /// Where to go on: `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Query of `GET /v1/analytics/categories`.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CategoriesQuery {
    /// One store; all in the token's reach where absent.
    pub store_id: Option<String>,
    /// First business day (`YYYY-MM-DD`), or an instant. With `to`, or neither: the current business day.
    pub from: Option<String>,
    /// Last business day, included, or an instant.
    pub to: Option<String>,
}

/// The figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SalesMetrics)]
pub struct MetricsBody {
    /// Lines of sales before discounts, without tax.
    #[schema(value_type = MoneySchema)]
    pub gross_sales: Money,
    /// Discounts on them.
    #[schema(value_type = MoneySchema)]
    pub discounts: Money,
    /// What came back, without tax; positive.
    #[schema(value_type = MoneySchema)]
    pub returns: Money,
    /// gross_sales − discounts − returns.
    #[schema(value_type = MoneySchema)]
    pub net_sales: Money,
    /// Tax of sales less that of returns.
    #[schema(value_type = MoneySchema)]
    pub tax: Money,
    /// Tips.
    #[schema(value_type = MoneySchema)]
    pub tips: Money,
    /// Sales, zero totals included.
    pub orders: u64,
    /// Returns.
    pub return_orders: u64,
    /// Units sold on all lines; returns are not subtracted. A decimal string where not whole.
    #[schema(value_type = QuantitySchema)]
    pub units: QuantityInput,
    /// (gross_sales − discounts) ÷ orders, rounded half away from zero; null without orders.
    #[schema(value_type = Option<MoneySchema>)]
    pub average_order_value: Option<Money>,
    /// units ÷ orders as a decimal string with up to 3 places; null without orders.
    pub units_per_order: Option<String>,
}

/// Figures of one bucket, group and currency: amounts of different currencies are never summed but
/// have rows of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SalesRow)]
pub struct Row {
    /// Begin of the bucket, with the store's offset. Stores whose buckets begin at other local times or
    /// offsets have rows of their own.
    #[schema(example = "2010-12-01T08:00:00+00:00")]
    pub bucket: String,
    /// The group, by the name of what rows are grouped by; empty where they are not.
    pub group: BTreeMap<String, Option<String>>,
    /// The figures.
    pub metrics: MetricsBody,
}

/// How far a lane is counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LaneMark {
    /// From 1 to this number nothing is missing in the answer.
    pub through: u64,
    /// What is missing after it, up to the lane's last number: first and last of each gap.
    #[schema(value_type = Vec<Vec<u64>>)]
    pub gaps: Vec<(u64, u64)>,
    /// First and last number that the figures hold beyond the orders: a restore from backup lost these orders
    /// after they were counted. Left out where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<u64>>)]
    pub unaccounted: Option<(u64, u64)>,
}

/// What the answer contains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Watermark {
    /// By lane (`store/register`, with `~epoch` after a restore). A lane that has counted nothing yet
    /// is left out.
    pub lanes: BTreeMap<String, LaneMark>,
    /// When the figures were read. Not part of the ETag.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Timestamp,
}

/// Another period's rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PreviousPeriod {
    /// Its first day or instant.
    pub from: String,
    /// Its last day or instant.
    pub to: String,
    /// Its rows.
    pub rows: Vec<Row>,
}

/// Reply of `sales` and `categories`. A bucket without sales has no row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SalesReply {
    /// By bucket, then group, then currency; of categories by net sales, the largest first.
    pub rows: Vec<Row>,
    /// What was compared with, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousPeriod>,
    /// Where to go on; null at the end.
    pub next_cursor: Option<String>,
    /// What the answer contains.
    pub watermark: Watermark,
}

/// Reply of `products`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProductsReply {
    /// By the asked order. `group.sku` names the product.
    pub rows: Vec<Row>,
    /// Where to go on; null at the end.
    pub next_cursor: Option<String>,
    /// What the answer contains.
    pub watermark: Watermark,
}

/// One of the last sales of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LastSale {
    /// The order.
    pub order_id: String,
    /// `sale` or `return`.
    pub kind: String,
    /// Lane and number.
    pub receipt_number: String,
    /// Register, or virtual lane.
    pub register_id: String,
    /// When.
    pub at: String,
    /// Its total.
    #[schema(value_type = MoneySchema)]
    pub total: Money,
}

/// Reply of `dashboard`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DashboardReply {
    /// The day's totals: one row for each currency and begin of day, zero where nothing was sold.
    pub rows: Vec<Row>,
    /// The day by hour.
    pub hours: Vec<Row>,
    /// Registers that sold on the day, with their figures; `group.store` and `group.register`.
    pub registers: Vec<Row>,
    /// The ten last sales and returns, last first; of one store's current day only.
    pub last_sales: Vec<LastSale>,
    /// What the answer contains.
    pub watermark: Watermark,
}
