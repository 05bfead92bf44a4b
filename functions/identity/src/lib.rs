//! Public keys, health, the OpenAPI document, unknown routes.
