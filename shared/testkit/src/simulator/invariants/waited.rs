//! Backorders at rest: nobody waits or is held for any more, each ended as what was done to it says, and HQ was told of
//! each step once.

use tillstream_app::database::Table;
use tillstream_app::dispatch::subject;
use tillstream_app::stock::backorders::StoredBackorder;
use tillstream_app::tenancy::Caller;
use tillstream_contracts::backorders::{Backorder, BackorderStatus};

use super::super::books::Books;
use super::super::supply_books::{Waited, of_tenant};
use super::super::world::{Tenant, World};
use super::at_hq::{Told, each_told};
use super::at_rest::{Checked, broken, unit_of};

/// All of it.
pub async fn check(world: &World, books: &Books, tenant: &Tenant, caller: &Caller) -> Checked {
    let mut known = of_tenant(&books.supply.backorders, &tenant.id).collect::<Vec<_>>();
    let items = world.memory.items(Table::Stock);
    let stored = items.iter().filter(|item| {
        item.opt_text("sk") == Some("backorder") && item.opt_text("tenant_id") == Some(&tenant.id)
    });
    for item in stored {
        // As it is stored: whoever asks for one brings it to where it stands first.
        let stored = StoredBackorder::of(item).map_err(broken)?;
        let at = known.iter().position(|(id, _)| **id == stored.id);
        let Some((id, waited)) = at.map(|at| known.swap_remove(at)) else {
            return Err(("who waits asked for it", format!("{} {}", tenant.id, stored.id)));
        };
        let seen = || format!("{} {id}: {:?}, {waited:?}", tenant.id, stored.shown());
        if !stored.state.is_over() {
            return Err(("nobody waits for ever", seen()));
        }
        if !ended_so(tenant, &stored.shown(), waited) {
            return Err(("a backorder ends as what was done to it says", seen()));
        }
        told(world, tenant, caller, (id.as_str(), stored.told)).await?;
    }
    match known.first() {
        Some(lost) => Err(("who waits is in a queue", format!("{} {lost:?}", tenant.id))),
        None => Ok(()),
    }
}

fn ended_so(tenant: &Tenant, shown: &Backorder, waited: &Waited) -> bool {
    let status = match waited {
        Waited { is_cancelled: true, .. } => BackorderStatus::Cancelled,
        Waited { sold, quantity, .. } if sold == quantity => BackorderStatus::Fulfilled,
        _ => BackorderStatus::Expired,
    };
    let sold = shown.fulfilled.resolve(unit_of(tenant, &waited.sku)).map(|sold| sold.thousandths());
    let head = (&shown.location_id, &shown.sku, shown.number, shown.status);
    sold.ok() == Some(waited.sold) && head == (&waited.location, &waited.sku, waited.number, status)
}

/// Each step was told once, or is a dead letter.
async fn told(world: &World, tenant: &Tenant, caller: &Caller, (id, steps): (&str, u32)) -> Checked {
    let accepted = world.hq.accepted_backorders();
    let mine = accepted
        .iter()
        .filter(|message| message.tenant_id == tenant.id && message.backorder.backorder_id == id);
    let told = Told {
        subject: subject::of_backorder(id),
        accepted: mine.map(|message| message.event_version).collect(),
        count: steps,
        once: "HQ accepts a step of a backorder once",
        all: "every step of a backorder is accepted by HQ, or a dead letter",
    };
    each_told(world, caller, told).await
}
