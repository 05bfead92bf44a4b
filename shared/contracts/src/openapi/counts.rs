//! Count sheets.

use utoipa::OpenApi;

use super::headers::{IdempotencyHeader, IfMatchHeader};
use crate::counts::{
    CancelCountRequest, CloseCountRequest, CountPage, CountQuery, CountRecorded, CountSheet,
    OpenCountRequest, RecordCountRequest,
};

/// This area.
#[derive(OpenApi)]
#[openapi(paths(open_count, list_counts, get_count, record_count, close_count, cancel_count))]
pub struct Api;

/// Opens a count sheet: of SKUs that are named, of a category, or of all stock of a location. Roles: store manager,
/// warehouse staff, operator.
#[utoipa::path(post, path = "/v1/inventory/counts", tag = "counts", params(IdempotencyHeader),
    request_body = OpenCountRequest,
    responses(
        (status = 201, description = "Open; a replay answers the same", body = CountSheet, headers(("ETag" = String))),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`, `cursor_malformed`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`location_not_found`"),
        (status = 409, description = "`count_exists`; `nothing_to_count` with `next_cursor`, null where there is nothing more to look at"),
        (status = 422, description = "`field_invalid`, `selection_invalid`, `field_not_expected`, `limit_out_of_range`, `lines_out_of_range`, `category_invalid`, `location_id_malformed`, `sku_malformed`, `id_malformed`, `card_number_refused`, `sku_unknown`, `sku_not_stocked`, `idempotency_key_reused`"),
    ))]
fn open_count() {}

/// The count sheets of a location, the oldest first.
#[utoipa::path(get, path = "/v1/inventory/counts", tag = "counts", params(CountQuery),
    responses(
        (status = 200, description = "A page", body = CountPage),
        (status = 400, description = "`cursor_malformed`"),
        (status = 403, description = "`store_out_of_reach`"),
        (status = 422, description = "`limit_out_of_range`, `location_id_malformed`, `query_invalid`"),
    ))]
fn list_counts() {}

/// One count sheet. A blind one does not say what the books say, to anybody, until it is closed.
#[utoipa::path(get, path = "/v1/inventory/counts/{id}", tag = "counts",
    params(("id" = String, Path, description = "Count sheet", example = "count-1")),
    responses(
        (status = 200, description = "It; the `ETag` holds its version", body = CountSheet, headers(("ETag" = String))),
        (status = 403, description = "`store_out_of_reach`"),
        (status = 404, description = "`count_not_found`"),
    ))]
fn get_count() {}

/// Records what was counted, each line with what the books say at that moment: what is sold between the counting and
/// the closing is no variance. A line that was counted before is counted anew. A SKU that is kept by lots may be
/// counted lot by lot (`lots`): then each lot has its variance, and closing corrects each. Roles: cashier, store manager,
/// warehouse staff, operator.
#[utoipa::path(post, path = "/v1/inventory/counts/{id}/lines", tag = "counts",
    params(("id" = String, Path, description = "Count sheet", example = "count-1"), IdempotencyHeader, IfMatchHeader),
    request_body = RecordCountRequest,
    responses(
        (status = 200, description = "Recorded; a replay answers the same", body = CountRecorded, headers(("ETag" = String))),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`, `if_match_malformed`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`count_not_found`"),
        (status = 409, description = "`count_closed`, `count_cancelled`, `too_many_reasons`, `too_many_counted_lots`; `lot_not_for_sale` with its `lot_status`"),
        (status = 412, description = "`version_mismatch`"),
        (status = 422, description = "`field_invalid`, `lines_out_of_range`, `sku_malformed`, `sku_twice`, `sku_not_in_count`, `quantity_invalid`, `reason_invalid`, `lots_out_of_range`, `lot_twice`, `lots_sum_differs`, `lots_missing` with the `lots` that the books have too, `lot_unknown`, `lot_of_another_sku`, `sku_without_lots`, `id_malformed`, `text_too_long`, `text_malformed`, `card_number_refused`, `idempotency_key_reused`"),
    ))]
fn record_count() {}

/// Closes a count sheet: on hand of each line that was counted changes by its variance, in a movement of kind `count`
/// that names the sheet. Lines that nobody counted stay as they are. Above the tenant's limit it needs an approval of
/// exactly this sheet, or a store manager. Roles: store manager, warehouse staff, operator.
#[utoipa::path(post, path = "/v1/inventory/counts/{id}/close", tag = "counts",
    params(("id" = String, Path, description = "Count sheet", example = "count-1"), IdempotencyHeader, IfMatchHeader),
    request_body = Option<CloseCountRequest>,
    responses(
        (status = 200, description = "Closed; a replay answers the same", body = CountSheet, headers(("ETag" = String))),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`, `if_match_malformed`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`, `approval_required`, `approval_not_found`, `approval_does_not_match`, `approval_denied`"),
        (status = 404, description = "`count_not_found`"),
        (status = 409, description = "`count_closed`, `count_cancelled`, `nothing_counted`, `approval_pending`, `approval_expired`, `approval_used`"),
        (status = 412, description = "`version_mismatch`"),
        (status = 422, description = "`field_invalid`, `reason_invalid`, `text_too_long`, `text_malformed`, `id_malformed`, `card_number_refused`, `idempotency_key_reused`"),
    ))]
fn close_count() {}

/// Cancels a count sheet: nothing of it comes into the books. Roles: store manager, warehouse staff, operator.
#[utoipa::path(post, path = "/v1/inventory/counts/{id}/cancel", tag = "counts",
    params(("id" = String, Path, description = "Count sheet", example = "count-1"), IdempotencyHeader, IfMatchHeader),
    request_body = CancelCountRequest,
    responses(
        (status = 200, description = "Cancelled; a replay answers the same", body = CountSheet, headers(("ETag" = String))),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`, `if_match_malformed`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`count_not_found`"),
        (status = 409, description = "`count_closed`, `count_cancelled`"),
        (status = 412, description = "`version_mismatch`"),
        (status = 422, description = "`field_invalid`, `reason_invalid`, `text_too_long`, `text_malformed`, `card_number_refused`, `idempotency_key_reused`"),
    ))]
fn cancel_count() {}
