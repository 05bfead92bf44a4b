//! Public keys, health, this document.

use utoipa::OpenApi;

use crate::identity::{Health, JsonWebKeySet};

/// This area.
#[derive(OpenApi)]
#[openapi(paths(jwks, health, openapi))]
pub struct Api;

/// The keys that tokens are signed with.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "identity", security(()),
    responses((status = 200, description = "A JWKS (RFC 7517)", body = JsonWebKeySet)))]
fn jwks() {}

/// Whether the service answers.
#[utoipa::path(get, path = "/v1/health", tag = "identity", security(()),
    responses((status = 200, description = "It does", body = Health)))]
fn health() {}

/// This document.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "identity", security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
fn openapi() {}
