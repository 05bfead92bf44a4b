//! Lots.

use utoipa::OpenApi;

use super::headers::IdempotencyHeader;
use crate::inventory::PageQuery;
use crate::lots::{ChangeLotRequest, Lot, LotDetail, LotHere, LotLevelPage, LotQuery, LotSalePage};

/// This area.
#[derive(OpenApi)]
#[openapi(paths(
    list_lots,
    get_lot,
    lot_orders,
    quarantine_lot,
    release_lot,
    quarantine_lot_here,
    release_lot_here
))]
pub struct Api;

/// The lots of a SKU, of a location, or of both, of each stock item in the order in which they go: what expires first,
/// of that what came first; what is of no known lot (`lot_id` null) goes last. Name a SKU, a location, or both.
#[utoipa::path(get, path = "/v1/inventory/lots", tag = "lots", params(LotQuery),
    responses(
        (status = 200, description = "A page", body = LotLevelPage),
        (status = 400, description = "`cursor_malformed`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 422, description = "`sku_malformed`, `location_id_malformed`, `limit_out_of_range`, `query_invalid`"),
    ))]
fn list_lots() {}

/// A lot, with what there is of it at each location in reach that ever had any.
#[utoipa::path(get, path = "/v1/inventory/lots/{lot}", tag = "lots",
    params(("lot" = String, Path, description = "Lot", example = "L-2031"), PageQuery),
    responses(
        (status = 200, description = "The lot", body = LotDetail, headers(("ETag" = String))),
        (status = 400, description = "`cursor_malformed`"),
        (status = 403, description = "`role_required`"),
        (status = 404, description = "`lot_not_found`"),
        (status = 422, description = "`limit_out_of_range`, `query_invalid`"),
    ))]
fn get_lot() {}

/// Who got goods of a lot: each sale, each commit of a reservation, each exchange, and each return that brought some
/// back, at the locations in reach. It follows the stock within moments. A row of kind `gap_closed` stands for
/// movements of which the records were lost: so much of the lot went by some of them.
#[utoipa::path(get, path = "/v1/inventory/lots/{lot}/orders", tag = "lots",
    params(("lot" = String, Path, description = "Lot", example = "L-2031"), PageQuery),
    responses(
        (status = 200, description = "A page", body = LotSalePage),
        (status = 400, description = "`cursor_malformed`"),
        (status = 403, description = "`role_required`"),
        (status = 404, description = "`lot_not_found`"),
        (status = 422, description = "`limit_out_of_range`, `query_invalid`"),
    ))]
fn lot_orders() {}

/// Recalls a lot, at all locations: what is on hand of it is `quarantined` from now on, and so is what comes in of it.
/// It answers once that is so everywhere. What is reserved beyond what is left opens an exception. The token must
/// reach all stores. Roles: store manager, warehouse staff, integration, operator.
#[utoipa::path(post, path = "/v1/inventory/lots/{lot}/quarantine", tag = "lots",
    params(("lot" = String, Path, description = "Lot", example = "L-2031"), IdempotencyHeader),
    request_body = ChangeLotRequest,
    responses(
        (status = 200, description = "Recalled; a replay answers the same", body = Lot, headers(("ETag" = String))),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`"),
        (status = 403, description = "`role_required`, `all_stores_required`"),
        (status = 404, description = "`lot_not_found`"),
        (status = 409, description = "`lot_status_same`: it is so already (`lot_status`)"),
        (status = 422, description = "`field_invalid`, `reason_invalid`, `text_too_long`, `text_malformed`, `card_number_refused`, `idempotency_key_reused`"),
    ))]
fn quarantine_lot() {}

/// Gives a lot back for sale, at all locations where its last day of sale is not over. Roles and answers as for
/// `quarantine`.
#[utoipa::path(post, path = "/v1/inventory/lots/{lot}/release", tag = "lots",
    params(("lot" = String, Path, description = "Lot", example = "L-2031"), IdempotencyHeader),
    request_body = ChangeLotRequest,
    responses(
        (status = 200, description = "Released; a replay answers the same", body = Lot, headers(("ETag" = String))),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`"),
        (status = 403, description = "`role_required`, `all_stores_required`"),
        (status = 404, description = "`lot_not_found`"),
        (status = 409, description = "`lot_status_same`: it is so already (`lot_status`)"),
        (status = 422, description = "`field_invalid`, `reason_invalid`, `text_too_long`, `text_malformed`, `card_number_refused`, `idempotency_key_reused`"),
    ))]
fn release_lot() {}

/// Quarantines a lot at one location: what is on hand of it there is `quarantined` from now on, and so is what comes in
/// of it there. Elsewhere it goes on being sold. What is reserved beyond what is left opens an exception. Roles: store
/// manager, warehouse staff, integration, operator; the token must reach the location.
#[utoipa::path(post, path = "/v1/inventory/lots/{lot}/locations/{location_id}/quarantine", tag = "lots",
    params(
        ("lot" = String, Path, description = "Lot", example = "L-2031"),
        ("location_id" = String, Path, description = "Location", example = "s-uk-1"),
        IdempotencyHeader,
    ),
    request_body = ChangeLotRequest,
    responses(
        (status = 200, description = "Quarantined there; a replay answers the same", body = LotHere, headers(("ETag" = String))),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`lot_not_found`, `location_not_found`"),
        (status = 409, description = "`lot_status_same`: it is so already (`lot_status`); `too_many_lots`"),
        (status = 422, description = "`field_invalid`, `reason_invalid`, `text_too_long`, `text_malformed`, `card_number_refused`, `location_id_malformed`, `idempotency_key_reused`"),
    ))]
fn quarantine_lot_here() {}

/// Ends the quarantine of a lot at one location: what there is of it is for sale again, unless it is recalled
/// everywhere or its last day of sale is over. Roles as for `quarantine`.
#[utoipa::path(post, path = "/v1/inventory/lots/{lot}/locations/{location_id}/release", tag = "lots",
    params(
        ("lot" = String, Path, description = "Lot", example = "L-2031"),
        ("location_id" = String, Path, description = "Location", example = "s-uk-1"),
        IdempotencyHeader,
    ),
    request_body = ChangeLotRequest,
    responses(
        (status = 200, description = "Released there; a replay answers the same", body = LotHere, headers(("ETag" = String))),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`lot_not_found`, `location_not_found`"),
        (status = 409, description = "`lot_status_same`: it is not quarantined there (`lot_status`); `lot_recalled`: only a release everywhere releases it"),
        (status = 422, description = "`field_invalid`, `reason_invalid`, `text_too_long`, `text_malformed`, `card_number_refused`, `location_id_malformed`, `idempotency_key_reused`"),
    ))]
fn release_lot_here() {}
