//! The movements of orders, compared with the orders: one that the ledger tells of and that is not there, one that
//! is final and whose stock did not move. Either means that tables were restored to different moments, or changed by
//! hand.
//!
//! Both ways are of the recent past: the orders that the newest rows of a ledger name, and the orders that lanes
//! numbered since they were looked at last. What cannot be known in bounded reads (a ledger too long, rows lost and
//! closed over, an exchange, whose two sides may be one movement) is left alone.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tillstream_domain::cart::Cart;
use tillstream_domain::lane::Lane;
use tillstream_domain::location::{Location, LocationKind};

use super::compare::{Cause, Finding};
use super::difference::{Name, Seen, note};
use super::ledger_check::{NamedOrder, OF_ORDERS};
use super::{KIND, is_late};
use crate::database::{Consistency, Get, Index, Item, Key, Query, Range, Table, Write};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::pos::cart_item::cart_of;
use crate::pos::finalize::delta_of;
use crate::pos::lane_write::{LaneState, lane_get};
use crate::pos::plan::is_under_way;
use crate::stock::conservation::parts_ever;
use crate::stock::counters::{Counters, Delta};
use crate::stock::ledger::LedgerRow;
use crate::tenancy::TenantScope;

/// Rows of a ledger, the newest first, that are looked at for one order.
const ROWS_MAX: usize = 2_000;
/// Rows of a ledger that are looked at for all orders of a run.
const NEWEST_ROWS: u32 = 200;
/// What is younger may still be on its way into the ledger.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_mins(10);
/// Of a lane that was never looked at, so many orders are.
const RECENT_ORDERS: u64 = 100;

fn is_of_order(row: &LedgerRow) -> bool {
    OF_ORDERS.contains(&row.kind.as_str()) || row.kind == KIND
}

/// What the ledgers of a stock item say of one order.
struct Told {
    moved: Delta,
    /// Whether every row there ever was has been looked at.
    is_whole: bool,
    /// Number of the first of its rows.
    first_seq: Option<i64>,
}

async fn told_of(
    ports: &Ports,
    scope: &TenantScope,
    (location_id, sku): (&str, &str),
    parts: &[Counters],
    order_id: &str,
) -> Result<Told> {
    let mut told = Told { moved: Delta::default(), is_whole: true, first_seq: None };
    let mut left = ROWS_MAX;
    for (part, stock) in (0_u32..).zip(parts) {
        let mut query = newest(scope, (location_id, sku, part));
        // The movement that the next row must be of, if none is missing.
        let mut expected = stock.seq;
        'pages: loop {
            let page = ports.database.query(query.clone()).await?;
            for item in &page.items {
                let row = LedgerRow::of(item)?;
                // What moved since the stock item was read tells too.
                if row.seq <= stock.seq {
                    told.is_whole &= row.seq == expected && row.from_seq.is_none();
                    expected = row.seq - 1;
                }
                if is_of_order(&row) && row.reference == order_id {
                    told.moved += row.delta;
                    told.first_seq = Some(row.seq);
                }
                left = left.saturating_sub(1);
                if left == 0 || !told.is_whole {
                    told.is_whole = false;
                    break 'pages;
                }
            }
            match page.next {
                Some(next) => query.start = Some(next),
                None => break,
            }
        }
        told.is_whole &= expected == 0;
    }
    Ok(told)
}

fn newest(scope: &TenantScope, (location_id, sku, part): (&str, &str, u32)) -> Query {
    Query {
        range: crate::stock::ledger::rows(),
        ascending: false,
        limit: NEWEST_ROWS,
        ..Query::partition(Table::Ledger, scope.ledger_of_part(location_id, sku, part))
    }
}

/// Whether an order moved its stock, or that had moved before it was recorded; `None` where that is not for it alone to
/// say.
fn moves_stock(cart: &Cart) -> Option<bool> {
    if cart.course.exchange.is_some() {
        return None;
    }
    match &cart.course.recorded {
        // Of what was recorded before this was kept nobody knows.
        Some(recorded) => recorded.stock_already_moved.map(|had_moved| !had_moved),
        // So do returns and voids of all sales, of these too: what comes back lies there then.
        None => Some(true),
    }
}

/// What an order moves of a SKU; `None` where that is not for it alone to say.
fn expected_of(cart: Option<&Cart>, sku: &str) -> Option<Delta> {
    let Some(cart) = cart else { return Some(Delta::default()) };
    let moves = if moves_stock(cart)? { cart.stock_moves() } else { Vec::new() };
    let one = moves.iter().find(|one| one.sku == sku);
    Some(one.map_or_else(Delta::default, |one| delta_of(cart.kind, one)))
}

/// What movements did to goods: those that can be used, and those that are damaged. What comes back of a lot that was
/// recalled, or is past its day, is kept aside and not on hand: it came back nevertheless.
fn goods(moved: &Delta) -> (i64, i64) {
    (moved.on_hand.saturating_add(moved.quarantined), moved.damaged)
}

/// The same of what came back to where lots are kept. What is to be kept aside and has not even room for that is counted
/// as damaged, so that nobody sells it: it came back nevertheless.
fn goods_of_lots(moved: &Delta, expected: &Delta) -> (i64, i64) {
    let (usable, damaged) = goods(moved);
    let missing = expected.on_hand.max(0).saturating_sub(usable).max(0);
    let no_room = damaged.saturating_sub(expected.damaged).clamp(0, missing);
    (usable.saturating_add(no_room), damaged.saturating_sub(no_room))
}

async fn final_order(ports: &Ports, scope: &TenantScope, order_id: &str) -> Result<Option<Cart>> {
    let get = Get { table: Table::Orders, key: scope.cart(order_id), consistency: Consistency::Strong };
    let cart = ports.database.get(get).await?.as_ref().map(cart_of).transpose()?;
    Ok(cart.filter(|cart| cart.finalized.is_some()))
}

/// Compares what the ledger says of an order with the order.
///
/// # Errors
/// 404 `stock_not_found`; as the database.
pub(super) async fn compare_order(
    ports: &Ports,
    scope: &TenantScope,
    (location_id, sku): (&str, &str),
    order_id: &str,
) -> Result<Seen> {
    let parts = parts_ever(ports, scope, location_id, sku).await?;
    let first = parts.first().copied().unwrap_or_default();
    let version = super::version_of(&parts);
    let seen = |findings, is_complete| Seen { version, unit: first.unit, findings, is_complete };
    let order = final_order(ports, scope, order_id).await?;
    // Nothing is known to differ.
    let Some(expected) = expected_of(order.as_ref(), sku) else { return Ok(seen(Vec::new(), true)) };
    let told = told_of(ports, scope, (location_id, sku), &parts, order_id).await?;
    let (expected, moved) = match &order {
        Some(_) if first.lots_version > 0 => (goods(&expected), goods_of_lots(&told.moved, &expected)),
        Some(_) => (goods(&expected), goods(&told.moved)),
        // What was kept aside is its lot's to settle: a correction would take it from what is for sale.
        None => ((expected.on_hand, expected.damaged), (told.moved.on_hand, told.moved.damaged)),
    };
    if moved == expected {
        return Ok(seen(Vec::new(), true));
    }
    if !told.is_whole || is_under_way(ports, scope, order_id).await? {
        return Ok(seen(Vec::new(), false));
    }
    let cause = if order.is_some() { Cause::OrderWithoutMovement } else { Cause::MovementWithoutOrder };
    let finding = |what: &str, expected, found| Finding {
        what: what.to_owned(),
        part: 0,
        cause,
        expected,
        found,
        since_seq: told.first_seq.unwrap_or(first.seq),
        references: vec![order_id.to_owned()],
    };
    let both = [finding("on_hand", expected.0, moved.0), finding("damaged", expected.1, moved.1)];
    Ok(seen(both.into_iter().filter(|finding| finding.difference() != 0).collect(), true))
}

/// Looks for the orders that rows name; answers of how many the difference is known for certain.
///
/// # Errors
/// As the database.
pub(super) async fn check_named(
    ports: &Ports,
    scope: &TenantScope,
    (location_id, sku): (&str, &str),
    named: &[(u32, NamedOrder)],
    now: Timestamp,
) -> Result<usize> {
    let ids: BTreeSet<&str> = named.iter().map(|(_, order)| order.order_id.as_str()).collect();
    let ids: Vec<&str> = ids.into_iter().collect();
    if ids.is_empty() {
        return Ok(0);
    }
    let get = |id: &&str| Get { table: Table::Orders, key: scope.cart(id), consistency: Consistency::Strong };
    let orders = ports.database.get_many(ids.iter().map(get).collect()).await?;
    let mut open = 0;
    for (order_id, order) in ids.into_iter().zip(orders) {
        if order.is_some_and(|order| order.opt_number("lane_number").is_some()) {
            continue;
        }
        let seen = compare_order(ports, scope, (location_id, sku), order_id).await?;
        let name = Name { location_id, sku, order_id: Some(order_id) };
        open += usize::from(note(ports, scope, &name, seen, now).await?);
    }
    Ok(open)
}

/// How far the lanes of a store were looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Through {
    /// By register: epoch and number.
    lanes: BTreeMap<String, (u32, u64)>,
}

/// What the newest rows of ledgers say, by SKU and order.
#[derive(Default)]
struct Newest(BTreeMap<String, BTreeMap<String, Delta>>);

impl Newest {
    async fn moved(
        &mut self,
        ports: &Ports,
        scope: &TenantScope,
        (location_id, sku): (&str, &str),
        order_id: &str,
    ) -> Result<Delta> {
        if !self.0.contains_key(sku) {
            let page = ports.database.query(newest(scope, (location_id, sku, 0))).await?;
            let mut by_order: BTreeMap<String, Delta> = BTreeMap::new();
            for item in &page.items {
                let row = LedgerRow::of(item)?;
                if is_of_order(&row) {
                    *by_order.entry(row.reference.clone()).or_default() += row.delta;
                }
            }
            self.0.insert(sku.to_owned(), by_order);
        }
        Ok(self.0.get(sku).and_then(|orders| orders.get(order_id)).copied().unwrap_or_default())
    }
}

/// What looking at the orders of lanes came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct LanesCompared {
    /// Orders looked at.
    pub(super) orders: usize,
    /// Differences that are open.
    pub(super) differences: usize,
}

/// Goes on over the orders of a store's lanes, at most `budget` of them, and looks whether their stock moved.
///
/// # Errors
/// As the database.
pub(super) async fn check_lanes(
    ports: &Ports,
    scope: &TenantScope,
    store: &Location,
    budget: usize,
    deadline: Timestamp,
) -> Result<LanesCompared> {
    let now = ports.environment.now();
    let mut compared = LanesCompared::default();
    if store.kind != LocationKind::Store {
        return Ok(compared);
    }
    let key = scope.walk(&format!("orders-stock#{}", store.id));
    let get = Get { table: Table::Catalog, key: key.clone(), consistency: Consistency::Strong };
    let before: Through = match ports.database.get(get).await? {
        Some(item) => item.json("through")?,
        None => Through::default(),
    };
    let mut through = before.clone();
    let registers: BTreeSet<String> =
        store.registers.iter().cloned().chain(Lane::virtual_registers()).collect();
    let gets = registers.iter().map(|register| lane_get(scope, &store.id, register)).collect();
    let lanes = ports.database.get_many(gets).await?;
    let mut newest = Newest::default();
    for (register, lane) in registers.into_iter().zip(lanes) {
        let lane = LaneState::of(lane.as_ref())?;
        let known = through.lanes.get(&register).filter(|(epoch, _)| *epoch == lane.epoch);
        let mut done = known.map_or(lane.last.saturating_sub(RECENT_ORDERS), |(_, number)| *number);
        let left = budget.saturating_sub(compared.orders);
        if done >= lane.last || left == 0 || is_late(ports, deadline) {
            continue;
        }
        for item in
            orders_of(ports, scope, (&store.id, &register, lane.epoch), (done, lane.last), left).await?
        {
            let order = cart_of(&item)?;
            let Some(done_at) = order.finalized.as_ref().map(|done| done.recorded_at) else { continue };
            if now.duration_since(done_at) < SETTLED_AFTER || is_late(ports, deadline) {
                break;
            }
            compared.orders += 1;
            let moves_stock = moves_stock(&order);
            for one in order.stock_moves() {
                let expected = match moves_stock {
                    Some(true) => delta_of(order.kind, &one),
                    Some(false) => Delta::default(),
                    None => break,
                };
                let what = (store.id.as_str(), one.sku.as_str());
                let moved = newest.moved(ports, scope, what, &order.id).await?;
                if goods(&moved) == goods(&expected) {
                    continue;
                }
                let seen = match compare_order(ports, scope, what, &order.id).await {
                    // What never moved may have no stock item.
                    Err(Error::Rejected(_)) => continue,
                    seen => seen?,
                };
                let name = Name { location_id: &store.id, sku: &one.sku, order_id: Some(&order.id) };
                compared.differences += usize::from(note(ports, scope, &name, seen, now).await?);
            }
            done = u64::try_from(item.number("lane_number")?).map_err(Error::bug)?;
        }
        through.lanes.insert(register, (lane.epoch, done));
    }
    if through != before {
        let item = Item::new(&key).with_json("through", &through)?;
        ports.database.write(Write::Put { table: Table::Catalog, item, condition: None }).await?;
    }
    Ok(compared)
}

/// Orders of a lane after a number, up to another, at most so many.
async fn orders_of(
    ports: &Ports,
    scope: &TenantScope,
    (store_id, register_id, epoch): (&str, &str, u32),
    (after, last): (u64, u64),
    most: usize,
) -> Result<Vec<Item>> {
    let number = |number: u64| i64::try_from(number).map_err(Error::bug);
    let query = Query {
        range: Range::Numbers(number(after)? + 1, number(last)?),
        limit: u32::try_from(most).unwrap_or(u32::MAX),
        ..Query::index(Table::Orders, Index::ByLane, scope.lane_orders(store_id, register_id, epoch))
    };
    let mut gets = Vec::new();
    for item in ports.database.query(query).await?.items {
        gets.push(Get { table: Table::Orders, key: Key::of(&item)?, consistency: Consistency::Strong });
    }
    Ok(ports.database.get_many(gets).await?.into_iter().flatten().collect())
}
