//! Products.

use utoipa::OpenApi;

use super::headers::{IdempotencyHeader, IfMatchHeader};
use crate::catalog::{ProductBody, ProductDetailReply, ProductList, ProductListQuery, ProductReply};

/// This area.
#[derive(OpenApi)]
#[openapi(paths(list_products, get_product, put_product))]
pub struct Api;

/// Lists products: by name where `q` asks for its beginning and `variant_of` for nothing, else by SKU.
///
/// A filter by attribute looks at up to 1,000 products a page, so a page may hold fewer than `limit`, or
/// none, and still name a `next_cursor`.
#[utoipa::path(get, path = "/v1/products", tag = "catalogue", params(ProductListQuery),
    responses((status = 200, description = "A page", body = ProductList),
        (status = 400, description = "The cursor is not one of this list (`cursor_malformed`)."),
        (status = 422, description = "A parameter is unknown, repeated or out of bounds (`query_invalid`, \
            `limit_out_of_range`).")))]
fn list_products() {}

/// Reads a product with its price book entries and its first variants.
#[utoipa::path(get, path = "/v1/products/{sku}", tag = "catalogue",
    params(("sku" = String, Path, description = "SKU; case matters")),
    responses((status = 200, description = "The product; `ETag` holds its version", body = ProductDetailReply,
            headers(("ETag" = String))),
        (status = 404, description = "No product has this SKU (`sku_not_found`).")))]
fn get_product() {}

/// Writes a whole product.
///
/// For `store_manager`, `integration` and `operator`. A newer line of the catalogue feed overwrites it.
///
/// With `components` it is a kit: sold as one product, taken from stock as its components. A component may not
/// be a kit (`component_is_a_kit`, in `errors`); it may be written after the kit. Whoever sells or reserves a kit
/// is told where it cannot be made by then: `kit_component_unknown`, `kit_component_is_a_kit`,
/// `kit_component_quantity`.
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
