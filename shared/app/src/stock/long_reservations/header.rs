//! What the header of a long reservation says beside that of a short one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_domain::quantity::Quantity;

use crate::database::{Condition, Consistency, Database, Get, Item, Table, Write};
use crate::error::{Error, Result};
use crate::keys;
use crate::pos::identity::spread;
use crate::stock::counters::Movement;
use crate::stock::kits;
use crate::stock::long_reservations::chunk::Chunk;
use crate::stock::reservation_item::{Reservation, State};
use crate::tenancy::TenantScope;

/// Kind of its work in the index of what is due.
pub(super) const DUE: &str = "reservation";
/// How long what is under way is left to whoever began it, before the keeper goes on with it.
const UNDER_WAY_MILLIS: i64 = 30_000;
/// How often header and chunks are read again that changed between.
const READS_MAX: u32 = 8;

/// What only a long reservation has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Long {
    /// Which attempt at it: an id that was given up may be used again, so all that belongs to it names this.
    pub attempt: i64,
    /// How many chunks it has.
    pub chunk_count: u32,
    /// They; none until they were read.
    pub chunks: Vec<Chunk>,
    /// Whether kits are among what was asked for: they stand in an item of their own.
    pub has_kits: bool,
    /// What is being done, and what the ledger says of it.
    pub step: Option<Step>,
    /// When the keeper goes on with what is under way, in epoch milliseconds.
    pub due_at: Option<i64>,
}

/// What is being done with a long reservation, as the ledger tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// `commit`, `sale` or `release`.
    pub kind: String,
    /// Reservation, or the order that takes it.
    pub reference: String,
    /// Who.
    pub actor: String,
    /// When, in epoch milliseconds.
    pub at: i64,
}

impl Step {
    pub(in crate::stock) fn of(movement: &Movement) -> Self {
        Step {
            kind: movement.kind.to_owned(),
            reference: movement.reference.clone(),
            actor: movement.actor.clone(),
            at: movement.at.as_millisecond(),
        }
    }

    fn movement(&self) -> Result<Movement> {
        let kind = ["commit", "sale", "release"].into_iter().find(|kind| *kind == self.kind);
        Ok(Movement {
            kind: kind.ok_or_else(|| Error::Bug(format!("unknown step of a reservation {}", self.kind)))?,
            reference: self.reference.clone(),
            actor: self.actor.clone(),
            at: Timestamp::from_millisecond(self.at).map_err(Error::bug)?,
            reason: None,
        })
    }
}

impl Long {
    /// What a header says of it; `None` for a short reservation.
    ///
    /// # Errors
    /// A bug if it is no header.
    pub fn of(item: &Item) -> Result<Option<Self>> {
        let Some(chunk_count) = item.opt_number("chunks") else { return Ok(None) };
        Ok(Some(Long {
            attempt: item.number("attempt")?,
            chunk_count: u32::try_from(chunk_count).map_err(Error::bug)?,
            chunks: Vec::new(),
            has_kits: item.opt_number("has_kits").is_some(),
            step: item.opt_text("step").map(|_| item.json("step")).transpose()?,
            due_at: item.opt_number("due_at"),
        }))
    }

    /// Adds what it says to a header.
    ///
    /// # Errors
    /// A bug if it cannot be JSON.
    pub fn attributes(&self, item: Item, of: &Reservation) -> Result<Item> {
        let mut item = item.with("attempt", self.attempt).with("chunks", i64::from(self.chunk_count));
        if self.has_kits {
            item = item.with("has_kits", 1);
        }
        if let Some(step) = &self.step {
            item = item.with_json("step", step)?;
        }
        if let Some(due_at) = self.due_at {
            let due = keys::due(DUE, spread(&of.id));
            item = item.with("due_pk", due.value()).with("due_at", due_at);
        }
        Ok(item)
    }

    /// Of each line, how many were committed by the requests before the one at this position.
    pub fn committed_before(&self, ordinal: u32) -> Vec<Quantity> {
        let lines = self.chunks.iter().flat_map(|chunk| &chunk.lines);
        lines.map(|line| line.committed_before(ordinal)).collect()
    }
}

/// Position of the last request that took effect.
pub(in crate::stock) fn last_ordinal(reservation: &Reservation) -> u32 {
    u32::try_from(reservation.keys.len().saturating_sub(1)).unwrap_or(u32::MAX)
}

impl Reservation {
    /// The condition that a header is as it was read.
    fn as_read(&self) -> Condition {
        let attempt = self.long.as_ref().map_or(0, |long| long.attempt);
        Condition::All(vec![
            Condition::Eq("version", self.version.into()),
            Condition::Eq("state", self.state.name().into()),
            Condition::Eq("attempt", attempt.into()),
        ])
    }

    /// The condition that it is still in this state, by the same attempt.
    pub(super) fn still(&self) -> Condition {
        let attempt = self.long.as_ref().map_or(0, |long| long.attempt);
        Condition::All(vec![
            Condition::Eq("state", self.state.name().into()),
            Condition::Eq("attempt", attempt.into()),
        ])
    }

    /// The next version of a long one, in another state.
    pub(in crate::stock) fn moved_to(&self, state: State, step: Option<Step>, now: Timestamp) -> Self {
        let mut next = self.clone();
        next.version += 1;
        next.state = state;
        next.stands_since(step, now);
        next
    }

    /// Notes what is being done, and when the keeper goes on with it.
    pub(super) fn stands_since(&mut self, step: Option<Step>, now: Timestamp) {
        let due_at = now.as_millisecond().saturating_add(UNDER_WAY_MILLIS);
        let is_under_way = self.state.is_under_way();
        if let Some(long) = &mut self.long {
            long.step = step;
            long.due_at = is_under_way.then_some(due_at);
        }
    }

    /// Writes `next` over the header as it was read.
    ///
    /// # Errors
    /// A bug if it cannot be JSON.
    pub(in crate::stock) fn replace(&self, scope: &TenantScope, next: &Reservation) -> Result<Write> {
        Ok(Write::Put { table: Table::Stock, item: next.item(scope)?, condition: Some(self.as_read()) })
    }

    /// Writes what it says of kits, beside the header or over what was there: whoever writes this writes the header
    /// too, on its condition. `None` where there are none.
    ///
    /// # Errors
    /// A bug if it cannot be encoded.
    pub(super) fn put_kits(&self, scope: &TenantScope) -> Result<Option<Write>> {
        let Some(long) = self.long.as_ref().filter(|long| long.has_kits) else { return Ok(None) };
        let item = Item::new(&scope.reservation_kits(&self.id))
            .with("tenant_id", scope.tenant_id())
            .with("reservation_id", self.id.as_str())
            .with("attempt", long.attempt)
            .with("kits", kits::stored(&self.kits, &self.lines)?);
        Ok(Some(Write::Put { table: Table::Stock, item, condition: None }))
    }

    /// Takes the header away, and the chunks with it.
    pub(super) fn remove(&self, scope: &TenantScope) -> Vec<Write> {
        let header = scope.reservation(&self.id);
        let mut writes =
            vec![Write::Delete { table: Table::Stock, key: header, condition: Some(self.as_read()) }];
        let chunks = self.long.as_ref().map_or(0, |long| long.chunk_count);
        writes.extend((0..chunks).map(|number| Write::Delete {
            table: Table::Stock,
            key: scope.reservation_chunk(&self.id, number),
            condition: None,
        }));
        if self.long.as_ref().is_some_and(|long| long.has_kits) {
            let key = scope.reservation_kits(&self.id);
            writes.push(Write::Delete { table: Table::Stock, key, condition: None });
        }
        writes
    }

    /// What the ledger says of what is being done with it.
    ///
    /// # Errors
    /// A bug if the header does not say.
    pub(super) fn movement(&self) -> Result<Movement> {
        if let Some(step) = self.long.as_ref().and_then(|long| long.step.as_ref()) {
            return step.movement();
        }
        Ok(Movement {
            kind: if self.state == State::Reserving { "hold" } else { "release" },
            reference: self.id.clone(),
            actor: self.created_by.clone(),
            at: self.created_at,
            reason: None,
        })
    }
}

/// Reads a reservation with its chunks, strongly consistent.
///
/// # Errors
/// As the database.
pub(in crate::stock) async fn find(
    database: &dyn Database,
    scope: &TenantScope,
    id: &str,
) -> Result<Option<Reservation>> {
    for _ in 0..READS_MAX {
        let get = Get { table: Table::Stock, key: scope.reservation(id), consistency: Consistency::Strong };
        let Some(item) = database.get(get).await? else { return Ok(None) };
        if let Some(read) = with_chunks(database, scope, Reservation::of(&item)?).await? {
            return Ok(Some(read));
        }
    }
    Err(Error::retryable(format!("reservation {id} changes too often to read it")))
}

/// A header that was read, with its chunks if it is of a long reservation. `None`: it was given up meanwhile.
///
/// A chunk that changed after the header was read harms nobody: what it says of later requests is not looked at,
/// and whoever writes it names its version.
///
/// # Errors
/// As the database.
pub(in crate::stock) async fn with_chunks(
    database: &dyn Database,
    scope: &TenantScope,
    mut header: Reservation,
) -> Result<Option<Reservation>> {
    let Some(long) = &mut header.long else { return Ok(Some(header)) };
    let get = |key| Get { table: Table::Stock, key, consistency: Consistency::Strong };
    let chunks = (0..long.chunk_count).map(|number| scope.reservation_chunk(&header.id, number));
    let kits = long.has_kits.then(|| scope.reservation_kits(&header.id));
    let mut items = database.get_many(chunks.chain(kits).map(get).collect()).await?;
    let kits = if long.has_kits { items.pop() } else { None };
    for (number, item) in (0..).zip(&items) {
        match item.as_ref().map(|item| Chunk::of(number, item)).transpose()? {
            Some(chunk) if chunk.attempt == long.attempt => long.chunks.push(chunk),
            _ => return Ok(None),
        }
    }
    let known = u32::try_from(header.keys.len()).unwrap_or(u32::MAX);
    let lines = long.chunks.iter().flat_map(|chunk| &chunk.lines);
    header.lines = lines.map(|line| line.held_before(known)).collect();
    if let Some(item) = kits {
        match item.filter(|item| item.opt_number("attempt") == Some(long.attempt)) {
            Some(item) => header.kits = kits::read_before(item.bytes("kits")?, &header.lines, known)?,
            None => return Ok(None),
        }
    }
    Ok(Some(header))
}
