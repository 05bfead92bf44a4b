//! Drawers: what is to be in one is its float, what events of sales and returns say that was paid in cash and given back,
//! and what was put in and taken out beside them; of shifts that are closed, and of those that go on.

use std::collections::BTreeMap;

use tillstream_app::pos::till::read;
use tillstream_app::tenancy::Caller;
use tillstream_contracts::events::{FactKind, SaleEvent};
use tillstream_contracts::till::ShiftReportView;

use super::super::books::{Books, Of};
use super::super::world::{Tenant, World};
use super::at_rest::{Checked, broken, ports};

const DRAWER: &str = "what is to be in a drawer is what events and movements left there";
const SAME: &str = "a number that is told again is told as it was";

/// What came into a drawer, in minor units, by epoch and number; by tenant, store and register.
pub type Cash = BTreeMap<Of<(String, String)>, BTreeMap<(u32, u64), i64>>;

/// What all events of the sales stream say of cash, each number once.
pub fn cash_of_events(world: &World) -> Result<Cash, (&'static str, String)> {
    let mut cash = Cash::new();
    for record in world.stream.all() {
        world.tenancy.sent(&record.data);
        let event: SaleEvent = serde_json::from_slice(&record.data).map_err(broken)?;
        let payments = event.detail.iter().flat_map(|detail| &detail.payments);
        let in_cash = payments.filter(|payment| payment.tender == "cash");
        let moved: i64 = in_cash.map(|payment| payment.amount + payment.tip).sum();
        let moved = match event.kind {
            FactKind::Sale => moved,
            FactKind::Return => -moved,
        };
        let place = (event.lane.store_id.clone(), event.lane.register_id.clone());
        let drawer = cash.entry((event.tenant_id.clone(), place)).or_default();
        let before = drawer.insert((event.lane.epoch, event.number), moved);
        if before.is_some_and(|before| before != moved) {
            return Err((SAME, format!("{before:?}, then {event:?}")));
        }
    }
    Ok(cash)
}

/// The numbers of a report: epoch, first and last.
fn ranges_of(report: &ShiftReportView) -> Vec<(u32, u64, u64)> {
    let ranges = report.receipts.iter().map(|range| (range.epoch, range.first, range.last));
    let mut ranges: Vec<_> = ranges.collect();
    if ranges.is_empty() {
        // Before any restore there is one epoch.
        ranges.extend(report.first_receipt.zip(report.last_receipt).map(|(first, last)| (0, first, last)));
    }
    ranges
}

/// All of it.
pub async fn check(world: &World, books: &Books, tenant: &Tenant, caller: &Caller, cash: &Cash) -> Checked {
    let mine = books.shifts.iter().filter(|((of, _), _)| *of == tenant.id);
    let nothing = BTreeMap::new();
    for ((_, id), shift) in mine {
        let (view, _) = read::get(&ports(world), caller, id).await.map_err(broken)?;
        let Some(report) = &view.report else {
            return Err((DRAWER, format!("{}: {id} has no report: {view:?}", tenant.id)));
        };
        let drawer = (tenant.id.clone(), (shift.store.clone(), shift.register.clone()));
        let told = cash.get(&drawer).unwrap_or(&nothing);
        let mut is = shift.float + shift.moved;
        for (epoch, first, last) in ranges_of(report) {
            for number in first..=last {
                let Some(moved) = told.get(&(epoch, number)) else {
                    let seen = format!("{drawer:?} {id}: no event tells of {number} of epoch {epoch}");
                    return Err((DRAWER, seen));
                };
                is += moved;
            }
        }
        if report.cash_expected.amount != is {
            let state = if shift.z.is_some() { "closed" } else { "open" };
            let seen = format!("{drawer:?}: {id}, {state}: {is}, not {report:?}");
            return Err((DRAWER, seen));
        }
    }
    Ok(())
}
