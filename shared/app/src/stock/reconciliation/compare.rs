//! What one stock item says of itself, compared: its counters with its ledger, with what is held, and with each
//! other.

use serde::{Deserialize, Serialize};
use tillstream_domain::quantity::Unit;

use super::ledger_check::{Broken, LedgerCheck, NamedOrder, check_ledger};
use crate::database::{Query, Table};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::pos::plan::held_by_plans;
use crate::stock::conservation::parts_ever;
use crate::stock::counters::{Counters, Delta};
use crate::stock::holds::Hold;
use crate::stock::layout::LAYOUT_WHOLE;
use crate::tenancy::TenantScope;

/// Hold lines of one stock item that are added up.
const HOLD_LINES_MAX: usize = 5_000;
/// How often a stock item is read again that moves while it is compared.
const READS_MAX: u32 = 3;
/// Names of holds that a finding tells.
const REFERENCES_MAX: usize = 10;

/// What is counted one by one, and not in thousandths.
pub(crate) const MOVEMENTS: &str = "movements";

/// Why stock differs, as far as that can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A counter changed without a movement.
    CounterWithoutMovement,
    /// Rows of the ledger are gone.
    LedgerGap,
    /// The ledger lacks a movement that the counters and the holds both have.
    MovementMissing,
    /// `available` is not on hand − reserved − safety stock.
    AvailableMiscalculated,
    /// Somebody holds what is not counted as reserved.
    HoldWithoutReserved,
    /// What is counted as reserved is held by nobody.
    ReservedWithoutHold,
    /// The ledger tells of an order that is not there.
    MovementWithoutOrder,
    /// An order is final, and its stock did not move.
    OrderWithoutMovement,
}

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which counter, or `ledger`.
    pub what: String,
    /// Of which part of split stock; 0 is also the whole.
    pub part: u32,
    /// Why, likely.
    pub cause: Cause,
    /// What it would be by the rest, in thousandths.
    pub expected: i64,
    /// What it is, in thousandths.
    pub found: i64,
    /// The difference is there since this movement at the latest.
    pub since_seq: i64,
    /// Holds or orders that it is about, where they are known.
    pub references: Vec<String>,
}

impl Finding {
    /// By how much it differs, in thousandths.
    pub fn difference(&self) -> i64 {
        self.found.saturating_sub(self.expected)
    }

    /// Whether it is the same difference, whatever moved since.
    pub fn is_like(&self, other: &Finding) -> bool {
        (&self.what, self.part, self.cause, self.difference())
            == (&other.what, other.part, other.cause, other.difference())
    }
}

/// One part of a stock item, compared.
#[derive(Debug, Clone)]
pub(super) struct PartCompared {
    /// Its counters.
    pub(super) stock: Counters,
    /// What they would be.
    pub(super) expected: Counters,
    /// What its ledger adds up to, once rows that are broken are closed over.
    pub(super) ledger: Delta,
    /// Rows that are to be closed over.
    pub(super) broken: Option<Broken>,
}

/// A stock item, compared at one moment.
#[derive(Debug, Clone)]
pub(super) struct Compared {
    /// Its version.
    pub(super) version: i64,
    /// How the product is sold.
    pub(super) unit: Option<Unit>,
    /// Its parts, all it ever had.
    pub(super) parts: Vec<PartCompared>,
    /// What differs.
    pub(super) findings: Vec<Finding>,
    /// Orders that the newest rows of its ledgers name, by part.
    pub(super) orders: Vec<(u32, NamedOrder)>,
    /// Whether all of it could be compared. What was found is so in any case.
    pub(super) is_complete: bool,
    /// Rows of ledgers read.
    pub(super) rows: usize,
}

/// All that is held of a stock item by hold lines; `None` where there are too many to add up.
async fn held_by_lines(
    ports: &Ports,
    scope: &TenantScope,
    (location_id, sku): (&str, &str),
    partitions: u32,
) -> Result<Option<Vec<Hold>>> {
    let mut holds = Vec::new();
    for partition in 0..partitions {
        let lines = scope.holds_on_part(location_id, sku, partition);
        let mut query = Query::partition(Table::Stock, lines);
        loop {
            let page = ports.database.query(query.clone()).await?;
            for item in &page.items {
                holds.push(Hold::of(item)?);
            }
            match page.next {
                _ if holds.len() > HOLD_LINES_MAX => return Ok(None),
                Some(next) => query.start = Some(next),
                None => break,
            }
        }
    }
    Ok(Some(holds))
}

fn sum(holds: &[Hold]) -> i64 {
    holds.iter().map(|hold| hold.quantity.thousandths()).sum()
}

/// What is reserved of all parts, and what it would be by those who hold it.
struct Reserved {
    held: i64,
    references: Vec<String>,
}

/// A stock item as of one moment, and what is held of it at that moment; `None` where it cannot be said, since it
/// moves all the time or too much is held.
async fn read(
    ports: &Ports,
    scope: &TenantScope,
    (location_id, sku): (&str, &str),
) -> Result<(Vec<Counters>, Option<Reserved>)> {
    let mut parts = parts_ever(ports, scope, location_id, sku).await?;
    for _ in 0..READS_MAX {
        let partitions = u32::try_from(parts.len()).map_err(Error::bug)?;
        let Some(holds) = held_by_lines(ports, scope, (location_id, sku), partitions).await? else {
            return Ok((parts, None));
        };
        let counted: i64 = parts.iter().map(|part| part.reserved).sum();
        if counted == sum(&holds) {
            return Ok((parts, Some(Reserved { held: counted, references: Vec::new() })));
        }
        // A long order under way holds by its chunks.
        let by_plans = held_by_plans(ports, scope, location_id, sku).await?;
        // What was read is of one moment only if nothing moved meanwhile: every hold that comes or goes is a movement.
        let again = parts_ever(ports, scope, location_id, sku).await?;
        let seqs = |parts: &[Counters]| parts.iter().map(|part| part.seq).collect::<Vec<_>>();
        if seqs(&again) == seqs(&parts) {
            let Some(by_plans) = by_plans else { return Ok((parts, None)) };
            let references = match holds.len() {
                ..=REFERENCES_MAX => holds.iter().map(|hold| hold.reservation_id.clone()).collect(),
                _ => Vec::new(),
            };
            return Ok((parts, Some(Reserved { held: sum(&holds) + by_plans, references })));
        }
        parts = again;
    }
    Ok((parts, None))
}

/// Compares a stock item.
///
/// # Errors
/// 404 `stock_not_found`; as the database.
pub(super) async fn compare(
    ports: &Ports,
    scope: &TenantScope,
    (location_id, sku): (&str, &str),
    rows_max: usize,
) -> Result<Compared> {
    let (stocks, reserved) = read(ports, scope, (location_id, sku)).await?;
    let first = stocks.first().copied().unwrap_or_default();
    let mut compared = Compared {
        version: first.past.version_offset,
        unit: first.unit,
        parts: Vec::with_capacity(stocks.len()),
        findings: Vec::new(),
        orders: Vec::new(),
        is_complete: reserved.is_some(),
        rows: 0,
    };
    let counted: i64 = stocks.iter().map(|part| part.reserved).sum();
    let mut checks = Vec::with_capacity(stocks.len());
    for (part, stock) in (0_u32..).zip(stocks) {
        // What parts have that are in no layout now, the version counts already.
        if part == 0 || stock.layout != LAYOUT_WHOLE {
            compared.version += stock.seq;
        }
        let left = rows_max.saturating_sub(compared.rows);
        let check = check_ledger(ports, scope, (location_id, sku, part), &stock, left).await?;
        compared.rows += check.rows;
        compared.is_complete &= check.reached == stock.seq;
        compared.orders.extend(check.orders.iter().map(|order| (part, order.clone())));
        checks.push(Checked { part, stock, check });
    }
    // Holds are added up over all parts; and what a part had that is merged is in the first part now, also what it
    // should not have had.
    let (mut reserved_elsewhere, mut merged) = (0, Delta::default());
    for checked in checks.iter().skip(1) {
        reserved_elsewhere += checked.off().reserved;
        merged += checked.merged_off();
    }
    let off_reserved = reserved.as_ref().map(|reserved| counted - reserved.held - reserved_elsewhere);
    for checked in checks {
        let mut off = checked.off();
        let mut holds = None;
        // What a part gave to the first that it should not have had is told of the first.
        let mut unexplained = checked.check.unexplained.reserved - checked.merged_off().reserved;
        if checked.part == 0 {
            off += merged;
            unexplained += merged.reserved;
            off.reserved = off_reserved.unwrap_or(off.reserved);
            holds = reserved.as_ref().map(|reserved| reserved.references.as_slice());
        }
        let of_part = checked.compared(off);
        compared.findings.extend(checked.findings(&of_part, unexplained, holds));
        compared.parts.push(of_part);
    }
    Ok(compared)
}

/// A part and its ledger.
struct Checked {
    part: u32,
    stock: Counters,
    check: LedgerCheck,
}

impl Checked {
    fn is_merged(&self) -> bool {
        self.part > 0 && self.stock.layout == LAYOUT_WHOLE
    }

    /// What changed since the last row, as far as that is known, without another.
    fn since_last_row(&self) -> Delta {
        if self.check.reached == self.stock.seq {
            self.stock.sums() - self.check.last
        } else {
            Delta::default()
        }
    }

    /// By how much its counters are off by its own ledger.
    fn off(&self) -> Delta {
        let mut off = self.since_last_row();
        if !self.is_merged() {
            off += self.check.unexplained;
        }
        off
    }

    /// By how much too much it gave to the first part when it was merged.
    fn merged_off(&self) -> Delta {
        if self.is_merged() { self.check.unexplained } else { Delta::default() }
    }

    fn compared(&self, off: Delta) -> PartCompared {
        let stock = self.stock;
        let sums = stock.sums() - off;
        let expected = Counters {
            on_hand: sums.on_hand,
            reserved: sums.reserved,
            damaged: sums.damaged,
            in_transit: sums.in_transit,
            on_order: sums.on_order,
            quarantined: sums.quarantined,
            available: sums.on_hand - sums.reserved - stock.safety_stock,
            ..stock
        };
        // One row over what is broken takes what happened there as it was.
        let ledger = stock.sums() - self.since_last_row();
        PartCompared { stock, expected, ledger, broken: self.check.broken }
    }

    /// What differs. `unexplained`: what was reserved between rows without one that says so; `holds`: names of those
    /// who hold it, where that was added up.
    fn findings(&self, compared: &PartCompared, unexplained: i64, holds: Option<&[String]>) -> Vec<Finding> {
        let PartCompared { stock, expected, ledger, .. } = compared;
        let since_seq = self.check.broken.map_or(stock.seq, |broken| broken.from);
        let finding = |what: &str, cause, expected, found, references: Vec<String>| Finding {
            what: what.to_owned(),
            part: self.part,
            cause,
            expected,
            found,
            since_seq,
            references,
        };
        let mut found = Vec::new();
        for (what, is, would_be) in [
            ("on_hand", stock.on_hand, expected.on_hand),
            ("damaged", stock.damaged, expected.damaged),
            ("in_transit", stock.in_transit, expected.in_transit),
            ("on_order", stock.on_order, expected.on_order),
            ("quarantined", stock.quarantined, expected.quarantined),
        ] {
            if is != would_be {
                found.push(finding(what, Cause::CounterWithoutMovement, would_be, is, Vec::new()));
            }
        }
        if stock.reserved != expected.reserved {
            let (cause, references) = match holds {
                Some(_) if stock.reserved > expected.reserved => (Cause::ReservedWithoutHold, Vec::new()),
                Some(holds) => (Cause::HoldWithoutReserved, holds.to_vec()),
                None => (Cause::CounterWithoutMovement, Vec::new()),
            };
            found.push(finding("reserved", cause, expected.reserved, stock.reserved, references));
        } else if unexplained != 0 || ledger.reserved != stock.reserved {
            // Those who hold it agree with the counter: it is the ledger that lacks something.
            let by_rows = ledger.reserved - unexplained;
            found.push(finding("ledger", Cause::MovementMissing, stock.reserved, by_rows, Vec::new()));
        }
        let by_counters = stock.on_hand - stock.reserved - stock.safety_stock;
        let cause = Cause::AvailableMiscalculated;
        if stock.available != by_counters {
            found.push(finding("available", cause, by_counters, stock.available, Vec::new()));
        } else if let Some((would_be, was)) = self.check.available_off {
            // It is right again, and rows are not.
            found.push(finding("ledger", cause, would_be, was, Vec::new()));
        }
        if let Some(broken) = self.check.broken.filter(|_| self.check.rows_are_gone) {
            // As many movements as are not told of.
            let movements = (broken.to - broken.from).saturating_add(1);
            found.push(finding(MOVEMENTS, Cause::LedgerGap, movements, 0, Vec::new()));
        }
        found
    }
}
