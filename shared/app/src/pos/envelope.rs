//! From JSON to a command: every way to get the envelope wrong has its own answer.

use jiff::{Span, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tillstream_contracts::pos::{ACTIONS, Command, ENVELOPE_VERSION, Envelope};
use tillstream_domain::card_number::contains_card_number;
use tillstream_domain::identifier::{check_id, check_sku};

use super::identity::{check_key, missing_key};
use crate::error::{Refusal, RefusalKind, Result};

/// How far a register's clock may be ahead of ours.
const CLOCK_AHEAD_MINUTES: i64 = 5;

/// Longest free text of a line or a reason, in characters.
pub const TEXT_CHARS_MAX: usize = 500;

/// Reads `value` as `T`, naming the field that is wrong.
///
/// # Errors
/// 422 `field_invalid` with the field's path below `root`.
pub fn typed<T: DeserializeOwned>(root: &str, value: Value) -> Result<T> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let field = match (root, path.as_str()) {
            ("", "." | "") => "body".to_owned(),
            ("", path) => path.to_owned(),
            (root, "." | "") => root.to_owned(),
            (root, path) => format!("{root}.{path}"),
        };
        Refusal::field(field, "field_invalid", error.into_inner().to_string()).into()
    })
}

/// Reads an envelope.
///
/// # Errors
/// 400 `json_malformed` if it is no object; 400 `idempotency_key_missing`; 422 `unsupported_version`,
/// `field_invalid`, `occurred_at_in_future`, `id_malformed`.
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
    if let Some(employee) = &envelope.employee_id {
        id("employee_id", employee)?;
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
        "set_tendering" => Command::SetTendering(typed("payload", payload)?),
        "resume_editing" => Command::ResumeEditing(typed("payload", payload)?),
        "add_payment" => Command::AddPayment(typed("payload", payload)?),
        "remove_payment" => Command::RemovePayment(typed("payload", payload)?),
        "finalize_order" => Command::FinalizeOrder(typed("payload", payload)?),
        "void_cart" => Command::VoidCart(typed("payload", payload)?),
        "start_return" => Command::StartReturn(typed("payload", payload)?),
        "return_line_item" => Command::ReturnLineItem(typed("payload", payload)?),
        "refund_tender" => Command::RefundTender(typed("payload", payload)?),
        "finalize_return" => Command::FinalizeReturn(typed("payload", payload)?),
        "void_return" => Command::VoidReturn(typed("payload", payload)?),
        _ => {
            let message = format!("the actions are {}", ACTIONS.join(", "));
            return Err(Refusal::field("action", "unknown_action", message).into());
        }
    })
}

/// Checks an id in a request.
///
/// # Errors
/// 422 `id_malformed`.
pub fn id(field: &str, value: &str) -> Result<()> {
    check_id(value).map_err(|e| Refusal::field(field, "id_malformed", e.to_string()).into())
}

/// Checks a SKU in a request.
///
/// # Errors
/// 422 `sku_malformed`.
pub fn sku(field: &str, value: &str) -> Result<()> {
    check_sku(value).map_err(|e| Refusal::field(field, "sku_malformed", e.to_string()).into())
}

/// Checks free text: bounded, without control characters and card numbers.
///
/// # Errors
/// 422 `text_too_long`, `text_malformed`, `card_number_refused`. The text itself is never repeated.
pub fn text(field: &str, value: &str, chars_max: usize) -> Result<()> {
    if value.chars().count() > chars_max {
        return Err(Refusal::field(field, "text_too_long", format!("at most {chars_max} characters")).into());
    }
    if value.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err(Refusal::field(field, "text_malformed", "no control characters").into());
    }
    no_card_number(field, value)
}

/// Refuses payment card numbers.
///
/// # Errors
/// 422 `card_number_refused`.
pub fn no_card_number(field: &str, value: &str) -> Result<()> {
    if contains_card_number(value) {
        let message = "card numbers are not stored; send the terminal's reference";
        return Err(Refusal::field(field, "card_number_refused", message).into());
    }
    Ok(())
}

/// Checks a customer id: an id that is no card number.
///
/// # Errors
/// 422 `id_malformed`, `card_number_refused`.
pub fn customer(field: &str, value: &str) -> Result<()> {
    id(field, value)?;
    no_card_number(field, value)
}
