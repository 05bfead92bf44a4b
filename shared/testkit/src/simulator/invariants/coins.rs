//! What is paid and given back in cash, to coins: to the nearest, unless less is left of what came in.

use std::collections::BTreeMap;

use tillstream_app::database::{Item, Table};
use tillstream_app::pos::cart_item::cart_of;
use tillstream_domain::cart::{Cart, CartKind, EXCHANGE};

use super::super::books::Of;
use super::super::world::World;
use super::at_rest::Checked;

const ROUNDED: &str = "only cash is rounded, to the nearest coin or the last that is left";

/// What was paid for sales and went back of them, as they were seen to become final.
#[derive(Default)]
pub struct Coins(BTreeMap<Of<String>, Sale>);

/// Amounts in minor units.
#[derive(Default)]
struct Sale {
    /// What was kept of its payments.
    paid: i64,
    /// What of that is beyond its lines.
    rounding: i64,
    /// By return: what tenders gave back, and what was taken for other goods.
    back: BTreeMap<String, (i64, i64)>,
}

impl Coins {
    /// Of the orders as they stand.
    pub fn of(world: &World) -> Self {
        let mut coins = Coins::default();
        let final_orders = |item: &Item| {
            let tenant = item.opt_text("tenant_id")?.to_owned();
            item.opt_number("lane_number")?;
            Some((tenant, cart_of(item).ok()?))
        };
        let items = world.memory.items(Table::Orders);
        for (tenant, cart) in items.iter().filter_map(final_orders) {
            coins.enter(&tenant, &cart);
        }
        coins
    }

    /// Looks at an order that is final, of which so much was paid, or given back, beyond its lines.
    pub fn look(&mut self, world: &World, tenant: &str, cart: &Cart, rounding: i64) -> Checked {
        self.enter(tenant, cart);
        let seen = |why: &str| Err((ROUNDED, format!("{}: {rounding}, {why}", cart.id)));
        let original = cart.return_of.as_ref().and_then(|head| head.original.as_ref());
        let sale = original.and_then(|sale| self.0.get(&(tenant.to_owned(), sale.order_id.clone())));
        if cart.course.undoes.is_some() {
            // What was paid goes back as it came.
            return match sale.map(|sale| sale.rounding) {
                Some(was) if was == rounding => Ok(()),
                was => seen(&format!("its sale {was:?}")),
            };
        }
        let cash = cart.payments.iter().any(|payment| payment.tender == "cash");
        let coin = if cash { world.course.borrow().coin_max(tenant) } else { 1 };
        // What another system asked for a sale differs by a penny a line.
        let lines = i64::try_from(cart.lines.len()).unwrap_or(0);
        let asked = if cart.course.recorded.is_some() { lines } else { 0 };
        // What a register asked that was cut off, it asked.
        let register = world.asked_totals.borrow().get(&(tenant.to_owned(), cart.id.clone())).copied();
        let asked = asked + register.map_or(0, |register| (register.asked - register.total).abs());
        if rounding.abs() <= coin / 2 + asked {
            return Ok(());
        }
        if cart.kind == CartKind::Sale || rounding > 0 {
            return seen("not to the nearest");
        }
        // What may go back without a sale is what was approved: where the nearest coin is above that, the one below.
        let paid: i64 = cart.payments.iter().map(|paid| paid.amount).sum();
        if cart.approvals.refund_limit().is_some_and(|most| paid <= most && paid + coin > most) {
            return if rounding > -coin { Ok(()) } else { seen("more than a coin") };
        }
        // Returns of parts are rounded each by itself, so what went up with those before is missing from the last
        // ones: of ten pieces at 0.53 nine go back for 0.55, and the tenth for 0.35. How much that is grows with the
        // number of parts (each adds up to half a coin), and no number bounds it for all sales. But it is the end of
        // the sale's money: what is left of it then is no coin, and where it is not cash, nothing.
        match sale.map(Sale::left) {
            Some(left) if left < coin => Ok(()),
            left => seen(&format!("of the sale {left:?} is left")),
        }
    }

    fn enter(&mut self, tenant: &str, cart: &Cart) {
        let of = |id: &str| (tenant.to_owned(), id.to_owned());
        if cart.kind == CartKind::Sale {
            let sale = self.0.entry(of(&cart.id)).or_default();
            sale.paid = cart.payments.iter().map(|paid| paid.amount - paid.change).sum();
            sale.rounding = cart.terms.cash_rounding.values().sum();
        } else if let Some(original) = cart.return_of.as_ref().and_then(|head| head.original.as_ref()) {
            let sum = |is_exchange: bool| {
                let of = cart.payments.iter().filter(|paid| (paid.tender == EXCHANGE) == is_exchange);
                of.map(|paid| paid.amount).sum()
            };
            let back = (sum(false), sum(true));
            self.0.entry(of(&original.order_id)).or_default().back.insert(cart.id.clone(), back);
        }
    }
}

impl Sale {
    /// What tenders can still give back.
    fn left(&self) -> i64 {
        let sum = |of: fn(&(i64, i64)) -> i64| self.back.values().map(of).sum::<i64>();
        let left = self.paid - sum(|back| back.0);
        // Of what was sold for less than its lines, tenders give back no more than goods are worth that were not
        // taken for others.
        if self.rounding < 0 { left - sum(|back| back.1) } else { left }
    }
}
