//! Undoing a whole order: a till's void after the fact, and the cancellation of an order from elsewhere.
//!
//! It is a return of all lines, counted as one with a number of its own. What came back of the order is
//! written with it, provided that nothing had: so of a void and returns at once one wins. There is one
//! undoing of an order, under an id made from the order's; the key that it took effect by is kept in it.

use tillstream_contracts::pos::VoidOrder;
use tillstream_domain::approval::{ApprovalAction, Binding};
use tillstream_domain::cart::order_status::{NewStatus, OrderStatus};
use tillstream_domain::cart::undo::Undoing;
use tillstream_domain::cart::{ApprovedPart, Cart, CartKind, CartState, Outcome, Returned};
use tillstream_domain::lane::Lane;
use tillstream_domain::location::{Location, LocationKind};
use tillstream_domain::money::Money;

use super::cart_item::cart_of;
use super::cart_write::{Executed, cart_get, cart_put, replay};
use super::carts::{NewCart, new_cart};
use super::claims::{Claim, Written, write_with_claims};
use super::context::CommandContext;
use super::course_item::status_write;
use super::finalize_rounds::{Beside, Rounds, StoreRead};
use super::identity::derived_id;
use super::lane_write::{LaneState, lane_get};
use super::limited_uses::given_back;
use super::not_approved::not_approved_write;
use super::returns::{REASON_CHARS_MAX, returned_get};
use crate::approvals::permission::Permission;
use crate::catalog::items::{catalog_get, location_if_any};
use crate::database::{Condition, Consistency, Get, Item, TRANSACTION_ACTIONS_MAX, Table, Write};
use crate::error::{Error, Refusal, Result};
use crate::fields::{id, text, typed_id};
use crate::ports::Ports;
use crate::stored_value::claims::stored_value_writes;
use crate::tenancy::TenantScope;
use crate::tenant_rules::tenant_rules;

/// A void after the fact, as a task names it.
const VOID_ORDER: &str = "void_order";

/// Attribute of what came back of an order that is undone: where the order stands.
pub const UNDONE: &str = "undone";

/// Hex digits of an [`undoing_id`].
const UNDOING_ID_DIGITS: usize = 24;

/// The id of what undoes an order.
pub fn undoing_id(scope: &TenantScope, order_id: &str) -> String {
    derived_id("u", &[scope.tenant_id(), order_id, "undo"])
}

/// Checks the id that a client gives a cart or an order. Of the form of [`undoing_id`] it would stand in the way of
/// what undoes another, for good.
///
/// # Errors
/// 422 `id_malformed`, `card_number_refused`.
pub fn new_order_id(field: &str, value: &str) -> Result<()> {
    typed_id(field, value)?;
    let undoes = value.strip_prefix("u-").is_some_and(|rest| {
        rest.len() == UNDOING_ID_DIGITS && rest.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    if undoes {
        let detail = "u- and 24 hex digits is what undoes an order; use another form, as a UUID";
        return Err(Refusal::field(field, "id_malformed", detail).into());
    }
    Ok(())
}

/// `void_order`.
///
/// # Errors
/// 403 without an approval; 404 `order_not_found`; 409 `order_of_another_day`, `order_of_another_store`,
/// `order_already_returned`, `order_already_voided`, `order_of_exchange`, `order_status_conflict`; 422 for fields and
/// `idempotency_key_reused`.
pub async fn void_order(ports: &Ports, context: &CommandContext, payload: VoidOrder) -> Result<Executed> {
    id("payload.order_id", &payload.order_id)?;
    text("payload.reason", &payload.reason, REASON_CHARS_MAX)?;
    if payload.reason.trim().is_empty() {
        return Err(Refusal::field("payload.reason", "reason_required", "say why").into());
    }
    let approval_id = payload.approval_id.as_deref();
    let permission = Permission::of(ports, context, ApprovalAction::VoidOrder, 0, approval_id).await?;
    let what = Undo {
        order_id: &payload.order_id,
        undoing: Undoing::Void,
        reason: Some(&payload.reason),
        permission: &permission,
    };
    undo(ports, context, &what, |_| Ok(())).await
}

/// What is to be undone.
pub struct Undo<'a> {
    /// The order.
    pub order_id: &'a str,
    /// As what.
    pub undoing: Undoing,
    /// Why.
    pub reason: Option<&'a str>,
    /// On what the leave to do so rests.
    pub permission: &'a Permission,
}

/// Undoes an order, once. `precondition` is held against the order as it was before.
///
/// # Errors
/// As [`void_order`]; what `precondition` refuses; [`Error::Conflict`] when too many races were lost.
pub async fn undo(
    ports: &Ports,
    context: &CommandContext,
    what: &Undo<'_>,
    precondition: impl Fn(&Cart) -> Result<()>,
) -> Result<Executed> {
    let scope = &context.caller.scope;
    let undo_id = undoing_id(scope, what.order_id);
    let needs_shift = !Lane::is_virtual(&context.register_id)
        && tenant_rules(ports, scope, context.now).await?.settings.sale_needs_open_shift;
    let mut rounds = Rounds::new(ports, context);
    loop {
        let mut gets = vec![
            cart_get(context, what.order_id),
            cart_get(context, &undo_id),
            lane_get(scope, &context.store_id, &context.register_id),
            catalog_get(scope.location(&context.store_id)),
        ];
        gets.extend(what.permission.get(context));
        let Some(read) = rounds.read(gets).await? else { continue };
        let at = |position: usize| read.get(position).and_then(Option::as_ref);
        let location = store(context, at(3))?;
        let existing = at(1).map(cart_of).transpose()?;
        if let Some(existing) = existing.as_ref().filter(|existing| existing.course.undoes.is_none()) {
            let detail = format!("there is a cart {} in the way", existing.id);
            return Err(Refusal::conflict("cart_exists", detail).into());
        }
        if let Some(done) = existing.as_ref().filter(|existing| existing.finalized.is_some()) {
            let Some(executed) = replay(context, done)? else {
                return Err(undone(what.order_id, done.course.undoes).into());
            };
            return rounds.found(Executed { outcome: Outcome::Finalized, ..executed }).await;
        }
        if let Some(begun) = existing.as_ref().filter(|existing| existing.plan_attempt.is_some()) {
            // Whoever began it, it is the one undoing of this order: the next round tells whose it was.
            rounds.continue_plan(begun).await?;
            continue;
        }
        if needs_shift {
            match LaneState::of(at(2))?.within_open_shift(&context.register_id) {
                // The lane was read beside: it may be this very void that the shift was closed after.
                Err(Error::Rejected(_))
                    if rounds.is_outdated(&undo_id, existing.as_ref().map(|e| e.version)).await? =>
                {
                    continue;
                }
                checked => checked?,
            };
        }
        // A long undoing that died used its approval up when it began.
        let used = existing.as_ref().and_then(|begun| begun.approvals.of_whole()).cloned();
        let stored = existing.map(|existing| existing.version);
        let order = at(0).map(cart_of).transpose()?;
        let ready = async {
            let order = order.as_ref().ok_or_else(|| not_found(what.order_id))?;
            check(context, order, what.undoing, &location)?;
            precondition(order)?;
            let mut cart = brought_back(context, &location, &undo_id, order, what)?;
            cart.version = stored.unwrap_or(cart.version);
            cart.applied.record_last(&context.identity, Outcome::Finalized);
            let asked = Binding::VoidOrder { order_id: what.order_id.to_owned() };
            let (mut claims, mut task) = (Vec::new(), None);
            if let Some(used) = used.filter(|used| what.permission.is_of(&used.approval_id)) {
                cart.approvals.record(used)?;
            } else {
                // Of a gift card or an account nothing has gone back before we credit it: that takes who may.
                let (grant, problem) = if order.course.stored_value.is_empty() {
                    what.permission.permit_or_tell(context, at(4), asked)?
                } else {
                    (what.permission.permit(context, at(4), asked)?, None)
                };
                if let Some(grant) = grant {
                    cart.approvals.record(grant.used_for(ApprovedPart::Whole))?;
                    claims.push(grant.claim(context, &cart.id, None)?);
                }
                // What a register gave back while it was cut off is gone, whoever allowed it: somebody is told.
                let back = Money { amount: cart.totals()?.paid, currency: cart.currency };
                let moved = (VOID_ORDER, Some(back));
                task = problem.map(|problem| {
                    not_approved_write(context, ("order_id", order.id.as_str()), moved, problem)
                });
            }
            let mut writes = undoing_writes(ports, scope, &cart, what.undoing, Some(order.version)).await?;
            writes.extend(task.clone());
            Ok((cart, Beside { writes, claims, ..Beside::default() }, task))
        };
        let (cart, mut beside, task) = match ready.await {
            // These were read one after the other: it may be undone by this very request's twin.
            Err(Error::Rejected(_)) if rounds.is_outdated(&undo_id, stored).await? => continue,
            Err(Error::Conflict(why) | Error::Retryable { reason: why, .. }) => {
                rounds.again(&why).await?;
                continue;
            }
            ready => ready?,
        };
        let moves = cart.stock_moves();
        let stored_value = stored_value_writes(scope, &[&cart], context.now)?;
        let is_long =
            |beside: &Beside| moves.len() + beside.len() + stored_value.len() + 2 > TRANSACTION_ACTIONS_MAX;
        if !is_long(&beside) {
            let Some(back) = rounds.come_back(&cart, &moves).await? else { continue };
            beside.back = back;
        }
        if is_long(&beside) {
            // What goes back to gift cards and accounts goes with the plan's end.
            begin_long(&mut rounds, cart, stored, task, &beside.claims).await?;
            continue;
        }
        let read = StoreRead { location: &location, lane: at(2), needs_shift };
        let beside = beside.with(stored_value);
        if let Some(executed) = rounds.commit(cart, stored, &read, &moves, beside).await? {
            return Ok(executed);
        }
    }
}

/// An order of more SKUs than one transaction takes is undone by a plan: the return is first put as a cart
/// that no command of a till can change, and uses up the approval, or opens the `task` that there was none.
async fn begin_long(
    rounds: &mut Rounds<'_>,
    mut cart: Cart,
    stored: Option<u64>,
    task: Option<Write>,
    claims: &[Claim],
) -> Result<()> {
    let (ports, context) = (rounds.ports(), rounds.context());
    cart.state = CartState::Tendering;
    cart.version = stored.map_or(cart.version, |version| version + 1);
    let put = cart_put(context, &cart, stored)?;
    let writes = std::iter::once(put).chain(task).collect();
    if let Written::LostRace(why) = write_with_claims(ports.database.as_ref(), writes, claims).await? {
        return rounds.again(&why).await;
    }
    let moves = cart.stock_moves();
    rounds.plan(&cart, &moves).await
}

fn not_found(order_id: &str) -> Refusal {
    Refusal::not_found("order_not_found", format!("there is no order {order_id}"))
}

fn undone(order_id: &str, undoing: Option<Undoing>) -> Refusal {
    match undoing {
        Some(Undoing::Cancellation) => status_conflict(order_id, OrderStatus::Cancelled.name(), &[]),
        _ => Refusal::conflict("order_already_voided", format!("order {order_id} is voided already")),
    }
}

/// The refusal of a way that an order's status does not go.
pub fn status_conflict(order_id: &str, is: &str, allowed: &[&str]) -> Refusal {
    let from_here = if allowed.is_empty() { "nowhere".to_owned() } else { allowed.join(", ") };
    let detail = format!("order {order_id} is {is}; from there it goes: {from_here}");
    Refusal::conflict("order_status_conflict", detail)
        .with_extra("order_status", is)
        .with_extra("allowed", allowed.iter().map(|to| (*to).to_owned()).collect::<Vec<_>>())
}

/// The store, and for a till its register in it.
fn store(context: &CommandContext, item: Option<&Item>) -> Result<Location> {
    if !Lane::is_virtual(&context.register_id) {
        return context.till(item);
    }
    let unknown = || Refusal::not_found("store_not_found", format!("there is no store {}", context.store_id));
    let location = location_if_any(item)?.ok_or_else(unknown)?;
    if location.kind == LocationKind::Store { Ok(location) } else { Err(unknown().into()) }
}

/// What must hold of the order, beside what the transaction asserts.
fn check(context: &CommandContext, order: &Cart, undoing: Undoing, location: &Location) -> Result<()> {
    if let Some(exchange) = &order.course.exchange {
        let detail = format!(
            "order {} is of an exchange with {}, and neither is undone without the other: what was sold comes \
             back by a return, and what came back is sold anew",
            order.id, exchange.with
        );
        return Err(Refusal::conflict("order_of_exchange", detail).into());
    }
    let Some(done) = order.finalized.as_ref().filter(|_| order.kind == CartKind::Sale) else {
        let detail = format!("order {} is not a final sale", order.id);
        return Err(Refusal::conflict("order_not_final", detail).into());
    };
    if order.store_id != context.store_id {
        let detail = format!("order {} is of another store", order.id);
        return Err(Refusal::conflict("order_of_another_store", detail).into());
    }
    check_status(order, undoing)?;
    if undoing == Undoing::Void {
        let now = location.calendar().and_then(|calendar| calendar.locate(context.occurred_at));
        let today = now.map_err(Error::bug)?.business_day;
        if done.business_day != today {
            let detail = format!(
                "order {} is of {}, and it is {today}: what was sold on another day comes back by a return",
                order.id, done.business_day
            );
            return Err(Refusal::conflict("order_of_another_day", detail).into());
        }
        // A register that is not cut off tells of what happens now, whatever its clock says.
        let by_our_clock =
            |at| location.calendar().and_then(|calendar| calendar.locate(at)).map_err(Error::bug);
        let recorded = by_our_clock(done.recorded_at)?.business_day;
        if !context.offline && recorded != by_our_clock(context.now)?.business_day {
            let detail = format!(
                "order {} was made final on {recorded}, which is over: it comes back by a return",
                order.id
            );
            return Err(Refusal::conflict("order_of_another_day", detail).into());
        }
    }
    Ok(())
}

fn check_status(order: &Cart, undoing: Undoing) -> Result<()> {
    let Some(is) = order.order_status() else {
        return Err(Error::Bug(format!("order {} has no status that is known", order.id)));
    };
    if is.next().contains(&undoing.status()) {
        return Ok(());
    }
    if is == OrderStatus::Voided {
        return Err(undone(&order.id, Some(Undoing::Void)).into());
    }
    let allowed: Vec<&str> =
        is.next().iter().filter(|to| **to != OrderStatus::Voided).map(|to| to.name()).collect();
    Err(status_conflict(&order.id, is.name(), &allowed).into())
}

/// The return of all of `order`.
fn brought_back(
    context: &CommandContext,
    location: &Location,
    undo_id: &str,
    order: &Cart,
    what: &Undo<'_>,
) -> Result<Cart> {
    let new = NewCart { id: undo_id.to_owned(), kind: CartKind::Return, ..NewCart::default() };
    let mut cart = new_cart(context, location, new);
    cart.currency = order.currency;
    let reason = what.reason.unwrap_or(what.undoing.status().name()).to_owned();
    cart.take_all_back(order, what.undoing, reason)?;
    cart.stamp_stored_value(context.now);
    let due = cart.totals()?.due;
    if due == 0 { Ok(cart) } else { Err(Error::Bug(format!("undoing {} leaves {due} due", order.id))) }
}

/// What is written beside the return that undoes an order: all of it came back, provided that nothing had;
/// and the order's status, provided that it did not change since it was read (as `read_at`, where that
/// matters).
///
/// # Errors
/// 409 where something came back or the status is past undoing; [`Error::Conflict`] where the order is
/// not as it was read.
pub async fn undoing_writes(
    ports: &Ports,
    scope: &TenantScope,
    cart: &Cart,
    undoing: Undoing,
    read_at: Option<u64>,
) -> Result<Vec<Write>> {
    let head = cart.return_of.as_ref();
    let order_id = head.and_then(|head| head.original.as_ref()).map(|original| original.order_id.clone());
    let order_id = order_id.ok_or_else(|| Error::bug("what is undone has an id"))?;
    let get = Get { table: Table::Orders, key: scope.cart(&order_id), consistency: Consistency::Strong };
    let read = ports.database.get_many(vec![get, returned_get(scope, &order_id)]).await?;
    let at = |position: usize| read.get(position).and_then(Option::as_ref);
    if let Some(came_back) = at(1) {
        return Err(match came_back.opt_text(UNDONE) {
            Some(status) if status == OrderStatus::Cancelled.name() => {
                undone(&order_id, Some(Undoing::Cancellation))
            }
            Some(_) => undone(&order_id, Some(Undoing::Void)),
            None => Refusal::conflict(
                "order_already_returned",
                format!("some of order {order_id} came back already; the rest comes back by a return"),
            ),
        }
        .into());
    }
    let mut order = cart_of(at(0).ok_or_else(|| not_found(&order_id))?)?;
    let stored = order.version;
    if read_at.is_some_and(|read_at| read_at != stored) {
        return Err(Error::Conflict("the order changed while it was looked at".to_owned()));
    }
    check_status(&order, undoing)?;
    let came_back = Item::new(&scope.returned(&order_id))
        .with("version", 1)
        .with(UNDONE, undoing.status().name())
        .with_json("data", &Returned::all_of(&order))?;
    let new = NewStatus {
        to: undoing.status(),
        at: cart.opened_at,
        by: cart.employee_id.clone(),
        reason: head.map(|head| head.reason.clone()),
        tracking: None,
        payments: Vec::new(),
        refunded_to_account: 0,
        undone_by: Some(cart.id.clone()),
    };
    order.change_status(new).map_err(Error::bug)?;
    order.applied.record_last_of(&cart.applied, Outcome::Done);
    order.written_at = cart.written_at;
    let condition = Some(Condition::NotExists);
    let mut writes = vec![
        Write::Put { table: Table::Orders, item: came_back, condition },
        status_write(scope, &order, stored)?,
    ];
    writes.extend(given_back(scope, &order));
    Ok(writes)
}
