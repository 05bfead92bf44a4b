//! Locations, stock, reservations, backorders, movements, counts, suppliers and orders from them.

mod answers;
mod backorders;
mod counts;
mod exceptions;
mod locations;
mod lots;
mod purchase_orders;
mod replenishment;
mod reservations;
mod stock;
mod suppliers;
mod transfers;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use tillstream_app::Ports;
use tillstream_app::tenancy::Role;
use tillstream_runtime::auth::Authenticator;
use tillstream_runtime::config::{self, Variable};
use tillstream_runtime::http;

/// Name in logs and metrics.
pub const FUNCTION: &str = "inventory";

/// What it reads from its environment, beside what every function reads.
pub const VARIABLES: &[Variable] = &[
    config::ORDERS_TABLE,
    config::STOCK_TABLE,
    config::LEDGER_TABLE,
    config::CATALOG_TABLE,
    config::ANALYTICS_TABLE,
    config::IDENTITY_TABLE,
    config::TOKEN_ISSUER,
    config::TOKEN_AUDIENCE,
];

/// Who may adjust and count; an operator may everything.
const UPDATERS: [Role; 3] = [Role::StoreManager, Role::WarehouseStaff, Role::Integration];
/// Who may hold stock and wait for it, and end both.
const RESERVERS: [Role; 4] = [Role::Cashier, Role::StoreManager, Role::WarehouseStaff, Role::Integration];
/// Who may open, close and cancel count sheets.
const COUNT_KEEPERS: [Role; 2] = [Role::StoreManager, Role::WarehouseStaff];
/// Who may count what is on one.
const COUNTERS: [Role; 3] = [Role::Cashier, Role::StoreManager, Role::WarehouseStaff];
/// Who may say how an exception was settled, and correct a difference.
const RESOLVERS: [Role; 2] = [Role::StoreManager, Role::WarehouseStaff];
/// Who may read: any role that this build knows.
const READERS: [Role; 6] = [
    Role::Cashier,
    Role::StoreManager,
    Role::WarehouseStaff,
    Role::FranchiseOwner,
    Role::Analyst,
    Role::Integration,
];

/// What its handlers need.
#[derive(Clone)]
pub struct Services {
    /// Tables, time and chance.
    pub ports: Ports,
}

/// Its routes.
pub fn router(services: Services, authenticator: Arc<Authenticator>) -> Router {
    let routes = Router::new()
        .route("/v1/locations", get(locations::list).post(locations::create))
        .route("/v1/locations/{id}", get(locations::one))
        .route("/v1/locations/{id}/inventory", get(stock::of_location))
        .route("/v1/warehouses", get(locations::warehouses))
        .route("/v1/retail-locations", get(locations::retail_locations))
        .route("/v1/inventory", get(stock::list))
        .route("/v1/inventory/update", post(stock::update))
        .route("/v1/inventory/updates", get(stock::changes))
        .route("/v1/inventory/restock", post(stock::restock))
        .route("/v1/inventory/movements", get(stock::movements))
        .route("/v1/inventory/conservation", get(stock::conservation))
        .route("/v1/inventory/exceptions", get(exceptions::list))
        .route("/v1/inventory/exceptions/{id}/resolve", post(exceptions::resolve))
        .route("/v1/inventory/exceptions/{id}/correct", post(exceptions::correct))
        .route("/v1/inventory/counts", get(counts::all).post(counts::open))
        .route("/v1/inventory/counts/{id}", get(counts::one))
        .route("/v1/inventory/counts/{id}/lines", post(counts::record))
        .route("/v1/inventory/counts/{id}/close", post(counts::close))
        .route("/v1/inventory/counts/{id}/cancel", post(counts::cancel))
        .route("/v1/inventory/backorders", get(backorders::all).post(backorders::create))
        .route("/v1/inventory/backorders/{id}", get(backorders::one))
        .route("/v1/inventory/backorders/{id}/cancel", post(backorders::cancel))
        .route("/v1/inventory/alerts", get(replenishment::alerts))
        .route("/v1/inventory/suggestions", get(replenishment::suggestions))
        .route("/v1/inventory/turnover", get(replenishment::turnover))
        .route("/v1/inventory/lots", get(lots::all))
        .route("/v1/inventory/lots/{lot}", get(lots::one))
        .route("/v1/inventory/lots/{lot}/orders", get(lots::orders))
        .route("/v1/inventory/lots/{lot}/quarantine", post(lots::quarantine))
        .route("/v1/inventory/lots/{lot}/release", post(lots::release))
        .route("/v1/inventory/lots/{lot}/locations/{location_id}/quarantine", post(lots::quarantine_here))
        .route("/v1/inventory/lots/{lot}/locations/{location_id}/release", post(lots::release_here))
        .route("/v1/inventory/reserve", post(reservations::reserve))
        .route("/v1/inventory/reservations/{id}", get(reservations::one))
        .route("/v1/inventory/reservations/{id}/commit", post(reservations::commit))
        .route("/v1/inventory/reservations/{id}/release", post(reservations::release))
        .route("/v1/inventory/reservations/{id}/extend", post(reservations::extend))
        .route("/v1/stock-movements/transfer", get(transfers::all).post(transfers::create))
        .route("/v1/stock-movements/transfer/{id}", get(transfers::one))
        .route("/v1/stock-movements/transfer/{id}/receive", post(transfers::receive))
        .route("/v1/stock-movements/transfer/{id}/reject", post(transfers::reject))
        .route("/v1/stock-movements/transfer/{id}/cancel", post(transfers::cancel))
        .route("/v1/suppliers", get(suppliers::list).post(suppliers::create))
        .route("/v1/suppliers/{id}", get(suppliers::one).put(suppliers::put))
        .route("/v1/purchase-orders", get(purchase_orders::all).post(purchase_orders::create))
        .route("/v1/purchase-orders/{id}", get(purchase_orders::one))
        .route("/v1/purchase-orders/{id}/receive", post(purchase_orders::receive))
        .route("/v1/purchase-orders/{id}/close", post(purchase_orders::close))
        .route("/v1/purchase-orders/{id}/cancel", post(purchase_orders::cancel))
        .route("/v1/inventory/{sku}", get(stock::of_sku))
        .route("/v1/inventory/{location_id}/{sku}", get(stock::one));
    http::router(FUNCTION, routes, services, authenticator)
}

#[cfg(test)]
mod tests;
