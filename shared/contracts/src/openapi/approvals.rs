//! Approvals by a supervisor.

use utoipa::OpenApi;

use super::headers::IdempotencyHeader;
use crate::approvals::{ApprovalFilter, ApprovalList, ApprovalView, AskForApproval, DecideApproval};

/// This area.
#[derive(OpenApi)]
#[openapi(paths(ask_for_approval, list_approvals, get_approval, grant_approval, deny_approval))]
pub struct Api;

/// Asks a supervisor for an approval.
///
/// For `cashier` and `store_manager`; of what is done to stock (`close_count`, `correct_difference`), which is at no
/// register, for `warehouse_staff` and `store_manager`. It is bound to exactly what is asked for, at this register or
/// location, and waits for a decision for the time that the tenant's settings say.
#[utoipa::path(post, path = "/v1/approvals", tag = "approvals", params(IdempotencyHeader), request_body = AskForApproval,
    responses(
        (status = 201, description = "It is asked for, now or before; as it stands now", body = ApprovalView, headers(("Idempotent-Replayed" = Option<bool>, description = "`true` where it took effect before"))),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`, `register_out_of_reach`"),
        (status = 404, description = "`store_not_found`, `register_not_found`, `sku_not_found`, `count_not_found`, `exception_not_found`"),
        (status = 409, description = "`approval_exists`, `count_closed`, `count_cancelled`, `exception_resolved`, `exception_not_correctable`, `too_many_discounts`"),
        (status = 422, description = "`field_invalid`, `field_required`, `field_not_expected`, `id_malformed`, `reason_required`, `text_too_long`, `card_number_refused`, `quantity_invalid`, `discount_value_invalid`, `maximum_goods_required`, `amount_not_positive`, `amount_out_of_range`, `currency_mismatch`, `register_virtual`, `idempotency_key_reused`"),
    ))]
fn ask_for_approval() {}

/// Lists the approvals asked for at a store, newest first; what was asked for a moment ago is among them.
#[utoipa::path(get, path = "/v1/approvals", tag = "approvals", params(ApprovalFilter),
    responses(
        (status = 200, description = "A page", body = ApprovalList),
        (status = 400, description = "`cursor_malformed`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 422, description = "`store_required`, `status_unknown`, `limit_out_of_range`, `id_malformed`, `query_invalid`"),
    ))]
fn list_approvals() {}

/// An approval as it stands now.
#[utoipa::path(get, path = "/v1/approvals/{id}", tag = "approvals", params(("id" = String, Path, description = "Its id", example = "a-1")),
    responses(
        (status = 200, description = "The approval", body = ApprovalView, headers(("ETag" = String))),
        (status = 403, description = "`role_required`"),
        (status = 404, description = "`approval_not_found`"),
        (status = 422, description = "`id_malformed`"),
    ))]
fn get_approval() {}

/// Grants an approval, once.
///
/// For `store_manager`, of a store in reach, and not for whoever asked. A grant is good for one command and
/// for the time that the tenant's settings say.
#[utoipa::path(post, path = "/v1/approvals/{id}/grant", tag = "approvals", params(("id" = String, Path, description = "Its id", example = "a-1"), IdempotencyHeader), request_body = Option<DecideApproval>,
    responses(
        (status = 200, description = "It is granted, now or before; as it stands now", body = ApprovalView, headers(("ETag" = String), ("Idempotent-Replayed" = Option<bool>, description = "`true` where it took effect before"))),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`"),
        (status = 403, description = "`role_required`, `approval_of_own_request`"),
        (status = 404, description = "`approval_not_found`"),
        (status = 409, description = "`approval_decided` with `approval_status`, `approval_expired`"),
        (status = 422, description = "`field_invalid`, `id_malformed`, `text_too_long`, `card_number_refused`, `idempotency_key_reused`"),
    ))]
fn grant_approval() {}

/// Denies an approval, once.
///
/// For `store_manager`, of a store in reach, and not for whoever asked.
#[utoipa::path(post, path = "/v1/approvals/{id}/deny", tag = "approvals", params(("id" = String, Path, description = "Its id", example = "a-1"), IdempotencyHeader), request_body = Option<DecideApproval>,
    responses(
        (status = 200, description = "It is denied, now or before; as it stands now", body = ApprovalView, headers(("ETag" = String), ("Idempotent-Replayed" = Option<bool>, description = "`true` where it took effect before"))),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`"),
        (status = 403, description = "`role_required`, `approval_of_own_request`"),
        (status = 404, description = "`approval_not_found`"),
        (status = 409, description = "`approval_decided` with `approval_status`, `approval_expired`"),
        (status = 422, description = "`field_invalid`, `id_malformed`, `text_too_long`, `card_number_refused`, `idempotency_key_reused`"),
    ))]
fn deny_approval() {}
