//! Hold lines of carts: what a cart holds of its store's stock, where the store's policy says so.
//!
//! They are hold lines as reservations have them, under a name that no reservation can have, and of no header: the cart
//! names them by itself ([`CartHolds`](tillstream_domain::cart::CartHolds)), and is written in the transaction that
//! makes, changes or ends them. So a command holds if it takes effect, and else does not. A line whose time is over is
//! freed by whoever needs it, as any other; the cart then names one that is gone.

use tillstream_domain::cart::{Cart, CartHold, CartState};
use tillstream_domain::quantity::Quantity;

use super::cart_write::lost_race;
use super::context::CommandContext;
use crate::database::Condition;
use crate::environment::Retries;
use crate::error::Result;
use crate::ports::Ports;
use crate::stock::counters::Movement;
use crate::stock::holds::{Ending, Hold, end_holds, locate, standing_lines};

/// Lines that one transaction ends: two actions each at most.
const ENDED_AT_ONCE: usize = 48;

/// Under which name the lines of a cart stand: ids of reservations have no `#`.
pub(super) fn holder(cart_id: &str) -> String {
    format!("cart#{cart_id}")
}

/// The hold line that a cart names.
pub(super) fn line_of(cart_id: &str, location_id: &str, sku: &str, hold: &CartHold) -> Hold {
    Hold {
        location_id: location_id.to_owned(),
        sku: sku.to_owned(),
        reservation_id: holder(cart_id),
        part: hold.part,
        layout: hold.layout,
        quantity: hold.quantity,
        expires_at: hold.expires_at,
        attempt: None,
    }
}

/// All hold lines that a cart names.
pub(super) fn lines_of(cart: &Cart) -> Vec<Hold> {
    cart.holds.all().map(|(sku, hold)| line_of(&cart.id, &cart.store_id, sku, hold)).collect()
}

/// What a cart remembers of a hold line that holds so many until then.
pub(super) fn named(line: &Hold, quantity: Quantity, expires_at: i64) -> CartHold {
    // What the first part holds counts there in any layout.
    let layout = if line.part == 0 { 0 } else { line.layout };
    CartHold { part: line.part, layout, quantity, expires_at }
}

/// What the ledger says of stock that a cart begins or ceases to hold.
pub(super) fn hold_movement(context: &CommandContext, cart_id: &str, kind: &'static str) -> Movement {
    Movement {
        kind,
        reference: cart_id.to_owned(),
        actor: context.employee_id.clone(),
        at: context.now,
        reason: None,
    }
}

/// Gives back what a voided cart still names, which was too much for the transaction that voided it. Where nobody gets
/// so far, it is over when its time is over.
///
/// # Errors
/// Those of the database; [`crate::Error::Conflict`] when too many races were lost. The cart is voided in any case.
pub(super) async fn give_back_rest(ports: &Ports, context: &CommandContext, cart: &Cart) -> Result<()> {
    if cart.state != CartState::Voided || cart.holds.is_empty() {
        return Ok(());
    }
    let (database, scope) = (ports.database.as_ref(), &context.caller.scope);
    let movement = hold_movement(context, &cart.id, "release");
    let mut retries = Retries::new(ports.environment.as_ref(), context.now);
    for lines in lines_of(cart).chunks(ENDED_AT_ONCE) {
        loop {
            let standing = standing_lines(database, scope, lines).await?;
            if standing.is_empty() {
                break;
            }
            let located = locate(database, scope, standing).await?;
            let ended = end_holds(scope, &located, &Ending::GiveBack(Condition::Exists), &movement);
            match database.transact(ended.into_iter().map(|(write, _)| write).collect()).await {
                Ok(()) => break,
                Err(error) => retries.again(&lost_race(error)?).await?,
            }
        }
    }
    Ok(())
}
