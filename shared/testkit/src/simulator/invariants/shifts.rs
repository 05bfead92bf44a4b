//! Shifts: what a Z report says is what the orders of its receipts and the movements of its drawer come to,
//! and no receipt is of two.

use std::collections::BTreeMap;

use tillstream_app::database::Table;
use tillstream_app::dispatch::listing::list;
use tillstream_app::pos::till::proof;
use tillstream_app::tenancy::Caller;
use tillstream_contracts::dispatch::DeliveryFilter;

use super::super::books::{Books, Order, Shift, ZReport};
use super::super::world::{Tenant, World};
use super::at_hq::is_given_up;
use super::at_rest::{Checked, broken, ports};

/// Orders of a register by epoch and number.
type Orders<'a> = BTreeMap<(u32, u64), &'a Order>;

const SUM: &str = "a Z report is the sum of the orders of its receipts";

/// All of it.
pub async fn check(world: &World, books: &Books, tenant: &Tenant, caller: &Caller) -> Checked {
    let mine: Vec<(&String, &Shift)> = books
        .shifts
        .iter()
        .filter(|((of, _), _)| *of == tenant.id)
        .map(|((_, id), shift)| (id, shift))
        .collect();
    stored(world, tenant, &mine)?;
    let mut lanes = BTreeMap::<String, Vec<(&String, &Shift)>>::new();
    for (id, shift) in mine {
        lanes.entry(format!("{}/{}", shift.store, shift.register)).or_default().push((id, shift));
    }
    for (lane, shifts) in &lanes {
        let is_here = |order: &Order| format!("{}/{}", order.store, order.register().0) == *lane;
        let orders: Orders<'_> = books
            .orders
            .iter()
            .filter(|((of, _), order)| *of == tenant.id && is_here(order))
            .map(|(_, order)| ((order.register().1, order.number), order))
            .collect();
        of_register(lane, shifts, &orders)?;
    }
    for (id, _) in lanes.values().flatten() {
        let proved = proof::of_shift(&ports(world), caller, id).await.map_err(broken)?;
        world.note_use("GET /v1/shifts/{id}/proof");
        if !proved.proved {
            return Err((SUM, format!("{}: {proved:?}", tenant.id)));
        }
    }
    at_hq(world, tenant, caller, &lanes).await
}

/// What stands in the table is what the clients opened and closed, and of a register one is open at most.
fn stored(world: &World, tenant: &Tenant, known: &[(&String, &Shift)]) -> Checked {
    let mut open = BTreeMap::new();
    let mut count = 0;
    for item in world.memory.items(Table::Orders) {
        if item.opt_text("kind") != Some("shift") || item.opt_text("tenant_id") != Some(&tenant.id) {
            continue;
        }
        count += 1;
        let id = item.opt_text("shift_id").unwrap_or_default().to_owned();
        let is_open = item.opt_text("status") == Some("open");
        let known = known.iter().find(|(known, _)| **known == id);
        if known.is_none_or(|(_, shift)| shift.z.is_none() != is_open) {
            let seen = format!("{}: {id} is open: {is_open}, {known:?}", tenant.id);
            return Err(("a shift is what its commands made of it", seen));
        }
        let of = |name: &str| item.opt_text(name).unwrap_or_default().to_owned();
        if is_open && let Some(other) = open.insert((of("store_id"), of("register_id")), id.clone()) {
            return Err(("one shift of a register is open", format!("{}: {other} and {id}", tenant.id)));
        }
    }
    if count != known.len() {
        let seen = format!("{}: {count} of {} shifts are there", tenant.id, known.len());
        return Err(("a shift is what its commands made of it", seen));
    }
    Ok(())
}

fn of_register(lane: &str, shifts: &[(&String, &Shift)], orders: &Orders<'_>) -> Checked {
    let mut closed: Vec<(&ZReport, &Shift)> =
        shifts.iter().filter_map(|(_, shift)| Some((shift.z.as_ref()?, *shift))).collect();
    closed.sort_by_key(|(z, _)| z.number);
    let mut next = BTreeMap::<u32, u64>::new();
    for (z, _) in &closed {
        let next = next.entry(z.number.0).or_insert(1);
        if z.number.1 != *next {
            let numbers: Vec<(u32, u64)> = closed.iter().map(|(z, _)| z.number).collect();
            return Err(("Z reports of a register are numbered 1 to n", format!("{lane}: {numbers:?}")));
        }
        *next += 1;
    }
    let mut last = (0, 0);
    let mut covered = Vec::new();
    for (z, shift) in &closed {
        report(lane, z, shift, orders)?;
        for (epoch, first, through) in &z.receipts {
            if (*epoch, *first) <= last {
                return Err(("a receipt is of one shift", format!("{lane}: {first} after {last:?}: {z:?}")));
            }
            last = (*epoch, *through);
            covered.push((*epoch, *first)..=last);
        }
    }
    // What was sold after the last of them is of the shift that is open; before it, of none where none was needed.
    let is_open = closed.len() < shifts.len();
    for (number, order) in orders {
        let needs_shift = order.stood.iter().all(|settings| settings.needs_shift);
        let is_of_one = covered.iter().any(|range| range.contains(number)) || (is_open && *number > last);
        if needs_shift && !is_of_one {
            return Err(("a receipt is of one shift", format!("{lane}: {number:?} is of none")));
        }
    }
    Ok(())
}

/// The figures of a report, worked out from the clients' orders.
fn report(lane: &str, z: &ZReport, shift: &Shift, orders: &Orders<'_>) -> Checked {
    let mut is = ZReport { expected: shift.float + shift.moved, ..ZReport::default() };
    let numbers =
        z.receipts.iter().flat_map(|(epoch, first, last)| (*first..=*last).map(|one| (*epoch, one)));
    for number in numbers {
        let Some(order) = orders.get(&number) else {
            return Err((SUM, format!("{lane}:{number:?} is in {z:?} and was never sold")));
        };
        let tips: i64 = order.payments.iter().map(|paid| paid.tip).sum();
        let in_cash = order.payments.iter().filter(|paid| paid.tender == "cash");
        let cash: i64 = in_cash.map(|paid| paid.amount + paid.tip).sum();
        if order.is_return {
            is.returns = (is.returns.0 + 1, is.returns.1 + order.total());
            is.tax.1 += order.tax();
            is.tips -= tips;
            is.expected -= cash;
        } else {
            is.sales = (is.sales.0 + 1, is.sales.1 + order.total());
            is.discounts += order.off();
            is.tax.0 += order.tax();
            is.tips += tips;
            is.expected += cash;
        }
    }
    is.receipts.clone_from(&z.receipts);
    (is.number, is.counted, is.told) = (z.number, z.counted, z.counted);
    if is == *z { Ok(()) } else { Err((SUM, format!("{lane}: {z:?}, not {is:?}"))) }
}

/// HQ was told of each once it was closed, once.
async fn at_hq(
    world: &World,
    tenant: &Tenant,
    caller: &Caller,
    lanes: &BTreeMap<String, Vec<(&String, &Shift)>>,
) -> Checked {
    let mut told = BTreeMap::<String, usize>::new();
    for message in world.hq.accepted_shifts() {
        if message.tenant_id == tenant.id {
            *told.entry(message.shift.id).or_default() += 1;
        }
    }
    for (id, shift) in lanes.values().flatten() {
        match (told.get(*id).copied().unwrap_or(0), shift.z.is_some()) {
            (0, false) | (1, true) => {}
            // It was closed before, and a restore opened it again.
            (1, false) if world.restores.may_miss(&tenant.id, &format!("~{id}")) => {}
            (0, true) => {
                let filter = DeliveryFilter { order_id: Some(format!("~{id}")), ..DeliveryFilter::default() };
                let page = list(&ports(world), caller, filter).await.map_err(broken)?;
                if !page.items.iter().any(|delivery| is_given_up(world, &tenant.id, delivery)) {
                    let seen = format!("{} {id}: {:?}", tenant.id, page.items);
                    return Err(("every closed shift is accepted by HQ, or a dead letter", seen));
                }
            }
            (times, _) => {
                let seen = format!("{} {id}: {times} times, {shift:?}", tenant.id);
                return Err(("HQ is told once of a shift that is closed", seen));
            }
        }
    }
    Ok(())
}
