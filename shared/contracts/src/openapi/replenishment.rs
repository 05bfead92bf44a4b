//! Alerts at the reorder point, what to order, and how fast stock moves.

use utoipa::OpenApi;

use crate::replenishment::{
    OrderSuggestionPage, OrderSuggestionQuery, StockAlertPage, StockAlertQuery, StockAlertState,
};
use crate::turnover::{StockTurnoverPage, StockTurnoverQuery};

/// This area.
#[derive(OpenApi)]
#[openapi(paths(list_alerts, suggest_orders, stock_turnover), components(schemas(StockAlertState)))]
pub struct Api;

/// What is low or out of stock at a location, or was. Of stock items with a reorder point: one is low where what is
/// available is at that point or below, and out where nothing is. HQ is told (`stock.low`, `stock.out`) each time one gets
/// there, and again only after it was above.
#[utoipa::path(get, path = "/v1/inventory/alerts", tag = "inventory", params(StockAlertQuery),
    responses(
        (status = 200, description = "A page, the oldest first", body = StockAlertPage),
        (status = 400, description = "`cursor_malformed`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 422, description = "`limit_out_of_range`, `location_id_malformed`, `query_invalid`"),
    ))]
fn list_alerts() {}

/// How much to order for a location, with all that it is reckoned from. Of each SKU that is at its reorder point or below,
/// or will be before an order of today is here: what will be sold until the delivery after it, as sales went, and what
/// customers wait for, less what is there and under way; in whole packs. Roles: as of suppliers.
#[utoipa::path(get, path = "/v1/inventory/suggestions", tag = "purchasing", params(OrderSuggestionQuery),
    responses(
        (status = 200, description = "A page, by SKU; it may be short, or empty, although there are more", body = OrderSuggestionPage),
        (status = 400, description = "`cursor_malformed`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`location_not_found`"),
        (status = 422, description = "`limit_out_of_range`, `location_id_malformed`, `id_malformed`, `supplier_unknown`, `days_out_of_range`, `too_many_suppliers`, `query_invalid`"),
    ))]
fn suggest_orders() {}

/// How fast stock moves at a location: of each SKU what was sold, received and else changed in its last closed business
/// days, what it began and ended them with, how many days what is available lasts (stock cover), how much of what there was
/// to sell was sold (sell-through), and how often the average stock was (stock turn). All of it can be reckoned again from
/// `GET /v1/inventory/movements`: a movement belongs to the days if its `at` does, which may be older than when it was
/// told. Of a SKU at most 5,000 rows are looked at (`since`), and none behind 200 in a row that are older than the days. A
/// kit has no stock of its own: its components count. Roles: as of suppliers.
#[utoipa::path(get, path = "/v1/inventory/turnover", tag = "inventory", params(StockTurnoverQuery),
    responses(
        (status = 200, description = "A page, by SKU; it may be short, or empty, although there are more", body = StockTurnoverPage),
        (status = 400, description = "`cursor_malformed`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`location_not_found`"),
        (status = 422, description = "`limit_out_of_range`, `location_id_malformed`, `sku_malformed`, `sku_unknown`, `days_out_of_range`, `query_invalid`"),
    ))]
fn stock_turnover() {}
