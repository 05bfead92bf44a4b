//! Exceptions: tasks for people, where the books and the shop disagree. One is opened
//! - where a count, a raised safety stock, or a lot that was recalled or is past its day left less than is promised
//!   (`below_promised`, one per stock item);
//!   a later count or feed line that finds enough resolves it by itself, if nobody has;
//! - where a register that was cut off sold more than there was (`oversold_offline`, one per order and SKU);
//! - where goods were sold or held before anybody told their stock, as policies allow it (`unsynced_stock`, one per
//!   order or reservation and SKU);
//! - where such a register, or another system, gave a coupon or promotion more often than its limit allows
//!   (`uses_above_limit`, one per order and coupon or promotion);
//! - where such a register asked another total for a sale than its lines come to, or made an exchange without saying
//!   what it asked, and change went back that no payment told of, or gave back more cash for a return than its lines come
//!   to (`total_differs`, one per order);
//! - where such a register moved cash, opened its drawer, voided a sale or took goods back without their sale, without the
//!   approval that it needed (`cash_not_approved`, one per command);
//! - where such a register, or another system, told of a sale after the goods were counted that it had taken before
//!   (`sold_before_count`, one per order and SKU);
//! - where goods that have left the shop were said to be of a lot that they cannot be of, or that was not for sale
//!   (`lot_mismatch`, one per order, SKU, lot and problem);
//! - where what stock says of itself differs (`difference`, see [`crate::stock::reconciliation`]).
//!
//! Somebody looks at each and says how it was settled. The stock itself is corrected by a count, or, of a difference,
//! by its own correction; uses are given back by undoing the sale, which closes no exception: what happened is still
//! to be looked into.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_contracts::inventory::{
    DifferenceCause, ExceptionKind, ExceptionQuery, ExceptionResolution, ExceptionStatus,
    ResolveExceptionRequest, StockDifference, StockException, StockExceptionPage,
};
use tillstream_contracts::lots::LotProblem;
use tillstream_domain::identifier::check_id;
use tillstream_domain::money::{Currency, Money};
use tillstream_domain::quantity::{QuantityInput, Unit};

use crate::cursor::{PagedQuery, limit};
use crate::database::{
    Change, Condition, Consistency, Database, DatabaseError, Get, Index, Item, Table, Write,
};
use crate::error::{Error, Refusal, Result};
use crate::fields::{TEXT_CHARS_MAX, text};
use crate::ports::Ports;
use crate::pos::identity::derived_id;
use crate::stock::attempts::Attempts;
use crate::stock::counters::{COUNTED_AT, COUNTED_IN, shown};
use crate::stock::index_page::IndexList;
use crate::stock::reconciliation::{Cause, DIFFERENCE, Finding, MOVEMENTS, findings_of};
use crate::stock::references::check_location_id;
use crate::stock::request_identity::{self, fingerprint, is_replay, key_reused, request_number};
use crate::stock::taken_beyond::{Beyond, Taker};
use crate::stock::update::REASON_CHARS_MAX;
use crate::tenancy::{Caller, TenantScope};

/// Kind of the exception of goods that were taken off twice: by a count, and by a sale before it.
const SOLD_BEFORE_COUNT: &str = "sold_before_count";
/// Attribute of an exception that names a coupon.
const COUPON: &str = "coupon_code";
/// Attribute of an exception that names a promotion.
const PROMOTION: &str = "promotion_id";
/// Kind of the exception of a sale whose register asked another total.
const TOTAL_DIFFERS: &str = "total_differs";
/// Kind of the exception of cash that was moved without the approval that it needed.
const CASH_NOT_APPROVED: &str = "cash_not_approved";
/// Attribute of an exception that opened anew: the keys by which it was resolved before.
pub(super) const KEYS_USED: &str = "resolved_with";
/// Keys of so many resolutions are known again.
const KEYS_USED_MAX: usize = 20;
/// Who resolves an exception that nobody has to look at any more.
const BY_ITSELF: &str = "system";
/// Why it does.
const ENOUGH_FOUND: &str = "enough was found";
/// What says how an exception was settled.
const RESOLUTION: [&str; 7] = [
    "resolved_reason",
    "resolved_note",
    "resolved_by",
    "resolved_at",
    "resolve_key",
    "resolve_fingerprint",
    "resolve_request",
];

/// A key by which an exception was resolved or corrected, before it opened anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct UsedKey {
    key: String,
    fingerprint: String,
}

fn keys_used(item: &Item) -> Result<Vec<UsedKey>> {
    item.opt_text(KEYS_USED).map_or_else(|| Ok(Vec::new()), |_| item.json(KEYS_USED))
}

/// What is to stand in [`KEYS_USED`] of an exception that opens anew, or is resolved anew: a key that resolved or
/// corrected it once must never do so with what came after. `None`: what stands there stays.
///
/// # Errors
/// A bug if the item is malformed.
pub(super) fn keys_used_from_now(item: &Item) -> Result<Option<String>> {
    let settled = [("resolve_key", "resolve_fingerprint"), ("correct_key", "correct_fingerprint")];
    let by: Vec<UsedKey> = settled
        .into_iter()
        .filter_map(|(key, fingerprint)| Some((item.opt_text(key)?, item.opt_text(fingerprint)?)))
        .map(|(key, fingerprint)| UsedKey { key: key.to_owned(), fingerprint: fingerprint.to_owned() })
        .collect();
    if by.is_empty() {
        return Ok(None);
    }
    let mut used = keys_used(item)?;
    used.extend(by);
    let kept = used.get(used.len().saturating_sub(KEYS_USED_MAX)..).unwrap_or_default();
    serde_json::to_string(kept).map(Some).map_err(Error::bug)
}

/// Refuses a key by which an exception was settled before it opened anew.
///
/// # Errors
/// 409 `exception_reopened`; 422 `idempotency_key_reused`; a bug if the item is malformed.
pub(super) fn check_not_used_before(item: &Item, own: &str, fingerprint: &str) -> Result<()> {
    match keys_used(item)?.iter().find(|used| used.key == own) {
        None => Ok(()),
        Some(used) if used.fingerprint == fingerprint => Err(reopened()),
        Some(_) => Err(key_reused()),
    }
}

/// Goods that were taken and were not there.
#[derive(Debug, Clone, Copy)]
pub struct Oversold<'a> {
    /// Who took them, and why that was let be.
    pub taker: Taker<'a>,
    /// Where.
    pub location_id: &'a str,
    /// What.
    pub sku: &'a str,
    /// How it is sold.
    pub unit: Unit,
    /// How many more, in thousandths.
    pub quantity: i64,
    /// A number of this write, so that no other is like it.
    pub number: i64,
}

/// Goods that were sold before a count that did not find them any more, and that the books take off now, too.
#[derive(Debug, Clone, Copy)]
pub struct SoldBeforeCount<'a> {
    /// Order.
    pub order_id: &'a str,
    /// Register that sold them.
    pub register_id: &'a str,
    /// Who sold them.
    pub employee_id: &'a str,
    /// Where.
    pub location_id: &'a str,
    /// What.
    pub sku: &'a str,
    /// How it is sold.
    pub unit: Unit,
    /// How many, in thousandths.
    pub quantity: i64,
    /// When they were counted, in epoch milliseconds.
    pub counted_at: i64,
    /// The count sheet, or the update, that said so.
    pub counted_in: &'a str,
    /// When they were sold, as the register tells it.
    pub at: Timestamp,
    /// Our time.
    pub now: Timestamp,
}

/// Goods that have left the shop, and the lot that they cannot be of, or that was not for sale.
#[derive(Debug, Clone, Copy)]
pub(super) struct LotMismatch<'a> {
    /// Who took them.
    pub(super) taker: Taker<'a>,
    /// Where.
    pub(super) location_id: &'a str,
    /// What.
    pub(super) sku: &'a str,
    /// How it is sold, where that is known.
    pub(super) unit: Option<Unit>,
    /// Which lot was named.
    pub(super) lot_id: &'a str,
    /// What is wrong with that.
    pub(super) problem: LotProblem,
    /// Of how many, in thousandths.
    pub(super) quantity: i64,
    /// Whether they are entered as of that lot in the same transaction: then it may happen more than once.
    pub(super) is_entered: bool,
}

const LOT_MISMATCH: &str = "lot_mismatch";

/// Attribute of an exception that names a lot.
const LOT: &str = "lot_id";

/// Attribute of an exception that says what is wrong with a lot.
const LOT_PROBLEM: &str = "lot_problem";

const LOT_PROBLEMS: [(LotProblem, &str); 7] = [
    (LotProblem::Unknown, "unknown"),
    (LotProblem::OfAnotherSku, "of_another_sku"),
    (LotProblem::SkuWithoutLots, "sku_without_lots"),
    (LotProblem::Short, "short"),
    (LotProblem::Expired, "expired"),
    (LotProblem::Quarantined, "quarantined"),
    (LotProblem::Recalled, "recalled"),
];

fn problem_name(problem: LotProblem) -> &'static str {
    LOT_PROBLEMS.iter().find(|(known, _)| *known == problem).map_or("unknown", |(_, name)| name)
}

/// Uses of a coupon or promotion beyond what its limit allows.
#[derive(Debug, Clone, Copy)]
pub struct AboveLimit<'a> {
    /// Order.
    pub order_id: &'a str,
    /// Register that gave it.
    pub register_id: &'a str,
    /// Who gave it.
    pub employee_id: &'a str,
    /// Where.
    pub location_id: &'a str,
    /// `coupon` and its code, or `promotion` and its id.
    pub what: (&'static str, &'a str),
    /// How many uses are above the limit.
    pub uses: u32,
    /// The limit.
    pub limit: u32,
    /// Whose limit it is; none for that of all together.
    pub customer_id: Option<&'a str>,
    /// When it was given, as the register tells it.
    pub at: Timestamp,
    /// Our time.
    pub now: Timestamp,
}

/// A sale for which its register asked, or took, what its lines do not come to. Minor units.
#[derive(Debug, Clone, Copy)]
pub struct TotalDiffers<'a> {
    /// Order.
    pub order_id: &'a str,
    /// Register that asked.
    pub register_id: &'a str,
    /// Who asked.
    pub employee_id: &'a str,
    /// Where.
    pub location_id: &'a str,
    /// What its lines come to here, and what was asked, or brought.
    pub totals: (i64, i64),
    /// Of both.
    pub currency: Currency,
    /// When it was sold, as the register tells it.
    pub at: Timestamp,
    /// Our time.
    pub now: Timestamp,
}

/// Cash that a register moved while it was cut off, or a drawer that it opened, without the approval that it needed.
#[derive(Debug, Clone, Copy)]
pub struct CashNotApproved<'a> {
    /// `shift_id` and the shift; `order_id` and the sale that was voided, or the return.
    pub of: (&'static str, &'a str),
    /// Name of the command that moved it: one movement.
    pub command: &'a str,
    /// What it is, as the wire names it.
    pub movement: &'static str,
    /// How much was moved; nothing where the drawer was opened only, or that is not known yet.
    pub amount: Option<Money>,
    /// What it would have been refused with.
    pub problem: &'static str,
    /// Register whose drawer it is.
    pub register_id: &'a str,
    /// Who did it.
    pub employee_id: &'a str,
    /// Where.
    pub location_id: &'a str,
    /// When, as the register tells it.
    pub at: Timestamp,
    /// Our time.
    pub now: Timestamp,
}

/// Id of the exception of goods that an order, or a reservation, took and that were not there.
pub fn oversold_id(beyond: Beyond, reference: &str, sku: &str) -> String {
    derived_id("x", &[beyond.name(), reference, sku])
}

/// Id of the exception of a stock item of which less is there than is promised.
pub(super) fn below_promised_id(location_id: &str, sku: &str) -> String {
    derived_id("x", &["below_promised", location_id, sku])
}

/// What every write of an exception sets: it is open, and listed so from when it was first opened.
fn opened(
    scope: &TenantScope,
    id: &str,
    kind: &'static str,
    location_id: &str,
    now: Timestamp,
) -> Vec<Change> {
    vec![
        Change::Set("tenant_id", scope.tenant_id().into()),
        Change::Set("exception_id", id.into()),
        Change::Set("kind", kind.into()),
        Change::Set("state", "open".into()),
        Change::Set("location_id", location_id.into()),
        Change::SetIfAbsent("opened_at", now.as_millisecond().into()),
        Change::Set("location_pk", scope.stock_exceptions(location_id, "open").value().into()),
        Change::SetIfAbsent("location_sk", listed_at(id, now).into()),
    ]
}

/// Where an exception stands among those of its location that was opened so.
fn listed_at(id: &str, now: Timestamp) -> String {
    format!("{:015}#{id}", now.as_millisecond().max(0))
}

/// Of which goods it is.
fn of_goods(sku: &str, unit: Option<Unit>) -> impl Iterator<Item = Change> {
    let unit = unit.map(|unit| Change::Set("unit", unit.name().into()));
    std::iter::once(Change::Set("sku", sku.into())).chain(unit)
}

/// Opens the exception of goods that were taken and were not there, or adds to it: written in the transaction of the
/// movement that enters them.
pub fn oversold_write(scope: &TenantScope, sold: &Oversold<'_>) -> Write {
    let taker = &sold.taker;
    let id = oversold_id(taker.beyond, taker.reference, sold.sku);
    let mut changes = opened(scope, &id, taker.beyond.name(), sold.location_id, taker.now);
    changes.extend(of_goods(sold.sku, Some(sold.unit)));
    changes.extend([
        Change::Add("quantity", sold.quantity),
        Change::Set("reference", taker.reference.into()),
        Change::Set("employee_id", taker.employee_id.into()),
        Change::Set("occurred_at", taker.at.as_millisecond().into()),
        Change::Set("number", sold.number.into()),
    ]);
    changes.extend(taker.order_id.map(|order_id| Change::Set("order_id", order_id.into())));
    changes.extend(taker.register_id.map(|register_id| Change::Set("register_id", register_id.into())));
    Write::Update { table: Table::Stock, key: scope.stock_exception(&id), changes, condition: None }
}

/// Id of the exception of goods that cannot be of their lot.
pub(super) fn lot_mismatch_id(mismatch: &LotMismatch<'_>) -> String {
    let how = if mismatch.is_entered { "entered" } else { "told" };
    let (problem, reference) = (problem_name(mismatch.problem), mismatch.taker.reference);
    derived_id("x", &[LOT_MISMATCH, how, problem, reference, mismatch.sku, mismatch.lot_id])
}

/// Opens the exception of goods that cannot be of their lot. What is entered with it adds to it; else it is told
/// once, and the write is refused where it was.
pub(super) fn lot_mismatch_write(scope: &TenantScope, mismatch: &LotMismatch<'_>) -> Write {
    let (taker, id) = (&mismatch.taker, lot_mismatch_id(mismatch));
    let mut changes = opened(scope, &id, LOT_MISMATCH, mismatch.location_id, taker.now);
    changes.extend(of_goods(mismatch.sku, mismatch.unit));
    changes.extend([
        Change::Add("quantity", mismatch.quantity),
        Change::Set(LOT, mismatch.lot_id.into()),
        Change::Set(LOT_PROBLEM, problem_name(mismatch.problem).into()),
        Change::Set("reference", taker.reference.into()),
        Change::Set("employee_id", taker.employee_id.into()),
        Change::Set("occurred_at", taker.at.as_millisecond().into()),
    ]);
    changes.extend(taker.order_id.map(|order_id| Change::Set("order_id", order_id.into())));
    changes.extend(taker.register_id.map(|register_id| Change::Set("register_id", register_id.into())));
    let condition = (!mismatch.is_entered).then_some(Condition::NotExists);
    Write::Update { table: Table::Stock, key: scope.stock_exception(&id), changes, condition }
}

/// Opens the exception of uses above a limit: written in the transaction that makes their order final, and so once.
pub fn above_limit_write(scope: &TenantScope, given: &AboveLimit<'_>) -> Write {
    let (kind, named) = given.what;
    let id = derived_id("x", &["uses_above_limit", given.order_id, kind, named]);
    let mut changes = opened(scope, &id, "uses_above_limit", given.location_id, given.now);
    changes.extend([
        Change::Set(if kind == "coupon" { COUPON } else { PROMOTION }, named.into()),
        Change::Set("quantity", (i64::from(given.uses) * 1_000).into()),
        Change::Set("limit", i64::from(given.limit).into()),
        Change::Set("reference", given.order_id.into()),
        Change::Set("order_id", given.order_id.into()),
        Change::Set("register_id", given.register_id.into()),
        Change::Set("employee_id", given.employee_id.into()),
        Change::Set("occurred_at", given.at.as_millisecond().into()),
    ]);
    changes.extend(given.customer_id.map(|customer_id| Change::Set("customer_id", customer_id.into())));
    Write::Update { table: Table::Stock, key: scope.stock_exception(&id), changes, condition: None }
}

/// Opens the exception of a total that differs: written in the transaction that makes its order final, and so once.
pub fn total_differs_write(scope: &TenantScope, sale: &TotalDiffers<'_>) -> Write {
    let id = derived_id("x", &[TOTAL_DIFFERS, sale.order_id]);
    let mut changes = opened(scope, &id, TOTAL_DIFFERS, sale.location_id, sale.now);
    changes.extend([
        // One sale.
        Change::Set("quantity", 1_000.into()),
        Change::Set("total", sale.totals.0.into()),
        Change::Set("asked", sale.totals.1.into()),
        Change::Set("currency", sale.currency.code().into()),
        Change::Set("reference", sale.order_id.into()),
        Change::Set("order_id", sale.order_id.into()),
        Change::Set("register_id", sale.register_id.into()),
        Change::Set("employee_id", sale.employee_id.into()),
        Change::Set("occurred_at", sale.at.as_millisecond().into()),
    ]);
    Write::Update { table: Table::Stock, key: scope.stock_exception(&id), changes, condition: None }
}

/// Opens the exception of cash that was moved without an approval: written in the transaction that records it with its
/// shift, and so once.
pub fn cash_not_approved_write(scope: &TenantScope, moved: &CashNotApproved<'_>) -> Write {
    let (named, reference) = moved.of;
    let id = derived_id("x", &[CASH_NOT_APPROVED, reference, moved.command]);
    let mut changes = opened(scope, &id, CASH_NOT_APPROVED, moved.location_id, moved.now);
    changes.extend([
        // One movement.
        Change::Set("quantity", 1_000.into()),
        Change::Set("movement", moved.movement.into()),
        Change::Set("approval_problem", moved.problem.into()),
        Change::Set("reference", reference.into()),
        Change::Set(named, reference.into()),
        Change::Set("register_id", moved.register_id.into()),
        Change::Set("employee_id", moved.employee_id.into()),
        Change::Set("occurred_at", moved.at.as_millisecond().into()),
    ]);
    if let Some(amount) = moved.amount {
        changes.extend([
            Change::Set("amount", amount.amount.into()),
            Change::Set("currency", amount.currency.code().into()),
        ]);
    }
    Write::Update { table: Table::Stock, key: scope.stock_exception(&id), changes, condition: None }
}

/// The read of the exception of a stock item of which less is there than is promised, for [`exception_write`].
pub fn below_promised_get(scope: &TenantScope, (location_id, sku): (&str, &str)) -> Get {
    let key = scope.stock_exception(&below_promised_id(location_id, sku));
    Get { table: Table::Stock, key, consistency: Consistency::Strong }
}

/// The same, read.
///
/// # Errors
/// As the database.
pub async fn below_promised(
    database: &dyn Database,
    scope: &TenantScope,
    what: (&str, &str),
) -> Result<Option<Item>> {
    Ok(database.get(below_promised_get(scope, what)).await?)
}

/// Whether an exception, as it was read, is to be settled still.
pub fn is_standing_open(standing: Option<&Item>) -> bool {
    standing.and_then(|item| item.opt_text("state")) == Some("open")
}

/// Opens the exception of goods that were sold before they were counted; written again it is the same.
pub fn sold_before_count_write(scope: &TenantScope, sold: &SoldBeforeCount<'_>) -> Write {
    let id = derived_id("x", &[SOLD_BEFORE_COUNT, sold.order_id, sold.sku]);
    let mut changes = opened(scope, &id, SOLD_BEFORE_COUNT, sold.location_id, sold.now);
    changes.extend(of_goods(sold.sku, Some(sold.unit)));
    changes.extend([
        Change::Set("quantity", sold.quantity.into()),
        Change::Set("reference", sold.order_id.into()),
        Change::Set("order_id", sold.order_id.into()),
        Change::Set("register_id", sold.register_id.into()),
        Change::Set("employee_id", sold.employee_id.into()),
        Change::Set("occurred_at", sold.at.as_millisecond().into()),
        Change::Set(COUNTED_AT, sold.counted_at.into()),
        Change::Set(COUNTED_IN, sold.counted_in.into()),
    ]);
    Write::Update { table: Table::Stock, key: scope.stock_exception(&id), changes, condition: None }
}

/// What a count or feed line that leaves `available` at this has to write beside the stock item, in its
/// own transaction, over the exception as it is `standing`: it opens, or opens anew, or is resolved if it is open
/// still. What somebody resolved stays as it is, for who asks why. `None`: nothing, and so most counts pay nothing
/// for it.
///
/// A failed condition of the write is a lost race: the exception is not as it was read.
///
/// # Errors
/// A bug if what stands is malformed.
pub fn exception_write(
    scope: &TenantScope,
    (location_id, sku): (&str, &str),
    unit: Option<Unit>,
    available: i64,
    reference: &str,
    now: Timestamp,
    standing: Option<&Item>,
) -> Result<Option<Write>> {
    let id = below_promised_id(location_id, sku);
    let key = scope.stock_exception(&id);
    let millis = now.as_millisecond();
    if available >= 0 {
        if !is_standing_open(standing) {
            return Ok(None);
        }
        let resolved = scope.stock_exceptions(location_id, "resolved");
        let changes = vec![
            Change::Set("state", "resolved".into()),
            Change::Set("location_pk", resolved.value().into()),
            Change::Set("resolved_reason", ENOUGH_FOUND.into()),
            Change::Set("resolved_note", format!("found by {reference}").into()),
            Change::Set("resolved_by", BY_ITSELF.into()),
            Change::Set("resolved_at", millis.into()),
        ];
        let condition = Some(Condition::Eq("state", "open".into()));
        return Ok(Some(Write::Update { table: Table::Stock, key, changes, condition }));
    }
    let mut changes = opened(scope, &id, "below_promised", location_id, now);
    let condition = match standing {
        None => Condition::NotExists,
        Some(_) if is_standing_open(standing) => Condition::Eq("state", "open".into()),
        Some(item) => {
            // It is another one than that which was resolved: nothing of that is told of it.
            changes.retain(|change| !matches!(change, Change::SetIfAbsent(..)));
            changes.push(Change::Set("opened_at", millis.into()));
            changes.push(Change::Set("location_sk", listed_at(&id, now).into()));
            changes.extend(RESOLUTION.map(Change::Remove));
            changes.extend(keys_used_from_now(item)?.map(|used| Change::Set(KEYS_USED, used.into())));
            Condition::All(vec![
                Condition::Eq("state", item.text("state")?.into()),
                Condition::Eq("resolved_at", item.number("resolved_at")?.into()),
            ])
        }
    };
    changes.extend(of_goods(sku, unit));
    changes.extend([
        Change::Set("quantity", (-available).into()),
        Change::Set("reference", reference.into()),
        Change::Set("occurred_at", millis.into()),
    ]);
    Ok(Some(Write::Update { table: Table::Stock, key, changes, condition: Some(condition) }))
}

fn kind_of(item: &Item) -> Result<ExceptionKind> {
    match item.text("kind")? {
        "oversold_offline" => Ok(ExceptionKind::OversoldOffline),
        "below_promised" => Ok(ExceptionKind::BelowPromised),
        "unsynced_stock" => Ok(ExceptionKind::UnsyncedStock),
        "uses_above_limit" => Ok(ExceptionKind::UsesAboveLimit),
        TOTAL_DIFFERS => Ok(ExceptionKind::TotalDiffers),
        CASH_NOT_APPROVED => Ok(ExceptionKind::CashNotApproved),
        SOLD_BEFORE_COUNT => Ok(ExceptionKind::SoldBeforeCount),
        LOT_MISMATCH => Ok(ExceptionKind::LotMismatch),
        DIFFERENCE => Ok(ExceptionKind::Difference),
        other => Err(Error::Bug(format!("unknown kind of exception {other}"))),
    }
}

fn status_name(status: ExceptionStatus) -> &'static str {
    match status {
        ExceptionStatus::Open => "open",
        ExceptionStatus::Resolved => "resolved",
    }
}

fn is_open(item: &Item) -> Result<bool> {
    Ok(item.text("state")? == "open")
}

fn time(item: &Item, name: &str) -> Result<Timestamp> {
    Timestamp::from_millisecond(item.number(name)?).map_err(Error::bug)
}

/// An amount in the exception's currency, if it has one.
fn opt_money(item: &Item, name: &str) -> Result<Option<Money>> {
    let Some(amount) = item.opt_number(name) else { return Ok(None) };
    let currency = item.text("currency")?.parse().map_err(Error::bug)?;
    Ok(Some(Money { amount, currency }))
}

/// One thing that differs, as a client reads it.
fn shown_difference(finding: &Finding, unit: Option<Unit>) -> StockDifference {
    // Movements are counted, whatever the product is sold by.
    let shown = |number: i64| match finding.what.as_str() {
        MOVEMENTS => QuantityInput::Whole(number),
        _ => shown(number, unit),
    };
    StockDifference {
        what: finding.what.clone(),
        part: (finding.part > 0).then_some(finding.part),
        cause: match finding.cause {
            Cause::CounterWithoutMovement => DifferenceCause::CounterWithoutMovement,
            Cause::LedgerGap => DifferenceCause::LedgerGap,
            Cause::MovementMissing => DifferenceCause::MovementMissing,
            Cause::AvailableMiscalculated => DifferenceCause::AvailableMiscalculated,
            Cause::HoldWithoutReserved => DifferenceCause::HoldWithoutReserved,
            Cause::ReservedWithoutHold => DifferenceCause::ReservedWithoutHold,
            Cause::MovementWithoutOrder => DifferenceCause::MovementWithoutOrder,
            Cause::OrderWithoutMovement => DifferenceCause::OrderWithoutMovement,
        },
        expected: shown(finding.expected),
        found: shown(finding.found),
        difference: shown(finding.difference()),
        since_seq: finding.since_seq,
        references: finding.references.clone(),
    }
}

/// An exception as a client reads it.
///
/// # Errors
/// A bug if the item is not one.
pub(super) fn shown_exception(item: &Item) -> Result<StockException> {
    let unit = item.opt_text("unit").and_then(Unit::parse);
    let owned = |name: &str| item.opt_text(name).map(str::to_owned);
    let open = is_open(item)?;
    let resolution = if open {
        None
    } else {
        Some(ExceptionResolution {
            reason: item.text("resolved_reason")?.to_owned(),
            note: owned("resolved_note"),
            resolved_by: item.text("resolved_by")?.to_owned(),
            resolved_at: time(item, "resolved_at")?,
        })
    };
    let kind = kind_of(item)?;
    let findings = if kind == ExceptionKind::Difference { findings_of(item)? } else { Vec::new() };
    Ok(StockException {
        exception_id: item.text("exception_id")?.to_owned(),
        kind,
        status: if open { ExceptionStatus::Open } else { ExceptionStatus::Resolved },
        location_id: item.text("location_id")?.to_owned(),
        sku: owned("sku"),
        lot_id: owned(LOT),
        lot_problem: item
            .opt_text(LOT_PROBLEM)
            .and_then(|name| LOT_PROBLEMS.iter().find(|(_, known)| *known == name))
            .map(|(problem, _)| *problem),
        coupon_code: owned(COUPON),
        promotion_id: owned(PROMOTION),
        limit: item.opt_number("limit").map(u32::try_from).transpose().map_err(Error::bug)?,
        customer_id: owned("customer_id"),
        total: opt_money(item, "total")?,
        asked: opt_money(item, "asked")?,
        shift_id: owned("shift_id"),
        movement: owned("movement"),
        amount: opt_money(item, "amount")?,
        approval_problem: owned("approval_problem"),
        quantity: shown(item.number("quantity")?, unit),
        reference: item.text("reference")?.to_owned(),
        differences: findings.iter().map(|finding| shown_difference(finding, unit)).collect(),
        compared_version: item.opt_number("compared_version"),
        order_id: owned("order_id"),
        register_id: owned("register_id"),
        employee_id: owned("employee_id"),
        counted_at: item.opt_number(COUNTED_AT).map(|_| time(item, COUNTED_AT)).transpose()?,
        counted_in: owned(COUNTED_IN),
        occurred_at: time(item, "occurred_at")?,
        opened_at: time(item, "opened_at")?,
        resolution,
    })
}

/// `GET /v1/inventory/exceptions`: those of a location, the oldest first. A moment behind; what is shown is
/// as of now.
///
/// # Errors
/// 400 `cursor_malformed`; 403 `store_out_of_reach`; 422 for a malformed location or a limit out of range.
pub async fn list(ports: &Ports, caller: &Caller, query: &ExceptionQuery) -> Result<StockExceptionPage> {
    check_location_id("location_id", &query.location_id)?;
    caller.require_store(&query.location_id)?;
    let scope = &caller.scope;
    let limit = limit(query.limit)?;
    let status = status_name(query.status.unwrap_or(ExceptionStatus::Open));
    let paged = PagedQuery::new(scope, "exceptions", [query.location_id.as_str(), status]);
    let list = IndexList {
        paged,
        index: Index::ByLocation,
        names: ("location_pk", "location_sk"),
        partition: scope.stock_exceptions(&query.location_id, status),
        key_of: &|id| scope.stock_exception(id),
    };
    let page = list.page(ports, limit, query.cursor.as_deref()).await?;
    let items = page.items.iter().map(shown_exception).collect::<Result<_>>()?;
    Ok(StockExceptionPage { items, next_cursor: page.next_cursor })
}

/// 409: what a key resolved is there again.
fn reopened() -> Error {
    let detail = "this request resolved the exception, which opened again since; look at it as it is now, and resolve \
                  that with a new idempotency key";
    Refusal::conflict("exception_reopened", detail).into()
}

/// What resolving answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The exception as it is now.
    pub exception: StockException,
    /// Whether it took effect before, and this is its answer again.
    pub replayed: bool,
}

/// `POST /v1/inventory/exceptions/{id}/resolve`: says how an exception was settled, once. It moves no stock:
/// a count does. The exception itself remembers the idempotency key, also once it opened anew.
///
/// # Errors
/// 403 `store_out_of_reach`; 404 `exception_not_found`; 409 `exception_resolved`, `exception_reopened` where this very
/// request resolved it and it opened again since; 422 `reason_invalid`, `text_too_long`, `text_malformed`, `card_number_refused`, `idempotency_key_reused`.
pub async fn resolve(
    ports: &Ports,
    caller: &Caller,
    idempotency_key: &str,
    id: &str,
    request: &ResolveExceptionRequest,
) -> Result<Resolved> {
    let now = ports.environment.now();
    if request.reason.trim().is_empty() || request.reason.chars().count() > REASON_CHARS_MAX {
        let message = format!("a reason is 1 to {REASON_CHARS_MAX} characters that say how it was settled");
        return Err(Refusal::field("reason", "reason_invalid", message).into());
    }
    text("reason", &request.reason, REASON_CHARS_MAX)?;
    if let Some(note) = &request.note {
        text("note", note, TEXT_CHARS_MAX)?;
    }
    let missing = || Refusal::not_found("exception_not_found", "there is no such exception");
    check_id(id).map_err(|_| missing())?;
    let key = caller.scope.stock_exception(id);
    let own = request_identity::derived_id(caller, "resolve", idempotency_key);
    let fingerprint = fingerprint("resolve", request)?;
    let number = request_number(ports.environment.as_ref());
    let mut attempts = Attempts::new(ports.environment.as_ref());
    loop {
        let get = Get { table: Table::Stock, key: key.clone(), consistency: Consistency::Strong };
        let item = ports.database.get(get).await?;
        // What is only suspected is nobody's task yet.
        let is_known = |item: &Item| item.opt_text("state") != Some("suspected");
        let item = item.filter(is_known).ok_or_else(missing)?;
        caller.require_store(item.text("location_id")?)?;
        check_not_used_before(&item, &own, &fingerprint)?;
        if item.opt_text("resolve_key") == Some(own.as_str()) {
            let done = (item.text("resolve_fingerprint")?, item.number("resolve_request")?);
            let replayed = is_replay((fingerprint.as_str(), number), done)?;
            if is_open(&item)? {
                return Err(reopened());
            }
            return Ok(Resolved { exception: shown_exception(&item)?, replayed });
        }
        if !is_open(&item)? {
            let by = item.opt_text("resolved_by").unwrap_or_default();
            let detail = format!("the exception was resolved before, by {by}");
            return Err(Refusal::conflict("exception_resolved", detail).into());
        }
        let resolved = caller.scope.stock_exceptions(item.text("location_id")?, "resolved");
        let mut changes = vec![
            Change::Set("state", "resolved".into()),
            Change::Set("location_pk", resolved.value().into()),
            Change::Set("resolved_reason", request.reason.as_str().into()),
            match &request.note {
                Some(note) => Change::Set("resolved_note", note.as_str().into()),
                None => Change::Remove("resolved_note"),
            },
            Change::Set("resolved_by", caller.subject.as_str().into()),
            Change::Set("resolved_at", now.as_millisecond().into()),
            Change::Set("resolve_key", own.as_str().into()),
            Change::Set("resolve_fingerprint", fingerprint.as_str().into()),
            Change::Set("resolve_request", number.into()),
        ];
        changes.extend(keys_used_from_now(&item)?.map(|used| Change::Set(KEYS_USED, used.into())));
        if item.opt_number("noted").is_some() {
            // Whoever compares it meanwhile finds it changed.
            changes.extend([Change::Add("noted", 1), Change::Remove("due_pk"), Change::Remove("due_at")]);
        }
        let still_open = Some(Condition::Eq("state", "open".into()));
        let write = Write::Update { table: Table::Stock, key: key.clone(), changes, condition: still_open };
        match ports.database.write(write).await {
            // Read again, for the answer: the write tells nothing of the rest.
            Ok(()) => attempts.at_once("the exception was resolved and resolved again")?,
            Err(DatabaseError::ConditionFailed(_)) => {
                attempts.at_once("the exception changed while it was resolved")?;
            }
            Err(error) if error.is_transient() => attempts.after_a_wait("resolving an exception").await?,
            Err(error) => return Err(error.into()),
        }
    }
}
