//! Request headers that several routes share, for `params(…)`.

use serde::Deserialize;
use utoipa::IntoParams;

/// Of every request that changes something, where the body does not carry its key.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IdempotencyHeader {
    /// 1 to 128 printable ASCII characters: a new one for each change, the same one to repeat it.
    /// A repetition of what took effect has the same answer, with `Idempotent-Replayed: true`.
    #[serde(rename = "Idempotency-Key")]
    #[param(min_length = 1, max_length = 128, pattern = "^[ -~]*$")]
    pub idempotency_key: String,
}

/// Of updates of versioned resources.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IfMatchHeader {
    /// The `ETag` that was read; 412 if the resource has changed since.
    #[serde(rename = "If-Match")]
    #[param(pattern = r#"^("[0-9]{1,18}"|\*)$"#)]
    pub if_match: Option<String>,
}
