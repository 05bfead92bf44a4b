//! Deliveries and dead letters, and the message that HQ gets.

use utoipa::OpenApi;

use super::headers::IdempotencyHeader;
use crate::dispatch::{
    DeadLetterFilter, DeliveryDetail, DeliveryFilter, DeliveryPage, DeliveryView, DiscardRequest,
    ReplayManyReply, ReplayManyRequest,
};

/// This area.
#[derive(OpenApi)]
#[openapi(paths(
    list_deliveries,
    get_delivery,
    list_dead_letters,
    get_dead_letter,
    replay_dead_letter,
    replay_dead_letters,
    discard_dead_letter
))]
pub struct Api;

/// Lists deliveries: by status, within it the latest change first; of one order by version.
#[utoipa::path(get, path = "/v1/dispatch/deliveries", tag = "dispatch", params(DeliveryFilter),
    responses(
        (status = 200, description = "A page; it may be short, and have another after it", body = DeliveryPage),
        (status = 400, description = "`cursor_malformed`"),
        (status = 403, description = "`role_required`"),
        (status = 422, description = "`limit_out_of_range`, `destination_unknown`, `id_malformed`, `query_invalid`"),
    ))]
fn list_deliveries() {}

/// A delivery with every attempt and what is sent.
#[utoipa::path(get, path = "/v1/dispatch/deliveries/{id}", tag = "dispatch",
    params(("id" = String, Path, description = "`<order id>.<order version>`", example = "o-1.1")),
    responses(
        (status = 200, description = "The delivery", body = DeliveryDetail),
        (status = 403, description = "`role_required`"),
        (status = 404, description = "`delivery_not_found`"),
    ))]
fn get_delivery() {}

/// Lists dead letters, the latest first; of one order by version.
#[utoipa::path(get, path = "/v1/dispatch/dead-letters", tag = "dispatch", params(DeadLetterFilter),
    responses(
        (status = 200, description = "A page; it may be short, and have another after it", body = DeliveryPage),
        (status = 400, description = "`cursor_malformed`"),
        (status = 403, description = "`role_required`"),
        (status = 422, description = "`limit_out_of_range`, `destination_unknown`, `id_malformed`, `query_invalid`"),
    ))]
fn list_dead_letters() {}

/// A dead letter with every attempt and what is sent.
#[utoipa::path(get, path = "/v1/dispatch/dead-letters/{id}", tag = "dispatch",
    params(("id" = String, Path, description = "`<order id>.<order version>`", example = "o-2.1")),
    responses(
        (status = 200, description = "The dead letter", body = DeliveryDetail),
        (status = 403, description = "`role_required`"),
        (status = 404, description = "`dead_letter_not_found`: there is none, or it is none any more"),
    ))]
fn get_dead_letter() {}

/// Tries a dead letter anew.
#[utoipa::path(post, path = "/v1/dispatch/dead-letters/{id}/replay", tag = "dispatch",
    params(("id" = String, Path, description = "`<order id>.<order version>`", example = "o-2.1"), IdempotencyHeader),
    responses(
        (status = 200, description = "It is pending again, or was made so before; shown as it is now", body = DeliveryView, headers(("Idempotent-Replayed" = Option<bool>, description = "`true` where it took effect before"))),
        (status = 400, description = "`idempotency_key_missing`"),
        (status = 403, description = "`role_required`"),
        (status = 404, description = "`dead_letter_not_found`: there is none, or it is none any more"),
        (status = 422, description = "`idempotency_key_malformed`, `idempotency_key_reused`"),
    ))]
fn replay_dead_letter() {}

/// Tries all dead letters anew that match, oldest first, a bounded number a call. Those that die after
/// the first call are not taken, so that going on with `next_cursor` comes to an end.
#[utoipa::path(post, path = "/v1/dispatch/dead-letters/replay", tag = "dispatch", params(IdempotencyHeader),
    request_body = ReplayManyRequest,
    responses(
        (status = 200, description = "What was done, now or before", body = ReplayManyReply, headers(("Idempotent-Replayed" = Option<bool>, description = "`true` where it took effect before"))),
        (status = 400, description = "`json_malformed`, `cursor_malformed`, `idempotency_key_missing`"),
        (status = 403, description = "`role_required`"),
        (status = 422, description = "`field_invalid`, `limit_out_of_range`, `destination_unknown`, `id_malformed`, `idempotency_key_malformed`, `idempotency_key_reused`"),
    ))]
fn replay_dead_letters() {}

/// Gives a dead letter up, with a reason.
#[utoipa::path(post, path = "/v1/dispatch/dead-letters/{id}/discard", tag = "dispatch",
    params(("id" = String, Path, description = "`<order id>.<order version>`", example = "o-2.1"), IdempotencyHeader),
    request_body = DiscardRequest,
    responses(
        (status = 200, description = "It is discarded, now or before", body = DeliveryView, headers(("Idempotent-Replayed" = Option<bool>, description = "`true` where it took effect before"))),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`"),
        (status = 403, description = "`role_required`"),
        (status = 404, description = "`dead_letter_not_found`: there is none, or it is none any more"),
        (status = 422, description = "`field_invalid`, `reason_missing`, `text_too_long`, `text_malformed`, `card_number_refused`, `idempotency_key_malformed`, `idempotency_key_reused`"),
    ))]
fn discard_dead_letter() {}
