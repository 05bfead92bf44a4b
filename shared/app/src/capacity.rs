//! What the database charged: read and write units, so that benchmarks and wide events can tell the
//! price of a request.
//!
//! Amounts are thousandths of a unit: DynamoDB counts halves, and this code has no floats.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::database::{Index, Table};

/// Reading or writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CapacityKind {
    /// Read units (4 KB strongly consistent; eventual costs half, transactional double).
    Read,
    /// Write units (1 KB; transactional double on the table, single on its indexes).
    Write,
}

/// Which call of [`crate::database::Database`] it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// `get`.
    Get,
    /// `get_many`, one round trip.
    GetMany,
    /// `get_together`.
    GetTogether,
    /// `query`.
    Query,
    /// `write`.
    Write,
    /// `transact`.
    Transact,
    /// `put_many`, one round trip.
    PutMany,
}

impl Operation {
    /// All of them.
    pub const ALL: [Operation; 7] = [
        Operation::Get,
        Operation::GetMany,
        Operation::GetTogether,
        Operation::Query,
        Operation::Write,
        Operation::Transact,
        Operation::PutMany,
    ];
}

/// What one call cost on one table or index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consumed {
    /// The table.
    pub table: Table,
    /// The index; the table itself where absent.
    pub index: Option<Index>,
    /// Reading or writing.
    pub kind: CapacityKind,
    /// Thousandths of a unit.
    pub thousandths: u64,
}

/// Told of every round trip that succeeded and of what it cost. DynamoDB reports no cost of a write
/// whose condition failed, though it charges for it.
pub trait CapacityObserver: Send + Sync {
    /// One round trip.
    fn consumed(&self, operation: Operation, consumed: &[Consumed]);
}

/// Sums up what it is told.
#[derive(Debug, Default)]
pub struct CapacityMeter {
    sums: Mutex<CapacitySums>,
}

/// Sums of a [`CapacityMeter`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CapacitySums {
    /// Thousandths of a unit by table, index and kind.
    pub thousandths: BTreeMap<(Table, Option<Index>, CapacityKind), u64>,
    /// Round trips by call.
    pub calls: BTreeMap<Operation, u64>,
}

impl CapacitySums {
    /// Thousandths of read units over all tables and indexes.
    pub fn read(&self) -> u64 {
        self.of(CapacityKind::Read)
    }

    /// Thousandths of write units over all tables and indexes.
    pub fn write(&self) -> u64 {
        self.of(CapacityKind::Write)
    }

    /// Thousandths on one table (`index` absent) or one of its indexes.
    pub fn at(&self, table: Table, index: Option<Index>, kind: CapacityKind) -> u64 {
        self.thousandths.get(&(table, index, kind)).copied().unwrap_or(0)
    }

    fn of(&self, kind: CapacityKind) -> u64 {
        self.thousandths.iter().filter(|((_, _, k), _)| *k == kind).map(|(_, sum)| *sum).sum()
    }
}

impl CapacityMeter {
    /// The sums so far.
    pub fn sums(&self) -> CapacitySums {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The sums so far; counting starts anew.
    pub fn take(&self) -> CapacitySums {
        std::mem::take(&mut *self.sums.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl CapacityObserver for CapacityMeter {
    fn consumed(&self, operation: Operation, consumed: &[Consumed]) {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        *sums.calls.entry(operation).or_default() += 1;
        for one in consumed {
            *sums.thousandths.entry((one.table, one.index, one.kind)).or_default() += one.thousandths;
        }
    }
}
