//! Questions that an analyst might ask, drawn by chance: any span, store, dimension and granularity. Each
//! answer is the sum of the orders it is about.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use tillstream_app::Ports;
use tillstream_app::analytics::products::products;
use tillstream_app::analytics::sales::{categories, sales};
use tillstream_app::tenancy::Caller;
use tillstream_contracts::analytics::{CategoriesQuery, Granularity, GroupBy, ProductsQuery, SalesQuery};

use super::super::books::Order;
use super::super::chance::Chance;
use super::super::world::{Tenant, World};
use super::at_rest::{Checked, broken};
use super::figures::{Figures, add, differences, read_figures};

/// Of each tenant of a run.
const QUESTIONS: usize = 6;

/// The time a question is about.
#[derive(Debug, Clone, Copy)]
enum Time {
    Days(Date, Date),
    /// The hours from the one that begins at the first to the one that begins at the second.
    Hours(Timestamp, Timestamp),
}

impl Time {
    fn has(self, order: &Order) -> bool {
        match self {
            Time::Days(first, last) => (first..=last).contains(&order.day),
            Time::Hours(first, last) => (first..=last).contains(&order.hour),
        }
    }

    /// `from` and `to`.
    fn shown(self) -> (Option<String>, Option<String>) {
        match self {
            Time::Days(first, last) => (Some(first.to_string()), Some(last.to_string())),
            Time::Hours(first, last) => {
                let within = last.checked_add(jiff::SignedDuration::from_secs(1)).unwrap_or(last);
                (Some(first.to_string()), Some(within.to_string()))
            }
        }
    }

    fn drawn(chance: &Chance, orders: &[&Order]) -> Option<Time> {
        let (one, other) = (chance.one_of(orders)?, chance.one_of(orders)?);
        Some(if chance.percent(35) {
            Time::Hours(one.hour.min(other.hour), one.hour.max(other.hour))
        } else {
            let (first, last) = (one.day.min(other.day), one.day.max(other.day));
            // Days without sales too, and months that are only partly asked for.
            let earlier = jiff::Span::new().days(chance.between(0, 40));
            let later = jiff::Span::new().days(chance.between(0, 9));
            Time::Days(first.saturating_sub(earlier), last.saturating_add(later))
        })
    }
}

/// Asks, and compares with the orders.
pub async fn ask(
    world: &World,
    ports: &Ports,
    tenant: &Tenant,
    caller: &Caller,
    orders: &[&Order],
) -> Checked {
    let chance = &world.chance;
    for _ in 0..QUESTIONS {
        let shop = chance.one_of(&tenant.shops).filter(|_| chance.percent(50)).map(|shop| shop.id.clone());
        let in_reach: Vec<&Order> = orders
            .iter()
            .copied()
            .filter(|order| shop.as_ref().is_none_or(|shop| order.store == *shop))
            .collect();
        // Two stores of different zones give an hour different beginnings: by day only, then.
        let Some(time) = Time::drawn(chance, &in_reach) else { continue };
        let time = match (time, &shop) {
            (Time::Hours(first, _), None) if tenant.shops.len() > 1 => {
                let day = in_reach.iter().find(|order| order.hour == first).map(|order| order.day);
                let Some(day) = day else { continue };
                Time::Days(day, day)
            }
            (time, _) => time,
        };
        let asked: Vec<&Order> = in_reach.into_iter().filter(|order| time.has(order)).collect();
        let question = Question { ports, tenant, caller, shop, time, orders: &asked };
        match chance.below(5) {
            // Products are counted by day.
            0 if matches!(time, Time::Days(..)) => question.of_products().await?,
            1 => {
                question.of_categories().await?;
                world.note_use("GET /v1/analytics/categories");
            }
            _ => question.of_sales(chance).await?,
        }
    }
    Ok(())
}

struct Question<'a> {
    ports: &'a Ports,
    tenant: &'a Tenant,
    caller: &'a Caller,
    shop: Option<String>,
    time: Time,
    /// The orders it is about.
    orders: &'a [&'a Order],
}

impl Question<'_> {
    fn same<V: PartialEq + std::fmt::Debug>(
        &self,
        what: &str,
        seen: &BTreeMap<Vec<String>, V>,
        known: &BTreeMap<Vec<String>, V>,
    ) -> Checked {
        if seen == known {
            return Ok(());
        }
        let (tenant, shop) = (&self.tenant.id, self.shop.as_deref().unwrap_or("all stores"));
        let seen = format!("{tenant} {shop} {:?} {what}: {}", self.time, differences(seen, known));
        Err(("any question is answered by the sum of its orders", seen))
    }

    async fn of_sales(&self, chance: &Chance) -> Checked {
        let dimensions = [
            (GroupBy::Store, "store"),
            (GroupBy::Register, "register"),
            (GroupBy::Employee, "employee"),
            (GroupBy::Channel, "channel"),
            (GroupBy::Segment, "segment"),
        ];
        let Some((group_by, name)) = chance.one_of(&dimensions) else { return Ok(()) };
        let granularities = [Granularity::Hour, Granularity::Day, Granularity::Week, Granularity::Month];
        let by_hour = matches!(self.time, Time::Hours(..));
        // By the hour no more than a month can be asked for.
        let from =
            usize::from(!by_hour && matches!(self.time, Time::Days(first, last) if days(first, last) > 30));
        let Some(granularity) = granularities.get(from..).and_then(|some| chance.one_of(some)).copied()
        else {
            return Ok(());
        };
        let (from, to) = self.time.shown();
        let limit = u32::try_from(1 + chance.below(80)).ok();
        let (mut rows, mut cursor) = (Vec::new(), None);
        loop {
            let query = SalesQuery {
                store_id: self.shop.clone(),
                from: from.clone(),
                to: to.clone(),
                granularity,
                group_by: Some(*group_by),
                limit,
                cursor,
                ..SalesQuery::default()
            };
            let reply = sales(self.ports, self.caller, &query, None).await.map_err(broken)?.reply;
            rows.extend(reply.rows);
            match reply.next_cursor {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        let mut known = BTreeMap::<Vec<String>, Figures>::new();
        for order in self.orders {
            let mut key = match group_by {
                GroupBy::Store => vec![order.store.clone()],
                GroupBy::Register => vec![format!("{}/{}", order.store, order.register().0)],
                GroupBy::Employee => vec![order.employee.clone()],
                GroupBy::Segment => vec![order.segment.clone().unwrap_or_default()],
                _ => vec![order.channel.clone()],
            };
            if granularity == Granularity::Day {
                key.push(order.day.to_string());
            }
            add(known.entry(key).or_default(), order);
        }
        let mut seen = BTreeMap::<Vec<String>, Figures>::new();
        for row in &rows {
            let of = |name: &str| row.group.get(name).cloned().flatten().unwrap_or_default();
            let mut key = vec![match group_by {
                GroupBy::Register => {
                    let store = self.shop.clone().unwrap_or_else(|| of("store"));
                    format!("{store}/{}", of("register"))
                }
                _ => of(name),
            }];
            if granularity == Granularity::Day {
                key.push(row.bucket.chars().take(10).collect());
            }
            let all = seen.entry(key).or_default();
            *all = all.plus(read_figures(&row.metrics));
        }
        // A row of nothing says the same as no row.
        seen.retain(|_, figures| *figures != Figures::default());
        self.same(&format!("by {name} and {granularity:?}"), &seen, &known)
    }

    fn category_of(&self, sku: &str) -> String {
        self.tenant.goods_of(sku).map(|goods| goods.category.to_owned()).unwrap_or_default()
    }

    /// Worth of what was sold and of what came back, sales and returns, by category.
    async fn of_categories(&self) -> Checked {
        let (from, to) = self.time.shown();
        let query = CategoriesQuery { store_id: self.shop.clone(), from, to };
        let answer = categories(self.ports, self.caller, &query, None).await.map_err(broken)?;
        let mut known = BTreeMap::<Vec<String>, (i64, i64, u64, u64)>::new();
        for order in self.orders {
            let mut named = BTreeSet::new();
            for line in &order.lines {
                let category = self.category_of(&line.sku);
                let figures = known.entry(vec![category.clone()]).or_default();
                if order.is_return {
                    figures.1 += line.net()
                } else {
                    figures.0 += line.worth
                }
                // An order counts once in each category it has lines of.
                if named.insert(category) {
                    *(if order.is_return { &mut figures.3 } else { &mut figures.2 }) += 1;
                }
            }
        }
        let mut seen = BTreeMap::<Vec<String>, (i64, i64, u64, u64)>::new();
        for row in &answer.reply.rows {
            let category = row.group.get("category").cloned().flatten().unwrap_or_default();
            let of = read_figures(&row.metrics);
            let all = seen.entry(vec![category]).or_default();
            *all = (all.0 + of.gross, all.1 + of.returns, all.2 + of.sales, all.3 + of.backs);
        }
        seen.retain(|_, figures| *figures != (0, 0, 0, 0));
        self.same("by category", &seen, &known)
    }

    async fn of_products(&self) -> Checked {
        let (from, to) = self.time.shown();
        let mut known = BTreeMap::<Vec<String>, (i64, i64)>::new();
        for line in
            self.orders.iter().flat_map(|order| order.lines.iter().map(|line| (order.is_return, line)))
        {
            let (sold, back) = known.entry(vec![line.1.sku.clone()]).or_default();
            if line.0 { *back += line.1.net() } else { *sold += line.1.worth }
        }
        let mut seen = BTreeMap::<Vec<String>, (i64, i64)>::new();
        let mut named = BTreeSet::new();
        let mut cursor = None;
        loop {
            let query = ProductsQuery {
                store_id: self.shop.clone(),
                from: from.clone(),
                to: to.clone(),
                limit: Some(40),
                cursor,
                ..ProductsQuery::default()
            };
            let reply = products(self.ports, self.caller, &query, None).await.map_err(broken)?.reply;
            for row in &reply.rows {
                let sku = row.group.get("sku").cloned().flatten().unwrap_or_default();
                // Once for each calendar that stores have.
                if !named.insert((row.bucket.clone(), sku.clone())) {
                    return Err(("a list names each product once", sku));
                }
                let all = seen.entry(vec![sku]).or_default();
                all.0 += row.metrics.gross_sales.amount;
                all.1 += row.metrics.returns.amount;
            }
            match reply.next_cursor {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        self.same("by product", &seen, &known)
    }
}

fn days(first: Date, last: Date) -> i32 {
    last.since(first).map_or(i32::MAX, |span| span.get_days())
}
