//! `PUT /v1/orders/{id}`: an order's way from placed to delivered, or back.
//!
//! Every change is one more version of the order and one more entry of its history, in one write with the
//! key that it took effect by. A cancellation is counted: it is a return of all of it.

use serde_json::Value;
use tillstream_contracts::orders::{SettlementPayment, TrackingInput, UpdateOrder};
use tillstream_domain::cart::applied::Seen;
use tillstream_domain::cart::order_status::{ACCOUNT, NewStatus, OrderStatus, StatusError, Tracking};
use tillstream_domain::cart::undo::Undoing;
use tillstream_domain::cart::{Cart, CartKind, Outcome, PaymentInput};
use tillstream_domain::lane::Lane;
use tillstream_domain::stored_value::StoredValueKind;

use super::as_cart::within;
use super::checks::check_references;
use super::read::order_not_found;
use crate::approvals::permission::Permission;
use crate::database::{Condition, Table, Write};
use crate::environment::Retries;
use crate::error::{Error, Refusal, Result};
use crate::fields::{id, text, typed_id};
use crate::ports::Ports;
use crate::pos::cart_item::cart_of;
use crate::pos::cart_write::{cart_get, lost_race, replay};
use crate::pos::context::CommandContext;
use crate::pos::course_item::status_write;
use crate::pos::identity::{command_identity, spread};
use crate::pos::returns::{REASON_CHARS_MAX, returned_get, returned_of};
use crate::pos::undo::{UNDONE, Undo, status_conflict, undo, undoing_id};
use crate::stored_value::tender::kind_of as stored_value_kind;
use crate::tenancy::{Caller, Role};

/// Roles that may move an order on.
pub const MOVERS: [Role; 3] = [Role::Integration, Role::StoreManager, Role::WarehouseStaff];

/// Roles that may say that it is paid, or give it up: money goes with that.
pub const SETTLERS: [Role; 2] = [Role::Integration, Role::StoreManager];

/// Where an order only goes with goods in it.
const GOES_ON: [OrderStatus; 3] = [OrderStatus::Paid, OrderStatus::Allocated, OrderStatus::Shipped];

/// Longest number of a carrier, in characters: the longest in use have under 40.
const TRACKING_CHARS_MAX: usize = 64;

/// An order as it stands after a change.
#[derive(Debug)]
pub struct Changed {
    /// It.
    pub order: Cart,
    /// For a cancellation: the return that is counted.
    pub counted: Option<Cart>,
    /// Whether the change took effect before.
    pub replayed: bool,
}

/// Changes the status of an order, once. `precondition` is held against its version as it was before.
///
/// # Errors
/// 403 by role; 404 `order_not_found`; 409 `order_status_conflict`, `order_already_returned`, `underpaid`,
/// `overpaid`; 412 from `precondition`; 422 for fields and `idempotency_key_reused`;
/// [`Error::Conflict`] when too many races were lost.
pub async fn change(
    ports: &Ports,
    caller: &Caller,
    key: &str,
    order_id: &str,
    update: UpdateOrder,
    precondition: impl Fn(Option<u64>) -> Result<(), Refusal>,
) -> Result<Changed> {
    caller.require_role(&MOVERS)?;
    id("id", order_id)?;
    let to = check(&update)?;
    if matches!(to, OrderStatus::Paid | OrderStatus::Cancelled) {
        caller.require_role(&SETTLERS)?;
    }
    let payload: Value = serde_json::to_value(&update).map_err(Error::bug)?;
    let now = ports.environment.now();
    let scope = &caller.scope;
    let parts = [scope.tenant_id(), &caller.subject, "update_order", order_id];
    let mut context = CommandContext {
        identity: command_identity(key, &parts, &payload),
        caller: caller.clone(),
        store_id: String::new(),
        register_id: Lane::virtual_register(spread(&undoing_id(scope, order_id))),
        employee_id: caller.subject.clone(),
        occurred_at: now,
        now,
        offline: false,
        uses_above_limit: false,
        refused_before: None,
    };
    let mut retries = Retries::new(ports.environment.as_ref(), now);
    loop {
        let gets = vec![cart_get(&context, order_id), returned_get(scope, order_id)];
        let Some(read) = retries.answered(ports.database.get_many(gets).await).await? else { continue };
        let at = |position: usize| read.get(position).and_then(Option::as_ref);
        let (order, came_back) = (at(0).map(cart_of).transpose()?, at(1));
        let order = order.filter(|order| order.finalized.is_some() && caller.reaches(&order.store_id));
        let mut order = order.ok_or_else(|| order_not_found(order_id))?;
        if let Some(executed) = replay(&context, &order)? {
            return answer(ports, &context, executed.cart, true).await;
        }
        precondition(Some(version(&order)))?;
        no_stored_value(ports, &context, &update).await?;
        if to == OrderStatus::Cancelled && order.kind == CartKind::Sale {
            context.store_id.clone_from(&order.store_id);
            let what = Undo {
                order_id,
                undoing: Undoing::Cancellation,
                reason: update.reason.as_deref(),
                // Whoever may move an order on may cancel it.
                permission: &Permission::Role,
            };
            let held = |order: &Cart| Ok(precondition(Some(version(order)))?);
            let executed = undo(ports, &context, &what, held).await?;
            let item = ports.database.get(cart_get(&context, order_id)).await?;
            let order = cart_of(item.as_ref().ok_or_else(|| order_not_found(order_id))?)?;
            return Ok(Changed { order, counted: Some(executed.cart), replayed: executed.replayed });
        }
        let stored = order.version;
        let returned = returned_of(came_back)?;
        if came_back.is_some_and(|item| item.opt_text(UNDONE).is_some())
            && !order.order_status().is_some_and(OrderStatus::is_undone)
        {
            // Both were not read at one moment.
            retries.again("the order was undone while it was looked at").await?;
            continue;
        }
        let is_on_its_way = order.order_status().is_some_and(|is| is.next().contains(&to));
        if is_on_its_way && GOES_ON.contains(&to) && returned.is_all_of(&order) {
            return Err(all_came_back(order_id).into());
        }
        let new = NewStatus {
            to,
            at: now,
            by: context.employee_id.clone(),
            reason: update.reason.clone(),
            tracking: update.tracking.clone().map(tracking),
            payments: update.payments.iter().map(payment).collect(),
            refunded_to_account: returned.refunded.get(ACCOUNT).copied().unwrap_or(0),
            undone_by: None,
        };
        within("payments", order.change_status(new).map_err(|error| refused(order_id, error)))?;
        order.applied.record_last(&context.identity, Outcome::Done);
        order.written_at = now;
        let write = status_write(scope, &order, stored)?;
        let written = if update.payments.is_empty() {
            ports.database.write(write).await
        } else {
            // What comes back meanwhile is no longer owed.
            let condition = match came_back {
                Some(came_back) => Condition::Eq("version", came_back.number("version")?.into()),
                None => Condition::NotExists,
            };
            let key = scope.returned(order_id);
            let check = Write::Check { table: Table::Orders, key, condition };
            ports.database.transact(vec![write, check]).await
        };
        match written {
            Ok(()) => return answer(ports, &context, order, false).await,
            Err(error) => retries.again(&lost_race(error)?).await?,
        }
    }
}

fn all_came_back(order_id: &str) -> Refusal {
    let detail = format!("all of order {order_id} came back: there is nothing left to pay or to send");
    Refusal::conflict("order_already_returned", detail)
}

/// Refuses to settle what is owed from a gift card whose balance is kept here: with the change of a status nothing is
/// taken from one. An order is paid by a gift card where it is placed.
async fn no_stored_value(ports: &Ports, context: &CommandContext, update: &UpdateOrder) -> Result<()> {
    for (position, payment) in update.payments.iter().enumerate() {
        if stored_value_kind(ports, context, &payment.tender).await? == Some(StoredValueKind::GiftCard) {
            let message = "what is owed is not settled from a gift card; place the order with it";
            let field = format!("payments[{position}].tender");
            return Err(Refusal::field(field, "settlement_invalid", message).into());
        }
    }
    Ok(())
}

/// The order's version as clients know it: the number of its facts.
fn version(order: &Cart) -> u64 {
    order.finalized.as_ref().map_or(0, |done| done.order_version.into())
}

async fn answer(ports: &Ports, context: &CommandContext, order: Cart, replayed: bool) -> Result<Changed> {
    // A cancellation that took effect before is answered with the number that it was counted by.
    let undone_by = order.course.history.last().and_then(|change| change.undone_by.clone());
    let counted = match undone_by {
        Some(undone_by) if replayed => {
            let item = ports.database.get(cart_get(context, &undone_by)).await?;
            let cart = item.as_ref().map(cart_of).transpose()?;
            cart.filter(|cart| matches!(cart.applied.seen(&context.identity), Seen::Same(_)))
        }
        _ => None,
    };
    Ok(Changed { order, counted, replayed })
}

fn check(update: &UpdateOrder) -> Result<OrderStatus> {
    let Some(to) = OrderStatus::parse(&update.status) else {
        let known: Vec<&str> = OrderStatus::ALL.iter().map(|status| status.name()).collect();
        let message = format!("a status is one of {}", known.join(", "));
        return Err(Refusal::field("status", "status_unknown", message).into());
    };
    if let Some(reason) = &update.reason {
        text("reason", reason, REASON_CHARS_MAX)?;
    }
    if let Some(tracking) = &update.tracking {
        if to != OrderStatus::Shipped {
            let message = "tracking comes with the status shipped";
            return Err(Refusal::field("tracking", "tracking_not_expected", message).into());
        }
        if let Some(carrier) = &tracking.carrier {
            typed_id("tracking.carrier", carrier)?;
        }
        if tracking.number.trim().is_empty() {
            return Err(Refusal::field("tracking.number", "tracking_invalid", "say the number").into());
        }
        // Not held to be a card number: carriers' numbers are as long, and pass its check by chance.
        if tracking.number.chars().count() > TRACKING_CHARS_MAX
            || !tracking.number.chars().all(|c| c.is_ascii_graphic() || c == ' ')
        {
            let message = format!("at most {TRACKING_CHARS_MAX} printable ASCII characters");
            return Err(Refusal::field("tracking.number", "tracking_invalid", message).into());
        }
    }
    check_references(update.payments.iter().map(|payment| payment.external_reference.as_deref()))?;
    Ok(to)
}

fn tracking(input: TrackingInput) -> Tracking {
    Tracking { carrier: input.carrier, number: input.number }
}

/// A payment as carts take it.
fn payment(input: &SettlementPayment) -> PaymentInput {
    PaymentInput {
        tender: input.tender.clone(),
        amount: input.amount,
        tip: None,
        external_reference: input.external_reference.clone(),
        entry_method: None,
    }
}

fn refused(order_id: &str, error: StatusError) -> Error {
    match error {
        StatusError::Payment(error) => error.into(),
        StatusError::NoWay { is, allowed, .. } => status_conflict(order_id, &is, &allowed).into(),
        StatusError::NotSettling => Refusal::field("payments", error.code(), error.to_string()).into(),
        StatusError::NotFinal => Refusal::conflict(error.code(), error.to_string()).into(),
    }
}
