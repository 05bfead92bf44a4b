//! Lots, after every step: followed movement by movement, one lot after the other, and not by the rule of two counters
//! by which the system knows them.
//!
//! What leaves and names no lot is of the lots that end first; what names one changes that one; what a stock item says
//! of its lots is always what is there. Nothing is sold of a lot whose day is over, as the sale tells its time and, unless
//! its register was cut off, by our clock; and nothing of a recalled lot is for sale once the recall has come everywhere.
//! Of a lot that is quarantined at a location nothing is for sale there until it is released there. A sale whose lines
//! name a lot leaves that lot, or, where its goods had left the shop before, somebody is told; and so does a commit of
//! which the lot is named, always, since it can be refused. What leaves with a transfer as a lot comes as that lot, there
//! or back.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tillstream_app::database::Item;
use tillstream_domain::cart::{Cart, CartKind};
use tillstream_domain::lot_book::{Lot, LotBook};

use super::super::books::{LotMove, LotTrip, Of, Shop};
use super::super::clients::OFFLINE;
use super::super::world::World;
use crate::memory_database::StreamChange;

/// Tenants with more goods have orders and reservations of which the stock follows after they are decided: goods that
/// were good then may be past their day when they leave.
const GOODS_MAX: usize = 100;
/// Movements by which goods go that must be good.
const TAKES: [&str; 6] = ["sale", "commit", "exchange", "transfer_ship", "adjustment", "damage"];
/// Movements by which customers get goods, or bring some back.
const OF_CUSTOMERS: [&str; 4] = ["sale", "commit", "exchange", "return"];

const NOT_RECALLED: &str = "nothing of a recalled lot is for sale";
/// Also asked by whoever quarantines lots, and at rest.
pub const HERE: &str = "a lot is quarantined at a location until it is released there";
const NOT_HERE: &str = "nothing of a lot is for sale where it is quarantined";
const BACK: &str = "what is released at a location is for sale again";
const NAMED: &str = "a sale that names a lot leaves that lot, or somebody is told";
const COMMITTED: &str = "a commit that names a lot leaves that lot";
/// Also asked at rest.
pub const TRIP: &str = "what leaves with a transfer as a lot comes as that lot";

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
pub struct Shelf {
    /// Those of which there is anything.
    pub lots: BTreeMap<Rank, There>,
    /// What is of no known lot.
    pub unknown: i64,
}

impl Shelf {
    /// As the system tells them.
    fn told(book: &LotBook) -> Self {
        let there = book.lots().iter().map(|lot| (rank(lot), (lot.quantity, lot.quarantined)));
        Shelf { lots: there.filter(|(_, there)| *there != (0, 0)).collect(), unknown: book.unknown() }
    }

    /// What leaves is of the lots in their order, what nobody knows last; what comes is of no known lot.
    #[must_use]
    pub fn moved(mut self, by: i64) -> Self {
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

    /// So many leave of which these lots are named: what is for sale of each first, then what is kept aside; the rest
    /// leaves as any goods. With each lot of which too little was for sale, and whether it was not there at all.
    #[must_use]
    pub fn sold_as(mut self, lots: &BTreeMap<String, i64>, all: i64) -> (Self, Vec<(&str, bool)>) {
        let (mut named, mut short) = (0, Vec::new());
        for (lot, wanted) in lots {
            let (mut for_sale, mut aside) = (0, 0);
            if let Some((_, there)) = self.lots.iter_mut().find(|(rank, _)| rank.3 == *lot) {
                for_sale = there.0.min(*wanted);
                aside = there.1.min(*wanted - for_sale);
                *there = (there.0 - for_sale, there.1 - aside);
            }
            named += for_sale + aside;
            if for_sale < *wanted {
                short.push((lot.as_str(), for_sale + aside < *wanted));
            }
        }
        (self.moved(named - all), short)
    }

    /// What is there in all, for sale or kept aside, by lot; `None` is what is of no known lot.
    fn in_all(&self) -> BTreeMap<Option<String>, i64> {
        let lots = self.lots.iter().map(|(rank, there)| (Some(rank.3.clone()), there.0 + there.1));
        lots.chain([(None, self.unknown)]).collect()
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

/// Lots that the lines of a sale name, by SKU, in thousandths.
type NamedLots = BTreeMap<String, BTreeMap<String, i64>>;

/// Order, SKU and lot.
type Misfit = (String, String, String);

/// What was seen of lots so far.
#[derive(Default)]
pub struct Lots {
    shelves: BTreeMap<Name, Shelf>,
    /// Lots that are quarantined at a location.
    held: BTreeMap<Name, BTreeSet<String>>,
    /// Lots that sales name which are final.
    named: BTreeMap<Of<String>, NamedLots>,
    /// Lots of which somebody was told that goods cannot have been of them, or should not.
    told: BTreeSet<Of<Misfit>>,
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
        if cart.kind == CartKind::Sale && !cart.lots.is_empty() {
            let owned = |lots: BTreeMap<&str, i64>| {
                lots.into_iter().map(|(lot, quantity)| (lot.to_owned(), quantity)).collect()
            };
            let lots = cart.lots_moved().into_iter().map(|(sku, lots)| (sku.to_owned(), owned(lots)));
            self.named.insert((tenant.to_owned(), cart.id.clone()), lots.collect());
        }
    }

    /// Looks at a change of the stock table.
    pub fn look(&mut self, world: &World, change: &StreamChange) -> Result<(), Fault> {
        let (old, Some(new)) = (change.old.as_ref(), change.new.as_ref()) else { return Ok(()) };
        if text(new, "sk") == "lot" {
            return self.lot(old, new);
        }
        if text(new, "kind") == "lot_mismatch" {
            let misfit = ["order_id", "sku", "lot_id"].map(|name| text(new, name).to_owned());
            self.told.insert((text(new, "tenant_id").to_owned(), misfit.into()));
            return Ok(());
        }
        if new.opt_number("seq").is_none() {
            return Ok(());
        }
        let is_kept = |item: &Item| item.opt_text("lots").is_some();
        match (old.is_some_and(is_kept), is_kept(new)) {
            (_, true) => self.stock(world, old, new),
            (true, false) => Err(("what is kept by lots stays so", format!("{old:?} became {new:?}"))),
            (false, false) => travels(world, old, new, || {
                let by = new.opt_number("last_on_hand").unwrap_or(0);
                (BTreeMap::from([(None, by)]), false)
            }),
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

        let committed = committed_of(world, old, new);
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
        } else if !(self.names_of(old, new).is_some()
            || committed.is_some()
            || is_named_rightly(&was, &is, new))
        {
            let told = format!("{was:?} became {is:?}: {}", seen());
            return Err(("who names a lot changes that one", told));
        }
        if let Some(lots) = self.names_of(old, new) {
            self.check_sale(world, (&was, &is), new, lots)?;
        }
        if let Some(lots) = &committed {
            check_commit((&was, &is), new, lots)?;
        }
        let changes = is.changes_since(&was);
        self.check_recalls(tenant, &is, &changes, &seen)?;
        self.check_held(&name, (&book, &is), old, new)?;
        travels(world, old, new, || {
            let (before, mut by) = (was.in_all(), is.in_all());
            for (lot, quantity) in before {
                *by.entry(lot).or_default() -= quantity;
            }
            (by, was.unknown < 0)
        })?;
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
        let for_sale = is.lots.iter().filter(|(_, there)| there.0 > 0);
        let for_sale = for_sale.map(|(rank, there)| (rank.3.clone(), there.0)).collect();
        world.lots_on_shelves.borrow_mut().insert(name.clone(), for_sale);
        self.shelves.insert(name, is);
        Ok(())
    }

    /// The lots of these goods that the sale names by which they move.
    fn names_of(&self, old: Option<&Item>, new: &Item) -> Option<&BTreeMap<String, i64>> {
        if text(new, "last_kind") != "sale" || old.is_some_and(|old| old.get("seq") == new.get("seq")) {
            return None;
        }
        let sale = (text(new, "tenant_id").to_owned(), text(new, "last_ref").to_owned());
        self.named.get(&sale)?.get(text(new, "sku"))
    }

    /// Goods of which lots are named left these lots. Where they had left the shop before anybody could refuse it, what
    /// was not there of a lot left as any goods, and somebody was told.
    fn check_sale(
        &self,
        world: &World,
        (was, is): (&Shelf, &Shelf),
        new: &Item,
        lots: &BTreeMap<String, i64>,
    ) -> Result<(), Fault> {
        let now = |name: &str| new.opt_number(name).unwrap_or(0);
        let (tenant, order, sku) = (text(new, "tenant_id"), text(new, "last_ref"), text(new, "sku"));
        let seen = || format!("{order} of {lots:?}: {was:?} became {is:?}, {new:?}");
        let moved = now("last_on_hand");
        let (expected, short) = was.clone().sold_as(lots, -(moved + now("last_quarantined")));
        let is_long = world.tenants.iter().any(|owner| owner.id == tenant && owner.goods.len() > GOODS_MAX);
        let sold_at = self.sold_at.get(&(tenant.to_owned(), order.to_owned()));
        if let Some(at) = sold_at.filter(|_| !is_long) {
            let changes = is.changes_since(was);
            if changes.iter().any(|(rank, was, is)| is.0 < was.0 && is_over(rank, *at)) {
                return Err(("nothing is sold of a lot whose day is over", seen()));
            }
            return if *is == expected && short.is_empty() { Ok(()) } else { Err((NAMED, seen())) };
        }
        let is_told = |lot: &str| {
            let misfit = (order.to_owned(), sku.to_owned(), lot.to_owned());
            self.told.contains(&(tenant.to_owned(), misfit))
        };
        let is_known = if *is == expected {
            // What is kept aside of a lot may be so only since it was sold.
            short.iter().all(|(lot, is_missing)| !is_missing || is_told(lot))
        } else {
            // What of it came only after somebody was told was not taken.
            *is == was.clone().moved(moved) && lots.keys().all(|lot| is_told(lot))
        };
        if is_known { Ok(()) } else { Err((NAMED, seen())) }
    }

    /// Of a lot that is quarantined at a location nothing is for sale there, until whoever releases it there says so;
    /// then all of it is, unless it is recalled or past its day.
    fn check_held(
        &mut self,
        name: &Name,
        (book, is): (&LotBook, &Shelf),
        old: Option<&Item>,
        new: &Item,
    ) -> Result<(), Fault> {
        let held: BTreeSet<String> =
            book.lots().iter().filter(|lot| lot.is_held).map(|lot| lot.id.clone()).collect();
        let seen = || format!("{old:?} became {new:?}");
        if book.lots().iter().any(|lot| lot.is_held && lot.quantity != 0) {
            return Err((NOT_HERE, seen()));
        }
        let mut expected = self.held.get(name).cloned().unwrap_or_default();
        let is_counted = old.is_none_or(|old| old.get("seq") != new.get("seq"));
        let lot = text(new, "last_ref");
        match text(new, "last_kind") {
            // A recall quarantines it as well: everywhere, and none where it is quarantined by itself.
            "lot_quarantine"
                if is_counted && (held.contains(lot) || !self.recall_of(&name.0, lot).is_recalled) =>
            {
                expected.insert(lot.to_owned());
            }
            "lot_release" if is_counted => {
                expected.remove(lot);
                let at = new.opt_number("last_at").unwrap_or(0);
                let stays =
                    |(rank, there): (&Rank, &There)| rank.3 == lot && there.1 > 0 && !is_over(rank, at);
                if is.lots.iter().any(stays) && !self.recall_of(&name.0, lot).is_recalled {
                    return Err((BACK, seen()));
                }
            }
            _ => {}
        }
        if held != expected {
            return Err((HERE, format!("{held:?}, not {expected:?}: {}", seen())));
        }
        self.held.insert(name.clone(), held);
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

/// The lots of these goods that the commit of a reservation names by which they move.
fn committed_of(world: &World, old: Option<&Item>, new: &Item) -> Option<BTreeMap<String, i64>> {
    if text(new, "last_kind") != "commit" || old.is_some_and(|old| old.get("seq") == new.get("seq")) {
        return None;
    }
    let reservation = (text(new, "tenant_id").to_owned(), text(new, "last_ref").to_owned());
    let place = (text(new, "location_id").to_owned(), text(new, "sku").to_owned());
    world.named_commits.borrow().get(&reservation)?.get(&place).cloned()
}

/// Goods that are committed and of which lots are named left these lots, which were for sale and good: else nothing was
/// committed.
fn check_commit((was, is): (&Shelf, &Shelf), new: &Item, lots: &BTreeMap<String, i64>) -> Result<(), Fault> {
    let now = |name: &str| new.opt_number(name).unwrap_or(0);
    let (expected, short) = was.clone().sold_as(lots, -now("last_on_hand"));
    let past = |(rank, was, is): &(&Rank, There, There)| is.0 < was.0 && is_over(rank, now("last_at"));
    let is_past = is.changes_since(was).iter().any(past);
    if *is == expected && short.is_empty() && now("last_quarantined") == 0 && !is_past {
        return Ok(());
    }
    Err((COMMITTED, format!("{lots:?}: {was:?} became {is:?}, {new:?}")))
}

/// Whether a movement that named lots changed these as it had to, and no others.
fn is_named_rightly(was: &Shelf, is: &Shelf, new: &Item) -> bool {
    let now = |name: &str| new.opt_number(name).unwrap_or(0);
    let (kind, named, at) = (text(new, "last_kind"), text(new, "last_ref"), now("last_at"));
    let changes = is.changes_since(was);
    let is_same = was.unknown == is.unknown;
    let gain = |(_, was, is): &(&Rank, There, There)| is.0 + is.1 - was.0 - was.1;
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
        // Of which lot it is that was of no known one is said of some of that, and of one lot.
        "lot_assign" => {
            let is_good = |(rank, was, is): &(&Rank, There, There)| is.0 <= was.0 || !is_over(rank, at);
            let gained: i64 = changes.iter().map(gain).sum();
            let is_one = changes.len() == 1 && changes.iter().all(is_good);
            is_one && gained > 0 && was.unknown - is.unknown == gained
        }
        // What was sold as of a lot of which too little was there is entered as of it, out of what else is there.
        "discrepancy" if changes.iter().any(|change| gain(change) < 0) || is.unknown < was.unknown => {
            let gained: i64 = changes.iter().map(gain).sum();
            let is_one = changes.iter().filter(|change| gain(change) > 0).count() == 1;
            is_one && gained + is.unknown - was.unknown == 0
        }
        "restock" | "adjustment" | "count" | "damage" | "repair" => {
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

/// Notes by how much each lot changed that a movement of a transfer took with it, or brought, and whether that was where
/// more had been sold than was there. No more of a lot comes than left.
fn travels(
    world: &World,
    old: Option<&Item>,
    new: &Item,
    by_lot: impl FnOnce() -> (BTreeMap<Option<String>, i64>, bool),
) -> Result<(), Fault> {
    let kind = text(new, "last_kind");
    if !kind.starts_with("transfer_") || old.is_some_and(|old| old.get("seq") == new.get("seq")) {
        return Ok(());
    }
    let (mut by_lot, is_owed) = by_lot();
    by_lot.retain(|_, by| *by != 0);
    if by_lot.is_empty() {
        return Ok(());
    }
    let transfer = (text(new, "tenant_id").to_owned(), text(new, "last_ref").to_owned());
    let mut trips = world.lot_trips.borrow_mut();
    let trip: &mut LotTrip =
        trips.entry(transfer).or_default().entry(text(new, "sku").to_owned()).or_default();
    trip.is_owed |= is_owed;
    for (lot, by) in by_lot {
        match kind {
            // What is taken back has not left.
            "transfer_ship" => *trip.left.entry(lot).or_default() -= by,
            "transfer_return" | "transfer_cancel" => trip.came.entry(lot).or_default().1 += by,
            _ => trip.came.entry(lot).or_default().0 += by,
        }
    }
    let is_more = trip.came.keys().chain(trip.left.keys()).any(|lot| trip.rest_of(lot) < 0);
    if is_more && !trip.is_owed {
        return Err((TRIP, format!("{trip:?}: {old:?} became {new:?}")));
    }
    Ok(())
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
        checks_at_cart: false,
        unsynced: BTreeSet::new(),
    };
    let mine = world.tenants.iter().filter(|owner| owner.id == tenant);
    let shop = mine.flat_map(|owner| &owner.shops).find(|shop| shop.id == location).unwrap_or(&warehouse);
    let day_at = |millis: i64| {
        let at = Timestamp::from_millisecond(millis).ok()?;
        shop.day_and_hour(at).ok().map(|(day, _)| day)
    };
    day_at(until - 1) == Some(day) && day_at(until) == day.tomorrow().ok()
}
