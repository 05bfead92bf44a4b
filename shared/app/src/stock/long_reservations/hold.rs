//! Holding the chunks of a long reservation.

use jiff::Timestamp;
use tillstream_domain::quantity::{Quantity, Unit};

use crate::database::{Cancellation, Consistency, DatabaseError, Get, Table, Write};
use crate::error::Result;
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::counters::Counters;
use crate::stock::expiry::HoldReads;
use crate::stock::line_layouts::{Layouts, Looked, free_short, parts_of};
use crate::stock::long_reservations::chunk::{CHUNK_HOLDS_MAX, Chunk, ChunkState};
use crate::stock::reservation_item::{HeldLine, Reservation};
use crate::stock::split::make_whole;
use crate::stock::take::Share;
use crate::stock::wanted::Wanted;
use crate::tenancy::TenantScope;

/// A line of which there is not enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::stock) struct ShortLine {
    /// Where.
    pub location_id: String,
    /// What.
    pub sku: String,
    /// How many were wanted.
    pub quantity: Quantity,
    /// How the product is sold.
    pub unit: Unit,
    /// The stock as it was read; `None` where there is none.
    pub stock: Option<Counters>,
}

/// What came of an attempt to hold what is not held yet.
pub(super) enum Held {
    /// All is held.
    All,
    /// Of these lines there is not enough.
    Short(Vec<ShortLine>),
    /// Others changed header or chunk: look again.
    Moved,
}

/// The stock that whoever begins has seen before, by chunk: the first try needs no other look.
pub(super) type Seen = Vec<Option<Vec<Vec<Share>>>>;

fn wanted(chunk: &Chunk) -> Vec<Wanted> {
    let line = |(position, line): (usize, &super::chunk::ChunkLine)| Wanted {
        position,
        location_id: line.location_id.clone(),
        sku: line.sku.clone(),
        quantity: line.quantity,
        unit: line.unit,
        // Nothing of the catalogue is noted of it.
        is_named: false,
    };
    chunk.lines.iter().enumerate().map(line).collect()
}

/// Holds every chunk that is not held yet, in their order. Where one is short, looks at the others too, so that
/// all is told that is short.
///
/// # Errors
/// As the database; [`crate::Error::Retryable`] when the time is up.
pub(super) async fn hold_all(
    ports: &Ports,
    scope: &TenantScope,
    reservation: &Reservation,
    (seen, hold_reads): (&mut Seen, &mut HoldReads),
    now: Timestamp,
) -> Result<Held> {
    let chunks = reservation.long.as_ref().map(|long| long.chunks.as_slice()).unwrap_or_default();
    let mut short = Vec::new();
    for (at, chunk) in chunks.iter().enumerate() {
        if chunk.state != ChunkState::Planned {
            continue;
        }
        let lines = wanted(chunk);
        let mut holding = Holding {
            ports,
            scope,
            layouts: Layouts::new(ports, scope, &lines),
            lines: &lines,
            hold_reads: &mut *hold_reads,
            attempts: Attempts::new(ports.environment.as_ref()),
            now,
        };
        if short.is_empty() {
            let seen = seen.get_mut(at).and_then(Option::take);
            match holding.hold(reservation, chunk, seen).await? {
                Held::All => {}
                Held::Short(of_chunk) => short = of_chunk,
                Held::Moved => return Ok(Held::Moved),
            }
        } else if let Err(of_chunk) = holding.look().await? {
            short.extend(holding.short_lines(of_chunk));
        }
    }
    Ok(if short.is_empty() { Held::All } else { Held::Short(short) })
}

struct Holding<'a> {
    ports: &'a Ports,
    scope: &'a TenantScope,
    layouts: Layouts<'a>,
    lines: &'a [Wanted],
    hold_reads: &'a mut HoldReads,
    attempts: Attempts<'a>,
    now: Timestamp,
}

impl Holding<'_> {
    /// From where each line is taken; `Err`: what is short, after its expired holds were freed.
    async fn look(&mut self) -> Result<std::result::Result<Vec<Vec<Share>>, Vec<(usize, Option<Counters>)>>> {
        loop {
            match self.layouts.look_at_all(self.lines).await? {
                Looked::All(shares) => return Ok(Ok(shares)),
                Looked::Again(why) => self.attempts.after_a_wait(&why).await?,
                Looked::Short(short) => {
                    let (ports, scope, lines) = (self.ports, self.scope, self.lines);
                    if !free_short(ports, scope, lines, &short, self.hold_reads, self.now).await? {
                        return Ok(Err(short));
                    }
                }
            }
        }
    }

    fn short_lines(&self, short: Vec<(usize, Option<Counters>)>) -> Vec<ShortLine> {
        let line = |(at, stock): (usize, Option<Counters>)| {
            let line = self.lines.get(at)?;
            Some(ShortLine {
                location_id: line.location_id.clone(),
                sku: line.sku.clone(),
                quantity: line.quantity,
                unit: line.unit,
                stock,
            })
        };
        short.into_iter().filter_map(line).collect()
    }

    async fn has_moved(&self, reservation: &Reservation, chunk: &Chunk) -> Result<bool> {
        let key = self.scope.reservation_chunk(&reservation.id, chunk.number);
        let get = Get { table: Table::Stock, key, consistency: Consistency::Strong };
        let item = self.ports.database.get(get).await?;
        let now = item.as_ref().map(|item| Chunk::of(chunk.number, item)).transpose()?;
        Ok(now.as_ref() != Some(chunk))
    }

    async fn hold(
        &mut self,
        reservation: &Reservation,
        chunk: &Chunk,
        mut seen: Option<Vec<Vec<Share>>>,
    ) -> Result<Held> {
        let movement = reservation.movement()?;
        loop {
            let shares = match seen.take() {
                Some(shares) => shares,
                None => match self.look().await? {
                    Ok(shares) => shares,
                    // Where the answer to our own write was lost, or somebody else went on with it, what is short may
                    // have gone to this very chunk.
                    Err(_) if self.has_moved(reservation, chunk).await? => return Ok(Held::Moved),
                    Err(short) => return Ok(Held::Short(self.short_lines(short))),
                },
            };
            if shares.iter().map(Vec::len).sum::<usize>() > CHUNK_HOLDS_MAX {
                // Over so many parts no transaction takes it.
                let most = self.lines.iter().zip(&shares).max_by_key(|(_, shares)| shares.len());
                if let Some((line, _)) = most {
                    make_whole(self.ports, self.scope, &line.location_id, &line.sku).await?;
                }
                self.attempts.at_once("stock was split over too many parts")?;
                continue;
            }
            let mut next = chunk.clone();
            next.version += 1;
            next.state = ChunkState::Held;
            for (line, shares) in next.lines.iter_mut().zip(&shares) {
                line.parts = parts_of(shares);
            }
            let header = self.scope.reservation(&reservation.id);
            let check = Write::Check { table: Table::Stock, key: header, condition: reservation.still() };
            let mut writes = vec![check, chunk.replace(self.scope, reservation, &next)?];
            let mut line_of = vec![None, None];
            let held: Vec<HeldLine> = next.lines.iter().map(|line| line.held_before(0)).collect();
            let holds = reservation.holds_of(held.iter().map(|line| (line, Quantity::ZERO)));
            let of_shares = shares
                .iter()
                .enumerate()
                .flat_map(|(at, shares)| shares.iter().map(move |share| (at, share)));
            for ((hold, _), (at, share)) in holds.zip(of_shares) {
                writes.extend(hold.place(self.scope, &share.seen, &movement));
                line_of.extend([None, Some(at)]);
            }
            match self.ports.database.transact(writes).await {
                Ok(()) => return Ok(Held::All),
                Err(DatabaseError::Cancelled(reasons))
                    if reasons.iter().any(|r| matches!(r, Cancellation::ConditionFailed(_))) =>
                {
                    // Header and chunk: somebody else went on with it. Stock: what is read next tells.
                    let own = reasons.get(..2).unwrap_or_default();
                    if own.iter().any(|r| matches!(r, Cancellation::ConditionFailed(_))) {
                        return Ok(Held::Moved);
                    }
                    self.attempts.at_once("the stock changed while it was reserved")?;
                }
                Err(error) if error.is_transient() => {
                    if let DatabaseError::Cancelled(reasons) = &error {
                        self.layouts.lost(self.lines, &shares, reasons, &line_of).await?;
                    }
                    self.attempts.after_a_wait("reserving").await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
