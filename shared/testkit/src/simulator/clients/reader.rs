//! Somebody who reads lists page by page while they change: what was there before they began is in them,
//! nothing is twice, and nothing is another's.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use tillstream_app::Ports;
use tillstream_app::catalog::product_list::{self, ProductFilter};
use tillstream_app::orders::read;
use tillstream_app::stock::read as stock;
use tillstream_app::tenancy::{Caller, Role};
use tillstream_contracts::inventory::StockListQuery;
use tillstream_contracts::orders::OrderFilter;
use tillstream_domain::quantity::{QuantityInput, Unit};

use super::super::books::Goods;
use super::super::world::{Tenant, World};
use super::{Line, Request, Stopped};
use crate::shop::caller;

/// Names on a page, and where the next begins.
type NamesPage = (Vec<String>, Option<String>);

/// Works until the day is over.
pub async fn work(world: Rc<World>, tenant: usize) -> Option<Stopped> {
    let owner = world.tenants.get(tenant)?;
    let caller = caller(&owner.id, &[Role::Operator]);
    let line = Line::of(&world, &owner.id);
    loop {
        line.rest(Duration::from_secs(400)).await;
        let place = world.chance.one_of(&owner.shops)?;
        let shop = place.id.clone();
        let limit = u32::try_from(8 + world.chance.below(40)).unwrap_or(1);
        let is_over = match world.chance.below(3) {
            0 => {
                let known = orders_known(&world, owner, &shop);
                let list = |cursor| orders(caller.clone(), shop.clone(), limit, cursor);
                let what = format!("{} lists orders of {shop}", owner.id);
                read_through(&line, ("GET /v1/orders", &what), &known, list).await
            }
            1 => {
                // What nobody told the shop of is on it once somebody took some.
                let is_told = |goods: &&Goods| goods.is_stocked && !place.unsynced.contains(&goods.sku);
                let stocked = owner.goods.iter().filter(is_told);
                let known = stocked.map(|goods| format!("{shop}/{}", goods.sku)).collect();
                let list = |cursor| levels(caller.clone(), shop.clone(), limit, cursor);
                let what = format!("{} lists stock of {shop}", owner.id);
                read_through(&line, ("GET /v1/inventory", &what), &known, list).await
            }
            _ => {
                let known = owner.goods.iter().map(|goods| goods.sku.clone()).collect();
                let list = |cursor| products(caller.clone(), limit, cursor);
                let what = format!("{} lists products", owner.id);
                read_through(&line, ("GET /v1/products", &what), &known, list).await
            }
        };
        if is_over.is_err() {
            return Some(Stopped);
        }
    }
}

/// Orders that a list of the store must name. An index is read eventually: those of the last moment may
/// be missing.
fn orders_known(world: &World, owner: &Tenant, shop: &str) -> BTreeSet<String> {
    let books = world.books.borrow();
    let settled = world.memory.is_settled();
    let mine = books.orders.iter().filter(|((of, _), order)| *of == owner.id && order.store == shop);
    if settled { mine.map(|((_, id), _)| id.clone()).collect() } else { BTreeSet::new() }
}

/// Reads all pages of a list, whose route it names. What is `known` must be on them.
async fn read_through(
    line: &Line,
    (route, what): (&str, &str),
    known: &BTreeSet<String>,
    list: impl Fn(Option<String>) -> Request<NamesPage>,
) -> Result<(), Stopped> {
    let mut seen = BTreeSet::new();
    let mut cursor = None;
    loop {
        line.begin(|| what.to_owned())?;
        let (names, next) = match line.send_to(route, list(cursor), |_: &NamesPage| String::new()).await {
            Ok(page) => page,
            Err(refusal) => {
                line.expect_refusal(&refusal, &[]);
                return Err(Stopped);
            }
        };
        for name in names {
            if !seen.insert(name.clone()) {
                line.world.fail("a list names each thing once", format!("{what}: {name}"));
            }
        }
        match next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    if let Some(missing) = known.iter().find(|name| !seen.contains(*name)) {
        line.world.fail("a list names what was there before it was read", format!("{what}: no {missing}"));
    }
    Ok(())
}

fn orders(caller: Caller, shop: String, limit: u32, cursor: Option<String>) -> Request<NamesPage> {
    Rc::new(move |ports: Ports| {
        let caller = caller.clone();
        let filter = OrderFilter {
            store_id: Some(shop.clone()),
            limit: Some(limit),
            cursor: cursor.clone(),
            ..OrderFilter::default()
        };
        Box::pin(async move {
            let page = read::list(&ports, &caller, filter).await?;
            Ok((page.items.into_iter().map(|order| order.id).collect(), page.next_cursor))
        })
    })
}

fn levels(caller: Caller, shop: String, limit: u32, cursor: Option<String>) -> Request<NamesPage> {
    Rc::new(move |ports: Ports| {
        let caller = caller.clone();
        let query = StockListQuery {
            location_id: Some(shop.clone()),
            limit: Some(limit),
            cursor: cursor.clone(),
            ..StockListQuery::default()
        };
        Box::pin(async move {
            let page = stock::list(&ports, &caller, &query).await?;
            let mut names = Vec::new();
            for item in page.items {
                let of = |quantity: &QuantityInput| {
                    let read = quantity.resolve(Unit::Kg).or_else(|_| quantity.resolve(Unit::Piece));
                    read.map(|quantity| quantity.thousandths()).map_err(tillstream_app::Error::bug)
                };
                let left = of(&item.on_hand)? - of(&item.reserved)? - of(&item.safety_stock)?;
                if of(&item.available)? != left {
                    return Err(tillstream_app::Error::bug(format!("{item:?} does not add up")));
                }
                names.push(format!("{}/{}", item.location_id, item.sku));
            }
            Ok((names, page.next_cursor))
        })
    })
}

fn products(caller: Caller, limit: u32, cursor: Option<String>) -> Request<NamesPage> {
    Rc::new(move |ports: Ports| {
        let (caller, cursor) = (caller.clone(), cursor.clone());
        Box::pin(async move {
            let filter = ProductFilter::default();
            let (items, next) =
                product_list::list(&ports, &caller.scope, &filter, Some(limit), cursor.as_deref()).await?;
            Ok((items.into_iter().map(|product| product.sku).collect(), next))
        })
    })
}
