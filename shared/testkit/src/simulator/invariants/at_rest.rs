//! What must hold when everything has arrived everywhere.

use std::collections::BTreeMap;

use jiff::civil::Date;
use tillstream_app::Ports;
use tillstream_app::aggregation::rebuild::{Mode, rebuild};
use tillstream_app::analytics::sales::sales;
use tillstream_app::catalog::settings;
use tillstream_app::database::{Item, Table};
use tillstream_app::keeper;
use tillstream_app::orders::read;
use tillstream_app::stock::conservation::prove;
use tillstream_app::stock::read::one;
use tillstream_app::tenancy::{Caller, Role, TenantScope};
use tillstream_contracts::analytics::{Granularity, GroupBy};
use tillstream_contracts::settings::TaxRoundingBody;
use tillstream_domain::quantity::{QuantityInput, Unit};

use super::super::books::{Books, Order, Shelf, part, worth};
use super::super::day_settings::DaySettings;
use super::super::world::{Tenant, World};
use super::{
    alerts, approvals, asked_totals, at_hq, catalogue, corrected, counted, drawers, figures, followed,
    gift_cards, lots_at_rest, parked, priced, questions, reconciled, restored, shifts, supplied, transfers,
    waited,
};
use crate::shop::caller;

/// A check: the invariant, and what was seen of it.
pub(super) type Checked = Result<(), (&'static str, String)>;

pub(super) fn broken<E: std::fmt::Display>(error: E) -> (&'static str, String) {
    ("what is at rest can be read", error.to_string())
}

/// All of it.
pub async fn check(world: &World) {
    let checked = all(world).await;
    if let Err((invariant, seen)) = checked {
        world.fail(invariant, seen);
    }
}

/// What the event sources alone must have brought about, without the keeper.
pub async fn check_arrived(world: &World) {
    if let Err((invariant, seen)) = arrived(world).await {
        world.fail(invariant, seen);
    }
}

pub(super) fn ports(world: &World) -> Ports {
    Ports { database: world.memory.clone(), environment: world.clock.clone() }
}

async fn arrived(world: &World) -> Checked {
    let books = world.books.borrow().clone();
    for tenant in &world.tenants {
        let caller = caller(&tenant.id, &[Role::Operator]);
        for shop in &tenant.shops {
            let orders = orders_of(&books, &tenant.id, &shop.id);
            let query = figures::sales_query(&shop.id, &orders, Granularity::Month, GroupBy::Store);
            let Some(query) = query else { continue };
            let answer = sales(&ports(world), &caller, &query, None).await.map_err(broken)?;
            for (lane, last) in last_numbers(&orders) {
                if !restored::arrives_by_itself(world, &lane) {
                    continue;
                }
                let mark = answer.reply.watermark.lanes.get(&lane);
                if mark.is_none_or(|mark| mark.through < last || !mark.gaps.is_empty()) {
                    let seen = format!("{} {lane} of {last}: {mark:?}", tenant.id);
                    return Err(("what is sold arrives in the figures by itself", seen));
                }
            }
        }
    }
    Ok(())
}

async fn all(world: &World) -> Checked {
    let mut books = world.books.borrow().clone();
    books.counted_besides = restored::counted(world).await?;
    let books = books;
    let cash = drawers::cash_of_events(world)?;
    for tenant in &world.tenants {
        let caller = caller(&tenant.id, &[Role::Operator]);
        orders(world, &books, tenant, &caller).await?;
        numbers(&books, tenant)?;
        stock(world, &books, tenant, &caller).await?;
        kits(world, tenant, &caller).await?;
        catalogue::check(&ports(world), &books, tenant).await?;
        figures::check(world, &books, tenant, &caller).await?;
        priced::check(world, &books, tenant)?;
        asked_totals::check(world, &books, tenant)?;
        approvals::check(world, &books, tenant)?;
        parked::check(world, tenant)?;
        gift_cards::check(world, &books, tenant, &caller).await?;
        shifts::check(world, &books, tenant, &caller).await?;
        drawers::check(world, &books, tenant, &caller, &cash).await?;
        transfers::check(world, &books, tenant, &caller).await?;
        supplied::check(world, &books, tenant, &caller).await?;
        counted::check(world, &books, tenant, &caller).await?;
        waited::check(world, &books, tenant, &caller).await?;
        alerts::check(world, tenant, &caller).await?;
        reconciled::check(world, tenant)?;
        corrected::check(world, tenant)?;
        lots_at_rest::check(world, &books, tenant, &caller).await?;
        followed::check(world, tenant, &caller).await?;
        settings_stand(world, tenant, &caller).await?;
        restored::check(world, &books, tenant).await?;
        let mine: Vec<&Order> = counted(&books, &tenant.id).collect();
        questions::ask(world, &ports(world), tenant, &caller, &mine).await?;
        rebuilt(world, &books, tenant).await?;
    }
    at_hq::check(world, &books).await?;
    returns(&books)
}

/// Orders of a tenant that figures have.
fn counted<'a>(books: &'a Books, tenant: &str) -> impl Iterator<Item = &'a Order> {
    let standing = books.orders.iter().filter(move |((of, _), _)| of == tenant).map(|(_, order)| order);
    let besides = books.counted_besides.iter().filter(move |(of, _)| of == tenant).map(|(_, order)| order);
    standing.chain(besides)
}

/// Those of one of its stores.
pub(super) fn orders_of<'a>(books: &'a Books, tenant: &str, shop: &str) -> Vec<&'a Order> {
    counted(books, tenant).filter(|order| order.store == shop).collect()
}

/// The settings are the last that were set.
async fn settings_stand(world: &World, tenant: &Tenant, caller: &Caller) -> Checked {
    let stand = settings::get(&ports(world), caller).await.map_err(broken)?;
    world.note_use("GET /v1/settings");
    let approvals = &stand.approvals;
    let seen = DaySettings {
        per_order: stand.pricing.tax_rounding == TaxRoundingBody::PerOrder,
        coin: i64::from(stand.pricing.cash_increment),
        needs_shift: stand.sale_needs_open_shift,
        discount_needs_approval: approvals.manual_discount.is_some_and(|rule| rule.required),
        blind_return_needs_approval: approvals.blind_return == Some(true),
        age_max: stand.command_age_max_seconds,
    };
    let last = world.course.borrow().last(&tenant.id);
    if last == Some(seen) {
        return Ok(());
    }
    Err(("settings are what was set last", format!("{}: {seen:?}, not {last:?}", tenant.id)))
}

/// Every order is what the clients know of it, and there are no others.
async fn orders(world: &World, books: &Books, tenant: &Tenant, caller: &Caller) -> Checked {
    let ports = ports(world);
    let mine = books.orders.iter().filter(|((of, _), _)| *of == tenant.id);
    let mut count = 0;
    for ((_, id), order) in mine {
        count += 1;
        let view = read::get(&ports, caller, id).await.map_err(broken)?;
        world.note_use("GET /v1/orders/{id}");
        let mut lots = Vec::new();
        let lines: Vec<(String, i64, i64, i64, i64)> = view
            .lines
            .unwrap_or_default()
            .iter()
            .map(|line| {
                let quantity = line
                    .quantity
                    .resolve(unit_of(tenant, &line.sku))
                    .map_or(0, |quantity| quantity.thousandths());
                let (worth, paid) = (line.subtotal.amount, line.total.amount);
                lots.push(line.lot.clone());
                (line.sku.clone(), quantity, line.unit_price.ten_thousandths(), worth, paid)
            })
            .collect();
        let known: Vec<_> = order
            .lines
            .iter()
            .map(|line| (line.sku.clone(), line.quantity, line.price, line.worth, line.paid()))
            .collect();
        if lines != known {
            return Err((
                "an order is what its commands made of it",
                format!("{id}: {lines:?}, not {known:?}"),
            ));
        }
        let named: Vec<Option<String>> = order.lines.iter().map(|line| line.lot.clone()).collect();
        // What comes back is of the lot that its sale named, as far as that is told.
        if !order.is_return && lots != named {
            return Err((
                "an order tells the lots that were named",
                format!("{id}: {lots:?}, not {named:?}"),
            ));
        }
        let seen =
            (view.lane, view.receipt_number, view.business_day, view.channel, view.totals.total.amount);
        let known = (order.lane.clone(), order.number, order.day, order.channel.clone(), order.total());
        let sums = |order: &Order| (order.tax(), order.off(), order.rounding);
        let shown = (view.totals.tax.amount, view.totals.discount.amount, view.totals.cash_rounding.amount);
        if shown != sums(order) {
            let seen = format!("{id}: {shown:?}, not {:?}", sums(order));
            return Err(("tax, discounts and rounding of an order are those of its lines", seen));
        }
        let stands =
            (order.statuses.last().cloned().unwrap_or_default(), u32::try_from(order.statuses.len()).ok());
        if (view.status.clone(), Some(view.order_version)) != stands {
            let seen = format!("{id} is {} of version {}, not {stands:?}", view.status, view.order_version);
            return Err(("an order stands where its commands put it", seen));
        }
        if seen != known || view.employee_id != order.employee {
            return Err((
                "an order is what its commands made of it",
                format!("{id}: {seen:?}, not {known:?}"),
            ));
        }
    }
    let items = world.memory.items(Table::Orders);
    let stored = items
        .iter()
        .filter(|item| item.opt_text("tenant_id") == Some(&tenant.id))
        .filter(|item| item.opt_text("sk") == Some("cart") && item.opt_number("lane_number").is_some());
    let is_known = |item: &&Item| {
        let id = item.opt_text("pk").and_then(|pk| pk.rsplit('#').next()).unwrap_or_default();
        books.orders.contains_key(&(tenant.id.clone(), id.to_owned()))
    };
    let (stored, unknown): (Vec<_>, Vec<_>) = stored.partition(is_known);
    if stored.len() != count || !unknown.is_empty() {
        let unknown: Vec<_> =
            unknown.iter().map(|item| (item.opt_text("pk"), item.get("finalized_at"))).collect();
        let seen = format!("{} of {count} orders are there, and {unknown:?}", stored.len());
        return Err(("nothing is sold that nobody sold", seen));
    }
    Ok(())
}

fn last_numbers(orders: &[&Order]) -> BTreeMap<String, u64> {
    let mut last = BTreeMap::new();
    for order in orders {
        let known = last.entry(order.lane.clone()).or_insert(0);
        *known = order.number.max(*known);
    }
    last
}

/// Numbers of a lane are 1 to n, none missing, none twice.
fn numbers(books: &Books, tenant: &Tenant) -> Checked {
    let mut lanes = BTreeMap::<&str, Vec<u64>>::new();
    for ((of, _), order) in &books.orders {
        if *of == tenant.id {
            lanes.entry(&order.lane).or_default().push(order.number);
        }
    }
    for (lane, mut numbers) in lanes {
        numbers.sort_unstable();
        if !numbers.iter().copied().eq(1..=u64::try_from(numbers.len()).unwrap_or(0)) {
            return Err(("numbers of a lane are 1 to n", format!("{lane}: {numbers:?}")));
        }
    }
    Ok(())
}

/// Stock is what went in and out, nothing is held any more, and the ledger proves it.
async fn stock(world: &World, books: &Books, tenant: &Tenant, caller: &Caller) -> Checked {
    let ports = ports(world);
    let mut exceptions = world.memory.items(Table::Stock);
    // What was held and sold, of a long reservation or a long order, before less was found: so much came in by no client,
    // too.
    let covered = world.stock_watch.borrow().covered(&tenant.id);
    exceptions.retain(|item| {
        let of_sales = ["oversold_offline", "unsynced_stock", "uses_above_limit", "total_differs"];
        let is_of_sale = item.opt_text("kind").is_some_and(|kind| of_sales.contains(&kind));
        is_of_sale && item.opt_text("tenant_id") == Some(&tenant.id)
    });
    for item in &exceptions {
        let id = item.opt_text("exception_id").unwrap_or_default().to_owned();
        let key = (tenant.id.clone(), id);
        if item.opt_text("state") == Some("resolved") && !books.resolved.contains(&key) {
            return Err(("an exception is open until somebody resolves it", format!("{item:?}")));
        }
    }
    let is_held = |item: &&Item| {
        let is_line = item.opt_text("pk").is_some_and(|pk| pk.contains("#holds"));
        is_line && item.opt_text("tenant_id") == Some(&tenant.id)
    };
    if let Some(line) = world.memory.items(Table::Stock).iter().find(is_held) {
        return Err(("nothing is held for ever", format!("{line:?}")));
    }
    for ((of, (store, sku)), shelf) in &books.shelves {
        if *of != tenant.id {
            continue;
        }
        let place = (of.clone(), (store.clone(), sku.clone()));
        // What nobody told, and nobody took, is nowhere.
        if *shelf == Shelf::default() && !world.stock_watch.borrow().sums.has(&place) {
            continue;
        }
        let proof = prove(&ports, caller, store, sku).await.map_err(broken)?;
        if !proof.holds || proof.seq_reached != proof.seq_current {
            return Err(("on hand is the sum of movements", format!("{proof:?}")));
        }
        let unit = unit_of(tenant, sku);
        let of = |quantity: &QuantityInput| {
            quantity.resolve(unit).map_or(i64::MIN, |quantity| quantity.thousandths())
        };
        let counters = &proof.counters;
        if of(&counters.reserved) != 0 {
            return Err(("nothing is held for ever", format!("{proof:?}")));
        }
        // What was sold offline and was not there: so much came in by no client, and an exception says so.
        let entered: i64 = exceptions
            .iter()
            .filter(|item| item.opt_text("location_id") == Some(store) && item.opt_text("sku") == Some(sku))
            .filter_map(|item| item.opt_number("quantity"))
            .sum();
        let entered = entered + covered.get(&(store.clone(), sku.clone())).copied().unwrap_or(0);
        if of(&counters.in_transit) != shelf.in_transit {
            let seen = format!("{} {store} {sku}: {counters:?}, the clients know {shelf:?}", tenant.id);
            return Err(("what is on its way is what was shipped and not settled", seen));
        }
        // What is kept aside with its lot lies there all the same.
        let aside = counters.quarantined.as_ref().map_or(0, of);
        let by_hand = corrected::left(world, &tenant.id, (store, sku));
        let seen = (
            of(&counters.on_hand) + aside - entered - by_hand.on_hand,
            of(&counters.damaged) - by_hand.damaged,
        );
        if !shelf.was_fed && seen != (shelf.on_hand, shelf.damaged) {
            let seen = format!("{} {store} {sku}: {seen:?}, the clients know {shelf:?}", tenant.id);
            return Err(("stock is what its commands made of it", seen));
        }
    }
    Ok(())
}

/// Of kits there is what their components make, and no stock of their own.
async fn kits(world: &World, tenant: &Tenant, caller: &Caller) -> Checked {
    let ports = ports(world);
    for kit in tenant.goods.iter().filter(|goods| !goods.parts.is_empty()) {
        let own = |item: &Item| {
            item.opt_text("tenant_id") == Some(&tenant.id) && item.opt_text("sku") == Some(&kit.sku)
        };
        if let Some(item) = world.memory.items(Table::Stock).into_iter().find(own) {
            return Err(("a kit has no stock of its own", format!("{item:?}")));
        }
        for shop in &tenant.shops {
            let mut fewest = i64::MAX;
            for (sku, per) in &kit.parts {
                let level = one(&ports, caller, &shop.id, sku).await.map_err(broken)?;
                let available = level.available.resolve(unit_of(tenant, sku)).map_err(broken)?;
                fewest = fewest.min(available.thousandths().max(0) / per);
            }
            let level = one(&ports, caller, &shop.id, &kit.sku).await.map_err(broken)?;
            if level.available != QuantityInput::Whole(fewest) {
                return Err((
                    "there are as many kits as their components make",
                    format!("{fewest}, not {level:?}"),
                ));
            }
        }
    }
    Ok(())
}

/// Made anew from the orders, every page is what it was.
async fn rebuilt(world: &World, books: &Books, tenant: &Tenant) -> Checked {
    let scope = TenantScope::from_own_record(&tenant.id);
    let ports = ports(world);
    for location in keeper::locations(&ports, &scope).await.map_err(broken)? {
        // Of what was lost by a restore the figures are all that is left.
        if books.counted_besides.iter().any(|(of, order)| *of == tenant.id && order.store == location.id) {
            continue;
        }
        let days: Vec<Date> =
            orders_of(books, &tenant.id, &location.id).iter().map(|order| order.day).collect();
        let (Some(first), Some(last)) = (days.iter().min(), days.iter().max()) else { continue };
        let report = rebuild(&ports, &scope, &location, *first, *last, Mode::Verify).await.map_err(broken)?;
        if !report.different.is_empty() {
            return Err((
                "made anew, pages are the same",
                format!("{}: {:?}", location.id, report.different),
            ));
        }
    }
    Ok(())
}

pub(super) fn unit_of(tenant: &Tenant, sku: &str) -> Unit {
    tenant.goods_of(sku).map_or(Unit::Piece, |goods| if goods.is_weighed { Unit::Kg } else { Unit::Piece })
}

/// Never more comes back than was sold, and all of a line is worth the line.
fn returns(books: &Books) -> Checked {
    for ((tenant, (sale, number)), (quantity, value)) in &books.returned {
        let order = books.orders.get(&(tenant.clone(), sale.clone()));
        let Some(line) = order.and_then(|order| order.lines.iter().find(|line| line.number == *number))
        else {
            return Err(("what comes back was sold", format!("{sale} {number}")));
        };
        if *quantity > line.quantity {
            return Err((
                "no more comes back than was sold",
                format!("{sale} {number}: {quantity} of {line:?}"),
            ));
        }
        // Of a line that was sold for less, or taxed, its part of that.
        let is = if line.is_charged {
            part(line.net(), *quantity, line.quantity) + part(line.tax, *quantity, line.quantity)
        } else {
            worth(*quantity, line.price + line.extra)
        };
        if *value != is {
            let seen = format!("{sale} {number}: {quantity} worth {value} of {line:?}");
            return Err(("what comes back is worth what was sold", seen));
        }
    }
    Ok(())
}
