//! Lots, after every step: followed movement by movement, one lot after the other, and not by the rule of two counters
//! by which the system knows them.
//!
//! What leaves and names no lot is of the lots that end first; what names one changes that one; what a stock item says
//! of its lots is always what is there. Nothing is sold of a lot whose day is over, as the sale tells its time and, unless
//! its register was cut off, by our clock; and nothing of a recalled lot is for sale once the recall has come everywhere.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tillstream_app::database::Item;
use tillstream_domain::cart::Cart;
use tillstream_domain::lot_book::{Lot, LotBook};

use super::super::books::{LotMove, Of, Shop};
use super::super::clients::OFFLINE;
use super::super::world::World;
use crate::memory_database::StreamChange;

/// Tenants with more goods have orders and reservations of which the stock follows after they are decided: goods that
/// were good then may be past their day when they leave.
const GOODS_MAX: usize = 100;
/// Movements by which goods go that must be good.
const TAKES: [&str; 5] = ["sale", "commit", "exchange", "transfer_ship", "adjustment"];
/// Movements by which customers get goods, or bring some back.
const OF_CUSTOMERS: [&str; 4] = ["sale", "commit", "exchange", "return"];

const NOT_RECALLED: &str = "nothing of a recalled lot is for sale";

type Fault = (&'static str, String);

/// Tenant, location and SKU.
type Name = (String, String, String);

/// What goes first: what ends first, of that what came first, then by id; what never ends goes last.
type Rank = (bool, i64, i64, String);

/// So much of a lot, in thousandths: for sale, and kept aside.
type There = (i64, i64);

fn rank(lot: &Lot) -> Rank {
    (lot.sell_until.is_none(), lot.sell_until.unwrap_or(0), lot.received_at, lot.id.clone())
}

/// Whether its day is over.
fn is_over(rank: &Rank, at: i64) -> bool {
    !rank.0 && rank.1 <= at
}

fn text<'i>(item: &'i Item, name: &str) -> &'i str {
    item.opt_text(name).unwrap_or_default()
}

/// The lots of a stock item.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Shelf {
    /// Those of which there is anything.
    lots: BTreeMap<Rank, There>,
    /// What is of no known lot.
    unknown: i64,
}

impl Shelf {
    /// As the system tells them.
    fn told(book: &LotBook) -> Self {
        let there = book.lots().iter().map(|lot| (rank(lot), (lot.quantity, lot.quarantined)));
        Shelf { lots: there.filter(|(_, there)| *there != (0, 0)).collect(), unknown: book.unknown() }
    }

    /// What leaves is of the lots in their order, what nobody knows last; what comes is of no known lot.
    fn moved(mut self, by: i64) -> Self {
        let mut left = (-by).max(0);
        for lot in self.lots.values_mut() {
            let taken = lot.0.min(left);
            lot.0 -= taken;
            left -= taken;
        }
        self.unknown += by.max(0) - left;
        self.lots.retain(|_, there| *there != (0, 0));
        self
    }

    fn of(&self, rank: &Rank) -> There {
        self.lots.get(rank).copied().unwrap_or_default()
    }

    /// So much of a lot is for sale.
    fn for_sale(&self, lot: &str) -> i64 {
        self.lots.iter().filter(|(rank, _)| rank.3 == lot).map(|(_, there)| there.0).sum()
    }

    /// The lots that differ from what was there before: what there was, and is.
    fn changes_since<'s>(&'s self, before: &'s Shelf) -> Vec<(&'s Rank, There, There)> {
        let ranks: BTreeSet<&Rank> = before.lots.keys().chain(self.lots.keys()).collect();
        let all = ranks.into_iter().map(|rank| (rank, before.of(rank), self.of(rank)));
        all.filter(|(_, was, is)| was != is).collect()
    }
}

/// Whether a lot is recalled, and whether that has come everywhere.
#[derive(Debug, Clone, Copy, Default)]
struct Recall {
    is_recalled: bool,
    is_everywhere: bool,
}

/// What was seen of lots so far.
#[derive(Default)]
pub struct Lots {
    shelves: BTreeMap<Name, Shelf>,
    recalls: BTreeMap<Of<String>, Recall>,
    /// When orders became final by our clock that were sold while their registers were not cut off.
    sold_at: BTreeMap<Of<String>, i64>,
}

impl Lots {
    /// An order is final.
    pub fn is_final(&mut self, tenant: &str, cart: &Cart) {
        // What another system sold has left the shop, too.
        let is_online = !cart.id.starts_with(OFFLINE) && cart.course.recorded.is_none();
        if let Some(is) = cart.finalized.as_ref().filter(|_| is_online) {
            self.sold_at.insert((tenant.to_owned(), cart.id.clone()), is.recorded_at.as_millisecond());
        }
    }

    /// Looks at a change of the stock table.
    pub fn look(&mut self, world: &World, change: &StreamChange) -> Result<(), Fault> {
        let (old, Some(new)) = (change.old.as_ref(), change.new.as_ref()) else { return Ok(()) };
        if text(new, "sk") == "lot" {
            return self.lot(old, new);
        }
        if new.opt_number("seq").is_none() {
            return Ok(());
        }
        let is_kept = |item: &Item| item.opt_text("lots").is_some();
        match (old.is_some_and(is_kept), is_kept(new)) {
            (_, true) => self.stock(world, old, new),
            (true, false) => Err(("what is kept by lots stays so", format!("{old:?} became {new:?}"))),
            (false, false) => Ok(()),
        }
    }

    /// A lot was made, recalled or released, or that has come everywhere.
    fn lot(&mut self, old: Option<&Item>, new: &Item) -> Result<(), Fault> {
        let stays = |name: &&str| old.is_none_or(|old| old.get(name) == new.get(name));
        if !["sku", "expires_on", "created_at"].iter().all(stays) {
            return Err(("a lot keeps its SKU and its day", format!("{old:?} became {new:?}")));
        }
        let (tenant, id) = (text(new, "tenant_id"), text(new, "lot_id"));
        let recall = Recall {
            is_recalled: text(new, "state") == "quarantined",
            is_everywhere: new.get("due_pk").is_none(),
        };
        self.recalls.insert((tenant.to_owned(), id.to_owned()), recall);
        if !(recall.is_recalled && recall.is_everywhere) {
            return Ok(());
        }
        let mut mine = self.shelves.iter().filter(|((of, ..), _)| of == tenant);
        match mine.find(|(_, shelf)| shelf.for_sale(id) > 0) {
            Some((name, shelf)) => Err((NOT_RECALLED, format!("{id} at {name:?}: {shelf:?}"))),
            None => Ok(()),
        }
    }

    fn recall_of(&self, tenant: &str, lot: &str) -> Recall {
        self.recalls.get(&(tenant.to_owned(), lot.to_owned())).copied().unwrap_or_default()
    }

    /// A stock item that is kept by lots changed.
    fn stock(&mut self, world: &World, old: Option<&Item>, new: &Item) -> Result<(), Fault> {
        let now = |name: &str| new.opt_number(name).unwrap_or(0);
        let before = |name: &str| old.and_then(|old| old.opt_number(name)).unwrap_or(0);
        let seen = || format!("{old:?} became {new:?}");
        let written: LotBook = new.json("lots").map_err(|error| ("lots can be read", error.to_string()))?;
        let book = written.as_of(now("on_hand"), now("came_in"));
        let is = Shelf::told(&book);
        let (tenant, location) = (text(new, "tenant_id"), text(new, "location_id"));
        let name = (tenant.to_owned(), location.to_owned(), text(new, "sku").to_owned());
        // Before its first lot all of it is of no known one.
        let unknown = || Shelf { unknown: before("on_hand"), ..Shelf::default() };
        let was = self.shelves.get(&name).cloned().unwrap_or_else(unknown);
        let moved = if now("seq") == before("seq") { 0 } else { now("last_on_hand") };

        if now("came_in") != before("came_in") + moved.max(0) {
            return Err(("what comes in is counted", seen()));
        }
        let is_sold_out = is.lots.values().all(|there| there.0 == 0);
        if is.lots.values().any(|there| there.0 < 0 || there.1 < 0) || (is.unknown < 0 && !is_sold_out) {
            return Err(("no lot is below zero", seen()));
        }
        if is.lots.values().map(|there| there.1).sum::<i64>() != now("quarantined") {
            return Err(("what is kept aside is kept aside with its lots", seen()));
        }
        let first = is.lots.iter().find(|(rank, there)| there.0 > 0 && !rank.0).map(|(rank, _)| rank.1);
        if first.is_some_and(|first| new.opt_number("lots_due_at").is_none_or(|due| due > first)) {
            return Err(("a stock item knows when the first of its lots ends", seen()));
        }
        if now("lots_version") == before("lots_version") {
            if was.clone().moved(moved) != is {
                let told = format!("{was:?} moved by {moved} is told as {is:?}: {}", seen());
                return Err(("what leaves is of the lots that end first", told));
            }
        } else if book != written || now("lots_version") != before("lots_version") + 1 {
            return Err(("lots are written as what is there", seen()));
        } else if !is_named_rightly(&was, &is, new) {
            let told = format!("{was:?} became {is:?}: {}", seen());
            return Err(("who names a lot changes that one", told));
        }
        let changes = is.changes_since(&was);
        self.check_recalls(tenant, &is, &changes, &seen)?;
        let unheard = changes.iter().filter(|(rank, ..)| !was.lots.contains_key(*rank));
        for lot in unheard.filter_map(|(rank, ..)| book.lot(&rank.3)) {
            if !ends_with_its_day(world, tenant, location, lot) {
                return Err((
                    "a lot ends with the business day of its location",
                    format!("{lot:?}: {}", seen()),
                ));
            }
        }
        let kind = text(new, "last_kind");
        if moved < 0 && TAKES.contains(&kind) && now("lots_version") == before("lots_version") {
            let is_long =
                world.tenants.iter().any(|owner| owner.id == tenant && owner.goods.len() > GOODS_MAX);
            let is_decided = is_long && now("last_reserved") < 0;
            let by_us = self.sold_at.get(&(tenant.to_owned(), text(new, "last_ref").to_owned())).copied();
            let at = now("last_at").max(by_us.unwrap_or(i64::MIN));
            let mut taken = changes.iter().filter(|(_, was, is)| is.0 < was.0);
            if let Some((rank, ..)) = taken.find(|(rank, ..)| !is_decided && is_over(rank, at)) {
                return Err((
                    "nothing is sold of a lot whose day is over",
                    format!("{rank:?} at {at}: {}", seen()),
                ));
            }
        }
        if now("seq") != before("seq") && OF_CUSTOMERS.contains(&kind) {
            let mut moves = world.lot_moves.borrow_mut();
            for (rank, was, is) in &changes {
                let of_lot = moves.entry((tenant.to_owned(), rank.3.clone())).or_default();
                let one = LotMove {
                    sku: name.2.clone(),
                    kind: kind.to_owned(),
                    reference: text(new, "last_ref").to_owned(),
                    quantity: was.0 + was.1 - is.0 - is.1,
                };
                of_lot.insert((location.to_owned(), now("seq")), one);
            }
        }
        self.shelves.insert(name, is);
        Ok(())
    }

    /// Nothing of a recalled lot comes for sale, and nothing is once the recall has come everywhere.
    fn check_recalls(
        &self,
        tenant: &str,
        is: &Shelf,
        changes: &[(&Rank, There, There)],
        seen: &impl Fn() -> String,
    ) -> Result<(), Fault> {
        let comes = |(rank, was, is): &(&Rank, There, There)| {
            is.0 > was.0 && self.recall_of(tenant, &rank.3).is_recalled
        };
        let stays = |(rank, there): (&Rank, &There)| {
            let recall = self.recall_of(tenant, &rank.3);
            there.0 > 0 && recall.is_recalled && recall.is_everywhere
        };
        if changes.iter().any(comes) || is.lots.iter().any(stays) {
            return Err((NOT_RECALLED, seen()));
        }
        Ok(())
    }
}

/// Whether a movement that named lots changed these as it had to, and no others.
fn is_named_rightly(was: &Shelf, is: &Shelf, new: &Item) -> bool {
    let now = |name: &str| new.opt_number(name).unwrap_or(0);
    let (kind, named, at) = (text(new, "last_kind"), text(new, "last_ref"), now("last_at"));
    let changes = is.changes_since(was);
    let is_same = was.unknown == is.unknown;
    let is_aside = |was: &There, is: &There| *is == (0, was.0 + was.1);
    match kind {
        "lot_quarantine" => {
            is_same && changes.iter().all(|(rank, was, is)| rank.3 == named && is_aside(was, is))
        }
        "lot_release" => changes.iter().all(|(rank, _, is)| rank.3 == named && is.1 == 0),
        "lot_expire" => {
            let left = is.lots.iter().any(|(rank, there)| there.0 > 0 && is_over(rank, at));
            is_same && !left && changes.iter().all(|(rank, was, is)| is_over(rank, at) && is_aside(was, is))
        }
        // What was sold before it was there is taken off whatever comes.
        _ if was.unknown < 0 => true,
        "restock" | "adjustment" | "count" => {
            let is_good = |(rank, was, is): &(&Rank, There, There)| is.0 <= was.0 || !is_over(rank, at);
            is_same && changes.len() <= 1 && changes.iter().all(is_good)
        }
        // One thing comes back, and another goes, of the same goods: what goes is of what is for sale, and good.
        "exchange" => {
            changes.iter().all(|(rank, was, is)| is.1 >= was.1 && (is.0 >= was.0 || !is_over(rank, at)))
        }
        _ => changes.iter().all(|(_, was, is)| is.0 + is.1 >= was.0 + was.1),
    }
}

/// Whether the first moment at which a lot is for sale no more is the first after its last business day there.
fn ends_with_its_day(world: &World, tenant: &str, location: &str, lot: &Lot) -> bool {
    let (day, until) = match (lot.expires_on, lot.sell_until) {
        (Some(day), Some(until)) => (day, until),
        (day, until) => return day.is_none() && until.is_none(),
    };
    let warehouse = Shop {
        id: location.to_owned(),
        zone: "Europe/London",
        day_begins: 0,
        registers: Vec::new(),
        hold_minutes: None,
    };
    let mine = world.tenants.iter().filter(|owner| owner.id == tenant);
    let shop = mine.flat_map(|owner| &owner.shops).find(|shop| shop.id == location).unwrap_or(&warehouse);
    let day_at = |millis: i64| {
        let at = Timestamp::from_millisecond(millis).ok()?;
        shop.day_and_hour(at).ok().map(|(day, _)| day)
    };
    day_at(until - 1) == Some(day) && day_at(until) == day.tomorrow().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_is_of_the_first_lots_and_what_comes_is_of_none() {
        let rank = |until: i64, id: &str| (until == 0, until, 1, id.to_owned());
        let lots = BTreeMap::from([(rank(50, "b"), (2, 0)), (rank(40, "a"), (3, 1)), (rank(0, "c"), (4, 0))]);
        let shelf = Shelf { lots, unknown: 5 };
        let of = |shelf: &Shelf| -> Vec<(String, There)> {
            shelf.lots.iter().map(|(rank, there)| (rank.3.clone(), *there)).collect()
        };
        let told = |id: &str, for_sale, aside| (id.to_owned(), (for_sale, aside));
        assert_eq!(of(&shelf.clone().moved(-4)), [told("a", 0, 1), told("b", 1, 0), told("c", 4, 0)]);
        let sold_out = shelf.clone().moved(-15);
        assert_eq!((of(&sold_out), sold_out.unknown), (vec![told("a", 0, 1)], -1));
        assert_eq!(shelf.clone().moved(7), Shelf { unknown: 12, ..shelf });
    }
}
