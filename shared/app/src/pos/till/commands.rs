//! The commands of a shift: from `open_till` to `close_till`.

use tillstream_contracts::pos::Command;
use tillstream_contracts::till::{
    CashMovement, CountTill, DenominationInput, NoSale, OpenTill, ShiftReference,
};
use tillstream_domain::approval::{ApprovalAction, Binding};
use tillstream_domain::identifier::check_id;
use tillstream_domain::money::{Currency, Money};
use tillstream_domain::till::{
    Closing, Denomination, LaneMark, MovementKind, NewMovement, Opening, Seen, Shift, ShiftKeys, TillError,
    count_cash,
};

use super::Done;
use super::refusals::{shift_not_found, shift_of_another, shift_open};
use super::shift_item::{shift_get, shift_of, shift_put};
use super::view;
use crate::approvals::permission::{Permission, expect_none};
use crate::catalog::items::catalog_get;
use crate::database::{Get, Item};
use crate::environment::Retries;
use crate::error::{Error, Refusal, Result};
use crate::fields::{text, typed_id};
use crate::ports::Ports;
use crate::pos::claims::{Written, write_with_claims};
use crate::pos::command_age;
use crate::pos::context::CommandContext;
use crate::pos::finalize_rounds::Beside;
use crate::pos::identity::{derived_id, reused_key};
use crate::pos::lane_write::{LaneState, lane_get};
use crate::pos::not_approved::not_approved_write;
use crate::pos::returns::REASON_CHARS_MAX;

/// Runs a command, if it is one of a shift; nothing where it is one of a cart.
///
/// # Errors
/// 404 `shift_not_found`, 409 for the state of the shift or its drawer, 422 for fields; [`Error::Conflict`]
/// when too many races were lost.
pub async fn run(
    ports: &Ports,
    context: &CommandContext,
    command: &Command,
    key: &str,
) -> Result<Option<Done>> {
    use MovementKind::{PaidIn, PaidOut};
    let named = match command {
        Command::OpenTill(p) => Some(new_shift_id(context, p, key)),
        Command::PaidIn(p) | Command::PaidOut(p) => Some(p.shift_id.clone()),
        Command::NoSale(p) => Some(p.shift_id.clone()),
        Command::CashCount(p) | Command::CloseTill(p) => Some(p.shift_id.clone()),
        _ => None,
    };
    if let Some(shift_id) = named
        && let Some(refusal) = command_age::too_old(ports, context).await?
        && !took_effect(ports, context, &shift_id).await?
    {
        return Err(refusal.into());
    }
    Ok(Some(match command {
        Command::OpenTill(p) => open(ports, context, p, key).await?,
        Command::PaidIn(p) => move_cash(ports, context, p, PaidIn).await?,
        Command::PaidOut(p) => move_cash(ports, context, p, PaidOut).await?,
        Command::NoSale(p) => no_sale(ports, context, p).await?,
        Command::CashCount(p) => count(ports, context, p).await?,
        Command::GetXReport(p) => x_report(ports, context, p).await?,
        Command::CloseTill(p) => close(ports, context, p).await?,
        _ => return Ok(None),
    }))
}

/// Whether the command took effect on its shift before, so that it is answered again at any age.
async fn took_effect(ports: &Ports, context: &CommandContext, shift_id: &str) -> Result<bool> {
    if check_id(shift_id).is_err() {
        return Ok(false);
    }
    let item = ports.database.get(shift_get(&context.caller.scope, shift_id)).await?;
    let shift = item.as_ref().map(shift_of).transpose()?;
    Ok(shift.is_some_and(|shift| !matches!(shift.seen(&context.identity), Seen::Never)))
}

/// The id of the shift that `open_till` makes: the payload's, or one that follows from the command.
fn new_shift_id(context: &CommandContext, payload: &OpenTill, key: &str) -> String {
    let scope = [context.caller.scope.tenant_id(), &context.store_id, &context.register_id, "open_till", key];
    payload.shift_id.clone().unwrap_or_else(|| derived_id("sh", &scope))
}

/// `open_till`: one shift at a time is open on a register.
///
/// # Errors
/// 404 `store_not_found`, `register_not_found`; 409 `shift_open`, `shift_exists`; 422 for the float.
async fn open(ports: &Ports, context: &CommandContext, payload: &OpenTill, key: &str) -> Result<Done> {
    let scope = &context.caller.scope;
    let (store_id, register_id) = (&context.store_id, &context.register_id);
    if let Some(shift_id) = &payload.shift_id {
        typed_id("payload.shift_id", shift_id)?;
    }
    let shift_id = new_shift_id(context, payload, key);
    let mut retries = Retries::new(ports.environment.as_ref(), context.now);
    loop {
        let gets = vec![
            shift_get(scope, &shift_id),
            lane_get(scope, store_id, register_id),
            catalog_get(scope.location(store_id)),
        ];
        let Some(read) = retries.answered(ports.database.get_many(gets).await).await? else { continue };
        let at = |position: usize| read.get(position).and_then(Option::as_ref);
        if let Some(existing) = at(0) {
            let existing = shift_of(existing)?;
            let known = replay(context, &existing)?;
            let taken = || Refusal::conflict("shift_exists", format!("there is a shift {shift_id} already"));
            return known.ok_or_else(|| taken().into());
        }
        let location = context.till(at(2))?;
        let float = match (payload.amount, &payload.denominations) {
            // A register without a drawer begins with nothing.
            (None, None) => (0, Vec::new()),
            (amount, kinds) => counted(amount, kinds.as_deref(), location.currency)?,
        };
        let lane = LaneState::of(at(1))?;
        if let Some(open) = &lane.shift_id {
            if *open == shift_id {
                // The lane was read beside: a twin of this command opened it in between.
                retries.again("the shift was opened meanwhile").await?;
                continue;
            }
            return Err(shift_open(open).into());
        }
        let calendar = location.calendar().map_err(Error::bug)?;
        let shift = Shift {
            id: shift_id.clone(),
            version: 1,
            store_id: store_id.clone(),
            register_id: register_id.clone(),
            currency: location.currency,
            opening: Opening {
                at: context.occurred_at,
                by: context.employee_id.clone(),
                business_day: calendar.locate(context.occurred_at).map_err(Error::bug)?.business_day,
                float: float.0,
                denominations: float.1,
                lane: lane.mark(),
            },
            movements: Vec::new(),
            keys: ShiftKeys::opened_by(&context.identity),
            closing: None,
        };
        let writes = vec![
            shift_put(scope, &shift, None, context.now)?,
            lane.open_shift(scope, store_id, register_id, &shift_id)?,
        ];
        match write_with_claims(ports.database.as_ref(), writes, &[]).await? {
            Written::Done => return Ok(done(&shift)),
            Written::LostRace(why) => retries.again(&why).await?,
        }
    }
}

/// `paid_in` and `paid_out`.
///
/// # Errors
/// 409 `drawer_short`, and those of [`Permission::permit`], not of what happened while the register was cut off: the cash
/// is gone, whatever became of sales that brought some, and whoever allowed it; 422 `amount_not_positive`, `currency_mismatch`, `reason_required`.
async fn move_cash(
    ports: &Ports,
    context: &CommandContext,
    payload: &CashMovement,
    kind: MovementKind,
) -> Result<Done> {
    check_reason(Some(&payload.reason))?;
    if payload.reason.trim().is_empty() {
        return Err(Refusal::field("payload.reason", "reason_required", "say why").into());
    }
    let (shift_id, amount) = (payload.shift_id.clone(), payload.amount);
    let (action, asked) = match kind {
        MovementKind::PaidIn => (ApprovalAction::PaidIn, Binding::PaidIn { shift_id, amount }),
        _ => (ApprovalAction::PaidOut, Binding::PaidOut { shift_id, amount }),
    };
    let permission =
        Permission::of(ports, context, action, amount.amount, payload.approval_id.as_deref()).await?;
    let movement = NewMovement {
        amount: Some(payload.amount),
        reason: Some(payload.reason.clone()),
        approval_id: payload.approval_id.clone(),
        ..new_movement(context, kind)
    };
    let leave = Some((permission, asked));
    record(ports, context, &payload.shift_id, leave, |_| Ok(movement.clone())).await
}

/// `no_sale`: the drawer was opened, and nothing moved.
async fn no_sale(ports: &Ports, context: &CommandContext, payload: &NoSale) -> Result<Done> {
    check_reason(payload.reason.as_deref())?;
    let approval_id = payload.approval_id.as_deref();
    let permission = Permission::of(ports, context, ApprovalAction::NoSale, 0, approval_id).await?;
    let asked = Binding::NoSale { shift_id: payload.shift_id.clone() };
    let movement = NewMovement {
        reason: payload.reason.clone(),
        approval_id: payload.approval_id.clone(),
        ..new_movement(context, MovementKind::NoSale)
    };
    let leave = Some((permission, asked));
    record(ports, context, &payload.shift_id, leave, |_| Ok(movement.clone())).await
}

/// `cash_count`.
///
/// # Errors
/// 422 `count_required`, `denominations_do_not_sum` and what else no count may be.
async fn count(ports: &Ports, context: &CommandContext, payload: &CountTill) -> Result<Done> {
    check_reason(payload.reason.as_deref())?;
    expect_none(payload.approval_id.as_deref())?;
    record(ports, context, &payload.shift_id, None, |shift| {
        let (sum, denominations) =
            counted(payload.counted, payload.denominations.as_deref(), shift.currency)?;
        Ok(NewMovement {
            amount: Some(Money { amount: sum, currency: shift.currency }),
            denominations,
            reason: payload.reason.clone(),
            ..new_movement(context, MovementKind::CashCount)
        })
    })
    .await
}

/// `get_x_report`: the figures of an open shift as of now. It changes nothing, so nothing of it is recorded.
///
/// # Errors
/// 409 `shift_closed`: its Z report stands.
async fn x_report(ports: &Ports, context: &CommandContext, payload: &ShiftReference) -> Result<Done> {
    typed_id("payload.shift_id", &payload.shift_id)?;
    // As of one moment: a shift and a lane read one after the other might belong to different ones.
    let read = ports.database.get_together(gets(context, &payload.shift_id)).await?;
    let (shift, lane) = read_shift(ports, context, &payload.shift_id, &read).await?;
    if shift.closing.is_some() {
        return Err(TillError::Closed.into());
    }
    Ok(Done { shift: view::full(&shift, &lane.mark(), context.now), replayed: false })
}

/// `close_till`: the drawer is counted, the shift gets the register's next Z number, and nothing of it
/// changes any more. No order is read for it, so that none can be in its way.
///
/// # Errors
/// 409 `shift_closed`; 422 `count_required` and what else no count may be.
async fn close(ports: &Ports, context: &CommandContext, payload: &CountTill) -> Result<Done> {
    let scope = &context.caller.scope;
    check_reason(payload.reason.as_deref())?;
    expect_none(payload.approval_id.as_deref())?;
    change(ports, context, &payload.shift_id, None, |shift, lane, _| {
        let (sum, denominations) =
            counted(payload.counted, payload.denominations.as_deref(), shift.currency)?;
        let closing = Closing {
            // A clock that was set back meanwhile closes nothing before it was opened, and does not keep it open.
            at: context.occurred_at.max(shift.opening.at),
            by: context.employee_id.clone(),
            z_number: lane.z_number + 1,
            counted: sum,
            denominations,
            reason: payload.reason.clone(),
            lane: lane.mark(),
        };
        shift.close(closing, &context.identity)?;
        // Where the lane names another shift, this one was read as it was before it was closed.
        let is_ours = lane.shift_id.as_deref() == Some(shift.id.as_str());
        if !is_ours {
            return Ok(None);
        }
        let writes = vec![lane.close_shift(scope, &shift.store_id, &shift.register_id)?];
        Ok(Some(Beside { writes, ..Beside::default() }))
    })
    .await
}

fn new_movement(context: &CommandContext, kind: MovementKind) -> NewMovement {
    NewMovement {
        kind,
        amount: None,
        denominations: Vec::new(),
        reason: None,
        approval_id: None,
        at: context.occurred_at,
        by: context.employee_id.clone(),
        has_happened: context.offline,
    }
}

fn check_reason(reason: Option<&str>) -> Result<()> {
    reason.map_or(Ok(()), |reason| text("payload.reason", reason, REASON_CHARS_MAX))
}

fn counted(
    counted: Option<Money>,
    denominations: Option<&[DenominationInput]>,
    currency: Currency,
) -> Result<(i64, Vec<Denomination>)> {
    let kinds: Option<Vec<(Money, u32)>> =
        denominations.map(|kinds| kinds.iter().map(|kind| (kind.value, kind.count)).collect());
    Ok(count_cash(counted, kinds.as_deref(), currency)?)
}

fn done(shift: &Shift) -> Done {
    Done { shift: view::after_command(shift), replayed: false }
}

/// Answers a command that took effect before, or refuses a reused key; `None` for a new command.
fn replay(context: &CommandContext, shift: &Shift) -> Result<Option<Done>> {
    match shift.seen(&context.identity) {
        Seen::Never => Ok(None),
        Seen::Reused => Err(reused_key().into()),
        Seen::Same(entry) => {
            Ok(Some(Done { shift: view::after_command(&shift.as_of(entry)), replayed: true }))
        }
    }
}

fn gets(context: &CommandContext, shift_id: &str) -> Vec<Get> {
    let scope = &context.caller.scope;
    vec![shift_get(scope, shift_id), lane_get(scope, &context.store_id, &context.register_id)]
}

/// The shift, provided that it is the envelope's register's, and its lane.
async fn read_shift(
    ports: &Ports,
    context: &CommandContext,
    shift_id: &str,
    read: &[Option<Item>],
) -> Result<(Shift, LaneState)> {
    let at = |position: usize| read.get(position).and_then(Option::as_ref);
    let shift = shift_of(at(0).ok_or_else(|| shift_not_found(shift_id))?)?;
    if shift.store_id != context.store_id || shift.register_id != context.register_id {
        // Only now, so that the common case costs no read: a store that is none of ours is told as that.
        let location = catalog_get(context.caller.scope.location(&context.store_id));
        context.till(ports.database.get(location).await?.as_ref())?;
        return Err(shift_of_another(&shift, &context.store_id).into());
    }
    Ok((shift, LaneState::of(at(1))?))
}

/// Records a movement of a shift, and uses up the approval on which the `leave` for it rests. What happened while the
/// register was cut off is recorded without leave, too: a drawer that is short for it would be nobody's doing. Then
/// somebody is asked to look into it.
async fn record(
    ports: &Ports,
    context: &CommandContext,
    shift_id: &str,
    leave: Option<(Permission, Binding)>,
    movement: impl Fn(&Shift) -> Result<NewMovement>,
) -> Result<Done> {
    let approval = leave.as_ref().and_then(|(permission, _)| permission.get(context));
    change(ports, context, shift_id, approval, |shift, lane, approval| {
        let mark: LaneMark = lane.mark();
        let mut new = movement(shift)?;
        let permit =
            |(permission, asked): &(Permission, Binding)| permission.permit(context, approval, asked.clone());
        let permitted = leave.as_ref().map(permit);
        let mut beside = Beside::default();
        if let Some(Err(Error::Rejected(refusal))) = &permitted
            && context.offline
        {
            // What it names allowed nothing, so it is no supervisor's word.
            new.approval_id = None;
            let moved = (new.kind.name(), new.amount);
            beside.writes.push(not_approved_write(
                context,
                ("shift_id", shift.id.as_str()),
                moved,
                refusal.code,
            ));
            shift.record(new, &mark, &context.identity)?;
            return Ok(Some(beside));
        }
        shift.record(new, &mark, &context.identity)?;
        if let Some(grant) = permitted.transpose()?.flatten() {
            beside.claims.push(grant.claim(context, &shift.id, None)?);
        }
        Ok(Some(beside))
    })
    .await
}

/// Runs `change` on a shift, its lane and what `more` reads, and writes the shift, once, with whatever else it
/// answers; where it answers nothing, the shift is read again.
///
/// # Errors
/// Whatever `change` refuses; 404 `shift_not_found`; 409 for another store's or register's shift; 422
/// `idempotency_key_reused`; [`Error::Conflict`] when too many races were lost.
async fn change(
    ports: &Ports,
    context: &CommandContext,
    shift_id: &str,
    more: Option<Get>,
    change: impl Fn(&mut Shift, &LaneState, Option<&Item>) -> Result<Option<Beside>>,
) -> Result<Done> {
    typed_id("payload.shift_id", shift_id)?;
    let mut retries = Retries::new(ports.environment.as_ref(), context.now);
    loop {
        let gets = gets(context, shift_id).into_iter().chain(more.clone()).collect();
        let read = ports.database.get_many(gets).await;
        let Some(read) = retries.answered(read).await? else { continue };
        let (mut shift, lane) = read_shift(ports, context, shift_id, &read).await?;
        if let Some(done) = replay(context, &shift)? {
            return Ok(done);
        }
        let stored = shift.version;
        let Some(beside) = change(&mut shift, &lane, read.get(2).and_then(Option::as_ref))? else {
            retries.again("the shift was closed meanwhile").await?;
            continue;
        };
        shift.version += 1;
        let put = shift_put(&context.caller.scope, &shift, Some(stored), context.now)?;
        let fixed = std::iter::once(put).chain(beside.writes).collect();
        match write_with_claims(ports.database.as_ref(), fixed, &beside.claims).await {
            Ok(Written::Done) => return Ok(done(&shift)),
            Ok(Written::LostRace(why)) => retries.again(&why).await?,
            // The approval was used up, or ended, since it was read: what happened is recorded without it.
            Err(Error::Rejected(refusal)) if context.offline => retries.again(refusal.code).await?,
            Err(error) => return Err(error),
        }
    }
}
