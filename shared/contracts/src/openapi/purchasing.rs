//! Suppliers, and orders from them.

use utoipa::OpenApi;

use super::headers::{IdempotencyHeader, IfMatchHeader};
use crate::inventory::PageQuery;
use crate::purchase_orders::{
    EndPurchaseRequest, PurchaseOrder, PurchaseOrderPage, PurchaseOrderQuery, PurchaseOrderRequest,
    PurchaseState, ReceivePurchaseRequest,
};
use crate::suppliers::{SupplierBody, SupplierList, SupplierReply};

/// This area.
#[derive(OpenApi)]
#[openapi(
    paths(
        list_suppliers,
        create_supplier,
        get_supplier,
        put_supplier,
        place_purchase_order,
        list_purchase_orders,
        get_purchase_order,
        receive_purchase_order,
        close_purchase_order,
        cancel_purchase_order
    ),
    components(schemas(PurchaseState))
)]
pub struct Api;

/// All suppliers, by id. Roles: store manager, warehouse staff, franchise owner, analyst, integration, operator.
#[utoipa::path(get, path = "/v1/suppliers", tag = "purchasing", params(PageQuery),
    responses(
        (status = 200, description = "A page", body = SupplierList),
        (status = 400, description = "`cursor_malformed`"),
        (status = 403, description = "`role_required`"),
        (status = 422, description = "`limit_out_of_range`, `query_invalid`"),
    ))]
fn list_suppliers() {}

/// Makes a supplier. Roles: store manager, integration, operator.
#[utoipa::path(post, path = "/v1/suppliers", tag = "purchasing", params(IdempotencyHeader),
    request_body = SupplierBody,
    responses(
        (status = 201, description = "Made; a replay answers 201 again, with what it is now", body = SupplierReply, headers(("ETag" = String))),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`"),
        (status = 403, description = "`role_required`"),
        (status = 404, description = "A repeated request whose supplier was deleted since (`supplier_not_found`)"),
        (status = 409, description = "`supplier_exists`, `conflict`"),
        (status = 422, description = "`field_invalid` with `errors`, `idempotency_key_reused`"),
    ))]
fn create_supplier() {}

/// One supplier with what it supplies. Roles: as of the list.
#[utoipa::path(get, path = "/v1/suppliers/{id}", tag = "purchasing",
    params(("id" = String, Path, description = "Supplier", example = "sup-1")),
    responses(
        (status = 200, description = "It; the `ETag` holds its version", body = SupplierReply, headers(("ETag" = String))),
        (status = 403, description = "`role_required`"),
        (status = 404, description = "`supplier_not_found`"),
    ))]
fn get_supplier() {}

/// Writes a whole supplier. Roles: store manager, integration, operator. A newer line of the suppliers' feed overwrites
/// it; orders that were placed keep the terms they were placed on.
#[utoipa::path(put, path = "/v1/suppliers/{id}", tag = "purchasing",
    params(("id" = String, Path, description = "Supplier", example = "sup-1"), IdempotencyHeader, IfMatchHeader),
    request_body = SupplierBody,
    responses(
        (status = 200, description = "Changed", body = SupplierReply, headers(("ETag" = String))),
        (status = 201, description = "Made", body = SupplierReply, headers(("ETag" = String))),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`, `if_match_malformed`"),
        (status = 403, description = "`role_required`"),
        (status = 404, description = "A repeated request whose supplier was deleted since (`supplier_not_found`)"),
        (status = 409, description = "Too many change it at once (`conflict`)"),
        (status = 412, description = "`version_mismatch`"),
        (status = 422, description = "`field_invalid` with `errors`, `id_mismatch`, `idempotency_key_reused`"),
    ))]
fn put_supplier() {}

/// Orders goods from a supplier. They are `incoming` at the location until they are received or written off. Roles:
/// store manager, warehouse staff, operator.
#[utoipa::path(post, path = "/v1/purchase-orders", tag = "purchasing", params(IdempotencyHeader),
    request_body = PurchaseOrderRequest,
    responses(
        (status = 201, description = "Ordered; a replay answers the same", body = PurchaseOrder, headers(("ETag" = String))),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`location_not_found`"),
        (status = 409, description = "`purchase_order_exists`"),
        (status = 422, description = "`field_invalid`, `lines_out_of_range`, `quantity_invalid`, `id_malformed`, `location_id_malformed`, `sku_malformed`, `supplier_unknown`, `sku_unknown`, `sku_not_stocked`, `currency_unknown`, `unit_cost_differs`, `expected_at_out_of_range`, `text_too_long`, `text_malformed`, `card_number_refused`, `idempotency_key_reused`"),
    ))]
fn place_purchase_order() {}

/// The purchase orders for a location, from a supplier, or both: the oldest first. Of a supplier those for locations in
/// reach. Roles: as of suppliers.
#[utoipa::path(get, path = "/v1/purchase-orders", tag = "purchasing", params(PurchaseOrderQuery),
    responses(
        (status = 200, description = "A page", body = PurchaseOrderPage),
        (status = 400, description = "`cursor_malformed`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 422, description = "`location_or_supplier_missing`, `limit_out_of_range`, `location_id_malformed`, `id_malformed`, `query_invalid`"),
    ))]
fn list_purchase_orders() {}

/// One purchase order, for whoever reaches its location. Roles: as of suppliers.
#[utoipa::path(get, path = "/v1/purchase-orders/{id}", tag = "purchasing",
    params(("id" = String, Path, description = "Purchase order", example = "po-1")),
    responses(
        (status = 200, description = "It; the `ETag` holds its version", body = PurchaseOrder, headers(("ETag" = String))),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`purchase_order_not_found`"),
    ))]
fn get_purchase_order() {}

/// Some of it, or all that is open, arrived: fit for sale, or damaged. May be sent for each delivery. Of a line up to
/// `over_delivery_percent` more than was ordered is taken, until all of the order arrived.
#[utoipa::path(post, path = "/v1/purchase-orders/{id}/receive", tag = "purchasing",
    params(("id" = String, Path, description = "Purchase order", example = "po-1"), IdempotencyHeader, IfMatchHeader),
    request_body = Option<ReceivePurchaseRequest>,
    responses(
        (status = 200, description = "Received; a replay answers the same", body = PurchaseOrder, headers(("ETag" = String))),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`, `if_match_malformed`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`purchase_order_not_found`"),
        (status = 409, description = "`purchase_order_closed` with `purchase_order_status`; `over_delivery` with `sku`, `bound` (what may still be received of it) and `over_delivery_percent`; `too_many_steps`; `lot_expires_otherwise` with its `expires_on`; `too_many_lots`"),
        (status = 412, description = "`version_mismatch`"),
        (status = 422, description = "`field_invalid`, `lines_out_of_range`, `sku_malformed`, `sku_not_in_purchase_order`, `quantity_invalid`, `nothing_counted`, `sku_unknown`, `sku_not_stocked`, `sku_is_a_kit`, `id_malformed`, `card_number_refused`, `sku_without_lots`, `lot_of_another_sku` with `lot_sku`, `lot_twice`, `expires_on_without_lot`, `expires_on_invalid`, `too_many_lot_lines`, `idempotency_key_reused`"),
    ))]
fn receive_purchase_order() {}

/// What is open of it does not come any more: it is written off from what is incoming.
#[utoipa::path(post, path = "/v1/purchase-orders/{id}/close", tag = "purchasing",
    params(("id" = String, Path, description = "Purchase order", example = "po-1"), IdempotencyHeader, IfMatchHeader),
    request_body = EndPurchaseRequest,
    responses(
        (status = 200, description = "Closed; a replay answers the same", body = PurchaseOrder, headers(("ETag" = String))),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`, `if_match_malformed`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`purchase_order_not_found`"),
        (status = 409, description = "`purchase_order_closed` with `purchase_order_status`"),
        (status = 412, description = "`version_mismatch`"),
        (status = 422, description = "`field_invalid`, `reason_invalid`, `text_malformed`, `card_number_refused`, `idempotency_key_reused`"),
    ))]
fn close_purchase_order() {}

/// All of it is called off, as long as none of it arrived.
#[utoipa::path(post, path = "/v1/purchase-orders/{id}/cancel", tag = "purchasing",
    params(("id" = String, Path, description = "Purchase order", example = "po-1"), IdempotencyHeader, IfMatchHeader),
    request_body = EndPurchaseRequest,
    responses(
        (status = 200, description = "Cancelled; a replay answers the same", body = PurchaseOrder, headers(("ETag" = String))),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`, `if_match_malformed`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`purchase_order_not_found`"),
        (status = 409, description = "`purchase_order_closed` with `purchase_order_status`; `purchase_order_not_cancellable`"),
        (status = 412, description = "`version_mismatch`"),
        (status = 422, description = "`field_invalid`, `reason_invalid`, `text_malformed`, `card_number_refused`, `idempotency_key_reused`"),
    ))]
fn cancel_purchase_order() {}
