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
use crate::stock::expiry::free_enough;
use crate::stock::layout::{LAYOUT_WHOLE, Place, parts_in};
use crate::stock::references::{check_location_id, check_sku_form, resolve};
use crate::stock::request_identity::{derived_id, fingerprint, key_reused, request_number};
use crate::stock::reservation_item::{AppliedKey, HeldLine, HeldPart, KeyedRequest, Reservation, State};
use crate::stock::shortage::{Shortage, insufficient_stock};
use crate::stock::split::{LaidOut, make_whole, merge, parts_for, split};
use crate::stock::take::{EmptyParts, Share, Taken, take};
use crate::tenancy::{Caller, TenantScope};

/// Most different location and SKU pairs in one reservation, each part of split stock counted: two actions
/// for each, and room for the header and, when it becomes an order, for the order and its lane in the same transaction.
pub const LINES_MAX: usize = (TRANSACTION_ACTIONS_MAX - 3) / 2;
/// How often one request loses a whole stock item to other transactions before it splits it: once or twice
/// may be chance.
const LOST_UNTIL_SPLIT: u32 = 3;
/// Of so many refusals for want of any one tries to merge the stock.
const SOLD_OUT_TRY: u64 = 8;
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

/// How the products of a request are sold, if this process knows it of all of them.
fn remembered_units(
    ports: &Ports,
    caller: &Caller,
    request: &ReserveRequest,
    now: Timestamp,
) -> Option<BTreeMap<String, Unit>> {
    let hot = ports.environment.hot_stock()?;
    let unit = |line: &wire::ReserveLine| {
        let unit = hot.unit(&caller.scope, &line.location_id, &line.sku, now)?;
        Some((line.sku.clone(), unit))
    };
    request.lines.iter().map(unit).collect()
}

/// Reads the products, gives each quantity its meaning and adds up lines of the same location and SKU.
/// Answers too whether the catalogue was read for it.
async fn add_up(
    ports: &Ports,
    caller: &Caller,
    request: &ReserveRequest,
    now: Timestamp,
) -> Result<(Vec<Wanted>, bool)> {
    let distinct = |of: fn(&wire::ReserveLine) -> &str| -> Vec<&str> {
        request.lines.iter().map(of).collect::<BTreeSet<_>>().into_iter().collect()
    };
    let (units, were_read) = match remembered_units(ports, caller, request, now) {
        Some(units) => (units, false),
        None => {
            let locations = distinct(|line| &line.location_id);
            let skus = distinct(|line| &line.sku);
            let products = resolve(ports, &caller.scope, &locations, &skus, |sku| {
                let position = request.lines.iter().position(|line| line.sku == sku).unwrap_or(0);
                format!("lines[{position}].sku")
            })
            .await?;
            (products.into_iter().map(|(sku, product)| (sku, product.unit)).collect(), true)
        }
    };
    let mut wanted: BTreeMap<(&str, &str), Wanted> = BTreeMap::new();
    for (position, line) in request.lines.iter().enumerate() {
        let field = format!("lines[{position}].quantity");
        let invalid = |e: tillstream_domain::quantity::QuantityError| {
            Refusal::field(field.as_str(), "quantity_invalid", e.to_string())
        };
        let unit = units.get(&line.sku).copied().unwrap_or_default();
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
    Ok((wanted.into_values().collect(), were_read))
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
    let (wanted, catalogue_was_read) = add_up(ports, caller, request, now).await?;
    let mut reservation = Reservation {
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
                committed: Quantity::ZERO,
                parts: Vec::new(),
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
            committed: Vec::new(),
        }],
    };
    let movement = Movement {
        kind: "hold",
        reference: reservation.id.clone(),
        actor: caller.subject.clone(),
        at: now,
        reason: None,
    };
    let mut nothing_expired = BTreeSet::new();
    let mut attempts = Attempts::new(ports.environment.as_ref());
    let mut layouts = Layouts::new(ports, &caller.scope, &wanted);
    loop {
        let places = layouts.places(&wanted);
        let mut gets = vec![header.clone()];
        gets.extend(wanted.iter().zip(&places).map(|(line, place)| Get {
            table: Table::Stock,
            key: place.key(&caller.scope, &line.location_id, &line.sku),
            consistency: Consistency::Strong,
        }));
        let mut read = ports.database.get_many(gets).await?.into_iter();
        if let Some(item) = read.next().flatten() {
            return answer_of_standing(&item, &keyed);
        }
        let stock =
            read.map(|item| item.as_ref().map(Counters::of).transpose()).collect::<Result<Vec<_>>>()?;
        let (mut shares, mut short, mut again) = (Vec::new(), Vec::new(), None);
        for (at, (line, (place, seen))) in wanted.iter().zip(places.iter().zip(stock)).enumerate() {
            match layouts.look(at, line, *place, seen).await? {
                Taken::Shares(of_line, _) => shares.push(of_line),
                Taken::Short(stock) => short.push((line, stock)),
                Taken::Again(why) => again = Some(why),
            }
        }
        if let Some(why) = again {
            attempts.after_a_wait(&why).await?;
            continue;
        }
        if !short.is_empty() {
            let mut try_again = false;
            for (line, stock) in &short {
                let worth_it = stock.is_some_and(|stock| stock.may_have_expired_holds(now));
                if !worth_it || nothing_expired.contains(&line.position) {
                    continue;
                }
                let needed = line.quantity.thousandths() - stock.map_or(0, |stock| stock.available);
                let name = (line.location_id.as_str(), line.sku.as_str());
                let freed = free_enough(ports, &caller.scope, name, needed, now).await?;
                if !freed.left {
                    // What is still short after that is short.
                    nothing_expired.insert(line.position);
                }
                try_again |= freed.any;
            }
            if try_again {
                attempts.at_once("expired holds were freed")?;
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
                    stock,
                })
                .collect();
            return Err(insufficient_stock(ports, caller, &shortages).await?.into());
        }
        if shares.iter().map(Vec::len).sum::<usize>() > LINES_MAX {
            // Over so many parts no transaction takes it.
            let most = wanted.iter().zip(&shares).max_by_key(|(_, shares)| shares.len());
            if let Some((line, _)) = most {
                make_whole(ports, &caller.scope, &line.location_id, &line.sku).await?;
            }
            attempts.at_once("stock was split over too many parts")?;
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
                if catalogue_was_read {
                    layouts.note_units(&wanted, now);
                }
                return Ok(Answer { reservation: reservation.shown(now), replayed: false });
            }
            // The header is there (our own write or a twin of it), the stock went or was laid out anew, or
            // the earliest expiry was guessed wrong: what we read next tells which.
            Err(DatabaseError::Cancelled(reasons))
                if reasons.iter().any(|r| matches!(r, Cancellation::ConditionFailed(_))) =>
            {
                attempts.at_once("the stock changed while it was reserved")?;
            }
            Err(error) if error.is_transient() => {
                if let DatabaseError::Cancelled(reasons) = &error {
                    layouts.lost(&wanted, &shares, reasons, &line_of).await?;
                }
                attempts.after_a_wait("reserving").await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// What a header keeps of where a line was taken.
fn parts_of(shares: &[Share]) -> Vec<HeldPart> {
    let is_whole = shares.iter().all(|share| share.layout == LAYOUT_WHOLE);
    let part = |share: &Share| HeldPart { part: share.part, layout: share.layout, quantity: share.quantity };
    if is_whole { Vec::new() } else { shares.iter().map(part).collect() }
}

/// What one request knows of how the stock of its lines is laid out.
struct Layouts<'a> {
    ports: &'a Ports,
    scope: &'a TenantScope,
    /// By line: the layout as it was met last.
    layouts: Vec<i64>,
    /// By line: how often another transaction, or too many of them, stood in the way of one whole item.
    lost: Vec<u32>,
}

impl<'a> Layouts<'a> {
    fn new(ports: &'a Ports, scope: &'a TenantScope, wanted: &[Wanted]) -> Self {
        let hot = ports.environment.hot_stock();
        let layout =
            |line: &Wanted| hot.map_or(LAYOUT_WHOLE, |hot| hot.layout(scope, &line.location_id, &line.sku));
        let layouts = wanted.iter().map(layout).collect();
        Layouts { ports, scope, layouts, lost: vec![0; wanted.len()] }
    }

    /// Where to look for each line: at the whole, or at any one part that was not empty.
    fn places(&self, wanted: &[Wanted]) -> Vec<Place> {
        let environment = self.ports.environment.as_ref();
        let place = |(layout, line): (&i64, &Wanted)| match *layout {
            LAYOUT_WHOLE => Place::Whole,
            layout => {
                let empty = environment
                    .hot_stock()
                    .map_or(0, |hot| hot.empty_parts(self.scope, &line.location_id, &line.sku));
                Place::Part { part: EmptyParts(empty).other(parts_in(layout), environment), layout }
            }
        };
        self.layouts.iter().zip(wanted).map(place).collect()
    }

    fn note(&mut self, at: usize, line: &Wanted, layout: i64) {
        if let Some(known) = self.layouts.get_mut(at) {
            *known = layout;
        }
        if let Some(hot) = self.ports.environment.hot_stock() {
            hot.note_layout(self.scope, &line.location_id, &line.sku, layout);
        }
    }

    /// Notes what the catalogue said at `now`, of the lines whose stock is split.
    fn note_units(&self, wanted: &[Wanted], now: Timestamp) {
        let Some(hot) = self.ports.environment.hot_stock() else { return };
        for line in wanted {
            hot.note_unit(self.scope, &line.location_id, &line.sku, line.unit, now);
        }
    }

    /// What was `seen` in the `place` where a line was looked for: enough, or a reason to look at all parts.
    async fn look(
        &mut self,
        at: usize,
        line: &Wanted,
        place: Place,
        seen: Option<Counters>,
    ) -> Result<Taken> {
        let expected = self.layouts.get(at).copied().unwrap_or(LAYOUT_WHOLE);
        let stands = seen.filter(|seen| seen.layout == expected);
        if let Some(seen) = stands.filter(|seen| seen.available >= line.quantity.thousandths()) {
            let share = Share { part: place.part(), layout: expected, quantity: line.quantity, seen };
            return Ok(Taken::Shares(vec![share], EmptyParts::default()));
        }
        if expected == LAYOUT_WHOLE && (seen.is_none() || stands.is_some()) {
            return Ok(Taken::Short(seen));
        }
        if let Some(split) = seen.filter(|seen| expected == LAYOUT_WHOLE && seen.layout != LAYOUT_WHOLE) {
            // Any part will do: to look at all now would only be another read of the first, which every
            // process that meets the split for the first time reads.
            self.note(at, line, split.layout);
            return Ok(Taken::Again("the stock is split".to_owned()));
        }
        // Another layout stands, or this part is short.
        let layout = seen.map_or(expected, |seen| if place.part() == 0 { seen.layout } else { expected });
        let name = (line.location_id.as_str(), line.sku.as_str());
        let taken = take(self.ports, self.scope, name, line.quantity, layout).await?;
        match &taken {
            Taken::Shares(shares, empty) => {
                self.note(at, line, shares.first().map_or(LAYOUT_WHOLE, |share| share.layout));
                if let Some(hot) = self.ports.environment.hot_stock() {
                    hot.note_empty_parts(self.scope, &line.location_id, &line.sku, empty.0);
                }
            }
            Taken::Short(stock) => {
                self.note(at, line, stock.map_or(LAYOUT_WHOLE, |stock| stock.layout));
                self.merge_sold_out(at, line, *stock).await?;
            }
            Taken::Again(_) => {}
        }
        Ok(taken)
    }

    /// Merges what is sold out, now and then: a refusal rests on all parts, and costs each of them more reads
    /// than a sale does.
    async fn merge_sold_out(&mut self, at: usize, line: &Wanted, stock: Option<Counters>) -> Result<()> {
        let sold_out = stock.is_some_and(|stock| stock.layout != LAYOUT_WHOLE && stock.available <= 0);
        // One of some: many meet it at once, and each attempt stands in the way of the others.
        if sold_out && self.ports.environment.random().is_multiple_of(SOLD_OUT_TRY) {
            match merge(self.ports, self.scope, &line.location_id, &line.sku).await {
                Ok(LaidOut::Now(layout)) => self.note(at, line, layout),
                Err(Error::Bug(why)) => return Err(Error::Bug(why)),
                // It need not be done now, and not by us: the answer stands without it.
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Counts what stood in the way of a transaction, and splits the stock that many want.
    async fn lost(
        &mut self,
        wanted: &[Wanted],
        shares: &[Vec<Share>],
        reasons: &[Cancellation],
        line_of: &[Option<usize>],
    ) -> Result<()> {
        for (reason, at) in reasons.iter().zip(line_of) {
            let Some(at) = *at else { continue };
            let (Some(line), Some(shares), Some(lost)) =
                (wanted.get(at), shares.get(at), self.lost.get_mut(at))
            else {
                continue;
            };
            let stood_in_the_way = matches!(reason, Cancellation::Conflict | Cancellation::Throttled);
            let Some(whole) = shares.first().filter(|share| share.layout == LAYOUT_WHOLE) else { continue };
            if !stood_in_the_way {
                continue;
            }
            *lost += 1;
            let parts = parts_for(whole.seen.available);
            if *lost < LOST_UNTIL_SPLIT || parts < 2 {
                continue;
            }
            match split(self.ports, self.scope, &line.location_id, &line.sku, parts).await {
                Ok(LaidOut::Now(layout)) => self.note(at, line, layout),
                Err(Error::Bug(why)) => return Err(Error::Bug(why)),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }
}
