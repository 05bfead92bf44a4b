//! The reports on a shift as documents: what they are made from, and fetching one.
//!
//! An X report is as of now and looks as reports look now. A Z report is as of its closing: its figures never
//! change again, and it is made by the template that stood then by our clock, as a receipt is.

use futures::try_join;
use jiff::Timestamp;
use tillstream_contracts::till::ShiftState;
use tillstream_documents::{Denomination, DocumentData, Format, ShiftReport, Store, TenderTotal};
use tillstream_domain::lane::{Lane, LaneNumber};
use tillstream_domain::money::Money;
use tillstream_domain::till::{Denomination as Counted, LaneMark, Shift, TenderTotals};

use super::document_id::{DocumentId, report_of};
use super::order_document::clipped;
use super::read::{NO_SUCH_DOCUMENT, Rendered, is_late, not_found, rendered, store};
use super::template_store::Templates;
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::pos::till::read::{ShiftRead, in_reach};
use crate::pos::till::view::count;
use crate::tenancy::Caller;

/// The report on a shift, of which there is one at a time: the X report while it goes on, the Z report once
/// it is closed.
///
/// # Errors
/// 404 `document_not_found` also where the shift is out of the caller's reach, or has the other report; a bug
/// if the built-in template fails.
pub(super) async fn get(
    ports: &Ports,
    caller: &Caller,
    id: &DocumentId,
    format: Format,
    reprint: bool,
) -> Result<Rendered> {
    let read = in_reach(ports, caller, &id.owner_id).await?.ok_or_else(|| not_found(NO_SUCH_DOCUMENT))?;
    let ShiftRead { shift, lane, written_at } = read;
    let state = if shift.closing.is_some() { ShiftState::Closed } else { ShiftState::Open };
    let kind = report_of(state);
    if kind != id.kind {
        let there = DocumentId { owner_id: shift.id, kind };
        return Err(not_found(format!("the shift is {}: its report is {there}", state.name())).into());
    }
    let now = ports.environment.now();
    let since = match state {
        ShiftState::Open => now,
        ShiftState::Closed => written_at.ok_or_else(|| Error::bug("a shift tells when it was written"))?,
    };
    let templates = Templates { ports, scope: &caller.scope };
    let (template, store) =
        try_join!(templates.at(kind, format, since), store(ports, &caller.scope, &shift.store_id))?;
    let report = report(&shift, &lane.mark(), store, now, reprint || is_late(now, since));
    rendered(kind, format, &DocumentData::Shift(Box::new(report)), template.as_ref())
}

/// What the report of a shift is made from: of a closed one as of its closing, of an open one with its lane
/// at `lane` as of `now`. Figures are as the shift's answers tell them.
fn report(shift: &Shift, lane: &LaneMark, store: Store, now: Timestamp, reprint: bool) -> ShiftReport {
    let money = |amount| Money { amount, currency: shift.currency };
    let figures = shift.figures(lane);
    let totals = &figures.totals;
    let cash = totals.tender("cash");
    let closing = shift.closing.as_ref();
    let tender_total = |(tender, by): (&String, &TenderTotals)| TenderTotal {
        tender: tender.clone(),
        payments_count: count(by.payments),
        payments: money(by.paid),
        refunds_count: count(by.refunds),
        refunds: money(by.refunded),
    };
    let denomination = |kind: &Counted| Denomination {
        value: money(kind.value),
        count: kind.count.into(),
        amount: money(kind.amount()),
    };
    ShiftReport {
        reprint,
        store,
        register: shift.register_id.clone(),
        shift_id: shift.id.clone(),
        z_number: closing.map(|closing| closing.z_number),
        z_epoch: closing.map_or(0, |closing| closing.lane.epoch),
        at: closing.map_or(now, |closing| closing.at),
        opened_at: shift.opening.at,
        opened_by: clipped(&shift.opening.by),
        closed_at: closing.map(|closing| closing.at),
        closed_by: closing.map(|closing| clipped(&closing.by)),
        currency: shift.currency,
        opening_float: money(shift.opening.float),
        sales_count: count(totals.sales),
        sales_total: money(totals.sales_total),
        tenders: totals.tenders.iter().map(tender_total).collect(),
        returns_count: count(totals.returns),
        returns_total: money(totals.returns_total),
        tips: money(totals.tips),
        cash_rounding: money(totals.cash_rounding),
        paid_in: money(figures.paid_in.total),
        paid_out: money(figures.paid_out.total),
        no_sales_count: figures.no_sales,
        discounts: money(totals.discounts),
        tax: money(totals.tax),
        returns_tax: money(totals.returns_tax),
        cash_taken: money(cash.paid),
        cash_tips: money(totals.cash_tips),
        cash_refunds: money(cash.refunded),
        cash_expected: money(figures.expected),
        cash_counted: closing.map(|closing| money(closing.counted)),
        cash_difference: closing.map(|closing| money(closing.counted.saturating_sub(figures.expected))),
        denominations: closing.map_or_else(Vec::new, |c| c.denominations.iter().map(denomination).collect()),
        first_receipt: figures.ranges.first().map(|range| printed(range.epoch, range.first)),
        last_receipt: figures.ranges.last().map(|range| printed(range.epoch, range.last)),
    }
}

/// A receipt's number as receipts show it.
fn printed(epoch: u32, number: u64) -> String {
    LaneNumber { lane: Lane { epoch, ..Lane::new("", "") }, number }.printed()
}
