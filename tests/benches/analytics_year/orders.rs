//! A made-up year of sales, and its figures counted the plain way: no pages, no sets, no fold.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use tillstream_domain::aggregates::{FactKind, FactLine, FactPayment, Metrics, SaleFact};
use tillstream_domain::business_day::StoreCalendar;
use tillstream_domain::lane::Lane;
use tillstream_domain::money::Currency;
use tillstream_domain::quantity::Quantity;
use tillstream_testkit::made_up_sales::Dice;

/// Stores.
pub const STORES: usize = 20;
/// Products. Few of them make most of the sales.
pub const SKUS: u64 = 4_000;
/// Categories, each of about as many products.
pub const CATEGORIES: u64 = 12;
/// Registers of a store.
pub const REGISTERS: u64 = 4;
/// Employees of a store.
const EMPLOYEES: u64 = 8;
/// Local hours in which a store sells.
const OPENING_HOURS: std::ops::Range<u64> = 9..21;

/// A calendar year, and days after it so that a year can end in the middle of a month.
pub const FIRST: &str = "2025-01-01";
/// The last day: the one that is open.
pub const TODAY: &str = "2026-01-16";

pub fn store_id(store: usize) -> String {
    format!("s-{store:02}")
}

pub fn sku(product: u64) -> String {
    format!("{}{}", 20_000 + product, ["", "A", "B"][usize::try_from(product % 3).unwrap()])
}

pub fn category(product: u64) -> String {
    format!("category-{:02}", product % CATEGORIES)
}

pub fn date(text: &str) -> Date {
    text.parse().unwrap()
}

/// The days of the data, in order.
pub fn days() -> Vec<Date> {
    date(FIRST).series(1.day()).take_while(|day| *day <= date(TODAY)).collect()
}

/// Sales and returns of stores, day after day.
pub struct Generator {
    dice: Dice,
    calendar: StoreCalendar,
    /// Last number by store and register.
    pub last: BTreeMap<(usize, String), u64>,
    orders_a_day: u64,
}

impl Generator {
    pub fn new(seed: u64, orders_a_day: u64) -> Self {
        let calendar = StoreCalendar::new("Europe/London", "00:00").unwrap();
        Generator { dice: Dice(seed), calendar, last: BTreeMap::new(), orders_a_day }
    }

    /// A product: the square of an even draw, so that a tenth of them makes a third of the lines.
    fn product(&mut self) -> u64 {
        let draw = self.dice.below(1 << 16);
        (draw * draw * SKUS) >> 32
    }

    /// The sales of one store and day.
    pub fn day(&mut self, store: usize, day: Date) -> Vec<SaleFact> {
        let begin = self.calendar.day_begin(day).unwrap();
        let hours: Vec<_> = OPENING_HOURS
            .map(|hour| {
                let hours = i64::try_from(hour).unwrap().hours();
                self.calendar.locate(begin.checked_add(hours).unwrap()).unwrap()
            })
            .collect();
        (0..self.orders_a_day).map(|_| self.order(store, day, &hours)).collect()
    }

    fn order(
        &mut self,
        store: usize,
        day: Date,
        hours: &[tillstream_domain::business_day::StoreHour],
    ) -> SaleFact {
        let web = self.dice.below(10) == 0;
        let register = match web {
            true => Lane::virtual_register(self.dice.below(4)),
            false => format!("r-{}", 1 + self.dice.below(REGISTERS)),
        };
        let number = self.last.entry((store, register.clone())).or_default();
        *number += 1;
        let number = *number;
        let hour = hours[usize::try_from(self.dice.below(hours.len() as u64)).unwrap()];
        let lines: Vec<FactLine> = (0..1 + self.dice.below(6))
            .map(|_| {
                let product = self.product();
                let pieces = i64::try_from(1 + self.dice.below(4)).unwrap();
                let gross = pieces * i64::try_from(95 + product * 37 % 2_900).unwrap();
                let discount = if self.dice.below(8) == 0 { gross / 10 } else { 0 };
                FactLine {
                    sku: sku(product),
                    category: Some(category(product)),
                    quantity: Quantity::from_pieces(pieces).unwrap(),
                    gross,
                    discount,
                    tax: (gross - discount) / 5,
                }
            })
            .collect();
        let total = lines.iter().map(|line| line.gross - line.discount + line.tax).sum();
        let tender = ["card", "card", "cash", "voucher"][usize::try_from(self.dice.below(4)).unwrap()];
        let tip = if self.dice.below(20) == 0 { 100 } else { 0 };
        SaleFact {
            kind: if self.dice.below(25) == 0 { FactKind::Return } else { FactKind::Sale },
            lane: Lane::new(store_id(store), register.as_str()),
            number,
            business_day: day,
            hour_start: hour.hour_start,
            offset_seconds: hour.offset_seconds,
            register_id: register,
            employee_id: format!("e-{:03}", store as u64 * EMPLOYEES + self.dice.below(EMPLOYEES)),
            channel: if web { "web" } else { "pos" }.to_owned(),
            segment: [None, Some("regular"), Some("loyal")][usize::try_from(self.dice.below(3)).unwrap()]
                .map(str::to_owned),
            currency: Currency::GBP,
            lines,
            payments: vec![FactPayment { tender: tender.to_owned(), amount: total, tip }],
        }
    }
}

/// Whose figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    /// One store's, [`ONE_STORE`].
    One,
    /// All stores'.
    All,
}

/// The store that is asked for alone.
pub const ONE_STORE: usize = 7;

impl Whose {
    pub const BOTH: [Whose; 2] = [Whose::One, Whose::All];

    pub fn name(self) -> &'static str {
        match self {
            Whose::One => "one_store",
            Whose::All => "all_stores",
        }
    }

    /// `store_id` of a query, with an ampersand behind it.
    pub fn parameter(self) -> String {
        match self {
            Whose::One => format!("store_id={}&", store_id(ONE_STORE)),
            Whose::All => String::new(),
        }
    }
}

/// Sums over the orders.
#[derive(Default)]
pub struct Truth {
    /// By store and day.
    pub totals: BTreeMap<(usize, Date), Metrics>,
    /// By day and category.
    pub categories: BTreeMap<(Date, String), Metrics>,
    /// By employee and month (its first day).
    pub employees: BTreeMap<(String, Date), Metrics>,
    /// By store and hour.
    pub hours: BTreeMap<(usize, Timestamp), Metrics>,
    /// By range and whose, of each product.
    pub products: BTreeMap<(&'static str, Whose), BTreeMap<String, Metrics>>,
    /// Orders and returns.
    pub orders: u64,
    /// Their lines.
    pub lines: u64,
}

fn add_lines(into: &mut Metrics, kind: FactKind, lines: &[&FactLine]) {
    for line in lines {
        match kind {
            FactKind::Sale => {
                into.gross += line.gross;
                into.discounts += line.discount;
                into.tax += line.tax;
                into.units += line.quantity.thousandths();
            }
            FactKind::Return => {
                into.returns += line.gross - line.discount;
                into.tax -= line.tax;
            }
        }
    }
    match kind {
        FactKind::Sale => into.orders += 1,
        FactKind::Return => into.return_orders += 1,
    }
}

impl Truth {
    /// Counts one order; `ranges` are the ranges by which products are asked for.
    pub fn count(&mut self, store: usize, fact: &SaleFact, ranges: &[(&'static str, Date, Date)]) {
        self.orders += 1;
        self.lines += fact.lines.len() as u64;
        let day = fact.business_day;
        let mut whole = Metrics::default();
        add_lines(&mut whole, fact.kind, &fact.lines.iter().collect::<Vec<_>>());
        let tips: i64 = fact.payments.iter().map(|payment| payment.tip).sum();
        whole.tips += if fact.kind == FactKind::Sale { tips } else { -tips };
        self.totals.entry((store, day)).or_default().add(&whole);
        self.employees.entry((fact.employee_id.clone(), day.first_of_month())).or_default().add(&whole);
        self.hours.entry((store, fact.hour_start)).or_default().add(&whole);
        let mut categories = BTreeMap::<&str, Vec<&FactLine>>::new();
        let mut products = BTreeMap::<&str, Vec<&FactLine>>::new();
        for line in &fact.lines {
            categories.entry(line.category.as_deref().unwrap()).or_default().push(line);
            products.entry(&line.sku).or_default().push(line);
        }
        for (category, lines) in categories {
            let sum = self.categories.entry((day, category.to_owned())).or_default();
            add_lines(sum, fact.kind, &lines);
        }
        for (name, from, to) in ranges {
            if !(*from..=*to).contains(&day) {
                continue;
            }
            for whose in Whose::BOTH {
                if whose == Whose::One && store != ONE_STORE {
                    continue;
                }
                let sums = self.products.entry((name, whose)).or_default();
                for (sku, lines) in &products {
                    match sums.get_mut(*sku) {
                        Some(sum) => add_lines(sum, fact.kind, lines),
                        None => {
                            let mut sum = Metrics::default();
                            add_lines(&mut sum, fact.kind, lines);
                            sums.insert((*sku).to_owned(), sum);
                        }
                    }
                }
            }
        }
    }
}
