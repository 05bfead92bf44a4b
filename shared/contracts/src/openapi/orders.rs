//! Orders.

use utoipa::OpenApi;

use super::headers::IdempotencyHeader;
use super::headers::IfMatchHeader;
use crate::orders::{
    ChangedOrder, OrderFilter, OrderPage, OrderView, PlaceOrder, PlacedOrder, RecordSale, UpdateOrder,
};

/// This area.
#[derive(OpenApi)]
#[openapi(paths(place_order, list_orders, get_order, update_order, record_sale, list_sales))]
pub struct Api;

/// Places a whole order.
#[utoipa::path(post, path = "/v1/orders", tag = "orders", params(IdempotencyHeader), request_body = PlaceOrder,
    responses(
        (status = 201, description = "It is placed, now or before", body = PlacedOrder, headers(("ETag" = String), ("Idempotent-Replayed" = Option<bool>, description = "`true` where it took effect before"))),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`, `approval_required`"),
        (status = 404, description = "`store_not_found`, `sku_not_found`, `reservation_not_found`, `stored_value_not_found`, `coupon_not_found`, `promotion_not_found`"),
        (status = 409, description = "`insufficient_stock` with `lines` (what is available, `incoming` and `expected` of each), `lot_short`, `lot_expired`, `lot_quarantined`, `lot_recalled` with `lots` (of each what is there of it, and which `others` are for sale), `order_exists`, `underpaid`, `overpaid`, `coupon_not_valid`, `coupon_expired`, `coupon_needs_customer`, `coupon_limit_reached`, `coupon_unavailable`, `coupon_already_applied`, `coupon_takes_nothing_off` with the `reason`, `promotion_not_valid`, `promotion_expired`, `promotion_limit_reached`, `promotion_unavailable`, `promotion_takes_nothing_off` with the `reason`, `reservation_not_active`, `reservation_expired`, `order_too_long`, `stored_value_in_part`, `insufficient_balance` with what is `left`, `account_of_another_customer`, `stored_value_blocked`, `stored_value_expired`"),
        (status = 422, description = "`field_invalid`, `lot_unknown`, `lot_of_another_sku`, `sku_without_lots`, `idempotency_key_reused`, `quantity_invalid`, `variant_required`, `kit_component_unknown`, `kit_component_is_a_kit`, `kit_component_quantity`, `too_many_components`, `reservation_mismatch`, `too_many_lines`, `cart_too_large`, `too_many_coupons`, `too_many_promotions`, `modifier_not_found`, `modifier_invalid`, `modifier_repeated`, `text_too_long`, `stored_value_required`, …"),
    ))]
fn place_order() {}

/// Lists orders and returns, newest first.
#[utoipa::path(get, path = "/v1/orders", tag = "orders", params(OrderFilter),
    responses(
        (status = 200, description = "A page, without lines", body = OrderPage),
        (status = 400, description = "`cursor_malformed`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`store_not_found`"),
        (status = 422, description = "`limit_out_of_range`, `time_malformed`, `id_malformed`, `store_required`, `query_invalid`"),
    ))]
fn list_orders() {}

/// An order or return with its lines.
#[utoipa::path(get, path = "/v1/orders/{id}", tag = "orders", params(("id" = String, Path, description = "Its id", example = "o-1")),
    responses(
        (status = 200, description = "The order", body = OrderView, headers(("ETag" = String))),
        (status = 403, description = "`role_required`"),
        (status = 404, description = "`order_not_found`"),
        (status = 422, description = "`id_malformed`"),
    ))]
fn get_order() {}

/// Moves an order on: `paid`, `allocated`, `shipped`, `delivered`; until it is shipped `cancelled`.
///
/// A cancellation brings all of the order back: stock, payments, and a return that is counted.
#[utoipa::path(put, path = "/v1/orders/{id}", tag = "orders",
    params(("id" = String, Path, description = "Its id", example = "o-1"), IdempotencyHeader, IfMatchHeader), request_body = UpdateOrder,
    responses(
        (status = 200, description = "It stands there, now or before", body = ChangedOrder, headers(("ETag" = String), ("Idempotent-Replayed" = Option<bool>, description = "`true` where it took effect before"))),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`, `if_match_malformed`"),
        (status = 403, description = "`role_required`"),
        (status = 404, description = "`order_not_found`"),
        (status = 409, description = "`order_status_conflict` with `order_status` and `allowed`, `order_already_returned`, `underpaid`, `overpaid`"),
        (status = 412, description = "`version_mismatch`"),
        (status = 422, description = "`field_invalid`, `id_malformed`, `status_unknown`, `tracking_invalid`, `tracking_not_expected`, `settlement_invalid`, `idempotency_key_reused`, …"),
    ))]
fn update_order() {}

/// Records a sale that another system made. What it asked for stands, as far as it differs from what the lines
/// come to here by no more than a minor unit for each line: that is booked as rounding.
#[utoipa::path(post, path = "/v1/sales/record", tag = "orders", params(IdempotencyHeader), request_body = RecordSale,
    responses(
        (status = 201, description = "It is recorded, now or before", body = PlacedOrder, headers(("ETag" = String), ("Idempotent-Replayed" = Option<bool>, description = "`true` where it took effect before"))),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`store_not_found`, `sku_not_found`, `stored_value_not_found`, `coupon_not_found`, `promotion_not_found`"),
        (status = 409, description = "`order_exists`, `recorded_total_differs` with the `total` of the lines here, what was `asked` and by how much that may differ at `most`, `underpaid`, `overpaid`, `coupon_expired`, `coupon_not_valid`, `coupon_needs_customer`, `promotion_expired`, `promotion_not_valid`, `stored_value_in_part`, `insufficient_balance` with what is `left`, `account_of_another_customer`, `stored_value_blocked`, `stored_value_expired`"),
        (status = 422, description = "`field_invalid`, `occurred_at_in_future`, `occurred_at_too_old`, `idempotency_key_reused`, `quantity_invalid`, `too_many_lines`, `cart_too_large`, …"),
    ))]
fn record_sale() {}

/// Lists sales, newest first, returns left out.
#[utoipa::path(get, path = "/v1/sales", tag = "orders", params(OrderFilter),
    responses(
        (status = 200, description = "A page, without lines", body = OrderPage),
        (status = 400, description = "`cursor_malformed`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`store_not_found`"),
        (status = 422, description = "`limit_out_of_range`, `time_malformed`, `id_malformed`, `store_required`, `query_invalid`"),
    ))]
fn list_sales() {}
