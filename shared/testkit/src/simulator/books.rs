//! What the clients know of what happened: of every command whether it took effect, from its answers.
//!
//! The figures here are computed without the system's code, in whole numbers, so that they can prove it
//! right or wrong.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use super::day_settings::DaySettings;
use super::price_book::{PriceSet, PriceTraffic};
use super::supply_books::SupplyBooks;

/// A store as its clients know it.
#[derive(Debug, Clone)]
pub struct Shop {
    /// Its id.
    pub id: String,
    /// Its time zone.
    pub zone: &'static str,
    /// The local hour at which its business day begins.
    pub day_begins: i8,
    /// Its registers.
    pub registers: Vec<String>,
    /// For how long its carts hold what is added to them, in minutes; `None` where they do not.
    pub hold_minutes: Option<u32>,
    /// Whether what is added to its carts has to be there.
    pub checks_at_cart: bool,
    /// SKUs of which nobody tells it how many there are, and which it sells all the same.
    pub unsynced: BTreeSet<String>,
}

impl Shop {
    /// The business day and the start of the local hour of an instant.
    ///
    /// # Errors
    /// Where the zone is unknown or the time beyond the calendar.
    pub fn day_and_hour(&self, at: Timestamp) -> Result<(Date, Timestamp), jiff::Error> {
        let local = at.to_zoned(TimeZone::get(self.zone)?);
        let date = local.date();
        let day = if local.hour() < self.day_begins { date.yesterday()? } else { date };
        let into_hour = Span::new()
            .minutes(i64::from(local.minute()))
            .seconds(i64::from(local.second()))
            .nanoseconds(i64::from(local.subsec_nanosecond()));
        Ok((day, at.checked_sub(into_hour)?))
    }
}

/// A product as its clients know it.
#[derive(Debug, Clone)]
pub struct Goods {
    /// Its SKU.
    pub sku: String,
    /// Price per unit at the beginning, in ten-thousandths.
    pub price: i64,
    /// Whether it is sold by weight, and not by the piece.
    pub is_weighed: bool,
    /// Whether stock of its own is kept of it: of kits there is none.
    pub is_stocked: bool,
    /// For a kit: SKUs of what it is made of, and how much of each in one, in thousandths.
    pub parts: Vec<(String, i64)>,
    /// Its category.
    pub category: &'static str,
    /// What its modifier adds per unit, in ten-thousandths, or takes off; it has none where absent.
    pub extra: Option<i64>,
    /// Whether its stock is kept by lots.
    pub by_lots: bool,
    /// How much of it is not for sale wherever it is sold, in thousandths.
    pub safety_stock: i64,
}

impl Goods {
    /// What so much of it takes from the shelves: of itself, of what it is made of, or nothing.
    pub fn taken(&self, quantity: i64) -> Vec<(String, i64)> {
        let itself = self.is_stocked.then(|| (self.sku.clone(), quantity));
        let parts = self.parts.iter().map(|(sku, per)| (sku.clone(), per * (quantity / 1_000)));
        itself.into_iter().chain(parts).collect()
    }
}

/// A line that was sold or came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number in its cart.
    pub number: u32,
    /// SKU.
    pub sku: String,
    /// Thousandths.
    pub quantity: i64,
    /// Per unit, in ten-thousandths.
    pub price: i64,
    /// What its modifier adds to that.
    pub extra: i64,
    /// What it is worth before discounts and without tax, in minor units.
    pub worth: i64,
    /// What is taken off it, in minor units, without tax.
    pub off: i64,
    /// The same as a receipt shows it: with the tax that prices contain.
    pub shown_off: i64,
    /// Tax, in minor units.
    pub tax: i64,
    /// Whether it is worth something else than its price × quantity, or bears tax, if only of nothing.
    pub is_charged: bool,
    /// The lot that whoever sold it named.
    pub lot: Option<String>,
}

impl Line {
    /// A line that costs its price × quantity.
    pub fn of(number: u32, sku: String, quantity: i64, price: i64) -> Self {
        let worth = worth(quantity, price);
        Line {
            number,
            sku,
            quantity,
            price,
            extra: 0,
            worth,
            off: 0,
            shown_off: 0,
            tax: 0,
            is_charged: false,
            lot: None,
        }
    }

    /// The line with its modifier.
    pub fn with_extra(self, extra: i64) -> Self {
        let quantity = self.quantity;
        Line { extra, ..self }.of_quantity(quantity)
    }

    /// As much of it.
    pub fn of_quantity(mut self, quantity: i64) -> Self {
        (self.quantity, self.worth) = (quantity, worth(quantity, self.price + self.extra));
        self
    }

    /// Takes something off it, where there is no tax.
    pub fn take_off(&mut self, off: i64) {
        (self.off, self.shown_off, self.is_charged) = (off, off, off > 0);
    }

    /// What it comes to without tax.
    pub fn net(&self) -> i64 {
        self.worth - self.off
    }

    /// What is paid for it, or given back.
    pub fn paid(&self) -> i64 {
        self.net() + self.tax
    }
}

/// Quantity (thousandths) × price (ten-thousandths) in minor units (hundredths), half away from zero.
pub fn worth(quantity: i64, price: i64) -> i64 {
    let exact = i128::from(quantity) * i128::from(price);
    let rounded = (exact.abs() + 50_000) / 100_000;
    i64::try_from(if exact < 0 { -rounded } else { rounded }).unwrap_or(i64::MAX)
}

/// A part of an amount, half up.
pub fn part(amount: i64, numerator: i64, denominator: i64) -> i64 {
    let exact = 2 * i128::from(amount) * i128::from(numerator) + i128::from(denominator);
    i64::try_from(exact / (2 * i128::from(denominator).max(1))).unwrap_or(i64::MAX)
}

/// A payment that was kept, or handed back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paid {
    /// By what.
    pub tender: &'static str,
    /// Minor units, change taken off.
    pub amount: i64,
    /// On top.
    pub tip: i64,
    /// The gift card that it is taken from, or goes to.
    pub gift_card: Option<String>,
}

impl Paid {
    /// An amount by a tender.
    pub fn by(tender: &'static str, amount: i64) -> Self {
        Paid { tender, amount, tip: 0, gift_card: None }
    }
}

/// An order that is final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Sale, or return.
    pub is_return: bool,
    /// Which store.
    pub store: String,
    /// Its lane, and its number there.
    pub lane: String,
    /// The number.
    pub number: u64,
    /// Who sold.
    pub employee: String,
    /// Through what.
    pub channel: String,
    /// Lines in order.
    pub lines: Vec<Line>,
    /// Payments.
    pub payments: Vec<Paid>,
    /// Business day.
    pub day: Date,
    /// Start of the local hour.
    pub hour: Timestamp,
    /// For a return: the sale.
    pub sale: Option<String>,
    /// What was added so that it could be paid in coins.
    pub rounding: i64,
    /// Coupons that took something off.
    pub coupons: Vec<String>,
    /// Where it stood, from the first; the last is where it stands. Each is a version.
    pub statuses: Vec<String>,
    /// What settled it, where it was on account.
    pub settled: Vec<Paid>,
    /// The segment that reports count its customer under.
    pub segment: Option<String>,
    /// Settings of its tenant that may have stood while it was made.
    pub stood: Vec<DaySettings>,
    /// Whether its register was cut off when it was made.
    pub offline: bool,
}

impl Order {
    /// Its lane's register and epoch.
    pub fn register(&self) -> (&str, u32) {
        let register = self.lane.split('/').nth(1).unwrap_or_default();
        match register.split_once('~') {
            Some((register, epoch)) => (register, epoch.parse().unwrap_or(0)),
            None => (register, 0),
        }
    }

    /// What was paid for it.
    pub fn total(&self) -> i64 {
        self.lines.iter().map(Line::paid).sum()
    }

    /// What it was worth before anything was taken off, without tax.
    pub fn worth(&self) -> i64 {
        self.lines.iter().map(|line| line.worth).sum()
    }

    /// What was taken off.
    pub fn off(&self) -> i64 {
        self.lines.iter().map(|line| line.off).sum()
    }

    /// It stands somewhere since a version.
    ///
    /// # Errors
    /// Where it stood elsewhere at that version.
    pub fn stands(&mut self, status: &str, version: usize) -> Result<(), String> {
        if self.statuses.len() < version {
            self.statuses.resize(version, String::new());
        }
        match version.checked_sub(1).and_then(|at| self.statuses.get_mut(at)) {
            Some(known) if known.is_empty() => {
                status.clone_into(known);
                Ok(())
            }
            other => Err(format!("version {version} is {status}, and {other:?}")),
        }
    }

    /// Whether all of it went back at once.
    pub fn is_undone(&self) -> bool {
        self.statuses.last().is_some_and(|status| status == "voided" || status == "cancelled")
    }

    /// Its tax.
    pub fn tax(&self) -> i64 {
        self.lines.iter().map(|line| line.tax).sum()
    }
}

/// What a Z report says; minor units.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ZReport {
    /// Its number, and the epoch of that.
    pub number: (u32, u64),
    /// What was counted.
    pub counted: i64,
    /// What the report says was counted.
    pub told: i64,
    /// First and last receipt of each epoch.
    pub receipts: Vec<(u32, u64, u64)>,
    /// What was to be in the drawer.
    pub expected: i64,
    /// How many sales, and what they came to.
    pub sales: (u64, i64),
    /// How many returns, and what they came to.
    pub returns: (u64, i64),
    /// Discounts of the sales.
    pub discounts: i64,
    /// Tax of the sales, and of the returns.
    pub tax: (i64, i64),
    /// Tips, less those given back.
    pub tips: i64,
}

/// A shift of a register.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shift {
    /// Its store.
    pub store: String,
    /// Its register.
    pub register: String,
    /// What lay in the drawer at first.
    pub float: i64,
    /// Paid in less paid out.
    pub moved: i64,
    /// How it ended.
    pub z: Option<ZReport>,
}

/// An approval that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Approval {
    /// What was said to it.
    pub granted: Option<bool>,
    /// The cart or return for which it was used.
    pub used_for: Option<String>,
}

/// A gift card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GiftCard {
    /// Whether somebody was told that it is issued.
    pub is_issued: bool,
    /// What it holds, in minor units.
    pub balance: i64,
}

/// Goods that were shipped from one location to another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transfer {
    /// From where.
    pub from: String,
    /// To where.
    pub to: String,
    /// What, in thousandths by SKU.
    pub shipped: BTreeMap<String, i64>,
    /// What of it is on its way.
    pub outstanding: BTreeMap<String, i64>,
    /// What arrived fit for sale, what was damaged, and what went back.
    pub settled: BTreeMap<String, (i64, i64, i64)>,
    /// Of `settled`, by SKU and lot: what was said to be of that lot.
    pub named: BTreeMap<(String, String), (i64, i64, i64)>,
    /// What was done to it, in any order.
    pub steps: Vec<&'static str>,
}

/// What is on the shelf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shelf {
    /// Thousandths on hand, those included that are kept aside with their lots.
    pub on_hand: i64,
    /// Thousandths kept aside as damaged.
    pub damaged: i64,
    /// Thousandths on their way here.
    pub in_transit: i64,
    /// Whether a feed set it at a time that nobody can tell: then only the ledger can prove it.
    pub was_fed: bool,
}

/// A tenant, an order's id or a store's, ….
pub type Of<T> = (String, T);

/// The newest version of a price book's entry, and its SKU and what it says unless it was deleted.
pub type PriceEntry = (u64, Option<(String, PriceSet)>);

/// Uses above a limit, by tenant, sale, and kind and id of what was used.
pub type GivenAbove = BTreeMap<Of<(String, String, String)>, i64>;

/// What a register that was cut off asked for a sale, by tenant and sale.
pub type AskedTotals = BTreeMap<Of<String>, AskedTotal>;

/// A total that a register asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AskedTotal {
    /// What its lines come to, in minor units.
    pub total: i64,
    /// What was asked.
    pub asked: i64,
    /// How many lines there are: by so many minor units it may be rounded otherwise.
    pub lines: i64,
}

impl AskedTotal {
    /// Whether somebody is to be told.
    pub fn is_beyond_rounding(&self) -> bool {
        (self.asked - self.total).abs() > self.lines
    }
}

/// What came back of a line of a sale: quantity in thousandths, worth in minor units.
pub type CameBack = (i64, i64);

/// A lot, as those know it who receive it and recall it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownLot {
    /// Of what.
    pub sku: String,
    /// Its last day of sale.
    pub expires_on: Option<Date>,
    /// Whether somebody was told that some of it came.
    pub has_come: bool,
    /// Whether it is recalled, as the last who changed that was told.
    pub is_recalled: bool,
    /// Where it is quarantined beside that, as the last who changed that was told.
    pub held_at: BTreeSet<String>,
}

/// What a customer got of a lot by one movement, or brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LotMove {
    /// Of what.
    pub sku: String,
    /// Kind of the movement.
    pub kind: String,
    /// The order or reservation.
    pub reference: String,
    /// Thousandths; below zero: they came back.
    pub quantity: i64,
}

/// Who got goods of lots, as the changes of the stock showed it: by tenant and lot, then by location and number of the
/// movement.
pub type LotMoves = BTreeMap<Of<String>, BTreeMap<(String, i64), LotMove>>;

/// What of each lot is for sale, by tenant, location and SKU, then by lot, in thousandths, as the changes of the stock
/// showed it: whoever stands before the shelf reads it there.
pub type LotsOnShelves = BTreeMap<(String, String, String), BTreeMap<String, i64>>;

/// The lots of one SKU of a transfer, as the changes of the stock showed them; `None` is what is of no known lot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LotTrip {
    /// What left the source, in thousandths.
    pub left: BTreeMap<Option<String>, i64>,
    /// What of it came on hand, or aside, at the destination, and back at the source.
    pub came: BTreeMap<Option<String>, (i64, i64)>,
    /// Whether it came where more had been sold than was there, and was that from the first.
    pub is_owed: bool,
}

impl LotTrip {
    /// What of a lot has not come anywhere yet, or came damaged.
    pub fn rest_of(&self, lot: &Option<String>) -> i64 {
        let (there, back) = self.came.get(lot).copied().unwrap_or_default();
        self.left.get(lot).copied().unwrap_or(0) - there - back
    }
}

/// Lots on their way, by tenant and transfer, then by SKU.
pub type LotTrips = BTreeMap<Of<String>, BTreeMap<String, LotTrip>>;

/// All that the clients know.
#[derive(Debug, Clone, Default)]
pub struct Books {
    /// Final orders by tenant and id.
    pub orders: BTreeMap<Of<String>, Order>,
    /// Orders by tenant that were lost by a restore, and that figures have.
    pub counted_besides: Vec<Of<Order>>,
    /// Stock by tenant, store and SKU.
    pub shelves: BTreeMap<Of<(String, String)>, Shelf>,
    /// Approvals by tenant and id.
    pub approvals: BTreeMap<Of<String>, Approval>,
    /// Gift cards by tenant and number.
    pub gift_cards: BTreeMap<Of<String>, GiftCard>,
    /// Transfers by tenant and id.
    pub transfers: BTreeMap<Of<String>, Transfer>,
    /// Exceptions that somebody resolved, by tenant and id.
    pub resolved: BTreeSet<Of<String>>,
    /// Shifts by tenant and id.
    pub shifts: BTreeMap<Of<String>, Shift>,
    /// By tenant, sale and number of its line.
    pub returned: BTreeMap<Of<(String, u32)>, CameBack>,
    /// The newest version of a product that was accepted, and its price, by tenant and SKU.
    pub products: BTreeMap<Of<String>, (u64, i64)>,
    /// Every price that somebody set or may have set, by tenant and SKU.
    pub prices_ever: BTreeMap<Of<String>, Vec<PriceSet>>,
    /// Prices that were put over versions of a product, by tenant and SKU.
    pub product_changes: BTreeMap<Of<String>, BTreeMap<u64, i64>>,
    /// Changes of prices by tenant.
    pub price_traffic: BTreeMap<String, PriceTraffic>,
    /// Entries of the price book that were accepted, by tenant and entry.
    pub price_entries: BTreeMap<Of<String>, PriceEntry>,
    /// The newest version of a store's name that was accepted, by tenant and store.
    pub store_names: BTreeMap<Of<String>, u64>,
    /// Names of the warehouses that were opened, by tenant and warehouse.
    pub warehouses: BTreeMap<Of<String>, String>,
    /// Orders that HQ refuses, until somebody mends it.
    pub refused_by_hq: BTreeSet<String>,
    /// Orders that HQ ever refused.
    pub ever_refused: BTreeSet<String>,
    /// Deliveries by tenant and id that an administrator gives up.
    pub given_up: BTreeSet<Of<String>>,
    /// Goods that come, are counted, waited for and reserved.
    pub supply: SupplyBooks,
    /// Lots by tenant and id.
    pub lots: BTreeMap<Of<String>, KnownLot>,
}

impl Books {
    /// What is on the shelf of a location.
    pub fn shelf(&mut self, tenant: &str, location: &str, sku: &str) -> &mut Shelf {
        self.shelves.entry((tenant.to_owned(), (location.to_owned(), sku.to_owned()))).or_default()
    }

    /// Enters a gift card that was issued.
    ///
    /// # Errors
    /// Where it was issued before.
    pub fn issue_gift_card(&mut self, card: &Of<String>, amount: i64) -> Result<(), String> {
        let known = self.gift_cards.entry(card.clone()).or_default();
        known.balance += amount;
        if std::mem::replace(&mut known.is_issued, true) {
            return Err(format!("{card:?} of {amount}, and before"));
        }
        Ok(())
    }

    /// Enters that a gift card was paid in to; or out of it, where the amount is below zero. It may be known before
    /// its issuing is, of which the answer was lost.
    pub fn move_gift_card(&mut self, card: &Of<String>, amount: i64) {
        self.gift_cards.entry(card.clone()).or_default().balance += amount;
    }

    /// Enters that all of a sale went back at once: its status of a version, and what came back of its lines.
    ///
    /// # Errors
    /// Where it was undone before, or stood elsewhere at that version.
    pub fn undo(&mut self, key: &Of<String>, status: &str, version: usize) -> Result<(), String> {
        let order = self.orders.get_mut(key).ok_or_else(|| format!("{} was never sold", key.1))?;
        if order.is_undone() {
            return Err(format!("{} is {:?} already", key.1, order.statuses));
        }
        order.stands(status, version).map_err(|seen| format!("{}: {seen}", key.1))?;
        for line in order.lines.clone() {
            let back = self.returned.entry((key.0.clone(), (key.1.clone(), line.number))).or_default();
            *back = (back.0 + line.quantity, back.1 + line.paid());
        }
        Ok(())
    }

    /// Enters a final order, and what it did to the stock.
    ///
    /// # Errors
    /// Where there is another of that id.
    pub fn enter(
        &mut self,
        tenant: &str,
        id: &str,
        order: Order,
        restocked: &[bool],
        taken: impl Fn(&str, i64) -> Vec<(String, i64)>,
    ) -> Result<(), String> {
        for (line, back_on_shelf) in order.lines.iter().zip(restocked) {
            for (sku, quantity) in taken(&line.sku, line.quantity) {
                let shelf = self.shelf(tenant, &order.store, &sku);
                match (order.is_return, back_on_shelf) {
                    (false, _) => shelf.on_hand -= quantity,
                    (true, true) => shelf.on_hand += quantity,
                    (true, false) => shelf.damaged += quantity,
                }
            }
        }
        for paid in &order.payments {
            if let Some(card) = &paid.gift_card {
                let amount = if order.is_return { paid.amount } else { -paid.amount };
                self.move_gift_card(&(tenant.to_owned(), card.clone()), amount);
            }
        }
        match self.orders.insert((tenant.to_owned(), id.to_owned()), order.clone()) {
            Some(other) if other != order => Err(format!("{id} is two orders: {other:?} and {order:?}")),
            Some(_) => Err(format!("{id} became final twice")),
            None => Ok(()),
        }
    }
}
