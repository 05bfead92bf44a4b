//! An order that takes the stock of a reservation: its holds become a sale in the order's transaction. Of a long
//! reservation that transaction decides, and the stock follows before the order is answered.

use tillstream_contracts::orders::PlaceOrder;
use tillstream_domain::cart::{Cart, StockMove};
use tillstream_domain::quantity::Quantity;

use crate::database::{TRANSACTION_ACTIONS_MAX, Write};
use crate::error::{Refusal, Result};
use crate::ports::Ports;
use crate::pos::context::CommandContext;
use crate::pos::finalize::movement_of;
use crate::pos::named_lots::{leaving_of, lot_field, lot_terms};
use crate::stock::counters::Movement;
use crate::stock::long_reservations;
use crate::stock::lots::leaving::{Leaves, look, refusal};
use crate::stock::reservation_item::Reservation;
use crate::stock::reservations::{
    Commit, KeyedRequest, LotWrites, commit_actions, lots_of_long, request_number, require_active,
    require_committable,
};
use crate::stock::reserve::LINES_MAX;

// Whatever a reservation that is not long holds fits its order's transaction: two actions a line, its header, the
// order and its number.
const _: () = assert!(2 * LINES_MAX + 3 <= TRANSACTION_ACTIONS_MAX);

/// What an order takes of its reservation.
#[derive(Debug)]
pub struct Reserved {
    /// The writes that turn it into the order's sale.
    pub writes: Vec<Write>,
    /// Whether its stock follows after them ([`settle`]).
    pub is_long: bool,
}

/// Lets the stock of a long reservation follow the order that took it.
///
/// # Errors
/// [`crate::Error::Retryable`]: the order is final, and the keeper does it where nobody repeats.
pub async fn settle(ports: &Ports, context: &CommandContext, order: &PlaceOrder) -> Result<()> {
    match &order.reservation_id {
        Some(id) => long_reservations::finish(ports, &context.caller.scope, id, context.now).await,
        None => Ok(()),
    }
}

/// The writes that turn the order's reservation, as it was read after the cart, into its sale; `None` where the
/// order names none.
///
/// # Errors
/// 403 where it is out of reach; 404 `reservation_not_found`; 409 where it is no longer active, is for
/// another order, or a count found less than it holds; 409 and 422 for lots that the order names; 422 `reservation_mismatch` where it
/// does not hold exactly what the order takes from stock.
pub async fn reserved_writes(
    ports: &Ports,
    context: &CommandContext,
    (order, reservation): (&PlaceOrder, Option<Reservation>),
    cart: &Cart,
    moves: &[StockMove],
) -> Result<Option<Reserved>> {
    let Some(id) = &order.reservation_id else { return Ok(None) };
    let scope = &context.caller.scope;
    let reservation = reservation.ok_or_else(|| {
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
    let lots = lots_of(ports, context, &reservation, cart, moves, &movement).await?;
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
    let writes = commit_actions(scope, &reservation, &located, &commit, &lots)?;
    Ok(Some(Reserved { writes, is_long: reservation.long.is_some() }))
}

/// What is written instead of the stock of which the order names lots.
async fn lots_of(
    ports: &Ports,
    context: &CommandContext,
    reservation: &Reservation,
    cart: &Cart,
    moves: &[StockMove],
    movement: &Movement,
) -> Result<LotWrites> {
    let mut goods = leaving_of(cart, moves, movement);
    if goods.is_empty() {
        return Ok(LotWrites::default());
    }
    if reservation.long.is_some() {
        return Err(lots_of_long(&reservation.id).into());
    }
    for one in &mut goods {
        one.held = one.quantity;
    }
    let looked = look(ports, &context.caller.scope, &lot_terms(context, cart), &goods).await?;
    if !looked.misfits.is_empty() {
        return Err(refusal(&cart.store_id, &looked.misfits, |misfit| lot_field(cart, misfit)).into());
    }
    let writes = goods.into_iter().zip(looked.goods).filter_map(|(one, leaves)| match leaves {
        Leaves::So(writes) => Some(((cart.store_id.clone(), one.sku), writes.into_iter().next()?)),
        Leaves::AsAnyGoods | Leaves::Short(..) => None,
    });
    Ok(LotWrites::of(writes))
}
