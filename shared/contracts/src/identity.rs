//! Health and public keys.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Answer of `GET /v1/health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Always `ok`: who cannot answer does not.
    #[schema(example = "ok")]
    pub status: String,
    /// Version of the build.
    pub version: String,
    /// Stage it is deployed as.
    pub stage: String,
}

/// A set of public keys (RFC 7517 section 5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JsonWebKeySet {
    /// Its keys.
    pub keys: Vec<JsonWebKey>,
}

/// A P-256 public key (RFC 7518 section 6.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JsonWebKey {
    /// `EC`.
    #[schema(example = "EC")]
    pub kty: String,
    /// `P-256`.
    #[schema(example = "P-256")]
    pub crv: String,
    /// Id, as tokens name it in their header.
    pub kid: String,
    /// `ES256`.
    #[schema(example = "ES256")]
    pub alg: String,
    /// `sig`.
    #[serde(rename = "use")]
    #[schema(example = "sig")]
    pub purpose: String,
    /// X coordinate, base64url.
    pub x: String,
    /// Y coordinate, base64url.
    pub y: String,
}
