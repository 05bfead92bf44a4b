//! Goods that come back from a customer: they are of the lots that were taken.
//!
//! Of which lots they were is noted a moment after they left. Where all were of one lot, so is what comes back; where
//! all of it comes back, each lot gets what it gave. Where it was of several and some comes back, nobody knows which:
//! it is of no known lot, unless one of them is recalled or past its day; then it is taken for that, and kept aside.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tillstream_domain::cart::{Cart, CartKind, StockMove};
use tillstream_domain::lot_book::LOTS_WITH_ASIDE_MAX;
use tillstream_domain::quantity::{Quantity, Unit};

use super::named::{Named, known};
use super::stock::{LotStock, Taking};
use super::trace::ORDER;
use crate::database::{Consistency, Get, Item, Query, Table, Write};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::stock::counters::{Delta, Movement};
use crate::stock::layout::LAYOUT_WHOLE;
use crate::stock::listing::StockName;
use crate::stock::split::make_whole;
use crate::tenancy::TenantScope;

/// Most lots of one SKU of an order that are looked at: as many as a stock item has.
const LOTS_LOOKED_AT_MAX: usize = LOTS_WITH_ASIDE_MAX;

/// What was taken at a location by SKU and lot, in thousandths; what is of no known lot has none.
pub(in crate::stock) type TakenLots = BTreeMap<String, BTreeMap<Option<String>, i64>>;

/// What the movements of an order took at a location, as far as it is noted.
///
/// # Errors
/// As the database.
pub(in crate::stock) async fn taken_by(
    ports: &Ports,
    scope: &TenantScope,
    order_id: &str,
    location_id: &str,
) -> Result<TakenLots> {
    let mut taken = TakenLots::new();
    let mut query = Query::partition(Table::Stock, scope.lots_of_reference(ORDER, order_id));
    loop {
        let page = ports.database.query(query.clone()).await?;
        for item in &page.items {
            if item.text("location_id")? == location_id {
                note(&mut taken, item)?;
            }
        }
        match page.next {
            Some(next) => query.start = Some(next),
            None => return Ok(taken),
        }
    }
}

fn note(taken: &mut TakenLots, item: &Item) -> Result<()> {
    let quantity = -item.number("on_hand")?;
    if quantity > 0 {
        let of_sku = taken.entry(item.text("sku")?.to_owned()).or_default();
        *of_sku.entry(item.opt_text("lot_id").map(str::to_owned)).or_default() += quantity;
    }
    Ok(())
}

/// Goods of one SKU that come to a location.
#[derive(Debug, Clone, Copy)]
pub(in crate::stock) struct Coming<'a> {
    pub(in crate::stock) location_id: &'a str,
    pub(in crate::stock) sku: &'a str,
    pub(in crate::stock) quantity: Quantity,
    pub(in crate::stock) unit: Option<Unit>,
    /// What else changes of the stock item.
    pub(in crate::stock) more: Delta,
}

/// The writes by which goods come to a location that were `taken` so, as their lots: on the stock item, on the lots,
/// and on what is there being as it was read. `None` where nothing of it is of a known lot.
///
/// # Errors
/// As the database; [`Error::Retryable`] where the stock was split: it is whole now.
async fn arrival(
    ports: &Ports,
    scope: &TenantScope,
    coming: Coming<'_>,
    taken: &BTreeMap<Option<String>, i64>,
    (movement, now): (&Movement, Timestamp),
) -> Result<Option<Vec<Write>>> {
    let name = StockName { location_id: coming.location_id.to_owned(), sku: coming.sku.to_owned() };
    let what = (coming.location_id, coming.sku);
    let mut lots: BTreeMap<&str, Named> = BTreeMap::new();
    for lot_id in taken.keys().flatten().take(LOTS_LOOKED_AT_MAX) {
        if let Some(lot) = known(ports, scope, what, lot_id, now).await? {
            lots.insert(lot_id, lot);
        }
    }
    if lots.is_empty() {
        return Ok(None);
    }
    let get = Get {
        table: Table::Stock,
        key: scope.stock(coming.location_id, coming.sku),
        consistency: Consistency::Strong,
    };
    let stock = LotStock::of(ports.database.get(get).await?.as_ref())?;
    if stock.counters.is_some_and(|stock| stock.layout != LAYOUT_WHOLE) {
        make_whole(ports, scope, coming.location_id, coming.sku).await?;
        return Err(Error::retryable("the stock was split"));
    }
    let mut book = stock.book.clone();
    let mut more = coming.more;
    let mut writes = Vec::new();
    for (lot_id, quantity) in shared_out(coming.quantity.thousandths(), taken, &lots) {
        match lot_id.and_then(|lot_id| lots.get(lot_id)) {
            None => book.add_unknown(quantity),
            Some(lot) => {
                more.damaged += lot.arrive(&mut book, quantity);
                writes.extend(lot.writes(scope, &stock.book));
            }
        }
    }
    let how = (movement, Taking::Available);
    let write = stock.write(scope, &name, (&book, more), how, coming.unit, Vec::new())?;
    writes.insert(0, write);
    Ok(Some(writes))
}

/// Of which lots so much is that comes of what was taken.
fn shared_out<'t>(
    quantity: i64,
    taken: &'t BTreeMap<Option<String>, i64>,
    lots: &BTreeMap<&str, Named>,
) -> Vec<(Option<&'t str>, i64)> {
    let of = |lot_id: &'t Option<String>| lot_id.as_deref();
    let all: i64 = taken.values().sum();
    if all == quantity {
        return taken.iter().map(|(lot_id, quantity)| (of(lot_id), *quantity)).collect();
    }
    let is_aside =
        |lot_id: Option<&str>| lot_id.and_then(|lot_id| lots.get(lot_id)).is_some_and(Named::is_aside);
    let mut ids = taken.keys().map(of);
    let one = match (ids.next(), ids.next()) {
        (Some(one), None) => one,
        _ => taken.keys().map(of).find(|lot_id| is_aside(*lot_id)).flatten(),
    };
    vec![(one, quantity)]
}

/// What a return writes of goods that are kept by lots, and what of it remains to be written.
#[derive(Debug, Default)]
pub(crate) struct ComeBack {
    /// Conditions on what was read: a failure is a lost race.
    pub(crate) writes: Vec<Write>,
    /// The moves of all other goods; `None`: none of the moves was of goods that are known to be of lots.
    pub(crate) rest: Option<Vec<StockMove>>,
}

/// What of a return of a known sale is of lots, as far as `room` for actions goes.
///
/// # Errors
/// As the database.
pub(crate) async fn of_return(
    ports: &Ports,
    scope: &TenantScope,
    cart: &Cart,
    moves: &[StockMove],
    (movement, now): (&Movement, Timestamp),
    room: usize,
) -> Result<ComeBack> {
    let mut back = ComeBack::default();
    let original = cart.return_of.as_ref().and_then(|head| head.original.as_ref());
    let Some(original) = original.filter(|_| cart.kind == CartKind::Return) else { return Ok(back) };
    let taken = taken_by(ports, scope, &original.order_id, &cart.store_id).await?;
    if taken.is_empty() {
        return Ok(back);
    }
    let mut rest = Vec::new();
    for one in moves {
        let of_sku = taken.get(&one.sku).filter(|_| one.sellable > Quantity::ZERO);
        let mut writes = None;
        if let Some(of_sku) = of_sku {
            let coming = Coming {
                location_id: &cart.store_id,
                sku: &one.sku,
                quantity: one.sellable,
                unit: None,
                more: Delta { damaged: one.damaged.thousandths(), ..Delta::default() },
            };
            writes = arrival(ports, scope, coming, of_sku, (movement, now)).await?;
        }
        match writes.filter(|writes| back.writes.len() + writes.len() <= room) {
            Some(writes) => back.writes.extend(writes),
            None => rest.push(one.clone()),
        }
    }
    back.rest = Some(rest);
    Ok(back)
}
