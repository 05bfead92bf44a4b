//! What must hold after every step, seen in the changes of the tables.

use std::collections::BTreeMap;

use tillstream_app::database::{Item, Table};
use tillstream_app::pos::cart_item::cart_of;

use super::super::world::World;
use super::coins::Coins;
use super::corrected;
use super::lots::Lots;
use super::priced::Counters;
use crate::memory_database::StreamChange;

/// What was seen of the changes so far.
#[derive(Default)]
pub struct Watch {
    orders_seen: u64,
    stock_seen: u64,
    /// Who has which number, by tenant and lane.
    numbers: BTreeMap<(String, String, i64), String>,
    counters: Counters,
    coins: Coins,
    lots: Lots,
    /// The sale that became final last.
    sale: String,
    /// Restores that were seen.
    restores: u32,
}

type Fault = (&'static str, String);

impl Watch {
    /// Looks at what has changed since.
    pub fn look(&mut self, world: &World) {
        let mut fault = None;
        if self.restores != world.restores.count.get() {
            // Counters are what they were at the backup; numbers that were given out stay given out.
            self.counters = Counters::of(world);
            self.coins = Coins::of(world);
            self.restores = world.restores.count.get();
        }
        if world.memory.last_change(Table::Orders) > self.orders_seen {
            let mut seen = self.orders_seen;
            world.memory.look_at_changes(Table::Orders, seen, |change| {
                seen = change.sequence;
                world.mark(change.sequence);
                if fault.is_none() {
                    fault = self.order(world, change).err();
                }
            });
            self.orders_seen = seen;
        }
        if world.memory.last_change(Table::Stock) > self.stock_seen {
            let mut seen = self.stock_seen;
            let lots = &mut self.lots;
            world.memory.look_at_changes(Table::Stock, seen, |change| {
                seen = change.sequence;
                world.mark(change.sequence.rotate_left(9));
                if fault.is_none() {
                    let watched = world.stock_watch.borrow_mut().look(world, change);
                    let moved = match corrected::is_aside(change) {
                        true => corrected::look(&mut world.by_hand.borrow_mut(), change),
                        false => stock(change),
                    };
                    fault = moved.and(watched).and_then(|()| lots.look(world, change)).err();
                }
            });
            self.stock_seen = seen;
            if fault.is_none() {
                fault = world.stock_watch.borrow_mut().settled(world).err();
            }
        }
        if fault.is_none() {
            fault = world.stock_watch.borrow_mut().carts_ended(world).err();
        }
        if let Some((invariant, seen)) = fault {
            world.fail(invariant, seen);
        }
    }

    fn order(&mut self, world: &World, change: &StreamChange) -> Result<(), Fault> {
        let number = |item: &Option<Item>, name: &str| item.as_ref().and_then(|item| item.opt_number(name));
        let Some(new) = &change.new else {
            return if number(&change.old, "lane_number").is_some() {
                Err(("an order stays", format!("{:?}", change.old)))
            } else {
                Ok(())
            };
        };
        if let Some(last) = new.opt_number("last") {
            let before = number(&change.old, "last").unwrap_or(0);
            let epoch = |item: &Option<Item>| number(item, "epoch").unwrap_or(0);
            match (epoch(&change.old), epoch(&change.new)) {
                (was, is) if was == is => {}
                (was, is) if is > was && last == 0 => return Ok(()),
                (was, is) => {
                    let seen = format!("{is} after {was}: {new:?}");
                    return Err(("a lane begins its epochs in order, with no number", seen));
                }
            }
            let shift = |item: &Option<Item>| {
                item.as_ref().and_then(|item| item.opt_text("shift_id")).map(str::to_owned)
            };
            match (shift(&change.old), shift(&change.new)) {
                (was, is) if was == is => {}
                (Some(was), Some(is)) => {
                    return Err(("one shift of a register is open", format!("{was} and {is}")));
                }
                // A shift began or ended, and nothing was sold with that.
                _ if last == before => return Ok(()),
                _ => {}
            }
            // An exchange takes two at once, for its return and its sale; that none is missing is asked at rest.
            if last != before + 1 && last != before + 2 {
                return Err(("numbers of a lane are 1 to n", format!("{last} after {before}: {new:?}")));
            }
            return Ok(());
        }
        match new.opt_text("sk") {
            Some("cart") => {}
            Some("uses") => return self.counters.look(world, new, &self.sale),
            Some("balance") => return balance(change.old.as_ref(), new),
            _ => return Ok(()),
        }
        let ends = |item: &Item| matches!(item.opt_text("state"), Some("finalized" | "voided"));
        if ends(new) && !change.old.as_ref().is_some_and(ends) && new.get("holds").is_none() {
            let name = |name: &str| new.opt_text(name).unwrap_or_default();
            world.stock_watch.borrow_mut().cart_ended(name("tenant_id"), name("cart_id"));
        }
        let (before, now) = (number(&change.old, "version"), new.opt_number("version").unwrap_or(0));
        if before.is_some_and(|before| now != before + 1) && !is_only_announced(change.old.as_ref(), new) {
            return Err(("a cart's versions follow each other", format!("{now} after {before:?}: {new:?}")));
        }
        let before = number(&change.old, "lane_number");
        let Some(given) = new.opt_number("lane_number") else {
            return if before.is_some() { Err(("an order stays", format!("{new:?}"))) } else { Ok(()) };
        };
        if before.is_some_and(|before| before != given) {
            return Err(("an order keeps its number", format!("{given} after {before:?}")));
        }
        let pk = new.opt_text("pk").unwrap_or_default().to_owned();
        if before.is_none() && new.opt_text("kind") == Some("sale") {
            self.sale = pk.rsplit('#').next().unwrap_or_default().to_owned();
        }
        let lane = new.opt_text("lane").unwrap_or_default().to_owned();
        let tenant = new.opt_text("tenant_id").unwrap_or_default().to_owned();
        let other = self.numbers.insert((tenant, lane.clone(), given), pk.clone());
        if let Some(other) = other.filter(|other| *other != pk) {
            return Err(("a number is given once", format!("{lane}:{given} to {other} and {pk}")));
        }
        self.money(world, new)
    }

    /// Lines sum to totals, payments less change are the total.
    fn money(&mut self, world: &World, item: &Item) -> Result<(), Fault> {
        let cart = cart_of(item).map_err(|error| ("an order can be read", error.to_string()))?;
        let mut sum = 0;
        for line in &cart.lines {
            let amounts =
                cart.line_amounts(line).map_err(|error| ("an order can be read", error.to_string()))?;
            if amounts.total < 0 || amounts.discount < 0 {
                let seen = format!("{}: line {}: {amounts:?}", cart.id, line.number);
                return Err(("no line is below zero", seen));
            }
            sum += amounts.total;
        }
        let paid: i64 = cart.payments.iter().map(|payment| payment.amount - payment.change).sum();
        let total = item.opt_number("total");
        let totals = cart.totals().map_err(|error| ("an order can be read", error.to_string()))?;
        let rounding = totals.cash_rounding;
        if total != Some(sum) || paid != sum + rounding || totals.due != 0 {
            let seen = format!("{}: lines {sum}, total {total:?}, paid {paid}, to coins {rounding}", cart.id);
            return Err(("lines sum to the total, and payments to it", seen));
        }
        let tenant = item.opt_text("tenant_id").unwrap_or_default();
        self.lots.is_final(tenant, &cart);
        self.coins.look(world, tenant, &cart, rounding)
    }
}

/// No gift card holds less than nothing, and each of its changes is counted.
fn balance(old: Option<&Item>, new: &Item) -> Result<(), Fault> {
    if new.opt_number("balance").is_none_or(|balance| balance < 0) {
        return Err(("a gift card holds no less than nothing", format!("{old:?} became {new:?}")));
    }
    let version = |item: &Item| item.opt_number("version").unwrap_or(0);
    if version(new) != old.map_or(0, version) + 1 {
        return Err(("changes of a gift card are counted one by one", format!("{old:?} became {new:?}")));
    }
    Ok(())
}

/// Whether nothing changed but when a change of the order is to be looked after.
fn is_only_announced(old: Option<&Item>, new: &Item) -> bool {
    let rest = |item: &Item| {
        let mut rest = item.clone();
        rest.0.retain(|name, _| !name.starts_with("due_"));
        rest
    };
    old.is_some_and(|old| rest(old) == rest(new))
}

/// What is resolved is not resolved again by somebody else.
fn exception(old: Option<&Item>, new: &Item) -> Result<(), Fault> {
    let resolution = |item: &Item| {
        let resolved = item.opt_text("state") == Some("resolved");
        item.opt_text("resolve_key").filter(|_| resolved).map(str::to_owned)
    };
    match (old.and_then(resolution), resolution(new)) {
        (Some(was), Some(is)) if was != is => {
            Err(("an exception is resolved once", format!("{old:?} became {new:?}")))
        }
        _ => Ok(()),
    }
}

/// A stock item's counters follow from each other and from its last movement.
fn stock(change: &StreamChange) -> Result<(), Fault> {
    let Some(new) = &change.new else { return Ok(()) };
    let Some(seq) = new.opt_number("seq") else { return exception(change.old.as_ref(), new) };
    let now = |name: &str| new.opt_number(name).unwrap_or(0);
    let before = |name: &str| change.old.as_ref().and_then(|old| old.opt_number(name)).unwrap_or(0);
    let seen = || format!("{:?} became {new:?}", change.old);
    if now("available") != now("on_hand") - now("reserved") - now("safety_stock") {
        return Err(("available = on hand - reserved - safety stock", seen()));
    }
    if now("reserved") < 0 {
        return Err(("no less than nothing is reserved", seen()));
    }
    if now("in_transit") < 0 {
        return Err(("no less than nothing is on its way", seen()));
    }
    if now("on_order") < 0 {
        return Err(("no less than nothing is on order", seen()));
    }
    if now("quarantined") < 0 {
        return Err(("no less than nothing is kept aside", seen()));
    }
    if seq == before("seq") {
        let same = ["on_hand", "reserved", "available", "damaged", "in_transit", "on_order", "quarantined"]
            .iter()
            .all(|name| now(name) == before(name));
        return if same { Ok(()) } else { Err(("every movement is counted", seen())) };
    }
    if seq != before("seq") + 1 {
        return Err(("movements are counted one by one", seen()));
    }
    for (counter, movement) in [
        ("on_hand", "last_on_hand"),
        ("reserved", "last_reserved"),
        ("damaged", "last_damaged"),
        ("in_transit", "last_in_transit"),
        ("on_order", "last_on_order"),
        ("quarantined", "last_quarantined"),
    ] {
        if now(counter) != before(counter) + now(movement) {
            return Err(("a counter is the sum of its movements", seen()));
        }
    }
    let counted = matches!(
        new.opt_text("last_kind"),
        Some("count" | "sync" | "lot_quarantine" | "lot_expire" | "lot_assign")
    );
    if now("available") < 0 && !counted && now("available") < before("available") {
        return Err(("nothing is sold twice", seen()));
    }
    Ok(())
}
