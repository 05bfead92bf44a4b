//! The proof that counters are the sum of movements.

use tillstream_contracts::inventory::{Conservation, LedgerRange};

use crate::database::{Consistency, Get, Query, Table};
use crate::error::{Refusal, Result};
use crate::ports::Ports;
use crate::stock::counters::{Counters, Delta};
use crate::stock::ledger::{LedgerRow, rows};
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
        self.sums.on_hand += row.delta.on_hand;
        self.sums.reserved += row.delta.reserved;
        self.sums.damaged += row.delta.damaged;
        self.holds &= follows(&self.sums, &row.after);
        self.seq_reached = row.seq;
        self.after = row.after;
        self.ranges.extend(row.from_seq.map(|from| (from, row.seq)));
        true
    }
}

/// Whether counters are these sums, and available is what it must be.
fn follows(sums: &Delta, counters: &Counters) -> bool {
    (sums.on_hand, sums.reserved, sums.damaged) == (counters.on_hand, counters.reserved, counters.damaged)
        && counters.available == counters.on_hand - counters.reserved - counters.safety_stock
}

/// Adds up the ledger of `stock`, up to the movement that `stock` was read at.
///
/// # Errors
/// As the database.
pub async fn sum_ledger(
    ports: &Ports,
    scope: &TenantScope,
    location_id: &str,
    sku: &str,
    stock: &Counters,
) -> Result<Summed> {
    let mut summed = Summed::new();
    let mut query =
        Query { range: rows(), ..Query::partition(Table::Ledger, scope.ledger(location_id, sku)) };
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

/// A stock item, as it is now.
///
/// # Errors
/// 404 `stock_not_found`.
pub(super) async fn stock_of(
    ports: &Ports,
    scope: &TenantScope,
    location_id: &str,
    sku: &str,
) -> Result<Counters> {
    let key = scope.stock(location_id, sku);
    let get = Get { table: Table::Stock, key, consistency: Consistency::Strong };
    let missing = || {
        let detail = format!("there is no stock item of {sku} at {location_id}");
        Refusal::not_found("stock_not_found", detail)
    };
    Counters::of(&ports.database.get(get).await?.ok_or_else(missing)?)
}

/// `GET /v1/inventory/conservation`.
///
/// # Errors
/// 403 `store_out_of_reach`; 404 `stock_not_found`; 422 for malformed names.
pub async fn prove(ports: &Ports, caller: &Caller, location_id: &str, sku: &str) -> Result<Conservation> {
    check_location_id("location_id", location_id)?;
    check_sku_form("sku", sku)?;
    caller.require_store(location_id)?;
    let stock = stock_of(ports, &caller.scope, location_id, sku).await?;
    let summed = sum_ledger(ports, &caller.scope, location_id, sku, &stock).await?;
    let ranges =
        summed.ranges.iter().map(|(from, to)| LedgerRange { from_seq: *from, to_seq: *to }).collect();
    Ok(Conservation {
        location_id: location_id.to_owned(),
        sku: sku.to_owned(),
        holds: summed.holds,
        seq_reached: summed.seq_reached,
        seq_current: stock.seq,
        sums: shown_delta(&summed.sums, stock.unit),
        counters: shown_counters(&summed.after, stock.unit),
        ranges,
    })
}
