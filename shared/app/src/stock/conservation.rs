//! The proof that counters are the sum of movements.

use tillstream_contracts::inventory::{Conservation, LedgerRange};

use crate::database::{Consistency, Get, Query, Table};
use crate::error::{Refusal, Result};
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::counters::{Counters, Delta};
use crate::stock::layout::LAYOUT_WHOLE;
use crate::stock::ledger::{LedgerRow, rows};
use crate::stock::lots::prove as prove_lots;
use crate::stock::movements::{shown_counters, shown_delta};
use crate::stock::references::{check_location_id, check_sku_form};
use crate::tenancy::{Caller, TenantScope};

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
}

impl Summed {
    fn new() -> Self {
        Summed { holds: true, ..Summed::default() }
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

/// Adds up the ledger of one part, up to the movement that `stock`, its counters, was read at. Part 0 is also
/// the whole.
///
/// # Errors
/// As the database.
pub async fn sum_ledger(
    ports: &Ports,
    scope: &TenantScope,
    (location_id, sku, part): (&str, &str, u32),
    stock: &Counters,
) -> Result<Summed> {
    let mut summed = Summed::new();
    let ledger = scope.ledger_of_part(location_id, sku, part);
    let mut query = Query { range: rows(), ..Query::partition(Table::Ledger, ledger) };
    'pages: loop {
        let page = ports.database.query(query.clone()).await?;
        for item in &page.items {
            let row = LedgerRow::of(item)?;
            // Rows after it belong to a later state than the one that is compared.
            if row.seq > stock.seq || !summed.add(&row) {
                break 'pages;
            }
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
/// movements are those of the version, which counts over all parts.
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
    let mut version = 0;
    for (part, stock) in (0_u32..).zip(&parts) {
        let summed = sum_ledger(ports, &caller.scope, (location_id, sku, part), stock).await?;
        holds &= summed.holds;
        missing += stock.seq - summed.seq_reached;
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
    Ok(Conservation {
        location_id: location_id.to_owned(),
        sku: sku.to_owned(),
        holds,
        seq_reached: version - missing,
        seq_current: version,
        sums: shown_delta(&sums, unit),
        counters: shown_counters(&after, unit),
        ranges,
        lots: prove_lots(ports, &caller.scope, location_id, sku).await?,
    })
}
