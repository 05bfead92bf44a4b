//! Goods that come: of each purchase order what its steps say is what movements brought and what the clients know, once;
//! what is incoming is what is open of purchase orders; a delivery without an order is taken in once.

use std::collections::BTreeMap;

use tillstream_app::catalog::suppliers;
use tillstream_app::database::{Item, Table};
use tillstream_app::stock::purchases::{get, list};
use tillstream_app::stock::read::one;
use tillstream_app::tenancy::Caller;
use tillstream_contracts::purchase_orders::{
    PurchaseOrder, PurchaseOrderQuery, PurchaseState, PurchaseStatusView,
};
use tillstream_domain::quantity::QuantityInput;

use super::super::books::Books;
use super::super::supply_books::{Purchase, PurchaseLine, of_tenant};
use super::super::world::{Tenant, World};
use super::at_rest::{Checked, broken, ports, unit_of};
use super::stock_watch::{Moved, StockWatch, Where};

const IS: &str = "a purchase order is what its steps made of it";
const ONCE: &str = "what arrives of a purchase order arrives in the stock, once";

/// All of it.
pub async fn check(world: &World, books: &Books, tenant: &Tenant, caller: &Caller) -> Checked {
    for (id, purchase) in of_tenant(&books.supply.purchases, &tenant.id) {
        let shown = get(&ports(world), caller, id).await.map_err(broken)?;
        is_as_known(tenant, &shown, purchase).map_err(|seen| (IS, format!("{} {id}: {seen}", tenant.id)))?;
        has_moved(world, tenant, id, purchase)?;
    }
    nothing_else(world, books, tenant)?;
    restocked(world, books, tenant)?;
    incoming(world, books, tenant, caller).await?;
    listed(world, books, tenant, caller).await?;
    known_suppliers(world, books, tenant, caller).await
}

fn thousandths(tenant: &Tenant, sku: &str, quantity: &QuantityInput) -> i64 {
    quantity.resolve(unit_of(tenant, sku)).map_or(i64::MIN, |quantity| quantity.thousandths())
}

fn status_of(purchase: &Purchase) -> PurchaseStatusView {
    let was = |action: &str| purchase.steps.contains(&action);
    match (purchase.is_open(), was("receive")) {
        (true, false) => PurchaseStatusView::Ordered,
        (true, true) => PurchaseStatusView::PartlyReceived,
        (false, _) if was("cancel") => PurchaseStatusView::Cancelled,
        (false, _) if was("close") => PurchaseStatusView::Closed,
        (false, _) => PurchaseStatusView::Received,
    }
}

fn is_as_known(tenant: &Tenant, shown: &PurchaseOrder, known: &Purchase) -> Result<(), String> {
    let lines: BTreeMap<String, PurchaseLine> = shown
        .lines
        .iter()
        .map(|line| {
            let of = |quantity: &QuantityInput| thousandths(tenant, &line.sku, quantity);
            let (ordered, received) = (of(&line.ordered), of(&line.received));
            let (damaged, written_off) = (of(&line.damaged), of(&line.written_off));
            (line.sku.clone(), PurchaseLine { ordered, received, damaged, written_off })
        })
        .collect();
    let mut steps: Vec<&str> = shown.steps.iter().map(|step| step.action.as_str()).collect();
    let mut taken = known.steps.clone();
    steps.sort_unstable();
    taken.sort_unstable();
    let head = (&shown.supplier_id, &shown.location_id, shown.over_delivery_percent, shown.status);
    let expected = (&known.supplier, &known.location, known.over_delivery_percent, status_of(known));
    if (&lines, &steps, head) == (&known.lines, &taken, expected) {
        return Ok(());
    }
    Err(format!("{lines:?} {steps:?} {head:?}, not {:?} {taken:?} {expected:?}", known.lines))
}

/// Its movements are what its lines say.
fn has_moved(world: &World, tenant: &Tenant, id: &str, purchase: &Purchase) -> Checked {
    let watch = world.stock_watch.borrow();
    let received = watch.moved("purchase_receive", &tenant.id, id);
    let mut on_order = BTreeMap::<Where, i64>::new();
    for kind in ["purchase_place", "purchase_receive", "purchase_close", "purchase_cancel"] {
        for (place, moved) in watch.moved(kind, &tenant.id, id) {
            *on_order.entry(place).or_default() += moved.on_order;
        }
    }
    for (sku, line) in &purchase.lines {
        let place = (purchase.location.clone(), sku.clone());
        let moved = received.get(&place).copied().unwrap_or_default();
        let left = on_order.remove(&place).unwrap_or(0);
        let seen = (moved.on_hand, moved.damaged, left);
        let known = (line.received, line.damaged, line.outstanding());
        if seen != known {
            return Err((ONCE, format!("{} {id} {sku}: {seen:?}, not {known:?}", tenant.id)));
        }
    }
    match on_order.first_key_value() {
        Some(beside) => Err((ONCE, format!("{} {id}: {beside:?}", tenant.id))),
        None => Ok(()),
    }
}

/// There are no others.
fn nothing_else(world: &World, books: &Books, tenant: &Tenant) -> Checked {
    let known = |id: &str| books.supply.purchases.contains_key(&(tenant.id.clone(), id.to_owned()));
    let watch = world.stock_watch.borrow();
    let kinds = ["purchase_place", "purchase_receive", "purchase_close", "purchase_cancel"];
    let moved = kinds.into_iter().flat_map(|kind| watch.named(kind, &tenant.id).map(|(id, _)| id.clone()));
    let items = world.memory.items(Table::Stock);
    let stored = items.iter().filter(|item| {
        item.opt_text("sk") == Some("purchase-order") && item.opt_text("tenant_id") == Some(&tenant.id)
    });
    let stored = stored.filter_map(|item| item.opt_text("purchase_order_id")).map(str::to_owned);
    match moved.chain(stored).find(|id| !known(id)) {
        Some(unknown) => Err((IS, format!("{}: nobody placed {unknown}", tenant.id))),
        None => Ok(()),
    }
}

fn restocked(world: &World, books: &Books, tenant: &Tenant) -> Checked {
    let seen = all_restocked(&world.stock_watch.borrow(), &tenant.id);
    let known: BTreeMap<String, Vec<(Where, i64, u32)>> = of_tenant(&books.supply.restocks, &tenant.id)
        .map(|(id, (location, sku, quantity))| {
            (id.clone(), vec![((location.clone(), sku.clone()), *quantity, 1)])
        })
        .collect();
    if seen == known {
        return Ok(());
    }
    let differs = seen.iter().find(|(id, moved)| known.get(*id) != Some(*moved));
    let lacks = known.keys().find(|id| !seen.contains_key(*id));
    Err(("a delivery is taken in once", format!("{}: {differs:?}, and not {lacks:?}", tenant.id)))
}

fn all_restocked(watch: &StockWatch, tenant: &str) -> BTreeMap<String, Vec<(Where, i64, u32)>> {
    let all = watch.named("restock", tenant);
    let one = |(id, moved): (&String, &BTreeMap<Where, Moved>)| {
        let moved =
            moved.iter().map(|(place, moved)| (place.clone(), moved.on_hand + moved.aside, moved.times));
        (id.clone(), moved.collect::<Vec<_>>())
    };
    all.map(one).collect()
}

/// What is incoming is what is open of purchase orders, and each open line is there for whoever asks when it comes.
async fn incoming(world: &World, books: &Books, tenant: &Tenant, caller: &Caller) -> Checked {
    let mut open = BTreeMap::<Where, i64>::new();
    for (_, purchase) in of_tenant(&books.supply.purchases, &tenant.id) {
        for (sku, line) in &purchase.lines {
            *open.entry((purchase.location.clone(), sku.clone())).or_default() += line.outstanding();
        }
    }
    for (place, quantity) in &open {
        let level = one(&ports(world), caller, &place.0, &place.1).await.map_err(broken)?;
        let incoming = thousandths(tenant, &place.1, &level.incoming);
        if incoming != *quantity {
            let seen = format!("{} {place:?}: {incoming}, not {quantity}", tenant.id);
            return Err(("what is incoming is what is open of purchase orders", seen));
        }
    }
    let mut lines = BTreeMap::<Where, i64>::new();
    let kind = |item: &Item| item.opt_text("pk").and_then(|pk| pk.split('#').nth(1)).map(str::to_owned);
    for item in world.memory.items(Table::Stock) {
        if kind(&item).as_deref() == Some("on-order") && item.opt_text("tenant_id") == Some(&tenant.id) {
            let text = |name: &str| item.opt_text(name).unwrap_or_default().to_owned();
            let place = (text("location_id"), text("sku"));
            *lines.entry(place).or_default() += item.opt_number("open").unwrap_or(0);
        }
    }
    open.retain(|_, quantity| *quantity != 0);
    if lines != open {
        let seen = format!("{}: {lines:?}, not {open:?}", tenant.id);
        return Err(("what is open of a purchase order is told to whoever is short of it", seen));
    }
    Ok(())
}

/// Lists have the orders that are open, and those that are not.
async fn listed(world: &World, books: &Books, tenant: &Tenant, caller: &Caller) -> Checked {
    for shop in &tenant.shops {
        for state in [PurchaseState::Open, PurchaseState::Closed] {
            let (mut listed, mut cursor) = (Vec::new(), None);
            loop {
                let query = PurchaseOrderQuery {
                    location_id: Some(shop.id.clone()),
                    state: Some(state),
                    cursor,
                    ..PurchaseOrderQuery::default()
                };
                let page = list::list(&ports(world), caller, &query).await.map_err(broken)?;
                listed.extend(page.items.into_iter().map(|order| order.purchase_order_id));
                cursor = page.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            listed.sort_unstable();
            let is_in = |purchase: &Purchase| {
                purchase.location == shop.id && purchase.is_open() == (state == PurchaseState::Open)
            };
            let known: Vec<String> = of_tenant(&books.supply.purchases, &tenant.id)
                .filter(|(_, purchase)| is_in(purchase))
                .map(|(id, _)| id.clone())
                .collect();
            if listed != known {
                let seen = format!("{} {}: {state:?} are {listed:?}, not {known:?}", tenant.id, shop.id);
                return Err(("a list has what stands so", seen));
            }
        }
    }
    Ok(())
}

async fn known_suppliers(world: &World, books: &Books, tenant: &Tenant, caller: &Caller) -> Checked {
    for (id, known) in of_tenant(&books.supply.suppliers, &tenant.id) {
        let supplier = suppliers::get(&ports(world), caller, id).await.map_err(broken)?;
        let stands = (supplier.over_delivery_percent, supplier.lead_time_days);
        if stands != (known.over_delivery_percent, known.lead_time_days) {
            let seen = format!("{} {id}: {stands:?}, not {known:?}", tenant.id);
            return Err(("a supplier is as it was put last", seen));
        }
    }
    Ok(())
}
