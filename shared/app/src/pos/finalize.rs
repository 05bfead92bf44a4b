//! Making a cart final: its number, its stock and its payment in one transaction, after one read.

use jiff::Timestamp;
use tillstream_domain::cart::order_status::ACCOUNT;
use tillstream_domain::cart::{Cart, CartError, CartHolds, CartKind, Finalized, Outcome, StockMove};
use tillstream_domain::lane::Lane;
use tillstream_domain::location::Location;
use tillstream_domain::money::Money;

use super::asked_total;
use super::cart_item::{cart_item, cart_of};
use super::cart_write::{Executed, cart_get, replay};
use super::context::CommandContext;
use super::course_item::LEFT_ON_ACCOUNT;
use super::finalize_rounds::{Beside, Rounds, StoreRead};
use super::lane_write::{LaneState, lane_get, take_numbers};
use super::refusals::cart_not_found;
use super::returns::{returned_get, returned_of};
use super::undo::undoing_writes;
use crate::catalog::items::catalog_get;
use crate::database::{Condition, Consistency, Get, Item, TRANSACTION_ACTIONS_MAX, Table, Write};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::stock::counters::{Delta, Movement};
use crate::stored_value::claims::stored_value_writes;
use crate::tenancy::TenantScope;
use crate::tenant_rules::tenant_rules;

/// What an order is called once it is final: a sale made at a till, or recorded, is `completed`; an order
/// from elsewhere is `paid`, or `placed` where it is on account; a return is `returned`.
fn final_status(cart: &Cart, register_id: &str) -> &'static str {
    match cart.kind {
        CartKind::Return => "returned",
        CartKind::Sale if !Lane::is_virtual(register_id) || cart.course.recorded.is_some() => "completed",
        CartKind::Sale if cart.owed_on_account() > 0 => "placed",
        CartKind::Sale => "paid",
    }
}

/// Makes `cart` final in memory: number, time and business day.
///
/// # Errors
/// A bug if the store's zone is wrong; it was checked when the location was written.
pub fn mark_final(
    cart: &mut Cart,
    location: &Location,
    lane: &LaneState,
    register_id: &str,
    at: Timestamp,
    now: Timestamp,
) -> Result<()> {
    let hour = location.calendar().and_then(|calendar| calendar.locate(at)).map_err(Error::bug)?;
    cart.finalize(Finalized {
        number: lane.next(&cart.store_id, register_id),
        order_version: 1,
        status: final_status(cart, register_id).to_owned(),
        at,
        recorded_at: now,
        business_day: hour.business_day,
        hour_start: hour.hour_start,
        offset_seconds: hour.offset_seconds,
    });
    // What it held is sold.
    cart.holds = CartHolds::default();
    cart.version += 1;
    cart.written_at = now;
    Ok(())
}

/// Why stock moves when `cart` becomes final.
pub fn movement_of(cart: &Cart, actor: &str, at: Timestamp) -> Movement {
    Movement {
        kind: match cart.kind {
            CartKind::Sale => "sale",
            CartKind::Return => "return",
        },
        reference: cart.id.clone(),
        actor: actor.to_owned(),
        at,
        reason: cart.return_of.as_ref().map(|r| r.reason.clone()),
    }
}

/// What one move does to the counters when it happens at once.
pub fn delta_of(kind: CartKind, wanted: &StockMove) -> Delta {
    match kind {
        CartKind::Sale => Delta::sale(wanted.sellable),
        CartKind::Return => {
            Delta { damaged: wanted.damaged.thousandths(), ..Delta::restock(wanted.sellable) }
        }
    }
}

/// For a return of a known sale: what came back of it, with this return added; and where it undoes the
/// whole of it, what else that writes.
///
/// # Errors
/// 409 `return_above_sold`, `refund_above_paid`, `return_outdated`; those of [`undoing_writes`].
pub async fn returned_writes(ports: &Ports, scope: &TenantScope, cart: &Cart) -> Result<Vec<Write>> {
    if let Some(undoing) = cart.course.undoes {
        return undoing_writes(ports, scope, cart, undoing, None).await;
    }
    let Some(original) = cart.return_of.as_ref().and_then(|r| r.original.as_ref()) else {
        return Ok(Vec::new());
    };
    let to_account = original.tenders.get(ACCOUNT).map_or(0, |(paid, _)| *paid);
    let came_back = returned_get(scope, &original.order_id);
    let (item, order) = if to_account > 0 {
        let key = scope.cart(&original.order_id);
        let order = Get { table: Table::Orders, key, consistency: Consistency::Strong };
        let mut read = ports.database.get_many(vec![came_back, order]).await?.into_iter();
        (read.next().flatten(), read.next().flatten())
    } else {
        (ports.database.get(came_back).await?, None)
    };
    let mut returned = returned_of(item.as_ref())?;
    returned.add(cart, original)?;
    let version = item.as_ref().map(|item| item.number("version")).transpose()?;
    let put = Item::new(&scope.returned(&original.order_id))
        .with("version", version.unwrap_or(0) + 1)
        .with_json("data", &returned)?;
    let condition = match version {
        Some(version) => Condition::Eq("version", version.into()),
        None => Condition::NotExists,
    };
    let mut writes = vec![Write::Put { table: Table::Orders, item: put, condition: Some(condition) }];
    if to_account > 0 {
        // What was owed may be settled by other tenders meanwhile: to the account goes then what is left on it only.
        let order = order.as_ref().map(cart_of).transpose()?;
        if order.and_then(|order| order.left_on_account()).is_some_and(|left| left != to_account) {
            return Err(CartError::SettledMeanwhile.into());
        }
        let stands = Condition::Any(vec![
            Condition::Lacks(LEFT_ON_ACCOUNT),
            Condition::Eq(LEFT_ON_ACCOUNT, to_account.into()),
        ]);
        let key = scope.cart(&original.order_id);
        writes.push(Write::Check { table: Table::Orders, key, condition: stands });
    }
    Ok(writes)
}

/// `finalize_order` and `finalize_return`. `asked`: the total that the register asked for the sale, where it states that.
///
/// # Errors
/// 409 `total_differs`, `insufficient_stock`, `insufficient_balance`, `underpaid`, `cart_empty`, `wrong_cart_state`,
/// `return_above_sold`, `refund_above_paid`, `no_open_shift`; 404; 422 `idempotency_key_reused`; [`Error::Conflict`]
/// when too many races were lost.
pub async fn finalize(
    ports: &Ports,
    context: &CommandContext,
    cart_id: &str,
    kind: CartKind,
    asked: Option<Money>,
) -> Result<Executed> {
    let scope = &context.caller.scope;
    let rules = tenant_rules(ports, scope, context.now).await?;
    let needs_shift = rules.settings.sale_needs_open_shift;
    let mut rounds = Rounds::new(ports, context);
    loop {
        let gets = vec![
            cart_get(context, cart_id),
            lane_get(scope, &context.store_id, &context.register_id),
            catalog_get(scope.location(&context.store_id)),
        ];
        let Some(read) = rounds.read(gets).await? else { continue };
        let at = |position: usize| read.get(position).and_then(Option::as_ref);
        let mut cart = cart_of(at(0).ok_or_else(|| cart_not_found(cart_id))?)?;
        context.require_own(ports, &cart).await?;
        if let Some(executed) = replay(context, &cart)? {
            return rounds.found(executed).await;
        }
        context.check_refused_before()?;
        cart.check_ready(kind)?;
        if cart.plan_attempt.is_some() {
            // Somebody began a long finalise; whoever meets it continues it.
            rounds.continue_plan(&cart).await?;
            continue;
        }
        if let Some(asked) = asked {
            asked_total::settle(context, &mut cart, asked, rules.settings.offline_total_below_lines)?;
        }
        if context.offline {
            cart.keep_as_given()?;
        }
        cart.check_finalizable(kind)?;
        let location = context.till(at(2))?;
        if needs_shift {
            match LaneState::of(at(1))?.within_open_shift(&context.register_id) {
                // The lane was read after the cart: it may be this very sale that the shift was closed after.
                Err(Error::Rejected(_)) if rounds.is_outdated(cart_id, Some(cart.version)).await? => continue,
                checked => checked?,
            };
        }
        let moves = cart.stock_moves();
        let mut writes = match returned_writes(ports, scope, &cart).await {
            // What came back was read after the cart: it may hold this very return.
            Err(Error::Rejected(_)) if rounds.is_outdated(cart_id, Some(cart.version)).await? => continue,
            Err(Error::Retryable { reason, .. }) => {
                rounds.again(&reason).await?;
                continue;
            }
            returned => returned?,
        };
        writes.extend(asked_total::task_write(scope, &context.offline_sale(&cart))?);
        let Some(claims) = rounds.claims(&cart, Some(cart.version)).await? else { continue };
        let beside = Beside { writes, claims, ..Beside::default() };
        let mut beside = beside.with(stored_value_writes(scope, &[&cart], context.now)?);
        if !needs_plan(&cart, beside.len()) {
            let Some(back) = rounds.come_back(&cart, &moves).await? else { continue };
            beside.back = back;
        }
        if needs_plan(&cart, beside.len()) {
            rounds.plan(&cart, &moves).await?;
            continue;
        }
        let stored = Some(cart.version);
        cart.applied.record_last(&context.identity, Outcome::Finalized);
        let read = StoreRead { location: &location, lane: at(1), needs_shift };
        if let Some(executed) = rounds.commit(cart, stored, &read, &moves, beside).await? {
            return Ok(executed);
        }
    }
}

/// Whether `cart` is of more SKUs, and holds by more lines, than one transaction takes with `beside` other actions.
pub(super) fn needs_plan(cart: &Cart, beside: usize) -> bool {
    cart.stock_moves().len() + cart.holds.len() + 2 + beside > TRANSACTION_ACTIONS_MAX
}

/// The writes that make a cart final, stock apart: the cart itself on its version (`None`: it must not
/// exist yet), and its lane's number.
///
/// # Errors
/// A bug if the cart has no number or cannot be encoded.
pub fn final_writes(
    scope: &TenantScope,
    cart: &Cart,
    stored: Option<u64>,
    lane: &LaneState,
) -> Result<Vec<Write>> {
    Ok(vec![final_put(scope, cart, stored)?, take_numbers(scope, lane, &[cart])?])
}

/// The put of a cart that became final, on its version; `None`: it must not exist yet.
///
/// # Errors
/// A bug if it cannot be encoded.
pub(super) fn final_put(scope: &TenantScope, cart: &Cart, stored: Option<u64>) -> Result<Write> {
    let condition = match stored {
        Some(version) => Condition::Eq("version", i64::try_from(version).map_err(Error::bug)?.into()),
        None => Condition::NotExists,
    };
    Ok(Write::Put { table: Table::Orders, item: cart_item(scope, cart)?, condition: Some(condition) })
}
