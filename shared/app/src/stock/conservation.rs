//! The proof that counters are the sum of movements. It goes on where the keeper proved a ledger last, and reads so
//! many rows at most: what lies behind them is proved by the time somebody asks again.

use tillstream_contracts::inventory::{Conservation, LedgerRange};

use crate::database::{Consistency, Get, Item, Query, Table};
use crate::error::{Refusal, Result};
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::counters::{Counters, Delta};
use crate::stock::layout::LAYOUT_WHOLE;
use crate::stock::ledger::LedgerRow;
use crate::stock::ledger_checkpoint::{Checkpoint, rows_from};
use crate::stock::lots::prove as prove_lots;
use crate::stock::movements::{shown_counters, shown_delta};
use crate::stock::references::{check_location_id, check_sku_form};
use crate::tenancy::{Caller, TenantScope};

/// Rows that one answer reads: half a second's. The keeper leaves no more than some hundreds behind the place that it
/// proved last, but for stock that moves faster than it comes round.
const ROWS_MAX: usize = 10_000;

/// What adding up a ledger came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summed {
    /// The last movement before the first that is missing.
    pub seq_reached: i64,
    /// Sums up to it.
    pub sums: Delta,
    /// Counters after it, as its row says.
    pub after: Counters,
    /// Whether every row's counters followed from the row before and its own movement.
    pub holds: bool,
    /// Closed gaps.
    pub ranges: Vec<(i64, i64)>,
    /// How many older ones there are.
    pub ranges_left_out: u32,
    /// The movement up to which it was proved before; 0 where all of it was read.
    pub proved_before: i64,
    /// Rows read.
    pub rows: usize,
}

impl Summed {
    fn from(checkpoint: Option<&Checkpoint>) -> Self {
        let Some(checkpoint) = checkpoint else {
            return Summed { holds: true, ..Summed::default() };
        };
        Summed {
            seq_reached: checkpoint.seq,
            sums: checkpoint.sums,
            after: checkpoint.counters(),
            holds: true,
            ranges: checkpoint.ranges.kept.clone(),
            ranges_left_out: checkpoint.ranges.left_out,
            proved_before: checkpoint.seq,
            rows: 0,
        }
    }

    /// Adds the next row in order of the ledger. Answers whether it followed.
    fn add(&mut self, row: &LedgerRow) -> bool {
        if row.seq <= self.seq_reached {
            // A row that came late: its gap was closed, and counted, before.
            return true;
        }
        if row.from_seq.unwrap_or(row.seq) != self.seq_reached + 1 {
            return false;
        }
        self.sums += row.delta;
        self.holds &= follows(&self.sums, &row.after);
        self.seq_reached = row.seq;
        self.after = row.after;
        self.ranges.extend(row.from_seq.map(|from| (from, row.seq)));
        true
    }
}

/// Whether counters are these sums, and available is what it must be.
fn follows(sums: &Delta, counters: &Counters) -> bool {
    *sums == counters.sums()
        && counters.available == counters.on_hand - counters.reserved - counters.safety_stock
}

/// A checkpoint from which the ledger of a part leads to `stock`: one beyond it is of a later state.
fn checkpoint_before(item: Option<&Item>, stock: &Counters) -> Result<Option<Checkpoint>> {
    let checkpoint = item.map(Checkpoint::of).transpose()?.flatten();
    Ok(checkpoint.filter(|checkpoint| checkpoint.seq <= stock.seq))
}

/// Adds up the ledger of one part, up to the movement that `stock`, its counters, was read at, as far as one answer
/// reads. Part 0 is also the whole.
///
/// # Errors
/// As the database.
pub async fn sum_ledger(
    ports: &Ports,
    scope: &TenantScope,
    name: (&str, &str, u32),
    stock: &Counters,
) -> Result<Summed> {
    let item = ports.database.get(Checkpoint::get(scope, name)).await?;
    let checkpoint = checkpoint_before(item.as_ref(), stock)?;
    sum_from(ports, scope, name, stock, checkpoint.as_ref(), ROWS_MAX).await
}

/// The same on from a checkpoint, of at most `rows_max` rows.
async fn sum_from(
    ports: &Ports,
    scope: &TenantScope,
    (location_id, sku, part): (&str, &str, u32),
    stock: &Counters,
    checkpoint: Option<&Checkpoint>,
    rows_max: usize,
) -> Result<Summed> {
    let mut summed = Summed::from(checkpoint);
    let ledger = scope.ledger_of_part(location_id, sku, part);
    let range = rows_from(scope, (location_id, sku, part), summed.seq_reached)?;
    let mut query = Query { range, ..Query::partition(Table::Ledger, ledger) };
    'pages: loop {
        let page = ports.database.query(query.clone()).await?;
        for item in &page.items {
            let row = LedgerRow::of(item)?;
            // Rows after it belong to a later state than the one that is compared.
            if summed.rows >= rows_max || row.seq > stock.seq || !summed.add(&row) {
                break 'pages;
            }
            summed.rows += 1;
        }
        match page.next {
            Some(next) => query.start = Some(next),
            None => break,
        }
    }
    if summed.seq_reached == stock.seq {
        summed.holds &= follows(&summed.sums, stock);
    }
    Ok(summed)
}

/// A stock item as it is now, and every part that it ever had, as of one moment: what moves between parts
/// must not be met twice.
///
/// # Errors
/// 404 `stock_not_found`; as the database.
pub(super) async fn parts_ever(
    ports: &Ports,
    scope: &TenantScope,
    location_id: &str,
    sku: &str,
) -> Result<Vec<Counters>> {
    let missing = || {
        let detail = format!("there is no stock item of {sku} at {location_id}");
        Refusal::not_found("stock_not_found", detail)
    };
    let get = |part| Get {
        table: Table::Stock,
        key: scope.stock_part(location_id, sku, part),
        consistency: Consistency::Strong,
    };
    let mut attempts = Attempts::new(ports.environment.as_ref());
    let mut parts = 1;
    loop {
        let gets: Vec<Get> = (0..parts).map(get).collect();
        let read = match parts {
            1 => ports.database.get_many(gets).await,
            _ => ports.database.get_together(gets).await,
        };
        let items = match read {
            Ok(items) => items,
            // A read of one moment does not get through beside transactions on any of its items.
            Err(error) if error.is_transient() && parts > 1 => {
                attempts.after_a_wait(&error.to_string()).await?;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let found = items.iter().flatten().map(Counters::of).collect::<Result<Vec<_>>>()?;
        let first = found.first().ok_or_else(missing)?;
        if first.past.parts <= parts {
            return Ok(found);
        }
        parts = first.past.parts;
    }
}

/// `GET /v1/inventory/conservation`. Each part has a ledger of its own, and each is proved; numbers of
/// movements are those of the version, which counts over all parts. Where more movements lie behind the checkpoints than
/// one answer reads, it says how far it came.
///
/// # Errors
/// 403 `store_out_of_reach`; 404 `stock_not_found`; 422 for malformed names.
pub async fn prove(ports: &Ports, caller: &Caller, location_id: &str, sku: &str) -> Result<Conservation> {
    check_location_id("location_id", location_id)?;
    check_sku_form("sku", sku)?;
    caller.require_store(location_id)?;
    let parts = parts_ever(ports, &caller.scope, location_id, sku).await?;
    let unit = parts.first().and_then(|first| first.unit);
    let (mut holds, mut missing) = (true, 0);
    let (mut sums, mut after, mut ranges) = (Delta::default(), Counters::default(), Vec::new());
    let (mut version, mut not_proved_before, mut left_out) = (0, 0, 0_u32);
    let scope = &caller.scope;
    let gets = (0_u32..).zip(&parts).map(|(part, _)| Checkpoint::get(scope, (location_id, sku, part)));
    let items = ports.database.get_many(gets.collect()).await?;
    let checkpoints = parts
        .iter()
        .zip(&items)
        .map(|(stock, item)| checkpoint_before(item.as_ref(), stock))
        .collect::<Result<Vec<_>>>()?;
    let mut rows_left = ROWS_MAX;
    for (part, (stock, checkpoint)) in (0_u32..).zip(parts.iter().zip(&checkpoints)) {
        let name = (location_id, sku, part);
        let summed = sum_from(ports, scope, name, stock, checkpoint.as_ref(), rows_left).await?;
        rows_left = rows_left.saturating_sub(summed.rows);
        holds &= summed.holds;
        missing += stock.seq - summed.seq_reached;
        not_proved_before += stock.seq - summed.proved_before;
        left_out = left_out.saturating_add(summed.ranges_left_out);
        sums += summed.sums;
        after.safety_stock += summed.after.safety_stock;
        after = after.with_part(&summed.after);
        let of_part = (part > 0).then_some(part);
        ranges.extend(summed.ranges.iter().map(|(from, to)| LedgerRange {
            part: of_part,
            from_seq: *from,
            to_seq: *to,
        }));
        // What parts have that are in no layout now, the version counts already.
        if part == 0 || stock.layout != LAYOUT_WHOLE {
            version += stock.version();
        }
    }
    let of_whole = checkpoints.first().and_then(Option::as_ref);
    Ok(Conservation {
        location_id: location_id.to_owned(),
        sku: sku.to_owned(),
        holds,
        seq_reached: version - missing,
        seq_current: version,
        sums: shown_delta(&sums, unit),
        counters: shown_counters(&after, unit),
        ranges,
        ranges_left_out: (left_out > 0).then_some(left_out),
        proved_before: checkpoints.iter().any(Option::is_some).then_some(version - not_proved_before),
        lots: prove_lots(ports, scope, (location_id, sku), of_whole, ROWS_MAX).await?,
    })
}
