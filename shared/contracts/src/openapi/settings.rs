//! A tenant's settings.

use utoipa::OpenApi;

use super::headers::{IdempotencyHeader, IfMatchHeader};
use crate::settings::{SettingsBody, SettingsReply};

/// This area.
#[derive(OpenApi)]
#[openapi(paths(get_settings, put_settings))]
pub struct Api;

/// Reads the tenant's settings, as they are in force.
///
/// For `store_manager` and `operator`.
#[utoipa::path(get, path = "/v1/settings", tag = "settings",
    responses((status = 200, description = "The settings; `ETag` holds their version", body = SettingsReply,
            headers(("ETag" = String))),
        (status = 403, description = "The token's roles do not allow it (`role_required`).")))]
fn get_settings() {}

/// Writes the whole of the tenant's settings.
///
/// For `operator`. What is left out is as without settings. Tills know a change after 15 seconds at most.
#[utoipa::path(put, path = "/v1/settings", tag = "settings", request_body = SettingsBody,
    params(IdempotencyHeader, IfMatchHeader),
    responses((status = 200, description = "Written, now or before; as they are now", body = SettingsReply,
            headers(("ETag" = String), ("Idempotent-Replayed" = Option<bool>, description = "`true` where it took effect before"))),
        (status = 400, description = "The body is no JSON (`json_malformed`), the key is missing \
            (`idempotency_key_missing`), or `If-Match` is malformed (`if_match_malformed`)."),
        (status = 403, description = "The token's roles do not allow it (`role_required`)."),
        (status = 409, description = "Too many change them at once (`conflict`)."),
        (status = 412, description = "They are at another version (`version_mismatch`)."),
        (status = 422, description = "Fields are wrong (`field_invalid`, with `errors`), or the key was used with \
            another payload (`idempotency_key_reused`).")))]
fn put_settings() {}
