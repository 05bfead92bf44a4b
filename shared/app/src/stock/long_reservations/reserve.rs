//! Making a long reservation: all lines or none.

use jiff::Timestamp;

use crate::database::{Cancellation, DatabaseError, Write};
use crate::error::Result;
use crate::ports::Ports;
use crate::stock::expiry::HoldReads;
use crate::stock::kits::KitLine;
use crate::stock::line_layouts::{Layouts, Looked, free_short};
use crate::stock::long_reservations::chunk::{CHUNK_HOLDS_MAX, CHUNK_LINES, Chunk, ChunkLine, ChunkState};
use crate::stock::long_reservations::drive::{Driven, drive};
use crate::stock::long_reservations::header::{Long, with_chunks};
use crate::stock::long_reservations::hold::{Seen, ShortLine};
use crate::stock::request_identity::request_number;
use crate::stock::reservation_item::{HeldLine, Reservation, State};
use crate::stock::reserve::{Made, Making, answer_of_standing, header_of};
use crate::stock::take::Share;
use crate::stock::wanted::Wanted;
use crate::tenancy::TenantScope;

/// The reservation that stands under an id, as it is when nothing is left to be done with it; `None` where there
/// is none, also because it was given up.
///
/// # Errors
/// As the database; [`crate::Error::Retryable`] when the time is up.
pub(in crate::stock) async fn at_rest(
    ports: &Ports,
    scope: &TenantScope,
    header: Reservation,
    now: Timestamp,
) -> Result<Option<Reservation>> {
    if header.state.is_under_way() {
        let mut reads = HoldReads::default();
        return Ok(match drive(ports, scope, &header.id, Vec::new(), &mut reads, now).await? {
            Driven::Rest(reservation) => Some(*reservation),
            Driven::Gone(_) => None,
        });
    }
    with_chunks(ports.database.as_ref(), scope, header).await
}

/// The reservation of an id, as it is when nothing is left to be done with it.
///
/// # Errors
/// As the database; [`crate::Error::Retryable`] when the time is up.
pub async fn find_at_rest(
    ports: &Ports,
    scope: &TenantScope,
    id: &str,
    now: Timestamp,
) -> Result<Option<Reservation>> {
    match header_of(ports, scope, id).await? {
        Some(header) => at_rest(ports, scope, header, now).await,
        None => Ok(None),
    }
}

/// A first version of it, of nothing held yet.
fn planned(reservation: &Reservation, wanted: &[Wanted], attempt: i64, now: Timestamp) -> Reservation {
    let line = |line: &Wanted| ChunkLine {
        location_id: line.location_id.clone(),
        sku: line.sku.clone(),
        quantity: line.quantity,
        unit: line.unit,
        parts: Vec::new(),
        commits: Vec::new(),
    };
    let chunk = |(number, lines): (u32, &[Wanted])| Chunk {
        number,
        attempt,
        version: 1,
        state: ChunkState::Planned,
        unsettled: None,
        lines: lines.iter().map(line).collect(),
    };
    let chunks: Vec<Chunk> = (0..).zip(wanted.chunks(CHUNK_LINES)).map(chunk).collect();
    let mut planned = Reservation {
        state: State::Reserving,
        lines: chunks
            .iter()
            .flat_map(|chunk| &chunk.lines)
            .map(|line| line.held_before(1))
            .collect::<Vec<HeldLine>>(),
        ..reservation.clone()
    };
    let chunk_count = u32::try_from(chunks.len()).unwrap_or(u32::MAX);
    let has_kits = !planned.kits.is_empty();
    planned.long = Some(Long { attempt, chunk_count, chunks, has_kits, step: None, due_at: None });
    planned.stands_since(None, now);
    planned
}

fn create(scope: &TenantScope, planned: &Reservation) -> Result<Vec<Write>> {
    let mut writes = vec![planned.create(scope)?];
    for chunk in planned.long.iter().flat_map(|long| &long.chunks) {
        writes.push(chunk.create(scope, planned)?);
    }
    writes.extend(planned.put_kits(scope)?);
    Ok(writes)
}

/// What was seen, by chunk; nothing of those that no one transaction takes so.
fn by_chunk(shares: Vec<Vec<Share>>) -> Seen {
    let chunk = |shares: &[Vec<Share>]| {
        let fits = shares.iter().map(Vec::len).sum::<usize>() <= CHUNK_HOLDS_MAX;
        fits.then(|| shares.to_vec())
    };
    shares.chunks(CHUNK_LINES).map(chunk).collect()
}

/// Makes it of these lines, or tells all that are short.
///
/// # Errors
/// 409 `reservation_exists`; 422 `idempotency_key_reused`; [`crate::Error::Retryable`] when the time is up.
pub(in crate::stock) async fn reserve(
    making: &mut Making<'_>,
    (wanted, kits): (&[Wanted], &[KitLine]),
) -> Result<Made> {
    let (ports, request) = (making.ports, making.keyed);
    let reservation = &Reservation { kits: kits.to_vec(), ..making.reservation.clone() };
    let (scope, now) = (&making.caller.scope, reservation.created_at);
    let mut layouts = Layouts::new(ports, scope, wanted);
    loop {
        if let Some(header) = header_of(ports, scope, &reservation.id).await? {
            match at_rest(ports, scope, header, now).await? {
                Some(standing) => return answer_of_standing(&standing, request).map(Made::Answer),
                None => {
                    making.attempts.at_once("the reservation was given up")?;
                    continue;
                }
            }
        }
        let shares = match layouts.look_at_all(wanted).await? {
            Looked::All(shares) => shares,
            Looked::Again(why) => {
                making.attempts.after_a_wait(&why).await?;
                continue;
            }
            Looked::Short(short) => {
                if free_short(ports, scope, wanted, &short, &mut making.hold_reads, now).await? {
                    continue;
                }
                // A batch is not read at one moment: what is short may have gone to this very request.
                if header_of(ports, scope, &reservation.id).await?.is_some() {
                    making.attempts.at_once("the reservation is there")?;
                    continue;
                }
                if making.enter(wanted, &short).await? {
                    making.attempts.at_once("stock that nobody has told was entered")?;
                    continue;
                }
                return Ok(Made::Short(short));
            }
        };
        let attempt = request_number(ports.environment.as_ref());
        let planned = planned(reservation, wanted, attempt, now);
        match ports.database.transact(create(scope, &planned)?).await {
            Ok(()) => {}
            // Another request began, or this one, whose answer was lost.
            Err(error) if error.is_transient() => {
                making.attempts.after_a_wait("planning a reservation").await?;
                continue;
            }
            Err(DatabaseError::Cancelled(reasons))
                if reasons.iter().any(|r| matches!(r, Cancellation::ConditionFailed(_))) =>
            {
                making.attempts.at_once("the reservation is there")?;
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        let reads = &mut making.hold_reads;
        match drive(ports, scope, &reservation.id, by_chunk(shares), reads, now).await? {
            Driven::Rest(standing) => return answer_of_standing(&standing, request).map(Made::Answer),
            Driven::Gone(short) if !short.is_empty() => return Ok(Made::Short(positions(wanted, short))),
            // Its time was over before all was held, or the keeper took it for forgotten.
            Driven::Gone(_) => making.attempts.after_a_wait("the reservation was given up").await?,
        }
    }
}

/// What was short of the lines that are wanted, by position.
fn positions(
    wanted: &[Wanted],
    short: Vec<ShortLine>,
) -> Vec<(usize, Option<crate::stock::counters::Counters>)> {
    let position = |short: ShortLine| {
        let same = |line: &Wanted| line.location_id == short.location_id && line.sku == short.sku;
        Some((wanted.iter().position(same)?, short.stock))
    };
    short.into_iter().filter_map(position).collect()
}
