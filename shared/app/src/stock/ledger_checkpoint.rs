//! The place up to which a ledger was proved to add up: who proves it again begins there, so that it costs no more of a
//! stock item that moved a million times than of one that moved a thousand.
//!
//! The keeper puts it ([`crate::stock::reconciliation`]), and only where every row before it began where the row before
//! that ended, with nothing missing. So what is summed up to it is what its row has after it; and with it stands what
//! cannot be read from one row: which gaps were closed, and whether lots added up, too.

use serde::{Deserialize, Serialize};

use crate::database::{Consistency, Get, Item, Range, Table};
use crate::error::{Error, Result};
use crate::stock::counters::{Counters, Delta};
use crate::stock::ledger::{sums_of, with_sums};
use crate::stock::lots::ProvedLots;
use crate::tenancy::TenantScope;

/// Closed gaps that are known one by one, the newest.
const RANGES_MAX: usize = 500;

/// Closed gaps of a ledger: first and last movement that one row stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ClosedRanges {
    /// The newest of them, oldest first.
    pub(super) kept: Vec<(i64, i64)>,
    /// How many older ones there are.
    pub(super) left_out: u32,
}

impl ClosedRanges {
    /// Adds one that comes after all others.
    pub(super) fn push(&mut self, range: (i64, i64)) {
        self.kept.push(range);
        if self.kept.len() > RANGES_MAX {
            self.kept.remove(0);
            self.left_out = self.left_out.saturating_add(1);
        }
    }
}

/// Up to where the ledger of one part of a stock item is proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// The last movement.
    pub(super) seq: i64,
    /// Sums up to it.
    pub(super) sums: Delta,
    /// Safety stock after it.
    pub(super) safety_stock: i64,
    /// Gaps that were closed.
    pub(super) ranges: ClosedRanges,
    /// What its lots are, where it is kept by lots.
    pub(super) lots: Option<ProvedLots>,
}

impl Checkpoint {
    /// The read of one.
    pub(super) fn get(scope: &TenantScope, (location_id, sku, part): (&str, &str, u32)) -> Get {
        let key = scope.ledger_checkpoint(location_id, sku, part);
        Get { table: Table::Ledger, key, consistency: Consistency::Strong }
    }

    /// Reads one; `None` for one that was put when it told of the sums alone: that is begun anew.
    ///
    /// # Errors
    /// A bug if the item is malformed.
    pub(super) fn of(item: &Item) -> Result<Option<Self>> {
        let Some(safety_stock) = item.opt_number("safety_stock") else { return Ok(None) };
        let sums = sums_of(item)?;
        let ranges = item.opt_text("ranges").map(|_| item.json("ranges")).transpose()?;
        let lots = item.opt_text("lots").map(|_| item.json("lots")).transpose()?;
        let seq = item.number("compared_seq")?;
        Ok(Some(Checkpoint { seq, sums, safety_stock, ranges: ranges.unwrap_or_default(), lots }))
    }

    /// Its item.
    ///
    /// # Errors
    /// A bug if it cannot be JSON.
    pub(super) fn item(
        &self,
        scope: &TenantScope,
        (location_id, sku, part): (&str, &str, u32),
    ) -> Result<Item> {
        let item = Item::new(&scope.ledger_checkpoint(location_id, sku, part))
            .with("tenant_id", scope.tenant_id())
            .with("compared_seq", self.seq)
            .with("safety_stock", self.safety_stock);
        let item = with_sums(item, self.sums);
        let item = match self.ranges.kept.is_empty() {
            true => item,
            false => item.with_json("ranges", &self.ranges)?,
        };
        match &self.lots {
            Some(lots) => item.with_json("lots", lots),
            None => Ok(item),
        }
    }

    /// Counters after its last movement, as rows keep them.
    pub(super) fn counters(&self) -> Counters {
        Counters {
            on_hand: self.sums.on_hand,
            reserved: self.sums.reserved,
            damaged: self.sums.damaged,
            in_transit: self.sums.in_transit,
            on_order: self.sums.on_order,
            quarantined: self.sums.quarantined,
            safety_stock: self.safety_stock,
            available: self.sums.on_hand - self.sums.reserved - self.safety_stock,
            seq: self.seq,
            ..Counters::default()
        }
    }
}

/// The rows of a ledger from the movement `seq` on, and that one; all from 0 on.
///
/// # Errors
/// A bug if `seq` is not a number of a movement.
pub(super) fn rows_from(
    scope: &TenantScope,
    (location_id, sku, part): (&str, &str, u32),
    seq: i64,
) -> Result<Range> {
    let from = scope.ledger_row_of_part(location_id, sku, part, u64::try_from(seq).map_err(Error::bug)?);
    Ok(Range::Between(from.sk().to_owned(), ":".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is kept of closed gaps stays small, and what is left out is counted.
    #[test]
    fn so_many_closed_gaps_are_known_one_by_one() {
        let mut ranges = ClosedRanges::default();
        for n in 0..503 {
            ranges.push((n * 10, n * 10 + 3));
        }
        assert_eq!((ranges.kept.len(), ranges.left_out), (500, 3));
        assert_eq!((ranges.kept.first(), ranges.kept.last()), (Some(&(30, 33)), Some(&(5_020, 5_023))));
    }

    #[test]
    fn a_checkpoint_is_read_as_it_was_put_and_an_older_one_not_at_all() {
        let scope = TenantScope::from_own_record("t");
        let name = ("s-1", "A", 2);
        let mut ranges = ClosedRanges::default();
        ranges.push((3, 9));
        let sums = Delta { on_hand: 5, reserved: 1, quarantined: 2, ..Delta::default() };
        let put = Checkpoint { seq: 700, sums, safety_stock: 3, ranges, lots: None };
        let item = put.item(&scope, name).unwrap();
        assert_eq!(Checkpoint::of(&item).unwrap(), Some(put.clone()));
        assert_eq!((put.counters().available, put.counters().sums()), (1, sums));
        let mut older = item;
        older.0.remove("safety_stock");
        assert_eq!(Checkpoint::of(&older).unwrap(), None);
    }
}
