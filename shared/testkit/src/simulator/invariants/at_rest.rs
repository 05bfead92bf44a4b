//! What must hold when everything has arrived everywhere.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use tillstream_app::Ports;
use tillstream_app::aggregation::rebuild::{Mode, rebuild};
use tillstream_app::analytics::products::products;
use tillstream_app::analytics::sales::sales;
use tillstream_app::database::{Item, Table};
use tillstream_app::dispatch::dispatcher::Policy;
use tillstream_app::dispatch::listing::list;
use tillstream_app::keeper;
use tillstream_app::orders::read;
use tillstream_app::stock::conservation::prove;
use tillstream_app::tenancy::{Caller, Role, TenantScope};
use tillstream_contracts::analytics::{Granularity, GroupBy, MetricsBody, ProductsQuery, SalesQuery};
use tillstream_contracts::dispatch::{DeliveryFilter, DeliveryStatus};
use tillstream_contracts::hq::{HqEvent, HqOrderMessage, HqPayment};
use tillstream_domain::money::Money;
use tillstream_domain::quantity::{QuantityInput, Unit};

use super::super::books::{Books, Order, part, worth};
use super::super::world::{Tenant, World};
use super::{catalogue, questions};
use crate::shop::caller;

/// A check: the invariant, and what was seen of it.
pub(super) type Checked = Result<(), (&'static str, String)>;

/// Gross of sales, worth of returns, sales, returns, thousandths sold, tips, discounts.
pub(super) type Figures = (i64, i64, u64, u64, i64, i64, i64);

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

fn ports(world: &World) -> Ports {
    Ports { database: world.memory.clone(), environment: world.clock.clone() }
}

async fn arrived(world: &World) -> Checked {
    let books = world.books.borrow().clone();
    for tenant in &world.tenants {
        let caller = caller(&tenant.id, &[Role::Operator]);
        for shop in &tenant.shops {
            let orders = orders_of(&books, &tenant.id, &shop.id);
            let query = sales_query(&shop.id, &orders, Granularity::Month, GroupBy::Store);
            let Some(query) = query else { continue };
            let answer = sales(&ports(world), &caller, &query, None).await.map_err(broken)?;
            for (lane, last) in last_numbers(&orders) {
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
    let books = world.books.borrow().clone();
    for tenant in &world.tenants {
        let caller = caller(&tenant.id, &[Role::Operator]);
        orders(world, &books, tenant, &caller).await?;
        numbers(&books, tenant)?;
        stock(world, &books, tenant, &caller).await?;
        catalogue::check(&ports(world), &books, tenant).await?;
        figures(world, &books, tenant, &caller).await?;
        let mine: Vec<&Order> =
            books.orders.iter().filter(|((of, _), _)| *of == tenant.id).map(|(_, order)| order).collect();
        questions::ask(world, &ports(world), tenant, &caller, &mine).await?;
        rebuilt(world, &books, tenant).await?;
    }
    at_hq(world, &books).await?;
    returns(&books)
}

fn orders_of<'a>(books: &'a Books, tenant: &str, shop: &str) -> Vec<&'a Order> {
    let mine = books.orders.iter().filter(|((of, _), order)| of == tenant && order.store == shop);
    mine.map(|(_, order)| order).collect()
}

/// Every order is what the clients know of it, and there are no others.
async fn orders(world: &World, books: &Books, tenant: &Tenant, caller: &Caller) -> Checked {
    let ports = ports(world);
    let mine = books.orders.iter().filter(|((of, _), _)| *of == tenant.id);
    let mut count = 0;
    for ((_, id), order) in mine {
        count += 1;
        let view = read::get(&ports, caller, id).await.map_err(broken)?;
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
        let seen =
            (view.lane, view.receipt_number, view.business_day, view.channel, view.totals.total.amount);
        let known = (order.lane.clone(), order.number, order.day, order.channel.clone(), order.total());
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
    exceptions.retain(|item| {
        item.opt_text("kind") == Some("oversold_offline") && item.opt_text("tenant_id") == Some(&tenant.id)
    });
    for ((of, (store, sku)), shelf) in &books.shelves {
        if *of != tenant.id {
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
        let seen = (of(&counters.on_hand) - entered, of(&counters.damaged));
        if !shelf.was_fed && seen != (shelf.on_hand, shelf.damaged) {
            let seen = format!("{} {store} {sku}: {seen:?}, the clients know {shelf:?}", tenant.id);
            return Err(("stock is what its commands made of it", seen));
        }
    }
    Ok(())
}

fn sales_query(
    shop: &str,
    orders: &[&Order],
    granularity: Granularity,
    group_by: GroupBy,
) -> Option<SalesQuery> {
    let (first, last) = (orders.iter().map(|o| o.day).min()?, orders.iter().map(|o| o.day).max()?);
    Some(SalesQuery {
        store_id: Some(shop.to_owned()),
        from: Some(first.to_string()),
        to: Some(last.to_string()),
        granularity,
        group_by: Some(group_by),
        ..SalesQuery::default()
    })
}

pub(super) fn add(figures: &mut Figures, order: &Order) {
    let tips: i64 = order.payments.iter().map(|paid| paid.tip).sum();
    if order.is_return {
        figures.1 += order.total();
        figures.3 += 1;
    } else {
        figures.0 += order.total() + order.off();
        figures.6 += order.off();
        figures.2 += 1;
        figures.4 += order.lines.iter().map(|line| line.quantity).sum::<i64>();
        figures.5 += tips;
    }
}

/// A sum of pieces and weights, as it is shown.
fn thousandths(shown: &QuantityInput) -> i64 {
    match shown {
        QuantityInput::Whole(whole) => whole * 1_000,
        decimal => decimal.resolve(Unit::Kg).map_or(i64::MIN, |units| units.thousandths()),
    }
}

pub(super) fn read_figures(metrics: &MetricsBody) -> Figures {
    let amount = |money: &Money| money.amount;
    (
        amount(&metrics.gross_sales),
        amount(&metrics.returns),
        metrics.orders,
        metrics.return_orders,
        thousandths(&metrics.units),
        amount(&metrics.tips),
        amount(&metrics.discounts),
    )
}

/// Every figure is the sum of the orders: by hour and day, by register and tender, by product.
async fn figures(world: &World, books: &Books, tenant: &Tenant, caller: &Caller) -> Checked {
    let ports = ports(world);
    for shop in &tenant.shops {
        let orders = orders_of(books, &tenant.id, &shop.id);
        for granularity in [Granularity::Hour, Granularity::Day, Granularity::Month] {
            let Some(query) = sales_query(&shop.id, &orders, granularity, GroupBy::Register) else {
                continue;
            };
            let answer = sales(&ports, caller, &query, None).await.map_err(broken)?;
            let mut known = BTreeMap::<(String, String), Figures>::new();
            for order in &orders {
                let register = order.lane.split('/').nth(1).unwrap_or_default().to_owned();
                let bucket = match granularity {
                    Granularity::Hour => order.hour.to_string(),
                    Granularity::Day => order.day.to_string(),
                    _ => order.day.strftime("%Y-%m").to_string(),
                };
                add(known.entry((bucket, register)).or_default(), order);
            }
            let mut seen = BTreeMap::new();
            for row in &answer.reply.rows {
                let register = row.group.get("register").cloned().flatten().unwrap_or_default();
                let bucket = match granularity {
                    Granularity::Hour => row
                        .bucket
                        .parse::<jiff::Timestamp>()
                        .map_or_else(|_| row.bucket.clone(), |at| at.to_string()),
                    Granularity::Day => row.bucket.chars().take(10).collect(),
                    _ => row.bucket.chars().take(7).collect(),
                };
                // An hour that two business days share has a row for each: they are summed up.
                let sum = seen.entry((bucket, register)).or_default();
                *sum = plus(*sum, read_figures(&row.metrics));
            }
            if seen != known {
                let seen = differences(&seen, &known);
                return Err((
                    "figures are the sum of the orders",
                    format!("{} {}: {seen}", tenant.id, shop.id),
                ));
            }
        }
        by_tender(world, &ports, &orders, caller, &shop.id).await?;
        by_product(&ports, &orders, caller, &shop.id).await?;
    }
    Ok(())
}

fn plus(a: Figures, b: Figures) -> Figures {
    (a.0 + b.0, a.1 + b.1, a.2 + b.2, a.3 + b.3, a.4 + b.4, a.5 + b.5, a.6 + b.6)
}

pub(super) fn differences<K: std::fmt::Debug + Ord, V: std::fmt::Debug + PartialEq>(
    seen: &BTreeMap<K, V>,
    known: &BTreeMap<K, V>,
) -> String {
    let keys: BTreeSet<&K> = seen.keys().chain(known.keys()).collect();
    let differ = keys.into_iter().filter(|key| seen.get(key) != known.get(key));
    let told = differ.take(3).map(|key| format!("{key:?}: {:?}, not {:?}", seen.get(key), known.get(key)));
    told.collect::<Vec<_>>().join("; ")
}

async fn by_tender(world: &World, ports: &Ports, orders: &[&Order], caller: &Caller, shop: &str) -> Checked {
    let Some(query) = sales_query(shop, orders, Granularity::Month, GroupBy::PaymentMethod) else {
        return Ok(());
    };
    let answer = sales(ports, caller, &query, None).await.map_err(broken)?;
    let mut known = BTreeMap::<String, i64>::new();
    for order in orders {
        for paid in &order.payments {
            let sign = if order.is_return { -1 } else { 1 };
            *known.entry(paid.tender.to_owned()).or_default() += sign * paid.amount;
        }
    }
    let mut seen = BTreeMap::<String, i64>::new();
    for row in &answer.reply.rows {
        let tender = row.group.get("payment_method").cloned().flatten().unwrap_or_default();
        let metrics = &row.metrics;
        let net = metrics.gross_sales.amount - metrics.discounts.amount - metrics.returns.amount;
        *seen.entry(tender).or_default() += net;
    }
    known.retain(|_, amount| *amount != 0);
    seen.retain(|_, amount| *amount != 0);
    if seen != known {
        world.tell(|| format!("{seen:?} {known:?}"));
        return Err(("tenders are the sum of the payments", differences(&seen, &known)));
    }
    Ok(())
}

async fn by_product(ports: &Ports, orders: &[&Order], caller: &Caller, shop: &str) -> Checked {
    let Some(sales) = sales_query(shop, orders, Granularity::Day, GroupBy::Store) else { return Ok(()) };
    let mut known = BTreeMap::<String, (i64, i64)>::new();
    for order in orders {
        for line in &order.lines {
            let (sold, back) = known.entry(line.sku.clone()).or_default();
            if order.is_return { *back += line.paid() } else { *sold += line.worth }
        }
    }
    let mut seen = BTreeMap::new();
    let mut cursor = None;
    loop {
        let query = ProductsQuery {
            store_id: Some(shop.to_owned()),
            from: sales.from.clone(),
            to: sales.to.clone(),
            limit: Some(50),
            cursor,
            ..ProductsQuery::default()
        };
        let reply = products(ports, caller, &query, None).await.map_err(broken)?.reply;
        for row in &reply.rows {
            let sku = row.group.get("sku").cloned().flatten().unwrap_or_default();
            let figures = (row.metrics.gross_sales.amount, row.metrics.returns.amount);
            if seen.insert(sku.clone(), figures).is_some() {
                return Err(("a list names each product once", sku));
            }
        }
        match reply.next_cursor {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    if seen != known {
        return Err(("figures of products are the sum of the lines", differences(&seen, &known)));
    }
    Ok(())
}

/// Made anew from the orders, every page is what it was.
async fn rebuilt(world: &World, books: &Books, tenant: &Tenant) -> Checked {
    let scope = TenantScope::from_own_record(&tenant.id);
    let ports = ports(world);
    for location in keeper::locations(&ports, &scope).await.map_err(broken)? {
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

/// HQ accepted every order once, or refuses it.
async fn at_hq(world: &World, books: &Books) -> Checked {
    let accepted: BTreeMap<_, _> = world
        .hq
        .accepted()
        .into_iter()
        .map(|order| ((order.tenant_id.clone(), order.order_id.clone()), order))
        .collect();
    for (id, order) in &accepted {
        if !books.orders.contains_key(id) {
            return Err(("nothing uncommitted is ever sent", format!("{order:?}")));
        }
        if order.accepted != 1 {
            return Err(("HQ accepts an order once", format!("{order:?}")));
        }
        let tenant = world.tenants.iter().find(|tenant| tenant.id == id.0);
        if let (Some(told), Some(known), Some(tenant)) = (&order.last, books.orders.get(id), tenant) {
            told_as_it_is(tenant, told, known)?;
        }
    }
    for (tenant, id) in books.orders.keys() {
        if accepted.contains_key(&(tenant.clone(), id.clone())) {
            continue;
        }
        // What HQ will not have is a dead letter, with the reason; and nothing else is.
        let caller = caller(tenant, &[Role::Operator]);
        let filter = DeliveryFilter { order_id: Some(id.clone()), ..DeliveryFilter::default() };
        let page = list(&ports(world), &caller, filter).await.map_err(broken)?;
        let is_dead = page.items.iter().any(|delivery| {
            delivery.status == DeliveryStatus::Dead
                && (books.ever_refused.contains(id) || is_suspected(delivery.suspected_failures))
        });
        if !is_dead {
            let seen = format!("{tenant} {id}: {:?}", page.items);
            return Err(("every order is accepted by HQ, or a dead letter", seen));
        }
    }
    Ok(())
}

/// What HQ was told of an order is the order.
fn told_as_it_is(tenant: &Tenant, told: &HqOrderMessage, known: &Order) -> Checked {
    let quantity = |sku: &str, quantity: &QuantityInput| {
        quantity.resolve(unit_of(tenant, sku)).map_or(0, |quantity| quantity.thousandths())
    };
    let lines: Vec<_> = told
        .lines
        .iter()
        .map(|line| {
            let quantity = quantity(&line.sku, &line.quantity);
            let off: i64 = line.discounts.iter().map(|given| given.amount.amount).sum();
            (line.sku.as_str(), quantity, line.unit_price.ten_thousandths(), line.gross.amount, off)
        })
        .collect();
    let known_lines: Vec<_> = known
        .lines
        .iter()
        .map(|line| (line.sku.as_str(), line.quantity, line.price, line.worth, line.off))
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
    if (lines, payments, head) == (known_lines, known_payments, known_head)
        && told.employee_id == known.employee
        && told.totals.total.currency.to_string() == "GBP"
    {
        return Ok(());
    }
    Err(("HQ is told what was sold", format!("{told:?}, not {known:?}")))
}

fn unit_of(tenant: &Tenant, sku: &str) -> Unit {
    tenant.goods_of(sku).map_or(Unit::Piece, |goods| if goods.is_weighed { Unit::Kg } else { Unit::Piece })
}

/// HQ failed on it again and again while it was well to others, which puts it aside.
fn is_suspected(failures: u32) -> bool {
    failures >= Policy::default().suspected_max
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
        // Of a line that was sold for less, its part of what was paid.
        let is = match line.off {
            0 => worth(*quantity, line.price),
            _ => part(line.paid(), *quantity, line.quantity),
        };
        if *value != is {
            let seen = format!("{sale} {number}: {quantity} worth {value} of {line:?}");
            return Err(("what comes back is worth what was sold", seen));
        }
    }
    Ok(())
}
