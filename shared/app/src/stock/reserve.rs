//! Making a reservation: all lines or none, in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tillstream_contracts::inventory::{self as wire, ReserveRequest};
use tillstream_domain::quantity::{Quantity, Unit};

use crate::database::{Cancellation, Consistency, DatabaseError, Get, Item, TRANSACTION_ACTIONS_MAX, Table};
use crate::error::{Error, Refusal, Result};
use crate::fields::typed_id;
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::counters::{Counters, Movement};
use crate::stock::expiry::free_expired;
use crate::stock::references::{check_location_id, check_sku_form, resolve};
use crate::stock::request_identity::{derived_id, fingerprint, key_reused, request_number};
use crate::stock::reservation_item::{AppliedKey, HeldLine, KeyedRequest, Reservation, State};
use crate::stock::shortage::{Shortage, insufficient_stock};
use crate::tenancy::Caller;

/// Most different location and SKU pairs in one reservation: two actions for each, and room for the
/// header and, when it becomes an order, for the order and its lane in the same transaction.
pub const LINES_MAX: usize = (TRANSACTION_ACTIONS_MAX - 3) / 2;
/// Most lines in a request, before they are added up.
pub const REQUEST_LINES_MAX: usize = 1_000;
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

/// One line to hold, lines of the request added up.
struct Wanted {
    /// Position of its first line in the request.
    position: usize,
    location_id: String,
    sku: String,
    quantity: Quantity,
    unit: Unit,
}

/// Checks what needs no reading.
fn check(caller: &Caller, request: &ReserveRequest) -> Result<()> {
    if request.lines.is_empty() || request.lines.len() > REQUEST_LINES_MAX {
        let message = format!("a reservation has 1 to {REQUEST_LINES_MAX} lines");
        return Err(Refusal::field("lines", "lines_out_of_range", message).into());
    }
    let mut different = BTreeSet::new();
    for (position, line) in request.lines.iter().enumerate() {
        check_location_id(&format!("lines[{position}].location_id"), &line.location_id)?;
        check_sku_form(&format!("lines[{position}].sku"), &line.sku)?;
        caller.require_store(&line.location_id)?;
        different.insert((&line.location_id, &line.sku));
    }
    if different.len() > LINES_MAX {
        let message = format!(
            "a reservation holds at most {LINES_MAX} different location and SKU pairs, this one {}; \
             make several reservations",
            different.len()
        );
        return Err(Refusal::field("lines", "too_many_lines", message).into());
    }
    for (field, id) in [("reservation_id", &request.reservation_id), ("order_id", &request.order_id)] {
        if let Some(id) = id {
            typed_id(field, id)?;
        }
    }
    Ok(())
}

/// Reads the products, gives each quantity its meaning and adds up lines of the same location and SKU.
async fn add_up(ports: &Ports, caller: &Caller, request: &ReserveRequest) -> Result<Vec<Wanted>> {
    let distinct = |of: fn(&wire::ReserveLine) -> &str| -> Vec<&str> {
        request.lines.iter().map(of).collect::<BTreeSet<_>>().into_iter().collect()
    };
    let locations = distinct(|line| &line.location_id);
    let skus = distinct(|line| &line.sku);
    let products = resolve(ports, &caller.scope, &locations, &skus, |sku| {
        let position = request.lines.iter().position(|line| line.sku == sku).unwrap_or(0);
        format!("lines[{position}].sku")
    })
    .await?;
    let mut wanted: BTreeMap<(&str, &str), Wanted> = BTreeMap::new();
    for (position, line) in request.lines.iter().enumerate() {
        let field = format!("lines[{position}].quantity");
        let invalid = |e: tillstream_domain::quantity::QuantityError| {
            Refusal::field(field.as_str(), "quantity_invalid", e.to_string())
        };
        let unit = products.get(&line.sku).map(|product| product.unit).unwrap_or_default();
        let quantity = line.quantity.resolve(unit).and_then(Quantity::positive).map_err(invalid)?;
        let entry = wanted.entry((&line.location_id, &line.sku)).or_insert_with(|| Wanted {
            position,
            location_id: line.location_id.clone(),
            sku: line.sku.clone(),
            quantity: Quantity::ZERO,
            unit,
        });
        let sum = entry.quantity.plus(quantity).thousandths();
        entry.quantity = Quantity::from_thousandths(sum).map_err(invalid)?;
    }
    Ok(wanted.into_values().collect())
}

/// The answer of a request that took effect before.
pub(super) fn answer_again(standing: &Reservation, request: &KeyedRequest<'_>) -> Option<Result<Answer>> {
    let applied = standing.keys.iter().find(|applied| applied.key == request.key)?;
    Some(if applied.fingerprint == request.fingerprint {
        // Our own write, whose answer was lost, is not a replay.
        let replayed = applied.request != request.number;
        Ok(Answer { reservation: standing.as_of(applied), replayed })
    } else {
        Err(key_reused())
    })
}

/// The answer where the reservation is there already.
fn answer_of_standing(item: &Item, request: &KeyedRequest<'_>) -> Result<Answer> {
    let standing = Reservation::of(item)?;
    answer_again(&standing, request).unwrap_or_else(|| {
        Err(Refusal::conflict(
            "reservation_exists",
            format!("there is a reservation {} already; choose another id or none", standing.id),
        )
        .into())
    })
}

/// Reserves all lines or none.
///
/// # Errors
/// 403 where a location is out of reach; 404 `location_not_found`; 409 `insufficient_stock` or
/// `reservation_exists`; 422 for a line, id or time that is not valid, and `idempotency_key_reused`.
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
    let header =
        Get { table: Table::Stock, key: caller.scope.reservation(&id), consistency: Consistency::Strong };
    // Before the catalogue is asked: a replay must not depend on what became of a product.
    if let Some(item) = ports.database.get(header.clone()).await? {
        return answer_of_standing(&item, &keyed);
    }
    let wanted = add_up(ports, caller, request).await?;
    let reservation = Reservation {
        id,
        state: State::Active,
        version: 1,
        lines: wanted
            .iter()
            .map(|line| HeldLine {
                location_id: line.location_id.clone(),
                sku: line.sku.clone(),
                quantity: line.quantity,
                unit: line.unit,
            })
            .collect(),
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
        }],
    };
    let movement = Movement {
        kind: "hold",
        reference: reservation.id.clone(),
        actor: caller.subject.clone(),
        at: now,
        reason: None,
    };
    let mut gets = vec![header.clone()];
    gets.extend(wanted.iter().map(|line| Get {
        table: Table::Stock,
        key: caller.scope.stock(&line.location_id, &line.sku),
        consistency: Consistency::Strong,
    }));
    let mut looked_for_expired = BTreeSet::new();
    let mut attempts = Attempts::new(ports.environment.as_ref());
    loop {
        let mut read = ports.database.get_many(gets.clone()).await?.into_iter();
        if let Some(item) = read.next().flatten() {
            return answer_of_standing(&item, &keyed);
        }
        let stock =
            read.map(|item| item.as_ref().map(Counters::of).transpose()).collect::<Result<Vec<_>>>()?;
        let short = wanted
            .iter()
            .zip(&stock)
            .filter(|(line, stock)| stock.is_none_or(|s| s.available < line.quantity.thousandths()))
            .collect::<Vec<_>>();
        if !short.is_empty() {
            let mut try_again = false;
            for (line, stock) in &short {
                let worth_it = stock.is_some_and(|stock| stock.may_have_expired_holds(now));
                // Once per item: what is still short after that is short.
                if worth_it && looked_for_expired.insert(line.position) {
                    try_again |=
                        free_expired(ports, &caller.scope, &line.location_id, &line.sku, now).await?;
                }
            }
            if try_again {
                continue;
            }
            // A batch is not read at one moment: what is short may have gone to this very request.
            if let Some(item) = ports.database.get(header.clone()).await? {
                return answer_of_standing(&item, &keyed);
            }
            let shortages: Vec<Shortage<'_>> = short
                .into_iter()
                .map(|(line, stock)| Shortage {
                    field: format!("lines[{}].quantity", line.position),
                    location_id: &line.location_id,
                    sku: &line.sku,
                    requested: line.quantity,
                    unit: line.unit,
                    stock: *stock,
                })
                .collect();
            return Err(insufficient_stock(ports, caller, &shortages).await?.into());
        }
        let mut writes = vec![reservation.create(&caller.scope)?];
        for (hold, stock) in reservation.holds().iter().zip(stock.iter().flatten()) {
            writes.extend(hold.place(&caller.scope, stock, &movement));
        }
        match ports.database.transact(writes).await {
            Ok(()) => {
                return Ok(Answer { reservation: reservation.shown(now), replayed: false });
            }
            // The header is there (our own write or a twin of it), the stock went, or the earliest
            // expiry was guessed wrong: what we read next tells which.
            Err(DatabaseError::Cancelled(reasons))
                if reasons.iter().any(|r| matches!(r, Cancellation::ConditionFailed(_))) =>
            {
                attempts.at_once("the stock changed while it was reserved")?;
            }
            Err(error) if error.is_transient() => {
                attempts.after_a_wait("reserving").await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}
