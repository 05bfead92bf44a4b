//! The proof that lots are what is there.

use tillstream_contracts::inventory::LotConservation;
use tillstream_domain::lot_book::LotChange;

use super::stock::book_of;
use super::trace::{Sums, add, book_after, lot_changes_of, sums_of};
use crate::database::{Consistency, Get, Query, Table};
use crate::error::Result;
use crate::ports::Ports;
use crate::stock::counters::Counters;
use crate::stock::ledger::{LedgerRow, rows};
use crate::stock::movements::shown_lots;
use crate::tenancy::TenantScope;

/// Adds up what the ledger says of the lots of a stock item, up to the movement that the item is at; `None` where it
/// is not kept by lots.
///
/// # Errors
/// As the database.
pub(in crate::stock) async fn prove(
    ports: &Ports,
    scope: &TenantScope,
    location_id: &str,
    sku: &str,
) -> Result<Option<LotConservation>> {
    let key = scope.stock(location_id, sku);
    let get = Get { table: Table::Stock, key, consistency: Consistency::Strong };
    let Some(item) = ports.database.get(get).await? else { return Ok(None) };
    let Some(book) = book_of(&item)? else { return Ok(None) };
    let stock = Counters::of(&item)?;
    let mut sums = Sums::new();
    let (mut reached, mut holds) = (0, true);
    let ledger = scope.ledger_of_part(location_id, sku, 0);
    let mut query = Query { range: rows(), ..Query::partition(Table::Ledger, ledger) };
    'pages: loop {
        let page = ports.database.query(query.clone()).await?;
        for item in &page.items {
            let row = LedgerRow::of(item)?;
            if row.seq <= reached {
                // It came late: its gap was closed, and counted, before.
                continue;
            }
            if row.seq > stock.seq || row.from_seq.unwrap_or(row.seq) != reached + 1 {
                break 'pages;
            }
            reached = row.seq;
            let changes = lot_changes_of(item)?;
            let after = book_after(item)?;
            if changes.is_empty() && after.is_none() {
                // Before it was kept by lots.
                sums = Sums::from([(None, (row.after.on_hand, 0))]);
                sums.retain(|_, sum| *sum != (0, 0));
                continue;
            }
            add(&mut sums, &changes, 1);
            let total = changes
                .iter()
                .fold((0, 0), |sum, change| (sum.0 + change.on_hand, sum.1 + change.quarantined));
            holds &= total == (row.delta.on_hand, row.delta.quarantined);
            let all = sums.values().fold((0, 0), |sum, lot| (sum.0 + lot.0, sum.1 + lot.1));
            holds &= all == (row.after.on_hand, row.after.quarantined);
            holds &= after.is_none_or(|after| sums_of(&after) == sums);
        }
        match page.next {
            Some(next) => query.start = Some(next),
            None => break,
        }
    }
    if reached == stock.seq {
        holds &= sums == sums_of(&book);
        holds &= book.quarantined() == stock.quarantined && book.on_hand() == stock.on_hand;
    }
    let lots: Vec<LotChange> = sums
        .into_iter()
        .map(|(lot_id, (on_hand, quarantined))| LotChange { lot_id, on_hand, quarantined })
        .collect();
    Ok(Some(LotConservation { holds, lots: shown_lots(&lots, stock.unit) }))
}
