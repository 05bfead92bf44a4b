//! A delivery that no purchase order is for: on hand grows, in one transaction with the record of its idempotency key.

use jiff::Timestamp;
use tillstream_contracts::inventory::{RestockRequest, Restocked};
use tillstream_domain::quantity::{Quantity, Unit};

use crate::catalog::suppliers;
use crate::database::{Cancellation, Condition, Consistency, DatabaseError, Get, Item, Table, Write};
use crate::error::{Error, Refusal, Result};
use crate::fields::text;
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::counters::{Counters, Delta, Movement, shown, stock_update, unit_change};
use crate::stock::exceptions::{below_promised, exception_write};
use crate::stock::layout::LAYOUT_WHOLE;
use crate::stock::listing::StockName;
use crate::stock::lots::{LotStock, Named, Naming, Said, Taking, named};
use crate::stock::read::level;
use crate::stock::references::{check_location_id, check_sku_form, resolve};
use crate::stock::request_identity::{
    derived_id, fingerprint, record_write, recorded, request_number, sender,
};
use crate::stock::split::make_whole;
use crate::stock::standing::standing;
use crate::stock::update::REASON_CHARS_MAX;
use crate::tenancy::Caller;

/// Longest reference, in characters.
const REFERENCE_CHARS_MAX: usize = 64;

/// What a restock answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What it did.
    pub restocked: Restocked,
    /// Whether it took effect before, and this is its answer again.
    pub replayed: bool,
}

fn check_text(field: &str, code: &'static str, value: Option<&str>, chars_max: usize) -> Result<()> {
    let Some(value) = value else { return Ok(()) };
    if value.trim().is_empty() {
        return Err(Refusal::field(field, code, "say something, or leave it out").into());
    }
    text(field, value, chars_max)
}

fn check(caller: &Caller, request: &RestockRequest) -> Result<()> {
    check_location_id("location_id", &request.location_id)?;
    check_sku_form("sku", &request.sku)?;
    if let Some(supplier_id) = &request.supplier_id {
        crate::fields::id("supplier_id", supplier_id)?;
    }
    check_text("reference", "reference_invalid", request.reference.as_deref(), REFERENCE_CHARS_MAX)?;
    check_text("reason", "reason_invalid", request.reason.as_deref(), REASON_CHARS_MAX)?;
    caller.require_store(&request.location_id)
}

/// What the ledger says of it: the reason, and whose delivery it was.
fn told(request: &RestockRequest) -> Option<String> {
    let supplier = request.supplier_id.as_ref().map(|id| format!("supplier {id}"));
    let reference = request.reference.as_ref().map(|reference| format!("reference {reference}"));
    let parts: Vec<String> = [request.reason.clone(), supplier, reference].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn answer_again(record: &Item, fingerprint: &str, number: i64) -> Result<Answer> {
    let (restocked, replayed) = recorded(record, fingerprint, number)?;
    Ok(Answer { restocked, replayed })
}

/// Takes in a delivery. It makes a stock item that is missing.
///
/// # Errors
/// 403 `store_out_of_reach`; 404 `location_not_found`; 422 for what is not valid, `quantity_invalid`, `sku_unknown`,
/// `sku_not_stocked`, `supplier_unknown`, `sku_without_lots`, `lot_of_another_sku`, `expires_on_without_lot`,
/// `expires_on_invalid`, `idempotency_key_reused`; 409 `lot_expires_otherwise`, `too_many_lots`.
pub async fn restock(
    ports: &Ports,
    caller: &Caller,
    idempotency_key: &str,
    request: &RestockRequest,
) -> Result<Answer> {
    let now = ports.environment.now();
    check(caller, request)?;
    let scope = &caller.scope;
    let (location_id, sku) = (request.location_id.as_str(), request.sku.as_str());
    let fingerprint = fingerprint("restock", request)?;
    let number = request_number(ports.environment.as_ref());
    let strong = |key| Get { table: Table::Stock, key, consistency: Consistency::Strong };
    let record_key = scope.restock(&sender(caller), idempotency_key);
    // Before the catalogue is asked: a replay must not depend on what became of a product.
    if let Some(record) = ports.database.get(strong(record_key.clone())).await? {
        return answer_again(&record, &fingerprint, number);
    }
    let products = resolve(ports, scope, &[location_id], &[sku], |_| "sku".to_owned()).await?;
    if let Some(supplier_id) = &request.supplier_id {
        suppliers::named(ports, scope, "supplier_id", supplier_id).await?;
    }
    let unit = products.get(sku).map(|product| product.unit).unwrap_or_default();
    let quantity = request.quantity.resolve(unit).and_then(Quantity::positive);
    let quantity =
        quantity.map_err(|error| Refusal::field("quantity", "quantity_invalid", error.to_string()))?;
    let restock = Restock {
        request,
        quantity,
        unit,
        movement: Movement {
            kind: "restock",
            reference: derived_id(caller, "restock", idempotency_key),
            actor: caller.subject.clone(),
            at: now,
            reason: told(request),
        },
        now,
    };
    let mut attempts = Attempts::new(ports.environment.as_ref());
    let said = Said { path: "", lot: request.lot.as_deref(), expires_on: request.expires_on };
    loop {
        let named = match products.get(sku) {
            Some(product) => named(ports, scope, (location_id, product), said, Naming::Delivery, now).await?,
            None => None,
        };
        let (restocked, mut writes) = match named {
            None => {
                let found = standing(ports.database.as_ref(), scope, location_id, sku, LAYOUT_WHOLE).await?;
                let seen = found.map(|found| found.total());
                let exception = restock.exception(ports, caller, seen).await?;
                restock.writes(caller, seen, exception.as_ref())?
            }
            Some(named) => {
                let item = ports.database.get(strong(scope.stock(location_id, sku))).await?;
                let stock = LotStock::of(item.as_ref())?;
                if stock.counters.is_some_and(|seen| seen.layout != LAYOUT_WHOLE) {
                    make_whole(ports, scope, location_id, sku).await?;
                    attempts.at_once("the stock was split")?;
                    continue;
                }
                let exception = restock.exception(ports, caller, stock.counters).await?;
                restock.writes_of_lot(caller, (&stock, exception.as_ref()), &named)?
            }
        };
        writes.insert(0, record_write(scope, &record_key, (fingerprint.as_str(), number), now, &restocked)?);
        match ports.database.transact(writes).await {
            Ok(()) => return Ok(Answer { restocked, replayed: false }),
            // The key was used meanwhile, or the stock moved: what we read next tells which.
            Err(DatabaseError::Cancelled(reasons))
                if reasons.iter().any(|r| matches!(r, Cancellation::ConditionFailed(_))) =>
            {
                attempts.after_a_wait("the stock changed while it was restocked").await?;
            }
            Err(error) if error.is_transient() => attempts.after_a_wait("restocking").await?,
            Err(error) => return Err(error.into()),
        }
        if let Some(record) = ports.database.get(strong(record_key.clone())).await? {
            return answer_again(&record, &fingerprint, number);
        }
    }
}

struct Restock<'a> {
    request: &'a RestockRequest,
    quantity: Quantity,
    unit: Unit,
    movement: Movement,
    now: Timestamp,
}

impl Restock<'_> {
    /// The exception that it may settle, where more was promised than was `seen`. Else nothing is read.
    async fn exception(
        &self,
        ports: &Ports,
        caller: &Caller,
        seen: Option<Counters>,
    ) -> Result<Option<Item>> {
        if seen.is_none_or(|seen| seen.available >= 0) {
            return Ok(None);
        }
        let what = (self.request.location_id.as_str(), self.request.sku.as_str());
        below_promised(ports.database.as_ref(), &caller.scope, what).await
    }

    /// What it leaves, and how it is written to what was `seen`. Of stock that is whole the answer says exactly what
    /// it left, so that holds on its `seq`; stock that is split is busy, and what comes in goes to its first part.
    fn writes(
        &self,
        caller: &Caller,
        seen: Option<Counters>,
        exception: Option<&Item>,
    ) -> Result<(Restocked, Vec<Write>)> {
        let (location_id, sku) = (self.request.location_id.as_str(), self.request.sku.as_str());
        let scope = &caller.scope;
        let as_seen = match seen {
            None => vec![Condition::NotExists],
            Some(seen) if seen.layout == LAYOUT_WHOLE => {
                vec![Condition::Eq("seq", seen.seq.into()), Condition::Eq("layout", LAYOUT_WHOLE.into())]
            }
            Some(_) => Vec::new(),
        };
        let is_exact = !as_seen.is_empty();
        let delta = Delta::restock(self.quantity);
        let changes = vec![unit_change(self.unit)];
        let mut writes = vec![stock_update(scope, location_id, sku, delta, &self.movement, as_seen, changes)];
        let (restocked, exception) = self.left(caller, (seen, exception), delta)?;
        // Parts of split stock are never below zero.
        writes.extend(exception.filter(|_| is_exact));
        Ok((restocked, writes))
    }

    /// What it leaves of what was `seen`, and what becomes of its exception where more was promised than there was.
    fn left(
        &self,
        caller: &Caller,
        (seen, exception): (Option<Counters>, Option<&Item>),
        delta: Delta,
    ) -> Result<(Restocked, Option<Write>)> {
        let (location_id, sku) = (self.request.location_id.as_str(), self.request.sku.as_str());
        let before = seen.unwrap_or_default();
        let after = Counters {
            on_hand: before.on_hand + delta.on_hand,
            available: before.available + delta.available(),
            quarantined: before.quarantined + delta.quarantined,
            seq: before.seq + 1,
            unit: Some(self.unit),
            ..before
        };
        let exception = if before.available < 0 {
            let (what, available) = ((location_id, sku), after.available);
            let reference = self.movement.reference.as_str();
            exception_write(&caller.scope, what, Some(self.unit), available, reference, self.now, exception)?
        } else {
            None
        };
        let restocked = Restocked {
            stock: level(location_id, sku, &after),
            change: shown(delta.on_hand, Some(self.unit)),
            restock_id: self.movement.reference.clone(),
            supplier_id: self.request.supplier_id.clone(),
            reference: self.request.reference.clone(),
        };
        Ok((restocked, exception))
    }

    /// The same where it is of a lot.
    fn writes_of_lot(
        &self,
        caller: &Caller,
        (stock, exception): (&LotStock, Option<&Item>),
        named: &Named,
    ) -> Result<(Restocked, Vec<Write>)> {
        let scope = &caller.scope;
        let name = StockName { location_id: self.request.location_id.clone(), sku: self.request.sku.clone() };
        let book = named.changed(&stock.book, self.quantity.thousandths())?;
        let book = book.ok_or_else(|| Error::bug("nothing is short of what comes in"))?;
        // The answer says exactly what it left.
        let as_seen = stock.counters.map(|seen| Condition::Eq("seq", seen.seq.into()));
        let (what, how) = ((&book, Delta::default()), (&self.movement, Taking::Available));
        let unit = Some(self.unit);
        let write = stock.write(scope, &name, what, how, unit, as_seen.into_iter().collect())?;
        let (restocked, exception) = self.left(caller, (stock.counters, exception), stock.delta_to(&book))?;
        let mut writes = vec![write];
        writes.extend(exception);
        writes.extend(named.writes(scope, &stock.book));
        Ok((restocked, writes))
    }
}
