//! Correcting a difference: a movement of kind `reconciliation`, on the condition that nothing moved since it was
//! compared.
//!
//! What the movements say stands, and what is reserved is what is held. Where the ledger itself is broken (rows are
//! gone, or counters changed between two rows), one row over the place takes what happened there as it was, so that
//! the ledger adds up again; what was wrong by it is then taken back by the movement, which the ledger tells. Where
//! a counter changed after the last movement the ledger never had it wrong: the movement puts the counter right, and
//! the ledger tells of no change.

use jiff::Timestamp;
use tillstream_contracts::inventory::{CorrectDifferenceRequest, StockException};
use tillstream_domain::identifier::check_id;

use super::compare::{Compared, Finding, PartCompared, compare};
use super::difference::{Name, Seen, bound_of, corrected, findings_of, note};
use super::ledger_check::Broken;
use super::orders::compare_order;
use super::{KIND, name_of, version_of};
use crate::approvals::stock_grant::{StockUse, permit};
use crate::database::{Cancellation, Condition, Consistency, DatabaseError, Get, Item, Table, Write};
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::stock::attempts::Attempts;
use crate::stock::conservation::parts_ever;
use crate::stock::counters::{Counters, Delta, Movement, counter_changes, movement_changes};
use crate::stock::exceptions::{below_promised, check_not_used_before, exception_write, shown_exception};
use crate::stock::layout::LAYOUT_WHOLE;
use crate::stock::ledger::{GAP_CLOSED, LedgerRow};
use crate::stock::request_identity::{self, fingerprint, is_replay, request_number};
use crate::stock::split::make_whole;
use crate::stock::update::check_reason;
use crate::tenancy::{Caller, TenantScope};

/// Rows of its ledgers that are read to correct a stock item.
const ROWS_MAX: usize = 50_000;

/// What correcting answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corrected {
    /// The exception as it is now.
    pub exception: StockException,
    /// Whether it took effect before, and this is its answer again.
    pub replayed: bool,
}

/// What was compared, and how it is put right.
struct Repair {
    seen: Seen,
    /// Of what it is made.
    of: RepairOf,
}

enum RepairOf {
    Counters(Vec<PartCompared>),
    Order(Box<Counters>),
}

async fn repair_of(ports: &Ports, scope: &TenantScope, name: &Name<'_>) -> Result<Repair> {
    let what = (name.location_id, name.sku);
    let Some(order_id) = name.order_id else {
        let Compared { version, unit, parts, findings, is_complete, .. } =
            compare(ports, scope, what, ROWS_MAX).await?;
        return Ok(Repair {
            seen: Seen { version, unit, findings, is_complete },
            of: RepairOf::Counters(parts),
        });
    };
    let stock = parts_ever(ports, scope, name.location_id, name.sku).await?;
    let seen = compare_order(ports, scope, what, order_id).await?;
    Ok(Repair { seen, of: RepairOf::Order(Box::new(stock.first().copied().unwrap_or_default())) })
}

fn below_zero() -> Error {
    let detail =
        "the correction would leave less than nothing; count the stock first, then correct or resolve this";
    Refusal::conflict("correction_below_zero", detail).into()
}

/// A part as it is put right: by how much its counters change, and what the ledger is told.
fn part_write(
    scope: &TenantScope,
    (location_id, sku, part): (&str, &str, u32),
    stock: &Counters,
    (delta, available): (Delta, i64),
    (movement, told): (&Movement, Delta),
) -> Write {
    let mut changes = counter_changes(delta, available);
    changes.extend(movement_changes(movement, told));
    Write::Update {
        table: Table::Stock,
        key: scope.stock_part(location_id, sku, part),
        changes,
        condition: Some(Condition::All(vec![
            Condition::Eq("seq", stock.seq.into()),
            Condition::Eq("layout", LAYOUT_WHOLE.into()),
        ])),
    }
}

/// The row over rows that are broken.
fn closing_row(
    (location_id, sku, part): (&str, &str, u32),
    broken: &Broken,
    movement: &Movement,
) -> LedgerRow {
    let after = broken.after;
    LedgerRow {
        location_id: location_id.to_owned(),
        sku: sku.to_owned(),
        part,
        seq: broken.to,
        from_seq: Some(broken.from),
        kind: GAP_CLOSED.to_owned(),
        reference: movement.reference.clone(),
        actor: movement.actor.clone(),
        at: movement.at,
        reason: movement.reason.clone(),
        delta: after.sums() - broken.before,
        after: Counters {
            seq: broken.to,
            available: after.on_hand - after.reserved - after.safety_stock,
            ..after
        },
    }
}

/// All that a correction writes to stock and ledger, and over the exception of a stock item of which less is there than
/// is promised.
fn writes(
    scope: &TenantScope,
    name: &Name<'_>,
    repair: &Repair,
    movement: &Movement,
    promised: Option<&Item>,
) -> Result<Vec<Write>> {
    let (location_id, sku) = (name.location_id, name.sku);
    let mut writes = Vec::new();
    let after = match &repair.of {
        RepairOf::Order(stock) => {
            let by = |what: &str| {
                let of_it = repair.seen.findings.iter().filter(|finding| finding.what == what);
                of_it.map(Finding::difference).sum::<i64>()
            };
            let delta = Delta { on_hand: -by("on_hand"), damaged: -by("damaged"), ..Delta::default() };
            if stock.on_hand + delta.on_hand < 0 || stock.damaged + delta.damaged < 0 {
                return Err(below_zero());
            }
            let available = delta.available();
            writes.push(part_write(
                scope,
                (location_id, sku, 0),
                stock,
                (delta, available),
                (movement, delta),
            ));
            stock.available + available
        }
        RepairOf::Counters(parts) => {
            for (part, compared) in (0_u32..).zip(parts) {
                let PartCompared { stock, expected, ledger, broken } = compared;
                let Delta { on_hand, reserved, damaged, in_transit, on_order, quarantined } = expected.sums();
                let least = [on_hand, reserved, damaged, in_transit, on_order, quarantined];
                if least.into_iter().any(|counter| counter < 0) {
                    return Err(below_zero());
                }
                let name = (location_id, sku, part);
                if let Some(broken) = broken {
                    let item = closing_row(name, broken, movement).item(scope)?;
                    writes.push(Write::Put { table: Table::Ledger, item, condition: None });
                }
                let delta = expected.sums() - stock.sums();
                let available = expected.available - stock.available;
                let told = expected.sums() - *ledger;
                let is_right = delta == Delta::default() && available == 0 && told == Delta::default();
                // The first part says that there was a correction, whatever it was of.
                if part == 0 || !is_right {
                    writes.push(part_write(scope, name, stock, (delta, available), (movement, told)));
                }
            }
            parts.first().map_or(0, |first| first.expected.available)
        }
    };
    let (what, unit, reference) = ((location_id, sku), repair.seen.unit, &movement.reference);
    writes.extend(exception_write(scope, what, unit, after, reference, movement.at, promised)?);
    Ok(writes)
}

/// 409: it is not as it was compared.
fn outdated(version: i64) -> Error {
    let detail =
        "the stock moved since it was compared; it is compared anew: read the exception and decide again";
    Refusal::conflict("difference_outdated", detail).with_extra("compared_version", version).into()
}

/// Compares anew what is not as it was compared.
async fn compare_anew(
    ports: &Ports,
    scope: &TenantScope,
    name: &Name<'_>,
    seen: Seen,
    now: Timestamp,
) -> Result<Error> {
    let version = seen.version;
    note(ports, scope, name, seen, now).await?;
    Ok(outdated(version))
}

/// `POST /v1/inventory/exceptions/{id}/correct`: corrects a difference, once, and with it resolves its exception.
///
/// # Errors
/// 403 `store_out_of_reach`, `approval_required` and those of an approval; 404 `exception_not_found`; 409
/// `exception_resolved`, `exception_reopened` where this very request corrected it and it opened again since,
/// `exception_not_correctable`, `difference_outdated` (with `compared_version`: it was compared
/// anew), `correction_below_zero`, and those of an approval; 422 `reason_invalid`, malformed texts and ids,
/// `idempotency_key_reused`; [`Error::Retryable`] while the ledger is behind the stock.
pub async fn correct(
    ports: &Ports,
    caller: &Caller,
    idempotency_key: &str,
    id: &str,
    request: &CorrectDifferenceRequest,
) -> Result<Corrected> {
    let now = ports.environment.now();
    check_reason(&request.reason)?;
    let scope = &caller.scope;
    let missing = || Refusal::not_found("exception_not_found", "there is no such exception");
    check_id(id).map_err(|_| missing())?;
    let own = request_identity::derived_id(caller, "correct", idempotency_key);
    let fingerprint = fingerprint("correct", request)?;
    let number = request_number(ports.environment.as_ref());
    let get = Get { table: Table::Stock, key: scope.stock_exception(id), consistency: Consistency::Strong };
    let mut attempts = Attempts::new(ports.environment.as_ref());
    loop {
        let item = ports.database.get(get.clone()).await?.ok_or_else(missing)?;
        caller.require_store(item.text("location_id")?)?;
        // A repetition that is late corrects nothing that came after.
        check_not_used_before(&item, &own, &fingerprint)?;
        if item.opt_text("correct_key") == Some(own.as_str()) {
            let done = (item.text("correct_fingerprint")?, item.number("correct_request")?);
            let replayed = is_replay((fingerprint.as_str(), number), done)?;
            return Ok(Corrected { exception: shown_exception(&item)?, replayed });
        }
        let bound = bound_of(Some(&item))?;
        // Exception, approval and stock are not read at one moment: what refuses may be what this very request, sent
        // twice, has done.
        let changed = async || -> Result<bool> {
            Ok(ports.database.get(get.clone()).await?.is_none_or(|now| now != item))
        };
        let permitted = permit(ports, caller, request.approval_id.as_deref(), true, &bound, now).await;
        if permitted.is_err() && changed().await? {
            attempts.at_once("the exception changed meanwhile")?;
            continue;
        }
        let grant = permitted?;
        let name = name_of(&item)?;
        let compared_version = item.number("compared_version")?;
        let parts = parts_ever(ports, scope, name.location_id, name.sku).await?;
        if version_of(&parts) != compared_version {
            if changed().await? {
                attempts.at_once("the exception changed meanwhile")?;
                continue;
            }
            let repair = repair_of(ports, scope, &name).await?;
            return Err(compare_anew(ports, scope, &name, repair.seen, now).await?);
        }
        if parts.first().is_some_and(|first| first.layout != LAYOUT_WHOLE) {
            // Versions go on over a merge.
            make_whole(ports, scope, name.location_id, name.sku).await?;
            attempts.at_once("split stock was merged")?;
        }
        let repair = repair_of(ports, scope, &name).await?;
        let known = findings_of(&item)?;
        if repair.seen.version != compared_version || !repair.seen.is_like(&known) {
            if changed().await? {
                attempts.at_once("the exception changed meanwhile")?;
                continue;
            }
            if repair.seen.findings.is_empty() && !repair.seen.is_complete {
                return Err(Error::retryable("the ledger is behind the stock"));
            }
            return Err(compare_anew(ports, scope, &name, repair.seen, now).await?);
        }
        if !repair.seen.is_complete {
            return Err(Error::retryable("the ledger is behind the stock"));
        }
        let movement = Movement {
            kind: KIND,
            reference: name.order_id.unwrap_or(id).to_owned(),
            actor: caller.subject.clone(),
            at: now,
            reason: Some(request.reason.clone()),
        };
        let what = (name.location_id, name.sku);
        let promised = below_promised(ports.database.as_ref(), scope, what).await?;
        let mut writes = writes(scope, &name, &repair, &movement, promised.as_ref())?;
        if let Some(grant) = grant {
            writes.push(grant.used_by(&StockUse {
                caller,
                at: now,
                key: idempotency_key,
                resource_id: id,
            })?);
        }
        writes.insert(0, resolved_write(scope, &item, (caller, now), request, (&own, &fingerprint, number))?);
        match ports.database.transact(writes).await {
            // Read again, for the answer.
            Ok(()) => attempts.at_once("the difference was corrected and is another one now")?,
            Err(DatabaseError::Cancelled(reasons))
                if reasons.iter().any(|r| matches!(r, Cancellation::ConditionFailed(_))) =>
            {
                attempts.after_a_wait("the stock or its exception changed while it was corrected").await?;
            }
            Err(error) if error.is_transient() => attempts.after_a_wait("correcting stock").await?,
            Err(error) => return Err(error.into()),
        }
    }
}

fn resolved_write(
    scope: &TenantScope,
    item: &Item,
    (caller, now): (&Caller, Timestamp),
    request: &CorrectDifferenceRequest,
    (own, fingerprint, number): (&str, &str, i64),
) -> Result<Write> {
    let noted = item.number("noted")?;
    let more = [
        ("resolved_reason", request.reason.as_str().into()),
        ("resolved_by", caller.subject.as_str().into()),
        ("resolved_at", now.as_millisecond().into()),
        ("correct_key", own.into()),
        ("correct_fingerprint", fingerprint.into()),
        ("correct_request", number.into()),
    ];
    let item = corrected(item, scope, more)?;
    Ok(Write::Put { table: Table::Stock, item, condition: Some(Condition::Eq("noted", noted.into())) })
}
