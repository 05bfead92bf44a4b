//! What a movement did to lots, noted where its ledger row is made.
//!
//! A change of a stock item brings the item before and after it. Each tells its lots; what differs is what the
//! movement took and brought, whoever made it. So a row can be made again, or late, or beside any other, and always
//! says the same. Beside the row stands one for each lot, by which a recall finds who got it. And the lots that an
//! order or reservation took are noted with the stock, where whoever brings goods back finds which they are of. A
//! transfer notes itself which lots leave.

use std::collections::BTreeMap;

use tillstream_domain::lot_book::{LotBook, LotChange};

use super::stock::{any_book_of, book_of};
use crate::database::{Consistency, Get, Item, Query, Range, Table};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::stock::counters::Counters;
use crate::stock::ledger::{GAP_CLOSED, LedgerRow};
use crate::tenancy::TenantScope;

/// Attribute of a row: by how much each lot changed.
const CHANGES: &str = "lots";
/// Attribute of a row: the lots after it.
const AFTER: &str = "lots_after";

/// Kinds of movements by which somebody gets goods, or brings some back; and of rows that stand for lost ones, which
/// may be such.
pub(super) const OF_CUSTOMERS: [&str; 5] = ["sale", "commit", "exchange", "return", GAP_CLOSED];

/// What took goods that may come back, by the kind of its movement. What has an id of its own has its own kind here:
/// a reservation may be called what an order is called.
fn taker(kind: &str) -> Option<&'static str> {
    match kind {
        "sale" | "exchange" => Some(ORDER),
        "commit" => Some("reservation"),
        _ => None,
    }
}

/// What takes goods by sales and exchanges.
pub(super) const ORDER: &str = "order";

/// So much of each lot: for sale, and kept aside.
pub(super) type Sums = BTreeMap<Option<String>, (i64, i64)>;

/// By how much each lot changed, as a row says; nothing where it is of stock that is not kept by lots.
///
/// # Errors
/// A bug if the row is malformed.
pub(in crate::stock) fn lot_changes_of(row: &Item) -> Result<Vec<LotChange>> {
    if row.opt_text(CHANGES).is_some() { row.json(CHANGES) } else { Ok(Vec::new()) }
}

/// The lots after a row; `None` where it is of stock that was not kept by lots.
///
/// # Errors
/// A bug if the row is malformed.
pub(super) fn book_after(row: &Item) -> Result<Option<LotBook>> {
    row.opt_text(AFTER).map(|_| row.json(AFTER)).transpose()
}

fn with(row: Item, changes: &[LotChange], after: &LotBook) -> Result<Item> {
    row.with_json(CHANGES, &changes)?.with_json(AFTER, after)
}

/// A row with what its change did to lots: the stock item as it was, if it was, and as it is.
///
/// # Errors
/// A bug if an image is malformed.
pub(in crate::stock) fn with_lots(row: Item, old: Option<&Item>, new: &Item) -> Result<Item> {
    let Some(after) = book_of(new)? else { return Ok(row) };
    let before = match old.filter(|old| old.opt_number("seq").is_some()) {
        Some(old) => any_book_of(old)?,
        None => LotBook::default(),
    };
    let came_in = Counters::of(new)?.came_in;
    with(row, &after.changes_since(&before), &after.clone().kept(came_in))
}

/// What is noted of a row's lots.
#[derive(Debug, Default)]
pub(in crate::stock) struct Traces {
    /// Rows of the ledger, for recalls.
    pub(in crate::stock) of_lots: Vec<Item>,
    /// Items of stock, for what comes back.
    pub(in crate::stock) of_reference: Vec<Item>,
}

/// What is noted of a row's lots.
///
/// # Errors
/// A bug if the row is malformed.
pub(in crate::stock) fn traces(row: &Item) -> Result<Traces> {
    let changes = lot_changes_of(row)?;
    if changes.is_empty() {
        return Ok(Traces::default());
    }
    let scope = TenantScope::from_own_record(row.text("tenant_id")?);
    let (location_id, sku) = (row.text("location_id")?, row.text("sku")?);
    let (kind, reference) = (row.text("kind")?, row.text("reference")?);
    let seq = row.number("seq")?;
    let number = u64::try_from(seq).map_err(Error::bug)?;
    let mut traces = Traces::default();
    for (position, change) in changes.iter().enumerate() {
        let filled = |item: Item| {
            let item = item
                .with("tenant_id", scope.tenant_id())
                .with("location_id", location_id)
                .with("sku", sku)
                .with_some("lot_id", change.lot_id.as_deref())
                .with("kind", kind)
                .with("reference", reference)
                .with("on_hand", change.on_hand)
                .with("quarantined", change.quarantined)
                .with_some("unit", row.opt_text("unit"));
            Ok::<_, Error>(item.with("at", row.number("at")?))
        };
        if let Some(lot_id) = &change.lot_id {
            let item = filled(Item::new(&scope.lot_movement(lot_id, location_id, number)))?;
            traces.of_lots.push(item.with("seq", seq));
        }
        // Without a `seq`: what has one is a stock item.
        if let Some(taker) = taker(kind) {
            let key = scope.lot_of_reference((taker, reference), (location_id, sku), number, position);
            traces.of_reference.push(filled(Item::new(&key))?);
        }
    }
    Ok(traces)
}

/// So much of each lot there is by a book.
pub(super) fn sums_of(book: &LotBook) -> Sums {
    let mut sums: Sums = book
        .lots()
        .iter()
        .map(|lot| (Some(lot.id.clone()), (lot.quantity, lot.quarantined)))
        .chain([(None, (book.unknown(), 0))])
        .collect();
    sums.retain(|_, sum| *sum != (0, 0));
    sums
}

/// Adds changes, `sign` times.
pub(super) fn add(sums: &mut Sums, changes: &[LotChange], sign: i64) {
    for change in changes {
        let sum = sums.entry(change.lot_id.clone()).or_default();
        sum.0 += sign * change.on_hand;
        sum.1 += sign * change.quarantined;
    }
    sums.retain(|_, sum| *sum != (0, 0));
}

/// The item of a row that stands for lost ones, with what they did to lots in all, from the rows around it.
///
/// # Errors
/// As the database.
pub(in crate::stock) async fn of_gap(ports: &Ports, scope: &TenantScope, gap: &LedgerRow) -> Result<Item> {
    let item = gap.item(scope)?;
    if gap.part > 0 {
        return Ok(item);
    }
    let (location_id, sku) = (gap.location_id.as_str(), gap.sku.as_str());
    let ledger = |seq: i64| {
        let seq = u64::try_from(seq).map_err(Error::bug)?;
        Ok::<_, Error>(scope.ledger_row_of_part(location_id, sku, 0, seq))
    };
    let get = |table, key| Get { table, key, consistency: Consistency::Strong };
    let next = ports.database.get(get(Table::Ledger, ledger(gap.seq + 1)?)).await?;
    // At the end of the ledger it is the stock item that tells.
    let (after, since) = match &next {
        Some(next) => (book_after(next)?, lot_changes_of(next)?),
        None => {
            let stock = ports.database.get(get(Table::Stock, scope.stock(location_id, sku))).await?;
            let as_of_gap = stock.filter(|stock| stock.opt_number("seq") == Some(gap.seq));
            (as_of_gap.as_ref().map(book_of).transpose()?.flatten(), Vec::new())
        }
    };
    let Some(after) = after else { return Ok(item) };
    let mut is = sums_of(&after);
    add(&mut is, &since, -1);
    let first = gap.from_seq.unwrap_or(gap.seq);
    let until = ledger(first - 1)?.sk().to_owned();
    // The row before may be one of a gap, whose key ends otherwise.
    let query = Query {
        range: Range::Between("0".to_owned(), format!("{until}~")),
        ascending: false,
        limit: 1,
        ..Query::partition(Table::Ledger, scope.ledger_of_part(location_id, sku, 0))
    };
    let before = match ports.database.query(query).await?.items.first() {
        Some(item_before) => {
            let row = LedgerRow::of(item_before)?;
            if row.seq != first - 1 {
                // A row that came late lies in between: what was before the gap is not known.
                return Ok(item);
            }
            match book_after(item_before)? {
                Some(book) => sums_of(&book),
                None => Sums::from([(None, (row.after.on_hand, 0))]),
            }
        }
        None => Sums::new(),
    };
    for (lot_id, (on_hand, quarantined)) in before {
        let sum = is.entry(lot_id).or_default();
        sum.0 -= on_hand;
        sum.1 -= quarantined;
    }
    let changes: Vec<LotChange> = is
        .into_iter()
        .filter(|(_, sum)| *sum != (0, 0))
        .map(|(lot_id, (on_hand, quarantined))| LotChange { lot_id, on_hand, quarantined })
        .collect();
    // What the next row has after it is not what this one has; only the end of the ledger says so itself.
    match next {
        None => with(item, &changes, &after),
        Some(_) => item.with_json(CHANGES, &changes),
    }
}
