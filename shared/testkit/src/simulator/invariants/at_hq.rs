//! What HQ was told of orders, and how often of anything.

use std::collections::{BTreeMap, BTreeSet};

use tillstream_app::dispatch::dispatcher::Policy;
use tillstream_app::dispatch::listing::list;
use tillstream_app::tenancy::{Caller, Role};
use tillstream_contracts::dispatch::{DeliveryFilter, DeliveryStatus, DeliveryView};
use tillstream_contracts::hq::{HqEvent, HqOrderMessage, HqPayment};
use tillstream_domain::quantity::QuantityInput;

use super::super::books::{Books, Of, Order};
use super::super::world::{Tenant, World};
use super::at_rest::{Checked, broken, ports, unit_of};
use crate::shop::caller;

/// HQ accepted every order once, or refuses it.
pub async fn check(world: &World, books: &Books) -> Checked {
    let accepted: BTreeMap<_, _> = world
        .hq
        .accepted()
        .into_iter()
        .map(|order| ((order.tenant_id.clone(), order.order_id.clone()), order))
        .collect();
    let lost = world.restores.lost.borrow().clone();
    // As the clients know it, and as it was when a restore lost it.
    let known_of = |id: &Of<String>| -> Vec<&Order> {
        let before = lost.iter().filter(|(key, _)| key == id).map(|(_, order)| order);
        books.orders.get(id).into_iter().chain(before).collect()
    };
    for (id, order) in &accepted {
        if known_of(id).is_empty() {
            return Err(("nothing uncommitted is ever sent", format!("{order:?}")));
        }
        let mut versions = order.versions.clone();
        versions.sort_unstable();
        versions.dedup();
        if versions.len() != order.versions.len() {
            return Err(("HQ accepts a version of an order once", format!("{order:?}")));
        }
        let tenant = world.tenants.iter().find(|tenant| tenant.id == id.0);
        if let (Some(told), Some(tenant)) = (&order.last, tenant) {
            let known = known_of(id);
            if !known.iter().any(|known| is_told_as_it_is(tenant, told, known)) {
                return Err(("HQ is told what was sold", format!("{told:?}, not {known:?}")));
            }
        }
    }
    for ((tenant, id), order) in &books.orders {
        let told = accepted.get(&(tenant.clone(), id.clone())).map_or(&[][..], |told| &told.versions);
        let all = 1..=u32::try_from(order.statuses.len()).unwrap_or(u32::MAX);
        let of_lost = known_of(&(tenant.clone(), id.clone())).iter().map(|known| known.statuses.len()).max();
        let ever = 1..=of_lost.and_then(|ever| u32::try_from(ever).ok()).unwrap_or(u32::MAX);
        if let Some(beyond) = told.iter().find(|version| !ever.contains(version)) {
            return Err(("nothing uncommitted is ever sent", format!("{tenant} {id}: version {beyond}")));
        }
        let missing: Vec<u32> = all.filter(|version| !told.contains(version)).collect();
        if missing.is_empty() {
            continue;
        }
        // What HQ will not have is a dead letter, with the reason; and nothing else is.
        let caller = caller(tenant, &[Role::Operator]);
        let filter = DeliveryFilter { order_id: Some(id.clone()), ..DeliveryFilter::default() };
        let page = list(&ports(world), &caller, filter).await.map_err(broken)?;
        let dead = page.items.iter().filter(|delivery| {
            is_given_up(world, tenant, delivery)
                && (books.ever_refused.contains(id)
                    || is_suspected(delivery.suspected_failures)
                    || world.restores.may_miss(tenant, id))
        });
        if dead.count() < missing.len() {
            let seen = format!("{tenant} {id}: {missing:?} of {:?}: {:?}", order.statuses, page.items);
            return Err(("every version of an order is accepted by HQ, or a dead letter", seen));
        }
    }
    Ok(())
}

/// Whether HQ is told no more of it: it is a dead letter, or an administrator gave it up.
pub(super) fn is_given_up(world: &World, tenant: &str, delivery: &DeliveryView) -> bool {
    match delivery.status {
        DeliveryStatus::Dead => true,
        DeliveryStatus::Discarded => {
            let name = (tenant.to_owned(), delivery.id.clone());
            world.books.borrow().given_up.contains(&name)
        }
        _ => false,
    }
}

/// What HQ was to be told of something that is no order.
pub(super) struct Told {
    /// What stands for it.
    pub subject: String,
    /// What HQ accepted of it.
    pub accepted: Vec<u32>,
    /// How often something was to be told: 1 to this.
    pub count: u32,
    /// The invariant that each is accepted once.
    pub once: &'static str,
    /// The one that each is accepted.
    pub all: &'static str,
}

/// Each was told once, or is a dead letter, which only what HQ failed on again and again is.
pub(super) async fn each_told(world: &World, caller: &Caller, told: Told) -> Checked {
    let versions: BTreeSet<u32> = told.accepted.iter().copied().collect();
    let name = || format!("{} {}", caller.scope.tenant_id(), told.subject);
    let is_beyond = versions.iter().any(|version| !(1..=told.count).contains(version));
    if is_beyond || versions.len() != told.accepted.len() {
        return Err((told.once, format!("{}: {:?} of {}", name(), told.accepted, told.count)));
    }
    let missing: Vec<u32> = (1..=told.count).filter(|version| !versions.contains(version)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let filter = DeliveryFilter { order_id: Some(told.subject.clone()), ..DeliveryFilter::default() };
    let page = list(&ports(world), caller, filter).await.map_err(broken)?;
    let tenant = caller.scope.tenant_id();
    let dead = page.items.iter().filter(|delivery| is_given_up(world, tenant, delivery)).count();
    if dead < missing.len() {
        let seen = format!("{}: {missing:?} of {}: {:?}", name(), told.count, page.items);
        return Err((told.all, seen));
    }
    Ok(())
}

/// Whether what HQ was told of an order is the order.
fn is_told_as_it_is(tenant: &Tenant, told: &HqOrderMessage, known: &Order) -> bool {
    let quantity = |sku: &str, quantity: &QuantityInput| {
        quantity.resolve(unit_of(tenant, sku)).map_or(0, |quantity| quantity.thousandths())
    };
    let lines: Vec<_> = told
        .lines
        .iter()
        .map(|line| {
            let quantity = quantity(&line.sku, &line.quantity);
            let off: i64 = line.discounts.iter().map(|given| given.amount.amount).sum();
            let tax: i64 = line.taxes.iter().map(|tax| tax.amount.amount).sum();
            (line.sku.as_str(), quantity, line.unit_price.ten_thousandths(), line.gross.amount, off, tax)
        })
        .collect();
    let known_lines: Vec<_> = known
        .lines
        .iter()
        .map(|line| (line.sku.as_str(), line.quantity, line.price, line.worth, line.shown_off, line.tax))
        .collect();
    let kept =
        |paid: &HqPayment| (paid.tender.clone(), paid.amount.amount - paid.change.amount, paid.tip.amount);
    let mut payments: Vec<_> = told.payments.iter().map(kept).collect();
    let mut known_payments: Vec<_> =
        known.payments.iter().map(|paid| (paid.tender.to_owned(), paid.amount, paid.tip)).collect();
    payments.sort();
    known_payments.sort();
    let is_return = matches!(told.event, HqEvent::ReturnCompleted | HqEvent::ReturnChanged);
    let head =
        (told.lane.as_str(), told.receipt_number, told.business_day, told.totals.total.amount, is_return);
    let known_head = (known.lane.as_str(), known.number, known.day, known.total(), known.is_return);
    (lines, payments, head) == (known_lines, known_payments, known_head)
        && told.employee_id == known.employee
        && usize::try_from(told.order_version)
            .ok()
            .and_then(|version| known.statuses.get(version.checked_sub(1)?))
            .is_some_and(|status| *status == told.status)
        && told.totals.cash_rounding.as_ref().map_or(0, |money| money.amount) == known.rounding
        && told.totals.total.currency.to_string() == "GBP"
}

/// HQ failed on it again and again while it was well to others, which puts it aside.
fn is_suspected(failures: u32) -> bool {
    failures >= Policy::default().suspected_max
}
