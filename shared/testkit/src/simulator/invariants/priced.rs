//! What was sold by a tenant's rules: lines are their price × quantity less what is taken off, tax is what the
//! rate says, and what may be used so often only was not used more often.

use std::collections::BTreeMap;

use tillstream_app::database::{Item, Table};
use tillstream_app::pos::cart_item::cart_of;
use tillstream_domain::cart::{Cart, CartKind};
use tillstream_domain::pricing::Source;

use super::super::books::{Books, GivenAbove, Order, worth};
use super::super::clients::OFFLINE;
use super::super::rules::Rules;
use super::super::world::{Tenant, World};
use super::at_rest::{Checked, broken};

/// Nothing is used more often than it may be.
const LIMITED: &str = "no coupon and no promotion is used more often than it may be";

/// All of it.
pub fn check(world: &World, books: &Books, tenant: &Tenant) -> Checked {
    let sales = books.orders.iter().filter(|((of, _), order)| *of == tenant.id && !order.is_return);
    for ((_, id), order) in sales {
        lines(tenant, id, order)?;
        taxes(tenant, id, order)?;
    }
    uses(world, books, tenant)?;
    above_limits(world, tenant)
}

fn lines(tenant: &Tenant, id: &str, order: &Order) -> Checked {
    for line in &order.lines {
        let left = if tenant.rules.taxes.included { line.paid() } else { line.net() };
        if left + line.shown_off != worth(line.quantity, line.price + line.extra) || left < 0 || line.tax < 0
        {
            return Err((
                "a line is its price × quantity, less what is taken off it",
                format!("{id}: {line:?}"),
            ));
        }
    }
    Ok(())
}

/// Each rate is on goods of one category, which bear no other; all of it is rounded one way that may have stood.
fn taxes(tenant: &Tenant, id: &str, order: &Order) -> Checked {
    let mut ways: Vec<bool> = order.stood.iter().map(|settings| settings.per_order).collect();
    ways.sort_unstable();
    ways.dedup();
    let mut seen = Err(("tax is what the rate says", format!("{id}: no settings stood")));
    for per_order in ways {
        seen = taxes_rounded(tenant, id, order, per_order);
        if seen.is_ok() {
            break;
        }
    }
    seen
}

fn taxes_rounded(tenant: &Tenant, id: &str, order: &Order, per_order: bool) -> Checked {
    let rules = &tenant.rules;
    let mut parts = BTreeMap::<(&str, u32), (i64, i64)>::new();
    for line in &order.lines {
        let category = tenant.goods_of(&line.sku).map_or("", |goods| goods.category);
        let part = if per_order { 0 } else { line.number };
        let (amount, tax) = parts.entry((category, part)).or_default();
        *amount += if rules.taxes.included { line.paid() } else { line.net() };
        *tax += line.tax;
    }
    for ((category, part), (amount, tax)) in parts {
        let is = rules.tax_on(category).map_or(0, |bps| rules.tax_of(amount, bps));
        if tax != is {
            let seen = format!("{id}: {tax} on {amount} of {category} ({part}), not {is}: {:?}", order.stood);
            return Err(("tax is what the rate says", seen));
        }
    }
    Ok(())
}

/// What is used, by kind and id; a customer's by that, too.
type Uses = BTreeMap<(String, String, Option<String>), i64>;

/// What the counters say is what final orders used, less what was given back.
fn uses(world: &World, books: &Books, tenant: &Tenant) -> Checked {
    let items = world.memory.items(Table::Orders);
    let mut counted = Uses::new();
    for item in items.iter().filter(|item| item.opt_text("sk") == Some("uses")) {
        if let Some(name) = counter_of(item, &tenant.id) {
            *counted.entry(name).or_default() += item.opt_number("used").unwrap_or(0);
        }
    }
    counted.retain(|_, used| *used != 0);
    let (mut known, mut offline) = (Uses::new(), Uses::new());
    let mut redeemed = BTreeMap::<&str, i64>::new();
    for item in items
        .iter()
        .filter(|item| item.opt_text("sk") == Some("cart") && item.opt_text("tenant_id") == Some(&tenant.id))
    {
        let cart = cart_of(item).map_err(broken)?;
        let order = books.orders.get(&(tenant.id.clone(), cart.id.clone()));
        let Some(order) = order.filter(|order| cart.kind == CartKind::Sale && !order.is_undone()) else {
            continue;
        };
        for code in &order.coupons {
            if let Some(coupon) = tenant.rules.coupons.iter().find(|coupon| coupon.code == *code) {
                *redeemed.entry(&coupon.code).or_default() += 1;
            }
        }
        enter_uses(&mut known, &cart);
        if order.offline {
            enter_uses(&mut offline, &cart);
        }
    }
    known.retain(|_, used| *used != 0);
    if counted != known {
        let seen = super::figures::differences(&counted, &known);
        return Err(("what is used up is what final orders used", format!("{}: {seen}", tenant.id)));
    }
    for (name, used) in &counted {
        let (kind, id, customer) = name;
        let limit = limit_of(&tenant.rules, kind, id, customer.is_some());
        // What a register gave that was cut off is counted whatever the limit says.
        let given = offline.get(name).copied().unwrap_or(0);
        if limit.is_none_or(|limit| *used - given > limit) {
            let seen = format!("{used}, {given} of them offline, of {limit:?}");
            return Err((LIMITED, format!("{}: {kind} {id} {customer:?}: {seen}", tenant.id)));
        }
        // The tills saw as many.
        let seen = redeemed.get(id.as_str()).copied().unwrap_or(0);
        if kind == "coupon" && customer.is_none() && seen != *used {
            let seen = format!("{}: {id}: {used}, the tills redeemed {seen}", tenant.id);
            return Err(("what is used up is what final orders used", seen));
        }
    }
    Ok(())
}

/// Of every use above a limit somebody is told, by how many it was, and of no other.
fn above_limits(world: &World, tenant: &Tenant) -> Checked {
    let told: GivenAbove = world
        .memory
        .items(Table::Stock)
        .iter()
        .filter(|item| item.opt_text("kind") == Some("uses_above_limit"))
        .filter(|item| item.opt_text("tenant_id") == Some(&tenant.id))
        .map(|item| {
            let text = |name: &str| item.opt_text(name).map(str::to_owned);
            let what = match text("coupon_code") {
                Some(code) => ("coupon".to_owned(), code),
                None => ("promotion".to_owned(), text("promotion_id").unwrap_or_default()),
            };
            let sale = text("order_id").unwrap_or_default();
            let uses = item.opt_number("quantity").unwrap_or(0) / 1_000;
            ((tenant.id.clone(), (sale, what.0, what.1)), uses)
        })
        .collect();
    let mut known = world.given_above.borrow().clone();
    known.retain(|(of, _), _| *of == tenant.id);
    if told != known {
        let seen = super::figures::differences(&told, &known);
        return Err(("of every use above a limit somebody is told", seen));
    }
    Ok(())
}

fn limit_of(rules: &Rules, kind: &str, id: &str, by_customer: bool) -> Option<i64> {
    match (kind, by_customer) {
        ("coupon", true) => rules.coupon(id)?.per_customer_limit,
        ("coupon", false) => rules.coupon(id)?.total_limit,
        (_, true) => None,
        (_, false) => rules.promotion_limit(id),
    }
}

fn enter_uses(known: &mut Uses, cart: &Cart) {
    for limited in &cart.charges.uses {
        let (kind, id) = match &limited.source {
            Source::Coupon { code } => ("coupon", code),
            Source::Promotion { id, .. } => ("promotion", id),
            Source::ManualDiscount { .. } => continue,
        };
        let by_all = limited.total.map(|_| None);
        let own = limited.per_customer.map(|_| cart.customer_id.clone());
        for customer in by_all.into_iter().chain(own) {
            let name = (kind.to_owned(), id.clone(), customer);
            *known.entry(name).or_default() += i64::from(limited.uses);
        }
    }
}

/// What a counter counts, if it is the tenant's.
fn counter_of(item: &Item, tenant: &str) -> Option<(String, String, Option<String>)> {
    let parts: Vec<&str> = item.opt_text("pk")?.split('#').collect();
    match parts.as_slice() {
        [of, "uses", kind, id, _] if *of == tenant => Some(((*kind).to_owned(), (*id).to_owned(), None)),
        [of, "uses-by-customer", kind, id, customer] if *of == tenant => {
            Some(((*kind).to_owned(), (*id).to_owned(), Some((*customer).to_owned())))
        }
        _ => None,
    }
}

/// The counters as they were seen last.
#[derive(Default)]
pub struct Counters(BTreeMap<String, i64>);

impl Counters {
    /// All of them, as they stand.
    pub fn of(world: &World) -> Self {
        let items = world.memory.items(Table::Orders);
        let counters = items.iter().filter(|item| item.opt_text("sk") == Some("uses"));
        let entry =
            |item: &Item| Some((item.opt_text("pk")?.to_owned(), item.opt_number("used").unwrap_or(0)));
        Counters(counters.filter_map(entry).collect())
    }

    /// Looks at a counter that changed, with the sale that became final by it or before it.
    pub fn look(&mut self, world: &World, item: &Item, sale: &str) -> Checked {
        let pk = item.opt_text("pk").unwrap_or_default();
        let now = item.opt_number("used").unwrap_or(0);
        let before = self.0.insert(pk.to_owned(), now).unwrap_or(0);
        // What is given back is counted whatever the limit says.
        if now <= before {
            return Ok(());
        }
        for tenant in &world.tenants {
            let Some((kind, id, customer)) = counter_of(item, &tenant.id) else { continue };
            let limit = limit_of(&tenant.rules, &kind, &id, customer.is_some());
            // Parts of a counter share all but the number at its end.
            let stem = match customer {
                Some(_) => pk,
                None => pk.rsplit_once('#').map_or(pk, |(stem, _)| stem),
            };
            let used: i64 = self.0.iter().filter(|(name, _)| name.starts_with(stem)).map(|(_, n)| n).sum();
            let above = (used - limit.unwrap_or(0)).clamp(0, now - before);
            if above == 0 {
                continue;
            }
            // What a register gave that was cut off is counted above the limit too, and nothing else is.
            if !sale.starts_with(OFFLINE) {
                return Err((LIMITED, format!("{pk}: {used} of {limit:?}, by {sale}")));
            }
            let mut given = world.given_above.borrow_mut();
            let most = given.entry((tenant.id.clone(), (sale.to_owned(), kind, id))).or_default();
            *most = above.max(*most);
        }
        Ok(())
    }
}
