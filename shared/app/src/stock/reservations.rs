//! What becomes of a reservation: commit, release, extend. Each is one transaction, and the header keeps
//! the idempotency keys that took effect.

use jiff::Timestamp;
use serde_json::json;
use tillstream_contracts::inventory::{self as wire, ExtendRequest};
use tillstream_domain::identifier::check_id;

use crate::database::{Cancellation, Condition, Consistency, DatabaseError, Get, Item, Table, Write};
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::counters::{Counters, Movement};
use crate::stock::holds::Hold;
use crate::stock::request_identity::fingerprint;
pub use crate::stock::request_identity::request_number;
pub use crate::stock::reservation_item::KeyedRequest;
use crate::stock::reservation_item::{EXTENSIONS_MAX, Reservation, State};
use crate::stock::reserve::{Answer, answer_again, end_of_hold, now_kept};
use crate::stock::shortage::{Shortage, insufficient_stock};
use crate::tenancy::{Caller, TenantScope};

/// Reads a reservation, strongly consistent.
///
/// # Errors
/// As the database.
pub async fn find(ports: &Ports, scope: &TenantScope, id: &str) -> Result<Option<Reservation>> {
    let get = Get { table: Table::Stock, key: scope.reservation(id), consistency: Consistency::Strong };
    ports.database.get(get).await?.as_ref().map(Reservation::of).transpose()
}

async fn find_in_reach(ports: &Ports, caller: &Caller, id: &str) -> Result<Reservation> {
    let not_found = || Refusal::not_found("reservation_not_found", format!("there is no reservation {id}"));
    check_id(id).map_err(|_| not_found())?;
    let reservation = find(ports, &caller.scope, id).await?.ok_or_else(not_found)?;
    for line in &reservation.lines {
        caller.require_store(&line.location_id)?;
    }
    Ok(reservation)
}

/// Shows a reservation.
///
/// # Errors
/// 403 where one of its locations is out of reach; 404 `reservation_not_found`.
pub async fn get(ports: &Ports, caller: &Caller, id: &str) -> Result<wire::Reservation> {
    Ok(find_in_reach(ports, caller, id).await?.shown(ports.environment.now()))
}

/// How a reservation is committed.
#[derive(Debug, Clone, Copy)]
pub struct Commit<'a> {
    /// The request's time: a hold that has ended by then is refused.
    pub now: Timestamp,
    /// The request, recorded in the header.
    pub request: KeyedRequest<'a>,
    /// The order that takes the stock, if there is one.
    pub order_id: Option<&'a str>,
    /// What the ledger says of it.
    pub movement: &'a Movement,
}

/// The actions that end an active reservation as a sale, for use inside a transaction: first its header,
/// then per line the hold (only while it has not ended) and the stock item. 1 + 2 per line, at most 99.
/// No other action of the transaction may touch the stock items of its lines, so an order that is
/// placed on a reservation must be for exactly [`Reservation::quantities`].
///
/// # Errors
/// A bug if the header cannot be written.
pub fn commit_actions(
    scope: &TenantScope,
    reservation: &Reservation,
    commit: &Commit<'_>,
) -> Result<Vec<Write>> {
    let next = reservation.next(State::Committed, reservation.expires_at, commit.order_id, &commit.request);
    let mut writes = vec![next.overwrite(scope)?];
    for hold in reservation.holds() {
        writes.extend(hold.commit(scope, commit.now, commit.movement));
    }
    Ok(writes)
}

/// Refuses unless the reservation can be committed now: what would be a lost race to a transaction that
/// holds [`commit_actions`] is a plain answer here.
///
/// # Errors
/// As [`require_active`]; 409 `reservation_expired` where a hold was freed, `insufficient_stock` where a
/// count found less than is held.
pub async fn require_committable(
    ports: &Ports,
    caller: &Caller,
    reservation: &Reservation,
    now: Timestamp,
) -> Result<()> {
    require_active(reservation, now)?;
    if standing_holds(ports, &caller.scope, reservation).await?.len() < reservation.lines.len() {
        return Err(expired(reservation));
    }
    let gets = reservation.lines.iter().map(|line| Get {
        table: Table::Stock,
        key: caller.scope.stock(&line.location_id, &line.sku),
        consistency: Consistency::Strong,
    });
    let stock = ports.database.get_many(gets.collect()).await?;
    let shortages = count_shortages(reservation, stock.iter().map(Option::as_ref).map(Some))?;
    if shortages.is_empty() {
        return Ok(());
    }
    Err(insufficient_stock(ports, caller, &shortages).await?.into())
}

/// Refuses unless the reservation is active and, where that matters, not over.
///
/// # Errors
/// 409 `reservation_not_active` or `reservation_expired`.
pub fn require_active(reservation: &Reservation, now: Timestamp) -> Result<()> {
    require_state(reservation)?;
    if reservation.has_expired(now) { Err(expired(reservation)) } else { Ok(()) }
}

fn require_state(reservation: &Reservation) -> Result<()> {
    if reservation.state == State::Active {
        return Ok(());
    }
    let name = if reservation.state == State::Committed { "committed" } else { "released" };
    Err(Refusal::conflict("reservation_not_active", format!("reservation {} was {name}", reservation.id))
        .with_extra("state", name)
        .into())
}

fn expired(reservation: &Reservation) -> Error {
    Refusal::conflict(
        "reservation_expired",
        format!("reservation {} ended at {}; make a new one", reservation.id, reservation.expires_at),
    )
    .with_extra("expired_at", reservation.expires_at.to_string())
    .into()
}

enum Action<'a> {
    Commit,
    Release,
    Extend(&'a ExtendRequest),
}

impl Action<'_> {
    fn name(&self) -> &'static str {
        match self {
            Action::Commit => "commit",
            Action::Release => "release",
            Action::Extend(_) => "extend",
        }
    }

    fn fingerprint(&self) -> Result<String> {
        match self {
            Action::Extend(request) => fingerprint(self.name(), request),
            Action::Commit | Action::Release => fingerprint(self.name(), &json!({})),
        }
    }
}

/// Commits a whole reservation: what it holds leaves the shelf.
///
/// # Errors
/// 403, 404 `reservation_not_found`, 409 `reservation_not_active`, `reservation_expired` or
/// `insufficient_stock` (a count found less than is held), 422 `idempotency_key_reused`.
pub async fn commit(ports: &Ports, caller: &Caller, key: &str, id: &str) -> Result<Answer> {
    change(ports, caller, key, id, &Action::Commit).await
}

/// Releases a whole reservation: what it still holds becomes available.
///
/// # Errors
/// 403, 404 `reservation_not_found`, 409 `reservation_not_active`, 422 `idempotency_key_reused`.
pub async fn release(ports: &Ports, caller: &Caller, key: &str, id: &str) -> Result<Answer> {
    change(ports, caller, key, id, &Action::Release).await
}

/// Extends a reservation to `ttl_seconds` from now; never shortens it.
///
/// # Errors
/// 403, 404 `reservation_not_found`, 409 `reservation_not_active`, `reservation_expired` or
/// `too_many_extensions`, 422 `ttl_out_of_range` or `idempotency_key_reused`.
pub async fn extend(
    ports: &Ports,
    caller: &Caller,
    key: &str,
    id: &str,
    request: &ExtendRequest,
) -> Result<Answer> {
    change(ports, caller, key, id, &Action::Extend(request)).await
}

async fn change(ports: &Ports, caller: &Caller, key: &str, id: &str, action: &Action<'_>) -> Result<Answer> {
    let now = now_kept(ports)?;
    let request = KeyedRequest {
        key,
        fingerprint: &action.fingerprint()?,
        number: request_number(ports.environment.as_ref()),
    };
    let movement = Movement {
        kind: action.name(),
        reference: id.to_owned(),
        actor: caller.subject.clone(),
        at: now,
        reason: None,
    };
    let mut attempts = Attempts::new(ports.environment.as_ref());
    // Version of the header whose holds were found ended by a clock ahead of ours.
    let mut ended_at_version = None;
    loop {
        let reservation = find_in_reach(ports, caller, id).await?;
        if let Some(answer) = answer_again(&reservation, &request) {
            return answer;
        }
        require_state(&reservation)?;
        if ended_at_version == Some(reservation.version) {
            return Err(expired(&reservation));
        }
        let (next, writes) = actions(ports, caller, &reservation, action, &request, &movement, now).await?;
        match ports.database.transact(writes).await {
            Ok(()) => return Ok(Answer { reservation: next.shown(now), replayed: false }),
            Err(DatabaseError::Cancelled(reasons))
                if reasons.iter().any(|r| matches!(r, Cancellation::ConditionFailed(_))) =>
            {
                match action {
                    Action::Commit => {
                        ended_at_version = refuse_commit(ports, caller, &reservation, &reasons).await?;
                    }
                    Action::Extend(_) => ended_at_version = ended(&reservation, &reasons, 1),
                    // A line ended meanwhile: the next read leaves it out.
                    Action::Release => {}
                }
                attempts.at_once("the reservation changed meanwhile")?;
            }
            Err(error) if error.is_transient() => {
                attempts.after_a_wait(action.name()).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// What the action writes, the header first.
async fn actions(
    ports: &Ports,
    caller: &Caller,
    reservation: &Reservation,
    action: &Action<'_>,
    request: &KeyedRequest<'_>,
    movement: &Movement,
    now: Timestamp,
) -> Result<(Reservation, Vec<Write>)> {
    let scope = &caller.scope;
    let next = |state, expires_at| reservation.next(state, expires_at, None, request);
    match action {
        Action::Commit => {
            require_active(reservation, now)?;
            let commit = Commit { now, request: *request, order_id: None, movement };
            let next = next(State::Committed, reservation.expires_at);
            Ok((next, commit_actions(scope, reservation, &commit)?))
        }
        Action::Extend(extend) => {
            let expires_at = end_of_hold(now, extend.ttl_seconds)?.max(reservation.expires_at);
            require_active(reservation, now)?;
            if reservation.keys.len() > EXTENSIONS_MAX {
                return Err(Refusal::conflict(
                    "too_many_extensions",
                    format!("a reservation is extended at most {EXTENSIONS_MAX} times; make a new one"),
                )
                .into());
            }
            let next = next(State::Active, expires_at);
            let mut writes = vec![next.overwrite(scope)?];
            for hold in reservation.holds() {
                writes.push(hold.extend(scope, now, expires_at.as_millisecond()));
            }
            Ok((next, writes))
        }
        Action::Release => {
            let next = next(State::Released, reservation.expires_at);
            let mut writes = vec![next.overwrite(scope)?];
            for hold in standing_holds(ports, scope, reservation).await? {
                writes.extend(hold.give_back(scope, Condition::Exists, movement));
            }
            Ok((next, writes))
        }
    }
}

/// The hold lines that are still there: those that expired may have been freed.
async fn standing_holds(ports: &Ports, scope: &TenantScope, reservation: &Reservation) -> Result<Vec<Hold>> {
    let gets = reservation
        .lines
        .iter()
        .map(|line| Get {
            table: Table::Stock,
            key: scope.hold(&line.location_id, &line.sku, &reservation.id),
            consistency: Consistency::Strong,
        })
        .collect();
    ports.database.get_many(gets).await?.iter().flatten().map(Hold::of).collect()
}

/// The reservation's version if a hold line's condition failed although the header's held. `step` is the
/// number of actions per line.
fn ended(reservation: &Reservation, reasons: &[Cancellation], step: usize) -> Option<i64> {
    let mut holds = reasons.iter().skip(1).step_by(step);
    holds.any(|r| matches!(r, Cancellation::ConditionFailed(_))).then_some(reservation.version)
}

/// Why a commit's transaction did not hold, if that is a business answer; else what [`ended`] says.
async fn refuse_commit(
    ports: &Ports,
    caller: &Caller,
    reservation: &Reservation,
    reasons: &[Cancellation],
) -> Result<Option<i64>> {
    let ended = ended(reservation, reasons, 2);
    if ended.is_some() || matches!(reasons.first(), Some(Cancellation::ConditionFailed(_))) {
        return Ok(ended);
    }
    let failed = reasons.iter().skip(2).step_by(2).map(|reason| match reason {
        Cancellation::ConditionFailed(item) => Some(item.as_ref()),
        _ => None,
    });
    let shortages = count_shortages(reservation, failed)?;
    if shortages.is_empty() {
        return Err(Error::Bug(format!(
            "reservation {} holds more than its stock items have reserved",
            reservation.id
        )));
    }
    Err(insufficient_stock(ports, caller, &shortages).await?.into())
}

/// The lines of which less lies there than is held: a count found it. `items` are their stock items,
/// `None` for those not to look at.
fn count_shortages<'a, 'b>(
    reservation: &'a Reservation,
    items: impl Iterator<Item = Option<Option<&'b Item>>>,
) -> Result<Vec<Shortage<'a>>> {
    let mut shortages = Vec::new();
    for (position, (line, item)) in reservation.lines.iter().zip(items).enumerate() {
        let Some(item) = item else { continue };
        let stock = item.map(Counters::of).transpose()?;
        if stock.is_some_and(|stock| stock.on_hand >= line.quantity.thousandths()) {
            continue;
        }
        shortages.push(Shortage {
            field: format!("lines[{position}].quantity"),
            location_id: &line.location_id,
            sku: &line.sku,
            requested: line.quantity,
            unit: line.unit,
            // What can be taken for this reservation is what lies there.
            stock: stock.map(|stock| Counters { available: stock.on_hand, ..stock }),
        });
    }
    Ok(shortages)
}
