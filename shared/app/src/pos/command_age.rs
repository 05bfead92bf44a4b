//! How old a command may be when it arrives, where the tenant says so.
//!
//! One that took effect before is answered again at any age: its register repeats it because the answer was lost.

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

/// The refusal `occurred_at_too_old` of a command that is older than the tenant allows. Whoever asks looks first
/// whether it took effect before. What is younger than any tenant may ask for costs no read.
///
/// # Errors
/// Those of reading the tenant's settings.
pub async fn too_old(ports: &Ports, context: &CommandContext) -> Result<Option<Refusal>> {
    let age = context.now.duration_since(context.occurred_at);
    if age <= SignedDuration::from_secs(i64::from(COMMAND_AGE_SECONDS_MIN)) {
        return Ok(None);
    }
    let rules = tenant_rules(ports, &context.caller.scope, context.now).await?;
    let most = rules.settings.command_age_max_seconds;
    let Some(most) = most.filter(|most| age > SignedDuration::from_secs(i64::from(*most))) else {
        return Ok(None);
    };
    let message =
        format!("a command is taken until {most} seconds after it happened; it is {} here", context.now);
    Ok(Some(Refusal::field("occurred_at", "occurred_at_too_old", message)))
}

/// Checks that a command on a cart is not older than the tenant allows, or took effect before.
///
/// `cart_id`: the cart or return that it names, if it names one.
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
    let Some(refusal) = too_old(ports, context).await? else { return Ok(()) };
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
    Err(refusal.into())
}
