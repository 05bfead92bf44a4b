//! Transfers between locations.

use utoipa::OpenApi;

use super::headers::{IdempotencyHeader, IfMatchHeader};
use crate::inventory::ShortLine;
use crate::transfers::{
    CancelTransferRequest, ReceiveTransferRequest, RejectTransferRequest, Transfer, TransferDirection,
    TransferPage, TransferQuery, TransferRequest,
};

/// This area.
#[derive(OpenApi)]
#[openapi(
    paths(ship_transfer, list_transfers, get_transfer, receive_transfer, reject_transfer, cancel_transfer),
    components(schemas(ShortLine, TransferDirection))
)]
pub struct Api;

/// Ships goods to another location: all lines or none. They are on their way until they are received or
/// refused. Roles: store manager, warehouse staff, integration, operator.
#[utoipa::path(post, path = "/v1/stock-movements/transfer", tag = "transfers", params(IdempotencyHeader),
    request_body = TransferRequest,
    responses(
        (status = 201, description = "Shipped; a replay answers the same", body = Transfer),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`location_not_found`"),
        (status = 409, description = "`insufficient_stock` with `lines` (ShortLine): what is available, coming, elsewhere; `transfer_exists`"),
        (status = 422, description = "`field_invalid`, `lines_out_of_range`, `transfer_to_itself`, `quantity_invalid`, `id_malformed`, `location_id_malformed`, `sku_malformed`, `sku_unknown`, `sku_not_stocked`, `sku_is_a_kit`, `text_too_long`, `text_malformed`, `card_number_refused`, `idempotency_key_reused`"),
    ))]
fn ship_transfer() {}

/// The transfers to or from a location, the oldest first.
#[utoipa::path(get, path = "/v1/stock-movements/transfer", tag = "transfers", params(TransferQuery),
    responses(
        (status = 200, description = "A page", body = TransferPage),
        (status = 400, description = "`cursor_malformed`"),
        (status = 403, description = "`store_out_of_reach`"),
        (status = 422, description = "`limit_out_of_range`, `location_id_malformed`, `query_invalid`"),
    ))]
fn list_transfers() {}

/// One transfer, for whoever reaches one of its ends.
#[utoipa::path(get, path = "/v1/stock-movements/transfer/{id}", tag = "transfers",
    params(("id" = String, Path, description = "Transfer", example = "t-1")),
    responses(
        (status = 200, description = "It", body = Transfer),
        (status = 403, description = "`store_out_of_reach`"),
        (status = 404, description = "`transfer_not_found`"),
    ))]
fn get_transfer() {}

/// Some of it, or all of it, arrived: fit for sale, or damaged. Of goods that are kept by lots a line may say of which.
#[utoipa::path(post, path = "/v1/stock-movements/transfer/{id}/receive", tag = "transfers",
    params(("id" = String, Path, description = "Transfer", example = "t-1"), IdempotencyHeader, IfMatchHeader),
    request_body = Option<ReceiveTransferRequest>,
    responses(
        (status = 200, description = "Received; a replay answers the same", body = Transfer),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`, `if_match_malformed`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`transfer_not_found`"),
        (status = 409, description = "`transfer_closed` with `transfer_status`; `above_shipped` with `sku` and `outstanding`, and `lot` where it is of one; `too_many_steps`"),
        (status = 412, description = "`version_mismatch`"),
        (status = 422, description = "`field_invalid`, `lines_out_of_range`, `sku_malformed`, `sku_not_in_transfer`, `lot_not_in_transfer`, `id_malformed`, `card_number_refused`, `quantity_invalid`, `nothing_counted`, `idempotency_key_reused`"),
    ))]
fn receive_transfer() {}

/// Some of it, or all that is on its way, is refused: it goes back to the source, or stays as damaged.
#[utoipa::path(post, path = "/v1/stock-movements/transfer/{id}/reject", tag = "transfers",
    params(("id" = String, Path, description = "Transfer", example = "t-1"), IdempotencyHeader, IfMatchHeader),
    request_body = RejectTransferRequest,
    responses(
        (status = 200, description = "Refused; a replay answers the same", body = Transfer),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`, `if_match_malformed`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`transfer_not_found`"),
        (status = 409, description = "`transfer_closed` with `transfer_status`; `above_shipped` with `sku` and `outstanding`, and `lot` where it is of one; `too_many_steps`"),
        (status = 412, description = "`version_mismatch`"),
        (status = 422, description = "`field_invalid`, `lines_out_of_range`, `sku_malformed`, `sku_not_in_transfer`, `lot_not_in_transfer`, `id_malformed`, `quantity_invalid`, `nothing_counted`, `reason_invalid`, `text_too_long`, `text_malformed`, `card_number_refused`, `idempotency_key_reused`"),
    ))]
fn reject_transfer() {}

/// All of it goes back to the source, as long as none of it was received or refused.
#[utoipa::path(post, path = "/v1/stock-movements/transfer/{id}/cancel", tag = "transfers",
    params(("id" = String, Path, description = "Transfer", example = "t-1"), IdempotencyHeader, IfMatchHeader),
    request_body = CancelTransferRequest,
    responses(
        (status = 200, description = "Cancelled; a replay answers the same", body = Transfer),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`, `if_match_malformed`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`transfer_not_found`"),
        (status = 409, description = "`transfer_closed` with `transfer_status`; `transfer_not_cancellable`"),
        (status = 412, description = "`version_mismatch`"),
        (status = 422, description = "`field_invalid`, `reason_invalid`, `text_too_long`, `text_malformed`, `card_number_refused`, `idempotency_key_reused`"),
    ))]
fn cancel_transfer() {}
