//! One command from its JSON to its reply.

use jiff::Timestamp;
use serde_json::Value;
use tillstream_contracts::pos::{ACTIONS, Command, CommandReply, CommandResult, Envelope, ReplyKind};
use tillstream_domain::cart::{CartKind, Outcome};
use tillstream_domain::money::Money;
use tillstream_domain::tenant_settings::OfflineUses;

use super::cart_write::Executed;
use super::context::{CommandContext, SELLERS};
use super::identity::command_identity;
use super::view::cart_view;
use super::{
    carts, command_age, discounts, envelope, exchange, finalize, lines, parking, promotions, refunds_due,
    returns, tenders, till, undo,
};
use crate::documents::{document_ids, report_ids};
use crate::error::{Error, Result};
use crate::fields;
use crate::ports::Ports;
use crate::tenancy::Caller;
use crate::tenant_rules::tenant_rules;

/// Commands of which a cart takes as many as it has lines, and more.
const SHAPES_LINES: [&str; 4] = ["add_line_item", "update_line_item", "remove_line_item", "return_line_item"];

/// A reply, and whether the command took effect before.
#[derive(Debug)]
pub struct Answered {
    /// The body.
    pub reply: CommandReply,
    /// For the header `Idempotent-Replayed`.
    pub replayed: bool,
}

/// Runs one command as it was sent. A refusal carries the command's key and action where they can be
/// read.
///
/// # Errors
/// Whatever the envelope, the token's reach and the action refuse.
pub async fn execute(ports: &Ports, caller: &Caller, sent: Value) -> Result<Answered> {
    execute_as(ports, caller, sent, Sent::Alone).await
}

/// Runs one command of a register that was cut off when it happened. A sale of more than there is was made
/// all the same: it becomes final, and an exception says so. `refused_before`: where in the upload a command on the
/// same cart was refused.
///
/// # Errors
/// Those of [`execute`], except `insufficient_stock`; 409 `earlier_command_failed`.
pub async fn execute_uploaded(
    ports: &Ports,
    caller: &Caller,
    sent: Value,
    refused_before: Option<usize>,
) -> Result<Answered> {
    execute_as(ports, caller, sent, Sent::Uploaded { refused_before }).await
}

/// How a command came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// By itself, as it happened.
    Alone,
    /// With others, after it happened.
    Uploaded {
        /// Where among them one on the same cart was refused.
        refused_before: Option<usize>,
    },
}

async fn execute_as(ports: &Ports, caller: &Caller, sent: Value, how: Sent) -> Result<Answered> {
    let key = sent.get("idempotency_key").and_then(Value::as_str).map(str::to_owned);
    let action = known_action(&sent).map(str::to_owned);
    // What any of the commands may need while it waits is large: it is kept once, not within each that waits for it.
    Box::pin(run(ports, caller, sent, how)).await.map_err(|error| match error {
        Error::Rejected(mut refusal) => {
            for (name, value) in [("idempotency_key", key), ("action", action)] {
                let value =
                    value.map_or(Value::Null, |text| text.chars().take(128).collect::<String>().into());
                refusal.extra.insert(name.to_owned(), value);
            }
            Error::Rejected(refusal)
        }
        other => other,
    })
}

/// The action of a command, if it is one: whatever else stands there is not repeated, nor logged.
pub fn known_action(sent: &Value) -> Option<&'static str> {
    let sent = sent.get("action")?.as_str()?;
    ACTIONS.iter().copied().find(|action| *action == sent)
}

async fn run(ports: &Ports, caller: &Caller, sent: Value, how: Sent) -> Result<Answered> {
    let now = ports.environment.now();
    let envelope = envelope::envelope(sent, now)?;
    let command = envelope::command(&envelope.action, envelope.payload.clone())?;
    caller.require_role(&SELLERS)?;
    caller.require_store(&envelope.store_id)?;
    caller.require_register(&envelope.register_id)?;
    let mut context = context(caller, &envelope, now);
    if let Sent::Uploaded { refused_before } = how {
        context.offline = true;
        context.refused_before = refused_before;
        let rules = tenant_rules(ports, &caller.scope, now).await?;
        context.uses_above_limit = rules.settings.offline_uses_above_limit == OfflineUses::Allow;
    }
    let action = envelope.action;
    let key = envelope.idempotency_key;
    if let Command::ListParkedCarts(p) = command {
        let (parked, next_cursor) = parking::list(ports, &context, p).await?;
        let result = CommandResult { parked_carts: Some(parked), next_cursor, ..CommandResult::default() };
        return Ok(about_no_cart(key, action, result, false));
    }
    if let Some(done) = till::run(ports, &context, &command, &key).await? {
        let document_ids = report_ids(&done.shift);
        let shift = Some(Box::new(done.shift));
        let result = CommandResult { document_ids, shift, ..CommandResult::default() };
        return Ok(about_no_cart(key, action, result, done.replayed));
    }
    let with_lines = envelope.reply == ReplyKind::Full && shows_lines(how, &action);
    let executed = dispatch(ports, &context, command, &key).await?;
    let result = result_of(&action, &executed);
    let counted = executed.cart.finalized.as_ref().filter(|_| executed.outcome == Outcome::Finalized);
    Ok(Answered {
        reply: CommandReply {
            success: true,
            idempotency_key: key,
            consistency_token: counted.map(|done| done.number.to_string()),
            result,
            cart: Some(cart_view(&executed.cart, with_lines)?),
            action,
        },
        replayed: executed.replayed,
    })
}

/// Whether a reply shows the lines of its cart, if it is to be full. Of an upload each reply is kept until the last: of a
/// cart of a thousand lines half a million would be.
fn shows_lines(how: Sent, action: &str) -> bool {
    how == Sent::Alone || !SHAPES_LINES.contains(&action)
}

/// The reply to a command that is about no cart. Of one that only looks nothing is kept, so that a repetition
/// looks again.
fn about_no_cart(idempotency_key: String, action: String, result: CommandResult, replayed: bool) -> Answered {
    let reply =
        CommandReply { success: true, idempotency_key, action, result, cart: None, consistency_token: None };
    Answered { reply, replayed }
}

fn context(caller: &Caller, envelope: &Envelope, now: Timestamp) -> CommandContext {
    let scope = [
        caller.scope.tenant_id(),
        envelope.store_id.as_str(),
        envelope.register_id.as_str(),
        envelope.action.as_str(),
    ];
    CommandContext {
        identity: command_identity(&envelope.idempotency_key, &scope, &envelope.payload),
        caller: caller.clone(),
        store_id: envelope.store_id.clone(),
        register_id: envelope.register_id.clone(),
        employee_id: envelope.employee_id.clone().unwrap_or_else(|| caller.subject.clone()),
        occurred_at: envelope.occurred_at.unwrap_or(now),
        now,
        offline: false,
        uses_above_limit: false,
        refused_before: None,
    }
}

async fn dispatch(ports: &Ports, context: &CommandContext, command: Command, key: &str) -> Result<Executed> {
    // An id that could name nothing is refused before anything is read.
    let named = match &command {
        Command::CreateCart(_) | Command::StartReturn(_) => None,
        Command::SetCustomer(p) => Some(("payload.cart_id", &p.cart_id)),
        Command::AddLineItem(p) => Some(("payload.cart_id", &p.cart_id)),
        Command::UpdateLineItem(p) => Some(("payload.cart_id", &p.cart_id)),
        Command::RemoveLineItem(p) => Some(("payload.cart_id", &p.cart_id)),
        Command::ApplyManualDiscount(p) => Some(("payload.cart_id", &p.cart_id)),
        Command::RemoveManualDiscount(p) => Some(("payload.cart_id", &p.cart_id)),
        Command::ApplyCoupon(p) | Command::RemoveCoupon(p) => Some(("payload.cart_id", &p.cart_id)),
        Command::ApplyPromo(p) | Command::RemovePromo(p) => Some(("payload.cart_id", &p.cart_id)),
        Command::SetTendering(p) | Command::ResumeEditing(p) => Some(("payload.cart_id", &p.cart_id)),
        Command::FinalizeOrder(p) => Some(("payload.cart_id", &p.cart_id)),
        Command::AddPayment(p) => Some(("payload.cart_id", &p.cart_id)),
        Command::RemovePayment(p) => Some(("payload.cart_id", &p.cart_id)),
        Command::VoidCart(p) => Some(("payload.cart_id", &p.cart_id)),
        Command::ParkCart(p) => Some(("payload.cart_id", &p.cart_id)),
        Command::RecallCart(p) => Some(("payload.cart_id", &p.cart_id)),
        Command::ListParkedCarts(_) => None,
        Command::VoidOrder(p) => Some(("payload.order_id", &p.order_id)),
        Command::ReturnLineItem(p) => Some(("payload.return_id", &p.return_id)),
        Command::RefundTender(p) => Some(("payload.return_id", &p.return_id)),
        Command::FinalizeReturn(p) => Some(("payload.return_id", &p.return_id)),
        Command::FinalizeExchange(p) => {
            fields::id("payload.return_id", &p.return_id)?;
            Some(("payload.cart_id", &p.cart_id))
        }
        Command::VoidReturn(p) => Some(("payload.return_id", &p.return_id)),
        Command::OpenTill(_)
        | Command::PaidIn(_)
        | Command::PaidOut(_)
        | Command::NoSale(_)
        | Command::CashCount(_)
        | Command::GetXReport(_)
        | Command::CloseTill(_) => return Err(Error::bug("a command of a shift is about no cart")),
    };
    if let Some((field, id)) = named {
        fields::id(field, id)?;
    }
    command_age::check(ports, context, &command, named.map(|(_, id)| id.as_str()), key).await?;
    match command {
        Command::CreateCart(p) => carts::create(ports, context, p, key).await,
        Command::SetCustomer(p) => carts::set_customer(ports, context, p).await,
        Command::AddLineItem(p) => lines::add(ports, context, p).await,
        Command::UpdateLineItem(p) => lines::update(ports, context, p).await,
        Command::RemoveLineItem(p) => lines::remove(ports, context, p).await,
        Command::ApplyManualDiscount(p) => discounts::give(ports, context, p).await,
        Command::RemoveManualDiscount(p) => discounts::take_back(ports, context, p).await,
        Command::ApplyCoupon(p) => promotions::apply_coupon(ports, context, p).await,
        Command::RemoveCoupon(p) => promotions::remove_coupon(ports, context, p).await,
        Command::ApplyPromo(p) => promotions::apply_promo(ports, context, p).await,
        Command::RemovePromo(p) => promotions::remove_promo(ports, context, p).await,
        Command::SetTendering(p) => carts::set_tendering(ports, context, p).await,
        Command::ResumeEditing(p) => carts::resume_editing(ports, context, p).await,
        Command::AddPayment(p) => tenders::pay(ports, context, p).await,
        Command::RemovePayment(p) => tenders::take_back(ports, context, p).await,
        Command::FinalizeOrder(p) => {
            finalize::finalize(ports, context, &p.cart_id, CartKind::Sale, p.total).await
        }
        Command::VoidCart(p) => carts::void(ports, context, CartKind::Sale, &p.cart_id, p.reason).await,
        Command::ParkCart(p) => parking::park(ports, context, p).await,
        Command::RecallCart(p) => parking::recall(ports, context, p).await,
        Command::ListParkedCarts(_) => Err(Error::bug("a list of carts is about none of them")),
        Command::VoidOrder(p) => undo::void_order(ports, context, p).await,
        Command::StartReturn(p) => returns::start(ports, context, p, key).await,
        Command::ReturnLineItem(p) => returns::add_line(ports, context, p).await,
        Command::RefundTender(p) => tenders::refund(ports, context, p).await,
        Command::FinalizeReturn(p) => {
            finalize::finalize(ports, context, &p.return_id, CartKind::Return, None).await
        }
        Command::FinalizeExchange(p) => exchange::finalize(ports, context, &p).await,
        Command::VoidReturn(p) => carts::void(ports, context, CartKind::Return, &p.return_id, p.reason).await,
        Command::OpenTill(_)
        | Command::PaidIn(_)
        | Command::PaidOut(_)
        | Command::NoSale(_)
        | Command::CashCount(_)
        | Command::GetXReport(_)
        | Command::CloseTill(_) => Err(Error::bug("a command of a shift is about no cart")),
    }
}

fn result_of(action: &str, executed: &Executed) -> CommandResult {
    let cart = &executed.cart;
    match executed.outcome {
        Outcome::Created if cart.kind == CartKind::Return => {
            CommandResult { return_id: Some(cart.id.clone()), ..CommandResult::default() }
        }
        Outcome::Created => CommandResult { cart_id: Some(cart.id.clone()), ..CommandResult::default() },
        Outcome::Done if action == "void_cart" => {
            CommandResult { refunds: refunds_due::of(cart, cart.handed_over()), ..CommandResult::default() }
        }
        Outcome::Done if action == "void_return" => CommandResult {
            to_take_back: refunds_due::of(cart, cart.handed_over()),
            ..CommandResult::default()
        },
        Outcome::Done => CommandResult::default(),
        Outcome::Line(number) => {
            CommandResult { line_id: Some(format!("l-{number}")), ..CommandResult::default() }
        }
        Outcome::Discount(number) => {
            CommandResult { discount_id: Some(format!("d-{number}")), ..CommandResult::default() }
        }
        Outcome::Payment { number, .. } if action == "remove_payment" => {
            let removed = cart.course.taken_back.iter().filter(|paid| paid.number == number);
            CommandResult {
                payment_id: Some(format!("p-{number}")),
                refunds: refunds_due::of(cart, removed),
                ..CommandResult::default()
            }
        }
        Outcome::Payment { number, change } => CommandResult {
            payment_id: Some(format!("p-{number}")),
            change: (action == "add_payment").then_some(Money { amount: change, currency: cart.currency }),
            ..CommandResult::default()
        },
        Outcome::Finalized if action == "finalize_exchange" => exchange::result(cart),
        Outcome::Finalized => CommandResult {
            // What undoes an order is a return of all its payments.
            refunds: (action == "void_order").then(|| refunds_due::of(cart, cart.handed_over())).flatten(),
            order_id: Some(cart.id.clone()),
            receipt_number: cart.finalized.as_ref().map(|done| done.number.number),
            receipt_epoch: cart.finalized.as_ref().and_then(|done| done.number.raised_epoch()),
            document_ids: Some(document_ids(cart)),
            ..CommandResult::default()
        },
    }
}
