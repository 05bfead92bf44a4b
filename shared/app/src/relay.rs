//! From the tables' streams: final facts, closed shifts among them, to the sales stream and HQ, each once a version; movements of
//! stock to the ledger; what happens to backorders and alerts to HQ. And what a movement asks for is done: who waits for
//! stock is served, and an alert raised.
//!
//! The order item is the outbox: what is final is relayed, what is not never is. The filter of the event
//! source looks at the new image only; what is new in it is found here, by comparing with the old one.

use std::collections::{BTreeMap, BTreeSet};

use tillstream_domain::lane::{Lane, LaneNumber};

use crate::database::Item;
use crate::dispatch::announce::{Fact, announce};
use crate::dispatch::subject;
use crate::error::{Error, Result};
use crate::facts::{sale_event, stream_record};
use crate::ports::{EventStream, Ports, StreamRecord, WakeUpQueue};
use crate::pos::cart_item::cart_of;
use crate::pos::till::shift_item::shift_of;
use crate::record_failure::Failure;
use crate::stock::backorders;
use crate::stock::ledger::{ledger_rows, record};
use crate::stock::listing::StockName;
use crate::stock::noticed::{Looks, look_at_all};
use crate::stock::reservation_item::FOR_BACKORDER;
use crate::stock::stock_facts::fact_of;
use crate::tenancy::TenantScope;
use tillstream_domain::cart::order_status::OrderStatus;

/// A change of an item: as it was, if it was, and as it is, if it still is.
pub type Images<'a> = (Option<&'a Item>, Option<&'a Item>);

/// What a change is about.
enum Said {
    Order(Relayed),
    /// A row of the ledger, and what else it asks for.
    Stock(Item, Looks),
    /// What a backorder is held by changed.
    Held(TenantScope, String),
    Nothing,
}

fn read((old, new): Images<'_>) -> Result<Said> {
    if let (Some(row), Some(new)) = (ledger_rows(old, new)?, new) {
        return Ok(Said::Stock(row, Looks::of(old, new)?));
    }
    if let Some(fact) = fact_of(old, new)? {
        return Ok(Said::Order(Relayed { event: None, fact: Some(fact) }));
    }
    if let Some((new, backorder_id)) = new.and_then(|new| Some((new, new.opt_text(FOR_BACKORDER)?))) {
        // That it was made the backorder knows: it was the same write.
        let is_made = old.is_none();
        let scope = TenantScope::from_own_record(new.text("tenant_id")?);
        return Ok(if is_made { Said::Nothing } else { Said::Held(scope, backorder_id.to_owned()) });
    }
    let relayed = relayed(old, new)?;
    let says_nothing = relayed.event.is_none() && relayed.fact.is_none();
    Ok(if says_nothing { Said::Nothing } else { Said::Order(relayed) })
}

/// Does what a batch of changes asks for; answers which were not done, by position. To do any again
/// does no harm.
pub async fn handle(
    ports: &Ports,
    stream: &dyn EventStream,
    queue: &dyn WakeUpQueue,
    changes: &[Images<'_>],
) -> BTreeMap<usize, Failure> {
    let mut failures = BTreeMap::new();
    let (mut orders, mut order_of) = (Vec::new(), Vec::new());
    let (mut rows, mut row_of) = (Vec::new(), Vec::new());
    let mut looks = BTreeMap::<(TenantScope, StockName), (Looks, Vec<usize>)>::new();
    let mut held = BTreeSet::new();
    for (position, images) in changes.iter().enumerate() {
        match read(*images) {
            Ok(Said::Order(relayed)) => {
                orders.push(relayed);
                order_of.push(position);
            }
            Ok(Said::Stock(row, asked)) => match name_of(&row) {
                Ok(name) => {
                    rows.push(row);
                    row_of.push(position);
                    if !asked.is_nothing() {
                        let (sum, positions) = looks.entry(name).or_default();
                        sum.join(asked);
                        positions.push(position);
                    }
                }
                Err(error) => {
                    failures.insert(position, Failure::from(error));
                }
            },
            Ok(Said::Held(scope, backorder_id)) => {
                held.insert((scope, backorder_id));
            }
            Ok(Said::Nothing) => {}
            Err(error) => {
                failures.insert(position, Failure::from(error));
            }
        }
    }
    if let Err(error) = record(ports, rows).await {
        failures.extend(row_of.iter().map(|position| (*position, transient(&error))));
    }
    match send(ports, stream, queue, orders).await {
        Ok(failed) => {
            let failed = failed.into_iter().filter_map(|at| order_of.get(at).copied());
            failures.extend(failed.map(|at| (at, Failure::Transient("not taken downstream".to_owned()))));
        }
        Err(error) => failures.extend(order_of.iter().map(|position| (*position, transient(&error)))),
    }
    // The ledger and HQ first: nobody waits for them because of what others wait for.
    let now = ports.environment.now();
    let (mut all, mut positions_of) = (Vec::new(), Vec::new());
    for ((scope, name), (asked, positions)) in looks {
        all.push((scope, name, asked));
        positions_of.push(positions);
    }
    for (at, error) in look_at_all(ports, all, now).await {
        let positions = positions_of.get(at).map(Vec::as_slice).unwrap_or_default();
        failures.extend(positions.iter().map(|position| (*position, Failure::from(error.clone()))));
    }
    for (scope, backorder_id) in held {
        // The keeper brings it there where this does not.
        if let Err(error) = backorders::follow(ports, &scope, &backorder_id, now).await {
            tracing::warn!(backorder_id, %error, "a backorder did not follow its reservation");
        }
    }
    failures
}

/// Whose a row of the ledger is.
fn name_of(row: &Item) -> Result<(TenantScope, StockName)> {
    let scope = TenantScope::from_own_record(row.text("tenant_id")?);
    let name =
        StockName { location_id: row.text("location_id")?.to_owned(), sku: row.text("sku")?.to_owned() };
    Ok((scope, name))
}

/// What fails for a whole batch is no fault of any of its records, so none may be parked for it.
fn transient(error: &Error) -> Failure {
    Failure::Transient(error.to_string())
}

/// What one change of the orders table says.
#[derive(Debug, Default)]
pub struct Relayed {
    /// For the sales stream, if the number is new.
    pub event: Option<StreamRecord>,
    /// For HQ, if the version is new.
    pub fact: Option<Fact>,
}

/// Compares the images of an order.
///
/// # Errors
/// A bug if the new image has a number but is not an order of ours.
pub fn relayed(old: Option<&Item>, new: Option<&Item>) -> Result<Relayed> {
    let Some(new) = new else { return Ok(Relayed::default()) };
    if new.opt_number("lane_number").is_none() {
        return Ok(Relayed::default());
    }
    match new.opt_text("sk") {
        Some("cart") => {}
        Some("shift") => return closed_shift(old, new),
        _ => return Ok(Relayed::default()),
    }
    let scope = TenantScope::from_own_record(new.text("tenant_id")?);
    let known = |name: &str| old.and_then(|item| item.opt_number(name));
    let mut relayed = Relayed::default();
    let new_number = known("lane_number") != new.opt_number("lane_number");
    let new_version = known("order_version") != new.opt_number("order_version");
    if !new_number && !new_version {
        return Ok(relayed);
    }
    let cart = cart_of(new)?;
    let done = cart.finalized.as_ref().ok_or_else(|| Error::bug("an order with a number is final"))?;
    if new_version {
        relayed.fact = Some(Fact {
            scope: scope.clone(),
            order_id: cart.id.clone(),
            order_version: done.order_version,
            status: done.status.clone(),
            lane_number: done.number.clone(),
            at: done.at,
            payload: None,
        });
    }
    if new_number {
        relayed.event = Some(stream_record(sale_event(&scope, &cart)?)?);
    }
    Ok(relayed)
}

/// The facts of a stored order, one for each of its versions, the first first.
///
/// # Errors
/// A bug if the item is not a final order.
pub fn facts_of(item: &Item) -> Result<Vec<Fact>> {
    let Some(last) = of_stored(item)?.fact else { return Ok(Vec::new()) };
    if item.get("cart_id").is_none() {
        // A shift is told once.
        return Ok(vec![last]);
    }
    let cart = cart_of(item)?;
    let first = cart.first_status().map(OrderStatus::name);
    let changes = cart.course.history.iter().map(|change| (change.order_version, change.to.name()));
    let versions = first.map(|status| (1, status)).into_iter().chain(changes);
    let earlier = versions.filter(|(version, _)| *version < last.order_version);
    let mut facts: Vec<Fact> = earlier
        .map(|(order_version, status)| Fact { order_version, status: status.to_owned(), ..last.clone() })
        .collect();
    facts.push(last);
    Ok(facts)
}

/// Compares the images of a shift that has its Z number: HQ is told once, when that is new. Figures are made
/// from its sales, so there is no event of it.
fn closed_shift(old: Option<&Item>, new: &Item) -> Result<Relayed> {
    if old.is_some_and(|old| old.opt_number("lane_number").is_some()) {
        return Ok(Relayed::default());
    }
    let shift = shift_of(new)?;
    let closing = shift.closing.ok_or_else(|| Error::bug("a shift with a Z number is closed"))?;
    let lane = Lane { epoch: closing.lane.epoch, ..Lane::new(shift.store_id, shift.register_id) };
    let fact = Fact {
        scope: TenantScope::from_own_record(new.text("tenant_id")?),
        order_id: subject::of_shift(&shift.id),
        order_version: 1,
        status: "closed".to_owned(),
        lane_number: LaneNumber { lane, number: closing.z_number },
        at: closing.at,
        payload: None,
    };
    Ok(Relayed { event: None, fact: Some(fact) })
}

/// The fact and the event of a stored order, or the fact of a closed shift, for re-emission.
///
/// # Errors
/// A bug if the item is neither.
pub fn of_stored(item: &Item) -> Result<Relayed> {
    relayed(None, Some(item))
}

/// Sends what changes said. Answers, by position, which did not get through completely; to send those
/// again does no harm.
///
/// # Errors
/// [`Error::Retryable`] where nothing can be known of any.
pub async fn send(
    ports: &Ports,
    stream: &dyn EventStream,
    queue: &dyn WakeUpQueue,
    changes: Vec<Relayed>,
) -> Result<Vec<usize>> {
    let mut failed = vec![false; changes.len()];
    let (mut records, mut record_of) = (Vec::new(), Vec::new());
    let (mut facts, mut fact_of) = (Vec::new(), Vec::new());
    for (position, change) in changes.into_iter().enumerate() {
        if let Some(event) = change.event {
            records.push(event);
            record_of.push(position);
        }
        if let Some(fact) = change.fact {
            facts.push(fact);
            fact_of.push(position);
        }
    }
    let mut mark = |positions: &[usize], of: &[usize]| {
        for position in positions {
            if let Some(slot) = of.get(*position).and_then(|p| failed.get_mut(*p)) {
                *slot = true;
            }
        }
    };
    if !facts.is_empty() {
        mark(&announce(ports, queue, facts).await?, &fact_of);
    }
    if !records.is_empty() {
        mark(&stream.publish(&records).await?, &record_of);
    }
    Ok(failed.iter().enumerate().filter_map(|(position, failed)| failed.then_some(position)).collect())
}
