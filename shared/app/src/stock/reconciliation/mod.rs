//! Reconciliation: what stock says of itself is compared, and what differs becomes a task for somebody, who has it
//! corrected by a movement.
//!
//! Of each stock item its counters are compared with its ledger, what is reserved with what is held (hold lines, and
//! the chunks of long orders under way), and `available` with the other counters; and the movements of orders with
//! the orders. All stock is gone through over time, some items a run. What moves while it is compared is read again:
//! every change of a stock item raises its `seq`, so that what was read under one `seq` is of one moment.

mod compare;
mod correct;
mod difference;
mod ledger_check;
mod orders;

pub(crate) use compare::MOVEMENTS;
pub use compare::{Cause, Finding};
pub use correct::{Corrected, correct};
pub use difference::{CONFIRMED_AFTER_MILLIS, LOOKED_AT_EVERY_MILLIS};
pub(crate) use difference::{DIFFERENCE, bound_of, findings_of};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_domain::location::Location;

use self::compare::compare;
use self::difference::{Name, Seen, note};
use self::ledger_check::OF_ORDERS;
use self::orders::{check_lanes, check_named, compare_order};
use crate::database::{Consistency, Get, Item, Table, Write};
use crate::error::{Error, Result};
use crate::keeper::due::{DueWork, postpone, walk_due};
use crate::ports::Ports;
use crate::stock::counters::Counters;
use crate::stock::layout::LAYOUT_WHOLE;
use crate::stock::ledger::LedgerRow;
use crate::stock::listing::{Among, Position, StockName, stock_names};
use crate::tenancy::{Stores, TenantScope};

/// Kind of the movement of a correction.
pub(crate) const KIND: &str = "reconciliation";
/// Name of the walk over all stock items.
const WALK: &str = "reconciliation";
/// Stock items looked at between two looks at the clock.
const STEP: usize = 25;
/// Rows of one stock item's ledgers that one visit reads.
const ROWS_PER_ITEM: usize = 2_000;
/// For how long the keeper leaves one alone that it could not look at.
const POSTPONED_MILLIS: i64 = 300_000;

/// How much one run compares, per tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Stock items.
    pub items: usize,
    /// Rows of their ledgers.
    pub rows: usize,
    /// Orders of lanes.
    pub orders: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Budget { items: 500, rows: 20_000, orders: 100 }
    }
}

/// What a walk did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Walked {
    /// Stock items compared.
    pub items: usize,
    /// Orders compared.
    pub orders: usize,
    /// Differences that are open.
    pub differences: usize,
    /// Stock items that could not be compared; the others were.
    pub failed: usize,
    /// Whether it came to the end and will begin anew.
    pub wrapped: bool,
}

#[derive(Serialize, Deserialize)]
struct WalkState {
    position: Option<Position>,
}

fn is_late(ports: &Ports, deadline: Timestamp) -> bool {
    ports.environment.now() >= deadline
}

/// Whether a movement is of an order: of the goods that it sold or took back, or a correction of what moved for it. A
/// correction of the stock item itself names its own exception.
pub(super) fn is_of_any_order(row: &LedgerRow) -> bool {
    if row.kind != KIND {
        return OF_ORDERS.contains(&row.kind.as_str());
    }
    let of_item = Name { location_id: &row.location_id, sku: &row.sku, order_id: None };
    row.reference != of_item.exception_id()
}

/// The version of a stock item, from all parts it ever had.
fn version_of(parts: &[Counters]) -> i64 {
    // What parts have that are in no layout now, the version counts already.
    let counts = |(part, stock): &(usize, &Counters)| *part == 0 || stock.layout != LAYOUT_WHOLE;
    parts.iter().enumerate().filter(counts).map(|(_, stock)| stock.version()).sum()
}

/// Compares a stock item and notes what differs; answers how many open differences it has.
async fn visit(
    ports: &Ports,
    scope: &TenantScope,
    name: &StockName,
    now: Timestamp,
) -> Result<(usize, usize)> {
    let what = (name.location_id.as_str(), name.sku.as_str());
    let compared = match compare(ports, scope, what, ROWS_PER_ITEM).await {
        // An index may lead to what is gone.
        Err(Error::Rejected(_)) => return Ok((0, 0)),
        compared => compared?,
    };
    let of_item = Name { location_id: what.0, sku: what.1, order_id: None };
    let seen = Seen {
        version: compared.version,
        unit: compared.unit,
        findings: compared.findings,
        is_complete: compared.is_complete,
    };
    let mut open = usize::from(note(ports, scope, &of_item, seen, now).await?);
    open += check_named(ports, scope, what, &compared.orders, now).await?;
    Ok((open, compared.rows))
}

/// Goes on over the stock items of a tenant where the last walk stopped, and over the orders of its stores, as far as
/// the budget goes and until `deadline`. At the end the next walk begins anew.
///
/// # Errors
/// As the database; what was found stays noted.
pub async fn walk(
    ports: &Ports,
    scope: &TenantScope,
    stores: &[Location],
    budget: Budget,
    deadline: Timestamp,
) -> Result<Walked> {
    let now = ports.environment.now();
    let mut walked = Walked::default();
    for store in stores {
        let left = budget.orders.saturating_sub(walked.orders);
        if left == 0 || is_late(ports, deadline) {
            break;
        }
        let compared = check_lanes(ports, scope, store, left, deadline).await?;
        walked.orders += compared.orders;
        walked.differences += compared.differences;
    }
    let key = scope.walk(WALK);
    let get = Get { table: Table::Catalog, key: key.clone(), consistency: Consistency::Strong };
    let mut position = match ports.database.get(get).await? {
        Some(item) => item.json::<WalkState>("state")?.position,
        None => None,
    };
    let everything = Among::Everything(Stores::All);
    let mut rows = 0;
    let has_left = |walked: &Walked, rows: usize| {
        walked.items < budget.items && rows < budget.rows && !is_late(ports, deadline)
    };
    // Each step is short, so that the position is written in time.
    while has_left(&walked, rows) {
        let left = u32::try_from((budget.items - walked.items).min(STEP)).unwrap_or(1);
        let database = ports.database.as_ref();
        let found = stock_names(database, scope, &everything, position.clone(), left).await?;
        let mut is_through = true;
        for name in &found.names {
            if !has_left(&walked, rows) {
                is_through = false;
                break;
            }
            walked.items += 1;
            match visit(ports, scope, name, now).await {
                Ok((open, read)) => {
                    walked.differences += open;
                    rows += read;
                }
                Err(error) => {
                    let StockName { location_id, sku } = name;
                    tracing::warn!(location_id, sku, %error, "a stock item was not compared");
                    walked.failed += 1;
                }
            }
            position = Some(Position { location_id: name.location_id.clone(), sku: Some(name.sku.clone()) });
        }
        if !is_through {
            break;
        }
        // A step over empty locations costs too.
        walked.items += usize::from(found.names.is_empty());
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

/// Looks again at what is suspected or open, over all tenants, at most so many and none begun after `deadline`;
/// answers how many are open.
///
/// # Errors
/// [`Error::Retryable`] where the index cannot be read.
pub async fn look_again(ports: &Ports, now: Timestamp, most: usize, deadline: Timestamp) -> Result<usize> {
    let work = DueWork { table: Table::Stock, kind: DIFFERENCE, now, most, deadline };
    let open = std::sync::atomic::AtomicUsize::new(0);
    walk_due(ports, work, async |item| {
        match look_at(ports, &item, now).await {
            Ok(is_open) => {
                open.fetch_add(usize::from(is_open), std::sync::atomic::Ordering::Relaxed);
            }
            Err(error) => {
                let exception_id = item.opt_text("exception_id");
                tracing::warn!(exception_id, %error, "a difference was not looked at");
                let until = now.as_millisecond().saturating_add(POSTPONED_MILLIS);
                postpone(ports, Table::Stock, &item, until).await;
            }
        }
        Ok(())
    })
    .await?;
    Ok(open.into_inner())
}

async fn look_at(ports: &Ports, item: &Item, now: Timestamp) -> Result<bool> {
    let scope = TenantScope::from_own_record(item.text("tenant_id")?);
    let name = name_of(item)?;
    let what = (name.location_id, name.sku);
    let seen = match name.order_id {
        Some(order_id) => compare_order(ports, &scope, what, order_id).await?,
        None => {
            let compared = compare(ports, &scope, what, ROWS_PER_ITEM).await?;
            Seen {
                version: compared.version,
                unit: compared.unit,
                findings: compared.findings,
                is_complete: compared.is_complete,
            }
        }
    };
    note(ports, &scope, &name, seen, now).await
}

/// What an exception of a difference is of.
fn name_of(item: &Item) -> Result<Name<'_>> {
    Ok(Name {
        location_id: item.text("location_id")?,
        sku: item.text("sku")?,
        order_id: item.opt_text("order_id"),
    })
}
