//! What must hold of stock after every step, over several items of it: what is reserved is what hold lines hold, who
//! waits is served in order and counted, and no more arrives of a purchase order than may. Beside that every movement
//! that names a purchase order, a delivery or a count sheet is written down, so that at rest each is found once. What
//! movements of a transfer take from one end they leave at the other, or between them.
//!
//! Changes of one transaction are seen together: what must hold between items is asked when all of them were seen.

use std::collections::{BTreeMap, BTreeSet};

use tillstream_app::database::Item;

use super::super::books::Of;
use super::super::world::World;
use super::alerts::AlertWatch;
use super::stock_sums::StockSums;
use crate::memory_database::StreamChange;

/// Tenants with more goods have orders of several transactions, which reserve without hold lines.
const GOODS_MAX: usize = 100;

/// What kinds of movements begin with that move goods from one end of a transfer to the other.
const OF_TRANSFERS: &str = "transfer_";

/// Kinds of movements that are written down.
const WRITTEN_DOWN: [&str; 7] = [
    "purchase_place",
    "purchase_receive",
    "purchase_close",
    "purchase_cancel",
    "restock",
    "count",
    "discrepancy",
];

/// An invariant that does not hold, and what was seen of it.
pub(super) type Fault = (&'static str, String);

/// What names of holders begin with that are carts.
const OF_CARTS: &str = "cart#";
/// So much may clocks differ, in milliseconds.
const CLOCKS_DIFFER: i64 = 1_000;

/// Location and SKU.
pub type Where = (String, String);

/// What movements of one kind that name the same did to one stock item; thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moved {
    /// To what is on hand.
    pub on_hand: i64,
    /// To what is kept aside, of lots that were recalled or are past their day.
    pub aside: i64,
    /// To what is damaged.
    pub damaged: i64,
    /// To what is on order.
    pub on_order: i64,
    /// How many there were.
    pub times: u32,
    /// What the last of them left on hand.
    pub left: i64,
}

/// What was seen of the changes of stock so far.
#[derive(Debug, Default)]
pub struct StockWatch {
    /// By kind, and tenant and what is named.
    moved: BTreeMap<(&'static str, Of<String>), BTreeMap<Where, Moved>>,
    /// What is reserved less what hold lines hold.
    unheld: BTreeMap<Of<Where>, i64>,
    /// What hold lines hold, by tenant and reservation.
    held: BTreeMap<Of<String>, BTreeMap<Where, i64>>,
    /// When hold lines of carts end, in epoch milliseconds, by tenant and cart, then by the line's partition.
    of_carts: BTreeMap<Of<String>, BTreeMap<String, i64>>,
    /// Carts that were made final or given up since that was looked at.
    ended_carts: Vec<Of<String>>,
    /// Who waits: number and quantity.
    waiting: BTreeMap<Of<Where>, BTreeMap<i64, i64>>,
    /// What stock items say is waited for.
    backordered: BTreeMap<Of<Where>, i64>,
    /// The last numbers of queues.
    numbers: BTreeMap<Of<Where>, i64>,
    /// Exceptions that counts opened which found less than was promised, also those that are closed.
    promised: BTreeSet<Of<String>>,
    /// By how much movements of transfers changed what is at both ends and between them, by tenant, transfer and SKU:
    /// those by which it is another than before.
    off_transfers: BTreeMap<Of<(String, String)>, i64>,
    /// What was touched since all was looked at.
    touched: BTreeSet<Of<Where>>,
    /// Alerts.
    pub alerts: AlertWatch,
    /// What stock items come to with all their parts.
    pub sums: StockSums,
}

pub(super) fn number(item: Option<&Item>, name: &str) -> i64 {
    item.and_then(|item| item.opt_number(name)).unwrap_or(0)
}

pub(super) fn text(item: &Item, name: &str) -> String {
    item.opt_text(name).unwrap_or_default().to_owned()
}

impl StockWatch {
    /// Looks at a change of the stock table.
    pub fn look(&mut self, world: &World, change: &StreamChange) -> Result<(), Fault> {
        let Some(item) = change.new.as_ref().or(change.old.as_ref()) else { return Ok(()) };
        let kind = item.opt_text("pk").unwrap_or_default().split('#').nth(1).unwrap_or_default();
        if item.opt_text("kind") == Some("below_promised") {
            self.promised.insert((text(item, "tenant_id"), text(item, "exception_id")));
        }
        if kind == "stock-fact" {
            self.alerts.told(change);
        }
        let is_of_item =
            matches!(kind, "stock" | "stock-part" | "holds" | "holds-part" | "backorder" | "stock-alert");
        if !is_of_item {
            return Ok(());
        }
        let place = (text(item, "tenant_id"), (text(item, "location_id"), text(item, "sku")));
        match kind {
            "stock" | "stock-part" => self.stock(world, change, place),
            "backorder" => self.backorder(change, item, place),
            "stock-alert" => self.alerts.alert(change, place),
            _ => {
                self.sums.hold(change, &place, world.now().as_millisecond());
                self.hold(change, item, place);
                Ok(())
            }
        }
    }

    fn stock(&mut self, world: &World, change: &StreamChange, place: Of<Where>) -> Result<(), Fault> {
        let (old, new) = (change.old.as_ref(), change.new.as_ref());
        self.alerts.stock(change, &place);
        self.sums.stock(change, &place);
        let by = number(new, "reserved") - number(old, "reserved");
        *self.unheld.entry(place.clone()).or_default() += by;
        if let Some(waited_for) = new.and_then(|new| new.opt_number("backordered")) {
            self.backordered.insert(place.clone(), waited_for);
        }
        self.touched.insert(place.clone());
        let Some(new) = new.filter(|new| number(Some(new), "seq") != number(old, "seq")) else {
            return Ok(());
        };
        let last = new.opt_text("last_kind").unwrap_or_default();
        if last.starts_with(OF_TRANSFERS) {
            self.transferred(new, &place);
        }
        let Some(kind) = WRITTEN_DOWN.into_iter().find(|kind| *kind == last) else { return Ok(()) };
        let named = (place.0.clone(), text(new, "last_ref"));
        let moved = self.moved.entry((kind, named.clone())).or_default().entry(place.1.clone()).or_default();
        moved.on_hand += number(Some(new), "last_on_hand");
        moved.aside += number(Some(new), "last_quarantined");
        moved.damaged += number(Some(new), "last_damaged");
        moved.on_order += number(Some(new), "last_on_order");
        moved.times += 1;
        moved.left = number(Some(new), "on_hand");
        let arrived = moved.on_hand + moved.damaged;
        if kind != "purchase_receive" {
            return Ok(());
        }
        let books = world.books.borrow();
        let Some(purchase) = books.supply.purchases.get(&named) else {
            return Err(("what arrives was ordered", format!("{named:?} {:?}", place.1)));
        };
        let owner = world.tenants.iter().find(|owner| owner.id == place.0);
        let goods = owner.and_then(|owner| owner.goods_of(&place.1.1));
        let is_weighed = goods.is_some_and(|goods| goods.is_weighed);
        let line = purchase.lines.get(&place.1.1).copied().unwrap_or_default();
        let most = line.most(purchase.over_delivery_percent, is_weighed);
        if arrived > most {
            let seen = format!("{named:?} {}: {arrived}, of at most {most}", place.1.1);
            return Err(("no more arrives than was ordered and may come beyond it", seen));
        }
        Ok(())
    }

    /// Enters what a movement of a transfer did, wherever it left the goods.
    fn transferred(&mut self, new: &Item, place: &Of<Where>) {
        let key = (place.0.clone(), (text(new, "last_ref"), place.1.1.clone()));
        let counters = ["last_on_hand", "last_damaged", "last_quarantined", "last_in_transit"];
        let by: i64 = counters.iter().map(|name| number(Some(new), name)).sum();
        let off = self.off_transfers.entry(key.clone()).or_default();
        *off += by;
        if *off == 0 {
            self.off_transfers.remove(&key);
        }
    }

    fn hold(&mut self, change: &StreamChange, item: &Item, place: Of<Where>) {
        let by = number(change.new.as_ref(), "quantity") - number(change.old.as_ref(), "quantity");
        *self.unheld.entry(place.clone()).or_default() -= by;
        let reservation = (place.0.clone(), text(item, "reservation_id"));
        if let Some(cart) = reservation.1.strip_prefix(OF_CARTS) {
            let lines = self.of_carts.entry((place.0.clone(), cart.to_owned())).or_default();
            match &change.new {
                Some(new) => lines.insert(text(new, "pk"), number(Some(new), "expires_at")),
                None => lines.remove(&text(item, "pk")),
            };
        }
        let lines = self.held.entry(reservation).or_default();
        let held = lines.entry(place.1.clone()).or_default();
        *held += by;
        if *held == 0 {
            lines.remove(&place.1);
        }
        self.touched.insert(place);
    }

    fn backorder(&mut self, change: &StreamChange, item: &Item, place: Of<Where>) -> Result<(), Fault> {
        let state =
            |item: Option<&Item>| item.and_then(|item| item.opt_text("state")).unwrap_or("").to_owned();
        let (was, is) = (state(change.old.as_ref()), state(change.new.as_ref()));
        if was == is {
            return Ok(());
        }
        let own = number(Some(item), "number");
        let seen = || format!("{place:?} {}: {own} from {was:?} to {is:?}", text(item, "backorder_id"));
        let queue = self.waiting.entry(place.clone()).or_default();
        match (was.as_str(), is.as_str()) {
            ("", "waiting") => {
                let last = self.numbers.entry(place.clone()).or_default();
                if own != *last + 1 {
                    return Err(("numbers of a queue are 1 to n", format!("{}, after {last}", seen())));
                }
                *last = own;
                queue.insert(own, number(Some(item), "quantity"));
            }
            ("waiting", _) => {
                let first = queue.keys().next().copied();
                queue.remove(&own);
                if is == "reserved" && first != Some(own) {
                    return Err(("who came first is served first", format!("{}, before {first:?}", seen())));
                }
            }
            ("reserved", "fulfilled" | "expired" | "cancelled") => {}
            _ => return Err(("a backorder ends once", seen())),
        }
        self.touched.insert(place);
        Ok(())
    }

    /// A cart was made final, or given up, and names nothing any more that it holds.
    pub fn cart_ended(&mut self, tenant: &str, cart: &str) {
        self.ended_carts.push((tenant.to_owned(), cart.to_owned()));
    }

    /// Nothing is held for carts that ended, but what is over and freed by whoever needs it, now that all changes there
    /// are were seen.
    pub fn carts_ended(&mut self, world: &World) -> Result<(), Fault> {
        for cart in std::mem::take(&mut self.ended_carts) {
            let lines = self.of_carts.remove(&cart).unwrap_or_default();
            let owner = world.tenants.iter().find(|owner| owner.id == cart.0);
            // What is long ends step by step; and after a restore a cart may name other lines than there are.
            let is_short = owner.is_some_and(|owner| owner.goods.len() <= GOODS_MAX);
            let now = world.now().as_millisecond() + CLOCKS_DIFFER;
            let stays = lines.iter().find(|(_, until)| **until > now);
            if let Some(line) = stays.filter(|_| is_short && world.restores.count.get() == 0) {
                return Err(("a cart that ended holds nothing", format!("{cart:?}: {line:?}")));
            }
        }
        Ok(())
    }

    /// What must hold between items, now that all changes there are were seen.
    pub fn settled(&mut self, world: &World) -> Result<(), Fault> {
        for place in std::mem::take(&mut self.touched) {
            self.sums.settled(&place)?;
            let unheld = self.unheld.get(&place).copied().unwrap_or(0);
            let owner = world.tenants.iter().find(|owner| owner.id == place.0);
            if unheld != 0 && owner.is_some_and(|owner| owner.goods.len() <= GOODS_MAX) {
                let seen = format!("{place:?}: {unheld} more are reserved than held");
                return Err(("what is reserved is what somebody holds", seen));
            }
            let waited_for: i64 = self.waiting.get(&place).map_or(0, |queue| queue.values().sum());
            let counted = self.backordered.get(&place).copied().unwrap_or(0);
            if waited_for != counted {
                let seen = format!("{place:?}: {counted} are counted, {waited_for} are waited for");
                return Err(("what is waited for is counted", seen));
            }
        }
        match self.off_transfers.first_key_value() {
            Some((transfer, by)) => {
                let seen = format!("{transfer:?}: both ends and what is between them have {by} more");
                Err(("over a transfer, both ends and what is between them keep what they had", seen))
            }
            None => self.alerts.settled(),
        }
    }

    /// What movements of a kind that name `reference` did, by location and SKU.
    pub fn moved(&self, kind: &'static str, tenant: &str, reference: &str) -> BTreeMap<Where, Moved> {
        self.moved.get(&(kind, (tenant.to_owned(), reference.to_owned()))).cloned().unwrap_or_default()
    }

    /// What movements of a kind name, and what each did.
    pub fn named<'a>(
        &'a self,
        kind: &'static str,
        tenant: &'a str,
    ) -> impl Iterator<Item = (&'a String, &'a BTreeMap<Where, Moved>)> {
        let all = self.moved.iter().filter(move |((of, (whose, _)), _)| *of == kind && whose == tenant);
        all.map(|((_, (_, reference)), moved)| (reference, moved))
    }

    /// What was entered where less was found, by a count, a recall or the end of a lot's day, than was promised and sold
    /// before, by location and SKU.
    pub fn covered(&self, tenant: &str) -> BTreeMap<Where, i64> {
        let mut covered = BTreeMap::new();
        for (exception, moved) in self.named("discrepancy", tenant) {
            if self.promised.contains(&(tenant.to_owned(), exception.clone())) {
                for (place, moved) in moved {
                    *covered.entry(place.clone()).or_default() += moved.on_hand;
                }
            }
        }
        covered
    }

    /// What hold lines of a reservation hold, by location and SKU.
    pub fn held_by(&self, tenant: &str, reservation: &str) -> BTreeMap<Where, i64> {
        self.held.get(&(tenant.to_owned(), reservation.to_owned())).cloned().unwrap_or_default()
    }

    /// Reservations of a tenant that hold something.
    pub fn holding<'a>(&'a self, tenant: &'a str) -> impl Iterator<Item = &'a String> {
        let all = self.held.iter().filter(move |((of, _), lines)| of == tenant && !lines.is_empty());
        all.map(|((_, reservation), _)| reservation)
    }
}
