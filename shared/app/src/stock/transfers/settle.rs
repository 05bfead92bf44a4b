//! Receiving, refusing and cancelling what was shipped.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use tillstream_contracts::transfers::{
    CancelTransferRequest, ReceiveTransferRequest, RejectTransferRequest, RejectedTo,
};
use tillstream_domain::quantity::{Quantity, QuantityInput};
use tillstream_domain::transfer::{
    self, Counted, EVENT_LINES_MAX, EVENTS_MAX, LINES_MAX, Settled, TransferAction, TransferError,
    TransferLine, settle,
};
use tillstream_domain::transfer_lots::{NamedLot, Parts};

use crate::database::{Cancellation, DatabaseError};
use crate::error::{Error, Refusal, Result};
use crate::fields::typed_id;
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::counted::counted_quantity;
use crate::stock::expiry::HoldReads;
use crate::stock::references::check_sku_form;
use crate::stock::request_identity::{fingerprint, request_number};
use crate::stock::reservation_item::KeyedRequest;
use crate::stock::reserve::now_kept;
use crate::stock::transfers::drive::{Driven, LOST_MAX, Pace, STOCK_ACTIONS_MAX, drive, is_of_stock};
use crate::stock::transfers::item::{Pending, Step, StoredTransfer};
use crate::stock::transfers::lots::{Settles, Settling, lots_of_lines};
use crate::stock::transfers::{Answer, find_existing};
use crate::stock::update::check_reason;
use crate::tenancy::{Caller, TenantScope};

/// What is asked of a transfer that was shipped.
#[derive(Debug, Clone, Copy)]
pub enum Asked<'a> {
    /// It, or some of it, arrived.
    Receive(&'a ReceiveTransferRequest),
    /// It, or some of it, is refused.
    Reject(&'a RejectTransferRequest),
    /// It is to go back, before any of it was settled.
    Cancel(&'a CancelTransferRequest),
}

/// A line that was sent.
struct Sent<'a> {
    sku: &'a str,
    quantity: &'a QuantityInput,
    damaged: Option<&'a QuantityInput>,
    lot: Option<&'a str>,
}

impl Asked<'_> {
    fn action(&self) -> TransferAction {
        match self {
            Asked::Receive(_) => TransferAction::Receive,
            Asked::Reject(RejectTransferRequest { to: RejectedTo::Source, .. }) => TransferAction::Return,
            Asked::Reject(RejectTransferRequest { to: RejectedTo::Damaged, .. }) => TransferAction::Damage,
            Asked::Cancel(_) => TransferAction::Cancel,
        }
    }

    fn reason(&self) -> Option<&str> {
        match self {
            Asked::Receive(_) => None,
            Asked::Reject(request) => Some(&request.reason),
            Asked::Cancel(request) => Some(&request.reason),
        }
    }

    fn fingerprint(&self, id: &str) -> Result<String> {
        fn of<T: Serialize>(action: &str, id: &str, request: &T) -> Result<String> {
            fingerprint(action, &(id, request))
        }
        match self {
            Asked::Receive(request) => of("receive", id, request),
            Asked::Reject(request) => of("reject", id, request),
            Asked::Cancel(request) => of("cancel", id, request),
        }
    }

    /// The lines that were sent.
    fn sent(&self) -> Option<Vec<Sent<'_>>> {
        match self {
            Asked::Receive(request) => {
                let sent = request.lines.as_ref()?.iter().map(|line| Sent {
                    sku: &line.sku,
                    quantity: &line.quantity,
                    damaged: line.damaged.as_ref(),
                    lot: line.lot.as_deref(),
                });
                Some(sent.collect())
            }
            Asked::Reject(request) => {
                let sent = request.lines.as_ref()?.iter().map(|line| Sent {
                    sku: &line.sku,
                    quantity: &line.quantity,
                    damaged: None,
                    lot: line.lot.as_deref(),
                });
                Some(sent.collect())
            }
            Asked::Cancel(_) => None,
        }
    }

    fn check(&self) -> Result<()> {
        if let Some(reason) = self.reason() {
            check_reason(reason)?;
        }
        let Some(lines) = self.sent() else { return Ok(()) };
        if lines.is_empty() || lines.len() > LINES_MAX {
            let message = format!("send 1 to {LINES_MAX} lines, or none at all for all that is on its way");
            return Err(Refusal::field("lines", "lines_out_of_range", message).into());
        }
        for (position, line) in lines.iter().enumerate() {
            check_sku_form(&format!("lines[{position}].sku"), line.sku)?;
            if let Some(lot_id) = line.lot {
                typed_id(&format!("lines[{position}].lot"), lot_id)?;
            }
        }
        Ok(())
    }

    /// What was counted, by the units of the transfer's lines.
    fn counted(&self, lines: &[TransferLine]) -> Result<Option<Vec<Counted>>> {
        let Some(sent) = self.sent() else { return Ok(None) };
        let mut counted = Vec::with_capacity(sent.len());
        for (position, Sent { sku, quantity, damaged, .. }) in sent.into_iter().enumerate() {
            let Some(line) = lines.iter().find(|line| line.sku == sku) else {
                let message = format!("the transfer has no {sku}");
                let field = format!("lines[{position}].sku");
                return Err(Refusal::field(field, "sku_not_in_transfer", message).into());
            };
            let resolved = |name: &str, input: &QuantityInput| {
                counted_quantity(|| format!("lines[{position}].{name}"), input, line.unit)
            };
            let damaged = damaged.map(|damaged| resolved("damaged", damaged)).transpose()?;
            counted.push(Counted {
                sku: sku.to_owned(),
                quantity: resolved("quantity", quantity)?,
                damaged: damaged.unwrap_or(Quantity::ZERO),
            });
        }
        Ok(Some(counted))
    }
}

fn refused(error: TransferError, lines: &[TransferLine]) -> Error {
    let detail = error.to_string();
    match error {
        TransferError::Closed(status) => {
            Refusal::conflict("transfer_closed", detail).with_extra("transfer_status", status.name())
        }
        TransferError::NotCancellable => Refusal::conflict("transfer_not_cancellable", detail),
        TransferError::AboveShipped { sku, outstanding, .. } => {
            let unit = lines.iter().find(|line| line.sku == sku).map(|line| line.unit).unwrap_or_default();
            let left = Quantity::of_counter(outstanding);
            let detail = format!("of {sku} only {left} are on their way");
            Refusal::conflict("above_shipped", detail)
                .with_extra("sku", sku)
                .with_extra("outstanding", serde_json::json!(left.display(unit)))
        }
        TransferError::UnknownSku(_) => Refusal::field("lines", "sku_not_in_transfer", detail),
        TransferError::Nothing => Refusal::field("lines", "nothing_counted", detail),
        TransferError::TooManySteps => Refusal::conflict("too_many_steps", detail),
    }
    .into()
}

/// What a step would settle of what was `counted`.
fn settled(stored: &StoredTransfer, asked: &Asked<'_>, counted: Option<&[Counted]>) -> Result<Vec<Settled>> {
    let lines = stored.body.lines.as_slice();
    let settled =
        settle(lines, stored.status(), asked.action(), counted).map_err(|error| refused(error, lines))?;
    let before: usize = stored.body.steps.iter().map(|step| step.settled.len()).sum();
    let is_last = {
        let mut after = lines.to_vec();
        transfer::apply(&mut after, &settled);
        after.iter().all(|line| line.outstanding() == Quantity::ZERO)
    };
    // What settles all that is left is always taken: there is one of these, and goods that nobody may settle would
    // be on their way for ever.
    if !is_last && (stored.body.steps.len() > EVENTS_MAX || before + settled.len() > EVENT_LINES_MAX) {
        return Err(refused(TransferError::TooManySteps, lines));
    }
    Ok(settled)
}

/// The lots that a step names, of lines whose counts were taken.
///
/// # Errors
/// 422 `lot_not_in_transfer`; 409 `above_shipped`.
async fn named_lots(
    ports: &Ports,
    scope: &TenantScope,
    stored: &StoredTransfer,
    asked: &Asked<'_>,
    counted: Option<&[Counted]>,
) -> Result<Vec<NamedLot>> {
    let sent = asked.sent().unwrap_or_default();
    let mut named = Vec::new();
    for (position, (sent, counted)) in sent.iter().zip(counted.unwrap_or_default()).enumerate() {
        let Some(lot_id) = sent.lot else { continue };
        let line = stored.body.lines.iter().zip(0_u32..).find(|(line, _)| line.sku == sent.sku);
        let (line, at) = line.ok_or_else(|| Error::bug("a line that was counted is one of the transfer"))?;
        let parts = Parts::of(asked.action(), counted.quantity, counted.damaged);
        let lot = NamedLot { line: at, lot_id: lot_id.to_owned(), parts };
        named.push((position, line, lot));
    }
    let of_lines: BTreeSet<u32> = named.iter().map(|(_, _, lot)| lot.line).collect();
    let shipped = lots_of_lines(ports, scope, stored, of_lines.into_iter().collect()).await?;
    let mut sums: BTreeMap<(u32, &str), i64> = BTreeMap::new();
    for (position, line, lot) in &named {
        let lots = shipped.get(&lot.line).map(Vec::as_slice).unwrap_or_default();
        let Some(left) = lots.iter().find(|left| left.lot_id.as_ref() == Some(&lot.lot_id)) else {
            let message =
                format!("nothing of lot {} left with the {} of this transfer", lot.lot_id, line.sku);
            let field = format!("lines[{position}].lot");
            return Err(Refusal::field(field, "lot_not_in_transfer", message).into());
        };
        let sum = sums.entry((lot.line, lot.lot_id.as_str())).or_default();
        *sum += lot.parts.total();
        if *sum > left.outstanding() {
            let outstanding = Quantity::of_counter(left.outstanding());
            let detail = format!("of lot {} only {outstanding} are on their way", lot.lot_id);
            let refusal = Refusal::conflict("above_shipped", detail)
                .with_extra("sku", line.sku.as_str())
                .with_extra("lot", lot.lot_id.as_str())
                .with_extra("outstanding", serde_json::json!(outstanding.display(line.unit)));
            return Err(refusal.into());
        }
    }
    Ok(named.into_iter().map(|(_, _, lot)| lot).filter(|lot| lot.parts.total() > 0).collect())
}

/// Receives, refuses or cancels. `precondition` is asked about the version that stands; a repetition of what
/// took effect is not asked.
///
/// # Errors
/// What `precondition` refuses; 403 `store_out_of_reach` where the destination is (of a cancellation: the
/// source); 404 `transfer_not_found`; 409 `transfer_closed`, `transfer_not_cancellable`, `above_shipped`,
/// `too_many_steps`; 422 for lines and texts, `sku_not_in_transfer`, `lot_not_in_transfer`, `nothing_counted`,
/// `idempotency_key_reused`.
pub async fn change(
    ports: &Ports,
    caller: &Caller,
    idempotency_key: &str,
    id: &str,
    asked: &Asked<'_>,
    precondition: impl Fn(Option<u64>) -> std::result::Result<(), Refusal> + Send + Sync,
) -> Result<Answer> {
    let now = now_kept(ports)?;
    asked.check()?;
    let scope = &caller.scope;
    let keyed = KeyedRequest {
        key: idempotency_key,
        fingerprint: &asked.fingerprint(id)?,
        number: request_number(ports.environment.as_ref()),
    };
    let mut attempts = Attempts::new(ports.environment.as_ref());
    let (mut pace, mut lost, mut reads) = (Pace::default(), 0, HoldReads::default());
    loop {
        let stored = find_existing(ports, caller, id).await?;
        let end = if matches!(asked, Asked::Cancel(_)) { &stored.from } else { &stored.to };
        caller.require_store(end)?;
        if let Some(answer) = stored.answer_again(&keyed) {
            return answer;
        }
        stored.pending_of(&keyed)?;
        if stored.body.pending.is_some() {
            // Whoever began it: what is asked now comes after it.
            match drive(ports, scope, &stored, now, (&mut pace, &mut reads)).await? {
                Driven::On | Driven::Short(_) => attempts.at_once("the transfer goes on")?,
                Driven::Later(why) => attempts.after_a_wait(&why).await?,
            }
            continue;
        }
        precondition(Some(stored.version.unsigned_abs()))?;
        let counted = asked.counted(&stored.body.lines)?;
        let step = Step {
            action: asked.action(),
            key: keyed.key.to_owned(),
            fingerprint: keyed.fingerprint.to_owned(),
            request: keyed.number,
            at: now.as_millisecond(),
            by: caller.subject.clone(),
            reason: asked.reason().map(str::to_owned),
            settled: settled(&stored, asked, counted.as_deref())?,
            version: 0,
        };
        let named = named_lots(ports, scope, &stored, asked, counted.as_deref()).await;
        if matches!(named, Err(Error::Rejected(_)))
            && !stored.is_as_in(&find_existing(ports, caller, id).await?)
        {
            // Its lots were read after it was: what they lack may have come by this very request.
            attempts.at_once("the transfer changed meanwhile")?;
            continue;
        }
        let named = named?;
        let mut next = stored.clone();
        next.version += 1;
        // What cannot be one transaction is written down before anything else is read: it is many lines.
        let back = step.settled.iter().filter(|settled| settled.returned > Quantity::ZERO).count();
        let is_hard = lost >= LOST_MAX && stored.has_lots && step.settled.len() > 1;
        let mut stock = None;
        if step.settled.len() + back <= STOCK_ACTIONS_MAX && !is_hard {
            let movement = step.movement(id)?;
            let settling = Settling {
                ports,
                scope,
                transfer: &stored,
                movement: &movement,
                named: &named,
                undoing: false,
                now,
            };
            match settling.settle(&step.settled).await? {
                Settles::Again(why) => {
                    attempts.after_a_wait(why).await?;
                    continue;
                }
                // Goods of lots may take more than one transaction, however few lines they are.
                Settles::Lines(settled, writes) => {
                    stock = (settled == step.settled.len()).then_some(writes);
                }
            }
        }
        let is_long = stock.is_none();
        if is_long {
            next.named = named;
            next.body.pending = Some(Pending { step, done: 0, undoing: false });
        } else {
            next.conclude(step);
        }
        let own = stored.replace(scope, &next)?;
        let writes = std::iter::once(own).chain(stock.unwrap_or_default()).collect();
        match ports.database.transact(writes).await {
            Ok(()) if !is_long => return Ok(Answer { transfer: next.shown(), replayed: false }),
            Ok(()) => {}
            Err(ref error @ DatabaseError::Cancelled(ref reasons))
                if reasons.iter().any(|r| matches!(r, Cancellation::ConditionFailed(_))) =>
            {
                let is_of_stock = is_of_stock(error);
                lost += usize::from(is_of_stock);
                match is_of_stock {
                    true => attempts.after_a_wait("the stock changed meanwhile").await?,
                    false => attempts.at_once("the transfer changed meanwhile")?,
                }
            }
            Err(error) if error.is_transient() => attempts.after_a_wait("settling a transfer").await?,
            Err(error) => return Err(error.into()),
        }
    }
}
