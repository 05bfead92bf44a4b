//! Making a reservation: all lines or none. What fits one transaction is held in one; more is held chunk by chunk
//! ([`crate::stock::long_reservations`]). Where lines leave open from where, that is planned first
//! ([`crate::stock::sourcing`]).

use jiff::Timestamp;
use tillstream_contracts::inventory::{self as wire, ReserveRequest};
use tillstream_domain::quantity::Quantity;

use crate::database::{Cancellation, Consistency, DatabaseError, Get, TRANSACTION_ACTIONS_MAX, Table};
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::counters::{Counters, Movement};
use crate::stock::expiry::HoldReads;
use crate::stock::kits::{KitLine, kits_taking};
use crate::stock::line_layouts::{Layouts, Looked, free_short, parts_of};
use crate::stock::long_reservations;
use crate::stock::request_identity::{derived_id, fingerprint, request_number};
use crate::stock::reservation_item::{AppliedKey, HeldLine, KeyedRequest, Reservation, State};
use crate::stock::shortage::{Shortage, insufficient_stock};
use crate::stock::sourcing;
use crate::stock::split::make_whole;
use crate::stock::unsynced;
pub use crate::stock::wanted::{PAIRS_MAX, REQUEST_LINES_MAX};
use crate::stock::wanted::{Wanted, add_up, check};
use crate::tenancy::{Caller, TenantScope};

/// Most different location and SKU pairs that one transaction holds, each part of split stock counted: two
/// actions for each, and room for the header and, when it becomes an order, for the order and its lane.
pub const LINES_MAX: usize = (TRANSACTION_ACTIONS_MAX - 3) / 2;
/// Longest time to hold, in seconds.
pub const TTL_SECONDS_MAX: i64 = 86_400;

/// What a request on a reservation answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The reservation as the request left it.
    pub reservation: wire::Reservation,
    /// Whether the request took effect before, and this is its answer again.
    pub replayed: bool,
}

/// The end of a hold made now.
///
/// # Errors
/// 422 `ttl_out_of_range`.
pub(super) fn end_of_hold(now: Timestamp, ttl_seconds: i64) -> Result<Timestamp> {
    if !(1..=TTL_SECONDS_MAX).contains(&ttl_seconds) {
        let message = format!("ttl_seconds goes from 1 to {TTL_SECONDS_MAX}");
        return Err(Refusal::field("ttl_seconds", "ttl_out_of_range", message).into());
    }
    now.checked_add(std::time::Duration::from_secs(ttl_seconds.unsigned_abs())).map_err(Error::bug)
}

/// The time of a request, to the millisecond that is kept of it: a replay must tell the same.
pub(super) fn now_kept(ports: &Ports) -> Result<Timestamp> {
    Timestamp::from_millisecond(ports.environment.now().as_millisecond()).map_err(Error::bug)
}

/// The answer of a request that took effect before.
pub(super) fn answer_again(standing: &Reservation, request: &KeyedRequest<'_>) -> Option<Result<Answer>> {
    let applied = standing.keys.iter().find(|applied| applied.key == request.key)?;
    let replayed = request.is_replay(&applied.fingerprint, applied.request);
    Some(replayed.map(|replayed| Answer { reservation: standing.as_of(applied), replayed }))
}

/// The answer where the reservation is there already.
pub(super) fn answer_of_standing(standing: &Reservation, request: &KeyedRequest<'_>) -> Result<Answer> {
    answer_again(standing, request).unwrap_or_else(|| {
        Err(Refusal::conflict(
            "reservation_exists",
            format!("there is a reservation {} already; choose another id or none", standing.id),
        )
        .into())
    })
}

fn header_get(scope: &TenantScope, id: &str) -> Get {
    Get { table: Table::Stock, key: scope.reservation(id), consistency: Consistency::Strong }
}

/// The header that stands under an id.
///
/// # Errors
/// As the database.
pub(super) async fn header_of(ports: &Ports, scope: &TenantScope, id: &str) -> Result<Option<Reservation>> {
    ports.database.get(header_get(scope, id)).await?.as_ref().map(Reservation::of).transpose()
}

/// 409 `insufficient_stock` for these lines, by position, with what was found of them. `kits`: those among what was
/// asked for.
///
/// # Errors
/// As the database.
pub(super) async fn refused_for(
    ports: &Ports,
    caller: &Caller,
    (wanted, kits): (&[Wanted], &[KitLine]),
    short: &[(usize, Option<Counters>)],
) -> Result<Error> {
    let shortage = |(at, stock): &(usize, Option<Counters>)| {
        let line = wanted.get(*at)?;
        Some(Shortage {
            field: format!("lines[{}].quantity", line.position),
            location_id: &line.location_id,
            sku: &line.sku,
            requested: line.quantity,
            unit: line.unit,
            stock: *stock,
            kits: kits_taking(kits, &line.location_id, &line.sku),
        })
    };
    let shortages: Vec<Shortage<'_>> = short.iter().filter_map(shortage).collect();
    Ok(insufficient_stock(ports, caller, &shortages).await?.into())
}

/// Reserves all lines or none.
///
/// # Errors
/// 403 where a location is out of reach; 404 `location_not_found`; 409 `insufficient_stock` or
/// `reservation_exists`; 422 for a line, id, time or sourcing that is not valid, a kit that cannot be made of its
/// components, `variant_required`, and `idempotency_key_reused`.
pub async fn reserve(
    ports: &Ports,
    caller: &Caller,
    idempotency_key: &str,
    request: &ReserveRequest,
) -> Result<Answer> {
    let now = now_kept(ports)?;
    check(caller, request)?;
    let expires_at = end_of_hold(now, request.ttl_seconds)?;
    let id = match &request.reservation_id {
        Some(id) => id.clone(),
        None => derived_id(caller, "reserve", idempotency_key),
    };
    let keyed = KeyedRequest {
        key: idempotency_key,
        fingerprint: &fingerprint("reserve", request)?,
        number: request_number(ports.environment.as_ref()),
    };
    // Before the catalogue is asked: a replay must not depend on what became of a product.
    if let Some(header) = header_of(ports, &caller.scope, &id).await?
        && let Some(standing) = long_reservations::at_rest(ports, &caller.scope, header, now).await?
    {
        return answer_of_standing(&standing, &keyed);
    }
    let reservation = Reservation {
        id,
        state: State::Active,
        version: 1,
        lines: Vec::new(),
        kits: Vec::new(),
        expires_at,
        created_at: now,
        created_by: caller.subject.clone(),
        order_id: request.order_id.clone(),
        keys: vec![AppliedKey {
            key: keyed.key.to_owned(),
            fingerprint: keyed.fingerprint.to_owned(),
            request: keyed.number,
            state: State::Active,
            expires_at,
            order_id: request.order_id.clone(),
            committed: Vec::new(),
        }],
        long: None,
        backorder_id: None,
    };
    if let Some(sourcing) = &request.sourcing {
        return sourcing::reserve(ports, caller, request, sourcing, &reservation, &keyed).await;
    }
    let (wanted, kits, catalogue_was_read) = add_up(ports, caller, request, now).await?;
    let mut making = Making {
        ports,
        caller,
        reservation: &reservation,
        keyed: &keyed,
        attempts: Attempts::new(ports.environment.as_ref()),
        catalogue_was_read,
        may_enter: true,
        hold_reads: HoldReads::default(),
    };
    match making.make((&wanted, &kits)).await? {
        Made::Answer(answer) => Ok(answer),
        Made::Short(short) => Err(refused_for(ports, caller, (&wanted, &kits), &short).await?),
    }
}

/// What came of an attempt to make a reservation.
pub(super) enum Made {
    /// It is there.
    Answer(Answer),
    /// Of these lines, by position, there is too little, of which so much is there.
    Short(Vec<(usize, Option<Counters>)>),
}

/// A reservation that is to be made.
pub(super) struct Making<'a> {
    pub ports: &'a Ports,
    pub caller: &'a Caller,
    /// What it is to be, but for its lines and kits.
    pub reservation: &'a Reservation,
    /// The request.
    pub keyed: &'a KeyedRequest<'a>,
    /// How long it goes on.
    pub attempts: Attempts<'a>,
    /// Whether the catalogue was read for it.
    pub catalogue_was_read: bool,
    /// Whether what is missing is entered where policies allow it ([`unsynced`]).
    pub may_enter: bool,
    /// What was read of hold lines for it.
    pub hold_reads: HoldReads,
}

impl Making<'_> {
    /// Makes it of these lines, all or none. `kits`: those among what was asked for, of which the components are among
    /// the lines.
    ///
    /// # Errors
    /// 409 `reservation_exists`; 422 `idempotency_key_reused`; [`Error::Retryable`] when the time is up.
    pub(super) async fn make(&mut self, (wanted, kits): (&[Wanted], &[KitLine])) -> Result<Made> {
        if wanted.len() > LINES_MAX {
            return long_reservations::reserve(self, (wanted, kits)).await;
        }
        reserve_at_once(self, (wanted, kits)).await
    }

    /// Enters what is short where nobody has told its stock and policies allow it. Answers whether it is worth another
    /// look.
    ///
    /// # Errors
    /// As the database.
    pub(super) async fn enter(&self, wanted: &[Wanted], short: &[(usize, Option<Counters>)]) -> Result<bool> {
        let (scope, now) = (&self.caller.scope, self.reservation.created_at);
        Ok(self.may_enter && unsynced::enter(self.ports, scope, wanted, short, self.reservation, now).await?)
    }
}

fn held_line(line: &Wanted) -> HeldLine {
    HeldLine {
        location_id: line.location_id.clone(),
        sku: line.sku.clone(),
        quantity: line.quantity,
        unit: line.unit,
        committed: Quantity::ZERO,
        parts: Vec::new(),
    }
}

/// Holds all lines in one transaction.
async fn reserve_at_once(making: &mut Making<'_>, (wanted, kits): (&[Wanted], &[KitLine])) -> Result<Made> {
    let (ports, caller, keyed) = (making.ports, making.caller, making.keyed);
    let now = making.reservation.created_at;
    let lines = wanted.iter().map(held_line).collect();
    let mut reservation = Reservation { lines, kits: kits.to_vec(), ..making.reservation.clone() };
    let movement = Movement {
        kind: "hold",
        reference: reservation.id.clone(),
        actor: caller.subject.clone(),
        at: now,
        reason: None,
    };
    let mut layouts = Layouts::new(ports, &caller.scope, wanted);
    loop {
        let places = layouts.places(wanted);
        let mut gets = vec![header_get(&caller.scope, &reservation.id)];
        gets.extend(wanted.iter().zip(&places).map(|(line, place)| Get {
            table: Table::Stock,
            key: place.key(&caller.scope, &line.location_id, &line.sku),
            consistency: Consistency::Strong,
        }));
        let mut read = ports.database.get_many(gets).await?.into_iter();
        if let Some(item) = read.next().flatten() {
            let header = Reservation::of(&item)?;
            if let Some(standing) = long_reservations::at_rest(ports, &caller.scope, header, now).await? {
                return answer_of_standing(&standing, keyed).map(Made::Answer);
            }
            making.attempts.at_once("a reservation of this id was given up")?;
            continue;
        }
        let shares = match layouts.look_at(wanted, &places, read).await? {
            Looked::All(shares) => shares,
            Looked::Again(why) => {
                making.attempts.after_a_wait(&why).await?;
                continue;
            }
            Looked::Short(short) => {
                if free_short(ports, &caller.scope, wanted, &short, &mut making.hold_reads, now).await? {
                    making.attempts.at_once("expired holds were freed")?;
                    continue;
                }
                // A batch is not read at one moment: what is short may have gone to this very request.
                if header_of(ports, &caller.scope, &reservation.id).await?.is_some() {
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
        if shares.iter().map(Vec::len).sum::<usize>() > LINES_MAX {
            // Over so many parts no transaction takes it.
            let most = wanted.iter().zip(&shares).max_by_key(|(_, shares)| shares.len());
            if let Some((line, _)) = most {
                make_whole(ports, &caller.scope, &line.location_id, &line.sku).await?;
            }
            making.attempts.at_once("stock was split over too many parts")?;
            continue;
        }
        for (line, shares) in reservation.lines.iter_mut().zip(&shares) {
            line.parts = parts_of(shares);
        }
        let mut writes = vec![reservation.create(&caller.scope)?];
        let mut line_of = vec![None];
        let of_shares =
            shares.iter().enumerate().flat_map(|(at, shares)| shares.iter().map(move |share| (at, share)));
        for (hold, (at, share)) in reservation.holds().iter().zip(of_shares) {
            writes.extend(hold.place(&caller.scope, &share.seen, &movement));
            line_of.extend([None, Some(at)]);
        }
        match ports.database.transact(writes).await {
            Ok(()) => {
                if making.catalogue_was_read {
                    layouts.note_units(wanted, now);
                }
                let reservation = reservation.shown(now);
                return Ok(Made::Answer(Answer { reservation, replayed: false }));
            }
            // The header is there (our own write or a twin of it), the stock went or was laid out anew, or
            // the earliest expiry was guessed wrong: what we read next tells which.
            Err(DatabaseError::Cancelled(reasons))
                if reasons.iter().any(|r| matches!(r, Cancellation::ConditionFailed(_))) =>
            {
                making.attempts.at_once("the stock changed while it was reserved")?;
            }
            Err(error) if error.is_transient() => {
                if let DatabaseError::Cancelled(reasons) = &error {
                    layouts.lost(wanted, &shares, reasons, &line_of).await?;
                }
                making.attempts.after_a_wait("reserving").await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}
