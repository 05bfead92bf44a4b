//! Receiving, closing and cancelling what was ordered.

use serde::Serialize;
use tillstream_contracts::purchase_orders::{EndPurchaseRequest, ReceivePurchaseRequest};
use tillstream_domain::purchase_order::{
    self, Counted, EVENT_LINES_MAX, EVENTS_MAX, LINES_MAX, PurchaseAction, PurchaseError, PurchaseLine,
    Settled,
};
use tillstream_domain::quantity::{Quantity, QuantityInput};

use crate::database::{Cancellation, DatabaseError};
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::counted::counted_quantity;
use crate::stock::purchases::drive::{CHUNK_LINES_MAX, Driven, drive, step_writes};
use crate::stock::purchases::item::{Pending, Step, StoredPurchase};
use crate::stock::purchases::lots::{LotReceipt, any_names_a_lot};
use crate::stock::purchases::{Answer, BUYERS, find_existing};
use crate::stock::references::check_sku_form;
use crate::stock::request_identity::{fingerprint, request_number};
use crate::stock::reservation_item::KeyedRequest;
use crate::stock::reserve::now_kept;
use crate::stock::update::check_reason;
use crate::tenancy::Caller;

/// What is asked of an order that was placed.
#[derive(Debug, Clone, Copy)]
pub enum Asked<'a> {
    /// It, or some of it, arrived.
    Receive(&'a ReceivePurchaseRequest),
    /// What is open of it does not come any more.
    Close(&'a EndPurchaseRequest),
    /// It is called off, before any of it arrived.
    Cancel(&'a EndPurchaseRequest),
}

impl Asked<'_> {
    fn action(&self) -> PurchaseAction {
        match self {
            Asked::Receive(_) => PurchaseAction::Receive,
            Asked::Close(_) => PurchaseAction::Close,
            Asked::Cancel(_) => PurchaseAction::Cancel,
        }
    }

    fn reason(&self) -> Option<&str> {
        match self {
            Asked::Receive(_) => None,
            Asked::Close(request) | Asked::Cancel(request) => Some(&request.reason),
        }
    }

    fn fingerprint(&self, id: &str) -> Result<String> {
        fn of<T: Serialize>(action: PurchaseAction, id: &str, request: &T) -> Result<String> {
            fingerprint(action.name(), &(id, request))
        }
        match self {
            Asked::Receive(request) => of(self.action(), id, request),
            Asked::Close(request) | Asked::Cancel(request) => of(self.action(), id, request),
        }
    }

    fn check(&self) -> Result<()> {
        if let Some(reason) = self.reason() {
            check_reason(reason)?;
        }
        let Asked::Receive(ReceivePurchaseRequest { lines: Some(lines) }) = self else { return Ok(()) };
        if lines.is_empty() || lines.len() > LINES_MAX {
            let message = format!("send 1 to {LINES_MAX} lines, or none at all for all that is open");
            return Err(Refusal::field("lines", "lines_out_of_range", message).into());
        }
        for (position, line) in lines.iter().enumerate() {
            check_sku_form(&format!("lines[{position}].sku"), &line.sku)?;
        }
        Ok(())
    }

    /// What was counted, by the units of the order's lines.
    fn counted(&self, lines: &[PurchaseLine]) -> Result<Option<Vec<Counted>>> {
        let Asked::Receive(ReceivePurchaseRequest { lines: Some(sent) }) = self else { return Ok(None) };
        let mut counted = Vec::with_capacity(sent.len());
        for (position, received) in sent.iter().enumerate() {
            let Some(line) = lines.iter().find(|line| line.sku == received.sku) else {
                let message = format!("the purchase order has no {}", received.sku);
                let field = format!("lines[{position}].sku");
                return Err(Refusal::field(field, "sku_not_in_purchase_order", message).into());
            };
            let resolved = |name: &str, input: &QuantityInput| {
                counted_quantity(|| format!("lines[{position}].{name}"), input, line.unit)
            };
            let damaged =
                received.damaged.as_ref().map(|damaged| resolved("damaged", damaged)).transpose()?;
            counted.push(Counted {
                sku: received.sku.clone(),
                quantity: resolved("quantity", &received.quantity)?,
                damaged: damaged.unwrap_or(Quantity::ZERO),
            });
        }
        Ok(Some(counted))
    }
}

fn refused(error: PurchaseError, order: &StoredPurchase) -> Error {
    let detail = error.to_string();
    match error {
        PurchaseError::Closed(status) => Refusal::conflict("purchase_order_closed", detail)
            .with_extra("purchase_order_status", status.name())
            .into(),
        PurchaseError::NotCancellable => Refusal::conflict("purchase_order_not_cancellable", detail).into(),
        PurchaseError::TooManySteps => Refusal::conflict("too_many_steps", detail).into(),
        PurchaseError::Nothing => Refusal::field("lines", "nothing_counted", detail).into(),
        PurchaseError::UnknownSku(_) => Refusal::field("lines", "sku_not_in_purchase_order", detail).into(),
        PurchaseError::OverDelivery { sku, bound, wanted } => {
            let line = order.body.lines.iter().find(|line| line.sku == sku);
            let unit = line.map(|line| line.unit).unwrap_or_default();
            let percent = order.over_delivery_percent;
            let [bound, wanted] = [bound, wanted].map(Quantity::of_counter);
            let detail = format!(
                "of {sku} at most {bound} may still be received, fewer than {wanted}: the supplier may deliver \
                 {percent} per cent more than was ordered"
            );
            let bound = serde_json::to_value(bound.display(unit)).map_err(Error::bug);
            match bound {
                Ok(bound) => Refusal::conflict("over_delivery", detail)
                    .with_extra("sku", sku)
                    .with_extra("bound", bound)
                    .with_extra("over_delivery_percent", percent)
                    .into(),
                Err(bug) => bug,
            }
        }
    }
}

/// What the step does to lines.
fn settled(stored: &StoredPurchase, asked: &Asked<'_>) -> Result<Vec<Settled>> {
    let lines = stored.body.lines.as_slice();
    let counted = asked.counted(lines)?;
    let percent = stored.over_delivery_percent;
    let settled = purchase_order::settle(lines, stored.status(), asked.action(), counted.as_deref(), percent)
        .map_err(|error| refused(error, stored))?;
    let before: usize = stored.body.steps.iter().map(|step| step.settled.len()).sum();
    let is_last = {
        let mut after = lines.to_vec();
        purchase_order::apply(&mut after, &settled);
        after.iter().all(|line| line.outstanding() == Quantity::ZERO)
    };
    // What settles all that is left is always taken: there is one of these, and an order that nobody may end would be
    // open for ever.
    if !is_last && (stored.body.steps.len() > EVENTS_MAX || before + settled.len() > EVENT_LINES_MAX) {
        return Err(refused(PurchaseError::TooManySteps, stored));
    }
    Ok(settled)
}

/// Receives, closes or cancels. `precondition` is asked about the version that stands; a repetition of what
/// took effect is not asked.
///
/// # Errors
/// What `precondition` refuses; 403 `role_required`, `store_out_of_reach`; 404 `purchase_order_not_found`; 409
/// `purchase_order_closed`, `purchase_order_not_cancellable`, `over_delivery`, `too_many_steps`,
/// `lot_expires_otherwise`, `too_many_lots`; 422 for lines and texts, `sku_not_in_purchase_order`, `nothing_counted`,
/// `sku_without_lots`, `lot_of_another_sku`, `lot_twice`, `expires_on_without_lot`, `expires_on_invalid`,
/// `too_many_lot_lines`, `idempotency_key_reused`.
pub async fn change(
    ports: &Ports,
    caller: &Caller,
    idempotency_key: &str,
    id: &str,
    asked: &Asked<'_>,
    precondition: impl Fn(Option<u64>) -> std::result::Result<(), Refusal> + Send + Sync,
) -> Result<Answer> {
    let now = now_kept(ports)?;
    caller.require_role(BUYERS)?;
    asked.check()?;
    let scope = &caller.scope;
    let keyed = KeyedRequest {
        key: idempotency_key,
        fingerprint: &asked.fingerprint(id)?,
        number: request_number(ports.environment.as_ref()),
    };
    let mut attempts = Attempts::new(ports.environment.as_ref());
    loop {
        let stored = find_existing(ports, caller, id).await?;
        caller.require_store(&stored.location_id)?;
        if let Some(answer) = stored.answer_again(&keyed) {
            return answer;
        }
        stored.pending_of(&keyed)?;
        if stored.body.pending.is_some() {
            // Whoever began it: what is asked now comes after it.
            match drive(ports, scope, &stored).await? {
                Driven::On => attempts.at_once("the purchase order goes on")?,
                Driven::Later(why) => attempts.after_a_wait(&why).await?,
            }
            continue;
        }
        precondition(Some(stored.version.unsigned_abs()))?;
        let step = Step {
            action: asked.action(),
            key: keyed.key.to_owned(),
            fingerprint: keyed.fingerprint.to_owned(),
            request: keyed.number,
            at: now.as_millisecond(),
            by: caller.subject.clone(),
            reason: asked.reason().map(str::to_owned),
            settled: settled(&stored, asked)?,
            version: 0,
        };
        let mut writes = Vec::new();
        let mut next = stored.clone();
        next.version += 1;
        let lots = match asked {
            Asked::Receive(ReceivePurchaseRequest { lines: Some(sent) }) if any_names_a_lot(sent) => {
                let receipt = LotReceipt { ports, scope, order: &stored, sent, now };
                Some(receipt.writes(&step).await?)
            }
            _ => None,
        };
        let is_long = lots.is_none() && step.settled.len() > CHUNK_LINES_MAX;
        if let Some(of_lots) = lots {
            let Some(of_lots) = of_lots else {
                attempts.at_once("the stock was split")?;
                continue;
            };
            writes = of_lots;
            next.conclude(step);
        } else if is_long {
            next.body.pending = Some(Pending { step, done: 0 });
        } else {
            writes = step_writes(scope, &stored, &step, 0, CHUNK_LINES_MAX)?;
            next.conclude(step);
        }
        writes.insert(0, stored.replace(scope, &next)?);
        match ports.database.transact(writes).await {
            Ok(()) if !is_long => return Ok(Answer { order: next.shown(), replayed: false }),
            Ok(()) => {}
            Err(DatabaseError::Cancelled(reasons))
                if reasons.iter().any(|r| matches!(r, Cancellation::ConditionFailed(_))) =>
            {
                attempts.at_once("the purchase order changed meanwhile")?;
            }
            Err(error) if error.is_transient() => attempts.after_a_wait("settling a purchase order").await?,
            Err(error) => return Err(error.into()),
        }
    }
}
