//! Locations, stock, reservations, movements.

use utoipa::OpenApi;

use super::headers::{IdempotencyHeader, IfMatchHeader};
use crate::catalog::{LocationBody, LocationList, LocationReply};
use crate::inventory::{
    CommitRequest, Conservation, ConservationQuery, CorrectDifferenceRequest, ExceptionQuery, ExtendRequest,
    MovementQuery, NoFields, PageQuery, Reservation, ReserveRequest, ResolveExceptionRequest, RestockRequest,
    Restocked, ShortLine, StockChanges, StockChangesQuery, StockException, StockExceptionPage, StockLevel,
    StockLevelPage, StockListQuery, StockMovementPage, StockUpdateRequest, StockUpdated, UnsourcedLine,
};

/// This area.
#[derive(OpenApi)]
#[openapi(
    paths(
        list_locations,
        create_location,
        get_location,
        location_inventory,
        list_warehouses,
        list_retail_locations,
        list_stock,
        sku_stock,
        one_stock,
        update_stock,
        restock,
        reserve,
        get_reservation,
        commit_reservation,
        release_reservation,
        extend_reservation,
        list_movements,
        stock_changes,
        prove_conservation,
        list_exceptions,
        resolve_exception,
        correct_exception
    ),
    components(schemas(ShortLine, UnsourcedLine))
)]
pub struct Api;

/// All locations in reach, by id.
#[utoipa::path(get, path = "/v1/locations", tag = "locations", params(PageQuery),
    responses(
        (status = 200, description = "A page", body = LocationList),
        (status = 400, description = "`cursor_malformed`"),
        (status = 422, description = "`limit_out_of_range`, `query_invalid`"),
    ))]
fn list_locations() {}

/// Makes a location. Roles: store manager, integration, operator.
#[utoipa::path(post, path = "/v1/locations", tag = "locations", params(IdempotencyHeader),
    request_body = LocationBody,
    responses(
        (status = 201, description = "Made; the `ETag` holds its version", body = LocationReply),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 409, description = "`location_exists`"),
        (status = 422, description = "`field_invalid`, `kind_fixed`, `idempotency_key_reused`"),
    ))]
fn create_location() {}

/// One location.
#[utoipa::path(get, path = "/v1/locations/{id}", tag = "locations",
    params(("id" = String, Path, description = "Location", example = "s-uk-1")),
    responses(
        (status = 200, description = "It; the `ETag` holds its version", body = LocationReply),
        (status = 403, description = "`store_out_of_reach`"),
        (status = 404, description = "`location_not_found`"),
    ))]
fn get_location() {}

/// The stock of a location, by SKU.
#[utoipa::path(get, path = "/v1/locations/{id}/inventory", tag = "inventory",
    params(("id" = String, Path, description = "Location", example = "s-uk-1"), PageQuery),
    responses(
        (status = 200, description = "A page", body = StockLevelPage),
        (status = 400, description = "`cursor_malformed`"),
        (status = 403, description = "`store_out_of_reach`"),
        (status = 404, description = "`location_not_found`"),
        (status = 422, description = "`limit_out_of_range`, `location_id_malformed`, `query_invalid`"),
    ))]
fn location_inventory() {}

/// The warehouses in reach.
#[utoipa::path(get, path = "/v1/warehouses", tag = "locations", params(PageQuery),
    responses(
        (status = 200, description = "A page", body = LocationList),
        (status = 400, description = "`cursor_malformed`"),
        (status = 422, description = "`limit_out_of_range`, `query_invalid`"),
    ))]
fn list_warehouses() {}

/// The stores in reach.
#[utoipa::path(get, path = "/v1/retail-locations", tag = "locations", params(PageQuery),
    responses(
        (status = 200, description = "A page", body = LocationList),
        (status = 400, description = "`cursor_malformed`"),
        (status = 422, description = "`limit_out_of_range`, `query_invalid`"),
    ))]
fn list_retail_locations() {}

/// Stock of all locations in reach, filtered. A page may be short, or empty, although there are more.
/// Lists are a moment behind; expired holds count as free.
#[utoipa::path(get, path = "/v1/inventory", tag = "inventory", params(StockListQuery),
    responses(
        (status = 200, description = "A page, by location and SKU", body = StockLevelPage),
        (status = 400, description = "`cursor_malformed`"),
        (status = 403, description = "`store_out_of_reach`"),
        (status = 422, description = "`limit_out_of_range`, `location_id_malformed`, `sku_malformed`, `query_invalid`"),
    ))]
fn list_stock() {}

/// Stock of a SKU at every location in reach; of a kit, wherever its first component has stock.
#[utoipa::path(get, path = "/v1/inventory/{sku}", tag = "inventory",
    params(("sku" = String, Path, description = "SKU. One named as a route beside (`movements`, `conservation`, `exceptions`, `counts`, `backorders`, `alerts`, `suggestions`, `turnover`, `lots`): `GET /v1/inventory?sku=`"), PageQuery),
    responses(
        (status = 200, description = "A page, by location", body = StockLevelPage),
        (status = 400, description = "`cursor_malformed`"),
        (status = 404, description = "`sku_not_found`"),
        (status = 422, description = "`limit_out_of_range`, `sku_malformed`, `query_invalid`"),
    ))]
fn sku_stock() {}

/// Stock of a SKU at a location, as of now, its expired holds freed; of a kit, what its components make.
#[utoipa::path(get, path = "/v1/inventory/{location_id}/{sku}", tag = "inventory",
    params(("location_id" = String, Path, description = "Location"), ("sku" = String, Path, description = "SKU")),
    responses(
        (status = 200, description = "It; the `ETag` holds its version", body = StockLevel),
        (status = 403, description = "`store_out_of_reach`"),
        (status = 404, description = "`stock_not_found`"),
        (status = 422, description = "`location_id_malformed`, `sku_malformed`"),
    ))]
fn one_stock() {}

/// Adjusts on hand by a signed quantity, or sets it to what was counted. A delta never takes more than
/// is available; a count may find less than is promised, and then opens an exception. Of a product whose stock is kept by
/// lots it may be of one lot; `assign` says of which lot some of it is that was of no known one. `damage` takes from the
/// shelf what is found damaged, `repair` brings it back, and `write_off` is of what is gone for good. Roles: store manager,
/// warehouse staff, integration, operator.
#[utoipa::path(post, path = "/v1/inventory/update", tag = "inventory",
    params(IdempotencyHeader, IfMatchHeader),
    request_body = StockUpdateRequest,
    responses(
        (status = 200, description = "Done; a replay answers the same", body = StockUpdated, headers(("ETag" = String))),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`, `if_match_malformed`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`location_not_found`"),
        (status = 409, description = "`version_conflict` with `current_version`; `insufficient_stock` with `lines` (ShortLine), or with `lot` where there is less of the lot, or less of no known lot (`unknown`), or less that is damaged (`damaged`); `lot_expires_otherwise` with its `expires_on`; `too_many_lots`"),
        (status = 412, description = "`If-Match` names another version (`version_mismatch`)"),
        (status = 422, description = "`field_invalid`, `quantity_invalid`, `reason_invalid`, `card_number_refused`, `sku_unknown`, `sku_not_stocked`, `sku_is_a_kit`, `id_malformed`, `sku_without_lots`, `lot_of_another_sku` with `lot_sku`, `lot_unknown`, `lot_required`, `lot_not_kept`, `expires_on_without_lot`, `expires_on_invalid`, `idempotency_key_reused`"),
    ))]
fn update_stock() {}

/// Takes in a delivery that no purchase order is for. It makes a stock item that is missing. Roles: store manager,
/// warehouse staff, integration, operator.
#[utoipa::path(post, path = "/v1/inventory/restock", tag = "inventory", params(IdempotencyHeader),
    request_body = RestockRequest,
    responses(
        (status = 200, description = "Done; a replay answers the same", body = Restocked, headers(("ETag" = String))),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`location_not_found`"),
        (status = 409, description = "`lot_expires_otherwise` with its `expires_on`; `too_many_lots`"),
        (status = 422, description = "`sku_without_lots`, `lot_of_another_sku` with `lot_sku`, `expires_on_without_lot`, `expires_on_invalid`, `field_invalid`, `quantity_invalid`, `location_id_malformed`, `sku_malformed`, `id_malformed`, `reference_invalid`, `reason_invalid`, `text_too_long`, `text_malformed`, `card_number_refused`, `supplier_unknown`, `sku_unknown`, `sku_not_stocked`, `idempotency_key_reused`"),
    ))]
fn restock() {}

/// Holds stock for a time: all lines or none, up to 1,000 of them. Lines may leave open from where (`sourcing`). Roles:
/// cashier, store manager, warehouse staff, integration, operator.
#[utoipa::path(post, path = "/v1/inventory/reserve", tag = "reservations", params(IdempotencyHeader),
    request_body = ReserveRequest,
    responses(
        (status = 201, description = "Held; a replay answers the same", body = Reservation),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`location_not_found`"),
        (status = 409, description = "`insufficient_stock` with `lines` (ShortLine, with `sourcing` UnsourcedLine): what is available, coming, elsewhere; `reservation_exists`"),
        (status = 422, description = "`field_invalid`, `lines_out_of_range`, `too_many_lines`, `too_many_kits`, `ttl_out_of_range`, `quantity_invalid`, `id_malformed`, `location_id_malformed`, `sku_unknown`, `sku_not_stocked`, `variant_required`, `kit_component_unknown`, `kit_component_is_a_kit`, `kit_component_quantity`, `idempotency_key_reused`; with `sourcing`: `location_required`, `location_not_allowed`, `locations_required`, `locations_out_of_range`, `location_repeated`, `sourcing_too_large`, `near_required`, `near_not_allowed`, `near_malformed`, `latitude_out_of_range`, `longitude_out_of_range`, `location_without_coordinates`"),
    ))]
fn reserve() {}

/// One reservation.
#[utoipa::path(get, path = "/v1/inventory/reservations/{id}", tag = "reservations",
    params(("id" = String, Path, description = "Reservation", example = "v-1")),
    responses(
        (status = 200, description = "It", body = Reservation),
        (status = 403, description = "`store_out_of_reach`"),
        (status = 404, description = "`reservation_not_found`"),
    ))]
fn get_reservation() {}

/// Sells what is held, or what is named of it: on hand falls. The rest goes on being held. A kit is named as it
/// was reserved, and its components are sold; what is held for kits is not sold by naming a component.
#[utoipa::path(post, path = "/v1/inventory/reservations/{id}/commit", tag = "reservations",
    params(("id" = String, Path, description = "Reservation", example = "v-1"), IdempotencyHeader),
    request_body = Option<CommitRequest>,
    responses(
        (status = 200, description = "Committed, or active with what is left; a replay answers the same", body = Reservation),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`reservation_not_found`"),
        (status = 409, description = "`reservation_not_active`, `reservation_expired`, `commit_above_held`, `too_many_commits`, `lots_of_long_reservation`; `lot_short`, `lot_expired`, `lot_quarantined`, `lot_recalled` with `lots` (of each what is there of it, and which `others` are for sale); `insufficient_stock` where a count found less than is held"),
        (status = 422, description = "`field_invalid`, `lot_unknown`, `lot_of_another_sku`, `sku_without_lots`, `id_malformed`, `lines_out_of_range`, `location_required`, `line_not_reserved`, `quantity_invalid`, `idempotency_key_reused`"),
    ))]
fn commit_reservation() {}

/// Gives back what is held.
#[utoipa::path(post, path = "/v1/inventory/reservations/{id}/release", tag = "reservations",
    params(("id" = String, Path, description = "Reservation", example = "v-1"), IdempotencyHeader),
    request_body = Option<NoFields>,
    responses(
        (status = 200, description = "Released; a replay answers the same", body = Reservation),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`reservation_not_found`"),
        (status = 409, description = "`reservation_not_active`"),
        (status = 422, description = "`field_invalid`, `idempotency_key_reused`"),
    ))]
fn release_reservation() {}

/// Holds for longer; never shortens.
#[utoipa::path(post, path = "/v1/inventory/reservations/{id}/extend", tag = "reservations",
    params(("id" = String, Path, description = "Reservation", example = "v-1"), IdempotencyHeader),
    request_body = ExtendRequest,
    responses(
        (status = 200, description = "Extended; a replay answers the same", body = Reservation),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`reservation_not_found`"),
        (status = 409, description = "`reservation_not_active`, `reservation_expired`, `too_many_extensions`"),
        (status = 422, description = "`field_invalid`, `ttl_out_of_range`, `idempotency_key_reused`"),
    ))]
fn extend_reservation() {}

/// The movements of a SKU at a location, newest first; moments behind the stock itself.
#[utoipa::path(get, path = "/v1/inventory/movements", tag = "inventory", params(MovementQuery),
    responses(
        (status = 200, description = "A page", body = StockMovementPage),
        (status = 400, description = "`cursor_malformed`"),
        (status = 403, description = "`store_out_of_reach`"),
        (status = 404, description = "`stock_not_found`"),
        (status = 422, description = "`limit_out_of_range`, `location_id_malformed`, `sku_malformed`, `query_invalid`"),
    ))]
fn list_movements() {}

/// What changed since, each stock item once, as it stands now. A reader that begins without `since`, then lists
/// the stock, and then goes on from `next_since` has the same table as the shop: it misses nothing, also nothing that
/// the list did not show yet, and is told again what changed in the minute before it began. Moments behind.
#[utoipa::path(get, path = "/v1/inventory/updates", tag = "inventory", params(StockChangesQuery),
    responses(
        (status = 200, description = "What changed", body = StockChanges),
        (status = 400, description = "`cursor_malformed`: `since` is not one that this feed gave"),
        (status = 409, description = "`since_too_old`, `since_ahead`: list the stock and begin anew"),
        (status = 422, description = "`limit_out_of_range`, `wait_out_of_range`, `query_invalid`"),
    ))]
fn stock_changes() {}

/// The proof that the counters are the sum of the movements.
#[utoipa::path(get, path = "/v1/inventory/conservation", tag = "inventory", params(ConservationQuery),
    responses(
        (status = 200, description = "Whether it holds, and up to where", body = Conservation),
        (status = 403, description = "`store_out_of_reach`"),
        (status = 404, description = "`stock_not_found`"),
        (status = 422, description = "`location_id_malformed`, `sku_malformed`, `query_invalid`"),
    ))]
fn prove_conservation() {}

/// The exceptions of a location, the oldest first: where a register that was cut off sold more than there
/// was (`oversold_offline`), goods were taken before anybody told their stock (`unsynced_stock`), a count left less than is
/// promised (`below_promised`), such a register or another system gave a coupon or promotion more often than it may be
/// (`uses_above_limit`), asked another total for a sale than its lines come to, gave change in an exchange that nobody
/// told of or more cash back than a return comes to (`total_differs`), told of a sale after a count that had missed its goods (`sold_before_count`) or said that
/// its goods were of a lot that they cannot be of (`lot_mismatch`), such a register moved cash or voided without
/// the approval that it needed (`cash_not_approved`), or what stock says of itself differs (`difference`).
#[utoipa::path(get, path = "/v1/inventory/exceptions", tag = "inventory", params(ExceptionQuery),
    responses(
        (status = 200, description = "A page", body = StockExceptionPage),
        (status = 400, description = "`cursor_malformed`"),
        (status = 403, description = "`store_out_of_reach`"),
        (status = 422, description = "`limit_out_of_range`, `location_id_malformed`, `query_invalid`"),
    ))]
fn list_exceptions() {}

/// Says how an exception was settled, once. It moves no stock: a count does (`POST /v1/inventory/update`). Where enough
/// is found by a count or adjustment, what is still open of `below_promised` resolves itself, by `system`.
/// Roles: store manager, warehouse staff, operator.
#[utoipa::path(post, path = "/v1/inventory/exceptions/{id}/resolve", tag = "inventory",
    params(("id" = String, Path, description = "Exception", example = "x-0f3a9c2b7d1e4f5a6b7c8d9e"), IdempotencyHeader),
    request_body = ResolveExceptionRequest,
    responses(
        (status = 200, description = "Resolved; a replay answers the same", body = StockException),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`exception_not_found`"),
        (status = 409, description = "`exception_resolved`; `exception_reopened` where this very request resolved it and it opened again since"),
        (status = 422, description = "`field_invalid`, `reason_invalid`, `text_too_long`, `text_malformed`, `card_number_refused`, `idempotency_key_reused`"),
    ))]
fn resolve_exception() {}

/// Corrects what stock says of itself, by a movement of kind `reconciliation`, and resolves its exception. It applies to
/// the stock as it was compared: where that moved since, it is compared anew and nothing is corrected. Roles: store
/// manager, operator; warehouse staff with an approval.
#[utoipa::path(post, path = "/v1/inventory/exceptions/{id}/correct", tag = "inventory",
    params(("id" = String, Path, description = "Exception of kind `difference`", example = "x-0f3a9c2b7d1e4f5a6b7c8d9e"), IdempotencyHeader),
    request_body = CorrectDifferenceRequest,
    responses(
        (status = 200, description = "Corrected; a replay answers the same", body = StockException),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`, `approval_required`, `approval_not_found`, `approval_does_not_match`, `approval_denied`"),
        (status = 404, description = "`exception_not_found`"),
        (status = 409, description = "`difference_outdated` with `compared_version`: the stock moved, read the exception and decide again; `exception_resolved`, `exception_reopened` where this very request corrected it and it opened again since, `exception_not_correctable`, `correction_below_zero`, `approval_pending`, `approval_expired`, `approval_used`"),
        (status = 422, description = "`field_invalid`, `reason_invalid`, `text_too_long`, `text_malformed`, `id_malformed`, `card_number_refused`, `idempotency_key_reused`"),
    ))]
fn correct_exception() {}
