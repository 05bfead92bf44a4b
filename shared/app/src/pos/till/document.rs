//! A shift's report as a document: what its templates are filled from.

use jiff::Timestamp;
use tillstream_documents::{Denomination as CountedKind, ShiftReport, Store, TaxTotal, TenderTotal};
use tillstream_domain::lane::{Lane, LaneNumber};
use tillstream_domain::location::Location;
use tillstream_domain::money::Money;
use tillstream_domain::till::{LaneMark, Shift};

/// What the report of a shift is made from: the Z report of a closed one, of an open one the X report with
/// its lane at `lane` as of `now`. Figures are as the shift's answers tell them.
pub fn shift_report_document(
    shift: &Shift,
    location: &Location,
    lane: &LaneMark,
    now: Timestamp,
) -> ShiftReport {
    let currency = shift.currency;
    let money = |amount| Money { amount, currency };
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    let figures = shift.figures(lane);
    let totals = &figures.totals;
    let closing = shift.closing.as_ref();
    let tax = totals.tax.saturating_sub(totals.returns_tax);
    // The lane's totals know no rates. One entry of all tax, on what was sold less what came back.
    let base = totals.sales_total.saturating_sub(totals.returns_total).saturating_sub(tax);
    let taxes = match tax {
        0 => Vec::new(),
        _ => vec![TaxTotal {
            name: "Tax".to_owned(),
            rate_bps: 0,
            base: money(base),
            amount: money(tax),
            included: false,
        }],
    };
    let tenders = totals.tenders.iter().filter(|(_, by)| by.payments != 0);
    let denominations = closing.map_or(&[][..], |closing| &closing.denominations);
    ShiftReport {
        reprint: false,
        store: Store {
            id: location.id.clone(),
            name: location.name.clone(),
            address_lines: location
                .address
                .iter()
                .flat_map(|address| address.lines())
                .map(str::to_owned)
                .collect(),
            tax_id: None,
            time_zone: location.time_zone.clone(),
        },
        register: shift.register_id.clone(),
        shift_id: shift.id.clone(),
        z_number: closing.map(|closing| closing.z_number),
        z_epoch: closing.map_or(0, |closing| closing.lane.epoch),
        at: closing.map_or(now, |closing| closing.at),
        opened_at: shift.opening.at,
        opened_by: shift.opening.by.clone(),
        closed_at: closing.map(|closing| closing.at),
        closed_by: closing.map(|closing| closing.by.clone()),
        currency,
        opening_float: money(shift.opening.float),
        sales_count: count(totals.sales),
        sales_total: money(totals.sales_total),
        tenders: tenders
            .map(|(tender, by)| TenderTotal {
                tender: tender.clone(),
                count: count(by.payments),
                amount: money(by.paid),
            })
            .collect(),
        returns_count: count(totals.returns),
        returns_total: money(totals.returns_total),
        tips: money(totals.tips),
        cash_rounding: money(totals.cash_rounding),
        paid_in: money(figures.paid_in.total),
        paid_out: money(figures.paid_out.total),
        no_sales_count: figures.no_sales,
        discounts: money(totals.discounts),
        taxes,
        cash_expected: money(figures.expected),
        cash_counted: closing.map(|closing| money(closing.counted)),
        cash_difference: closing.map(|c| money(c.counted.saturating_sub(figures.expected))),
        denominations: denominations
            .iter()
            .map(|kind| CountedKind {
                value: money(kind.value),
                count: kind.count.into(),
                amount: money(kind.amount()),
            })
            .collect(),
        first_receipt: figures.ranges.first().map(|range| printed(range.epoch, range.first)),
        last_receipt: figures.ranges.last().map(|range| printed(range.epoch, range.last)),
    }
}

/// A receipt's number as receipts show it.
fn printed(epoch: u32, number: u64) -> String {
    LaneNumber { lane: Lane { epoch, ..Lane::new("", "") }, number }.printed()
}
