//! `POST /v1/sales/record`: a sale that another system made, by the same rules and writes as an order. It
//! is counted on a virtual lane, on the business day on which it happened. What was not there by the books is
//! entered, and becomes an exception; so does a use of a coupon or promotion above its limit. What the other
//! system asked for it stands, as far as rounding explains the difference.

use jiff::{Timestamp, ToSpan};
use serde_json::Value;
use tillstream_contracts::orders::{PlaceOrder, RecordSale};
use tillstream_domain::cart::Recorded;
use tillstream_domain::lane::Lane;

use super::checks::check;
use super::place::{Placing, run};
use crate::error::{Error, Refusal, Result};
use crate::fields::{id, text};
use crate::ports::Ports;
use crate::pos::cart_write::Executed;
use crate::pos::context::CommandContext;
use crate::pos::identity::{command_identity, derived_id, spread};
use crate::tenancy::{Caller, Role};

/// Roles that may record what was sold elsewhere, at prices of their own.
pub const RECORDERS: [Role; 1] = [Role::Integration];

/// Longest reference of another system's receipt, in characters.
const REFERENCE_CHARS_MAX: usize = 128;
/// How far another system's clock may be ahead of ours.
const CLOCK_AHEAD_MINUTES: i64 = 5;
/// Oldest sale that is recorded, in days: two years, as far as figures are compared with.
const OLDEST_DAYS: i64 = 731;

/// Records a sale, once.
///
/// # Errors
/// As placing an order; 409 `recorded_total_differs`; 422 `occurred_at_in_future`, `occurred_at_too_old`.
pub async fn record(ports: &Ports, caller: &Caller, key: &str, sale: RecordSale) -> Result<Executed> {
    caller.require_role(&RECORDERS)?;
    let payload: Value = serde_json::to_value(&sale).map_err(Error::bug)?;
    let now = ports.environment.now();
    check_time(sale.occurred_at, now)?;
    if let Some(register_id) = &sale.register_id {
        id("register_id", register_id)?;
    }
    if let Some(reference) = &sale.receipt_reference {
        text("receipt_reference", reference, REFERENCE_CHARS_MAX)?;
    }
    let order = PlaceOrder {
        order_id: sale.order_id,
        store_id: sale.store_id,
        channel: sale.channel,
        customer_id: sale.customer_id,
        lines: sale.lines,
        coupons: sale.coupons,
        promotions: sale.promotions,
        discounts: sale.discounts,
        payments: sale.payments,
        reservation_id: None,
    };
    check(&order)?;
    caller.require_store(&order.store_id)?;
    let tenant = caller.scope.tenant_id();
    let order_id = match &order.order_id {
        Some(order_id) => order_id.clone(),
        None => derived_id("s", &[tenant, &order.store_id, &caller.subject, "record_sale", key]),
    };
    let context = CommandContext {
        identity: command_identity(key, &[tenant, &caller.subject, "record_sale"], &payload),
        caller: caller.clone(),
        store_id: order.store_id.clone(),
        register_id: Lane::virtual_register(spread(&order_id)),
        employee_id: caller.subject.clone(),
        occurred_at: sale.occurred_at,
        now,
        // Its goods have left the shop, as those that a register sold while it was cut off.
        offline: true,
        // And what it gave for coupons is given.
        uses_above_limit: true,
        refused_before: None,
    };
    let recorded = Recorded {
        register_id: sale.register_id,
        receipt_reference: sale.receipt_reference,
        stock_already_moved: Some(sale.stock_already_moved),
    };
    let placing = Placing { order: &order, recorded: Some(recorded), asked: sale.total };
    run(ports, &context, &order_id, &placing).await
}

fn check_time(at: Timestamp, now: Timestamp) -> Result<()> {
    let field = "occurred_at";
    if at > now.checked_add(CLOCK_AHEAD_MINUTES.minutes()).unwrap_or(Timestamp::MAX) {
        let message = format!("it is {now} here: what is recorded has happened");
        return Err(Refusal::field(field, "occurred_at_in_future", message).into());
    }
    if at < now.checked_sub((OLDEST_DAYS * 24).hours()).unwrap_or(Timestamp::MIN) {
        let message = format!("at most {OLDEST_DAYS} days ago");
        return Err(Refusal::field(field, "occurred_at_too_old", message).into());
    }
    Ok(())
}
