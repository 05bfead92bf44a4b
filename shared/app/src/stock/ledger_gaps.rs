//! Closes gaps of the ledger: the stream keeps a day, and what it lost is closed by one row over the
//! range, with the exact net change between known neighbours.
//!
//! A row that comes late after all is recorded under its own key and counts no longer: whoever adds up
//! the ledger meets the closed gap first and passes over the rows it stands for.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::database::{
    Cancellation, Condition, Consistency, DatabaseError, Get, Item, Key, Query, Range, Table, Write,
};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::stock::change_feed;
use crate::stock::counters::{Counters, Delta};
use crate::stock::ledger::{GAP_CLOSED, LedgerRow, sums_of, with_sums};
use crate::stock::listing::{Among, Position, StockName, stock_names};
use crate::stock::lots::trace;
use crate::stock::noticed;
use crate::tenancy::{Stores, TenantScope};

/// For how long a missing row may merely be late. Measured from when it was first missed, since the time
/// in a movement is its cause's and may lie days back.
pub const LATE_MILLIS_MAX: i64 = 120_000;
/// Ledger rows of one stock item that one visit verifies.
const ROWS_PER_VISIT: u32 = 1_000;
/// Gaps of one stock item that one visit closes: they go into one transaction with the head.
const GAPS_PER_VISIT: usize = 90;
/// Name of the walk over all stock items.
const WALK: &str = "ledger";

/// How far a ledger is known to be whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Head {
    /// Verified up to this movement.
    seq: i64,
    /// Counters after it.
    after: Delta,
    /// Rows up to this movement were missed at [`Self::missed_at`].
    missed_through: Option<i64>,
    /// When that was, in epoch milliseconds.
    missed_at: i64,
}

/// The ledger of one stock item, or of a part of a split one.
#[derive(Debug, Clone, Copy)]
pub struct Ledger<'a> {
    /// Whose.
    pub name: &'a StockName,
    /// Of which part; 0 is also the whole.
    pub part: u32,
}

impl Ledger<'_> {
    fn head(&self, scope: &TenantScope) -> Key {
        scope.ledger_head(&self.name.location_id, &self.name.sku, self.part)
    }
}

impl Head {
    fn of(item: &Item) -> Result<Self> {
        Ok(Head {
            seq: item.number("verified_seq")?,
            after: sums_of(item)?,
            missed_through: item.opt_number("missed_through"),
            missed_at: item.opt_number("missed_at").unwrap_or(0),
        })
    }

    fn write(&self, scope: &TenantScope, ledger: &Ledger<'_>, before: Option<Head>) -> Write {
        let item = Item::new(&ledger.head(scope))
            .with("tenant_id", scope.tenant_id())
            .with("verified_seq", self.seq)
            .with_some("missed_through", self.missed_through)
            .with_some("missed_at", self.missed_through.map(|_| self.missed_at));
        let item = with_sums(item, self.after);
        // Two walks that meet must not close the same gap differently.
        let condition = match before {
            None => Condition::NotExists,
            Some(before) => Condition::Eq("verified_seq", before.seq.into()),
        };
        Write::Put { table: Table::Ledger, item, condition: Some(condition) }
    }

    fn advance(&mut self, row: &LedgerRow) {
        self.seq = row.seq;
        self.after = row.after.sums();
    }

    /// The row that stands for the movements after the head up to `to`, after which the counters are
    /// `after`.
    fn gap(&self, ledger: &Ledger<'_>, to: i64, after: Counters, now: Timestamp) -> LedgerRow {
        LedgerRow {
            location_id: ledger.name.location_id.clone(),
            sku: ledger.name.sku.clone(),
            part: ledger.part,
            seq: to,
            from_seq: Some(self.seq + 1),
            kind: GAP_CLOSED.to_owned(),
            reference: format!("{}..{to}", self.seq + 1),
            actor: "stock-keeper".to_owned(),
            at: now,
            reason: Some("rows of these movements were lost; this is their exact sum".to_owned()),
            delta: after.sums() - self.after,
            after: Counters { seq: to, ..after },
        }
    }
}

/// Verifies the ledger of one stock item or part on from its head, closes what has been missing for long enough,
/// and moves the head. Answers how many gaps it closed.
///
/// # Errors
/// As the database.
pub async fn close_gaps(
    ports: &Ports,
    scope: &TenantScope,
    ledger: &Ledger<'_>,
    stock: &Counters,
    now: Timestamp,
) -> Result<usize> {
    let get = Get { table: Table::Ledger, key: ledger.head(scope), consistency: Consistency::Strong };
    let before = ports.database.get(get).await?.as_ref().map(Head::of).transpose()?;
    let mut head = before.unwrap_or_default();
    if head.seq >= stock.seq {
        return Ok(0);
    }
    let may_close = head
        .missed_through
        .is_some_and(|_| now.as_millisecond().saturating_sub(head.missed_at) >= LATE_MILLIS_MAX);
    let mut gaps = Vec::new();
    let mut missed = false;
    let (rows, complete) = rows_after(ports, scope, ledger, head.seq).await?;
    for row in rows {
        if row.seq <= head.seq {
            continue;
        }
        // The rest at the next visit, whose time to wait is over already.
        if gaps.len() >= GAPS_PER_VISIT {
            missed = true;
            break;
        }
        if row.seq > stock.seq {
            break;
        }
        let first = row.from_seq.unwrap_or(row.seq);
        if first > head.seq + 1 {
            if !may_close {
                missed = true;
                break;
            }
            let known = row.before();
            let after = Counters {
                on_hand: known.on_hand,
                reserved: known.reserved,
                damaged: known.damaged,
                in_transit: known.in_transit,
                on_order: known.on_order,
                quarantined: known.quarantined,
                // A row does not say by how much safety stock moved; what holds after it held before,
                // unless one of the lost movements or this one set it.
                safety_stock: row.after.safety_stock,
                available: known.on_hand - known.reserved - row.after.safety_stock,
                unit: row.after.unit,
                ..Counters::default()
            };
            gaps.push(head.gap(ledger, first - 1, after, now));
        }
        head.advance(&row);
    }
    if complete && !missed && head.seq < stock.seq {
        if may_close {
            gaps.push(head.gap(ledger, stock.seq, *stock, now));
            head.seq = stock.seq;
            head.after = stock.sums();
        } else {
            missed = true;
        }
    }
    (head.missed_through, head.missed_at) = match (missed, head.missed_through) {
        (false, _) => (None, 0),
        // The time counts from when a row was first missed; what came meanwhile was not missing.
        (true, Some(through)) if head.seq < through => (Some(through), head.missed_at),
        (true, _) => (Some(stock.seq), now.as_millisecond()),
    };
    if before == Some(head) {
        return Ok(0);
    }
    write_head(ports, scope, ledger, before, head, gaps).await
}

async fn write_head(
    ports: &Ports,
    scope: &TenantScope,
    ledger: &Ledger<'_>,
    before: Option<Head>,
    head: Head,
    gaps: Vec<LedgerRow>,
) -> Result<usize> {
    let closed = gaps.len();
    if closed > 0 {
        // Before the head moves: a gap that is closed is not looked at again.
        let name = (ledger.name.location_id.clone(), ledger.name.sku.clone());
        change_feed::note(ports, scope, &BTreeSet::from([name])).await?;
        // The lost changes may have asked for more than their rows.
        noticed::look_after_loss(ports, scope, ledger.name, ports.environment.now()).await?;
    }
    // The gaps first, then the head: a crash between repeats the same rows under the same keys only if
    // nothing came meanwhile, so both go together wherever they fit.
    let mut writes = vec![head.write(scope, ledger, before)];
    for gap in &gaps {
        let item = trace::of_gap(ports, scope, gap).await?;
        for trace in trace::traces(&item)?.of_lots {
            let put = Write::Put { table: Table::Ledger, item: trace, condition: None };
            ports.database.write(put).await?;
        }
        writes.push(Write::Put { table: Table::Ledger, item, condition: None });
    }
    match ports.database.transact(writes).await {
        Ok(()) => Ok(closed),
        // Another walk was here.
        Err(DatabaseError::Cancelled(reasons))
            if matches!(reasons.first(), Some(Cancellation::ConditionFailed(_))) =>
        {
            Ok(0)
        }
        // The next visit finds what is left to do.
        Err(error) if error.is_transient() => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// Rows from the first after `seq`, at most [`ROWS_PER_VISIT`], and whether those are all.
async fn rows_after(
    ports: &Ports,
    scope: &TenantScope,
    ledger: &Ledger<'_>,
    seq: i64,
) -> Result<(Vec<LedgerRow>, bool)> {
    let Ledger { name: StockName { location_id, sku }, part } = ledger;
    let seq = u64::try_from(seq).map_err(Error::bug)?;
    let from = scope.ledger_row_of_part(location_id, sku, *part, seq);
    let query = Query {
        range: Range::Between(from.sk().to_owned(), ":".to_owned()),
        limit: ROWS_PER_VISIT,
        ..Query::partition(Table::Ledger, scope.ledger_of_part(location_id, sku, *part))
    };
    let page = ports.database.query(query).await?;
    let rows = page.items.iter().map(LedgerRow::of).collect::<Result<Vec<_>>>()?;
    Ok((rows, page.next.is_none()))
}

/// What a walk did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Walked {
    /// Stock items looked at.
    pub items: usize,
    /// Gaps closed.
    pub gaps_closed: usize,
    /// Items that could not be read or written; the others were looked at.
    pub failed: usize,
    /// Whether it came to the end and will begin anew.
    pub wrapped: bool,
}

/// Stock items looked at between two looks at the clock.
const STEP: usize = 25;

#[derive(Serialize, Deserialize)]
struct WalkState {
    position: Option<Position>,
}

/// Goes on over the stock items of a tenant where the last walk stopped, at most `budget` of them and until
/// `deadline`, and closes gaps. At the end the next walk begins anew.
///
/// # Errors
/// As the database; what was closed stays closed.
pub async fn walk_ledger_gaps(
    ports: &Ports,
    scope: &TenantScope,
    budget: u32,
    deadline: Timestamp,
) -> Result<Walked> {
    let now = ports.environment.now();
    let key = scope.walk(WALK);
    let get = Get { table: Table::Catalog, key: key.clone(), consistency: Consistency::Strong };
    let mut position = match ports.database.get(get).await? {
        Some(item) => item.json::<WalkState>("state")?.position,
        None => None,
    };
    let mut walked = Walked::default();
    let everything = Among::Everything(Stores::All);
    let database = ports.database.as_ref();
    let budget = usize::try_from(budget).unwrap_or(usize::MAX);
    // Each step is short, so that the position is written in time.
    while walked.items < budget && ports.environment.now() < deadline {
        let left = u32::try_from((budget - walked.items).min(STEP)).unwrap_or(1);
        let found = stock_names(database, scope, &everything, position, left).await?;
        // A step over empty locations costs too.
        walked.items += found.names.len().max(1);
        visit(ports, scope, &found.names, now, &mut walked).await?;
        position = found.next;
        if position.is_none() {
            walked.wrapped = true;
            break;
        }
    }
    let item = Item::new(&key).with_json("state", &WalkState { position })?;
    ports.database.write(Write::Put { table: Table::Catalog, item, condition: None }).await?;
    Ok(walked)
}

/// Looks at some items. One that cannot be read must not hide those after it for ever.
async fn visit(
    ports: &Ports,
    scope: &TenantScope,
    names: &[StockName],
    now: Timestamp,
    walked: &mut Walked,
) -> Result<()> {
    let mut ledgers: Vec<Ledger<'_>> = names.iter().map(|name| Ledger { name, part: 0 }).collect();
    let stocks = stock_of(ports, scope, &ledgers).await?;
    // Few were ever split; all parts that there ever were keep their ledgers.
    let parts = |stock: Option<&Item>| stock.and_then(|stock| stock.opt_number("parts")).unwrap_or(0);
    let ever: Vec<Ledger<'_>> = names
        .iter()
        .zip(&stocks)
        .flat_map(|(name, stock)| (1..parts(stock.as_ref())).map(move |part| (name, part)))
        .map(|(name, part)| Ok(Ledger { name, part: u32::try_from(part).map_err(Error::bug)? }))
        .collect::<Result<_>>()?;
    let stocks: Vec<_> = stocks.into_iter().chain(stock_of(ports, scope, &ever).await?).collect();
    ledgers.extend(ever);
    let heads = ledgers
        .iter()
        .map(|ledger| Get { table: Table::Ledger, key: ledger.head(scope), consistency: Consistency::Strong })
        .collect();
    let heads = ports.database.get_many(heads).await?;
    for ((ledger, stock), head) in ledgers.iter().zip(stocks).zip(heads) {
        let verified = head.as_ref().and_then(|head| head.opt_number("verified_seq")).unwrap_or(0);
        match visit_one(ports, scope, ledger, stock.as_ref(), verified, now).await {
            Ok(closed) => walked.gaps_closed += closed,
            Err(error) => {
                let StockName { location_id, sku } = ledger.name;
                tracing::warn!(location_id, sku, %error, "the ledger of a stock item was not verified");
                walked.failed += 1;
            }
        }
    }
    Ok(())
}

async fn stock_of(ports: &Ports, scope: &TenantScope, ledgers: &[Ledger<'_>]) -> Result<Vec<Option<Item>>> {
    let get = |ledger: &Ledger<'_>| Get {
        table: Table::Stock,
        key: scope.stock_part(&ledger.name.location_id, &ledger.name.sku, ledger.part),
        consistency: Consistency::Strong,
    };
    if ledgers.is_empty() {
        return Ok(Vec::new());
    }
    Ok(ports.database.get_many(ledgers.iter().map(get).collect()).await?)
}

async fn visit_one(
    ports: &Ports,
    scope: &TenantScope,
    ledger: &Ledger<'_>,
    stock: Option<&Item>,
    verified: i64,
    now: Timestamp,
) -> Result<usize> {
    match stock.map(Counters::of).transpose()? {
        Some(stock) if verified < stock.seq => close_gaps(ports, scope, ledger, &stock, now).await,
        _ => Ok(0),
    }
}
