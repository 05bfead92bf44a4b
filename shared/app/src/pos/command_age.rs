//! How old a command may be when it arrives, where the tenant says so.

use jiff::SignedDuration;
use tillstream_contracts::pos::Command;
use tillstream_domain::cart::applied::Seen;
use tillstream_domain::tenant_settings::COMMAND_AGE_SECONDS_MIN;

use super::cart_item::cart_of;
use super::cart_write::cart_get;
use super::carts::new_cart_id;
use super::context::CommandContext;
use super::returns::new_return_id;
use crate::error::{Refusal, Result};
use crate::ports::Ports;
use crate::tenant_rules::tenant_rules;

/// Checks that the command is not older than the tenant allows. One that took effect before is answered again
/// at any age: its register repeats it because the answer was lost.
///
/// `cart_id`: the cart or return that it names, if it names one. What is younger than any tenant may ask for
/// costs no read.
///
/// # Errors
/// 422 `occurred_at_too_old`.
pub async fn check(
    ports: &Ports,
    context: &CommandContext,
    command: &Command,
    cart_id: Option<&str>,
    key: &str,
) -> Result<()> {
    let age = context.now.duration_since(context.occurred_at);
    if age <= SignedDuration::from_secs(i64::from(COMMAND_AGE_SECONDS_MIN)) {
        return Ok(());
    }
    let rules = tenant_rules(ports, &context.caller.scope, context.now).await?;
    let Some(most) = rules.settings.command_age_max_seconds else { return Ok(()) };
    if age <= SignedDuration::from_secs(i64::from(most)) {
        return Ok(());
    }
    let cart_id = match command {
        Command::CreateCart(payload) => Some(new_cart_id(context, payload.cart_id.as_deref(), key)),
        Command::StartReturn(payload) => Some(new_return_id(context, payload.return_id.as_deref(), key)),
        _ => cart_id.map(str::to_owned),
    };
    if let Some(cart_id) = cart_id
        && tillstream_domain::identifier::check_id(&cart_id).is_ok()
        && let Some(item) = ports.database.get(cart_get(context, &cart_id)).await?
        && !matches!(cart_of(&item)?.applied.seen(&context.identity), Seen::Never)
    {
        return Ok(());
    }
    let message =
        format!("a command is taken until {most} seconds after it happened; it is {} here", context.now);
    Err(Refusal::field("occurred_at", "occurred_at_too_old", message).into())
}
