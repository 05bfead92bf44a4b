//! Every figure of analytics is the sum of the orders.

use std::collections::{BTreeMap, BTreeSet};

use tillstream_app::Ports;
use tillstream_app::analytics::products::products;
use tillstream_app::analytics::sales::sales;
use tillstream_app::tenancy::Caller;
use tillstream_contracts::analytics::{Granularity, GroupBy, MetricsBody, ProductsQuery, SalesQuery};
use tillstream_domain::money::Money;
use tillstream_domain::quantity::{QuantityInput, Unit};

use super::super::books::{Books, Order};
use super::super::world::{Tenant, World};
use super::at_rest::{Checked, broken, orders_of, ports};

/// Sums over orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Sales before discounts, without tax.
    pub gross: i64,
    /// What was taken off them.
    pub discounts: i64,
    /// Worth of what came back, without tax.
    pub returns: i64,
    /// Tax of sales less that of returns.
    pub tax: i64,
    /// Tips less those given back.
    pub tips: i64,
    /// How many sales.
    pub sales: u64,
    /// How many returns.
    pub backs: u64,
    /// Thousandths sold.
    pub units: i64,
}

impl Figures {
    /// Both.
    pub fn plus(self, other: Figures) -> Self {
        Figures {
            gross: self.gross + other.gross,
            discounts: self.discounts + other.discounts,
            returns: self.returns + other.returns,
            tax: self.tax + other.tax,
            tips: self.tips + other.tips,
            sales: self.sales + other.sales,
            backs: self.backs + other.backs,
            units: self.units + other.units,
        }
    }

    /// Those of an order.
    pub fn of(order: &Order) -> Self {
        let tips: i64 = order.payments.iter().map(|paid| paid.tip).sum();
        if order.is_return {
            let returns = order.worth() - order.off();
            return Figures { returns, tax: -order.tax(), tips: -tips, backs: 1, ..Figures::default() };
        }
        Figures {
            gross: order.worth(),
            discounts: order.off(),
            tax: order.tax(),
            tips,
            sales: 1,
            units: order.lines.iter().map(|line| line.quantity).sum(),
            ..Figures::default()
        }
    }
}

pub(super) fn sales_query(
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
    *figures = figures.plus(Figures::of(order));
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
    Figures {
        gross: amount(&metrics.gross_sales),
        discounts: amount(&metrics.discounts),
        returns: amount(&metrics.returns),
        tax: amount(&metrics.tax),
        tips: amount(&metrics.tips),
        sales: metrics.orders,
        backs: metrics.return_orders,
        units: thousandths(&metrics.units),
    }
}

/// Every figure is the sum of the orders: by hour and day, by register and tender, by product.
pub async fn check(world: &World, books: &Books, tenant: &Tenant, caller: &Caller) -> Checked {
    let ports = ports(world);
    for shop in &tenant.shops {
        let orders = orders_of(books, &tenant.id, &shop.id);
        for granularity in [Granularity::Hour, Granularity::Day, Granularity::Month] {
            let Some(query) = sales_query(&shop.id, &orders, granularity, GroupBy::Register) else {
                continue;
            };
            let answer = sales(&ports, caller, &query, None).await.map_err(broken)?;
            world.note_use("GET /v1/analytics/sales");
            let mut known = BTreeMap::<(String, String), Figures>::new();
            for order in &orders {
                let register = order.register().0.to_owned();
                let bucket = match granularity {
                    Granularity::Hour => order.hour.to_string(),
                    Granularity::Day => order.day.to_string(),
                    _ => order.day.strftime("%Y-%m").to_string(),
                };
                add(known.entry((bucket, register)).or_default(), order);
            }
            let mut seen = BTreeMap::<(String, String), Figures>::new();
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
                *sum = sum.plus(read_figures(&row.metrics));
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
        world.note_use("GET /v1/analytics/products");
    }
    Ok(())
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
    // What each figure of an order that several tenders paid is rounded by, and cash to coins.
    let mut slack = 0;
    for order in orders {
        for paid in &order.payments {
            let sign = if order.is_return { -1 } else { 1 };
            *known.entry(paid.tender.to_owned()).or_default() += sign * paid.amount;
        }
        slack += order.rounding.abs();
        if order.tax() != 0 && order.payments.len() > 1 || order.rounding != 0 {
            slack += 4;
        }
    }
    let mut seen = BTreeMap::<String, i64>::new();
    for row in &answer.reply.rows {
        let tender = row.group.get("payment_method").cloned().flatten().unwrap_or_default();
        let of = read_figures(&row.metrics);
        *seen.entry(tender).or_default() += of.gross - of.discounts - of.returns + of.tax;
    }
    let tenders: BTreeSet<&String> = known.keys().chain(seen.keys()).collect();
    let differs = |tender: &&String| {
        let of = |sums: &BTreeMap<String, i64>| sums.get(*tender).copied().unwrap_or(0);
        (of(&seen) - of(&known)).abs() > slack
    };
    if tenders.iter().any(differs) {
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
            if order.is_return { *back += line.net() } else { *sold += line.worth }
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
