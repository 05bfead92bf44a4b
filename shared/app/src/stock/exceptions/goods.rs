//! Exceptions of goods: taken and not there, sold before they were counted, or not of the lot that was named.

use jiff::Timestamp;
use tillstream_contracts::lots::LotProblem;
use tillstream_domain::quantity::Unit;

use super::opening::{of_goods, of_sale, of_taker, opened};
use crate::database::{Change, Condition, Table, Write};
use crate::pos::identity::derived_id;
use crate::stock::counters::{COUNTED_AT, COUNTED_IN};
use crate::stock::taken_beyond::{Beyond, Taker};
use crate::tenancy::TenantScope;

/// Kind of the exception of goods that were taken off twice: by a count, and by a sale before it.
pub(super) const SOLD_BEFORE_COUNT: &str = "sold_before_count";

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
pub(in crate::stock) struct LotMismatch<'a> {
    /// Who took them.
    pub(in crate::stock) taker: Taker<'a>,
    /// Where.
    pub(in crate::stock) location_id: &'a str,
    /// What.
    pub(in crate::stock) sku: &'a str,
    /// How it is sold, where that is known.
    pub(in crate::stock) unit: Option<Unit>,
    /// Which lot was named.
    pub(in crate::stock) lot_id: &'a str,
    /// What is wrong with that.
    pub(in crate::stock) problem: LotProblem,
    /// Of how many, in thousandths.
    pub(in crate::stock) quantity: i64,
    /// Whether they are entered as of that lot in the same transaction: then it may happen more than once.
    pub(in crate::stock) is_entered: bool,
}

pub(super) const LOT_MISMATCH: &str = "lot_mismatch";

/// Attribute of an exception that names a lot.
pub(super) const LOT: &str = "lot_id";

/// Attribute of an exception that says what is wrong with a lot.
pub(super) const LOT_PROBLEM: &str = "lot_problem";

pub(super) const LOT_PROBLEMS: [(LotProblem, &str); 7] = [
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

/// Id of the exception of goods that an order, or a reservation, took and that were not there.
pub fn oversold_id(beyond: Beyond, reference: &str, sku: &str) -> String {
    derived_id("x", &[beyond.name(), reference, sku])
}

/// Opens the exception of goods that were taken and were not there, or adds to it: written in the transaction of the
/// movement that enters them.
pub fn oversold_write(scope: &TenantScope, sold: &Oversold<'_>) -> Write {
    let taker = &sold.taker;
    let id = oversold_id(taker.beyond, taker.reference, sold.sku);
    let mut changes = opened(scope, &id, taker.beyond.name(), sold.location_id, taker.now);
    changes.extend(of_goods(sold.sku, Some(sold.unit)));
    changes.extend([Change::Add("quantity", sold.quantity), Change::Set("number", sold.number.into())]);
    changes.extend(of_taker(taker));
    Write::Update { table: Table::Stock, key: scope.stock_exception(&id), changes, condition: None }
}

/// Id of the exception of goods that cannot be of their lot.
pub(in crate::stock) fn lot_mismatch_id(mismatch: &LotMismatch<'_>) -> String {
    let how = if mismatch.is_entered { "entered" } else { "told" };
    let (problem, reference) = (problem_name(mismatch.problem), mismatch.taker.reference);
    derived_id("x", &[LOT_MISMATCH, how, problem, reference, mismatch.sku, mismatch.lot_id])
}

/// Opens the exception of goods that cannot be of their lot. What is entered with it adds to it; else it is told
/// once, and the write is refused where it was.
pub(in crate::stock) fn lot_mismatch_write(scope: &TenantScope, mismatch: &LotMismatch<'_>) -> Write {
    let (taker, id) = (&mismatch.taker, lot_mismatch_id(mismatch));
    let mut changes = opened(scope, &id, LOT_MISMATCH, mismatch.location_id, taker.now);
    changes.extend(of_goods(mismatch.sku, mismatch.unit));
    changes.extend([
        Change::Add("quantity", mismatch.quantity),
        Change::Set(LOT, mismatch.lot_id.into()),
        Change::Set(LOT_PROBLEM, problem_name(mismatch.problem).into()),
    ]);
    changes.extend(of_taker(taker));
    let condition = (!mismatch.is_entered).then_some(Condition::NotExists);
    Write::Update { table: Table::Stock, key: scope.stock_exception(&id), changes, condition }
}

/// Opens the exception of goods that were sold before they were counted; written again it is the same.
pub fn sold_before_count_write(scope: &TenantScope, sold: &SoldBeforeCount<'_>) -> Write {
    let id = derived_id("x", &[SOLD_BEFORE_COUNT, sold.order_id, sold.sku]);
    let mut changes = opened(scope, &id, SOLD_BEFORE_COUNT, sold.location_id, sold.now);
    changes.extend(of_goods(sold.sku, Some(sold.unit)));
    changes.extend([
        Change::Set("quantity", sold.quantity.into()),
        Change::Set(COUNTED_AT, sold.counted_at.into()),
        Change::Set(COUNTED_IN, sold.counted_in.into()),
    ]);
    changes.extend(of_sale(sold.order_id, (sold.register_id, sold.employee_id), sold.at));
    Write::Update { table: Table::Stock, key: scope.stock_exception(&id), changes, condition: None }
}
