//! Transfers: each says what was shipped and what became of it, line by line, and where it stands.

use std::collections::BTreeMap;

use tillstream_app::database::Table;
use tillstream_app::stock::transfers::get;
use tillstream_app::tenancy::Caller;
use tillstream_contracts::transfers::{Transfer as Shown, TransferStatusView};
use tillstream_domain::quantity::QuantityInput;

use super::super::books::{Books, Transfer};
use super::super::world::{Tenant, World};
use super::at_rest::{Checked, broken, ports, unit_of};

const IS: &str = "a transfer is what its steps made of it";

/// Of one SKU: shipped, received, damaged, back, and on its way.
type Lines = BTreeMap<String, [i64; 5]>;

/// All of it.
pub async fn check(world: &World, books: &Books, tenant: &Tenant, caller: &Caller) -> Checked {
    let known: BTreeMap<&String, &Transfer> = books
        .transfers
        .iter()
        .filter(|((of, _), _)| *of == tenant.id)
        .map(|((_, id), transfer)| (id, transfer))
        .collect();
    for (id, transfer) in &known {
        let shown = get(&ports(world), caller, id).await.map_err(broken)?;
        let mut steps: Vec<&str> = shown.steps.iter().map(|step| step.action.as_str()).collect();
        let mut taken = transfer.steps.clone();
        steps.sort_unstable();
        taken.sort_unstable();
        let is = (
            &shown.from_location_id,
            &shown.to_location_id,
            shown.status,
            lines_shown(tenant, &shown),
            steps,
        );
        let expected = (&transfer.from, &transfer.to, status_of(transfer), lines_of(transfer), taken);
        if is != expected {
            return Err((IS, format!("{} {id}: {is:?}, not {expected:?}", tenant.id)));
        }
    }
    let items = world.memory.items(Table::Stock);
    let stored = items.iter().filter(|item| {
        item.opt_text("sk") == Some("transfer") && item.opt_text("tenant_id") == Some(&tenant.id)
    });
    let unknown: Vec<_> = stored
        .filter_map(|item| item.opt_text("transfer_id"))
        .filter(|id| !known.keys().any(|known| known == id))
        .collect();
    if unknown.is_empty() { Ok(()) } else { Err((IS, format!("{}: nobody shipped {unknown:?}", tenant.id))) }
}

fn lines_of(transfer: &Transfer) -> Lines {
    let of = |(sku, shipped): (&String, &i64)| {
        let (fit, damaged, back) = transfer.settled.get(sku).copied().unwrap_or_default();
        let left = transfer.outstanding.get(sku).copied().unwrap_or(0);
        (sku.clone(), [*shipped, fit, damaged, back, left])
    };
    transfer.shipped.iter().map(of).collect()
}

fn lines_shown(tenant: &Tenant, shown: &Shown) -> Lines {
    let lines = shown.lines.iter().map(|line| {
        let of = |quantity: &QuantityInput| {
            quantity.resolve(unit_of(tenant, &line.sku)).map_or(i64::MIN, |quantity| quantity.thousandths())
        };
        let all = [&line.shipped, &line.received, &line.damaged, &line.returned, &line.outstanding];
        (line.sku.clone(), all.map(of))
    });
    lines.collect()
}

/// Where it stands by what was done to it.
fn status_of(transfer: &Transfer) -> TransferStatusView {
    let was = |action: &str| transfer.steps.contains(&action);
    match transfer.outstanding.is_empty() {
        false if transfer.settled.is_empty() => TransferStatusView::InTransit,
        false => TransferStatusView::PartlyReceived,
        true if was("cancel") => TransferStatusView::Cancelled,
        true if was("receive") => TransferStatusView::Received,
        true => TransferStatusView::Rejected,
    }
}
