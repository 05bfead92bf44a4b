//! Expired holds: freed by the next read or reservation, or by the schedule, never by table TTL (which
//! may come days late).

use std::collections::BTreeSet;

use jiff::Timestamp;
use tillstream_domain::quantity::Quantity;

use crate::database::{
    Cancellation, Change, Condition, Consistency, Database, DatabaseError, Get, Index, Item, Key, Query,
    Range, Table, Write,
};
use crate::error::Result;
use crate::keeper::in_turn;
use crate::keys::{self, DUE_HOLD_SHARDS};
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::counters::Movement;
use crate::stock::holds::{Ending, Hold, Located, end_holds, holds_on};
use crate::stock::layout::{LAYOUT_WHOLE, Place};
use crate::stock::standing::standing;
use crate::tenancy::TenantScope;

/// Layouts that freeing follows, where others lay the stock out anew while it is at it.
const MOVES_MAX: u32 = 4;
/// Due holds read at once.
const HOLDS_AT_ONCE: u32 = 100;

/// Frees the expired holds on one stock item, one transaction each, then raises its `earliest_expiry`, or
/// that of its parts. Answers whether any had expired, so that trying again is worth it. Harmless at any
/// time, by anybody, in parallel, and beside splitting and merging.
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
    let mut expired = false;
    for _ in 0..MOVES_MAX {
        let freed = free_expired_of_layout(ports, scope, location_id, sku, now).await?;
        expired |= freed.expired;
        if !freed.has_moved {
            break;
        }
    }
    Ok(expired)
}

/// What freeing came to in the layout that stood when it began.
#[derive(Default)]
struct FreedOfLayout {
    /// Whether any hold had expired.
    expired: bool,
    /// Whether another layout came meanwhile: what had expired may be held elsewhere now.
    has_moved: bool,
}

async fn free_expired_of_layout(
    ports: &Ports,
    scope: &TenantScope,
    location_id: &str,
    sku: &str,
    now: Timestamp,
) -> Result<FreedOfLayout> {
    let database = ports.database.as_ref();
    let Some(standing) = standing(database, scope, location_id, sku, LAYOUT_WHOLE).await? else {
        return Ok(FreedOfLayout::default());
    };
    let first = standing.first();
    // Read before the holds: whoever adds a hold raises the part's `seq`, so an unchanged `seq` proves that
    // the holds read after it are all there are.
    let mut sums: Vec<PartSum> = standing.parts().iter().map(|part| PartSum::new(part.seq)).collect();
    let (mut expired, mut has_moved) = (false, false);
    let mut lines_of_the_past = false;
    for partition in 0..standing.hold_partitions() {
        let own = standing.numbered().find(|(part, _)| *part == partition).map(|(_, part)| part);
        let is_due = own.is_some_and(|part| part.may_have_expired_holds(now));
        if partition > first.past.hold_parts.saturating_sub(1) && !is_due {
            // Lines of this layout only, and none of them is due.
            continue;
        }
        for hold in holds_on(database, scope, location_id, sku, partition).await? {
            let place = if hold.part == 0 {
                Place::First
            } else if hold.layout == standing.layout() {
                Place::Part { part: hold.part, layout: hold.layout }
            } else if hold.layout <= first.past.last {
                lines_of_the_past = true;
                Place::First
            } else {
                // Of a layout younger than what was read: it moved under us, so nothing is certain.
                sums.iter_mut().for_each(|sum| sum.certain = false);
                has_moved = true;
                continue;
            };
            let at = usize::try_from(place.part()).unwrap_or(usize::MAX);
            let Some(sum) = sums.get_mut(at) else { continue };
            if !hold.has_expired(now) {
                sum.earliest = Some(sum.earliest.map_or(hold.expires_at, |e| e.min(hold.expires_at)));
                continue;
            }
            expired = true;
            match free(ports, scope, &Located { hold, place, left: Quantity::ZERO }, now).await? {
                Freed::ByUs => sum.seq += 1,
                // Extended, committed or freed by somebody else, or we cannot tell: leave the expiry early.
                Freed::NotByUs => sum.certain = false,
                Freed::Moved => {
                    sum.certain = false;
                    has_moved = true;
                }
            }
        }
        if let Some(sum) = usize::try_from(partition).ok().and_then(|at| sums.get_mut(at)) {
            sum.looked_at = true;
        }
    }
    for (part, sum) in (0..).zip(&sums) {
        if sum.certain && sum.looked_at {
            let forget_past = part == 0 && first.past.hold_parts > 0 && !lines_of_the_past;
            let key = scope.stock_part(location_id, sku, part);
            raise_earliest(database, key, sum, forget_past).await?;
        }
    }
    Ok(FreedOfLayout { expired, has_moved })
}

/// What was seen of the holds that count in one part.
struct PartSum {
    /// `seq` of the part as it was read, our own changes added.
    seq: i64,
    /// The earliest end of what has not expired.
    earliest: Option<i64>,
    /// Whether nobody else can have changed what was seen.
    certain: bool,
    /// Whether its holds were read at all.
    looked_at: bool,
}

impl PartSum {
    fn new(seq: i64) -> Self {
        PartSum { seq, earliest: None, certain: true, looked_at: false }
    }
}

enum Freed {
    ByUs,
    NotByUs,
    /// It was held in a part that was merged meanwhile: it counts in the first part now.
    Moved,
}

/// Frees one hold if it is still there and still expired.
async fn free(ports: &Ports, scope: &TenantScope, located: &Located, now: Timestamp) -> Result<Freed> {
    let hold = &located.hold;
    let movement = Movement {
        kind: "expire",
        reference: hold.reservation_id.clone(),
        actor: "expiry".to_owned(),
        at: now,
        reason: None,
    };
    let still_expired = Condition::Le("expires_at", now.as_millisecond().into());
    let ending = Ending::GiveBack(still_expired);
    let ended = end_holds(scope, std::slice::from_ref(located), &ending, &movement);
    let writes: Vec<Write> = ended.into_iter().map(|(write, _)| write).collect();
    let mut attempts = Attempts::new(ports.environment.as_ref());
    loop {
        match ports.database.transact(writes.clone()).await {
            Ok(()) => return Ok(Freed::ByUs),
            // The line is gone or extended. After a lost answer it may have been our own doing.
            Err(DatabaseError::Cancelled(reasons))
                if matches!(reasons.first(), Some(Cancellation::ConditionFailed(_))) =>
            {
                return Ok(Freed::NotByUs);
            }
            Err(DatabaseError::Cancelled(reasons))
                if matches!(reasons.get(1), Some(Cancellation::ConditionFailed(_))) =>
            {
                if matches!(located.place, Place::Part { .. }) {
                    return Ok(Freed::Moved);
                }
                // The counters say less is reserved than the lines do. Conservation will tell; the item
                // must stay usable meanwhile.
                tracing::error!(
                    location_id = hold.location_id,
                    sku = hold.sku,
                    reservation_id = hold.reservation_id,
                    "an expired hold is more than the stock item has reserved"
                );
                return Ok(Freed::NotByUs);
            }
            Err(error) if error.is_transient() => attempts.after_a_wait("freeing an expired hold").await?,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Sets a part's `earliest_expiry` to the truth if nothing moved since. `forget_past`: no hold partition has
/// lines of a past layout any more.
async fn raise_earliest(database: &dyn Database, key: Key, sum: &PartSum, forget_past: bool) -> Result<()> {
    let mut changes = vec![match sum.earliest {
        Some(earliest) => Change::Set("earliest_expiry", earliest.into()),
        None => Change::Remove("earliest_expiry"),
    }];
    changes.extend(forget_past.then_some(Change::Remove("hold_parts")));
    let condition = Some(Condition::Eq("seq", sum.seq.into()));
    let write = Write::Update { table: Table::Stock, key, changes, condition };
    match database.write(write).await {
        // An expiry that is too early costs the next reader a query; it is never wrong.
        Ok(()) | Err(DatabaseError::ConditionFailed(_)) => Ok(()),
        Err(error) if error.is_transient() => Ok(()),
        Err(error) => Err(error.into()),
    }
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
/// begins with no stock item after `deadline`. What cannot be freed hides nothing that is due after it.
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
                if let Err(error) = free_expired(ports, &scope, &location_id, &sku, now).await {
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
