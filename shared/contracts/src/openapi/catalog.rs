//! Products and locations.

use utoipa::OpenApi;

use super::headers::{IdempotencyHeader, IfMatchHeader};
use crate::catalog::{
    LocationBody, LocationList, LocationListQuery, LocationReply, ProductBody, ProductDetailReply,
    ProductList, ProductListQuery, ProductReply,
};

/// This area.
#[derive(OpenApi)]
#[openapi(paths(
    list_products,
    get_product,
    put_product,
    list_locations,
    list_warehouses,
    list_retail_locations,
    get_location,
    create_location
))]
pub struct Api;

/// Lists products: by name where `q` asks for its beginning, else by SKU.
///
/// A filter by attribute looks at up to 1,000 products a page, so a page may hold fewer than `limit`, or
/// none, and still name a `next_cursor`.
#[utoipa::path(get, path = "/v1/products", tag = "catalogue", params(ProductListQuery),
    responses((status = 200, description = "A page", body = ProductList),
        (status = 400, description = "The cursor is not one of this list (`cursor_malformed`)."),
        (status = 422, description = "A parameter is unknown, repeated or out of bounds (`query_invalid`, \
            `limit_out_of_range`).")))]
fn list_products() {}

/// Reads a product with its price book entries.
#[utoipa::path(get, path = "/v1/products/{sku}", tag = "catalogue",
    params(("sku" = String, Path, description = "SKU; case matters")),
    responses((status = 200, description = "The product; `ETag` holds its version", body = ProductDetailReply,
            headers(("ETag" = String))),
        (status = 404, description = "No product has this SKU (`sku_not_found`).")))]
fn get_product() {}

/// Writes a whole product.
///
/// For `store_manager`, `integration` and `operator`. A newer line of the catalogue feed overwrites it.
#[utoipa::path(put, path = "/v1/products/{sku}", tag = "catalogue", request_body = ProductBody,
    params(("sku" = String, Path, description = "SKU; case matters"), IdempotencyHeader, IfMatchHeader),
    responses((status = 200, description = "Changed", body = ProductReply, headers(("ETag" = String))),
        (status = 201, description = "Made", body = ProductReply, headers(("ETag" = String))),
        (status = 400, description = "The body is no JSON (`json_malformed`), the key is missing \
            (`idempotency_key_missing`), or `If-Match` is malformed (`if_match_malformed`)."),
        (status = 403, description = "The token's roles do not allow it (`role_required`)."),
        (status = 404, description = "A repeated request whose product was deleted since (`sku_not_found`)."),
        (status = 409, description = "A barcode stands for another product (`barcode_taken`, with `barcode` and \
            `sku`), or too many change it at once (`conflict`)."),
        (status = 412, description = "It is at another version (`version_mismatch`)."),
        (status = 422, description = "Fields are wrong (`field_invalid`, with `errors`), or the key was used with \
            another payload (`idempotency_key_reused`).")))]
fn put_product() {}

/// Lists locations by id.
#[utoipa::path(get, path = "/v1/locations", tag = "catalogue", params(LocationListQuery),
    responses((status = 200, description = "A page", body = LocationList),
        (status = 400, description = "The cursor is not one of this list (`cursor_malformed`)."),
        (status = 422, description = "A parameter is unknown or out of bounds (`query_invalid`, \
            `limit_out_of_range`).")))]
fn list_locations() {}

/// Lists warehouses by id.
#[utoipa::path(get, path = "/v1/warehouses", tag = "catalogue", params(LocationListQuery),
    responses((status = 200, description = "A page", body = LocationList),
        (status = 400, description = "The cursor is not one of this list (`cursor_malformed`)."),
        (status = 422, description = "A parameter is unknown or out of bounds (`query_invalid`, \
            `limit_out_of_range`).")))]
fn list_warehouses() {}

/// Lists stores by id.
#[utoipa::path(get, path = "/v1/retail-locations", tag = "catalogue", params(LocationListQuery),
    responses((status = 200, description = "A page", body = LocationList),
        (status = 400, description = "The cursor is not one of this list (`cursor_malformed`)."),
        (status = 422, description = "A parameter is unknown or out of bounds (`query_invalid`, \
            `limit_out_of_range`).")))]
fn list_retail_locations() {}

/// Reads a location.
#[utoipa::path(get, path = "/v1/locations/{id}", tag = "catalogue",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 200, description = "The location; `ETag` holds its version", body = LocationReply,
            headers(("ETag" = String))),
        (status = 404, description = "No location has this id (`location_not_found`).")))]
fn get_location() {}

/// Makes a location.
///
/// For `store_manager`, `integration` and `operator`. Its changes come by the feed of locations.
#[utoipa::path(post, path = "/v1/locations", tag = "catalogue", request_body = LocationBody,
    params(IdempotencyHeader),
    responses((status = 201, description = "Made", body = LocationReply, headers(("ETag" = String))),
        (status = 400, description = "The body is no JSON (`json_malformed`), or the key is missing \
            (`idempotency_key_missing`)."),
        (status = 403, description = "Roles or stores of the token do not allow it (`role_required`, \
            `store_out_of_reach`)."),
        (status = 404, description = "A repeated request whose location was deleted since \
            (`location_not_found`)."),
        (status = 409, description = "There is one of this id (`location_exists`), or too many make it at once \
            (`conflict`)."),
        (status = 422, description = "Fields are wrong (`field_invalid`, with `errors`), or the key was used with \
            another payload (`idempotency_key_reused`).")))]
fn create_location() {}
