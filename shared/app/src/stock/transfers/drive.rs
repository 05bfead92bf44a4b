//! The stock that a step moves, and how a long step is taken on, chunk by chunk.

use jiff::Timestamp;
use tillstream_domain::quantity::Quantity;
use tillstream_domain::transfer::{Settled, TransferAction, TransferLine};
use tillstream_domain::transfer_lots::ShippedLot;

use crate::database::{
    Cancellation, Condition, Consistency, DatabaseError, Get, TRANSACTION_ACTIONS_MAX, Table, Write,
};
use crate::error::{Error, Result};
use crate::keeper::due::{DueWork, postpone, walk_due};
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::counters::{Counters, Delta, Movement, stock_update_at, unit_change};
use crate::stock::expiry::{HoldReads, free_enough};
use crate::stock::layout::{LAYOUT_WHOLE, Place};
use crate::stock::lots::LotStock;
use crate::stock::lots::due::keep_aside_if_due;
use crate::stock::take::{Share, Taken, take};
use crate::stock::transfers::find;
use crate::stock::transfers::item::{Pending, StoredTransfer};
use crate::stock::transfers::lots::{Settles, Settling, note};
use crate::tenancy::TenantScope;

/// Actions of a transaction beside the transfer's own item.
pub(super) const STOCK_ACTIONS_MAX: usize = TRANSACTION_ACTIONS_MAX - 1;
/// Lines looked at for one chunk: each takes two actions at least.
const CHUNK_LINES_MAX: usize = STOCK_ACTIONS_MAX / 2;
/// How often a step of several lines of lots is tried in one transaction while others keep changing their stock: then
/// it is taken as a long one is, fewer and fewer lines at once.
pub(super) const LOST_MAX: usize = 4;
/// For how long the keeper leaves a step alone that it could not take on.
const POSTPONED_MILLIS: i64 = 300_000;

/// How many lines are taken at once: fewer where others keep changing their stock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace(usize);

impl Default for Pace {
    fn default() -> Self {
        Pace(STOCK_ACTIONS_MAX)
    }
}

impl Pace {
    fn went_on(&mut self) {
        self.0 = (self.0 * 2).min(STOCK_ACTIONS_MAX);
    }

    fn lost_to(&mut self, error: &DatabaseError) {
        if is_of_stock(error) {
            self.0 = (self.0 / 2).max(1);
        }
    }
}

/// Whether it was the stock that did not let a step through, and not somebody else who went on with the transfer,
/// whose own item is the first action.
pub(super) fn is_of_stock(error: &DatabaseError) -> bool {
    let DatabaseError::Cancelled(reasons) = error else { return false };
    !matches!(reasons.first(), Some(Cancellation::ConditionFailed(_) | Cancellation::Conflict))
}

/// One end of a transfer, and its goods on the way to it.
pub(super) fn end_write(
    scope: &TenantScope,
    location_id: &str,
    line: &TransferLine,
    delta: Delta,
    movement: &Movement,
) -> Write {
    let what = (location_id, line.sku.as_str(), Place::First);
    stock_update_at(scope, what, delta, movement, Vec::new(), vec![unit_change(line.unit)])
}

pub(super) fn in_transit(quantity: Quantity) -> Delta {
    Delta { in_transit: quantity.thousandths(), ..Delta::default() }
}

/// Where there is enough of a line.
pub(super) struct Found {
    shares: Vec<Share>,
    /// The lots that leave with it; none where none is known.
    lots: Vec<ShippedLot>,
    /// That what leaves is of these.
    as_read: Vec<Condition>,
}

impl Found {
    /// Whether it is known of which lots what leaves is.
    pub(super) fn has_lots(&self) -> bool {
        !self.lots.is_empty()
    }
}

/// Ships a line, by its position, from where it was found.
///
/// # Errors
/// A bug if its lots cannot be noted.
pub(super) fn ship_writes(
    scope: &TenantScope,
    transfer: &StoredTransfer,
    (at, line): (usize, &TransferLine),
    found: &Found,
    movement: &Movement,
) -> Result<Vec<Write>> {
    let from = |share: &Share| {
        let what = (transfer.from.as_str(), line.sku.as_str(), share.place());
        let (sale, more) = (Delta::sale(share.quantity), found.as_read.clone());
        stock_update_at(scope, what, sale, movement, more, vec![unit_change(line.unit)])
    };
    let to = end_write(scope, &transfer.to, line, in_transit(line.shipped), movement);
    let mut writes: Vec<Write> = found.shares.iter().map(from).chain([to]).collect();
    if found.has_lots() {
        writes.push(note(scope, &transfer.id, u32::try_from(at).map_err(Error::bug)?, &found.lots)?);
    }
    Ok(writes)
}

/// Settles a line whose goods are of no known lot: what is no longer on its way is at one end or the other.
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
    let mut writes = vec![end_write(scope, &transfer.to, line, arrived, movement)];
    if settled.returned > Quantity::ZERO {
        let back = Delta::restock(settled.returned);
        writes.push(end_write(scope, &transfer.from, line, back, movement));
    }
    writes
}

/// What there is of some lines at the source.
pub(super) enum Looked {
    /// Enough of all.
    All(Vec<Found>),
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
    let (mut found, mut short) = (Vec::with_capacity(lines.len()), Vec::new());
    for (position, (line, item)) in lines.iter().zip(items).enumerate() {
        let stock = LotStock::of(item.as_ref())?;
        let seen = stock.counters;
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
            Taken::Shares(shares, _) => {
                // What is split is not kept by lots, and so are none of its parts.
                let lots = stock.leaving(line.shipped.thousandths());
                found.push(Found { shares, lots, as_read: stock.lots_as_read() });
            }
            Taken::Short(seen) => short.push((position, seen)),
            Taken::Again(why) => return Ok(Looked::Again(why)),
        }
    }
    Ok(if short.is_empty() { Looked::All(found) } else { Looked::Short(short) })
}

/// Frees expired holds on what is short, as much as is short. `reads`: what the request has read of hold lines for it.
/// Answers whether any had expired.
///
/// # Errors
/// As [`free_enough`].
pub(super) async fn free_holds(
    ports: &Ports,
    scope: &TenantScope,
    location_id: &str,
    lines: &[TransferLine],
    short: &[(usize, Option<Counters>)],
    reads: &mut HoldReads,
    now: Timestamp,
) -> Result<bool> {
    let mut any = false;
    for (position, seen) in short {
        let (Some(line), Some(seen)) = (lines.get(*position), seen) else { continue };
        if seen.may_have_expired_holds(now) {
            let needed = line.shipped.thousandths() - seen.available;
            any |= free_enough(ports, scope, (location_id, &line.sku), needed, reads, now).await?.any;
        }
    }
    Ok(any)
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

/// Takes one chunk of a pending step, at a `pace`. `reads`: what the request has read of hold lines for it.
///
/// # Errors
/// As [`free_enough`]; a bug where the item contradicts itself.
pub(super) async fn drive(
    ports: &Ports,
    scope: &TenantScope,
    stored: &StoredTransfer,
    now: Timestamp,
    (pace, reads): (&mut Pace, &mut HoldReads),
) -> Result<Driven> {
    let Some(pending) = &stored.body.pending else { return Ok(Driven::On) };
    let movement = pending.step.movement(&stored.id)?;
    let done = usize::try_from(pending.done).map_err(Error::bug)?;
    let lines = stored.body.lines.as_slice();
    let (mut stock, mut short): (Vec<Write>, _) = (Vec::new(), Vec::new());
    let mut next = stored.clone();
    let mut ahead = pending.clone();
    if !pending.undoing && pending.step.action == TransferAction::Ship {
        let until = lines.len().min(done + pace.0.min(CHUNK_LINES_MAX));
        let chunk = lines.get(done..until).unwrap_or_default();
        match look(ports, scope, &stored.from, chunk).await? {
            Looked::Again(why) => return Ok(Driven::Later(why)),
            Looked::Short(of_chunk) => {
                if free_holds(ports, scope, &stored.from, chunk, &of_chunk, reads, now).await? {
                    return Ok(Driven::On);
                }
                short = of_chunk.into_iter().map(|(at, seen)| (done + at, seen)).collect();
                ahead.undoing = true;
            }
            Looked::All(found) => {
                for ((at, line), found) in (done..).zip(chunk).zip(found) {
                    let writes = ship_writes(scope, stored, (at, line), &found, &movement)?;
                    if stock.len() + writes.len() > STOCK_ACTIONS_MAX {
                        break;
                    }
                    stock.extend(writes);
                    ahead.done += 1;
                    next.has_lots |= found.has_lots();
                }
            }
        }
    } else {
        // The last one is taken back first.
        let of_chunk: Vec<Settled> = if pending.undoing {
            let shipped = (0_u32..).zip(lines.iter().take(done));
            let mut all: Vec<Settled> = shipped.map(|(at, line)| back(at, line)).collect();
            all.reverse();
            all
        } else {
            pending.step.settled.get(done..).unwrap_or_default().to_vec()
        };
        let of_chunk = of_chunk.get(..pace.0.min(of_chunk.len())).unwrap_or_default();
        let settling = Settling {
            ports,
            scope,
            transfer: stored,
            movement: &movement,
            named: &stored.named,
            undoing: pending.undoing,
            now,
        };
        match settling.settle(of_chunk).await? {
            Settles::Again(why) => return Ok(Driven::Later(why.to_owned())),
            Settles::Lines(settled, writes) => {
                let done = if pending.undoing { done.saturating_sub(settled) } else { done + settled };
                ahead.done = u32::try_from(done).map_err(Error::bug)?;
                stock = writes;
            }
        }
    }
    let own = own_write(scope, stored, next, ahead)?;
    match ports.database.transact(std::iter::once(own).chain(stock).collect()).await {
        Ok(()) => {
            pace.went_on();
            Ok(if short.is_empty() { Driven::On } else { Driven::Short(short) })
        }
        // Somebody else took this chunk, or the stock changed: what is read next tells which.
        Err(error @ (DatabaseError::Cancelled(_) | DatabaseError::ConditionFailed(_))) => {
            pace.lost_to(&error);
            crate::pos::cart_write::lost_race(error).map(Driven::Later)
        }
        Err(error) if error.is_transient() => Ok(Driven::Later(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// What takes a line back that was shipped.
fn back(at: u32, line: &TransferLine) -> Settled {
    let none = Quantity::ZERO;
    Settled { line: at, received: none, damaged: none, returned: line.shipped }
}

/// The transfer's own item, which is `next`, after a chunk that brought its pending step so far `ahead`.
fn own_write(
    scope: &TenantScope,
    stored: &StoredTransfer,
    mut next: StoredTransfer,
    ahead: Pending,
) -> Result<Write> {
    if ahead.undoing && ahead.done == 0 {
        return Ok(stored.remove(scope));
    }
    next.version += 1;
    let of = if ahead.step.action == TransferAction::Ship {
        stored.body.lines.len()
    } else {
        ahead.step.settled.len()
    };
    if !ahead.undoing && usize::try_from(ahead.done).is_ok_and(|done| done == of) {
        next.conclude(ahead.step);
    } else {
        next.body.pending = Some(ahead);
    }
    stored.replace(scope, &next)
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
    let (mut pace, mut reads) = (Pace::default(), HoldReads::default());
    loop {
        let Some(stored) = find(ports, scope, id).await? else { return Ok(()) };
        if stored.body.pending.is_none() {
            return Ok(());
        }
        match drive(ports, scope, &stored, now, (&mut pace, &mut reads)).await? {
            Driven::On | Driven::Short(_) => attempts.at_once("a transfer goes on")?,
            Driven::Later(why) => attempts.after_a_wait(&why).await?,
        }
    }
}
