//! How fast stock moves at a location, from the ledger and the stock item alone.
//!
//! Rows are read newest first. When a row happened its cause tells: a sale that was told late is older than rows before
//! it. So the days are not a piece of the ledger: each row since they began counts, wherever it stands, and on hand at
//! their ends is what the newest row has after it, less what the rows since then changed. It is taken from that row and
//! not from the stock item, which is some moments ahead of its ledger.

use futures::future::try_join_all;
use jiff::Timestamp;
use tillstream_contracts::turnover::{StockTurnover, StockTurnoverPage, StockTurnoverQuery};
use tillstream_domain::replenishment::SALES_DAYS_MAX;
use tillstream_domain::turnover::{Flow, Moved, Period, Present, reckon};

use crate::catalog::items::{location_if_any, product_if_any};
use crate::catalog::suppliers::SUPPLIER_READERS;
use crate::cursor::PagedQuery;
use crate::database::{Consistency, Get, Query, StartKey, Table};
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::stock::counters::Counters;
use crate::stock::ledger::{LedgerRow, rows};
use crate::stock::listing::{Among, Position, StockName, stock_names};
use crate::stock::read::read_many;
use crate::stock::reconciliation::is_of_any_order;
use crate::stock::references::{check_location_id, check_sku_form, location_not_found};
use crate::stock::suggestions::{SALES_DAYS, days, sales_days};
use crate::tenancy::{Caller, TenantScope};

/// SKUs on a page where none are asked for.
const LIMIT_DEFAULT: u32 = 20;
/// Most SKUs on a page.
const LIMIT_MAX: u32 = 50;
/// Rows of one SKU that are looked at.
const ROWS_PER_SKU: usize = 5_000;
/// Rows that one page looks at before it answers with what it has.
const ROWS_PER_PAGE: usize = 20_000;
/// Stock items that one page looks at before it answers with what it has.
const STOCK_ITEMS_PER_PAGE: usize = 200;
/// So many rows in a row that are older than the days: nothing of the days is looked for behind them. What is told that
/// late stands among rows that are told at once.
const OLDER_ROWS: usize = 200;
/// Rows that one query reads.
const ROWS_PER_QUERY: usize = 250;

/// What a movement was for. A kind that is not known here is neither.
fn flow_of(row: &LedgerRow) -> Flow {
    match row.kind.as_str() {
        // A reservation whose goods were handed over.
        "commit" => Flow::Sold,
        "restock" | "purchase_receive" | "transfer_receive" | "transfer_damage" => Flow::Received,
        _ if is_of_any_order(row) => Flow::Sold,
        _ => Flow::Other,
    }
}

/// What is kept of a row while a page is made: rows are read by the thousand.
struct Row {
    seq: i64,
    /// On hand after it.
    after: i64,
    moved: Moved,
}

impl Row {
    fn of(row: &LedgerRow) -> Self {
        let delta = row.delta;
        let moved = Moved {
            at: row.at.as_millisecond(),
            on_hand: delta.on_hand,
            goods: delta.on_hand.saturating_add(delta.damaged).saturating_add(delta.quarantined),
            flow: flow_of(row),
        };
        Row { seq: row.seq, after: row.after.on_hand, moved }
    }
}

/// The ledger of one part of a stock item, as far as it was read.
struct PartRead {
    part: u32,
    /// The newest first.
    rows: Vec<Row>,
    /// How many of the last of them, in a row, are older than the days.
    older: usize,
    next: Option<StartKey>,
    is_done: bool,
}

impl PartRead {
    fn new(part: u32) -> Self {
        PartRead { part, rows: Vec::new(), older: 0, next: None, is_done: false }
    }

    /// Reads on, at most `most` rows; answers how many it read.
    async fn read_on(
        &mut self,
        ports: &Ports,
        scope: &TenantScope,
        name: &StockName,
        from: i64,
        most: usize,
    ) -> Result<usize> {
        let mut read = 0;
        while read < most && !self.is_done {
            let limit = (most - read).min(ROWS_PER_QUERY);
            let ledger = scope.ledger_of_part(&name.location_id, &name.sku, self.part);
            let query = Query {
                range: rows(),
                ascending: false,
                limit: u32::try_from(limit).unwrap_or(u32::MAX),
                start: self.next.take(),
                consistency: Consistency::Eventual,
                ..Query::partition(Table::Ledger, ledger)
            };
            let page = ports.database.query(query).await?;
            read += page.items.len();
            self.next = page.next;
            self.is_done = self.next.is_none();
            for item in &page.items {
                let row = Row::of(&LedgerRow::of(item)?);
                self.older = if row.moved.at < from { self.older + 1 } else { 0 };
                self.rows.push(row);
                if self.older >= OLDER_ROWS {
                    self.is_done = true;
                    break;
                }
            }
        }
        Ok(read)
    }

    /// From when on nothing is missing, of a ledger that was not read to its end. What was not read was told before the
    /// last rows that were, and so happened before the latest of these: of so many in a row one at least was told at
    /// once.
    fn known_since(&self) -> Option<i64> {
        let last = self.rows.iter().rev().take(OLDER_ROWS);
        last.map(|row| row.moved.at).max().map(|at| at.saturating_add(1))
    }

    /// On hand after its newest row, and its movements. Rows that a closed gap stands for came late, or were closed over:
    /// what they changed on hand the gap's row says, what was sold they still tell.
    fn movements(&self) -> (i64, Vec<Moved>) {
        let (mut reached, mut on_hand) = (0, 0);
        let mut movements = Vec::with_capacity(self.rows.len());
        // As the ledger is added up: the oldest first, a gap's row before those that it stands for.
        for row in self.rows.iter().rev() {
            let counts = row.seq > reached;
            if counts {
                (reached, on_hand) = (row.seq, row.after);
            }
            movements.push(Moved { on_hand: if counts { row.moved.on_hand } else { 0 }, ..row.moved });
        }
        (on_hand, movements)
    }
}

/// What the ledgers of a stock item say of the time since the days began.
struct LedgersRead {
    on_hand: i64,
    movements: Vec<Moved>,
    /// Where not all was looked at: from when on nothing is missing.
    since: Option<i64>,
    /// How many rows were read.
    rows: usize,
}

/// Reads the ledgers of all parts that a stock item ever had. They need not be of one moment: what moves between parts
/// while they are read moves after the days, and each part is reckoned back from its own newest row.
async fn read_ledgers(
    ports: &Ports,
    scope: &TenantScope,
    name: &StockName,
    parts: u32,
    from: i64,
) -> Result<LedgersRead> {
    let mut all: Vec<PartRead> = (0..parts.max(1)).map(PartRead::new).collect();
    let mut left = ROWS_PER_SKU;
    loop {
        // The parts that have more share what the others left.
        let open = all.iter().filter(|part| !part.is_done).count();
        if open == 0 || left < open {
            break;
        }
        let share = left / open;
        let on = all.iter_mut().filter(|part| !part.is_done);
        let read = try_join_all(on.map(|part| part.read_on(ports, scope, name, from, share))).await?;
        left = left.saturating_sub(read.into_iter().sum());
    }
    let since = all.iter().filter(|part| !part.is_done).filter_map(PartRead::known_since).max();
    let (mut on_hand, mut movements) = (0, Vec::new());
    for part in &all {
        let (of_part, its) = part.movements();
        on_hand += of_part;
        movements.extend(its);
    }
    let since = since.filter(|since| *since > from);
    Ok(LedgersRead { on_hand, movements, since, rows: ROWS_PER_SKU - left })
}

/// What one page is reckoned with.
struct Reckoning<'a> {
    ports: &'a Ports,
    scope: &'a TenantScope,
    period: Period,
    now: Timestamp,
}

impl Reckoning<'_> {
    /// The figures of some stock items, and how many rows were read for them.
    async fn of(&self, names: Vec<StockName>) -> Result<(Vec<StockTurnover>, usize)> {
        let stock = read_many(self.ports, self.scope, names, Consistency::Eventual, self.now).await?;
        let from = self.period.from;
        let read = stock
            .iter()
            .map(|(name, counters)| read_ledgers(self.ports, self.scope, name, counters.past.parts, from));
        let read = try_join_all(read).await?;
        let count = read.iter().map(|read| read.rows).sum();
        let both = stock.iter().zip(&read);
        let items = both.map(|((name, counters), read)| self.shown(&name.sku, counters, read));
        Ok((items.collect::<Result<_>>()?, count))
    }

    fn shown(&self, sku: &str, counters: &Counters, read: &LedgersRead) -> Result<StockTurnover> {
        let present = Present { on_hand: read.on_hand, available: counters.available };
        let reckoned = reckon(&self.period, read.since, present, &read.movements);
        let shown = |thousandths: i64| counters.shown(thousandths);
        let since = read.since.map(Timestamp::from_millisecond).transpose().map_err(Error::bug)?;
        Ok(StockTurnover {
            sku: sku.to_owned(),
            sold: shown(reckoned.sold),
            received: shown(reckoned.received),
            other: shown(reckoned.other),
            opening: shown(reckoned.opening),
            closing: shown(reckoned.closing),
            average_on_hand: reckoned.average_on_hand.map(shown),
            sold_per_day: shown(reckoned.sold_per_day),
            on_hand: shown(counters.on_hand),
            available: shown(counters.available),
            coming: shown(counters.coming() + counters.in_transit),
            cover_days: reckoned.cover_days,
            sell_through: reckoned.sell_through,
            turns: reckoned.turns,
            since,
        })
    }
}

/// The number of SKUs on a page.
fn limit(asked: Option<u32>) -> Result<u32> {
    match asked {
        None => Ok(LIMIT_DEFAULT),
        Some(limit @ 1..=LIMIT_MAX) => Ok(limit),
        Some(_) => {
            let message = format!("limit goes from 1 to {LIMIT_MAX}");
            Err(Refusal::field("limit", "limit_out_of_range", message).into())
        }
    }
}

/// Refuses a SKU that the catalogue does not know either.
async fn check_known(ports: &Ports, scope: &TenantScope, sku: &str) -> Result<()> {
    let get = Get { table: Table::Catalog, key: scope.product(sku), consistency: Consistency::Strong };
    if product_if_any(ports.database.get(get).await?.as_ref())?.is_none() {
        let message = format!("there is neither stock of {sku} here nor a product");
        return Err(Refusal::field("sku", "sku_unknown", message).into());
    }
    Ok(())
}

/// `GET /v1/inventory/turnover`. What has no stock item, as a kit and what never came, is not in it.
///
/// # Errors
/// 400 `cursor_malformed`; 403 `role_required`, `store_out_of_reach`; 404 `location_not_found`; 422 for a malformed
/// location or SKU, `sku_unknown`, `days_out_of_range`, `limit_out_of_range`.
pub async fn list(ports: &Ports, caller: &Caller, query: &StockTurnoverQuery) -> Result<StockTurnoverPage> {
    caller.require_role(SUPPLIER_READERS)?;
    let location_id = query.location_id.as_str();
    check_location_id("location_id", location_id)?;
    if let Some(sku) = &query.sku {
        check_sku_form("sku", sku)?;
    }
    caller.require_store(location_id)?;
    let scope = &caller.scope;
    let wanted = usize::try_from(limit(query.limit)?).unwrap_or(usize::MAX);
    let days_asked = days("days", query.days, SALES_DAYS, (1, SALES_DAYS_MAX))?;
    let number = days_asked.to_string();
    let filters = [location_id, query.sku.as_deref().unwrap_or_default(), number.as_str()];
    let paged = PagedQuery::new(scope, "stock-turnover", filters);
    let mut position: Option<Position> =
        query.cursor.as_deref().map(|cursor| paged.typed_position(cursor)).transpose()?;
    let key = scope.location(location_id);
    let get = Get { table: Table::Catalog, key, consistency: Consistency::Strong };
    let location = location_if_any(ports.database.get(get).await?.as_ref())?
        .ok_or_else(|| location_not_found(location_id))?;
    let (from, to) = sales_days(ports, &location, days_asked)?;
    let calendar = location.calendar().map_err(Error::bug)?;
    let after = to.tomorrow().map_err(Error::bug)?;
    let period = Period {
        from: calendar.day_begin(from).map_err(Error::bug)?.as_millisecond(),
        until: calendar.day_begin(after).map_err(Error::bug)?.as_millisecond(),
        days: days_asked,
    };
    let reckoning = Reckoning { ports, scope, period, now: ports.environment.now() };
    let page = |items, next_cursor| StockTurnoverPage {
        location_id: location_id.to_owned(),
        from,
        to,
        items,
        next_cursor,
    };
    if let Some(sku) = &query.sku {
        let name = StockName { location_id: location_id.to_owned(), sku: sku.clone() };
        let (items, _) = reckoning.of(vec![name]).await?;
        if items.is_empty() {
            check_known(ports, scope, sku).await?;
        }
        return Ok(page(items, None));
    }
    let among = Among::Location(location_id.to_owned());
    let (mut items, mut rows_left, mut looked_at) = (Vec::new(), ROWS_PER_PAGE, 0);
    loop {
        // As many at once as may read all the rows that are looked at of one.
        let at_once = (rows_left / ROWS_PER_SKU).min(wanted.saturating_sub(items.len())).max(1);
        let at_once = u32::try_from(at_once).unwrap_or(LIMIT_MAX);
        let found = stock_names(ports.database.as_ref(), scope, &among, position, at_once).await?;
        looked_at += found.names.len().max(1);
        let (some, rows_read) = reckoning.of(found.names).await?;
        items.extend(some);
        rows_left = rows_left.saturating_sub(rows_read);
        position = found.next;
        let Some(next) = &position else { return Ok(page(items, None)) };
        if items.len() >= wanted || rows_left < ROWS_PER_SKU || looked_at >= STOCK_ITEMS_PER_PAGE {
            let next = serde_json::to_string(next).map_err(Error::bug)?;
            return Ok(page(items, Some(paged.cursor(&next))));
        }
    }
}

#[cfg(test)]
mod tests {
    use tillstream_domain::quantity::Quantity;

    use super::*;
    use crate::pos::identity::derived_id;
    use crate::stock::counters::Delta;

    fn row(kind: &str, reference: &str) -> LedgerRow {
        LedgerRow {
            location_id: "s-1".to_owned(),
            sku: "A".to_owned(),
            part: 0,
            seq: 1,
            from_seq: None,
            kind: kind.to_owned(),
            reference: reference.to_owned(),
            actor: "e-1".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            reason: None,
            delta: Delta::sale(Quantity::of_counter(1_000)),
            after: Counters::default(),
        }
    }

    /// Every kind that anything writes.
    #[test]
    fn each_kind_of_movement_has_its_place() {
        let of = |kind: &str| flow_of(&row(kind, "o-1"));
        for kind in ["sale", "return", "exchange", "commit"] {
            assert_eq!(of(kind), Flow::Sold, "{kind}");
        }
        for kind in ["restock", "purchase_receive", "transfer_receive", "transfer_damage"] {
            assert_eq!(of(kind), Flow::Received, "{kind}");
        }
        for kind in [
            "adjustment",
            "count",
            "damage",
            "repair",
            "write_off",
            "sync",
            "discrepancy",
            "gap_closed",
            "split",
            "merge",
            "hold",
            "release",
            "expire",
            "transfer_ship",
            "transfer_return",
            "transfer_cancel",
            "purchase_place",
            "purchase_close",
            "purchase_cancel",
            "backorder",
            "backorder_served",
            "backorder_cancel",
            "backorder_expire",
            "lot_assign",
            "lot_quarantine",
            "lot_release",
            "lot_expire",
            "of a build to come",
        ] {
            assert_eq!(of(kind), Flow::Other, "{kind}");
        }
    }

    #[test]
    fn a_correction_is_of_the_order_that_it_names_or_of_none() {
        let of_item = derived_id("x", &["difference", "s-1", "A"]);
        assert_eq!(flow_of(&row("reconciliation", "o-1")), Flow::Sold);
        assert_eq!(flow_of(&row("reconciliation", &of_item)), Flow::Other);
        let of_another = derived_id("x", &["difference", "s-1", "B"]);
        assert_eq!(flow_of(&row("reconciliation", &of_another)), Flow::Sold, "an id that an order may have");
    }

    #[test]
    fn pages_are_bounded() {
        let of = |asked| limit(asked).map_err(|error| error.code());
        assert_eq!([of(None), of(Some(1)), of(Some(50))], [Ok(20), Ok(1), Ok(50)]);
        for wrong in [0, 51, u32::MAX] {
            assert_eq!(of(Some(wrong)), Err(Some("limit_out_of_range")));
        }
    }
}
