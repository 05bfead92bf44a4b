//! What is decided about a long reservation: commit, in part or whole, release, extend. One write decides; the
//! stock follows.

use jiff::Timestamp;
use tillstream_domain::quantity::Quantity;

use crate::database::{Consistency, Get, Item, Table, Write};
use crate::error::Result;
use crate::ports::Ports;
use crate::stock::counters::Movement;
use crate::stock::holds::{Ending, EndingWrite, Located, end_holds, has_moved};
use crate::stock::long_reservations::header::Step;
use crate::stock::long_reservations::settle::sold_holds;
use crate::stock::reservation_item::{KeyedRequest, OfLines, Reservation, SoldInPart, State};
use crate::tenancy::TenantScope;

/// The next version of a long reservation.
fn next(
    reservation: &Reservation,
    (state, leaves): (State, State),
    expires_at: Timestamp,
    order_id: Option<&str>,
    request: &KeyedRequest<'_>,
    (movement, now): (&Movement, Timestamp),
) -> Reservation {
    let mut next = reservation.next(leaves, expires_at, order_id, request);
    next.state = state;
    next.stands_since(state.is_under_way().then(|| Step::of(movement)), now);
    next
}

/// Decides that all it holds is sold. One write, also for use in the transaction of an order.
pub(in crate::stock) fn commit_whole(
    scope: &TenantScope,
    reservation: &Reservation,
    order_id: Option<&str>,
    request: &KeyedRequest<'_>,
    at: (&Movement, Timestamp),
) -> Result<(Reservation, Vec<Write>)> {
    let states = (State::Committing, State::Committed);
    let next = next(reservation, states, reservation.expires_at, order_id, request, at);
    let write = reservation.replace(scope, &next)?;
    Ok((next, vec![write]))
}

/// Decides that a part of what it holds is sold.
pub(in crate::stock) fn commit_part(
    scope: &TenantScope,
    reservation: &Reservation,
    sold: &SoldInPart,
    request: &KeyedRequest<'_>,
    at: (&Movement, Timestamp),
) -> Result<(Reservation, Vec<Write>)> {
    let states = (State::Committing, State::Active);
    let mut next = next(reservation, states, reservation.expires_at, None, request, at);
    let ordinal = super::header::last_ordinal(&next);
    let mut writes = Vec::new();
    let mut first = 0;
    for chunk in reservation.long.iter().flat_map(|long| &long.chunks) {
        let mut after = chunk.clone();
        for (line, at) in after.lines.iter_mut().zip(first..) {
            let of_line = sold.lines.iter().filter(|(position, _)| *position == at);
            line.commits.extend(of_line.map(|(_, quantity)| (ordinal, *quantity)));
        }
        first += chunk.lines.len();
        if after != *chunk {
            after.version += 1;
            after.unsettled = Some(ordinal);
            writes.push(chunk.replace(scope, reservation, &after)?);
        }
    }
    for (at, quantity) in &sold.lines {
        if let Some(line) = next.lines.get_mut(*at) {
            line.committed = line.committed.plus(*quantity);
        }
    }
    if !sold.kits.is_empty() {
        next.commit_kits(&sold.kits);
        writes.extend(next.put_kits(scope)?);
    }
    writes.insert(0, reservation.replace(scope, &next)?);
    Ok((next, writes))
}

/// Decides that what it holds is given back.
pub(in crate::stock) fn release(
    scope: &TenantScope,
    reservation: &Reservation,
    request: &KeyedRequest<'_>,
    at: (&Movement, Timestamp),
) -> Result<(Reservation, Vec<Write>)> {
    let states = (State::Releasing, State::Released);
    let next = next(reservation, states, reservation.expires_at, None, request, at);
    let write = reservation.replace(scope, &next)?;
    Ok((next, vec![write]))
}

/// Extends it: its hold lines follow when somebody asks for them.
pub(in crate::stock) fn extend(
    scope: &TenantScope,
    reservation: &Reservation,
    expires_at: Timestamp,
    request: &KeyedRequest<'_>,
    at: (&Movement, Timestamp),
) -> Result<(Reservation, Vec<Write>)> {
    let next = next(reservation, (State::Active, State::Active), expires_at, None, request, at);
    let write = reservation.replace(scope, &next)?;
    Ok((next, vec![write]))
}

/// Where what is about to be sold lies, and what was found there. `None`: stock was laid out anew meanwhile, so
/// that what was found tells nothing.
///
/// # Errors
/// As the database.
pub(in crate::stock) async fn places_of(
    ports: &Ports,
    scope: &TenantScope,
    reservation: &Reservation,
    sold: Option<&OfLines>,
    movement: &Movement,
) -> Result<Option<Vec<(EndingWrite, Option<Item>)>>> {
    let mut located: Vec<Located> = Vec::new();
    let ordinal = u32::try_from(reservation.keys.len()).unwrap_or(u32::MAX);
    let mut first = 0;
    for chunk in reservation.long.iter().flat_map(|long| &long.chunks) {
        let mut as_sold = chunk.clone();
        for (line, at) in as_sold.lines.iter_mut().zip(first..) {
            let of_line = sold.into_iter().flatten().filter(|(position, _)| *position == at);
            line.commits.extend(of_line.map(|(_, quantity): &(usize, Quantity)| (ordinal, *quantity)));
        }
        first += chunk.lines.len();
        located.extend(sold_holds(ports, scope, reservation, &as_sold, (ordinal, sold.is_none())).await?);
    }
    let ended = end_holds(scope, &located, &Ending::Settle(movement.at), movement);
    let places: Vec<EndingWrite> =
        ended.into_iter().map(|(_, about)| about).filter(|about| *about != EndingWrite::Line).collect();
    let gets = places.iter().filter_map(|about| match about {
        EndingWrite::Line => None,
        EndingWrite::Stock { location_id, sku, place, .. } => Some(Get {
            table: Table::Stock,
            key: place.key(scope, location_id, sku),
            consistency: Consistency::Strong,
        }),
    });
    let items = ports.database.get_many(gets.collect()).await?;
    let seen: Vec<(EndingWrite, Option<Item>)> = places.into_iter().zip(items).collect();
    let moved = seen.iter().any(|(about, item)| has_moved(about, item.as_ref()));
    Ok((!moved).then_some(seen))
}
