//! Quarantine of a lot at one location: elsewhere it goes on being sold.
//!
//! That it is so stands in the book of the stock item, so that one write says it and keeps aside what is there, and
//! whatever comes in is kept aside by the book itself. A recall of the lot everywhere stands beside it: the lot is for
//! sale at a location once neither is.

use jiff::Timestamp;
use tillstream_contracts::lots::{ChangeLotRequest, LotHere};
use tillstream_domain::identifier::check_id;
use tillstream_domain::lot_book::LotBook;

use super::header::{self, place_write};
use super::list::level_of;
use super::named::{Named, known};
use super::recall::{Change, check_reason, not_found, settle};
use super::stock::{LotStock, Taking};
use crate::catalog::items::{catalog_get, location_if_any};
use crate::database::{Cancellation, Condition, Consistency, DatabaseError, Get, Table, Write};
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::counters::{Counters, Delta, Movement};
use crate::stock::exceptions::{below_promised, exception_write};
use crate::stock::layout::LAYOUT_WHOLE;
use crate::stock::listing::StockName;
use crate::stock::references::{check_location_id, location_not_found};
use crate::stock::request_identity::{fingerprint, record_write, recorded, request_number, sender};
use crate::stock::reserve::now_kept;
use crate::stock::split::make_whole;
use crate::tenancy::Caller;

/// What a request on a lot at one location answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The lot, and what there was of it at the location, as the request left it.
    pub changed: LotHere,
    /// Whether it took effect before, and this is its answer again.
    pub replayed: bool,
}

/// The book as a change leaves it.
fn changed(change: Change, named: &Named, book: &LotBook, now: Timestamp) -> Result<LotBook> {
    let mut book = book.clone();
    match change {
        Change::Quarantine => {
            book.hold(named.lot()).map_err(|error| {
                let detail = format!("{error} with anything left; sell or write off some of them first");
                Error::from(Refusal::conflict("too_many_lots", detail))
            })?;
        }
        Change::Release => {
            book.let_go(named.lot_id());
            if !named.is_aside() {
                book.release(named.lot_id(), now.as_millisecond());
            }
        }
    }
    Ok(book)
}

/// Why a change would change nothing.
fn same(change: Change, named: &Named, location_id: &str) -> Refusal {
    let lot_id = named.lot_id();
    match change {
        Change::Quarantine => {
            let detail = format!("lot {lot_id} is quarantined at {location_id} already");
            Refusal::conflict("lot_status_same", detail).with_extra("lot_status", "quarantined")
        }
        Change::Release if named.header.is_recalled => {
            let detail = format!("lot {lot_id} is recalled everywhere; release it everywhere");
            Refusal::conflict("lot_recalled", detail)
        }
        Change::Release => {
            let detail = format!("lot {lot_id} is not quarantined at {location_id}");
            Refusal::conflict("lot_status_same", detail).with_extra("lot_status", "sellable")
        }
    }
}

/// Quarantines or releases a lot at one location.
///
/// # Errors
/// 403 `store_out_of_reach`; 404 `lot_not_found`, `location_not_found`; 409 `lot_status_same` where it is so already,
/// `lot_recalled` where only a release everywhere releases it, `too_many_lots`; 422 `reason_invalid`,
/// `location_id_malformed`, `idempotency_key_reused`.
pub async fn change(
    ports: &Ports,
    caller: &Caller,
    idempotency_key: &str,
    (lot_id, location_id): (&str, &str),
    change: Change,
    request: &ChangeLotRequest,
) -> Result<Answer> {
    let now = now_kept(ports)?;
    check_location_id("location_id", location_id)?;
    caller.require_store(location_id)?;
    check_reason(request)?;
    check_id(lot_id).map_err(|_| not_found(lot_id))?;
    let scope = &caller.scope;
    let fingerprint = fingerprint(change.name(), &(lot_id, location_id, request))?;
    let number = request_number(ports.environment.as_ref());
    let id = crate::pos::identity::derived_id("lr", &[&sender(caller), idempotency_key]);
    let record_key = scope.lot_request(lot_id, &id);
    let strong = |key| Get { table: Table::Stock, key, consistency: Consistency::Strong };
    let mut attempts = Attempts::new(ports.environment.as_ref());
    loop {
        let gets = vec![strong(record_key.clone()), header::get(scope, lot_id)];
        let mut read = ports.database.get_many(gets).await?.into_iter();
        let record = read.next().flatten();
        let found = read.next().flatten().as_ref().map(header::Header::of).transpose()?;
        let header = found.ok_or_else(|| not_found(lot_id))?;
        if let Some(record) = record {
            let (changed, replayed) = recorded(&record, &fingerprint, number)?;
            return Ok(Answer { changed, replayed });
        }
        let location = ports.database.get(catalog_get(scope.location(location_id))).await?;
        if location_if_any(location.as_ref())?.is_none() {
            return Err(location_not_found(location_id).into());
        }
        if header.is_settling {
            // What a recall is to keep aside, or a release to give back, is not done by both at once.
            settle(ports, scope, lot_id, now).await?;
        }
        let what = (location_id, header.sku.as_str());
        let Some(named) = known(ports, scope, what, lot_id, now).await? else {
            return Err(Error::bug("a lot is of its own SKU"));
        };
        let stock = LotStock::of(ports.database.get(strong(scope.stock(what.0, what.1))).await?.as_ref())?;
        let counters = stock.counters.unwrap_or_default();
        if stock.counters.is_some() && counters.layout != LAYOUT_WHOLE {
            make_whole(ports, scope, what.0, what.1).await?;
            attempts.at_once("the stock was split")?;
            continue;
        }
        let is_held = stock.book.lot(lot_id).is_some_and(|lot| lot.is_held);
        if is_held == (change == Change::Quarantine) {
            // Not all was read at one moment: it may be so by this very request.
            if ports.database.get(strong(record_key.clone())).await?.is_some() {
                attempts.at_once("the lot was changed by this request")?;
                continue;
            }
            return Err(same(change, &named, location_id).into());
        }
        let book = changed(change, &named, &stock.book, now)?;
        let name = StockName { location_id: location_id.to_owned(), sku: header.sku.clone() };
        let movement = Movement {
            kind: if change == Change::Quarantine { "lot_quarantine" } else { "lot_release" },
            reference: lot_id.to_owned(),
            actor: caller.subject.clone(),
            at: now,
            reason: Some(request.reason.clone()),
        };
        let here = level_of(&name, &counters, &book, lot_id, now)?;
        let result = LotHere { lot: named.header.shown()?, here };
        let record = record_write(scope, &record_key, (fingerprint.as_str(), number), now, &result)?;
        let mut writes = vec![record, named.header.check(scope)];
        writes.extend(stock_writes(ports, caller, (&stock, &counters), (&name, &book), &movement).await?);
        if stock.book.lot(lot_id).is_none() {
            writes.push(place_write(scope, lot_id, location_id, now.as_millisecond()));
        }
        match ports.database.transact(writes).await {
            Ok(()) => return Ok(Answer { changed: result, replayed: false }),
            Err(DatabaseError::Cancelled(reasons))
                if reasons.iter().any(|r| matches!(r, Cancellation::ConditionFailed(_))) =>
            {
                attempts.after_a_wait("the lot or its stock changed meanwhile").await?;
            }
            Err(error) if error.is_transient() => attempts.after_a_wait("changing a lot").await?,
            Err(error) => return Err(error.into()),
        }
    }
}

/// The stock item with the lots of `book`, and that somebody is to look where less is left than is promised.
async fn stock_writes(
    ports: &Ports,
    caller: &Caller,
    (stock, counters): (&LotStock, &Counters),
    (name, book): (&StockName, &LotBook),
    movement: &Movement,
) -> Result<Vec<Write>> {
    let scope = &caller.scope;
    // Where more is promised than is there, it is told how much.
    let is_below = counters.available < 0;
    let also = is_below.then(|| Condition::Eq("available", counters.available.into()));
    let (what, how) = ((book, Delta::default()), (movement, Taking::Whatever));
    let mut writes = vec![stock.write(scope, name, what, how, None, also.into_iter().collect())?];
    let after = counters.available + stock.delta_to(book).available();
    if after < 0 || is_below {
        let of = (name.location_id.as_str(), name.sku.as_str());
        let standing = below_promised(ports.database.as_ref(), scope, of).await?;
        let (unit, reference) = (counters.unit, movement.reference.as_str());
        writes.extend(exception_write(scope, of, unit, after, reference, movement.at, standing.as_ref())?);
    }
    Ok(writes)
}
