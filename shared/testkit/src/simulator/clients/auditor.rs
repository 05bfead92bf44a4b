//! Somebody who asks for everything that can be read of stock, while it changes: nothing of it is refused, and what was
//! answered before is in what is answered now.

use std::rc::Rc;
use std::time::Duration;

use tillstream_app::catalog::{locations, suppliers};
use tillstream_app::stock::{
    alerts, backorders, change_feed, conservation, counts, exceptions, lots, movements, purchases, read,
    reservations, suggestions, transfers, turnover,
};
use tillstream_app::tenancy::{Caller, Role};
use tillstream_app::{Ports, Result};
use tillstream_contracts::backorders::{BackorderListState, BackorderQuery};
use tillstream_contracts::counts::{CountQuery, CountStatus};
use tillstream_contracts::inventory::{ExceptionQuery, MovementQuery, StockChangesQuery, StockListQuery};
use tillstream_contracts::lots::LotQuery;
use tillstream_contracts::purchase_orders::{PurchaseOrderQuery, PurchaseState};
use tillstream_contracts::replenishment::{OrderSuggestionQuery, StockAlertQuery};
use tillstream_contracts::transfers::TransferQuery;
use tillstream_contracts::turnover::StockTurnoverQuery;
use tillstream_domain::location::LocationKind;

use super::super::books::Of;
use super::super::supply_books::of_tenant;
use super::super::world::{Tenant, World};
use super::{Line, Request, Stopped};
use crate::shop::caller;

/// What can be read.
const ROUTES: [&str; 26] = [
    "GET /v1/locations",
    "GET /v1/locations/{id}",
    "GET /v1/locations/{id}/inventory",
    "GET /v1/warehouses",
    "GET /v1/retail-locations",
    "GET /v1/inventory",
    "GET /v1/inventory/updates",
    "GET /v1/inventory/movements",
    "GET /v1/inventory/conservation",
    "GET /v1/inventory/exceptions",
    "GET /v1/inventory/counts",
    "GET /v1/inventory/counts/{id}",
    "GET /v1/inventory/backorders",
    "GET /v1/inventory/alerts",
    "GET /v1/inventory/suggestions",
    "GET /v1/inventory/turnover",
    "GET /v1/inventory/lots",
    "GET /v1/inventory/reservations/{id}",
    "GET /v1/stock-movements/transfer",
    "GET /v1/stock-movements/transfer/{id}",
    "GET /v1/suppliers",
    "GET /v1/suppliers/{id}",
    "GET /v1/purchase-orders",
    "GET /v1/purchase-orders/{id}",
    "GET /v1/inventory/{sku}",
    "GET /v1/inventory/{location_id}/{sku}",
];

/// What is asked about.
#[derive(Debug, Clone)]
struct About {
    shop: String,
    sku: String,
    /// A sheet, a reservation, a transfer, a supplier or a purchase order, as the route has it.
    id: String,
    /// Of a purchase order: how many steps of it were answered.
    steps: usize,
    /// Whether lists are of what is over.
    closed: bool,
}

/// Works until the day is over.
pub async fn work(world: Rc<World>, tenant: usize) -> Option<Stopped> {
    let owner = world.tenants.get(tenant)?;
    let caller = caller(&owner.id, &[Role::Operator]);
    let line = Line::of(&world, &owner.id);
    loop {
        line.rest(Duration::from_secs(120)).await;
        if line.is_over() {
            return Some(Stopped);
        }
        let route = world.chance.one_of(&ROUTES).copied()?;
        let Some(about) = about(&world, owner, route) else { continue };
        if line.begin(|| format!("{} asks {route} of {about:?}", owner.id)).is_err() {
            return Some(Stopped);
        }
        // What nobody told a shop of is nowhere until somebody takes some.
        let place = (owner.id.clone(), (about.shop.clone(), about.sku.clone()));
        let is_there = world.stock_watch.borrow().sums.has(&place);
        let unknown: &[&str] = if is_there { &[] } else { &["stock_not_found"] };
        let caller = caller.clone();
        let asked = about.clone();
        let request: Request<Option<String>> = Rc::new(move |ports| {
            let (caller, about) = (caller.clone(), asked.clone());
            Box::pin(async move { ask(&ports, &caller, route, &about).await })
        });
        match line.send_to(route, request, |_: &Option<String>| String::new()).await {
            Ok(None) => {}
            Ok(Some(seen)) => {
                world.fail("what was answered before is answered again", format!("{about:?}: {seen}"))
            }
            Err(refusal) => line.expect_refusal(&refusal, unknown),
        }
    }
}

/// The id of any of those of a tenant.
fn any<'a>(world: &World, owner: &Tenant, all: impl Iterator<Item = &'a Of<String>>) -> Option<String> {
    let mine: Vec<&String> = all.filter(|(of, _)| *of == owner.id).map(|(_, id)| id).collect();
    world.chance.one_of(&mine).map(|id| (*id).clone())
}

/// What to ask a route about; nothing where there is none yet.
fn about(world: &World, owner: &Tenant, route: &str) -> Option<About> {
    let chance = &world.chance;
    let stocked: Vec<_> = owner.goods.iter().filter(|goods| goods.is_stocked).collect();
    let books = world.books.borrow();
    let shop = chance.one_of(&owner.shops)?.id.clone();
    let id = match route {
        "GET /v1/inventory/counts/{id}" => any(world, owner, books.supply.sheets.keys())?,
        "GET /v1/inventory/reservations/{id}" => any(world, owner, books.supply.reservations.iter())?,
        "GET /v1/stock-movements/transfer/{id}" => any(world, owner, books.transfers.keys())?,
        "GET /v1/suppliers/{id}" => any(world, owner, books.supply.suppliers.keys())?,
        "GET /v1/purchase-orders/{id}" => any(world, owner, books.supply.purchases.keys())?,
        _ => shop.clone(),
    };
    let mut purchases = of_tenant(&books.supply.purchases, &owner.id);
    let steps = purchases.find(|(known, _)| **known == id).map_or(0, |(_, purchase)| purchase.steps.len());
    let sku = chance.one_of(&stocked)?.sku.clone();
    Some(About { shop, sku, id, steps, closed: chance.percent(30) })
}

/// Asks; answers what is wrong with the answer.
async fn ask(ports: &Ports, caller: &Caller, route: &str, about: &About) -> Result<Option<String>> {
    let (location_id, sku, id) = (about.shop.clone(), about.sku.clone(), about.id.as_str());
    let (limit, cursor) = (Some(20), None);
    match route {
        "GET /v1/locations" => locations::list(ports, &caller.scope, None, limit, None).await.map(|_| None),
        "GET /v1/locations/{id}" => locations::get(ports, &caller.scope, id).await.map(|_| None),
        "GET /v1/locations/{id}/inventory" => {
            read::of_location(ports, caller, id, limit, None).await.map(|_| None)
        }
        "GET /v1/warehouses" => {
            let kind = Some(LocationKind::Warehouse);
            locations::list(ports, &caller.scope, kind, limit, None).await.map(|_| None)
        }
        "GET /v1/retail-locations" => {
            let kind = Some(LocationKind::Store);
            locations::list(ports, &caller.scope, kind, limit, None).await.map(|_| None)
        }
        "GET /v1/inventory" => {
            read::list(ports, caller, &StockListQuery { limit, ..StockListQuery::default() })
                .await
                .map(|_| None)
        }
        "GET /v1/inventory/updates" => {
            change_feed::changes(ports, caller, &StockChangesQuery::default()).await.map(|_| None)
        }
        "GET /v1/inventory/movements" => {
            let query = MovementQuery { sku, location_id, limit, cursor };
            movements::list(ports, caller, &query).await.map(|_| None)
        }
        "GET /v1/inventory/conservation" => {
            let proof = conservation::prove(ports, caller, &location_id, &sku).await?;
            Ok((!proof.holds).then(|| format!("{proof:?}")))
        }
        "GET /v1/inventory/exceptions" => {
            let query = ExceptionQuery { location_id, status: None, limit, cursor };
            exceptions::list(ports, caller, &query).await.map(|_| None)
        }
        "GET /v1/inventory/counts" => {
            let state = about.closed.then_some(CountStatus::Closed);
            let query = CountQuery { location_id, state, limit, cursor };
            counts::list::list(ports, caller, &query).await.map(|_| None)
        }
        "GET /v1/inventory/counts/{id}" => counts::get(ports, caller, id).await.map(|_| None),
        "GET /v1/inventory/backorders" => {
            let state = about.closed.then_some(BackorderListState::Closed);
            let query = BackorderQuery { location_id, sku: Some(sku), state, limit, cursor };
            backorders::list::list(ports, caller, &query).await.map(|_| None)
        }
        "GET /v1/inventory/alerts" => {
            let query = StockAlertQuery { location_id, state: None, limit, cursor };
            alerts::list(ports, caller, &query).await.map(|_| None)
        }
        "GET /v1/inventory/suggestions" => {
            let query = OrderSuggestionQuery {
                location_id,
                supplier_id: None,
                days: Some(3),
                review_days: None,
                lead_time_days: None,
                limit,
                cursor,
            };
            suggestions::list(ports, caller, &query).await.map(|_| None)
        }
        "GET /v1/inventory/turnover" => {
            let query = StockTurnoverQuery { location_id, sku: None, days: Some(3), limit, cursor };
            turnover::list(ports, caller, &query).await.map(|_| None)
        }
        "GET /v1/inventory/lots" => {
            let query = LotQuery { sku: None, location_id: Some(location_id), limit, cursor };
            lots::list::list(ports, caller, &query).await.map(|_| None)
        }
        "GET /v1/inventory/reservations/{id}" => reservations::get(ports, caller, id).await.map(|_| None),
        "GET /v1/stock-movements/transfer" => {
            let open = Some(!about.closed);
            let query = TransferQuery { location_id, direction: None, open, limit, cursor };
            transfers::list::list(ports, caller, &query).await.map(|_| None)
        }
        "GET /v1/stock-movements/transfer/{id}" => transfers::get(ports, caller, id).await.map(|_| None),
        "GET /v1/suppliers" => suppliers::list(ports, caller, limit, None).await.map(|_| None),
        "GET /v1/suppliers/{id}" => suppliers::get(ports, caller, id).await.map(|_| None),
        "GET /v1/purchase-orders" => {
            let state = about.closed.then_some(PurchaseState::Closed);
            let query = PurchaseOrderQuery {
                location_id: Some(location_id),
                supplier_id: None,
                state,
                limit,
                cursor,
            };
            purchases::list::list(ports, caller, &query).await.map(|_| None)
        }
        "GET /v1/purchase-orders/{id}" => {
            let order = purchases::get(ports, caller, id).await?;
            Ok((order.steps.len() < about.steps).then(|| format!("{order:?}")))
        }
        "GET /v1/inventory/{sku}" => read::of_sku(ports, caller, &sku, limit, None).await.map(|_| None),
        "GET /v1/inventory/{location_id}/{sku}" => {
            read::one(ports, caller, &location_id, &sku).await.map(|_| None)
        }
        other => Err(tillstream_app::Error::bug(format!("nobody asks {other}"))),
    }
}
