//! What becomes of a reservation: commit, in part or whole, release, extend. Each is one transaction, and the header keeps
//! the idempotency keys that took effect.

use jiff::Timestamp;
use serde_json::json;
use tillstream_contracts::inventory::{self as wire, CommitRequest, ExtendRequest};
use tillstream_contracts::lots::CommitLine;
use tillstream_domain::identifier::check_id;
use tillstream_domain::quantity::{Quantity, QuantityError, Unit};

use crate::database::{Cancellation, Condition, Consistency, DatabaseError, Get, Item, Table, Write};
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::counters::{Counters, Movement};
use crate::stock::holds::{
    Ending, EndingWrite, Hold, Located, end_holds, has_moved, keep_due_aside, locate, standing_lines,
};
use crate::stock::kits::{held_for_kits, kits_taking, taken_by};
use crate::stock::long_reservations;
pub use crate::stock::named_commit::LotWrites;
use crate::stock::named_commit::{NamedLots, lot_writes, lots_of};
use crate::stock::references::location_required;
use crate::stock::request_identity::fingerprint;
pub use crate::stock::request_identity::request_number;
pub use crate::stock::reservation_item::KeyedRequest;
use crate::stock::reservation_item::{CHANGES_MAX, OfLines, Reservation, SoldInPart, State};
use crate::stock::reserve::{Answer, REQUEST_LINES_MAX, answer_again, end_of_hold, now_kept};
use crate::stock::shortage::{Shortage, insufficient_stock};
use crate::tenancy::{Caller, TenantScope};

/// Reads a reservation, strongly consistent. A long one may be under way.
///
/// # Errors
/// As the database.
pub async fn find(ports: &Ports, scope: &TenantScope, id: &str) -> Result<Option<Reservation>> {
    long_reservations::find(ports.database.as_ref(), scope, id).await
}

async fn find_in_reach(ports: &Ports, caller: &Caller, id: &str) -> Result<Reservation> {
    check_id(id).map_err(|_| not_found(id))?;
    let reservation = find(ports, &caller.scope, id).await?.ok_or_else(|| not_found(id))?;
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
    let reservation = find_in_reach(ports, caller, id).await?;
    if matches!(reservation.state, State::Reserving | State::GivingUp) {
        // It is not there yet, and may never be.
        return Err(not_found(id).into());
    }
    Ok(reservation.shown(ports.environment.now()))
}

fn not_found(id: &str) -> Refusal {
    Refusal::not_found("reservation_not_found", format!("there is no reservation {id}"))
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

/// The actions that end an active reservation as a sale, for use inside a transaction: of a long one its header
/// alone, after which [`long_reservations::finish`] is due; of another first its header,
/// then per hold, which `located` must be of now, its line (only while it has not ended) and the stock. At
/// most 1 + 2 per hold. No other action of the transaction may touch the stock items of its lines, so an
/// order that is placed on a reservation must be for exactly [`Reservation::quantities`]. `lots`: what is written
/// instead of stock of which lots are named.
///
/// # Errors
/// A bug if the header cannot be written.
pub fn commit_actions(
    scope: &TenantScope,
    reservation: &Reservation,
    located: &[Located],
    commit: &Commit<'_>,
    lots: &LotWrites,
) -> Result<Vec<Write>> {
    if reservation.long.is_some() {
        let at = (commit.movement, commit.now);
        let commit =
            long_reservations::commit_whole(scope, reservation, commit.order_id, &commit.request, at);
        return commit.map(|(_, writes)| writes);
    }
    let next = reservation.next(State::Committed, reservation.expires_at, commit.order_id, &commit.request);
    let ended = end_holds(scope, located, &Ending::Commit(commit.now), commit.movement);
    let ended = ended.into_iter().map(|(write, about)| lots.instead_of(&about).cloned().unwrap_or(write));
    Ok(std::iter::once(next.overwrite(scope)?).chain(ended).collect())
}

/// Where the holds of a reservation count now.
///
/// # Errors
/// As the database.
pub async fn located(ports: &Ports, scope: &TenantScope, reservation: &Reservation) -> Result<Vec<Located>> {
    locate(ports.database.as_ref(), scope, reservation.holds()).await
}

/// Refuses unless the reservation can be committed now: what would be a lost race to a transaction that
/// holds [`commit_actions`] is a plain answer here. Answers where its holds count. Lots past their day are kept
/// aside before.
///
/// # Errors
/// As [`require_active`]; 409 `reservation_expired` where a hold was freed, `insufficient_stock` where less is there
/// than is held: a count found so, or a lot's day is over.
pub async fn require_committable(
    ports: &Ports,
    caller: &Caller,
    reservation: &Reservation,
    now: Timestamp,
) -> Result<Vec<Located>> {
    require_active(reservation, now)?;
    // What each place must have is what `end_holds` would take there.
    let movement = Movement {
        kind: "commit",
        reference: reservation.id.clone(),
        actor: caller.subject.clone(),
        at: now,
        reason: None,
    };
    if reservation.long.is_some() {
        // Its header says that all is held; where is found out when its stock follows.
        require_on_hand(ports, caller, reservation, None, &movement).await?;
        return Ok(Vec::new());
    }
    let located = standing_holds(ports, &caller.scope, reservation).await?;
    if located.len() < reservation.holds().len() {
        return Err(expired(reservation));
    }
    let ended = end_holds(&caller.scope, &located, &Ending::Commit(now), &movement);
    let stock: Vec<EndingWrite> =
        ended.into_iter().map(|(_, about)| about).filter(|about| *about != EndingWrite::Line).collect();
    let mut attempts = Attempts::new(ports.environment.as_ref());
    loop {
        let gets = stock.iter().filter_map(|about| match about {
            EndingWrite::Line => None,
            EndingWrite::Stock { location_id, sku, place, .. } => Some(Get {
                table: Table::Stock,
                key: place.key(&caller.scope, location_id, sku),
                consistency: Consistency::Strong,
            }),
        });
        let items = ports.database.get_many(gets.collect()).await?;
        let seen: Places<'_> = stock.iter().zip(items.iter().map(Option::as_ref)).collect();
        if seen.iter().any(|(about, item)| has_moved(about, *item)) {
            // It was merged meanwhile, so what was read tells nothing: the transaction will.
            return Ok(located);
        }
        if keep_due_aside(ports, &caller.scope, &seen, now).await? {
            attempts.at_once("lots past their day were kept aside")?;
            continue;
        }
        let shortages = count_shortages(reservation, seen.into_iter())?;
        if shortages.is_empty() {
            return Ok(located);
        }
        return Err(insufficient_stock(ports, caller, &shortages).await?.into());
    }
}

/// Places that are sold from, and the items that were found there.
type Places<'a> = Vec<(&'a EndingWrite, Option<&'a Item>)>;

/// Refuses unless the reservation is active and, where that matters, not over.
///
/// # Errors
/// 409 `reservation_not_active` or `reservation_expired`.
pub fn require_active(reservation: &Reservation, now: Timestamp) -> Result<()> {
    require_state(reservation)?;
    if reservation.has_expired(now) { Err(expired(reservation)) } else { Ok(()) }
}

fn require_state(reservation: &Reservation) -> Result<()> {
    let name = match reservation.state {
        State::Active => return Ok(()),
        State::Expired => return Err(expired(reservation)),
        State::Committed | State::Committing => "committed",
        State::Released | State::Releasing | State::Reserving | State::GivingUp => "released",
    };
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
    Commit(&'a CommitRequest),
    Release,
    Extend(&'a ExtendRequest),
}

impl Action<'_> {
    fn name(&self) -> &'static str {
        match self {
            Action::Commit(_) => "commit",
            Action::Release => "release",
            Action::Extend(_) => "extend",
        }
    }

    fn fingerprint(&self) -> Result<String> {
        match self {
            Action::Commit(request) => fingerprint(self.name(), request),
            Action::Extend(request) => fingerprint(self.name(), request),
            Action::Release => fingerprint(self.name(), &json!({})),
        }
    }
}

/// Commits what a reservation holds, or the lines that are named: it leaves the shelf. What is not named goes
/// on being held; where nothing is left, the reservation is committed.
///
/// # Errors
/// 403, 404 `reservation_not_found`, 409 `reservation_not_active`, `reservation_expired`, `commit_above_held`,
/// `too_many_commits`, `insufficient_stock` (less is there than is held: a count found so, or a lot's day is over),
/// `lots_of_long_reservation` or what a lot that is named is refused for, 422 `lines_out_of_range`, `location_required`,
/// `line_not_reserved`, `quantity_invalid`, a malformed lot, `lot_unknown`, `lot_of_another_sku`, `sku_without_lots` or
/// `idempotency_key_reused`.
pub async fn commit(
    ports: &Ports,
    caller: &Caller,
    key: &str,
    id: &str,
    request: &CommitRequest,
) -> Result<Answer> {
    if request.lines.as_ref().is_some_and(|lines| lines.is_empty() || lines.len() > REQUEST_LINES_MAX) {
        let message =
            format!("commit 1 to {REQUEST_LINES_MAX} lines, or leave them out to commit all that is held");
        return Err(Refusal::field("lines", "lines_out_of_range", message).into());
    }
    change(ports, caller, key, id, &Action::Commit(request)).await
}

/// What lines of a commit add up to: by line or kit of the reservation, and which of them named it last.
struct Named {
    sum: Vec<Quantity>,
    last: Vec<usize>,
}

impl Named {
    fn of(count: usize) -> Self {
        Named { sum: vec![Quantity::ZERO; count], last: vec![0; count] }
    }

    fn add(&mut self, at: usize, quantity: Quantity, position: usize) {
        if let (Some(sum), Some(last)) = (self.sum.get_mut(at), self.last.get_mut(at)) {
            (*sum, *last) = (sum.plus(quantity), position);
        }
    }

    /// What is not nothing, by position.
    fn some(&self) -> OfLines {
        let all = self.sum.iter().copied().enumerate();
        all.filter(|(_, quantity)| *quantity != Quantity::ZERO).collect()
    }
}

/// What `lines` take of what a reservation holds; `None` where they take all of it. A kit takes its components;
/// what is held for kits is not taken by naming a component.
///
/// # Errors
/// 409 `commit_above_held`; 422 `location_required`, `line_not_reserved`, `quantity_invalid`.
fn sold(reservation: &Reservation, lines: &[CommitLine]) -> Result<Option<SoldInPart>> {
    let mut by_line = Named::of(reservation.lines.len());
    let mut by_kit = Named::of(reservation.kits.len());
    for (position, line) in lines.iter().enumerate() {
        let field = |name: &str| format!("lines[{position}].{name}");
        let invalid = |e: QuantityError| Refusal::field(field("quantity"), "quantity_invalid", e.to_string());
        let quantity = |unit| line.quantity.resolve(unit).and_then(Quantity::positive).map_err(invalid);
        let Some(location_id) = &line.location_id else { return Err(location_required(position).into()) };
        let sku = &line.sku;
        let kit = reservation.kits.iter().position(|kit| kit.location_id == *location_id && kit.sku == *sku);
        if let Some(at) = kit {
            by_kit.add(at, quantity(Unit::Piece)?, position);
            continue;
        }
        let mut held = reservation.lines.iter().enumerate();
        let same = held.find(|(_, held)| held.location_id == *location_id && held.sku == *sku);
        let Some((at, held)) = same else {
            // Neither is told again: nobody has looked at how long they are.
            let message =
                format!("reservation {} holds nothing of this SKU at this location", reservation.id);
            return Err(Refusal::field(field("sku"), "line_not_reserved", message).into());
        };
        by_line.add(at, quantity(held.unit)?, position);
    }
    let mut above = Vec::new();
    let mut check = |place: (&str, &str), (sold, held): (Quantity, Quantity), unit: Unit, position: usize| {
        if sold > held {
            above.push(json!({
                "field": format!("lines[{position}].quantity"),
                "location_id": place.0,
                "sku": place.1,
                "requested": sold.display(unit),
                "held": held.display(unit),
            }));
        }
    };
    for (line, (sold, last)) in reservation.lines.iter().zip(by_line.sum.iter().zip(&by_line.last)) {
        let place = (line.location_id.as_str(), line.sku.as_str());
        let beside_kits = line.held().minus(held_for_kits(&reservation.kits, place.0, place.1));
        check(place, (*sold, beside_kits), line.unit, *last);
    }
    for (kit, (sold, last)) in reservation.kits.iter().zip(by_kit.sum.iter().zip(&by_kit.last)) {
        check((&kit.location_id, &kit.sku), (*sold, kit.held()), Unit::Piece, *last);
    }
    if !above.is_empty() {
        let detail = format!("reservation {} holds less than is to be committed", reservation.id);
        return Err(Refusal::conflict("commit_above_held", detail).with_extra("lines", above).into());
    }
    let kits = by_kit.some();
    let names = reservation.lines.iter().map(|line| (line.location_id.as_str(), line.sku.as_str()));
    let for_kits = taken_by(&reservation.kits, &kits, names);
    for (sum, taken) in by_line.sum.iter_mut().zip(for_kits) {
        *sum = sum.plus(taken);
    }
    if reservation.lines.iter().zip(&by_line.sum).all(|(held, sold)| *sold == held.held()) {
        return Ok(None);
    }
    Ok(Some(SoldInPart { lines: by_line.some(), kits }))
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
        if reservation.state.is_under_way() {
            long_reservations::finish(ports, &caller.scope, id, now).await?;
            attempts.at_once("others go on with the reservation")?;
            continue;
        }
        if let Some(answer) = answer_again(&reservation, &request) {
            return answer;
        }
        if reservation.long.is_some() {
            let at = (&movement, now);
            let acted = long_change(ports, caller, &reservation, action, &request, at).await;
            if is_refused_as_it_was(ports, caller, &reservation, &acted).await? {
                attempts.at_once("the reservation changed meanwhile")?;
                continue;
            }
            let (next, writes) = acted?;
            match ports.database.transact(writes).await {
                Ok(()) => {
                    long_reservations::finish(ports, &caller.scope, id, now).await?;
                    return Ok(Answer { reservation: next.shown(now), replayed: false });
                }
                Err(DatabaseError::Cancelled(reasons))
                    if reasons.iter().any(|r| matches!(r, Cancellation::ConditionFailed(_))) =>
                {
                    attempts.at_once("the reservation changed meanwhile")?;
                }
                Err(error) if error.is_transient() => attempts.after_a_wait(action.name()).await?,
                Err(error) => return Err(error.into()),
            }
            continue;
        }
        require_state(&reservation)?;
        if ended_at_version == Some(reservation.version) {
            return Err(expired(&reservation));
        }
        let acted = actions(ports, caller, &reservation, action, &request, &movement, now).await;
        if is_refused_as_it_was(ports, caller, &reservation, &acted).await? {
            attempts.at_once("the reservation changed meanwhile")?;
            continue;
        }
        let (next, actions) = acted?;
        let (writes, about): (Vec<_>, Vec<_>) = actions.into_iter().unzip();
        match ports.database.transact(writes).await {
            Ok(()) => return Ok(Answer { reservation: next.shown(now), replayed: false }),
            Err(DatabaseError::Cancelled(reasons))
                if reasons.iter().any(|r| matches!(r, Cancellation::ConditionFailed(_))) =>
            {
                match action {
                    Action::Commit(_) => {
                        let why = (reasons.as_slice(), about.as_slice());
                        ended_at_version = refuse_commit(ports, caller, &reservation, why, now).await?;
                    }
                    Action::Extend(_) => ended_at_version = ended(&reservation, &reasons, &about),
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

/// Whether an action was refused, and the reservation is another than `reservation` by now: not all was read at one
/// moment, and what was missing may have gone to this very request.
async fn is_refused_as_it_was<T>(
    ports: &Ports,
    caller: &Caller,
    reservation: &Reservation,
    acted: &Result<T>,
) -> Result<bool> {
    if !matches!(acted, Err(Error::Rejected(_))) {
        return Ok(false);
    }
    Ok(find_in_reach(ports, caller, &reservation.id).await?.version != reservation.version)
}

/// What the action writes of a long reservation: it decides, and the stock follows.
async fn long_change(
    ports: &Ports,
    caller: &Caller,
    reservation: &Reservation,
    action: &Action<'_>,
    request: &KeyedRequest<'_>,
    at: (&Movement, Timestamp),
) -> Result<(Reservation, Vec<Write>)> {
    let scope = &caller.scope;
    let (movement, now) = at;
    match action {
        Action::Commit(commit) => {
            require_active(reservation, now)?;
            let lines = commit.lines.as_deref().unwrap_or_default();
            let sold = commit.lines.as_deref().map_or(Ok(None), |lines| sold(reservation, lines))?;
            if !lots_of(reservation, lines)?.is_empty() {
                return Err(lots_of_long(&reservation.id).into());
            }
            if sold.is_some() {
                require_changeable(reservation, "too_many_commits")?;
            }
            let of_lines = sold.as_ref().map(|sold| &sold.lines);
            require_on_hand(ports, caller, reservation, of_lines, movement).await?;
            match sold {
                None => long_reservations::commit_whole(scope, reservation, None, request, at),
                Some(sold) => long_reservations::commit_part(scope, reservation, &sold, request, at),
            }
        }
        Action::Extend(extend) => {
            let expires_at = end_of_hold(now, extend.ttl_seconds)?.max(reservation.expires_at);
            require_active(reservation, now)?;
            require_changeable(reservation, "too_many_extensions")?;
            long_reservations::extend(scope, reservation, expires_at, request, at)
        }
        Action::Release => {
            // What is over may be released, as long as nobody has.
            if reservation.state != State::Expired {
                require_state(reservation)?;
            }
            long_reservations::release(scope, reservation, request, at)
        }
    }
}

/// Refuses where less is there than a long reservation is to sell: a count found so, or a lot's day is over; what of
/// it is, is kept aside before. `sold`: of which lines, if not of all.
///
/// # Errors
/// 409 `insufficient_stock`.
async fn require_on_hand(
    ports: &Ports,
    caller: &Caller,
    reservation: &Reservation,
    sold: Option<&OfLines>,
    movement: &Movement,
) -> Result<()> {
    let scope = &caller.scope;
    let mut attempts = Attempts::new(ports.environment.as_ref());
    loop {
        let places = long_reservations::places_of(ports, scope, reservation, sold, movement).await?;
        // Laid out anew meanwhile: what was read tells nothing, and what is missing in the end is entered.
        let Some(places) = places else { return Ok(()) };
        let seen: Places<'_> = places.iter().map(|(about, item)| (about, item.as_ref())).collect();
        if keep_due_aside(ports, scope, &seen, movement.at).await? {
            attempts.at_once("lots past their day were kept aside")?;
            continue;
        }
        let shortages = count_shortages(reservation, seen.into_iter())?;
        if shortages.is_empty() {
            return Ok(());
        }
        return Err(insufficient_stock(ports, caller, &shortages).await?.into());
    }
}

/// The refusal to take lots that are named of a long reservation: its stock follows what is decided, and by then a lot
/// may have gone.
pub fn lots_of_long(id: &str) -> Refusal {
    let detail = format!(
        "reservation {id} is of more lines than one transaction takes: its goods are of the lots that expire first; \
         name no lot, or reserve in several"
    );
    Refusal::conflict("lots_of_long_reservation", detail)
}

/// What an action of a transaction on a reservation is about.
enum About {
    Header,
    Holds(EndingWrite),
    /// Stock of which lots are named: a failure is a lost race.
    Lots,
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
) -> Result<(Reservation, Vec<(Write, About)>)> {
    let scope = &caller.scope;
    let next = |state, expires_at| reservation.next(state, expires_at, None, request);
    let mut lots = NamedLots::default();
    let (next, holds) = match action {
        Action::Commit(commit) => {
            require_active(reservation, now)?;
            let sold = commit.lines.as_deref().map_or(Ok(None), |lines| sold(reservation, lines))?;
            let (next, located) = match sold {
                None => (
                    next(State::Committed, reservation.expires_at),
                    located(ports, scope, reservation).await?,
                ),
                Some(sold) => {
                    require_changeable(reservation, "too_many_commits")?;
                    let next = reservation.committed_in_part(&sold, request);
                    (next, located_with_left(ports, scope, reservation.holds_lessened_by(&sold.lines)).await?)
                }
            };
            lots = lots_of(reservation, commit.lines.as_deref().unwrap_or_default())?;
            (next, end_holds(scope, &located, &Ending::Commit(now), movement))
        }
        Action::Extend(extend) => {
            let expires_at = end_of_hold(now, extend.ttl_seconds)?.max(reservation.expires_at);
            require_active(reservation, now)?;
            require_changeable(reservation, "too_many_extensions")?;
            let extended = |hold: Hold| hold.extend(scope, now, expires_at.as_millisecond());
            let lines = reservation.holds().into_iter().map(|hold| (extended(hold), EndingWrite::Line));
            (next(State::Active, expires_at), lines.collect())
        }
        Action::Release => {
            let standing = standing_holds(ports, scope, reservation).await?;
            let ended = end_holds(scope, &standing, &Ending::GiveBack(Condition::Exists), movement);
            (next(State::Released, reservation.expires_at), ended)
        }
    };
    let stock = holds.iter().map(|(_, about)| about);
    let lots = lot_writes(ports, scope, &lots, stock, movement, now).await?;
    let mut actions = vec![(next.overwrite(scope)?, About::Header)];
    actions.extend(holds.into_iter().map(|(write, about)| match lots.instead_of(&about) {
        Some(write) => (write.clone(), About::Lots),
        None => (write, About::Holds(about)),
    }));
    Ok((next, actions))
}

/// Refuses what would leave a reservation active that was changed often enough.
fn require_changeable(reservation: &Reservation, code: &'static str) -> Result<()> {
    if reservation.keys.len() <= CHANGES_MAX {
        return Ok(());
    }
    let detail = format!(
        "a reservation is extended or committed in part at most {CHANGES_MAX} times; commit all of it or make a new one"
    );
    Err(Refusal::conflict(code, detail).into())
}

/// Where holds count now of which something is left.
async fn located_with_left(
    ports: &Ports,
    scope: &TenantScope,
    lessened: Vec<(Hold, Quantity)>,
) -> Result<Vec<Located>> {
    let (holds, left): (Vec<_>, Vec<_>) = lessened.into_iter().unzip();
    let located = locate(ports.database.as_ref(), scope, holds).await?;
    Ok(located.into_iter().zip(left).map(|(located, left)| Located { left, ..located }).collect())
}

/// The holds whose lines are still there: those that expired may have been freed.
pub(super) async fn standing_holds(
    ports: &Ports,
    scope: &TenantScope,
    reservation: &Reservation,
) -> Result<Vec<Located>> {
    let holds = standing_lines(ports.database.as_ref(), scope, &reservation.holds()).await?;
    locate(ports.database.as_ref(), scope, holds).await
}

/// The reservation's version if a hold line's condition failed although the header's held.
fn ended(reservation: &Reservation, reasons: &[Cancellation], about: &[About]) -> Option<i64> {
    let failed = |(reason, about): (&Cancellation, &About)| {
        matches!(reason, Cancellation::ConditionFailed(_)) && matches!(about, About::Holds(EndingWrite::Line))
    };
    reasons.iter().zip(about).any(failed).then_some(reservation.version)
}

/// Why a commit's transaction did not hold, if that is a business answer; else what [`ended`] says. What is past its
/// day at `now` is kept aside, which is no answer yet.
async fn refuse_commit(
    ports: &Ports,
    caller: &Caller,
    reservation: &Reservation,
    (reasons, about): (&[Cancellation], &[About]),
    now: Timestamp,
) -> Result<Option<i64>> {
    let ended = ended(reservation, reasons, about);
    if ended.is_some() || matches!(reasons.first(), Some(Cancellation::ConditionFailed(_))) {
        return Ok(ended);
    }
    let is_lot = |(reason, about): (&Cancellation, &About)| {
        matches!((reason, about), (Cancellation::ConditionFailed(_), About::Lots))
    };
    if reasons.iter().zip(about).any(is_lot) {
        // Somebody else took of the same stock.
        return Ok(None);
    }
    let failed: Places<'_> = reasons
        .iter()
        .zip(about)
        .filter_map(|(reason, about)| match (reason, about) {
            (Cancellation::ConditionFailed(item), About::Holds(about)) => Some((about, item.as_ref())),
            _ => None,
        })
        .collect();
    if failed.iter().any(|(about, item)| has_moved(about, *item)) {
        // It was merged meanwhile: what was held there is in the first part now.
        return Ok(None);
    }
    if keep_due_aside(ports, &caller.scope, &failed, now).await? {
        // Whether enough is left that is good is found out by the next try.
        return Ok(None);
    }
    let shortages = count_shortages(reservation, failed.into_iter())?;
    if shortages.is_empty() {
        return Err(Error::Bug(format!(
            "reservation {} holds more than its stock items have reserved",
            reservation.id
        )));
    }
    Err(insufficient_stock(ports, caller, &shortages).await?.into())
}

/// The lines of which less lies in a place than is held there: a count found it, or a lot's day is over. With each
/// place the item that was found there.
fn count_shortages<'a, 'b>(
    reservation: &'a Reservation,
    places: impl Iterator<Item = (&'b EndingWrite, Option<&'b Item>)>,
) -> Result<Vec<Shortage<'a>>> {
    let mut shortages = Vec::new();
    for (about, item) in places {
        let EndingWrite::Stock { location_id, sku, quantity, .. } = about else { continue };
        let stock = item.map(Counters::of).transpose()?;
        if stock.is_some_and(|stock| stock.on_hand >= quantity.thousandths()) {
            continue;
        }
        let mut lines = reservation.lines.iter().enumerate();
        let of_it = lines.find(|(_, line)| line.location_id == *location_id && line.sku == *sku);
        let Some((position, line)) = of_it else { continue };
        shortages.push(Shortage {
            field: format!("lines[{position}].quantity"),
            location_id: &line.location_id,
            sku: &line.sku,
            requested: line.held(),
            unit: line.unit,
            // What can be taken for this reservation is what lies there.
            stock: stock.map(|stock| Counters { available: stock.on_hand, ..stock }),
            kits: kits_taking(&reservation.kits, &line.location_id, &line.sku),
        });
    }
    Ok(shortages)
}
