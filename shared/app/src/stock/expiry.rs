//! Expired holds: freed by the next read or reservation, or by the schedule, never by table TTL (which
//! may come days late).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tillstream_domain::quantity::Quantity;

use crate::database::{
    Cancellation, Condition, Consistency, DatabaseError, Get, Index, Item, Key, Query, Range,
    TRANSACTION_ACTIONS_MAX, Table,
};
use crate::error::{Error, Result};
use crate::keeper::in_turn;
use crate::keys::{self, DUE_HOLD_SHARDS};
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::counters::Movement;
use crate::stock::earliest::{PartSum, raise_earliest};
use crate::stock::hold_runs::HoldRun;
use crate::stock::holds::{Ending, Hold, Located, end_holds};
use crate::stock::layout::{LAYOUT_WHOLE, Place};
use crate::stock::long_reservations::fate::{Fate, end, fates};
use crate::stock::standing::{Standing, standing};
use crate::tenancy::TenantScope;

/// Layouts that freeing follows, where others lay the stock out anew while it is at it.
const MOVES_MAX: u32 = 4;
/// Due holds read at once.
const HOLDS_AT_ONCE: u32 = 100;
/// Holds of one place that one transaction frees: a line each, and the stock once.
const HOLDS_PER_TRANSACTION: usize = TRANSACTION_ACTIONS_MAX - 1;
/// Transactions of one look for a request that needs stock: after them it sees whether that is enough, once the page
/// that was read is done with.
const TRANSACTIONS_PER_LOOK: u32 = 20;
/// Pages of hold lines, of 1,000 each, that one request reads of one stock item to free what has expired, in all its
/// looks: as many as there are parts where it is split over more. What lies behind them is for who looks next, and for
/// the schedule, which reads them all.
pub(super) const HOLD_PAGES_PER_REQUEST: u32 = 5;

/// How much is to be freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// All, beginning with nothing more after this.
    AllUntil(Timestamp),
    /// So much, in thousandths.
    Enough(i64),
}

/// What one request has read of hold lines to free what has expired, by location and SKU. It may look again and again,
/// since others take what it freed: all its looks together read no more than one may.
#[derive(Debug, Default)]
pub struct HoldReads(BTreeMap<(String, String), Read>);

/// What one request has read of the hold lines of one stock item.
#[derive(Debug, Clone, Copy, Default)]
struct Read {
    pages: u32,
    /// Whether any look freed something.
    got_on: bool,
    /// Whether it has read as many pages as it may.
    is_spent: bool,
    /// Whether nothing more is looked for: all was read, or as much as may be.
    is_done: bool,
}

impl HoldReads {
    /// Whether there is a stock item of which no more is read, although there may be more.
    pub(super) fn any_is_spent(&self) -> bool {
        self.0.values().any(|read| read.is_spent)
    }
}

/// What freeing for a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FreedHolds {
    /// Whether any had expired, so that trying again is worth it.
    pub any: bool,
    /// Whether there may be more to free: freeing got on, and stopped before the end.
    pub left: bool,
}

/// Frees all expired holds on one stock item, then raises its `earliest_expiry`, or that of its parts. Answers
/// whether any had expired. Harmless at any time, by anybody, in parallel, and beside splitting and merging.
///
/// # Errors
/// As the database; what was freed stays freed.
pub async fn free_expired(
    ports: &Ports,
    scope: &TenantScope,
    location_id: &str,
    sku: &str,
    now: Timestamp,
) -> Result<bool> {
    let freed = free(ports, scope, (location_id, sku), Wanted::AllUntil(Timestamp::MAX), now).await?;
    Ok(freed.any)
}

/// Frees expired holds on one stock item until `needed` thousandths are free that were not, or until one request
/// has done or read enough, of which `reads` are what it did before. The rest is for whoever needs it, and for the
/// schedule. Once the request has looked at all, or read enough of it, this reads nothing, and frees nothing more.
///
/// # Errors
/// As the database; [`Error::Retryable`] where the request freed some, and may read no more: whoever repeats it gets on.
/// What was freed stays freed.
pub async fn free_enough(
    ports: &Ports,
    scope: &TenantScope,
    (location_id, sku): (&str, &str),
    needed: i64,
    reads: &mut HoldReads,
    now: Timestamp,
) -> Result<FreedHolds> {
    let read = reads.0.entry((location_id.to_owned(), sku.to_owned())).or_default();
    let mut freed = FreedHolds::default();
    if !read.is_done {
        let wanted = Wanted::Enough(needed.max(1));
        let new = Freeing::new(ports, scope, (location_id, sku), wanted, now);
        let mut freeing = Freeing { pages: read.pages, ..new };
        let done = freeing.free().await;
        read.pages = freeing.pages;
        read.got_on |= freeing.freed > 0;
        read.is_spent = freeing.is_spent;
        freed = done?;
        read.is_done = freeing.is_spent || !freed.left;
    }
    if read.is_spent && read.got_on && !freed.left {
        return Err(Error::retryable(format!(
            "more holds of {sku} at {location_id} have expired than one request frees"
        )));
    }
    Ok(freed)
}

/// Frees those of some holds on one stock item that are there still and have expired, and no others. Its
/// `earliest_expiry` stays as it is, perhaps too early.
///
/// # Errors
/// As the database; what was freed stays freed.
pub(super) async fn free_these(
    ports: &Ports,
    scope: &TenantScope,
    what: (&str, &str),
    holds: Vec<Located>,
    now: Timestamp,
) -> Result<()> {
    let mut freeing = Freeing::new(ports, scope, what, Wanted::AllUntil(Timestamp::MAX), now);
    let mut groups: BTreeMap<Place, Vec<Located>> = BTreeMap::new();
    for one in holds.into_iter().filter(|one| one.hold.has_expired(now)) {
        groups.entry(one.place).or_default().push(one);
    }
    for (place, holds) in groups {
        for group in holds.chunks(HOLDS_PER_TRANSACTION) {
            freeing.free_group(place, group.to_vec()).await?;
        }
    }
    Ok(())
}

async fn free(
    ports: &Ports,
    scope: &TenantScope,
    what: (&str, &str),
    wanted: Wanted,
    now: Timestamp,
) -> Result<FreedHolds> {
    Freeing::new(ports, scope, what, wanted, now).free().await
}

/// How freeing in one layout ended.
enum Ended {
    /// All of it was looked at.
    AtTheEnd,
    /// Another layout came meanwhile: what had expired may be held elsewhere now.
    Moved,
    /// Enough was done.
    Early,
}

/// What was seen of a stock item whose hold lines are looked at, in one layout.
struct Seen {
    standing: Standing,
    /// Of each part. Read before the holds: whoever adds a hold raises the part's `seq`, so an unchanged `seq` proves
    /// that the holds read after it are all there are; where it changed, a look that was open may tell.
    sums: Vec<PartSum>,
    /// Whether another layout came meanwhile.
    has_moved: bool,
    /// Whether there are lines of layouts that are past.
    lines_of_the_past: bool,
}

impl Seen {
    fn of(standing: Standing) -> Self {
        let sums = standing.parts().iter().map(PartSum::new).collect();
        Seen { standing, sums, has_moved: false, lines_of_the_past: false }
    }

    fn sum_of(&mut self, part: u32) -> Option<&mut PartSum> {
        self.sums.get_mut(usize::try_from(part).unwrap_or(usize::MAX))
    }

    /// Whether a partition may have lines that are due: of one with lines of this layout only, its part tells.
    fn may_have_due_lines(&self, partition: u32, now: Timestamp) -> bool {
        let own = self.standing.numbered().find(|(part, _)| *part == partition).map(|(_, part)| part);
        let is_due = own.is_some_and(|part| part.may_have_expired_holds(now));
        is_due || partition <= self.standing.first().past.hold_parts.saturating_sub(1)
    }

    /// Where a hold counts; `None` where it is of a layout younger than what was read: it moved under us, so nothing is
    /// certain.
    fn place_of(&mut self, hold: &Hold) -> Option<Place> {
        if hold.part == 0 {
            return Some(Place::First);
        }
        if hold.layout == self.standing.layout() {
            return Some(Place::Part { part: hold.part, layout: hold.layout });
        }
        if hold.layout <= self.standing.first().past.last {
            self.lines_of_the_past = true;
            return Some(Place::First);
        }
        self.sums.iter_mut().for_each(|sum| sum.certain = false);
        self.has_moved = true;
        None
    }
}

/// The freeing of one stock item.
struct Freeing<'a> {
    ports: &'a Ports,
    scope: &'a TenantScope,
    location_id: &'a str,
    sku: &'a str,
    wanted: Wanted,
    now: Timestamp,
    /// So much, in thousandths.
    freed: i64,
    transactions: u32,
    /// Pages of hold lines that were read, by this look and those before it.
    pages: u32,
    /// Whether that is as many as one request reads.
    is_spent: bool,
    /// Whether any had expired.
    any: bool,
}

impl<'a> Freeing<'a> {
    fn new(
        ports: &'a Ports,
        scope: &'a TenantScope,
        (location_id, sku): (&'a str, &'a str),
        wanted: Wanted,
        now: Timestamp,
    ) -> Self {
        Freeing {
            ports,
            scope,
            location_id,
            sku,
            wanted,
            now,
            freed: 0,
            transactions: 0,
            pages: 0,
            is_spent: false,
            any: false,
        }
    }

    async fn free(&mut self) -> Result<FreedHolds> {
        for _ in 0..MOVES_MAX {
            match self.of_layout().await? {
                Ended::Moved => {}
                Ended::AtTheEnd => break,
                Ended::Early => return Ok(FreedHolds { any: self.any, left: self.freed > 0 }),
            }
        }
        Ok(FreedHolds { any: self.any, left: false })
    }

    /// Whether nothing more is to be freed, also of a page that was read.
    fn has_enough(&self) -> bool {
        match self.wanted {
            Wanted::AllUntil(until) => self.ports.environment.now() >= until,
            Wanted::Enough(needed) => self.freed >= needed,
        }
    }

    /// Whether no other page is to be read. One that was read is freed as far as is needed, however many transactions that
    /// takes: else it would be read again.
    fn is_over(&self) -> bool {
        let has_done_enough = self.transactions >= TRANSACTIONS_PER_LOOK;
        self.has_enough() || (matches!(self.wanted, Wanted::Enough(_)) && has_done_enough)
    }

    /// Whether one request has read enough of an item whose hold lines are in so many partitions. Who has come round to
    /// lines before those with which the look began reads the page where it began twice.
    fn has_read_enough(&self, partitions: u32, is_again: bool) -> bool {
        let most = partitions.max(HOLD_PAGES_PER_REQUEST) + u32::from(is_again);
        matches!(self.wanted, Wanted::Enough(_)) && self.pages >= most
    }

    async fn of_layout(&mut self) -> Result<Ended> {
        let (ports, scope, what) = (self.ports, self.scope, (self.location_id, self.sku));
        let database = ports.database.as_ref();
        let Some(standing) = standing(database, scope, what.0, what.1, LAYOUT_WHOLE).await? else {
            return Ok(Ended::AtTheEnd);
        };
        let run = match self.wanted {
            Wanted::AllUntil(_) => HoldRun::of_all(scope, what),
            Wanted::Enough(_) => HoldRun::of_request(database, scope, what, &standing.first()).await?,
        };
        let mut seen = Seen::of(standing);
        let partitions = seen.standing.hold_partitions();
        for stretch in run.stretches(partitions) {
            if stretch.is_again && self.any && self.is_over() {
                return Ok(Ended::Early);
            }
            if !seen.may_have_due_lines(stretch.partition, self.now) {
                continue;
            }
            let mut query = stretch.query(scope, what);
            loop {
                if self.has_read_enough(partitions, stretch.is_again) {
                    self.is_spent = true;
                    run.stops(ports, stretch.partition, query.start.as_ref()).await?;
                    return Ok(Ended::Early);
                }
                self.pages += 1;
                let page = database.query(query.clone()).await?;
                if self.free_of_page(&page.items, &mut seen).await? {
                    return Ok(Ended::Early);
                }
                match stretch.goes_on(page.next) {
                    Some(_) if self.any && self.is_over() => return Ok(Ended::Early),
                    Some(next) => query.start = Some(next),
                    None => break,
                }
            }
            if stretch.completes_partition()
                && let Some(sum) = seen.sum_of(stretch.partition)
            {
                sum.looked_at = true;
            }
        }
        run.ends(ports).await?;
        let forgets_past = seen.standing.first().past.hold_parts > 0 && !seen.lines_of_the_past;
        for (part, sum) in (0..).zip(&seen.sums) {
            if sum.certain && sum.looked_at {
                let key = scope.stock_part(what.0, what.1, part);
                raise_earliest(ports, &key, sum, part == 0 && forgets_past, self.now).await?;
            }
        }
        Ok(if seen.has_moved { Ended::Moved } else { Ended::AtTheEnd })
    }

    /// Frees what has expired of a page of hold lines; answers whether enough was done before its end.
    async fn free_of_page(&mut self, items: &[Item], seen: &mut Seen) -> Result<bool> {
        let (ports, scope, now) = (self.ports, self.scope, self.now);
        let mut groups: BTreeMap<Place, Vec<Located>> = BTreeMap::new();
        let holds = items.iter().map(Hold::of).collect::<Result<Vec<_>>>()?;
        let mut fate_of = fates(ports.database.as_ref(), scope, &holds, now).await?;
        for hold in holds {
            let Some(place) = seen.place_of(&hold) else { continue };
            let Some(sum) = seen.sum_of(place.part()) else { continue };
            if !hold.has_expired(now) {
                sum.sees(hold.expires_at);
                continue;
            }
            let is_of_long = hold.attempt.is_some();
            if is_of_long && !has_ended(ports, scope, &hold, &mut fate_of, sum, now).await? {
                continue;
            }
            self.any = true;
            groups.entry(place).or_default().push(Located { hold, place, left: Quantity::ZERO });
        }
        for (place, holds) in groups {
            for group in holds.chunks(HOLDS_PER_TRANSACTION) {
                if self.has_enough() {
                    return Ok(true);
                }
                let freed = self.free_group(place, group.to_vec()).await?;
                seen.has_moved |= freed.has_moved;
                let Some(sum) = seen.sum_of(place.part()) else { continue };
                sum.seq += freed.by_us;
                // It cannot be told what goes on being held: leave the expiry early.
                sum.certain &= freed.is_certain;
                freed.go_on.into_iter().for_each(|expires_at| sum.sees(expires_at));
            }
        }
        Ok(false)
    }

    /// Frees those of some holds in one place that are still there and still expired, in one transaction unless
    /// some of them are not.
    async fn free_group(&mut self, place: Place, mut group: Vec<Located>) -> Result<GroupFreed> {
        let mut freed = GroupFreed { by_us: 0, is_certain: true, go_on: Vec::new(), has_moved: false };
        let mut attempts = Attempts::new(self.ports.environment.as_ref());
        while let Some(movement) = expiry_movement(&group, self.now) {
            let still_expired = Condition::Le("expires_at", self.now.as_millisecond().into());
            let ended = end_holds(self.scope, &group, &Ending::GiveBack(still_expired), &movement);
            let writes = ended.into_iter().map(|(write, _)| write).collect();
            self.transactions += 1;
            let reasons = match self.ports.database.transact(writes).await {
                Ok(()) => {
                    freed.by_us += 1;
                    self.freed += held_by(&group);
                    return Ok(freed);
                }
                Err(error) if error.is_transient() => {
                    attempts.after_a_wait("freeing expired holds").await?;
                    continue;
                }
                Err(DatabaseError::Cancelled(reasons)) => reasons,
                Err(error) => return Err(error.into()),
            };
            let failed = |at: usize| matches!(reasons.get(at), Some(Cancellation::ConditionFailed(_)));
            let of_group = group.len();
            if (0..of_group).any(failed) {
                // Lines that are gone, which after a lost answer may have been our own doing, or extended: these go on
                // until then at least.
                for reason in reasons.get(..of_group).unwrap_or_default() {
                    if let Cancellation::ConditionFailed(Some(line)) = reason {
                        freed.go_on.push(line.number("expires_at")?);
                    }
                }
                let mut at = 0..of_group;
                group.retain(|_| at.next().is_some_and(|at| !failed(at)));
                attempts.at_once("expired holds were freed or extended")?;
                continue;
            }
            let Some(Cancellation::ConditionFailed(stock)) = reasons.get(of_group) else {
                return Err(DatabaseError::Cancelled(reasons).into());
            };
            freed.is_certain = false;
            if matches!(place, Place::Part { .. }) {
                // It was held in a part that was merged meanwhile: it counts in the first part now.
                freed.has_moved = true;
                return Ok(freed);
            }
            // The counters say less is reserved than the lines do. The keeper's comparison will tell; the item must
            // stay usable meanwhile.
            tracing::error!(
                location_id = self.location_id,
                sku = self.sku,
                holds = of_group,
                "expired holds are more than the stock item has reserved"
            );
            let reserved = stock.as_ref().and_then(|stock| stock.opt_number("reserved")).unwrap_or(0);
            let mut sum = 0;
            group.retain(|one| {
                let with = sum + one.hold.quantity.thousandths();
                let fits = with <= reserved;
                sum = if fits { with } else { sum };
                fits
            });
            if group.len() == of_group {
                // It was reserved meanwhile.
                attempts.after_a_wait("freeing expired holds").await?;
            }
        }
        Ok(freed)
    }
}

/// What became of a group of holds.
struct GroupFreed {
    /// Transactions of ours that took effect: each raised the `seq` by one.
    by_us: i64,
    /// Whether what goes on being held is known.
    is_certain: bool,
    /// Ends of those that were changed meanwhile, in epoch milliseconds.
    go_on: Vec<i64>,
    /// Whether another layout came meanwhile.
    has_moved: bool,
}

fn held_by(group: &[Located]) -> i64 {
    group.iter().map(|one| one.hold.quantity.thousandths()).sum()
}

/// What the ledger says of holds that are freed together; `None` of none.
fn expiry_movement(group: &[Located], now: Timestamp) -> Option<Movement> {
    let (first, others) = group.split_first()?;
    Some(Movement {
        kind: "expire",
        reference: first.hold.reservation_id.clone(),
        actor: "expiry".to_owned(),
        at: now,
        reason: (!others.is_empty()).then(|| format!("with {} other reservations", others.len())),
    })
}

/// Whether a hold of a long reservation that is past its own time holds no longer. Where it does, its line
/// follows its header.
async fn has_ended(
    ports: &Ports,
    scope: &TenantScope,
    hold: &Hold,
    fate_of: &mut BTreeMap<String, Fate>,
    sum: &mut PartSum,
    now: Timestamp,
) -> Result<bool> {
    let id = hold.reservation_id.as_str();
    for _ in 0..MOVES_MAX {
        match fate_of.get(id) {
            Some(Fate::Over) => return Ok(true),
            Some(Fate::Ends(header)) => {
                if end(ports, scope, header, now).await? {
                    fate_of.insert(id.to_owned(), Fate::Over);
                    return Ok(true);
                }
                // Others ended, sold or extended it first: what they did is what counts.
                let one = std::slice::from_ref(hold);
                fate_of.extend(fates(ports.database.as_ref(), scope, one, now).await?);
            }
            Some(Fate::Until(expires_at)) => {
                match ports.database.write(hold.follow(scope, *expires_at)).await {
                    Ok(()) => sum.sees(*expires_at),
                    // It ended or was extended again: an expiry that is too early is never wrong.
                    Err(DatabaseError::ConditionFailed(_)) => sum.certain = false,
                    Err(error) if error.is_transient() => sum.certain = false,
                    Err(error) => return Err(error.into()),
                }
                return Ok(false);
            }
            Some(Fate::Sold) => {
                sum.sees(hold.expires_at);
                return Ok(false);
            }
            None => break,
        }
    }
    sum.certain = false;
    Ok(false)
}

/// What a sweep over expired holds did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Stock items looked at.
    pub items: usize,
    /// Of these, such whose holds were not all freed; the others were looked at.
    pub failed: usize,
}

/// Frees expired holds of all tenants through the due index. Of two sweeps each begins elsewhere, and
/// begins with nothing more after `deadline`. What cannot be freed hides nothing that is due after it.
///
/// # Errors
/// Where the index cannot be read; what was freed stays freed.
pub async fn sweep_expired(ports: &Ports, now: Timestamp, deadline: Timestamp) -> Result<Swept> {
    let mut swept = Swept::default();
    let mut seen = BTreeSet::new();
    for shard in in_turn((0..DUE_HOLD_SHARDS).collect(), now) {
        let mut query = Query {
            range: Range::Numbers(0, now.as_millisecond()),
            limit: HOLDS_AT_ONCE,
            ..Query::index(Table::Stock, Index::Due, keys::due_holds(shard))
        };
        loop {
            let page = ports.database.query(query.clone()).await?;
            for (tenant_id, location_id, sku) in items_of(ports, &page.items).await? {
                if ports.environment.now() >= deadline {
                    return Ok(swept);
                }
                if !seen.insert((tenant_id.clone(), location_id.clone(), sku.clone())) {
                    continue;
                }
                swept.items += 1;
                let scope = TenantScope::from_own_record(&tenant_id);
                let all = Wanted::AllUntil(deadline);
                if let Err(error) = free(ports, &scope, (&location_id, &sku), all, now).await {
                    tracing::warn!(location_id, sku, %error, "expired holds of a stock item were not freed");
                    swept.failed += 1;
                }
            }
            match page.next {
                Some(next) => query.start = Some(next),
                None => break,
            }
        }
    }
    Ok(swept)
}

/// Tenant, location and SKU of due holds, each once.
async fn items_of(ports: &Ports, due: &[Item]) -> Result<BTreeSet<(String, String, String)>> {
    let get = |item: &Item| {
        Ok(Get { table: Table::Stock, key: Key::of(item)?, consistency: Consistency::Eventual })
    };
    let gets = due.iter().map(get).collect::<Result<Vec<_>>>()?;
    let holds = ports.database.get_many(gets).await?;
    let name = |item: &Item| {
        let hold = Hold::of(item)?;
        Ok((item.text("tenant_id")?.to_owned(), hold.location_id, hold.sku))
    };
    holds.iter().flatten().map(name).collect()
}
