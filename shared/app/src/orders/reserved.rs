//! An order that takes the stock of a reservation: its holds become a sale in the order's transaction.

use tillstream_contracts::orders::PlaceOrder;
use tillstream_domain::cart::{Cart, StockMove};
use tillstream_domain::quantity::Quantity;

use crate::database::{TRANSACTION_ACTIONS_MAX, Write};
use crate::error::{Refusal, Result};
use crate::ports::Ports;
use crate::pos::context::CommandContext;
use crate::pos::finalize::movement_of;
use crate::stock::reservations::{
    Commit, KeyedRequest, commit_actions, find, request_number, require_active, require_committable,
};
use crate::stock::reserve::LINES_MAX;

// Whatever a reservation holds fits its order's transaction: two actions a line, its header, the order and its
// number.
const _: () = assert!(2 * LINES_MAX + 3 <= TRANSACTION_ACTIONS_MAX);

/// The writes that turn the order's reservation into its sale; `None` without one.
///
/// # Errors
/// 403 where it is out of reach; 404 `reservation_not_found`; 409 where it is no longer active, is for
/// another order, or a count found less than it holds; 422 `reservation_mismatch` where it
/// does not hold exactly what the order takes from stock.
pub async fn reserved_writes(
    ports: &Ports,
    context: &CommandContext,
    order: &PlaceOrder,
    cart: &Cart,
    moves: &[StockMove],
) -> Result<Option<Vec<Write>>> {
    let Some(id) = &order.reservation_id else { return Ok(None) };
    let scope = &context.caller.scope;
    let reservation = find(ports, scope, id).await?.ok_or_else(|| {
        Refusal::not_found("reservation_not_found", format!("there is no reservation {id}"))
    })?;
    for line in &reservation.lines {
        context.caller.require_store(&line.location_id)?;
    }
    require_active(&reservation, context.now)?;
    if reservation.order_id.as_deref().is_some_and(|order_id| order_id != cart.id) {
        let detail = format!("reservation {id} is for another order");
        return Err(Refusal::conflict("reservation_of_another_order", detail).into());
    }
    let held = reservation.quantities();
    let wanted: std::collections::BTreeMap<(String, String), Quantity> =
        moves.iter().map(|m| ((cart.store_id.clone(), m.sku.clone()), m.sellable)).collect();
    if held != wanted {
        let message = "the reservation must hold exactly what the order takes from this store's stock";
        return Err(Refusal::field("reservation_id", "reservation_mismatch", message).into());
    }
    let located = require_committable(ports, &context.caller, &reservation, context.now).await?;
    let movement = movement_of(cart, &context.employee_id, context.occurred_at);
    let key = format!("order:{}", cart.id);
    let commit = Commit {
        request: KeyedRequest {
            key: &key,
            fingerprint: &cart.id,
            number: request_number(ports.environment.as_ref()),
        },
        order_id: Some(&cart.id),
        now: context.now,
        movement: &movement,
    };
    commit_actions(scope, &reservation, &located, &commit).map(Some)
}
