//! SKUs that are counted lot by lot: what may be counted so, and how closing corrects it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tillstream_contracts::counts::{CountedLineRequest, CountedLotRequest};
use tillstream_domain::count_sheet::{CountLine, CountedLot, LOTS_MAX, LOTS_OF_LINE_MAX};
use tillstream_domain::lot_book::LotBook;
use tillstream_domain::quantity::{Quantity, Unit};

use super::item::{CountedLots, Ending, StoredCount};
use crate::catalog::items::{catalog_get, product_if_any};
use crate::database::{Condition, Consistency, Get, TRANSACTION_ACTIONS_MAX, Table, Write};
use crate::error::{Refusal, Result};
use crate::fields::typed_id;
use crate::ports::Ports;
use crate::stock::counted::counted_quantity;
use crate::stock::counters::{Delta, counted_changes, synced_change};
use crate::stock::exceptions::{below_promised, exception_write, is_standing_open};
use crate::stock::layout::LAYOUT_WHOLE;
use crate::stock::listing::StockName;
use crate::stock::lots::{LotIs, LotStock, Taking, known_all, lots_are};
use crate::stock::split::make_whole;
use crate::tenancy::TenantScope;

/// Checks what needs no reading of the lots of a line.
///
/// # Errors
/// 422 `lots_out_of_range`, `lot_twice`, malformed lots.
pub(super) fn check(position: usize, line: &CountedLineRequest) -> Result<()> {
    if line.lots.len() > LOTS_OF_LINE_MAX {
        let message = format!("count at most {LOTS_OF_LINE_MAX} lots of a SKU, or all of it as a whole");
        return Err(Refusal::field(format!("lines[{position}].lots"), "lots_out_of_range", message).into());
    }
    let mut named = BTreeSet::new();
    for (at, sent) in line.lots.iter().enumerate() {
        let field = || format!("lines[{position}].lots[{at}].lot");
        if let Some(lot_id) = &sent.lot {
            typed_id(&field(), lot_id)?;
        }
        if !named.insert(sent.lot.as_deref()) {
            let message = "the lot stands there twice: say once what was counted of it";
            return Err(Refusal::field(field(), "lot_twice", message).into());
        }
    }
    Ok(())
}

/// What was counted lot by lot of a line, which adds up to what was counted of it.
///
/// # Errors
/// 422 `quantity_invalid`, `lots_sum_differs`.
pub(super) fn quantities(
    position: usize,
    (lots, counted): (&[CountedLotRequest], Quantity),
    unit: Unit,
) -> Result<Vec<(Option<&str>, Quantity)>> {
    let mut found = Vec::with_capacity(lots.len());
    let mut sum = Quantity::ZERO;
    for (at, sent) in lots.iter().enumerate() {
        let field = || format!("lines[{position}].lots[{at}].counted");
        let quantity = counted_quantity(field, &sent.counted, unit)?;
        sum = sum.plus(quantity);
        found.push((sent.lot.as_deref(), quantity));
    }
    if !lots.is_empty() && sum != counted {
        let message = format!("the lots add up to {sum}, and {counted} were counted");
        return Err(Refusal::field(format!("lines[{position}].counted"), "lots_sum_differs", message).into());
    }
    Ok(found)
}

/// A line of a request that was counted lot by lot.
pub(super) struct LotsWanted<'a> {
    /// Its position in the request.
    pub(super) position: usize,
    pub(super) sku: &'a str,
    pub(super) lots: &'a [(Option<&'a str>, Quantity)],
}

/// The lots that lines name, as they are everywhere.
///
/// # Errors
/// 409 `too_many_counted_lots`; 422 `sku_without_lots`, `lot_unknown`, `lot_of_another_sku`; as the database.
pub(super) async fn known_lots(
    ports: &Ports,
    scope: &TenantScope,
    wanted: &[LotsWanted<'_>],
) -> Result<BTreeMap<String, LotIs>> {
    // Before any of them is looked at.
    check_count(wanted.iter().map(|line| line.lots.len()).sum())?;
    let mut found = BTreeMap::new();
    for line in wanted {
        let item = ports.database.get(catalog_get(scope.product(line.sku))).await?;
        if !product_if_any(item.as_ref())?.is_some_and(|product| product.lots) {
            let field = format!("lines[{}].lots", line.position);
            let message = format!("the stock of {} is not kept by lots", line.sku);
            return Err(Refusal::field(field, "sku_without_lots", message).into());
        }
        let named = line.lots.iter().enumerate().filter_map(|(at, (lot_id, _))| Some((at, (*lot_id)?)));
        let (places, lot_ids): (Vec<usize>, Vec<&str>) = named.unzip();
        let lots = lots_are(ports, scope, &lot_ids).await?;
        for ((at, lot_id), lot) in places.into_iter().zip(lot_ids).zip(lots) {
            let field = format!("lines[{}].lots[{at}].lot", line.position);
            let Some(lot) = lot else {
                let message = format!("there is no lot {lot_id} of {}", line.sku);
                return Err(Refusal::field(field, "lot_unknown", message).into());
            };
            if lot.sku != line.sku {
                let message = format!("lot {lot_id} is one of {}, not of {}", lot.sku, line.sku);
                let refusal = Refusal::field(field, "lot_of_another_sku", message);
                return Err(refusal.with_extra("lot_sku", lot.sku).into());
            }
            found.insert(lot_id.to_owned(), lot);
        }
    }
    Ok(found)
}

/// What was counted of each lot, with what the books say of it: all that is for sale is named.
///
/// # Errors
/// 409 `lot_not_for_sale` for one that is kept aside; 422 `lots_missing`.
pub(super) fn counted(
    line: &LotsWanted<'_>,
    book: &LotBook,
    known: &BTreeMap<String, LotIs>,
    now: Timestamp,
) -> Result<Vec<CountedLot>> {
    let mut counted = Vec::with_capacity(line.lots.len());
    for (at, (lot_id, quantity)) in line.lots.iter().enumerate() {
        let lot = lot_id.and_then(|lot_id| book.lot(lot_id));
        if let Some(lot_id) = lot_id {
            let is_expired = lot.is_some_and(|lot| lot.has_expired(now.as_millisecond()));
            let is_aside = lot.is_some_and(|lot| lot.is_held || lot.quarantined > 0)
                || known.get(*lot_id).is_some_and(|lot| lot.is_recalled);
            if is_expired || is_aside {
                let status = if is_expired { "expired" } else { "quarantined" };
                let detail = format!(
                    "lot {lot_id} of {} is kept aside: a sheet counts what is for sale; an adjustment that names the \
                     lot corrects it",
                    line.sku
                );
                let field = format!("lines[{}].lots[{at}].lot", line.position);
                let refusal = Refusal::conflict("lot_not_for_sale", detail.clone());
                let refusal = refusal.with_error(field, "lot_not_for_sale", detail);
                return Err(refusal.with_extra("lot_status", status).into());
            }
        }
        let of_book = match lot_id {
            Some(_) => lot.map_or(0, |lot| lot.quantity),
            None => book.unknown(),
        };
        let lot = lot_id.map(str::to_owned);
        counted.push(CountedLot { lot, quantity: *quantity, book: of_book, corrected: None });
    }
    let is_named = |lot_id: Option<&str>| line.lots.iter().any(|(named, _)| *named == lot_id);
    let for_sale = book.lots().iter().filter(|lot| lot.quantity > 0);
    let mut missing: Vec<Option<&str>> =
        for_sale.map(|lot| Some(lot.id.as_str())).filter(|lot_id| !is_named(*lot_id)).collect();
    missing.extend((book.unknown() > 0 && !is_named(None)).then_some(None));
    if !missing.is_empty() {
        let names = missing.iter().map(|lot_id| lot_id.unwrap_or("none that is known"));
        let message = format!(
            "by the books there is something of these lots too; say 0 where nothing of them is left: {}",
            names.collect::<Vec<_>>().join(", ")
        );
        let field = format!("lines[{}].lots", line.position);
        let missing: Vec<serde_json::Value> = missing.into_iter().map(Into::into).collect();
        return Err(Refusal::field(field, "lots_missing", message).with_extra("lots", missing).into());
    }
    if book.unknown() < 0 && !is_named(None) {
        // More left than was known to be there: what lies there is all of the lots that were counted.
        let book = book.unknown();
        counted.push(CountedLot { lot: None, quantity: Quantity::ZERO, book, corrected: None });
    }
    Ok(counted)
}

/// Refuses where more lots were counted on one sheet than it holds.
///
/// # Errors
/// 409 `too_many_counted_lots`.
pub(super) fn check_sum(lots: &CountedLots) -> Result<()> {
    check_count(lots.values().map(Vec::len).sum())
}

fn check_count(count: usize) -> Result<()> {
    if count <= LOTS_MAX {
        return Ok(());
    }
    let detail = format!("a sheet takes at most {LOTS_MAX} lots; open another");
    Err(Refusal::conflict("too_many_counted_lots", detail).into())
}

/// How closing corrects a line that was counted lot by lot.
pub(super) struct Corrected {
    pub(super) writes: Vec<Write>,
    /// By how much on hand changes.
    pub(super) on_hand: i64,
    /// The lots, each with by how much it changes.
    pub(super) lots: Vec<CountedLot>,
}

/// Brings each lot of a line to what was counted, less what was sold or received since. `None`: the stock was split;
/// look again.
///
/// # Errors
/// As the database.
pub(super) async fn correct(
    ports: &Ports,
    scope: &TenantScope,
    (sheet, ending): (&StoredCount, &Ending),
    (line, lots): (&CountLine, &[CountedLot]),
    now: Timestamp,
) -> Result<Option<Corrected>> {
    let (location_id, sku) = (sheet.location_id.as_str(), line.sku.as_str());
    let get =
        Get { table: Table::Stock, key: scope.stock(location_id, sku), consistency: Consistency::Strong };
    let stock = LotStock::of(ports.database.get(get).await?.as_ref())?;
    if stock.counters.is_some_and(|seen| seen.layout != LAYOUT_WHOLE) {
        make_whole(ports, scope, location_id, sku).await?;
        return Ok(None);
    }
    let more = lots.iter().filter(|lot| lot.variance() > 0).filter_map(|lot| lot.lot.as_deref());
    let more: BTreeSet<(&str, &str)> = more.map(|lot_id| (lot_id, sku)).collect();
    let known = known_all(ports, scope, location_id, &more, now).await?;
    let mut book = stock.book.clone();
    let (mut checks, mut places) = (Vec::new(), Vec::new());
    let mut corrected = Vec::with_capacity(lots.len());
    for lot in lots {
        let variance = lot.variance();
        let by = match &lot.lot {
            None => {
                let by = variance.max(-book.unknown().max(0));
                book.add_unknown(by);
                by
            }
            Some(lot_id) if variance < 0 => -taken(&mut book, lot_id, -variance),
            Some(_) if variance == 0 => 0,
            Some(lot_id) => {
                let named = known.get(lot_id);
                match named.and_then(|named| Some((named.changed(&book, variance).ok()??, named))) {
                    Some((after, named)) => {
                        book = after;
                        checks.push(named.own_write(scope));
                        places.extend(named.place_write(scope, &stock.book));
                    }
                    // There is no room for more lots: it is there nevertheless.
                    None => book.add_unknown(variance),
                }
                variance
            }
        };
        corrected.push(CountedLot { corrected: Some(by), ..lot.clone() });
    }
    let delta = stock.delta_to(&book);
    let mut writes = Vec::new();
    if book != stock.book {
        let of = (location_id, sku);
        let standing = below_promised(ports.database.as_ref(), scope, of).await?;
        let before = stock.counters.map_or(0, |seen| seen.available);
        let after = before + delta.available();
        let movement = sheet.movement(ending, line)?;
        let name = StockName { location_id: location_id.to_owned(), sku: sku.to_owned() };
        // Where less is there than is promised, it is told how much. Where nobody was told so, none may have been
        // promised meanwhile that is not there.
        let is_told = after < 0 || before < 0;
        let least = if is_standing_open(standing.as_ref()) { -delta.available() } else { 0 };
        let also = stock.counters.map(|_| match is_told {
            true => Condition::Eq("available", before.into()),
            false => Condition::Ge("available", least.max(-delta.available()).into()),
        });
        let (what, how) = ((&book, Delta::default()), (&movement, Taking::Whatever));
        let also = also.into_iter().collect();
        let mut write = stock.write(scope, &name, what, how, Some(line.unit), also)?;
        if let (Write::Update { changes, .. }, Some(counted)) = (&mut write, &line.counted) {
            // What was sold before that and arrives after this was not on the shelf any more.
            changes.extend(counted_changes(counted.at, &sheet.id));
            changes.extend(synced_change(stock.counters.as_ref()));
        }
        writes.push(write);
        let unit = Some(line.unit);
        let at = movement.at;
        writes.extend(exception_write(scope, of, unit, after, &sheet.id, at, standing.as_ref())?);
        writes.extend(checks);
        // The sheet's own item is written with them.
        if writes.len() + places.len() >= TRANSACTION_ACTIONS_MAX {
            // Of so many lots that are new here that they do not fit together: where they are is said before.
            for place in std::mem::take(&mut places) {
                ports.database.write(place).await?;
            }
        }
        writes.extend(places);
    }
    Ok(Some(Corrected { writes, on_hand: delta.on_hand, lots: corrected }))
}

/// Takes so much of a lot, as far as it is there; of what is kept aside since it was counted too. Answers how much
/// that was.
fn taken(book: &mut LotBook, lot_id: &str, quantity: i64) -> i64 {
    let there = book.lot(lot_id).map_or((0, 0), |lot| (lot.quantity, lot.quarantined));
    let for_sale = there.0.min(quantity).max(0);
    let aside = there.1.min(quantity - for_sale).max(0);
    let mut taken = 0;
    for (quantity, is_aside) in [(for_sale, false), (aside, true)] {
        if quantity > 0 && book.take(lot_id, quantity, is_aside).is_ok() {
            taken += quantity;
        }
    }
    taken
}
