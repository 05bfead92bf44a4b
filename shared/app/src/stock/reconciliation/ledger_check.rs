//! Whether a ledger says how its stock item came to be what it is: each row must begin where the row before it
//! ended, and the item must be where the last one ended.

use crate::database::{Consistency, Get, Query, Table, Write};
use crate::error::Result;
use crate::ports::Ports;
use crate::stock::counters::{Counters, Delta};
use crate::stock::ledger::LedgerRow;
use crate::stock::ledger_checkpoint::{Checkpoint, ClosedRanges, rows_from};
use crate::stock::lots::LotSums;
use crate::tenancy::TenantScope;

/// A place from which a ledger is read the next time, this far behind it at most.
const CHECKPOINT_ROWS: i64 = 500;
/// Rows of one page.
const PAGE_ROWS: u32 = 500;

/// Rows between which something changed that no row tells of, or where rows are gone: one row over them says how
/// counters came from the one end to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken {
    /// First movement.
    pub(super) from: i64,
    /// Counters before it.
    pub(super) before: Delta,
    /// Last movement.
    pub(super) to: i64,
    /// Counters after it.
    pub(super) after: Counters,
}

/// What looking at a ledger came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LedgerCheck {
    /// The last movement that was looked at.
    pub(super) reached: i64,
    /// Counters after it.
    pub(super) last: Delta,
    /// What changed between rows without a row that says so.
    pub(super) unexplained: Delta,
    /// Where.
    pub(super) broken: Option<Broken>,
    /// Whether rows are gone that were there once.
    pub(super) rows_are_gone: bool,
    /// Of the first row whose `available` is not what its other counters make: what it would be, and what it is.
    pub(super) available_off: Option<(i64, i64)>,
    /// Orders that the newest rows name, newest first.
    pub(super) orders: Vec<NamedOrder>,
    /// Rows read.
    pub(super) rows: usize,
    /// Safety stock after the last movement.
    safety_stock: i64,
    /// Gaps that were closed, ever.
    ranges: ClosedRanges,
    /// What its rows say of lots.
    lots: LotSums,
}

/// An order that a row names, and the row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedOrder {
    /// Its id.
    pub(super) order_id: String,
    /// Number of the row.
    pub(super) seq: i64,
}

/// Kinds of movements whose reference is an order.
pub(super) const OF_ORDERS: [&str; 3] = ["sale", "return", "exchange"];
/// Orders of one ledger that one visit asks for.
const ORDERS_MAX: usize = 25;

impl LedgerCheck {
    /// One that goes on where a ledger was looked at before.
    fn from(checkpoint: Checkpoint) -> Self {
        LedgerCheck {
            reached: checkpoint.seq,
            last: checkpoint.sums,
            safety_stock: checkpoint.safety_stock,
            lots: LotSums::of_checkpoint(&checkpoint),
            ranges: checkpoint.ranges,
            ..LedgerCheck::default()
        }
    }

    /// Where the next look goes on, if nothing was broken.
    fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            seq: self.reached,
            sums: self.last,
            safety_stock: self.safety_stock,
            ranges: self.ranges.clone(),
            lots: self.lots.proved(),
        }
    }

    /// Takes the next row. `verified`: up to which movement the ledger is known to have been whole. Answers whether
    /// the row followed: if not, what is before it may only be late.
    fn take(&mut self, row: &LedgerRow, verified: i64) -> bool {
        if row.seq <= self.reached {
            // It came late: its gap was closed, and counted, before.
            return true;
        }
        let first = row.from_seq.unwrap_or(row.seq);
        let before = row.before();
        if first > self.reached + 1 {
            if verified < first - 1 {
                return false;
            }
            self.rows_are_gone = true;
            let after = Counters {
                on_hand: before.on_hand,
                reserved: before.reserved,
                damaged: before.damaged,
                in_transit: before.in_transit,
                on_order: before.on_order,
                quarantined: before.quarantined,
                safety_stock: row.after.safety_stock,
                available: before.on_hand - before.reserved - row.after.safety_stock,
                unit: row.after.unit,
                ..Counters::default()
            };
            self.break_at(self.reached + 1, first - 1, after);
        } else if before != self.last {
            self.unexplained += before - self.last;
            self.break_at(first, row.seq, row.after);
        }
        let available = row.after.on_hand - row.after.reserved - row.after.safety_stock;
        if row.after.available != available {
            self.available_off.get_or_insert((available, row.after.available));
            self.break_at(first, row.seq, row.after);
        }
        self.reached = row.seq;
        self.last = row.after.sums();
        self.safety_stock = row.after.safety_stock;
        if let Some(from) = row.from_seq {
            self.ranges.push((from, row.seq));
        }
        if OF_ORDERS.contains(&row.kind.as_str()) {
            self.orders.push(NamedOrder { order_id: row.reference.clone(), seq: row.seq });
        }
        true
    }

    fn break_at(&mut self, from: i64, to: i64, after: Counters) {
        let begun = self.broken.map_or((from, self.last), |broken| (broken.from, broken.before));
        self.broken = Some(Broken { from: begun.0, before: begun.1, to, after });
    }
}

/// Looks at the ledger of one part of a stock item, which is `stock` now, from where it was looked at before; at
/// most `rows_max` rows.
///
/// # Errors
/// As the database.
pub(super) async fn check_ledger(
    ports: &Ports,
    scope: &TenantScope,
    name: (&str, &str, u32),
    stock: &Counters,
    rows_max: usize,
) -> Result<LedgerCheck> {
    let (location_id, sku, part) = name;
    let get = |key| Get { table: Table::Ledger, key, consistency: Consistency::Strong };
    let gets = vec![Checkpoint::get(scope, name), get(scope.ledger_head(location_id, sku, part))];
    let mut read = ports.database.get_many(gets).await?.into_iter();
    let checkpoint = read.next().flatten().as_ref().map(Checkpoint::of).transpose()?.flatten();
    let verified = read.next().flatten().and_then(|head| head.opt_number("verified_seq")).unwrap_or(0);
    let mut check = checkpoint.map(LedgerCheck::from).unwrap_or_default();
    let begun = check.reached;
    let mut query = Query {
        range: rows_from(scope, name, begun)?,
        limit: PAGE_ROWS,
        ..Query::partition(Table::Ledger, scope.ledger_of_part(location_id, sku, part))
    };
    'pages: loop {
        let page = ports.database.query(query.clone()).await?;
        for item in &page.items {
            let row = LedgerRow::of(item)?;
            let reached = check.reached;
            // Rows after it belong to a later state than the one that is compared.
            if row.seq > stock.seq || check.rows >= rows_max || !check.take(&row, verified) {
                break 'pages;
            }
            check.rows += 1;
            // Parts of split stock are of no known lot. What a row says of lots hinders nothing else.
            if part == 0 && check.reached > reached && check.lots.add(item, &row).is_err() {
                check.lots.does_not_hold();
            }
        }
        match page.next {
            Some(next) => query.start = Some(next),
            None => break,
        }
    }
    // The last rows may be gone, too: then the item itself says where they ended.
    if check.reached < stock.seq && check.rows < rows_max && verified >= stock.seq {
        check.rows_are_gone = true;
        check.break_at(check.reached + 1, stock.seq, *stock);
        check.reached = stock.seq;
        check.last = stock.sums();
    }
    check.orders.reverse();
    check.orders.truncate(ORDERS_MAX);
    if check.broken.is_none() && check.reached - begun >= CHECKPOINT_ROWS {
        let item = check.checkpoint().item(scope, name)?;
        // Another visit may have put one: any is right.
        ports.database.write(Write::Put { table: Table::Ledger, item, condition: None }).await?;
    }
    Ok(check)
}
