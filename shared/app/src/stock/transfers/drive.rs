//! The stock that a step moves, and how a long step is taken on, chunk by chunk.

use jiff::Timestamp;
use tillstream_domain::quantity::Quantity;
use tillstream_domain::transfer::{Settled, TransferAction, TransferLine};

use crate::database::{Consistency, DatabaseError, Get, TRANSACTION_ACTIONS_MAX, Table, Write};
use crate::error::{Error, Result};
use crate::keeper::due::{DueWork, postpone, walk_due};
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::counters::{Counters, Delta, Movement, stock_update_at, unit_change};
use crate::stock::expiry::{FreedHolds, free_enough};
use crate::stock::layout::{LAYOUT_WHOLE, Place};
use crate::stock::lots::back::taken_by;
use crate::stock::lots::due::keep_aside_if_due;
use crate::stock::take::{Share, Taken, take};
use crate::stock::transfers::find;
use crate::stock::transfers::item::{Pending, StoredTransfer};
use crate::stock::transfers::lots::settle_line;
use crate::tenancy::TenantScope;

/// Actions of a transaction beside the transfer's own item.
pub(super) const STOCK_ACTIONS_MAX: usize = TRANSACTION_ACTIONS_MAX - 1;
/// Lines looked at for one chunk: each takes two actions at least.
const CHUNK_LINES_MAX: usize = STOCK_ACTIONS_MAX / 2;
/// For how long the keeper leaves a step alone that it could not take on.
const POSTPONED_MILLIS: i64 = 300_000;

/// One end of a transfer, and its goods on the way to it.
fn at(
    scope: &TenantScope,
    location_id: &str,
    line: &TransferLine,
    place: Place,
    delta: Delta,
    movement: &Movement,
) -> Write {
    let what = (location_id, line.sku.as_str(), place);
    stock_update_at(scope, what, delta, movement, Vec::new(), vec![unit_change(line.unit)])
}

pub(super) fn in_transit(quantity: Quantity) -> Delta {
    Delta { in_transit: quantity.thousandths(), ..Delta::default() }
}

/// Ships a line from where it was found.
pub(super) fn ship_writes(
    scope: &TenantScope,
    transfer: &StoredTransfer,
    line: &TransferLine,
    shares: &[Share],
    movement: &Movement,
) -> Vec<Write> {
    let from =
        |share: &Share| at(scope, &transfer.from, line, share.place(), Delta::sale(share.quantity), movement);
    let to = at(scope, &transfer.to, line, Place::First, in_transit(line.shipped), movement);
    shares.iter().map(from).chain([to]).collect()
}

/// Settles a line: what is no longer on its way is at one end or the other.
pub(super) fn settle_writes(
    scope: &TenantScope,
    transfer: &StoredTransfer,
    line: &TransferLine,
    settled: &Settled,
    movement: &Movement,
) -> Vec<Write> {
    let arrived = Delta {
        on_hand: settled.received.thousandths(),
        damaged: settled.damaged.thousandths(),
        ..-in_transit(settled.total())
    };
    let mut writes = vec![at(scope, &transfer.to, line, Place::First, arrived, movement)];
    if settled.returned > Quantity::ZERO {
        let back = Delta::restock(settled.returned);
        writes.push(at(scope, &transfer.from, line, Place::First, back, movement));
    }
    writes
}

/// What there is of some lines at the source.
pub(super) enum Looked {
    /// Enough of all: from where each is taken.
    All(Vec<Vec<Share>>),
    /// Of these, by position, too little, of which so much is there.
    Short(Vec<(usize, Option<Counters>)>),
    /// It cannot be said now, for this reason.
    Again(String),
}

/// Looks for lines at the source. What is said to be short is so as of one moment, by line.
pub(super) async fn look(
    ports: &Ports,
    scope: &TenantScope,
    location_id: &str,
    lines: &[TransferLine],
) -> Result<Looked> {
    let get = |line: &TransferLine| Get {
        table: Table::Stock,
        key: scope.stock(location_id, &line.sku),
        consistency: Consistency::Strong,
    };
    let items = ports.database.get_many(lines.iter().map(get).collect()).await?;
    let (mut shares, mut short) = (Vec::with_capacity(lines.len()), Vec::new());
    for (position, (line, item)) in lines.iter().zip(items).enumerate() {
        let seen = item.as_ref().map(Counters::of).transpose()?;
        let name = (location_id, line.sku.as_str());
        if keep_aside_if_due(ports, scope, name, seen.as_ref(), ports.environment.now()).await? {
            return Ok(Looked::Again("lots past their day were kept aside".to_owned()));
        }
        let taken = match seen {
            Some(seen) if seen.layout != LAYOUT_WHOLE => {
                take(ports, scope, name, line.shipped, seen.layout).await?
            }
            Some(seen) if seen.available >= line.shipped.thousandths() => {
                let share = Share { part: 0, layout: LAYOUT_WHOLE, quantity: line.shipped, seen };
                Taken::Shares(vec![share], Default::default())
            }
            seen => Taken::Short(seen),
        };
        match taken {
            Taken::Shares(of_line, _) => shares.push(of_line),
            Taken::Short(seen) => short.push((position, seen)),
            Taken::Again(why) => return Ok(Looked::Again(why)),
        }
    }
    Ok(if short.is_empty() { Looked::All(shares) } else { Looked::Short(short) })
}

/// Frees expired holds on what is short, as much as is short.
pub(super) async fn free_holds(
    ports: &Ports,
    scope: &TenantScope,
    location_id: &str,
    lines: &[TransferLine],
    short: &[(usize, Option<Counters>)],
    now: Timestamp,
) -> Result<FreedHolds> {
    let mut all = FreedHolds::default();
    for (position, seen) in short {
        let (Some(line), Some(seen)) = (lines.get(*position), seen) else { continue };
        if seen.may_have_expired_holds(now) {
            let needed = line.shipped.thousandths() - seen.available;
            let freed = free_enough(ports, scope, (location_id, &line.sku), needed, now).await?;
            all = FreedHolds { any: all.any | freed.any, left: all.left | freed.left };
        }
    }
    Ok(all)
}

/// How far a chunk brought a pending step.
pub(super) enum Driven {
    /// Look again: it went on, or somebody else was at it.
    On,
    /// Of these lines of the transfer too little is there: it is being taken back.
    Short(Vec<(usize, Option<Counters>)>),
    /// Not now, for this reason.
    Later(String),
}

/// Takes one chunk of a pending step.
///
/// # Errors
/// As the database; a bug where the item contradicts itself.
pub(super) async fn drive(
    ports: &Ports,
    scope: &TenantScope,
    stored: &StoredTransfer,
    now: Timestamp,
) -> Result<Driven> {
    let Some(pending) = &stored.body.pending else { return Ok(Driven::On) };
    let movement = pending.step.movement(&stored.id)?;
    let done = usize::try_from(pending.done).map_err(Error::bug)?;
    let lines = stored.body.lines.as_slice();
    let (mut stock, mut short): (Vec<Write>, _) = (Vec::new(), Vec::new());
    let mut next = pending.clone();
    if pending.undoing {
        let first = done.saturating_sub(CHUNK_LINES_MAX);
        for line in lines.get(first..done).unwrap_or_default() {
            stock.extend(settle_writes(scope, stored, line, &back(line), &movement));
        }
        next.done = u32::try_from(first).map_err(Error::bug)?;
    } else if pending.step.action == TransferAction::Ship {
        let until = lines.len().min(done + CHUNK_LINES_MAX);
        let chunk = lines.get(done..until).unwrap_or_default();
        match look(ports, scope, &stored.from, chunk).await? {
            Looked::Again(why) => return Ok(Driven::Later(why)),
            Looked::Short(of_chunk) => {
                if free_holds(ports, scope, &stored.from, chunk, &of_chunk, now).await?.any {
                    return Ok(Driven::On);
                }
                short = of_chunk.into_iter().map(|(at, seen)| (done + at, seen)).collect();
                next.undoing = true;
            }
            Looked::All(shares) => {
                for (line, shares) in chunk.iter().zip(shares) {
                    let writes = ship_writes(scope, stored, line, &shares, &movement);
                    if stock.len() + writes.len() > STOCK_ACTIONS_MAX {
                        break;
                    }
                    stock.extend(writes);
                    next.done += 1;
                }
            }
        }
    } else {
        let taken = taken_by(ports, scope, &stored.id, &stored.from).await?;
        for settled in pending.step.settled.get(done..).unwrap_or_default() {
            let line = usize::try_from(settled.line).ok().and_then(|at| lines.get(at));
            let line = line.ok_or_else(|| Error::bug("a settled line is one of the transfer"))?;
            let what = (line, settled);
            let writes = settle_line(ports, scope, stored, what, &taken, (&movement, now)).await?;
            if stock.len() + writes.len() > STOCK_ACTIONS_MAX {
                break;
            }
            stock.extend(writes);
            next.done += 1;
        }
    }
    let own = own_write(scope, stored, next)?;
    match ports.database.transact(std::iter::once(own).chain(stock).collect()).await {
        Ok(()) if short.is_empty() => Ok(Driven::On),
        Ok(()) => Ok(Driven::Short(short)),
        // Somebody else took this chunk, or the stock changed: what is read next tells which.
        Err(error @ (DatabaseError::Cancelled(_) | DatabaseError::ConditionFailed(_))) => {
            crate::pos::cart_write::lost_race(error).map(Driven::Later)
        }
        Err(error) if error.is_transient() => Ok(Driven::Later(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// What takes a line back that was shipped.
fn back(line: &TransferLine) -> Settled {
    let none = Quantity::ZERO;
    Settled { line: 0, received: none, damaged: none, returned: line.shipped }
}

/// The transfer's own item after a chunk that brought its pending step to `next`.
fn own_write(scope: &TenantScope, stored: &StoredTransfer, next: Pending) -> Result<Write> {
    if next.undoing && next.done == 0 {
        return Ok(stored.remove(scope));
    }
    let mut after = stored.clone();
    after.version += 1;
    let of = if next.step.action == TransferAction::Ship {
        stored.body.lines.len()
    } else {
        next.step.settled.len()
    };
    if !next.undoing && usize::try_from(next.done).is_ok_and(|done| done == of) {
        after.conclude(next.step);
    } else {
        after.body.pending = Some(next);
    }
    stored.replace(scope, &after)
}

/// Goes on with steps that nobody went on with, over all tenants, at most so many and none begun after
/// `deadline`; answers how many were looked at. What cannot be taken on stands behind the others for a while.
///
/// # Errors
/// [`Error::Retryable`] where the index cannot be read.
pub async fn recover(ports: &Ports, now: Timestamp, most: usize, deadline: Timestamp) -> Result<usize> {
    let work = DueWork { table: Table::Stock, kind: "transfer", now, most, deadline };
    walk_due(ports, work, async |item| {
        let scope = TenantScope::from_own_record(item.text("tenant_id")?);
        let transfer_id = item.text("transfer_id")?;
        if let Err(error) = finish(ports, &scope, transfer_id, now).await {
            tracing::warn!(transfer_id, %error, "a transfer could not be continued");
            postpone(ports, Table::Stock, &item, now.as_millisecond().saturating_add(POSTPONED_MILLIS)).await;
        }
        Ok(())
    })
    .await
}

async fn finish(ports: &Ports, scope: &TenantScope, id: &str, now: Timestamp) -> Result<()> {
    let mut attempts = Attempts::new(ports.environment.as_ref());
    loop {
        let Some(stored) = find(ports, scope, id).await? else { return Ok(()) };
        if stored.body.pending.is_none() {
            return Ok(());
        }
        match drive(ports, scope, &stored, now).await? {
            Driven::On | Driven::Short(_) => attempts.at_once("a transfer goes on")?,
            Driven::Later(why) => attempts.after_a_wait(&why).await?,
        }
    }
}
