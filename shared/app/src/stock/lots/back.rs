//! Goods that come back from a customer: they are of the lots that were taken.
//!
//! Of which lots they were is noted a moment after they left. Where all were of one lot, so is what comes back; where
//! all of it comes back, each lot gets what it gave. Where it was of several and some comes back, nobody knows which:
//! it is of no known lot, unless one of them is recalled or past its day; then it is taken for that, and kept aside.
//! What was sold of a lot that was named comes back as that lot.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tillstream_domain::cart::{Cart, CartKind, OriginalSale, StockMove};
use tillstream_domain::lot_book::{LOTS_WITH_ASIDE_MAX, LotBook};
use tillstream_domain::quantity::Quantity;

use super::named::{Named, known_all};
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

/// Lots of a long return that are read at once. More would be read sooner before they are written, and read again where
/// somebody takes of them meanwhile.
const LOTS_READ_AT_ONCE: usize = 200;

/// What was taken by SKU and lot, in thousandths; what is of no known lot has none.
pub(in crate::stock) type TakenLots = BTreeMap<String, BTreeMap<Option<String>, i64>>;

/// What the movements of an order took, as far as it is noted. An order is of one store, and what comes back may come
/// to another.
///
/// # Errors
/// As the database.
pub(in crate::stock) async fn taken_by(
    ports: &Ports,
    scope: &TenantScope,
    order_id: &str,
) -> Result<TakenLots> {
    let mut taken = TakenLots::new();
    let mut query = Query::partition(Table::Stock, scope.lots_of_reference(ORDER, order_id));
    loop {
        let page = ports.database.query(query.clone()).await?;
        for item in &page.items {
            note(&mut taken, item)?;
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

/// Of which lots goods are that come: so much of lots that were named when they left, and of the rest how it was taken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    /// Of lots that were named.
    pub(in crate::stock) said: BTreeMap<String, i64>,
    /// All that was taken without a name, as far as it is noted.
    pub(in crate::stock) taken: BTreeMap<Option<String>, i64>,
}

impl Origin {
    /// The lots that it may be of.
    fn lots(&self) -> impl Iterator<Item = &str> {
        let noted = self.taken.keys().flatten().take(LOTS_LOOKED_AT_MAX);
        self.said.keys().chain(noted).map(String::as_str)
    }

    /// Those of them that are known to be of a SKU.
    fn known_of(&self, sku: &str, known: &BTreeMap<String, Named>) -> BTreeMap<&str, Named> {
        let of_sku = |lot_id: &str| known.get(lot_id).filter(|lot| lot.header.sku == sku);
        self.lots().filter_map(|lot_id| Some((lot_id, of_sku(lot_id)?.clone()))).collect()
    }
}

/// Of which lots goods of a known sale may be, by SKU; nothing of SKUs of which nothing is known.
pub(crate) type Origins = BTreeMap<String, Origin>;

/// The lots of an origin that are known to be of a SKU.
///
/// # Errors
/// As the database.
pub(super) async fn known_of<'o>(
    ports: &Ports,
    scope: &TenantScope,
    (location_id, sku): (&str, &str),
    origin: &'o Origin,
    now: Timestamp,
) -> Result<BTreeMap<&'o str, Named>> {
    let wanted: BTreeSet<(&str, &str)> = origin.lots().map(|lot_id| (lot_id, sku)).collect();
    let known = known_all(ports, scope, location_id, &wanted, now).await?;
    Ok(origin.known_of(sku, &known))
}

/// What goods that come make of the lots that are there.
pub(super) struct Brought {
    /// The lots with them.
    pub(super) book: LotBook,
    /// How many of them are to be counted as damaged, in thousandths: they are to be kept aside, and there is no room.
    pub(super) damaged: i64,
    /// That the lots that come are as they were read.
    pub(super) checks: Vec<Write>,
    /// Where they are: this may be written at any time before they come.
    pub(super) places: Vec<Write>,
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
    let mut brought = Brought { book: book.clone(), damaged: 0, checks: Vec::new(), places: Vec::new() };
    for (lot_id, quantity) in shares.into_iter().filter(|(_, quantity)| *quantity > 0) {
        let Some(lot) = lot_id.and_then(|lot_id| lots.get(lot_id)) else {
            brought.book.add_unknown(quantity);
            continue;
        };
        brought.damaged += lot.arrive(&mut brought.book, quantity);
        // Where there is no room for it, a recall finds nothing of it here: it need not stand still.
        if brought.book.lot(lot.lot_id()).is_some() {
            brought.checks.push(lot.own_write(scope));
            brought.places.extend(lot.place_write(scope, &stock.book));
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

/// Of which lots what comes back of a known sale may be.
///
/// # Errors
/// As the database.
pub(crate) async fn origins(ports: &Ports, scope: &TenantScope, cart: &Cart) -> Result<Origins> {
    let mut origins = Origins::new();
    let Some(original) = original_of(cart) else { return Ok(origins) };
    for (sku, taken) in taken_by(ports, scope, &original.order_id).await? {
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

/// The known sale of which a return brings something back.
fn original_of(cart: &Cart) -> Option<&OriginalSale> {
    let head = cart.return_of.as_ref().filter(|_| cart.kind == CartKind::Return)?;
    head.original.as_ref()
}

/// Whether it may be known of which lots the goods of a cart are that come back.
pub(crate) fn is_of_known_sale(cart: &Cart) -> bool {
    original_of(cart).is_some()
}

/// What is written of goods of one SKU that come back as their lots.
#[derive(Debug)]
struct Arrival {
    /// The stock item's, and that the lots are as they were read. A failure is a lost race.
    writes: Vec<Write>,
    /// Where the lots are: this may be written at any time before the others.
    places: Vec<Write>,
}

impl Arrival {
    /// How many actions of a transaction it takes.
    fn len(&self) -> usize {
        self.writes.len() + self.places.len()
    }

    fn all(self) -> impl Iterator<Item = Write> {
        self.writes.into_iter().chain(self.places)
    }
}

/// What a return writes of goods that come back as their lots, by SKU.
#[derive(Debug, Default)]
pub(crate) struct ComeBack(BTreeMap<String, Arrival>);

impl ComeBack {
    /// How many actions of a transaction it takes beside one for each move.
    pub(crate) fn more(&self) -> usize {
        self.0.values().map(|arrival| arrival.len().saturating_sub(1)).sum()
    }

    /// All that is written, and the moves of other goods.
    pub(crate) fn beside(self, moves: &[StockMove]) -> (Vec<Write>, Vec<StockMove>) {
        let others = moves.iter().filter(|one| !self.0.contains_key(&one.sku)).cloned().collect();
        (self.0.into_values().flat_map(Arrival::all).collect(), others)
    }
}

/// What of a return of a known sale comes back as lots, all at once.
///
/// # Errors
/// As the database; [`Error::Retryable`] where stock was split: it is whole now.
pub(crate) async fn of_return(
    ports: &Ports,
    scope: &TenantScope,
    cart: &Cart,
    moves: &[StockMove],
    how: (&Movement, Timestamp),
) -> Result<ComeBack> {
    let origins = origins(ports, scope, cart).await?;
    come_back(ports, scope, (&cart.store_id, &origins), moves, how).await
}

/// What of `moves` comes to a location as lots. What is read for it, is read for all of them together.
async fn come_back(
    ports: &Ports,
    scope: &TenantScope,
    (location_id, origins): (&str, &Origins),
    moves: &[StockMove],
    (movement, now): (&Movement, Timestamp),
) -> Result<ComeBack> {
    let mut coming: Vec<(&StockMove, &Origin)> = Vec::new();
    let mut wanted: BTreeSet<(&str, &str)> = BTreeSet::new();
    for one in moves.iter().filter(|one| one.sellable > Quantity::ZERO) {
        let Some(origin) = origins.get(&one.sku) else { continue };
        let sku = one.sku.as_str();
        wanted.extend(origin.lots().map(|lot_id| (lot_id, sku)));
        coming.push((one, origin));
    }
    if coming.is_empty() {
        return Ok(ComeBack::default());
    }
    let known = known_all(ports, scope, location_id, &wanted, now).await?;
    let get = |(one, _): &(&StockMove, &Origin)| Get {
        table: Table::Stock,
        key: scope.stock(location_id, &one.sku),
        consistency: Consistency::Strong,
    };
    let items = ports.database.get_many(coming.iter().map(get).collect()).await?;
    let mut back = ComeBack::default();
    let mut is_split = false;
    for ((one, origin), item) in coming.into_iter().zip(items) {
        let lots = origin.known_of(&one.sku, &known);
        let stock = LotStock::of(item.as_ref())?;
        if lots.is_empty() && stock.counters.is_none_or(|stock| stock.lots_version <= 0) {
            // Nothing of it was ever kept by lots here, and nothing comes that is.
            continue;
        }
        if stock.counters.is_some_and(|stock| stock.layout != LAYOUT_WHOLE) {
            make_whole(ports, scope, location_id, &one.sku).await?;
            is_split = true;
            continue;
        }
        let coming = (one.sellable.thousandths(), origin);
        let Brought { book, damaged, checks, places } = brought(scope, &stock, &stock.book, coming, &lots);
        let name = StockName { location_id: location_id.to_owned(), sku: one.sku.clone() };
        let more = Delta { damaged: one.damaged.thousandths() + damaged, ..Delta::default() };
        let how = (movement, Taking::Available);
        let mut writes = vec![stock.write(scope, &name, (&book, more), how, None, Vec::new())?];
        writes.extend(checks);
        back.0.insert(one.sku.clone(), Arrival { writes, places });
    }
    if is_split {
        return Err(Error::retryable("the stock was split"));
    }
    Ok(back)
}

/// What one transaction takes of moves by which goods come back.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// How many moves, from the first on.
    pub(crate) moves: usize,
    /// What is written of goods that come back as their lots. A failure is a lost race.
    pub(crate) writes: Vec<Write>,
    /// Of these moves those of other goods, of which each is one action more.
    pub(crate) others: Vec<StockMove>,
}

impl Part {
    /// How many actions of a transaction it takes.
    fn len(&self) -> usize {
        self.writes.len() + self.others.len()
    }
}

/// The first of `moves`, in parts of which `room` actions take each, one after another. What is read for them is read
/// once for all of these parts; it is of so many lots and no more, so there may be moves behind them. Where goods of one
/// SKU are of so many lots that not even they fit, it is written ahead where these lots are.
///
/// # Errors
/// As the database; [`Error::Retryable`] where stock was split: it is whole now.
pub(crate) async fn parts_of(
    ports: &Ports,
    scope: &TenantScope,
    (location_id, origins): (&str, &Origins),
    moves: &[StockMove],
    how: (&Movement, Timestamp),
    room: usize,
) -> Result<Vec<Part>> {
    let moves = read_at_once(moves, origins);
    let mut back = come_back(ports, scope, (location_id, origins), moves, how).await?;
    let (mut parts, mut part) = (Vec::new(), Part::default());
    for one in moves {
        let mut arrival = back.0.remove(&one.sku);
        if let Some(arrival) = arrival.as_mut().filter(|arrival| arrival.len() > room) {
            for place in std::mem::take(&mut arrival.places) {
                ports.database.write(place).await?;
            }
        }
        let actions = arrival.as_ref().map_or(1, Arrival::len);
        if actions > room {
            return Err(Error::Bug(format!("no transaction takes what comes back of {}", one.sku)));
        }
        if part.len() + actions > room {
            parts.push(std::mem::take(&mut part));
        }
        match arrival {
            Some(arrival) => part.writes.extend(arrival.all()),
            None => part.others.push(one.clone()),
        }
        part.moves += 1;
    }
    parts.extend((part.moves > 0).then_some(part));
    Ok(parts)
}

/// Moves from the first on, one at least, of whose lots so many are read at once as one look reads.
fn read_at_once<'m>(moves: &'m [StockMove], origins: &Origins) -> &'m [StockMove] {
    let mut lots = 0;
    let fits = moves.iter().take_while(|one| {
        lots += origins.get(&one.sku).map_or(0, |origin| origin.lots().count());
        lots <= LOTS_READ_AT_ONCE
    });
    let fits = fits.count().max(1).min(moves.len());
    moves.get(..fits).unwrap_or_default()
}
