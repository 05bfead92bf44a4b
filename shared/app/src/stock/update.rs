//! Adjustments and counts, what of the stock is damaged, and of which lot goods are that were of no known one: one
//! transaction of the stock item and the record of its idempotency key.

use jiff::Timestamp;
use tillstream_contracts::inventory::{StockUpdateKind, StockUpdateRequest, StockUpdated};
use tillstream_domain::lot_book::LotBook;
use tillstream_domain::quantity::{Quantity, Unit};

use crate::database::{Cancellation, Condition, Consistency, DatabaseError, Get, Item, Table, Write};
use crate::error::{Error, Refusal, Result};
use crate::fields::text;
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::counters::{
    Counters, Delta, Movement, StockTarget, counted_changes, shown, stock_set, stock_update, unit_change,
};
use crate::stock::exceptions::{below_promised_get, exception_write};
use crate::stock::expiry::{HoldReads, free_enough};
use crate::stock::layout::LAYOUT_WHOLE;
use crate::stock::listing::StockName;
use crate::stock::lots::due::keep_aside_if_due;
use crate::stock::lots::{LotStock, Named, Naming, Said, Taking, named};
use crate::stock::read::level;
use crate::stock::references::{check_location_id, check_sku_form, resolve};
use crate::stock::request_identity::{
    derived_id, fingerprint, record_write, recorded, request_number, sender,
};
use crate::stock::shortage::{Shortage, insufficient_stock};
use crate::stock::split::make_whole;
use crate::tenancy::Caller;

/// Longest reason, in characters.
pub const REASON_CHARS_MAX: usize = 200;

/// What an update answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What it did.
    pub updated: StockUpdated,
    /// Whether it took effect before, and this is its answer again.
    pub replayed: bool,
}

/// Checks the reason of a request that has to say why.
///
/// # Errors
/// 422 `reason_invalid`, and what a text is refused for.
pub(super) fn check_reason(reason: &str) -> Result<()> {
    if reason.trim().is_empty() || reason.chars().count() > REASON_CHARS_MAX {
        let message = format!("a reason is 1 to {REASON_CHARS_MAX} characters that say why");
        return Err(Refusal::field("reason", "reason_invalid", message).into());
    }
    text("reason", reason, REASON_CHARS_MAX)
}

fn check(caller: &Caller, request: &StockUpdateRequest) -> Result<()> {
    check_location_id("location_id", &request.location_id)?;
    check_sku_form("sku", &request.sku)?;
    check_reason(&request.reason)?;
    if request.expected_version.is_some_and(|version| version < 0) {
        let message = "expected_version is a stock item's version, or 0 where there is none";
        return Err(Refusal::field("expected_version", "expected_version_invalid", message).into());
    }
    if request.kind == StockUpdateKind::Assign && request.lot.is_none() {
        let message = "say of which lot it is that was of no known one";
        return Err(Refusal::field("lot", "lot_required", message).into());
    }
    if request.kind == StockUpdateKind::WriteOff && request.lot.is_some() {
        let message = "what is damaged is of no lot any more: leave it out";
        return Err(Refusal::field("lot", "lot_not_kept", message).into());
    }
    caller.require_store(&request.location_id)
}

fn quantity_of(request: &StockUpdateRequest, unit: Unit) -> Result<Quantity> {
    let invalid = |message: String| Refusal::field("quantity", "quantity_invalid", message);
    let quantity = request.quantity.resolve(unit).map_err(|e| invalid(e.to_string()))?;
    match request.kind {
        StockUpdateKind::Delta if quantity == Quantity::ZERO => {
            Err(invalid("a delta of 0 changes nothing; send a signed quantity".into()).into())
        }
        StockUpdateKind::Set if quantity < Quantity::ZERO => {
            Err(invalid("a count is 0 or more".into()).into())
        }
        StockUpdateKind::Delta | StockUpdateKind::Set => Ok(quantity),
        StockUpdateKind::Assign
        | StockUpdateKind::Damage
        | StockUpdateKind::Repair
        | StockUpdateKind::WriteOff => quantity.positive().map_err(|e| invalid(e.to_string()).into()),
    }
}

fn answer_again(record: &Item, fingerprint: &str, number: i64) -> Result<Answer> {
    let (updated, replayed) = recorded(record, fingerprint, number)?;
    Ok(Answer { updated, replayed })
}

/// Applies an update.
///
/// All kinds are conditional on the `seq` that was read, so that the answer, and with it the record in
/// the same transaction, says exactly what the update left. `precondition` is asked about the version
/// that stands, `None` where there is no stock item; a repetition of what took effect is not asked.
///
/// # Errors
/// What `precondition` refuses; 403 `store_out_of_reach`; 404 `location_not_found`; 409
/// `version_conflict` with `current_version`, or `insufficient_stock` where it takes more than is available, or than
/// there is of the lot that is named, or than is damaged, or assigns more than is of no known lot,
/// `lot_expires_otherwise`, `too_many_lots`; 422 for what is not valid, `sku_unknown`, `sku_not_stocked`,
/// `sku_without_lots`, `lot_of_another_sku`, `lot_unknown`, `lot_required`, `lot_not_kept`, `expires_on_without_lot`,
/// `expires_on_invalid`, `idempotency_key_reused`.
pub async fn update(
    ports: &Ports,
    caller: &Caller,
    idempotency_key: &str,
    request: &StockUpdateRequest,
    precondition: impl Fn(Option<u64>) -> std::result::Result<(), Refusal> + Send + Sync,
) -> Result<Answer> {
    let now = ports.environment.now();
    check(caller, request)?;
    let scope = &caller.scope;
    let (location_id, sku) = (request.location_id.as_str(), request.sku.as_str());
    let fingerprint = fingerprint("update", request)?;
    let number = request_number(ports.environment.as_ref());
    let strong = |key| Get { table: Table::Stock, key, consistency: Consistency::Strong };
    let record_key = scope.stock_update(&sender(caller), idempotency_key);
    // Before the catalogue is asked: a replay must not depend on what became of a product.
    if let Some(record) = ports.database.get(strong(record_key.clone())).await? {
        return answer_again(&record, &fingerprint, number);
    }
    let products = resolve(ports, scope, &[location_id], &[sku], |_| "sku".to_owned()).await?;
    let unit = products.get(sku).map(|product| product.unit).unwrap_or_default();
    let quantity = quantity_of(request, unit)?;
    let is_by_lots = products.get(sku).is_some_and(|product| product.lots);
    if request.kind == StockUpdateKind::Repair && is_by_lots && request.lot.is_none() {
        let message = "say of which lot it is: what is mended of one that is recalled is kept aside";
        return Err(Refusal::field("lot", "lot_required", message).into());
    }
    let movement = Movement {
        kind: match request.kind {
            StockUpdateKind::Set => "count",
            StockUpdateKind::Delta => "adjustment",
            StockUpdateKind::Assign => "lot_assign",
            StockUpdateKind::Damage => "damage",
            StockUpdateKind::Repair => "repair",
            StockUpdateKind::WriteOff => "write_off",
        },
        reference: derived_id(caller, "update", idempotency_key),
        actor: caller.subject.clone(),
        at: now,
        reason: Some(request.reason.clone()),
    };
    let update = Update { request, quantity, unit, movement: &movement, now };
    let said = Said { path: "", lot: request.lot.as_deref(), expires_on: request.expires_on };
    // Goods of a lot that nobody knew come in, or were found.
    let comes_in = match request.kind {
        StockUpdateKind::Delta => quantity > Quantity::ZERO,
        StockUpdateKind::Set | StockUpdateKind::Assign => true,
        StockUpdateKind::Damage | StockUpdateKind::Repair | StockUpdateKind::WriteOff => false,
    };
    let naming = if comes_in { Naming::Delivery } else { Naming::Stock };
    let mut hold_reads = HoldReads::default();
    let mut attempts = Attempts::new(ports.environment.as_ref());
    loop {
        // Its exception is read beside it: that costs less than a write that mostly would find none.
        let gets = vec![
            strong(record_key.clone()),
            strong(scope.stock(location_id, sku)),
            below_promised_get(scope, (location_id, sku)),
        ];
        let mut read = ports.database.get_many(gets).await?.into_iter();
        if let Some(record) = read.next().flatten() {
            return answer_again(&record, &fingerprint, number);
        }
        let stock = LotStock::of(read.next().flatten().as_ref())?;
        let exception = read.next().flatten();
        let seen = stock.counters;
        if seen.is_some_and(|stock| stock.layout != LAYOUT_WHOLE) {
            // The answer tells what the update left of the whole. Versions go on over a merge.
            make_whole(ports, scope, location_id, sku).await?;
            attempts.at_once("the stock was split again")?;
            continue;
        }
        if keep_aside_if_due(ports, scope, (location_id, sku), seen.as_ref(), now).await? {
            attempts.at_once("lots past their day were kept aside")?;
            continue;
        }
        let named = match products.get(sku) {
            Some(product) => named(ports, scope, (location_id, product), said, naming, now).await?,
            None => None,
        };
        let of_lot = named.map(|named| update.of_lot(named, &stock)).transpose()?;
        let is_aside = of_lot.as_ref().is_some_and(|lot| lot.named.is_aside_in(&stock.book));
        let shortage = if is_aside { None } else { update.shortage(seen) };
        let is_lot_short = of_lot.as_ref().is_some_and(|lot| lot.book.is_none());
        let version_stands = update
            .require_version(seen)
            .and_then(|()| Ok(precondition(seen.map(|stock| stock.version().unsigned_abs()))?));
        if let Some(short) = &shortage
            && seen.is_some_and(|stock| stock.may_have_expired_holds(now))
        {
            let needed = short.requested.thousandths() - seen.map_or(0, |stock| stock.available);
            let freed = free_enough(ports, scope, (location_id, sku), needed, &mut hold_reads, now).await?;
            if freed.any {
                attempts.at_once("expired holds were freed")?;
                continue;
            }
        }
        let above_damaged = update.above_damaged(seen);
        if shortage.is_some() || is_lot_short || above_damaged.is_err() || version_stands.is_err() {
            // A batch is not read at one moment, and looking for expired holds takes its time: it may be this
            // very request that moved the stock.
            if let Some(record) = ports.database.get(strong(record_key.clone())).await? {
                return answer_again(&record, &fingerprint, number);
            }
        }
        version_stands?;
        above_damaged?;
        if let Some(shortage) = shortage {
            return Err(insufficient_stock(ports, caller, &[shortage]).await?.into());
        }
        let (updated, mut writes) = match &of_lot {
            None if request.kind == StockUpdateKind::Assign => {
                return Err(Error::bug("an assignment names a lot"));
            }
            None => update.writes(caller, seen, exception.as_ref())?,
            Some(OfLot { named, book: Some(book) }) => {
                update.writes_of_lot(caller, (&stock, exception.as_ref()), named, book)?
            }
            Some(OfLot { book: None, .. }) if request.kind == StockUpdateKind::Assign => {
                return Err(update.above_unknown(&stock.book));
            }
            Some(OfLot { named, book: None }) => {
                return Err(named.short(Quantity::of_counter(-update.of_goods()), &stock.book));
            }
        };
        writes.insert(0, record_write(scope, &record_key, (fingerprint.as_str(), number), now, &updated)?);
        match ports.database.transact(writes).await {
            Ok(()) => return Ok(Answer { updated, replayed: false }),
            // The key was used meanwhile, or the stock moved: what we read next tells which.
            Err(DatabaseError::Cancelled(reasons))
                if reasons.iter().any(|r| matches!(r, Cancellation::ConditionFailed(_))) =>
            {
                attempts.after_a_wait("the stock changed while it was updated").await?;
            }
            Err(error) if error.is_transient() => {
                attempts.after_a_wait("updating stock").await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The lot that an update is of, and the lots as it leaves them; `None`: there is less of it than is taken, or less of
/// no known lot than is assigned.
struct OfLot {
    named: Named,
    book: Option<LotBook>,
}

struct Update<'a> {
    request: &'a StockUpdateRequest,
    quantity: Quantity,
    unit: Unit,
    movement: &'a Movement,
    now: Timestamp,
}

impl<'a> Update<'a> {
    fn require_version(&self, seen: Option<Counters>) -> Result<()> {
        let current = seen.map_or(0, |stock| stock.version());
        match self.request.expected_version {
            Some(expected) if expected != current => Err(Refusal::conflict(
                "version_conflict",
                format!("the stock item is at version {current}, not {expected}; read it and decide again"),
            )
            .with_extra("current_version", current)
            .into()),
            _ => Ok(()),
        }
    }

    /// By how much goods change that are not damaged, where that does not depend on how many there are.
    fn of_goods(&self) -> i64 {
        let quantity = self.quantity.thousandths();
        match self.request.kind {
            StockUpdateKind::Delta | StockUpdateKind::Repair => quantity,
            StockUpdateKind::Damage => -quantity,
            StockUpdateKind::Set | StockUpdateKind::Assign | StockUpdateKind::WriteOff => 0,
        }
    }

    /// By how much damaged goods change.
    fn of_damaged(&self) -> i64 {
        let quantity = self.quantity.thousandths();
        match self.request.kind {
            StockUpdateKind::Damage => quantity,
            StockUpdateKind::Repair | StockUpdateKind::WriteOff => -quantity,
            StockUpdateKind::Delta | StockUpdateKind::Set | StockUpdateKind::Assign => 0,
        }
    }

    /// 409 where more is mended or written off than is damaged.
    fn above_damaged(&self, seen: Option<Counters>) -> Result<()> {
        let (damaged, taken) = (seen.map_or(0, |stock| stock.damaged), -self.of_damaged());
        if taken <= damaged.max(0) {
            return Ok(());
        }
        let damaged = Quantity::of_counter(damaged);
        let detail = format!("{damaged} of {} is damaged, not {}", self.request.sku, self.quantity);
        let refusal = Refusal::conflict("insufficient_stock", detail.clone());
        Err(refusal
            .with_error("quantity", "insufficient_stock", detail)
            .with_extra("damaged", serde_json::json!(damaged.display(self.unit)))
            .into())
    }

    fn shortage(&self, seen: Option<Counters>) -> Option<Shortage<'a>> {
        let taken = -self.of_goods();
        let available = seen.map_or(0, |stock| stock.available);
        let short = taken > 0 && available < taken;
        short.then(|| Shortage {
            field: "quantity".to_owned(),
            location_id: &self.request.location_id,
            sku: &self.request.sku,
            requested: Quantity::of_counter(taken),
            unit: self.unit,
            stock: seen,
            kits: Vec::new(),
        })
    }

    /// What it leaves, and how it is written over what was `seen`, and over its exception.
    fn writes(
        &self,
        caller: &Caller,
        seen: Option<Counters>,
        exception: Option<&Item>,
    ) -> Result<(StockUpdated, Vec<Write>)> {
        let (location_id, sku) = (self.request.location_id.as_str(), self.request.sku.as_str());
        let scope = &caller.scope;
        let (write, delta) = match self.request.kind {
            StockUpdateKind::Set => {
                let target = StockTarget {
                    on_hand: Some(self.quantity.thousandths()),
                    unit: Some(self.unit),
                    ..StockTarget::default()
                };
                let counted = counted_changes(self.now.as_millisecond(), &self.movement.reference);
                stock_set(scope, location_id, sku, seen.as_ref(), target, self.movement, counted.to_vec())
            }
            // An assignment names a lot: it is not written here.
            StockUpdateKind::Delta
            | StockUpdateKind::Assign
            | StockUpdateKind::Damage
            | StockUpdateKind::Repair
            | StockUpdateKind::WriteOff => {
                let delta =
                    Delta { on_hand: self.of_goods(), damaged: self.of_damaged(), ..Delta::default() };
                let as_seen = seen.map_or(Condition::NotExists, |s| Condition::Eq("seq", s.seq.into()));
                let changes = vec![unit_change(self.unit)];
                let write =
                    stock_update(scope, location_id, sku, delta, self.movement, vec![as_seen], changes);
                (write, delta)
            }
        };
        let (updated, exception) = self.left(caller, (seen, exception), delta)?;
        Ok((updated, std::iter::once(write).chain(exception).collect()))
    }

    /// What it leaves of what was `seen`, and that somebody is to look where that is too little, or need not look any
    /// more.
    fn left(
        &self,
        caller: &Caller,
        (seen, exception): (Option<Counters>, Option<&Item>),
        delta: Delta,
    ) -> Result<(StockUpdated, Option<Write>)> {
        let (location_id, sku) = (self.request.location_id.as_str(), self.request.sku.as_str());
        let before = seen.unwrap_or_default();
        let after = Counters {
            on_hand: before.on_hand + delta.on_hand,
            available: before.available + delta.available(),
            damaged: before.damaged + delta.damaged,
            quarantined: before.quarantined + delta.quarantined,
            seq: before.seq + 1,
            unit: Some(self.unit),
            ..before
        };
        let (what, unit) = ((location_id, sku), Some(self.unit));
        let reference = &self.movement.reference;
        let available = after.available;
        let exception =
            exception_write(&caller.scope, what, unit, available, reference, self.now, exception)?;
        let updated = StockUpdated {
            stock: level(location_id, sku, &after),
            change: shown(delta.on_hand, unit),
            exception_opened: after.available < 0 && delta.available() < 0,
        };
        Ok((updated, exception))
    }

    /// The lots as an update of one of them leaves them.
    fn of_lot(&self, named: Named, stock: &LotStock) -> Result<OfLot> {
        let quantity = self.quantity.thousandths();
        let book = match self.request.kind {
            StockUpdateKind::Set => named.changed(&stock.book, quantity - named.quantity_in(&stock.book))?,
            StockUpdateKind::Delta
            | StockUpdateKind::Damage
            | StockUpdateKind::Repair
            | StockUpdateKind::WriteOff => named.changed(&stock.book, self.of_goods())?,
            StockUpdateKind::Assign => named.assigned(&stock.book, quantity)?,
        };
        Ok(OfLot { named, book })
    }

    /// 409: less is of no known lot than is assigned.
    fn above_unknown(&self, book: &LotBook) -> Error {
        let unknown = Quantity::of_counter(book.unknown().max(0));
        let detail = format!("{unknown} of {} is of no known lot, not {}", self.request.sku, self.quantity);
        let refusal = Refusal::conflict("insufficient_stock", detail.clone());
        refusal
            .with_error("quantity", "insufficient_stock", detail)
            .with_extra("unknown", serde_json::json!(unknown.display(self.unit)))
            .into()
    }

    /// The same where it is of one lot, whose `book` it leaves so.
    fn writes_of_lot(
        &self,
        caller: &Caller,
        (stock, exception): (&LotStock, Option<&Item>),
        named: &Named,
        book: &LotBook,
    ) -> Result<(StockUpdated, Vec<Write>)> {
        let scope = &caller.scope;
        let name = StockName { location_id: self.request.location_id.clone(), sku: self.request.sku.clone() };
        let taking = match self.request.kind {
            // What is recalled was not fit for sale, whatever was promised of it.
            StockUpdateKind::Set | StockUpdateKind::Assign => Taking::Whatever,
            StockUpdateKind::Delta
            | StockUpdateKind::Damage
            | StockUpdateKind::Repair
            | StockUpdateKind::WriteOff => Taking::Available,
        };
        // The answer says exactly what it left.
        let as_seen = stock.counters.map(|seen| Condition::Eq("seq", seen.seq.into()));
        let more = Delta { damaged: self.of_damaged(), ..Delta::default() };
        let (what, how) = ((book, more), (self.movement, taking));
        let unit = Some(self.unit);
        let write = stock.write(scope, &name, what, how, unit, as_seen.into_iter().collect())?;
        let mut delta = stock.delta_to(book);
        delta += more;
        let (updated, exception) = self.left(caller, (stock.counters, exception), delta)?;
        let mut writes = vec![write];
        writes.extend(exception);
        writes.extend(named.writes(scope, &stock.book));
        Ok((updated, writes))
    }
}
