//! From JSON to a command: every way to get the envelope wrong has its own answer.

use jiff::{Span, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tillstream_contracts::pos::{ACTIONS, Command, ENVELOPE_VERSION, Envelope};
use tillstream_contracts::strict_json;
use tillstream_domain::lane::Lane;

use super::identity::{check_key, missing_key};
use crate::error::{Refusal, RefusalKind, Result};
use crate::fields::{id, typed_id};

/// How far a register's clock may be ahead of ours.
const CLOCK_AHEAD_MINUTES: i64 = 5;

/// Reads `value` as `T`, naming the field that is wrong.
///
/// # Errors
/// 422 `field_invalid` with the field's path below `root`.
pub fn typed<T: DeserializeOwned>(root: &str, value: Value) -> Result<T> {
    strict_json::typed(value).map_err(|fault| {
        let field = match (root, fault.field.as_str()) {
            ("", "") => "body".to_owned(),
            ("", field) => field.to_owned(),
            (root, "") => root.to_owned(),
            (root, field) => format!("{root}.{field}"),
        };
        Refusal::field(field, "field_invalid", fault.message).into()
    })
}

/// Reads an envelope.
///
/// # Errors
/// 400 `json_malformed` if it is no object; 400 `idempotency_key_missing`; 422 `unsupported_version`,
/// `field_invalid`, `occurred_at_in_future`, `id_malformed`, `register_virtual`.
pub fn envelope(value: Value, now: Timestamp) -> Result<Envelope> {
    let Some(members) = value.as_object() else {
        return Err(
            Refusal::new(RefusalKind::Malformed, "json_malformed", "a command is a JSON object").into()
        );
    };
    match members.get("version") {
        Some(Value::String(version)) if version == ENVELOPE_VERSION => {}
        Some(Value::String(_)) => {
            let message = format!("this service speaks version \"{ENVELOPE_VERSION}\"");
            return Err(Refusal::field("version", "unsupported_version", message).into());
        }
        _ => {
            let message = format!("expected the text \"{ENVELOPE_VERSION}\"");
            return Err(Refusal::field("version", "field_invalid", message).into());
        }
    }
    if members.get("idempotency_key").is_none_or(Value::is_null) {
        return Err(missing_key().into());
    }
    let envelope: Envelope = typed("", value)?;
    check_key(&envelope.idempotency_key)?;
    id("store_id", &envelope.store_id)?;
    id("register_id", &envelope.register_id)?;
    if Lane::is_virtual(&envelope.register_id) {
        let message = "no till: the orders placed by REST have it";
        return Err(Refusal::field("register_id", "register_virtual", message).into());
    }
    if let Some(employee) = &envelope.employee_id {
        typed_id("employee_id", employee)?;
    }
    if let Some(at) = envelope.occurred_at {
        let latest = now.checked_add(Span::new().minutes(CLOCK_AHEAD_MINUTES)).unwrap_or(Timestamp::MAX);
        if at > latest {
            let message = format!("the register's clock is ahead; it is {now} here");
            return Err(Refusal::field("occurred_at", "occurred_at_in_future", message).into());
        }
        if at < Timestamp::UNIX_EPOCH {
            return Err(Refusal::field("occurred_at", "occurred_at_too_old", "before 1970").into());
        }
    }
    Ok(envelope)
}

/// Reads the payload for its action.
///
/// # Errors
/// 422 `unknown_action`, or `field_invalid` with a path below `payload`.
pub fn command(action: &str, payload: Value) -> Result<Command> {
    Ok(match action {
        "create_cart" => Command::CreateCart(typed("payload", payload)?),
        "set_customer" => Command::SetCustomer(typed("payload", payload)?),
        "add_line_item" => Command::AddLineItem(typed("payload", payload)?),
        "update_line_item" => Command::UpdateLineItem(typed("payload", payload)?),
        "remove_line_item" => Command::RemoveLineItem(typed("payload", payload)?),
        "apply_manual_discount" => Command::ApplyManualDiscount(typed("payload", payload)?),
        "remove_manual_discount" => Command::RemoveManualDiscount(typed("payload", payload)?),
        "apply_coupon" => Command::ApplyCoupon(typed("payload", payload)?),
        "remove_coupon" => Command::RemoveCoupon(typed("payload", payload)?),
        "apply_promo" => Command::ApplyPromo(typed("payload", payload)?),
        "remove_promo" => Command::RemovePromo(typed("payload", payload)?),
        "set_tendering" => Command::SetTendering(typed("payload", payload)?),
        "resume_editing" => Command::ResumeEditing(typed("payload", payload)?),
        "add_payment" => Command::AddPayment(typed("payload", payload)?),
        "remove_payment" => Command::RemovePayment(typed("payload", payload)?),
        "finalize_order" => Command::FinalizeOrder(typed("payload", payload)?),
        "void_cart" => Command::VoidCart(typed("payload", payload)?),
        "park_cart" => Command::ParkCart(typed("payload", payload)?),
        "recall_cart" => Command::RecallCart(typed("payload", payload)?),
        "list_parked_carts" => Command::ListParkedCarts(typed("payload", payload)?),
        "void_order" => Command::VoidOrder(typed("payload", payload)?),
        "start_return" => Command::StartReturn(typed("payload", payload)?),
        "return_line_item" => Command::ReturnLineItem(typed("payload", payload)?),
        "refund_tender" => Command::RefundTender(typed("payload", payload)?),
        "finalize_return" => Command::FinalizeReturn(typed("payload", payload)?),
        "finalize_exchange" => Command::FinalizeExchange(typed("payload", payload)?),
        "void_return" => Command::VoidReturn(typed("payload", payload)?),
        "open_till" => Command::OpenTill(typed("payload", payload)?),
        "paid_in" => Command::PaidIn(typed("payload", payload)?),
        "paid_out" => Command::PaidOut(typed("payload", payload)?),
        "no_sale" => Command::NoSale(typed("payload", payload)?),
        "cash_count" => Command::CashCount(typed("payload", payload)?),
        "get_x_report" => Command::GetXReport(typed("payload", payload)?),
        "close_till" => Command::CloseTill(typed("payload", payload)?),
        _ => {
            let message = format!("the actions are {}", ACTIONS.join(", "));
            return Err(Refusal::field("action", "unknown_action", message).into());
        }
    })
}
