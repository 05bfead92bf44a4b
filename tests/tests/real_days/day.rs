//! One trading day's file, and what must come of it.
//!
//! The figures here are computed from the file's text in whole numbers and without the system's code,
//! so that they can prove it right or wrong. What a row means is written in
//! `tests/data/online-retail/README.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

/// A line of a sale or a return; a return's quantity is positive here.
pub struct Line {
    /// Its place in the file: the header is row 1.
    pub row: usize,
    pub sku: String,
    pub quantity: i64,
    pub unit_price: String,
    /// Quantity times price, half a penny rounded away from zero.
    pub pence: i64,
}

/// A sale or a return.
pub struct Invoice {
    pub number: String,
    pub is_return: bool,
    pub store: String,
    /// As the register tells it, with its offset.
    pub time: String,
    pub customer: Option<String>,
    pub lines: Vec<Line>,
}

impl Invoice {
    fn digits(&self) -> &str {
        self.number.trim_start_matches('C')
    }

    pub fn register(&self) -> String {
        format!("r-{}", self.digits().parse::<u64>().unwrap() % 4 + 1)
    }

    pub fn lane(&self) -> String {
        format!("{}/{}", self.store, self.register())
    }

    /// What its cart or return is called, and so its order.
    pub fn order_id(&self) -> String {
        format!("{}-{}", if self.is_return { 'r' } else { 'c' }, self.digits())
    }

    pub fn pence(&self) -> i64 {
        self.lines.iter().map(|line| line.pence).sum()
    }

    /// Begin of its hour as analytics writes it.
    pub fn hour(&self) -> String {
        format!("{}:00:00{OFFSET}", &self.time[..13])
    }
}

/// Units that left the stock without a sale.
pub struct Adjustment {
    pub row: usize,
    pub number: String,
    pub store: String,
    pub sku: String,
    pub quantity: i64,
    pub reason: String,
}

/// The metrics of analytics, amounts in pence.
#[derive(Default, Clone)]
pub struct Figures {
    gross_sales: i64,
    returns: i64,
    orders: i64,
    return_orders: i64,
    units: i64,
}

impl Figures {
    fn add(&mut self, invoice: &Invoice) {
        if invoice.is_return {
            self.returns += invoice.pence();
            self.return_orders += 1;
        } else {
            self.gross_sales += invoice.pence();
            self.orders += 1;
            self.units += invoice.lines.iter().map(|line| line.quantity).sum::<i64>();
        }
    }

    /// As analytics has to answer.
    pub fn metrics(&self) -> Value {
        let (orders, any) = (self.orders, self.orders > 0);
        json!({
            "gross_sales": pounds(self.gross_sales),
            "discounts": pounds(0),
            "returns": pounds(self.returns),
            "net_sales": pounds(self.gross_sales - self.returns),
            "tax": pounds(0),
            "tips": pounds(0),
            "orders": orders,
            "return_orders": self.return_orders,
            "units": self.units,
            "average_order_value": any.then(|| pounds(divided(self.gross_sales, orders))),
            "units_per_order": any.then(|| in_thousandths(divided(self.units * 1000, orders))),
        })
    }
}

/// What of the metrics belongs to a product, in pence.
#[derive(Default, Clone)]
pub struct ProductFigures {
    pub gross_sales: i64,
    pub returns: i64,
    pub units: i64,
    pub orders: i64,
    pub return_orders: i64,
}

impl ProductFigures {
    pub fn net_sales(&self) -> i64 {
        self.gross_sales - self.returns
    }

    pub fn metrics(&self) -> Value {
        json!({
            "gross_sales": pounds(self.gross_sales),
            "discounts": pounds(0),
            "returns": pounds(self.returns),
            "net_sales": pounds(self.net_sales()),
            "units": self.units,
            "orders": self.orders,
            "return_orders": self.return_orders,
        })
    }
}

/// All five days lie between the end of October and the end of March, so London keeps UTC.
const OFFSET: &str = "+00:00";

/// A file's rows, by what they are.
#[derive(Default)]
pub struct Day {
    /// `YYYY-MM-DD`.
    pub date: String,
    pub invoices: Vec<Invoice>,
    pub adjustments: Vec<Adjustment>,
    pub skipped: usize,
    pub rows: usize,
    /// Country of each store.
    pub countries: BTreeMap<String, String>,
    /// SKU, name and price of each product.
    pub products: Vec<(String, String, String)>,
    /// Those of the products that are kits, and how many of which others one of each takes.
    pub kits: BTreeMap<String, [(String, i64); 2]>,
    /// Those of the products whose stock is kept by lots.
    pub lots: BTreeSet<String>,
    /// Those of the products whose stock is split over parts from the beginning, where there is enough of it.
    pub split: BTreeSet<String>,
}

/// Some of the opening stock of what is kept by lots.
pub struct Delivery {
    pub store: String,
    pub sku: String,
    pub lot: String,
    /// The lot's last day of sale.
    pub expires_on: Option<&'static str>,
    pub units: i64,
}

/// Of so many products in stock one becomes a kit.
const KIT_OF: usize = 7;
/// Of so many that are none, one is kept by lots, and another one split.
const LOTS_OF: usize = 6;
/// The last days of the lots of each product: none is over while a day is replayed.
const LAST_DAYS: [Option<&str>; 3] = [Some("2999-06-30"), Some("2998-12-31"), None];

impl Day {
    /// Reads the file of a date.
    pub fn read(date: &str) -> Day {
        Day::read_until(date, "24:00")
    }

    /// Reads the file of a date as if the shops had closed at a time of day (`HH:MM`).
    pub fn read_until(date: &str, closing: &str) -> Day {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/online-retail");
        let mut reader = csv::Reader::from_path(folder.join(format!("{date}.csv"))).unwrap();
        let columns = [
            "InvoiceNo",
            "StockCode",
            "Description",
            "Quantity",
            "InvoiceDate",
            "UnitPrice",
            "CustomerID",
            "Country",
        ];
        assert!(reader.headers().unwrap().iter().eq(columns));
        let mut day = Day { date: date.to_owned(), ..Day::default() };
        let mut place_of = BTreeMap::new();
        let (mut names, mut prices) = (BTreeMap::new(), BTreeMap::new());
        for (place, record) in reader.records().enumerate() {
            let record = record.unwrap();
            let [number, sku, description, quantity, time, price, customer, country] =
                std::array::from_fn(|column| record[column].to_owned());
            if &time[11..] >= closing {
                continue;
            }
            day.rows += 1;
            if number.starts_with('A') {
                day.skipped += 1;
                continue;
            }
            let (row, description) = (place + 2, description.trim().to_owned());
            let is_return = number.starts_with('C');
            let quantity: i64 = quantity.parse().unwrap();
            assert!(quantity != 0 && !(is_return && quantity > 0), "row {row}");
            assert!(time.starts_with(date), "row {row} is of another day");
            let store = store_of(&country);
            day.countries.insert(store.clone(), country);
            prices.entry(sku.clone()).or_insert_with(|| plain(&price));
            if !description.is_empty() {
                names.entry(sku.clone()).or_insert_with(|| description.clone());
            }
            if quantity < 0 && !is_return {
                let reason = if description.is_empty() { "adjustment".to_owned() } else { description };
                day.adjustments.push(Adjustment { row, number, store, sku, quantity: -quantity, reason });
                continue;
            }
            let invoices = &mut day.invoices;
            let at = *place_of.entry(number.clone()).or_insert_with(|| {
                let customer = customer.trim_end_matches(".0").to_owned();
                invoices.push(Invoice {
                    number,
                    is_return,
                    store,
                    time: format!("{}{OFFSET}", time.replace(' ', "T")),
                    customer: (!customer.is_empty()).then_some(customer),
                    lines: Vec::new(),
                });
                invoices.len() - 1
            });
            let quantity = quantity.abs();
            let pence = divided(quantity * thousandths(&price), 10);
            invoices[at].lines.push(Line { row, sku, quantity, unit_price: plain(&price), pence });
        }
        let name = |sku: &String| names.get(sku).unwrap_or(sku).clone();
        day.products = prices.iter().map(|(sku, price)| (sku.clone(), name(sku), price.clone())).collect();
        day
    }

    /// The day as if some of what it sold had been kits of the two things that most was sold of: those go on
    /// being sold by themselves, too. What was adjusted stays what it is, since a kit has no stock of its own.
    pub fn with_kits(mut self) -> Day {
        let adjusted: BTreeSet<&String> = self.adjustments.iter().map(|adjustment| &adjustment.sku).collect();
        let mut sold = BTreeMap::<&String, i64>::new();
        for line in self.invoices.iter().flat_map(|invoice| &invoice.lines) {
            if is_stocked(&line.sku) && !adjusted.contains(&line.sku) {
                *sold.entry(&line.sku).or_default() += line.quantity;
            }
        }
        let mut by_most: Vec<(i64, &String)> = sold.into_iter().map(|(sku, units)| (units, sku)).collect();
        by_most.sort();
        let mut most = by_most.iter().rev().map(|(_, sku)| (*sku).clone());
        let (first, second) = (most.next().unwrap(), most.next().unwrap());
        let made_of = [(first, 1), (second, 2)];
        self.kits = most.step_by(KIT_OF).map(|sku| (sku, made_of.clone())).collect();
        self
    }

    /// The day as if some of what it sold had been kept by lots, and some split over parts: of the two things that
    /// kits are made of the one that more was sold of is split, and the other kept by lots.
    pub fn with_lots_and_split_stock(mut self) -> Day {
        let single = self.products.iter().map(|(sku, ..)| sku).filter(|sku| is_stocked(sku));
        let single: Vec<&String> = single.filter(|sku| !self.kits.contains_key(*sku)).collect();
        self.lots = single.iter().step_by(LOTS_OF).map(|sku| (*sku).clone()).collect();
        self.split = single.iter().skip(1).step_by(LOTS_OF).map(|sku| (*sku).clone()).collect();
        if let Some([(first, _), (second, _)]) = self.kits.values().next().cloned() {
            self.lots.remove(&first);
            self.split.remove(&second);
            self.split.insert(first);
            self.lots.insert(second);
        }
        self
    }

    /// The opening stock of what is kept by lots, as it comes: of up to three lots of each product, which have the same
    /// name in every store. All of it is sold or adjusted away, and what comes back is of no known lot.
    pub fn deliveries(&self) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        for ((store, sku), (units, _)) in self.stock() {
            if !self.lots.contains(&sku) {
                continue;
            }
            let third = units / 3;
            let parts = [third, third, units - 2 * third];
            for (number, (expires_on, units)) in (1..).zip(LAST_DAYS.into_iter().zip(parts)) {
                let lot = format!("L-{sku}-{number}");
                let delivery = Delivery { store: store.clone(), sku: sku.clone(), lot, expires_on, units };
                deliveries.extend((units > 0).then_some(delivery));
            }
        }
        deliveries
    }

    /// By store and SKU: how much of it each order took that sold any.
    pub fn sold(&self) -> BTreeMap<(String, String), BTreeMap<String, i64>> {
        let mut sold = BTreeMap::<_, BTreeMap<String, i64>>::new();
        for invoice in self.invoices.iter().filter(|invoice| !invoice.is_return) {
            for line in invoice.lines.iter().filter(|line| is_stocked(&line.sku)) {
                for (sku, units) in self.taken(line) {
                    let of_sku = sold.entry((invoice.store.clone(), sku.clone())).or_default();
                    *of_sku.entry(invoice.order_id()).or_default() += units;
                }
            }
        }
        sold
    }

    /// What one line takes from stock, or brings back: itself, or what the kit is made of.
    fn taken<'a>(&'a self, line: &'a Line) -> Vec<(&'a String, i64)> {
        match self.kits.get(&line.sku) {
            Some(parts) => parts.iter().map(|(sku, per)| (sku, per * line.quantity)).collect(),
            None => vec![(&line.sku, line.quantity)],
        }
    }

    pub fn version(&self) -> u64 {
        self.date.replace('-', "").parse().unwrap()
    }

    /// Lane → how many orders and returns it must count.
    pub fn lanes(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for invoice in &self.invoices {
            *counts.entry(invoice.lane()).or_default() += 1;
        }
        counts
    }

    /// Store and SKU → units, opening and closing. What the day sells or adjusts away is there before,
    /// and 0 of what is only returned; what came back is there after.
    pub fn stock(&self) -> BTreeMap<(String, String), (i64, i64)> {
        let mut stock: BTreeMap<_, (i64, i64)> = BTreeMap::new();
        for invoice in &self.invoices {
            for line in invoice.lines.iter().filter(|line| is_stocked(&line.sku)) {
                for (sku, taken) in self.taken(line) {
                    let units = stock.entry((invoice.store.clone(), sku.clone())).or_default();
                    if invoice.is_return {
                        units.1 += taken;
                    } else {
                        units.0 += taken;
                    }
                }
            }
        }
        for adjustment in &self.adjustments {
            stock.entry((adjustment.store.clone(), adjustment.sku.clone())).or_default().0 +=
                adjustment.quantity;
        }
        stock
    }

    /// Figures of some of the invoices.
    pub fn figures(&self, of: impl Fn(&Invoice) -> bool) -> Figures {
        let mut figures = Figures::default();
        self.invoices.iter().filter(|invoice| of(invoice)).for_each(|invoice| figures.add(invoice));
        figures
    }

    /// Begins of the hours in which a store sold.
    pub fn hours(&self, store: &str) -> BTreeSet<String> {
        self.invoices.iter().filter(|invoice| invoice.store == store).map(Invoice::hour).collect()
    }

    /// SKU → its figures in a store.
    pub fn by_product(&self, store: &str) -> BTreeMap<String, ProductFigures> {
        let mut products = BTreeMap::<String, ProductFigures>::new();
        for invoice in self.invoices.iter().filter(|invoice| invoice.store == store) {
            for line in &invoice.lines {
                let product = products.entry(line.sku.clone()).or_default();
                if invoice.is_return {
                    product.returns += line.pence;
                } else {
                    product.gross_sales += line.pence;
                    product.units += line.quantity;
                }
            }
            let skus: BTreeSet<&String> = invoice.lines.iter().map(|line| &line.sku).collect();
            for product in skus {
                let product = products.entry(product.clone()).or_default();
                *(if invoice.is_return { &mut product.return_orders } else { &mut product.orders }) += 1;
            }
        }
        products
    }
}

/// An amount as the API writes it.
pub fn pounds(pence: i64) -> Value {
    json!({ "amount": pence, "currency": "GBP" })
}

/// A SKU that starts with five digits is a thing in stock.
pub fn is_stocked(sku: &str) -> bool {
    sku.len() >= 5 && sku.bytes().take(5).all(|byte| byte.is_ascii_digit())
}

fn store_of(country: &str) -> String {
    let mut store = "s".to_owned();
    for word in
        country.to_lowercase().split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty())
    {
        store.push('-');
        store.push_str(word);
    }
    store
}

/// A decimal without trailing zeros.
pub fn plain(number: &str) -> String {
    match number.split_once('.') {
        Some(_) => number.trim_end_matches('0').trim_end_matches('.').to_owned(),
        None => number.to_owned(),
    }
}

/// A price with up to three decimals, times a thousand.
fn thousandths(price: &str) -> i64 {
    let (whole, rest) = price.split_once('.').unwrap_or((price, ""));
    assert!(rest.len() <= 3 && !price.starts_with('-'), "price {price}");
    format!("{whole}{rest:0<3}").parse().unwrap()
}

fn in_thousandths(number: i64) -> String {
    plain(&format!("{}.{:03}", number / 1000, number % 1000))
}

/// Of numbers that are not negative: the quotient, half rounded up.
fn divided(number: i64, by: i64) -> i64 {
    assert!(number >= 0 && by > 0);
    (2 * number + by) / (2 * by)
}
