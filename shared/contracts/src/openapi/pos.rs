//! The till.

use serde::Deserialize;
use utoipa::{OpenApi, ToSchema};

use crate::pos::{BatchReply, Command, CommandBatch, CommandReply, Envelope};

/// This area.
#[derive(OpenApi)]
#[openapi(paths(command, commands), components(schemas(Command)))]
pub struct Api;

/// An envelope, and in it the payload of its action.
#[derive(Deserialize, ToSchema)]
#[schema(as = PosCommand)]
struct Sent {
    #[serde(flatten)]
    envelope: Envelope,
    #[serde(flatten)]
    command: Command,
}

/// Runs one command.
///
/// The command's key is in the envelope. A refusal carries the same `idempotency_key` and `action`.
#[utoipa::path(post, path = "/v1/pos/command", tag = "pos", request_body = Sent,
    responses(
        (status = 200, description = "It took effect, now or before", body = CommandReply, headers(("Idempotent-Replayed" = Option<bool>, description = "`true` where it took effect before"))),
        (status = 400, description = "`json_malformed`, `idempotency_key_missing`, `cursor_malformed`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`, `register_out_of_reach`, `approval_required`, `approval_not_found`, `approval_does_not_match` with `differences`, `approval_denied`"),
        (status = 404, description = "`shift_not_found`, `store_not_found`, `register_not_found`, `cart_not_found`, `sku_not_found`, `barcode_not_found`, `line_not_found`, `discount_not_found`, `coupon_not_found`, `coupon_not_applied`, `promotion_not_found`, `promotion_not_applied`, `payment_not_found`, `order_not_found`, `stored_value_not_found`"),
        (status = 409, description = "`approval_pending`, `approval_expired`, `approval_used`, `no_open_shift`, `shift_open` with `shift_id`, `shift_exists`, `shift_closed`, `shift_of_another_store`, `shift_of_another_register`, `drawer_short` with `most` (never of an upload), `order_of_another_day`, `order_of_another_store`, `order_already_returned`, `order_already_voided`, `order_of_exchange`, `order_status_conflict`, `order_undone`, `insufficient_stock` with `lines` (what is available, `incoming` and `expected` of each), `lot_short`, `lot_expired`, `lot_quarantined`, `lot_recalled` with `lots` (of each what is there of it, and which `others` are for sale), `wrong_cart_state`, `wrong_cart_kind`, `cart_exists`, `cart_of_another_store`, `cart_of_another_register`, `finalize_in_progress`, `cart_empty`, `total_differs` with `total` and `asked`, `underpaid`, `overpaid`, `cash_below_coins` with `payable`, `stored_value_in_part`, `payments_present`, `discount_above_total`, `discount_takes_nothing_off`, `coupon_not_valid`, `coupon_expired`, `coupon_needs_customer`, `coupon_already_applied`, `coupon_limit_reached`, `coupon_unavailable`, `promotion_not_valid`, `promotion_expired`, `promotion_limit_reached`, `promotion_unavailable`, `return_above_sold`, `return_outdated`, `refund_above_paid`, `exchange_not_settled` with `to_refund`, `exchange_too_long`, `order_owed` with `due`, `order_below_worth` with `below`, `order_not_final`, `insufficient_balance` with what is `left`, `account_of_another_customer`, `stored_value_blocked`, `stored_value_expired`, …"),
        (status = 422, description = "`denominations_do_not_sum`, `count_required`, `field_invalid`, `lot_unknown`, `lot_of_another_sku`, `sku_without_lots`, `unsupported_version`, `unknown_action`, `idempotency_key_reused`, `idempotency_key_malformed`, `quantity_invalid`, `product_unpriced`, `variant_required`, `kit_component_unknown`, `kit_component_is_a_kit`, `kit_component_quantity`, `card_number_refused`, `occurred_at_in_future`, `occurred_at_too_old`, `approval_not_expected`, `discount_value_invalid`, `modifier_not_found`, `modifier_invalid`, `modifier_repeated`, `stored_value_required`, `currency_mismatch`, limits such as `too_many_lines`, …"),
    ))]
fn command() {}

/// Runs the commands of a register that was offline, in order per cart. Each has the outcome that it would have
/// alone, but for what has left the shop already: more than there was is sold, and variants' parents and coupons above
/// their limit too, payments are taken as they were, a sale or an exchange is kept at the `total` that its register states,
/// and cash that was moved, or given back, is recorded as it was, also without an approval; and somebody is told. Where a command on a cart is refused,
/// the cart is not made final behind it in this upload, and where one meets an error of ours, what follows on its cart is
/// not tried: `earlier_command_failed`.
/// That is known within one upload only. So a register sends all commands of a cart in the same upload, and splits what
/// is more than 1,000 between carts, or it states the `total` of each sale: one that lacks a refused line is kept at what
/// was asked then, and somebody is told. After `resume_from` it sends all from there on, in the same order.
#[utoipa::path(post, path = "/v1/pos/commands", tag = "pos", request_body = CommandBatch,
    responses(
        (status = 200, description = "An outcome for each command that was come to", body = BatchReply),
        (status = 400, description = "`json_malformed`"),
        (status = 422, description = "`batch_size`, `field_invalid`"),
    ))]
fn commands() {}
