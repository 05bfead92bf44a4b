//! Goods that come back from a customer: they are of the lots that were taken.
//!
//! Of which lots they were is noted a moment after they left. Where all were of one lot, so is what comes back; where
//! all of it comes back, each lot gets what it gave. Where it was of several and some comes back, nobody knows which:
//! it is of no known lot, unless one of them is recalled or past its day; then it is taken for that, and kept aside.
//! What was sold of a lot that was named comes back as that lot.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tillstream_domain::cart::{Cart, CartKind, StockMove};
use tillstream_domain::lot_book::{LOTS_WITH_ASIDE_MAX, LotBook};
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
    // What was sold although it was kept aside was taken too.
    let quantity = -(item.number("on_hand")? + item.opt_number("quarantined").unwrap_or(0));
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

/// Of which lots goods are that come: so much of lots that were named when they left, and of the rest how it was taken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    /// Of lots that were named.
    pub(in crate::stock) said: BTreeMap<String, i64>,
    /// All that was taken without a name, as far as it is noted.
    pub(in crate::stock) taken: BTreeMap<Option<String>, i64>,
}

/// The writes by which goods of an `origin` come to a location as their lots: on the stock item, on the lots, and on
/// what is there being as it was read. `None` where nothing of it is of a known lot.
///
/// # Errors
/// As the database; [`Error::Retryable`] where the stock was split: it is whole now.
async fn arrival_of(
    ports: &Ports,
    scope: &TenantScope,
    coming: Coming<'_>,
    origin: &Origin,
    (movement, now): (&Movement, Timestamp),
) -> Result<Option<Vec<Write>>> {
    let name = StockName { location_id: coming.location_id.to_owned(), sku: coming.sku.to_owned() };
    let what = (coming.location_id, coming.sku);
    let lots = known_of(ports, scope, what, origin, now).await?;
    let get = Get {
        table: Table::Stock,
        key: scope.stock(coming.location_id, coming.sku),
        consistency: Consistency::Strong,
    };
    let stock = LotStock::of(ports.database.get(get).await?.as_ref())?;
    if lots.is_empty() && stock.counters.is_none_or(|stock| stock.lots_version <= 0) {
        // Nothing of it was ever kept by lots here, and nothing comes that is.
        return Ok(None);
    }
    if stock.counters.is_some_and(|stock| stock.layout != LAYOUT_WHOLE) {
        make_whole(ports, scope, coming.location_id, coming.sku).await?;
        return Err(Error::retryable("the stock was split"));
    }
    let Brought { book, damaged, mut writes } =
        brought(scope, &stock, &stock.book, (coming.quantity.thousandths(), origin), &lots);
    let more = Delta { damaged: coming.more.damaged + damaged, ..coming.more };
    let how = (movement, Taking::Available);
    let write = stock.write(scope, &name, (&book, more), how, coming.unit, Vec::new())?;
    writes.insert(0, write);
    Ok(Some(writes))
}

/// The lots of an origin that are known to be of a SKU.
///
/// # Errors
/// As the database.
pub(super) async fn known_of<'o>(
    ports: &Ports,
    scope: &TenantScope,
    what: (&str, &str),
    origin: &'o Origin,
    now: Timestamp,
) -> Result<BTreeMap<&'o str, Named>> {
    let mut lots: BTreeMap<&str, Named> = BTreeMap::new();
    let noted = origin.taken.keys().flatten().take(LOTS_LOOKED_AT_MAX);
    for lot_id in origin.said.keys().chain(noted) {
        if lots.contains_key(lot_id.as_str()) {
            continue;
        }
        if let Some(lot) = known(ports, scope, what, lot_id, now).await? {
            lots.insert(lot_id, lot);
        }
    }
    Ok(lots)
}

/// What goods that come make of the lots that are there.
pub(super) struct Brought {
    /// The lots with them.
    pub(super) book: LotBook,
    /// How many of them are to be counted as damaged, in thousandths: they are to be kept aside, and there is no room.
    pub(super) damaged: i64,
    /// What is written beside the stock item.
    pub(super) writes: Vec<Write>,
}

/// `book` with so much more of the lots of an origin. Whatever room there is for them, they are there.
pub(super) fn brought(
    scope: &TenantScope,
    stock: &LotStock,
    book: &LotBook,
    (quantity, origin): (i64, &Origin),
    lots: &BTreeMap<&str, Named>,
) -> Brought {
    let mut shares: BTreeMap<Option<&str>, i64> = BTreeMap::new();
    let mut rest = quantity;
    for (lot_id, said) in &origin.said {
        let said = (*said).min(rest);
        *shares.entry(Some(lot_id.as_str())).or_default() += said;
        rest -= said;
    }
    if rest > 0 {
        for (lot_id, quantity) in shared_out(rest, &origin.taken, lots, book) {
            *shares.entry(lot_id).or_default() += quantity;
        }
    }
    let mut brought = Brought { book: book.clone(), damaged: 0, writes: Vec::new() };
    for (lot_id, quantity) in shares.into_iter().filter(|(_, quantity)| *quantity > 0) {
        match lot_id.and_then(|lot_id| lots.get(lot_id)) {
            None => brought.book.add_unknown(quantity),
            Some(lot) => {
                brought.damaged += lot.arrive(&mut brought.book, quantity);
                brought.writes.extend(lot.writes(scope, &stock.book));
            }
        }
    }
    brought
}

/// Of which lots so much is that comes of what was taken.
fn shared_out<'t>(
    quantity: i64,
    taken: &'t BTreeMap<Option<String>, i64>,
    lots: &BTreeMap<&str, Named>,
    book: &LotBook,
) -> Vec<(Option<&'t str>, i64)> {
    let of = |lot_id: &'t Option<String>| lot_id.as_deref();
    let all: i64 = taken.values().sum();
    if all == quantity {
        return taken.iter().map(|(lot_id, quantity)| (of(lot_id), *quantity)).collect();
    }
    let is_aside = |lot_id: Option<&str>| {
        lot_id.and_then(|lot_id| lots.get(lot_id)).is_some_and(|lot| lot.is_aside_in(book))
    };
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

/// Of which lots what comes back of a known sale may be, by SKU; nothing of SKUs of which nothing is known.
///
/// # Errors
/// As the database.
pub(crate) async fn origins(
    ports: &Ports,
    scope: &TenantScope,
    cart: &Cart,
) -> Result<BTreeMap<String, Origin>> {
    let mut origins: BTreeMap<String, Origin> = BTreeMap::new();
    let original = cart.return_of.as_ref().and_then(|head| head.original.as_ref());
    let Some(original) = original.filter(|_| cart.kind == CartKind::Return) else { return Ok(origins) };
    for (sku, taken) in taken_by(ports, scope, &original.order_id, &cart.store_id).await? {
        origins.entry(sku).or_default().taken = taken;
    }
    for (sku, lots) in cart.lots_moved() {
        let said = lots.into_iter().map(|(lot_id, quantity)| (lot_id.to_owned(), quantity));
        origins.entry(sku.to_owned()).or_default().said = said.collect();
    }
    for (sku, lots) in cart.lots_sold() {
        // What lines of the sale named is not what its other lines took.
        let Some(origin) = origins.get_mut(sku) else { continue };
        for (lot_id, quantity) in lots {
            if let Some(taken) = origin.taken.get_mut(&Some(lot_id.to_owned())) {
                *taken -= quantity;
            }
        }
        origin.taken.retain(|_, taken| *taken > 0);
    }
    Ok(origins)
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
    let origins = origins(ports, scope, cart).await?;
    if origins.is_empty() {
        return Ok(back);
    }
    let mut rest = Vec::new();
    for one in moves {
        let origin = origins.get(&one.sku).filter(|_| one.sellable > Quantity::ZERO);
        let mut writes = None;
        if let Some(origin) = origin {
            let coming = Coming {
                location_id: &cart.store_id,
                sku: &one.sku,
                quantity: one.sellable,
                unit: None,
                more: Delta { damaged: one.damaged.thousandths(), ..Delta::default() },
            };
            writes = arrival_of(ports, scope, coming, origin, (movement, now)).await?;
        }
        match writes.filter(|writes| back.writes.len() + writes.len() <= room) {
            Some(writes) => back.writes.extend(writes),
            None => rest.push(one.clone()),
        }
    }
    back.rest = Some(rest);
    Ok(back)
}
