//! The stock that a step changes, and how a long step is taken on, chunk by chunk.

use jiff::Timestamp;
use tillstream_domain::purchase_order::{PurchaseAction, PurchaseLine, Settled};
use tillstream_domain::quantity::Quantity;

use crate::database::{DatabaseError, TRANSACTION_ACTIONS_MAX, Table, Write};
use crate::error::{Error, Result};
use crate::keeper::due::{DueWork, postpone, walk_due};
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::counters::{Delta, Movement, stock_update_at, unit_change};
use crate::stock::layout::Place;
use crate::stock::on_order::open_line_write;
use crate::stock::purchases::find;
use crate::stock::purchases::item::{Pending, Step, StoredPurchase};
use crate::tenancy::TenantScope;

/// Actions of a transaction beside the order's own item.
const STOCK_ACTIONS_MAX: usize = TRANSACTION_ACTIONS_MAX - 1;
/// Lines of one transaction: each is a stock item, and what is open of it.
pub(super) const CHUNK_LINES_MAX: usize = STOCK_ACTIONS_MAX / 2;
/// For how long the keeper leaves a step alone that it could not take on.
const POSTPONED_MILLIS: i64 = 300_000;

/// Changes a line's stock, and what is open of it. Whatever the layout it is the first part's: nothing is taken from
/// what is available.
pub(super) fn line_writes(
    scope: &TenantScope,
    order: &StoredPurchase,
    line: &PurchaseLine,
    (delta, open): (Delta, Quantity),
    movement: &Movement,
) -> Vec<Write> {
    let what = (order.location_id.as_str(), line.sku.as_str(), Place::First);
    let stock = stock_update_at(scope, what, delta, movement, Vec::new(), vec![unit_change(line.unit)]);
    let mut writes = vec![stock];
    // What arrives beyond all that was open changes nothing of it.
    if delta.on_order != 0 {
        writes.push(open_line_write(scope, order.ordered_line(line), open));
    }
    writes
}

/// How many lines a step is of.
pub(super) fn lines_of(order: &StoredPurchase, step: &Step) -> usize {
    if step.action == PurchaseAction::Place { order.body.lines.len() } else { step.settled.len() }
}

/// What a step writes beside the order's own item, for its lines from `from` on, at most so many.
///
/// # Errors
/// A bug where the step contradicts the order.
pub(super) fn step_writes(
    scope: &TenantScope,
    order: &StoredPurchase,
    step: &Step,
    from: usize,
    most: usize,
) -> Result<Vec<Write>> {
    let movement = step.movement(&order.id)?;
    let lines = order.body.lines.as_slice();
    let until = lines_of(order, step).min(from.saturating_add(most));
    let mut writes = Vec::new();
    if step.action == PurchaseAction::Place {
        for line in lines.get(from..until).unwrap_or_default() {
            let ordered = Delta { on_order: line.ordered.thousandths(), ..Delta::default() };
            writes.extend(line_writes(scope, order, line, (ordered, line.ordered), &movement));
        }
        return Ok(writes);
    }
    for settled in step.settled.get(from..until).unwrap_or_default() {
        let line = usize::try_from(settled.line).ok().and_then(|at| lines.get(at));
        let line = line.ok_or_else(|| Error::bug("a settled line is one of the order"))?;
        let open = line.outstanding().minus(settled.taken);
        writes.extend(line_writes(scope, order, line, (delta_of(settled), open), &movement));
    }
    Ok(writes)
}

/// What it does to the counters of its stock item.
pub(super) fn delta_of(settled: &Settled) -> Delta {
    Delta {
        on_hand: settled.received.thousandths(),
        damaged: settled.damaged.thousandths(),
        on_order: -settled.taken.thousandths(),
        ..Delta::default()
    }
}

/// How far a chunk brought a pending step.
pub(super) enum Driven {
    /// Look again: it went on, or somebody else was at it.
    On,
    /// Not now, for this reason.
    Later(String),
}

/// Takes one chunk of a pending step.
///
/// # Errors
/// As the database; a bug where the item contradicts itself.
pub(super) async fn drive(ports: &Ports, scope: &TenantScope, stored: &StoredPurchase) -> Result<Driven> {
    let Some(pending) = &stored.body.pending else { return Ok(Driven::On) };
    let done = usize::try_from(pending.done).map_err(Error::bug)?;
    let step = &pending.step;
    let mut writes = step_writes(scope, stored, step, done, CHUNK_LINES_MAX)?;
    let done = lines_of(stored, step).min(done.saturating_add(CHUNK_LINES_MAX));
    let mut next = stored.clone();
    next.version += 1;
    if done == lines_of(stored, step) {
        next.conclude(step.clone());
    } else {
        let done = u32::try_from(done).map_err(Error::bug)?;
        next.body.pending = Some(Pending { step: step.clone(), done });
    }
    writes.insert(0, stored.replace(scope, &next)?);
    match ports.database.transact(writes).await {
        Ok(()) => Ok(Driven::On),
        // Somebody else took this chunk: what is read next tells.
        Err(error @ (DatabaseError::Cancelled(_) | DatabaseError::ConditionFailed(_))) => {
            crate::pos::cart_write::lost_race(error).map(Driven::Later)
        }
        Err(error) if error.is_transient() => Ok(Driven::Later(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// Goes on with steps that nobody went on with, over all tenants, at most so many and none begun after
/// `deadline`; answers how many were looked at. What cannot be taken on stands behind the others for a while.
///
/// # Errors
/// [`Error::Retryable`] where the index cannot be read.
pub async fn recover(ports: &Ports, now: Timestamp, most: usize, deadline: Timestamp) -> Result<usize> {
    let work = DueWork { table: Table::Stock, kind: "purchase", now, most, deadline };
    walk_due(ports, work, async |item| {
        let scope = TenantScope::from_own_record(item.text("tenant_id")?);
        let purchase_order_id = item.text("purchase_order_id")?;
        if let Err(error) = finish(ports, &scope, purchase_order_id).await {
            tracing::warn!(purchase_order_id, %error, "a purchase order could not be continued");
            postpone(ports, Table::Stock, &item, now.as_millisecond().saturating_add(POSTPONED_MILLIS)).await;
        }
        Ok(())
    })
    .await
}

async fn finish(ports: &Ports, scope: &TenantScope, id: &str) -> Result<()> {
    let mut attempts = Attempts::new(ports.environment.as_ref());
    loop {
        let Some(stored) = find(ports, scope, id).await? else { return Ok(()) };
        if stored.body.pending.is_none() {
            return Ok(());
        }
        match drive(ports, scope, &stored).await? {
            Driven::On => attempts.at_once("a purchase order goes on")?,
            Driven::Later(why) => attempts.after_a_wait(&why).await?,
        }
    }
}
