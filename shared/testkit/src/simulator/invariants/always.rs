//! What must hold after every step, seen in the changes of the tables.

use std::collections::BTreeMap;

use tillstream_app::database::{Item, Table};
use tillstream_app::pos::cart_item::cart_of;

use super::super::world::World;
use crate::memory_database::StreamChange;

/// What was seen of the changes so far.
#[derive(Default)]
pub struct Watch {
    orders_seen: u64,
    stock_seen: u64,
    /// Who has which number, by tenant and lane.
    numbers: BTreeMap<(String, String, i64), String>,
}

type Fault = (&'static str, String);

impl Watch {
    /// Looks at what has changed since.
    pub fn look(&mut self, world: &World) {
        let mut fault = None;
        if world.memory.last_change(Table::Orders) > self.orders_seen {
            let mut seen = self.orders_seen;
            world.memory.look_at_changes(Table::Orders, seen, |change| {
                seen = change.sequence;
                world.mark(change.sequence);
                if fault.is_none() {
                    fault = self.order(change).err();
                }
            });
            self.orders_seen = seen;
        }
        if world.memory.last_change(Table::Stock) > self.stock_seen {
            let mut seen = self.stock_seen;
            world.memory.look_at_changes(Table::Stock, seen, |change| {
                seen = change.sequence;
                world.mark(change.sequence.rotate_left(9));
                if fault.is_none() {
                    fault = stock(change).err();
                }
            });
            self.stock_seen = seen;
        }
        if let Some((invariant, seen)) = fault {
            world.fail(invariant, seen);
        }
    }

    fn order(&mut self, change: &StreamChange) -> Result<(), Fault> {
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
            if last != before + 1 {
                return Err(("numbers of a lane are 1 to n", format!("{last} after {before}: {new:?}")));
            }
            return Ok(());
        }
        if new.opt_text("sk") != Some("cart") {
            return Ok(());
        }
        let (before, now) = (number(&change.old, "version"), new.opt_number("version").unwrap_or(0));
        if before.is_some_and(|before| now != before + 1) {
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
        let lane = new.opt_text("lane").unwrap_or_default().to_owned();
        let tenant = new.opt_text("tenant_id").unwrap_or_default().to_owned();
        let other = self.numbers.insert((tenant, lane.clone(), given), pk.clone());
        if let Some(other) = other.filter(|other| *other != pk) {
            return Err(("a number is given once", format!("{lane}:{given} to {other} and {pk}")));
        }
        money(new)
    }
}

/// Lines sum to totals, payments less change are the total.
fn money(item: &Item) -> Result<(), Fault> {
    let cart = cart_of(item).map_err(|error| ("an order can be read", error.to_string()))?;
    let mut sum = 0;
    for line in &cart.lines {
        let amounts = cart.line_amounts(line).map_err(|error| ("an order can be read", error.to_string()))?;
        if amounts.total < 0 || amounts.discount < 0 {
            return Err(("no line is below zero", format!("{}: line {}: {amounts:?}", cart.id, line.number)));
        }
        sum += amounts.total;
    }
    let paid: i64 = cart.payments.iter().map(|payment| payment.amount - payment.change).sum();
    let total = item.opt_number("total");
    if total != Some(sum) || paid != sum {
        let seen = format!("{}: lines {sum}, total {total:?}, paid {paid}", cart.id);
        return Err(("lines sum to the total, and payments to it", seen));
    }
    Ok(())
}

/// A stock item's counters follow from each other and from its last movement.
fn stock(change: &StreamChange) -> Result<(), Fault> {
    let Some(new) = &change.new else { return Ok(()) };
    let Some(seq) = new.opt_number("seq") else { return Ok(()) };
    let now = |name: &str| new.opt_number(name).unwrap_or(0);
    let before = |name: &str| change.old.as_ref().and_then(|old| old.opt_number(name)).unwrap_or(0);
    let seen = || format!("{:?} became {new:?}", change.old);
    if now("available") != now("on_hand") - now("reserved") - now("safety_stock") {
        return Err(("available = on hand - reserved - safety stock", seen()));
    }
    if now("reserved") < 0 {
        return Err(("no less than nothing is reserved", seen()));
    }
    if seq == before("seq") {
        let same =
            ["on_hand", "reserved", "available", "damaged"].iter().all(|name| now(name) == before(name));
        return if same { Ok(()) } else { Err(("every movement is counted", seen())) };
    }
    if seq != before("seq") + 1 {
        return Err(("movements are counted one by one", seen()));
    }
    for (counter, movement) in
        [("on_hand", "last_on_hand"), ("reserved", "last_reserved"), ("damaged", "last_damaged")]
    {
        if now(counter) != before(counter) + now(movement) {
            return Err(("a counter is the sum of its movements", seen()));
        }
    }
    let counted = matches!(new.opt_text("last_kind"), Some("count" | "sync"));
    if now("available") < 0 && !counted && now("available") < before("available") {
        return Err(("nothing is sold twice", seen()));
    }
    Ok(())
}
