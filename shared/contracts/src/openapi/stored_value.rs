//! Gift cards and customers' accounts.

use utoipa::OpenApi;

use super::headers::{IdempotencyHeader, IfMatchHeader};
use crate::stored_value::{
    BlockStoredValue, IssueStoredValue, MoveStoredValue, StoredValueMovementFilter, StoredValueMovementList,
    StoredValueView,
};

/// This area.
#[derive(OpenApi)]
#[openapi(paths(
    issue_stored_value,
    get_stored_value,
    credit_stored_value,
    debit_stored_value,
    block_stored_value,
    unblock_stored_value,
    list_stored_value_movements
))]
pub struct Api;

/// Issues a gift card or an account, once.
///
/// For `store_manager` and `integration`. It is spent at tills where the tenant's settings say so.
#[utoipa::path(post, path = "/v1/stored-value", tag = "stored value", params(IdempotencyHeader), request_body = IssueStoredValue,
    responses(
        (status = 201, description = "It is issued, now or before; as it stands now", body = StoredValueView, headers(("ETag" = String), ("Idempotent-Replayed" = Option<bool>, description = "`true` where it took effect before"))),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`"),
        (status = 403, description = "`role_required`"),
        (status = 409, description = "`stored_value_exists`"),
        (status = 422, description = "`field_invalid`, `id_malformed`, `gift_card_number_malformed`, `card_number_refused`, `amount_out_of_range`, `expires_at_past`, `customer_required`, `reason_required`, `text_too_long`, `text_malformed`, `idempotency_key_reused`"),
    ))]
fn issue_stored_value() {}

/// A gift card or account as it stands now. For `cashier`, `store_manager` and `integration`.
#[utoipa::path(get, path = "/v1/stored-value/{id}", tag = "stored value", params(("id" = String, Path, description = "Gift card number, or the account's id", example = "GC-7Q2M-PX41")),
    responses(
        (status = 200, description = "It", body = StoredValueView, headers(("ETag" = String))),
        (status = 403, description = "`role_required`"),
        (status = 404, description = "`stored_value_not_found`"),
        (status = 422, description = "`id_malformed`, `card_number_refused`"),
    ))]
fn get_stored_value() {}

/// Pays money in, once. For `store_manager` and `integration`.
#[utoipa::path(post, path = "/v1/stored-value/{id}/credit", tag = "stored value", params(("id" = String, Path, description = "Gift card number, or the account's id", example = "GC-7Q2M-PX41"), IdempotencyHeader, IfMatchHeader), request_body = MoveStoredValue,
    responses(
        (status = 200, description = "It is paid in, now or before; as it stands now", body = StoredValueView, headers(("ETag" = String), ("Idempotent-Replayed" = Option<bool>, description = "`true` where it took effect before"))),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`, `if_match_malformed`"),
        (status = 403, description = "`role_required`"),
        (status = 404, description = "`stored_value_not_found`"),
        (status = 412, description = "`If-Match` names another version (`version_mismatch`)"),
        (status = 422, description = "`field_invalid`, `id_malformed`, `card_number_refused`, `amount_not_positive`, `amount_out_of_range`, `reason_required`, `text_too_long`, `text_malformed`, `idempotency_key_reused`"),
    ))]
fn credit_stored_value() {}

/// Pays money out by hand, once, and never below zero; of one that is blocked or over, too. For `store_manager`
/// and `integration`.
#[utoipa::path(post, path = "/v1/stored-value/{id}/debit", tag = "stored value", params(("id" = String, Path, description = "Gift card number, or the account's id", example = "GC-7Q2M-PX41"), IdempotencyHeader, IfMatchHeader), request_body = MoveStoredValue,
    responses(
        (status = 200, description = "It is paid out, now or before; as it stands now", body = StoredValueView, headers(("ETag" = String), ("Idempotent-Replayed" = Option<bool>, description = "`true` where it took effect before"))),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`, `if_match_malformed`"),
        (status = 403, description = "`role_required`"),
        (status = 404, description = "`stored_value_not_found`"),
        (status = 409, description = "`insufficient_balance` with what is `left`"),
        (status = 412, description = "`If-Match` names another version (`version_mismatch`)"),
        (status = 422, description = "`field_invalid`, `id_malformed`, `card_number_refused`, `amount_not_positive`, `amount_out_of_range`, `reason_required`, `text_too_long`, `text_malformed`, `idempotency_key_reused`"),
    ))]
fn debit_stored_value() {}

/// Stops it from being spent, once. For `store_manager` and `integration`.
#[utoipa::path(post, path = "/v1/stored-value/{id}/block", tag = "stored value", params(("id" = String, Path, description = "Gift card number, or the account's id", example = "GC-7Q2M-PX41"), IdempotencyHeader, IfMatchHeader), request_body = BlockStoredValue,
    responses(
        (status = 200, description = "It is blocked, now or before; as it stands now", body = StoredValueView, headers(("ETag" = String), ("Idempotent-Replayed" = Option<bool>, description = "`true` where it took effect before"))),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`, `if_match_malformed`"),
        (status = 403, description = "`role_required`"),
        (status = 404, description = "`stored_value_not_found`"),
        (status = 409, description = "`stored_value_blocked`"),
        (status = 412, description = "`If-Match` names another version (`version_mismatch`)"),
        (status = 422, description = "`field_invalid`, `id_malformed`, `card_number_refused`, `reason_required`, `text_too_long`, `text_malformed`, `idempotency_key_reused`"),
    ))]
fn block_stored_value() {}

/// Lets it be spent again, once. For `store_manager` and `integration`.
#[utoipa::path(post, path = "/v1/stored-value/{id}/unblock", tag = "stored value", params(("id" = String, Path, description = "Gift card number, or the account's id", example = "GC-7Q2M-PX41"), IdempotencyHeader, IfMatchHeader), request_body = BlockStoredValue,
    responses(
        (status = 200, description = "It is not blocked any more, since now or before; as it stands now", body = StoredValueView, headers(("ETag" = String), ("Idempotent-Replayed" = Option<bool>, description = "`true` where it took effect before"))),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`, `if_match_malformed`"),
        (status = 403, description = "`role_required`"),
        (status = 404, description = "`stored_value_not_found`"),
        (status = 409, description = "`stored_value_not_blocked`"),
        (status = 412, description = "`If-Match` names another version (`version_mismatch`)"),
        (status = 422, description = "`field_invalid`, `id_malformed`, `card_number_refused`, `reason_required`, `text_too_long`, `text_malformed`, `idempotency_key_reused`"),
    ))]
fn unblock_stored_value() {}

/// Lists what moved a balance, newest first; all of it together is the balance. For `store_manager` and
/// `integration`.
#[utoipa::path(get, path = "/v1/stored-value/{id}/movements", tag = "stored value", params(("id" = String, Path, description = "Gift card number, or the account's id", example = "GC-7Q2M-PX41"), StoredValueMovementFilter),
    responses(
        (status = 200, description = "A page", body = StoredValueMovementList),
        (status = 400, description = "`cursor_malformed`"),
        (status = 403, description = "`role_required`"),
        (status = 404, description = "`stored_value_not_found`"),
        (status = 422, description = "`limit_out_of_range`, `id_malformed`, `card_number_refused`, `query_invalid`"),
    ))]
fn list_stored_value_movements() {}
