//! Placing an order: all of it is on order, or none.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use tillstream_contracts::purchase_orders::PurchaseOrderRequest;
use tillstream_domain::purchase_order::{LINES_MAX, PurchaseAction, PurchaseLine};
use tillstream_domain::quantity::{Quantity, QuantityError};
use tillstream_domain::supplier::Supplier;

use crate::catalog::suppliers;
use crate::database::{Cancellation, DatabaseError};
use crate::error::{Error, Refusal, Result};
use crate::fields::{text, typed_id};
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::purchases::drive::{CHUNK_LINES_MAX, Driven, drive, step_writes};
use crate::stock::purchases::item::{Body, Pending, Step, StoredPurchase};
use crate::stock::purchases::{Answer, BUYERS, find};
use crate::stock::references::{check_location_id, check_sku_form, resolve};
use crate::stock::request_identity::{derived_id, fingerprint, request_number};
use crate::stock::reservation_item::KeyedRequest;
use crate::stock::reserve::now_kept;
use crate::stock::update::REASON_CHARS_MAX;
use crate::tenancy::Caller;

const DAY: Duration = Duration::from_secs(86_400);
/// How long ago an order may have been expected: one that is entered late.
const EXPECTED_DAYS_AGO_MAX: u32 = 366;
/// How far ahead an order may be expected.
const EXPECTED_DAYS_AHEAD_MAX: u32 = 3_660;

fn check(caller: &Caller, request: &PurchaseOrderRequest, now: Timestamp) -> Result<()> {
    caller.require_role(BUYERS)?;
    crate::fields::id("supplier_id", &request.supplier_id)?;
    check_location_id("location_id", &request.location_id)?;
    if request.lines.is_empty() || request.lines.len() > LINES_MAX {
        let message = format!("a purchase order has 1 to {LINES_MAX} lines");
        return Err(Refusal::field("lines", "lines_out_of_range", message).into());
    }
    for (position, line) in request.lines.iter().enumerate() {
        check_sku_form(&format!("lines[{position}].sku"), &line.sku)?;
    }
    if let Some(id) = &request.purchase_order_id {
        typed_id("purchase_order_id", id)?;
    }
    if let Some(note) = &request.note {
        text("note", note, REASON_CHARS_MAX)?;
    }
    let first = now.checked_sub(DAY * EXPECTED_DAYS_AGO_MAX).map_err(Error::bug)?;
    let last = now.checked_add(DAY * EXPECTED_DAYS_AHEAD_MAX).map_err(Error::bug)?;
    if request.expected_at.is_some_and(|at| at < first || at > last) {
        let message = "an order is expected from a year ago to ten years ahead";
        return Err(Refusal::field("expected_at", "expected_at_out_of_range", message).into());
    }
    caller.require_store(&request.location_id)
}

/// Reads the products, gives each quantity its meaning and adds up lines of the same SKU.
async fn add_up(
    ports: &Ports,
    caller: &Caller,
    request: &PurchaseOrderRequest,
    supplier: &Supplier,
) -> Result<Vec<PurchaseLine>> {
    let skus: BTreeSet<&str> = request.lines.iter().map(|line| line.sku.as_str()).collect();
    let skus: Vec<&str> = skus.into_iter().collect();
    let products = resolve(ports, &caller.scope, &[request.location_id.as_str()], &skus, |sku| {
        let position = request.lines.iter().position(|line| line.sku == sku).unwrap_or(0);
        format!("lines[{position}].sku")
    })
    .await?;
    let mut lines: BTreeMap<&str, PurchaseLine> = BTreeMap::new();
    for (position, line) in request.lines.iter().enumerate() {
        let invalid = |error: QuantityError| {
            Refusal::field(format!("lines[{position}].quantity"), "quantity_invalid", error.to_string())
        };
        let cost_invalid = |code: &'static str, message: &str| {
            Error::from(Refusal::field(format!("lines[{position}].unit_cost"), code, message))
        };
        if line.unit_cost.is_some() && supplier.currency.is_none() {
            return Err(cost_invalid("currency_unknown", "the supplier has no currency; give it one first"));
        }
        let unit = products.get(&line.sku).map(|product| product.unit).unwrap_or_default();
        let quantity = line.quantity.resolve(unit).and_then(Quantity::positive).map_err(invalid)?;
        let entry = lines
            .entry(&line.sku)
            .or_insert_with(|| PurchaseLine::ordered(line.sku.clone(), unit, line.unit_cost, Quantity::ZERO));
        if entry.unit_cost != line.unit_cost {
            let message = "lines of the same SKU are added up, and have one cost or none";
            return Err(cost_invalid("unit_cost_differs", message));
        }
        let sum = entry.ordered.plus(quantity).thousandths();
        entry.ordered = Quantity::from_thousandths(sum).map_err(invalid)?;
    }
    let with_cost = |line: PurchaseLine| {
        let known = || supplier.supplied(&line.sku).and_then(|supplied| supplied.unit_cost);
        PurchaseLine { unit_cost: line.unit_cost.or_else(known), ..line }
    };
    Ok(lines.into_values().map(with_cost).collect())
}

/// Places an order. Where it is long it takes several transactions.
///
/// # Errors
/// 403 `role_required`, `store_out_of_reach`; 404 `location_not_found`; 409 `purchase_order_exists`; 422 for a line,
/// id or text that is not valid, `expected_at_out_of_range`, `supplier_unknown`, `sku_unknown`, `sku_not_stocked`,
/// `currency_unknown`, `unit_cost_differs`, `idempotency_key_reused`.
pub async fn place(
    ports: &Ports,
    caller: &Caller,
    idempotency_key: &str,
    request: &PurchaseOrderRequest,
) -> Result<Answer> {
    let now = now_kept(ports)?;
    check(caller, request, now)?;
    let scope = &caller.scope;
    let id = match &request.purchase_order_id {
        Some(id) => id.clone(),
        None => derived_id(caller, "purchase", idempotency_key),
    };
    let keyed = KeyedRequest {
        key: idempotency_key,
        fingerprint: &fingerprint("purchase", request)?,
        number: request_number(ports.environment.as_ref()),
    };
    let mut attempts = Attempts::new(ports.environment.as_ref());
    let mut placed: Option<StoredPurchase> = None;
    loop {
        if let Some(stored) = find(ports, scope, &id).await? {
            if let Some(answer) = stored.answer_again(&keyed) {
                return answer;
            }
            if stored.pending_of(&keyed)?.is_none() {
                let detail = format!("there is a purchase order {id} already; choose another id or none");
                return Err(Refusal::conflict("purchase_order_exists", detail).into());
            }
            match drive(ports, scope, &stored).await? {
                Driven::On => attempts.at_once("the purchase order goes on")?,
                Driven::Later(why) => attempts.after_a_wait(&why).await?,
            }
            continue;
        }
        // Before the catalogue is asked the order is looked for: a replay must not depend on what became of a
        // product or the supplier.
        let order = match &placed {
            Some(known) => known,
            None => placed.insert(order_of(ports, caller, request, &id, now).await?),
        };
        let step = Step {
            action: PurchaseAction::Place,
            key: keyed.key.to_owned(),
            fingerprint: keyed.fingerprint.to_owned(),
            request: keyed.number,
            at: now.as_millisecond(),
            by: caller.subject.clone(),
            reason: None,
            settled: Vec::new(),
            version: 1,
        };
        let mut first = order.clone();
        let mut writes = Vec::new();
        let is_long = order.body.lines.len() > CHUNK_LINES_MAX;
        if is_long {
            first.body.pending = Some(Pending { step, done: 0 });
        } else {
            writes = step_writes(scope, order, &step, 0, CHUNK_LINES_MAX)?;
            first.conclude(step);
        }
        writes.insert(0, first.create(scope)?);
        match ports.database.transact(writes).await {
            Ok(()) if !is_long => return Ok(Answer { order: first.shown(), replayed: false }),
            Ok(()) => {}
            // It is there, by our own write or a twin of it: what we read next tells.
            Err(DatabaseError::Cancelled(reasons))
                if reasons.iter().any(|r| matches!(r, Cancellation::ConditionFailed(_))) =>
            {
                attempts.at_once("the purchase order was begun meanwhile")?;
            }
            Err(error) if error.is_transient() => attempts.after_a_wait("placing an order").await?,
            Err(error) => return Err(Error::from(error)),
        }
    }
}

/// The order that a request asks for, before anything of it is done.
async fn order_of(
    ports: &Ports,
    caller: &Caller,
    request: &PurchaseOrderRequest,
    id: &str,
    now: Timestamp,
) -> Result<StoredPurchase> {
    let supplier = suppliers::named(ports, &caller.scope, "supplier_id", &request.supplier_id).await?;
    let lines = add_up(ports, caller, request, &supplier).await?;
    let days = supplier.lead_time_days_of_all(lines.iter().map(|line| line.sku.as_str()));
    let expected_at = match request.expected_at {
        Some(at) => at,
        None => now.checked_add(DAY * days).map_err(Error::bug)?,
    };
    Ok(StoredPurchase {
        id: id.to_owned(),
        supplier_id: supplier.id,
        location_id: request.location_id.clone(),
        currency: supplier.currency,
        over_delivery_percent: supplier.over_delivery_percent,
        expected_at: expected_at.as_millisecond(),
        note: request.note.clone(),
        created_at: now.as_millisecond(),
        version: 1,
        body: Body { lines, steps: Vec::new(), pending: None },
    })
}
