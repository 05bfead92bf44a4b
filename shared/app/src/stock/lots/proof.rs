//! The proof that lots are what is there.

use serde::{Deserialize, Serialize};
use tillstream_contracts::inventory::LotConservation;
use tillstream_domain::lot_book::LotChange;

use super::stock::book_of;
use super::trace::{Sums, add, book_after, lot_changes_of, sums_of};
use crate::database::{Consistency, Get, Item, Query, Table};
use crate::error::Result;
use crate::ports::Ports;
use crate::stock::counters::Counters;
use crate::stock::ledger::LedgerRow;
use crate::stock::ledger_checkpoint::{Checkpoint, rows_from};
use crate::stock::movements::shown_lots;
use crate::tenancy::TenantScope;

/// Lots that a checkpoint keeps: more than a stock item ever has, unless they do not add up, which is told anyway.
const LOTS_KEPT_MAX: usize = 200;

/// Lots as they were proved up to a movement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::stock) struct ProvedLots {
    holds: bool,
    lots: Vec<LotChange>,
}

/// What the rows of a ledger say of lots, added up one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::stock) struct LotSums {
    sums: Sums,
    holds: bool,
    /// Whether a row told of lots.
    are_kept: bool,
}

impl Default for LotSums {
    fn default() -> Self {
        LotSums { sums: Sums::new(), holds: true, are_kept: false }
    }
}

fn of_unknown(on_hand: i64) -> Sums {
    let mut sums = Sums::from([(None, (on_hand, 0))]);
    sums.retain(|_, sum| *sum != (0, 0));
    sums
}

impl LotSums {
    /// As of a checkpoint: what told of no lots until then is of no known lot.
    pub(in crate::stock) fn of_checkpoint(checkpoint: &Checkpoint) -> Self {
        let Some(proved) = &checkpoint.lots else {
            return LotSums { sums: of_unknown(checkpoint.sums.on_hand), ..LotSums::default() };
        };
        let mut sums = Sums::new();
        add(&mut sums, &proved.lots, 1);
        LotSums { sums, holds: proved.holds, are_kept: true }
    }

    /// For a checkpoint; `None` where no row told of lots.
    pub(in crate::stock) fn proved(&self) -> Option<ProvedLots> {
        let lots = self.changes().into_iter().take(LOTS_KEPT_MAX).collect();
        self.are_kept.then_some(ProvedLots { holds: self.holds, lots })
    }

    fn changes(&self) -> Vec<LotChange> {
        let change = |(lot_id, (on_hand, quarantined)): (&Option<String>, &(i64, i64))| LotChange {
            lot_id: lot_id.clone(),
            on_hand: *on_hand,
            quarantined: *quarantined,
        };
        self.sums.iter().map(change).collect()
    }

    /// Says that a row could not be added.
    pub(in crate::stock) fn does_not_hold(&mut self) {
        self.holds = false;
    }

    /// Adds the next row of the ledger, which is `item`.
    ///
    /// # Errors
    /// A bug if what it says of lots is malformed.
    pub(in crate::stock) fn add(&mut self, item: &Item, row: &LedgerRow) -> Result<()> {
        let changes = lot_changes_of(item)?;
        let after = book_after(item)?;
        if changes.is_empty() && after.is_none() {
            // Before it was kept by lots.
            self.sums = of_unknown(row.after.on_hand);
            return Ok(());
        }
        self.are_kept = true;
        add(&mut self.sums, &changes, 1);
        let total =
            changes.iter().fold((0, 0), |sum, change| (sum.0 + change.on_hand, sum.1 + change.quarantined));
        self.holds &= total == (row.delta.on_hand, row.delta.quarantined);
        let all = self.sums.values().fold((0, 0), |sum, lot| (sum.0 + lot.0, sum.1 + lot.1));
        self.holds &= all == (row.after.on_hand, row.after.quarantined);
        self.holds &= after.is_none_or(|after| sums_of(&after) == self.sums);
        Ok(())
    }
}

/// Adds up what the ledger says of the lots of a stock item, up to the movement that the item is at, on from a
/// checkpoint, and of at most `rows_max` rows; `None` where it is not kept by lots.
///
/// # Errors
/// As the database.
pub(in crate::stock) async fn prove(
    ports: &Ports,
    scope: &TenantScope,
    (location_id, sku): (&str, &str),
    checkpoint: Option<&Checkpoint>,
    rows_max: usize,
) -> Result<Option<LotConservation>> {
    let key = scope.stock(location_id, sku);
    let get = Get { table: Table::Stock, key, consistency: Consistency::Strong };
    let Some(item) = ports.database.get(get).await? else { return Ok(None) };
    let Some(book) = book_of(&item)? else { return Ok(None) };
    let stock = Counters::of(&item)?;
    let mut lots = checkpoint.map(LotSums::of_checkpoint).unwrap_or_default();
    let mut reached = checkpoint.map_or(0, |checkpoint| checkpoint.seq);
    let mut query = Query {
        range: rows_from(scope, (location_id, sku, 0), reached)?,
        ..Query::partition(Table::Ledger, scope.ledger_of_part(location_id, sku, 0))
    };
    let mut read = 0;
    'pages: loop {
        let page = ports.database.query(query.clone()).await?;
        for item in &page.items {
            let row = LedgerRow::of(item)?;
            if row.seq <= reached {
                // It came late: its gap was closed, and counted, before.
                continue;
            }
            if read >= rows_max || row.seq > stock.seq || row.from_seq.unwrap_or(row.seq) != reached + 1 {
                break 'pages;
            }
            read += 1;
            reached = row.seq;
            lots.add(item, &row)?;
        }
        match page.next {
            Some(next) => query.start = Some(next),
            None => break,
        }
    }
    let mut holds = lots.holds;
    if reached == stock.seq {
        holds &= lots.sums == sums_of(&book);
        holds &= book.quarantined() == stock.quarantined && book.on_hand() == stock.on_hand;
    }
    Ok(Some(LotConservation { holds, lots: shown_lots(&lots.changes(), stock.unit) }))
}
