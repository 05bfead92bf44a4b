//! Exchanges: a return and a sale made final in one transaction, each with a number of its own.
//!
//! The numbers are two in a row, the return's before the sale's, taken by one update of the lane; both carts
//! keep the command's key. So neither half is ever there without the other, and each is counted, told and
//! printed as any return and any sale. An exchange is short: what one transaction does not take is refused,
//! as two plans would have to end as one.

use std::collections::{BTreeMap, BTreeSet};

use tillstream_contracts::pos::{CommandResult, FinalizeExchange};
use tillstream_domain::cart::{Cart, CartKind, Exchange, ExchangeMove, Outcome, StockMove};
use tillstream_domain::money::Money;
use tillstream_domain::quantity::Quantity;

use super::asked_total;
use super::cart_item::cart_of;
use super::cart_write::{Executed, cart_get, replay};
use super::claims::Claim;
use super::context::CommandContext;
use super::final_transaction::{Attempt, FinalWrites, StockWrites, commit};
use super::finalize::{delta_of, final_put, mark_final, movement_of, returned_writes};
use super::finalize_rounds::{Beside, Rounds, StoreRead, Tried};
use super::held_sale::{ends_of, held_of, is_not_over};
use super::lane_write::{LaneState, lane_get, take_numbers};
use super::named_lots::owned;
use super::plan::{self, PlanEnd};
use super::refusals::cart_not_found;
use crate::catalog::items::catalog_get;
use crate::database::{Condition, TRANSACTION_ACTIONS_MAX, Write};
use crate::documents::{DocumentId, document_ids, kinds_of};
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::stock::counters::{Delta, Movement, stock_update};
use crate::stock::holds::Located;
use crate::stock::layout::{LAYOUT_WHOLE, Place};
use crate::stock::lots::back::origins;
use crate::stock::lots::leaving::{Back, Leaving};
use crate::stored_value::claims::stored_value_writes;
use crate::tenancy::TenantScope;
use crate::tenant_rules::tenant_rules;

/// Kind of the movement of what comes back and goes out at once.
const EXCHANGE: &str = "exchange";

/// The lane, and both carts.
const FIXED_ACTIONS: usize = 3;

/// One of the two carts, and what is written beside it.
struct Side {
    cart: Cart,
    /// The version that it was stored as.
    stored: u64,
    beside: Beside,
}

/// `finalize_exchange`.
///
/// # Errors
/// Those of `finalize_order` and `finalize_return`; 409 `total_differs`, `underpaid`, `overpaid`, `exchange_not_settled`,
/// `exchange_too_long`; [`Error::Conflict`] when too many races were lost.
pub async fn finalize(
    ports: &Ports,
    context: &CommandContext,
    payload: &FinalizeExchange,
) -> Result<Executed> {
    let (return_id, sale_id) = (payload.return_id.as_str(), payload.cart_id.as_str());
    if return_id == sale_id {
        let message = "an exchange is of a return and a sale; this is the return_id";
        return Err(Refusal::field("payload.cart_id", "field_invalid", message).into());
    }
    let scope = &context.caller.scope;
    let needs_shift = tenant_rules(ports, scope, context.now).await?.settings.sale_needs_open_shift;
    let mut rounds = Rounds::new(ports, context);
    loop {
        let gets = vec![
            cart_get(context, return_id),
            cart_get(context, sale_id),
            lane_get(scope, &context.store_id, &context.register_id),
            catalog_get(scope.location(&context.store_id)),
        ];
        let Some(read) = rounds.read(gets).await? else { continue };
        let at = |position: usize| read.get(position).and_then(Option::as_ref);
        let back = cart_of(at(0).ok_or_else(|| cart_not_found(return_id))?)?;
        let sale = cart_of(at(1).ok_or_else(|| cart_not_found(sale_id))?)?;
        context.require_own(ports, &back).await?;
        context.require_own(ports, &sale).await?;
        // Both keep the key, but they are read one after the other.
        let (seen_back, seen_sale) = (replay(context, &back)?, replay(context, &sale)?);
        if let Some(executed) = seen_sale {
            return Ok(executed);
        }
        if seen_back.is_some() {
            rounds.again("the return was made final after the sale was read").await?;
            continue;
        }
        context.check_refused_before()?;
        if let Some(begun) = [&back, &sale].into_iter().find(|cart| cart.plan_attempt.is_some()) {
            // Somebody is making one of them final alone, or died doing so: how that ends decides.
            if let PlanEnd::Released(_) = plan::drive(ports, scope, &begun.id, context.now).await? {
                rounds.again("the plan gave up").await?;
            }
            continue;
        }
        let versions = (back.version, sale.version);
        let outdated = async |rounds: &Rounds<'_>| -> Result<bool> {
            Ok(rounds.is_outdated(sale_id, Some(versions.1)).await?
                || rounds.is_outdated(return_id, Some(versions.0)).await?)
        };
        if let Some(asked) = payload.total {
            asked_total::check_exchange(&back, &sale, asked)?;
        }
        let exchange = Exchange::of(&back, &sale)?;
        let location = context.till(at(3))?;
        if needs_shift {
            match LaneState::of(at(2))?.within_open_shift(&context.register_id) {
                // The lane was read after the carts: it may be this very exchange that the shift was closed after.
                Err(Error::Rejected(_)) if outdated(&rounds).await? => continue,
                checked => checked?,
            };
        }
        let returned = match returned_writes(ports, scope, &exchange.back).await {
            // What came back was read after the carts: it may hold this very return.
            Err(Error::Rejected(_)) if outdated(&rounds).await? => continue,
            Err(Error::Retryable { reason, .. }) => {
                rounds.again(&reason).await?;
                continue;
            }
            returned => returned?,
        };
        let Some(claims) = rounds.claims(&exchange.sale, Some(versions.1)).await? else { continue };
        let back = Beside { writes: returned, ..Beside::default() };
        // Of a gift card that is paid with and refunded to, only the difference needs to be there.
        let stored_value = stored_value_writes(scope, &[&exchange.back, &exchange.sale], context.now)?;
        let sale = Beside { claims, ..Beside::default() }.with(stored_value);
        let holds = exchange.sale.holds.len();
        let actions = FIXED_ACTIONS + exchange.moves().len() + holds + back.len() + sale.len();
        if actions > TRANSACTION_ACTIONS_MAX {
            return Err(too_long(actions).into());
        }
        let read = StoreRead { location: &location, lane: at(2), needs_shift };
        if let Some(executed) = attempt(ports, &mut rounds, &exchange, versions, (back, sale), &read).await? {
            return Ok(executed);
        }
    }
}

fn too_long(actions: usize) -> Refusal {
    let detail = format!(
        "the exchange is of too many products: it takes {actions} changes at once, of which there can be \
         {TRANSACTION_ACTIONS_MAX}. finalize_return and finalize_order one after the other do the same: refund \
         the return, and pay the sale with that"
    );
    Refusal::conflict("exchange_too_long", detail)
}

/// Tries once to make both final. `None`: another round.
async fn attempt(
    ports: &Ports,
    rounds: &mut Rounds<'_>,
    exchange: &Exchange,
    (back_version, sale_version): (u64, u64),
    (beside_back, beside_sale): (Beside, Beside),
    read: &StoreRead<'_>,
) -> Result<Option<Executed>> {
    let context = rounds.context();
    let Some(holds) = rounds.holds_of(&exchange.sale).await? else { return Ok(None) };
    let mut lane = LaneState::of(read.lane)?;
    if read.needs_shift {
        lane = lane.within_open_shift(&context.register_id)?;
    }
    let mut sides = [
        Side { cart: exchange.back.clone(), stored: back_version, beside: beside_back },
        Side { cart: exchange.sale.clone(), stored: sale_version, beside: beside_sale },
    ];
    let mut numbered = lane.clone();
    for side in &mut sides {
        side.cart.applied.record_last(&context.identity, Outcome::Finalized);
        let (at, now) = (context.occurred_at, context.now);
        mark_final(&mut side.cart, read.location, &numbered, &context.register_id, at, now)?;
        numbered = numbered.with_next_given();
    }
    let (mut fixed, claims) = writes_of(&context.caller.scope, &lane, &mut sides)?;
    let Some(named) = named_lots(rounds, exchange, &sides, &holds).await? else { return Ok(None) };
    let named_skus: BTreeSet<String> = named.keys().cloned().collect();
    let mut all = exchange.moves();
    all.retain(|one| !named_skus.contains(&one.sku));
    fixed.extend(named.into_values().flatten());
    fixed.extend(ends_of(context, &holds, |sku| named_skus.contains(sku)));
    let others = fixed.len() + claims.len();
    // What the cart holds of all other goods ends beside their stock.
    let lines = holds.iter().filter(|held| !named_skus.contains(&held.hold.sku)).count();
    if others + all.len() + lines > TRANSACTION_ACTIONS_MAX {
        return Err(too_long(others + all.len() + lines).into());
    }
    let (moves, stock) = stock_writes(rounds, exchange, &holds, all, others).await?;
    let attempt = match stock {
        Ok(stock) => commit(ports, FinalWrites { fixed, stock, moves: &moves, claims: &claims }).await?,
        Err(attempt) => attempt,
    };
    let [back, sale] = sides;
    let tried = Tried {
        cart: &sale.cart,
        stored: Some(sale.stored),
        with: Some((&back.cart.id, back.stored)),
        moves: &moves,
        holds: &holds,
    };
    let is_done = rounds.is_done(attempt, &tried).await?;
    Ok(is_done.then_some(Executed { outcome: Outcome::Finalized, cart: sale.cart, replayed: false }))
}

/// Everything that is written but stock, in the order that the numbers are given in: each cart on its version,
/// all numbers at once, and what is beside each. What two carts both write beside must be merged here: one
/// transaction takes an item once.
fn writes_of(
    scope: &TenantScope,
    lane: &LaneState,
    sides: &mut [Side; 2],
) -> Result<(Vec<Write>, Vec<Claim>)> {
    let (mut writes, mut claims) = (Vec::new(), Vec::new());
    for side in sides.iter_mut() {
        writes.push(final_put(scope, &side.cart, Some(side.stored))?);
        writes.append(&mut side.beside.writes);
        claims.append(&mut side.beside.claims);
    }
    let carts: Vec<&Cart> = sides.iter().map(|side| &side.cart).collect();
    writes.push(take_numbers(scope, lane, &carts)?);
    Ok((writes, claims))
}

/// What is written of goods of which lots are named, or of which it is known which lots come back, by SKU. `None`:
/// another round is due.
async fn named_lots(
    rounds: &mut Rounds<'_>,
    exchange: &Exchange,
    [back, sale]: &[Side; 2],
    holds: &[Located],
) -> Result<Option<BTreeMap<String, Vec<Write>>>> {
    let (ports, context) = (rounds.ports(), rounds.context());
    let origins = match origins(ports, &context.caller.scope, &exchange.back).await {
        Err(error @ Error::Retryable { .. }) => {
            rounds.again(&error.to_string()).await?;
            return Ok(None);
        }
        origins => origins?,
    };
    let of_sale = movement_of(&exchange.sale, &context.employee_id, context.occurred_at);
    let of_return = movement_of(&exchange.back, &context.employee_id, context.occurred_at);
    let of_both = Movement { kind: EXCHANGE, reason: of_return.reason.clone(), ..of_sale.clone() };
    let lots = exchange.sale.lots_moved();
    let mut goods = Vec::new();
    for one in exchange.moves() {
        let ways = one.ways();
        let lots = lots.get(one.sku.as_str());
        let origin = origins.get(&one.sku).filter(|_| one.back > Quantity::ZERO);
        if lots.is_none() && origin.is_none() {
            continue;
        }
        goods.push(Leaving {
            quantity: one.out.thousandths(),
            held: held_of(holds, &one.sku).thousandths(),
            lots: lots.map(owned).unwrap_or_default(),
            back: ways.1.then(|| Back {
                quantity: one.back.thousandths(),
                damaged: one.damaged.thousandths(),
                origin: origin.cloned().unwrap_or_default(),
            }),
            movement: match ways {
                (true, true) => &of_both,
                (true, false) => &of_sale,
                (false, _) => &of_return,
            },
            sku: one.sku,
        });
    }
    let tried = Tried {
        cart: &sale.cart,
        stored: Some(sale.stored),
        with: Some((&back.cart.id, back.stored)),
        moves: &[],
        holds,
    };
    let Some(writes) = rounds.lots(&tried, &goods).await? else { return Ok(None) };
    let named = goods.into_iter().zip(writes).filter_map(|(one, writes)| Some((one.sku, writes?)));
    Ok(Some(named.collect()))
}

/// The updates of stock beside `others` actions, one for each SKU, and of what they are: what only goes out,
/// then what does both, then what only comes back. `Err`: how the attempt ended already.
async fn stock_writes(
    rounds: &mut Rounds<'_>,
    exchange: &Exchange,
    holds: &[Located],
    all: Vec<ExchangeMove>,
    others: usize,
) -> Result<(Vec<StockMove>, std::result::Result<StockWrites, Attempt>)> {
    let context = rounds.context();
    let (scope, store_id) = (&context.caller.scope, exchange.sale.store_id.as_str());
    let movement = |cart: &Cart| movement_of(cart, &context.employee_id, context.occurred_at);
    let (of_sale, of_return) = (movement(&exchange.sale), movement(&exchange.back));
    let of_both = Movement { kind: EXCHANGE, reason: of_return.reason.clone(), ..of_sale.clone() };
    let (mut out, mut both, mut back) = (Vec::new(), Vec::new(), Vec::new());
    for one in all {
        match one.ways() {
            (true, false) => {
                out.push(StockMove { sku: one.sku, sellable: one.out, damaged: Quantity::ZERO });
            }
            (false, _) => back.push(StockMove { sku: one.sku, sellable: one.back, damaged: one.damaged }),
            (true, true) => both.push(one),
        }
    }
    let beside = others + both.len() + back.len();
    let mut stock = match rounds.stock_writes((&exchange.sale, holds), &out, &of_sale, beside).await? {
        Ok(stock) => stock,
        Err(attempt) => return Ok((out, Err(attempt))),
    };
    let mut moves = out;
    for one in both {
        let taken = one.taken();
        let held: Vec<&Located> = holds.iter().filter(|held| held.hold.sku == one.sku).collect();
        if held.iter().any(|held| matches!(held.place, Place::Part { .. })) {
            rounds.merge(store_id, &one.sku).await?;
            let why = "what the cart holds of split stock was merged".to_owned();
            return Ok((moves, Err(Attempt::LostRace(why))));
        }
        if taken > 0 && rounds.met_split(&one.sku) {
            // What is taken and what is damaged are to be one action on one part.
            rounds.merge(store_id, &one.sku).await?;
        }
        let released = held_of(holds, &one.sku).thousandths();
        stock
            .lines
            .extend(held.iter().map(|one| one.hold.end(scope, Quantity::ZERO, is_not_over(context.now))));
        let delta = Delta {
            on_hand: -taken,
            reserved: -released,
            damaged: one.damaged.thousandths(),
            ..Delta::default()
        };
        let mut more = if taken > 0 { rounds.takable().conditions(&one.sku) } else { Vec::new() };
        if released > 0 && taken > 0 {
            // A count may have found less than is held.
            more.push(Condition::Ge("on_hand", taken.into()));
        }
        stock.writes.push(stock_update(scope, store_id, &one.sku, delta, &of_both, more, Vec::new()));
        stock.of.push((moves.len(), (taken > released).then_some(LAYOUT_WHOLE)));
        // What of it must be there, all in all.
        let sellable = Quantity::of_counter(taken.max(0));
        moves.push(StockMove { sku: one.sku, sellable, damaged: Quantity::ZERO });
    }
    let came_back = StockWrites::of_whole(
        scope,
        store_id,
        &back,
        |wanted| delta_of(CartKind::Return, wanted),
        &of_return,
        &rounds.takable(),
    );
    stock.of.extend(came_back.of.into_iter().map(|(at, layout)| (moves.len() + at, layout)));
    stock.writes.extend(came_back.writes);
    moves.extend(back);
    Ok((moves, Ok(stock)))
}

/// What an exchange answers, from its sale: the return has the number before.
pub fn result(sale: &Cart) -> CommandResult {
    let exchange = sale.course.exchange.as_ref();
    let number = sale.finalized.as_ref().map(|done| done.number.number);
    let mut documents = document_ids(sale);
    if let Some(exchange) = exchange {
        let of_return = kinds_of(CartKind::Return).iter();
        documents.extend(
            of_return.map(|kind| DocumentId { owner_id: exchange.with.clone(), kind: *kind }.to_string()),
        );
    }
    CommandResult {
        order_id: Some(sale.id.clone()),
        receipt_number: number,
        receipt_epoch: sale.finalized.as_ref().and_then(|done| done.number.raised_epoch()),
        return_order_id: exchange.map(|exchange| exchange.with.clone()),
        return_receipt_number: number.map(|number| number.saturating_sub(1)),
        change: exchange.map(|exchange| Money { amount: exchange.change, currency: sale.currency }),
        document_ids: Some(documents),
        ..CommandResult::default()
    }
}
