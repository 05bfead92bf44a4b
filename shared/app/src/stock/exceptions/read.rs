//! Exceptions as clients read them.

use jiff::Timestamp;
use tillstream_contracts::inventory::{
    DifferenceCause, ExceptionKind, ExceptionQuery, ExceptionResolution, ExceptionStatus, StockDifference,
    StockException, StockExceptionPage,
};
use tillstream_domain::money::Money;
use tillstream_domain::quantity::{QuantityInput, Unit};

use super::goods::{LOT, LOT_MISMATCH, LOT_PROBLEM, LOT_PROBLEMS, SOLD_BEFORE_COUNT};
use super::sales::{CASH_NOT_APPROVED, COUPON, PROMOTION, TOTAL_DIFFERS};
use crate::cursor::{PagedQuery, limit};
use crate::database::{Index, Item};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::stock::counters::{COUNTED_AT, COUNTED_IN, shown};
use crate::stock::index_page::IndexList;
use crate::stock::reconciliation::{Cause, DIFFERENCE, Finding, MOVEMENTS, findings_of};
use crate::stock::references::check_location_id;
use crate::tenancy::Caller;

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

pub(super) fn is_open(item: &Item) -> Result<bool> {
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
pub(in crate::stock) fn shown_exception(item: &Item) -> Result<StockException> {
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
