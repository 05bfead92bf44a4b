//! Shifts as clients see them.

use jiff::Timestamp;
use tillstream_contracts::till::{
    DenominationInput, ReceiptRangeView, ShiftReportView, ShiftState, ShiftView, TenderFiguresView,
    TillMovementView,
};
use tillstream_domain::money::{Currency, Money};
use tillstream_domain::till::{Denomination, LaneMark, Movement, MovementKind, ReceiptRange, Shift};

/// A count of what was counted up: never below zero.
pub(crate) fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn denominations(kinds: &[Denomination], currency: Currency) -> Vec<DenominationInput> {
    kinds
        .iter()
        .map(|kind| DenominationInput { value: Money { amount: kind.value, currency }, count: kind.count })
        .collect()
}

/// A shift without movements and report: what a list shows of one that goes on.
pub fn headline(shift: &Shift) -> ShiftView {
    let money = |amount| Money { amount, currency: shift.currency };
    let closing = shift.closing.as_ref();
    ShiftView {
        id: shift.id.clone(),
        state: if closing.is_some() { ShiftState::Closed } else { ShiftState::Open },
        store_id: shift.store_id.clone(),
        register_id: shift.register_id.clone(),
        business_day: shift.opening.business_day,
        opened_at: shift.opening.at,
        opened_by: shift.opening.by.clone(),
        opening_float: money(shift.opening.float),
        closed_at: closing.map(|closing| closing.at),
        closed_by: closing.map(|closing| closing.by.clone()),
        z_number: closing.map(|closing| closing.z_number),
        z_epoch: closing.map(|closing| closing.lane.epoch).filter(|epoch| *epoch > 0),
        closing_reason: closing.and_then(|closing| closing.reason.clone()),
        cash_expected: closing.map(|closing| money(shift.expected(&closing.lane))),
        movements: None,
        report: closing.map(|closing| report(shift, &closing.lane, closing.at)),
    }
}

/// A shift right after a command: with its movements, and once it is closed with its Z report.
pub fn after_command(shift: &Shift) -> ShiftView {
    let money = |amount| Money { amount, currency: shift.currency };
    let movements = (1_usize..).zip(&shift.movements).map(|(n, movement)| movement_view(shift, n, movement));
    ShiftView {
        cash_expected: Some(money(shift.last_expected())),
        movements: Some(movements.collect()),
        ..headline(shift)
    }
}

/// A closed shift with everything about it; nothing for one that goes on.
pub fn closed_shift(shift: &Shift) -> Option<ShiftView> {
    shift.closing.as_ref().map(|_| after_command(shift))
}

/// A shift with everything about it: an open one with its figures as the lane stands at `now`.
pub fn full(shift: &Shift, lane: &LaneMark, now: Timestamp) -> ShiftView {
    let report = match &shift.closing {
        Some(closing) => report(shift, &closing.lane, closing.at),
        None => report(shift, lane, now),
    };
    ShiftView { cash_expected: Some(report.cash_expected), report: Some(report), ..after_command(shift) }
}

fn movement_view(shift: &Shift, number: usize, movement: &Movement) -> TillMovementView {
    let currency = shift.currency;
    let money = |amount| Money { amount, currency };
    let counts = movement.kind == MovementKind::CashCount;
    TillMovementView {
        movement_id: format!("m-{number}"),
        kind: movement.kind.name().to_owned(),
        amount: (movement.kind != MovementKind::NoSale).then(|| money(movement.amount)),
        cash_expected: money(movement.expected),
        difference: counts.then(|| money(movement.amount.saturating_sub(movement.expected))),
        denominations: denominations(&movement.denominations, currency),
        reason: movement.reason.clone(),
        approval_id: movement.approval_id.clone(),
        at: movement.at,
        by: movement.by.clone(),
    }
}

/// Receipt numbers by epoch; nothing where no restore raised it, so that what was told before reads the same.
pub(super) fn receipt_ranges(ranges: &[ReceiptRange]) -> Vec<ReceiptRangeView> {
    if ranges.iter().all(|range| range.epoch == 0) {
        return Vec::new();
    }
    let view =
        |range: &ReceiptRange| ReceiptRangeView { epoch: range.epoch, first: range.first, last: range.last };
    ranges.iter().map(view).collect()
}

/// The figures of a shift, its lane being at `lane`.
fn report(shift: &Shift, lane: &LaneMark, as_of: Timestamp) -> ShiftReportView {
    let currency = shift.currency;
    let money = |amount| Money { amount, currency };
    let figures = shift.figures(lane);
    let closing = shift.closing.as_ref();
    let counted = closing.map(|closing| closing.counted);
    let tenders = figures.totals.tenders.iter().map(|(tender, by)| TenderFiguresView {
        tender: tender.clone(),
        payments_count: count(by.payments),
        payments: money(by.paid),
        refunds_count: count(by.refunds),
        refunds: money(by.refunded),
    });
    ShiftReportView {
        as_of,
        first_receipt: figures.receipts.map(|(first, _)| first),
        last_receipt: figures.receipts.map(|(_, last)| last),
        receipts: receipt_ranges(&figures.ranges),
        sales_count: count(figures.totals.sales),
        sales_total: money(figures.totals.sales_total),
        returns_count: count(figures.totals.returns),
        returns_total: money(figures.totals.returns_total),
        tenders: tenders.collect(),
        discounts: money(figures.totals.discounts),
        tax: money(figures.totals.tax),
        returns_tax: money(figures.totals.returns_tax),
        tips: money(figures.totals.tips),
        cash_tips: money(figures.totals.cash_tips),
        cash_rounding: (figures.totals.cash_rounding != 0).then(|| money(figures.totals.cash_rounding)),
        paid_in_count: figures.paid_in.count,
        paid_in: money(figures.paid_in.total),
        paid_out_count: figures.paid_out.count,
        paid_out: money(figures.paid_out.total),
        no_sale_count: figures.no_sales,
        cash_expected: money(figures.expected),
        cash_counted: counted.map(money),
        cash_difference: counted.map(|counted| money(counted.saturating_sub(figures.expected))),
        denominations: closing.map_or_else(Vec::new, |c| denominations(&c.denominations, currency)),
    }
}
