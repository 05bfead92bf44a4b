//! A lot that a request names for goods at a location.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use tillstream_domain::location::Location;
use tillstream_domain::lot_book::{Lot, LotBook, LotError};
use tillstream_domain::product::Product;
use tillstream_domain::quantity::Quantity;

use super::header::{Header, find, get, place_write};
use super::recall::settle;
use crate::catalog::items::{catalog_get, location_if_any, location_of};
use crate::database::{Consistency, Get, Item, Write};
use crate::error::{Error, Refusal, Result};
use crate::fields::typed_id;
use crate::ports::Ports;
use crate::stock::references::location_not_found;
use crate::tenancy::TenantScope;

/// A lot that a request names, as it stands.
#[derive(Debug, Clone)]
pub(in crate::stock) struct Named {
    /// The lot, or the one that it will be.
    pub(super) header: Header,
    is_new: bool,
    location_id: String,
    /// The first instant at which it is fit for sale no more at the location.
    sell_until: Option<i64>,
    now: Timestamp,
}

/// What a request says of a lot.
#[derive(Debug, Clone, Copy)]
pub(in crate::stock) struct Said<'a> {
    /// Path of the fields it stands in, with its dot: of the request itself nothing.
    pub(in crate::stock) path: &'a str,
    /// Its id.
    pub(in crate::stock) lot: Option<&'a str>,
    /// Its last day of sale.
    pub(in crate::stock) expires_on: Option<Date>,
}

/// Of which goods a request names a lot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stock) enum Naming {
    /// Of goods that are there: their lot is known.
    Stock,
    /// Of goods that come in by this request: a lot that is not known is made. At a closed location nothing comes in.
    Delivery,
    /// Of goods that were ordered before: as of a delivery, and the location may be closed by now.
    Ordered,
}

async fn location_read(ports: &Ports, scope: &TenantScope, location_id: &str) -> Result<Option<Item>> {
    let get = catalog_get(scope.location(location_id));
    let item = ports.database.get(get.clone()).await?;
    if item.is_some() {
        return Ok(item);
    }
    // What was made a moment ago may not be there yet in an eventual read: only a strong read says no.
    Ok(ports.database.get(Get { consistency: Consistency::Strong, ..get }).await?)
}

/// A location where something begins: no closed one.
async fn open_location(ports: &Ports, scope: &TenantScope, location_id: &str) -> Result<Location> {
    let item = location_read(ports, scope, location_id).await?;
    Ok(location_if_any(item.as_ref())?.ok_or_else(|| location_not_found(location_id))?)
}

/// A location of which goods are, or whither they are under way, that this system knows of: also after it was closed,
/// since what was begun there must be able to end.
async fn known_location(ports: &Ports, scope: &TenantScope, location_id: &str) -> Result<Location> {
    match location_read(ports, scope, location_id).await? {
        Some(item) => location_of(&item),
        None => Err(location_not_found(location_id).into()),
    }
}

/// The first instant after a location's business day, which a request names in `field`.
fn end_of_day(location: &Location, (field, day): (&str, Date)) -> Result<i64> {
    let out_of_range = || Refusal::field(field, "expires_on_invalid", "a day of the years 2000 to 9000");
    if !(2000..=9000).contains(&day.year()) {
        return Err(out_of_range().into());
    }
    let calendar = location.calendar().map_err(Error::bug)?;
    let next = day.tomorrow().map_err(|_| out_of_range())?;
    Ok(calendar.day_begin(next).map_err(Error::bug)?.as_millisecond())
}

/// The lot of an id, once stock is everywhere as it says: until then some of it may be for sale that is recalled, or
/// kept aside that is not.
async fn settled(ports: &Ports, scope: &TenantScope, lot_id: &str, now: Timestamp) -> Result<Option<Header>> {
    let found = find(ports, scope, lot_id).await?;
    if !found.as_ref().is_some_and(|found| found.is_settling) {
        return Ok(found);
    }
    settle(ports, scope, lot_id, now).await?;
    match find(ports, scope, lot_id).await? {
        Some(again) if again.is_settling => {
            Err(Error::retryable(format!("lot {lot_id} is being recalled or released")))
        }
        found => Ok(found),
    }
}

/// The lot that a request names for `product` at a location; `None` where it names none.
///
/// # Errors
/// 422 `expires_on_without_lot`, `id_malformed`, `card_number_refused`, `sku_without_lots`, `lot_of_another_sku`,
/// `lot_unknown`, `expires_on_invalid`; 409 `lot_expires_otherwise`.
pub(in crate::stock) async fn named(
    ports: &Ports,
    scope: &TenantScope,
    (location_id, product): (&str, &Product),
    said: Said<'_>,
    naming: Naming,
    now: Timestamp,
) -> Result<Option<Named>> {
    let (field, day_field) = (format!("{}lot", said.path), format!("{}expires_on", said.path));
    let Some(lot_id) = said.lot else {
        return match said.expires_on {
            None => Ok(None),
            Some(_) => {
                let message = "a last day of sale is that of a lot; name the lot too";
                Err(Refusal::field(day_field, "expires_on_without_lot", message).into())
            }
        };
    };
    typed_id(&field, lot_id)?;
    if !product.lots {
        let message = format!("the stock of {} is not kept by lots", product.sku);
        return Err(Refusal::field(field, "sku_without_lots", message).into());
    }
    let found = settled(ports, scope, lot_id, now).await?;
    let is_new = found.is_none();
    let header = match found {
        Some(header) if header.sku != product.sku => {
            let message = format!("lot {lot_id} is one of {}, not of {}", header.sku, product.sku);
            let refusal = Refusal::field(field, "lot_of_another_sku", message);
            return Err(refusal.with_extra("lot_sku", header.sku).into());
        }
        Some(header) => header,
        None if naming == Naming::Stock => {
            let message = format!("there is no lot {lot_id} of {}", product.sku);
            return Err(Refusal::field(field, "lot_unknown", message).into());
        }
        None => Header {
            lot_id: lot_id.to_owned(),
            sku: product.sku.clone(),
            expires_on: said.expires_on,
            created_at: now.as_millisecond(),
            is_recalled: false,
            version: 1,
            is_settling: false,
            changed_at: None,
            changed_by: None,
            reason: None,
        },
    };
    if let Some(day) = said.expires_on.filter(|day| header.expires_on != Some(*day)) {
        let known = header.expires_on.map_or("no last day of sale".to_owned(), |known| known.to_string());
        let detail = format!("lot {lot_id} has {known}, not {day}; a lot's day does not change");
        let known = header.expires_on.map(|known| known.to_string());
        let refusal = Refusal::conflict("lot_expires_otherwise", detail);
        return Err(refusal.with_extra("expires_on", known).into());
    }
    let sell_until = match header.expires_on {
        Some(day) => {
            let location = match naming {
                Naming::Ordered => known_location(ports, scope, location_id).await?,
                Naming::Stock | Naming::Delivery => open_location(ports, scope, location_id).await?,
            };
            Some(end_of_day(&location, (&day_field, day))?)
        }
        None => None,
    };
    Ok(Some(Named { header, is_new, location_id: location_id.to_owned(), sell_until, now }))
}

/// A lot that this system knows goods at a location to be of; `None` where it is no lot of this SKU. The location may be
/// closed by now.
///
/// # Errors
/// As the database.
pub(in crate::stock) async fn known(
    ports: &Ports,
    scope: &TenantScope,
    (location_id, sku): (&str, &str),
    lot_id: &str,
    now: Timestamp,
) -> Result<Option<Named>> {
    let header = settled(ports, scope, lot_id, now).await?.filter(|header| header.sku == sku);
    let Some(header) = header else { return Ok(None) };
    let sell_until = match header.expires_on {
        Some(day) => {
            Some(end_of_day(&known_location(ports, scope, location_id).await?, ("expires_on", day))?)
        }
        None => None,
    };
    Ok(Some(Named { header, is_new: false, location_id: location_id.to_owned(), sell_until, now }))
}

/// The same for many lots, each with the SKU that it may be of, in a few reads; those that are, by id.
///
/// # Errors
/// As the database.
pub(in crate::stock) async fn known_all(
    ports: &Ports,
    scope: &TenantScope,
    location_id: &str,
    wanted: &BTreeSet<(&str, &str)>,
    now: Timestamp,
) -> Result<BTreeMap<String, Named>> {
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let items =
        ports.database.get_many(wanted.iter().map(|(lot_id, _)| get(scope, lot_id)).collect()).await?;
    let mut lots = BTreeMap::new();
    let mut location: Option<Location> = None;
    for ((lot_id, sku), item) in wanted.iter().zip(items) {
        let mut header = item.as_ref().map(Header::of).transpose()?;
        if header.as_ref().is_some_and(|header| header.is_settling) {
            header = settled(ports, scope, lot_id, now).await?;
        }
        let Some(header) = header.filter(|header| header.sku == *sku) else { continue };
        let sell_until = match header.expires_on {
            Some(day) => {
                let location = match &mut location {
                    Some(read) => read,
                    None => location.insert(known_location(ports, scope, location_id).await?),
                };
                Some(end_of_day(location, ("expires_on", day))?)
            }
            None => None,
        };
        let named = Named { header, is_new: false, location_id: location_id.to_owned(), sell_until, now };
        lots.insert((*lot_id).to_owned(), named);
    }
    Ok(lots)
}

/// What a lot is, everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::stock) struct LotIs {
    /// Of which SKU.
    pub(in crate::stock) sku: String,
    /// Whether it is recalled.
    pub(in crate::stock) is_recalled: bool,
}

/// What lots are, by position; `None` where there is none.
///
/// # Errors
/// As the database.
pub(in crate::stock) async fn lots_are(
    ports: &Ports,
    scope: &TenantScope,
    lot_ids: &[&str],
) -> Result<Vec<Option<LotIs>>> {
    if lot_ids.is_empty() {
        return Ok(Vec::new());
    }
    let items = ports.database.get_many(lot_ids.iter().map(|lot_id| get(scope, lot_id)).collect()).await?;
    let is = |item: &Option<Item>| {
        let header = item.as_ref().map(Header::of).transpose()?;
        Ok(header.map(|header| LotIs { sku: header.sku, is_recalled: header.is_recalled }))
    };
    items.iter().map(is).collect()
}

/// The book, if it could be changed so.
fn told(done: std::result::Result<LotBook, LotError>) -> Result<Option<LotBook>> {
    match done {
        Ok(book) => Ok(Some(book)),
        Err(LotError::Short) => Ok(None),
        Err(error @ LotError::TooMany) => {
            let detail = format!("{error} with anything left; sell or write off some of them first");
            Err(Refusal::conflict("too_many_lots", detail).into())
        }
    }
}

impl Named {
    /// Its id.
    pub(in crate::stock) fn lot_id(&self) -> &str {
        &self.header.lot_id
    }

    /// It, as a book has it of which nothing is there.
    pub(super) fn lot(&self) -> Lot {
        Lot {
            id: self.header.lot_id.clone(),
            expires_on: self.header.expires_on,
            sell_until: self.sell_until,
            // The same everywhere and for good: of two lots of one day the older one goes first.
            received_at: self.header.created_at,
            quantity: 0,
            quarantined: 0,
            is_held: false,
        }
    }

    /// Whether what there is of it is kept aside everywhere: it is recalled, or past its day.
    pub(in crate::stock) fn is_aside(&self) -> bool {
        self.header.is_recalled || self.lot().has_expired(self.now.as_millisecond())
    }

    /// Whether what there is of it in `book` is kept aside: also where it is quarantined here alone.
    pub(in crate::stock) fn is_aside_in(&self, book: &LotBook) -> bool {
        self.is_aside() || book.lot(self.lot_id()).is_some_and(|lot| lot.is_held)
    }

    /// How much of it there is in `book`, where it may be touched.
    pub(in crate::stock) fn quantity_in(&self, book: &LotBook) -> i64 {
        let lot = book.lot(self.lot_id());
        lot.map_or(0, |lot| if self.is_aside_in(book) { lot.quarantined } else { lot.quantity })
    }

    /// The book with so much more, or less, of it.
    ///
    /// # Errors
    /// 409 `too_many_lots`; [`LotError::Short`] as `Ok(None)`.
    pub(in crate::stock) fn changed(&self, book: &LotBook, by: i64) -> Result<Option<LotBook>> {
        let is_aside = self.is_aside_in(book);
        let mut book = book.clone();
        let done = match by {
            0.. => book.add(self.lot(), by, is_aside),
            _ => book.take(self.lot_id(), -by, is_aside),
        };
        told(done.map(|()| book))
    }

    /// Adds so much of it to a book whatever room there is, since it is there: what has none is of no known lot; what
    /// is to be kept aside is never that, and has more room. Answers how much has not even that: it is to be counted
    /// as damaged, so that nobody sells it.
    pub(in crate::stock) fn arrive(&self, book: &mut LotBook, quantity: i64) -> i64 {
        match self.changed(book, quantity) {
            Ok(Some(after)) => {
                *book = after;
                0
            }
            _ if !self.is_aside_in(book) => {
                book.add_unknown(quantity);
                0
            }
            _ => book.add_aside(self.lot(), quantity).map_or(quantity, |()| 0),
        }
    }

    /// The book where so much of it is known that was of no known lot.
    ///
    /// # Errors
    /// 409 `too_many_lots`; [`LotError::Short`] as `Ok(None)`.
    pub(in crate::stock) fn assigned(&self, book: &LotBook, quantity: i64) -> Result<Option<LotBook>> {
        let is_aside = self.is_aside_in(book);
        let mut book = book.clone();
        let done = book.assign(self.lot(), quantity, is_aside);
        told(done.map(|()| book))
    }

    /// The lot's own item: that it is made, or as it was read.
    pub(in crate::stock) fn own_write(&self, scope: &TenantScope) -> Write {
        if self.is_new { self.header.create(scope) } else { self.header.check(scope) }
    }

    /// That it is, or was, at the location whose book is this; nothing where the book knows it. It may be written at
    /// any time before the lot comes.
    pub(in crate::stock) fn place_write(&self, scope: &TenantScope, book: &LotBook) -> Option<Write> {
        let now = self.now.as_millisecond();
        let is_new_here = book.lot(self.lot_id()).is_none();
        is_new_here.then(|| place_write(scope, self.lot_id(), &self.location_id, now))
    }

    /// What is written beside the stock item: the lot, that it is as it was read, and where it is.
    pub(in crate::stock) fn writes(&self, scope: &TenantScope, book: &LotBook) -> Vec<Write> {
        std::iter::once(self.own_write(scope)).chain(self.place_write(scope, book)).collect()
    }

    /// 409: there is less of it than is to be taken.
    pub(in crate::stock) fn short(&self, wanted: Quantity, book: &LotBook) -> Error {
        let there = Quantity::of_counter(self.quantity_in(book));
        let detail = format!("lot {}: {wanted} wanted, {there} there", self.lot_id());
        let refusal = Refusal::conflict("insufficient_stock", detail.clone());
        refusal.with_error("quantity", "insufficient_stock", detail).with_extra("lot", self.lot_id()).into()
    }
}
