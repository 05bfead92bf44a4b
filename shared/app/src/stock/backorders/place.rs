//! Making a backorder: it takes the next number of its queue.

use std::time::Duration;

use jiff::Timestamp;
use tillstream_contracts::backorders::BackorderRequest;
use tillstream_domain::backorder::BackorderState;
use tillstream_domain::quantity::{Quantity, Unit};

use super::item::{Applied, StoredBackorder};
use super::queue::LastNumber;
use super::{Answer, find};
use crate::catalog::kits::require_sellable;
use crate::database::{Cancellation, DatabaseError};
use crate::error::{Error, Refusal, Result};
use crate::fields::{text, typed_id};
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::references::{check_location_id, check_sku_form, resolve};
use crate::stock::request_identity::{derived_id, fingerprint, request_number};
use crate::stock::reservation_item::KeyedRequest;
use crate::stock::reserve::now_kept;
use crate::stock::update::REASON_CHARS_MAX;
use crate::tenancy::Caller;
use crate::tenant_rules::tenant_rules;

/// How far ahead one may be needed.
const NEEDED_AHEAD_MAX: Duration = Duration::from_secs(3_660 * 86_400);

fn check(caller: &Caller, request: &BackorderRequest) -> Result<()> {
    check_location_id("location_id", &request.location_id)?;
    check_sku_form("sku", &request.sku)?;
    let ids = [
        ("backorder_id", &request.backorder_id),
        ("customer_id", &request.customer_id),
        ("order_id", &request.order_id),
    ];
    for (field, id) in ids {
        if let Some(id) = id {
            typed_id(field, id)?;
        }
    }
    if let Some(note) = &request.note {
        text("note", note, REASON_CHARS_MAX)?;
    }
    caller.require_store(&request.location_id)
}

fn check_needed_by(request: &BackorderRequest, now: Timestamp) -> Result<()> {
    let last = now.checked_add(NEEDED_AHEAD_MAX).map_err(Error::bug)?;
    if request.needed_by.is_some_and(|needed_by| needed_by <= now || needed_by > last) {
        let message = "what is waited for is needed after now, and at most ten years ahead";
        return Err(Refusal::field("needed_by", "needed_by_out_of_range", message).into());
    }
    Ok(())
}

/// What a backorder is made of beside its request.
struct Terms {
    unit: Unit,
    quantity: Quantity,
    hold_seconds: u32,
}

async fn terms_of(
    ports: &Ports,
    caller: &Caller,
    request: &BackorderRequest,
    now: Timestamp,
) -> Result<Terms> {
    check_needed_by(request, now)?;
    let scope = &caller.scope;
    let (location_id, sku) = (request.location_id.as_str(), request.sku.as_str());
    let products = resolve(ports, scope, &[location_id], &[sku], |_| "sku".to_owned()).await?;
    if let Some(product) = products.get(sku) {
        require_sellable(product, "sku")?;
    }
    let unit = products.get(sku).map(|product| product.unit).unwrap_or_default();
    let quantity = request.quantity.resolve(unit).and_then(Quantity::positive);
    let quantity =
        quantity.map_err(|error| Refusal::field("quantity", "quantity_invalid", error.to_string()))?;
    let rules = tenant_rules(ports, scope, now).await?;
    let backorders = &rules.settings.backorders;
    if !backorders.allows(location_id) {
        let detail = format!("nobody waits for goods at {location_id}; the setting `backorders` allows it");
        return Err(Refusal::conflict("backorders_not_allowed", detail).into());
    }
    Ok(Terms { unit, quantity, hold_seconds: backorders.hold_seconds })
}

/// Makes a backorder. It waits, also where enough is there: whoever comes before it is served first, and then, a moment
/// later, it is.
///
/// # Errors
/// 403 `store_out_of_reach`; 404 `location_not_found`; 409 `backorders_not_allowed`, `backorder_exists`; 422 for what is
/// not valid, `quantity_invalid`, `needed_by_out_of_range`, `sku_unknown`, `sku_not_stocked`, `sku_is_a_kit`,
/// `variant_required`, `idempotency_key_reused`.
pub async fn place(
    ports: &Ports,
    caller: &Caller,
    idempotency_key: &str,
    request: &BackorderRequest,
) -> Result<Answer> {
    let now = now_kept(ports)?;
    check(caller, request)?;
    let scope = &caller.scope;
    let id = match &request.backorder_id {
        Some(id) => id.clone(),
        None => derived_id(caller, "backorder", idempotency_key),
    };
    let keyed = KeyedRequest {
        key: idempotency_key,
        fingerprint: &fingerprint("backorder", request)?,
        number: request_number(ports.environment.as_ref()),
    };
    let what = (request.location_id.as_str(), request.sku.as_str());
    let mut attempts = Attempts::new(ports.environment.as_ref());
    let mut known: Option<Terms> = None;
    loop {
        // Before the catalogue and the clock are asked: a replay must not depend on what became of a product or a
        // setting, or on how late it is.
        if let Some(stored) = find(ports, scope, &id).await? {
            return match stored.placed.seen(&keyed)? {
                Some(replayed) => Ok(Answer { backorder: stored.as_placed(), replayed }),
                None => {
                    let detail = format!("there is a backorder {id} already; choose another id or none");
                    Err(Refusal::conflict("backorder_exists", detail).into())
                }
            };
        }
        let terms = match &known {
            Some(known) => known,
            None => known.insert(terms_of(ports, caller, request, now).await?),
        };
        let (last, is_stocked) = LastNumber::read(ports, scope, what).await?;
        let backorder = StoredBackorder {
            id: id.clone(),
            state: BackorderState::Waiting,
            location_id: request.location_id.clone(),
            sku: request.sku.clone(),
            unit: terms.unit,
            quantity: terms.quantity,
            number: last.next()?,
            hold_seconds: terms.hold_seconds,
            customer_id: request.customer_id.clone(),
            order_id: request.order_id.clone(),
            needed_by: request.needed_by.map(Timestamp::as_millisecond),
            note: request.note.clone(),
            created_at: now.as_millisecond(),
            created_by: caller.subject.clone(),
            reservation_id: None,
            reserved_at: None,
            expires_at: None,
            fulfilled: Quantity::ZERO,
            ended_at: None,
            ended_by: None,
            reason: None,
            placed: Applied::of(&keyed),
            cancelled: None,
            told: 0,
            version: 1,
        };
        let movement = backorder.movement("backorder", &caller.subject, now);
        let counted = match is_stocked {
            true => backorder.count(scope, backorder.quantity.thousandths(), &movement),
            false => backorder.count_first(scope, &movement),
        };
        let writes =
            vec![backorder.create(scope)?, backorder.place(scope), last.give_next(scope, what, now), counted];
        match ports.database.transact(writes).await {
            Ok(()) => return Ok(Answer { backorder: backorder.shown(), replayed: false }),
            // It is there, by our own write or a twin of it, or somebody else took the number: what is read next tells.
            Err(DatabaseError::Cancelled(reasons))
                if reasons.iter().any(|r| matches!(r, Cancellation::ConditionFailed(_))) =>
            {
                attempts.after_a_wait("somebody else came into the queue").await?;
            }
            Err(error) if error.is_transient() => attempts.after_a_wait("making a backorder").await?,
            Err(error) => return Err(error.into()),
        }
    }
}
