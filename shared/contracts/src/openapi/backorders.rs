//! Backorders.

use utoipa::OpenApi;

use super::headers::{IdempotencyHeader, IfMatchHeader};
use crate::backorders::{
    Backorder, BackorderListState, BackorderPage, BackorderQuery, BackorderRequest, CancelBackorderRequest,
};

/// This area.
#[derive(OpenApi)]
#[openapi(
    paths(place_backorder, list_backorders, get_backorder, cancel_backorder),
    components(schemas(BackorderListState))
)]
pub struct Api;

/// Waits for what is not there. The first in the queue of a location and SKU is served first, all of it at once, whenever
/// enough is available, however it got so; nobody behind overtakes. It is then held by a reservation, which is committed,
/// extended or released as any other. Roles: cashier, store manager, warehouse staff, integration, operator.
#[utoipa::path(post, path = "/v1/inventory/backorders", tag = "backorders", params(IdempotencyHeader),
    request_body = BackorderRequest,
    responses(
        (status = 201, description = "Waiting; what is there already is reserved a moment later. A replay answers the same", body = Backorder, headers(("ETag" = String))),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`location_not_found`"),
        (status = 409, description = "`backorders_not_allowed` (the setting `backorders`), `backorder_exists`"),
        (status = 422, description = "`field_invalid`, `quantity_invalid`, `id_malformed`, `location_id_malformed`, `sku_malformed`, `sku_unknown`, `sku_not_stocked`, `sku_is_a_kit`, `variant_required`, `needed_by_out_of_range`, `text_too_long`, `text_malformed`, `card_number_refused`, `idempotency_key_reused`"),
    ))]
fn place_backorder() {}

/// The backorders of a location, or of one SKU there in the order in which they are served.
#[utoipa::path(get, path = "/v1/inventory/backorders", tag = "backorders", params(BackorderQuery),
    responses(
        (status = 200, description = "A page", body = BackorderPage),
        (status = 400, description = "`cursor_malformed`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 422, description = "`limit_out_of_range`, `location_id_malformed`, `sku_malformed`, `query_invalid`"),
    ))]
fn list_backorders() {}

/// One backorder, as its reservation stands now.
#[utoipa::path(get, path = "/v1/inventory/backorders/{id}", tag = "backorders",
    params(("id" = String, Path, description = "Backorder", example = "b-1")),
    responses(
        (status = 200, description = "It; the `ETag` holds its version", body = Backorder, headers(("ETag" = String))),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`backorder_not_found`"),
    ))]
fn get_backorder() {}

/// Calls a backorder off. What is reserved for it is released. Roles: as of making one.
#[utoipa::path(post, path = "/v1/inventory/backorders/{id}/cancel", tag = "backorders",
    params(("id" = String, Path, description = "Backorder", example = "b-1"), IdempotencyHeader, IfMatchHeader),
    request_body = Option<CancelBackorderRequest>,
    responses(
        (status = 200, description = "Cancelled; a replay answers the same", body = Backorder, headers(("ETag" = String))),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`, `if_match_malformed`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`backorder_not_found`"),
        (status = 409, description = "`backorder_over` with `backorder_status`"),
        (status = 412, description = "`version_mismatch`"),
        (status = 422, description = "`field_invalid`, `reason_invalid`, `text_malformed`, `card_number_refused`, `idempotency_key_reused`"),
    ))]
fn cancel_backorder() {}
