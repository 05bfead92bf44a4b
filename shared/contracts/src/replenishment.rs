//! What to order over HTTP: alerts at the reorder point, and how much would be right.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tillstream_domain::quantity::QuantityInput;
use utoipa::{IntoParams, ToSchema};

use crate::schema::QuantitySchema;

/// How low stock is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StockAlertLevel {
    /// Above its reorder point.
    Ok,
    /// At its reorder point or below.
    Low,
    /// Nothing is available.
    Out,
}

/// That stock is, or was, low.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StockAlert {
    /// Its id: one for each location and SKU, for good.
    #[schema(example = "al-0f3a9c2b7d1e")]
    pub alert_id: String,
    /// Where.
    pub location_id: String,
    /// What.
    pub sku: String,
    /// How low it is; `ok` of one that is closed.
    pub level: StockAlertLevel,
    /// What was available when the level changed last.
    #[schema(value_type = QuantitySchema)]
    pub available: QuantityInput,
    /// The reorder point then.
    #[schema(value_type = QuantitySchema)]
    pub reorder_point: QuantityInput,
    /// Since when it is not `ok`, or was before it was closed.
    #[schema(value_type = String, format = DateTime)]
    pub raised_at: Timestamp,
    /// When the level changed last.
    #[schema(value_type = String, format = DateTime)]
    pub changed_at: Timestamp,
    /// Version of the stock item that this was seen of.
    pub stock_version: i64,
}

/// A page of alerts. It may hold fewer than asked for, or none, although more follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StockAlertPage {
    /// The oldest first.
    pub items: Vec<StockAlert>,
    /// Where the next page begins; null at the end.
    pub next_cursor: Option<String>,
}

/// Which alerts a list has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StockAlertState {
    /// Low or out of stock.
    #[default]
    Open,
    /// That were, and are not any more.
    Closed,
}

/// Query of `GET /v1/inventory/alerts`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StockAlertQuery {
    /// Where.
    pub location_id: String,
    /// `open` (where absent) or `closed`.
    pub state: Option<StockAlertState>,
    /// At most so many, 1 to 200; 50 where absent.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// How much of a SKU to order, with all that it is reckoned from: `quantity` is `target` less `position`, rounded up to
/// whole packs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderSuggestion {
    /// Where.
    pub location_id: String,
    /// What.
    pub sku: String,
    /// How much to order.
    #[schema(value_type = QuantitySchema)]
    pub quantity: QuantityInput,
    /// From whom: of the suppliers that name the SKU the one that delivers soonest. Absent where none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supplier_id: Option<String>,
    /// How many come in one pack.
    #[schema(value_type = QuantitySchema)]
    pub pack_size: QuantityInput,
    /// Days from an order to its delivery: of the supplier, or as asked where none names the SKU.
    pub lead_time_days: u32,
    /// Sold in the days that were looked at (`sales_from` to `sales_to` of the reply); returns are not taken off.
    #[schema(value_type = QuantitySchema)]
    pub sold: QuantityInput,
    /// That by day, cut to thousandths for reading; it is reckoned with the exact one.
    #[schema(value_type = QuantitySchema)]
    pub sold_per_day: QuantityInput,
    /// What will be sold until a delivery is here, as sales went.
    #[schema(value_type = QuantitySchema)]
    pub lead_time_demand: QuantityInput,
    /// What will be sold until the delivery after it could be: in lead time and review time together.
    #[schema(value_type = QuantitySchema)]
    pub demand: QuantityInput,
    /// Physically there.
    #[schema(value_type = QuantitySchema)]
    pub on_hand: QuantityInput,
    /// Held by reservations.
    #[schema(value_type = QuantitySchema)]
    pub reserved: QuantityInput,
    /// Kept back from sale.
    #[schema(value_type = QuantitySchema)]
    pub safety_stock: QuantityInput,
    /// on hand − reserved − safety stock.
    #[schema(value_type = QuantitySchema)]
    pub available: QuantityInput,
    /// Ordered from suppliers and not here yet.
    #[schema(value_type = QuantitySchema)]
    pub incoming: QuantityInput,
    /// On its way here from another location.
    #[schema(value_type = QuantitySchema)]
    pub in_transit: QuantityInput,
    /// What customers wait for.
    #[schema(value_type = QuantitySchema)]
    pub backordered: QuantityInput,
    /// available + incoming + in transit − backordered.
    #[schema(value_type = QuantitySchema)]
    pub position: QuantityInput,
    /// Where to order again; 0 where none is set.
    #[schema(value_type = QuantitySchema)]
    pub reorder_point: QuantityInput,
    /// What is to be available: the demand, and no less than the reorder point.
    #[schema(value_type = QuantitySchema)]
    pub target: QuantityInput,
}

/// A page of suggestions. It may hold fewer than asked for, or none, although more follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderSuggestionPage {
    /// First business day of the sales that were looked at.
    #[schema(value_type = String, format = Date)]
    pub sales_from: Date,
    /// The last one, which is closed: the day before the current one.
    #[schema(value_type = String, format = Date)]
    pub sales_to: Date,
    /// How many days that are.
    pub days: u32,
    /// Days until somebody looks again, as asked.
    pub review_days: u32,
    /// What is at its reorder point or below, or will be before an order of today is here; by SKU.
    pub items: Vec<OrderSuggestion>,
    /// Where the next page begins; null at the end.
    pub next_cursor: Option<String>,
}

/// Query of `GET /v1/inventory/suggestions`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OrderSuggestionQuery {
    /// Where.
    pub location_id: String,
    /// Only what this supplier names, on its terms.
    #[param(max_length = 64)]
    pub supplier_id: Option<String>,
    /// So many closed business days of sales are looked at, 1 to 90; 28 where absent.
    #[param(minimum = 1, maximum = 90, default = 28)]
    pub days: Option<u32>,
    /// Days until somebody looks again, 0 to 90; 7 where absent.
    #[param(minimum = 0, maximum = 90, default = 7)]
    pub review_days: Option<u32>,
    /// Lead time of what no supplier names, in days, 0 to 730; 7 where absent.
    #[param(minimum = 0, maximum = 730, default = 7)]
    pub lead_time_days: Option<u32>,
    /// At most so many, 1 to 200; 50 where absent.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}
