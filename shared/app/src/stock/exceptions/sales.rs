//! Exceptions of sales and tills: uses above a limit, totals that differ, cash that was not approved.

use jiff::Timestamp;
use tillstream_domain::money::{Currency, Money};

use super::opening::{of_sale, opened};
use crate::database::{Change, Table, Write};
use crate::pos::identity::derived_id;
use crate::tenancy::TenantScope;

/// Attribute of an exception that names a coupon.
pub(super) const COUPON: &str = "coupon_code";
/// Attribute of an exception that names a promotion.
pub(super) const PROMOTION: &str = "promotion_id";
/// Kind of the exception of a sale whose register asked another total.
pub(super) const TOTAL_DIFFERS: &str = "total_differs";
/// Kind of the exception of cash that was moved without the approval that it needed.
pub(super) const CASH_NOT_APPROVED: &str = "cash_not_approved";

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
    /// `shift_id` and the shift; `order_id` and the sale that was voided.
    pub of: (&'static str, &'a str),
    /// Name of the command that moved it: one movement.
    pub command: &'a str,
    /// What it is, as the wire names it.
    pub movement: &'static str,
    /// How much was moved; nothing where the drawer was opened only.
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

/// Opens the exception of uses above a limit: written in the transaction that makes their order final, and so once.
pub fn above_limit_write(scope: &TenantScope, given: &AboveLimit<'_>) -> Write {
    let (kind, named) = given.what;
    let id = derived_id("x", &["uses_above_limit", given.order_id, kind, named]);
    let mut changes = opened(scope, &id, "uses_above_limit", given.location_id, given.now);
    changes.extend([
        Change::Set(if kind == "coupon" { COUPON } else { PROMOTION }, named.into()),
        Change::Set("quantity", (i64::from(given.uses) * 1_000).into()),
        Change::Set("limit", i64::from(given.limit).into()),
    ]);
    changes.extend(of_sale(given.order_id, (given.register_id, given.employee_id), given.at));
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
    ]);
    changes.extend(of_sale(sale.order_id, (sale.register_id, sale.employee_id), sale.at));
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
