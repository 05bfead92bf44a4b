//! Shipping: all lines leave the source, or none.

use std::collections::{BTreeMap, BTreeSet};

use tillstream_contracts::transfers::TransferRequest;
use tillstream_domain::quantity::Quantity;
use tillstream_domain::transfer::{LINES_MAX, TransferAction, TransferLine};

use crate::database::{Cancellation, DatabaseError};
use crate::error::{Error, Refusal, Result};
use crate::fields::{text, typed_id};
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::counters::Counters;
use crate::stock::expiry::HoldReads;
use crate::stock::references::{check_location_id, check_sku_form, resolve};
use crate::stock::request_identity::{derived_id, fingerprint, request_number};
use crate::stock::reservation_item::KeyedRequest;
use crate::stock::reserve::now_kept;
use crate::stock::shortage::{Shortage, insufficient_stock};
use crate::stock::transfers::drive::{
    Driven, Found, LOST_MAX, Looked, Pace, STOCK_ACTIONS_MAX, drive, free_holds, is_of_stock, look,
    ship_writes,
};
use crate::stock::transfers::item::{Body, Pending, Step, StoredTransfer};
use crate::stock::transfers::{Answer, find};
use crate::stock::update::REASON_CHARS_MAX;
use crate::tenancy::Caller;

fn check(caller: &Caller, request: &TransferRequest) -> Result<()> {
    check_location_id("from_location_id", &request.from_location_id)?;
    check_location_id("to_location_id", &request.to_location_id)?;
    if request.from_location_id == request.to_location_id {
        let message = "a transfer goes to another location than it comes from";
        return Err(Refusal::field("to_location_id", "transfer_to_itself", message).into());
    }
    if request.lines.is_empty() || request.lines.len() > LINES_MAX {
        let message = format!("a transfer has 1 to {LINES_MAX} lines");
        return Err(Refusal::field("lines", "lines_out_of_range", message).into());
    }
    for (position, line) in request.lines.iter().enumerate() {
        check_sku_form(&format!("lines[{position}].sku"), &line.sku)?;
    }
    if let Some(id) = &request.transfer_id {
        typed_id("transfer_id", id)?;
    }
    if let Some(note) = &request.note {
        text("note", note, REASON_CHARS_MAX)?;
    }
    caller.require_store(&request.from_location_id)
}

/// What a request asks for.
struct Wanted {
    /// One line per SKU.
    lines: Vec<TransferLine>,
    /// At which line of the request each is named first.
    named: Vec<usize>,
}

/// Reads the products, gives each quantity its meaning and adds up lines of the same SKU.
async fn add_up(ports: &Ports, caller: &Caller, request: &TransferRequest) -> Result<Wanted> {
    let skus: BTreeSet<&str> = request.lines.iter().map(|line| line.sku.as_str()).collect();
    let skus: Vec<&str> = skus.into_iter().collect();
    let locations = [request.from_location_id.as_str(), request.to_location_id.as_str()];
    let products = resolve(ports, &caller.scope, &locations, &skus, |sku| {
        let position = request.lines.iter().position(|line| line.sku == sku).unwrap_or(0);
        format!("lines[{position}].sku")
    })
    .await?;
    let mut lines: BTreeMap<&str, (usize, TransferLine)> = BTreeMap::new();
    for (position, line) in request.lines.iter().enumerate() {
        let invalid = |e: tillstream_domain::quantity::QuantityError| {
            Refusal::field(format!("lines[{position}].quantity"), "quantity_invalid", e.to_string())
        };
        let unit = products.get(&line.sku).map(|product| product.unit).unwrap_or_default();
        let quantity = line.quantity.resolve(unit).and_then(Quantity::positive).map_err(invalid)?;
        let (_, entry) = lines
            .entry(&line.sku)
            .or_insert_with(|| (position, TransferLine::shipped(line.sku.clone(), unit, Quantity::ZERO)));
        let sum = entry.shipped.plus(quantity).thousandths();
        entry.shipped = Quantity::from_thousandths(sum).map_err(invalid)?;
    }
    let (lines, named) = lines.into_values().map(|(position, line)| (line, position)).unzip();
    Ok(Wanted { lines, named })
}

/// The refusal of what is short, by position among the lines.
async fn short_of(
    ports: &Ports,
    caller: &Caller,
    location_id: &str,
    wanted: &Wanted,
    short: &[(usize, Option<Counters>)],
) -> Result<Refusal> {
    let shortages: Vec<Shortage<'_>> = short
        .iter()
        .filter_map(|(at, stock)| {
            let line = wanted.lines.get(*at)?;
            Some(Shortage {
                field: format!("lines[{}].quantity", wanted.named.get(*at)?),
                location_id,
                sku: &line.sku,
                requested: line.shipped,
                unit: line.unit,
                stock: *stock,
                kits: Vec::new(),
            })
        })
        .collect();
    insufficient_stock(ports, caller, &shortages).await
}

/// Ships a transfer. Where it is long it takes several transactions; short of anything it is taken back
/// whole, and refused as if nothing had been shipped.
///
/// # Errors
/// 403 `store_out_of_reach` where the source is; 404 `location_not_found`; 409 `insufficient_stock` or
/// `transfer_exists`; 422 for a line, id or text that is not valid, `transfer_to_itself`, `sku_unknown`,
/// `sku_not_stocked`, `idempotency_key_reused`.
pub async fn ship(
    ports: &Ports,
    caller: &Caller,
    idempotency_key: &str,
    request: &TransferRequest,
) -> Result<Answer> {
    let now = now_kept(ports)?;
    check(caller, request)?;
    let scope = &caller.scope;
    let id = match &request.transfer_id {
        Some(id) => id.clone(),
        None => derived_id(caller, "transfer", idempotency_key),
    };
    let keyed = KeyedRequest {
        key: idempotency_key,
        fingerprint: &fingerprint("transfer", request)?,
        number: request_number(ports.environment.as_ref()),
    };
    let from = request.from_location_id.as_str();
    let mut attempts = Attempts::new(ports.environment.as_ref());
    let (mut wanted, mut refused): (Option<Wanted>, Option<Refusal>) = (None, None);
    let mut reads = HoldReads::default();
    let (mut pace, mut lost) = (Pace::default(), 0);
    loop {
        if let Some(stored) = find(ports, scope, &id).await? {
            if let Some(answer) = stored.answer_again(&keyed) {
                return answer;
            }
            if stored.pending_of(&keyed)?.is_none() {
                let detail = format!("there is a transfer {id} already; choose another id or none");
                return Err(Refusal::conflict("transfer_exists", detail).into());
            }
            match drive(ports, scope, &stored, now, (&mut pace, &mut reads)).await? {
                Driven::On => attempts.at_once("the transfer goes on")?,
                Driven::Later(why) => attempts.after_a_wait(&why).await?,
                Driven::Short(short) => {
                    let wanted = match &wanted {
                        Some(known) => known,
                        None => wanted.insert(add_up(ports, caller, request).await?),
                    };
                    refused = Some(short_of(ports, caller, from, wanted, &short).await?);
                    attempts.at_once("the transfer is taken back")?;
                }
            }
            continue;
        }
        if let Some(refused) = refused {
            return Err(refused.into());
        }
        // Before the catalogue is asked the transfer is looked for: a replay must not depend on what became
        // of a product.
        let wanted = match &wanted {
            Some(known) => known,
            None => wanted.insert(add_up(ports, caller, request).await?),
        };
        let lines = wanted.lines.as_slice();
        let found = match look(ports, scope, from, lines).await? {
            Looked::All(found) => found,
            Looked::Again(why) => {
                attempts.after_a_wait(&why).await?;
                continue;
            }
            Looked::Short(short) => {
                if free_holds(ports, scope, from, lines, &short, &mut reads, now).await? {
                    attempts.at_once("expired holds were freed")?;
                    continue;
                }
                // Not all was read at one moment: what is short may have gone into this very transfer.
                if find(ports, scope, &id).await?.is_some() {
                    attempts.at_once("the transfer was begun meanwhile")?;
                    continue;
                }
                return Err(short_of(ports, caller, from, wanted, &short).await?.into());
            }
        };
        let step = Step {
            action: TransferAction::Ship,
            key: keyed.key.to_owned(),
            fingerprint: keyed.fingerprint.to_owned(),
            request: keyed.number,
            at: now.as_millisecond(),
            by: caller.subject.clone(),
            reason: None,
            settled: Vec::new(),
            version: 1,
        };
        let mut transfer = StoredTransfer {
            id: id.clone(),
            from: from.to_owned(),
            to: request.to_location_id.clone(),
            note: request.note.clone(),
            created_at: now.as_millisecond(),
            born: keyed.number,
            version: 1,
            has_lots: false,
            named: Vec::new(),
            body: Body { lines: lines.to_vec(), steps: Vec::new(), pending: None },
        };
        let movement = step.movement(&id)?;
        let mut stock = Vec::new();
        for (line, found) in lines.iter().enumerate().zip(&found) {
            stock.extend(ship_writes(scope, &transfer, line, found, &movement)?);
        }
        let has_lots = found.iter().any(Found::has_lots);
        // What leaves of a lot is on condition that nobody else takes any: where somebody does all the time, fewer
        // lines are taken at once.
        let is_hard = lost >= LOST_MAX && has_lots && lines.len() > 1;
        let is_long = stock.len() > STOCK_ACTIONS_MAX || is_hard;
        if is_long {
            transfer.body.pending = Some(Pending { step, done: 0, undoing: false });
        } else {
            transfer.has_lots = has_lots;
            transfer.conclude(step);
        }
        let mut writes = vec![transfer.create(scope)?];
        if !is_long {
            writes.extend(stock);
        }
        match ports.database.transact(writes).await {
            Ok(()) if !is_long => {
                return Ok(Answer { transfer: transfer.shown(), replayed: false });
            }
            Ok(()) => {}
            // It is there (our own write or a twin of it), or the stock went or was laid out anew: what we
            // read next tells which.
            Err(ref error @ DatabaseError::Cancelled(ref reasons))
                if reasons.iter().any(|r| matches!(r, Cancellation::ConditionFailed(_))) =>
            {
                lost += usize::from(is_of_stock(error));
                attempts.at_once("the stock changed while it was shipped")?;
            }
            Err(error) if error.is_transient() => attempts.after_a_wait("shipping").await?,
            Err(error) => return Err(Error::from(error)),
        }
    }
}
