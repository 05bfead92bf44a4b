//! Some lines of a long reservation, of which stock is held, sold or given back in one transaction.

use serde::{Deserialize, Serialize};
use tillstream_domain::compact;
use tillstream_domain::quantity::{Quantity, Unit};

use crate::database::{Condition, Item, TRANSACTION_ACTIONS_MAX, Table, Write};
use crate::error::{Error, Result};
use crate::stock::reservation_item::{HeldLine, HeldPart, Reservation};
use crate::tenancy::TenantScope;

/// Hold lines of one chunk: two actions each, beside the header's check and the chunk itself.
pub(super) const CHUNK_HOLDS_MAX: usize = (TRANSACTION_ACTIONS_MAX - 2) / 2;
/// Lines of one chunk: some room is left for those that are taken from several parts of split stock.
pub(super) const CHUNK_LINES: usize = CHUNK_HOLDS_MAX - 4;

/// One line, as it is encoded: positional, so nothing may be put between.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkLine {
    /// Where.
    pub location_id: String,
    /// What.
    pub sku: String,
    /// How many were reserved.
    pub quantity: Quantity,
    /// How the product is sold.
    pub unit: Unit,
    /// Which parts of split stock hold it; empty where the stock was whole.
    pub parts: Vec<HeldPart>,
    /// What was committed while the rest went on being held: by the request at this position, so many.
    pub commits: Vec<(u32, Quantity)>,
}

impl ChunkLine {
    /// How many were committed by the requests before the one at this position.
    pub fn committed_before(&self, ordinal: u32) -> Quantity {
        let before = self.commits.iter().filter(|(by, _)| *by < ordinal);
        before.fold(Quantity::ZERO, |sum, (_, quantity)| sum.plus(*quantity))
    }

    /// How many the request at this position committed.
    fn committed_by(&self, ordinal: u32) -> Quantity {
        let by = self.commits.iter().filter(|(by, _)| *by == ordinal);
        by.fold(Quantity::ZERO, |sum, (_, quantity)| sum.plus(*quantity))
    }

    /// As a line of a short reservation stands before the request at this position.
    pub fn held_before(&self, ordinal: u32) -> HeldLine {
        HeldLine {
            location_id: self.location_id.clone(),
            sku: self.sku.clone(),
            quantity: self.quantity,
            unit: self.unit,
            committed: self.committed_before(ordinal),
            parts: self.parts.clone(),
        }
    }
}

/// Where a chunk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkState {
    /// Nothing of it is held yet.
    Planned,
    /// It is held, but for what was committed or given back of it.
    Held,
    /// All of it is sold.
    Settled,
}

impl ChunkState {
    const ALL: [ChunkState; 3] = [ChunkState::Planned, ChunkState::Held, ChunkState::Settled];

    fn name(self) -> &'static str {
        match self {
            ChunkState::Planned => "planned",
            ChunkState::Held => "held",
            ChunkState::Settled => "settled",
        }
    }
}

/// A chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Its number.
    pub number: u32,
    /// Of which attempt.
    pub attempt: i64,
    /// Count of its changes.
    pub version: i64,
    /// Where it stands.
    pub state: ChunkState,
    /// Position of the request that committed a part of it, while its stock is left to follow.
    pub unsettled: Option<u32>,
    /// Its lines.
    pub lines: Vec<ChunkLine>,
}

impl Chunk {
    /// Reads one.
    ///
    /// # Errors
    /// A bug if the item is not one.
    pub fn of(number: u32, item: &Item) -> Result<Self> {
        let state = item.text("state")?;
        Ok(Chunk {
            number,
            attempt: item.number("attempt")?,
            version: item.number("version")?,
            state: ChunkState::ALL
                .into_iter()
                .find(|known| known.name() == state)
                .ok_or_else(|| Error::Bug(format!("unknown state {state} of a chunk")))?,
            unsettled: item.opt_number("unsettled").map(u32::try_from).transpose().map_err(Error::bug)?,
            lines: compact::decode(item.bytes("lines")?).map_err(Error::bug)?,
        })
    }

    fn put(&self, scope: &TenantScope, of: &Reservation, condition: Option<Condition>) -> Result<Write> {
        let item = Item::new(&scope.reservation_chunk(&of.id, self.number))
            .with("tenant_id", scope.tenant_id())
            .with("reservation_id", of.id.as_str())
            .with("attempt", self.attempt)
            .with("version", self.version)
            .with("state", self.state.name())
            .with_some("unsettled", self.unsettled.map(i64::from))
            .with("lines", compact::encode(&self.lines).map_err(Error::bug)?);
        Ok(Write::Put { table: Table::Stock, item, condition })
    }

    /// Writes it for the first time, over what an attempt that was given up may have left: its header, which
    /// is not there, stands for all.
    ///
    /// # Errors
    /// A bug if it cannot be encoded.
    pub(super) fn create(&self, scope: &TenantScope, of: &Reservation) -> Result<Write> {
        self.put(scope, of, None)
    }

    /// Writes `next` over it, if it is as it was read.
    ///
    /// # Errors
    /// A bug if it cannot be encoded.
    pub(super) fn replace(&self, scope: &TenantScope, of: &Reservation, next: &Chunk) -> Result<Write> {
        let as_read = Condition::All(vec![
            Condition::Eq("version", self.version.into()),
            Condition::Eq("attempt", self.attempt.into()),
        ]);
        next.put(scope, of, Some(as_read))
    }

    /// Its lines as they stand before the request at this position, each with what that request sold: all that
    /// is held, where it committed the whole.
    pub(super) fn sold_by(&self, ordinal: u32, whole: bool) -> Vec<(HeldLine, Quantity)> {
        let sold = |line: &ChunkLine| {
            let held = line.held_before(ordinal);
            let sold = if whole { held.held() } else { line.committed_by(ordinal) };
            (held, sold)
        };
        self.lines.iter().map(sold).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is stored of a thousand lines stays small, and each chunk's transaction within its limit.
    #[test]
    fn a_chunk_is_small_and_fits_its_transaction() {
        const { assert!(2 + 2 * CHUNK_HOLDS_MAX <= TRANSACTION_ACTIONS_MAX && CHUNK_LINES <= CHUNK_HOLDS_MAX) };
        let line = |n: usize| ChunkLine {
            location_id: format!("{:064}", n % 3),
            sku: format!("{n:064}"),
            quantity: Quantity::from_pieces(1_000_000).unwrap_or_default(),
            unit: Unit::Piece,
            parts: Vec::new(),
            commits: Vec::new(),
        };
        let lines: Vec<_> = (0..CHUNK_LINES).map(line).collect();
        let bytes = compact::encode(&lines).unwrap_or_default();
        assert!(!bytes.is_empty() && bytes.len() < 7_000, "{}", bytes.len());
        assert_eq!(compact::decode::<Vec<ChunkLine>>(&bytes), Ok(lines));
    }
}
